/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the half of lpm4.c and lpm6.c that differs by types only: life, building and changes, all
 * of them calls of lpm_rib.h. The includer has struct lpmV (root, base, batch, rib), its shape,
 * key_of() and lpmV_batch_form(), and says LPM_DEFINE_TABLE(V, type of an address as argument).
 * lpm4.h and lpm6.h say what the functions do.
 */
#ifndef FP_LPM_TABLE_H
#define FP_LPM_TABLE_H

#include "lpm_rib.h"

#include <errno.h>

#define LPM_DEFINE_TABLE(v, addr_arg)                                                              \
	int lpm##v##_new(const struct lpm_params *p, struct lpm##v **ret)                          \
	{                                                                                          \
		struct lpm##v *t = calloc(1, sizeof(*t));                                          \
		lpm##v##_batch_fn *fn;                                                             \
		int rc = t ? lpm_rib_init(&t->rib, &shape, p) : -ENOMEM;                           \
                                                                                                   \
		if (rc) {                                                                          \
			free(t);                                                                   \
			return rc;                                                                 \
		}                                                                                  \
		t->root = t->rib.root;                                                             \
		t->base = t->rib.data.base;                                                        \
		for (unsigned i = 0; (fn = lpm##v##_batch_form(i, NULL)); i++)                     \
			t->batch = fn;                                                             \
		*ret = t;                                                                          \
		return 0;                                                                          \
	}                                                                                          \
                                                                                                   \
	struct lpm##v *lpm##v##_free(struct lpm##v *t)                                             \
	{                                                                                          \
		if (t)                                                                             \
			lpm_rib_fini(&t->rib);                                                     \
		free(t);                                                                           \
		return NULL;                                                                       \
	}                                                                                          \
                                                                                                   \
	static struct lpm_route route_at(const void *ctx, size_t i)                                \
	{                                                                                          \
		const struct lpm##v##_route *rt = (const struct lpm##v##_route *)ctx + i;          \
                                                                                                   \
		return (struct lpm_route){ .key = key_of(rt->addr),                                \
					   .nh = rt->nh,                                           \
					   .len = rt->len };                                       \
	}                                                                                          \
                                                                                                   \
	int lpm##v##_build(struct lpm##v *t, const struct lpm##v##_route *routes, size_t n)        \
	{                                                                                          \
		return lpm_rib_build(&t->rib, route_at, routes, n);                                \
	}                                                                                          \
                                                                                                   \
	int lpm##v##_set(struct lpm##v *t, addr_arg addr, unsigned len, uint32_t nh)               \
	{                                                                                          \
		return lpm_rib_set(&t->rib, key_of(addr), len, nh);                                \
	}                                                                                          \
                                                                                                   \
	int lpm##v##_del(struct lpm##v *t, addr_arg addr, unsigned len)                            \
	{                                                                                          \
		return lpm_rib_del(&t->rib, key_of(addr), len);                                    \
	}                                                                                          \
                                                                                                   \
	uint32_t lpm##v##_get(const struct lpm##v *t, addr_arg addr, unsigned len)                 \
	{                                                                                          \
		return lpm_rib_get(&t->rib, key_of(addr), len);                                    \
	}                                                                                          \
                                                                                                   \
	void lpm##v##_flush(struct lpm##v *t)                                                      \
	{                                                                                          \
		lpm_rib_flush(&t->rib);                                                            \
	}                                                                                          \
                                                                                                   \
	void lpm##v##_stats(const struct lpm##v *t, struct lpm_stats *ret)                         \
	{                                                                                          \
		lpm_rib_stats(&t->rib, ret);                                                       \
	}

#endif
