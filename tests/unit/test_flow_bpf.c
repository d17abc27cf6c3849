/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The express lane's lookup inside the kernel: the verifier takes the program, and
 * BPF_PROG_TEST_RUN lets it see a table in BPF arrays that this process filled. Needs CAP_BPF and
 * CAP_NET_ADMIN.
 */
#include "../lib/flow_make.h"
#include "../lib/check_main.h"

#include "xdp/flow_selftest.h"
#include "flow_selftest.skel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <bpf/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <unistd.h>

static struct fp_flow_mem mem;
static struct fp_flow *table;
static struct fp_flow_worker *wk;
static struct flow_selftest_bpf *skel;

static int load(void)
{
	uint32_t n[FLOW__FAMILIES] = { 8000, 8000 };
	struct fp_flow_conf conf = { .n_workers = 1 };
	int err = fp_flow_mem_bpf(n, NULL, &mem);

	if (err)
		return err;
	skel = flow_selftest_bpf__open();
	if (!skel)
		return -EINVAL;
	bpf_map__reuse_fd(skel->maps.flow_hdr, mem.fd[FP_FLOW_R_HDR]);
	bpf_map__reuse_fd(skel->maps.flow_buckets4, mem.fd[FP_FLOW_R_BUCKETS4]);
	bpf_map__reuse_fd(skel->maps.flow_lines4, mem.fd[FP_FLOW_R_LINES4]);
	bpf_map__reuse_fd(skel->maps.flow_sides4, mem.fd[FP_FLOW_R_SIDES4]);
	bpf_map__reuse_fd(skel->maps.flow_buckets6, mem.fd[FP_FLOW_R_BUCKETS6]);
	bpf_map__reuse_fd(skel->maps.flow_lines6, mem.fd[FP_FLOW_R_LINES6]);
	err = flow_selftest_bpf__load(skel);
	if (err)
		return err;
	err = fp_flow_open(&mem, &conf, &table);
	if (err)
		return err;
	wk = fp_flow_worker(table, 0);
	fp_flow_maintain(table, 1000);
	return 0;
}

static void setup(void)
{
	ck_assert_int_eq(load(), 0);
}

static void teardown(void)
{
	flow_selftest_bpf__destroy(skel);
	table = fp_flow_close(table);
	fp_flow_mem_fini(&mem);
}

/* A frame of the direction h; 0 < payload makes it longer. The key's protocol is used. */
struct frame {
	_Alignas(
		8) unsigned char pad[2]; /* so that the IP header behind Ethernet's 14 is aligned */
	unsigned char b[254];
	size_t size;
	struct tcphdr *th;
};

static struct frame make_frame(enum flow_family fam, const struct fp_flow_half *h, size_t payload)
{
	struct frame f = { .size = 0 };
	struct ethhdr *eth = (void *)f.b;
	unsigned char *l4;

	eth->h_proto = htons(fam == FLOW_4 ? ETH_P_IP : ETH_P_IPV6);
	if (fam == FLOW_4) {
		struct iphdr *ip = (void *)(eth + 1);

		ip->version = 4;
		ip->ihl = 5;
		ip->ttl = 64;
		ip->protocol = h->key4.proto;
		ip->saddr = h->key4.saddr;
		ip->daddr = h->key4.daddr;
		ip->tot_len = htons((uint16_t)(20 + 20 + payload));
		l4 = (void *)(ip + 1);
		memcpy(l4, &h->key4.sport, 4);
	} else {
		struct ipv6hdr *ip = (void *)(eth + 1);

		ip->version = 6;
		ip->hop_limit = 64;
		ip->nexthdr = h->key6.proto;
		memcpy(&ip->saddr, h->key6.saddr, 16);
		memcpy(&ip->daddr, h->key6.daddr, 16);
		ip->payload_len = htons((uint16_t)(20 + payload));
		l4 = (void *)(ip + 1);
		memcpy(l4, &h->key6.sport, 4);
	}
	f.th = (struct tcphdr *)(l4 - (unsigned char *)&f);
	f.size = (size_t)(l4 - f.b) + 20 + payload;
	return f;
}

static struct tcphdr *tcp_of(struct frame *f)
{
	return (struct tcphdr *)((unsigned char *)f + (size_t)f->th);
}

