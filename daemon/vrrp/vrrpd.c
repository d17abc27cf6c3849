/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtr-vrrpd: the loop. Started by rtrd's root parent with a listening socket (descriptor 3) and
 * the memory of the groups (4); see vrrpd.h for the parts and include/rtr/vrrp.h for the picture.
 *
 *	rtr-vrrpd PROTO        PROTO: IFA_PROTO of its addresses
 *
 * SIGTERM, or the parent's death: says priority 0, keeps the addresses until a peer has them,
 * ends.
 */
#include "vrrp/vrrpd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define LISTEN_FD 3
#define SHM_FD    4
#define N_EVENTS  64

/* Timers fire on a grid, so that the adverts of many groups leave together: a wake-up costs as
 * much as sending several. A twentieth of the shortest interval (10 ms), well inside the quarter
 * that an advert may be late. */
#define GRID_NS (500 * 1000ull)
/* After the Master_Down time the parent takes the addresses of a silent process away; it kills it
 * for being stuck after this: what was only held up, as one core does in a virtual machine, goes
 * on. */
#define BEAT_MIN_NS (2 * NSEC_PER_SEC)
/* Groups come and go by configuration: what is promised of them is looked at again so often. */
#define PROMISE_NS (50 * NSEC_PER_MSEC)
/* Longer than vrrp_fsm.c lets one leave, beyond its interval. */
#define LEAVING_NS  (500 * NSEC_PER_MSEC)
#define STOP_MAX_NS (3 * NSEC_PER_SEC)
#define STALL_NS    (20 * NSEC_PER_MSEC)

/* Announcements after becoming active, then for ever: a switch or a host may have missed one. */
static const uint64_t garp_gap_ns[] = {
	100 * NSEC_PER_MSEC, 400 * NSEC_PER_MSEC, 500 * NSEC_PER_MSEC,
	1 * NSEC_PER_SEC,    3 * NSEC_PER_SEC,
};
#define GARP_REFRESH_NS (60 * NSEC_PER_SEC)
/* Frames of announcements on one interface in one step of 5 ms: 10,000 in a second, a seventh of
 * what fills 100 Mbit/s, and few enough for any queue of a card or a switch. */
#define GARP_STEP_NS  (5 * NSEC_PER_MSEC)
#define GARP_PER_STEP 50

struct vrrpd vd;
static struct vg *heap[VRRP_MAX_GROUPS];
static unsigned n_heap;

