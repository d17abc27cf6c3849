/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NAT of first packets: which port, what the halves become, and a random model of who has what. */
#include "nat_way.h"
#include "nat_mapping.h"

#include "hash.h"
#include "../lib/check_main.h"

#include <arpa/inet.h>
#include <errno.h>

static struct fp_flow_mem mem;
static struct fp_flow *table;
static struct fp_flow_worker *wk;
static struct fp_nat *nat;
static struct fp_nat_self self;
static struct nat_ports fast, carve;
static struct fp_pol_pool pool;

enum { INSIDE, OUTSIDE, OUTSIDE2 }; /* zones */

static void addr_of(const char *text, uint8_t ret[16])
{
	memset(ret, 0, 16);
	ck_assert_int_eq(inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, ret), 1);
}

/* As the box does it. */
static void freed(void *ctx, enum flow_family fam, uint32_t pair, const flow_word *key[2])
{
	struct fp_endpoint at;

	if (nat && fp_mapping_was_block(fam, key, &at))
		fp_nat_block_ended(nat, fam, at.addr, ntohs(at.port_be));
}

static void setup(const char *lo, const char *hi, uint16_t first, uint16_t last)
{
	struct fp_flow_conf conf = { .n_workers = 1, .freed = freed };
	uint32_t n[FLOW__FAMILIES] = { 16384, 4096 };

	pool = (struct fp_pol_pool){ .family = strchr(lo, ':') ? AF_INET6 : AF_INET,
				     .n_fast = 1,
				     .fast = &fast,
				     .n_carve = carve.hi > 0,
				     .carve = &carve };

	fast = (struct nat_ports){ first, last };
	addr_of(lo, pool.lo);
	addr_of(hi, pool.hi);
	self = (struct fp_nat_self){ 0 };
	ck_assert_int_eq(fp_flow_mem_anon(n, &mem), 0);
	ck_assert_int_eq(fp_flow_open(&mem, &conf, &table), 0);
	wk = fp_flow_worker(table, 0);
	fp_flow_maintain(table, 1000);
	ck_assert_int_eq(fp_nat_new(&pool, 1, &nat), 0);
}

static void teardown(void)
{
	nat = fp_nat_free(nat);
	table = fp_flow_close(table);
	fp_flow_mem_fini(&mem);
	carve = (struct nat_ports){ 0 };
}

struct want {
	const char *src, *dst;
	uint16_t sport, dport;
	uint8_t proto;
	uint16_t zone_back;
	struct fp_pol_xlate snat;
	const char *dnat;
	uint16_t dnat_port;
};

static struct fp_flow_new made;

static int insert(const struct want *q, uint64_t *ret_ref)
{
	bool v6 = strchr(q->src, ':');
	struct fp_pol_state st = { .snat = q->snat, .dport_be = htons(q->dport) };
	struct fp_nat_ask ask = { .flows = table,
				  .fw = wk,
				  .self = &self,
				  .fam = v6 ? FLOW_6 : FLOW_4,
				  .st = &st,
				  .zone_back = q->zone_back };
	uint8_t src[16], dst[16];

	addr_of(q->src, src);
	addr_of(q->dst, dst);
	memcpy(st.dst, dst, 16);
	if (q->dnat)
		addr_of(q->dnat, st.dst);
	if (q->dnat_port)
		st.dport_be = htons(q->dnat_port);
	made = (struct fp_flow_new){ .time = fp_flow_now(), .timeout = 600 };
	for (int d = 0; d < 2; d++)
		made.dir[d].state = FLOW_P_WORKER;
	if (v6) {
		made.dir[0].key6 = (struct flow_key6){ .sport = htons(q->sport),
						       .dport = htons(q->dport),
						       .proto = q->proto,
						       .zone = INSIDE };
		memcpy(made.dir[0].key6.saddr, src, 16);
		memcpy(made.dir[0].key6.daddr, dst, 16);
	} else {
		made.dir[0].key4 = (struct flow_key4){ .sport = htons(q->sport),
						       .dport = htons(q->dport),
						       .proto = q->proto,
						       .zone = INSIDE };
		memcpy(&made.dir[0].key4.saddr, src, 4);
		memcpy(&made.dir[0].key4.daddr, dst, 4);
	}
	return fp_nat_insert(nat, &ask, &made, ret_ref);
}

static struct want pooled(const char *src, uint16_t sport, const char *dst, uint16_t dport)
{
	return (struct want){ .src = src,
			      .sport = sport,
			      .dst = dst,
			      .dport = dport,
			      .proto = IPPROTO_UDP,
			      .zone_back = OUTSIDE,
			      .snat = { .kind = FP_XL_POOL } };
}

static uint16_t port4(void)
{
	return ntohs(made.dir[0].rw4.sport);
}

static void is4(uint32_t have_be, const char *want)
{
	char text[INET_ADDRSTRLEN];

	ck_assert_str_eq(inet_ntop(AF_INET, &have_be, text, sizeof(text)), want);
}

