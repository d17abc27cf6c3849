/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/compile.h"

#include "cli/command.h"
#include "hash.h"
#include "firewall/policy_impl.h"
#include "txn/txn.h"

#include <ctype.h>
#include <linux/if.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter_ipv4.h>
#include <stdlib.h>
#include <string.h>

/* Lists compiled at the last plan, by their pointer: equal pointer, equal content. */
struct cached {
	const struct pol_list *list;
	struct lc_list *lc;
	bool used;
};

static struct {
	struct cached *v;
	size_t n;
	const struct policy *planned;
	struct event *hour; /* when a time range next starts or ends */
} k;

/* ---- small words ---- */

char *fwc_part(const char *name, char buf[FWC_PART])
{
	size_t n = 0;

	for (const char *p = name; *p && n + 4 < FWC_PART; p++) {
		if (isalnum((unsigned char)*p) || *p == '_' || *p == '-')
			buf[n++] = *p;
		else
			n += (size_t)snprintf(buf + n, 4, "/%02x", (unsigned char)*p);
	}
	buf[n] = '\0';
	/* Names that differ behind the end still differ. */
	if (n + 4 >= FWC_PART)
		snprintf(buf + FWC_PART - 20, 20, "/%016llx",
			 (unsigned long long)hash_bytes(name, strlen(name), 0));
	return buf;
}

void fwc_drop(struct nft_chain *c, enum fw_counter why, const char *comment)
{
	struct nft_rule *r = nft_rule_new(FW_CNT_ID(why), NULL, comment);

	nft_counter(r);
	nft_verdict(r, NF_DROP);
	nft_chain_add(c, r);
}

struct nft_chain *fwc_base(const char *name, uint32_t hook, int32_t prio, uint32_t policy)
{
	return nft_chain_new(&(struct nft_chain_spec){
		.name = name, .type = "filter", .hook = hook, .prio = prio, .policy = policy });
}

struct nft_set *fwc_iface_map(const char *name)
{
	return nft_set_new(&(struct nft_set_spec){ .name = name,
						   .key_type = NFT_T_IFNAME,
						   .key_size = IFNAMSIZ,
						   .data_type = NFT_T_VERDICT });
}

void fwc_iface_to(struct nft_set *s, const char *ifname, int32_t verdict, const char *chain)
{
	char key[IFNAMSIZ] = "";

	rtr_strlcpy(key, ifname, sizeof(key));
	nft_set_add(s, key, &(struct nft_data){ .verdict = verdict, .chain = chain });
}

void fwc_iface_vmap(struct nft_chain *c, uint32_t meta, const char *map)
{
	struct nft_rule *r = nft_rule_new(0, NULL, NULL);

	nft_meta(r, meta, NFT_REG_1);
	nft_vmap(r, map, NFT_REG_1);
	nft_chain_add(c, r);
}

const char *fwc_reject(struct fwc *f)
{
	struct nft_chain *c;
	struct nft_rule *r;

	if (nft_table_chain(f->t, "fw-reject"))
		return "fw-reject";
	c = nft_chain_new(&(struct nft_chain_spec){ .name = "fw-reject" });
	r = nft_rule_new(0, NULL, NULL);
	nft_l4proto_is(r, IPPROTO_TCP);
	nft_reject(r, NFT_REJECT_TCP_RST, 0);
	nft_chain_add(c, r);
	r = nft_rule_new(0, NULL, NULL);
	nft_reject(r, NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
	nft_chain_add(c, r);
	nft_table_add_chain(f->t, c);
	return "fw-reject";
}

/* ---- labels ---- */

/* Only of a connection that is not in the table yet: labels can be added to, not replaced. */
void fwc_unconfirmed(struct nft_rule *r)
{
	static const uint32_t confirmed = IPS_CONFIRMED, zero = 0;

	nft_ct(r, NFT_CT_STATUS, NFT_REG_1);
	nft_bitwise(r, NFT_REG_1, NFT_REG_1, sizeof(confirmed), &confirmed, &zero);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, &zero, sizeof(zero));
}

