/* SPDX-License-Identifier: GPL-2.0-or-later */
/* packet-tracer: phases of policies with a kernel of the test's, frames, comparison. */
#include "../lib/check_main.h"

#include "domain.h"
#include "rtr/fastpath.h"
#include "schema/edit.h"
#include "tracer/tracer.h"

#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static const struct domain *const *domains;
static size_t n_domains;
static struct editor ed;
static const struct policy *pol;

/* What the kernel says. */
static struct {
	struct tracer_link link;
	struct tracer_route route;
	struct tracer_neigh neigh;
	struct tracer_ruleset ruleset;
	bool fast;
	bool back, has_conn;
	struct ct_entry conn;
} w;

static struct rtr_addr addr(const char *text)
{
	struct rtr_addr a;

	ck_assert(!rtr_addr_parse(text, AF_UNSPEC, &a));
	return a;
}

static void k_link(void *arg, const char *ifname, uint8_t family, struct tracer_link *ret)
{
	*ret = w.link;
}

static void k_route(void *arg, const struct pol_packet *p, const struct rtr_addr *dst,
		    struct tracer_route *ret)
{
	*ret = w.route;
}

static bool k_back(void *arg, const struct rtr_addr *src, const char *iif, bool strict)
{
	return w.back;
}

static void k_neigh(void *arg, const char *ifname, const struct rtr_addr *a,
		    struct tracer_neigh *ret)
{
	*ret = w.neigh;
}

static int k_conn(void *arg, const struct ct_tuple *t, struct ct_entry *ret)
{
	*ret = w.conn;
	return w.has_conn ? 0 : -ENOENT;
}

static int k_rules(void *arg, uint8_t family, struct rule **ret)
{
	*ret = NULL;
	return 0;
}

static void k_ruleset(void *arg, struct tracer_ruleset *ret)
{
	*ret = w.ruleset;
}

static bool k_fast(void *arg, const char *ifname)
{
	(void)arg;
	(void)ifname;
	return w.fast;
}

static const struct tracer_kernel kernel = { .link = k_link,
					     .route = k_route,
					     .back = k_back,
					     .neigh = k_neigh,
					     .conn = k_conn,
					     .rules = k_rules,
					     .ruleset = k_ruleset,
					     .fast = k_fast };

static void set_up(void)
{
	struct rec *root;

	ck_assert_ptr_null(domains_sort(&domains, &n_domains));
	ck_assert_ptr_null(schema_init(domains, n_domains));
	root = model_new();
	editor_init(&ed, root);
	rec_unref(root);
	memset(&w, 0, sizeof(w));
	w.link = (struct tracer_link){ .found = true, .up = true, .forwarding = true };
	w.route = (struct tracer_route){ .type = RTN_UNICAST, .oif = "eth1" };
	w.ruleset = (struct tracer_ruleset){ .same = true, .generation = 7 };
	w.back = true;
}

static void tear_down(void)
{
	pol = policy_unref(pol);
	editor_fini(&ed);
	schema_fini();
}

static void conf(const char *lines)
{
	struct strbuf b = STRBUF_INIT;
	char *copy = xstrdup(lines), *save = NULL;

	editor_top(&ed);
	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		struct edit_error err;
		bool changed;

		ck_assert_msg(!editor_line(&ed, l, &changed, &err), "%s", l);
		edit_error_fini(&err);
	}
	free(copy);
	struct check c = { .old = ed.root, .new = ed.root, .offline = true, .sink = &b };

	policy_unref(pol);
	pol = policy_build(ed.root, NULL, 0, &c);
	ck_assert_msg(pol != NULL, "%s", strbuf_str(&b));
	strbuf_fini(&b);
}

static struct tracer_ask tcp(const char *src, uint16_t sport, const char *dst, uint16_t dport)
{
	struct tracer_ask a = { .pkt = { .iif = "eth0",
					 .src = addr(src),
					 .dst = addr(dst),
					 .proto = IPPROTO_TCP,
					 .sport = sport,
					 .dport = dport,
					 .tcp_flags = 2,
					 .ttl = 64,
					 .len = 40 } };

