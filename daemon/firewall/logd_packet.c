/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/logd_packet.h"

#include "util.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* ---- headers ---- */

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
	       proto == IPPROTO_DCCP || proto == IPPROTO_UDPLITE;
}

static void take_l4(const uint8_t *b, size_t n, struct logd_event *e)
{
	if (n < 4)
		return;
	if (has_ports(e->proto)) {
		memcpy(&e->sport, b, 2);
		memcpy(&e->dport, b + 2, 2);
	} else if (e->proto == IPPROTO_ICMP || e->proto == IPPROTO_ICMPV6) {
		e->icmp_type = b[0];
		e->icmp_code = b[1];
	}
}

/* RFC 8200 4.1: each of the others at most once, destination options twice; what has more lies. */
#define EXT_HEADERS_MAX 8

/* Where the transport header is, behind what is in between; e->proto: the last one that could be
 * read. 0: not in this packet, or not in what was copied of it. */
static size_t skip_ext(const uint8_t *b, size_t n, struct logd_event *e)
{
	size_t at = 40;

	for (unsigned i = 0; i < EXT_HEADERS_MAX; i++) {
		uint8_t proto = e->proto;

		if (proto != IPPROTO_HOPOPTS && proto != IPPROTO_ROUTING &&
		    proto != IPPROTO_FRAGMENT && proto != IPPROTO_AH && proto != IPPROTO_DSTOPTS)
			return at;
		if (n < at + 8)
			return 0;
		e->proto = b[at];
		if (proto == IPPROTO_FRAGMENT && (b[at + 2] || b[at + 3] & 0xf8))
			return 0;
		if (proto == IPPROTO_FRAGMENT)
			at += 8;
		else if (proto == IPPROTO_AH)
			at += (b[at + 1] + 2u) * 4;
		else
			at += (b[at + 1] + 1u) * 8;
	}
	return 0;
}

bool logd_packet(const uint8_t *b, size_t n, struct logd_event *ret)
{
	bool later_fragment = false;
	size_t head;

	if (n >= 20 && b[0] >> 4 == 4) {
		head = (b[0] & 15) * 4u;
		ret->family = AF_INET;
		ret->proto = b[9];
		memcpy(ret->src, b + 12, 4);
		memcpy(ret->dst, b + 16, 4);
		/* A later fragment has no ports; what stands there is data. */
		later_fragment = (b[6] & 0x1f) || b[7];
	} else if (n >= 40 && b[0] >> 4 == 6) {
		ret->family = AF_INET6;
		ret->proto = b[6];
		memcpy(ret->src, b + 8, 16);
		memcpy(ret->dst, b + 24, 16);
		head = skip_ext(b, n, ret);
	} else {
		return false;
	}
	if (head >= 20 && head <= n && !later_fragment)
		take_l4(b + head, n - head, ret);
	return true;
}

/* ---- messages ---- */

static int attr_cb(const struct nlattr *a, void *arg)
{
	const struct nlattr **tb = arg;

	if (mnl_attr_type_valid(a, NFULA_MAX) >= 0)
		tb[mnl_attr_get_type(a)] = a;
	return MNL_CB_OK;
}

/* "rtr 0123abcd" */
static uint32_t rule_of(const struct nlattr *prefix)
{
	const char *text = prefix && mnl_attr_validate(prefix, MNL_TYPE_NUL_STRING) >= 0
				   ? mnl_attr_get_str(prefix)
				   : "";
	size_t n = strlen(LOGD_PREFIX);

	return strncmp(text, LOGD_PREFIX, n) ? 0 : (uint32_t)strtoul(text + n, NULL, 16);
}

static uint32_t u32_of(const struct nlattr *a)
{
	return a && mnl_attr_get_payload_len(a) == 4 ? ntohl(mnl_attr_get_u32(a)) : 0;
}

bool logd_message(const struct nlmsghdr *h, struct logd_event *ret)
{
	const struct nlattr *tb[NFULA_MAX + 1] = { 0 };

	*ret = (struct logd_event){ 0 };
	if (h->nlmsg_type != (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET) ||
	    h->nlmsg_len < mnl_nlmsg_size(sizeof(struct nfgenmsg)) ||
	    mnl_attr_parse(h, sizeof(struct nfgenmsg), attr_cb, (void *)tb) < 0)
		return false;
	ret->rule = rule_of(tb[NFULA_PREFIX]);
	ret->seq = u32_of(tb[NFULA_SEQ]);
	ret->ifindex = u32_of(tb[NFULA_IFINDEX_INDEV]);
	if (tb[NFULA_PAYLOAD])
		logd_packet(mnl_attr_get_payload(tb[NFULA_PAYLOAD]),
			    mnl_attr_get_payload_len(tb[NFULA_PAYLOAD]), ret);
	return true;
}
