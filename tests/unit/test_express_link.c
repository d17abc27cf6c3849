/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The express lane on real veths: from a socket behind one to a socket behind the other, frames
 * that workers inject, and pins that outlive the process. Needs root.
 */
#include "tests/lib/express_conn.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static int raw_socket(const char *dev)
{
	struct sockaddr_ll sll = { .sll_family = AF_PACKET,
				   .sll_protocol = htons(ETH_P_ALL),
				   .sll_ifindex = (int)if_nametoindex(dev) };
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sll, sizeof(sll)), 0);
	return fd;
}

/* The next frame with a source MAC of the adjacency. */
static uint32_t receive(int fd, uint8_t *buf)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	ssize_t n;

	for (;;) {
		ck_assert_msg(poll(&pfd, 1, 5000) == 1, "the frame did not arrive");
		n = recv(fd, buf, ROOM, 0);
		ck_assert_int_gt(n, 13);
		if (!memcmp(buf + 6, adjs[ADJ].hdr + 6, 6))
			return (uint32_t)n;
	}
}

static void inject_run(unsigned who, unsigned n, uint32_t size)
{
	static uint8_t data[500];
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = data, .data_size_in = size, .repeat = (int)n,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = n);

	data[0] = (uint8_t)who;
	ck_assert_int_eq(bpf_prog_test_run_opts(fp_xdp_port_fd(xdp, PORT_OUT), &o), 0);
}

/* Frames of workers leave by the program of the port: their bytes, their lengths, in order. */
START_TEST(injects)
{
	static const uint16_t lens[] = { 60, 500, 14, 61, 390, 64 };
	struct express_port out = { .slot = PORT_OUT, .flags = EXPRESS_PF_INJECT },
			    peer = { .slot = 5 };
	int to = raw_socket("out-peer");
	struct express_inject *j;
	uint8_t buf[ROOM], *area;
	void *p;

	ck_assert(!fp_xdp_inject(xdp, 2, &p, &j));
	ck_assert(fp_xdp_inject(xdp, 1, &p, &j));
	area = p;
	ck_assert_int_eq(fp_xdp_port_set(xdp, if_nametoindex("out-peer"), &peer), 0);
	ck_assert_int_eq(fp_xdp_port_set(xdp, if_nametoindex("out"), &out), 0);
	for (unsigned i = 0; i < ARRAY_LEN(lens); i++) {
		uint8_t *d = area + i * EXPRESS_FRAME_SIZE + 16 * i;

		for (unsigned k = 0; k < lens[i]; k++)
			d[k] = (uint8_t)(k * 7 + i);
		memcpy(d, adjs[ADJ].hdr, FP_ETH_LEN);
		/* Buffers of worker 1 are behind those of worker 0. */
		j->desc[i] = (struct express_inject_desc){ 8 + i, (uint16_t)(16 * i), lens[i],
							   PORT_OUT };
	}
	inject_run(1, ARRAY_LEN(lens), 500);
	ck_assert_uint_eq(j->at, ARRAY_LEN(lens));
	ck_assert_uint_eq(j->sent, ARRAY_LEN(lens));
	for (unsigned i = 0; i < ARRAY_LEN(lens); i++) {
		ck_assert_uint_eq(receive(to, buf), lens[i]);
		ck_assert_mem_eq(buf, area + i * EXPRESS_FRAME_SIZE + 16 * i, lens[i]);
	}
	/* What nobody wrote that way is not sent. */
	j->at = j->sent = 0;
	j->desc[0].frame = 16;
	j->desc[1].off = EXPRESS_INJECT_OFF + 1;
	j->desc[2].len = 13;
	j->desc[3].len = EXPRESS_INJECT_LEN + 1;
	j->desc[4].port = 9;
	inject_run(1, 6, 500);
	ck_assert_uint_eq(j->at, 6);
	ck_assert_uint_eq(j->sent, 1);
	for (unsigned i = 0; i < 5; i++)
		ck_assert_uint_eq(j->desc[i].frame, EXPRESS_INJECT_LOST);
	ck_assert_uint_eq(j->desc[5].frame, 8 + 5);
	ck_assert_uint_eq(receive(to, buf), 64);
	j->at = EXPRESS_INJECT_MAX;
	inject_run(1, 1, 64);
	inject_run(2, 1, 64);
	ck_assert_uint_eq(j->sent, 1);
	close(to);
}
END_TEST

/* A process with these maps that says when it watches, lives until killed, and has a thread beside.
 */
static void *beside(void *arg)
{
	return NULL;
}

