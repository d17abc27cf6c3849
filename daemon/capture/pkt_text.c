/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capture/pkt_text.h"

#include "prefix.h"

#include <linux/if_ether.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Tags and extension headers that are looked through; more make a packet that nobody sends. */
#define MAX_TAGS 4
#define MAX_EXT  8

struct out {
	char *s;
	size_t n;
};

struct in {
	const uint8_t *d;
	size_t have; /* bytes that are there */
	size_t size; /* bytes that there were */
};

static void add(struct out *o, const char *fmt, ...) RTR_PRINTF(2, 3);
static void add(struct out *o, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(o->s + o->n, PKT_TEXT_MAX - o->n, fmt, ap);
	va_end(ap);
	if (n > 0)
		o->n = MIN(o->n + (size_t)n, (size_t)PKT_TEXT_MAX - 1);
}

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* False, and said so: fewer than n bytes are there. */
static bool need(struct out *o, const struct in *i, size_t n)
{
	if (i->have >= n)
		return true;
	add(o, i->size < n ? " [too short]" : " [cut]");
	return false;
}

static void skip(struct in *i, size_t n)
{
	i->d += n;
	i->have -= n;
	i->size -= MIN(n, i->size);
}

static const char *mac(const uint8_t *m, char buf[16])
{
	snprintf(buf, 16, "%02x%02x.%02x%02x.%02x%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	return buf;
}

/* ---- addresses ---- */

struct ends {
	struct rtr_addr src, dst;
	bool ports;
	uint16_t sport, dport;
};

static void one_end(struct out *o, const struct rtr_addr *a, bool port, uint16_t n)
{
	char t[RTR_ADDR_STRLEN];

	rtr_addr_str(a, t);
	if (!port)
		add(o, "%s", t);
	else if (a->family == AF_INET6)
		add(o, "[%s]:%u", t, n);
	else
		add(o, "%s:%u", t, n);
}

static void both_ends(struct out *o, const char *proto, const struct ends *e)
{
	add(o, "%s ", proto);
	one_end(o, &e->src, e->ports, e->sport);
	add(o, " > ");
	one_end(o, &e->dst, e->ports, e->dport);
}

/* ---- transport ---- */

static void tcp(struct out *o, struct in *i, struct ends *e)
{
	static const char flags[] = "FSRP.UEW";
	char text[9];
	size_t n = 0, head;

	if (i->have >= 4) {
		e->ports = true;
		e->sport = be16(i->d);
		e->dport = be16(i->d + 2);
	}
	both_ends(o, "tcp", e);
	if (!need(o, i, 20))
		return;
	for (unsigned b = 0; b < 8; b++) {
		if (i->d[13] >> b & 1)
			text[n++] = flags[b];
	}
	text[n] = '\0';
	add(o, " [%s] seq %u", n ? text : "none", be32(i->d + 4));
	if (i->d[13] & 0x10)
		add(o, " ack %u", be32(i->d + 8));
	add(o, " win %u", be16(i->d + 14));
	head = (i->d[12] >> 4) * 4u;
	if (head < 20 || head > i->size)
		add(o, " [header length %zu]", head);
	else
		add(o, ", length %zu", i->size - head);
}

static void udp(struct out *o, struct in *i, struct ends *e)
{
	if (i->have >= 4) {
		e->ports = true;
		e->sport = be16(i->d);
		e->dport = be16(i->d + 2);
	}
	both_ends(o, "udp", e);
	if (!need(o, i, 8))
		return;
	if (be16(i->d + 4) < 8 || be16(i->d + 4) > i->size)
		add(o, " [length %u]", be16(i->d + 4));
	else
		add(o, ", length %u", be16(i->d + 4) - 8);
}

static void network(struct out *o, struct in i, bool quoted);

static const char *icmp4_name(uint8_t type, uint8_t code)
{
	static const char *const unreach[] = {
		"network unreachable",      "host unreachable",
		"protocol unreachable",     "port unreachable",
		"fragmentation needed",     "source route failed",
		"network unknown",          "host unknown",
		"source isolated",          "network prohibited",
		"host prohibited",          "network unreachable for TOS",
		"host unreachable for TOS", "administratively prohibited"
	};

	switch (type) {
	case 0:
		return "echo reply";
	case 3:
		return code < ARRAY_LEN(unreach) ? unreach[code] : "unreachable";
	case 4:
		return "source quench";
	case 5:
		return "redirect";
	case 8:
		return "echo request";
	case 9:
		return "router advertisement";
	case 10:
		return "router solicitation";
	case 11:
		return code ? "reassembly time exceeded" : "time exceeded";
	case 12:
		return "parameter problem";
	case 13:
		return "timestamp request";
	case 14:
		return "timestamp reply";
	default:
		return NULL;
	}
}

static const char *icmp6_name(uint8_t type, uint8_t code)
{
	static const char *const unreach[] = { "no route",           "administratively prohibited",
					       "beyond scope",       "address unreachable",
					       "port unreachable",   "source refused",
					       "route says rejected" };

	switch (type) {
	case 1:
		return code < ARRAY_LEN(unreach) ? unreach[code] : "unreachable";
	case 2:
		return "packet too big";
	case 3:
		return code ? "reassembly time exceeded" : "time exceeded";
	case 4:
		return "parameter problem";
	case 128:
		return "echo request";
	case 129:
		return "echo reply";
	case 130:
		return "MLD query";
	case 131:
	case 143:
		return "MLD report";
	case 132:
		return "MLD done";
	case 133:
		return "router solicitation";
	case 134:
		return "router advertisement";
	case 135:
		return "neighbor solicitation";
	case 136:
		return "neighbor advertisement";
	case 137:
		return "redirect";
	default:
		return NULL;
	}
}

static void icmp(struct out *o, struct in *i, const struct ends *e, bool quoted)
{
	bool v6 = e->src.family == AF_INET6;
	struct rtr_addr target = { .family = AF_INET6 };
	const char *name;
	char t[RTR_ADDR_STRLEN];
	uint8_t type;

	both_ends(o, v6 ? "icmpv6" : "icmp", e);
	if (!need(o, i, 8))
		return;
	type = i->d[0];
	name = v6 ? icmp6_name(type, i->d[1]) : icmp4_name(type, i->d[1]);
	if (name)
		add(o, " %s", name);
	else
		add(o, " type %u code %u", type, i->d[1]);
	if (v6 ? type == 128 || type == 129 : type == 0 || type == 8)
		add(o, " id %u seq %u", be16(i->d + 4), be16(i->d + 6));
	else if (v6 && type == 2)
		add(o, " mtu %u", be32(i->d + 4));
	else if (!v6 && type == 3 && i->d[1] == 4)
		add(o, " mtu %u", be16(i->d + 6));
	if (v6 && (type == 135 || type == 136) && i->have >= 24) {
		memcpy(target.b, i->d + 8, 16);
		add(o, " %s", rtr_addr_str(&target, t));
	}
	add(o, ", length %zu", i->size);
	/* One level: an error about an error does not exist. */
	if (quoted || !(v6 ? type < 128 : type == 3 || type == 5 || type == 11 || type == 12) ||
	    i->have == 8)
		return;
	skip(i, 8);
	add(o, " for ");
	network(o, *i, true);
}

static void transport(struct out *o, struct in *i, uint8_t proto, struct ends *e, bool quoted)
{
	static const struct {
		uint8_t proto;
		const char *name;
	} names[] = { { 2, "igmp" },  { 4, "ipip" },   { 41, "ipv6" }, { 47, "gre" },
		      { 50, "esp" },  { 51, "ah" },    { 59, "none" }, { 89, "ospf" },
		      { 103, "pim" }, { 112, "vrrp" }, { 132, "sctp" } };
	char number[16];
	const char *name = NULL;

	switch (proto) {
	case IPPROTO_TCP:
		tcp(o, i, e);
		return;
	case IPPROTO_UDP:
		udp(o, i, e);
		return;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if ((proto == IPPROTO_ICMP) == (e->src.family == AF_INET)) {
			icmp(o, i, e, quoted);
			return;
		}
		break;
	default:
		break;
	}
	for (size_t k = 0; k < ARRAY_LEN(names) && !name; k++) {
		if (names[k].proto == proto)
			name = names[k].name;
	}
	if (proto == IPPROTO_SCTP && i->have >= 4) {
		e->ports = true;
		e->sport = be16(i->d);
		e->dport = be16(i->d + 2);
	}
	snprintf(number, sizeof(number), "protocol %u", proto);
	both_ends(o, name ? name : number, e);
	add(o, ", length %zu", i->size);
}

/* ---- network ---- */

static void ip4(struct out *o, struct in i, bool quoted)
{
	struct ends e = { .src.family = AF_INET, .dst.family = AF_INET };
	size_t head, total, ttl, frag;
	uint8_t proto;

	if (!need(o, &i, 20))
		return;
	head = (i.d[0] & 15) * 4u;
	total = be16(i.d + 2);
	ttl = i.d[8];
	proto = i.d[9];
	frag = be16(i.d + 6);
	memcpy(e.src.b, i.d + 12, 4);
	memcpy(e.dst.b, i.d + 16, 4);
	if (head < 20 || total < head) {
		both_ends(o, "ip", &e);
		add(o, " [header length %zu, total length %zu]", head, total);
		return;
	}
	/* A quoted packet is cut on purpose; Ethernet pads a short one; 0: larger than 64 KiB. */
	if (!quoted)
		i.size = MIN(i.size, total);
	else
		i.size = total;
	i.have = MIN(i.have, i.size);
	if (i.have < head) {
		both_ends(o, "ip", &e);
		(void)need(o, &i, head);
		return;
	}
	skip(&i, head);
	if (frag & 0x1fff) {
		char number[16];

		snprintf(number, sizeof(number), "protocol %u", proto);
		both_ends(o, number, &e);
		add(o, ", length %zu", i.size);
	} else {
		transport(o, &i, proto, &e, quoted);
	}
	if (frag & 0x3fff)
		add(o, " fragment at %zu%s", (frag & 0x1fff) * 8, frag & 0x2000 ? "+" : "");
	if (!quoted)
		add(o, " ttl %zu", ttl);
}

static bool is_extension(uint8_t next)
{
	return next == 0 || next == 43 || next == 44 || next == 60 || next == 135;
}

static void ip6(struct out *o, struct in i, bool quoted)
{
	struct ends e = { .src.family = AF_INET6, .dst.family = AF_INET6 };
	bool first = true, is_frag = false;
	uint16_t frag = 0;
	uint8_t next, hops;
	size_t payload;

	if (!need(o, &i, 40))
		return;
	payload = be16(i.d + 4);
	next = i.d[6];
	hops = i.d[7];
	memcpy(e.src.b, i.d + 8, 16);
	memcpy(e.dst.b, i.d + 24, 16);
	skip(&i, 40);
	if (payload && !quoted)
		i.size = MIN(i.size, payload);
	else if (payload)
		i.size = payload;
	i.have = MIN(i.have, i.size);
	for (unsigned k = 0; k < MAX_EXT && is_extension(next) && first; k++) {
		size_t len = next == 44 ? 8 : 0;

		if (i.have >= 2 && !len)
			len = (i.d[1] + 1u) * 8;
		if (i.have < MAX(len, (size_t)8)) {
			both_ends(o, "ipv6", &e);
			(void)need(o, &i, MAX(len, (size_t)8));
			return;
		}
		if (next == 44) {
			is_frag = true;
			frag = be16(i.d + 2);
			first = !(frag & 0xfff8);
		}
		next = i.d[0];
		skip(&i, len);
	}
	if (first) {
		transport(o, &i, next, &e, quoted);
	} else {
		char number[16];

		snprintf(number, sizeof(number), "protocol %u", next);
		both_ends(o, number, &e);
		add(o, ", length %zu", i.size);
	}
	if (is_frag)
		add(o, " fragment at %u%s", frag & 0xfff8u, frag & 1 ? "+" : "");
	if (!quoted)
		add(o, " hops %u", hops);
}

static void network(struct out *o, struct in i, bool quoted)
{
	if (!need(o, &i, 1))
		return;
	if (i.d[0] >> 4 == 4)
		ip4(o, i, quoted);
	else if (i.d[0] >> 4 == 6)
		ip6(o, i, quoted);
	else
		add(o, "IP version %u, length %zu", i.d[0] >> 4, i.size);
}

static void arp(struct out *o, const struct in *i)
{
	struct rtr_addr a = { .family = AF_INET }, b = { .family = AF_INET };
	char ta[RTR_ADDR_STRLEN], tb[RTR_ADDR_STRLEN], m[16];

	add(o, "arp");
	if (!need(o, i, 28))
		return;
	if (be16(i->d) != 1 || be16(i->d + 2) != ETH_P_IP || i->d[4] != 6 || i->d[5] != 4) {
		add(o, " [not Ethernet and IPv4]");
		return;
	}
	memcpy(a.b, i->d + 14, 4);
	memcpy(b.b, i->d + 24, 4);
	rtr_addr_str(&a, ta);
	rtr_addr_str(&b, tb);
	if (be16(i->d + 6) == 1)
		add(o, " who-has %s tell %s (%s)", tb, ta, mac(i->d + 8, m));
	else if (be16(i->d + 6) == 2)
		add(o, " %s is-at %s to %s", ta, mac(i->d + 8, m), tb);
	else
		add(o, " operation %u", be16(i->d + 6));
}

static void ethernet(struct out *o, struct in i)
{
	uint8_t src[6], dst[6];
	char a[16], b[16];
	uint16_t type;

	if (!need(o, &i, 14))
		return;
	memcpy(dst, i.d, 6);
	memcpy(src, i.d + 6, 6);
	type = be16(i.d + 12);
	skip(&i, 14);
	for (unsigned k = 0; k < MAX_TAGS && (type == ETH_P_8021Q || type == ETH_P_8021AD); k++) {
		if (!need(o, &i, 4))
			return;
		add(o, "vlan %u ", be16(i.d) & 0xfff);
		type = be16(i.d + 2);
		skip(&i, 4);
	}
	if (type == ETH_P_PPP_SES && i.have >= 8) {
		uint16_t proto = be16(i.d + 6);

		add(o, "pppoe session %u ", be16(i.d + 2));
		if (proto == 0x21 || proto == 0x57) {
			skip(&i, 8);
			network(o, i, false);
			return;
		}
	}
	if (type == ETH_P_IP || type == ETH_P_IPV6)
		network(o, i, false);
	else if (type == ETH_P_ARP)
		arp(o, &i);
	else if (type < ETH_P_802_3_MIN)
		add(o, "llc %s > %s, length %u", mac(src, a), mac(dst, b), type);
	else
		add(o, "ethertype 0x%04x %s > %s, length %zu", type, mac(src, a), mac(dst, b),
		    i.size);
}

char *pkt_text(enum pkt_link link, const uint8_t *data, size_t have, size_t size,
	       char buf[PKT_TEXT_MAX])
{
	struct in i = { data, MIN(have, size), size };
	struct out o = { buf, 0 };

	buf[0] = '\0';
	if (link == PKT_ETHERNET)
		ethernet(&o, i);
	else
		network(&o, i, false);
	return buf;
}
