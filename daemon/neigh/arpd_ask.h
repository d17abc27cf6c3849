/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: questions of rtr-arpd who has an address, and who answers.
 * Owns: a packet socket for each question that is open. Threads: none. Failure: what cannot be
 * asked is not answered.
 */
#ifndef RTR_ARPD_ASK_H
#define RTR_ARPD_ASK_H

#include "rtr/arpd.h"
#include "util.h"

/* People who diagnose at once; the oldest question makes room. */
#define ASK_MAX 16

void ask_question(const struct arpd_req *q);
void ask_end(uint32_t serial);
/* False: the descriptor is none of these. */
bool ask_frames(int fd);

#endif
