/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the fast plane dropped: its workers and its XDP program count by the same reasons. */
#include "drops/drops.h"

#include "fastpath/fastpath.h"

static void put(const struct fast_port *p, enum rtr_drop reason, const char *where, uint64_t n)
{
	drops_put(&(struct drop_id){ DROP_AT_FAST, reason, "", iface_operator_name(p->name), where,
				     false },
		  n, 0);
}

bool drops_is_fast(int ifindex)
{
	const struct fast_port *p = fast_seen()->ports;

	while (p && p->ifindex != ifindex)
		p = p->next;
	return p && p->heard;
}

void drops_read_fast(void)
{
	for (const struct fast_port *p = fast_seen()->ports; p; p = p->next) {
		const struct fastpath_count *c = &p->count.u.count;

		for (unsigned r = 1; r < RTR_DROP__MAX; r++) {
			put(p, (enum rtr_drop)r, "worker", c->drop[r]);
			put(p, (enum rtr_drop)r, "XDP", c->xdp.drop[r]);
		}
		put(p, RTR_DROP_RX_RING, "AF_XDP socket", c->ring_full + c->ring_dropped);
	}
}
