/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our part of nftables on a real kernel, in a network namespace: what is built is what nft lists;
 * a restart finds it and writes nothing; what others did to it is mended; counters outlive
 * commits; errors name what is at fault; a batch is one write for RTR_FAULT.
 */
#include "kernel/nlq_nft.h"
#include "nft/nft_count.h"
#include "nft/nft_expr.h"
#include "../lib/nft_random.h"
#include "../lib/nft_steps.h"

#include <linux/netfilter_ipv4.h>
#include <netinet/in.h>

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

/* More rules than a batch has that is told of by events. */
#define MANY 300

static void large(struct nft_ruleset *rs)
{
	struct nft_table *t = nft_ruleset_table(rs, NFPROTO_INET, nft_table_name());
	struct nft_chain *c = nft_chain_new(&(struct nft_chain_spec){ .name = "many" });

	for (unsigned i = 0; i < MANY; i++) {
		struct nft_rule *r = nft_rule_new(i, NULL, NULL);

		nft_verdict(r, NF_DROP);
		nft_chain_add(c, r);
	}
	nft_table_add_chain(t, c);
}

/* The sender is met at work within a few tries, and its chain is there within a few looks of some
 * milliseconds each. */
#define TRIES 50
#define LOOKS 1000

static struct event *meddler;
static bool meddled;

/* Holds the loop while the sender is at work: what it did is then known to the kernel alone. */
static void meddle(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval now = { 0, 0 };

	if (!nft_sender_busy()) {
		evtimer_add(meddler, &now);
		return;
	}
	for (unsigned i = 0; !sh("nft list chain inet rtr_main many >/dev/null 2>&1"); i++) {
		if (i == LOOKS)
			ck_abort_msg("the sender is at work, but its chain does not come");
	}
	meddled = sh("nft flush chain inet rtr_main many");
}

/* While a large batch is on its way others may change the ruleset unheard: the generation tells,
 * and what they did to ours is mended. */
START_TEST(unheard)
{
	meddler = evtimer_new(plane_base, meddle, NULL);
	meddled = false;
	for (unsigned i = 0; !meddled; i++) {
		if (i == TRIES)
			ck_abort_msg("the sender was never met at work in %d tries", TRIES);
		plane_build = NULL;
		good();
		plane_build = large;
		event_active(meddler, EV_TIMEOUT, 0);
		good();
		evtimer_del(meddler);
	}
	ck_assert_uint_ge(nft_stats()->touched, 1);
	good();
	ck_assert(sh("[ $(nft -a list chain inet rtr_main many | grep -c drop) = 300 ]"));
	settled();
	event_free(meddler);
}
END_TEST