void fwc_label(struct nft_rule *r, int word, uint32_t id)
{
	uint32_t label[4] = { 0 };

	label[word] = id;
	fwc_unconfirmed(r);
	nft_imm(r, NFT_REG_1, label, sizeof(label));
	nft_ct_set(r, NFT_CT_LABELS, NFT_REG_1);
}

/* Word 3: egress ifindex << 16 | ingress ifindex. An ifindex above 65,535 stays out. */
void fwc_label_iface(struct nft_chain *c, uint32_t meta, bool high)
{
	static const uint32_t zero[4], above = 0xffff0000, ones = 0xffffffff;
	struct nft_rule *r = nft_rule_new(0, NULL, NULL);

	fwc_unconfirmed(r);
	nft_meta(r, meta, NFT_REG32_04);
	nft_bitwise(r, NFT_REG32_04, NFT_REG32_05, 4, &above, zero);
	nft_cmp(r, NFT_REG32_05, NFT_CMP_EQ, zero, 4);
	nft_imm(r, NFT_REG_1, zero, sizeof(zero));
	if (high)
		nft_shift(r, NFT_REG32_04, NFT_REG32_03, 4, true, 16);
	else
		nft_bitwise(r, NFT_REG32_04, NFT_REG32_03, 4, &ones, zero);
	nft_ct_set(r, NFT_CT_LABELS, NFT_REG_1);
	nft_chain_add(c, r);
}

void fwc_accept_known(struct fwc *f, struct nft_chain *c, const char *again)
{
	static const uint32_t pass[4] = { [1] = POL_LABEL_PASS }, zero[4];
	static const uint8_t reply = 1;
	struct nft_rule *r;

	if (again && f->has_pass) {
		/* Related ones pass; of the established, those of an inspected connection. */
		r = nft_rule_new(0, NULL, "answers of pass");
		nft_ct_state(r, NFT_CT_ESTABLISHED);
		nft_ct(r, NFT_CT_DIRECTION, NFT_REG_1);
		nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, &reply, 1);
		nft_ct(r, NFT_CT_LABELS, NFT_REG_1);
		nft_bitwise(r, NFT_REG_1, NFT_REG_1, sizeof(pass), pass, zero);
		nft_cmp(r, NFT_REG_1, NFT_CMP_NEQ, zero, sizeof(zero));
		nft_goto(r, again);
		nft_chain_add(c, r);
	}
	r = nft_rule_new(0, NULL, NULL);
	nft_ct_state(r, NFT_CT_ESTABLISHED | NFT_CT_RELATED);
	nft_verdict(r, NF_ACCEPT);
	nft_chain_add(c, r);
}

/* ---- lists ---- */

static struct cached *cache_get(const struct pol_list *l)
{
	char key[FWC_NAME], part[FWC_PART];

	for (size_t i = 0; i < k.n; i++) {
		if (k.v[i].list == l)
			return &k.v[i];
	}
	snprintf(key, sizeof(key), "acl%d.%s", l->family == AF_INET6 ? 6 : 4,
		 fwc_part(l->name, part));
	k.v = xrealloc(k.v, (k.n + 1) * sizeof(*k.v));
	k.v[k.n++] = (struct cached){ .list = pol_list_ref(l), .lc = lc_compile(l, key) };
	return &k.v[k.n - 1];
}

static void cache_sweep(bool all)
{
	size_t n = 0;

	for (size_t i = 0; i < k.n; i++) {
		if (k.v[i].used && !all) {
			k.v[i].used = false;
			k.v[n++] = k.v[i];
			continue;
		}
		lc_free(k.v[i].lc);
		pol_list_unref(k.v[i].list);
	}
	k.n = n;
}

void fwc_list(struct fwc *f, const struct pol_list *l, const struct lc_use *use)
{
	struct cached *c = cache_get(l);

	if (!c->used)
		fwc_effect_objects(f, l);
	c->used = true;
	lc_add(c->lc, f->t, use, &(struct lc_ops){ .effects = fwc_effects });
}

