/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: ICMP errors that the router sends: when (RFC 1812 4.3.2.7, RFC 4443 2.4), how many, and
 * the packet itself. What happens to errors of others that cross a NAT is in icmp_quote.h.
 *
 * An error quotes the packet as it was received: build it before TTL, NAT or anything else has
 * changed the frame, so that its sender knows the packet again (RFC 5508 section 4.2).
 *
 * Owns: nothing; the limiter's state is the caller's, one a worker. Threads: one a limiter.
 * Failure: as each line says.
 */
#ifndef FP_ICMP_ERR_H
#define FP_ICMP_ERR_H

#include "parse.h"

/* X(SYMBOL, type4, code4, type6, code6) */
#define FP_ICMP_KINDS(X)                                                                           \
	X(NET, 3, 0, 1, 0)         /* no route */                                                  \
	X(HOST, 3, 1, 1, 3)        /* neighbour does not answer */                                 \
	X(PORT, 3, 3, 1, 4)        /* reject, as a closed port would */                            \
	X(PROHIBITED, 3, 13, 1, 1) /* policy */                                                    \
	X(REJECT, 3, 1, 1, 6)      /* reject route */                                              \
	X(TOO_BIG, 3, 4, 2, 0)     /* arg: MTU of the next hop */                                  \
	X(TTL, 11, 0, 3, 0)                                                                        \
	X(PARAM, 12, 0, 4, 0) /* code and pointer from p->err */

#define FP_ICMP_ENUM_(sym, t4, c4, t6, c6) FP_ICMP_K_##sym,
enum fp_icmp_kind { FP_ICMP_KINDS(FP_ICMP_ENUM_) FP_ICMP_K__MAX };
#undef FP_ICMP_ENUM_

struct fp_icmp_req {
	enum fp_icmp_kind kind;
	uint32_t arg;
	const uint8_t *src; /* 4 or 16 bytes: an address of the router, not the translated one */
	uint16_t id;        /* IPv4 identification, any counter */
	uint16_t mtu;       /* of its way: it is cut to that; 0: not known */
};

/* The most that an error may be: RFC 1812 4.3.2.3, RFC 4443 2.4(c). */
#define FP_ICMP4_MAX 576
#define FP_ICMP6_MAX 1280

/* May an error of this kind be sent about the packet? Whether the destination was a directed
 * broadcast is the caller's knowledge. */
bool fp_icmp_err_allowed(const uint8_t *frame, const struct fp_pkt *p, enum fp_icmp_kind kind);

/*
 * Writes the error from its IP header on into out, which has cap bytes; the packet at frame is
 * only read. Returns its length, 0 when cap is too small (FP_ICMP4_MAX or FP_ICMP6_MAX do).
 */
uint32_t fp_icmp_err_build(uint8_t *out, uint32_t cap, const uint8_t *frame, const struct fp_pkt *p,
			   const struct fp_icmp_req *req);

/*
 * The limiter: a bucket a kind for destinations that got that kind of error within the last
 * second, and one a kind for those that did not. A flood that one sender draws, or that is of
 * another kind, takes nothing from the first error that another sender needs (a lost "too big" is
 * a black hole, RFC 8201 section 4).
 */
#define FP_ICMP_RL_SLOTS 1024 /* destinations remembered; a collision only forgets one */

struct fp_icmp_bucket {
	uint64_t credit_ns, last_ns;
};

struct fp_icmp_rl {
	uint64_t cost_ns, max_ns; /* one error; a full bucket */
	uint64_t seed;
	struct fp_icmp_bucket again[FP_ICMP_K__MAX], first[FP_ICMP_K__MAX];
	struct {
		uint64_t key, at_ns;
	} slot[FP_ICMP_RL_SLOTS];
	uint64_t n_sent[FP_ICMP_K__MAX], n_limited[FP_ICMP_K__MAX];
};

/* rate errors a second and burst at once, both at least 1, in each bucket. */
void fp_icmp_rl_init(struct fp_icmp_rl *rl, uint32_t rate, uint32_t burst, uint64_t seed,
		     uint64_t now_ns);

/* May an error of this kind go to the sender of the packet now? Takes the token when it may. */
bool fp_icmp_rl_take(struct fp_icmp_rl *rl, enum fp_icmp_kind kind, const uint8_t *frame,
		     const struct fp_pkt *p, uint64_t now_ns);

#endif
