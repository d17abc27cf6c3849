/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The DHCP client's messages and state machine, and router advertisements and their timers. */
#include "auto/dhcp_client.h"
#include "auto/ra.h"
#include "../lib/check_main.h"

#include <string.h>

static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 }, server_mac[6] = { 2, 0, 0, 0, 0, 9 };
static uint64_t rnd_state;

static uint32_t rnd(uint32_t below)
{
	return (uint32_t)(test_rand(&rnd_state) >> 32) % below;
}

static uint64_t sec(double s)
{
	return (uint64_t)(s * 1e9);
}

/* ---- a server's frame ---- */

struct made {
	uint8_t frame[1500];
	size_t size, opt;
};

static uint16_t fold(const uint8_t *p, size_t n)
{
	uint32_t s = 0;

	for (; n > 1; p += 2, n -= 2)
		s += (uint32_t)(p[0] << 8 | p[1]);
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static void opt(struct made *m, uint8_t code, const void *data, uint8_t n)
{
	m->frame[m->opt++] = code;
	m->frame[m->opt++] = n;
	memcpy(m->frame + m->opt, data, n);
	m->opt += n;
}

static void begin(struct made *m, uint8_t type, uint32_t xid)
{
	static const uint8_t server[4] = { 192, 0, 2, 1 }, addr[4] = { 192, 0, 2, 77 };
	uint8_t *b = m->frame + 42;

	memset(m, 0, sizeof(*m));
	memset(m->frame, 0xff, 6);
	memcpy(m->frame + 6, server_mac, 6);
	m->frame[12] = 8;
	b[0] = 2;
	b[1] = 1;
	b[2] = 6;
	for (int i = 0; i < 4; i++)
		b[4 + i] = (uint8_t)(xid >> (24 - 8 * i));
	memcpy(b + 16, addr, 4);
	memcpy(b + 28, mac, 6);
	memcpy(b + 236, "\x63\x82\x53\x63", 4);
	m->opt = 42 + 240;
	opt(m, 53, &type, 1);
	opt(m, 54, server, 4);
}

static void end(struct made *m)
{
	uint8_t *ip = m->frame + 14, *udp = ip + 20;
	size_t len;

	m->frame[m->opt++] = 255;
	m->size = m->opt;
	len = m->size - 14;
	memset(ip, 0, 28);
	ip[0] = 0x45;
	ip[2] = (uint8_t)(len >> 8);
	ip[3] = (uint8_t)len;
	ip[8] = 64;
	ip[9] = 17;
	len = fold(ip, 20);
	ip[10] = (uint8_t)(len >> 8);
	ip[11] = (uint8_t)len;
	udp[1] = 67;
	udp[3] = 68;
	udp[4] = (uint8_t)((m->size - 34) >> 8);
	udp[5] = (uint8_t)(m->size - 34);
}

static void lease(struct made *m, uint8_t type, uint32_t xid, uint32_t seconds)
{
	uint8_t t[4] = { (uint8_t)(seconds >> 24), (uint8_t)(seconds >> 16),
			 (uint8_t)(seconds >> 8), (uint8_t)seconds };

	begin(m, type, xid);
	opt(m, 1, "\xff\xff\xff\x00", 4);
	opt(m, 51, t, 4);
	end(m);
}

static struct dhcp_in read_ok(const struct made *m)
{
	struct dhcp_in in;

	ck_assert(dhcp_read(m->frame, m->size, &in));
	return in;
}

/* ---- messages ---- */

START_TEST(options)
{
	struct made m;
	struct dhcp_in in;

	begin(&m, DHCP_ACK, 7);
	opt(&m, 1, "\xff\xff\xf0\x00", 4);
	opt(&m, 3, "\xc0\x00\x02\xfe", 4);
	opt(&m, 6, "\x01\x01\x01\x01\x02\x02\x02\x02", 8);
	opt(&m, 15, "ex.org\nnameserver 6.6.6.6", 25);
	end(&m);
	in = read_ok(&m);
	ck_assert_uint_eq(in.len, 20);
	ck_assert_uint_eq(in.n_dns, 2);
	ck_assert_str_eq(in.domain, "ex.org");
	ck_assert_uint_eq(in.n_routes, 1);
	ck_assert_uint_eq(in.routes[0].len, 0);
	ck_assert_mem_eq(in.routes[0].gw, "\xc0\x00\x02\xfe", 4);
	/* Classless routes, in two parts cut in the middle of one: the router is not looked at. */
	begin(&m, DHCP_ACK, 7);
	opt(&m, 3, "\xc0\x00\x02\xfe", 4);
	opt(&m, 121, "\x0a\x0a\x7f\xc0\x00", 5);
	opt(&m, 121, "\x02\x05\x00\xc0\x00\x02\x06", 7);
	end(&m);
	in = read_ok(&m);
	ck_assert_uint_eq(in.n_routes, 2);
	ck_assert_mem_eq(in.routes[0].net, "\x0a\x40\x00\x00", 4); /* host bits off */
	ck_assert_mem_eq(in.routes[0].gw, "\xc0\x00\x02\x05", 4);
	ck_assert_uint_eq(in.routes[1].len, 0);
	ck_assert_mem_eq(in.routes[1].gw, "\xc0\x00\x02\x06", 4);
}
END_TEST

START_TEST(refused_frames)
{
	struct made m, bad;
	struct dhcp_in in;

	lease(&m, DHCP_ACK, 7, 60);
	ck_assert(dhcp_read(m.frame, m.size, &in));
	for (size_t n = 0; n < m.size; n++)
		ck_assert(!dhcp_read(m.frame, n, &in));
	bad = m;
	bad.frame[14 + 20 + 1] = 68; /* from a client */
	ck_assert(!dhcp_read(bad.frame, bad.size, &in));
	bad = m;
	bad.frame[14 + 6] = 0x20; /* a fragment */
	ck_assert(!dhcp_read(bad.frame, bad.size, &in));
	bad = m;
	bad.frame[42] = 1; /* a request */
	ck_assert(!dhcp_read(bad.frame, bad.size, &in));
	/* Any damage: no crash, and what is read stays within its bounds. */
	for (int i = 0; i < 20000; i++) {
		bad = m;
		for (int k = 0; k < 4; k++)
			bad.frame[rnd((uint32_t)m.size)] = (uint8_t)rnd(256);
		if (dhcp_read(bad.frame, bad.size - rnd(20), &in))
			ck_assert(in.n_routes <= AUTOD_ROUTES && in.n_dns <= AUTOD_DNS &&
				  in.len <= 32 && memchr(in.domain, 0, sizeof(in.domain)));
	}
}
END_TEST

/* What we write is what a reader of the RFC finds. */
START_TEST(written)
{
	struct dhcp_out o = { .type = DHCP_REQUEST,
			      .xid = 0x01020304,
			      .requested = { 192, 0, 2, 7 },
			      .server = { 192, 0, 2, 1 },
			      .hostname = "r1" };
	uint8_t frame[DHCP_FRAME_SIZE];
	size_t n;

	memcpy(o.mac, mac, 6);
	n = dhcp_write(frame, &o);
	ck_assert_uint_eq(n, 14 + 20 + 8 + 300);
	ck_assert_mem_eq(frame, "\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x01\x08\0", 14);
	ck_assert_uint_eq(fold(frame + 14, 20), 0);
	ck_assert_mem_eq(frame + 42 + 4, "\1\2\3\4", 4);
	ck_assert_mem_eq(frame + 42 + 236,
			 "\x63\x82\x53\x63\x35\x01\x03\x3d\x07\x01\x02\0\0\0\0\x01", 16);
	ck_assert_ptr_nonnull(
		memmem(frame, n, "\x32\x04\xc0\x00\x02\x07\x36\x04\xc0\x00\x02\x01", 12));
	ck_assert_ptr_nonnull(memmem(frame, n, "\x0c\x02r1\xff", 5));
}
END_TEST

/* ---- the client ---- */

static const struct autod_dhcp nothing;

static struct dhcp_out sends(struct dhcp_client *c, uint64_t now, uint8_t type)
{
	struct dhcp_out o;

	ck_assert_int_eq(dhcp_next(c, now, &o), DHCP_SEND);
	ck_assert_uint_eq(o.type, type);
	ck_assert_int_eq(dhcp_next(c, now, &o), DHCP_WAIT);
	return o;
}

static int answer(struct dhcp_client *c, uint64_t now, uint8_t type, uint32_t seconds)
{
	struct made m;
	struct dhcp_in in;

	lease(&m, type, c->xid, seconds);
	in = read_ok(&m);
	return dhcp_answer(c, &in, now);
}

/* Nobody answers the probes. */
static void passes_probes(struct dhcp_client *c, uint64_t now)
{
	struct dhcp_out o;

	for (int i = 0; i < DHCP_PROBES; i++) {
		ck_assert_int_eq(dhcp_next(c, now, &o), DHCP_PROBE);
		ck_assert_int_eq(dhcp_next(c, now, &o), DHCP_WAIT);
		ck_assert_uint_eq(dhcp_due(c), now + DHCP_PROBE_MS * NSEC_PER_MSEC);
		now = dhcp_due(c);
	}
	ck_assert_int_eq(dhcp_next(c, now, &o), DHCP_BOUND);
	ck_assert_int_eq(c->state, DHCP_S_BOUND);
}

static void bind_to(struct dhcp_client *c, uint64_t now, uint32_t seconds)
{
	dhcp_begin(c, mac, &nothing, now, rnd);
	sends(c, now, DHCP_DISCOVER);
	ck_assert_int_eq(answer(c, now, DHCP_OFFER, seconds), 0);
	sends(c, now, DHCP_REQUEST);
	ck_assert_int_eq(answer(c, now, DHCP_ACK, seconds), 0);
	passes_probes(c, now);
}

START_TEST(declines_what_is_in_use)
{
	struct dhcp_client c;
	uint64_t now = sec(10);
	struct dhcp_out o;
	uint8_t frame[DHCP_FRAME_SIZE];
	size_t n;

	dhcp_begin(&c, mac, &nothing, now, rnd);
	sends(&c, now, DHCP_DISCOVER);
	answer(&c, now, DHCP_OFFER, 600);
	ck_assert(!dhcp_conflict(&c, now, &o));
	sends(&c, now, DHCP_REQUEST);
	answer(&c, now, DHCP_ACK, 600);
	ck_assert_int_eq(dhcp_next(&c, now, &o), DHCP_PROBE);
	/* The server's word again changes nothing. */
	ck_assert_int_eq(answer(&c, now, DHCP_ACK, 600), 0);
	ck_assert(dhcp_conflict(&c, now, &o));
	ck_assert_uint_eq(o.type, DHCP_DECLINE);
	ck_assert_mem_eq(o.requested, "\xc0\x00\x02\x4d", 4);
	ck_assert_mem_eq(o.server, "\xc0\x00\x02\x01", 4);
	ck_assert(o.ciaddr[0] == 0 && o.to[0] == 0);
	/* RFC 2131 table 5: without a list of what is asked for. */
	n = dhcp_write(frame, &o);
	ck_assert_ptr_null(memmem(frame + 42 + 240, n - 42 - 240, "\x37\x08", 2));
	ck_assert(!dhcp_conflict(&c, now, &o));
	ck_assert_uint_eq(dhcp_due(&c), now + sec(DHCP_DECLINE_SEC));
	ck_assert_int_eq(dhcp_next(&c, now + sec(9), &o), DHCP_WAIT);
	sends(&c, now + sec(10), DHCP_DISCOVER);
}
END_TEST

START_TEST(retries_slow_down)
{
	struct dhcp_client c;
	uint64_t now = sec(100), before;
	double want[] = { 4, 8, 16, 32, 64, 64, 64 };

	dhcp_begin(&c, mac, &nothing, now, rnd);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		sends(&c, now, DHCP_DISCOVER);
		before = now;
		now = dhcp_due(&c);
		ck_assert(now - before >= sec(want[i] - 1) && now - before <= sec(want[i] + 1));
	}
	/* Another's answer is none. */
	c.xid++;
	ck_assert_int_eq(answer(&c, now, DHCP_NAK, 0), 0);
}
END_TEST

