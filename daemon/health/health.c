/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lines "health ...", the items and their states, show health, the domain. */
#include "health/health.h"

#include "cli/command.h"
#include "domain.h"
#include "system/global.h"
#include "system/log.h"
#include "txn/txn.h"

#include <string.h>

SCH_TYPE(health_threshold, SCH_F(health_threshold, metric), SCH_F(health_threshold, warn),
	 SCH_F(health_threshold, crit));

const struct health_info health_info[HEALTH__MAX] = {
#define X(id, w, u, wa, cr, h)                                                                     \
	[HEALTH_##id] = { .word = w, .unit = u, .help = h, .warn = wa, .crit = cr },
	HEALTH_METRICS(X)
#undef X
};
const char *const health_state_words[] = { "UNKNOWN", "OK", "WARN", "CRIT" };

static struct health_item *items;
static size_t n_items;
static struct event *every;
static uint64_t rounds, sampled_ns;

/* In the order of HEALTH_METRICS. */
#define METRIC_WORDS                                                                               \
	"throughput|interface-drops|ring-drops|softnet-drops|gateway-loss|gateway-latency|"        \
	"conntrack|neighbours|socket-drops|retransmissions|cpu|memory|restarts|time-offset"

static const struct sch_row rows[] = {
	SCH_LEAF("health interval <health_interval:U16(1,300)>", global,
		 .help = "Seconds from one look to the next, 10 when not configured"),
	SCH_LEAF("health probes", global, .flag = "health_probes",
		 .help = "Send echo requests to the gateways of default routes"),
	SCH_LIST("health threshold {metric:" METRIC_WORDS
		 "} warn <warn:U32(1,1000000000)> crit <crit:U32(1,1000000000)>",
		 health_threshold, .key = "metric",
		 .help = "From where on a figure is bad, and very bad"),
};

static const struct sch_word words[] = { { "health", "Key figures of the box" },
					 { "interval", "Time from one look to the next" },
					 { "probes", "Echo requests to gateways" },
					 { "threshold", "From where on a figure is bad" },
					 { "warn", "Bad" },
					 { "crit", "Very bad" },
#define X(id, w, u, wa, cr, h) { w, h },
					 HEALTH_METRICS(X)
#undef X
};

static void check(struct check *c)
{
	const struct recvec *v = rec_kids(c->new, &health_threshold_type);
	const struct health_threshold *t;

	recvec_foreach(v, t) {
		if (t->warn > t->crit)
			check_error(c, &t->rec, "warn is above crit");
	}
}

/* ---- items ---- */

static void thresholds(unsigned metric, uint32_t *ret_warn, uint32_t *ret_crit)
{
	const struct recvec *v = rec_kids(txn_running(), &health_threshold_type);
	const struct health_threshold *t;

	*ret_warn = health_info[metric].warn;
	*ret_crit = health_info[metric].crit;
	recvec_foreach(v, t) {
		if (t->metric == metric) {
			*ret_warn = t->warn;
			*ret_crit = t->crit;
		}
	}
}

/* Items stand in the order of metrics, and of their coming. */
static struct health_item *item_of(unsigned metric, const char *name)
{
	struct health_item **p = &items, *i;

	while (*p &&
	       ((*p)->metric < metric || ((*p)->metric == metric && strcmp((*p)->name, name))))
		p = &(*p)->next;
	if (*p && (*p)->metric == metric)
		return *p;
	if (n_items == HEALTH_MAX_ITEMS)
		return NULL;
	n_items++;
	i = xcalloc(1, sizeof(*i));
	i->metric = (uint8_t)metric;
	rtr_strlcpy(i->name, name, sizeof(i->name));
	i->changed_ns = rtr_now_ns();
	i->next = *p;
	*p = i;
	return i;
}

static void tell(const struct health_item *i, enum health_state before, uint32_t warn,
		 uint32_t crit)
{
	const struct health_info *f = &health_info[i->metric];
	enum health_state now = i->judge.state;
	enum log_level level = now == HEALTH_CRIT   ? LOG_L_CRIT
			       : now == HEALTH_WARN ? LOG_L_WARN
						    : LOG_L_NOTICE;
	char value[32] = "";

	/* From unknown to good, and back, is no news. */
	if (before < HEALTH_WARN && now < HEALTH_WARN)
		return;
	if (i->known)
		snprintf(value, sizeof(value), ": %.1f %s", i->value, f->unit);
	log_event("SYS", level, "HEALTH", "%s%s%s is %s, was %s%s (warn %u, crit %u)%s%s", f->word,
		  *i->name ? " " : "", i->name, health_state_words[now], health_state_words[before],
		  value, warn, crit, *i->note ? ": " : "", i->note);
}

static void put(enum health_metric m, const char *name, double value, bool known, const char *note)
{
	struct health_item *i = item_of(m, name);
	enum health_state before;
	uint32_t warn, crit;

	if (!i)
		return;
	thresholds(m, &warn, &crit);
	i->value = value;
	i->known = known;
	i->seen = rounds;
	rtr_strlcpy(i->note, note, sizeof(i->note));
	before = i->judge.state;
	if (health_judge(&i->judge, value, known, warn, crit)) {
		i->changed_ns = rtr_now_ns();
		tell(i, before, warn, crit);
	}
}

void health_put(enum health_metric m, const char *name, double value, const char *note)
{
	put(m, name, value, true, note);
}

void health_put_unknown(enum health_metric m, const char *name, const char *note)
{
	put(m, name, 0, false, note);
}

static void forget_gone(void)
{
	for (struct health_item **p = &items; *p;) {
		struct health_item *i = *p;

		if (i->seen == rounds) {
			p = &i->next;
			continue;
		}
		*p = i->next;
		n_items--;
		free(i);
	}
}

/* ---- rounds ---- */

static unsigned interval(void)
{
	const struct global *g = (const void *)txn_running();

	return g && SCH_HAS(g, health_interval) ? g->health_interval : HEALTH_INTERVAL_SEC;
}

static void on_round(evutil_socket_t fd, short what, void *arg)
{
	uint64_t now = rtr_now_ns();
	struct timeval tv = { .tv_sec = (time_t)interval() };

	event_add(every, &tv);
	if (!txn_running())
		return;
	rounds++;
	health_sample(sampled_ns ? (double)(now - sampled_ns) / (double)NSEC_PER_SEC : 0);
	health_gateway_put();
	sampled_ns = now;
	forget_gone();
}

static void on_publish(const struct rec *old, const struct rec *new, const char *user,
		       const char *source)
{
	const struct global *a = (const void *)old, *b = (const void *)new;
	struct timeval tv = { .tv_sec = (time_t)interval() };

	if (!a || a->health_interval != b->health_interval)
		event_add(every, &tv);
}

static int init(void)
{
	struct timeval tv = { .tv_sec = 1 };

	every = evtimer_new(cmd_base(), on_round, NULL);
	if (!every)
		return -1;
	event_add(every, &tv);
	txn_on_publish(on_publish);
	return health_gateway_init();
}

static void fini(void)
{
	rounds++;
	forget_gone();
	health_gateway_fini();
	health_sample_fini();
	if (every)
		event_free(every);
	every = NULL;
}

/* ---- show health ---- */

static json_t *item_json(const struct health_item *i)
{
	const struct health_info *f = &health_info[i->metric];
	uint32_t warn, crit;
	json_t *o;

	thresholds(i->metric, &warn, &crit);
	o = json_pack("{s:s,s:s,s:s,s:i,s:s,s:I,s:I,s:I,s:s}", "metric", f->word, "item", i->name,
		      "state", health_state_words[i->judge.state], "level",
		      (int)i->judge.state - HEALTH_OK, "unit", f->unit, "warn", (json_int_t)warn,
		      "crit", (json_int_t)crit, "since_sec",
		      (json_int_t)((rtr_now_ns() - i->changed_ns) / NSEC_PER_SEC), "note", i->note);
	json_object_set_new(o, "value", i->known ? json_real(i->value) : json_null());
	return o;
}

static json_t *show_health(struct cmd_ctx *c)
{
	enum health_state worst = n_items ? HEALTH_OK : HEALTH_UNKNOWN;
	json_t *list = json_array();
	bool degraded = txn_degraded();

	for (const struct health_item *i = items; i; i = i->next) {
		worst = MAX(worst, i->judge.state);
		json_array_append_new(list, item_json(i));
	}
	if (degraded)
		worst = HEALTH_CRIT;
	return json_pack("{s:s,s:b,s:i,s:o}", "state", health_state_words[worst], "degraded",
			 degraded, "interval_sec", (int)interval(), "metrics", list);
}

static void print_health(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o;
	size_t i;

	cmd_printf(c, "Health: %s%s\n\n%-16s %-28s %-7s %12s %8s %8s  %s\n",
		   json_string_value(json_object_get(doc, "state")),
		   json_is_true(json_object_get(doc, "degraded"))
			   ? ", the kernel refuses the configuration: show kernel drift"
			   : "",
		   "Metric", "Item", "State", "Value", "Warn", "Crit", "Note");
	json_array_foreach(json_object_get(doc, "metrics"), i, o) {
		const json_t *v = json_object_get(o, "value");
		const char *unit = json_string_value(json_object_get(o, "unit")),
			   *item = json_string_value(json_object_get(o, "item"));
		char value[32] = "-";

		if (json_is_number(v))
			snprintf(value, sizeof(value), "%.1f %s", json_number_value(v), unit);
		cmd_printf(c, "%-16s %-28s %-7s %12s %8d %8d  %s\n",
			   json_string_value(json_object_get(o, "metric")), *item ? item : "-",
			   json_string_value(json_object_get(o, "state")), value,
			   (int)json_integer_value(json_object_get(o, "warn")),
			   (int)json_integer_value(json_object_get(o, "crit")),
			   json_string_value(json_object_get(o, "note")));
	}
}

static const struct cmd cmds[] = {
	{ "show health", "Key figures of the box, and whether they are good", .data = show_health,
	  .text = print_health },
};

static const char *const after_links[] = { "links", NULL };

static const struct domain health_domain = {
	.name = "health",
	.after = after_links,
	.rows = rows,
	.n_rows = ARRAY_LEN(rows),
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
	.init = init,
	.fini = fini,
	.check = check,
};
RTR_DOMAIN(health_domain);
