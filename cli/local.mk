# cli/: rtrctl.
bin_PROGRAMS += rtrctl
rtrctl_SOURCES = \
	cli/batch.c \
	cli/client.c cli/client.h \
	cli/edit.c cli/edit.h \
	cli/history.c cli/history.h \
	cli/interactive.c \
	cli/main.c \
	cli/output.c cli/output.h \
	cli/pager.c cli/pager.h \
	cli/shell.c cli/shell.h \
	cli/term.c cli/term.h
rtrctl_CFLAGS = $(AM_CFLAGS) $(EDIT_CFLAGS)
rtrctl_LDADD = librtr.a $(EDIT_LIBS)
