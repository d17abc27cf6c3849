/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/nft_cap.h"

#include "nft/nft_diff.h"
#include "nft/nft_expr.h"
#include "nft/nft_query.h"

#include <errno.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_synproxy.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A table that is not ours and never comes to be: its chains carry our name (nft_ruleset.c). */
#define TRY_TABLE "rtr?"

static int answers[NFT_CAP__MAX];

static const char *const names[] = {
#define X(id, name, help) [NFT_CAP_##id] = name,
	NFT_CAPS(X)
#undef X
};

static const char *const helps[] = {
#define X(id, name, help) [NFT_CAP_##id] = help,
	NFT_CAPS(X)
#undef X
};

bool nft_cap(enum nft_cap cap)
{
	return !answers[cap];
}

const char *nft_cap_name(enum nft_cap cap)
{
	return names[cap];
}

const char *nft_cap_help(enum nft_cap cap)
{
	return helps[cap];
}

int nft_cap_error(enum nft_cap cap)
{
	return answers[cap];
}

void nft_cap_reset(void)
{
	memset(answers, 0, sizeof(answers));
}

/* ---- what is tried ---- */

static void only(struct nft_rule *r, uint8_t family, uint8_t l4)
{
	if (family)
		nft_family_is(r, family);
	if (l4)
		nft_l4proto_is(r, l4);
}

static void try_xt_npt(struct nft_rule *r)
{
	static const uint8_t from[16] = { 0xfd }, to[16] = { 0xfd, 1 };

	nft_xt_npt(r, true, from, to, 48);
}

static void try_tproxy(struct nft_rule *r)
{
	only(r, NFPROTO_IPV4, IPPROTO_TCP);
	nft_imm(r, NFT_REG_1, "\x1f\x90", 2);
	nft_tproxy(r, NFPROTO_IPV4, 0, NFT_REG_1);
}

static void try_nat(struct nft_rule *r)
{
	only(r, NFPROTO_IPV4, 0);
	nft_imm(r, NFT_REG_1, "\x0a\x00\x00\x01", 4);
	nft_nat(r, &(struct nft_nat){
			   .type = NFT_NAT_SNAT, .family = NFPROTO_IPV4, .addr_lo = NFT_REG_1 });
}

static void try_tcpopt(struct nft_rule *r)
{
	nft_mss_clamp(r, 1400);
}

static void try_dup(struct nft_rule *r)
{
	nft_imm(r, NFT_REG_1, "\x0a\x00\x00\x01", 4);
	nft_dup(r, NFT_REG_1, 0);
}

static void try_log(struct nft_rule *r)
{
	nft_log(r, &(struct nft_log){ .group = 1 });
}

static void try_queue(struct nft_rule *r)
{
	nft_queue(r, 0, 1, 0);
}

static void try_xt_nfqueue(struct nft_rule *r)
{
	nft_xt_nfqueue(r, 0, 1, true);
}

static void try_synproxy(struct nft_rule *r)
{
	only(r, 0, IPPROTO_TCP);
	nft_synproxy(r, 1460, 7, NF_SYNPROXY_OPT_MSS);
}

static void try_xt_synproxy6(struct nft_rule *r)
{
	only(r, 0, IPPROTO_TCP);
	nft_xt_synproxy6(r, 1440, 7, NF_SYNPROXY_OPT_MSS);
}

static void try_connlimit(struct nft_rule *r)
{
	nft_stateful(r, &(struct nft_stateful){ .kind = NFT_S_CONNLIMIT, .value = 1 });
}

static void try_quota(struct nft_rule *r)
{
	nft_stateful(r, &(struct nft_stateful){ .kind = NFT_S_QUOTA, .value = 1 });
}

static void try_fib(struct nft_rule *r)
{
	nft_fib(r, NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF, NFT_FIB_RESULT_OIF, NFT_REG_1);
}

static void try_osf(struct nft_rule *r)
{
	nft_osf(r, 0, 0, NFT_REG_1);
}

static void try_socket(struct nft_rule *r)
{
	nft_socket(r, NFT_SOCKET_TRANSPARENT, NFT_REG_1);
}

static void try_masq(struct nft_rule *r)
{
	nft_masq(r, 0, 0, 0);
}

static void try_secmark(struct nft_rule *r)
{
	nft_meta(r, NFT_META_SECMARK, NFT_REG_1);
	nft_meta_set(r, NFT_META_SECMARK, NFT_REG_1);
}

static void try_nothing(struct nft_rule *r)
{
}

