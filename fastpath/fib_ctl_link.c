/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Links, their addresses and sysctls. */
#include "fib_ctl_priv.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/netconf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_ADDRS 4096u /* of one link; beyond them the kernel answers for the link */

struct fc_link *fc_link_find(const struct fibctl *c, uint32_t ifindex)
{
	struct fc_link *l = c->link[ifindex % FIB_LINK_BUCKETS];

	while (l && l->ifindex != ifindex)
		l = l->next;
	return l;
}

struct fc_link *fc_link_by_name(const struct fibctl *c, const char *name)
{
	for (unsigned i = 0; i < FIB_LINK_BUCKETS; i++)
		for (struct fc_link *l = c->link[i]; l; l = l->next)
			if (l->known && !strcmp(l->name, name))
				return l;
	return NULL;
}

static struct fc_link *link_get(struct fibctl *c, uint32_t ifindex)
{
	struct fc_link *l = fc_link_find(c, ifindex);

	if (l || c->st.n_links >= FC_MAX_LINKS)
		return l;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->ifindex = ifindex;
	l->slot = FIB_NO_SLOT;
	l->forwarding[0] = l->forwarding[1] = -1;
	l->ignore_linkdown[0] = l->ignore_linkdown[1] = -1;
	l->rp_filter = -1;
	l->next = c->link[ifindex % FIB_LINK_BUCKETS];
	c->link[ifindex % FIB_LINK_BUCKETS] = l;
	c->st.n_links++;
	return l;
}

static uint8_t read_flag(const char *family, const char *link, const char *name)
{
	char path[128], value = '0';
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, link, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (read(fd, &value, 1) != 1)
		value = '0';
	close(fd);
	return value != '0';
}

/* The kernel tells of these by no event; they are read with every change of the link, and every
 * second where it has a port. */
static void read_sysctls(struct fc_link *l)
{
	l->send_redirects = read_flag("ipv4", l->name, "send_redirects") |
			    read_flag("ipv4", "all", "send_redirects");
	l->accept_local = read_flag("ipv4", l->name, "accept_local") |
			  read_flag("ipv4", "all", "accept_local");
}

bool fc_link_is_down(const struct fc_link *l)
{
	return !l || !l->known || !(l->flags & IFF_UP);
}

static bool has_carrier(const struct fc_link *l)
{
	return (l->flags & (IFF_UP | IFF_LOWER_UP)) == (IFF_UP | IFF_LOWER_UP);
}

static uint8_t link_reason(const struct fibctl *c, const struct fc_link *l);

/* Its frames pass by its parent: what is against that one is against it. */
static uint8_t vlan_reason(const struct fibctl *c, const struct fc_link *l)
{
	const struct fc_link *p = fc_link_find(c, l->parent);

	if (!p || !p->known)
		return ELIG_NO_LINK;
	if (l->vlan_proto != FP_ETH_VLAN || p->vlan)
		return ELIG_VLAN_TAGS;
	if (memcmp(l->mac, p->mac, sizeof(l->mac)) != 0)
		return ELIG_VLAN_MAC;
	if (l->vlan_qos)
		return ELIG_VLAN_QOS;
	return link_reason(c, p);
}

static uint8_t link_reason(const struct fibctl *c, const struct fc_link *l)
{
	const struct fc_link *m = l->master ? fc_link_find(c, l->master) : NULL;

	if (l->master && !(m && m->known && m->is_vrf))
		return ELIG_LINK_MASTER;
	if (m && fc_link_is_down(m))
		return ELIG_VRF_DOWN;
	if (l->n_addr >= MAX_ADDRS)
		return ELIG_LIMIT;
	if (l->foreign)
		return l->foreign;
	return l->vlan ? vlan_reason(c, l) : ELIG_OK;
}

unsigned fc_link_egress_reason(const struct fc_link *l)
{
	if (!l || !l->pub)
		return ELIG_NO_LINK;
	if (l->is_vrf)
		return ELIG_ROUTE_VRF;
	if (l->pub->l.reason)
		return l->pub->l.reason;
	if (l->type != ARPHRD_ETHER)
		return ELIG_LINK_TYPE;
	return l->pub->l.slot == FIB_NO_SLOT ? ELIG_NO_PORT : ELIG_OK;
}

bool fc_link_is_aside(const struct fc_link *l)
{
	return l->pub && l->pub->l.slot == FIB_NO_SLOT;
}

