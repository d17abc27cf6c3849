/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the policy that both planes enforce, free of any plane: access lists, zones, the box
 * itself, and what NAT does to a packet, with all names resolved. Built from the model by
 * policy_build (policy_build.c), judged by policy_eval (policy_eval.c), compiled to nftables by
 * firewall/compile*.c and to the classifier of the fast plane. docs/design/policy.md gives the
 * order of the stages and why it is so.
 *
 * Owns: a policy owns all it points at but the records of the model, to which it holds a
 * reference. It is immutable and reference-counted; a rebuild shares the lists, sets and rules
 * that did not change with the old one (equal pointer = equal content), so that what compiles it
 * pays for the change only.
 * Threads: rtrd's loop only. Failure: policy_build reports by check_error, naming the line, what
 * cannot be exact; policy_eval cannot fail.
 */
#ifndef RTR_POLICY_H
#define RTR_POLICY_H

#include "prefix.h"
#include "rtr/inspectd.h"
#include "schema/model.h"

#include <net/if.h>
#include <time.h>

struct check;
struct nat_policy;

/* ---- sets ---- */

/* Addresses of one family: disjoint inclusive ranges, ascending, not adjacent. */
struct pol_addrs {
	unsigned refs;
	const char *group; /* own copy: the object group that it is; NULL: written in the rule */
	uint8_t family;
	size_t n;
	struct pol_addr_range {
		struct rtr_addr lo, hi;
	} r[];
};

/* Ports (or any 16-bit values): disjoint inclusive ranges, ascending. */
struct pol_ports {
	unsigned refs;
	size_t n;
	struct pol_port_range {
		uint16_t lo, hi;
	} r[];
};

/* ---- rules ---- */

#define POL_PROTO_ANY 256

/* One alternative of a rule's service: a rule without service object has one. */
struct pol_service {
	uint16_t proto;                        /* IPPROTO_* or POL_PROTO_ANY */
	const struct pol_ports *sport, *dport; /* NULL: any */
	bool has_icmp_type, has_icmp_code;
	uint8_t icmp_type, icmp_code;
	/* TCP: matches when (flags & mask) == value for any of them; n 0: any. `established` of
	 * IOS is ACK or RST. */
	uint8_t n_flags;
	struct {
		uint8_t mask, value;
	} flags[4];
};

enum pol_action {
	POL_DENY,   /* silently */
	POL_PERMIT, /* its connection is tracked, answers belong to it */
	POL_REJECT, /* TCP: RST; else ICMP administratively prohibited (type 3/13, ICMPv6 1/1) */
	POL_PASS,   /* `pass` of an inspect policy: this direction only, without state */
};

/* State of the packet's connection; a set of 1 << these in a rule. */
enum pol_state { POL_NEW, POL_ESTABLISHED, POL_RELATED, POL_INVALID, POL_UNTRACKED };

struct pol_limit {
	uint32_t rate;   /* new connections a second; 0: none */
	uint32_t burst;  /* above the rate, at once */
	uint32_t conns;  /* live connections; 0: none */
	bool per_source; /* each source address has its own (rate and conns); else all together */
};

/* Identity of a rule in counters, connection labels and logs: a hash of what names it (list and
 * sequence number), so that it outlives commits and restarts; never below 16, nor above 2^30 - 1
 * (the bits above are POL_LABEL_PASS and inspect_wait). */
#define POL_ID_MIN 16
typedef uint32_t pol_id;

struct pol_rule {
	unsigned refs;
	pol_id id;
	uint32_t seq;
	enum pol_action action;
	uint8_t family;                    /* AF_INET, AF_INET6 */
	const struct pol_addrs *src, *dst; /* NULL: any */
	size_t n_services;
	const struct pol_service *services; /* at least one; matches when one of them does */
	uint64_t dscp;                      /* set of 1 << DSCP; 0: any */
	uint8_t ttl_lo, ttl_hi;             /* 0..255: any; hop limit of IPv6 */
	uint16_t len_lo, len_hi;            /* of the IP packet; 0..65535: any */
	bool fragments; /* only fragments after the first. Without it, a rule that looks
			 * at layer 4 never matches these. Tracked flows are judged whole
			 * (after reassembly): there it matches nothing. */
	uint8_t states; /* set of 1 << enum pol_state; 0: any */
	const struct rec *time_range; /* NULL: always. The compiler leaves out what is not now
				       * in force; see policy_next_change */
	bool active;                  /* time range is in force at build time */
	bool log;
	uint32_t log_rate;      /* lines a minute */
	struct pol_limit limit; /* of a permit; what exceeds it is dropped by this rule */
	const char *helper;     /* "ftp", ...: NULL none */
	const char *tls_name;   /* server name pattern; NULL none: decided by the queue helper */
	const struct rec *rec;  /* its configuration line */
};