	a.pkt.family = a.pkt.src.family;
	return a;
}

/* "INPUT-INTERFACE MARTIAN-CHECK ..." */
static void phases(const struct tracer_result *r, char *buf, size_t size)
{
	const json_t *o;
	size_t i, n = 0;

	*buf = '\0';
	json_array_foreach(json_object_get(r->doc, "phases"), i, o) {
		n += (size_t)snprintf(buf + n, size - n, "%s%s", i ? " " : "",
				      json_string_value(json_object_get(o, "type")));
		ck_assert_int_eq(json_integer_value(json_object_get(o, "phase")), (int)i + 1);
	}
}

static void expect(const struct tracer_ask *a, enum rtr_drop drop, const char *types)
{
	struct tracer_result r;
	char buf[512];

	tracer_run(a, pol, &kernel, &r);
	phases(&r, buf, sizeof(buf));
	ck_assert_str_eq(buf, types);
	ck_assert_msg(r.drop == drop, "%s, not %s", rtr_drop_text(r.drop), rtr_drop_text(drop));
	json_decref(r.doc);
}

#define EARLY "INPUT-INTERFACE MARTIAN-CHECK "
#define LATE  " NEIGHBOUR OUTPUT-INTERFACE"

START_TEST(plain_router)
{
	struct tracer_ask a = tcp("10.0.0.1", 1, "192.0.2.1", 80);
	struct tracer_ask v6 = tcp("2001:db8::1", 1, "2001:db8:1::1", 80);

	conf("hostname x");
	expect(&a, RTR_DROP_NONE, EARLY "ROUTE-LOOKUP ZONE-PAIR" LATE);
	expect(&v6, RTR_DROP_NONE, EARLY "ROUTE-LOOKUP ZONE-PAIR" LATE);
	w.neigh = (struct tracer_neigh){ .found = true, .state = NUD_FAILED };
	expect(&a, RTR_DROP_NEIGH_FAILED, EARLY "ROUTE-LOOKUP ZONE-PAIR NEIGHBOUR");
	w.link.forwarding = false;
	expect(&a, RTR_DROP_NO_FORWARDING, EARLY "ROUTE-LOOKUP FORWARDING");
	w.route.type = RTN_LOCAL;
	expect(&a, RTR_DROP_NONE, EARLY "ROUTE-LOOKUP LOCAL");
	w.link.forwarding = true;
	w.route.error = -ENETUNREACH;
	expect(&v6, RTR_DROP_NO_ROUTE, EARLY "ROUTE-LOOKUP");
	w.route.error = -EACCES;
	expect(&a, RTR_DROP_PROHIBIT, EARLY "ROUTE-LOOKUP");
	a = tcp("10.0.0.1", 1, "127.0.0.1", 80);
	expect(&a, RTR_DROP_DST_MARTIAN, "INPUT-INTERFACE MARTIAN-CHECK");
	w.link.up = false;
	expect(&a, RTR_DROP_INGRESS_DOWN, "INPUT-INTERFACE");
}
END_TEST