/* The inside port stays when it can; what the answer becomes undoes what the packet became. */
START_TEST(keeps_the_port)
{
	struct want q = pooled("10.0.0.1", 5001, "198.51.100.7", 53);
	uint64_t ref;

	setup("203.0.113.1", "203.0.113.1", 5000, 6000);
	ck_assert_int_eq(insert(&q, &ref), 0);
	is4(made.dir[0].rw4.saddr, "203.0.113.1");
	is4(made.dir[0].rw4.daddr, "198.51.100.7");
	ck_assert_uint_eq(port4(), 5001);
	ck_assert_uint_eq(ntohs(made.dir[0].rw4.dport), 53);
	is4(made.dir[1].key4.saddr, "198.51.100.7");
	is4(made.dir[1].key4.daddr, "203.0.113.1");
	ck_assert_uint_eq(ntohs(made.dir[1].key4.dport), 5001);
	ck_assert_uint_eq(made.dir[1].key4.zone, OUTSIDE);
	is4(made.dir[1].rw4.saddr, "198.51.100.7");
	is4(made.dir[1].rw4.daddr, "10.0.0.1");
	ck_assert_uint_eq(ntohs(made.dir[1].rw4.dport), 5001);
	ck_assert(made.dir[0].flags & FLOW_F_REWRITE && made.dir[1].flags & FLOW_F_REWRITE);
	/* The sums of both directions cancel out. */
	ck_assert_uint_eq((made.dir[0].rw4.l3_delta + made.dir[1].rw4.l3_delta) % 0xffff, 0);
	ck_assert_uint_eq((made.dir[0].rw4.l4_delta + made.dir[1].rw4.l4_delta) % 0xffff, 0);
	ck_assert_uint_eq(self.kept, 1);
	/* The same packet again: not another flow. */
	ck_assert_int_eq(insert(&q, &ref), -EEXIST);
	/* Of another host, to the same place: another port of the same parity. */
	q.src = "10.0.0.2";
	ck_assert_int_eq(insert(&q, &ref), 0);
	ck_assert_uint_ne(port4(), 5001);
	ck_assert_uint_eq(port4() % 2, 1);
	/* To another place it has the port that it had. */
	q.dst = "198.51.100.8";
	ck_assert_int_eq(insert(&q, &ref), 0);
	ck_assert_uint_eq(port4(), 5001);
	teardown();
}
END_TEST

/* A port outside of the range is replaced by the same one for all destinations. */
START_TEST(one_port_for_all_destinations)
{
	struct want q = pooled("10.0.0.1", 60001, "198.51.100.7", 53);
	uint16_t port = 0;
	uint64_t ref;
	char dst[INET_ADDRSTRLEN];

	setup("203.0.113.1", "203.0.113.1", 10240, 40959);
	for (unsigned i = 1; i < 200; i++) {
		snprintf(dst, sizeof(dst), "198.51.100.%u", i);
		q.dst = dst;
		ck_assert_int_eq(insert(&q, &ref), 0);
		ck_assert(port4() >= 10240 && port4() <= 40959 && port4() % 2);
		ck_assert(i == 1 || port4() == port);
		port = port4();
	}
	ck_assert_uint_eq(self.tries, 0);
	teardown();
}
END_TEST

START_TEST(classes_and_carved_ports)
{
	struct want q = pooled("10.0.0.1", 600, "198.51.100.7", 53);
	uint64_t ref;

	carve = (struct nat_ports){ 1000, 1999 };
	setup("203.0.113.1", "203.0.113.1", 990, 2019);
	/* Ten low ports, twenty high ones. */
	for (unsigned i = 0; i < 30; i++) {
		q.sport = (uint16_t)(i < 10 ? 600 : 1000) + (uint16_t)i;
		ck_assert_int_eq(insert(&q, &ref), 0);
		ck_assert(i < 10 ? port4() >= 990 && port4() < 1000
				 : port4() >= 2000 && port4() < 2020);
	}
	q.sport++;
	ck_assert_int_eq(insert(&q, &ref), -ENOSPC);
	ck_assert_uint_eq(self.exhausted, 1);
	/* Full toward one endpoint only. */
	q.dport++;
	ck_assert_int_eq(insert(&q, &ref), 0);
	q.dport--;
	q.proto = IPPROTO_TCP;
	ck_assert_int_eq(insert(&q, &ref), 0);
	teardown();
}
END_TEST

/* A port is free again with the end of its flow, however that comes. */
START_TEST(free_with_the_flow)
{
	struct want q = pooled("10.0.0.1", 1, "198.51.100.7", 53);
	uint64_t ref[64], more;

	setup("203.0.113.1", "203.0.113.1", 20000, 20063);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 64; i++) {
			q.sport = (uint16_t)(100 + i);
			ck_assert_int_eq(insert(&q, &ref[i]), 0);
		}
		q.sport = 999;
		ck_assert_int_eq(insert(&q, &more), -ENOSPC);
		for (unsigned i = 0; i < 64; i++)
			ck_assert_int_eq(fp_flow_free(wk, FLOW_4, ref[i]), 0);
		fp_flow_maintain(table, 1000);
	}
	teardown();
}
END_TEST

