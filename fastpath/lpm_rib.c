/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lpm_rib.h"
#include "lpm_node.h"

#include <errno.h>
#include <string.h>

/* From here on the root is worth huge pages; below, an instance stays small. */
#define HUGE_ROUTES 4096
/* What insertions leave of a limit to deletions: enough for two batches and any path. */
#define SPARE_UNITS(a) (((a)->max_units >> 6) + 4096)

#define DEFAULT_DATA_BYTES ((size_t)1 << 30)
#define DEFAULT_CTL_BYTES  ((size_t)2 << 30)

static unsigned root_bits(const struct lpm_rib *r)
{
	return r->shape->level[0].bits;
}

static size_t root_size(const struct lpm_rib *r)
{
	return sizeof(*r->root) << root_bits(r);
}

static size_t short_size(const struct lpm_rib *r)
{
	return sizeof(*r->short_nh) << (root_bits(r) + 1);
}

static size_t top_size(const struct lpm_rib *r)
{
	return sizeof(*r->top) << root_bits(r);
}

int lpm_rib_init(struct lpm_rib *r, const struct lpm_shape *shape, const struct lpm_params *p)
{
	struct lpm_run *scratch;
	int rc;

	*r = (struct lpm_rib){ .shape = shape, .defer = p->defer, .defer_ctx = p->defer_ctx };
	for (unsigned i = 1; i < shape->n_levels; i++)
		r->scratch_size += sizeof(*scratch) << shape->level[i].bits;
	rc = lpm_arena_init(&r->data, p->max_data_bytes ? p->max_data_bytes : DEFAULT_DATA_BYTES);
	if (!rc)
		rc = lpm_arena_init(&r->ctl,
				    p->max_ctl_bytes ? p->max_ctl_bytes : DEFAULT_CTL_BYTES);
	if (rc)
		goto fail;
	r->root = lpm_map(root_size(r), false);
	r->short_nh = lpm_map(short_size(r), false);
	r->top = lpm_map(top_size(r), false);
	r->scratch = lpm_map(r->scratch_size, false);
	rc = -ENOMEM;
	if (!r->root || !r->short_nh || !r->top || !r->scratch)
		goto fail;
	scratch = r->scratch;
	for (unsigned i = 1; i < shape->n_levels; i++) {
		r->runs[i] = scratch;
		scratch += (size_t)1 << shape->level[i].bits;
	}
	return 0;
fail:
	lpm_rib_fini(r);
	return rc;
}

void lpm_rib_fini(struct lpm_rib *r)
{
	if (!r->shape)
		return;
	lpm_unmap(r->root, root_size(r));
	lpm_unmap(r->short_nh, short_size(r));
	lpm_unmap(r->top, top_size(r));
	lpm_unmap(r->scratch, r->scratch_size);
	lpm_arena_fini(&r->data);
	lpm_arena_fini(&r->ctl);
	*r = (struct lpm_rib){ 0 };
}

/* ---- batches of retired blocks ---- */

/* An empty table without blocks on their way starts over, with no memory of former sizes. */
static void reset_if_empty(struct lpm_rib *r)
{
	if (r->n_routes > !!r->dflt || r->n_retired_units)
		return;
	lpm_arena_reset(&r->data);
	lpm_arena_reset(&r->ctl);
}

void lpm_retired_release(struct lpm_retired *b)
{
	struct lpm_rib *r = b->rib;

	for (uint32_t i = 0; i < b->n; i++) {
		lpm_arena_free(&r->data, b->block[i].idx, b->block[i].units);
		r->n_retired_units -= lpm_arena_round(b->block[i].units);
	}
	lpm_arena_free(&r->ctl, b->self, LPM_BATCH_UNITS);
	reset_if_empty(r);
}

static void hand_over(struct lpm_rib *r, struct lpm_retired *b)
{
	b->next = NULL;
	if (r->defer)
		r->defer(r->defer_ctx, b);
	else
		lpm_retired_release(b);
}

/* At the end of a change: nothing published leads to retired blocks any more. */
static void change_done(struct lpm_rib *r)
{
	struct lpm_retired *b;

	while ((b = r->full)) {
		r->full = b->next;
		hand_over(r, b);
	}
	if (!r->defer)
		lpm_rib_flush(r);
	reset_if_empty(r);
}

void lpm_rib_flush(struct lpm_rib *r)
{
	struct lpm_retired *b = r->open;

	r->open = NULL;
	if (b)
		hand_over(r, b);
}