START_TEST(renews_rebinds_and_ends)
{
	struct dhcp_client c;
	uint64_t now = sec(10);
	struct dhcp_out o;

	bind_to(&c, now, 800);
	ck_assert_uint_eq(dhcp_due(&c), now + sec(400));
	o = sends(&c, now + sec(400), DHCP_REQUEST);
	ck_assert_mem_eq(o.to, "\xc0\x00\x02\x01", 4);
	ck_assert_mem_eq(o.to_mac, server_mac, 6);
	ck_assert_mem_eq(o.ciaddr, "\xc0\x00\x02\x4d", 4);
	ck_assert(o.requested[0] == 0 && o.server[0] == 0);
	/* Half of the 300 s that are left until T2. */
	ck_assert_uint_eq(dhcp_due(&c), now + sec(550));
	ck_assert_int_eq(answer(&c, now + sec(500), DHCP_ACK, 800), AUTOD_BOUND);
	now += sec(500);
	o = sends(&c, now + sec(700), DHCP_REQUEST);
	ck_assert_int_eq(c.state, DHCP_S_REBINDING);
	ck_assert(o.to[0] == 0 && o.to_mac[0] == 0);
	ck_assert_int_eq(dhcp_next(&c, now + sec(800), &o), DHCP_GONE);
	sends(&c, now + sec(800), DHCP_DISCOVER);
	/* The server's own times count when they are in order. */
	bind_to(&c, now, UINT32_MAX);
	ck_assert_uint_eq(dhcp_due(&c), UINT64_MAX);
}
END_TEST

