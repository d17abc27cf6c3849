/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: rtrd's side of packet captures: what is defined, the files, and rtr-captured, which does
 * the capturing. A definition and its packets outlive rtrd (the files' folder); a running capture
 * does not: it is found stopped.
 * Files, in STATE/captures: `.NAME.json` the definition, `.NAME.0` to `.NAME.3` the packets,
 * `*.pcapng` what was exported.
 * Owns: all of it. Threads: rtrd's loop only. Failure: cmd_fail by the command; a capture whose
 * program died is stopped and says so.
 */
#ifndef RTR_CAPTURE_H
#define RTR_CAPTURE_H

#include "rtr/captured.h"
#include "util.h"

#include <jansson.h>
#include <limits.h>
#include <net/if.h>

#define CAPTURE_NAME 33

struct capture_def {
	char name[CAPTURE_NAME], ifname[IFNAMSIZ];
	char filter[CAPTURED_FILTER]; /* "": every packet */
	uint8_t dir;                  /* enum captured_dir */
	bool rotate;
	uint32_t snap, packets, size_mb, seconds; /* 0: no limit; size always has one */
};

struct capture_entry {
	struct capture_def def;
	bool used, running, open; /* open: rtr-captured has its files */
	bool starting;        /* START was sent, STARTED has not come: it outlives its command */
	bool gone;            /* stopping because the interface went */
	int ifindex;          /* while starting or running */
	uint32_t serial;      /* of its START */
	uint32_t stop_serial; /* of the last STOP; 0: none */
	bool ever;            /* was started */
	uint8_t end;          /* enum captured_end */
	int error;
	int64_t started, stopped;      /* since 1970; 0: never */
	struct captured_event figures; /* the newest */
};

/* All CAPTURED_MAX of them; those not .used are free. */
struct capture_entry *captures(void);
struct capture_entry *capture_find(const char *name);
/* A capture runs on the interface, or is about to: its packets must be the kernel's. */
bool capture_sees(int ifindex);

/* "limit of packets reached" */
const char *capture_end_text(unsigned end);

/* ---- capture_store.c: the folder; 0 or -errno ---- */

const char *capture_folder(void); /* NULL: rtrd has none */
/* Opens, and makes, the files of the packets. */
int capture_files_open(const struct capture_def *d, int fds[CAPTURED_FILES], unsigned *ret_n);
void capture_files_remove(const struct capture_def *d);
int capture_def_save(const struct capture_entry *e);
/* Calls fn for each definition that can be read. */
void capture_defs_load(void (*fn)(const struct capture_entry *e));
/* Bytes that captures and exports may still take. */
uint64_t capture_free_bytes(void);
bool capture_export_name(const char *typed, char name[NAME_MAX + 1]);
/* A new file; -EEXIST. */
int capture_export_open(const char *name);
int capture_export_remove(const char *name);
json_t *capture_exports(void);

/* ---- capture_link.c: rtr-captured ---- */

/* Starts it when it does not run. fds stay the caller's. 0 or -errno. */
int capture_send(const struct captured_req *q, const int *fds, unsigned n_fds);
/* Ends it: nothing is left to do. */
void capture_hang_up(void);
bool capture_connected(void);
/* capture.c */
void capture_event(const struct captured_event *e);
void capture_lost(void);

#endif
