/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NAT's judge against the kernel: random NAT lines are committed to nftables in a namespace; random
 * packets are sent into four tun interfaces, and what comes out, where, with which addresses and
 * ports, must be what policy_eval says. What passed is answered, and the answer must come back to
 * who asked, from whom he asked.
 */
#include "../lib/netns.h"
#include "../lib/nft_plane.h"
#include "../lib/packet.h"
#include "../lib/tun.h"
#include "../lib/check_main.h"
#include "../lib/nat_gen.h"

#include "nat/nat.h"
#include "schema/edit.h"
#include "schema/text.h"
#include "txn/txn.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

/* The kernel's half is the same under ASan, and each policy takes ten times as long. */
#ifdef __SANITIZE_ADDRESS__
#define POLICIES 100
#else
#define POLICIES 1000 /* in the default run */
#endif
#define PACKETS 100
#define MARK    "rtr-test"
#define ACK     0x10

static struct {
	int tun[N_IFACES], raw[2][3], ct;
	const struct policy *pol;
	uint32_t n_sent, n_translated, n_answered, n_kept_in, n_refused;
	/* Tuples that connections of this policy have: as they left, and as answers to what came.
	 */
	struct left {
		struct rtr_addr src, dst;
		uint16_t sport, dport;
		uint8_t proto;
	} left[2 * PACKETS];
	size_t n_left;
} k;

/* ---- the box ---- */

static void open_tun(unsigned i)
{
	char name[IFNAMSIZ];

	snprintf(name, sizeof(name), "e%u", i);
	k.tun[i] = tun_open(name);
	ck_assert(sh("ip addr add 10.%u.0.1/24 dev e%u; ip addr add fd00:%u::1/64 dev e%u nodad;"
		     "ip link set e%u up addrgenmode none",
		     i, i, i, i, i));
}

static void setup(void)
{
	static const int protos[2][3] = { { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP },
					  { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMPV6 } };

	netns_enter();
	ck_assert(sh("ip link set lo up; sysctl -qw net.ipv4.ip_forward=1"
		     " net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.send_redirects=0"
		     " net.ipv4.conf.default.send_redirects=0"
		     " net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0"));
	for (unsigned i = 0; i < N_IFACES; i++)
		open_tun(i);
	for (unsigned f = 0; f < 2; f++) {
		for (unsigned i = 0; i < 3; i++) {
			k.raw[f][i] = socket(f ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_NONBLOCK,
					     protos[f][i]);
			ck_assert_int_ge(k.raw[f][i], 0);
		}
	}
	k.ct = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	ck_assert_int_ge(k.ct, 0);
	gen_seed = test_seed;
	plane_setup();
	nft_source_only("nat");
}

static void teardown(void)
{
	k.pol = policy_unref(k.pol);
	nat_nft_forget();
	plane_teardown();
}

static void flush(void)
{
	struct {
		struct nlmsghdr h;
		struct nfgenmsg g;
	} m = { .h = { .nlmsg_len = sizeof(m),
		       .nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.g = { .version = NFNETLINK_V0 } };
	char buf[4096];

	ck_assert_int_eq(send(k.ct, &m, sizeof(m), 0), sizeof(m));
	ck_assert_int_gt(recv(k.ct, buf, sizeof(buf), 0), 0);
}

/* Types the lines; one that is refused where it stands (a second line of one key) is left out. */
static void type_lines(struct editor *ed, const char *lines)
{
	char *copy = xstrdup(lines), *save = NULL;

	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		struct edit_error e;
		bool changed;

		ck_assert_msg(!editor_line(ed, l, &changed, &e), "%s: %s", l, strbuf_str(&e.text));
		edit_error_fini(&e);
	}
	free(copy);
}

/* False: the check refused it, as it must now and then. */
static bool commit(const char *lines)
{
	struct rec *root = model_new();
	struct strbuf text = STRBUF_INIT;
	struct check c = { .old = root, .sink = &text };
	const struct policy *p;
	struct editor ed;

	editor_init(&ed, root);
	type_lines(&ed, lines);
	c.new = ed.root;
	p = policy_build(ed.root, k.pol, time(NULL), &c);
	if (p) {
		rec_unref(plane_model);
		plane_model = rec_ref(ed.root);
		plane_apply(APPLY_COMMIT);
		ck_assert_msg(!plane_res.n_errors, "%s\n%s", plane_res.text, lines);
		policy_unref(k.pol);
		k.pol = p;
	} else if (getenv("RTR_TEST_REFUSED")) {
		printf("%s", strbuf_str(&text));
	}
	editor_fini(&ed);
	rec_unref(root);
	strbuf_fini(&text);
	return p != NULL;
}

