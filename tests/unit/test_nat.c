/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NAT's policy from configuration lines: what each line does to packets, and what is refused. */
#include "../lib/check_main.h"
#include "domain.h"
#include "nat/nat.h"
#include "schema/edit.h"
#include "schema/schema.h"
#include "txn/txn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct domain *const *domains;
static size_t n_domains;
static struct editor ed;
static const struct nat_policy *pol;

/* ---- lists, as the firewall would build them ---- */

struct test_rule {
	bool permit;
	const char *src, *dst; /* "a-b", NULL any */
	uint16_t proto;        /* 0 any */
	uint16_t dport;        /* 0 any */
};

static struct pol_list *lists[8];
static size_t n_lists;

static struct pol_addrs *addrs_of(const char *text)
{
	struct pol_addrs *a = xcalloc(1, sizeof(*a) + sizeof(a->r[0]));
	const char *dash;
	char *lo;

	if (!text) {
		free(a);
		return NULL;
	}
	dash = strchr(text, '-');
	lo = xstrndup(text, dash ? (size_t)(dash - text) : strlen(text));
	a->n = 1;
	ck_assert(!rtr_addr_parse(lo, AF_UNSPEC, &a->r[0].lo));
	ck_assert(!rtr_addr_parse(dash ? dash + 1 : lo, AF_UNSPEC, &a->r[0].hi));
	a->family = a->r[0].lo.family;
	free(lo);
	return a;
}

static struct pol_rule *rule_of(uint8_t family, uint32_t seq, const struct test_rule *t)
{
	struct pol_rule *r = xcalloc(1, sizeof(*r));
	struct pol_service *s = xcalloc(1, sizeof(*s));

	s->proto = t->proto ? t->proto : POL_PROTO_ANY;
	if (t->dport) {
		struct pol_ports *p = xcalloc(1, sizeof(*p) + sizeof(p->r[0]));

		p->n = 1;
		p->r[0] = (struct pol_port_range){ t->dport, t->dport };
		s->dport = p;
	}
	*r = (struct pol_rule){ .id = seq,
				.seq = seq,
				.action = t->permit ? POL_PERMIT : POL_DENY,
				.family = family,
				.src = addrs_of(t->src),
				.dst = addrs_of(t->dst),
				.n_services = 1,
				.services = s,
				.ttl_hi = UINT8_MAX,
				.len_hi = UINT16_MAX,
				.active = true };
	return r;
}

static void list_add(const char *name, uint8_t family, const struct test_rule *t, size_t n)
{
	struct pol_list *l = xcalloc(1, sizeof(*l));
	const struct pol_rule **v = xcalloc(n, sizeof(struct pol_rule *));

	for (size_t i = 0; i < n; i++)
		v[i] = rule_of(family, (uint32_t)(10 * (i + 1)), &t[i]);
	*l = (struct pol_list){ .refs = 1, .name = name, .family = family, .n = n, .rules = v };
	lists[n_lists++] = l;
}

#define LIST_ADD(name, family, ...)                                                                \
	list_add(name, family, (const struct test_rule[]){ __VA_ARGS__ },                          \
		 sizeof((const struct test_rule[]){ __VA_ARGS__ }) / sizeof(struct test_rule))

static void lists_free(void)
{
	while (n_lists) {
		struct pol_list *l = lists[--n_lists];

		for (size_t i = 0; i < l->n; i++) {
			struct pol_rule *r = (struct pol_rule *)(uintptr_t)l->rules[i];

			free((void *)(uintptr_t)r->src);
			free((void *)(uintptr_t)r->dst);
			free((void *)(uintptr_t)r->services[0].dport);
			free((void *)(uintptr_t)r->services);
			free(r);
		}
		free((void *)(uintptr_t)l->rules);
		free(l);
	}
}

static const struct pol_list *find_list(void *arg, uint8_t family, const char *name)
{
	for (size_t i = 0; i < n_lists; i++) {
		if (lists[i]->family == family && !strcmp(lists[i]->name, name))
			return lists[i];
	}
	return NULL;
}

static const struct nat_lookup look = { .list = find_list };

/* ---- a model from lines ---- */

static void type_line(const char *line)
{
	struct edit_error err = { 0 };
	bool changed;

	ck_assert_msg(!editor_line(&ed, line, &changed, &err), "%s: %s", line,
		      strbuf_str(&err.text));
	edit_error_fini(&err);
}

static void type_lines(const char *const *lines, size_t n)
{
	for (size_t i = 0; i < n; i++)
		type_line(lines[i]);
	editor_top(&ed);
}

static const char *const base[] = {
	"interface in0",
	"ip address 10.0.1.1/24",
	"ipv6 address 2001:db8:1::1/64",
	"ip nat inside",
	"ipv6 nat inside",
	"interface in1",
	"ip address 10.0.2.1/24",
	"ip nat inside",
	"interface out0",
	"ip address 198.51.100.2/24",
	"ipv6 address 2001:db8:100::2/64",
	"ip nat outside",
	"ipv6 nat outside",
	"interface out1",
	"ip address 192.0.2.2/24",
	"ip nat outside",
	"interface dmz",
	"ip address 10.9.0.1/24",
};

