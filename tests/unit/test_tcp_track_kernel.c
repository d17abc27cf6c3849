/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The oracle: the kernel's own conntrack gets the same segments between two tun devices, behind
 * `ct state invalid drop`. After each segment verdict, state and timeout must be the same.
 *
 *	10.0.1.2 --tun a-- [ router, nft, conntrack ] --tun b-- 10.0.2.2
 */
#include "fastpath/tcp_track.h"

#include "tests/lib/check_main.h"
#include "../lib/netns.h"
#include "../lib/tun.h"

#include <arpa/inet.h>
#include <string.h>

#define N_FLOWS 150
#define N_STEPS 40
#define PORT0   20000

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

struct sim_flow {
	struct tcp_track t;
	bool known;
	bool over; /* taken over from the other side: its ports would now be the opener's */
	uint32_t iss[2], nxt[2]; /* what a plausible end would use */
	bool passed;             /* this step */
	enum tcp_track_verdict v;
	enum tcp_track_reason why;
	char story[N_STEPS][160];
};

static int tun[2];
static struct sim_flow flows[N_FLOWS];
static uint16_t base_port;

static bool sysctl_set(const char *path, const char *value)
{
	return sh("echo %s >/proc/sys/net/%s", value, path);
}

static void router_up(bool loose, bool liberal)
{
	netns_enter();
	tun[0] = tun_open("tuna");
	tun[1] = tun_open("tunb");
	ck_assert(sh("ip addr add 10.0.1.1/24 dev tuna; ip addr add 10.0.2.1/24 dev tunb; "
		     "ip link set tuna up && ip link set tunb up"));
	ck_assert(sysctl_set("ipv4/ip_forward", "1"));
	ck_assert(sysctl_set("ipv4/conf/all/rp_filter", "0"));
	ck_assert(sysctl_set("ipv4/conf/tuna/rp_filter", "0"));
	ck_assert(sysctl_set("ipv4/conf/tunb/rp_filter", "0"));
	ck_assert(sh("nft 'add table t; add chain t f { type filter hook forward priority 0; }; "
		     "add rule t f ct state invalid drop'"));
	ck_assert(sysctl_set("netfilter/nf_conntrack_checksum", "0"));
	ck_assert(sysctl_set("netfilter/nf_conntrack_tcp_loose", loose ? "1" : "0"));
	ck_assert(sysctl_set("netfilter/nf_conntrack_tcp_be_liberal", liberal ? "1" : "0"));
}

static uint32_t sum16(const uint8_t *p, size_t n, uint32_t s)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		s += (uint32_t)p[i] << 8 | p[i + 1];
	return s;
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htonl(v);
	memcpy(p, &v, 4);
}

static void put16(uint8_t *p, uint16_t v)
{
	v = htons(v);
	memcpy(p, &v, 2);
}

struct shape {
	uint8_t flags, opt_len;
	uint32_t seq, ack;
	uint16_t win, len;
	uint8_t opt[16];
};

/* A segment that some end might send in some state, or an attacker. */
static struct shape any_shape(uint64_t *rng, const struct sim_flow *f, unsigned dir)
{
	static const uint8_t kinds[] = { ACK,       ACK,       ACK, ACK,       ACK, ACK,
					 FIN | ACK, FIN | ACK, RST, RST | ACK, SYN, SYN | ACK,
					 FIN,       ACK | 8,   SYN, SYN | ACK };
	static const uint16_t wins[] = { 0, 1, 200, 8000, 30000, 65535 };
	static const int32_t offs[] = { 0, 0,   0,    0,    0,     0,     -1,
					1, 100, -100, 8000, -8000, 70000, -70000 };
	uint64_t r = test_rand(rng);
	struct shape s = { .flags = kinds[(r >> 5) % ARRAY_LEN(kinds)],
			   .win = wins[(r >> 13) % ARRAY_LEN(wins)] };

