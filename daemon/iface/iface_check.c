/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is wrong with the interfaces of a model, and what a change cannot take back. */
#include "iface/iface.h"

#include "domain.h"
#include "kernel/probe.h"
#include "kernel/shadow.h"

#include <stdlib.h>
#include <string.h>

#define IPV6_MIN_MTU 1280 /* RFC 8200 section 5 */

/* ---- one address ---- */

/* Why a host cannot have this address; NULL when it can. */
static const char *bad_host(const struct rtr_prefix *p, bool loopback0)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (rtr_addr_is_any(&p->addr))
		return "is no host's address";
	if (rtr_addr_is_multicast(&p->addr))
		return "is a multicast address";
	if (rtr_addr_is_loopback(&p->addr) && !loopback0)
		return "is a loopback address";
	if (p->addr.family == AF_INET6 && !memcmp(p->addr.b, mapped, sizeof(mapped)))
		return "is an IPv4-mapped address";
	if (p->addr.family == AF_INET && (p->addr.b[0] == 0 || p->addr.b[0] >= 240))
		return "is in a reserved network";
	if (rtr_prefix_host_is_special(p))
		return "is the network's own or its broadcast address";
	if (!p->len)
		return "needs the length of its network";
	return NULL;
}

static void check_v4(struct check *c, const struct iface *i)
{
	const struct recvec *addrs = rec_kids(&i->rec, &iface_addr4_type);
	bool loopback0 = iface_kind_of(i->name) == IFACE_LOOPBACK0;
	const struct iface_addr4 *a, *primary = NULL;
	char text[RTR_PREFIX_STRLEN];

	recvec_foreach(addrs, a) {
		const char *bad = bad_host(&a->addr, loopback0);

		if (bad)
			check_error(c, &a->rec, "%s %s", rtr_prefix_str(&a->addr, text), bad);
		if (a->secondary)
			continue;
		if (primary)
			check_error(
				c, &a->rec,
				"%s has the primary address %s already: remove it first, or say "
				"secondary",
				i->name, rtr_prefix_str(&primary->addr, text));
		primary = a;
	}
	if (addrs->len && !primary)
		check_error(c, addrs->v[0], "%s has a secondary address but no primary one",
			    i->name);
}

static void check_v6(struct check *c, const struct iface *i)
{
	const struct recvec *addrs = rec_kids(&i->rec, &iface_addr6_type);
	bool loopback0 = iface_kind_of(i->name) == IFACE_LOOPBACK0;
	const struct iface_addr6 *a;
	char text[RTR_PREFIX_STRLEN];

	recvec_foreach(addrs, a) {
		const char *bad;

		rtr_prefix_str(&a->addr, text);
		if (a->eui_64) {
			if (a->addr.len != 64)
				check_error(c, &a->rec, "eui-64 needs a /64");
			if (loopback0)
				check_error(c, &a->rec, "%s has no MAC address for eui-64",
					    i->name);
			continue;
		}
		bad = bad_host(&a->addr, loopback0);
		if (bad)
			check_error(c, &a->rec, "%s %s", text, bad);
		else if (rtr_addr_is_linklocal(&a->addr.addr))
			check_error(c, &a->rec,
				    "%s is a link-local address: ipv6 address X link-local", text);
	}
	if (i->link_local.family && !rtr_addr_is_linklocal(&i->link_local))
		check_error(c, &i->rec, "%s is not a link-local address (fe80::/10)",
			    rtr_addr_str(&i->link_local, text));
	if (iface_wants_ipv6(i) && SCH_HAS(i, mtu) && i->mtu < IPV6_MIN_MTU)
		check_error(c, &i->rec, "IPv6 needs an MTU of at least %d", IPV6_MIN_MTU);
}

/* ---- all addresses together ---- */

struct place {
	struct rtr_prefix net;
	struct rtr_addr host;
	const struct iface *iface;
	const struct rec *rec;
};

struct places {
	struct place *v;
	size_t n, room;
};

static void add_place(struct places *ps, const struct rtr_prefix *p, const struct iface *i,
		      const struct rec *rec)
{
	if (ps->n == ps->room) {
		ps->room = ps->room ? ps->room * 2 : 64;
		ps->v = xrealloc(ps->v, ps->room * sizeof(*ps->v));
	}
	ps->v[ps->n++] = (struct place){
		.net = rtr_prefix_network(*p), .host = p->addr, .iface = i, .rec = rec
	};
}

