/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: worker_pol.h with two VLANs, RED and BLUE, on the LAN port. Owns: all of it between box()
 * and end(). Threads: one. Failure: ends the test.
 */
#ifndef RTR_TEST_WORKER_VLAN_H
#define RTR_TEST_WORKER_VLAN_H

#include "tests/lib/worker_pol.h"

/* Slots of the VLANs; their interfaces are 10 + slot. */
#define RED       2
#define BLUE      3
#define RED_ID    10
#define BLUE_ID   4094
#define ADJ_RED   3
#define ADJ_BLUE  4
#define TAG_FIRST 0xb000 /* priority 5, may be dropped: the sender's */

static inline void vlan_make(unsigned slot, uint16_t id, unsigned adj)
{
	struct fp_wport p = { .slot = (uint8_t)slot,
			      .zone = (uint16_t)slot,
			      .ifindex = 10 + slot,
			      .vlan = id,
			      .express_in = true,
			      .express_out = true };

	memcpy(p.mac, mac[LAN], 6);
	ck_assert_int_eq(fp_worker_vlan_add(w, &p, LAN), 0);
	adjs[adj] = (struct fp_adj){ .len = 18, .mtu = 1500, .port = slot };
	memcpy(adjs[adj].hdr, peer[LAN], 6);
	memcpy(adjs[adj].hdr + 6, mac[LAN], 6);
	tp_w16(adjs[adj].hdr + 12, 0x8100);
	tp_w16(adjs[adj].hdr + 14, id);
}

static inline void box(bool policy)
{
	begin();
	if (!policy)
		in_force = NULL;
	vlan_make(RED, RED_ID, ADJ_RED);
	vlan_make(BLUE, BLUE_ID, ADJ_BLUE);
	moved_to[RED] = ADJ_BLUE;
	moved_to[BLUE] = ADJ_RED;
}

/* As if the packet came by the VLAN, with what a sender may put beside its number. */
static inline void tag(struct tp *t, uint16_t id)
{
	uint8_t *p = t->b + 12;

	memmove(p + 4, p, t->len - 12);
	tp_w16(p, 0x8100);
	tp_w16(p + 2, TAG_FIRST | id);
	t->len += 4;
	t->l3 += 4;
	t->l4 += 4;
}

static inline void from_vlan(struct tp *t, uint16_t id, unsigned sport)
{
	ip(t, LAN, 17, 64);
	tp_udp(t, sport, SPORT, 30);
	tp_done(t);
	if (id)
		tag(t, id);
}

/* The next frame of the port is t's packet, one hop on, in the VLAN (0: untagged). */
static inline void left(unsigned slot, const struct tp *t, uint16_t id)
{
	unsigned head = id ? 18 : 14;
	uint8_t want[256];
	const uint8_t *out;
	struct tp l3 = *t;
	uint32_t len;

	out = leave(slot, &len);
	ck_assert_ptr_nonnull(out);
	l3.b[l3.l3 + (six ? 7 : 8)]--;
	tp_fix_ip4(&l3);
	memcpy(want, peer[slot], 6);
	memcpy(want + 6, mac[slot], 6);
	if (id) {
		tp_w16(want + 12, 0x8100);
		tp_w16(want + 14, id);
	}
	tp_w16(want + head - 2, six ? 0x86dd : 0x0800);
	memcpy(want + head, l3.b + l3.l3, l3.len - l3.l3);
	ck_assert_uint_eq(len, MAX(head + l3.len - l3.l3, 60u));
	ck_assert_mem_eq(out, want, head + l3.len - l3.l3);
}

static inline void nothing_left(void)
{
	uint32_t len;

	ck_assert_ptr_null(leave(LAN, &len));
	ck_assert_ptr_null(leave(WAN, &len));
}

#endif
