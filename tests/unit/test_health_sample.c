/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every figure of `show health` over both of its thresholds and back: what the kernel tells is
 * made up, what is made of it and the judgement are the real ones.
 */
#include "../lib/check_main.h"

#include "cli/command.h"
#include "conntrack/ct.h"
#include "health/health.h"
#include "iface/iface.h"
#include "iface/iface_show.h"
#include "diag/probe.h"
#include "kernel/shadow.h"
#include "neigh/neigh.h"
#include "neigh/neigh_list.h"
#include "nic/nic.h"
#include "system/global.h"
#include "system/programs.h"
#include "txn/txn.h"
#include "vrrp/vrrp.h"

#include <stdarg.h>
#include <string.h>
#include <sys/timex.h>

#define SEC  10
#define MBIT 1000

/* ---- what there is to read ---- */

static struct {
	uint64_t now_ns;
	struct iface_seen seen;
	uint64_t softnet, udp, listen, udp6, sent, again;
	uint64_t cpu_busy, cpu_total;
	unsigned mem_free; /* per mille */
	unsigned tracked, neighbours;
	long clock_us;
	unsigned ends;
	uint64_t rtt_us; /* 0: no answer */
} k;

static char *make_text(const char *fmt, ...) RTR_PRINTF(1, 2);
static char *make_text(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	ck_assert_int_ge(vasprintf(&s, fmt, ap), 0);
	va_end(ap);
	return s;
}

static int fake_read(const char *path, size_t max, char **ret, size_t *ret_size)
{
	if (!strcmp(path, "/proc/net/softnet_stat"))
		*ret = make_text("00000007 %08llx 00000000\n00000007 00000000 00000000\n",
				 (unsigned long long)k.softnet);
	else if (!strcmp(path, "/proc/net/snmp"))
		*ret = make_text("Tcp: InSegs OutSegs RetransSegs\nTcp: 5 %llu %llu\n"
				 "Udp: InDatagrams RcvbufErrors SndbufErrors\nUdp: 9 %llu 0\n",
				 (unsigned long long)k.sent, (unsigned long long)k.again,
				 (unsigned long long)k.udp);
	else if (!strcmp(path, "/proc/net/netstat"))
		*ret = make_text("TcpExt: ListenDrops RcvPruned\nTcpExt: %llu 0\n",
				 (unsigned long long)k.listen);
	else if (!strcmp(path, "/proc/net/snmp6"))
		*ret = make_text("Udp6RcvbufErrors\t%llu\n", (unsigned long long)k.udp6);
	else if (!strcmp(path, "/proc/stat"))
		*ret = make_text("cpu 1 1 1 1\ncpu0 0 0 0 %llu 0 0 0 0\n"
				 "cpu1 %llu 0 0 %llu 0 0 0 0\nintr 1 2 3\n",
				 (unsigned long long)k.cpu_total, (unsigned long long)k.cpu_busy,
				 (unsigned long long)(k.cpu_total - k.cpu_busy));
	else if (!strcmp(path, "/proc/meminfo"))
		*ret = make_text("MemTotal: 1000000 kB\nMemFree: 1 kB\nMemAvailable: %u kB\n",
				 k.mem_free * 1000);
	else
		ck_abort_msg("%s", path);
	return 0;
}

int iface_read_counters(void)
{
	return 0;
}

struct iface_seen *iface_seen_get(int ifindex)
{
	return &k.seen;
}

const char *iface_operator_name(const char *name)
{
	return "eth0";
}

static struct shadow_link link0 = { .ifindex = 7, .name = "eth0", .flags = IFF_UP };

const struct shadow_link *shadow_link_next(const struct shadow_link *l)
{
	return l ? NULL : &link0;
}

const struct shadow_link *shadow_link_by_index(int ifindex)
{
	return &link0;
}

uint64_t shadow_generation(void)
{
	return 1;
}

bool vrrp_is_vmac(const struct shadow_link *l)
{
	return false;
}

int nic_speed(int ifindex, uint32_t *ret)
{
	*ret = MBIT;
	return 0;
}

int ct_count_get(struct ct_count *ret)
{
	*ret = (struct ct_count){ .n = k.tracked, .max = 1000, .buckets = 100 };
	return 0;
}

