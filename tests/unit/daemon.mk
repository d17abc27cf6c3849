# Check programs of daemon/.
check_PROGRAMS += tests/unit/test_schema
TESTS += tests/unit/test_schema
tests_unit_test_schema_SOURCES = tests/unit/test_schema.c tests/lib/check_main.h tests/lib/test_rows.h
tests_unit_test_schema_CPPFLAGS = $(DAEMON_CPPFLAGS)
tests_unit_test_schema_CFLAGS = $(DAEMON_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_schema_LDADD = librtrd.a librtr.a $(DAEMON_LIBS) $(CHECK_LIBS)
check_PROGRAMS += tests/unit/test_kernel
TESTS += tests/unit/test_kernel
tests_unit_test_kernel_SOURCES = tests/unit/test_kernel.c tests/lib/check_main.h tests/lib/netns.h
tests_unit_test_kernel_CPPFLAGS = $(DAEMON_CPPFLAGS)
tests_unit_test_kernel_CFLAGS = $(DAEMON_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_kernel_LDADD = librtrd.a librtr.a $(DAEMON_LIBS) $(CHECK_LIBS)
