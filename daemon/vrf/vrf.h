/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: VRFs: routing tables of their own for some interfaces. One is a link of kind "vrf" of its
 * name, with the table 0x73000000 + (number of the instance << 16) + hash of the name; interfaces
 * belong to it by `vrf forwarding`, routes by `ip route vrf`.
 * Its default route is "unreachable", so that nothing falls through to the main table.
 * Owns: links of kind vrf that carry our mark. Threads: rtrd's loop only. Failure: as plan_nl's.
 */
#ifndef RTR_VRF_H
#define RTR_VRF_H

#include "schema/model.h"

struct vrf {
	struct rec rec;
	char *name;
	char *description;
	char *rd; /* route distinguisher, for BGP */
};

extern struct sch_type vrf_type;

/* Pure: the table of a VRF of the model; 0 when it has none of that name. */
uint32_t vrf_table(const struct rec *root, const char *name);
/* The lowest of our VRFs' tables; they are the 65,536 from there on. */
uint32_t vrf_table_base(void);
bool vrf_is_table(uint32_t table);

/* For the check of a line that names a VRF: an error when there is none. */
struct check;
void vrf_check_ref(struct check *c, const struct rec *rec, const char *name);

#endif
