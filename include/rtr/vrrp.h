/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what rtrd, its root parent and rtr-vrrpd share about VRRP: the groups as they are
 * configured, the memory in which their state outlives rtr-vrrpd, and the messages between rtrd
 * and rtr-vrrpd.
 *
 *	rtrd ---- seqpacket /run/rtr/NAME/vrrp.sock ----> rtr-vrrpd
 *	  |  BEGIN, GROUP..., END; TRACK; SWITCHOVER         |   writes
 *	  |  <--- HELLO (with the memory), APPLIED, EVENT    v
 *	  '------ reads (show) ------------------------> struct vrrp_shm <---- parent: watches the
 *	                                                 (sealed memfd)        beat, withdraws
 *
 * Owns: the memfd is the parent's. rtr-vrrpd alone writes it while it lives, the parent when it is
 * dead. Failure: a reader copies a slot under its sequence number, and believes none of its values:
 * rtr-vrrpd parses what strangers send.
 */
#ifndef RTR_VRRP_H
#define RTR_VRRP_H

#include "prefix.h"

#include <net/if.h>

#define VRRP_WIRE_VERSION 2

/* 4 links x 250 groups are asked for; this is twice as many in both families. */
#define VRRP_MAX_GROUPS 2048
/* Virtual addresses of one group. The protocol has room for 255, an Ethernet frame of IPv6 for 90;
 * nobody is known to use more than a few. */
#define VRRP_MAX_ADDRS 16
#define VRRP_MAX_PEERS 8
#define VRRP_MAX_SYNC  64

enum vrrp_state {
	VRRP_S_INIT,
	VRRP_S_BACKUP,
	VRRP_S_ACTIVE,
	VRRP_S_LEAVING, /* said priority 0, forwards until the peer has taken over */
	VRRP_S__MAX
};

/* Why a group changed its state. */
#define VRRP_REASONS(X)                                                                            \
	X(NONE, "none")                                                                            \
	X(START, "started")                                                                        \
	X(OWNER, "owner of the address")                                                           \
	X(MASTER_DOWN, "no advert from the master")                                                \
	X(PREEMPT, "higher priority than the master")                                              \
	X(PRIO_ZERO, "the master resigned")                                                        \
	X(HIGHER, "a better master was heard")                                                     \
	X(LINK, "interface down or without an address")                                            \
	X(SHUTDOWN, "shutdown or no longer configured")                                            \
	X(TRACK, "tracked object down")                                                            \
	X(SYNC, "sync group")                                                                      \
	X(SWITCHOVER, "ha switchover")                                                             \
	X(RESUMED, "resumed after a crash")                                                        \
	X(WITHDRAWN, "withdrawn: rtr-vrrpd was dead or stuck")

enum vrrp_reason {
#define X(name, text) VRRP_R_##name,
	VRRP_REASONS(X)
#undef X
		VRRP_R__MAX
};

/* Why an advert was dropped. */
#define VRRP_DROPS(X)                                                                              \
	X(NONE, "none", "not dropped")                                                             \
	X(TTL, "ttl", "TTL or hop limit not 255: it crossed a router")                             \
	X(LENGTH, "length", "shorter than its header says")                                        \
	X(VERSION, "version", "not the version of the group")                                      \
	X(TYPE, "type", "not an advertisement")                                                    \
	X(COUNT, "count", "no address, or not as many as the group has")                           \
	X(CHECKSUM, "checksum", "wrong checksum")                                                  \
	X(INTERVAL, "interval", "no interval, or (version 2) not that of the group")               \
	X(VRID, "vrid", "no such group on the interface")                                          \
	X(AUTH, "auth", "authentication missing or wrong")                                         \
	X(ADDRESS, "address", "other virtual addresses than the group has")                        \
	X(SOURCE, "source", "from ourselves, or not from a unicast peer of the group")

