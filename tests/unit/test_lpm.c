/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Longest prefix match against an oracle that looks at every route; each test on IPv4 and IPv6. */
#include "../lib/lpm_any.h"

#include <errno.h>
#include <unistd.h>

#define N_PROBES 48

static void random_addr(const struct any *t, uint64_t *rng, uint8_t a[16])
{
	memset(a, 0, 16);
	for (unsigned i = 0; i < t->bits / 8; i++)
		a[i] = (uint8_t)test_rand(rng);
}

static void probe_around(struct any *t, const struct oracle *o, const struct any_route *r,
			 uint64_t *rng, unsigned n)
{
	uint8_t a[N_PROBES][16];
	uint32_t nh[N_PROBES];

	for (unsigned i = 0; i < n; i++)
		any_probe(t, r, rng, a[i]);
	any_lookup(t, a, nh, n);
	for (unsigned i = 0; i < n; i++)
		ck_assert_uint_eq(nh[i], oracle_lookup(o, a[i]));
}

static void check_all(struct any *t, const struct oracle *o, uint64_t *rng)
{
	ck_assert_uint_eq(any_stats(t).n_routes, o->n);
	for (unsigned i = 0; i < o->n; i++) {
		ck_assert_uint_eq(any_get(t, o->r[i].addr, o->r[i].len), o->r[i].nh);
		probe_around(t, o, &o->r[i], rng, 11);
	}
}

static void set_both(struct any *t, struct oracle *o, const uint8_t *a, unsigned len, uint32_t nh)
{
	ck_assert_int_eq(any_set(t, a, len, nh), 0);
	oracle_set(o, a, len, nh);
}

static void del_random(struct any *t, struct oracle *o, uint64_t *rng, struct any_route *ret)
{
	struct any_route *r = &o->r[test_rand(rng) % o->n];

	*ret = *r;
	ck_assert_int_eq(any_del(t, r->addr, r->len), 0);
	oracle_del(o, r);
	ck_assert_int_eq(any_del(t, ret->addr, ret->len), -ENOENT);
	ck_assert_uint_eq(any_get(t, ret->addr, ret->len), 0);
}

/* Every length at once, each inside the one before. */
START_TEST(nested)
{
	uint64_t rng = test_seed;
	struct any t = any_new(_i, &(struct lpm_params){ 0 });
	struct oracle o = oracle_new(129);
	struct any_route gone;

	for (int round = 0; round < 6; round++) {
		uint8_t base[16], a[16];
		unsigned order[129], n = t.bits + 1;

		random_addr(&t, &rng, base);
		for (unsigned i = 0; i < n; i++) {
			unsigned j = (unsigned)(test_rand(&rng) % (i + 1));

			order[i] = order[j];
			order[j] = i;
		}
		for (unsigned i = 0; i < n; i++) {
			memcpy(a, base, 16);
			any_mask(a, order[i]);
			set_both(&t, &o, a, order[i], 1 + (uint32_t)test_rand(&rng) % 4);
			probe_around(&t, &o, oracle_find(&o, a, order[i]), &rng, N_PROBES);
		}
		check_all(&t, &o, &rng);
		while (o.n) {
			del_random(&t, &o, &rng, &gone);
			probe_around(&t, &o, &gone, &rng, N_PROBES);
		}
		ck_assert_uint_eq(any_stats(&t).n_routes, 0);
	}
	any_free(&t);
	free(o.r);
}
END_TEST

/* Few bases, so that prefixes nest, adjoin and share nodes; sets, changes and deletions mixed. */
START_TEST(churn)
{
	uint64_t rng = test_seed;
	struct any t = any_new(_i, &(struct lpm_params){ 0 });
	struct oracle o = oracle_new(600);
	uint8_t bases[6][16];

	for (unsigned i = 0; i < 6; i++)
		random_addr(&t, &rng, bases[i]);
	for (unsigned step = 0; step < 12000; step++) {
		struct any_route r = { 0 };
		bool grow = o.n < 100 + step / 1500 % 2 * 400;

		if (o.n && (!grow || test_rand(&rng) % 3 == 0)) {
			del_random(&t, &o, &rng, &r);
		} else {
			unsigned keep;

			r.len = (uint8_t)(test_rand(&rng) % (t.bits + 1));
			keep = (unsigned)(test_rand(&rng) % (t.bits + 1));
			memcpy(r.addr, bases[test_rand(&rng) % 6], 16);
			for (unsigned b = keep; b < MIN(keep + 10, t.bits); b++)
				if (test_rand(&rng) & 1)
					r.addr[b / 8] ^= (uint8_t)(0x80 >> b % 8);
			any_mask(r.addr, r.len);
			set_both(&t, &o, r.addr, r.len,
				 test_rand(&rng) % 8 ? 1 + (uint32_t)test_rand(&rng) % 5
						     : LPM_NH_MAX - (uint32_t)(step % 3));
		}
		probe_around(&t, &o, &r, &rng, 1 + step % N_PROBES);
		if (step % 2000 == 1999)
			check_all(&t, &o, &rng);
	}
	any_free(&t);
	free(o.r);
}
END_TEST