START_TEST(asks_for_the_old_address)
{
	struct autod_dhcp old = { .addr = { 192, 0, 2, 77 }, .left_sec = 50, .hostname = "r1" };
	struct dhcp_client c;
	struct dhcp_out o;
	uint64_t now = sec(5);

	dhcp_begin(&c, mac, &old, now, rnd);
	o = sends(&c, now, DHCP_REQUEST);
	ck_assert_mem_eq(o.requested, old.addr, 4);
	ck_assert(o.server[0] == 0 && o.ciaddr[0] == 0);
	ck_assert_int_eq(answer(&c, now, DHCP_ACK, 600), AUTOD_BOUND);
	/* Refused: it is no more. */
	dhcp_begin(&c, mac, &old, now, rnd);
	sends(&c, now, DHCP_REQUEST);
	ck_assert_int_eq(answer(&c, now, DHCP_NAK, 0), AUTOD_LOST);
	sends(&c, now, DHCP_DISCOVER);
	/* No answer: looked for anew, but used until its time is over. */
	dhcp_begin(&c, mac, &old, now, rnd);
	sends(&c, now, DHCP_REQUEST);
	sends(&c, dhcp_due(&c), DHCP_REQUEST);
	sends(&c, dhcp_due(&c), DHCP_DISCOVER);
	ck_assert_uint_eq(c.expire_ns, now + sec(50));
	ck_assert_int_eq(dhcp_next(&c, now + sec(50), &o), DHCP_GONE);
	ck_assert(!dhcp_release(&c, &o));
}
END_TEST