/* A rule in a base chain. */
static const struct try_rule {
	enum nft_cap cap;
	uint8_t family;
	const char *table; /* NULL: TRY_TABLE */
	const char *type;
	uint32_t hook;
	int32_t prio;
	const char *dev;
	void (*expr)(struct nft_rule *r);
} rules[] = {
	{ NFT_CAP_QUEUE, NFPROTO_INET, NULL, "filter", NF_INET_FORWARD, 0, NULL, try_queue },
	{ NFT_CAP_XT_NFQUEUE, NFPROTO_INET, NULL, "filter", NF_INET_FORWARD, 0, NULL,
	  try_xt_nfqueue },
	{ NFT_CAP_SYNPROXY, NFPROTO_INET, NULL, "filter", NF_INET_FORWARD, 0, NULL, try_synproxy },
	{ NFT_CAP_XT_SYNPROXY6, NFPROTO_IPV6, NULL, "filter", NF_INET_FORWARD, 0, NULL,
	  try_xt_synproxy6 },
	{ NFT_CAP_TPROXY, NFPROTO_INET, NULL, "filter", NF_INET_PRE_ROUTING, -150, NULL,
	  try_tproxy },
	{ NFT_CAP_CONNLIMIT, NFPROTO_INET, NULL, "filter", NF_INET_FORWARD, 0, NULL,
	  try_connlimit },
	{ NFT_CAP_FIB, NFPROTO_INET, NULL, "filter", NF_INET_PRE_ROUTING, 0, NULL, try_fib },
	{ NFT_CAP_OSF, NFPROTO_INET, NULL, "filter", NF_INET_FORWARD, 0, NULL, try_osf },
	{ NFT_CAP_SOCKET, NFPROTO_INET, NULL, "filter", NF_INET_PRE_ROUTING, 0, NULL, try_socket },
	{ NFT_CAP_NPT, NFPROTO_IPV6, "mangle", "filter", NF_INET_POST_ROUTING, -150, NULL,
	  try_xt_npt },
	{ NFT_CAP_NOTRACK, NFPROTO_INET, NULL, "filter", NF_INET_PRE_ROUTING, -300, NULL,
	  nft_notrack },
	{ NFT_CAP_NAT, NFPROTO_INET, NULL, "nat", NF_INET_POST_ROUTING, 100, NULL, try_nat },
	{ NFT_CAP_MASQ, NFPROTO_INET, NULL, "nat", NF_INET_POST_ROUTING, 100, NULL, try_masq },
	{ NFT_CAP_LOG, NFPROTO_INET, NULL, "filter", NF_INET_FORWARD, 0, NULL, try_log },
	{ NFT_CAP_QUOTA, NFPROTO_INET, NULL, "filter", NF_INET_FORWARD, 0, NULL, try_quota },
	{ NFT_CAP_DUP, NFPROTO_IPV4, NULL, "filter", NF_INET_FORWARD, 0, NULL, try_dup },
	{ NFT_CAP_TCPOPT, NFPROTO_INET, NULL, "filter", NF_INET_FORWARD, 0, NULL, try_tcpopt },
	{ NFT_CAP_NETDEV, NFPROTO_NETDEV, NULL, "filter", NF_NETDEV_INGRESS, 0, "lo", try_nothing },
	{ NFT_CAP_NETDEV_EGRESS, NFPROTO_NETDEV, NULL, "filter", NF_NETDEV_EGRESS, 0, "lo",
	  try_nothing },
	{ NFT_CAP_BRIDGE, NFPROTO_BRIDGE, NULL, "filter", NF_INET_FORWARD, 0, NULL, try_nothing },
	{ NFT_CAP_SECMARK, NFPROTO_INET, NULL, "filter", NF_INET_PRE_ROUTING, -150, NULL,
	  try_secmark },
};

static void add_rule(struct nft_ruleset *rs, const struct try_rule *t)
{
	const char *table = t->table ? t->table : TRY_TABLE;
	char *name = xasprintf("%s/%s", nft_table_name(), names[t->cap]);
	struct nft_chain *c = nft_chain_new(&(struct nft_chain_spec){ .name = name,
								      .type = t->type,
								      .hook = t->hook,
								      .prio = t->prio,
								      .policy = NF_ACCEPT,
								      .devs = &t->dev,
								      .n_devs = t->dev != NULL });
	struct nft_rule *r = nft_rule_new(0, NULL, NULL);

	t->expr(r);
	nft_chain_add(c, r);
	nft_table_add_chain(nft_ruleset_table(rs, t->family, table), c);
	free(name);
}

static struct nft_obj *try_obj(enum nft_cap cap, const char *name)
{
	static const uint32_t sec[] = { 1, 1 };

	if (cap == NFT_CAP_CT_HELPER)
		return nft_obj_helper(name, "ftp", NFPROTO_IPV4, IPPROTO_TCP);
	if (cap == NFT_CAP_CT_TIMEOUT)
		return nft_obj_timeout(name, NFPROTO_IPV4, IPPROTO_UDP, sec, ARRAY_LEN(sec));
	return nft_obj_expect(name, NFPROTO_IPV4, IPPROTO_UDP, 9, 1000, 1);
}

