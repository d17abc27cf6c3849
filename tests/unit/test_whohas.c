/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who answers for an address: replies that are, and that are not. */
#include "../lib/check_main.h"
#include "diag/whohas.h"

#include <string.h>

static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 7 };

static struct rtr_addr addr(const char *text)
{
	struct rtr_addr a;

	ck_assert_int_eq(rtr_addr_parse(text, AF_UNSPEC, &a), 0);
	return a;
}

static void make_arp(uint8_t f[28], const struct rtr_addr *who)
{
	static const uint8_t head[8] = { 0, 1, 8, 0, 6, 4, 0, 2 };

	memset(f, 0, 28);
	memcpy(f, head, sizeof(head));
	memcpy(f + 8, mac, 6);
	memcpy(f + 14, who->b, 4);
}

/* An advertisement with an option before the one that counts. */
static void make_na(uint8_t m[40], const struct rtr_addr *who)
{
	memset(m, 0, 40);
	m[0] = 136;
	memcpy(m + 8, who->b, 16);
	m[24] = 1; /* source address: not asked for */
	m[25] = 1;
	m[32] = 2;
	m[33] = 1;
	memcpy(m + 34, mac, 6);
}

START_TEST(test_arp)
{
	struct rtr_addr a = addr("10.0.0.7"), b = addr("10.0.0.8");
	uint8_t f[28], got[6];

	make_arp(f, &a);
	ck_assert(whohas_arp_reply(f, 28, &a, got));
	ck_assert_mem_eq(got, mac, 6);
	ck_assert(!whohas_arp_reply(f, 28, &b, got));
	ck_assert(!whohas_arp_reply(f, 27, &a, got));
	f[7] = 1; /* a question */
	ck_assert(!whohas_arp_reply(f, 28, &a, got));
	make_arp(f, &a);
	f[4] = 8;
	ck_assert(!whohas_arp_reply(f, 28, &a, got));
}
END_TEST

START_TEST(test_advert)
{
	struct rtr_addr a = addr("2001:db8::7"), b = addr("2001:db8::8");
	uint8_t m[40], got[6];

	make_na(m, &a);
	ck_assert(whohas_advert(m, 40, 255, &a, got));
	ck_assert_mem_eq(got, mac, 6);
	ck_assert(!whohas_advert(m, 40, 254, &a, got));
	ck_assert(!whohas_advert(m, 40, 255, &b, got));
	ck_assert(!whohas_advert(m, 39, 255, &a, got));
	ck_assert(!whohas_advert(m, 24, 255, &a, got));
	m[25] = 0; /* an option without length ends the list */
	ck_assert(!whohas_advert(m, 40, 255, &a, got));
	m[25] = 3; /* one that is longer than the rest, too */
	ck_assert(!whohas_advert(m, 40, 255, &a, got));
}
END_TEST

/* Of random bytes none is read beyond their end (under ASan), and nothing is believed that does not
 * name the target. */
START_TEST(test_random)
{
	struct rtr_addr a4 = addr("10.0.0.7"), a6 = addr("2001:db8::7");
	uint64_t rng = test_seed;

	for (int i = 0; i < 200000; i++) {
		size_t size = test_rand(&rng) % 64;
		uint8_t *m = xmalloc(size + 1), whole[40], got[6];
		bool v6 = test_rand(&rng) & 1;

		make_na(whole, &a6);
		if (!v6)
			make_arp(whole, &a4);
		for (size_t k = 0; k < size; k++)
			m[k] = k < sizeof(whole) && test_rand(&rng) % 16 ? whole[k]
									 : (uint8_t)test_rand(&rng);
		m = xrealloc(m, size ? size : 1);
		if (v6 && whohas_advert(m, size, 255, &a6, got))
			ck_assert_mem_eq(m + 8, a6.b, 16);
		if (!v6 && whohas_arp_reply(m, size, &a4, got))
			ck_assert_mem_eq(m + 14, a4.b, 4);
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
	tcase_add_test(t, test_random);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
