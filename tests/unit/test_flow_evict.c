/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A flow table that overflows: who has to go, who may stay, and who gets in. */
#include "../lib/flow_make.h"
#include "../lib/check_main.h"
#include "tcp_track.h"

#include <errno.h>
#include <netinet/in.h>

#define FLOWS 2048

static struct fp_flow_mem mem;
static struct fp_flow *table;
static unsigned n_workers;

static void open_table(unsigned n_threads)
{
	struct fp_flow_conf conf = { .n_workers = n_threads };
	uint32_t n[FLOW__FAMILIES] = { FLOWS, FLOWS };

	ck_assert_int_eq(fp_flow_mem_anon(n, &mem), 0);
	ck_assert_int_eq(fp_flow_open(&mem, &conf, &table), 0);
	n_workers = n_threads;
	fp_flow_maintain(table, 1000);
}

static void close_table(void)
{
	table = fp_flow_close(table);
	fp_flow_mem_fini(&mem);
}

/* What kind of connection a flow is. */
struct kind {
	const char *name;
	bool tcp, goes;
	unsigned state; /* of the answers' half */
	uint8_t path, flags;
	uint16_t cold;
};

static const struct kind kinds[] = {
	{ "udp", false, true, 0, FLOW_P_WORKER, 0, FLOW_COLD_TRACKED },
	{ "udp, XDP's", false, true, 0, FLOW_P_EXPRESS, 0, FLOW_COLD_TRACKED },
	{ "udp, held", false, true, 0, FLOW_P_WORKER, 0, FLOW_COLD_TRACKED | FLOW_COLD_HELD },
	{ "syn sent", true, true, TCPT_S_SYN_SENT, FLOW_P_WORKER, 0, FLOW_COLD_TRACKED },
	{ "syn received", true, true, TCPT_S_SYN_RECV, FLOW_P_WORKER, 0, FLOW_COLD_TRACKED },
	{ "both open", true, true, TCPT_S_SYN_SENT2, FLOW_P_WORKER, 0, FLOW_COLD_TRACKED },
	{ "time wait", true, true, TCPT_S_TIME_WAIT, FLOW_P_WORKER, 0, FLOW_COLD_TRACKED },
	{ "close", true, true, TCPT_S_CLOSE, FLOW_P_EXPRESS, 0, FLOW_COLD_TRACKED },
	{ "mirrored", true, true, TCPT_S_CLOSE, FLOW_P_WORKER, FLOW_F_MIRRORED, FLOW_COLD_TRACKED },

	{ "udp answered", false, false, 1, FLOW_P_EXPRESS, 0, FLOW_COLD_TRACKED },
	{ "established", true, false, TCPT_S_ESTABLISHED, FLOW_P_EXPRESS, 0, FLOW_COLD_TRACKED },
	{ "fin wait", true, false, TCPT_S_FIN_WAIT, FLOW_P_WORKER, 0, FLOW_COLD_TRACKED },
	{ "close wait", true, false, TCPT_S_CLOSE_WAIT, FLOW_P_WORKER, 0, FLOW_COLD_TRACKED },
	{ "last ack", true, false, TCPT_S_LAST_ACK, FLOW_P_WORKER, 0, FLOW_COLD_TRACKED },
	{ "alone", true, false, TCPT_S_SYN_SENT, FLOW_P_WORKER, FLOW_F_WINDOW, FLOW_COLD_TRACKED },
	{ "kernel's", true, false, TCPT_S_SYN_SENT, FLOW_P_KERNEL, 0, FLOW_COLD_TRACKED },
	{ "given", false, false, 0, FLOW_P_WORKER, 0, FLOW_COLD_TRACKED | FLOW_COLD_GIVEN },
	{ "route", false, false, 0, FLOW_P_WORKER, 0, 0 },
	{ "mapping", false, false, 1, FLOW_P_WORKER, FLOW_F_REWRITE, 0 },
};

static const struct kind *const asks = &kinds[0], *const answered = &kinds[9];

static struct fp_flow_new make(enum flow_family fam, uint32_t id, const struct kind *k)
{
	struct fp_flow_new f = flow_make(fam, id, 0, fp_flow_now());

	f.flags = k->cold;
	for (int d = 0; d < 2; d++) {
		f.dir[d].state = (uint8_t)(k->path | k->state << FLOW_TRACK_SHIFT);
		f.dir[d].flags = (uint8_t)(FLOW_F_REWRITE | k->flags | (k->tcp ? FLOW_F_TCP : 0));
	}
	return f;
}

static bool lives(enum flow_family fam, uint32_t id)
{
	struct fp_flow_new f = make(fam, id, asks);
	uint64_t got;

	return flow_make_find(table, fam, &f.dir[0], &got) == FLOW_HIT;
}

/* Inserts n flows of a kind from number id on, as a worker would: all look for room each
 * millisecond, and maintenance comes by. How many found none. */
