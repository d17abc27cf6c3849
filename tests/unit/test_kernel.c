/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The send queue and the shadow against a real kernel, in a network namespace. */
#include "kernel/baseline.h"
#include "kernel/nlq.h"
#include "kernel/shadow.h"
#include "../lib/check_main.h"
#include "../lib/netns.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <signal.h>
#include <sys/stat.h>

static struct event_base *base;
static bool is_ready;

static void on_ready(void *arg)
{
	is_ready = true;
}

/* ---- write queue ---- */

static struct nl_msg *route_msg(int type, int flags, unsigned i, int oif, uint8_t proto)
{
	struct rtmsg rtm = { .rtm_family = AF_INET,
			     .rtm_dst_len = 32,
			     .rtm_table = RT_TABLE_MAIN,
			     .rtm_protocol = proto,
			     .rtm_scope = RT_SCOPE_LINK,
			     .rtm_type = RTN_UNICAST };
	struct nl_msg *m = nlmsg_alloc_size(256);

	nlmsg_put(m, 0, 0, type, 0, flags);
	nlmsg_append(m, &rtm, sizeof(rtm), NLMSG_ALIGNTO);
	nla_put_u32(m, RTA_DST, htonl(0x0a000000u + i));
	nla_put_u32(m, RTA_OIF, (uint32_t)oif);
	nla_put_u32(m, RTA_PRIORITY, 1u << 24);
	return m;
}

static int results[2000];
static char texts[2000][100];
static unsigned n_done;

static void on_done(void *arg, int error, const char *text)
{
	/* In the order of queueing. */
	ck_assert_uint_eq((unsigned)(uintptr_t)arg, n_done);
	results[n_done] = error;
	rtr_strlcpy(texts[n_done], text, sizeof(texts[0]));
	n_done++;
}

static void run_queue(void)
{
	while (!nlq_idle())
		event_base_loop(base, EVLOOP_ONCE);
}

START_TEST(queue_order_and_errors)
{
	struct nl_msg *bad = route_msg(RTM_NEWROUTE, NLM_F_CREATE, 1, 4711, 98);
	unsigned n = 0;

	n_done = 0;
	for (unsigned i = 0; i < 500; i++, n++)
		nlq_netlink(route_msg(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, i, 1, 98), on_done,
			    (void *)(uintptr_t)n);
	nlq_sysctl("net/ipv4/ip_forward", "1", on_done, (void *)(uintptr_t)n++);
	nlq_sysctl("net/ipv4/no_such", "1", on_done, (void *)(uintptr_t)n++);
	nlq_netlink(bad, on_done, (void *)(uintptr_t)n++);
	nlq_netlink(route_msg(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, 7, 1, 98), on_done,
		    (void *)(uintptr_t)n++);
	run_queue();
	ck_assert_uint_eq(n_done, n);
	for (unsigned i = 0; i < 501; i++)
		ck_assert_int_eq(results[i], 0);
	ck_assert_int_eq(results[501], -ENOENT);
	ck_assert_int_eq(results[502], -ENODEV);
	ck_assert_int_eq(results[503], -EEXIST);
	ck_assert_uint_eq(nlq_writes(), n);
	ck_assert(sh("[ $(ip -4 route show proto 98 | wc -l) = 500 ]"));
	ck_assert(sh("grep -q 1 /proc/sys/net/ipv4/ip_forward"));
}
END_TEST

START_TEST(queue_extack)
{
	struct nl_msg *m = route_msg(RTM_NEWROUTE, NLM_F_CREATE, 1, 1, 98);

	n_done = 0;
	nla_put_u32(m, RTA_GATEWAY, htonl(0xc0a80101)); /* not reachable over lo */
	nlq_netlink(m, on_done, (void *)0);
	run_queue();
	ck_assert_int_ne(results[0], 0);
	ck_assert_str_ne(texts[0], "");
}
END_TEST