/* ---- packets ---- */

static bool route(void *arg, const struct pol_packet *p, const struct rtr_addr *dst,
		  char oif[IFNAMSIZ], bool *local)
{
	unsigned net = dst->family == AF_INET ? dst->b[1] : dst->b[3];
	unsigned h = dst->family == AF_INET ? dst->b[3] : (unsigned)dst->b[14] << 8 | dst->b[15];

	*local = h == 1;
	snprintf(oif, IFNAMSIZ, "e%u", net % 10);
	return net < N_IFACES;
}

static bool urpf(void *arg, const struct pol_iface *i, const struct rtr_addr *src)
{
	return true;
}

static void build_packet(const struct pol_packet *p, uint32_t number, struct tp *t)
{
	memset(t, 0, sizeof(*t));
	if (p->family == AF_INET)
		tp_ip4(t, ntohl(p->src.v4_be), ntohl(p->dst.v4_be), p->proto, p->ttl);
	else
		tp_ip6_raw(t, p->src.b, p->dst.b, p->proto, p->ttl);
	if (p->proto == IPPROTO_TCP)
		tp_tcp(t, p->sport, p->dport, p->tcp_flags, NULL, 0, 12);
	else if (p->proto == IPPROTO_UDP)
		tp_udp(t, p->sport, p->dport, 12);
	else
		tp_icmp(t, p->icmp_type, p->icmp_code, (uint32_t)p->sport << 16, 12);
	memcpy(t->b + t->len - 12, MARK, 8);
	memcpy(t->b + t->len - 4, &number, 4);
	tp_done(t);
}

/* ---- what came out ---- */

enum { NOTHING = -2, LOCAL = -1 };

struct seen {
	int where; /* NOTHING, LOCAL, number of the interface */
	struct rtr_addr src, dst;
	uint16_t sport, dport;
};

static bool ours(const uint8_t *b, ssize_t n, uint32_t number)
{
	return n > 12 && !memcmp(b + n - 12, MARK, 8) && !memcmp(b + n - 4, &number, 4);
}

static void parse(const uint8_t *b, struct seen *s)
{
	bool v6 = b[0] >> 4 == 6;
	const uint8_t *l4 = b + (v6 ? 40 : 20);
	uint8_t proto = v6 ? b[6] : b[9];

	s->src = (struct rtr_addr){ .family = v6 ? AF_INET6 : AF_INET };
	s->dst = s->src;
	memcpy(s->src.b, b + (v6 ? 8 : 12), v6 ? 16 : 4);
	memcpy(s->dst.b, b + (v6 ? 24 : 16), v6 ? 16 : 4);
	s->sport = (uint16_t)tp_r16(l4);
	s->dport = (uint16_t)tp_r16(l4 + 2);
	if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6)
		s->sport = s->dport = (uint16_t)tp_r16(l4 + 4);
}

static struct seen observe(uint32_t number)
{
	struct seen s = { .where = NOTHING };
	uint8_t b[2048];
	ssize_t n;

	for (unsigned i = 0; i < N_IFACES; i++) {
		while ((n = read(k.tun[i], b, sizeof(b))) > 0) {
			bool error = b[0] >> 4 == 4 ? b[9] == 1 && b[20] != 8 && b[20]
						    : b[6] == 58 && b[40] < 128;

			if (!ours(b, n, number) || error)
				continue;
			s.where = (int)i;
			parse(b, &s);
		}
	}
	for (unsigned i = 0; i < 6; i++) {
		while ((n = recv(k.raw[i / 3][i % 3], b, sizeof(b), 0)) > 0) {
			/* Raw IPv6 sockets get no header; the box's own answer quotes the data. */
			if (ours(b, n, number) && s.where == NOTHING)
				s.where = LOCAL;
		}
	}
	return s;
}

