# Check programs that put frames in and compare frames out, with a fake clock.
check_PROGRAMS += tests/replay/test_tcp_captures
TESTS += tests/replay/test_tcp_captures
tests_replay_test_tcp_captures_SOURCES = tests/replay/test_tcp_captures.c tests/lib/check_main.h
tests_replay_test_tcp_captures_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_replay_test_tcp_captures_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_replay_test_tcp_captures_LDADD = libfp.a librtr.a $(CHECK_LIBS)
check_PROGRAMS += tests/replay/test_captures
TESTS += tests/replay/test_captures
tests_replay_test_captures_SOURCES = tests/replay/test_captures.c tests/lib/check_main.h \
	tests/lib/packet.h tests/lib/pcap.h
tests_replay_test_captures_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_replay_test_captures_LDADD = libfp.a librtr.a $(CHECK_LIBS)
