/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nat_port_int.h"

#include <errno.h>
#include <string.h>

int nat_eim_init(struct nat_pool *p)
{
	uint32_t slots = 1;

	while (slots < p->conf.max_flows)
		slots *= 2;
	p->map_mask = slots - 1;
	p->maps = calloc(p->conf.max_flows, sizeof(*p->maps));
	p->in_hash = calloc(slots, sizeof(*p->in_hash));
	p->out_hash = calloc(slots, sizeof(*p->out_hash));
	if (!p->maps || !p->in_hash || !p->out_hash)
		return -ENOMEM;
	for (uint32_t i = 0; i < slots; i++)
		p->in_hash[i].head = p->out_hash[i].head = NAT_NONE;
	return nat_stack_init(&p->map_free, p->conf.max_flows);
}

static struct nat_bucket *in_bucket(struct nat_pool *p, unsigned proto,
				    const struct nat_endpoint *e)
{
	uint64_t h = nat_addr_hash(e->addr, p->conf.seed);

	return &p->in_hash[(uint32_t)hash_mix64(h ^ ((uint64_t)proto << 16 | e->port)) &
			   p->map_mask];
}

static struct nat_bucket *out_bucket(struct nat_pool *p, unsigned proto, uint32_t addr,
				     uint16_t port)
{
	return &p->out_hash[(uint32_t)hash_mix64(p->conf.seed ^
						 ((uint64_t)addr << 32 | proto << 16 | port)) &
			    p->map_mask];
}

static bool same_in(const struct nat_mapping *m, unsigned proto, const struct nat_endpoint *e)
{
	return m->proto == proto && m->in.port == e->port && !memcmp(m->in.addr, e->addr, 16);
}

static void grant_of(const struct nat_mapping *m, uint32_t i, struct nat_grant *g)
{
	*g = (struct nat_grant){ .addr = m->addr, .port = m->port, .worker = m->worker, .id = i };
}

static int make(struct nat_pool *p, unsigned worker, const struct nat_req *req,
		const struct nat_grant *fixed, struct nat_bucket *b, struct nat_grant *g)
{
	uint32_t i = nat_stack_pop(&p->map_free);
	struct nat_mapping *m = &p->maps[i];
	struct nat_bucket *out;
	int rc;

	if (i == NAT_NONE)
		return -ENOBUFS;
	rc = nat_take_port(p, worker, req, fixed, g);
	if (rc) {
		nat_stack_push(&p->map_free, i);
		return rc;
	}
	*m = (struct nat_mapping){ .in = req->in,
				   .proto = (uint8_t)req->proto,
				   .worker = g->worker,
				   .port = g->port,
				   .addr = g->addr,
				   .refs = 1,
				   .sub = g->id };
	g->id = i;
	m->in_next = b->head;
	b->head = i;
	out = out_bucket(p, m->proto, m->addr, m->port);
	nat_lock(out);
	m->out_next = out->head;
	out->head = i;
	nat_unlock(out);
	return 0;
}

int nat_eim_alloc(struct nat_pool *p, unsigned worker, const struct nat_req *req,
		  const struct nat_grant *fixed, struct nat_grant *g)
{
	struct nat_bucket *b = in_bucket(p, req->proto, &req->in);
	uint32_t i;
	int rc = 0;

	nat_lock(b);
	for (i = b->head; i != NAT_NONE; i = p->maps[i].in_next)
		if (same_in(&p->maps[i], req->proto, &req->in))
			break;
	if (i == NAT_NONE) {
		rc = make(p, worker, req, fixed, b, g);
	} else if (fixed && (p->maps[i].addr != fixed->addr || p->maps[i].port != fixed->port)) {
		rc = -EEXIST;
	} else {
		p->maps[i].refs++;
		grant_of(&p->maps[i], i, g);
	}
	nat_unlock(b);
	return rc;
}

void nat_eim_free(struct nat_pool *p, unsigned worker, const struct nat_grant *g)
{
	struct nat_mapping *m = &p->maps[g->id];
	struct nat_bucket *b = in_bucket(p, m->proto, &m->in), *out;
	struct nat_req req = { .proto = m->proto };
	struct nat_grant port;
	uint32_t *at;

	nat_lock(b);
	if (--m->refs) {
		nat_unlock(b);
		return;
	}
	for (at = &b->head; *at != g->id; at = &p->maps[*at].in_next)
		;
	*at = m->in_next;
	out = out_bucket(p, m->proto, m->addr, m->port);
	nat_lock(out);
	for (at = &out->head; *at != g->id; at = &p->maps[*at].out_next)
		;
	*at = m->out_next;
	nat_unlock(out);
	req.in = m->in;
	grant_of(m, m->sub, &port);
	/* Under the inside lock: the endpoint gets no second port before the first is back. */
	nat_give_port(p, worker, &req, &port);
	nat_stack_push(&p->map_free, g->id);
	nat_unlock(b);
}

bool nat_port_find(struct nat_pool *p, enum nat_proto proto, uint32_t addr, uint16_t port,
		   struct nat_endpoint *ret_in)
{
	struct nat_bucket *b;
	uint32_t i;

	if (p->conf.mode != NAT_EIM)
		return false;
	b = out_bucket(p, proto, addr, port);
	nat_lock(b);
	for (i = b->head; i != NAT_NONE; i = p->maps[i].out_next)
		if (p->maps[i].proto == proto && p->maps[i].addr == addr && p->maps[i].port == port)
			break;
	if (i != NAT_NONE)
		*ret_in = p->maps[i].in;
	nat_unlock(b);
	return i != NAT_NONE;
}

bool nat_port_ref(struct nat_pool *p, enum nat_proto proto, uint32_t addr, uint16_t port,
		  struct nat_endpoint *ret_in, struct nat_grant *ret_grant)
{
	struct nat_endpoint in;
	struct nat_bucket *b;
	uint32_t i;

	/* The lock order is inside before outside: look, then look again under the inside lock. */
	if (!nat_port_find(p, proto, addr, port, &in))
		return false;
	b = in_bucket(p, proto, &in);
	nat_lock(b);
	for (i = b->head; i != NAT_NONE; i = p->maps[i].in_next)
		if (same_in(&p->maps[i], proto, &in) && p->maps[i].addr == addr &&
		    p->maps[i].port == port)
			break;
	if (i != NAT_NONE) {
		p->maps[i].refs++;
		grant_of(&p->maps[i], i, ret_grant);
		*ret_in = in;
	}
	nat_unlock(b);
	return i != NAT_NONE;
}