/* Adds the lines to the base and builds; the sink's text, "" when all is well. */
static const char *build(const char *const *lines, size_t n)
{
	static struct strbuf sink;
	struct rec *old = model_new();
	struct check c = { .old = old, .offline = true, .sink = &sink };

	strbuf_reset(&sink);
	type_lines(lines, n);
	c.new = ed.root;
	nat_policy_unref(pol);
	pol = nat_policy_build(ed.root, NULL, &look, &c);
	rec_unref(old);
	return strbuf_str(&sink);
}
#define BUILD(...)                                                                                 \
	build((const char *const[]){ __VA_ARGS__ },                                                \
	      sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

static void set_up(void)
{
	struct rec *empty;

	ck_assert_ptr_null(domains_sort(&domains, &n_domains));
	ck_assert_ptr_null(schema_init(domains, n_domains));
	empty = model_new();
	editor_init(&ed, empty);
	rec_unref(empty);
	type_lines(base, ARRAY_LEN(base));
	LIST_ADD("LAN", AF_INET, { false, NULL, "10.8.0.0-10.8.255.255" },
		 { true, "10.0.0.0-10.0.255.255" });
	LIST_ADD("VPN", AF_INET, { true, NULL, "172.16.0.0-172.31.255.255" });
	LIST_ADD("DNS", AF_INET, { true, "10.0.1.0-10.0.1.255", NULL, IPPROTO_UDP, 53 });
	LIST_ADD("VIP", AF_INET, { true, NULL, "203.0.113.80", IPPROTO_TCP, 80 });
	LIST_ADD("SMALL", AF_INET, { false, "10.0.1.18" }, { true, "10.0.1.16-10.0.1.23" });
	LIST_ADD("LAN6", AF_INET6, { true, "2001:db8:1::-2001:db8:1::ffff" });
}

static void tear_down(void)
{
	pol = nat_policy_unref(pol);
	editor_fini(&ed);
	lists_free();
	schema_fini();
}

/* ---- packets ---- */

static struct rtr_addr addr(const char *text)
{
	struct rtr_addr a;

	ck_assert_msg(!rtr_addr_parse(text, AF_UNSPEC, &a), "%s", text);
	return a;
}

static struct pol_packet packet(uint8_t proto, const char *src, uint16_t sport, const char *dst,
				uint16_t dport)
{
	struct pol_packet p = { .src = addr(src),
				.dst = addr(dst),
				.proto = proto,
				.sport = sport,
				.dport = dport,
				.ttl = 64 };

	p.family = p.src.family;
	return p;
}

static const char *text_of(const struct pol_xlate *x)
{
	static char buf[160];
	char lo[RTR_ADDR_STRLEN], hi[RTR_ADDR_STRLEN];

	if (!x->on)
		return "-";
	rtr_addr_str(&x->lo, lo);
	rtr_addr_str(&x->hi, hi);
	snprintf(buf, sizeof(buf), "%s%s%s", lo, strcmp(lo, hi) ? "-" : "",
		 strcmp(lo, hi) ? hi : "");
	if (x->prefix)
		snprintf(buf + strlen(buf), sizeof(buf) - strlen(buf), "/%u%s", x->prefix_len,
			 x->npt ? " npt" : "");
	if (x->port_hi)
		snprintf(buf + strlen(buf), sizeof(buf) - strlen(buf), ":%u", x->port_lo);
	if (x->port_hi != x->port_lo)
		snprintf(buf + strlen(buf), sizeof(buf) - strlen(buf), "-%u", x->port_hi);
	return buf;
}

#define DNAT(want, iif, ...)                                                                       \
	do {                                                                                       \
		struct pol_packet p_ = packet(__VA_ARGS__);                                        \
		struct pol_xlate x_ = nat_dnat(pol, &p_, iif);                                     \
		ck_assert_str_eq(text_of(&x_), want);                                              \
	} while (0)
#define SNAT(want, iif, oif, ...)                                                                  \
	do {                                                                                       \
		struct pol_packet p_ = packet(__VA_ARGS__);                                        \
		struct pol_xlate x_ = nat_snat(pol, &p_, NULL, iif, oif);                          \
		ck_assert_str_eq(text_of(&x_), want);                                              \
	} while (0)
#define REFUSED(why, ...)                                                                          \
	do {                                                                                       \
		const char *t_ = BUILD(__VA_ARGS__);                                               \
		ck_assert_msg(strstr(t_, "error: ") && strstr(t_, why), "said: %s", t_);           \
		ck_assert_ptr_null(pol);                                                           \
	} while (0)
#define ACCEPTED(...) ck_assert_str_eq(BUILD(__VA_ARGS__), "")

#define TCP IPPROTO_TCP
#define UDP IPPROTO_UDP

START_TEST(no_line_no_policy)
{
	ck_assert_str_eq(build(NULL, 0), "");
	ck_assert_ptr_null(pol);
	DNAT("-", "out0", TCP, "203.0.113.1", 9, "198.51.100.2", 80);
	SNAT("-", "in0", "out0", TCP, "10.0.1.10", 9, "203.0.113.1", 80);
}
END_TEST

START_TEST(overload_of_interface)
{
	ACCEPTED("ip nat inside source list LAN interface out0 overload",
		 "ip nat inside source list LAN interface out1 overload");
	SNAT("198.51.100.2:40960-57343", "in0", "out0", TCP, "10.0.1.10", 9, "203.0.113.1", 80);
	SNAT("192.0.2.2:40960-57343", "in1", "out1", UDP, "10.0.2.10", 9, "203.0.113.1", 80);
	SNAT("198.51.100.2:40960-57343", "in0", "out0", IPPROTO_ICMP, "10.0.1.10", 9, "203.0.113.1",
	     9);
	/* No ports, no range. */
	SNAT("198.51.100.2", "in0", "out0", IPPROTO_ESP, "10.0.1.10", 0, "203.0.113.1", 0);
	/* Denied by the list, not inside, not outside, of the box itself. */
	SNAT("-", "in0", "out0", TCP, "10.0.1.10", 9, "10.8.0.1", 80);
	SNAT("-", "in0", "out0", TCP, "10.1.1.10", 9, "203.0.113.1", 80);
	SNAT("-", "dmz", "out0", TCP, "10.0.1.10", 9, "203.0.113.1", 80);
	SNAT("-", "in0", "dmz", TCP, "10.0.1.10", 9, "10.9.0.5", 80);
	SNAT("-", "", "out0", TCP, "198.51.100.2", 9, "203.0.113.1", 80);
	SNAT("-", "out0", "out1", TCP, "10.0.1.10", 9, "203.0.113.1", 80);
}
END_TEST

START_TEST(pools)
{
	ACCEPTED("ip nat pool P 203.0.113.10 203.0.113.13 netmask 255.255.255.0",
		 "ip nat inside source list LAN pool P overload");
	SNAT("203.0.113.10-203.0.113.13:40960-57343", "in0", "out0", TCP, "10.0.1.10", 9,
	     "203.0.113.1", 80);
	ACCEPTED("no ip nat inside source list LAN pool P overload",
		 "ip nat inside source list LAN pool P via out1 overload");
	SNAT("-", "in0", "out0", TCP, "10.0.1.10", 9, "203.0.113.1", 80);
	SNAT("203.0.113.10-203.0.113.13:40960-57343", "in0", "out1", TCP, "10.0.1.10", 9,
	     "203.0.113.1", 80);
}
END_TEST

START_TEST(pool_one_to_one)
{
	/* 7 sources of SMALL (without .18) in order; .18 and what is outside the list pass. */
	ACCEPTED("ip nat pool P 203.0.113.10 203.0.113.16 prefix-length 24",
		 "ip nat inside source list SMALL pool P");
	SNAT("203.0.113.10", "in0", "out0", TCP, "10.0.1.16", 9, "203.0.113.1", 80);
	SNAT("203.0.113.12", "in0", "out0", TCP, "10.0.1.19", 9, "203.0.113.1", 80);
	SNAT("203.0.113.16", "in0", "out0", TCP, "10.0.1.23", 9, "203.0.113.1", 80);
	SNAT("-", "in0", "out0", TCP, "10.0.1.18", 9, "203.0.113.1", 80);
	SNAT("-", "in0", "out0", TCP, "10.0.1.24", 9, "203.0.113.1", 80);
	REFUSED("more sources than pool P",
		"ip nat pool P 203.0.113.10 203.0.113.15 prefix-length 24");
	REFUSED("may name sources only", "no ip nat inside source list SMALL",
		"ip nat inside source list VPN pool P");
}
END_TEST

START_TEST(pool_match_host)
{
	ACCEPTED("ip nat pool P 203.0.113.0 203.0.113.31 prefix-length 24 type match-host",
		 "ip nat inside source list SMALL pool P");
	SNAT("203.0.113.17", "in0", "out0", TCP, "10.0.1.17", 9, "203.0.113.1", 80);
	REFUSED("host part",
		"ip nat pool P 203.0.113.0 203.0.113.20 prefix-length 24 type match-host");
	REFUSED("no overload",
		"ip nat pool P 203.0.113.0 203.0.113.31 prefix-length 24 type match-host",
		"no ip nat inside source list SMALL",
		"ip nat inside source list SMALL pool P overload");
}
END_TEST

/* Who has the port of the address; "-": nobody. */
static const char *behind(const char *text, uint16_t port)
{
	static char buf[RTR_ADDR_STRLEN];
	struct rtr_addr a = addr(text), host;

	return nat_det_behind(pol, &pol->f[nat_fam(a.family)].dynamics[0], &a, port, &host)
		       ? rtr_addr_str(&host, buf)
		       : "-";
}

static const char *share_of(const char *text)
{
	static char buf[120];
	char a[RTR_ADDR_STRLEN];
	struct rtr_addr src = addr(text);
	struct nat_share s;

	if (!nat_det_find(pol, &pol->f[nat_fam(src.family)].dynamics[0], &src, &s))
		return "-";
	snprintf(buf, sizeof(buf), "%s %u-%u %u-%u", rtr_addr_str(&s.addr, a), s.fast.lo, s.fast.hi,
		 s.kernel.lo, s.kernel.hi);
	return buf;
}

START_TEST(pool_deterministic)
{
	/* 7 hosts, three blocks of 10,000 in 10240-40959; of the kernel's 16,384 each has 5,461. */
	ACCEPTED("ip nat pool D 203.0.113.10 203.0.113.12 prefix-length 24 type deterministic "
		 "ports 10000",
		 "ip nat inside source list SMALL pool D overload");
	SNAT("203.0.113.10:40960-46420", "in0", "out0", TCP, "10.0.1.16", 9, "203.0.113.1", 80);
	SNAT("203.0.113.10:51882-57342", "in0", "out0", IPPROTO_ICMP, "10.0.1.19", 9, "203.0.113.1",
	     9);
	SNAT("203.0.113.12:40960-46420", "in0", "out0", TCP, "10.0.1.23", 9, "203.0.113.1", 80);
	SNAT("203.0.113.10", "in0", "out0", IPPROTO_ESP, "10.0.1.19", 0, "203.0.113.1", 0);
	SNAT("-", "in0", "out0", TCP, "10.0.1.18", 9, "203.0.113.1", 80);
	SNAT("-", "in0", "out0", TCP, "10.0.1.24", 9, "203.0.113.1", 80);
	ck_assert_str_eq(share_of("10.0.1.17"), "203.0.113.10 20240-30239 46421-51881");
	ck_assert_str_eq(share_of("10.0.1.23"), "203.0.113.12 10240-20239 40960-46420");
	ck_assert_str_eq(share_of("10.0.1.18"), "-");
	ck_assert_str_eq(behind("203.0.113.10", 30239), "10.0.1.17");
	ck_assert_str_eq(behind("203.0.113.10", 51882), "10.0.1.19");
	ck_assert_str_eq(behind("203.0.113.12", 20239), "10.0.1.23");
	ck_assert_str_eq(behind("203.0.113.12", 20240), "-"); /* no eighth host */
	ck_assert_str_eq(behind("203.0.113.10", 40240), "-"); /* left over */
	ck_assert_str_eq(behind("203.0.113.10", 80), "-");
	ck_assert_str_eq(behind("203.0.113.13", 10240), "-");
	/* No block has a hole, whether its address has the forward or not. */
	ACCEPTED("ip nat inside source static tcp 10.0.1.10 80 interface out0 20240",
		 "interface out0", "no ip address");
	ck_assert_str_eq(share_of("10.0.1.17"), "203.0.113.10 20241-30240 46421-51881");
	ck_assert_str_eq(behind("203.0.113.10", 20240), "-");
}
END_TEST

START_TEST(pool_deterministic_refused)
{
	const char *pool = "ip nat pool D 203.0.113.10 203.0.113.12 prefix-length 24 "
			   "type deterministic ports 10240";

	REFUSED("list SMALL permits 7 hosts, pool D has room for 6: 3 addresses for 2 hosts each, "
		"with 15360 of the fast plane's ports a host",
		"ip nat pool D 203.0.113.10 203.0.113.12 prefix-length 24 type deterministic "
		"ports 15360",
		"ip nat inside source list SMALL pool D overload");
	REFUSED("hosts share the addresses of deterministic pool D: say overload", pool,
		"no ip nat inside source list SMALL", "ip nat inside source list SMALL pool D");
	type_line("no ip nat inside source list SMALL");
	REFUSED("list DNS names destinations, protocols or ports",
		"ip nat inside source list DNS pool D overload");
	type_line("no ip nat inside source list DNS");
	LIST_ADD("WIDE", AF_INET, { true, "10.0.0.0-10.255.255.255" });
	REFUSED("list WIDE permits 16777216 hosts, pool D has room for 9",
		"ip nat inside source list WIDE pool D overload");
	LIST_ADD("TWO", AF_INET, { true, "10.0.2.10-10.0.2.11" });
	REFUSED("pool D is shared by the hosts of list SMALL already",
		"no ip nat inside source list WIDE",
		"ip nat inside source list SMALL pool D overload",
		"ip nat inside source list TWO pool D overload");
	type_line("no ip nat inside source list TWO");
	REFUSED("pool D holds the address of out0", "interface out0", "ip address 203.0.113.12/24");
	ACCEPTED("interface out0", "ip address 198.51.100.2/24",
		 "no ip nat inside source list SMALL",
		 "ip nat inside source list SMALL pool D via out0 overload",
		 "ip nat inside source list SMALL pool D via out1 overload");
	SNAT("203.0.113.10:40960-46420", "in0", "out1", TCP, "10.0.1.16", 9, "203.0.113.1", 80);
	REFUSED("the kernel has 2 ports", "ip nat settings port-range kernel 41000 41001");
}
END_TEST

/* More than can be counted is no small number. */
START_TEST(pool_deterministic_room)
{
	static const struct {
		const char *last;
		uint64_t room;
	} v[] = {
		{ "2001:db8:f::1:ffff", 3 * 131072ull },
		{ "2001:db8:f:0:7fff:ffff:ffff:ffff", UINT64_MAX },
		{ "2001:db8:f:0:ffff:ffff:ffff:ffff", UINT64_MAX },
	};

	type_line("ipv6 nat inside source list LAN6 pool D overload");
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		const struct nat_dynamic *d;
		char line[160];

		snprintf(line, sizeof(line),
			 "ipv6 nat pool D 2001:db8:f:: %s prefix-length 64 type deterministic "
			 "ports 10240",
			 v[i].last);
		ACCEPTED(line);
		d = &pol->f[1].dynamics[0];
		ck_assert_uint_eq(nat_det_room(d, d->det), v[i].room);
	}
}
END_TEST

