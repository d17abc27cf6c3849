/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a TLS client says first, whole and in pieces: segments in any order, records of any size. */
#include "inspect/flows.h"
#include "../lib/check_main.h"

#include <string.h>

struct bytes {
	uint8_t v[40000];
	size_t n;
};

static void put(struct bytes *b, uint32_t n, unsigned size)
{
	while (size--)
		b->v[b->n++] = (uint8_t)(n >> 8 * size);
}

static void fill(struct bytes *b, size_t n)
{
	memset(b->v + b->n, 0x5a, n);
	b->n += n;
}

struct hello {
	const char *name;        /* NULL: no such extension */
	int names;               /* in its list; 0: one */
	int twice;               /* the extension comes twice */
	int kind;                /* of the name */
	size_t share;            /* bytes of the key share */
	bool grease, ech, plain; /* plain: no extensions at all */
};

static void put_sni(struct bytes *b, const struct hello *h)
{
	size_t n = strlen(h->name), k = h->names ? (size_t)h->names : 1;

	put(b, 0, 2);
	put(b, (uint32_t)(2 + k * (n + 3)), 2);
	put(b, (uint32_t)(k * (n + 3)), 2);
	while (k--) {
		put(b, (uint32_t)h->kind, 1);
		put(b, (uint32_t)n, 2);
		memcpy(b->v + b->n, h->name, n);
		b->n += n;
	}
}

static void put_body(struct bytes *b, const struct hello *h)
{
	size_t at;

	put(b, 0x0303, 2);
	fill(b, 32);
	put(b, 32, 1);
	fill(b, 32);
	put(b, 4, 2);
	put(b, h->grease ? 0x3a3a : 0x1302, 2);
	put(b, 0x1301, 2);
	put(b, 1, 1);
	put(b, 0, 1);
	if (h->plain)
		return;
	at = b->n;
	put(b, 0, 2);
	if (h->grease)
		put(b, 0xdada0000, 4);
	put(b, 51, 2);
	put(b, (uint32_t)h->share, 2);
	fill(b, h->share);
	if (h->ech)
		put(b, 0xfe0d0002, 4), put(b, 0, 2);
	for (int i = 0; h->name && i <= h->twice; i++)
		put_sni(b, h);
	if (h->grease)
		put(b, 0x7a7a0001, 4), put(b, 0, 1);
	b->v[at] = (uint8_t)((b->n - at - 2) >> 8);
	b->v[at + 1] = (uint8_t)(b->n - at - 2);
}

/* The stream, in records of so many bytes. */
static struct bytes stream(const struct hello *h, size_t record)
{
	static struct bytes hs;
	struct bytes out = { .n = 0 };

	hs.n = 4;
	put_body(&hs, h);
	hs.v[0] = 1;
	hs.v[1] = (uint8_t)((hs.n - 4) >> 16);
	hs.v[2] = (uint8_t)((hs.n - 4) >> 8);
	hs.v[3] = (uint8_t)(hs.n - 4);
	for (size_t at = 0; at < hs.n; at += record) {
		size_t n = MIN(record, hs.n - at);

		put(&out, 22, 1);
		put(&out, 0x0301, 2);
		put(&out, (uint32_t)n, 2);
		memcpy(out.v + out.n, hs.v + at, n);
		out.n += n;
	}
	return out;
}

static enum tls_hello read_it(const struct hello *h, struct tls_name *ret)
{
	struct bytes b = stream(h, 16384);

	return tls_hello_read(b.v, b.n, ret);
}

START_TEST(names)
{
	static const struct {
		const char *sent, *read;
	} v[] = {
		{ "www.example.com", "www.example.com" },
		{ "WWW.Example.COM", "www.example.com" },
		{ "example.com.", "example.com" },
		{ "a_b-1.xn--bcher-kva.example", "a_b-1.xn--bcher-kva.example" },
		{ "", NULL },
		{ ".", NULL },
		{ ".example.com", NULL },
		{ "a..b", NULL },
		{ "a.b..", NULL },
		{ "a b", NULL },
		{ "*.example.com", NULL },
		{ "\xc3\xa4.example", NULL },
		{ "a234567890123456789012345678901234567890123456789012345678901234.b", NULL },
	};
	struct tls_name n;

	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		enum tls_hello r = read_it(&(struct hello){ .name = v[i].sent }, &n);

		ck_assert_msg(r == (v[i].read ? TLS_NAME : TLS_BAD), "%s: %d", v[i].sent, r);
		if (v[i].read)
			ck_assert_str_eq(n.name, v[i].read);
	}
}
END_TEST

