/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rtr-arpd's frames, filter and timing, without a network. */
#include "neigh/arpd_dad.h"
#include "neigh/arpd_frame.h"
#include "../lib/check_main.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MS NSEC_PER_MSEC

static const uint8_t our_mac[6] = { 2, 0, 0, 0, 0, 1 }, their_mac[6] = { 2, 0, 0, 0, 0, 9 };

/* ---- frames ---- */

START_TEST(arp_round_trip)
{
	static const uint8_t addr[4] = { 10, 0, 0, 1 }, zero[4];
	uint8_t f[ARPD_ARP_SIZE];
	struct arpd_arp a;

	for (int probe = 0; probe < 2; probe++) {
		arpd_arp_write(f, our_mac, addr, probe);
		ck_assert(arpd_arp_read(f, sizeof(f), &a));
		ck_assert_uint_eq(a.op, 1);
		ck_assert_mem_eq(a.sha, our_mac, 6);
		ck_assert_mem_eq(a.spa, probe ? zero : addr, 4);
		ck_assert_mem_eq(a.tpa, addr, 4);
		ck_assert_mem_eq(a.tha, "\0\0\0\0\0\0", 6);
		ck_assert_mem_eq(f, "\xff\xff\xff\xff\xff\xff", 6);
		for (size_t n = 0; n < sizeof(f); n++)
			ck_assert(!arpd_arp_read(f, n, &a));
	}
	/* A wrong byte in any field that has one value only. */
	for (size_t i = 12; i < 22; i++) {
		arpd_arp_write(f, our_mac, addr, false);
		f[i] ^= 0x40;
		ck_assert_msg(!arpd_arp_read(f, sizeof(f), &a), "byte %zu", i);
	}
}
END_TEST

static uint32_t sum_of(const uint8_t *p, size_t n, uint32_t sum)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

START_TEST(na_is_right)
{
	uint8_t addr[16] = { 0x20, 1, 0xd, 0xb8 }, f[ARPD_NA_SIZE], pseudo[40] = { 0 };
	uint64_t st = test_seed;

	for (int i = 0; i < 1000; i++) {
		bool router = i & 1;

		for (size_t k = 4; k < 16; k++)
			addr[k] = (uint8_t)test_rand(&st);
		arpd_na_write(f, our_mac, addr, router);
		memcpy(pseudo, f + 22, 32);
		pseudo[35] = 32;
		pseudo[39] = 58;
		ck_assert_uint_eq(sum_of(f + 54, 32, sum_of(pseudo, 40, 0)), 0xffff);
		ck_assert_uint_eq(f[14 + 7], 255);
		ck_assert_uint_eq(f[54 + 4], router ? 0xa0 : 0x20);
		ck_assert_mem_eq(f + 54 + 8, addr, 16);
		ck_assert_mem_eq(f + 54 + 26, our_mac, 6);
	}
}
END_TEST

/* The kernel's own interpreter, by way of a socket pair. */
static bool passes(int fd[2], const uint8_t *frame, size_t size)
{
	uint8_t buf[128];

	ck_assert_int_ge(send(fd[0], frame, size, 0), -1);
	return recv(fd[1], buf, sizeof(buf), MSG_DONTWAIT) >= 0;
}

static int u32_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static bool is_one_of(uint32_t x, const uint32_t *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (v[i] == x)
			return true;
	}
	return false;
}

