/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: worker_box.h under a policy that needs connections; the policy is the test's: variables
 * say what it answers. A client on the LAN, a server on the WAN, IPv4 or IPv6 as `six` says.
 * Owns: all of it between begin() and end(). Threads: one. Failure: ends the test.
 */
#ifndef RTR_TEST_WORKER_POL_H
#define RTR_TEST_WORKER_POL_H

#include "fastpath/worker_impl.h"

#include "tests/lib/worker_box.h"

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

static struct fp_track *track;
/* The policy is never looked into: the functions below are all of it. */
static struct fp_pol *in_force;
static struct fp_nat *nat;
static uint16_t generation;
static enum fp_pol_act say_in, say_out, say_source;
static struct fp_pol_xlate say_dnat, say_snat;
static struct fp_pol_mss say_mss;
static unsigned mss_iif, mss_oif;
static uint32_t error_mtu, say_host_max;
static bool say_expects, say_leaks, say_mapped;
static unsigned judged, counted, out_if;
static struct fp_pol_key asked_key, asked_source, leak_key;
static bool six;

uint16_t fp_pol_generation(const struct fp_pol *p)
{
	return generation;
}

bool fp_pol_stateful(const struct fp_pol *p)
{
	return true;
}

bool fp_pol_expects(const struct fp_pol *p)
{
	return say_expects;
}

uint32_t fp_pol_host_max(const struct fp_pol *p)
{
	return say_host_max;
}

struct fp_nat *fp_pol_nat(const struct fp_pol *p)
{
	return nat;
}

enum fp_pol_act fp_pol_in(const struct fp_pol *p, const struct fp_pol_key *k,
			  struct fp_pol_state *ret)
{
	judged++;
	asked_key = *k;
	*ret = (struct fp_pol_state){ .dport_be = k->dport_be, .drop = RTR_DROP_ACL_DENY };
	memcpy(ret->dst, k->dst, 16);
	if (say_dnat.kind) {
		ret->dnat = say_dnat;
		memcpy(ret->dst, say_dnat.addr, 16);
		ret->dport_be = say_dnat.port_be ?: k->dport_be;
	}
	return say_in;
}

bool fp_pol_mapped(const struct fp_pol *p, const struct fp_pol_key *k)
{
	return say_mapped;
}

enum fp_pol_act fp_pol_out(const struct fp_pol *p, const struct fp_pol_key *k, unsigned oif,
			   struct fp_pol_state *st)
{
	out_if = oif;
	st->drop = RTR_DROP_ZONE_DENY;
	st->snat = say_snat;
	return say_out;
}

enum fp_pol_act fp_pol_source(const struct fp_pol *p, const struct fp_pol_key *k, uint8_t *ret_drop)
{
	asked_source = *k;
	if (say_source == FP_POL_DROP)
		*ret_drop = RTR_DROP_SRC_MARTIAN;
	return say_source;
}

bool fp_pol_leaks(const struct fp_pol *p, const struct fp_pol_key *k, unsigned oif)
{
	leak_key = *k;
	out_if = oif;
	return say_leaks;
}

struct fp_pol_mss fp_pol_mss(const struct fp_pol *p, uint8_t family, unsigned iif, unsigned oif)
{
	mss_iif = iif;
	mss_oif = oif;
	return say_mss;
}

void fp_pol_count(struct fp_pol *p, unsigned worker, const struct fp_pol_state *st, uint64_t at)
{
	counted++;
}

/* The box as the LAN knows it. */
static const uint8_t box6[16] = { 0xfd, [15] = 0xff };
static const uint8_t box4[16] = { 10, 0, 0, 254 };
static bool has_source;
static unsigned error_ways; /* asked for */
static uint32_t error_adj;  /* by which errors leave; 0: none is ready */

static inline bool error_way(void *ctx, const struct fp_ask *about, struct fp_error_way *ret)
{
	error_ways++;
	memcpy(ret->src, about->family == AF_INET6 ? box6 : box4,
	       about->family == AF_INET6 ? 16 : 4);
	ret->adj = error_adj;
	ret->mtu = error_mtu;
	return has_source;
}

static inline void with_policy(struct fp_worker_conf *conf)
{
	static char some;

	in_force = (struct fp_pol *)(void *)&some;
	conf->pol = &in_force;
	conf->track = track;
	conf->ops.error_way = error_way;
}

static inline void begin(void)
{
	track = fp_track_new((const uint32_t[]){ 128, 128 });
	generation = 7;
	say_in = say_out = say_source = FP_POL_PERMIT;
	judged = counted = out_if = error_mtu = say_host_max = 0;
	say_mss = (struct fp_pol_mss){ 0 };
	say_dnat = say_snat = (struct fp_pol_xlate){ 0 };
	has_source = true;
	error_adj = 0;
	say_expects = say_leaks = say_mapped = false;
	box_conf = with_policy;
	ck_assert_int_eq(fp_nat_new(NULL, 0, &nat), 0);
	setup();
}

static inline void end(void)
{
	teardown();
	track = fp_track_free(track);
	nat = fp_nat_free(nat);
}

/* Another process: the table is all that there is. */
static inline void forget(void)
{
	track = fp_track_free(track);
	track = fp_track_new((const uint32_t[]){ 128, 128 });
	w->conf.track = track;
}

/* ----- packets ----- */

