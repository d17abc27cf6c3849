/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All that we can say to nftables, on a real kernel: what is built is what nft lists, a restart
 * finds it and writes nothing, a batch of all of it is one write for RTR_FAULT; in a table shared
 * with others ours alone is touched; capabilities are what nft finds.
 */
#include "kernel/nlq_nft.h"
#include "nft/nft_expr.h"
#include "../lib/nft_steps.h"

#include <linux/netfilter_ipv4.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_synproxy.h>
#include <netinet/in.h>
#include <signal.h>

#define KEY4(a, b, c, d) ((const uint8_t[4]){ a, b, c, d })

static void sets(struct nft_table *t)
{
	static const struct nft_stateful counter = { .kind = NFT_S_COUNTER };
	struct nft_set *s;

	s = nft_set_new(
		&(struct nft_set_spec){ .name = "plain", .key_type = NFT_T_IPADDR, .key_size = 4 });
	nft_set_add(s, KEY4(10, 0, 0, 1), NULL);
	nft_set_add(s, KEY4(10, 0, 0, 2), NULL);
	nft_table_add_set(t, s);
	s = nft_set_new(&(struct nft_set_spec){ .name = "ranges",
						.key_type = NFT_T_IPADDR,
						.key_size = 4,
						.flags = NFT_SET_INTERVAL });
	nft_set_add_range(s, KEY4(10, 0, 0, 0), KEY4(10, 255, 255, 255), NULL);
	nft_set_add_range(s, KEY4(11, 0, 0, 0), KEY4(11, 0, 0, 9), NULL);
	nft_set_add_range(s, KEY4(240, 0, 0, 0), KEY4(255, 255, 255, 255), NULL);
	nft_table_add_set(t, s);
	s = nft_set_new(&(struct nft_set_spec){ .name = "verdicts",
						.key_type = NFT_T_INET_SERVICE,
						.key_size = 2,
						.flags = NFT_SET_INTERVAL,
						.data_type = NFT_T_VERDICT });
	nft_set_add_range(s, (const uint8_t[2]){ 0, 22 }, (const uint8_t[2]){ 0, 23 },
			  &(struct nft_data){ .verdict = NFT_JUMP, .chain = "sub" });
	nft_set_add_range(s, (const uint8_t[2]){ 0, 24 }, (const uint8_t[2]){ 0, 30 },
			  &(struct nft_data){ .verdict = NF_DROP });
	nft_set_add_catchall(s, &(struct nft_data){ .verdict = NFT_RETURN });
	nft_table_add_set(t, s);
	s = nft_set_new(
		&(struct nft_set_spec){ .name = "concat",
					.key_type = NFT_T2(NFT_T_IPADDR, NFT_T_INET_SERVICE),
					.key_size = 8,
					.n_fields = 2,
					.field_size = { 4, 2 },
					.flags = NFT_SET_INTERVAL });
	nft_set_add_range(s, (const uint8_t[8]){ 10, 0, 0, 0, 0, 80 },
			  (const uint8_t[8]){ 10, 0, 0, 255, 0, 90 }, NULL);
	nft_set_add(s, (const uint8_t[8]){ 192, 0, 2, 1, 1, 187 }, NULL);
	nft_table_add_set(t, s);
	s = nft_set_new(&(struct nft_set_spec){ .name = "marks",
						.key_type = NFT_T_IPADDR,
						.key_size = 4,
						.data_type = NFT_T_MARK,
						.data_size = 4 });
	nft_set_add(s, KEY4(10, 0, 0, 1), &(struct nft_data){ .bytes = &(uint32_t){ 5 } });
	nft_table_add_set(t, s);
	s = nft_set_new(&(struct nft_set_spec){ .name = "counted",
						.key_type = NFT_T_IPADDR,
						.key_size = 4,
						.exprs = &counter,
						.n_exprs = 1 });
	nft_set_add(s, KEY4(10, 0, 0, 1), NULL);
	nft_table_add_set(t, s);
	s = nft_set_new(&(struct nft_set_spec){ .name = "objects",
						.key_type = NFT_T_IPADDR,
						.key_size = 4,
						.obj_type = NFT_OBJECT_COUNTER });
	nft_set_add(s, KEY4(10, 0, 0, 1), &(struct nft_data){ .obj = "hits" });
	nft_table_add_set(t, s);
	s = nft_set_new(&(struct nft_set_spec){
		.name = "names", .key_type = NFT_T_IFNAME, .key_size = 16 });
	nft_set_add(s, "eth0\0\0\0\0\0\0\0\0\0\0\0", NULL);
	nft_table_add_set(t, s);
	s = nft_set_new(&(struct nft_set_spec){ .name = "meter",
						.key_type = NFT_T_IPADDR,
						.key_size = 4,
						.flags = NFT_SET_EVAL,
						.timeout_ms = 60000,
						.size = 65535 });
	nft_table_add_set(t, s);
	s = nft_set_new(&(struct nft_set_spec){ .name = "connections",
						.key_type = NFT_T_IPADDR,
						.key_size = 4,
						.flags = NFT_SET_EVAL,
						.size = 65535 });
	nft_table_add_set(t, s);
	s = nft_set_new(&(struct nft_set_spec){ .name = "six",
						.key_type = NFT_T_IP6ADDR,
						.key_size = 16,
						.flags = NFT_SET_INTERVAL });
	nft_set_add_range(s, (const uint8_t[16]){ 0xfd }, (const uint8_t[16]){ 0xfd, 1 }, NULL);
	nft_table_add_set(t, s);
}

