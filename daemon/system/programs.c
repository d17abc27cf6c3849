/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "system/programs.h"

#include "system/parent.h"
#include "vrrp/vrrp.h"

void programs_foreach(void (*fn)(void *arg, const char *name, unsigned starts), void *arg)
{
	static const char *const names[] = { [PARENT_PROG_ARPD] = "rtr-arpd",
					     [PARENT_PROG_AUTOD] = "rtr-autod",
					     [PARENT_PROG_INSPECTD] = "rtr-inspectd",
					     [PARENT_PROG_DROPD] = "rtr-dropd" };
	const struct vrrp_shm *shm = vrrp_client_shm();

	fn(arg, "rtrd", parent_args() ? parent_args()->n_crashes + 1 : 1);
	fn(arg, "rtr-vrrpd", shm ? shm->n_starts : 0);
	/* Those that come and go by command have no name here: each start is wanted. */
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (names[i])
			fn(arg, names[i], parent_starts((enum parent_prog)i));
}
