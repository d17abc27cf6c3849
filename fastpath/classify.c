/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "classify_vec.h"

#include <errno.h>
#include <sys/socket.h>

/* So few rules are two blocks of one leaf, which costs less than three rows. */
#define VECTORS_MIN_RULES 17u

struct fp_cls_rule fp_cls_rule_any(uint8_t family, uint32_t id)
{
	struct fp_cls_addr top = { 0, UINT32_MAX };

	if (family == AF_INET6)
		top = (struct fp_cls_addr){ UINT64_MAX, UINT64_MAX };
	return (struct fp_cls_rule){
		.src_hi = top,
		.dst_hi = top,
		.id = id,
		.family = family,
		.sport_hi = UINT16_MAX,
		.dport_hi = UINT16_MAX,
		.proto = FP_CLS_PROTO_ANY,
		.frags = FP_CLS_FRAG_ANY,
	};
}

static int addr_cmp(const struct fp_cls_addr *a, const struct fp_cls_addr *b)
{
	if (a->hi != b->hi)
		return a->hi < b->hi ? -1 : 1;
	return a->lo < b->lo ? -1 : a->lo > b->lo;
}

static bool addr_ok(const struct fp_cls_rule *r, const struct fp_cls_addr *lo,
		    const struct fp_cls_addr *hi)
{
	if (r->family == AF_UNSPEC)
		return true;
	return addr_cmp(lo, hi) <= 0 &&
	       (r->family == AF_INET6 || (!hi->hi && hi->lo <= UINT32_MAX));
}

static bool rule_ok(const struct fp_cls_rule *r)
{
	if (r->family != AF_INET && r->family != AF_INET6 && r->family != AF_UNSPEC)
		return false;
	return r->id != FP_CLS_NONE && r->proto <= FP_CLS_PROTO_ANY && r->sport_lo <= r->sport_hi &&
	       r->dport_lo <= r->dport_hi && addr_ok(r, &r->src_lo, &r->src_hi) &&
	       addr_ok(r, &r->dst_lo, &r->dst_hi);
}

static struct cls_extra extra_of(const struct fp_cls_rule *r)
{
	return (struct cls_extra){
		.misc_value = fp_cls_misc(0, r->tcp_flags, r->dscp, 0),
		.misc_mask = fp_cls_misc(0, r->tcp_mask, r->dscp_mask, 0),
		.frags = r->frags & FP_CLS_FRAG_ANY,
		.layer4 = r->tcp_mask || r->sport_lo || r->dport_lo || r->sport_hi != UINT16_MAX ||
			  r->dport_hi != UINT16_MAX,
	};
}

bool cls_extra_match(const struct fp_cls *cls, uint32_t order, uint32_t misc)
{
	const struct cls_extra *x = &cls->extra[order];
	unsigned frag = MISC_FRAG(misc);

	return !((misc ^ x->misc_value) & x->misc_mask) && x->frags >> frag & 1 &&
	       !(x->layer4 && frag == FP_CLS_LATER_FRAG);
}

static struct cls_core_rule core_rule(const struct fp_cls *cls, const struct fp_cls_rule *r,
				      uint32_t order)
{
	const struct cls_extra *x = &cls->extra[order];

	/* The place of a rule that looks at layer 4 is decided by its ranges for all packets but
	 * later fragments, so it may not hide the rules behind it either. */
	return (struct cls_core_rule){
		.lo = { [DIM_SPORT] = r->sport_lo,
			r->dport_lo,
			r->proto == FP_CLS_PROTO_ANY ? 0 : r->proto,
			r->zone_in,
			r->zone_out },
		.hi = { [DIM_SPORT] = r->sport_hi,
			r->dport_hi,
			r->proto == FP_CLS_PROTO_ANY ? 0xff : r->proto,
			r->zone_in == FP_CLS_ZONE_ANY ? UINT16_MAX : r->zone_in,
			r->zone_out == FP_CLS_ZONE_ANY ? UINT16_MAX : r->zone_out },
		.order = order,
		.extra = x->misc_mask || x->frags != FP_CLS_FRAG_ANY,
		.layer4 = x->layer4,
	};
}

static size_t core_rules4(const struct fp_cls *cls, const struct fp_cls_rule *rules,
			  struct cls_core_rule *ret)
{
	size_t m = 0;

