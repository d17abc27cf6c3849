/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the inside of rtr-vrrpd, shared by its files.
 *
 *	vrrpd.c        the loop, timers, groups and what their state machines ask for
 *	vrrpd_conf.c   groups from configuration, control socket
 *	vrrpd_io.c     adverts in and out, announcements
 *	vrrpd_link.c   interfaces and their addresses, as the kernel tells
 *	vrrpd_addr.c   a thread that adds and removes the virtual addresses
 *	vrrpd_look.c   a thread that asks the kernel, and opens sockets
 *	vrrpd_work.c   what such a thread stands on
 *	vrrpd_probe.c  whether the virtual MAC is really received
 *	vrrpd_box.c    limits, capabilities, system call filter
 *
 * Owns: everything lies in static arrays sized for VRRP_MAX_GROUPS and is locked in memory: after
 * the configuration nothing is allocated. Threads: the loop, and those of vrrpd_addr.c and
 * vrrpd_look.c, which wait for the kernel's routing lock in its place (commits hold it for long).
 * Failure: what the kernel refuses is told to rtrd and shown; a lost rtrd changes nothing.
 */
#ifndef RTR_VRRPD_H
#define RTR_VRRPD_H

#include "rtr/vrrp.h"
#include "vrrp/vrrp_fsm.h"
#include "vrrp/vrrp_packet.h"

#define MAX_IFS 1024

enum { V4, V6 };
#define FAM(family) ((family) == AF_INET6 ? V6 : V4)

struct link_info {
	char name[IFNAMSIZ];
	int ifindex; /* 0: there is none of that name */
	unsigned flags;
	uint8_t mac[6];
};

/* An interface that has groups. */
struct vif {
	char name[IFNAMSIZ];
	int ifindex; /* 0: does not exist now */
	unsigned flags;
	uint8_t mac[6];
	unsigned n_groups, n_family[2];
	struct rtr_addr local[2]; /* whom we are: family 0 = nobody yet */
	bool up;                  /* with carrier */
	uint64_t up_ns;           /* since when */
	int rx[2];
	uint64_t drained_ns[2];         /* what arrived before then has been read */
	bool asking_link, asking_local; /* a question is under way */
	bool local_changed;             /* and its answer is older than an event */
	bool opening[2];                /* a receiving socket */
	uint64_t garp_step_ns;          /* announcements are paced: the step under way */
	unsigned garp_in_step;
	uint16_t by_vrid[2][256]; /* group number + 1 */
};

/* Addresses in the kernel, as far as asked for. */
struct owned {
	int ifindex, vmac; /* where; vmac: the macvlan, 0 = none */
	bool up;           /* the macvlan is */
	unsigned n;
	struct rtr_addr a[VRRP_MAX_ADDRS];
};

struct vg {
	struct vrrp_fsm fsm; /* first: the machine's callbacks find the group by it */
	struct vrrp_slot *slot;
	struct vif *vif;
	unsigned no;
	unsigned heap_at; /* place in the heap of timers + 1; 0 = not in it */
	uint64_t next;
	bool used, removing;
	uint64_t routes_until;  /* rtrd waits for routes: held back until then; 0 = no */
	uint64_t unknown_until; /* for the first word of what it tracks; 0 = it is known */
	uint64_t listen_at;     /* more has arrived than is read at once: not to be judged before */
	int vmac_ifindex;       /* 0: does not exist (yet) */
	bool vmac_up, asking_vmac;

	uint8_t mac[6]; /* of our adverts and announcements */
	uint8_t sum;
	uint8_t frame[VRRP_FRAME_MAX];
	size_t frame_size;
	uint8_t frame_prio;

	uint64_t garp_at, sent_ns, sent_before_ns;
	unsigned garp_no;  /* announcements since active */
	uint64_t again_at; /* what was refused is tried again */
	uint64_t again_gap_ns;
	bool again_advert, again_announce;
	uint64_t told_ns[VRRP_N__MAX]; /* last notice of each kind */
	struct rtr_addr sum_peer;
	unsigned stalls;

