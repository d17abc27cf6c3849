/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Adjacencies. One for each next hop that a route names, for each neighbour that the kernel has,
 * and for each that a worker asked for:
 *
 *	worker asks, or a route names it --> INCOMPLETE --kernel has a MAC--> RESOLVED <-> STALE
 *	                                        ^  |  no answer                 |  neighbour or link
 *	                                        |  +------> FAILED              |  is gone
 *	                                        +-------------------------------+--> DEAD,
 *quarantine
 *
 * A dead one that no route names leaves the hash at once; its number waits for a grace period and
 * for a pass over the flows, for flows keep numbers without telling.
 */
#include "fib_ctl_priv.h"
#include "lpm_mem.h"
#include "wire.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <stdlib.h>
#include <string.h>

#define NUD_USABLE (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)

/* The kernel waits as long between two solicitations; more requests gain nothing. */
#define ASK_SEC    1u
#define FAILED_SEC 3u
/* Half of the default base_reachable_time: an entry in use is asked for before it turns stale. */
#define CONFIRM_SEC 15u
/* An adjacency that was asked for and that the kernel has no entry of is given up after this. */
#define FORGET_SEC 60u
/* Looked at in one turn of the timer. */
#define KEEPALIVE_STEP 8192u

int fc_adjs_init(struct fibctl *c)
{
	uint32_t n = c->p.n_adj, buckets = 1;

	while (buckets < n)
		buckets *= 2;
	c->f.n_adj = n;
	c->f.adj_hash_mask = buckets - 1;
	c->f.adj = lpm_map(n * sizeof(*c->f.adj), false);
	c->f.adj_hash = lpm_map(buckets * sizeof(uint32_t), false);
	c->f.adj_used = lpm_map(n, false);
	c->adj_out = lpm_map(n * sizeof(*c->adj_out), false);
	c->f.ring = calloc(FIB_REQ_RING, sizeof(*c->f.ring));
	if (!c->f.adj || !c->f.adj_hash || !c->f.adj_used || !c->adj_out || !c->f.ring)
		return -ENOMEM;
	for (uint32_t i = 0; i < FIB_REQ_RING; i++)
		c->f.ring[i].seq = i;
	c->n_adj_ever = 1; /* 0 is never ready */
	return 0;
}

void fc_adjs_fini(struct fibctl *c)
{
	if (c->f.adj)
		lpm_unmap(c->f.adj, c->f.n_adj * sizeof(*c->f.adj));
	if (c->f.adj_hash)
		lpm_unmap(c->f.adj_hash, (c->f.adj_hash_mask + 1) * sizeof(uint32_t));
	if (c->f.adj_used)
		lpm_unmap(c->f.adj_used, c->f.n_adj);
	if (c->adj_out)
		lpm_unmap(c->adj_out, c->f.n_adj * sizeof(*c->adj_out));
	free(c->f.ring);
}

/* Takes a number whose flows are gone. 0 = none. */
static uint32_t number_get(struct fibctl *c)
{
	uint32_t i = c->adj_free_first;

	/* Fresh numbers first: then a number rests as long as it can. */
	if (c->n_adj_ever < c->f.n_adj)
		return c->n_adj_ever++;
	if (!i ||
	    (int32_t)(__atomic_load_n(&c->pass_done, __ATOMIC_ACQUIRE) - c->f.adj[i].freed) <= 0)
		return 0;
	c->adj_free_first = c->f.adj[i].next_free;
	if (!c->adj_free_first)
		c->adj_free_last = 0;
	return i;
}

struct number_free {
	struct fib_defer defer;
	struct fibctl *c;
	uint32_t i;
};

static void number_free_done(struct fib_defer *d)
{
	struct number_free *nf = container_of(d, struct number_free, defer);
	struct fibctl *c = nf->c;
	struct fib_adj *a = &c->f.adj[nf->i];

	a->next_free = 0;
	a->freed = __atomic_load_n(&c->pass_begun, __ATOMIC_ACQUIRE);
	if (c->adj_free_last)
		c->f.adj[c->adj_free_last].next_free = nf->i;
	else
		c->adj_free_first = nf->i;
	c->adj_free_last = nf->i;
	free(nf);
}

