/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iface/addr_order.h"

#include <stdlib.h>
#include <string.h>

struct steps {
	struct ao_list list; /* the kernel's list after the steps so far */
	const struct rtr_prefix *want;
	size_t n_want;
	struct ao_step *v;
	size_t n, room;
};

/* ---- the kernel's list ---- */

static bool same_subnet(const struct rtr_prefix *a, const struct rtr_prefix *b)
{
	return a->len == b->len && rtr_prefix_contains(a, &b->addr);
}

static size_t find(const struct ao_list *l, const struct rtr_prefix *addr)
{
	size_t i = 0;

	while (i < l->len && rtr_prefix_cmp(&l->v[i].addr, addr))
		i++;
	return i;
}

static size_t n_primaries(const struct ao_list *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->len; i++) {
		if (!l->v[i].secondary)
			n = i + 1;
	}
	return n;
}

static void insert(struct ao_list *l, size_t at, const struct ao_addr *a)
{
	if (l->len == l->room) {
		l->room = l->room ? l->room * 2 : 8;
		l->v = xrealloc(l->v, l->room * sizeof(*l->v));
	}
	memmove(&l->v[at + 1], &l->v[at], (l->len - at) * sizeof(*l->v));
	l->v[at] = *a;
	l->len++;
}

static void take(struct ao_list *l, size_t at)
{
	l->len--;
	memmove(&l->v[at], &l->v[at + 1], (l->len - at) * sizeof(*l->v));
}

void ao_add(struct ao_list *l, const struct rtr_prefix *addr)
{
	struct ao_addr a = { .addr = *addr };

	for (size_t i = 0; i < l->len; i++)
		a.secondary |= same_subnet(&l->v[i].addr, addr);
	insert(l, a.secondary ? l->len : n_primaries(l), &a);
}

void ao_del(struct ao_list *l, const struct rtr_prefix *addr)
{
	size_t at = find(l, addr);
	bool primary = !l->v[at].secondary;

	take(l, at);
	for (size_t i = at; primary && i < l->len; i++) {
		struct ao_addr a = l->v[i];

		if (!a.secondary || !same_subnet(&a.addr, addr))
			continue;
		a.secondary = false;
		take(l, i);
		insert(l, n_primaries(l), &a);
		break;
	}
}

/* ---- steps ---- */

static void step(struct steps *s, bool add, struct rtr_prefix addr)
{
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 8;
		s->v = xrealloc(s->v, s->room * sizeof(*s->v));
	}
	s->v[s->n++] = (struct ao_step){ .add = add, .addr = addr };
	if (add)
		ao_add(&s->list, &addr);
	else
		ao_del(&s->list, &addr);
}

static bool wanted(const struct steps *s, const struct rtr_prefix *addr)
{
	for (size_t i = 0; i < s->n_want; i++) {
		if (!rtr_prefix_cmp(&s->want[i], addr))
			return true;
	}
	return false;
}

/* Index of the primary of addr's subnet; len when there is none. */
static size_t holder(const struct ao_list *l, const struct rtr_prefix *addr)
{
	size_t i = 0;

	while (i < l->len && (l->v[i].secondary || !same_subnet(&l->v[i].addr, addr)))
		i++;
	return i;
}

static bool first_of_subnet(const struct steps *s, size_t w)
{
	for (size_t i = 0; i < w; i++) {
		if (same_subnet(&s->want[i], &s->want[w]))
			return false;
	}
	return true;
}

/*
 * An address of ours that stands in the way; len when the order is right. Each move brings the
 * wanted one a place forward, since the moved one goes behind it.
 */
static size_t in_the_way(const struct steps *s)
{
	const struct ao_list *l = &s->list;

	for (size_t w = 0; w < s->n_want; w++) {
		size_t at = find(l, &s->want[w]), h;

		/* Not at its own place in the list: one of others holds it there. */
		if (l->v[at].foreign || !first_of_subnet(s, w))
			continue;
		if (l->v[at].secondary) {
			h = holder(l, &s->want[w]);
			if (h < l->len && !l->v[h].foreign)
				return h;
			continue;
		}
		/* The operator's primary before all others of ours. */
		for (h = 0; !w && h < at; h++) {
			if (!l->v[h].foreign)
				return h;
		}
	}
	return l->len;
}

size_t ao_plan(const struct ao_addr *have, size_t n_have, const struct rtr_prefix *want,
	       size_t n_want, struct ao_step **ret)
{
	struct steps s = { .want = want, .n_want = n_want };
	size_t i, moves = 2 * (n_have + n_want) * (n_have + n_want);

	for (i = 0; i < n_have; i++)
		insert(&s.list, i, &have[i]);
	for (i = 0; i < n_want; i++) {
		if (find(&s.list, &want[i]) == s.list.len)
			step(&s, true, want[i]);
	}
	for (i = 0; i < s.list.len;) {
		if (s.list.v[i].foreign || wanted(&s, &s.list.v[i].addr)) {
			i++;
			continue;
		}
		step(&s, false, s.list.v[i].addr);
		i = 0; /* a promotion may have moved one behind us */
	}
	/* The bound is for a list that no kernel makes; a plan is looked at again anyway. */
	while (moves-- && (i = in_the_way(&s)) < s.list.len) {
		struct rtr_prefix addr = s.list.v[i].addr;

		step(&s, false, addr);
		step(&s, true, addr);
	}
	free(s.list.v);
	*ret = s.v;
	return s.n;
}