	for (uint32_t i = 0; i < cls->n; i++) {
		const struct fp_cls_rule *r = &rules[i];

		if (r->family == AF_INET6)
			continue;
		ret[m] = core_rule(cls, r, i);
		ret[m].hi[DIM_SRC] = ret[m].hi[DIM_DST] = UINT32_MAX;
		if (r->family == AF_INET) {
			ret[m].lo[DIM_SRC] = (uint32_t)r->src_lo.lo;
			ret[m].hi[DIM_SRC] = (uint32_t)r->src_hi.lo;
			ret[m].lo[DIM_DST] = (uint32_t)r->dst_lo.lo;
			ret[m].hi[DIM_DST] = (uint32_t)r->dst_hi.lo;
		}
		m++;
	}
	return m;
}

static size_t core_rules6(const struct fp_cls *cls, const struct fp_cls_rule *rules,
			  struct cls_core_rule *ret)
{
	size_t m = 0;

	for (uint32_t i = 0; i < cls->n; i++) {
		const struct fp_cls_rule *r = &rules[i];

		if (r->family == AF_INET)
			continue;
		ret[m] = core_rule(cls, r, i);
		ret[m].hi[DIM_SRC] = cls->src6.n;
		ret[m].hi[DIM_DST] = cls->dst6.n;
		if (r->family == AF_INET6) {
			ret[m].lo[DIM_SRC] = cls_rank(&cls->src6, &r->src_lo);
			ret[m].hi[DIM_SRC] = cls_rank(&cls->src6, &r->src_hi);
			ret[m].lo[DIM_DST] = cls_rank(&cls->dst6, &r->dst_lo);
			ret[m].hi[DIM_DST] = cls_rank(&cls->dst6, &r->dst_hi);
		}
		m++;
	}
	return m;
}

static int build_ranks(struct fp_cls *cls, const struct fp_cls_rule *rules)
{
	struct fp_cls_addr *lo = malloc((cls->n + 1) * 2 * sizeof(*lo)), *hi;
	size_t m = 0;
	int r = -ENOMEM;

	if (!lo)
		return r;
	hi = lo + cls->n;
	for (size_t i = 0; i < cls->n; i++) {
		if (rules[i].family != AF_INET6)
			continue;
		lo[m] = rules[i].src_lo;
		hi[m++] = rules[i].src_hi;
	}
	r = cls_rank_build(&cls->src6, lo, hi, m);
	m = 0;
	for (size_t i = 0; i < cls->n; i++) {
		if (rules[i].family != AF_INET6)
			continue;
		lo[m] = rules[i].dst_lo;
		hi[m++] = rules[i].dst_hi;
	}
	if (!r)
		r = cls_rank_build(&cls->dst6, lo, hi, m);
	free(lo);
	return r;
}

static int build_family(const struct fp_cls *cls, struct cls_family *f,
			const struct cls_core_rule *rules, size_t n, enum fp_cls_form form)
{
	int r;

	if (form == FP_CLS_TREES || n < VECTORS_MIN_RULES)
		return cls_trees_build(f, rules, n);
	f->vec = malloc(sizeof(*f->vec));
	if (!f->vec)
		return -ENOMEM;
	r = cls_vec_build(f->vec, rules, n, cls->id);
	if (!r)
		return 0;
	free(f->vec);
	f->vec = NULL;
	return r == -E2BIG ? cls_trees_build(f, rules, n) : r;
}

static int build_families(struct fp_cls *cls, const struct fp_cls_rule *rules,
			  enum fp_cls_form form)
{
	struct cls_core_rule *core = malloc((cls->n + 1) * sizeof(*core));
	size_t n;
	int r = build_ranks(cls, rules);

	if (!core)
		r = -ENOMEM;
	if (r)
		goto out;
	n = core_rules4(cls, rules, core);
	r = build_family(cls, &cls->v4, core, n, form);
	if (r)
		goto out;
	n = core_rules6(cls, rules, core);
	r = build_family(cls, &cls->v6, core, n, form);
out:
	free(core);
	return r;
}

int fp_cls_build_as(const struct fp_cls_rule *rules, size_t n, enum fp_cls_form form,
		    struct fp_cls **ret_cls)
{
	struct fp_cls *cls;
	int r = -ENOMEM;

