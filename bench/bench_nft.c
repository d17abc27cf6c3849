/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel side of a commit: 10,000 rules built as data, compared, sent as one batch, beside
 * `nft -f` of the same ruleset as text (`nft list ruleset`, so that the peer is given exactly what
 * we made), and a change of one rule and of one element of a set of 10,000.
 */
#include "bench.h"

#include "nft/nft_expr.h"
#include "../tests/lib/netns.h"
#include "../tests/lib/nft_plane.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <netinet/in.h>

#define N 10000

static struct nft_rule *rules[N]; /* kept from commit to commit, as a source does */
static unsigned ttl_of, end_of;   /* what differs from commit to commit in a rule, in a range */
static struct nft_set *group;     /* kept likewise; NULL: built anew */
static bool with_set;

static struct nft_rule *make_rule(unsigned i, uint8_t ttl)
{
	struct nft_rule *r = nft_rule_new(i + 1, NULL, NULL);
	uint32_t src = htonl(0x0a000000u + i * 256), mask = htonl(0xffffff00), none = 0;
	uint16_t port = htons((uint16_t)(1024 + i));

	nft_family_is(r, NFPROTO_IPV4);
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, 12, 4, NFT_REG_1);
	nft_bitwise(r, NFT_REG_1, NFT_REG_1, 4, &mask, &none);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, &src, 4);
	nft_l4proto_is(r, IPPROTO_TCP);
	nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, NFT_REG_1);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, &port, 2);
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, 8, 1, NFT_REG_1);
	nft_cmp(r, NFT_REG_1, NFT_CMP_NEQ, &ttl, 1);
	nft_counter(r);
	nft_verdict(r, i % 3 ? NF_ACCEPT : NF_DROP);
	return r;
}

static struct nft_set *make_group(void)
{
	struct nft_set *s = nft_set_new(&(struct nft_set_spec){ .name = "group",
								.key_type = NFT_T_IPADDR,
								.key_size = 4,
								.flags = NFT_SET_INTERVAL });

	for (unsigned i = 0; i < N; i++) {
		uint32_t lo = htonl(0x0a000000u + i * 256);
		uint32_t hi = htonl(0x0a000000u + i * 256 + (i == N / 2 ? end_of % 200 : 200));

		nft_set_add_range(s, &lo, &hi, NULL);
	}
	return s;
}

static void build(struct nft_ruleset *rs)
{
	struct nft_table *t = nft_ruleset_table(rs, NFPROTO_INET, nft_table_name());
	struct nft_chain *c = nft_chain_new(&(struct nft_chain_spec){ .name = "transit",
								      .type = "filter",
								      .hook = NF_INET_FORWARD,
								      .policy = NF_ACCEPT });

	for (unsigned i = 0; i < N; i++) {
		if (!rules[i])
			rules[i] = make_rule(i, (uint8_t)ttl_of);
		nft_chain_add(c, nft_rule_ref(rules[i]));
	}
	nft_table_add_chain(t, c);
	if (!with_set)
		return;
	if (!group)
		group = make_group();
	nft_table_add_set(t, nft_set_ref(group));
}

static double ms(uint64_t since)
{
	return (double)(rtr_now_ns() - since) / 1e6;
}

static double commit(void)
{
	uint64_t t = rtr_now_ns();

	plane_apply(APPLY_COMMIT);
	if (plane_res.n_errors)
		printf("%s\n", plane_res.text);
	return ms(t);
}

static void forget_rules(void)
{
	for (unsigned i = 0; i < N; i++)
		rules[i] = nft_rule_unref(rules[i]);
	group = nft_set_unref(group);
}

static void clean(void)
{
	plane_build = NULL;
	commit();
	forget_rules();
	plane_build = build;
}

/* In a namespace where nobody listens to its events; that costs 1-2 ms of its own. */
static double peer(const char *file)
{
	uint64_t t = rtr_now_ns();

	if (!sh("exec unshare -n nft -f %s", file))
		abort();
	return ms(t);
}

int main(int argc, char **argv)
{
	struct bench_opts opt;
	struct bench_case load = { .bench = "nft",
				   .name = "10,000 rules",
				   .unit = "ms",
				   .peer = "nft -f",
				   .limit = 1.0,
				   .required = true };
	struct bench_case one = { .bench = "nft",
				  .name = "one rule of 10,000",
				  .unit = "ms",
				  .limit = 20,
				  .limit_is_value = true,
				  .required = true };
	struct bench_case elem = { .bench = "nft",
				   .name = "one range of 10,000",
				   .unit = "ms",
				   .limit = 20,
				   .limit_is_value = true,
				   .required = true };
	struct bench_case none = { .bench = "nft", .name = "nothing to change", .unit = "ms" };
	struct bench_case adopt = { .bench = "nft",
				    .name = "read back 10,000 rules, 10,000 ranges",
				    .unit = "ms" };
	char file[] = "/tmp/rtr-bench-nft-XXXXXX";
	int fd;

	if (bench_parse(&opt, argc, argv))
		return 2;
	netns_enter();
	plane_setup();
	fd = mkstemp(file);
	if (fd < 0)
		return 1;
	close(fd);
	for (int r = 0; r < opt.rounds; r++) {
		with_set = false;
		clean();
		bench_add_ours(&load, commit());
		if (!r && !sh("nft list ruleset >%s", file))
			return 1;
		bench_add_peer(&load, peer(file));
		with_set = true;
		clean();
		commit();
		ttl_of++;
		rules[N / 2] = nft_rule_unref(rules[N / 2]);
		bench_add_ours(&one, commit());
		end_of++;
		group = nft_set_unref(group);
		bench_add_ours(&elem, commit());
		bench_add_ours(&none, commit());
		nft_forget();
		bench_add_ours(&adopt, commit());
	}
	unlink(file);
	bench_print(&load);
	bench_print(&one);
	bench_print(&elem);
	bench_print(&none);
	bench_print(&adopt);
	plane_build = NULL;
	commit();
	forget_rules();
	plane_teardown();
	return 0;
}
