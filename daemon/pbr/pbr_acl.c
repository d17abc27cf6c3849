/* SPDX-License-Identifier: GPL-2.0-or-later */
/* match ip|ipv6 address: lines of an access list as rules of the kernel can say them. Pure. */
#include "firewall/fw.h"
#include "pbr/pbr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Of a line: what a rule can look at. */
static const char *const fits[] = { "seq", "action", "proto", "src", "dst", "sport", "dport" };

struct reader {
	struct pbr_ace *v;
	size_t n, room;
	struct pbr_misfit *misfit;
	uint8_t family;
};

static const struct rec *find_list(const struct rec *root, uint8_t family, const char *name)
{
	static const struct sch_type *const v4[] = { &acl4_type, &acl_std_type }, *const v6[] = {
		&acl6_type
	};
	const struct sch_type *const *types = family == AF_INET6 ? v6 : v4;

	for (size_t t = 0; t < (family == AF_INET6 ? ARRAY_LEN(v6) : ARRAY_LEN(v4)); t++) {
		const struct recvec *lists = rec_kids(root, types[t]);
		const struct acl *a;

		recvec_foreach(lists, a) {
			if (!strcmp(a->name, name))
				return &a->rec;
		}
	}
	return NULL;
}

static bool refuse(struct reader *x, const struct rec *line, const char *what)
{
	*x->misfit = (struct pbr_misfit){ .line = line, .what = what };
	return false;
}

/* A network, or any. */
static bool read_net(const struct reader *x, const struct acl_addr *a, struct rtr_prefix *ret)
{
	unsigned bits = rtr_family_bits(x->family), len = 0;

	while (len < bits && !(a->wild.b[len / 8] >> (7 - len % 8) & 1))
		len++;
	for (unsigned i = len; i < bits; i++) {
		if (!(a->wild.b[i / 8] >> (7 - i % 8) & 1))
			return false;
	}
	*ret = (struct rtr_prefix){ .len = (uint8_t)len };
	if (len) {
		ret->addr = a->addr;
		*ret = rtr_prefix_network(*ret);
	}
	return true;
}

/* The ranges of a side, at most ACL_PORTS_MAX; 0-0: any. 0: there are none, or too many. A rule
 * cannot name port 0, which nobody uses. */
static size_t read_ports(const struct acl_ports *p, bool given,
			 struct rule_ports ret[ACL_PORTS_MAX])
{
	uint16_t lo = p->r[0].lo, hi = p->r[0].hi;
	size_t n = 0;

	if (!given) {
		ret[0] = (struct rule_ports){ 0, 0 };
		return 1;
	}
	if (p->op == ACL_PORT_NEQ && p->n > 1)
		return 0;
	if (p->op == ACL_PORT_LT || p->op == ACL_PORT_NEQ) {
		if (lo > 1)
			ret[n++] = (struct rule_ports){ 1, (uint16_t)(lo - 1) };
	}
	if (p->op == ACL_PORT_GT || p->op == ACL_PORT_NEQ) {
		if (hi < UINT16_MAX)
			ret[n++] = (struct rule_ports){ (uint16_t)(hi + 1), UINT16_MAX };
	}
	for (unsigned i = 0; (p->op == ACL_PORT_EQ || p->op == ACL_PORT_RANGE) && i < p->n; i++) {
		if (p->r[i].hi)
			ret[n++] = (struct rule_ports){ MAX(p->r[i].lo, (uint16_t)1), p->r[i].hi };
	}
	return n;
}

static void add(struct reader *x, const struct pbr_ace *a)
{
	if (x->n == x->room) {
		x->room = x->room ? x->room * 2 : 16;
		x->v = xrealloc(x->v, x->room * sizeof(*x->v));
	}
	x->v[x->n++] = *a;
}

static bool read_ace(struct reader *x, const struct ace *e, unsigned line)
{
	struct pbr_ace a = { .deny = e->action == ACE_DENY, .line = line };
	struct rule_ports src[ACL_PORTS_MAX], dst[ACL_PORTS_MAX];
	size_t n_src, n_dst;

	for (unsigned f = 0; f < e->rec.type->n_fields; f++) {
		bool fit = !(e->rec.present >> f & 1);

		for (size_t i = 0; i < ARRAY_LEN(fits) && !fit; i++)
			fit = !strcmp(fits[i], e->rec.type->fields[f].name);
		if (!fit)
			return refuse(x, &e->rec, e->rec.type->fields[f].name);
	}
	if (e->action == ACE_REJECT)
		return refuse(x, &e->rec, "reject");
	if (!e->proto)
		return refuse(x, &e->rec, "protocol 0");
	if (!read_net(x, &e->src, &a.src) || !read_net(x, &e->dst, &a.dst))
		return refuse(x, &e->rec, "a wildcard with gaps");
	a.ip_proto = e->proto == ACL_PROTO_ANY ? 0 : (uint8_t)e->proto;
	n_src = read_ports(&e->sport, SCH_HAS(e, sport), src);
	n_dst = read_ports(&e->dport, SCH_HAS(e, dport), dst);
	if (!n_src || !n_dst)
		return refuse(x, &e->rec, "these ports");
	for (size_t i = 0; i < n_src; i++) {
		for (size_t k = 0; k < n_dst; k++) {
			a.sport = src[i];
			a.dport = dst[k];
			add(x, &a);
		}
	}
	return true;
}

static bool read_std(struct reader *x, const struct std_ace *e, unsigned line)
{
	struct pbr_ace a = { .deny = e->action == ACE_DENY, .line = line };

	if (e->log)
		return refuse(x, &e->rec, "log");
	if (!read_net(x, &e->src, &a.src))
		return refuse(x, &e->rec, "a wildcard with gaps");
	add(x, &a);
	return true;
}

int pbr_acl_read(const struct rec *root, uint8_t family, const char *name, struct pbr_acl *ret,
		 struct pbr_misfit *ret_misfit)
{
	const struct rec *list = find_list(root, family, name);
	bool std = list && list->type == &acl_std_type, good = true;
	const struct recvec *lines;
	struct reader x = { .misfit = ret_misfit, .family = family };

	*ret = (struct pbr_acl){ 0 };
	*ret_misfit = (struct pbr_misfit){ 0 };
	if (!list)
		return -ENOENT;
	lines = rec_kids(list, std ? &std_ace_type : family == AF_INET6 ? &ace6_type : &ace4_type);
	for (size_t i = 0; i < lines->len && good; i++) {
		const struct rec *line = lines->v[i];
		const char *remark = std ? ((const struct std_ace *)(const void *)line)->remark
					 : ((const struct ace *)(const void *)line)->remark;

		if (remark)
			continue;
		good = std ? read_std(&x, (const void *)line, ret->n_lines)
			   : read_ace(&x, (const void *)line, ret->n_lines);
		ret->n_lines++;
	}
	ret->v = x.v;
	ret->n = x.n;
	if (good)
		return 0;
	pbr_acl_fini(ret);
	return -EOPNOTSUPP;
}

void pbr_acl_fini(struct pbr_acl *a)
{
	free(a->v);
	*a = (struct pbr_acl){ 0 };
}
