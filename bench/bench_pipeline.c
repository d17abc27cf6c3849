/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: packets a second of one core through fastpath/pipeline.h, without I/O: NAT44 and NAT66 of
 * established flows, and routing without flows.
 *
 * Frames lie in 2 KiB pieces of a 64 MiB arena on 4 KiB pages (as a UMEM does), are taken in
 * random order, and their header lines are flushed from all caches before each pass: every frame
 * comes from memory. Each packet belongs to a random flow. The flow table is in mapped BPF arrays
 * (root) or in anonymous pages; the first line says which.
 *
 * Peers cannot run here without their own I/O; figures measured on the same machine with theirs
 * taken out: VPP 25.10 6.6-7.0 Mpps NAT44 and 19.5-22.5 routed, grout 4.0-6.3 and 6.6-8.7.
 */
#include "bench/lib/bench.h"

#include "fastpath/csum.h"
#include "fastpath/pipeline.h"
#include "fastpath/rewrite.h"
#include "fastpath/tcp_track.h"
#include "tests/lib/route_table.h"

#include <immintrin.h>
#include <sys/mman.h>
#include <time.h>

#define FRAME    2048u
#define HEADROOM 256u /* XDP_PACKET_HEADROOM */
#define ARENA    (64u << 20)
#define N_FRAMES (ARENA / FRAME)
#define N_BURSTS (N_FRAMES / FP_PIPE_BURST)
#define N_ADJ    256
#define MANY     (1u << 20)
#define FEW      4096u

enum kind { NAT4_UDP, NAT4_TCP, NAT6_UDP, ROUTE4, ROUTE6 };

enum { ST_PARSE, ST_LOOKUP, ST_JUDGE, ST_REWRITE, ST_LINK, ST_ACCOUNT, ST__MAX };
static const char *const stage_names[] = { "parse",   "lookup", "judge (window)",
					   "rewrite", "link",   "account" };

static const uint8_t our_mac[6] = { 2, 0, 0, 0, 0, 1 };

static uint8_t *arena;
static uint32_t order[N_FRAMES];
static struct fp_adj adjs[N_ADJ];
static struct fp_pipe pipe_;
static struct fp_flow_worker *worker;
static struct fp_burst bursts[2];
static uint64_t rng = 88172645463325252ull;
static uint32_t *dsts4; /* one in each prefix of the table */
static uint8_t (*dsts6)[16];
static size_t n_dsts4, n_dsts6;

static uint64_t rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

/* Of this thread: others at work on the core do not count. */
static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool is6(enum kind k)
{
	return k == NAT6_UDP || k == ROUTE6;
}

/* ----- flows ----- */

static void tuple4(uint32_t id, uint8_t proto, struct fp_tuple4 *from, struct fp_tuple4 *to)
{
	*from = (struct fp_tuple4){ .src_be = htonl(0x0a000000 + (id >> 4)),
				    .dst_be = htonl(0xc6120000 +
						    (uint32_t)(hash_mix64(id) & 0xffff)),
				    .sport_be = htons((uint16_t)(1024 + (id & 15))),
				    .dport_be = htons(443),
				    .proto = proto };
	*to = *from;
	to->src_be = htonl(0xcb007100 + (id & 255));
	to->sport_be = htons((uint16_t)(32768 + (id >> 8)));
}

static void flow4(uint32_t id, uint8_t proto, struct fp_flow_new *f)
{
	struct fp_tuple4 from, to, back, orig;
	struct fp_nat4 n;

	tuple4(id, proto, &from, &to);
	back = (struct fp_tuple4){ to.dst_be, to.src_be, to.dport_be, to.sport_be, proto };
	orig = (struct fp_tuple4){ from.dst_be, from.src_be, from.dport_be, from.sport_be, proto };
	for (int d = 0; d < 2; d++) {
		const struct fp_tuple4 *k = d ? &back : &from;

		fp_nat4_init(&n, k, d ? &orig : &to);
		f->dir[d].key4 = (struct flow_key4){
			k->src_be, k->dst_be, k->sport_be, k->dport_be, proto, 0, 0
		};
		f->dir[d].rw4 = (struct flow_rewrite4){ n.src_be,   n.dst_be,   n.sport_be,
							n.dport_be, n.ip_delta, n.l4_delta };
	}
}