/* Answers come by two interfaces: one external endpoint is not used toward one place by both. */
START_TEST(two_ways_out)
{
	struct fp_nat *next;
	struct want q = pooled("10.0.0.1", 5001, "198.51.100.7", 53);
	uint64_t ref;

	setup("203.0.113.1", "203.0.113.1", 5000, 5003);
	ck_assert_int_eq(insert(&q, &ref), 0);
	ck_assert_uint_eq(port4(), 5001);
	q.zone_back = OUTSIDE2;
	q.src = "10.0.0.2";
	for (unsigned i = 0; i < 3; i++) {
		q.sport = (uint16_t)(5001 + i);
		ck_assert_int_eq(insert(&q, &ref), 0);
		ck_assert_uint_ne(port4(), 5001);
	}
	q.sport++;
	ck_assert_int_eq(insert(&q, &ref), -ENOSPC);
	/* The next policy knows it, and one after a restart if it is told. */
	for (unsigned told = 0; told < 2; told++) {
		ck_assert_int_eq(fp_nat_new(&pool, 1, &next), 0);
		fp_nat_follow(next, told ? NULL : nat, 3 << OUTSIDE);
		fp_nat_free(nat);
		nat = next;
		ck_assert_int_eq(insert(&q, &ref), -ENOSPC);
	}
	teardown();
}
END_TEST

/* One external endpoint an inside endpoint, whoever else is there. */
START_TEST(mappings)
{
	struct want q = pooled("10.0.0.1", 60001, "198.51.100.7", 53);
	struct fp_mapping m = { .fam = FLOW_4, .proto = IPPROTO_UDP };
	uint16_t port[3], want[3] = { 20001, 20001, 20002 };
	char dst[INET_ADDRSTRLEN];
	uint64_t ref;

	setup("203.0.113.1", "203.0.113.1", 20000, 20003);
	pool.eim = true;
	fp_nat_free(nat);
	ck_assert_int_eq(fp_nat_new(&pool, 1, &nat), 0);
	/* Contended from the start: all want ports that others have, and all keep what they got. */
	for (unsigned i = 0; i < 60; i++) {
		unsigned host = i % 3;
		char src[INET_ADDRSTRLEN];

		snprintf(src, sizeof(src), "10.0.0.%u", host);
		snprintf(dst, sizeof(dst), "198.51.100.%u", i / 3);
		q.src = src;
		q.dst = dst;
		q.sport = want[host];
		ck_assert_int_eq(insert(&q, &ref), 0);
		ck_assert(made.flags & FLOW_COLD_MAPPED);
		ck_assert(i < 3 || port4() == port[host]);
		port[host] = port4();
	}
	ck_assert(port[0] == 20001 && port[1] != port[0] && port[2] != port[1] &&
		  port[2] != port[0]);
	/* Who is behind an external endpoint. */
	addr_of("203.0.113.1", m.out.addr);
	m.out.port_be = htons(port[1]);
	ck_assert(fp_mapping_find_out(table, &m, fp_flow_now()));
	ck_assert_uint_eq(m.in.addr[3], 1);
	ck_assert_uint_eq(ntohs(m.in.port_be), 20001);
	m.proto = IPPROTO_TCP;
	ck_assert(!fp_mapping_find_out(table, &m, fp_flow_now()));
	/* One port is left: for one endpoint more. */
	q.src = "10.0.0.9";
	ck_assert_int_eq(insert(&q, &ref), 0);
	q.sport++;
	ck_assert_int_eq(insert(&q, &ref), -ENOSPC);
	q.proto = IPPROTO_TCP;
	ck_assert_int_eq(insert(&q, &ref), 0);
	teardown();
}
END_TEST

/* RFC 7422: a host has its block of ports of one address, and no other; parity and the inside port
 * are kept as far as it goes. */
START_TEST(shares)
{
	struct want q = pooled("10.0.0.1", 20005, "198.51.100.7", 53);
	struct nat_ports got;
	unsigned odd = 0;
	uint8_t addr[16];
	uint64_t ref;

	/* A hole: the blocks are 20000-20009, 20013-20022, 20023-20032; the rest is left over. */
	carve = (struct nat_ports){ 20012, 20012 };
	setup("203.0.113.1", "203.0.113.2", 20000, 20033);
	for (unsigned eim = 0; eim < 2; eim++) {
		pool.share = 10;
		pool.eim = eim;
		fp_nat_free(nat);
		ck_assert_int_eq(fp_nat_new(&pool, 1, &nat), 0);
		q.snat.host = 4 + eim; /* blocks 1 and 2 of the second address */
		q.src = eim ? "10.0.0.2" : "10.0.0.1";
		ck_assert_int_eq(fp_nat_share(nat, 0, q.snat.host, addr, &got), 0);
		ck_assert(addr[3] == 2 && got.lo == 20013 + 10 * eim && got.hi == got.lo + 9);
		q.sport = 20005;
		ck_assert_int_eq(insert(&q, &ref), 0);
		is4(made.dir[0].rw4.saddr, "203.0.113.2");
		ck_assert(port4() >= got.lo && port4() <= got.hi && port4() % 2);
		/* All ten toward one place; of the same parity while there are. */
		for (unsigned i = 1; i < 10; i++) {
			q.sport = (uint16_t)(30001 + 2 * i);
			ck_assert_int_eq(insert(&q, &ref), 0);
			ck_assert(port4() >= got.lo && port4() <= got.hi);
			odd += port4() % 2 && i < 5;
		}
		q.sport = 999;
		ck_assert_int_eq(insert(&q, &ref), -ENOSPC);
		/* Another protocol: a port of its own that is in the block stays. */
		q.proto = IPPROTO_TCP;
		q.sport = (uint16_t)(got.lo + 3);
		ck_assert_int_eq(insert(&q, &ref), 0);
		ck_assert_uint_eq(port4(), q.sport);
		q.proto = IPPROTO_UDP;
	}
	ck_assert_uint_eq(odd, 8);
	ck_assert_int_eq(fp_nat_share(nat, 0, 5, addr, &got), 0);
	ck_assert_int_eq(fp_nat_share(nat, 0, 6, addr, &got), -ENOENT);
	q.snat.host = 6;
	q.src = "10.0.0.9";
	ck_assert_int_eq(insert(&q, &ref), -ENOSPC);
	teardown();
}
END_TEST

