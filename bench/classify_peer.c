/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "classify_peer.h"

#ifdef HAVE_DPDK

#include <arpa/inet.h>
#include <rte_acl.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>

struct peer {
	struct rte_acl_ctx *ctx;
	struct peer_key *keys;
	const uint8_t **at;
	enum rte_acl_classify_alg alg;
	const char *method;
};

/* Fields of 1, 4, 4, 2 and 2 bytes; the two ports share the last 4-byte input. */
struct peer_key {
	uint8_t proto, pad[3];
	uint32_t src_be, dst_be;
	uint16_t sport_be, dport_be;
};

RTE_ACL_RULE_DEF(peer_rule, 5);

static const struct rte_acl_field_def fields[5] = {
	{ RTE_ACL_FIELD_TYPE_BITMASK, 1, 0, 0, offsetof(struct peer_key, proto) },
	{ RTE_ACL_FIELD_TYPE_MASK, 4, 1, 1, offsetof(struct peer_key, src_be) },
	{ RTE_ACL_FIELD_TYPE_MASK, 4, 2, 2, offsetof(struct peer_key, dst_be) },
	{ RTE_ACL_FIELD_TYPE_RANGE, 2, 3, 3, offsetof(struct peer_key, sport_be) },
	{ RTE_ACL_FIELD_TYPE_RANGE, 2, 4, 3, offsetof(struct peer_key, dport_be) },
};

static const struct {
	enum rte_acl_classify_alg alg;
	const char *name;
} methods[] = {
	{ RTE_ACL_CLASSIFY_SCALAR, "rte_acl scalar" },
	{ RTE_ACL_CLASSIFY_SSE, "rte_acl sse" },
	{ RTE_ACL_CLASSIFY_AVX2, "rte_acl avx2" },
	{ RTE_ACL_CLASSIFY_AVX512X16, "rte_acl avx512x16" },
	{ RTE_ACL_CLASSIFY_AVX512X32, "rte_acl avx512x32" },
};

bool peer_start(void)
{
	/* 512: EAL hides the AVX-512 methods otherwise. */
	static char args[][32] = { "bench_classify",
				   "--no-huge",
				   "--no-pci",
				   "-m",
				   "2048",
				   "--no-telemetry",
				   "--no-shconf",
				   "--log-level=1",
				   "--force-max-simd-bitwidth=512" };
	char *argv[ARRAY_LEN(args)];

	for (size_t i = 0; i < ARRAY_LEN(args); i++)
		argv[i] = args[i];
	return rte_eal_init(ARRAY_LEN(argv), argv) >= 0;
}

static unsigned prefix_len(const struct fp_cls_addr *lo, const struct fp_cls_addr *hi)
{
	uint32_t host = (uint32_t)lo->lo ^ (uint32_t)hi->lo;

	return host ? (unsigned)__builtin_clz(host) : 32;
}

static int add_rules(struct rte_acl_ctx *ctx, const struct cb_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct fp_cls_rule *r = &set->rules[i];
		bool any = r->proto == FP_CLS_PROTO_ANY;
		struct peer_rule p = {
			.data = { .category_mask = 1,
				  .priority = RTE_ACL_MAX_PRIORITY - (int)i,
				  .userdata = (uint32_t)i + 1 },
			.field = { { .value.u8 = any ? 0 : (uint8_t)r->proto,
				     .mask_range.u8 = any ? 0 : 0xff },
				   { .value.u32 = (uint32_t)r->src_lo.lo,
				     .mask_range.u32 = prefix_len(&r->src_lo, &r->src_hi) },
				   { .value.u32 = (uint32_t)r->dst_lo.lo,
				     .mask_range.u32 = prefix_len(&r->dst_lo, &r->dst_hi) },
				   { .value.u16 = r->sport_lo, .mask_range.u16 = r->sport_hi },
				   { .value.u16 = r->dport_lo, .mask_range.u16 = r->dport_hi } },
		};

		if (rte_acl_add_rules(ctx, (struct rte_acl_rule *)&p, 1))
			return -1;
	}
	return 0;
}

