/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lines about NICs, their check and plan: the domain "nic". */
#include "domain.h"
#include "iface/iface.h"
#include "kernel/apply.h"
#include "kernel/baseline.h"
#include "kernel/shadow.h"
#include "nic/nic.h"
#include "nic/nic_plan.h"
#include "system/global.h"

#include <stdio.h>
#include <stdlib.h>

#define KEY_SIZE 96

const char *const nic_words[NIC_FEATURE__MAX] = { "tso", "gso",         "gro",
						  "lro", "rx-checksum", "tx-checksum" };
const char *const nic_names[NIC_FEATURE__MAX][NIC_NAMES] = {
	[NIC_TSO] = { "tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-tcp-ecn-segmentation",
		      "tx-tcp-mangleid-segmentation", "tx-tcp-accecn-segmentation" },
	[NIC_GSO] = { "tx-generic-segmentation" },
	[NIC_GRO] = { "rx-gro" },
	[NIC_LRO] = { "rx-lro" },
	[NIC_RX_CHECKSUM] = { "rx-checksum" },
	[NIC_TX_CHECKSUM] = { "tx-checksum-ip-generic", "tx-checksum-ipv4", "tx-checksum-ipv6",
			      "tx-checksum-sctp" },
};

SCH_TYPE(nic_offload, SCH_F(nic_offload, feature), SCH_F(nic_offload, state));

static const struct sch_row rows[] = {
	SCH_LEAF("ring {rx <ring_rx:U32(1,1048576)>[ tx <ring_tx:U32(1,1048576)>]"
		 "|tx <ring_tx:U32(1,1048576)>}",
		 iface, .help = "Packets that the NIC's rings hold"),
	SCH_LEAF("hardware-queue <hw_queues:U16(1,1024)>", iface,
		 .help = "Pairs of receive and transmit queues of the NIC"),
	SCH_LIST("queue <queue:U16(0,1023)> {what:cpu|rps|xps} <cpus:CPULIST>", nic_queue,
		 .parent = &iface_type, .key = "queue what", .name = "queue",
		 .help = "CPUs that serve a queue of the NIC"),
	SCH_LEAF("rss key <rss_key:RSSKEY>", iface,
		 .help = "Key of the hash that spreads packets over the queues"),
	SCH_LEAF("rss symmetric-xor", iface, .flag = "rss_xor",
		 .help = "Source and destination are mixed before the hash"),
	SCH_LIST("offload {feature:tso|gso|gro|lro|rx-checksum|tx-checksum} {state:off|on}",
		 nic_offload, .parent = &iface_type, .key = "feature", .name = "offload",
		 .help = "What the NIC, or the kernel for it, does with packets in passing"),
};

static const struct sch_word words[] = {
	{ "gro", "Packets of one flow are joined on receipt, and cut again" },
	{ "gso", "Large packets are cut as late as possible" },
	{ "hardware-queue", "Queues of the NIC" },
	{ "lro", "The NIC joins packets on receipt, for good: no port of a router wants it" },
	{ "off", "Not" },
	{ "offload", "What the NIC does with packets in passing" },
	{ "queue", "CPUs of a queue of the NIC" },
	{ "cpu", "That its interrupts go to" },
	{ "rps", "That take its packets from there (RPS)" },
	{ "xps", "Whose packets leave by it (XPS)" },
	{ "ring", "Packets that the NIC's rings hold" },
	{ "rss", "How the NIC spreads packets over its queues" },
	{ "key", "Key of the hash" },
	{ "rx", "On receipt" },
	{ "rx-checksum", "The NIC checks checksums" },
	{ "tso", "The NIC cuts large TCP packets" },
	{ "tx", "On sending" },
	{ "tx-checksum", "The NIC writes checksums" },
};

/* ---- what a setting shall be ---- */

static bool routes_packets(const struct rec *root, const struct iface *i)
{
	const struct global *g = (const void *)root;

	return !i->shutdown && !(SCH_HAS(g, ip_routing) && !g->ip_routing);
}

/* 0 off, 1 on, -1: nothing is said about it. */
static int wanted_state(const struct rec *root, const struct iface *i, const char *name)
{
	const struct recvec *v = rec_kids(&i->rec, &nic_offload_type);
	const struct nic_offload *o;

	recvec_foreach(v, o) {
		for (size_t k = 0; k < NIC_NAMES && nic_names[o->feature][k]; k++) {
			if (!strcmp(nic_names[o->feature][k], name))
				return o->state;
		}
	}
	return !strcmp(name, "rx-lro") && routes_packets(root, i) ? 0 : -1;
}

const char *nic_goal(struct plan *p, const struct shadow_link *l, const char *attr,
		     const char *want, const char *now)
{
	char key[KEY_SIZE];

	snprintf(key, sizeof(key), "nic %d %s %s", l->ifindex, l->name, attr);
	return plan_goal(p, key, want, now);
}

