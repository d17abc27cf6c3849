/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: numbers into the frames that a generator makes, and sums of them, for BPF programs. Offsets
 * are below 128, which the verifier sees.
 */
#ifndef RTR_BENCH_FRAME_H
#define RTR_BENCH_FRAME_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>
#include <stdint.h>

static __always_inline uint32_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* The words of a 32-bit number, in host order. */
static __always_inline uint32_t halves(uint32_t v)
{
	return (v & 0xffff) + (v >> 16);
}

static __always_inline bool put32(uint8_t *d, const uint8_t *end, uint32_t at, uint32_t v)
{
	d += at & 0x7f;
	if (d + 4 > end)
		return false;
	*(uint32_t *)d = bpf_htonl(v);
	return true;
}

static __always_inline bool put16(uint8_t *d, const uint8_t *end, uint32_t at, uint16_t v)
{
	d += at & 0x7f;
	if (d + 2 > end)
		return false;
	*(uint16_t *)d = bpf_htons(v);
	return true;
}

#endif
