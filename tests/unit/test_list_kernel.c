/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: random lists in the real nftables of a namespace: of random packets sent into it each line
 * counts those that it is the first match of, and no others; a list that has changed is brought in
 * by one batch; adoption writes nothing; the time of the last match is the kernel's.
 */
#include "../lib/list_gen.h"
#include "../lib/netns.h"
#include "../lib/nft_plane.h"
#include "firewall/fw.h"
#include "firewall/list_compile.h"
#include "firewall/list_hits.h"
#include "nft/nft_expr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter_ipv4.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>

#define PACKETS 400

static struct arena *lists[2]; /* IPv4, IPv6 */
static struct lc_list *compiled[2];
static int raw[2];
static bool returning; /* denied packets go back to the caller of the use */
static bool alone;     /* each line has a chain: packets cannot carry its id */

static void use_list(struct nft_table *t, struct nft_chain *base, int v6)
{
	struct nft_rule *r;
	struct lc_use use = { .chain = v6 ? "use6" : "use4",
			      .word = 1,
			      .count = true,
			      .carry = !alone,
			      .verdict = { [POL_DENY] = { returning ? NFT_RETURN : NF_DROP, NULL },
					   [POL_PERMIT] = { NFT_GOTO, "passed" },
					   [POL_REJECT] = { NF_DROP, NULL },
					   [POL_PASS] = { NF_DROP, NULL } } };

	lc_add(compiled[v6], t, &use, NULL);
	r = nft_rule_new(0, NULL, NULL);
	nft_family_is(r, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	nft_jump(r, use.chain);
	nft_chain_add(base, r);
}

static void build(struct nft_ruleset *rs)
{
	struct nft_table *t = nft_ruleset_table(rs, NFPROTO_INET, nft_table_name());
	struct nft_chain *base = nft_chain_new(&(struct nft_chain_spec){
		.name = "sent", .type = "filter", .hook = NF_INET_LOCAL_OUT, .policy = NF_DROP });

	struct nft_chain *passed = nft_chain_new(&(struct nft_chain_spec){ .name = "passed" });
	struct nft_rule *r = nft_rule_new(0, NULL, NULL);

	use_list(t, base, 0);
	use_list(t, base, 1);
	nft_table_add_chain(t, base);
	/* Nothing is really sent: it would be answered, and the answers counted. */
	nft_verdict(r, NF_DROP);
	nft_chain_add(passed, r);
	nft_table_add_chain(t, passed);
}

static void setup(void)
{
	int one = 1;

	netns_enter();
	ck_assert(sh(
		"ip link set lo up; ip route add 0.0.0.0/0 dev lo; ip -6 route add ::/0 dev lo"));
	raw[0] = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	raw[1] = socket(AF_INET6, SOCK_RAW, IPPROTO_RAW);
	ck_assert(raw[0] >= 0 && raw[1] >= 0);
	ck_assert(!setsockopt(raw[1], IPPROTO_IPV6, IPV6_HDRINCL, &one, sizeof(one)));
	plane_setup();
	ck_assert(!lc_hits_init(plane_base));
	plane_build = build;
	for (int i = 0; i < 2; i++)
		lists[i] = xcalloc(1, sizeof(*lists[i]));
}

static void teardown(void)
{
	for (int i = 0; i < 2; i++) {
		compiled[i] = lc_free(compiled[i]);
		drop_list(lists[i]);
		free(lists[i]);
	}
	lc_hits_fini();
	plane_teardown();
}

static void new_lists(size_t n, bool odd)
{
	for (int i = 0; i < 2; i++) {
		compiled[i] = lc_free(compiled[i]);
		drop_list(lists[i]);
		random_list(lists[i], n, i ? AF_INET6 : AF_INET, odd);
		/* Ids above those of actions, and not the same in both families. */
		for (size_t k = 0; k < n; k++) {
			lists[i]->rule[k].id = (pol_id)(POL_ID_MIN + 2 * k + (size_t)i);
			lists[i]->rule[k].log = below(10) == 0;
		}
		compiled[i] = lc_compile(&lists[i]->list, i ? "list6" : "list4", NULL);
	}
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static size_t layer4(uint8_t *p, const struct pol_packet *k)
{
	switch (k->proto) {
	case IPPROTO_TCP:
		put16(p, k->sport), put16(p + 2, k->dport);
		p[12] = 5 << 4;
		p[13] = k->tcp_flags;
		return 20;
	case IPPROTO_UDP:
		put16(p, k->sport), put16(p + 2, k->dport);
		put16(p + 4, 8);
		return 8;
	default:
		p[0] = k->icmp_type, p[1] = k->icmp_code;
		return 8;
	}
}

static void send_packet(const struct pol_packet *k)
{
	uint8_t b[64] = { 0 };
	struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_addr.s_addr = k->dst.v4_be };
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_addr = k->dst.v6 };
	ssize_t n;

	if (k->family == AF_INET) {
		size_t size = 20 + layer4(b + 20, k);

		b[0] = 0x45;
		b[1] = (uint8_t)(k->dscp << 2);
		b[8] = k->ttl;
		b[9] = k->proto;
		memcpy(b + 12, &k->src.v4_be, 4);
		memcpy(b + 16, &k->dst.v4_be, 4);
		put16(b + 2, (unsigned)size);
		n = sendto(raw[0], b, size, 0, (void *)&to4, sizeof(to4));
	} else {
		size_t size = layer4(b + 40, k);

		b[0] = (uint8_t)(0x60 | k->dscp >> 2);
		b[1] = (uint8_t)(k->dscp << 6);
		put16(b + 4, (unsigned)size);
		b[6] = k->proto;
		b[7] = k->ttl;
		memcpy(b + 8, &k->src, 16);
		memcpy(b + 8, k->src.b, 16);
		memcpy(b + 24, k->dst.b, 16);
		n = sendto(raw[1], b, 40 + size, 0, (void *)&to6, sizeof(to6));
	}
	/* Dropped by the chain: EPERM. */
	ck_assert(n > 0 || errno == EPERM);
}

