/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vrrp/vrrp_fsm.h"

#include "vrrp/vrrp_packet.h"

/* How long after priority 0 the addresses are kept at most: the peer's skew is shorter than its
 * interval, the rest is for its scheduling. */
#define LEAVE_EXTRA_NS (200 * NSEC_PER_MSEC)

/* The members of f's sync group, or f alone. */
static struct vrrp_fsm *first_of(struct vrrp_fsm *f)
{
	return f->sync ? f->sync->first : f;
}

static struct vrrp_fsm *next_of(const struct vrrp_fsm *f)
{
	return f->sync ? f->sync_next : NULL;
}

#define foreach_member(f, m) for (struct vrrp_fsm *m = first_of(f); m; m = next_of(m))

static uint64_t down_ns(const struct vrrp_fsm *f)
{
	return vrrp_down_ns(f->c.version, f->prio, f->adver_ns);
}

static uint64_t skew_ns(const struct vrrp_fsm *f)
{
	return vrrp_skew_ns(f->c.version, f->prio, f->adver_ns);
}

/* RFC 9568 section 5.2.4: an owner is 255 whatever happens, 0 means resignation. */
static uint8_t own_prio(const struct vrrp_fsm *f)
{
	if (f->c.prio == 255)
		return 255;
	return f->c.prio > f->decrement ? (uint8_t)(f->c.prio - f->decrement) : 1;
}

/* The members of a sync group send the lowest of their priorities: were one router the better one
 * on one segment and another on the next, each would make the other yield, for ever. */
static void set_prio(struct vrrp_fsm *f)
{
	uint8_t least = 255;

	foreach_member(f, m) least = MIN(least, own_prio(m));
	foreach_member(f, m) m->prio = m->c.prio == 255 ? 255 : least;
}

static void set_state(struct vrrp_fsm *f, uint8_t to, enum vrrp_reason why)
{
	uint8_t from = f->state;

	f->state = to;
	if (from != to)
		f->ops->state(f, from, why);
}

/* ---- transitions of one ---- */

static void become_active(struct vrrp_fsm *f, uint64_t now, enum vrrp_reason why)
{
	bool had = f->state == VRRP_S_LEAVING;

	if (f->state == VRRP_S_ACTIVE)
		return;
	f->adver_ns = f->c.adver_ns;
	f->better_until = f->preempt_at = f->asserted_at = 0;
	f->no_preempt = false;
	f->due = now + f->adver_ns;
	set_state(f, VRRP_S_ACTIVE, why);
	/* The advert first: it silences a second candidate while the kernel takes the addresses. */
	f->ops->advert(f, f->prio);
	if (had)
		f->ops->announce(f);
	else
		f->ops->own(f);
}

static void become_backup(struct vrrp_fsm *f, uint64_t now, enum vrrp_reason why)
{
	bool had = f->state == VRRP_S_ACTIVE || f->state == VRRP_S_LEAVING;

	f->adver_ns = f->c.adver_ns;
	f->better_until = f->preempt_at = 0;
	f->expiry_why = VRRP_R_MASTER_DOWN;
	f->due = now + down_ns(f);
	set_state(f, VRRP_S_BACKUP, why);
	if (had)
		f->ops->release(f);
}

static void become_init(struct vrrp_fsm *f, enum vrrp_reason why)
{
	uint8_t was = f->state;

	f->due = 0;
	f->better_until = f->preempt_at = 0;
	f->no_preempt = false;
	if (was == VRRP_S_ACTIVE)
		f->ops->advert(f, 0);
	set_state(f, VRRP_S_INIT, why);
	if (was == VRRP_S_ACTIVE || was == VRRP_S_LEAVING)
		f->ops->release(f);
}

/* ---- a group as a whole ---- */

static bool can_run(const struct vrrp_fsm *f, uint64_t now)
{
	return f->ready && !f->fault && now >= f->hold_until;
}

static void all_active(struct vrrp_fsm *f, uint64_t now, enum vrrp_reason why)
{
	foreach_member(f, m)
	{
		if (m->state != VRRP_S_INIT)
			become_active(m, now, m == f ? why : VRRP_R_SYNC);
	}
}

static void start_all(struct vrrp_fsm *f, uint64_t now)
{
	struct vrrp_fsm *owner = NULL;

	foreach_member(f, m)
	{
		if (can_run(m, now))
			m->ran = true;
		if (m->state == VRRP_S_INIT && m->ran)
			become_backup(m, now, VRRP_R_START);
		if (m->prio == 255 && m->ran)
			owner = m;
	}
	if (owner)
		all_active(owner, now, VRRP_R_OWNER);
}

static void await_hold(struct vrrp_fsm *f, uint64_t now)
{
	f->due = f->ready && !f->fault && now < f->hold_until ? f->hold_until : 0;
}

/* After a change of what decides whether the members may run: all do, or none does. But one that
 * is new to those at work joins them when it can: they do not go down because of it, for as long
 * as its interface is looked for or it is held back. */