	if (!f->known && (r >> 50) % 4)
		s.flags = SYN;
	/* Mostly carry the connection on. */
	if (f->known && f->t.state == TCPT_S_SYN_SENT && dir == 1 && (r >> 50) % 4)
		s.flags = SYN | ACK;
	s.seq = f->nxt[dir] + (uint32_t)offs[(r >> 17) % ARRAY_LEN(offs)];
	s.ack = f->nxt[!dir] + (uint32_t)offs[(r >> 23) % ARRAY_LEN(offs)];
	if (s.flags & SYN && (r >> 28) % 4)
		s.seq = f->iss[dir];
	if ((r >> 30) % 64 == 0)
		s.seq = (r >> 36) & 1 ? 0 : (uint32_t)test_rand(rng);
	if (!(s.flags & ACK))
		s.ack = (r >> 37) & 1 ? 0 : s.ack;
	else if ((r >> 38) % 32 == 0)
		s.ack = 0;
	if (!(s.flags & (SYN | RST)) && (r >> 43) & 1)
		s.len = (uint16_t)((r >> 44) % 1400);
	if (s.flags & SYN && (r >> 57) & 3) {
		uint8_t o[] = { 4, 2, 1, 3, 3, (uint8_t)((r >> 40) % 16), 0, 0 };

		if ((r >> 59) & 1)
			o[0] = o[1] = 1;
		if (!((r >> 60) & 3))
			memset(o + 3, 1, 3);
		memcpy(s.opt, o, 8);
		s.opt_len = 8;
	} else if ((r >> 57) % 8 == 0) {
		s.opt[0] = s.opt[1] = 1;
		s.opt[2] = 5;
		s.opt[3] = 10;
		put32(s.opt + 4, s.ack + 100);
		put32(s.opt + 8, s.ack + (uint32_t)offs[(r >> 31) % ARRAY_LEN(offs)]);
		s.opt_len = 12;
	}
	return s;
}

static size_t build(uint8_t *p, unsigned flow, unsigned dir, const struct shape *s)
{
	size_t hlen = 20u + s->opt_len, l4 = hlen + s->len, len = 20 + l4;
	uint16_t port = (uint16_t)(base_port + flow);
	uint32_t sum;

	memset(p, 0, len);
	p[0] = 0x45;
	put16(p + 2, (uint16_t)len);
	p[8] = 64;
	p[9] = 6;
	put32(p + 12, dir ? 0x0a000202 : 0x0a000102);
	put32(p + 16, dir ? 0x0a000102 : 0x0a000202);
	sum = sum16(p, 20, 0);
	sum = (sum & 0xffff) + (sum >> 16);
	put16(p + 10, (uint16_t) ~(sum + (sum >> 16)));
	put16(p + 20, dir ? 80 : port);
	put16(p + 22, dir ? port : 80);
	put32(p + 24, s->seq);
	put32(p + 28, s->ack);
	p[32] = (uint8_t)(hlen / 4 << 4);
	p[33] = s->flags;
	put16(p + 34, s->win);
	memcpy(p + 40, s->opt, s->opt_len);
	return len;
}

static uint32_t now_sec(void)
{
	return (uint32_t)(rtr_now_ns() / NSEC_PER_SEC);
}

static void judge_ours(struct sim_flow *f, const struct tcp_track_conf *conf, unsigned dir,
		       const struct tcp_seg *s, enum tcp_track_reason parsed)
{
	uint32_t now = now_sec();

	f->why = parsed;
	f->v = TCPT_INVALID;
	if (parsed != TCPT_R_NONE)
		return;
	if (f->known)
		f->v = tcp_track_packet(&f->t, conf, dir, s, now, &f->why);
	if (f->v == TCPT_REOPEN && dir == 1) {
		f->over = true;
		return;
	}
	if (!f->known || f->v == TCPT_REOPEN) {
		f->v = tcp_track_new(&f->t, conf, s, now, &f->why);
		f->known = f->v == TCPT_ACCEPT;
	}
	if (f->v == TCPT_END)
		f->known = false;
}

/* Did the flow's packet leave there? Others (IPv6 of the kernel itself) are passed over. */
static bool came_out(int fd, uint16_t port)
{
	uint8_t p[2000];

	while (read(fd, p, sizeof(p)) > 0)
		if (p[0] == 0x45 && (p[20] << 8 | p[21] | p[22] << 8 | p[23]) == (port | 80))
			return true;
	return false;
}

static void inject(uint64_t *rng, const struct tcp_track_conf *conf, unsigned flow, unsigned step)
{
	struct sim_flow *f = &flows[flow];
	/* Without an entry the first who speaks is the opener, and ports tell who that is. */
	unsigned dir = f->known && (test_rand(rng) >> 33) & 1;
	struct shape sh = any_shape(rng, f, dir);
	uint8_t p[2000];
	size_t len = build(p, flow, dir, &sh);
	struct tcp_seg s = { .seq = 0 };
	enum tcp_track_reason parsed = tcp_seg_parse(&s, p + 20, len - 20, len - 20);
	unsigned old = f->t.state;

	ck_assert_int_eq((int)write(tun[dir], p, len), (int)len);
	judge_ours(f, conf, dir, &s, parsed);
	snprintf(f->story[step], sizeof(f->story[step]),
		 "dir %u flags %#x seq %u end %u ack %u sack %u win %u opts %#x/%u: %s: %s -> %s",
		 dir, sh.flags, s.seq - f->iss[dir], s.end - f->iss[dir], s.ack - f->iss[!dir],
		 s.sack - f->iss[!dir], s.win, s.opts, s.wscale, tcp_track_reason_text(f->why),
		 f->known ? tcp_track_state_name(old) : "-", tcp_track_state_name(f->t.state));
	f->passed = came_out(tun[!dir], (uint16_t)(base_port + flow));
	if (f->v != TCPT_INVALID && !(sh.flags & RST) &&
	    (sh.flags & SYN || (int32_t)(s.end - f->nxt[dir]) > 0))
		f->nxt[dir] = s.end;
}

