/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fastpath/nat_port.h"

#include "tests/lib/check_main.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* Check writes a line to its pipe for each ck_assert: not in loops of millions. */
#define REQUIRE(cond)                                                                              \
	do {                                                                                       \
		if (unlikely(!(cond)))                                                             \
			ck_abort_msg("%s", #cond);                                                 \
	} while (0)

#define N_DST   8
#define N_ADDRS 2

/* Naive oracle: who has (destination or 0, protocol, address, port). */
struct oracle {
	uint8_t taken[N_DST][NAT_P__MAX][N_ADDRS][65536];
};

struct live {
	struct nat_req req;
	struct nat_grant g;
	unsigned dst;
};

static struct oracle *oracle;

static struct nat_endpoint endpoint(uint32_t host, uint16_t port)
{
	struct nat_endpoint e = { .port = port };

	memcpy(e.addr, &host, sizeof(host));
	return e;
}

static struct nat_pool_conf base_conf(enum nat_mode mode)
{
	return (struct nat_pool_conf){
		.mode = mode,
		.n_workers = 4,
		.n_addrs = N_ADDRS,
		.fast = { { 512, 1023 }, { 32768, 49151 } },
		.n_fast = 2,
		.paired = true,
		.parity = true,
		.max_flows = 40000,
		.max_subs = 5000,
		.seed = test_seed,
	};
}

static bool carved(const struct nat_pool_conf *c, uint16_t port)
{
	for (unsigned i = 0; i < c->n_carve; i++)
		if (port >= c->carve[i].lo && port <= c->carve[i].hi)
			return true;
	return false;
}

static bool in_fast(const struct nat_pool_conf *c, uint16_t port)
{
	for (unsigned i = 0; i < c->n_fast; i++)
		if (port && port >= c->fast[i].lo && port <= c->fast[i].hi)
			return !carved(c, port);
	return false;
}

/* Which row of the oracle: with exclusive ports every destination is the same. */
static unsigned row(const struct nat_pool_conf *c, unsigned dst)
{
	return c->mode == NAT_EDM && !c->block_ports ? dst : 0;
}

static void oracle_take(const struct nat_pool_conf *c, const struct live *l)
{
	uint8_t *t = &oracle->taken[row(c, l->dst)][l->req.proto][l->g.addr][l->g.port];

	REQUIRE(in_fast(c, l->g.port));
	REQUIRE(l->g.addr < c->n_addrs);
	REQUIRE(!*t);
	*t = 1;
}

static void oracle_give(const struct nat_pool_conf *c, const struct live *l)
{
	oracle->taken[row(c, l->dst)][l->req.proto][l->g.addr][l->g.port] = 0;
}

/* After the last flow: hold-downs end, every chunk is idle again. */
static void assert_all_back(struct nat_pool *p, const struct nat_pool_conf *c, uint32_t now)
{
	struct nat_gauges ga;

	for (int turn = 0; turn < 4; turn++) {
		now += 1000;
		for (unsigned w = 0; w < c->n_workers; w++)
			while (nat_port_tick(p, w, now, 64))
				;
	}
	nat_port_gauges(p, &ga);
	ck_assert_uint_eq(ga.in_use, 0);
	ck_assert_uint_eq(ga.held, 0);
	ck_assert_uint_eq(ga.idle_chunks, ga.chunks);
	ck_assert_uint_eq(ga.granted, ga.freed);
}

static unsigned n_hosts = 2000;
static struct live *live;
static unsigned n_live;

static void random_req(uint64_t *rng, const struct nat_pool_conf *c, struct live *l)
{
	uint64_t r = test_rand(rng);
	uint32_t host = (uint32_t)(r >> 40) % n_hosts;

	*l = (struct live){ .req = { .proto = (r >> 8) % 4 ? NAT_P_UDP : (r >> 16) % NAT_P__MAX } };
	/* Adversarial: half of it goes to one destination. */
	l->dst = r & 1 ? 0 : (unsigned)(r >> 24) % N_DST;
	l->req.in = endpoint(host, (uint16_t)(test_rand(rng) >> 32));
	l->req.dst = endpoint(0x08080000 + l->dst, 53);
	l->req.sub_no = host % (c->det_subs ? c->det_subs : 1);
}

static void free_one(struct nat_pool *p, const struct nat_pool_conf *c, unsigned i, unsigned worker)
{
	struct live l = live[i];

	live[i] = live[--n_live];
	oracle_give(c, &l);
	if (c->mode == NAT_EDM && !c->block_ports)
		worker = l.g.worker;
	nat_port_free(p, worker, &l.req, &l.g);
}

/* Random churn whose load swings between empty and full; EIM endpoints are unique here. */
static void churn(struct nat_pool_conf c, unsigned steps, unsigned max_live)
{
	uint64_t rng = test_seed ^ c.block_ports ^ ((uint64_t)c.mode << 32);
	struct nat_pool *p;
	unsigned target = 0, full = 0;
	uint32_t now = 0;

	oracle = xcalloc(1, sizeof(*oracle));
	live = xcalloc(max_live, sizeof(*live));
	n_live = 0;
	ck_assert_int_eq(nat_pool_new(&c, &p), 0);
	for (unsigned i = 0; i < steps; i++) {
		unsigned worker = (unsigned)(test_rand(&rng) >> 40) % c.n_workers;

		if (i % 100000 == 0)
			target = (i / 100000) % 3 == 2 ? 0 : max_live;
		if (i % 1000 == 0)
			now++;
		if (i % 16 == 0)
			nat_port_tick(p, worker, now, 64);
		if (n_live && (n_live == max_live ||
			       (test_rand(&rng) >> 32) % 8 < (n_live < target ? 2 : 5))) {
			free_one(p, &c, (unsigned)((test_rand(&rng) >> 20) % n_live), worker);
		} else if (n_live < max_live) {
			struct live *l = &live[n_live];
			int rc;

			random_req(&rng, &c, l);
			if (c.mode == NAT_EIM)
				l->req.in = endpoint(l->req.sub_no ? l->req.sub_no : i % 2000,
						     (uint16_t)i);
			rc = nat_port_alloc(p, worker, &l->req, &l->g);
			if (rc) {
				full++;
				REQUIRE(rc == -ENOSPC || rc == -EDQUOT || rc == -ENOBUFS);
				continue;
			}
			n_live++;
			if (c.mode == NAT_EIM) {
				struct nat_endpoint in;

				ck_assert(
					nat_port_find(p, l->req.proto, l->g.addr, l->g.port, &in));
				if (memcmp(&in, &l->req.in, sizeof(in.addr)) ||
				    in.port != l->req.in.port)
					ck_abort_msg("mapping leads elsewhere");
				if (oracle->taken[0][l->req.proto][l->g.addr][l->g.port]) {
					/* The same endpoint again (16-bit ports wrap): one mapping.
					 */
					nat_port_free(p, worker, &l->req, &l->g);
					n_live--;
					continue;
				}
			}
			oracle_take(&c, l);
		}
	}
	ck_assert_uint_gt(full, 0);
	while (n_live)
		free_one(p, &c, n_live - 1, n_live % c.n_workers);
	assert_all_back(p, &c, now);
	nat_pool_free(p);
	free(live);
	free(oracle);
}

START_TEST(test_churn_edm)
{
	struct nat_pool_conf c = base_conf(NAT_EDM);

	c.n_addrs = 1;
	c.fast[1].hi = 32768 + 2047;
	churn(c, 2500000, 30000);
}
END_TEST

START_TEST(test_churn_edm_options)
{
	static const struct nat_ports carve[] = { { 32800, 32800 }, { 33000, 33300 } };
	struct nat_pool_conf c = base_conf(NAT_EDM);

	c.fast[1].hi = 32768 + 4095;
	c.carve = carve;
	c.n_carve = 2;
	c.preserve = c.random = true;
	c.paired = false;
	c.hold_sec[NAT_P_UDP] = 120;
	c.quota[NAT_P_UDP] = 40;
	c.max_flows = 20000;
	churn(c, 2500000, 60000);
}
END_TEST

START_TEST(test_churn_eim)
{
	struct nat_pool_conf c = base_conf(NAT_EIM);

	c.fast[1].hi = 32768 + 8191;
	c.random = true;
	c.hold_sec[NAT_P_UDP] = 120;
	churn(c, 2500000, 30000);
}
END_TEST

START_TEST(test_churn_blocks)
{
	struct nat_pool_conf c = base_conf(NAT_EDM);

	c.block_ports = 128;
	c.max_blocks = 2;
	c.hold_sec[NAT_P_UDP] = 120;
	churn(c, 1500000, 30000);
	c.mode = NAT_EIM;
	churn(c, 500000, 30000);
}
END_TEST

START_TEST(test_churn_det)
{
	struct nat_pool_conf c = base_conf(NAT_EIM);

	c.block_ports = 64;
	c.det_subs = 500;
	churn(c, 500000, 30000);
}
END_TEST

/* Each port of the pool is granted once, by whichever worker, then none; freed, all come again. */
START_TEST(test_every_port)
{
	for (int mode = NAT_EDM; mode <= NAT_EIM; mode++) {
		struct nat_pool_conf c = base_conf(mode);
		unsigned usable = 512 + 16384, n = 0;
		struct nat_grant *g = xcalloc(usable, sizeof(*g));
		struct nat_req req = { .proto = NAT_P_UDP, .dst = endpoint(1, 53) };
		struct nat_gauges ga;
		struct nat_pool *p;
		struct nat_grant more;

		c.n_addrs = 1;
		ck_assert_int_eq(nat_pool_new(&c, &p), 0);
		oracle = xcalloc(1, sizeof(*oracle));
		for (int round = 0; round < 2; round++) {
			for (n = 0; n < usable; n++) {
				struct live l = { .req = req };

				/* One worker alone drains all slices. */
				l.req.in = endpoint(n, n < 512 ? 80 : 8080);
				ck_assert_int_eq(nat_port_alloc(p, 1, &l.req, &g[n]), 0);
				l.g = g[n];
				oracle_take(&c, &l);
				ck_assert_int_eq(n < 512, g[n].port < 1024);
			}
			req.in = endpoint(n, 8080);
			ck_assert_int_eq(nat_port_alloc(p, 1, &req, &more), -ENOSPC);
			ck_assert_int_eq(nat_port_alloc(p, 2, &req, &more), -ENOSPC);
			if (mode == NAT_EDM) {
				/* Another destination has them all again. */
				struct nat_req other = req;

				other.dst.port = 54;
				ck_assert_int_eq(nat_port_alloc(p, 1, &other, &more), 0);
				nat_port_free(p, 1, &other, &more);
			}
			nat_port_gauges(p, &ga);
			ck_assert_uint_eq(ga.in_use, usable);
			ck_assert_uint_gt(ga.stolen_chunks, 0);
			for (n = 0; n < usable; n++) {
				struct live l = { .req = req, .g = g[n] };

				l.req.in = endpoint(n, n < 512 ? 80 : 8080);
				oracle_give(&c, &l);
				/* EIM: by another worker than the owner; the port comes home by
				 * tick. */
				nat_port_free(p, mode == NAT_EIM ? 3 : 1, &l.req, &g[n]);
			}
			while (nat_port_tick(p, 1, 1, 64))
				;
		}
		assert_all_back(p, &c, 1);
		nat_pool_free(p);
		free(oracle);
		free(g);
	}
}
END_TEST

START_TEST(test_preserve_parity_pairing)
{
	struct nat_pool_conf c = base_conf(NAT_EDM);
	uint64_t rng = test_seed;
	struct nat_grant g;
	struct nat_pool *p;
	unsigned kept = 0, parity = 0;

	c.n_workers = 1;
	c.preserve = true;
	ck_assert_int_eq(nat_pool_new(&c, &p), 0);
	for (uint32_t i = 0; i < 2000; i++) {
		struct nat_req r = { .proto = NAT_P_UDP, .dst = endpoint(i, 53) };

		r.in = endpoint(i % 50, (uint16_t)(test_rand(&rng) >> 48 & 0xff7f));
		ck_assert_int_eq(nat_port_alloc(p, 0, &r, &g), 0);
		if (nat_port_is_fast(p, r.in.port)) {
			kept++;
			ck_assert_uint_eq(g.port, r.in.port);
		}
		parity += (g.port & 1) == (r.in.port & 1);
		/* The same inside address always leaves by the same external one. */
		r.dst.port = 99;
		ck_assert_int_eq(nat_port_alloc(p, 0, &r, &g), 0);
		static uint32_t seen[50];
		if (i < 50)
			seen[i] = g.addr;
		else
			ck_assert_uint_eq(seen[i % 50], g.addr);
	}
	ck_assert_uint_gt(kept, 200);
	ck_assert_uint_eq(parity, 2000);
	nat_pool_free(p);
}
END_TEST

START_TEST(test_random_ports)
{
	struct nat_pool_conf c = base_conf(NAT_EDM);
	unsigned seen[1024] = { 0 }, distinct = 0;
	struct nat_pool *p;
	struct nat_grant g;

	c.n_workers = 1;
	c.random = true;
	c.fast[1] = (struct nat_ports){ 1024, 65535 };
	ck_assert_int_eq(nat_pool_new(&c, &p), 0);
	for (uint32_t i = 0; i < 5000; i++) {
		struct nat_req r = { .proto = NAT_P_TCP, .dst = endpoint(1, 443) };

		r.in = endpoint(1, (uint16_t)(40000 + i));
		ck_assert_int_eq(nat_port_alloc(p, 0, &r, &g), 0);
		seen[g.port / 64]++;
		nat_port_free(p, 0, &r, &g);
	}
	for (unsigned i = 0; i < 1024; i++)
		distinct += seen[i] > 0;
	/* 5,000 draws over 1,008 chunks leave each out with e^-5: about 7 are missing. */
	ck_assert_uint_gt(distinct, 980);
	nat_pool_free(p);
}
END_TEST

START_TEST(test_hold_down)
{
	struct nat_pool_conf c = base_conf(NAT_EIM);
	struct nat_req r = { .proto = NAT_P_UDP };
	struct nat_grant g[64];
	struct nat_pool *p;
	struct nat_gauges ga;
	uint32_t now = 1000;

	c.n_workers = c.n_addrs = 1;
	c.n_fast = 1;
	c.fast[0] = (struct nat_ports){ 64 * 100, 64 * 100 + 63 };
	c.hold_sec[NAT_P_UDP] = 120;
	ck_assert_int_eq(nat_pool_new(&c, &p), 0);
	nat_port_tick(p, 0, now, 64);
	for (uint32_t i = 0; i < 64; i++) {
		r.in = endpoint(i, 5000);
		ck_assert_int_eq(nat_port_alloc(p, 0, &r, &g[i]), 0);
	}
	for (uint32_t i = 0; i < 64; i++) {
		r.in = endpoint(i, 5000);
		nat_port_free(p, 0, &r, &g[i]);
	}
	nat_port_gauges(p, &ga);
	ck_assert_uint_eq(ga.held, 64);
	r.in = endpoint(99, 5000);
	for (uint32_t until = now + 119; now < until; now++) {
		nat_port_tick(p, 0, now, 64);
		ck_assert_int_eq(nat_port_alloc(p, 0, &r, &g[0]), -ENOSPC);
	}
	for (uint32_t until = now + 125; now < until; now++)
		nat_port_tick(p, 0, now, 64);
	ck_assert_int_eq(nat_port_alloc(p, 0, &r, &g[0]), 0);
	nat_port_free(p, 0, &r, &g[0]);
	assert_all_back(p, &c, now);
	nat_pool_free(p);
}
END_TEST

/* RFC 4787 REQ-1 and REQ-9: one mapping for all destinations; a neighbour behind the same NAT
 * sees the external endpoint and reaches the inside one through it. */
START_TEST(test_eim_hairpin)
{
	struct nat_pool_conf c = base_conf(NAT_EIM);
	struct nat_req a = { .proto = NAT_P_UDP, .in = endpoint(1, 5000), .dst = endpoint(9, 53) };
	struct nat_req b = { .proto = NAT_P_UDP, .in = endpoint(2, 6000) };
	struct nat_grant ga, ga2, gb, gi;
	struct nat_endpoint in;
	struct nat_pool *p;

	ck_assert_int_eq(nat_pool_new(&c, &p), 0);
	ck_assert_int_eq(nat_port_alloc(p, 0, &a, &ga), 0);
	a.dst = endpoint(10, 99);
	ck_assert_int_eq(nat_port_alloc(p, 3, &a, &ga2), 0); /* another worker, same mapping */
	ck_assert(ga.addr == ga2.addr && ga.port == ga2.port);
	/* b sends to a's external endpoint. */
	ck_assert(nat_port_ref(p, NAT_P_UDP, ga.addr, ga.port, &in, &gi));
	ck_assert(!memcmp(&in, &a.in, sizeof(in.addr)) && in.port == 5000);
	b.dst = endpoint(0xc0000200 + ga.addr, ga.port);
	ck_assert_int_eq(nat_port_alloc(p, 1, &b, &gb), 0);
	ck_assert(gb.addr != ga.addr || gb.port != ga.port);
	nat_port_free(p, 0, &a, &ga);
	nat_port_free(p, 2, &a, &ga2);
	ck_assert(
		nat_port_find(p, NAT_P_UDP, ga.addr, ga.port, &in)); /* the hairpin flow holds it */
	nat_port_free(p, 1, &a, &gi);
	ck_assert(!nat_port_find(p, NAT_P_UDP, ga.addr, ga.port, &in));
	nat_port_free(p, 1, &b, &gb);
	ck_assert(!nat_port_ref(p, NAT_P_UDP, ga.addr, ga.port, &in, &gi));
	nat_pool_free(p);
}
END_TEST

START_TEST(test_blocks_and_quota)
{
	struct nat_pool_conf c = base_conf(NAT_EDM);
	struct nat_req r = { .proto = NAT_P_TCP, .dst = endpoint(1, 80) };
	struct nat_grant g[256];
	struct nat_ports range;
	struct nat_pool *p;
	uint32_t addr, sub;
	unsigned blocks = 0, n;

	c.block_ports = 64;
	c.max_blocks = 2;
	c.quota[NAT_P_TCP] = 100;
	ck_assert_int_eq(nat_pool_new(&c, &p), 0);
	for (n = 0; n < 100; n++) {
		r.in = endpoint(7, (uint16_t)(2000 + n));
		ck_assert_int_eq(nat_port_alloc(p, n % 4, &r, &g[n]), 0);
		blocks += g[n].new_block;
		ck_assert_uint_eq(g[n].addr, g[0].addr);
	}
	ck_assert_uint_eq(blocks, 2);
	ck_assert_int_eq(nat_port_alloc(p, 0, &r, &g[n]), -EDQUOT);
	r.in = endpoint(8, 1);
	ck_assert_int_eq(nat_port_alloc(p, 0, &r, &g[n]), 0); /* a neighbour is not touched */
	ck_assert(g[n].new_block);
	nat_pool_free(p);

	c = base_conf(NAT_EIM);
	c.block_ports = 256;
	c.det_subs = 100;
	ck_assert_int_eq(nat_pool_new(&c, &p), 0);
	for (uint32_t s = 0; s < 100; s++) {
		struct nat_req d = { .proto = NAT_P_UDP, .in = endpoint(s, 1234), .sub_no = s };

		ck_assert_int_eq(nat_det_block(p, s, &addr, &range), 0);
		ck_assert_int_eq(nat_port_alloc(p, s % 4, &d, &g[0]), 0);
		ck_assert(g[0].addr == addr && g[0].port >= range.lo && g[0].port <= range.hi);
		ck_assert_int_eq(nat_det_owner(p, g[0].addr, g[0].port, &sub), 0);
		ck_assert_uint_eq(sub, s);
	}
	ck_assert_int_eq(nat_det_owner(p, 1, 49151, &sub), -ENOENT);
	ck_assert_int_eq(nat_det_owner(p, 0, 80, &sub), -ENOENT);
	nat_pool_free(p);
}
END_TEST

/* A successor enters the flows of the table, and collides with none of them afterwards. */
START_TEST(test_adopt)
{
	for (int kind = 0; kind < 3; kind++) {
		struct nat_pool_conf c = base_conf(kind == 1 ? NAT_EIM : NAT_EDM);
		struct nat_pool *p, *q;
		uint64_t rng = test_seed;

		c.block_ports = kind == 2 ? 64 : 0;
		c.max_blocks = 8;
		n_hosts = 200;
		oracle = xcalloc(1, sizeof(*oracle));
		live = xcalloc(10000, sizeof(*live));
		ck_assert_int_eq(nat_pool_new(&c, &p), 0);
		ck_assert_int_eq(nat_pool_new(&c, &q), 0);
		for (n_live = 0; n_live < 4000; n_live++) {
			struct live *l = &live[n_live];

			random_req(&rng, &c, l);
			l->req.in.port = (uint16_t)(2000 + n_live);
			if (l->req.proto == NAT_P_ICMP)
				l->req.proto = NAT_P_TCP;
			ck_assert_int_eq(nat_port_alloc(p, n_live % 4, &l->req, &l->g), 0);
		}
		for (unsigned i = 0; i < n_live; i++) {
			struct nat_grant again = live[i].g;

			ck_assert_int_eq(nat_port_adopt(q, &live[i].req, &live[i].g), 0);
			oracle_take(&c, &live[i]);
			if (kind != 1)
				ck_assert_int_eq(nat_port_adopt(q, &live[i].req, &again), -EEXIST);
		}
		for (unsigned i = 0; i < 4000; i++) {
			struct live *l = &live[n_live];

			random_req(&rng, &c, l);
			l->req.in.port = (uint16_t)(12000 + i);
			if (!nat_port_alloc(q, i % 4, &l->req, &l->g)) {
				oracle_take(&c, l);
				n_live++;
			}
		}
		while (n_live)
			free_one(q, &c, n_live - 1, n_live % 4);
		assert_all_back(q, &c, 0);
		nat_pool_free(p);
		nat_pool_free(q);
		free(oracle);
		free(live);
	}
}
END_TEST

START_TEST(test_bad_conf)
{
	struct nat_pool_conf c = base_conf(NAT_EDM);
	struct nat_pool *p = NULL;

	c.n_fast = 0;
	ck_assert_int_eq(nat_pool_new(&c, &p), -EINVAL);
	c = base_conf(NAT_EDM);
	c.block_ports = 100;
	ck_assert_int_eq(nat_pool_new(&c, &p), -EINVAL);
	c = base_conf(NAT_EDM);
	c.block_ports = 64;
	c.det_subs = 100000;
	ck_assert_int_eq(nat_pool_new(&c, &p), -EINVAL);
	c = base_conf(NAT_EDM);
	c.n_workers = 0;
	ck_assert_int_eq(nat_pool_new(&c, &p), -EINVAL);
	c = base_conf(NAT_EDM);
	c.n_fast = 1;
	c.fast[0] = (struct nat_ports){ 2000, 2999 };
	c.carve = &c.fast[0];
	c.n_carve = 1;
	ck_assert_int_eq(nat_pool_new(&c, &p), -EINVAL);
	ck_assert_ptr_null(p);
	ck_assert_ptr_null(nat_pool_free(NULL));
}
END_TEST

/* ----- workers in parallel ----- */

#define N_THREADS     4
#define THREAD_STEPS  150000
#define THREAD_LIVE   600
#define SHARED_POINTS 512

static _Atomic uint8_t marks[65536];
static struct nat_pool *shared_pool;
static enum nat_mode shared_mode;

/* EDM: marks show each port at the one destination has one holder. EIM: threads use the same
 * endpoints; the port of a mapping must be the same for all while one holds it. */
static void *worker_main(void *arg)
{
	unsigned self = (unsigned)(uintptr_t)arg, n = 0;
	uint64_t rng = test_seed + self;
	struct live *mine = xcalloc(THREAD_LIVE, sizeof(*mine));

	for (unsigned i = 0; i < THREAD_STEPS; i++) {
		uint64_t r = test_rand(&rng);
		struct live l = { .req = { .proto = NAT_P_UDP, .dst = endpoint(1, 53) } };

		/* Thread 0 wants more than its slice has: it takes from the others. */
		if (n < (self ? 100 : THREAD_LIVE) && (r >> 60) < 9) {
			l.req.in = shared_mode == NAT_EIM ? endpoint((r >> 33) % SHARED_POINTS, 7)
							  : endpoint((uint32_t)r, (uint16_t)i);
			if (nat_port_alloc(shared_pool, self, &l.req, &l.g))
				continue;
			if (shared_mode == NAT_EDM)
				REQUIRE(atomic_exchange(&marks[l.g.port], 1) == 0);
			mine[n++] = l;
		} else if (n) {
			unsigned k = (unsigned)(r >> 20) % n;

			l = mine[k];
			mine[k] = mine[--n];
			if (shared_mode == NAT_EDM) {
				REQUIRE(atomic_exchange(&marks[l.g.port], 0) == 1);
			} else {
				struct nat_endpoint in;

				REQUIRE(nat_port_find(shared_pool, NAT_P_UDP, l.g.addr, l.g.port,
						      &in));
				REQUIRE(!memcmp(in.addr, l.req.in.addr, 16));
			}
			nat_port_free(shared_pool, self, &l.req, &l.g);
		}
		if (i % 64 == 0)
			nat_port_tick(shared_pool, self, i / 1000, 32);
	}
	while (n--)
		nat_port_free(shared_pool, self, &mine[n].req, &mine[n].g);
	free(mine);
	return NULL;
}

static void run_threads(struct nat_pool_conf c)
{
	pthread_t t[N_THREADS];
	struct nat_gauges ga;

	memset(marks, 0, sizeof(marks));
	shared_mode = c.mode;
	ck_assert_int_eq(nat_pool_new(&c, &shared_pool), 0);
	for (uintptr_t i = 0; i < N_THREADS; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, worker_main, (void *)i), 0);
	for (unsigned i = 0; i < N_THREADS; i++)
		pthread_join(t[i], NULL);
	nat_port_gauges(shared_pool, &ga);
	if (c.mode == NAT_EDM)
		ck_assert_uint_gt(ga.stolen_chunks, 0);
	assert_all_back(shared_pool, &c, THREAD_STEPS);
	nat_pool_free(shared_pool);
}

