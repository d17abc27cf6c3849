/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtr-fastpath: started when an interface wants it, told what it shall do, asked for figures. The
 * parent keeps a copy of the socket to it: when rtrd is killed rtr-fastpath does not notice, and
 * the next rtrd goes on with it.
 */
#include "capture/capture.h"
#include "cli/command.h"
#include "fastpath/fast_hits.h"
#include "fastpath/fastpath.h"
#include "kernel/apply.h"
#include "kernel/shadow.h"
#include "system/global.h"
#include "system/log.h"
#include "system/parent.h"
#include "track/track.h"
#include "txn/txn.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Between two starts of rtr-fastpath; the first is at once. */
#define RESTART_MIN_MS 100
#define RESTART_MAX_MS 10000
/* A commit takes milliseconds. */
#define LOOK_AGAIN_MS 20
/* An answer that takes longer does not come. */
#define ANSWER_MS 3000
#define MB_FRAMES 512 /* of 2 KiB */

struct fast_ask {
	struct fastpath_req req;
	bool sent;
	void (*route)(void *arg, const struct fastpath_route *r);
	void (*flow)(void *arg, const struct fastpath_flow *f);
	void (*event)(void *arg, const struct fastpath_event *e);
	void (*done)(void *arg, bool ok);
	void *arg;
	struct event *ev_timeout;
	struct fast_ask *next;
};

static struct {
	int fd; /* -1: rtr-fastpath is not running */
	struct event *ev_read, *ev_write, *ev_start, *ev_look;
	unsigned backoff_ms;
	bool complained, opened, synced;
	bool complete;            /* the ports below are all that are wanted */
	struct fastpath_req open; /* what it was started with */
	struct fast_seen seen;
	struct fast_ask *asks; /* one after the other: the first is being answered */
	uint32_t seq;
} d = { .fd = -1 };

const struct fast_seen *fast_seen(void)
{
	return &d.seen;
}

/* ---- talking ---- */