static unsigned insert(unsigned worker, enum flow_family fam, const struct kind *k, uint32_t id,
		       uint32_t n)
{
	struct fp_flow_worker *w = fp_flow_worker(table, worker);
	unsigned refused = 0;
	uint64_t ref;

	for (uint32_t i = 0; i < n; i++) {
		struct fp_flow_new f = make(fam, id + i, k);
		int err = fp_flow_insert(w, fam, &f, &ref);

		ck_assert(!err || err == -ENOSPC);
		refused += !!err;
		for (unsigned j = 0; i % 64 == 0 && j < n_workers; j++)
			fp_flow_evict(fp_flow_worker(table, j), 512);
		if (i % 128 == 0)
			fp_flow_maintain(table, 1000);
	}
	fp_flow_maintain(table, 1000);
	return refused;
}

static uint64_t evicted(void)
{
	return fp_flow_stat(table, FP_FLOW_STAT_EVICTED);
}

/* A flood of what nobody answers: each of it gets in, and so do others; established ones stay. */
START_TEST(flood)
{
	enum flow_family fam = _i;
	unsigned refused, gone = 0;

	open_table(1);
	ck_assert_uint_eq(insert(0, fam, answered, 0, FLOWS / 2), 0);
	ck_assert_uint_eq(evicted(), 0);
	refused = insert(0, fam, asks, 10000, 6 * FLOWS);
	/* Full buckets refuse some in a thousand. */
	ck_assert_uint_le(refused, 6 * FLOWS / 100);
	ck_assert_uint_gt(evicted(), 4 * FLOWS);
	for (uint32_t id = 0; id < FLOWS / 2; id++)
		ck_assert(lives(fam, id));
	/* Who is young has time to be answered. */
	for (uint32_t i = 1; i <= FLOWS / 8; i++)
		gone += !lives(fam, 10000 + 6 * FLOWS - i);
	ck_assert_uint_le(gone, FLOWS / 8 / 20);
	ck_assert_uint_le(insert(0, fam, answered, 90000, 100), 5);
	close_table();
}
END_TEST

/* One that is empty enough is left alone, and so is one full of connections. */
START_TEST(alone)
{
	enum flow_family fam = _i;
	unsigned refused, living = 0;

	open_table(1);
	ck_assert_uint_eq(insert(0, fam, asks, 0, FLOWS * 7 / 10), 0);
	ck_assert_uint_eq(fp_flow_evict(fp_flow_worker(table, 0), 100000), 0);
	close_table();

	open_table(1);
	refused = insert(0, fam, answered, 0, 2 * FLOWS);
	ck_assert_uint_ge(refused, FLOWS / 2);
	ck_assert_uint_eq(evicted(), 0);
	for (uint32_t id = 0; id < FLOWS; id++)
		living += lives(fam, id);
	ck_assert_uint_ge(living, FLOWS - FLOWS / 50);
	close_table();
}
END_TEST

/* Of each kind some in a full table. */
START_TEST(who)
{
	enum flow_family fam = _i;
	const uint32_t each = FLOWS / ARRAY_LEN(kinds);
	unsigned missing = 0, gone[ARRAY_LEN(kinds)] = { 0 };

	open_table(1);
	for (unsigned k = 0; k < ARRAY_LEN(kinds); k++) {
		for (uint32_t i = 0; i < each; i++) {
			struct fp_flow_new f = make(fam, k * 1000 + i, &kinds[k]);
			uint64_t ref;

			if (i % 32 == 0)
				fp_flow_refill(table);
			missing += !!fp_flow_insert(fp_flow_worker(table, 0), fam, &f, &ref);
		}
	}
	/* More are wanted than may go. */
	for (unsigned i = 0; i < 60; i++) {
		insert(0, fam, answered, 50000 + i * 100, 20);
		fp_flow_evict(fp_flow_worker(table, 0), 10000);
	}
	for (unsigned k = 0; k < ARRAY_LEN(kinds); k++)
		for (uint32_t i = 0; i < each; i++)
			if (!lives(fam, k * 1000 + i))
				gone[k]++;
	for (unsigned k = 0; k < ARRAY_LEN(kinds); k++)
		if (kinds[k].goes)
			ck_assert_msg(gone[k] == each, "%s", kinds[k].name);
		else
			ck_assert_msg(gone[k] <= missing, "%s", kinds[k].name);
	ck_assert_uint_le(missing, each / 10);
	close_table();
}
END_TEST

/* Flows are their workers'; one whose own are all established gets what others have to give. */
START_TEST(workers)
{
	enum flow_family fam = _i;
	unsigned refused, living = 0;

	open_table(2);
	insert(0, fam, asks, 0, FLOWS);
	refused = insert(1, fam, answered, 100000, FLOWS / 2);
	ck_assert_uint_le(refused, FLOWS / 2 / 50);
	ck_assert_uint_eq(fp_flow_evict(fp_flow_worker(table, 1), 10000), 0);
	ck_assert_uint_gt(evicted(), 0);
	for (uint32_t i = 0; i < FLOWS / 2; i++)
		living += lives(fam, 100000 + i);
	ck_assert_uint_eq(living, FLOWS / 2 - refused);
	close_table();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("flow_evict");
	TCase *t = tcase_create("families");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, flood, 0, FLOW__FAMILIES);
	tcase_add_loop_test(t, alone, 0, FLOW__FAMILIES);
	tcase_add_loop_test(t, who, 0, FLOW__FAMILIES);
	tcase_add_loop_test(t, workers, 0, FLOW__FAMILIES);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
