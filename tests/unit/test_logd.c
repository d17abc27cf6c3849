/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Headers of packets that a line logs, as strangers send them: what stands at the fixed places is
 * told, and no length or field makes anything else be read (a sanitizer watches the blocks, which
 * end where the packets do).
 */
#include "firewall/logd_packet.h"
#include "../lib/check_main.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t v4[] = { 0x45, 0, 0,  28, 0, 0, 0x40, 0,    64, IPPROTO_UDP, 0, 0, 10, 0,
			      0,    1, 10, 0,  0, 2, 0x30, 0x39, 0,  53,          0, 8, 0,  0 };
static const uint8_t v6[] = { 0x60, 0,    0, 0,    0,    8,    IPPROTO_ICMPV6,
			      64,   0x20, 1, 0x0d, 0xb8, 0,    0,
			      0,    0,    0, 0,    0,    0,    0,
			      0,    0,    1, 0x20, 1,    0x0d, 0xb8,
			      0,    0,    0, 0,    0,    0,    0,
			      0,    0,    0, 0,    2,    128,  3,
			      0,    0,    0, 0,    0,    0 };

/* From a block of its very size. */
static bool parse(const uint8_t *b, size_t n, struct logd_event *ret)
{
	uint8_t *copy = malloc(n ? n : 1);
	bool ok;

	*ret = (struct logd_event){ 0 };
	if (n)
		memcpy(copy, b, n);
	ok = logd_packet(n ? copy : copy + 1, n, ret);
	free(copy);
	return ok;
}

START_TEST(fields)
{
	struct logd_event p;
	char text[INET6_ADDRSTRLEN];

	ck_assert(parse(v4, sizeof(v4), &p));
	ck_assert_int_eq(p.family, AF_INET);
	ck_assert_uint_eq(p.proto, IPPROTO_UDP);
	ck_assert_uint_eq(ntohs(p.sport), 12345);
	ck_assert_uint_eq(ntohs(p.dport), 53);
	inet_ntop(AF_INET, p.src, text, sizeof(text));
	ck_assert_str_eq(text, "10.0.0.1");
	ck_assert(parse(v6, sizeof(v6), &p));
	ck_assert_int_eq(p.family, AF_INET6);
	ck_assert_uint_eq(p.icmp_type, 128);
	ck_assert_uint_eq(p.icmp_code, 3);
	inet_ntop(AF_INET6, p.dst, text, sizeof(text));
	ck_assert_str_eq(text, "2001:db8::2");
}
END_TEST

/* One byte of the packet is another one; it has ports then, or not. */
static void with(size_t at, uint8_t value, bool ports)
{
	struct logd_event p;
	uint8_t b[sizeof(v4)];

	memcpy(b, v4, sizeof(b));
	b[at] = value;
	ck_assert(parse(b, sizeof(b), &p));
	ck_assert_uint_eq(ntohs(p.dport), ports ? 53 : 0);
}

START_TEST(lies)
{
	struct logd_event p;

	with(6, 0x20, true);  /* the first fragment */
	with(6, 0x01, false); /* later ones, whose data is no header */
	with(7, 0x01, false);
	with(0, 0x46, false); /* what were ports would be options, and behind them is too little */
	with(0, 0x44, false); /* a header shorter than any */
	with(0, 0x4f, false); /* one longer than the packet */
	with(9, IPPROTO_GRE, false);
	for (size_t n = 0; n < sizeof(v4); n++) {
		ck_assert_int_eq(parse(v4, n, &p), n >= 20);
		ck_assert(n < 20 || (n >= 24 ? ntohs(p.dport) == 53 : !p.dport));
	}
	for (size_t n = 0; n < sizeof(v6); n++)
		ck_assert_int_eq(parse(v6, n, &p), n >= 40);
	ck_assert(!parse((const uint8_t[40]){ 0x50 }, 40, &p));
}
END_TEST

#define UDP_AT_END 0x30, 0x39, 0, 53, 0, 8, 0, 0

