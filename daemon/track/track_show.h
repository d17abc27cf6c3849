/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What: who uses a tracked object: shared by the check and show track. */
#ifndef RTR_TRACK_SHOW_H
#define RTR_TRACK_SHOW_H

#include "schema/model.h"

/* Calls fn for every record below r that names the object: by a field called "track", or as the
 * member of a list. */
void track_users(const struct rec *r, unsigned id, void (*fn)(void *arg, const struct rec *user),
		 void *arg);

#endif
