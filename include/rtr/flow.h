/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the memory layout of the flow table, shared by the XDP programs, the workers and rtrd.
 * Fixed widths only; this file is compiled for BPF and for user space, and FLOW_LAYOUT_VERSION
 * rises with every change of it. docs/design/flowtable.md has the reasons and the figures.
 *
 * A FLOW is a pair of half entries, one a direction. Each half has a line of its own, which lies
 * where the hash of its key says (its home) or, if that is taken, somewhere else: a reader fetches
 * home and bucket at the same time, and most often needs no more. IPv4 and IPv6 have arrays of
 * their own: an element of a BPF array has one size, an IPv4 flow shall not pay for IPv6
 * addresses, and a bucket that holds one family never sends a reader to a line of the other. Each
 * family is sized by itself.
 *
 *	header, 1 page      buckets 64 B           lines                       sides   cold 64 B
 *	+-------------+     +----+---------+       IPv4  64 B a direction      16 B    a pair (only
 *	| sizes,seeds |     |lock| 7 slots |--+--> +-------------------+  ...  +----+  workers and
 *	| epoch,spare |     +----+---------+  |    +-------------------+       +----+  the
 *maintenance
 *	+-------------+     two for each key  |    IPv6 128 B a direction              step touch
 *it) home = upper half of hash |    +-------------------+
 *	                           ... . . . -+--> | hot | more + side |
 *	                                           +-------------------+
 *
 * The NAME of a half is 2 * pair + direction; the direction that opened the flow is 0. Names are
 * what user space hands around (fp_flow_*), with the generation, which both halves have in common:
 * the twin's name is name ^ 1. The side tells a line's name and where its twin lies.
 *
 * slot, u64; 0 = empty. It never moves and changes by one 64-bit store or compare-and-swap.
 *	63        48 47        32 31                               0
 *	|  tag 16   |   gen 16   |         place of the line        |
 *
 * word0, u64, the first word of a line:
 *	63        48 47        32 31      24 23      16 15         0
 *	| policy 16 | inflight16 |  flags 8 |  state 8 |   gen 16   |
 *	state = path (low 3 bits) and tracker state (high 5). gen is odd while the line is filled or
 *	dead and even while it lives; it is never 0 in a living line, so no living slot is 0. A line
 *	lives when gen is even and the path is one that packets take: while its slots are published
 *	or taken away gen is even and the path DEAD, and policy is the epoch of who does it.
 *
 * IPv4 line, one cache line, 64 of 64 bytes used:
 *	 0 word0                          8
 *	 8 key: source, destination, ports, protocol, zone        16
 *	24 rewrite: source, destination, ports, 2 checksum deltas 16
 *	40 egress: adjacency 23 bits, log2 of the window 5, window scale 4 = 32 bits    4
 *	44 coarse time of the last packet 4
 *	48 packets 28 bits, bytes 36 bits 8
 *	56 TCP end 4, right edge 4        8
 * IPv6 line: word0 8, key 40, egress 4, time 4, counters 8 = the first cache line, all that an
 * untranslated UDP packet needs; the second has rewrite 40, TCP 8, side 16.
 * Side: what of its twin a TCP packet is judged by (end, right edge, log2 of the window), a copy
 * that may be old; the name; the place of the twin.
 *
 * The copy of end and edge: a twin's packet changes its own line only, for a store into the side of
 * the other is a cache miss for each of them. Both only grow, so a copy that is old refuses too
 *much and (but for an ACK of long ago, which teaches nothing) passes nothing that the twin refuses:
 *who fails by the copy reads the twin's line, renews the copy and tests again. Who changes them
 *otherwise changes the copy too (fp_flow_set_tcp). It cannot fall behind by half the number space:
 *data moves as far as the other end allows, and the segment that allows more, or acknowledges it,
 *renews the copy.
 *
 * The bits of TCP that have no word of their own: window scale 0..14 = 4 bits; log2 of the
 * largest window seen, 0..30 = 5 bits (tcp_track.h: the lower bound of the window test). They
 * change with the adjacency by compare-and-swap of one u32; 23 bits name 8M adjacencies.
 *
 * Who writes what: key and rewrite are fixed while gen is even. XDP writes only inflight and
 * flags of word0 (atomic), time, counters (one atomic add), TCP end and edge of its own direction,
 * and the copy of the twin's in its own side; the twin's place is not used again before a grace
 * period. All other changes are the owner worker's, by compare-and-swap where XDP writes too.
 */
