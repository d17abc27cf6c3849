/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "auto/auto.h"

#include "cli/command.h"
#include "kernel/shadow.h"
#include "route/route.h"
#include "route/route_plan.h"
#include "system/global.h"
#include "system/log.h"
#include "system/program.h"
#include "txn/txn.h"
#include "vrf/vrf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Between two starts of rtr-autod. */
#define RESTART_MIN_MS 500
#define RESTART_MAX_MS 60000

/* What rtr-autod was told about an interface. */
struct told {
	struct autod_req req; /* op: AUTOD_DHCP_SET or AUTOD_RA_SET */
	char ifname[IFNAMSIZ];
	bool sent;
	uint32_t mark;
	struct told *next;
};

static struct {
	struct told *told;
	struct autod_req *gone; /* to be sent as deleted */
	size_t n_gone;
	uint32_t mark;
	struct program prog;
	struct event *ev_plan;
} d;

/* ---- leases ---- */

const struct lease *auto_lease(const struct iface *i)
{
	const struct shadow_link *l = iface_link(i->name);

	for (const struct lease *k = lease_list(); k && l && i->dhcp; k = k->next) {
		if (!strcmp(k->ifname, i->name))
			return k->e.ifindex == l->ifindex && k->expire_ns > auto_now_ns() ? k
											  : NULL;
	}
	return NULL;
}

bool auto_addr(const struct iface *i, struct rtr_prefix *ret)
{
	const struct lease *l = auto_lease(i);

	if (!l)
		return false;
	*ret = (struct rtr_prefix){ .addr = { .family = AF_INET }, .len = l->e.len };
	memcpy(ret->addr.b, l->e.addr, 4);
	return true;
}

static bool has_addr(const struct shadow_link *l, const struct rtr_addr *a)
{
	for (size_t i = 0; i < l->n_addrs; i++) {
		if (!rtr_addr_cmp(&l->addrs[i].addr.addr, a))
			return true;
	}
	return false;
}

/* A static route of the same network and distance has been planned: it has the place. */
static bool has_static(const struct rec *root, const struct route_want *w)
{
	const struct recvec *v = rec_kids(root, &ip_route_type);
	const struct static_route *s;

	recvec_foreach(v, s) {
		if (w->table == RT_TABLE_MAIN && !rtr_prefix_cmp(&s->dst, &w->dst) &&
		    route_metric(route_distance(s)) == w->metric)
			return true;
	}
	return false;
}

/* Several uplinks with one distance share the traffic. */
static struct route_want *group_of(struct route_want *wants, size_t *n, const struct route_want *w)
{
	for (size_t i = 0; i < *n; i++) {
		if (wants[i].table == w->table && wants[i].metric == w->metric &&
		    !rtr_prefix_cmp(&wants[i].dst, &w->dst))
			return &wants[i];
	}
	wants[*n] = *w;
	return &wants[(*n)++];
}

static bool is_broadcast(const struct rtr_prefix *subnet, const struct rtr_addr *a)
{
	uint32_t host = subnet->len < 31 ? UINT32_MAX >> subnet->len : 0;

	return host && (ntohl(subnet->addr.v4_be) | host) == ntohl(a->v4_be);
}

/*
 * The kernel refuses a route by what is no host, by a broadcast address of a connected network or,
 * on another link, by an address of its own. What a server says must not undo a commit.
 */
static bool can_lead(const struct shadow_link *l, const struct rtr_addr *gw)
{
	if (!gw->b[0] || gw->b[0] == 127 || gw->b[0] >= 224)
		return false;
	for (const struct shadow_link *o = shadow_link_next(NULL); o; o = shadow_link_next(o)) {
		for (size_t i = 0; shadow_link_vrf(o) == shadow_link_vrf(l) && i < o->n_addrs;
		     i++) {
			const struct rtr_prefix *a = &o->addrs[i].addr;

			if (a->addr.family == AF_INET &&
			    (!rtr_addr_cmp(&a->addr, gw) || is_broadcast(a, gw)))
				return false;
		}
	}
	return true;
}