static void fill(const struct fibctl *c, const struct fc_link *l, struct fib_link *f)
{
	const struct fc_link *m = l->master ? fc_link_find(c, l->master) : NULL;
	const struct fc_link *parent = l->vlan ? fc_link_find(c, l->parent) : NULL;

	f->ifindex = l->ifindex;
	f->slot = l->slot;
	f->vlan = l->vlan;
	f->parent = l->vlan ? l->parent : 0;
	f->mtu = l->mtu;
	f->mtu6 = l->mtu6 ? l->mtu6 : l->mtu;
	f->master = l->master;
	f->vrf_table = m && m->is_vrf ? m->vrf_table : 0;
	memcpy(f->name, l->name, sizeof(f->name));
	memcpy(f->mac, l->mac, sizeof(f->mac));
	f->up = has_carrier(l) && (!parent || has_carrier(parent));
	f->admin_up = !fc_link_is_down(l);
	for (unsigned fam = 0; fam < FIB_FAMILIES; fam++)
		if (MAX(l->ignore_linkdown[fam], c->all_ignore_linkdown[fam]) > 0)
			f->ignore_linkdown |= (uint8_t)(1u << fam);
	f->reason = link_reason(c, l);
	f->forward4 = l->forwarding[0] > 0;
	f->forward6 = c->all_forwarding[1] > 0;
	f->rp_filter = (uint8_t)MAX(0, MAX(l->rp_filter, c->all_rp_filter));
	f->send_redirects = l->send_redirects;
	f->accept_local = l->accept_local;
	f->bc_forwarding = l->bc_forwarding > 0;
}

static void unpublish(struct fibctl *c, struct fib_link_node *n)
{
	struct fib_link_node **p = &c->f.link[n->l.ifindex % FIB_LINK_BUCKETS];

	while (*p != n)
		p = &(*p)->next;
	__atomic_store_n(p, n->next, __ATOMIC_RELEASE);
	fc_pub_free(c, n);
}

static void publish_one(struct fibctl *c, struct fc_link *l)
{
	struct fib_link_node *n, *old = l->pub, **p = &c->f.link[l->ifindex % FIB_LINK_BUCKETS];
	size_t size = sizeof(*n) + l->n_addr * sizeof(n->addr[0]);

	n = fc_pub_alloc(c, size);
	if (!n) {
		fc_limit(c, "memory for a link");
		return;
	}
	fill(c, l, &n->l);
	n->n_addr = l->n_addr;
	for (uint32_t i = 0; i < l->n_addr; i++)
		n->addr[i] = l->addr[i].a;
	if (old && old->n_addr == n->n_addr && !memcmp(&old->l, &n->l, sizeof(n->l)) &&
	    !memcmp(old->addr, n->addr, n->n_addr * sizeof(n->addr[0]))) {
		fc_pub_free(c, n);
		return;
	}
	while (*p && *p != old)
		p = &(*p)->next;
	n->next = old ? old->next : NULL;
	__atomic_store_n(p, n, __ATOMIC_RELEASE);
	l->pub = n;
	fc_paths_link_changed(c, l->ifindex);
	fc_adjs_link_changed(c, l->ifindex, false);
	if (!old || old->l.reason != n->l.reason || old->l.slot != n->l.slot ||
	    old->l.vrf_table != n->l.vrf_table || old->l.forward4 != n->l.forward4 ||
	    old->l.forward6 != n->l.forward6)
		fc_touch_all(c);
	fc_pub_free(c, old);
}

void fc_link_publish(struct fibctl *c, struct fc_link *l)
{
	if (!l->known)
		return;
	publish_one(c, l);
	/* Members of a VRF, VLANs of a parent. */
	for (unsigned i = 0; i < FIB_LINK_BUCKETS; i++)
		for (struct fc_link *o = c->link[i]; o; o = o->next)
			if (o->known && o != l &&
			    (o->master == l->ifindex || (o->vlan && o->parent == l->ifindex)))
				publish_one(c, o);
}

static void publish_all(struct fibctl *c)
{
	for (unsigned i = 0; i < FIB_LINK_BUCKETS; i++)
		for (struct fc_link *l = c->link[i]; l; l = l->next)
			if (l->known)
				publish_one(c, l);
}

static void link_gone(struct fibctl *c, struct fc_link *l)
{
	uint32_t ifindex = l->ifindex, slot = l->slot;
	struct fc_link **p = &c->link[ifindex % FIB_LINK_BUCKETS];

	fc_nexthops_link_down(c, ifindex);
	fc_routes_link_down(c, ifindex, true);
	if (l->pub)
		unpublish(c, l->pub);
	l->pub = NULL;
	l->known = 0;
	l->n_addr = 0;
	fc_paths_link_changed(c, ifindex);
	fc_adjs_link_changed(c, ifindex, true);
	fc_touch_all(c);
	if (slot != FIB_NO_SLOT)
		return; /* its port was named by number and may be named again */
	while (*p != l)
		p = &(*p)->next;
	*p = l->next;
	free(l->addr);
	free(l);
	c->st.n_links--;
}

