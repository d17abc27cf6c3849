/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capture/pcapng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_IDB = 1, BLOCK_ISB = 5, BLOCK_EPB = 6, BLOCK_SHB = 0x0a0d0d0a };
enum { OPT_END = 0, OPT_COMMENT = 1 };
enum { SHB_USERAPPL = 4 };
enum { IDB_NAME = 2, IDB_TSRESOL = 9, IDB_FILTER = 11 };
enum { EPB_FLAGS = 2 };
enum { ISB_IFDROP = 5, ISB_FILTERACCEPT = 6, ISB_OSDROP = 7 };

#define BYTE_ORDER_MAGIC 0x1a2b3c4d
#define TSRESOL_NS       9
/* Type, length, and the length once more at the end. */
#define BLOCK_MIN 12
/* The head's comment, by which we know our own: fixed in size, at a fixed place. */
#define SERIAL_TEXT "rtr capture file "
#define SERIAL_SIZE (sizeof(SERIAL_TEXT) - 1 + 16)
#define SERIAL_AT   28
/* A block of a packet has no more than its data and a handful of options. */
#define BLOCK_MAX (65536 + 4096)

struct cursor {
	uint8_t *b;
	size_t n;
};

/* In the byte order of the machine, which the head tells. */
static void put(struct cursor *c, const void *v, size_t n)
{
	memcpy(c->b + c->n, v, n);
	c->n += n;
}

static void put16(struct cursor *c, uint16_t v)
{
	put(c, &v, 2);
}

static void put32(struct cursor *c, uint32_t v)
{
	put(c, &v, 4);
}

static void put64(struct cursor *c, uint64_t v)
{
	put(c, &v, 8);
}

static void pad(struct cursor *c)
{
	while (c->n % 4)
		c->b[c->n++] = 0;
}

static void option(struct cursor *c, uint16_t code, const void *v, size_t n)
{
	put16(c, code);
	put16(c, (uint16_t)n);
	put(c, v, n);
	pad(c);
}

static void text_option(struct cursor *c, uint16_t code, const char *s, size_t max)
{
	size_t n = strnlen(s, max);

	if (n)
		option(c, code, s, n);
}

static size_t begin(struct cursor *c, uint32_t type)
{
	size_t at = c->n;

	put32(c, type);
	put32(c, 0);
	return at;
}

static void end(struct cursor *c, size_t at)
{
	uint32_t size = (uint32_t)(c->n - at) + 4;

	put32(c, size);
	memcpy(c->b + at + 4, &size, 4);
}

size_t pcapng_put_head(uint8_t *b, const struct pcapng_head *h)
{
	struct cursor c = { b, 0 };
	char serial[SERIAL_SIZE + 1];
	uint8_t resolution = TSRESOL_NS;
	char filter[PCAPNG_HEAD_MAX / 2 + 1];
	size_t at = begin(&c, BLOCK_SHB), n;

	put32(&c, BYTE_ORDER_MAGIC);
	put16(&c, 1);
	put16(&c, 0);
	put64(&c, UINT64_MAX); /* length: not told */
	snprintf(serial, sizeof(serial), SERIAL_TEXT "%016llx", (unsigned long long)h->serial);
	option(&c, OPT_COMMENT, serial, SERIAL_SIZE);
	text_option(&c, SHB_USERAPPL, h->program, 64);
	put32(&c, OPT_END);
	end(&c, at);

	at = begin(&c, BLOCK_IDB);
	put16(&c, h->link);
	put16(&c, 0);
	put32(&c, h->snap);
	text_option(&c, IDB_NAME, h->ifname, 64);
	option(&c, IDB_TSRESOL, &resolution, 1);
	n = strnlen(h->filter, sizeof(filter) - 1);
	if (n) {
		filter[0] = '\0'; /* what follows is a libpcap expression */
		memcpy(filter + 1, h->filter, n);
		option(&c, IDB_FILTER, filter, n + 1);
	}
	put32(&c, OPT_END);
	end(&c, at);
	return c.n;
}

