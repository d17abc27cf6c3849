check_PROGRAMS += tests/unit/test_prefix tests/unit/test_util
TESTS += tests/unit/test_prefix tests/unit/test_util
tests_unit_test_prefix_SOURCES = tests/unit/test_prefix.c tests/lib/check_main.h
tests_unit_test_prefix_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_prefix_LDADD = librtr.a $(CHECK_LIBS)
tests_unit_test_util_SOURCES = tests/unit/test_util.c tests/lib/check_main.h
tests_unit_test_util_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_util_LDADD = librtr.a $(CHECK_LIBS)
