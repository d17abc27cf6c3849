/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fast plane has carried for VLANs. A NIC's driver counts what XDP forwards; the device of
 * a VLAN never sees it, so it is added to the kernel's counters wherever those are shown.
 *
 * rtr-fastpath tells once a second, while there is something new. XDP's figures outlive it, those
 * of its workers do not: what a process before had counted is kept here.
 */
#include "fastpath/fastpath.h"
#include "kernel/shadow.h"
#include "util.h"

#include <linux/if_link.h>
#include <stdlib.h>

struct carried {
	int ifindex;
	uint64_t process;
	struct express_carried before, workers, xdp;
	struct carried *next;
};

static struct carried *all;

static void add(struct express_carried *to, const struct express_carried *c)
{
	to->rx += c->rx;
	to->rx_bytes += c->rx_bytes;
	to->tx += c->tx;
	to->tx_bytes += c->tx_bytes;
}

static struct carried *find(int ifindex)
{
	struct carried *c = all;

	while (c && c->ifindex != ifindex)
		c = c->next;
	return c;
}

static bool is_vlan(int ifindex)
{
	const struct shadow_link *l = shadow_link_by_index(ifindex);

	return l && l->vlan_id;
}

void fast_carried_take(const struct fastpath_event *e, uint64_t process)
{
	const struct fastpath_count *now = &e->u.count;
	struct carried *c = find(e->ifindex);

	if (!is_vlan(e->ifindex))
		return;
	if (!c) {
		c = xcalloc(1, sizeof(*c));
		c->ifindex = e->ifindex;
		c->process = process;
		c->next = all;
		all = c;
	}
	if (c->process != process) {
		add(&c->before, &c->workers);
		c->process = process;
	}
	/* Tables of other sizes begin anew. */
	if (now->xdp.vlan.rx < c->xdp.rx || now->xdp.vlan.tx < c->xdp.tx)
		add(&c->before, &c->xdp);
	c->workers = now->vlan;
	c->xdp = now->xdp.vlan;
}

void fast_carried_add(int ifindex, struct rtnl_link_stats64 *stats)
{
	const struct carried *c = find(ifindex);
	struct express_carried sum;

	if (!c)
		return;
	sum = c->before;
	add(&sum, &c->workers);
	add(&sum, &c->xdp);
	stats->rx_packets += sum.rx;
	stats->rx_bytes += sum.rx_bytes;
	stats->tx_packets += sum.tx;
	stats->tx_bytes += sum.tx_bytes;
}

static void drop_unless(bool (*keep)(int ifindex))
{
	for (struct carried **pp = &all; *pp;) {
		struct carried *c = *pp;

		if (keep && keep(c->ifindex)) {
			pp = &c->next;
			continue;
		}
		*pp = c->next;
		free(c);
	}
}

void fast_carried_prune(void)
{
	drop_unless(is_vlan);
}

void fast_carried_fini(void)
{
	drop_unless(NULL);
}
