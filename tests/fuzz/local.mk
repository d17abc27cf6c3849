# libFuzzer targets: built with --enable-fuzz, one program and one folder of seeds a parser:
# tests/fuzz/fuzz_NAME.c and tests/fuzz/corpus/NAME/. tools/test replays each corpus; `tools/test
# long` explores. Add the program to fuzz_progs.
fuzz_progs =
EXTRA_PROGRAMS = $(fuzz_progs)
if FUZZ
noinst_PROGRAMS += $(fuzz_progs)
endif
fuzz_progs += tests/fuzz/fuzz_cliproto
tests_fuzz_fuzz_cliproto_SOURCES = tests/fuzz/fuzz_cliproto.c
tests_fuzz_fuzz_cliproto_LDADD = librtr.a
tests_fuzz_fuzz_cliproto_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_progs += tests/fuzz/fuzz_classify
tests_fuzz_fuzz_classify_SOURCES = tests/fuzz/fuzz_classify.c tests/lib/classify_oracle.h
tests_fuzz_fuzz_classify_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/fastpath
tests_fuzz_fuzz_classify_LDADD = libfp.a librtr.a
tests_fuzz_fuzz_classify_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_progs += tests/fuzz/fuzz_parse
tests_fuzz_fuzz_parse_SOURCES = tests/fuzz/fuzz_parse.c
tests_fuzz_fuzz_parse_LDADD = libfp.a librtr.a
tests_fuzz_fuzz_parse_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_progs += tests/fuzz/fuzz_icmp_quote
tests_fuzz_fuzz_icmp_quote_SOURCES = tests/fuzz/fuzz_icmp_quote.c
tests_fuzz_fuzz_icmp_quote_LDADD = libfp.a librtr.a
tests_fuzz_fuzz_icmp_quote_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_progs += tests/fuzz/fuzz_frag
tests_fuzz_fuzz_frag_SOURCES = tests/fuzz/fuzz_frag.c
tests_fuzz_fuzz_frag_LDADD = libfp.a librtr.a
tests_fuzz_fuzz_frag_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_progs += tests/fuzz/fuzz_nat64
tests_fuzz_fuzz_nat64_SOURCES = tests/fuzz/fuzz_nat64.c
tests_fuzz_fuzz_nat64_LDADD = libfp.a librtr.a
tests_fuzz_fuzz_nat64_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_progs += tests/fuzz/fuzz_mss
tests_fuzz_fuzz_mss_SOURCES = tests/fuzz/fuzz_mss.c
tests_fuzz_fuzz_mss_LDADD = libfp.a librtr.a
tests_fuzz_fuzz_mss_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_progs += tests/fuzz/fuzz_tcp_track
tests_fuzz_fuzz_tcp_track_SOURCES = tests/fuzz/fuzz_tcp_track.c
tests_fuzz_fuzz_tcp_track_LDADD = libfp.a librtr.a
tests_fuzz_fuzz_tcp_track_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_progs += tests/fuzz/fuzz_pipeline
tests_fuzz_fuzz_pipeline_SOURCES = tests/fuzz/fuzz_pipeline.c
tests_fuzz_fuzz_pipeline_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/fastpath
tests_fuzz_fuzz_pipeline_LDADD = libfp.a librtr.a $(BPF_LIBS)
tests_fuzz_fuzz_pipeline_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_progs += tests/fuzz/fuzz_cli_line
tests_fuzz_fuzz_cli_line_SOURCES = tests/fuzz/fuzz_cli_line.c
tests_fuzz_fuzz_cli_line_CPPFLAGS = $(DAEMON_CPPFLAGS)
tests_fuzz_fuzz_cli_line_CFLAGS = $(DAEMON_CFLAGS)
tests_fuzz_fuzz_cli_line_LDADD = $(DAEMON_WHOLE) $(DAEMON_LIBS)
tests_fuzz_fuzz_cli_line_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_progs += tests/fuzz/fuzz_config_file
tests_fuzz_fuzz_config_file_SOURCES = tests/fuzz/fuzz_config_file.c
tests_fuzz_fuzz_config_file_CPPFLAGS = $(DAEMON_CPPFLAGS)
tests_fuzz_fuzz_config_file_CFLAGS = $(DAEMON_CFLAGS)
tests_fuzz_fuzz_config_file_LDADD = $(DAEMON_WHOLE) $(DAEMON_LIBS)
tests_fuzz_fuzz_config_file_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_progs += tests/fuzz/fuzz_vrrp
tests_fuzz_fuzz_vrrp_SOURCES = tests/fuzz/fuzz_vrrp.c
tests_fuzz_fuzz_vrrp_CPPFLAGS = $(DAEMON_CPPFLAGS)
tests_fuzz_fuzz_vrrp_LDADD = librtrd.a librtr.a
tests_fuzz_fuzz_vrrp_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_progs += tests/fuzz/fuzz_arp
tests_fuzz_fuzz_arp_SOURCES = tests/fuzz/fuzz_arp.c daemon/neigh/arpd_dad.c daemon/neigh/arpd_frame.c
tests_fuzz_fuzz_arp_CPPFLAGS = $(DAEMON_CPPFLAGS)
tests_fuzz_fuzz_arp_LDADD = librtr.a
tests_fuzz_fuzz_arp_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_progs += tests/fuzz/fuzz_dhcp
tests_fuzz_fuzz_dhcp_SOURCES = tests/fuzz/fuzz_dhcp.c daemon/auto/dhcp_client.c daemon/auto/dhcp_wire.c daemon/auto/ra.c
tests_fuzz_fuzz_dhcp_CPPFLAGS = $(DAEMON_CPPFLAGS)
tests_fuzz_fuzz_dhcp_LDADD = librtr.a
tests_fuzz_fuzz_dhcp_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_progs += tests/fuzz/fuzz_tls_hello
tests_fuzz_fuzz_tls_hello_SOURCES = tests/fuzz/fuzz_tls_hello.c daemon/inspect/tls_hello.c daemon/inspect/segments.c
tests_fuzz_fuzz_tls_hello_CPPFLAGS = $(DAEMON_CPPFLAGS)
tests_fuzz_fuzz_tls_hello_LDADD = librtr.a
tests_fuzz_fuzz_tls_hello_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_progs += tests/fuzz/fuzz_capture
tests_fuzz_fuzz_capture_SOURCES = tests/fuzz/fuzz_capture.c daemon/capture/pcapng.c daemon/capture/pkt_text.c
tests_fuzz_fuzz_capture_CPPFLAGS = $(DAEMON_CPPFLAGS)
tests_fuzz_fuzz_capture_LDADD = librtr.a
tests_fuzz_fuzz_capture_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_progs += tests/fuzz/fuzz_netlink
tests_fuzz_fuzz_netlink_SOURCES = tests/fuzz/fuzz_netlink.c
tests_fuzz_fuzz_netlink_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/fastpath
tests_fuzz_fuzz_netlink_CFLAGS = $(AM_CFLAGS) $(MNL_CFLAGS)
tests_fuzz_fuzz_netlink_LDADD = libfib.a libfp.a librtr.a $(MNL_LIBS) $(URCU_LIBS) -lm -lpthread
tests_fuzz_fuzz_netlink_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_progs += tests/fuzz/fuzz_fastpol
tests_fuzz_fuzz_fastpol_SOURCES = tests/fuzz/fuzz_fastpol.c
tests_fuzz_fuzz_fastpol_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/fastpath
tests_fuzz_fuzz_fastpol_LDADD = libfp.a librtr.a $(BPF_LIBS)
tests_fuzz_fuzz_fastpol_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_progs += tests/fuzz/fuzz_logd
tests_fuzz_fuzz_logd_SOURCES = tests/fuzz/fuzz_logd.c daemon/firewall/logd_packet.c
tests_fuzz_fuzz_logd_CPPFLAGS = $(DAEMON_CPPFLAGS)
tests_fuzz_fuzz_logd_CFLAGS = $(AM_CFLAGS) $(MNL_CFLAGS)
tests_fuzz_fuzz_logd_LDADD = librtr.a $(MNL_LIBS)
tests_fuzz_fuzz_logd_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