static void tuple6(uint32_t id, struct fp_tuple6 *from, struct fp_tuple6 *to)
{
	uint32_t h = (uint32_t)hash_mix64(id);

	*from = (struct fp_tuple6){ .src = { 0xfd },
				    .dst = { 0x20, 1, 0xd, 0xb8 },
				    .sport_be = htons(5000),
				    .dport_be = htons(443),
				    .proto = IPPROTO_UDP };
	memcpy(from->src + 12, &id, 4);
	memcpy(from->dst + 12, &h, 4);
	*to = *from;
	to->src[0] = 0x20;
	to->src[1] = 2;
}

static void flow6(uint32_t id, struct fp_flow_new *f)
{
	struct fp_tuple6 t[2][2];
	struct fp_nat6 n;

	tuple6(id, &t[0][0], &t[0][1]);
	for (int e = 0; e < 2; e++) {
		const struct fp_tuple6 *s = &t[0][!e];

		t[1][e] = (struct fp_tuple6){ .sport_be = s->dport_be,
					      .dport_be = s->sport_be,
					      .proto = s->proto };
		memcpy(t[1][e].src, s->dst, 16);
		memcpy(t[1][e].dst, s->src, 16);
	}
	for (int d = 0; d < 2; d++) {
		const struct fp_tuple6 *k = &t[d][0];

		fp_nat6_init(&n, k, &t[d][1]);
		f->dir[d].key6 = (struct flow_key6){ .sport = k->sport_be,
						     .dport = k->dport_be,
						     .proto = k->proto };
		memcpy(f->dir[d].key6.saddr, k->src, 16);
		memcpy(f->dir[d].key6.daddr, k->dst, 16);
		f->dir[d].rw6 = (struct flow_rewrite6){ .sport = n.sport_be,
							.dport = n.dport_be,
							.l4_delta = n.l4_delta };
		memcpy(f->dir[d].rw6.saddr, n.src, 16);
		memcpy(f->dir[d].rw6.daddr, n.dst, 16);
	}
}

static void flow_fill(enum kind kind, uint32_t id, struct fp_flow_new *f)
{
	bool tcp = kind == NAT4_TCP;

	*f = (struct fp_flow_new){ .time = pipe_.now, .timeout = 100000, .policy = pipe_.policy };
	if (is6(kind))
		flow6(id, f);
	else
		flow4(id, tcp ? IPPROTO_TCP : IPPROTO_UDP, f);
	for (int d = 0; d < 2; d++) {
		f->dir[d].egress = flow_egress(1 + (id & 127), 16, 0);
		f->dir[d].state = (uint8_t)(FLOW_P_WORKER | (tcp ? TCPT_S_ESTABLISHED : 1)
								    << FLOW_TRACK_SHIFT);
		f->dir[d].flags = (uint8_t)(FLOW_F_REWRITE | (tcp ? FLOW_F_TCP : 0));
		f->dir[d].tcp = (struct flow_tcp){ 5000, 5000 + 65000 };
	}
}

static struct fp_flow_mem mem;
static struct fp_flow *table;

static const char *table_make(enum kind kind, uint32_t n)
{
	const uint32_t pairs[] = { is6(kind) ? 32 : n + n / 4, is6(kind) ? n + n / 4 : 32 };
	struct fp_flow_conf conf = { .n_workers = 1, .reserve = 1 << 14 };
	const char *where = "mapped BPF arrays";

	if (fp_flow_mem_bpf(pairs, NULL, &mem)) {
		where = "anonymous pages";
		if (fp_flow_mem_anon(pairs, &mem))
			abort();
	}
	if (fp_flow_open(&mem, &conf, &table))
		abort();
	worker = fp_flow_worker(table, 0);
	pipe_.flows = table;
	for (uint32_t id = 0; id < n; id++) {
		struct fp_flow_new f;
		uint64_t ref;
		int rc = 0;

		flow_fill(kind, id, &f);
		for (int tries = 0; tries < 8; tries++) {
			rc = fp_flow_insert(worker, is6(kind) ? FLOW_6 : FLOW_4, &f, &ref);
			if (rc != -ENOSPC)
				break;
			fp_flow_maintain(table, 1 << 20); /* refills the worker's reserve */
		}
		if (rc) {
			fprintf(stderr, "flow %u: %s\n", id, strerror(-rc));
			exit(1);
		}
	}
	return where;
}

