/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Timeouts, strictness and size of the connection table: lines, check, sysctls. */
#include "cli/command.h"
#include "conntrack/ct_conf.h"
#include "conntrack/ct_watch.h"
#include "domain.h"
#include "firewall/fw.h"
#include "nat/nat.h"
#include "system/global.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIR "net/netfilter/nf_conntrack_"

SCH_TYPE(ct_timeout, SCH_F(ct_timeout, timer), SCH_F(ct_timeout, seconds));
SCH_TYPE(ct_service_timeout, SCH_F(ct_service_timeout, proto), SCH_F(ct_service_timeout, port),
	 SCH_F(ct_service_timeout, seconds));
SCH_TYPE(ct_nat_timeout, SCH_F(ct_nat_timeout, timer), SCH_F(ct_nat_timeout, seconds));
extern struct sch_type global_type;

/* By enum ct_timer. */
static const struct {
	const char *sysctl;
	uint32_t least; /* what an RFC asks of a NAT at least; 0: nothing */
	const char *rfc;
} timers[CT_T__MAX] = {
	[CT_T_TCP_ESTABLISHED] = { "tcp_timeout_established", 7440, "RFC 5382 REQ-5" },
	[CT_T_TCP_SYN_SENT] = { "tcp_timeout_syn_sent", 0, NULL },
	[CT_T_TCP_SYN_RECV] = { "tcp_timeout_syn_recv", 0, NULL },
	[CT_T_TCP_FIN_WAIT] = { "tcp_timeout_fin_wait", 0, NULL },
	[CT_T_TCP_CLOSE_WAIT] = { "tcp_timeout_close_wait", 0, NULL },
	[CT_T_TCP_LAST_ACK] = { "tcp_timeout_last_ack", 0, NULL },
	[CT_T_TCP_TIME_WAIT] = { "tcp_timeout_time_wait", 0, NULL },
	[CT_T_TCP_CLOSE] = { "tcp_timeout_close", 0, NULL },
	[CT_T_TCP_UNACKNOWLEDGED] = { "tcp_timeout_unacknowledged", 0, NULL },
	[CT_T_TCP_MAX_RETRANS] = { "tcp_timeout_max_retrans", 0, NULL },
	[CT_T_UDP] = { "udp_timeout", 120, "RFC 4787 REQ-5" },
	[CT_T_UDP_STREAM] = { "udp_timeout_stream", 120, "RFC 4787 REQ-5" },
	[CT_T_ICMP] = { "icmp_timeout", 60, "RFC 5508 REQ-2" },
	[CT_T_ICMPV6] = { "icmpv6_timeout", 60, "RFC 5508 REQ-2" },
	[CT_T_GENERIC] = { "generic_timeout", 0, NULL },
	[CT_T_GRE] = { "gre_timeout", 0, NULL },
	[CT_T_GRE_STREAM] = { "gre_timeout_stream", 0, NULL },
	[CT_T_SCTP_ESTABLISHED] = { "sctp_timeout_established", 0, NULL },
};

bool ct_nat_configured(const struct rec *root)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		const struct sch_type *makers[] = { nat_source_types[v6], nat_static_types[v6],
						    nat_outside_types[v6], nat_dest_types[v6] };

		for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
			if (rec_kids(root, makers[i])->len)
				return true;
		}
	}
	return false;
}

/* ---- what the lines come to ---- */

/* IOS's word for a timer; -1: it has none. */
static int nat_timer_of(enum ct_timer t)
{
	switch (t) {
	case CT_T_TCP_ESTABLISHED:
		return CT_NT_TCP;
	case CT_T_TCP_SYN_SENT:
	case CT_T_TCP_SYN_RECV:
		return CT_NT_SYN;
	case CT_T_UDP:
	case CT_T_UDP_STREAM:
		return CT_NT_UDP;
	case CT_T_ICMP:
	case CT_T_ICMPV6:
		return CT_NT_ICMP;
	case CT_T_GENERIC:
	case CT_T_GRE:
	case CT_T_GRE_STREAM:
	case CT_T_SCTP_ESTABLISHED:
		return CT_NT_TIMEOUT;
	case CT_T_TCP_UNACKNOWLEDGED:
	case CT_T_TCP_MAX_RETRANS:
		return -1;
	default:
		return CT_NT_FINRST;
	}
}

static const struct ct_timeout *find_timeout(const struct rec *root, enum ct_timer timer)
{
	struct ct_timeout key = { .rec.type = &ct_timeout_type, .timer = (uint8_t)timer };

	return (const void *)rec_find(root, &ct_timeout_type, &key.rec);
}

