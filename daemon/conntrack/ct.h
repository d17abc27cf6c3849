/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the kernel's connection table: reading it (whole, or what a filter picks), ending entries,
 * one entry by its tuple, events, numbers. Every part works in pieces from rtrd's loop; no call
 * waits for the table, however large it is.
 *
 * How a dump stays off the loop: one recv() of a ctnetlink dump runs through the kernel's table
 * until 32 KiB are full; when nothing matches, through all of it (63 ms at 250,000 entries, 30 ms
 * for an empty table of 262,144 buckets). So a thread per dump does nothing but recv() and send()
 * into a socket pair, whose send buffer is the bound on memory; parsing (0.8 us an entry) and all
 * callbacks happen in the loop, CT_SLICE_NS at a time.
 *
 * Owns: sockets of each operation. Threads: rtrd's loop only, but for the reader above, which
 * touches two descriptors and no memory of ours. Failure: -errno in the callback or the result.
 */
#ifndef RTR_CT_H
#define RTR_CT_H

#include "prefix.h"
#include "strbuf.h"

#include <event2/event.h>
#include <net/if.h>

/* One read of a dump: the kernel fills no more. An entry has 200 bytes and more. */
#define CT_PIECE 32768
/* What one operation does in one turn of the loop. */
#define CT_SLICE_NS (1 * NSEC_PER_MSEC)
/* Dumps at a time, over all sessions; more are refused with -EBUSY. */
#define CT_MAX_DUMPS 16

/* Once, before everything else. */
void ct_init(struct event_base *base);
struct event_base *ct_base(void);

/* ---- an entry ---- */

/* Ports in host order. ICMP: sport = dport = the id, and type and code of the request. */
struct ct_tuple {
	struct rtr_addr src, dst;
	uint16_t sport, dport;
	uint8_t proto, icmp_type, icmp_code, pad;
	uint16_t zone; /* conntrack zone of this direction; not the firewall's */
};

enum ct_state {
	CT_S_ANY, /* in filters */
	/* TCP, as the kernel's tracker */
	CT_S_NONE,
	CT_S_SYN_SENT,
	CT_S_SYN_RECV,
	CT_S_ESTABLISHED,
	CT_S_FIN_WAIT,
	CT_S_CLOSE_WAIT,
	CT_S_LAST_ACK,
	CT_S_TIME_WAIT,
	CT_S_CLOSE,
	CT_S_SYN_SENT2,
	/* all others */
	CT_S_UNREPLIED,
	CT_S_REPLIED,
	CT_S_ASSURED,
	CT_S__MAX
};

struct ct_entry {
	struct ct_tuple orig, reply;
	uint32_t id, mark, timeout_sec;
	uint32_t status; /* IPS_ of linux/netfilter/nf_conntrack_common.h */
	enum ct_state state;
	bool unacked;                         /* TCP: data is on its way; another timeout holds */
	uint32_t label[4];                    /* as the policy wrote it: docs/design/policy.md */
	uint64_t packets[2], bytes[2];        /* 0 where nf_conntrack_acct was off at its start */
	uint64_t start_real_ns, stop_real_ns; /* 0: unknown, still there */
	char helper[16];
	/* Of a connection that the fast plane looks after. */
	uint64_t fast_ref;     /* 0: the kernel does */
	const char *fast_path; /* "worker", "express" */
	bool mirrored;         /* the kernel has an entry, too */
};

/* Does the entry mirror a connection of the fast plane (its counters and state are not kept), and
 * does that look after it now? Who judges entries leaves these to it. */
bool ct_is_mirror(const struct ct_entry *e);

/* Interfaces that its first packet came and left by; 0: the box itself, or unknown. */
static inline unsigned ct_iif(const struct ct_entry *e)
{
	return e->label[3] & 0xffff;
}

static inline unsigned ct_oif(const struct ct_entry *e)
{
	return e->label[3] >> 16;
}