/* The same for numbers; want -1: nobody says. */
static bool goal(struct plan *p, const struct shadow_link *l, const char *attr, int64_t want,
		 uint32_t now, uint32_t *ret)
{
	char text[16], is[16];
	const char *g;

	snprintf(text, sizeof(text), "%u", (unsigned)want);
	snprintf(is, sizeof(is), "%u", now);
	g = nic_goal(p, l, attr, want >= 0 ? text : NULL, is);
	if (g)
		*ret = (uint32_t)strtoul(g, NULL, 10);
	return g;
}

bool nic_has_memory(const struct shadow_link *l, const char *attr)
{
	char key[KEY_SIZE];

	snprintf(key, sizeof(key), "nic %d %s %s", l->ifindex, l->name, attr);
	return baseline_get(key);
}

static void plan_rings(struct plan *p, const struct iface *i, const struct shadow_link *l)
{
	bool rx = i && SCH_HAS(i, ring_rx), tx = i && SCH_HAS(i, ring_tx);
	struct nic_pair now;
	uint32_t v;

	/* The NIC is asked only about what somebody wants, or wanted. */
	if ((!rx && !tx && !nic_has_memory(l, "ring-rx") && !nic_has_memory(l, "ring-tx")) ||
	    nic_rings(l->ifindex, &now))
		return;
	/* A machine that came up with less gets as much as it has. */
	if (goal(p, l, "ring-rx", rx ? MIN((int64_t)i->ring_rx, now.rx_max) : -1, now.rx, &v))
		plan_nl(p, nic_set_rings(l->ifindex, v, 0), i ? &i->rec : NULL,
			"set receive ring of %s to %u", l->name, v);
	if (goal(p, l, "ring-tx", tx ? MIN((int64_t)i->ring_tx, now.tx_max) : -1, now.tx, &v))
		plan_nl(p, nic_set_rings(l->ifindex, 0, v), i ? &i->rec : NULL,
			"set transmit ring of %s to %u", l->name, v);
}

static void plan_queues(struct plan *p, const struct iface *i, const struct shadow_link *l)
{
	bool want = i && SCH_HAS(i, hw_queues);
	struct nic_queues now;
	uint32_t v;

	if ((!want && !nic_has_memory(l, "queues")) || nic_queues(l->ifindex, &now) ||
	    !now.combined_max)
		return;
	if (goal(p, l, "queues", want ? MIN((int64_t)i->hw_queues, now.combined_max) : -1,
		 now.combined, &v))
		plan_nl(p, nic_set_queues(l->ifindex, v), i ? &i->rec : NULL,
			"set queues of %s to %u", l->name, v);
}

static void plan_features(struct plan *p, const struct iface *i, const struct shadow_link *l)
{
	static struct nic_features now; /* some KiB */

	if (nic_features(l->ifindex, &now))
		return;
	for (unsigned f = 0; f < NIC_FEATURE__MAX; f++) {
		for (size_t k = 0; k < NIC_NAMES && nic_names[f][k]; k++) {
			const struct nic_feature_bits *b = nic_find(&now, nic_names[f][k]);
			uint32_t v;

			if (!b || !b->settable)
				continue;
			if (goal(p, l, b->name, i ? wanted_state(p->want, i, b->name) : -1,
				 b->wanted, &v))
				plan_nl(p, nic_set_feature(l->ifindex, b->name, v),
					i ? &i->rec : NULL, "set %s of %s %s", b->name, l->name,
					v ? "on" : "off");
		}
	}
}

static void plan_link(struct plan *p, const struct iface *i, const struct shadow_link *l)
{
	plan_queues(p, i, l);
	plan_rings(p, i, l);
	plan_features(p, i, l);
	nic_plan_rss(p, i, l);
	nic_plan_serve(p, i, l);
}

struct restore {
	struct plan *p;
	int done; /* the keys of a link follow each other: it is planned with the first */
};

/* A link that the model does not name any more gets back what was before. */
static void restore_one(void *arg, const char *key, const char *value)
{
	const struct shadow_link *l;
	struct restore *r = arg;
	struct plan *p = r->p;
	char name[IFNAMSIZ];
	int ifindex;

	if (sscanf(key, "nic %d %15s", &ifindex, name) != 2)
		return;
	l = shadow_link_by_index(ifindex);
	if (!l || strcmp(l->name, name)) {
		plan_drop(p, key);
		return;
	}
	if (ifindex == r->done || iface_find(p->want, iface_operator_name(name)))
		return;
	r->done = ifindex;
	plan_link(p, NULL, l);
}

