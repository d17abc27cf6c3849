/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Next hops of static routes against a plain search without memory, on random tables. */
#include "route/resolve.h"
#include "../lib/check_main.h"

#include <linux/rtnetlink.h>
#include <string.h>

/* Interfaces "if1".."if9"; odd ones are up. */
static int up(const char *ifname)
{
	int n = ifname[2] - '0';

	return n & 1 ? n : 0;
}

static struct rtr_prefix pfx(const char *s)
{
	struct rtr_prefix p;

	ck_assert_int_eq(rtr_prefix_parse(s, AF_UNSPEC, &p), 0);
	return p;
}

/* ---- a table ---- */

struct table {
	struct static_route r[200];
	size_t n;
	struct recvec *vec;
	struct resolve_net nets[20];
	size_t n_nets;
};

static int line_cmp(const void *a, const void *b)
{
	const struct static_route *x = *(struct static_route *const *)a;
	const struct static_route *y = *(struct static_route *const *)b;
	int c = rtr_prefix_cmp(&x->dst, &y->dst);

	c = c ? c : (int)x->via - (int)y->via;
	c = c ? c : rtr_addr_cmp(&x->nexthop, &y->nexthop);
	return c ? c : strcmp(x->ifname, y->ifname);
}

static void add(struct table *t, const char *dst, const char *ifname, const char *nexthop,
		uint8_t distance)
{
	struct static_route *s = &t->r[t->n++];

	*s = (struct static_route){ .dst = pfx(dst), .distance = distance };
	s->via = ifname ? ROUTE_VIA_IFACE : nexthop ? ROUTE_VIA_ADDR : ROUTE_VIA_NULL0;
	if (ifname)
		rtr_strlcpy(s->ifname, ifname, sizeof(s->ifname));
	if (nexthop)
		s->nexthop = pfx(nexthop).addr;
}

static void net(struct table *t, const char *text, int ifindex)
{
	struct rtr_prefix p = pfx(text);

	t->nets[t->n_nets++] = (struct resolve_net){ .net = rtr_prefix_network(p),
						     .own = p.addr,
						     .ifindex = ifindex };
}

static void table_ready(struct table *t, struct resolve *r)
{
	t->vec = xcalloc(1, sizeof(*t->vec) + t->n * sizeof(t->vec->v[0]));
	t->vec->len = t->n;
	for (size_t i = 0; i < t->n; i++)
		t->vec->v[i] = &t->r[i].rec;
	qsort(t->vec->v, t->n, sizeof(t->vec->v[0]), line_cmp);
	resolve_init(r, t->vec, up);
	for (size_t i = 0; i < t->n_nets; i++)
		resolve_add_net(r, &t->nets[i].net, &t->nets[i].own, t->nets[i].ifindex);
	resolve_ready(r);
}

/* ---- the plain search ---- */

static uint8_t flags(const struct table *t, const struct rtr_addr *gw, int ifindex)
{
	for (size_t i = 0; i < t->n_nets; i++) {
		if (t->nets[i].ifindex == ifindex && rtr_prefix_contains(&t->nets[i].net, gw))
			return 0;
	}
	return RTNH_F_ONLINK;
}

static size_t plain(const struct table *t, const struct rtr_addr *nh, unsigned depth,
		    struct shadow_hop *hops);

static size_t plain_line(const struct table *t, const struct static_route *s, unsigned depth,
			 struct shadow_hop *hops)
{
	if (s->via == ROUTE_VIA_ADDR)
		return plain(t, &s->nexthop, depth, hops);
	if (s->via != ROUTE_VIA_IFACE || !up(s->ifname))
		return 0;
	hops[0] = (struct shadow_hop){ .ifindex = up(s->ifname), .gw = s->nexthop };
	if (s->nexthop.family)
		hops[0].flags = flags(t, &s->nexthop, hops[0].ifindex);
	return 1;
}

