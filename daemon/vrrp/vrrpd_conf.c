/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Groups: made, changed and forgotten as rtrd says; and the line to rtrd. A configuration comes
 * as a whole (BEGIN, GROUP..., END) and is compared with what is there: a group that did not
 * change is not touched, whatever rtrd went through meanwhile.
 */
#include "vrrp/vrrpd.h"

#include "hash.h"
#include "system/fdpass.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Messages in one turn of the loop: some 100 us, while adverts wait. */
#define TURN 32
/* Twice the groups, so that chains stay short. */
#define N_BUCKETS 4096
/* A group that waited for routes when we died: rtrd is back sooner, and knows. */
#define HOLD_AGAIN_NS (5 * NSEC_PER_SEC)
/* For which a group waits, at most, for the first word of what it tracks. */
#define UNKNOWN_NS (30 * NSEC_PER_SEC)

static struct {
	bool begun;
	uint8_t named[VRRP_MAX_GROUPS]; /* the configuration under way has it */
	unsigned failed;
} in;

static unsigned short bucket[N_BUCKETS]; /* group number + 1 */
static unsigned short chain[VRRP_MAX_GROUPS];

/* ---- by name ---- */

static unsigned hash_name(const struct vrrp_name *n)
{
	return (unsigned)hash_bytes(n, sizeof(*n), 0) % N_BUCKETS;
}

static struct vrrp_name name_of(const struct vrrp_conf *c)
{
	struct vrrp_name n = { .family = c->family, .vrid = c->vrid };

	rtr_strlcpy(n.ifname, c->ifname, sizeof(n.ifname));
	return n;
}

static struct vg *find(const struct vrrp_name *n)
{
	for (unsigned i = bucket[hash_name(n)]; i; i = chain[i - 1]) {
		struct vrrp_name have = name_of(&vd.groups[i - 1].slot->conf);

		if (!memcmp(&have, n, sizeof(have)))
			return &vd.groups[i - 1];
	}
	return NULL;
}

static void hash_add(struct vg *g)
{
	struct vrrp_name n = name_of(&g->slot->conf);
	unsigned h = hash_name(&n);

	chain[g->no] = bucket[h];
	bucket[h] = (unsigned short)(g->no + 1);
}

static void hash_del(struct vg *g)
{
	struct vrrp_name n = name_of(&g->slot->conf);
	unsigned short *p = &bucket[hash_name(&n)];

	while (*p != g->no + 1)
		p = &chain[*p - 1];
	*p = chain[g->no];
}

/* ---- interfaces ---- */

static struct vif *vif_get(const char *name)
{
	struct vif *spare = NULL;

	for (unsigned i = 0; i < MAX_IFS; i++) {
		if (vd.ifs[i].n_groups && !strcmp(vd.ifs[i].name, name))
			return &vd.ifs[i];
		if (!vd.ifs[i].n_groups && !spare)
			spare = &vd.ifs[i];
	}
	if (!spare)
		return NULL;
	*spare = (struct vif){ .rx = { -1, -1 } };
	rtr_strlcpy(spare->name, name, sizeof(spare->name));
	return spare;
}

static void vif_put(struct vif *v, unsigned fam)
{
	v->n_groups--;
	v->n_family[fam]--;
	io_rx_update(v);
}

/* ---- groups ---- */

/* Values that a sound rtrd never sends; after a crash the memory is read by the same rules. */
static bool sound(const struct vrrp_conf *c)
{
	uint8_t f = c->family;

	if ((f != AF_INET && f != AF_INET6) || !c->vrid || !c->prio || !c->n_addrs ||
	    c->n_addrs > VRRP_MAX_ADDRS || c->n_peers > VRRP_MAX_PEERS || c->sync > VRRP_MAX_SYNC ||
	    c->adver_ms < 10 || c->adver_ms > 255000 ||
	    (c->version != 3 && (c->version != 2 || f != AF_INET)) ||
	    (c->prio == 255) != !!(c->flags & VRRP_F_OWNER) || !memchr(c->ifname, 0, IFNAMSIZ) ||
	    !memchr(c->vmac, 0, IFNAMSIZ) || !c->ifname[0])
		return false;
	for (unsigned i = 0; i < c->n_addrs; i++) {
		if (c->addrs[i].family != f)
			return false;
	}
	for (unsigned i = 0; i < c->n_peers; i++) {
		if (c->peers[i].family != f)
			return false;
	}
	return true;
}