/* Data units and writer's units of a change, before it starts. The blocks that it retires are no
 * more than those it was bounded to make, and each of these counted two units at least. */
static int change_reserve(struct lpm_rib *r, size_t data, size_t ctl, bool adds)
{
	size_t batches = data / 2 / LPM_RETIRED_MAX + 2;
	int rc;

	rc = lpm_arena_reserve(&r->data, data, adds ? SPARE_UNITS(&r->data) : 0);
	if (rc)
		return rc;
	return lpm_arena_reserve(&r->ctl, ctl + batches * LPM_BATCH_UNITS,
				 adds ? SPARE_UNITS(&r->ctl) : 0);
}

/* ---- the items of a control node ---- */

static void items_resize(struct lpm_rib *r, struct lpm_cn *cn, unsigned want)
{
	uint32_t old = cn->items, cap = lpm_arena_round(want);

	if (cap == cn->cap)
		return;
	cn->items = lpm_arena_alloc(&r->ctl, cap);
	if (old) {
		memcpy(lpm_cn_items(r, cn), lpm_arena_at(&r->ctl, old), cn->n * LPM_UNIT_SIZE);
		lpm_arena_free(&r->ctl, old, cn->cap);
	}
	cn->cap = (uint16_t)cap;
}

static void item_add(struct lpm_rib *r, struct lpm_cn *cn, unsigned key, unsigned len, uint32_t val)
{
	unsigned pos = lpm_item_pos(r, cn, key, len);
	struct lpm_item *it;

	if (cn->n == cn->cap)
		items_resize(r, cn, cn->n + 1u);
	it = lpm_cn_items(r, cn) + pos;
	memmove(it + 1, it, (cn->n - pos) * sizeof(*it));
	*it = (struct lpm_item){ .key = (uint16_t)key, .len = (uint8_t)len, .val = val };
	cn->n++;
}

static void item_del(struct lpm_rib *r, struct lpm_cn *cn, struct lpm_item *it)
{
	memmove(it, it + 1, (size_t)(lpm_cn_items(r, cn) + cn->n - it - 1) * sizeof(*it));
	cn->n--;
	if (cn->n && cn->n <= cn->cap / 2)
		items_resize(r, cn, cn->n);
}

static uint32_t cn_new(struct lpm_rib *r)
{
	uint32_t idx = lpm_arena_alloc(&r->ctl, LPM_CN_UNITS);

	*lpm_cn_at(r, idx) = (struct lpm_cn){ .dirty = 1 };
	return idx;
}

static void cn_free(struct lpm_rib *r, uint32_t idx)
{
	struct lpm_cn *cn = lpm_cn_at(r, idx);

	if (cn->items)
		lpm_arena_free(&r->ctl, cn->items, cn->cap);
	lpm_arena_free(&r->ctl, idx, LPM_CN_UNITS);
}

/* ---- publishing ---- */

static void root_store(struct lpm_rib *r, unsigned slot, uint32_t bitmap, uint32_t entry)
{
	uint64_t w = (uint64_t)bitmap << 32 | entry;

	if (r->root[slot] != w)
		__atomic_store_n(&r->root[slot], w, __ATOMIC_RELEASE);
}

struct path {
	unsigned slot, depth; /* levels 1..depth exist */
	uint32_t cn[LPM_MAX_LEVELS];
};

static unsigned key_at(const struct lpm_rib *r, struct lpm_key key, unsigned lv)
{
	const struct lpm_level *l = &r->shape->level[lv];

	return lpm_key_bits(key, l->off, l->bits);
}

/* The level in which a prefix longer than the root level ends. */
static unsigned level_of(const struct lpm_rib *r, unsigned len)
{
	unsigned lv = 1;

	while (len > r->shape->level[lv].off + r->shape->level[lv].bits)
		lv++;
	return lv;
}

static struct path path_find(const struct lpm_rib *r, struct lpm_key key, unsigned lv)
{
	struct path p = { .slot = key_at(r, key, 0) };
	const struct lpm_item *it;

	if (!r->top[p.slot])
		return p;
	p.cn[1] = r->top[p.slot];
	for (p.depth = 1; p.depth < lv; p.depth++) {
		it = lpm_item_find(r, lpm_cn_at(r, p.cn[p.depth]), key_at(r, key, p.depth),
				   LPM_CHILD);
		if (!it)
			break;
		p.cn[p.depth + 1] = it->val;
	}
	return p;
}

/* Compiles the node at level lv, where keys key_at..last changed, and carries the result up as far
 * as it changes anything. */
