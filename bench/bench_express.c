/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what a packet of an established flow costs in the express lane: NAT both directions, TCP
 * with window checks, counters, time, over tables of 4,096 and 1,000,000 flows in random order,
 * beside the kernel with nftables, connection tracking and the same translation.
 *
 *	gen ns: g0 ---- d0 [express] d1 ---- s0 :sink ns        cost = 1/rate - 1/rate(control)
 *	        g1 ---- c0 [drop]
 *	        g2 ---- k0 [kernel]  k1 ---- t0 :sink ns
 *
 * The generator (BPF_PROG_RUN with live frames) and all behind it run on one core, so the time of
 * a run is the sum of their costs and the control is what the generator alone takes. The control
 * is measured beside each sample. Before that, one pass of all flows is checked at the sink: order,
 * link header, hop limit, both checksums. TCP connections send one way and are acknowledged the
 *other way, in random order. The kernel has 1,000 rules behind "established accept". Its tracking
 *is liberal, which spares it the windows that express tests.
 */
#include "lib/bench.h"
#include "express_gen.h"
#include "express_gen.skel.h"
#include "fastpath/csum.h"
#include "fastpath/flow.h"
#include "fastpath/rewrite.h"
#include "fastpath/tcp_track.h"
#include "fastpath/xdp_load.h"
#include "tests/lib/netns.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define N_RUN   32768 /* frames of a run, about 10 ms */
#define N_PAIRS 15    /* runs of a sample, each beside one of the control */
#define N_RULES 1000
#define WINDOW  30000
#define MAC_OF(n)                                                                                  \
	{                                                                                          \
		2, 0, 0, 0, 0, (n)                                                                 \
	}

enum { IN_G0 = 1, IN_D0, OUT_D1, AT_S0, IN_C0, IN_K0, OUT_K1, AT_T0 };

struct kind {
	const char *name;
	enum flow_family fam;
	uint8_t proto;
};

static const struct kind kinds[] = {
	{ "UDP IPv4", FLOW_4, IPPROTO_UDP },
	{ "TCP IPv4", FLOW_4, IPPROTO_TCP },
	{ "UDP IPv6", FLOW_6, IPPROTO_UDP },
	{ "TCP IPv6", FLOW_6, IPPROTO_TCP },
};

static struct bench_opts opt;
static int ns_gen, ns_dut, ns_kern, ns_sink;
static unsigned if_g0, if_g1, if_g2;
static struct express_gen_bpf *gen, *sink_drop, *sink_check, *sink_kern;

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "express: line %d: %s: %s\n", __LINE__, #x,                \
				strerror(errno));                                                  \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

/* --- the topology --- */

static int ns_new(void)
{
	int fd;

	MUST(!unshare(CLONE_NEWNET));
	MUST(sh("ip link set lo up"));
	fd = open("/proc/self/ns/net", O_RDONLY);
	MUST(fd >= 0);
	return fd;
}

static void enter(int ns)
{
	MUST(!setns(ns, CLONE_NEWNET));
}

/* A pair a (in the namespace we are in) and b in ns, with the addresses MAC_OF. */
static void pair(const char *a, int mac_a, const char *b, int mac_b, int ns)
{
	int here = open("/proc/self/ns/net", O_RDONLY);

	MUST(sh("ip link add %s address 02:00:00:00:00:%02x type veth peer name %s "
		"address 02:00:00:00:00:%02x",
		a, mac_a, b, mac_b));
	MUST(sh("ip link set %s netns /proc/%d/fd/%d", b, getpid(), ns));
	MUST(sh("ip link set %s up", a));
	enter(ns);
	MUST(sh("ip link set %s up", b));
	enter(here);
	close(here);
}

static unsigned index_of(const char *name)
{
	unsigned i = if_nametoindex(name);

	MUST(i);
	return i;
}

static struct express_gen_bpf *attach(int ns, const char *dev)
{
	struct express_gen_bpf *s = express_gen_bpf__open_and_load();
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	int prog;

	MUST(s);
	prog = bpf_program__fd(s->progs.express_drop);
	enter(ns);
	/* The descriptor is the link; it ends with the process. */
	MUST(bpf_link_create(prog, (int)index_of(dev), BPF_XDP, &opts) >= 0);
	enter(ns_gen);
	return s;
}