/* ---- access lists of interfaces ---- */

/* The chain that judges by a list and ends in its implicit deny. */
static void acl_chain(struct fwc *f, const struct pol_list *l, bool out, char name[FWC_NAME])
{
	int family = l->family == AF_INET6 ? 6 : 4;
	char inner[FWC_NAME], part[FWC_PART];
	struct lc_use use = { .chain = inner, .word = out ? 2 : 0, .count = true };
	struct nft_chain *c;
	struct nft_rule *r;

	fwc_part(l->name, part);
	snprintf(name, FWC_NAME, "%s%d.%s", out ? "out" : "in", family, part);
	snprintf(inner, sizeof(inner), "%s%d-list.%s", out ? "out" : "in", family, part);
	if (nft_table_chain(f->t, name))
		return;
	use.verdict[POL_PERMIT] = (struct lc_verdict){ .code = NF_ACCEPT };
	use.verdict[POL_PASS] = use.verdict[POL_PERMIT];
	use.verdict[POL_DENY] = (struct lc_verdict){ .code = NF_DROP };
	use.verdict[POL_REJECT] = (struct lc_verdict){ .code = NFT_GOTO, .chain = fwc_reject(f) };
	fwc_list(f, l, &use);
	c = nft_chain_new(&(struct nft_chain_spec){ .name = name, .rec = l->rec });
	r = nft_rule_new(0, l->rec, NULL);
	nft_jump(r, inner);
	nft_chain_add(c, r);
	fwc_drop(c, out ? FW_CNT_OUT_END : FW_CNT_IN_END, "end of the access list");
	nft_table_add_chain(f->t, c);
}

static const struct pol_list *list_of(const struct pol_iface *i, bool out, bool v6)
{
	return out ? (v6 ? i->out6 : i->out4) : v6 ? i->in6 : i->in4;
}

static bool any_list(const struct policy *p, bool out)
{
	for (size_t i = 0; i < p->n_ifaces; i++) {
		if (list_of(&p->ifaces[i], out, false) || list_of(&p->ifaces[i], out, true))
			return true;
	}
	return false;
}

void fwc_accept_nd(struct nft_chain *c)
{
	static const uint8_t lo = 135, hi = 136, hops = 255;
	struct nft_rule *r = nft_rule_new(0, NULL, "neighbour discovery");

	nft_family_is(r, NFPROTO_IPV6);
	nft_l4proto_is(r, IPPROTO_ICMPV6);
	nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, NFT_REG_1);
	nft_range(r, NFT_REG_1, NFT_RANGE_EQ, &lo, &hi, 1);
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, 7, 1, NFT_REG_1);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, &hops, 1);
	nft_verdict(r, NF_ACCEPT);
	nft_chain_add(c, r);
}

/* Rule that asks a set of interface names; the caller says what follows. */
static struct nft_rule *by_iface(bool out, bool v6)
{
	struct nft_rule *r = nft_rule_new(FW_CNT_ID(out ? FW_CNT_OUT_END : FW_CNT_IN_END), NULL,
					  NULL);