START_TEST(queue_fault)
{
	n_done = 0;
	nlq_set_fault(NLQ_FAULT_FAIL, 3);
	for (unsigned i = 0; i < 5; i++)
		nlq_netlink(route_msg(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, i, 1, 98), on_done,
			    (void *)(uintptr_t)i);
	run_queue();
	for (unsigned i = 0; i < 5; i++)
		ck_assert_int_eq(results[i], i == 2 ? -EIO : 0);
	ck_assert_str_eq(texts[2], "injected");
	ck_assert(sh("! ip -4 route show | grep -q 10.0.0.2"));
	ck_assert(sh("ip -4 route show | grep -q 10.0.0.3"));
}
END_TEST

START_TEST(queue_kill)
{
	nlq_set_fault(NLQ_FAULT_KILL, 3);
	for (unsigned i = 0; i < 5; i++)
		nlq_netlink(route_msg(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, i, 1, 98), NULL,
			    NULL);
	run_queue();
	ck_abort_msg("still alive");
}
END_TEST

START_TEST(queue_cancel)
{
	n_done = 0;
	for (unsigned i = 0; i < 5; i++)
		nlq_netlink(route_msg(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, i, 1, 98), on_done,
			    (void *)(uintptr_t)i);
	nlq_cancel();
	run_queue();
	ck_assert_uint_eq(n_done, 5);
	ck_assert_int_eq(results[4], -ECANCELED);
	ck_assert(sh("! ip -4 route show | grep -q 10.0.0"));
}
END_TEST

/* ---- shadow ---- */

/* Everything that the shadow knows, as text in a fixed order, to compare with a fresh one. */
static int text_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Told up to a second after the fact: IFF_RUNNING, IFF_LOWER_UP. */
#define CARRIER 0x10040u

static char *dump_shadow(void)
{
	char *lines[4096], *out = xstrdup("");
	size_t n = 0;

	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l)) {
		lines[n++] = xasprintf(
			"link %d %s kind %s flags %x mtu %u master %d parent %d alias %s ours %d "
			"altnames %zu mac %02x",
			l->ifindex, l->name, l->kind, l->flags & ~CARRIER, l->mtu, l->master,
			/* The first end of a veth is told before it has a peer. */
			strcmp(l->kind, "veth") ? l->parent : 0, l->alias ? l->alias : "-", l->ours,
			l->n_altnames, l->mac[5]);
		for (size_t i = 0, n6 = 0; i < l->n_addrs; i++) {
			char b[RTR_PREFIX_STRLEN];
			bool v6 = l->addrs[i].addr.addr.family == AF_INET6;

			/* The order of IPv4 counts. */
			lines[n++] = xasprintf("link %d addr %zu %s flags %x proto %u", l->ifindex,
					       v6 ? 0 : i - n6,
					       rtr_prefix_str(&l->addrs[i].addr, b),
					       l->addrs[i].flags & ~0x40u, l->addrs[i].proto);
			n6 += v6;
		}
	}
	for (const struct shadow_route *r = shadow_route_next(NULL); r; r = shadow_route_next(r)) {
		char b[RTR_PREFIX_STRLEN],
			*s = xasprintf("route %s table %u metric %u type %u",
				       rtr_prefix_str(&r->dst, b), r->table, r->metric, r->type);

		for (unsigned i = 0; i < r->n_hops; i++) {
			char g[RTR_ADDR_STRLEN], *t;

			t = xasprintf("%s via %s dev %d weight %u flags %x", s,
				      rtr_addr_str(&r->hops[i].gw, g), r->hops[i].ifindex,
				      r->hops[i].weight,
				      r->dst.addr.family == AF_INET ? r->hops[i].flags : 0u);
			free(s);
			s = t;
		}
		lines[n++] = s;
	}
	qsort(lines, n, sizeof(*lines), text_cmp);
	for (size_t i = 0; i < n; i++) {
		char *t = xasprintf("%s%s\n", out, lines[i]);

		free(out);
		free(lines[i]);
		out = t;
	}
	return out;
}

static void start_shadow(void)
{
	is_ready = false;
	ck_assert_int_eq(shadow_init(base, "main", on_ready, NULL), 0);
	while (!is_ready)
		event_base_loop(base, EVLOOP_ONCE);
}