static const struct ct_nat_timeout *find_nat_timeout(const struct rec *root,
						     enum ct_nat_timer timer)
{
	struct ct_nat_timeout key = { .rec.type = &ct_nat_timeout_type, .timer = (uint8_t)timer };

	return (const void *)rec_find(root, &ct_nat_timeout_type, &key.rec);
}

/* Seconds that the model asks for, 0 when it does not; *ret_rec is the line. */
static uint32_t wanted(const struct rec *root, enum ct_timer t, const struct rec **ret_rec)
{
	const struct ct_timeout *own = find_timeout(root, t);
	const struct ct_nat_timeout *ios;

	if (own) {
		*ret_rec = &own->rec;
		return own->seconds;
	}
	ios = nat_timer_of(t) < 0 ? NULL
				  : find_nat_timeout(root, (enum ct_nat_timer)nat_timer_of(t));
	if (!ios)
		return 0;
	*ret_rec = &ios->rec;
	return ios->seconds;
}

void ct_services(const struct rec *root, ct_service_fn fn, void *arg)
{
	const struct ct_nat_timeout *dns = find_nat_timeout(root, CT_NT_DNS);
	const struct ct_service_timeout *s;

	recvec_foreach(rec_kids(root, &ct_service_timeout_type), s) {
		bool udp = s->proto == CT_SERVICE_UDP;

		fn(arg, udp ? IPPROTO_UDP : IPPROTO_TCP, s->port, s->seconds, &s->rec);
		if (udp && s->port == 53)
			dns = NULL;
	}
	if (dns)
		fn(arg, IPPROTO_UDP, 53, dns->seconds, &dns->rec);
}

/* ---- check ---- */

static uint64_t value_of(const char *name)
{
	char *path = xasprintf("/proc/sys/" DIR "%s", name), *text;
	uint64_t v = 0;

	if (!rtr_file_read(path, 64, &text, NULL)) {
		text[strcspn(text, "\n")] = '\0';
		rtr_parse_u64(text, 0, UINT64_MAX, &v);
		free(text);
	}
	free(path);
	return v;
}