static size_t heap_bytes(void)
{
	struct rte_malloc_socket_stats st = { 0 };

	rte_malloc_get_socket_stats(0, &st);
	return st.heap_allocsz_bytes;
}

/* The fastest method that this CPU and these rules allow, by a short trial of each. */
static void pick_method(struct peer *p, size_t n_keys)
{
	uint32_t ids[32];
	uint64_t best = UINT64_MAX;

	for (size_t m = 0; m < ARRAY_LEN(methods); m++) {
		uint64_t t0, least = UINT64_MAX;

		p->alg = methods[m].alg;
		if (rte_acl_classify_alg(p->ctx, p->at, ids, 1, 1, p->alg))
			continue;
		for (int round = 0; round < 3; round++) {
			t0 = rtr_now_ns();
			for (size_t i = 0; i + 32 <= n_keys; i += 32)
				peer_lookup(p, i, 32, ids);
			least = MIN(least, rtr_now_ns() - t0);
		}
		if (least < best) {
			best = least;
			p->method = methods[m].name;
		}
	}
	for (size_t m = 0; m < ARRAY_LEN(methods); m++) {
		if (p->method == methods[m].name)
			p->alg = methods[m].alg;
	}
}

struct peer *peer_new(const struct cb_set *set, const struct fp_cls_key4 *keys, size_t n_keys,
		      double *ret_build_s, size_t *ret_bytes)
{
	static unsigned serial;
	char name[32];
	struct rte_acl_param prm = { .name = name,
				     .socket_id = 0,
				     .rule_size = RTE_ACL_RULE_SZ(5),
				     .max_rule_num = (uint32_t)set->n };
	struct rte_acl_config cfg = { .num_categories = 1, .num_fields = 5 };
	struct peer *p = xcalloc(1, sizeof(*p));
	size_t before;
	uint64_t t0;

	snprintf(name, sizeof(name), "peer%u", serial++);
	memcpy(cfg.defs, fields, sizeof(fields));
	p->ctx = rte_acl_create(&prm);
	if (!p->ctx || add_rules(p->ctx, set)) {
		peer_free(p);
		return NULL;
	}
	before = heap_bytes();
	t0 = rtr_now_ns();
	if (rte_acl_build(p->ctx, &cfg)) {
		peer_free(p);
		return NULL;
	}
	*ret_build_s = (double)(rtr_now_ns() - t0) / 1e9;
	*ret_bytes = heap_bytes() - before;
	p->keys = xcalloc(n_keys, sizeof(*p->keys));
	p->at = xcalloc(n_keys, sizeof(*p->at));
	for (size_t i = 0; i < n_keys; i++) {
		p->keys[i] = (struct peer_key){ .proto = (uint8_t)keys[i].misc,
						.src_be = htonl(keys[i].src),
						.dst_be = htonl(keys[i].dst),
						.sport_be = htons((uint16_t)(keys[i].ports >> 16)),
						.dport_be = htons((uint16_t)keys[i].ports) };
		p->at[i] = (const uint8_t *)&p->keys[i];
	}
	pick_method(p, n_keys);
	return p;
}

void peer_free(struct peer *p)
{
	if (!p)
		return;
	rte_acl_free(p->ctx);
	free(p->keys);
	free(p->at);
	free(p);
}

const char *peer_method(const struct peer *p)
{
	return p->method;
}

void peer_lookup(struct peer *p, size_t from, size_t n, uint32_t *ret_ids)
{
	rte_acl_classify_alg(p->ctx, p->at + from, ret_ids, (uint32_t)n, 1, p->alg);
	for (size_t i = 0; i < n; i++)
		ret_ids[i] -= 1; /* userdata 0 is no match: FP_CLS_NONE */
}

#else

bool peer_start(void)
{
	printf("DPDK is not installed: no peer\n");
	return false;
}

struct peer *peer_new(const struct cb_set *set, const struct fp_cls_key4 *keys, size_t n_keys,
		      double *ret_build_s, size_t *ret_bytes)
{
	return NULL;
}

void peer_free(struct peer *p)
{
}

const char *peer_method(const struct peer *p)
{
	return NULL;
}

void peer_lookup(struct peer *p, size_t from, size_t n, uint32_t *ret_ids)
{
}

#endif
