/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is wrong with the VRRP lines of a model. */
#include "domain.h"
#include "firewall/fw.h"
#include "iface/iface.h"
#include "kernel/probe.h"
#include "kernel/shadow.h"
#include "system/global.h"
#include "track/track.h"
#include "vrrp/vrrp.h"

#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>

static bool is_special(const struct iface *i, const struct rtr_addr *a, struct check *c,
		       const struct rec *r)
{
	const struct recvec *v4 = rec_kids(&i->rec, &iface_addr4_type);
	const struct iface_addr4 *x;
	char text[RTR_ADDR_STRLEN];

	recvec_foreach(v4, x) {
		struct rtr_prefix p = x->addr;

		if (!rtr_prefix_contains(&p, a))
			continue;
		p.addr = *a;
		if (!rtr_prefix_host_is_special(&p))
			continue;
		check_error(c, r, "%s is the %s of %s", rtr_addr_str(a, text),
			    rtr_prefix_has_host_bits(&p) ? "broadcast address" : "network itself",
			    i->name);
		return true;
	}
	return false;
}

/* An address that the router has itself belongs to the group's owner, and to no other interface. */
static void check_own(struct check *c, const struct vrrp_want *w, const struct rtr_addr *a)
{
	const struct recvec *ifaces = rec_kids(c->new, &iface_type);
	bool owner = w->conf.flags & VRRP_F_OWNER;
	char text[RTR_ADDR_STRLEN], first[RTR_ADDR_STRLEN];
	const struct iface *i;

	if (vrrp_is_own(w->iface, a) != owner) {
		rtr_addr_str(owner ? a : &w->conf.addrs[0], text);
		rtr_addr_str(owner ? &w->conf.addrs[0] : a, first);
		check_error(c, w->rec,
			    "%s is not an address of %s, as %s is: the owner of a group has all "
			    "of its addresses",
			    text, w->iface->name, first);
	}
	recvec_foreach(ifaces, i) {
		if (i != w->iface && !rtr_addr_is_linklocal(a) && vrrp_is_own(i, a))
			check_error(c, w->rec, "%s is the address of %s", rtr_addr_str(a, text),
				    i->name);
	}
}

static void check_addrs(struct check *c, const struct vrrp_want *w, bool changed)
{
	const struct vrrp_conf *g = &w->conf;
	char text[RTR_ADDR_STRLEN];

	for (unsigned i = 0; i < g->n_addrs; i++) {
		const struct rtr_addr *a = &g->addrs[i];

		rtr_addr_str(a, text);
		if (a->family != g->family) {
			check_error(c, w->rec, "%s is not of the group's address family", text);
			continue;
		}
		if (rtr_addr_is_any(a) || rtr_addr_is_multicast(a) || rtr_addr_is_loopback(a))
			check_error(c, w->rec, "%s cannot be a virtual address", text);
		else if (!is_special(w->iface, a, c, w->rec))
			check_own(c, w, a);
		for (unsigned k = 0; k < i; k++) {
			if (!rtr_addr_cmp(a, &g->addrs[k]))
				check_error(c, w->rec, "%s is in the group twice", text);
		}
		if (changed && !iface_on_link(w->iface, a) && !rtr_addr_is_linklocal(a))
			check_warn(c, w->rec, "%s is in no network of %s", text, w->iface->name);
	}
	if (changed && g->family == AF_INET6 && g->n_addrs && !rtr_addr_is_linklocal(&g->addrs[0]))
		check_warn(c, w->rec,
			   "the primary address should be link-local (RFC 9568): other routers may "
			   "refuse the adverts");
}

static void check_peers(struct check *c, const struct vrrp_want *w)
{
	char text[RTR_ADDR_STRLEN];

	for (unsigned i = 0; i < w->conf.n_peers; i++) {
		const struct rtr_addr *p = &w->conf.peers[i];

		if (p->family != w->conf.family)
			check_error(c, w->rec,
				    "a unicast peer is not of the group's address family");
		else if (vrrp_is_own(w->iface, p))
			check_error(c, w->rec, "%s is this router, not its peer",
				    rtr_addr_str(p, text));
		else if (rtr_addr_is_any(p) || rtr_addr_is_multicast(p) || rtr_addr_is_loopback(p))
			check_error(c, w->rec, "%s cannot be a unicast peer",
				    rtr_addr_str(p, text));
	}
}

