/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "system/syslog.h"

#include "cli/command.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "rtr/version.h"
#include "system/global.h"
#include "txn/txn.h"

#include <errno.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define RETRY_MIN_SEC 1
#define RETRY_MAX_SEC 30
/* A receiver that takes nothing for so long is gone. */
#define STALL_MS 30000

struct host {
	struct rec *def; /* struct log_host */
	int fd;
	struct event *read, *write, *retry;
	bool open; /* UDP: bound and connected; TCP: the handshake is done */
	char *queue[SYSLOG_QUEUE_LEN];
	size_t first, n;
	size_t part; /* bytes of the first line that the socket has taken */
	unsigned retry_sec;
	uint32_t sequence;
	struct syslog_view view;
	struct host *next;
};

static struct host *hosts;

static const struct log_host *def_of(const struct host *h)
{
	return (const void *)h->def;
}

static bool is_tcp(const struct host *h)
{
	return def_of(h)->transport == SYSLOG_TCP;
}

uint16_t syslog_port(const struct log_host *h)
{
	return SCH_HAS(h, port)             ? h->port
	       : h->transport == SYSLOG_TCP ? SYSLOG_PORT_TCP
					    : SYSLOG_PORT;
}

/* ---- the queue ---- */

static void pop(struct host *h)
{
	free(h->queue[h->first]);
	h->first = (h->first + 1) % SYSLOG_QUEUE_LEN;
	h->n--;
	h->part = 0;
}

/* The line with its frame. */
static char *frame(const struct host *h, const char *line, size_t len)
{
	return is_tcp(h) ? xasprintf("%zu %s", len, line) : xstrdup(line);
}

static void close_host(struct host *h)
{
	if (h->read)
		event_free(h->read);
	if (h->write)
		event_free(h->write);
	h->read = h->write = NULL;
	if (h->fd >= 0)
		close(h->fd);
	h->fd = -1;
	h->open = false;
	h->part = 0; /* the next connection gets the line from its start */
}

static void fail(struct host *h, const char *why)
{
	struct timeval tv;

	close_host(h);
	h->view.errors++;
	h->view.error = why;
	h->retry_sec = MIN(MAX(h->retry_sec * 2, (unsigned)RETRY_MIN_SEC), (unsigned)RETRY_MAX_SEC);
	tv = (struct timeval){ .tv_sec = (time_t)h->retry_sec };
	event_add(h->retry, &tv);
}

/* Sends what the socket takes. */
static void drain(struct host *h)
{
	while (h->open && h->n) {
		const char *line = h->queue[h->first];
		size_t left = strlen(line) - h->part;
		ssize_t r = send(h->fd, line + h->part, left, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
			event_add(h->write, NULL);
			return;
		}
		/* The port is closed there: an ICMP error about a line that is gone already. */
		if (r < 0 && errno == ECONNREFUSED && !is_tcp(h)) {
			h->view.errors++;
			h->view.error = strerror(ECONNREFUSED);
			continue;
		}
		if (r < 0) {
			fail(h, strerror(errno));
			return;
		}
		h->retry_sec = 0;
		h->part += (size_t)r;
		if ((size_t)r == left) {
			h->view.sent++;
			pop(h);
		}
	}
}

/* ---- the socket ---- */

