/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel mirror against the kernel: flows put into the table by hand, entries read back.
 * Needs root.
 */
#include "tests/lib/check_main.h"

#include "fastpath/mirror.h"
#include "fastpath/tcp_track.h"
#include "tests/lib/ct_sock.h"
#include "tests/lib/netns.h"

#include <arpa/inet.h>
#include <time.h>

#define N_KINDS  12 /* family, protocol, translation */
#define N_FLOWS  240
#define SLOT_IN  3
#define SLOT_OUT 5
#define ROOM     4096

static struct fp_flow_mem mem;
static struct fp_flow *table;
static struct fp_flow_worker *fw;
static struct fp_mirror *mirror;
static struct fp_mirror_flow list[ROOM];

static void on_freed(void *ctx, enum flow_family fam, uint32_t pair, const flow_word *key[2])
{
	if (mirror)
		fp_mirror_freed(mirror, fam, pair, key);
}

static bool on(void *ctx)
{
	return true;
}

static unsigned ifindex(void *ctx, uint16_t slot)
{
	return slot == SLOT_IN ? 11 : slot == SLOT_OUT ? 12 : 0;
}

static void label(void *ctx, const struct fp_flow_view *v, uint32_t ret[4])
{
	ret[0] = 100;
	ret[1] = 200;
	ret[2] = 300;
}

static void start(void)
{
	struct fp_mirror_conf conf = {
		.flows = table, .on = on, .ifindex = ifindex, .label = label
	};

	ck_assert_int_eq(fp_mirror_start(&conf, &mirror), 0);
}

static void setup(void)
{
	const uint32_t flows[] = { ROOM, ROOM };
	struct fp_flow_conf conf = { .n_workers = 1, .freed = on_freed };

	netns_enter();
	/* Labels are kept for who writes them. */
	ck_assert(sh("nft add table t && nft add chain t c '{ type filter hook forward priority "
		     "0; }' && nft add rule t c ct label set 1"));
	ck_assert_int_eq(fp_flow_mem_anon(flows, &mem), 0);
	ck_assert_int_eq(fp_flow_open(&mem, &conf, &table), 0);
	fw = fp_flow_worker(table, 0);
	fp_flow_maintain(table, ROOM);
	ct_open();
	start();
}

static void teardown(void)
{
	mirror = fp_mirror_stop(mirror);
	table = fp_flow_close(table);
	fp_flow_mem_fini(&mem);
	close(ct_fd);
}

/* ---- flows ---- */

struct made {
	struct fp_flow_new f;
	enum flow_family fam;
	uint64_t ref;
	struct fp_mirror_flow entry; /* as the kernel shall have it */
};

static void end_of(struct fp_mirror_end *e, bool six, uint8_t net, uint32_t id, uint16_t port)
{
	*e = (struct fp_mirror_end){ .port_be = htons(port) };
	if (six) {
		e->addr[0] = 0xfd;
		e->addr[1] = net;
		memcpy(e->addr + 12, &id, 4);
	} else {
		e->addr[0] = net;
		e->addr[1] = 1;
		e->addr[2] = (uint8_t)(id >> 8);
		e->addr[3] = (uint8_t)id;
	}
}

static void key_of(struct fp_flow_half *h, const struct made *m, const struct fp_mirror_end *src,
		   const struct fp_mirror_end *dst, uint16_t zone)
{
	if (m->fam == FLOW_4) {
		h->key4 = (struct flow_key4){ .sport = src->port_be,
					      .dport = dst->port_be,
					      .proto = m->entry.proto,
					      .zone = zone };
		memcpy(&h->key4.saddr, src->addr, 4);
		memcpy(&h->key4.daddr, dst->addr, 4);
		return;
	}
	h->key6 = (struct flow_key6){
		.sport = src->port_be, .dport = dst->port_be, .proto = m->entry.proto, .zone = zone
	};
	memcpy(h->key6.saddr, src->addr, 16);
	memcpy(h->key6.daddr, dst->addr, 16);
}

/* Flow number id of a kind: bit 0 IPv6, bit 1 TCP, then nothing, source or both translated. */
static struct made make(uint32_t id)
{
	unsigned kind = id % N_KINDS, nat = kind >> 2;
	bool six = kind & 1, tcp = kind & 2;
	struct made m = { .fam = six ? FLOW_6 : FLOW_4 };
	struct fp_mirror_flow *e = &m.entry;

