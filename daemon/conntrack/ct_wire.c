/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conntrack/ct_wire.h"

#include "rtr/ctnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <string.h>
#include <unistd.h>

/* Bits of CTA_FILTER_ORIG_FLAGS; the kernel's uapi header does not name them. */
enum {
	F_IP_SRC = 1 << 0,
	F_IP_DST = 1 << 1,
	F_PROTO_NUM = 1 << 3,
	F_SRC_PORT = 1 << 4,
	F_DST_PORT = 1 << 5,
};

/* IP_CT_TCP_FLAG_DATA_UNACKNOWLEDGED of the kernel's tcp tracker. */
#define TCP_FLAG_UNACKED 0x10

/* Room for errors of a whole batch of requests, and for events between two turns of the loop. */
#define RCVBUF (4 << 20)

/* ---- requests ---- */

static bool is_icmp(uint8_t proto)
{
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

static void put_addr(struct nlmsghdr *h, const struct rtr_addr *a, int v4, int v6)
{
	mnl_attr_put(h, (uint16_t)(a->family == AF_INET ? v4 : v6), rtr_family_size(a->family),
		     a->b);
}

static void put_proto(struct nlmsghdr *h, const struct ct_tuple *t)
{
	bool v4 = t->proto == IPPROTO_ICMP;
	struct nlattr *n = mnl_attr_nest_start(h, CTA_TUPLE_PROTO);

	mnl_attr_put_u8(h, CTA_PROTO_NUM, t->proto);
	if (is_icmp(t->proto)) {
		mnl_attr_put_u16(h, v4 ? CTA_PROTO_ICMP_ID : CTA_PROTO_ICMPV6_ID, htons(t->sport));
		mnl_attr_put_u8(h, v4 ? CTA_PROTO_ICMP_TYPE : CTA_PROTO_ICMPV6_TYPE, t->icmp_type);
		mnl_attr_put_u8(h, v4 ? CTA_PROTO_ICMP_CODE : CTA_PROTO_ICMPV6_CODE, t->icmp_code);
	} else {
		mnl_attr_put_u16(h, CTA_PROTO_SRC_PORT, htons(t->sport));
		mnl_attr_put_u16(h, CTA_PROTO_DST_PORT, htons(t->dport));
	}
	mnl_attr_nest_end(h, n);
}

void ct_wire_tuple(struct nlmsghdr *h, const struct ct_tuple *t)
{
	struct nlattr *n = mnl_attr_nest_start(h, CTA_TUPLE_ORIG);
	struct nlattr *ip = mnl_attr_nest_start(h, CTA_TUPLE_IP);

	put_addr(h, &t->src, CTA_IP_V4_SRC, CTA_IP_V6_SRC);
	put_addr(h, &t->dst, CTA_IP_V4_DST, CTA_IP_V6_DST);
	mnl_attr_nest_end(h, ip);
	put_proto(h, t);
	mnl_attr_nest_end(h, n);
	if (t->zone)
		mnl_attr_put_u16(h, CTA_ZONE, htons(t->zone));
}

/* IPv4 only: with an IPv6 address the kernel (6.18) leaves out what is equal instead of what
 * differs (ctnetlink_filter_match_tuple). */
static bool kernel_can(const struct rtr_prefix *p)
{
	return p->addr.family == AF_INET && p->len == 32;
}

/* Addresses as whole ones only, and ports only of protocols that have some: the kernel knows no
 * prefixes. Returns the flags of what the tuple holds. */
static uint32_t put_filter_tuple(struct nlmsghdr *h, const struct ct_filter *f)
{
	bool src = f->as_sent && f->has_src && kernel_can(&f->src);
	bool dst = f->as_sent && f->has_dst && kernel_can(&f->dst);
	bool ports = f->as_sent && f->has_proto && !is_icmp(f->proto);
	struct nlattr *n = mnl_attr_nest_start(h, CTA_TUPLE_ORIG), *in;

	if (src || dst) {
		in = mnl_attr_nest_start(h, CTA_TUPLE_IP);
		if (src)
			put_addr(h, &f->src.addr, CTA_IP_V4_SRC, CTA_IP_V6_SRC);
		if (dst)
			put_addr(h, &f->dst.addr, CTA_IP_V4_DST, CTA_IP_V6_DST);
		mnl_attr_nest_end(h, in);
	}
	if (f->has_proto) {
		in = mnl_attr_nest_start(h, CTA_TUPLE_PROTO);
		mnl_attr_put_u8(h, CTA_PROTO_NUM, f->proto);
		if (ports && f->has_sport)
			mnl_attr_put_u16(h, CTA_PROTO_SRC_PORT, htons(f->sport));
		if (ports && f->has_dport)
			mnl_attr_put_u16(h, CTA_PROTO_DST_PORT, htons(f->dport));
		mnl_attr_nest_end(h, in);
	}
	mnl_attr_nest_end(h, n);
	return (src ? F_IP_SRC : 0u) | (dst ? F_IP_DST : 0u) | (f->has_proto ? F_PROTO_NUM : 0u) |
	       (ports && f->has_sport ? F_SRC_PORT : 0u) |
	       (ports && f->has_dport ? F_DST_PORT : 0u);
}

void ct_wire_filter(struct nlmsghdr *h, const struct ct_filter *f)
{
	uint8_t family = f->family    ? f->family
			 : f->has_src ? f->src.addr.family
			 : f->has_dst ? f->dst.addr.family
				      : AF_UNSPEC;
	struct nfgenmsg *g = mnl_nlmsg_get_payload(h);
	struct nlattr *n;
	uint32_t flags;

	g->nfgen_family = family;
	if (f->mark_mask) {
		mnl_attr_put_u32(h, CTA_MARK, htonl(f->mark));
		mnl_attr_put_u32(h, CTA_MARK_MASK, htonl(f->mark_mask));
	}
	if (f->status_mask) {
		mnl_attr_put_u32(h, CTA_STATUS, htonl(f->status));
		mnl_attr_put_u32(h, CTA_STATUS_MASK, htonl(f->status_mask));
	}
	if (f->has_ct_zone)
		mnl_attr_put_u16(h, CTA_ZONE, htons(f->ct_zone));
	/* The kernel wants a family beside a tuple (-EOPNOTSUPP). */
	if (!family || (!f->has_proto && !f->as_sent))
		return;
	flags = put_filter_tuple(h, f);
	n = mnl_attr_nest_start(h, CTA_FILTER);
	mnl_attr_put_u32(h, CTA_FILTER_ORIG_FLAGS, flags);
	mnl_attr_put_u32(h, CTA_FILTER_REPLY_FLAGS, 0);
	mnl_attr_nest_end(h, n);
}

int ct_wire_socket(int flags)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_NETFILTER);
	struct sockaddr_nl self = { .nl_family = AF_NETLINK };
	int one = 1, size = RCVBUF, r = 0;

	/* A socket without a port of its own is left out of broadcasts: its number 0 is that of
	 * the kernel, who sends them. */
	if (fd < 0 || bind(fd, (struct sockaddr *)&self, sizeof(self)) < 0)
		r = -errno;
	if (r && fd >= 0)
		close(fd);
	if (r)
		return r;
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return fd;
}

