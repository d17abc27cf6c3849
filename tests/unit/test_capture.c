/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Captures: text of packets, pcapng, files that rotate and run full, filters. */
#include "../lib/check_main.h"

#include "capture/filter.h"
#include "capture/pcapng.h"
#include "capture/pkt_text.h"
#include "capture/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <unistd.h>

static uint64_t test_random(void)
{
	return test_rand(&test_seed) >> 16;
}

/* ---- text ---- */

static size_t from_hex(const char *s, uint8_t *b)
{
	size_t n = 0;
	unsigned v;

	for (; *s; s += 2) {
		while (*s == ' ')
			s++;
		if (sscanf(s, "%2x", &v) != 1)
			break;
		b[n++] = (uint8_t)v;
	}
	return n;
}

#define MACS "001122334455 66778899aabb "
#define IP6A "20010db8000000000000000000000001 20010db8000000000000000000000002 "

static const struct {
	const char *hex, *text;
	size_t more; /* bytes on the wire that were not captured */
} texts[] = {
	{ MACS
	  "0800 4500003c 00014000 4006 0000 0a000001 c6336401 9c40 01bb 00000007 00000000 a002 "
	  "faf0 0000 0000 0000000000000000000000000000000000000000",
	  "tcp 10.0.0.1:40000 > 198.51.100.1:443 [S] seq 7 win 64240, length 0 ttl 64", 0 },
	{ MACS "8100 000a 0800 45000028 00014000 4006 0000 0a000001 c6336401 9c40 01bb 00000007 "
	       "00000009 5014 faf0 0000 0000",
	  "vlan 10 tcp 10.0.0.1:40000 > 198.51.100.1:443 [R.] seq 7 ack 9 win 64240, length 0 ttl 64",
	  0 },
	{ MACS "0800 4500001c 00010000 4011 0000 0a000001 c6336401 9c40 0035 0008 0000",
	  "udp 10.0.0.1:40000 > 198.51.100.1:53, length 0 ttl 64", 0 },
	{ MACS "0800 4500001c 00010000 4011 0000 0a000001 c6336401 9c40 0035 0007 0000",
	  "udp 10.0.0.1:40000 > 198.51.100.1:53 [length 7] ttl 64", 0 },
	{ MACS "0800 4500002c 00012000 4011 0000 0a000001 c6336401 9c40 0035 0018 0000",
	  "udp 10.0.0.1:40000 > 198.51.100.1:53, length 16 fragment at 0+ ttl 64", 16 },
	{ MACS "0800 4500001c 0001000a 4011 0000 0a000001 c6336401 0000000000000000",
	  "protocol 17 10.0.0.1 > 198.51.100.1, length 8 fragment at 80 ttl 64", 0 },
	{ MACS "0800 44", " [too short]", 0 },
	{ MACS "0800 45", " [cut]", 60 },
	{ MACS "0800 4400001c 00010000 4011 0000 0a000001 c6336401 9c40 0035 0008 0000",
	  "ip 10.0.0.1 > 198.51.100.1 [header length 16, total length 28]", 0 },
	{ MACS
	  "0800 45000038 00010000 4001 0000 0a000001 c6336401 0303 0000 00000000 4500001d 0001 "
	  "0000 4011 0000 c6336401 0a000001 0035 9c40 0009 0000",
	  "icmp 10.0.0.1 > 198.51.100.1 port unreachable, length 36 for udp 198.51.100.1:53 > "
	  "10.0.0.1:40000, length 1 ttl 64",
	  0 },
	{ MACS "86dd 60000000 0008 3a 40 " IP6A "8000 0000 0005 0001",
	  "icmpv6 2001:db8::1 > 2001:db8::2 echo request id 5 seq 1, length 8 hops 64", 0 },
	{ MACS "86dd 60000000 0010 2c 40 " IP6A "1100 0001 00000001 9c40 0035 0100 0000",
	  "udp [2001:db8::1]:40000 > [2001:db8::2]:53 [length 256] fragment at 0+ hops 64", 0 },
	{ MACS "86dd 60000000 0010 2c 40 " IP6A "1100 0050 00000001 9c40 0035 0100 0000",
	  "protocol 17 2001:db8::1 > 2001:db8::2, length 8 fragment at 80 hops 64", 0 },
	{ MACS "86dd 60000000 0008 00 40 " IP6A "3b ff 0000 00000000",
	  "ipv6 2001:db8::1 > 2001:db8::2 [too short]", 0 },
	{ MACS "0806 0001 0800 06 04 0001 66778899aabb 0a000001 000000000000 0a000002",
	  "arp who-has 10.0.0.2 tell 10.0.0.1 (6677.8899.aabb)", 0 },
	{ MACS "0806 0001 0800 06 04 0002 66778899aabb 0a000001 001122334455 0a000002",
	  "arp 10.0.0.1 is-at 6677.8899.aabb to 10.0.0.2", 0 },
	{ MACS "8864 1100 0007 001e 0021 4500001c 00010000 4011 0000 0a000001 c6336401 9c40 0035 "
	       "0008 0000",
	  "pppoe session 7 udp 10.0.0.1:40000 > 198.51.100.1:53, length 0 ttl 64", 0 },
	{ MACS "88cc 0207", "ethertype 0x88cc 6677.8899.aabb > 0011.2233.4455, length 2", 0 },
	{ "001122", " [too short]", 0 },
};

