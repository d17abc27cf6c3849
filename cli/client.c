/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "client.h"
#include "rtr/version.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_CHUNK (64 << 10)

static int send_all(int fd, const char *p, size_t size)
{
	while (size) {
		ssize_t n = send(fd, p, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

int client_connect(struct client *c, const char *path, bool interactive, unsigned cols,
		   unsigned rows)
{
	static const char who[] = "rtrctl " RTR_VERSION;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	const uint32_t nums[] = { CLP_VERSION, CLP_FEATURES,
				  interactive ? CLP_HELLO_INTERACTIVE : 0, cols, rows };
	struct strbuf b = STRBUF_INIT;
	int r;

	client_close(c);
	if (!rtr_strlcpy(sa.sun_path, path, sizeof(sa.sun_path)))
		return -ENAMETOOLONG;
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	if (connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		r = -errno;
		client_close(c);
		return r;
	}
	clp_encode(&b, CLP_HELLO, nums, ARRAY_LEN(nums), &(struct clp_str){ who, strlen(who) }, 1);
	r = send_all(c->fd, b.s, b.len);
	strbuf_fini(&b);
	/* A server that refused us has closed its end: its BYE is there to be read. */
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	strbuf_fini(&c->in);
	c->taken = 0;
}

int client_send(struct client *c, enum clp_type type, uint32_t num, const char *s, size_t len)
{
	struct strbuf b = STRBUF_INIT;
	int r;

	clp_encode1(&b, type, num, s, len);
	r = send_all(c->fd, b.s, b.len);
	strbuf_fini(&b);
	return r;
}

int client_send_term(struct client *c, unsigned cols, unsigned rows)
{
	struct strbuf b = STRBUF_INIT;
	int r;

	clp_encode(&b, CLP_TERM, (uint32_t[]){ cols, rows }, 2, NULL, 0);
	r = send_all(c->fd, b.s, b.len);
	strbuf_fini(&b);
	return r;
}

int client_fill(struct client *c)
{
	char buf[READ_CHUNK];
	ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	if (c->taken) {
		memmove(c->in.s, c->in.s + c->taken, c->in.len - c->taken);
		c->in.len -= c->taken;
		c->taken = 0;
	}
	strbuf_add(&c->in, buf, (size_t)n);
	return 0;
}

/* Whether the message at p is one of a later release: known by its length alone. */
static int64_t size_of_unknown(const uint8_t *p)
{
	uint32_t body = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
			(uint32_t)p[3] << 24;

	return body >= CLP_HEADER - 4 && body <= CLP_MAX_SMALL ? (int64_t)body + 4 : -EPROTO;
}

int client_next(struct client *c, struct clp_msg *ret)
{
	for (;;) {
		const uint8_t *p = (const uint8_t *)c->in.s + c->taken;
		size_t have = c->in.len - c->taken;
		int64_t size = have ? clp_size(p, have) : 0;
		bool unknown = size == -EPROTO;

		if (unknown)
			size = size_of_unknown(p);
		if (size < 0)
			return (int)size;
		if (size == 0 || (size_t)size > have)
			return 0;
		c->taken += (size_t)size;
		if (unknown)
			continue;
		return clp_decode(p, (size_t)size, ret) ? -EPROTO : 1;
	}
}