START_TEST(filter_against_a_search)
{
	static struct sock_filter code[ARPD_FILTER_ROOM];
	static const size_t sizes[] = { 0, 1, 2, 4, 5, 9, 60, 700, ARPD_FILTER_MAX_ADDRS };
	static uint32_t addrs[ARPD_FILTER_MAX_ADDRS];
	struct sock_fprog prog = { .filter = code };
	uint64_t st = test_seed;
	int fd[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, fd), 0);
	for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
		size_t n = sizes[s];

		for (size_t i = 0; i < n; i++)
			addrs[i] = 0x0a000000 + (uint32_t)(test_rand(&st) % 4000) + 1;
		if (n)
			qsort(addrs, n, sizeof(*addrs), u32_cmp);
		prog.len = (unsigned short)arpd_filter(code, our_mac, addrs, n);
		ck_assert_uint_le(prog.len, ARPD_FILTER_ROOM);
		ck_assert_int_eq(
			setsockopt(fd[1], SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)), 0);
		for (int i = 0; i < 2000; i++) {
			uint32_t x = 0x0a000000 + (uint32_t)(test_rand(&st) % 4000) + 1,
				 be = htonl(x);
			bool probe = test_rand(&st) & 1, mine = !(test_rand(&st) % 8);
			uint8_t f[ARPD_ARP_SIZE], a[4];

			memcpy(a, &be, 4);
			arpd_arp_write(f, mine ? our_mac : their_mac, a, probe);
			ck_assert_msg(passes(fd, f, sizeof(f)) == (is_one_of(x, addrs, n) && !mine),
				      "%zu addresses, %08x, probe %d, mine %d", n, x, probe, mine);
		}
	}
	/* Asking for ours is none of our business, nor is what is no ARP over Ethernet or too
	 * short. */
	for (size_t i = 0; i < 3; i++) {
		uint8_t f[ARPD_ARP_SIZE];
		uint32_t be = htonl(addrs[0]);

		arpd_arp_write(f, their_mac, (uint8_t *)&be, false);
		ck_assert(passes(fd, f, sizeof(f)));
		if (i == 0)
			memcpy(f + 28, "\x0a\x09\x09\x09", 4);
		else if (i == 1)
			f[15] = 6;
		ck_assert(!passes(fd, f, i == 2 ? 30 : sizeof(f)));
	}
	close(fd[0]);
	close(fd[1]);
}
END_TEST

/* ---- time ---- */

static uint32_t chance;

static uint32_t pick(uint32_t below)
{
	return MIN(chance, below - 1);
}

struct seen {
	enum dad_act act;
	unsigned ms;
};

/* What happens by itself until `ms`. */
static size_t run(struct dad *d, uint64_t start, unsigned ms, struct seen *v, size_t room)
{
	size_t n = 0;

	while (dad_due(d) <= start + ms * MS) {
		uint64_t now = dad_due(d);
		enum dad_act a = dad_next(d, now, pick);

		ck_assert_int_ne(a, DAD_NONE);
		ck_assert_uint_lt(n, room);
		v[n++] = (struct seen){ a, (unsigned)((now - start) / MS) };
	}
	return n;
}

static void same(const struct seen *v, size_t n, const struct seen *want, size_t n_want)
{
	ck_assert_uint_eq(n, n_want);
	for (size_t i = 0; i < n; i++) {
		ck_assert_msg(v[i].act == want[i].act && v[i].ms == want[i].ms,
			      "%zu: %d at %u, not %d at %u", i, v[i].act, v[i].ms, want[i].act,
			      want[i].ms);
	}
}

START_TEST(strict_by_the_clock)
{
	static const struct seen early[] = { { DAD_PROBE, 0 },       { DAD_PROBE, 1000 },
					     { DAD_PROBE, 2000 },    { DAD_PASSED, 4000 },
					     { DAD_ANNOUNCE, 4000 }, { DAD_ANNOUNCE, 6000 } };
	static const struct seen late[] = { { DAD_PROBE, 999 },     { DAD_PROBE, 2998 },
					    { DAD_PROBE, 4997 },    { DAD_PASSED, 6997 },
					    { DAD_ANNOUNCE, 6997 }, { DAD_ANNOUNCE, 8997 } };
	uint64_t t = 5 * NSEC_PER_SEC;
	struct seen v[16];
	struct dad d;

	chance = 0;
	dad_begin(&d, ARPD_STRICT, 2, 2000, t, pick);
	ck_assert(!d.in_use);
	same(v, run(&d, t, 100000, v, 16), early, ARRAY_LEN(early));
	ck_assert(d.in_use);
	chance = UINT32_MAX;
	dad_begin(&d, ARPD_STRICT, 2, 2000, t, pick);
	same(v, run(&d, t, 100000, v, 16), late, ARRAY_LEN(late));
}
END_TEST

