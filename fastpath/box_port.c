/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interfaces: may they be served, and how; attach, bind, on, off. */
#include "box.h"

#include <errno.h>
#include <net/if.h>

/* Ethernet and what the kernel puts in front of a frame: what is left of a buffer. */
#define MTU_MAX (FP_FRAME_DATA_MAX - 18)
/* Facts of an interface that no event tells are asked for again so often. */
#define ASK_NS NSEC_PER_SEC
/* Frames of a socket to receive into: 2,048 are 0.6 ms at 3.5 Mpps, and a worker that sleeps is
 * awake in a tenth of that. */
#define SOCK_FRAMES 2048

static unsigned slot_of(const struct fp_box *b, const struct fp_box_port *p)
{
	return (unsigned)(p - b->port);
}

void fp_box_port_set(struct fp_box *b, struct fp_box_port *p, bool on)
{
	struct fp_keeper_port *k = &b->keeper_port[slot_of(b, p)];

	p->xdp.on = on;
	if (p->vlan.vlan)
		fp_box_vlan_set(b, p);
	else
		fp_xdp_port_set(b->xdp, p->ifindex, &p->xdp);
	p->changed = false;
	__atomic_store_n(&k->express_in, on && p->express_wanted, __ATOMIC_RELAXED);
	__atomic_store_n(&k->express_out, on && p->express_wanted && p->nic.redirect_target,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&k->vrf, p->vrf, __ATOMIC_RELAXED);
	__atomic_store_n(&k->ifindex, on ? p->ifindex : 0, __ATOMIC_RELEASE);
	fp_keeper_hurry(b->keeper);
}

void fp_box_port_say(struct fp_box *b, struct fp_box_port *p, bool fast, const char *reason)
{
	if (p->fast == fast && !strcmp(p->reason, reason))
		return;
	p->fast = fast;
	rtr_strlcpy(p->reason, reason, sizeof(p->reason));
	b->conf.state(b->conf.ctx, slot_of(b, p));
}

void fp_box_port_off(struct fp_box *b, unsigned slot, const char *reason)
{
	struct fp_box_port *p = &b->port[slot];

	/* Its VLANs' frames pass by its program. */
	fp_box_vlans_off(b, p);
	if (p->fast) {
		fp_box_mirror_ready(b, (uint16_t)slot);
		fp_box_port_set(b, p, false);
		/* No way leads there any more: a worker that meets a flow which was given away
		 * begins no other. */
		fibctl_port(b->fib, p->ifindex, FIB_NO_SLOT);
		fp_box_mirror_give(b, (uint16_t)slot);
	} else if (p->attached && p->xdp.on) {
		fp_box_port_set(b, p, false);
	}
	fp_box_port_say(b, p, false, reason);
}

/* --- sockets --- */

void fp_box_pause(struct fp_box *b, bool pause)
{
	for (unsigned i = 0; i < b->conf.n_workers; i++)
		if (pause)
			fp_wthread_pause(b->worker[i].thread);
		else
			fp_wthread_resume(b->worker[i].thread);
}

static int bind_queue(struct fp_box *b, struct fp_box_port *p, unsigned q, bool zero_copy)
{
	struct fp_box_worker *bw = &b->worker[q % b->conf.n_workers];
	struct fp_xsk_conf conf = { .ifindex = p->ifindex,
				    .queue = q,
				    .umem = fp_worker_umem(bw->w),
				    .n_fill = SOCK_FRAMES,
				    .n_comp = SOCK_FRAMES,
				    .n_rx = SOCK_FRAMES,
				    .n_tx = SOCK_FRAMES,
				    .zero_copy = zero_copy };
	struct fp_wport wp = { .partial = p->xdp.flags & EXPRESS_PF_PARTIAL,
			       .zone = p->xdp.zone,
			       .queue = (uint16_t)q,
			       .slot = (uint8_t)slot_of(b, p),
			       .ifindex = p->ifindex,
			       .xdp = fp_xdp_queue(b->xdp, p->xdp.xsk_base + q) };
	int err;

	memcpy(wp.mac, p->nic.mac, 6);
	err = fp_xsk_open(&conf, &wp.xsk);
	if (err)
		return err;
	err = fp_worker_port_add(bw->w, &wp, SOCK_FRAMES);
	if (err) {
		fp_xsk_close(&wp.xsk);
		return err;
	}
	err = fp_xsk_bind(&wp.xsk, &conf);
	if (err)
		return err;
	fp_worker_port_bound(bw->w, slot_of(b, p), q);
	return fp_xdp_xsk_set(b->xdp, p->xdp.xsk_base + q, wp.xsk.fd);
}