static bool say(const struct fastpath_req *q)
{
	if (d.fd < 0)
		return false;
	if (send(d.fd, q, sizeof(*q), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(*q))
		return true;
	/* Full: go on when it is not. Its end is told by reading. */
	event_add(d.ev_write, NULL);
	return false;
}

static void keep_socket(int fd)
{
	const struct rtrd_args *a = parent_args();

	if (a)
		(void)parent_hold(a->parent_fd, PARENT_KEY_FASTPATH, fd);
}

static bool say_port(struct fast_port *p)
{
	struct fastpath_req q = { .op = p->wanted ? FASTPATH_PORT : FASTPATH_PORT_GONE,
				  .ifindex = p->ifindex };

	q.u.port.express = p->express;
	q.u.port.zero_copy = (uint8_t)p->zero_copy;
	if (!say(&q))
		return false;
	p->told = true;
	return true;
}

static void drop_gone(void)
{
	for (struct fast_port **pp = &d.seen.ports; *pp;) {
		struct fast_port *p = *pp;

		if (p->wanted || !p->told) {
			pp = &p->next;
			continue;
		}
		*pp = p->next;
		free(p);
	}
}

void fast_talk(void)
{
	if (!d.opened && d.fd >= 0)
		d.opened = say(&d.open);
	if (!d.opened)
		return;
	if (!fast_push_send(d.fd)) {
		event_add(d.ev_write, NULL);
		return;
	}
	/* Without a policy a worker would route what it shall translate. Until the first one is in
	 * force nothing is said of interfaces, that is what XDP does with them stays as it is. */
	for (struct fast_port *p = d.seen.ports; p; p = p->next) {
		if (!p->told && !(p->wanted && fast_push_awaited()) && !say_port(p))
			return;
	}
	drop_gone();
	/* Anybody who asks something comes by here: between the policy that is in force and the
	 * look at who may be on the fast plane with it, no interface is named yet. */
	if (!d.synced && d.complete)
		d.synced = say(&(struct fastpath_req){ .op = FASTPATH_SYNCED });
	if (d.asks && !d.asks->sent) {
		d.asks->sent = say(&d.asks->req);
	}
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	fast_talk();
}

/* ---- figures ---- */

static void ask_free(struct fast_ask *a)
{
	event_free(a->ev_timeout);
	free(a);
}

static void ask_end(struct fast_ask *a, bool ok)
{
	struct fast_ask **pp = &d.asks;

	while (*pp != a)
		pp = &(*pp)->next;
	*pp = a->next;
	a->done(a->arg, ok);
	ask_free(a);
	fast_talk();
}

static void on_ask_timeout(evutil_socket_t fd, short what, void *arg)
{
	ask_end(arg, false);
}

/* At the end of the queue; the caller adds who gets the items, then talks. */
static struct fast_ask *ask_begin(const struct fastpath_req *q, void (*done)(void *arg, bool ok),
				  void *arg)
{
	struct timeval tv = { .tv_sec = ANSWER_MS / 1000 };
	struct fast_ask *a, **pp = &d.asks;

	if (d.fd < 0)
		return NULL;
	a = xcalloc(1, sizeof(*a));
	*a = (struct fast_ask){ .req = *q, .done = done, .arg = arg };
	a->req.seq = ++d.seq;
	a->ev_timeout = evtimer_new(cmd_base(), on_ask_timeout, a);
	if (!a->ev_timeout)
		abort();
	event_add(a->ev_timeout, &tv);
	while (*pp)
		pp = &(*pp)->next;
	*pp = a;
	return a;
}

struct fast_ask *fast_ask(bool flows, uint32_t n,
			  void (*flow)(void *arg, const struct fastpath_flow *f),
			  void (*done)(void *arg, bool ok), void *arg)
{
	struct fastpath_req q = { .op = flows ? FASTPATH_FLOWS : FASTPATH_TELL };
	struct fast_ask *a;

	q.u.n = n;
	a = ask_begin(&q, done, arg);
	if (!a)
		return NULL;
	a->flow = flow;
	fast_talk();
	return a;
}

struct fast_ask *fast_ask_way(const struct rtr_addr *dst, int ifindex, int vrf,
			      void (*route)(void *arg, const struct fastpath_route *r),
			      void (*done)(void *arg, bool ok), void *arg)
{
	struct fastpath_req q = { .op = FASTPATH_WAY, .ifindex = ifindex };
	struct fast_ask *a;

	q.u.way.family = dst->family;
	q.u.way.vrf = (uint32_t)vrf;
	memcpy(q.u.way.dst, dst->b, sizeof(q.u.way.dst));
	a = ask_begin(&q, done, arg);
	if (!a)
		return NULL;
	a->route = route;
	fast_talk();
	return a;
}

struct fast_ask *fast_ask_events(const struct fastpath_req *q,
				 void (*event)(void *arg, const struct fastpath_event *e),
				 void (*done)(void *arg, bool ok), void *arg)
{
	struct fast_ask *a = ask_begin(q, done, arg);

	if (!a)
		return NULL;
	a->event = event;
	fast_talk();
	return a;
}

void fast_ask_drop(struct fast_ask *a)
{
	struct fast_ask **pp = &d.asks;

	while (*pp && *pp != a)
		pp = &(*pp)->next;
	if (!*pp)
		return;
	*pp = a->next;
	ask_free(a);
	fast_talk();
}

static struct fast_port *port_of(int ifindex)
{
	struct fast_port *p = d.seen.ports;

	while (p && p->ifindex != ifindex)
		p = p->next;
	return p;
}

static void take_state(const struct fastpath_event *e)
{
	static struct log_limit limit;
	struct fast_port *p = port_of(e->ifindex);
	const struct iface *i;
	bool was;

	if (!p || !p->wanted)
		return;
	was = p->heard && p->state.u.state.fast;
	p->state = *e;
	p->heard = true;
	i = iface_find(txn_running(), iface_operator_name(p->name));
	if (was == !!e->u.state.fast)
		return;
	if (e->u.state.fast)
		log_event_limited(&limit, 20, "FAST", LOG_L_NOTICE, "UP",
				  "Interface %s is on the fast plane",
				  iface_operator_name(p->name));
	else if (was || (i && fast_wish(i) == DATAPLANE_FAST))
		log_event_limited(&limit, 20, "FAST", LOG_L_WARN, "DOWN",
				  "Interface %s is on the kernel plane: %s",
				  iface_operator_name(p->name), e->u.state.reason);
}

void fast_look_soon(void)
{
	struct timeval now = { 0 };

	if (d.ev_look)
		event_add(d.ev_look, &now);
}

static void take_event(const struct fastpath_event *e)
{
	static struct log_limit limit;
	struct fast_port *p;

	if (d.asks && d.asks->req.seq == e->seq && d.asks->event)
		d.asks->event(d.asks->arg, e);
	switch (e->kind) {
	case FASTPATH_READY:
		fast_look_soon(); /* its map may be a new one: fast_gate_open */
		d.seen.ready = d.seen.was_ready = true;
		track_kick();
		d.backoff_ms = 0;
		d.complained = false;
		*d.seen.failure = '\0';
		break;
	case FASTPATH_FAILED:
		rtr_strlcpy(d.seen.failure, e->u.text, sizeof(d.seen.failure));
		break;
	case FASTPATH_NOTE:
		log_event_limited(&limit, 5, "FAST", LOG_L_NOTICE, "NOTE", "%s", e->u.text);
		break;
	case FASTPATH_STATE:
		take_state(e);
		break;
	case FASTPATH_COUNT:
		p = port_of(e->ifindex);
		if (p)
			p->count = *e;
		fast_carried_take(e, d.seen.starts);
		break;
	case FASTPATH_WORKER:
		if (e->u.worker.id < ARRAY_LEN(d.seen.workers)) {
			d.seen.workers[e->u.worker.id] = e->u.worker;
			d.seen.n_workers = MAX(d.seen.n_workers, e->u.worker.id + 1);
		}
		break;
	case FASTPATH_TABLE:
		d.seen.table = e->u.table;
		break;
	case FASTPATH_FLOW:
		if (d.asks && d.asks->req.seq == e->seq && d.asks->flow)
			d.asks->flow(d.asks->arg, &e->u.flow);
		break;
	case FASTPATH_ROUTE:
		if (d.asks && d.asks->req.seq == e->seq && d.asks->route)
			d.asks->route(d.asks->arg, &e->u.route);
		break;
	case FASTPATH_JUDGED:
		if (fast_push_answer(e))
			fast_look_soon();
		break;
	case FASTPATH_HITS:
		fast_hits_take(&e->u.hits);
		break;
	case FASTPATH_END:
		if (!d.asks || d.asks->req.seq != e->seq)
			break;
		if (d.asks->req.op == FASTPATH_TELL)
			fast_hits_taken();
		ask_end(d.asks, true);
		break;
	}
}

/* ---- its life ---- */

static void hang_up(void)
{
	if (d.ev_read)
		event_free(d.ev_read);
	if (d.ev_write)
		event_free(d.ev_write);
	d.ev_read = d.ev_write = NULL;
	if (d.fd >= 0) {
		close(d.fd);
		keep_socket(-1);
	}
	d.fd = -1;
	d.opened = d.synced = d.complete = d.seen.running = d.seen.ready = false;
	fast_push_gone();
	fast_hits_take(&(struct fastpath_hits){ .again = 1 });
	track_kick();
	d.seen.n_workers = 0;
	/* The next one starts from nothing. */
	for (struct fast_port *p = d.seen.ports; p; p = p->next)
		p->told = p->heard = false;
	for (struct fast_port **pp = &d.seen.ports; *pp;) {
		struct fast_port *p = *pp;

		if (p->wanted) {
			pp = &p->next;
			continue;
		}
		*pp = p->next;
		free(p);
	}
	while (d.asks)
		ask_end(d.asks, false);
}

static void start_later(void)
{
	struct timeval tv = { .tv_sec = d.backoff_ms / 1000,
			      .tv_usec = (suseconds_t)(d.backoff_ms % 1000) * 1000 };

	event_add(d.ev_start, &tv);
	d.backoff_ms = MIN(MAX(d.backoff_ms * 2, (unsigned)RESTART_MIN_MS),
			   (unsigned)RESTART_MAX_MS);
}

static void ended(void)
{
	parent_ended(PARENT_PROG_FASTPATH);
	if (!d.complained)
		log_event(
			"FAST", LOG_L_ERR, "ENDED",
			"rtr-fastpath ended%s%s: XDP forwards known flows, the kernel the others, "
			"until it runs again",
			*d.seen.failure ? ": " : "", d.seen.failure);
	d.complained = true;
	hang_up();
	if (d.seen.needed)
		start_later();
}

/* Before it is ready it may still speak to the rtrd before us. */
static bool is_for_us(const struct fastpath_event *e)
{
	return d.seen.ready || e->kind == FASTPATH_READY || e->kind == FASTPATH_FAILED ||
	       e->kind == FASTPATH_NOTE;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct fastpath_event e;
	ssize_t n;

	for (;;) {
		memset(&e, 0, offsetof(struct fastpath_event, u));
		n = recv(fd, &e, sizeof(e), MSG_DONTWAIT);
		if (n <= 0)
			break;
		if (n > (ssize_t)offsetof(struct fastpath_event, u) && is_for_us(&e))
			take_event(&e);
		if (d.fd != fd)
			return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	ended();
}

static void take_socket(int fd)
{
	d.seen.starts++;
	d.seen.running = true;
	d.fd = fd;
	d.ev_read = event_new(cmd_base(), d.fd, EV_READ | EV_PERSIST, on_readable, NULL);
	d.ev_write = event_new(cmd_base(), d.fd, EV_WRITE, on_writable, NULL);
	if (!d.ev_read || !d.ev_write)
		abort();
	event_add(d.ev_read, NULL);
}

static void on_start(evutil_socket_t nothing, short what, void *arg)
{
	int pair[2], r;

	if (d.fd >= 0 || !d.seen.needed)
		return;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		start_later();
		return;
	}
	r = parent_start(PARENT_PROG_FASTPATH, pair[1]);
	close(pair[1]);
	if (r) {
		close(pair[0]);
		if (r != -ENOTCONN)
			start_later();
		return;
	}
	take_socket(pair[0]);
	keep_socket(d.fd);
	fast_talk();
}

/* ---- what is wanted ---- */

static void make_open(struct fastpath_req *q)
{
	const struct global *g = (const void *)txn_running();
	const struct rtrd_args *a = parent_args();

	memset(q, 0, sizeof(*q));
	q->op = FASTPATH_OPEN;
	if (a)
		snprintf(q->u.open.pin_dir, sizeof(q->u.open.pin_dir), "%s/bpf", a->run_dir);
	q->u.open.n_workers = fast_workers(g);
	q->u.open.n_frames = fast_memory(g) * MB_FRAMES;
	q->u.open.n_flows[0] = fast_flows(g, 0);
	q->u.open.n_flows[1] = fast_flows(g, 1);
}

static void set_port(struct fast_port *p, bool wanted)
{
	if (p->wanted == wanted)
		return;
	p->wanted = wanted;
	p->told = false;
}

bool fast_carries(const char *kernel_name)
{
	const struct fast_port *p = d.seen.ports;

	while (p && strcmp(p->name, kernel_name))
		p = p->next;
	return p && d.seen.ready && p->wanted && p->heard && p->state.u.state.fast;
}

/* veth hands the tag over beside the frame, where XDP does not see it: neither the VLANs nor what
 * is untagged can be told from the other. */
static const char *against_veth(const struct shadow_link *l)
{
	const struct shadow_link *v = NULL;

	if (l->vlan_id)
		l = shadow_link_by_index(l->parent);
	while (l && !strcmp(l->kind, "veth") && (v = shadow_link_next(v)) != NULL) {
		if (v->vlan_id && v->parent == l->ifindex)
			return "VLANs on a veth: XDP does not see their tags";
	}
	return NULL;
}

const char *fast_against(const struct iface *i)
{
	const struct shadow_link *l = iface_link(i->name);
	enum iface_kind kind = iface_kind_of(i->name);

	if (fast_wish(i) == DATAPLANE_KERNEL)
		return "by configuration";
	if (!l)
		return "no such interface";
	if (kind != IFACE_HARD && kind != IFACE_SUB)
		return "neither an interface of hardware nor a VLAN of one";
	if (*fast_gate())
		return fast_gate();
	if (capture_sees(l->ifindex))
		return "a capture runs on it: monitor capture";
	if (shadow_link_vrf(l) && capture_sees(l->master))
		return "a capture runs on its VRF: monitor capture";
	return against_veth(l);
}

static void want_iface(const struct iface *i)
{
	const struct shadow_link *l = iface_link(i->name);
	struct fast_port *p;

	if (fast_wish(i) == DATAPLANE_KERNEL)
		return;
	d.seen.needed = true;
	if (fast_against(i))
		return;
	p = port_of(l->ifindex);
	if (!p) {
		p = xcalloc(1, sizeof(*p));
		p->ifindex = l->ifindex;
		p->next = d.seen.ports;
		d.seen.ports = p;
	}
	rtr_strlcpy(p->name, l->name, sizeof(p->name));
	if (p->express != fast_express(i) || p->zero_copy != fast_zero_copy(i))
		p->told = false;
	p->express = fast_express(i);
	p->zero_copy = fast_zero_copy(i);
	set_port(p, true);
}

static bool still_wanted(const struct fast_port *p)
{
	const struct shadow_link *l = shadow_link_by_index(p->ifindex);
	const struct iface *i;
	const char *why;

	if (!l)
		return false;
	i = iface_find(txn_running(), iface_operator_name(l->name));
	why = i ? fast_against(i) : NULL;
	/* A new process is given the interfaces that the one before had. */
	return i && (!why || (fast_push_awaited() && why == fast_push_against()));
}

static void stop(void)
{
	say(&(struct fastpath_req){ .op = FASTPATH_BYE });
	hang_up();
}

static void look(void)
{
	const struct recvec *ifaces = rec_kids(txn_running(), &iface_type);
	struct fastpath_req open;
	const struct iface *i;

	d.seen.needed = false;
	fast_push_look();
	fast_gate_open();
	for (struct fast_port *p = d.seen.ports; p; p = p->next)
		if (p->wanted && !still_wanted(p))
			set_port(p, false);
	recvec_foreach(ifaces, i)
		want_iface(i);
	d.complete = !fast_push_awaited();
	make_open(&open);
	if (d.fd >= 0 && (!d.seen.needed || (d.opened && memcmp(&open, &d.open, sizeof(open))))) {
		fast_talk(); /* off first: what is said before BYE is heard */
		stop();
	}
	d.open = open;
	if (d.fd >= 0)
		fast_talk();
	else if (d.seen.needed && !evtimer_pending(d.ev_start, NULL))
		on_start(-1, 0, NULL);
}

/* What a commit under way says counts when it has ended: else a policy that it removes, and that a
 * failure brings back, would be let go too early. The gate closes at once (fast_gate_closed). One
 * that waits for us has ended. */
static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct timeval later = { .tv_usec = LOOK_AGAIN_MS * 1000 };

	if (!fast_push_waits() && (txn_busy() || apply_running()))
		event_add(d.ev_look, &later);
	else
		look();
}

