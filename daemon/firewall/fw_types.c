/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/fw_types.h"

#include "firewall/policy.h"
#include "schema/types.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PARSE(fn)                                                                                  \
	static int fn(const struct val_spec *s, const char *const *tok, size_t n, void *dst,       \
		      struct strbuf *err)

RTR_PRINTF(2, 3)
static int bad(struct strbuf *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(err, fmt, ap);
	va_end(ap);
	return -1;
}

struct name {
	const char *name;
	uint16_t v;
};

static const struct name *by_name(const struct name *t, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcasecmp(t[i].name, word))
			return &t[i];
	}
	return NULL;
}

static const char *by_number(const struct name *t, size_t n, uint16_t v)
{
	for (size_t i = 0; i < n; i++) {
		if (t[i].v == v)
			return t[i].name;
	}
	return NULL;
}

/* ---- protocols ---- */

static const struct name protos4[] = {
	{ "ip", ACL_PROTO_ANY }, { "ahp", 51 },   { "eigrp", 88 }, { "esp", 50 }, { "gre", 47 },
	{ "icmp", 1 },           { "igmp", 2 },   { "ipinip", 4 }, { "nos", 94 }, { "ospf", 89 },
	{ "pcp", 108 },          { "pim", 103 },  { "sctp", 132 }, { "tcp", 6 },  { "udp", 17 },
	{ "udplite", 136 },      { "vrrp", 112 },
};
static const struct name protos6[] = {
	{ "ipv6", ACL_PROTO_ANY },
	{ "ahp", 51 },
	{ "esp", 50 },
	{ "gre", 47 },
	{ "icmp", 58 },
	{ "icmpv6", 58 },
	{ "ospf", 89 },
	{ "pim", 103 },
	{ "sctp", 132 },
	{ "tcp", 6 },
	{ "udp", 17 },
	{ "udplite", 136 },
	{ "vrrp", 112 },
};
/* Of object groups: both families. */
static const struct name protos[] = {
	{ "ip", ACL_PROTO_ANY }, { "ahp", 51 },      { "esp", 50 },   { "gre", 47 },
	{ "icmp", 1 },           { "icmpv6", 58 },   { "igmp", 2 },   { "ipinip", 4 },
	{ "ospf", 89 },          { "pim", 103 },     { "sctp", 132 }, { "tcp", 6 },
	{ "udp", 17 },           { "udplite", 136 }, { "vrrp", 112 },
};

static const struct name *proto_table(const struct val_spec *s, size_t *ret_n)
{
	char last = s->type->name[strlen(s->type->name) - 1];

	*ret_n = last == '4'   ? ARRAY_LEN(protos4)
		 : last == '6' ? ARRAY_LEN(protos6)
			       : ARRAY_LEN(protos);
	return last == '4' ? protos4 : last == '6' ? protos6 : protos;
}

PARSE(proto_parse)
{
	size_t n_names;
	const struct name *t = proto_table(s, &n_names);
	const struct name *e = by_name(t, n_names, tok[0]);
	uint64_t v = e ? e->v : 0;

	if (!e && rtr_parse_u64(tok[0], 0, 255, &v))
		return bad(err, "\"%s\" is not an IP protocol", tok[0]);
	if (dst)
		*(uint16_t *)dst = (uint16_t)v;
	return 1;
}

static void proto_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	uint16_t v = *(const uint16_t *)src;
	size_t n_names;
	const struct name *t = proto_table(s, &n_names);
	const char *name = by_number(t, n_names, v);

	if (name)
		strbuf_adds(b, name);
	else
		strbuf_addf(b, "%u", v);
}

/* ---- ports ---- */

