/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the kernel as oracle for routes: asks it by RTM_GETROUTE which way a packet would take that
 * comes in by an interface, and compares that with what the mirror says.
 */
#ifndef RTR_TEST_FIB_ORACLE_H
#define RTR_TEST_FIB_ORACLE_H

#include "fib_ctl_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct oracle_way {
	int err; /* positive errno, 0 = it is routed */
	uint8_t type;
	uint32_t oif;
	uint8_t gw_family;
	union fib_ip gw;
};

static inline int oracle_open(void)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		abort();
	return fd;
}

static inline void oracle_ask(int fd, const struct fib_key *k, struct oracle_way *ret)
{
	static struct fib_msg m;
	uint8_t buf[16384] = { 0 };
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct rtmsg *r;
	size_t n_ip = k->family == AF_INET ? 4 : 16;
	ssize_t n;

	h->nlmsg_type = RTM_GETROUTE;
	h->nlmsg_flags = NLM_F_REQUEST;
	r = mnl_nlmsg_put_extra_header(h, sizeof(*r));
	r->rtm_family = k->family;
	r->rtm_dst_len = r->rtm_src_len = (uint8_t)(n_ip * 8);
	mnl_attr_put(h, RTA_DST, n_ip, k->dst.b);
	mnl_attr_put(h, RTA_SRC, n_ip, k->src.b);
	mnl_attr_put_u32(h, RTA_IIF, k->iif);
	if (k->mark)
		mnl_attr_put_u32(h, RTA_MARK, k->mark);
	if (k->proto) {
		mnl_attr_put_u8(h, RTA_IP_PROTO, k->proto);
		mnl_attr_put_u16(h, RTA_SPORT, htons(k->sport));
		mnl_attr_put_u16(h, RTA_DPORT, htons(k->dport));
	}
	if (send(fd, h, h->nlmsg_len, 0) < 0)
		abort();
	n = recv(fd, buf, sizeof(buf), 0);
	if (n < (ssize_t)sizeof(*h))
		abort();
	*ret = (struct oracle_way){ 0 };
	if (h->nlmsg_type == NLMSG_ERROR) {
		ret->err = -((const struct nlmsgerr *)mnl_nlmsg_get_payload(h))->error;
		return;
	}
	/* What it found is a clone, which the decoder would pass over. */
	((struct rtmsg *)mnl_nlmsg_get_payload(h))->rtm_flags &= ~(unsigned)RTM_F_CLONED;
	if (fib_msg_decode(h, &m))
		abort();
	ret->type = m.route.type;
	if (m.route.n_hops) {
		ret->oif = m.route.hop[0].oif;
		ret->gw_family = m.route.hop[0].gw_family;
		ret->gw = m.route.hop[0].gw;
	}
}

static inline bool oracle_hop_in_set(const struct fib *f, const struct fib_key *k,
				     const struct oracle_way *w)
{
	const struct fib_path *p;
	uint8_t verdict, reason;
	uint32_t nh;

	p = fib_walk_rules(f, k, fib_link(f, k->iif), &verdict, &reason, &nh);
	for (unsigned i = 0; p && i < p->n_hops; i++)
		if (p->hop[i].oif == w->oif && p->hop[i].nh_family == w->gw_family &&
		    fib_ip_eq(&p->hop[i].nh, &w->gw))
			return true;
	return false;
}

/* NULL, or what is wrong. */
static inline const char *oracle_compare(const struct fib *f, const struct fib_key *k,
					 const struct fib_res *r, const struct oracle_way *w)
{
	switch (r->verdict) {
	case FIB_V_KERNEL:
		return NULL;
	case FIB_V_FORWARD:
		if (w->err || w->type != RTN_UNICAST)
			return "kernel does not forward it";
		if (!oracle_hop_in_set(f, k, w))
			return "kernel takes another next hop";
		if (r->oif != w->oif && !oracle_hop_in_set(f, k, w))
			return "kernel takes another egress";
		return NULL;
	case FIB_V_LOCAL:
		return !w->err && (w->type == RTN_LOCAL || w->type == RTN_BROADCAST ||
				   w->type == RTN_ANYCAST)
			       ? NULL
			       : "kernel does not take it for its own";
	case FIB_V_BLACKHOLE:
		return w->err == EINVAL ? NULL : "kernel has no blackhole";
	case FIB_V_UNREACHABLE:
		return w->err == EHOSTUNREACH ? NULL : "kernel does not say unreachable";
	case FIB_V_PROHIBIT:
		return w->err == EACCES ? NULL : "kernel does not prohibit";
	case FIB_V_NO_ROUTE:
		return w->err == ENETUNREACH || w->err == EHOSTUNREACH ? NULL
								       : "kernel has a route";
	}
	return "no such verdict";
}

static inline void oracle_print(FILE *to, const struct fib_key *k, const struct fib_res *r,
				const struct oracle_way *w)
{
	char dst[64], src[64], gw[64];

	fprintf(to,
		"dst %s src %s iif %u mark %#x proto %u: verdict %u (%s) oif %u; kernel err %d "
		"type %u oif %u via %s\n",
		inet_ntop(k->family, k->dst.b, dst, sizeof(dst)),
		inet_ntop(k->family, k->src.b, src, sizeof(src)), k->iif, k->mark, k->proto,
		r->verdict, elig_text(r->reason), r->oif, w->err, w->type, w->oif,
		inet_ntop(w->gw_family ? w->gw_family : k->family, w->gw.b, gw, sizeof(gw)));
}

/* All that the mirror has for a destination. */
static inline void oracle_print_routes(FILE *to, const struct fibctl *c, const struct fib_key *k)
{
	for (uint32_t i = 1; i < c->n_route_ever; i++) {
		const struct fc_route *r = &c->route[i];
		const struct fc_path *p;
		unsigned bits = 0;

		while (bits < r->len &&
		       !((r->dst.b[bits / 8] ^ k->dst.b[bits / 8]) & 0x80 >> bits % 8))
			bits++;
		if (!(r->flags & FC_R_USED) || r->fam != fib_fam(k->family) || bits < r->len)
			continue;
		p = fc_path_at(c, r->path);
		fprintf(to,
			"mirror: /%u table %u metric %u tos %#x flags %#x epoch %u of %u "
			"verdict %u live %u hops",
			r->len, r->table, r->metric, r->tos, r->flags, r->epoch, c->epoch,
			p->verdict, p->live);
		for (unsigned h = 0; h < p->pub->n_hops; h++)
			fprintf(to, " %u.%u.%u.%u/%u", p->pub->hop[h].nh.b[0],
				p->pub->hop[h].nh.b[1], p->pub->hop[h].nh.b[2],
				p->pub->hop[h].nh.b[3], p->pub->hop[h].oif);
		fprintf(to, "\n");
	}
}

#endif
