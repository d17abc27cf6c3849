/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The policy built from configuration lines, and the judge: each semantic once where it matches and
 * once where it does not. */
#include "inspect/tls_hello.h"
#include "../lib/check_main.h"

#include "domain.h"
#include "firewall/fw.h"
#include "firewall/policy.h"
#include "schema/edit.h"
#include "schema/text.h"
#include "txn/txn.h"

#include <string.h>

/* 2026-11-21 is a Saturday; 10:00 UTC. */
#define NOW 1795255200

static const struct domain *const *domains;
static size_t n_domains;
static struct editor ed;
static const struct policy *pol;

static void set_up(void)
{
	struct rec *root;

	setenv("TZ", "UTC", 1);
	tzset();
	ck_assert_ptr_null(domains_sort(&domains, &n_domains));
	ck_assert_ptr_null(schema_init(domains, n_domains));
	root = model_new();
	editor_init(&ed, root);
	rec_unref(root);
	pol = NULL;
}

static void tear_down(void)
{
	pol = policy_unref(pol);
	editor_fini(&ed);
	schema_fini();
}

/* Types lines, one after the other. */
static void type(const char *lines)
{
	char *copy = xstrdup(lines), *save = NULL;

	editor_top(&ed);
	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		struct edit_error err;
		bool changed;
		int r;

		if (*l == '!' || !strcmp(l, "end"))
			continue;
		r = editor_line(&ed, l, &changed, &err);

		ck_assert_msg(!r, "%s: status %d col %u %s", l, err.status, err.col,
			      strbuf_str(&err.text));
		edit_error_fini(&err);
	}
	free(copy);
}

static void build(void)
{
	struct strbuf b = STRBUF_INIT;
	struct check c = { .old = ed.root, .new = ed.root, .offline = true, .sink = &b };
	const struct policy *p = policy_build(ed.root, pol, NOW, &c);

	ck_assert_msg(p != NULL, "%s", strbuf_str(&b));
	strbuf_fini(&b);
	policy_unref(pol);
	pol = p;
}

static void conf(const char *lines)
{
	type(lines);
	build();
}

/* ---- packets: "eth0 tcp 10.0.0.1 1000 10.1.0.2 80 +syn ..." ---- */

static void word(struct pol_packet *p, const char *w)
{
	static const struct {
		const char *name;
		enum pol_state s;
	} st[] = { { "established", POL_ESTABLISHED },
		   { "related", POL_RELATED },
		   { "invalid", POL_INVALID } };

	for (size_t i = 0; i < ARRAY_LEN(st); i++) {
		if (!strcmp(w, st[i].name))
			p->state = st[i].s;
	}
	if (!strncmp(w, "flags=", 6))
		p->tcp_flags = (uint8_t)strtoul(w + 6, NULL, 0);
	if (!strncmp(w, "dscp=", 5))
		p->dscp = (uint8_t)strtoul(w + 5, NULL, 0);
	if (!strncmp(w, "ttl=", 4))
		p->ttl = (uint8_t)strtoul(w + 4, NULL, 0);
	if (!strncmp(w, "len=", 4))
		p->len = (uint16_t)strtoul(w + 4, NULL, 0);
	if (!strcmp(w, "reply"))
		p->reply = true;
	if (!strcmp(w, "pass"))
		p->pass = true;
	if (!strcmp(w, "frag"))
		p->later_fragment = true;
}

static struct pol_packet packet(const char *text)
{
	static const struct {
		const char *name;
		uint8_t n;
	} protos[] = { { "tcp", 6 }, { "udp", 17 }, { "icmp", 1 }, { "icmp6", 58 }, { "gre", 47 } };
	struct pol_packet p = { .ttl = 64, .len = 60, .tcp_flags = 2 };
	char *copy = xstrdup(text), *save = NULL;
	char *w[16];
	size_t n = 0;

	for (char *t = strtok_r(copy, " ", &save); t; t = strtok_r(NULL, " ", &save))
		w[n++] = t;
	ck_assert(n >= 6);
	if (strcmp(w[0], "-"))
		rtr_strlcpy(p.iif, w[0], IFNAMSIZ);
	for (size_t i = 0; i < ARRAY_LEN(protos); i++) {
		if (!strcmp(w[1], protos[i].name))
			p.proto = protos[i].n;
	}
	ck_assert_int_eq(rtr_addr_parse(w[2], AF_UNSPEC, &p.src), 0);
	ck_assert_int_eq(rtr_addr_parse(w[4], AF_UNSPEC, &p.dst), 0);
	p.family = p.src.family;
	p.sport = (uint16_t)atoi(w[3]);
	p.dport = (uint16_t)atoi(w[5]);
	if (p.proto == 1 || p.proto == 58) {
		p.icmp_type = (uint8_t)p.sport;
		p.icmp_code = (uint8_t)p.dport;
	}
	for (size_t i = 6; i < n; i++)
		word(&p, w[i]);
	free(copy);
	return p;
}

/* Second byte of the destination is the number of the interface; x.x.x.1 is the box; net 9 is
 * nowhere. fd00:N::/32 the same. */
static bool route(void *arg, const struct pol_packet *p, const struct rtr_addr *dst,
		  char oif[IFNAMSIZ], bool *local)
{
	unsigned n = dst->family == AF_INET ? dst->b[1] : dst->b[3];

	*local = dst->family == AF_INET ? dst->b[3] == 1 : dst->b[15] == 1;
	snprintf(oif, IFNAMSIZ, "eth%u", n % 10);
	return n != 9;
}

static bool urpf(void *arg, const struct pol_iface *i, const struct rtr_addr *src)
{
	return (src->family == AF_INET ? src->b[1] : src->b[3]) == i->name[3] - '0';
}

static struct pol_verdict judge(const char *text)
{
	struct pol_world w = { .route = route, .urpf = urpf, .now = NOW };
	struct pol_packet p = packet(text);
	struct pol_verdict v;

	policy_eval(pol, &p, &w, &v);
	return v;
}

static void passes(const char *text)
{
	struct pol_verdict v = judge(text);

	ck_assert_msg(v.action == POL_PERMIT && v.stage == POL_ST_SNAT, "%s: stage %d %s", text,
		      v.stage, v.step[v.stage].why);
}

static void stops(const char *text, enum pol_stage st, enum pol_action a)
{
	struct pol_verdict v = judge(text);

	ck_assert_msg(v.action == a && v.stage == st, "%s: action %d stage %d", text, v.action,
		      v.stage);
}

/* Lines of a list on eth0 in; each packet that must pass or not. */
static void rule(const char *line, const char *yes, const char *no)
{
	bool v6 = strchr(yes, ':') != NULL;
	char *text = xasprintf("%s T\n%s\ninterface eth0\n%s T in\n",
			       v6 ? "no ipv6 access-list T\nipv6 access-list"
				  : "no ip access-list extended T\nip access-list extended",
			       line, v6 ? "ipv6 traffic-filter" : "ip access-group");

	conf(text);
	free(text);
	passes(yes);
	if (no)
		stops(no, POL_ST_IN, POL_DENY);
}

