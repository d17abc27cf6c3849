# fastpath/: the packet plane's own code; libfp.a is what its program, tests and benches link.
noinst_LIBRARIES += libfp.a
libfp_a_SOURCES =
libfp_a_SOURCES += fastpath/tcp_track.c fastpath/tcp_track.h
libfp_a_SOURCES += \
	fastpath/csum.c fastpath/csum.h \
	fastpath/parse.c fastpath/parse.h \
	fastpath/wire.h
