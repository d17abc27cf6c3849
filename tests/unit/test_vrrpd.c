/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtr-vrrpd's loop without a kernel: its clock is the test's, what it sends is noted, what it hears
 * is made up, and its threads answer when the test says so. The configuration comes by the line to
 * rtrd, as it does there.
 */
int vrrpd_main(int argc, char **argv);
#define main vrrpd_main
#include "../../daemon/vrrp/vrrpd.c"
#undef main

#include "vrrp/vrrpd_work.h"

#include "../lib/check_main.h"

#include <fcntl.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <sys/socket.h>

#define MS    NSEC_PER_MSEC
#define S     NSEC_PER_SEC
#define START (1000 * S)
#define PORT  7 /* eth0's number */

static struct vrrp_shm memory;
static int line; /* rtrd's end */

/* ---- what stands for the kernel ---- */

static uint64_t clock_ns;
static int refuse; /* errno of every frame; 0: taken */
static unsigned n_taken;
static struct said {
	uint64_t at;
	bool advert;
	uint8_t prio, vrid;
} said[65536];
static unsigned n_said;

int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);
int __wrap_recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *timeout);

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	ts->tv_sec = (time_t)(clock_ns / NSEC_PER_SEC);
	ts->tv_nsec = (long)(clock_ns % NSEC_PER_SEC);
	return 0;
}

int __wrap_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
	if (refuse) {
		errno = refuse;
		return -1;
	}
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *frame = m[i].msg_hdr.msg_iov->iov_base;
		struct said *s = &said[n_said++];

		ck_assert_uint_lt(n_said, ARRAY_LEN(said));
		*s = (struct said){ .at = clock_ns, .advert = frame[12] == 8 && !frame[13] };
		if (s->advert) {
			s->vrid = frame[ETH_HLEN + sizeof(struct iphdr) + 1];
			s->prio = frame[ETH_HLEN + sizeof(struct iphdr) + 2];
		}
	}
	return (int)n;
}

/* To unicast peers. */
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
	if (refuse) {
		errno = refuse;
		return -1;
	}
	n_taken++;
	return 1;
}

/* Adverts that wait in the socket. */
static struct {
	unsigned n;
	uint64_t at; /* when the first of them arrived, */
	uint64_t gap;
	uint8_t vrid[4]; /* and for whom: in turn */
} queue;

int __wrap_recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *timeout)
{
	unsigned i;

	for (i = 0; i < n && queue.n; i++) {
		struct cmsghdr *cm = m[i].msg_hdr.msg_control;
		struct timespec ts = { (time_t)(queue.at / S), (long)(queue.at % S) };
		struct rtr_addr vip = { .family = AF_INET, .b = { 10, 0, 0, 1 } };
		struct vrrp_say a = { .family = AF_INET,
				      .version = 3,
				      .vrid = queue.vrid[queue.n % ARRAY_LEN(queue.vrid)],
				      .prio = 200,
				      .adver_cs = 100,
				      .src = { .family = AF_INET, .b = { 10, 0, 0, 9 } },
				      .dst = vrrp_group_addr(AF_INET),
				      .addrs = &vip,
				      .n_addrs = 1 };
		uint8_t frame[VRRP_FRAME_MAX];
		size_t size = vrrp_frame_advert(&a, (const uint8_t[6]){ 0 }, frame) - ETH_HLEN;

		memcpy(m[i].msg_hdr.msg_iov->iov_base, frame + ETH_HLEN, size);
		m[i].msg_len = (unsigned)size;
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_TIMESTAMPNS;
		cm->cmsg_len = CMSG_LEN(sizeof(ts));
		memcpy(CMSG_DATA(cm), &ts, sizeof(ts));
		m[i].msg_hdr.msg_controllen = CMSG_SPACE(sizeof(ts));
		queue.n--;
		queue.at += queue.gap;
	}
	return (int)i;
}

/* ---- the threads ---- */

static struct {
	const struct work *of;
	char item[8192];
} asked[64];
static unsigned n_asked, n_jobs_seen;

int work_init(struct work *w, unsigned watch)
{
	return 0;
}

/* Of the looker's questions the test tells the answers itself. */
void work_ask(struct work *w, const void *item)
{
	if (w->places != VRRP_MAX_GROUPS)
		return;
	n_jobs_seen++;
	if (n_asked == ARRAY_LEN(asked))
		return;
	ck_assert_uint_le(w->size, sizeof(asked[0].item));
	asked[n_asked].of = w;
	memcpy(asked[n_asked++].item, item, w->size);
}

