/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/nlq.h"

#include "kernel/genl.h"
#include "kernel/nlq_nft.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

/* Bytes in one sendmsg: the default of net.core.wmem_default is 208 KiB. */
#define NLQ_BATCH_BYTES 65536
/* An acknowledgement with capped payload and extack text; NL_SET_ERR_MSG texts are below 100
 * bytes, formatted ones below 80 (NETLINK_MAX_FMTMSG_LEN). */
#define NLQ_ACK_SIZE 1024
#define NLQ_ACKS     32

struct entry {
	TAILQ_ENTRY(entry) link;
	struct nl_msg *msg; /* rtnetlink, or generic netlink; NULL: a batch, a call or a sysctl */
	struct nfbatch *nft;
	nlq_call_fn call;
	void *data; /* for call */
	char *path, *value;
	nlq_done_fn done;
	void *arg;
	uint32_t seq;
	bool cancelled;
};
TAILQ_HEAD(entry_list, entry);

static struct {
	struct nl_sock *sock;
	int fd;
	uint32_t seq;
	struct event *ev_turn;
	struct entry_list queue;  /* not sent */
	struct entry_list flight; /* sent, oldest first */
	struct entry *batch;      /* with the sender of nftables, or an answer is to come: nothing
				   * else is sent */
	struct event_base *base;
	struct event *ev_answer; /* of a call; owns its descriptor */
	unsigned n_flight;
	uint64_t writes, fault_at;
	enum nlq_fault fault;
} q = { .fd = -1 };

static void turn_soon(void)
{
	static const struct timeval now = { 0, 0 };

	/* A timer, not event_active: the loop looks at its descriptors in between. */
	if (!evtimer_pending(q.ev_turn, NULL))
		evtimer_add(q.ev_turn, &now);
}

static void entry_free(struct entry *e)
{
	if (e->msg)
		nlmsg_free(e->msg);
	nfbatch_unref(e->nft);
	free(e->data);
	free(e->path);
	free(e->value);
	free(e);
}

static void complete(struct entry *e, int error, const char *text)
{
	if (e->nft && e->nft->done)
		e->nft->done(e->nft->arg, e->nft, error);
	if (e->done)
		e->done(e->arg, error, text);
	entry_free(e);
}

/* ---- acknowledgements ---- */

/* The extack text of an error message; "" when there is none. */
static const char *extack_text(const struct nlmsghdr *h, char *buf, size_t size)
{
	const struct nlmsgerr *err = nlmsg_data(h);
	size_t off = sizeof(*err);
	const struct nlattr *a;
	int rem;

	buf[0] = '\0';
	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return buf;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		off += NLMSG_ALIGN(err->msg.nlmsg_len) - sizeof(err->msg);
	if (h->nlmsg_len < NLMSG_HDRLEN + off)
		return buf;
	rem = (int)(h->nlmsg_len - NLMSG_HDRLEN - off);
	for (a = (const void *)((const char *)err + off); nla_ok(a, rem); a = nla_next(a, &rem)) {
		if (nla_type(a) == NLMSGERR_ATTR_MSG) {
			size_t n = MIN((size_t)nla_len(a), size - 1);

			memcpy(buf, nla_data(a), n);
			buf[n] = '\0';
		}
	}
	return buf;
}

static void flight_done(int error, const char *text)
{
	struct entry *e = TAILQ_FIRST(&q.flight);

	TAILQ_REMOVE(&q.flight, e, link);
	q.n_flight--;
	complete(e, error, text);
}

static void take_ack(const struct nlmsghdr *h)
{
	const struct nlmsgerr *err = nlmsg_data(h);
	struct entry *e;
	char text[NLQ_ACK_SIZE];

	if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_len < NLMSG_HDRLEN + sizeof(*err))
		return;
	/* In order; an entry before the one acknowledged has lost its answer. */
	while ((e = TAILQ_FIRST(&q.flight)) && (int32_t)(e->seq - h->nlmsg_seq) < 0)
		flight_done(-ENOBUFS, "acknowledgement lost");
	if (e && e->seq == h->nlmsg_seq)
		flight_done(err->error, extack_text(h, text, sizeof(text)));
}

static void lose_flight(int error, const char *text)
{
	while (!TAILQ_EMPTY(&q.flight))
		flight_done(error, text);
}