static void path_publish(struct lpm_rib *r, const struct path *p, struct lpm_key key, unsigned lv,
			 unsigned last)
{
	for (;; last = key_at(r, key, --lv)) {
		struct lpm_cn *cn = lpm_cn_at(r, p->cn[lv]), *up;
		uint32_t old = cn->dirty ? 0 : cn->entry;

		lpm_node_compile(r, lv, cn, cn->dflt, key_at(r, key, lv), last);
		if (lv == 1) {
			root_store(r, p->slot, cn->bitmap, cn->entry);
			return;
		}
		if (cn->entry == old)
			return;
		up = lpm_cn_at(r, p->cn[lv - 1]);
		if (old & cn->entry & LPM_NODE) {
			__atomic_store_n(lpm_node_entry(r, lv - 1, up, key_at(r, key, lv - 1)),
					 cn->entry, __ATOMIC_RELEASE);
			return;
		}
	}
}

/* The last value that the change of a prefix touches at the level where its compilation starts. */
static unsigned last_key(const struct lpm_rib *r, struct lpm_key key, unsigned len, unsigned lv)
{
	const struct lpm_level *l = &r->shape->level[lv];
	unsigned first = key_at(r, key, lv), rest = len - l->off;

	return rest < l->bits ? first | ((1u << l->bits) - 1) >> rest : first;
}

/* ---- prefixes inside the root level ---- */

static void root_inherit(struct lpm_rib *r, unsigned slot, uint32_t nh)
{
	struct lpm_cn *cn;

	if (!r->top[slot]) {
		root_store(r, slot, 0, nh);
		return;
	}
	cn = lpm_cn_at(r, r->top[slot]);
	lpm_node_compile(r, 1, cn, nh, LPM_ALL_KEYS);
	root_store(r, slot, cn->bitmap, cn->entry);
}

/* Visits the root values under heap position h that no longer short prefix covers. With units it
 * only adds up what the change can take. */
static void short_apply(struct lpm_rib *r, uint32_t h, uint32_t nh, size_t *units)
{
	uint32_t n = 1u << root_bits(r);

	if (h >= n) {
		if (!units)
			root_inherit(r, h - n, nh);
		else if (r->top[h - n])
			*units += lpm_node_bound_deep(r, 1, lpm_cn_at(r, r->top[h - n]));
		return;
	}
	for (uint32_t i = 2 * h; i <= 2 * h + 1; i++)
		if (!r->short_nh[i])
			short_apply(r, i, nh, units);
}

static uint32_t short_pos(struct lpm_key key, unsigned len)
{
	return 1u << len | lpm_key_bits(key, 0, len);
}

static int short_set(struct lpm_rib *r, struct lpm_key key, unsigned len, uint32_t nh)
{
	uint32_t h = short_pos(key, len), old = r->short_nh[h];
	size_t units = 0;
	int rc;

	short_apply(r, h, 0, &units);
	rc = change_reserve(r, units, 0, true);
	if (rc)
		return rc;
	r->short_nh[h] = nh;
	r->n_routes += !old;
	short_apply(r, h, nh, NULL);
	return 0;
}

static int short_del(struct lpm_rib *r, struct lpm_key key, unsigned len)
{
	uint32_t h = short_pos(key, len), up = h;
	size_t units = 0;
	int rc;

	if (!r->short_nh[h])
		return -ENOENT;
	short_apply(r, h, 0, &units);
	rc = change_reserve(r, units, 0, false);
	if (rc)
		return rc;
	do
		up >>= 1;
	while (up && !r->short_nh[up]);
	r->short_nh[h] = 0;
	r->n_routes--;
	short_apply(r, h, up ? r->short_nh[up] : 0, NULL);
	return 0;
}

/* ---- longer prefixes ---- */

/* What a change of the item (key, len) at the end of the path can take. */
static int path_reserve(struct lpm_rib *r, const struct path *p, unsigned lv, unsigned key,
			unsigned len, bool adds)
{
	const struct lpm_level *l = &r->shape->level[lv];
	unsigned last = key | ((1u << l->bits) - 1) >> len;
	size_t data = 0, ctl = 0;

	for (unsigned i = 1; i <= p->depth; i++) {
		const struct lpm_cn *cn = lpm_cn_at(r, p->cn[i]);

		data += lpm_node_bound(r, i, cn);
		ctl += cn->n + 1;
	}
	for (unsigned i = p->depth + 1; i <= lv; i++) {
		data += lpm_node_bound(r, i, &(struct lpm_cn){ 0 });
		ctl += LPM_CN_UNITS + 1;
	}
	if (p->depth == lv) {
		const struct lpm_cn *cn = lpm_cn_at(r, p->cn[lv]);
		const struct lpm_item *it = lpm_cn_items(r, cn);

		for (unsigned i = lpm_item_pos(r, cn, key, 0); i < cn->n && it[i].key <= last; i++)
			if (it[i].len == LPM_CHILD)
				data += lpm_node_bound_deep(r, lv + 1, lpm_cn_at(r, it[i].val));
	}
	return change_reserve(r, data, ctl, adds);
}

