/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every transition of the VRRP state machine, and whole segments of random routers. */
#include "../lib/check_main.h"

#include "vrrp/vrrp_fsm.h"
#include "vrrp/vrrp_packet.h"

#include <string.h>

#define MS NSEC_PER_MSEC
#define S  NSEC_PER_SEC

static struct vrrp_fsm f, g;
static int n_adverts, n_own, n_release, n_announce, last_prio;
static uint8_t from;
static enum vrrp_reason why;

static void note_advert(struct vrrp_fsm *x, uint8_t prio)
{
	n_adverts++;
	last_prio = prio;
}

static void note_own(struct vrrp_fsm *x)
{
	n_own++;
}

static void note_release(struct vrrp_fsm *x)
{
	n_release++;
}

static void note_announce(struct vrrp_fsm *x)
{
	n_announce++;
}

static void note_state(struct vrrp_fsm *x, uint8_t was, enum vrrp_reason reason)
{
	if (x != &f)
		return;
	from = was;
	why = reason;
}

static const struct vrrp_fsm_ops ops = { note_advert, note_own, note_release, note_announce,
					 note_state };

static struct rtr_addr host(unsigned n)
{
	return (struct rtr_addr){ .family = AF_INET, .b = { 10, 0, 0, (uint8_t)n } };
}

static struct vrrp_fsm_conf conf(uint8_t prio)
{
	return (struct vrrp_fsm_conf){
		.version = 3, .prio = prio, .preempt = true, .adver_ns = S, .local = host(5)
	};
}

static void make(uint8_t prio)
{
	struct vrrp_fsm_conf c = conf(prio);

	vrrp_fsm_init(&f, &c, &ops);
	n_adverts = n_own = n_release = n_announce = 0;
	last_prio = -1;
	why = VRRP_R_NONE;
}

static void backup(uint8_t prio)
{
	make(prio);
	vrrp_fsm_up(&f, S, 0);
	ck_assert_int_eq(f.state, VRRP_S_BACKUP);
}

static void active(uint8_t prio)
{
	backup(prio);
	vrrp_fsm_timer(&f, f.due);
	ck_assert_int_eq(f.state, VRRP_S_ACTIVE);
	n_adverts = n_own = 0;
}

static void hear(uint64_t at, uint8_t prio, unsigned who, uint64_t adver)
{
	struct vrrp_heard h = { .prio = prio, .src = host(who), .adver_ns = adver, .rx = at };

	vrrp_fsm_heard(&f, at, &h);
}

START_TEST(times)
{
	ck_assert_uint_eq(vrrp_skew_ns(3, 100, S), 156 * S / 256);
	ck_assert_uint_eq(vrrp_down_ns(3, 100, 10 * MS), 30 * MS + 10 * MS * 156 / 256);
	/* Version 2: the skew is in seconds, whatever the interval. */
	ck_assert_uint_eq(vrrp_down_ns(2, 254, 5 * S), 15 * S + 2 * S / 256);
	ck_assert_uint_eq(vrrp_skew_ns(3, 255, S), S / 256);
}
END_TEST

START_TEST(start_backup_then_active)
{
	backup(100);
	ck_assert_int_eq(why, VRRP_R_START);
	ck_assert_uint_eq(f.due, S + 3 * S + 156 * S / 256);
	vrrp_fsm_timer(&f, f.due - 1);
	ck_assert_int_eq(f.state, VRRP_S_BACKUP);
	vrrp_fsm_timer(&f, f.due);
	ck_assert_int_eq(f.state, VRRP_S_ACTIVE);
	ck_assert_int_eq(why, VRRP_R_MASTER_DOWN);
	ck_assert_int_eq(n_adverts, 1);
	ck_assert_int_eq(last_prio, 100);
	ck_assert_int_eq(n_own, 1);
}
END_TEST

START_TEST(owner_is_active_at_once)
{
	make(255);
	vrrp_fsm_up(&f, S, 0);
	ck_assert_int_eq(f.state, VRRP_S_ACTIVE);
	ck_assert_int_eq(why, VRRP_R_OWNER);
	ck_assert_int_eq(last_prio, 255);
	vrrp_fsm_track(&f, S, 50, false);
	ck_assert_int_eq(f.prio, 255);
}
END_TEST

