/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a port taken and given back (fastpath/nat_port.h) while the pool is nearly empty and
 * while 99 of 100 ports are in use. The peer of each case has as many flows in a pool of ten
 * addresses, 10 % full: the cost must depend on the number of flows (caches) at most, not on how
 * few ports are left, so 0.7 of the peer's rate is the least that passes.
 */
#include "bench/lib/bench.h"

#include "fastpath/nat_port.h"

#include <time.h>

#define PORTS 64512u /* 1024 to 65535 */
#define OPS   200000u

struct flow {
	struct nat_req req;
	struct nat_grant g;
};

static struct flow flows[PORTS];
static uint64_t rng = 88172645463325252ull;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)((rng >> 16) % n);
}

/* Of this thread: others at work on the core do not count. */
static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void new_flow(struct flow *f, uint32_t i)
{
	uint32_t host = rnd(1u << 20);

	*f = (struct flow){ .req = { .proto = NAT_P_UDP } };
	memcpy(f->req.in.addr, &host, 4);
	f->req.in.port = (uint16_t)(1024 + i);
	f->req.dst.addr[0] = 8;
	f->req.dst.port = 53;
}

#define FILL (PORTS / 100 * 99)

/* Takes and gives a second, in millions, with FILL flows to one destination in use. */
static double rate(struct nat_pool_conf conf, uint32_t n_addrs)
{
	struct nat_pool *p;
	double t;

	conf.n_addrs = n_addrs;
	if (nat_pool_new(&conf, &p))
		abort();
	for (uint32_t i = 0; i < FILL; i++) {
		new_flow(&flows[i], i);
		if (nat_port_alloc(p, 0, &flows[i].req, &flows[i].g))
			abort();
	}
	t = now_s();
	for (uint32_t n = 0; n < OPS; n++) {
		struct flow *f = &flows[rnd(FILL)];

		nat_port_free(p, 0, &f->req, &f->g);
		new_flow(f, n);
		if (nat_port_alloc(p, 0, &f->req, &f->g))
			abort();
	}
	t = now_s() - t;
	nat_pool_free(p);
	return OPS / t / 1e6;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		enum nat_mode mode;
		bool random, preserve;
	} plans[] = {
		{ "endpoint-dependent, 99 % full", NAT_EDM, false, false },
		{ "endpoint-dependent, ports kept, 99 % full", NAT_EDM, false, true },
		{ "endpoint-dependent, random ports, 99 % full", NAT_EDM, true, false },
		{ "endpoint-independent, 99 % full", NAT_EIM, false, false },
		{ "endpoint-independent, random ports, 99 % full", NAT_EIM, true, false },
	};
	struct bench_opts o;

	if (bench_parse(&o, argc, argv)) {
		fprintf(stderr, "bench_natport [--rounds N] [--quick] [--case TEXT]\n");
		return 2;
	}
	for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
		struct nat_pool_conf conf = { .mode = plans[i].mode,
					      .n_workers = 1,

					      .fast = { { 1024, 65535 } },
					      .n_fast = 1,
					      .random = plans[i].random,
					      .preserve = plans[i].preserve,
					      .paired = true,
					      .max_flows = 1u << 17,
					      .seed = 1 };
		struct bench_case c = { .bench = "natport",
					.name = plans[i].name,
					.unit = "Mops/s",
					.higher_is_better = true,
					.peer = "ten times the ports",
					.limit = 0.7,
					.required = true };

		if (!bench_wanted(&o, plans[i].name))
			continue;
		for (int r = 0; r < o.rounds; r++) {
			bench_add_ours(&c, rate(conf, 1));
			bench_add_peer(&c, rate(conf, 10));
		}
		bench_print(&c);
	}
	return 0;
}
