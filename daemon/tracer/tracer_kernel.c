/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel answers to packet-tracer. */
#include "tracer/tracer.h"

#include "fastpath/fastpath.h"
#include "kernel/query.h"
#include "kernel/rtmsg.h"
#include "kernel/shadow.h"
#include "nft/nft_diff.h"
#include "nft/nft_kernel.h"
#include "nft/nft_watch.h"
#include "pbr/pbr.h"
#include "txn/txn.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <linux/neighbour.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* ---- links ---- */

static bool forwards(const char *ifname, uint8_t family)
{
	char path[96], c = '0';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv%c/conf/%s/forwarding",
		 family == AF_INET6 ? '6' : '4', ifname);
	f = fopen(path, "re");
	if (!f)
		return false;
	c = (char)fgetc(f);
	fclose(f);
	return c == '1';
}

static void link_of(void *arg, const char *ifname, uint8_t family, struct tracer_link *ret)
{
	const struct shadow_link *l = shadow_link_by_name(ifname);

	*ret = (struct tracer_link){ .found = l != NULL };
	if (!l)
		return;
	ret->up = shadow_link_is_up(l);
	ret->forwarding = forwards(ifname, family);
	ret->no_neighbours = l->flags & (IFF_LOOPBACK | IFF_POINTOPOINT | IFF_NOARP);
	ret->ether = l->arptype == ARPHRD_ETHER && l->has_mac;
	memcpy(ret->mac, l->mac, sizeof(ret->mac));
	ret->ifindex = l->ifindex;
}

/* ---- routes ---- */

static void read_addr(const struct nlattr *a, uint8_t family, struct rtr_addr *ret)
{
	if (!a || (unsigned)nla_len(a) < rtr_family_size(family))
		return;
	*ret = (struct rtr_addr){ .family = family };
	memcpy(ret->b, nla_data(a), rtr_family_size(family));
}

/* The gateway of another family: IPv4 by an IPv6 next hop. */
static void read_via(const struct nlattr *a, struct rtr_addr *ret)
{
	const struct rtvia *v = nla_data(a);
	size_t room = (size_t)nla_len(a) - offsetof(struct rtvia, rtvia_addr);

	if (nla_len(a) < (int)sizeof(*v) || room < rtr_family_size((uint8_t)v->rtvia_family))
		return;
	*ret = (struct rtr_addr){ .family = (uint8_t)v->rtvia_family };
	memcpy(ret->b, v->rtvia_addr, rtr_family_size(ret->family));
}

static bool parse(const struct nlmsghdr *h, struct nlattr **tb)
{
	return h->nlmsg_type == RTM_NEWROUTE && nlmsg_valid_hdr(h, sizeof(struct rtmsg)) &&
	       !nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(struct rtmsg), tb, RTA_MAX,
			    NULL);
}

/* Which way: the answer to a question without RTM_F_FIB_MATCH. */
static void take_way(void *arg, const struct nlmsghdr *h)
{
	struct tracer_route *t = arg;
	const struct rtmsg *r = NLMSG_DATA(h);
	struct nlattr *tb[RTA_MAX + 1];
	const struct shadow_link *l;

	if (!parse(h, tb))
		return;
	t->type = r->rtm_type;
	t->table = tb[RTA_TABLE] ? nla_get_u32(tb[RTA_TABLE]) : r->rtm_table;
	read_addr(tb[RTA_GATEWAY], r->rtm_family, &t->gw);
	if (tb[RTA_VIA])
		read_via(tb[RTA_VIA], &t->gw);
	l = tb[RTA_OIF] ? shadow_link_by_index((int)nla_get_u32(tb[RTA_OIF])) : NULL;
	if (l)
		rtr_strlcpy(t->oif, l->name, IFNAMSIZ);
}

/* Which route: the answer to one with it. */
static void take_match(void *arg, const struct nlmsghdr *h)
{
	struct tracer_route *t = arg;
	const struct rtmsg *r = NLMSG_DATA(h);
	struct nlattr *tb[RTA_MAX + 1];

	if (!parse(h, tb))
		return;
	t->proto = r->rtm_protocol;
	t->table = tb[RTA_TABLE] ? nla_get_u32(tb[RTA_TABLE]) : r->rtm_table;
	t->metric = tb[RTA_PRIORITY] ? nla_get_u32(tb[RTA_PRIORITY]) : 0;
	t->prefix.addr.family = r->rtm_family;
	read_addr(tb[RTA_DST], r->rtm_family, &t->prefix.addr);
	t->prefix.len = r->rtm_dst_len;
	t->has_prefix = true;
}

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP;
}