	*e = (struct fp_mirror_flow){ .family = six ? AF_INET6 : AF_INET,
				      .proto = tcp ? IPPROTO_TCP : IPPROTO_UDP,
				      .label = { 100 | FP_MIRROR_LABEL, 200, 300, 12 << 16 | 11 } };
	end_of(&e->src, six, 10, id, (uint16_t)(2000 + id));
	end_of(&e->dst, six, 20, id, 443);
	e->reply_src = e->dst;
	e->reply_dst = e->src;
	if (nat)
		end_of(&e->reply_dst, six, 30, 7, (uint16_t)(30000 + id));
	if (nat == 2)
		end_of(&e->reply_src, six, 40, 9, 8443);
	m.f = (struct fp_flow_new){ .time = fp_flow_now(),
				    .timeout = (uint32_t)(300 * NSEC_PER_SEC >> FLOW_TIME_SHIFT),
				    .policy = 1,
				    .flags = FLOW_COLD_TRACKED };
	key_of(&m.f.dir[0], &m, &e->src, &e->dst, SLOT_IN);
	key_of(&m.f.dir[1], &m, &e->reply_src, &e->reply_dst, SLOT_OUT);
	for (int d = 0; d < 2; d++) {
		m.f.dir[d].egress = flow_egress(1, 14, 7);
		m.f.dir[d].state = (uint8_t)(FLOW_P_EXPRESS | (tcp ? TCPT_S_ESTABLISHED : 1)
								      << FLOW_TRACK_SHIFT);
		m.f.dir[d].flags = (uint8_t)((nat ? FLOW_F_REWRITE : 0) | (tcp ? FLOW_F_TCP : 0));
	}
	return m;
}

static void insert(struct made *m)
{
	ck_assert_int_eq(fp_flow_insert(fw, m->fam, &m->f, &m->ref), 0);
}

static uint64_t word0(const struct made *m, unsigned dir)
{
	struct fp_flow_view v;

	ck_assert(fp_flow_view(table, m->fam, (uint32_t)m->ref >> 1, &v));
	return v.dir[dir].word0;
}

/* The kernel's entry with the tuple; NULL: none. */
static const struct fp_mirror_flow *find(const struct fp_mirror_flow *e, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i].family == e->family && list[i].proto == e->proto &&
		    !memcmp(&list[i].src, &e->src, sizeof(e->src)) &&
		    !memcmp(&list[i].dst, &e->dst, sizeof(e->dst)))
			return &list[i];
	return NULL;
}

static struct fp_mirror_stats stats(void)
{
	struct fp_mirror_stats s;

	fp_mirror_stats(mirror, &s);
	return s;
}

/* Waits at most 10 s. */
#define UNTIL(cond)                                                                                \
	do {                                                                                       \
		uint64_t until_ = rtr_now_ns() + 10 * NSEC_PER_SEC;                                \
		while (!(cond)) {                                                                  \
			ck_assert_msg(rtr_now_ns() < until_, "never: %s", #cond);                  \
			nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);                 \
		}                                                                                  \
	} while (0)

static void same_entry(const struct fp_mirror_flow *is, const struct fp_mirror_flow *want)
{
	ck_assert_ptr_nonnull(is);
	ck_assert_int_eq(memcmp(&is->reply_src, &want->reply_src, sizeof(is->reply_src)), 0);
	ck_assert_int_eq(memcmp(&is->reply_dst, &want->reply_dst, sizeof(is->reply_dst)), 0);
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(is->label[i], want->label[i]);
	ck_assert_uint_le(is->timeout_sec, 301);
	ck_assert_uint_ge(is->timeout_sec, 290);
}

/* ---- tests ---- */

static struct made made[N_FLOWS];

static void fill(void)
{
	for (uint32_t i = 0; i < N_FLOWS; i++) {
		made[i] = make(i);
		insert(&made[i]);
	}
}

static void all_written(void)
{
	unsigned n = ct_list(list, ROOM);

	ck_assert_uint_eq(n, N_FLOWS);
	for (uint32_t i = 0; i < N_FLOWS; i++) {
		same_entry(find(&made[i].entry, n), &made[i].entry);
		for (unsigned d = 0; d < 2; d++)
			ck_assert(flow_w0_flags(word0(&made[i], d)) & FLOW_F_MIRRORED);
	}
}