/* Thousands of routes under one node: trees of range nodes, emptied in random order, repeatedly;
 * the memory comes back each time. */
START_TEST(crowded_node)
{
	uint64_t rng = test_seed;
	struct any t = any_new(_i, &(struct lpm_params){ 0 });
	unsigned len = _i ? 48 : 32, n = _i ? 4096 : 2048, first = len - (_i ? 12 : 11);
	struct any_route *r = xcalloc(n, sizeof(*r));
	size_t data = 0, ctl = 0;

	for (unsigned i = 0; i < n; i++) {
		random_addr(&t, &rng, r[i].addr);
		memset(r[i].addr, 0x2a, first / 8);
		r[i].addr[first / 8] &= (uint8_t)(0xff >> first % 8);
		r[i].addr[len / 8 - 2] = (uint8_t)((r[i].addr[len / 8 - 2] & ~(0xff >> first % 8)) |
						   i >> 8);
		r[i].addr[len / 8 - 1] = (uint8_t)i;
		any_mask(r[i].addr, len);
		r[i].nh = i + 1;
	}
	for (int round = 0; round < 5; round++) {
		uint8_t(*a)[16] = xcalloc(n, sizeof(*a));
		uint32_t *nh = xcalloc(n, sizeof(*nh));
		struct lpm_stats s;

		for (unsigned i = 0; i < n; i++) {
			unsigned j = i + (unsigned)(test_rand(&rng) % (n - i));
			struct any_route swap = r[i];

			r[i] = r[j];
			r[j] = swap;
			ck_assert_int_eq(any_set(&t, r[i].addr, len, r[i].nh), 0);
		}
		for (unsigned i = 0; i < n; i++)
			memcpy(a[i], r[i].addr, 16);
		any_lookup(&t, a, nh, n);
		for (unsigned i = 0; i < n; i++)
			ck_assert_uint_eq(nh[i], r[i].nh);
		for (unsigned gone = 0; gone < n;) {
			unsigned until = MIN(gone + n / 4, n);

			for (; gone < until; gone++)
				ck_assert_int_eq(any_del(&t, r[gone].addr, len), 0);
			any_lookup(&t, a, nh, n);
			for (unsigned i = 0; i < n; i++)
				ck_assert_uint_eq(nh[i], i < gone ? 0 : r[i].nh);
		}
		s = any_stats(&t);
		ck_assert_uint_eq(s.retired_bytes, 0);
		if (round == 2) {
			data = s.data_bytes;
			ctl = s.ctl_bytes;
		}
		if (round > 2) { /* the order of steps differs, a chunk here and there may come */
			ck_assert_uint_le(s.data_bytes, data + 65536);
			ck_assert_uint_le(s.ctl_bytes, ctl + 65536);
		}
		free(a);
		free(nh);
	}
	any_free(&t);
	free(r);
}
END_TEST

/* Crowded nodes under address 0, and batches of every length: lanes past the end stay out of it. */
START_TEST(batch_lengths)
{
	uint64_t rng = test_seed;
	struct any t = any_new(_i, &(struct lpm_params){ 0 });
	struct oracle o = oracle_new(4000);
	uint8_t a[200][16];
	uint32_t nh[200];

	for (unsigned i = 0; i < 3000; i++) {
		uint8_t p[16] = { 0 };
		unsigned len = 17 + (unsigned)(test_rand(&rng) % (t.bits - 16));

		for (unsigned b = 2; b < t.bits / 8; b++)
			p[b] = test_rand(&rng) % 3 ? 0 : (uint8_t)test_rand(&rng);
		any_mask(p, len);
		set_both(&t, &o, p, len, 1 + i);
	}
	for (unsigned n = 1; n <= 200; n++) {
		for (unsigned i = 0; i < n; i++)
			any_probe(&t, &o.r[test_rand(&rng) % o.n], &rng, a[i]);
		any_lookup(&t, a, nh, n);
		for (unsigned i = n > 8 ? n - 8 : 0; i < n; i++)
			ck_assert_uint_eq(nh[i], oracle_lookup(&o, a[i]));
	}
	any_free(&t);
	free(o.r);
}
END_TEST

