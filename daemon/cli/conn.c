/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conn.h"
#include "conn_allow.h"
#include "conn_auth.h"
#include "cliproto.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

const struct conn_limits conn_limits_default = {
	/* A page of output is 4 KB; a full table is produced in steps of the high-water mark. */
	.out_high = 256 << 10,
	.out_low = 64 << 10,
	/* One `show running-config` of the largest configuration that an EXEC may carry in is cut
	 * into steps; a command that is not gets this much and no more. */
	.out_hard = 8 << 20,
	/* A person at --More--: the exec-timeout that operators know, 10 minutes. */
	.stall_ms = 600000,
	.hello_ms = 10000,
	/* rtrctl waits for DONE; completion and help may overlap a command, a queue may not. */
	.max_queued = 16,
	.max_queued_bytes = CLP_MAX_SIZE,
	.max_conns = 128,
	.max_conns_uid = 32,
	.max_exec_reader = 64 << 10,
	/* Four of the largest pastes at once, then one in 4 s; scripts of 4,000 commands at once,
	 * then 200 a second, which costs rtrd below 1 % of a core. */
	.bytes_per_sec = 4 << 20,
	.bytes_burst = 64 << 20,
	.msgs_per_sec = 200,
	.msgs_burst = 4000,
};

#define READ_CHUNK (64 << 10) /* a callback reads once: others get their turn */
/* While reading is paused a hang-up is looked for this often: libevent has no event for it alone.
 */
#define PAUSE_LOOK_USEC  100000
#define ACCEPT_BATCH     8    /* likewise for connections */
#define ROOT_EXTRA_CONNS 8    /* root comes in when users have taken all places */
#define BYE_LINGER_MS    5000 /* to take the BYE and what stands before it */
#define MAX_COLS_ROWS    10000
#define MAX_WORDS        1000 /* completions: more help nobody on one screen */

struct queued {
	TAILQ_ENTRY(queued) link;
	size_t size;
	uint8_t bytes[];
};

struct conn {
	TAILQ_ENTRY(conn) link;
	struct conn_server *server;
	int fd;
	struct event *ev_read, *ev_write;
	struct event *ev_resume; /* the user's allowance has filled */
	struct event *ev_run;    /* deferred: next queued message, session_free */
	struct event *ev_deadline;
	struct evbuffer *in, *out;
	struct conn_peer peer;
	struct conn_user *user;
	struct session *session; /* from HELLO to the end */
	TAILQ_HEAD(, queued) queue;
	unsigned n_queued;
	size_t queued_bytes;
	uint64_t in_due_ns, out_due_ns, bye_due_ns, armed_ns; /* 0 = not set */
	unsigned n_lost_logs;
	bool busy;      /* a command runs: until conn_done or conn_completions */
	bool asked;     /* a question waits for its answer */
	bool congested; /* out was above the high-water mark and not yet below the low one */
	bool closing;   /* BYE is queued; nothing is read any more */
	bool paused;    /* reading waits for ev_resume */
};

struct conn_server {
	struct event_base *base;
	struct event *ev_accept, *ev_accept_again;
	struct conn_limits lim;
	struct conn_users users;
	TAILQ_HEAD(, conn) conns;
	unsigned n_conns;
	struct strbuf scratch; /* one encoded message */
};

/* ---- deadlines ---- */

static void arm(struct conn *c)
{
	uint64_t due = 0, all[] = { c->in_due_ns, c->out_due_ns, c->bye_due_ns }, now, ns;
	struct timeval tv;

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i] && (!due || all[i] < due))
			due = all[i];
	/* A timer that fires early arms itself again: cheaper than moving it at every byte. */
	if (!due || (c->armed_ns && c->armed_ns <= due))
		return;
	now = rtr_now_ns();
	ns = due > now ? due - now : 0;
	tv.tv_sec = (time_t)(ns / NSEC_PER_SEC);
	tv.tv_usec = (suseconds_t)(ns % NSEC_PER_SEC / 1000 + 1);
	event_add(c->ev_deadline, &tv);
	c->armed_ns = due;
}

static void set_due(struct conn *c, uint64_t *due_ns, unsigned ms)
{
	*due_ns = rtr_now_ns() + ms * NSEC_PER_MSEC;
	arm(c);
}

/* ---- the end of a connection ---- */

static void end_session(struct conn *c)
{
	struct session *s = c->session;

	c->session = NULL;
	if (s)
		session_free(s);
}