static void objects(struct nft_table *t)
{
	static const uint32_t tcp[] = { 0, 0, 3600 };

	nft_table_add_obj(t, nft_obj_counter("hits", 99));
	nft_table_add_obj(t, nft_obj_quota("monthly", 98, 1000000, true));
	nft_table_add_obj(t, nft_obj_limit("slow", 10, 60, 5, NFT_LIMIT_PKTS, true));
	nft_table_add_obj(t, nft_obj_helper("ftp21", "ftp", NFPROTO_IPV4, IPPROTO_TCP));
	nft_table_add_obj(t, nft_obj_timeout("hour", NFPROTO_IPV4, IPPROTO_TCP, tcp, 3));
	nft_table_add_obj(t, nft_obj_expect("rtp", NFPROTO_IPV4, IPPROTO_UDP, 5000, 60000, 4));
	nft_table_add_obj(t, nft_obj_synproxy("syn", 1460, 7, NF_SYNPROXY_OPT_MSS));
}

static void filter_rules(struct nft_chain *c)
{
	struct nft_stateful limit = { .kind = NFT_S_LIMIT, .value = 5, .burst = 5, .over = true };
	struct nft_stateful conns = { .kind = NFT_S_CONNLIMIT, .value = 20, .over = true };
	struct nft_log log = { .prefix = "deny ", .group = 3, .snaplen = 128 };
	struct nft_rule *r = nft_rule_new(1, NULL, "lookup");
	uint16_t port = htons(80), port2 = htons(90);
	uint8_t ttl = 5;

	load_saddr(r, NFT_REG_1);
	nft_lookup(r, "ranges", NFT_REG_1, false);
	nft_counter(r);
	nft_jump(r, "sub");
	nft_chain_add(c, r);
	r = nft_rule_new(2, NULL, "inverted");
	load_saddr(r, NFT_REG_1);
	nft_lookup(r, "plain", NFT_REG_1, true);
	nft_obj_use(r, NFT_OBJECT_COUNTER, "hits");
	nft_log(r, &log);
	nft_chain_add(c, r);
	r = nft_rule_new(3, NULL, "vmap");
	nft_l4proto_is(r, IPPROTO_TCP);
	nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, NFT_REG_1);
	nft_vmap(r, "verdicts", NFT_REG_1);
	nft_chain_add(c, r);
	r = nft_rule_new(4, NULL, "two fields");
	nft_family_is(r, NFPROTO_IPV4);
	nft_l4proto_is(r, IPPROTO_TCP);
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, 12, 4, NFT_REG32_00);
	nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, NFT_REG32_01);
	nft_lookup(r, "concat", NFT_REG32_00, false);
	nft_verdict(r, NF_ACCEPT);
	nft_chain_add(c, r);
	r = nft_rule_new(5, NULL, "range and bits");
	nft_l4proto_is(r, IPPROTO_UDP);
	nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2, NFT_REG_1);
	nft_range(r, NFT_REG_1, NFT_RANGE_EQ, &port, &port2, 2);
	nft_family_is(r, NFPROTO_IPV4);
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, 8, 1, NFT_REG_1);
	nft_cmp(r, NFT_REG_1, NFT_CMP_LT, &ttl, 1);
	nft_stateful(r, &limit);
	nft_reject(r, NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
	nft_chain_add(c, r);
	r = nft_rule_new(6, NULL, "reset");
	nft_iif_is(r, "eth*");
	nft_oif_is(r, "eth1");
	nft_l4proto_is(r, IPPROTO_TCP);
	nft_reject(r, NFT_REJECT_TCP_RST, 0);
	nft_chain_add(c, r);
	r = nft_rule_new(7, NULL, "for each source");
	load_saddr(r, NFT_REG_1);
	nft_dynset(r, "meter", NFT_DYNSET_OP_UPDATE, NFT_REG_1, 0, 0, &limit, 1);
	nft_verdict(r, NF_DROP);
	nft_chain_add(c, r);
	r = nft_rule_new(8, NULL, "connections");
	nft_ct_state(r, NFT_CT_NEW);
	load_saddr(r, NFT_REG_1);
	nft_dynset(r, "connections", NFT_DYNSET_OP_ADD, NFT_REG_1, 0, 0, &conns, 1);
	nft_verdict(r, NF_DROP);
	nft_chain_add(c, r);
	r = nft_rule_new(9, NULL, "marks");
	load_saddr(r, NFT_REG_1);
	nft_map(r, "marks", NFT_REG_1, NFT_REG_1);
	nft_meta_set(r, NFT_META_MARK, NFT_REG_1);
	nft_ct_set(r, NFT_CT_MARK, NFT_REG_1);
	nft_chain_add(c, r);
	r = nft_rule_new(10, NULL, "object map");
	load_saddr(r, NFT_REG_1);
	nft_obj_map(r, "objects", NFT_REG_1);
	nft_chain_add(c, r);
	r = nft_rule_new(11, NULL, "MSS");
	nft_mss_clamp(r, 0);
	nft_chain_add(c, r);
	r = nft_rule_new(12, NULL, "MSS 1400");
	nft_mss_clamp(r, 1400);
	nft_chain_add(c, r);
	r = nft_rule_new(13, NULL, "helper");
	nft_ct_state(r, NFT_CT_NEW);
	nft_l4proto_is(r, IPPROTO_TCP);
	nft_obj_use(r, NFT_OBJECT_CT_HELPER, "ftp21");
	nft_obj_use(r, NFT_OBJECT_CT_TIMEOUT, "hour");
	nft_chain_add(c, r);
	r = nft_rule_new(14, NULL, "expectation");
	nft_l4proto_is(r, IPPROTO_UDP);
	nft_obj_use(r, NFT_OBJECT_CT_EXPECT, "rtp");
	nft_chain_add(c, r);
	r = nft_rule_new(15, NULL, "objects");
	nft_obj_use(r, NFT_OBJECT_QUOTA, "monthly");
	nft_obj_use(r, NFT_OBJECT_LIMIT, "slow");
	nft_verdict(r, NF_DROP);
	nft_chain_add(c, r);
	r = nft_rule_new(16, NULL, "synproxy");
	nft_l4proto_is(r, IPPROTO_TCP);
	nft_ct_state(r, NFT_CT_INVALID | NFT_CT_UNTRACKED);
	nft_synproxy(r, 1460, 7, NF_SYNPROXY_OPT_MSS | NF_SYNPROXY_OPT_WSCALE);
	nft_chain_add(c, r);
	r = nft_rule_new(17, NULL, "to user space");
	nft_xt_nfqueue(r, 7, 2, true);
	nft_chain_add(c, r);
	r = nft_rule_new(18, NULL, "direction");
	nft_ct_dir(r, NFT_CT_SRC_IP, 0, NFT_REG_1);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, KEY4(10, 0, 0, 1), 4);
	nft_goto(r, "sub");
	nft_chain_add(c, r);
	r = nft_rule_new(19, NULL, "IPv6 header");
	nft_family_is(r, NFPROTO_IPV6);
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, 8, 16, NFT_REG_1);
	nft_lookup(r, "six", NFT_REG_1, false);
	nft_exthdr(r, NFT_EXTHDR_OP_IPV6, IPPROTO_FRAGMENT, 0, 1, NFT_EXTHDR_F_PRESENT, NFT_REG_1);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, &(uint8_t){ 1 }, 1);
	nft_chain_add(c, r);
}