void work_hear(struct work *w)
{
}

bool work_answer(struct work *w, void *ret)
{
	if (!n_asked || asked[0].of != w)
		return false;
	memcpy(ret, asked[0].item, w->size);
	n_asked--;
	memmove(asked, asked + 1, n_asked * sizeof(asked[0]));
	return true;
}

int box_limits(void)
{
	return 0;
}

int box_close(void)
{
	return 0;
}

/* ---- a router ---- */

static void fresh(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	line = pair[0];
	vd = (struct vrrpd){ .shm = &memory, .conn_fd = pair[1], .epoll_fd = -1, .timer_fd = -1 };
	memset(&memory, 0, sizeof(memory));
	for (unsigned i = 0; i < MAX_IFS; i++)
		vd.ifs[i].rx[V4] = vd.ifs[i].rx[V6] = -1;
	clock_ns = START;
}

static struct vrrp_conf conf(uint8_t vrid, uint32_t ms)
{
	return (struct vrrp_conf){ .ifname = "eth0",
				   .family = AF_INET,
				   .vrid = vrid,
				   .version = 3,
				   .prio = 100,
				   .n_addrs = 1,
				   .flags = VRRP_F_PREEMPT,
				   .adver_ms = ms,
				   .addrs = { { .family = AF_INET, .b = { 10, 0, 0, vrid } } } };
}

static void say(uint32_t type, const struct vrrp_conf *c, const struct vrrp_verdict *v)
{
	struct vrrp_msg m = { .type = type, .verdict = { .known = 1 } };

	if (c)
		m.u.group = *c;
	if (v)
		m.verdict = *v;
	ck_assert_int_eq(send(line, &m, sizeof(m), 0), sizeof(m));
	conf_read(clock_ns);
}

static void configure(const struct vrrp_conf *c, unsigned n, const struct vrrp_verdict *v)
{
	char drop[sizeof(struct vrrp_msg)];

	say(VRRP_M_BEGIN, NULL, NULL);
	for (unsigned i = 0; i < n; i++)
		say(VRRP_M_GROUP, &c[i], v);
	say(VRRP_M_END, NULL, NULL);
	while (recv(line, drop, sizeof(drop), MSG_DONTWAIT) > 0)
		;
}

/* What the kernel and the threads have to say about eth0. */
static void plug_in(void)
{
	struct link_info l = { .name = "eth0",
			       .ifindex = PORT,
			       .flags = IFF_UP | 1 << 16,
			       .mac = { 2, 0, 0, 0, 0, 1 } };
	struct rtr_addr local[2] = { { .family = AF_INET, .b = { 10, 0, 0, 50 } } };

	link_found(&l, clock_ns);
	link_found_local(&vd.ifs[0], PORT, local, clock_ns);
	io_rx_opened(&vd.ifs[0], V4, &l, open("/dev/null", O_RDONLY | O_CLOEXEC), clock_ns);
}

static struct vg *with_vrid(uint8_t vrid)
{
	return &vd.groups[vd.ifs[0].by_vrid[V4][vrid] - 1];
}

static void threads_answer(void)
{
	while (n_asked)
		addr_read(clock_ns);
}

/* One turn of the loop at this time. */
static void turn(void)
{
	run_timers();
	io_flush();
	beat(clock_ns);
}

static void run_until(uint64_t end, bool answer)
{
	while (n_heap && heap[0]->next <= end) {
		clock_ns = MAX(clock_ns, ROUND_UP(heap[0]->next, GRID_NS));
		turn();
		if (answer)
			threads_answer();
	}
	clock_ns = end;
}

/* n groups with physical MACs, all master. */
static void masters(unsigned n, uint32_t ms)
{
	static struct vrrp_conf c[255];

	for (unsigned i = 0; i < n; i++)
		c[i] = conf((uint8_t)(i + 1), ms);
	fresh();
	configure(c, n, NULL);
	plug_in();
	run_until(clock_ns + 4 * ms * MS, true);
	for (unsigned i = 0; i < n; i++)
		ck_assert_int_eq(with_vrid((uint8_t)(i + 1))->fsm.state, VRRP_S_ACTIVE);
}

static unsigned count_said(uint64_t from, uint64_t to, bool advert)
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_said; i++)
		n += said[i].at >= from && said[i].at < to && said[i].advert == advert;
	return n;
}

