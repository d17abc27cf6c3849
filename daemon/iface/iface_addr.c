/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses: what each link carries against what the model gives it. */
#include "iface/iface.h"

#include "auto/auto.h"
#include "domain.h"
#include "iface/addr_order.h"
#include "kernel/rtmsg.h"
#include "kernel/shadow.h"
#include "neigh/dad.h"

#include <linux/if_addr.h>
#include <stdlib.h>
#include <string.h>

/* Below it the kernel takes IPv6 off the link (RFC 8200 section 5). */
#define IPV6_MIN_MTU 1280

static void plan_addr(struct plan *p, const struct shadow_link *l, const struct rtr_prefix *a,
		      bool add, const struct rec *rec)
{
	struct ifaddrmsg ifa = { .ifa_family = a->addr.family,
				 .ifa_prefixlen = a->len,
				 .ifa_scope = RT_SCOPE_UNIVERSE,
				 .ifa_index = (uint32_t)l->ifindex };
	uint8_t proto = shadow_proto();
	char text[RTR_PREFIX_STRLEN];
	struct nl_msg *m;

	m = rtmsg_new(add ? RTM_NEWADDR : RTM_DELADDR, add ? NLM_F_CREATE | NLM_F_EXCL : 0, &ifa,
		      sizeof(ifa), 256);
	rtmsg_addr(m, IFA_LOCAL, &a->addr);
	rtmsg_addr(m, IFA_ADDRESS, &a->addr);
	if (add) {
		rtmsg_put(m, IFA_PROTO, &proto, sizeof(proto));
		if (a->addr.family == AF_INET && a->len < 31) {
			struct rtr_addr mask = rtr_mask_of_len(AF_INET, a->len);

			rtmsg_u32(m, IFA_BROADCAST, a->addr.v4_be | ~mask.v4_be);
		}
	}
	plan_nl(p, m, rec, "%s address %s %s %s", add ? "add" : "delete", rtr_prefix_str(a, text),
		add ? "to" : "from", l->name);
}

static bool is_v4(const struct shadow_addr *a)
{
	return a->addr.addr.family == AF_INET;
}

/* ---- IPv4 ---- */

static void plan_v4(struct plan *p, const struct iface *i, const struct shadow_link *l)
{
	const struct recvec *addrs = i ? rec_kids(&i->rec, &iface_addr4_type) : NULL;
	size_t n_want = 0, n_have = 0, n;
	struct rtr_prefix *want = xcalloc((addrs ? addrs->len : 0) + 1, sizeof(*want));
	struct ao_addr *have = xcalloc(l->n_addrs, sizeof(*have));
	struct ao_step *steps;

	for (size_t k = 0; addrs && k < addrs->len; k++) {
		want[n_want] = ((const struct iface_addr4 *)(const void *)addrs->v[k])->addr;
		n_want += dad_may_use(i, l, &want[n_want].addr);
	}
	n_want += i && auto_addr(i, &want[n_want]);
	for (size_t k = 0; k < l->n_addrs; k++) {
		const struct shadow_addr *a = &l->addrs[k];

		if (is_v4(a))
			have[n_have++] = (struct ao_addr){ .addr = a->addr,
							   .secondary = a->flags & IFA_F_SECONDARY,
							   .foreign = !a->ours || a->peer.family };
	}
	n = ao_plan(have, n_have, want, n_want, &steps);
	for (size_t k = 0; k < n; k++)
		plan_addr(p, l, &steps[k].addr, steps[k].add, i ? &i->rec : NULL);
	free(steps);
	free(have);
	free(want);
}

/* ---- IPv6: the kernel's order means nothing, and an address stands once, whatever its length ----
 */

/* The addresses of the model as the kernel shall hold them; freed by the caller. */
static struct rtr_prefix *wanted_v6(const struct iface *i, const struct shadow_link *l,
				    size_t *ret_n)
{
	const struct recvec *addrs = rec_kids(&i->rec, &iface_addr6_type);
	struct rtr_prefix *want = xcalloc(addrs->len + 1, sizeof(*want));
	const struct iface_addr6 *a;
	size_t n = 0;

	recvec_foreach(addrs, a) {
		n += iface_addr6_effective(a, l->has_mac ? l->mac : NULL, &want[n]);
	}
	if (i->link_local.family)
		want[n++] = (struct rtr_prefix){ .addr = i->link_local, .len = 64 };
	*ret_n = n;
	return want;
}

static const struct shadow_addr *has_addr(const struct shadow_link *l, const struct rtr_addr *a)
{
	for (size_t k = 0; k < l->n_addrs; k++) {
		if (!rtr_addr_cmp(&l->addrs[k].addr.addr, a))
			return &l->addrs[k];
	}
	return NULL;
}

static bool is_wanted(const struct rtr_prefix *want, size_t n, const struct rtr_prefix *a)
{
	for (size_t k = 0; k < n; k++) {
		if (!rtr_prefix_cmp(&want[k], a))
			return true;
	}
	return false;
}

static void plan_v6(struct plan *p, const struct iface *i, const struct shadow_link *l)
{
	const struct rec *rec = i ? &i->rec : NULL;
	struct rtr_prefix *want = NULL;
	size_t n = 0;

	if (i && iface_wants_ipv6(i) && (l->mtu >= IPV6_MIN_MTU || l->flags & IFF_LOOPBACK))
		want = wanted_v6(i, l, &n);
	/* One with another length must go before it can come. */
	for (size_t k = 0; k < n; k++) {
		const struct shadow_addr *a = has_addr(l, &want[k].addr);

		if (a && a->ours && a->addr.len != want[k].len)
			plan_addr(p, l, &a->addr, false, rec);
		if (!a || (a->ours && a->addr.len != want[k].len))
			plan_addr(p, l, &want[k], true, rec);
	}
	for (size_t k = 0; k < l->n_addrs; k++) {
		const struct shadow_addr *a = &l->addrs[k];
		bool made_by_kernel = i && i->link_local.family && a->proto == IFAPROT_KERNEL_LL;
		bool replaced = false;

		if (is_v4(a) || (!a->ours && !made_by_kernel) || is_wanted(want, n, &a->addr))
			continue;
		for (size_t w = 0; w < n; w++)
			replaced |= !rtr_addr_cmp(&want[w].addr, &a->addr.addr);
		if (!replaced)
			plan_addr(p, l, &a->addr, false, rec);
	}
	free(want);
}

void iface_plan_addrs(struct plan *p)
{
	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l)) {
		const struct iface *i = iface_find(p->want, iface_operator_name(l->name));

		plan_v4(p, i, l);
		plan_v6(p, i, l);
	}
}
