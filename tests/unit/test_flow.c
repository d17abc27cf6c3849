/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The flow table against a naive oracle, full, aged, and under keys chosen to collide. */
#include "../lib/flow_make.h"
#include "../lib/check_main.h"

#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

static struct fp_flow_mem mem;
static struct fp_flow *table;
static struct fp_flow_worker *wk;

static void open_table(uint32_t pairs)
{
	struct fp_flow_conf conf = { .n_workers = 1 };
	uint32_t n[FLOW__FAMILIES] = { pairs, pairs };

	ck_assert_int_eq(fp_flow_mem_anon(n, &mem), 0);
	ck_assert_int_eq(fp_flow_open(&mem, &conf, &table), 0);
	wk = fp_flow_worker(table, 0);
	fp_flow_maintain(table, 1000);
}

static void close_table(void)
{
	table = fp_flow_close(table);
	fp_flow_mem_fini(&mem);
}

/* Inserts; an empty supply is filled up, but a grace period takes 10 ms, so not for each insert of
 * a full table. */
static bool maintained;
static int put(enum flow_family fam, const struct fp_flow_new *f, uint64_t *ret_ref)
{
	static unsigned refused;
	int err = fp_flow_insert(wk, fam, f, ret_ref);

	maintained = err == -ENOSPC && refused++ % 50 == 0;
	if (!maintained)
		return err;
	fp_flow_maintain(table, 1000);
	err = fp_flow_insert(wk, fam, f, ret_ref);
	if (!err)
		refused = 0;
	return err;
}

/* Random inserts, finds, frees of N numbers; the oracle is an array by number. */
#define N 3000
START_TEST(oracle)
{
	enum flow_family fam = _i;
	static uint64_t ref[N];
	uint64_t got, rnd = test_seed;
	unsigned living = 0;

	memset(ref, 0, sizeof(ref));
	open_table(1000);
	for (int step = 0; step < 12000; step++) {
		uint32_t id = (uint32_t)(test_rand(&rnd) % N);
		struct fp_flow_new f = flow_make(fam, id, 0, fp_flow_now());
		unsigned what = test_rand(&rnd) % 8;

		for (int d = 0; d < 2; d++) {
			int found = flow_make_find(table, fam, &f.dir[d], &got);

			ck_assert_int_eq(found, ref[id] ? FLOW_HIT : FLOW_MISS);
			if (ref[id])
				ck_assert_uint_eq(got, ref[id] + d);
		}
		if (what < 5) {
			int err = put(fam, &f, &got);

			if (err == -ENOSPC) {
				/* A table of this size has few buckets, and its hash is random:
				 * refusals as early as 939 were seen. */
				ck_assert(!maintained || living > 800);
				continue;
			}
			ck_assert_int_eq(err, ref[id] ? -EEXIST : 0);
			if (!err) {
				ref[id] = got;
				living++;
			}
		} else if (ref[id]) {
			ck_assert_int_eq(fp_flow_free(wk, fam, ref[id] + test_rand(&rnd) % 2), 0);
			ck_assert_int_eq(fp_flow_free(wk, fam, ref[id]), -ESTALE);
			ref[id] = 0;
			living--;
		}
	}
	close_table();
}
END_TEST

/* The twin of the twin is the line itself, and the copies are each other's. */
static void twins(const struct flow_hit4 *h4, const struct flow_hit6 *h6)
{
	struct flow_hit4 t4;
	struct flow_hit6 t6;

	ck_assert_int_eq(fp_flow_find4(table, &h4->twin->key, &t4), FLOW_HIT);
	ck_assert_ptr_eq(t4.twin, h4->own);
	ck_assert_uint_eq(t4.line, h4->line ^ 1);
	ck_assert_mem_eq(&h4->side->peer, &h4->twin->tcp, sizeof(h4->twin->tcp));
	ck_assert_int_eq(fp_flow_find6(table, &h6->twin->key, &t6), FLOW_HIT);
	ck_assert_ptr_eq(t6.twin, h6->own);
	ck_assert_uint_eq(t6.line, h6->line ^ 1);
	ck_assert_mem_eq(&h6->side->peer, &h6->twin->tcp, sizeof(h6->twin->tcp));
}

