/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The judge against the kernel: random configurations of access lists, groups, zones, reverse path
 * and hours are committed to nftables in a namespace; random packets are sent into four tun
 * interfaces, and what comes out of which one, or reaches the box, must be what policy_eval says.
 * Answers of what passed are sent back and judged, too.
 */
#include "../lib/netns.h"
#include "../lib/nft_plane.h"
#include "../lib/packet.h"
#include "../lib/tun.h"
#include "../lib/check_main.h"
#include "../lib/policy_gen.h"

#include "firewall/policy.h"
#include "schema/edit.h"
#include "schema/text.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <sys/socket.h>

/* The kernel's half is the same under ASan, and each policy takes ten times as long. */
#ifdef __SANITIZE_ADDRESS__
#define POLICIES 100
#else
#define POLICIES 1000 /* in the default run; ten times the packets of each in the long one */
#endif
#define PACKETS 100
#define MARK    "rtr-test"

static struct {
	int tun[N_IFACES];
	int raw4[3], raw6[3], ct;
	const struct policy *pol;
	uint32_t n_sent, n_forwarded, n_local, n_dropped, n_rejected;
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
	static const int protos4[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP };
	static const int protos6[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMPV6 };

	netns_enter();
	ck_assert(
		sh("ip link set lo up; mount -t sysfs none /sys 2>/dev/null;"
		   "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
		   " net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0"
		   " net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0;"
		   /* A limit of the namespace since Linux 6.13. */
		   "sysctl -qw net.ipv4.icmp_msgs_per_sec=1000000 net.ipv4.icmp_msgs_burst=1000000"
		   " 2>/dev/null || true"));
	for (unsigned i = 0; i < N_IFACES; i++)
		open_tun(i);
	for (unsigned i = 0; i < 3; i++) {
		k.raw4[i] = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, protos4[i]);
		k.raw6[i] = socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK, protos6[i]);
		ck_assert(k.raw4[i] >= 0 && k.raw6[i] >= 0);
	}
	k.ct = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	ck_assert_int_ge(k.ct, 0);
	gen_seed = test_seed;
	plane_setup();
	nft_source_only(NULL);
}

static void teardown(void)
{
	k.pol = policy_unref(k.pol);
	plane_teardown();
}

/* Forgets all connections. */
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

/* ---- commits ---- */

static void commit(const char *lines)
{
	struct rec *root = model_new();
	struct strbuf err = STRBUF_INIT;
	char *copy = xstrdup(lines), *save = NULL;
	const struct policy *p;
	struct editor ed;

	editor_init(&ed, root);
	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		struct edit_error e;
		bool changed;
		int r = editor_line(&ed, l, &changed, &e);

		ck_assert_msg(!r, "%s: %s", l, strbuf_str(&e.text));
		edit_error_fini(&e);
	}
	rec_unref(plane_model);
	plane_model = rec_ref(ed.root);
	editor_fini(&ed);
	rec_unref(root);
	free(copy);
	plane_apply(APPLY_COMMIT);
	ck_assert_msg(!plane_res.n_errors, "%s\n%s", plane_res.text, lines);
	p = policy_build(plane_model, k.pol, time(NULL), NULL);
	ck_assert_ptr_nonnull(p);
	policy_unref(k.pol);
	k.pol = p;
	strbuf_fini(&err);
}

/* ---- packets ---- */

static bool route(void *arg, const struct pol_packet *p, const struct rtr_addr *dst,
		  char oif[IFNAMSIZ], bool *local)
{
	unsigned net = dst->family == AF_INET ? dst->b[1] : dst->b[3];
	unsigned host = dst->family == AF_INET ? dst->b[3] : dst->b[15];

	*local = host == 1;
	snprintf(oif, IFNAMSIZ, "e%u", net % 10);
	return net < N_IFACES;
}

static bool urpf(void *arg, const struct pol_iface *i, const struct rtr_addr *src)
{
	unsigned net = src->family == AF_INET ? src->b[1] : src->b[3];
	bool loose = (src->family == AF_INET ? i->urpf4 : i->urpf6) == POL_URPF_LOOSE;

	return net < N_IFACES && (loose || net == (unsigned)(i->name[1] - '0'));
}