void vrrpd_watch(int fd, unsigned what)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = what };

	epoll_ctl(vd.epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

/* ---- timers: a binary heap of groups by their next deadline ---- */

static void heap_set(unsigned i, struct vg *g)
{
	heap[i] = g;
	g->heap_at = i + 1;
}

static void heap_up(unsigned i, struct vg *g)
{
	for (; i && heap[(i - 1) / 2]->next > g->next; i = (i - 1) / 2)
		heap_set(i, heap[(i - 1) / 2]);
	heap_set(i, g);
}

static void heap_down(unsigned i, struct vg *g)
{
	for (;;) {
		unsigned kid = 2 * i + 1;

		if (kid + 1 < n_heap && heap[kid + 1]->next < heap[kid]->next)
			kid++;
		if (kid >= n_heap || heap[kid]->next >= g->next)
			break;
		heap_set(i, heap[kid]);
		i = kid;
	}
	heap_set(i, g);
}

void vg_unschedule(struct vg *g)
{
	unsigned i = g->heap_at;
	struct vg *last;

	if (!i--)
		return;
	g->heap_at = 0;
	last = heap[--n_heap];
	if (last == g)
		return;
	if (i && heap[(i - 1) / 2]->next > last->next)
		heap_up(i, last);
	else
		heap_down(i, last);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return !a ? b : !b ? a : MIN(a, b);
}

static void schedule_one(struct vg *g)
{
	uint64_t due = g->fsm.due ? MAX(g->fsm.due, g->listen_at) : 0;
	uint64_t next = sooner(sooner(due, g->garp_at), sooner(g->probe_at, g->again_at));

	if (g->heap_at && g->next == next)
		return;
	vg_unschedule(g);
	g->next = next;
	if (next)
		heap_up(n_heap++, g);
}

void vg_schedule(struct vg *g)
{
	/* A sync group's members change each other's deadlines. */
	if (!g->fsm.sync) {
		schedule_one(g);
		return;
	}
	for (struct vrrp_fsm *m = g->fsm.sync->first; m; m = m->sync_next)
		schedule_one((struct vg *)m);
}

/* ---- what the state machines ask for ---- */

static void op_advert(struct vrrp_fsm *f, uint8_t prio)
{
	io_advert((struct vg *)f, prio);
}

static void garp_due(struct vg *g, uint64_t now)
{
	struct vif *v = g->vif;

	if (now > v->garp_step_ns && now - v->garp_step_ns >= GARP_STEP_NS) {
		v->garp_step_ns = now;
		v->garp_in_step = 0;
	}
	if (v->garp_in_step >= GARP_PER_STEP) {
		g->garp_at = v->garp_step_ns + GARP_STEP_NS;
		return;
	}
	v->garp_in_step += g->slot->conf.n_addrs;
	io_announce(g);
	/* The refresh of many groups spreads by itself: each counts from its own start. */
	g->garp_at = now + (g->garp_no < ARRAY_LEN(garp_gap_ns) ? garp_gap_ns[g->garp_no]
								: GARP_REFRESH_NS);
	g->garp_no++;
}

void vg_announce(struct vg *g, uint64_t now)
{
	g->garp_no = 0;
	garp_due(g, now);
}

static void op_own(struct vrrp_fsm *f)
{
	struct vg *g = (struct vg *)f;

	g->owning = true;
	vd.promise_now = true;
	addr_update(g);
	vg_announce(g, rtr_now_ns());
	probe_start(g, rtr_now_ns());
}

static void op_release(struct vrrp_fsm *f)
{
	struct vg *g = (struct vg *)f;

	g->owning = false;
	g->garp_at = 0;
	g->again_announce = false;
	/* A resignation that was refused is said again; a backup has nothing to say. */
	g->again_advert = g->again_advert && g->fsm.state == VRRP_S_INIT;
	probe_end(g);
	addr_update(g);
}

static void op_announce(struct vrrp_fsm *f)
{
	vg_announce((struct vg *)f, rtr_now_ns());
}

static void tell_one(struct vg *g)
{
	const struct vrrp_fsm *f = &g->fsm;
	struct vrrp_status *st = st_begin(g);

	st->prio = f->prio;
	st->fault = f->fault;
	st->holding = f->state != VRRP_S_INIT || !f->due    ? VRRP_HOLD_NONE
		      : g->routes_until || g->unknown_until ? VRRP_HOLD_ROUTES
							    : VRRP_HOLD_TIME;
	if (f->state == VRRP_S_ACTIVE) {
		st->active = f->c.local;
		st->active_prio = f->prio;
		st->active_adver_ms = g->slot->conf.adver_ms;
	}
	st_end(g);
}

static void op_state(struct vrrp_fsm *f, uint8_t from, enum vrrp_reason why)
{
	struct vg *g = (struct vg *)f;
	struct vrrp_status *st = st_begin(g);

	st->state = f->state;
	st->reason = (uint8_t)why;
	st->n_transitions++;
	st->n_became_active += f->state == VRRP_S_ACTIVE;
	st->since_sec = time(NULL);
	st->since_ns = rtr_now_ns();
	if (f->state == VRRP_S_INIT) {
		st->active = (struct rtr_addr){ 0 };
		st->active_prio = 0;
	}
	st_end(g);
	tell_one(g);
	vd.promise_now = true;
	/* Hosts that believed us go on to send to our physical MAC until somebody announces another
	 * one. The better master does when it hears us (RFC 9568 section 6.4.3), which it may not
	 * have yet. With a virtual MAC its own adverts have turned the switches, and ours would
	 * turn them back. */
	if (from == VRRP_S_ACTIVE && f->state == VRRP_S_BACKUP &&
	    !memcmp(g->mac, g->vif->mac, sizeof(g->mac)))
		io_advert(g, f->prio);
	g->sent_ns = 0;
	addr_prepare(g);
	conf_tell_state(g, from, why);
	schedule_one(g);
}

const struct vrrp_fsm_ops vg_ops = { op_advert, op_own, op_release, op_announce, op_state };

/* ---- groups ---- */

struct vrrp_fsm_conf vg_fsm_conf(const struct vg *g)
{
	const struct vrrp_conf *c = &g->slot->conf;

	return (struct vrrp_fsm_conf){
		.version = c->version,
		.prio = c->prio,
		.preempt = c->flags & VRRP_F_PREEMPT,
		.learn = c->flags & VRRP_F_LEARN,
		.adver_ns = c->adver_ms * NSEC_PER_MSEC,
		.preempt_delay_ns = c->preempt_delay_sec * NSEC_PER_SEC,
		.local = g->vif->local[FAM(c->family)],
	};
}

void vg_set_mac(struct vg *g)
{
	const struct vrrp_conf *c = &g->slot->conf;

	if (c->vmac[0] && g->vmac_ifindex && g->slot->st.mac_test != VRRP_MAC_DEAF)
		vrrp_virtual_mac(c->family, c->vrid, g->mac);
	else
		memcpy(g->mac, g->vif->mac, sizeof(g->mac));
}

void vg_tell(struct vg *g)
{
	if (!g->fsm.sync) {
		tell_one(g);
		return;
	}
	for (struct vrrp_fsm *m = g->fsm.sync->first; m; m = m->sync_next)
		tell_one((struct vg *)m);
}

static uint64_t hold_until(const struct vg *g)
{
	const struct vrrp_conf *c = &g->slot->conf;
	uint64_t t = MAX(g->routes_until, g->unknown_until);

	if (c->delay_min_sec)
		t = MAX(t, g->vif->up_ns + c->delay_min_sec * NSEC_PER_SEC);
	if (c->delay_reload_sec && vd.box_fresh)
		t = MAX(t, vd.start_ns + c->delay_reload_sec * NSEC_PER_SEC);
	return t;
}

void vg_usable(struct vg *g, uint64_t now, enum vrrp_reason why)
{
	const struct vrrp_conf *c = &g->slot->conf;
	const struct vif *v = g->vif;
	struct vrrp_fsm_conf fc = vg_fsm_conf(g);
	struct vrrp_status *st;
	uint8_t mac[6];

	memcpy(mac, g->mac, sizeof(mac));
	st = st_begin(g);
	st->ifindex = v->ifindex;
	st->local = fc.local;
	st_end(g);
	if (g->removing || vd.stopping || vd.restoring)
		return;
	vg_set_mac(g);
	g->frame_size = 0;
	vd.promise_now = true; /* the interval may be another one */
	if (c->flags & VRRP_F_SHUTDOWN) {
		vrrp_fsm_leave(&g->fsm, now, true, VRRP_R_SHUTDOWN);
	} else if (!v->up || !fc.local.family || v->rx[FAM(c->family)] < 0 ||
		   (g->asking_vmac && !g->fsm.ready)) {
		if (g->fsm.ready)
			vrrp_fsm_down(&g->fsm, now, why);
	} else {
		vrrp_fsm_conf(&g->fsm, now, &fc);
		vrrp_fsm_up(&g->fsm, now, hold_until(g));
	}
	/* Another macvlan or another interface of that name: the addresses belong on it. */
	if (g->owning)
		addr_update(g);
	/* And hosts must hear that they are elsewhere: another's frames may not find us there. */
	if (g->fsm.state == VRRP_S_ACTIVE && memcmp(mac, g->mac, sizeof(mac)) != 0)
		vg_announce(g, now);
	vg_tell(g);
	vg_schedule(g);
}

/* Before a backup acts on silence: everything that arrived until then counts, on all the segments
 * that decide. False: there is more than may be read at once. What arrives later is not waited for,
 * or a flood would keep every backup from its turn. */
static bool listen_first(struct vg *g, uint64_t until)
{
	struct vrrp_fsm *m = g->fsm.sync ? g->fsm.sync->first : &g->fsm;
	bool all = true;

	for (; m; m = g->fsm.sync ? m->sync_next : NULL) {
		struct vg *o = (struct vg *)m;

		all = io_drain(o->vif, FAM(o->slot->conf.family)) >= until && all;
	}
	return all;
}

static void fsm_due(struct vg *g, uint64_t now)
{
	uint64_t late = now - g->fsm.due;

	if (g->fsm.state == VRRP_S_BACKUP || late > g->fsm.adver_ns) {
		bool all = listen_first(g, g->fsm.due);

		if (!g->fsm.due || g->fsm.due > now)
			return;
		if (g->fsm.state == VRRP_S_BACKUP && !all) {
			g->listen_at = now + GRID_NS;
			return;
		}
	}
	/* Later than a whole interval: we were stopped. The queue may have been full then, so that
	 * silence proves nothing; once, or a slow box would never take over. */
	if (g->fsm.state == VRRP_S_BACKUP && late > g->fsm.adver_ns && !g->stalls++) {
		vrrp_fsm_stalled(&g->fsm, now);
		return;
	}
	if (late <= g->fsm.adver_ns)
		g->stalls = 0;
	vrrp_fsm_timer(&g->fsm, now);
}

void vg_after(struct vg *g, uint64_t now, uint8_t state_before)
{
	if (g->fsm.state == VRRP_S_INIT && g->removing && !g->job && !g->kern.n) {
		conf_forget(g);
		return;
	}
	if (state_before == VRRP_S_LEAVING && g->fsm.state == VRRP_S_INIT)
		vg_usable(g, now, VRRP_R_SHUTDOWN);
	vg_schedule(g);
}

static void run_group(struct vg *g, uint64_t now)
{
	uint8_t before = g->fsm.state;

	if (g->fsm.due && MAX(g->fsm.due, g->listen_at) <= now)
		fsm_due(g, now);
	if (g->garp_at && g->garp_at <= now)
		garp_due(g, now);
	if (g->again_at && g->again_at <= now)
		io_again(g);
	if (g->probe_at && g->probe_at <= now)
		probe_step(g, now);
	vg_after(g, now, before);
}

static void run_timers(void)
{
	uint64_t now = rtr_now_ns();

	if (n_heap && now > heap[0]->next + STALL_NS) {
		vd.shm->n_stalls++;
		vd.shm->max_stall_ns = MAX(vd.shm->max_stall_ns, now - heap[0]->next);
	}
	/* A group is run once a turn: one with a deadline in the past must not hold up others. */
	for (unsigned turn = n_heap; turn && n_heap && heap[0]->next <= now; turn--)
		run_group(heap[0], now);
}

static void arm(void)
{
	static uint64_t armed;
	uint64_t at = n_heap ? ROUND_UP(heap[0]->next, GRID_NS) : 0;
	struct itimerspec it = { 0 };

	if (vd.stopping)
		at = sooner(at, vd.stop_by);
	__atomic_store_n(&vd.shm->wake_ns, at, __ATOMIC_RELEASE);
	if (at == armed && at > rtr_now_ns())
		return;
	armed = at;
	it.it_value.tv_sec = (time_t)(at / NSEC_PER_SEC);
	it.it_value.tv_nsec = (long)(at % NSEC_PER_SEC);
	timerfd_settime(vd.timer_fd, TFD_TIMER_ABSTIME, &it, NULL);
}

/* ---- the parent's watch ---- */

static void promise(void)
{
	uint64_t beat_max = 0, withdraw = 0;

	for (unsigned i = 0; i < vd.shm->n_slots; i++) {
		const struct vg *g = &vd.groups[i];

		/* One that waits may sleep for longer, its skew or a sync group's time, and has
		 * nothing to take away. */
		if (!g->used || (g->fsm.state != VRRP_S_LEAVING && !g->owning && !g->kern.n))
			continue;
		/* The peer's skew is not known; it may be next to nothing. One that leaves says
		 * nothing until its time is up. */
		withdraw = sooner(withdraw, g->fsm.state == VRRP_S_LEAVING
						    ? LEAVING_NS + 3 * g->fsm.adver_ns
						    : 3 * g->fsm.adver_ns);
		if (g->kern.n || g->owning)
			beat_max = sooner(beat_max, 4 * g->fsm.adver_ns);
	}
	vd.shm->beat_max_ns = beat_max ? MAX(beat_max, BEAT_MIN_NS) : 0;
	vd.shm->withdraw_ns = withdraw;
}

static void beat(uint64_t now)
{
	static uint64_t promised;

	if (now - promised > PROMISE_NS || vd.promise_now) {
		vd.promise_now = false;
		promised = now;
		promise();
	}
	__atomic_store_n(&vd.shm->beat_ns, now, __ATOMIC_RELEASE);
}

/* ---- the end ---- */

static void stop(uint64_t now)
{
	if (vd.stopping)
		return;
	vd.stopping = true;
	vd.stop_by = now + STOP_MAX_NS;
	for (unsigned i = 0; i < vd.shm->n_slots; i++) {
		struct vg *g = &vd.groups[i];

		if (g->used) {
			vrrp_fsm_leave(&g->fsm, now, true, VRRP_R_SHUTDOWN);
			vg_schedule(g);
		}
	}
}

static bool stopped(uint64_t now)
{
	if (!vd.stopping)
		return false;
	if (now >= vd.stop_by)
		return true;
	for (unsigned i = 0; i < vd.shm->n_slots; i++) {
		const struct vg *g = &vd.groups[i];

		if (g->used && (g->fsm.state == VRRP_S_LEAVING || g->kern.n || g->job))
			return false;
	}
	return true;
}

/* ---- the loop ---- */

static void dispatch(unsigned what, int signal_fd)
{
	uint64_t now = rtr_now_ns(), n;
	struct signalfd_siginfo si;

	switch (what) {
	case WATCH_TIMER:
		(void)!read(vd.timer_fd, &n, sizeof(n));
		break;
	case WATCH_SIGNAL:
		if (read(signal_fd, &si, sizeof(si)) == sizeof(si))
			stop(now);
		break;
	case WATCH_LISTEN:
		conf_accept();
		break;
	case WATCH_CONN:
		conf_read(now);
		break;
	case WATCH_LINK:
		link_read(now);
		break;
	case WATCH_ADDR:
		addr_read(now);
		break;
	case WATCH_PROBE:
		probe_read();
		break;
	case WATCH_LOOK:
		look_read(now);
		break;
	default:
		what -= WATCH_RX;
		io_drain(&vd.ifs[what / 2], (int)(what % 2));
		break;
	}
}

static void loop(int signal_fd)
{
	struct epoll_event ev[N_EVENTS];

	while (!stopped(rtr_now_ns())) {
		int n;

		io_flush();
		arm();
		n = epoll_wait(vd.epoll_fd, ev, N_EVENTS, -1);
		for (int i = 0; i < n; i++)
			dispatch(ev[i].data.u32, signal_fd);
		run_timers();
		beat(rtr_now_ns());
	}
	io_flush();
}

static int map_shm(void)
{
	void *p = mmap(NULL, sizeof(*vd.shm), PROT_READ | PROT_WRITE, MAP_SHARED, SHM_FD, 0);

	if (p == MAP_FAILED)
		return -errno;
	vd.shm = p;
	return vd.shm->magic == VRRP_SHM_MAGIC && vd.shm->size == sizeof(*vd.shm) ? 0 : -EPROTO;
}

static int set_up(int *ret_signal_fd)
{
	sigset_t mask;
	int r = map_shm();

	if (r)
		return r;
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	*ret_signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	vd.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	vd.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (*ret_signal_fd < 0 || vd.epoll_fd < 0 || vd.timer_fd < 0)
		return -errno;
	vrrpd_watch(*ret_signal_fd, WATCH_SIGNAL);
	vrrpd_watch(vd.timer_fd, WATCH_TIMER);
	vd.listen_fd = LISTEN_FD;
	vrrpd_watch(vd.listen_fd, WATCH_LISTEN);
	r = io_init();
	if (!r)
		r = link_init();
	if (!r)
		r = addr_init();
	if (!r)
		r = look_init();
	if (!r)
		r = probe_init();
	return r ? r : box_close();
}

int main(int argc, char **argv)
{
	uint64_t proto;
	int signal_fd, r;

	if (argc != 2 || rtr_parse_u64(argv[1], 1, 255, &proto)) {
		fputs("rtr-vrrpd is started by rtrd\n", stderr);
		return 2;
	}
	vd.proto = (uint8_t)proto;
	vd.conn_fd = -1;
	vd.shm_fd = SHM_FD;
	vd.start_ns = rtr_now_ns();
	for (unsigned i = 0; i < MAX_IFS; i++)
		vd.ifs[i].rx[V4] = vd.ifs[i].rx[V6] = -1;
	r = box_limits();
	if (!r)
		r = set_up(&signal_fd);
	if (r) {
		fprintf(stderr, "rtr-vrrpd: %s\n", strerror(-r));
		return 1;
	}
	vd.box_fresh = vd.shm->n_starts <= 1;
	conf_restore(rtr_now_ns());
	look_sweep();
	beat(rtr_now_ns());
	loop(signal_fd);
	return 0;
}
