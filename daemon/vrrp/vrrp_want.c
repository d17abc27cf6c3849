/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From lines to groups: both spellings, defaults, owner, sync groups. */
#include "vrrp/vrrp.h"

#include "iface/iface.h"
#include "system/global.h"

#include <stdlib.h>
#include <string.h>

#define DECREMENT_DFLT 10

uint8_t vrrp_sync_member(const struct vrrp_sync_group *s, unsigned i)
{
	const uint8_t m[VRRP_SYNC_MEMBERS] = { s->m1, s->m2, s->m3, s->m4,
					       s->m5, s->m6, s->m7, s->m8 };

	return m[i];
}

/* ---- parts ---- */

static void add_addr(struct vrrp_want *w, const struct rtr_addr *a)
{
	if (w->conf.n_addrs < VRRP_MAX_ADDRS)
		w->conf.addrs[w->conf.n_addrs++] = *a;
	else
		w->too_many = true;
}

static void add_peer(struct vrrp_want *w, const struct rtr_addr *a)
{
	if (w->conf.n_peers < VRRP_MAX_PEERS)
		w->conf.peers[w->conf.n_peers++] = *a;
	else
		w->too_many = true;
}

static void add_track(struct vrrp_want *w, const struct vrrp_track *t)
{
	if (w->n_tracks == VRRP_MAX_TRACKS) {
		w->too_many = true;
		return;
	}
	w->track[w->n_tracks].id = t->track;
	w->track[w->n_tracks].fault = t->shutdown;
	w->track[w->n_tracks++].decrement = t->decrement ? t->decrement : DECREMENT_DFLT;
}

/* The interface has the address itself: the group is its owner (RFC 9568 section 1.6). */
bool vrrp_is_own(const struct iface *i, const struct rtr_addr *a)
{
	const struct recvec *v4 = rec_kids(&i->rec, &iface_addr4_type);
	const struct recvec *v6 = rec_kids(&i->rec, &iface_addr6_type);
	const struct iface_addr4 *x;
	const struct iface_addr6 *y;

	recvec_foreach(v4, x) {
		if (!rtr_addr_cmp(&x->addr.addr, a))
			return true;
	}
	recvec_foreach(v6, y) {
		if (!y->eui_64 && !rtr_addr_cmp(&y->addr.addr, a))
			return true;
	}
	return i->link_local.family && !rtr_addr_cmp(&i->link_local, a);
}

static void set_sync(const struct rec *root, struct vrrp_want *w)
{
	const struct recvec *v = rec_kids(root, &vrrp_sync_group_type);
	const struct vrrp_sync_group *s;
	uint16_t no = 0;

	recvec_foreach(v, s) {
		if (++no > VRRP_MAX_SYNC)
			return;
		for (unsigned i = 0; i < VRRP_SYNC_MEMBERS; i++) {
			if (vrrp_sync_member(s, i) != w->conf.vrid)
				continue;
			w->conf.sync = no;
			w->sync_name = xstrdup(s->name);
			return;
		}
	}
}

#define TAKE_COMMON(w, g)                                                                          \
	do {                                                                                       \
		(w)->description = (g)->description ? xstrdup((g)->description) : NULL;            \
		(w)->conf.prio = (g)->priority ? (g)->priority : VRRP_PRIO_DFLT;                   \
		if (!SCH_HAS(g, preempt) || (g)->preempt)                                          \
			(w)->conf.flags |= VRRP_F_PREEMPT;                                         \
		(w)->no_accept = SCH_HAS(g, accept_mode) && !(g)->accept_mode;                     \
		if ((g)->match_address)                                                            \
			(w)->conf.flags |= VRRP_F_MATCH;                                           \
		if ((g)->shutdown)                                                                 \
			(w)->conf.flags |= VRRP_F_SHUTDOWN;                                        \
		(w)->conf.preempt_delay_sec = (g)->preempt_delay;                                  \
		(w)->virtual_mac = (g)->mac == VRRP_MAC_VIRTUAL;                                   \
	} while (0)

/* What both spellings need at the end. */
static void finish(const struct rec *root, const struct iface *i, struct vrrp_want *w)
{
	struct vrrp_conf *c = &w->conf;

	rtr_strlcpy(c->ifname, iface_kernel_name(i->name), sizeof(c->ifname));
	w->iface = i;
	rtr_strlcpy(w->iface_name, i->name, sizeof(w->iface_name));
	c->delay_min_sec = i->fhrp_delay;
	c->delay_reload_sec = i->fhrp_reload;
	w->routes_sec = i->fhrp_routes;
	if (c->n_addrs && vrrp_is_own(i, &c->addrs[0])) {
		c->flags |= VRRP_F_OWNER;
		c->prio = 255;
		w->virtual_mac = false; /* its address is the interface's, and so is its MAC */
	}
	set_sync(root, w);
}