/* The NIC has let go of the sockets that were closed before. */
static void settle(struct fp_box *b, struct fp_box_port *p)
{
	for (unsigned i = 0; i < b->conf.n_workers; i++)
		fp_worker_port_settle(b->worker[i].w, slot_of(b, p));
	p->unsettled = false;
}

static void unbind(struct fp_box *b, struct fp_box_port *p, bool gone)
{
	fp_box_vlans_unbind(b, p);
	fp_box_pause(b, true);
	for (unsigned i = 0; i < b->conf.n_workers; i++)
		fp_worker_port_del(b->worker[i].w, slot_of(b, p));
	p->unsettled |= p->zero_copy;
	if (gone)
		settle(b, p);
	fp_box_pause(b, false);
	for (unsigned q = 0; q < p->n_queues; q++)
		fp_xdp_xsk_set(b->xdp, p->xdp.xsk_base + q, -1);
	p->bound = p->zero_copy = false;
}

static int bind_all(struct fp_box *b, struct fp_box_port *p, bool zero_copy)
{
	int err = 0;

	fp_box_pause(b, true);
	for (unsigned q = 0; q < p->n_queues && !err; q++)
		err = bind_queue(b, p, q, zero_copy);
	if (!err)
		settle(b, p);
	fp_box_pause(b, false);
	p->bound = true;
	p->zero_copy = zero_copy;
	if (err)
		unbind(b, p, false);
	return err;
}

/*
 * With zero-copy a frame that XDP redirects has to be copied into a page of its own, which is made
 * for it: dearer than the copy that workers are spared, and most frames of an interface with the
 * express lane are XDP's.
 */
const char *fp_box_port_copies(const struct fp_box_port *p)
{
	if (p->zc_wish == FASTPATH_ZC_OFF)
		return "by configuration";
	if (p->zc_wish == FASTPATH_ZC_AUTO && p->express_wanted && p->nic.redirect_target)
		return "express lane: XDP would copy what it forwards";
	if (!p->nic.zero_copy)
		return "the driver has no zero-copy";
	return *p->zc_refused ? p->zc_refused : NULL;
}

/* Without a copy where that is to be and can be, else with one. */
static int bind_as_can_be(struct fp_box *b, struct fp_box_port *p)
{
	int err;

	if (fp_box_port_copies(p))
		return bind_all(b, p, false);
	err = bind_all(b, p, true);
	/* Busy: the kernel is not done with a socket that was closed; that says nothing of it. */
	if (!err || err == -EBUSY)
		return err;
	if (err == -ENOBUFS)
		rtr_strlcpy(p->zc_refused, "too few packet buffers: dataplane memory",
			    sizeof(p->zc_refused));
	else
		snprintf(p->zc_refused, sizeof(p->zc_refused), "the driver refused zero-copy: %s",
			 strerror(-err));
	return bind_all(b, p, false);
}

/* What workers know of the port that can change while it is bound. */
static void tell_workers(struct fp_box *b, struct fp_box_port *p)
{
	fp_box_pause(b, true);
	for (unsigned i = 0; i < b->conf.n_workers; i++) {
		struct fp_wport *wp;

		for (unsigned n = 0; (wp = fp_worker_port(b->worker[i].w, slot_of(b, p), n)); n++) {
			memcpy(wp->mac, p->nic.mac, 6);
			wp->vrf = p->vrf;
			wp->express_in = p->express_wanted;
			wp->express_out = p->express_wanted && p->nic.redirect_target;
			/* Sending without a copy is cheaper than any injection. */
			wp->prog_fd = p->nic.redirect_target && !p->zero_copy
					      ? fp_xdp_port_fd(b->xdp, slot_of(b, p))
					      : 0;
		}
	}
	fp_box_pause(b, false);
}