	bool preparing;   /* about to take over: the macvlan comes up before the first advert */
	bool owning, job; /* wants the addresses; the thread is at work */
	bool again;       /* something was lost meanwhile */
	struct owned kern;
	uint64_t probe_at; /* next step of the test of the virtual MAC */
	unsigned probe_round, probe_tries;
	unsigned probe_answers, probe_heard; /* by the physical, the virtual MAC */
	bool retesting;                      /* the virtual MAC, while the physical one is in use */
	uint64_t retest_gap_ns;
	bool probe_asking; /* for a neighbour */
	struct rtr_addr probe_target;
};

struct vrrpd {
	struct vrrp_shm *shm;
	int shm_fd, listen_fd, conn_fd, epoll_fd, timer_fd;
	uint8_t proto; /* IFA_PROTO of our addresses */
	uint64_t start_ns;
	bool box_fresh;   /* the box just came up: start-up hold applies */
	bool restoring;   /* nothing moves before all groups are back */
	bool promise_now; /* what the parent watches for has changed */
	bool stopping;
	uint64_t stop_by;
	struct vif ifs[MAX_IFS];
	struct vg groups[VRRP_MAX_GROUPS];
	struct vrrp_sync sync[VRRP_MAX_SYNC];
};

extern struct vrrpd vd;

/* ---- vrrpd.c ---- */

enum watch {
	WATCH_TIMER,
	WATCH_SIGNAL,
	WATCH_LISTEN,
	WATCH_CONN,
	WATCH_LINK,
	WATCH_ADDR,
	WATCH_PROBE,
	WATCH_LOOK,
	WATCH_RX /* + interface * 2 + family */
};

void vrrpd_watch(int fd, unsigned what);
/* Puts the group's next deadline into the heap of timers. */
void vg_schedule(struct vg *g);
void vg_unschedule(struct vg *g);
/* The interface, the local address, the macvlan: whether the group can run. */
void vg_usable(struct vg *g, uint64_t now, enum vrrp_reason why);
/* After the machine ran: one that has left for good is forgotten, one that has only been
 * shut down may be wanted again by now. */
void vg_after(struct vg *g, uint64_t now, uint8_t state_before);
/* The MAC that the group has now, virtual or not. */
void vg_set_mac(struct vg *g);
/* For show: what has changed of the group, and of the others in its sync group, but the state. */
void vg_tell(struct vg *g);
/* Announces the addresses, from now on as often as a new master does; paced. */
void vg_announce(struct vg *g, uint64_t now);
/* The state machine's view of the configuration. */
struct vrrp_fsm_conf vg_fsm_conf(const struct vg *g);
extern const struct vrrp_fsm_ops vg_ops;

static inline struct vrrp_status *st_begin(struct vg *g)
{
	__atomic_store_n(&g->slot->seq, g->slot->seq + 1, __ATOMIC_RELAXED);
	vrrp_fence(__ATOMIC_RELEASE);
	return &g->slot->st;
}

static inline void st_end(struct vg *g)
{
	__atomic_store_n(&g->slot->seq, g->slot->seq + 1, __ATOMIC_RELEASE);
}

/* ---- vrrpd_conf.c ---- */

/* Groups of a former process. */
void conf_restore(uint64_t now);
void conf_accept(void);
void conf_read(uint64_t now);
/* A group that has left for good. */
void conf_forget(struct vg *g);
void conf_tell_state(const struct vg *g, uint8_t from, enum vrrp_reason why);
/* At most once in `every_ns` for each group and kind; 0: always. */
void conf_notice(struct vg *g, uint64_t now, enum vrrp_notice what, uint8_t v,
		 const struct rtr_addr *peer, uint64_t every_ns);

/* ---- vrrpd_io.c ---- */

