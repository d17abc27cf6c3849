/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "track/track.h"

#include "cli/command.h"
#include "fastpath/fastpath.h"
#include "iface/iface.h"
#include "kernel/query.h"
#include "kernel/rtmsg.h"
#include "kernel/shadow.h"
#include "system/global.h"
#include "system/log.h"
#include "track/sla.h"
#include "txn/txn.h"

#include <errno.h>
#include <string.h>

#define MAX_ID 1000
/* Foreign routes wake nobody (kernel/shadow.h), so tracked ones are asked for. */
#define ROUTE_POLL_MS 1000
/* More-specific routes that are stepped over while looking for a network's own one. */
#define ROUTE_STEPS 64

struct object {
	struct rec *def; /* struct track */
	enum track_state state, pending;
	struct event *delay;
	uint64_t pending_ns, changed_ns, changes;
};

static struct object *objects[MAX_ID + 1];
static struct event *kick, *again;
static struct {
	track_fn fn;
	void *arg;
} subscribers[TRACK_MAX_SUBSCRIBERS];
static size_t n_subscribers;

static const struct track *def_of(const struct object *o)
{
	return (const void *)o->def;
}

/* ---- what a source says ---- */

static bool has_address(const struct shadow_link *l, int family)
{
	for (size_t i = 0; i < l->n_addrs; i++) {
		if (l->addrs[i].addr.addr.family == family)
			return true;
	}
	return false;
}

static bool iface_is_up(const struct track *t)
{
	const struct global *g = (const void *)txn_running();
	const struct shadow_link *l = iface_link(t->ifname);

	if (!l || !shadow_link_is_up(l))
		return false;
	if (t->what == TRACK_IP_ROUTING)
		return !(SCH_HAS(g, ip_routing) && !g->ip_routing) && has_address(l, AF_INET);
	if (t->what == TRACK_IPV6_ROUTING)
		return !(SCH_HAS(g, ipv6_unicast_routing) && !g->ipv6_unicast_routing) &&
		       has_address(l, AF_INET6);
	return true;
}

static void take_len(void *arg, const struct nlmsghdr *h)
{
	const struct rtmsg *r = NLMSG_DATA(h);

	if (h->nlmsg_type == RTM_NEWROUTE &&
	    (r->rtm_type == RTN_UNICAST || r->rtm_type == RTN_LOCAL))
		*(int *)arg = r->rtm_dst_len;
}

/* The length of the route that a packet to `a` would take; -1 = none that leads anywhere. */
static int match_len(const struct rtr_addr *a)
{
	struct rtmsg hdr = { .rtm_family = a->family,
			     .rtm_dst_len = (uint8_t)rtr_family_bits(a->family),
			     .rtm_flags = RTM_F_FIB_MATCH };
	struct nl_msg *m = rtmsg_new(RTM_GETROUTE, 0, &hdr, sizeof(hdr), 128);
	struct strbuf err = STRBUF_INIT;
	int len = -1;

	rtmsg_addr(m, RTA_DST, a);
	if (kquery_one(m, take_len, &len, &err))
		len = -1;
	strbuf_fini(&err);
	return len;
}

/* The first address behind the network of `len` bits that a is in; false past the last one. */
static bool next_network(struct rtr_addr *a, unsigned len)
{
	unsigned i = (len - 1) / 8, add = 0x80u >> (len - 1) % 8;

	for (unsigned k = i + 1; k < rtr_family_size(a->family); k++)
		a->b[k] = 0;
	a->b[i] &= (uint8_t) ~(add - 1);
	for (;;) {
		unsigned sum = a->b[i] + add;

		a->b[i] = (uint8_t)sum;
		if (sum < 256)
			return true;
		if (!i--)
			return false;
		add = 1;
	}
}

/*
 * The kernel tells the longest match of an address only, so
 * one that is more specific is stepped over; one that is less specific means that there is none.
 * A network that such routes fill to the end, or beyond counting, is reachable.
 */
bool track_route_there(const struct rtr_prefix *p)
{
	struct rtr_addr a = p->addr;

	/* Nothing is sent to 0.0.0.0/8 or to ::, whatever the table says. */
	if (rtr_addr_is_any(&a))
		a.b[0] = a.family == AF_INET6 ? 0x20 : 1;
	for (unsigned i = 0; i < ROUTE_STEPS; i++) {
		int len = match_len(&a);

		if (len <= p->len)
			return len == p->len;
		if (!next_network(&a, (unsigned)len) || !rtr_prefix_contains(p, &a))
			return true;
	}
	return true;
}

