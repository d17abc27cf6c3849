/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sweep over one connection, by a policy and ways that are the test's. The client on the LAN
 * opened it to a server on the WAN; there is a third interface.
 */
#include "fastpath/keeper.h"
#include "fastpath/nat_mapping.h"
#include "fastpath/nat_way.h"
#include "fastpath/track.h"

#include "tests/lib/check_main.h"

#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

enum { LAN, WAN, OTHER, N_PORTS };

static struct fp_flow_mem mem;
static struct fp_flow *table;
static struct fp_track *track;
static struct fp_adj adjs[N_PORTS + 1];
static struct fp_keeper_port ports[FP_PORTS_MAX];
static struct fp_keeper *keeper;
static char any;
static struct fp_pol *in_force, *past;
static uint64_t ref;
static uint64_t ahead; /* of the clock */

uint64_t __real_rtr_now_ns(void);
uint64_t __wrap_rtr_now_ns(void);

uint64_t __wrap_rtr_now_ns(void)
{
	return __real_rtr_now_ns() + __atomic_load_n(&ahead, __ATOMIC_RELAXED);
}

/* --- what the policy and the routes say --- */

static uint16_t generation;
static enum fp_pol_act say_out;
static bool say_leaks;
static enum fp_way say_way[2]; /* of what comes from LAN, WAN */
static unsigned goes_to[2];
static unsigned out_if, leak_if;
static struct fp_pol_key leak_key;

uint16_t fp_pol_generation(const struct fp_pol *p)
{
	return generation;
}

bool fp_pol_stateful(const struct fp_pol *p)
{
	return true;
}

enum fp_pol_act fp_pol_in(const struct fp_pol *p, const struct fp_pol_key *k,
			  struct fp_pol_state *ret)
{
	*ret = (struct fp_pol_state){ .dport_be = k->dport_be };
	memcpy(ret->dst, k->dst, 16);
	return FP_POL_PERMIT;
}

bool fp_pol_mapped(const struct fp_pol *p, const struct fp_pol_key *k)
{
	return false;
}

enum fp_pol_act fp_pol_out(const struct fp_pol *p, const struct fp_pol_key *k, unsigned oif,
			   struct fp_pol_state *st)
{
	out_if = oif;
	return say_out;
}

bool fp_pol_leaks(const struct fp_pol *p, const struct fp_pol_key *k, unsigned oif)
{
	leak_key = *k;
	leak_if = oif;
	return say_leaks;
}

unsigned fp_pol_pools(const struct fp_pol *p, const struct fp_pol_pool **ret)
{
	return 0;
}

static struct fp_nat *nat;

struct fp_nat *fp_pol_nat(const struct fp_pol *p)
{
	return nat;
}

enum fp_way fp_way_find(const struct fp_way_conf *c, const struct fp_ask *ask,
			struct fp_answer *ret)
{
	unsigned from = ask->ifindex - 10;

	if (say_way[from] == FP_WAY_SEND) {
		ret->oif = 10 + goes_to[from];
		ret->adj = 1 + goes_to[from];
	}
	return say_way[from];
}

uint32_t fib_seq(const struct fib *f)
{
	return 0;
}

void fib_adj_used(const struct fib *f, uint32_t adj)
{
}

uint32_t fibctl_pass_begin(struct fibctl *c)
{
	return 0;
}

void fibctl_pass_end(struct fibctl *c, uint32_t pass)
{
}

/* Blocks of ten ports at the client's address. */
static void cut_blocks(void)
{
	static const struct nat_ports fast = { 1000, 1019 };
	struct fp_pol_pool pool[2] = {
		{ .identity = 1,
		  .family = AF_INET,
		  .lo = { 10, 0, 0, 2 },
		  .share = 10,
		  .blocks = 1 },
		{ .identity = 1, .family = AF_INET6, .lo = { [15] = 2 }, .share = 10, .blocks = 1 },
	};

	for (unsigned i = 0; i < 2; i++) {
		pool[i].fast = &fast;
		pool[i].n_fast = 1;
		memcpy(pool[i].hi, pool[i].lo, sizeof(pool[i].hi));
	}
	ck_assert_int_eq(fp_nat_new(pool, 2, &nat), 0);
}

/* --- the connection --- */