static struct any_route *random_routes(const struct any *t, uint64_t *rng, unsigned *n)
{
	struct any_route *r = xcalloc(*n, sizeof(*r));
	unsigned out = 0;

	for (unsigned i = 0; i < *n; i++) {
		r[i].len = (uint8_t)(test_rand(rng) % (t->bits + 1));
		r[i].nh = 1 + (uint32_t)test_rand(rng) % 9;
		random_addr(t, rng, r[i].addr);
		if (i && test_rand(rng) % 4)
			memcpy(r[i].addr, r[test_rand(rng) % i].addr,
			       1 + test_rand(rng) % (t->bits / 8));
		any_mask(r[i].addr, r[i].len);
	}
	qsort(r, *n, sizeof(*r), any_route_cmp);
	for (unsigned i = 0; i < *n; i++)
		if (!out || any_route_cmp(&r[out - 1], &r[i]))
			r[out++] = r[i];
	*n = out;
	return r;
}

/* A built table answers as one grown by single changes does, and changes as well. */
START_TEST(bulk)
{
	uint64_t rng = test_seed;

	for (int round = 0; round < 8; round++) {
		struct any t = any_new(_i, &(struct lpm_params){ 0 });
		unsigned n = 1 + (unsigned)(test_rand(&rng) % 700);
		struct any_route *r = random_routes(&t, &rng, &n), gone;
		struct oracle o = { r, n, n };

		ck_assert_int_eq(any_build(&t, r, n), 0);
		ck_assert_int_eq(any_build(&t, r, n), -EEXIST);
		check_all(&t, &o, &rng);
		while (o.n) {
			del_random(&t, &o, &rng, &gone);
			probe_around(&t, &o, &gone, &rng, 16);
		}
		any_free(&t);
		free(r);
	}
}
END_TEST

START_TEST(bad_input)
{
	struct any t = any_new(_i, &(struct lpm_params){ 0 });
	struct any_route r[2] = { { .addr = { 10 }, .len = 8, .nh = 1 },
				  { .addr = { 10, 1 }, .len = 16, .nh = 2 } };
	struct any_route bad[2];
	uint8_t a[16] = { 10, 0, 0, 1 };

	ck_assert_int_eq(any_set(&t, a, 24, 1), -EINVAL);
	ck_assert_int_eq(any_set(&t, r[0].addr, t.bits + 1, 1), -EINVAL);
	ck_assert_int_eq(any_set(&t, r[0].addr, 8, 0), -EINVAL);
	ck_assert_int_eq(any_set(&t, r[0].addr, 8, LPM_NH_MAX + 1u), -EINVAL);
	ck_assert_int_eq(any_set(&t, r[0].addr, 0, 1), -EINVAL);
	ck_assert_int_eq(any_del(&t, a, 8), -EINVAL);
	ck_assert_int_eq(any_del(&t, r[0].addr, 8), -ENOENT);
	ck_assert_uint_eq(any_get(&t, a, 8), 0);

	bad[0] = r[1];
	bad[1] = r[0];
	ck_assert_int_eq(any_build(&t, bad, 2), -EINVAL);
	bad[0] = bad[1];
	ck_assert_int_eq(any_build(&t, bad, 2), -EINVAL);
	memcpy(bad, r, sizeof(r));
	bad[1].addr[3] = 1;
	ck_assert_int_eq(any_build(&t, bad, 2), -EINVAL);
	memcpy(bad, r, sizeof(r));
	bad[1].nh = 0;
	ck_assert_int_eq(any_build(&t, bad, 2), -EINVAL);
	ck_assert_uint_eq(any_stats(&t).n_routes, 0);
	ck_assert_int_eq(any_build(&t, r, 0), 0);
	ck_assert_int_eq(any_build(&t, r, 2), 0);
	any_free(&t);
}
END_TEST

/* With little memory changes fail at some point, and then nothing has changed. limit: 0 = data,
 * 1 = the writer's. */
