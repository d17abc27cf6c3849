/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mirror_wire.h"

#include "rtr/ctnl.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <string.h>

static struct nlmsghdr *start(void *buf, unsigned type, unsigned flags, uint8_t family,
			      uint32_t seq)
{
	struct nlmsghdr *h = ctnl_start(buf, type, flags, family);

	h->nlmsg_seq = seq;
	return h;
}

static void put_tuple(struct nlmsghdr *h, uint16_t type, const struct fp_mirror_flow *f,
		      const struct fp_mirror_end *src, const struct fp_mirror_end *dst)
{
	bool v4 = f->family == AF_INET;
	struct nlattr *n = mnl_attr_nest_start(h, type), *in;

	in = mnl_attr_nest_start(h, CTA_TUPLE_IP);
	mnl_attr_put(h, v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, v4 ? 4 : 16, src->addr);
	mnl_attr_put(h, v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, v4 ? 4 : 16, dst->addr);
	mnl_attr_nest_end(h, in);
	in = mnl_attr_nest_start(h, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(h, CTA_PROTO_NUM, f->proto);
	mnl_attr_put_u16(h, CTA_PROTO_SRC_PORT, src->port_be);
	mnl_attr_put_u16(h, CTA_PROTO_DST_PORT, dst->port_be);
	mnl_attr_nest_end(h, in);
	mnl_attr_nest_end(h, n);
}

static bool same(const struct fp_mirror_end *a, const struct fp_mirror_end *b)
{
	return a->port_be == b->port_be && !memcmp(a->addr, b->addr, sizeof(a->addr));
}

/* A range of one address and port. */
static void put_nat(struct nlmsghdr *h, uint16_t type, uint8_t family,
		    const struct fp_mirror_end *to)
{
	bool v4 = family == AF_INET;
	struct nlattr *n = mnl_attr_nest_start(h, type), *in;

	mnl_attr_put(h, v4 ? CTA_NAT_V4_MINIP : CTA_NAT_V6_MINIP, v4 ? 4 : 16, to->addr);
	mnl_attr_put(h, v4 ? CTA_NAT_V4_MAXIP : CTA_NAT_V6_MAXIP, v4 ? 4 : 16, to->addr);
	in = mnl_attr_nest_start(h, CTA_NAT_PROTO);
	mnl_attr_put_u16(h, CTA_PROTONAT_PORT_MIN, to->port_be);
	mnl_attr_put_u16(h, CTA_PROTONAT_PORT_MAX, to->port_be);
	mnl_attr_nest_end(h, in);
	mnl_attr_nest_end(h, n);
}

static void put_tcp(struct nlmsghdr *h, const struct fp_mirror_flow *f)
{
	struct nf_ct_tcp_flags flags = {
		.flags = IP_CT_TCP_FLAG_BE_LIBERAL | IP_CT_TCP_FLAG_WINDOW_SCALE,
		.mask = IP_CT_TCP_FLAG_BE_LIBERAL | IP_CT_TCP_FLAG_WINDOW_SCALE,
	};
	struct nlattr *n = mnl_attr_nest_start(h, CTA_PROTOINFO), *in;

	in = mnl_attr_nest_start(h, CTA_PROTOINFO_TCP);
	mnl_attr_put_u8(h, CTA_PROTOINFO_TCP_STATE, f->tcp_state);
	mnl_attr_put_u8(h, CTA_PROTOINFO_TCP_WSCALE_ORIGINAL, f->scale[0]);
	mnl_attr_put_u8(h, CTA_PROTOINFO_TCP_WSCALE_REPLY, f->scale[1]);
	mnl_attr_put(h, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, sizeof(flags), &flags);
	mnl_attr_put(h, CTA_PROTOINFO_TCP_FLAGS_REPLY, sizeof(flags), &flags);
	mnl_attr_nest_end(h, in);
	mnl_attr_nest_end(h, n);
}

static void put_number(struct nlmsghdr *h, uint16_t type, uint32_t v)
{
	mnl_attr_put_u32(h, type, htonl(v));
}

size_t fp_mirror_msg_new(void *buf, uint32_t seq, const struct fp_mirror_flow *f)
{
	struct nlmsghdr *h = start(buf, IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL, f->family,
				   seq);
	bool snat = !same(&f->src, &f->reply_dst), dnat = !same(&f->dst, &f->reply_src);

	put_tuple(h, CTA_TUPLE_ORIG, f, &f->src, &f->dst);
	put_tuple(h, CTA_TUPLE_REPLY, f, &f->dst, &f->src);
	put_number(h, CTA_STATUS,
		   IPS_CONFIRMED | (f->unreplied ? 0 : IPS_SEEN_REPLY | IPS_ASSURED));
	put_number(h, CTA_TIMEOUT, f->timeout_sec);
	if (dnat)
		put_nat(h, CTA_NAT_DST, f->family, &f->reply_src);
	if (snat)
		put_nat(h, CTA_NAT_SRC, f->family, &f->reply_dst);
	if (f->proto == IPPROTO_TCP)
		put_tcp(h, f);
	mnl_attr_put(h, CTA_LABELS, sizeof(f->label), f->label);
	return h->nlmsg_len;
}

static struct nlmsghdr *renew(void *buf, uint32_t seq, const struct fp_mirror_flow *f)
{
	struct nlmsghdr *h = start(buf, IPCTNL_MSG_CT_NEW, 0, f->family, seq);

	put_tuple(h, CTA_TUPLE_ORIG, f, &f->src, &f->dst);
	if (f->timeout_sec)
		put_number(h, CTA_TIMEOUT, f->timeout_sec);
	return h;
}

size_t fp_mirror_msg_renew(void *buf, uint32_t seq, const struct fp_mirror_flow *f)
{
	return renew(buf, seq, f)->nlmsg_len;
}

size_t fp_mirror_msg_answers(void *buf, uint32_t seq, const struct fp_mirror_flow *f)
{
	struct nlmsghdr *h = start(buf, IPCTNL_MSG_CT_NEW, 0, f->family, seq);

	put_tuple(h, CTA_TUPLE_REPLY, f, &f->reply_src, &f->reply_dst);
	return h->nlmsg_len;
}

size_t fp_mirror_msg_release(void *buf, uint32_t seq, const struct fp_mirror_flow *f)
{
	static const uint32_t none[4], bit[4] = { FP_MIRROR_LABEL };
	struct nlmsghdr *h = renew(buf, seq, f);

	mnl_attr_put(h, CTA_LABELS, sizeof(none), none);
	mnl_attr_put(h, CTA_LABELS_MASK, sizeof(bit), bit);
	return h->nlmsg_len;
}

size_t fp_mirror_msg_end(void *buf, uint32_t seq, const struct fp_mirror_flow *f)
{
	struct nlmsghdr *h = start(buf, IPCTNL_MSG_CT_DELETE, 0, f->family, seq);

	put_tuple(h, CTA_TUPLE_ORIG, f, &f->src, &f->dst);
	return h->nlmsg_len;
}

size_t fp_mirror_msg_dump(void *buf, uint32_t seq)
{
	return start(buf, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC, seq)->nlmsg_len;
}

size_t fp_mirror_msg_count(void *buf, uint32_t seq)
{
	return start(buf, IPCTNL_MSG_CT_GET_STATS, 0, AF_UNSPEC, seq)->nlmsg_len;
}

/* ---- reading ---- */

static bool take(const struct nlattr *a, void *ret, size_t size)
{
	if (!a || mnl_attr_get_payload_len(a) != size)
		return false;
	memcpy(ret, mnl_attr_get_payload(a), size);
	return true;
}

static bool take_tuple(const struct nlattr *attr, struct fp_mirror_flow *f,
		       struct fp_mirror_end *src, struct fp_mirror_end *dst)
{
	const struct nlattr *tb[CTA_TUPLE_MAX + 1] = { 0 }, *ip[CTA_IP_MAX + 1] = { 0 },
						*pr[CTA_PROTO_MAX + 1] = { 0 };

	if (!attr || CTNL_NEST(attr, tb) < 0 || !tb[CTA_TUPLE_IP] || !tb[CTA_TUPLE_PROTO] ||
	    CTNL_NEST(tb[CTA_TUPLE_IP], ip) < 0 || CTNL_NEST(tb[CTA_TUPLE_PROTO], pr) < 0)
		return false;
	f->family = ip[CTA_IP_V4_SRC] ? AF_INET : AF_INET6;
	if (f->family == AF_INET ? !take(ip[CTA_IP_V4_SRC], src->addr, 4) ||
					   !take(ip[CTA_IP_V4_DST], dst->addr, 4)
				 : !take(ip[CTA_IP_V6_SRC], src->addr, 16) ||
					   !take(ip[CTA_IP_V6_DST], dst->addr, 16))
		return false;
	return take(pr[CTA_PROTO_NUM], &f->proto, 1) &&
	       (f->proto == IPPROTO_TCP || f->proto == IPPROTO_UDP) &&
	       take(pr[CTA_PROTO_SRC_PORT], &src->port_be, 2) &&
	       take(pr[CTA_PROTO_DST_PORT], &dst->port_be, 2);
}

bool fp_mirror_read(const struct nlmsghdr *h, struct fp_mirror_flow *ret)
{
	const struct nlattr *tb[CTA_MAX + 1] = { 0 };
	struct fp_mirror_flow f = { 0 };

	if (CTNL_MESSAGE(h, tb) < 0 || !take_tuple(tb[CTA_TUPLE_ORIG], &f, &f.src, &f.dst) ||
	    !take_tuple(tb[CTA_TUPLE_REPLY], &f, &f.reply_src, &f.reply_dst))
		return false;
	take(tb[CTA_LABELS], f.label, sizeof(f.label));
	if (take(tb[CTA_TIMEOUT], &f.timeout_sec, 4))
		f.timeout_sec = ntohl(f.timeout_sec);
	*ret = f;
	return true;
}

bool fp_mirror_read_count(const struct nlmsghdr *h, uint32_t *ret_n, uint32_t *ret_max)
{
	const struct nlattr *tb[CTA_STATS_GLOBAL_MAX + 1] = { 0 };

	if (CTNL_MESSAGE(h, tb) < 0 || !take(tb[CTA_STATS_GLOBAL_ENTRIES], ret_n, 4) ||
	    !take(tb[CTA_STATS_GLOBAL_MAX_ENTRIES], ret_max, 4))
		return false;
	*ret_n = ntohl(*ret_n);
	*ret_max = ntohl(*ret_max);
	return true;
}