static enum track_state list_state(const struct track *t)
{
	const struct recvec *v = rec_kids(&t->rec, &track_member_type);
	enum track_state base = t->boolean == TRACK_OR ? TRACK_DOWN : TRACK_UP;
	bool unknown = false;
	const struct track_member *m;

	recvec_foreach(v, m) {
		enum track_state s = TRACK_UNKNOWN;

		track_get(m->object, &s);
		if (s != TRACK_UNKNOWN && m->not )
			s = s == TRACK_UP ? TRACK_DOWN : TRACK_UP;
		if (s == TRACK_UNKNOWN)
			unknown = true;
		else if (s != base)
			return s;
	}
	return unknown ? TRACK_UNKNOWN : base;
}

/* Up while rtr-fastpath serves, or no line asks for it. */
static enum track_state fastpath_state(void)
{
	const struct fast_seen *s = fast_seen();

	if (!s->needed || s->ready)
		return TRACK_UP;
	return s->was_ready || *s->failure ? TRACK_DOWN : TRACK_UNKNOWN;
}

static enum track_state source_state(const struct track *t)
{
	switch (t->kind) {
	case TRACK_ROUTE4:
		return track_route_there(&t->dst4) ? TRACK_UP : TRACK_DOWN;
	case TRACK_ROUTE6:
		return track_route_there(&t->dst6) ? TRACK_UP : TRACK_DOWN;
	case TRACK_SLA:
		return sla_state(t->sla, t->result);
	case TRACK_LIST:
		return list_state(t);
	case TRACK_FASTPATH:
		return fastpath_state();
	default:
		return iface_is_up(t) ? TRACK_UP : TRACK_DOWN;
	}
}

/* ---- changes ---- */

static const char *state_word(enum track_state s)
{
	return s == TRACK_UP ? "Up" : s == TRACK_DOWN ? "Down" : "Unknown";
}

static void tell(unsigned id, enum track_state s)
{
	for (size_t i = 0; i < n_subscribers; i++)
		subscribers[i].fn(subscribers[i].arg, id, s);
}

static void set_state(struct object *o, enum track_state s)
{
	static struct log_limit limit;
	char text[128];

	track_text(def_of(o), text, sizeof(text));
	log_event_limited(&limit, 20, "TRACK", LOG_L_INFO, "STATE", "%u %s %s -> %s", def_of(o)->id,
			  text, state_word(o->state), state_word(s));
	event_del(o->delay);
	o->pending = TRACK_UNKNOWN;
	if (o->state != TRACK_UNKNOWN) {
		o->changes++;
		o->changed_ns = rtr_now_ns();
	}
	o->state = s;
	tell(def_of(o)->id, s);
	track_kick(); /* lists */
}

static void on_delay(evutil_socket_t fd, short what, void *arg)
{
	struct object *o = arg;

	set_state(o, o->pending);
}

static void look(struct object *o)
{
	const struct track *t = def_of(o);
	enum track_state s = source_state(t);
	struct timeval tv = { .tv_sec = s == TRACK_UP ? t->delay_up : t->delay_down };

	if (s == TRACK_UNKNOWN)
		return;
	if (s == o->state) {
		event_del(o->delay);
		o->pending = TRACK_UNKNOWN;
	} else if (o->state == TRACK_UNKNOWN || !tv.tv_sec) {
		set_state(o, s);
	} else if (o->pending == TRACK_UNKNOWN) {
		o->pending = s;
		o->pending_ns = rtr_now_ns() + (uint64_t)tv.tv_sec * NSEC_PER_SEC;
		event_add(o->delay, &tv);
	}
}

static void look_all(evutil_socket_t fd, short what, void *arg)
{
	struct timeval tv = { .tv_usec = ROUTE_POLL_MS % 1000 * 1000,
			      .tv_sec = ROUTE_POLL_MS / 1000 };
	bool routes = false;

	for (unsigned id = 1; id <= MAX_ID; id++) {
		if (!objects[id])
			continue;
		look(objects[id]);
		routes |= def_of(objects[id])->kind == TRACK_ROUTE4 ||
			  def_of(objects[id])->kind == TRACK_ROUTE6;
	}
	if (routes)
		event_add(again, &tv);
}

void track_kick(void)
{
	if (kick)
		event_active(kick, EV_TIMEOUT, 0);
}

void track_observed(unsigned change)
{
	track_kick();
}

/* ---- the objects of the running model ---- */