START_TEST(hold)
{
	make(255);
	vrrp_fsm_up(&f, S, 10 * S);
	ck_assert_int_eq(f.state, VRRP_S_INIT);
	ck_assert_uint_eq(f.due, 10 * S);
	hear(2 * S, 200, 9, S);
	ck_assert_int_eq(f.state, VRRP_S_INIT);
	vrrp_fsm_timer(&f, 10 * S);
	ck_assert_int_eq(f.state, VRRP_S_ACTIVE);
}
END_TEST

START_TEST(backup_obeys)
{
	backup(100);
	hear(2 * S, 150, 9, 200 * MS);
	/* The master's interval counts, not ours. */
	ck_assert_uint_eq(f.due, 2 * S + vrrp_down_ns(3, 100, 200 * MS));
	hear(3 * S, 100, 1, S); /* the same priority, a lower address: still obeyed */
	ck_assert_uint_eq(f.due, 3 * S + vrrp_down_ns(3, 100, S));
	/* What counts is when it arrived, not when it was read. */
	vrrp_fsm_heard(&f, 5 * S, &(struct vrrp_heard){ 120, host(9), S, 4 * S });
	ck_assert_uint_eq(f.due, 4 * S + vrrp_down_ns(3, 100, S));
}
END_TEST

START_TEST(backup_version_2_keeps_its_interval)
{
	struct vrrp_fsm_conf c = conf(100);

	c.version = 2;
	vrrp_fsm_init(&f, &c, &ops);
	vrrp_fsm_up(&f, S, 0);
	hear(2 * S, 150, 9, 7 * S);
	ck_assert_uint_eq(f.due, 2 * S + vrrp_down_ns(2, 100, S));
	f.c.learn = true;
	hear(2 * S, 150, 9, 7 * S);
	ck_assert_uint_eq(f.due, 2 * S + vrrp_down_ns(2, 100, 7 * S));
}
END_TEST

START_TEST(backup_master_resigns)
{
	backup(100);
	hear(2 * S, 150, 9, S);
	hear(3 * S, 0, 9, S);
	ck_assert_uint_eq(f.due, 3 * S + 156 * S / 256);
	vrrp_fsm_timer(&f, f.due);
	ck_assert_int_eq(f.state, VRRP_S_ACTIVE);
	ck_assert_int_eq(why, VRRP_R_PRIO_ZERO);
}
END_TEST

START_TEST(backup_preempts)
{
	uint64_t due;

	backup(100);
	due = f.due;
	hear(2 * S, 99, 9, S);
	ck_assert_uint_eq(f.due, due);
	vrrp_fsm_timer(&f, due);
	ck_assert_int_eq(f.state, VRRP_S_ACTIVE);
	ck_assert_int_eq(why, VRRP_R_PREEMPT);
}
END_TEST

START_TEST(backup_does_not_preempt)
{
	backup(100);
	f.c.preempt = false;
	hear(2 * S, 99, 9, S);
	ck_assert_uint_eq(f.due, 2 * S + vrrp_down_ns(3, 100, S));
	vrrp_fsm_timer(&f, f.due);
	ck_assert_int_eq(f.state, VRRP_S_ACTIVE);
	ck_assert_int_eq(why, VRRP_R_MASTER_DOWN);
}
END_TEST

