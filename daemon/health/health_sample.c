/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What there is to read: /proc, the kernel's counters of links and tables. */
#include "conntrack/ct.h"
#include "health/health.h"
#include "iface/iface.h"
#include "iface/iface_show.h"
#include "kernel/shadow.h"
#include "neigh/neigh.h"
#include "nic/nic.h"
#include "system/programs.h"
#include "vrrp/vrrp.h"

#include <string.h>
#include <sys/timex.h>

/* The longest of the files, /proc/stat, has a line for each interrupt. */
#define MAX_FILE (256u << 10)
#define MAX_CPUS 1024
/* Links are asked for their speed again after so long, or when something changed. */
#define SPEED_SEC 60
/* Fewer segments than that in a sample say nothing of a rate. */
#define MIN_SEGMENTS 50
#define MAX_RESTARTS 64

struct link_sample {
	int ifindex;
	struct rtnl_link_stats64 stats;
	uint32_t mbit; /* 0 = not known */
	uint64_t speed_ns, generation;
	bool again; /* stats are of an earlier sample */
	uint64_t round;
	struct link_sample *next;
};

struct cpu_sample {
	uint64_t busy, total;
};

static struct {
	struct link_sample *links;
	struct cpu_sample cpu[MAX_CPUS];
	uint64_t softnet, sockets, sent, again;
	uint64_t round;
	uint64_t restart_ns[MAX_RESTARTS];
	unsigned restarts; /* since rtrd started */
} last;

static char *read_proc(const char *path)
{
	char *text = NULL;
	size_t size;

	return rtr_file_read(path, MAX_FILE, &text, &size) ? NULL : text;
}

static double per_sec(uint64_t now, uint64_t before, double sec)
{
	return sec > 0 && now > before ? (double)(now - before) / sec : 0;
}

/* ---- links ---- */

static struct link_sample *sample_of(int ifindex)
{
	struct link_sample *s = last.links;

	while (s && s->ifindex != ifindex)
		s = s->next;
	if (s)
		return s;
	s = xcalloc(1, sizeof(*s));
	s->ifindex = ifindex;
	s->next = last.links;
	last.links = s;
	return s;
}

static void read_speed(struct link_sample *s)
{
	uint64_t now = rtr_now_ns();

	if (s->speed_ns && now - s->speed_ns < SPEED_SEC * NSEC_PER_SEC &&
	    s->generation == shadow_generation())
		return;
	s->speed_ns = now;
	s->generation = shadow_generation();
	if (nic_speed(s->ifindex, &s->mbit))
		s->mbit = 0;
}

static uint64_t bad(const struct rtnl_link_stats64 *s)
{
	return s->rx_errors + s->rx_dropped + s->tx_errors + s->tx_dropped;
}

static uint64_t ring(const struct rtnl_link_stats64 *s)
{
	return s->rx_missed_errors + s->rx_fifo_errors;
}

static void put_link(const struct shadow_link *l, struct link_sample *s, double sec)
{
	const char *name = iface_operator_name(l->name);
	const struct rtnl_link_stats64 now = iface_seen_get(l->ifindex)->stats, *old = &s->stats;
	double in = per_sec(now.rx_bytes, old->rx_bytes, sec) * 8,
	       out = per_sec(now.tx_bytes, old->tx_bytes, sec) * 8;
	char note[48];

	read_speed(s);
	if (s->again && s->mbit) {
		snprintf(note, sizeof(note), "in %.1f out %.1f of %u Mbit/s", in / 1e6, out / 1e6,
			 s->mbit);
		health_put(HEALTH_THROUGHPUT, name, MAX(in, out) / s->mbit / 1e4, note);
	}
	if (s->again) {
		health_put(HEALTH_IF_DROPS, name, per_sec(bad(&now), bad(old), sec), "");
		health_put(HEALTH_RING_DROPS, name, per_sec(ring(&now), ring(old), sec), "");
	}
	s->stats = now;
	s->again = true;
}