START_TEST(text_of_packets)
{
	uint8_t b[256];
	char t[PKT_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		size_t n = from_hex(texts[i].hex, b);

		ck_assert_str_eq(pkt_text(PKT_ETHERNET, b, n, n + texts[i].more, t), texts[i].text);
	}
}
END_TEST

/* Cut anywhere and turned over in any bit: no more than a wrong text. */
START_TEST(text_of_anything)
{
	char t[PKT_TEXT_MAX];

	for (unsigned round = 0; round < 200; round++) {
		for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
			uint8_t b[256], *exact;
			size_t n = from_hex(texts[i].hex, b), cut;

			b[test_random() % n] ^= (uint8_t)(1u << test_random() % 8);
			cut = test_random() % (n + 1);
			/* Of its exact size, for a sanitizer to see what is read beyond. */
			exact = xmalloc(MAX(cut, (size_t)1));
			memcpy(exact, b, cut);
			pkt_text(i % 2 ? PKT_ETHERNET : PKT_IP, exact, cut, n, t);
			ck_assert_uint_lt(strlen(t), PKT_TEXT_MAX);
			for (const char *p = t; *p; p++)
				ck_assert_msg(*p >= ' ' && *p <= '~', "text %s", t);
			free(exact);
		}
	}
}
END_TEST

/* ---- pcapng ---- */

START_TEST(blocks)
{
	uint8_t data[100], b[1024];
	struct pcapng_head h = { .serial = 7,
				 .link = 1,
				 .snap = 100,
				 .ifname = "eth0",
				 .filter = "tcp port 80",
				 .program = "rtr" },
			   got = { 0 };
	struct pcapng_packet q;
	size_t n = pcapng_put_head(b, &h), size;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)test_random();
	ck_assert_uint_le(n, PCAPNG_HEAD_MAX);
	ck_assert_uint_eq(pcapng_get_head(b, n, &got), n);
	ck_assert_uint_eq(got.serial, 7);
	ck_assert_uint_eq(got.link, 1);
	ck_assert_uint_eq(got.snap, 100);
	ck_assert_uint_eq(pcapng_get_head(b, n - 1, &got), 0);
	b[40] ^= 1; /* the comment that names it ours */
	ck_assert_uint_eq(pcapng_get_head(b, n, &got), 0);
	for (uint32_t have = 0; have <= 100; have++) {
		struct pcapng_packet p = { .time_ns = 0x123456789abcdefull,
					   .have = have,
					   .size = 1500,
					   .out = have % 2,
					   .data = data };

		n = pcapng_put_packet(b, &p);
		ck_assert_uint_le(n, have + PCAPNG_PACKET_EXTRA);
		ck_assert_int_eq(pcapng_next(b, n, &size, &q), PCAPNG_PACKET);
		ck_assert_uint_eq(size, n);
		ck_assert(q.time_ns == p.time_ns && q.have == have && q.size == 1500 &&
			  q.out == p.out && !memcmp(q.data, data, have));
		ck_assert_int_eq(pcapng_next(b, n - 1, &size, &q), PCAPNG_MORE);
		b[n - 1] ^= 1;
		ck_assert_int_eq(pcapng_next(b, n, &size, &q), PCAPNG_BAD);
	}
	ck_assert_uint_le(pcapng_put_stats(b, 1, 2, 3), PCAPNG_STATS_SIZE);
	ck_assert_int_eq(pcapng_next(b, sizeof(b), &size, &q), PCAPNG_OTHER);
}
END_TEST

/* ---- files ---- */

static struct spool spool;

static int temp_file(void)
{
	char path[] = "/tmp/test_capture.XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	unlink(path);
	return fd;
}