static void build_packet(struct pol_packet *p, uint32_t number, struct tp *t)
{
	unsigned pad = below(40);
	uint8_t *m;

	memset(t, 0, sizeof(*t));
	if (p->family == AF_INET) {
		uint8_t *h = tp_ip4(t, ntohl(p->src.v4_be), ntohl(p->dst.v4_be), p->proto, p->ttl);

		h[1] = (uint8_t)(p->dscp << 2);
	} else {
		uint8_t *h = tp_ip6_raw(t, p->src.b, p->dst.b, p->proto, p->ttl);

		h[0] = (uint8_t)(0x60 | p->dscp >> 2);
		h[1] = (uint8_t)(p->dscp << 6);
	}
	if (p->proto == IPPROTO_TCP)
		tp_tcp(t, p->sport, p->dport, p->tcp_flags, NULL, 0, 12 + pad);
	else if (p->proto == IPPROTO_UDP)
		tp_udp(t, p->sport, p->dport, 12 + pad);
	else if (p->proto != 50)
		tp_icmp(t, p->icmp_type, p->icmp_code, (uint32_t)p->sport << 16, 12 + pad);
	else
		tp_payload(t, 8 + 12 + pad);
	m = t->b + t->len - pad - 12;
	memcpy(m, MARK, 8);
	memcpy(m + 8, &number, 4);
	tp_done(t);
	p->len = (uint16_t)t->len;
}

/* ---- what came out ---- */

enum fate { NOTHING, LOCAL, OUT0 };

static bool ours(const uint8_t *b, ssize_t n, uint32_t number)
{
	const uint8_t *m = n > 0 ? memmem(b, (size_t)n, MARK, 8) : NULL;

	return m && m + 12 <= b + n && !memcmp(m + 8, &number, 4);
}

/* An ICMP error or redirect quotes the packet: that is no forwarding. */
static bool is_error(const uint8_t *b)
{
	if (b[0] >> 4 == 4)
		return b[9] == IPPROTO_ICMP &&
		       (b[20] == 3 || b[20] == 5 || b[20] == 11 || b[20] == 12);
	return b[6] == IPPROTO_ICMPV6 && (b[40] < 128 || b[40] == 137);
}

static bool is_admin(const uint8_t *b)
{
	return b[0] >> 4 == 4 ? b[9] == IPPROTO_ICMP && b[20] == 3 && b[21] == 13
			      : b[6] == IPPROTO_ICMPV6 && b[40] == 1 && b[41] == 1;
}

static bool is_rst(const uint8_t *b)
{
	return b[0] >> 4 == 4 ? b[9] == IPPROTO_TCP && (b[33] & RST)
			      : b[6] == IPPROTO_TCP && (b[53] & RST);
}

static void drain_local(uint32_t number, int *fate)
{
	uint8_t b[2048];
	ssize_t n;

	for (unsigned i = 0; i < 3; i++) {
		while ((n = recv(k.raw4[i], b, sizeof(b), 0)) > 0)
			*fate = ours(b, n, number) && !is_error(b) ? LOCAL : *fate;
		while ((n = recv(k.raw6[i], b, sizeof(b), 0)) > 0)
			*fate = ours(b, n, number) && (i != 2 || b[0] >= 128) ? LOCAL : *fate;
	}
}

static int observe(uint32_t number, bool *ret_admin, bool *ret_rst)
{
	int fate = NOTHING;
	uint8_t b[2048];
	ssize_t n;

	*ret_admin = *ret_rst = false;
	for (unsigned i = 0; i < N_IFACES; i++) {
		while ((n = read(k.tun[i], b, sizeof(b))) > 0) {
			if (ours(b, n, number) && !is_error(b))
				fate = OUT0 + (int)i;
			else if (is_admin(b))
				*ret_admin = true;
			else if (is_rst(b))
				*ret_rst = true;
		}
	}
	drain_local(number, &fate);
	return fate;
}

static int expected(const struct pol_verdict *v)
{
	if (v->action != POL_PERMIT)
		return NOTHING;
	return v->local ? LOCAL : OUT0 + (v->oif[1] - '0');
}

static void describe(const struct pol_packet *p, const struct pol_verdict *v, int got,
		     const char *conf)
{
	char a[RTR_ADDR_STRLEN], b[RTR_ADDR_STRLEN];

	printf("%s proto %u %s %u -> %s %u flags %#x icmp %u ttl %u dscp %u len %u state %d "
	       "reply %d pass %d\nthe judge: action %d stage %d (%s) oif %s; the kernel: %d\n%s",
	       p->iif, p->proto, rtr_addr_str(&p->src, a), p->sport, rtr_addr_str(&p->dst, b),
	       p->dport, p->tcp_flags, p->icmp_type, p->ttl, p->dscp, p->len, p->state, p->reply,
	       p->pass, v->action, v->stage, v->step[v->stage].why, v->oif, got, conf);
	fflush(stdout);
	if (getenv("RTR_TEST_RULESET"))
		sh("conntrack -L 2>&1; conntrack -S; nft list ruleset");
	ck_abort_msg("the judge and the kernel differ");
}

static struct pol_verdict try(struct pol_packet *p, unsigned in, const char *conf)
{
	struct pol_world w = { .route = route, .urpf = urpf, .now = time(NULL) };
	struct pol_verdict v;
	uint32_t number = ++k.n_sent;
	bool admin, rst, routed;
	struct tp t;
	int got;