/* ---- entries ---- */

/* Numbers are big-endian; one that is too short reads as 0. */
static uint64_t number(const struct nlattr *a)
{
	const uint8_t *p = a ? mnl_attr_get_payload(a) : NULL;
	uint64_t v = 0;

	for (unsigned i = 0; a && i < MIN(mnl_attr_get_payload_len(a), 8u); i++)
		v = v << 8 | p[i];
	return v;
}

static void take_addr(const struct nlattr *v4, const struct nlattr *v6, struct rtr_addr *ret)
{
	const struct nlattr *a = v4 ? v4 : v6;

	*ret = (struct rtr_addr){ .family = v4 ? AF_INET : AF_INET6 };
	if (a && mnl_attr_get_payload_len(a) == rtr_family_size(ret->family))
		memcpy(ret->b, mnl_attr_get_payload(a), rtr_family_size(ret->family));
}

static bool take_tuple(const struct nlattr *attr, uint16_t zone, struct ct_tuple *ret)
{
	const struct nlattr *tb[CTA_TUPLE_MAX + 1] = { 0 }, *ip[CTA_IP_MAX + 1] = { 0 },
						*pr[CTA_PROTO_MAX + 1] = { 0 };

	if (!attr || CTNL_NEST(attr, tb) < 0 || !tb[CTA_TUPLE_IP] || !tb[CTA_TUPLE_PROTO] ||
	    CTNL_NEST(tb[CTA_TUPLE_IP], ip) < 0 || CTNL_NEST(tb[CTA_TUPLE_PROTO], pr) < 0)
		return false;
	take_addr(ip[CTA_IP_V4_SRC], ip[CTA_IP_V6_SRC], &ret->src);
	take_addr(ip[CTA_IP_V4_DST], ip[CTA_IP_V6_DST], &ret->dst);
	ret->proto = (uint8_t)number(pr[CTA_PROTO_NUM]);
	ret->sport = (uint16_t)number(pr[CTA_PROTO_SRC_PORT]);
	ret->dport = (uint16_t)number(pr[CTA_PROTO_DST_PORT]);
	if (is_icmp(ret->proto)) {
		bool v4 = ret->proto == IPPROTO_ICMP;

		ret->sport = ret->dport = (uint16_t)number(
			pr[v4 ? CTA_PROTO_ICMP_ID : CTA_PROTO_ICMPV6_ID]);
		ret->icmp_type = (uint8_t)number(
			pr[v4 ? CTA_PROTO_ICMP_TYPE : CTA_PROTO_ICMPV6_TYPE]);
		ret->icmp_code = (uint8_t)number(
			pr[v4 ? CTA_PROTO_ICMP_CODE : CTA_PROTO_ICMPV6_CODE]);
	}
	ret->zone = tb[CTA_TUPLE_ZONE] ? (uint16_t)number(tb[CTA_TUPLE_ZONE]) : zone;
	return true;
}