START_TEST(preempt_delay)
{
	uint64_t t;

	backup(100);
	f.c.preempt_delay_ns = 10 * S;
	for (t = 2 * S; t < 12 * S; t += S) {
		hear(t, 99, 9, S);
		vrrp_fsm_timer(&f, t);
		ck_assert_int_eq(f.state, VRRP_S_BACKUP);
	}
	ck_assert_uint_eq(f.due, 12 * S);
	vrrp_fsm_timer(&f, 12 * S);
	ck_assert_int_eq(f.state, VRRP_S_ACTIVE);
	ck_assert_int_eq(why, VRRP_R_PREEMPT);
	/* A master that dies meanwhile is not waited for. */
	backup(100);
	f.c.preempt_delay_ns = 100 * S;
	hear(2 * S, 99, 9, S);
	vrrp_fsm_timer(&f, 2 * S + vrrp_down_ns(3, 100, S));
	ck_assert_int_eq(why, VRRP_R_MASTER_DOWN);
	/* A better master ends the delay. */
	backup(100);
	f.c.preempt_delay_ns = 10 * S;
	hear(2 * S, 99, 9, S);
	hear(3 * S, 101, 9, S);
	hear(11 * S, 99, 9, S);
	vrrp_fsm_timer(&f, 12 * S);
	ck_assert_int_eq(f.state, VRRP_S_BACKUP);
}
END_TEST

START_TEST(active_adverts)
{
	uint64_t due;

	active(100);
	due = f.due;
	vrrp_fsm_timer(&f, due + 3 * MS); /* late */
	ck_assert_int_eq(n_adverts, 1);
	ck_assert_uint_eq(f.due, due + S); /* but not for ever */
	vrrp_fsm_timer(&f, due + 10 * S);
	ck_assert_int_eq(n_adverts, 2);
	ck_assert_uint_eq(f.due, due + 11 * S);
}
END_TEST

START_TEST(active_hears_better)
{
	active(100);
	hear(10 * S, 101, 1, 100 * MS);
	ck_assert_int_eq(f.state, VRRP_S_BACKUP);
	ck_assert_int_eq(why, VRRP_R_HIGHER);
	ck_assert_int_eq(n_release, 1);
	ck_assert_int_eq(n_adverts, 0);
	ck_assert_uint_eq(f.due, 10 * S + vrrp_down_ns(3, 100, 100 * MS));
}
END_TEST

START_TEST(active_tie)
{
	active(100);
	hear(10 * S, 100, 4, S);
	ck_assert_int_eq(f.state, VRRP_S_ACTIVE);
	ck_assert_int_eq(n_adverts, 1);
	ck_assert_int_eq(n_announce, 1);
	hear(10 * S, 100, 6, S);
	ck_assert_int_eq(f.state, VRRP_S_BACKUP);
}
END_TEST

START_TEST(active_hears_lesser)
{
	active(100);
	hear(10 * S, 99, 9, S);
	ck_assert_int_eq(n_adverts, 1);
	ck_assert_int_eq(n_announce, 1);
	ck_assert_uint_eq(f.due, 11 * S);
	/* A flood of them is answered once an interval. */
	for (int i = 1; i < 1000; i++)
		hear(10 * S + (uint64_t)i * MS / 2, 99, 9, S);
	ck_assert_int_eq(n_adverts, 1);
	ck_assert_int_eq(n_announce, 1);
	hear(11 * S, 99, 9, S);
	ck_assert_int_eq(n_announce, 2);
}
END_TEST

START_TEST(active_hears_resignation)
{
	active(100);
	hear(10 * S, 0, 9, S);
	ck_assert_int_eq(n_adverts, 1);
	ck_assert_uint_eq(f.due, 11 * S);
	ck_assert_int_eq(f.state, VRRP_S_ACTIVE);
}
END_TEST

START_TEST(link_down)
{
	active(100);
	vrrp_fsm_down(&f, 9 * S, VRRP_R_LINK);
	ck_assert_int_eq(f.state, VRRP_S_INIT);
	ck_assert_int_eq(why, VRRP_R_LINK);
	ck_assert_int_eq(last_prio, 0);
	ck_assert_int_eq(n_release, 1);
	ck_assert_uint_eq(f.due, 0);
	backup(100);
	vrrp_fsm_down(&f, 9 * S, VRRP_R_LINK);
	ck_assert_int_eq(n_adverts + n_release, 0);
	vrrp_fsm_up(&f, 10 * S, 0);
	ck_assert_int_eq(f.state, VRRP_S_BACKUP);
}
END_TEST