static void pre_rules(struct nft_chain *c)
{
	struct nft_rule *r = nft_rule_new(20, NULL, "reverse path");

	nft_fib(r, NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF, NFT_FIB_RESULT_OIF, NFT_REG_1);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, &(uint32_t){ 0 }, 4);
	nft_verdict(r, NF_DROP);
	nft_chain_add(c, r);
	r = nft_rule_new(21, NULL, "untracked");
	nft_l4proto_is(r, IPPROTO_UDP);
	nft_notrack(r);
	nft_chain_add(c, r);
	r = nft_rule_new(22, NULL, "quota, last, hash, copy");
	nft_stateful(r, &(struct nft_stateful){ .kind = NFT_S_QUOTA, .value = 5000 });
	nft_stateful(r, &(struct nft_stateful){ .kind = NFT_S_LAST });
	load_saddr(r, NFT_REG_1);
	nft_jhash(r, NFT_REG_1, 4, 2, 1, 0, NFT_REG_2);
	nft_numgen(r, NFT_NG_RANDOM, 4, 0, NFT_REG_2);
	nft_shift(r, NFT_REG_2, NFT_REG_2, 4, true, 2);
	nft_byteorder(r, NFT_REG_2, NFT_REG_2, NFT_BYTEORDER_HTON, 4, 4);
	nft_imm(r, NFT_REG_1, KEY4(10, 0, 0, 9), 4);
	nft_chain_add(c, r);
	r = nft_rule_new(23, NULL, "DSCP");
	nft_family_is(r, NFPROTO_IPV4);
	nft_imm(r, NFT_REG_1, (const uint8_t[2]){ 0x45, 0xb8 }, 2);
	nft_payload_set(r, NFT_PAYLOAD_NETWORK_HEADER, 0, 2, NFT_REG_1, NFT_PAYLOAD_CSUM_INET, 10,
			0);
	nft_chain_add(c, r);
	r = nft_rule_new(24, NULL, "socket and tproxy");
	nft_l4proto_is(r, IPPROTO_TCP);
	nft_socket(r, NFT_SOCKET_TRANSPARENT, NFT_REG_1);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, &(uint8_t){ 1 }, 1);
	nft_imm(r, NFT_REG_1, (const uint8_t[2]){ 0x1f, 0x90 }, 2);
	nft_tproxy(r, NFPROTO_UNSPEC, 0, NFT_REG_1);
	nft_chain_add(c, r);
}