const char *ct_state_name(enum ct_state s);    /* "syn-sent"; "" for CT_S_ANY */
enum ct_state ct_state_find(const char *name); /* CT_S_ANY when there is none */
bool ct_is_snat(const struct ct_entry *e);
bool ct_is_dnat(const struct ct_entry *e);

/* ---- filters ---- */

/*
 * All that is set must hold. Addresses and ports match before or after translation: source is the
 * initiator as it sent, or as the other side sees it. What the kernel can filter (family,
 * protocol, mark, status, conntrack zone; with as_sent also IPv4 addresses, and ports) it does;
 * then everything is looked at again here, so the meaning does not depend on the kernel.
 */
struct ct_filter {
	uint8_t family; /* AF_UNSPEC: both */
	bool as_sent;   /* addresses and ports as the initiator sent them, nothing else */
	bool has_proto, has_src, has_dst, has_sport, has_dport;
	uint8_t proto;
	struct rtr_prefix src, dst;
	uint16_t sport, dport;
	enum ct_state state;
	bool nat;                 /* translated ones only */
	uint32_t mark, mark_mask; /* mask 0: any */
	uint32_t status, status_mask;
	bool has_ct_zone, has_in_zone;
	uint16_t ct_zone;
	uint16_t in_zone;      /* the firewall's; what ct_policy_names.zone_of says */
	char ifname[IFNAMSIZ]; /* interface that it came or left by; "": any */
	/* Anything else; called last. */
	bool (*match)(void *arg, const struct ct_entry *e);
	void *arg;
};

bool ct_filter_match(const struct ct_filter *f, const struct ct_entry *e);
bool ct_filter_empty(const struct ct_filter *f); /* lets all pass */

/* ---- reading ---- */

struct ct_dump;
/* For each match; then done, once: 0 or -errno. */
struct ct_dump_fns {
	void (*each)(void *arg, const struct ct_entry *e);
	void (*done)(void *arg, int error);
};
/* f (may be NULL) is copied. NULL: *ret_error tells. */
struct ct_dump *ct_dump_start(const struct ct_filter *f, const struct ct_dump_fns *fns, void *arg,
			      int *ret_error);
/* The rest of the piece being read (less than CT_PIECE / 200 entries) still comes. */
void ct_dump_pause(struct ct_dump *d);
void ct_dump_resume(struct ct_dump *d);
/* Before or inside the callbacks: no other follows. After done it is gone by itself. NULL. */
struct ct_dump *ct_dump_cancel(struct ct_dump *d);

/* The entry that a packet with this tuple belongs to, in either direction. One round trip, some
 * microseconds. 0, -ENOENT, -errno. */
int ct_get(const struct ct_tuple *t, struct ct_entry *ret);

/* ---- both planes ---- */

/* The fast plane as this folder sees it; given by daemon/fastpath. Requests are answered from the
 * loop, or dropped. */
struct ct_plane {
	bool (*runs)(void);
	/* At most n connections from position at on (0: the first); then done, once: next 0: no
	 * more. NULL: not now. */
	void *(*list)(uint64_t at, uint32_t n, void (*each)(void *arg, const struct ct_entry *e),
		      void (*done)(void *arg, bool ok, uint64_t next), void *arg);
	/* Ends up to CT_PLANE_REFS connections; next: how many did. */
	void *(*end)(const uint64_t *ref, uint32_t n,
		     void (*done)(void *arg, bool ok, uint64_t next), void *arg);
	void (*drop)(void *request);
};
#define CT_PLANE_REFS 56
void ct_set_plane(const struct ct_plane *p);

/* As a dump, of both planes as one: connections of the fast plane first, and none twice. */
struct ct_list;
struct ct_list *ct_list_start(const struct ct_filter *f, const struct ct_dump_fns *fns, void *arg,
			      int *ret_error);
void ct_list_pause(struct ct_list *l);
void ct_list_resume(struct ct_list *l);
struct ct_list *ct_list_cancel(struct ct_list *l);