/* Whatever comes when: it always knows when to go on, and an address without a lease is none. */
START_TEST(survives_anything)
{
	struct dhcp_client c;
	uint64_t now = sec(1);
	bool bound = false;
	struct dhcp_out o;

	dhcp_begin(&c, mac, &nothing, now, rnd);
	for (int i = 0; i < 200000; i++) {
		enum dhcp_act act;
		unsigned sent = 0;

		while ((act = dhcp_next(&c, now, &o)) != DHCP_WAIT) {
			ck_assert(act != DHCP_GONE || bound);
			ck_assert(act != DHCP_BOUND || !bound);
			bound = act == DHCP_BOUND || (bound && act != DHCP_GONE);
			ck_assert_uint_le(++sent, 4);
		}
		ck_assert(dhcp_due(&c) > now);
		ck_assert(rnd(4) || !dhcp_conflict(&c, now, &o) || !bound);
		if (rnd(3) == 0) {
			static const uint8_t types[] = { DHCP_OFFER, DHCP_ACK, DHCP_NAK };
			int r = answer(&c, now, types[rnd(3)], rnd(2) ? rnd(500) : rnd(UINT32_MAX));

			ck_assert(r != AUTOD_LOST || bound);
			bound = r == AUTOD_BOUND || (bound && r != AUTOD_LOST);
		}
		now += rnd(2) ? sec(1) : MIN(dhcp_due(&c) - now, sec(100000));
	}
}
END_TEST

/* ---- advertisements ---- */

