/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our part of nftables on a real kernel, in a network namespace: what is built is what nft lists;
 * a restart finds it and writes nothing; what others did to it is mended; counters outlive
 * commits; errors name what is at fault; a batch is one write for RTR_FAULT.
 */
#include "nft/nft_expr.h"
#include "../lib/check_main.h"
#include "../lib/netns.h"
#include "../lib/nft_plane.h"

#include <linux/netfilter_ipv4.h>
#include <netinet/in.h>

static void setup(void)
{
	netns_enter();
	ck_assert(sh("ip link set lo up"));
	plane_setup();
}

static void good(void)
{
	plane_apply(APPLY_COMMIT);
	ck_assert_msg(!plane_res.n_errors, "%s", plane_res.text);
}

/* ---- rulesets ---- */

static void small(struct nft_ruleset *rs)
{
	struct nft_table *t = nft_ruleset_table(rs, NFPROTO_INET, nft_table_name());
	struct nft_chain *c = nft_chain_new(&(struct nft_chain_spec){
		.name = "transit", .type = "filter", .hook = NF_INET_FORWARD, .policy = NF_DROP });
	struct nft_rule *r = nft_rule_new(7, NULL, "first");

	nft_ct_state(r, NFT_CT_ESTABLISHED | NFT_CT_RELATED);
	nft_counter(r);
	nft_verdict(r, NF_ACCEPT);
	nft_chain_add(c, r);
	nft_table_add_chain(t, c);
}

static void restart(void)
{
	plane_stop();
	plane_start();
}

/* Once more, from what we remember and from what the kernel tells: nothing to write. */
static void settled(void)
{
	good();
	ck_assert_uint_eq(plane_res.n_writes, 0);
	restart();
	good();
	ck_assert_uint_eq(plane_res.n_writes, 0);
}

START_TEST(one_write)
{
	plane_build = small;
	good();
	ck_assert_uint_eq(plane_res.n_writes, 1);
	ck_assert(sh("nft list ruleset | grep -q 'hook forward priority filter; policy drop'"));
	ck_assert(sh("nft list chain inet rtr_main transit | grep -q 'ct state established,related "
		     "counter packets 0 bytes 0 accept comment \"first\"'"));
	settled();
	plane_build = NULL;
	good();
	ck_assert_uint_eq(plane_res.n_writes, 1);
	ck_assert(sh("[ -z \"$(nft list ruleset)\" ]"));
	settled();
}
END_TEST

/* What others do to our table, each alone; and what they do beside it. */
static const char *const drifts[] = {
	"flush ruleset",
	"delete table inet rtr_main",
	"flush chain inet rtr_main transit",
	"add rule inet rtr_main transit accept",
	"insert rule inet rtr_main transit accept",
	"add chain inet rtr_main transit { policy accept; }",
	"add chain inet rtr_main other",
	"add set inet rtr_main other { type ipv4_addr; }",
	"add counter inet rtr_main other",
	"add table inet rtr_main { flags dormant; }",
};

START_TEST(drift)
{
	uint64_t touched;

	plane_build = small;
	good();
	touched = nft_stats()->touched;
	ck_assert(sh("nft '%s'", drifts[_i]));
	while (nft_stats()->touched == touched)
		event_base_loop(plane_base, EVLOOP_ONCE);
	good();
	ck_assert_uint_eq(plane_res.n_writes, 1);
	ck_assert(sh("[ $(nft -a list ruleset | grep -c '# handle') = 3 ]"));
	ck_assert(sh("nft list ruleset | grep -q 'policy drop'"));
	ck_assert(sh("! nft list ruleset | grep -q dormant"));
	settled();
}
END_TEST

START_TEST(others_left_alone)
{
	plane_build = small;
	good();
	ck_assert(sh("nft 'add table inet x; add chain inet x y; add rule inet x y accept'"));
	good();
	ck_assert_uint_eq(plane_res.n_writes, 0);
	ck_assert_uint_eq(nft_stats()->touched, 0);
	plane_build = NULL;
	good();
	ck_assert(sh("nft list ruleset | grep -q 'chain y'"));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("nft_kernel");
	TCase *tc = tcase_create("nft_kernel");

	netns_or_skip();
	tcase_add_checked_fixture(tc, setup, plane_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, one_write);
	tcase_add_loop_test(tc, drift, 0, ARRAY_LEN(drifts));
	tcase_add_test(tc, others_left_alone);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
