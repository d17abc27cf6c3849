/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: diagnose neighbor|path|mtu: goes through the layers in order, says what it saw at each, and
 * ends with one verdict: the layer at fault, why, and the configuration lines that would mend it.
 * Files: diagnose.c (commands, document), diagnose_look.c (what the model and the kernel tell at
 * once), diagnose_neigh.c, diagnose_path.c, diagnose_mtu.c (probes).
 * Owns: its probes and timers until the command ends. Threads: rtrd's loop only; probes are
 * answered or time out from the loop. Failure: in the verdict.
 */
#ifndef RTR_DIAGNOSE_H
#define RTR_DIAGNOSE_H

#include "cli/command.h"
#include "diag/probe.h"
#include "diag/whohas.h"
#include "schema/model.h"

#include <net/if.h>

struct shadow_link;
struct diagnose;

#define LAYER_NONE      "none"
#define LAYER_ADDRESS   "address"
#define LAYER_LINK      "link"
#define LAYER_NEIGHBOUR "neighbour"
#define LAYER_ROUTE     "route"
#define LAYER_FORWARD   "forwarding"
#define LAYER_POLICY    "policy"
#define LAYER_RETURN    "return"
#define LAYER_MTU       "mtu"
#define LAYER_PATH      "path"
#define LAYER_SERVICE   "service"

struct diag_route {
	int error; /* -errno of the kernel */
	uint8_t type;
	struct rtr_addr gw; /* family 0: on link */
	int oif;
};

typedef void (*diag_step_fn)(struct diagnose *d);
typedef void (*diag_answer_fn)(struct diagnose *d, enum probe_answer a, const struct rtr_addr *from,
			       unsigned mtu);

struct diagnose {
	struct cmd_ctx *c;
	json_t *doc, *steps, *fix;
	struct rtr_addr dst, src; /* src.family 0: from the router itself */
	char from_if[IFNAMSIZ];   /* kernel's name; "" likewise */
	char dst_text[RTR_ADDR_STRLEN + IFNAMSIZ];
	char vrf[IFNAMSIZ]; /* asked in this VRF; "": none */
	int vrf_if;         /* its link; 0: none */
	uint8_t proto;
	uint16_t port; /* 0: none asked for */

	struct rtr_addr hop; /* who the packet is given to */
	int hop_if;

	/* one question under way */
	struct probe *probe;
	struct whohas *who;
	struct event *timer, *connect;
	int fd;
	unsigned tries, timeout_ms;
	unsigned size;
	bool df, pinged;
	enum probe_answer refused; /* by the own stack */
	diag_answer_fn answer;
	diag_step_fn then; /* when the neighbour is good */

	unsigned ttl, silent; /* of the trace */
	struct rtr_addr last;
	unsigned good_size, bad_size, link_mtu; /* of the sweep */
};

/* ---- diagnose.c ---- */

enum diag_result { DIAG_OK, DIAG_BAD, DIAG_NOTE };
/* Evidence; printed at once, unless it is for JSON. */
void diag_step(struct diagnose *d, const char *layer, enum diag_result r, const char *fmt, ...)
	RTR_PRINTF(4, 5);
/* A line that would mend it; before the verdict. */
void diag_fix(struct diagnose *d, const char *fmt, ...) RTR_PRINTF(2, 3);
/* Ends the command: d is gone. */
void diag_verdict(struct diagnose *d, const char *layer, const char *fmt, ...) RTR_PRINTF(3, 4);

/* Sends an echo (with d->size, d->df) until something is heard, at most `tries` times. */
void diag_ping(struct diagnose *d, unsigned tries, unsigned timeout_ms, unsigned ttl,
	       diag_answer_fn answer);

/* ---- diagnose_look.c: true = it ended with a verdict ---- */

const char *diag_link_name(int ifindex); /* the operator's */
/* The link with the longest network around the address; *ret_net is its own address there. */
const struct shadow_link *diag_connected(const struct diagnose *d, const struct rtr_addr *a,
					 struct rtr_prefix *ret_net);
/* Is the link in the VRF that is asked about (or, as that one, in none)? */
bool diag_in_vrf(const struct diagnose *d, const struct shadow_link *l);
/* "ip route", "ipv6 route vrf RED": what a line begins with that would mend it. */
const char *diag_route_words(const struct diagnose *d);
bool diag_look_own(struct diagnose *d, const struct rtr_addr *a);
bool diag_look_link(struct diagnose *d, int ifindex);
/* Does a line give the network of `a` to an interface that is down, or not there? */
bool diag_look_configured(struct diagnose *d, const struct rtr_addr *a);
bool diag_look_route(struct diagnose *d);
/* oif 0: any of the VRF. Of several equal ways the kernel's pick. */
void diag_ask_route(const struct diagnose *d, const struct rtr_addr *dst, int oif,
		    struct diag_route *ret);

/* ---- the kinds ---- */

void diag_neighbour(struct diagnose *d); /* of d->dst */
/* The next hop does not answer, or not what it should: why? then() when it is not at fault. */
void diag_neighbour_of_hop(struct diagnose *d, diag_step_fn then);
void diag_path(struct diagnose *d);
/* Nothing comes back: neighbour, then how far it goes. */
void diag_unanswered(struct diagnose *d);
void diag_mtu(struct diagnose *d);

#endif