/* Any host and back, whatever the ranges, holes and sizes; no two hosts have one port. */
START_TEST(shares_are_disjoint)
{
	for (unsigned round = 0; round < 40; round++) {
		unsigned size = 16 + (unsigned)random() % 3000,
			 lo = 20000 + (unsigned)random() % 9000;
		char pool_line[160], range[80], hole[80], no_hole[90];
		const struct nat_dynamic *d;
		struct nat_share s[7];

		snprintf(pool_line, sizeof(pool_line),
			 "ip nat pool D 203.0.113.10 203.0.113.16 prefix-length 24 type "
			 "deterministic ports %u",
			 size);
		snprintf(range, sizeof(range), "ip nat settings port-range fast %u %u", lo,
			 lo + size + (unsigned)random() % 7000);
		snprintf(hole, sizeof(hole), "ip nat settings port-reserve %u",
			 lo + size + (unsigned)random() % 1000);
		snprintf(no_hole, sizeof(no_hole), "no %s", hole);
		if (*BUILD(pool_line, range, hole,
			   "ip nat inside source list SMALL pool D overload"))
			ck_abort_msg("%s, %s, %s", pool_line, range, hole);
		d = &pol->f[0].dynamics[0];
		ck_assert_uint_eq(d->det->n_hosts, 7);
		for (uint32_t h = 0; h < 7; h++) {
			nat_det_share(pol, d, h, &s[h]);
			ck_assert_uint_eq(s[h].fast.hi - s[h].fast.lo + 1u, size);
			for (uint16_t p = s[h].fast.lo; p <= s[h].fast.hi; p++)
				ck_assert(nat_port_in(pol, NAT_PORTS_FAST, p));
			for (uint32_t i = 0; i < h; i++) {
				if (rtr_addr_cmp(&s[i].addr, &s[h].addr))
					continue;
				ck_assert(s[i].fast.hi < s[h].fast.lo ||
					  s[i].fast.lo > s[h].fast.hi);
				ck_assert(s[i].kernel.hi < s[h].kernel.lo ||
					  s[i].kernel.lo > s[h].kernel.hi);
			}
		}
		type_line(no_hole);
	}
}
END_TEST