static void add_route(struct plan *p, const struct iface *i, const struct shadow_link *l,
		      const struct lease *lease, const struct autod_route *r,
		      struct route_want *wants, size_t *n)
{
	uint8_t distance = SCH_HAS(i, dhcp_distance) ? i->dhcp_distance : AUTO_DISTANCE_DEFAULT;
	struct route_want w = { .table = i->vrf ? vrf_table(p->want, i->vrf) : RT_TABLE_MAIN,
				.metric = route_metric(distance),
				.dst = { .addr = { .family = AF_INET }, .len = r->len },
				.type = RTN_UNICAST,
				.rec = &i->rec };
	struct shadow_hop hop = { .ifindex = l->ifindex, .weight = 1 };
	struct rtr_prefix subnet = { .addr = { .family = AF_INET }, .len = lease->e.len };
	struct route_want *g;

	memcpy(w.dst.addr.b, r->net, 4);
	memcpy(subnet.addr.b, lease->e.addr, 4);
	/* RFC 3442: 0.0.0.0 is a network on the link. */
	if (r->gw[0] || r->gw[1] || r->gw[2] || r->gw[3]) {
		hop.gw.family = AF_INET;
		memcpy(hop.gw.b, r->gw, 4);
		if (!can_lead(l, &hop.gw))
			return;
		subnet = rtr_prefix_network(subnet);
		if (!rtr_prefix_contains(&subnet, &hop.gw))
			hop.flags = RTNH_F_ONLINK;
	}
	if (distance == 255 || has_static(p->want, &w))
		return;
	g = group_of(wants, n, &w);
	if (g->n_hops < RESOLVE_MAX_HOPS)
		g->hops[g->n_hops++] = hop;
}

size_t auto_plan_routes(struct plan *p, uint32_t mark)
{
	const struct recvec *ifaces = rec_kids(p->want, &iface_type);
	struct route_want *wants = NULL;
	size_t n = 0, found = 0, room = 0;
	const struct iface *i;

	for (const struct lease *l = lease_list(); l; l = l->next)
		room += l->e.n_routes;
	if (!room)
		return 0;
	wants = xcalloc(room, sizeof(*wants));
	recvec_foreach(ifaces, i) {
		const struct lease *lease = auto_lease(i);
		const struct shadow_link *l = iface_link(i->name);
		struct rtr_addr a = { .family = AF_INET };

		if (!lease || !l || !shadow_link_is_up(l))
			continue;
		memcpy(a.b, lease->e.addr, 4);
		for (unsigned k = 0; has_addr(l, &a) && k < lease->e.n_routes; k++)
			add_route(p, i, l, lease, &lease->e.routes[k], wants, &n);
	}
	for (size_t k = 0; k < n; k++) {
		shadow_hops_sort(wants[k].hops, wants[k].n_hops);
		found += route_plan_one(p, &wants[k], mark);
	}
	free(wants);
	return found;
}

/* ---- talking to rtr-autod ---- */

static void plan_soon(void)
{
	static const struct timeval now = { 0, 0 };

	if (d.ev_plan && !evtimer_pending(d.ev_plan, NULL))
		event_add(d.ev_plan, &now);
}

/* The lease as it is now, not as it was when the wish was made. */
static void refresh(struct told *t)
{
	const struct iface *i = iface_find(txn_running(), t->ifname);
	const struct lease *l = i ? auto_lease(i) : NULL;
	uint64_t left;

	if (t->req.op != AUTOD_DHCP_SET)
		return;
	memset(t->req.u.dhcp.addr, 0, 4);
	t->req.u.dhcp.left_sec = 0;
	if (!l)
		return;
	left = l->expire_ns == UINT64_MAX ? UINT32_MAX
					  : (l->expire_ns - auto_now_ns()) / NSEC_PER_SEC;
	memcpy(t->req.u.dhcp.addr, l->e.addr, 4);
	t->req.u.dhcp.left_sec = (uint32_t)MIN(left, (uint64_t)UINT32_MAX);
}

static void talk(void)
{
	if (!program_runs(&d.prog)) {
		if (d.told || d.n_gone)
			program_start(&d.prog);
		return;
	}
	while (d.n_gone) {
		if (!program_send(&d.prog, &d.gone[d.n_gone - 1], sizeof(*d.gone)))
			return;
		d.n_gone--;
	}
	for (struct told *t = d.told; t; t = t->next) {
		if (t->sent)
			continue;
		refresh(t);
		if (!program_send(&d.prog, &t->req, sizeof(t->req)))
			return;
		t->sent = true;
	}
}