static void put_links(double sec)
{
	if (iface_read_counters())
		return;
	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l)) {
		if (!(l->flags & IFF_UP) || (l->flags & IFF_LOOPBACK) || vrrp_is_vmac(l))
			continue;
		struct link_sample *s = sample_of(l->ifindex);

		s->round = last.round;
		put_link(l, s, sec);
	}
	for (struct link_sample **p = &last.links; *p;) {
		struct link_sample *s = *p;

		if (s->round == last.round) {
			p = &s->next;
			continue;
		}
		*p = s->next;
		free(s);
	}
}

/* ---- /proc/net ---- */

/* Second column: packets dropped because the CPU's backlog was full. */
static void put_softnet(double sec)
{
	char *text = read_proc("/proc/net/softnet_stat"), *save = NULL;
	uint64_t sum = 0;

	for (char *l = text ? strtok_r(text, "\n", &save) : NULL; l;
	     l = strtok_r(NULL, "\n", &save)) {
		unsigned packets, dropped;

		if (sscanf(l, "%x %x", &packets, &dropped) == 2)
			sum += dropped;
	}
	if (text && sec > 0)
		health_put(HEALTH_SOFTNET, "", per_sec(sum, last.softnet, sec), "");
	last.softnet = sum;
	free(text);
}

/* In files of pairs of lines, "Tcp: A B" and "Tcp: 1 2"; 0 when it is not there. */
static uint64_t pair_value(const char *text, const char *group, const char *name)
{
	const char *names = text, *values;
	size_t n = strlen(group), len = strlen(name);

	while (names && (strncmp(names, group, n) || names[n] != ':')) {
		names = strchr(names, '\n');
		names = names ? names + 1 : NULL;
	}
	values = names ? strchr(names, '\n') : NULL;
	if (!values)
		return 0;
	values++;
	for (;;) {
		names += strcspn(names, " \n");
		values += strcspn(values, " \n");
		if (*names != ' ' || *values != ' ')
			return 0;
		names++;
		values++;
		if (!strncmp(names, name, len) && strchr(" \n", names[len]))
			return strtoull(values, NULL, 10);
	}
}

/* "Udp6RcvbufErrors    12" */
static uint64_t line_value(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *l = text; l; l = strchr(l, '\n')) {
		l += *l == '\n';
		if (!strncmp(l, name, len) && strchr(" \t", l[len]))
			return strtoull(l + len, NULL, 10);
	}
	return 0;
}

static void put_sockets(double sec)
{
	char *snmp = read_proc("/proc/net/snmp"), *netstat = read_proc("/proc/net/netstat"),
	     *snmp6 = read_proc("/proc/net/snmp6");
	static const char *const tcp[] = { "TCPBacklogDrop", "TCPRcvQDrop", "RcvPruned",
					   "ListenDrops" };
	uint64_t drops, sent, again;

	if (snmp && netstat) {
		drops = pair_value(snmp, "Udp", "RcvbufErrors") +
			pair_value(snmp, "Udp", "SndbufErrors");
		for (size_t i = 0; i < ARRAY_LEN(tcp); i++)
			drops += pair_value(netstat, "TcpExt", tcp[i]);
		if (snmp6)
			drops += line_value(snmp6, "Udp6RcvbufErrors") +
				 line_value(snmp6, "Udp6SndbufErrors");
		sent = pair_value(snmp, "Tcp", "OutSegs");
		again = pair_value(snmp, "Tcp", "RetransSegs");
		if (sec > 0) {
			uint64_t n = sent - last.sent;

			health_put(HEALTH_SOCKETS, "", per_sec(drops, last.sockets, sec), "");
			/* What was sent again is not part of OutSegs. */
			n += again - last.again;
			health_put(HEALTH_RETRANSMIT, "",
				   n >= MIN_SEGMENTS
					   ? 100.0 * (double)(again - last.again) / (double)n
					   : 0,
				   "");
		}
		last.sockets = drops;
		last.sent = sent;
		last.again = again;
	}
	free(snmp);
	free(snmp6);
	free(netstat);
}

/* ---- the machine ---- */

