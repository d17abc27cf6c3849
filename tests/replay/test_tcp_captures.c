/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Recorded TCP connections through the tracker: what real stacks sent is never INVALID. The
 * captures are ../shared/data/pcap/protocol-captures.tar.gz beside the source tree; without them
 * the program is skipped. A connection counts from its SYN on; two captures are rightly refused
 * and named in the table below.
 */
#include "fastpath/tcp_track.h"
#include "fastpath/wire.h"

#include "tests/lib/check_main.h"
#include "tests/lib/test_data.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_FLOWS 256

struct flow {
	uint8_t addr[2][16];
	uint16_t port[2];
	uint8_t alen;
	struct tcp_track t;
};

static struct flow flows[MAX_FLOWS];
static unsigned n_flows, n_opened, n_segments, n_established, n_closed;
static char dir_path[] = "/tmp/rtr-captures-XXXXXX";

static const struct {
	const char *file;
	const char *why;
} refused[] = {
	{ "ldp-common-session.pcap", "one direction recorded only: data without a SYN/ACK" },
	{ "tfo-5c1fa7f9ae91.pcap", "FIN of a connection that never got an answer" },
};

static bool rightly_refused(const char *file, unsigned state, enum tcp_track_reason why)
{
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		if (!strcmp(file, refused[i].file))
			return state == TCPT_S_SYN_SENT && why == TCPT_R_STATE;
	return false;
}

static uint32_t rd32(const uint8_t *p, bool swap)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return swap ? __builtin_bswap32(v) : v;
}

static struct flow *flow_find(const uint8_t *s, const uint8_t *d, unsigned alen, uint16_t sp,
			      uint16_t dp, unsigned *ret_dir)
{
	for (unsigned i = 0; i < n_flows; i++)
		for (unsigned dir = 0; dir < 2; dir++) {
			struct flow *f = &flows[i];

			if (f->alen == alen && f->port[dir] == sp && f->port[!dir] == dp &&
			    !memcmp(f->addr[dir], s, alen) && !memcmp(f->addr[!dir], d, alen)) {
				*ret_dir = dir;
				return f;
			}
		}
	return NULL;
}

static struct flow *flow_make(const uint8_t *s, const uint8_t *d, unsigned alen, uint16_t sp,
			      uint16_t dp)
{
	struct flow *f;

	if (n_flows == MAX_FLOWS)
		return NULL;
	f = &flows[n_flows++];
	*f = (struct flow){ .port = { sp, dp }, .alen = (uint8_t)alen };
	memcpy(f->addr[0], s, alen);
	memcpy(f->addr[1], d, alen);
	return f;
}

static void segment(const char *file, unsigned number, const uint8_t *s, const uint8_t *d,
		    unsigned alen, const uint8_t *h, size_t have, size_t l4_len, uint32_t now)
{
	enum tcp_track_reason why;
	enum tcp_track_verdict v;
	struct tcp_seg seg;
	struct flow *f;
	unsigned dir = 0;
	uint8_t old;

	if (tcp_seg_parse(&seg, h, have, l4_len))
		return;
	f = flow_find(s, d, alen, fp_ld16(h), fp_ld16(h + 2), &dir);
	if (!f) {
		if ((seg.flags & 0x17) != FP_TCP_SYN)
			return;
		f = flow_make(s, d, alen, fp_ld16(h), fp_ld16(h + 2));
		if (!f)
			return;
		ck_assert_int_eq(tcp_track_new(&f->t, &tcp_track_defaults, &seg, now, &why),
				 TCPT_ACCEPT);
		n_opened++;
		return;
	}
	old = f->t.state;
	v = tcp_track_packet(&f->t, &tcp_track_defaults, dir, &seg, now, &why);
	if (v == TCPT_REOPEN || v == TCPT_END)
		*f = flows[--n_flows];
	n_segments++;
	ck_assert_msg(v != TCPT_INVALID || rightly_refused(file, old, why),
		      "%s packet %u: %s in %s", file, number, tcp_track_reason_text(why),
		      tcp_track_state_name(old));
	n_established += old != f->t.state && f->t.state == TCPT_S_ESTABLISHED;
	n_closed += old != f->t.state &&
		    (f->t.state == TCPT_S_TIME_WAIT || f->t.state == TCPT_S_CLOSE);
}

