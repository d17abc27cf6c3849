/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the root record: settings of the box as a whole.
 * A field counts only when configured (rec_has); what holds otherwise is said beside it.
 */
#ifndef RTR_GLOBAL_H
#define RTR_GLOBAL_H

#include "schema/model.h"

struct global {
	struct rec rec;
	char *hostname;
	bool ip_routing;           /* not configured = on */
	bool ipv6_unicast_routing; /* not configured = on */
	bool martian_filter;       /* not configured = on */
};

#endif
