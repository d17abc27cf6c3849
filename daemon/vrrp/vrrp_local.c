/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Adverts reach the box through every zone: a firewall that drops them makes two masters. */
#include "firewall/local.h"
#include "vrrp/vrrp.h"
#include "vrrp/vrrp_packet.h"

static bool same(const struct vrrp_want *a, const struct vrrp_want *b)
{
	return a->iface == b->iface && a->conf.family == b->conf.family;
}

static void permits(const struct rec *model, struct fw_locals *l)
{
	struct vrrp_wants ws;

	vrrp_want(model, &ws);
	for (size_t i = 0; i < ws.n; i++) {
		const struct vrrp_want *w = &ws.v[i];

		bool any_ttl = false;

		/* Once an interface and family. */
		if (i && same(&w[-1], w))
			continue;
		/* Unicast IPv6 may come with another hop limit: vrrpd_io.c. */
		for (size_t k = i; k < ws.n && same(w, &ws.v[k]); k++)
			any_ttl |= w->conf.family == AF_INET6 && ws.v[k].conf.n_peers;
		fw_local_permit(l,
				&(struct fw_permit){ .why = "vrrp",
						     .iface = w->iface_name,
						     .family = w->conf.family,
						     .proto = VRRP_PROTO,
						     .ttl = any_ttl ? 0 : VRRP_TTL },
				w->rec);
	}
	vrrp_wants_fini(&ws);
}

FW_LOCAL_SOURCE(vrrp, permits);