static void make_spool(unsigned n, uint64_t max)
{
	static const struct pcapng_head h = {
		.link = 1, .snap = 1000, .ifname = "e", .filter = "", .program = "p"
	};
	int fds[CAPTURED_FILES];

	for (unsigned i = 0; i < n; i++)
		fds[i] = temp_file();
	spool_open(&spool, fds, n);
	ck_assert_int_eq(spool_begin(&spool, &h, max), 0);
}

static int put(uint32_t number)
{
	uint8_t data[200] = { 0 };

	memcpy(data, &number, sizeof(number));
	return spool_put(&spool, &(struct pcapng_packet){ .time_ns = number,
							  .have = 60 + number % 140,
							  .size = 200,
							  .data = data });
}

/* Numbers from..to and no other, in pieces of an odd size. */
static void expect(uint32_t from, uint32_t to)
{
	uint8_t b[1000];
	uint64_t cursor = 0;
	uint32_t want = from;
	ssize_t n;

	while ((n = spool_read(&spool, &cursor, b, sizeof(b))) > 0) {
		struct pcapng_packet p;
		size_t size;

		for (size_t at = 0; at < (size_t)n; at += size) {
			ck_assert_int_eq(pcapng_next(b + at, (size_t)n - at, &size, &p),
					 PCAPNG_PACKET);
			ck_assert_uint_eq(p.time_ns, want++);
		}
	}
	ck_assert_int_eq((int)n, 0);
	ck_assert_uint_eq(want, to + 1);
}

START_TEST(linear_file)
{
	uint32_t n = 1;

	make_spool(1, 100000);
	while (!put(n))
		n++;
	ck_assert_int_eq(put(n), -EFBIG);
	ck_assert_int_eq(spool_end(&spool), 0);
	ck_assert_uint_le(spool_bytes(&spool), 100000);
	ck_assert_uint_gt(spool_bytes(&spool), 99000);
	ck_assert_uint_eq(spool_packets(&spool), n - 1);
	expect(1, n - 1);
	spool_close(&spool);
}
END_TEST

START_TEST(rotating_files)
{
	uint32_t last = 20000 + test_random() % 2000, first;

	make_spool(CAPTURED_FILES, 400000);
	for (uint32_t i = 1; i <= last; i++)
		ck_assert_int_eq(put(i), 0);
	ck_assert_int_eq(spool_flush(&spool), 0);
	ck_assert_uint_le(spool_bytes(&spool), 400000);
	ck_assert_uint_gt(spool_bytes(&spool), 300000);
	first = last - (uint32_t)spool_packets(&spool) + 1;
	ck_assert_uint_eq(spool.forgotten, first - 1);
	expect(first, last);
	spool_close(&spool);
}
END_TEST

/* As after a crash of the machine: the end of the newest file is missing or wrong. */
START_TEST(files_of_before)
{
	int fds[CAPTURED_FILES];
	uint64_t packets, bytes;
	struct spool other;

	make_spool(CAPTURED_FILES, 40000);
	for (uint32_t i = 1; i <= 1000; i++)
		put(i);
	ck_assert_int_eq(spool_end(&spool), 0);
	packets = spool_packets(&spool);
	bytes = spool_bytes(&spool);
	for (unsigned i = 0; i < CAPTURED_FILES; i++)
		fds[i] = dup(spool.f[i].fd);
	spool_open(&other, fds, CAPTURED_FILES);
	ck_assert_uint_eq(spool_packets(&other), packets);
	ck_assert_uint_eq(spool_bytes(&other), bytes);
	ck_assert_uint_eq(other.newest_ns, 1000);
	spool_close(&other);

	ck_assert_int_eq(ftruncate(spool.f[spool.cur].fd, (off_t)spool.f[spool.cur].end - 5), 0);
	for (unsigned i = 0; i < CAPTURED_FILES; i++)
		fds[i] = dup(spool.f[i].fd);
	spool_close(&spool);
	spool_open(&spool, fds, CAPTURED_FILES);
	ck_assert_uint_eq(spool_packets(&spool), packets - 1);
	expect(1000 - (uint32_t)packets + 1, 999);
	spool_close(&spool);
}
END_TEST

START_TEST(file_that_cannot_be_written)
{
	int full = open("/dev/full", O_RDWR), was;

	make_spool(1, 100000);
	was = dup(spool.f[0].fd);
	for (uint32_t i = 1; i <= 10; i++)
		put(i);
	ck_assert_int_eq(spool_flush(&spool), 0);
	put(11);
	dup2(full, spool.f[0].fd);
	ck_assert_int_eq(spool_flush(&spool), -ENOSPC);
	dup2(was, spool.f[0].fd);
	ck_assert_uint_eq(spool_packets(&spool), 10);
	expect(1, 10);
	close(full);
	close(was);
	spool_close(&spool);
}
END_TEST

