/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packet buffers: states, wide frames and their way back. */
#include "tests/lib/check_main.h"

#include "fastpath/umem.h"

#include <errno.h>

#define FRAMES 64u

static struct fp_umem u;

static void setup(void)
{
	ck_assert_int_eq(fp_umem_init(&u, FRAMES, NULL), 0);
}

static void teardown(void)
{
	ck_assert_uint_eq(u.n_wrong, 0);
	fp_umem_fini(&u);
}

static uint32_t in_state(enum fp_frame_state s)
{
	uint32_t n[FP_FRAME__MAX];

	fp_umem_audit(&u, n);
	return n[s];
}

/* A wide frame is a page, its second half nobody else gets, and both halves are where the first is.
 */
START_TEST(wide)
{
	bool seen[FRAMES] = { false };
	uint64_t a, first;

	ck_assert_int_eq(fp_umem_widen(&u, 10), 0);
	ck_assert_uint_eq(u.n_wide, 10);
	ck_assert_uint_eq(u.n_free, FRAMES - 20);
	first = a = fp_umem_take_wide(&u, FP_FRAME_FILL, 3);
	for (unsigned k = 0; a != FP_NO_FRAME; k++) {
		ck_assert_uint_eq(a % FP_FRAME_WIDE, 0);
		seen[a >> FP_FRAME_SHIFT] = seen[(a >> FP_FRAME_SHIFT) + 1] = true;
		ck_assert_uint_eq(in_state(FP_FRAME_FILL), 2 * (k + 1));
		a = fp_umem_take_wide(&u, FP_FRAME_FILL, 3);
	}
	while ((a = fp_umem_take(&u, FP_FRAME_WORK, 0)) != FP_NO_FRAME) {
		ck_assert(!seen[a >> FP_FRAME_SHIFT]);
		seen[a >> FP_FRAME_SHIFT] = true;
	}
	for (unsigned i = 0; i < FRAMES; i++)
		ck_assert(seen[i]);
	/* By an address inside of it, to where it came from. */
	ck_assert(fp_umem_move(&u, first + FP_FRAME_HEADROOM, FP_FRAME_FILL, FP_FRAME_WORK, 0));
	fp_umem_give(&u, first + FP_FRAME_HEADROOM, FP_FRAME_WORK);
	ck_assert_uint_eq(u.n_wide, 1);
	ck_assert_uint_eq(u.n_free, 0);
	fp_umem_reclaim(&u, 3);
	ck_assert_uint_eq(u.n_wide, 10);
	fp_umem_narrow(&u);
	ck_assert_uint_eq(u.n_free, 20);
	ck_assert_uint_eq(in_state(FP_FRAME_FREE), 20);
}
END_TEST

/* Only neighbours in a page, and nothing is changed when they are too few. */
START_TEST(too_few)
{
	/* The lowest numbers go first: 1, 3, 5... stay with somebody. */
	for (unsigned i = 0; i < FRAMES; i++)
		fp_umem_take(&u, FP_FRAME_WORK, 0);
	for (uint64_t i = 0; i < FRAMES; i += 2)
		fp_umem_give(&u, i << FP_FRAME_SHIFT, FP_FRAME_WORK);
	ck_assert_int_eq(fp_umem_widen(&u, 1), -ENOBUFS);
	fp_umem_give(&u, 7ull << FP_FRAME_SHIFT, FP_FRAME_WORK);
	ck_assert_int_eq(fp_umem_widen(&u, 2), -ENOBUFS);
	ck_assert_uint_eq(u.n_wide, 0);
	ck_assert_uint_eq(u.n_free, FRAMES / 2 + 1);
	ck_assert_int_eq(fp_umem_widen(&u, 1), 0);
	ck_assert_uint_eq(fp_umem_take_wide(&u, FP_FRAME_FILL, 0), 6ull << FP_FRAME_SHIFT);
	ck_assert_uint_eq(u.n_free, FRAMES / 2 - 1);
	/* There are as many as were asked for already. */
	fp_umem_give(&u, 6ull << FP_FRAME_SHIFT, FP_FRAME_FILL);
	ck_assert_int_eq(fp_umem_widen(&u, 1), 0);
	ck_assert_uint_eq(u.n_wide, 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("umem");
	TCase *t = tcase_create("umem");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, wide);
	tcase_add_test(t, too_few);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