static void tell(const char *what, unsigned flow, unsigned step)
{
	for (unsigned i = 0; i <= step; i++)
		printf("%2u %s\n", i, flows[flow].story[i]);
	fflush(stdout);
	ck_abort_msg("flow %u step %u: %s", flow, step, what);
}

/* State, timeout and status of every flow from /proc. */
static void compare_all(unsigned step)
{
	char line[512], state[32];
	bool seen[N_FLOWS] = { false };
	FILE *fp = fopen("/proc/self/net/nf_conntrack", "r");

	ck_assert_ptr_nonnull(fp);
	while (fgets(line, sizeof(line), fp)) {
		const char *sport = strstr(line, "sport=");
		unsigned flow, timeout;
		struct sim_flow *f;

		if (!sport || sscanf(line, "%*s %*u %*s %*u %u %31s", &timeout, state) != 2)
			continue;
		flow = (unsigned)atoi(sport + 6) - base_port;
		if (flow >= N_FLOWS)
			continue;
		f = &flows[flow];
		seen[flow] = true;
		if (f->over)
			continue;
		if (!f->known)
			tell("the kernel has an entry, we have none", flow, step);
		if (strcmp(state, tcp_track_state_name(f->t.state))) {
			printf("kernel: %s", line);
			tell("states differ", flow, step);
		}
		if ((strstr(line, "[ASSURED]") != NULL) != f->t.assured)
			tell("assured differs", flow, step);
		if ((strstr(line, "[UNREPLIED]") != NULL) == f->t.replied)
			tell("replied differs", flow, step);
		if (abs((int)(f->t.deadline - now_sec() - timeout)) > 3) {
			printf("kernel: %sours %d\n", line, (int)(f->t.deadline - now_sec()));
			tell("timeouts differ", flow, step);
		}
	}
	fclose(fp);
	for (unsigned i = 0; i < N_FLOWS; i++)
		if (flows[i].known && !flows[i].over && !seen[i])
			tell("we have an entry, the kernel has none", i, step);
}

static void compare(bool loose, bool liberal)
{
	struct tcp_track_conf conf = tcp_track_defaults;
	uint64_t rng = test_seed;

	conf.loose = loose;
	conf.liberal = liberal;
	router_up(loose, liberal);
	for (unsigned round = 0; round < 5; round++) {
		base_port = (uint16_t)(PORT0 + round * N_FLOWS);
		memset(flows, 0, sizeof(flows));
		for (unsigned i = 0; i < N_FLOWS; i++)
			for (unsigned d = 0; d < 2; d++)
				flows[i].iss[d] = flows[i].nxt[d] = (uint32_t)test_rand(&rng);
		for (unsigned step = 0; step < N_STEPS; step++) {
			for (unsigned i = 0; i < N_FLOWS; i++) {
				if (flows[i].over)
					continue;
				inject(&rng, &conf, i, step);
				if (flows[i].passed != (flows[i].v != TCPT_INVALID))
					tell(flows[i].passed ? "the kernel lets it pass"
							     : "the kernel refuses it",
					     i, step);
			}
			compare_all(step);
		}
	}
	close(tun[0]);
	close(tun[1]);
}

START_TEST(test_strict)
{
	compare(false, false);
}
END_TEST

START_TEST(test_loose)
{
	compare(true, false);
}
END_TEST

START_TEST(test_liberal)
{
	compare(false, true);
}
END_TEST

static void tools_or_skip(void)
{
	static const char *const need[] = { "/dev/net/tun", "/proc/self/net/nf_conntrack",
					    "/usr/sbin/nft" };

	netns_or_skip();
	for (size_t i = 0; i < ARRAY_LEN(need); i++) {
		if (access(need[i], F_OK) == 0)
			continue;
		printf("SKIP: no %s\n", need[i]);
		exit(77);
	}
}

static Suite *suite(void)
{
	Suite *s = suite_create("tcp_track_kernel");
	TCase *tc = tcase_create("tcp_track_kernel");

	tools_or_skip();
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, test_strict);
	tcase_add_test(tc, test_loose);
	tcase_add_test(tc, test_liberal);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