static void differ(const struct pol_packet *p, const struct pol_verdict *v, const struct seen *s,
		   const char *what, const char *conf)
{
	char a[4][RTR_ADDR_STRLEN];

	printf("%s: %s proto %u %s %u -> %s %u\nthe judge: %s %s, dnat %d snat %d %s..%u-%u\n"
	       "the kernel: %d: %s %u -> ",
	       what, p->iif, p->proto, rtr_addr_str(&p->src, a[0]), p->sport,
	       rtr_addr_str(&p->dst, a[1]), p->dport, v->local ? "local" : "out", v->oif,
	       v->dnat.on, v->snat.on, rtr_addr_str(&v->snat.lo, a[2]), v->snat.port_lo,
	       v->snat.port_hi, s->where, rtr_addr_str(&s->src, a[3]), s->sport);
	printf("%s %u\n%s", rtr_addr_str(&s->dst, a[3]), s->dport, conf);
	fflush(stdout);
	if (getenv("RTR_TEST_RULESET"))
		sh("conntrack -L 2>&1; nft list ruleset");
	ck_abort_msg("the judge and the kernel differ");
}

/* Another connection looks like this already: two forwards may lead one client to one server, or
 * the server has spoken to the client. The kernel then takes another source port. */
static bool is_taken(const struct pol_packet *p, const struct seen *s)
{
	for (size_t i = 0; i < k.n_left; i++) {
		const struct left *l = &k.left[i];

		if (l->proto == p->proto && l->sport == p->sport && l->dport == s->dport &&
		    !rtr_addr_cmp(&l->src, &p->src) && !rtr_addr_cmp(&l->dst, &s->dst))
			return true;
	}
	return false;
}

/* Does it leave as the judge says? */
static const char *wrong(const struct pol_packet *p, const struct pol_verdict *v,
			 const struct seen *s)
{
	struct rtr_addr dst = p->dst, src = p->src;
	bool rotary = v->dnat.on && rtr_addr_cmp(&v->dnat.lo, &v->dnat.hi);

	if (s->where != v->oif[1] - '0')
		return "interface";
	if (v->dnat.on)
		nat_xlate_addr(&v->dnat, &dst);
	if (rotary ? rtr_addr_cmp(&s->dst, &v->dnat.lo) < 0 ||
			     rtr_addr_cmp(&s->dst, &v->dnat.hi) > 0
		   : rtr_addr_cmp(&s->dst, &dst) != 0)
		return "destination";
	if (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP) {
		if (s->dport != (v->dnat.on && v->dnat.port_lo ? v->dnat.port_lo : p->dport))
			return "destination port";
	}
	if (!v->snat.on)
		return rtr_addr_cmp(&s->src, &src) || (s->sport != p->sport && !is_taken(p, s))
			       ? "source"
			       : NULL;
	if (v->snat.prefix) {
		nat_xlate_addr(&v->snat, &src);
		return rtr_addr_cmp(&s->src, &src) ? "source network" : NULL;
	}
	if (!nat_xlate_covers(k.pol->nat, &v->snat, &s->src, s->sport))
		return "source";
	if (!v->snat.port_hi && s->sport != p->sport)
		return "source port";
	return NULL;
}

/* Who came past NAT is not answered when a line would translate the answer: it would tell an inside
 * address. */
static bool is_kept_in(const struct pol_packet *p, const struct pol_verdict *v,
		       const struct pol_packet *answer)
{
	return !v->dnat.on && !v->snat.on &&
	       nat_side_of(k.pol->nat, p->family, p->iif) == NAT_OUTSIDE &&
	       nat_snat(k.pol->nat, answer, NULL, v->oif, p->iif).on;
}

