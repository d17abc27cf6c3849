# daemon/: the control plane. Domains register through a linker section (daemon/domain.h), so
# programs take the whole archive.
noinst_LIBRARIES += librtrd.a
DAEMON_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/daemon
DAEMON_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(NL_CFLAGS) $(LIBCONFIG_CFLAGS) $(JANSSON_CFLAGS) $(CAPNG_CFLAGS)
DAEMON_LIBS = $(EVENT_LIBS) $(NL_LIBS) $(LIBCONFIG_LIBS) $(JANSSON_LIBS) $(CAPNG_LIBS)
DAEMON_WHOLE = -Wl,--whole-archive librtrd.a -Wl,--no-whole-archive librtr.a
librtrd_a_CPPFLAGS = $(DAEMON_CPPFLAGS)
librtrd_a_CFLAGS = $(DAEMON_CFLAGS)
librtrd_a_SOURCES = daemon/domain.c daemon/domain.h
librtrd_a_SOURCES += daemon/schema/types.c daemon/schema/types.h
librtrd_a_SOURCES += daemon/schema/syntax.c daemon/schema/syntax.h
librtrd_a_SOURCES += daemon/schema/schema.c daemon/schema/schema.h
librtrd_a_SOURCES += daemon/schema/model.c daemon/schema/model.h
librtrd_a_SOURCES += daemon/schema/text.c daemon/schema/text.h
librtrd_a_SOURCES += daemon/schema/edit.c daemon/schema/edit.h
librtrd_a_SOURCES += daemon/schema/conffile.c daemon/schema/conffile.h
librtrd_a_SOURCES += daemon/cli/conn.h daemon/iface/iface.h daemon/route/route.h
librtrd_a_SOURCES += daemon/cli/conn.c
librtrd_a_SOURCES += daemon/cli/conn_allow.c daemon/cli/conn_allow.h
librtrd_a_SOURCES += daemon/cli/conn_auth.c daemon/cli/conn_auth.h
librtrd_a_SOURCES += daemon/system/parent.c daemon/system/parent.h
librtrd_a_SOURCES += daemon/system/parent_link.c
librtrd_a_SOURCES += daemon/system/parent_notify.c daemon/system/parent_notify.h
librtrd_a_SOURCES += daemon/system/parent_setup.c daemon/system/parent_setup.h
librtrd_a_SOURCES += daemon/rtrd.c
# The transport's stub until the session is there.
librtrd_a_SOURCES += tests/lib/stub_session.c tests/lib/stub_session.h

sbin_PROGRAMS += rtrd
rtrd_SOURCES = daemon/main.c
rtrd_CPPFLAGS = $(DAEMON_CPPFLAGS)
rtrd_LDADD = librtrd.a librtr.a $(DAEMON_LIBS)
librtrd_a_SOURCES += daemon/kernel/nlq.c daemon/kernel/nlq.h
librtrd_a_SOURCES += daemon/kernel/shadow.c daemon/kernel/shadow.h
librtrd_a_SOURCES += daemon/kernel/shadow_db.c daemon/kernel/shadow_db.h
librtrd_a_SOURCES += daemon/kernel/shadow_parse.c
librtrd_a_SOURCES += daemon/kernel/baseline.c daemon/kernel/baseline.h
librtrd_a_SOURCES += daemon/kernel/apply.c daemon/kernel/apply.h
