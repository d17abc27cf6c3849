# Benchmarks: one program a subject, run through bench/run, which builds it with `make benches`.
bench_progs =
EXTRA_PROGRAMS += $(bench_progs)
noinst_HEADERS += bench/lib/bench.h
bench_progs += bench/bench_lpm4
noinst_HEADERS += bench/lib/bench_lpm.h bench/lib/bench_lpm_run.h
bench_bench_lpm4_SOURCES = bench/bench_lpm4.c
bench_bench_lpm4_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/fastpath -I$(top_srcdir)/bench/lib $(LPM_PEER_CPPFLAGS)
bench_bench_lpm4_CFLAGS = $(AM_CFLAGS) $(LPM_PEER_CFLAGS)
bench_bench_lpm4_LDADD = libfp.a librtr.a $(LPM_PEER_LIBS) -lm
if HAVE_DPDK
LPM_PEER_CPPFLAGS = -DHAVE_DPDK_PEER
LPM_PEER_CFLAGS = $(DPDK_CFLAGS)
LPM_PEER_LIBS = $(DPDK_LIBS)
endif
bench_progs += bench/bench_lpm6
bench_bench_lpm6_SOURCES = bench/bench_lpm6.c
bench_bench_lpm6_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/fastpath -I$(top_srcdir)/bench/lib $(LPM_PEER_CPPFLAGS)
bench_bench_lpm6_CFLAGS = $(AM_CFLAGS) $(LPM_PEER_CFLAGS)
bench_bench_lpm6_LDADD = libfp.a librtr.a $(LPM_PEER_LIBS) -lm
bench_progs += bench/bench_lpm_update
bench_bench_lpm_update_SOURCES = bench/bench_lpm_update.c
bench_bench_lpm_update_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/fastpath -I$(top_srcdir)/bench/lib $(LPM_PEER_CPPFLAGS)
bench_bench_lpm_update_CFLAGS = $(AM_CFLAGS) $(LPM_PEER_CFLAGS) $(URCU_CFLAGS)
bench_bench_lpm_update_LDADD = libfp.a librtr.a $(LPM_PEER_LIBS) $(URCU_LIBS) -lm -lpthread
bench_progs += bench/bench_classify
bench_bench_classify_SOURCES = bench/bench_classify.c bench/classify_peer.c \
	bench/classify_peer.h tests/lib/classbench.h
bench_bench_classify_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/fastpath -I$(top_srcdir)/bench \
	-I$(top_srcdir)/tests/lib
bench_bench_classify_CFLAGS = $(AM_CFLAGS)
bench_bench_classify_LDADD = libfp.a librtr.a
if HAVE_DPDK
bench_bench_classify_CPPFLAGS += -DHAVE_DPDK
bench_bench_classify_CFLAGS += $(DPDK_CFLAGS) -Wno-undef
bench_bench_classify_LDADD += $(DPDK_LIBS)
endif
bench_progs += bench/bench_pipeline
bench_bench_pipeline_SOURCES = bench/bench_pipeline.c bench/lib/bench.h
bench_bench_pipeline_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir) -I$(top_srcdir)/fastpath
bench_bench_pipeline_LDADD = libfp.a librtr.a $(BPF_LIBS)
bench_progs += bench/bench_stages
bench_bench_stages_SOURCES = bench/bench_stages.c tests/lib/packet.h
bench_bench_stages_LDADD = libfp.a librtr.a
bench_progs += bench/bench_flowtable
bench_bench_flowtable_SOURCES = bench/bench_flowtable.c bench/flowtable_peer.c bench/flowtable_peer.h
bench_bench_flowtable_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/fastpath -I$(top_srcdir)/bench
bench_bench_flowtable_CFLAGS = $(AM_CFLAGS)
bench_bench_flowtable_LDADD = libfp.a librtr.a $(BPF_LIBS)
if HAVE_DPDK
bench_bench_flowtable_CPPFLAGS += -DHAVE_DPDK
bench_bench_flowtable_CFLAGS += $(DPDK_CFLAGS)
bench_bench_flowtable_LDADD += $(DPDK_LIBS)
endif
bench_progs += bench/flood/flood
noinst_HEADERS += bench/flood/flood.bpf.c bench/flood/flood.h
CLEANFILES += bench/flood/*.bpf.o bench/flood/*.skel.h
bench/flood/flood.bpf.o: bench/flood/flood.h
bench_flood_flood_SOURCES = bench/flood/flood.c
bench_flood_flood_CPPFLAGS = $(AM_CPPFLAGS) -I$(builddir)/bench/flood
bench_flood_flood_CFLAGS = $(AM_CFLAGS)
bench_flood_flood_LDADD = $(BPF_LIBS)
bench/flood/flood-flood.$(OBJEXT): bench/flood/flood.skel.h
bench_progs += bench/bench_nft
bench_bench_nft_SOURCES = bench/bench_nft.c tests/lib/nft_plane.h tests/lib/netns.h
bench_bench_nft_CPPFLAGS = $(DAEMON_CPPFLAGS) -I$(top_srcdir)/bench/lib
bench_bench_nft_CFLAGS = $(DAEMON_CFLAGS)
bench_bench_nft_LDADD = $(DAEMON_WHOLE) $(DAEMON_LIBS)
bench_progs += bench/bench_express
bench_bench_express_SOURCES = bench/bench_express.c bench/express_gen.h
bench_bench_express_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir) -I$(top_srcdir)/fastpath -I$(builddir)/bench
bench_bench_express_LDADD = libfpxdp.a libfp.a librtr.a $(BPF_LIBS)
bench/bench_express-bench_express.$(OBJEXT): bench/express_gen.skel.h
bench/express_gen.bpf.o: bench/express_gen.h bench/lib/frame.bpf.h
noinst_HEADERS += bench/express_gen.bpf.c bench/lib/frame.bpf.h
CLEANFILES += bench/*.bpf.o bench/*.skel.h
bench_progs += bench/bench_fib
bench_bench_fib_SOURCES = bench/bench_fib.c
bench_bench_fib_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/fastpath -I$(top_srcdir)/bench/lib
bench_bench_fib_CFLAGS = $(AM_CFLAGS) $(MNL_CFLAGS) $(URCU_CFLAGS) -pthread
bench_bench_fib_LDADD = libfib.a libfp.a librtr.a $(MNL_LIBS) $(URCU_LIBS) -lm -lpthread
bench_progs += bench/bench_worker
bench_bench_worker_SOURCES = bench/bench_worker.c
bench_bench_worker_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir) -I$(top_srcdir)/fastpath
bench_bench_worker_LDADD = libfp.a librtr.a $(BPF_LIBS)
bench_progs += bench/stream/stream
noinst_HEADERS += bench/stream/stream.bpf.c bench/stream/stream.h
CLEANFILES += bench/stream/*.bpf.o bench/stream/*.skel.h
bench/stream/stream.bpf.o: bench/stream/stream.h bench/lib/frame.bpf.h
bench_stream_stream_SOURCES = bench/stream/stream.c
bench_stream_stream_CPPFLAGS = $(AM_CPPFLAGS) -I$(builddir)/bench/stream
bench_stream_stream_LDADD = $(BPF_LIBS)
bench/stream/stream-stream.$(OBJEXT): bench/stream/stream.skel.h
