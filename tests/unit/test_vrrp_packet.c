/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VRRP adverts: bytes seen from other implementations, every reason to drop, random round trips. */
#include "../lib/check_main.h"

#include "vrrp/vrrp_packet.h"

#include <string.h>

static struct rtr_addr addr(const char *s)
{
	struct rtr_addr a;

	ck_assert_int_eq(rtr_addr_parse(s, AF_UNSPEC, &a), 0);
	return a;
}

static struct vrrp_rx rx_of(const uint8_t *data, size_t size, const char *src)
{
	struct rtr_addr a = addr(src);

	return (struct vrrp_rx){ .family = a.family,
				 .ttl = 255,
				 .src = a,
				 .dst = vrrp_group_addr(a.family),
				 .data = data,
				 .size = size };
}

/* From 10.0.0.1 to 224.0.0.18, VRID 51, priority 150, 10.0.0.254; the checksums were
 * computed by another program (Python), as RFC 1071 says. */
static const uint8_t v3_plain[] = { 0x31, 51, 150, 1, 0, 100, 0x2d, 0x69, 10, 0, 0, 254 };
static const uint8_t v3_pseudo[] = { 0x31, 51, 150, 1, 0, 100, 0x42, 0xd9, 10, 0, 0, 254 };
static const uint8_t v2_plain[] = { 0x21, 51,  150, 1, 0, 1, 0x3d, 0xcc, 10, 0,
				    0,    254, 0,   0, 0, 0, 0,    0,    0,  0 };

START_TEST(known_bytes)
{
	struct vrrp_rx rx = rx_of(v3_plain, sizeof(v3_plain), "10.0.0.1");
	struct vrrp_advert a;

	ck_assert_int_eq(vrrp_parse(&rx, &a), VRRP_D_NONE);
	ck_assert_int_eq(a.sum, VRRP_SUM_PLAIN);
	ck_assert_int_eq(a.vrid, 51);
	ck_assert_int_eq(a.prio, 150);
	ck_assert_int_eq(a.adver_cs, 100);
	ck_assert_int_eq(a.n_addrs, 1);
	ck_assert_mem_eq(a.addrs, "\x0a\0\0\xfe", 4);
	rx = rx_of(v3_pseudo, sizeof(v3_pseudo), "10.0.0.1");
	ck_assert_int_eq(vrrp_parse(&rx, &a), VRRP_D_NONE);
	ck_assert_int_eq(a.sum, VRRP_SUM_PSEUDO);
	/* From another source the pseudo header differs. */
	rx = rx_of(v3_pseudo, sizeof(v3_pseudo), "10.0.0.2");
	ck_assert_int_eq(vrrp_parse(&rx, &a), VRRP_D_CHECKSUM);
	rx = rx_of(v2_plain, sizeof(v2_plain), "10.0.0.1");
	ck_assert_int_eq(vrrp_parse(&rx, &a), VRRP_D_NONE);
	ck_assert_int_eq(a.version, 2);
	ck_assert_int_eq(a.adver_cs, 100);
}
END_TEST

static enum vrrp_drop change(unsigned at, uint8_t value, bool sum)
{
	uint8_t buf[sizeof(v3_plain)];
	struct vrrp_rx rx;
	struct vrrp_advert a;
	uint32_t s = 0;

	memcpy(buf, v3_plain, sizeof(buf));
	rx = rx_of(buf, sizeof(buf), "10.0.0.1");
	buf[at] = value;
	if (sum) {
		buf[6] = buf[7] = 0;
		for (size_t i = 0; i < sizeof(buf); i += 2)
			s += (uint32_t)(buf[i] << 8 | buf[i + 1]);
		while (s >> 16)
			s = (s & 0xffff) + (s >> 16);
		buf[6] = (uint8_t)(~s >> 8);
		buf[7] = (uint8_t)~s;
	}
	return vrrp_parse(&rx, &a);
}

