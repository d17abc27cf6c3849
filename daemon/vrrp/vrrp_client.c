/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The line to rtr-vrrpd. The configuration is sent whole, a message a group, as the socket takes
 * it; a newer one starts over. A lost line is made again, and the configuration sent again:
 * rtr-vrrpd compares and touches only what differs, so none of this moves a group.
 */
#include "vrrp/vrrp.h"

#include "cli/command.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "system/fdpass.h"
#include "system/log.h"
#include "system/parent.h"
#include "system/parent_vrrp.h"
#include "track/track.h"
#include "txn/txn.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define RETRY_MIN_MS 20
#define RETRY_MAX_MS 1000
/* Others' routes wake nobody: while a group waits for them they are asked for. */
#define ROUTES_POLL_MS 250

static struct {
	struct vrrp_wants want;
	struct vrrp_verdict *told; /* beside want.v: what rtr-vrrpd knows */
	bool asked;                /* the parent, for rtr-vrrpd */
	int fd;
	bool hello;
	unsigned retry_ms;
	size_t next; /* group to be sent; want.n: END; beyond: nothing */
	uint32_t serial;
	struct event *ev_read, *ev_write, *ev_retry, *ev_routes;
	uint64_t start_ns;
	bool default_seen[2]; /* a default route, IPv4 and IPv6, since the start */
	const struct vrrp_shm *shm;
} cl = { .fd = -1 };

static void take_shm(int fd)
{
	struct stat st;
	void *p;

	if (cl.shm)
		munmap((void *)(uintptr_t)cl.shm, sizeof(*cl.shm));
	cl.shm = NULL;
	/* Sealed against shrinking, or a read could kill us. */
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size != (off_t)sizeof(*cl.shm) ||
	    !(fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK))
		return;
	p = mmap(NULL, sizeof(*cl.shm), PROT_READ, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED)
		cl.shm = p;
}

/* ---- tracking ---- */

/* What the objects say about a group. */
static void judge_tracks(const struct vrrp_want *w, struct vrrp_verdict *v)
{
	unsigned sum = 0;

	v->known = true;
	for (unsigned i = 0; i < w->n_tracks; i++) {
		enum track_state s;

		if (!track_get(w->track[i].id, &s) || s == TRACK_UNKNOWN)
			v->known = false;
		else if (s == TRACK_DOWN && w->track[i].fault)
			v->fault = true;
		else if (s == TRACK_DOWN)
			sum += w->track[i].decrement;
	}
	v->decrement = (uint8_t)MIN(sum, 254u);
}

/* Of the group's family, since the start: one that flaps later is what tracking is for. */
static bool default_seen(uint8_t family)
{
	const struct rtr_prefix any = { .addr.family = family };
	bool *seen = &cl.default_seen[family == AF_INET6];

	*seen = *seen || track_route_there(&any);
	return *seen;
}

static bool tracked_routes_there(const struct vrrp_want *w)
{
	for (unsigned i = 0; i < w->n_tracks; i++) {
		const struct track *t = track_find(txn_running(), w->track[i].id);
		enum track_state s;

		if (t && (t->kind == TRACK_ROUTE4 || t->kind == TRACK_ROUTE6) &&
		    (!track_get(t->id, &s) || s != TRACK_UP))
			return false;
	}
	return true;
}

/* For how many seconds more the group waits for routes at most; 0: not at all. rtr's own static
 * routes are there already: a domain is applied, to the last acknowledgement, before the next. */
static uint32_t routes_wait(const struct vrrp_want *w)
{
	uint64_t until = cl.start_ns + w->routes_sec * NSEC_PER_SEC, now = rtr_now_ns();

	if (!w->routes_sec || now >= until ||
	    (default_seen(w->conf.family) && tracked_routes_there(w)))
		return 0;
	return (uint32_t)((until - now) / NSEC_PER_SEC + 1);
}

static struct vrrp_verdict judge(const struct vrrp_want *w)
{
	static const struct timeval soon = { .tv_usec = ROUTES_POLL_MS * 1000 };
	struct vrrp_verdict v = { 0 };

	judge_tracks(w, &v);
	v.hold_sec = routes_wait(w);
	if (v.hold_sec && !event_pending(cl.ev_routes, EV_TIMEOUT, NULL))
		event_add(cl.ev_routes, &soon);
	return v;
}

static struct vrrp_name name_of(const struct vrrp_conf *c)
{
	struct vrrp_name n = { .family = c->family, .vrid = c->vrid };

	rtr_strlcpy(n.ifname, c->ifname, sizeof(n.ifname));
	return n;
}