static const uint8_t host6[2][16] = { { 0xfd, [15] = 1 }, { 0xfd, 1, [15] = 2 } };
static const uint32_t host4[2] = { 0x0a000002, 0xc0a80102 };
#define CPORT 1000
#define SPORT 80

static inline void ip(struct tp *t, unsigned from, uint8_t proto, uint8_t ttl)
{
	tp_eth(t, six ? 0x86dd : 0x0800);
	memcpy(t->b, mac[from], 6);
	if (six)
		tp_ip6_raw(t, host6[from], host6[!from], proto, ttl);
	else
		tp_ip4(t, host4[from], host4[!from], proto, ttl);
}

static inline void udp(struct tp *t, unsigned from)
{
	ip(t, from, 17, 64);
	tp_udp(t, from ? SPORT : CPORT, from ? CPORT : SPORT, 30);
	tp_done(t);
}

/* A piece of a datagram of 128 bytes. */
static inline void piece(struct tp *t, unsigned from, unsigned id, unsigned off, bool more)
{
	ip(t, from, 17, 64);
	if (six)
		tp_frag6(t, id, off, more);
	else
		tp_frag4(t, off, more);
	if (!six)
		tp_w16(t->b + t->l3 + 4, id);
	if (off)
		tp_payload(t, 64);
	else
		tp_udp(t, from ? SPORT : CPORT, from ? CPORT : SPORT, 56);
	tp_done(t);
	if (!off)
		tp_w16(t->b + t->l4 + 4, 128 - 8);
}

/* What each end has sent; the window that it shows. */
static uint32_t seq[2];
static const unsigned window = 8192;

static inline void tcp_at(struct tp *t, unsigned from, uint8_t flags, uint32_t at, unsigned payload)
{
	static const uint8_t mss[] = { 2, 4, 5, 0xb4, 1, 3, 3, 2 };
	bool syn = flags & SYN;

	ip(t, from, 6, 64);
	tp_tcp(t, from ? SPORT : CPORT, from ? CPORT : SPORT, flags, mss, syn ? sizeof(mss) : 0,
	       payload);
	tp_w32(t->b + t->l4 + 4, at);
	tp_w32(t->b + t->l4 + 8, flags & ACK ? seq[!from] : 0);
	tp_w16(t->b + t->l4 + 14, window);
	tp_done(t);
}

static inline void tcp(struct tp *t, unsigned from, uint8_t flags, unsigned payload)
{
	tcp_at(t, from, flags, seq[from], payload);
	seq[from] += payload + !!(flags & (SYN | FIN));
}

/* It arrives, and leaves on the other side with one hop less, or not at all. */
static inline bool passes(unsigned from, const struct tp *t)
{
	struct tp want = *t;
	const uint8_t *out;
	uint32_t len;

	arrive(from, t);
	turn();
	out = leave(!from, &len);
	if (!out)
		return false;
	memcpy(want.b, peer[!from], 6);
	memcpy(want.b + 6, mac[!from], 6);
	want.b[want.l3 + (six ? 7 : 8)]--;
	tp_fix_ip4(&want);
	ck_assert_uint_eq(len, MAX(want.len, 60u));
	ck_assert(!memcmp(out, want.b, want.len));
	return true;
}

static inline bool send_tcp(unsigned from, uint8_t flags, unsigned payload)
{
	struct tp t;

	tcp(&t, from, flags, payload);
	return passes(from, &t);
}

static inline void handshake(void)
{
	seq[0] = 0xfffffff0;
	seq[1] = 77;
	ck_assert(send_tcp(LAN, SYN, 0));
	ck_assert(send_tcp(WAN, SYN | ACK, 0));
	ck_assert(send_tcp(LAN, ACK, 0));
}

/* ----- what is in the table ----- */

static inline uint64_t word0(unsigned from, uint8_t proto, const struct flow_cold **ret_cold)
{
	uint16_t sport = htons(from ? SPORT : CPORT), dport = htons(from ? CPORT : SPORT);
	struct flow_key4 k4 = { htonl(host4[from]), htonl(host4[!from]), sport, dport, proto, 0,
				(uint16_t)from };
	struct flow_key6 k6 = {
		.sport = sport, .dport = dport, .proto = proto, .zone = (uint16_t)from
	};
	struct flow_hit4 h4;
	struct flow_hit6 h6;

	if (!six) {
		if (fp_flow_find4(table, &k4, &h4) != FLOW_HIT)
			return 0;
		if (ret_cold)
			*ret_cold = fp_flow_cold(table, FLOW_4, h4.line);
		return h4.word0;
	}
	memcpy(k6.saddr, host6[from], 16);
	memcpy(k6.daddr, host6[!from], 16);
	if (fp_flow_find6(table, &k6, &h6) != FLOW_HIT)
		return 0;
	if (ret_cold)
		*ret_cold = fp_flow_cold(table, FLOW_6, h6.line);
	return h6.word0;
}

static inline unsigned state(unsigned from, uint8_t proto)
{
	return flow_w0_state(word0(from, proto, NULL)) >> FLOW_TRACK_SHIFT;
}

static inline unsigned path(unsigned from, uint8_t proto)
{
	return flow_w0_path(word0(from, proto, NULL));
}

static inline uint32_t timeout(uint8_t proto)
{
	const struct flow_cold *c = NULL;

	ck_assert(word0(LAN, proto, &c));
	return c->timeout;
}

static inline unsigned drops(unsigned from, enum rtr_drop why)
{
	return (unsigned)count(from)->drop[why];
}

#endif