static void hits_done(void *arg, int error)
{
	*(int *)arg = error;
}

static void read_hits(void)
{
	int error = 1;

	lc_hits_read(hits_done, &error);
	while (error > 0)
		event_base_loop(plane_base, EVLOOP_ONCE);
	ck_assert_int_eq(error, 0);
}

/* What is no unicast address has its own way through the kernel. */
static bool sendable(const struct pol_packet *k)
{
	const uint8_t *s = k->src.b, *d = k->dst.b;

	return k->family == AF_INET ? s[0] && d[0] && s[0] < 0xe0 && d[0] < 0xe0
				    : s[0] && d[0] && s[0] < 0xfe && d[0] < 0xfe;
}

static struct pol_packet next_packet(uint8_t family)
{
	struct pol_packet k;

	do
		k = random_packet(family);
	while (!sendable(&k));
	return k;
}

static void apply(uint64_t writes)
{
	plane_apply(APPLY_COMMIT);
	ck_assert_msg(!plane_res.n_errors, "%s", plane_res.text);
	ck_assert_uint_eq(plane_res.n_writes, writes);
}

static void compare(void)
{
	uint64_t *want = xcalloc(POL_ID_MIN + 2 * LINES_MAX + 2, sizeof(*want));
	struct lc_hit h;

	read_hits();
	for (int f = 0; f < 2; f++)
		for (size_t i = 0; i < LINES_MAX; i++)
			lc_hits_clear(lists[f]->rule[i].id);
	for (int i = 0; i < PACKETS; i++) {
		struct pol_packet k = next_packet(i % 2 ? AF_INET6 : AF_INET);
		const struct pol_rule *r = naive(&lists[i % 2]->list, &k);

		if (r)
			want[r->id]++;
		send_packet(&k);
	}
	read_hits();
	for (int f = 0; f < 2; f++) {
		for (size_t i = 0; i < lists[f]->list.n; i++) {
			h = lc_hits_get(lists[f]->rule[i].id);
			ck_assert_msg(h.packets == want[lists[f]->rule[i].id],
				      "family %d line %zu: %llu, not %llu", f, i,
				      (unsigned long long)h.packets,
				      (unsigned long long)want[lists[f]->rule[i].id]);
			if (h.packets)
				ck_assert(h.last_ns &&
					  rtr_now_ns() - h.last_ns < 10 * NSEC_PER_SEC);
		}
	}
	free(want);
}

START_TEST(first_match)
{
	rnd = test_seed + (uint64_t)_i;
	for (int i = 0; i < 8; i++) {
		returning = i >= 4;
		alone = i % 4 >= 2;
		new_lists(1 + below(_i == 2 ? LINES_MAX : _i ? 150 : 12), i % 2);
		apply(1);
		/* nft dies of what it would not have made itself. */
		if (i % 2 == 0)
			ck_assert(sh("nft list ruleset >/dev/null 2>/dev/null"));
		compare();
	}
}
END_TEST

START_TEST(adopted)
{
	rnd = test_seed;
	new_lists(60, true);
	apply(1);
	plane_stop();
	plane_start();
	new_lists(0, false);
	rnd = test_seed;
	new_lists(60, true);
	apply(0);
	compare();
}
END_TEST

/* Lists become others while those before live, as at a commit. */
static struct lc_list *before[2];
static struct rec *recs[2], *recs_before[2];

static void become(struct pol_list now[2])
{
	for (int f = 0; f < 2; f++) {
		recs_before[f] = recs[f];
		recs[f] = rec_new(f ? &acl6_type : &acl4_type);
		now[f].rec = recs[f];
		before[f] = compiled[f];
		compiled[f] = lc_compile(&now[f], f ? "list6" : "list4", before[f]);
	}
}

