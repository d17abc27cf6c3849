/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the parent's care for rtr-vrrpd: starts it when rtrd asks for it the first time, starts
 * it again when it dies, holds its memory and its listening socket meanwhile, and takes away the
 * virtual addresses when it cannot go on in time: a dead owner must not answer ARP.
 *
 *	dies            -> started at once; it goes on as active where it was. Not back within
 *	                   the Master_Down time: killed, addresses withdrawn, started as a backup
 *	dies again soon -> addresses withdrawn at once, started after a pause
 *	silent          -> (no beat for the Master_Down time) addresses withdrawn; it may go on
 *	stuck           -> (no beat for as long as it promised) killed, addresses withdrawn
 *
 * Owns: the memfd, vrrp.sock. Threads: the parent's loop. Failure: said on stderr, tried again.
 */
#ifndef RTR_PARENT_VRRP_H
#define RTR_PARENT_VRRP_H

#include "system/parent_setup.h"

struct vrrp_shm;

struct parent_vrrp {
	const char *instance, *run_dir;
	const struct parent_user *user;
	const void *mask; /* sigset_t of a program that we start */
	int exe_fd, shm_fd, listen_fd;
	struct vrrp_shm *shm;
	pid_t pid; /* 0 = none */
	bool wanted, stopping, withdraw;
	uint64_t started_ns;
	uint64_t start_due_ns;  /* when there is none */
	uint64_t resume_due_ns; /* it must have beaten by then; 0 = nothing to wait for */
	uint64_t stop_due_ns;
	uint64_t look_ns;                /* when we meant to look whether it has beaten */
	uint64_t late_beat, silent_beat; /* the beat that we were late after; took it away after */
	unsigned n_bad;                  /* deaths soon after the start, in a row */
};

/* IFA_PROTO of an instance's virtual addresses, as rtrd's shadow knows it too. */
uint8_t parent_vrrp_proto(const char *instance);

void parent_vrrp_init(struct parent_vrrp *v);
/* rtrd wants it. */
void parent_vrrp_want(struct parent_vrrp *v);
/* Does what is due; the time of what comes next, UINT64_MAX = nothing. */
uint64_t parent_vrrp_run(struct parent_vrrp *v, uint64_t now);
/* It ended, with this wait status. */
void parent_vrrp_ended(struct parent_vrrp *v, int status, uint64_t now);
/* Asks it to leave in order; parent_vrrp_ended follows. */
void parent_vrrp_stop(struct parent_vrrp *v);
void parent_vrrp_fini(struct parent_vrrp *v);

/* Over an exec of the parent: what to keep; and taking it, running on, in the new program. */
struct parent_keep;
void parent_vrrp_keep(const struct parent_vrrp *v, struct parent_keep *k);
void parent_vrrp_take(struct parent_vrrp *v, const struct parent_keep *k);

#endif