enum vrrp_drop {
#define X(name, text, help) VRRP_D_##name,
	VRRP_DROPS(X)
#undef X
		VRRP_D__MAX
};

enum {
	VRRP_F_PREEMPT = 1 << 0,
	VRRP_F_OWNER = 1 << 1, /* the addresses are the interface's own: never touched */
	VRRP_F_SHUTDOWN = 1 << 2,
	VRRP_F_MATCH = 1 << 3, /* drop adverts with other addresses */
	VRRP_F_LEARN = 1 << 4, /* version 2: take the interval from the master */
	VRRP_F_AUTH = 1 << 5,
};

/* A group as rtrd wants it. (ifname, family, vrid) is its name; the rest may change at any time
 * without a change of state. */
struct vrrp_conf {
	char ifname[IFNAMSIZ]; /* the kernel's name */
	char vmac[IFNAMSIZ];   /* macvlan that has the virtual MAC; "" = physical MAC */
	uint8_t family, vrid, version;
	uint8_t prio; /* 255 with VRRP_F_OWNER */
	uint8_t n_addrs, n_peers;
	uint16_t flags;
	uint16_t sync; /* 1 .. VRRP_MAX_SYNC; 0 = none */
	uint16_t pad;
	uint32_t adver_ms;
	uint32_t preempt_delay_sec;
	uint32_t delay_min_sec;    /* hold after the interface came up */
	uint32_t delay_reload_sec; /* hold after the box came up */
	uint8_t auth[8];
	struct rtr_addr addrs[VRRP_MAX_ADDRS];
	struct rtr_addr peers[VRRP_MAX_PEERS]; /* unicast; none: multicast */
};

enum vrrp_notice {
	VRRP_N_SUM,      /* a.v: enum vrrp_sum now sent */
	VRRP_N_SUM_MIX,  /* peers disagree about the checksum */
	VRRP_N_MAC_DEAF, /* the virtual MAC is not received */
	VRRP_N_MAC_OK,
	VRRP_N_SPLIT,     /* two active: a lower advert heard while active */
	VRRP_N_ADDRESSES, /* a peer has other virtual addresses */
	VRRP_N_INTERVAL,
	VRRP_N_ADDR_FAIL, /* a.v: errno of the kernel, adding an address */
	VRRP_N_VERSION,   /* a peer speaks the other version */
	VRRP_N__MAX
};

enum vrrp_mac_test { VRRP_MAC_UNTESTED, VRRP_MAC_OK, VRRP_MAC_DEAF };
/* Why a group that could run does not: the time after the start, or what rtrd waits for. */
enum vrrp_hold { VRRP_HOLD_NONE, VRRP_HOLD_TIME, VRRP_HOLD_ROUTES };

/* What has become of it. */
struct vrrp_status {
	uint8_t state, reason;
	uint8_t prio; /* in force, after tracking */
	uint8_t fault;
	uint8_t sum;      /* enum vrrp_sum that we send (IPv4, version 3) */
	uint8_t mac_test; /* enum vrrp_mac_test; DEAF: the physical MAC is used */
	uint8_t owned;    /* our addresses may be in the kernel */
	uint8_t holding;  /* enum vrrp_hold */
	int32_t ifindex, vmac_ifindex;
	uint32_t n_transitions, n_became_active;
	int64_t since_sec; /* of the state; wall clock, for people */
	uint64_t since_ns; /* monotonic */
	struct rtr_addr local;
	struct rtr_addr active; /* whom we hear, or ourselves */
	uint8_t active_prio, peer_prio, pad[2];
	struct rtr_addr peer;          /* the last other router that was heard; family 0 = none */
	uint64_t heard_ns;             /* monotonic: its last advert */
	uint64_t sent_ns;              /* monotonic: our last one */
	uint64_t said_ns[VRRP_N__MAX]; /* when each kind was last the case; 0 = never */
	uint32_t active_adver_ms;
	uint32_t down_ms; /* Master_Down interval in force */
	uint64_t n_sent, n_sent_zero, n_received, n_received_zero, n_garp, n_sum_changed;
	uint64_t n_refused;  /* frames that the kernel did not take */
	uint64_t max_gap_ns; /* longest distance of two of our adverts while active */
	uint64_t n_drop[VRRP_D__MAX];
};

