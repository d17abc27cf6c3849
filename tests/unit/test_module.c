/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory of pluggable modules as their standards lay it out, and any other. */
#include "../lib/check_main.h"

#include "nic/module.h"

#include <string.h>

static void put_text(uint8_t *b, const char *s, size_t n)
{
	memset(b, ' ', n);
	memcpy(b, s, strlen(s));
}

static void put16(uint8_t *b, unsigned v)
{
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

static void is_text(const json_t *o, const char *key, const char *want)
{
	const char *got = json_string_value(json_object_get(o, key));

	ck_assert_msg(got && !strcmp(got, want), "%s is %s, not %s", key, got ? got : "missing",
		      want);
}

static void is_number(const json_t *o, const char *key, double want)
{
	ck_assert_msg(json_object_get(o, key), "%s is missing", key);
	ck_assert_double_eq_tol(json_number_value(json_object_get(o, key)), want, 0.01);
}

START_TEST(sfp)
{
	struct nic_module m = { .lower = { true, { 0x03 } }, .diag = { true, { 0 } } };
	json_t *o, *l;

	m.lower.b[2] = 0x07;
	m.lower.b[12] = 103;
	put_text(m.lower.b + 20, "ACME", 16);
	put_text(m.lower.b + 40, "SFP-10G-LR", 16);
	put_text(m.lower.b + 68, "A\001B", 16);
	put16(m.lower.b + 60, 1310);
	m.lower.b[92] = 0x68;
	put16(m.diag.b + 96, (uint16_t)(-5 * 256));
	put16(m.diag.b + 98, 33000);
	put16(m.diag.b + 100, 10000);
	put16(m.diag.b + 102, 10000);
	put16(m.diag.b + 104, 0);
	o = module_json(&m);
	is_text(o, "type", "SFP/SFP+/SFP28");
	is_text(o, "connector", "LC");
	is_text(o, "vendor", "ACME");
	is_text(o, "part", "SFP-10G-LR");
	is_text(o, "serial", "A.B");
	is_number(o, "bitrate_mbps", 10300);
	is_number(o, "wavelength_nm", 1310);
	is_number(o, "temperature_c", -5);
	is_number(o, "voltage_v", 3.3);
	l = json_array_get(json_object_get(o, "lanes"), 0);
	is_number(l, "tx_dbm", 0);
	is_number(l, "rx_dbm", -40);
	is_number(l, "bias_ma", 20);
	json_decref(o);
	/* Calibrated by numbers that we do not read: better none. */
	m.lower.b[92] = 0x50;
	o = module_json(&m);
	ck_assert_ptr_null(json_object_get(o, "lanes"));
	json_decref(o);
}
END_TEST

START_TEST(qsfp)
{
	struct nic_module m = { .lower = { true, { 0x11 } }, .upper = { true, { 0x11 } } };
	json_t *o, *l;

	put16(m.lower.b + 22, 40 * 256);
	put16(m.lower.b + 26, 32500);
	for (unsigned i = 0; i < 4; i++) {
		put16(m.lower.b + 34 + 2 * i, 1000 * (i + 1));
		put16(m.lower.b + 42 + 2 * i, 500);
		put16(m.lower.b + 50 + 2 * i, 10000);
	}
	m.upper.b[2] = 0x0c;
	put_text(m.upper.b + 20, "ACME", 16);
	put_text(m.upper.b + 40, "Q28-SR4", 16);
	put16(m.upper.b + 58, 850 * 20);
	o = module_json(&m);
	is_text(o, "type", "QSFP28");
	is_text(o, "connector", "MPO");
	is_text(o, "part", "Q28-SR4");
	is_number(o, "temperature_c", 40);
	is_number(o, "wavelength_nm", 850);
	ck_assert_uint_eq(json_array_size(json_object_get(o, "lanes")), 4);
	l = json_array_get(json_object_get(o, "lanes"), 3);
	is_number(l, "rx_dbm", -3.98);
	is_number(l, "bias_ma", 1);
	json_decref(o);
}
END_TEST

START_TEST(cmis)
{
	struct nic_module m = { .lower = { true, { 0x18 } },
				.upper = { true, { 0 } },
				.lanes = { true, { 0 } } };
	json_t *o;

	put16(m.lower.b + 14, 50 * 256);
	put16(m.lower.b + 16, 33000);
	put_text(m.upper.b + 1, "ACME", 16);
	put_text(m.upper.b + 20, "DD-400G", 16);
	put16(m.lanes.b + 26 + 14, 10000);
	o = module_json(&m);
	is_text(o, "type", "QSFP-DD");
	is_text(o, "vendor", "ACME");
	is_text(o, "part", "DD-400G");
	is_number(o, "temperature_c", 50);
	is_number(json_array_get(json_object_get(o, "lanes"), 7), "tx_dbm", 0);
	json_decref(o);
	m.lower.b[2] = 0x80;
	o = module_json(&m);
	ck_assert_ptr_null(json_object_get(o, "lanes"));
	json_decref(o);
}
END_TEST

START_TEST(anything)
{
	for (unsigned round = 0; round < 2000; round++) {
		struct nic_module m;
		uint8_t *b = (uint8_t *)&m;
		json_t *o;
		char *s;

		for (size_t i = 0; i < sizeof(m); i++)
			b[i] = (uint8_t)(test_rand(&test_seed) >> 32);
		m.lower.have = true;
		m.upper.have = round & 1;
		m.diag.have = m.lanes.have = round & 2;
		m.lower.b[0] = (uint8_t)(round % 0x22);
		o = module_json(&m);
		s = json_dumps(o, 0);
		ck_assert_ptr_nonnull(s);
		free(s);
		json_decref(o);
	}
}
END_TEST

static Suite *test_suite(void)
{
	Suite *s = suite_create("module");
	TCase *t = tcase_create("all");

	tcase_add_test(t, sfp);
	tcase_add_test(t, qsfp);
	tcase_add_test(t, cmis);
	tcase_add_test(t, anything);
	suite_add_tcase(s, t);
	return s;
}
CHECK_MAIN(test_suite)
