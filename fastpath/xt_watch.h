/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: does legacy iptables have tables in this namespace? No event tells. Only root may open the
 * lists of their names, so rtrd's root parent does (rtr/xt_names.h) and hands the descriptors over;
 * they are read again at each look. A list that is there and cannot be read counts as rules.
 * Owns: the descriptors of the lists; the socket to the parent is the caller's.
 * Threads: one. Failure: closed: ELIG_IPTABLES_BLIND.
 */
#ifndef FP_XT_WATCH_H
#define FP_XT_WATCH_H

#include "eligible.h"
#include "rtr/xt_names.h"

struct xt_watch {
	const char *file[XT_NAMES_N];
	int parent; /* -1: there is none */
	int fd[XT_NAMES_N];
};

void xt_watch_init(struct xt_watch *w, int parent);
void xt_watch_fini(struct xt_watch *w);
/* ELIG_OK, ELIG_IPTABLES or ELIG_IPTABLES_BLIND. Asks the parent for what is missing: its answer is
 * there at the next look. Never waits. */
enum elig xt_watch_look(struct xt_watch *w);

#endif