static size_t plain(const struct table *t, const struct rtr_addr *nh, unsigned depth,
		    struct shadow_hop *hops)
{
	for (int len = 32; len >= 0; len--) {
		const struct resolve_net *best = NULL;

		for (size_t i = 0; i < t->n_nets; i++) {
			const struct resolve_net *c = &t->nets[i];

			if (c->net.len != len || !rtr_prefix_contains(&c->net, nh))
				continue;
			if (!rtr_addr_cmp(&c->own, nh))
				return 0;
			if (!best || c->ifindex < best->ifindex)
				best = c;
		}
		if (best) {
			hops[0] = (struct shadow_hop){ .ifindex = best->ifindex, .gw = *nh };
			return 1;
		}
		if (depth >= RESOLVE_MAX_DEPTH || !len)
			continue;
		for (unsigned d = 1; d <= 3; d++) {
			size_t n = 0;

			for (size_t i = 0; i < t->n; i++) {
				const struct static_route *s = (const void *)t->vec->v[i];
				struct shadow_hop h[RESOLVE_MAX_HOPS];
				size_t m;

				if (s->dst.len != len || !rtr_prefix_contains(&s->dst, nh) ||
				    route_distance(s) != d)
					continue;
				m = plain_line(t, s, depth + 1, h);
				for (size_t k = 0; k < m && n < RESOLVE_MAX_HOPS; k++) {
					if (!h[k].gw.family) {
						h[k].gw = *nh;
						h[k].flags = flags(t, nh, h[k].ifindex);
					}
					hops[n++] = h[k];
				}
			}
			if (n)
				return n;
		}
	}
	return 0;
}

static void compare(struct table *t, struct resolve *r)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct static_route *s = (const void *)t->vec->v[i];
		struct shadow_hop a[RESOLVE_MAX_HOPS], b[RESOLVE_MAX_HOPS];
		size_t n = resolve_line(r, s, a), m = plain_line(t, s, 0, b);
		char text[RTR_PREFIX_STRLEN];

		ck_assert_msg(n == m, "%s: %zu hops, %zu by the plain search",
			      rtr_prefix_str(&s->dst, text), n, m);
		for (size_t k = 0; k < n; k++) {
			ck_assert_int_eq(a[k].ifindex, b[k].ifindex);
			ck_assert_int_eq(rtr_addr_cmp(&a[k].gw, &b[k].gw), 0);
			ck_assert_uint_eq(a[k].flags, b[k].flags);
		}
	}
}

/* ---- tests ---- */

static size_t hops_of(struct table *t, struct resolve *r, const char *dst, struct shadow_hop *h)
{
	struct rtr_prefix p = pfx(dst);
	size_t i = 0;

	while (i < t->n && rtr_prefix_cmp(&((struct static_route *)(void *)t->vec->v[i])->dst, &p))
		i++;
	ck_assert_uint_lt(i, t->n);
	return resolve_group(r, i, resolve_prefix_end(t->vec, i),
			     resolve_next_distance(t->vec, i, resolve_prefix_end(t->vec, i), -1),
			     h);
}

static void check_gw(const struct shadow_hop *h, const char *gw)
{
	char text[RTR_ADDR_STRLEN];

	ck_assert_str_eq(rtr_addr_str(&h->gw, text), gw);
}

