/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/inner.h"

#include "cli/command.h"
#include "cli/conn.h"
#include "cliproto.h"
#include "rtr/version.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_CHUNK (64 << 10)

struct inner {
	const struct inner_ops *ops;
	void *arg;
	int fd;
	struct event *read;
	struct evbuffer *in;
	struct strbuf out; /* requests go into an empty socket: they always fit */
	unsigned ahead;    /* answers to our own "disable" that nobody asked for */
	bool busy, paused, dead;
	bool taking, gone; /* freed by one of its own callbacks: done when that has returned */
};

static struct conn_server *server;

void inner_set_server(struct conn_server *s)
{
	server = s;
}

static void send_out(struct inner *i)
{
	if (send(i->fd, i->out.s, i->out.len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)i->out.len)
		i->dead = true;
	strbuf_reset(&i->out);
}

static void finish(struct inner *i, int status)
{
	i->busy = false;
	i->ops->done(i->arg, status);
}

static void take(struct inner *i, const struct clp_msg *m)
{
	if (i->gone)
		return;
	if (m->type == CLP_OUTPUT && i->busy && !i->ahead) {
		i->ops->output(i->arg, m->str.s, m->str.len);
	} else if (m->type == CLP_DONE && i->ahead) {
		i->ahead--;
	} else if (m->type == CLP_DONE && i->busy) {
		finish(i, (int)m->num[0]);
	} else if (m->type == CLP_BYE) {
		i->dead = true;
		if (i->busy)
			finish(i, -1);
	}
}

/* The next whole message; 0 when more must come, or there is garbage. */
static size_t next_size(struct inner *i)
{
	uint8_t head[CLP_HEADER];
	ev_ssize_t n = evbuffer_copyout(i->in, head, sizeof(head));
	int64_t size = clp_size(head, n > 0 ? (size_t)n : 0);

	i->dead |= size < 0;
	return size > 0 && (size_t)size <= evbuffer_get_length(i->in) ? (size_t)size : 0;
}

static void take_all(struct inner *i)
{
	size_t size;

	i->taking = true;
	while (!i->gone && !i->paused && (size = next_size(i))) {
		uint8_t *bytes = evbuffer_pullup(i->in, (ev_ssize_t)size);
		struct clp_msg m;

		if (!bytes)
			abort();
		if (!clp_decode(bytes, size, &m))
			take(i, &m);
		evbuffer_drain(i->in, size);
	}
	i->taking = false;
	if (i->gone)
		inner_free(i);
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	static uint8_t buf[READ_CHUNK];
	struct inner *i = arg;
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		i->dead = true;
		event_del(i->read);
		if (i->busy)
			finish(i, -1);
		return;
	}
	if (n > 0 && evbuffer_add(i->in, buf, (size_t)n) < 0)
		abort();
	take_all(i);
}

static void hello(struct inner *i)
{
	static const uint32_t num[] = { CLP_VERSION, CLP_FEATURES, 0, 0, 0 };
	static const struct clp_str name = { "rtrd " RTR_VERSION, sizeof("rtrd " RTR_VERSION) - 1 };

	clp_encode(&i->out, CLP_HELLO, num, ARRAY_LEN(num), &name, 1);
	/* Our own user may do all; what is made here is for others to read. */
	clp_encode1(&i->out, CLP_EXEC, 0, "disable", strlen("disable"));
	i->ahead = 1;
	send_out(i);
}

struct inner *inner_new(const struct inner_ops *ops, void *arg)
{
	struct inner *i;
	int pair[2];

	if (!server || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return NULL;
	i = xcalloc(1, sizeof(*i));
	i->ops = ops;
	i->arg = arg;
	i->fd = pair[0];
	i->in = evbuffer_new();
	i->read = event_new(cmd_base(), i->fd, EV_READ | EV_PERSIST, on_read, i);
	if (!i->in || !i->read)
		abort();
	event_add(i->read, NULL);
	conn_server_add(server, pair[1]);
	hello(i);
	return i;
}

struct inner *inner_free(struct inner *i)
{
	if (!i)
		return NULL;
	i->gone = true;
	if (i->taking)
		return NULL;
	event_free(i->read);
	evbuffer_free(i->in);
	strbuf_fini(&i->out);
	close(i->fd);
	free(i);
	return NULL;
}

void inner_exec(struct inner *i, const char *line, bool json)
{
	i->busy = true;
	clp_encode1(&i->out, CLP_EXEC, json ? CLP_EXEC_JSON : 0, line, strlen(line));
	send_out(i);
	/* Told from the loop, as any other end. */
	if (i->dead)
		event_active(i->read, EV_READ, 0);
}

void inner_pause(struct inner *i, bool on)
{
	if (i->paused == on)
		return;
	i->paused = on;
	if (on) {
		event_del(i->read);
	} else {
		event_add(i->read, NULL);
		event_active(i->read, EV_READ, 0);
	}
}
