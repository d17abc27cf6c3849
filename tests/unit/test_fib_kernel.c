/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mirror against the kernel: random routes, rules, addresses, neighbours and links in a
 * namespace of its own, and for random packets both ways compared. RTR_TEST_LONG multiplies the
 * rounds.
 */
#include <net/if.h>

#include "../lib/check_main.h"
#include "../lib/fib_oracle.h"
#include "../lib/netns.h"

#define N_LINKS 4u
#define ROUNDS  25u
#define CHANGES 25u
#define ASKED   220u /* of each family and round */

struct world {
	struct fibctl *c;
	int oracle;
	uint64_t rng;
	uint32_t ifindex[N_LINKS];
	unsigned n_marker;
	unsigned n_compared, n_verdict[FIB_V__MAX], n_reason[ELIG__MAX];
	FILE *batch;
};

static uint32_t rnd(struct world *w, uint32_t below)
{
	return (uint32_t)((test_rand(&w->rng) >> 16) % below);
}

static void ev(void *ctx, enum fibctl_event e, const char *what)
{
	if (e == FIBCTL_EV_REFUSED || e == FIBCTL_EV_LIMIT)
		ck_abort_msg("event %d: %s", e, what);
}

/* Everything that was done before is mirrored: a route of our own comes after it. */
static void settle(struct world *w)
{
	struct fibctl_stats st;
	uint64_t end = rtr_now_ns() + 20 * NSEC_PER_SEC;
	unsigned n = ++w->n_marker;
	uint32_t a = 0xc6330000u + n;

	ck_assert(sh("ip route add blackhole %u.%u.%u.%u/32 table 9999", a >> 24, a >> 16 & 255,
		     a >> 8 & 255, a & 255));
	do {
		const struct fib_table *t = fc_table_get(w->c, AF_INET, 9999);

		ck_assert_int_eq(fibctl_run(w->c, 20), 0);
		fibctl_stats(w->c, &st);
		if (lpm4_lookup(t->t4, a) && !st.busy && st.ready)
			return;
	} while (rtr_now_ns() < end);
	ck_abort_msg("the mirror does not follow");
}

static void setup(struct world *w)
{
	struct fibctl_params p = { .event = ev };

	*w = (struct world){ .rng = test_seed };
	netns_enter();
	ck_assert(sh("ip link set lo up"));
	for (unsigned i = 0; i < N_LINKS; i++)
		ck_assert(sh(
			"ip link add a%u type veth peer name b%u && ip link set b%u up && "
			"ip link set a%u up && sysctl -qw net.ipv6.conf.a%u.accept_dad=0 "
			"net.ipv6.conf.b%u.disable_ipv6=1 net.ipv4.conf.a%u.rp_filter=0 && "
			"ip addr add 10.0.%u.1/24 dev a%u && ip addr add fd00:%u::1/64 dev a%u nodad",
			i, i, i, i, i, i, i, i, i, i, i));
	ck_assert(sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
		     "net.ipv4.conf.all.rp_filter=0"));
	ck_assert_int_eq(fibctl_new(&p, &w->c), 0);
	for (unsigned i = 0; i < N_LINKS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "a%u", i);
		w->ifindex[i] = if_nametoindex(name);
		ck_assert_int_eq(fibctl_port(w->c, w->ifindex[i], i), 0);
	}
	w->oracle = oracle_open();
	ck_assert_int_eq(fibctl_open(w->c), 0);
	settle(w);
}

static void teardown(struct world *w)
{
	close(w->oracle);
	fibctl_free(w->c);
}

