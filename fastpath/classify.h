/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: first match of a packet's key over an ordered list of 10 to 100,000 policy rules: ranges of
 * addresses and ports, protocol, ICMP type and code, TCP flags, interfaces or zones, DSCP,
 * fragments; IPv4 and IPv6.
 *
 * Why this design: rules are few and alike, or many and different, and no one form is best for
 *both.
 *	- Up to 2,048 rules of a family are bit vectors (Lakshman and Stiliadis, SIGCOMM 1998): a
 *row of one bit a rule for the class of the source, of the destination, and of all else, whose AND
 *has the first match as its first bit. No branch depends on the packet.
 *	- More rules, or those whose rows do not fit into the bound of memory, are a few cut trees
 *	  with leaves of up to about eight rules compared at once by vector instructions. A cut node
 *	  takes up to 15 bits of one field and indexes a table of children (HiCuts, Gupta and
 *	  McKeown, 1999). Rules without a source or destination stand in trees of their own
 *	  (EffiCuts, Vamanan et al., SIGCOMM 2010), when that costs less than their copies.
 *	- IPv6 addresses are first replaced by their rank among the bounds that the rules name; from
 *	  there on the two families are the same code and the same 32-bit comparisons.
 * What else was tried, with figures: docs/design/classifier.md.
 *
 * Cost: three rows are one line each for 512 rules; a cut is one line, a tree has 1 to 5 of them on
 * the way, a leaf of eight rules 3.5 lines. The lines of up to 64 packets are fetched together.
 * Measured: docs/design/classifier.md.
 *
 * Owns: what fp_cls_build returns; the rules given are copied.
 * Threads: build and free in the control thread. A built classifier never changes: any number of
 * workers look up in it; publishing and the grace period are the caller's.
 * Failure: build returns -EINVAL, -E2BIG or -ENOMEM and leaves nothing behind; lookups cannot fail.
 *
 * Limits: memory is at most FP_CLS_BYTES_PER_RULE a rule and family plus FP_CLS_BYTES_FIXED,
 * whatever the rules are. Where they overlap so that trees within that bound cannot tell them
 * apart, leaves grow and are scanned, eight rules a step: the worst case is linear.
 */
#ifndef FP_CLASSIFY_H
#define FP_CLASSIFY_H

#include "util.h"

/* Policies of more rules than this are configuration errors; the leaves hold 22 bits of order. */
#define FP_CLS_MAX_RULES      (1u << 20)
#define FP_CLS_BYTES_PER_RULE 1024u
#define FP_CLS_BYTES_FIXED    (256u << 10)

#define FP_CLS_NONE      UINT32_MAX /* no rule matches; no rule may have this id */
#define FP_CLS_PROTO_ANY 256u
#define FP_CLS_ZONE_ANY  0u

/* What a packet is; a rule has a set of these. A later fragment has no layer 4 header: rules that
 * look at ports, ICMP or TCP flags never match it. */
enum fp_cls_frag {
	FP_CLS_WHOLE,
	FP_CLS_FIRST_FRAG,
	FP_CLS_LATER_FRAG,
};
#define FP_CLS_FRAG_ANY 7u

/* 128 bits in host order; IPv4 has hi = 0 and uses the lower 32 bits of lo. */
struct fp_cls_addr {
	uint64_t hi, lo;
};

struct fp_cls_rule {
	struct fp_cls_addr src_lo, src_hi, dst_lo, dst_hi; /* inclusive */
	uint32_t id;                                       /* what a lookup returns */
	uint8_t family; /* AF_INET, AF_INET6, or AF_UNSPEC: both, addresses not looked at */
	/* Inclusive. ICMP: type in sport, code in dport. Both wild is 0..65535. A rule for any
	 * protocol with ports would compare ICMP types too: give one rule a protocol. */
	uint16_t sport_lo, sport_hi, dport_lo, dport_hi;
	uint16_t proto;             /* or FP_CLS_PROTO_ANY */
	uint16_t zone_in, zone_out; /* interface or zone id, or FP_CLS_ZONE_ANY */
	uint8_t tcp_flags, tcp_mask;
	uint8_t dscp, dscp_mask;
	uint8_t frags; /* set of 1 << enum fp_cls_frag */
};

/* Packet keys, host order. Words, not bytes, because cuts take bits out of words. */
struct fp_cls_key4 {
	uint32_t src, dst;
	uint32_t ports; /* fp_cls_pair(sport, dport) or (type, code); 0 when there are none */
	uint32_t zones; /* fp_cls_pair(in, out) */
	uint32_t misc;  /* fp_cls_misc() */
};

struct fp_cls_key6 {
	struct fp_cls_addr src, dst;
	uint32_t ports, zones, misc;
};

static inline uint32_t fp_cls_pair(uint16_t a, uint16_t b)
{
	return (uint32_t)a << 16 | b;
}

static inline uint32_t fp_cls_misc(uint8_t proto, uint8_t tcp_flags, uint8_t dscp,
				   enum fp_cls_frag frag)
{
	return (uint32_t)proto | (uint32_t)tcp_flags << 8 | (uint32_t)dscp << 16 |
	       (uint32_t)frag << 24;
}

struct fp_cls;

/* A rule that matches everything in the family; the caller narrows it. */
struct fp_cls_rule fp_cls_rule_any(uint8_t family, uint32_t id);

/* Rules in order, first match wins. 0; -EINVAL (an upper bound below its lower one, an IPv4
 * address of more than 32 bits, an unknown family, id FP_CLS_NONE), -E2BIG, -ENOMEM. */
int fp_cls_build(const struct fp_cls_rule *rules, size_t n, struct fp_cls **ret_cls);

/* The same with a form of the caller's choice, for tests and measurements. */
enum fp_cls_form { FP_CLS_BEST, FP_CLS_TREES };
int fp_cls_build_as(const struct fp_cls_rule *rules, size_t n, enum fp_cls_form form,
		    struct fp_cls **ret_cls);
struct fp_cls *fp_cls_free(struct fp_cls *cls);

/* ret_ids[i] = id of the first rule that matches keys[i], or FP_CLS_NONE. Any n. */
void fp_cls_lookup4(const struct fp_cls *cls, const struct fp_cls_key4 *keys, size_t n,
		    uint32_t *ret_ids);
void fp_cls_lookup6(const struct fp_cls *cls, const struct fp_cls_key6 *keys, size_t n,
		    uint32_t *ret_ids);

struct fp_cls_stats {
	size_t bytes;            /* everything that the classifier holds */
	unsigned trees4, trees6; /* 0: bit vectors */
	unsigned depth4, depth6; /* cuts above the deepest leaf */
	unsigned leaf4, leaf6;   /* rules in the longest leaf */
};
struct fp_cls_stats fp_cls_stats(const struct fp_cls *cls);

/* The code that lookups in this classifier use. Build takes the best that the CPU has; tests take
 * the others too. False when the CPU lacks it. Before publishing only. */
enum fp_cls_isa { FP_CLS_PORTABLE, FP_CLS_AVX2, FP_CLS_AVX512, FP_CLS_ISA__MAX };
bool fp_cls_use(struct fp_cls *cls, enum fp_cls_isa isa);

#endif
