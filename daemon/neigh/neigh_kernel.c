/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Static and proxy neighbours against the shadow, and the sysctls of each interface. */
#include "neigh/neigh.h"

#include "domain.h"
#include "iface/iface.h"
#include "kernel/rtmsg.h"
#include "kernel/shadow.h"
#include "system/global.h"

#include <linux/neighbour.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEIGH_MSG_SIZE 128
#define PATH_SIZE      128

/* ---- entries ---- */

struct want {
	int ifindex;
	struct rtr_addr addr;
	bool proxy;
	const uint8_t *mac; /* NULL with proxy */
	const struct rec *rec;
};

struct wants {
	struct want *v;
	size_t n, room;
};

static int want_cmp(const void *a, const void *b)
{
	const struct want *x = a, *y = b;
	int c = rtr_addr_cmp(&x->addr, &y->addr);

	if (!c)
		c = (int)x->proxy - (int)y->proxy;
	return c ? c : (x->ifindex > y->ifindex) - (x->ifindex < y->ifindex);
}

static void add_want(struct wants *w, const struct want *one)
{
	if (w->n == w->room) {
		w->room = w->room ? w->room * 2 : 16;
		w->v = xrealloc(w->v, w->room * sizeof(*w->v));
	}
	w->v[w->n++] = *one;
}

/* The kernel drops the neighbours of a link that goes down: they come with it again. */
static int usable(const struct shadow_link *l)
{
	return l && l->flags & IFF_UP && !(l->flags & IFF_LOOPBACK) ? l->ifindex : 0;
}

/* The interface with the smallest network that holds the address. Lines and addresses are typed
 * by hand: the product of their numbers is small. */
static int ifindex_of(const struct rtr_addr *a)
{
	const struct shadow_link *l;
	int best = 0, len = -1;

	for (l = shadow_link_next(NULL); l; l = shadow_link_next(l)) {
		for (size_t k = 0; k < l->n_addrs; k++) {
			const struct rtr_prefix *p = &l->addrs[k].addr;

			if (p->addr.family == a->family && p->len > len && usable(l) &&
			    rtr_prefix_contains(p, a)) {
				best = l->ifindex;
				len = p->len;
			}
		}
	}
	return best;
}

static void gather(struct wants *w, const struct rec *root)
{
	const struct recvec *arps = rec_kids(root, &static_arp_type);
	const struct recvec *nds = rec_kids(root, &static_nd_type);
	const struct recvec *ifaces = rec_kids(root, &iface_type);
	const struct static_arp *a;
	const struct static_nd *n;
	const struct iface *i;

	recvec_foreach(arps, a) {
		struct want one = { .addr = a->addr, .mac = a->mac, .rec = &a->rec };

		one.ifindex = a->ifname[0] ? usable(iface_link(a->ifname)) : ifindex_of(&a->addr);
		if (one.ifindex)
			add_want(w, &one);
		if (a->alias)
			add_want(w,
				 &(struct want){ .addr = a->addr, .proxy = true, .rec = &a->rec });
	}
	recvec_foreach(nds, n) {
		struct want one = { .addr = n->addr, .mac = n->mac, .rec = &n->rec };

		one.ifindex = usable(iface_link(n->ifname));
		if (one.ifindex)
			add_want(w, &one);
	}
	recvec_foreach(ifaces, i) {
		const struct recvec *proxies = rec_kids(&i->rec, &nd_proxy_type);
		const struct nd_proxy *p;
		int ifindex = usable(iface_link(i->name));

		recvec_foreach(proxies, p) {
			if (ifindex)
				add_want(w, &(struct want){ .ifindex = ifindex,
							    .addr = p->addr,
							    .proxy = true,
							    .rec = &p->rec });
		}
	}
	if (w->n)
		qsort(w->v, w->n, sizeof(*w->v), want_cmp);
}

static void plan_entry(struct plan *p, int type, int ifindex, const struct want *w)
{
	struct ndmsg nd = { .ndm_family = w->addr.family,
			    .ndm_ifindex = ifindex,
			    .ndm_state = NUD_PERMANENT,
			    .ndm_flags = w->proxy ? NTF_PROXY : 0 };
	const struct shadow_link *l = ifindex ? shadow_link_by_index(ifindex) : NULL;
	bool add = type == RTM_NEWNEIGH;
	uint8_t proto = shadow_proto();
	char text[RTR_ADDR_STRLEN];
	struct nl_msg *m;

	m = rtmsg_new(type, add ? NLM_F_CREATE | NLM_F_REPLACE : 0, &nd, sizeof(nd),
		      NEIGH_MSG_SIZE);
	rtmsg_addr(m, NDA_DST, &w->addr);
	if (add) {
		rtmsg_put(m, NDA_PROTOCOL, &proto, sizeof(proto));
		if (w->mac)
			rtmsg_put(m, NDA_LLADDR, w->mac, 6);
	}
	plan_nl(p, m, w->rec, "%s %sneighbour %s %s %s", add ? "set" : "delete",
		w->proxy ? "proxy " : "", rtr_addr_str(&w->addr, text), add ? "on" : "from",
		l ? l->name : "all interfaces");
}

