/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "neigh/neigh_list.h"

#include "kernel/query.h"
#include "kernel/rtmsg.h"
#include "kernel/shadow.h"

#include <linux/neighbour.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct neigh_entry *add(struct neigh_list *l, const struct neigh_entry *e)
{
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 64;
		l->v = xrealloc(l->v, l->room * sizeof(*l->v));
	}
	l->v[l->n] = *e;
	return &l->v[l->n++];
}

/* The kernel counts in USER_HZ. */
static uint32_t ticks_ms(uint32_t ticks)
{
	static long hz;

	if (!hz)
		hz = sysconf(_SC_CLK_TCK);
	return (uint32_t)MIN((uint64_t)ticks * 1000 / (uint64_t)hz, (uint64_t)UINT32_MAX);
}

static void take(void *arg, const struct nlmsghdr *h)
{
	struct neigh_list *l = arg;
	const struct ndmsg *nd = nlmsg_data(h);
	struct nlattr *tb[NDA_MAX + 1];
	struct neigh_entry e = { .addr.family = (uint8_t)l->family };
	size_t size = rtr_family_size((uint8_t)l->family);

	if (h->nlmsg_type != RTM_NEWNEIGH || !nlmsg_valid_hdr(h, sizeof(*nd)) ||
	    nd->ndm_family != l->family || nd->ndm_state & NUD_NOARP ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*nd), tb, NDA_MAX, NULL) ||
	    !tb[NDA_DST] || nla_len(tb[NDA_DST]) < (int)size)
		return;
	memcpy(e.addr.b, nla_data(tb[NDA_DST]), size);
	if ((l->addr.family && rtr_addr_cmp(&l->addr, &e.addr)) ||
	    (l->ifindex && nd->ndm_ifindex && l->ifindex != nd->ndm_ifindex))
		return;
	e.ifindex = nd->ndm_ifindex;
	e.state = nd->ndm_state;
	e.flags = nd->ndm_flags;
	e.proxy = nd->ndm_flags & NTF_PROXY;
	e.ours = tb[NDA_PROTOCOL] && nla_get_u8(tb[NDA_PROTOCOL]) == shadow_proto();
	e.has_mac = tb[NDA_LLADDR] && nla_len(tb[NDA_LLADDR]) == sizeof(e.mac);
	if (e.has_mac)
		memcpy(e.mac, nla_data(tb[NDA_LLADDR]), sizeof(e.mac));
	if (tb[NDA_PROBES] && nla_len(tb[NDA_PROBES]) >= 4)
		e.probes = nla_get_u32(tb[NDA_PROBES]);
	if (tb[NDA_CACHEINFO] && nla_len(tb[NDA_CACHEINFO]) >= (int)sizeof(struct nda_cacheinfo)) {
		const struct nda_cacheinfo *ci = nla_data(tb[NDA_CACHEINFO]);

		e.refs = ci->ndm_refcnt;
		e.confirmed_ms = ticks_ms(ci->ndm_confirmed);
		e.used_ms = ticks_ms(ci->ndm_used);
		e.updated_ms = ticks_ms(ci->ndm_updated);
	}
	add(l, &e);
}

static int dump(struct neigh_list *l, bool proxies)
{
	struct ndmsg nd = { .ndm_family = (uint8_t)l->family,
			    .ndm_flags = proxies ? NTF_PROXY : 0 };
	struct nl_msg *m = rtmsg_new(RTM_GETNEIGH, 0, &nd, sizeof(nd), RTMSG_SIZE);

	if (l->ifindex && !proxies)
		rtmsg_u32(m, NDA_IFINDEX, (uint32_t)l->ifindex);
	return kquery_all(m, take, l);
}

static int entry_cmp(const void *a, const void *b)
{
	const struct neigh_entry *x = a, *y = b;
	int c = rtr_addr_cmp(&x->addr, &y->addr);

	return c ? c : (x->ifindex > y->ifindex) - (x->ifindex < y->ifindex);
}

void neigh_list_sort(struct neigh_list *l)
{
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), entry_cmp);
}

int neigh_list_read(struct neigh_list *l, bool proxies)
{
	int r = dump(l, false);

	if (!r && proxies)
		r = dump(l, true);
	if (r)
		neigh_list_fini(l);
	neigh_list_sort(l);
	return r;
}

void neigh_list_own(struct neigh_list *l)
{
	const struct shadow_link *k;

	for (k = shadow_link_next(NULL); k; k = shadow_link_next(k)) {
		if (k->flags & (IFF_LOOPBACK | IFF_NOARP) || !(k->flags & IFF_UP) ||
		    (l->ifindex && l->ifindex != k->ifindex))
			continue;
		for (size_t i = 0; i < k->n_addrs; i++) {
			struct neigh_entry e = { .addr = k->addrs[i].addr.addr,
						 .ifindex = k->ifindex,
						 .has_mac = k->has_mac,
						 .own = true };

			if (e.addr.family != l->family ||
			    (l->addr.family && rtr_addr_cmp(&l->addr, &e.addr)))
				continue;
			memcpy(e.mac, k->mac, sizeof(e.mac));
			add(l, &e);
		}
	}
}

void neigh_list_fini(struct neigh_list *l)
{
	free(l->v);
	l->v = NULL;
	l->n = l->room = 0;
}