/* Only from our own event callbacks, never below a call of the session. */
static void destroy(struct conn *c)
{
	struct queued *q;

	c->closing = true;
	end_session(c);
	while ((q = TAILQ_FIRST(&c->queue))) {
		TAILQ_REMOVE(&c->queue, q, link);
		free(q);
	}
	event_free(c->ev_read);
	event_free(c->ev_write);
	event_free(c->ev_resume);
	event_free(c->ev_run);
	event_free(c->ev_deadline);
	evbuffer_free(c->in);
	evbuffer_free(c->out);
	close(c->fd);
	conn_allow_leave(c->user);
	TAILQ_REMOVE(&c->server->conns, c, link);
	c->server->n_conns--;
	free(c);
}

/* ---- output ---- */

/* Queues the message in server->scratch. */
static void put_scratch(struct conn *c)
{
	struct strbuf *b = &c->server->scratch;

	if (!evbuffer_get_length(c->out)) {
		event_add(c->ev_write, NULL);
		set_due(c, &c->out_due_ns, c->server->lim.stall_ms);
	}
	if (evbuffer_add(c->out, b->s, b->len) < 0)
		abort();
	if (evbuffer_get_length(c->out) > c->server->lim.out_high)
		c->congested = true;
}

static void put(struct conn *c, enum clp_type type, uint32_t num, const char *s, size_t len)
{
	if (c->closing)
		return;
	strbuf_reset(&c->server->scratch);
	clp_encode1(&c->server->scratch, type, num, s, len);
	put_scratch(c);
}

static void put_text(struct conn *c, enum clp_type type, uint32_t num, const char *s)
{
	/* What people and paths write is short; a sentence that is not is cut. */
	put(c, type, num, s, MIN(strlen(s), (size_t)CLP_OUTPUT_MAX));
}

static void say_bye(struct conn *c, enum clp_bye kind, const char *reason)
{
	if (c->closing)
		return;
	put_text(c, CLP_BYE, kind, reason);
	c->closing = true;
	c->out_due_ns = c->in_due_ns = 0;
	set_due(c, &c->bye_due_ns, BYE_LINGER_MS);
	event_del(c->ev_read);
	event_del(c->ev_resume);
	event_active(c->ev_run, 0, 0);
}

void conn_close(struct conn *c, const char *reason)
{
	say_bye(c, CLP_BYE_END, reason);
}

void conn_output(struct conn *c, enum conn_stream stream, const void *buf, size_t size)
{
	const char *p = buf;

	while (size && !c->closing) {
		size_t n = MIN(size, (size_t)CLP_OUTPUT_MAX);

		put(c, CLP_OUTPUT, stream == CONN_ERR ? CLP_STREAM_ERR : CLP_STREAM_OUT, p, n);
		p += n;
		size -= n;
		if (evbuffer_get_length(c->out) > c->server->lim.out_hard)
			conn_close(c, "the output was not read fast enough");
	}
}

bool conn_congested(const struct conn *c)
{
	return c->congested;
}

static void run_next(struct conn *c)
{
	c->busy = false;
	c->asked = false;
	if (!TAILQ_EMPTY(&c->queue))
		event_active(c->ev_run, 0, 0);
}

void conn_done(struct conn *c, int status, const char *prompt)
{
	put_text(c, CLP_DONE, (uint32_t)status, prompt);
	run_next(c);
}

void conn_question(struct conn *c, const char *text, bool echo)
{
	assert(c->peer.interactive);
	c->asked = true;
	put_text(c, CLP_QUESTION, echo, text);
}

void conn_prompt(struct conn *c, const char *prompt)
{
	if (!c->closing)
		put_text(c, CLP_PROMPT, 0, prompt);
}

void conn_log(struct conn *c, const char *line)
{
	char lost[64];

	if (c->congested || c->closing) {
		c->n_lost_logs++;
		return;
	}
	if (c->n_lost_logs) {
		snprintf(lost, sizeof(lost), "%u log lines were not shown", c->n_lost_logs);
		put_text(c, CLP_LOG, 0, lost);
		c->n_lost_logs = 0;
	}
	put_text(c, CLP_LOG, 0, line);
}

void conn_redirect(struct conn *c, enum conn_redirect mode, const char *path)
{
	static const uint32_t wire[] = {
		[CONN_REDIRECT] = CLP_REDIRECT_TRUNCATE,
		[CONN_APPEND] = CLP_REDIRECT_APPEND,
		[CONN_TEE] = CLP_REDIRECT_TEE,
	};

	put_text(c, CLP_REDIRECT, wire[mode], path);
}