/* At once for a port that is about to leave; what is not established is not written. */
START_TEST(written)
{
	struct made m;

	fill();
	for (uint32_t i = 0; i < 3 * N_KINDS; i++) {
		bool tcp = i % N_KINDS & 2;

		m = make(1000 + i);
		if (i < N_KINDS)
			m.f.flags = 0; /* a route */
		else if (i < 2 * N_KINDS && tcp)
			m.f.dir[1].state = (uint8_t)(FLOW_P_WORKER | TCPT_S_SYN_RECV
									     << FLOW_TRACK_SHIFT);
		else
			m.f.dir[0].state = (uint8_t)(FLOW_P_KERNEL | 3 << FLOW_TRACK_SHIFT);
		insert(&m);
	}
	ck_assert(fp_mirror_port(mirror, 9, false, 5000));
	ck_assert_uint_eq(stats().written, 0);
	ck_assert(fp_mirror_port(mirror, SLOT_OUT, false, 5000));
	ck_assert_uint_eq(stats().written, N_FLOWS);
	ck_assert_uint_eq(stats().held, N_FLOWS);
	ck_assert_uint_eq(stats().refused + stats().exists, 0);
	all_written();
}
END_TEST

/* UDP that nobody answered. */
static struct made unanswered(uint32_t id)
{
	struct made m = make(id);

	ck_assert_int_eq(m.entry.proto, IPPROTO_UDP);
	m.f.dir[1].state = FLOW_P_EXPRESS;
	insert(&m);
	return m;
}

/* Without being asked: when it is old enough, and not before; without an answer only while it
 * sends. */
START_TEST(age)
{
	struct made once = unanswered(10 * N_FLOWS), sends = unanswered(10 * N_FLOWS + N_KINDS);
	struct made closes = make(10 * N_FLOWS + 2);
	uint64_t began = rtr_now_ns(), passes;
	struct fp_mirror_stats before, after;
	struct flow_hit4 h;
	unsigned n;

	fill();
	ck_assert_int_eq(closes.entry.proto, IPPROTO_TCP);
	for (int d = 0; d < 2; d++)
		closes.f.dir[d].state = FLOW_P_WORKER | TCPT_S_FIN_WAIT << FLOW_TRACK_SHIFT;
	insert(&closes);
	ck_assert_int_eq(fp_flow_find4(table, &sends.f.dir[0].key4, &h), FLOW_HIT);
	while (stats().written <= N_FLOWS) {
		ck_assert_uint_lt(rtr_now_ns() - began, 5 * NSEC_PER_SEC);
		if (stats().written)
			ck_assert_uint_ge(rtr_now_ns() - began, FP_MIRROR_AGE_SEC * NSEC_PER_SEC);
		__atomic_store_n(&h.own->time, fp_flow_now(), __ATOMIC_RELAXED);
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	}
	ck_assert_uint_lt(stats().lag_ms, 1500);
	n = ct_list(list, ROOM);
	ck_assert_uint_eq(n, N_FLOWS + 1);
	ck_assert_ptr_nonnull(find(&sends.entry, n));
	ck_assert_ptr_null(find(&once.entry, n));
	for (uint32_t i = 0; i < N_FLOWS; i++)
		same_entry(find(&made[i].entry, n), &made[i].entry);
	/* From here on each pass looks only at the one that may answer yet. */
	passes = stats().passes + 1;
	UNTIL(stats().passes >= passes);
	before = stats();
	UNTIL(stats().passes > before.passes);
	after = stats(); /* maybe in the middle of a pass */
	ck_assert_uint_le(after.looked - before.looked, after.passes - before.passes + 1);
	/* One that closes is written when its port leaves. */
	ck_assert(fp_mirror_port(mirror, SLOT_IN, false, 5000));
	ck_assert_uint_eq(ct_list(list, ROOM), N_FLOWS + 3);
}
END_TEST

/* A kernel whose table holds no more than say_max; 0: what it holds. */
static uint32_t say_max;