static const struct name ports[] = {
	{ "ftp-data", 20 },     { "ftp", 21 },
	{ "ssh", 22 },          { "telnet", 23 },
	{ "smtp", 25 },         { "tacacs", 49 },
	{ "domain", 53 },       { "bootps", 67 },
	{ "bootpc", 68 },       { "tftp", 69 },
	{ "www", 80 },          { "http", 80 },
	{ "pop3", 110 },        { "sunrpc", 111 },
	{ "ident", 113 },       { "nntp", 119 },
	{ "ntp", 123 },         { "netbios-ns", 137 },
	{ "netbios-dgm", 138 }, { "netbios-ss", 139 },
	{ "imap", 143 },        { "snmp", 161 },
	{ "snmptrap", 162 },    { "bgp", 179 },
	{ "irc", 194 },         { "ldap", 389 },
	{ "https", 443 },       { "isakmp", 500 },
	{ "syslog", 514 },      { "rip", 520 },
	{ "submission", 587 },  { "ldaps", 636 },
	{ "ldp", 646 },         { "imaps", 993 },
	{ "pop3s", 995 },       { "pptp", 1723 },
	{ "radius", 1812 },     { "nfs", 2049 },
	{ "bfd", 3784 },        { "non500-isakmp", 4500 },
	{ "vxlan", 4789 },      { "sip", 5060 },
	{ "sips", 5061 },
};

static int port_of(const char *word, uint16_t *ret)
{
	const struct name *e = by_name(ports, ARRAY_LEN(ports), word);
	uint64_t v = e ? e->v : 0;

	if (!e && rtr_parse_u64(word, 0, 65535, &v))
		return -1;
	*ret = (uint16_t)v;
	return 0;
}

/* "80,443,8000-8010": names are taken before a '-' is seen as a range. */
static int port_list(const char *text, struct acl_ports *p, struct strbuf *err)
{
	char *copy = xstrdup(text), *save = NULL;
	int r = 0;

	for (char *w = strtok_r(copy, ",", &save); w && !r; w = strtok_r(NULL, ",", &save)) {
		char *dash = strchr(w, '-');
		uint16_t lo, hi;

		if (p->n == ACL_PORTS_MAX) {
			r = bad(err, "more than %d ports in one line", ACL_PORTS_MAX);
		} else if (!port_of(w, &lo)) {
			hi = lo;
		} else {
			if (dash)
				*dash = '\0';
			if (!dash || port_of(w, &lo) || port_of(dash + 1, &hi) || lo > hi)
				r = bad(err, "\"%s\" is not a port", w);
		}
		if (!r) {
			p->r[p->n].lo = lo;
			p->r[p->n++].hi = hi;
		}
	}
	free(copy);
	if (!r && !p->n)
		r = bad(err, "a port is missing");
	return r;
}

static const char *const port_ops[] = { "eq", "neq", "lt", "gt", "range" };

static int op_of(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(port_ops); i++) {
		if (!strcasecmp(port_ops[i], word))
			return (int)i;
	}
	return -1;
}

PARSE(ports_parse)
{
	struct acl_ports p = { 0 };
	int op = op_of(tok[0]);

	if (op < 0)
		return bad(err, "\"%s\" is not eq, neq, lt, gt or range", tok[0]);
	p.op = (uint8_t)op;
	if (n < 2)
		return 0;
	if (op == ACL_PORT_EQ || op == ACL_PORT_NEQ) {
		if (port_list(tok[1], &p, err))
			return -1;
	} else {
		p.n = 1;
		if (port_of(tok[1], &p.r[0].lo))
			return bad(err, "\"%s\" is not a port", tok[1]);
		p.r[0].hi = p.r[0].lo;
	}
	if ((op == ACL_PORT_LT && !p.r[0].lo) || (op == ACL_PORT_GT && p.r[0].lo == 65535))
		return bad(err, "no port is %s %u", port_ops[op], p.r[0].lo);
	if (op == ACL_PORT_RANGE) {
		if (n < 3)
			return 0;
		if (port_of(tok[2], &p.r[0].hi) || p.r[0].hi < p.r[0].lo)
			return bad(err, "\"%s\" is not a port from %u on", tok[2], p.r[0].lo);
	}
	if (dst)
		memcpy(dst, &p, sizeof(p));
	return op == ACL_PORT_RANGE ? 3 : 2;
}

