/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what a commit does to connections that are there: those that the new policy denies end,
 * and a commit that would end the operator's own session asks for a way back first.
 * Owns: the walk under way. Threads: rtrd's loop only. Failure: a table that cannot be read is
 * told with the commit, which stands.
 */
#ifndef RTR_FW_COMMIT_H
#define RTR_FW_COMMIT_H

#include "schema/model.h"

struct check;
struct policy;

void fw_commit_init(void);
void fw_commit_fini(void);
/* A time range starts or ends, and another policy follows this one: live connections are judged
 * again when it is in the kernel. */
void fw_commit_hour(const struct policy *old);
void fw_commit_observed(unsigned change);
/* Complains when the new policy would cut an SSH session of the box that the old one lets in. */
void fw_check_sessions(struct check *c, const struct policy *old, const struct policy *new);

#endif
