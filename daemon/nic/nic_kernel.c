/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lines about NICs, their check and plan: the domain "nic". */
#include "domain.h"
#include "iface/iface.h"
#include "kernel/apply.h"
#include "kernel/baseline.h"
#include "kernel/shadow.h"
#include "nic/nic.h"
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
	{ "ring", "Packets that the NIC's rings hold" },
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

/* As goal() of links: what to write, NULL when it is right. Values are numbers. */
static bool goal(struct plan *p, const struct shadow_link *l, const char *attr, int64_t want,
		 uint32_t now, uint32_t *ret)
{
	char key[KEY_SIZE], text[16];
	const char *before;

	snprintf(key, sizeof(key), "nic %d %s %s", l->ifindex, l->name, attr);
	if (want >= 0) {
		snprintf(text, sizeof(text), "%u", now);
		*ret = (uint32_t)want;
		if (*ret == now)
			return false;
		plan_keep(p, key, text);
		return true;
	}
	before = baseline_get(key);
	if (!before)
		return false;
	*ret = (uint32_t)strtoul(before, NULL, 10);
	if (*ret == now)
		plan_drop(p, key);
	return *ret != now;
}

static bool has_memory(const struct shadow_link *l, const char *attr)
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
	if ((!rx && !tx && !has_memory(l, "ring-rx") && !has_memory(l, "ring-tx")) ||
	    nic_rings(l->ifindex, &now))
		return;
	if (goal(p, l, "ring-rx", rx ? (int64_t)i->ring_rx : -1, now.rx, &v))
		plan_nl(p, nic_set_rings(l->ifindex, v, 0), i ? &i->rec : NULL,
			"set receive ring of %s to %u", l->name, v);
	if (goal(p, l, "ring-tx", tx ? (int64_t)i->ring_tx : -1, now.tx, &v))
		plan_nl(p, nic_set_rings(l->ifindex, 0, v), i ? &i->rec : NULL,
			"set transmit ring of %s to %u", l->name, v);
}

static void plan_queues(struct plan *p, const struct iface *i, const struct shadow_link *l)
{
	bool want = i && SCH_HAS(i, hw_queues);
	struct nic_queues now;
	uint32_t v;

	if ((!want && !has_memory(l, "queues")) || nic_queues(l->ifindex, &now))
		return;
	if (goal(p, l, "queues", want ? (int64_t)i->hw_queues : -1, now.combined, &v))
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

/* A link that the model does not name any more gets back what was before. */
static void restore_one(void *arg, const char *key, const char *value)
{
	char name[IFNAMSIZ], attr[48];
	const struct shadow_link *l;
	struct plan *p = arg;
	int ifindex;

	if (sscanf(key, "nic %d %15s %47s", &ifindex, name, attr) != 3)
		return;
	l = shadow_link_by_index(ifindex);
	if (!l || strcmp(l->name, name)) {
		plan_drop(p, key);
		return;
	}
	if (iface_find(p->want, iface_operator_name(name)))
		return;
	if (!strncmp(attr, "ring", 4))
		plan_rings(p, NULL, l);
	else if (!strcmp(attr, "queues"))
		plan_queues(p, NULL, l);
	else
		plan_features(p, NULL, l);
}

static void plan(struct plan *p)
{
	const struct recvec *ifaces = rec_kids(p->want, &iface_type);
	const struct iface *i;

	recvec_foreach(ifaces, i) {
		const struct shadow_link *l = iface_link(i->name);

		if (!l || iface_kind_of(i->name) != IFACE_HARD)
			continue;
		plan_queues(p, i, l);
		plan_rings(p, i, l);
		plan_features(p, i, l);
	}
	baseline_foreach("nic ", restore_one, p);
}

/* ---- check ---- */

static void check_nic(struct check *c, const struct iface *i, const struct shadow_link *l)
{
	struct nic_queues q;
	struct nic_pair r;

	if (SCH_HAS(i, ring_rx) || SCH_HAS(i, ring_tx)) {
		if (nic_rings(l->ifindex, &r))
			check_error(c, &i->rec, "%s has no rings that can be set", i->name);
		else if ((SCH_HAS(i, ring_rx) && i->ring_rx > r.rx_max) ||
			 (SCH_HAS(i, ring_tx) && i->ring_tx > r.tx_max))
			check_error(c, &i->rec, "the rings of %s hold at most %u (rx) and %u (tx)",
				    i->name, r.rx_max, r.tx_max);
	}
	if (!SCH_HAS(i, hw_queues))
		return;
	if (nic_queues(l->ifindex, &q) || !q.combined_max)
		check_error(c, &i->rec, "%s has no queues that can be set", i->name);
	else if (i->hw_queues > q.combined_max)
		check_error(c, &i->rec, "%s has %u queues at most", i->name, q.combined_max);
}

static void check_offloads(struct check *c, const struct iface *i, const struct shadow_link *l)
{
	static struct nic_features now;
	const struct recvec *v = rec_kids(&i->rec, &nic_offload_type);
	const struct nic_offload *o;

	if (v->len && (!l || nic_features(l->ifindex, &now)))
		now.n = 0;
	recvec_foreach(v, o) {
		bool settable = !now.n;

		for (size_t k = 0; k < NIC_NAMES && nic_names[o->feature][k]; k++) {
			const struct nic_feature_bits *b = nic_find(&now, nic_names[o->feature][k]);

			settable |= b && b->settable;
		}
		if (o->feature == NIC_LRO && o->state && routes_packets(c->new, i))
			check_error(c, &o->rec, "packets that LRO has joined cannot be routed");
		else if (!settable)
			check_error(c, &o->rec, "%s cannot be set on %s", nic_words[o->feature],
				    i->name);
		else if (!o->state &&
			 (o->feature == NIC_TSO || o->feature == NIC_GSO ||
			  o->feature == NIC_GRO) &&
			 iface_find(c->old, i->name) != i)
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

		old = iface_find(c->old, i->name);
		if ((any || rec_kids(&i->rec, &nic_offload_type)->len) &&
		    iface_kind_of(i->name) != IFACE_HARD)
			check_error(c, &i->rec, "%s is no NIC", i->name);
		else if (l && old != i && any)
			check_nic(c, i, l);
		if (old != i)
			check_offloads(c, i, l);
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