static void insert(enum flow_family fam)
{
	struct fp_flow_new f = { .time = fp_flow_now(),
				 .timeout = 600u << 10,
				 .policy = generation,
				 .flags = FLOW_COLD_TRACKED };
	struct fp_flow_half *d = f.dir;

	for (int i = 0; i < 2; i++) {
		uint16_t sport = htons(i ? 80 : 1000), dport = htons(i ? 1000 : 80);

		if (fam == FLOW_4) {
			d[i].key4 = (struct flow_key4){ htonl(0x0a000002 + (uint32_t)i),
							htonl(0x0a000003 - (uint32_t)i),
							sport,
							dport,
							17,
							0,
							(uint16_t)i };
		} else {
			d[i].key6 = (struct flow_key6){
				.sport = sport, .dport = dport, .proto = 17, .zone = (uint16_t)i
			};
			d[i].key6.saddr[15] = (uint8_t)(2 + i);
			d[i].key6.daddr[15] = (uint8_t)(3 - i);
		}
		d[i].egress = flow_egress(i ? 1 + LAN : 1 + WAN, 0, 0);
		d[i].state = FLOW_P_EXPRESS | 1 << FLOW_TRACK_SHIFT;
	}
	ck_assert_int_eq(fp_flow_insert(fp_flow_worker(table, 0), fam, &f, &ref), 0);
}

static uint64_t word0(enum flow_family fam, unsigned dir)
{
	for (uint32_t line = 0; line < 2 * mem.n_pairs[fam]; line++) {
		const struct flow_line4 *l4 = (struct flow_line4 *)mem.base[FP_FLOW_R_LINES4];
		const struct flow_line6 *l6 = (struct flow_line6 *)mem.base[FP_FLOW_R_LINES6];
		uint64_t w0 = fam == FLOW_4 ? l4[line].word0 : l6[line].word0;
		uint16_t zone = fam == FLOW_4 ? l4[line].key.zone : l6[line].key.zone;

		if (flow_lives(w0) && zone == dir)
			return w0;
	}
	return 0;
}

static unsigned path(enum flow_family fam, unsigned dir)
{
	return flow_w0_path(word0(fam, dir));
}

/* All of one sweep that begins now. */
static void sweep(void)
{
	uint64_t next = fp_keeper_next(keeper);

	fp_keeper_hurry(keeper);
	while (!fp_keeper_swept(keeper, next))
		usleep(1000);
}

static void begin(void)
{
	const uint32_t pairs[] = { 64, 64 };
	struct fp_flow_conf fc = { .n_workers = 1 };
	struct fp_keeper_conf conf = {
		.mem = &mem, .adj = adjs, .port = ports, .pol = &in_force, .past = &past
	};

	ck_assert_int_eq(fp_flow_mem_anon(pairs, &mem), 0);
	ck_assert_int_eq(fp_flow_open(&mem, &fc, &table), 0);
	cut_blocks();
	fp_flow_maintain(table, 1000);
	track = fp_track_new(pairs);
	in_force = (struct fp_pol *)(void *)&any;
	generation = 7;
	say_out = FP_POL_PERMIT;
	say_leaks = false;
	for (unsigned i = 0; i < N_PORTS; i++) {
		adjs[1 + i].port = i;
		ports[i] = (struct fp_keeper_port){ 10 + i, 1, 1 };
	}
	say_way[LAN] = say_way[WAN] = FP_WAY_SEND;
	goes_to[LAN] = WAN;
	goes_to[WAN] = LAN;
	conf.flows = table;
	conf.track = track;
	ck_assert_int_eq(fp_keeper_start(&conf, &keeper), 0);
	fp_keeper_sweep(keeper, true);
}

static void end(void)
{
	keeper = fp_keeper_stop(keeper);
	track = fp_track_free(track);
	nat = fp_nat_free(nat);
	table = fp_flow_close(table);
	fp_flow_mem_fini(&mem);
}

/* --- tests --- */

START_TEST(goes_on)
{
	enum flow_family fam = (enum flow_family)_i;

	insert(fam);
	generation++;
	sweep();
	for (unsigned dir = 0; dir < 2; dir++) {
		ck_assert_uint_eq(path(fam, dir), FLOW_P_EXPRESS);
		ck_assert_uint_eq(flow_w0_policy(word0(fam, dir)), 8);
	}
	ck_assert_uint_eq(out_if, 10 + WAN);
	generation++;
	say_out = FP_POL_DROP;
	sweep();
	ck_assert_uint_eq(path(fam, LAN), FLOW_P_ENDED);
	ck_assert_uint_eq(path(fam, WAN), FLOW_P_ENDED);
}
END_TEST

