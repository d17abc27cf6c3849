/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: random access lists in which lines nest, cross and repeat, random packets that meet them,
 * and first match line by line, from the meaning of the words: the oracle. Random by `rnd`.
 */
#ifndef RTR_LIST_GEN_H
#define RTR_LIST_GEN_H

#include "check_main.h"
#include "firewall/list_box.h"

#include <netinet/in.h>
#include <string.h>

#define LINES_MAX 600

struct arena {
	struct pol_list list;
	const struct pol_rule *ptr[LINES_MAX];
	struct pol_rule rule[LINES_MAX];
	struct pol_service service[LINES_MAX];
	void *mem[LINES_MAX * 5];
	size_t n_mem;
};

static uint64_t rnd;

static inline uint32_t below(uint32_t n)
{
	return (uint32_t)(test_rand(&rnd) >> 33) % n;
}

static inline void *hold(struct arena *a, void *p)
{
	a->mem[a->n_mem++] = p;
	return p;
}

/* Few distinct values, so that lines overlap: a prefix of one of four bases. */
static inline const struct pol_addrs *addrs(struct arena *a, uint8_t family)
{
	static const uint8_t lens[] = { 0, 3, 8, 12, 16, 20, 24, 30, 31, 32 };
	size_t n = below(4) == 0 ? 2 : 1;
	struct pol_addrs *s;
	uint32_t last = 0;

	if (below(4) == 0)
		return NULL;
	s = hold(a, xcalloc(1, sizeof(*s) + n * sizeof(s->r[0])));
	s->family = family;
	for (size_t i = 0; i < n; i++) {
		unsigned len = lens[below(ARRAY_LEN(lens))];
		uint32_t mask = len ? ~0u << (32 - len) : 0;
		uint32_t lo = (below(4) << 30 | below(3) << 16 | below(8)) & mask;
		uint32_t hi = lo | ~mask;

		if (i && lo <= last)
			break;
		s->r[i].lo.family = s->r[i].hi.family = family;
		s->r[i].lo.w_be[0] = htonl(lo);
		s->r[i].hi.w_be[0] = htonl(hi);
		/* The bits that matter first; the host part of an IPv6 range whole. */
		if (family == AF_INET6)
			memset(&s->r[i].hi.b[4], 0xff, 12);
		last = hi;
		s->n++;
	}
	return s;
}

static inline const struct pol_ports *ports(struct arena *a)
{
	struct pol_ports *p;

	if (below(2) == 0)
		return NULL;
	p = hold(a, xcalloc(1, sizeof(*p) + 2 * sizeof(p->r[0])));
	p->n = 1 + (below(4) == 0);
	p->r[0].lo = (uint16_t)below(6);
	p->r[0].hi = (uint16_t)(p->r[0].lo + below(3) * below(4));
	p->r[1].lo = (uint16_t)(p->r[0].hi + 2 + below(5));
	p->r[1].hi = below(2) ? p->r[1].lo : UINT16_MAX;
	return p;
}

static const uint16_t protos[] = { POL_PROTO_ANY, IPPROTO_TCP, IPPROTO_TCP,   IPPROTO_UDP,
				   IPPROTO_ICMP,  IPPROTO_GRE, IPPROTO_ICMPV6 };

static inline void random_rule(struct arena *a, size_t i, uint8_t family, bool odd)
{
	struct pol_rule *r = &a->rule[i];
	struct pol_service *s = &a->service[i];

	*s = (struct pol_service){ .proto = protos[below(ARRAY_LEN(protos))] };
	if (s->proto == IPPROTO_TCP || s->proto == IPPROTO_UDP) {
		s->sport = below(3) ? NULL : ports(a);
		s->dport = ports(a);
	} else if (lb_is_icmp(family, (unsigned)s->proto) && s->proto != POL_PROTO_ANY &&
		   below(2)) {
		s->has_icmp_type = true;
		s->icmp_type = (uint8_t)below(3);
		s->has_icmp_code = below(2);
		s->icmp_code = (uint8_t)below(2);
	}
	*r = (struct pol_rule){ .id = (pol_id)(i + 1),
				.seq = (uint32_t)(i + 1) * 10,
				.family = family,
				.action = below(2) ? POL_PERMIT : POL_DENY,
				.src = addrs(a, family),
				.dst = addrs(a, family),
				.n_services = 1,
				.services = s,
				.ttl_hi = UINT8_MAX,
				.len_hi = UINT16_MAX,
				.active = below(20) != 0 };
	if (odd && below(8) == 0)
		r->dscp = 1u << below(3);
	if (odd && below(16) == 0)
		s->n_flags = 1, s->flags[0].mask = 2, s->flags[0].value = 2;
	a->ptr[i] = r;
}