/* Prefixes of a small space, so that they nest. */
static void prefix(struct world *w, bool v6, char *out, size_t size, unsigned *ret_len)
{
	static const uint8_t len4[] = { 0, 8, 12, 15, 16, 17, 20, 22, 24, 24, 25, 28, 30, 32 };
	static const uint8_t len6[] = { 0, 16, 20, 29, 32, 40, 44, 48, 48, 56, 64, 64, 96, 128 };
	unsigned len = (v6 ? len6 : len4)[rnd(w, ARRAY_LEN(len4))];
	union fib_ip a = { 0 };
	char text[64];

	if (v6) {
		a.b[0] = 0x20;
		a.b[1] = 0x01;
		for (unsigned i = 2; i < 16; i++)
			a.b[i] = (uint8_t)rnd(w, 3);
	} else {
		a.b[0] = 20;
		for (unsigned i = 1; i < 4; i++)
			a.b[i] = (uint8_t)rnd(w, i == 3 ? 256 : 4);
	}
	for (unsigned i = 0; i < 16; i++)
		a.b[i] &= i * 8 + 8 <= len ? 0xff
			  : i * 8 >= len   ? 0
					   : (uint8_t)(0xff00 >> (len - i * 8));
	inet_ntop(v6 ? AF_INET6 : AF_INET, a.b, text, sizeof(text));
	snprintf(out, size, "%s/%u", text, len);
	*ret_len = len;
}

static void gateway(struct world *w, bool v6, FILE *to)
{
	unsigned link = rnd(w, N_LINKS), host = 2 + rnd(w, 4);

	if (v6)
		fprintf(to, " via fd00:%u::%u dev a%u", link, host, link);
	else if (rnd(w, 8) == 0)
		fprintf(to, " via inet6 fd00:%u::%u dev a%u", link, host, link);
	else
		fprintf(to, " via 10.0.%u.%u dev a%u", link, host, link);
}

static void change_route(struct world *w, bool v6)
{
	static const char *const verbs[] = { "add",     "add",     "append", "replace",
					     "replace", "prepend", "del",    "del" };
	static const char *const types[] = { "blackhole", "unreachable", "prohibit", "throw" };
	static const unsigned tables[] = { 254, 254, 254, 100, 101, 253 };
	unsigned len, kind = rnd(w, 10);
	char p[80];

	prefix(w, v6, p, sizeof(p), &len);
	fprintf(w->batch, "route %s ", verbs[rnd(w, ARRAY_LEN(verbs))]);
	if (kind == 0)
		fprintf(w->batch, "%s ", types[rnd(w, 4)]);
	fprintf(w->batch, "%s table %u metric %u", p, tables[rnd(w, 6)], 1 + rnd(w, 3));
	if (!v6 && rnd(w, 30) == 0)
		fprintf(w->batch, " tos 0x10");
	if (kind == 1)
		fprintf(w->batch, " dev a%u", rnd(w, N_LINKS));
	else if (kind == 2)
		fprintf(w->batch, " nhid %u", 1 + rnd(w, 6));
	else if (kind >= 7)
		for (unsigned i = 0, n = 2 + rnd(w, 3); i < n; i++) {
			fprintf(w->batch, " nexthop");
			gateway(w, v6, w->batch);
			fprintf(w->batch, " weight %u", 1 + rnd(w, 4));
		}
	else if (kind)
		gateway(w, v6, w->batch);
	fprintf(w->batch, "\n");
}

