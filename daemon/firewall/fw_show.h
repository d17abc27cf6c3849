/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the EXEC commands of the firewall, and names of what the policy wrote into labels and logs.
 * Owns: nothing. Threads: rtrd's loop only. Failure: cmd_fail.
 */
#ifndef RTR_FW_SHOW_H
#define RTR_FW_SHOW_H

#include "cli/command.h"
#include "firewall/policy.h"
#include "strbuf.h"

#define N_FW_CMDS 12
extern const struct cmd fw_cmds[N_FW_CMDS];

/* "OUTSIDE-IN 20", "IN-OUT class WEB", "vrrp": what an id of a label or log stands for. False when
 * it is gone. */
bool fw_id_text(const struct policy *p, pol_id id, struct strbuf *ret);
/* The class with an id, and its pair; NULL when it is gone. */
const struct pol_class *policy_class(const struct policy *p, pol_id id,
				     const struct pol_pair **ret_pair);

void fw_names_init(void); /* for show conntrack */

#endif