static void check_timers(struct check *c, const struct vrrp_want *w, bool changed)
{
	const struct vrrp_conf *g = &w->conf;

	if (g->version == 2 && g->family == AF_INET6)
		check_error(c, w->rec, "version 2 knows no IPv6");
	else if (g->version == 2 && (g->adver_ms % 1000 || g->adver_ms > 255000))
		check_error(c, w->rec,
			    "version 2 counts in seconds, from 1 to 255: milliseconds need `fhrp "
			    "version vrrp v3`, or no vrrpv2");
	else if (g->version == 3 && (g->adver_ms % 10 || g->adver_ms > 40950))
		check_error(c, w->rec, "version 3 counts in steps of 10 ms, from 10 to 40950");
	if (changed && g->version == 3 && g->flags & VRRP_F_AUTH)
		check_warn(c, w->rec, "version 3 has no authentication: the password is not used");
	if (changed && g->version == 3 && g->flags & VRRP_F_LEARN)
		check_warn(c, w->rec, "version 3 always learns the time between adverts");
}

static void check_tracks(struct check *c, const struct rec *r, const struct sch_type *t)
{
	const struct recvec *v = rec_kids(r, t);
	const struct vrrp_track *x;

	recvec_foreach(v, x) {
		track_check_ref(c, &x->rec, x->track);
		if (x->decrement && x->shutdown)
			check_error(c, &x->rec, "decrement or shutdown, not both");
	}
}

static void check_place(struct check *c, const struct vrrp_want *w, bool changed)
{
	enum iface_kind kind = iface_kind_of(w->iface->name);
	const struct shadow_link *l = c->offline ? NULL : iface_link(w->iface->name);

	if (kind == IFACE_LOOPBACK0 || kind == IFACE_LOOPBACK)
		check_error(c, w->rec, "%s has no other routers", w->iface->name);
	if (w->iface->bridge_group)
		check_error(c, w->rec, "%s is a port of BVI%u: configure that", w->iface->name,
			    w->iface->bridge_group);
	if (!changed || c->offline || !w->virtual_mac)
		return;
	if (l && (l->arptype != ARPHRD_ETHER || !probe_link_kind("macvlan")))
		check_warn(c, w->rec,
			   "%s cannot have a virtual MAC address here: using its physical one",
			   w->iface->name);
}

struct place {
	const struct rtr_addr *addr;
	const struct vrrp_want *w;
};

static const struct vrrp_want *find_old(const struct vrrp_wants *old, const struct rec *r)
{
	for (size_t i = 0; i < old->n; i++) {
		if (old->v[i].rec == r)
			return &old->v[i];
	}
	return NULL;
}

/* Hosts of two networks cannot mean the same router by one address, but for a link's own. */
static int by_first(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int r = rtr_addr_cmp(x->addr, y->addr);

	return r ? r : (x->w > y->w) - (x->w < y->w);
}

static void check_places(struct check *c, const struct vrrp_wants *w)
{
	struct place *all = xcalloc(w->n * VRRP_MAX_ADDRS + 1, sizeof(*all));
	char text[RTR_ADDR_STRLEN];
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++) {
		for (unsigned k = 0; k < w->v[i].conf.n_addrs; k++)
			all[n++] = (struct place){ &w->v[i].conf.addrs[k], &w->v[i] };
	}
	qsort(all, n, sizeof(*all), by_first);
	for (size_t i = 1; i < n; i++) {
		const struct vrrp_want *a = all[i - 1].w, *b = all[i].w;

		if (a == b || rtr_addr_cmp(all[i - 1].addr, all[i].addr) ||
		    (a->iface != b->iface && rtr_addr_is_linklocal(all[i].addr)))
			continue;
		check_error(c, b->rec, "%s is in group %u of %s too",
			    rtr_addr_str(all[i].addr, text), a->conf.vrid, a->iface->name);
	}
	free(all);
}