/* ---- announcements ---- */

/* Five within five seconds, then once a minute for as long as it is master. */
START_TEST(announced_again_every_minute)
{
	static const uint64_t ms[] = { 0, 100, 500, 1000, 2000, 5000, 65000, 125000, 185000 };
	uint64_t first;
	unsigned n = 0;

	masters(1, 1000);
	run_until(clock_ns + 200 * S, true);
	for (unsigned i = 0; i < n_said; i++) {
		if (said[i].advert)
			continue;
		if (!n)
			first = said[i].at;
		ck_assert_uint_lt(n, ARRAY_LEN(ms));
		ck_assert_uint_ge(said[i].at, first + ms[n] * MS);
		ck_assert_uint_le(said[i].at, first + ms[n] * MS + 10 * GRID_NS);
		n++;
	}
	ck_assert_uint_eq(n, ARRAY_LEN(ms));
}
END_TEST

/* 250 groups become master at once: no more than the step allows in any step, all within a tenth of
 * a second, and each as often as one alone. */
START_TEST(many_are_paced)
{
	unsigned n = 0;
	uint64_t first = 0;

	masters(250, 1000);
	run_until(clock_ns + 70 * S, true);
	for (unsigned i = 0; i < n_said; i++) {
		if (said[i].advert)
			continue;
		first = first ? first : said[i].at;
		n++;
		ck_assert_uint_le(count_said(said[i].at, said[i].at + GARP_STEP_NS, false),
				  GARP_PER_STEP);
	}
	ck_assert_uint_eq(count_said(first, first + 100 * MS, false), 250);
	ck_assert_uint_eq(n, 250 * 7);
}
END_TEST

/* ---- promises to the parent ---- */

/* A backup with short adverts has nothing to take away: the master with long ones counts. */
START_TEST(only_those_that_own_promise)
{
	struct vrrp_conf c[2] = { conf(1, 1000), conf(2, 10) };

	fresh();
	configure(c, 2, NULL);
	plug_in();
	with_vrid(2)->fsm.c.preempt = false;
	queue.vrid[0] = queue.vrid[1] = queue.vrid[2] = queue.vrid[3] = 2;
	for (unsigned i = 0; i < 50; i++) { /* somebody else is the master of 2 */
		queue.n = 1;
		queue.at = clock_ns;
		io_drain(&vd.ifs[0], V4);
		run_until(clock_ns + 100 * MS, true);
	}
	ck_assert_int_eq(with_vrid(1)->fsm.state, VRRP_S_ACTIVE);
	ck_assert_int_eq(with_vrid(2)->fsm.state, VRRP_S_BACKUP);
	vd.promise_now = true;
	beat(clock_ns);
	ck_assert_uint_eq(memory.withdraw_ns, 3 * S);
	ck_assert_uint_eq(memory.beat_max_ns, 4 * S);
}
END_TEST

/* ---- addresses ---- */

/* Somebody takes an address away while the thread puts it there: it is put there once more. */
START_TEST(an_address_lost_during_the_job)
{
	struct vrrp_conf c = conf(1, 100);
	struct vg *g;

	fresh();
	configure(&c, 1, NULL);
	plug_in();
	run_until(clock_ns + 400 * MS, false);
	g = with_vrid(1);
	ck_assert_int_eq(g->fsm.state, VRRP_S_ACTIVE);
	ck_assert(g->job);
	addr_lost(g, PORT, &c.addrs[0]);
	ck_assert_uint_eq(n_jobs_seen, 1); /* one at a time */
	addr_read(clock_ns);
	ck_assert_uint_eq(n_jobs_seen, 2);
	threads_answer();
	ck_assert_uint_eq(n_jobs_seen, 2);
	ck_assert_uint_eq(g->kern.n, 1);
}
END_TEST

/* ---- what the kernel does not take ---- */

static void only_group_1(void)
{
	struct vrrp_conf c = conf(1, 100);

	configure(&c, 1, NULL);
}

/* Frames of a group may wait to be sent when it is removed: it stays forgotten. */
START_TEST(refused_for_a_forgotten_group)
{
	struct vrrp_conf c[2] = { conf(1, 100), conf(2, 100) };
	struct vg *g;

	fresh();
	configure(c, 2, NULL);
	plug_in();
	g = with_vrid(2);
	ck_assert_int_eq(g->fsm.state, VRRP_S_BACKUP);
	io_advert(g, 100);
	only_group_1();
	ck_assert(!g->used);
	refuse = ENOBUFS;
	io_flush();
	ck_assert_uint_eq(g->heap_at, 0);
	ck_assert_uint_eq(g->again_at, 0);
}
END_TEST