/* What the other side answers comes back to who asked, from whom he asked. */
static void answer(const struct pol_packet *p, const struct pol_verdict *v, const struct seen *s,
		   const char *conf)
{
	struct pol_packet r = { .family = p->family,
				.src = s->dst,
				.dst = s->src,
				.sport = s->dport,
				.dport = s->sport,
				.proto = p->proto,
				.tcp_flags = SYN | ACK,
				.ttl = 64 };
	uint32_t number = ++k.n_sent;
	struct seen back;
	struct tp t;

	if (p->proto == IPPROTO_ICMPV6)
		r.icmp_type = 129;
	build_packet(&r, number, &t);
	ck_assert_int_eq(write(k.tun[s->where], t.b, t.len), (ssize_t)t.len);
	back = observe(number);
	if (is_kept_in(p, v, &r)) {
		if (back.where != NOTHING)
			differ(p, v, &back, "the answer that tells an inside address", conf);
		k.n_kept_in++;
		return;
	}
	if (back.where != p->iif[1] - '0' || rtr_addr_cmp(&back.src, &p->dst) ||
	    rtr_addr_cmp(&back.dst, &p->src) || back.dport != p->sport || back.sport != p->dport)
		differ(p, v, &back, "the answer", conf);
	k.n_answered++;
}

static void try(const struct pol_packet *p, unsigned in, const char *conf)
{
	struct pol_world w = { .route = route, .urpf = urpf, .now = time(NULL) };
	uint32_t number = ++k.n_sent;
	struct pol_verdict v;
	const char *what;
	struct seen s;
	struct tp t;

	build_packet(p, number, &t);
	policy_eval(k.pol, p, &w, &v);
	ck_assert_int_eq(write(k.tun[in], t.b, t.len), (ssize_t)t.len);
	s = observe(number);
	if (v.action != POL_PERMIT || v.local) {
		if (s.where >= 0 && v.action != POL_PERMIT)
			differ(p, &v, &s, "passed", conf);
		/* Echo requests are answered by the kernel itself, with the data. */
		if (v.local && s.where != LOCAL && p->proto != IPPROTO_ICMP &&
		    p->proto != IPPROTO_ICMPV6)
			differ(p, &v, &s, "the box", conf);
		return;
	}
	what = wrong(p, &v, &s);
	if (what)
		differ(p, &v, &s, what, conf);
	k.left[k.n_left++] = (struct left){ s.src, s.dst, s.sport, s.dport, p->proto };
	k.left[k.n_left++] = (struct left){ p->dst, p->src, p->dport, p->sport, p->proto };
	k.n_translated += v.dnat.on || v.snat.on;
	answer(p, &v, &s, conf);
}

static void one_policy(void)
{
	char *conf = nat_configuration();
	struct {
		struct rtr_addr src, dst;
		uint16_t sport, dport;
		uint8_t proto;
	} seen[PACKETS];

	if (!commit(conf)) {
		k.n_refused++;
		free(conf);
		return;
	}
	flush();
	k.n_left = 0;
	for (size_t n = 0; k.pol->nat && n < PACKETS; n++) {
		struct pol_packet p;
		unsigned in;
		bool again = false;

		do
			p = nat_packet(&in);
		while (!rtr_addr_cmp(&p.src, &p.dst));
		/* One packet a connection: the next with its numbers would be known, and the one
		 * with its numbers turned round would be its answer. */
		for (size_t i = 0; i < n && !again; i++)
			again = seen[i].proto == p.proto &&
				((seen[i].sport == p.sport && seen[i].dport == p.dport) ||
				 (seen[i].sport == p.dport && seen[i].dport == p.sport));
		memset(&seen[n], 0, sizeof(seen[n]));
		seen[n].proto = p.proto;
		seen[n].sport = p.sport;
		seen[n].dport = p.dport;
		if (!again)
			try(&p, in, conf);
	}
	free(conf);
}

START_TEST(judge_and_kernel_agree)
{
	const char *n = getenv("RTR_TEST_POLICIES");
	unsigned policies = n ? (unsigned)atoi(n) : POLICIES * (getenv("RTR_TEST_LONG") ? 20 : 1);

	for (unsigned i = 0; i < policies; i++)
		one_policy();
	printf("%u configurations, %u refused, %u packets, %u translated, %u answered, %u answers "
	       "kept in\n",
	       policies, k.n_refused, k.n_sent, k.n_translated, k.n_answered, k.n_kept_in);
	ck_assert_uint_gt(k.n_translated, k.n_sent / 10);
	ck_assert_uint_gt(k.n_kept_in, 0);
	ck_assert_uint_lt(k.n_refused, policies * 9 / 10);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("nat-kernel");
	TCase *t = tcase_create("nat-kernel");

	netns_or_skip();
	tun_or_skip();
	tcase_set_timeout(t, 1800);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, judge_and_kernel_agree);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
