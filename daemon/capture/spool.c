/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capture/spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Written at once; one more packet of the longest fits behind. */
#define WRITE_SIZE (256u << 10)
#define BUF_SIZE   (WRITE_SIZE + CAPTURED_SNAP_MAX + 4 + PCAPNG_PACKET_EXTRA + PCAPNG_HEAD_MAX)
#define SCAN_SIZE  (256u << 10)

/* ---- files ---- */

static int write_all(int fd, const uint8_t *b, size_t n, uint64_t at)
{
	while (n) {
		ssize_t r = pwrite(fd, b, n, (off_t)at);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r ? -errno : -ENOSPC;
		b += r;
		at += (uint64_t)r;
		n -= (size_t)r;
	}
	return 0;
}

static ssize_t read_at(int fd, uint8_t *b, size_t room, uint64_t at)
{
	ssize_t r;

	do {
		r = pread(fd, b, room, (off_t)at);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

/* What a file of before holds: its head, the packets that are whole. */
static void scan(struct spool_file *f, uint64_t *newest_ns)
{
	static uint8_t b[SCAN_SIZE];
	struct pcapng_head head;
	ssize_t n = read_at(f->fd, b, sizeof(b), 0);
	size_t at = n > 0 ? pcapng_get_head(b, (size_t)n, &head) : 0;

	if (!at) {
		(void)!ftruncate(f->fd, 0);
		return;
	}
	f->serial = head.serial;
	f->end = at;
	while ((n = read_at(f->fd, b, sizeof(b), f->end)) > 0) {
		enum pcapng_block k = PCAPNG_MORE;
		struct pcapng_packet p;
		size_t size;

		for (at = 0;; at += size) {
			k = pcapng_next(b + at, (size_t)n - at, &size, &p);
			if (k == PCAPNG_BAD || k == PCAPNG_MORE)
				break;
			if (k == PCAPNG_PACKET) {
				f->packets++;
				*newest_ns = MAX(*newest_ns, p.time_ns);
			}
		}
		f->end += at;
		if (k == PCAPNG_BAD || !at)
			break;
	}
	(void)!ftruncate(f->fd, (off_t)f->end);
}

void spool_open(struct spool *s, const int *fds, unsigned n)
{
	*s = (struct spool){ .n = n };
	for (unsigned i = 0; i < n; i++) {
		s->f[i].fd = fds[i];
		scan(&s->f[i], &s->newest_ns);
		if (s->f[i].serial > s->f[s->cur].serial)
			s->cur = i;
	}
}

void spool_close(struct spool *s)
{
	for (unsigned i = 0; i < s->n; i++)
		close(s->f[i].fd);
	free(s->buf);
	*s = (struct spool){ 0 };
}

/* ---- writing ---- */

static int empty(struct spool_file *f)
{
	f->serial = f->end = f->packets = 0;
	return ftruncate(f->fd, 0) < 0 ? -errno : 0;
}

int spool_flush(struct spool *s)
{
	struct spool_file *f = &s->f[s->cur];
	int r;

	if (!s->n_buf)
		return 0;
	r = write_all(f->fd, s->buf, s->n_buf, f->end);
	if (r) {
		(void)!ftruncate(f->fd, (off_t)f->end);
		f->packets -= s->n_buf_packets;
	} else {
		f->end += s->n_buf;
	}
	s->n_buf = s->n_buf_packets = 0;
	return r;
}

/* The head of f[cur] waits in the buffer like a packet. */
static void begin_file(struct spool *s, uint64_t serial)
{
	s->head.serial = s->f[s->cur].serial = serial;
	s->n_buf = pcapng_put_head(s->buf, &s->head);
}

static int next_file(struct spool *s)
{
	uint64_t serial = s->f[s->cur].serial + 1;
	int r = spool_flush(s);

	if (r)
		return r;
	s->cur = (s->cur + 1) % s->n;
	s->forgotten += s->f[s->cur].packets;
	r = empty(&s->f[s->cur]);
	if (!r)
		begin_file(s, serial);
	return r;
}

int spool_begin(struct spool *s, const struct pcapng_head *head, uint64_t max_bytes)
{
	int r = spool_clear(s);

	if (r)
		return r;
	if (!s->buf)
		s->buf = xmalloc(BUF_SIZE);
	s->head = *head;
	s->file_max = max_bytes / s->n;
	s->cur = 0;
	s->newest_ns = 0;
	begin_file(s, 1);
	return spool_flush(s);
}

int spool_put(struct spool *s, const struct pcapng_packet *p)
{
	size_t room = p->have + PCAPNG_PACKET_EXTRA;
	int r = 0;

	if (s->f[s->cur].end + s->n_buf + room > s->file_max) {
		if (s->n == 1)
			return -EFBIG;
		r = next_file(s);
		if (!r && s->n_buf + room > s->file_max)
			return -EFBIG;
	} else if (s->n_buf >= WRITE_SIZE) {
		r = spool_flush(s);
	}
	if (r)
		return r;
	s->n_buf += pcapng_put_packet(s->buf + s->n_buf, p);
	s->f[s->cur].packets++;
	s->n_buf_packets++;
	s->newest_ns = p->time_ns;
	return 0;
}

int spool_end(struct spool *s)
{
	int r = spool_flush(s);

	free(s->buf);
	s->buf = NULL;
	return r;
}

int spool_clear(struct spool *s)
{
	int r = 0;

	s->n_buf = s->n_buf_packets = 0;
	s->forgotten = 0;
	for (unsigned i = 0; i < s->n; i++) {
		int e = empty(&s->f[i]);

		r = r ? r : e;
	}
	if (!s->buf || r)
		return r;
	s->cur = 0;
	begin_file(s, 1);
	return spool_flush(s);
}

uint64_t spool_packets(const struct spool *s)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < s->n; i++)
		sum += s->f[i].packets;
	return sum;
}