static void tcp_of_half(enum flow_family fam, uint32_t id, struct fp_flow_new *f)
{
	for (int d = 0; id % 4 > 1 && d < 2; d++) {
		if (fam == FLOW_4)
			f->dir[d].key4.proto = IPPROTO_TCP;
		else
			f->dir[d].key6.proto = IPPROTO_TCP;
	}
}

START_TEST(burst)
{
	struct flow_key4 k4[FP_FLOW_BURST];
	struct flow_key6 k6[FP_FLOW_BURST];
	struct flow_hit4 h4[FP_FLOW_BURST];
	struct flow_hit6 h6[FP_FLOW_BURST];
	uint64_t ref, want, stale, rnd = test_seed;

	open_table(5000);
	for (uint32_t id = 0; id < 4000; id++)
		for (int fam = 0; fam < 2; fam++) {
			struct fp_flow_new f = flow_make(fam, id, 0, fp_flow_now());

			tcp_of_half(fam, id, &f);
			ck_assert_int_eq(put(fam, &f, &ref), 0);
		}
	for (int round = 0; round < 500; round++) {
		struct fp_flow_new f[2][FP_FLOW_BURST];
		unsigned n = 1 + test_rand(&rnd) % FP_FLOW_BURST;

		want = 0;
		for (unsigned i = 0; i < n; i++) {
			uint32_t id = (uint32_t)(test_rand(&rnd) % 6000), d = id % 2;

			want |= (uint64_t)(id < 4000) << i;
			for (int fam = 0; fam < 2; fam++) {
				f[fam][i] = flow_make(fam, id, 0, 0);
				tcp_of_half(fam, id, &f[fam][i]);
			}
			k4[i] = f[0][i].dir[d].key4;
			k6[i] = f[1][i].dir[d].key6;
			f[0][i].dir[0].rw4 = f[0][i].dir[d].rw4;
			f[1][i].dir[0].rw6 = f[1][i].dir[d].rw6;
		}
		ck_assert_uint_eq(fp_flow_find4_burst(table, k4, n, h4, &stale), want);
		ck_assert_uint_eq(stale, 0);
		ck_assert_uint_eq(fp_flow_find6_burst(table, k6, n, h6, &stale), want);
		ck_assert_uint_eq(stale, 0);
		for (unsigned i = 0; i < n; i++) {
			if (!(want >> i & 1))
				continue;
			ck_assert_mem_eq(&h4[i].rw, &f[0][i].dir[0].rw4, sizeof(h4[i].rw));
			ck_assert_mem_eq(&h6[i].rw, &f[1][i].dir[0].rw6, sizeof(h6[i].rw));
			/* Those of TCP came with the burst. */
			if (k4[i].proto != IPPROTO_TCP) {
				ck_assert_int_eq(fp_flow_find4(table, &k4[i], &h4[i]), FLOW_HIT);
				ck_assert_int_eq(fp_flow_find6(table, &k6[i], &h6[i]), FLOW_HIT);
			}
			twins(&h4[i], &h6[i]);
		}
	}
	close_table();
}
END_TEST

/* A full table refuses cleanly, for as long as it is asked, and serves again after frees. */
START_TEST(full)
{
	enum flow_family fam = _i;
	static uint64_t ref[8192];
	uint64_t last;
	uint32_t n = 0, usable;

	open_table(4096);
	usable = mem.n_pairs[fam] - mem.n_pairs[fam] / FLOW_SEGMENTS;
	for (uint32_t id = 0; id < 8192; id++) {
		struct fp_flow_new f = flow_make(fam, id, 0, fp_flow_now());
		int err = put(fam, &f, &ref[n]);

		ck_assert(err == 0 || err == -ENOSPC);
		n += !err;
	}
	/* What was asked for is there; then full buckets may keep some of the rest unused. */
	ck_assert_uint_le(n, usable);
	ck_assert_uint_ge(n, 4096);
	ck_assert_uint_ge(fp_flow_stat(table, FP_FLOW_STAT_NO_PAIR), 2000);
	for (uint32_t i = 0; i < 100; i++)
		ck_assert_int_eq(fp_flow_free(wk, fam, ref[i]), 0);
	/* Not before the grace period. */
	for (uint32_t id = 9000; id < 9100; id++) {
		struct fp_flow_new f = flow_make(fam, id, 0, fp_flow_now());
		int err = fp_flow_insert(wk, fam, &f, &last);

		ck_assert(err == -ENOSPC || n < usable);
	}
	fp_flow_maintain(table, 1000);
	/* 1 of 100 keys of an overfull table finds both buckets full. */
	n = 0;
	for (uint32_t id = 10000; id < 10090; id++) {
		struct fp_flow_new f = flow_make(fam, id, 0, fp_flow_now());

		n += put(fam, &f, &last) == 0;
	}
	ck_assert_uint_ge(n, 80);
	close_table();
}
END_TEST

