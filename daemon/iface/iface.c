/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iface/iface.h"

#include "kernel/shadow.h"

#include <string.h>

const char *iface_kernel_name(const char *name)
{
	return strcmp(name, "Loopback0") ? name : "lo";
}

const char *iface_operator_name(const char *kernel_name)
{
	return strcmp(kernel_name, "lo") ? kernel_name : "Loopback0";
}

static bool number_after(const char *name, const char *word)
{
	size_t n = strlen(word);
	uint64_t v;

	return !strncmp(name, word, n) && !rtr_parse_u64(name + n, 0, 999999, &v);
}

bool iface_parent_name(const char *name, char ret[IFNAMSIZ])
{
	const char *dot = strrchr(name, '.');
	uint64_t v;

	if (!dot || dot == name || rtr_parse_u64(dot + 1, 0, UINT32_MAX, &v))
		return false;
	memset(ret, 0, IFNAMSIZ);
	memcpy(ret, name, (size_t)(dot - name));
	return true;
}

enum iface_kind iface_kind_of(const char *name)
{
	char parent[IFNAMSIZ];

	if (!strcmp(name, "Loopback0"))
		return IFACE_LOOPBACK0;
	if (number_after(name, "Loopback"))
		return IFACE_LOOPBACK;
	if (number_after(name, "BVI"))
		return IFACE_BVI;
	if (number_after(name, "Tunnel"))
		return IFACE_TUNNEL;
	if (number_after(name, "Port-channel"))
		return IFACE_BOND;
	if (number_after(name, "nve"))
		return IFACE_NVE;
	return iface_parent_name(name, parent) ? IFACE_SUB : IFACE_HARD;
}

const struct iface *iface_find(const struct rec *root, const char *name)
{
	struct iface like = { .rec = { .type = &iface_type } };

	rtr_strlcpy(like.name, name, sizeof(like.name));
	return (const void *)rec_find(root, &iface_type, &like.rec);
}

const struct shadow_link *iface_link(const char *name)
{
	return shadow_link_by_name(iface_kernel_name(name));
}

bool iface_redirects(const struct iface *i)
{
	return SCH_HAS(i, redirects) ? i->redirects : true;
}

bool iface_wants_ipv6(const struct iface *i)
{
	return i->ipv6_enable || i->link_local.family || rec_kids(&i->rec, &iface_addr6_type)->len;
}

bool iface_addr6_effective(const struct iface_addr6 *a, const uint8_t *mac, struct rtr_prefix *ret)
{
	struct rtr_prefix p = a->addr;

	if (a->eui_64) {
		uint8_t *b = p.addr.b;

		if (!mac)
			return false;
		p = rtr_prefix_network(p);
		/* RFC 4291 appendix A: the universal bit is inverted. */
		b[8] = mac[0] ^ 2;
		b[9] = mac[1];
		b[10] = mac[2];
		b[11] = 0xff;
		b[12] = 0xfe;
		b[13] = mac[3];
		b[14] = mac[4];
		b[15] = mac[5];
	}
	*ret = p;
	return true;
}

const struct iface *iface_owner_of(const struct rec *root, const struct rtr_addr *a)
{
	const struct recvec *ifaces = rec_kids(root, &iface_type);
	const struct iface *i;

	recvec_foreach(ifaces, i) {
		const struct recvec *v4 = rec_kids(&i->rec, &iface_addr4_type);
		const struct recvec *v6 = rec_kids(&i->rec, &iface_addr6_type);
		const struct iface_addr4 *b;
		const struct iface_addr6 *d;

		recvec_foreach(v4, b) {
			if (!rtr_addr_cmp(&b->addr.addr, a))
				return i;
		}
		recvec_foreach(v6, d) {
			if (!d->eui_64 && !rtr_addr_cmp(&d->addr.addr, a))
				return i;
		}
	}
	return NULL;
}

bool iface_on_link(const struct iface *i, const struct rtr_addr *a)
{
	const struct recvec *v4 = rec_kids(&i->rec, &iface_addr4_type);
	const struct recvec *v6 = rec_kids(&i->rec, &iface_addr6_type);
	const struct iface_addr4 *x;
	const struct iface_addr6 *y;

	recvec_foreach(v4, x) {
		if (rtr_prefix_contains(&x->addr, a))
			return true;
	}
	recvec_foreach(v6, y) {
		if (rtr_prefix_contains(&y->addr, a))
			return true;
	}
	return false;
}
