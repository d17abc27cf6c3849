/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "neigh/dad.h"

#include "auto/auto.h"
#include "cli/command.h"
#include "domain.h"
#include "hash.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "neigh/neigh.h"
#include "rtr/arpd.h"
#include "system/global.h"
#include "system/log.h"
#include "system/program.h"
#include "txn/txn.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUCKETS 1024
/* Between two starts of rtr-arpd. */
#define RESTART_MIN_MS 500
#define RESTART_MAX_MS 60000
/* A conflict that old is over. */
#define CONFLICT_SEC 60

struct known {
	struct arpd_req req; /* what rtr-arpd shall know; .op tells what is to be sent */
	struct rtr_addr addr;
	bool told;   /* rtr-arpd knows */
	bool unique; /* PASSED, or in use from before */
	bool refused;
	uint32_t mark, n_conflicts;
	uint8_t other[6];
	uint64_t conflict_ns; /* when last; 0: never */
	struct known *next;   /* hash chain */
};

static void (*on_answer)(const struct arpd_event *e);

static struct {
	struct known *buckets[BUCKETS];
	struct known *gone; /* to be told as deleted, then freed */
	uint32_t mark;
	struct program prog;
	struct event *ev_plan;
	struct rtr_addr *failed6; /* duplicates that were logged */
	size_t n_failed6;
} d;

/* ---- what is known ---- */

static struct known **slot(int ifindex, const struct rtr_addr *a)
{
	uint64_t h = hash_bytes(a->b, rtr_family_size(a->family), (uint32_t)ifindex);
	struct known **pp = &d.buckets[h % BUCKETS];

	while (*pp && ((*pp)->req.ifindex != ifindex || rtr_addr_cmp(&(*pp)->addr, a)))
		pp = &(*pp)->next;
	return pp;
}

static bool same_wish(const struct arpd_req *a, const struct arpd_req *b)
{
	return a->mode == b->mode && a->router == b->router && !memcmp(a->mac, b->mac, 6) &&
	       a->n_announce == b->n_announce && a->announce_ms == b->announce_ms;
}

static void forget(struct known **pp)
{
	struct known *k = *pp;

	*pp = k->next;
	if (!k->told) {
		free(k);
		return;
	}
	k->req.op = ARPD_DEL;
	k->next = d.gone;
	d.gone = k;
}

/* ---- talking ---- */

static void plan_soon(void)
{
	static const struct timeval now = { 0, 0 };

	if (d.ev_plan && !evtimer_pending(d.ev_plan, NULL))
		event_add(d.ev_plan, &now);
}

static void talk(void)
{
	/* Deletions first: one may be new again. */
	while (d.gone) {
		struct known *k = d.gone;

		if (!program_send(&d.prog, &k->req, sizeof(k->req)))
			return;
		d.gone = k->next;
		free(k);
	}
	for (unsigned b = 0; b < BUCKETS; b++) {
		for (struct known *k = d.buckets[b]; k; k = k->next) {
			if (k->told)
				continue;
			if (!program_send(&d.prog, &k->req, sizeof(k->req)))
				return;
			k->told = true;
		}
	}
}

