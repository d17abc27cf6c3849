/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: room for the adjacencies of a new process. Their array has two halves; each process fills
 * the one that the process before did not, and its first sweep moves all flows there. One that was
 * killed before that has left flows that still name the half of the process before it, which is the
 * one that the next process is about to fill: XDP would send them wherever that now leads.
 *
 *	fp_adj_half_vacate  such flows name copies in the other half; then this one is blank
 *
 * Owns: nothing. Threads: who opens the tables, while no other process does; XDP reads all the
 * time. Failure: none; flows beyond the room of a half name no adjacency, so they are a worker's.
 */
#ifndef FP_ADJ_HALF_H
#define FP_ADJ_HALF_H

#include "flow_mem.h"
#include "rtr/adj.h"

/* first: of the half that is to be filled, 0 or n / 2. How many flows' directions were moved. */
uint32_t fp_adj_half_vacate(const struct fp_flow_mem *mem, struct fp_adj *adj, uint32_t n,
			    uint32_t first);

#endif