START_TEST(test_threads)
{
	struct nat_pool_conf c = base_conf(NAT_EDM);

	c.n_addrs = c.n_fast = 1;
	c.fast[0] = (struct nat_ports){ 32768, 32768 + 1023 };
	run_threads(c);
	c.mode = NAT_EIM;
	run_threads(c);
	c.hold_sec[NAT_P_UDP] = 1;
	c.quota[NAT_P_UDP] = 1000;
	run_threads(c);
	c.hold_sec[NAT_P_UDP] = 0;
	c.block_ports = 64;
	c.max_blocks = 1;
	c.max_subs = 100;
	run_threads(c);
}
END_TEST

/* TSan sees nothing in the tests of one thread, which take minutes under it. */
#ifdef __SANITIZE_THREAD__
#define THREADS_ONLY true
#else
#define THREADS_ONLY false
#endif

static Suite *suite(void)
{
	Suite *s = suite_create("nat_port");
	TCase *tc = tcase_create("nat_port");

	tcase_set_timeout(tc, 240);
	tcase_add_test(tc, test_threads);
	if (THREADS_ONLY) {
		suite_add_tcase(s, tc);
		return s;
	}
	tcase_add_test(tc, test_every_port);
	tcase_add_test(tc, test_preserve_parity_pairing);
	tcase_add_test(tc, test_random_ports);
	tcase_add_test(tc, test_hold_down);
	tcase_add_test(tc, test_eim_hairpin);
	tcase_add_test(tc, test_blocks_and_quota);
	tcase_add_test(tc, test_adopt);
	tcase_add_test(tc, test_bad_conf);
	tcase_add_test(tc, test_churn_edm);
	tcase_add_test(tc, test_churn_edm_options);
	tcase_add_test(tc, test_churn_eim);
	tcase_add_test(tc, test_churn_blocks);
	tcase_add_test(tc, test_churn_det);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