START_TEST(cases)
{
	struct shadow_hop h[RESOLVE_MAX_HOPS];
	struct table t = { 0 };
	struct resolve r;

	net(&t, "10.0.0.1/24", 1);
	net(&t, "10.0.1.1/24", 3);
	add(&t, "192.168.0.0/16", NULL, "10.0.0.9", 1);
	add(&t, "192.168.1.0/24", NULL, "10.0.0.1", 1);   /* our own address */
	add(&t, "172.16.0.0/16", NULL, "192.168.7.7", 1); /* by the first */
	add(&t, "172.17.0.0/16", NULL, "172.17.0.1", 1);  /* by itself */
	add(&t, "172.18.0.0/16", NULL, "172.19.0.1", 1);  /* a loop */
	add(&t, "172.19.0.0/16", NULL, "172.18.0.1", 1);
	add(&t, "172.20.0.0/16", "if2", NULL, 1); /* down */
	add(&t, "172.21.0.0/16", "if5", NULL, 1);
	add(&t, "172.22.0.0/16", NULL, "172.21.0.5", 1);
	add(&t, "172.23.0.0/16", NULL, "10.0.0.9", 1);
	add(&t, "172.23.0.0/16", NULL, "10.0.1.9", 1);
	add(&t, "172.23.0.0/16", NULL, "172.16.0.1", 1); /* the same hop again */
	add(&t, "172.24.0.0/16", NULL, "172.25.0.1", 1);
	add(&t, "172.25.0.0/16", NULL, NULL, 1); /* Null0 resolves nothing */
	add(&t, "0.0.0.0/0", NULL, "10.0.0.254", 1);
	add(&t, "172.26.0.0/16", NULL, "203.0.113.1", 1); /* only the default route */
	add(&t, "172.27.0.0/16", "if1", "198.51.100.1", 1);
	table_ready(&t, &r);
	ck_assert_uint_eq(hops_of(&t, &r, "192.168.0.0/16", h), 1);
	ck_assert_int_eq(h[0].ifindex, 1);
	ck_assert_uint_eq(hops_of(&t, &r, "192.168.1.0/24", h), 0);
	ck_assert_uint_eq(hops_of(&t, &r, "172.16.0.0/16", h), 1);
	check_gw(&h[0], "10.0.0.9");
	ck_assert_uint_eq(hops_of(&t, &r, "172.17.0.0/16", h), 0);
	ck_assert_uint_eq(hops_of(&t, &r, "172.18.0.0/16", h), 0);
	ck_assert_uint_eq(hops_of(&t, &r, "172.20.0.0/16", h), 0);
	ck_assert_uint_eq(hops_of(&t, &r, "172.22.0.0/16", h), 1);
	ck_assert_int_eq(h[0].ifindex, 5);
	check_gw(&h[0], "172.21.0.5");
	ck_assert_uint_eq(h[0].flags, RTNH_F_ONLINK);
	ck_assert_uint_eq(hops_of(&t, &r, "172.23.0.0/16", h), 2);
	ck_assert_uint_eq(hops_of(&t, &r, "172.24.0.0/16", h), 0);
	ck_assert_uint_eq(hops_of(&t, &r, "0.0.0.0/0", h), 1);
	ck_assert_uint_eq(hops_of(&t, &r, "172.26.0.0/16", h), 0);
	ck_assert_uint_eq(hops_of(&t, &r, "172.27.0.0/16", h), 1);
	ck_assert_uint_eq(h[0].flags, RTNH_F_ONLINK);
	resolve_fini(&r);
	free(t.vec);
}
END_TEST

/* Small numbers, so that routes lead to each other in chains and loops; few lines, since the plain
 * search takes every way through the loops. */
static void random_addr(uint64_t *rng, char *buf, size_t size)
{
	snprintf(buf, size, "10.%u.%u.%u", (unsigned)(test_rand(rng) % 3),
		 (unsigned)(test_rand(rng) % 4), (unsigned)(test_rand(rng) % 4));
}

static void random_table(uint64_t *rng, struct table *t)
{
	static const unsigned lens[] = { 0, 8, 16, 24, 30, 32 };
	size_t n = 1 + test_rand(rng) % 7;

	for (size_t i = 0; i < 1 + test_rand(rng) % 4; i++) {
		char a[32], b[40];

		random_addr(rng, a, sizeof(a));
		snprintf(b, sizeof(b), "%s/%u", a, 20 + (unsigned)(test_rand(rng) % 12));
		net(t, b, 1 + 2 * (int)(test_rand(rng) % 4));
	}
	for (size_t i = 0; i < n; i++) {
		char a[32], b[40], dst[RTR_PREFIX_STRLEN], nh[32], ifname[4];
		unsigned kind = (unsigned)(test_rand(rng) % 10);
		struct rtr_prefix p;

		random_addr(rng, a, sizeof(a));
		random_addr(rng, nh, sizeof(nh));
		snprintf(b, sizeof(b), "%s/%u", a, lens[test_rand(rng) % ARRAY_LEN(lens)]);
		p = rtr_prefix_network(pfx(b));
		snprintf(ifname, sizeof(ifname), "if%u", 1 + (unsigned)(test_rand(rng) % 9));
		add(t, rtr_prefix_str(&p, dst), kind < 2 ? ifname : NULL,
		    kind != 1 && kind != 2 ? nh : NULL, (uint8_t)(1 + test_rand(rng) % 3));
	}
}

START_TEST(random_tables)
{
	uint64_t rng = test_seed;

	for (int k = 0; k < 1000; k++) {
		struct table t = { 0 };
		struct resolve r;

		random_table(&rng, &t);
		table_ready(&t, &r);
		compare(&t, &r);
		resolve_fini(&r);
		free(t.vec);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("resolve");
	TCase *t = tcase_create("resolve");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, cases);
	tcase_add_test(t, random_tables);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