/* ---- tests ---- */

/* What is written out in an outer mode is no abbreviation of a line of the inner one. */
START_TEST(zone_typed_below_an_interface)
{
	const struct pol_iface *i;

	conf("zone security A\ninterface eth0\nzone security B\ninterface eth0\nzone-m sec A\n");
	ck_assert_uint_eq(pol->n_zones, 2);
	i = policy_iface(pol, "eth0");
	ck_assert_str_eq(policy_zone(pol, i->zone)->name, "A");
	conf("interface eth0\nno zone security B\nzone sec A\n");
	ck_assert_uint_eq(pol->n_zones, 1);
	ck_assert_uint_eq(policy_iface(pol, "eth0")->zone, pol->zones[0].id);
}
END_TEST

START_TEST(rules)
{
	rule("permit tcp any any", "eth0 tcp 10.0.0.2 1 10.1.0.2 2",
	     "eth0 udp 10.0.0.2 1 10.1.0.2 2");
	rule("permit ip host 10.0.0.2 any", "eth0 gre 10.0.0.2 0 10.1.0.2 0",
	     "eth0 gre 10.0.0.3 0 10.1.0.2 0");
	rule("permit ip 10.0.0.0 0.0.255.255 any", "eth0 udp 10.0.9.9 0 10.1.0.2 0",
	     "eth0 udp 10.2.0.0 0 10.1.0.2 0");
	rule("permit ip 10.0.0.0 0.0.255.0 any", "eth0 udp 10.0.9.0 0 10.1.0.2 0",
	     "eth0 udp 10.0.9.1 0 10.1.0.2 0");
	rule("permit ip any 10.1.0.0/24", "eth0 udp 10.0.9.0 0 10.1.0.255 0",
	     "eth0 udp 10.0.9.1 0 10.1.1.0 0");
	rule("permit ip address-range 10.0.0.5 10.0.0.9 any", "eth0 udp 10.0.0.9 0 10.1.0.2 0",
	     "eth0 udp 10.0.0.10 0 10.1.0.2 0");
	rule("permit 47 any any", "eth0 gre 10.0.0.2 0 10.1.0.2 0",
	     "eth0 tcp 10.0.0.2 0 10.1.0.2 0");
	rule("permit tcp any any eq www", "eth0 tcp 10.0.0.2 1 10.1.0.2 80",
	     "eth0 tcp 10.0.0.2 80 10.1.0.2 81");
	rule("permit tcp any any eq 80,443,8000-8010", "eth0 tcp 10.0.0.2 1 10.1.0.2 8010",
	     "eth0 tcp 10.0.0.2 1 10.1.0.2 8011");
	rule("permit tcp any any neq 80", "eth0 tcp 10.0.0.2 1 10.1.0.2 81",
	     "eth0 tcp 10.0.0.2 1 10.1.0.2 80");
	rule("permit udp any gt 1023 any lt 1024", "eth0 udp 10.0.0.2 1024 10.1.0.2 1023",
	     "eth0 udp 10.0.0.2 1023 10.1.0.2 1023");
	rule("permit udp any range 5 7 any", "eth0 udp 10.0.0.2 7 10.1.0.2 9",
	     "eth0 udp 10.0.0.2 8 10.1.0.2 9");
	rule("permit tcp any any established", "eth0 tcp 10.0.0.2 1 10.1.0.2 2 flags=0x10",
	     "eth0 tcp 10.0.0.2 1 10.1.0.2 2 flags=0x02");
	rule("permit tcp any any match-all +syn -ack", "eth0 tcp 10.0.0.2 1 10.1.0.2 2 flags=0x02",
	     "eth0 tcp 10.0.0.2 1 10.1.0.2 2 flags=0x12");
	rule("permit tcp any any match-any +fin +rst", "eth0 tcp 10.0.0.2 1 10.1.0.2 2 flags=0x04",
	     "eth0 tcp 10.0.0.2 1 10.1.0.2 2 flags=0x02");
	rule("permit icmp any any echo", "eth0 icmp 10.0.0.2 8 10.1.0.2 0",
	     "eth0 icmp 10.0.0.2 0 10.1.0.2 0");
	rule("permit icmp any any 3 1", "eth0 icmp 10.0.0.2 3 10.1.0.2 1",
	     "eth0 icmp 10.0.0.2 3 10.1.0.2 2");
	rule("permit icmp any any port-unreachable", "eth0 icmp 10.0.0.2 3 10.1.0.2 3",
	     "eth0 icmp 10.0.0.2 3 10.1.0.2 2");
	rule("permit ip any any dscp ef", "eth0 udp 10.0.0.2 3 10.1.0.2 3 dscp=46",
	     "eth0 udp 10.0.0.2 3 10.1.0.2 3 dscp=0");
	rule("permit ip any any ttl lt 5", "eth0 udp 10.0.0.2 3 10.1.0.2 3 ttl=4",
	     "eth0 udp 10.0.0.2 3 10.1.0.2 3 ttl=5");
	rule("permit ip any any length range 100 200", "eth0 udp 10.0.0.2 3 10.1.0.2 3 len=200",
	     "eth0 udp 10.0.0.2 3 10.1.0.2 3 len=201");
	rule("permit ip any any state new", "eth0 udp 10.0.0.2 3 10.1.0.2 3", NULL);
	rule("permit ip any any fragments", "eth0 udp 10.0.0.2 3 10.1.0.2 3 frag",
	     "eth0 udp 10.0.0.2 3 10.1.0.2 3");
	rule("permit tcp any any eq 80", "eth0 tcp 10.0.0.2 3 10.1.0.2 80",
	     "eth0 tcp 10.0.0.2 3 10.1.0.2 80 frag");
}
END_TEST

START_TEST(rules6)
{
	rule("permit tcp any host fd00:1::2 eq 80", "eth0 tcp fd00:0::2 1 fd00:1::2 80",
	     "eth0 tcp fd00:0::2 1 fd00:1::3 80");
	rule("permit ipv6 fd00:0:1::/48 any", "eth0 udp fd00:0:1::2 1 fd00:1::2 80",
	     "eth0 udp fd00:0:2::2 1 fd00:1::2 80");
	rule("permit ipv6 address-range fd00:0::5 fd00:0::9 any",
	     "eth0 udp fd00:0::9 1 fd00:1::2 80", "eth0 udp fd00:0::a 1 fd00:1::2 80");
	rule("permit icmp any any echo-request", "eth0 icmp6 fd00:0::2 128 fd00:1::2 0",
	     "eth0 icmp6 fd00:0::2 129 fd00:1::2 0");
	/* Neighbour discovery passes every list. */
	rule("permit tcp any any", "eth0 icmp6 fd00:0::2 135 fd00:1::2 0 ttl=255",
	     "eth0 icmp6 fd00:0::2 135 fd00:1::2 0 ttl=254");
}
END_TEST