void conn_completions(struct conn *c, unsigned start, const char *const *words, size_t n)
{
	struct clp_str strs[MAX_WORDS];
	size_t bytes = 0, used = 0;

	for (; used < MIN(n, (size_t)MAX_WORDS); used++) {
		strs[used] = (struct clp_str){ words[used], strlen(words[used]) };
		bytes += strs[used].len + 5;
		if (bytes > CLP_OUTPUT_MAX)
			break;
	}
	if (!c->closing) {
		strbuf_reset(&c->server->scratch);
		clp_encode(&c->server->scratch, CLP_COMPLETIONS, &start, 1, strs, (unsigned)used);
		put_scratch(c);
		if (evbuffer_get_length(c->out) > c->server->lim.out_hard)
			conn_close(c, "the completions were not read fast enough");
	}
	run_next(c);
}

void conn_set_length(struct conn *c, unsigned rows)
{
	put(c, CLP_LENGTH, rows, NULL, 0);
}

const struct conn_peer *conn_peer(const struct conn *c)
{
	return &c->peer;
}

/* Sends what the socket takes. 0, -EAGAIN or another -errno. */
static int flush(struct conn *c)
{
	struct evbuffer_iovec v[16];
	struct msghdr mh = { 0 };
	int n = evbuffer_peek(c->out, -1, NULL, v, ARRAY_LEN(v));
	ssize_t sent;

	mh.msg_iov = (struct iovec *)v;
	mh.msg_iovlen = MIN((size_t)n, ARRAY_LEN(v));
	sent = sendmsg(c->fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	evbuffer_drain(c->out, (size_t)sent);
	return 0;
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	int r = flush(c);

	if (r && r != -EAGAIN) {
		destroy(c);
		return;
	}
	if (!evbuffer_get_length(c->out)) {
		if (c->closing) {
			destroy(c);
			return;
		}
		event_del(c->ev_write);
		c->out_due_ns = 0;
	} else if (!r && !c->closing) {
		set_due(c, &c->out_due_ns, c->server->lim.stall_ms);
	}
	if (c->congested && evbuffer_get_length(c->out) <= c->server->lim.out_low) {
		c->congested = false;
		if (c->session)
			session_drained(c->session);
	}
}

/* ---- input ---- */

static void hello(struct conn *c, const struct clp_msg *m)
{
	char reason[128];
	const char *prompt;

	if (m->type != CLP_HELLO) {
		conn_close(c, "the first message was not a HELLO");
		return;
	}
	if (m->num[0] != CLP_VERSION) {
		snprintf(reason, sizeof(reason),
			 "rtrctl speaks protocol version %u, rtrd version %u: use the rtrctl of "
			 "rtrd's release",
			 m->num[0], CLP_VERSION);
		conn_close(c, reason);
		return;
	}
	c->peer.interactive = m->num[2] & CLP_HELLO_INTERACTIVE;
	c->peer.cols = MIN(m->num[3], (uint32_t)MAX_COLS_ROWS);
	c->peer.rows = MIN(m->num[4], (uint32_t)MAX_COLS_ROWS);
	c->session = session_new(c);
	if (c->closing)
		return;
	prompt = session_prompt(c->session);
	strbuf_reset(&c->server->scratch);
	clp_encode(&c->server->scratch, CLP_HELLO,
		   (const uint32_t[]){ CLP_VERSION, CLP_FEATURES, 0, 0, 0 }, 5,
		   &(struct clp_str){ prompt, MIN(strlen(prompt), (size_t)CLP_OUTPUT_MAX) }, 1);
	put_scratch(c);
}

/* Starts what occupies the session until conn_done or conn_completions. */
static void start(struct conn *c, const struct clp_msg *m)
{
	c->busy = true;
	switch (m->type) {
	case CLP_EXEC:
		session_exec(c->session, m->str.s, m->str.len, m->num[0] & CLP_EXEC_JSON);
		break;
	case CLP_COMPLETE:
		session_complete(c->session, m->str.s, MIN((size_t)m->num[0], m->str.len));
		break;
	default:
		session_help(c->session, m->str.s);
		break;
	}
}

static void enqueue(struct conn *c, const void *bytes, size_t size)
{
	const struct conn_limits *lim = &c->server->lim;
	struct queued *q;

	if (c->n_queued >= lim->max_queued || size > lim->max_queued_bytes - c->queued_bytes) {
		conn_close(c, "too many requests while a command runs");
		return;
	}
	q = xmalloc(sizeof(*q) + size);
	q->size = size;
	memcpy(q->bytes, bytes, size);
	TAILQ_INSERT_TAIL(&c->queue, q, link);
	c->n_queued++;
	c->queued_bytes += size;
}

static void dispatch(struct conn *c, const struct clp_msg *m, const void *bytes, size_t size)
{
	if (memchr(m->str.s, '\0', m->str.len)) {
		conn_close(c, "the text holds a NUL: not a configuration");
		return;
	}
	if (!c->session) {
		hello(c, m);
		return;
	}
	switch (m->type) {
	case CLP_EXEC:
	case CLP_COMPLETE:
	case CLP_HELP:
		if (c->busy || c->n_queued)
			enqueue(c, bytes, size);
		else
			start(c, m);
		break;
	case CLP_INTERRUPT:
		/* Crossing the DONE on the wire is normal: then there is nothing to stop. */
		if (c->busy)
			session_interrupt(c->session);
		break;
	case CLP_ANSWER:
		if (c->asked) {
			c->asked = false;
			session_answer(c->session, m->str.s);
		}
		break;
	case CLP_TERM:
		c->peer.cols = MIN(m->num[0], (uint32_t)MAX_COLS_ROWS);
		c->peer.rows = MIN(m->num[1], (uint32_t)MAX_COLS_ROWS);
		session_resize(c->session, c->peer.cols, c->peer.rows);
		break;
	default:
		conn_close(c, "the client sent a message that only rtrd sends");
		break;
	}
}

static void pause_reading(struct conn *c, uint64_t ns)
{
	struct timeval tv = { .tv_usec = MIN((suseconds_t)(ns / 1000) + 1, PAUSE_LOOK_USEC) };

	c->paused = true;
	c->in_due_ns = 0;
	event_del(c->ev_read);
	event_add(c->ev_resume, &tv);
}

/* The size of the next message when it is whole, 0 when more must come; closes on garbage. */
static size_t next_message(struct conn *c)
{
	uint8_t head[CLP_HEADER];
	ev_ssize_t n = evbuffer_copyout(c->in, head, sizeof(head));
	int64_t size = clp_size(head, n > 0 ? (size_t)n : 0);

	if (size == -EMSGSIZE ||
	    (size > (int64_t)c->server->lim.max_exec_reader && c->peer.level == CONN_READER)) {
		conn_close(c, "the message is too long");
		return 0;
	}
	if (size < 0) {
		conn_close(c, "the client does not speak rtrctl's protocol");
		return 0;
	}
	return (size_t)size <= evbuffer_get_length(c->in) ? (size_t)size : 0;
}

/* Handles the whole messages that have come. */
static void take_messages(struct conn *c)
{
	size_t size;

	while (!c->closing && !c->paused && (size = next_message(c))) {
		const uint8_t *bytes = evbuffer_pullup(c->in, (ev_ssize_t)size);
		struct clp_msg m;
		uint64_t wait;

		if (!bytes)
			abort();
		if (clp_decode(bytes, size, &m))
			conn_close(c, "the client does not speak rtrctl's protocol");
		else
			dispatch(c, &m, bytes, size);
		evbuffer_drain(c->in, size);
		wait = conn_allow_take(c->user, &c->server->lim, 0, 1, rtr_now_ns());
		if (wait && !c->closing)
			pause_reading(c, wait);
	}
	if (c->closing || c->paused)
		return;
	if (!c->session || evbuffer_get_length(c->in))
		set_due(c, &c->in_due_ns, c->server->lim.hello_ms);
	else
		c->in_due_ns = 0;
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	static uint8_t buf[READ_CHUNK];
	struct conn *c = arg;
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	uint64_t wait;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		destroy(c);
		return;
	}
	if (evbuffer_add(c->in, buf, (size_t)n) < 0)
		abort();
	wait = conn_allow_take(c->user, &c->server->lim, (size_t)n, 0, rtr_now_ns());
	take_messages(c);
	if (wait && !c->closing && !c->paused)
		pause_reading(c, wait);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	uint64_t wait = conn_allow_take(c->user, &c->server->lim, 0, 0, rtr_now_ns());
	struct pollfd p = { .fd = c->fd, .events = POLLRDHUP };

	if (wait && poll(&p, 1, 0) > 0) {
		destroy(c);
		return;
	}
	if (wait) {
		pause_reading(c, wait);
		return;
	}
	c->paused = false;
	event_add(c->ev_read, NULL);
	take_messages(c);
}