START_TEST(order_of_source_lines)
{
	ACCEPTED("ip nat pool A 203.0.113.10 203.0.113.10 netmask 255.255.255.0",
		 "ip nat pool B 203.0.113.11 203.0.113.11 netmask 255.255.255.0",
		 "ip nat inside source list LAN interface out0 overload",
		 "ip nat inside source list DNS pool A overload",
		 "ip nat inside source policy 7 list VPN pool B overload");
	SNAT("203.0.113.10:40960-57343", "in0", "out0", UDP, "10.0.1.10", 9, "203.0.113.1", 53);
	SNAT("198.51.100.2:40960-57343", "in0", "out0", UDP, "10.0.1.10", 9, "203.0.113.1", 54);
	SNAT("203.0.113.11:40960-57343", "in0", "out0", UDP, "10.0.1.10", 9, "172.16.0.1", 53);
	/* A line of lower number first, then exemptions before all. */
	ACCEPTED("ip nat inside source policy 5 list VPN interface out0 overload");
	SNAT("198.51.100.2:40960-57343", "in0", "out0", UDP, "10.0.1.10", 9, "172.16.0.1", 53);
	ACCEPTED("ip nat inside source list VPN exempt",
		 "ip nat inside source static 10.0.1.10 203.0.113.20");
	SNAT("-", "in0", "out0", UDP, "10.0.1.10", 9, "172.16.0.1", 53);
	SNAT("203.0.113.20", "in0", "out0", UDP, "10.0.1.10", 9, "203.0.113.1", 53);
}
END_TEST