/* Writes what stages read. */
static void publish(struct fibctl *c, uint32_t i, bool ready)
{
	const struct fib_adj *a = &c->f.adj[i];
	const struct fib_link_node *n = fib_link_node(&c->f, a->oif);
	struct fp_adj out;
	uint8_t *p = out.hdr;

	if (!c->p.adj_set)
		return;
	memset(&out, 0, sizeof(out));
	if (ready && n) {
		memcpy(p, a->mac, 6);
		memcpy(p + 6, n->l.mac, 6);
		p += 12;
		if (n->l.vlan) {
			fp_st16(p, FP_ETH_VLAN);
			fp_st16(p + 2, n->l.vlan); /* priority 0, as without egress-qos-map */
			p += 4;
		}
		out.len = (uint8_t)(p + 2 - out.hdr);
		out.mtu = (uint16_t)MIN(n->l.mtu, 65535u);
		out.port = n->l.slot;
	}
	/* Each store makes readers look twice: only what differs. */
	if (!memcmp(&c->adj_out[i], &out, sizeof(out)))
		return;
	c->adj_out[i] = out;
	c->p.adj_set(c->p.ctx, i, &out);
}

static enum fib_adj_state state_of(const struct fibctl *c, const struct fib_adj *a)
{
	const struct fib_link_node *n = fib_link_node(&c->f, a->oif);

	if (!n || !n->l.up)
		return FIB_ADJ_DEAD;
	if (a->kernel & NUD_FAILED)
		return FIB_ADJ_FAILED;
	if (!(a->kernel & NUD_USABLE) || n->l.slot == FIB_NO_SLOT)
		return FIB_ADJ_INCOMPLETE;
	return a->kernel & (NUD_STALE | NUD_DELAY | NUD_PROBE) ? FIB_ADJ_STALE : FIB_ADJ_RESOLVED;
}

static void count(struct fibctl *c, enum fib_adj_state was, enum fib_adj_state is)
{
	c->st.n_adj_ready += fib_adj_ready(is) - fib_adj_ready(was);
	c->st.n_adj_waiting += (is == FIB_ADJ_INCOMPLETE) - (was == FIB_ADJ_INCOMPLETE);
}

/* Tells everybody what became of an entry. force: its header may differ though its state does not.
 */
static void update(struct fibctl *c, uint32_t i, bool force)
{
	struct fib_adj *a = &c->f.adj[i];
	enum fib_adj_state was = a->state, is = state_of(c, a);

	if (was == is && !force)
		return;
	/* Who sees that it is ready finds its header. */
	if (fib_adj_ready(is))
		publish(c, i, true);
	__atomic_store_n(&a->state, (uint8_t)is, __ATOMIC_RELEASE);
	if (!fib_adj_ready(is) && fib_adj_ready(was))
		publish(c, i, false);
	count(c, was, is);
	if (was == is)
		return;
	if ((was == FIB_ADJ_FAILED) != (is == FIB_ADJ_FAILED))
		fc_paths_adj_changed(c, i);
	if (fib_adj_ready(is) != fib_adj_ready(was) || is == FIB_ADJ_FAILED) {
		__atomic_store_n(&c->f.adj_gen, c->f.adj_gen + 1, __ATOMIC_RELEASE);
		if (c->p.adj_done)
			c->p.adj_done(c->p.ctx, i, is);
	}
}

static uint32_t adj_add(struct fibctl *c, uint32_t oif, uint8_t nh_family, const union fib_ip *nh)
{
	uint32_t b = fib_adj_bucket(&c->f, oif, nh_family, nh), i = number_get(c);
	struct fib_adj *a = &c->f.adj[i];

	if (!i)
		return 0;
	*a = (struct fib_adj){ .nh = *nh,
			       .oif = oif,
			       .next = c->f.adj_hash[b],
			       .nh_family = nh_family,
			       .state = FIB_ADJ_DEAD };
	c->f.adj_used[i] = 0;
	__atomic_store_n(&c->f.adj_hash[b], i, __ATOMIC_RELEASE);
	c->st.n_adj++;
	update(c, i, false);
	return i;
}