/* Reads every acknowledgement that lies ready. */
static void read_acks(void)
{
	static union {
		struct nlmsghdr h;
		char b[NLQ_ACK_SIZE];
	} buf[NLQ_ACKS];
	struct mmsghdr mm[NLQ_ACKS];
	struct iovec iov[NLQ_ACKS];
	int n;

	do {
		for (int i = 0; i < NLQ_ACKS; i++) {
			iov[i] = (struct iovec){ .iov_base = &buf[i], .iov_len = sizeof(buf[i]) };
			mm[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[i],
							       .msg_iovlen = 1 } };
		}
		n = recvmmsg(q.fd, mm, NLQ_ACKS, MSG_DONTWAIT, NULL);
		/* ENOBUFS: answers were dropped; which ones is found by their numbers. */
		if (n < 0 && (errno == EINTR || errno == ENOBUFS))
			continue;
		if (n < 0)
			break;
		for (int i = 0; i < n; i++) {
			int rem = (int)mm[i].msg_len;

			for (struct nlmsghdr *h = &buf[i].h; nlmsg_ok(h, rem);
			     h = nlmsg_next(h, &rem))
				take_ack(h);
		}
	} while (n != 0);
	if (n < 0 && errno != EAGAIN)
		lose_flight(-errno, "netlink socket failed");
	/* The kernel answers inside sendmsg, so an answer that is not here now was dropped. */
	lose_flight(-ENOBUFS, "acknowledgement lost");
}

/* ---- sending ---- */

/* True when the next write is not to reach the kernel. */
static bool fault_due(void)
{
	return q.fault != NLQ_FAULT_NONE && q.writes + 1 == q.fault_at;
}

static int write_sysctl(const char *path, const char *value)
{
	char *full = xasprintf("/proc/sys/%s", path);
	int fd = open(full, O_WRONLY | O_CLOEXEC);
	int r = 0;

	if (fd < 0) {
		r = -errno;
	} else {
		/* Writing nothing would change nothing: a list is emptied by an empty line. */
		if (write(fd, *value ? value : "\n", *value ? strlen(value) : 1) < 0)
			r = -errno;
		close(fd);
	}
	free(full);
	return r;
}

/* Sends messages from the head of the queue up to a sysctl, a fault or the end of the batch.
 * Returns their number. */