static void exhaust(bool is6, int limit)
{
	uint64_t rng = test_seed;
	struct lpm_params p = { 0 };
	struct oracle o = oracle_new(40000);
	struct any t;
	unsigned failed = 0;

	if (limit)
		p.max_ctl_bytes = 288 << 10;
	else
		p.max_data_bytes = 192 << 10;
	t = any_new(is6, &p);
	for (unsigned i = 0; failed < 300 && i < 200000; i++) {
		struct any_route r = { 0 };
		size_t before = any_stats(&t).n_routes;
		int rc;

		random_addr(&t, &rng, r.addr);
		r.addr[0] = 0x20;
		r.addr[1] &= 3;
		r.len = (uint8_t)(9 + test_rand(&rng) % (t.bits - 8));
		any_mask(r.addr, r.len);
		rc = any_set(&t, r.addr, r.len, 1 + i);
		if (!rc) {
			oracle_set(&o, r.addr, r.len, 1 + i);
			continue;
		}
		ck_assert_int_eq(rc, -ENOMEM);
		ck_assert_uint_eq(any_stats(&t).n_routes, before);
		if (!oracle_find(&o, r.addr, r.len))
			ck_assert_uint_eq(any_get(&t, r.addr, r.len), 0);
		if (failed++ % 50 == 0)
			probe_around(&t, &o, &r, &rng, 16);
	}
	ck_assert_uint_eq(failed, 300);
	for (unsigned i = 0; i < 500; i++)
		probe_around(&t, &o, &o.r[test_rand(&rng) % o.n], &rng, 4);
	/* A deletion over many nodes may have to wait for others, which make room. */
	for (unsigned refused = 0; o.n;) {
		struct any_route *r = &o.r[test_rand(&rng) % o.n];
		int rc = any_del(&t, r->addr, r->len);

		if (rc) {
			ck_assert_int_eq(rc, -ENOMEM);
			ck_assert_uint_eq(any_get(&t, r->addr, r->len), r->nh);
			ck_assert_uint_lt(++refused, 2000);
		} else {
			oracle_del(&o, r);
		}
	}
	set_both(&t, &o, (uint8_t[16]){ 0x20 }, 9, 7);
	check_all(&t, &o, &rng);
	any_free(&t);
	free(o.r);
}

START_TEST(out_of_data)
{
	exhaust(_i, 0);
}
END_TEST

START_TEST(out_of_control)
{
	exhaust(_i, 1);
}
END_TEST

START_TEST(bulk_out_of_memory)
{
	uint64_t rng = test_seed;
	struct any small = any_new(_i, &(struct lpm_params){ .max_data_bytes = 160 << 10 });
	struct any low = any_new(_i, &(struct lpm_params){ .max_ctl_bytes = 256 << 10 });
	struct any *tables[] = { &small, &low };

	for (unsigned i = 0; i < 2; i++) {
		struct any *t = tables[i];
		unsigned n = 20000, few = 60;
		struct any_route *r = random_routes(t, &rng, &n);
		struct any_route *r2 = random_routes(t, &rng, &few);
		uint8_t a[1][16];
		uint32_t nh[1];

		ck_assert_int_eq(any_build(t, r, n), -ENOMEM);
		ck_assert_uint_eq(any_stats(t).n_routes, 0);
		for (unsigned j = 0; j < n; j++) {
			memcpy(a[0], r[j].addr, 16);
			any_lookup(t, a, nh, 1);
			ck_assert_uint_eq(nh[0], 0);
		}
		ck_assert_int_eq(any_build(t, r2, few), 0);
		check_all(t, &(struct oracle){ r2, few, few }, &rng);
		free(r);
		free(r2);
		any_free(t);
	}
}
END_TEST

struct held {
	struct lpm_retired *first;
	unsigned n;
};

static void hold(void *ctx, struct lpm_retired *b)
{
	struct held *h = ctx;

	b->next = h->first;
	h->first = b;
	h->n++;
}

/* Retired memory is handed over by the batch and stays as it was until it is released. */
START_TEST(deferred)
{
	struct held h = { 0 };
	struct any t = any_new(_i, &(struct lpm_params){ .defer = hold, .defer_ctx = &h });
	uint8_t a[16] = { 0x20, 0x01, 0x0d };
	unsigned n_blocks = 0;
	size_t grown;

	for (unsigned i = 0; i < 6000; i++) {
		a[3] = (uint8_t)(i % 25 << 3);
		ck_assert_int_eq(i / 25 % 2 ? any_del(&t, a, 29) : any_set(&t, a, 29, i + 1), 0);
	}
	ck_assert_uint_ge(any_stats(&t).retired_bytes, 6000 / 4 * LPM_UNIT_SIZE);
	any_flush(&t);
	any_flush(&t);
	for (struct lpm_retired *b = h.first; b; b = b->next)
		n_blocks += b->n;
	ck_assert_uint_ge(n_blocks, 6000 / 4);
	ck_assert_uint_eq(h.n, DIV_ROUND_UP(n_blocks, LPM_RETIRED_MAX));
	grown = any_stats(&t).data_bytes;
	for (struct lpm_retired *b = h.first, *next; b; b = next) {
		next = b->next;
		lpm_retired_release(b);
	}
	ck_assert_uint_eq(any_stats(&t).retired_bytes, 0);
	/* What came back serves the next round. */
	h = (struct held){ 0 };
	for (unsigned i = 0; i < 1000; i++) {
		a[3] = (uint8_t)(i % 25 << 3);
		ck_assert_int_eq(i / 25 % 2 ? any_del(&t, a, 29) : any_set(&t, a, 29, i + 1), 0);
	}
	ck_assert_uint_le(any_stats(&t).data_bytes, grown);
	any_free(&t);
}
END_TEST

