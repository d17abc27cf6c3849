# fastpath/: the packet plane's own code; libfp.a is what its program, tests and benches link.
noinst_LIBRARIES += libfp.a
libfp_a_SOURCES =
libfp_a_SOURCES += fastpath/nat_way.c fastpath/nat_way.h fastpath/nat_mapping.c fastpath/nat_mapping.h fastpath/pol.h
libfp_a_SOURCES += fastpath/tcp_track.c fastpath/tcp_track.h
libfp_a_SOURCES += \
	fastpath/csum.c fastpath/csum.h \
	fastpath/frag.c fastpath/frag.h \
	fastpath/icmp_err.c fastpath/icmp_err.h \
	fastpath/icmp_quote.c fastpath/icmp_quote.h \
	fastpath/mss.c fastpath/mss.h \
	fastpath/nat64.c fastpath/nat64.h \
	fastpath/nat64_icmp.c fastpath/nat64_int.h \
	fastpath/npt.c fastpath/npt.h \
	fastpath/parse.c fastpath/parse.h \
	fastpath/rewrite.c fastpath/rewrite.h \
	fastpath/vfr.c fastpath/vfr.h \
	fastpath/wire.h
libfp_a_SOURCES += \
	fastpath/classify.c fastpath/classify.h \
	fastpath/classify_core.c \
	fastpath/classify_impl.h \
	fastpath/classify_plan.c \
	fastpath/classify_rank.c \
	fastpath/classify_tree.c \
	fastpath/classify_vec.c fastpath/classify_vec.h \
	fastpath/classify_vec_core.c
libfp_a_SOURCES += fastpath/lpm_mem.c fastpath/lpm_mem.h fastpath/lpm_node.c fastpath/lpm_node.h \
	fastpath/lpm_range.h fastpath/lpm_rib.c fastpath/lpm_rib.h
libfp_a_SOURCES += fastpath/lpm4.c fastpath/lpm4.h fastpath/lpm6.c fastpath/lpm6.h \
	fastpath/lpm_table.h
libfp_a_SOURCES += \
	fastpath/flow.c fastpath/flow.h fastpath/flow_priv.h \
	fastpath/flow_adopt.c fastpath/flow_bucket.c fastpath/flow_evict.c fastpath/flow_quota.c \
	fastpath/flow_find.c fastpath/xdp/flow_lookup.h \
	fastpath/flow_mem.c fastpath/flow_mem.h fastpath/adj_half.c fastpath/adj_half.h \
	fastpath/wheel.c fastpath/wheel.h

# BPF programs: NAME.bpf.c -> NAME.bpf.o -> NAME.skel.h, which embeds the object. The system headers
# ask for the host's architecture, which the bpf target does not define.
BPF_CFLAGS = -target bpf -mcpu=v3 -O2 -g -D__$(host_cpu)__ -I/usr/include/$(host_cpu)-linux-gnu \
	-I$(top_srcdir)/include -I$(top_srcdir)/lib -include $(top_srcdir)/lib/banned.h \
	-Wall -Wextra -Werror -Wno-unused-parameter
SUFFIXES = .bpf.c .bpf.o .skel.h
.bpf.c.bpf.o:
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(CLANG) $(BPF_CFLAGS) -c -o $@ $<
.bpf.o.skel.h:
	$(AM_V_GEN)$(BPFTOOL) gen skeleton $< > $@.tmp && mv $@.tmp $@
