/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mirror beside a kernel that does things: neighbours that answer, change, die; events that are
 * lost; hooks of others; reverse path and source of ICMP errors as the kernel has them. One
 * namespace for the mirror, one for the neighbour.
 */
#include <net/if.h>

#include "../lib/check_main.h"
#include "../lib/fib_oracle.h"
#include "../lib/netns.h"

#include <signal.h>

#define N_ADJ 16u

struct world {
	struct fibctl *c;
	pid_t peer;
	uint32_t a0, a1;
	struct fp_adj adj[N_ADJ];
	unsigned n_done, n_failed, n_lost, n_resync, n_closing;
};

static void adj_set(void *ctx, uint32_t i, const struct fp_adj *adj)
{
	struct world *w = ctx;

	ck_assert_uint_lt(i, N_ADJ);
	w->adj[i] = *adj;
}

static void adj_done(void *ctx, uint32_t i, enum fib_adj_state st)
{
	struct world *w = ctx;

	w->n_done++;
	w->n_failed += st == FIB_ADJ_FAILED;
}

static void event(void *ctx, enum fibctl_event e, const char *what)
{
	struct world *w = ctx;

	w->n_lost += e == FIBCTL_EV_LOST;
	w->n_resync += e == FIBCTL_EV_RESYNC;
	if (e == FIBCTL_EV_LIMIT)
		ck_abort_msg("%s", what);
}

static void closing(void *ctx)
{
	((struct world *)ctx)->n_closing++;
}

