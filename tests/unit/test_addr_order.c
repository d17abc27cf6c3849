/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The order of IPv4 addresses: the model of the kernel's list against the kernel, and plans. */
#include "iface/addr_order.h"
#include "../lib/check_main.h"
#include "../lib/netns.h"

#define MAX_LIST 16

static struct rtr_prefix random_prefix(uint64_t *rng)
{
	char text[32];
	struct rtr_prefix p;

	/* Few subnets of two lengths, few hosts. */
	snprintf(text, sizeof(text), "10.0.%u.%u/%u", (unsigned)(test_rand(rng) % 2),
		 1 + (unsigned)(test_rand(rng) % 4), test_rand(rng) % 4 ? 24 : 16);
	ck_assert_int_eq(rtr_prefix_parse(text, AF_INET, &p), 0);
	return p;
}

static size_t find(const struct ao_list *l, const struct rtr_prefix *p)
{
	size_t i = 0;

	while (i < l->len && rtr_prefix_cmp(&l->v[i].addr, p))
		i++;
	return i;
}

static bool same_subnet(const struct rtr_prefix *a, const struct rtr_prefix *b)
{
	return a->len == b->len && rtr_prefix_contains(a, &b->addr);
}

/* ---- the model of the kernel's list ---- */

static char *list_text(const struct ao_list *l)
{
	char *s = xstrdup("");

	for (size_t i = 0; i < l->len; i++) {
		char b[RTR_PREFIX_STRLEN];
		char *t = xasprintf("%s%s%s\n", s, rtr_prefix_str(&l->v[i].addr, b),
				    l->v[i].secondary ? " secondary" : "");

		free(s);
		s = t;
	}
	return s;
}

START_TEST(model_is_the_kernel)
{
	uint64_t rng = test_seed;
	struct ao_list l = { 0 };

	netns_enter();
	ck_assert(sh("ip link add b0 type bridge;"
		     "sysctl -qw net.ipv4.conf.b0.promote_secondaries=1"));
	for (int k = 0; k < 150; k++) {
		struct rtr_prefix p = random_prefix(&rng);
		char b[RTR_PREFIX_STRLEN], *want, *got;
		bool del = find(&l, &p) < l.len;

		if (del)
			ao_del(&l, &p);
		else
			ao_add(&l, &p);
		ck_assert(sh("ip addr %s %s dev b0", del ? "del" : "add", rtr_prefix_str(&p, b)));
		want = list_text(&l);
		ck_assert(
			sh("ip -o -4 addr show b0 | sed 's/.*inet \\([^ ]*\\) .*\\(secondary\\).*/"
			   "\\1 \\2/; s/.*inet \\([^ ]*\\) .*/\\1/' >/tmp/rtr-order.%d",
			   getpid()));
		{
			char *path = xasprintf("/tmp/rtr-order.%d", getpid());

			ck_assert_int_eq(rtr_file_read(path, 65536, &got, NULL), 0);
			unlink(path);
			free(path);
		}
		ck_assert_msg(!strcmp(want, got), "%s %s:\nmodel\n%skernel\n%s",
			      del ? "del" : "add", b, want, got);
		free(want);
		free(got);
	}
	free(l.v);
}
END_TEST

/* ---- plans ---- */

static void check_end(const struct ao_list *l, const struct rtr_prefix *want, size_t n)
{
	bool blocked = false;

	for (size_t w = 0; w < n; w++) {
		size_t at = find(l, &want[w]);
		bool first = true, foreign_holder = false;

		ck_assert_uint_lt(at, l->len);
		for (size_t i = 0; i < w; i++)
			first &= !same_subnet(&want[i], &want[w]);
		for (size_t i = 0; i < l->len; i++)
			foreign_holder |= l->v[i].foreign && !l->v[i].secondary &&
					  same_subnet(&l->v[i].addr, &want[w]);
		if (first && !foreign_holder && !l->v[at].foreign)
			ck_assert_msg(!l->v[at].secondary, "not the primary of its subnet");
		if (!w)
			blocked = foreign_holder || l->v[at].foreign;
		for (size_t i = 0; !w && !blocked && i < at; i++)
			ck_assert_msg(l->v[i].foreign, "not the first of ours");
	}
	for (size_t i = 0; i < l->len; i++) {
		bool wanted = l->v[i].foreign;

		for (size_t w = 0; w < n; w++)
			wanted |= !rtr_prefix_cmp(&want[w], &l->v[i].addr);
		ck_assert_msg(wanted, "one too many");
	}
}

START_TEST(plans)
{
	uint64_t rng = test_seed;

	for (int k = 0; k < 20000; k++) {
		struct ao_list l = { 0 };
		struct rtr_prefix want[MAX_LIST];
		size_t n_want = 0, n_foreign = 0, n;
		struct ao_step *steps;

		for (size_t i = 0, max = test_rand(&rng) % 8; i < max; i++) {
			struct rtr_prefix p = random_prefix(&rng);

			if (find(&l, &p) < l.len)
				continue;
			ao_add(&l, &p);
			l.v[find(&l, &p)].foreign = test_rand(&rng) % 5 == 0;
		}
		for (size_t i = 0, max = test_rand(&rng) % 8; i < max; i++) {
			struct rtr_prefix p = random_prefix(&rng);
			bool twice = false;

			for (size_t j = 0; j < n_want; j++)
				twice |= !rtr_prefix_cmp(&want[j], &p);
			if (!twice)
				want[n_want++] = p;
		}
		for (size_t i = 0; i < l.len; i++)
			n_foreign += l.v[i].foreign;
		n = ao_plan(l.v, l.len, want, n_want, &steps);
		for (size_t i = 0; i < n; i++) {
			size_t at = find(&l, &steps[i].addr);

			if (steps[i].add) {
				ck_assert_uint_eq(at, l.len);
				ao_add(&l, &steps[i].addr);
				continue;
			}
			ck_assert_uint_lt(at, l.len);
			ck_assert(!l.v[at].foreign);
			ao_del(&l, &steps[i].addr);
			ck_assert_msg(l.len || !n_want || n_want == 1,
				      "the link lost its last address on the way");
		}
		check_end(&l, want, n_want);
		free(steps);
		/* What is right stays. */
		ck_assert_uint_eq(ao_plan(l.v, l.len, want, n_want, &steps), 0);
		free(steps);
		for (size_t i = 0; i < l.len; i++)
			n_foreign -= l.v[i].foreign;
		ck_assert_uint_eq(n_foreign, 0);
		free(l.v);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("addr_order");
	TCase *t = tcase_create("addr_order");

	netns_or_skip();
	tcase_set_timeout(t, 60);
	tcase_add_test(t, model_is_the_kernel);
	tcase_add_test(t, plans);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
