/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "track/sla.h"

#include "cli/command.h"
#include "diag/probe.h"
#include "iface/iface.h"
#include "kernel/shadow.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* An echo without payload beyond IOS's 28 bytes of data: 64 bytes of IP. */
#define ECHO_SIZE 64

/* Turns after `need` equal results in a row; the first one decides at once. */
struct steady {
	enum track_state state;
	unsigned row;
};

struct run {
	struct rec *def; /* struct sla */
	struct event *next, *timeout, *connected;
	struct probe *echo; /* stays: a new one would be another connection */
	struct rtr_addr echo_src;
	int fd;
	bool waiting;
	uint64_t sent_ns, result_ns;
	struct steady steady[2]; /* by enum track_sla */
	struct sla_view view;
	struct run *after;
};

static struct run *runs;

static const struct sla *def_of(const struct run *r)
{
	return (const void *)r->def;
}

/* Where nothing is configured an answer may take as long as there is until the next probe. */
static unsigned timeout_ms(const struct sla *s)
{
	return SCH_HAS(s, timeout) ? s->timeout : MIN(SLA_TIMEOUT_MS, sla_frequency_ms(s));
}

static unsigned threshold_ms(const struct sla *s)
{
	return SCH_HAS(s, threshold) ? s->threshold : MIN(SLA_THRESHOLD_MS, timeout_ms(s));
}

static void after_ms(struct event *ev, unsigned ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = (int)(ms % 1000) * 1000 };

	event_add(ev, &tv);
}

/* ---- results ---- */

static bool step(struct steady *s, const struct sla *def, bool good)
{
	unsigned fails = SCH_HAS(def, faildetect) ? def->faildetect : SLA_FAILDETECT;
	unsigned goods = SCH_HAS(def, recover) ? def->recover : SLA_RECOVER;
	enum track_state now = good ? TRACK_UP : TRACK_DOWN;

	if (s->state == now) {
		s->row = 0;
		return false;
	}
	if (s->state != TRACK_UNKNOWN && ++s->row < (good ? goods : fails))
		return false;
	s->state = now;
	s->row = 0;
	return true;
}

static void stop_probe(struct run *r)
{
	r->waiting = false;
	event_del(r->timeout);
	if (r->connected)
		event_free(r->connected);
	r->connected = NULL;
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

static void finish(struct run *r, enum sla_result res, const char *error)
{
	const struct sla *s = def_of(r);
	struct sla_view *v = &r->view;
	bool answered, changed;

	r->result_ns = rtr_now_ns();
	v->last_us = (r->result_ns - r->sent_ns) / 1000;
	if (res == SLA_OK && v->last_us > threshold_ms(s) * 1000ull)
		res = SLA_OVER_THRESHOLD;
	answered = res == SLA_OK || res == SLA_OVER_THRESHOLD;
	if (answered) {
		uint64_t n = v->n[SLA_OK] + v->n[SLA_OVER_THRESHOLD];

		v->min_us = n ? MIN(v->min_us, v->last_us) : v->last_us;
		v->max_us = MAX(v->max_us, v->last_us);
		v->sum_us += v->last_us;
	}
	v->last = res;
	v->error = error;
	v->n[res]++;
	stop_probe(r);
	changed = step(&r->steady[TRACK_REACHABILITY], s, answered);
	changed |= step(&r->steady[TRACK_STATE], s, res == SLA_OK);
	if (changed)
		track_kick();
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	finish(arg, SLA_TIMEOUT, "");
}

/* ---- icmp-echo ---- */

static void echo_done(void *arg, enum probe_answer a, uint64_t us, const struct rtr_addr *from,
		      unsigned mtu)
{
	struct run *r = arg;

	if (!r->waiting)
		return;
	if (a == PROBE_REPLY)
		finish(r, SLA_OK, "");
	else if (a == PROBE_TIMEOUT)
		finish(r, SLA_TIMEOUT, "");
	else
		finish(r, SLA_ERROR,
		       a == PROBE_TTL          ? "Time to live exceeded"
		       : a == PROBE_PROHIBITED ? "Administratively prohibited"
					       : "Destination unreachable");
}

static int send_echo(struct run *r, const struct rtr_addr *src)
{
	const struct sla *s = def_of(r);
	struct probe_opts o = { .kind = PROBE_ECHO, .dst = s->dst, .src = *src, .size = ECHO_SIZE };
	int e = 0;

	if (r->echo && rtr_addr_cmp(src, &r->echo_src))
		r->echo = probe_free(r->echo);
	if (!r->echo)
		r->echo = probe_new(cmd_base(), &o, echo_done, r, &e);
	r->echo_src = *src;
	return r->echo ? probe_send(r->echo, 0, timeout_ms(s)) : e;
}

/* ---- tcp-connect ---- */

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
	socklen_t len = sizeof(int);
	int e = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0)
		e = errno;
	finish(arg, e ? SLA_ERROR : SLA_OK, e ? strerror(e) : "");
}

