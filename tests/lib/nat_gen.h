/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: random NAT lines, and random packets that have to do with them: for the tests that compare
 * NAT's judge with a plane. Interfaces e0 to e3 have 10.N.0.1/24 and fd00:N::1/64; 0 and 1 are
 * inside, 2 outside, 3 what chance says.
 */
#ifndef RTR_TEST_NAT_GEN_H
#define RTR_TEST_NAT_GEN_H

#include "firewall/policy.h"
#include "gen.h"
#include "strbuf.h"

#include <netinet/in.h>

#define OUT 2

/* ---- random lines ---- */

struct nat_fam {
	const char *ip, *any, *acl, *net, *len;
};
static const struct nat_fam nat_fams[2] = {
	{ "ip", "ip", "ip access-list extended", "10.%u.0.%u", "24" },
	{ "ipv6", "ipv6", "ipv6 access-list", "fd00:%u::%u", "64" },
};

/* An address as text; some at a time. */
static const char *nat_at(unsigned f, unsigned net, unsigned h)
{
	static char buf[8][64];
	static unsigned next;
	char *b = buf[next++ % 8];

	if (f)
		snprintf(b, 64, "fd00:%u::%x", net, h);
	else
		snprintf(b, 64, "10.%u.0.%u", net, h);
	return b;
}

static void nat_acl(struct strbuf *b, unsigned f, unsigned n)
{
	/* L3 fits a pool without overload. */
	bool sources = n == 3 || below(2);

	strbuf_addf(b, "%s L%u\n", nat_fams[f].acl, n);
	for (unsigned i = 1 + below(5); i--;) {
		unsigned kind = sources ? 0 : below(4);

		strbuf_addf(b, " %s %s", PICK("permit", "permit", "permit", "deny"),
			    kind == 1   ? "tcp"
			    : kind == 2 ? "udp"
					: nat_fams[f].any);
		unsigned net = below(2);

		if (below(3))
			strbuf_addf(b, " address-range %s %s", nat_at(f, net, 2 + below(3)),
				    nat_at(f, n == 3 ? net : 1, 5 + below(3)));
		else
			strbuf_addf(b, " host %s", nat_at(f, below(2), 2 + below(6)));
		if (!sources && below(2))
			strbuf_addf(b, " host %s", nat_at(f, 2 + below(2), 2 + below(6)));
		else
			strbuf_adds(b, " any");
		if (kind == 1 || kind == 2)
			strbuf_adds(b, PICK("", " eq 80", " range 1 600", " gt 500"));
		strbuf_addc(b, '\n');
	}
}

static void nat_pools(struct strbuf *b, unsigned f)
{
	strbuf_addf(b, "%s nat pool A %s %s prefix-length %s\n", nat_fams[f].ip, nat_at(f, 2, 100),
		    nat_at(f, 2, 100 + below(4)), nat_fams[f].len);
	strbuf_addf(b, "%s nat pool M %s %s prefix-length %s\n", nat_fams[f].ip, nat_at(f, 2, 128),
		    nat_at(f, 2, f ? 0xffff : 200), nat_fams[f].len);
	/* L3 has few hosts: now and then there is no room for all. */
	strbuf_addf(b, "%s nat pool D %s %s prefix-length %s type deterministic ports %s\n",
		    nat_fams[f].ip, nat_at(f, 2, 110), nat_at(f, 2, 110 + below(3)),
		    nat_fams[f].len, PICK("16", "1000", "7777", "15000"));
	strbuf_addf(b, "%s nat pool R %s %s prefix-length %s type rotary\n", nat_fams[f].ip,
		    nat_at(f, 1, 2), nat_at(f, 1, 2 + below(4)), nat_fams[f].len);
}

static void nat_sources(struct strbuf *b, unsigned f)
{
	for (unsigned i = 0; i < 4; i++) {
		char policy[24] = "";

		if (!below(3))
			snprintf(policy, sizeof(policy), "policy %u ", 1 + below(9));
		strbuf_addf(b, "%s nat inside source %slist L%u %s\n", nat_fams[f].ip, policy, i,
			    i == 3 && below(2)
				    ? PICK("pool M", "pool D overload")
				    : PICK("interface e2 overload", "interface e3 overload",
					   "pool A overload", "pool A via e2 overload", "exempt"));
	}
}