static unsigned send_batch(void)
{
	struct iovec iov[NLQ_BATCH];
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	struct msghdr mh = { .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = iov };
	size_t bytes = 0;
	unsigned n = 0;
	struct entry *e;
	ssize_t r;

	while (n < NLQ_BATCH && (e = TAILQ_FIRST(&q.queue)) && e->msg && !e->cancelled &&
	       !genl_is(e->msg)) {
		struct nlmsghdr *h = nlmsg_hdr(e->msg);

		if (fault_due() || (n && bytes + h->nlmsg_len > NLQ_BATCH_BYTES))
			break;
		q.writes++;
		h->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
		h->nlmsg_seq = e->seq = ++q.seq;
		h->nlmsg_pid = 0;
		/* Messages have room up to the alignment: nlmsg_reserve pads. */
		iov[n++] = (struct iovec){ .iov_base = h, .iov_len = NLMSG_ALIGN(h->nlmsg_len) };
		bytes += NLMSG_ALIGN(h->nlmsg_len);
		TAILQ_REMOVE(&q.queue, e, link);
		TAILQ_INSERT_TAIL(&q.flight, e, link);
		q.n_flight++;
	}
	if (!n)
		return 0;
	mh.msg_iovlen = n;
	do {
		r = sendmsg(q.fd, &mh, MSG_DONTWAIT);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		lose_flight(-errno, "netlink send failed");
	else
		read_acks();
	return n;
}

static void answer_forget(void)
{
	int fd = event_get_fd(q.ev_answer);

	event_free(q.ev_answer);
	q.ev_answer = NULL;
	close(fd);
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct entry *e = q.batch;
	int32_t answer;

	/* Nothing: who was asked is gone. */
	if (read(fd, &answer, sizeof(answer)) != sizeof(answer))
		answer = -EPIPE;
	answer_forget();
	q.batch = NULL;
	complete(e, answer, "");
	turn_soon();
}

static void run_call(struct entry *e)
{
	int fd = -1, r = e->call(e->data, &fd);

	if (fd < 0) {
		complete(e, r, "");
		return;
	}
	q.batch = e;
	q.ev_answer = event_new(q.base, fd, EV_READ, on_answer, NULL);
	event_add(q.ev_answer, NULL);
}

static unsigned run_one(struct entry *e)
{
	int r;

	TAILQ_REMOVE(&q.queue, e, link);
	if (e->cancelled) {
		complete(e, -ECANCELED, "");
		return 0;
	}
	if (fault_due()) {
		if (q.fault == NLQ_FAULT_KILL)
			raise(SIGKILL);
		q.writes++;
		complete(e, -EIO, "injected");
		return 1;
	}
	q.writes++;
	if (e->nft) {
		q.batch = e;
		nft_sender_start(e->nft);
		return 1;
	}
	if (e->call) {
		run_call(e);
		return 1;
	}
	if (e->msg) {
		struct strbuf why = STRBUF_INIT;

		r = genl_ask(e->msg, NULL, NULL, &why);
		complete(e, r, strbuf_str(&why));
		strbuf_fini(&why);
		return 1;
	}
	r = write_sysctl(e->path, e->value);
	complete(e, r, "");
	return 1;
}

static void batch_done(int error, const char *text)
{
	struct entry *e = q.batch;
	struct strbuf all = STRBUF_INIT;

	if (error && e->nft->describe && e->nft->bad != NFBATCH_NONE) {
		e->nft->describe(e->nft->arg, e->nft->bad, &all);
		if (*text)
			strbuf_adds(&all, ": ");
	}
	strbuf_adds(&all, text);
	q.batch = NULL;
	complete(e, error, strbuf_str(&all));
	strbuf_fini(&all);
	turn_soon();
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	unsigned n = 0;
	struct entry *e;

	while (n < NLQ_TURN && !q.batch && (e = TAILQ_FIRST(&q.queue))) {
		unsigned sent = send_batch();

		if (!sent)
			sent = run_one(e);
		n += sent;
	}
	if (!TAILQ_EMPTY(&q.queue) && !q.batch)
		turn_soon();
}

/* ---- public ---- */

static struct entry *enqueue(nlq_done_fn done, void *arg)
{
	struct entry *e = xcalloc(1, sizeof(*e));

	e->done = done;
	e->arg = arg;
	TAILQ_INSERT_TAIL(&q.queue, e, link);
	turn_soon();
	return e;
}

void nlq_netlink(struct nl_msg *msg, nlq_done_fn done, void *arg)
{
	enqueue(done, arg)->msg = msg;
}

void nlq_nft(struct nfbatch *b, nlq_done_fn done, void *arg)
{
	enqueue(done, arg)->nft = nfbatch_ref(b);
}

void nlq_sysctl(const char *path, const char *value, nlq_done_fn done, void *arg)
{
	struct entry *e = enqueue(done, arg);

	e->path = xstrdup(path);
	e->value = xstrdup(value);
}

void nlq_call(nlq_call_fn fn, const void *data, size_t size, nlq_done_fn done, void *arg)
{
	struct entry *e = enqueue(done, arg);

	e->call = fn;
	e->data = xmalloc(size);
	memcpy(e->data, data, size);
}

void nlq_cancel(void)
{
	struct entry *e;

	TAILQ_FOREACH(e, &q.queue, link)
		e->cancelled = true;
}

bool nlq_idle(void)
{
	return TAILQ_EMPTY(&q.queue) && TAILQ_EMPTY(&q.flight) && !q.batch;
}

uint64_t nlq_writes(void)
{
	return q.writes;
}

void nlq_set_fault(enum nlq_fault fault, uint64_t n)
{
	q.fault = fault;
	q.fault_at = q.writes + n;
}

static int parse_fault(const char *s)
{
	enum nlq_fault fault;
	uint64_t n;

	if (!strncmp(s, "fail:", 5))
		fault = NLQ_FAULT_FAIL;
	else if (!strncmp(s, "kill:", 5))
		fault = NLQ_FAULT_KILL;
	else
		return -EINVAL;
	if (rtr_parse_u64(s + 5, 1, UINT64_MAX, &n))
		return -EINVAL;
	nlq_set_fault(fault, n);
	return 0;
}

int nlq_init(struct event_base *base)
{
	const char *fault = getenv("RTR_FAULT");
	int one = 1, size = 1 << 20, r;

	TAILQ_INIT(&q.queue);
	TAILQ_INIT(&q.flight);
	q.writes = 0;
	nlq_set_fault(NLQ_FAULT_NONE, 0);
	if (fault && *fault && parse_fault(fault))
		return -EINVAL;
	q.sock = nl_socket_alloc();
	if (!q.sock)
		return -ENOMEM;
	r = nl_connect(q.sock, NETLINK_ROUTE);
	if (r) {
		nl_socket_free(q.sock);
		q.sock = NULL;
		return r == -NLE_PERM ? -EPERM : -EIO;
	}
	q.fd = nl_socket_get_fd(q.sock);
	nl_socket_set_nonblocking(q.sock);
	/* Without these (kernels before 4.12, no CAP_NET_ADMIN) only texts and head-room are lost.
	 */
	setsockopt(q.fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	setsockopt(q.fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	if (setsockopt(q.fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(q.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	q.base = base;
	q.ev_turn = evtimer_new(base, on_turn, NULL);
	return nft_sender_init(base, batch_done);
}

void nlq_fini(void)
{
	struct entry *e;

	nft_sender_fini();
	if (q.ev_answer) {
		answer_forget();
		e = q.batch;
		q.batch = NULL;
		complete(e, -ECANCELED, "");
	}
	while (q.sock && (e = TAILQ_FIRST(&q.queue))) {
		TAILQ_REMOVE(&q.queue, e, link);
		complete(e, -ECANCELED, "");
	}
	if (q.ev_turn)
		event_free(q.ev_turn);
	q.ev_turn = NULL;
	nl_socket_free(q.sock);
	q.sock = NULL;
	q.fd = -1;
}