	nft_family_is(r, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	nft_meta(r, out ? NFT_META_OIFNAME : NFT_META_IIFNAME, NFT_REG_1);
	return r;
}

/*
 * One map a family from the interface to the chain of its list.
 *
 * A packet that is under way when a commit strikes may find the new element with the old rules, in
 * whose generation the new chain is empty: the kernel reads the generation of rules once a packet,
 * that of elements at each lookup (nft_do_chain, nft_genmask_cur; seen as one packet in a
 * million through 100 commits). So what comes back from a list, or misses the map, is dropped when
 * the interface has a list at all.
 */
static void acl_map(struct fwc *f, struct nft_chain *base, bool out, bool v6)
{
	char name[16], bound[24], chain[FWC_NAME], key[IFNAMSIZ];
	struct nft_set *map, *has;
	struct nft_rule *r;

	snprintf(name, sizeof(name), "%s%d", out ? "out" : "in", v6 ? 6 : 4);
	snprintf(bound, sizeof(bound), "%s-bound", name);
	map = fwc_iface_map(name);
	has = nft_set_new(&(struct nft_set_spec){
		.name = bound, .key_type = NFT_T_IFNAME, .key_size = IFNAMSIZ });
	for (size_t i = 0; i < f->p->n_ifaces; i++) {
		const struct pol_list *l = list_of(&f->p->ifaces[i], out, v6);

		if (!l)
			continue;
		acl_chain(f, l, out, chain);
		fwc_iface_to(map, f->p->ifaces[i].name, NFT_JUMP, chain);
		memset(key, 0, sizeof(key));
		rtr_strlcpy(key, f->p->ifaces[i].name, sizeof(key));
		nft_set_add(has, key, NULL);
	}
	if (!nft_set_len(map)) {
		nft_set_unref(map);
		nft_set_unref(has);
		return;
	}
	nft_table_add_set(f->t, map);
	nft_table_add_set(f->t, has);
	r = by_iface(out, v6);
	nft_vmap(r, name, NFT_REG_1);
	nft_chain_add(base, r);
	r = by_iface(out, v6);
	nft_lookup(r, bound, NFT_REG_1, false);
	nft_counter(r);
	nft_verdict(r, NF_DROP);
	nft_chain_add(base, r);
}

static void build_acls(struct fwc *f, bool out)
{
	struct nft_chain *c;

	if (!any_list(f->p, out))
		return;
	c = out ? fwc_base("fw-out", NF_INET_FORWARD, NF_IP_PRI_FILTER + 10, NF_ACCEPT)
		: fwc_base("fw-in", NF_INET_PRE_ROUTING, NF_IP_PRI_MANGLE, NF_ACCEPT);
	fwc_accept_known(f, c, NULL);
	fwc_accept_nd(c);
	acl_map(f, c, out, false);
	acl_map(f, c, out, true);
	nft_table_add_chain(f->t, c);
}

/* ---- before tracking ---- */

static void martian_set(struct fwc *f, bool v6, bool source)
{
	uint8_t family = v6 ? AF_INET6 : AF_INET;
	struct rtr_prefix nets[8];
	size_t n = pol_martians(family, source, nets, ARRAY_LEN(nets));
	struct pol_ranges l = { 0 };
	struct pol_addrs *a;
	struct nft_set *s;
	char name[32];

	snprintf(name, sizeof(name), "martian%d.%s", v6 ? 6 : 4, source ? "src" : "dst");
	for (size_t i = 0; i < n; i++)
		pol_ranges_add_prefix(&l, &nets[i]);
	a = pol_ranges_set(&l, family, NULL);
	/* 0.0.0.0 asks for an address; 255.255.255.255 is no one's. */
	if (!v6 && source)
		a->r[0].lo.b[3] = 1;
	s = nft_set_new(&(struct nft_set_spec){
		.name = name,
		.flags = NFT_SET_INTERVAL,
		.key_type = v6 ? NFT_T_IP6ADDR : NFT_T_IPADDR,
		.key_size = (uint8_t)rtr_family_size(family),
	});
	for (size_t i = 0; i < a->n; i++)
		nft_set_add_range(s, a->r[i].lo.b, a->r[i].hi.b, NULL);
	nft_table_add_set(f->t, s);
	pol_addrs_unref(a);
	pol_ranges_fini(&l);
}

static void load_addr(struct nft_rule *r, bool v6, bool source)
{
	unsigned size = v6 ? 16 : 4, at = v6 ? 8 : 12;

	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, source ? at : at + size, size, NFT_REG_1);
}