static void nat_rules(struct nft_chain *post, struct nft_chain *pre)
{
	struct nft_nat nat = { .type = NFT_NAT_SNAT,
			       .family = NFPROTO_IPV4,
			       .addr_lo = NFT_REG32_00,
			       .addr_hi = NFT_REG32_01,
			       .proto_lo = NFT_REG32_02,
			       .proto_hi = NFT_REG32_03,
			       .flags = NF_NAT_RANGE_PERSISTENT };
	struct nft_rule *r = nft_rule_new(30, NULL, "pool");

	nft_family_is(r, NFPROTO_IPV4);
	nft_l4proto_is(r, IPPROTO_TCP);
	nft_imm(r, NFT_REG32_00, KEY4(192, 0, 2, 1), 4);
	nft_imm(r, NFT_REG32_01, KEY4(192, 0, 2, 9), 4);
	nft_imm(r, NFT_REG32_02, (const uint8_t[2]){ 0x80, 0 }, 2);
	nft_imm(r, NFT_REG32_03, (const uint8_t[2]){ 0xff, 0xff }, 2);
	nft_nat(r, &nat);
	nft_chain_add(post, r);
	r = nft_rule_new(31, NULL, "overload");
	nft_oif_is(r, "eth0");
	nft_l4proto_is(r, IPPROTO_UDP);
	nft_imm(r, NFT_REG32_02, (const uint8_t[2]){ 0x80, 0 }, 2);
	nft_imm(r, NFT_REG32_03, (const uint8_t[2]){ 0xff, 0xff }, 2);
	nft_masq(r, NFT_REG32_02, NFT_REG32_03, NF_NAT_RANGE_PROTO_RANDOM_FULLY);
	nft_chain_add(post, r);
	r = nft_rule_new(32, NULL, "forwarded port");
	nft_family_is(r, NFPROTO_IPV4);
	nft_l4proto_is(r, IPPROTO_TCP);
	nft_imm(r, NFT_REG32_00, KEY4(10, 0, 0, 1), 4);
	nft_imm(r, NFT_REG32_02, (const uint8_t[2]){ 0, 80 }, 2);
	nft_nat(r, &(struct nft_nat){ .type = NFT_NAT_DNAT,
				      .family = NFPROTO_IPV4,
				      .addr_lo = NFT_REG32_00,
				      .proto_lo = NFT_REG32_02 });
	nft_chain_add(pre, r);
	r = nft_rule_new(33, NULL, "to the box");
	nft_l4proto_is(r, IPPROTO_TCP);
	nft_imm(r, NFT_REG_1, (const uint8_t[2]){ 0, 80 }, 2);
	nft_redir(r, NFT_REG_1, 0, 0);
	nft_chain_add(pre, r);
}