START_TEST(static_host_and_network)
{
	ACCEPTED("ip nat inside source static 10.0.1.10 203.0.113.10",
		 "ip nat inside source static network 10.0.2.0 203.0.113.128 /28");
	DNAT("10.0.1.10", "out0", TCP, "192.0.2.77", 9, "203.0.113.10", 80);
	DNAT("10.0.1.10", "in1", TCP, "10.0.2.9", 9, "203.0.113.10", 80);
	DNAT("10.0.1.10", "", TCP, "198.51.100.2", 9, "203.0.113.10", 80);
	DNAT("-", "dmz", TCP, "10.9.0.9", 9, "203.0.113.10", 80);
	DNAT("-", "out0", TCP, "192.0.2.77", 9, "203.0.113.11", 80);
	DNAT("10.0.2.0/28", "out0", TCP, "192.0.2.77", 9, "203.0.113.143", 80);
	DNAT("-", "out0", TCP, "192.0.2.77", 9, "203.0.113.144", 80);
	SNAT("203.0.113.10", "in0", "out1", TCP, "10.0.1.10", 9, "192.0.2.77", 80);
	SNAT("203.0.113.128/28", "in1", "out0", TCP, "10.0.2.15", 9, "192.0.2.77", 80);
	SNAT("-", "in1", "out0", TCP, "10.0.2.16", 9, "192.0.2.77", 80);
}
END_TEST

START_TEST(port_forwards)
{
	ACCEPTED("ip nat inside source static tcp 10.0.1.10 80 interface out0 8080",
		 "ip nat inside source static tcp 10.0.1.10 80 interface out1 8080",
		 "ip nat inside source static udp 10.0.1.11 5000-5009 203.0.113.9 6000-6009");
	DNAT("10.0.1.10:80", "out0", TCP, "192.0.2.77", 9, "198.51.100.2", 8080);
	DNAT("10.0.1.10:80", "out1", TCP, "192.0.2.77", 9, "192.0.2.2", 8080);
	DNAT("-", "out0", TCP, "192.0.2.77", 9, "198.51.100.2", 8081);
	DNAT("-", "out0", UDP, "192.0.2.77", 9, "198.51.100.2", 8080);
	DNAT("10.0.1.11:5009", "out0", UDP, "192.0.2.77", 9, "203.0.113.9", 6009);
	DNAT("-", "out0", UDP, "192.0.2.77", 9, "203.0.113.9", 6010);
	DNAT("-", "out0", UDP, "192.0.2.77", 9, "203.0.113.9", 5999);
	/* The server's own packets have the same face, by the uplink that they take. */
	SNAT("198.51.100.2:8080", "in0", "out0", TCP, "10.0.1.10", 80, "192.0.2.77", 9);
	SNAT("192.0.2.2:8080", "in0", "out1", TCP, "10.0.1.10", 80, "192.0.2.77", 9);
	SNAT("203.0.113.9:6003", "in0", "out0", UDP, "10.0.1.11", 5003, "192.0.2.77", 9);
	SNAT("-", "in0", "out0", UDP, "10.0.1.11", 5010, "192.0.2.77", 9);
}
END_TEST

START_TEST(forward_beats_host)
{
	ACCEPTED("ip nat inside source static 10.0.1.10 203.0.113.9",
		 "ip nat inside source static tcp 10.0.1.11 80 203.0.113.9 80");
	DNAT("10.0.1.11:80", "out0", TCP, "192.0.2.77", 9, "203.0.113.9", 80);
	DNAT("10.0.1.10", "out0", TCP, "192.0.2.77", 9, "203.0.113.9", 81);
	SNAT("203.0.113.9:80", "in0", "out0", TCP, "10.0.1.11", 80, "192.0.2.77", 9);
	SNAT("203.0.113.9", "in0", "out0", TCP, "10.0.1.10", 80, "192.0.2.77", 9);
}
END_TEST