START_TEST(groups)
{
	conf("object-group network A\n host 10.0.0.7\n 10.0.4.0 255.255.255.0\n fd00:0::/64\n"
	     "object-group network B\n group-object A\n range 10.0.0.20 10.0.0.29\n"
	     "object-group service S\n tcp eq 443\n udp source eq 53\n icmp echo\n icmpv6 echo-request\n"
	     "object-group service S2\n group-object S\n gre\n");
	rule("permit ip object-group B any", "eth0 udp 10.0.4.200 1 10.1.0.2 2",
	     "eth0 udp 10.0.0.8 1 10.1.0.2 2");
	passes("eth0 udp 10.0.0.25 1 10.1.0.2 2");
	rule("permit object-group S2 object-group B any", "eth0 tcp 10.0.0.7 1 10.1.0.2 443",
	     "eth0 tcp 10.0.0.7 1 10.1.0.2 444");
	passes("eth0 udp 10.0.0.7 53 10.1.0.2 9");
	passes("eth0 gre 10.0.0.7 0 10.1.0.2 0");
	passes("eth0 icmp 10.0.0.7 8 10.1.0.2 0");
	stops("eth0 icmp 10.0.0.7 9 10.1.0.2 0", POL_ST_IN, POL_DENY);
	rule("permit object-group S2 object-group B any", "eth0 icmp6 fd00:0::9 128 fd00:1::2 0",
	     "eth0 icmp6 fd00:0:0:1::9 128 fd00:1::2 0");
}
END_TEST

START_TEST(order_and_default)
{
	rule("10 permit tcp any any eq 80\n20 deny tcp any any\n30 permit ip any any",
	     "eth0 tcp 10.0.0.2 1 10.1.0.2 80", "eth0 tcp 10.0.0.2 1 10.1.0.2 81");
	passes("eth0 udp 10.0.0.2 1 10.1.0.2 81");
	conf("ip access-list extended T\n 15 reject tcp any any\n");
	passes("eth0 tcp 10.0.0.2 1 10.1.0.2 80");
	stops("eth0 tcp 10.0.0.2 1 10.1.0.2 81", POL_ST_IN, POL_REJECT);
	/* An empty list denies all; answers of known connections pass. */
	conf("ip access-list extended T\n no 10\n no 15\n no 20\n no 30\n");
	stops("eth0 udp 10.0.0.2 1 10.1.0.2 80", POL_ST_IN, POL_DENY);
	passes("eth0 udp 10.0.0.2 1 10.1.0.2 80 established");
	passes("eth0 icmp 10.0.0.2 3 10.1.0.2 1 related");
	/* And packets that leave are judged by `out`. */
	conf("interface eth0\n no ip access-group T in\ninterface eth1\n ip access-group T out\n");
	stops("eth0 udp 10.0.0.2 1 10.1.0.2 80", POL_ST_OUT, POL_DENY);
	passes("- udp 10.1.0.1 1 10.1.0.2 80");
	passes("eth0 udp 10.0.0.2 1 10.2.0.2 80");
	stops("eth0 udp 10.0.0.2 1 10.9.0.2 80", POL_ST_ROUTE, POL_DENY);
}
END_TEST

START_TEST(standard)
{
	conf("ip access-list standard 1\n permit 10.0.0.0 0.0.0.255\ninterface eth0\n"
	     "ip access-group 1 in\n");
	passes("eth0 tcp 10.0.0.2 1 10.1.0.2 80");
	stops("eth0 tcp 10.0.1.2 1 10.1.0.2 80", POL_ST_IN, POL_DENY);
}
END_TEST

#define ZONES                                                                                      \
	"zone security IN\nzone security OUT\nzone security MGMT\n management\n"                   \
	"interface eth0\n zone-member security IN\ninterface eth1\n zone-member security OUT\n"    \
	"interface eth2\n zone-member security MGMT\ninterface eth3\n zone-member security IN\n"

START_TEST(zones)
{
	conf(ZONES);
	stops("eth0 tcp 10.0.0.2 1 10.1.0.2 80", POL_ST_ZONE, POL_DENY);
	passes("eth0 tcp 10.0.0.2 1 10.3.0.2 80");
	stops("eth0 tcp 10.0.0.2 1 10.4.0.2 80", POL_ST_ZONE, POL_DENY); /* eth4: in none */
	passes("eth4 tcp 10.4.0.2 1 10.5.0.2 80");
	stops("eth4 tcp 10.4.0.2 1 10.0.0.2 80", POL_ST_ZONE, POL_DENY);
	conf("class-map type inspect match-any WEB\n match protocol http\n match protocol https\n"
	     "class-map type inspect match-any DNS\n match protocol dns\n"
	     "policy-map type inspect P\n class type inspect WEB\n inspect\n class type inspect DNS\n pass\n"
	     " class type inspect class-default\n reject log\n"
	     "zone-pair security IN-OUT source IN destination OUT\n service-policy type inspect P\n");
	passes("eth0 tcp 10.0.0.2 1 10.1.0.2 80");
	passes("eth0 tcp fd00:0::2 1 fd00:1::2 443");
	passes("eth0 udp 10.0.0.2 1 10.1.0.2 53");
	stops("eth0 tcp 10.0.0.2 1 10.1.0.2 81", POL_ST_ZONE, POL_REJECT);
	stops("eth1 tcp 10.1.0.2 80 10.0.0.2 1", POL_ST_ZONE, POL_DENY);
	passes("eth1 tcp 10.1.0.2 80 10.0.0.2 1 established reply");
	/* Of a `pass` class the answers are judged. */
	stops("eth1 udp 10.1.0.2 53 10.0.0.2 1 established reply pass", POL_ST_ZONE, POL_DENY);
	stops("eth0 tcp 10.0.0.2 1 10.1.0.2 80 invalid", POL_ST_ZONE, POL_DENY);
}
END_TEST

/* ---- connections that live ---- */

static struct pol_past past;

/* What runs now is the past of connections with these labels. */
static void remember(const char *list, size_t line, const char *pair)
{
	policy_unref(past.old);
	past = (struct pol_past){ .old = policy_ref(pol) };
	if (list)
		past.in = policy_list(pol, AF_INET, list)->rules[line]->id;
	for (size_t i = 0; pair && i < pol->n_pairs; i++) {
		if (!strcmp(pol->pairs[i].name, pair))
			past.pair = pol->pairs[i].classes[0].id;
	}
}

static bool lives(const char *text)
{
	struct pol_world w = { .route = route, .urpf = urpf, .now = NOW };
	struct pol_packet p = packet(text);
	struct pol_verdict v;

	p.past = &past;
	policy_eval(pol, &p, &w, &v);
	return v.action == POL_PERMIT;
}