static void join_sync(struct vg *g)
{
	const struct vrrp_conf *c = &g->slot->conf;
	/* One that is shut down holds up nobody. */
	bool in_it = c->sync && !(c->flags & VRRP_F_SHUTDOWN);

	vrrp_fsm_join(&g->fsm, in_it ? &vd.sync[c->sync - 1] : NULL);
}

static void find_vmac(struct vg *g)
{
	g->asking_vmac = false;
	if (!g->slot->conf.vmac[0]) {
		g->vmac_ifindex = 0;
		g->vmac_up = false;
	} else if (vd.restoring) {
		link_query_vmac_now(g);
	} else {
		link_query_vmac(g);
	}
}

/* The slot holds the configuration. False: no room for one more interface. */
static bool make_group(struct vg *g, unsigned no, bool *ret_new_if)
{
	const struct vrrp_conf *c = &vd.shm->slot[no].conf;
	struct vrrp_fsm_conf fc;
	struct vif *v = vif_get(c->ifname);

	if (!v)
		return false;
	*g = (struct vg){ .no = no, .used = true, .slot = &vd.shm->slot[no], .vif = v };
	*ret_new_if = !v->n_groups;
	v->n_groups++;
	v->n_family[FAM(c->family)]++;
	v->by_vrid[FAM(c->family)][c->vrid] = (uint16_t)(no + 1);
	fc = vg_fsm_conf(g);
	vrrp_fsm_init(&g->fsm, &fc, &vg_ops);
	g->sum = g->slot->st.sum;
	hash_add(g);
	return true;
}

static void start_group(struct vg *g, bool new_if, uint64_t now)
{
	join_sync(g);
	find_vmac(g);
	if (new_if)
		link_query(g->vif);
	else
		io_rx_update(g->vif);
	vg_usable(g, now, VRRP_R_LINK);
}

static void set_conf(struct vg *g, const struct vrrp_conf *c)
{
	__atomic_store_n(&g->slot->seq, g->slot->seq + 1, __ATOMIC_RELAXED);
	vrrp_fence(__ATOMIC_RELEASE);
	g->slot->conf = *c;
	st_end(g);
}

static void keep_verdict(struct vg *g, const struct vrrp_verdict *v, uint64_t now)
{
	g->routes_until = v->hold_sec ? now + v->hold_sec * NSEC_PER_SEC : 0;
	/* Since the first time that it was not known: each start of rtrd knows nothing anew. */
	if (v->known)
		g->unknown_until = 0;
	else if (!g->unknown_until)
		g->unknown_until = now + UNKNOWN_NS;
	if (v->known)
		vrrp_fsm_track(&g->fsm, now, v->decrement, v->fault);
	g->frame_size = 0;
}

static void take_verdict(struct vg *g, const struct vrrp_verdict *v, uint64_t now)
{
	bool held = g->routes_until || g->unknown_until;

	keep_verdict(g, v, now);
	if (held || g->routes_until || g->unknown_until)
		vg_usable(g, now, VRRP_R_LINK);
	vg_tell(g);
	vg_schedule(g);
}