/* Block number `at` of a host, as the keeper and rtrd see it. */
static bool host_block(const char *src, unsigned at, struct fp_mapping *m)
{
	*m = (struct fp_mapping){ .pool = (uint32_t)pool.identity | 1,
				  .in.port_be = htons((uint16_t)at) };
	addr_of(src, m->in.addr);
	return fp_mapping_find(table, m, fp_flow_now());
}

/* RFC 6888 REQ-4, REQ-14: a host has its ports by blocks, one and then another, and no more. */
START_TEST(blocks)
{
	struct want q = pooled("10.0.0.1", 20005, "198.51.100.7", 53);
	struct nat_ports first, got;
	struct fp_mapping m, n;
	uint64_t ref;

	/* Three blocks of ten at each address; addresses by the hash. */
	setup("203.0.113.1", "203.0.113.1", 20000, 20031);
	for (unsigned eim = 0; eim < 2; eim++) {
		q.src = eim ? "10.0.0.2" : "10.0.0.1";
		pool.share = 10;
		pool.blocks = eim ? 1 : 2;
		pool.eim = eim;
		pool.identity = 77;
		fp_nat_free(nat);
		ck_assert_int_eq(fp_nat_new(&pool, 1, &nat), 0);
		ck_assert(!host_block(q.src, 0, &m));
		for (unsigned i = 0; i < 10; i++) {
			q.sport = (uint16_t)(40000 + i);
			ck_assert_int_eq(insert(&q, &ref), 0);
			ck_assert(made.flags & FLOW_COLD_BLOCK);
			ck_assert(host_block(q.src, 0, &m) && !host_block(q.src, 1, &n));
			ck_assert(fp_nat_block(nat, FLOW_4, m.out.addr, port4(), &got));
			ck_assert_uint_eq(got.lo, ntohs(m.out.port_be));
			ck_assert_uint_eq(got.hi, got.lo + 9);
		}
		first = got;
		q.sport = 50000;
		if (eim) {
			ck_assert_int_eq(insert(&q, &ref), -EUSERS);
			continue;
		}
		/* Another one, and nothing beyond that; to another place ports are used again. */
		for (unsigned i = 0; i < 10; i++) {
			q.sport = (uint16_t)(50000 + i);
			ck_assert_int_eq(insert(&q, &ref), 0);
			ck_assert(fp_nat_block(nat, FLOW_4, m.out.addr, port4(), &got));
			ck_assert_uint_ne(got.lo, first.lo);
		}
		ck_assert(host_block(q.src, 1, &m));
		q.sport = 60000;
		ck_assert_int_eq(insert(&q, &ref), -EUSERS);
		q.dport++;
		ck_assert_int_eq(insert(&q, &ref), 0);
		q.dport--;
	}
	ck_assert_uint_eq(self.blocks, 3);
	/* All three are taken: none for another host. */
	q.src = "10.0.0.3";
	ck_assert_int_eq(insert(&q, &ref), -ENOBUFS);
	teardown();
}
END_TEST

/* Flows of no pool, until the table has no room. */
static void fill_table(void)
{
	struct want q = {
		.src = "10.9.9.9", .dst = "198.51.100.9", .proto = IPPROTO_UDP, .zone_back = OUTSIDE
	};
	uint64_t ref;
	int err = 0;

	for (uint32_t i = 0; i < 1u << 20 && err != -ENOSPC; i++) {
		q.sport = (uint16_t)i;
		q.dport = (uint16_t)(1000 + (i >> 16));
		err = insert(&q, &ref);
	}
	ck_assert_int_eq(err, -ENOSPC);
}