/* A line that asks for what is not known any more is met by the connection that it admitted. */
START_TEST(live_connections)
{
	static const char *const web = "eth0 tcp 10.0.0.2 1 10.1.0.2 80";

	conf("ip access-list extended T\n 10 permit tcp any any eq 80 dscp ef ttl gt 10\n"
	     " 20 permit udp any any length gt 100\ninterface eth0\n ip access-group T in\n");
	remember("T", 0, NULL);
	ck_assert(lives(web));
	ck_assert(!lives("eth0 udp 10.0.0.2 1 10.1.0.2 80")); /* admitted by another line */
	ck_assert(!lives("eth0 tcp 10.0.0.2 1 10.1.0.2 81")); /* known, and no match */
	conf("ip access-list extended T\n 5 deny tcp any any match-all +syn -ack\n"
	     " 6 deny tcp any any ttl lt 200\n");
	ck_assert(lives(web));
	conf("ip access-list extended T\n 7 deny tcp any any\n");
	ck_assert(!lives(web));
	conf("ip access-list extended T\n no 7\n 10 permit tcp any any eq 80 dscp af11 ttl gt 10\n");
	ck_assert(!lives(web));
	conf("ip access-list extended T\n 10 permit tcp any any eq 80,443 dscp ef ttl gt 10 log\n");
	ck_assert(lives(web));
	conf("ip access-list extended T\n no 10\n 30 permit tcp any any eq 80 dscp ef ttl gt 10\n");
	ck_assert(!lives(web));

	/* By a class: its lines, as they asked then. */
	conf("interface eth0\n no ip access-group T in\n");
	conf(ZONES "ip access-list extended C\n 10 deny tcp any any ttl lt 5\n"
		   " 20 permit tcp any any dscp ef\nclass-map type inspect match-any K\n"
		   " match access-group name C\npolicy-map type inspect P\n class type inspect K\n"
		   "  inspect\nzone-pair security X source IN destination OUT\n"
		   " service-policy type inspect P\n");
	remember(NULL, 0, "X");
	ck_assert(lives(web));
	past.pair++;
	ck_assert(!lives(web));
	past.pair--;
	conf("ip access-list extended C\n 20 permit tcp any any dscp af11\n");
	ck_assert(!lives(web));
	past.old = policy_unref(past.old);
}
END_TEST

START_TEST(class_kinds)
{
	conf(ZONES
	     "ip access-list extended HOSTS\n deny ip host 10.0.0.5 any\n permit ip 10.0.0.0/24 any\n"
	     "ip access-list extended NET1\n permit ip any 10.1.0.0/24\n"
	     "class-map type inspect match-all BOTH\n match access-group name HOSTS\n"
	     " match access-group name NET1\n match protocol tcp\n"
	     "class-map type inspect match-any ONE\n match access-group name HOSTS\n"
	     " match access-group name NET1\n"
	     "policy-map type inspect P\n class type inspect BOTH\n inspect\n"
	     "zone-pair security X source IN destination OUT\n service-policy type inspect P\n");
	passes("eth0 tcp 10.0.0.2 1 10.1.0.2 80");
	stops("eth0 udp 10.0.0.2 1 10.1.0.2 80", POL_ST_ZONE, POL_DENY);
	stops("eth0 tcp 10.0.0.5 1 10.1.0.2 80", POL_ST_ZONE, POL_DENY);
	stops("eth0 tcp 10.0.0.2 1 10.1.1.2 80", POL_ST_ZONE, POL_DENY);
	conf("policy-map type inspect P\n no class type inspect BOTH\n class type inspect ONE\n inspect\n");
	/* A deny of one list is no deny of the class. */
	passes("eth0 tcp 10.0.0.5 1 10.1.0.2 80");
	passes("eth0 tcp 10.0.0.2 1 10.1.1.2 80");
	stops("eth0 tcp 10.0.0.5 1 10.1.1.2 80", POL_ST_ZONE, POL_DENY);
	/* Order of classes: as typed, or as told. */
	conf("policy-map type inspect P\n class type inspect BOTH order 5\n drop\n");
	stops("eth0 tcp 10.0.0.2 1 10.1.0.2 80", POL_ST_ZONE, POL_DENY);
	passes("eth0 udp 10.0.0.2 1 10.1.0.2 80");
	conf("policy-map type inspect P\n class type inspect BOTH order 50\n");
	passes("eth0 tcp 10.0.0.2 1 10.1.0.2 80");
}
END_TEST

START_TEST(the_box)
{
	build();
	passes("eth0 tcp 10.0.0.2 1 10.0.0.1 22"); /* a box without zones is an open router's */
	conf(ZONES);
	stops("eth0 tcp 10.0.0.2 1 10.0.0.1 22", POL_ST_LOCAL, POL_DENY);
	stops("eth4 tcp 10.4.0.2 1 10.4.0.1 22", POL_ST_LOCAL, POL_DENY);
	passes("eth2 tcp 10.2.0.2 1 10.2.0.1 22");
	passes("lo tcp 10.2.0.2 1 10.2.0.1 22");
	passes("eth0 icmp6 fd00:0::2 136 fd00:0::1 0 ttl=255");
	stops("eth0 icmp6 fd00:0::2 128 fd00:0::1 0 ttl=255", POL_ST_LOCAL, POL_DENY);
	passes("- tcp 10.0.0.1 1 10.0.0.2 80");
	passes("eth0 tcp 10.0.0.2 80 10.0.0.1 1 established reply");
	stops("eth0 tcp 10.0.0.2 80 10.0.0.1 1 invalid", POL_ST_LOCAL, POL_DENY);
	conf("ip access-list extended SSH\n permit tcp host 10.0.0.2 any eq 22\n"
	     "class-map type inspect match-any C\n match access-group name SSH\n"
	     "policy-map type inspect TO-BOX\n class type inspect C\n inspect\n"
	     "zone-pair security Q source IN destination self\n service-policy type inspect TO-BOX\n");
	passes("eth0 tcp 10.0.0.2 1 10.0.0.1 22");
	stops("eth0 tcp 10.0.0.3 1 10.0.0.1 22", POL_ST_LOCAL, POL_DENY);
	conf("zone-pair security R source self destination IN\n service-policy type inspect TO-BOX\n");
	stops("- tcp 10.0.0.1 1 10.0.0.2 80", POL_ST_ZONE, POL_DENY);
	passes("- tcp 10.1.0.1 1 10.1.0.2 80");
}
END_TEST

