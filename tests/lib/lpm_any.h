/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: lpm4 and lpm6 behind one face, so that each test runs on both, and a naive oracle.
 * IPv4 addresses are in the first four bytes. Every lookup goes through the single form and all
 * batch forms that this machine has, which must agree. Threads: one.
 */
#ifndef RTR_LPM_ANY_H
#define RTR_LPM_ANY_H

#include "lpm4.h"
#include "lpm6.h"
#include "check_main.h"

#include <string.h>

struct any_route {
	uint8_t addr[16], len;
	uint32_t nh;
};

struct any {
	bool is6;
	unsigned bits;
	struct lpm4 *t4;
	struct lpm6 *t6;
};

static inline uint32_t any_host4(const uint8_t *a)
{
	return (uint32_t)a[0] << 24 | (uint32_t)a[1] << 16 | (uint32_t)a[2] << 8 | a[3];
}

static inline struct any any_new(bool is6, const struct lpm_params *p)
{
	struct any t = { .is6 = is6, .bits = is6 ? 128 : 32 };

	ck_assert_int_eq(is6 ? lpm6_new(p, &t.t6) : lpm4_new(p, &t.t4), 0);
	return t;
}

static inline void any_free(struct any *t)
{
	t->t4 = lpm4_free(t->t4);
	t->t6 = lpm6_free(t->t6);
}

static inline int any_set(struct any *t, const uint8_t *a, unsigned len, uint32_t nh)
{
	return t->is6 ? lpm6_set(t->t6, a, len, nh) : lpm4_set(t->t4, any_host4(a), len, nh);
}

static inline int any_del(struct any *t, const uint8_t *a, unsigned len)
{
	return t->is6 ? lpm6_del(t->t6, a, len) : lpm4_del(t->t4, any_host4(a), len);
}

static inline uint32_t any_get(struct any *t, const uint8_t *a, unsigned len)
{
	return t->is6 ? lpm6_get(t->t6, a, len) : lpm4_get(t->t4, any_host4(a), len);
}

static inline void any_flush(struct any *t)
{
	if (t->is6)
		lpm6_flush(t->t6);
	else
		lpm4_flush(t->t4);
}

static inline struct lpm_stats any_stats(const struct any *t)
{
	struct lpm_stats s;

	if (t->is6)
		lpm6_stats(t->t6, &s);
	else
		lpm4_stats(t->t4, &s);
	return s;
}

static inline int any_build(struct any *t, const struct any_route *r, size_t n)
{
	struct lpm4_route *r4 = xcalloc(n + 1, sizeof(*r4));
	struct lpm6_route *r6 = xcalloc(n + 1, sizeof(*r6));
	int rc;

	for (size_t i = 0; i < n; i++) {
		r4[i] = (struct lpm4_route){ any_host4(r[i].addr), r[i].nh, r[i].len };
		memcpy(r6[i].addr, r[i].addr, 16);
		r6[i].nh = r[i].nh;
		r6[i].len = r[i].len;
	}
	rc = t->is6 ? lpm6_build(t->t6, r6, n) : lpm4_build(t->t4, r4, n);
	free(r4);
	free(r6);
	return rc;
}

/* Looks n addresses up in every form; aborts where two forms differ. */
static inline void any_lookup(const struct any *t, const uint8_t (*addr)[16], uint32_t *nh,
			      unsigned n)
{
	uint32_t *a4 = xcalloc(n + 1, sizeof(*a4)), *other = xcalloc(n + 1, sizeof(*other));
	lpm4_batch_fn *f4;
	lpm6_batch_fn *f6;

	for (unsigned i = 0; i < n; i++) {
		a4[i] = any_host4(addr[i]);
		nh[i] = t->is6 ? lpm6_lookup(t->t6, addr[i]) : lpm4_lookup(t->t4, a4[i]);
	}
	for (unsigned f = 0; t->is6 && (f6 = lpm6_batch_form(f, NULL)); f++) {
		other[n] = 0xdeadbeef;
		f6(t->t6, addr, other, n);
		ck_assert_uint_eq(other[n], 0xdeadbeef);
		ck_assert_mem_eq(nh, other, n * sizeof(*nh));
	}
	for (unsigned f = 0; !t->is6 && (f4 = lpm4_batch_form(f, NULL)); f++) {
		other[n] = 0xdeadbeef;
		f4(t->t4, a4, other, n);
		ck_assert_uint_eq(other[n], 0xdeadbeef);
		ck_assert_mem_eq(nh, other, n * sizeof(*nh));
	}
	free(a4);
	free(other);
}

static inline void any_mask(uint8_t *a, unsigned len)
{
	for (unsigned b = len; b < 128; b++)
		a[b / 8] &= (uint8_t) ~(0x80 >> b % 8);
}

static inline bool any_covers(const struct any_route *r, const uint8_t *a)
{
	unsigned whole = r->len / 8u;

	if (memcmp(r->addr, a, whole))
		return false;
	return r->len % 8 == 0 || !((r->addr[whole] ^ a[whole]) >> (8 - r->len % 8));
}

/* The oracle: looks at every route. */
struct oracle {
	struct any_route *r;
	unsigned n, max;
};

static inline struct oracle oracle_new(unsigned max)
{
	return (struct oracle){ .r = xcalloc(max, sizeof(struct any_route)), .max = max };
}

static inline uint32_t oracle_lookup(const struct oracle *o, const uint8_t *a)
{
	const struct any_route *best = NULL;

	for (unsigned i = 0; i < o->n; i++)
		if ((!best || o->r[i].len >= best->len) && any_covers(&o->r[i], a))
			best = &o->r[i];
	return best ? best->nh : 0;
}

static inline struct any_route *oracle_find(const struct oracle *o, const uint8_t *a, unsigned len)
{
	for (unsigned i = 0; i < o->n; i++)
		if (o->r[i].len == len && !memcmp(o->r[i].addr, a, 16))
			return &o->r[i];
	return NULL;
}

static inline void oracle_set(struct oracle *o, const uint8_t *a, unsigned len, uint32_t nh)
{
	struct any_route *r = oracle_find(o, a, len);

	if (!r) {
		ck_assert_uint_lt(o->n, o->max);
		r = &o->r[o->n++];
		memcpy(r->addr, a, 16);
		r->len = (uint8_t)len;
	}
	r->nh = nh;
}

static inline void oracle_del(struct oracle *o, struct any_route *r)
{
	*r = o->r[--o->n];
}

static inline int any_route_cmp(const void *a, const void *b)
{
	return memcmp(a, b, offsetof(struct any_route, nh));
}

/* An address that a change of route r may concern: inside it, at its edges, or just outside. */
static inline void any_probe(const struct any *t, const struct any_route *r, uint64_t *rng,
			     uint8_t a[16])
{
	uint64_t how = test_rand(rng) % 5;

	memcpy(a, r->addr, 16);
	for (unsigned b = r->len; b < t->bits && how; b++)
		if (how == 1 || (how > 2 && test_rand(rng) & 1))
			a[b / 8] |= (uint8_t)(0x80 >> b % 8);
	if (how == 2 && t->bits > r->len) /* one bit */
		a[(t->bits - 1) / 8] |= 1;
	if (how == 4 && r->len) /* a neighbour */
		a[(r->len - 1) / 8] ^= (uint8_t)(0x80 >> (r->len - 1) % 8);
}

#endif