START_TEST(kinds)
{
	struct tls_name n;
	struct bytes b;

	ck_assert_int_eq(read_it(&(struct hello){ .share = 36 }, &n), TLS_NO_NAME);
	ck_assert_int_eq(read_it(&(struct hello){ .plain = true }, &n), TLS_NO_NAME);
	ck_assert_int_eq(read_it(&(struct hello){ .name = "a.b", .grease = true }, &n), TLS_NAME);
	ck_assert(!n.ech);
	ck_assert_int_eq(read_it(&(struct hello){ .name = "outer.b", .ech = true }, &n), TLS_NAME);
	ck_assert(n.ech);
	ck_assert_str_eq(n.name, "outer.b");
	/* What a server could read in two ways. */
	ck_assert_int_eq(read_it(&(struct hello){ .name = "a.b", .names = 2 }, &n), TLS_BAD);
	ck_assert_int_eq(read_it(&(struct hello){ .name = "a.b", .twice = 1 }, &n), TLS_BAD);
	ck_assert_int_eq(read_it(&(struct hello){ .name = "a.b", .kind = 1 }, &n), TLS_BAD);
	/* Post-quantum, and what nobody sends. */
	ck_assert_int_eq(read_it(&(struct hello){ .name = "a.b", .share = 1700 }, &n), TLS_NAME);
	ck_assert_int_eq(read_it(&(struct hello){ .name = "a.b", .share = 17000 }, &n), TLS_BAD);
	ck_assert_int_eq(tls_hello_read((const uint8_t *)"GET / HTTP/1.1", 14, &n), TLS_NOT_TLS);
	ck_assert_int_eq(tls_hello_read((const uint8_t *)"SSH-2.0-x", 9, &n), TLS_NOT_TLS);
	ck_assert_int_eq(tls_hello_read((const uint8_t *)"", 0, &n), TLS_MORE);
	b = stream(&(struct hello){ .name = "a.b" }, 16384);
	b.v[5] = 2; /* a server's hello */
	ck_assert_int_eq(tls_hello_read(b.v, b.n, &n), TLS_BAD);
	b = stream(&(struct hello){ .name = "a.b" }, 16384);
	for (size_t i = 0; i < b.n; i++)
		ck_assert_int_eq(tls_hello_read(b.v, i, &n), TLS_MORE);
	/* The hello is complete; what follows it is another's business. */
	b.v[b.n] = 23;
	ck_assert_int_eq(tls_hello_read(b.v, b.n + 1, &n), TLS_NAME);
	/* A record of another kind within the hello. */
	b = stream(&(struct hello){ .name = "a.b" }, 50);
	b.v[55] = 21;
	ck_assert_int_eq(tls_hello_read(b.v, b.n, &n), TLS_BAD);
	b.v[55] = 22;
	b.v[58] = b.v[59] = 0;
	ck_assert_int_eq(tls_hello_read(b.v, b.n, &n), TLS_BAD);
}
END_TEST