START_TEST(tracking)
{
	active(100);
	vrrp_fsm_track(&f, 9 * S, 30, false);
	vrrp_fsm_timer(&f, f.due);
	ck_assert_int_eq(last_prio, 70);
	vrrp_fsm_track(&f, 9 * S, 200, false);
	ck_assert_int_eq(f.prio, 1);
	vrrp_fsm_track(&f, 9 * S, 0, true);
	ck_assert_int_eq(f.state, VRRP_S_INIT);
	ck_assert_int_eq(why, VRRP_R_TRACK);
	ck_assert_int_eq(last_prio, 0);
	vrrp_fsm_up(&f, 10 * S, 0);
	ck_assert_int_eq(f.state, VRRP_S_INIT);
	vrrp_fsm_track(&f, 11 * S, 0, false);
	ck_assert_int_eq(f.state, VRRP_S_BACKUP);
	ck_assert_int_eq(f.prio, 100);
}
END_TEST

START_TEST(switchover)
{
	active(200);
	vrrp_fsm_leave(&f, 10 * S, false, VRRP_R_SWITCHOVER);
	ck_assert_int_eq(f.state, VRRP_S_LEAVING);
	ck_assert_int_eq(last_prio, 0);
	ck_assert_int_eq(n_release, 0); /* forwards until the peer does */
	hear(10 * S + 500 * MS, 100, 9, S);
	ck_assert_int_eq(f.state, VRRP_S_BACKUP);
	ck_assert_int_eq(n_release, 1);
	/* It does not take it back from a peer with a lower priority, */
	hear(11 * S, 100, 9, S);
	ck_assert_uint_eq(f.due, 11 * S + vrrp_down_ns(3, 200, S));
	/* but from a dead one. */
	vrrp_fsm_timer(&f, f.due);
	ck_assert_int_eq(f.state, VRRP_S_ACTIVE);
	ck_assert(!f.no_preempt);
}
END_TEST

START_TEST(switchover_without_a_peer)
{
	active(200);
	vrrp_fsm_leave(&f, 10 * S, false, VRRP_R_SWITCHOVER);
	vrrp_fsm_timer(&f, f.due);
	ck_assert_int_eq(f.state, VRRP_S_ACTIVE);
	ck_assert_int_eq(last_prio, 200);
	ck_assert_int_eq(n_release, 0); /* the address was never without a router */
}
END_TEST

START_TEST(leave_for_good)
{
	active(200);
	vrrp_fsm_leave(&f, 10 * S, true, VRRP_R_SHUTDOWN);
	ck_assert_int_eq(f.state, VRRP_S_LEAVING);
	ck_assert_uint_le(f.due, 10 * S + 2 * S);
	vrrp_fsm_timer(&f, f.due);
	ck_assert_int_eq(f.state, VRRP_S_INIT);
	ck_assert_int_eq(n_release, 1);
	ck_assert_int_eq(n_adverts, 1); /* 0 is said once: each one would restart the peer's skew */
	vrrp_fsm_timer(&f, 100 * S);
	ck_assert_int_eq(f.state, VRRP_S_INIT);
	backup(200);
	vrrp_fsm_leave(&f, 10 * S, true, VRRP_R_SHUTDOWN);
	ck_assert_int_eq(f.state, VRRP_S_INIT);
}
END_TEST

START_TEST(changes_without_transition)
{
	struct vrrp_fsm_conf c;

	active(100);
	c = f.c;
	c.adver_ns = 10 * MS;
	c.prio = 120;
	vrrp_fsm_conf(&f, 5 * S, &c);
	ck_assert_int_eq(f.state, VRRP_S_ACTIVE);
	ck_assert_uint_le(f.due, 5 * S + 10 * MS);
	ck_assert_int_eq(n_adverts + n_own + n_release, 0);
	backup(100);
	c = f.c;
	c.adver_ns = 5 * S;
	vrrp_fsm_conf(&f, 2 * S, &c);
	ck_assert_uint_eq(f.due, 2 * S + vrrp_down_ns(3, 100, 5 * S));
	c.prio = 255;
	vrrp_fsm_conf(&f, 3 * S, &c);
	ck_assert_int_eq(why, VRRP_R_OWNER);
}
END_TEST