static void topology(void)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);

	ns_sink = ns_new();
	ns_dut = ns_new();
	pair("d1", OUT_D1, "s0", AT_S0, ns_sink);
	ns_kern = ns_new();
	pair("k1", OUT_K1, "t0", AT_T0, ns_sink);
	ns_gen = ns_new();
	pair("g0", IN_G0, "d0", IN_D0, ns_dut);
	pair("g1", IN_G0, "c0", IN_C0, ns_dut);
	pair("g2", IN_G0, "k0", IN_K0, ns_kern);
	if_g0 = index_of("g0");
	if_g1 = index_of("g1");
	if_g2 = index_of("g2");
	gen = express_gen_bpf__open_and_load();
	MUST(gen);
	/* Attached somewhere it stays known to the kernel's dispatcher: else each run takes 25 ms.
	 */
	MUST(sh("ip link add park type veth peer name parked"));
	MUST(bpf_link_create(bpf_program__fd(gen->progs.express_gen), (int)index_of("park"),
			     BPF_XDP, &opts) >= 0);
	attach(ns_dut, "c0");
	sink_drop = express_gen_bpf__open_and_load();
	sink_check = express_gen_bpf__open_and_load();
	MUST(sink_drop && sink_check);
	sink_kern = attach(ns_sink, "t0");
}

/* 1,000 rules of pairs of prefixes and ports behind "established", as a policy has them. */
static void kernel_rules(void)
{
	char path[] = "/tmp/rtr-bench-XXXXXX";
	int fd = mkstemp(path);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	MUST(f);
	fprintf(f, "table inet t {\n"
		   "chain through { type filter hook forward priority 0; policy drop;\n"
		   "ct state established,related accept\n");
	for (int i = 0; i < N_RULES - 2; i++)
		fprintf(f, "ip saddr 172.%d.%d.0/24 tcp dport %d drop\n", 16 + i % 16, i / 16,
			1000 + i);
	fprintf(f, "iifname \"k0\" accept\n}\n"
		   "chain out { type nat hook postrouting priority 100;\n"
		   "oifname \"k1\" ip saddr 10.0.0.0/8 snat ip to 203.0.113.1\n"
		   "oifname \"k1\" ip6 saddr fd00::/16 snat ip6 to 2001:db8:ffff::1\n}\n}\n");
	MUST(!fclose(f));
	MUST(sh("nft -f %s", path));
	unlink(path);
}

static void kernel_setup(void)
{
	enter(ns_kern);
	MUST(sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
		"net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.k0.rp_filter=0"));
	kernel_rules();
	MUST(sh("sysctl -qw net.netfilter.nf_conntrack_tcp_be_liberal=1"));
	MUST(sh("ip addr add 192.0.2.1/24 dev k0 && ip addr add 192.0.3.1/24 dev k1 && "
		"ip -6 addr add 2001:db8:1::1/64 dev k0 nodad && "
		"ip -6 addr add 2001:db8:2::1/64 dev k1 nodad && "
		"ip addr add 203.0.113.1/32 dev lo && ip -6 addr add 2001:db8:ffff::1/128 dev lo"));
	/* Both directions come in by k0 and leave by k1: the inside is behind k1 as well. */
	MUST(sh("ip neigh add 192.0.3.2 lladdr 02:00:00:00:00:%02x dev k1 && "
		"ip -6 neigh add 2001:db8:2::2 lladdr 02:00:00:00:00:%02x dev k1 && "
		"ip route add default via 192.0.3.2 && "
		"ip -6 route add default via 2001:db8:2::2",
		AT_T0, AT_T0));
	/* Frames redirected into a veth need a NAPI there. */
	MUST(sh("ethtool -K k0 gro on"));
	enter(ns_gen);
}

/* --- frames --- */

static uint32_t add_words(const uint8_t *d, int from, int to)
{
	uint32_t sum = 0;

	for (int i = from; i < to; i += 2)
		sum += fp_ld16(d + i);
	return sum;
}

static const uint8_t v6_in[16] = { 0xfd }, v6_out[16] = { 0x20, 1, 0xd, 0xb8, 0x12 },
		     v6_nat[16] = { 0x20, 1, 0xd, 0xb8, 0xff, 0xff, [15] = 1 };