static void ports_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	const struct acl_ports *p = src;

	strbuf_addf(b, "%s ", port_ops[p->op]);
	if (p->op == ACL_PORT_RANGE) {
		strbuf_addf(b, "%u %u", p->r[0].lo, p->r[0].hi);
		return;
	}
	for (unsigned i = 0; i < p->n; i++) {
		strbuf_addf(b, "%s%u", i ? "," : "", p->r[i].lo);
		if (p->r[i].hi != p->r[i].lo)
			strbuf_addf(b, "-%u", p->r[i].hi);
	}
}

static const char *ports_hint_n(const struct val_spec *s, size_t n)
{
	return n ? "<0-65535> or a name" : NULL;
}

/* ---- spans: ttl, length ---- */

PARSE(span_parse)
{
	uint64_t max = !strcmp(s->type->name, "TTL") ? 255 : 65535, v, hi;
	int op = op_of(tok[0]);

	if (op < 0 || op == ACL_PORT_NEQ)
		return bad(err, "\"%s\" is not eq, lt, gt or range", tok[0]);
	if (n < 2 || (op == ACL_PORT_RANGE && n < 3))
		return 0;
	if (rtr_parse_u64(tok[1], 0, max, &v))
		return bad(err, "\"%s\" is not a number up to %u", tok[1], (unsigned)max);
	hi = v;
	if (op == ACL_PORT_RANGE && rtr_parse_u64(tok[2], v, max, &hi))
		return bad(err, "\"%s\" is not a number from %u to %u", tok[2], (unsigned)v,
			   (unsigned)max);
	if ((op == ACL_PORT_LT && !v) || (op == ACL_PORT_GT && v == max))
		return bad(err, "nothing is %s %u", port_ops[op], (unsigned)v);
	if (op == ACL_PORT_LT) {
		hi = v - 1;
		v = 0;
	} else if (op == ACL_PORT_GT) {
		v++;
		hi = max;
	}
	if (dst)
		*(struct acl_span *)dst = (struct acl_span){ .lo = (uint16_t)v,
							     .hi = (uint16_t)hi };
	return op == ACL_PORT_RANGE ? 3 : 2;
}

static void span_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	const struct acl_span *p = src;

	if (p->lo == p->hi)
		strbuf_addf(b, "eq %u", p->lo);
	else if (!p->lo)
		strbuf_addf(b, "lt %u", p->hi + 1);
	else
		strbuf_addf(b, "range %u %u", p->lo, p->hi);
}

/* ---- ICMP ---- */

#define TC(type, code) ((uint16_t)(0x8000 | (type) << 8 | (code)))
static const struct name icmp4[] = {
	{ "echo-reply", 0 },
	{ "unreachable", 3 },
	{ "source-quench", 4 },
	{ "redirect", 5 },
	{ "echo", 8 },
	{ "router-advertisement", 9 },
	{ "router-solicitation", 10 },
	{ "time-exceeded", 11 },
	{ "parameter-problem", 12 },
	{ "timestamp-request", 13 },
	{ "timestamp-reply", 14 },
	{ "information-request", 15 },
	{ "information-reply", 16 },
	{ "mask-request", 17 },
	{ "mask-reply", 18 },
	{ "net-unreachable", TC(3, 0) },
	{ "host-unreachable", TC(3, 1) },
	{ "protocol-unreachable", TC(3, 2) },
	{ "port-unreachable", TC(3, 3) },
	{ "packet-too-big", TC(3, 4) },
	{ "administratively-prohibited", TC(3, 13) },
	{ "ttl-exceeded", TC(11, 0) },
	{ "reassembly-timeout", TC(11, 1) },
};
static const struct name icmp6[] = {
	{ "destination-unreachable", 1 },
	{ "packet-too-big", 2 },
	{ "time-exceeded", 3 },
	{ "parameter-problem", 4 },
	{ "echo-request", 128 },
	{ "echo", 128 },
	{ "echo-reply", 129 },
	{ "mld-query", 130 },
	{ "mld-report", 131 },
	{ "mld-reduction", 132 },
	{ "router-solicitation", 133 },
	{ "router-advertisement", 134 },
	{ "nd-ns", 135 },
	{ "nd-na", 136 },
	{ "redirect", 137 },
	{ "mldv2-report", 143 },
	{ "no-route", TC(1, 0) },
	{ "administratively-prohibited", TC(1, 1) },
	{ "port-unreachable", TC(1, 4) },
	{ "hop-limit", TC(3, 0) },
};
_Static_assert(ARRAY_LEN(icmp4) < 64 && ARRAY_LEN(icmp6) < 64, "looked up linearly");

