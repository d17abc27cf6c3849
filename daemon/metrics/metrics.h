/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the counters of the show commands for Prometheus (text exposition format 0.0.4).
 *
 *	metrics listen 127.0.0.1 port 9273
 *	metrics listen 10.0.0.1 port 9273 allow 10.0.0.0/24
 *
 * The table (metrics_table.c) names for each metric the show command that prints it and its place
 * in the JSON document, so that the two are the same number. A scrape runs those commands one
 * after the other as a session of its own would (cli/inner.h), and others that come meanwhile, or
 * within a second, get the same page.
 * Owns: the listeners, the page. Threads: rtrd's loop only. Failure: a listener that cannot be
 * opened is logged and tried again; a command that fails or answers with more than
 * METRICS_MAX_DOC is left out and counted, as are series beyond METRICS_MAX_SERIES of a metric.
 */
#ifndef RTR_METRICS_H
#define RTR_METRICS_H

#include "prefix.h"
#include "schema/model.h"
#include "strbuf.h"

#include <jansson.h>

/* A page of 100 metrics with so many series each is 20 MB; usual ones have some ten. */
#define METRICS_MAX_SERIES 2000
/* What jansson parses in about 20 ms. */
#define METRICS_MAX_DOC   (2u << 20)
#define METRICS_MAX_LABEL 128

struct metrics_listen {
	struct rec rec;
	struct rtr_addr addr;
	uint16_t port;
	struct rtr_prefix allow4, allow6;
};

extern struct sch_type metrics_listen_type;

/* ---- metrics_table.c ---- */

struct metric {
	const char *name; /* one that ends in _total is a counter, others are gauges */
	const char *path; /* keys below the row, '/' between; "." = the row; "state=Up": 1 or 0 */
	const char *help;
	double scale; /* 0 = as it is; else multiplied */
};

/* Metrics of one show command that have the same rows and labels. */
struct metric_source {
	const char *command;
	/* What leads from the document to the rows: keys; "[]" goes through an array, "{}" through
	 * an object, whose key is "@" for the labels. "" = the document is the only row. */
	const char *rows;
	/* "interface=name family:ipv4": label=path in the row or in one around it; label:value */
	const char *labels;
	const struct metric *metrics;
	size_t n;
};

extern const struct metric_source metric_sources[];
extern const size_t n_metric_sources;

/* ---- metrics_page.c: pure ---- */

struct metrics_page;
struct metrics_page *metrics_page_new(void);
struct metrics_page *metrics_page_free(struct metrics_page *p);
/* Adds what the document of a command tells. */
void metrics_page_add(struct metrics_page *p, const char *command, const json_t *doc);
/* The page, to be called once: # HELP, # TYPE, series. */
void metrics_page_text(struct metrics_page *p, struct strbuf *b);
/* Series that did not fit. */
size_t metrics_page_left_out(const struct metrics_page *p);

/* ---- metrics_collect.c ---- */

typedef void (*metrics_done_fn)(void *arg, const char *page, size_t size);
/* done is called from the loop with a page at most METRICS_CACHE_MS old; NULL: there is none. False
 * when too many wait. */
bool metrics_ask(metrics_done_fn done, void *arg);
void metrics_forget(void *arg);
void metrics_collect_fini(void);

#define METRICS_CACHE_MS   1000
#define METRICS_TIMEOUT_MS 10000
#define METRICS_WAITERS    32

/* ---- metrics_http.c ---- */

int metrics_http_init(void);
void metrics_http_fini(void);

#endif