#define V4_IN   0x0a000000u
#define V4_OUT  0xc6120000u
#define V4_NAT  0xcb007101u
#define PORT_IN 16384u

/* nat_port: of flow 0; the kernel keeps the port of the inside. */
static void gen_dir(const struct kind *k, int dir, uint8_t mac_to, uint16_t nat_port)
{
	struct express_gen_dir t = { .port_base = dir ? nat_port : PORT_IN };
	const uint8_t to[6] = MAC_OF(mac_to), from[6] = MAC_OF(IN_G0);
	unsigned ip_len = k->fam == FLOW_4 ? 20 : 40, l4 = 14 + ip_len, len = EXPRESS_GEN_LEN - l4;
	uint8_t *d = (uint8_t *)t.frame, *ip = d + 14, *h = d + l4;

	memcpy(d, to, 6);
	memcpy(d + 6, from, 6);
	fp_st16(d + 12, k->fam == FLOW_4 ? FP_ETH_IP4 : FP_ETH_IP6);
	if (k->fam == FLOW_4) {
		ip[0] = 0x45;
		fp_st16(ip + 2, EXPRESS_GEN_LEN - 14);
		fp_st16(ip + 6, FP_IP4_DF);
		ip[8] = 64;
		ip[9] = k->proto;
		t.ip_sum = add_words(d, 14, 34);
		t.ip_check = 1;
	} else {
		ip[0] = 0x60;
		fp_st16(ip + 4, (uint16_t)len);
		ip[6] = k->proto;
		ip[7] = 64;
		memcpy(ip + 8, dir ? v6_out : v6_in, 16);
		memcpy(ip + 24, dir ? v6_nat : v6_out, 16);
		/* The last four bytes are added by flow. */
		memset(ip + 20, 0, 4);
		memset(ip + 36, 0, 4);
	}
	t.addr[0].at = k->fam == FLOW_4 ? 26 : 34;
	t.addr[1].at = k->fam == FLOW_4 ? 30 : 50;
	t.addr[0].shift = dir ? 14 : 0;
	t.addr[1].shift = dir ? 31 : 14;
	t.addr[0].base = k->fam == FLOW_6 ? 0 : dir ? V4_OUT : V4_IN;
	t.addr[1].base = k->fam == FLOW_6 ? (uint32_t)dir : dir ? V4_NAT : V4_OUT;
	fp_st16(h + (dir ? 0 : 2), 80);
	t.port_at = l4 + (dir ? 2 : 0);
	if (k->proto == IPPROTO_TCP) {
		t.payload = EXPRESS_GEN_LEN - l4 - 20;
		t.seq_at = dir ? 0 : l4 + 4;
		t.ack_at = dir ? l4 + 8 : 0;
		fp_st32(h + (dir ? 4 : 8), 1);
		h[12] = 0x50;
		h[13] = 0x10;
		fp_st16(h + 14, WINDOW);
		t.check_at = l4 + FP_TCP_CSUM;
	} else {
		fp_st16(h + 4, (uint16_t)len);
		t.check_at = l4 + FP_UDP_CSUM;
	}
	t.sum = add_words(d, l4, EXPRESS_GEN_LEN) + len + k->proto;
	if (k->fam == FLOW_6)
		t.sum += add_words(d, 22, 54);
	gen->bss->gen.dir[dir] = t;
}

/* What a frame takes. Cycles and instructions, where the machine counts them (else 0), say more
 * than the time on one that others use, too. */
enum taken { NS, CYCLES, INSTRUCTIONS, TAKEN__MAX };

struct cost {
	double of[TAKEN__MAX];
};

static int counter[TAKEN__MAX] = { -1, -1, -1 };

static void counters_open(void)
{
	static const uint64_t event[TAKEN__MAX] = {
		[CYCLES] = PERF_COUNT_HW_CPU_CYCLES, [INSTRUCTIONS] = PERF_COUNT_HW_INSTRUCTIONS
	};

	for (int t = CYCLES; t < TAKEN__MAX; t++) {
		struct perf_event_attr a = { .type = PERF_TYPE_HARDWARE,
					     .size = sizeof(a),
					     .config = event[t],
					     .exclude_hv = 1 };

		counter[t] = (int)syscall(SYS_perf_event_open, &a, 0, -1, -1, 0ul);
	}
}