static int long_set(struct lpm_rib *r, struct lpm_key key, unsigned len, uint32_t nh)
{
	unsigned lv = level_of(r, len), bits = key_at(r, key, lv), top;
	unsigned rest = len - r->shape->level[lv].off;
	struct path p = path_find(r, key, lv);
	struct lpm_item *it = NULL;
	int rc;

	if (p.depth == lv)
		it = lpm_item_find(r, lpm_cn_at(r, p.cn[lv]), bits, rest);
	if (it && it->val == nh)
		return 0;
	rc = path_reserve(r, &p, lv, bits, rest, true);
	if (rc)
		return rc;
	top = MAX(p.depth, 1u);
	if (!p.depth) {
		p.cn[1] = r->top[p.slot] = cn_new(r);
		lpm_cn_at(r, p.cn[1])->dflt = (uint32_t)r->root[p.slot];
		p.depth = 1;
	}
	for (; p.depth < lv; p.depth++) {
		p.cn[p.depth + 1] = cn_new(r);
		item_add(r, lpm_cn_at(r, p.cn[p.depth]), key_at(r, key, p.depth), LPM_CHILD,
			 p.cn[p.depth + 1]);
	}
	if (it) {
		it->val = nh;
	} else {
		item_add(r, lpm_cn_at(r, p.cn[lv]), bits, rest, nh);
		r->n_routes++;
	}
	path_publish(r, &p, key, top, last_key(r, key, len, top));
	return 0;
}

static int long_del(struct lpm_rib *r, struct lpm_key key, unsigned len)
{
	unsigned lv = level_of(r, len), bits = key_at(r, key, lv);
	unsigned rest = len - r->shape->level[lv].off;
	struct path p = path_find(r, key, lv);
	struct lpm_item *it = NULL;
	struct lpm_cn *cn;
	int rc;

	if (p.depth == lv)
		it = lpm_item_find(r, lpm_cn_at(r, p.cn[lv]), bits, rest);
	if (!it)
		return -ENOENT;
	rc = path_reserve(r, &p, lv, bits, rest, false);
	if (rc)
		return rc;
	r->n_routes--;
	cn = lpm_cn_at(r, p.cn[lv]);
	item_del(r, cn, it);
	while (!cn->n && lv > 1) {
		lpm_node_drop(r, lv, cn, true);
		cn_free(r, p.cn[lv--]);
		cn = lpm_cn_at(r, p.cn[lv]);
		item_del(r, cn, lpm_item_find(r, cn, key_at(r, key, lv), LPM_CHILD));
	}
	if (cn->n) {
		path_publish(r, &p, key, lv, last_key(r, key, len, lv));
		return 0;
	}
	root_store(r, p.slot, 0, cn->dflt);
	r->top[p.slot] = 0;
	lpm_node_drop(r, 1, cn, true);
	cn_free(r, p.cn[1]);
	return 0;
}

/* ---- the public calls ---- */

static bool key_valid(const struct lpm_rib *r, struct lpm_key k, unsigned len)
{
	if (len > r->shape->addr_bits)
		return false;
	if (len == 0)
		return !(k.hi | k.lo);
	if (len <= 64)
		return !k.lo && !(len < 64 && k.hi << len);
	return len == 128 || !(k.lo << (len - 64));
}

static void root_make_huge(struct lpm_rib *r)
{
	r->huge = true;
	if (root_size(r) >= 2u << 20)
		lpm_map_make_huge(r->root, root_size(r));
}

int lpm_rib_set(struct lpm_rib *r, struct lpm_key key, unsigned len, uint32_t nh)
{
	int rc;

	if (!key_valid(r, key, len) || !nh || nh > LPM_NH_MAX)
		return -EINVAL;
	if (!len) {
		r->n_routes += !r->dflt;
		__atomic_store_n(&r->dflt, nh, __ATOMIC_RELEASE);
		return 0;
	}
	rc = len <= root_bits(r) ? short_set(r, key, len, nh) : long_set(r, key, len, nh);
	change_done(r);
	if (r->n_routes > HUGE_ROUTES && !r->huge)
		root_make_huge(r);
	return rc;
}

