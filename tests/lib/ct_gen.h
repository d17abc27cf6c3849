/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: makes connection table entries by ctnetlink, for tests that need many or odd ones.
 * Owns: nothing but the socket that ct_gen_open gives. Failure: aborts on what the test did wrong;
 * what the kernel refuses is counted.
 */
#ifndef RTR_TEST_CT_GEN_H
#define RTR_TEST_CT_GEN_H

#include "conntrack/ct_wire.h"
#include "rtr/ctnl.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>
#include <unistd.h>

struct ct_gen {
	int fd;
	unsigned n;
	size_t size;
	uint64_t refused;
	char buf[64 * CT_REQUEST_SIZE];
};

/* One entry: a TCP one stands in `state`, others count as unreplied. snat: family 0 for none. */
struct ct_gen_entry {
	struct ct_tuple t;
	enum ct_state state;
	uint32_t timeout_sec, mark;
	struct rtr_addr snat;
	uint16_t snat_port;
};

static inline struct ct_gen *ct_gen_open(void)
{
	struct ct_gen *g = xcalloc(1, sizeof(*g));

	g->fd = ct_wire_socket(SOCK_NONBLOCK);
	if (g->fd < 0)
		abort();
	return g;
}

static inline void ct_gen_flush(struct ct_gen *g)
{
	union {
		struct nlmsghdr h;
		char b[8192];
	} buf;
	ssize_t n;

	if (g->n && send(g->fd, g->buf, g->size, 0) < 0)
		abort();
	while ((n = recv(g->fd, &buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		g->refused++;
	g->n = 0;
	g->size = 0;
}

static inline void ct_gen_close(struct ct_gen *g)
{
	ct_gen_flush(g);
	close(g->fd);
	free(g);
}

static inline void ct_gen_reply(struct nlmsghdr *h, const struct ct_tuple *t)
{
	bool v4 = t->src.family == AF_INET;
	struct nlattr *n = mnl_attr_nest_start(h, CTA_TUPLE_REPLY), *in;
	uint8_t answer = t->icmp_type == 8 ? 0 : 129; /* echo reply */

	in = mnl_attr_nest_start(h, CTA_TUPLE_IP);
	mnl_attr_put(h, v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, v4 ? 4 : 16, t->dst.b);
	mnl_attr_put(h, v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, v4 ? 4 : 16, t->src.b);
	mnl_attr_nest_end(h, in);
	in = mnl_attr_nest_start(h, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(h, CTA_PROTO_NUM, t->proto);
	if (t->proto == IPPROTO_ICMP || t->proto == IPPROTO_ICMPV6) {
		mnl_attr_put_u16(h, v4 ? CTA_PROTO_ICMP_ID : CTA_PROTO_ICMPV6_ID, htons(t->sport));
		mnl_attr_put_u8(h, v4 ? CTA_PROTO_ICMP_TYPE : CTA_PROTO_ICMPV6_TYPE, answer);
		mnl_attr_put_u8(h, v4 ? CTA_PROTO_ICMP_CODE : CTA_PROTO_ICMPV6_CODE, 0);
	} else {
		mnl_attr_put_u16(h, CTA_PROTO_SRC_PORT, htons(t->dport));
		mnl_attr_put_u16(h, CTA_PROTO_DST_PORT, htons(t->sport));
	}
	mnl_attr_nest_end(h, in);
	mnl_attr_nest_end(h, n);
}

static inline void ct_gen_nat(struct nlmsghdr *h, const struct ct_gen_entry *e)
{
	bool v4 = e->snat.family == AF_INET;
	struct nlattr *n = mnl_attr_nest_start(h, CTA_NAT_SRC), *in;

	mnl_attr_put(h, v4 ? CTA_NAT_V4_MINIP : CTA_NAT_V6_MINIP, v4 ? 4 : 16, e->snat.b);
	mnl_attr_put(h, v4 ? CTA_NAT_V4_MAXIP : CTA_NAT_V6_MAXIP, v4 ? 4 : 16, e->snat.b);
	in = mnl_attr_nest_start(h, CTA_NAT_PROTO);
	mnl_attr_put_u16(h, CTA_PROTONAT_PORT_MIN, htons(e->snat_port));
	mnl_attr_put_u16(h, CTA_PROTONAT_PORT_MAX, htons(e->snat_port));
	mnl_attr_nest_end(h, in);
	mnl_attr_nest_end(h, n);
}

static inline void ct_gen_add(struct ct_gen *g, const struct ct_gen_entry *e)
{
	struct nlmsghdr *h = ctnl_start(g->buf + g->size, IPCTNL_MSG_CT_NEW,
					NLM_F_CREATE | NLM_F_EXCL, e->t.src.family);

	ct_wire_tuple(h, &e->t);
	ct_gen_reply(h, &e->t);
	mnl_attr_put_u32(h, CTA_TIMEOUT, htonl(e->timeout_sec ? e->timeout_sec : 600));
	if (e->mark)
		mnl_attr_put_u32(h, CTA_MARK, htonl(e->mark));
	if (e->t.proto == IPPROTO_TCP) {
		struct nlattr *n = mnl_attr_nest_start(h, CTA_PROTOINFO),
			      *in = mnl_attr_nest_start(h, CTA_PROTOINFO_TCP);

		mnl_attr_put_u8(
			h, CTA_PROTOINFO_TCP_STATE,
			(uint8_t)(e->state ? e->state - CT_S_NONE : TCP_CONNTRACK_SYN_SENT));
		mnl_attr_nest_end(h, in);
		mnl_attr_nest_end(h, n);
	}
	if (e->snat.family)
		ct_gen_nat(h, e);
	g->size += NLMSG_ALIGN(h->nlmsg_len);
	if (++g->n == 64)
		ct_gen_flush(g);
}

#endif