int neigh_read_limits(int family, struct neigh_limits *ret)
{
	*ret = (struct neigh_limits){ .entries = family == AF_INET6 ? k.neighbours : 0,
				      .thresh3 = 1000 };
	return 0;
}

int adjtimex(struct timex *t)
{
	*t = (struct timex){ .offset = k.clock_us };
	return 0;
}

void programs_foreach(programs_fn fn, void *arg)
{
	fn(arg, "rtr-arpd", k.ends + 1, k.ends);
}

/* ---- the gateway ---- */

static struct event_base *base;

struct event_base *cmd_base(void)
{
	return base;
}

const struct rec *txn_running(void)
{
	static const struct global g = { .health_probes = true };

	return &g.rec;
}

static struct shadow_route *way;

const struct shadow_route *shadow_route_next(const struct shadow_route *r)
{
	return r ? NULL : way;
}

int neigh_list_read(struct neigh_list *l, bool proxies)
{
	return 0;
}

void neigh_list_fini(struct neigh_list *l)
{
}

static struct {
	probe_done_fn done;
	void *arg;
} probe;

struct probe *probe_new(struct event_base *b, const struct probe_opts *o, probe_done_fn done,
			void *arg, int *ret_error)
{
	probe.done = done;
	probe.arg = arg;
	return (struct probe *)(void *)&probe;
}

struct probe *probe_free(struct probe *p)
{
	return NULL;
}

int probe_send(struct probe *p, unsigned ttl, unsigned timeout_ms)
{
	probe.done(probe.arg, k.rtt_us ? PROBE_REPLY : PROBE_TIMEOUT, k.rtt_us, &way->hops[0].gw,
		   0);
	return 0;
}

/* The code itself, over these. */
#define rtr_file_read fake_read
#define rtr_now_ns()  k.now_ns
#include "../../daemon/health/health_gateway.c"
#include "../../daemon/health/health_judge.c"
#include "../../daemon/health/health_sample.c"

/* ---- what comes of it ---- */