int __real_mirror_count(struct fp_mirror *m, uint32_t *ret_n, uint32_t *ret_max);
int __wrap_mirror_count(struct fp_mirror *m, uint32_t *ret_n, uint32_t *ret_max);
int __wrap_mirror_count(struct fp_mirror *m, uint32_t *ret_n, uint32_t *ret_max)
{
	int err = __real_mirror_count(m, ret_n, ret_max);
	uint32_t max = __atomic_load_n(&say_max, __ATOMIC_RELAXED);

	if (max)
		*ret_max = max;
	return err;
}

/* Three quarters of the kernel's table and no more, whosoever the entries are; what found no room
 * comes when there is some again. */
START_TEST(a_quarter_stays)
{
	struct fp_mirror_flow own = make(N_FLOWS).entry;
	unsigned freed = 0;

	__atomic_store_n(&say_max, 200, __ATOMIC_RELAXED);
	own.timeout_sec = 1000;
	own.tcp_state = TCPT_S_ESTABLISHED;
	ck_assert_int_eq(ct_say(fp_mirror_msg_new, &own), 0);
	fill();
	ck_assert(fp_mirror_port(mirror, SLOT_IN, false, 5000));
	ck_assert_uint_eq(ct_list(list, ROOM), 150);
	ck_assert_uint_eq(stats().written, 149);
	ck_assert_uint_eq(stats().refused, 0);
	UNTIL(stats().waiting == N_FLOWS - 149);
	ck_assert(fp_mirror_port(mirror, SLOT_IN, false, 5000));
	ck_assert_uint_eq(stats().written, 149);
	for (uint32_t i = 0; i < N_FLOWS; i++)
		if (flow_w0_flags(word0(&made[i], 0)) & FLOW_F_MIRRORED && i % 4 > 1)
			freed += !fp_flow_free(fw, made[i].fam, made[i].ref);
	ck_assert_uint_gt(freed, 50);
	fp_flow_maintain(table, ROOM);
	UNTIL(stats().written == 149 + freed);
	ck_assert_uint_eq(ct_list(list, ROOM), 150);
	__atomic_store_n(&say_max, 0, __ATOMIC_RELAXED);
	UNTIL(stats().held == N_FLOWS - freed);
}
END_TEST

START_TEST(ends_with_flow)
{
	fill();
	ck_assert(fp_mirror_port(mirror, SLOT_IN, false, 5000));
	for (uint32_t i = 0; i < N_FLOWS; i += 2)
		ck_assert_int_eq(fp_flow_free(fw, made[i].fam, made[i].ref), 0);
	fp_flow_maintain(table, ROOM);
	UNTIL(stats().ended == N_FLOWS / 2);
	ck_assert_uint_eq(ct_list(list, ROOM), N_FLOWS / 2);
	ck_assert_uint_eq(stats().held, N_FLOWS / 2);
	for (uint32_t i = 0; i < N_FLOWS; i++)
		ck_assert_int_eq(!find(&made[i].entry, N_FLOWS / 2), !(i & 1));
}
END_TEST

/* A connection that the kernel has wins; it does not end with the flow. */
START_TEST(kernel_wins)
{
	struct fp_mirror_flow own;
	struct made m;

	for (uint32_t i = 0; i < N_KINDS; i++) {
		m = make(i);
		own = m.entry;
		own.timeout_sec = 1000;
		own.tcp_state = TCPT_S_ESTABLISHED;
		own.label[0] = 77;
		ck_assert_int_eq(ct_say(fp_mirror_msg_new, &own), 0);
		insert(&m);
		ck_assert(fp_mirror_port(mirror, SLOT_IN, false, 5000));
		ck_assert_uint_eq(stats().exists, i + 1);
		ck_assert_uint_eq(flow_w0_path(word0(&m, 0)), FLOW_P_KERNEL);
		ck_assert_uint_eq(flow_w0_path(word0(&m, 1)), FLOW_P_KERNEL);
		ck_assert_int_eq(fp_flow_free(fw, m.fam, m.ref), 0);
	}
	fp_flow_maintain(table, ROOM);
	/* Two passes later it is still there. */
	UNTIL(stats().passes >= 2);
	ck_assert_uint_eq(ct_list(list, ROOM), N_KINDS);
	ck_assert_uint_eq(stats().ended + stats().held, 0);
	for (uint32_t i = 0; i < N_KINDS; i++)
		ck_assert_uint_eq(list[i].label[0], 77);
}
END_TEST