struct vrrp_slot {
	uint32_t seq; /* odd: being written */
	uint8_t used, pad[3];
	struct vrrp_conf conf;
	struct vrrp_status st;
};

/* Between the number of a slot and its content. GCC's ThreadSanitizer knows no fences; what it
 * checks is one process, and a slot's readers are another. */
#ifdef __SANITIZE_THREAD__
#define vrrp_fence(order) __atomic_signal_fence(order)
#else
#define vrrp_fence(order) __atomic_thread_fence(order)
#endif

#define VRRP_SHM_MAGIC 0x76727233u

struct vrrp_shm {
	uint32_t magic, size;
	uint32_t n_starts;        /* of rtr-vrrpd, by the parent */
	uint32_t n_withdrawn;     /* times that the parent took the addresses away */
	uint64_t beat_ns;         /* monotonic: the loop was alive */
	uint64_t beat_max_ns;     /* it promises to beat at least this often; 0 = no promise */
	uint64_t wake_ns;         /* monotonic: by then it beats again; 0 = it waits for nothing */
	uint64_t withdraw_ns;     /* silent for so long: a peer takes over; 0 = it owns nothing */
	uint64_t n_unknown_drops; /* adverts for no group: bad header, or no such VRID */
	uint64_t n_drop[VRRP_D__MAX];
	uint64_t n_stalls, max_stall_ns;
	uint32_t n_slots, pad; /* slots beyond were never used */
	struct vrrp_slot slot[VRRP_MAX_GROUPS];
};

/* ---- messages ---- */

enum vrrp_msg_type {
	/* from rtrd */
	VRRP_M_BEGIN = 1, /* what follows is the whole configuration */
	VRRP_M_GROUP,
	VRRP_M_END, /* groups that were not named leave */
	VRRP_M_TRACK,
	VRRP_M_SWITCHOVER,
	VRRP_M_CLEAR, /* counters */
	/* from rtr-vrrpd */
	VRRP_M_HELLO = 64,
	VRRP_M_APPLIED,
	VRRP_M_STATE,
	VRRP_M_NOTICE,
};

struct vrrp_name {
	char ifname[IFNAMSIZ];
	uint8_t family, vrid, pad[2];
};

/* What rtrd knows of a group beside its lines. */
struct vrrp_verdict {
	/* All tracked objects were looked at; else the next two say nothing, and one that is not at
	 * work waits, for as long as rtr-vrrpd likes. */
	uint8_t known;
	uint8_t decrement, fault, pad;
	/* Not to start for so many seconds, or until told otherwise; 0 = nothing to wait for. One
	 * that is at work goes on. */
	uint32_t hold_sec;
};

struct vrrp_msg {
	uint32_t type; /* enum vrrp_msg_type */
	uint32_t serial;
	struct vrrp_verdict verdict; /* with GROUP and TRACK */
	union {
		struct vrrp_conf group;
		struct vrrp_name track;
		struct {
			uint32_t version, n_groups;
		} hello;
		struct {
			struct vrrp_name name;
			uint8_t from, to, reason, prio;
			int64_t at_sec;
			uint32_t at_usec, pad;
			struct rtr_addr active;
		} state;
		struct {
			struct vrrp_name name;
			uint8_t what, v, pad[2]; /* enum vrrp_notice */
			struct rtr_addr peer;
		} notice;
	} u;
};

_Static_assert(sizeof(struct rtr_addr) == 20, "rtr_addr is part of the messages");
_Static_assert(sizeof(struct vrrp_conf) % 4 == 0, "no hidden padding at the end");

#endif
