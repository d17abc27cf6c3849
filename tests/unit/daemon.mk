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
# rtrd with a stub session: run by tests/netns/test_cli_pty.py and test_parent.py.
noinst_PROGRAMS += tests/lib/stub_rtrd
tests_lib_stub_rtrd_SOURCES = daemon/main.c tests/lib/stub_rtrd.c tests/lib/stub_session.c tests/lib/stub_session.h
tests_lib_stub_rtrd_CPPFLAGS = $(DAEMON_CPPFLAGS)
tests_lib_stub_rtrd_CFLAGS = $(DAEMON_CFLAGS)
tests_lib_stub_rtrd_LDADD = librtrd.a librtr.a $(DAEMON_LIBS)
check_PROGRAMS += tests/unit/test_conn
TESTS += tests/unit/test_conn
tests_unit_test_conn_SOURCES = tests/unit/test_conn.c tests/lib/check_main.h tests/lib/stub_session.c
tests_unit_test_conn_CPPFLAGS = $(DAEMON_CPPFLAGS)
tests_unit_test_conn_CFLAGS = $(DAEMON_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_conn_LDADD = librtrd.a librtr.a $(DAEMON_LIBS) $(CHECK_LIBS)