int lpm_rib_del(struct lpm_rib *r, struct lpm_key key, unsigned len)
{
	int rc;

	if (!key_valid(r, key, len))
		return -EINVAL;
	if (!len) {
		if (!r->dflt)
			return -ENOENT;
		r->n_routes--;
		__atomic_store_n(&r->dflt, 0, __ATOMIC_RELEASE);
		return 0;
	}
	rc = len <= root_bits(r) ? short_del(r, key, len) : long_del(r, key, len);
	change_done(r);
	return rc;
}

uint32_t lpm_rib_get(const struct lpm_rib *r, struct lpm_key key, unsigned len)
{
	const struct lpm_item *it;
	unsigned lv;
	struct path p;

	if (!key_valid(r, key, len))
		return 0;
	if (!len)
		return r->dflt;
	if (len <= root_bits(r))
		return r->short_nh[short_pos(key, len)];
	lv = level_of(r, len);
	p = path_find(r, key, lv);
	if (p.depth < lv)
		return 0;
	it = lpm_item_find(r, lpm_cn_at(r, p.cn[lv]), key_at(r, key, lv),
			   len - r->shape->level[lv].off);
	return it ? it->val : 0;
}

void lpm_rib_stats(const struct lpm_rib *r, struct lpm_stats *s)
{
	*s = (struct lpm_stats){
		.n_routes = r->n_routes,
		.data_bytes = root_size(r) + (size_t)r->data.n_units * LPM_UNIT_SIZE,
		.ctl_bytes = short_size(r) + top_size(r) + (size_t)r->ctl.n_units * LPM_UNIT_SIZE,
		.retired_bytes = r->n_retired_units * LPM_UNIT_SIZE,
	};
}

/* ---- building in bulk ---- */

struct bulk {
	struct lpm_rib *r;
	lpm_route_fn *route;
	const void *ctx;
	size_t n;
};

static int key_cmp(struct lpm_key a, struct lpm_key b)
{
	if (a.hi != b.hi)
		return a.hi < b.hi ? -1 : 1;
	return a.lo == b.lo ? 0 : a.lo < b.lo ? -1 : 1;
}

static bool bulk_valid(const struct bulk *b)
{
	struct lpm_route last = { 0 }, cur;

	for (size_t i = 0; i < b->n; i++, last = cur) {
		int order;

		cur = b->route(b->ctx, i);
		order = key_cmp(last.key, cur.key);
		if (!key_valid(b->r, cur.key, cur.len) || !cur.nh || cur.nh > LPM_NH_MAX)
			return false;
		if (i && (order > 0 || (order == 0 && last.len >= cur.len)))
			return false;
	}
	return true;
}

/* The end of the routes from i on that share the first `bits` bits and are longer than that. */
static size_t bulk_group(const struct bulk *b, size_t i, size_t end, unsigned off, unsigned n)
{
	unsigned key = lpm_key_bits(b->route(b->ctx, i).key, off, n);

	for (i++; i < end; i++) {
		struct lpm_route rt = b->route(b->ctx, i);

		if (rt.len <= off + n || lpm_key_bits(rt.key, off, n) != key)
			break;
	}
	return i;
}

/* Control nodes for routes [i, end), which share the bits above level lv. What was made hangs on
 * *ret also on failure. */
static int bulk_nodes(const struct bulk *b, unsigned lv, size_t i, size_t end, uint32_t *ret)
{
	struct lpm_rib *r = b->r;
	const struct lpm_level *l = &r->shape->level[lv];
	struct lpm_cn *cn;
	unsigned n = 0;
	int rc;

	for (size_t j = i; j < end; n++)
		j = b->route(b->ctx, j).len <= l->off + l->bits
			    ? j + 1
			    : bulk_group(b, j, end, l->off, l->bits);
	rc = lpm_arena_reserve(&r->ctl, LPM_CN_UNITS + n, 0);
	if (rc)
		return rc;
	*ret = cn_new(r);
	cn = lpm_cn_at(r, *ret);
	items_resize(r, cn, n);
	while (i < end && !rc) {
		struct lpm_route rt = b->route(b->ctx, i);
		struct lpm_item *it = &lpm_cn_items(r, cn)[cn->n];
		bool child = rt.len > l->off + l->bits;

		*it = (struct lpm_item){
			.key = (uint16_t)lpm_key_bits(rt.key, l->off, l->bits),
			.len = child ? LPM_CHILD : (uint8_t)(rt.len - l->off),
			.val = child ? 0 : rt.nh,
		};
		if (child) {
			size_t stop = bulk_group(b, i, end, l->off, l->bits);

			rc = bulk_nodes(b, lv + 1, i, stop, &it->val);
			i = stop;
		} else {
			i++;
		}
		cn->n += !rc || it->val;
	}
	return rc;
}

