/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: translations as IOS shows them, out of connection table entries, and what the NAT domain
 * adds to the displays: its static lines, interfaces, pools, hits.
 *
 *	inside local    the inside host as it calls itself	inside global   as outside sees it
 *	outside global  the outside host as it calls itself	outside local   as inside sees it
 *
 * Owns: nothing. Threads: rtrd's loop only. Failure: none.
 */
#ifndef RTR_CT_NAT_H
#define RTR_CT_NAT_H

#include "conntrack/ct.h"

#include <jansson.h>

/* proto 0: of all protocols ("---"); port 0: none. An address of family 0 is shown as "---". */
struct ct_nat_row {
	uint8_t proto;
	struct ct_nat_end {
		struct rtr_addr addr;
		uint16_t port;
	} inside_global, inside_local, outside_local, outside_global;
};

/* All may be NULL. */
struct ct_nat_source {
	/* Calls fn for each configured static translation. */
	void (*statics)(void (*fn)(void *fn_arg, const struct ct_nat_row *row), void *fn_arg);
	/* Whether a static line made this entry's translation. */
	bool (*is_static)(const struct ct_entry *e);
	/* Did an inside host open it? 1 yes, 0 no, -1 unknown: then a translated source says
	 * inside, a translated destination alone outside. */
	int (*from_inside)(const struct ct_entry *e);
	/*
	 * Adds to the document of `show ip nat statistics` (family AF_INET or AF_INET6):
	 * "outside_interfaces", "inside_interfaces": [name]; "hits", "misses", "expired": numbers;
	 * "static_mappings": [{"line": "ip nat inside ...", "connections": number}];
	 * "mappings": [{"text": "access-list 1 pool P", "lines": ["..."], ...}] printed as given.
	 */
	void (*statistics)(uint8_t family, json_t *doc);
	void (*clear_statistics)(void);
};
void ct_set_nat_source(const struct ct_nat_source *s);

void ct_nat_row(const struct ct_entry *e, int from_inside, struct ct_nat_row *ret);

#endif
