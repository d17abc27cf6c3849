/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: lists as disjoint tables against first match line by line: random lists in which lines
 * nest, cross and repeat, of both families, with lines that are no boxes in between; and lists as
 * hard as they come. The kernel's own answers are compared in tests/netns.
 */
#include "../lib/list_gen.h"

/* ---- what the kernel would find in the tables ---- */

static const struct lb_box *set_find(const struct lb_set *s, const lb_num key[LB_FIELDS],
				     uint32_t rank)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct lb_box *x = &s->box[i];
		bool in = rank >= x->from;

		for (int f = 0; f < LB_FIELDS; f++)
			in = in && key[f] >= x->lo[f] && key[f] <= x->hi[f];
		if (in)
			return x;
	}
	return NULL;
}

static const struct lb_node *leaf_of(const struct lb_node *n, const lb_num key[LB_FIELDS])
{
	while (!n->leaf) {
		size_t i = n->n - 1;

		while (n->from[i] > key[n->field])
			i--;
		n = &n->part[i];
	}
	return n;
}

static const struct lb_box *tree_find(const struct lb_node *n, const struct lb_set *early,
				      const lb_num key[LB_FIELDS])
{
	const struct lb_node *leaf = leaf_of(n, key);
	const struct lb_box *x = set_find(&leaf->set, key, 0);
	bool asks = x && x->asks;

	for (size_t i = 0; leaf->table && i < leaf->set.n; i++)
		asks = asks || (x && leaf->set.box[i].asks);
	return asks ? set_find(early, key, x->rank) ?: x : x;
}

static const struct pol_rule *block_match(const struct lb_block *b, const struct pol_packet *pkt)
{
	enum lb_class class = lb_class_of(b, pkt->family, pkt->proto);
	lb_num key[LB_FIELDS] = { lb_addr(&pkt->dst), lb_addr(&pkt->src), 0, 0, pkt->proto };
	const struct lb_tables *t = &b->class[class];
	const struct lb_set *early = &t->early[t->n_early > 1 && pkt->proto == IPPROTO_UDP];
	const struct lb_box *x;

	if (class == LB_PORTS || class == LB_UDP) {
		key[LB_P0] = pkt->sport;
		key[LB_P1] = pkt->dport;
	} else if (class == LB_ICMP) {
		key[LB_P0] = (lb_num)(pkt->icmp_type << 8 | pkt->icmp_code);
	}
	x = tree_find(&t->a, early, key);
	if (!x)
		x = tree_find(&t->b, early, key);
	if (!x)
		x = tree_find(&t->c, early, key);
	return x ? x->line : NULL;
}

static const struct pol_rule *boxes_match(const struct lb_prog *p, const struct pol_packet *pkt)
{
	const struct pol_rule *r = NULL;

	for (size_t i = 0; i < p->n_blocks && !r; i++) {
		const struct lb_block *b = &p->blocks[i];

		if (!b->linear) {
			r = block_match(b, pkt);
			continue;
		}
		for (size_t k = b->first; k < b->end && !r; k++)
			if (!lb_is_void(p->list->rules[k]) && naive_match(p->list->rules[k], pkt))
				r = p->list->rules[k];
	}
	return r;
}

/* Boxes of a set never overlap: the kernel would refuse them, or find either. */
static void assert_disjoint(const struct lb_set *s)
{
	for (size_t i = 0; i < s->n; i++) {
		for (size_t k = 0; k < i; k++) {
			const struct lb_box *a = &s->box[i], *b = &s->box[k];
			bool apart = false;

			for (int f = 0; f < LB_FIELDS; f++)
				apart = apart || a->lo[f] > b->hi[f] || b->lo[f] > a->hi[f];
			ck_assert(apart);
		}
	}
}

static void assert_tree(const struct lb_node *n)
{
	if (n->leaf) {
		if (n->table)
			assert_disjoint(&n->set);
		for (size_t i = 1; !n->table && i < n->set.n; i++)
			ck_assert_uint_ge(n->set.box[i].rank, n->set.box[i - 1].rank);
		return;
	}
	ck_assert(n->from[0] == 0);
	for (size_t i = 0; i < n->n; i++) {
		ck_assert(!i || n->from[i] > n->from[i - 1]);
		assert_tree(&n->part[i]);
	}
}