START_TEST(hairpin)
{
	struct pol_packet orig = packet(TCP, "10.0.2.9", 7, "198.51.100.2", 8080), pkt = orig;
	struct pol_xlate x;

	ACCEPTED("ip nat inside source static tcp 10.0.1.10 80 interface out0 8080",
		 "ip nat inside source static 10.0.2.8 203.0.113.8");
	pkt.dst = addr("10.0.1.10");
	pkt.dport = 80;
	x = nat_snat(pol, &pkt, &orig, "in1", "in0");
	ck_assert_str_eq(text_of(&x), "198.51.100.2:40960-57343");
	/* On one link too. */
	x = nat_snat(pol, &pkt, &orig, "in0", "in0");
	ck_assert_str_eq(text_of(&x), "198.51.100.2:40960-57343");
	/* Who has a public address of his own is seen with that. */
	pkt.src = orig.src = addr("10.0.2.8");
	x = nat_snat(pol, &pkt, &orig, "in1", "in0");
	ck_assert_str_eq(text_of(&x), "203.0.113.8");
	/* Not translated, not hairpin. */
	x = nat_snat(pol, &pkt, NULL, "in1", "in0");
	ck_assert_str_eq(text_of(&x), "-");
}
END_TEST

START_TEST(outside_static)
{
	ACCEPTED("ip nat outside source static 203.0.113.5 10.77.0.5");
	DNAT("203.0.113.5", "in0", TCP, "10.0.1.10", 9, "10.77.0.5", 80);
	DNAT("-", "out0", TCP, "192.0.2.77", 9, "10.77.0.5", 80);
	SNAT("10.77.0.5", "out0", "in0", TCP, "203.0.113.5", 9, "10.0.1.10", 80);
	SNAT("-", "out0", "in0", TCP, "203.0.113.6", 9, "10.0.1.10", 80);
}
END_TEST

START_TEST(rotary)
{
	ACCEPTED("ip nat pool SERVERS 10.0.1.10 10.0.1.12 prefix-length 24 type rotary",
		 "ip nat inside destination list VIP pool SERVERS");
	DNAT("10.0.1.10-10.0.1.12", "out0", TCP, "192.0.2.77", 9, "203.0.113.80", 80);
	DNAT("-", "out0", TCP, "192.0.2.77", 9, "203.0.113.80", 81);
	REFUSED("not of type rotary", "ip nat pool SERVERS 10.0.1.10 10.0.1.12 prefix-length 24");
	REFUSED("names no destination",
		"ip nat pool SERVERS 10.0.1.10 10.0.1.12 prefix-length 24 type rotary",
		"no ip nat inside destination list VIP",
		"ip nat inside destination list LAN pool SERVERS");
}
END_TEST

START_TEST(ipv6)
{
	struct pol_packet p;
	struct pol_xlate x;

	ACCEPTED("ipv6 nat inside source list LAN6 interface out0 overload",
		 "ipv6 nat inside source static tcp 2001:db8:1::10 80 interface out0 8080",
		 "ipv6 nat inside source static network fd00:: 2001:db8:f:: /64");
	SNAT("2001:db8:100::2:40960-57343", "in0", "out0", TCP, "2001:db8:1::77", 9,
	     "2001:db8:203::1", 80);
	DNAT("2001:db8:1::10:80", "out0", TCP, "2001:db8:203::1", 9, "2001:db8:100::2", 8080);
	DNAT("fd00::/64", "out0", TCP, "2001:db8:203::1", 9, "2001:db8:f::77", 8080);
	/* out1 has no IPv6 side. */
	SNAT("-", "in0", "out1", TCP, "2001:db8:1::77", 9, "2001:db8:203::1", 80);
	ACCEPTED("interface out1", "nptv6 prefix inside fd00:1::/48 outside 2001:db8:9::/48");
	p = packet(TCP, "fd00:1::5", 9, "2001:db8:203::1", 80);
	x = nat_npt_out(pol, &p, "out1");
	ck_assert_str_eq(text_of(&x), "2001:db8:9::/48 npt");
	x = nat_npt_out(pol, &p, "out0");
	ck_assert_str_eq(text_of(&x), "-");
	p = packet(TCP, "2001:db8:203::1", 80, "2001:db8:9::5", 9);
	x = nat_npt_in(pol, &p, "out1");
	ck_assert_str_eq(text_of(&x), "fd00:1::/48 npt");
}
END_TEST

START_TEST(port_ranges)
{
	struct rtr_addr a = addr("198.51.100.2");
	struct pol_packet p = packet(TCP, "10.0.1.10", 9, "203.0.113.1", 80);
	struct pol_xlate x;

	ACCEPTED("ip nat inside source list LAN interface out0 overload",
		 "ip nat settings port-range local 30000 32767",
		 "ip nat settings port-range kernel 20000 29999",
		 "ip nat settings port-range fast 33000 65535",
		 "ip nat settings port-reserve 51820",
		 "ip nat inside source static tcp 10.0.1.10 80 interface out0 25000-25009",
		 "no ip nat inside source static tcp 10.0.1.10 80 interface out0 25000-25009",
		 "ip nat inside source static tcp 10.0.1.10 80-89 interface out0 25000-25009");
	x = nat_snat(pol, &p, NULL, "in0", "out0");
	ck_assert_str_eq(text_of(&x), "198.51.100.2:20000-29999");
	ck_assert(nat_xlate_covers(pol, &x, &a, 24999) && nat_xlate_covers(pol, &x, &a, 25010));
	ck_assert(!nat_xlate_covers(pol, &x, &a, 25000) && !nat_xlate_covers(pol, &x, &a, 25009));
	ck_assert(!nat_xlate_covers(pol, &x, &a, 19999) && !nat_xlate_covers(pol, &x, &a, 30000));
	ck_assert(nat_port_in(pol, NAT_PORTS_FAST, 51819) &&
		  !nat_port_in(pol, NAT_PORTS_FAST, 51820) &&
		  nat_port_in(pol, NAT_PORTS_FAST, 65535));
	REFUSED("overlaps with the local range", "ip nat settings port-range kernel 20000 30000");
	REFUSED("the first port is above", "ip nat settings port-range kernel 29999 20000");
	REFUSED("leave no kernel port", "ip nat settings port-range kernel 25003 25008");
}
END_TEST