START_TEST(resume_and_stall)
{
	uint64_t due;

	make(100);
	vrrp_fsm_resume(&f, 5 * S);
	vrrp_fsm_timer(&f, 5 * S);
	ck_assert_int_eq(n_adverts, 1);
	ck_assert_int_eq(n_own, 1);
	vrrp_fsm_up(&f, 5 * S, 90 * S); /* no hold for one that is at work */
	ck_assert_int_eq(f.state, VRRP_S_ACTIVE);
	backup(100);
	due = f.due;
	vrrp_fsm_stalled(&f, due + 60 * S);
	vrrp_fsm_timer(&f, due + 60 * S);
	ck_assert_int_eq(f.state, VRRP_S_BACKUP);
	ck_assert_uint_gt(f.due, due + 61 * S);
}
END_TEST

/* ---- sync groups ---- */

static struct vrrp_sync sync_group;

static void pair(void)
{
	struct vrrp_fsm_conf c = conf(100);

	sync_group.first = NULL;
	make(100);
	vrrp_fsm_init(&g, &c, &ops);
	vrrp_fsm_join(&f, &sync_group);
	vrrp_fsm_join(&g, &sync_group);
	vrrp_fsm_up(&f, S, 0);
	ck_assert_int_eq(f.state, VRRP_S_INIT);
	vrrp_fsm_up(&g, S, 0);
	ck_assert_int_eq(f.state, VRRP_S_BACKUP);
	ck_assert_int_eq(g.state, VRRP_S_BACKUP);
}

START_TEST(sync_moves_as_one)
{
	pair();
	vrrp_fsm_timer(&f, f.due);
	ck_assert_int_eq(f.state, VRRP_S_ACTIVE);
	ck_assert_int_eq(g.state, VRRP_S_ACTIVE);
	ck_assert_int_eq(n_own, 2);
	hear(10 * S, 101, 9, S);
	ck_assert_int_eq(f.state, VRRP_S_BACKUP);
	ck_assert_int_eq(g.state, VRRP_S_BACKUP);
	vrrp_fsm_timer(&f, f.due);
	vrrp_fsm_down(&g, 20 * S, VRRP_R_LINK);
	ck_assert_int_eq(f.state, VRRP_S_INIT);
	ck_assert_int_eq(why, VRRP_R_SYNC);
	ck_assert_int_eq(g.state, VRRP_S_INIT);
	vrrp_fsm_up(&f, 21 * S, 0);
	ck_assert_int_eq(f.state, VRRP_S_INIT);
	vrrp_fsm_join(&g, NULL);
	vrrp_fsm_up(&f, 22 * S, 0);
	ck_assert_int_eq(f.state, VRRP_S_BACKUP);
}
END_TEST

/* One segment is silent, on the other the master lives: following would split the group. */
START_TEST(sync_does_not_split)
{
	pair();
	hear(2 * S, 150, 9, S);
	vrrp_fsm_timer(&g, g.due);
	ck_assert_int_eq(g.state, VRRP_S_BACKUP);
	ck_assert_uint_eq(g.due, f.better_until);
	vrrp_fsm_timer(&g, g.due);
	ck_assert_int_eq(g.state, VRRP_S_ACTIVE);
	ck_assert_int_eq(f.state, VRRP_S_ACTIVE);
}
END_TEST