static void take_counters(const struct nlattr *attr, unsigned dir, struct ct_entry *e)
{
	const struct nlattr *tb[CTA_COUNTERS_MAX + 1] = { 0 };

	if (!attr || CTNL_NEST(attr, tb) < 0)
		return;
	e->packets[dir] = number(tb[CTA_COUNTERS_PACKETS]);
	e->bytes[dir] = number(tb[CTA_COUNTERS_BYTES]);
}

/* struct nf_ct_tcp_flags: flags, mask. */
static bool unacked(const struct nlattr *a)
{
	return a && (*(const uint8_t *)mnl_attr_get_payload(a) & TCP_FLAG_UNACKED);
}

static void take_state(const struct nlattr *info, struct ct_entry *e)
{
	const struct nlattr *tb[CTA_PROTOINFO_MAX + 1] = { 0 },
						    *tcp[CTA_PROTOINFO_TCP_MAX + 1] = { 0 };

	e->state = e->status & IPS_ASSURED      ? CT_S_ASSURED
		   : e->status & IPS_SEEN_REPLY ? CT_S_REPLIED
						: CT_S_UNREPLIED;
	if (e->orig.proto != IPPROTO_TCP)
		return;
	e->state = CT_S_NONE;
	if (!info || CTNL_NEST(info, tb) < 0 || !tb[CTA_PROTOINFO_TCP] ||
	    CTNL_NEST(tb[CTA_PROTOINFO_TCP], tcp) < 0)
		return;
	e->state = CT_S_NONE + (enum ct_state)number(tcp[CTA_PROTOINFO_TCP_STATE]);
	if (e->state > CT_S_SYN_SENT2)
		e->state = CT_S_NONE;
	e->unacked = unacked(tcp[CTA_PROTOINFO_TCP_FLAGS_ORIGINAL]) ||
		     unacked(tcp[CTA_PROTOINFO_TCP_FLAGS_REPLY]);
}

static void take_rest(const struct nlattr *const *tb, struct ct_entry *e)
{
	const struct nlattr *time[CTA_TIMESTAMP_MAX + 1] = { 0 }, *help[CTA_HELP_MAX + 1] = { 0 };

	if (tb[CTA_TIMESTAMP] && CTNL_NEST(tb[CTA_TIMESTAMP], time) >= 0) {
		e->start_real_ns = number(time[CTA_TIMESTAMP_START]);
		e->stop_real_ns = number(time[CTA_TIMESTAMP_STOP]);
	}
	if (tb[CTA_HELP] && CTNL_NEST(tb[CTA_HELP], help) >= 0 && help[CTA_HELP_NAME])
		rtr_strlcpy(e->helper, mnl_attr_get_str(help[CTA_HELP_NAME]), sizeof(e->helper));
	if (tb[CTA_LABELS] && mnl_attr_get_payload_len(tb[CTA_LABELS]) == sizeof(e->label))
		memcpy(e->label, mnl_attr_get_payload(tb[CTA_LABELS]), sizeof(e->label));
}

bool ct_wire_entry(const struct nlmsghdr *h, struct ct_entry *ret)
{
	const struct nlattr *tb[CTA_MAX + 1] = { 0 };
	struct ct_entry e = { 0 };
	uint16_t zone;

	if (CTNL_MESSAGE(h, tb) < 0)
		return false;
	zone = (uint16_t)number(tb[CTA_ZONE]);
	if (!take_tuple(tb[CTA_TUPLE_ORIG], zone, &e.orig) ||
	    !take_tuple(tb[CTA_TUPLE_REPLY], zone, &e.reply))
		return false;
	e.id = (uint32_t)number(tb[CTA_ID]);
	e.status = (uint32_t)number(tb[CTA_STATUS]);
	e.mark = (uint32_t)number(tb[CTA_MARK]);
	e.timeout_sec = (uint32_t)number(tb[CTA_TIMEOUT]);
	take_counters(tb[CTA_COUNTERS_ORIG], 0, &e);
	take_counters(tb[CTA_COUNTERS_REPLY], 1, &e);
	take_state(tb[CTA_PROTOINFO], &e);
	take_rest(tb, &e);
	*ret = e;
	return true;
}