static void put_cpu(double sec)
{
	char *text = read_proc("/proc/stat"), *save = NULL, note[48] = "";
	double most = 0;

	for (char *l = text ? strtok_r(text, "\n", &save) : NULL; l;
	     l = strtok_r(NULL, "\n", &save)) {
		unsigned long long v[8];
		struct cpu_sample now = { 0 };
		unsigned cpu;

		if (sscanf(l, "cpu%u %llu %llu %llu %llu %llu %llu %llu %llu", &cpu, &v[0], &v[1],
			   &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) != 9 ||
		    cpu >= MAX_CPUS)
			continue;
		for (unsigned i = 0; i < 8; i++)
			now.total += v[i];
		now.busy = now.total - v[3] - v[4]; /* idle, iowait */
		if (sec > 0 && now.total > last.cpu[cpu].total) {
			double use = 100.0 *
				     (double)(now.busy - MIN(now.busy, last.cpu[cpu].busy)) /
				     (double)(now.total - last.cpu[cpu].total);

			if (use >= most) {
				most = use;
				snprintf(note, sizeof(note), "CPU %u", cpu);
			}
		}
		last.cpu[cpu] = now;
	}
	if (text && sec > 0)
		health_put(HEALTH_CPU, "", most, note);
	free(text);
}

static void put_memory(void)
{
	char *text = read_proc("/proc/meminfo"), note[48];
	uint64_t total, free_kib;

	if (!text)
		return;
	total = line_value(text, "MemTotal:");
	free_kib = line_value(text, "MemAvailable:");
	if (total) {
		snprintf(note, sizeof(note), "%llu of %llu MiB free",
			 (unsigned long long)free_kib >> 10, (unsigned long long)total >> 10);
		health_put(HEALTH_MEMORY, "",
			   100.0 * (double)(total - MIN(free_kib, total)) / (double)total, note);
	}
	free(text);
}

static void put_tables(void)
{
	static const int family[] = { AF_INET, AF_INET6 };
	struct neigh_limits n;
	struct ct_count c;
	char note[48];

	if (!ct_count_get(&c) && c.max) {
		snprintf(note, sizeof(note), "%u of %u", c.n, c.max);
		health_put(HEALTH_CONNTRACK, "", 100.0 * c.n / c.max, note);
	}
	for (size_t i = 0; i < ARRAY_LEN(family); i++) {
		if (neigh_read_limits(family[i], &n) || !n.thresh3)
			continue;
		snprintf(note, sizeof(note), "%u of %u", n.entries, n.thresh3);
		health_put(HEALTH_NEIGHBOURS, i ? "ipv6" : "ipv4", 100.0 * n.entries / n.thresh3,
			   note);
	}
}

static void put_time(void)
{
	struct timex t = { 0 };
	double ms;

	if (adjtimex(&t) < 0) {
		health_put_unknown(HEALTH_TIME, "", "the kernel's clock cannot be asked");
		return;
	}
	ms = (double)t.offset / (t.status & STA_NANO ? 1e6 : 1e3);
	if (t.status & STA_UNSYNC)
		health_put_unknown(HEALTH_TIME, "", "the clock is not synchronised");
	else
		health_put(HEALTH_TIME, "", ms < 0 ? -ms : ms, "");
}

static void count_restarts(void *arg, const char *name, unsigned starts, unsigned ends)
{
	unsigned *sum = arg;

	*sum += ends;
}

static void put_restarts(void)
{
	uint64_t now = rtr_now_ns();
	unsigned sum = 0, fresh = 0;

	programs_foreach(count_restarts, &sum);
	for (; last.restarts < sum; last.restarts++)
		last.restart_ns[last.restarts % MAX_RESTARTS] = now;
	for (unsigned i = 0; i < MIN(last.restarts, (unsigned)MAX_RESTARTS); i++)
		fresh += now - last.restart_ns[i] < HEALTH_RESTART_SEC * NSEC_PER_SEC;
	health_put(HEALTH_RESTARTS, "", fresh, "");
}

void health_sample(double sec)
{
	last.round++;
	put_links(sec);
	put_softnet(sec);
	put_sockets(sec);
	put_cpu(sec);
	put_memory();
	put_tables();
	put_time();
	put_restarts();
}

void health_sample_fini(void)
{
	while (last.links) {
		struct link_sample *s = last.links;

		last.links = s->next;
		free(s);
	}
	memset(&last, 0, sizeof(last));
}