CLEANFILES += fastpath/xdp/*.bpf.o fastpath/xdp/*.skel.h
noinst_HEADERS += fastpath/xdp/flow_selftest.bpf.c fastpath/xdp/flow_selftest.h
fastpath/xdp/flow_selftest.bpf.o: fastpath/xdp/flow_selftest.h fastpath/xdp/flow_maps.h fastpath/xdp/flow_lookup.h \
	fastpath/tcp_track.h include/rtr/flow.h lib/hash.h
libfp_a_SOURCES += fastpath/pipeline.c fastpath/pipeline.h
libfp_a_SOURCES += fastpath/bpf_map.c fastpath/bpf_map.h
# The loader of the express lane: a library of its own, for it brings the BPF objects along.
noinst_LIBRARIES += libfpxdp.a
libfpxdp_a_SOURCES = fastpath/xdp_load.c fastpath/xdp_load.h fastpath/xdp_nat.c fastpath/xdp_nat.h
libfpxdp_a_SOURCES += fastpath/xdp_kfunc.c fastpath/xdp_kfunc.h
libfpxdp_a_CPPFLAGS = $(AM_CPPFLAGS) -I$(builddir)/fastpath/xdp
fastpath/libfpxdp_a-xdp_load.$(OBJEXT): fastpath/xdp/express.skel.h fastpath/xdp/express_vlan.skel.h \
	fastpath/xdp/express_clock.skel.h fastpath/xdp/express_gone.skel.h
noinst_HEADERS += fastpath/xdp/express.bpf.c fastpath/xdp/express_vlan.bpf.c fastpath/xdp/express_clock.bpf.c fastpath/xdp/express_gone.bpf.c
noinst_HEADERS += fastpath/xdp/flow_maps.h fastpath/xdp/express_lane.h fastpath/xdp/express_miss.h fastpath/xdp/express_send.h fastpath/xdp/express_tcp.h
fastpath/xdp/express.bpf.o fastpath/xdp/express_vlan.bpf.o: fastpath/xdp/express_lane.h fastpath/xdp/express_miss.h fastpath/xdp/express_send.h \
	fastpath/xdp/express_tcp.h fastpath/xdp/flow_maps.h fastpath/xdp/flow_lookup.h fastpath/tcp_track.h include/rtr/flow.h \
	include/rtr/adj.h include/rtr/express.h include/rtr/drop.h lib/hash.h
fastpath/xdp/express_clock.bpf.o fastpath/xdp/express_gone.bpf.o: include/rtr/express.h include/rtr/drop.h
# The control thread's mirror of the kernel's routing tables.
noinst_LIBRARIES += libfib.a
libfib_a_SOURCES = fastpath/eligible.c fastpath/eligible.h fastpath/fib.h fastpath/fib_ctl.h \
	fastpath/fib_defer.h fastpath/fib_lookup.c fastpath/fib_priv.h fastpath/fib_query.c
libfp_a_SOURCES += fastpath/umem.c fastpath/umem.h fastpath/xsk.c fastpath/xsk.h
libfp_a_SOURCES += fastpath/worker_vlan.c fastpath/worker_out.c fastpath/worker.c fastpath/worker.h fastpath/worker_impl.h fastpath/worker_slow.c fastpath/worker_flow.c
libfp_a_SOURCES += fastpath/pol.h fastpath/track.c fastpath/track.h fastpath/worker_track.c fastpath/worker_icmp.c fastpath/worker_frag.c fastpath/judge.c fastpath/judge.h
libfp_a_SOURCES += fastpath/worker.c fastpath/worker.h fastpath/worker_impl.h fastpath/worker_slow.c fastpath/worker_flow.c
libfp_a_SOURCES += fastpath/pol.h fastpath/track.c fastpath/track.h fastpath/worker_track.c fastpath/worker_icmp.c fastpath/worker_park.c fastpath/worker_frag.c fastpath/judge.c fastpath/judge.h
libfib_a_SOURCES += fastpath/fib_ctl.c fastpath/fib_ctl_adj.c fastpath/fib_ctl_link.c \
	fastpath/fib_ctl_path.c fastpath/fib_ctl_priv.h fastpath/fib_ctl_route.c \
	fastpath/fib_ctl_rule.c fastpath/fib_elig.c fastpath/xt_watch.c fastpath/xt_watch.h fastpath/fib_msg.c fastpath/fib_msg.h fastpath/fib_nl.c \
	fastpath/fib_rcu.c fastpath/fib_rcu.h
libfib_a_CFLAGS = $(AM_CFLAGS) $(MNL_CFLAGS) $(URCU_CFLAGS) -pthread
# The mirror of flows in the kernel's connection tracking.
noinst_LIBRARIES += libmirror.a
libmirror_a_SOURCES = fastpath/mirror.c fastpath/mirror.h fastpath/mirror_priv.h fastpath/mirror_send.c \
	fastpath/mirror_wire.c fastpath/mirror_wire.h
libmirror_a_CFLAGS = $(AM_CFLAGS) $(MNL_CFLAGS) $(URCU_CFLAGS) -pthread
libfp_a_SOURCES += fastpath/flow_view.c fastpath/flow_view.h
# rtr-fastpath: the program.
rtrlibexec_PROGRAMS += rtr-fastpath
rtr_fastpath_SOURCES = fastpath/main.c fastpath/box.c fastpath/box.h fastpath/box_pol.c fastpath/box_pol.h fastpath/box_port.c fastpath/box_vlan.c \
	fastpath/box_tell.c fastpath/filter.c fastpath/filter.h fastpath/keeper.c fastpath/keeper.h \
	fastpath/nic.c fastpath/nic.h fastpath/punt.c fastpath/punt.h fastpath/way.c fastpath/way.h \
	fastpath/wthread.c fastpath/wthread.h fastpath/track_conf.c fastpath/track_conf.h
rtr_fastpath_CFLAGS = $(AM_CFLAGS) $(SECCOMP_CFLAGS) $(URCU_CFLAGS) -pthread
rtr_fastpath_LDADD = libfpxdp.a libfib.a libfp.a librtr.a $(BPF_LIBS) $(MNL_LIBS) $(SECCOMP_LIBS) $(URCU_LIBS) -lpthread -lm
rtr_fastpath_SOURCES += fastpath/box_conn.c fastpath/box_mirror.c
rtr_fastpath_SOURCES += fastpath/box_trace.c
rtr_fastpath_LDADD += libmirror.a libfp.a librtr.a $(MNL_LIBS) $(URCU_LIBS)
# The policy on the fast plane.
libfp_a_SOURCES += fastpath/pol.c fastpath/pol.h fastpath/pol_check.c fastpath/pol_eval.c fastpath/pol_list.c \
	fastpath/pol_nat.c fastpath/pol_priv.h
