/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `ct label set` of a real kernel does with ct_label.h's encoding: one immediate writes all of
 * it, a second value mixes and is found out, a guard keeps the first.
 */
#include "../lib/check_main.h"
#include "../lib/netns.h"
#include "../lib/nft_plane.h"

#include "conntrack/ct.h"
#include "nft/nft_expr.h"

static const struct ct_meta first = { CT_META_ALL, 0x12345678, 0xabcd, 0x5a, CT_LABEL_F_SET };
static const struct ct_meta second = { CT_META_ALL, 0x12345679, 0xabcd, 0x5a, CT_LABEL_F_SET };

/* True for a flow whose label nobody wrote. */
static void guard(struct nft_rule *r)
{
	static const uint8_t mask[CT_LABEL_SIZE] = { CT_LABEL_F_SET }, zero[CT_LABEL_SIZE];

	nft_ct(r, NFT_CT_LABELS, NFT_REG_1);
	nft_bitwise(r, NFT_REG_1, NFT_REG_1, CT_LABEL_SIZE, mask, zero);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, zero, CT_LABEL_SIZE);
}

static void write_label(struct nft_chain *c, const struct ct_meta *m, bool guarded)
{
	struct nft_rule *r = nft_rule_new(0, NULL, NULL);
	uint8_t label[CT_LABEL_SIZE];

	ct_label_encode(m, label);
	if (guarded)
		guard(r);
	nft_imm(r, NFT_REG_1, label, sizeof(label));
	nft_ct_set(r, NFT_CT_LABELS, NFT_REG_1);
	nft_chain_add(c, r);
}

static void build(struct nft_ruleset *rs, unsigned n, bool guarded)
{
	struct nft_table *t = nft_ruleset_table(rs, NFPROTO_INET, nft_table_name());
	struct nft_chain *c = nft_chain_new(&(struct nft_chain_spec){
		.name = "out", .type = "filter", .hook = NF_INET_LOCAL_OUT, .policy = NF_ACCEPT });

	write_label(c, &first, guarded);
	if (n == 2)
		write_label(c, &second, guarded);
	nft_table_add_chain(t, c);
}

static void build_one(struct nft_ruleset *rs)
{
	build(rs, 1, false);
}

static void build_two(struct nft_ruleset *rs)
{
	build(rs, 2, false);
}

static void build_guarded(struct nft_ruleset *rs)
{
	build(rs, 2, true);
}

static void setup(void)
{
	netns_enter();
	ck_assert(sh("ip link set lo up"));
	plane_setup();
	ct_init(plane_base);
}

struct seen {
	struct ct_meta meta;
	unsigned n;
	bool done;
};

static void each(void *arg, const struct ct_entry *e)
{
	struct seen *s = arg;

	s->meta = e->meta;
	s->n++;
}

static void done(void *arg, int error)
{
	struct seen *s = arg;

	ck_assert_int_eq(error, 0);
	s->done = true;
}

static struct ct_meta label_after(void (*b)(struct nft_ruleset *rs))
{
	static const struct ct_dump_fns fns = { each, done };
	struct ct_filter f = { .has_dport = true, .dport = 9 };
	struct seen s = { 0 };
	int e;

	plane_build = b;
	plane_apply(APPLY_COMMIT);
	ck_assert_msg(!plane_res.n_errors, "%s", plane_res.text);
	ck_assert(sh("bash -c 'echo x >/dev/udp/127.0.0.1/9'"));
	ck_assert(ct_dump_start(&f, &fns, &s, &e) != NULL);
	while (!s.done)
		event_base_loop(plane_base, EVLOOP_ONCE);
	ck_assert_uint_eq(s.n, 1);
	return s.meta;
}

static void is_first(const struct ct_meta *m)
{
	ck_assert_uint_eq(m->has, CT_META_ALL);
	ck_assert_uint_eq(m->rule, first.rule);
	ck_assert_uint_eq(m->zone, first.zone);
	ck_assert_uint_eq(m->gen, first.gen);
	ck_assert_uint_eq(m->flags, CT_LABEL_F_SET);
}

START_TEST(one_writer)
{
	struct ct_meta m = label_after(build_one);

	is_first(&m);
}
END_TEST

START_TEST(two_writers)
{
	struct ct_meta m = label_after(build_two);

	ck_assert_uint_eq(m.has, CT_META_ZONE | CT_META_GEN | CT_META_MIXED);
	ck_assert_uint_eq(m.zone, first.zone);
}
END_TEST

START_TEST(guarded_writers)
{
	struct ct_meta m = label_after(build_guarded);

	is_first(&m);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ct_nft");
	TCase *t = tcase_create("ct_nft");

	netns_or_skip();
	tcase_add_checked_fixture(t, setup, plane_teardown);
	tcase_add_test(t, one_writer);
	tcase_add_test(t, two_writers);
	tcase_add_test(t, guarded_writers);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
