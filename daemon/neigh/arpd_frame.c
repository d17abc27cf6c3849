/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "neigh/arpd_frame.h"

#include <string.h>
#include <sys/socket.h>

/*
 * Ethernet and ARP, bytes:
 *	0 destination  6 source  12 0x0806
 *	14 hardware 1  16 protocol 0x0800  18 sizes 6, 4  20 operation
 *	22 sender MAC  28 sender address  32 target MAC  38 target address
 */
enum {
	OFF_TYPE = 12,
	OFF_HTYPE = 14,
	OFF_PTYPE = 16,
	OFF_SIZES = 18,
	OFF_OP = 20,
	OFF_SHA = 22,
	OFF_SPA = 28,
	OFF_THA = 32,
	OFF_TPA = 38,
};

#define OP_REQUEST 1
#define OP_REPLY   2

/* RFC 4861: messages, and options with a link-layer address. */
enum { ND_SOLICIT = 135, ND_ADVERT = 136, OPT_SOURCE = 1, OPT_TARGET = 2 };

/* Subtrees of the filter that are searched one by one: below it a branching costs more. */
#define LEAF_MAX 4

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

bool arpd_arp_read(const uint8_t *f, size_t size, struct arpd_arp *ret)
{
	if (size < ARPD_ARP_SIZE || get16(f + OFF_TYPE) != 0x0806 || get16(f + OFF_HTYPE) != 1 ||
	    get16(f + OFF_PTYPE) != 0x0800 || get16(f + OFF_SIZES) != 0x0604)
		return false;
	ret->op = get16(f + OFF_OP);
	if (ret->op != OP_REQUEST && ret->op != OP_REPLY)
		return false;
	memcpy(ret->sha, f + OFF_SHA, 6);
	memcpy(ret->spa, f + OFF_SPA, 4);
	memcpy(ret->tha, f + OFF_THA, 6);
	memcpy(ret->tpa, f + OFF_TPA, 4);
	return true;
}

void arpd_arp_write(uint8_t f[ARPD_ARP_SIZE], const uint8_t mac[6], const uint8_t addr[4],
		    bool probe)
{
	memset(f, 0, ARPD_ARP_SIZE);
	memset(f, 0xff, 6);
	memcpy(f + 6, mac, 6);
	put16(f + OFF_TYPE, 0x0806);
	put16(f + OFF_HTYPE, 1);
	put16(f + OFF_PTYPE, 0x0800);
	put16(f + OFF_SIZES, 0x0604);
	put16(f + OFF_OP, OP_REQUEST);
	memcpy(f + OFF_SHA, mac, 6);
	if (!probe)
		memcpy(f + OFF_SPA, addr, 4);
	memcpy(f + OFF_TPA, addr, 4);
}

static uint32_t sum16(const uint8_t *p, size_t size, uint32_t sum)
{
	for (size_t i = 0; i < size; i += 2)
		sum += get16(p + i);
	return sum;
}

/* Of the ICMPv6 message of `size` bytes behind the IPv6 header ip; 0xffff when it is right. RFC
 * 8200 section 8.1. */