/* Cut into records and segments of any size, in any order, some of them twice. */
START_TEST(pieces)
{
	uint64_t st = test_seed;

	for (int i = 0; i < 2000; i++) {
		struct hello h = { .name = "some.where.example",
				   .share = test_rand(&st) % 3000,
				   .grease = test_rand(&st) & 1 };
		struct bytes b = stream(&h, 1 + test_rand(&st) % 2000);
		struct seg s = { .base = (uint32_t)test_rand(&st) };
		size_t at[512], n = 0, step = 1 + b.n / (1 + test_rand(&st) % 400);
		enum tls_hello r = TLS_MORE;
		struct tls_name name;

		/* Records of a byte each make a long hello too long to be read. */
		if (b.n > TLS_HELLO_MAX)
			continue;
		for (size_t k = 0; k < b.n; k += step)
			at[n++] = k;
		for (size_t k = n; k-- > 1;) {
			size_t o = test_rand(&st) % (k + 1), t = at[k];

			at[k] = at[o];
			at[o] = t;
		}
		for (size_t k = 0; k < n; k++) {
			size_t more = test_rand(&st) % 8, len = MIN(step + more, b.n - at[k]);

			ck_assert_msg(r == TLS_MORE, "%d: %u of %zu, %zu of %zu", r, s.n, b.n, k,
				      n);
			ck_assert(seg_add(&s, s.base + (uint32_t)at[k], b.v + at[k], len));
			r = s.n ? tls_hello_read(s.bytes, s.n, &name) : TLS_MORE;
			if (s.n == b.n)
				break;
		}
		ck_assert_int_eq(r, TLS_NAME);
		ck_assert_str_eq(name.name, h.name);
		seg_free(&s);
	}
}
END_TEST

START_TEST(contradictions)
{
	struct seg s = { .base = 0xfffffff0u };

	ck_assert(seg_add(&s, s.base, (const uint8_t *)"abcdef", 6));
	ck_assert(seg_add(&s, s.base + 3, (const uint8_t *)"defghi", 6));
	ck_assert_uint_eq(s.n, 9);
	/* Before the beginning: cut. */
	ck_assert(seg_add(&s, s.base - 2, (const uint8_t *)"xyabc", 5));
	ck_assert(seg_add(&s, s.base - 1, (const uint8_t *)"x", 1));
	ck_assert(!seg_add(&s, s.base + 8, (const uint8_t *)"I", 1));
	ck_assert(!seg_add(&s, s.base + TLS_HELLO_MAX, (const uint8_t *)"I", 1));
	ck_assert_mem_eq(s.bytes, "abcdefghi", 9);
	seg_free(&s);
}
END_TEST

START_TEST(patterns)
{
	static const struct {
		const char *pattern, *name;
		bool is;
	} v[] = {
		{ "example.com", "example.com", true },
		{ "example.com", "www.example.com", false },
		{ "*.example.com", "www.example.com", true },
		{ "*.example.com", "a.b.example.com", true },
		{ "*.example.com", "example.com", false },
		{ "*.example.com", "badexample.com", false },
		{ "*", "anything", true },
	};
	static const char *const bad[] = { "",      "*example.com", "a.*.b", "*.", "**",
					   "A.com", "a..b",         ".a",    "a.", "*.*.a" };

	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		ck_assert(tls_pattern_ok(v[i].pattern));
		ck_assert_msg(tls_name_matches(v[i].pattern, v[i].name) == v[i].is, "%s %s",
			      v[i].pattern, v[i].name);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!tls_pattern_ok(bad[i]), "%s", bad[i]);
}
END_TEST

/* ---- connections ---- */

#define SYN 2
#define ACK 16

static struct flow_verdict packet(uint32_t id, bool reply, uint8_t flags, uint32_t seq,
				  const void *data, size_t size)
{
	static uint8_t buf[40100];
	struct flow_packet p = {
		.ct_id = id, .label = { inspect_wait(0) | 20 }, .reply = reply, .data = buf
	};
	uint32_t n = (uint32_t)(40 + size);
	struct flow_verdict v;

	memset(buf, 0, 40);
	buf[0] = 0x45;
	buf[2] = (uint8_t)(n >> 8);
	buf[3] = (uint8_t)n;
	buf[9] = 6;
	for (int i = 0; i < 4; i++)
		buf[24 + i] = buf[28 + i] = (uint8_t)(seq >> (24 - 8 * i));
	buf[32] = 0x50;
	buf[33] = flags;
	if (size)
		memcpy(buf + 40, data, size);
	p.size = n;
	flows_packet(&p, NSEC_PER_SEC, &v);
	return v;
}