static void table_end(void)
{
	table = fp_flow_close(table);
	fp_flow_mem_fini(&mem);
}

/* ----- frames: 60 bytes, or 66 for IPv6 ----- */

static void put_udp(uint8_t *h, unsigned len)
{
	fp_st16(h + 4, (uint16_t)len);
	fp_st16(h + FP_UDP_CSUM, 0x1234);
}

static unsigned frame4(uint8_t *d, enum kind kind, uint32_t id)
{
	bool tcp = kind == NAT4_TCP;
	struct fp_tuple4 from, to;
	uint8_t *ip = d + FP_ETH_LEN;

	tuple4(id, tcp ? IPPROTO_TCP : IPPROTO_UDP, &from, &to);
	if (kind == ROUTE4)
		from.dst_be = htonl(dsts4[id % n_dsts4]);
	fp_st16(d + 12, FP_ETH_IP4);
	memset(ip, 0, 46);
	ip[0] = 0x45;
	fp_st16(ip + 2, 46);
	ip[8] = 64;
	ip[9] = from.proto;
	fp_st32_be(ip + 12, from.src_be);
	fp_st32_be(ip + 16, from.dst_be);
	fp_st16_be(ip + 10, fp_csum_ip4(ip, 20));
	fp_st16_be(ip + 20, from.sport_be);
	fp_st16_be(ip + 22, from.dport_be);
	if (!tcp) {
		put_udp(ip + 20, 26);
		return 60;
	}
	fp_st32(ip + 24, 5000);
	fp_st32(ip + 28, 5000);
	ip[32] = 0x50;
	ip[33] = FP_TCP_ACK;
	fp_st16(ip + 34, 60000);
	return 60;
}

static unsigned frame6(uint8_t *d, enum kind kind, uint32_t id)
{
	struct fp_tuple6 from, to;
	uint8_t *ip = d + FP_ETH_LEN;

	tuple6(id, &from, &to);
	fp_st16(d + 12, FP_ETH_IP6);
	memset(ip, 0, 52);
	ip[0] = 0x60;
	fp_st16(ip + 4, 12);
	ip[6] = IPPROTO_UDP;
	ip[7] = 64;
	memcpy(ip + 8, from.src, 16);
	memcpy(ip + 24, kind == ROUTE6 ? dsts6[id % n_dsts6] : from.dst, 16);
	fp_st16_be(ip + 40, from.sport_be);
	fp_st16_be(ip + 42, from.dport_be);
	put_udp(ip + 40, 12);
	return 66;
}

static unsigned frame_len;

