/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nat_port_int.h"

#include <errno.h>
#include <string.h>

int nat_subs_init(struct nat_pool *p)
{
	uint32_t slots = 1;

	while (slots < p->conf.max_subs)
		slots *= 2;
	p->sub_mask = slots - 1;
	p->subs = calloc(p->conf.max_subs, sizeof(*p->subs));
	p->sub_hash = calloc(slots, sizeof(*p->sub_hash));
	if (!p->subs || !p->sub_hash)
		return -ENOMEM;
	for (uint32_t i = 0; i < slots; i++)
		p->sub_hash[i].head = NAT_NONE;
	return nat_stack_init(&p->sub_free, p->conf.max_subs);
}

static struct nat_bucket *bucket_of(struct nat_pool *p, const uint8_t addr[16])
{
	return &p->sub_hash[(uint32_t)nat_addr_hash(addr, ~p->conf.seed) & p->sub_mask];
}

static uint32_t find_or_make(struct nat_pool *p, struct nat_bucket *b, const uint8_t addr[16])
{
	uint32_t i;

	for (i = b->head; i != NAT_NONE; i = p->subs[i].hash_next)
		if (!memcmp(p->subs[i].addr, addr, 16))
			return i;
	i = nat_stack_pop(&p->sub_free);
	if (i == NAT_NONE)
		return NAT_NONE;
	p->subs[i] = (struct nat_sub){ .hash_next = b->head };
	memcpy(p->subs[i].addr, addr, 16);
	memset(p->subs[i].block, 0xff, sizeof(p->subs[i].block));
	b->head = i;
	return i;
}

static void drop_if_unused(struct nat_pool *p, struct nat_bucket *b, uint32_t i)
{
	uint32_t *at = &b->head;

	if (p->subs[i].refs)
		return;
	while (*at != i)
		at = &p->subs[*at].hash_next;
	*at = p->subs[i].hash_next;
	nat_stack_push(&p->sub_free, i);
}

/* ----- blocks: everything under the subscriber's bucket lock ----- */

static bool in_block(const struct nat_pool *p, uint32_t block, uint32_t chunk)
{
	return block != NAT_NONE && chunk - block < p->unit;
}

static void mark(struct nat_pool *p, struct nat_worker *w, uint32_t block, uint32_t chunk,
		 unsigned bit, struct nat_grant *g)
{
	p->chunks[chunk].used |= 1ull << bit;
	p->chunks[block].n_sets++;
	nat_count(&w->c.in_use, 1);
	g->addr = chunk / N_CHUNKS / NAT_P__MAX;
	g->port = (uint16_t)(nat_chunk_no(chunk) * 64 + bit);
}

/* A free port of the block, the inside one if it may be kept. */
static bool block_take(struct nat_pool *p, struct nat_worker *w, uint32_t block, uint16_t want,
		       struct nat_grant *g)
{
	uint32_t start = p->unit > 1 ? (uint32_t)(((nat_rand(w) >> 32) * p->unit) >> 32) : 0;
	uint32_t kept = block - nat_chunk_no(block) + want / 64;

	if (p->conf.preserve && in_block(p, block, kept) && nat_port_is_fast(p, want) &&
	    !(p->chunks[kept].used >> want % 64 & 1)) {
		mark(p, w, block, kept, want % 64, g);
		return true;
	}
	for (unsigned n = 0; n < p->unit; n++) {
		uint32_t chunk = block + (start + n < p->unit ? start + n : start + n - p->unit);
		uint64_t free = p->usable[nat_chunk_no(chunk)] & ~p->chunks[chunk].used;

		if (free) {
			mark(p, w, block, chunk, nat_pick_bit(w, p, free, want), g);
			return true;
		}
	}
	return false;
}

static uint32_t det_chunk(const struct nat_pool *p, uint32_t sub_no, unsigned proto)
{
	uint32_t n = p->n_units[CLS_HIGH];

	return nat_chunk_id(sub_no / n, proto, p->unit_chunk[CLS_HIGH][sub_no % n]);
}