/* ---- filters ---- */

static const struct {
	const char *text, *error; /* NULL: right */
} filters[] = {
	{ "", NULL },
	{ "any", NULL },
	{ "tcp port 80 and host 10.0.0.1", NULL },
	{ "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn", NULL },
	{ "icmp or icmp6", NULL },
	{ "tcp port https or udp port https or port domain", NULL },
	{ "udp port ntp", NULL },
	{ "tcp port ntp", "the filter is wrong at character 10, \"ntp\": port 'ntp' is udp" },
	{ "port hhtp", "the filter is wrong at character 6, \"hhtp\": unknown port 'hhtp'" },
	{ "host example.org",
	  "the filter is wrong at character 6, \"example.org\": unknown host 'example.org'" },
	{ "tcp prot 80", "the filter is wrong at character 5, \"prot\": syntax error" },
	{ "host 10.0.0.1 and and tcp",
	  "the filter is wrong at character 19, \"and\": syntax error" },
	{ "tcp[tcpflags] & (tcp-syn|tcp-akc) != 0",
	  "the filter is wrong at character 26, \"tcp-akc\": syntax error" },
	{ "tcp or udp)", "the filter is wrong at character 11, \")\": syntax error" },
	{ "(tcp or udp", "the filter ends too early: syntax error" },
	{ "host", "the filter ends too early: syntax error" },
	{ "net 10.1.2.3/8",
	  "the filter is wrong at character 5, \"10.1.2.3/8\": non-network bits set in "
	  "\"10.1.2.3/8\"" },
	{ "udp and port 70000",
	  "the filter is wrong at character 14, \"70000\": illegal port number 70000 > 65535" },
};

START_TEST(filter_errors)
{
	for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
		char err[FILTER_ERROR] = "";
		struct filter f;
		int r = filter_compile(&f, filters[i].text, DLT_EN10MB, 65535, FILTER_BOTH, err);

		ck_assert_str_eq(err, filters[i].error ? filters[i].error : "");
		ck_assert_int_eq(r, filters[i].error ? -EINVAL : 0);
		filter_free(&f);
	}
}
END_TEST

/* Compiled for the kernel; what it would decide about an untagged UDP packet to port 53. */
START_TEST(filter_decides)
{
	uint8_t b[64];
	size_t n = from_hex(MACS
			    "0800 4500001c 00010000 4011 0000 0a000001 c6336401 9c40 0035 0008 "
			    "0000",
			    b);
	static const struct {
		const char *text;
		bool yes;
	} cases[] = { { "udp port 53", true }, { "udp port 54", false }, { "vlan 10", false },
		      { "not vlan", true },    { "src 10.0.0.1", true }, { "ip6", false } };
	char err[FILTER_ERROR];
	struct filter f;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		ck_assert_int_eq(
			filter_compile(&f, cases[i].text, DLT_EN10MB, 128, FILTER_BOTH, err), 0);
		ck_assert_int_eq(filter_matches(&f, b, (uint32_t)n, (uint32_t)n) &&
					 bpf_filter((void *)f.kernel, b, (u_int)n, (u_int)n),
				 cases[i].yes);
		filter_free(&f);
	}
	/* A direction is three more instructions, with the packet's kind first. */
	ck_assert_int_eq(filter_compile(&f, "udp", DLT_EN10MB, 128, FILTER_OUT, err), 0);
	ck_assert_uint_eq(f.kernel[0].k, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE));
	ck_assert_uint_eq(f.kernel[1].k, PACKET_OUTGOING);
	filter_free(&f);
}
END_TEST

static Suite *test_suite(void)
{
	Suite *s = suite_create("capture");
	TCase *t = tcase_create("all");

	tcase_add_test(t, text_of_packets);
	tcase_add_test(t, text_of_anything);
	tcase_add_test(t, blocks);
	tcase_add_test(t, linear_file);
	tcase_add_test(t, rotating_files);
	tcase_add_test(t, files_of_before);
	tcase_add_test(t, file_that_cannot_be_written);
	tcase_add_test(t, filter_errors);
	tcase_add_test(t, filter_decides);
	suite_add_tcase(s, t);
	return s;
}
CHECK_MAIN(test_suite)
