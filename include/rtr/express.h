/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what the express lane (the XDP program of each interface) shares with user space beside the
 * flow table: settings of the lane and of an interface, workers' heartbeats, counters. Compiled for
 * BPF and for user space; all of it lies in BPF arrays that can be mapped.
 *
 * Who writes what: ctl and port the control thread (ctl.off rtrd, ctl.gone also the kernel), by
 * aligned stores that the program reads one by one; a beat its worker; counters the program, one
 * copy a CPU. Failure: none.
 */
#ifndef RTR_EXPRESS_H
#define RTR_EXPRESS_H

#include "rtr/drop.h"

#include <stdint.h>

#define EXPRESS_VERSION 7

/* What becomes of packets without a flow. Whether a worker lives its heartbeat tells, never this
 * word: who is dead cannot write it. */
enum express_mode {
	EXPRESS_M_RUN,    /* to the worker of the queue; while none lives, to the kernel */
	EXPRESS_M_RETURN, /* to the kernel, until its flows have been imported */
};

struct express_ctl {
	uint32_t version;
	uint32_t mode;
	uint16_t policy; /* generation; the one before it still holds */
	uint16_t off; /* rtrd:w everything to the kernel, at once: a policy is on its way there */
	/* The policy tracks connections: a TCP or UDP packet without a flow whose connection the
	 * kernel knows is the kernel's (EXPRESS_V_KERNEL_CT). */
	uint16_t stateful;
	uint16_t nat; /* there is something in express_nat */
	/*
	 * The clock of flow lines from the kernel's tick: CLOCK_MONOTONIC_COARSE in nanoseconds =
	 * clock_base + jiffies * clock_tick. Reading the tick costs 1 ns, the clock 16. Set anew
	 * now and then, because the clock is steered and the tick is not.
	 */
	uint64_t clock_base;
	uint64_t clock_tick;
	uint32_t gone; /* no worker lives, whatever the heartbeats say: express_gone.bpf.c */
	uint32_t zero;
	/* Of what is in force as `policy`, for the next process; 0: not known. */
	uint64_t policy_hash;
	uint64_t unused[2];
};

/* Of the interface that the program is attached to, or of a VLAN there. */
struct express_port {
	uint8_t mac[6]; /* frames for other stations are the kernel's */
	uint16_t zone;  /* of the flow keys */
	uint8_t on;     /* 0: everything to the kernel */
	uint8_t flags;  /* enum express_port_flag */
	uint16_t n_queues;
	uint32_t slot;     /* of its counters */
	uint32_t xsk_base; /* the socket of queue 0, in the map of sockets and in the heartbeats */
	uint32_t ifindex;  /* of a VLAN: its own */
};

/* A tag, by the interface that frames with it come in by. */
struct express_vlan_key {
	uint32_t ifindex, vlan;
};

/* Programs that the one of an interface calls; while there is none, the packets are the kernel's.
 */
enum express_tail { EXPRESS_TAIL_VLAN, EXPRESS_TAIL__MAX };

enum express_port_flag {
	/* Senders may leave the checksum to the NIC (veth, tap, virtio): a transport checksum that
	 * is the sum of the pseudo-header needs a worker. */
	EXPRESS_PF_PARTIAL = 1 << 0,
	/* A packet without a flow goes to the worker only when the kernel would forward it now, by
	 * an interface of the fast plane and to a neighbour that it knows or, a connection, asks
	 * for. */
	EXPRESS_PF_ASK = 1 << 1,
	/* Frames from the loopback interface are workers' (struct express_inject). */
	EXPRESS_PF_INJECT = 1 << 2,
};

/*
 * Addresses of the box that are NAT's: packets to them may be a worker's although the route ends
 * here. IPv4 as ::ffff:a.b.c.d. A prefix says whether all packets are (static hosts and networks)
 * or those of claimed ports; fragments and ICMP errors are in any case.
 */
struct express_nat_key {
	uint32_t len; /* of the prefix, in bits */
	uint32_t addr[4];
};

enum express_nat_kind { EXPRESS_NAT_PORTS, EXPRESS_NAT_ALL };

/* Port 0: of all ports, those from lo to hi. */
struct express_claim_key {
	uint32_t addr[4];
	uint16_t port_be;
	uint8_t proto, zero;
};

struct express_claim {
	uint16_t lo, hi; /* host order */
};

/* Threads whose end is the process's. */
#define EXPRESS_GONE_MAX 32

