check_PROGRAMS += tests/unit/test_capture
TESTS += tests/unit/test_capture
tests_unit_test_capture_SOURCES = tests/unit/test_capture.c tests/lib/check_main.h
tests_unit_test_capture_SOURCES += daemon/capture/filter.c daemon/capture/pcapng.c
tests_unit_test_capture_SOURCES += daemon/capture/pkt_text.c daemon/capture/spool.c
tests_unit_test_capture_CPPFLAGS = $(DAEMON_CPPFLAGS)
tests_unit_test_capture_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(PCAP_CFLAGS)
tests_unit_test_capture_LDADD = librtr.a $(CHECK_LIBS) $(PCAP_LIBS)