/* It is the kernel's then, not refused as one beyond its host's blocks; nothing is taken for it. */
START_TEST(blocks_of_a_full_table)
{
	struct want q = pooled("10.0.0.1", 20005, "198.51.100.7", 53);
	struct fp_mapping m;
	uint64_t ref;

	setup("203.0.113.1", "203.0.113.1", 20000, 20031);
	pool.share = 10;
	pool.blocks = 2;
	pool.eim = _i;
	fp_nat_free(nat);
	ck_assert_int_eq(fp_nat_new(&pool, 1, &nat), 0);
	ck_assert_int_eq(insert(&q, &ref), 0);
	fill_table();
	q.sport++;
	ck_assert_int_eq(insert(&q, &ref), -ENOSPC);
	ck_assert(!host_block(q.src, 1, &m));
	q.src = "10.0.0.2";
	ck_assert_int_eq(insert(&q, &ref), -ENOSPC);
	teardown();
}
END_TEST

/* The port of a mapping is a flow's of before: as without blocks. */
START_TEST(block_clash)
{
	struct want q = pooled("10.0.0.1", 20005, "198.51.100.7", 53);
	struct want old = { .src = "203.0.113.1",
			    .dst = "198.51.100.8",
			    .dport = 53,
			    .proto = IPPROTO_UDP,
			    .zone_back = OUTSIDE };
	struct fp_mapping m;
	uint64_t ref;

	setup("203.0.113.1", "203.0.113.1", 20000, 20031);
	pool.share = 10;
	pool.blocks = 2;
	pool.eim = true;
	fp_nat_free(nat);
	ck_assert_int_eq(fp_nat_new(&pool, 1, &nat), 0);
	ck_assert_int_eq(insert(&q, &ref), 0);
	old.sport = port4();
	ck_assert_int_eq(insert(&old, &ref), 0);
	q.dst = old.dst;
	ck_assert_int_eq(insert(&q, &ref), -ENOSPC);
	ck_assert(!host_block(q.src, 1, &m));
	teardown();
}
END_TEST

/* A block lives as long as it is kept, and nobody else has its ports before it ends. */
START_TEST(block_ends)
{
	struct want q = pooled("2001:db8::1", 60001, "2001:db8:9::7", 53);
	uint32_t now = fp_flow_now(), sec = (uint32_t)(NSEC_PER_SEC >> FLOW_TIME_SHIFT);
	struct fp_mapping m = { .fam = FLOW_6 };
	uint8_t mine[16], other[16];
	uint16_t port;
	uint64_t ref;

	setup("2001:db8:f::1", "2001:db8:f::1", 20000, 20009);
	pool.share = 10;
	pool.blocks = 4;
	fp_nat_free(nat);
	ck_assert_int_eq(fp_nat_new(&pool, 1, &nat), 0);
	ck_assert_int_eq(insert(&q, &ref), 0);
	port = ntohs(made.dir[0].rw6.sport);
	addr_of(q.src, mine);
	addr_of("2001:db8::2", other);
	ck_assert(fp_nat_block_holds(nat, table, FLOW_6, mine, made.dir[0].rw6.saddr, port));
	ck_assert(!fp_nat_block_holds(nat, table, FLOW_6, other, made.dir[0].rw6.saddr, port));
	/* Not of a pool, not a port of the fast plane: nothing is said of these. */
	ck_assert(fp_nat_block_holds(nat, table, FLOW_6, other, other, port));
	ck_assert(fp_nat_block_holds(nat, table, FLOW_6, other, made.dir[0].rw6.saddr, 20010));
	ck_assert_uint_eq(fp_nat_block_size(nat, 1), 10);
	ck_assert_uint_eq(fp_nat_block_size(nat, 3), 0);
	ck_assert_int_eq(fp_flow_free(wk, FLOW_6, ref), 0);
	memcpy(m.out.addr, made.dir[0].rw6.saddr, 16);
	m.out.port_be = htons(20000);
	for (unsigned round = 0; round < 3; round++) {
		fp_nat_block_keep(nat, table, FLOW_6, m.out.addr, port, now);
		now += (FP_BLOCK_SEC - 20) * sec;
		fp_flow_age(wk, now, 1000, NULL, NULL);
		ck_assert(fp_mapping_find_out(table, &m, 0));
		ck_assert_mem_eq(m.in.addr, mine, 16);
	}
	q.src = "2001:db8::2";
	ck_assert_int_eq(insert(&q, &ref), -ENOBUFS);
	now += 60 * sec;
	fp_flow_age(wk, now, 1000, NULL, NULL);
	ck_assert(!fp_mapping_find_out(table, &m, 0));
	fp_flow_maintain(table, 1000);
	ck_assert_int_eq(insert(&q, &ref), 0);
	teardown();
}
END_TEST

/* The last free one of many is found, wherever it is; that there is none is known without asking
 * for each; and the one that has ended is the next host's. */
