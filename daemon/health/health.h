/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the key figures of the box, sampled, judged by thresholds, and told:
 *	show health      health threshold conntrack warn 70 crit 90      health interval 10
 * A state changes when WORSE_SAMPLES samples in a row are at or above a threshold, and gets better
 * when BETTER_SAMPLES in a row are below HEALTH_BETTER percent of it; each change is logged.
 * Owns: the items (metric x interface, gateway, ...), the samples before. Threads: rtrd's loop
 *only; what is read is a handful of files below /proc and short netlink dumps. Failure: what cannot
 *be read has no value and the state UNKNOWN.
 */
#ifndef RTR_HEALTH_H
#define RTR_HEALTH_H

#include "prefix.h"
#include "schema/model.h"

#define HEALTH_INTERVAL_SEC   10
#define HEALTH_WORSE_SAMPLES  2
#define HEALTH_BETTER_SAMPLES 3
#define HEALTH_BETTER         90 /* percent of the threshold */
/* Interfaces and gateways beyond are not watched. */
#define HEALTH_MAX_ITEMS    512
#define HEALTH_MAX_GATEWAYS 8
#define HEALTH_WINDOW       20 /* probes of a gateway, one a second */
/* Restarts of programs count for so long. */
#define HEALTH_RESTART_SEC 3600

/*  enum, word, unit, warn, crit, meaning */
#define HEALTH_METRICS(X)                                                                          \
	X(THROUGHPUT, "throughput", "%", 80, 95, "Traffic of an interface, of its link's speed")   \
	X(IF_DROPS, "interface-drops", "/s", 1, 100, "Errors and drops of an interface")           \
	X(RING_DROPS, "ring-drops", "/s", 1, 100, "Packets that a NIC had no room for")            \
	X(SOFTNET, "softnet-drops", "/s", 1, 100, "Packets that a CPU had no time for")            \
	X(GW_LOSS, "gateway-loss", "%", 5, 20, "Echo requests that a gateway did not answer")      \
	X(GW_LATENCY, "gateway-latency", "ms", 100, 500, "Time of a gateway's answers")            \
	X(CONNTRACK, "conntrack", "%", 80, 95, "Fill of the connection table")                     \
	X(NEIGHBOURS, "neighbours", "%", 80, 95, "Fill of a neighbour table")                      \
	X(SOCKETS, "socket-drops", "/s", 1, 100,                                                   \
	  "Packets that sockets of the box had no room for")                                       \
	X(RETRANSMIT, "retransmissions", "%", 1, 5, "TCP segments that the box sent again")        \
	X(CPU, "cpu", "%", 80, 95, "Busiest CPU")                                                  \
	X(MEMORY, "memory", "%", 85, 95, "Memory in use")                                          \
	X(RESTARTS, "restarts", "", 1, 3, "Programs that were started again within an hour")       \
	X(TIME, "time-offset", "ms", 100, 1000, "Distance of the clock from its servers")

enum health_metric {
#define X(id, word, unit, warn, crit, help) HEALTH_##id,
	HEALTH_METRICS(X)
#undef X
		HEALTH__MAX
};

enum health_state { HEALTH_UNKNOWN, HEALTH_OK, HEALTH_WARN, HEALTH_CRIT };
extern const char *const health_state_words[];

struct health_info {
	const char *word, *unit, *help;
	uint32_t warn, crit;
};
extern const struct health_info health_info[HEALTH__MAX];

struct health_threshold {
	struct rec rec;
	uint8_t metric; /* enum health_metric */
	uint32_t warn, crit;
};

extern struct sch_type health_threshold_type;

/* ---- health_judge.c: pure ---- */

struct health_judge {
	enum health_state state, next; /* next: seen in the last n samples */
	unsigned n;
};
/* Takes in a sample; true when the state changed. */
bool health_judge(struct health_judge *j, double value, bool known, uint32_t warn, uint32_t crit);

/* ---- health.c: items ---- */

struct health_item {
	uint8_t metric;
	char name[RTR_ADDR_STRLEN + IFNAMSIZ + 2]; /* "" when there is but one */
	char note[48];                             /* said beside the value */
	double value;
	bool known;
	struct health_judge judge;
	uint64_t changed_ns, seen; /* seen: number of the round */
	struct health_item *next;
};

/* A sample of this round; note may be "". */
void health_put(enum health_metric m, const char *name, double value, const char *note);
/* The same without a value: it cannot be told. */
void health_put_unknown(enum health_metric m, const char *name, const char *note);

/* ---- health_sample.c ---- */

/* Calls health_put for all but the gateways. sec: since the last call, 0 at the first one. */
void health_sample(double sec);
void health_sample_fini(void);

/* ---- health_gateway.c ---- */

int health_gateway_init(void);
void health_gateway_fini(void);
void health_gateway_put(void);

#endif