static void npt(struct nft_ruleset *rs)
{
	static const uint8_t in[16] = { 0xfd, 1 }, out[16] = { 0x20, 1, 0xd, 0xb8 };
	struct nft_table *t = nft_ruleset_table(rs, NFPROTO_IPV6, "mangle");
	char *post = xasprintf("%s/post", nft_table_name());
	char *pre = xasprintf("%s/pre", nft_table_name());
	struct nft_chain *c = base_chain(post, "filter", NF_INET_POST_ROUTING, NF_IP_PRI_MANGLE);
	struct nft_rule *r = nft_rule_new(40, NULL, "NPTv6 out");

	nft_xt_npt(r, true, in, out, 48);
	nft_chain_add(c, r);
	nft_table_add_chain(t, c);
	c = base_chain(pre, "filter", NF_INET_PRE_ROUTING, NF_IP_PRI_MANGLE);
	r = nft_rule_new(41, NULL, "NPTv6 in");
	nft_xt_npt(r, false, out, in, 48);
	nft_chain_add(c, r);
	nft_table_add_chain(t, c);
	free(post);
	free(pre);
}

static void netdev(struct nft_ruleset *rs)
{
	static const char *const devs[] = { "lo" };
	struct nft_table *t = nft_ruleset_table(rs, NFPROTO_NETDEV, nft_table_name());
	struct nft_chain *c = nft_chain_new(&(struct nft_chain_spec){ .name = "in",
								      .type = "filter",
								      .hook = NF_NETDEV_INGRESS,
								      .policy = NF_ACCEPT,
								      .devs = devs,
								      .n_devs = 1 });
	struct nft_rule *r = nft_rule_new(50, NULL, "copy and forward");

	nft_imm(r, NFT_REG_1, &(uint32_t){ 1 }, 4);
	nft_dup(r, 0, NFT_REG_1);
	nft_fwd(r, NFT_REG_1);
	nft_chain_add(c, r);
	nft_table_add_chain(t, c);
}

static void everything(struct nft_ruleset *rs)
{
	struct nft_table *t = nft_ruleset_table(rs, NFPROTO_INET, nft_table_name());
	struct nft_chain *sub = nft_chain_new(&(struct nft_chain_spec){ .name = "sub" });
	struct nft_chain *flt = base_chain("transit", "filter", NF_INET_FORWARD, 0);
	struct nft_chain *pre = base_chain("before", "filter", NF_INET_PRE_ROUTING, -310);
	struct nft_chain *snat = base_chain("source", "nat", NF_INET_POST_ROUTING, 100);
	struct nft_chain *dnat = base_chain("destination", "nat", NF_INET_PRE_ROUTING, -100);
	struct nft_rule *r = nft_rule_new(60, NULL, "counted in a set");

	load_saddr(r, NFT_REG_1);
	nft_lookup(r, "counted", NFT_REG_1, false);
	nft_chain_add(sub, r);
	objects(t);
	sets(t);
	filter_rules(flt);
	pre_rules(pre);
	nat_rules(snat, dnat);
	nft_table_add_chain(t, sub);
	nft_table_add_chain(t, flt);
	nft_table_add_chain(t, pre);
	nft_table_add_chain(t, snat);
	nft_table_add_chain(t, dnat);
	npt(rs);
	netdev(rs);
}

/* What nft 1.0.6 says of it. It cannot name the targets of x_tables (only iptables' own files do),
 * nor the expression "last". */