START_TEST(all_blocks)
{
	enum { BLOCKS = 1000, SIZE = 16 };
	struct fp_mapping m = { .fam = FLOW_4 };
	uint32_t sec = (uint32_t)(NSEC_PER_SEC >> FLOW_TIME_SHIFT);
	struct want q = pooled("", 60001, "198.51.100.7", 53);
	uint64_t ref[BLOCKS], extra, asked;
	uint16_t port[BLOCKS];
	char src[INET6_ADDRSTRLEN];

	q.src = src;
	setup("203.0.113.1", "203.0.113.1", 20000, 20000 + BLOCKS * SIZE - 1);
	pool.share = SIZE;
	pool.blocks = 1;
	for (unsigned cut = 0; cut < 2; cut++) {
		fp_nat_free(nat);
		ck_assert_int_eq(fp_nat_new(&pool, 1, &nat), 0);
		/* After a change of the policy nothing is known, and all the same is found. */
		for (unsigned i = cut * BLOCKS / 2; i < (cut + 1) * BLOCKS / 2; i++) {
			snprintf(src, sizeof(src), "10.0.%u.%u", i / 256, i % 256);
			ck_assert_int_eq(insert(&q, &ref[i]), 0);
			port[i] = port4();
			fp_flow_maintain(table, 1000);
		}
	}
	snprintf(src, sizeof(src), "10.1.0.1");
	ck_assert_int_eq(insert(&q, &extra), -ENOBUFS);
	asked = fp_flow_stat(table, FP_FLOW_STAT_EXISTS_REV);
	for (unsigned i = 0; i < 10; i++)
		ck_assert_int_eq(insert(&q, &extra), -ENOBUFS);
	ck_assert_uint_eq(fp_flow_stat(table, FP_FLOW_STAT_EXISTS_REV), asked);
	/* All but one are kept. */
	ck_assert_int_eq(fp_flow_free(wk, FLOW_4, ref[77]), 0);
	addr_of("203.0.113.1", m.out.addr);
	for (unsigned i = 0; i < BLOCKS; i++)
		if (i != 77)
			fp_nat_block_keep(nat, table, FLOW_4, m.out.addr, port[i],
					  fp_flow_now() + 100 * sec);
	fp_flow_age(wk, fp_flow_now() + (FP_BLOCK_SEC + 20) * sec, 8 * BLOCKS, NULL, NULL);
	fp_flow_maintain(table, 1000);
	ck_assert_int_eq(insert(&q, &extra), 0);
	ck_assert_uint_eq(port4() / SIZE, port[77] / SIZE);
	ck_assert_uint_le(fp_flow_stat(table, FP_FLOW_STAT_EXISTS_REV), asked + 1);
	teardown();
}
END_TEST

/* A block that begins at the same port, but is of another cut, is none of the pool's. */
START_TEST(block_of_the_cut)
{
	struct want q = pooled("10.0.0.1", 60001, "198.51.100.7", 53);
	uint8_t mine[16], addr[16];
	uint64_t ref;

	setup("203.0.113.1", "203.0.113.1", 20000, 20019);
	addr_of(q.src, mine);
	addr_of("203.0.113.1", addr);
	pool.share = 10;
	pool.blocks = 2;
	for (unsigned cut = 0; cut < 2; cut++) {
		pool.identity = cut ? 99 : 77;
		fp_nat_free(nat);
		ck_assert_int_eq(fp_nat_new(&pool, 1, &nat), 0);
		if (!cut)
			ck_assert_int_eq(insert(&q, &ref), 0);
		ck_assert_int_eq(fp_nat_block_holds(nat, table, FLOW_4, mine, addr, port4()), !cut);
	}
	teardown();
}
END_TEST

/* With a lower limit, flows in blocks beyond it do not go on. */
START_TEST(fewer_blocks)
{
	struct want q = pooled("2001:db8::1", 1, "2001:db8:9::7", 53);
	uint8_t mine[16], addr[16];
	uint16_t port[20];
	uint64_t ref;

	setup("2001:db8:f::1", "2001:db8:f::1", 20000, 20031);
	addr_of(q.src, mine);
	addr_of("2001:db8:f::1", addr);
	pool.share = 10;
	for (pool.blocks = 2; pool.blocks; pool.blocks--) {
		fp_nat_free(nat);
		ck_assert_int_eq(fp_nat_new(&pool, 1, &nat), 0);
		for (unsigned i = 0; i < 20; i++) {
			if (pool.blocks == 2) {
				q.sport = (uint16_t)(40000 + i);
				ck_assert_int_eq(insert(&q, &ref), 0);
				port[i] = ntohs(made.dir[0].rw6.sport);
			}
			ck_assert_int_eq(
				fp_nat_block_holds(nat, table, FLOW_6, mine, addr, port[i]),
				i < 10u * pool.blocks);
		}
	}
	teardown();
}
END_TEST