START_TEST(martians_and_urpf)
{
	build();
	stops("eth0 udp 127.0.0.1 1 10.1.0.2 80", POL_ST_MARTIAN, POL_DENY);
	stops("eth0 udp 224.0.0.1 1 10.1.0.2 80", POL_ST_MARTIAN, POL_DENY);
	stops("eth0 udp 10.0.0.2 1 127.1.0.2 80", POL_ST_MARTIAN, POL_DENY);
	stops("eth0 udp ff02::1 1 fd00:1::2 80", POL_ST_MARTIAN, POL_DENY);
	stops("eth0 udp ::1 1 fd00:1::2 80", POL_ST_MARTIAN, POL_DENY);
	passes("eth0 udp 0.0.0.0 68 255.255.255.255 67");
	passes("eth0 icmp6 :: 135 ff02::1:ff00:2 0 ttl=255");
	passes("- udp 127.0.0.1 1 127.0.0.1 80");
	conf("no firewall martian-filter\n");
	passes("eth0 udp 127.0.0.1 1 10.1.0.2 80");
	conf("interface eth0\n ip verify unicast source reachable-via rx\n");
	passes("eth0 udp 10.0.0.2 1 10.1.0.2 80");
	stops("eth0 udp 10.3.0.2 1 10.1.0.2 80", POL_ST_URPF, POL_DENY);
	stops("eth0 udp 10.3.0.2 1 10.1.0.2 80 established", POL_ST_URPF, POL_DENY);
	passes("eth1 udp 10.3.0.2 1 10.1.0.2 80");
	passes("eth0 udp fd00:3::2 1 fd00:1::2 80");
	/* feasible: what any static route leads to by the interface, also behind another route */
	conf("interface eth0\n ip address 10.0.0.1/24\n ipv6 address fd00:0::1/64\n"
	     " ip verify unicast source reachable-via feasible\n"
	     " ipv6 verify unicast source reachable-via feasible\n"
	     "ip route 10.3.0.0/16 10.0.0.9 200\nip route 10.4.0.0/16 10.3.0.9 200\n"
	     "ip route 10.5.0.0/16 10.3.0.9 255\nip route 10.6.0.0/16 eth1 10.0.0.9\n"
	     "ip route 10.3.7.0/24 eth1\nip route 10.7.0.0/16 10.3.7.1\n"
	     "ipv6 route fd00:3::/32 eth0 fe80::9 200\n");
	passes("eth0 udp 10.3.0.2 1 10.1.0.2 80");
	passes("eth0 udp 10.4.0.2 1 10.1.0.2 80");
	stops("eth0 udp 10.5.0.2 1 10.1.0.2 80", POL_ST_URPF, POL_DENY);
	stops("eth0 udp 10.6.0.2 1 10.1.0.2 80", POL_ST_URPF, POL_DENY);
	stops("eth0 udp 10.7.0.2 1 10.1.0.2 80", POL_ST_URPF, POL_DENY);
	passes("eth0 udp fd00:3::2 1 fd00:1::2 80");
	stops("eth0 udp fd00:4::2 1 fd00:1::2 80", POL_ST_URPF, POL_DENY);
}
END_TEST

START_TEST(hours)
{
	const struct policy *later;

	/* Saturday, 10:00 */
	conf("time-range WEEK\n periodic weekdays 8:00 to 18:00\n"
	     "time-range SAT\n periodic Saturday 9:00 to 10:30\n"
	     "time-range SPAN\n periodic Friday 20:00 to Monday 6:00\n"
	     "time-range OVER\n absolute end 9:00 21 November 2026\n"
	     "time-range SOON\n absolute start 12:00 21 November 2026 end 13:00 21 November 2026\n");
	rule("permit tcp any any time-range SAT", "eth0 tcp 10.0.0.2 1 10.1.0.2 2", NULL);
	rule("permit tcp any any time-range SPAN", "eth0 tcp 10.0.0.2 1 10.1.0.2 2", NULL);
	rule("permit udp any any\npermit tcp any any time-range WEEK",
	     "eth0 udp 10.0.0.2 1 10.1.0.2 2", "eth0 tcp 10.0.0.2 1 10.1.0.2 2");
	rule("permit udp any any\npermit tcp any any time-range OVER",
	     "eth0 udp 10.0.0.2 1 10.1.0.2 2", "eth0 tcp 10.0.0.2 1 10.1.0.2 2");
	rule("permit udp any any\npermit tcp any any time-range SOON",
	     "eth0 udp 10.0.0.2 1 10.1.0.2 2", "eth0 tcp 10.0.0.2 1 10.1.0.2 2");
	ck_assert_int_eq(policy_next_change(pol, NOW), NOW + 1800);
	ck_assert_int_eq(policy_next_change(pol, NOW + 1800), NOW + 7200);
	later = policy_build(ed.root, pol, NOW + 7200, NULL);
	ck_assert_ptr_ne(later, pol);
	policy_unref(pol);
	pol = later;
	passes("eth0 tcp 10.0.0.2 1 10.1.0.2 2");
	later = policy_build(ed.root, pol, NOW + 7260, NULL);
	ck_assert_ptr_eq(later, pol);
	policy_unref(later);
}
END_TEST

/* What did not change is the same object; identities outlive edits. */
START_TEST(sharing)
{
	const struct policy *old;
	const struct pol_list *a, *b, *list;
	pol_id id20;

	conf("object-group network G\n host 10.0.0.1\n"
	     "ip access-list extended A\n permit tcp any any eq 1\n permit tcp object-group G any\n"
	     " permit tcp any any eq 3\n"
	     "ip access-list extended B\n permit udp any any\n");
	a = policy_list(pol, AF_INET, "A");
	b = policy_list(pol, AF_INET, "B");
	id20 = a->rules[1]->id;
	ck_assert_ptr_eq(policy_rule(pol, id20, &list), a->rules[1]);
	ck_assert_ptr_eq(list, a);
	old = policy_ref(pol);
	conf("ip access-list extended A\n 15 deny tcp any any eq 2\n");
	ck_assert_ptr_eq(policy_list(pol, AF_INET, "B"), b);
	ck_assert_ptr_ne(policy_list(pol, AF_INET, "A"), a);
	ck_assert_uint_eq(policy_list(pol, AF_INET, "A")->n, 4);
	ck_assert_ptr_eq(policy_list(pol, AF_INET, "A")->rules[0], a->rules[0]);
	ck_assert_ptr_eq(policy_list(pol, AF_INET, "A")->rules[2], a->rules[1]);
	conf("object-group network G\n host 10.0.0.2\n");
	ck_assert_ptr_eq(policy_list(pol, AF_INET, "A")->rules[0], a->rules[0]);
	ck_assert_ptr_ne(policy_list(pol, AF_INET, "A")->rules[2], a->rules[1]);
	ck_assert_uint_eq(policy_list(pol, AF_INET, "A")->rules[2]->id, id20);
	ck_assert_ptr_eq(policy_list(pol, AF_INET, "B"), b);
	conf("ip access-list extended A\n no 20\n");
	ck_assert_ptr_null(policy_rule(pol, id20, NULL));
	ck_assert_ptr_nonnull(policy_rule(old, id20, NULL));
	policy_unref(old);
}
END_TEST

/* ---- server names ---- */