static inline void random_list(struct arena *a, size_t n, uint8_t family, bool odd)
{
	memset(a, 0, sizeof(*a));
	for (size_t i = 0; i < n; i++)
		random_rule(a, i, family, odd);
	a->list = (struct pol_list){ .name = "T", .family = family, .n = n, .rules = a->ptr };
}

static inline void drop_list(struct arena *a)
{
	for (size_t i = 0; i < a->n_mem; i++)
		free(a->mem[i]);
}

static inline struct rtr_addr random_addr(uint8_t family)
{
	struct rtr_addr x = { .family = family };

	x.w_be[0] = htonl(below(4) << 30 | below(3) << 16 | below(9));
	if (family == AF_INET6)
		x.b[15] = (uint8_t)below(256);
	return x;
}

static inline struct pol_packet random_packet(uint8_t family)
{
	struct pol_packet p = { .family = family,
				.src = random_addr(family),
				.dst = random_addr(family),
				.dscp = (uint8_t)below(3),
				.ttl = 64,
				.len = 60 };

	p.proto = (uint8_t)protos[1 + below(ARRAY_LEN(protos) - 1)];
	if (p.proto == IPPROTO_TCP || p.proto == IPPROTO_UDP) {
		p.sport = (uint16_t)below(12);
		p.dport = (uint16_t)below(12);
		p.tcp_flags = p.proto == IPPROTO_TCP ? (uint8_t)(1u << below(3)) : 0;
	} else {
		p.icmp_type = (uint8_t)below(3);
		p.icmp_code = (uint8_t)below(2);
	}
	return p;
}

/* Line by line, from the meaning of the words. */
static inline bool in_addrs(const struct pol_addrs *s, const struct rtr_addr *x)
{
	for (size_t i = 0; s && i < s->n; i++)
		if (rtr_addr_cmp(x, &s->r[i].lo) >= 0 && rtr_addr_cmp(x, &s->r[i].hi) <= 0)
			return true;
	return !s;
}

static inline bool in_ports(const struct pol_ports *s, uint16_t x)
{
	for (size_t i = 0; s && i < s->n; i++)
		if (x >= s->r[i].lo && x <= s->r[i].hi)
			return true;
	return !s;
}

static inline bool naive_match(const struct pol_rule *r, const struct pol_packet *p)
{
	const struct pol_service *s = r->services;

	return r->active && in_addrs(r->src, &p->src) && in_addrs(r->dst, &p->dst) &&
	       (s->proto == POL_PROTO_ANY || s->proto == p->proto) &&
	       in_ports(s->sport, p->sport) && in_ports(s->dport, p->dport) &&
	       (!s->has_icmp_type || s->icmp_type == p->icmp_type) &&
	       (!s->has_icmp_code || s->icmp_code == p->icmp_code) &&
	       (!s->n_flags || (p->proto == IPPROTO_TCP &&
				(p->tcp_flags & s->flags[0].mask) == s->flags[0].value)) &&
	       (!r->dscp || (r->dscp >> p->dscp & 1));
}

static inline const struct pol_rule *naive(const struct pol_list *l, const struct pol_packet *p)
{
	for (size_t i = 0; i < l->n; i++)
		if (naive_match(l->rules[i], p))
			return l->rules[i];
	return NULL;
}

#endif