/* A mapping ends when nobody has asked for it for long. */
START_TEST(mapping_ends)
{
	struct want q = pooled("2001:db8::1", 60001, "2001:db8:9::7", 53);
	uint32_t now = fp_flow_now(), sec = (uint32_t)(NSEC_PER_SEC >> FLOW_TIME_SHIFT);
	struct fp_mapping m = { .fam = FLOW_6, .proto = IPPROTO_UDP };
	uint8_t want[16];
	uint64_t ref, ref2;

	setup("2001:db8:5::1", "2001:db8:5::1", 20000, 20000);
	pool.eim = true;
	fp_nat_free(nat);
	ck_assert_int_eq(fp_nat_new(&pool, 1, &nat), 0);
	ck_assert_int_eq(insert(&q, &ref), 0);
	/* Toward another place it is the same one. */
	addr_of("2001:db8:5::1", m.out.addr);
	m.out.port_be = htons(20000);
	q.dst = "2001:db8:9::8";
	ck_assert_int_eq(insert(&q, &ref2), 0);
	ck_assert_mem_eq(made.dir[0].rw6.saddr, m.out.addr, 16);
	ck_assert_uint_eq(ntohs(made.dir[0].rw6.sport), 20000);
	ck_assert_int_eq(fp_flow_free(wk, FLOW_6, ref), 0);
	ck_assert_int_eq(fp_flow_free(wk, FLOW_6, ref2), 0);
	ck_assert(fp_mapping_find_out(table, &m, now));
	addr_of("2001:db8::1", want);
	ck_assert_mem_eq(m.in.addr, want, 16);
	ck_assert_uint_eq(ntohs(m.in.port_be), 60001);
	fp_flow_age(wk, now + 290 * sec, 1000, NULL, NULL);
	ck_assert(fp_mapping_find_out(table, &m, now + 290 * sec));
	fp_flow_age(wk, now + 580 * sec, 1000, NULL, NULL);
	ck_assert(fp_mapping_find_out(table, &m, now + 290 * sec));
	fp_flow_age(wk, now + 600 * sec, 1000, NULL, NULL);
	ck_assert(!fp_mapping_find_out(table, &m, now + 600 * sec));
	q.src = "2001:db8::2";
	ck_assert_int_eq(insert(&q, &ref), 0);
	teardown();
}
END_TEST

/* One of several addresses, by the inside address alone. */
START_TEST(pairs_addresses)
{
	struct want q = pooled("10.0.0.1", 5001, "198.51.100.7", 53);
	uint32_t seen = 0, first = 0;
	char src[INET_ADDRSTRLEN];
	uint64_t ref;

	setup("203.0.113.4", "203.0.113.7", 5000, 6000);
	for (unsigned i = 1; i < 250; i++) {
		snprintf(src, sizeof(src), "10.0.0.%u", i);
		q.src = src;
		for (unsigned k = 0; k < 3; k++) {
			q.dport = (uint16_t)(100 + k);
			ck_assert_int_eq(insert(&q, &ref), 0);
			ck_assert(!k || made.dir[0].rw4.saddr == first);
			first = made.dir[0].rw4.saddr;
		}
		ck_assert(ntohl(first) >= 0xcb007104 && ntohl(first) <= 0xcb007107);
		seen |= 1u << (ntohl(first) & 7);
	}
	ck_assert_uint_eq(seen, 0xf0);
	teardown();
}
END_TEST

START_TEST(exact_and_plain)
{
	struct want q = { .src = "10.0.0.1",
			  .sport = 5001,
			  .dst = "203.0.113.9",
			  .dport = 8080,
			  .proto = IPPROTO_TCP,
			  .zone_back = OUTSIDE,
			  .dnat = "10.0.9.9",
			  .dnat_port = 80 };
	uint64_t ref;

	setup("203.0.113.1", "203.0.113.1", 5000, 6000);
	/* A forward. */
	ck_assert_int_eq(insert(&q, &ref), 0);
	is4(made.dir[0].rw4.daddr, "10.0.9.9");
	is4(made.dir[0].rw4.saddr, "10.0.0.1");
	ck_assert_uint_eq(ntohs(made.dir[0].rw4.dport), 80);
	is4(made.dir[1].rw4.saddr, "203.0.113.9");
	ck_assert_uint_eq(ntohs(made.dir[1].rw4.sport), 8080);
	/* By another public address to the same server: its answers would look the same. */
	q.dst = "203.0.113.10";
	ck_assert_int_eq(insert(&q, &ref), -EADDRINUSE);
	ck_assert_uint_eq(self.clash, 1);
	/* A static host. */
	q.dnat = NULL;
	q.dnat_port = 0;
	q.snat.kind = FP_XL_EXACT;
	addr_of("203.0.113.77", q.snat.addr);
	ck_assert_int_eq(insert(&q, &ref), 0);
	is4(made.dir[0].rw4.saddr, "203.0.113.77");
	ck_assert_uint_eq(port4(), 5001);
	/* Nothing changes: nothing is rewritten. */
	q = (struct want){ .src = "10.0.0.3",
			   .sport = 1,
			   .dst = "10.0.0.4",
			   .dport = 2,
			   .proto = IPPROTO_UDP,
			   .zone_back = OUTSIDE };
	ck_assert_int_eq(insert(&q, &ref), 0);
	ck_assert(!(made.dir[0].flags & FLOW_F_REWRITE) && !(made.dir[1].flags & FLOW_F_REWRITE));
	is4(made.dir[1].key4.saddr, "10.0.0.4");
	teardown();
}
END_TEST

START_TEST(ipv6)
{
	struct want q = pooled("2001:db8:1::5", 5001, "2001:db8:ffff::1", 443);
	char text[INET6_ADDRSTRLEN];
	uint64_t ref;

	setup("2001:db8:9::1", "2001:db8:9::1", 5000, 5001);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(insert(&q, &ref), 0);
		ck_assert_uint_eq(ntohs(made.dir[0].rw6.sport), i ? 5000 : 5001);
		inet_ntop(AF_INET6, made.dir[0].rw6.saddr, text, sizeof(text));
		ck_assert_str_eq(text, "2001:db8:9::1");
		inet_ntop(AF_INET6, made.dir[1].rw6.daddr, text, sizeof(text));
		ck_assert_str_eq(text, i ? "2001:db8:1::6" : "2001:db8:1::5");
		q.src = "2001:db8:1::6";
	}
	q.src = "2001:db8:1::7";
	ck_assert_int_eq(insert(&q, &ref), -ENOSPC);
	teardown();
}
END_TEST

