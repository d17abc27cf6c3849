/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every capture of the collection through the packet stages, by the clock of the capture: each
 * frame gets one verdict, what goes in comes out or is counted, and no stage makes a checksum wrong
 * that was right. The collection holds what has crashed parsers of others.
 */
#include "../../fastpath/csum.h"
#include "../../fastpath/icmp_err.h"
#include "../../fastpath/icmp_quote.h"
#include "../../fastpath/mss.h"
#include "../../fastpath/rewrite.h"
#include "../../fastpath/vfr.h"
#include "../lib/check_main.h"
#include "../lib/test_data.h"
#include "../lib/packet.h"
#include "../lib/pcap.h"

#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEADROOM 64
#define FILE_MAX (8u << 20)
#define HELD     4096

static char dir[] = "/tmp/rtr-captures-XXXXXX";

struct run {
	uint64_t rx, tx, kernel, drops[RTR_DROP__MAX], n_files, errors_built, quotes, fragments;
	uint64_t by_verdict[FP_V__MAX];
	uint8_t *held[HELD];
	uint32_t held_len[HELD];
	struct fp_vfr *vfr;
	struct fp_icmp_rl rl;
	struct fp_l2 l2;
	uint64_t now;
};

/* Source NAT to one address, whatever the flow; then layer 2. The frame stays verifiable. */
static enum rtr_drop forward(struct run *r, struct fp_buf *b, struct fp_pkt *p)
{
	bool ok4 = fp_csum_l4_ok(b->data, p), clamp;
	const uint8_t *ip = b->data + p->l3_off;
	enum rtr_drop why;

	clamp = fp_mss_clamp(b->data, p, 1000);
	if (clamp)
		ck_assert_int_eq(fp_csum_l4_ok(b->data, p), ok4);
	if (p->family == AF_INET) {
		struct fp_tuple4 from = { fp_ld32_be(ip + 12), fp_ld32_be(ip + 16), p->sport_be,
					  p->dport_be, p->proto };
		struct fp_tuple4 to = from;
		struct fp_nat4 nat;
		struct fp_quote q;

		to.src_be = htonl(0xc6336401);
		if (p->flags & FP_F_ICMP_ERR) {
			why = fp_quote_parse(b->data, p, &q);
			if (why)
				return why;
			fp_quote_tuple4(b->data, &q, &from);
			from.dst_be = to.src_be;
			fp_quote_nat4(b->data, p, &q, &from, to.src_be, to.dst_be);
			r->quotes++;
		} else {
			why = fp_nat4_init(&nat, &from, &to);
			if (!why)
				why = fp_nat4_apply(b->data, p, &nat);
			if (why)
				return why;
		}
		fp_ttl_dec(b->data, p);
		ck_assert_uint_eq(tp_r16(b->data + p->l3_off + 10),
				  tp_ip4_csum(b->data + p->l3_off));
	} else {
		fp_ttl_dec(b->data, p);
	}
	if (ok4)
		ck_assert(fp_csum_l4_ok(b->data, p));
	return fp_l2_apply(b, p, &r->l2);
}

static void send_or_drop(struct run *r, struct fp_buf *b, struct fp_pkt *p)
{
	enum rtr_drop why = forward(r, b, p);
	struct fp_pkt again;

	if (why) {
		r->drops[why]++;
		return;
	}
	/* What leaves is itself a sound frame. */
	ck_assert_int_ne(fp_parse(b->data, b->len, &again), FP_V_DROP);
	ck_assert_uint_eq(again.l4_off, p->l4_off);
	r->tx++;
}

static void offer_error(struct run *r, const uint8_t *frame, const struct fp_pkt *p,
			enum fp_icmp_kind kind)
{
	static const uint8_t me[16] = { 0x20, 1, 0xd, 0xb8, 1 };
	struct fp_icmp_req req = { .kind = kind, .src = me, .arg = 1280 };
	uint8_t out[FP_ICMP6_MAX];
	uint32_t len;