START_TEST(large_batch)
{
	uint64_t reads = nft_stats()->reads;

	plane_build = large;
	good();
	ck_assert_uint_eq(plane_res.n_writes, 1);
	ck_assert_uint_eq(nft_stats()->touched, 0);
	/* Known without a look: the generation is the one that was expected. */
	good();
	ck_assert_uint_eq(plane_res.n_writes, 0);
	ck_assert_uint_eq(nft_stats()->reads, reads + 1);
	/* Events come again. */
	ck_assert(sh("nft flush chain inet rtr_main many"));
	while (!nft_stats()->touched)
		event_base_loop(plane_base, EVLOOP_ONCE);
	good();
	ck_assert_uint_eq(plane_res.n_writes, 1);
	ck_assert(sh("[ $(nft -a list chain inet rtr_main many | grep -c drop) = 300 ]"));
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

/* ---- every expression, set and object ---- */

/* ---- failures ---- */

static bool broken;

static void maybe_broken(struct nft_ruleset *rs)
{
	struct nft_table *t = nft_ruleset_table(rs, NFPROTO_INET, nft_table_name());
	struct nft_chain *c = base_chain("transit", "filter", NF_INET_FORWARD, 0);

	for (unsigned i = 0; i < 10; i++) {
		struct nft_rule *r = nft_rule_new(i, NULL, i == 7 ? "the seventh" : "another");

		if (i == 7 && broken)
			nft_jump(r, "nowhere");
		nft_counter(r);
		nft_chain_add(c, r);
	}
	nft_table_add_chain(t, c);
}

/* An error names the rule; nothing of the batch stays; the next plan is as good as ever. */
START_TEST(refused)
{
	broken = true;
	plane_build = maybe_broken;
	plane_apply(APPLY_COMMIT);
	ck_assert_uint_eq(plane_res.n_errors, 1);
	ck_assert_msg(
		strstr(plane_res.text, "rule 8 (the seventh) of chain transit in table rtr_main"),
		"%s", plane_res.text);
	ck_assert(strstr(plane_res.text, "No such file or directory"));
	ck_assert(sh("[ -z \"$(nft list ruleset)\" ]"));
	broken = false;
	good();
	settled();
	broken = true;
	plane_apply(APPLY_COMMIT);
	ck_assert_uint_eq(plane_res.n_errors, 1);
	broken = false;
	settled();
}
END_TEST

/* Somebody changes nftables between our look and our batch: it is planned again. */
START_TEST(raced)
{
	plane_build = small;
	plane_res.done = false;
	ck_assert_int_eq(apply_start(plane_model, APPLY_COMMIT, plane_applied, NULL), 0);
	while (nlq_idle())
		event_base_loop(plane_base, EVLOOP_ONCE);
	ck_assert(sh("nft add table ip foreign"));
	while (!plane_res.done)
		event_base_loop(plane_base, EVLOOP_ONCE);
	ck_assert_msg(!plane_res.n_errors, "%s", plane_res.text);
	ck_assert_uint_eq(plane_res.n_writes, 2);
	ck_assert(sh("nft list ruleset | grep -q 'table ip foreign'"));
	settled();
}
END_TEST

static unsigned n_big;

static void big(struct nft_ruleset *rs)
{
	struct nft_table *t = nft_ruleset_table(rs, NFPROTO_INET, nft_table_name());
	struct nft_chain *c = base_chain("transit", "filter", NF_INET_FORWARD, 0);
	struct nft_set *s = nft_set_new(
		&(struct nft_set_spec){ .name = "many", .key_type = NFT_T_IPADDR, .key_size = 4 });

	for (uint32_t i = 0; i < n_big; i++) {
		struct nft_rule *r = nft_rule_new(i, NULL, "one of many");
		uint32_t key = htonl(0x0a000000u + i);

		load_saddr(r, NFT_REG_1);
		nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, &key, 4);
		nft_counter(r);
		nft_chain_add(c, r);
		nft_set_add(s, &key, NULL);
	}
	nft_table_add_chain(t, c);
	nft_table_add_set(t, s);
}

/* Megabytes in one batch, elements in many messages, thousands of echoes; the loop goes on. */
START_TEST(many)
{
	n_big = 10000;
	plane_build = big;
	good();
	ck_assert_uint_eq(plane_res.n_writes, 1);
	ck_assert(sh("[ $(nft list ruleset | grep -c 'one of many') = 10000 ]"));
	ck_assert_uint_eq(nft_stats()->reads, 1);
	good();
	ck_assert_uint_eq(plane_res.n_writes, 0);
	n_big--;
	good();
	ck_assert_uint_eq(plane_res.n_writes, 1);
	ck_assert(sh("[ $(nft list ruleset | grep -c 'one of many') = 9999 ]"));
	settled();
}
END_TEST

/* ---- random changes ---- */

static struct nft_ruleset *random_now;

/* The ruleset itself is the plane's: its nodes are added once more. */
static void random_build(struct nft_ruleset *rs)
{
	for (size_t i = 0; i < random_now->n; i++) {
		const struct nft_table *f = random_now->tables[i];
		struct nft_table *t = nft_ruleset_table(rs, f->family, f->name);

		for (int k = 0; k < NFT_KINDS; k++) {
			for (size_t m = 0; m < f->nodes[k].n; m++)
				ck_assert(nft_nodes_add(&t->nodes[k],
							nft_node_ref(f->nodes[k].v[m])));
		}
	}
}