/* A worker beats every 20 ms; a socket whose worker has not for so long gets nothing. */
#define EXPRESS_BEAT_MAX_NS 50000000ll

/* Of each socket. What XDP has sent there is in its ring when the driver's poll ends, not before:
 * the ring alone does not tell whether frames are on their way. */
struct express_queue {
	uint64_t beat; /* wk:w XDP:r CLOCK_MONOTONIC */
	uint32_t sent; /* XDP:w wk:r frames, counted before they are in flight of a flow */
	uint32_t zero[13];
};

/* In the sender's MAC address, where no station has it set: XDP found no flow, and the frame is
 * counted in flight of none. The worker takes it away. */
#define EXPRESS_UNCOUNTED_AT 6
#define EXPRESS_UNCOUNTED    1

#define EXPRESS_VERDICTS(X)                                                                        \
	X(SENT, "forwarded by XDP")                                                                \
	X(SENT_ALONE, "forwarded by XDP for want of a worker")                                     \
	X(WORKER_FLOW, "to a worker: flow needs thought")                                          \
	X(WORKER_NEW, "to a worker: no flow")                                                      \
	X(KERNEL_OFF, "to the kernel: fast plane is off")                                          \
	X(KERNEL_PLAIN, "to the kernel: not IP, not for us, or malformed")                         \
	X(KERNEL_MAC, "to the kernel: for another MAC address, such as VRRP's virtual one")        \
	X(KERNEL_NEW, "to the kernel: no flow")                                                    \
	X(KERNEL_ROUTE, "to the kernel: local, unreachable, or not by a fast interface")           \
	X(KERNEL_FLOW, "to the kernel: flow is the kernel's")                                      \
	X(KERNEL_MIRROR, "to the kernel: it knows the flow, and no worker lives")                  \
	X(KERNEL_CT, "to the kernel: the connection is the kernel's")

enum express_verdict {
#define X(id, text) EXPRESS_V_##id,
	EXPRESS_VERDICTS(X)
#undef X
		EXPRESS_V__MAX
};

/*
 * Frames that a worker sends by BPF_PROG_RUN with live frames of an attached program: it finds
 * them here, the bytes in the worker's packet buffers. A frame for the program begins with the
 * worker's number and comes from the loopback interface, where nothing else runs it.
 */
#define EXPRESS_INJECT_MAX 128  /* of a call: half of what a veth takes; fresh pages */
#define EXPRESS_INJECT_OFF 260  /* a frame begins no further inside its buffer: a tag less, */
#define EXPRESS_INJECT_LEN 1788 /* and is no longer */
#define EXPRESS_FRAME_SIZE 2048
#define EXPRESS_LOOPBACK   1 /* its ifindex in every namespace */

#define EXPRESS_INJECT_LOST UINT32_MAX

struct express_inject_desc {
	uint32_t frame; /* EXPRESS_INJECT_LOST: it was not sent */
	uint16_t off, len;
	uint32_t port; /* slot */
};

struct express_inject {
	uint32_t at;   /* done so far */
	uint32_t sent; /* of these, redirected */
	struct express_inject_desc desc[EXPRESS_INJECT_MAX];
};

/* As the kernel counts a VLAN: what comes in from IP on, what goes out with an untagged header. */
struct express_carried {
	uint64_t rx, rx_bytes, tx, tx_bytes;
};

/* Of one port and CPU. Each frame that comes in counts in exactly one word of verdict and drop. */
struct express_count {
	uint64_t verdict[EXPRESS_V__MAX];
	uint64_t drop[RTR_DROP__MAX];
	struct express_carried vlan; /* likewise of a VLAN: what never met the kernel */
};

/* Calls that the loader makes those of the kernel's bpf_xdp_ct_lookup and bpf_ct_release
 * (fastpath/xdp_kfunc.h); no helper has such numbers. */
#define EXPRESS_CALL_CT_LOOKUP  0x72740001
#define EXPRESS_CALL_CT_RELEASE 0x72740002

/* Slots of the flow table that one CPU has used lately, by hash; both families'. */
#define EXPRESS_RECENT 16384
struct express_recent {
	uint64_t slot[EXPRESS_RECENT];
};

#define EXPRESS_ASSERT(name, expr) _Static_assert(expr, name)
EXPRESS_ASSERT("ctl", sizeof(struct express_ctl) == 64);
EXPRESS_ASSERT("port", sizeof(struct express_port) == 24);

#endif
