/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what the policy notes in a flow's conntrack label (128 bits): the rule that admitted it,
 * the zone that it came in by, the generation of the policy. The mark stays the user's.
 *
 * nft's `ct label set` (nft_ct_set with NFT_CT_LABELS, a source register of 16 bytes, any value)
 * can only set bits: the kernel calls nf_connlabels_replace(ct, v, mask = v), which is old | v
 * (tests/unit/test_ct_nft.c shows it). Packets of a flow that is still NEW (a repeated SYN, UDP
 *without an answer) pass the rules again, perhaps another one after a commit, and a second value
 *would mix with the first. Hence each number is written twice, plain and inverted: two different
 *values ORed are seen (CT_META_MIXED), never taken for a third one.
 *
 *	byte  0      1     2   3    4   5   6   7    8      9     10  11   12  13  14  15
 *	    +------+-----+--------+----------------+------+-----+--------+----------------+
 *	    |flags | gen |  zone  |      rule      |  0   |~gen | ~zone  |     ~rule      |
 *	    +------+-----+--------+----------------+------+-----+--------+----------------+
 *	zone and rule (pol_zone.id, pol_id of firewall/policy.h) are big-endian: an immediate
 *	of these bytes is the same on every machine. gen counts modulo 256.
 *
 * How the policy writes it, in the rule that admits, the guard keeping the first writer's value
 * (a flow without labels reads as zeros):
 *
 *	nft_ct(r, NFT_CT_LABELS, NFT_REG_1);
 *	nft_bitwise(r, NFT_REG_1, NFT_REG_1, CT_LABEL_SIZE, {CT_LABEL_F_SET, 0 ...}, zero);
 *	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, zero, CT_LABEL_SIZE);
 *	nft_imm(r, NFT_REG_1, label, CT_LABEL_SIZE);	(of ct_label_encode)
 *	nft_ct_set(r, NFT_CT_LABELS, NFT_REG_1);
 *
 * Zone and rule may come from two rules: a field that nobody wrote is all zeros (then without
 * CT_LABEL_F_SET in the first one). Only entries that begin while some nft rule of the namespace
 * sets labels have room for one: the policy's table always has such a rule. ct_rejudge() with
 * CT_RELABEL overwrites the whole value (ctnetlink has a mask, nft has not).
 *
 * Owns: nothing. Threads: any; pure code. Failure: a bad label decodes as CT_META_MIXED.
 */
#ifndef RTR_CT_LABEL_H
#define RTR_CT_LABEL_H

#include "util.h"

#define CT_LABEL_SIZE 16

/* Byte 0: single bits, each set on its own. */
enum ct_label_flag {
	CT_LABEL_F_SET = 1 << 0,   /* the label was written: always set by ct_label_encode */
	CT_LABEL_F_USER0 = 1 << 1, /* CT_LABEL_F_USER0 << 0..6: the policy's, such as "hairpin" */
};

enum ct_meta_field {
	CT_META_RULE = 1 << 0,
	CT_META_ZONE = 1 << 1,
	CT_META_GEN = 1 << 2,
	CT_META_MIXED = 1 << 3, /* decode only: two writers; fields that differ are left out */
};
#define CT_META_ALL (CT_META_RULE | CT_META_ZONE | CT_META_GEN)

struct ct_meta {
	unsigned has; /* enum ct_meta_field */
	uint32_t rule;
	uint16_t zone;
	uint8_t gen, flags;
};

void ct_label_encode(const struct ct_meta *m, uint8_t ret[CT_LABEL_SIZE]);
void ct_label_decode(const uint8_t label[CT_LABEL_SIZE], struct ct_meta *ret);

#endif
