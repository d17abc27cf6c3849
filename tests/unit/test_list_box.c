/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: lists as disjoint tables against first match line by line: random lists in which lines
 * nest, cross and repeat, of both families, with lines that are no boxes in between; and lists as
 * hard as they come. The kernel's own answers are compared in tests/netns.
 */
#include "../lib/list_gen.h"

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
