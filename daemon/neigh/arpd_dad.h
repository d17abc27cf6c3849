/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what rtr-arpd does for one address and when: probes, announcements, defence, by RFC 5227.
 * Time and chance come from outside, so that tests need neither.
 * Threads: any. Failure: none.
 *
 *	ARPD_STRICT   0-1 s, probe, 1-2 s, probe, 1-2 s, probe, 2 s, PASSED, announcements
 *	ARPD_DEFEND   announcements at once; the probes beside them
 *	ARPD_ANNOUNCE announcements
 *
 * A conflict while strict probing starts it again after 10 s, from the tenth on after 60 s. An
 * address in use is never given up (section 2.4 c: a router's is well known); it is defended by
 * one announcement in DEFEND_INTERVAL, so that two of our kind do not answer each other for ever.
 */
#ifndef RTR_ARPD_DAD_H
#define RTR_ARPD_DAD_H

#include "rtr/arpd.h"
#include "util.h"

/* RFC 5227 section 1.1 */
#define DAD_PROBE_WAIT_MS      1000
#define DAD_PROBE_NUM          3
#define DAD_PROBE_MIN_MS       1000
#define DAD_PROBE_MAX_MS       2000
#define DAD_ANNOUNCE_WAIT_MS   2000
#define DAD_MAX_CONFLICTS      10
#define DAD_RATE_LIMIT_MS      60000
#define DAD_DEFEND_INTERVAL_MS 10000

struct dad {
	enum arpd_mode mode;
	uint16_t n_announce;
	uint32_t announce_ms;

	unsigned probes_left, announces_left;
	uint64_t probe_due_ns, announce_due_ns; /* 0: nothing to come */
	bool in_use;
	uint64_t defended_ns, told_ns; /* 0: never */
	uint32_t n_conflicts, n_restarts;
};

enum dad_act { DAD_NONE, DAD_PROBE, DAD_ANNOUNCE, DAD_PASSED };

/* rnd: below `below`, evenly. */
typedef uint32_t (*dad_rnd_fn)(uint32_t below);

void dad_begin(struct dad *d, enum arpd_mode mode, uint16_t n_announce, uint32_t announce_ms,
	       uint64_t now, dad_rnd_fn rnd);
/* When something is due next; UINT64_MAX: never. */
uint64_t dad_due(const struct dad *d);
/* One thing that is due now; again until DAD_NONE. */
enum dad_act dad_next(struct dad *d, uint64_t now, dad_rnd_fn rnd);
/* A frame from somebody else with the address; probe: it has no sender address, so that its sender
 * only asks. What to do: tell rtrd, answer by an announcement now. */
void dad_conflict(struct dad *d, bool probe, uint64_t now, bool *ret_tell, bool *ret_defend);

#endif
