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
#include "system/log.h"
#include "system/parent.h"
#include "system/parent_vrrp.h"
#include "track/track.h"

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
#define HISTORY      256

struct sent_track {
	uint8_t decrement;
	bool fault, known;
};

static struct {
	struct vrrp_wants want;
	struct sent_track *track; /* beside want.v: what rtr-vrrpd was told */
	bool asked;               /* the parent, for rtr-vrrpd */
	int fd;
	bool hello;
	unsigned retry_ms;
	size_t next; /* group to be sent; want.n: END; beyond: nothing */
	uint32_t serial;
	struct event *ev_read, *ev_write, *ev_retry;
	const struct vrrp_shm *shm;
	struct vrrp_msg history[HISTORY];
	unsigned n_history;
} cl = { .fd = -1 };

/* ---- texts ---- */

const char *vrrp_state_text(unsigned state)
{
	static const char *const text[] = { "INIT", "BACKUP", "MASTER", "LEAVING" };

	return state < ARRAY_LEN(text) ? text[state] : "?";
}

const char *vrrp_reason_text(unsigned reason)
{
	static const char *const text[] = {
#define X(name, t) t,
		VRRP_REASONS(X)
#undef X
	};

	return reason < ARRAY_LEN(text) ? text[reason] : "?";
}

/* As IOS says it in the log: "Init", "Backup", "Master". */
static const char *state_word(unsigned state)
{
	static const char *const text[] = { "Init", "Backup", "Master", "Leaving" };

	return state < ARRAY_LEN(text) ? text[state] : "?";
}

/* ---- what rtr-vrrpd says; none of it is believed further than its type ---- */

static void log_state(const struct vrrp_msg *m)
{
	static struct log_limit lim;

	cl.history[cl.n_history++ % HISTORY] = *m;
	log_event_limited(&lim, 100, "VRRP", LOG_L_INFO, "STATECHANGE",
			  "%s IPv%d Grp %u state %s -> %s (%s)",
			  iface_operator_name(m->u.state.name.ifname),
			  m->u.state.name.family == AF_INET6 ? 6 : 4, m->u.state.name.vrid,
			  state_word(m->u.state.from), state_word(m->u.state.to),
			  vrrp_reason_text(m->u.state.reason));
}

#define WHO "%s IPv%d Grp %u: "

static void log_notice(const struct vrrp_msg *m)
{
	static struct log_limit lim;
	const char *name = iface_operator_name(m->u.notice.name.ifname);
	int family = m->u.notice.name.family == AF_INET6 ? 6 : 4;
	unsigned vrid = m->u.notice.name.vrid;
	char peer[RTR_ADDR_STRLEN] = "";

	if (m->u.notice.peer.family == AF_INET || m->u.notice.peer.family == AF_INET6)
		rtr_addr_str(&m->u.notice.peer, peer);
	switch (m->u.notice.what) {
	case VRRP_N_SUM:
		log_event_limited(&lim, 20, "VRRP", LOG_L_NOTICE, "CHECKSUM",
				  WHO "%s sends checksums %s pseudo header; doing the same", name,
				  family, vrid, peer, m->u.notice.v ? "with the" : "without");
		break;
	case VRRP_N_SUM_MIX:
		log_event_limited(&lim, 20, "VRRP", LOG_L_WARN, "CHECKSUMMIX",
				  WHO "the other routers disagree about the checksum: %s sends it "
				      "%s pseudo header; following it",
				  name, family, vrid, peer, m->u.notice.v ? "with the" : "without");
		break;
	case VRRP_N_MAC_DEAF:
		log_event_limited(&lim, 20, "VRRP", LOG_L_WARN, "MACDEAF",
				  WHO "frames to the virtual MAC do not reach us (%s answers to "
				      "the physical one only); using the physical MAC",
				  name, family, vrid, peer);
		break;
	case VRRP_N_SPLIT:
		log_event_limited(&lim, 20, "VRRP", LOG_L_WARN, "TWOMASTERS",
				  WHO "%s is master too, with priority %u", name, family, vrid,
				  peer, m->u.notice.v);
		break;
	case VRRP_N_ADDRESSES:
		log_event_limited(&lim, 20, "VRRP", LOG_L_WARN, "ADDRESSES",
				  WHO "%s has other virtual addresses in this group", name, family,
				  vrid, peer);
		break;
	case VRRP_N_INTERVAL:
		log_event_limited(&lim, 20, "VRRP", LOG_L_WARN, "INTERVAL",
				  WHO "%s sends adverts in another interval; ignoring them", name,
				  family, vrid, peer);
		break;
	case VRRP_N_VERSION:
		log_event_limited(&lim, 20, "VRRP", LOG_L_WARN, "VERSION",
				  WHO "%s speaks version %u; ignoring it", name, family, vrid, peer,
				  m->u.notice.v);
		break;
	case VRRP_N_ADDR_FAIL:
		log_event_limited(&lim, 20, "VRRP", LOG_L_ERR, "ADDRESS",
				  WHO "the kernel refuses a virtual address: %s", name, family,
				  vrid, strerror(m->u.notice.v));
		break;
	default:
		break;
	}
}

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