/* Carriers and addresses made by the kernel come by themselves, late on a busy machine. */
static void settle(void)
{
	for (int quiet = 0, k = 0; quiet < 3 && k < 200; k++) {
		usleep(10000);
		quiet = shadow_drain() ? 0 : quiet + 1;
	}
}

/* The shadow fed by events must hold what a fresh one reads by dumps. */
static void check_fresh(const char *after)
{
	char *events, *fresh;

	settle();
	events = dump_shadow();
	shadow_fini();
	start_shadow();
	fresh = dump_shadow();
	if (strcmp(events, fresh))
		ck_abort_msg("after %s:\n--- by events:\n%s--- fresh:\n%s", after, events, fresh);
	free(events);
	free(fresh);
}

static const char *const changes[] = {
	"ip link add v0 type veth peer name v1",
	"ip link set v0 up; ip link set v1 up; ip link set lo up",
	"ip link set v0 mtu 1400",
	"ip link set v0 alias 'a b'",
	"ip link add br0 type bridge; ip link set v0 master br0",
	"ip link set v0 nomaster",
	"ip addr add 10.0.0.1/24 dev v0",
	"ip addr add 10.0.1.1/24 dev v0",
	"ip addr add 10.0.0.2/24 dev v0",
	"ip addr add 10.0.0.3/24 dev v0",
	"ip addr add 10.0.1.2/24 dev v0",
	"sysctl -qw net.ipv4.conf.v0.promote_secondaries=1",
	"ip addr del 10.0.0.1/24 dev v0",
	"ip addr add 10.0.2.1/24 dev v0",
	"ip -6 addr add fd00::1/64 dev v0 nodad",
	"ip -6 addr del fd00::1/64 dev v0",
	"ip -6 addr add fd00::2/64 dev v0 nodad",
	"ip route add 192.168.0.0/24 via 10.0.0.9 proto 98",
	"ip route add 192.168.0.0/24 via 10.0.0.9 proto 98 metric 16777216",
	"ip route replace 192.168.0.0/24 via 10.0.1.9 proto 98 metric 16777216",
	"ip route add 192.168.1.0/24 proto 98 nexthop via 10.0.0.9 weight 3 nexthop via 10.0.1.9",
	"ip route add blackhole 192.168.2.0/24 proto 98",
	"ip route add unreachable 192.168.3.0/24 proto 98 metric 7",
	"ip route add 192.168.4.0/24 via 10.0.0.9",
	/* Somebody else takes the place of ours. */
	"ip route replace 192.168.0.0/24 via 10.0.1.9 proto 99 metric 16777216",
	"ip -6 route add fd01::/64 via fd00::9 proto 98 metric 16777216",
	"ip -6 route add fd02::/64 proto 98 nexthop via fd00::9 nexthop via fd00::8 weight 2",
	"ip -6 route append fd02::/64 via fd00::7 proto 98",
	"ip -6 route del fd02::/64 via fd00::8",
	"ip -6 route replace fd02::/64 proto 98 nexthop via fd00::6 nexthop via fd00::5",
	"ip -6 route replace fd02::/64 proto 98 via fd00::4",
	"ip -6 route add blackhole fd03::/64 proto 98",
	"ip link add w0 type veth peer name w1; ip link set w0 up; ip link set w1 up;"
	"ip addr add 10.1.0.1/24 dev w0; ip -6 addr add fd0a::1/64 dev w0 nodad",
	"ip route add 192.168.9.0/24 proto 98 nexthop via 10.0.0.9 nexthop via 10.1.0.9",
	"ip -6 route add fd09::/64 proto 98 nexthop via fd00::9 nexthop via fd0a::9",
	"ip -6 route add fd10::/64 proto 98 via fd0a::9",
	"ip route add 192.168.10.0/24 via 10.1.0.9 proto 98",
	/* IPv4 routes over it go without a word; the multipath route loses a hop. */
	"ip link set w0 down",
	"ip link set w0 up",
	"ip route add 192.168.10.0/24 via 10.1.0.9 proto 98",
	"ip addr del 10.1.0.1/24 dev w0",
	"ip addr add 10.1.0.1/24 dev w0",
	"ip route add 192.168.10.0/24 via 10.1.0.9 proto 98",
	"ip link set w1 down",
	"ip link set w1 up",
	"ip link set dev v0 down; ip link set v0 name x0; ip link set x0 up",
	"ip link property add dev x0 altname rtr.main.x0",
	"ip route add 192.168.11.0/24 via 10.1.0.9 proto 98; "
	"ip -6 addr add fd00::2/64 dev x0 nodad;"
	"ip -6 addr add fd0a::1/64 dev w0 nodad; ip -6 route add fd10::/64 proto 98 via fd0a::9;"
	"ip -6 route add fd11::/64 proto 98 nexthop via fd00::9 nexthop via fd0a::9",
	"ip link del w0",
	"ip -6 route flush proto 98",
	"ip route flush proto 98",
	"ip link del x0",
};