static void fault(bool on)
{
	struct vrrp_msg m = { .type = VRRP_M_TRACK, .verdict = { .known = 1, .fault = on } };

	m.u.track = (struct vrrp_name){ .ifname = "eth0", .family = AF_INET, .vrid = 1 };
	ck_assert_int_eq(send(line, &m, sizeof(m), 0), sizeof(m));
	conf_read(clock_ns);
}

/* Resignation of one that goes down: said again while it still helps. */
START_TEST(priority_0_is_said_again)
{
	masters(1, 100);
	refuse = ENOBUFS;
	fault(true);
	turn();
	ck_assert_int_eq(with_vrid(1)->fsm.state, VRRP_S_INIT);
	run_until(clock_ns + 50 * MS, true);
	refuse = 0;
	n_said = 0;
	run_until(clock_ns + 100 * MS, true);
	ck_assert_uint_eq(n_said, 1);
	ck_assert(said[0].advert);
	ck_assert_uint_eq(said[0].prio, 0);

	fault(false);
	run_until(clock_ns + 500 * MS, true);
	ck_assert_int_eq(with_vrid(1)->fsm.state, VRRP_S_ACTIVE);
	refuse = ENOBUFS;
	fault(true);
	turn();
	run_until(clock_ns + 10 * S, true);
	refuse = 0;
	n_said = 0;
	run_until(clock_ns + 10 * S, true);
	ck_assert_uint_eq(n_said, 0); /* another is master by now */
}
END_TEST

/* What a master could not say is nothing that it says after it has been a backup. */
START_TEST(a_backup_resigns_from_nothing)
{
	masters(1, 1000);
	refuse = ENOBUFS;
	run_until(clock_ns + 1 * S, true);
	ck_assert(with_vrid(1)->again_advert);
	memset(queue.vrid, 1, sizeof(queue.vrid));
	queue.n = 1;
	queue.at = clock_ns;
	with_vrid(1)->mac[5] ^= 1; /* a virtual one: it has no last word */
	io_drain(&vd.ifs[0], V4);
	ck_assert_int_eq(with_vrid(1)->fsm.state, VRRP_S_BACKUP);
	fault(true);
	ck_assert_int_eq(with_vrid(1)->fsm.state, VRRP_S_INIT);
	refuse = 0;
	n_said = 0;
	run_until(clock_ns + 3 * S, true);
	ck_assert_uint_eq(n_said, 0);
}
END_TEST

/* Each time that the queue is full the group starts with a short wait, unicast or not. */
START_TEST(the_wait_is_short_again)
{
	struct vrrp_conf c = conf(1, 1000);

	c.n_peers = _i ? 2 : 0;
	c.peers[0] = (struct rtr_addr){ .family = AF_INET, .b = { 10, 0, 0, 60 } };
	c.peers[1] = (struct rtr_addr){ .family = AF_INET, .b = { 10, 0, 0, 61 } };
	fresh();
	configure(&c, 1, NULL);
	plug_in();
	run_until(clock_ns + 10 * S, true);
	ck_assert_int_eq(with_vrid(1)->fsm.state, VRRP_S_ACTIVE);
	for (int i = 0; i < 3; i++) {
		refuse = ENOBUFS;
		run_until(clock_ns + 900 * MS, true);
		refuse = 0;
		run_until(clock_ns + 2 * S, true);
		ck_assert_uint_eq(with_vrid(1)->again_gap_ns, 0);
	}
	ck_assert_uint_eq(n_taken > 0, c.n_peers > 0);
}
END_TEST

/* ---- listening ---- */

/* A backup that was held up reads its master's adverts among thousands of others before it takes
 * over; it reads no more than that, so that a flood without end does not hold it up for ever. */