START_TEST(defend_announces_at_once)
{
	static const struct seen want[] = { { DAD_ANNOUNCE, 0 },   { DAD_PROBE, 0 },
					    { DAD_ANNOUNCE, 300 }, { DAD_ANNOUNCE, 600 },
					    { DAD_PROBE, 1000 },   { DAD_PROBE, 2000 },
					    { DAD_PASSED, 4000 } };
	static const struct seen alone[] = { { DAD_ANNOUNCE, 0 }, { DAD_ANNOUNCE, 300 } };
	uint64_t t = NSEC_PER_SEC;
	struct seen v[16];
	struct dad d;
	bool say, defend;

	chance = 0;
	dad_begin(&d, ARPD_DEFEND, 3, 300, t, pick);
	ck_assert(d.in_use);
	same(v, run(&d, t, 100000, v, 16), want, ARRAY_LEN(want));
	dad_begin(&d, ARPD_ANNOUNCE, 2, 300, t, pick);
	same(v, run(&d, t, 100000, v, 16), alone, ARRAY_LEN(alone));
	dad_conflict(&d, false, t, &say, &defend);
	ck_assert(!say && !defend);
	dad_begin(&d, ARPD_DEFEND, 0, 300, t, pick);
	ck_assert_uint_eq(run(&d, t, 100000, v, 16), 4);
}
END_TEST

START_TEST(defence_is_rare)
{
	uint64_t t = NSEC_PER_SEC;
	unsigned told = 0, defended = 0;
	bool say, defend;
	struct dad d;

	chance = 0;
	dad_begin(&d, ARPD_DEFEND, 1, 100, t, pick);
	/* Who asks is answered by the kernel. */
	dad_conflict(&d, true, t, &say, &defend);
	ck_assert(!say && !defend);
	for (unsigned ms = 0; ms < 60000; ms += 10) {
		dad_conflict(&d, false, t + ms * MS, &say, &defend);
		told += say;
		defended += defend;
	}
	ck_assert_uint_eq(told, 6);
	ck_assert_uint_eq(defended, 6);
	ck_assert_uint_eq(d.n_conflicts, 6000);
}
END_TEST

START_TEST(strict_tries_again)
{
	uint64_t t = NSEC_PER_SEC;
	unsigned told = 0, probes = 0;
	bool say, defend;
	struct dad d;

	chance = 0;
	dad_begin(&d, ARPD_STRICT, 1, 100, t, pick);
	/* Another probe for it counts too; so does one before ours. */
	dad_conflict(&d, true, t, &say, &defend);
	ck_assert(say && !defend && !d.in_use);
	ck_assert_uint_eq(dad_due(&d), t + DAD_DEFEND_INTERVAL_MS * MS);
	/* Answered each time: nine more tries 10 s apart, then one a minute; never in use. */
	for (uint64_t now = t; now < t + 400 * NSEC_PER_SEC; now += 10 * MS) {
		enum dad_act a = dad_next(&d, now, pick);

		ck_assert(a == DAD_NONE || a == DAD_PROBE);
		if (a != DAD_PROBE)
			continue;
		probes++;
		dad_conflict(&d, false, now, &say, &defend);
		told += say;
		ck_assert(!defend);
	}
	ck_assert_uint_eq(probes, told);
	ck_assert_uint_eq(probes, 9 + 5);
	/* The other one goes. */
	struct seen v[8];
	size_t n = run(&d, t + 400 * NSEC_PER_SEC, 100000, v, 8);

	ck_assert_uint_eq(n, 5);
	ck_assert_int_eq(v[3].act, DAD_PASSED);
	ck_assert(d.in_use);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("arpd");
	TCase *t = tcase_create("all");

	tcase_add_test(t, arp_round_trip);
	tcase_add_test(t, na_is_right);
	tcase_add_test(t, filter_against_a_search);
	tcase_add_test(t, strict_by_the_clock);
	tcase_add_test(t, defend_announces_at_once);
	tcase_add_test(t, defence_is_rare);
	tcase_add_test(t, strict_tries_again);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
