/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses and prefixes: text forms, masks, containment against a bit-by-bit oracle. */
#include "prefix.h"
#include "../lib/check_main.h"

#include <arpa/inet.h>
#include <string.h>

static const struct {
	const char *in;
	int family;
	const char *out; /* NULL = refused */
} prefixes[] = {
	{ "10.0.0.0/8", AF_UNSPEC, "10.0.0.0/8" },
	{ "10.1.2.3", AF_UNSPEC, "10.1.2.3/32" },
	{ "0.0.0.0/0", AF_INET, "0.0.0.0/0" },
	{ "2001:db8::1/64", AF_UNSPEC, "2001:db8::1/64" },
	{ "2001:DB8::1", AF_INET6, "2001:db8::1/128" },
	{ "::/0", AF_UNSPEC, "::/0" },
	{ "10.0.0.0/33", AF_UNSPEC, NULL },
	{ "::/129", AF_UNSPEC, NULL },
	{ "10.0.0.0/", AF_UNSPEC, NULL },
	{ "10.0.0.0/+8", AF_UNSPEC, NULL },
	{ "10.0.0.0/ 8", AF_UNSPEC, NULL },
	{ "010.0.0.1", AF_UNSPEC, NULL },
	{ "10.1/16", AF_UNSPEC, NULL },
	{ "10.0.0.0/8", AF_INET6, NULL },
	{ "::1", AF_INET, NULL },
	{ "", AF_UNSPEC, NULL },
	{ "1111:2222:3333:4444:5555:6666:7777:8888:9999/64", AF_UNSPEC, NULL },
};

START_TEST(text_forms)
{
	struct rtr_prefix p, untouched;
	char buf[RTR_PREFIX_STRLEN];
	int r;

	memset(&p, 0x5a, sizeof(p));
	untouched = p;
	r = rtr_prefix_parse(prefixes[_i].in, prefixes[_i].family, &p);
	if (!prefixes[_i].out) {
		ck_assert_int_ne(r, 0);
		ck_assert_mem_eq(&p, &untouched, sizeof(p));
		return;
	}
	ck_assert_int_eq(r, 0);
	ck_assert_str_eq(rtr_prefix_str(&p, buf), prefixes[_i].out);
}
END_TEST

START_TEST(masks)
{
	struct rtr_addr m;
	uint8_t len;

	for (unsigned i = 0; i <= 32; i++) {
		m = rtr_mask_of_len(AF_INET, i);
		ck_assert_int_eq(rtr_mask_to_len(&m, &len), 0);
		ck_assert_uint_eq(len, i);
	}
	ck_assert_int_eq(rtr_addr_parse("255.0.255.0", AF_INET, &m), 0);
	ck_assert_int_ne(rtr_mask_to_len(&m, &len), 0);
	m = rtr_mask_of_len(AF_INET6, 49);
	ck_assert_uint_eq(m.b[5], 0xff);
	ck_assert_uint_eq(m.b[6], 0x80);
}
END_TEST

START_TEST(printing_agrees_with_inet_ntop)
{
	uint64_t rng = test_seed;

	for (int i = 0; i < 20000; i++) {
		struct rtr_prefix p = { .addr.family = i & 1 ? AF_INET6 : AF_INET };
		char got[RTR_PREFIX_STRLEN], want[RTR_PREFIX_STRLEN + 8], a[RTR_ADDR_STRLEN];

		for (unsigned b = 0; b < rtr_family_size(p.addr.family); b++)
			p.addr.b[b] = (uint8_t)(test_rand(&rng) >> (test_rand(&rng) % 8));
		p.len = (uint8_t)(test_rand(&rng) % (rtr_family_bits(p.addr.family) + 1));
		inet_ntop(p.addr.family, p.addr.b, a, sizeof(a));
		snprintf(want, sizeof(want), "%s/%u", a, p.len);
		ck_assert_str_eq(rtr_prefix_str(&p, got), want);
	}
}
END_TEST

static bool bit(const struct rtr_addr *a, unsigned i)
{
	return a->b[i / 8] & (0x80 >> (i % 8));
}

START_TEST(contains_against_bits)
{
	uint64_t rng = test_seed;

	for (int i = 0; i < 20000; i++) {
		uint8_t family = test_rand(&rng) & 1 ? AF_INET6 : AF_INET;
		struct rtr_prefix net = { .addr.family = family };
		struct rtr_addr a = { .family = family };
		bool want = true;

		for (unsigned b = 0; b < rtr_family_size(family); b++) {
			net.addr.b[b] = (uint8_t)test_rand(&rng);
			a.b[b] = test_rand(&rng) % 8 ? net.addr.b[b] : (uint8_t)test_rand(&rng);
		}
		net.len = (uint8_t)(test_rand(&rng) % (rtr_family_bits(family) + 1));
		for (unsigned b = 0; b < net.len; b++)
			want = want && bit(&a, b) == bit(&net.addr, b);
		ck_assert_int_eq(rtr_prefix_contains(&net, &a), want);
	}
}
END_TEST

START_TEST(special_hosts)
{
	struct rtr_prefix p;

	rtr_prefix_parse("10.0.0.0/24", AF_INET, &p);
	ck_assert(rtr_prefix_host_is_special(&p));
	rtr_prefix_parse("10.0.0.255/24", AF_INET, &p);
	ck_assert(rtr_prefix_host_is_special(&p));
	rtr_prefix_parse("10.0.0.0/31", AF_INET, &p);
	ck_assert(!rtr_prefix_host_is_special(&p));
	rtr_prefix_parse("10.0.1.255/23", AF_INET, &p);
	ck_assert(rtr_prefix_host_is_special(&p));
	rtr_prefix_parse("10.0.0.255/23", AF_INET, &p);
	ck_assert(!rtr_prefix_host_is_special(&p));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("prefix");
	TCase *tc = tcase_create("prefix");

	tcase_add_loop_test(tc, text_forms, 0, (int)ARRAY_LEN(prefixes));
	tcase_add_test(tc, masks);
	tcase_add_test(tc, printing_agrees_with_inet_ntop);
	tcase_add_test(tc, contains_against_bits);
	tcase_add_test(tc, special_hosts);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