/* A batch that is held keeps its blocks out of use: what readers may see does not change. */
START_TEST(held_blocks_keep)
{
	struct held h = { 0 };
	struct any t = any_new(_i, &(struct lpm_params){ .defer = hold, .defer_ctx = &h });
	uint64_t rng = test_seed;

	for (unsigned i = 0; i < 4000; i++) {
		struct any_route r = { .addr = { 0x20 }, .len = 28 };

		r.addr[2] = (uint8_t)(test_rand(&rng) & 7);
		r.addr[3] = (uint8_t)(test_rand(&rng) & 0xf0);
		if (test_rand(&rng) & 1)
			(void)any_set(&t, r.addr, r.len, 1 + i);
		else
			(void)any_del(&t, r.addr, r.len);
	}
	any_flush(&t);
	/* No block is in two held places: it would have been reused before its release. */
	for (struct lpm_retired *b = h.first; b; b = b->next)
		for (unsigned i = 0; i < b->n; i++)
			for (struct lpm_retired *c = b; c; c = c->next)
				for (unsigned j = c == b ? i + 1 : 0; j < c->n; j++)
					if (b->block[i].idx == c->block[j].idx)
						ck_abort_msg("block retired twice");
	any_free(&t);
}
END_TEST

static size_t resident(void)
{
	char *buf;
	size_t size, pages = 0;

	ck_assert_int_eq(rtr_file_read("/proc/self/statm", 4096, &buf, &size), 0);
	ck_assert_int_eq(sscanf(buf, "%*u %zu", &pages), 1);
	free(buf);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* A hundred instances with a handful of routes each. */
START_TEST(many_instances)
{
	struct any t[100];
	size_t before = resident(), per;
	uint8_t net[16] = { 0x20, 0x01, 0x0d, 0xb8 }, host[16] = { 0x20, 0x01, 0x0d, 0xb8 };

	host[_i ? 15 : 3] |= 1;
	for (unsigned i = 0; i < 100; i++) {
		t[i] = any_new(_i, &(struct lpm_params){ 0 });
		ck_assert_int_eq(any_set(&t[i], (uint8_t[16]){ 0 }, 0, 1 + i), 0);
		ck_assert_int_eq(any_set(&t[i], net, 29, 1000 + i), 0);
		ck_assert_int_eq(any_set(&t[i], host, t[i].bits, 2000 + i), 0);
		ck_assert_int_eq(any_set(&t[i], (uint8_t[16]){ 10 }, 8, 3000 + i), 0);
	}
	per = (resident() - before) / 100;
	ck_assert_uint_le(per, 256 << 10);
	for (unsigned i = 0; i < 100; i++) {
		uint8_t a[4][16] = { { 1 }, { 10, 1 } };
		uint32_t nh[4];

		memcpy(a[2], host, 16);
		memcpy(a[3], net, 16);
		any_lookup(&t[i], a, nh, 4);
		ck_assert_uint_eq(nh[0], 1 + i);
		ck_assert_uint_eq(nh[1], 3000 + i);
		ck_assert_uint_eq(nh[2], 2000 + i);
		ck_assert_uint_eq(nh[3], 1000 + i);
		any_free(&t[i]);
	}
}
END_TEST

static void add(Suite *s, const char *name, const TTest *fn)
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, fn, 0, 2);
	suite_add_tcase(s, tc);
}

static Suite *suite(void)
{
	Suite *s = suite_create("lpm");

	add(s, "nested", nested);
	add(s, "churn", churn);
	add(s, "crowded_node", crowded_node);
	add(s, "batch_lengths", batch_lengths);
	add(s, "bulk", bulk);
	add(s, "bad_input", bad_input);
	add(s, "out_of_data", out_of_data);
	add(s, "out_of_control", out_of_control);
	add(s, "bulk_out_of_memory", bulk_out_of_memory);
	add(s, "deferred", deferred);
	add(s, "held_blocks_keep", held_blocks_keep);
	add(s, "many_instances", many_instances);
	return s;
}

CHECK_MAIN(suite)