static void add_group(const struct vrrp_conf *c, const struct vrrp_verdict *v, uint64_t now)
{
	unsigned no = 0;
	struct vrrp_slot *s;
	bool new_if;

	while (no < VRRP_MAX_GROUPS && vd.shm->slot[no].used)
		no++;
	if (no == VRRP_MAX_GROUPS) {
		in.failed++;
		return;
	}
	s = &vd.shm->slot[no];
	*s = (struct vrrp_slot){ .seq = s->seq | 1, .conf = *c };
	s->st.since_sec = time(NULL);
	s->st.since_ns = now;
	s->st.prio = c->prio;
	if (!make_group(&vd.groups[no], no, &new_if)) {
		in.failed++;
		return;
	}
	s->used = 1;
	vd.shm->n_slots = MAX(vd.shm->n_slots, no + 1);
	__atomic_store_n(&s->seq, s->seq + 1, __ATOMIC_RELEASE);
	in.named[no] = 1;
	keep_verdict(&vd.groups[no], v, now); /* before its first step */
	start_group(&vd.groups[no], new_if, now);
}

static void change_group(struct vg *g, const struct vrrp_conf *c, uint64_t now)
{
	const struct vrrp_conf old = g->slot->conf;
	bool back = old.flags & VRRP_F_SHUTDOWN && !(c->flags & VRRP_F_SHUTDOWN);

	set_conf(g, c);
	join_sync(g);
	if (strcmp(old.vmac, c->vmac)) {
		st_begin(g)->mac_test = VRRP_MAC_UNTESTED;
		st_end(g);
		find_vmac(g);
	}
	if (back)
		g->fsm.ready = false;
	vg_usable(g, now, VRRP_R_LINK);
	if (g->owning && memcmp(old.addrs, c->addrs, sizeof(c->addrs))) {
		vg_announce(g, now);
		vg_schedule(g);
	}
}

static void remove_group(struct vg *g, uint64_t now)
{
	g->removing = true;
	vrrp_fsm_join(&g->fsm, NULL);
	vrrp_fsm_leave(&g->fsm, now, true, VRRP_R_SHUTDOWN);
	g->fsm.ready = false;
	vg_after(g, now, VRRP_S_INIT);
}

void conf_forget(struct vg *g)
{
	unsigned fam = FAM(g->slot->conf.family);

	vg_unschedule(g);
	vrrp_fsm_join(&g->fsm, NULL);
	hash_del(g);
	g->vif->by_vrid[fam][g->slot->conf.vrid] = 0;
	vif_put(g->vif, fam);
	st_begin(g);
	g->slot->used = 0;
	st_end(g);
	g->used = false;
}

/* ---- messages ---- */

static void take_group(const struct vrrp_msg *m, uint64_t now)
{
	const struct vrrp_conf *c = &m->u.group;
	struct vrrp_name n = name_of(c);
	struct vg *g;

	if (!in.begun || !sound(c)) {
		in.failed++;
		return;
	}
	g = find(&n);
	/* Named again while it leaves: it leaves, and starts anew (vg_after). */
	if (g)
		g->removing = false;
	if (!g) {
		add_group(c, &m->verdict, now);
		return;
	}
	in.named[g->no] = 1;
	if (memcmp(&g->slot->conf, c, sizeof(*c)) || !g->fsm.ready)
		change_group(g, c, now);
	take_verdict(g, &m->verdict, now);
}

