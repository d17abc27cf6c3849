/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conntrack/ct_watch.h"

#include "conntrack/ct_conf.h"
#include "conntrack/ct_top.h"
#include "system/global.h"
#include "system/log.h"
#include "txn/txn.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum level { NORMAL, HIGH, FULL };

static struct {
	struct event *tick;
	uint32_t peak;
	int64_t peak_unix;
	enum level level;
	uint64_t told_ns; /* when the alarm was logged */
	uint64_t refused; /* drop + early_drop at the last look */
	bool have_refused;
	/* Who fills it: runs after an alarm was raised, and logs. */
	struct ct_dump *who;
	struct ct_top *top;
	struct ct_count count;
} w;

unsigned ct_watch_percent(const struct ct_count *c)
{
	return c->max ? (unsigned)((uint64_t)c->n * 100 / c->max) : 0;
}

uint32_t ct_watch_peak(int64_t *ret_unix)
{
	*ret_unix = w.peak_unix;
	return w.peak;
}

unsigned ct_watch_watermark(void)
{
	const struct global *g = (const void *)txn_running();

	return SCH_HAS(g, conntrack_watermark) ? g->conntrack_watermark : CT_WATERMARK_DEFAULT;
}

/* Packets refused or entries thrown out for lack of room, in all since this namespace began. */
static uint64_t refused(void)
{
	struct ct_cpu_stats *s;
	int n = ct_stats_get(&s);
	uint64_t sum = 0;

	if (n < 0)
		return w.refused;
	for (int i = 0; i < n; i++)
		sum += s[i].drop + s[i].early_drop;
	free(s);
	return sum;
}

/* ---- the alarm ---- */

static void add_source(void *arg, const struct ct_entry *e)
{
	ct_top_add(w.top, &(struct ct_top_key){ e->orig.src });
}

static void name_it(void *arg, int error)
{
	struct ct_top_item first;
	char a[RTR_ADDR_STRLEN] = "unknown";
	uint32_t n = 0;

	w.who = NULL;
	if (!error && ct_top_list(w.top, &first, 1)) {
		rtr_addr_str(&first.key.addr, a);
		n = first.n;
	}
	if (w.level == FULL)
		log_event("CONNTRACK", LOG_L_CRIT, "FULL",
			  "The connection table is full (%u of %u): new connections push out "
			  "unanswered ones or are refused; most belong to source %s (%u)",
			  w.count.n, w.count.max, a, n);
	else
		log_event("CONNTRACK", LOG_L_WARN, "HIGH",
			  "The connection table is %u percent full (%u of %u); most belong to "
			  "source %s (%u)",
			  ct_watch_percent(&w.count), w.count.n, w.count.max, a, n);
	w.top = ct_top_free(w.top);
}

static void alarm_(const struct ct_count *c)
{
	static const struct ct_dump_fns fns = { .each = add_source, .done = name_it };
	int e = 0;

	if (w.who)
		return;
	w.told_ns = rtr_now_ns();
	w.count = *c;
	w.top = ct_top_new();
	w.who = ct_dump_start(NULL, &fns, NULL, &e);
	if (!w.who)
		name_it(NULL, e);
}

static enum level judge(const struct ct_count *c, bool refusing)
{
	unsigned pct = ct_watch_percent(c), high = ct_watch_watermark();

	if (refusing || (c->max && c->n >= c->max))
		return FULL;
	if (pct >= high)
		return w.level == FULL && pct > 100 - CT_HYSTERESIS ? FULL : HIGH;
	return w.level != NORMAL && pct + CT_HYSTERESIS > high ? HIGH : NORMAL;
}

static void look(void)
{
	uint64_t now = rtr_now_ns(), sum = refused();
	bool refusing = w.have_refused && sum > w.refused;
	struct ct_count c;
	enum level level;

	w.refused = sum;
	w.have_refused = true;
	if (ct_count_get(&c))
		return;
	if (c.n > w.peak) {
		w.peak = c.n;
		w.peak_unix = time(NULL);
	}
	level = judge(&c, refusing);
	if (level == NORMAL && w.level != NORMAL)
		log_event("CONNTRACK", LOG_L_NOTICE, "NORMAL",
			  "The connection table is %u percent full (%u of %u) again",
			  ct_watch_percent(&c), c.n, c.max);
	if (level > w.level ||
	    (level != NORMAL && now - w.told_ns >= CT_REPEAT_SEC * NSEC_PER_SEC)) {
		w.level = level;
		alarm_(&c);
	}
	w.level = level;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	look();
}

int ct_watch_init(void)
{
	static const struct timeval second = { 1, 0 };

	w.tick = event_new(ct_base(), -1, EV_PERSIST, on_tick, NULL);
	if (!w.tick)
		return -ENOMEM;
	event_add(w.tick, &second);
	return 0;
}

void ct_watch_fini(void)
{
	if (w.tick)
		event_free(w.tick);
	w.tick = NULL;
	w.who = ct_dump_cancel(w.who);
	w.top = ct_top_free(w.top);
}