struct walk {
	pol_id chain;
	const char *name;
	bool ended;
	enum pol_action action;
	const struct pol_rule *rule;
	const struct pol_class *cls;
};

/* As rtr-inspectd walks it. */
static void walk_chain(void *arg, const struct pol_tls_line *l)
{
	const struct pol_rule *r = l->rule;
	struct walk *w = arg;

	if (l->chain != w->chain || w->ended ||
	    (r && r->tls_name && !(*w->name && tls_name_matches(r->tls_name, w->name))))
		return;
	w->ended = true;
	w->rule = r;
	w->cls = l->cls;
	w->action = l->cls ? l->cls->action : r ? r->action : POL_DENY;
}

static void random_names(struct strbuf *b, uint64_t *st)
{
	static const char *const acts[] = { "permit", "deny", "reject" },
				 *const srcs[] = { "any", "host 10.0.0.2", "10.0.0.0/24" },
				 *const ports[] = { "", " eq 443", " range 400 500" },
				 *const names[] = { " server-name a.b",
						    " server-name *.b",
						    " server-name c.a.b",
						    " server-name *",
						    "",
						    "" };
	unsigned n = 1 + test_rand(st) % 6;

	strbuf_addf(b, "no ip access-list extended T\nip access-list extended T\n");
	while (n--) {
		const char *name = names[test_rand(st) % 6];

		strbuf_addf(b, "%s tcp %s any%s%s\n", acts[test_rand(st) % 3],
			    srcs[test_rand(st) % 3], ports[test_rand(st) % 3], name);
	}
	strbuf_addf(b, "interface eth0\nip access-group T in\n");
}

static void names_agree(struct pol_packet p, const char *name)
{
	struct pol_world w = { .route = route, .urpf = urpf, .now = NOW };
	struct walk walk = { .name = name };
	const struct pol_rule *wait;
	struct pol_verdict v;

	policy_eval(pol, &p, &w, &v);
	wait = v.step[POL_ST_IN].rule;
	p.server_name = name;
	if (!wait || !wait->tls_name)
		return;
	ck_assert_int_eq(v.action, POL_PERMIT);
	policy_eval(pol, &p, &w, &v);
	walk.chain = wait->id;
	pol_tls_chains(pol, walk_chain, &walk);
	ck_assert(walk.ended);
	ck_assert_int_eq(walk.action, v.step[POL_ST_IN].action);
	ck_assert_ptr_eq(walk.rule, v.step[POL_ST_IN].rule);
}

static void random_classes(struct strbuf *b, uint64_t *st)
{
	static const char *const acts[] = { "permit", "permit", "deny" },
				 *const srcs[] = { "any", "any", "any", "10.0.0.0/24" },
				 *const ports[] = { "", " eq 443", " eq 443", " eq 443" },
				 *const names[] = { " server-name a.b", " server-name *.b", "",
						    "" },
				 *const what[] = { "inspect", "inspect", "drop",    "drop",
						   "reject",  "reject",  "inspect", "pass" };

	strbuf_adds(b, "no policy-map type inspect P\npolicy-map type inspect P\n");
	for (unsigned k = 0; k < 3; k++)
		strbuf_addf(b, "class type inspect K%u\n%s\n", k, what[test_rand(st) % 8]);
	strbuf_addf(b, "class type inspect class-default\n%s\n", what[test_rand(st) % 8]);
	for (unsigned k = 0; k < 3; k++) {
		strbuf_addf(b, "class-map type inspect match-%s K%u\n",
			    test_rand(st) % 12 ? "any" : "all", k);
		for (unsigned i = 0; i < 4; i++)
			strbuf_addf(b, "no match access-group name L%u\n", i);
		for (unsigned i = 0; i < 2; i++)
			strbuf_addf(b, "match access-group name L%u\n",
				    (unsigned)(test_rand(st) % 4));
	}
	for (unsigned i = 0; i < 4; i++) {
		strbuf_addf(b, "no ip access-list extended L%u\nip access-list extended L%u\n", i,
			    i);
		for (unsigned n = 1 + test_rand(st) % 2; n > 0; n--)
			strbuf_addf(b, "%s tcp %s any%s%s\n", acts[test_rand(st) % 3],
				    srcs[test_rand(st) % 4], ports[test_rand(st) % 4],
				    names[test_rand(st) % 4]);
	}
}

static bool class_agrees(struct pol_packet p, const char *name)
{
	struct pol_world w = { .route = route, .urpf = urpf, .now = NOW };
	struct walk walk = { .name = name };
	const struct pol_step *step;
	struct pol_verdict v;

	policy_eval(pol, &p, &w, &v);
	step = &v.step[POL_ST_ZONE];
	if (!step->rule || !step->rule->tls_name)
		return false;
	ck_assert_int_eq(step->action, POL_PERMIT);
	walk.chain = pol_tls_class_chain(step->cls, step->rule);
	p.server_name = name;
	policy_eval(pol, &p, &w, &v);
	pol_tls_chains(pol, walk_chain, &walk);
	ck_assert(walk.ended);
	ck_assert_int_eq(walk.action, step->action);
	ck_assert_ptr_eq(walk.cls, step->cls);
	return true;
}

/* rtr-inspectd has room for so many lines: each of these waits for itself and the last one. */
START_TEST(too_many_names)
{
	struct strbuf b = STRBUF_INIT, err = STRBUF_INIT;
	struct check c = { .offline = true, .sink = &err };
	unsigned n = INSPECTD_LINES_MAX / 2;

	strbuf_adds(&b, "ip access-list extended T\n");
	for (unsigned i = 0; i < n; i++)
		strbuf_addf(&b, "permit tcp any host 10.1.%u.%u server-name a.b\n", i / 256,
			    i % 256);
	strbuf_adds(&b, "permit tcp any any\ninterface eth0\nip access-group T in\n");
	conf(strbuf_str(&b));
	pol_tls_check(pol, &c);
	ck_assert_uint_eq(c.n_errors, 0);
	conf("ip access-list extended T\n1 permit tcp any host 10.2.0.1 server-name a.b\n");
	pol_tls_check(pol, &c);
	ck_assert_uint_eq(c.n_errors, 1);
	ck_assert_ptr_nonnull(strstr(strbuf_str(&err), "16386 lines"));
	strbuf_fini(&b);
	strbuf_fini(&err);
}
END_TEST

