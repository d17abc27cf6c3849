/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The line to rtr-dropd. */
#include "drops/drops.h"

#include "cli/command.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "system/parent.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* After the start of rtrd, which has more urgent things to do: the kernel's types are 6 MB to read.
 * Who asks before starts it at once. */
#define START_MS       2000
#define RESTART_MIN_MS 1000
#define RESTART_MAX_MS 60000
/* An answer comes within milliseconds, the first one after a start on a busy machine; from one that
 * hangs none does. */
#define PATIENCE_MS 5000
#define TURN        512

struct asker {
	void (*done)(void *arg);
	void *arg;
	uint32_t serial;
	struct asker *next;
};

/* An interface that rtr-dropd has counted on, by the name that it has, or had; "#7" when it was
 * gone before it was ever seen. */
struct name {
	int ifindex;
	char name[IFNAMSIZ];
	uint64_t gone_ns; /* first seen to be gone; 0: it is there */
	struct name *next;
};

#define NAMES 256
static struct {
	struct name *names[NAMES]; /* by ifindex */
	uint64_t unplaced_aged;    /* as it was when room was made last */
	int fd;                    /* -1: it does not run */
	struct event *ev_read, *ev_start, *ev_patience;
	unsigned backoff_ms;
	bool ready, given_up;
	char why[DROPD_TEXT];
	uint64_t unplaced;
	uint32_t serial;
	struct asker *askers;
	struct dropd_req watch; /* op 0: nobody looks */
	drops_packet_fn packet;
} k = { .fd = -1, .why = "rtr-dropd has not been started yet" };

const char *drops_untraced(void)
{
	return k.ready ? NULL : k.why;
}

bool drops_never_traced(void)
{
	return k.given_up;
}

uint64_t drops_unplaced(void)
{
	return k.unplaced;
}