static uint64_t counter_read(enum taken t)
{
	uint64_t v = 0;

	return read(counter[t], &v, sizeof(v)) == sizeof(v) ? v : 0;
}

/* Runs n frames; what one takes, the way down to the sink and the sink included. */
static struct cost run_gen(uint32_t n)
{
	static uint8_t data[EXPRESS_GEN_LEN];
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = data, .data_size_in = sizeof(data),
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 64, .repeat = (int)n);

	struct cost c;

	for (int t = CYCLES; t < TAKEN__MAX; t++)
		c.of[t] = -(double)counter_read(t);
	MUST(!bpf_prog_test_run_opts(bpf_program__fd(gen->progs.express_gen), &o));
	for (int t = CYCLES; t < TAKEN__MAX; t++)
		c.of[t] = (c.of[t] + (double)counter_read(t)) / n;
	c.of[NS] = o.duration;
	return c;
}

static struct cost sample(unsigned ifindex, uint8_t mac_to, uint32_t n)
{
	gen->bss->gen.ifindex = ifindex;
	gen->bss->gen.lane = ifindex == if_g0 ? 0 : ifindex == if_g1 ? 1 : 2;
	for (int d = 0; d < 2; d++)
		((uint8_t *)gen->bss->gen.dir[d].frame)[5] = mac_to;
	return run_gen(n);
}

/* --- express --- */

static struct fp_flow_mem mem;
static struct fp_flow *table;
static struct fp_xdp *xdp;

static void tuple4(struct fp_tuple4 *t, struct fp_tuple4 *to, const struct kind *k, uint32_t i)
{
	uint16_t p = (uint16_t)(i & EXPRESS_GEN_PORTS);

	*t = (struct fp_tuple4){ htonl(V4_IN + i), htonl(V4_OUT + (i >> 14)),
				 htons((uint16_t)(PORT_IN + p)), htons(80), k->proto };
	*to = *t;
	to->src_be = htonl(V4_NAT);
	to->sport_be = htons((uint16_t)(2 * PORT_IN + p));
}

static void tuple6(struct fp_tuple6 *t, struct fp_tuple6 *to, const struct kind *k, uint32_t i)
{
	uint16_t p = (uint16_t)(i & EXPRESS_GEN_PORTS);

	*t = (struct fp_tuple6){ .sport_be = htons((uint16_t)(PORT_IN + p)),
				 .dport_be = htons(80),
				 .proto = k->proto };
	memcpy(t->src, v6_in, 12);
	fp_st32(t->src + 12, i);
	memcpy(t->dst, v6_out, 12);
	fp_st32(t->dst + 12, i >> 14);
	*to = *t;
	memcpy(to->src, v6_nat, 16);
	to->sport_be = htons((uint16_t)(2 * PORT_IN + p));
}

