# lib/: what every program stands on. No netlink, no libevent, no sockets, no logging.
noinst_LIBRARIES += librtr.a
librtr_a_SOURCES = \
	lib/cliproto.c lib/cliproto.h \
	lib/banned.h \
	lib/drop.c \
	lib/hash.h \
	lib/id_table.c lib/id_table.h \
	lib/prefix.c lib/prefix.h \
	lib/strbuf.c lib/strbuf.h \
	lib/util.c lib/util.h