/* The kernel cannot say what becomes of one that comes in (EMSGSIZE): it is asked for the way out
 * by the same interface, and who takes part is looked up. */
static bool is_multicast6(const struct rtr_addr *a)
{
	return a->family == AF_INET6 && a->b[0] == 0xff;
}

static bool takes_part(const char *ifname, const struct rtr_addr *group)
{
	char line[256], name[IFNAMSIZ], hex[33];
	FILE *f = fopen("/proc/net/igmp6", "re");
	struct rtr_addr a = { .family = AF_INET6 };
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*d %15s %32s", name, hex) != 2 || strcmp(name, ifname) != 0)
			continue;
		for (int i = 0; i < 16; i++)
			if (sscanf(hex + 2 * i, "%2hhx", &a.b[i]) != 1)
				a.b[i] = 0;
		found = !memcmp(a.b, group->b, 16);
	}
	if (f)
		fclose(f);
	return found;
}

static struct nl_msg *question(const struct pol_packet *p, const struct rtr_addr *dst,
			       uint32_t flags)
{
	const struct shadow_link *l = shadow_link_by_name(p->iif);
	uint8_t bits = (uint8_t)rtr_family_bits(p->family);
	struct rtmsg hdr = { .rtm_family = p->family,
			     .rtm_dst_len = bits,
			     .rtm_src_len = bits,
			     .rtm_flags = flags };
	struct nl_msg *m;

	/* IPv6 names the table unasked, and refuses the flag. */
	if (p->family == AF_INET)
		hdr.rtm_flags |= RTM_F_LOOKUP_TABLE;
	m = rtmsg_new(RTM_GETROUTE, 0, &hdr, sizeof(hdr), 256);
	rtmsg_addr(m, RTA_DST, dst);
	if (is_multicast6(dst)) {
		rtmsg_u32(m, RTA_OIF, l ? (uint32_t)l->ifindex : 0);
		return m;
	}
	rtmsg_addr(m, RTA_SRC, &p->src);
	rtmsg_u32(m, RTA_IIF, l ? (uint32_t)l->ifindex : 0);
	/* The protocols of which the kernel takes it here; others have no ports to hash. */
	if (has_ports(p->proto)) {
		uint16_t sport = htons(p->sport), dport = htons(p->dport);

		rtmsg_put(m, RTA_IP_PROTO, &p->proto, sizeof(p->proto));
		rtmsg_put(m, RTA_SPORT, &sport, sizeof(sport));
		rtmsg_put(m, RTA_DPORT, &dport, sizeof(dport));
	}
	return m;
}

static void route(void *arg, const struct pol_packet *p, const struct rtr_addr *dst,
		  struct tracer_route *ret)
{
	struct strbuf err = STRBUF_INIT;

	*ret = (struct tracer_route){ 0 };
	ret->error = kquery_one(question(p, dst, 0), take_way, ret, &err);
	kquery_one(question(p, dst, RTM_F_FIB_MATCH), take_match, ret, &err);
	strbuf_fini(&err);
	if (!ret->error && is_multicast6(dst) && !takes_part(p->iif, dst))
		ret->error = -ENETUNREACH;
}

struct back {
	int ifindex; /* 0: any */
	bool found;
};

static void take_back(void *arg, const struct nlmsghdr *h)
{
	struct back *b = arg;
	const struct rtmsg *r = NLMSG_DATA(h);
	struct nlattr *tb[RTA_MAX + 1];
	const struct rtnexthop *nh;
	int left;

	if (!parse(h, tb) || r->rtm_type != RTN_UNICAST)
		return;
	if (!b->ifindex || (tb[RTA_OIF] && (int)nla_get_u32(tb[RTA_OIF]) == b->ifindex))
		b->found = true;
	if (!tb[RTA_MULTIPATH])
		return;
	nh = nla_data(tb[RTA_MULTIPATH]);
	left = nla_len(tb[RTA_MULTIPATH]);
	for (; left >= (int)sizeof(*nh) && RTNH_OK(nh, left);
	     left -= (int)NLMSG_ALIGN(nh->rtnh_len), nh = RTNH_NEXT(nh)) {
		if (nh->rtnh_ifindex == b->ifindex)
			b->found = true;
	}
}