/* The words of key and rewrite are those of the tuples; the way back is the inverse. */
static void flow_make(struct fp_flow_new *f, const struct kind *k, uint32_t i)
{
	struct fp_tuple4 t4, to4;
	struct fp_tuple6 t6, to6;

	*f = (struct fp_flow_new){ .time = fp_flow_now(), .timeout = 1u << 20, .policy = 1 };
	tuple4(&t4, &to4, k, i);
	tuple6(&t6, &to6, k, i);
	for (int d = 0; d < 2; d++) {
		struct fp_flow_half *h = &f->dir[d];
		bool tcp = k->proto == IPPROTO_TCP;

		if (k->fam == FLOW_4) {
			struct fp_tuple4 from = d ? (struct fp_tuple4){ to4.dst_be, to4.src_be,
									to4.dport_be, to4.sport_be,
									k->proto }
						  : t4;
			struct fp_tuple4 into = d ? (struct fp_tuple4){ t4.dst_be, t4.src_be,
									t4.dport_be, t4.sport_be,
									k->proto }
						  : to4;
			struct fp_nat4 n;

			fp_nat4_init(&n, &from, &into);
			h->key4 = (struct flow_key4){ from.src_be,
						      from.dst_be,
						      from.sport_be,
						      from.dport_be,
						      k->proto,
						      0,
						      0 };
			h->rw4 = (struct flow_rewrite4){ n.src_be,   n.dst_be,   n.sport_be,
							 n.dport_be, n.ip_delta, n.l4_delta };
		} else {
			struct fp_tuple6 from = t6, into = to6;
			struct fp_nat6 n;

			if (d) {
				memcpy(from.src, to6.dst, 16);
				memcpy(from.dst, to6.src, 16);
				memcpy(into.src, t6.dst, 16);
				memcpy(into.dst, t6.src, 16);
				from.sport_be = into.sport_be = t6.dport_be;
				from.dport_be = to6.sport_be;
				into.dport_be = t6.sport_be;
			}
			fp_nat6_init(&n, &from, &into);
			h->key6 = (struct flow_key6){ .sport = from.sport_be,
						      .dport = from.dport_be,
						      .proto = k->proto };
			memcpy(h->key6.saddr, from.src, 16);
			memcpy(h->key6.daddr, from.dst, 16);
			h->rw6 = (struct flow_rewrite6){ .sport = n.sport_be,
							 .dport = n.dport_be,
							 .l4_delta = n.l4_delta };
			memcpy(h->rw6.saddr, n.src, 16);
			memcpy(h->rw6.daddr, n.dst, 16);
		}
		h->egress = flow_egress(1, 30, 0);
		h->state = (uint8_t)(FLOW_P_EXPRESS | (tcp ? TCPT_S_ESTABLISHED : 1)
							      << FLOW_TRACK_SHIFT);
		h->flags = FLOW_F_REWRITE | (tcp ? FLOW_F_TCP : 0);
		/* Both ends number from 1. */
		h->tcp = (struct flow_tcp){ .end = 1, .edge = 1 + WINDOW };
	}
}

static void express_open(const struct kind *k, uint32_t n, uint32_t room)
{
	struct fp_flow_conf fc = { .n_workers = 1, .reserve = 65536 };
	uint32_t flows[FLOW__FAMILIES] = { 1, 1 };
	struct fp_xdp_conf xc = { .mem = &mem, .n_ports = 2, .n_adj = 16, .n_xsks = 1 };
	struct fp_adj adj = { .hdr = MAC_OF(AT_S0), .len = 14, .mtu = 1500, .port = 1 };
	const uint8_t from[6] = MAC_OF(OUT_D1);
	struct fp_flow_worker *wk;
	uint32_t refused = 0;

	memcpy(adj.hdr + 6, from, 6);
	flows[k->fam] = room;
	MUST(!fp_flow_mem_bpf(flows, NULL, &mem));
	MUST(!fp_flow_open(&mem, &fc, &table));
	wk = fp_flow_worker(table, 0);
	for (uint32_t i = 0; i < n; i++) {
		struct fp_flow_new f;
		uint64_t ref;

		if (!(i & 255))
			fp_flow_maintain(table, 4096);
		flow_make(&f, k, i);
		/* 1 of 100,000 finds both buckets full and is a miss in what follows. */
		refused += fp_flow_insert(wk, k->fam, &f, &ref) != 0;
	}
	MUST(refused <= n / 10000 + 1);
	enter(ns_dut);
	MUST(!fp_xdp_new(&xc, &xdp));
	fp_xdp_ctl(xdp)->policy = 1;
	MUST(!fp_xdp_adj_set(xdp, 1, &adj));
	for (uint32_t slot = 0; slot < 2; slot++) {
		struct express_port p = { .mac = MAC_OF(slot ? OUT_D1 : IN_D0),
					  .on = 1,
					  .flags = EXPRESS_PF_PARTIAL,
					  .slot = slot };

		MUST(!fp_xdp_port_set(xdp, index_of(slot ? "d1" : "d0"), &p));
	}
	enter(ns_gen);
}

static void express_close(void)
{
	xdp = fp_xdp_free(xdp);
	table = fp_flow_close(table);
	fp_flow_mem_fini(&mem);
}

/* What the program did with the frames, for who looks for the fault. */
static void express_tell(void)
{
	struct express_count c;

	MUST(!fp_xdp_counts(xdp, 0, &c));
	for (unsigned i = 0; i < EXPRESS_V__MAX; i++)
		if (c.verdict[i])
			fprintf(stderr, "  %llu %s\n", (unsigned long long)c.verdict[i],
				fp_xdp_verdict_text(i));
	for (unsigned i = 0; i < RTR_DROP__MAX; i++)
		if (c.drop[i])
			fprintf(stderr, "  %llu dropped: %s\n", (unsigned long long)c.drop[i],
				rtr_drop_text(i));
}

