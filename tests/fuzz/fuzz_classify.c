/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: rules and keys out of the input, classifier against a linear scan, in each
 * form and with each instruction set. Input: one byte of kinds of rules, then records of RECORD
 * bytes, each a rule; keys are drawn in and next to the rules by a generator that the whole input
 * seeds.
 */
#include "classify.h"
#include "hash.h"
#include "../lib/classify_oracle.h"

#include <stdint.h>

#define RECORD    24u
#define MAX_RULES 4096u
#define KEYS      256u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t next(uint64_t *state)
{
	return hash_mix64(*state += 0x9e3779b97f4a7c15ull);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* form: wildcard, prefix, range of the low bits, or range that crosses the 64-bit halves. */
static void range(uint8_t form, const uint8_t *p, uint8_t family, struct fp_cls_addr *lo,
		  struct fp_cls_addr *hi)
{
	uint32_t a = get32(p), host = p[4] & 31 ? UINT32_MAX >> (p[4] & 31) : UINT32_MAX;

	if (!(form & 3))
		return;
	lo->lo = form & 1 ? a & ~host : a;
	hi->lo = form & 1 ? a | host : a | (p[4] & 0xff);
	lo->hi = hi->hi = 0;
	if (family == AF_INET6 && form & 2) {
		lo->hi = p[0] & 3;
		hi->hi = lo->hi + (p[1] & 1);
		hi->lo = hi->hi > lo->hi ? p[2] : hi->lo;
	}
}

static struct fp_cls_rule rule(const uint8_t *p, uint8_t kinds, uint32_t id)
{
	static const uint8_t families[] = { AF_INET, AF_INET6, AF_UNSPEC, AF_INET };
	uint8_t family = families[p[0] & 3];
	struct fp_cls_rule r = fp_cls_rule_any(family, id);
	uint16_t a = (uint16_t)get32(p + 12), b = (uint16_t)(get32(p + 12) >> 16);

	if (family != AF_UNSPEC) {
		range(p[1], p + 2, family, &r.src_lo, &r.src_hi);
		range(p[1] >> 4, p + 7, family, &r.dst_lo, &r.dst_hi);
	}
	if (p[0] & 4) {
		r.sport_lo = MIN(a, b);
		r.sport_hi = MAX(a, b);
	}
	if (p[0] & 8)
		r.dport_lo = r.dport_hi = (uint16_t)get32(p + 14);
	if (p[0] & 16)
		r.proto = p[18];
	if (kinds & 1) {
		r.zone_in = p[0] & 32 ? p[19] : 0;
		r.zone_out = p[0] & 64 ? p[20] : 0;
	}
	if (kinds & 2) {
		r.tcp_flags = p[21];
		r.tcp_mask = p[22] & 0x12;
		r.dscp = p[21];
		r.dscp_mask = p[22] & 0x20;
		r.frags = p[23] & FP_CLS_FRAG_ANY;
	}
	return r;
}

static void check(const struct fp_cls *cls, const struct fp_cls_rule *rules, size_t n,
		  uint8_t family, uint64_t seed)
{
	static struct fp_cls_key6 k6[KEYS];
	static struct fp_cls_key4 k4[KEYS];
	uint32_t got[KEYS];

	for (size_t i = 0; i < KEYS; i++) {
		k6[i] = oracle_key(&rules[next(&seed) % n], family, next, &seed);
		k4[i] = oracle_key4(&k6[i]);
	}
	if (family == AF_INET)
		fp_cls_lookup4(cls, k4, KEYS, got);
	else
		fp_cls_lookup6(cls, k6, KEYS, got);
	for (size_t i = 0; i < KEYS; i++) {
		if (got[i] != oracle_lookup(rules, n, family, &k6[i]))
			abort();
	}
}

static void build_and_check(const struct fp_cls_rule *rules, size_t n, enum fp_cls_form form,
			    uint64_t seed)
{
	struct fp_cls *cls;

	if (fp_cls_build_as(rules, n, form, &cls))
		return;
	if (fp_cls_stats(cls).bytes > FP_CLS_BYTES_FIXED + n * FP_CLS_BYTES_PER_RULE)
		abort();
	for (enum fp_cls_isa isa = 0; isa < FP_CLS_ISA__MAX; isa++) {
		if (!fp_cls_use(cls, isa))
			continue;
		check(cls, rules, n, AF_INET, seed);
		check(cls, rules, n, AF_INET6, seed);
	}
	fp_cls_free(cls);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fp_cls_rule rules[MAX_RULES];
	size_t n = size ? MIN((size - 1) / RECORD, (size_t)MAX_RULES) : 0;
	uint64_t seed = hash_bytes(data, size, 1);

	for (size_t i = 0; i < n; i++)
		rules[i] = rule(data + 1 + i * RECORD, data[0], (uint32_t)i);
	if (!n)
		return 0;
	build_and_check(rules, n, FP_CLS_BEST, seed);
	build_and_check(rules, n, FP_CLS_TREES, seed);
	return 0;
}