static void object_drop(unsigned id)
{
	struct object *o = objects[id];
	bool known = o->state != TRACK_UNKNOWN;

	objects[id] = NULL;
	event_free(o->delay);
	rec_unref(o->def);
	free(o);
	if (known)
		tell(id, TRACK_UNKNOWN);
}

/* Of an object that tracks what it did, the state goes on. */
static bool same_source(const struct track *a, const struct track *b)
{
	char x[128], y[128];

	track_text(a, x, sizeof(x));
	track_text(b, y, sizeof(y));
	return !strcmp(x, y);
}

static void sync_model(const struct rec *root)
{
	const struct recvec *v = rec_kids(root, &track_type);
	const struct track *t;

	sla_sync(root);
	for (unsigned id = 1; id <= MAX_ID; id++) {
		t = objects[id] ? track_find(root, id) : NULL;
		if (objects[id] && (!t || !same_source(t, def_of(objects[id]))))
			object_drop(id);
	}
	recvec_foreach(v, t) {
		struct object *o = objects[t->id];

		if (!o) {
			o = objects[t->id] = xcalloc(1, sizeof(*o));
			o->delay = evtimer_new(cmd_base(), on_delay, o);
		}
		rec_unref(o->def);
		o->def = rec_ref(&t->rec);
	}
	track_kick();
}

static void on_publish(const struct rec *old, const struct rec *new, const char *user,
		       const char *source)
{
	sync_model(new);
}

static void first_look(evutil_socket_t fd, short what, void *arg)
{
	sync_model(txn_running());
}

int track_init(void)
{
	kick = evtimer_new(cmd_base(), look_all, NULL);
	again = evtimer_new(cmd_base(), look_all, NULL);
	txn_on_publish(on_publish);
	/* What the journal brings back is running only after all domains are up. */
	event_base_once(cmd_base(), -1, EV_TIMEOUT, first_look, NULL, &(struct timeval){ 0 });
	return 0;
}

void track_fini(void)
{
	n_subscribers = 0;
	sla_fini();
	for (unsigned id = 1; id <= MAX_ID; id++) {
		if (objects[id])
			object_drop(id);
	}
	if (kick)
		event_free(kick);
	if (again)
		event_free(again);
	kick = again = NULL;
}

/* ---- asking ---- */

bool track_get(unsigned id, enum track_state *ret)
{
	if (id > MAX_ID || !objects[id])
		return false;
	*ret = objects[id]->state;
	return true;
}

bool track_view(unsigned id, struct track_view *ret)
{
	uint64_t now = rtr_now_ns();
	const struct object *o = id <= MAX_ID ? objects[id] : NULL;

	if (!o)
		return false;
	*ret = (struct track_view){ .state = o->state,
				    .pending = o->pending,
				    .changes = o->changes };
	if (o->pending != TRACK_UNKNOWN && o->pending_ns > now)
		ret->pending_sec = (unsigned)((o->pending_ns - now) / NSEC_PER_SEC);
	ret->changed_sec = o->changed_ns ? (double)(now - o->changed_ns) / (double)NSEC_PER_SEC
					 : -1;
	return true;
}

void track_subscribe(track_fn fn, void *arg)
{
	if (n_subscribers == TRACK_MAX_SUBSCRIBERS)
		abort();
	subscribers[n_subscribers].fn = fn;
	subscribers[n_subscribers++].arg = arg;
}

const struct track *track_find(const struct rec *root, unsigned id)
{
	struct track like = { .rec = { .type = &track_type }, .id = (uint16_t)id };

	return (const void *)rec_find(root, &track_type, &like.rec);
}

void track_text(const struct track *t, char *buf, size_t size)
{
	static const char *const of_iface[] = { "line-protocol", "ip routing", "ipv6 routing" };
	char net[RTR_PREFIX_STRLEN];

	switch (t->kind) {
	case TRACK_ROUTE4:
		snprintf(buf, size, "ip route %s reachability", rtr_prefix_str(&t->dst4, net));
		break;
	case TRACK_ROUTE6:
		snprintf(buf, size, "ipv6 route %s reachability", rtr_prefix_str(&t->dst6, net));
		break;
	case TRACK_SLA:
		snprintf(buf, size, "ip sla %u %s", t->sla,
			 t->result == TRACK_STATE ? "state" : "reachability");
		break;
	case TRACK_LIST:
		snprintf(buf, size, "list boolean %s", t->boolean == TRACK_OR ? "or" : "and");
		break;
	case TRACK_FASTPATH:
		snprintf(buf, size, "fastpath");
		break;
	default:
		snprintf(buf, size, "interface %s %s", t->ifname, of_iface[t->what]);
	}
}
