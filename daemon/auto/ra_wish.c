/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the lines of an interface and its addresses to what is advertised there. */
#include "auto/auto.h"
#include "kernel/shadow.h"
#include "system/global.h"

#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <string.h>

/* RFC 4861 section 6.2.1, and IOS's interval. */
#define RA_INTERVAL_SEC  200
#define RA_HOP_LIMIT     64
#define RA_VALID_SEC     2592000
#define RA_PREFERRED_SEC 604800
#define FLAG_MANAGED     0x80
#define FLAG_OTHER       0x40
#define FLAG_ON_LINK     0x80
#define FLAG_AUTOCONF    0x40

bool auto_sends_ra(const struct iface *i)
{
	return SCH_HAS(i, ra_suppress) && !i->ra_suppress && !i->shutdown;
}

static void put_prefix(struct autod_ra *ra, const struct rtr_prefix *net, const struct ra_prefix *p)
{
	struct autod_prefix *x = &ra->prefixes[ra->n_prefixes];

	if (ra->n_prefixes == AUTOD_PREFIXES)
		return;
	*x = (struct autod_prefix){
		.len = net->len,
		.valid_sec = p && SCH_HAS(p, valid) ? p->valid : RA_VALID_SEC,
		.preferred_sec = p && SCH_HAS(p, preferred) ? p->preferred : RA_PREFERRED_SEC,
	};
	/* Hosts make 64-bit identifiers, so nothing else can be autoconfigured. */
	if (net->len == 64 && !(p && p->no_autoconfig))
		x->flags |= FLAG_AUTOCONF;
	if (!(p && p->off_link))
		x->flags |= FLAG_ON_LINK;
	memcpy(x->net, net->addr.b, 16);
	ra->n_prefixes++;
}

static const struct ra_prefix *line_of(const struct iface *i, const struct rtr_prefix *net)
{
	const struct recvec *v = rec_kids(&i->rec, &ra_prefix_type);
	const struct ra_prefix *p;

	recvec_foreach(v, p) {
		if (!rtr_prefix_cmp(&p->net, net))
			return p;
	}
	return NULL;
}

static bool has_prefix(const struct autod_ra *ra, const struct rtr_prefix *net)
{
	for (unsigned i = 0; i < ra->n_prefixes; i++) {
		if (ra->prefixes[i].len == net->len &&
		    !memcmp(ra->prefixes[i].net, net->addr.b, 16))
			return true;
	}
	return false;
}

/* The networks of the interface's addresses, as the lines change them, then those of lines alone.
 */
static void put_prefixes(struct autod_ra *ra, const struct iface *i, const struct shadow_link *l)
{
	const struct recvec *v = rec_kids(&i->rec, &ra_prefix_type);
	const struct ra_prefix *p;

	for (size_t k = 0; k < l->n_addrs; k++) {
		const struct shadow_addr *a = &l->addrs[k];
		struct rtr_prefix net = rtr_prefix_network(a->addr);

		if (net.addr.family != AF_INET6 || !a->ours || rtr_addr_is_linklocal(&net.addr) ||
		    net.len == 128 || has_prefix(ra, &net))
			continue;
		p = line_of(i, &net);
		if (!p || !p->no_advertise)
			put_prefix(ra, &net, p);
	}
	recvec_foreach(v, p) {
		if (!p->no_advertise && !has_prefix(ra, &p->net))
			put_prefix(ra, &p->net, p);
	}
}

static bool put_source(struct autod_ra *ra, const struct shadow_link *l)
{
	for (size_t k = 0; k < l->n_addrs; k++) {
		const struct shadow_addr *a = &l->addrs[k];

		if (a->addr.addr.family == AF_INET6 && rtr_addr_is_linklocal(&a->addr.addr) &&
		    !(a->flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED))) {
			memcpy(ra->from, a->addr.addr.b, 16);
			return true;
		}
	}
	return false;
}

bool ra_wish(const struct rec *root, const struct iface *i, const struct shadow_link *l,
	     struct autod_ra *ra)
{
	static const uint8_t preference[] = { 0x08, 0x00, 0x18 }; /* RFC 4191 section 2.2 */
	const struct global *g = (const void *)root;
	const struct recvec *dns = rec_kids(&i->rec, &ra_dns_type);
	bool routing = !SCH_HAS(g, ipv6_unicast_routing) || g->ipv6_unicast_routing;
	const struct ra_dns *d;

	memset(ra, 0, sizeof(*ra)); /* padding too: it is compared */
	if (!auto_sends_ra(i) || !routing || !shadow_link_is_up(l) || l->arptype != ARPHRD_ETHER ||
	    !put_source(ra, l))
		return false;
	ra->max_sec = SCH_HAS(i, ra_max) ? i->ra_max : RA_INTERVAL_SEC;
	ra->min_sec = SCH_HAS(i, ra_min) ? i->ra_min : (uint16_t)MAX(ra->max_sec / 3, 3);
	ra->lifetime_sec = SCH_HAS(i, ra_lifetime) ? i->ra_lifetime
						   : (uint16_t)MIN(9 * ra->max_sec, 9000);
	ra->hop_limit = SCH_HAS(i, ra_hop_limit) ? i->ra_hop_limit : RA_HOP_LIMIT;
	ra->flags = (uint8_t)((i->ra_managed ? FLAG_MANAGED : 0) | (i->ra_other ? FLAG_OTHER : 0));
	/* One that is no default router has no preference. */
	if (SCH_HAS(i, ra_preference) && ra->lifetime_sec)
		ra->flags |= preference[i->ra_preference];
	ra->mtu = l->mtu;
	put_prefixes(ra, i, l);
	/* RFC 8106 section 5.1. */
	ra->dns_sec = 3u * ra->max_sec;
	recvec_foreach(dns, d) {
		if (ra->n_dns < AUTOD_DNS)
			memcpy(ra->dns[ra->n_dns++], d->addr.b, 16);
	}
	return true;
}
