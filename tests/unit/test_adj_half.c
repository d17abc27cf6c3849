/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Room for the adjacencies of a new process: where flows led before they lead afterwards. */
#include "../lib/flow_make.h"
#include "../lib/check_main.h"

#include "adj_half.h"

#include <string.h>

#define N     64u
#define FLOWS 400u

static struct fp_flow_mem mem;
static struct fp_adj adj[N];

static uint64_t *word0_of(enum flow_family fam, uint32_t line)
{
	return fam == FLOW_4 ? &((struct flow_line4 *)mem.base[FP_FLOW_R_LINES4])[line].word0
			     : &((struct flow_line6 *)mem.base[FP_FLOW_R_LINES6])[line].word0;
}

static uint32_t *egress_of(enum flow_family fam, uint32_t line)
{
	return fam == FLOW_4 ? &((struct flow_line4 *)mem.base[FP_FLOW_R_LINES4])[line].egress
			     : &((struct flow_line6 *)mem.base[FP_FLOW_R_LINES6])[line].egress;
}

/* Flows that live in every other line name any of `named` adjacencies, each of which has its own
 * number as its port. */
static void fill(uint64_t *rng, uint32_t named)
{
	for (uint32_t i = 0; i < N; i++)
		adj[i] = (struct fp_adj){ .len = 14, .port = i, .seq = 2 };
	for (int fam = 0; fam < FLOW__FAMILIES; fam++) {
		for (uint32_t line = 0; line < 2 * mem.n_pairs[fam]; line++) {
			uint32_t pick = (uint32_t)(test_rand(rng) % named);

			/* Not number 0 of a half. */
			pick = pick / 2 % (N / 2 - 1) + 1 + (pick & 1 ? N / 2 : 0);
			*word0_of(fam, line) = line & 1 ? FLOW_W0(2, FLOW_P_EXPRESS, 0, 0) : 0;
			*egress_of(fam, line) = pick | 0xff800000;
		}
	}
}

static void vacate(uint32_t first, uint32_t named)
{
	uint64_t rng = test_seed | 1;
	uint32_t half = N / 2, moved = 0, lost = 0, got;

	fill(&rng, named);
	got = fp_adj_half_vacate(&mem, adj, N, first);
	rng = test_seed | 1;
	for (int fam = 0; fam < FLOW__FAMILIES; fam++) {
		for (uint32_t line = 0; line < 2 * mem.n_pairs[fam]; line++) {
			uint32_t was = (uint32_t)(test_rand(&rng) % named), egress, is;

			was = was / 2 % (N / 2 - 1) + 1 + (was & 1 ? N / 2 : 0);
			egress = *egress_of(fam, line);
			is = egress & FLOW_EGRESS_ADJ_MASK;
			ck_assert_uint_eq(egress & ~FLOW_EGRESS_ADJ_MASK, 0xff800000);
			if (!(line & 1)) {
				ck_assert_uint_eq(is, was);
				continue;
			}
			moved += was / half == first / half;
			lost += !is;
			if (!is)
				continue;
			ck_assert_uint_eq(is / half, !(first / half));
			ck_assert_uint_eq(adj[is].port, was);
			ck_assert_uint_eq(adj[is].len, 14);
		}
	}
	ck_assert_uint_eq(got, moved);
	ck_assert(named > N / 2 ? lost > 0 : !lost);
	for (uint32_t i = first; i < first + half; i++)
		ck_assert_uint_eq(adj[i].len, 0);
}

START_TEST(test_vacate)
{
	uint32_t n[FLOW__FAMILIES] = { FLOWS, FLOWS };

	ck_assert_int_eq(fp_flow_mem_anon(n, &mem), 0);
	for (uint32_t first = 0; first < N; first += N / 2) {
		vacate(first, 2);
		vacate(first, N / 4);
		vacate(first, N - 2); /* both halves are full */
	}
	fp_flow_mem_fini(&mem);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("adj_half");
	TCase *tc = tcase_create("adj_half");

	tcase_add_test(tc, test_vacate);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