size_t pcapng_put_packet(uint8_t *b, const struct pcapng_packet *p)
{
	struct cursor c = { b, 0 };
	uint32_t flags = p->out ? 2 : 1;
	size_t at = begin(&c, BLOCK_EPB);

	put32(&c, 0); /* the one interface */
	put32(&c, (uint32_t)(p->time_ns >> 32));
	put32(&c, (uint32_t)p->time_ns);
	put32(&c, p->have);
	put32(&c, p->size);
	put(&c, p->data, p->have);
	pad(&c);
	option(&c, EPB_FLAGS, &flags, 4);
	put32(&c, OPT_END);
	end(&c, at);
	return c.n;
}

size_t pcapng_put_stats(uint8_t *b, uint64_t time_ns, uint64_t seen, uint64_t dropped)
{
	struct cursor c = { b, 0 };
	size_t at = begin(&c, BLOCK_ISB);

	put32(&c, 0);
	put32(&c, (uint32_t)(time_ns >> 32));
	put32(&c, (uint32_t)time_ns);
	option(&c, ISB_IFDROP, &(uint64_t){ 0 }, 8);
	option(&c, ISB_FILTERACCEPT, &seen, 8);
	option(&c, ISB_OSDROP, &dropped, 8);
	put32(&c, OPT_END);
	end(&c, at);
	return c.n;
}

static uint32_t get32(const uint8_t *b)
{
	uint32_t v;

	memcpy(&v, b, 4);
	return v;
}

/* The size of a block that is whole, 0: it is not. */
static size_t whole(const uint8_t *b, size_t n)
{
	uint32_t size;

	if (n < BLOCK_MIN)
		return 0;
	size = get32(b + 4);
	if (size < BLOCK_MIN || size % 4 || size > n || get32(b + size - 4) != size)
		return 0;
	return size;
}

size_t pcapng_get_head(const uint8_t *b, size_t n, struct pcapng_head *ret)
{
	size_t shb = whole(b, n), idb, len = sizeof(SERIAL_TEXT) - 1;
	char hex[17];
	char *stop;

	if (shb < SERIAL_AT + SERIAL_SIZE || get32(b) != BLOCK_SHB ||
	    get32(b + 8) != BYTE_ORDER_MAGIC || memcmp(b + SERIAL_AT, SERIAL_TEXT, len) != 0)
		return 0;
	memcpy(hex, b + SERIAL_AT + len, 16);
	hex[16] = '\0';
	ret->serial = strtoull(hex, &stop, 16);
	idb = whole(b + shb, n - shb);
	if (*stop || !ret->serial || idb < 20 || get32(b + shb) != BLOCK_IDB)
		return 0;
	memcpy(&ret->link, b + shb + 8, 2);
	ret->snap = get32(b + shb + 12);
	return shb + idb;
}

enum pcapng_block pcapng_next(const uint8_t *b, size_t n, size_t *ret_size, struct pcapng_packet *p)
{
	uint32_t size, flags = 1;
	size_t at;

	*ret_size = 8;
	if (n < 8)
		return PCAPNG_MORE;
	size = get32(b + 4);
	if (size < BLOCK_MIN || size % 4 || size > BLOCK_MAX)
		return PCAPNG_BAD;
	*ret_size = size;
	if (n < size)
		return PCAPNG_MORE;
	if (get32(b + size - 4) != size)
		return PCAPNG_BAD;
	if (get32(b) != BLOCK_EPB)
		return PCAPNG_OTHER;
	if (size < 32)
		return PCAPNG_BAD;
	p->time_ns = (uint64_t)get32(b + 12) << 32 | get32(b + 16);
	p->have = get32(b + 20);
	p->size = get32(b + 24);
	p->data = b + 28;
	if (p->have > size - 32)
		return PCAPNG_BAD;
	at = 28 + ROUND_UP((size_t)p->have, 4);
	/* Ours have the flags first. */
	if (at + 8 <= size - 4 && get32(b + at) == (4u << 16 | EPB_FLAGS))
		flags = get32(b + at + 4);
	p->out = (flags & 3) == 2;
	return PCAPNG_PACKET;
}
