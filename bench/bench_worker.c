/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: packets a second of one core through a whole worker (fastpath/worker.h) over rings in
 * memory: descriptors, buffers, pipeline, slow path, flow table, but no kernel. What AF_XDP itself
 * costs comes on top (docs/design/fastplane.md).
 *
 *	known flows     untranslated UDP of 4,096 flows, all in the table
 *	first packets   each packet begins a flow: parse, route, insert; flows end as fast as they
 *begin
 *
 * The kernel's side of the rings is played between the measured turns: its time is not counted.
 * For comparison, on this machine: the kernel's own forwarding 0.75-0.80 Mpps of a core.
 */
#include "bench/lib/bench.h"

#include "fastpath/csum.h"
#include "fastpath/worker.h"
#include "tests/lib/xsk_ring.h"

#include <arpa/inet.h>
#include <time.h>

#define RING    2048u
#define FRAMES  16384u
#define N_FLOWS 4096u
#define LEN     60u
#define ADJ     1

static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
static struct fp_adj adjs[2] = { [ADJ] = { .len = 14, .mtu = 1500, .port = 1 } };
static struct fp_flow_mem mem;
static struct fp_flow *table;
static struct fp_worker *w;
static struct fp_xsk *in, *out;
static uint64_t now = 1;

static enum fp_way route(void *ctx, const struct fp_ask *ask, struct fp_answer *ret)
{
	ret->adj = ADJ;
	return FP_WAY_SEND;
}

static enum rtr_drop punt(void *ctx, unsigned ifindex, const uint8_t *frame, uint32_t len,
			  uint64_t now_ns)
{
	return RTR_DROP_PUNT_RATE;
}

static struct fp_xsk *port_make(uint8_t slot)
{
	struct fp_wport p = {
		.slot = slot, .zone = slot, .ifindex = 10u + slot, .xsk = { .fd = -1 }
	};

	memcpy(p.mac, mac, 6);
	xsk_rings_make(&p.xsk, RING);
	if (fp_worker_port_add(w, &p, RING))
		abort();
	return &fp_worker_port(w, slot, 0)->xsk;
}

static void frame(uint8_t *d, uint32_t flow)
{
	uint8_t *ip = d + 14;

	memset(d, 0, LEN);
	memcpy(d, mac, 6);
	fp_st16(d + 12, FP_ETH_IP4);
	ip[0] = 0x45;
	fp_st16(ip + 2, LEN - 14);
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	fp_st32_be(ip + 12, htonl(0x0a000000 + (flow >> 14)));
	fp_st32_be(ip + 16, htonl(0xc6336401));
	fp_st16_be(ip + 10, fp_csum_ip4(ip, 20));
	fp_st16(ip + 20, (uint16_t)(1024 + (flow & 0x3fff)));
	fp_st16(ip + 22, 53);
	fp_st16(ip + 24, LEN - 34);
}

/* The kernel's side: n frames arrive, those sent come home. */
static void arrive(uint32_t n, uint32_t *flow, uint32_t wrap)
{
	static uint32_t fill_at, comp_at;
	uint32_t at = *in->rx.producer;

	for (uint32_t i = 0; i < n && fill_at != *in->fill.producer; i++, fill_at++) {
		uint64_t addr = ((uint64_t *)in->fill.desc)[fill_at & in->fill.mask] + 256;

		frame(fp_worker_umem(w)->area + addr, *flow);
		*flow = (*flow + 1) % wrap;
		((struct xdp_desc *)in->rx.desc)[at++ & in->rx.mask] = (struct xdp_desc){
			.addr = addr, .len = LEN
		};
	}
	*in->fill.consumer = fill_at;
	*in->rx.producer = at;
	for (at = *out->tx.consumer; at != *out->tx.producer; at++)
		((uint64_t *)out->comp.desc)[comp_at++ & out->comp.mask] =
			((struct xdp_desc *)out->tx.desc)[at & out->tx.mask].addr;
	*out->tx.consumer = at;
	*out->comp.producer = comp_at;
}

static double cpu_sec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* Millions of packets a second of the worker's own time. */
static double run(uint32_t packets, uint32_t *flow, uint32_t wrap)
{
	double spent = 0;
	uint32_t done = 0;

	while (done < packets) {
		double t;

		arrive(1024, flow, wrap);
		t = cpu_sec();
		for (unsigned n = 1; n;) {
			n = fp_worker_round(w, now += 1000);
			done += n;
		}
		spent += cpu_sec() - t;
	}
	return packets / spent / 1e6;
}

static void setup(uint32_t pairs)
{
	const uint32_t n[] = { pairs, 32 };
	struct fp_flow_conf fc = { .n_workers = 1 };
	struct fp_worker_conf conf = { .n_frames = FRAMES, .adj = adjs, .n_adj = 2 };

	if (fp_flow_mem_anon(n, &mem) || fp_flow_open(&mem, &fc, &table))
		abort();
	while (fp_flow_maintain(table, 100000))
		;
	conf.flows = table;
	conf.fw = fp_flow_worker(table, 0);
	conf.ops.route = route;
	conf.ops.punt = punt;
	if (fp_worker_new(&conf, &w))
		abort();
	in = port_make(0);
	out = port_make(1);
}

int main(int argc, char **argv)
{
	struct bench_case known = { .bench = "worker",
				    .name = "known flows, 4,096",
				    .unit = "Mpps",
				    .higher_is_better = true };
	struct bench_case first = {
		.bench = "worker", .name = "first packets", .unit = "Mpps", .higher_is_better = true
	};
	struct bench_opts o;
	uint32_t flow = 0, packets, fresh = 1u << 20;

	if (bench_parse(&o, argc, argv)) {
		fprintf(stderr, "usage: bench_worker [--rounds N] [--quick]\n");
		return 2;
	}
	packets = o.quick ? 1u << 17 : 1u << 20;
	/* Room for the first packets of all rounds. */
	setup(1u << 20);
	run(N_FLOWS, &flow, N_FLOWS);
	for (int i = 0; i < o.rounds; i++) {
		flow = 0;
		bench_add_ours(&known, run(packets, &flow, N_FLOWS));
		bench_add_ours(&first, run(1u << 15, &fresh, UINT32_MAX));
		while (fp_flow_maintain(table, 100000))
			;
	}
	bench_print(&known);
	bench_print(&first);
	return fp_worker_count(w, 0)->drop[RTR_DROP_PUNT_RATE] != 0;
}
