/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the messages between rtrd and rtr-captured, which captures packets into files. One struct
 * a datagram of a SOCK_SEQPACKET pair, fixed in size, both ends from one build. OPEN and EXPORT
 * bring descriptors (SCM_RIGHTS): rtrd opens every file, rtr-captured can open none. rtr-captured
 * knows what rtrd told it since its start.
 */
#ifndef RTR_CAPTURED_H
#define RTR_CAPTURED_H

#include <stdint.h>

/* Captures at once; each has a ring of 4 MiB in the kernel while it runs. */
#define CAPTURED_MAX 8
/* Files that a rotating capture writes in turn; its oldest quarter goes at once. */
#define CAPTURED_FILES  4
#define CAPTURED_FILTER 512
/* Bytes of a packet; what is longer is cut. The largest that a kernel without BIG TCP makes. */
#define CAPTURED_SNAP_MAX 65535
#define CAPTURED_TEXT     320

enum captured_op {
	CAPTURED_CHECK = 1, /* is the filter right? answered by CHECKED */
	CAPTURED_OPEN,      /* with .n_files descriptors: the files of capture .id */
	CAPTURED_START,     /* answered by STARTED */
	CAPTURED_STOP,      /* answered by STOPPED, when all that came before is written */
	CAPTURED_CLEAR,     /* forget what was captured; a running one goes on. CLEARED */
	CAPTURED_CLOSE,     /* forget the capture and its files */
	CAPTURED_DUMP,      /* .count packets from .cursor on, as LINE each, then DUMPED */
	CAPTURED_EXPORT,    /* with one descriptor: a copy of all of it. EXPORTED */
	CAPTURED_ABORT,     /* no more of the EXPORT of .id */
};

enum captured_dir { CAPTURED_BOTH, CAPTURED_IN, CAPTURED_OUT };

struct captured_req {
	uint8_t op; /* enum captured_op */
	uint8_t id; /* below CAPTURED_MAX */
	uint8_t dir;
	uint8_t n_files; /* 1: ends when full; CAPTURED_FILES: rotates */
	int32_t ifindex;
	uint16_t arptype; /* ARPHRD_* */
	uint16_t zero;
	uint32_t snap;
	uint32_t count;
	uint32_t serial;      /* comes back in every answer */
	uint64_t max_packets; /* 0: no limit */
	uint64_t max_bytes;   /* of all files together */
	uint64_t max_ns;      /* 0: no limit */
	uint64_t cursor;      /* 0: the oldest packet; else from DUMPED */
	char ifname[16];      /* for the file */
	char filter[CAPTURED_FILTER];
};
_Static_assert(sizeof(struct captured_req) == 584, "wire format");

/* Why a capture ended. */
#define CAPTURED_ENDS(X)                                                                           \
	X(ASKED, "by command")                                                                     \
	X(PACKETS, "limit of packets reached")                                                     \
	X(SIZE, "limit of size reached")                                                           \
	X(DURATION, "limit of duration reached")                                                   \
	X(DISK, "the file could not be written")                                                   \
	X(GONE, "the interface is gone")                                                           \
	X(DIED, "rtr-captured ended")                                                              \
	X(RESTART, "rtrd was started again")

enum captured_end {
#define X(id, text) CAPTURED_END_##id,
	CAPTURED_ENDS(X)
#undef X
		CAPTURED_END__MAX
};

enum captured_event_kind {
	CAPTURED_CHECKED = 1, /* .error 0, or .text says what is wrong with the filter */
	CAPTURED_STARTED,     /* .error, .text */
	CAPTURED_STATS,       /* figures of a running capture, at most 5 a second */
	CAPTURED_STOPPED,     /* .end, .error of DISK; with figures */
	CAPTURED_CLEARED,     /* with figures */
	CAPTURED_LINE,        /* one packet: .cursor is behind it */
	CAPTURED_DUMPED,      /* .error; .more: there are packets behind .cursor */
	CAPTURED_EXPORTED,    /* .error; .packets, .bytes of the copy */
};

struct captured_event {
	uint8_t kind; /* enum captured_event_kind */
	uint8_t id;
	uint8_t end; /* enum captured_end */
	uint8_t more;
	uint8_t out; /* LINE: it left */
	uint8_t zero[3];
	int32_t error; /* 0 or an errno */
	uint32_t serial;
	uint64_t seen;      /* packets that passed the filter */
	uint64_t dropped;   /* of these lost by the kernel: the ring was full */
	uint64_t packets;   /* in the files; LINE: number of the packet in this dump */
	uint64_t bytes;     /* of the files; LINE: length of the packet on the wire */
	uint64_t forgotten; /* packets that rotation took away */
	uint64_t cursor;
	uint64_t time_ns; /* LINE: since 1970; STATS, STOPPED: of the newest packet, 0: none */
	char text[CAPTURED_TEXT];
};
_Static_assert(sizeof(struct captured_event) == 392, "wire format");

#endif
