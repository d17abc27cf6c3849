/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtr-captured: captures packets into files, and makes text of what they hold. Started by rtrd's
 * root parent when the first capture is made, with one socket to rtrd (include/rtr/captured.h).
 *
 * Owns: for each running capture a packet socket with a ring of RING_SIZE and a buffer; the files,
 * which rtrd opens and hands over.
 * Privileges: user rtr, CAP_NET_RAW; seccomp leaves packet sockets, and of files only reading and
 * writing those that it was given. What libpcap tries beyond that (files of names, name servers) is
 * refused, not fatal.
 * Threads: none. A disk that is slow holds up nobody but this process: the kernel then drops
 * copies, counts them, and the packets go on. Failure: a capture that cannot go on ends and says
 * why; without rtrd it ends, and what was written stays.
 */
#include "capture/filter.h"
#include "capture/pkt_text.h"
#include "capture/ring.h"
#include "capture/spool.h"
#include "rtr/captured.h"
#include "rtr/version.h"
#include "system/sandbox.h"
#include "util.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RTRD_FD 3
/* Figures to rtrd. */
#define TELL_NS (200 * NSEC_PER_MSEC)
/* Blocks of a ring that are taken before another ring has its turn. */
#define TURN 4
/* Copied for an export before the rings have their turn. */
#define COPY_SIZE (256u << 10)
/* Read for one piece of a dump: the longest packet fits, or some dozens of usual ones. */
#define DUMP_SIZE (80u << 10)
/* After the filter lets nothing more in, the ring's last block comes within the kernel's time. */
#define DRAIN_NS ((RING_RETIRE_MS + 30) * NSEC_PER_MSEC)

#define LINKTYPE_ETHERNET 1
#define LINKTYPE_RAW      101

struct capture {
	bool open, running;
	struct spool spool;
	struct ring ring;
	struct filter filter;
	struct captured_req req; /* of START */
	uint64_t seen, started_ns, told_ns;
	uint64_t drain_ns; /* stopping: until then; 0: not */
	uint32_t stop_serial;
	enum captured_end end;
	int error;
	bool full, told_all;
	/* an export under way */
	int out; /* -1: none */
	uint32_t export_serial;
	uint64_t cursor, until, copied, copied_packets;
};

static struct capture caps[CAPTURED_MAX];

static void fill(const struct capture *c, struct captured_event *e)
{
	e->id = (uint8_t)(c - caps);
	e->seen = c->seen;
	e->dropped = c->ring.dropped;
	e->packets = spool_packets(&c->spool);
	e->bytes = spool_bytes(&c->spool);
	e->forgotten = c->spool.forgotten;
	e->time_ns = c->spool.newest_ns;
}

/* rtrd takes its messages from the loop, always; the socket is as deep as the answers to one
 * request. Figures that find no room come again. */
static bool say(const struct captured_event *e, bool must)
{
	return send(RTRD_FD, e, sizeof(*e), MSG_NOSIGNAL | (must ? 0 : MSG_DONTWAIT)) == sizeof(*e);
}

static void answer(const struct captured_req *q, enum captured_event_kind kind, int error,
		   const char *text)
{
	struct captured_event e = { .kind = kind,
				    .serial = q->serial,
				    .error = error < 0 ? -error : error };

	fill(&caps[q->id], &e);
	rtr_strlcpy(e.text, text, sizeof(e.text));
	say(&e, true);
}

/* ---- capturing ---- */