static void plan_entries(struct plan *p)
{
	const struct shadow_neigh *n;
	struct wants w = { 0 };

	gather(&w, p->want);
	for (size_t k = 0; k < w.n; k++) {
		const struct want *one = &w.v[k];

		n = shadow_neigh_find(one->ifindex, &one->addr, one->proxy);
		if (!n || (!one->proxy && (!(n->state & NUD_PERMANENT) ||
					   memcmp(n->mac, one->mac, sizeof(n->mac)))))
			plan_entry(p, RTM_NEWNEIGH, one->ifindex, one);
	}
	for (n = shadow_neigh_next(NULL); n; n = shadow_neigh_next(n)) {
		struct want like = { .ifindex = n->ifindex, .addr = n->addr, .proxy = n->proxy };

		if (!w.n || !bsearch(&like, w.v, w.n, sizeof(*w.v), want_cmp))
			plan_entry(p, RTM_DELNEIGH, n->ifindex, &like);
	}
	free(w.v);
}

/* ---- sysctls ---- */

static void set(struct plan *p, const struct iface *i, const char *dir, const char *name,
		uint32_t value)
{
	char path[PATH_SIZE], text[16];

	snprintf(path, sizeof(path), "net/%s/%s/%s", dir, iface_kernel_name(i->name), name);
	snprintf(text, sizeof(text), "%u", value);
	plan_sysctl(p, path, text, &i->rec);
}

static void plan_timers(struct plan *p, const struct iface *i, const struct sch_type *type)
{
	const struct recvec *v = rec_kids(&i->rec, type);
	bool v6 = type == &nd_timer_type;
	const struct neigh_timer *t;

	recvec_foreach(v, t) {
		const struct neigh_knob_info *k = &neigh_knobs[v6][t->timer];

		if (k->file)
			set(p, i, v6 ? "ipv6/neigh" : "ipv4/neigh", k->file, t->value * k->factor);
	}
}

/*
 * arp_ignore, arp_announce: an address is answered for and spoken from on its own interface alone
 * (RFC 826), not on all of them as Linux hosts do. proxy_delay: hosts wait up to 0.8 s so that the
 * real one answers first; behind a router there is none.
 */
static void plan_iface(struct plan *p, const struct iface *i)
{
	enum iface_kind kind = iface_kind_of(i->name);

	if (kind == IFACE_LOOPBACK0 || kind == IFACE_LOOPBACK)
		return;
	set(p, i, "ipv4/conf", "arp_ignore", 1);
	set(p, i, "ipv4/conf", "arp_announce", 2);
	plan_timers(p, i, &arp_timer_type);
	plan_timers(p, i, &nd_timer_type);
	if (SCH_HAS(i, garp_accept) && i->garp_accept == GARP_NONE)
		set(p, i, "ipv4/conf", "drop_gratuitous_arp", 1);
	else if (SCH_HAS(i, garp_accept) && i->garp_accept == GARP_LEARN)
		set(p, i, "ipv4/conf", "arp_accept", 1);
	if (i->proxy_arp)
		set(p, i, "ipv4/conf", "proxy_arp", 1);
	if (i->local_proxy_arp)
		set(p, i, "ipv4/conf", "proxy_arp_pvlan", 1);
	if (i->proxy_arp || i->local_proxy_arp)
		set(p, i, "ipv4/neigh", "proxy_delay", 0);
	if (SCH_HAS(i, nd_dad))
		set(p, i, "ipv6/conf", "dad_transmits", i->nd_dad);
	if (rec_kids(&i->rec, &nd_proxy_type)->len) {
		set(p, i, "ipv6/conf", "proxy_ndp", 1);
		set(p, i, "ipv6/neigh", "proxy_delay", 0);
	}
}

uint32_t neigh_knob(const struct iface *i, int family, enum neigh_knob k)
{
	const struct recvec *v = rec_kids(&i->rec,
					  family == AF_INET ? &arp_timer_type : &nd_timer_type);
	const struct neigh_timer *t;

	recvec_foreach(v, t) {
		if (t->timer == k)
			return t->value;
	}
	return neigh_knobs[family != AF_INET][k].dflt;
}

/* The lower thresholds keep the kernel's proportions: nothing is collected below the first, above
 * the second entries older than 5 s are. */
static void plan_limit(struct plan *p, const char *family, uint32_t limit)
{
	static const unsigned part[] = { 8, 2, 1 };
	char path[PATH_SIZE], text[16];

	for (unsigned i = 0; i < ARRAY_LEN(part); i++) {
		snprintf(path, sizeof(path), "net/%s/neigh/default/gc_thresh%u", family, i + 1);
		snprintf(text, sizeof(text), "%u", limit / part[i]);
		plan_sysctl(p, path, text, p->want);
	}
}

void neigh_plan(struct plan *p)
{
	const struct recvec *ifaces = rec_kids(p->want, &iface_type);
	const struct global *g = (const void *)p->want;
	const struct iface *i;

	if (SCH_HAS(g, arp_limit))
		plan_limit(p, "ipv4", g->arp_limit);
	if (SCH_HAS(g, nd_limit))
		plan_limit(p, "ipv6", g->nd_limit);

	recvec_foreach(ifaces, i) {
		if (iface_link(i->name))
			plan_iface(p, i);
	}
	plan_entries(p);
}