/* The kernel's, with a port that is its own; or over. */
static void left(const struct made *m, unsigned dir)
{
	bool translated = m->f.dir[0].flags & FLOW_F_REWRITE;

	ck_assert_uint_eq(flow_w0_path(word0(m, dir)), translated ? FLOW_P_KERNEL : FLOW_P_ENDED);
	ck_assert(!translated || !(flow_w0_flags(word0(m, dir)) & FLOW_F_MIRRORED));
}

/* An interface leaves: entries stay, without the mirror's mark, and flows end; those with a port of
 * ours stay as long as the entry. */
START_TEST(given)
{
	fill();
	ck_assert(fp_mirror_port(mirror, SLOT_IN, false, 5000));
	ck_assert(fp_mirror_port(mirror, SLOT_IN, true, 5000));
	ck_assert_uint_eq(stats().given, N_FLOWS);
	ck_assert_uint_eq(stats().held, 0);
	for (uint32_t i = 0; i < 2 * N_FLOWS; i++)
		left(&made[i / 2], i & 1);
	ck_assert_uint_eq(fp_flow_age(fw, fp_flow_now(), 1u << 20, NULL, NULL), N_FLOWS / 3);
	fp_flow_maintain(table, ROOM);
	UNTIL(stats().passes >= 2);
	ck_assert_uint_eq(ct_list(list, ROOM), N_FLOWS);
	ck_assert_uint_eq(stats().ended, 0);
	for (uint32_t i = 0; i < N_FLOWS; i++) {
		made[i].entry.label[0] = 100;
		same_entry(find(&made[i].entry, N_FLOWS), &made[i].entry);
	}
}
END_TEST

/* The port of a connection that the kernel was given is another's again when it has ended there,
 * also for a process that finds it so. */
START_TEST(kept_for_the_kernel)
{
	unsigned n = 0;

	fill();
	ck_assert(fp_mirror_port(mirror, SLOT_IN, true, 5000));
	fp_flow_age(fw, fp_flow_now(), 1u << 20, NULL, NULL);
	mirror = fp_mirror_stop(mirror);
	for (uint32_t i = 0; i < N_FLOWS; i++) {
		struct fp_mirror_flow other = made[i].entry;

		if (i % 3 == 0)
			ck_assert_int_eq(ct_say(fp_mirror_msg_end, &other), 0);
		if (i % 6 || i >= N_FLOWS - 6)
			continue;
		/* The sender's next one has another port: the kernel's. */
		other.label[0] = 100;
		other.timeout_sec = 60;
		other.tcp_state = TCPT_S_ESTABLISHED;
		end_of(&other.reply_dst, other.family == AF_INET6, 30, 7, (uint16_t)(1024 + i));
		ck_assert_int_eq(ct_say(fp_mirror_msg_new, &other), 0);
		n++;
	}
	start();
	UNTIL(stats().passes);
	for (uint32_t i = 0; i < N_FLOWS; i++)
		if (made[i].f.dir[0].flags & FLOW_F_REWRITE)
			ck_assert_uint_eq(flow_w0_path(word0(&made[i], 0)),
					  i % 3 ? FLOW_P_KERNEL : FLOW_P_ENDED);
	ck_assert_uint_eq(stats().held + stats().orphans, 0);
	n += N_FLOWS * 2 / 3;
	ck_assert_uint_eq(ct_list(list, ROOM), n);
	for (uint32_t i = 0; i < n; i++)
		ck_assert_uint_eq(list[i].label[0], 100);
}
END_TEST

/* One flow by itself, young and old. */
START_TEST(taken)
{
	fill();
	for (uint32_t i = 0; i < N_FLOWS; i++) {
		if (i == N_FLOWS / 2)
			ck_assert(fp_mirror_port(mirror, SLOT_IN, false, 5000));
		fp_mirror_take(mirror, made[i].fam, made[i].ref ^ (i & 1));
	}
	UNTIL(stats().given == N_FLOWS);
	UNTIL(fp_flow_age(fw, fp_flow_now(), 1u << 20, NULL, NULL) ||
	      !fp_flow_view(table, made[0].fam, (uint32_t)made[0].ref >> 1,
			    &(struct fp_flow_view){ 0 }));
	ck_assert_uint_eq(ct_list(list, ROOM), N_FLOWS);
	for (uint32_t i = 0; i < N_FLOWS; i++)
		ck_assert_uint_eq(list[i].label[0], 100);
}
END_TEST