/* A taken reverse tuple refuses a flow whose forward key is new, and leaves no trace of it. */
START_TEST(unique)
{
	enum flow_family fam = _i;
	struct fp_flow_new a, b;
	uint64_t ref, got;

	open_table(1000);
	for (int k = 0; k < 400; k++) {
		a = flow_make(fam, 1, 0, fp_flow_now());
		b = flow_make(fam, 2, 0, fp_flow_now());
		/* odd: the reverse tuple is taken; even: the forward one */
		memcpy(b.dir[k & 1].key, a.dir[k & 1].key, sizeof(a.dir[0].key));
		ck_assert_int_eq(put(fam, &a, &ref), 0);
		ck_assert_int_eq(put(fam, &b, &got), -EEXIST);
		ck_assert_int_eq(flow_make_find(table, fam, &b.dir[!(k & 1)], &got), FLOW_MISS);
		ck_assert_int_eq(flow_make_find(table, fam, &a.dir[k & 1], &got), FLOW_HIT);
		ck_assert_int_eq(fp_flow_free(wk, fam, ref), 0);
		if (k % 100 == 0)
			fp_flow_maintain(table, 1000);
	}
	ck_assert_uint_eq(fp_flow_stat(table, FP_FLOW_STAT_EXISTS_REV), 200);
	ck_assert_uint_eq(fp_flow_stat(table, FP_FLOW_STAT_EXISTS_FWD), 200);
	close_table();
}
END_TEST

/*
 * An outsider who knew the seed could fill two buckets: keys found by search collide there. Under
 * another seed the same keys spread like any others.
 */
START_TEST(chosen_keys)
{
	static struct fp_flow_new chosen[150];
	struct flow_hdr seen = { 0 };
	uint32_t mask, id;
	uint64_t rnd = test_seed;
	unsigned n = 0, refused = 0;

	open_table(1024);
	memcpy(&seen, fp_flow_hdr(table), sizeof(seen));
	mask = seen.bucket_mask[FLOW_4] & 63; /* 12 bits are found in a moment */
	for (id = 0; n < ARRAY_LEN(chosen); id++) {
		struct fp_flow_new f = flow_make(FLOW_4, (uint32_t)test_rand(&rnd), 0,
						 fp_flow_now());
		uint64_t h = flow_hash4(&seen, &f.dir[1].key4);

		if (!((uint32_t)h & 0xffffff & mask) && !((h >> 24) & 0xffffff & mask))
			chosen[n++] = f;
	}
	/* With the seed known: 512 buckets, all keys in 8 of them and their
	 * neighbours, 112 slots for 150 keys. */
	for (unsigned i = 0; i < n; i++) {
		uint64_t ref;
		int err = put(FLOW_4, &chosen[i], &ref);

		ck_assert(err == 0 || err == -ENOSPC);
		refused += err != 0;
	}
	ck_assert_uint_ge(refused, 30);
	close_table();
	/* A new table has a new seed. */
	open_table(1024);
	for (unsigned i = 0; i < n; i++) {
		uint64_t ref;

		ck_assert_int_eq(put(FLOW_4, &chosen[i], &ref), 0);
	}
	close_table();
}
END_TEST

/* Keys with structure (sequential addresses and ports, one bit apart) fill the table like random.
 */
START_TEST(structured_keys)
{
	uint64_t ref;
	unsigned refused = 0, n = 31000;

	open_table(32768);
	for (unsigned i = 0; i < n; i++) {
		struct fp_flow_new f = flow_make(FLOW_4, 1, 0, fp_flow_now());

		f.dir[0].key4 = (struct flow_key4){ .saddr = 0x0a000001,
						    .daddr = 0x08080808,
						    .sport = (uint16_t)(i << (_i & 1)),
						    .dport = (uint16_t)(i >> 8 >> 7),
						    .proto = 17 };
		f.dir[1].key4 = (struct flow_key4){ .saddr = i << (_i * 8 % 17),
						    .daddr = 0x01010101,
						    .proto = 17 };
		refused += put(FLOW_4, &f, &ref) != 0;
	}
	ck_assert_uint_le(refused, 30);
	close_table();
}
END_TEST