static int place_cmp(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int c = rtr_prefix_cmp(&x->net, &y->net);

	return c ? c : rtr_addr_cmp(&x->host, &y->host);
}

static bool is_old(const struct check *c, const struct iface *i)
{
	return iface_find(c->old, i->name) == i;
}

static void check_pair(struct check *c, const struct place *a, const struct place *b)
{
	char text[RTR_PREFIX_STRLEN];

	if (!rtr_addr_cmp(&a->host, &b->host)) {
		check_error(c, b->rec, "%s is on %s too", rtr_addr_str(&b->host, text),
			    a->iface->name);
	} else if (a->iface == b->iface) {
		return; /* a secondary in the same network, as usual */
	} else if (a->iface->shutdown || b->iface->shutdown) {
		/* Said once, not with every later commit. */
		if (is_old(c, a->iface) && is_old(c, b->iface))
			return;
		check_warn(c, b->rec,
			   "%s overlaps with %s, which is harmless only while it is shut down",
			   rtr_prefix_str(&b->net, text),
			   a->iface->shutdown ? a->iface->name : b->iface->name);
	} else {
		check_error(c, b->rec, "%s overlaps with %s", rtr_prefix_str(&b->net, text),
			    a->iface->name);
	}
}

/* In another routing table the same network is another one. */
static bool same_vrf(const struct place *a, const struct place *b)
{
	const char *x = a->iface->vrf, *y = b->iface->vrf;

	return x && y ? !strcmp(x, y) : x == y;
}

/* Sorted, a network is inside an earlier one exactly when it is inside one on the stack of those
 * that enclose the place where we are. */
static void check_overlaps(struct check *c, struct places *ps)
{
	size_t *stack = xcalloc(ps->n, sizeof(*stack)), depth = 0;

	if (ps->n)
		qsort(ps->v, ps->n, sizeof(*ps->v), place_cmp);
	for (size_t k = 0; k < ps->n; k++) {
		while (depth && !rtr_prefix_contains(&ps->v[stack[depth - 1]].net, &ps->v[k].host))
			depth--;
		for (size_t d = depth; d--;) {
			if (same_vrf(&ps->v[stack[d]], &ps->v[k])) {
				check_pair(c, &ps->v[stack[d]], &ps->v[k]);
				break;
			}
		}
		stack[depth++] = k;
	}
	free(stack);
}

static void check_addresses(struct check *c, const struct recvec *ifaces)
{
	struct places ps = { 0 };
	const struct iface *i;

	recvec_foreach(ifaces, i) {
		const struct recvec *v4 = rec_kids(&i->rec, &iface_addr4_type);
		const struct recvec *v6 = rec_kids(&i->rec, &iface_addr6_type);
		const struct shadow_link *l = c->offline ? NULL : iface_link(i->name);
		const struct iface_addr4 *a;
		const struct iface_addr6 *b;
		struct rtr_prefix p;

		check_v4(c, i);
		check_v6(c, i);
		recvec_foreach(v4, a) {
			add_place(&ps, &a->addr, i, &a->rec);
		}
		recvec_foreach(v6, b) {
			if (iface_addr6_effective(b, l && l->has_mac ? l->mac : NULL, &p))
				add_place(&ps, &p, i, &b->rec);
		}
	}
	check_overlaps(c, &ps);
	free(ps.v);
}

/* ---- one interface ---- */

static void check_sub(struct check *c, const struct recvec *ifaces, const struct iface *i)
{
	char parent[IFNAMSIZ], other[IFNAMSIZ];
	const struct iface *up, *o;
	const struct shadow_link *l = c->offline ? NULL : iface_link(i->name), *pl;

	if (!iface_parent_name(i->name, parent)) {
		if (i->dot1q)
			check_error(c, &i->rec, "%s is no subinterface (NAME.NUMBER)", i->name);
		return;
	}
	up = iface_find(c->new, parent);
	pl = c->offline ? NULL : iface_link(parent);
	if (!i->dot1q) {
		if (!l && !c->offline && !is_old(c, i))
			check_warn(c, &i->rec, "%s comes to life with encapsulation dot1Q",
				   i->name);
		return;
	}
	if (up && up->bridge_group && !(is_old(c, i) && is_old(c, up)))
		check_warn(c, &i->rec, "%s is a port of BVI%u, which sees the frames first", parent,
			   up->bridge_group);
	if (!c->offline && !l && !probe_link_kind("vlan"))
		check_error(c, &i->rec, "this kernel has no 802.1Q (module 8021q)");
	if (!c->offline && !pl && !is_old(c, i) && (!up || iface_kind_of(parent) == IFACE_HARD))
		check_warn(c, &i->rec, "%s does not exist now; %s waits for it", parent, i->name);
	if (SCH_HAS(i, mtu) &&
	    ((up && SCH_HAS(up, mtu)) ? i->mtu > up->mtu : pl && i->mtu > pl->mtu))
		check_error(c, &i->rec, "an MTU of %u is larger than that of %s", i->mtu, parent);
	/* Only against those before it: each pair is told once. */
	recvec_foreach(ifaces, o) {
		if (o == i)
			break;
		if (o->dot1q == i->dot1q && o->second_dot1q == i->second_dot1q &&
		    iface_parent_name(o->name, other) && !strcmp(other, parent))
			check_error(c, &i->rec, "dot1Q %u is on %s already", i->dot1q, o->name);
	}
}