START_TEST(lists_and_connections)
{
	struct tracer_ask a = tcp("10.0.0.1", 1, "192.0.2.1", 80);

	conf("ip access-list extended L\n10 permit tcp any any eq 80\n20 deny udp any any\n"
	     "interface eth0\nip access-group L in\nip verify unicast source reachable-via rx");
#define HEAD EARLY "RPF-CHECK FLOW-LOOKUP ACCESS-LIST"
	expect(&a, RTR_DROP_NONE, HEAD " ROUTE-LOOKUP ZONE-PAIR" LATE);
	a.pkt.dport = 81;
	expect(&a, RTR_DROP_ACL_DEFAULT, HEAD);
	a.pkt.proto = IPPROTO_UDP;
	expect(&a, RTR_DROP_ACL_DENY, HEAD);
	/* Its connection lets it in, whatever the list says; as it was translated, so it is. */
	w.has_conn = true;
	w.conn = (struct ct_entry){ .orig = { .src = addr("192.0.2.1"),
					      .dst = addr("10.0.0.1"),
					      .sport = 81,
					      .dport = 1,
					      .proto = IPPROTO_UDP },
				    .status = IPS_SEEN_REPLY };
	w.conn.reply = (struct ct_tuple){
		.src = a.pkt.src, .dst = a.pkt.dst, .sport = 1, .dport = 81
	};
	expect(&a, RTR_DROP_NONE, HEAD " ROUTE-LOOKUP ZONE-PAIR" LATE);
	w.conn.orig.src = addr("192.0.2.99");
	expect(&a, RTR_DROP_NONE, HEAD " UN-NAT ROUTE-LOOKUP ZONE-PAIR" LATE);
	/* TCP of a live connection is no SYN, and is never sent. */
	a.pkt.proto = IPPROTO_TCP;
	struct tracer_result r;

	tracer_run(&a, pol, &kernel, &r);
	ck_assert(r.had_conn);
	json_decref(r.doc);
	w.back = false;
	expect(&a, RTR_DROP_URPF, EARLY "RPF-CHECK");
}
END_TEST

START_TEST(zones_and_translation)
{
	struct tracer_ask a = tcp("2001:db8::1", 1, "2001:db8:1::1", 80);
	struct tracer_result r;

	conf("zone security A\nzone security B\ninterface eth0\nzone-member security A\n"
	     "interface eth1\nzone-member security B");
	expect(&a, RTR_DROP_ZONE_DENY, EARLY "FLOW-LOOKUP ROUTE-LOOKUP ZONE-PAIR");
	/* The link that it did not get to is up all the same. */
	tracer_run(&a, pol, &kernel, &r);
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(r.doc, "result"),
							   "output_status")),
			 "up");
	json_decref(r.doc);
	conf("no zone security A\nno zone security B\ninterface eth0\nno zone-member security A\n"
	     "ipv6 nat inside\ninterface eth1\nno zone-member security B\nipv6 nat outside\n"
	     "ipv6 nat inside source static 2001:db8::1 2001:db8:1::99");
	expect(&a, RTR_DROP_NONE, EARLY "FLOW-LOOKUP ROUTE-LOOKUP ZONE-PAIR NAT" LATE);
	tracer_run(&a, pol, &kernel, &r);
	struct rtr_addr global = addr("2001:db8:1::99");

	ck_assert_int_eq(rtr_addr_cmp(&r.src, &global), 0);
	json_decref(r.doc);
}
END_TEST

static void path_is(const struct tracer_ask *a, const char *path)
{
	struct tracer_result r;

	tracer_run(a, pol, &kernel, &r);
	ck_assert_str_eq(
		json_string_value(json_object_get(json_object_get(r.doc, "result"), "path")), path);
	json_decref(r.doc);
}

START_TEST(planes)
{
	struct tracer_ask a = tcp("10.0.0.1", 1, "192.0.2.1", 80);

	conf("hostname x");
	path_is(&a, "slow");
	w.fast = true;
	path_is(&a, "fast");
	a.pkt.proto = IPPROTO_ICMP;
	path_is(&a, "slow");
	a.pkt.proto = IPPROTO_UDP;
	w.route.type = RTN_LOCAL;
	path_is(&a, "slow");
	w.route.type = RTN_BLACKHOLE;
	path_is(&a, "none");
}
END_TEST

static void source_becomes(const struct tracer_ask *a, const char *want)
{
	struct tracer_result r;
	const json_t *o;
	const char *got = "";
	size_t i;

	tracer_run(a, pol, &kernel, &r);
	json_array_foreach(json_object_get(r.doc, "phases"), i, o)
		if (!strcmp(json_string_value(json_object_get(o, "type")), "NAT"))
			got = json_string_value(
				json_array_get(json_object_get(o, "information"), 0));
	ck_assert_msg(strstr(got, want) != NULL, "%s", got);
	json_decref(r.doc);
}