START_TEST(refuses)
{
	struct nat_ports one = { 5, 5 };
	struct fp_pol_pool p = { .family = AF_INET,
				 .lo = { 1 },
				 .hi = { 2 },
				 .n_fast = 1,
				 .fast = &one,
				 .n_carve = 1,
				 .carve = &one };
	struct fp_nat *n = NULL;

	ck_assert_int_eq(fp_nat_new(&p, 1, &n), -EINVAL);
	p.n_carve = 0;
	p.lo[0] = 3;
	ck_assert_int_eq(fp_nat_new(&p, 1, &n), -EINVAL);
	ck_assert_ptr_null(n);
	ck_assert_int_eq(fp_nat_new(NULL, 0, &n), 0);
	fp_nat_free(n);
}
END_TEST

/* Random flows of few hosts to few places through few ports; an array knows who has what. */
#define HOSTS  8
#define PLACES 3
#define PORTS  24
#define FLOWS  300
START_TEST(model)
{
	static struct {
		uint64_t ref, time;
		unsigned host, place;
		uint16_t sport, port;
		uint32_t addr;
	} flow[FLOWS];
	uint64_t rnd = test_seed;
	unsigned n = 0, full = 0;

	setup("203.0.113.1", "203.0.113.2", 30000, 30000 + PORTS - 1);
	for (unsigned step = 0; step < 12000; step++) {
		uint64_t exhausted = self.exhausted;
		char src[INET_ADDRSTRLEN], dst[INET_ADDRSTRLEN];
		unsigned host = test_rand(&rnd) % HOSTS, place = test_rand(&rnd) % PLACES;
		uint16_t sport = (uint16_t)(29980 + test_rand(&rnd) % 60);
		unsigned used = 0;
		bool known = false;
		struct want q;
		uint64_t ref;
		int err;

		if (step % 4000 == 0)
			fp_flow_maintain(table, 1000);
		if (n && (n == FLOWS || test_rand(&rnd) % 5 < 2)) {
			unsigned i = test_rand(&rnd) % n;

			ck_assert_int_eq(fp_flow_free(wk, FLOW_4, flow[i].ref), 0);
			flow[i] = flow[--n];
			continue;
		}
		snprintf(src, sizeof(src), "10.0.0.%u", host);
		snprintf(dst, sizeof(dst), "198.51.100.%u", place);
		q = pooled(src, sport, dst, 53);
		q.zone_back = test_rand(&rnd) % 2 ? OUTSIDE : OUTSIDE2;
		err = insert(&q, &ref);
		for (unsigned i = 0; i < n; i++) {
			known |= flow[i].host == host && flow[i].place == place &&
				 flow[i].sport == sport;
			used += flow[i].place == place && flow[i].addr == made.dir[0].rw4.saddr;
		}
		if (known) {
			ck_assert_int_eq(err, -EEXIST);
			continue;
		}
		if (err) {
			ck_assert_int_eq(err, -ENOSPC);
			ck_assert_uint_eq(self.exhausted, exhausted + 1);
			ck_assert_uint_eq(used, PORTS);
			full++;
			continue;
		}
		for (unsigned i = 0; i < n; i++) {
			ck_assert(flow[i].place != place || flow[i].addr != made.dir[0].rw4.saddr ||
				  flow[i].port != port4());
			ck_assert(flow[i].host != host || flow[i].addr == made.dir[0].rw4.saddr);
		}
		flow[n].ref = ref;
		flow[n].host = host;
		flow[n].place = place;
		flow[n].sport = sport;
		flow[n].port = port4();
		flow[n++].addr = made.dir[0].rw4.saddr;
	}
	ck_assert_uint_gt(full, 20);
	teardown();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("nat_way");
	TCase *t = tcase_create("nat_way");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, keeps_the_port);
	tcase_add_test(t, one_port_for_all_destinations);
	tcase_add_test(t, classes_and_carved_ports);
	tcase_add_test(t, free_with_the_flow);
	tcase_add_test(t, two_ways_out);
	tcase_add_test(t, mappings);
	tcase_add_test(t, shares);
	tcase_add_test(t, blocks);
	tcase_add_loop_test(t, blocks_of_a_full_table, 0, 2);
	tcase_add_test(t, block_clash);
	tcase_add_test(t, block_ends);
	tcase_add_test(t, all_blocks);
	tcase_add_test(t, block_of_the_cut);
	tcase_add_test(t, fewer_blocks);
	tcase_add_test(t, mapping_ends);
	tcase_add_test(t, pairs_addresses);
	tcase_add_test(t, exact_and_plain);
	tcase_add_test(t, ipv6);
	tcase_add_test(t, refuses);
	tcase_add_test(t, model);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