int io_init(void);
/* Opens and closes the receiving sockets of an interface as its groups need. */
void io_rx_update(struct vif *v);
/* In any thread: a receiving socket, or -1. */
int io_rx_open(int fam, int ifindex, const char name[IFNAMSIZ]);
void io_rx_opened(struct vif *v, int fam, const struct link_info *l, int fd, uint64_t now);
/* Reads what has arrived, as much as the loop may at once. What arrived before the time that is
 * returned has been read. */
uint64_t io_drain(struct vif *v, int fam);
void io_frame_build(struct vg *g);
void io_advert(struct vg *g, uint8_t prio);
/* Gratuitous ARP or NA for all addresses. */
void io_announce(struct vg *g);
/* What the kernel had no room for, at g->again_at. */
void io_again(struct vg *g);
enum io_kind { IO_ADVERT, IO_ANNOUNCE, IO_OTHER };
void io_raw(struct vg *g, enum io_kind kind, const uint8_t *frame, size_t size);
void io_flush(void);

/* ---- vrrpd_link.c ---- */

int link_init(void);
void link_read(uint64_t now);
/* Asks for the interface of that name, for the group's macvlan; at once while we start. */
void link_query(struct vif *v);
void link_query_now(struct vif *v);
void link_query_vmac(struct vg *g);
void link_query_vmac_now(struct vg *g);
/* The answers. */
void link_found(const struct link_info *l, uint64_t now);
void link_found_local(struct vif *v, int ifindex, const struct rtr_addr found[2], uint64_t now);
/* What the groups of an interface stand on has changed. */
void link_each_group(struct vif *v, uint64_t now);

/* ---- vrrpd_look.c ---- */

int look_init(void);
/* Questions; each is answered by a call of link_found, link_found_local, probe_neighbour,
 * io_rx_opened from the loop. */
void look_link(const char *name);
void look_local(const struct vif *v);
/* A neighbour of the group's interface that may answer when asked for its MAC: the one after `skip`
 * others, or a later one that is more likely to be there. */
void look_neighbour(const struct vg *g, unsigned skip);
void look_open(const struct vif *v, int fam);
void look_close(int fd);
void look_read(uint64_t now);
/* At once: while we start. ret_local NULL: not asked for. */
void look_now(const char *name, struct link_info *ret, struct rtr_addr ret_local[2]);
/* Takes away virtual addresses that no living group accounts for. */
void look_sweep(void);

struct nlmsghdr;
const struct rtattr *look_attr(const struct nlmsghdr *h, size_t hdr, unsigned short type);
bool look_parse_link(const struct nlmsghdr *h, struct link_info *ret);
/* usable: we may speak from it. False: no address of a family of ours. */
bool look_parse_local(const struct nlmsghdr *h, struct rtr_addr *ret, bool *ret_usable);
/* An address that rtr-vrrpd has put there. */
bool look_is_ours(const struct nlmsghdr *h);

/* ---- vrrpd_addr.c ---- */

int addr_init(void);
/* A backup that is about to take over in order (the master resigned, or is to be preempted) takes
 * its macvlan up: its first advert leads frames to it, and none of them shall find it down. */
void addr_prepare(struct vg *g);
/* Brings the kernel to what the group's state wants. */
void addr_update(struct vg *g);
/* An address has gone from an interface: if the group should have it there, it is put back. */
void addr_lost(struct vg *g, int ifindex, const struct rtr_addr *a);
/* Events have been lost: whatever should be there is put back. */
void addr_all_lost(void);
void addr_read(uint64_t now);
bool addr_idle(void);

/* ---- vrrpd_probe.c ---- */

int probe_init(void);
void probe_start(struct vg *g, uint64_t now);
void probe_step(struct vg *g, uint64_t now);
/* The group is master no more; its macvlan goes down with it. */
void probe_end(struct vg *g);
void probe_read(void);
/* The neighbour that was asked for; family 0: there is none. */
void probe_neighbour(struct vg *g, const struct rtr_addr *a, uint64_t now);

/* ---- vrrpd_box.c ---- */

/* Limits and capabilities; before any thread. 0 or -errno. */
int box_limits(void);
/* Locks memory, filters system calls. 0 or -errno. */
int box_close(void);

#endif