static int start_connect(struct run *r, const struct rtr_addr *src)
{
	const struct sla *s = def_of(r);
	struct sockaddr_storage ss;
	socklen_t len;

	r->fd = socket(s->dst.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (r->fd < 0)
		return -errno;
	len = rtr_addr_sockaddr(src, 0, &ss);
	if (src->family && bind(r->fd, (void *)&ss, len) < 0)
		return -errno;
	len = rtr_addr_sockaddr(&s->dst, s->port, &ss);
	if (connect(r->fd, (void *)&ss, len) < 0 && errno != EINPROGRESS)
		return -errno;
	r->connected = event_new(cmd_base(), r->fd, EV_WRITE, on_connected, r);
	event_add(r->connected, NULL);
	after_ms(r->timeout, timeout_ms(s));
	return 0;
}

/* ---- one after the other ---- */

static bool find_source(const struct sla *s, struct rtr_addr *ret)
{
	const struct shadow_link *l = SCH_HAS(s, src_if) ? iface_link(s->src_if) : NULL;

	*ret = s->src;
	for (size_t i = 0; l && i < l->n_addrs; i++) {
		const struct rtr_addr *a = &l->addrs[i].addr.addr;

		if (a->family == s->dst.family && !rtr_addr_is_linklocal(a)) {
			*ret = *a;
			return true;
		}
	}
	return !SCH_HAS(s, src_if);
}

static void on_next(evutil_socket_t fd, short what, void *arg)
{
	struct run *r = arg;
	const struct sla *s = def_of(r);
	struct rtr_addr src;
	int e;

	after_ms(r->next, sla_frequency_ms(s));
	/* A timeout as long as the frequency ends in the same turn of the loop. */
	if (r->waiting)
		finish(r, SLA_TIMEOUT, "");
	r->waiting = true;
	r->sent_ns = rtr_now_ns();
	if (!find_source(s, &src)) {
		finish(r, SLA_ERROR, "The source interface has no address");
		return;
	}
	e = s->kind == SLA_TCP_CONNECT ? start_connect(r, &src) : send_echo(r, &src);
	if (e)
		finish(r, SLA_ERROR, strerror(-e));
}

static void run_free(struct run *r)
{
	stop_probe(r);
	if (r->echo)
		probe_free(r->echo);
	event_free(r->next);
	event_free(r->timeout);
	rec_unref(r->def);
	free(r);
}

static struct run *run_find(uint32_t id)
{
	struct run *r = runs;

	while (r && def_of(r)->id != id)
		r = r->after;
	return r;
}

static void run_new(const struct sla *s)
{
	struct run *r = xcalloc(1, sizeof(*r));

	*r = (struct run){ .def = rec_ref(&s->rec), .fd = -1, .after = runs };
	r->view.error = "";
	r->next = evtimer_new(cmd_base(), on_next, r);
	r->timeout = evtimer_new(cmd_base(), on_timeout, r);
	runs = r;
	after_ms(r->next, 0);
}

void sla_sync(const struct rec *root)
{
	const struct recvec *v = rec_kids(root, &sla_type);
	const struct sla *s;

	for (struct run **p = &runs; *p;) {
		struct run *r = *p;
		const struct sla *now = sla_find(root, def_of(r)->id);

		if (now && rec_equal_fields(&now->rec, r->def)) {
			p = &r->after;
			continue;
		}
		*p = r->after;
		run_free(r);
	}
	recvec_foreach(v, s) {
		if (!run_find(s->id))
			run_new(s);
	}
}

void sla_fini(void)
{
	while (runs) {
		struct run *r = runs;

		runs = r->after;
		run_free(r);
	}
}

const struct sla *sla_find(const struct rec *root, uint32_t id)
{
	struct sla like = { .rec = { .type = &sla_type }, .id = id };

	return (const void *)rec_find(root, &sla_type, &like.rec);
}

enum track_state sla_state(uint32_t id, enum track_sla what)
{
	const struct run *r = run_find(id);

	return r ? r->steady[what].state : TRACK_UNKNOWN;
}

bool sla_view(uint32_t id, struct sla_view *ret)
{
	const struct run *r = run_find(id);

	if (!r)
		return false;
	*ret = r->view;
	ret->ago_sec = r->result_ns ? (double)(rtr_now_ns() - r->result_ns) / (double)NSEC_PER_SEC
				    : -1;
	return true;
}