static pid_t watcher(void)
{
	int told[2];
	pid_t pid;
	char c;

	ck_assert_int_eq(pipe(told), 0);
	pid = fork();
	if (!pid) {
		pthread_t t;

		if (fp_xdp_watch(xdp, (uint32_t[]){ 1 }, 1) ||
		    pthread_create(&t, NULL, beside, NULL) || pthread_join(t, NULL) ||
		    write(told[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(told[1]);
	ck_assert_int_eq(read(told[0], &c, 1), 1);
	close(told[0]);
	return pid;
}

/* Its end, and nobody else's, is known to XDP before its parent hears of it, whatever the
 * heartbeat. */
START_TEST(end_is_seen)
{
	uint32_t *gone = &fp_xdp_ctl(xdp)->gone;
	pid_t pid = watcher(), other = fork();

	if (!other)
		_exit(0);
	ck_assert_int_eq(waitpid(other, NULL, 0), other);
	ck_assert_uint_eq(__atomic_load_n(gone, __ATOMIC_RELAXED), 0);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_uint_eq(__atomic_load_n(gone, __ATOMIC_RELAXED), 1);
}
END_TEST

/* From a socket on one link, through the program, to a socket behind the other. */
START_TEST(through_veth)
{
	struct express_port peer = { .slot = 5 };
	int from = raw_socket("in-peer"), to = raw_socket("out-peer");
	uint8_t buf[ROOM];

	/* The far end of a redirect needs a program. */
	ck_assert_int_eq(fp_xdp_port_set(xdp, if_nametoindex("out-peer"), &peer), 0);
	for (int which = 0; which < 4; which++) {
		struct conn c = conn_make(which);

		for (unsigned dir = 0; dir < 2; dir++)
			for (unsigned payload = 26; payload < 300; payload += 91) {
				uint32_t n;

				conn_frame(&c, dir, payload);
				ck_assert_int_eq(send(from, c.data, c.len, 0), c.len);
				n = receive(to, buf);
				conn_check(&c, dir, buf, n);
			}
	}
	close(from);
	close(to);
}
END_TEST

static uint32_t prog_id(int fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	ck_assert_int_eq(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	return info.id;
}

/* What the interface runs after another process has taken it over. */
static uint32_t taken_over(const struct fp_xdp_conf *xc, unsigned ifindex, uint16_t zone)
{
	struct express_port p = { .on = 1, .slot = 0, .zone = zone };
	struct fp_xdp *x;
	uint32_t id;

	ck_assert_int_eq(fp_xdp_new(xc, &x), 0);
	ck_assert_uint_eq(fp_xdp_port_found(x, 0), ifindex);
	ck_assert_int_eq(fp_xdp_port_set(x, ifindex, &p), 0);
	id = prog_id(fp_xdp_port_fd(x, 0));
	fp_xdp_free(x);
	return id;
}

/* Its settings, which are pinned beside it. */
static void settings(const char *dir, void *value, bool write)
{
	char path[64];
	uint32_t zero = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/express_port0", dir);
	fd = bpf_obj_get(path);
	ck_assert_int_ge(fd, 0);
	if (write)
		ck_assert_int_eq(bpf_map_update_elem(fd, &zero, value, BPF_ANY), 0);
	else
		ck_assert_int_eq(bpf_map_lookup_elem(fd, &zero, value), 0);
	close(fd);
}

/* The next process goes on with the program that runs, if it is its own, and with no other. */
static void adopts(struct fp_xdp_conf xc, unsigned ifindex, uint32_t id)
{
	struct {
		struct express_port port;
		uint64_t build;
	} seen;
	uint32_t other;

	ck_assert_uint_eq(taken_over(&xc, ifindex, 5), id);
	settings(xc.pin_dir, &seen, false);
	ck_assert_uint_eq(seen.port.zone, 5);
	seen.build++;
	settings(xc.pin_dir, &seen, true);
	other = taken_over(&xc, ifindex, 6);
	ck_assert_uint_ne(other, id);
	ck_assert_uint_eq(taken_over(&xc, ifindex, 6), other);
	/* Other packet buffers, with the same table. */
	xc.n_frames = 8;
	id = taken_over(&xc, ifindex, 6);
	ck_assert_uint_ne(id, other);
	ck_assert_uint_eq(taken_over(&xc, ifindex, 6), id);
}

/* The program and its maps outlive the process that pinned them; the next one takes them over. */
START_TEST(pinned)
{
	struct fp_xdp_conf xc = {
		.mem = &mem, .n_ports = 2, .n_adj = 16, .n_xsks = 2, .n_workers = 1, .n_frames = 4
	};
	struct express_port p = { .on = 1, .slot = 0 };
	char dir[] = "/tmp/rtr-bpf-XXXXXX";
	struct express_count c;
	struct fp_xdp *x;
	unsigned ifindex;
	uint32_t id;

	ck_assert(sh("ip link add pin type veth peer name pin-peer && ip link set pin up && "
		     "ip link set pin-peer up"));
	ifindex = if_nametoindex("pin");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount("bpf", dir, "bpf", 0, NULL), 0);
	xc.pin_dir = dir;
	ck_assert_int_eq(fp_xdp_new(&xc, &x), 0);
	fp_xdp_ctl(x)->policy = 77;
	ck_assert_int_eq(fp_xdp_port_set(x, ifindex, &p), 0);
	id = prog_id(fp_xdp_port_fd(x, 0));
	fp_xdp_free(x);
	ck_assert(sh("ip link show pin | grep -q prog/xdp"));
	adopts(xc, ifindex, id);
	xc.n_frames = 8;
	ck_assert_int_eq(fp_xdp_new(&xc, &x), 0);
	ck_assert_uint_eq(fp_xdp_ctl(x)->policy, 77);
	ck_assert_int_eq(fp_xdp_counts(x, 0, &c), 0);
	ck_assert_int_eq(fp_xdp_port_set(x, ifindex, &p), 0);
	ck_assert_int_eq(fp_xdp_port_del(x, 0), 0);
	ck_assert(sh("! ip link show pin | grep -q prog/xdp"));
	ck_assert_int_eq(fp_xdp_port_del(x, 0), -ENOENT);
	fp_xdp_free(x);
	xc.n_adj = 32;
	ck_assert_int_eq(fp_xdp_new(&xc, &x), -EPROTO);
	ck_assert_int_eq(umount2(dir, MNT_DETACH), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("express_link");
	TCase *tc = tcase_create("express_link");

	netns_or_skip();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, injects);
	tcase_add_test(tc, end_is_seen);
	tcase_add_test(tc, through_veth);
	tcase_add_test(tc, pinned);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
