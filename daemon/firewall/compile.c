/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/compile.h"

#include "cli/command.h"
#include "firewall/fw_commit.h"
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

void fwc_name_to(struct nft_set *s, const char *ifname, const struct nft_data *data)
{
	char key[IFNAMSIZ] = "";

	rtr_strlcpy(key, ifname, sizeof(key));
	nft_set_add(s, key, data);
}

void fwc_iface_to(struct fwc *f, struct nft_set *s, const char *ifname, int32_t verdict,
		  const char *chain)
{
	for (const char *n = ifname; n; n = pol_alias_next(f->p->aliases, ifname, n))
		fwc_name_to(s, n, &(struct nft_data){ .verdict = verdict, .chain = chain });
}

void fwc_iface_add(struct fwc *f, struct nft_set *s, const char *ifname)
{
	for (const char *n = ifname; n; n = pol_alias_next(f->p->aliases, ifname, n))
		fwc_name_to(s, n, NULL);
}

void fwc_iface_vmap(struct nft_chain *c, uint32_t meta, const char *map)
{
	struct nft_rule *r = nft_rule_new(0, NULL, NULL);

	nft_meta(r, meta, NFT_REG_1);
	nft_vmap(r, map, NFT_REG_1);
	nft_chain_add(c, r);
}

void fwc_add_reject(struct nft_chain *c)
{
	struct nft_rule *r = nft_rule_new(0, NULL, NULL);

	nft_l4proto_is(r, IPPROTO_TCP);
	nft_reject(r, NFT_REJECT_TCP_RST, 0);
	nft_chain_add(c, r);
	r = nft_rule_new(0, NULL, NULL);
	nft_reject(r, NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
	nft_chain_add(c, r);
}

const char *fwc_reject(struct fwc *f)
{
	struct nft_chain *c;

	if (nft_table_chain(f->t, "fw-reject"))
		return "fw-reject";
	c = nft_chain_new(&(struct nft_chain_spec){ .name = "fw-reject" });
	fwc_add_reject(c);
	nft_table_add_chain(f->t, c);
	return "fw-reject";
}

/* ---- labels ---- */

void fwc_label(struct nft_rule *r, int word, uint32_t id)
{
	uint32_t label[4] = { 0 };

	label[word] = id;
	nft_ct_unconfirmed(r);
	nft_imm(r, NFT_REG_1, label, sizeof(label));
	nft_ct_set(r, NFT_CT_LABELS, NFT_REG_1);
}

/* Word 3: egress ifindex << 16 | ingress ifindex. An ifindex above 65,535 stays out. */
void fwc_label_iface(struct nft_chain *c, uint32_t meta, bool high)
{
	static const uint32_t zero[4], above = 0xffff0000, ones = 0xffffffff;
	struct nft_rule *r = nft_rule_new(0, NULL, NULL);

	nft_ct_unconfirmed(r);
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
	struct lc_list *before = NULL;

	for (size_t i = 0; i < k.n; i++) {
		if (k.v[i].list == l)
			return &k.v[i];
		if (!k.v[i].used && k.v[i].list->family == l->family &&
		    !strcmp(k.v[i].list->name, l->name))
			before = k.v[i].lc;
	}
	snprintf(key, sizeof(key), "acl%d.%s", l->family == AF_INET6 ? 6 : 4,
		 fwc_part(l->name, part));
	k.v = xrealloc(k.v, (k.n + 1) * sizeof(*k.v));
	k.v[k.n++] = (struct cached){ .list = pol_list_ref(l), .lc = lc_compile(l, key, before) };
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
	struct lc_use use = { .chain = inner,
			      .word = out ? 2 : 0,
			      .count = true,
			      .carry = nft_cap(NFT_CAP_SECMARK) };
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
	char name[16], bound[24], chain[FWC_NAME];
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
		fwc_iface_to(f, map, f->p->ifaces[i].name, NFT_JUMP, chain);
		fwc_iface_add(f, has, f->p->ifaces[i].name);
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

/* ---- segment sizes ---- */

static void mss_rule(struct nft_chain *c, const struct pol_iface *i, const char *ifname, bool v6,
		     uint32_t meta)
{
	static const uint8_t mask = 0x06, syn = 0x02, zero;
	uint16_t mss = v6 ? i->mss6 : i->mss4;
	struct nft_rule *r = nft_rule_new(0, i->rec, NULL);

	nft_family_is(r, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	if (meta == NFT_META_IIFNAME)
		nft_iif_is(r, ifname);
	else
		nft_oif_is(r, ifname);
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
			for (const char *n = p->name; n;
			     n = pol_alias_next(f->p->aliases, p->name, n))
				mss_rule(c, p, n, v6, NFT_META_IIFNAME);
			mss_rule(c, p, p->name, v6, NFT_META_OIFNAME);
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
	fw_commit_hour(k.planned);
	txn_follow();
}

const struct policy *fw_planned(void)
{
	return k.planned;
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
	struct fwc f = { .rs = rs, .p = p };

	/* Check has refused what cannot be built. */
	if (!p)
		return;
	policy_unref(k.planned);
	k.planned = p;
	watch_hours(p, now);
	f.t = nft_ruleset_table(rs, NFPROTO_INET, nft_table_name());
	f.has_pass = has_pass(p);
	fwc_raw(&f);
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