static const char *ifname_of(int ifindex)
{
	for (const struct told *t = d.told; t; t = t->next) {
		if (t->req.ifindex == ifindex && t->req.op == AUTOD_DHCP_SET)
			return t->ifname;
	}
	return NULL;
}

/* Once a lease, not at every renewal. */
static void complain_of_routes(const char *name, const struct autod_event *e)
{
	static struct log_limit limit;
	const struct shadow_link *l = iface_link(name);
	struct rtr_prefix own = { .addr = { .family = AF_INET }, .len = e->len };
	struct rtr_addr gw = { .family = AF_INET };
	char text[RTR_ADDR_STRLEN];

	/* The address is not in the kernel yet. */
	memcpy(own.addr.b, e->addr, 4);
	for (unsigned i = 0; l && i < MIN(e->n_routes, (uint8_t)AUTOD_ROUTES); i++) {
		memcpy(gw.b, e->routes[i].gw, 4);
		if (gw.v4_be && (!can_lead(l, &gw) || is_broadcast(&own, &gw)))
			log_event_limited(&limit, 20, "DHCP", LOG_L_WARN, "BADROUTE",
					  "Interface %s: the server's router %s is no host, route "
					  "left out",
					  name, rtr_addr_str(&gw, text));
	}
}

static void take_event(const void *event)
{
	const struct autod_event *e = event;
	static struct log_limit limit;
	const char *name = ifname_of(e->ifindex);
	struct rtr_addr a = { .family = AF_INET };
	char text[RTR_ADDR_STRLEN];

	if (!name)
		return; /* deleted while the message was on its way */
	if (e->kind == AUTOD_BOUND) {
		const struct iface *i = iface_find(txn_running(), name);
		const struct lease *old = i ? auto_lease(i) : NULL;
		bool same = old && !memcmp(old->e.addr, e->addr, 4) && old->e.len == e->len;

		memcpy(a.b, e->addr, 4);
		if (!same) {
			log_event_limited(&limit, 20, "DHCP", LOG_L_INFO, "ADDRESS_ASSIGN",
					  "Interface %s assigned DHCP address %s/%u", name,
					  rtr_addr_str(&a, text), e->len);
			complain_of_routes(name, e);
		}
		lease_put(name, e);
	} else if (e->kind == AUTOD_DECLINED) {
		memcpy(a.b, e->addr, 4);
		log_event_limited(&limit, 20, "DHCP", LOG_L_WARN, "DECLINED",
				  "Interface %s: the offered address %s is in use by "
				  "%02x%02x.%02x%02x.%02x%02x, another one is asked for",
				  name, rtr_addr_str(&a, text), e->mac[0], e->mac[1], e->mac[2],
				  e->mac[3], e->mac[4], e->mac[5]);
		return;
	} else if (lease_drop(name)) {
		log_event_limited(&limit, 20, "DHCP", LOG_L_WARN, "LEASE_LOST",
				  "Interface %s lost its DHCP address", name);
	}
	txn_follow();
}

static void complain(void)
{
	log_event("DHCP", LOG_L_WARN, "AUTOD",
		  "rtr-autod ended: no DHCP and no router advertisements until it runs again");
}

static void forget_told(void)
{
	d.n_gone = 0;
	for (struct told *t = d.told; t; t = t->next)
		t->sent = false;
}

/* ---- what is wanted ---- */

static struct told *find_told(const char *ifname, uint8_t op)
{
	struct told *t = d.told;

	while (t && (strcmp(t->ifname, ifname) || t->req.op != op))
		t = t->next;
	return t;
}

