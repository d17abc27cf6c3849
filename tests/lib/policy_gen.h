/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: random policies (lists, groups, zones, reverse path, hours, translations) as configuration
 * lines, and random packets that have to do with them: for the tests that compare the judge with a
 * plane. Interfaces e0 to e3 have 10.N.0.0/24 and fd00:N::/64.
 */
#ifndef RTR_TEST_POLICY_GEN_H
#define RTR_TEST_POLICY_GEN_H

#include "firewall/policy.h"
#include "gen.h"
#include "schema/edit.h"
#include "strbuf.h"

#include <string.h>

/* ---- random configurations ---- */

static const char *ports(void)
{
	return PICK("", "", " eq 80", " range 1 1000", " gt 500", " lt 500", " neq 80",
		    " eq 80,443,1000-2000");
}

static void addr(struct strbuf *b, bool v6)
{
	unsigned i = below(N_IFACES), h = 1 + below(6);

	switch (below(8)) {
	case 0:
	case 1:
		strbuf_adds(b, " any");
		break;
	case 2:
		strbuf_addf(b, v6 ? " host fd00:%u::%u" : " host 10.%u.0.%u", i, h);
		break;
	case 3:
		strbuf_addf(b, v6 ? " fd00:%u::/64" : " 10.%u.0.0 0.0.0.255", i);
		break;
	case 4:
		strbuf_addf(b, v6 ? " fd00:%u::%u/126" : " 10.%u.0.%u 0.0.0.3", i, h & 4);
		break;
	case 5:
		strbuf_addf(b, " object-group %s", PICK("G0", "G1", "G2"));
		break;
	case 6:
		if (!v6) {
			/* Holes: every second host, or the same host of several networks. */
			strbuf_addf(b, " 10.%u.0.%u %s", i, h,
				    PICK("0.0.0.6", "0.3.0.0", "0.2.0.5"));
			break;
		}
		/* fallthrough */
	default:
		strbuf_addf(b,
			    v6 ? " address-range fd00:%u::%u fd00:%u::%u"
			       : " address-range 10.%u.0.%u 10.%u.0.%u",
			    i, h, MIN(i + below(2), N_IFACES - 1), h + below(3));
	}
}

static void ace(struct strbuf *b, bool v6)
{
	unsigned kind = below(10);

	strbuf_addf(b, " %s ", PICK("permit", "permit", "deny", "reject"));
	if (kind < 3) {
		strbuf_adds(b, "tcp");
	} else if (kind < 5) {
		strbuf_adds(b, "udp");
	} else if (kind < 7) {
		strbuf_adds(b, v6 ? "ipv6" : "ip");
	} else if (kind < 8) {
		strbuf_adds(b, "icmp");
	} else if (kind < 9) {
		strbuf_addf(b, "object-group %s", PICK("S0", "S1"));
	} else {
		strbuf_adds(b, "50");
	}
	addr(b, v6);
	if (kind < 5)
		strbuf_adds(b, ports());
	addr(b, v6);
	if (kind < 5)
		strbuf_adds(b, ports());
	if (kind < 3 && !below(5))
		strbuf_adds(b, PICK(" established", " match-all +syn -ack", " match-any +ack +fin",
				    " match-all -syn"));
	if (kind == 7 && below(2))
		strbuf_adds(b, v6 ? PICK(" echo-request", " echo-reply", " 128 0")
				  : PICK(" echo", " timestamp-request", " 8 0", " 3 1"));
	if (!below(8))
		strbuf_adds(b, PICK(" dscp ef", " dscp default", " dscp af11"));
	if (!below(10))
		strbuf_adds(b, PICK(" ttl lt 32", " ttl eq 64", " ttl range 10 63"));
	if (!below(10))
		strbuf_adds(b, PICK(" length gt 70", " length lt 70", " length range 60 90"));
	if (!below(12))
		strbuf_adds(b, PICK(" state new", " state invalid", " state established,new"));
	if (!below(10))
		strbuf_addf(b, " time-range %s", PICK("ALWAYS", "NEVER"));
	if (!below(8))
		strbuf_adds(b, " log");
	strbuf_addc(b, '\n');
}