static void settle(struct vrrp_fsm *f, uint64_t now, enum vrrp_reason why)
{
	bool ok = true, at_work = false;

	foreach_member(f, m) at_work = at_work || m->state != VRRP_S_INIT;
	foreach_member(f, m) ok = ok && (can_run(m, now) || (at_work && !m->ran));
	if (ok)
		start_all(f, now);
	foreach_member(f, m)
	{
		if (!ok && m->state != VRRP_S_INIT)
			become_init(m, can_run(m, now) ? VRRP_R_SYNC : why);
		if (m->state == VRRP_S_INIT)
			await_hold(m, now);
	}
}

/* Until when a backup leaves the living master alone: it is not heard for so long, or the delay
 * before it is preempted is over. */
static uint64_t obeys_until(const struct vrrp_fsm *m)
{
	return m->preempt_at ? MIN(m->better_until, m->preempt_at) : m->better_until;
}

/* A backup's time is up. Not while a member of the sync group obeys a living master: to follow
 * would split it, so all wait until that one is silent too. */
static void take_over(struct vrrp_fsm *f, uint64_t now, enum vrrp_reason why)
{
	uint64_t wait = 0;

	foreach_member(f, m)
	{
		if (m != f && m->state == VRRP_S_BACKUP && obeys_until(m) > now)
			wait = MAX(wait, obeys_until(m));
	}
	if (wait)
		f->due = wait;
	else
		all_active(f, now, why);
}

static void all_backup(struct vrrp_fsm *f, uint64_t now, enum vrrp_reason why)
{
	foreach_member(f, m)
	{
		if (m->state == VRRP_S_ACTIVE)
			become_backup(m, now, m == f ? why : VRRP_R_SYNC);
	}
}

/* ---- adverts ---- */

/* The advert comes from the master that we follow. */
static void obey(struct vrrp_fsm *f, const struct vrrp_heard *h)
{
	if (f->c.version == 3 || f->c.learn)
		f->adver_ns = h->adver_ns;
	f->due = h->rx + down_ns(f);
	f->better_until = f->due;
	f->expiry_why = VRRP_R_MASTER_DOWN;
}

static void heard_as_backup(struct vrrp_fsm *f, uint64_t now, const struct vrrp_heard *h)
{
	if (!h->prio) {
		f->better_until = f->preempt_at = 0;
		f->expiry_why = VRRP_R_PRIO_ZERO;
		f->due = h->rx + skew_ns(f);
		return;
	}
	if (h->prio >= f->prio || !f->c.preempt || f->no_preempt) {
		f->preempt_at = 0;
		obey(f, h);
		/* Those that it has just joined yield with it. */
		all_backup(f, now, VRRP_R_HIGHER);
		return;
	}
	if (!f->c.preempt_delay_ns) {
		/* RFC 9568 section 6.4.2: discarded, so that the timer runs out. */
		f->expiry_why = VRRP_R_PREEMPT;
		f->better_until = 0;
		return;
	}
	if (!f->preempt_at)
		f->preempt_at = now + f->c.preempt_delay_ns;
	obey(f, h);
	if (f->preempt_at < f->due)
		f->due = f->preempt_at;
}

static void heard_as_active(struct vrrp_fsm *f, uint64_t now, const struct vrrp_heard *h)
{
	if (!h->prio) {
		f->ops->advert(f, f->prio);
		f->due = now + f->adver_ns;
	} else if (h->prio > f->prio ||
		   (h->prio == f->prio && rtr_addr_cmp(&h->src, &f->c.local) > 0)) {
		all_backup(f, now, VRRP_R_HIGHER);
		obey(f, h);
	} else if (!f->asserted_at || now - f->asserted_at >= f->adver_ns) {
		/* RFC 9568 section 6.4.3: say so at once. The switch and the hosts may have
		 * believed the other one. Once an interval, or two boxes that take each other for
		 * the lesser one would shout without end. */
		f->asserted_at = now;
		f->ops->advert(f, f->prio);
		f->due = now + f->adver_ns;
		f->ops->announce(f);
	}
}

/* Nobody has taken over. After a switchover we go on at once: to wait for an advert as a backup
 * would leave the address without a router. Not where another has taken a part of a sync group. */
static bool stays(struct vrrp_fsm *f)
{
	foreach_member(f, m)
	{
		if (m->state == VRRP_S_BACKUP)
			return false;
	}
	return !f->leave_down;
}

static void end_leaving(struct vrrp_fsm *f, uint64_t now)
{
	if (f->leave_down) {
		become_init(f, f->leave_why);
	} else {
		become_backup(f, now, f->leave_why);
		f->no_preempt = true;
	}
}

void vrrp_fsm_heard(struct vrrp_fsm *f, uint64_t now, const struct vrrp_heard *h)
{
	switch (f->state) {
	case VRRP_S_BACKUP:
		heard_as_backup(f, now, h);
		break;
	case VRRP_S_ACTIVE:
		heard_as_active(f, now, h);
		break;
	case VRRP_S_LEAVING:
		if (!h->prio)
			break;
		end_leaving(f, now);
		if (f->state == VRRP_S_BACKUP)
			obey(f, h);
		break;
	default:
		break;
	}
}

