/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: sets of addresses and ports out of what configuration lines say.
 * Owns: results have one reference, the caller's. Threads: rtrd's loop only. Failure: see below.
 */
#ifndef RTR_POLICY_SET_H
#define RTR_POLICY_SET_H

#include "firewall/fw_types.h"
#include "firewall/policy.h"
#include "schema/types.h"

struct pol_ranges {
	struct pol_addr_range *v;
	size_t n, room;
};

void pol_ranges_add(struct pol_ranges *l, const struct rtr_addr *lo, const struct rtr_addr *hi);
void pol_ranges_add_prefix(struct pol_ranges *l, const struct rtr_prefix *p);
void pol_ranges_add_set(struct pol_ranges *l, const struct pol_addrs *a);
/* A range for each combination of the bits above its lowest run. */
void pol_ranges_add_wild(struct pol_ranges *l, const struct acl_addr *a);
/* The addresses of one family, sorted and merged; the list can be asked again. */
struct pol_addrs *pol_ranges_set(const struct pol_ranges *l, uint8_t family, const char *group);
void pol_ranges_fini(struct pol_ranges *l);

const struct pol_addrs *pol_addrs_ref(const struct pol_addrs *a);
const struct pol_addrs *pol_addrs_unref(const struct pol_addrs *a); /* NULL */
bool pol_addrs_has(const struct pol_addrs *a, const struct rtr_addr *addr);
bool pol_addrs_equal(const struct pol_addrs *a, const struct pol_addrs *b);

/* NULL: all ports. */
const struct pol_ports *pol_ports_of(const struct acl_ports *p);
const struct pol_ports *pol_ports_ref(const struct pol_ports *p);
const struct pol_ports *pol_ports_unref(const struct pol_ports *p); /* NULL */
bool pol_ports_has(const struct pol_ports *p, uint16_t port);

#endif