static void check_bridge(struct check *c, const struct iface *i)
{
	enum iface_kind kind = iface_kind_of(i->name);
	char bvi[IFNAMSIZ];

	if (!i->bridge_group)
		return;
	snprintf(bvi, sizeof(bvi), "BVI%u", i->bridge_group);
	if (kind == IFACE_LOOPBACK0 || kind == IFACE_LOOPBACK || kind == IFACE_BVI)
		check_error(c, &i->rec, "%s cannot be the port of a bridge", i->name);
	if (!iface_find(c->new, bvi))
		check_error(c, &i->rec, "there is no interface %s", bvi);
	if (rec_kids(&i->rec, &iface_addr4_type)->len || iface_wants_ipv6(i))
		check_error(c, &i->rec, "the port of a bridge has no addresses: they belong to %s",
			    bvi);
}

static void check_link(struct check *c, const struct iface *i, const struct iface *old)
{
	static const uint8_t zero[6];
	enum iface_kind kind = iface_kind_of(i->name);
	const struct shadow_link *l = c->offline ? NULL : iface_link(i->name);

	if (SCH_HAS(i, mac) && (kind == IFACE_LOOPBACK0 || !memcmp(i->mac, zero, sizeof(zero))))
		check_error(c, &i->rec, "%s cannot have this MAC address", i->name);
	if (kind == IFACE_LOOPBACK0 && i->shutdown)
		check_error(c, &i->rec, "the box itself needs %s", i->name);
	if (l && SCH_HAS(i, mtu) && l->max_mtu && (i->mtu < l->min_mtu || i->mtu > l->max_mtu))
		check_error(c, &i->rec, "%s takes an MTU from %u to %u", i->name, l->min_mtu,
			    l->max_mtu);
	if (old == i)
		return;
	if (!c->offline && !l && kind == IFACE_HARD && !old)
		check_warn(c, &i->rec, "%s does not exist now; it is set up when it appears",
			   i->name);
	if (SCH_HAS(i, mtu) && i->mtu < IPV6_MIN_MTU && (!old || old->mtu != i->mtu))
		check_warn(c, &i->rec,
			   "below an MTU of %d the kernel takes all IPv6 off the interface",
			   IPV6_MIN_MTU);
	if (i->shutdown && old && !old->shutdown)
		check_warn(c, &i->rec, "%s goes down, and what runs over it breaks", i->name);
}

static void check_deleted(struct check *c)
{
	const struct recvec *ifaces = rec_kids(c->old, &iface_type);
	const struct iface *i;

	recvec_foreach(ifaces, i) {
		const struct shadow_link *l = c->offline ? NULL : iface_link(i->name);

		if (!l || iface_find(c->new, i->name))
			continue;
		if (l->ours)
			check_warn(c, NULL, "%s is deleted, with its counters and neighbours",
				   i->name);
		else if (!i->shutdown && (l->flags & IFF_UP) &&
			 iface_kind_of(i->name) == IFACE_HARD)
			check_warn(c, NULL,
				   "%s goes back to what it was before rtr, which may be down",
				   i->name);
	}
}

void iface_check(struct check *c)
{
	const struct recvec *ifaces = rec_kids(c->new, &iface_type);
	const struct iface *i;

	recvec_foreach(ifaces, i) {
		check_link(c, i, iface_find(c->old, i->name));
		check_sub(c, ifaces, i);
		check_bridge(c, i);
	}
	check_addresses(c, ifaces);
	check_deleted(c);
}