#ifndef RTR_FLOW_H
#define RTR_FLOW_H

#include <stddef.h>
#include <stdint.h>

#define FLOW_MAGIC          0x72747266u /* "frtr" */
#define FLOW_LAYOUT_VERSION 5
#define FLOW_HDR_SIZE       4096
#define FLOW_SLOTS          7
#define FLOW_NO_LINE        0xffffffffu

/* A word of a line: the same bytes are read as fields and as words. */
typedef uint64_t __attribute__((may_alias)) flow_word;

enum flow_family { FLOW_4, FLOW_6, FLOW__FAMILIES };

/* Low bits of state8: which path a direction takes, FASTPLANE.md section 2. */
enum flow_path {
	FLOW_P_FREE, /* no flow; the line may be handed out */
	FLOW_P_DEAD, /* being filled, or waiting for the grace period */
	FLOW_P_WORKER,
	FLOW_P_EXPRESS,
	FLOW_P_KERNEL,
	FLOW_P_ENDED, /* over; its owner has yet to free it. XDP sends its packets to a worker */
	FLOW_P__MAX
};
#define FLOW_PATH_MASK 0x07u
/* enum tcp_track_state for TCP. For others 0: no answer seen yet, the first one needs thought; an
 * opener's half waits for none and is inserted with 1. */
#define FLOW_TRACK_SHIFT 3

enum flow_flag {
	FLOW_F_REWRITE = 1 << 0,  /* the rewrite differs from the key; fixed like both */
	FLOW_F_MIRRORED = 1 << 1, /* the kernel's conntrack has it */
	FLOW_F_FIN = 1 << 2,      /* seen and sent by XDP while no worker lived */
	FLOW_F_RST = 1 << 3,
	FLOW_F_WINDOW = 1 << 4,  /* the same for a segment outside the window */
	FLOW_F_LIBERAL = 1 << 5, /* windows are not tested */
	FLOW_F_SHAPED = 1 << 6,  /* the egress is shaped: worker */
	FLOW_F_TCP = 1 << 7,     /* fixed: end and edge are in use */
};

#define FLOW_W0_STATE_SHIFT    16
#define FLOW_W0_FLAGS_SHIFT    24
#define FLOW_W0_INFLIGHT_SHIFT 32
#define FLOW_W0_POLICY_SHIFT   48
#define FLOW_W0_INFLIGHT_ONE   (1ull << FLOW_W0_INFLIGHT_SHIFT)

#define FLOW_W0(gen, state, flags, policy)                                                         \
	((uint64_t)(uint16_t)(gen) | (uint64_t)(uint8_t)(state) << FLOW_W0_STATE_SHIFT |           \
	 (uint64_t)(uint8_t)(flags) << FLOW_W0_FLAGS_SHIFT |                                       \
	 (uint64_t)(uint16_t)(policy) << FLOW_W0_POLICY_SHIFT)

static inline uint16_t flow_w0_gen(uint64_t w)
{
	return (uint16_t)w;
}

static inline uint8_t flow_w0_state(uint64_t w)
{
	return (uint8_t)(w >> FLOW_W0_STATE_SHIFT);
}

static inline uint8_t flow_w0_path(uint64_t w)
{
	return flow_w0_state(w) & FLOW_PATH_MASK;
}

static inline uint8_t flow_w0_flags(uint64_t w)
{
	return (uint8_t)(w >> FLOW_W0_FLAGS_SHIFT);
}

static inline uint16_t flow_w0_inflight(uint64_t w)
{
	return (uint16_t)(w >> FLOW_W0_INFLIGHT_SHIFT);
}

static inline uint16_t flow_w0_policy(uint64_t w)
{
	return (uint16_t)(w >> FLOW_W0_POLICY_SHIFT);
}

/* Names a half beyond its life: {gen, name}. In a slot, with a tag: {gen, place}. */
static inline uint64_t flow_ref(uint16_t gen, uint32_t line)
{
	return (uint64_t)gen << 32 | line;
}

#define FLOW_EGRESS_ADJ_MASK    0x7fffffu
#define FLOW_EGRESS_WLOG_SHIFT  23
#define FLOW_EGRESS_SCALE_SHIFT 28

static inline uint32_t flow_egress(uint32_t adj, uint8_t win_log2, uint8_t scale)
{
	return (adj & FLOW_EGRESS_ADJ_MASK) | (uint32_t)(win_log2 & 31) << FLOW_EGRESS_WLOG_SHIFT |
	       (uint32_t)(scale & 15) << FLOW_EGRESS_SCALE_SHIFT;
}