static void on_run(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	if (c->closing) {
		end_session(c);
		return;
	}
	while (!c->busy && !c->closing && !TAILQ_EMPTY(&c->queue)) {
		struct queued *q = TAILQ_FIRST(&c->queue);
		struct clp_msg m;

		TAILQ_REMOVE(&c->queue, q, link);
		c->n_queued--;
		c->queued_bytes -= q->size;
		if (clp_decode(q->bytes, q->size, &m) == 0)
			start(c, &m);
		free(q);
	}
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	uint64_t now = rtr_now_ns();

	c->armed_ns = 0;
	if (c->bye_due_ns && now >= c->bye_due_ns) {
		destroy(c);
		return;
	}
	if (!c->closing && c->in_due_ns && now >= c->in_due_ns)
		conn_close(c,
			   c->session ? "a message was begun and not finished" : "no HELLO came");
	if (!c->closing && c->out_due_ns && now >= c->out_due_ns)
		conn_close(c, "the output was not read");
	arm(c);
}

/* ---- the listener ---- */

/* Before there is a conn: one message, taken or not, and the end. */
static void refuse(int fd, const char *reason)
{
	struct strbuf b = STRBUF_INIT;

	clp_encode1(&b, CLP_BYE, CLP_BYE_END, reason, strlen(reason));
	(void)!send(fd, b.s, b.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	strbuf_fini(&b);
	close(fd);
}

void conn_server_add(struct conn_server *s, int fd)
{
	struct conn_peer peer = { 0 };
	struct conn_user *u;
	struct conn *c;

	if (conn_auth_peer(fd, &peer)) {
		refuse(fd,
		       "you are in neither group rtr (may look) nor group rtradmin (may change)");
		return;
	}
	if (s->n_conns >= s->lim.max_conns + (peer.uid == 0 ? ROOT_EXTRA_CONNS : 0)) {
		refuse(fd, "too many sessions");
		return;
	}
	u = conn_allow_enter(&s->users, &s->lim, peer.uid, rtr_now_ns());
	if (!u) {
		refuse(fd, "too many sessions of this user");
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->server = s;
	c->fd = fd;
	c->peer = peer;
	c->user = u;
	TAILQ_INIT(&c->queue);
	c->in = evbuffer_new();
	c->out = evbuffer_new();
	c->ev_read = event_new(s->base, fd, EV_READ | EV_PERSIST, on_read, c);
	c->ev_write = event_new(s->base, fd, EV_WRITE | EV_PERSIST, on_write, c);
	c->ev_resume = event_new(s->base, -1, 0, on_resume, c);
	c->ev_run = event_new(s->base, -1, 0, on_run, c);
	c->ev_deadline = event_new(s->base, -1, 0, on_deadline, c);
	if (!c->in || !c->out || !c->ev_read || !c->ev_write || !c->ev_resume || !c->ev_run ||
	    !c->ev_deadline)
		abort();
	TAILQ_INSERT_TAIL(&s->conns, c, link);
	s->n_conns++;
	event_add(c->ev_read, NULL);
	set_due(c, &c->in_due_ns, s->lim.hello_ms);
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval again = { .tv_usec = 200000 };
	struct conn_server *s = arg;

	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int got = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (got >= 0) {
			conn_server_add(s, got);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			   errno == ENOBUFS) {
			/* The listener stays readable: without a pause this would spin. */
			event_del(s->ev_accept);
			event_add(s->ev_accept_again, &again);
			return;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			return;
		}
	}
}

static void on_accept_again(evutil_socket_t fd, short what, void *arg)
{
	struct conn_server *s = arg;

	event_add(s->ev_accept, NULL);
}

struct conn_server *conn_server_new(struct event_base *base, int listen_fd,
				    const struct conn_limits *limits)
{
	struct conn_server *s = xcalloc(1, sizeof(*s));

	s->base = base;
	s->lim = limits ? *limits : conn_limits_default;
	TAILQ_INIT(&s->users);
	TAILQ_INIT(&s->conns);
	s->ev_accept = event_new(base, listen_fd, EV_READ | EV_PERSIST, on_accept, s);
	s->ev_accept_again = event_new(base, -1, 0, on_accept_again, s);
	if (!s->ev_accept || !s->ev_accept_again)
		abort();
	if (listen_fd >= 0)
		event_add(s->ev_accept, NULL);
	return s;
}

struct conn_server *conn_server_free(struct conn_server *s, const char *reason)
{
	struct conn *c;

	if (!s)
		return NULL;
	while ((c = TAILQ_FIRST(&s->conns))) {
		say_bye(c, CLP_BYE_RESTART, reason);
		while (evbuffer_get_length(c->out) && !flush(c))
			;
		destroy(c);
	}
	event_free(s->ev_accept);
	event_free(s->ev_accept_again);
	conn_allow_free(&s->users);
	strbuf_fini(&s->scratch);
	free(s);
	return NULL;
}