/* Each change is one write, after which the kernel read afresh is what was wanted. */
START_TEST(random_changes)
{
	struct nft_ruleset *old = NULL;

	nft_random_seed = test_seed;
	plane_build = random_build;
	for (int i = 0; i < 60; i++) {
		random_now = nft_random_ruleset(old);
		good();
		ck_assert_uint_le(plane_res.n_writes, 1);
		nft_forget();
		good();
		ck_assert_uint_eq(plane_res.n_writes, 0);
		nft_ruleset_unref(old);
		old = random_now;
	}
	plane_build = NULL;
	good();
	nft_ruleset_unref(old);
}
END_TEST

/* ---- counters ---- */

static unsigned n_before;

/* Rule 500 counts what arrives at lo; rules before it come and go. */
static void counting(struct nft_ruleset *rs)
{
	struct nft_table *t = nft_ruleset_table(rs, NFPROTO_INET, nft_table_name());
	struct nft_chain *c = base_chain("arriving", "filter", NF_INET_LOCAL_IN, 0);
	struct nft_rule *r;

	for (unsigned i = 0; i < n_before; i++) {
		r = nft_rule_new(1 + i, NULL, NULL);
		nft_iif_is(r, "none");
		nft_counter(r);
		nft_chain_add(c, r);
	}
	r = nft_rule_new(500, NULL, NULL);
	nft_counter(r);
	nft_chain_add(c, r);
	/* This one is made anew each time; its named counter is not. */
	r = nft_rule_new(600 + n_before, NULL, NULL);
	nft_obj_use(r, NFT_OBJECT_COUNTER, "named");
	nft_chain_add(c, r);
	nft_table_add_obj(t, nft_obj_counter("named", 501));
	nft_table_add_chain(t, c);
}

static void counted(void *arg, int error)
{
	ck_assert_int_eq(error, 0);
	*(bool *)arg = true;
}

static void read_counts(void)
{
	bool is = false;

	usleep(NFT_COUNT_FRESH_MS * 1000 + 10000);
	nft_count_read(counted, &is);
	while (!is)
		event_base_loop(plane_base, EVLOOP_ONCE);
}

static void ping(unsigned n)
{
	ck_assert(sh("ping -q -i 0.01 -c %u 127.0.0.1 >/dev/null", n));
}

START_TEST(counters)
{
	uint64_t hit;

	plane_build = counting;
	n_before = 3;
	good();
	read_counts();
	ck_assert_uint_eq(nft_count_get(500).packets, 0);
	ck_assert_uint_eq(nft_count_get(500).last_hit_ns, 0);
	ping(5); /* request and reply */
	read_counts();
	ck_assert_uint_eq(nft_count_get(500).packets, 10);
	ck_assert_uint_eq(nft_count_get(500).bytes, 10 * 84);
	ck_assert_uint_eq(nft_count_get(501).packets, 10);
	ck_assert_uint_eq(nft_count_get(2).packets, 0);
	ck_assert_uint_eq(nft_count_get(77).packets, 0);
	hit = nft_count_get(500).last_hit_ns;
	ck_assert_uint_ne(hit, 0);
	/* A commit that changes its neighbours. */
	n_before = 7;
	good();
	ck_assert_uint_eq(plane_res.n_writes, 1);
	read_counts();
	ck_assert_uint_eq(nft_count_get(500).packets, 10);
	ck_assert_uint_eq(nft_count_get(501).packets, 10);
	ck_assert_uint_eq(nft_count_get(500).last_hit_ns, hit);
	nft_count_clear(500);
	ck_assert_uint_eq(nft_count_get(500).packets, 0);
	ck_assert_uint_eq(nft_count_get(501).packets, 10);
	ping(1);
	read_counts();
	ck_assert_uint_eq(nft_count_get(500).packets, 2);
	ck_assert_uint_eq(nft_count_get(501).packets, 12);
	ck_assert_uint_gt(nft_count_get(500).last_hit_ns, hit);
	/* And a restart. */
	restart();
	good();
	read_counts();
	ck_assert_uint_eq(nft_count_get(500).packets, 12);
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
	tcase_add_test(tc, large_batch);
	tcase_add_test(tc, unheard);
	tcase_add_test(tc, others_left_alone);
	tcase_add_test(tc, refused);
	tcase_add_test(tc, raced);
	tcase_add_test(tc, many);
	tcase_add_test(tc, random_changes);
	tcase_add_test(tc, counters);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