/* Another process: what it finds written ends with its flow; what has no flow is the kernel's. */
START_TEST(restart)
{
	struct made lost = make(5000);

	fill();
	ck_assert(fp_mirror_port(mirror, SLOT_IN, false, 5000));
	lost.entry.timeout_sec = 200;
	lost.entry.tcp_state = TCPT_S_ESTABLISHED;
	mirror = fp_mirror_stop(mirror);
	ck_assert_int_eq(ct_say(fp_mirror_msg_new, &lost.entry), 0);
	start();
	UNTIL(stats().passes);
	ck_assert_uint_eq(stats().held, N_FLOWS);
	ck_assert_uint_eq(stats().orphans, 1);
	ck_assert_uint_eq(stats().renewed, N_FLOWS);
	for (uint32_t i = 0; i < N_FLOWS; i++)
		ck_assert_int_eq(fp_flow_free(fw, made[i].fam, made[i].ref), 0);
	fp_flow_maintain(table, ROOM);
	UNTIL(stats().ended == N_FLOWS);
	ck_assert_uint_eq(ct_list(list, ROOM), 1);
	ck_assert_uint_eq(list[0].label[0], 100);
}
END_TEST

/* A flow that lives on keeps its entry alive, and one that is deleted comes back. */
START_TEST(renewed)
{
	struct flow_hit4 h;
	struct made m = make(0);
	struct fp_mirror_flow other = m.entry;
	uint64_t began;

	ck_assert_int_eq(m.fam, FLOW_4);
	m.f.timeout = (uint32_t)(4 * NSEC_PER_SEC >> FLOW_TIME_SHIFT);
	insert(&m);
	ck_assert(fp_mirror_port(mirror, SLOT_IN, false, 5000));
	ck_assert_int_eq(fp_flow_find4(table, &m.f.dir[0].key4, &h), FLOW_HIT);
	began = rtr_now_ns();
	while (rtr_now_ns() - began < 5500 * NSEC_PER_MSEC) {
		__atomic_store_n(&h.own->time, fp_flow_now(), __ATOMIC_RELAXED);
		ck_assert_uint_eq(ct_list(list, ROOM), 1);
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	}
	ck_assert_uint_ge(stats().renewed, 1);
	ck_assert_uint_le(stats().renewed, 3);
	ck_assert_int_eq(ct_say(fp_mirror_msg_end, &m.entry), 0);
	while (!ct_list(list, ROOM)) {
		__atomic_store_n(&h.own->time, fp_flow_now(), __ATOMIC_RELAXED);
		ck_assert_uint_lt(rtr_now_ns() - began, 15 * NSEC_PER_SEC);
	}
	/* Nor is it called mirrored where another has taken its place: answers are that one's. */
	other.src.port_be++;
	other.timeout_sec = 60;
	ck_assert_int_eq(ct_say(fp_mirror_msg_end, &m.entry), 0);
	ck_assert_int_eq(ct_say(fp_mirror_msg_new, &other), 0);
	while (flow_w0_path(word0(&m, 0)) != FLOW_P_KERNEL) {
		__atomic_store_n(&h.own->time, fp_flow_now(), __ATOMIC_RELAXED);
		ck_assert_uint_lt(rtr_now_ns() - began, 25 * NSEC_PER_SEC);
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	}
	for (unsigned d = 0; d < 2; d++)
		ck_assert(!(flow_w0_flags(word0(&m, d)) & FLOW_F_MIRRORED));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("mirror");
	TCase *tc = tcase_create("mirror");

	netns_or_skip();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, written);
	tcase_add_test(tc, age);
	tcase_add_test(tc, a_quarter_stays);
	tcase_add_test(tc, ends_with_flow);
	tcase_add_test(tc, kernel_wins);
	tcase_add_test(tc, given);
	tcase_add_test(tc, kept_for_the_kernel);
	tcase_add_test(tc, taken);
	tcase_add_test(tc, restart);
	tcase_add_test(tc, renewed);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
