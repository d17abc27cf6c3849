/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: virtual reassembly: gives every fragment the verdict and the translation of its datagram
 * without ever joining it. Fragments that come before the first one wait; when the first has found
 * its flow they follow in order of their offsets, and whatever comes later goes straight through.
 *
 *	input -> PASS, ret.first	look up policy, NAT ...; then resolve or refuse
 *	      -> PASS			ret.ctx and ret.note are what resolve was given
 *	      -> HELD			the caller's handle waits here
 *	      -> DROP			ret.drop
 *	after each call: drain fp_vfr_released and fp_vfr_dead
 *
 * Fragments that overlap, contradict each other about the length, or are too many discard the
 * whole datagram: those that wait and all that follow until its time is over (RFC 5722; applied to
 * IPv4 too, as RFC 1858 and 3128 want). An exact duplicate is only dropped itself (RFC 8200 4.5).
 *
 * Bounds: datagrams in all (the oldest makes room), datagrams a source, fragments a datagram,
 * fragments that wait. Time is counted from the first that came.
 *
 * Owns: one block, taken in fp_vfr_new; nothing is allocated later. Handles stay the caller's.
 * Threads: one. Failure: a drop reason; a handle that was HELD comes out exactly once.
 */
#ifndef FP_VFR_H
#define FP_VFR_H

#include "parse.h"

/* 65535 bytes in pieces of 1280 are 52; RFC 791's smallest MTU needs more and is not met. */
#define FP_VFR_FRAGS_MAX 64

struct fp_vfr_cfg {
	uint32_t max_datagrams; /* 1 to 65536 */
	uint32_t max_held;      /* 1 to 65536 */
	uint16_t per_source;    /* datagrams, 0 = no limit */
	uint8_t per_datagram;   /* fragments, at most FP_VFR_FRAGS_MAX */
	uint64_t timeout_ns;    /* 30 s as Linux has it for IPv4, at most 60 (RFC 8200 4.5) */
	uint64_t seed;          /* secret, for the hash of addresses */
};

struct fp_vfr;

enum fp_vfr_act { FP_VFR_PASS, FP_VFR_HELD, FP_VFR_DROP };

struct fp_vfr_ret {
	uint8_t drop;
	bool first;     /* PASS: resolve or refuse is due */
	uint32_t dgram; /* for resolve and refuse, before the next input */
	uint64_t ctx;
	uint32_t note;
};

struct fp_vfr_stats {
	uint32_t n_open, n_held;
	uint64_t n_done, n_timeout, n_discarded, n_evicted;
};

/* NULL when the configuration is out of bounds or memory is short. */
struct fp_vfr *fp_vfr_new(const struct fp_vfr_cfg *cfg);
struct fp_vfr *fp_vfr_free(struct fp_vfr *v);

/* One fragment (FP_F_FRAG). zone keeps apart what must not meet: VRF, interface group. */
enum fp_vfr_act fp_vfr_input(struct fp_vfr *v, const uint8_t *frame, const struct fp_pkt *p,
			     uint32_t zone, uint64_t handle, uint64_t now_ns,
			     struct fp_vfr_ret *ret);

/* The first fragment was admitted: those that wait are released with ctx and note. */
void fp_vfr_resolve(struct fp_vfr *v, uint32_t dgram, uint64_t ctx, uint32_t note);
/* The first fragment was dropped for a reason: the rest of the datagram shares it. */
void fp_vfr_refuse(struct fp_vfr *v, uint32_t dgram, enum rtr_drop why);

/* Ends datagrams whose time is over, at most max of them. Returns how many. */
unsigned fp_vfr_expire(struct fp_vfr *v, uint64_t now_ns, unsigned max);

/* Handles that come out: to be sent with ctx, or to be freed and counted. False: none left. */
bool fp_vfr_released(struct fp_vfr *v, uint64_t *ret_handle, uint64_t *ret_ctx, uint32_t *ret_note);
bool fp_vfr_dead(struct fp_vfr *v, uint64_t *ret_handle, enum rtr_drop *ret_why);

/* All datagrams of the zone are forgotten; what waits is dead for this reason. */
void fp_vfr_forget(struct fp_vfr *v, uint32_t zone, enum rtr_drop why);
void fp_vfr_stats(const struct fp_vfr *v, struct fp_vfr_stats *ret);

#endif