/* ---- changing ---- */

enum ct_verdict { CT_KEEP, CT_END };
typedef enum ct_verdict (*ct_judge_fn)(void *arg, const struct ct_entry *e);

struct ct_change_result {
	int error; /* why it ended early, or 0 */
	uint64_t judged, ended;
	uint64_t gone;   /* ended by themselves before we came to it */
	uint64_t failed; /* refused by the kernel, first errno in fail_errno */
	int fail_errno;
};
typedef void (*ct_change_fn)(void *arg, const struct ct_change_result *r);

struct ct_change;
/*
 * Walks all entries that f picks and asks judge about each; writes go out in batches. For a
 * commit: start it when the new policy is in the kernel; entries made since are then judged by it
 * already, and the walk meets every older one (a resize of the table meanwhile repeats it).
 */
struct ct_change *ct_rejudge(const struct ct_filter *f, ct_judge_fn judge, ct_change_fn done,
			     void *arg, int *ret_error);
/* Ends all that f picks. */
struct ct_change *ct_delete(const struct ct_filter *f, ct_change_fn done, void *arg,
			    int *ret_error);
/* The same in both planes; a connection that both hold counts once. */
struct ct_end;
struct ct_end *ct_end_start(const struct ct_filter *f, ct_change_fn done, void *arg,
			    int *ret_error);
struct ct_end *ct_end_cancel(struct ct_end *k);
/* What was ended stays ended; done is not called. NULL. */
struct ct_change *ct_change_cancel(struct ct_change *c);

/* ---- events ---- */

enum ct_event {
	CT_EV_NEW,
	CT_EV_UPDATE,
	CT_EV_DESTROY,
	CT_EV_LOST,   /* the socket overran: e is NULL; a dump follows */
	CT_EV_SYNC,   /* an entry of that dump: it may be known already */
	CT_EV_SYNCED, /* the end of it; e is NULL: what was not seen since CT_EV_LOST is gone */
};
typedef void (*ct_event_fn)(void *arg, enum ct_event ev, const struct ct_entry *e);

struct ct_events;
/*
 * mask: 1 << CT_EV_NEW, ... f (may be NULL) is copied. With nf_conntrack_events 2, the kernel's
 * default, flows that began while nobody listened tell neither update nor end.
 */
struct ct_events *ct_events_start(unsigned mask, const struct ct_filter *f, ct_event_fn fn,
				  void *arg, int *ret_error);
uint64_t ct_events_overruns(const struct ct_events *v);
struct ct_events *ct_events_stop(struct ct_events *v);

/* ---- numbers ---- */

struct ct_count {
	uint32_t n, max, buckets;
};
/* One round trip. 0 or -errno. */
int ct_count_get(struct ct_count *ret);

/* Of one CPU, in this namespace, since it began. */
struct ct_cpu_stats {
	unsigned cpu;
	uint32_t found, invalid, insert, insert_failed, drop, early_drop, error, search_restart,
		clash_resolve, chain_toolong;
};
/* *ret is malloc'd. Number of CPUs or -errno. */
int ct_stats_get(struct ct_cpu_stats **ret);

/* ---- what the policy tells the displays; all may be NULL ---- */

struct ct_policy_names {
	/* "INSIDE-OUTSIDE", "OUTSIDE-IN 20" for the columns Zone-pair and Rule; false: unknown. */
	bool (*zone_pair)(const struct ct_entry *e, struct strbuf *ret);
	bool (*rule)(const struct ct_entry *e, struct strbuf *ret);
	/* The id of a zone; -1 when there is none of that name. */
	int (*zone_id)(const char *name);
	/* The interface of a number in labels; NULL: none. */
	const char *(*iface)(unsigned ifindex);
	/* The id of the zone that a connection came by; -1: unknown. */
	int (*zone_of)(const struct ct_entry *e);
};
void ct_set_policy_names(const struct ct_policy_names *names);
const struct ct_policy_names *ct_policy_names(void);

#endif
