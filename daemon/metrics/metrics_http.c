/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The listeners. */
#include "cli/command.h"
#include "metrics/metrics.h"
#include "system/log.h"
#include "txn/txn.h"

#include <errno.h>
#include <event2/http.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <string.h>
#include <unistd.h>

/* A scrape is one line and a few headers. */
#define MAX_HEADERS 4096
/* Whoever connects and says nothing is closed after that long. */
#define IDLE_SEC 10
/* New connections in IDLE_SEC: with it no more than twice so many are open at once. */
#define MAX_CONNS 64
#define RETRY_SEC 5
#define BACKLOG   16

struct server {
	struct rec *def; /* struct metrics_listen */
	struct evhttp *http;
	struct evhttp_bound_socket *bound;
	unsigned n_conns; /* in this stretch of IDLE_SEC */
	const char *error;
	struct server *next;
};

/* A request that waits for its page. */
struct ask {
	struct evhttp_request *req; /* NULL: the client is gone */
	struct server *server;
	struct ask *next;
};

static struct server *servers;
static struct ask *asks;
static struct event *tick;

static const struct metrics_listen *def_of(const struct server *s)
{
	return (const void *)s->def;
}

/* ---- requests ---- */

static void ask_free(struct ask *a)
{
	struct ask **p = &asks;

	while (*p != a)
		p = &(*p)->next;
	*p = a->next;
	metrics_forget(a);
	free(a);
}

static void on_closed(struct evhttp_connection *c, void *arg)
{
	ask_free(arg);
}

static void reply(struct evhttp_request *req, int code, const char *reason, const char *text,
		  size_t size)
{
	struct evkeyvalq *h = evhttp_request_get_output_headers(req);
	struct evbuffer *b = evbuffer_new();

	if (!b)
		abort();
	evhttp_add_header(h, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
	evhttp_add_header(h, "Connection", "close");
	evbuffer_add(b, text, size);
	evhttp_send_reply(req, code, reason, b);
	evbuffer_free(b);
}

static void refuse(struct evhttp_request *req, int code, const char *reason)
{
	char text[64];

	snprintf(text, sizeof(text), "%s\n", reason);
	reply(req, code, reason, text, strlen(text));
}

static void on_page(void *arg, const char *page, size_t size)
{
	struct ask *a = arg;
	struct evhttp_request *req = a->req;

	evhttp_connection_set_closecb(evhttp_request_get_connection(req), NULL, NULL);
	ask_free(a);
	if (page)
		reply(req, HTTP_OK, "OK", page, size);
	else
		refuse(req, HTTP_SERVUNAVAIL, "rtrd stops");
}

static bool may_ask(const struct metrics_listen *l, struct evhttp_request *req)
{
	struct rtr_addr from;
	ev_uint16_t port;
	char *text = NULL;

	evhttp_connection_get_peer(evhttp_request_get_connection(req), &text, &port);
	if (!text || rtr_addr_parse(text, AF_UNSPEC, &from))
		return false;
	if (from.family == AF_INET && SCH_HAS(l, allow4))
		return rtr_prefix_contains(&l->allow4, &from);
	if (from.family == AF_INET6 && SCH_HAS(l, allow6))
		return rtr_prefix_contains(&l->allow6, &from);
	return rtr_addr_is_loopback(&from);
}

static void on_request(struct evhttp_request *req, void *arg)
{
	struct server *s = arg;
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
	struct ask *a;

	if (!may_ask(def_of(s), req)) {
		refuse(req, 403, "Forbidden");
		return;
	}
	if (!path || strcmp(path, "/metrics")) {
		refuse(req, HTTP_NOTFOUND, "Not Found: the metrics are at /metrics");
		return;
	}
	a = xcalloc(1, sizeof(*a));
	a->req = req;
	a->server = s;
	a->next = asks;
	asks = a;
	evhttp_connection_set_closecb(evhttp_request_get_connection(req), on_closed, a);
	if (!metrics_ask(on_page, a)) {
		evhttp_connection_set_closecb(evhttp_request_get_connection(req), NULL, NULL);
		ask_free(a);
		refuse(req, HTTP_SERVUNAVAIL, "Too many ask at once");
	}
}

/* ---- the listener ---- */

/* Called for each connection: a flood of them waits in the backlog, not in our descriptors. */
static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
	struct server *s = arg;

	if (++s->n_conns == MAX_CONNS)
		evconnlistener_disable(evhttp_bound_socket_get_listener(s->bound));
	return bufferevent_socket_new(base, -1, 0);
}