static struct flow_selftest_result run_frame(const struct frame *f)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->b, .data_size_in = (uint32_t)f->size,
		    .repeat = 1);
	struct flow_selftest_result r = { .verdict = 99 };
	uint32_t zero = 0;

	ck_assert_int_eq(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.flow_selftest), &opts),
			 0);
	ck_assert_int_eq(bpf_map_lookup_elem(bpf_map__fd(skel->maps.results), &zero, &r), 0);
	return r;
}

/* Where the half of a name lies: its cold entry knows the opener's line, that one's side the twin.
 */
static uint32_t place_of(enum flow_family fam, uint32_t name)
{
	const struct flow_side *side;
	uint32_t place = fp_flow_cold(table, fam, name)->place;

	side = fam == FLOW_4 ? (struct flow_side *)mem.base[FP_FLOW_R_SIDES4] + place
			     : &((struct flow_line6 *)mem.base[FP_FLOW_R_LINES6])[place].side;
	ck_assert_uint_eq(side->name & FLOW_NAME_MASK, name & ~1u);
	return name & 1 ? side->twin : place;
}

static void *line_of(enum flow_family fam, uint32_t name)
{
	return (char *)mem.base[fam == FLOW_4 ? FP_FLOW_R_LINES4 : FP_FLOW_R_LINES6] +
	       (size_t)place_of(fam, name) *
		       (fam == FLOW_4 ? sizeof(struct flow_line4) : sizeof(struct flow_line6));
}

static uint32_t time_of(enum flow_family fam, uint32_t line)
{
	return fam == FLOW_4 ? ((struct flow_line4 *)line_of(fam, line))->time
			     : ((struct flow_line6 *)line_of(fam, line))->time;
}

static uint64_t count_of(enum flow_family fam, uint32_t line)
{
	return fam == FLOW_4 ? ((struct flow_line4 *)line_of(fam, line))->count
			     : ((struct flow_line6 *)line_of(fam, line))->count;
}

static struct flow_tcp tcp_state(enum flow_family fam, uint32_t line)
{
	return fam == FLOW_4 ? ((struct flow_line4 *)line_of(fam, line))->tcp
			     : ((struct flow_line6 *)line_of(fam, line))->tcp;
}

/* Every direction of many flows is found with its rewrite, counted and stamped; others miss. */
static uint32_t home_of(enum flow_family fam, const struct fp_flow_half *h)
{
	const struct flow_hdr *hdr = fp_flow_hdr(table);

	return flow_home(fam == FLOW_4 ? flow_hash4(hdr, &h->key4) : flow_hash6(hdr, &h->key6),
			 hdr->n_pairs[fam]);
}

START_TEST(hit_and_miss)
{
	enum flow_family fam = _i;
	unsigned at_home = 0;
	uint64_t ref[300];

	for (uint32_t id = 0; id < 300; id++) {
		struct fp_flow_new f = flow_make(fam, id, 0, 1);

		ck_assert_int_eq(fp_flow_insert(wk, fam, &f, &ref[id]), 0);
	}
	for (uint32_t id = 0; id < 600; id++) {
		struct fp_flow_new f = flow_make(fam, id, 0, 1);

		for (uint32_t d = 0; d < 2; d++) {
			struct frame fr = make_frame(fam, &f.dir[d], 0);
			uint32_t before = fp_flow_now();
			struct flow_selftest_result r = run_frame(&fr);
			uint32_t line;

			if (id >= 300) {
				ck_assert_uint_eq(r.verdict, FLOW_SELFTEST_MISS);
				continue;
			}
			line = (uint32_t)ref[id] + d;
			ck_assert_uint_eq(r.verdict, FLOW_SELFTEST_HIT);
			ck_assert_uint_eq(r.line, line);
			ck_assert_uint_eq(r.home, place_of(fam, line) == home_of(fam, &f.dir[d]));
			at_home += r.home;
			if (fam == FLOW_4)
				ck_assert_mem_eq(&r.rw4, &f.dir[d].rw4, sizeof(r.rw4));
			else
				ck_assert_mem_eq(&r.rw6, &f.dir[d].rw6, sizeof(r.rw6));
			ck_assert_uint_eq(count_of(fam, line), FLOW_COUNT_ONE(fr.size));
			run_frame(&fr);
			ck_assert_uint_eq(count_of(fam, line), 2 * FLOW_COUNT_ONE(fr.size));
			/* the kernel's coarse clock is the one fp_flow_now() reads */
			ck_assert_uint_ge(time_of(fam, line), before);
			ck_assert_uint_le(time_of(fam, line), fp_flow_now());
		}
	}
	/* An almost empty table: 1 of 50 finds its home taken. */
	ck_assert_uint_gt(at_home, 500);
	ck_assert_uint_lt(at_home, 600);
}
END_TEST