START_TEST(words)
{
	struct fp_flow_new f;
	struct flow_hit4 h;
	uint64_t ref;

	open_table(1000);
	f = flow_make(FLOW_4, 1, 0, fp_flow_now());
	ck_assert_int_eq(put(FLOW_4, &f, &ref), 0);
	ck_assert_int_eq(fp_flow_find4(table, &f.dir[0].key4, &h), FLOW_HIT);
	ck_assert_uint_eq(flow_w0_path(h.word0), FLOW_P_EXPRESS);
	ck_assert_uint_eq(flow_w0_policy(h.word0), 7);
	ck_assert_uint_eq(h.own->tcp.end, 1);
	ck_assert_uint_eq(h.own->tcp.edge, ~1u);
	ck_assert_uint_eq(h.own->egress, flow_egress(1, 14, 7));
	/* A frame on its way: the path stays until it has left. */
	__atomic_fetch_add(&h.own->word0, FLOW_W0_INFLIGHT_ONE, __ATOMIC_RELAXED);
	ck_assert_int_eq(fp_flow_set_path(wk, FLOW_4, ref, FLOW_P_KERNEL, false), -EBUSY);
	ck_assert_int_eq(fp_flow_inflight_done(wk, FLOW_4, ref), 0);
	ck_assert_int_eq(fp_flow_inflight_done(wk, FLOW_4, ref), 0);
	ck_assert_uint_eq(flow_w0_inflight(h.own->word0), 0);
	ck_assert_int_eq(fp_flow_set_path(wk, FLOW_4, ref, FLOW_P_KERNEL, false), 0);
	/* Who wanted to promote it is late. */
	ck_assert_int_eq(fp_flow_set_path(wk, FLOW_4, ref, FLOW_P_EXPRESS, true), -ESTALE);
	ck_assert_int_eq(fp_flow_set_flags(wk, FLOW_4, ref, FLOW_F_MIRRORED, FLOW_F_SHAPED), 0);
	ck_assert_int_eq(fp_flow_set_policy(wk, FLOW_4, ref, 8), 0);
	ck_assert_uint_eq(flow_w0_path(h.own->word0), FLOW_P_KERNEL);
	ck_assert_uint_eq(flow_w0_flags(h.own->word0), FLOW_F_MIRRORED | FLOW_F_REWRITE);
	ck_assert_uint_eq(flow_w0_policy(h.own->word0), 8);
	ck_assert_uint_eq(flow_w0_path(h.twin->word0), FLOW_P_EXPRESS);
	__atomic_fetch_add(&h.own->count, FLOW_COUNT_ONE(1500), __ATOMIC_RELAXED);
	__atomic_fetch_add(&h.own->count, FLOW_COUNT_ONE(60), __ATOMIC_RELAXED);
	ck_assert_int_eq(fp_flow_harvest(wk, FLOW_4, ref), 0);
	ck_assert_int_eq(fp_flow_harvest(wk, FLOW_4, ref), 0);
	ck_assert_uint_eq(fp_flow_cold(table, FLOW_4, h.line)->packets[0], 2);
	ck_assert_uint_eq(fp_flow_cold(table, FLOW_4, h.line)->bytes[0], 1560);
	ck_assert_uint_eq(fp_flow_cold(table, FLOW_4, h.line)->rule, 1);
	ck_assert_int_eq(fp_flow_free(wk, FLOW_4, ref), 0);
	ck_assert_int_eq(fp_flow_set_path(wk, FLOW_4, ref, FLOW_P_EXPRESS, true), -ESTALE);
	ck_assert_int_eq(fp_flow_inflight_done(wk, FLOW_4, ref), -ESTALE);
	close_table();
}
END_TEST

static unsigned n_ended;
static void ended(void *ctx, enum flow_family fam, uint64_t ref)
{
	struct flow_cold *c = fp_flow_cold(table, fam, (uint32_t)ref);

	ck_assert_ptr_eq(ctx, &n_ended);
	ck_assert_uint_lt(c->rule, 500);
	n_ended++;
}