static void check_pairs(struct check *c, const struct vrrp_wants *w)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct vrrp_conf *a = &w->v[i].conf;

		/* Neighbours: they are in the order of interfaces. */
		for (size_t k = i; k-- > 0 && w->v[k].iface == w->v[i].iface;) {
			const struct vrrp_conf *b = &w->v[k].conf;

			if (a->family == b->family && a->vrid == b->vrid)
				check_error(c, w->v[i].rec,
					    "group %u is there already, by its other spelling",
					    a->vrid);
		}
	}
}

static void check_sync(struct check *c)
{
	const struct recvec *v = rec_kids(c->new, &vrrp_sync_group_type);
	const struct vrrp_sync_group *s, *owner[256] = { NULL };

	if (v->len > VRRP_MAX_SYNC)
		check_error(c, v->v[VRRP_MAX_SYNC], "more than %d sync groups", VRRP_MAX_SYNC);
	recvec_foreach(v, s) {
		for (unsigned i = 0; i < VRRP_SYNC_MEMBERS; i++) {
			uint8_t m = vrrp_sync_member(s, i);

			if (m && owner[m] && owner[m] != s)
				check_error(c, &s->rec, "group %u is in sync group %s already", m,
					    owner[m]->name);
			owner[m] = s;
		}
	}
}

static void check_ifaces(struct check *c)
{
	const struct recvec *ifaces = rec_kids(c->new, &iface_type);
	const struct iface *i;

	recvec_foreach(ifaces, i) {
		const struct recvec *groups = rec_kids(&i->rec, &vrrp_group_type);
		const struct recvec *fams = rec_kids(&i->rec, &vrrp_family_type);
		const struct vrrp_group *g;
		const struct vrrp_family *f;

		check_tracks(c, &i->rec, &vrrp_track_type);
		recvec_foreach(groups, g) {
			if (g->auth && strlen(g->auth) > 8)
				check_error(c, &g->rec, "a password has at most 8 characters");
		}
		recvec_foreach(fams, f) {
			const struct recvec *addrs = rec_kids(&f->rec, &vrrp_af_address_type);
			const struct vrrp_address *a;

			check_tracks(c, &f->rec, &vrrp_af_track_type);
			recvec_foreach(addrs, a) {
				if (a->primary && a->secondary)
					check_error(c, &a->rec, "primary or secondary, not both");
			}
		}
	}
}

/* A commit of something else: nothing to say again. */
static bool same_lines(const struct check *c)
{
	const struct sch_type *types[] = { &iface_type, &vrrp_sync_group_type, &track_type,
					   &zone_type };
	const struct global *old = (const void *)c->old, *new = (const void *)c->new;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (rec_kids(c->old, types[i]) != rec_kids(c->new, types[i]))
			return false;
	}
	return old->fhrp_version == new->fhrp_version;
}

void vrrp_check(struct check *c)
{
	struct vrrp_wants new, old;

	if (same_lines(c))
		return;
	vrrp_want(c->new, &new);
	vrrp_want(c->old, &old);
	for (size_t i = 0; i < new.n; i++) {
		const struct vrrp_want *w = &new.v[i];
		const struct vrrp_want *was = find_old(&old, w->rec);
		bool changed = !was || memcmp(&was->conf, &w->conf, sizeof(w->conf));

		check_addrs(c, w, changed);
		check_timers(c, w, changed);
		check_place(c, w, changed);
		check_peers(c, w);
		if (w->too_many)
			check_error(c, w->rec,
				    "more than %d addresses, %d peers or %d tracks in a group",
				    VRRP_MAX_ADDRS, VRRP_MAX_PEERS, VRRP_MAX_TRACKS);
	}
	if (new.n > VRRP_MAX_GROUPS)
		check_error(c, new.v[VRRP_MAX_GROUPS].rec, "more than %d groups", VRRP_MAX_GROUPS);
	check_pairs(c, &new);
	check_places(c, &new);
	check_sync(c);
	check_ifaces(c);
	vrrp_wants_fini(&new);
	vrrp_wants_fini(&old);
}