uint64_t spool_bytes(const struct spool *s)
{
	uint64_t sum = s->n_buf;

	for (unsigned i = 0; i < s->n; i++)
		sum += s->f[i].end;
	return sum;
}

/* ---- reading ---- */

/* A cursor is the serial of a file and an offset in it, which is below 4 GiB. */
#define CURSOR(serial, at) ((serial) << 32 | (at))

uint64_t spool_end_cursor(const struct spool *s)
{
	return CURSOR(s->f[s->cur].serial, s->f[s->cur].end);
}

/* The file with this serial, or the oldest after it. */
static const struct spool_file *file_from(const struct spool *s, uint64_t serial)
{
	const struct spool_file *best = NULL;

	for (unsigned i = 0; i < s->n; i++) {
		const struct spool_file *f = &s->f[i];

		if (f->serial && f->serial >= serial && (!best || f->serial < best->serial))
			best = f;
	}
	return best;
}

static size_t head_of(const struct spool_file *f, struct pcapng_head *ret)
{
	uint8_t b[PCAPNG_HEAD_MAX];
	ssize_t n = read_at(f->fd, b, sizeof(b), 0);

	return n > 0 ? pcapng_get_head(b, (size_t)n, ret) : 0;
}

int spool_link(struct spool *s)
{
	const struct spool_file *f = file_from(s, 0);
	struct pcapng_head h;

	return f && head_of(f, &h) ? h.link : -ENODATA;
}

/* Bytes of b that are whole blocks. */
static size_t whole_blocks(const uint8_t *b, size_t n)
{
	struct pcapng_packet p;
	size_t at = 0, size;

	for (;; at += size) {
		enum pcapng_block k = pcapng_next(b + at, n - at, &size, &p);

		if (k == PCAPNG_MORE || k == PCAPNG_BAD)
			return at;
	}
}

ssize_t spool_read(struct spool *s, uint64_t *cursor, uint8_t *b, size_t room)
{
	for (;;) {
		const struct spool_file *f = file_from(s, *cursor >> 32);
		struct pcapng_head h;
		uint64_t at;
		ssize_t n;

		if (!f)
			return 0;
		at = f->serial == *cursor >> 32 ? *cursor & UINT32_MAX : 0;
		if (!at)
			at = head_of(f, &h);
		n = at && at < f->end ? read_at(f->fd, b, MIN(room, f->end - at), at) : 0;
		if (n < 0)
			return n;
		n = (ssize_t)whole_blocks(b, (size_t)n);
		if (n) {
			*cursor = CURSOR(f->serial, at + (uint64_t)n);
			return n;
		}
		if (!file_from(s, f->serial + 1)) {
			*cursor = CURSOR(f->serial, at);
			return 0;
		}
		*cursor = CURSOR(f->serial + 1, 0ull);
	}
}
