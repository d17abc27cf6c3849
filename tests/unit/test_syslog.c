/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RFC 5424 messages. */
#include "../lib/check_main.h"
#include "system/syslog.h"

#include <string.h>

static const struct syslog_origin edge = {
	.hostname = "edge", .app = "rtrd", .version = "0.1", .pid = 77, .facility = 23
};

static char *format(const struct syslog_origin *o, enum log_level level, const char *mnemonic,
		    const char *text, uint32_t seq)
{
	/* 2003-10-11T22:14:15.003 is the example of RFC 5424 section 6.2.3.1. */
	struct log_record r = { .facility = "SYS",
				.mnemonic = mnemonic,
				.text = text,
				.level = level,
				.at = { 1065910455, 3000000 } };
	struct strbuf b = STRBUF_INIT;

	syslog_format(&b, o, &r, seq);
	return strbuf_steal(&b);
}

START_TEST(test_whole)
{
	char *s = format(&edge, LOG_L_NOTICE, "RESTART", "rtrd starts", 1);

	ck_assert_str_eq(s, "<189>1 2003-10-11T22:14:15.003000Z edge rtrd 77 SYS-5-RESTART "
			    "[origin software=\"rtr\" swVersion=\"0.1\"][meta sequenceId=\"1\"] "
			    "%SYS-5-RESTART: rtrd starts");
	free(s);
}
END_TEST

START_TEST(test_fields)
{
	struct syslog_origin o = edge;
	char *s, host[400];

	/* What a header field cannot hold is left out; nothing at all is "-". */
	o.hostname = "a b\tc\xc3\xa4";
	s = format(&o, LOG_L_CRIT, "X", "t", 9);
	ck_assert_ptr_nonnull(strstr(s, "Z abc rtrd 77 SYS-2-X ["));
	ck_assert_int_eq(strncmp(s, "<186>1 ", 7), 0);
	free(s);
	o.hostname = " ";
	s = format(&o, LOG_L_CRIT, "X", "t", 9);
	ck_assert_ptr_nonnull(strstr(s, "Z - rtrd"));
	free(s);
	memset(host, 'h', sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	o.hostname = host;
	o.facility = 3;
	/* MSGID is cut at 32 characters, the text has all of it. */
	s = format(&o, LOG_L_NOTICE, "ROLLBACK_OF_A_VERY_LONG_KIND_OF_CHANGE", "t", 9);
	ck_assert_uint_eq(strspn(strchr(s, 'h'), "h"), 255);
	ck_assert_ptr_nonnull(strstr(s, " SYS-5-ROLLBACK_OF_A_VERY_LONG_KI [origin"));
	ck_assert_ptr_nonnull(strstr(s, "] %SYS-5-ROLLBACK_OF_A_VERY_LONG_KIND_OF_CHANGE: t"));
	ck_assert_int_eq(strncmp(s, "<29>1 ", 6), 0);
	free(s);
}
END_TEST

START_TEST(test_escapes_and_limit)
{
	struct syslog_origin o = edge;
	char *s, text[5000];

	o.version = "a\"b\\c]d";
	s = format(&o, LOG_L_INFO, "X", "a]\"b", 9);
	ck_assert_ptr_nonnull(strstr(s, "swVersion=\"a\\\"b\\\\c\\]d\""));
	ck_assert_ptr_nonnull(strstr(s, "%SYS-6-X: a]\"b"));
	free(s);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	s = format(&edge, LOG_L_INFO, "X", text, SYSLOG_SEQUENCE_MAX);
	ck_assert_uint_eq(strlen(s), SYSLOG_MAX_SIZE);
	free(s);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("syslog");
	TCase *t = tcase_create("format");

	tcase_add_test(t, test_whole);
	tcase_add_test(t, test_fields);
	tcase_add_test(t, test_escapes_and_limit);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