/* A process that keeps a namespace, until it is killed. */
static pid_t start_peer(void)
{
	int ready[2];
	char ok;
	pid_t pid;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		if (unshare(CLONE_NEWNET) < 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	ck_assert_int_eq(read(ready[0], &ok, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

#define in_peer(w, fmt, ...)                                                                       \
	ck_assert(sh("nsenter -t %d -n sh -c '" fmt "'", (int)(w)->peer, ##__VA_ARGS__))

static void setup(struct world *w, int event_bytes)
{
	struct fibctl_params p = { .n_adj = N_ADJ,
				   .instance = "main",
				   .event_bytes = event_bytes,
				   .adj_set = adj_set,
				   .adj_done = adj_done,
				   .event = event,
				   .closing = closing,
				   .ctx = w };

	*w = (struct world){ .peer = start_peer() };
	netns_enter();
	ck_assert(sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
		     "net.ipv6.conf.default.accept_dad=0 && ip link set lo up && "
		     "ip link add a0 type veth peer name b0 && ip link set b0 netns %d && "
		     "ip link add a1 type veth peer name b1 && ip link set b1 up && "
		     "ip link set a0 up && ip link set a1 up && "
		     "ip addr add 10.0.0.1/24 dev a0 && ip addr add fd00::1/64 dev a0 nodad && "
		     "ip addr add 10.0.1.1/24 dev a1 && ip addr add fd00:1::1/64 dev a1 nodad",
		     (int)w->peer));
	in_peer(w, "sysctl -qw net.ipv6.conf.default.accept_dad=0; "
		   "ip link set b0 address 02:00:00:00:00:b0 up; ip addr add 10.0.0.2/24 dev b0; "
		   "ip addr add fd00::2/64 dev b0 nodad");
	w->a0 = if_nametoindex("a0");
	w->a1 = if_nametoindex("a1");
	ck_assert_int_eq(fibctl_new(&p, &w->c), 0);
	ck_assert_int_eq(fibctl_port(w->c, w->a0, 5), 0);
	ck_assert_int_eq(fibctl_port(w->c, w->a1, 6), 0);
	ck_assert_int_eq(fibctl_open(w->c), 0);
	while (!fibctl_ready(w->c))
		ck_assert_int_eq(fibctl_run(w->c, 100), 0);
}

static void teardown(struct world *w)
{
	fibctl_free(w->c);
	kill(w->peer, SIGKILL);
	waitpid(w->peer, NULL, 0);
}

static struct fib_res look(const struct world *w, const char *dst)
{
	struct fib_key k = { .iif = w->a1, .proto = 17 };
	struct fib_res r;

	k.family = strchr(dst, ':') ? AF_INET6 : AF_INET;
	ck_assert_int_eq(inet_pton(k.family, dst, k.dst.b), 1);
	inet_pton(k.family, k.family == AF_INET ? "10.0.1.7" : "fd00:1::7", k.src.b);
	fib_lookup(fibctl_fib(w->c), &k, &r);
	return r;
}

/* Turns until the condition holds; fails after ten seconds. */
#define until(w, cond)                                                                             \
	do {                                                                                       \
		uint64_t end_ = rtr_now_ns() + 10 * NSEC_PER_SEC;                                  \
		while (!(cond)) {                                                                  \
			ck_assert_msg(rtr_now_ns() < end_, "in vain: " #cond);                     \
			ck_assert_int_eq(fibctl_run((w)->c, 50), 0);                               \
		}                                                                                  \
	} while (0)

static void resolve(struct world *w, const char *dst)
{
	struct fib_res r = look(w, dst);

	ck_assert_uint_eq(r.verdict, FIB_V_FORWARD);
	ck_assert(!fib_adj_ready(r.adj_state));
	ck_assert_int_eq(fib_resolve(fibctl_fib(w->c), r.oif, r.nh_family, &r.nh), 0);
}

START_TEST(neighbours)
{
	static const uint8_t mac[] = { 2, 0, 0, 0, 0, 0xb0 }, other[] = { 2, 0, 0, 0, 0, 0xb1 };
	const char *dst = _i ? "fd00::2" : "10.0.0.2", *none = _i ? "fd00::3" : "10.0.0.3";
	const char *fam = _i ? "ipv6" : "ipv4";
	struct fib_adj_info info;
	struct fib_res r;
	struct world w;
	uint32_t gen;

	setup(&w, 0);
	/* A worker parks, asks, is told. */
	gen = fib_adj_gen(fibctl_fib(w.c));
	resolve(&w, dst);
	until(&w, fib_adj_gen(fibctl_fib(w.c)) != gen);
	ck_assert_uint_ge(w.n_done, 1);
	r = look(&w, dst);
	ck_assert(fib_adj_ready(r.adj_state));
	ck_assert_uint_eq(w.adj[r.adj].len, 14);
	ck_assert_uint_eq(w.adj[r.adj].port, 5);
	ck_assert_uint_eq(w.adj[r.adj].mtu, 1500);
	ck_assert_mem_eq(w.adj[r.adj].hdr, mac, 6);
	ck_assert(fib_adj_info(fibctl_fib(w.c), r.adj, &info));
	ck_assert_uint_eq(info.oif, w.a0);
	/* It moves: the same number, another MAC. */
	ck_assert(sh("ip neigh replace %s lladdr 02:00:00:00:00:b1 nud reachable dev a0", dst));
	until(&w, !memcmp(w.adj[r.adj].hdr, other, 6));
	ck_assert_uint_eq(look(&w, dst).adj, r.adj);
	/* Stale with traffic is probed, without it is not. */
	ck_assert(sh("sysctl -qw net.%s.neigh.a0.delay_first_probe_time=0 && "
		     "ip neigh replace %s lladdr 02:00:00:00:00:b0 nud stale dev a0",
		     fam, dst));
	until(&w, look(&w, dst).adj_state == FIB_ADJ_STALE);
	fib_adj_used(fibctl_fib(w.c), r.adj);
	until(&w, look(&w, dst).adj_state == FIB_ADJ_RESOLVED);
	/* It goes: not ready at once. */
	ck_assert(sh("ip neigh del %s dev a0", dst));
	until(&w, !w.adj[r.adj].len);
	ck_assert(!fib_adj_ready(look(&w, dst).adj_state));
	resolve(&w, dst);
	until(&w, fib_adj_ready(look(&w, dst).adj_state));
	r = look(&w, dst);
	ck_assert(sh("ip link set a0 down"));
	until(&w, !w.adj[r.adj].len);
	ck_assert(sh("ip link set a0 up"));
	if (_i)
		ck_assert(sh("ip addr replace fd00::1/64 dev a0 nodad"));
	until(&w, look(&w, none).verdict == FIB_V_FORWARD && look(&w, none).oif == w.a0);
	/* Nobody there. */
	ck_assert(sh("sysctl -qw net.%s.neigh.a0.retrans_time_ms=20", fam));
	resolve(&w, none);
	until(&w, look(&w, none).adj_state == FIB_ADJ_FAILED);
	ck_assert_uint_ge(w.n_failed, 1);
	teardown(&w);
}
END_TEST

/* Numbers of neighbours that vanished are used again only after a pass over the flows. */
START_TEST(numbers_rest)
{
	struct world w;
	struct fib_res r;
	unsigned i;

	setup(&w, 0);
	for (i = 2; i < N_ADJ; i++)
		ck_assert(
			sh("ip neigh replace 10.0.0.%u lladdr 02:00:00:00:00:01 dev a0", 100 + i));
	until(&w, fib_adj_ready(look(&w, "10.0.0.115").adj_state));
	r = look(&w, "10.0.0.110");
	ck_assert(fib_adj_ready(r.adj_state));
	ck_assert(sh("ip neigh del 10.0.0.110 dev a0"));
	until(&w, !w.adj[r.adj].len);
	ck_assert(sh("ip neigh replace 10.0.0.50 lladdr 02:00:00:00:00:02 dev a0; "
		     "ip neigh replace 10.0.0.51 lladdr 02:00:00:00:00:02 dev a0; "
		     "ip neigh replace 10.0.0.115 lladdr 02:00:00:00:00:03 dev a0"));
	until(&w, w.adj[look(&w, "10.0.0.115").adj].hdr[5] == 3);
	ck_assert_uint_eq(w.adj[r.adj].len, 0);
	ck_assert_uint_eq(look(&w, "10.0.0.51").adj, 0);
	/* A pass that had begun before does not count; the one after it does. */
	fibctl_pass_end(w.c, fibctl_pass_begin(w.c));
	ck_assert(sh("ip neigh replace 10.0.0.51 lladdr 02:00:00:00:00:04 dev a0"));
	until(&w, fib_adj_ready(look(&w, "10.0.0.51").adj_state));
	ck_assert_uint_eq(look(&w, "10.0.0.51").adj, r.adj);
	teardown(&w);
}
END_TEST

/* The kernel drops events: everything is read anew, and what did not change serves all the time. */
START_TEST(lost_events)
{
	struct world w;
	struct fibctl_stats st;
	char path[] = "/tmp/test_fib_live.XXXXXX";
	FILE *f;

	setup(&w, 4096);
	ck_assert(sh("ip route add 30.0.0.0/8 via 10.0.0.2 dev a0 && "
		     "ip route add 31.0.0.0/8 via 10.0.0.2 dev a0"));
	until(&w, look(&w, "31.1.1.1").verdict == FIB_V_FORWARD);
	f = fdopen(mkstemp(path), "w");
	for (unsigned i = 0; i < 2000; i++)
		fprintf(f, "route add blackhole 40.%u.%u.0/24\n", i / 250, i % 250);
	fprintf(f, "route del 30.0.0.0/8\n");
	fclose(f);
	ck_assert(sh("ip -batch %s", path));
	unlink(path);
	do {
		struct fib_res r = look(&w, "31.1.1.1");

		/* While rules may have been lost it is the kernel's; never without a route. */
		ck_assert(r.verdict == FIB_V_FORWARD || r.reason == ELIG_RULE);
		ck_assert_int_eq(fibctl_run(w.c, 50), 0);
		fibctl_stats(w.c, &st);
	} while (!w.n_lost || st.resyncing || st.busy);
	ck_assert_uint_ge(w.n_resync, 1);
	ck_assert_uint_eq(look(&w, "30.1.1.1").verdict, FIB_V_NO_ROUTE);
	ck_assert_uint_eq(look(&w, "40.7.249.1").verdict, FIB_V_BLACKHOLE);
	ck_assert_uint_eq(look(&w, "31.1.1.1").verdict, FIB_V_FORWARD);
	teardown(&w);
}
END_TEST

static void expect(struct world *w, const char *dst, unsigned reason)
{
	uint64_t end = rtr_now_ns() + 10 * NSEC_PER_SEC;
	struct fib_res r;

	do {
		ck_assert_int_eq(fibctl_run(w->c, 50), 0);
		r = look(w, dst);
	} while (r.reason != reason && rtr_now_ns() < end);
	ck_assert_msg(r.reason == reason, "%s: %s instead of %s", dst, elig_text(r.reason),
		      elig_text(reason));
	ck_assert_uint_eq(r.verdict, reason ? FIB_V_KERNEL : FIB_V_FORWARD);
}

START_TEST(foreign_hooks)
{
	struct world w;
	uint32_t b1;

	setup(&w, 0);
	ck_assert(sh("ip route add 30.0.0.0/8 via 10.0.0.2 dev a0"));
	ck_assert(sh("ip -6 route add 2001::/16 via fd00::2 dev a0"));
	expect(&w, "30.0.0.1", ELIG_OK);
	/* IPsec: by flow. */
	ck_assert(sh("ip xfrm policy add src 10.0.0.0/8 dst 30.1.0.0/16 dir out action block"));
	expect(&w, "30.1.0.1", ELIG_XFRM);
	expect(&w, "30.2.0.1", ELIG_OK);
	ck_assert_uint_ge(w.n_closing, 1); /* XDP was told before */
	w.n_closing = 0;
	ck_assert(sh("ip xfrm policy add src ::/0 dst 2001:1::/32 dir fwd action block"));
	expect(&w, "2001:1::1", ELIG_XFRM);
	expect(&w, "2001:2::1", ELIG_OK);
	ck_assert(sh("ip xfrm policy flush"));
	expect(&w, "30.1.0.1", ELIG_OK);
	expect(&w, "2001:1::1", ELIG_OK);
	/* nftables: an empty chain does nothing, our own is no stranger. */
	w.n_closing = 0;
	ck_assert(sh(
		"nft add table inet rtr_main && nft add set inet rtr_main s '{ type ipv4_addr; }'"));
	expect(&w, "30.0.0.1", ELIG_OK);
	ck_assert_uint_eq(w.n_closing, 0);
	/* packet-tracer's, as it makes it; what only has its name is a stranger. */
	ck_assert(sh(
		"nft add table inet rtr_main.trace && "
		"nft add chain inet rtr_main.trace in '{ type filter hook prerouting priority -450; "
		"policy accept; }' && "
		"nft add chain inet rtr_main.trace out '{ type filter hook postrouting priority "
		"2147483646; policy accept; }' && "
		"nft add rule inet rtr_main.trace in ip id 7 meta nftrace set 1"));
	expect(&w, "30.0.0.1", ELIG_OK);
	ck_assert_uint_eq(w.n_closing, 0);
	ck_assert(sh("nft add table ip news")); /* all chains are read again */
	while (!w.n_closing)
		ck_assert_int_eq(fibctl_run(w.c, 50), 0);
	ck_assert_uint_eq(look(&w, "30.0.0.1").verdict, FIB_V_FORWARD);
	ck_assert(sh("nft add rule inet rtr_main.trace out counter"));
	expect(&w, "30.0.0.1", ELIG_NFT);
	ck_assert(sh("nft flush chain inet rtr_main.trace out && "
		     "nft add rule inet rtr_main.trace in counter"));
	expect(&w, "30.0.0.1", ELIG_NFT);
	ck_assert(sh("nft delete table inet rtr_main.trace"));
	expect(&w, "30.0.0.1", ELIG_OK);
	w.n_closing = 0;
	ck_assert(sh("nft add table ip f && "
		     "nft add chain ip f c '{ type filter hook forward priority 0; }' && "
		     "nft add table inet rtr_main && "
		     "nft add chain inet rtr_main c '{ type filter hook forward priority 0; "
		     "policy drop; }' && nft add rule inet rtr_main c drop"));
	expect(&w, "30.0.0.1", ELIG_OK);
	ck_assert(sh("nft add rule ip f c counter"));
	expect(&w, "30.0.0.1", ELIG_NFT);
	ck_assert_uint_ge(w.n_closing, 1);
	ck_assert(sh("nft flush chain ip f c"));
	expect(&w, "30.0.0.1", ELIG_OK);
	ck_assert(
		sh("nft add table netdev d && nft add chain netdev d c '{ type filter hook ingress "
		   "device a0 priority 0; policy drop; }'"));
	expect(&w, "30.0.0.1", ELIG_NFT);
	ck_assert(sh("nft delete table netdev d"));
	expect(&w, "30.0.0.1", ELIG_OK);
	/* What goes, and tc where nothing of ours passes, close nothing. */
	ck_assert(sh("tc qdisc add dev b1 root tbf rate 1mbit burst 10k latency 10ms && "
		     "nft add table ip f '{ flags dormant; }' && tc qdisc add dev a1 clsact"));
	b1 = if_nametoindex("b1");
	until(&w, w.n_closing && fib_link(fibctl_fib(w.c), b1)->reason == ELIG_TC);
	w.n_closing = 0;
	ck_assert(sh("nft delete table ip f && tc qdisc del dev a1 clsact && "
		     "tc qdisc del dev b1 root"));
	until(&w, !fib_link(fibctl_fib(w.c), b1)->reason);
	ck_assert(sh("tc qdisc add dev b1 root tbf rate 1mbit burst 10k latency 10ms"));
	until(&w, fib_link(fibctl_fib(w.c), b1)->reason == ELIG_TC);
	ck_assert_uint_eq(w.n_closing, 0);
	/* tc: a filter, a shaper. */
	ck_assert(sh("tc qdisc add dev a0 clsact"));
	expect(&w, "30.0.0.1", ELIG_OK);
	ck_assert(sh("tc filter add dev a0 egress protocol ip u32 match u32 0 0 classid 1:1"));
	expect(&w, "30.0.0.1", ELIG_TC);
	ck_assert(sh("tc qdisc del dev a0 clsact"));
	expect(&w, "30.0.0.1", ELIG_OK);
	ck_assert(sh("tc qdisc add dev a0 root tbf rate 1mbit burst 10k latency 10ms"));
	expect(&w, "30.0.0.1", ELIG_TC);
	ck_assert(sh("tc qdisc del dev a0 root"));
	expect(&w, "30.0.0.1", ELIG_OK);
	/* A port of a bridge has no routes of its own. */
	ck_assert(sh("ip link add br0 type bridge && ip link set a1 master br0"));
	expect(&w, "30.0.0.1", ELIG_LINK_MASTER);
	ck_assert(sh("ip link set a1 nomaster && sysctl -qw net.ipv4.conf.a1.forwarding=0"));
	expect(&w, "30.0.0.1", ELIG_FORWARDING_OFF);
	ck_assert(sh("sysctl -qw net.ipv4.conf.a1.forwarding=1"));
	expect(&w, "30.0.0.1", ELIG_OK);
	teardown(&w);
}
END_TEST

static enum fib_rpf_verdict rpf(const struct world *w, const char *src, unsigned mode)
{
	struct fib_key k = { .iif = w->a1, .family = strchr(src, ':') ? AF_INET6 : AF_INET };

	inet_pton(k.family, k.family == AF_INET ? "10.0.0.9" : "fd00::9", k.dst.b);
	inet_pton(k.family, src, k.src.b);
	return fib_rpf(fibctl_fib(w->c), &k, w->a0, mode);
}

/* The kernel refuses a source by an error, whatever it is. */
static bool kernel_takes(const struct world *w, int oracle, const char *src)
{
	struct fib_key k = { .iif = w->a1, .family = AF_INET };
	struct oracle_way way;

	inet_pton(AF_INET, "10.0.0.9", k.dst.b);
	inet_pton(AF_INET, src, k.src.b);
	oracle_ask(oracle, &k, &way);
	return !way.err;
}

/* Messages that sockets of IPsec's events have lost. */
static unsigned lost_xfrm(void)
{
	unsigned sum = 0, proto, drops;
	FILE *f = fopen("/proc/net/netlink", "re");
	char line[256];

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %u %*u %*x %*d %*d %*d %*d %u", &proto, &drops) == 2 &&
		    proto == NETLINK_XFRM)
			sum += drops;
	fclose(f);
	return sum;
}

/* 3,000 policies that do not concern us, and what else; nobody reads the events meanwhile. */
static void overrun(const char *more)
{
	ck_assert(sh("(for i in 1 2 3 4 5 6 7 8 9 10; do for j in `seq 150`; do "
		     "echo xfrm policy add src 40.$i.$j.0/24 dst 41.0.0.0/8 dir in action block; "
		     "echo xfrm policy del src 40.$i.$j.0/24 dst 41.0.0.0/8 dir in; done; done; "
		     "%s) | ip -batch -",
		     more));
	ck_assert_uint_gt(lost_xfrm(), 0);
}

/* Events that are lost may have told of anything; what there is decides. */
START_TEST(lost_hooks)
{
	struct world w;

	setup(&w, 0);
	ck_assert(sh("ip route add 30.0.0.0/8 via 10.0.0.2 dev a0 && "
		     "ip xfrm policy add src 10.0.0.0/8 dst 30.1.0.0/16 dir out action block"));
	expect(&w, "30.1.0.1", ELIG_XFRM);
	expect(&w, "30.2.0.1", ELIG_OK);
	w.n_closing = 0;
	overrun("");
	/* Behind all of it. */
	ck_assert(sh("ip route add 34.0.0.0/8 via 10.0.0.2 dev a0"));
	expect(&w, "34.0.0.1", ELIG_OK);
	expect(&w, "30.1.0.1", ELIG_XFRM);
	ck_assert_uint_eq(w.n_closing, 0);
	overrun("echo xfrm policy add src 10.0.0.0/8 dst 30.2.0.0/16 dir out action block");
	expect(&w, "30.2.0.1", ELIG_XFRM);
	ck_assert_uint_eq(w.n_closing, 1);
	teardown(&w);
}
END_TEST

START_TEST(reverse_path)
{
	static const char *const sources[] = { "10.0.1.9",  "10.0.0.9", "30.0.0.1", "31.0.0.1",
					       "50.0.0.1",  "10.0.0.1", "10.0.1.1", "127.0.0.1",
					       "224.0.0.1", "32.0.0.1" };
	int oracle;
	struct world w;

	setup(&w, 0);
	oracle = oracle_open();
	ck_assert(sh(
		"ip route add 30.0.0.0/8 via 10.0.0.2 dev a0 && "
		"ip route add 31.0.0.0/8 nexthop via 10.0.0.2 dev a0 nexthop via 10.0.1.2 dev a1 && "
		"ip route add blackhole 32.0.0.0/8 && "
		"ip -6 route add 2001::/16 via fd00:1::2 dev a1 && "
		"sysctl -qw net.ipv4.conf.all.rp_filter=0"));
	until(&w, look(&w, "31.0.0.1").verdict == FIB_V_FORWARD);
	for (unsigned mode = 0; mode < 3; mode++) {
		ck_assert(sh("sysctl -qw net.ipv4.conf.a1.rp_filter=%u", mode));
		until(&w, fib_link(fibctl_fib(w.c), w.a1)->rp_filter == mode);
		for (unsigned i = 0; i < ARRAY_LEN(sources); i++) {
			enum fib_rpf_verdict v = rpf(&w, sources[i], FIB_RPF_SYSCTL);

			ck_assert_msg(v == FIB_RPF_KERNEL ||
					      (v == FIB_RPF_PASS) ==
						      kernel_takes(&w, oracle, sources[i]),
				      "%s, rp_filter %u: %u", sources[i], mode, v);
		}
	}
	/* A setting that the kernel tells nobody of. */
	ck_assert(sh("sysctl -qw net.ipv4.conf.a1.accept_local=1"));
	until(&w, fib_link(fibctl_fib(w.c), w.a1)->accept_local);
	/* As configured: a default route does not count unless it is said to. */
	ck_assert_uint_eq(rpf(&w, "30.0.0.1", FIB_RPF_STRICT), FIB_RPF_FAIL);
	ck_assert_uint_eq(rpf(&w, "30.0.0.1", FIB_RPF_LOOSE), FIB_RPF_PASS);
	ck_assert_uint_eq(rpf(&w, "50.0.0.1", FIB_RPF_LOOSE), FIB_RPF_FAIL);
	ck_assert_uint_eq(rpf(&w, "2001::1", FIB_RPF_STRICT), FIB_RPF_PASS);
	ck_assert(sh("ip route add default via 10.0.1.2 dev a1"));
	until(&w, look(&w, "50.0.0.1").verdict == FIB_V_FORWARD);
	ck_assert_uint_eq(rpf(&w, "50.0.0.1", FIB_RPF_LOOSE), FIB_RPF_FAIL);
	ck_assert_uint_eq(rpf(&w, "50.0.0.1", FIB_RPF_STRICT | FIB_RPF_ALLOW_DEFAULT),
			  FIB_RPF_PASS);
	close(oracle);
	teardown(&w);
}
END_TEST

/* An error about a packet from there that came in by a0. */
static bool error_to(const struct world *w, const char *to, uint32_t hash, union fib_ip *ret_src,
		     struct fib_res *ret)
{
	struct fib_key k = { .iif = w->a0, .proto = 17, .hash = hash };

	k.family = strchr(to, ':') ? AF_INET6 : AF_INET;
	inet_pton(k.family, to, k.src.b);
	return fib_icmp_way(fibctl_fib(w->c), &k, ret_src, ret);
}

static void expect_error(const struct world *w, const char *to, const char *src)
{
	uint8_t family = strchr(to, ':') ? AF_INET6 : AF_INET;
	union fib_ip want = { 0 }, got = { 0 };
	struct fib_res r;

	inet_pton(family, src, want.b);
	ck_assert(error_to(w, to, 0, &got, &r));
	ck_assert_mem_eq(&got, &want, sizeof(got));
	ck_assert_uint_eq(r.verdict, FIB_V_FORWARD);
	ck_assert_uint_eq(r.oif, w->a1);
	/* The kernel's word for it, but that IPv6 looks for the address where the packet came. */
	if (family == AF_INET)
		ck_assert_msg(sh("ip route get %s | grep -qw 'src %s'", to, src), "%s", to);
}

START_TEST(icmp_way)
{
	unsigned by[2] = { 0 };
	struct fib_res r;
	union fib_ip got;
	struct world w;

	setup(&w, 0);
	ck_assert(sh(
		"ip addr add 20.0.0.1/24 dev a1 && ip addr add 10.0.1.3/24 dev a1 && "
		"ip addr add fd00:1::3/64 dev a0 nodad && ip addr add 2002:5::1/64 dev a0 nodad "
		"preferred_lft 0 && ip addr add 3001::1/64 dev a0 nodad && "
		"ip route add 30.0.0.0/8 via 20.0.0.2 dev a1 && "
		"ip route add 31.0.0.0/8 via 10.0.1.2 dev a1 && "
		"ip route add 32.0.0.0/8 via 10.0.1.2 dev a1 src 10.0.0.1 && "
		"ip route add 33.0.0.0/8 nexthop via 10.0.0.2 dev a0 nexthop via 10.0.1.2 dev a1 "
		"&& ip route add unreachable 34.0.0.0/8 && "
		"ip -6 route add 2400::/16 via fd00:1::2 dev a1 && "
		"ip -6 route add 2401::/16 via fd00:1::2 dev a1 src fd00:1::1 && "
		"ip -6 route add fd77::/16 via fd00:1::2 dev a1"));
	until(&w, look(&w, "fd77::1").verdict == FIB_V_FORWARD);
	expect_error(&w, "10.0.1.9", "10.0.1.1");
	expect_error(&w, "30.0.0.1", "20.0.0.1");
	expect_error(&w, "31.0.0.1", "10.0.1.1");
	expect_error(&w, "32.0.0.1", "10.0.0.1");
	expect_error(&w, "2400::1", "3001::1");
	expect_error(&w, "2401::1", "fd00:1::1");
	expect_error(&w, "fd77::1", "fd00:1::3");
	/* Each of several ways has its address. */
	for (unsigned i = 0; i < 64; i++) {
		ck_assert(error_to(&w, "33.0.0.1", i, &got, &r));
		by[r.oif == w.a1]++;
		ck_assert_uint_eq(got.b[2], r.oif == w.a1);
	}
	ck_assert_uint_gt(by[0], 16);
	ck_assert_uint_gt(by[1], 16);
	ck_assert(!error_to(&w, "50.0.0.1", 0, &got, &r));
	ck_assert(!error_to(&w, "34.0.0.1", 0, &got, &r));
	teardown(&w);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("fib_live");
	TCase *t = tcase_create("all");

	netns_or_skip();
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, neighbours, 0, 2);
	tcase_add_test(t, numbers_rest);
	tcase_add_test(t, lost_events);
	tcase_add_test(t, foreign_hooks);
	tcase_add_test(t, lost_hooks);
	tcase_add_test(t, reverse_path);
	tcase_add_test(t, icmp_way);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