/* Those at work do not go down while a new member cannot run yet; it joins them when it can. */
START_TEST(sync_takes_in_a_new_member)
{
	struct vrrp_fsm_conf c = conf(100);
	struct vrrp_fsm late;
	struct vrrp_heard h = { .prio = 150, .src = host(9), .adver_ns = S, .rx = 31 * S };

	pair();
	vrrp_fsm_timer(&f, f.due);
	vrrp_fsm_init(&late, &c, &ops);
	vrrp_fsm_join(&late, &sync_group);
	vrrp_fsm_up(&f, 10 * S, 0);
	vrrp_fsm_up(&late, 10 * S, 20 * S); /* held back */
	ck_assert_int_eq(f.state, VRRP_S_ACTIVE);
	ck_assert_int_eq(g.state, VRRP_S_ACTIVE);
	ck_assert_int_eq(late.state, VRRP_S_INIT);
	ck_assert_uint_eq(late.due, 20 * S);
	vrrp_fsm_timer(&late, 20 * S);
	ck_assert_int_eq(late.state, VRRP_S_BACKUP);
	vrrp_fsm_timer(&late, late.due);
	ck_assert_int_eq(late.state, VRRP_S_ACTIVE);
	ck_assert_int_eq(n_release, 0);
	/* From then on it counts, */
	vrrp_fsm_down(&late, 30 * S, VRRP_R_LINK);
	ck_assert_int_eq(f.state, VRRP_S_INIT);
	/* and one that finds a better master where it joins brings that to all. */
	vrrp_fsm_join(&late, NULL);
	vrrp_fsm_up(&f, 30 * S, 0);
	vrrp_fsm_timer(&f, f.due);
	ck_assert_int_eq(g.state, VRRP_S_ACTIVE);
	vrrp_fsm_init(&late, &c, &ops);
	vrrp_fsm_join(&late, &sync_group);
	vrrp_fsm_up(&late, 31 * S, 0);
	vrrp_fsm_heard(&late, 31 * S, &h);
	ck_assert_int_eq(f.state, VRRP_S_BACKUP);
	ck_assert_int_eq(g.state, VRRP_S_BACKUP);
}
END_TEST

/* A switchover that another took half of does not end with half of it here. */
START_TEST(sync_leaves_as_one)
{
	pair();
	vrrp_fsm_timer(&f, f.due);
	vrrp_fsm_leave(&f, 10 * S, false, VRRP_R_SWITCHOVER);
	hear(10 * S + 500 * MS, 50, 9, S);
	ck_assert_int_eq(f.state, VRRP_S_BACKUP);
	ck_assert_int_eq(g.state, VRRP_S_LEAVING);
	vrrp_fsm_timer(&g, g.due);
	ck_assert_int_eq(g.state, VRRP_S_BACKUP);
	pair();
	vrrp_fsm_timer(&f, f.due);
	vrrp_fsm_leave(&f, 10 * S, false, VRRP_R_SWITCHOVER);
	vrrp_fsm_timer(&g, g.due);
	ck_assert_int_eq(f.state, VRRP_S_ACTIVE);
	ck_assert_int_eq(g.state, VRRP_S_ACTIVE);
}
END_TEST

/* A tracked object of one member takes all of them down, and a decrement lowers all of them. */
START_TEST(sync_tracks_as_one)
{
	pair();
	vrrp_fsm_timer(&f, f.due);
	n_adverts = n_release = 0;
	vrrp_fsm_track(&g, 10 * S, 30, false);
	ck_assert_int_eq(f.prio, 70);
	ck_assert_int_eq(g.prio, 70);
	vrrp_fsm_track(&g, 11 * S, 30, true);
	ck_assert_int_eq(f.state, VRRP_S_INIT);
	ck_assert_int_eq(why, VRRP_R_SYNC);
	ck_assert_int_eq(g.state, VRRP_S_INIT);
	ck_assert_int_eq(n_adverts, 2); /* both resign */
	ck_assert_int_eq(last_prio, 0);
	ck_assert_int_eq(n_release, 2);
	vrrp_fsm_track(&g, 12 * S, 0, false);
	ck_assert_int_eq(f.state, VRRP_S_BACKUP);
	ck_assert_int_eq(g.state, VRRP_S_BACKUP);
	ck_assert_int_eq(f.prio, 100);
}
END_TEST

/* Each member hears the lesser master to the end of the delay: that holds up none of them. */
START_TEST(sync_preempts_after_the_delay)
{
	struct vrrp_heard h = { .prio = 99, .src = host(9), .adver_ns = S };

	pair();
	f.c.preempt_delay_ns = 3 * S;
	g.c.preempt_delay_ns = 5 * S;
	for (h.rx = 2 * S; h.rx < 7 * S; h.rx += S) {
		vrrp_fsm_heard(&f, h.rx, &h);
		vrrp_fsm_heard(&g, h.rx, &h);
		vrrp_fsm_timer(&f, h.rx);
		vrrp_fsm_timer(&g, h.rx);
		ck_assert_int_eq(f.state, VRRP_S_BACKUP);
		ck_assert_int_eq(g.state, VRRP_S_BACKUP);
	}
	ck_assert_uint_eq(f.due, 7 * S); /* the longer delay counts */
	vrrp_fsm_timer(&f, 7 * S);
	ck_assert_int_eq(why, VRRP_R_PREEMPT);
	ck_assert_int_eq(f.state, VRRP_S_ACTIVE);
	ck_assert_int_eq(g.state, VRRP_S_ACTIVE);
}
END_TEST

