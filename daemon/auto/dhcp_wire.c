/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "auto/dhcp_wire.h"

#include <ctype.h>
#include <string.h>

enum { ETH = 14, IP = 20, UDP = 8, BOOTP = 236, COOKIE = 4 };
enum { PORT_SERVER = 67, PORT_CLIENT = 68 };
enum {
	OPT_PAD = 0,
	OPT_MASK = 1,
	OPT_ROUTER = 3,
	OPT_DNS = 6,
	OPT_HOSTNAME = 12,
	OPT_DOMAIN = 15,
	OPT_REQUESTED = 50,
	OPT_LEASE = 51,
	OPT_OVERLOAD = 52,
	OPT_TYPE = 53,
	OPT_SERVER = 54,
	OPT_LIST = 55,
	OPT_MAX_SIZE = 57,
	OPT_T1 = 58,
	OPT_T2 = 59,
	OPT_CLIENT_ID = 61,
	OPT_ROUTES = 121,
	OPT_END = 255,
};
static const uint8_t cookie[COOKIE] = { 99, 130, 83, 99 };
/* The classless routes of a long option, put together (RFC 3396). */
#define ROUTES_MAX 512

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

static unsigned get16(const uint8_t *p)
{
	return (unsigned)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static bool any(const uint8_t *p, size_t n)
{
	while (n && !*p)
		p++, n--;
	return n;
}

/* ---- writing ---- */

static uint32_t sum(uint32_t s, const uint8_t *p, size_t n)
{
	for (; n > 1; p += 2, n -= 2)
		s += get16(p);
	return n ? s + (uint32_t)(*p << 8) : s;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static uint8_t *option(uint8_t *p, uint8_t code, const void *data, size_t n)
{
	*p++ = code;
	*p++ = (uint8_t)n;
	memcpy(p, data, n);
	return p + n;
}

static uint8_t *put_options(uint8_t *p, const struct dhcp_out *o)
{
	static const uint8_t list[] = { OPT_MASK,   OPT_ROUTES, OPT_ROUTER, OPT_DNS,
					OPT_DOMAIN, OPT_LEASE,  OPT_T1,     OPT_T2 };
	uint8_t id[7] = { 1 }, max[2];

	p = option(p, OPT_TYPE, &o->type, 1);
	memcpy(id + 1, o->mac, 6);
	p = option(p, OPT_CLIENT_ID, id, sizeof(id));
	if (any(o->requested, 4))
		p = option(p, OPT_REQUESTED, o->requested, 4);
	if (any(o->server, 4))
		p = option(p, OPT_SERVER, o->server, 4);
	/* RFC 2131 table 5. */
	if (o->type != DHCP_RELEASE && o->type != DHCP_DECLINE) {
		put16(max, 1500);
		p = option(p, OPT_MAX_SIZE, max, 2);
		p = option(p, OPT_LIST, list, sizeof(list));
		if (o->hostname && *o->hostname)
			p = option(p, OPT_HOSTNAME, o->hostname, MIN(strlen(o->hostname), 63u));
	}
	*p++ = OPT_END;
	return p;
}

size_t dhcp_write(uint8_t frame[DHCP_FRAME_SIZE], const struct dhcp_out *o)
{
	uint8_t *ip = frame + ETH, *udp = ip + IP, *b = udp + UDP, *end;
	size_t size;
	uint32_t s;

	memset(frame, 0, DHCP_FRAME_SIZE);
	memset(frame, 0xff, 6);
	if (any(o->to_mac, 6))
		memcpy(frame, o->to_mac, 6);
	memcpy(frame + 6, o->mac, 6);
	put16(frame + 12, 0x0800);
	b[0] = b[1] = 1; /* BOOTREQUEST, Ethernet */
	b[2] = 6;
	put32(b + 4, o->xid);
	put16(b + 8, o->secs);
	memcpy(b + 12, o->ciaddr, 4);
	memcpy(b + 28, o->mac, 6);
	memcpy(b + BOOTP, cookie, COOKIE);
	end = put_options(b + BOOTP + COOKIE, o);
	size = MAX((size_t)(end - b), (size_t)300);
	put16(udp, PORT_CLIENT);
	put16(udp + 2, PORT_SERVER);
	put16(udp + 4, (unsigned)(UDP + size));
	ip[0] = 0x45;
	put16(ip + 2, (unsigned)(IP + UDP + size));
	ip[8] = 64;
	ip[9] = 17;
	memcpy(ip + 12, o->ciaddr, 4);
	memset(ip + 16, 0xff, 4);
	if (any(o->to, 4))
		memcpy(ip + 16, o->to, 4);
	put16(ip + 10, fold(sum(0, ip, IP)));
	s = sum(17 + UDP + (uint32_t)size, ip + 12, 8);
	put16(udp + 6, fold(sum(s, udp, UDP + size)));
	if (!get16(udp + 6))
		put16(udp + 6, 0xffff);
	return ETH + IP + UDP + size;
}

/* ---- reading ---- */

struct found {
	uint8_t overload;
	bool has_routers, has_mask;
	uint8_t router[4], mask[4];
	uint8_t routes[ROUTES_MAX];
	size_t n_routes;
};

static uint8_t mask_len(const uint8_t mask[4])
{
	uint32_t m = get32(mask);
	uint8_t len = 0;

	while (m & 0x80000000u) {
		len++;
		m <<= 1;
	}
	return m ? 0 : len;
}

static void take_text(char *to, size_t room, const uint8_t *d, size_t n)
{
	size_t k = 0;

	/* It goes into files and onto terminals: the letters of a name and nothing else. */
	while (k < n && k + 1 < room && (isalnum(d[k]) || d[k] == '.' || d[k] == '-')) {
		to[k] = (char)d[k];
		k++;
	}
	to[k] = '\0';
}

static void take(struct dhcp_in *in, struct found *f, uint8_t code, const uint8_t *d, size_t n)
{
	switch (code) {
	case OPT_TYPE:
		in->type = n == 1 ? d[0] : 0;
		break;
	case OPT_OVERLOAD:
		f->overload = n == 1 ? d[0] : 0;
		break;
	case OPT_MASK:
		f->has_mask = n == 4;
		memcpy(f->mask, d, MIN(n, 4u));
		break;
	case OPT_ROUTER:
		f->has_routers = n >= 4;
		memcpy(f->router, d, MIN(n, 4u));
		break;
	case OPT_DNS:
		for (; n >= 4 && in->n_dns < AUTOD_DNS; d += 4, n -= 4)
			memcpy(in->dns[in->n_dns++], d, 4);
		break;
	case OPT_DOMAIN:
		take_text(in->domain, sizeof(in->domain), d, n);
		break;
	case OPT_LEASE:
		in->lease_sec = n == 4 ? get32(d) : 0;
		break;
	case OPT_SERVER:
		if (n == 4)
			memcpy(in->server, d, 4);
		break;
	case OPT_T1:
		in->t1_sec = n == 4 ? get32(d) : 0;
		break;
	case OPT_T2:
		in->t2_sec = n == 4 ? get32(d) : 0;
		break;
	case OPT_ROUTES:
		n = MIN(n, ROUTES_MAX - f->n_routes);
		memcpy(f->routes + f->n_routes, d, n);
		f->n_routes += n;
		break;
	default:
		break;
	}
}

static void take_options(struct dhcp_in *in, struct found *f, const uint8_t *p, size_t n)
{
	size_t i = 0;

	while (i < n && p[i] != OPT_END) {
		if (p[i] == OPT_PAD) {
			i++;
			continue;
		}
		if (i + 2 > n || i + 2 + p[i + 1] > n)
			return;
		take(in, f, p[i], p + i + 2, p[i + 1]);
		i += 2u + p[i + 1];
	}
}

static void add_route(struct dhcp_in *in, const uint8_t net[4], uint8_t len, const uint8_t gw[4])
{
	struct autod_route *r = &in->routes[in->n_routes];

	if (in->n_routes == AUTOD_ROUTES)
		return;
	*r = (struct autod_route){ .len = len };
	put32(r->net, len ? get32(net) & ~0u << (32 - len) : 0);
	memcpy(r->gw, gw, 4);
	in->n_routes++;
}

/* RFC 3442: with classless routes the router option is not looked at. */
static void take_routes(struct dhcp_in *in, const struct found *f)
{
	static const uint8_t zero[4];
	size_t i = 0;

	while (i < f->n_routes) {
		uint8_t len = f->routes[i], net[4] = { 0 };
		size_t bytes = (len + 7u) / 8;

		if (len > 32 || i + 1 + bytes + 4 > f->n_routes)
			break;
		memcpy(net, f->routes + i + 1, bytes);
		add_route(in, net, len, f->routes + i + 1 + bytes);
		i += 1 + bytes + 4;
	}
	if (!f->n_routes && f->has_routers)
		add_route(in, zero, 0, f->router);
}

/*
 * The UDP checksum is not looked at: between virtual links it may be one that a NIC would have
 * finished. The Ethernet's own stands for it.
 */
bool dhcp_read(const uint8_t *frame, size_t size, struct dhcp_in *in)
{
	const uint8_t *ip = frame + ETH, *udp, *b;
	struct found f = { 0 };
	size_t head, left;

	if (size < ETH + IP || get16(frame + 12) != 0x0800 || ip[0] >> 4 != 4)
		return false;
	head = (size_t)(ip[0] & 15) * 4;
	if (head < IP || get16(ip + 2) > size - ETH || get16(ip + 2) < head + UDP || ip[9] != 17 ||
	    get16(ip + 6) & 0x3fff || fold(sum(0, ip, head)))
		return false;
	udp = ip + head;
	left = get16(ip + 2) - head;
	if (get16(udp) != PORT_SERVER || get16(udp + 2) != PORT_CLIENT || get16(udp + 4) > left ||
	    get16(udp + 4) < UDP + BOOTP + COOKIE)
		return false;
	b = udp + UDP;
	left = get16(udp + 4) - UDP;
	if (b[0] != 2 || b[1] != 1 || b[2] != 6 || memcmp(b + BOOTP, cookie, COOKIE))
		return false;
	*in = (struct dhcp_in){ .xid = get32(b + 4), .len = 32 };
	memcpy(in->from_mac, frame + 6, 6);
	memcpy(in->mac, b + 28, 6);
	memcpy(in->yiaddr, b + 16, 4);
	take_options(in, &f, b + BOOTP + COOKIE, left - BOOTP - COOKIE);
	if (f.overload & 1)
		take_options(in, &f, b + 108, 128);
	if (f.overload & 2)
		take_options(in, &f, b + 44, 64);
	if (f.has_mask)
		in->len = mask_len(f.mask);
	take_routes(in, &f);
	return in->type == DHCP_OFFER || in->type == DHCP_ACK || in->type == DHCP_NAK;
}