static bool send_msg(const struct vrrp_msg *m)
{
	return cl.fd >= 0 && send(cl.fd, m, sizeof(*m), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(*m);
}

/* Tells of the group when it differs from what was told. False: the socket is full. */
static bool send_track(size_t i)
{
	const struct vrrp_want *w = &cl.want.v[i];
	struct vrrp_verdict *was = &cl.told[i];
	struct vrrp_msg m = { .type = VRRP_M_TRACK, .verdict = judge(w) };
	const struct vrrp_verdict *v = &m.verdict;
	bool tracks = v->known != was->known ||
		      (v->known && (v->decrement != was->decrement || v->fault != was->fault));

	if (!tracks && !v->hold_sec == !was->hold_sec)
		return true;
	m.u.track = name_of(&w->conf);
	if (!send_msg(&m))
		return false;
	*was = *v;
	return true;
}

static void want_write(void)
{
	if (cl.hello && cl.ev_write)
		event_add(cl.ev_write, NULL);
}

static bool tracks(const struct vrrp_want *w, unsigned id)
{
	for (unsigned k = 0; k < w->n_tracks; k++) {
		if (w->track[k].id == id)
			return true;
	}
	return false;
}

/* Of the groups that track the object; 0: of all. */
static void tell_again(unsigned id)
{
	/* A configuration under way tells the state with each group. */
	for (size_t i = 0; cl.hello && cl.next > cl.want.n && i < cl.want.n; i++) {
		if ((!id || tracks(&cl.want.v[i], id)) && !send_track(i)) {
			cl.next = 0; /* the socket is full: all of it again, when it takes more */
			want_write();
			return;
		}
	}
}

static void on_track(void *arg, unsigned id, enum track_state state)
{
	tell_again(id);
}

static void on_routes(evutil_socket_t fd, short what, void *arg)
{
	tell_again(0);
}

/* ---- sending ---- */

static void hang_up(void)
{
	static const struct timeval soon = { .tv_usec = RETRY_MIN_MS * 1000 };

	if (cl.ev_read)
		event_free(cl.ev_read);
	if (cl.ev_write)
		event_free(cl.ev_write);
	cl.ev_read = cl.ev_write = NULL;
	if (cl.fd >= 0)
		close(cl.fd);
	cl.fd = -1;
	cl.hello = false;
	cl.retry_ms = RETRY_MIN_MS;
	event_add(cl.ev_retry, &soon);
}

static bool send_group(size_t i)
{
	struct vrrp_msg m = { .type = VRRP_M_GROUP,
			      .serial = cl.serial,
			      .verdict = judge(&cl.want.v[i]) };

	m.u.group = cl.want.v[i].conf;
	cl.told[i] = m.verdict;
	return send_msg(&m);
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
	struct vrrp_msg m = { .serial = cl.serial };

	if (cl.next == 0) {
		m.type = VRRP_M_BEGIN;
		if (!send_msg(&m))
			goto later;
	}
	for (; cl.next < cl.want.n; cl.next++) {
		if (!send_group(cl.next))
			goto later;
	}
	if (cl.next == cl.want.n) {
		m.type = VRRP_M_END;
		if (!send_msg(&m))
			goto later;
		cl.next++;
	}
	return;
later:
	if (errno == EAGAIN)
		want_write();
	else
		hang_up();
}

static void send_again(void)
{
	cl.next = 0;
	cl.serial++;
	want_write();
}

/* ---- receiving ---- */

static void take(const struct vrrp_msg *in, int fd)
{
	struct vrrp_msg m = *in;

	m.u.state.name.ifname[IFNAMSIZ - 1] = '\0';
	switch (m.type) {
	case VRRP_M_HELLO:
		if (m.u.hello.version != VRRP_WIRE_VERSION) {
			log_event("VRRP", LOG_L_ERR, "WIREVERSION",
				  "rtr-vrrpd is of another version: restart rtrd's service");
			break;
		}
		take_shm(fd);
		cl.hello = true;
		send_again();
		break;
	case VRRP_M_APPLIED:
		if (m.u.hello.n_groups)
			log_event("VRRP", LOG_L_ERR, "REFUSED",
				  "rtr-vrrpd has no room for %u groups", m.u.hello.n_groups);
		break;
	case VRRP_M_STATE:
		vrrp_event_state(&m);
		break;
	case VRRP_M_NOTICE:
		vrrp_event_notice(&m);
		break;
	default:
		break;
	}
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	for (unsigned i = 0; i < 64; i++) {
		struct vrrp_msg m;
		int got;
		ssize_t n = fd_recv(cl.fd, &m, sizeof(m), MSG_DONTWAIT, &got);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			hang_up();
			return;
		}
		if (n == sizeof(m))
			take(&m, got);
		if (got >= 0)
			close(got);
	}
}

/* ---- connecting ---- */

