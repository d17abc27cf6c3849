/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wheel.h"

#define HEAD_MARK 0x80000000u

static struct wheel_node *node(const struct wheel *w, uint32_t i)
{
	return (struct wheel_node *)(void *)(w->base + i * w->stride);
}

static unsigned digit(uint32_t t, unsigned level)
{
	return t >> (WHEEL_BITS * level) & (WHEEL_LISTS - 1);
}

static unsigned list_of(const struct wheel *w, uint32_t deadline)
{
	uint32_t t = (int32_t)(deadline - w->now) < 0 ? w->now : deadline;
	uint32_t span = 1u << (WHEEL_BITS * WHEEL_LEVELS);
	unsigned level = 0;

	/* Beyond the top level: as late as it goes without meeting the list being emptied. */
	if (t - w->now >= span - span / WHEEL_LISTS)
		t = w->now + (span - span / WHEEL_LISTS - 1);
	while (level < WHEEL_LEVELS - 1 && (t ^ w->now) >> (WHEEL_BITS * (level + 1)))
		level++;
	return level * WHEEL_LISTS + digit(t, level);
}

static void link_node(struct wheel *w, uint32_t i, unsigned list)
{
	struct wheel_node *n = node(w, i);

	n->prev = HEAD_MARK | list;
	n->next = w->head[list];
	if (n->next != WHEEL_NONE)
		node(w, n->next)->prev = i;
	w->head[list] = i;
	w->used[list / WHEEL_LISTS] |= 1ull << (list % WHEEL_LISTS);
}

static void unlink_node(struct wheel *w, uint32_t i)
{
	struct wheel_node *n = node(w, i);

	if (n->next != WHEEL_NONE)
		node(w, n->next)->prev = n->prev;
	if (n->prev & HEAD_MARK) {
		unsigned list = n->prev & ~HEAD_MARK;

		w->head[list] = n->next;
		if (n->next == WHEEL_NONE)
			w->used[list / WHEEL_LISTS] &= ~(1ull << (list % WHEEL_LISTS));
	} else {
		node(w, n->prev)->next = n->next;
	}
	n->next = n->prev = WHEEL_NONE;
}

void wheel_init(struct wheel *w, void *base, size_t stride, uint32_t now)
{
	*w = (struct wheel){ .base = base, .stride = stride, .now = now };
	for (unsigned i = 0; i < WHEEL_LEVELS * WHEEL_LISTS; i++)
		w->head[i] = WHEEL_NONE;
}

void wheel_add(struct wheel *w, uint32_t i, uint32_t deadline)
{
	node(w, i)->deadline = deadline;
	link_node(w, i, list_of(w, deadline));
	w->n++;
}

void wheel_del(struct wheel *w, uint32_t i)
{
	unlink_node(w, i);
	w->n--;
}

/* Spreads the lists that begin at tick now over the levels below. False: the budget is spent. */
static bool cascade(struct wheel *w, unsigned *inout_budget)
{
	for (unsigned level = WHEEL_LEVELS - 1; level; level--) {
		unsigned list = level * WHEEL_LISTS + digit(w->now, level);
		uint32_t i;

		if (w->now & ((1u << (WHEEL_BITS * level)) - 1))
			continue;
		while ((i = w->head[list]) != WHEEL_NONE) {
			if (!*inout_budget)
				return false;
			--*inout_budget;
			unlink_node(w, i);
			link_node(w, i, list_of(w, node(w, i)->deadline));
		}
	}
	return true;
}

/*
 * The first tick after now at which a list is due or to be spread. Below the top level the lists
 * of a level lie ahead in its present turn; the top level's may lie in the next one. n > 0.
 */
static uint32_t next_tick(const struct wheel *w)
{
	const unsigned top = WHEEL_LEVELS - 1;
	unsigned d;

	for (unsigned level = 0; level < top; level++) {
		uint64_t ahead;

		d = digit(w->now, level);
		ahead = w->used[level] & ~(~0ull >> (WHEEL_LISTS - 1 - d)); /* beyond d */
		if (ahead)
			return ((w->now >> (WHEEL_BITS * level)) +
				(unsigned)__builtin_ctzll(ahead) - d)
			       << (WHEEL_BITS * level);
	}
	d = (digit(w->now, top) + 1) % WHEEL_LISTS;
	return ((w->now >> (WHEEL_BITS * top)) + 1 +
		(unsigned)__builtin_ctzll(w->used[top] >> d | w->used[top]
								      << (WHEEL_LISTS - d) % 64))
	       << (WHEEL_BITS * top);
}

uint32_t wheel_pop(struct wheel *w, uint32_t now, unsigned *inout_budget)
{
	while ((int32_t)(now - w->now) >= 0) {
		uint32_t i;

		if (!w->n) {
			w->now = now;
			return WHEEL_NONE;
		}
		if (!cascade(w, inout_budget))
			return WHEEL_NONE;
		i = w->head[digit(w->now, 0)];
		if (i != WHEEL_NONE) {
			if (!*inout_budget)
				return WHEEL_NONE;
			--*inout_budget;
			wheel_del(w, i);
			return i;
		}
		if (w->now == now)
			break;
		i = next_tick(w);
		w->now = i - w->now < now - w->now ? i : now;
	}
	return WHEEL_NONE;
}