/* Idle flows end when their time is over, not before; a packet of either direction renews. */
START_TEST(ageing)
{
	enum flow_family fam = _i;
	uint32_t t0 = fp_flow_now(), unit_sec = 60;
	static uint64_t ref[500];
	uint64_t got;

	n_ended = 0;
	open_table(1000);
	for (uint32_t id = 0; id < 500; id++) {
		struct fp_flow_new f = flow_make(fam, id, 0, t0);

		f.timeout = 30 * unit_sec;
		ck_assert_int_eq(put(fam, &f, &ref[id]), 0);
	}
	ck_assert_uint_eq(fp_flow_age(wk, t0 + 30 * unit_sec - 1, 10000, ended, &n_ended), 0);
	/* the reverse direction of every second one is alive at 25 s */
	for (uint32_t id = 0; id < 500; id += 2) {
		struct fp_flow_new f = flow_make(fam, id, 0, t0);
		struct flow_hit4 h4;
		struct flow_hit6 h6;

		if (fam == FLOW_4) {
			ck_assert_int_eq(fp_flow_find4(table, &f.dir[1].key4, &h4), FLOW_HIT);
			h4.own->time = t0 + 25 * unit_sec;
		} else {
			ck_assert_int_eq(fp_flow_find6(table, &f.dir[1].key6, &h6), FLOW_HIT);
			h6.own->time = t0 + 25 * unit_sec;
		}
	}
	ck_assert_uint_eq(fp_flow_age(wk, t0 + 33 * unit_sec, 100, ended, &n_ended) +
				  fp_flow_age(wk, t0 + 33 * unit_sec, 10000, ended, &n_ended),
			  250);
	for (uint32_t id = 0; id < 500; id++) {
		struct fp_flow_new f = flow_make(fam, id, 0, t0);

		ck_assert_int_eq(flow_make_find(table, fam, &f.dir[0], &got),
				 id % 2 ? FLOW_MISS : FLOW_HIT);
	}
	/* a longer limit for one, a shorter for another, which counts from its last packet */
	ck_assert_int_eq(fp_flow_set_timeout(wk, fam, ref[0], 5000 * unit_sec), 0);
	ck_assert_uint_eq(fp_flow_age(wk, t0 + 60 * unit_sec, 10000, ended, &n_ended), 249);
	ck_assert_int_eq(fp_flow_set_timeout(wk, fam, ref[0], 1), 0);
	ck_assert_uint_eq(fp_flow_age(wk, t0 + 63 * unit_sec, 10000, ended, &n_ended), 1);
	ck_assert_uint_eq(n_ended, 500);
	close_table();
}
END_TEST

/* What a worker has in hand runs out; the refill alone gives it more, without a grace period. */
START_TEST(refilled)
{
	struct fp_flow_conf conf = { .n_workers = 1, .reserve = 16 };
	uint32_t n[FLOW__FAMILIES] = { 1000, 1000 }, id = 0;
	enum flow_family fam = _i;
	struct fp_flow_new f;
	uint64_t ref;
	int err;

	ck_assert_int_eq(fp_flow_mem_anon(n, &mem), 0);
	ck_assert_int_eq(fp_flow_open(&mem, &conf, &table), 0);
	wk = fp_flow_worker(table, 0);
	fp_flow_maintain(table, 1000);
	do {
		f = flow_make(fam, id, 0, 0);
		err = fp_flow_insert(wk, fam, &f, &ref);
	} while (!err && ++id < 1000);
	ck_assert_int_eq(err, -ENOSPC);
	ck_assert_uint_eq(id, 16);
	fp_flow_refill(table);
	ck_assert_int_eq(fp_flow_insert(wk, fam, &f, &ref), 0);
	close_table();
}
END_TEST

