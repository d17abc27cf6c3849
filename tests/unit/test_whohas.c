/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who answers for an address: replies that are, and that are not. */
#include "../lib/check_main.h"
#include "neigh/arpd_frame.h"
#include "prefix.h"

#include <string.h>

static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 7 };
static uint8_t got_sum[2];

static struct rtr_addr addr(const char *text)
{
	struct rtr_addr a;

	ck_assert_int_eq(rtr_addr_parse(text, AF_UNSPEC, &a), 0);
	return a;
}

static void make_arp(uint8_t f[ARPD_ARP_SIZE], const struct rtr_addr *who)
{
	arpd_arp_write(f, mac, who->b, false);
	f[21] = 2;
}

static void put_sum(uint8_t *f, size_t len)
{
	uint32_t sum = (uint32_t)len + 58;

	f[56] = f[57] = 0;
	for (size_t i = 22; i < 54 + len; i += 2)
		sum += (uint32_t)(f[i] << 8 | f[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	f[56] = (uint8_t)(~sum >> 8);
	f[57] = (uint8_t)~sum;
}

#define NA_SIZE 94

/* An advertisement with an option before the one that counts. */
static void make_na(uint8_t f[NA_SIZE], const struct rtr_addr *who)
{
	memset(f, 0, NA_SIZE);
	arpd_na_write(f, mac, who->b, false);
	f[19] = 40;
	f[78] = 1; /* source address: not asked for */
	f[86] = 2;
	f[87] = 1;
	memcpy(f + 88, mac, 6);
	put_sum(f, 40);
}

START_TEST(test_arp)
{
	struct rtr_addr a = addr("10.0.0.7"), b = addr("10.0.0.8");
	uint8_t f[ARPD_ARP_SIZE], got[6];

	make_arp(f, &a);
	ck_assert(arpd_answer_read(f, sizeof(f), AF_INET, a.b, got));
	ck_assert_mem_eq(got, mac, 6);
	ck_assert(!arpd_answer_read(f, sizeof(f), AF_INET, b.b, got));
	ck_assert(!arpd_answer_read(f, sizeof(f) - 1, AF_INET, a.b, got));
	ck_assert(!arpd_answer_read(f, sizeof(f), AF_INET6, a.b, got));
	f[21] = 1; /* a question */
	ck_assert(!arpd_answer_read(f, sizeof(f), AF_INET, a.b, got));
	make_arp(f, &a);
	f[18] = 8;
	ck_assert(!arpd_answer_read(f, sizeof(f), AF_INET, a.b, got));
}
END_TEST

START_TEST(test_advert)
{
	struct rtr_addr a = addr("2001:db8::7"), b = addr("2001:db8::8");
	uint8_t f[NA_SIZE], got[6];

	make_na(f, &a);
	ck_assert(arpd_answer_read(f, NA_SIZE, AF_INET6, a.b, got));
	ck_assert_mem_eq(got, mac, 6);
	ck_assert(!arpd_answer_read(f, NA_SIZE, AF_INET6, b.b, got));
	ck_assert(!arpd_answer_read(f, NA_SIZE - 1, AF_INET6, a.b, got));
	ck_assert(!arpd_answer_read(f, 78, AF_INET6, a.b, got));
	f[57] ^= 1; /* a wrong checksum */
	ck_assert(!arpd_answer_read(f, NA_SIZE, AF_INET6, a.b, got));
	make_na(f, &a);
	f[21] = 254; /* it came through a router */
	ck_assert(!arpd_answer_read(f, NA_SIZE, AF_INET6, a.b, got));
	make_na(f, &a);
	f[79] = 0; /* an option without length ends the list */
	put_sum(f, 40);
	ck_assert(!arpd_answer_read(f, NA_SIZE, AF_INET6, a.b, got));
	f[79] = 3; /* one that is longer than the rest, too */
	put_sum(f, 40);
	ck_assert(!arpd_answer_read(f, NA_SIZE, AF_INET6, a.b, got));
}
END_TEST

/* What is asked is what RFC 826 and RFC 4861 say. */
START_TEST(test_questions)
{
	struct rtr_addr a = addr("10.0.0.7"), own = addr("10.0.0.1"),
			a6 = addr("2001:db8::12:3456"), own6 = addr("fe80::1");
	static const uint8_t nobody[4];
	uint8_t f[ARPD_NA_SIZE];
	struct arpd_arp arp;

	ck_assert_uint_eq(arpd_question_write(f, mac, AF_INET, own.b, a.b), ARPD_ARP_SIZE);
	ck_assert(arpd_arp_read(f, ARPD_ARP_SIZE, &arp) && arp.op == 1);
	ck_assert_mem_eq(arp.spa, own.b, 4);
	ck_assert_mem_eq(arp.tpa, a.b, 4);
	arpd_question_write(f, mac, AF_INET, nobody, a.b);
	ck_assert(arpd_arp_read(f, ARPD_ARP_SIZE, &arp) && !memcmp(arp.spa, nobody, 4));
	ck_assert_uint_eq(arpd_question_write(f, mac, AF_INET6, own6.b, a6.b), ARPD_NA_SIZE);
	ck_assert_mem_eq(f, "\x33\x33\xff\x12\x34\x56", 6);
	ck_assert_mem_eq(f + 22, own6.b, 16);
	ck_assert_mem_eq(f + 38, "\xff\x02\0\0\0\0\0\0\0\0\0\x01\xff\x12\x34\x56", 16);
	ck_assert_uint_eq(f[21], 255);
	ck_assert_uint_eq(f[54], 135);
	ck_assert_mem_eq(f + 62, a6.b, 16);
	ck_assert_uint_eq(f[78], 1);
	ck_assert_mem_eq(f + 80, mac, 6);
	memcpy(got_sum, f + 56, 2);
	put_sum(f, 32);
	ck_assert_mem_eq(got_sum, f + 56, 2);
}
END_TEST

/* Of random bytes none is read beyond their end (under ASan), and nothing is believed that does not
 * name the target. */
START_TEST(test_random)
{
	struct rtr_addr a4 = addr("10.0.0.7"), a6 = addr("2001:db8::7");
	uint64_t rng = test_seed;

	for (int i = 0; i < 200000; i++) {
		size_t size = test_rand(&rng) % 128;
		uint8_t *m = xmalloc(size + 1), whole[NA_SIZE], got[6];
		bool v6 = test_rand(&rng) & 1;

		make_na(whole, &a6);
		if (!v6)
			make_arp(whole, &a4);
		for (size_t k = 0; k < size; k++)
			m[k] = k < sizeof(whole) && test_rand(&rng) % 32 ? whole[k]
									 : (uint8_t)test_rand(&rng);
		if (v6 && size >= NA_SIZE && i % 2)
			put_sum(m, 40);
		m = xrealloc(m, size ? size : 1);
		if (v6 && arpd_answer_read(m, size, AF_INET6, a6.b, got))
			ck_assert_mem_eq(m + 62, a6.b, 16);
		if (!v6 && arpd_answer_read(m, size, AF_INET, a4.b, got))
			ck_assert_mem_eq(m + 28, a4.b, 4);
		free(m);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("whohas");
	TCase *t = tcase_create("answers");

	tcase_add_test(t, test_arp);
	tcase_add_test(t, test_advert);
	tcase_add_test(t, test_questions);
	tcase_add_test(t, test_random);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
