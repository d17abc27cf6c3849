/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "auto/ra.h"

#include <string.h>

/* RFC 4861 section 10. */
#define MAX_INITIAL_INTERVAL_SEC 16
#define MAX_INITIAL              3
#define MIN_DELAY_SEC            3
#define MAX_DELAY_MS             500

enum { ETH = 14, IP6 = 40, RS_SIZE = 8 };
enum { TYPE_RS = 133, TYPE_RA = 134 };
enum { OPT_SOURCE = 1, OPT_PREFIX = 3, OPT_MTU = 5, OPT_RDNSS = 25 };

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static uint32_t add(uint32_t s, const uint8_t *p, size_t n)
{
	for (; n > 1; p += 2, n -= 2)
		s += (uint32_t)(p[0] << 8 | p[1]);
	return n ? s + (uint32_t)(*p << 8) : s;
}

/* Over the pseudo header of RFC 8200 section 8.1 and the message, whose field counts as it is. */
static uint16_t checksum(const uint8_t *ip, const uint8_t *icmp, size_t n)
{
	uint32_t s = add((uint32_t)n + 58, ip + 8, 32);

	s = add(s, icmp, n);
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static uint8_t *put_prefix(uint8_t *p, const struct autod_prefix *x)
{
	p[0] = OPT_PREFIX;
	p[1] = 4;
	p[2] = x->len;
	p[3] = x->flags;
	put32(p + 4, x->valid_sec);
	put32(p + 8, x->preferred_sec);
	memcpy(p + 16, x->net, 16);
	return p + 32;
}

static uint8_t *put_dns(uint8_t *p, const struct autod_ra *ra, bool last)
{
	if (!ra->n_dns)
		return p;
	p[0] = OPT_RDNSS;
	p[1] = (uint8_t)(1 + 2 * ra->n_dns);
	put32(p + 4, last ? 0 : ra->dns_sec);
	memcpy(p + 8, ra->dns, 16u * ra->n_dns);
	return p + 8 + 16u * ra->n_dns;
}

size_t ra_write(uint8_t frame[RA_FRAME_SIZE], const uint8_t mac[6], const struct autod_ra *ra,
		bool last)
{
	static const uint8_t all_nodes[16] = { 0xff, 2, [15] = 1 }, to[6] = { 0x33, 0x33, [5] = 1 };
	uint8_t *ip = frame + ETH, *m = ip + IP6, *p = m + 16;

	memset(frame, 0, RA_FRAME_SIZE);
	memcpy(frame, to, 6);
	memcpy(frame + 6, mac, 6);
	put16(frame + 12, 0x86dd);
	m[0] = TYPE_RA;
	m[4] = ra->hop_limit;
	m[5] = ra->flags;
	put16(m + 6, last ? 0 : ra->lifetime_sec);
	p[0] = OPT_SOURCE;
	p[1] = 1;
	memcpy(p + 2, mac, 6);
	p += 8;
	if (ra->mtu) {
		p[0] = OPT_MTU;
		p[1] = 1;
		put32(p + 4, ra->mtu);
		p += 8;
	}
	for (unsigned i = 0; i < ra->n_prefixes; i++)
		p = put_prefix(p, &ra->prefixes[i]);
	p = put_dns(p, ra, last);
	ip[0] = 0x60;
	put16(ip + 4, (unsigned)(p - m));
	ip[6] = 58;
	ip[7] = 255;
	memcpy(ip + 8, ra->from, 16);
	memcpy(ip + 24, all_nodes, 16);
	put16(m + 2, checksum(ip, m, (size_t)(p - m)));
	return (size_t)(p - frame);
}

bool ra_is_solicitation(const uint8_t *frame, size_t size)
{
	const uint8_t *ip = frame + ETH, *m = ip + IP6;
	static const uint8_t unspecified[16];
	size_t len;

	if (size < ETH + IP6 + RS_SIZE || frame[12] != 0x86 || frame[13] != 0xdd ||
	    ip[0] >> 4 != 6 || ip[6] != 58 || ip[7] != 255)
		return false;
	len = (size_t)(ip[4] << 8 | ip[5]);
	if (len < RS_SIZE || len > size - ETH - IP6 || m[0] != TYPE_RS || m[1])
		return false;
	for (size_t i = RS_SIZE; i < len; i += m[i + 1] * 8u) {
		if (i + 2 > len || !m[i + 1] || i + m[i + 1] * 8u > len)
			return false;
		/* Nobody can have a MAC address without an address. */
		if (m[i] == OPT_SOURCE && !memcmp(ip + 8, unspecified, 16))
			return false;
	}
	return !checksum(ip, m, len);
}

/* ---- time ---- */

void ra_begin(struct ra_timer *t, uint64_t now, uint32_t (*rnd)(uint32_t below))
{
	*t = (struct ra_timer){ .rnd = rnd };
	t->next_ns = now + rnd(MAX_DELAY_MS) * NSEC_PER_MSEC;
}

bool ra_due_now(struct ra_timer *t, const struct autod_ra *ra, uint64_t now)
{
	uint64_t wait;

	if (now < t->next_ns)
		return false;
	t->sent++;
	t->last_ns = now;
	wait = ra->min_sec * NSEC_PER_SEC +
	       t->rnd((uint32_t)(ra->max_sec - MIN(ra->min_sec, ra->max_sec)) * 1000 + 1) *
		       NSEC_PER_MSEC;
	if (t->sent < MAX_INITIAL)
		wait = MIN(wait, MAX_INITIAL_INTERVAL_SEC * NSEC_PER_SEC);
	t->next_ns = now + wait;
	return true;
}

void ra_solicited(struct ra_timer *t, uint64_t now)
{
	uint64_t at = now + t->rnd(MAX_DELAY_MS) * NSEC_PER_MSEC;

	if (t->sent)
		at = MAX(at, t->last_ns + MIN_DELAY_SEC * NSEC_PER_SEC);
	t->next_ns = MIN(t->next_ns, at);
}