static void plan(struct plan *p)
{
	const struct recvec *ifaces = rec_kids(p->want, &iface_type);
	struct restore r = { .p = p };
	const struct iface *i;

	recvec_foreach(ifaces, i) {
		const struct shadow_link *l = iface_link(i->name);

		if (l && iface_kind_of(i->name) == IFACE_HARD)
			plan_link(p, i, l);
	}
	baseline_foreach("nic ", restore_one, &r);
}

/* ---- check ---- */

nic_say nic_say_of(const struct check *c, bool is_new)
{
	return is_new && !c->saved ? check_error : check_warn;
}

static void check_nic(struct check *c, const struct iface *i, const struct iface *old,
		      const struct shadow_link *l)
{
	nic_say ring = nic_say_of(c,
				  !old || old->ring_rx != i->ring_rx || old->ring_tx != i->ring_tx);
	nic_say queues = nic_say_of(c, !old || old->hw_queues != i->hw_queues);
	struct nic_queues q;
	struct nic_pair r;

	if (SCH_HAS(i, ring_rx) || SCH_HAS(i, ring_tx)) {
		if (nic_rings(l->ifindex, &r))
			ring(c, &i->rec, "%s has no rings that can be set", i->name);
		else if ((SCH_HAS(i, ring_rx) && i->ring_rx > r.rx_max) ||
			 (SCH_HAS(i, ring_tx) && i->ring_tx > r.tx_max))
			ring(c, &i->rec, "the rings of %s hold at most %u (rx) and %u (tx)",
			     i->name, r.rx_max, r.tx_max);
	}
	if (!SCH_HAS(i, hw_queues))
		return;
	if (nic_queues(l->ifindex, &q) || !q.combined_max)
		queues(c, &i->rec, "%s has no queues that can be set", i->name);
	else if (i->hw_queues > q.combined_max)
		queues(c, &i->rec, "%s has %u queues at most", i->name, q.combined_max);
}

static void check_offloads(struct check *c, const struct iface *i, const struct iface *old,
			   const struct shadow_link *l)
{
	static struct nic_features now;
	const struct recvec *v = rec_kids(&i->rec, &nic_offload_type);
	const struct nic_offload *o;

	if (v->len && (!l || nic_features(l->ifindex, &now)))
		now.n = 0;
	recvec_foreach(v, o) {
		const struct nic_offload *was = old ? (const void *)rec_find(
							      &old->rec, &nic_offload_type, &o->rec)
						    : NULL;
		bool settable = !now.n;

		for (size_t k = 0; k < NIC_NAMES && nic_names[o->feature][k]; k++) {
			const struct nic_feature_bits *b = nic_find(&now, nic_names[o->feature][k]);

			settable |= b && b->settable;
		}
		if (o->feature == NIC_LRO && o->state && routes_packets(c->new, i))
			check_error(c, &o->rec, "packets that LRO has joined cannot be routed");
		else if (!settable)
			nic_say_of(c, !was || was->state != o->state)(
				c, &o->rec, "%s cannot be set on %s", nic_words[o->feature],
				i->name);
		else if (!o->state &&
			 (o->feature == NIC_TSO || o->feature == NIC_GSO || o->feature == NIC_GRO))
			check_warn(c, &o->rec, "without %s each packet costs its full price",
				   nic_words[o->feature]);
	}
}

static void check(struct check *c)
{
	const struct recvec *ifaces = rec_kids(c->new, &iface_type);
	const struct iface *i, *old;

	recvec_foreach(ifaces, i) {
		const struct shadow_link *l = c->offline ? NULL : iface_link(i->name);
		bool any = SCH_HAS(i, ring_rx) || SCH_HAS(i, ring_tx) || SCH_HAS(i, hw_queues);
		bool more = any || i->rss_key || i->rss_xor ||
			    rec_kids(&i->rec, &nic_offload_type)->len ||
			    rec_kids(&i->rec, &nic_queue_type)->len;

		old = iface_find(c->old, i->name);
		if (more && iface_kind_of(i->name) != IFACE_HARD) {
			check_error(c, &i->rec, "%s is no NIC", i->name);
			continue;
		}
		if (l && old != i && any)
			check_nic(c, i, old, l);
		if (old != i) {
			check_offloads(c, i, old, l);
			nic_check_rss(c, i, old, l);
			nic_check_serve(c, i, old, l);
		}
		if (any && old &&
		    (old->ring_rx != i->ring_rx || old->ring_tx != i->ring_tx ||
		     old->hw_queues != i->hw_queues))
			check_warn(c, &i->rec, "%s may be down for a moment", i->name);
	}
}

static const char *const after_links[] = { "links", NULL };

static const struct domain nic_domain = {
	.name = "nic",
	.after = after_links,
	.rows = rows,
	.n_rows = ARRAY_LEN(rows),
	.words = words,
	.n_words = ARRAY_LEN(words),
	.check = check,
	.plan = plan,
};
RTR_DOMAIN(nic_domain);