/* The same for classes of zone pairs. */
START_TEST(server_names_of_classes)
{
	static const char *const names[] = { "", "a.b", "x.b", "z" };
	static const char *const packets[] = { "eth0 tcp 10.0.0.2 1 10.1.0.2 443",
					       "eth0 tcp 10.0.0.3 1 10.1.0.2 443",
					       "eth0 tcp 10.0.1.3 1 10.1.0.2 80" };
	uint64_t st = test_seed;
	unsigned waited = 0;

	type(ZONES "policy-map type inspect P\nzone-pair security X source IN destination OUT\n"
		   " service-policy type inspect P\n");
	for (unsigned i = 0; i < 600; i++) {
		struct strbuf b = STRBUF_INIT, err = STRBUF_INIT;
		struct check c = { .old = ed.root, .new = ed.root, .offline = true, .sink = &err };

		random_classes(&b, &st);
		conf(strbuf_str(&b));
		pol_tls_check(pol, &c);
		for (unsigned k = 0; !c.n_errors && k < 12; k++)
			waited += class_agrees(packet(packets[k % 3]), names[k / 3]);
		strbuf_fini(&b);
		strbuf_fini(&err);
	}
	ck_assert_uint_gt(waited, 100);
}
END_TEST

/* What the chains of the helper say is what the judge says who knows the name from the start. */
START_TEST(server_names)
{
	static const char *const names[] = { "", "a.b", "c.a.b", "x.b", "z" };
	static const char *const packets[] = { "eth0 tcp 10.0.0.2 1 10.1.0.2 443",
					       "eth0 tcp 10.0.0.3 1 10.1.0.2 443",
					       "eth0 tcp 10.0.1.3 1 10.1.0.2 450",
					       "eth0 tcp 10.0.0.3 1 10.1.0.2 80" };
	uint64_t st = test_seed;
	unsigned taken = 0;

	for (unsigned i = 0; i < 400; i++) {
		struct strbuf b = STRBUF_INIT, err = STRBUF_INIT;
		struct check c = { .old = ed.root, .new = ed.root, .offline = true, .sink = &err };

		random_names(&b, &st);
		conf(strbuf_str(&b));
		pol_tls_check(pol, &c);
		for (unsigned k = 0; !c.n_errors && k < 20; k++)
			names_agree(packet(packets[k % 4]), names[k / 4]);
		taken += !c.n_errors;
		strbuf_fini(&b);
		strbuf_fini(&err);
	}
	ck_assert_uint_ge(taken, 50);
}
END_TEST

/* ---- check ---- */

/* why NULL: not refused. */
#define CLASS_OF_NAMES(match, action, what)                                                        \
	"ip access-list extended N\n" action " tcp any any eq 443 server-name a.b\n"               \
	"class-map type inspect " match " C\nmatch access-group name N\n"                          \
	"policy-map type inspect P\nclass type inspect C\n" what "\n"
#define BETWEEN_ZONES                                                                              \
	"zone security A\nzone security B\nzone-pair security X source A destination B\n"          \
	"service-policy type inspect P"

static void refused(const char *lines, const char *why)
{
	struct rec *before = rec_ref(ed.root), *empty = model_new();
	struct strbuf b = STRBUF_INIT;
	unsigned n;

	type(lines);
	n = txn_check(empty, ed.root, TXN_CHECK_OFFLINE, &b);
	if (why)
		ck_assert_msg(n && strstr(strbuf_str(&b), why), "%s: %u %s", lines, n,
			      strbuf_str(&b));
	else
		ck_assert_msg(!n, "%s: %u %s", lines, n, strbuf_str(&b));
	strbuf_fini(&b);
	editor_top(&ed);
	editor_rebase(&ed, before);
	rec_unref(before);
	rec_unref(empty);
}

/* What the lines made refuses to go by the line that removes it. */
static void kept(const char *lines, const char *removal, const char *why)
{
	struct rec *before = rec_ref(ed.root), *old;
	struct strbuf b = STRBUF_INIT;

	type(lines);
	old = rec_ref(ed.root);
	editor_top(&ed);
	type(removal);
	ck_assert_uint_ge(txn_check(old, ed.root, TXN_CHECK_OFFLINE, &b), 1);
	ck_assert_msg(strstr(strbuf_str(&b), why), "%s: %s", removal, strbuf_str(&b));
	strbuf_fini(&b);
	editor_top(&ed);
	editor_rebase(&ed, before);
	rec_unref(before);
	rec_unref(old);
}

START_TEST(in_use)
{
	kept("ip access-list standard L\npermit any\nip nat pool P 10.9.9.1 10.9.9.2 prefix-length 24\n"
	     "ip nat inside source list L pool P overload",
	     "no ip nat pool P",
	     "error: pool P is in use by `ip nat inside source list L pool P overload`: remove that line "
	     "first\n");
	kept("ip access-list standard L\npermit any\nip nat pool P 10.9.9.1 10.9.9.2 prefix-length 24\n"
	     "ip nat inside source list L pool P overload",
	     "no ip access-list standard L",
	     "access list L is in use by `ip nat inside source list L pool P overload`: remove");
	kept("zone security A\ninterface eth0\nzone-member security A", "no zone security A",
	     "zone security A is in use by `zone-member security A` in `interface eth0`: remove");
	kept("object-group network G\nhost 10.0.0.1\nip access-list extended T\n"
	     "permit ip object-group G any",
	     "no object-group network G", "object-group network G is in use by `10 permit ip");
	/* What names another thing now is at fault itself. */
	kept("zone security A\ninterface eth0\nzone-member security A",
	     "interface eth0\nzone-member security B",
	     "zone-member security B: there is no zone security B, used by interface eth0");
}
END_TEST