/* An ordered list of one family; first match; matching nothing is POL_DENY with id 0 for an access
 * list, "not matched" for a class. */
struct pol_list {
	unsigned refs;
	const char *name;
	uint8_t family;
	size_t n;
	const struct pol_rule *const *rules;
	const struct rec *rec;
	/* True: no line names a server, or does anything but judge, or has addresses that are more
	 * than one range. So long lists need not be walked for what hardly any has. */
	bool no_names, no_effects, no_sets;
};

/* ---- where they are used ---- */

/* One `match` line: the packet is of it when the list of its family permits it. */
struct pol_match {
	const struct pol_list *list4, *list6; /* NULL: nothing of this family */
};

/* A class of an inspect policy: the classes of a pair are asked in order; the first that the packet
 * is of decides. Of a match-any class are those of any of its matches, of a match-all class those
 * of all of them; without matches (class-default) it is everything. */
struct pol_class {
	const char *name; /* class-map; "class-default" */
	bool match_all;
	size_t n_matches;
	const struct pol_match *matches;
	enum pol_action action;
	bool log;
	pol_id id;
	const struct rec *rec;
};

#define POL_ZONE_NONE 0 /* the interface is in no zone */
#define POL_ZONE_SELF 1 /* the box itself */

struct pol_zone {
	uint16_t id; /* >= 2; hash of the name, kept over commits */
	const char *name;
	bool management; /* the box itself is open to it */
	const struct rec *rec;
};

struct pol_pair {
	uint16_t from, to; /* zone ids */
	const char *name;
	size_t n_classes; /* none matches: POL_DENY */
	const struct pol_class *classes;
	const struct rec *rec;
};

struct pol_iface {
	char name[IFNAMSIZ]; /* as the kernel has it: "lo", not "Loopback0" */
	uint16_t zone;
	const struct pol_list *in4, *in6, *out4, *out6; /* access groups; NULL none */
	enum pol_urpf {
		POL_URPF_OFF,
		POL_URPF_STRICT,
		POL_URPF_FEASIBLE,
		POL_URPF_LOOSE
	} urpf4,
		urpf6;
	bool urpf_default4, urpf_default6; /* the default route counts as a way back */
	/* POL_URPF_FEASIBLE: sources that it may bring beside those of the strict mode */
	const struct pol_addrs *feasible4, *feasible6;
	uint16_t mss4, mss6; /* 0: left alone; POL_MSS_AUTO: path MTU */
#define POL_MSS_AUTO 1
	const struct rec *rec;
};

/* Other names of interfaces: what is sent to a virtual MAC comes by a macvlan of its own, and is
 * judged as what comes by the interface below. Immutable, reference-counted. */
struct pol_aliases {
	unsigned refs;
	size_t n;
	struct pol_alias {
		char name[IFNAMSIZ], iface[IFNAMSIZ]; /* the kernel's names */
	} v[];
};

/* Those of a model on the links that there are now; valid until the next call. */
const struct pol_aliases *pol_aliases_of(const struct rec *model);
const struct pol_aliases *pol_aliases_ref(const struct pol_aliases *a);
const struct pol_aliases *pol_aliases_unref(const struct pol_aliases *a); /* NULL */
bool pol_aliases_same(const struct pol_aliases *a, const struct pol_aliases *b);
void pol_aliases_forget(void);
uint64_t pol_links_generation(void); /* changes with links and addresses */
/* The interface that a name means: itself, when it is no alias. a may be NULL, as below. */
const char *pol_alias_iface(const struct pol_aliases *a, const char *name);
/* All names of an interface: for (n = iface; n; n = pol_alias_next(a, iface, n)). */
const char *pol_alias_next(const struct pol_aliases *a, const char *iface, const char *name);

/* What a configured service makes open on the box, in zones not called management. */
struct pol_local {
	const char *why;      /* "vrrp", "dhcp client", "bgp neighbor 192.0.2.1" */
	char iface[IFNAMSIZ]; /* "" any */
	const struct pol_rule *rule;
};

/* A service behind the box whose handshake the box does first. */
struct pol_syn {
	struct rtr_addr addr;
	uint16_t port, mss;
	const struct rec *rec;
};