static void take_group(const struct rec *root, const struct iface *i, const struct vrrp_group *g,
		       struct vrrp_want *w)
{
	const struct global *gl = (const void *)root;
	const struct recvec *sec = rec_kids(&i->rec, &vrrp_secondary_type);
	const struct recvec *tracks = rec_kids(&i->rec, &vrrp_track_type);
	const struct recvec *peers = rec_kids(&i->rec, &vrrp_peer_type);
	const struct vrrp_address *a;
	const struct vrrp_track *t;
	const struct vrrp_peer *p;

	TAKE_COMMON(w, g);
	w->conf.family = AF_INET;
	w->conf.vrid = g->vrid;
	w->conf.version = gl->fhrp_version == GLOBAL_FHRP_V3 ? 3 : 2;
	w->conf.adver_ms = !g->adver ? VRRP_ADVER_DFLT : g->msec ? g->adver : g->adver * 1000;
	if (g->learn)
		w->conf.flags |= VRRP_F_LEARN;
	if (g->auth) {
		w->conf.flags |= VRRP_F_AUTH;
		memcpy(w->conf.auth, g->auth, MIN(strlen(g->auth), sizeof(w->conf.auth)));
	}
	add_addr(w, &g->addr);
	recvec_foreach(sec, a) {
		if (a->vrid == g->vrid)
			add_addr(w, &a->addr);
	}
	recvec_foreach(tracks, t) {
		if (t->vrid == g->vrid)
			add_track(w, t);
	}
	recvec_foreach(peers, p) {
		if (p->vrid == g->vrid)
			add_peer(w, &p->peer);
	}
	finish(root, i, w);
}

static void take_family(const struct rec *root, const struct iface *i, const struct vrrp_family *f,
			struct vrrp_want *w)
{
	const struct recvec *addrs = rec_kids(&f->rec, &vrrp_af_address_type);
	const struct recvec *tracks = rec_kids(&f->rec, &vrrp_af_track_type);
	const struct recvec *peers = rec_kids(&f->rec, &vrrp_af_peer_type);
	const struct vrrp_address *a;
	const struct vrrp_track *t;
	const struct vrrp_peer *p;

	TAKE_COMMON(w, f);
	w->conf.family = f->af == VRRP_AF6 ? AF_INET6 : AF_INET;
	w->conf.vrid = f->vrid;
	w->conf.version = f->vrrpv2 ? 2 : 3;
	w->conf.adver_ms = f->adver ? f->adver : VRRP_ADVER_DFLT;
	recvec_foreach(addrs, a) {
		add_addr(w, &a->addr);
	}
	recvec_foreach(tracks, t) {
		add_track(w, t);
	}
	recvec_foreach(peers, p) {
		add_peer(w, &p->peer);
	}
	finish(root, i, w);
}

/* ---- all ---- */

static struct vrrp_want *add(struct vrrp_wants *w, const struct rec *rec)
{
	if (w->n == w->room) {
		w->room = w->room ? w->room * 2 : 16;
		w->v = xrealloc(w->v, w->room * sizeof(*w->v));
	}
	memset(&w->v[w->n], 0, sizeof(w->v[w->n])); /* padding too: it is compared and sent */
	w->v[w->n].rec = rec;
	return &w->v[w->n++];
}

void vrrp_want(const struct rec *root, struct vrrp_wants *ret)
{
	const struct recvec *ifaces = rec_kids(root, &iface_type);
	const struct iface *i;

	*ret = (struct vrrp_wants){ 0 };
	recvec_foreach(ifaces, i) {
		const struct recvec *groups = rec_kids(&i->rec, &vrrp_group_type);
		const struct recvec *families = rec_kids(&i->rec, &vrrp_family_type);
		const struct vrrp_group *g;
		const struct vrrp_family *f;

		recvec_foreach(groups, g) {
			if (g->addr.family)
				take_group(root, i, g, add(ret, &g->rec));
		}
		recvec_foreach(families, f) {
			if (rec_kids(&f->rec, &vrrp_af_address_type)->len)
				take_family(root, i, f, add(ret, &f->rec));
		}
	}
}

void vrrp_wants_fini(struct vrrp_wants *w)
{
	for (size_t i = 0; i < w->n; i++) {
		free(w->v[i].description);
		free(w->v[i].sync_name);
	}
	free(w->v);
	*w = (struct vrrp_wants){ 0 };
}