static uint16_t sum6(const uint8_t *ip, size_t size)
{
	uint32_t sum = sum16(ip + 8, 32, (uint32_t)size + 58);

	sum = sum16(ip + 40, size & ~(size_t)1, sum);
	if (size & 1)
		sum += (uint32_t)ip[40 + size - 1] << 8;
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* Ethernet 0, IPv6 14, 32 bytes of message 54, of which the option at 78. Its type, flags, address
 * and kind of link-layer address. */
static void nd_write(uint8_t f[ARPD_NA_SIZE], const uint8_t mac[6], const uint8_t *src,
		     const uint8_t dst[16], uint8_t type, const uint8_t *addr, uint8_t option)
{
	uint8_t *ip = f + 14, *nd = f + 54;

	memset(f, 0, ARPD_NA_SIZE);
	/* RFC 2464 section 7. */
	f[0] = f[1] = 0x33;
	memcpy(f + 2, dst + 12, 4);
	memcpy(f + 6, mac, 6);
	put16(f + OFF_TYPE, 0x86dd);
	ip[0] = 0x60;
	put16(ip + 4, 32);
	ip[6] = 58;
	ip[7] = 255;
	memcpy(ip + 8, src, 16);
	memcpy(ip + 24, dst, 16);
	nd[0] = type;
	memcpy(nd + 8, addr, 16);
	nd[24] = option; /* 8 bytes */
	nd[25] = 1;
	memcpy(nd + 26, mac, 6);
}

void arpd_na_write(uint8_t f[ARPD_NA_SIZE], const uint8_t mac[6], const uint8_t addr[16],
		   bool router)
{
	static const uint8_t all_nodes[16] = { 0xff, 2, [15] = 1 };

	nd_write(f, mac, addr, all_nodes, ND_ADVERT, addr, OPT_TARGET);
	f[58] = (uint8_t)(0x20 | (router ? 0x80 : 0));
	put16(f + 56, (uint16_t)~sum6(f + 14, 32));
}

/* ---- questions ---- */

size_t arpd_question_write(uint8_t f[ARPD_NA_SIZE], const uint8_t mac[6], uint8_t family,
			   const uint8_t *sender, const uint8_t *target)
{
	/* RFC 4291 section 2.7.1: the solicited-node address. */
	uint8_t group[16] = { 0xff, 2, [11] = 1, [12] = 0xff };

	if (family == AF_INET) {
		arpd_arp_write(f, mac, target, true);
		memcpy(f + OFF_SPA, sender, 4);
		return ARPD_ARP_SIZE;
	}
	memcpy(group + 13, target + 13, 3);
	nd_write(f, mac, sender, group, ND_SOLICIT, target, OPT_SOURCE);
	put16(f + 56, (uint16_t)~sum6(f + 14, 32));
	return ARPD_NA_SIZE;
}

/* The option with the target's MAC address; false when there is none. */
static bool target_mac(const uint8_t *opt, size_t size, uint8_t ret[6])
{
	while (size >= 8 && opt[1] && (size_t)opt[1] * 8 <= size) {
		if (opt[0] == OPT_TARGET) {
			memcpy(ret, opt + 2, 6);
			return true;
		}
		size -= (size_t)opt[1] * 8;
		opt += (size_t)opt[1] * 8;
	}
	return false;
}

/* RFC 4861 section 7.1.2: what came through a router is forged. */
static bool advert_read(const uint8_t *f, size_t size, const uint8_t *target, uint8_t ret_mac[6])
{
	const uint8_t *ip = f + 14, *na = f + 54;
	size_t len;

	if (size < 54 + 24 || get16(f + OFF_TYPE) != 0x86dd || ip[0] >> 4 != 6 || ip[6] != 58 ||
	    ip[7] != 255)
		return false;
	len = get16(ip + 4);
	if (len < 24 || len > size - 54 || na[0] != ND_ADVERT || na[1] ||
	    memcmp(na + 8, target, 16) != 0 || sum6(ip, len) != 0xffff)
		return false;
	return target_mac(na + 24, len - 24, ret_mac);
}

bool arpd_answer_read(const uint8_t *f, size_t size, uint8_t family, const uint8_t *target,
		      uint8_t ret_mac[6])
{
	struct arpd_arp a;

	if (family == AF_INET6)
		return advert_read(f, size, target, ret_mac);
	if (!arpd_arp_read(f, size, &a) || a.op != OP_REPLY || memcmp(a.spa, target, 4) != 0)
		return false;
	memcpy(ret_mac, a.sha, 6);
	return true;
}

/* ---- the filter ---- */

struct prog {
	struct sock_filter *v;
	size_t n;
};

static void ins(struct prog *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	p->v[p->n++] = (struct sock_filter){ .code = code, .jt = jt, .jf = jf, .k = k };
}

/* Is A one of addrs? Branches by halves: an address costs some log2(n) comparisons. */
static void search(struct prog *p, const uint32_t *addrs, size_t n)
{
	size_t jump;

	if (n <= LEAF_MAX) {
		for (size_t i = 0; i < n; i++) {
			ins(p, BPF_JMP | BPF_JEQ | BPF_K, addrs[i], 0, 1);
			ins(p, BPF_RET | BPF_K, UINT32_MAX, 0, 0);
		}
		ins(p, BPF_RET | BPF_K, 0, 0, 0);
		return;
	}
	ins(p, BPF_JMP | BPF_JGE | BPF_K, addrs[n / 2], 0, 1);
	jump = p->n;
	ins(p, BPF_JMP | BPF_JA, 0, 0, 0);
	search(p, addrs, n / 2);
	p->v[jump].k = (uint32_t)(p->n - jump - 1);
	search(p, addrs + n / 2, n - n / 2);
}

size_t arpd_filter(struct sock_filter *code, const uint8_t mac[6], const uint32_t *addrs, size_t n)
{
	struct prog p = { .v = code };
	uint32_t mac_end = (uint32_t)get16(mac + 2) << 16 | get16(mac + 4);

	/* A load beyond the end of the frame drops it. */
	ins(&p, BPF_LD | BPF_W | BPF_ABS, OFF_HTYPE, 0, 0);
	ins(&p, BPF_JMP | BPF_JEQ | BPF_K, 0x00010800, 1, 0);
	ins(&p, BPF_RET | BPF_K, 0, 0, 0);
	ins(&p, BPF_LD | BPF_H | BPF_ABS, OFF_SIZES, 0, 0);
	ins(&p, BPF_JMP | BPF_JEQ | BPF_K, 0x0604, 1, 0);
	ins(&p, BPF_RET | BPF_K, 0, 0, 0);
	ins(&p, BPF_LD | BPF_W | BPF_ABS, OFF_SHA + 2, 0, 0);
	ins(&p, BPF_JMP | BPF_JEQ | BPF_K, mac_end, 0, 3);
	ins(&p, BPF_LD | BPF_H | BPF_ABS, OFF_SHA, 0, 0);
	ins(&p, BPF_JMP | BPF_JEQ | BPF_K, get16(mac), 0, 1);
	ins(&p, BPF_RET | BPF_K, 0, 0, 0);
	ins(&p, BPF_LD | BPF_W | BPF_ABS, OFF_SPA, 0, 0);
	ins(&p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
	ins(&p, BPF_LD | BPF_W | BPF_ABS, OFF_TPA, 0, 0);
	search(&p, addrs, n);
	return p.n;
}

/* Goes on when what was loaded is k. */
static void must_be(struct prog *p, uint32_t k)
{
	ins(p, BPF_JMP | BPF_JEQ | BPF_K, k, 1, 0);
	ins(p, BPF_RET | BPF_K, 0, 0, 0);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

size_t arpd_answer_filter(struct sock_filter code[ARPD_ANSWER_FILTER], uint8_t family,
			  const uint8_t *target)
{
	struct prog p = { .v = code };

	if (family == AF_INET) {
		ins(&p, BPF_LD | BPF_H | BPF_ABS, OFF_OP, 0, 0);
		must_be(&p, OP_REPLY);
		ins(&p, BPF_LD | BPF_W | BPF_ABS, OFF_SPA, 0, 0);
		must_be(&p, get32(target));
	} else {
		ins(&p, BPF_LD | BPF_B | BPF_ABS, 20, 0, 0);
		must_be(&p, 58);
		ins(&p, BPF_LD | BPF_B | BPF_ABS, 54, 0, 0);
		must_be(&p, ND_ADVERT);
		ins(&p, BPF_LD | BPF_W | BPF_ABS, 62 + 12, 0, 0);
		must_be(&p, get32(target + 12));
	}
	ins(&p, BPF_RET | BPF_K, UINT32_MAX, 0, 0);
	return p.n;
}
