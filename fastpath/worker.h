/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a worker: takes frames from the sockets of its interfaces, forwards those that can be
 * forwarded, and gives the rest to the kernel.
 *
 *	rx burst -> checksums completed -> pipeline.h (flow hits) -> tx rings -> kick
 *	                 \-> the others one by one: parse, route, insert a flow -> tx, punt or drop
 *
 * What is routed here is what the kernel would route without a thought. Whatever would make it
 * think - options, a hop that runs out, a packet that does not fit, a neighbour that is not known,
 *a route that is no plain one, the way back out of the interface it came in by - is punted: the
 * kernel is the complete router, and the answer is its own.
 *
 * Without a policy that needs connections flows are a cache of routes: stateless, with the
 *interface as a part of the key (zone), so that each packet is judged by the rules of the interface
 *it came by. With one they are connections: the policy judges the first packet (pol.h), both
 *directions are one flow, and its packets pass as its state allows (track.h). A flow begins on the
 *worker's path. It is moved to the express path when all that the worker had of it has left: after
 *the frames that were in the ring before the flow was known, and with none counted in flight.
 *
 * Each frame that comes in is counted once: forwarded, punted, or dropped with its reason.
 *
 * Owns: its sockets, buffers, counters. Threads: its own; ports change only while it is paused;
 * counters may be read by any. Failure: a counted drop.
 */
#ifndef FP_WORKER_H
#define FP_WORKER_H

#include "pipeline.h"
#include "nat_way.h"
#include "pol.h"
#include "rtr/drop.h"
#include "rtr/fastpath.h"
#include "track.h"
#include "xsk.h"
#include "rtr/express.h"

#define FP_PORTS_MAX 64
#define FP_SOCKS_MAX 64 /* of a worker: 6 bits in a frame's byte */

/* Why a packet is the kernel's. */
enum fp_to_kernel {
#define X(id, name, text) FP_TK_##id,
	FASTPATH_TO_KERNEL(X)
#undef X
		FP_TK__MAX
};

enum fp_way {
	FP_WAY_SEND,   /* by the adjacency */
	FP_WAY_KERNEL, /* local, or by an interface of the kernel's: the whole flow */
	FP_WAY_ANSWER, /* unreachable, or the neighbour is being asked for: this packet is the
			  kernel's */
	FP_WAY_NEIGH,  /* a plain route, but its neighbour is not known */
	FP_WAY_DROP,   /* as the kernel would, without a word to the sender: ret->drop */
};

struct fp_ask {
	uint8_t family;
	unsigned ifindex; /* that it came in by */
	const uint8_t *src, *dst;
	uint16_t sport_be, dport_be; /* 0 without */
	uint8_t proto;
	bool translated; /* dst is not where the sender thinks: no redirect is due to him */
};

struct fp_answer {
	uint32_t adj;
	unsigned oif; /* of SEND and NEIGH */
	uint8_t drop;
};

/* Of an ICMP error of the box. */
struct fp_error_way {
	uint8_t src[16];
	uint32_t adj; /* 0: none that is ready */
	uint32_t mtu; /* 0: not known */
};

struct fp_worker_ops {
	/* Route and source address: the way that the kernel would choose. */
	enum fp_way (*route)(void *ctx, const struct fp_ask *ask, struct fp_answer *ret);
	/* 0, or a drop reason. */
	enum rtr_drop (*punt)(void *ctx, unsigned ifindex, const uint8_t *frame, uint32_t len,
			      uint64_t now_ns);
	/* The way of an ICMP error to the sender of the packet that is asked about, as it came in;
	 * false: none is sent. */
	bool (*error_way)(void *ctx, const struct fp_ask *about, struct fp_error_way *ret);
	void *ctx;
};

/* Written by the worker, read by any. */
struct fp_wcount {
	uint64_t rx, rx_bytes;
	uint64_t punt_bytes; /* of these, back to the kernel */
	uint64_t forwarded;  /* came in here */
	uint64_t tx;         /* went out here */
	uint64_t made;       /* the same, beyond those that came in: errors, further pieces */
	uint64_t tx_bytes;   /* of both; of a VLAN without its tag */
	uint64_t punt[FP_TK__MAX];
	uint64_t drop[RTR_DROP__MAX];
};

/* Bursts of about the same size, and what the two ways out have cost them. */
#define FP_OUT_SIZES 4
struct fp_out_size {
	uint32_t bursts;  /* that could take either way */
	uint64_t cost[2]; /* ns a frame, the least of the bursts that measure; by way */
};

/* What waits to be sent by a port. */
struct fp_out {
	uint32_t n; /* entries of the tx ring that are written and not submitted */
	struct fp_out_size size[FP_OUT_SIZES];
};

/*
 * One socket: a queue of an interface. A worker has any number of a port's; it sends by the first.
 * A VLAN is a port of its own without a socket: its frames come and go by those of its parent. They
 * lose their tag when they are received (worker_vlan.c), and get one with the header that they
 * leave with.
 */