START_TEST(drops)
{
	struct vrrp_rx rx;
	struct vrrp_advert a;

	ck_assert_int_eq(change(2, 150, true), VRRP_D_NONE);
	ck_assert_int_eq(change(0, 0x11, true), VRRP_D_VERSION);
	ck_assert_int_eq(change(0, 0x41, true), VRRP_D_VERSION);
	ck_assert_int_eq(change(0, 0x32, true), VRRP_D_TYPE);
	ck_assert_int_eq(change(1, 0, true), VRRP_D_VRID);
	ck_assert_int_eq(change(3, 0, true), VRRP_D_COUNT);
	ck_assert_int_eq(change(3, 2, true), VRRP_D_LENGTH);
	ck_assert_int_eq(change(3, 255, true), VRRP_D_LENGTH);
	ck_assert_int_eq(change(5, 0, true), VRRP_D_INTERVAL);
	ck_assert_int_eq(change(2, 151, false), VRRP_D_CHECKSUM);
	/* Version 2 needs room for its authentication. */
	ck_assert_int_eq(change(0, 0x21, true), VRRP_D_LENGTH);
	for (int ttl = 0; ttl < 255; ttl++) {
		rx = rx_of(v3_plain, sizeof(v3_plain), "10.0.0.1");
		rx.ttl = (uint8_t)ttl;
		ck_assert_int_eq(vrrp_parse(&rx, &a), VRRP_D_TTL);
	}
	for (size_t n = 0; n < sizeof(v3_plain); n++) {
		rx = rx_of(v3_plain, n, "10.0.0.1");
		ck_assert_int_eq(vrrp_parse(&rx, &a), VRRP_D_LENGTH);
	}
	/* Version 2 knows no IPv6, and IPv6 no checksum without pseudo header. */
	rx = rx_of(v2_plain, sizeof(v2_plain), "fe80::1");
	ck_assert_int_eq(vrrp_parse(&rx, &a), VRRP_D_VERSION);
}
END_TEST

