/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the files of one capture, pcapng each: one that is full at its end, or several that are
 * written in turn, the oldest making room for the newest. What was written can be read while more
 * is written; a file is right after every write, so that a crash or a full disk costs the last
 * packets alone.
 * Owns: the descriptors it was given, one buffer while it writes. Threads: none.
 * Failure: -errno of the file; what a write left half done is cut off again.
 */
#ifndef RTR_CAPTURE_SPOOL_H
#define RTR_CAPTURE_SPOOL_H

#include "capture/pcapng.h"
#include "rtr/captured.h"

struct spool_file {
	int fd;
	uint64_t serial; /* 0: empty */
	uint64_t end;    /* bytes on disk */
	uint64_t packets;
};

struct spool {
	struct spool_file f[CAPTURED_FILES];
	unsigned n, cur;
	uint64_t file_max; /* bytes of each */
	uint64_t forgotten, newest_ns;
	struct pcapng_head head; /* its texts are the holder's */
	uint8_t *buf;            /* to be written to f[cur]; NULL: not writing */
	size_t n_buf, n_buf_packets;
};

/* Takes the descriptors, and finds what they hold from before. */
void spool_open(struct spool *s, const int *fds, unsigned n);
void spool_close(struct spool *s);
/* Empties the files and begins to write. The texts of head live as long as the spool. */
int spool_begin(struct spool *s, const struct pcapng_head *head, uint64_t max_bytes);
/* 0, -EFBIG: there is no room for it, or -errno of the file. */
int spool_put(struct spool *s, const struct pcapng_packet *p);
int spool_flush(struct spool *s);
/* Writes what is left and begins no more. */
int spool_end(struct spool *s);
int spool_clear(struct spool *s);
uint64_t spool_packets(const struct spool *s);
uint64_t spool_bytes(const struct spool *s);

/*
 * Reads blocks of packets, whole ones, from *cursor on (0: the oldest) into b, and moves *cursor
 * behind them; what rotation has taken away meanwhile is left out. Returns their bytes, 0 at the
 * end, or -errno.
 */
ssize_t spool_read(struct spool *s, uint64_t *cursor, uint8_t *b, size_t room);
/* Behind the newest packet that is on disk. */
uint64_t spool_end_cursor(const struct spool *s);
/* Link type of what is in the files; -ENODATA: nothing. */
int spool_link(struct spool *s);

#endif