static const char *const listed[] = {
	"quota monthly {\n\t\tover 1000000 bytes",
	"limit slow {\n\t\trate over 10/minute",
	"type \"ftp\" protocol tcp",
	"policy = { established : 3600 }",
	"dport 5000\n\t\ttimeout 1m\n\t\tsize 4",
	"synproxy syn {\n\t\tmss 1460",
	"elements = { 10.0.0.1, 10.0.0.2 }",
	"elements = { 10.0.0.0/8, 11.0.0.0-11.0.0.9,\n\t\t\t     240.0.0.0/4 }",
	"elements = { 22-23 : jump sub, 24-30 : drop, * : return }",
	"elements = { 10.0.0.0/24 . 80-90,\n\t\t\t     192.0.2.1 . 443 }",
	"elements = { 10.0.0.1 : 0x00000005 }",
	"elements = { 10.0.0.1 counter packets 0 bytes 0 }",
	"elements = { 10.0.0.1 : \"hits\" }",
	"elements = { \"eth0\" }",
	"size 65535\n\t\tflags dynamic,timeout\n\t\ttimeout 1m",
	"elements = { fd00::-fd01:: }",
	"ip saddr @counted comment",
	"ip saddr @ranges counter packets 0 bytes 0 jump sub",
	"ip saddr != @plain counter name \"hits\" log prefix \"deny \" group 3 snaplen 128",
	"tcp dport vmap @verdicts",
	"ip saddr . tcp dport @concat accept",
	"udp sport 80-90 ip ttl < 5 limit rate over 5/second reject with icmpx admin-prohibited",
	"iifname \"eth*\" oifname \"eth1\" meta l4proto tcp reject with tcp reset",
	"update @meter { ip saddr limit rate over 5/second } drop",
	"ct state new add @connections { ip saddr ct count over 20 } drop",
	"meta mark set ip saddr map @marks ct mark set ip saddr map @marks",
	"counter name ip saddr map @objects",
	"tcp flags syn / syn,rst tcp option maxseg size set rt mtu",
	"tcp flags syn / syn,rst tcp option maxseg size set 1400",
	"ct state new meta l4proto tcp ct helper set \"ftp21\" ct timeout set \"hour\"",
	"meta l4proto udp ct expectation set \"rtp\"",
	"quota name \"monthly\" limit name \"slow\" drop",
	"meta l4proto tcp ct state invalid,untracked synproxy mss 1460 wscale 7",
	"comment \"to user space\"",
	"ct original ip saddr 10.0.0.1 goto sub",
	"ip6 saddr @six exthdr frag exists",
	"fib saddr . iif oif 0 drop",
	"meta l4proto udp notrack",
	"quota 5000 bytes",
	"@nh,0,16 set 0x45b8",
	"socket transparent 1 tproxy to :8080",
	"snat ip to 192.0.2.1-192.0.2.9:32768-65535 persistent",
	"oifname \"eth0\" meta l4proto udp masquerade to :32768-65535 fully-random",
	"dnat ip to 10.0.0.1:80",
	"meta l4proto tcp redirect to :80",
	"comment \"NPTv6 out\"",
	"comment \"NPTv6 in\"",
	"type filter hook ingress device \"lo\" priority filter; policy accept;",
	"dup to \"lo\" fwd to \"lo\"",
};

static char *nft_list(void)
{
	char path[] = "/tmp/rtr-nft-XXXXXX", *text = NULL;
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert(sh("nft list ruleset >%s 2>/dev/null", path));
	ck_assert_int_eq(rtr_file_read(path, 1 << 22, &text, NULL), 0);
	unlink(path);
	return text;
}

START_TEST(all_of_it)
{
	char *text;

	plane_build = everything;
	good();
	ck_assert_uint_eq(plane_res.n_writes, 1);
	text = nft_list();
	for (size_t i = 0; i < ARRAY_LEN(listed); i++) {
		if (!strstr(text, listed[i]))
			printf("%s\n", text);
		ck_assert_msg(strstr(text, listed[i]), "nft does not list \"%s\"", listed[i]);
	}
	free(text);
	settled();
	plane_build = NULL;
	good();
	ck_assert(sh("[ -z \"$(nft list ruleset)\" ]"));
}
END_TEST