static void change_rule(struct world *w, bool v6)
{
	unsigned len, pref = 100 + rnd(w, 12) * 10;
	char p[80];

	if (rnd(w, 2)) {
		fprintf(w->batch, "rule del pref %u\n", pref);
		return;
	}
	fprintf(w->batch, "rule add %s pref %u", rnd(w, 6) ? "" : "not", pref);
	prefix(w, v6, p, sizeof(p), &len);
	if (rnd(w, 2))
		fprintf(w->batch, " to %s", p);
	if (rnd(w, 3) == 0)
		fprintf(w->batch, v6 ? " from fd00:%u::/64" : " from 10.0.%u.0/24",
			rnd(w, N_LINKS));
	if (rnd(w, 4) == 0)
		fprintf(w->batch, " iif a%u", rnd(w, N_LINKS));
	if (rnd(w, 4) == 0)
		fprintf(w->batch, " fwmark %u/3", rnd(w, 4));
	if (rnd(w, 6) == 0)
		fprintf(w->batch, " ipproto udp dport %u-%u", 100 + rnd(w, 4), 104 + rnd(w, 4));
	if (rnd(w, 12) == 0)
		fprintf(w->batch, " uidrange 0-0");
	if (rnd(w, 12) == 0)
		fprintf(w->batch, " tos 0x10");
	switch (rnd(w, 8)) {
	case 0:
		fprintf(w->batch, " blackhole");
		break;
	case 1:
		fprintf(w->batch, " goto %u", pref + 10 * (1 + rnd(w, 4)));
		break;
	case 2:
		fprintf(w->batch, " prohibit");
		break;
	case 3:
		fprintf(w->batch, " lookup 254 suppress_prefixlength 0");
		break;
	default:
		fprintf(w->batch, " lookup %u", 100 + rnd(w, 2));
	}
	fprintf(w->batch, "\n");
}

static void change_other(struct world *w)
{
	unsigned link = rnd(w, N_LINKS), id = 1 + rnd(w, 6);

	switch (rnd(w, 7)) {
	case 0:
		fprintf(w->batch, "link set a%u %s\n", link, rnd(w, 3) ? "up" : "down");
		break;
	case 1:
		fprintf(w->batch, "link set b%u %s\n", link, rnd(w, 3) ? "up" : "down");
		break;
	case 2:
		fprintf(w->batch, "addr %s 20.1.%u.9/24 dev a%u\n", rnd(w, 2) ? "add" : "del",
			rnd(w, 3), link);
		break;
	case 3:
		fprintf(w->batch, "addr %s 2001:1::%u/64 dev a%u nodad\n",
			rnd(w, 2) ? "add" : "del", rnd(w, 3), link);
		break;
	case 4:
		fprintf(w->batch, "neigh replace 10.0.%u.%u lladdr 02:00:00:00:%02x:%02x dev a%u\n",
			link, 2 + rnd(w, 4), rnd(w, 256), rnd(w, 256), link);
		break;
	case 5:
		if (id < 5)
			fprintf(w->batch, "nexthop replace id %u via 10.0.%u.%u dev a%u\n", id,
				link, 2 + rnd(w, 4), link);
		else
			fprintf(w->batch, "nexthop replace id %u group %u,%u/%u\n", id,
				1 + rnd(w, 2), rnd(w, 4), 3 + rnd(w, 2));
		break;
	case 6:
		fprintf(w->batch, "nexthop del id %u\n", id);
		break;
	}
}

/* iproute2 takes the family for all lines of a file at once. */
static void change(struct world *w, bool rules, bool v6)
{
	char path[] = "/tmp/test_fib_kernel.XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	w->batch = fdopen(fd, "w");
	ck_assert_ptr_nonnull(w->batch);
	for (unsigned i = 0; i < CHANGES; i++) {
		switch (rnd(w, rules ? 8 : 7)) {
		default:
			change_route(w, v6);
			break;
		case 6:
			change_other(w);
			break;
		case 7:
			change_rule(w, v6);
			break;
		}
	}
	fclose(w->batch);
	sh("ip -%c -force -batch %s >%s 2>&1", v6 ? '6' : '4', path,
	   getenv("FIB_SHOW") ? "/dev/stderr" : "/dev/null");
	unlink(path);
}