START_TEST(other_paths)
{
	enum flow_family fam = _i;
	struct fp_flow_new f = flow_make(fam, 1, 0, 1);
	struct frame fr = make_frame(fam, &f.dir[0], 0);
	uint64_t ref;
	flow_word *word0;
	uint64_t saved;

	ck_assert_int_eq(fp_flow_insert(wk, fam, &f, &ref), 0);
	ck_assert_uint_eq(run_frame(&fr).verdict, FLOW_SELFTEST_HIT);
	fp_flow_set_path(wk, fam, ref, FLOW_P_WORKER, false);
	ck_assert_uint_eq(run_frame(&fr).verdict, FLOW_SELFTEST_WORKER);
	fp_flow_set_path(wk, fam, ref, FLOW_P_EXPRESS, false);
	/* being ended between slot and line: gen odd; not alive any more or not yet */
	word0 = line_of(fam, (uint32_t)ref);
	saved = *word0;
	*word0 = saved + 1;
	ck_assert_uint_eq(run_frame(&fr).verdict, FLOW_SELFTEST_WORKER);
	*word0 = FLOW_W0(flow_w0_gen(saved), FLOW_P_DEAD, 0, 1);
	ck_assert_uint_eq(run_frame(&fr).verdict, FLOW_SELFTEST_WORKER);
	ck_assert_uint_eq(count_of(fam, (uint32_t)ref), FLOW_COUNT_ONE(fr.size));
	*word0 = saved;
	ck_assert_uint_eq(run_frame(&fr).verdict, FLOW_SELFTEST_HIT);
	ck_assert_int_eq(fp_flow_free(wk, fam, ref), 0);
	ck_assert_uint_eq(run_frame(&fr).verdict, FLOW_SELFTEST_MISS);
}
END_TEST

/* Filled until many keys are in their second bucket: each is found, and no other. */
START_TEST(both_buckets)
{
	enum flow_family fam = _i;
	const struct flow_bucket
		*b = mem.base[fam == FLOW_4 ? FP_FLOW_R_BUCKETS4 : FP_FLOW_R_BUCKETS6];
	static bool in[7000];
	uint32_t spilling = 0, refused = 0, n = ARRAY_LEN(in);
	uint64_t ref;

	for (uint32_t id = 0; id < n; id++) {
		struct fp_flow_new f = flow_make(fam, id, 0, 1);

		fp_flow_maintain(table, 0);
		/* By chance both buckets of a key may be full: a refusal, never a lie. */
		in[id] = !fp_flow_insert(wk, fam, &f, &ref);
		refused += !in[id];
	}
	ck_assert_uint_lt(refused, n / 20);
	for (uint32_t i = 0; i < mem.n_buckets[fam]; i++)
		spilling += b[i].lock != 0;
	ck_assert_uint_gt(spilling, mem.n_buckets[fam] / 16); /* an eighth is usual */
	for (uint32_t id = 0; id < 2 * n; id++) {
		struct fp_flow_new f = flow_make(fam, id, 0, 1);
		struct frame fr = make_frame(fam, &f.dir[id & 1], 0);

		ck_assert_uint_eq(run_frame(&fr).verdict,
				  id < n && in[id] ? FLOW_SELFTEST_HIT : FLOW_SELFTEST_MISS);
	}
}
END_TEST