static void on_retry(evutil_socket_t unused, short what, void *arg)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct timeval tv = { .tv_sec = cl.retry_ms / 1000,
			      .tv_usec = (suseconds_t)(cl.retry_ms % 1000 * 1000) };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int len = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/vrrp.sock",
			   parent_args()->run_dir);

	if (fd >= 0 && len < (int)sizeof(sa.sun_path) &&
	    connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0) {
		cl.fd = fd;
		cl.ev_read = event_new(cmd_base(), fd, EV_READ | EV_PERSIST, on_read, NULL);
		cl.ev_write = event_new(cmd_base(), fd, EV_WRITE, on_write, NULL);
		event_add(cl.ev_read, NULL);
		return;
	}
	if (fd >= 0)
		close(fd);
	cl.retry_ms = MIN(cl.retry_ms * 2, (unsigned)RETRY_MAX_MS);
	event_add(cl.ev_retry, &tv);
}

static bool same_wants(const struct vrrp_wants *a, const struct vrrp_wants *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (memcmp(&a->v[i].conf, &b->v[i].conf, sizeof(a->v[i].conf)) ||
		    a->v[i].n_tracks != b->v[i].n_tracks ||
		    a->v[i].routes_sec != b->v[i].routes_sec ||
		    memcmp(a->v[i].track, b->v[i].track, sizeof(a->v[i].track)))
			return false;
	}
	return true;
}

/* Virtual addresses of a former time, and no group to keep them. */
static bool leftovers(void)
{
	uint8_t proto = parent_vrrp_proto(parent_args()->name);

	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l)) {
		for (size_t i = 0; i < l->n_addrs; i++) {
			if (l->addrs[i].proto == proto)
				return true;
		}
	}
	return false;
}

/* ---- public ---- */

void vrrp_client_push(struct vrrp_wants *w)
{
	static const struct timeval now;
	bool same = same_wants(&cl.want, w);

	/* The records of the new model in any case: the old ones may be freed. */
	vrrp_wants_fini(&cl.want);
	cl.want = *w;
	*w = (struct vrrp_wants){ 0 };
	if (!same) {
		free(cl.told);
		cl.told = xcalloc(cl.want.n + 1, sizeof(*cl.told));
		send_again();
	}
	if (cl.asked || !parent_args() || (!cl.want.n && !leftovers()))
		return;
	cl.asked = true;
	parent_want_vrrpd(parent_args()->parent_fd);
	cl.retry_ms = RETRY_MIN_MS;
	if (parent_args()->parent_fd >= 0)
		event_add(cl.ev_retry, &now);
}

const struct vrrp_wants *vrrp_client_wants(void)
{
	return &cl.want;
}

bool vrrp_client_send(uint32_t type)
{
	struct vrrp_msg m = { .type = type };

	return cl.hello && send_msg(&m);
}

const struct vrrp_shm *vrrp_client_shm(void)
{
	return cl.shm;
}

/* A copy that nobody wrote to meanwhile. A writer that was stopped in the middle (it is dead or
 * stuck) is not waited for: what there is, is shown. */
static void read_slot(const struct vrrp_slot *s, struct vrrp_slot *ret)
{
	for (unsigned tries = 0; tries < 1000; tries++) {
		uint32_t seq = __atomic_load_n(&s->seq, __ATOMIC_ACQUIRE);

		memcpy(ret, s, sizeof(*ret));
		vrrp_fence(__ATOMIC_ACQUIRE);
		if (!(seq & 1) && seq == __atomic_load_n(&s->seq, __ATOMIC_RELAXED))
			return;
	}
}

bool vrrp_client_status(const struct vrrp_conf *c, struct vrrp_status *ret)
{
	uint32_t n = cl.shm ? MIN(cl.shm->n_slots, (uint32_t)VRRP_MAX_GROUPS) : 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct vrrp_slot *s = &cl.shm->slot[i];
		struct vrrp_slot copy;

		if (!s->used || s->conf.vrid != c->vrid || s->conf.family != c->family ||
		    strncmp(s->conf.ifname, c->ifname, IFNAMSIZ))
			continue;
		read_slot(s, &copy);
		*ret = copy.st;
		return true;
	}
	return false;
}

int vrrp_client_init(void)
{
	cl.start_ns = rtr_now_ns();
	cl.ev_retry = evtimer_new(cmd_base(), on_retry, NULL);
	cl.ev_routes = evtimer_new(cmd_base(), on_routes, NULL);
	if (!cl.ev_retry || !cl.ev_routes)
		return -ENOMEM;
	track_subscribe(on_track, NULL);
	return 0;
}

void vrrp_client_fini(void)
{
	if (cl.ev_read)
		event_free(cl.ev_read);
	if (cl.ev_write)
		event_free(cl.ev_write);
	if (cl.ev_retry)
		event_free(cl.ev_retry);
	if (cl.ev_routes)
		event_free(cl.ev_routes);
	if (cl.fd >= 0)
		close(cl.fd);
	take_shm(-1);
	vrrp_wants_fini(&cl.want);
	free(cl.told);
	memset(&cl, 0, sizeof(cl));
	cl.fd = -1;
}
