/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "system/programs.h"

#include "system/parent.h"
#include "vrrp/vrrp.h"

static const char *const names[] = {
	[PARENT_PROG_ARPD] = "rtr-arpd",         [PARENT_PROG_AUTOD] = "rtr-autod",
	[PARENT_PROG_INSPECTD] = "rtr-inspectd", [PARENT_PROG_CAPTURED] = "rtr-captured",
	[PARENT_PROG_FASTPATH] = "rtr-fastpath", [PARENT_PROG_DROPD] = "rtr-dropd",
	[PARENT_PROG_LOGD] = "rtr-logd",
};
_Static_assert(ARRAY_LEN(names) == PARENT_PROG__MAX, "a name for each program");

void programs_foreach(programs_fn fn, void *arg)
{
	const struct vrrp_shm *shm = vrrp_client_shm();
	unsigned crashes = parent_args() ? parent_args()->n_crashes : 0;

	fn(arg, "rtrd", crashes + 1, crashes);
	/* It outlives rtrd: each start but its first is for one that had ended. */
	fn(arg, "rtr-vrrpd", shm ? shm->n_starts : 0, shm && shm->n_starts ? shm->n_starts - 1 : 0);
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		fn(arg, names[i], parent_starts((enum parent_prog)i),
		   parent_ends((enum parent_prog)i));
}