/* One atomic add counts a packet. Drained (fp_flow_harvest) before either field can be full. */
#define FLOW_COUNT_BYTES_BITS 36
#define FLOW_COUNT_ONE(bytes) ((1ull << FLOW_COUNT_BYTES_BITS) + (bytes))

/* CLOCK_MONOTONIC_COARSE in units of 2^24 ns = 16.8 ms: a u32 lasts 833 days, and differences
 * are exact up to half of that, longer than any timeout. */
#define FLOW_TIME_SHIFT 24

/* Compared and copied as words of 64 bits wherever they lie. */
#define FLOW_WORDS __attribute__((aligned(8)))

/* Addresses and ports as in the packet; ICMP queries have their id in both ports. zone tells
 * overlapping address spaces apart. */
struct flow_key4 {
	uint32_t saddr, daddr;
	uint16_t sport, dport;
	uint8_t proto, zero;
	uint16_t zone;
} FLOW_WORDS;

struct flow_key6 {
	uint8_t saddr[16], daddr[16];
	uint16_t sport, dport;
	uint8_t proto, zero;
	uint16_t zone;
} FLOW_WORDS;

/* What replaces the key's fields, and what RFC 1624 adds to the checksums. */
struct flow_rewrite4 {
	uint32_t saddr, daddr;
	uint16_t sport, dport;
	uint16_t l3_delta, l4_delta;
} FLOW_WORDS;

struct flow_rewrite6 {
	uint8_t saddr[16], daddr[16];
	uint16_t sport, dport;
	uint16_t l4_delta, zero;
} FLOW_WORDS;

struct flow_tcp {
	uint32_t end, edge;
};

/*
 * name: bits 0-26 the name, 27-31 log2 of the largest window that the twin has shown, as in its
 * egress word; who changes that of a living flow changes both.
 */
#define FLOW_NAME_MASK       0x7ffffffu
#define FLOW_SIDE_WLOG_SHIFT 27

struct flow_side {
	struct flow_tcp peer; /* wk,xdp:rw the twin's tcp, maybe as it was before */
	uint32_t name;        /* wk:own xdp:r */
	uint32_t twin;        /* wk:own xdp:r its place */
} FLOW_WORDS;

struct flow_line4 {
	uint64_t word0;          /* wk:rw xdp:rw */
	struct flow_key4 key;    /* wk:own xdp:r */
	struct flow_rewrite4 rw; /* wk:own xdp:r */
	uint32_t egress;         /* wk,cp:rw xdp:r */
	uint32_t time;           /* wk,xdp:rw */
	uint64_t count;          /* wk,xdp:rw */
	struct flow_tcp tcp;     /* wk,xdp:rw */
};

struct flow_line6 {
	uint64_t word0;
	struct flow_key6 key;
	uint32_t egress;
	uint32_t time;
	uint64_t count;
	/* second cache line */
	struct flow_rewrite6 rw;
	struct flow_tcp tcp;
	struct flow_side side;
};

/* The elements of the BPF arrays: two neighbours, which have nothing to do with each other. */
struct flow_pair4 {
	struct flow_line4 dir[2];
};

struct flow_pair6 {
	struct flow_line6 dir[2];
};

struct flow_sides4 {
	struct flow_side dir[2];
};

/*
 * lock, u64: who holds the bucket, and a filter of the keys that have it as their first bucket but
 * lie in their second.
 *	63                        32 31        16  15   14          0
 *	| 16 counters of 2, by hash  |  epoch 16  | again | worker + 1 |
 * Nobody holds it, or only one of an older epoch: that lock is void. While it is not held a counter
 * of 0 says that no such key lies in its second bucket: a miss reads one line. Only a holder puts
 * a slot into a second bucket or takes one out, so every other state is covered by the owner
 * field, which is not 0 then, dead or not. 3 stands for 3 or more; "again" and a void lock say
 * that counters may be too high, and the next holder counts again.
 */
#define FLOW_LOCK_OWNER       0x7fffull
#define FLOW_LOCK_AGAIN       0x8000ull
#define FLOW_LOCK_EPOCH_SHIFT 16
#define FLOW_LOCK_SPILL_SHIFT 32
#define FLOW_LOCK_SPILL       (~0ull << FLOW_LOCK_SPILL_SHIFT)
#define FLOW_SPILL_MAX        3ull

