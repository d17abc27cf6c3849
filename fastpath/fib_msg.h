/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: one rtnetlink message as a plain struct. Decoding checks every length and keeps what the
 * mirror asks about; what it does not know but would have to (encapsulation, a selector of a
 * rule) becomes a flag, so that the mirror can leave the matter to the kernel.
 *
 * Owns: nothing; all is copied. Threads: any. Failure: -EINVAL for a message that contradicts
 * itself, -ENOTSUP for one that is of no interest; the result is then undefined.
 */
#ifndef FP_FIB_MSG_H
#define FP_FIB_MSG_H

#include "fib.h"

#include <linux/netlink.h>

#define FIB_MSG_MAX_HOPS  255
#define FIB_MSG_MAX_GROUP 255

enum fib_msg_kind {
	FIB_M_LINK,
	FIB_M_NETCONF,
	FIB_M_ADDR,
	FIB_M_NEIGH,
	FIB_M_NEXTHOP,
	FIB_M_ROUTE,
	FIB_M_RULE,
	FIB_M__MAX
};

struct fib_msg_link {
	uint32_t ifindex, flags, mtu, master, parent;
	uint16_t type; /* ARPHRD_ */
	uint16_t vlan; /* 0 = not one */
	uint16_t vlan_proto;
	uint8_t vlan_qos;   /* its tags bear priorities */
	uint32_t vrf_table; /* of a VRF device */
	uint8_t mac[6];
	uint8_t has_mac, is_vrf;
	char name[16];
};

struct fib_msg_netconf {
	int32_t ifindex; /* NETCONFA_IFINDEX_ALL, _DEFAULT */
	uint8_t family;
	int32_t forwarding, rp_filter, ignore_linkdown, bc_forwarding; /* -1: not said */
};

struct fib_msg_addr {
	uint32_t ifindex, flags;
	uint8_t family, len, scope;
	union fib_ip ip;
};

struct fib_msg_neigh {
	uint32_t ifindex;
	uint8_t family, flags, has_mac;
	uint16_t state;
	uint8_t mac[6];
	union fib_ip ip;
};

struct fib_msg_hop {
	union fib_ip gw;
	uint32_t oif;
	uint8_t gw_family; /* 0 = connected */
	uint8_t weight;    /* as in the kernel, 0 = 1 */
};

struct fib_msg_nexthop {
	uint32_t id;
	struct fib_msg_hop hop;
	uint8_t blackhole, other; /* other: fdb, encapsulating or of no known form */
	uint16_t n_group;
	struct {
		uint32_t id;
		uint8_t weight;
	} group[FIB_MSG_MAX_GROUP];
};

struct fib_msg_route {
	uint32_t table, metric, nh_id, mtu;
	uint8_t family, dst_len, src_len, tos, type, scope, protocol;
	uint8_t encap; /* of any hop, or something else that we do not do */
	uint16_t n_hops;
	union fib_ip dst, prefsrc;
	struct fib_msg_hop hop[FIB_MSG_MAX_HOPS];
};

struct fib_msg_rule {
	uint32_t pref, table, goto_pref;
	uint32_t mark, mark_mask;
	uint8_t family, src_len, dst_len, tos, proto, action;
	uint8_t invert, l3mdev, has_oif, suppress_default;
	uint8_t unmodelled;
	uint16_t sport[2], dport[2];
	union fib_ip src, dst;
	char iif[16];
};

struct fib_msg {
	enum fib_msg_kind kind;
	bool del, replace, append;
	union {
		struct fib_msg_link link;
		struct fib_msg_netconf netconf;
		struct fib_msg_addr addr;
		struct fib_msg_neigh neigh;
		struct fib_msg_nexthop nexthop;
		struct fib_msg_route route;
		struct fib_msg_rule rule;
	};
};

/* A message lies within the bytes that are left (libmnl's own test takes a length above 2 GB for a
 * negative one). */
static inline bool fib_msg_ok(const struct nlmsghdr *h, size_t left)
{
	return left >= sizeof(*h) && h->nlmsg_len >= sizeof(*h) && h->nlmsg_len <= left;
}

static inline const struct nlmsghdr *fib_msg_next(const struct nlmsghdr *h, size_t *left)
{
	size_t n = NLMSG_ALIGN((size_t)h->nlmsg_len);

	n = n < *left ? n : *left;
	*left -= n;
	return (const void *)((const uint8_t *)h + n);
}

/* Attributes within exactly so many bytes (libmnl's walk rounds the end of a message up). NULL: no
 * more. */
static inline const struct nlattr *fib_attr_at(const void *p, size_t left)
{
	const struct nlattr *a = p;

	return left >= sizeof(*a) && a->nla_len >= sizeof(*a) && a->nla_len <= left ? a : NULL;
}

static inline const struct nlattr *fib_attr_next(const struct nlattr *a, size_t *left)
{
	size_t n = NLA_ALIGN((size_t)a->nla_len);

	n = n < *left ? n : *left;
	*left -= n;
	return fib_attr_at((const uint8_t *)a + n, *left);
}

/* Those behind a header of that size; of those in another one. */
const struct nlattr *fib_attr_first(const struct nlmsghdr *h, size_t head, size_t *ret_left);
const struct nlattr *fib_attr_inner(const struct nlattr *nest, size_t *ret_left);

/* h->nlmsg_len bytes can be read, and were found to be at least a header. */
int fib_msg_decode(const struct nlmsghdr *h, struct fib_msg *ret);

#endif