/* ---- a segment of random routers ---- */

#define N_ROUTERS 4
#define LATENCY   (100 * 1000ull)

struct router {
	struct vrrp_fsm f[2]; /* one on each of two segments, in one sync group or not */
	struct vrrp_sync sync;
	bool alive, cut;
};

static struct router world[N_ROUTERS];
static struct flight {
	uint64_t at;
	struct vrrp_heard h;
	int to, seg;
} air[4096];
static unsigned n_air;
static uint64_t clock_ns;

static void fly(struct vrrp_fsm *x, uint8_t prio)
{
	for (int r = 0; r < N_ROUTERS; r++) {
		for (int s = 0; s < 2; s++) {
			if (x == &world[r].f[s] && world[r].cut)
				return;
		}
	}
	for (int r = 0; r < N_ROUTERS; r++) {
		for (int s = 0; s < 2; s++) {
			for (int o = 0; o < N_ROUTERS; o++) {
				if (x != &world[r].f[s] || o == r || world[o].cut)
					continue;
				ck_assert_uint_lt(n_air, ARRAY_LEN(air));
				air[n_air++] = (struct flight){ clock_ns + LATENCY,
								{ prio, x->c.local, x->c.adver_ns,
								  clock_ns + LATENCY },
								o,
								s };
			}
		}
	}
}

static void nothing(struct vrrp_fsm *x)
{
}

static void no_state(struct vrrp_fsm *x, uint8_t was, enum vrrp_reason reason)
{
	ck_assert_int_ne(was, x->state);
}

static const struct vrrp_fsm_ops fly_ops = { fly, nothing, nothing, nothing, no_state };

static void run_until(uint64_t end)
{
	for (;;) {
		uint64_t next = end;

		for (unsigned i = 0; i < n_air; i++)
			next = MIN(next, air[i].at);
		for (int r = 0; r < N_ROUTERS; r++) {
			for (int s = 0; s < 2; s++) {
				if (world[r].alive && world[r].f[s].due)
					next = MIN(next, world[r].f[s].due);
			}
		}
		if (next >= end)
			break;
		clock_ns = next;
		for (unsigned i = 0; i < n_air;) {
			struct flight a = air[i];

			if (a.at > clock_ns) {
				i++;
				continue;
			}
			air[i] = air[--n_air];
			if (world[a.to].alive && !world[a.to].cut)
				vrrp_fsm_heard(&world[a.to].f[a.seg], clock_ns, &a.h);
		}
		for (int r = 0; r < N_ROUTERS; r++) {
			for (int s = 0; s < 2 && world[r].alive; s++)
				vrrp_fsm_timer(&world[r].f[s], clock_ns);
		}
	}
	clock_ns = end;
}

static void check_one_active(bool sync)
{
	for (int s = 0; s < 2; s++) {
		int n = 0;

		for (int r = 0; r < N_ROUTERS; r++) {
			if (!world[r].alive || world[r].cut)
				continue;
			n += world[r].f[s].state == VRRP_S_ACTIVE;
			if (sync)
				ck_assert_int_eq(world[r].f[0].state, world[r].f[1].state);
		}
		ck_assert_int_eq(n, 1);
	}
}

