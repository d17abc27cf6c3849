/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packet classifier against a linear scan of the rules, with each instruction set that the CPU has.
 */
#include "classify.h"
#include "../lib/check_main.h"
#include "../lib/classbench.h"
#include "../lib/classify_oracle.h"
#include "../lib/test_data.h"

#define KEYS 512

static uint64_t rng;

/* The linker sends the allocations of the program here; the one after so many fails, then all do.
 */
static int fail_after = -1;
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static bool fails(void)
{
	return fail_after >= 0 && (fail_after == 0 || --fail_after == 0);
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

static uint64_t rnd(uint64_t below)
{
	return test_rand(&rng) % below;
}

static struct fp_cls_addr v4(uint32_t a)
{
	return (struct fp_cls_addr){ 0, a };
}

/* Compares KEYS keys in and near the rules, for one family and instruction set. */
static void compare(const struct fp_cls *cls, const struct fp_cls_rule *rules, size_t n,
		    uint8_t family)
{
	static struct fp_cls_key6 k6[KEYS];
	static struct fp_cls_key4 k4[KEYS];
	static uint32_t got[KEYS];
	size_t m = (n > 20000 ? KEYS / 12 : KEYS) - rnd(33); /* batches of all lengths */

	for (size_t i = 0; i < m; i++) {
		struct fp_cls_rule any = fp_cls_rule_any(family, 0);

		k6[i] = oracle_key(n && rnd(8) ? &rules[rnd(n)] : &any, family, test_rand, &rng);
		k4[i] = oracle_key4(&k6[i]);
	}
	if (family == AF_INET)
		fp_cls_lookup4(cls, k4, m, got);
	else
		fp_cls_lookup6(cls, k6, m, got);
	for (size_t i = 0; i < m; i++) {
		uint32_t want = oracle_lookup(rules, n, family, &k6[i]);

		ck_assert_msg(got[i] == want,
			      "family %u: %#x, not %#x: src %#llx dst %#llx ports %#x "
			      "zones %#x misc %#x",
			      family, got[i], want, (unsigned long long)k6[i].src.lo,
			      (unsigned long long)k6[i].dst.lo, k6[i].ports, k6[i].zones,
			      k6[i].misc);
	}
}

static void build_and_compare_as(const struct fp_cls_rule *rules, size_t n, unsigned rounds,
				 enum fp_cls_form form)
{
	struct fp_cls *cls;
	struct fp_cls_stats st;

	ck_assert_int_eq(fp_cls_build_as(rules, n, form, &cls), 0);
	st = fp_cls_stats(cls);
	ck_assert_uint_le(st.bytes, FP_CLS_BYTES_FIXED + n * FP_CLS_BYTES_PER_RULE);
	for (enum fp_cls_isa isa = 0; isa < FP_CLS_ISA__MAX; isa++) {
		if (!fp_cls_use(cls, isa))
			continue;
		for (unsigned i = 0; i < rounds; i++) {
			compare(cls, rules, n, AF_INET);
			compare(cls, rules, n, AF_INET6);
		}
	}
	ck_assert_ptr_null(fp_cls_free(cls));
}

static void build_and_compare(const struct fp_cls_rule *rules, size_t n, unsigned rounds)
{
	build_and_compare_as(rules, n, rounds, FP_CLS_BEST);
	build_and_compare_as(rules, n, rounds, FP_CLS_TREES);
}

/* How wild random rules are. */
struct shape {
	unsigned addr_bits; /* addresses are drawn from so many low bits ... */
	bool prefixes;      /* ... as prefixes, else as ranges */
	unsigned wild;      /* one field in so many is a wildcard */
	bool zones, extras;
};

static void random_range(const struct shape *s, uint8_t family, struct fp_cls_addr *lo,
			 struct fp_cls_addr *hi)
{
	uint64_t mask = s->addr_bits < 64 ? (1ull << s->addr_bits) - 1 : UINT64_MAX;
	uint64_t a = test_rand(&rng) & mask, b = test_rand(&rng) & mask;

	if (!rnd(s->wild))
		return;
	if (s->prefixes) {
		b = a | (mask >> rnd(s->addr_bits + 1));
		a &= ~(a ^ b);
	}
	lo->lo = MIN(a, b);
	hi->lo = MAX(a, b);
	lo->hi = hi->hi = 0;
	if (family == AF_INET6 && rnd(2)) { /* ranges across the middle of the 128 bits */
		lo->hi = rnd(4);
		hi->hi = lo->hi + rnd(3);
		if (lo->hi == hi->hi && lo->lo > hi->lo)
			hi->lo = UINT64_MAX;
	}
}

static void random_ports(const struct shape *s, uint16_t *lo, uint16_t *hi)
{
	uint16_t a = (uint16_t)test_rand(&rng), b = (uint16_t)(a + rnd(3) * rnd(3000));

	if (!rnd(s->wild))
		return;
	*lo = MIN(a, b);
	*hi = rnd(4) ? MAX(a, b) : UINT16_MAX;
}

static struct fp_cls_rule random_rule(const struct shape *s, uint32_t id)
{
	static const uint8_t families[] = { AF_INET, AF_INET, AF_INET6, AF_INET6, AF_UNSPEC };
	uint8_t family = families[rnd(s->wild > 1 ? 5 : 4)];
	struct fp_cls_rule r = fp_cls_rule_any(family, id);

	if (family != AF_UNSPEC) {
		random_range(s, family, &r.src_lo, &r.src_hi);
		random_range(s, family, &r.dst_lo, &r.dst_hi);
	}
	random_ports(s, &r.sport_lo, &r.sport_hi);
	random_ports(s, &r.dport_lo, &r.dport_hi);
	if (rnd(s->wild))
		r.proto = rnd(2) ? 6 : (uint16_t)rnd(256);
	if (s->zones) {
		r.zone_in = (uint16_t)(rnd(2) * rnd(9));
		r.zone_out = (uint16_t)(rnd(2) * rnd(65536));
	}
	if (s->extras && !rnd(3)) {
		r.tcp_flags = (uint8_t)test_rand(&rng);
		r.tcp_mask = (uint8_t)(rnd(2) * rnd(256));
		r.dscp = (uint8_t)rnd(64);
		r.dscp_mask = rnd(2) ? 0x3f : 0;
		r.frags = (uint8_t)rnd(8);
	}
	return r;
}

static const struct shape shapes[] = {
	{ 32, true, 8, false, false },   { 32, false, 8, false, false },
	{ 32, true, 2, true, true },     { 32, false, 2, true, true },
	{ 8, true, 3, false, true },     { 8, false, 3, true, false },
	{ 32, false, 1000, true, true }, { 1, true, 2, true, true },
	{ 32, true, 1, false, true },
};

START_TEST(random_rules)
{
	static const size_t sizes[] = { 1, 2, 7, 8, 9, 16, 17, 60, 300, 512, 513, 2000 };
	static struct fp_cls_rule rules[2000];

	rng = test_seed + (uint64_t)_i;
	for (size_t z = 0; z < ARRAY_LEN(sizes); z++) {
		for (uint32_t i = 0; i < sizes[z]; i++) {
			rules[i] = random_rule(&shapes[_i], (uint32_t)test_rand(&rng) >> 1);
			if (i && !rnd(20))
				rules[i] = rules[rnd(i)]; /* the same rule twice */
		}
		build_and_compare(rules, sizes[z], sizes[z] < 1000 ? 2 : 1);
	}
}
END_TEST

START_TEST(no_rules)
{
	rng = test_seed;
	build_and_compare(NULL, 0, 1);
}
END_TEST

START_TEST(only_wildcards)
{
	static struct fp_cls_rule rules[1000];
	struct fp_cls *cls;
	struct fp_cls_key6 k = { 0 };
	struct fp_cls_key4 k4 = { 0 };
	uint32_t id;

	rng = test_seed;
	for (uint32_t i = 0; i < ARRAY_LEN(rules); i++)
		rules[i] = fp_cls_rule_any(AF_UNSPEC, i + 7);
	build_and_compare(rules, ARRAY_LEN(rules), 1);
	ck_assert_int_eq(fp_cls_build(rules, ARRAY_LEN(rules), &cls), 0);
	fp_cls_lookup6(cls, &k, 1, &id);
	ck_assert_uint_eq(id, 7);
	fp_cls_lookup4(cls, &k4, 1, &id);
	ck_assert_uint_eq(id, 7);
	fp_cls_free(cls);
}
END_TEST

START_TEST(refused)
{
	struct fp_cls *untouched = (void *)&rng, *cls = untouched;
	struct fp_cls_rule r;

	r = fp_cls_rule_any(AF_INET, 1);
	r.src_lo = v4(2);
	r.src_hi = v4(1);
	ck_assert_int_eq(fp_cls_build(&r, 1, &cls), -EINVAL);
	r = fp_cls_rule_any(AF_INET, 1);
	r.dst_hi.lo = 1ull << 32;
	ck_assert_int_eq(fp_cls_build(&r, 1, &cls), -EINVAL);
	r = fp_cls_rule_any(AF_INET6, 1);
	r.sport_lo = 2;
	r.sport_hi = 1;
	ck_assert_int_eq(fp_cls_build(&r, 1, &cls), -EINVAL);
	r = fp_cls_rule_any(AF_INET6, FP_CLS_NONE);
	ck_assert_int_eq(fp_cls_build(&r, 1, &cls), -EINVAL);
	r = fp_cls_rule_any(77, 1);
	ck_assert_int_eq(fp_cls_build(&r, 1, &cls), -EINVAL);
	ck_assert_int_eq(fp_cls_build(&r, FP_CLS_MAX_RULES + 1, &cls), -E2BIG);
	ck_assert_ptr_eq(cls, untouched);
}
END_TEST

/* Published sets; made ones of the same shape where they are not beside the tree. */
START_TEST(classbench)
{
	static const char *const names[] = { "acl1_1k",  "fw1_1k",  "ipc1_1k",
					     "acl1_10k", "fw1_10k", "ipc1_10k" };
	char *dir = test_data("classbench");
	struct cb_set set;

	rng = test_seed;
	if (cb_read(dir, names[_i], &set)) {
		printf("%s is not in %s: made rules instead\n", names[_i], dir);
		set = cb_make(names[_i], AF_INET, strstr(names[_i], "10k") ? 10000 : 1000, rng);
	}
	build_and_compare(set.rules, set.n, 4);
	free(set.rules);
	set = cb_make(names[_i], AF_INET6, 1000, rng);
	build_and_compare(set.rules, set.n, 4);
	free(set.rules);
	free(dir);
}
END_TEST

/* Rules that no tree can tell apart: ranges that all overlap, one for each pair of ends, so that
 * each cut copies most of them. Memory stays within the bound; answers stay right. */
START_TEST(all_overlap)
{
	static struct fp_cls_rule rules[3000];
	uint32_t n = ARRAY_LEN(rules);

	rng = test_seed;
	for (uint32_t i = 0; i < n; i++) {
		struct fp_cls_rule *r = &rules[i];

		*r = fp_cls_rule_any(_i ? AF_INET6 : AF_INET, i);
		r->src_lo.lo = (uint32_t)rnd(1u << 31);
		r->src_hi.lo = UINT32_MAX - rnd(1u << 31);
		r->dst_lo.lo = (uint32_t)rnd(1u << 31);
		r->dst_hi.lo = UINT32_MAX - rnd(1u << 31);
		r->sport_lo = (uint16_t)rnd(32768);
		r->sport_hi = (uint16_t)(65535 - rnd(32768));
		r->dport_lo = (uint16_t)rnd(32768);
		r->dport_hi = (uint16_t)(65535 - rnd(32768));
	}
	build_and_compare(rules, n, 2);
}
END_TEST

START_TEST(hundred_thousand)
{
	static const char *const names[] = { "acl1", "fw1", "ipc1" };
	struct cb_set set = cb_make(names[_i], AF_INET, 100000, test_seed);

	rng = test_seed;
	build_and_compare_as(set.rules, set.n, 1, FP_CLS_BEST);
	free(set.rules);
}
END_TEST

/* Where one form ends and the other begins: the first rule that the bit vectors hold no more, rows
 * of all lengths, and a family each. Rules of few values fit into the bound of memory. */
START_TEST(forms)
{
	static const struct {
		size_t n4, n6;
		bool trees4, trees6;
	} cases[] = { { 17, 16, false, true },  { 16, 17, true, false },
		      { 1024, 5, false, true }, { 1025, 512, false, false },
		      { 2048, 0, false, true }, { 2049, 1537, true, false },
		      { 0, 2048, true, false }, { 17, 2049, false, true } };
	size_t n = cases[_i].n4 + cases[_i].n6;
	struct fp_cls_rule *rules = xcalloc(n, sizeof(*rules));
	struct fp_cls_stats st;
	struct fp_cls *cls;

	rng = test_seed + (uint64_t)_i;
	for (uint32_t i = 0; i < n; i++) {
		struct fp_cls_rule *r = &rules[i];

		*r = fp_cls_rule_any(i < cases[_i].n4 ? AF_INET : AF_INET6, i * 3);
		r->src_lo.lo = rnd(100) << 8;
		r->src_hi.lo = r->src_lo.lo + 255;
		r->src_hi.hi = 0;
		r->dst_lo.lo = rnd(100);
		r->dst_hi = r->dst_lo;
		r->dport_lo = r->dport_hi = (uint16_t)rnd(5);
		r->proto = 17;
	}
	ck_assert_int_eq(fp_cls_build(rules, n, &cls), 0);
	st = fp_cls_stats(cls);
	ck_assert_int_eq(st.trees4 > 0 || cases[_i].n4 == 0, cases[_i].trees4);
	ck_assert_int_eq(st.trees6 > 0 || cases[_i].n6 == 0, cases[_i].trees6);
	fp_cls_free(cls);
	build_and_compare(rules, n, 4);
	free(rules);
}
END_TEST

/* A later fragment has ports of 0 in its key and none in fact: rules on ports that hold 0 stand in
 * front of the rule that is for it, and all match its key. */
START_TEST(later_fragment)
{
	enum fp_cls_form form = _i / 2 ? FP_CLS_TREES : FP_CLS_BEST;
	uint8_t family = _i % 2 ? AF_INET6 : AF_INET;
	enum { N = 600, LATER = N - 2, REST = N - 1 };
	static const struct {
		uint16_t dport;
		enum fp_cls_frag frag;
		uint32_t want;
	} cases[] = { { 0, FP_CLS_WHOLE, 0 },          { 0, FP_CLS_FIRST_FRAG, 0 },
		      { 0, FP_CLS_LATER_FRAG, LATER }, { 40, FP_CLS_WHOLE, 40 },
		      { 40, FP_CLS_FIRST_FRAG, 40 },   { 60000, FP_CLS_WHOLE, REST } };
	static struct fp_cls_rule rules[N];
	struct fp_cls *cls;

	for (uint32_t i = 0; i < N; i++) {
		rules[i] = fp_cls_rule_any(family, i);
		rules[i].proto = 17;
		if (i < LATER)
			rules[i].dport_hi = (uint16_t)i;
	}
	rules[LATER].frags = 1 << FP_CLS_LATER_FRAG;
	ck_assert_int_eq(fp_cls_build_as(rules, N, form, &cls), 0);
	if (form == FP_CLS_BEST) {
		struct fp_cls_stats st = fp_cls_stats(cls);

		ck_assert_uint_eq(st.trees4 + st.trees6, 0);
	}
	for (enum fp_cls_isa isa = 0; isa < FP_CLS_ISA__MAX; isa++) {
		if (!fp_cls_use(cls, isa))
			continue;
		for (unsigned k = 0; k < ARRAY_LEN(cases); k++) {
			uint32_t ports = fp_cls_pair(0, cases[k].dport),
				 misc = fp_cls_misc(17, 0, 0, cases[k].frag), got;
			struct fp_cls_key4 k4 = { .ports = ports, .misc = misc };
			struct fp_cls_key6 k6 = { .ports = ports, .misc = misc };

			if (family == AF_INET)
				fp_cls_lookup4(cls, &k4, 1, &got);
			else
				fp_cls_lookup6(cls, &k6, 1, &got);
			ck_assert_msg(got == cases[k].want, "case %u: rule %u, not %u", k, got,
				      cases[k].want);
		}
	}
	fp_cls_free(cls);
}
END_TEST

/* Each allocation of a build fails once: -ENOMEM, and nothing is lost (the ASan run sees leaks). A
 * build that goes on to the end found another way. */
START_TEST(allocation_fails)
{
	struct cb_set set = cb_make("ipc1", AF_INET, 300, 1),
		      v6 = cb_make("acl1", AF_INET6, 300, 1);
	struct fp_cls *untouched = (void *)&rng, *cls = untouched;
	unsigned failed = 0;

	for (size_t i = 0; i < set.n; i += 3)
		set.rules[i] = v6.rules[i];
	for (int after = 0;; after++) {
		int r;

		fail_after = after;
		r = fp_cls_build_as(set.rules, set.n, _i ? FP_CLS_TREES : FP_CLS_BEST, &cls);
		if (fail_after > 0) {
			fail_after = -1;
			ck_assert_int_eq(r, 0);
			fp_cls_free(cls);
			break;
		}
		fail_after = -1;
		if (!r) {
			fp_cls_free(cls);
			cls = untouched;
			continue;
		}
		ck_assert_int_eq(r, -ENOMEM);
		ck_assert_ptr_eq(cls, untouched);
		failed++;
	}
	ck_assert_uint_gt(failed, 20);
	free(set.rules);
	free(v6.rules);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("classify");
	TCase *tc = tcase_create("classify");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, random_rules, 0, (int)ARRAY_LEN(shapes));
	tcase_add_test(tc, no_rules);
	tcase_add_test(tc, only_wildcards);
	tcase_add_test(tc, refused);
	tcase_add_loop_test(tc, classbench, 0, 6);
	tcase_add_loop_test(tc, all_overlap, 0, 2);
	tcase_add_loop_test(tc, hundred_thousand, 0, 3);
	tcase_add_loop_test(tc, forms, 0, 8);
	tcase_add_loop_test(tc, later_fragment, 0, 4);
	tcase_add_loop_test(tc, allocation_fails, 0, 2);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