static const struct name *icmp_table(const struct val_spec *s, size_t *ret_n)
{
	bool v4 = s->type->name[strlen(s->type->name) - 1] == '4';

	*ret_n = v4 ? ARRAY_LEN(icmp4) : ARRAY_LEN(icmp6);
	return v4 ? icmp4 : icmp6;
}

PARSE(icmp_parse)
{
	size_t n_names;
	const struct name *t = icmp_table(s, &n_names);
	const struct name *e = by_name(t, n_names, tok[0]);
	struct acl_icmp v = { 0 };
	uint64_t type;

	if (!e && rtr_parse_u64(tok[0], 0, 255, &type))
		return bad(err, "\"%s\" is not a type of ICMP", tok[0]);
	v.type = (uint8_t)(!e ? type : e->v & 0x8000 ? e->v >> 8 & 0x7f : e->v);
	v.has_code = e && (e->v & 0x8000);
	v.code = v.has_code ? (uint8_t)e->v : 0;
	if (dst)
		memcpy(dst, &v, sizeof(v));
	return 1;
}

static void icmp_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	const struct acl_icmp *v = src;
	size_t n_names;
	const struct name *t = icmp_table(s, &n_names);
	const char *name = by_number(t, n_names, v->has_code ? TC(v->type, v->code) : v->type);

	if (name)
		strbuf_adds(b, name);
	else
		strbuf_addf(b, "%u", v->type);
}

/* ---- DSCP ---- */

static const struct name dscps[] = {
	{ "default", 0 }, { "af11", 10 }, { "af12", 12 }, { "af13", 14 }, { "af21", 18 },
	{ "af22", 20 },   { "af23", 22 }, { "af31", 26 }, { "af32", 28 }, { "af33", 30 },
	{ "af41", 34 },   { "af42", 36 }, { "af43", 38 }, { "cs1", 8 },   { "cs2", 16 },
	{ "cs3", 24 },    { "cs4", 32 },  { "cs5", 40 },  { "cs6", 48 },  { "cs7", 56 },
	{ "ef", 46 },
};

PARSE(dscp_parse)
{
	const struct name *e = by_name(dscps, ARRAY_LEN(dscps), tok[0]);
	uint64_t v = e ? e->v : 0;

	if (!e && rtr_parse_u64(tok[0], 0, 63, &v))
		return bad(err, "\"%s\" is not a DSCP (0-63, ef, af11, cs1 ...)", tok[0]);
	if (dst)
		*(uint8_t *)dst = (uint8_t)v;
	return 1;
}

static void dscp_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	uint8_t v = *(const uint8_t *)src;
	const char *name = by_number(dscps, ARRAY_LEN(dscps), v);

	if (name)
		strbuf_adds(b, name);
	else
		strbuf_addf(b, "%u", v);
}

/* ---- TCP flags ---- */

static const struct name tcp_flags[] = {
	{ "fin", 0x01 }, { "syn", 0x02 }, { "rst", 0x04 }, { "psh", 0x08 },
	{ "ack", 0x10 }, { "urg", 0x20 }, { "ece", 0x40 }, { "cwr", 0x80 },
};