/* All flows in both directions once, each frame looked at. */
static void express_verify(const struct kind *k, uint32_t n)
{
	const struct express_sink first = { .link = { 2, 0, 0, 0, 0, AT_S0, 2, 0, 0, 0, 0,
						      OUT_D1 } };
	volatile struct express_sink *s = &sink_check->bss->sink;
	uint64_t lost;
	size_t size = EXPRESS_GEN_LANES * EXPRESS_GEN_FLOWS * sizeof(uint32_t);
	uint32_t *sent = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			      bpf_map__fd(gen->maps.sent), 0);

	MUST(sent != MAP_FAILED);
	memset(sent, 0, size);
	munmap(sent, size);
	sink_check->bss->sink = first;
	for (int d = 0; d < 2; d++) {
		gen->bss->gen.in_order = (uint32_t)(2 + d);
		gen->bss->gen.first = gen->bss->gen.n;
		sample(if_g0, IN_D0, n);
	}
	gen->bss->gen.in_order = 0;
	lost = 2ull * n - s->frames;
	if (lost > 2 * (n / 10000 + 1) || s->right != s->frames || s->reordered) {
		fprintf(stderr,
			"express: %s, %u flows: of %u frames %llu arrived, %llu right, %llu late\n",
			k->name, n, 2 * n, (unsigned long long)s->frames,
			(unsigned long long)s->right, (unsigned long long)s->reordered);
		express_tell();
		exit(1);
	}
}

/* All that was sent was sent by the express lane because it judged so, but for the flows refused.
 */
static void express_alone(const struct kind *k)
{
	struct express_count c;
	uint64_t other = 0;

	MUST(!fp_xdp_counts(xdp, 0, &c));
	for (unsigned i = 0; i < EXPRESS_V__MAX; i++)
		other += i == EXPRESS_V_SENT ? 0 : c.verdict[i];
	if (other <= c.verdict[EXPRESS_V_SENT] / 1000)
		return;
	fprintf(stderr, "express: %s: not all was express\n", k->name);
	express_tell();
	exit(1);
}

/* --- the cases --- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double v[N_PAIRS])
{
	qsort(v, N_PAIRS, sizeof(v[0]), by_value);
	return v[N_PAIRS / 2];
}

/* The median difference of a run and a control right beside it: on a shared machine what a run
 * takes swings by half within seconds. */
static struct cost cost(unsigned ifindex, uint8_t mac_to, struct cost *ret_control)
{
	double diff[TAKEN__MAX][N_PAIRS], ctl[TAKEN__MAX][N_PAIRS];
	struct cost c, s, ret;

	for (int i = 0; i < N_PAIRS; i++) {
		c = sample(if_g1, IN_C0, N_RUN);
		s = sample(ifindex, mac_to, N_RUN);
		for (int t = 0; t < TAKEN__MAX; t++) {
			ctl[t][i] = c.of[t];
			diff[t][i] = s.of[t] - c.of[t];
		}
	}
	for (int t = 0; t < TAKEN__MAX; t++) {
		ret_control->of[t] = median(ctl[t]);
		ret.of[t] = median(diff[t]);
	}
	return ret;
}

static void sink_is(bool check)
{
	static int fd = -1;
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	struct express_gen_bpf *s = check ? sink_check : sink_drop;
	int prog = bpf_program__fd(check ? s->progs.express_check : s->progs.express_drop);

	if (fd >= 0) {
		MUST(!bpf_link_update(fd, prog, NULL));
		return;
	}
	enter(ns_sink);
	fd = bpf_link_create(prog, (int)index_of("s0"), BPF_XDP, &opts);
	MUST(fd >= 0);
	enter(ns_gen);
}

