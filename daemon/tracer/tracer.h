/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: packet-tracer: what becomes of a packet that comes by an interface, stage by stage, each
 * with its configuration line. The judge of the policy (firewall/policy.h) decides; what it needs
 * to know of the box is asked from the kernel, which also names connection, route and neighbour;
 * and the rules in the kernel are shown to be those that the configuration compiles to.
 * Files: tracer.c (command), tracer_phases.c (stages to document; pure but for struct
 * tracer_kernel), tracer_kernel.c (the kernel's answers), tracer_text.c (document to text),
 * tracer_frame.c (the packet's bytes), tracer_send.c (transmit), tracer_watch.c (nftrace).
 *
 * Owns: see each call. Threads: rtrd's loop only; questions are single ones, which the kernel
 * answers inside the system call. Failure: in the document.
 */
#ifndef RTR_TRACER_H
#define RTR_TRACER_H

#include "conntrack/ct.h"
#include "firewall/policy.h"
#include "kernel/rule.h"
#include "rtr/drop.h"

#include <jansson.h>

/* ICMP queries have this identifier, so that a trace finds the connection of the one before. */
#define TRACER_ICMP_ID 0x7472

struct fastpath_traced;

struct tracer_ask {
	struct pol_packet pkt; /* as received; state, reply and pass are found out */
	bool detailed;         /* the packet as each stage sees it */
	/* What rtr-fastpath would do with it; NULL: it was not asked, or does not answer. */
	const struct fastpath_traced *fast;
};

struct tracer_link {
	bool found, up; /* administratively, with carrier */
	bool forwarding;
	bool no_neighbours; /* loopback, point to point: nothing to resolve */
	bool ether;         /* has a MAC address */
	uint8_t mac[6];
	int ifindex;
};

struct tracer_route {
	int error; /* -errno of the kernel, 0 */
	uint8_t type, proto;
	uint32_t table, metric;
	bool has_prefix;
	struct rtr_prefix prefix; /* the route's */
	struct rtr_addr gw;       /* family 0: on link */
	char oif[IFNAMSIZ];       /* as the kernel has it */
};

struct tracer_neigh {
	bool found, has_mac;
	uint16_t state; /* NUD_* */
	uint8_t mac[6];
};

/* Is what the kernel has what the configuration compiles to? */
struct tracer_ruleset {
	int error; /* it cannot be told */
	bool busy; /* a commit is under way */
	bool same;
	uint32_t generation;
	char difference[128]; /* "add 1 rule" */
};

/* What is asked of the kernel; tests answer by themselves. Names are the kernel's. */
struct tracer_kernel {
	void (*link)(void *arg, const char *ifname, uint8_t family, struct tracer_link *ret);
	/* By p->iif from p->src to dst, with p's protocol and ports. */
	void (*route)(void *arg, const struct pol_packet *p, const struct rtr_addr *dst,
		      struct tracer_route *ret);
	/* As the rule of reverse paths asks (nft's fib expression): has src a route; by iif? */
	bool (*back)(void *arg, const struct rtr_addr *src, const char *iif, bool strict);
	void (*neigh)(void *arg, const char *ifname, const struct rtr_addr *a,
		      struct tracer_neigh *ret);
	int (*conn)(void *arg, const struct ct_tuple *t, struct ct_entry *ret);
	/* Sorted by preference, the caller's to free; -errno. */
	int (*rules)(void *arg, uint8_t family, struct rule **ret);
	void (*ruleset)(void *arg, struct tracer_ruleset *ret);
	bool (*fast)(void *arg, const char *ifname); /* is it on the fast plane? */
	void *arg;
};
const struct tracer_kernel *tracer_kernel(void);

/* The prediction, for comparing with what a real packet met. */
struct tracer_result {
	json_t *doc; /* the caller's */
	enum rtr_drop drop;
	bool local;
	enum pol_stage stage;     /* that dropped it; POL_ST__MAX: none of the policy's */
	bool reject;              /* with an answer */
	bool had_conn;            /* it belongs to a connection */
	struct ct_tuple as_sent;  /* the tuple of the packet as received */
	char oif[IFNAMSIZ];       /* "": none */
	struct rtr_addr next_hop; /* family 0: nobody to resolve */
	/* As it leaves, or is delivered; of a source that the kernel picks: within snat. */
	struct rtr_addr src, dst;
	uint16_t sport, dport;
	struct pol_xlate snat, dnat;
};

/* ---- the fast plane ---- */

struct tracer_fast;
/* What rtr-fastpath would do with the packet; done() is called once, NULL: it does not answer.
 * NULL: the packet does not come by an interface of the fast plane. */
struct tracer_fast *tracer_fast_ask(const struct pol_packet *p,
				    void (*done)(void *arg, const struct fastpath_traced *t),
				    void *arg);
void tracer_fast_forget(struct tracer_fast *f);
/* How what it does, leaving by oif (NULL: none), differs from what the kernel is predicted to do;
 * NULL: it does not. */
const char *tracer_fast_differs(const struct pol_packet *p, const struct fastpath_traced *t,
				const char *oif, const struct tracer_result *r);
/* Both into the document, as "fast_plane". */
void tracer_fast_compare(const struct pol_packet *p, const struct fastpath_traced *t,
			 const struct tracer_result *r, json_t *doc);

void tracer_run(const struct tracer_ask *ask, const struct policy *p, const struct tracer_kernel *k,
		struct tracer_result *ret);

/* ---- transmit ---- */

#define TRACER_FRAME_MAX 128

/* The packet as an Ethernet frame to mac, ready to be received; marked by id, of which IPv4 has 16
 * bits (its identification) and IPv6 20 (its flow label). Returns its size. */
size_t tracer_frame(const struct pol_packet *p, const uint8_t mac[6], uint32_t id,
		    uint8_t ret[TRACER_FRAME_MAX]);

/* What nftables did with the marked packet. */
#define TRACER_HOOKS_MAX 64
struct tracer_seen {
	struct tracer_hook {
		char table[64], chain[128], target[128];
		uint8_t family;
		int32_t verdict; /* NF_DROP, NF_ACCEPT, NFT_JUMP, ... */
		bool policy;     /* of the chain, not of a rule */
		uint64_t handle; /* of the rule */
	} hooks[TRACER_HOOKS_MAX];
	size_t n;
	uint32_t id;    /* of the trace; 0: not begun */
	bool dropped;   /* the last of hooks did */
	char base[128]; /* the base chain that was being run */
	bool forwarded, delivered;
	int oif;
	/* as it left, or was delivered */
	struct rtr_addr src, dst;
	uint16_t sport, dport;
};
/* Takes in one message of nfnetlink's trace group; table is that of our marker. True when the end
 * of the way is known. */
struct nlmsghdr;
bool tracer_take(struct tracer_seen *s, const struct nlmsghdr *h, const char *table);
/* Adds "transmit" to the document: what was predicted, what happened, AGREE or DIFFER. */
void tracer_compare(const struct tracer_result *r, const struct policy *p,
		    const struct tracer_seen *s, bool neigh_failed, const char *oif);
/* "" or why it did not. */
typedef void (*tracer_sent_fn)(void *arg, const char *error, const struct tracer_seen *s);
struct tracer_send;
/* Sends the packet as if it came by the link, followed by nftrace. done is called once, from the
 * loop, when all that was made for it is gone from the kernel again; not after
 * tracer_send_forget. NULL: *ret_error tells; -EBUSY: another one is under way. */
struct tracer_send *tracer_send(const struct pol_packet *p, const struct tracer_link *in,
				tracer_sent_fn done, void *arg, int *ret_error);
void tracer_send_forget(struct tracer_send *t);

/* ---- text ---- */

struct cmd_ctx;
void tracer_print(struct cmd_ctx *c, const json_t *doc);
/* "10.0.0.1:80", "[2001:db8::1]:80"; port 0: the address alone. */
#define TRACER_END_STRLEN (RTR_ADDR_STRLEN + 9)
char *tracer_end_str(const struct rtr_addr *a, uint16_t port, char buf[TRACER_END_STRLEN]);

#endif
