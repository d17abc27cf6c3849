/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nat_mapping.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define REPLIED (1u << FLOW_TRACK_SHIFT)

static void set_key(const struct fp_mapping *m, struct fp_flow_half *h,
		    const struct fp_endpoint *src, const struct fp_endpoint *dst)
{
	if (m->fam == FLOW_4) {
		h->key4 = (struct flow_key4){ .sport = src->port_be,
					      .dport = dst->port_be,
					      .proto = m->proto,
					      .zone = FP_ZONE_MAPPING };
		memcpy(&h->key4.saddr, src->addr, 4);
		memcpy(&h->key4.daddr, dst->addr, 4);
		return;
	}
	h->key6 = (struct flow_key6){ .sport = src->port_be,
				      .dport = dst->port_be,
				      .proto = m->proto,
				      .zone = FP_ZONE_MAPPING };
	memcpy(h->key6.saddr, src->addr, 16);
	memcpy(h->key6.daddr, dst->addr, 16);
}

static void set_rewrite(const struct fp_mapping *m, struct fp_flow_half *h,
			const struct fp_endpoint *src, const struct fp_endpoint *dst)
{
	if (m->fam == FLOW_4) {
		h->rw4 = (struct flow_rewrite4){ .sport = src->port_be, .dport = dst->port_be };
		memcpy(&h->rw4.saddr, src->addr, 4);
		memcpy(&h->rw4.daddr, dst->addr, 4);
		return;
	}
	h->rw6 = (struct flow_rewrite6){ .sport = src->port_be, .dport = dst->port_be };
	memcpy(h->rw6.saddr, src->addr, 16);
	memcpy(h->rw6.daddr, dst->addr, 16);
}

static void key_in(const struct fp_mapping *m, struct fp_flow_half *h)
{
	struct fp_endpoint pool = { .port_be = 0 };

	memcpy(pool.addr, &m->pool, sizeof(m->pool));
	set_key(m, h, &m->in, &pool);
}

static void key_out(const struct fp_mapping *m, struct fp_flow_half *h)
{
	set_key(m, h, &(struct fp_endpoint){ .port_be = 0 }, &m->out);
}

/* Looks a half up; the source or the destination of what it becomes. */
static bool find(const struct fp_flow *t, enum flow_family fam, const struct fp_flow_half *h,
		 bool src, uint32_t now, struct fp_endpoint *ret)
{
	struct flow_hit4 h4;
	struct flow_hit6 h6;

	*ret = (struct fp_endpoint){ .port_be = 0 };
	if (fam == FLOW_4) {
		if (fp_flow_find4(t, &h->key4, &h4) != FLOW_HIT)
			return false;
		memcpy(ret->addr, src ? &h4.rw.saddr : &h4.rw.daddr, 4);
		ret->port_be = src ? h4.rw.sport : h4.rw.dport;
		if (now)
			__atomic_store_n(&h4.own->time, now, __ATOMIC_RELAXED);
		return true;
	}
	if (fp_flow_find6(t, &h->key6, &h6) != FLOW_HIT)
		return false;
	memcpy(ret->addr, src ? h6.rw.saddr : h6.rw.daddr, 16);
	ret->port_be = src ? h6.rw.sport : h6.rw.dport;
	if (now)
		__atomic_store_n(&h6.own->time, now, __ATOMIC_RELAXED);
	return true;
}

bool fp_mapping_find(const struct fp_flow *t, struct fp_mapping *m, uint32_t now)
{
	struct fp_flow_half h = { .egress = 0 };

	key_in(m, &h);
	return find(t, m->fam, &h, true, now, &m->out);
}

bool fp_mapping_find_out(const struct fp_flow *t, struct fp_mapping *m, uint32_t now)
{
	struct fp_flow_half h = { .egress = 0 };

	key_out(m, &h);
	return find(t, m->fam, &h, false, now, &m->in);
}

/* Who the packet is for, as it came. */
static struct fp_mapping to_dst(const struct fp_pol_key *k)
{
	struct fp_mapping m = { .fam = k->family == AF_INET ? FLOW_4 : FLOW_6,
				.proto = k->proto,
				.out.port_be = k->dport_be };

	memcpy(m.out.addr, k->dst, k->family == AF_INET ? 4 : 16);
	return m;
}

bool fp_mapping_behind(const struct fp_flow *t, const struct fp_pol *p, struct fp_pol_key *k)
{
	struct fp_mapping m = to_dst(k);

	if (!fp_pol_mapped(p, k))
		return false;
	k->mapped = fp_mapping_find_out(t, &m, 0);
	if (k->mapped) {
		memcpy(k->inside, m.in.addr, sizeof(k->inside));
		k->inside_port_be = m.in.port_be;
	}
	return k->mapped;
}

void fp_mapping_admitted(const struct fp_flow *t, const struct fp_pol_key *k, uint32_t now)
{
	struct fp_mapping m = to_dst(k);

	if (k->mapped)
		fp_mapping_find_out(t, &m, now);
}

int fp_mapping_take(const struct fp_flow *t, struct fp_flow_worker *fw, const struct fp_mapping *m,
		    uint32_t now, uint16_t policy)
{
	const struct fp_endpoint none = { .port_be = 0 };
	uint64_t sec = m->proto ? FP_MAPPING_SEC : FP_BLOCK_SEC;
	struct fp_flow_new f = { .time = now,
				 .timeout = (uint32_t)(sec * NSEC_PER_SEC >> FLOW_TIME_SHIFT),
				 .flags = m->cold,
				 .policy = policy };
	struct fp_endpoint other;
	uint64_t ref;
	int err;

	for (int d = 0; d < 2; d++) {
		f.dir[d].state = FLOW_P_WORKER | REPLIED;
		/* Else nobody reads what stands there. */
		f.dir[d].flags = FLOW_F_REWRITE;
	}
	key_in(m, &f.dir[0]);
	set_rewrite(m, &f.dir[0], &m->out, &none);
	key_out(m, &f.dir[1]);
	set_rewrite(m, &f.dir[1], &none, &m->in);
	err = fp_flow_insert(fw, m->fam, &f, &ref);
	if (err == -EEXIST && !find(t, m->fam, &f.dir[0], true, now, &other))
		return -EADDRINUSE;
	return err;
}

bool fp_mapping_was_block(enum flow_family fam, const flow_word *key[2],
			  struct fp_endpoint *ret_out)
{
	struct fp_flow_half h = { .egress = 0 };

	for (unsigned i = 0; i < (fam == FLOW_4 ? sizeof(h.key4) : sizeof(h.key6)) / 8; i++)
		h.key[i] = key[1][i];
	if (!fp_mapping_is(&h, fam) || (fam == FLOW_4 ? h.key4.proto : h.key6.proto))
		return false;
	*ret_out = (struct fp_endpoint){ .port_be = fam == FLOW_4 ? h.key4.dport : h.key6.dport };
	memcpy(ret_out->addr, fam == FLOW_4 ? (void *)&h.key4.daddr : (void *)h.key6.daddr,
	       fam == FLOW_4 ? 4 : 16);
	return true;
}
