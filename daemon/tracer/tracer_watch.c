/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What nftrace tells of the packet, and whether that is what was predicted. */
#include "tracer/tracer.h"

#include "iface/iface.h"
#include "nat/nat_policy.h"
#include "nft/nft.h"
#include "nft/nft_query.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netlink/attr.h>
#include <string.h>

/* ---- messages ---- */

static uint16_t get16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

static void read_headers(struct tracer_seen *s, struct nlattr *const *tb)
{
	const struct nlattr *l3 = tb[NFTA_TRACE_NETWORK_HEADER],
			    *l4 = tb[NFTA_TRACE_TRANSPORT_HEADER];
	const uint8_t *b = l3 ? nla_data(l3) : NULL;
	uint8_t proto;
	bool v6;

	if (!b || nla_len(l3) < 20)
		return;
	v6 = b[0] >> 4 == 6;
	if (v6 && nla_len(l3) < 40)
		return;
	proto = v6 ? b[6] : b[9];
	s->src = s->dst = (struct rtr_addr){ .family = v6 ? AF_INET6 : AF_INET };
	memcpy(s->src.b, b + (v6 ? 8 : 12), v6 ? 16 : 4);
	memcpy(s->dst.b, b + (v6 ? 24 : 16), v6 ? 16 : 4);
	s->sport = s->dport = 0;
	if (!l4 || nla_len(l4) < 8)
		return;
	b = nla_data(l4);
	if (proto == IPPROTO_TCP || proto == IPPROTO_UDP) {
		s->sport = get16(b);
		s->dport = get16(b + 2);
	} else if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6) {
		s->sport = s->dport = get16(b + 4);
	}
}

static void read_verdict(struct tracer_hook *k, struct nlattr *const *tb, uint32_t type)
{
	struct nlattr *v[NFTA_VERDICT_MAX + 1];

	k->policy = type == NFT_TRACETYPE_POLICY;
	if (k->policy) {
		k->verdict = (int32_t)nftq_u32(tb[NFTA_TRACE_POLICY]);
		return;
	}
	k->verdict = NFT_CONTINUE;
	if (!tb[NFTA_TRACE_VERDICT] ||
	    nla_parse_nested(v, NFTA_VERDICT_MAX, tb[NFTA_TRACE_VERDICT], NULL))
		return;
	k->verdict = (int32_t)nftq_u32(v[NFTA_VERDICT_CODE]);
	rtr_strlcpy(k->target, nftq_text(v[NFTA_VERDICT_CHAIN]), sizeof(k->target));
}

/* A chain that no verdict led to is one of a hook. */
static bool is_base(const struct tracer_seen *s, const struct tracer_hook *k)
{
	for (size_t i = 0; i < s->n; i++) {
		if (!strcmp(s->hooks[i].target, k->chain) && !strcmp(s->hooks[i].table, k->table))
			return false;
	}
	return true;
}

static bool at_marker(struct tracer_seen *s, const struct tracer_hook *k, struct nlattr *const *tb)
{
	s->forwarded = !strcmp(k->chain, "out");
	s->delivered = !strcmp(k->chain, "local");
	if (tb[NFTA_TRACE_OIF])
		s->oif = (int)nftq_u32(tb[NFTA_TRACE_OIF]);
	read_headers(s, tb);
	return s->forwarded || s->delivered;
}

bool tracer_take(struct tracer_seen *s, const struct nlmsghdr *h, const char *table)
{
	struct nlattr *tb[NFTA_TRACE_MAX + 1];
	struct tracer_hook k = { 0 };
	uint32_t id;

	if ((h->nlmsg_type & 0xff) != NFT_MSG_TRACE || !nftq_parse(h, tb, NFTA_TRACE_MAX))
		return false;
	id = nftq_u32(tb[NFTA_TRACE_ID]);
	rtr_strlcpy(k.table, nftq_text(tb[NFTA_TRACE_TABLE]), sizeof(k.table));
	rtr_strlcpy(k.chain, nftq_text(tb[NFTA_TRACE_CHAIN]), sizeof(k.chain));
	/* Others trace, too: ours is the one that our own rule began. */
	if (!s->id && !strcmp(k.table, table) && !strcmp(k.chain, "in"))
		s->id = id;
	if (!s->id || id != s->id)
		return false;
	if (!strcmp(k.table, table))
		return at_marker(s, &k, tb);
	k.family = nftq_family(h);
	k.handle = nftq_u64(tb[NFTA_TRACE_RULE_HANDLE]);
	read_verdict(&k, tb, nftq_u32(tb[NFTA_TRACE_TYPE]));
	if (is_base(s, &k))
		rtr_strlcpy(s->base, k.chain, sizeof(s->base));
	/* Beyond that many the way is followed, and not told. */
	if (s->n < TRACER_HOOKS_MAX)
		s->hooks[s->n++] = k;
	else
		s->hooks[TRACER_HOOKS_MAX - 1] = k;
	s->dropped = k.verdict == NF_DROP;
	return s->dropped;
}

/* ---- comparison ---- */