static void commit_and_compare(void)
{
	plane_apply(APPLY_COMMIT);
	ck_assert_msg(!plane_res.n_errors, "%s", plane_res.text);
	for (int f = 0; f < 2; f++) {
		before[f] = lc_free(before[f]);
		/* What is kept of a list does not keep its lines. */
		ck_assert(!recs_before[f] || recs_before[f]->refs == 1);
		recs_before[f] = rec_unref(recs_before[f]);
	}
	compare();
}

static const struct pol_rule *sorting; /* whose destinations say the order */

static int dst_cmp(const void *a, const void *b)
{
	const size_t *x = a, *y = b;

	return rtr_addr_cmp(&sorting[*x].dst->r[0].lo, &sorting[*y].dst->r[0].lo);
}

/* Lists of hosts, of one class, of which a few lines go and come back; those of neighbours leave a
 * part empty. */
START_TEST(few_lines_other)
{
	static const size_t n_gone[] = { 1, 1, 1, 2 * LB_LEAF };
	size_t order[2][LINES_MAX];
	const struct pol_rule *rules[2][LINES_MAX];
	struct pol_list less[2], all[2];

	rnd = test_seed;
	new_lists(LINES_MAX, false);
	for (int f = 0; f < 2; f++) {
		for (size_t i = 0; i < LINES_MAX; i++) {
			struct pol_addrs *s = hold(lists[f],
						   xcalloc(1, sizeof(*s) + sizeof(s->r[0])));

			s->family = f ? AF_INET6 : AF_INET;
			s->n = 1;
			s->r[0].lo = s->r[0].hi = random_addr(s->family);
			lists[f]->rule[i].dst = s;
			if (lb_is_plain(&lists[f]->rule[i]))
				lists[f]->service[i] = (struct pol_service){ .proto = IPPROTO_TCP };
			order[f][i] = i;
		}
		sorting = lists[f]->rule;
		qsort(order[f], LINES_MAX, sizeof(order[f][0]), dst_cmp);
		lc_free(compiled[f]);
		compiled[f] = lc_compile(&lists[f]->list, f ? "list6" : "list4", NULL);
		all[f] = lists[f]->list;
	}
	apply(1);
	for (size_t round = 0; round < ARRAY_LEN(n_gone); round++) {
		size_t first = below((unsigned)(LINES_MAX - n_gone[round]));

		for (int f = 0; f < 2; f++) {
			bool gone[LINES_MAX] = { false };

			for (size_t i = 0; i < n_gone[round]; i++)
				gone[order[f][first + i]] = true;
			less[f] = all[f];
			less[f].rules = rules[f];
			less[f].n = 0;
			for (size_t i = 0; i < LINES_MAX; i++)
				if (!gone[i])
					rules[f][less[f].n++] = &lists[f]->rule[i];
		}
		become(less);
		for (int f = 0; f < 2; f++) /* for the comparison */
			for (size_t i = 0; i < n_gone[round]; i++)
				lists[f]->rule[order[f][first + i]].active = false;
		commit_and_compare();
		for (int f = 0; f < 2; f++)
			for (size_t i = 0; i < n_gone[round]; i++)
				lists[f]->rule[order[f][first + i]].active = true;
		become(all);
		commit_and_compare();
	}
	for (int f = 0; f < 2; f++)
		recs[f] = rec_unref(recs[f]);
}
END_TEST

/* Wide lines that all cross: they are rules, behind the tables. */
START_TEST(wide_lines)
{
	rnd = test_seed;
	returning = _i;
	new_lists(64, false);
	for (int f = 0; f < 2; f++) {
		for (size_t i = 0; i < 64; i++) {
			struct pol_ports *p = hold(lists[f],
						   xcalloc(1, sizeof(*p) + sizeof(p->r[0])));

			p->n = 1;
			p->r[0].lo = p->r[0].hi = (uint16_t)(i & ~(size_t)1);
			lists[f]->service[i] = (struct pol_service){ .proto = IPPROTO_TCP };
			if (i % 2)
				lists[f]->service[i].sport = p;
			else
				lists[f]->service[i].dport = p;
			lists[f]->rule[i].active = true;
			lists[f]->rule[i].src = lists[f]->rule[i].dst = NULL;
		}
		lc_free(compiled[f]);
		compiled[f] = lc_compile(&lists[f]->list, f ? "list6" : "list4", NULL);
	}
	apply(1);
	compare();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("list_kernel");
	TCase *t = tcase_create("kernel");

	netns_or_skip();
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, first_match, 0, 3);
	tcase_add_test(t, adopted);
	tcase_add_test(t, few_lines_other);
	tcase_add_loop_test(t, wide_lines, 0, 2);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
