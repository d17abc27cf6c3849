/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the worker: brings the parts up in order, one event loop, signals.
 *	schema and commands -> send queue, shadow -> first dump of the kernel -> baseline, domains,
 *	running journal -> archive, startup configuration -> the CLI listens
 * Owns: the event base and everything on it. Threads: one, and for the
 * time of an nftables batch its sender (kernel/nlq_nft.h).
 * Failure: what cannot be set up ends the process with a sentence; its parent decides on a
 * restart. SIGTERM and the parent's death end it cleanly, the kernel is left as it is.
 */
#include "cli/conn.h"
#include "cli/inner.h"
#include "cli/session.h"
#include "domain.h"
#include "kernel/apply.h"
#include "kernel/baseline.h"
#include "kernel/nlq.h"
#include "kernel/shadow.h"
#include "schema/manual.h"
#include "system/log.h"
#include "system/parent.h"
#include "txn/archive.h"
#include "txn/startup.h"
#include "txn/txn.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

struct rtrd {
	const struct rtrd_args *args;
	struct event_base *base;
	struct event *term, *intr, *hup, *parent, *beat;
	struct conn_server *cli;
	const struct domain *const *domains;
	size_t n_domains;
	int status; /* enum rtrd_exit */
};

static void give_up(struct rtrd *d, const char *what, int error)
{
	fprintf(stderr, "rtrd: %s: %s\n", what, strerror(-error));
	d->status = RTRD_FAILED;
	event_base_loopbreak(d->base);
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
	struct rtrd *d = arg;

	event_base_loopbreak(d->base);
}

static void hup_done(void *arg)
{
	struct rtrd *d = arg;

	parent_ready(d->args->parent_fd);
}

static void on_hup(evutil_socket_t fd, short what, void *arg)
{
	if (startup_path())
		startup_reload("SIGHUP", hup_done, arg);
}

static void on_parent(evutil_socket_t fd, short what, void *arg)
{
	char byte;

	/* The parent sends nothing: readable means that it is gone. */
	if (recv(fd, &byte, 1, MSG_DONTWAIT) == 0)
		on_stop(fd, what, arg);
}

static void on_beat(evutil_socket_t fd, short what, void *arg)
{
	struct rtrd *d = arg;

	parent_beat(d->args->parent_fd);
}

static void watch(struct rtrd *d)
{
	struct timeval tv = { .tv_sec = (time_t)(d->args->beat_ns / NSEC_PER_SEC),
			      .tv_usec = (suseconds_t)(d->args->beat_ns % NSEC_PER_SEC / 1000) };

	d->term = evsignal_new(d->base, SIGTERM, on_stop, d);
	d->intr = evsignal_new(d->base, SIGINT, on_stop, d);
	d->hup = evsignal_new(d->base, SIGHUP, on_hup, d);
	d->parent = event_new(d->base, d->args->parent_fd, EV_READ | EV_PERSIST, on_parent, d);
	d->beat = event_new(d->base, -1, EV_PERSIST, on_beat, d);
	if (!d->term || !d->intr || !d->hup || !d->parent || !d->beat)
		abort();
	event_add(d->term, NULL);
	event_add(d->intr, NULL);
	event_add(d->hup, NULL);
	if (d->args->parent_fd >= 0)
		event_add(d->parent, NULL);
	if (d->args->beat_ns)
		event_add(d->beat, &tv);
}

/* The part that needs no kernel: rtrd -t and the manual use it too. NULL, or what is wrong. */
static const char *link_tables(const struct domain *const **ret, size_t *ret_n)
{
	const char *bad = domains_sort(ret, ret_n);

	if (!bad)
		bad = schema_init(*ret, *ret_n);
	if (!bad)
		bad = commands_init(*ret, *ret_n);
	return bad;
}

/* The kernel was seen once: from here on what we want can be compared with it. */
static void kernel_seen(void *arg)
{
	struct rtrd *d = arg;
	const struct rtrd_args *a = d->args;
	struct strbuf notes = STRBUF_INIT;
	bool resumed;
	int r = baseline_init(a->run_dir);

	parent_link_set(a->parent_fd);
	if (!r)
		r = apply_init(d->base, d->domains, d->n_domains);
	for (size_t i = 0; i < d->n_domains && !r; i++)
		r = d->domains[i]->init ? d->domains[i]->init() : 0;
	if (r) {
		give_up(d, "start", r);
		return;
	}
	r = txn_init(d->base, a->run_dir, &notes, &resumed);
	if (!r)
		r = archive_init(d->base, a->state_dir);
	if (r) {
		give_up(d, "the folders below /run and /var/lib", r);
		return;
	}
	if (notes.len)
		log_event("SYS", LOG_L_WARN, "JOURNAL", "%s", strbuf_str(&notes));
	strbuf_fini(&notes);
	log_event("SYS", LOG_L_NOTICE, "RESTART", "rtrd %s",
		  resumed ? "goes on from the running journal" : "starts");
	startup_init(d->base, a->config, resumed);
	d->cli = conn_server_new(d->base, a->listen_fd, NULL);
	inner_set_server(d->cli);
	parent_ready(a->parent_fd);
}

static void shut_down(struct rtrd *d)
{
	inner_set_server(NULL);
	conn_server_free(d->cli, "rtrd stops");
	if (startup_path()) {
		startup_fini();
		archive_fini();
		txn_fini();
	}
	for (size_t i = d->n_domains; i-- > 0;) {
		if (d->domains[i]->fini)
			d->domains[i]->fini();
	}
	apply_fini();
	baseline_fini();
	shadow_fini();
	nlq_fini();
	commands_fini();
	schema_fini();
	log_fini();
}

static void free_events(struct rtrd *d)
{
	event_free(d->term);
	event_free(d->intr);
	event_free(d->hup);
	event_free(d->parent);
	event_free(d->beat);
	event_base_free(d->base);
}

int rtrd_main(const struct rtrd_args *args)
{
	struct rtrd d = { .args = args, .base = event_base_new() };
	const char *bad = link_tables(&d.domains, &d.n_domains);
	int r;

	if (bad || !d.base) {
		fprintf(stderr, "rtrd: %s\n", bad ? bad : strerror(errno));
		return RTRD_FAILED;
	}
	signal(SIGPIPE, SIG_IGN);
	parent_set_args(args);
	log_init(args->name);
	session_init(d.base);
	watch(&d);
	r = nlq_init(d.base);
	if (!r)
		r = shadow_init(d.base, args->name, kernel_seen, &d);
	if (r)
		give_up(&d, "netlink", r);
	else
		event_base_dispatch(d.base);
	shut_down(&d);
	free_events(&d);
	return d.status;
}

int rtrd_check(const char *path, FILE *out)
{
	const struct domain *const *domains;
	struct strbuf text = STRBUF_INIT;
	const char *bad;
	size_t n;
	int r;

	bad = link_tables(&domains, &n);
	if (bad) {
		fprintf(stderr, "rtrd: %s\n", bad);
		return RTRD_FAILED;
	}
	r = startup_check(path, &text);
	fputs(strbuf_str(&text), out);
	strbuf_fini(&text);
	commands_fini();
	schema_fini();
	return r ? RTRD_CONFIG : RTRD_OK;
}

int rtrd_manual(FILE *out)
{
	const struct domain *const *domains;
	const char *bad;
	size_t n;
	int r;

	bad = link_tables(&domains, &n);
	if (bad) {
		fprintf(stderr, "rtrd: %s\n", bad);
		return RTRD_FAILED;
	}
	r = manual_print(out);
	commands_fini();
	schema_fini();
	return r ? RTRD_FAILED : RTRD_OK;
}