static bool take_packet(void *arg, const struct ring_packet *p)
{
	struct capture *c = arg;
	struct pcapng_packet out = { .time_ns = p->time_ns,
				     .have = p->have,
				     .size = p->size,
				     .out = p->out,
				     .data = p->data };
	int r;

	/* What the kernel cut was cut before the VLAN tag came back. */
	out.have = MIN(out.have, c->req.snap);
	if (!filter_matches(&c->filter, out.data, out.have, out.size))
		return true;
	c->seen++;
	r = spool_put(&c->spool, &out);
	if (r) {
		c->end = r == -EFBIG ? CAPTURED_END_SIZE : CAPTURED_END_DISK;
		c->error = r == -EFBIG ? 0 : -r;
		c->full = true;
		return false;
	}
	if (c->req.max_packets && c->seen == c->req.max_packets) {
		c->end = CAPTURED_END_PACKETS;
		c->full = true;
		return false;
	}
	return true;
}

static void stopped(struct capture *c)
{
	struct captured_event e = { .kind = CAPTURED_STOPPED,
				    .serial = c->stop_serial ? c->stop_serial : c->req.serial };
	int r;

	ring_count(&c->ring);
	ring_close(&c->ring);
	filter_free(&c->filter);
	r = spool_end(&c->spool);
	if (r && c->end != CAPTURED_END_DISK) {
		c->end = CAPTURED_END_DISK;
		c->error = -r;
	}
	c->running = false;
	c->drain_ns = 0;
	fill(c, &e);
	e.end = (uint8_t)c->end;
	e.error = c->error;
	say(&e, true);
	c->stop_serial = 0;
}

/* Takes what the kernel has handed over. */
static void take_blocks(struct capture *c)
{
	int r = 0;

	for (unsigned i = 0; i < TURN && !c->full && ring_read(&c->ring, take_packet, c); i++)
		c->told_all = false;
	if (!c->full)
		r = spool_flush(&c->spool);
	if (r) {
		c->end = CAPTURED_END_DISK;
		c->error = -r;
		c->full = true;
	}
	if (c->full)
		stopped(c);
}

static void tell(struct capture *c, uint64_t now)
{
	struct captured_event e = { .kind = CAPTURED_STATS, .serial = c->req.serial };
	uint64_t dropped = c->ring.dropped;

	if (now - c->told_ns < TELL_NS)
		return;
	c->told_ns = now;
	ring_count(&c->ring);
	if (c->told_all && dropped == c->ring.dropped)
		return;
	fill(c, &e);
	c->told_all = say(&e, false);
}

static int begin(struct capture *c, const struct captured_req *q, char err[FILTER_ERROR])
{
	bool ethernet = ring_is_ethernet(q->arptype);
	enum filter_dir dir = (enum filter_dir)q->dir;
	int r = filter_compile(&c->filter, q->filter, ethernet ? DLT_EN10MB : DLT_RAW, q->snap, dir,
			       err);

	if (r)
		return r;
	c->req = *q;
	c->seen = 0;
	c->full = c->told_all = false;
	c->error = 0;
	c->end = CAPTURED_END_ASKED;
	c->stop_serial = 0;
	r = spool_begin(&c->spool,
			&(struct pcapng_head){ .link = ethernet ? LINKTYPE_ETHERNET : LINKTYPE_RAW,
					       .snap = q->snap,
					       .ifname = c->req.ifname,
					       .filter = c->req.filter,
					       .program = "rtr " RTR_VERSION },
			q->max_bytes);
	if (r) {
		snprintf(err, FILTER_ERROR, "the file cannot be written: %s", strerror(-r));
		filter_free(&c->filter);
		return r;
	}
	r = ring_open(&c->ring, &c->filter, dir, q->arptype == ARPHRD_LOOPBACK, q->arptype);
	if (!r)
		r = ring_begin(&c->ring, q->ifindex);
	if (r) {
		snprintf(err, FILTER_ERROR, "the interface cannot be listened to: %s",
			 strerror(-r));
		ring_close(&c->ring);
		filter_free(&c->filter);
		(void)spool_end(&c->spool);
		return r;
	}
	c->running = true;
	c->started_ns = c->told_ns = rtr_now_ns();
	return 0;
}