/* ---- time ---- */

void vrrp_fsm_timer(struct vrrp_fsm *f, uint64_t now)
{
	if (!f->due || now < f->due)
		return;
	switch (f->state) {
	case VRRP_S_INIT:
		f->due = 0;
		settle(f, now, VRRP_R_START);
		break;
	case VRRP_S_BACKUP:
		take_over(f, now,
			  f->preempt_at && now >= f->preempt_at ? VRRP_R_PREEMPT : f->expiry_why);
		break;
	case VRRP_S_ACTIVE:
		f->ops->advert(f, f->prio);
		/* From the time that was meant, not from now: lateness does not add up. */
		f->due += f->adver_ns;
		if (f->due <= now)
			f->due = now + f->adver_ns;
		break;
	case VRRP_S_LEAVING:
		if (stays(f))
			all_active(f, now, VRRP_R_MASTER_DOWN);
		else
			end_leaving(f, now);
		break;
	}
}

void vrrp_fsm_stalled(struct vrrp_fsm *f, uint64_t now)
{
	if (f->state == VRRP_S_BACKUP)
		f->due = MAX(f->due, now + f->adver_ns + skew_ns(f));
}

/* ---- from outside ---- */

void vrrp_fsm_init(struct vrrp_fsm *f, const struct vrrp_fsm_conf *c,
		   const struct vrrp_fsm_ops *ops)
{
	*f = (struct vrrp_fsm){ .c = *c, .ops = ops, .adver_ns = c->adver_ns };
	set_prio(f);
}

void vrrp_fsm_join(struct vrrp_fsm *f, struct vrrp_sync *s)
{
	struct vrrp_sync *was = f->sync;

	if (was == s)
		return;
	if (was) {
		struct vrrp_fsm **p = &was->first;

		while (*p != f)
			p = &(*p)->sync_next;
		*p = f->sync_next;
		if (was->first)
			set_prio(was->first);
	}
	f->sync = s;
	f->sync_next = s ? s->first : NULL;
	if (s)
		s->first = f;
	set_prio(f);
}

void vrrp_fsm_resume(struct vrrp_fsm *f, uint64_t now)
{
	f->ready = f->ran = true;
	f->state = VRRP_S_ACTIVE;
	f->due = now;
	f->ops->own(f);
}

void vrrp_fsm_up(struct vrrp_fsm *f, uint64_t now, uint64_t hold_until)
{
	f->ready = true;
	f->hold_until = f->state == VRRP_S_INIT ? hold_until : 0; /* one at work goes on */
	settle(f, now, VRRP_R_START);
}

void vrrp_fsm_down(struct vrrp_fsm *f, uint64_t now, enum vrrp_reason why)
{
	f->ready = false;
	settle(f, now, why);
}

void vrrp_fsm_track(struct vrrp_fsm *f, uint64_t now, uint8_t decrement, bool fault)
{
	f->decrement = decrement;
	set_prio(f);
	if (fault != f->fault) {
		f->fault = fault;
		settle(f, now, VRRP_R_TRACK);
	}
}

void vrrp_fsm_conf(struct vrrp_fsm *f, uint64_t now, const struct vrrp_fsm_conf *c)
{
	bool timing = c->adver_ns != f->c.adver_ns || c->version != f->c.version;

	f->c = *c;
	set_prio(f);
	if (f->state == VRRP_S_BACKUP && f->prio == 255) {
		all_active(f, now, VRRP_R_OWNER);
	} else if (timing && f->state == VRRP_S_ACTIVE) {
		f->adver_ns = c->adver_ns;
		f->due = MIN(f->due, now + f->adver_ns);
	} else if (timing && f->state == VRRP_S_BACKUP) {
		/* A master of version 3 tells its own interval with the next advert. */
		f->adver_ns = MAX(c->adver_ns, f->adver_ns);
		f->due = MAX(f->due, now + down_ns(f));
	}
}

void vrrp_fsm_leave(struct vrrp_fsm *f, uint64_t now, bool down, enum vrrp_reason why)
{
	foreach_member(f, m)
	{
		enum vrrp_reason r = m == f ? why : VRRP_R_SYNC;

		m->ready = m->ready && !down;
		if (m->state == VRRP_S_ACTIVE) {
			m->leave_down = down;
			m->leave_why = (uint8_t)r;
			m->due = now + m->adver_ns + LEAVE_EXTRA_NS;
			m->ops->advert(m, 0);
			set_state(m, VRRP_S_LEAVING, r);
		} else if (down && m->state == VRRP_S_BACKUP) {
			become_init(m, r);
		} else if (down && m->state == VRRP_S_LEAVING) {
			m->leave_down = true;
		}
	}
}