static void end_config(uint32_t serial, uint64_t now)
{
	struct vrrp_msg m = { .type = VRRP_M_APPLIED, .serial = serial };

	for (unsigned i = 0; in.begun && i < vd.shm->n_slots; i++) {
		if (vd.groups[i].used && !vd.groups[i].removing && !in.named[i])
			remove_group(&vd.groups[i], now);
	}
	in.begun = false;
	m.u.hello.n_groups = in.failed;
	(void)!send(vd.conn_fd, &m, sizeof(m), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void take_track(const struct vrrp_msg *m, uint64_t now)
{
	struct vrrp_name n = m->u.track;
	struct vg *g;

	n.ifname[IFNAMSIZ - 1] = '\0';
	g = find(&n);
	if (!g)
		return;
	take_verdict(g, &m->verdict, now);
}

static void switch_over(uint64_t now)
{
	for (unsigned i = 0; i < vd.shm->n_slots; i++) {
		struct vg *g = &vd.groups[i];

		if (!g->used || g->removing)
			continue;
		vrrp_fsm_leave(&g->fsm, now, false, VRRP_R_SWITCHOVER);
		vg_schedule(g);
	}
}

static void clear_counters(void)
{
	for (unsigned i = 0; i < vd.shm->n_slots; i++) {
		struct vg *g = &vd.groups[i];
		struct vrrp_status *st;

		if (!g->used)
			continue;
		st = st_begin(g);
		st->n_sent = st->n_sent_zero = st->n_received = st->n_received_zero = 0;
		st->n_garp = st->n_refused = st->n_sum_changed = st->max_gap_ns = 0;
		memset(st->n_drop, 0, sizeof(st->n_drop));
		st_end(g);
	}
	vd.shm->n_unknown_drops = vd.shm->n_stalls = vd.shm->max_stall_ns = 0;
	memset(vd.shm->n_drop, 0, sizeof(vd.shm->n_drop));
}

static void take_message(const struct vrrp_msg *m, uint64_t now)
{
	switch (m->type) {
	case VRRP_M_BEGIN:
		memset(&in, 0, sizeof(in));
		in.begun = true;
		break;
	case VRRP_M_GROUP:
		take_group(m, now);
		break;
	case VRRP_M_END:
		end_config(m->serial, now);
		break;
	case VRRP_M_TRACK:
		take_track(m, now);
		break;
	case VRRP_M_SWITCHOVER:
		switch_over(now);
		break;
	case VRRP_M_CLEAR:
		clear_counters();
		break;
	default:
		break;
	}
}

static void hang_up(void)
{
	close(vd.conn_fd);
	vd.conn_fd = -1;
	in.begun = false;
}

void conf_read(uint64_t now)
{
	struct vrrp_msg m;

	for (unsigned i = 0; i < TURN && vd.conn_fd >= 0; i++) {
		ssize_t n = recv(vd.conn_fd, &m, sizeof(m), MSG_DONTWAIT);

		if (n == sizeof(m) && !vd.stopping)
			take_message(&m, now);
		else if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		else if (n <= 0)
			hang_up();
	}
}

/* One rtrd at a time; a new one takes the place of one that we have not noticed to be dead. */
void conf_accept(void)
{
	struct vrrp_msg m = { .type = VRRP_M_HELLO, .u.hello.version = VRRP_WIRE_VERSION };
	int fd = accept4(vd.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (vd.conn_fd >= 0)
		hang_up();
	vd.conn_fd = fd;
	(void)!fd_send(fd, &m, sizeof(m), vd.shm_fd);
	vrrpd_watch(fd, WATCH_CONN);
}

/* ---- what rtrd is told: never waited for; show reads the state itself ---- */

void conf_tell_state(const struct vg *g, uint8_t from, enum vrrp_reason why)
{
	struct vrrp_msg m = { .type = VRRP_M_STATE };
	struct timespec ts;

	if (vd.conn_fd < 0)
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	m.u.state.name = name_of(&g->slot->conf);
	m.u.state.from = from;
	m.u.state.to = g->fsm.state;
	m.u.state.reason = (uint8_t)why;
	m.u.state.prio = g->fsm.prio;
	m.u.state.at_sec = ts.tv_sec;
	m.u.state.at_usec = (uint32_t)(ts.tv_nsec / 1000);
	m.u.state.active = g->slot->st.active;
	(void)!send(vd.conn_fd, &m, sizeof(m), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void conf_notice(struct vg *g, uint64_t now, enum vrrp_notice what, uint8_t v,
		 const struct rtr_addr *peer, uint64_t every_ns)
{
	struct vrrp_msg m = { .type = VRRP_M_NOTICE };

	st_begin(g)->said_ns[what] = now;
	st_end(g);
	if (vd.conn_fd < 0 || (every_ns && g->told_ns[what] && now - g->told_ns[what] < every_ns))
		return;
	g->told_ns[what] = now;
	m.u.notice.name = name_of(&g->slot->conf);
	m.u.notice.what = (uint8_t)what;
	m.u.notice.v = v;
	if (peer)
		m.u.notice.peer = *peer;
	(void)!send(vd.conn_fd, &m, sizeof(m), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* ---- after a crash ---- */

/* Reads what the dead process may have left in the kernel. */
static void restore_owned(struct vg *g)
{
	const struct vrrp_status *st = &g->slot->st;
	const struct vrrp_conf *c = &g->slot->conf;

	if (!st->owned) {
		g->kern.vmac = g->vmac_up ? g->vmac_ifindex : 0;
		g->kern.up = g->kern.vmac;
		return;
	}
	g->kern.vmac = st->vmac_ifindex ? st->vmac_ifindex : g->vmac_up ? g->vmac_ifindex : 0;
	g->kern.up = g->kern.vmac;
	g->kern.ifindex = st->vmac_ifindex ? st->vmac_ifindex : g->vif->ifindex;
	g->kern.n = c->n_addrs;
	memcpy(g->kern.a, c->addrs, sizeof(g->kern.a));
}

static void restore_state(struct vg *g, uint64_t now)
{
	struct vrrp_status *st = &g->slot->st;
	uint8_t prio = g->slot->conf.prio;

	g->fsm.ran = true; /* of a sync group that is at work, it is no new member */
	vrrp_fsm_track(&g->fsm, now, st->prio < prio ? (uint8_t)(prio - st->prio) : 0, st->fault);
	if (st->state == VRRP_S_ACTIVE && st->owned && g->vif->up &&
	    g->vif->local[FAM(g->slot->conf.family)].family) {
		g->fsm.c = vg_fsm_conf(g);
		vg_set_mac(g);
		vrrp_fsm_resume(&g->fsm, now);
		return;
	}
	if (st->holding == VRRP_HOLD_ROUTES)
		g->routes_until = now + HOLD_AGAIN_NS;
	st_begin(g)->state = VRRP_S_INIT;
	st_end(g);
	addr_update(g);
}

void conf_restore(uint64_t now)
{
	bool new_if[VRRP_MAX_GROUPS] = { 0 };

	vd.restoring = true;
	vd.shm->n_slots = MIN(vd.shm->n_slots, (uint32_t)VRRP_MAX_GROUPS);
	for (unsigned i = 0; i < vd.shm->n_slots; i++) {
		struct vrrp_slot *s = &vd.shm->slot[i];
		struct vrrp_name n;

		s->seq += s->seq & 1;
		if (!s->used)
			continue;
		n = name_of(&s->conf);
		if (!sound(&s->conf) || find(&n) || !make_group(&vd.groups[i], i, &new_if[i]))
			s->used = 0;
	}
	for (unsigned i = 0; i < vd.shm->n_slots; i++) {
		struct vg *g = &vd.groups[i];

		if (!g->used)
			continue;
		if (new_if[i])
			link_query_now(g->vif);
		else
			io_rx_update(g->vif);
		find_vmac(g);
		restore_owned(g);
	}
	for (unsigned i = 0; i < vd.shm->n_slots; i++) {
		if (vd.groups[i].used)
			restore_state(&vd.groups[i], now);
	}
	/* All of a sync group are back before one of them moves. */
	for (unsigned i = 0; i < vd.shm->n_slots; i++) {
		if (vd.groups[i].used)
			join_sync(&vd.groups[i]);
	}
	vd.restoring = false;
	for (unsigned i = 0; i < vd.shm->n_slots; i++) {
		if (vd.groups[i].used)
			vg_usable(&vd.groups[i], now, VRRP_R_LINK);
	}
}