/* One more block in slot i. */
static uint32_t block_new(struct nat_pool *p, unsigned worker, const struct nat_req *req,
			  const struct nat_grant *fixed)
{
	uint32_t home = nat_home_addr(p, req->in.addr), chunk = NAT_NONE;
	unsigned tries = p->conf.paired ? 1 : MIN(p->conf.n_addrs, 4u);

	if (p->conf.det_subs)
		return det_chunk(p, req->sub_no, req->proto);
	if (fixed) {
		chunk = nat_chunk_id(fixed->addr, req->proto,
				     p->unit_chunk[CLS_HIGH][p->chunk_unit[fixed->port / 64]]);
		return nat_unit_claim_at(p, chunk) ? chunk : NAT_NONE;
	}
	for (unsigned n = 0; n < tries && chunk == NAT_NONE; n++)
		chunk = nat_unit_claim(p, worker,
				       home + n < p->conf.n_addrs ? home + n
								  : home + n - p->conf.n_addrs,
				       req->proto, CLS_HIGH);
	return chunk;
}

static int adopt_in(struct nat_pool *p, struct nat_worker *w, const uint32_t *blocks,
		    const struct nat_req *req, const struct nat_grant *fixed, struct nat_grant *g)
{
	uint32_t chunk = nat_chunk_id(fixed->addr, req->proto, fixed->port / 64);

	for (unsigned i = 0; i < NAT_MAX_BLOCKS; i++) {
		if (!in_block(p, blocks[i], chunk))
			continue;
		if (p->chunks[chunk].used >> fixed->port % 64 & 1)
			return -EEXIST;
		mark(p, w, blocks[i], chunk, fixed->port % 64, g);
		return 0;
	}
	return -ENOSPC;
}

static int take_in_blocks(struct nat_pool *p, struct nat_worker *w, const uint32_t *blocks,
			  const struct nat_req *req, const struct nat_grant *fixed,
			  struct nat_grant *g)
{
	if (fixed)
		return adopt_in(p, w, blocks, req, fixed, g);
	for (unsigned i = 0; i < NAT_MAX_BLOCKS; i++)
		if (blocks[i] != NAT_NONE && block_take(p, w, blocks[i], req->in.port, g))
			return 0;
	return -ENOSPC;
}

static int take_block_port(struct nat_pool *p, unsigned worker, struct nat_sub *s,
			   const struct nat_req *req, const struct nat_grant *fixed,
			   struct nat_grant *g)
{
	struct nat_worker *w = &p->workers[worker];
	uint32_t *blocks = s->block[req->proto];
	unsigned max = p->conf.det_subs ? 1 : p->conf.max_blocks;
	int rc = take_in_blocks(p, w, blocks, req, fixed, g);

	if (rc != -ENOSPC)
		return rc;
	for (unsigned i = 0; i < max; i++) {
		if (blocks[i] != NAT_NONE)
			continue;
		blocks[i] = block_new(p, worker, req, fixed);
		if (blocks[i] == NAT_NONE)
			return fixed ? -EEXIST : -ENOSPC;
		g->new_block = !p->conf.det_subs && !fixed;
		return take_in_blocks(p, w, blocks, req, fixed, g);
	}
	return -ENOSPC;
}

/* An empty block goes to rest, the last one only when the subscriber has no port left. */
static void give_block_port(struct nat_pool *p, unsigned worker, struct nat_sub *s, unsigned proto,
			    const struct nat_grant *g)
{
	struct nat_worker *w = &p->workers[worker];
	uint32_t chunk = nat_chunk_id(g->addr, proto, g->port / 64);
	unsigned turn = w->turn[proto];

	p->chunks[chunk].used &= ~(1ull << g->port % 64);
	nat_count(&w->c.in_use, -1);
	for (unsigned i = 0; i < NAT_MAX_BLOCKS; i++)
		if (in_block(p, s->block[proto][i], chunk))
			p->chunks[s->block[proto][i]].n_sets--;
	for (unsigned i = 0; i < NAT_MAX_BLOCKS && !p->conf.det_subs; i++) {
		uint32_t block = s->block[proto][i];

		if (block == NAT_NONE || p->chunks[block].n_sets || (!i && s->used[proto]))
			continue;
		s->block[proto][i] = NAT_NONE;
		if (!p->conf.hold_sec[proto]) {
			nat_unit_release(p, block);
			continue;
		}
		p->chunks[block].hold_next = w->blk_hold[proto][turn];
		w->blk_hold[proto][turn] = block;
		nat_count(&w->c.held, p->conf.block_ports);
	}
}

