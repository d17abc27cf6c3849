/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the messages between rtrd and rtr-inspectd, which reads the server names of TLS clients
 * from packets that the kernel queues. One struct a datagram of a SOCK_SEQPACKET pair, fixed in
 * size, both ends from one build. rtr-inspectd knows what rtrd told it since its start.
 */
#ifndef RTR_INSPECTD_H
#define RTR_INSPECTD_H

#include <stdint.h>

#define INSPECTD_NAME 256
/* Lines over all chains. */
#define INSPECTD_LINES_MAX 16384

/* Words 0 to 2 of a connection's label hold what admitted it: a line, of the zone pair a class.
 * With a word's bit: the chain of lines by which the server name will decide, or one of the two
 * below (no id is below 16, nor above 2^30 - 1; bit 31 of word 1 is the policy's). */
#define INSPECT_WORDS  3
#define INSPECT_ID_MIN 16
static inline uint32_t inspect_wait(unsigned word)
{
	return word == 1 ? 0x40000000u : 0x80000000u;
}

static inline uint32_t inspect_denied(unsigned word)
{
	return inspect_wait(word) | 1;
}

static inline uint32_t inspect_rejected(unsigned word)
{
	return inspect_wait(word) | 2;
}

enum inspectd_op {
	INSPECTD_BEGIN = 1, /* a new table: .queue and .fail_open hold with its end */
	INSPECTD_LINE,      /* appends to a chain; chains come one after the other */
	INSPECTD_COMMIT,    /* the new table replaces the old one */
};

enum inspectd_action { INSPECTD_DENY, INSPECTD_PERMIT, INSPECTD_REJECT };

struct inspectd_req {
	uint8_t op;     /* enum inspectd_op */
	uint8_t action; /* enum inspectd_action */
	uint8_t fail_open;
	uint8_t log; /* the line: tell of each connection that it decides */
	uint32_t queue;
	uint32_t chain;           /* id of the chain that the connection waits for */
	uint32_t rule;            /* id of this line, of its class; 0: the end */
	char name[INSPECTD_NAME]; /* pattern; "": every connection */
};
_Static_assert(sizeof(struct inspectd_req) == 272, "wire format");

/* Counters, in the order of `show inspect`: name in JSON, what it says. */
#define INSPECTD_COUNTERS(X)                                                                       \
	X(PACKETS, "packets", "Packets queued")                                                    \
	X(NAMES, "names", "Server names read")                                                     \
	X(ECH, "encrypted_hellos", "  outer names of encrypted hellos")                            \
	X(JOINED, "joined", "  from more than one segment")                                        \
	X(NO_NAME, "without_name", "Hellos without a name, or no TLS")                             \
	X(UNREADABLE, "unreadable", "Unreadable or incomplete hellos")                             \
	X(PERMITTED, "permitted", "Connections permitted")                                         \
	X(DENIED, "denied", "Connections denied")                                                  \
	X(EVICTED, "evicted", "Connections forgotten: the table was full")                         \
	X(TIMEOUTS, "timeouts", "Connections forgotten: no hello in time")                         \
	X(UNKNOWN, "unknown", "Packets dropped: no line, or no connection known")                  \
	X(FLOWS, "flows", "Connections whose name is awaited, or was just read")

enum inspectd_counter {
#define X(id, name, text) INSPECTD_##id,
	INSPECTD_COUNTERS(X)
#undef X
		INSPECTD_COUNTER__MAX
};

enum inspectd_event_kind {
	INSPECTD_STATS = 1, /* counters, since its start */
	INSPECTD_RULE,      /* a line decided n[0] connections, since its start */
	INSPECTD_NO_QUEUE,  /* the kernel refuses the queue: errno in n[0] */
	INSPECTD_LOG,       /* a line with .log decided: what follows n */
};

struct inspectd_event {
	uint32_t kind; /* enum inspectd_event_kind */
	uint32_t rule;
	uint64_t n[INSPECTD_COUNTER__MAX];
	/* The connection as its opener sent it; addresses and ports in network order. */
	uint8_t family, did; /* AF_INET, AF_INET6; enum inspectd_action */
	uint8_t unreadable;  /* there was no name to read: as `fail-open` says */
	uint8_t zero;
	uint16_t sport, dport;
	uint8_t src[16], dst[16];
	uint32_t ifindex; /* that it came by; 0: unknown */
	uint32_t zero2;
	char name[INSPECTD_NAME];
};

#endif