/* What the objects say about a group. False: one of them is not known yet. */
static bool judge(const struct vrrp_want *w, struct sent_track *ret)
{
	unsigned sum = 0;

	*ret = (struct sent_track){ .known = true };
	for (unsigned i = 0; i < w->n_tracks; i++) {
		enum track_state s;

		if (!track_get(w->track[i].id, &s) || s == TRACK_UNKNOWN)
			return false;
		if (s != TRACK_DOWN)
			continue;
		if (w->track[i].fault)
			ret->fault = true;
		else
			sum += w->track[i].decrement;
	}
	ret->decrement = (uint8_t)MIN(sum, 254u);
	return true;
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
	struct vrrp_msg m = { .type = VRRP_M_TRACK };
	struct sent_track t, *was = &cl.track[i];

	if (!judge(w, &t) || (was->known && was->decrement == t.decrement && was->fault == t.fault))
		return true;
	m.u.track.name = name_of(&w->conf);
	m.u.track.decrement = t.decrement;
	m.u.track.fault = t.fault;
	if (!send_msg(&m))
		return false;
	*was = t;
	return true;
}

static void want_write(void)
{
	if (cl.hello && cl.ev_write)
		event_add(cl.ev_write, NULL);
}

static void on_track(void *arg, unsigned id, enum track_state state)
{
	/* A configuration under way tells the state with each group. */
	for (size_t i = 0; cl.hello && cl.next > cl.want.n && i < cl.want.n; i++) {
		bool uses = false;

		for (unsigned k = 0; k < cl.want.v[i].n_tracks; k++)
			uses |= cl.want.v[i].track[k].id == id;
		if (uses && !send_track(i)) {
			cl.next = 0; /* the socket is full: all of it again, when it takes more */
			want_write();
			return;
		}
	}
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
	struct vrrp_msg m = { .type = VRRP_M_GROUP, .serial = cl.serial };

	m.u.group = cl.want.v[i].conf;
	cl.track[i].known = false;
	return send_msg(&m) && send_track(i);
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
		log_state(&m);
		break;
	case VRRP_M_NOTICE:
		log_notice(&m);
		break;
	default:
		break;
	}
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	for (unsigned i = 0; i < 64; i++) {
		struct vrrp_msg m;
		struct iovec iov = { &m, sizeof(m) };
		union {
			char buf[CMSG_SPACE(sizeof(int))];
			struct cmsghdr align;
		} control;
		struct msghdr mh = { .msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = control.buf,
				     .msg_controllen = sizeof(control.buf) };
		ssize_t n = recvmsg(cl.fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		struct cmsghdr *cm;
		int got = -1;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			hang_up();
			return;
		}
		cm = CMSG_FIRSTHDR(&mh);
		if (cm && cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_RIGHTS &&
		    cm->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(&got, CMSG_DATA(cm), sizeof(got));
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
		free(cl.track);
		cl.track = xcalloc(cl.want.n + 1, sizeof(*cl.track));
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

json_t *vrrp_client_history(void)
{
	json_t *out = json_array();
	unsigned first = cl.n_history > HISTORY ? cl.n_history - HISTORY : 0;

	for (unsigned i = first; i < cl.n_history; i++) {
		const struct vrrp_msg *m = &cl.history[i % HISTORY];

		json_array_append_new(
			out, json_pack("{s:f,s:s,s:i,s:s,s:s,s:s,s:s,s:i}", "time",
				       (double)m->u.state.at_sec + m->u.state.at_usec / 1e6,
				       "interface", iface_operator_name(m->u.state.name.ifname),
				       "group", m->u.state.name.vrid, "family",
				       m->u.state.name.family == AF_INET6 ? "ipv6" : "ipv4", "from",
				       vrrp_state_text(m->u.state.from), "to",
				       vrrp_state_text(m->u.state.to), "reason",
				       vrrp_reason_text(m->u.state.reason), "priority",
				       m->u.state.prio));
	}
	return out;
}

int vrrp_client_init(void)
{
	cl.ev_retry = evtimer_new(cmd_base(), on_retry, NULL);
	if (!cl.ev_retry)
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
	if (cl.fd >= 0)
		close(cl.fd);
	take_shm(-1);
	vrrp_wants_fini(&cl.want);
	free(cl.track);
	memset(&cl, 0, sizeof(cl));
	cl.fd = -1;
}