static void add_obj(struct nft_ruleset *rs, enum nft_cap cap)
{
	char *name = xasprintf("%s/%s", nft_table_name(), names[cap]);

	nft_table_add_obj(nft_ruleset_table(rs, NFPROTO_INET, TRY_TABLE), try_obj(cap, name));
	free(name);
}

static void add_concat(struct nft_ruleset *rs)
{
	char *name = xasprintf("%s/concat", nft_table_name());

	nft_table_add_set(nft_ruleset_table(rs, NFPROTO_INET, TRY_TABLE),
			  nft_set_new(&(struct nft_set_spec){
				  .name = name,
				  .key_type = NFT_T2(NFT_T_IPADDR, NFT_T_INET_SERVICE),
				  .key_size = 8,
				  .n_fields = 2,
				  .field_size = { 4, 2 },
				  .flags = NFT_SET_INTERVAL }));
	free(name);
}

/* ---- asking ---- */

struct asked {
	struct nfbatch *b;
	size_t from[NFT_CAP__MAX], to[NFT_CAP__MAX]; /* messages of each */
};

static void ask(struct asked *a, enum nft_cap cap, struct nft_ruleset *rs)
{
	struct nft_ruleset *nothing = nft_ruleset_new();
	struct nft_change *c = nft_diff(nothing, rs);

	a->from[cap] = a->b->n;
	nft_emit(c, a->b);
	a->to[cap] = a->b->n;
	nft_change_free(c);
	nft_ruleset_unref(nothing);
	nft_ruleset_unref(rs);
}

static void ask_flowtable(struct asked *a)
{
	struct nfbatch *b = a->b;
	size_t hook;

	a->from[NFT_CAP_FLOWTABLE] = b->n;
	nfbatch_msg(b, NFT_MSG_NEWTABLE, NFPROTO_INET, NLM_F_CREATE);
	nfbatch_text(b, NFTA_TABLE_NAME, TRY_TABLE);
	nfbatch_msg(b, NFT_MSG_NEWFLOWTABLE, NFPROTO_INET, NLM_F_CREATE);
	nfbatch_text(b, NFTA_FLOWTABLE_TABLE, TRY_TABLE);
	nfbatch_text(b, NFTA_FLOWTABLE_NAME, "x");
	hook = nfbatch_nest(b, NFTA_FLOWTABLE_HOOK);
	nfbatch_u32(b, NFTA_FLOWTABLE_HOOK_NUM, NF_NETDEV_INGRESS);
	nfbatch_u32(b, NFTA_FLOWTABLE_HOOK_PRIORITY, 0);
	nfbatch_nest_end(b, hook);
	a->to[NFT_CAP_FLOWTABLE] = b->n;
}

static void ask_all(struct asked *a)
{
	static const enum nft_cap objs[] = { NFT_CAP_CT_HELPER, NFT_CAP_CT_TIMEOUT,
					     NFT_CAP_CT_EXPECT };
	struct nft_ruleset *rs;

	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		rs = nft_ruleset_new();
		add_rule(rs, &rules[i]);
		ask(a, rules[i].cap, rs);
	}
	for (size_t i = 0; i < ARRAY_LEN(objs); i++) {
		rs = nft_ruleset_new();
		add_obj(rs, objs[i]);
		ask(a, objs[i], rs);
	}
	rs = nft_ruleset_new();
	add_concat(rs);
	ask(a, NFT_CAP_CONCAT_RANGES, rs);
	ask_flowtable(a);
	/* No table has this name, nor ever: so none of it comes to be. */
	nfbatch_msg(a->b, NFT_MSG_DELTABLE, NFPROTO_INET, 0);
	nfbatch_text(a->b, NFTA_TABLE_NAME, "");
}

static void take(const struct asked *a, const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = NLMSG_DATA(h);
	size_t msg = h->nlmsg_seq - 2;

	for (int i = 0; h->nlmsg_type == NLMSG_ERROR && e->error && i < NFT_CAP__MAX; i++) {
		if (msg >= a->from[i] && msg < a->to[i] && !answers[i])
			answers[i] = e->error;
	}
}

static void read_answers(int fd, const struct asked *a)
{
	static _Alignas(struct nlmsghdr) char buf[32768];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		int left = (int)n;

		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, (unsigned)left);
		     h = NLMSG_NEXT(h, left))
			take(a, h);
	}
}

void nft_cap_probe(void)
{
	struct asked a = { .b = nfbatch_new() };
	struct nftq q;
	size_t size;

	nft_cap_reset();
	ask_all(&a);
	size = nfbatch_frame(a.b, 1);
	if (!nftq_open(&q)) {
		int on = 1;

		/* Short errors: all of them have to fit into the receive buffer. */
		setsockopt(q.fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
		if (send(q.fd, a.b->buf, size, 0) > 0)
			read_answers(q.fd, &a);
		nftq_close(&q);
	}
	nfbatch_unref(a.b);
}