static void table(bool fail_open)
{
	flows_fini();
	flows_request(&(struct inspectd_req){ .op = INSPECTD_BEGIN, .fail_open = fail_open });
	flows_request(&(struct inspectd_req){ .op = INSPECTD_LINE,
					      .chain = 20,
					      .rule = 20,
					      .action = INSPECTD_PERMIT,
					      .log = 1,
					      .name = "*.b" });
	flows_request(&(struct inspectd_req){
		.op = INSPECTD_LINE, .chain = 20, .rule = 30, .action = INSPECTD_REJECT });
	flows_request(&(struct inspectd_req){ .op = INSPECTD_COMMIT });
}

START_TEST(connections)
{
	struct bytes good = stream(&(struct hello){ .name = "a.b", .share = 1200 }, 16384);
	struct bytes bad = stream(&(struct hello){ .name = "a.c" }, 16384);
	struct flow_verdict v;

	table(false);
	/* In two segments, the later one first. */
	ck_assert_int_eq(packet(1, true, SYN | ACK, 1000, NULL, 0).act, FLOW_PASS);
	v = packet(1, false, ACK, 1900, good.v + 900, good.n - 900);
	ck_assert_int_eq(v.act, FLOW_PASS);
	v = packet(1, false, ACK, 1000, good.v, 900);
	ck_assert(v.act == FLOW_LABEL && !v.denied && v.label[0] == 20 && v.mask[0] == UINT32_MAX);
	ck_assert_uint_eq(v.mask[2], 0);
	ck_assert(v.n_logs == 1 && v.logs[0].rule == 20 && v.logs[0].did == INSPECTD_PERMIT);
	ck_assert(!v.logs[0].unreadable && !strcmp(flows_name(), "a.b"));
	/* One that was in the queue behind it. */
	v = packet(1, false, ACK, 9000, "x", 1);
	ck_assert(v.act == FLOW_LABEL && !v.n_logs);
	v = packet(2, false, ACK, 5, bad.v, bad.n);
	ck_assert(v.denied && v.label[0] == inspect_rejected(0) && !v.n_logs);
	/* No TLS: the line without a name. In the middle of a connection: nobody knows. */
	packet(3, true, SYN | ACK, 7, NULL, 0);
	ck_assert_uint_eq(packet(3, false, ACK, 7, "GET", 3).label[0], inspect_rejected(0));
	v = packet(4, false, ACK, 7, "GET", 3);
	ck_assert_uint_eq(v.label[0], inspect_denied(0));
	/* By the line where it waited. */
	ck_assert(v.n_logs == 1 && v.logs[0].rule == 20 && v.logs[0].did == INSPECTD_DENY);
	ck_assert(v.logs[0].unreadable && !*flows_name());
	/* The server speaks first; a segment that says something else than before. */
	packet(5, true, SYN | ACK, 7, NULL, 0);
	ck_assert_uint_eq(packet(5, true, ACK, 7, "SSH-", 4).label[0], inspect_rejected(0));
	ck_assert_int_eq(packet(6, false, ACK, 7, good.v, 100).act, FLOW_PASS);
	ck_assert_uint_eq(packet(6, false, ACK, 7, bad.v, 100).label[0], inspect_denied(0));
	table(true);
	ck_assert_uint_eq(packet(4, false, ACK, 7, "GET", 3).label[0], 20);
	/* More than there is room for: the oldest go. */
	for (uint32_t i = 10; i < 10 + FLOWS_MAX + 5; i++)
		packet(i, false, ACK, 7, good.v, 100);
	ck_assert_uint_eq(flows_counters()[INSPECTD_FLOWS], FLOWS_MAX);
	ck_assert_uint_eq(flows_counters()[INSPECTD_EVICTED], 5);
	flows_idle(NSEC_PER_SEC + FLOW_IDLE_NS + 1);
	ck_assert_uint_eq(flows_counters()[INSPECTD_FLOWS], 0);
	flows_fini();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("tls_hello");
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, names);
	tcase_add_test(t, kinds);
	tcase_add_test(t, pieces);
	tcase_add_test(t, contradictions);
	tcase_add_test(t, patterns);
	tcase_add_test(t, connections);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