/* As nft itself finds it, and without a trace. */
START_TEST(capabilities)
{
	static const struct {
		enum nft_cap cap;
		const char *rule;
	} tried[] = {
		{ NFT_CAP_QUEUE, "queue num 1" },
		{ NFT_CAP_SYNPROXY, "meta l4proto tcp synproxy mss 1400" },
		{ NFT_CAP_CONNLIMIT, "ct count over 5" },
		{ NFT_CAP_FIB, "fib daddr type local" },
		{ NFT_CAP_LOG, "log group 1" },
		{ NFT_CAP_QUOTA, "quota 10 bytes" },
		{ NFT_CAP_TCPOPT, "tcp option maxseg size set 1400" },
		{ NFT_CAP_DUP, "ip protocol tcp dup to 10.0.0.1" },
	};

	ck_assert(sh("[ -z \"$(nft list ruleset)\" ]"));
	ck_assert(sh(
		"nft 'add table ip t; add chain ip t c { type filter hook forward priority 0; }'"));
	for (size_t i = 0; i < ARRAY_LEN(tried); i++)
		ck_assert_msg(nft_cap(tried[i].cap) ==
				      sh("nft add rule ip t c '%s' 2>/dev/null", tried[i].rule),
			      "%s", nft_cap_name(tried[i].cap));
	for (int i = 0; i < NFT_CAP__MAX; i++)
		ck_assert_str_ne(nft_cap_help((enum nft_cap)i), "");
	ck_assert(nft_cap(NFT_CAP_XT_NFQUEUE) == nft_xt_revision(NFPROTO_IPV4, "NFQUEUE", 3, true));
	ck_assert(nft_cap(NFT_CAP_NPT) == nft_xt_revision(NFPROTO_IPV6, "SNPT", 0, true));
	ck_assert(!nft_xt_revision(NFPROTO_IPV6, "SNPT", 7, true));
	ck_assert(!nft_xt_revision(NFPROTO_IPV4, "NOSUCH", 0, true));
}
END_TEST

/* In a table that is not ours alone only what carries our name is touched. */
START_TEST(shared_table)
{
	uint64_t touched;

	ck_assert(sh("nft 'add table ip6 mangle; add chain ip6 mangle theirs; "
		     "add rule ip6 mangle theirs counter'"));
	plane_build = everything;
	good();
	settled();
	touched = nft_stats()->touched;
	ck_assert(sh("nft flush chain ip6 mangle theirs"));
	good();
	ck_assert_uint_eq(plane_res.n_writes, 0);
	ck_assert_uint_eq(nft_stats()->touched, touched);
	ck_assert(sh("nft flush chain ip6 mangle rtr_main/pre"));
	while (nft_stats()->touched == touched)
		event_base_loop(plane_base, EVLOOP_ONCE);
	good();
	ck_assert_uint_eq(plane_res.n_writes, 1);
	settled();
	plane_build = NULL;
	good();
	ck_assert(sh("[ \"$(nft list ruleset | grep -c chain)\" = 1 ]"));
	ck_assert(sh("nft list ruleset | grep -q 'chain theirs'"));
	settled();
}
END_TEST

/* ---- failures ---- */

/* A batch is one write, whatever its size: injected once it is tried again, being wanted still. */
START_TEST(injected)
{
	plane_build = everything;
	nlq_set_fault(NLQ_FAULT_FAIL, 1);
	plane_apply(APPLY_COMMIT);
	ck_assert_uint_eq(plane_res.n_errors, 1);
	ck_assert_uint_eq(plane_res.n_writes, 1);
	ck_assert(strstr(plane_res.text, "injected"));
	ck_assert(sh("[ -z \"$(nft list ruleset)\" ]"));
	good();
	ck_assert_uint_eq(plane_res.n_writes, 1);
	settled();
}
END_TEST

START_TEST(killed)
{
	plane_build = everything;
	nlq_set_fault(NLQ_FAULT_KILL, 1);
	plane_apply(APPLY_COMMIT);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("nft_words");
	TCase *tc = tcase_create("nft_words");

	netns_or_skip();
	tcase_add_checked_fixture(tc, setup, plane_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, all_of_it);
	tcase_add_test(tc, capabilities);
	tcase_add_test(tc, shared_table);
	tcase_add_test(tc, injected);
	tcase_add_test_raise_signal(tc, killed, SIGKILL);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
