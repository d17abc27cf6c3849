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

static void port_set(struct fp_box *b, struct fp_box_port *p, bool on)
{
	struct fp_keeper_port *k = &b->keeper_port[slot_of(b, p)];

	p->xdp.on = on;
	fp_xdp_port_set(b->xdp, p->ifindex, &p->xdp);
	__atomic_store_n(&k->express_in, on && p->express_wanted, __ATOMIC_RELAXED);
	__atomic_store_n(&k->express_out, on && p->express_wanted && p->nic.redirect_target,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&k->ifindex, on ? p->ifindex : 0, __ATOMIC_RELEASE);
	fp_keeper_hurry(b->keeper);
}

static void say(struct fp_box *b, struct fp_box_port *p, bool fast, const char *reason)
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

	if (p->fast) {
		fp_box_mirror_ready(b, (uint16_t)slot);
		port_set(b, p, false);
		/* No way leads there any more: a worker that meets a flow which was given away
		 * begins no other. */
		fibctl_port(b->fib, p->ifindex, FIB_NO_SLOT);
		fp_box_mirror_give(b, (uint16_t)slot);
	} else if (p->attached && p->xdp.on) {
		port_set(b, p, false);
	}
	say(b, p, false, reason);
}

/* --- sockets --- */

static void pause_all(struct fp_box *b)
{
	for (unsigned i = 0; i < b->conf.n_workers; i++)
		fp_wthread_pause(b->worker[i].thread);
}

static void resume_all(struct fp_box *b)
{
	for (unsigned i = 0; i < b->conf.n_workers; i++)
		fp_wthread_resume(b->worker[i].thread);
}

static int bind_queue(struct fp_box *b, struct fp_box_port *p, unsigned q)
{
	struct fp_box_worker *bw = &b->worker[q % b->conf.n_workers];
	struct fp_xsk_conf conf = { .ifindex = p->ifindex,
				    .queue = q,
				    .umem = fp_worker_umem(bw->w),
				    .n_fill = SOCK_FRAMES,
				    .n_comp = SOCK_FRAMES,
				    .n_rx = SOCK_FRAMES,
				    .n_tx = SOCK_FRAMES };
	struct fp_wport wp = { .partial = p->xdp.flags & EXPRESS_PF_PARTIAL,
			       .zone = p->xdp.zone,
			       .slot = (uint8_t)slot_of(b, p),
			       .ifindex = p->ifindex,
			       .beat = fp_xdp_beat(b->xdp, p->xdp.xsk_base + q) };
	int err;

	memcpy(wp.mac, p->nic.mac, 6);
	err = fp_xsk_open(&conf, &wp.xsk);
	if (err)
		return err;
	err = fp_xdp_xsk_set(b->xdp, p->xdp.xsk_base + q, wp.xsk.fd)
		      ?: fp_worker_port_add(bw->w, &wp, SOCK_FRAMES);
	if (err)
		fp_xsk_close(&wp.xsk);
	return err;
}

static void unbind(struct fp_box *b, struct fp_box_port *p)
{
	pause_all(b);
	for (unsigned i = 0; i < b->conf.n_workers; i++)
		fp_worker_port_del(b->worker[i].w, slot_of(b, p));
	resume_all(b);
	for (unsigned q = 0; q < p->n_queues; q++)
		fp_xdp_xsk_set(b->xdp, p->xdp.xsk_base + q, -1);
	p->bound = false;
}

static int bind_all(struct fp_box *b, struct fp_box_port *p)
{
	int err = 0;

	pause_all(b);
	for (unsigned q = 0; q < p->n_queues && !err; q++)
		err = bind_queue(b, p, q);
	resume_all(b);
	p->bound = true;
	if (err)
		unbind(b, p);
	return err;
}

/* What workers know of the port that can change while it is bound. */
static void tell_workers(struct fp_box *b, struct fp_box_port *p)
{
	pause_all(b);
	for (unsigned i = 0; i < b->conf.n_workers; i++) {
		struct fp_wport *wp;

		for (unsigned n = 0; (wp = fp_worker_port(b->worker[i].w, slot_of(b, p), n)); n++) {
			memcpy(wp->mac, p->nic.mac, 6);
			wp->express_in = p->express_wanted;
			wp->express_out = p->express_wanted && p->nic.redirect_target;
			wp->prog_fd = p->nic.redirect_target ? fp_xdp_port_fd(b->xdp, slot_of(b, p))
							     : 0;
		}
	}
	resume_all(b);
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

static void forget(struct fp_box *b, struct fp_box_port *p)
{
	bool wanted = p->wanted;

	fp_box_port_off(b, slot_of(b, p), "interface is gone");
	if (p->bound)
		unbind(b, p);
	if (p->attached)
		fp_xdp_port_del(b->xdp, slot_of(b, p));
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
	*ret_changed = !p->fast || memcmp(n.mac, p->nic.mac, 6) ||
		       n.redirect_target != p->nic.redirect_target;
	p->nic = n;
	return 0;
}

static void turn_on(struct fp_box *b, struct fp_box_port *p)
{
	char text[FASTPATH_TEXT];
	unsigned slot = slot_of(b, p);
	int err = 0;

	if (p->bound && p->n_queues != p->nic.n_rx)
		unbind(b, p);
	if (!p->attached || p->n_queues != p->nic.n_rx)
		err = attach(b, p, true);
	if (err) {
		snprintf(text, sizeof(text), "native XDP: %s", strerror(-err));
		fp_box_port_off(b, slot, text);
		return;
	}
	if (!p->bound)
		err = bind_all(b, p);
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
	port_set(b, p, true);
	say(b, p, true, p->nic.redirect_target ? "" : "XDP cannot redirect to it: no express out");
}

static void unwanted(struct fp_box *b, struct fp_box_port *p)
{
	char name[IF_NAMESIZE];

	/* Its slot is free for another only when it is gone: flows may name it. */
	if (!p->ifindex || (!p->attached && !b->synced))
		return;
	if (!if_indextoname(p->ifindex, name))
		forget(b, p);
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

	if (!p->wanted) {
		unwanted(b, p);
		return;
	}
	if (ask(b, p, now_ns, &changed)) {
		forget(b, p);
		return;
	}
	against = against_nic(b, p, text, sizeof(text)) ?: against_fib(b, p) ?: against_policy(b);
	if (against)
		fp_box_port_off(b, slot, against);
	else if (!p->fast || changed)
		turn_on(b, p);
}
