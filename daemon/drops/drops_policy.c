/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the rules of the firewall and of NAT dropped, by the line that says so. */
#include "drops/drops.h"

#include "firewall/compile.h"
#include "firewall/fw_show.h"
#include "firewall/list_hits.h"
#include "iface/iface.h"
#include "nat/nat_nft.h"
#include "nft/nft_count.h"

#include <string.h>

static void put(enum rtr_drop reason, const char *ifname, const char *where, uint64_t packets,
		uint64_t last_ns)
{
	drops_put(&(struct drop_id){ DROP_AT_NFT, reason, "", ifname, where, false }, packets,
		  last_ns);
}

static const struct {
	enum fw_counter id;
	enum rtr_drop reason;
	const char *where;
} ends[] = {
	{ FW_CNT_MARTIAN, RTR_DROP_SRC_MARTIAN, "addresses that cannot be" },
	{ FW_CNT_URPF, RTR_DROP_URPF, "reverse path" },
	{ FW_CNT_INVALID, RTR_DROP_CT_INVALID, "state invalid" },
	{ FW_CNT_NO_PAIR, RTR_DROP_ZONE_DENY, "no zone pair" },
	{ FW_CNT_BOX, RTR_DROP_ZONE_DENY, "the box, closed" },
	{ FW_CNT_IN_END, RTR_DROP_ACL_DEFAULT, "end of a list in" },
	{ FW_CNT_OUT_END, RTR_DROP_ACL_DEFAULT, "end of a list out" },
	{ FW_CNT_LIMIT, RTR_DROP_CT_RATE, "limit of a line" },
	{ FW_CNT_HOST, RTR_DROP_CT_HOST_LIMIT, "host-sessions" },
	{ FW_CNT_NAME, RTR_DROP_INSPECT, "server name" },
};

static const struct {
	enum nat_guard_id id;
	enum rtr_drop reason;
	const char *where;
} guards[] = {
	{ NAT_ID_FAST, RTR_DROP_NAT_NO_MAPPING, "NAT: port of the fast plane" },
	{ NAT_ID_INVALID, RTR_DROP_NAT_NO_MAPPING, "NAT: of no connection" },
	{ NAT_ID_LEAK, RTR_DROP_NAT_LEAK, "NAT: untranslated" },
};

/* The interface, when the list is bound to one alone. */
static const char *bound_to(const struct policy *p, const struct pol_list *l)
{
	const char *found = "";

	for (size_t i = 0; i < p->n_ifaces; i++) {
		const struct pol_iface *f = &p->ifaces[i];

		if (f->in4 != l && f->in6 != l && f->out4 != l && f->out6 != l)
			continue;
		if (*found)
			return "";
		found = iface_operator_name(f->name);
	}
	return found;
}

static bool drops_packets(enum pol_action a)
{
	return a == POL_DENY || a == POL_REJECT;
}

static void put_list(const struct policy *p, const struct pol_list *l)
{
	const char *ifname = NULL;

	for (size_t i = 0; i < l->n; i++) {
		const struct pol_rule *r = l->rules[i];
		char where[DROP_WHERE];
		struct lc_hit h;

		if (!drops_packets(r->action))
			continue;
		/* Workers tell their drops by interface and reason. */
		h = lc_hits_get(r->id);
		h.packets -= h.fast;
		if (!h.packets)
			continue;
		if (!ifname)
			ifname = bound_to(p, l);
		snprintf(where, sizeof(where), "%slist %.40s line %u",
			 l->family == AF_INET6 ? "IPv6 " : "", l->name, r->seq);
		put(RTR_DROP_ACL_DENY, ifname, where, h.packets, h.last_ns);
	}
}

void drops_read_policy(void)
{
	const struct policy *p = policy_running();

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct nft_count n = nft_count_get(FW_CNT_ID(ends[i].id));

		put(ends[i].reason, "", ends[i].where, n.packets, n.last_hit_ns);
	}
	for (size_t i = 0; i < ARRAY_LEN(guards); i++) {
		struct nft_count n = nft_count_get(nat_guard_id(guards[i].id));

		put(guards[i].reason, "", guards[i].where, n.packets, n.last_hit_ns);
	}
	for (size_t i = 0; p && i < p->n_lists; i++)
		put_list(p, p->lists[i]);
	for (size_t i = 0; p && i < p->n_pairs; i++) {
		for (size_t k = 0; k < p->pairs[i].n_classes; k++) {
			const struct pol_class *c = &p->pairs[i].classes[k];
			struct nft_count n = nft_count_get(c->id);
			char where[DROP_WHERE];

			if (!drops_packets(c->action) || !n.packets)
				continue;
			snprintf(where, sizeof(where), "%.24s class %.24s", p->pairs[i].name,
				 c->name);
			put(RTR_DROP_ZONE_DENY, "", where, n.packets, n.last_hit_ns);
		}
	}
}