static const char *mac_text(const uint8_t m[6], char buf[16])
{
	snprintf(buf, 16, "%02x%02x.%02x%02x.%02x%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	return buf;
}

static const char *ifname_of(int ifindex)
{
	const struct shadow_link *l = shadow_link_by_index(ifindex);

	return l ? iface_operator_name(l->name) : "?";
}

static void take_event(const void *event)
{
	const struct arpd_event *e = event;
	static struct log_limit limit;
	struct rtr_addr a = { .family = AF_INET };
	char text[RTR_ADDR_STRLEN], mac[16];
	struct known *k;

	if (e->kind == ARPD_ANSWER) {
		if (on_answer)
			on_answer(e);
		return;
	}
	memcpy(a.b, e->addr, sizeof(e->addr));
	k = *slot(e->ifindex, &a);
	if (!k)
		return; /* deleted while the message was on its way */
	rtr_addr_str(&a, text);
	switch (e->kind) {
	case ARPD_PASSED:
		if (!k->unique && k->req.mode == ARPD_STRICT)
			txn_follow();
		k->unique = true;
		k->conflict_ns = 0;
		break;
	case ARPD_CONFLICT:
		k->conflict_ns = rtr_now_ns();
		k->n_conflicts = e->n_conflicts;
		memcpy(k->other, e->mac, sizeof(k->other));
		log_event_limited(&limit, 20, "IP", LOG_L_WARN, "DUPADDR",
				  "Duplicate address %s on %s, sourced by %s", text,
				  ifname_of(e->ifindex), mac_text(e->mac, mac));
		break;
	case ARPD_REFUSED:
		if (!k->refused)
			log_event_limited(
				&limit, 20, "IP", LOG_L_WARN, "DADOFF",
				"%s on %s is neither announced nor watched for duplicates", text,
				ifname_of(e->ifindex));
		k->refused = k->unique = true;
		if (k->req.mode == ARPD_STRICT)
			txn_follow();
		break;
	}
}

static void forget_told(void)
{
	while (d.gone) {
		struct known *k = d.gone;

		d.gone = k->next;
		free(k);
	}
	for (unsigned b = 0; b < BUCKETS; b++) {
		for (struct known *k = d.buckets[b]; k; k = k->next)
			k->told = false;
	}
}

static void complain(void)
{
	log_event(
		"IP", LOG_L_WARN, "ARPD",
		"rtr-arpd ended: addresses are neither announced nor watched until it runs again");
}

/* ---- what is wanted ---- */

static bool can_arp(const struct shadow_link *l)
{
	return l->arptype == ARPHRD_ETHER && l->has_mac && !(l->flags & (IFF_LOOPBACK | IFF_NOARP));
}

static enum dad_mode mode_of(const struct iface *i)
{
	return SCH_HAS(i, dad) ? (enum dad_mode)i->dad : DAD_ON;
}

static const struct shadow_addr *in_kernel(const struct shadow_link *l, const struct rtr_addr *a)
{
	for (size_t i = 0; i < l->n_addrs; i++) {
		if (!rtr_addr_cmp(&l->addrs[i].addr.addr, a))
			return &l->addrs[i];
	}
	return NULL;
}

static void want(const struct iface *i, const struct shadow_link *l, const struct rtr_addr *a,
		 bool router)
{
	bool v4 = a->family == AF_INET;
	bool announce = v4 ? !SCH_HAS(i, gratuitous_arps) || i->gratuitous_arps
			   : !SCH_HAS(i, unsolicited_na) || i->unsolicited_na;
	enum dad_mode mode = v4 ? mode_of(i) : DAD_OFF;
	struct arpd_req q = {
		.op = ARPD_SET,
		.mode = mode == DAD_OFF  ? ARPD_ANNOUNCE
			: mode == DAD_ON ? ARPD_DEFEND
					 : ARPD_STRICT,
		.family = a->family,
		.router = !v4 && router,
		.ifindex = l->ifindex,
		.announce_ms = neigh_knob(i, a->family, NEIGH_ANNOUNCE_INTERVAL),
	};
	struct known **pp = slot(l->ifindex, a), *k = *pp;

	if (!announce && mode == DAD_OFF)
		return;
	if (announce)
		q.n_announce = (uint16_t)neigh_knob(i, a->family, NEIGH_ANNOUNCE_COUNT);
	memcpy(q.addr, a->b, rtr_family_size(a->family));
	memcpy(q.mac, l->mac, sizeof(q.mac));
	if (!k) {
		k = *pp = xcalloc(1, sizeof(*k));
		k->addr = *a;
		k->unique = in_kernel(l, a);
	} else if (same_wish(&q, &k->req)) {
		k->mark = d.mark;
		return;
	}
	k->mark = d.mark;
	/* In use already: nothing to wait for, whatever the line says now. */
	if (q.mode == ARPD_STRICT && k->unique)
		q.mode = ARPD_DEFEND;
	if (k->req.op && same_wish(&q, &k->req))
		return;
	k->req = q;
	k->told = false;
}

static void want_link(const struct iface *i, const struct shadow_link *l, bool router)
{
	const struct recvec *v4 = rec_kids(&i->rec, &iface_addr4_type);
	const struct iface_addr4 *a;
	struct rtr_prefix leased;

	recvec_foreach(v4, a) {
		if (mode_of(i) == DAD_ONLY_UNIQUE || in_kernel(l, &a->addr.addr))
			want(i, l, &a->addr.addr, router);
	}
	/* One by DHCP has had its probes when it comes into use: rtr-autod declines it otherwise.
	 */
	if (auto_addr(i, &leased) && in_kernel(l, &leased.addr))
		want(i, l, &leased.addr, router);
	/* IPv6: the kernel's own detection decides which may be used. */
	for (size_t k = 0; k < l->n_addrs; k++) {
		const struct shadow_addr *s = &l->addrs[k];

		if (s->addr.addr.family == AF_INET6 &&
		    (s->ours || rtr_addr_is_linklocal(&s->addr.addr)) &&
		    !(s->flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)))
			want(i, l, &s->addr.addr, router);
	}
}

static void plan(void)
{
	const struct global *g = (const void *)txn_running();
	const struct recvec *ifaces = rec_kids(txn_running(), &iface_type);
	bool router = SCH_HAS(g, ipv6_unicast_routing) ? g->ipv6_unicast_routing : true;
	const struct iface *i;

	d.mark++;
	recvec_foreach(ifaces, i) {
		const struct shadow_link *l = iface_link(i->name);

		if (l && shadow_link_is_up(l) && can_arp(l))
			want_link(i, l, router);
	}
	for (unsigned b = 0; b < BUCKETS; b++) {
		struct known **pp = &d.buckets[b];

		while (*pp) {
			if ((*pp)->mark != d.mark)
				forget(pp);
			else
				pp = &(*pp)->next;
		}
	}
	talk();
}

static void on_plan(evutil_socket_t fd, short what, void *arg)
{
	plan();
}

