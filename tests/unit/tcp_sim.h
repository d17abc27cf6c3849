/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: two correct TCP ends with a bad network between them, for the tracker's property tests.
 *
 *	A ---leg 0---> tracker ---leg 1---> B        each leg loses, repeats and reorders
 *	A <--leg 3---- tracker <--leg 2---- B
 *
 * The ends follow RFC 9293 (sequence numbers, windows that never shrink, FIN, TIME-WAIT, reset
 * generation), RFC 7323 scaling and RFC 2018 SACK. There is no congestion control and no clock:
 * each step is one random event.
 */
#ifndef TEST_TCP_SIM_H
#define TEST_TCP_SIM_H

#include "fastpath/tcp_track.h"

#define SIM_MAX_BYTES  60000
#define SIM_LEG_LEN    64
#define SIM_MAX_AGE    400  /* steps that a segment may live: the network's MSL */
#define SIM_WINDOW_MIN 1024 /* above 1 << scale, else the window is zero for ever */
#define SIM_WINDOW_MAX 50000

enum { SIM_FIN = 1, SIM_SYN = 2, SIM_RST = 4, SIM_ACK = 16 };

struct sim_end {
	enum { E_CLOSED, E_LISTEN, E_SYN_SENT, E_SYN_RCVD, E_OPEN, E_DEAD } state;
	uint32_t iss, irs;
	uint32_t to_send;                 /* bytes, then FIN */
	uint32_t una, nxt;                /* offsets from iss: 0 SYN, 1.. data, to_send + 1 FIN */
	uint32_t peer_edge;               /* offset up to which the peer lets us send */
	uint32_t rcv_nxt, consumed, edge; /* offsets from irs; edge is what we advertised */
	uint32_t top; /* behind the highest byte that arrived: the right edge to SACK */
	uint32_t buffer;
	uint8_t scale, peer_scale;
	bool sack, fin_got;
	uint32_t fin_at;                /* offset of the peer's FIN, 0 = unknown */
	uint8_t got[SIM_MAX_BYTES + 4]; /* by offset from irs */
};

struct sim_pkt {
	struct tcp_seg s;
	uint32_t born;
};

struct sim_leg {
	struct sim_pkt q[SIM_LEG_LEN];
	unsigned len;
};

struct sim {
	uint64_t rng;
	uint32_t now;
	unsigned loss, repeat; /* percent */
	bool simultaneous, aborts;
	struct sim_end e[2];
	struct sim_leg leg[4];
};

/* One event. True when a segment reached the tracker: it is *ret, going in direction *ret_dir;
 * the caller then says by sim_forward() that it passed. */
bool sim_step(struct sim *m, struct tcp_seg *ret, unsigned *ret_dir);
void sim_forward(struct sim *m, const struct tcp_seg *s, unsigned dir);
void sim_init(struct sim *m, uint64_t seed, bool simultaneous, bool aborts);
/* Both ends have sent and got everything, or are gone. */
bool sim_done(const struct sim *m);

#endif
