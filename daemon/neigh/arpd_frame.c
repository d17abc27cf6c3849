/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "neigh/arpd_frame.h"

#include <string.h>

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

void arpd_na_write(uint8_t f[ARPD_NA_SIZE], const uint8_t mac[6], const uint8_t addr[16],
		   bool router)
{
	/* Ethernet 0, IPv6 14, advertisement 54, its option 78. */
	static const uint8_t all_nodes[16] = { 0xff, 2, [15] = 1 };
	uint8_t *ip = f + 14, *na = f + 54;
	uint32_t sum;

	memset(f, 0, ARPD_NA_SIZE);
	memcpy(f, (const uint8_t[]){ 0x33, 0x33, 0, 0, 0, 1 }, 6);
	memcpy(f + 6, mac, 6);
	put16(f + 12, 0x86dd);
	ip[0] = 0x60;
	put16(ip + 4, 32);
	ip[6] = 58;
	ip[7] = 255;
	memcpy(ip + 8, addr, 16);
	memcpy(ip + 24, all_nodes, 16);
	na[0] = 136;
	na[4] = (uint8_t)(0x20 | (router ? 0x80 : 0));
	memcpy(na + 8, addr, 16);
	na[24] = 2; /* target link-layer address, 8 bytes */
	na[25] = 1;
	memcpy(na + 26, mac, 6);
	sum = sum16(ip + 8, 32, 32 + 58); /* RFC 8200 section 8.1 */
	sum = sum16(na, 32, sum);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	put16(na + 2, (uint16_t)~sum);
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