/* There is no way to the server now: what is denied ends, and also its answers. */
START_TEST(unreachable)
{
	enum flow_family fam = (enum flow_family)_i;

	insert(fam);
	say_way[LAN] = FP_WAY_ANSWER;
	generation++;
	sweep();
	ck_assert_uint_eq(out_if, 10 + WAN);
	ck_assert_uint_eq(flow_w0_policy(word0(fam, LAN)), 8);
	ck_assert_uint_eq(flow_w0_policy(word0(fam, WAN)), 8);
	say_out = FP_POL_DROP;
	generation++;
	sweep();
	ck_assert_uint_eq(path(fam, LAN), FLOW_P_ENDED);
	ck_assert_uint_eq(path(fam, WAN), FLOW_P_ENDED);
}
END_TEST

/* The opener cannot be judged: its answers are not of the new generation either. */
START_TEST(judged_later)
{
	enum flow_family fam = (enum flow_family)_i;

	insert(fam);
	/* After the first seconds of a process an interface that is not there stays away. */
	__atomic_store_n(&ahead, 20 * NSEC_PER_SEC, __ATOMIC_RELAXED);
	ports[LAN].ifindex = 0;
	generation++;
	sweep();
	ck_assert_uint_eq(flow_w0_policy(word0(fam, LAN)), 7);
	ck_assert_uint_eq(flow_w0_policy(word0(fam, WAN)), 7);
	ports[LAN].ifindex = 10 + LAN;
	sweep();
	ck_assert_uint_eq(flow_w0_policy(word0(fam, LAN)), 8);
	ck_assert_uint_eq(flow_w0_policy(word0(fam, WAN)), 8);
}
END_TEST

/* Answers that turn to an interface where they would tell an address of inside. */
START_TEST(answers_move)
{
	enum flow_family fam = (enum flow_family)_i;

	insert(fam);
	goes_to[WAN] = OTHER;
	sweep();
	ck_assert_uint_eq(path(fam, WAN), FLOW_P_EXPRESS);
	ck_assert_uint_eq(leak_if, 10 + OTHER);
	ck_assert_uint_eq(leak_key.ifindex, 10 + WAN);
	ck_assert_uint_eq(leak_key.sport_be, htons(80));
	ck_assert_uint_eq(leak_key.dport_be, htons(1000));
	ck_assert_uint_eq(leak_key.src[fam == FLOW_4 ? 3 : 15], 3);
	ck_assert_uint_eq(leak_key.dst[fam == FLOW_4 ? 3 : 15], 2);
	say_leaks = true;
	sweep();
	ck_assert_uint_eq(path(fam, LAN), FLOW_P_ENDED);
	ck_assert_uint_eq(path(fam, WAN), FLOW_P_ENDED);
}
END_TEST

/* XDP may not redirect there any more: a worker has it, which is told that it can be promoted. */
START_TEST(leaves_express)
{
	enum flow_family fam = (enum flow_family)_i;

	insert(fam);
	__atomic_store_n(&ports[WAN].express_out, 0, __ATOMIC_RELAXED);
	sweep();
	ck_assert_uint_eq(path(fam, LAN), FLOW_P_WORKER);
	ck_assert_uint_eq(path(fam, WAN), FLOW_P_EXPRESS);
	ck_assert(fp_flow_unhold(table, fam, ref));
	ck_assert(!fp_flow_unhold(table, fam, ref));
	ck_assert(!fp_flow_unhold(table, fam, ref ^ 1));
}
END_TEST

/* Also of a connection that is the kernel's: its mapping and its block of ports live as long as it
 * does. */