	if (!fp_icmp_err_allowed(frame, p, kind) ||
	    !fp_icmp_rl_take(&r->rl, kind, frame, p, r->now))
		return;
	len = fp_icmp_err_build(out, sizeof(out), frame, p, &req);
	ck_assert_uint_gt(len, 0);
	ck_assert(tp_sane(out, len));
	r->errors_built++;
}

static struct fp_buf load(uint8_t **ret, const uint8_t *data, uint32_t len)
{
	*ret = xmalloc(HEADROOM + len + 60);
	memcpy(*ret + HEADROOM, data, len);
	return (struct fp_buf){ *ret + HEADROOM, len, HEADROOM, 60 };
}

static void drain(struct run *r)
{
	uint64_t h, ctx;
	enum rtr_drop why;
	uint32_t note;
	struct fp_pkt p;

	while (fp_vfr_released(r->vfr, &h, &ctx, &note)) {
		struct fp_buf b = { r->held[h] + HEADROOM, r->held_len[h], HEADROOM, 60 };

		ck_assert_int_eq(fp_classify(b.data, b.len, &p), FP_V_FORWARD);
		send_or_drop(r, &b, &p);
		free(r->held[h]);
		r->held[h] = NULL;
	}
	while (fp_vfr_dead(r->vfr, &h, &why)) {
		r->drops[why]++;
		free(r->held[h]);
		r->held[h] = NULL;
	}
}

/* Returns true when the buffer was kept. */
static bool fragment(struct run *r, uint8_t *room, struct fp_buf *b, struct fp_pkt *p)
{
	struct fp_vfr_ret ret;
	uint64_t h = 0;
	enum fp_vfr_act act;

	while (h < HELD - 1 && r->held[h])
		h++;
	r->fragments++;
	act = fp_vfr_input(r->vfr, b->data, p, 0, h, r->now, &ret);
	if (act == FP_VFR_HELD) {
		r->held[h] = room;
		r->held_len[h] = b->len;
	} else if (act == FP_VFR_DROP) {
		r->drops[ret.drop]++;
	} else {
		send_or_drop(r, b, p);
		if (ret.first)
			fp_vfr_resolve(r->vfr, ret.dgram, 1, 0);
	}
	drain(r);
	return act == FP_VFR_HELD;
}

static void one_frame(struct run *r, const uint8_t *data, uint32_t len)
{
	uint8_t *room;
	struct fp_buf b = load(&room, data, len);
	struct fp_pkt p;
	enum fp_verdict v = fp_classify(b.data, b.len, &p);
	bool kept = false;

	r->rx++;
	ck_assert_int_lt(v, FP_V__MAX);
	r->by_verdict[v]++;
	switch (v) {
	case FP_V_FORWARD:
		if (p.flags & FP_F_FRAG)
			kept = fragment(r, room, &b, &p);
		else
			send_or_drop(r, &b, &p);
		break;
	case FP_V_EXPIRED:
		r->drops[RTR_DROP_TTL_EXPIRED]++;
		offer_error(r, b.data, &p, FP_ICMP_K_TTL);
		break;
	case FP_V_DROP:
		ck_assert_uint_ne(p.drop, RTR_DROP_NONE);
		r->drops[p.drop]++;
		if (p.err.type)
			offer_error(r, b.data, &p, FP_ICMP_K_PARAM);
		break;
	default:
		r->kernel++;
	}
	if (!kept)
		free(room);
}

/* Bytes in front of IP for link types that carry it, UINT32_MAX for the others. */
static uint32_t ip_at(uint32_t link)
{
	switch (link) {
	case 0: /* BSD loopback */
		return 4;
	case 12:
	case 14:
	case 101: /* raw IP */
	case 228:
	case 229:
		return 0;
	case 113: /* Linux cooked */
		return 16;
	default:
		return UINT32_MAX;
	}
}

