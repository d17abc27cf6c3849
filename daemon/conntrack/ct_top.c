/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conntrack/ct_top.h"

#include "hash.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SLOTS (2u * CT_TOP_ROOM) /* half of them stay free */

struct ct_top {
	uint64_t seed; /* senders choose their addresses: not which slots they meet in */
	uint64_t total;
	uint32_t error;
	size_t n;
	struct ct_top_item slot[SLOTS]; /* open addressing; n 0 = free */
};

struct ct_top *ct_top_new(void)
{
	struct ct_top *t = xcalloc(1, sizeof(*t));

	if (getrandom(&t->seed, sizeof(t->seed), 0) != sizeof(t->seed))
		abort();
	return t;
}

struct ct_top *ct_top_free(struct ct_top *t)
{
	free(t);
	return NULL;
}

static struct ct_top_item *find(struct ct_top *t, const struct ct_top_key *key)
{
	size_t i = hash_bytes(key, sizeof(*key), t->seed) % SLOTS;

	while (t->slot[i].n && memcmp(&t->slot[i].key, key, sizeof(*key)) != 0)
		i = (i + 1) % SLOTS;
	return &t->slot[i];
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Subtracts the median from all and forgets what comes to nothing: at least half. */
static void halve(struct ct_top *t)
{
	struct ct_top_item *kept = xmalloc(t->n * sizeof(*kept));
	uint32_t *counts = xmalloc(t->n * sizeof(*counts)), median;
	size_t n = 0;

	for (size_t i = 0; i < SLOTS; i++) {
		if (t->slot[i].n) {
			counts[n] = t->slot[i].n;
			kept[n++] = t->slot[i];
		}
	}
	qsort(counts, n, sizeof(*counts), by_number);
	median = counts[n / 2];
	memset(t->slot, 0, sizeof(t->slot));
	t->n = 0;
	t->error += median;
	for (size_t i = 0; i < n; i++) {
		if (kept[i].n <= median)
			continue;
		kept[i].n -= median;
		*find(t, &kept[i].key) = kept[i];
		t->n++;
	}
	free(kept);
	free(counts);
}

void ct_top_add(struct ct_top *t, const struct ct_top_key *key)
{
	struct ct_top_item *i = find(t, key);

	t->total++;
	if (!i->n && t->n == CT_TOP_ROOM) {
		halve(t);
		i = find(t, key);
	}
	if (!i->n++) {
		i->key = *key;
		t->n++;
	}
}

uint64_t ct_top_total(const struct ct_top *t)
{
	return t->total;
}

uint32_t ct_top_error(const struct ct_top *t)
{
	return t->error;
}

/* Largest first. */
static int by_rank(const struct ct_top_item *a, const struct ct_top_item *b)
{
	return a->n > b->n ? -1 : a->n < b->n ? 1 : memcmp(&a->key, &b->key, sizeof(a->key));
}

size_t ct_top_list(const struct ct_top *t, struct ct_top_item *ret, size_t room)
{
	size_t n = 0;

	/* Insertion into the short list: nearly every item ends at its first comparison. */
	for (size_t i = 0; i < SLOTS && room; i++) {
		const struct ct_top_item *it = &t->slot[i];
		size_t at;

		if (!it->n || (n == room && by_rank(it, &ret[n - 1]) > 0))
			continue;
		at = n < room ? n++ : n - 1;
		for (; at && by_rank(it, &ret[at - 1]) < 0; at--)
			ret[at] = ret[at - 1];
		ret[at] = *it;
	}
	return n;
}