void fast_gate_closed(void)
{
	for (struct fast_port *p = d.seen.ports; p; p = p->next)
		set_port(p, false);
	fast_talk();
}

void fast_observed(unsigned change)
{
	if (change & (SHADOW_LINK | SHADOW_ADDR))
		fast_look_soon();
	if (change & SHADOW_LINK)
		fast_carried_prune();
}

static void published(const struct rec *old, const struct rec *new, const char *user,
		      const char *source)
{
	fast_look_soon();
}

static bool after_commit(const struct rec *old, const struct rec *new,
			 void (*done)(const char *text))
{
	bool ran = d.seen.ready;
	uint64_t starts = d.seen.starts;

	/* Whoever asks next is told what holds now. */
	look();
	if (!d.seen.needed)
		return false;
	return ran && d.seen.starts != starts ? fast_push_started(done) : fast_push_after(done);
}

int fast_init(void)
{
	int fd = parent_held(PARENT_KEY_FASTPATH);

	d.ev_start = evtimer_new(cmd_base(), on_start, NULL);
	d.ev_look = evtimer_new(cmd_base(), on_look, NULL);
	if (!d.ev_start || !d.ev_look)
		return -ENOMEM;
	if (fast_push_init())
		return -ENOMEM;
	txn_on_publish(published);
	fast_conn_init();
	txn_after_publish(after_commit);
	/* Other events are not answered. */
	d.seq = (uint32_t)(rtr_now_ns() / NSEC_PER_MSEC);
	if (fd >= 0)
		take_socket(fd);
	fast_look_soon();
	return 0;
}

void fast_fini(void)
{
	hang_up();
	while (d.seen.ports) {
		struct fast_port *p = d.seen.ports;

		d.seen.ports = p->next;
		free(p);
	}
	if (d.ev_start)
		event_free(d.ev_start);
	if (d.ev_look)
		event_free(d.ev_look);
	d.ev_start = d.ev_look = NULL;
	fast_push_fini();
	fast_hits_fini();
	fast_carried_fini();
}