static void acls(struct strbuf *b)
{
	for (unsigned i = 0; i < 4; i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			/* Long ones become tables. */
			unsigned n = below(4) ? below(8) : 10 + below(40);

			strbuf_addf(b, "%s A%u\n",
				    v6 ? "ipv6 access-list" : "ip access-list extended", i);
			while (n--)
				ace(b, v6);
		}
	}
}

static void groups(struct strbuf *b)
{
	for (unsigned i = 0; i < 3; i++) {
		strbuf_addf(b, "object-group network G%u\n", i);
		for (unsigned n = below(5); n--;) {
			unsigned net = below(N_IFACES), h = 1 + below(6);

			if (below(2))
				strbuf_addf(b, " host 10.%u.0.%u\n host fd00:%u::%u\n", net, h, net,
					    h);
			else
				strbuf_addf(b, " range 10.%u.0.%u 10.%u.0.%u\n fd00:%u::/64\n", net,
					    h, net, h + below(4), net);
		}
		if (i && below(2))
			strbuf_addf(b, " group-object G%u\n", i - 1);
	}
	strbuf_adds(b, "object-group service S0\n tcp eq 80\n udp source gt 500\n icmp echo\n");
	strbuf_adds(b,
		    "object-group service S1\n group-object S0\n tcp lt 100\n icmpv6 128\n 50\n");
	strbuf_adds(b, "time-range ALWAYS\n periodic daily 0:00 to 24:00\n"
		       "time-range NEVER\n absolute end 0:00 1 January 2001\n");
}

static void zones(struct strbuf *b)
{
	static const char *const names[] = { "Z0", "Z1", "self" };

	strbuf_adds(b, "zone security Z0\nzone security Z1\n");
	if (!below(4))
		strbuf_adds(b, " management\n");
	for (unsigned i = 0; i < 3; i++) {
		strbuf_addf(b, "class-map type inspect %s C%u\n", PICK("match-any", "match-all"),
			    i);
		for (unsigned n = 1 + below(2); n--;)
			strbuf_addf(b, " match access-group name A%u\n", below(4));
		if (!below(3))
			strbuf_addf(b, " match protocol %s\n", PICK("tcp", "icmp", "http", "udp"));
	}
	for (unsigned i = 0; i < 3; i++) {
		strbuf_addf(b, "policy-map type inspect P%u\n", i);
		for (unsigned c = 0; c < 3; c++) {
			if (below(3))
				strbuf_addf(b, " class type inspect C%u\n  %s%s\n", c,
					    PICK("inspect", "inspect", "pass", "drop", "reject"),
					    below(5) ? "" : " log");
		}
		if (below(2))
			strbuf_addf(b, " class type inspect class-default\n  %s\n",
				    PICK("inspect", "drop", "reject", "pass"));
	}
	for (unsigned s = 0; s < 2; s++) {
		for (unsigned d = 0; d < 3; d++) {
			if (s == d || !below(4))
				continue;
			strbuf_addf(b,
				    "zone-pair security Z%u-%s source Z%u destination %s\n"
				    " service-policy type inspect P%u\n",
				    s, names[d], s, names[d], below(3));
		}
	}
}