void fc_link_apply(struct fibctl *c, const struct fib_msg *m, bool dump)
{
	const struct fib_msg_link *in = &m->link;
	struct fc_link *l = fc_link_find(c, in->ifindex);
	uint64_t key = fc_key(FIB_M_LINK, &in->ifindex, sizeof(in->ifindex));
	bool was_known = l && l->known, was_down = fc_link_is_down(l), renamed;
	bool had_carrier = was_known && (l->flags & (IFF_RUNNING | IFF_LOWER_UP));

	if (m->del) {
		if (fc_nl_dumping(c, FC_D_LINK))
			fc_tomb_add(c, key);
		if (was_known)
			link_gone(c, l);
		fc_rules_renamed(c);
		return;
	}
	if (dump && (fc_tomb_has(c, key) || (was_known && l->epoch == c->epoch)))
		return;
	l = link_get(c, in->ifindex);
	if (!l) {
		fc_limit(c, "links");
		return;
	}
	renamed = !was_known || memcmp(l->name, in->name, sizeof(l->name)) != 0;
	l->known = 1;
	l->epoch = c->epoch;
	l->flags = in->flags;
	l->mtu = in->mtu;
	l->master = in->master;
	l->parent = in->parent;
	l->vrf_table = in->vrf_table;
	l->is_vrf = in->is_vrf;
	l->type = in->type;
	l->vlan = in->vlan;
	l->vlan_proto = in->vlan_proto;
	l->vlan_qos = in->vlan_qos;
	l->has_mac = in->has_mac;
	memcpy(l->mac, in->mac, sizeof(l->mac));
	memcpy(l->name, in->name, sizeof(l->name));
	if (renamed || was_down != fc_link_is_down(l))
		read_sysctls(l);
	if (was_known && !was_down && fc_link_is_down(l))
		fc_routes_link_down(c, l->ifindex, false);
	fc_link_publish(c, l);
	if (had_carrier && !(l->flags & (IFF_RUNNING | IFF_LOWER_UP)))
		fc_nexthops_link_down(c, l->ifindex);
	if (renamed)
		fc_rules_renamed(c);
}

void fc_links_swept(struct fibctl *c)
{
	for (unsigned i = 0; i < FIB_LINK_BUCKETS; i++) {
		struct fc_link *l = c->link[i], *next;

		for (; l; l = next) {
			next = l->next;
			if (l->known && l->epoch != c->epoch)
				link_gone(c, l);
		}
	}
	fc_rules_renamed(c);
}

static void take(int8_t *to, int32_t v)
{
	if (v >= 0)
		*to = (int8_t)MIN(v, 127);
}

void fc_netconf_apply(struct fibctl *c, const struct fib_msg *m, bool dump)
{
	const struct fib_msg_netconf *n = &m->netconf;
	unsigned fam = fib_fam(n->family);
	struct fc_link *l;

	/* No tombstones: values are small, and an event that passes a dump is followed by none that
	 * contradicts it, for the dump reads what is set. */
	if (n->ifindex == NETCONFA_IFINDEX_ALL && !m->del) {
		take(&c->all_forwarding[fam], n->forwarding);
		take(&c->all_ignore_linkdown[fam], n->ignore_linkdown);
		if (!fam)
			take(&c->all_rp_filter, n->rp_filter);
		publish_all(c);
		return;
	}
	if (n->ifindex <= 0)
		return;
	l = m->del ? fc_link_find(c, (uint32_t)n->ifindex) : link_get(c, (uint32_t)n->ifindex);
	if (!l)
		return;
	if (m->del) {
		l->forwarding[fam] = l->ignore_linkdown[fam] = -1;
	} else {
		take(&l->forwarding[fam], n->forwarding);
		take(&l->ignore_linkdown[fam], n->ignore_linkdown);
		if (!fam) {
			take(&l->rp_filter, n->rp_filter);
			take(&l->bc_forwarding, n->bc_forwarding);
		}
	}
	if (l->known) {
		read_sysctls(l);
		fc_link_publish(c, l);
	}
}

static struct fc_addr *addr_find(struct fc_link *l, const struct fib_msg_addr *a)
{
	for (uint32_t i = 0; i < l->n_addr; i++)
		if (l->addr[i].a.family == a->family && l->addr[i].a.len == a->len &&
		    fib_ip_eq(&l->addr[i].a.ip, &a->ip))
			return &l->addr[i];
	return NULL;
}

/* Where the kernel puts it: an IPv4 primary behind the primaries of no smaller scope, an IPv6
 * address before those of its scope, a secondary at the end. A dump comes in that order. */
static uint32_t addr_place(const struct fc_link *l, const struct fib_msg_addr *a, bool dump)
{
	uint32_t i = 0;

	if (dump || (a->family == AF_INET && (a->flags & IFA_F_SECONDARY)))
		return l->n_addr;
	if (a->family == AF_INET6) {
		while (i < l->n_addr && l->addr[i].a.family == AF_INET)
			i++;
		return i;
	}
	while (i < l->n_addr && l->addr[i].a.family == AF_INET && !l->addr[i].a.secondary &&
	       l->addr[i].a.scope >= a->scope)
		i++;
	return i;
}