static int open_socket(const struct metrics_listen *l)
{
	struct sockaddr_storage at;
	socklen_t len = rtr_addr_sockaddr(&l->addr, l->port, &at);
	bool v6 = l->addr.family == AF_INET6;
	int fd = socket(l->addr.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, e;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    (v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
	    bind(fd, (struct sockaddr *)&at, len) < 0 || listen(fd, BACKLOG) < 0) {
		e = errno;
		close(fd);
		return -e;
	}
	return fd;
}

static void complain(struct server *s, const char *error)
{
	char text[RTR_ADDR_STRLEN];

	if (s->error != error)
		log_event("SYS", LOG_L_WARN, "METRICS", "metrics listen %s port %u: %s",
			  rtr_addr_str(&def_of(s)->addr, text), def_of(s)->port, error);
	s->error = error;
}

static void try_open(struct server *s)
{
	int fd = open_socket(def_of(s));

	if (fd < 0) {
		complain(s, strerror(-fd));
		return;
	}
	s->bound = evhttp_accept_socket_with_handle(s->http, fd);
	if (!s->bound) {
		close(fd);
		complain(s, "no memory");
		return;
	}
	s->error = NULL;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	static unsigned n;

	n++;
	for (struct server *s = servers; s; s = s->next) {
		if (!s->bound)
			try_open(s);
		if (s->bound && n % (IDLE_SEC / RETRY_SEC) == 0) {
			s->n_conns = 0;
			evconnlistener_enable(evhttp_bound_socket_get_listener(s->bound));
		}
	}
}

/* ---- the model ---- */

static void server_free(struct server *s)
{
	for (struct ask *a = asks, *next; a; a = next) {
		next = a->next;
		/* evhttp_free closes its connection, and takes the request along. */
		if (a->server == s) {
			evhttp_connection_set_closecb(evhttp_request_get_connection(a->req), NULL,
						      NULL);
			ask_free(a);
		}
	}
	evhttp_free(s->http);
	rec_unref(s->def);
	free(s);
}

static void add_server(const struct metrics_listen *l)
{
	struct server *s = xcalloc(1, sizeof(*s));

	s->def = rec_ref(&l->rec);
	s->http = evhttp_new(cmd_base());
	if (!s->http)
		abort();
	evhttp_set_gencb(s->http, on_request, s);
	evhttp_set_bevcb(s->http, on_connection, s);
	evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_max_headers_size(s->http, MAX_HEADERS);
	evhttp_set_max_body_size(s->http, 0);
	evhttp_set_timeout(s->http, IDLE_SEC);
	s->next = servers;
	servers = s;
	try_open(s);
}

static struct server *find(const struct metrics_listen *l)
{
	struct server *s = servers;

	while (s && !rec_equal_fields(s->def, &l->rec))
		s = s->next;
	return s;
}

static void sync_model(const struct rec *root)
{
	const struct recvec *v = rec_kids(root, &metrics_listen_type);
	static const struct timeval every = { .tv_sec = RETRY_SEC };
	const struct metrics_listen *l;

	for (struct server **p = &servers; *p;) {
		struct server *s = *p;
		const struct rec *now = rec_find(root, &metrics_listen_type, s->def);

		if (now && rec_equal_fields(now, s->def)) {
			p = &s->next;
			continue;
		}
		*p = s->next;
		server_free(s);
	}
	recvec_foreach(v, l) {
		if (!find(l))
			add_server(l);
	}
	if (servers)
		event_add(tick, &every);
	else
		event_del(tick);
}

static void on_publish(const struct rec *old, const struct rec *new, const char *user,
		       const char *source)
{
	if (rec_kids(old, &metrics_listen_type) != rec_kids(new, &metrics_listen_type))
		sync_model(new);
}

static void first_look(evutil_socket_t fd, short what, void *arg)
{
	sync_model(txn_running());
}

int metrics_http_init(void)
{
	tick = event_new(cmd_base(), -1, EV_PERSIST, on_tick, NULL);
	txn_on_publish(on_publish);
	/* What the journal brings back is running only after all domains are up. */
	event_base_once(cmd_base(), -1, EV_TIMEOUT, first_look, NULL, &(struct timeval){ 0 });
	return 0;
}

void metrics_http_fini(void)
{
	while (servers) {
		struct server *s = servers;

		servers = s->next;
		server_free(s);
	}
	metrics_collect_fini();
	if (tick)
		event_free(tick);
	tick = NULL;
}