/* Opening for writing changes nothing and tells who may. */
static bool writable(const char *name)
{
	char *path = xasprintf("/proc/sys/" DIR "%s", name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	free(path);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static void check_size(struct check *c, const char *line, const char *name, uint32_t old,
		       uint32_t new)
{
	if (!new || new == old || c->offline || value_of(name) == new || writable(name))
		return;
	check_error(c, NULL,
		    "ip firewall conntrack %s %u: the table's size is the whole machine's and "
		    "cannot be set in a network namespace; it is %llu here",
		    line, new, (unsigned long long)value_of(name));
}

static void check_short(struct check *c)
{
	const struct rec *rec, *before;

	for (unsigned t = 0; t < CT_T__MAX; t++) {
		uint32_t sec = wanted(c->new, t, &rec);

		if (sec && sec < timers[t].least && sec != wanted(c->old, t, &before))
			check_warn(c, rec, "%u s are less than the %u s that %s asks of a NAT", sec,
				   timers[t].least, timers[t].rfc);
	}
}

static void check(struct check *c)
{
	const struct global *old = (const void *)c->old, *new = (const void *)c->new;

	check_short(c);
	check_size(c, "max", "max", old->conntrack_max, new->conntrack_max);
	check_size(c, "buckets", "buckets", old->conntrack_buckets, new->conntrack_buckets);
	if (ct_nat_configured(c->new) && SCH_HAS(new, tcp_pickup) &&
	    new->tcp_pickup == CT_PICKUP_LOOSE &&
	    (!ct_nat_configured(c->old) || !SCH_HAS(old, tcp_pickup) ||
	     old->tcp_pickup != new->tcp_pickup))
		check_warn(c, NULL,
			   "ip firewall tcp loose: connections that are picked up in the middle "
			   "leave with their inside address; NAT wants strict");
}

/* ---- plan ---- */

static void set(struct plan *p, const char *name, uint32_t value, const struct rec *rec)
{
	char path[128], text[16];

	snprintf(path, sizeof(path), DIR "%s", name);
	snprintf(text, sizeof(text), "%u", value);
	plan_sysctl(p, path, text, rec);
}

static void plan(struct plan *p)
{
	const struct global *g = (const void *)p->want;
	const struct rec *rec = NULL;

	/* Age and bytes of show conntrack; entries that are older than this have neither. */
	set(p, "acct", 1, NULL);
	set(p, "timestamp", 1, NULL);
	for (unsigned t = 0; t < CT_T__MAX; t++) {
		uint32_t sec = wanted(p->want, t, &rec);

		/* A NAT keeps what the RFCs ask for without being told. Equal: set by us. */
		if (!sec && ct_nat_configured(p->want) &&
		    value_of(timers[t].sysctl) <= timers[t].least)
			sec = timers[t].least;
		if (sec)
			set(p, timers[t].sysctl, sec, rec);
	}
	/* With NAT a connection that is not known from its start has no translation: its packets
	 * would leave as they are (docs/design, "Seen on 6.18"). A protected service knows the
	 * answers to its handshakes by their belonging to no connection. */
	if (SCH_HAS(g, tcp_pickup))
		set(p, "tcp_loose", g->tcp_pickup == CT_PICKUP_LOOSE, p->want);
	else if (ct_nat_configured(p->want) || rec_kids(p->want, &syn_conf_type)->len)
		set(p, "tcp_loose", 0, p->want);
	if (SCH_HAS(g, tcp_window_check))
		set(p, "tcp_be_liberal", !g->tcp_window_check, p->want);
	if (SCH_HAS(g, conntrack_buckets))
		set(p, "buckets", g->conntrack_buckets, p->want);
	if (SCH_HAS(g, conntrack_max))
		set(p, "max", g->conntrack_max, p->want);
}

/* ---- what is in force ---- */

void ct_timers_read(struct ct_timers *ret)
{
	for (unsigned t = 0; t < CT_T__MAX; t++)
		ret->v[t] = (uint32_t)value_of(timers[t].sysctl);
}

struct service {
	uint8_t proto;
	uint16_t port;
	uint32_t seconds;
};

static void match_service(void *arg, uint8_t proto, uint16_t port, uint32_t seconds,
			  const struct rec *rec)
{
	struct service *s = arg;

	if (s->proto == proto && s->port == port)
		s->seconds = seconds;
}

static int timer_of(const struct ct_entry *e)
{
	static const int tcp[] = {
		[CT_S_SYN_SENT] = CT_T_TCP_SYN_SENT,       [CT_S_SYN_RECV] = CT_T_TCP_SYN_RECV,
		[CT_S_ESTABLISHED] = CT_T_TCP_ESTABLISHED, [CT_S_FIN_WAIT] = CT_T_TCP_FIN_WAIT,
		[CT_S_CLOSE_WAIT] = CT_T_TCP_CLOSE_WAIT,   [CT_S_LAST_ACK] = CT_T_TCP_LAST_ACK,
		[CT_S_TIME_WAIT] = CT_T_TCP_TIME_WAIT,     [CT_S_CLOSE] = CT_T_TCP_CLOSE,
		[CT_S_SYN_SENT2] = CT_T_TCP_SYN_SENT,
	};
	bool assured = e->state == CT_S_ASSURED;

	switch (e->orig.proto) {
	case IPPROTO_TCP:
		return e->state >= CT_S_SYN_SENT && e->state <= CT_S_SYN_SENT2 ? tcp[e->state] : -1;
	case IPPROTO_UDP:
		return assured ? CT_T_UDP_STREAM : CT_T_UDP;
	case IPPROTO_ICMP:
		return CT_T_ICMP;
	case IPPROTO_ICMPV6:
		return CT_T_ICMPV6;
	case IPPROTO_GRE:
		return assured ? CT_T_GRE_STREAM : CT_T_GRE;
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
	case IPPROTO_UDPLITE:
		return -1;
	default:
		return CT_T_GENERIC;
	}
}

int64_t ct_idle(const struct ct_entry *e, const struct ct_timers *t, const struct rec *root)
{
	struct service s = { .proto = e->orig.proto, .port = e->orig.dport };
	int timer = timer_of(e);
	uint32_t full = timer >= 0 ? t->v[timer] : 0;

	if (root && (timer == CT_T_TCP_ESTABLISHED || e->orig.proto == IPPROTO_UDP))
		ct_services(root, match_service, &s);
	if (s.seconds)
		full = s.seconds;
	if (e->unacked && t->v[CT_T_TCP_UNACKNOWLEDGED])
		full = MIN(full, t->v[CT_T_TCP_UNACKNOWLEDGED]);
	/* Another timeout holds: of a helper, or from before the configuration changed. The rest is
	 * told in whole seconds, rounded down. */
	if (full < e->timeout_sec)
		return -1;
	return MAX((int64_t)full - e->timeout_sec - 1, 0);
}

/* ---- rows ---- */

#define TIMERS                                                                                     \
	"{timer:tcp established|tcp syn-sent|tcp syn-recv|tcp fin-wait|tcp close-wait|"            \
	"tcp last-ack|tcp time-wait|tcp close|tcp unacknowledged|tcp max-retrans|udp|udp stream|"  \
	"icmp|icmpv6|generic|gre|gre stream|sctp established}"
#define SECONDS "<seconds:U32(1,2147483)>"

static const struct sch_row rows[] = {
	SCH_LEAF("ip firewall conntrack max <conntrack_max:U32(1024,268435456)>", global,
		 .help = "Most connections in the table"),
	SCH_LEAF("ip firewall conntrack buckets <conntrack_buckets:U32(1024,268435456)>", global,
		 .help = "Hash buckets of the table; as many as connections is best"),
	SCH_LEAF("ip firewall conntrack high-watermark <conntrack_watermark:U8(10,99)>", global,
		 .dflt = "80", .help = "Percent of the table that raise the alarm"),
	SCH_LEAF("ip firewall tcp {tcp_pickup:strict|loose}", global,
		 .help = "Whether connections are picked up in the middle; strict with NAT"),
	SCH_LEAF("ip firewall tcp window-check", global, .flag = "tcp_window_check", .dflt = "on",
		 .help = "Segments outside the window are invalid"),
	SCH_LIST("ip firewall timeout " TIMERS " " SECONDS, ct_timeout, .key = "timer",
		 .name = "ip_firewall_timeout",
		 .help = "Seconds without a packet after which a connection is forgotten"),
	SCH_LIST("ip firewall timeout service {proto:tcp|udp} <port:U16(1,65535)> " SECONDS,
		 ct_service_timeout, .key = "proto port", .name = "ip_firewall_timeout_service",
		 .help = "The same for connections to one port"),
	SCH_LIST("ip nat translation {timer:timeout|tcp-timeout|udp-timeout|icmp-timeout|"
		 "finrst-timeout|syn-timeout|dns-timeout} " SECONDS,
		 ct_nat_timeout, .key = "timer", .name = "ip_nat_translation",
		 .help = "Seconds after which a translation is forgotten, in the words of IOS"),
};

static const struct sch_word words[] = {
	{ "firewall", "Packet filter and connection tracking" },
	{ "conntrack", "The connection table" },
	{ "tcp", "TCP" },
	{ "udp", "UDP" },
	{ "icmp", "ICMP" },
	{ "icmpv6", "ICMPv6" },
	{ "gre", "GRE" },
	{ "sctp", "SCTP" },
	{ "generic", "All other protocols" },
	{ "strict", "Only from their first packet on" },
	{ "loose", "At any packet, as after a restart of the router" },
	{ "ip firewall timeout", "Life of a connection without packets" },
	{ "established", "Open connections" },
	{ "syn-sent", "First packet seen" },
	{ "syn-recv", "Answer to the first packet seen" },
	{ "fin-wait", "One side has closed" },
	{ "close-wait", "The close is acknowledged" },
	{ "last-ack", "Both sides have closed" },
	{ "time-wait", "Closed; late packets may come" },
	{ "close", "Reset" },
	{ "unacknowledged", "Data is on its way without an answer" },
	{ "max-retrans", "Data was sent again several times without an answer" },
	{ "stream", "Packets went both ways for a while" },
	{ "service", "Connections to one port" },
	{ "nat", "Network address translation" },
	{ "translation", "Translations in use" },
	{ "ip nat translation timeout", "Of other protocols than TCP, UDP and ICMP" },
	{ "tcp-timeout", "Of open TCP connections" },
	{ "udp-timeout", "Of UDP" },
	{ "icmp-timeout", "Of ICMP queries" },
	{ "finrst-timeout", "Of TCP connections that close or were reset" },
	{ "syn-timeout", "Of TCP connections that open" },
	{ "dns-timeout", "Of queries to UDP port 53" },
	{ "timeout", "Seconds without a packet" },
};

static int init(void)
{
	struct ct_count c;

	ct_init(cmd_base());
	/* Where tracking is a module, asking loads it: its sysctls are there when they are planned,
	 * and the first connection already has an age. */
	ct_count_get(&c);
	return ct_watch_init();
}

static const char *const after_system[] = { "system", NULL };

static const struct domain conntrack_domain = {
	.name = "conntrack",
	.after = after_system,
	.rows = rows,
	.n_rows = ARRAY_LEN(rows),
	.words = words,
	.n_words = ARRAY_LEN(words),
	.init = init,
	.fini = ct_watch_fini,
	.check = check,
	.plan = plan,
};
RTR_DOMAIN(conntrack_domain);