struct fp_wport {
	bool used;
	bool closed;      /* zero-copy: a NIC may still have its frames; not used */
	bool bound;       /* a NIC may have its frames */
	bool partial;     /* senders may leave checksums to the NIC */
	bool express_in;  /* flows from here may go by XDP */
	bool express_out; /* XDP can redirect to it */
	uint16_t zone;
	uint16_t queue; /* of the interface */
	uint8_t slot;   /* of the port, as in adjacencies */
	unsigned ifindex;
	unsigned vrf;   /* ifindex of the VRF that it is in; 0: none */
	uint16_t vlan;  /* 0: none */
	uint8_t via;    /* place of the port whose rings it sends by: its own, or its parent's */
	uint8_t rx_via; /* likewise, that its last frames came by */
	uint8_t mac[6];
	uint32_t missing;          /* frames that its fill ring shall get */
	struct express_queue *xdp; /* of the socket, in a map; NULL: none */
	uint32_t lost;             /* of what XDP sent, never in the ring */
	uint64_t busy_ns;          /* since when frames are on their way; 0: none is */
	int prog_fd;               /* of the attached program, to inject by; 0: not possible */
	struct fp_out out;
	struct fp_xsk xsk;
};

struct fp_worker_stats {
	uint64_t bursts, packets, sleeps;
	uint64_t inserted, refused; /* flows */
	uint64_t ended;             /* by their last packet, or by one that begins another */
	uint64_t promoted, forced;  /* moved to the express path; with frames perhaps on the way */
	struct fp_nat_self nat;
	uint64_t injected;      /* frames sent by BPF_PROG_RUN instead of the tx ring */
	uint64_t inject_failed; /* calls */
	uint64_t errors_lost;   /* ICMP errors that were owed and found no room */
	uint64_t reconciled;    /* flows whose lost frames were taken out of the count */
};

struct fp_worker_conf {
	unsigned id;
	uint32_t n_frames;
	void *area;                    /* of the frames, or NULL */
	struct express_inject *inject; /* with area: to send without a socket */
	uint64_t seed;                 /* secret */
	const struct fp_flow *flows;
	struct fp_flow_worker *fw;
	const struct fp_adj *adj;
	uint32_t n_adj;
	const uint32_t *adj_gen; /* odd while an adjacency changes; NULL: they stand still */
	struct fp_worker_ops ops;
	struct fp_pol *const *pol; /* in force, read once a turn; NULL, or of NULL: no policy */
	struct fp_track *track;    /* with a policy */
};

struct fp_worker;

int fp_worker_new(const struct fp_worker_conf *conf, struct fp_worker **ret);
struct fp_worker *fp_worker_free(struct fp_worker *w);

/* While the worker does not run. The socket becomes the worker's; its fill ring is filled with n
 * frames. -ENOBUFS: not so many are free; -ENOSPC: too many sockets. */
int fp_worker_port_add(struct fp_worker *w, const struct fp_wport *port, uint32_t n);
/* Its socket of this queue is bound: the NIC has let go of those that the queue had before. */
void fp_worker_port_bound(struct fp_worker *w, unsigned slot, unsigned queue);
/* Likewise a VLAN of the port in slot `parent`, which has a socket here; -ENOENT: it has none. */
int fp_worker_vlan_add(struct fp_worker *w, const struct fp_wport *vlan, unsigned parent);
/* All sockets of the port are closed, or the VLAN is gone; VLANs go before their parent. Frames of
 * zero-copy sockets that were bound come back by fp_worker_port_settle, or when their queue is
 * bound anew: the kernel takes them from the NIC at some time after the close. */
void fp_worker_port_del(struct fp_worker *w, unsigned slot);
/* The NIC has none of them any more: it is gone, or its queues have been bound anew. */
void fp_worker_port_settle(struct fp_worker *w, unsigned slot);
/* The n-th socket of the port, or the VLAN; NULL: there is none. */
struct fp_wport *fp_worker_port(struct fp_worker *w, unsigned slot, unsigned n);
const struct fp_umem *fp_worker_umem(const struct fp_worker *w);

/* One turn over all ports; how many packets there were. */
unsigned fp_worker_round(struct fp_worker *w, uint64_t now_ns);
/* Packets wait in it that a turn looks at again each millisecond. */
bool fp_worker_waits(const struct fp_worker *w);
/* Its sockets live from now on for EXPRESS_BEAT_MAX_NS. */
void fp_worker_beat(struct fp_worker *w, uint64_t now_ns);

const struct fp_wcount *fp_worker_count(const struct fp_worker *w, unsigned slot);
/* What it has carried of the VLAN in this slot; while it runs, too: never less than nothing. */
void fp_worker_vlan_carried(const struct fp_worker *w, unsigned slot, struct express_carried *ret);
struct fp_worker_stats *fp_worker_stats(struct fp_worker *w);

/* Descriptors of its sockets, to wait for frames; returns how many. */
struct pollfd;
unsigned fp_worker_pollfds(const struct fp_worker *w, struct pollfd *ret, unsigned max);

#endif
