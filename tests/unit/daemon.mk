# Check programs of daemon/.
check_PROGRAMS += tests/unit/test_schema
TESTS += tests/unit/test_schema
tests_unit_test_schema_SOURCES = tests/unit/test_schema.c tests/lib/check_main.h tests/lib/test_rows.h
tests_unit_test_schema_CPPFLAGS = $(DAEMON_CPPFLAGS)
tests_unit_test_schema_CFLAGS = $(DAEMON_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_schema_LDADD = librtrd.a librtr.a $(DAEMON_LIBS) $(CHECK_LIBS)