/* logging source-interface: its first address of the family. */
static bool find_source(uint8_t family, struct rtr_addr *ret)
{
	const struct global *g = (const void *)txn_running();
	const struct shadow_link *l;

	*ret = (struct rtr_addr){ 0 };
	if (!SCH_HAS(g, log_source))
		return true;
	l = iface_link(g->log_source);
	for (size_t i = 0; l && i < l->n_addrs; i++) {
		const struct rtr_addr *a = &l->addrs[i].addr.addr;

		if (a->family == family && !rtr_addr_is_linklocal(a)) {
			*ret = *a;
			return true;
		}
	}
	return false;
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	struct host *h = arg;
	char buf[512];
	ssize_t r = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	/* Nothing is expected from a receiver; what comes is dropped. */
	if (r > 0 || (r < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	if (is_tcp(h)) {
		fail(h, r ? strerror(errno) : "closed by the receiver");
	} else if (r < 0) {
		h->view.errors++;
		h->view.error = strerror(errno);
	}
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
	struct host *h = arg;
	socklen_t len = sizeof(int);
	int e = 0;

	if (!h->open) {
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0)
			e = errno;
		if (e) {
			fail(h, strerror(e));
			return;
		}
		h->open = true;
	}
	drain(h);
}

static int set_options(struct host *h)
{
	const struct log_host *d = def_of(h);
	int stall = STALL_MS;

	if (d->vrf && setsockopt(h->fd, SOL_SOCKET, SO_BINDTODEVICE, d->vrf,
				 (socklen_t)strlen(d->vrf) + 1) < 0)
		return -errno;
	if (is_tcp(h) &&
	    setsockopt(h->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &stall, sizeof(stall)) < 0)
		return -errno;
	return 0;
}

static bool source_is_linklocal(int fd)
{
	struct sockaddr_in6 ss = { 0 };
	socklen_t len = sizeof(ss);

	return !getsockname(fd, (void *)&ss, &len) && ss.sin6_family == AF_INET6 &&
	       IN6_IS_ADDR_LINKLOCAL(&ss.sin6_addr);
}

static int start(struct host *h)
{
	const struct log_host *d = def_of(h);
	struct sockaddr_storage ss;
	struct rtr_addr src;
	socklen_t len;
	int r;

	if (!find_source(d->addr.family, &src))
		return -EADDRNOTAVAIL;
	h->fd = socket(d->addr.family,
		       (is_tcp(h) ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (h->fd < 0)
		return -errno;
	r = set_options(h);
	if (r)
		return r;
	len = rtr_addr_sockaddr(&src, 0, &ss);
	if (src.family && bind(h->fd, (void *)&ss, len) < 0)
		return -errno;
	len = rtr_addr_sockaddr(&d->addr, syslog_port(d), &ss);
	if (connect(h->fd, (void *)&ss, len) < 0 && errno != EINPROGRESS)
		return -errno;
	/* While duplicate address detection runs there is only a link-local one to be had. */
	if (source_is_linklocal(h->fd))
		return -EADDRNOTAVAIL;
	h->open = !is_tcp(h);
	h->read = event_new(cmd_base(), h->fd, EV_READ | EV_PERSIST, on_read, h);
	h->write = event_new(cmd_base(), h->fd, EV_WRITE, on_write, h);
	event_add(h->read, NULL);
	if (!h->open)
		event_add(h->write, NULL);
	return 0;
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct host *h = arg;
	int r = h->fd < 0 ? start(h) : 0;

	if (r)
		fail(h, r == -EADDRNOTAVAIL ? "no such source address" : strerror(-r));
	else
		drain(h);
}

static void soon(struct host *h)
{
	static const struct timeval now;

	event_add(h->retry, &now);
}

/* ---- records ---- */

static void add_record(struct host *h, const struct syslog_origin *o, const struct log_record *r)
{
	struct strbuf b = STRBUF_INIT;

	/* One that is lost takes its number along. */
	h->sequence = h->sequence == SYSLOG_SEQUENCE_MAX ? 1 : h->sequence + 1;
	if (h->n == SYSLOG_QUEUE_LEN) {
		h->view.lost++;
		return;
	}
	syslog_format(&b, o, r, h->sequence);
	h->queue[(h->first + h->n++) % SYSLOG_QUEUE_LEN] = frame(h, strbuf_str(&b), b.len);
	strbuf_fini(&b);
	/* From the loop: whoever logs is in the middle of something. */
	if (h->open && h->n == 1)
		soon(h);
}

static void on_record(const struct log_record *r)
{
	const struct global *g = (const void *)txn_running();
	struct syslog_origin o = { .app = "rtrd", .version = RTR_VERSION, .pid = getpid() };
	struct utsname u;

	if (!g || !hosts ||
	    (int)r->level > (SCH_HAS(g, log_trap) ? g->log_trap : SYSLOG_LEVEL_DEFAULT))
		return;
	o.facility = SCH_HAS(g, log_facility) ? g->log_facility : SYSLOG_FACILITY_DEFAULT;
	o.hostname = g->log_origin ? g->log_origin : g->hostname;
	if (!o.hostname && !uname(&u))
		o.hostname = u.nodename;
	for (struct host *h = hosts; h; h = h->next)
		add_record(h, &o, r);
}

/* ---- the model ---- */

static void host_free(struct host *h)
{
	close_host(h);
	while (h->n)
		pop(h);
	event_free(h->retry);
	rec_unref(h->def);
	free(h);
}

static struct host *find(const struct log_host *def)
{
	struct host *h = hosts;

	while (h && (h->def->type != def->rec.type || rec_key_cmp(h->def, &def->rec)))
		h = h->next;
	return h;
}

static void add_new(const struct recvec *v)
{
	const struct log_host *d;
	char text[RTR_ADDR_STRLEN];
	struct host *h;

	recvec_foreach(v, d) {
		if (find(d))
			continue;
		h = xcalloc(1, sizeof(*h));
		h->def = rec_ref(&d->rec);
		h->fd = -1;
		h->view.error = "";
		h->retry = evtimer_new(cmd_base(), on_retry, h);
		h->next = hosts;
		hosts = h;
		soon(h);
		log_event("SYS", LOG_L_INFO, "LOGGINGHOST_STARTSTOP",
			  "Logging to host %s port %u started", rtr_addr_str(&d->addr, text),
			  syslog_port(d));
	}
}

static void sync_model(const struct rec *root, bool anew)
{
	for (struct host **p = &hosts; *p;) {
		struct host *h = *p;
		const struct rec *now = rec_find(root, h->def->type, h->def);

		if (!now || !rec_equal_fields(now, h->def)) {
			*p = h->next;
			host_free(h);
			continue;
		}
		if (anew) { /* another source interface */
			close_host(h);
			soon(h);
		}
		p = &h->next;
	}
	add_new(rec_kids(root, &log_host_type));
	add_new(rec_kids(root, &log_host_vrf_type));
}

static void on_publish(const struct rec *old, const struct rec *new, const char *user,
		       const char *source)
{
	const struct global *a = (const void *)old, *b = (const void *)new;

	sync_model(new, !a || strcmp(a->log_source, b->log_source));
}

static void first_look(evutil_socket_t fd, short what, void *arg)
{
	sync_model(txn_running(), false);
}

void syslog_observed(unsigned change)
{
	if (!(change & (SHADOW_LINK | SHADOW_ADDR | SHADOW_ROUTE)))
		return;
	/* A datagram socket chose its source when it was opened. */
	for (struct host *h = hosts; h; h = h->next) {
		if (!h->open || !is_tcp(h)) {
			close_host(h);
			h->retry_sec = 0;
			soon(h);
		}
	}
}

int syslog_init(void)
{
	log_on_record(on_record);
	txn_on_publish(on_publish);
	/* What the journal brings back is running only after all domains are up. */
	event_base_once(cmd_base(), -1, EV_TIMEOUT, first_look, NULL, &(struct timeval){ 0 });
	return 0;
}

void syslog_fini(void)
{
	log_on_record(NULL);
	while (hosts) {
		struct host *h = hosts;

		hosts = h->next;
		if (h->open)
			drain(h);
		host_free(h);
	}
}

bool syslog_view(const struct log_host *def, struct syslog_view *ret)
{
	const struct host *h = find(def);

	if (!h)
		return false;
	*ret = h->view;
	ret->queued = h->n;
	ret->open = h->open;
	return true;
}