START_TEST(shadow_follows_events)
{
	/* Of tentative addresses there is no event. */
	ck_assert(sh("sysctl -qw net.ipv6.conf.default.accept_dad=0"));
	start_shadow();
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		ck_assert_msg(sh("%s", changes[i]), "%s", changes[i]);
		check_fresh(changes[i]);
	}
	shadow_fini();
}
END_TEST

START_TEST(shadow_ignores_foreign_routes)
{
	uint64_t events;

	ck_assert(sh("sysctl -qw net.ipv6.conf.default.disable_ipv6=1; ip link set lo up;"
		     "ip link add v0 type veth peer name v1; ip link set v0 up;"
		     "ip link set v1 up; ip addr add 10.0.0.1/24 dev v0; sleep 0.1"));
	start_shadow();
	settle();
	events = shadow_stats()->events;
	ck_assert(
		sh("for i in $(seq 200); do echo route add 192.168.$i.0/24 via 10.0.0.9 proto 186;"
		   "echo route replace 192.168.$i.0/24 via 10.0.0.8 proto 186 metric 20;"
		   "echo route del 192.168.$i.0/24 metric 20; done | ip -b -"));
	shadow_drain();
	ck_assert_uint_eq(shadow_stats()->events, events);
	ck_assert(sh("ip route add 172.16.0.0/12 via 10.0.0.9 proto 98"));
	shadow_drain();
	ck_assert_uint_eq(shadow_stats()->events, events + 1);
	ck_assert_uint_eq(shadow_n_routes(), 1);
	shadow_fini();
}
END_TEST

START_TEST(shadow_ignores_foreign_neighbours)
{
	const struct shadow_neigh *n;
	struct rtr_addr a;
	uint64_t events;

	ck_assert(sh(
		"sysctl -qw net.ipv6.conf.default.disable_ipv6=1; ip link set lo up;"
		"ip link add v0 type veth peer name v1; ip link set v0 up;"
		"ip link set v1 up; ip addr add 10.0.0.1/16 dev v0;"
		"ip neigh add 10.0.9.1 lladdr 02:00:00:00:00:01 dev v0 nud permanent protocol 98;"
		"ip neigh add proxy 10.0.9.2 dev v0 protocol 98;"
		"ip neigh add proxy 10.0.9.3 dev v0 protocol 97; sleep 0.1"));
	start_shadow();
	settle();
	events = shadow_stats()->events;
	ck_assert(sh(
		"for i in $(seq 200); do"
		" echo neigh add 10.0.1.$i lladdr 02:00:00:00:00:01 dev v0 nud reachable;"
		" echo neigh add 10.0.2.$i lladdr 02:00:00:00:00:01 dev v0 nud permanent protocol 99;"
		" echo neigh del 10.0.1.$i dev v0; done | ip -b -"));
	shadow_drain();
	ck_assert_uint_eq(shadow_stats()->events, events);
	rtr_addr_parse("10.0.9.2", AF_INET, &a);
	n = shadow_neigh_next(NULL);
	ck_assert_ptr_nonnull(n);
	ck_assert_ptr_nonnull(shadow_neigh_find(n->ifindex, &a, true));
	ck_assert_ptr_null(shadow_neigh_find(n->ifindex, &a, false));

	/* Changed by others it is still ours; deleted it is gone, and with the link its proxies. */
	ck_assert(sh("ip neigh replace 10.0.9.1 lladdr 02:00:00:00:00:09 dev v0 nud reachable"));
	ck_assert(shadow_drain() & SHADOW_NEIGH);
	rtr_addr_parse("10.0.9.1", AF_INET, &a);
	n = shadow_neigh_find(n->ifindex, &a, false);
	ck_assert_uint_eq(n->state, NUD_REACHABLE);
	ck_assert_uint_eq(n->mac[5], 9);
	ck_assert(sh("ip neigh del 10.0.9.1 dev v0"));
	shadow_drain();
	ck_assert_ptr_nonnull(shadow_neigh_next(NULL));
	ck_assert(sh("ip link set v0 down"));
	shadow_drain();
	ck_assert_ptr_null(shadow_neigh_next(NULL));
	shadow_fini();
}
END_TEST