/* --- may it be served? --- */

/* NULL: nothing against it. */
static const char *against_nic(const struct fp_box *b, const struct fp_box_port *p, char text[],
			       size_t size)
{
	const struct fp_nic *n = &p->nic;

	if (n->mtu > MTU_MAX) {
		snprintf(text, size, "MTU %u is above %u", n->mtu, (unsigned)MTU_MAX);
		return text;
	}
	if (n->n_rx < b->conf.n_workers || n->n_tx < b->conf.n_workers) {
		snprintf(text, size, "%u queues are fewer than the %u workers",
			 MIN(n->n_rx, n->n_tx), b->conf.n_workers);
		return text;
	}
	if (n->n_rx > FP_QUEUES_MAX) {
		snprintf(text, size, "%u receive queues are more than %u", n->n_rx, FP_QUEUES_MAX);
		return text;
	}
	if (n->rx_vlan_offload && strcmp(n->driver, "veth") && fp_nic_vlan_off(n))
		return "VLAN tags are taken off by the NIC, and it refuses not to";
	return NULL;
}

static const char *against_fib(const struct fp_box *b, const struct fp_box_port *p)
{
	const struct fib_link *l = fib_link(fibctl_fib(b->fib), p->ifindex);

	if (!fibctl_ready(b->fib))
		return elig_text(ELIG_SYNCING);
	if (!l)
		return elig_text(ELIG_NO_LINK);
	if (l->reason && l->reason != ELIG_NO_PORT)
		return elig_doc(l->reason);
	if (!l->up)
		return "interface is down";
	return NULL;
}

/* Without one workers would route what they shall judge and translate. */
static const char *against_policy(const struct fp_box *b)
{
	return b->pol.now ? NULL : "policy: on its way to the fast plane";
}

/* Flows that came by it in another VRF go on, by XDP, until a sweep has asked for their ways. */
static const char *against_vrf(const struct fp_box *b, const struct fp_box_port *p)
{
	return p->back_at && !fp_keeper_swept(b->keeper, p->back_at) ? "its VRF has changed" : NULL;
}

void fp_box_vrf_look(struct fp_box *b, struct fp_box_port *p)
{
	const struct fib_link *l = fib_link(fibctl_fib(b->fib), p->ifindex);

	if (!l || fib_link_vrf(l) == p->vrf)
		return;
	/* Not when it is looked at for the first time: then a sweep is to come anyway. */
	if (p->attached) {
		fp_box_port_off(b, slot_of(b, p), "its VRF has changed");
		p->back_at = fp_keeper_next(b->keeper);
	}
	p->vrf = fib_link_vrf(l);
	p->changed = true;
}

const char *fp_box_against(const struct fp_box *b, const struct fp_box_port *p)
{
	return against_fib(b, p) ?: against_vrf(b, p) ?: against_policy(b);
}

/* on: XDP goes on with the flows that it knows, whatever the program did before. */
static int attach(struct fp_box *b, struct fp_box_port *p, bool on)
{
	unsigned slot = slot_of(b, p);
	int err;

	p->n_queues = p->nic.n_rx;
	p->xdp = (struct express_port){ .on = on,
					.zone = (uint16_t)slot,
					.flags = EXPRESS_PF_ASK | EXPRESS_PF_INJECT,
					.n_queues = (uint16_t)p->n_queues,
					.slot = slot,
					.xsk_base = slot * FP_QUEUES_MAX };
	if (fp_nic_partial(&p->nic))
		p->xdp.flags |= EXPRESS_PF_PARTIAL;
	memcpy(p->xdp.mac, p->nic.mac, 6);
	err = fp_xdp_port_set(b->xdp, p->ifindex, &p->xdp);
	if (!err)
		p->attached = true;
	return err;
}