static char *configuration(void)
{
	struct strbuf b = STRBUF_INIT;
	bool zoned = below(3);

	groups(&b);
	acls(&b);
	if (zoned)
		zones(&b);
	for (unsigned i = 0; i < N_IFACES; i++) {
		strbuf_addf(&b, "interface e%u\n", i);
		if (zoned && below(6))
			strbuf_addf(&b, " zone-member security Z%u\n", below(2));
		if (!below(3))
			strbuf_addf(&b, " ip access-group A%u in\n ipv6 traffic-filter A%u in\n",
				    below(4), below(4));
		if (!below(3))
			strbuf_addf(&b, " ip access-group A%u out\n ipv6 traffic-filter A%u out\n",
				    below(4), below(4));
		if (!below(6))
			strbuf_addf(&b, " ip verify unicast source reachable-via %s\n",
				    PICK("rx", "any", "feasible"));
		if (!below(6))
			strbuf_addf(&b, " ipv6 verify unicast source reachable-via %s\n",
				    PICK("rx", "any", "feasible"));
	}
	/* Not in the kernel: what they lead to is feasible all the same. */
	for (unsigned i = below(4); i > 0; i--)
		strbuf_addf(&b,
			    "ip route 10.%u.0.%u/30 e%u 200\nipv6 route fd00:%u::/126 e%u 200\n",
			    below(N_IFACES + 2), 4 * below(2), below(N_IFACES), below(N_IFACES + 2),
			    below(N_IFACES));
	return strbuf_steal(&b);
}

static struct rtr_addr host(bool v6, unsigned net, unsigned h)
{
	struct rtr_addr a = { .family = v6 ? AF_INET6 : AF_INET };

	if (v6) {
		a.b[0] = 0xfd;
		a.b[3] = (uint8_t)net;
		a.b[15] = (uint8_t)h;
	} else {
		a.b[0] = 10;
		a.b[1] = (uint8_t)net;
		a.b[3] = (uint8_t)h;
	}
	return a;
}

static uint16_t port(void)
{
	switch (below(4)) {
	case 0:
		return 80;
	case 1:
		return (uint16_t)(1 + below(1200));
	case 2:
		return (uint16_t)(490 + below(20));
	default:
		return (uint16_t)(1 + below(65535));
	}
}

#define RST 0x04
#define ACK 0x10
#define FIN 0x01

/* What connection tracking makes of the first packet of a connection. */
static void tcp_state(struct pol_packet *p)
{
	static const uint8_t flags[] = { SYN, SYN, SYN, SYN, ACK, SYN | ACK, RST, FIN | ACK };

	p->tcp_flags = flags[below(ARRAY_LEN(flags))];
	p->state = p->tcp_flags == SYN || p->tcp_flags == ACK ? POL_NEW : POL_INVALID;
}

static void icmp_state(struct pol_packet *p, bool v6)
{
	static const uint8_t v4[] = { 8, 8, 13, 0 }, t6[] = { 128, 128, 129 };

	p->icmp_type = v6 ? t6[below(ARRAY_LEN(t6))] : v4[below(ARRAY_LEN(v4))];
	p->state = p->icmp_type == 0 || p->icmp_type == 129 ? POL_INVALID : POL_NEW;
	p->sport = p->dport = (uint16_t)(1 + below(65535));
}

static struct pol_packet packet(unsigned *ret_in)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP,
					  IPPROTO_UDP, 0,           50 };
	bool v6 = below(2);
	unsigned in = below(N_IFACES), from = below(8) ? in : below(N_IFACES + 2);
	unsigned to = below(16) ? below(N_IFACES) : 7;
	struct pol_packet p = {
		.family = v6 ? AF_INET6 : AF_INET,
		.src = host(v6, from, 2 + below(5)),
		.dst = host(v6, to, 1 + below(6)),
		.proto = protos[below(ARRAY_LEN(protos))],
		.ttl = (uint8_t)(below(3) ? 64 : 2 + below(80)),
		.dscp = (uint8_t)(below(3)   ? 0
				  : below(2) ? 46
					     : 10),
		.state = POL_NEW,
	};

	snprintf(p.iif, sizeof(p.iif), "e%u", in);
	*ret_in = in;
	if (!p.proto) {
		p.proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
		icmp_state(&p, v6);
	} else if (p.proto != 50) {
		p.sport = port();
		p.dport = port();
		if (p.proto == IPPROTO_TCP)
			tcp_state(&p);
	}
	/* Kernel sockets answer on none of these. */
	return p;
}

#endif