static void start(struct capture *c, const struct captured_req *q)
{
	char err[FILTER_ERROR] = "";
	int r = c->running ? -EALREADY : begin(c, q, err);

	answer(q, CAPTURED_STARTED, r, err);
}

static void stop(struct capture *c, const struct captured_req *q)
{
	if (!c->running) {
		answer(q, CAPTURED_STOPPED, 0, "");
		return;
	}
	c->stop_serial = q->serial;
	c->end = CAPTURED_END_ASKED;
	if (!c->drain_ns) {
		ring_end(&c->ring);
		c->drain_ns = rtr_now_ns() + DRAIN_NS;
	}
}

/* ---- reading ---- */

static void dump(struct capture *c, const struct captured_req *q)
{
	static uint8_t b[DUMP_SIZE];
	struct captured_event e = { .kind = CAPTURED_LINE, .id = q->id, .serial = q->serial };
	uint64_t cursor = q->cursor, before = cursor;
	int link = spool_link(&c->spool);
	struct pcapng_packet p;
	uint32_t told = 0;
	ssize_t n = 0;

	while (told < q->count && (n = spool_read(&c->spool, &cursor, b, sizeof(b))) > 0) {
		size_t at = 0, size;

		before = cursor - (uint64_t)n;
		for (; at < (size_t)n && told < q->count; at += size) {
			if (pcapng_next(b + at, (size_t)n - at, &size, &p) != PCAPNG_PACKET)
				continue;
			e.out = p.out;
			e.time_ns = p.time_ns;
			e.bytes = p.size;
			e.packets = told++;
			pkt_text(link == LINKTYPE_ETHERNET ? PKT_ETHERNET : PKT_IP, p.data, p.have,
				 p.size, e.text);
			say(&e, true);
		}
		cursor = before + at;
	}
	e = (struct captured_event){ .kind = CAPTURED_DUMPED,
				     .id = q->id,
				     .serial = q->serial,
				     .error = n < 0 ? (int)-n : 0,
				     .more = n > 0,
				     .cursor = cursor };
	say(&e, true);
}

static void export_end(struct capture *c, int error)
{
	struct captured_event e = { .kind = CAPTURED_EXPORTED,
				    .id = (uint8_t)(c - caps),
				    .serial = c->export_serial,
				    .error = -error,
				    .packets = c->copied_packets,
				    .bytes = c->copied };

	close(c->out);
	c->out = -1;
	say(&e, true);
}

static int append(struct capture *c, const uint8_t *b, size_t n)
{
	while (n) {
		ssize_t r = pwrite(c->out, b, n, (off_t)c->copied);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r ? -errno : -ENOSPC;
		c->copied += (uint64_t)r;
		b += r;
		n -= (size_t)r;
	}
	return 0;
}

static void export_begin(struct capture *c, const struct captured_req *q, int fd)
{
	uint8_t b[PCAPNG_HEAD_MAX];
	int link = spool_link(&c->spool), r;
	size_t n;

	if (c->out >= 0 || fd < 0 || link < 0) {
		if (fd >= 0)
			close(fd);
		answer(q, CAPTURED_EXPORTED, c->out >= 0 ? -EBUSY : link < 0 ? link : -EBADF, "");
		return;
	}
	c->out = fd;
	c->export_serial = q->serial;
	c->cursor = c->copied = c->copied_packets = 0;
	c->until = spool_end_cursor(&c->spool);
	n = pcapng_put_head(b, &(struct pcapng_head){ .serial = 1,
						      .link = (uint16_t)link,
						      .snap = q->snap,
						      .ifname = q->ifname,
						      .filter = q->filter,
						      .program = "rtr " RTR_VERSION });
	r = append(c, b, n);
	if (r)
		export_end(c, r);
}