/* The chain that enforces a stage: docs/design/policy.md. */
static const char *stage_chain(enum pol_stage st)
{
	switch (st) {
	case POL_ST_MARTIAN:
	case POL_ST_URPF:
		return "fw-raw";
	case POL_ST_IN:
		return "fw-in";
	case POL_ST_DNAT:
		return "nat_guard_pre";
	case POL_ST_LOCAL:
		return "fw-input";
	case POL_ST_ZONE:
		return "fw-forward";
	case POL_ST_OUT:
		return "fw-out";
	default:
		return NULL;
	}
}

static bool right_source(const struct tracer_result *r, const struct policy *p,
			 const struct tracer_seen *s)
{
	if (r->snat.on && !r->snat.npt)
		return nat_xlate_covers(p->nat, &r->snat, &s->src, r->snat.port_lo ? s->sport : 0);
	return !rtr_addr_cmp(&r->src, &s->src) && r->sport == s->sport;
}

/* NULL: what was predicted. */
static const char *difference(const struct tracer_result *r, const struct policy *p,
			      const struct tracer_seen *s, bool neigh_failed, const char *oif)
{
	const char *chain = stage_chain(r->stage);
	bool end = s->forwarded || s->delivered;

	/* The kernel has martians of its own, whom no chain sees. */
	if (!s->id)
		return r->stage == POL_ST_MARTIAN ? NULL : "the packet did not come in";
	if (chain)
		return !s->dropped              ? "it was not dropped by a rule"
		       : strcmp(s->base, chain) ? "another chain dropped it"
		       : strcmp(s->hooks[s->n - 1].table, nft_table_name())
			       ? "somebody else's rule dropped it"
			       : NULL;
	if (s->dropped)
		return "a rule dropped it";
	if (r->drop == RTR_DROP_NEIGH_FAILED)
		return !s->forwarded   ? "it was not routed"
		       : !neigh_failed ? "the neighbour answered"
				       : NULL;
	if (r->drop)
		return end ? "it came through" : NULL;
	if (!end)
		return "it was not routed, or the kernel dropped it";
	if (s->delivered != r->local)
		return s->delivered ? "it was delivered to the box" : "it was forwarded";
	if (!r->local && strcmp(oif, r->oif))
		return "it left by another interface";
	if (rtr_addr_cmp(&r->dst, &s->dst) || (r->dport != s->dport && !r->snat.on))
		return "its destination is another one";
	return r->local || right_source(r, p, s) ? NULL : "its source is another one";
}

static const char *verdict_text(const struct tracer_hook *k, char buf[160])
{
	const char *code = k->verdict == NF_DROP        ? "drop"
			   : k->verdict == NF_ACCEPT    ? "accept"
			   : k->verdict == NFT_JUMP     ? "jump"
			   : k->verdict == NFT_GOTO     ? "goto"
			   : k->verdict == NFT_RETURN   ? "return"
			   : k->verdict == NFT_CONTINUE ? "continue"
							: "other";

	snprintf(buf, 160, "%s%s%s%s", k->policy ? "policy " : "", code, *k->target ? " " : "",
		 k->target);
	return buf;
}

static json_t *hooks_doc(const struct tracer_seen *s)
{
	json_t *v = json_array();
	char buf[160];

	for (size_t i = 0; i < s->n; i++)
		json_array_append_new(v, json_pack("{s:s,s:s,s:I,s:s}", "table", s->hooks[i].table,
						   "chain", s->hooks[i].chain, "handle",
						   (json_int_t)s->hooks[i].handle, "verdict",
						   verdict_text(&s->hooks[i], buf)));
	return v;
}

static void seen_text(const struct tracer_seen *s, const char *oif, char *buf, size_t size)
{
	char src[TRACER_END_STRLEN], dst[TRACER_END_STRLEN];

	if (s->dropped)
		snprintf(buf, size, "dropped in chain %s", s->base);
	else if (s->forwarded || s->delivered)
		snprintf(buf, size, "%s%s, %s -> %s",
			 s->delivered ? "delivered to the box" : "forwarded by ",
			 s->delivered ? "" : iface_operator_name(oif),
			 tracer_end_str(&s->src, s->sport, src),
			 tracer_end_str(&s->dst, s->dport, dst));
	else
		snprintf(buf, size, "%s", s->id ? "not routed" : "not seen");
}

void tracer_compare(const struct tracer_result *r, const struct policy *p,
		    const struct tracer_seen *s, bool neigh_failed, const char *oif)
{
	const char *why = difference(r, p, s, neigh_failed, oif);
	char kernel[256], predicted[128];

	seen_text(s, oif, kernel, sizeof(kernel));
	if (r->drop)
		snprintf(predicted, sizeof(predicted), "dropped (%s)", rtr_drop_text(r->drop));
	else
		snprintf(predicted, sizeof(predicted), "%s%s",
			 r->local ? "delivered to the box" : "forwarded by ",
			 r->local ? "" : iface_operator_name(r->oif));
	json_object_set_new(r->doc, "transmit",
			    json_pack("{s:o,s:s,s:s,s:s,s:s}", "hooks", hooks_doc(s), "predicted",
				      predicted, "kernel", kernel, "comparison",
				      why ? "DIFFER" : "AGREE", "reason", why ? why : ""));
}