static void nat_statics(struct strbuf *b, unsigned f)
{
	for (unsigned i = below(8); i--;) {
		unsigned local = 2 + i / 2, net = i & 1, global = 20 + i % 6;
		unsigned port = 80 + 3 * (i % 2), n = below(3);

		strbuf_addf(b, "%s nat inside source static ", nat_fams[f].ip);
		switch (i ? 1 + below(3) : below(4)) {
		case 1:
			strbuf_addf(b, "%s %s\n", nat_at(f, net, local),
				    nat_at(f, 2, global + 6 * net));
			break;
		case 0:
			strbuf_addf(b, "network %s %s /%u\n", nat_at(f, net, 4), nat_at(f, 2, 64),
				    f ? 126 : 30);
			break;
		default:
			strbuf_addf(b, "%s %s %u-%u ", PICK("tcp", "udp"), nat_at(f, net, local),
				    port, port + n);
			if (below(2))
				strbuf_addf(b, "interface e%u", 2 + below(2));
			else
				strbuf_adds(b, nat_at(f, 2, below(4) ? global : 110));
			port = 80 + 3 * i + (below(2) ? 0 : 500);
			strbuf_addf(b, " %u-%u\n", port, port + n);
		}
	}
	if (!below(3))
		strbuf_addf(b, "%s nat outside source static %s %s\n", nat_fams[f].ip,
			    nat_at(f, 2, 2 + below(5)), nat_at(f, 77, 5));
	if (!below(3)) {
		strbuf_addf(b, "%s VIP\n permit tcp any host %s eq 80\n", nat_fams[f].acl,
			    nat_at(f, 2, 40));
		strbuf_addf(b, "%s nat inside destination list VIP pool R\n", nat_fams[f].ip);
	}
}

static char *nat_configuration(void)
{
	struct strbuf b = STRBUF_INIT;
	unsigned third = below(3);

	for (unsigned i = 0; i < N_IFACES; i++) {
		const char *side = i < OUT ? "inside" : i == OUT ? "outside" : "outside";

		strbuf_addf(&b, "interface e%u\n ip address 10.%u.0.1/24\n", i, i);
		strbuf_addf(&b, " ipv6 address fd00:%u::1/64\n", i);
		if (i == 3 && !third)
			continue;
		if (i == 3 && third == 1)
			side = "inside";
		strbuf_addf(&b, " ip nat %s\n ipv6 nat %s\n", side, side);
	}
	for (unsigned f = 0; f < 2; f++) {
		for (unsigned i = 0; i < 4; i++)
			nat_acl(&b, f, i);
		nat_pools(&b, f);
		nat_sources(&b, f);
		nat_statics(&b, f);
	}
	if (!below(3))
		strbuf_addf(&b,
			    "ip nat settings port-range kernel 41000 45000\n"
			    "ip nat settings port-reserve 42000-42010\n"
			    "ip nat settings port-reserve %u\n"
			    "ip nat settings port-reserve %u\n",
			    43000 + below(1000), 15000 + below(9000));
	return strbuf_steal(&b);
}

static struct rtr_addr nat_host(unsigned f, unsigned net, unsigned h)
{
	struct rtr_addr a;

	ck_assert(!rtr_addr_parse(nat_at(f, net, h), AF_UNSPEC, &a));
	return a;
}

static struct rtr_addr nat_destination(unsigned f, unsigned in)
{
	static const uint8_t shared[] = {
		1, 20, 21, 22, 23, 24, 25, 28, 40, 64, 66, 100, 110, 130
	};

	switch (below(8)) {
	case 0:
	case 1:
	case 2:
		return nat_host(f, 2, shared[below(ARRAY_LEN(shared))]);
	case 3:
		return nat_host(f, 77, 5);
	case 4:
		return nat_host(f, below(N_IFACES), 1);
	default:
		return nat_host(f, (in + 1 + below(N_IFACES - 1)) % N_IFACES, 2 + below(6));
	}
}

static struct pol_packet nat_packet(unsigned *ret_in)
{
	unsigned f = below(2), in = below(N_IFACES), kind = below(5);
	struct pol_packet p = { .family = f ? AF_INET6 : AF_INET,
				.src = nat_host(f, in, 2 + below(6)),
				.dst = nat_destination(f, in),
				.ttl = 64,
				.state = POL_NEW };

	snprintf(p.iif, sizeof(p.iif), "e%u", in);
	*ret_in = in;
	if (kind == 4) {
		p.proto = f ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
		p.icmp_type = f ? 128 : 8;
		p.sport = p.dport = (uint16_t)(1 + below(65535));
		return p;
	}
	p.proto = kind < 2 ? IPPROTO_TCP : IPPROTO_UDP;
	p.tcp_flags = kind < 2 ? SYN : 0;
	p.sport = (uint16_t)(below(3) ? 1 + below(65535) : 80 + below(6));
	p.dport = (uint16_t)(below(3)   ? 80 + below(6)
			     : below(2) ? 580 + below(6)
					: 1 + below(65535));
	return p;
}

#endif
