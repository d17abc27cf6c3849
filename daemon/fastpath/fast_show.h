/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What: what the files of `show dataplane` ask of each other. Threads: rtrd's loop only. */
#ifndef RTR_FAST_SHOW_H
#define RTR_FAST_SHOW_H

#include "cli/command.h"
#include "fastpath/fastpath.h"

const char *fast_text(const json_t *o, const char *key);
long long fast_int(const json_t *o, const char *key);
/* "vrf", of an interface that is in one. */
struct shadow_link;
void fast_put_vrf(json_t *o, const struct shadow_link *l);
bool fast_any_vrf(const json_t *list);

/* fast_flows.c */
json_t *fast_flow_doc(const struct fastpath_flow *f);
void fast_flows_print(struct cmd_ctx *c, const json_t *list);

#endif