START_TEST(mapping)
{
	ACCEPTED("ip nat inside source list LAN interface out0 overload");
	ck_assert(!pol->eim);
	REFUSED("only the fast plane maps so", "ip nat settings mapping endpoint-independent");
	ACCEPTED("interface out0", "dataplane auto",
		 "ip nat settings mapping endpoint-independent");
	ck_assert(pol->eim);
	ck_assert(!pol->eif);
	ACCEPTED("ip nat settings filtering endpoint-independent");
	ck_assert(pol->eif);
	REFUSED("has no outside port of its own", "ip nat settings mapping connection-dependent");
	ACCEPTED("ip nat settings filtering connection-dependent",
		 "ip nat settings mapping connection-dependent");
	ck_assert(!pol->eim && !pol->eif);
}
END_TEST

START_TEST(port_blocks)
{
	ACCEPTED("ip nat inside source list LAN interface out0 overload");
	ck_assert_uint_eq(pol->block, 0);
	REFUSED("only the fast plane has blocks of ports",
		"ip nat settings port-block size 512 limit 4");
	ck_assert_ptr_nonnull(strstr(BUILD("interface out0", "dataplane auto"),
				     "whose ports are of no such block end"));
	ck_assert(pol && pol->block == 512 && pol->blocks == 4);
	/* One line holds. */
	BUILD("ip nat settings port-block size 64 limit 1");
	ck_assert(pol && pol->block == 64 && pol->blocks == 1);
	REFUSED("no piece of the fast plane's range 20000-20511 has 500 ports",
		"ip nat settings port-block size 500 limit 1",
		"ip nat settings port-range fast 20000 20511",
		"ip nat settings port-reserve 20200");
	ACCEPTED("no ip nat settings port-block size 500 limit 1");
	ck_assert_uint_eq(pol->block, 0);
}
END_TEST

START_TEST(refusals)
{
	REFUSED("there is no access list NONE", "ip nat inside source list NONE interface out0");
	type_line("no ip nat inside source list NONE");
	REFUSED("eth9 is in VRF RED", "vrf definition RED", "interface eth9", "vrf forwarding RED",
		"ip nat inside", "ip nat inside source static 10.9.9.9 203.0.113.99");
	type_line("no ip nat inside source static 10.9.9.9 203.0.113.99");
	type_line("no interface eth9");
	LIST_ADD("ONE", AF_INET, { true, "10.9.9.9-10.9.9.9", NULL, 0, 0 });
	REFUSED("the address of eth8", "interface eth8", "ip address 10.8.0.1/24",
		"ip nat inside source static 10.9.9.9 10.8.0.1");
	type_line("no ip nat inside source static 10.9.9.9 10.8.0.1");
	REFUSED("pool OWN holds the address of eth8",
		"ip nat pool OWN 10.8.0.1 10.8.0.1 prefix-length 24",
		"ip nat inside source list ONE pool OWN");
	type_line("no ip nat inside source list ONE pool OWN");
	type_line("no ip nat pool OWN");
	type_line("no interface eth8");
	REFUSED("both addresses are the same", "ip nat outside source static 10.7.7.7 10.7.7.7");
	type_line("no ip nat outside source static 10.7.7.7 10.7.7.7");
	REFUSED("nothing comes or leaves by Loopback7", "interface Loopback7", "ip nat inside",
		"ip nat inside source static 10.9.9.9 203.0.113.99");
	type_line("no ip nat inside source static 10.9.9.9 203.0.113.99");
	type_line("no interface Loopback7");
	REFUSED("there is no pool P", "ip nat inside source list LAN pool P overload");
	REFUSED("above the last", "ip nat pool P 203.0.113.9 203.0.113.8 prefix-length 24");
	REFUSED("not in 203.0.113.0/29", "ip nat pool P 203.0.113.6 203.0.113.9 prefix-length 29");
	REFUSED("shares addresses with pool P",
		"ip nat pool P 203.0.113.6 203.0.113.9 prefix-length 24",
		"ip nat pool Q 203.0.113.9 203.0.113.12 prefix-length 24");
	type_line("no ip nat pool Q");
	REFUSED("is in pool P", "ip nat inside source static 10.0.1.10 203.0.113.7");
	type_line("no ip nat inside source static 10.0.1.10 203.0.113.7");
	REFUSED("is the address of out0", "ip nat inside source static 10.0.1.10 198.51.100.2");
	type_line("no ip nat inside source static 10.0.1.10 198.51.100.2");
	REFUSED("has a translation already", "ip nat inside source static 10.0.1.10 203.0.113.20",
		"ip nat inside source static 10.0.1.10 203.0.113.21");
	type_line("no ip nat inside source static 10.0.1.10 203.0.113.21");
	REFUSED("differ in size", "ip nat inside source static tcp 10.0.1.10 1-3 203.0.113.30 1-4");
	type_line("no ip nat inside source static tcp 10.0.1.10 1-3 203.0.113.30 1-4");
	REFUSED("port 80 of 203.0.113.30 is forwarded already",
		"ip nat inside source static tcp 10.0.1.10 80 203.0.113.30 80",
		"ip nat inside source static tcp 10.0.1.11 79-81 203.0.113.30 79-81");
	type_line("no ip nat inside source static tcp 10.0.1.11 79-81 203.0.113.30 79-81");
	REFUSED("is not that of a /28",
		"ip nat inside source static network 10.0.2.0 203.0.113.129 /28");
	type_line("no ip nat inside source static network 10.0.2.0 203.0.113.129 /28");
	REFUSED("the prefixes differ in length", "interface out0",
		"nptv6 prefix inside fd00:1::/48 outside 2001:db8:9::/56");
	ACCEPTED("interface out0", "no nptv6 prefix inside fd00:1::/48 outside 2001:db8:9::/56");
}
END_TEST

