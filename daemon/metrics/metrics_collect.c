/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs the commands of the table and keeps the page made of their answers. */
#include "cli/command.h"
#include "cli/inner.h"
#include "metrics/metrics.h"

#include <event2/event.h>
#include <string.h>

static struct {
	struct {
		metrics_done_fn done;
		void *arg;
	} waiter[METRICS_WAITERS];
	size_t n_waiters;

	struct inner *inner; /* while a page is made */
	struct event *step, *timeout;
	struct metrics_page *page;
	size_t source;
	struct strbuf doc;
	bool too_long;
	uint64_t start_ns;
	size_t skipped; /* commands */

	struct strbuf text; /* the last page */
	uint64_t text_ns;
} m;

static void answer_all(bool good)
{
	size_t n = m.n_waiters;

	/* Whoever asks again from here waits for the next page. */
	m.n_waiters = 0;
	for (size_t i = 0; i < n; i++) {
		metrics_done_fn done = m.waiter[i].done;

		done(m.waiter[i].arg, good ? strbuf_str(&m.text) : NULL, m.text.len);
	}
}

static void own_metric(const char *name, const char *help, double v)
{
	strbuf_addf(&m.text, "# HELP %s %s\n# TYPE %s gauge\n%s %.9g\n", name, help, name, name, v);
}

static void stop(void)
{
	m.inner = inner_free(m.inner);
	event_del(m.timeout);
	event_del(m.step);
	strbuf_reset(&m.doc);
}

static void publish(bool whole)
{
	uint64_t now = rtr_now_ns();

	stop();
	strbuf_reset(&m.text);
	metrics_page_text(m.page, &m.text);
	own_metric("rtr_metrics_commands_left_out", "Show commands that gave no answer",
		   (double)m.skipped);
	own_metric("rtr_metrics_series_left_out", "Series beyond the limit of a metric",
		   (double)metrics_page_left_out(m.page));
	own_metric("rtr_metrics_whole", "0 when time ran out", whole);
	own_metric("rtr_metrics_seconds", "Time that this page took",
		   (double)(now - m.start_ns) / (double)NSEC_PER_SEC);
	m.page = metrics_page_free(m.page);
	m.text_ns = now;
	answer_all(true);
}

/* ---- one command after the other ---- */

static void on_output(void *arg, const char *text, size_t size)
{
	if (m.doc.len + size > METRICS_MAX_DOC)
		m.too_long = true;
	if (!m.too_long)
		strbuf_add(&m.doc, text, size);
}

static void on_done(void *arg, int status)
{
	json_t *doc = !status && !m.too_long
			      ? json_loadb(strbuf_str(&m.doc), m.doc.len, JSON_DECODE_ANY, NULL)
			      : NULL;
	const char *command = metric_sources[m.source].command;
	static const struct timeval now;

	if (doc)
		metrics_page_add(m.page, command, doc);
	else
		m.skipped++;
	json_decref(doc);
	strbuf_reset(&m.doc);
	m.too_long = false;
	while (m.source < n_metric_sources && !strcmp(metric_sources[m.source].command, command))
		m.source++;
	if (status < 0)
		m.source = n_metric_sources; /* the session is gone */
	event_add(m.step, &now);
}

static void on_step(evutil_socket_t fd, short what, void *arg)
{
	if (m.source == n_metric_sources)
		publish(true);
	else
		inner_exec(m.inner, metric_sources[m.source].command, true);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	publish(false);
}

static bool start(void)
{
	static const struct inner_ops ops = { .output = on_output, .done = on_done };
	static const struct timeval now, limit = { .tv_sec = METRICS_TIMEOUT_MS / 1000 };

	if (!m.step) {
		m.step = evtimer_new(cmd_base(), on_step, NULL);
		m.timeout = evtimer_new(cmd_base(), on_timeout, NULL);
	}
	m.inner = inner_new(&ops, NULL);
	if (!m.inner)
		return false;
	m.page = metrics_page_new();
	m.source = m.skipped = 0;
	m.start_ns = rtr_now_ns();
	event_add(m.step, &now);
	event_add(m.timeout, &limit);
	return true;
}

bool metrics_ask(metrics_done_fn done, void *arg)
{
	if (m.text_ns && rtr_now_ns() - m.text_ns < METRICS_CACHE_MS * NSEC_PER_MSEC) {
		done(arg, strbuf_str(&m.text), m.text.len);
		return true;
	}
	if (m.n_waiters == METRICS_WAITERS || (!m.inner && !start()))
		return false;
	m.waiter[m.n_waiters].done = done;
	m.waiter[m.n_waiters++].arg = arg;
	return true;
}

void metrics_forget(void *arg)
{
	for (size_t i = 0; i < m.n_waiters; i++) {
		if (m.waiter[i].arg == arg)
			m.waiter[i--] = m.waiter[--m.n_waiters];
	}
}

void metrics_collect_fini(void)
{
	answer_all(false);
	if (m.step) {
		stop();
		event_free(m.step);
		event_free(m.timeout);
	}
	metrics_page_free(m.page);
	strbuf_fini(&m.doc);
	strbuf_fini(&m.text);
	memset(&m, 0, sizeof(m));
}