static void send_req(const struct dropd_req *q)
{
	if (k.fd >= 0)
		(void)!send(k.fd, q, sizeof(*q), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* ---- who waits ---- */

/* Those that asked up to a serial number; 0: all. */
static void answer(uint32_t serial)
{
	for (struct asker **pp = &k.askers; *pp;) {
		struct asker *a = *pp;

		if (serial && (int32_t)(a->serial - serial) > 0) {
			pp = &a->next;
			continue;
		}
		*pp = a->next;
		a->done(a->arg);
		free(a);
		/* done may have changed the list. */
		pp = &k.askers;
	}
	if (!k.askers && k.ev_patience)
		event_del(k.ev_patience);
}

static void on_impatient(evutil_socket_t fd, short what, void *arg)
{
	answer(0);
}

void drops_sync_forget(void *arg)
{
	for (struct asker **pp = &k.askers; *pp;) {
		struct asker *a = *pp;

		if (a->arg != arg) {
			pp = &a->next;
			continue;
		}
		*pp = a->next;
		free(a);
	}
}

static void start(void);

void drops_sync(void (*done)(void *arg), void *arg)
{
	static const struct timeval patience = { PATIENCE_MS / 1000, PATIENCE_MS % 1000 * 1000 };
	struct dropd_req q = { .op = DROPD_SYNC, .serial = ++k.serial };
	struct asker *a;

	if (k.fd < 0 && !k.given_up)
		start();
	if (k.fd < 0) {
		done(arg);
		return;
	}
	a = xcalloc(1, sizeof(*a));
	*a = (struct asker){ done, arg, q.serial, k.askers };
	k.askers = a;
	send_req(&q);
	event_add(k.ev_patience, &patience);
}

/* ---- names ---- */

static void forget_name(struct name **pp)
{
	struct name *n = *pp;

	send_req(&(struct dropd_req){ .op = DROPD_FORGET, .ifindex = n->ifindex });
	drops_forget_traced(n->name);
	*pp = n->next;
	free(n);
}

static struct name **name_slot(int ifindex)
{
	struct name **pp = &k.names[(unsigned)ifindex % NAMES];

	while (*pp && (*pp)->ifindex != ifindex)
		pp = &(*pp)->next;
	return pp;
}

/* The one that had this name before: its rows go on as the new one's, and its counts would be
 * taken for theirs. */
static void displace(const struct shadow_link *l)
{
	for (size_t b = 0; b < NAMES; b++) {
		for (struct name **pp = &k.names[b]; *pp;) {
			if ((*pp)->ifindex != l->ifindex &&
			    !strcmp((*pp)->name, iface_operator_name(l->name)))
				forget_name(pp);
			else
				pp = &(*pp)->next;
		}
	}
}

static const char *name_of(int ifindex)
{
	const struct shadow_link *l = shadow_link_by_index(ifindex);
	struct name *n = *name_slot(ifindex);

	if (!n) {
		n = *name_slot(ifindex) = xcalloc(1, sizeof(*n));
		n->ifindex = ifindex;
		snprintf(n->name, sizeof(n->name), "#%d", ifindex);
	}
	if (l && strcmp(n->name, iface_operator_name(l->name))) {
		displace(l);
		rtr_strlcpy(n->name, iface_operator_name(l->name), sizeof(n->name));
	}
	return n->name;
}

void drops_link_age(uint64_t now)
{
	bool short_of_room = k.unplaced > k.unplaced_aged;

	k.unplaced_aged = k.unplaced;
	for (size_t b = 0; b < NAMES; b++) {
		for (struct name **pp = &k.names[b]; *pp;) {
			struct name *n = *pp;

			if (shadow_link_by_index(n->ifindex))
				n->gone_ns = 0;
			else if (!n->gone_ns)
				n->gone_ns = now;
			if (n->gone_ns && (short_of_room || now - n->gone_ns >= DROPS_GONE_NS))
				forget_name(pp);
			else
				pp = &n->next;
		}
	}
}

static void forget_names(void)
{
	for (size_t b = 0; b < NAMES; b++) {
		while (k.names[b]) {
			struct name *n = k.names[b];

			k.names[b] = n->next;
			free(n);
		}
	}
	k.unplaced = k.unplaced_aged = 0;
}

/* ---- what it says ---- */

static void take_count(const struct dropd_event *e)
{
	struct drop_id id = { .at = (enum drop_at)e->at,
			      .reason = (enum rtr_drop)e->reason,
			      .name = e->name,
			      .ifname = e->ifindex ? name_of(e->ifindex) : "",
			      .where = e->where,
			      .traced = true };

	drops_put(&id, e->packets, e->when_ns);
}

static void take_event(struct dropd_event *e)
{
	e->name[sizeof(e->name) - 1] = e->where[sizeof(e->where) - 1] = '\0';
	e->text[sizeof(e->text) - 1] = '\0';
	if (e->at >= DROP_AT__MAX || e->reason >= RTR_DROP__MAX)
		return;
	switch (e->kind) {
	case DROPD_READY:
		k.ready = true;
		k.backoff_ms = 0;
		if (k.watch.op)
			send_req(&k.watch);
		break;
	case DROPD_UNAVAILABLE:
		k.given_up = true;
		rtr_strlcpy(k.why, e->text, sizeof(k.why));
		drops_baseline();
		break;
	case DROPD_COUNT:
		take_count(e);
		break;
	case DROPD_SYNCED:
		k.unplaced = e->packets;
		answer(e->serial);
		break;
	case DROPD_PACKET:
	case DROPD_MISSED:
		if (k.packet)
			k.packet(e);
		break;
	}
}

/* ---- its life ---- */

static void hang_up(void)
{
	if (k.ev_read)
		event_free(k.ev_read);
	if (k.fd >= 0)
		close(k.fd);
	k.ev_read = NULL;
	k.fd = -1;
	k.ready = false;
}

static void start_later(void)
{
	struct timeval tv;

	k.backoff_ms = MIN(MAX(k.backoff_ms * 2, (unsigned)RESTART_MIN_MS),
			   (unsigned)RESTART_MAX_MS);
	tv = (struct timeval){ k.backoff_ms / 1000, k.backoff_ms % 1000 * 1000 };
	event_add(k.ev_start, &tv);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct dropd_event e;
	ssize_t n = 0;

	for (unsigned i = 0; i < TURN; i++) {
		n = recv(fd, &e, sizeof(e), MSG_DONTWAIT);
		if (n <= 0)
			break;
		if (n == sizeof(e))
			take_event(&e);
	}
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	hang_up();
	forget_names();
	drops_forget_traced(NULL);
	if (!k.given_up) {
		parent_ended(PARENT_PROG_DROPD);
		rtr_strlcpy(k.why, "rtr-dropd ended; it will be started again", sizeof(k.why));
		start_later();
	}
	answer(0);
}

static void start(void)
{
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		start_later();
		return;
	}
	r = parent_start(PARENT_PROG_DROPD, pair[1]);
	close(pair[1]);
	if (r) {
		close(pair[0]);
		k.given_up = r == -ENOTCONN;
		rtr_strlcpy(k.why, "rtrd runs without its parent process", sizeof(k.why));
		if (!k.given_up)
			start_later();
		return;
	}
	k.fd = pair[0];
	rtr_strlcpy(k.why, "rtr-dropd is being started", sizeof(k.why));
	event_del(k.ev_start);
	k.ev_read = event_new(cmd_base(), k.fd, EV_READ | EV_PERSIST, on_readable, NULL);
	if (!k.ev_read)
		abort();
	event_add(k.ev_read, NULL);
}

static void on_start(evutil_socket_t fd, short what, void *arg)
{
	if (k.fd < 0 && !k.given_up)
		start();
}

void drops_watch(int ifindex, const char *reason, drops_packet_fn fn)
{
	k.packet = fn;
	k.watch = (struct dropd_req){ .op = DROPD_MONITOR, .ifindex = ifindex };
	rtr_strlcpy(k.watch.reason, reason, sizeof(k.watch.reason));
	if (!fn)
		k.watch = (struct dropd_req){ .op = DROPD_QUIET };
	else if (k.fd < 0)
		on_start(-1, 0, NULL);
	send_req(&k.watch);
	if (!fn)
		k.watch.op = 0;
}

int drops_link_init(void)
{
	static const struct timeval later = { START_MS / 1000, START_MS % 1000 * 1000 };

	k.ev_start = evtimer_new(cmd_base(), on_start, NULL);
	k.ev_patience = evtimer_new(cmd_base(), on_impatient, NULL);
	if (!k.ev_start || !k.ev_patience)
		return -ENOMEM;
	event_add(k.ev_start, &later);
	return 0;
}

void drops_link_fini(void)
{
	hang_up();
	forget_names();
	if (k.ev_start)
		event_free(k.ev_start);
	if (k.ev_patience)
		event_free(k.ev_patience);
	k.ev_start = k.ev_patience = NULL;
	while (k.askers) {
		struct asker *a = k.askers;

		k.askers = a->next;
		free(a);
	}
}