PARSE(flags_parse)
{
	struct acl_flags v = { 0 };
	const char *p = tok[0];

	do {
		char word[4] = { 0 };
		const struct name *e;
		size_t len = strcspn(p + 1, "+-");

		if ((*p != '+' && *p != '-') || len != 3)
			return bad(err, "\"%s\" is not +FLAG or -FLAG", tok[0]);
		memcpy(word, p + 1, 3);
		e = by_name(tcp_flags, ARRAY_LEN(tcp_flags), word);
		if (!e)
			return bad(err, "\"%s\" is not a flag of TCP", word);
		if (*p == '+')
			v.set |= (uint8_t)e->v;
		else
			v.clear |= (uint8_t)e->v;
		p += 4;
	} while (*p);
	if (v.set & v.clear)
		return bad(err, "\"%s\": one flag cannot be both", tok[0]);
	if (dst)
		*(struct acl_flags *)dst = v;
	return 1;
}

static void flags_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	const struct acl_flags *v = src;

	for (size_t i = 0; i < ARRAY_LEN(tcp_flags); i++) {
		if ((v->set | v->clear) & tcp_flags[i].v)
			strbuf_addf(b, "%c%s", v->set & tcp_flags[i].v ? '+' : '-',
				    tcp_flags[i].name);
	}
}

/* ---- states ---- */

static const struct name states[] = {
	{ "new", POL_NEW },         { "established", POL_ESTABLISHED }, { "related", POL_RELATED },
	{ "invalid", POL_INVALID }, { "untracked", POL_UNTRACKED },
};

PARSE(states_parse)
{
	char *copy = xstrdup(tok[0]), *save = NULL;
	uint8_t v = 0;
	int r = 1;

	for (char *w = strtok_r(copy, ",", &save); w && r > 0; w = strtok_r(NULL, ",", &save)) {
		const struct name *e = by_name(states, ARRAY_LEN(states), w);

		if (e)
			v |= (uint8_t)(1 << e->v);
		else
			r = bad(err, "\"%s\" is not a state", w);
	}
	free(copy);
	if (r > 0 && !v)
		r = bad(err, "a state is missing");
	if (r > 0 && dst)
		*(uint8_t *)dst = v;
	return r;
}

static void states_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	uint8_t v = *(const uint8_t *)src;
	const char *sep = "";

	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		if (!(v >> states[i].v & 1))
			continue;
		strbuf_addf(b, "%s%s", sep, states[i].name);
		sep = ",";
	}
}

/* ---- time ---- */

static const char *const day_names[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
					 "Thursday", "Friday", "Saturday" };
static const char *const month_names[] = { "January",   "February", "March",    "April",
					   "May",       "June",     "July",     "August",
					   "September", "October",  "November", "December" };
#define WEEKDAYS 0x3e
#define WEEKEND  0x41

static int prefix_of(const char *const *names, size_t n, const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i < n && len >= 3; i++) {
		if (!strncasecmp(names[i], word, len))
			return (int)i;
	}
	return -1;
}

/* "8:00", "24:00" being the end of the day. */
static bool minutes_of(const char *word, uint16_t *ret)
{
	const char *colon = strchr(word, ':');
	uint64_t h, m;
	char *head;
	bool ok;

	if (!colon || strlen(colon + 1) != 2)
		return false;
	head = xstrndup(word, (size_t)(colon - word));
	ok = !rtr_parse_u64(head, 0, 24, &h) && !rtr_parse_u64(colon + 1, 0, 59, &m) &&
	     h * 60 + m <= DAY_MIN;
	free(head);
	if (ok)
		*ret = (uint16_t)(h * 60 + m);
	return ok;
}

static uint8_t days_of(const char *word)
{
	int day = prefix_of(day_names, ARRAY_LEN(day_names), word);

	if (!strcasecmp(word, "daily"))
		return 0x7f;
	if (!strcasecmp(word, "weekdays"))
		return WEEKDAYS;
	if (!strcasecmp(word, "weekend"))
		return WEEKEND;
	return day < 0 ? 0 : (uint8_t)(1 << day);
}