static void bulk_drop(struct lpm_rib *r, unsigned lv, uint32_t idx)
{
	struct lpm_cn *cn = lpm_cn_at(r, idx);
	const struct lpm_item *it = lpm_cn_items(r, cn);

	for (unsigned i = 0; i < cn->n; i++)
		if (it[i].len == LPM_CHILD)
			bulk_drop(r, lv + 1, it[i].val);
	lpm_node_drop(r, lv, cn, false);
	cn_free(r, idx);
}

/* Every root value under longer prefixes: its nodes, compiled but not published. */
static int bulk_compile(const struct bulk *b)
{
	struct lpm_rib *r = b->r;
	unsigned bits = root_bits(r), top = 0;
	struct lpm_run open[34] = { { ~0u, 0 } };
	int rc = 0;

	for (size_t i = 0, end; i < b->n && !rc; i = end) {
		struct lpm_route rt = b->route(b->ctx, i);
		unsigned slot = lpm_key_bits(rt.key, 0, bits);

		end = i + 1;
		if (!rt.len)
			continue;
		while (slot > open[top].end)
			top--;
		if (rt.len <= bits) {
			r->short_nh[short_pos(rt.key, rt.len)] = rt.nh;
			open[++top] = (struct lpm_run){ slot | ((1u << bits) - 1) >> rt.len,
							rt.nh };
			continue;
		}
		end = bulk_group(b, i, b->n, 0, bits);
		rc = bulk_nodes(b, 1, i, end, &r->top[slot]);
		if (!rc) {
			struct lpm_cn *cn = lpm_cn_at(r, r->top[slot]);

			rc = lpm_arena_reserve(&r->data, lpm_node_bound_deep(r, 1, cn), 0);
			if (!rc)
				lpm_node_compile(r, 1, cn, open[top].entry, LPM_ALL_KEYS);
		}
	}
	return rc;
}

static void bulk_undo(const struct bulk *b)
{
	struct lpm_rib *r = b->r;

	for (size_t i = 0; i < b->n; i++) {
		struct lpm_route rt = b->route(b->ctx, i);
		unsigned slot = lpm_key_bits(rt.key, 0, root_bits(r));

		if (rt.len && rt.len <= root_bits(r))
			r->short_nh[short_pos(rt.key, rt.len)] = 0;
		if (r->top[slot]) {
			bulk_drop(r, 1, r->top[slot]);
			r->top[slot] = 0;
		}
	}
	reset_if_empty(r);
}

static void bulk_publish(const struct bulk *b)
{
	struct lpm_rib *r = b->r;
	unsigned bits = root_bits(r);

	for (size_t i = 0; i < b->n; i++) {
		struct lpm_route rt = b->route(b->ctx, i);
		unsigned slot = lpm_key_bits(rt.key, 0, bits), last;

		if (!rt.len) {
			__atomic_store_n(&r->dflt, rt.nh, __ATOMIC_RELEASE);
		} else if (rt.len > bits) {
			const struct lpm_cn *cn = lpm_cn_at(r, r->top[slot]);

			root_store(r, slot, cn->bitmap, cn->entry);
		} else {
			last = slot | ((1u << bits) - 1) >> rt.len;
			for (; slot <= last; slot++)
				root_store(r, slot, 0, rt.nh);
		}
	}
	r->n_routes = b->n;
}

int lpm_rib_build(struct lpm_rib *r, lpm_route_fn *route, const void *ctx, size_t n)
{
	struct bulk b = { r, route, ctx, n };
	int rc;

	if (r->n_routes)
		return -EEXIST;
	if (!bulk_valid(&b))
		return -EINVAL;
	if (n > HUGE_ROUTES && !r->huge)
		root_make_huge(r);
	rc = bulk_compile(&b);
	if (rc)
		bulk_undo(&b);
	else
		bulk_publish(&b);
	return rc;
}