void fp_box_port_forget(struct fp_box *b, struct fp_box_port *p)
{
	bool wanted = p->wanted;

	fp_box_port_off(b, slot_of(b, p), "interface is gone");
	if (p->bound && p->vlan.vlan)
		fp_box_vlan_unbind(b, p);
	else if (p->bound || p->unsettled)
		unbind(b, p, true);
	*p->zc_refused = '\0';
	if (p->vlan.vlan)
		fp_xdp_vlan_del(b->xdp, &p->vlan);
	else if (p->attached)
		fp_xdp_port_del(b->xdp, slot_of(b, p));
	p->vlan = (struct express_vlan_key){ 0 };
	p->attached = false;
	if (!wanted)
		*p = (struct fp_box_port){ 0 };
}

/* Asks anew for the facts; true: they changed in a way that workers or XDP must know. */
static int ask(struct fp_box *b, struct fp_box_port *p, uint64_t now_ns, bool *ret_changed)
{
	struct fp_nic n;
	int err;

	*ret_changed = false;
	if (p->asked_ns && now_ns - p->asked_ns < ASK_NS)
		return 0;
	err = fp_nic_ask(p->ifindex, &n);
	if (err)
		return err;
	p->asked_ns = now_ns;
	*ret_changed = !p->fast || p->changed || memcmp(n.mac, p->nic.mac, 6) ||
		       n.redirect_target != p->nic.redirect_target || n.n_rx != p->nic.n_rx;
	p->nic = n;
	return 0;
}

static void turn_on(struct fp_box *b, struct fp_box_port *p)
{
	char text[FASTPATH_TEXT];
	unsigned slot = slot_of(b, p);
	int err = 0;

	if (p->bound && (p->n_queues != p->nic.n_rx || p->zero_copy != !fp_box_port_copies(p)))
		unbind(b, p, false);
	if (!p->attached || p->n_queues != p->nic.n_rx)
		err = attach(b, p, true);
	if (err) {
		snprintf(text, sizeof(text), "native XDP: %s", strerror(-err));
		fp_box_port_off(b, slot, text);
		return;
	}
	if (!p->bound)
		err = bind_as_can_be(b, p);
	if (err) {
		snprintf(text, sizeof(text), "AF_XDP: %s", strerror(-err));
		fp_box_port_off(b, slot, text);
		return;
	}
	memcpy(p->xdp.mac, p->nic.mac, 6);
	tell_workers(b, p);
	/* Ways lead there before the sweep looks at its flows: else their way would be the
	 * kernel's, and they were given away. */
	fibctl_port(b->fib, p->ifindex, slot);
	fp_box_port_set(b, p, true);
	fp_box_port_say(b, p, true,
			p->nic.redirect_target ? "" : "XDP cannot redirect to it: no express out");
}

static void unwanted(struct fp_box *b, struct fp_box_port *p)
{
	char name[IF_NAMESIZE];

	/* Its slot is free for another only when it is gone: flows may name it. */
	if (!p->ifindex || (!p->attached && !b->synced))
		return;
	if (!if_indextoname(p->ifindex, name))
		fp_box_port_forget(b, p);
	else if (!p->attached && !attach(b, p, false))
		/* Of a process before, and not told of: the program that it left passes all. */
		fibctl_port(b->fib, p->ifindex, FIB_NO_SLOT);
}

void fp_box_port_look(struct fp_box *b, unsigned slot, uint64_t now_ns)
{
	struct fp_box_port *p = &b->port[slot];
	char text[FASTPATH_TEXT];
	const char *against;
	bool changed;

	if (fp_box_is_vlan(b, p)) {
		fp_box_vlan_look(b, p);
		return;
	}
	if (!p->wanted) {
		unwanted(b, p);
		return;
	}
	fp_box_vrf_look(b, p);
	if (ask(b, p, now_ns, &changed)) {
		fp_box_port_forget(b, p);
		return;
	}
	against = against_nic(b, p, text, sizeof(text)) ?: fp_box_against(b, p);
	if (against)
		fp_box_port_off(b, slot, against);
	else if (!p->fast || changed)
		turn_on(b, p);
}