/* Leaves the hash; the number waits. Its entry stays as readers know it, but for being dead. */
static void adj_drop(struct fibctl *c, uint32_t i)
{
	struct fib_adj *a = &c->f.adj[i];
	uint32_t *p = &c->f.adj_hash[fib_adj_bucket(&c->f, a->oif, a->nh_family, &a->nh)];
	struct number_free *nf = calloc(1, sizeof(*nf));

	a->kernel = 0;
	a->free = 1;
	count(c, a->state, FIB_ADJ_DEAD);
	__atomic_store_n(&a->state, FIB_ADJ_DEAD, __ATOMIC_RELEASE);
	publish(c, i, false);
	while (*p != i)
		p = &c->f.adj[*p].next;
	__atomic_store_n(p, a->next, __ATOMIC_RELEASE);
	c->st.n_adj--;
	if (!nf)
		return; /* a number lost is better than one used too early */
	nf->c = c;
	nf->i = i;
	nf->defer.done = number_free_done;
	fc_defer(c, &nf->defer);
}

uint32_t fc_adj_get(struct fibctl *c, uint32_t oif, uint8_t nh_family, const union fib_ip *nh)
{
	uint32_t i = fib_adj_find(&c->f, oif, nh_family, nh);

	if (!i)
		i = adj_add(c, oif, nh_family, nh);
	if (i)
		c->f.adj[i].n_paths++;
	else
		c->st.n_limit++;
	return i;
}

static void drop_if_unused(struct fibctl *c, uint32_t i)
{
	struct fib_adj *a = &c->f.adj[i];

	if (!a->free && !a->n_paths && !a->kernel &&
	    (!a->asked || fc_now_sec() - a->asked > FORGET_SEC))
		adj_drop(c, i);
}

void fc_adj_put(struct fibctl *c, uint32_t i)
{
	if (!i)
		return;
	c->f.adj[i].n_paths--;
	drop_if_unused(c, i);
}

bool fc_adj_is_failed(const struct fibctl *c, uint32_t i)
{
	return i && c->f.adj[i].state == FIB_ADJ_FAILED;
}

static uint64_t neigh_key(const struct fib_msg_neigh *n)
{
	struct {
		union fib_ip ip;
		uint32_t ifindex, family;
	} key = { n->ip, n->ifindex, n->family };

	return fc_key(FIB_M_NEIGH, &key, sizeof(key));
}

static void forget(struct fibctl *c, uint32_t i)
{
	struct fib_adj *a = &c->f.adj[i];

	a->kernel = a->gone = a->unanswered = 0;
	a->asked = 0; /* whoever asks now has not been answered */
	update(c, i, false);
	drop_if_unused(c, i);
}

/* The kernel forgets one that did not answer soon after; here it stands for a while, or a sender
 * without a partner would have it asked all the time. One that is deleted "fails" first, too. */
static void neigh_gone(struct fibctl *c, uint32_t i)
{
	if (c->f.adj[i].unanswered)
		c->f.adj[i].gone = 1;
	else
		forget(c, i);
}

void fc_neigh_apply(struct fibctl *c, const struct fib_msg *m, bool dump)
{
	const struct fib_msg_neigh *n = &m->neigh;
	uint32_t i = fib_adj_find(&c->f, n->ifindex, n->family, &n->ip);
	struct fib_adj *a;
	bool moved;

	if (m->del) {
		if (fc_nl_dumping(c, FC_D_NEIGH))
			fc_tomb_add(c, neigh_key(n));
		if (i)
			neigh_gone(c, i);
		return;
	}
	if (dump && (fc_tomb_has(c, neigh_key(n)) || (i && c->f.adj[i].epoch == c->epoch)))
		return;
	if (!i)
		i = adj_add(c, n->ifindex, n->family, &n->ip);
	if (!i) {
		c->st.n_limit++; /* its packets stay the kernel's: no adjacency, no answer */
		return;
	}
	a = &c->f.adj[i];
	a->epoch = c->epoch;
	a->unanswered = (n->state & NUD_FAILED) && !(a->kernel & NUD_USABLE);
	a->gone = 0;
	a->kernel = (uint8_t)n->state;
	if (!n->has_mac)
		a->kernel &= (uint8_t)~NUD_USABLE;
	moved = n->has_mac && memcmp(a->mac, n->mac, 6) != 0;
	if (moved)
		memcpy(a->mac, n->mac, 6);
	update(c, i, moved);
}