static void want(const struct iface *i, const struct autod_req *q)
{
	struct told *t = find_told(i->name, q->op);

	if (!t) {
		t = xcalloc(1, sizeof(*t));
		rtr_strlcpy(t->ifname, i->name, sizeof(t->ifname));
		t->next = d.told;
		d.told = t;
	} else if (t->req.ifindex == q->ifindex && !memcmp(t->req.mac, q->mac, 6) &&
		   (q->op == AUTOD_RA_SET ? !memcmp(&t->req.u.ra, &q->u.ra, sizeof(q->u.ra))
					  : !strcmp(t->req.u.dhcp.hostname, q->u.dhcp.hostname))) {
		t->mark = d.mark;
		return;
	}
	t->req = *q;
	t->mark = d.mark;
	t->sent = false;
}

static void want_iface(const struct iface *i, const struct shadow_link *l)
{
	const struct global *g = (const void *)txn_running();
	struct autod_req q;

	memset(&q, 0, sizeof(q));
	q.ifindex = l->ifindex;
	memcpy(q.mac, l->mac, 6);
	if (i->dhcp && shadow_link_is_up(l) && l->arptype == ARPHRD_ETHER && l->has_mac) {
		q.op = AUTOD_DHCP_SET;
		if (g->hostname)
			rtr_strlcpy(q.u.dhcp.hostname, g->hostname, sizeof(q.u.dhcp.hostname));
		want(i, &q);
	}
	memset(&q.u, 0, sizeof(q.u));
	q.op = AUTOD_RA_SET;
	if (ra_wish(txn_running(), i, l, &q.u.ra))
		want(i, &q);
}

/* With the line the lease is given back. With the link alone nothing is said: when it is up again
 * the client asks for the same address. */
static void forget(struct told *t)
{
	const struct iface *i = iface_find(txn_running(), t->ifname);
	const struct shadow_link *l = iface_link(t->ifname);
	bool dhcp = t->req.op == AUTOD_DHCP_SET;

	if (dhcp && !(i && i->dhcp) && lease_drop(t->ifname))
		txn_follow();
	if (t->sent && l && l->ifindex == t->req.ifindex && shadow_link_is_up(l)) {
		d.gone = xrealloc(d.gone, (d.n_gone + 1) * sizeof(*d.gone));
		d.gone[d.n_gone] = t->req;
		d.gone[d.n_gone++].op = dhcp ? AUTOD_DHCP_DEL : AUTOD_RA_DEL;
	}
	free(t);
}

static void on_plan(evutil_socket_t fd, short what, void *arg)
{
	const struct recvec *ifaces = rec_kids(txn_running(), &iface_type);
	const struct iface *i;

	d.mark++;
	recvec_foreach(ifaces, i) {
		const struct shadow_link *l = iface_link(i->name);

		if (l)
			want_iface(i, l);
	}
	for (struct told **pp = &d.told; *pp;) {
		struct told *t = *pp;

		if (t->mark == d.mark) {
			pp = &t->next;
			continue;
		}
		*pp = t->next;
		forget(t);
	}
	talk();
}

bool auto_renew(const struct iface *i)
{
	struct told *t = find_told(i->name, AUTOD_DHCP_SET);

	if (!t)
		return false;
	t->sent = false;
	talk();
	return true;
}

void auto_observed(unsigned change)
{
	if (change & (SHADOW_LINK | SHADOW_ADDR))
		plan_soon();
}

static void published(const struct rec *old, const struct rec *new, const char *user,
		      const char *source)
{
	plan_soon();
}

int auto_init(void)
{
	d.prog = (struct program){ .number = PARENT_PROG_AUTOD,
				   .restart_min_ms = RESTART_MIN_MS,
				   .restart_max_ms = RESTART_MAX_MS,
				   .event_size = sizeof(struct autod_event),
				   .take_event = take_event,
				   .talk = talk,
				   .forget = forget_told,
				   .complain = complain };
	d.ev_plan = evtimer_new(cmd_base(), on_plan, NULL);
	if (program_init(&d.prog) || !d.ev_plan)
		return -ENOMEM;
	txn_on_publish(published);
	plan_soon(); /* what the journal brings back */
	return 0;
}

void auto_fini(void)
{
	program_fini(&d.prog);
	while (d.told) {
		struct told *t = d.told;

		d.told = t->next;
		free(t);
	}
	free(d.gone);
	d.gone = NULL;
	lease_free_all();
	if (d.ev_plan)
		event_free(d.ev_plan);
	d.ev_plan = NULL;
}