/* Extension headers of IPv6 (RFC 8200 4.1) before a datagram to port 53; each up to its end. */
START_TEST(extension_headers)
{
	static const struct {
		uint8_t first, b[56];
		size_t n;
		uint8_t proto;
		bool ports;
	} rows[] = {
		{ IPPROTO_UDP, { UDP_AT_END }, 8, IPPROTO_UDP, true },
		{ IPPROTO_HOPOPTS, { 17, 0, 1, 4, 0, 0, 0, 0, UDP_AT_END }, 16, IPPROTO_UDP, true },
		{ IPPROTO_DSTOPTS,
		  { 17, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, UDP_AT_END },
		  24,
		  IPPROTO_UDP,
		  true },
		{ IPPROTO_FRAGMENT,
		  { 17, 0, 0, 1, 0, 0, 0, 9, UDP_AT_END },
		  16,
		  IPPROTO_UDP,
		  true },
		/* A later fragment has data there. */
		{ IPPROTO_FRAGMENT,
		  { 17, 0, 0, 8, 0, 0, 0, 9, UDP_AT_END },
		  16,
		  IPPROTO_UDP,
		  false },
		{ IPPROTO_FRAGMENT,
		  { 17, 0, 1, 0, 0, 0, 0, 9, UDP_AT_END },
		  16,
		  IPPROTO_UDP,
		  false },
		{ IPPROTO_AH,
		  { 17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1,         0,
		    0,  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, UDP_AT_END },
		  32,
		  IPPROTO_UDP,
		  true },
		{ IPPROTO_HOPOPTS,
		  { 43, 0, 1, 4, 0, 0, 0, 0,  44, 0, 0, 0, 0, 0, 0, 0,         60,
		    0,  0, 1, 0, 0, 0, 9, 17, 0,  1, 4, 0, 0, 0, 0, UDP_AT_END },
		  40,
		  IPPROTO_UDP,
		  true },
		/* Longer than the packet: what follows it is known, where is not. */
		{ IPPROTO_HOPOPTS,
		  { 17, 255, 1, 4, 0, 0, 0, 0, UDP_AT_END },
		  16,
		  IPPROTO_UDP,
		  false },
		{ IPPROTO_HOPOPTS,
		  { 59, 0, 1, 4, 0, 0, 0, 0, UDP_AT_END },
		  16,
		  IPPROTO_NONE,
		  false },
		{ IPPROTO_ESP, { UDP_AT_END }, 8, IPPROTO_ESP, false },
		/* Without an end. */
		{ IPPROTO_DSTOPTS,
		  { 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0 },
		  24,
		  IPPROTO_DSTOPTS,
		  false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t b[40 + sizeof(rows[i].b)];
		struct logd_event p;

		memcpy(b, v6, 40);
		b[6] = rows[i].first;
		memcpy(b + 40, rows[i].b, rows[i].n);
		ck_assert(parse(b, 40 + rows[i].n, &p));
		ck_assert_msg(p.proto == rows[i].proto &&
				      ntohs(p.dport) == (rows[i].ports ? 53 : 0),
			      "row %zu: protocol %u, port %u", i, p.proto, ntohs(p.dport));
		for (size_t n = 40; n < 40 + rows[i].n; n++) {
			ck_assert(parse(b, n, &p));
			ck_assert(!p.dport || n >= 40 + rows[i].n - 4);
		}
	}
}
END_TEST

static uint64_t state;

static unsigned below(unsigned n)
{
	return (unsigned)(test_rand(&state) >> 33) % n;
}

START_TEST(noise)
{
	struct logd_event p;

	state = test_seed;
	for (int i = 0; i < 20000; i++) {
		uint8_t b[128];
		size_t n = below(sizeof(b) + 1);

		for (size_t k = 0; k < n; k++)
			b[k] = (uint8_t)below(256);
		/* Chains of extension headers: destination options, of 8 to 32 bytes. */
		for (size_t k = 40; k + 1 < n && below(8); k += 8) {
			b[6] = b[k] = IPPROTO_DSTOPTS;
			b[k + 1] = (uint8_t)below(4);
		}
		if (n && below(4))
			b[0] = (uint8_t)((below(2) ? 0x40 : 0x60) | below(16));
		if (!parse(b, n, &p))
			continue;
		ck_assert_uint_ge(n, p.family == AF_INET ? 20 : 40);
		ck_assert(p.family == AF_INET6 || p.proto == b[9]);
	}
}
END_TEST

static struct nlmsghdr *message_of(char *buf, const char *prefix, const uint8_t *b, size_t n)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET;
	mnl_nlmsg_put_extra_header(h, sizeof(struct nfgenmsg));
	mnl_attr_put_strz(h, NFULA_PREFIX, prefix);
	mnl_attr_put_u32(h, NFULA_SEQ, htonl(7));
	mnl_attr_put_u32(h, NFULA_IFINDEX_INDEV, htonl(3));
	mnl_attr_put(h, NFULA_PAYLOAD, n, b);
	return h;
}

START_TEST(messages)
{
	char buf[512] __attribute__((aligned(8)));
	struct nlmsghdr *h = message_of(buf, "rtr 0123abcd", v4, sizeof(v4));
	struct logd_event e;

	ck_assert(logd_message(h, &e));
	ck_assert_uint_eq(e.rule, 0x0123abcd);
	ck_assert_uint_eq(e.seq, 7);
	ck_assert_uint_eq(e.ifindex, 3);
	ck_assert_int_eq(e.family, AF_INET);
	ck_assert_uint_eq(ntohs(e.dport), 53);
	/* Others' rules in our group; one that cannot be read, which has its number all the same.
	 */
	ck_assert(logd_message(message_of(buf, "someone else", v6, sizeof(v6)), &e));
	ck_assert_uint_eq(e.rule, 0);
	ck_assert(logd_message(message_of(buf, "rtr 1", v6, 39), &e));
	ck_assert_int_eq(e.family, 0);
	ck_assert_uint_eq(e.seq, 7);
	/* Answers, and what is no whole message. */
	h->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
	ck_assert(!logd_message(h, &e));
	h->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET;
	h->nlmsg_len = NLMSG_HDRLEN;
	ck_assert(!logd_message(h, &e));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("logd");
	TCase *tc = tcase_create("logd");

	tcase_add_test(tc, fields);
	tcase_add_test(tc, lies);
	tcase_add_test(tc, extension_headers);
	tcase_add_test(tc, noise);
	tcase_add_test(tc, messages);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