START_TEST(shadow_marks)
{
	char buf[SHADOW_ALTNAME_STRLEN];

	ck_assert_uint_eq(shadow_proto_of("main"), 98);
	ck_assert_uint_ge(shadow_proto_of("lab1"), 200);
	ck_assert_uint_le(shadow_proto_of("lab1"), 249);
	start_shadow();
	ck_assert_str_eq(shadow_altname("BVI1", buf), "rtr.main.BVI1");
	shadow_fini();
}
END_TEST

/* ---- baseline ---- */

START_TEST(baseline_survives)
{
	char dir[] = "/tmp/rtr-baseline-XXXXXX";
	char *path;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(baseline_init(dir), 0);
	baseline_keep("link 3 eth0 alias", "tab\there, 100%\nend");
	baseline_keep("link 3 eth0 mtu", "1500");
	baseline_keep("link 3 eth0 mtu", "9000"); /* not the first value */
	baseline_keep("sysctl net/x", "0");
	ck_assert_int_eq(baseline_sync(), 0);
	baseline_fini();
	ck_assert_int_eq(baseline_init(dir), 0);
	ck_assert_str_eq(baseline_get("link 3 eth0 mtu"), "1500");
	ck_assert_str_eq(baseline_get("link 3 eth0 alias"), "tab\there, 100%\nend");
	baseline_drop("link 3 eth0 mtu");
	ck_assert_ptr_null(baseline_get("link 3 eth0 mtu"));
	ck_assert_int_eq(baseline_sync(), 0);
	baseline_fini();
	/* Another namespace: void. */
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	ck_assert_int_eq(baseline_init(dir), 0);
	ck_assert_ptr_null(baseline_get("sysctl net/x"));
	baseline_fini();
	path = xasprintf("%s/baseline", dir);
	unlink(path);
	free(path);
	rmdir(dir);
}
END_TEST

static void setup(void)
{
	netns_enter();
	ck_assert(sh("ip link set lo up"));
	base = event_base_new();
	ck_assert_int_eq(nlq_init(base), 0);
}

static void teardown(void)
{
	nlq_fini();
	event_base_free(base);
}

static Suite *suite(void)
{
	Suite *s = suite_create("kernel");
	TCase *t = tcase_create("queue");

	netns_or_skip();
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, queue_order_and_errors);
	tcase_add_test(t, queue_extack);
	tcase_add_test(t, queue_fault);
	tcase_add_test_raise_signal(t, queue_kill, SIGKILL);
	tcase_add_test(t, queue_cancel);
	suite_add_tcase(s, t);
	t = tcase_create("shadow");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, shadow_follows_events);
	tcase_add_test(t, shadow_ignores_foreign_routes);
	tcase_add_test(t, shadow_ignores_foreign_neighbours);
	tcase_add_test(t, shadow_marks);
	tcase_add_test(t, baseline_survives);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