struct policy {
	unsigned refs;
	uint64_t revision; /* counts builds that differ */
	size_t n_zones;
	const struct pol_zone *zones;
	size_t n_ifaces;
	const struct pol_iface *ifaces; /* ascending by name (strcmp) */
	const struct pol_aliases *aliases;
	size_t n_pairs;
	const struct pol_pair *pairs;
	size_t n_locals;
	const struct pol_local *locals;
	size_t n_lists;
	/* All of them, used or not, ascending by family and name; those of `match protocol` too
	 * ("protocol http"). */
	const struct pol_list *const *lists;
	uint32_t host_sessions; /* live connections of one source; 0: no limit */
	size_t n_syn;
	const struct pol_syn *syn; /* services whose clients must prove that they are there */
	bool martians;             /* filter on, the default */
	/* Some list, zone or NAT line needs connections. Without one packets are not tracked for
	 * our sake, and what has an invalid state is routed like any other. */
	bool stateful;
	const struct nat_policy *nat; /* nat/nat_policy.h; NULL: no NAT at all */
	const struct rec *model;      /* reference */
};

/* Builds the policy of a model, sharing with `old` (may be NULL) what is the same. c NULL: called
 * by plan, after check has passed. NULL when something was reported. now: of time ranges. */
const struct policy *policy_build(const struct rec *model, const struct policy *old, time_t now,
				  struct check *c);
const struct policy *policy_ref(const struct policy *p);
const struct policy *policy_unref(const struct policy *p); /* NULL */
/* When a time range next starts or ends after now; 0: never. */
time_t policy_next_change(const struct policy *p, time_t now);

/* An access list by name, extended or standard; NULL when there is none. */
const struct pol_list *policy_list(const struct policy *p, uint8_t family, const char *name);
const struct pol_iface *policy_iface(const struct policy *p, const char *name); /* or an alias */
const struct pol_zone *policy_zone(const struct policy *p, uint16_t id);
/* What comes by the interface for the box itself, and the answers, are not tracked: of a management
 * zone, unless a list or a pair wants states. So management gets in when the table is full.
 * Addresses that NAT translates to are excepted. */
bool policy_untracked(const struct policy *p, const struct pol_iface *i);
const struct pol_pair *policy_pair(const struct policy *p, uint16_t from, uint16_t to);
/* The rule with an id, and the list that holds it; NULL when it is gone. */
const struct pol_rule *policy_rule(const struct policy *p, pol_id id, const struct pol_list **list);

/* ---- the judge ---- */

/* Bit of label word 1: admitted by a `pass` class, so its answers are judged by their own pair. */
#define POL_LABEL_PASS 0x80000000u
/* What a word of a label names: without the bits of `pass` and of waiting (rtr/inspectd.h). */
#define POL_LABEL_ID(word) ((word)&0x3fffffffu)

/* A packet as it came from the wire, or from the box itself (iif ""). */
struct pol_packet {
	char iif[IFNAMSIZ];
	uint8_t family;
	struct rtr_addr src, dst;
	uint8_t proto;
	/* TCP, UDP, SCTP, DCCP, UDP-Lite; of an ICMP query the id is both (as conntrack has it) */
	uint16_t sport, dport;
	uint8_t icmp_type, icmp_code;
	uint8_t tcp_flags, dscp, ttl;
	uint16_t len;
	bool later_fragment;
	enum pol_state state;
	bool reply; /* established: against the direction that opened it */
	bool pass;  /* established: its connection has POL_LABEL_PASS */
	/* What the TLS client asks for, in small letters; "": nothing. NULL: not known yet, then a
	 * line with a server name matches, and permits until it is known. */
	const char *server_name;
	/* Set for a connection that lives: of its first packet DSCP, TTL, length and TCP flags are
	 * not known. */
	const struct pol_past *past;
	bool past_class; /* judged by the class that admitted it */
};

/*
 * What is known of the past of a live connection. A line that asks for DSCP, TTL, length or TCP
 * flags counts as met when it is the line that admitted the connection, or stands in a list of the
 * class that did, and asked for the same then; all other such lines count as not met, be they
 * permits or denies.
 */
struct pol_past {
	const struct policy *old; /* that the connection was judged by last */
	pol_id in, pair, out;     /* its labels, without their bits */
};

