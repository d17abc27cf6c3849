/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Adverts reach the box through every zone: a firewall that drops them makes two masters. */
#include "firewall/local.h"
#include "vrrp/vrrp.h"
#include "vrrp/vrrp_packet.h"

static void permits(const struct rec *model, struct fw_locals *l)
{
	struct vrrp_wants ws;

	vrrp_want(model, &ws);
	for (size_t i = 0; i < ws.n; i++) {
		const struct vrrp_want *w = &ws.v[i];

		/* Once an interface and family. */
		if (i && w[-1].iface == w->iface && w[-1].conf.family == w->conf.family)
			continue;
		fw_local_permit(l,
				&(struct fw_permit){ .why = "vrrp",
						     .iface = w->iface_name,
						     .family = w->conf.family,
						     .proto = VRRP_PROTO,
						     .ttl = 255 },
				w->rec);
	}
	vrrp_wants_fini(&ws);
}

FW_LOCAL_SOURCE(vrrp, permits);