	if (n > FP_CLS_MAX_RULES)
		return -E2BIG;
	for (size_t i = 0; i < n; i++) {
		if (!rule_ok(&rules[i]))
			return -EINVAL;
	}
	cls = calloc(1, sizeof(*cls));
	if (!cls)
		return -ENOMEM;
	cls->n = n;
	cls->id = malloc((n + 1) * sizeof(*cls->id));
	cls->extra = malloc((n + 1) * sizeof(*cls->extra));
	if (!cls->id || !cls->extra)
		goto fail;
	for (size_t i = 0; i < n; i++) {
		cls->id[i] = rules[i].id;
		cls->extra[i] = extra_of(&rules[i]);
	}
	r = build_families(cls, rules, form);
	if (r)
		goto fail;
	for (int isa = FP_CLS_ISA__MAX - 1; !fp_cls_use(cls, (enum fp_cls_isa)isa);)
		isa--;
	*ret_cls = cls;
	return 0;
fail:
	fp_cls_free(cls);
	return r;
}

int fp_cls_build(const struct fp_cls_rule *rules, size_t n, struct fp_cls **ret_cls)
{
	return fp_cls_build_as(rules, n, FP_CLS_BEST, ret_cls);
}

static void family_fini(struct cls_family *f)
{
	if (f->vec)
		free(f->vec->mem);
	free(f->vec);
	free(f->arena);
}

struct fp_cls *fp_cls_free(struct fp_cls *cls)
{
	if (cls) {
		family_fini(&cls->v4);
		family_fini(&cls->v6);
		free(cls->src6.bound);
		free(cls->dst6.bound);
		free(cls->id);
		free(cls->extra);
		free(cls);
	}
	return NULL;
}

bool fp_cls_use(struct fp_cls *cls, enum fp_cls_isa isa)
{
	cls_core *tree = cls_core_portable, *vec = cls_vec_portable;

#ifdef __x86_64__
	if (isa == FP_CLS_AVX2 && __builtin_cpu_supports("avx2")) {
		tree = cls_core_avx2;
		vec = cls_vec_avx2;
	}
	/* Leaves have eight rules, for which 256 bits are enough. */
	if (isa == FP_CLS_AVX512 && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
		tree = cls_core_avx2;
		vec = cls_vec_avx512;
	}
#endif
	if (isa != FP_CLS_PORTABLE && vec == cls_vec_portable)
		return false;
	cls->core4 = cls->v4.vec ? vec : tree;
	cls->core6 = cls->v6.vec ? vec : tree;
	return true;
}

static size_t family_bytes(const struct cls_family *f)
{
	return f->vec ? sizeof(*f->vec) + f->vec->bytes : f->n_words * sizeof(*f->arena);
}

struct fp_cls_stats fp_cls_stats(const struct fp_cls *cls)
{
	return (struct fp_cls_stats){
		.bytes = sizeof(*cls) + family_bytes(&cls->v4) + family_bytes(&cls->v6) +
			 cls->n * (sizeof(*cls->id) + sizeof(*cls->extra)) +
			 (cls->src6.n + cls->dst6.n) * sizeof(*cls->src6.bound),
		.trees4 = cls->v4.n_trees,
		.trees6 = cls->v6.n_trees,
		.depth4 = cls->v4.depth,
		.depth6 = cls->v6.depth,
		.leaf4 = cls->v4.longest,
		.leaf6 = cls->v6.longest,
	};
}

void fp_cls_lookup4(const struct fp_cls *cls, const struct fp_cls_key4 *keys, size_t n,
		    uint32_t *ret_ids)
{
	for (size_t i = 0; i < n; i += BATCH)
		cls->core4(cls, &cls->v4, keys + i, MIN(n - i, (size_t)BATCH), ret_ids + i);
}

void fp_cls_lookup6(const struct fp_cls *cls, const struct fp_cls_key6 *keys, size_t n,
		    uint32_t *ret_ids)
{
	struct fp_cls_key4 ranked[BATCH];

	for (size_t i = 0; i < n; i += BATCH) {
		unsigned m = (unsigned)MIN(n - i, (size_t)BATCH);

		cls_rank_keys(cls, keys + i, m, ranked);
		cls->core6(cls, &cls->v6, ranked, m, ret_ids + i);
	}
}