static void check_prog(const struct lb_prog *p, const struct pol_list *l, unsigned packets)
{
	size_t next = 0;

	for (size_t i = 0; i < p->n_blocks; i++) {
		ck_assert_uint_eq(p->blocks[i].first, next);
		next = p->blocks[i].end;
		for (int c = 0; c < LB_CLASSES && !p->blocks[i].linear; c++) {
			assert_tree(&p->blocks[i].class[c].a);
			assert_tree(&p->blocks[i].class[c].b);
			assert_tree(&p->blocks[i].class[c].c);
			assert_disjoint(&p->blocks[i].class[c].early[0]);
			assert_disjoint(&p->blocks[i].class[c].early[1]);
		}
	}
	ck_assert_uint_eq(next, l->n);
	for (unsigned i = 0; i < packets; i++) {
		struct pol_packet k = random_packet(l->family);

		ck_assert_ptr_eq(boxes_match(p, &k), naive(l, &k));
	}
}

static void check_list(struct arena *a, unsigned packets)
{
	struct lb_prog *p = lb_build(&a->list);

	check_prog(p, &a->list, packets);
	lb_free(p);
}

START_TEST(first_match)
{
	struct arena *a = xmalloc(sizeof(*a));

	for (int i = 0; i < 120; i++) {
		uint8_t family = i % 2 ? AF_INET6 : AF_INET;

		rnd = test_seed + (uint64_t)i * 977;
		random_list(a, below(i < 60 ? 20 : 120), family, i % 3 == 0);
		check_list(a, 300);
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
	check_list(a, 2000);
	drop_list(a);
	free(a);
}
END_TEST

/* Boxes of a tree and how many of them another tree has, too, in the part of the same place. */
static void count_same(const struct lb_node *a, const struct lb_node *b, size_t *n, size_t *same)
{
	if (a->leaf || b->leaf || a->field != b->field) {
		*n += a->leaf ? a->set.n : 1;
		for (size_t i = 0; a->leaf && b->leaf && i < a->set.n; i++)
			for (size_t k = 0; k < b->set.n; k++)
				*same += a->set.box[i].rank == b->set.box[k].rank &&
					 !memcmp(a->set.box[i].lo, b->set.box[k].lo,
						 sizeof(a->set.box[i].lo)) &&
					 !memcmp(a->set.box[i].hi, b->set.box[k].hi,
						 sizeof(a->set.box[i].hi));
		return;
	}
	for (size_t i = 0, k = 0; i < a->n; i++) {
		while (k + 1 < b->n && b->from[k + 1] <= a->from[i])
			k++;
		if (b->from[k] == a->from[i])
			count_same(&a->part[i], &b->part[k], n, same);
	}
}

static size_t tree_lines(const struct lb_node *n)
{
	size_t sum = n->leaf ? n->set.n : 0;

	for (size_t i = 0; !n->leaf && i < n->n; i++)
		sum += tree_lines(&n->part[i]);
	return sum;
}

/* Lines from a port to anywhere and to a port from anywhere, all of them crossing: as boxes they
 * would be 1,000. */
START_TEST(wide_lines)
{
	struct arena *a = xmalloc(sizeof(*a));
	struct pol_ports *port[64];
	struct lb_prog *p;

	rnd = test_seed;
	random_list(a, ARRAY_LEN(port), AF_INET, false);
	for (size_t i = 0; i < ARRAY_LEN(port); i++) {
		port[i] = hold(a, xcalloc(1, sizeof(*port[i]) + sizeof(port[i]->r[0])));
		port[i]->n = 1;
		port[i]->r[0].lo = port[i]->r[0].hi = (uint16_t)(2 * i);
		a->service[i] = (struct pol_service){ .proto = IPPROTO_TCP };
		if (below(2))
			a->service[i].sport = port[i];
		else
			a->service[i].dport = port[i];
		a->rule[i].active = true;
		a->rule[i].src = a->rule[i].dst = NULL;
	}
	p = lb_build(&a->list);
	ck_assert_uint_eq(p->n_blocks, 1);
	ck_assert_uint_le(tree_lines(&p->blocks[0].class[LB_PORTS].c), 2 * ARRAY_LEN(port));
	ck_assert(!lb_empty(&p->blocks[0].class[LB_PORTS]));
	check_prog(p, &a->list, 2000);
	lb_free(p);
	drop_list(a);
	free(a);
}
END_TEST

static bool stays(struct arena *a)
{
	struct lb_prog *p, *q;
	size_t same = 0, n = 0;

	random_list(a, LINES_MAX, AF_INET, false);
	for (size_t i = 0; i < LINES_MAX; i++) {
		struct pol_addrs *s = hold(a, xcalloc(1, sizeof(*s) + sizeof(s->r[0])));

		s->family = AF_INET;
		s->n = 1;
		s->r[0].lo.family = AF_INET;
		s->r[0].lo.w_be[0] = (uint32_t)test_rand(&rnd);
		s->r[0].hi = s->r[0].lo;
		a->service[i] = (struct pol_service){ .proto = IPPROTO_TCP, .dport = ports(a) };
		a->rule[i].active = true;
		a->rule[i].dst = s;
	}
	a->rule[LINES_MAX - 1].seq = a->rule[LINES_MAX / 2].seq - 5;
	a->list.n = LINES_MAX - 1;
	p = lb_build(&a->list);
	memmove(&a->ptr[LINES_MAX / 2 + 1], &a->ptr[LINES_MAX / 2],
		(LINES_MAX / 2 - 1) * sizeof(a->ptr[0]));
	a->ptr[LINES_MAX / 2] = &a->rule[LINES_MAX - 1];
	a->list.n = LINES_MAX;
	q = lb_build(&a->list);
	ck_assert(!p->blocks[0].class[LB_PORTS].a.leaf);
	count_same(&p->blocks[0].class[LB_PORTS].a, &q->blocks[0].class[LB_PORTS].a, &n, &same);
	lb_free(p);
	lb_free(q);
	drop_list(a);
	return n > LINES_MAX / 2 && same + LB_LEAF >= n;
}

/* Hosts with a service or two each, and one line more in the middle: ranks are sequence numbers
 * and cuts a matter of the values, so next to nothing else differs, but for the rare line that
 * makes twice as many cuts. */
START_TEST(one_line_more)
{
	struct arena *a = xmalloc(sizeof(*a));
	unsigned n = 0;

	rnd = test_seed;
	for (int i = 0; i < 6; i++)
		n += stays(a);
	ck_assert_uint_ge(n, 3);
	free(a);
}
END_TEST

static const struct pol_addrs *some_host(struct arena *a, uint8_t family)
{
	struct pol_addrs *s = hold(a, xcalloc(1, sizeof(*s) + sizeof(s->r[0])));

	s->family = family;
	s->n = 1;
	s->r[0].lo = s->r[0].hi = random_addr(family);
	return s;
}

static bool all_fresh(const struct lb_node *n)
{
	bool all = n->leaf ? n->fresh : true;

	for (size_t i = 0; !n->leaf && i < n->n; i++)
		all = all_fresh(&n->part[i]) && all;
	return all;
}

/* Lines come and go, one or two at a time; most name a host, those that name none are last, and
 * one of `wide`. */
static unsigned patch_list(struct arena *a, uint8_t family, uint32_t wide, unsigned packets)
{
	struct pol_list lists[2] = { { .name = "T", .family = family },
				     { .name = "T", .family = family } };
	const struct pol_rule *rules[2][LINES_MAX];
	bool in[LINES_MAX], all = true;
	struct lb_prog *p = NULL;
	unsigned patched = 0;

	random_list(a, LINES_MAX, family, false);
	for (size_t i = 0; i < LINES_MAX; i++) {
		in[i] = below(4) != 0;
		if (i < LINES_MAX - 20 && below(wide)) {
			a->rule[i].dst = some_host(a, family);
		} else if (i < LINES_MAX - 20) {
			a->rule[i].src = some_host(a, family);
			a->rule[i].dst = NULL;
		}
	}
	for (unsigned round = 0; round < 16; round++) {
		struct pol_list *l = &lists[round % 2];
		size_t n = 0;

		for (uint32_t k = below(2); k < 2; k++)
			in[below(LINES_MAX)] ^= true;
		for (size_t i = 0; i < LINES_MAX; i++)
			if (in[i])
				rules[round % 2][n++] = &a->rule[i];
		l->rules = rules[round % 2];
		l->n = n;
		if (p && lb_patch(p, l)) {
			patched++;
			all = all_fresh(&p->blocks[0].class[LB_PORTS].a) && all;
		} else {
			lb_free(p);
			p = lb_build(l);
		}
		check_prog(p, l, packets);
	}
	lb_free(p);
	ck_assert(!all || !patched);
	return patched;
}

START_TEST(patched)
{
	struct arena *a = xmalloc(sizeof(*a));
	unsigned n = 0;

	for (int i = 0; i < 2; i++) {
		rnd = test_seed + (uint64_t)i * 31;
		n += patch_list(a, i % 2 ? AF_INET6 : AF_INET, 50, 60);
		drop_list(a);
	}
	ck_assert_uint_gt(n, 2 * 16 / 4);
	/* Lines that ask: few changes can be patched, and these must be right. */
	for (int i = 0; i < 12; i++) {
		rnd = test_seed + (uint64_t)i * 77;
		patch_list(a, AF_INET, 4, 1000);
		drop_list(a);
	}
	free(a);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("list_box");
	TCase *t = tcase_create("boxes");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, first_match);
	tcase_add_test(t, crossing_lines);
	tcase_add_test(t, wide_lines);
	tcase_add_test(t, one_line_more);
	tcase_add_test(t, patched);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