/* ---- IPv6 duplicates, which the kernel finds ---- */

static bool is_logged(const struct rtr_addr *a)
{
	for (size_t i = 0; i < d.n_failed6; i++) {
		if (!rtr_addr_cmp(&d.failed6[i], a))
			return true;
	}
	return false;
}

static void watch_failed6(void)
{
	static struct log_limit limit;
	struct rtr_addr *now = NULL;
	char text[RTR_ADDR_STRLEN];
	size_t n = 0;

	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l)) {
		for (size_t i = 0; i < l->n_addrs; i++) {
			const struct shadow_addr *a = &l->addrs[i];

			if (a->addr.addr.family != AF_INET6 || !(a->flags & IFA_F_DADFAILED))
				continue;
			if (!is_logged(&a->addr.addr))
				log_event_limited(&limit, 20, "IPV6", LOG_L_WARN, "DUPLICATE",
						  "Duplicate address %s on %s",
						  rtr_addr_str(&a->addr.addr, text),
						  iface_operator_name(l->name));
			now = xrealloc(now, (n + 1) * sizeof(*now));
			now[n++] = a->addr.addr;
		}
	}
	free(d.failed6);
	d.failed6 = now;
	d.n_failed6 = n;
}

/* ---- public ---- */

void dad_observed(unsigned change)
{
	if (change & (SHADOW_LINK | SHADOW_ADDR))
		plan_soon();
	if (change & SHADOW_ADDR)
		watch_failed6();
}

static void published(const struct rec *old, const struct rec *new, const char *user,
		      const char *source)
{
	plan_soon();
}

bool dad_may_use(const struct iface *i, const struct shadow_link *l, const struct rtr_addr *a)
{
	const struct known *k;

	if (mode_of(i) != DAD_ONLY_UNIQUE || !can_arp(l) || d.prog.no_parent || in_kernel(l, a))
		return true;
	k = *slot(l->ifindex, a);
	return k && k->unique;
}

static const char *state_of(const struct known *k)
{
	if (k->conflict_ns && rtr_now_ns() - k->conflict_ns < CONFLICT_SEC * NSEC_PER_SEC)
		return "duplicate";
	if (k->refused || k->req.mode == ARPD_ANNOUNCE)
		return "unchecked";
	return k->unique ? "unique" : "probing";
}

static void describe(const struct known *k, json_t *o)
{
	char mac[16];

	json_object_set_new(o, "dad", json_string(state_of(k)));
	if (!k->n_conflicts)
		return;
	json_object_set_new(o, "conflicts", json_integer(k->n_conflicts));
	json_object_set_new(o, "conflict_mac", json_string(mac_text(k->other, mac)));
}

void dad_describe(int ifindex, const struct rtr_addr *a, json_t *o)
{
	const struct known *k = a->family == AF_INET ? *slot(ifindex, a) : NULL;

	if (k)
		describe(k, o);
}

json_t *dad_waiting(int ifindex)
{
	const struct shadow_link *l = shadow_link_by_index(ifindex);
	char text[RTR_ADDR_STRLEN];
	json_t *out = json_array();

	for (unsigned b = 0; l && b < BUCKETS; b++) {
		for (const struct known *k = d.buckets[b]; k; k = k->next) {
			json_t *o;

			if (k->req.ifindex != ifindex || k->unique || in_kernel(l, &k->addr))
				continue;
			o = json_pack("{s:s}", "address", rtr_addr_str(&k->addr, text));
			describe(k, o);
			json_array_append_new(out, o);
		}
	}
	return out;
}

int dad_ask(const struct arpd_req *q)
{
	if (!program_runs(&d.prog))
		return -ENOTCONN;
	return program_send(&d.prog, q, sizeof(*q)) ? 0 : -EAGAIN;
}

void dad_on_answer(void (*fn)(const struct arpd_event *e))
{
	on_answer = fn;
}

int dad_init(void)
{
	d.prog = (struct program){ .number = PARENT_PROG_ARPD,
				   .restart_min_ms = RESTART_MIN_MS,
				   .restart_max_ms = RESTART_MAX_MS,
				   .event_size = sizeof(struct arpd_event),
				   .take_event = take_event,
				   .talk = plan_soon, /* it tells more than what was told before */
				   .forget = forget_told,
				   .complain = complain };
	d.ev_plan = evtimer_new(cmd_base(), on_plan, NULL);
	if (program_init(&d.prog) || !d.ev_plan)
		return -ENOMEM;
	program_start(&d.prog);
	txn_on_publish(published);
	return 0;
}

void dad_fini(void)
{
	program_fini(&d.prog);
	for (unsigned b = 0; b < BUCKETS; b++) {
		while (d.buckets[b]) {
			struct known *k = d.buckets[b];

			d.buckets[b] = k->next;
			free(k);
		}
	}
	if (d.ev_plan)
		event_free(d.ev_plan);
	d.ev_plan = NULL;
	free(d.failed6);
	d.failed6 = NULL;
	d.n_failed6 = 0;
}