/* DAY ... HH:MM to [DAY] HH:MM */
PARSE(periodic_parse)
{
	struct trange_periodic p = { 0 };
	size_t i = 0;
	int day;

	for (; i < n && days_of(tok[i]); i++)
		p.days |= days_of(tok[i]);
	if (!i)
		return bad(err, "\"%s\" is not daily, weekdays, weekend or a day", tok[0]);
	if (i == n)
		return 0;
	if (!minutes_of(tok[i], &p.from) || p.from == DAY_MIN)
		return bad(err, "\"%s\" is not a day or a time (hh:mm)", tok[i]);
	if (++i == n)
		return 0;
	if (strcasecmp(tok[i], "to"))
		return bad(err, "\"%s\" is not \"to\"", tok[i]);
	if (++i == n)
		return 0;
	day = prefix_of(day_names, ARRAY_LEN(day_names), tok[i]);
	if (day >= 0) {
		if (p.days & (p.days - 1))
			return bad(err, "a range from day to day starts at one day");
		p.to_day = (uint8_t)(1 + day);
		if (++i == n)
			return 0;
	}
	if (!minutes_of(tok[i], &p.to))
		return bad(err, "\"%s\" is not a time (hh:mm)", tok[i]);
	if (!p.to_day && p.to <= p.from)
		return bad(err, "the end is not after the start; over midnight takes two lines");
	if (dst)
		memcpy(dst, &p, sizeof(p));
	return (int)i + 1;
}

static void periodic_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	const struct trange_periodic *p = src;

	if (p->days == 0x7f)
		strbuf_adds(b, "daily ");
	else if (p->days == WEEKDAYS)
		strbuf_adds(b, "weekdays ");
	else if (p->days == WEEKEND)
		strbuf_adds(b, "weekend ");
	for (unsigned i = 0; i < 7; i++) {
		if (p->days != 0x7f && p->days != WEEKDAYS && p->days != WEEKEND &&
		    (p->days >> i & 1))
			strbuf_addf(b, "%s ", day_names[i]);
	}
	strbuf_addf(b, "%u:%02u to ", p->from / 60, p->from % 60);
	if (p->to_day)
		strbuf_addf(b, "%s ", day_names[p->to_day - 1]);
	strbuf_addf(b, "%u:%02u", p->to / 60, p->to % 60);
}

PARSE(moment_parse)
{
	struct tm tm = { .tm_isdst = -1 };
	uint64_t day, year;
	uint16_t min;
	int month;

	if (!minutes_of(tok[0], &min))
		return bad(err, "\"%s\" is not a time (hh:mm)", tok[0]);
	if (n >= 2 && rtr_parse_u64(tok[1], 1, 31, &day))
		return bad(err, "\"%s\" is not a day of the month", tok[1]);
	month = n >= 3 ? prefix_of(month_names, ARRAY_LEN(month_names), tok[2]) : 0;
	if (month < 0)
		return bad(err, "\"%s\" is not a month", tok[2]);
	if (n < 4)
		return 0;
	/* A time_t of 32 bits, as some file formats have, ends in 2038; ours does not. */
	if (rtr_parse_u64(tok[3], 1993, 9999, &year))
		return bad(err, "\"%s\" is not a year", tok[3]);
	tm.tm_min = min % 60;
	tm.tm_hour = min / 60;
	tm.tm_mday = (int)day;
	tm.tm_mon = month;
	tm.tm_year = (int)year - 1900;
	if (dst)
		((struct trange_moment *)dst)->at = mktime(&tm);
	return 4;
}

static void moment_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	time_t at = (time_t)((const struct trange_moment *)src)->at;
	struct tm tm;

	localtime_r(&at, &tm);
	strbuf_addf(b, "%02d:%02d %d %s %d", tm.tm_hour, tm.tm_min, tm.tm_mday,
		    month_names[tm.tm_mon], tm.tm_year + 1900);
}

/* ---- periods ---- */