/* nft_fib: of IPv4 the route must lead there by any of its hops; of IPv6 it is looked up among the
 * interface's. */
static bool back(void *arg, const struct rtr_addr *src, const char *iif, bool strict)
{
	const struct shadow_link *l = shadow_link_by_name(iif);
	struct rtmsg hdr = { .rtm_family = src->family,
			     .rtm_dst_len = (unsigned char)rtr_family_bits(src->family),
			     .rtm_flags = RTM_F_FIB_MATCH };
	struct nl_msg *m = rtmsg_new(RTM_GETROUTE, 0, &hdr, sizeof(hdr), 128);
	struct back b = { .ifindex = strict && l ? l->ifindex : 0 };
	struct strbuf err = STRBUF_INIT;

	rtmsg_addr(m, RTA_DST, src);
	if (b.ifindex && src->family == AF_INET6)
		rtmsg_u32(m, RTA_OIF, (uint32_t)b.ifindex);
	kquery_one(m, take_back, &b, &err);
	strbuf_fini(&err);
	return b.found;
}

/* ---- neighbours ---- */

static void take_neigh(void *arg, const struct nlmsghdr *h)
{
	struct tracer_neigh *n = arg;
	const struct ndmsg *nd = NLMSG_DATA(h);
	struct nlattr *tb[NDA_MAX + 1];

	if (h->nlmsg_type != RTM_NEWNEIGH || !nlmsg_valid_hdr(h, sizeof(*nd)) ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*nd), tb, NDA_MAX, NULL))
		return;
	n->found = true;
	n->state = nd->ndm_state;
	n->has_mac = tb[NDA_LLADDR] && nla_len(tb[NDA_LLADDR]) == sizeof(n->mac);
	if (n->has_mac)
		memcpy(n->mac, nla_data(tb[NDA_LLADDR]), sizeof(n->mac));
}

static void neigh(void *arg, const char *ifname, const struct rtr_addr *a, struct tracer_neigh *ret)
{
	const struct shadow_link *l = shadow_link_by_name(ifname);
	struct ndmsg nd = { .ndm_family = a->family, .ndm_ifindex = l ? l->ifindex : 0 };
	struct nl_msg *m = rtmsg_new(RTM_GETNEIGH, 0, &nd, sizeof(nd), 128);
	struct strbuf err = STRBUF_INIT;

	*ret = (struct tracer_neigh){ 0 };
	rtmsg_addr(m, NDA_DST, a);
	kquery_one(m, take_neigh, ret, &err);
	strbuf_fini(&err);
}

/* ---- connections, rules ---- */

static int conn(void *arg, const struct ct_tuple *t, struct ct_entry *ret)
{
	return ct_get(t, ret);
}

static int rules(void *arg, uint8_t family, struct rule **ret)
{
	return pbr_kernel_rules(family, ret);
}

/* What the kernel has was read back from it; every change since has been told by its events. */
static void ruleset(void *arg, struct tracer_ruleset *ret)
{
	struct nft_ruleset *have, *want;
	struct strbuf b = STRBUF_INIT;
	struct nft_change *c;

	*ret = (struct tracer_ruleset){ .busy = txn_busy() };
	if (ret->busy)
		return;
	have = nft_installed();
	if (!have) {
		ret->error = -EOPNOTSUPP;
		return;
	}
	ret->generation = nft_watch_generation();
	want = nft_build(txn_running());
	c = nft_diff(have, want);
	ret->same = !c->n;
	if (c->n)
		nft_summary(c, &b);
	rtr_strlcpy(ret->difference, strbuf_str(&b), sizeof(ret->difference));
	nft_change_free(c);
	nft_ruleset_unref(want);
	nft_ruleset_unref(have);
	strbuf_fini(&b);
}

static bool fast(void *arg, const char *ifname)
{
	(void)arg;
	return fast_carries(ifname);
}

const struct tracer_kernel *tracer_kernel(void)
{
	static const struct tracer_kernel k = {
		.link = link_of,
		.route = route,
		.back = back,
		.neigh = neigh,
		.conn = conn,
		.rules = rules,
		.ruleset = ruleset,
		.fast = fast,
	};

	return &k;
}