void nat_block_rested(struct nat_pool *p, unsigned worker, unsigned proto, unsigned turn,
		      unsigned *budget)
{
	struct nat_worker *w = &p->workers[worker];
	uint32_t *first = &w->blk_hold[proto][turn];

	while (*first != NAT_NONE && *budget) {
		uint32_t block = *first;

		*first = p->chunks[block].hold_next;
		nat_count(&w->c.held, -(int64_t)p->conf.block_ports);
		nat_unit_release(p, block);
		(*budget)--;
	}
}

/* ----- subscribers ----- */

int nat_sub_take(struct nat_pool *p, unsigned worker, const struct nat_req *req,
		 const struct nat_grant *fixed, struct nat_grant *g)
{
	struct nat_bucket *b = bucket_of(p, req->in.addr);
	uint32_t quota = p->conf.quota[req->proto], i;
	int rc = 0;

	if (p->conf.det_subs && req->sub_no >= p->conf.det_subs)
		return -ENOSPC;
	nat_lock(b);
	i = find_or_make(p, b, req->in.addr);
	if (i == NAT_NONE) {
		rc = -ENOBUFS;
		goto out;
	}
	if (quota && p->subs[i].used[req->proto] >= quota)
		rc = -EDQUOT;
	else if (p->conf.block_ports)
		rc = take_block_port(p, worker, &p->subs[i], req, fixed, g);
	if (rc) {
		drop_if_unused(p, b, i);
		goto out;
	}
	p->subs[i].refs++;
	p->subs[i].used[req->proto]++;
	g->id = i;
out:
	nat_unlock(b);
	return rc;
}

void nat_sub_give(struct nat_pool *p, unsigned worker, uint32_t sub, enum nat_proto proto,
		  const struct nat_grant *g)
{
	/* A record that is referred to keeps its address: safe to read before the lock. */
	struct nat_bucket *b = bucket_of(p, p->subs[sub].addr);

	nat_lock(b);
	p->subs[sub].refs--;
	p->subs[sub].used[proto]--;
	if (p->conf.block_ports)
		give_block_port(p, worker, &p->subs[sub], proto, g);
	drop_if_unused(p, b, sub);
	nat_unlock(b);
}

/* ----- RFC 7422 ----- */

int nat_det_block(const struct nat_pool *p, uint32_t sub_no, uint32_t *ret_addr,
		  struct nat_ports *ret)
{
	uint32_t chunk;

	if (sub_no >= p->conf.det_subs)
		return -ENOENT;
	chunk = det_chunk(p, sub_no, 0);
	*ret_addr = chunk / N_CHUNKS / NAT_P__MAX;
	ret->lo = (uint16_t)(nat_chunk_no(chunk) * 64);
	ret->hi = (uint16_t)(ret->lo + p->conf.block_ports - 1);
	return 0;
}

int nat_det_owner(const struct nat_pool *p, uint32_t addr, uint16_t port, uint32_t *ret_sub_no)
{
	uint32_t sub;

	if (!p->conf.det_subs || addr >= p->conf.n_addrs || port < LOW_CHUNKS * 64 ||
	    !nat_port_is_fast(p, port))
		return -ENOENT;
	sub = addr * p->n_units[CLS_HIGH] + p->chunk_unit[port / 64];
	if (sub >= p->conf.det_subs ||
	    !in_block(p, p->unit_chunk[CLS_HIGH][p->chunk_unit[port / 64]], port / 64u))
		return -ENOENT; /* behind the last whole block */
	*ret_sub_no = sub;
	return 0;
}