/* Only one process at a time; another layout or size is refused; blank memory is made new. */
/* Changed by other than growth: own line and the twin's copy at once, of either direction. */
START_TEST(tcp_set)
{
	enum flow_family fam = _i;
	struct fp_flow_new f;
	struct flow_hit4 h4;
	struct flow_hit6 h6;
	uint64_t ref;

	open_table(1000);
	f = flow_make(fam, 7, 0, fp_flow_now());
	ck_assert_int_eq(put(fam, &f, &ref), 0);
	for (unsigned d = 0; d < 2; d++) {
		struct flow_tcp t = { 0xfffffff0u + d, 0x12345678u - d };

		ck_assert_int_eq(fp_flow_set_tcp(wk, fam, ref ^ d, &t), 0);
		if (fam == FLOW_4) {
			ck_assert_int_eq(fp_flow_find4(table, &f.dir[!d].key4, &h4), FLOW_HIT);
			ck_assert_mem_eq(&h4.twin->tcp, &t, sizeof(t));
			ck_assert_mem_eq(&h4.side->peer, &t, sizeof(t));
		} else {
			ck_assert_int_eq(fp_flow_find6(table, &f.dir[!d].key6, &h6), FLOW_HIT);
			ck_assert_mem_eq(&h6.twin->tcp, &t, sizeof(t));
			ck_assert_mem_eq(&h6.side->peer, &t, sizeof(t));
		}
	}
	ck_assert_int_eq(fp_flow_free(wk, fam, ref), 0);
	ck_assert_int_eq(fp_flow_set_tcp(wk, fam, ref, &f.dir[0].tcp), -ESTALE);
	close_table();
}
END_TEST

START_TEST(opening)
{
	struct fp_flow_conf conf = { .n_workers = 1 };
	uint32_t n[FLOW__FAMILIES] = { 1000, 0 };
	char path[] = "/tmp/rtr-lease-XXXXXX";
	struct fp_flow *t, *u;
	struct flow_hdr *hdr;

	close(mkstemp(path));
	conf.lease_path = path;
	ck_assert_int_eq(fp_flow_mem_anon(n, &mem), 0);
	hdr = mem.base[FP_FLOW_R_HDR];
	ck_assert_int_eq(fp_flow_open(&mem, &conf, &t), 0);
	ck_assert_int_eq(fp_flow_open(&mem, &conf, &u), -EBUSY);
	t = fp_flow_close(t);
	ck_assert_int_eq(fp_flow_open(&mem, &conf, &t), 0);
	ck_assert_uint_eq(hdr->epoch, 2);
	t = fp_flow_close(t);
	hdr->version++;
	ck_assert_int_eq(fp_flow_open(&mem, &conf, &t), -EPROTO);
	hdr->version--;
	hdr->n_pairs[0]++;
	ck_assert_int_eq(fp_flow_open(&mem, &conf, &t), -EPROTO);
	hdr->n_pairs[0]--;
	ck_assert_int_eq(fp_flow_open(&mem, &conf, &t), 0);
	fp_flow_close(t);
	fp_flow_mem_fini(&mem);
	n[0] = (1u << 25) + 1; /* flows */
	ck_assert_int_eq(fp_flow_mem_anon(n, &mem), -EINVAL);
	unlink(path);
}
END_TEST

/* 4.3 s are 2^32 ns: what is longer must not begin again. */
START_TEST(milliseconds)
{
	static const uint32_t sec[] = { 0, 1, 4, 5, 20, 100, 7440 };

	for (size_t i = 0; i < ARRAY_LEN(sec); i++) {
		uint32_t ms = fp_flow_ms((uint32_t)(sec[i] * NSEC_PER_SEC >> FLOW_TIME_SHIFT));

		ck_assert_uint_le(ms, sec[i] * 1000);
		ck_assert_uint_ge(ms + 17, sec[i] * 1000);
	}
	ck_assert_uint_eq(fp_flow_ms(INT32_MAX), UINT32_MAX);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("flow");
	TCase *tc = tcase_create("flow");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, oracle, 0, 2);
	tcase_add_test(tc, burst);
	tcase_add_loop_test(tc, full, 0, 2);
	tcase_add_loop_test(tc, unique, 0, 2);
	tcase_add_test(tc, chosen_keys);
	tcase_add_loop_test(tc, structured_keys, 0, 4);
	tcase_add_test(tc, words);
	tcase_add_loop_test(tc, ageing, 0, 2);
	tcase_add_loop_test(tc, refilled, 0, 2);
	tcase_add_loop_test(tc, tcp_set, 0, 2);
	tcase_add_test(tc, opening);
	tcase_add_test(tc, milliseconds);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