static unsigned week_minute(time_t now)
{
	struct tm tm;

	localtime_r(&now, &tm);
	return (unsigned)(tm.tm_wday * DAY_MIN + tm.tm_hour * 60 + tm.tm_min);
}

static bool in_at(const struct trange_periodic *p, unsigned minute)
{
	unsigned day = minute / DAY_MIN, start, len;

	if (!p->to_day)
		return (p->days >> day & 1) && minute % DAY_MIN >= p->from &&
		       minute % DAY_MIN < p->to;
	start = (unsigned)__builtin_ctz(p->days) * DAY_MIN + p->from;
	len = ((p->to_day - 1u) * DAY_MIN + p->to + WEEK_MIN - start) % WEEK_MIN;
	return (minute + WEEK_MIN - start) % WEEK_MIN < (len ? len : WEEK_MIN);
}

bool trange_periodic_in(const struct trange_periodic *p, time_t now)
{
	return in_at(p, week_minute(now));
}

time_t trange_periodic_next(const struct trange_periodic *p, time_t now)
{
	unsigned minute = week_minute(now);
	bool in = in_at(p, minute);
	time_t base = now - now % 60;

	/* Asked seldom (a re-plan), and a clock that steps or changes to summer time only makes the
	 * answer early: it is then asked again. */
	for (unsigned i = 1; i <= WEEK_MIN; i++) {
		if (in_at(p, (minute + i) % WEEK_MIN) != in)
			return base + (time_t)i * 60;
	}
	return 0;
}

/* ---- the table ---- */

#define TYPE(id, n, w, h, c, pa, pr, ...)                                                          \
	static const struct val_type id = { .name = n,                                             \
					    .what = w,                                             \
					    .hint = h,                                             \
					    .size = sizeof(c),                                     \
					    .parse = pa,                                           \
					    .print = pr,                                           \
					    ##__VA_ARGS__ };                                       \
	VAL_TYPE(id)

TYPE(t_proto, "ACLPROTO", "an IP protocol", "<0-255> or a name", uint16_t, proto_parse,
     proto_print);
TYPE(t_proto4, "ACLPROTO4", "an IP protocol", "<0-255> or a name", uint16_t, proto_parse,
     proto_print);
TYPE(t_proto6, "ACLPROTO6", "an IP protocol", "<0-255> or a name", uint16_t, proto_parse,
     proto_print);
TYPE(t_ports, "PORTS", "ports: eq, neq, lt, gt, range", "eq|neq|lt|gt|range", struct acl_ports,
     ports_parse, ports_print, .hint_n = ports_hint_n);
TYPE(t_ttl, "TTL", "hops left: eq, lt, gt, range", "eq|lt|gt|range", struct acl_span, span_parse,
     span_print);
TYPE(t_length, "LENGTH", "bytes: eq, lt, gt, range", "eq|lt|gt|range", struct acl_span, span_parse,
     span_print);
TYPE(t_icmp4, "ICMP4", "a type of ICMP", "<0-255> or a type of ICMP", struct acl_icmp, icmp_parse,
     icmp_print);
TYPE(t_icmp6, "ICMP6", "a type of ICMPv6", "<0-255> or a type of ICMPv6", struct acl_icmp,
     icmp_parse, icmp_print);
TYPE(t_dscp, "DSCP", "a DSCP", "<0-63> or a name", uint8_t, dscp_parse, dscp_print);
TYPE(t_flags, "TCPFLAGS", "flags of TCP", "+FLAG or -FLAG", struct acl_flags, flags_parse,
     flags_print);
TYPE(t_states, "CTSTATES", "states of a connection", "new,established,related,invalid,untracked",
     uint8_t, states_parse, states_print);
TYPE(t_periodic, "PERIODIC", "days and hours (weekdays 8:00 to 18:00)", "DAY ... hh:mm to hh:mm",
     struct trange_periodic, periodic_parse, periodic_print);
TYPE(t_moment, "MOMENT", "a time (8:00 1 January 2026)", "hh:mm DAY MONTH YEAR",
     struct trange_moment, moment_parse, moment_print);