static void random_key(struct world *w, bool v6, struct fib_key *k)
{
	unsigned link = rnd(w, N_LINKS);

	*k = (struct fib_key){ .iif = w->ifindex[link],
			       .hash = rnd(w, UINT32_MAX),
			       .family = v6 ? AF_INET6 : AF_INET,
			       .mark = rnd(w, 2) ? rnd(w, 5) : 0,
			       .proto = rnd(w, 2) ? 17 : 6,
			       .sport = 1000,
			       .dport = (uint16_t)(98 + rnd(w, 12)) };
	if (v6) {
		inet_pton(AF_INET6, "fd00::77", &k->src);
		k->src.b[3] = (uint8_t)link;
		k->dst.b[0] = 0x20;
		k->dst.b[1] = 1;
		for (unsigned i = 2; i < 16; i++)
			k->dst.b[i] = (uint8_t)rnd(w, 3);
		return;
	}
	k->src.v4_be = htonl(0x0a00004d | link << 8);
	k->dst.b[0] = rnd(w, 10) ? 20 : 10;
	for (unsigned i = 1; i < 4; i++)
		k->dst.b[i] = (uint8_t)rnd(w, i == 3 ? 256 : 4);
	if (k->dst.b[0] == 10)
		k->dst.b[1] = 0;
}

static void compare(struct world *w, bool v6)
{
	const struct fib *f = fibctl_fib(w->c);
	struct fib_key k[FIB_BURST];
	struct fib_res res[FIB_BURST], one;
	struct oracle_way way;
	unsigned n = 1 + rnd(w, FIB_BURST);

	for (unsigned i = 0; i < n; i++)
		random_key(w, v6, &k[i]);
	fib_lookup_burst(f, k, res, n);
	for (unsigned i = 0; i < n; i++) {
		const char *wrong;

		fib_lookup(f, &k[i], &one);
		ck_assert_mem_eq(&one, &res[i], sizeof(one));
		oracle_ask(w->oracle, &k[i], &way);
		wrong = oracle_compare(f, &k[i], &res[i], &way);
		if (wrong) {
			oracle_print(stderr, &k[i], &res[i], &way);
			oracle_print_routes(stderr, w->c, &k[i]);
			if (getenv("FIB_SHOW"))
				sh("ip -%c rule; ip -%c route show table all; ip nexthop; ip -br link",
				   v6 ? '6' : '4', v6 ? '6' : '4');
			ck_abort_msg("%s", wrong);
		}
		w->n_compared++;
		w->n_verdict[res[i].verdict]++;
		w->n_reason[res[i].reason]++;
	}
}

static void report(const struct world *w)
{
	static const char *const names[FIB_V__MAX] = { "kernel",    "forward",     "local",
						       "blackhole", "unreachable", "prohibit",
						       "no route" };

	for (unsigned i = 0; i < FIB_V__MAX; i++)
		printf("%s %u ", names[i], w->n_verdict[i]);
	for (unsigned i = 1; i < ELIG__MAX; i++)
		if (w->n_reason[i])
			printf("%s %u ", elig_text(i), w->n_reason[i]);
	printf("\n");
	fflush(stdout);
}

/* Without rules of one's own first: the tables are one to the kernel until the first rule. */
START_TEST(same_as_kernel)
{
	unsigned rounds = getenv("RTR_TEST_LONG") ? ROUNDS * 20 : ROUNDS;
	struct world w;

	setup(&w);
	for (unsigned r = 0; r < rounds; r++) {
		change(&w, _i && r > 2, r & 1);
		change(&w, _i && r > 2, !(r & 1));
		settle(&w);
		for (unsigned fam = 0; fam < 2; fam++)
			for (unsigned until = w.n_compared + ASKED; w.n_compared < until;)
				compare(&w, fam);
	}
	report(&w);
	ck_assert_uint_ge(w.n_compared, 10000);
	/* Enough of what matters, whatever rules the seed made. */
	ck_assert_uint_ge(w.n_verdict[FIB_V_FORWARD], w.n_compared / 50);
	ck_assert_uint_le(w.n_verdict[FIB_V_KERNEL], w.n_compared / 10 * 9);
	teardown(&w);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("fib_kernel");
	TCase *t = tcase_create("all");

	netns_or_skip();
	tcase_set_timeout(t, 600);
	tcase_add_loop_test(t, same_as_kernel, 0, 2);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