static uint16_t icmp6_sum(const uint8_t *f, size_t n)
{
	uint32_t s = (uint32_t)(n - 54) + 58;

	for (size_t i = 22; i < n; i += 2)
		s += (uint32_t)(f[i] << 8 | (i + 1 < n ? f[i + 1] : 0));
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

START_TEST(advertisement)
{
	struct autod_ra ra = { .from = { 0xfe, 0x80, [15] = 1 },
			       .hop_limit = 64,
			       .flags = 0x40,
			       .lifetime_sec = 1800,
			       .max_sec = 200,
			       .min_sec = 66,
			       .mtu = 1500,
			       .dns_sec = 600,
			       .n_prefixes = 1,
			       .n_dns = 1 };
	uint8_t f[RA_FRAME_SIZE];
	size_t n;

	ra.prefixes[0] = (struct autod_prefix){ .net = { 0x20, 1, 0xd, 0xb8 },
						.len = 64,
						.flags = 0xc0,
						.valid_sec = 9,
						.preferred_sec = 8 };
	ra.dns[0][15] = 53;
	n = ra_write(f, mac, &ra, false);
	ck_assert_uint_eq(n, 54 + 16 + 8 + 8 + 32 + 24);
	ck_assert_uint_eq(icmp6_sum(f, n), 0);
	ck_assert_uint_eq(f[21], 255);
	ck_assert_mem_eq(f + 54, "\x86\0", 2);
	ck_assert_mem_eq(f + 58, "\x40\x40\x07\x08", 4);
	ck_assert_mem_eq(f + 54 + 32, "\x03\x04\x40\xc0\0\0\0\x09\0\0\0\x08", 12);
	n = ra_write(f, mac, &ra, true);
	ck_assert_uint_eq(icmp6_sum(f, n), 0);
	ck_assert_mem_eq(f + 60, "\0\0", 2);
}
END_TEST

START_TEST(solicitation)
{
	uint8_t f[78] = { [12] = 0x86, [13] = 0xdd, [14] = 0x60, [19] = 16, [20] = 58,
			  [21] = 255,  [22] = 0xfe, [23] = 0x80, [37] = 5,  [38] = 0xff,
			  [39] = 2,    [53] = 2,    [54] = 133,  [62] = 1,  [63] = 1 };
	uint8_t bad[78];
	uint16_t s = icmp6_sum(f, 70);

	f[56] = (uint8_t)(s >> 8);
	f[57] = (uint8_t)s;
	ck_assert(ra_is_solicitation(f, 70));
	for (size_t n = 0; n < 70; n++)
		ck_assert(!ra_is_solicitation(f, n));
	for (size_t i = 14; i < 70; i++) {
		memcpy(bad, f, sizeof(bad));
		bad[i] ^= 0x10;
		/* The class and the flow label are nobody's business. */
		if (i > 14 && i < 18)
			continue;
		ck_assert_msg(!ra_is_solicitation(bad, 70), "byte %zu", i);
	}
}
END_TEST

START_TEST(intervals)
{
	struct autod_ra ra = { .max_sec = 200, .min_sec = 60 };
	struct ra_timer t;
	uint64_t now = sec(1), before;

	ra_begin(&t, now, rnd);
	for (unsigned i = 0; i < 1000; i++) {
		ck_assert(!ra_due_now(&t, &ra, t.next_ns - 1));
		before = now;
		now = t.next_ns;
		ck_assert(ra_due_now(&t, &ra, now));
		if (i == 0)
			ck_assert(now - before <= sec(0.5));
		else if (i < 3)
			ck_assert(now - before <= sec(16));
		else
			ck_assert(now - before >= sec(60) && now - before <= sec(200.01));
	}
	/* Asked a hundred times: one answer within half a second, the next one three later. */
	for (int i = 0; i < 100; i++)
		ra_solicited(&t, now + sec(10));
	ck_assert(t.next_ns >= now + sec(10) && t.next_ns <= now + sec(10.5));
	now = t.next_ns;
	ck_assert(ra_due_now(&t, &ra, now));
	ra_solicited(&t, now + 1);
	ck_assert(t.next_ns >= now + sec(3));
}
END_TEST

static void set_up(void)
{
	rnd_state = test_seed;
}

static Suite *suite(void)
{
	Suite *s = suite_create("autod");
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, NULL);
	tcase_add_test(t, options);
	tcase_add_test(t, refused_frames);
	tcase_add_test(t, written);
	tcase_add_test(t, retries_slow_down);
	tcase_add_test(t, renews_rebinds_and_ends);
	tcase_add_test(t, declines_what_is_in_use);
	tcase_add_test(t, asks_for_the_old_address);
	tcase_add_test(t, survives_anything);
	tcase_add_test(t, advertisement);
	tcase_add_test(t, solicitation);
	tcase_add_test(t, intervals);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
