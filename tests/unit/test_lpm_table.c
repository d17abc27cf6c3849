/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Longest prefix match over a full Internet table: RTR_TABLE names it, else it is looked for beside
 * the source tree. Without one the same checks run on a generated table of its shape, a quarter of
 * its size, and the program counts as skipped.
 */
#include "../lib/test_data.h"
#include "../lib/lpm_any.h"
#include "../lib/route_table.h"

#define N_PROBES 64u

static struct route_table table;

/* The table as it should be: sorted prefixes, the next hop of each, 0 = withdrawn. */
struct full {
	const struct table_prefix *p;
	uint32_t *nh;
	size_t n;
	bool has_len[129];
};

static struct full full_new(bool is6)
{
	struct full f = { is6 ? table.v6 : table.v4, NULL, is6 ? table.n_v6 : table.n_v4, { 0 } };
	uint64_t rng = test_seed;

	f.nh = xcalloc(f.n, sizeof(*f.nh));
	for (size_t i = 0; i < f.n; i++) {
		f.nh[i] = 1 + (uint32_t)test_rand(&rng) % 0xfffff;
		f.has_len[f.p[i].len] = true;
	}
	return f;
}

/* A binary search for each length that the table has, longest first. */
static uint32_t full_lookup(const struct full *f, const uint8_t *a)
{
	for (unsigned len = 129; len-- > 0;) {
		struct table_prefix want = { .len = (uint8_t)len };
		const struct table_prefix *hit;

		if (!f->has_len[len])
			continue;
		memcpy(want.addr, a, 16);
		any_mask(want.addr, len);
		hit = bsearch(&want, f->p, f->n, sizeof(want), table_cmp);
		if (hit && f->nh[hit - f->p])
			return f->nh[hit - f->p];
	}
	return 0;
}

static void check_prefixes(struct any *t, const struct full *f, size_t step)
{
	uint64_t rng = test_seed;
	uint8_t a[N_PROBES][16];
	uint32_t nh[N_PROBES];

	for (size_t i = 0; i < f->n;) {
		unsigned n = 0;

		for (; n < N_PROBES && i < f->n; i += step) {
			struct any_route r = { .len = f->p[i].len };

			memcpy(r.addr, f->p[i].addr, 16);
			ck_assert_uint_eq(any_get(t, r.addr, r.len), f->nh[i]);
			any_probe(t, &r, &rng, a[n++]);
			if (n < N_PROBES)
				any_probe(t, &r, &rng, a[n++]);
		}
		any_lookup(t, (const uint8_t(*)[16])a, nh, n);
		for (unsigned k = 0; k < n; k++)
			ck_assert_uint_eq(nh[k], full_lookup(f, a[k]));
	}
}

START_TEST(full_table)
{
	struct any t = any_new(_i, &(struct lpm_params){ 0 });
	struct full f = full_new(_i);
	struct any_route *r = xcalloc(f.n, sizeof(*r));
	uint64_t rng = test_seed;
	size_t *order = xcalloc(f.n, sizeof(*order));

	for (size_t i = 0; i < f.n; i++) {
		size_t j = test_rand(&rng) % (i + 1);

		memcpy(r[i].addr, f.p[i].addr, 16);
		r[i].len = f.p[i].len;
		r[i].nh = f.nh[i];
		order[i] = order[j];
		order[j] = i;
	}
	ck_assert_int_eq(any_build(&t, r, f.n), 0);
	ck_assert_uint_eq(any_stats(&t).n_routes, f.n);
	ck_assert_uint_lt(any_stats(&t).data_bytes, (_i ? 16u : 40u) * 1000000u);
	check_prefixes(&t, &f, 1);

	for (unsigned k = 0; k < 300000; k++) {
		size_t i = test_rand(&rng) % f.n;
		bool withdraw = test_rand(&rng) % 2;

		if (withdraw && f.nh[i]) {
			ck_assert_int_eq(any_del(&t, f.p[i].addr, f.p[i].len), 0);
			f.nh[i] = 0;
		} else {
			f.nh[i] = 1 + (uint32_t)test_rand(&rng) % 0xfffff;
			ck_assert_int_eq(any_set(&t, f.p[i].addr, f.p[i].len, f.nh[i]), 0);
		}
	}
	ck_assert_uint_lt(any_stats(&t).data_bytes, (_i ? 16u : 40u) * 1000000u);
	check_prefixes(&t, &f, 3);

	for (size_t k = 0; k < f.n; k++) {
		size_t i = order[k];

		if (f.nh[i])
			ck_assert_int_eq(any_del(&t, f.p[i].addr, f.p[i].len), 0);
		f.nh[i] = 0;
		if (k == f.n / 2)
			check_prefixes(&t, &f, 7);
	}
	ck_assert_uint_eq(any_stats(&t).n_routes, 0);
	check_prefixes(&t, &f, 29);
	any_free(&t);
	free(order);
	free(r);
	free(f.nh);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("lpm_table");
	TCase *tc = tcase_create("table");

	tcase_set_timeout(tc, 240);
	tcase_add_loop_test(tc, full_table, 0, 2);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	const char *path = getenv("RTR_TABLE");
	const char *seed = getenv("RTR_TEST_SEED");
	char *beside = test_data("bgp/full-table-v4v6.txt.gz");
	SRunner *sr = srunner_create(suite());
	bool real;
	int rc;

	test_seed = seed ? strtoull(seed, NULL, 0) : (rtr_now_ns() | 1);
	printf("RTR_TEST_SEED=%#llx\n", (unsigned long long)test_seed);
	real = !route_table_load(path ? path : beside, &table);
	if (!real)
		route_table_generate(&table, 4, 1);
	srunner_run_all(sr, CK_NORMAL);
	rc = srunner_ntests_failed(sr) ? EXIT_FAILURE : EXIT_SUCCESS;
	srunner_free(sr);
	if (!rc && !real) {
		printf("no table at %s: passed on a generated one\n", path ? path : beside);
		rc = 77;
	}
	free(beside);
	route_table_free(&table);
	return rc;
}