static void martians(struct fwc *f, struct nft_chain *c)
{
	for (int v6 = 0; v6 < 2; v6++) {
		for (int source = 1; source >= 0; source--) {
			struct nft_rule *r = nft_rule_new(FW_CNT_ID(FW_CNT_MARTIAN), NULL,
							  "martian");
			char name[32];

			martian_set(f, v6, source);
			snprintf(name, sizeof(name), "martian%d.%s", v6 ? 6 : 4,
				 source ? "src" : "dst");
			nft_family_is(r, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
			load_addr(r, v6, source);
			nft_lookup(r, name, NFT_REG_1, false);
			nft_counter(r);
			nft_verdict(r, NF_DROP);
			nft_chain_add(c, r);
		}
	}
}

/* Who has no address yet, or speaks on this link only, is not routed to. */
static void urpf_except(struct nft_chain *c, bool v6)
{
	static const uint8_t zero[16], ll[2] = { 0xfe, 0x80 }, mask[2] = { 0xff, 0xc0 };
	struct nft_rule *r = nft_rule_new(0, NULL, NULL);

	load_addr(r, v6, true);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, zero, v6 ? 16 : 4);
	nft_verdict(r, NFT_RETURN);
	nft_chain_add(c, r);
	if (!v6)
		return;
	r = nft_rule_new(0, NULL, NULL);
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, 8, 2, NFT_REG_1);
	nft_bitwise(r, NFT_REG_1, NFT_REG_1, 2, mask, zero);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, ll, 2);
	nft_verdict(r, NFT_RETURN);
	nft_chain_add(c, r);
}

static void urpf_chain(struct fwc *f, const char *name, bool v6, bool strict)
{
	struct nft_chain *c;
	struct nft_rule *r;
	static const uint32_t none;

	if (nft_table_chain(f->t, name))
		return;
	c = nft_chain_new(&(struct nft_chain_spec){ .name = name });
	urpf_except(c, v6);
	r = nft_rule_new(FW_CNT_ID(FW_CNT_URPF), NULL, "no way back");
	nft_fib(r, NFTA_FIB_F_SADDR | (strict ? NFTA_FIB_F_IIF : 0), NFT_FIB_RESULT_OIF, NFT_REG_1);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, &none, sizeof(none));
	nft_counter(r);
	nft_verdict(r, NF_DROP);
	nft_chain_add(c, r);
	nft_table_add_chain(f->t, c);
}

static void urpf(struct fwc *f, struct nft_chain *base, bool v6)
{
	const char *map = v6 ? "urpf6" : "urpf4";
	struct nft_set *s = fwc_iface_map(map);
	struct nft_rule *r;
	char name[32];

	for (size_t i = 0; i < f->p->n_ifaces; i++) {
		enum pol_urpf mode = v6 ? f->p->ifaces[i].urpf6 : f->p->ifaces[i].urpf4;
		bool strict = mode != POL_URPF_LOOSE;

		if (mode == POL_URPF_OFF)
			continue;
		snprintf(name, sizeof(name), "%s.%s", map, strict ? "strict" : "loose");
		urpf_chain(f, name, v6, strict);
		fwc_iface_to(s, f->p->ifaces[i].name, NFT_JUMP, name);
	}
	if (!nft_set_len(s)) {
		nft_set_unref(s);
		return;
	}
	nft_table_add_set(f->t, s);
	r = nft_rule_new(0, NULL, NULL);
	nft_family_is(r, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	nft_meta(r, NFT_META_IIFNAME, NFT_REG_1);
	nft_vmap(r, map, NFT_REG_1);
	nft_chain_add(base, r);
}

static bool any_urpf(const struct policy *p)
{
	for (size_t i = 0; i < p->n_ifaces; i++) {
		if (p->ifaces[i].urpf4 || p->ifaces[i].urpf6)
			return true;
	}
	return false;
}

static void build_raw(struct fwc *f)
{
	bool martian = f->p->martians && f->p->n_ifaces;
	struct nft_chain *c;
	struct nft_rule *r;

	if (!martian && !any_urpf(f->p))
		return;
	c = fwc_base("fw-raw", NF_INET_PRE_ROUTING, NF_IP_PRI_RAW, NF_ACCEPT);
	r = nft_rule_new(0, NULL, NULL);
	nft_iif_is(r, "lo");
	nft_verdict(r, NF_ACCEPT);
	nft_chain_add(c, r);
	if (martian)
		martians(f, c);
	urpf(f, c, false);
	urpf(f, c, true);
	nft_table_add_chain(f->t, c);
}

/* ---- segment sizes ---- */

static void mss_rule(struct nft_chain *c, const struct pol_iface *i, bool v6, uint32_t meta)
{
	static const uint8_t mask = 0x06, syn = 0x02, zero;
	uint16_t mss = v6 ? i->mss6 : i->mss4;
	struct nft_rule *r = nft_rule_new(0, i->rec, NULL);

	nft_family_is(r, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	if (meta == NFT_META_IIFNAME)
		nft_iif_is(r, i->name);
	else
		nft_oif_is(r, i->name);
	nft_l4proto_is(r, IPPROTO_TCP);
	nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1, NFT_REG_1);
	nft_bitwise(r, NFT_REG_1, NFT_REG_1, 1, &mask, &zero);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, &syn, 1);
	nft_mss_clamp(r, mss == POL_MSS_AUTO ? 0 : mss);
	nft_chain_add(c, r);
}