struct flow_bucket {
	uint64_t lock;             /* wk:rw xdp:r */
	uint64_t slot[FLOW_SLOTS]; /* wk:rw xdp:r */
};

enum flow_cold_flag {
	FLOW_COLD_TRACKED = 1 << 0, /* a connection; else a cached route */
	FLOW_COLD_MAPPED = 1 << 1,  /* its external endpoint is that of a mapping (nat_mapping.h) */
	/* The opener's direction would be XDP's if its interfaces allowed it; twice that: the
	 * answers'. Set and cleared by atomics. */
	FLOW_COLD_HELD = 1 << 2,
	FLOW_COLD_GIVEN = 1 << 4,   /* the kernel has it: workers hand its packets on (mirror.h) */
	FLOW_COLD_COUNTED = 1 << 5, /* among the flows that its source may have */
	/* Its external port is of a block of its host; it is such a block (nat_mapping.h). */
	FLOW_COLD_BLOCK = 1 << 6,
};

/* One a pair, for workers and the maintenance step; XDP has no map of it. */
struct flow_cold {
	uint32_t next, prev; /* wheel.h: the list this flow is on; next of the freed or adopted */
	uint32_t deadline;   /* seconds as in wheel.h */
	uint32_t place;      /* of the opener's line */
	uint32_t timeout;    /* units of time; idle longer ends the flow */
	uint32_t rule;       /* which rule admitted it */
	uint16_t gen;        /* of both halves, while they live */
	uint16_t flags;      /* enum flow_cold_flag */
	uint16_t owner;      /* worker */
	uint16_t nat_pool;
	uint64_t packets[2], bytes[2]; /* harvested so far */
};

/*
 * The first cache line and the seeds are read for each packet. Each family has spare_seg, one of
 * FLOW_SEGMENTS equal parts of its pairs: the running process hands out nothing from it, so that
 * the next one finds free lines there at once.
 */
#define FLOW_SEGMENTS  32
#define FLOW_SEED4_LEN 5
#define FLOW_SEED6_LEN 11

struct flow_hdr {
	uint32_t magic; /* written last: a header without it is not there */
	uint16_t version, size;
	uint32_t bucket_mask[FLOW__FAMILIES];
	uint32_t n_pairs[FLOW__FAMILIES]; /* a multiple of FLOW_SEGMENTS */
	uint32_t unused[10];
	uint64_t seed4[FLOW_SEED4_LEN]; /* secret: never shown, never logged */
	uint64_t seed6[FLOW_SEED6_LEN];
	uint64_t epoch; /* rises with each process that takes the lease */
	uint64_t spare_seg[FLOW__FAMILIES];
};

#define FLOW_ASSERT(name, expr) _Static_assert(expr, name)
FLOW_ASSERT("key4", sizeof(struct flow_key4) == 16);
FLOW_ASSERT("key6", sizeof(struct flow_key6) == 40);
FLOW_ASSERT("rewrite4", sizeof(struct flow_rewrite4) == 16);
FLOW_ASSERT("rewrite6", sizeof(struct flow_rewrite6) == 40);
FLOW_ASSERT("line4", sizeof(struct flow_line4) == 64);
FLOW_ASSERT("line4 rw", offsetof(struct flow_line4, rw) == 24);
FLOW_ASSERT("line4 egress", offsetof(struct flow_line4, egress) == 40);
FLOW_ASSERT("line4 tcp", offsetof(struct flow_line4, tcp) == 56);
FLOW_ASSERT("line6", sizeof(struct flow_line6) == 128);
FLOW_ASSERT("line6 egress", offsetof(struct flow_line6, egress) == 48);
FLOW_ASSERT("line6 rw", offsetof(struct flow_line6, rw) == 64);
FLOW_ASSERT("line6 tcp", offsetof(struct flow_line6, tcp) == 104);
FLOW_ASSERT("line6 side", offsetof(struct flow_line6, side) == 112);
FLOW_ASSERT("side", sizeof(struct flow_side) == 16);
FLOW_ASSERT("pair4", sizeof(struct flow_pair4) == 128);
FLOW_ASSERT("pair6", sizeof(struct flow_pair6) == 256);
FLOW_ASSERT("bucket", sizeof(struct flow_bucket) == 64);
FLOW_ASSERT("cold", sizeof(struct flow_cold) == 64);
FLOW_ASSERT("hdr", sizeof(struct flow_hdr) <= FLOW_HDR_SIZE);
FLOW_ASSERT("hdr seeds", offsetof(struct flow_hdr, seed4) == 64);

#endif