static void ip_packet(const char *file, unsigned number, const uint8_t *p, size_t have,
		      uint32_t now)
{
	size_t hlen, total;

	if (have >= 20 && p[0] >> 4 == 4) {
		hlen = (p[0] & 15) * 4u;
		total = fp_ld16(p + 2);
		if (p[9] != IPPROTO_TCP || hlen < 20 || have < hlen || total < hlen ||
		    fp_ld16(p + 6) & (FP_IP4_MF | FP_IP4_OFF_MASK))
			return;
		segment(file, number, p + 12, p + 16, 4, p + hlen, MIN(have, total) - hlen,
			total - hlen, now);
	} else if (have >= 40 && p[0] >> 4 == 6 && p[6] == IPPROTO_TCP) {
		total = fp_ld16(p + 4);
		segment(file, number, p + 8, p + 24, 16, p + 40, MIN(have - 40, total), total, now);
	}
}

static void link_packet(const char *file, unsigned number, uint32_t type, const uint8_t *p,
			size_t have, uint32_t now)
{
	size_t off = type == 1 ? 14 : type == 0 ? 4 : type == 113 ? 16 : 0;

	if (type == 1 && have > 18 && fp_ld16(p + 12) == FP_ETH_VLAN)
		off = 18;
	if (off && off != 4 &&
	    (have < off ||
	     (fp_ld16(p + off - 2) != FP_ETH_IP4 && fp_ld16(p + off - 2) != FP_ETH_IP6)))
		return;
	if (have > off)
		ip_packet(file, number, p + off, have - off, now);
}

/* A classic capture; pcapng and link types without IP are passed over. */
static void capture(const char *file, const uint8_t *p, size_t size)
{
	uint32_t magic, type;
	bool swap;

	if (size < 24)
		return;
	magic = rd32(p, false);
	swap = magic == 0xd4c3b2a1 || magic == 0x4d3cb2a1;
	if (!swap && magic != 0xa1b2c3d4 && magic != 0xa1b23c4d)
		return;
	type = rd32(p + 20, swap) & 0xffff;
	if (type != 0 && type != 1 && type != 101 && type != 12 && type != 113 && type != 228)
		return;
	n_flows = 0;
	for (size_t at = 24, number = 1; at + 16 <= size; number++) {
		size_t len = rd32(p + at + 8, swap);

		if (len > size - at - 16)
			return;
		link_packet(file, (unsigned)number, type, p + at + 16, len, rd32(p + at, swap));
		at += 16 + len;
	}
}

static bool unpack(const char *archive)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		execlp("tar", "tar", "xzf", archive, "-C", dir_path, (char *)NULL);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

START_TEST(test_captures)
{
	char *archive = test_data("pcap/protocol-captures.tar.gz");
	struct dirent *e;
	DIR *d;

	ck_assert_ptr_nonnull(mkdtemp(dir_path));
	ck_assert(unpack(archive));
	d = opendir(dir_path);
	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d))) {
		char *path = xasprintf("%s/%s", dir_path, e->d_name), *buf;
		size_t size;

		if (e->d_name[0] != '.' && !rtr_file_read(path, 16 << 20, &buf, &size)) {
			capture(e->d_name, (const uint8_t *)buf, size);
			free(buf);
		}
		if (e->d_name[0] != '.')
			unlink(path);
		free(path);
	}
	closedir(d);
	rmdir(dir_path);
	free(archive);
	printf("%u connections, %u established, %u closed, %u segments\n", n_opened, n_established,
	       n_closed, n_segments);
	ck_assert_uint_gt(n_established, 50);
	ck_assert_uint_gt(n_closed, 50);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("tcp_captures");
	TCase *tc = tcase_create("tcp_captures");
	char *archive = test_data("pcap/protocol-captures.tar.gz");

	if (access(archive, R_OK)) {
		printf("SKIP: no %s\n", archive);
		exit(77);
	}
	free(archive);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_captures);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
