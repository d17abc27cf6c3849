/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: pcapng (draft-ietf-opsawg-pcapng) as far as captures need it: a file begins with one head
 * (section and interface), then packets, each with its direction, then perhaps statistics. Every
 * block that is written whole makes a valid file, so a capture can be read however it ended.
 * Owns: nothing; writes into buffers of the caller. Threads: any.
 * Failure: pcapng_next reads files that may be damaged and stops at the first block that is wrong.
 */
#ifndef RTR_PCAPNG_H
#define RTR_PCAPNG_H

#include "util.h"

/* A head with a filter of the longest kind. */
#define PCAPNG_HEAD_MAX 1024
/* Of a packet block, beside its data. */
#define PCAPNG_PACKET_EXTRA 52
#define PCAPNG_STATS_SIZE   88

struct pcapng_head {
	uint64_t serial; /* order of the files of one capture: the first one is 1 */
	uint16_t link;   /* LINKTYPE_* */
	uint32_t snap;
	const char *ifname, *filter, *program;
};

struct pcapng_packet {
	uint64_t time_ns;
	uint32_t have, size; /* bytes captured, bytes on the wire */
	bool out;
	const uint8_t *data;
};

/* Return the bytes written. */
size_t pcapng_put_head(uint8_t *b, const struct pcapng_head *h);
/* room: PCAPNG_PACKET_EXTRA + have. */
size_t pcapng_put_packet(uint8_t *b, const struct pcapng_packet *p);
size_t pcapng_put_stats(uint8_t *b, uint64_t time_ns, uint64_t seen, uint64_t dropped);

/* Reads the head at b: its size, or 0 when it is none of ours. serial and link are filled in. */
size_t pcapng_get_head(const uint8_t *b, size_t n, struct pcapng_head *ret);

enum pcapng_block { PCAPNG_PACKET, PCAPNG_OTHER, PCAPNG_MORE, PCAPNG_BAD };
/* The block at b. *ret_size: its bytes (PACKET, OTHER), or with MORE how many are needed at
 * least. p->data points into b. */
enum pcapng_block pcapng_next(const uint8_t *b, size_t n, size_t *ret_size,
			      struct pcapng_packet *p);

#endif