static void one_packet(struct run *r, const struct pcap_pkt *pkt)
{
	uint32_t at = ip_at(pkt->link);

	if (pkt->time_ns > r->now)
		r->now = pkt->time_ns;
	fp_vfr_expire(r->vfr, r->now, 16);
	drain(r);
	if (at != UINT32_MAX && pkt->len > at) {
		uint8_t *frame = xmalloc(14 + pkt->len - at);

		/* Given an Ethernet header; of other link types every byte is taken as a frame. */
		memset(frame, 2, 12);
		tp_w16(frame + 12, pkt->data[at] >> 4 == 6 ? 0x86dd : 0x0800);
		memcpy(frame + 14, pkt->data + at, pkt->len - at);
		one_frame(r, frame, 14 + pkt->len - at);
		free(frame);
		return;
	}
	one_frame(r, pkt->data, pkt->len);
}

static void one_file(struct run *r, const char *name)
{
	char path[512], *bytes;
	size_t size;
	struct pcap pc;
	struct pcap_pkt pkt;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (rtr_file_read(path, FILE_MAX, &bytes, &size))
		return;
	if (pcap_open_mem(&pc, (const uint8_t *)bytes, size)) {
		r->n_files++;
		while (pcap_next(&pc, &pkt))
			one_packet(r, &pkt);
	}
	free(bytes);
}

START_TEST(captures)
{
	static struct run r;
	const struct fp_vfr_cfg cfg = { 256, HELD - 1, 0, 64, 30 * NSEC_PER_SEC, 1 };
	uint64_t dropped = 0;
	struct dirent *e;
	DIR *d = opendir(dir);

	ck_assert_ptr_nonnull(d);
	r.vfr = fp_vfr_new(&cfg);
	ck_assert_ptr_nonnull(r.vfr);
	fp_icmp_rl_init(&r.rl, 1000, 100, 1, 0);
	fp_l2_init(&r.l2, &(struct fp_l2_spec){ .n_vlan = 1, .vlan_tci = { 5 } });
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			one_file(&r, e->d_name);
	closedir(d);
	fp_vfr_expire(r.vfr, r.now + cfg.timeout_ns, UINT32_MAX);
	drain(&r);
	for (unsigned i = 1; i < RTR_DROP__MAX; i++)
		dropped += r.drops[i];
	printf("files %lu rx %lu tx %lu kernel %lu dropped %lu errors %lu quotes %lu fragments %lu\n",
	       r.n_files, r.rx, r.tx, r.kernel, dropped, r.errors_built, r.quotes, r.fragments);
	for (unsigned i = 1; i < RTR_DROP__MAX; i++)
		if (r.drops[i])
			printf("  %-22s %lu\n", rtr_drop_text(i), r.drops[i]);
	ck_assert_uint_eq(r.drops[RTR_DROP_NONE], 0);
	ck_assert_uint_eq(r.rx, r.tx + r.kernel + dropped);
	ck_assert_uint_ge(r.n_files, 800);
	ck_assert_uint_ge(r.tx, 1000);
	ck_assert_uint_ge(r.kernel, 1000);
	for (unsigned i = 0; i < HELD; i++)
		ck_assert_ptr_null(r.held[i]);
	fp_vfr_free(r.vfr);
}
END_TEST

static int run_argv(const char *const argv[])
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	return status;
}

int main(void)
{
	char *tar = test_data("pcap/protocol-captures.tar.gz");
	Suite *s = suite_create("captures");
	TCase *tc = tcase_create("captures");
	SRunner *sr = srunner_create(s);
	int failed;

	if (access(tar, R_OK)) {
		printf("no capture collection at %s\n", tar);
		free(tar);
		return 77;
	}
	if (!mkdtemp(dir) || run_argv((const char *[]){ "tar", "xzf", tar, "-C", dir, NULL })) {
		printf("cannot unpack %s\n", tar);
		free(tar);
		return EXIT_FAILURE;
	}
	free(tar);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, captures);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	run_argv((const char *[]){ "rm", "-rf", dir, NULL });
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