START_TEST(round_trip)
{
	uint64_t rnd = test_seed + (uint64_t)_i;
	uint8_t buf[VRRP_FRAME_MAX], frame[VRRP_FRAME_MAX], mac[6];
	struct rtr_addr addrs[VRRP_MAX_ADDRS];
	struct vrrp_say s = { .family = test_rand(&rnd) % 2 ? AF_INET : AF_INET6 };
	struct vrrp_rx rx;
	struct vrrp_advert a;
	size_t size, n;

	s.version = s.family == AF_INET6 || test_rand(&rnd) % 2 ? 3 : 2;
	s.vrid = (uint8_t)(1 + test_rand(&rnd) % 255);
	s.prio = (uint8_t)test_rand(&rnd);
	s.sum = s.version == 3 && s.family == AF_INET && test_rand(&rnd) % 2;
	s.adver_cs = (uint16_t)(s.version == 3 ? 1 + test_rand(&rnd) % 4095
					       : (1 + test_rand(&rnd) % 255) * 100);
	s.n_addrs = (unsigned)(1 + test_rand(&rnd) % VRRP_MAX_ADDRS);
	for (unsigned i = 0; i < s.n_addrs; i++) {
		addrs[i] = (struct rtr_addr){ .family = s.family };
		for (unsigned k = 0; k < rtr_family_size(s.family); k++)
			addrs[i].b[k] = (uint8_t)test_rand(&rnd);
	}
	s.addrs = addrs;
	s.src = addr(s.family == AF_INET ? "192.0.2.77" : "fe80::77");
	s.dst = vrrp_group_addr(s.family);
	s.has_auth = s.version == 2 && test_rand(&rnd) % 2;
	memcpy(s.auth, "secret\0", 8);
	size = vrrp_build(&s, buf);
	rx = rx_of(buf, size, s.family == AF_INET ? "192.0.2.77" : "fe80::77");
	ck_assert_int_eq(vrrp_parse(&rx, &a), VRRP_D_NONE);
	ck_assert_int_eq(a.version, s.version);
	ck_assert_int_eq(a.vrid, s.vrid);
	ck_assert_int_eq(a.prio, s.prio);
	ck_assert_int_eq(a.adver_cs, s.adver_cs);
	ck_assert_uint_eq(a.n_addrs, s.n_addrs);
	ck_assert_int_eq(a.auth_type, s.has_auth);
	if (s.has_auth)
		ck_assert_mem_eq(a.auth, s.auth, 8);
	if (s.family == AF_INET)
		ck_assert_int_eq(a.sum, s.sum);
	for (unsigned i = 0; i < s.n_addrs; i++)
		ck_assert_mem_eq(a.addrs + i * rtr_family_size(s.family), addrs[i].b,
				 rtr_family_size(s.family));
	/* Any single wrong bit of the message is noticed. */
	for (size_t bit = 0; bit < size * 8; bit++) {
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_ne(vrrp_parse(&rx, &a), VRRP_D_NONE);
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	/* The frame around it. */
	vrrp_virtual_mac(s.family, s.vrid, mac);
	n = vrrp_frame_advert(&s, mac, frame);
	ck_assert_mem_eq(frame + 6, mac, 6);
	if (s.family == AF_INET) {
		ck_assert_mem_eq(frame, "\x01\0\x5e\0\0\x12", 6);
		ck_assert(vrrp_parse_ip4(frame + 14, n - 14, &rx));
		ck_assert_int_eq(rx.ttl, 255);
		ck_assert_int_eq(rtr_addr_cmp(&rx.src, &s.src), 0);
	} else {
		ck_assert_mem_eq(frame, "\x33\x33\0\0\0\x12", 6);
		ck_assert_int_eq(frame[14 + 7], 255);
		rx.data = frame + 54;
		rx.size = n - 54;
	}
	ck_assert_int_eq(vrrp_parse(&rx, &a), VRRP_D_NONE);
}
END_TEST

START_TEST(ip4_header)
{
	uint8_t frame[VRRP_FRAME_MAX], mac[6] = { 2 };
	struct rtr_addr a = addr("10.0.0.254");
	struct vrrp_say s = { .family = AF_INET,
			      .version = 3,
			      .vrid = 1,
			      .prio = 9,
			      .adver_cs = 100,
			      .src = addr("10.0.0.1"),
			      .dst = vrrp_group_addr(AF_INET),
			      .addrs = &a,
			      .n_addrs = 1 };
	size_t n = vrrp_frame_advert(&s, mac, frame);
	struct vrrp_rx rx;

	ck_assert(vrrp_parse_ip4(frame + 14, n - 14, &rx));
	ck_assert_uint_eq(rx.size, 12);
	for (size_t k = 0; k < n - 14; k++)
		ck_assert(!vrrp_parse_ip4(frame + 14, k, &rx));
	frame[14] = 0x44;
	ck_assert(!vrrp_parse_ip4(frame + 14, n - 14, &rx));
	frame[14] = 0x4f;
	ck_assert(!vrrp_parse_ip4(frame + 14, n - 14, &rx));
	frame[14] = 0x65;
	ck_assert(!vrrp_parse_ip4(frame + 14, n - 14, &rx));
}
END_TEST

/* With its pseudo header; 0xffff when it is right. */
static uint32_t icmp6_sum(const uint8_t *frame)
{
	uint32_t sum = 58 + 32;

	for (size_t i = 22; i < 86; i += 2)
		sum += (uint32_t)(frame[i] << 8 | frame[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

START_TEST(announcements)
{
	uint8_t buf[VRRP_FRAME_MAX], mac[6];
	struct rtr_addr a4 = addr("10.0.0.254"), a6 = addr("2001:db8::fe");

	vrrp_virtual_mac(AF_INET, 7, mac);
	ck_assert_mem_eq(mac, "\0\0\x5e\0\x01\x07", 6);
	ck_assert_uint_eq(vrrp_frame_garp(&a4, mac, buf), 42);
	ck_assert_mem_eq(buf, "\xff\xff\xff\xff\xff\xff\0\0\x5e\0\x01\x07\x08\x06", 14);
	ck_assert_mem_eq(buf + 14 + 8, mac, 6);
	ck_assert_mem_eq(buf + 14 + 14, a4.b, 4);
	ck_assert_mem_eq(buf + 14 + 24, a4.b, 4);
	vrrp_virtual_mac(AF_INET6, 7, mac);
	ck_assert_uint_eq(vrrp_frame_na(&a6, mac, buf), 86);
	ck_assert_mem_eq(buf, "\x33\x33\0\0\0\x01", 6);
	ck_assert_int_eq(buf[54], 136);
	ck_assert_int_eq(buf[58], 0xa0);
	ck_assert_uint_eq(icmp6_sum(buf), 0xffff);
}
END_TEST

START_TEST(question)
{
	uint8_t buf[VRRP_FRAME_MAX], mac[6];
	struct rtr_addr target = addr("fe80::12:3456"), src = addr("fe80::1");

	vrrp_virtual_mac(AF_INET6, 7, mac);
	ck_assert_uint_eq(vrrp_frame_ns(&target, &src, mac, buf), 86);
	/* The solicited-node group of the target, and the Ethernet group of that. */
	ck_assert_mem_eq(buf, "\x33\x33\xff\x12\x34\x56\0\0\x5e\0\x02\x07\x86\xdd", 14);
	ck_assert_mem_eq(buf + 22, src.b, 16);
	ck_assert_mem_eq(buf + 38, "\xff\x02\0\0\0\0\0\0\0\0\0\x01\xff\x12\x34\x56", 16);
	ck_assert_int_eq(buf[21], 255);
	ck_assert_int_eq(buf[54], 135);
	ck_assert_int_eq(buf[58], 0);
	ck_assert_mem_eq(buf + 62, target.b, 16);
	ck_assert_mem_eq(buf + 78, "\x01\x01\0\0\x5e\0\x02\x07", 8);
	ck_assert_uint_eq(icmp6_sum(buf), 0xffff);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("vrrp_packet");
	TCase *tc = tcase_create("packet");

	tcase_add_test(tc, known_bytes);
	tcase_add_test(tc, drops);
	tcase_add_loop_test(tc, round_trip, 0, 200);
	tcase_add_test(tc, ip4_header);
	tcase_add_test(tc, announcements);
	tcase_add_test(tc, question);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