/* Each plane has ports of its own for an address that many share. */
START_TEST(ports_of_planes)
{
	struct tracer_ask a = tcp("10.0.0.1", 40000, "192.0.2.1", 80);
	const struct fastpath_traced leaves = { .verdict = FASTPATH_LEAVES },
				     forwards = { .verdict = FASTPATH_FORWARDS };

	conf("ip nat pool P 198.51.100.2 198.51.100.2 prefix-length 24\n"
	     "ip access-list extended L\npermit ip any any\n"
	     "interface eth0\nip nat inside\ninterface eth1\nip nat outside\n"
	     "ip nat inside source list L pool P overload");
	source_becomes(&a, "198.51.100.2 port of 40960 to 57343");
	w.fast = true;
	a.fast = &forwards;
	source_becomes(&a, "198.51.100.2 port 40000, or if that is taken of 10240 to 40959");
	a.pkt.sport = 50000;
	source_becomes(&a, "198.51.100.2 port of 10240 to 40959");
	a.fast = &leaves;
	source_becomes(&a, "198.51.100.2 port of 40960 to 57343");
	path_is(&a, "slow");
}
END_TEST

static struct fastpath_traced fast_sends(const char *src, const char *last, uint16_t sport)
{
	struct fastpath_traced t = { .verdict = FASTPATH_FORWARDS,
				     .shared = last != NULL,
				     .to_sport_be = htons(sport),
				     .to_dport_be = htons(80) };

	memcpy(t.to_src, addr(src).b, 16);
	memcpy(t.to_dst, addr("192.0.2.1").b, 16);
	if (last)
		memcpy(t.pool_last, addr(last).b, 16);
	return t;
}

static const struct {
	const char *lines, *src, *last;
	uint16_t sport;
	bool same;
} planes_cases[] = {
	{ "", "10.0.0.1", NULL, 40000, true },
	{ "", "10.0.0.1", NULL, 40001, false },
	{ "ip nat inside source list L pool P overload", "198.51.100.2", "198.51.100.3", 0, true },
	{ "ip nat inside source list L pool P overload", "198.51.100.2", "198.51.100.2", 0, false },
	{ "ip nat inside source list L pool P overload", "198.51.100.2", NULL, 40000, false },
	{ "", "198.51.100.2", "198.51.100.3", 0, false },
	{ "ip nat inside source static tcp 10.0.0.1 40000 198.51.100.9 81", "198.51.100.9", NULL,
	  81, true },
	{ "ip nat inside source static tcp 10.0.0.1 40000 198.51.100.9 81", "198.51.100.9", NULL,
	  82, false },
	{ "ip nat inside source static 10.0.0.1 198.51.100.9", "198.51.100.9", NULL, 40000, true },
	{ "ip nat inside source static 10.0.0.1 198.51.100.9", "198.51.100.8", NULL, 40000, false },
};

/* What leaves is compared by address and port, and by pool where either is still to be chosen. */
START_TEST(compares_planes)
{
	struct tracer_ask a = tcp("10.0.0.1", 40000, "192.0.2.1", 80);
	struct fastpath_traced t = fast_sends(planes_cases[_i].src, planes_cases[_i].last,
					      planes_cases[_i].sport);
	struct tracer_result r;
	char lines[512];

	snprintf(lines, sizeof(lines),
		 "ip nat pool P 198.51.100.2 198.51.100.3 prefix-length 24\n"
		 "ip access-list extended L\npermit ip any any\n"
		 "interface eth0\nip nat inside\ninterface eth1\nip nat outside\n%s",
		 planes_cases[_i].lines);
	conf(lines);
	tracer_run(&a, pol, &kernel, &r);
	ck_assert_int_eq(!tracer_fast_differs(&a.pkt, &t, "eth1", &r), planes_cases[_i].same);
	ck_assert_ptr_nonnull(tracer_fast_differs(&a.pkt, &t, "eth2", &r));
	json_decref(r.doc);
}
END_TEST