START_TEST(what_arrived_is_read_before_silence_counts)
{
	struct vrrp_conf c = conf(1, 1000);
	struct vg *g;

	fresh();
	configure(&c, 1, NULL);
	plug_in();
	g = with_vrid(1);
	/* Three batches, of which the last advert is the master's. */
	clock_ns = g->fsm.due + 10 * MS;
	queue.n = 3000;
	queue.at = g->fsm.due - 1 * S;
	queue.gap = (1 * S - 10 * MS) / 3000;
	memset(queue.vrid, 99, sizeof(queue.vrid));
	for (int turns = 0; turns < 100 && g->fsm.state == VRRP_S_BACKUP && queue.n; turns++) {
		if (queue.n < 1000)
			memset(queue.vrid, 1, sizeof(queue.vrid));
		clock_ns += 500 * 1000;
		turn();
	}
	ck_assert_int_eq(g->fsm.state, VRRP_S_BACKUP);
	ck_assert_uint_gt(g->fsm.due, clock_ns + 2 * S);

	/* Nothing but noise, faster than it is read. */
	memset(queue.vrid, 99, sizeof(queue.vrid));
	queue.n = 1u << 30;
	queue.gap = 400;
	clock_ns = g->fsm.due + 5 * MS;
	queue.at = g->fsm.due - 1 * MS;
	for (int turns = 0; turns < 10; turns++) {
		clock_ns += 5 * MS;
		turn();
	}
	ck_assert_int_eq(g->fsm.state, VRRP_S_ACTIVE);
}
END_TEST

/* After a partition heals the lesser master may hear the better one first. Its last advert tells
 * that one to announce the addresses again; by a virtual MAC it would lead the switches astray. */
START_TEST(the_lesser_master_is_heard_once_more)
{
	struct vg *g;

	masters(1, 1000);
	g = with_vrid(1);
	if (_i)
		g->mac[5] ^= 1; /* not that of the interface */
	memset(queue.vrid, 1, sizeof(queue.vrid));
	queue.n = 1;
	queue.at = clock_ns;
	n_said = 0;
	io_drain(&vd.ifs[0], V4);
	io_flush();
	ck_assert_int_eq(g->fsm.state, VRRP_S_BACKUP);
	ck_assert_uint_eq(n_said, _i ? 0 : 1);
	ck_assert(_i || (said[0].advert && said[0].prio == 100));
	run_until(clock_ns + 3 * S, true);
	ck_assert_uint_eq(n_said, _i ? 0 : 1);
}
END_TEST

/* ---- waiting for what is tracked ---- */

/* Half a minute from the first time, however often rtrd starts anew and knows nothing. */
START_TEST(unknown_counts_once)
{
	const struct vrrp_verdict nothing = { 0 };
	struct vrrp_conf c = conf(1, 1000);

	fresh();
	configure(&c, 1, &nothing);
	plug_in();
	for (int i = 0; i < 7; i++) {
		ck_assert_int_eq(with_vrid(1)->fsm.state, VRRP_S_INIT);
		ck_assert_int_eq(memory.slot[0].st.holding, VRRP_HOLD_ROUTES);
		run_until(clock_ns + 4 * S, true);
		configure(&c, 1, &nothing);
	}
	run_until(START + 31 * S, true);
	ck_assert_int_eq(with_vrid(1)->fsm.state, VRRP_S_BACKUP);
}
END_TEST

/* A group that is made anew waits anew; one that is known does not wait. */
START_TEST(known_waits_for_nothing)
{
	const struct vrrp_verdict nothing = { 0 };
	struct vrrp_conf c = conf(1, 1000);

	fresh();
	configure(&c, 1, &nothing);
	plug_in();
	run_until(clock_ns + 4 * S, true);
	ck_assert_int_eq(with_vrid(1)->fsm.state, VRRP_S_INIT);
	configure(&c, 1, NULL);
	run_until(clock_ns + 1 * MS, true);
	ck_assert_int_eq(with_vrid(1)->fsm.state, VRRP_S_BACKUP);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("vrrpd");
	TCase *tc = tcase_create("loop");

	tcase_add_test(tc, announced_again_every_minute);
	tcase_add_test(tc, many_are_paced);
	tcase_add_test(tc, only_those_that_own_promise);
	tcase_add_test(tc, an_address_lost_during_the_job);
	tcase_add_test(tc, refused_for_a_forgotten_group);
	tcase_add_test(tc, priority_0_is_said_again);
	tcase_add_test(tc, a_backup_resigns_from_nothing);
	tcase_add_loop_test(tc, the_wait_is_short_again, 0, 2);
	tcase_add_test(tc, what_arrived_is_read_before_silence_counts);
	tcase_add_loop_test(tc, the_lesser_master_is_heard_once_more, 0, 2);
	tcase_add_test(tc, unknown_counts_once);
	tcase_add_test(tc, known_waits_for_nothing);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
