/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: reads capture files for tests: pcap of either byte order and time unit, and pcapng's
 * packet blocks. A file that ends or lies in the middle simply has no further packet.
 *
 *	struct pcap pc;
 *	if (pcap_open_mem(&pc, bytes, size))
 *		while (pcap_next(&pc, &pkt))
 *			use(pkt.data, pkt.len, pkt.link, pkt.time_ns);
 */
#ifndef RTR_TEST_PCAP_H
#define RTR_TEST_PCAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PCAP_LINK_ETHERNET 1
#define PCAP_IFACES        64

struct pcap {
	const uint8_t *b;
	size_t size, at;
	bool swapped, ng, nano;
	uint32_t link;
	uint32_t n_iface, iface_link[PCAP_IFACES];
};

struct pcap_pkt {
	const uint8_t *data;
	uint32_t len, link;
	uint64_t time_ns;
};

static inline uint32_t pcap_r32(const struct pcap *p, size_t at)
{
	uint32_t v;

	memcpy(&v, p->b + at, 4);
	return p->swapped ? __builtin_bswap32(v) : v;
}

static inline bool pcap_open_mem(struct pcap *p, const uint8_t *b, size_t size)
{
	uint32_t magic;

	*p = (struct pcap){ .b = b, .size = size };
	if (size < 24)
		return false;
	memcpy(&magic, b, 4);
	if (magic == 0x0a0d0d0a) {
		p->ng = true;
		return true;
	}
	p->swapped = magic == 0xd4c3b2a1 || magic == 0x4d3cb2a1;
	p->nano = magic == 0xa1b23c4d || magic == 0x4d3cb2a1;
	if (!p->swapped && !p->nano && magic != 0xa1b2c3d4)
		return false;
	p->link = pcap_r32(p, 20) & 0xffff;
	p->at = 24;
	return true;
}

static inline bool pcap_next_classic(struct pcap *p, struct pcap_pkt *ret)
{
	uint32_t len;

	if (p->size - p->at < 16)
		return false;
	len = pcap_r32(p, p->at + 8);
	if (len > p->size - p->at - 16)
		return false;
	*ret = (struct pcap_pkt){ .data = p->b + p->at + 16, .len = len, .link = p->link };
	ret->time_ns = pcap_r32(p, p->at) * 1000000000ull +
		       pcap_r32(p, p->at + 4) * (p->nano ? 1ull : 1000ull);
	p->at += 16 + len;
	return true;
}

/* One block of pcapng: true when it held a packet. */
static inline bool pcap_block(struct pcap *p, uint32_t type, size_t body, uint32_t len,
			      struct pcap_pkt *ret)
{
	uint32_t iface, cap;

	if (type == 1 && len >= 8 && p->n_iface < PCAP_IFACES)
		p->iface_link[p->n_iface++] = pcap_r32(p, body) & 0xffff;
	if (type == 6 && len >= 20) {
		iface = pcap_r32(p, body);
		cap = pcap_r32(p, body + 12);
		if (cap > len - 20 || iface >= p->n_iface)
			return false;
		*ret = (struct pcap_pkt){ p->b + body + 20, cap, p->iface_link[iface], 0 };
		ret->time_ns = ((uint64_t)pcap_r32(p, body + 4) << 32 | pcap_r32(p, body + 8)) *
			       1000;
		return true;
	}
	if (type == 3 && len >= 4 && p->n_iface) {
		cap = pcap_r32(p, body);
		*ret = (struct pcap_pkt){ p->b + body + 4, cap < len - 4 ? cap : len - 4,
					  p->iface_link[0], 0 };
		return true;
	}
	return false;
}

static inline bool pcap_next(struct pcap *p, struct pcap_pkt *ret)
{
	if (!p->ng)
		return pcap_next_classic(p, ret);
	while (p->size - p->at >= 12) {
		uint32_t type = pcap_r32(p, p->at), len;
		size_t at = p->at;

		if (type == 0x0a0d0d0a) {
			/* A section: its byte order, and interfaces anew. */
			uint32_t magic;

			memcpy(&magic, p->b + at + 8, 4);
			p->swapped = magic == 0x4d3c2b1a;
			p->n_iface = 0;
		}
		len = pcap_r32(p, at + 4);
		if (len < 12 || len % 4 || len > p->size - at)
			return false;
		p->at += len;
		if (pcap_block(p, type, at + 8, len - 12, ret))
			return true;
	}
	return false;
}

#endif
