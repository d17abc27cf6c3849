/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/nlq_nft.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Answers to one batch: an echo of each new rule, some 500 bytes, in buffers that count double.
 * 64 MiB hold 60,000; used only while they are read. What finds no room is read back later. */
#define RCVBUF (32 << 20) /* the kernel doubles it */
/* One datagram: echoes are packed to a page. */
#define RECV_SIZE 65536
/* What a socket may send from the start (net.core.wmem_default), not looked up: at least this. */
#define SNDBUF_FIRST 65536
#define TEXT_SIZE    256

static struct {
	int fd, wake;
	int open_error;
	uint32_t portid, seq;
	size_t sndbuf;
	struct event *ev;
	void (*done)(int error, const char *text);
	pthread_t thread;
	bool started;
	struct nfbatch *busy;
	uint32_t seq_begin;
	/* written by the sender, read after it has ended */
	int error;
	bool acked;
	char text[TEXT_SIZE];
} s = { .fd = -1, .wake = -1 };

/* ---- the sender thread ---- */

static void take_text(const struct nlmsghdr *h)
{
	const struct nlmsgerr *err = nlmsg_data(h);
	size_t off = sizeof(*err);
	const struct nlattr *a;
	int rem;

	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		off += NLMSG_ALIGN(err->msg.nlmsg_len) - sizeof(err->msg);
	if (h->nlmsg_len < NLMSG_HDRLEN + off)
		return;
	rem = (int)(h->nlmsg_len - NLMSG_HDRLEN - off);
	for (a = (const void *)((const char *)err + off); nla_ok(a, rem); a = nla_next(a, &rem)) {
		if (nla_type(a) == NLMSGERR_ATTR_MSG)
			snprintf(s.text, sizeof(s.text), "%.*s", nla_len(a),
				 (const char *)nla_data(a));
	}
}

static void take_error(struct nfbatch *b, const struct nlmsghdr *h)
{
	const struct nlmsgerr *err = nlmsg_data(h);
	uint32_t i = h->nlmsg_seq - s.seq_begin - 1;

	if (h->nlmsg_len < NLMSG_HDRLEN + sizeof(*err))
		return;
	if (!err->error) {
		s.acked |= i == b->n - 1;
		return;
	}
	/* The first one tells: what follows fails in its wake (a rule of a chain that was
	 * refused). An error of the whole batch carries the number of its begin or end. */
	if (!s.error) {
		s.error = err->error;
		b->bad = i < b->n ? i : NFBATCH_NONE;
		take_text(h);
	}
	b->n_bad++;
}

static void take_echo(struct nfbatch *b, const struct nlmsghdr *h)
{
	uint32_t i = h->nlmsg_seq - s.seq_begin - 1;
	const struct nlattr *a;
	uint64_t handle;

	if (h->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE) || i >= b->n)
		return;
	a = nlmsg_find_attr((struct nlmsghdr *)(uintptr_t)h, sizeof(struct nfgenmsg),
			    NFTA_RULE_HANDLE);
	if (!a || nla_len(a) != sizeof(handle))
		return;
	memcpy(&handle, nla_data(a), sizeof(handle));
	b->handle[i] = be64toh(handle);
}

static void read_answers(struct nfbatch *b)
{
	static _Alignas(struct nlmsghdr) char buf[RECV_SIZE];

	for (;;) {
		ssize_t n = recv(s.fd, buf, sizeof(buf), MSG_DONTWAIT);
		int rem = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOBUFS) {
			b->lost = true;
			continue;
		}
		if (n <= 0)
			break;
		for (struct nlmsghdr *h = (void *)buf; nlmsg_ok(h, rem); h = nlmsg_next(h, &rem)) {
			if (h->nlmsg_type == NLMSG_ERROR)
				take_error(b, h);
			else
				take_echo(b, h);
		}
	}
}

static void *sender(void *arg)
{
	struct nfbatch *b = arg;
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	size_t size = nfbatch_frame(b, s.seq_begin);
	uint64_t one = 1;
	ssize_t r;

	/* The whole batch is one datagram. The kernel counts its own structures too. */
	if (size > s.sndbuf / 2) {
		int want = (int)MIN(size * 2, (size_t)INT32_MAX / 2);

		if (setsockopt(s.fd, SOL_SOCKET, SO_SNDBUFFORCE, &want, sizeof(want)) < 0)
			setsockopt(s.fd, SOL_SOCKET, SO_SNDBUF, &want, sizeof(want));
		s.sndbuf = (size_t)want;
	}
	do {
		r = sendto(s.fd, b->buf, size, 0, (void *)&to, sizeof(to));
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		s.error = -errno;
	else
		read_answers(b);
	if (!s.error && !s.acked) {
		s.error = -ENOBUFS;
		snprintf(s.text, sizeof(s.text), "acknowledgement lost");
	}
	while (write(s.wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	return NULL;
}

/* ---- the loop's side ---- */

static void finished(void)
{
	struct nfbatch *b = s.busy;

	if (s.started)
		pthread_join(s.thread, NULL);
	s.busy = NULL;
	s.seq += (uint32_t)b->n + 2;
	nfbatch_unref(b);
	s.done(s.error, s.text);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	uint64_t n;

	if (read(s.wake, &n, sizeof(n)) == sizeof(n) && s.busy)
		finished();
}

void nft_sender_start(struct nfbatch *b)
{
	sigset_t all, old;
	uint64_t one = 1;
	int r;

	s.busy = nfbatch_ref(b);
	s.seq_begin = s.seq;
	if (b->begin)
		b->begin(b->arg);
	s.error = s.open_error;
	s.acked = false;
	s.text[0] = '\0';
	b->bad = NFBATCH_NONE;
	b->n_bad = 0;
	b->lost = false;
	free(b->handle);
	b->handle = xcalloc(b->n + 1, sizeof(*b->handle));
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = s.error || !b->n ? s.error : pthread_create(&s.thread, NULL, sender, b);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	s.started = !r && b->n;
	if (s.started)
		return;
	s.error = r < 0 ? r : -r;
	while (write(s.wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

bool nft_sender_busy(void)
{
	return s.busy != NULL;
}

uint32_t nft_sender_portid(void)
{
	return s.portid;
}

static int open_socket(void)
{
	struct sockaddr_nl me = { .nl_family = AF_NETLINK };
	socklen_t len = sizeof(me);
	int one = 1, size = RCVBUF;

	s.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (s.fd < 0 || bind(s.fd, (void *)&me, sizeof(me)) < 0 ||
	    getsockname(s.fd, (void *)&me, &len) < 0)
		return -errno;
	s.portid = me.nl_pid;
	setsockopt(s.fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	setsockopt(s.fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	if (setsockopt(s.fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(s.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return 0;
}

int nft_sender_init(struct event_base *base, void (*done)(int error, const char *text))
{
	s.done = done;
	s.sndbuf = SNDBUF_FIRST;
	s.portid = 0;
	s.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s.wake < 0)
		return -errno;
	/* A kernel without nftables still routes; a batch then fails with this. */
	s.open_error = open_socket();
	s.ev = event_new(base, s.wake, EV_READ | EV_PERSIST, on_wake, NULL);
	if (!s.ev)
		return -ENOMEM;
	return event_add(s.ev, NULL) ? -ENOMEM : 0;
}

void nft_sender_fini(void)
{
	if (s.busy)
		finished();
	if (s.ev)
		event_free(s.ev);
	s.ev = NULL;
	if (s.fd >= 0)
		close(s.fd);
	if (s.wake >= 0)
		close(s.wake);
	s.fd = s.wake = -1;
	s.portid = 0;
}