/* The window test knows what the twin sent, and only what passes advances the own half. */
START_TEST(tcp_window)
{
	enum flow_family fam = _i;
	struct fp_flow_new f = flow_make(fam, 5, 0, 1);
	struct frame fr, back;
	struct tcphdr *th;
	uint64_t ref;

	for (int d = 0; d < 2; d++) {
		if (fam == FLOW_4)
			f.dir[d].key4.proto = 6;
		else
			f.dir[d].key6.proto = 6;
		f.dir[d].flags |= FLOW_F_TCP;
		f.dir[d].egress = flow_egress(3, 16, 2); /* windows up to 64 K << 1, scale 2 */
	}
	f.dir[0].tcp = (struct flow_tcp){ .end = 1000, .edge = 90000 };
	f.dir[1].tcp = (struct flow_tcp){ .end = 50000, .edge = 21000 };
	ck_assert_int_eq(fp_flow_insert(wk, fam, &f, &ref), 0);
	fr = make_frame(fam, &f.dir[0], 100);
	th = tcp_of(&fr);
	th->doff = 5;
	th->ack = 1;
	th->seq = htonl(1000);
	th->ack_seq = htonl(50000);
	th->window = htons(20000);
	ck_assert_uint_eq(run_frame(&fr).verdict, FLOW_SELFTEST_HIT);
	ck_assert_uint_eq(tcp_state(fam, (uint32_t)ref).end, 1100);
	ck_assert_uint_eq(tcp_state(fam, (uint32_t)ref).edge, 50000 + 80000);
	ck_assert_uint_eq(tcp_state(fam, (uint32_t)ref + 1).end, 50000);
	th->seq = htonl(21001); /* beyond what the twin allows */
	ck_assert_uint_eq(run_frame(&fr).verdict, FLOW_SELFTEST_WINDOW);
	th->seq = htonl(1100);
	th->ack_seq = htonl(50001); /* never sent */
	ck_assert_uint_eq(run_frame(&fr).verdict, FLOW_SELFTEST_WINDOW);
	th->ack_seq = htonl(50000);
	th->fin = 1;
	ck_assert_uint_eq(run_frame(&fr).verdict, FLOW_SELFTEST_WINDOW);
	th->fin = 0;
	ck_assert_uint_eq(tcp_state(fam, (uint32_t)ref).end, 1100);
	ck_assert_uint_eq(count_of(fam, (uint32_t)ref), FLOW_COUNT_ONE(fr.size));
	/* the twin allows more, in a segment of its own: now it passes */
	back = make_frame(fam, &f.dir[1], 0);
	tcp_of(&back)->doff = 5;
	tcp_of(&back)->ack = 1;
	tcp_of(&back)->seq = htonl(50000);
	tcp_of(&back)->ack_seq = htonl(1100);
	tcp_of(&back)->window = htons(7500);
	ck_assert_uint_eq(run_frame(&back).verdict, FLOW_SELFTEST_HIT);
	ck_assert_uint_eq(tcp_state(fam, (uint32_t)ref + 1).edge, 1100 + 30000);
	th->seq = htonl(21001);
	ck_assert_uint_eq(run_frame(&fr).verdict, FLOW_SELFTEST_HIT);
	ck_assert_uint_eq(tcp_state(fam, (uint32_t)ref).end, 21101);
}
END_TEST

/* Pinned arrays are found again with what they hold; another size is refused. */
START_TEST(pinned)
{
	static const char *const names[] = { "hdr",      "buckets4", "lines4", "cold4",
					     "buckets6", "lines6",   "cold6",  "sides4" };
	uint32_t n[FLOW__FAMILIES] = { 1000, 1000 };
	char dir[] = "/sys/fs/bpf/rtr-test-XXXXXX", path[128];
	struct fp_flow_mem m;

	if (!mkdtemp(dir)) {
		ck_assert_msg(errno == ENOENT || errno == EPERM, "mkdtemp: %s", strerror(errno));
		return;
	}
	ck_assert_int_eq(fp_flow_mem_bpf(n, dir, &m), 0);
	*(uint32_t *)m.base[FP_FLOW_R_HDR] = 7;
	fp_flow_mem_fini(&m);
	ck_assert_int_eq(fp_flow_mem_bpf(n, dir, &m), 0);
	ck_assert_uint_eq(*(uint32_t *)m.base[FP_FLOW_R_HDR], 7);
	fp_flow_mem_fini(&m);
	n[1] = 2000;
	ck_assert_int_eq(fp_flow_mem_bpf(n, dir, &m), -EPROTO);
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/flow_%s", dir, names[i]);
		ck_assert_int_eq(unlink(path), 0);
	}
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("flow_bpf");
	TCase *tc = tcase_create("flow_bpf");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, hit_and_miss, 0, 2);
	tcase_add_loop_test(tc, other_paths, 0, 2);
	tcase_add_loop_test(tc, both_buckets, 0, 2);
	tcase_add_loop_test(tc, tcp_window, 0, 2);
	tcase_add_test(tc, pinned);
	suite_add_tcase(s, tc);
	return s;
}

/* Not CHECK_MAIN: without the right to load programs the whole program is one skip. */
int main(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "probe", 4, 8, 1, NULL), failed;
	SRunner *sr;

	if (fd < 0) {
		printf("no right to make BPF maps here: %s\n", strerror(-fd));
		return 77;
	}
	close(fd);
	sr = srunner_create(suite());
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