static int export_last(struct capture *c)
{
	uint8_t b[PCAPNG_STATS_SIZE];
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return append(c, b,
		      pcapng_put_stats(b, (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec,
				       c->seen, c->ring.dropped));
}

/* One piece. */
static void export_more(struct capture *c)
{
	static uint8_t b[COPY_SIZE];
	/* What comes meanwhile is not for this copy, which might never end. */
	ssize_t n = c->cursor < c->until ? spool_read(&c->spool, &c->cursor, b, sizeof(b)) : 0;
	struct pcapng_packet p;
	int r = n > 0 ? append(c, b, (size_t)n) : n < 0 ? (int)n : export_last(c);
	size_t size;

	if (r || n <= 0) {
		export_end(c, r);
		return;
	}
	for (size_t at = 0; at < (size_t)n; at += size)
		c->copied_packets += pcapng_next(b + at, (size_t)n - at, &size, &p) ==
				     PCAPNG_PACKET;
}

/* ---- requests ---- */

static void check(const struct captured_req *q)
{
	char err[FILTER_ERROR] = "";
	struct filter f;
	int r = filter_compile(&f, q->filter, ring_is_ethernet(q->arptype) ? DLT_EN10MB : DLT_RAW,
			       q->snap, (enum filter_dir)q->dir, err);

	if (!r)
		filter_free(&f);
	answer(q, CAPTURED_CHECKED, r, err);
}

static void close_capture(struct capture *c)
{
	if (c->running) {
		ring_close(&c->ring);
		filter_free(&c->filter);
	}
	if (c->out >= 0)
		close(c->out);
	if (c->open)
		spool_close(&c->spool);
	*c = (struct capture){ .ring.fd = -1, .out = -1 };
}

/* Takes the descriptors. */
static void serve(struct captured_req *q, const int *fds, unsigned n_fds)
{
	struct capture *c = &caps[q->id];
	int spare = n_fds && q->op == CAPTURED_EXPORT ? fds[0] : -1;

	q->filter[sizeof(q->filter) - 1] = q->ifname[sizeof(q->ifname) - 1] = '\0';
	if (q->op == CAPTURED_OPEN && n_fds && n_fds == q->n_files) {
		close_capture(c);
		spool_open(&c->spool, fds, n_fds);
		c->open = true;
		answer(q, CAPTURED_CLEARED, 0, "");
		return;
	}
	for (unsigned i = spare >= 0; i < n_fds; i++)
		close(fds[i]);
	if (q->op == CAPTURED_CHECK) {
		check(q);
		return;
	}
	if (!c->open) {
		if (spare >= 0)
			close(spare);
		return;
	}
	switch (q->op) {
	case CAPTURED_START:
		start(c, q);
		break;
	case CAPTURED_STOP:
		stop(c, q);
		break;
	case CAPTURED_CLEAR:
		c->seen = 0;
		c->ring.dropped = 0;
		answer(q, CAPTURED_CLEARED, spool_clear(&c->spool), "");
		break;
	case CAPTURED_CLOSE:
		close_capture(c);
		break;
	case CAPTURED_DUMP:
		dump(c, q);
		break;
	case CAPTURED_EXPORT:
		export_begin(c, q, spare);
		break;
	case CAPTURED_ABORT:
		if (c->out >= 0)
			export_end(c, -ECANCELED);
		break;
	default:
		break;
	}
}

/* False: rtrd is gone. */
static bool take_request(void)
{
	struct captured_req q;
	struct iovec iov = { &q, sizeof(q) };
	union {
		char buf[CMSG_SPACE(CAPTURED_FILES * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr mh = { .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf) };
	ssize_t n = recvmsg(RTRD_FD, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fds[CAPTURED_FILES];
	unsigned n_fds = 0;
	struct cmsghdr *cm;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	cm = CMSG_FIRSTHDR(&mh);
	if (cm && cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_RIGHTS) {
		n_fds = (unsigned)((cm->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		n_fds = MIN(n_fds, (unsigned)CAPTURED_FILES);
		memcpy(fds, CMSG_DATA(cm), n_fds * sizeof(int));
	}
	if (n == sizeof(q) && q.id < CAPTURED_MAX)
		serve(&q, fds, n_fds);
	else
		for (unsigned i = 0; i < n_fds; i++)
			close(fds[i]);
	return n > 0;
}

/* ---- the loop ---- */

static int wait_ms(uint64_t now)
{
	uint64_t due = UINT64_MAX;

	for (unsigned i = 0; i < CAPTURED_MAX; i++) {
		const struct capture *c = &caps[i];

		if (c->out >= 0)
			return 0;
		if (!c->running)
			continue;
		due = MIN(due, c->told_ns + TELL_NS);
		if (c->drain_ns)
			due = MIN(due, c->drain_ns);
		if (c->req.max_ns)
			due = MIN(due, c->started_ns + c->req.max_ns);
	}
	if (due == UINT64_MAX)
		return -1;
	return due > now ? (int)((due - now) / NSEC_PER_MSEC) + 1 : 0;
}

static void run(struct capture *c, short events, uint64_t now)
{
	int e = events & POLLERR ? ring_error(&c->ring) : 0;

	if (events & POLLIN || c->drain_ns)
		take_blocks(c);
	if (!c->running)
		return;
	/* A link that is down comes up again; one that is gone rtrd tells us to stop. */
	if (e && e != ENETDOWN) {
		c->end = CAPTURED_END_GONE;
		c->error = e;
		stopped(c);
		return;
	}
	if (c->drain_ns && now >= c->drain_ns) {
		stopped(c);
		return;
	}
	if (c->req.max_ns && now - c->started_ns >= c->req.max_ns && !c->drain_ns) {
		c->end = CAPTURED_END_DURATION;
		ring_end(&c->ring);
		c->drain_ns = now + DRAIN_NS;
	}
	tell(c, now);
}

static void turn(void)
{
	struct pollfd fds[1 + CAPTURED_MAX] = { { .fd = RTRD_FD, .events = POLLIN } };
	uint64_t now;

	for (unsigned i = 0; i < CAPTURED_MAX; i++)
		fds[1 + i] = (struct pollfd){ .fd = caps[i].running ? caps[i].ring.fd : -1,
					      .events = POLLIN };
	if (poll(fds, ARRAY_LEN(fds), wait_ms(rtr_now_ns())) < 0 && errno != EINTR)
		exit(1);
	now = rtr_now_ns();
	for (unsigned i = 0; i < CAPTURED_MAX; i++) {
		if (caps[i].running)
			run(&caps[i], fds[1 + i].revents, now);
		if (caps[i].out >= 0)
			export_more(&caps[i]);
	}
	if (fds[0].revents && !take_request())
		exit(0);
}

/* ---- start ---- */

static int lock_in(void)
{
	static const int calls[] = {
		SCMP_SYS(setsockopt), SCMP_SYS(getsockopt), SCMP_SYS(bind),    SCMP_SYS(close),
		SCMP_SYS(poll),       SCMP_SYS(ppoll),      SCMP_SYS(recvmsg), SCMP_SYS(pread64),
		SCMP_SYS(pwrite64),   SCMP_SYS(ftruncate),  SCMP_SYS(madvise), SCMP_SYS(getrandom),
	};

	return sandbox_enter_refusing(calls, ARRAY_LEN(calls), AF_PACKET);
}

int main(void)
{
	int type, r;
	socklen_t size = sizeof(type);

	if (getsockopt(RTRD_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET) {
		fprintf(stderr, "rtr-captured: started by rtrd, not by hand\n");
		return 1;
	}
	for (unsigned i = 0; i < CAPTURED_MAX; i++)
		caps[i] = (struct capture){ .ring.fd = -1, .out = -1 };
	r = lock_in();
	if (r) {
		fprintf(stderr, "rtr-captured: %s\n", strerror(-r));
		return 1;
	}
	for (;;)
		turn();
}
