/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: lists as disjoint tables against first match line by line: random lists in which lines
 * nest, cross and repeat, of both families, with lines that are no boxes in between; and lists as
 * hard as they come. The kernel's own answers are compared in tests/netns.
 */
#include "firewall/list_box.h"

#include "../lib/check_main.h"

#include <netinet/in.h>
#include <string.h>

#define LINES_MAX 400

struct arena {
	struct pol_list list;
	const struct pol_rule *ptr[LINES_MAX];
	struct pol_rule rule[LINES_MAX];
	struct pol_service service[LINES_MAX];
	void *mem[LINES_MAX * 4];
	size_t n_mem;
};

static uint64_t rnd;

static uint32_t below(uint32_t n)
{
	return (uint32_t)(test_rand(&rnd) >> 33) % n;
}

static void *hold(struct arena *a, void *p)
{
	a->mem[a->n_mem++] = p;
	return p;
}

/* Few distinct values, so that lines overlap: a prefix of one of four bases. */
static const struct pol_addrs *addrs(struct arena *a, uint8_t family)
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

static const struct pol_ports *ports(struct arena *a)
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

static void random_rule(struct arena *a, size_t i, uint8_t family, bool odd)
{
	struct pol_rule *r = &a->rule[i];
	struct pol_service *s = &a->service[i];

	*s = (struct pol_service){ .proto = protos[below(ARRAY_LEN(protos))] };
	if (s->proto == IPPROTO_TCP || s->proto == IPPROTO_UDP) {
		s->sport = below(3) ? NULL : ports(a);
		s->dport = ports(a);
	} else if (lb_class_of(family, (uint8_t)s->proto) == LB_ICMP && s->proto != POL_PROTO_ANY &&
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

static void random_list(struct arena *a, size_t n, uint8_t family, bool odd)
{
	memset(a, 0, sizeof(*a));
	for (size_t i = 0; i < n; i++)
		random_rule(a, i, family, odd);
	a->list = (struct pol_list){ .name = "T", .family = family, .n = n, .rules = a->ptr };
}

static void drop_list(struct arena *a)
{
	for (size_t i = 0; i < a->n_mem; i++)
		free(a->mem[i]);
}

static struct rtr_addr random_addr(uint8_t family)
{
	struct rtr_addr x = { .family = family };

	x.w_be[0] = htonl(below(4) << 30 | below(3) << 16 | below(9));
	if (family == AF_INET6)
		x.b[15] = (uint8_t)below(256);
	return x;
}

static struct pol_packet random_packet(uint8_t family)
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
static bool in_addrs(const struct pol_addrs *s, const struct rtr_addr *x)
{
	for (size_t i = 0; s && i < s->n; i++)
		if (rtr_addr_cmp(x, &s->r[i].lo) >= 0 && rtr_addr_cmp(x, &s->r[i].hi) <= 0)
			return true;
	return !s;
}

static bool in_ports(const struct pol_ports *s, uint16_t x)
{
	for (size_t i = 0; s && i < s->n; i++)
		if (x >= s->r[i].lo && x <= s->r[i].hi)
			return true;
	return !s;
}

static bool naive_match(const struct pol_rule *r, const struct pol_packet *p)
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

static const struct pol_rule *naive(const struct pol_list *l, const struct pol_packet *p)
{
	for (size_t i = 0; i < l->n; i++)
		if (naive_match(l->rules[i], p))
			return l->rules[i];
	return NULL;
}

/* ---- what the kernel would find in the tables ---- */

static bool in_box(const struct lb_box *x, const lb_addr addr[2], const uint16_t port[2])
{
	for (int f = 0; f < 2; f++)
		if (addr[f] < x->lo[f] || addr[f] > x->hi[f] || port[f] < x->plo[f] ||
		    port[f] > x->phi[f])
			return false;
	return true;
}

static const struct lb_box *set_find(const struct lb_set *s, const lb_addr addr[2],
				     const uint16_t port[2], const uint32_t rank[2])
{
	for (size_t i = 0; i < s->n; i++)
		if (in_box(&s->box[i], addr, port) && rank[0] >= s->box[i].from[0] &&
		    rank[1] >= s->box[i].from[1])
			return &s->box[i];
	return NULL;
}

static const struct pol_rule *block_match(const struct lb_block *b, const struct pol_list *l,
					  const struct pol_packet *pkt)
{
	lb_addr addr[2] = { [LB_DST] = lb_addr_of(&pkt->dst), [LB_SRC] = lb_addr_of(&pkt->src) };
	enum lb_class class = lb_class_of(pkt->family, pkt->proto);
	uint16_t port[2] = { pkt->sport, pkt->dport };
	uint32_t rank[2] = { b->none, b->none };
	const struct lb_box *found = NULL;

	if (class == LB_ICMP) {
		port[0] = (uint16_t)(pkt->icmp_type << 8 | pkt->icmp_code);
		port[1] = 0;
	} else if (class == LB_OTHER) {
		port[0] = pkt->proto;
		port[1] = 0;
	}
	/* The ranks a later table compares are those that really were found; of two hits the
	 * later table's is the earlier line, as its ranks say. */
	for (int t = 0; t < LB_TABLES; t++) {
		const struct lb_box *x = set_find(&b->set[class][t], addr, port, rank);

		if (!x)
			continue;
		found = x;
		if (t < LB_C)
			rank[t] = x->rank;
	}
	return found ? l->rules[found->rule] : NULL;
}

static const struct pol_rule *boxes_match(const struct lb_prog *p, const struct pol_packet *pkt)
{
	const struct pol_rule *r = NULL;

	for (size_t i = 0; i < p->n_blocks && !r; i++) {
		const struct lb_block *b = &p->blocks[i];

		if (!b->linear) {
			r = block_match(b, p->list, pkt);
			continue;
		}
		for (size_t k = b->first; k < b->end && !r; k++)
			if (!lb_is_void(p->list->rules[k]) && naive_match(p->list->rules[k], pkt))
				r = p->list->rules[k];
	}
	return r;
}

/* Boxes of a table never overlap: the kernel would refuse them, or find either. */
static void assert_disjoint(const struct lb_set *s)
{
	for (size_t i = 0; i < s->n; i++) {
		for (size_t k = 0; k < i; k++) {
			const struct lb_box *a = &s->box[i], *b = &s->box[k];
			bool apart = false;

			for (int f = 0; f < 2; f++)
				apart = apart || a->lo[f] > b->hi[f] || b->lo[f] > a->hi[f] ||
					a->plo[f] > b->phi[f] || b->plo[f] > a->phi[f];
			ck_assert(apart);
		}
	}
}

static void check_list(struct arena *a, uint8_t family, unsigned packets)
{
	struct lb_prog *p = lb_build(&a->list);
	size_t next = 0;

	for (size_t i = 0; i < p->n_blocks; i++) {
		ck_assert_uint_eq(p->blocks[i].first, next);
		next = p->blocks[i].end;
		for (int c = 0; c < LB_CLASSES; c++)
			for (int t = 0; t < LB_TABLES; t++)
				assert_disjoint(&p->blocks[i].set[c][t]);
	}
	ck_assert_uint_eq(next, a->list.n);
	for (unsigned i = 0; i < packets; i++) {
		struct pol_packet k = random_packet(family);

		ck_assert_ptr_eq(boxes_match(p, &k), naive(&a->list, &k));
	}
	lb_free(p);
}

START_TEST(first_match)
{
	struct arena *a = xmalloc(sizeof(*a));

	for (int i = 0; i < 120; i++) {
		uint8_t family = i % 2 ? AF_INET6 : AF_INET;

		rnd = test_seed + (uint64_t)i * 977;
		random_list(a, below(i < 60 ? 20 : 120), family, i % 3 == 0);
		check_list(a, family, 300);
		drop_list(a);
	}
	free(a);
}
END_TEST

/* Lines that cross each other in every order: cut in one table they would be 40,000 boxes. */
START_TEST(crossing_lines)
{
	struct arena *a = xmalloc(sizeof(*a));

	rnd = test_seed;
	random_list(a, LINES_MAX, AF_INET, false);
	for (size_t i = 0; i < LINES_MAX; i++) {
		struct pol_addrs *s = hold(a, xcalloc(1, sizeof(*s) + sizeof(s->r[0])));

		s->family = AF_INET;
		s->n = 1;
		s->r[0].lo.family = AF_INET;
		s->r[0].lo.w_be[0] = htonl(below(4) << 30 | below(3) << 16 | below(9));
		s->r[0].hi = s->r[0].lo;
		a->service[i] = (struct pol_service){ .proto = POL_PROTO_ANY };
		a->rule[i].active = true;
		a->rule[i].src = i % 2 ? s : NULL;
		a->rule[i].dst = i % 2 ? NULL : s;
	}
	check_list(a, AF_INET, 2000);
	drop_list(a);
	free(a);
}
END_TEST

/* The tables of a list that has one line more differ by little: ranks are sequence numbers. */
START_TEST(one_line_more)
{
	struct arena *a = xmalloc(sizeof(*a));
	struct lb_prog *p, *q;
	size_t same = 0, n = 0;

	rnd = test_seed;
	random_list(a, 101, AF_INET, false);
	a->list.n = 100;
	p = lb_build(&a->list);
	memmove(&a->ptr[51], &a->ptr[50], 50 * sizeof(a->ptr[0]));
	a->rule[100].seq = 505;
	a->rule[100].active = true;
	a->rule[100].src = a->rule[100].dst = NULL;
	a->service[100] = (struct pol_service){ .proto = IPPROTO_UDP };
	a->ptr[50] = &a->rule[100];
	a->list.n = 101;
	q = lb_build(&a->list);
	for (int t = 0; t < LB_TABLES; t++) {
		const struct lb_set *s = &p->blocks[0].set[LB_TCP][t],
				    *u = &q->blocks[0].set[LB_TCP][t];

		ck_assert_uint_eq(s->n, u->n);
		for (size_t i = 0; i < s->n; i++, n++)
			same += s->box[i].rank == u->box[i].rank &&
				s->box[i].from[0] == u->box[i].from[0] &&
				s->box[i].lo[0] == u->box[i].lo[0];
	}
	ck_assert_uint_gt(n, 0);
	ck_assert_uint_eq(same, n);
	lb_free(p);
	lb_free(q);
	drop_list(a);
	free(a);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("list_box");
	TCase *t = tcase_create("boxes");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, first_match);
	tcase_add_test(t, crossing_lines);
	tcase_add_test(t, one_line_more);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
