# Check programs of fastpath/.
check_PROGRAMS += tests/unit/test_tcp_track
TESTS += tests/unit/test_tcp_track
tests_unit_test_tcp_track_SOURCES = tests/unit/test_tcp_track.c tests/unit/tcp_sim.c tests/unit/tcp_sim.h tests/lib/check_main.h
tests_unit_test_tcp_track_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_tcp_track_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_test_tcp_track_LDADD = libfp.a librtr.a $(CHECK_LIBS)
check_PROGRAMS += tests/unit/test_csum tests/unit/test_parse
TESTS += tests/unit/test_csum tests/unit/test_parse
tests_unit_test_csum_SOURCES = tests/unit/test_csum.c tests/lib/check_main.h tests/lib/packet.h
tests_unit_test_csum_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_csum_LDADD = libfp.a librtr.a $(CHECK_LIBS)
tests_unit_test_parse_SOURCES = tests/unit/test_parse.c tests/lib/check_main.h tests/lib/packet.h
tests_unit_test_parse_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_parse_LDADD = libfp.a librtr.a $(CHECK_LIBS)
check_PROGRAMS += tests/unit/test_classify
TESTS += tests/unit/test_classify
tests_unit_test_classify_SOURCES = tests/unit/test_classify.c tests/lib/check_main.h \
	tests/lib/classify_oracle.h
tests_unit_test_classify_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/fastpath
tests_unit_test_classify_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_classify_LDADD = libfp.a librtr.a $(CHECK_LIBS)
check_PROGRAMS += tests/unit/test_rewrite
TESTS += tests/unit/test_rewrite
tests_unit_test_rewrite_SOURCES = tests/unit/test_rewrite.c tests/lib/check_main.h tests/lib/packet.h
tests_unit_test_rewrite_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_rewrite_LDADD = libfp.a librtr.a $(CHECK_LIBS)