static void build_mss(struct fwc *f)
{
	struct nft_chain *c = fwc_base("fw-mss", NF_INET_FORWARD, NF_IP_PRI_MANGLE, NF_ACCEPT);

	for (size_t i = 0; i < f->p->n_ifaces; i++) {
		const struct pol_iface *p = &f->p->ifaces[i];

		for (int v6 = 0; v6 < 2; v6++) {
			if (!(v6 ? p->mss6 : p->mss4))
				continue;
			mss_rule(c, p, v6, NFT_META_IIFNAME);
			mss_rule(c, p, v6, NFT_META_OIFNAME);
		}
	}
	if (nft_chain_len(c))
		nft_table_add_chain(f->t, c);
	else
		nft_chain_unref(c);
}

/* ---- the source ---- */

static void hour_struck(evutil_socket_t fd, short what, void *arg)
{
	txn_repair();
}

/* A plan is made again when the next time range starts or ends. */
static void watch_hours(const struct policy *p, time_t now)
{
	time_t next = policy_next_change(p, now);
	struct timeval tv = { .tv_sec = next - now };

	if (!k.hour && cmd_base())
		k.hour = evtimer_new(cmd_base(), hour_struck, NULL);
	if (k.hour && next)
		event_add(k.hour, &tv);
	else if (k.hour)
		event_del(k.hour);
}

static bool has_pass(const struct policy *p)
{
	for (size_t i = 0; i < p->n_pairs; i++) {
		for (size_t n = 0; n < p->pairs[i].n_classes; n++) {
			if (p->pairs[i].classes[n].action == POL_PASS)
				return true;
		}
	}
	return false;
}

static void build(struct nft_ruleset *rs, const struct rec *want)
{
	time_t now = time(NULL);
	const struct policy *p = policy_build(want, k.planned ? k.planned : policy_running(), now,
					      NULL);
	struct fwc f = { .p = p };

	/* Check has refused what cannot be built. */
	if (!p)
		return;
	policy_unref(k.planned);
	k.planned = p;
	watch_hours(p, now);
	f.t = nft_ruleset_table(rs, NFPROTO_INET, nft_table_name());
	f.has_pass = has_pass(p);
	build_raw(&f);
	fwc_guards(&f);
	build_acls(&f, false);
	build_mss(&f);
	fwc_zones(&f);
	build_acls(&f, true);
	fwc_inspect(&f, want);
	cache_sweep(false);
}
NFT_SOURCE(firewall, 10, build);

void fw_compile_fini(void)
{
	cache_sweep(true);
	free(k.v);
	k.v = NULL;
	k.planned = policy_unref(k.planned);
	if (k.hour)
		event_free(k.hour);
	k.hour = NULL;
}
