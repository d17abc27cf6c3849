/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: rtrd's side of the fast plane: which interfaces are on it (`dataplane`), rtr-fastpath's
 * life, and what it tells.
 *
 * The policy goes to rtr-fastpath as soon as it is in the kernel (fast_push.c). The gate: when a
 * plan's policy is one that the fast plane cannot take, every interface leaves it, before that
 * ruleset is sent to the kernel; it returns when a commit with another one is in force. What
 * others put into the kernel (nftables, IPsec, ip rules, tc) rtr-fastpath watches itself.
 *
 * Files: fast_schema.c (lines), fast_gate.c, fast_policy*.c (the policy compiled), fast_push.c (and
 * sent), fast_client.c (the program), fast_carried.c (counters of VLANs), fast_show.c.
 * Owns: the socket to rtr-fastpath, the figures that it told last. Threads: rtrd's loop only.
 * Failure: rtr-fastpath that dies is started again; meanwhile XDP forwards known flows and the
 * kernel all others.
 */
#ifndef RTR_DAEMON_FASTPATH_H
#define RTR_DAEMON_FASTPATH_H

#include "iface/iface.h"
#include "rtr/fastpath.h"

enum dataplane { DATAPLANE_AUTO, DATAPLANE_FAST, DATAPLANE_KERNEL };

struct global;

/* The line of an interface, or what holds without one. */
enum dataplane fast_wish(const struct iface *i);
bool fast_express(const struct iface *i);
enum fastpath_zc fast_zero_copy(const struct iface *i);
/* Some interface of a model may be on it. */
bool fast_wanted(const struct rec *root);
unsigned fast_workers(const struct global *g);
uint32_t fast_flows(const struct global *g, unsigned family); /* 0: IPv4, 1: IPv6 */
uint32_t fast_memory(const struct global *g);                 /* MB a worker */

/* ---- fast_gate.c ---- */

/* Why the policy keeps packets on the kernel plane; "": it does not. */
const char *fast_gate(void);
/* Lets XDP go on, when nothing is against it. */
void fast_gate_open(void);
/* Stops XDP at once, or lets it go on, whatever rtr-fastpath does. */
void fast_word(bool off);

/* ---- fast_push.c ---- */

int fast_push_init(void);
void fast_push_fini(void);
/* The running policy, links or addresses may be others. */
void fast_push_look(void);
/* By the socket to rtr-fastpath, if it is to be sent: false when that is full. */
bool fast_push_send(int sock);
/* FASTPATH_JUDGED: true when it may change which interfaces are wanted. */
bool fast_push_answer(const struct fastpath_event *e);
void fast_push_gone(void);
/* Why no interface may be on the fast plane; "": nothing. */
const char *fast_push_against(void);
/* Nobody has taken a policy yet, of this process, and none was refused. */
bool fast_push_awaited(void);
/* rtr-fastpath has a policy of this process in force, maybe not the last one. */
bool fast_push_serving(void);
/* All flows have been judged by the running policy. */
bool fast_push_swept(void);
/* After a commit: as txn_after_fn. */
bool fast_push_after(void (*done)(const char *text));
/* The same when it has put another process in the place of the one that ran: until that serves. */
bool fast_push_started(void (*done)(const char *text));
/* A commit waits for that: it has been published. */
bool fast_push_waits(void);

/* ---- fast_client.c ---- */

/* All interfaces leave the fast plane. */
void fast_gate_closed(void);
/* Says what there is to say to rtr-fastpath. */
void fast_talk(void);
/* Policy and interfaces are looked at anew, when no commit is under way. */
void fast_look_soon(void);

/* What keeps an interface with the kernel, as far as rtrd knows; NULL: nothing. */
const char *fast_against(const struct iface *i);

struct fast_port {
	char name[IFNAMSIZ]; /* the kernel's */
	int ifindex;
	bool wanted, told, heard; /* by the lines; rtr-fastpath was; it answered */
	bool express;
	enum fastpath_zc zero_copy;
	struct fastpath_event state; /* FASTPATH_STATE */
	struct fastpath_event count;
	struct fast_port *next;
};

struct fast_seen {
	bool needed, running, ready;
	bool was_ready; /* at least once: its state is known */
	uint64_t starts;
	char failure[FASTPATH_TEXT];
	struct fast_port *ports;
	struct fastpath_worker workers[16];
	unsigned n_workers;
	struct fastpath_table table;
};

const struct fast_seen *fast_seen(void);

/* Is the link (the kernel's name) on the fast plane at this moment? */
bool fast_carries(const char *kernel_name);

/* Asks for all figures, or up to n flows; done() is called once, ok false: no answer. flow() gets
 * each flow. */
struct fast_ask;
struct fast_ask *fast_ask(bool flows, uint32_t n,
			  void (*flow)(void *arg, const struct fastpath_flow *f),
			  void (*done)(void *arg, bool ok), void *arg);
/* Which way rtr-fastpath would send a packet from an interface (0: any of the VRF; of none). */
struct fast_ask *fast_ask_way(const struct rtr_addr *dst, int ifindex, int vrf,
			      void (*route)(void *arg, const struct fastpath_route *r),
			      void (*done)(void *arg, bool ok), void *arg);
/* Any other question: event() gets what is said to it, the end of it included. */
struct fast_ask *fast_ask_events(const struct fastpath_req *q,
				 void (*event)(void *arg, const struct fastpath_event *e),
				 void (*done)(void *arg, bool ok), void *arg);
void fast_ask_drop(struct fast_ask *a);

/* ---- fast_conn.c ---- */

/* Connections are listed and ended with the kernel's (conntrack/ct.h) from now on. */
void fast_conn_init(void);
/* A connection as the displays have it. */
struct ct_entry;
void fast_conn_entry(const struct fastpath_conn *c, struct ct_entry *ret);

/* ---- fast_carried.c: what the fast plane carries for VLANs ---- */

/* FASTPATH_COUNT; process: a number of rtr-fastpath's, which counts from 0. */
void fast_carried_take(const struct fastpath_event *e, uint64_t process);
/* Adds it to what the kernel counts of the link, which has seen none of it. */
struct rtnl_link_stats64;
void fast_carried_add(int ifindex, struct rtnl_link_stats64 *stats);
/* Links have gone. */
void fast_carried_prune(void);
void fast_carried_fini(void);

int fast_init(void);
void fast_fini(void);
void fast_observed(unsigned change);

#endif
