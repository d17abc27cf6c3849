/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parent's watch over rtr-vrrpd by a clock of the test's. No netlink socket can be opened here:
 * that addresses are taken away is seen by what the parent writes about the groups. */
#include "../lib/check_main.h"

#include "rtr/vrrp.h"
#include "system/parent_vrrp.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#define MS    NSEC_PER_MSEC
#define S     NSEC_PER_SEC
#define START (1000 * S)

static struct vrrp_shm shm;
static struct parent_vrrp v;
static unsigned n_dumps, n_kills;

int __wrap_socket(int family, int type, int proto);
int __wrap_kill(pid_t pid, int sig);

/* One each time that addresses would be taken away. */
int __wrap_socket(int family, int type, int proto)
{
	n_dumps++;
	errno = EPERM;
	return -1;
}

int __wrap_kill(pid_t pid, int sig)
{
	n_kills++;
	return 0;
}

/* A master of 100 ms adverts beside a backup of 10 ms; a process that beat at the start. */
static void fresh(void)
{
	memset(&shm, 0, sizeof(shm));
	shm.n_slots = 2;
	shm.slot[0].used = shm.slot[1].used = 1;
	shm.slot[0].conf.adver_ms = 100;
	shm.slot[0].st.owned = 1;
	shm.slot[0].st.state = VRRP_S_ACTIVE;
	shm.slot[1].conf.adver_ms = 10;
	shm.slot[1].st.state = VRRP_S_BACKUP;
	shm.beat_ns = START;
	shm.withdraw_ns = 300 * MS;
	shm.beat_max_ns = 2 * S;
	v = (struct parent_vrrp){ .instance = "test",
				  .shm = &shm,
				  .pid = 4242,
				  .wanted = true,
				  .exe_fd = -1,
				  .shm_fd = -1,
				  .listen_fd = -1,
				  .started_ns = START - 100 * S };
	n_dumps = n_kills = 0;
}

/* What a program killed by a signal ends with. */
static const int killed = SIGKILL;

/* It died 100 ms after its last word: the rest of the peers' patience is what a new one has. */
START_TEST(resume_counts_from_the_last_beat)
{
	fresh();
	parent_vrrp_ended(&v, killed, START + 100 * MS);
	ck_assert_uint_eq(v.resume_due_ns, START + 300 * MS);
	ck_assert_uint_eq(v.start_due_ns, START + 100 * MS);
	ck_assert_uint_eq(n_dumps, 0);
	ck_assert_int_eq(shm.slot[0].st.state, VRRP_S_ACTIVE);
}
END_TEST

/* It was silent for longer than that when it died: a peer is master by now. */
START_TEST(too_late_to_resume)
{
	fresh();
	parent_vrrp_ended(&v, killed, START + 301 * MS);
	ck_assert_uint_eq(v.resume_due_ns, 0);
	ck_assert_uint_eq(n_dumps, 1);
	ck_assert_int_eq(shm.slot[0].st.state, VRRP_S_INIT);
	ck_assert_int_eq(shm.slot[0].st.reason, VRRP_R_WITHDRAWN);
	ck_assert_int_eq(shm.slot[0].st.owned, 0);
	ck_assert_int_eq(shm.slot[1].st.state, VRRP_S_BACKUP);
}
END_TEST

/* A new process that does not beat in time is killed, and its addresses go with it. */
START_TEST(not_back_in_time)
{
	fresh();
	parent_vrrp_ended(&v, killed, START + 100 * MS);
	v.pid = 4243;
	v.started_ns = START + 101 * MS;
	ck_assert_uint_eq(parent_vrrp_run(&v, START + 200 * MS), START + 300 * MS);
	parent_vrrp_run(&v, START + 300 * MS);
	ck_assert_uint_eq(n_kills, 1);
	parent_vrrp_ended(&v, killed, START + 301 * MS);
	ck_assert_uint_eq(n_dumps, 1);
	ck_assert_int_eq(shm.slot[0].st.state, VRRP_S_INIT);
	/* Back in time, it goes on. */
	fresh();
	parent_vrrp_ended(&v, killed, START + 100 * MS);
	v.pid = 4243;
	v.started_ns = START + 101 * MS;
	shm.beat_ns = START + 110 * MS;
	parent_vrrp_run(&v, START + 310 * MS);
	ck_assert_uint_eq(v.resume_due_ns, 0);
	ck_assert_uint_eq(n_kills + n_dumps, 0);
}
END_TEST

/* Dead again within a second, twice: not as a master any more. */
START_TEST(a_crash_loop_loses_the_addresses)
{
	fresh();
	for (int i = 0; i < 2; i++) {
		v.pid = 4243;
		v.started_ns = shm.beat_ns = START;
		ck_assert_uint_eq(n_dumps, 0);
		parent_vrrp_ended(&v, killed, START + 10 * MS);
	}
	ck_assert_uint_eq(n_dumps, 1);
	ck_assert_int_eq(shm.slot[0].st.state, VRRP_S_INIT);
	ck_assert_uint_gt(v.start_due_ns, START + 10 * MS);
}
END_TEST

/* Silence takes the addresses away once, not before its time, and kills nobody before the promise.
 */
START_TEST(silence)
{
	uint64_t at = START;

	fresh();
	while (at < START + 299 * MS)
		at = MIN(parent_vrrp_run(&v, at), at + 50 * MS);
	ck_assert_uint_eq(n_dumps, 0);
	parent_vrrp_run(&v, START + 300 * MS + 1);
	ck_assert_uint_eq(n_dumps, 1);
	for (at = START + 301 * MS; at <= START + 2 * S; at += 50 * MS)
		parent_vrrp_run(&v, at);
	ck_assert_uint_eq(n_dumps, 1);
	ck_assert_uint_eq(n_kills, 0);
	parent_vrrp_run(&v, START + 2 * S + 1);
	ck_assert_uint_eq(n_kills, 1);
}
END_TEST

/* Late ourselves, as on a machine that was stopped, we give it a moment more. */
START_TEST(lateness_of_our_own)
{
	fresh();
	parent_vrrp_run(&v, START + 100 * MS);
	parent_vrrp_run(&v, START + 900 * MS);
	ck_assert_uint_eq(n_dumps, 0);
	shm.beat_ns = START + 901 * MS;
	parent_vrrp_run(&v, START + 1100 * MS);
	ck_assert_uint_eq(n_dumps, 0);
}
END_TEST

/* In order: it takes its addresses away itself; what it leaves is taken. */
START_TEST(stop)
{
	fresh();
	v.stopping = true;
	parent_vrrp_ended(&v, 0, START + 100 * MS);
	ck_assert_uint_eq(n_dumps, 1);
	fresh();
	shm.slot[0].st.owned = 0;
	v.stopping = true;
	parent_vrrp_ended(&v, 0, START + 100 * MS);
	ck_assert_uint_eq(n_dumps, 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("vrrp_parent");
	TCase *tc = tcase_create("watch");

	tcase_add_test(tc, resume_counts_from_the_last_beat);
	tcase_add_test(tc, too_late_to_resume);
	tcase_add_test(tc, not_back_in_time);
	tcase_add_test(tc, a_crash_loop_loses_the_addresses);
	tcase_add_test(tc, silence);
	tcase_add_test(tc, lateness_of_our_own);
	tcase_add_test(tc, stop);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