#define ACL "ip access-list extended T\n"
START_TEST(checks)
{
	refused(ACL "permit ip any any eq 80", "ports need tcp");
	refused(ACL "permit tcp any any echo", "needs the protocol icmp");
	refused(ACL "permit udp any any established", "needs the protocol tcp");
	refused(ACL "permit tcp any any established match-all +syn", "says flags already");
	refused(ACL "permit tcp any any match-all +syn -syn", "both set and not set");
	refused(ACL "permit tcp any any match-any +syn+ack +fin +rst +psh", "four flags");
	refused(ACL "permit ip address-range 10.0.0.2 10.0.0.1 any", "ends before it starts");
	refused(ACL "permit tcp any any eq 80 fragments", "later fragments");
	refused(ACL "permit ip any any fragments\ninterface eth0\nip access-group T in",
		"after reassembly");
	refused(ACL "deny ip any any limit-rate 5", "belongs to a permit");
	refused(ACL "permit ip any any per-source", "needs limit-rate");
	refused(ACL "permit ip any any log-rate 5", "needs log");
	refused(ACL "permit udp any any helper ftp", "needs the protocol tcp");
	refused(ACL "permit tcp any any server-name A.example", "small letters");
	refused(ACL "permit tcp any any server-name a.*", "small letters");
	refused(ACL "permit ip any any server-name a.b", "needs the protocol tcp");
	refused(ACL "permit tcp any any established server-name a.b", "no flags");
	refused(ACL "permit tcp any any server-name a.b helper ftp", "no limit or helper");
	refused(ACL "1 permit tcp any any server-name a.b\n2 permit ip host 10.0.0.2 any",
		"line 2 takes a part");
	refused(ACL "1 permit tcp any any eq 443 server-name a.b\n2 permit tcp any any gt 400",
		NULL);
	refused(ACL "1 permit tcp any any server-name a.b\n2 permit tcp any any limit-rate 5",
		"line 2, where");
	refused(CLASS_OF_NAMES("match-any", "permit", "inspect") BETWEEN_ZONES, NULL);
	refused(CLASS_OF_NAMES("match-all", "permit", "inspect") BETWEEN_ZONES, "need match-any");
	refused(CLASS_OF_NAMES("match-any", "deny", "inspect") BETWEEN_ZONES,
		"server name permits");
	refused(CLASS_OF_NAMES("match-any", "permit", "pass") BETWEEN_ZONES, "says pass");
	refused(CLASS_OF_NAMES(
			"match-any", "permit",
			"inspect") "zone security A\nzone-pair security X source A destination self\n"
				   "service-policy type inspect P",
		"of the box itself");
	refused(ACL "permit ip object-group NO any", "no object-group network NO");
	refused(ACL "permit object-group NO any any", "no object-group service NO");
	refused(ACL "permit ip any any time-range NO", "no time-range NO");
	refused(ACL "ip access-list standard T", "of this name");
	refused("interface eth0\nip access-group NO in", "NO, used by interface eth0");
	refused("interface eth0\nipv6 traffic-filter NO in", "NO, used by interface eth0");
	refused("interface eth0\nzone-member security NO", "NO, used by interface eth0");
	refused("object-group network A\ngroup-object B\nobject-group network B\ngroup-object A",
		"in a circle");
	refused("object-group service A\ngroup-object A", "in a circle");
	refused("object-group network A\ngroup-object NO", "NO, used by object-group network A");
	refused("object-group network A\nrange 10.0.0.1 fd00::1", "one family");
	refused("object-group service A\ngre eq 5", "ports need");
	refused("zone security self", "the box itself");
	refused("zone-pair security P source A destination self", "no zone security A");
	refused("zone security A\nzone-pair security P source A destination A", "within one zone");
	refused("zone security A\nzone-pair security P source A destination self\n"
		"zone-pair security Q source A destination self",
		"P has these zones");
	refused("zone security A\nzone-pair security P source A destination self\n"
		"service-policy type inspect NO",
		"no policy-map type inspect NO");
	refused("class-map type inspect match-any C\nmatch access-group name NO",
		"used by class-map type inspect match-any C");
	refused("class-map type inspect match-any C\nmatch protocol nonsense", "unknown protocol");
	refused("policy-map type inspect P\nclass type inspect NO\ndrop",
		"used by policy-map type inspect P");
	refused("firewall syn-protection 203.0.113.98 port 81\n"
		"ip nat inside source static tcp 10.9.9.9 80-82 203.0.113.98 80-82",
		"cannot stand before");
	refused("time-range T\nabsolute start 0:00 1 January 2027 end 0:00 1 January 2026",
		"not after the start");
	refused("ip access-list extended A\npermit ip any any\ninterface Loopback0\n"
		"ip access-group A in",
		"nothing comes or leaves by Loopback0");
	refused("interface Loopback3\nipv6 verify unicast source reachable-via rx",
		"nothing comes or leaves by Loopback3");
	refused("zone security A\nvrf definition RED\ninterface eth0\nvrf forwarding RED\n"
		"zone-member security A",
		"eth0 is in VRF RED");
	refused("zone security A\nmember interface-group G\nobject-group interface G\n"
		"interface eth0\nvrf definition RED\ninterface eth0\nvrf forwarding RED",
		"eth0 is in VRF RED");
	refused("zone security A\nmember interface-group NO", "NO, used by zone security A");
	refused("interface eth0\nip address 10.0.0.1/24\n"
		"ip verify unicast source reachable-via feasible\nip route 0.0.0.0/0 10.0.0.9 250",
		"allow-default");
	refused("interface eth0\nip verify unicast source reachable-via any\n"
		"ip route 0.0.0.0/0 10.0.0.9",
		"allow-default");
	refused("interface eth0\nip address 10.0.0.1/24\n"
		"ip verify unicast source reachable-via rx\nip route 0.0.0.0/0 10.0.0.9",
		"leads eth0");
}
END_TEST

/* What is printed reads back to the same. */
START_TEST(round_trip)
{
	static const char lines[] =
		"ip access-list extended X\n 10 remark some words\n"
		" 20 permit tcp 10.0.0.0 0.0.0.255 range 1 5 host 10.1.1.1 eq 80,443 established dscp af11"
		" ttl range 3 9 length lt 100 state new,related limit-rate 5 burst 7 limit-connections 8"
		" per-source helper ftp log log-rate 9\n"
		" 30 permit tcp address-range 10.0.0.1 10.0.0.2 object-group G match-any +syn -ack +fin\n"
		" 40 permit icmp any any unreachable\n 50 permit icmp any any 3 13\n"
		"ipv6 access-list X\n permit icmp any any nd-ns\n"
		"object-group network G\n host fd00::1\n10.0.0.0/8\n"
		"object-group service S\n tcp source gt 1023 eq 5\n icmp 3\n"
		"time-range T\n absolute start 8:00 1 January 2026 end 9:05 2 March 2027\n"
		" periodic Monday Wednesday 8:00 to 12:30\n periodic daily 0:00 to 24:00\n"
		" periodic Friday 20:00 to Monday 6:00\n"
		"interface eth0\n ip tcp adjust-mss auto\n ipv6 tcp adjust-mss 1400\n"
		" ip verify unicast source reachable-via any allow-default\n";
	struct strbuf a = STRBUF_INIT, b = STRBUF_INIT;
	struct rec *first, *empty = model_new();

	type(lines);
	text_config(ed.root, 0, &a);
	first = rec_ref(ed.root);
	editor_top(&ed);
	editor_rebase(&ed, empty);
	type(strbuf_str(&a) + 0);
	text_config(ed.root, 0, &b);
	ck_assert_str_eq(strbuf_str(&a), strbuf_str(&b));
	ck_assert(model_equal(first, ed.root));
	rec_unref(first);
	rec_unref(empty);
	strbuf_fini(&a);
	strbuf_fini(&b);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("policy");
	TCase *t = tcase_create("policy");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, live_connections);
	tcase_add_test(t, zone_typed_below_an_interface);
	tcase_add_test(t, rules);
	tcase_add_test(t, rules6);
	tcase_add_test(t, groups);
	tcase_add_test(t, order_and_default);
	tcase_add_test(t, standard);
	tcase_add_test(t, zones);
	tcase_add_test(t, class_kinds);
	tcase_add_test(t, the_box);
	tcase_add_test(t, martians_and_urpf);
	tcase_add_test(t, hours);
	tcase_add_test(t, sharing);
	tcase_add_test(t, checks);
	tcase_add_test(t, in_use);
	tcase_add_test(t, server_names);
	tcase_add_test(t, server_names_of_classes);
	tcase_add_test(t, too_many_names);
	tcase_add_test(t, round_trip);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