START_TEST(random_segments)
{
	uint64_t rnd = test_seed + (uint64_t)_i * 7919 + 1;
	bool sync = _i & 1;

	n_air = 0;
	clock_ns = S;
	for (int r = 0; r < N_ROUTERS; r++) {
		struct vrrp_fsm_conf c = { .version = 3,
					   .prio = (uint8_t)(1 + test_rand(&rnd) % 3 * 100),
					   .preempt = test_rand(&rnd) % 2,
					   .adver_ns = S,
					   .local = host(10 + (unsigned)r) };

		world[r] = (struct router){ .alive = true };
		for (int s = 0; s < 2; s++) {
			vrrp_fsm_init(&world[r].f[s], &c, &fly_ops);
			if (sync)
				vrrp_fsm_join(&world[r].f[s], &world[r].sync);
		}
	}
	for (int r = 0; r < N_ROUTERS; r++) {
		for (int s = 0; s < 2; s++)
			vrrp_fsm_up(&world[r].f[s], clock_ns, 0);
	}
	for (int step = 0; step < 40; step++) {
		struct router *w = &world[test_rand(&rnd) % N_ROUTERS];
		int others = 0;

		for (int r = 0; r < N_ROUTERS; r++)
			others += &world[r] != w && world[r].alive && !world[r].cut;
		run_until(clock_ns + test_rand(&rnd) % (2 * S));
		switch (test_rand(&rnd) % 5) {
		case 0:
			w->cut = !w->cut && others;
			break;
		case 1:
			for (int s = 0; s < 2; s++)
				vrrp_fsm_track(&w->f[s], clock_ns, test_rand(&rnd) % 120, false);
			break;
		case 2:
			vrrp_fsm_leave(&w->f[0], clock_ns, false, VRRP_R_SWITCHOVER);
			break;
		case 3: /* dies, and comes back as a new process */
			w->alive = !w->alive || !others;
			for (int s = 0; w->alive && s < 2; s++) {
				struct vrrp_fsm_conf c = w->f[s].c;

				vrrp_fsm_join(&w->f[s], NULL);
				vrrp_fsm_init(&w->f[s], &c, &fly_ops);
			}
			for (int s = 0; w->alive && s < 2; s++) {
				if (sync)
					vrrp_fsm_join(&w->f[s], &w->sync);
				vrrp_fsm_up(&w->f[s], clock_ns, 0);
			}
			for (int s = 0; w->alive && s < 2; s++)
				vrrp_fsm_up(&w->f[s], clock_ns, 0);
			break;
		default:
			break;
		}
		if (step % 4)
			continue;
		run_until(clock_ns + 20 * S);
		check_one_active(sync);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("vrrp_fsm");
	TCase *tc = tcase_create("one"), *rt = tcase_create("segments");

	tcase_add_test(tc, times);
	tcase_add_test(tc, start_backup_then_active);
	tcase_add_test(tc, owner_is_active_at_once);
	tcase_add_test(tc, hold);
	tcase_add_test(tc, backup_obeys);
	tcase_add_test(tc, backup_version_2_keeps_its_interval);
	tcase_add_test(tc, backup_master_resigns);
	tcase_add_test(tc, backup_preempts);
	tcase_add_test(tc, backup_does_not_preempt);
	tcase_add_test(tc, preempt_delay);
	tcase_add_test(tc, active_adverts);
	tcase_add_test(tc, active_hears_better);
	tcase_add_test(tc, active_tie);
	tcase_add_test(tc, active_hears_lesser);
	tcase_add_test(tc, active_hears_resignation);
	tcase_add_test(tc, link_down);
	tcase_add_test(tc, tracking);
	tcase_add_test(tc, switchover);
	tcase_add_test(tc, switchover_without_a_peer);
	tcase_add_test(tc, leave_for_good);
	tcase_add_test(tc, changes_without_transition);
	tcase_add_test(tc, resume_and_stall);
	tcase_add_test(tc, sync_moves_as_one);
	tcase_add_test(tc, sync_does_not_split);
	tcase_add_test(tc, sync_preempts_after_the_delay);
	tcase_add_test(tc, sync_takes_in_a_new_member);
	tcase_add_test(tc, sync_tracks_as_one);
	tcase_add_test(tc, sync_leaves_as_one);
	tcase_add_loop_test(rt, random_segments, 0, 40);
	tcase_set_timeout(rt, 60);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, rt);
	return s;
}

CHECK_MAIN(suite)
