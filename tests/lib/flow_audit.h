/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what must hold of a flow table at rest, for tests that include flow.c and flow_adopt.c:
 * each pair is in exactly one place (a free list, alive, kept spare), each line is free or half of
 * a living pair and then has exactly one slot, each slot leads to a living line, no lock is held,
 * the counters of keys in their second bucket are exact.
 */
#ifndef TESTS_FLOW_AUDIT_H
#define TESTS_FLOW_AUDIT_H

static void audit_seen(uint8_t *seen, uint32_t pair, uint32_t n_pairs)
{
	ck_assert_uint_lt(pair, n_pairs);
	ck_assert_msg(!seen[pair], "pair %u is in two places", pair);
	seen[pair] = 1;
}

static void audit_free(const struct fp_flow *t, enum flow_family fam, uint8_t *seen)
{
	const struct flow_table *ft = &t->fam[fam];

	for (uint32_t i = 0; i < ft->n_pool; i++)
		audit_seen(seen, ft->pool[i], ft->n_pairs);
	for (unsigned i = 0; i < t->n_workers; i++) {
		const struct fp_flow_worker *w = &t->worker[i];

		for (uint32_t k = w->ring[fam].tail; k != w->ring[fam].head; k++)
			audit_seen(seen, w->ring[fam].pair[k & w->ring[fam].mask], ft->n_pairs);
		if (w->stash[fam] != FLOW_NO_LINE)
			audit_seen(seen, w->stash[fam], ft->n_pairs);
		ck_assert_uint_eq(w->freed[fam], CHAIN_END);
	}
	ck_assert_uint_eq(ft->n_waiting, 0);
}

/* Returns the number of flows. */
static uint32_t audit(const struct fp_flow *t, enum flow_family fam)
{
	const struct flow_table *ft = &t->fam[fam];
	uint8_t *seen = xcalloc(ft->n_pairs, 1);
	uint32_t *slots = xcalloc(2 * (size_t)ft->n_pairs, sizeof(*slots)), living = 0;

	audit_free(t, fam, seen);
	for (uint32_t b = 0; b <= ft->bucket_mask; b++) {
		uint64_t lock = ft->buckets[b].lock;

		ck_assert_uint_eq(lock & FLOW_LOCK_OWNER, 0);
		if (!(lock & FLOW_LOCK_AGAIN))
			ck_assert_uint_eq(lock, flow_spill_count(t, fam, b));
		for (int s = 0; s < FLOW_SLOTS; s++) {
			uint64_t slot = ft->buckets[b].slot[s];
			uint32_t line = (uint32_t)slot;
			uint64_t word0;

			if (!slot)
				continue;
			ck_assert_uint_lt(line, 2 * ft->n_pairs);
			word0 = *flow_line(ft, fam, line);
			ck_assert_uint_eq(flow_w0_gen(word0), (uint16_t)(slot >> 32));
			ck_assert(!(flow_w0_gen(word0) & 1));
			ck_assert_uint_eq(slots[line]++, 0);
		}
	}
	for (uint32_t line = 0; line < 2 * ft->n_pairs; line++) {
		uint64_t word0 = *flow_line(ft, fam, line), side = flow_side_load(ft, fam, line);
		uint32_t name = (uint32_t)side & FLOW_NAME_MASK, place[2];

		ck_assert_uint_eq(slots[line], flow_lives(word0));
		if (!flow_lives(word0)) {
			ck_assert_int_eq(flow_w0_path(word0), FLOW_P_FREE);
			continue;
		}
		ck_assert_uint_lt(name >> 1, ft->n_pairs);
		ck_assert(pair_lives(t, fam, name >> 1, place));
		ck_assert_uint_eq(place[name & 1], line);
		if (name & 1)
			continue;
		audit_seen(seen, name >> 1, ft->n_pairs);
		living++;
	}
	for (uint32_t p = 0; p < ft->n_pairs; p++) {
		if (!seen[p] && p / ft->seg_pairs == spare_of(t, fam))
			audit_seen(seen, p, ft->n_pairs);
		ck_assert_msg(seen[p], "pair %u is lost", p);
	}
	free(seen);
	free(slots);
	return living;
}

#endif