/* New packets into all frames, then out of every cache. */
static void refill(enum kind kind, uint32_t n_flows)
{
	for (uint32_t i = 0; i < N_FRAMES; i++) {
		uint8_t *d = arena + (size_t)i * FRAME + HEADROOM;
		uint32_t id = (uint32_t)(rnd() >> 16) % n_flows;

		memcpy(d, our_mac, 6);
		memset(d + 6, 0x22, 6);
		frame_len = is6(kind) ? frame6(d, kind, id) : frame4(d, kind, id);
	}
	for (uint32_t i = 0; i < N_FRAMES; i++) {
		uint8_t *d = arena + (size_t)i * FRAME + HEADROOM;

		_mm_clflush(d);
		_mm_clflush(d + 64);
	}
	_mm_mfence();
	for (uint32_t i = N_FRAMES - 1; i; i--) {
		uint32_t j = (uint32_t)(rnd() >> 16) % (i + 1), t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
}

/* ----- measuring ----- */

/* What a worker does with the descriptors of its receive ring. */
static void take(struct fp_burst *b, unsigned k)
{
	b->n = FP_PIPE_BURST;
	for (unsigned i = 0; i < FP_PIPE_BURST; i++) {
		b->data[i] = arena + (size_t)order[k * FP_PIPE_BURST + i] * FRAME + HEADROOM;
		b->len[i] = frame_len;
	}
}

static void check_sent(const struct fp_burst *b)
{
	for (unsigned i = 0; i < b->n; i++)
		if (b->act[i] != FP_A_TX) {
			fprintf(stderr, "packet not forwarded: act %u\n", b->act[i]);
			exit(1);
		}
}

static double pass(enum kind kind)
{
	double t0 = now_s(), t;

	take(&bursts[0], 0);
	fp_pipe_fetch(&bursts[0]);
	for (unsigned k = 0; k < N_BURSTS; k++) {
		struct fp_burst *b = &bursts[k & 1], *next = NULL;

		if (k + 1 < N_BURSTS) {
			next = &bursts[~k & 1];
			take(next, k + 1);
		}
		if (kind == ROUTE4 || kind == ROUTE6)
			fp_pipe_routes(&pipe_, b, next);
		else
			fp_pipe_flows(&pipe_, b, next);
	}
	t = now_s() - t0;
	check_sent(&bursts[0]);
	check_sent(&bursts[1]);
	return t;
}

static int cmp_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The same as fp_pipe_flows with a clock between the stages; ns a packet, median of the bursts. */
static void pass_staged(double ns[ST__MAX], double ns_per_tick)
{
	static uint64_t took[ST__MAX][N_BURSTS];
	uint64_t t[ST__MAX + 1];

	take(&bursts[0], 0);
	fp_pipe_fetch(&bursts[0]);
	for (unsigned k = 0; k < N_BURSTS; k++) {
		struct fp_burst *b = &bursts[k & 1], *next = &bursts[~k & 1];

		take(next, k + 1 < N_BURSTS ? k + 1 : 0);
		t[0] = __rdtsc();
		fp_pipe_parse(b);
		t[1] = __rdtsc();
		fp_pipe_fetch(next);
		fp_pipe_lookup(&pipe_, b);
		t[2] = __rdtsc();
		fp_pipe_judge(&pipe_, b);
		t[3] = __rdtsc();
		fp_pipe_rewrite(b);
		t[4] = __rdtsc();
		fp_pipe_link(&pipe_, b);
		t[5] = __rdtsc();
		fp_pipe_account(&pipe_, b);
		t[6] = __rdtsc();
		for (unsigned s = 0; s < ST__MAX; s++)
			took[s][k] = t[s + 1] - t[s];
	}
	for (unsigned s = 0; s < ST__MAX; s++) {
		qsort(took[s], N_BURSTS, sizeof(took[s][0]), cmp_u64);
		ns[s] = (double)took[s][N_BURSTS / 2] * ns_per_tick / FP_PIPE_BURST;
	}
}

static double tick_ns(void)
{
	uint64_t c0 = __rdtsc(), n0 = rtr_now_ns();

	while (rtr_now_ns() - n0 < 20000000)
		;
	return (double)(rtr_now_ns() - n0) / (double)(__rdtsc() - c0);
}

struct plan {
	enum kind kind;
	uint32_t n;
	const char *name;
	double limit;
	bool required;
};

static void run(const struct bench_opts *o, const struct plan *pl)
{
	struct bench_case c = { .bench = "pipeline",
				.name = pl->name,
				.unit = "Mpps",
				.higher_is_better = true,
				.limit_is_value = true,
				.required = pl->required,
				.limit = pl->limit };
	unsigned passes = o->quick ? 2 : 8;

	for (int r = 0; r < o->rounds; r++) {
		double t = 0;

		for (unsigned i = 0; i < passes; i++) {
			refill(pl->kind, pl->n);
			t += pass(pl->kind);
		}
		bench_add_ours(&c, passes * (double)N_FRAMES / t / 1e6);
	}
	bench_print(&c);
}

static void run_stages(const struct bench_opts *o, const struct plan *pl)
{
	struct bench_case c[ST__MAX];
	char names[ST__MAX][80];
	double ns[ST__MAX], tick = tick_ns();

	for (unsigned s = 0; s < ST__MAX; s++) {
		snprintf(names[s], sizeof(names[s]), "  %s: %s", pl->name, stage_names[s]);
		c[s] = (struct bench_case){ .bench = "pipeline",
					    .name = names[s],
					    .unit = "ns/pkt" };
	}
	for (int r = 0; r < o->rounds; r++) {
		refill(pl->kind, pl->n);
		pass_staged(ns, tick);
		for (unsigned s = 0; s < ST__MAX; s++)
			bench_add_ours(&c[s], ns[s]);
	}
	for (unsigned s = 0; s < ST__MAX; s++)
		bench_print(&c[s]);
}

/* ----- routes ----- */

static void routes_make(const struct bench_opts *o)
{
	struct route_table t;
	struct lpm_params params = { 0 };
	struct lpm4 *l4;
	struct lpm6 *l6;

	const char *from = "generated";

	if (o->table && !route_table_load(o->table, &t))
		from = o->table;
	else
		route_table_generate(&t, 1, 1);
	if (lpm4_new(&params, &l4) || lpm6_new(&params, &l6))
		abort();
	dsts4 = xcalloc(t.n_v4, sizeof(*dsts4));
	dsts6 = xcalloc(t.n_v6, sizeof(*dsts6));
	for (size_t i = 0; i < t.n_v4; i++) {
		uint32_t a = fp_ld32(t.v4[i].addr);
		uint8_t top = (uint8_t)(a >> 24);

		if (lpm4_set(l4, a, t.v4[i].len, 1 + (uint32_t)(i & 127)))
			abort();
		if (top && top != 127 && top != 169 && top < 224)
			dsts4[n_dsts4++] = a;
	}
	for (size_t i = 0; i < t.n_v6; i++) {
		if (lpm6_set(l6, t.v6[i].addr, t.v6[i].len, 1 + (uint32_t)(i & 127)))
			abort();
		if ((t.v6[i].addr[0] & 0xe0) == 0x20)
			memcpy(dsts6[n_dsts6++], t.v6[i].addr, 16);
	}
	printf("# routes: %zu IPv4, %zu IPv6, %s\n", t.n_v4, t.n_v6, from);
	route_table_free(&t);
	pipe_.lpm4 = l4;
	pipe_.lpm6 = l6;
}

static void setup(void)
{
	arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (arena == MAP_FAILED)
		abort();
	/* A UMEM in a BPF array has 4 KiB pages: so has this one. */
	madvise(arena, ARENA, MADV_NOHUGEPAGE);
	for (uint32_t i = 0; i < N_FRAMES; i++)
		order[i] = i;
	for (unsigned i = 1; i < N_ADJ; i++) {
		adjs[i] = (struct fp_adj){ .len = FP_ETH_LEN, .mtu = 1500, .port = i & 3 };
		memset(adjs[i].hdr, (int)i, FP_ETH_LEN);
	}
	for (unsigned i = 0; i < 2; i++)
		memcpy(bursts[i].mac, our_mac, 6);
	pipe_ = (struct fp_pipe){ .adj = adjs, .n_adj = N_ADJ, .now = fp_flow_now(), .policy = 7 };
}

int main(int argc, char **argv)
{
	static const struct plan flows[] = {
		{ NAT4_UDP, FEW, "NAT44 UDP, 4,096 flows", 10, true },
		{ NAT4_UDP, MANY, "NAT44 UDP, 1,048,576 flows", 6, true },
		{ NAT4_TCP, FEW, "NAT44 TCP with windows, 4,096 flows", 0, false },
		{ NAT4_TCP, MANY, "NAT44 TCP with windows, 1,048,576 flows", 0, false },
		{ NAT6_UDP, FEW, "NAT66 UDP, 4,096 flows", 0, false },
		{ NAT6_UDP, MANY, "NAT66 UDP, 1,048,576 flows", 0, false },
	};
	static const struct plan routes[] = {
		{ ROUTE4, FEW, "routed IPv4, full table, 4,096 destinations", 20, true },
		{ ROUTE4, MANY, "routed IPv4, full table, all prefixes", 0, false },
		{ ROUTE6, FEW, "routed IPv6, full table, 4,096 destinations", 0, false },
		{ ROUTE6, MANY, "routed IPv6, full table, all prefixes", 0, false },
	};
	struct bench_opts o;
	bool said = false;

	if (bench_parse(&o, argc, argv)) {
		fprintf(stderr,
			"bench_pipeline [--rounds N] [--quick] [--case TEXT] [--table F]\n");
		return 2;
	}
	setup();
	for (size_t i = 0; i < ARRAY_LEN(flows); i++) {
		const char *where;

		if (!bench_wanted(&o, flows[i].name))
			continue;
		where = table_make(flows[i].kind, flows[i].n);
		if (!said)
			printf("# flow table in %s\n", where);
		said = true;
		run(&o, &flows[i]);
		run_stages(&o, &flows[i]);
		table_end();
	}
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (!bench_wanted(&o, routes[i].name))
			continue;
		if (!pipe_.lpm4)
			routes_make(&o);
		run(&o, &routes[i]);
	}
	return 0;
}