const struct health_info health_info[HEALTH__MAX] = {
#define X(id, w, u, wa, cr, h)                                                                     \
	[HEALTH_##id] = { .word = w, .unit = u, .help = h, .warn = wa, .crit = cr },
	HEALTH_METRICS(X)
#undef X
};

static struct health_judge judges[HEALTH__MAX];
static double values[HEALTH__MAX];

void health_put(enum health_metric m, const char *name, double value, const char *note)
{
	if (m == HEALTH_NEIGHBOURS && strcmp(name, "ipv6"))
		return;
	values[m] = value;
	health_judge(&judges[m], value, true, health_info[m].warn, health_info[m].crit);
}

void health_put_unknown(enum health_metric m, const char *name, const char *note)
{
	ck_abort_msg("%s has no value: %s", health_info[m].word, note);
}

/* ---- driving ---- */

static void answers(unsigned lost, uint64_t rtt_us)
{
	for (unsigned i = 0; i < HEALTH_WINDOW; i++) {
		k.rtt_us = i < lost ? 0 : rtt_us;
		on_second(-1, 0, NULL);
	}
}

/* The next sample of m shall be v. What grows alternates between the counters that it is made of.
 */
static void arrange(enum health_metric m, double v, unsigned turn)
{
	struct rtnl_link_stats64 *s = &k.seen.stats;
	__u64 *const bad[] = { &s->rx_errors, &s->rx_dropped, &s->tx_errors, &s->tx_dropped };
	uint64_t *const sockets[] = { &k.udp, &k.listen, &k.udp6 };
	uint64_t n = (uint64_t)(v * SEC);

	switch (m) {
	case HEALTH_THROUGHPUT:
		*(turn % 2 ? &s->rx_bytes : &s->tx_bytes) += (uint64_t)(v / 100 * MBIT * 1e6 / 8) *
							     SEC;
		break;
	case HEALTH_IF_DROPS:
		*bad[turn % ARRAY_LEN(bad)] += n;
		break;
	case HEALTH_RING_DROPS:
		*(turn % 2 ? &s->rx_missed_errors : &s->rx_fifo_errors) += n;
		break;
	case HEALTH_SOFTNET:
		k.softnet += n;
		break;
	case HEALTH_GW_LOSS:
		answers((unsigned)(v * HEALTH_WINDOW / 100 + 0.5), 1000);
		break;
	case HEALTH_GW_LATENCY:
		answers(0, (uint64_t)(v * 1000) + !v);
		break;
	case HEALTH_CONNTRACK:
		k.tracked = (unsigned)(v * 10 + 0.5);
		break;
	case HEALTH_NEIGHBOURS:
		k.neighbours = (unsigned)(v * 10 + 0.5);
		break;
	case HEALTH_SOCKETS:
		*sockets[turn % ARRAY_LEN(sockets)] += n;
		break;
	case HEALTH_RETRANSMIT:
		k.again += (uint64_t)(v * 100 + 0.5);
		k.sent += 10000 - (uint64_t)(v * 100 + 0.5);
		break;
	case HEALTH_CPU:
		k.cpu_busy += (uint64_t)(v * 10 + 0.5);
		break;
	case HEALTH_MEMORY:
		k.mem_free = 1000 - (unsigned)(v * 10 + 0.5);
		break;
	case HEALTH_RESTARTS:
		if (v < values[m])
			k.now_ns += HEALTH_RESTART_SEC * NSEC_PER_SEC;
		else
			k.ends += (unsigned)(v - values[m]);
		break;
	case HEALTH_TIME:
		k.clock_us = (long)(v * 1000) * (turn % 2 ? 1 : -1);
		break;
	case HEALTH__MAX:
		break;
	}
}

static enum health_state sample(enum health_metric m, double v, unsigned turn)
{
	arrange(m, v, turn);
	k.cpu_total += 1000;
	k.now_ns += SEC * NSEC_PER_SEC;
	health_sample(SEC);
	health_gateway_put();
	ck_assert_msg(values[m] >= v - 0.05 && values[m] <= v + 0.05, "%s is %f, not %f",
		      health_info[m].word, values[m], v);
	for (unsigned i = 0; i < HEALTH__MAX; i++)
		ck_assert_msg(i == m || judges[i].state <= HEALTH_OK, "%s of %s",
			      health_info[i].word, health_info[m].word);
	return judges[m].state;
}

static void stays(enum health_metric m, double v, enum health_state state)
{
	for (unsigned i = 0; i < HEALTH_WORSE_SAMPLES + HEALTH_BETTER_SAMPLES; i++)
		ck_assert_int_eq(sample(m, v, i), state);
}

static void becomes(enum health_metric m, double v, enum health_state from, enum health_state to)
{
	unsigned n = to > from ? HEALTH_WORSE_SAMPLES : HEALTH_BETTER_SAMPLES;

	for (unsigned i = 1; i < n; i++)
		ck_assert_int_eq(sample(m, v, i), from);
	ck_assert_int_eq(sample(m, v, n), to);
}

START_TEST(over_both_thresholds)
{
	enum health_metric m = (enum health_metric)_i;
	double warn = health_info[m].warn, crit = health_info[m].crit;
	/* The smallest step that the figure has. */
	double step = m == HEALTH_GW_LOSS ? 100.0 / HEALTH_WINDOW : m == HEALTH_RESTARTS ? 1 : 0.1;

	base = event_base_new();
	k.now_ns = 1000 * NSEC_PER_SEC;
	k.mem_free = 1000;
	way = xcalloc(1, sizeof(*way) + sizeof(way->hops[0]));
	way->table = RT_TABLE_MAIN;
	way->type = RTN_UNICAST;
	way->n_hops = 1;
	way->hops[0].ifindex = 7;
	way->hops[0].gw = (struct rtr_addr){ .family = AF_INET, .b = { 192, 0, 2, 1 } };
	answers(0, 1000);
	health_sample(0);
	stays(m, 0, HEALTH_OK);
	stays(m, warn - step, HEALTH_OK);
	becomes(m, warn, HEALTH_OK, HEALTH_WARN);
	if (crit - step >= warn)
		stays(m, crit - step, HEALTH_WARN);
	becomes(m, crit, HEALTH_WARN, HEALTH_CRIT);
	becomes(m, 0, HEALTH_CRIT, HEALTH_OK);
	becomes(m, crit, HEALTH_OK, HEALTH_CRIT);
	health_sample_fini();
	health_gateway_fini();
	event_base_free(base);
	free(way);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("health_sample");
	TCase *t = tcase_create("thresholds");

	tcase_add_loop_test(t, over_both_thresholds, 0, HEALTH__MAX);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