	build_packet(p, number, &t);
	policy_eval(k.pol, p, &w, &v);
	ck_assert_int_eq(write(k.tun[in], t.b, t.len), (ssize_t)t.len);
	got = observe(number, &admin, &rst);
	/* No socket of ours listens for protocol 50. */
	if (got != expected(&v) && !(p->proto == 50 && v.local))
		describe(p, &v, got, conf);
	routed = (p->family == AF_INET ? p->src.b[1] : p->src.b[3]) < N_IFACES;
	if (v.action == POL_REJECT && routed && p->proto == IPPROTO_UDP && !admin)
		describe(p, &v, -1, conf);
	if (v.action == POL_REJECT && routed && p->proto == IPPROTO_TCP && !(p->tcp_flags & RST) &&
	    !rst)
		describe(p, &v, -2, conf);
	k.n_forwarded += got >= OUT0;
	k.n_local += got == LOCAL;
	k.n_dropped += got == NOTHING;
	k.n_rejected += v.action == POL_REJECT;
	return v;
}

static void answer(const struct pol_packet *p, const struct pol_verdict *v, const char *conf)
{
	struct pol_packet r = *p;

	r.src = p->dst;
	r.dst = p->src;
	r.sport = p->dport;
	r.dport = p->sport;
	r.state = POL_ESTABLISHED;
	r.reply = true;
	r.pass = v->step[POL_ST_ZONE].action == POL_PASS;
	r.tcp_flags = SYN | ACK;
	if (p->proto == IPPROTO_ICMP)
		r.icmp_type = (uint8_t)(p->icmp_type == 8 ? 0 : 14);
	if (p->proto == IPPROTO_ICMPV6)
		r.icmp_type = 129;
	rtr_strlcpy(r.iif, v->oif, sizeof(r.iif));
	try(&r, (unsigned)(v->oif[1] - '0'), conf);
}

/* One packet a connection: the next with its numbers would be known. */
static bool fresh(const struct pol_packet *p, uint64_t *seen, size_t *n)
{
	uint64_t h = 0, parts[] = { p->proto, p->family };

	for (unsigned i = 0; i < 2; i++)
		h += parts[i] * 0x9e3779b97f4a7c15ull << i * 8;
	/* Symmetric: an answer has the same. */
	for (unsigned i = 0; i < 16; i++)
		h += (uint64_t)(p->src.b[i] + p->dst.b[i]) << i;
	h = h * 31 + (uint64_t)p->sport + p->dport;
	for (size_t i = 0; i < *n; i++) {
		if (seen[i] == h)
			return false;
	}
	seen[(*n)++] = h;
	return true;
}

static void one_policy(unsigned packets)
{
	uint64_t *seen = xcalloc(packets, sizeof(*seen));
	char *conf = configuration();
	size_t n = 0;

	commit(conf);
	flush();
	for (unsigned i = 0; i < packets; i++) {
		struct pol_packet p;
		struct pol_verdict v;
		unsigned in;

		do
			p = packet(&in);
		while (p.src.b[3] == p.dst.b[3] && !memcmp(&p.src, &p.dst, sizeof(p.src)));
		if (!fresh(&p, seen, &n))
			continue;
		v = try(&p, in, conf);
		/* From a network that is not there, or by another way, no answer comes back. */
		if (v.action == POL_PERMIT && !v.local && p.state == POL_NEW && k.pol->stateful &&
		    p.proto != 50 && (p.proto != IPPROTO_TCP || p.tcp_flags == SYN) &&
		    p.ttl == 64 && urpf(NULL, policy_iface(k.pol, p.iif), &p.src) && below(3))
			answer(&p, &v, conf);
	}
	free(conf);
	free(seen);
}

START_TEST(judge_and_kernel_agree)
{
	const char *n = getenv("RTR_TEST_POLICIES");
	unsigned policies = n ? (unsigned)atoi(n) : POLICIES;
	unsigned packets = getenv("RTR_TEST_LONG") ? 10 * PACKETS : PACKETS;

	for (unsigned i = 0; i < policies; i++)
		one_policy(packets);
	printf("%u policies, %u packets: %u forwarded, %u to the box, %u stopped (%u rejected)\n",
	       policies, k.n_sent, k.n_forwarded, k.n_local, k.n_dropped, k.n_rejected);
	/* Random configurations that stop everything would prove nothing. */
	ck_assert_uint_gt(k.n_forwarded, k.n_sent / 10);
	ck_assert_uint_gt(k.n_local, k.n_sent / 100);
	ck_assert_uint_gt(k.n_rejected, k.n_sent / 100);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("policy-kernel");
	TCase *t = tcase_create("policy-kernel");

	netns_or_skip();
	tun_or_skip();
	tcase_set_timeout(t, 1800);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, judge_and_kernel_agree);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