/* The sources of a list against asking it address by address. */
START_TEST(sources_of_lists)
{
	for (unsigned round = 0; round < 300; round++) {
		struct test_rule t[6] = { 0 };
		char src[6][48];
		struct pol_addrs *set;
		size_t n = 1 + (size_t)random() % 6, at = 0;

		for (size_t i = 0; i < n; i++) {
			unsigned lo = (unsigned)random() % 256,
				 hi = lo + (unsigned)random() % (256 - lo);

			snprintf(src[i], sizeof(src[i]), "10.0.0.%u-10.0.0.%u", lo, hi);
			t[i].permit = random() & 1;
			t[i].src = random() % 8 ? src[i] : NULL;
		}
		list_add("R", AF_INET, t, n);
		set = nat_list_sources(lists[n_lists - 1]);
		for (unsigned a = 0; a < 256; a++) {
			struct pol_packet p = packet(TCP, "10.0.0.0", 1, "10.1.1.1", 1);

			p.src.b[3] = (uint8_t)a;
			while (at < set->n && rtr_addr_cmp(&set->r[at].hi, &p.src) < 0)
				at++;
			ck_assert_int_eq(nat_list_permits(lists[n_lists - 1], &p),
					 at < set->n && rtr_addr_cmp(&set->r[at].lo, &p.src) <= 0);
		}
		free(set);
		while (n_lists > 6) {
			struct pol_list *l = lists[--n_lists], *kept[8];
			size_t n_kept = n_lists;

			memcpy(kept, lists, sizeof(kept));
			lists[0] = l;
			n_lists = 1;
			lists_free();
			memcpy(lists, kept, sizeof(kept));
			n_lists = n_kept;
		}
	}
}
END_TEST

struct block_sum {
	const struct nat_map_range *m;
	uint64_t next; /* offset that the next block must start at */
};

static bool check_block(void *arg, const struct rtr_addr *src, const struct rtr_addr *dst,
			unsigned bits)
{
	struct block_sum *b = arg;
	struct rtr_addr s = b->m->lo, d = b->m->dst;
	struct rtr_prefix net = { .addr = *src, .len = (uint8_t)(32 - bits) };

	nat_addr_add(&s, b->next);
	nat_addr_add(&d, b->next);
	ck_assert(!rtr_addr_cmp(&s, src) && !rtr_addr_cmp(&d, dst));
	ck_assert(!rtr_prefix_has_host_bits(&net));
	net.addr = *dst;
	ck_assert(!rtr_prefix_has_host_bits(&net));
	b->next += 1ull << bits;
	return true;
}

START_TEST(blocks_of_maps)
{
	for (unsigned round = 0; round < 100; round++) {
		struct nat_map_range m = { .lo = addr("10.0.0.0"), .dst = addr("203.0.0.0") };
		uint64_t n = (uint64_t)random() % 3000;
		struct block_sum b = { .m = &m };

		nat_addr_add(&m.lo, (uint64_t)random() % 5000);
		nat_addr_add(&m.dst, (uint64_t)random() % 5000);
		m.hi = m.lo;
		nat_addr_add(&m.hi, n);
		ck_assert(nat_map_blocks(&m, check_block, &b));
		ck_assert_uint_eq(b.next, n + 1);
	}
}
END_TEST

START_TEST(equal_is_shared)
{
	const struct nat_policy *first, *second;
	struct strbuf sink = STRBUF_INIT;
	struct rec *old = model_new();
	struct check c = { .old = old, .offline = true, .sink = &sink };

	ACCEPTED("ip nat pool P 203.0.113.10 203.0.113.16 prefix-length 24",
		 "ip nat inside source list SMALL pool P",
		 "ip nat inside source static tcp 10.0.1.10 80 interface out0 8080",
		 "ipv6 nat inside source list LAN6 interface out0 overload");
	first = nat_policy_ref(pol);
	type_lines((const char *const[]){ "interface in0", "description unlike" }, 2);
	second = nat_policy_build(ed.root, first, &look, &c);
	ck_assert_ptr_eq(first, second);
	nat_policy_unref(second);
	type_lines((const char *const[]){ "interface out0", "ip address 198.51.100.3/24" }, 2);
	second = nat_policy_build(ed.root, first, &look, &c);
	ck_assert_ptr_ne(first, second);
	nat_policy_unref(second);
	nat_policy_unref(first);
	rec_unref(old);
	strbuf_fini(&sink);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("nat");
	TCase *t = tcase_create("nat");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, no_line_no_policy);
	tcase_add_test(t, overload_of_interface);
	tcase_add_test(t, pools);
	tcase_add_test(t, pool_one_to_one);
	tcase_add_test(t, pool_match_host);
	tcase_add_test(t, pool_deterministic);
	tcase_add_test(t, pool_deterministic_refused);
	tcase_add_test(t, pool_deterministic_room);
	tcase_add_test(t, shares_are_disjoint);
	tcase_add_test(t, order_of_source_lines);
	tcase_add_test(t, static_host_and_network);
	tcase_add_test(t, port_forwards);
	tcase_add_test(t, forward_beats_host);
	tcase_add_test(t, hairpin);
	tcase_add_test(t, outside_static);
	tcase_add_test(t, rotary);
	tcase_add_test(t, ipv6);
	tcase_add_test(t, port_ranges);
	tcase_add_test(t, mapping);
	tcase_add_test(t, port_blocks);
	tcase_add_test(t, refusals);
	tcase_add_test(t, sources_of_lists);
	tcase_add_test(t, blocks_of_maps);
	tcase_add_test(t, equal_is_shared);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
