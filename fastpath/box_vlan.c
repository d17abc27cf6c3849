/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VLANs. One is on the fast plane while it is wanted, the mirror has nothing against it (fib.h: one
 * 802.1Q tag, no priorities, its parent's MAC address and hooks), and its parent is on the fast
 * plane, whose program and sockets it shares. It comes after its parent and leaves before it.
 */
#include "box.h"

#include "wire.h"

#include <errno.h>
#include <net/if.h>

/* Figures of VLANs go to rtrd so often, when they are others. */
#define TELL_NS NSEC_PER_SEC

static unsigned slot_of(const struct fp_box *b, const struct fp_box_port *p)
{
	return (unsigned)(p - b->port);
}

static const struct fib_link *link_of(const struct fp_box *b, const struct fp_box_port *p)
{
	return fib_link(fibctl_fib(b->fib), p->ifindex);
}

/* What it was counts until the tables have been read. */
bool fp_box_is_vlan(const struct fp_box *b, const struct fp_box_port *p)
{
	const struct fib_link *l = link_of(b, p);

	return p->vlan.vlan || (l && l->vlan);
}

int fp_box_vlan_set(struct fp_box *b, struct fp_box_port *p)
{
	return fp_xdp_vlan_set(b->xdp, &p->vlan, &p->xdp);
}

static struct fp_box_port *parent_of(struct fp_box *b, const struct fp_box_port *p)
{
	return p->vlan.ifindex ? fp_box_port_of(b, p->vlan.ifindex) : NULL;
}

static const char *against_parent(struct fp_box *b, const struct fp_box_port *p)
{
	const struct fp_box_port *parent = parent_of(b, p);

	return parent && parent->fast ? NULL : "its parent is on the kernel plane";
}

/* --- workers --- */

void fp_box_vlan_unbind(struct fp_box *b, struct fp_box_port *p)
{
	fp_box_pause(b, true);
	for (unsigned i = 0; i < b->conf.n_workers; i++)
		fp_worker_port_del(b->worker[i].w, slot_of(b, p));
	fp_box_pause(b, false);
	p->bound = false;
}

/* -ENOENT: a worker that has no queue of its parent; then it has none of its frames. */
static int bind_workers(struct fp_box *b, struct fp_box_port *p)
{
	struct fp_wport wp = { .zone = p->xdp.zone,
			       .slot = (uint8_t)slot_of(b, p),
			       .ifindex = p->ifindex,
			       .vrf = p->vrf,
			       .vlan = (uint16_t)p->vlan.vlan,
			       .express_in = p->express_wanted,
			       .express_out = p->express_wanted && p->nic.redirect_target };
	struct fp_box_port *parent = parent_of(b, p);
	int err = 0;

	memcpy(wp.mac, p->nic.mac, 6);
	fp_box_pause(b, true);
	for (unsigned i = 0; i < b->conf.n_workers && !err; i++) {
		err = fp_worker_vlan_add(b->worker[i].w, &wp, slot_of(b, parent));
		if (err == -ENOENT)
			err = 0;
	}
	fp_box_pause(b, false);
	p->bound = !err;
	return err;
}

/* --- on and off --- */

/* The tag or the parent may be others than before: VLANs keep their numbers no better than names.
 */
static void take_place(struct fp_box *b, struct fp_box_port *p, const struct fib_link *l)
{
	struct express_vlan_key now = { .ifindex = l->parent, .vlan = l->vlan };

	if (!memcmp(&p->vlan, &now, sizeof(now)))
		return;
	if (p->vlan.vlan) {
		fp_box_port_off(b, slot_of(b, p), "its tag changes");
		if (p->bound)
			fp_box_vlan_unbind(b, p);
		fp_xdp_vlan_del(b->xdp, &p->vlan);
		p->attached = false;
	}
	p->vlan = now;
}

static void turn_on(struct fp_box *b, struct fp_box_port *p)
{
	const struct fp_box_port *parent = parent_of(b, p);
	unsigned slot = slot_of(b, p);
	char text[FASTPATH_TEXT];
	int err;

	p->nic = parent->nic;
	p->n_queues = parent->n_queues;
	p->xdp = parent->xdp;
	p->xdp.zone = (uint16_t)slot;
	p->xdp.slot = slot;
	p->xdp.ifindex = p->ifindex;
	p->xdp.on = 0;
	err = fp_box_vlan_set(b, p);
	if (!err) {
		p->attached = true;
		err = bind_workers(b, p);
	}
	if (err) {
		snprintf(text, sizeof(text), "XDP for VLANs: %s", strerror(-err));
		fp_box_port_off(b, slot, text);
		return;
	}
	/* In this order for the reason that box_port.c has. */
	fibctl_port(b->fib, p->ifindex, slot);
	fp_box_port_set(b, p, true);
	fp_box_port_say(b, p, true, parent->reason);
}

static void unwanted(struct fp_box *b, struct fp_box_port *p)
{
	char name[IF_NAMESIZE];

	/* As for others: its slot is free when it is gone. Until then XDP passes its frames. */
	if (!p->attached && !b->synced)
		return;
	if (!if_indextoname(p->ifindex, name)) {
		fp_box_port_forget(b, p);
	} else if (!p->attached) {
		p->xdp = (struct express_port){ .zone = (uint16_t)slot_of(b, p),
						.slot = slot_of(b, p),
						.ifindex = p->ifindex };
		p->attached = !fp_box_vlan_set(b, p);
		fibctl_port(b->fib, p->ifindex, FIB_NO_SLOT);
	}
}

void fp_box_vlan_look(struct fp_box *b, struct fp_box_port *p)
{
	const struct fib_link *l = link_of(b, p);
	const char *against;
	char name[IF_NAMESIZE];

	if (!p->wanted) {
		unwanted(b, p);
		return;
	}
	if (!if_indextoname(p->ifindex, name)) {
		fp_box_port_forget(b, p);
		return;
	}
	if (l)
		take_place(b, p, l);
	fp_box_vrf_look(b, p);
	against = fp_box_against(b, p) ?: against_parent(b, p);
	if (against)
		fp_box_port_off(b, slot_of(b, p), against);
	else if (!p->fast || !p->bound || p->changed ||
		 memcmp(&p->nic, &parent_of(b, p)->nic, sizeof(p->nic)) != 0)
		turn_on(b, p);
}

/* --- figures --- */

static void add(struct express_carried *to, const struct express_carried *c)
{
	to->rx += c->rx;
	to->rx_bytes += c->rx_bytes;
	to->tx += c->tx;
	to->tx_bytes += c->tx_bytes;
}

void fp_box_vlan_carried(const struct fp_box *b, const struct fp_box_port *p,
			 struct express_carried *ret)
{
	*ret = (struct express_carried){ 0 };
	for (unsigned i = 0; i < b->conf.n_workers; i++) {
		struct express_carried c;

		fp_worker_vlan_carried(b->worker[i].w, slot_of(b, p), &c);
		add(ret, &c);
	}
	ret->rx -= MIN(ret->rx, p->before.rx);
	ret->rx_bytes -= MIN(ret->rx_bytes, p->before.rx_bytes);
	ret->tx -= MIN(ret->tx, p->before.tx);
	ret->tx_bytes -= MIN(ret->tx_bytes, p->before.tx_bytes);
}

void fp_box_vlans_tell(struct fp_box *b, uint64_t now_ns)
{
	if (now_ns - b->vlans_ns < TELL_NS)
		return;
	b->vlans_ns = now_ns;
	for (unsigned slot = 0; slot < FP_PORTS_MAX; slot++) {
		struct fp_box_port *p = &b->port[slot];
		struct express_carried now;
		struct express_count c;

		if (!p->vlan.vlan || fp_xdp_counts(b->xdp, slot, &c))
			continue;
		fp_box_vlan_carried(b, p, &now);
		add(&now, &c.vlan);
		if (!memcmp(&now, &p->told, sizeof(now)))
			continue;
		p->told = now;
		b->conf.count(b->conf.ctx, slot);
	}
}

/* --- with their parent --- */

void fp_box_vlans_off(struct fp_box *b, const struct fp_box_port *parent)
{
	for (unsigned slot = 0; slot < FP_PORTS_MAX; slot++)
		if (b->port[slot].fast && b->port[slot].vlan.vlan &&
		    b->port[slot].vlan.ifindex == parent->ifindex)
			fp_box_port_off(b, slot, "its parent is on the kernel plane");
}

void fp_box_vlans_unbind(struct fp_box *b, const struct fp_box_port *parent)
{
	for (unsigned slot = 0; slot < FP_PORTS_MAX; slot++)
		if (b->port[slot].bound && b->port[slot].vlan.vlan &&
		    b->port[slot].vlan.ifindex == parent->ifindex)
			fp_box_vlan_unbind(b, &b->port[slot]);
}