void fc_neighs_swept(struct fibctl *c)
{
	for (uint32_t i = 1; i < c->n_adj_ever; i++)
		if (!c->f.adj[i].free && c->f.adj[i].kernel && c->f.adj[i].epoch != c->epoch)
			neigh_gone(c, i);
}

/* gone: the kernel's neighbours went with it. */
void fc_adjs_link_changed(struct fibctl *c, uint32_t ifindex, bool gone)
{
	for (uint32_t i = 1; i < c->n_adj_ever; i++) {
		struct fib_adj *a = &c->f.adj[i];

		if (a->oif != ifindex || a->free)
			continue;
		if (gone)
			a->kernel = 0;
		update(c, i, true);
		drop_if_unused(c, i);
	}
}

static void ask(struct fibctl *c, uint32_t i)
{
	struct fib_adj *a = &c->f.adj[i];

	a->asked = fc_now_sec();
	c->st.n_probes++;
	if (fc_nl_probe(c, a->oif, a->nh_family, &a->nh))
		c->st.n_probe_errors++;
}

static void request(struct fibctl *c, const struct fib_req *r)
{
	uint32_t i = fib_adj_find(&c->f, r->oif, r->nh_family, &r->nh);
	struct fib_adj *a;

	if (!fib_link_node(&c->f, r->oif))
		return;
	if (!i)
		i = adj_add(c, r->oif, r->nh_family, &r->nh);
	if (!i) {
		c->st.n_limit++;
		return;
	}
	a = &c->f.adj[i];
	if (!fib_adj_ready(a->state) && (!a->asked || fc_now_sec() - a->asked >= ASK_SEC))
		ask(c, i);
}

void fc_adjs_requests(struct fibctl *c)
{
	struct fib *f = &c->f;

	for (unsigned n = 0; n < FIB_REQ_RING; n++) {
		struct fib_req *r = &f->ring[f->ring_tail % FIB_REQ_RING];
		struct fib_req copy;

		if (__atomic_load_n(&r->seq, __ATOMIC_ACQUIRE) != f->ring_tail + 1)
			return;
		copy = *r;
		__atomic_store_n(&r->seq, f->ring_tail + FIB_REQ_RING, __ATOMIC_RELEASE);
		f->ring_tail++;
		request(c, &copy);
	}
}

/* As traffic of the kernel's own would: a stale entry in use is probed, a reachable one is kept
 * from being collected. */
static void keep(struct fibctl *c, uint32_t i)
{
	struct fib_adj *a = &c->f.adj[i];

	if (a->free)
		return;
	if (a->gone && fc_now_sec() - a->asked >= FAILED_SEC) {
		forget(c, i);
		return;
	}
	if (!__atomic_load_n(&c->f.adj_used[i], __ATOMIC_RELAXED)) {
		drop_if_unused(c, i);
		return;
	}
	if (a->kernel & NUD_STALE ||
	    (a->kernel & NUD_REACHABLE && fc_now_sec() - a->asked >= CONFIRM_SEC)) {
		__atomic_store_n(&c->f.adj_used[i], 0, __ATOMIC_RELAXED);
		ask(c, i);
	}
}

void fc_adjs_keepalive(struct fibctl *c)
{
	for (uint32_t n = 0; n < MIN(KEEPALIVE_STEP, c->n_adj_ever); n++) {
		if (c->keepalive_at >= c->n_adj_ever)
			c->keepalive_at = 0;
		if (c->keepalive_at)
			keep(c, c->keepalive_at);
		c->keepalive_at++;
	}
}
