/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the root parent of rtrd and the line between it and the worker child. The parent makes
 * the instance's folders, holds its lock and the CLI's listening socket, starts the child as user
 * `rtr` with a few capabilities, starts it again when it crashes, and speaks to systemd.
 * Owns: the lock, the listening socket, descriptors that the child asked it to hold.
 * Threads: none; the parent is one poll loop that parses nothing but fixed-size messages.
 * Failure: a message that is not one of enum parent_request is ignored; a child that dies is
 * started again (at once, then after 100 ms, growing to 5 s), the kernel's configuration and the
 * sockets of clients that wait in the backlog live on meanwhile.
 */
#ifndef RTR_PARENT_H
#define RTR_PARENT_H

#include "util.h"

#include <stdio.h>

/* Exit statuses of rtrd. */
enum rtrd_exit {
	RTRD_OK = 0,
	RTRD_FAILED = 1,
	RTRD_USAGE = 2,
	RTRD_CONFIG = 3,  /* the configuration is wrong: starting again would not help */
	RTRD_RUNNING = 4, /* another rtrd has this instance name */
};

#define PARENT_MAX_HELD 32 /* one listener or pinned object a subsystem; far above what is used */

/* A descriptor that outlives the child. */
enum parent_key {
	PARENT_KEY_FASTPATH = 1, /* rtrd's end of the socket to rtr-fastpath */
};

struct held_fd {
	/* enum parent_key */
	uint32_t key;
	int fd;
};

/* What rtrd_main starts from. Strings live as long as the process. */
struct rtrd_args {
	const char *name;           /* instance: letters, digits, '-', '_'; at most 32 */
	const char *config;         /* the startup configuration's path */
	const char *run_dir;        /* /run/rtr/NAME, writable by us */
	const char *state_dir;      /* /var/lib/rtr/NAME, writable by us */
	int listen_fd;              /* the CLI's listening socket, non-blocking */
	int parent_fd;              /* for the parent_ calls below; -1 without a parent */
	unsigned n_crashes;         /* how often this parent has had to start the child again */
	uint64_t beat_ns;           /* call parent_beat this often; 0 = nobody watches */
	const struct held_fd *held; /* what a former child gave to parent_hold */
	size_t n_held;
};

/* ---- daemon/rtrd.c ---- */

/* The worker: runs until SIGTERM or the parent's death; returns an enum rtrd_exit. SIGHUP: load
 * the startup configuration again. The kernel's configuration is left as it is. */
int rtrd_main(const struct rtrd_args *args);
/* rtrd -t FILE: checks without touching anything; complaints go to `out`. enum rtrd_exit. */
int rtrd_check(const char *path, FILE *out);
/* rtrd --print-manual: the CLI reference, from the tables that the parser reads. */
int rtrd_manual(FILE *out);

/* ---- parent.c: called by main ---- */

struct parent_opts {
	const char *name, *config;
	const char *run_base, *state_base; /* /run/rtr and /var/lib/rtr */
	const char *config_dir; /* made for the worker to write in; NULL: the user's own */
	char *const *argv;      /* the command line, for a start in our own place */
	bool no_parent;         /* rtrd_main in this process, for tests and debuggers */
};

bool parent_name_ok(const char *name);
int parent_main(const struct parent_opts *o);

/* ---- parent_link.c: called by the child; each is quiet without a parent (fd -1) ---- */

/* What rtrd_main was started with, for the domains; NULL in rtrd -t and in unit tests. */
void parent_set_args(const struct rtrd_args *args);
const struct rtrd_args *parent_args(void);
/* Up, or again up after SIGHUP: told to systemd. */
void parent_ready(int parent_fd);
/* The loop is alive. */
void parent_beat(int parent_fd);
/* The parent keeps a copy of fd (the caller may close its own); the next child finds it in
 * rtrd_args.held. The same key replaces; fd -1 drops. 0 or -errno. */
int parent_hold(int parent_fd, uint32_t key, int fd);
/* What a former child gave under the key, now the caller's; -1: nothing. */
int parent_held(uint32_t key);
/* rtr-vrrpd is needed: the parent starts it and keeps it running to its own end. */
void parent_want_vrrpd(int parent_fd);

/* Programs of their own that the worker asks for; each finds its socket as PARENT_PROG_FD. */
enum parent_prog {
	PARENT_PROG_ARPD,
	PARENT_PROG_AUTOD,
	PARENT_PROG_INSPECTD,
	PARENT_PROG_CAPTURED,
	PARENT_PROG_FASTPATH,
	PARENT_PROG_DROPD,
	PARENT_PROG_LOGD,
	PARENT_PROG__MAX
};
#define PARENT_PROG_FD 3

/* For parent_start, which domains call: where the parent is. */
void parent_link_set(int parent_fd);
/* Starts the program with fd (its end of a socket pair; stays the caller's) in place of the one
 * that ran under this number. When it ends, the other end of the pair reads as closed. 0 or
 * -errno; -ENOTCONN without a parent. */
int parent_start(enum parent_prog prog, int fd);
/* How often this worker has started it. */
unsigned parent_starts(enum parent_prog prog);
/* It ended by itself while it was needed: told by who reads its socket. */
void parent_ended(enum parent_prog prog);
unsigned parent_ends(enum parent_prog prog);

/* ---- the messages; SOCK_SEQPACKET, one struct each, HOLD, START and QUEUE with one
 * SCM_RIGHTS descriptor ---- */

enum parent_request {
	PARENT_READY = 1,
	PARENT_BEAT,
	PARENT_HOLD,
	PARENT_DROP,
	PARENT_START,
	PARENT_VRRPD,
	PARENT_QUEUE /* parent_queue.h */
};

struct parent_msg {
	uint32_t request; /* enum parent_request */
	uint32_t key;     /* START: enum parent_prog */
};

#endif
