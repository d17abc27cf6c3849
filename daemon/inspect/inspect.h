/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: rtrd's side of rtr-inspectd: tells it what access lists say about server names, starts it
 * when a list in use names one, and shows what it counted.
 * Owns: the socket to it, and the last figures. Threads: rtrd's loop only. Failure: a program that
 * ends is started again and told everything; meanwhile packets wait for no one: `ip inspect tls`.
 */
#ifndef RTR_INSPECT_H
#define RTR_INSPECT_H

#include "schema/model.h"

enum inspect_fail { INSPECT_FAIL_CLOSED, INSPECT_FAIL_OPEN };

bool inspect_fail_open(const struct rec *root);
/* Connections that a line, or a class of a zone pair, has decided by their server name; as told
 * last. */
uint64_t inspect_hits(uint32_t id);

#endif