/* ---- the frame ---- */

static uint16_t fold(const uint8_t *b, size_t n, uint32_t s)
{
	for (size_t i = 0; i < n; i += 2)
		s += (uint32_t)b[i] << 8 | (i + 1 < n ? b[i + 1] : 0);
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)s;
}

START_TEST(frames)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMPV6 };
	uint8_t f[TRACER_FRAME_MAX], mac[6] = { 2, 1, 2, 3, 4, 5 };
	struct tracer_ask a = tcp("10.0.0.1", 1000, "192.0.2.1", 80);
	size_t n = tracer_frame(&a.pkt, mac, 0x12345, f);

	ck_assert_uint_eq(n, 14 + 40);
	ck_assert_uint_eq(fold(f + 14, 20, 0), 0xffff);
	ck_assert_uint_eq(f[18] << 8 | f[19], 0x2345);
	ck_assert_uint_eq(fold(f + 34, 20, fold(f + 26, 8, 0) + 20u + IPPROTO_TCP), 0xffff);
	a.pkt.proto = IPPROTO_GRE;
	ck_assert_uint_eq(tracer_frame(&a.pkt, mac, 0x12345, f), 14 + 20 + 8);
	ck_assert_uint_eq(f[16] << 8 | f[17], 20 + 8);
	a = tcp("2001:db8::1", 1000, "2001:db8::2", 80);
	for (size_t i = 0; i < ARRAY_LEN(protos); i++) {
		a.pkt.proto = protos[i];
		n = tracer_frame(&a.pkt, mac, 0x12345, f) - 54;
		ck_assert_uint_eq(fold(f + 54, n, fold(f + 22, 32, 0) + (uint32_t)n + protos[i]),
				  0xffff);
		ck_assert_uint_eq((f[15] & 15u) << 16 | (uint32_t)f[16] << 8 | f[17], 0x12345);
	}
}
END_TEST

static const char *compared(const struct tracer_result *r, const struct tracer_seen *s)
{
	tracer_compare(r, pol, s, false, "eth1");
	return json_string_value(
		json_object_get(json_object_get(r->doc, "transmit"), "comparison"));
}

START_TEST(comparison)
{
	struct tracer_ask a = tcp("10.0.0.1", 1, "192.0.2.1", 80);
	struct tracer_seen s = { .id = 1, .forwarded = true, .sport = 1, .dport = 80 };
	struct tracer_result r;

	conf("hostname x");
	s.src = a.pkt.src;
	s.dst = a.pkt.dst;
	tracer_run(&a, pol, &kernel, &r);
	ck_assert_str_eq(compared(&r, &s), "AGREE");
	s.src = addr("10.0.0.2");
	ck_assert_str_eq(compared(&r, &s), "DIFFER");
	s.src = a.pkt.src;
	s.dport = 81;
	ck_assert_str_eq(compared(&r, &s), "DIFFER");
	s.dport = 80;
	rtr_strlcpy(r.oif, "eth2", sizeof(r.oif));
	ck_assert_str_eq(compared(&r, &s), "DIFFER");
	rtr_strlcpy(r.oif, "eth1", sizeof(r.oif));
	s.forwarded = false;
	ck_assert_str_eq(compared(&r, &s), "DIFFER");
	s.dropped = true;
	ck_assert_str_eq(compared(&r, &s), "DIFFER");
	json_decref(r.doc);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("tracer");
	TCase *t = tcase_create("tracer");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, plain_router);
	tcase_add_test(t, lists_and_connections);
	tcase_add_test(t, zones_and_translation);
	tcase_add_test(t, planes);
	tcase_add_test(t, ports_of_planes);
	tcase_add_loop_test(t, compares_planes, 0, ARRAY_LEN(planes_cases));
	tcase_add_test(t, frames);
	tcase_add_test(t, comparison);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