START_TEST(keeps_mapping)
{
	enum flow_family fam = (enum flow_family)(_i & 1);
	struct fp_flow_worker *fw = fp_flow_worker(table, 0);
	bool kernel = _i & 2, block = _i & 4;
	struct fp_mapping m = {
		.fam = fam, .proto = block ? 0 : 17, .pool = 1, .out.port_be = htons(1000)
	};
	uint32_t old = fp_flow_now() - 1000, *time = NULL;
	struct fp_flow_half out = { .egress = 0 };
	struct flow_hit4 h4;
	struct flow_hit6 h6;

	insert(fam);
	fp_flow_cold(table, fam, (uint32_t)ref)->flags |= block ? FLOW_COLD_BLOCK
								: FLOW_COLD_MAPPED;
	for (uint64_t d = 0; kernel && d < 2; d++)
		ck_assert_int_eq(fp_flow_set_path(fw, fam, ref ^ d, FLOW_P_KERNEL, true), 0);
	m.out.addr[fam == FLOW_4 ? 3 : 15] = 2;
	m.out.addr[0] = fam == FLOW_4 ? 10 : 0;
	m.in = m.out;
	ck_assert_int_eq(fp_mapping_take(table, fw, &m, old, 7), 0);
	if (fam == FLOW_4) {
		out.key4 = (struct flow_key4){ .daddr = htonl(0x0a000002),
					       .dport = htons(1000),
					       .proto = m.proto,
					       .zone = FP_ZONE_MAPPING };
		ck_assert_int_eq(fp_flow_find4(table, &out.key4, &h4), FLOW_HIT);
		time = &h4.own->time;
	} else {
		out.key6 = (struct flow_key6){ .dport = htons(1000),
					       .proto = m.proto,
					       .zone = FP_ZONE_MAPPING };
		out.key6.daddr[15] = 2;
		ck_assert_int_eq(fp_flow_find6(table, &out.key6, &h6), FLOW_HIT);
		time = &h6.own->time;
	}
	/* However long a sweep takes. */
	for (unsigned sec = 0; sec < FP_MAPPING_KEEP_SEC; sec += 40) {
		__atomic_add_fetch(&ahead, 40 * NSEC_PER_SEC, __ATOMIC_RELAXED);
		sweep();
	}
	ck_assert_uint_ne(__atomic_load_n(time, __ATOMIC_RELAXED), old);
	for (unsigned d = 0; d < 2; d++)
		ck_assert_uint_eq(path(fam, d), kernel ? FLOW_P_KERNEL : FLOW_P_EXPRESS);
}
END_TEST

/* A block is no flow of itself, and one of pools that are cut otherwise now is nobody's. */
START_TEST(blocks_end)
{
	enum flow_family fam = (enum flow_family)_i;
	struct fp_mapping m = { .fam = fam, .cold = FLOW_COLD_BLOCK }, seen;
	uint32_t sec = (uint32_t)(NSEC_PER_SEC >> FLOW_TIME_SHIFT), old = fp_flow_now() - 20 * sec;

	m.out.addr[fam == FLOW_4 ? 3 : 15] = 2;
	m.out.addr[0] = fam == FLOW_4 ? 10 : 0;
	for (unsigned i = 0; i < 2; i++) {
		m.pool = i ? 3 : 1;
		m.out.port_be = htons((uint16_t)(1000 + 10 * i));
		ck_assert_int_eq(fp_mapping_take(table, fp_flow_worker(table, 0), &m, old, 7), 0);
		seen = m;
		ck_assert(fp_mapping_find_out(table, &seen, 0));
	}
	for (unsigned i = 0; i < FP_MAPPING_KEEP_SEC; i++)
		sweep();
	fp_flow_age(fp_flow_worker(table, 0), fp_flow_now(), 1000, NULL, NULL);
	ck_assert(!fp_mapping_find_out(table, &seen, 0));
	seen.out.port_be = htons(1000);
	ck_assert(fp_mapping_find_out(table, &seen, 0));
	fp_flow_age(fp_flow_worker(table, 0), fp_flow_now() + (FP_BLOCK_SEC - 10) * sec, 1000, NULL,
		    NULL);
	ck_assert(!fp_mapping_find_out(table, &seen, 0));
}
END_TEST

/* Pools are cut otherwise: a block is there until flows with its ports have been judged. */
START_TEST(blocks_end_last)
{
	enum flow_family fam = (enum flow_family)_i;
	struct fp_mapping m = {
		.fam = fam, .pool = 3, .cold = FLOW_COLD_BLOCK, .out.port_be = htons(1000)
	};

	m.out.addr[fam == FLOW_4 ? 3 : 15] = 2;
	m.out.addr[0] = fam == FLOW_4 ? 10 : 0;
	ck_assert_int_eq(
		fp_mapping_take(table, fp_flow_worker(table, 0), &m, fp_flow_now(), generation - 1),
		0);
	for (unsigned i = 0; i < 2; i++) {
		sweep();
		fp_flow_age(fp_flow_worker(table, 0), fp_flow_now(), 1000, NULL, NULL);
		ck_assert_int_eq(fp_mapping_find_out(table, &m, 0), !i);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("keeper");
	TCase *t = tcase_create("keeper");

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_loop_test(t, goes_on, 0, 2);
	tcase_add_loop_test(t, unreachable, 0, 2);
	tcase_add_loop_test(t, judged_later, 0, 2);
	tcase_add_loop_test(t, answers_move, 0, 2);
	tcase_add_loop_test(t, leaves_express, 0, 2);
	tcase_add_loop_test(t, keeps_mapping, 0, 8);
	tcase_add_loop_test(t, blocks_end, 0, 2);
	tcase_add_loop_test(t, blocks_end_last, 0, 2);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