enum pol_stage {
	POL_ST_MARTIAN,
	POL_ST_URPF,
	POL_ST_IN, /* access list of the ingress interface, addresses as received */
	POL_ST_DNAT,
	POL_ST_ROUTE,
	POL_ST_LOCAL, /* the box itself: derived permits, pair to self */
	POL_ST_ZONE,  /* pair of ingress and egress zone; inside addresses */
	POL_ST_OUT,   /* access list of the egress interface, before source translation */
	POL_ST_SNAT,
	POL_ST__MAX,
};

/* The answers of the box that a verdict depends on. */
struct pol_world {
	/* Egress of a packet; false: no route. local: delivered to the box. */
	bool (*route)(void *arg, const struct pol_packet *p, const struct rtr_addr *dst,
		      char oif[IFNAMSIZ], bool *local);
	/* A way back to src by iif: any for POL_URPF_LOOSE, else a best one by it. */
	bool (*urpf)(void *arg, const struct pol_iface *i, const struct rtr_addr *src);
	/* NULL, or: a stage has judged the packet, which is now like this. */
	void (*step)(void *arg, enum pol_stage st, const struct pol_packet *p);
	void *arg;
	time_t now;
};

/* A translation; of source translations the kernel or worker picks one out of it. */
struct pol_xlate {
	bool on;
	struct rtr_addr lo, hi;    /* addresses; lo == hi: one */
	uint16_t port_lo, port_hi; /* 0, 0: port kept */
	/* Of a deterministic pool: the source's ports on the fast plane; 0, 0: all of its range. */
	struct pol_port_range fast;
	bool prefix; /* whole network moved: lo is its first address, host bits kept */
	uint8_t prefix_len;
	bool npt;              /* NPTv6: checksum neutral (RFC 6296) */
	const struct rec *rec; /* NAT line */
};

struct pol_verdict {
	enum pol_action action; /* POL_PERMIT: forwarded or delivered */
	enum pol_stage stage;   /* that decided; POL_ST_SNAT when all passed */
	bool local;             /* delivered to the box */
	char oif[IFNAMSIZ];
	uint16_t zone_in, zone_out;
	struct pol_xlate dnat, snat;
	/* What each stage did: ran, rule that matched (NULL: none, its default), line. */
	struct pol_step {
		bool ran;
		enum pol_action action;
		const struct pol_rule *rule;
		const struct pol_class *cls; /* POL_ST_LOCAL, POL_ST_ZONE: NULL none */
		const struct rec *rec;
		const char *why; /* "no zone pair", "established", "class web"; static text */
	} step[POL_ST__MAX];
};

void policy_eval(const struct policy *p, const struct pol_packet *pkt, const struct pol_world *w,
		 struct pol_verdict *ret);
/* Stages that policy_eval is made of, for those who have a part of the way only. */
const struct pol_rule *pol_list_match(const struct pol_list *l, const struct pol_packet *pkt);
bool pol_rule_match(const struct pol_rule *r, const struct pol_packet *pkt);
/* ret: the last rule of its lists that permitted the packet. */
bool pol_class_match(const struct pol_class *c, const struct pol_packet *pkt,
		     const struct pol_rule **ret);
/* policy_tls.c: lines with server names. What they decide later, all told at once: for each line
 * that a connection may wait at (chain), the lines that may decide it, in order; the last has no
 * name. In a zone pair a line stands for its class. rule NULL, cls NULL: the end. */
struct pol_tls_line {
	pol_id chain;
	const struct pol_rule *rule; /* NULL: class-default, or the end */
	const struct pol_class *cls; /* NULL: of an access list */
};
void pol_tls_chains(const struct policy *p, void (*fn)(void *arg, const struct pol_tls_line *l),
		    void *arg);
/* The chain of those that wait at a line of a class; of an access list it is the line's id. */
pol_id pol_tls_class_chain(const struct pol_class *c, const struct pol_rule *r);
/* What both policies say of a connection that the same line of both lets wait. */
bool pol_tls_same(const struct policy *a, const struct policy *b, pol_id chain);
void pol_tls_check(const struct policy *p, struct check *c);
bool pol_tls_used(const struct policy *p);
bool pol_is_nd(const struct pol_packet *p); /* passes every access list */
/* Networks that the martian filter drops; returns their number. IPv4: but source 0.0.0.0. */
size_t pol_martians(uint8_t family, bool source, struct rtr_prefix *ret, size_t room);

/* The policy in force, that of the running model; valid until the loop's next turn. NULL before
 * there is a model. */
const struct policy *policy_running(void);
void policy_forget(void); /* frees it, at the end */

#endif
