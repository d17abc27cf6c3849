/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a packet socket with a ring that the kernel fills (AF_PACKET, TPACKET_V3): packets of one
 * interface that pass a filter. Packets go on their way whatever happens here: when the ring is
 * full, the kernel counts a drop of the capture, not of the packet.
 * Owns: the socket, and RING_SIZE of memory. Threads: none. Failure: -errno from ring_open;
 * ring_error tells when the interface went away.
 */
#ifndef RTR_CAPTURE_RING_H
#define RTR_CAPTURE_RING_H

#include "capture/filter.h"

#include <time.h>

/* A block holds the largest packet with room to spare. 4 MiB take the 30 ms that a disk may need
 * for a write at 1 Gbit/s. */
#define RING_BLOCK  (256u << 10)
#define RING_BLOCKS 16
#define RING_SIZE   (RING_BLOCK * RING_BLOCKS)
/* The kernel hands over a block that is not full after this time. */
#define RING_RETIRE_MS 50

struct ring {
	int fd; /* -1: closed */
	uint8_t *map;
	unsigned block; /* the next one to read */
	bool ethernet;
	uint64_t seen, dropped; /* as of the last ring_count */
};

struct ring_packet {
	uint64_t time_ns; /* since 1970 */
	uint32_t have, size;
	bool out;
	const uint8_t *data; /* valid within the call */
};

/* arptype: ARPHRD_*. Of what is not Ethernet, packets begin with the IP header. */
bool ring_is_ethernet(uint16_t arptype);
/* The socket sees packets of protocol 0, that is none, until ring_begin. */
int ring_open(struct ring *r, const struct filter *f, enum filter_dir dir, bool loopback,
	      uint16_t arptype);
int ring_begin(struct ring *r, int ifindex);
/* No more packets come; those in the ring are handed over within RING_RETIRE_MS. */
void ring_end(struct ring *r);
/* All packets of the next block that the kernel has handed over. fn false: leave the rest out.
 * False: there is no such block. */
bool ring_read(struct ring *r, bool (*fn)(void *arg, const struct ring_packet *p), void *arg);
void ring_count(struct ring *r);
/* ENETDOWN and such, once each; 0: none. */
int ring_error(struct ring *r);
void ring_close(struct ring *r);

#endif