static void kernel_warm(const struct kind *k, uint32_t n)
{
	uint64_t before = sink_kern->bss->sink.frames, got;

	for (int d = 0; d < 2; d++) {
		gen->bss->gen.in_order = (uint32_t)(2 + d);
		gen->bss->gen.first = gen->bss->gen.n;
		sample(if_g2, IN_K0, n);
	}
	gen->bss->gen.in_order = 0;
	got = sink_kern->bss->sink.frames - before;
	if (got < 2ull * n) { /* neighbour discovery counts too */
		fprintf(stderr, "express: kernel, %s: %llu of %u frames arrived\n", k->name,
			(unsigned long long)got, 2 * n);
		exit(1);
	}
}

/* n flows in a table for room. */
static void bench_kind(const struct kind *k, uint32_t n, uint32_t room, const char *size,
		       double limit)
{
	struct bench_case abs = { .bench = "express",
				  .unit = "ns",
				  .limit = limit,
				  .limit_is_value = true,
				  .required = true },
			  rel = { .bench = "express",
				  .unit = "ns",
				  .peer = "kernel+nft",
				  .limit = 1 / 8.0,
				  .required = true },
			  ctl = { .bench = "express", .unit = "ns" },
			  more[TAKEN__MAX] = {
				  [CYCLES] = { .bench = "express", .unit = "cycles" },
				  [INSTRUCTIONS] = { .bench = "express", .unit = "instr." },
			  };
	static const char *const taken[TAKEN__MAX] = {
		[CYCLES] = "cycles", [INSTRUCTIONS] = "instructions"
	};
	char text[3][64], more_text[TAKEN__MAX][96];
	bool kernel = room <= 4096;

	snprintf(text[0], sizeof(text[0]), "%s, %s flows", k->name, size);
	snprintf(text[1], sizeof(text[1]), "%s, %s flows, against kernel", k->name, size);
	snprintf(text[2], sizeof(text[2]), "%s, %s flows, control", k->name, size);
	if (!bench_wanted(&opt, text[0]))
		return;
	abs.name = text[0];
	rel.name = text[1];
	ctl.name = text[2];
	for (int t = CYCLES; t < TAKEN__MAX; t++) {
		snprintf(more_text[t], sizeof(more_text[t]), "%s, %s", text[0], taken[t]);
		more[t].name = more_text[t];
	}
	gen->bss->gen.flows = n;
	gen->bss->gen.random = 0x12345;
	gen->bss->gen.n = 1;
	for (int d = 0; d < 2; d++)
		gen_dir(k, d, IN_D0, 2 * PORT_IN);
	express_open(k, n, room);
	sink_is(true);
	express_verify(k, n);
	sink_is(false);
	if (kernel) {
		for (int d = 0; d < 2; d++)
			gen_dir(k, d, IN_K0, PORT_IN);
		kernel_warm(k, n);
	}
	for (int r = 0; r < opt.rounds; r++) {
		struct cost v, control;

		gen_dir(k, 1, IN_D0, 2 * PORT_IN);
		v = cost(if_g0, IN_D0, &control);
		bench_add_ours(&abs, v.of[NS]);
		bench_add_ours(&rel, v.of[NS]);
		bench_add_ours(&ctl, control.of[NS]);
		for (int t = CYCLES; t < TAKEN__MAX; t++)
			bench_add_ours(&more[t], v.of[t]);
		if (!kernel)
			continue;
		gen_dir(k, 1, IN_K0, PORT_IN);
		bench_add_peer(&rel, cost(if_g2, IN_K0, &control).of[NS]);
	}
	bench_print(&abs);
	if (kernel)
		bench_print(&rel);
	bench_print(&ctl);
	for (int t = CYCLES; t < TAKEN__MAX; t++)
		if (counter[t] >= 0)
			bench_print(&more[t]);
	express_alone(k);
	express_close();
}

int main(int argc, char **argv)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	if (bench_parse(&opt, argc, argv))
		return 2;
	if (geteuid()) {
		fprintf(stderr, "express: needs root\n");
		return 0;
	}
	setrlimit(RLIMIT_MEMLOCK, &all);
	counters_open();
	topology();
	kernel_setup();
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		bench_kind(&kinds[i], 4096, 4096, "4,096", 200);
	if (opt.quick)
		return 0;
	bench_kind(&kinds[0], 4096, 1000000, "4,096 of 1M", 0);
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		bench_kind(&kinds[i], 1000000, 1000000, "1M", 430);
	return 0;
}