static struct fc_addr *addr_add(struct fc_link *l, const struct fib_msg_addr *a, bool dump)
{
	uint32_t at;

	if (l->n_addr == l->cap_addr) {
		uint32_t cap = l->cap_addr ? l->cap_addr * 2 : 4;
		struct fc_addr *n;

		if (l->n_addr >= MAX_ADDRS)
			return NULL;
		n = realloc(l->addr, cap * sizeof(*n));
		if (!n)
			return NULL;
		l->addr = n;
		l->cap_addr = cap;
	}
	at = addr_place(l, a, dump);
	memmove(&l->addr[at + 1], &l->addr[at], (l->n_addr++ - at) * sizeof(l->addr[0]));
	memset(&l->addr[at], 0, sizeof(l->addr[at]));
	return &l->addr[at];
}

static uint64_t addr_key(const struct fib_msg_addr *a)
{
	struct {
		union fib_ip ip;
		uint32_t ifindex, len;
	} key = { a->ip, a->ifindex, a->len };

	return fc_key(FIB_M_ADDR, &key, sizeof(key));
}

static void addr_del(struct fibctl *c, struct fc_link *l, struct fc_addr *x)
{
	size_t at = (size_t)(x - l->addr);

	memmove(x, x + 1, (--l->n_addr - at) * sizeof(*x));
	c->st.n_addrs--;
	/* Routes with this preferred source go without a word (IPv4 before 6.6). */
	fc_nl_want_oif(c, l->ifindex);
}

void fc_addr_apply(struct fibctl *c, const struct fib_msg *m, bool dump)
{
	const struct fib_msg_addr *a = &m->addr;
	struct fc_link *l = m->del ? fc_link_find(c, a->ifindex) : link_get(c, a->ifindex);
	struct fc_addr *x = l ? addr_find(l, a) : NULL;

	if (m->del) {
		if (fc_nl_dumping(c, FC_D_ADDR))
			fc_tomb_add(c, addr_key(a));
		if (x)
			addr_del(c, l, x);
		if (x && l->known)
			fc_link_publish(c, l);
		return;
	}
	if (!l || (dump && (fc_tomb_has(c, addr_key(a)) || (x && x->epoch == c->epoch))))
		return;
	if (!x) {
		x = addr_add(l, a, dump);
		if (!x) {
			fc_limit(c, "addresses of a link");
			return;
		}
		c->st.n_addrs++;
	}
	x->epoch = c->epoch;
	x->a = (struct fib_addr){
		.ip = a->ip,
		.len = a->len,
		.family = a->family,
		.scope = a->scope,
		.secondary = a->family == AF_INET && (a->flags & IFA_F_SECONDARY),
		.temporary = a->family == AF_INET6 && (a->flags & IFA_F_TEMPORARY),
		.deprecated = !!(a->flags & IFA_F_DEPRECATED),
		.unusable = (a->flags & (IFA_F_DADFAILED | IFA_F_TENTATIVE)) &&
			    !(a->flags & IFA_F_OPTIMISTIC),
	};
	if (l->known)
		fc_link_publish(c, l);
}

void fc_addrs_swept(struct fibctl *c)
{
	for (unsigned i = 0; i < FIB_LINK_BUCKETS; i++) {
		for (struct fc_link *l = c->link[i]; l; l = l->next) {
			uint32_t before = l->n_addr;

			for (uint32_t j = l->n_addr; j-- > 0;)
				if (l->addr[j].epoch != c->epoch)
					addr_del(c, l, &l->addr[j]);
			if (before != l->n_addr && l->known)
				fc_link_publish(c, l);
		}
	}
}

int fibctl_port(struct fibctl *c, uint32_t ifindex, uint32_t slot)
{
	struct fc_link *l = link_get(c, ifindex);

	if (!l)
		return -ENOMEM;
	l->slot = slot;
	fc_link_publish(c, l);
	return 0;
}

void fc_links_tick(struct fibctl *c)
{
	for (unsigned i = 0; i < FIB_LINK_BUCKETS; i++)
		for (struct fc_link *l = c->link[i]; l; l = l->next) {
			if (!l->known || l->slot == FIB_NO_SLOT)
				continue;
			read_sysctls(l);
			publish_one(c, l);
		}
}

void fc_links_fini(struct fibctl *c)
{
	for (unsigned i = 0; i < FIB_LINK_BUCKETS; i++) {
		struct fc_link *l = c->link[i], *next;

		for (; l; l = next) {
			next = l->next;
			if (l->pub)
				unpublish(c, l->pub);
			free(l->addr);
			free(l);
		}
	}
}
