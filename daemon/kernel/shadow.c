/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/shadow_db.h"

#include "hash.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PROTO_MAIN        98
#define PROTO_OTHER_FIRST 200
#define PROTO_OTHER_N     50

/* Messages in one turn of the loop: about 1 ms. */
#define TURN_MSGS 1024
/* The kernel's dump buffers are at most 32 KiB, one event is far below. */
#define RECV_SIZE 32768
/* Room for events while the loop is busy: some ten thousand. */
#define EVENT_RCVBUF (8 << 20)
/* Links asked for between two drains; more become a resync. */
#define MAX_TOUCHED 1024
#define MAX_WAITERS 8
/* A kernel that changes all the time interrupts every dump. What a dump missed was there before we
 * listened to events; after this many tries in a row the shadow counts as good, and tries go on. */
#define MAX_INTERRUPTED 5

enum dump_kind {
	DUMP_LINKS,
	DUMP_ADDR4,
	DUMP_ADDR6,
	DUMP_ROUTE4,
	DUMP_ROUTE6,
	DUMP_NEIGHS,
	DUMP_PROXIES,
	DUMP_RULES,
	DUMP__MAX
};

static struct {
	struct nl_sock *events, *dumps;
	int ev_fd, dump_fd;
	struct event *ev_read, *ev_turn, *ev_resync;
	void (*ready)(void *arg);
	void *ready_arg;
	void (*change)(void *arg, unsigned change);
	void *change_arg;
	unsigned changed; /* not yet told */
	bool synced, resync_due;
	bool dumping;
	enum dump_kind kind;
	bool sent;        /* the request of the dump under way */
	bool interrupted; /* one of this pass over all kinds was not whole */
	unsigned n_interrupted;
	uint32_t seq;
	uint64_t last_sync_ns;
	struct {
		void (*fn)(void *arg);
		void *arg;
	} waiters[MAX_WAITERS];
	unsigned n_waiters;
	struct touched {
		int v[MAX_TOUCHED];
		unsigned n;
	} links, addrs;
	bool touched_proxies;
	struct shadow_stats stats;
} s;

static union {
	struct nlmsghdr h;
	char b[RECV_SIZE];
} recv_buf;

/* ---- marks ---- */

uint8_t shadow_proto_of(const char *instance)
{
	if (!strcmp(instance, "main"))
		return PROTO_MAIN;
	return (uint8_t)(PROTO_OTHER_FIRST +
			 hash_bytes(instance, strlen(instance), 0) % PROTO_OTHER_N);
}

const char *shadow_instance(void)
{
	return shadow_db.instance;
}

uint8_t shadow_proto(void)
{
	return shadow_db.proto;
}

uint32_t shadow_group(void)
{
	return shadow_db.group;
}

char *shadow_altname(const char *ifname, char buf[SHADOW_ALTNAME_STRLEN])
{
	snprintf(buf, SHADOW_ALTNAME_STRLEN, "rtr.%s.%s", shadow_db.instance, ifname);
	return buf;
}

/* ---- dumps ---- */

static void turn_soon(void)
{
	static const struct timeval now = { 0, 0 };

	if (!evtimer_pending(s.ev_turn, NULL))
		evtimer_add(s.ev_turn, &now);
}

static void note(unsigned changed)
{
	if (!changed)
		return;
	shadow_db.generation++;
	s.changed |= changed;
}

static void resync_later(void)
{
	uint64_t next = s.last_sync_ns + SHADOW_RESYNC_MS * NSEC_PER_MSEC, now = rtr_now_ns();
	uint64_t wait = next > now ? next - now : 0;
	struct timeval tv = { .tv_sec = (time_t)(wait / NSEC_PER_SEC),
			      .tv_usec = (suseconds_t)(wait % NSEC_PER_SEC / 1000) };

	s.synced = false;
	s.resync_due = true;
	if (!evtimer_pending(s.ev_resync, NULL))
		evtimer_add(s.ev_resync, &tv);
}

static struct nl_msg *request(int type, int flags, const void *hdr, size_t size)
{
	struct nl_msg *m = nlmsg_alloc_size(256);

	if (!m || !nlmsg_put(m, 0, 0, type, 0, flags | NLM_F_REQUEST) ||
	    nlmsg_append(m, (void *)(uintptr_t)hdr, size, NLMSG_ALIGNTO))
		abort();
	return m;
}

static int send_request(struct nl_msg *m)
{
	struct nlmsghdr *h = nlmsg_hdr(m);
	int r = 0;

	h->nlmsg_seq = ++s.seq;
	if (send(s.dump_fd, h, h->nlmsg_len, 0) < 0)
		r = -errno;
	nlmsg_free(m);
	return r;
}

static struct nl_msg *dump_request(enum dump_kind kind)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
	struct ifaddrmsg ifa = { .ifa_family = kind == DUMP_ADDR6 ? AF_INET6 : AF_INET };
	struct rtmsg rtm = { .rtm_family = kind == DUMP_ROUTE6 ? AF_INET6 : AF_INET,
			     .rtm_protocol = shadow_proto() };
	struct ndmsg ndm = { .ndm_family = AF_UNSPEC,
			     .ndm_flags = kind == DUMP_PROXIES ? NTF_PROXY : 0 };
	struct fib_rule_hdr rule = { .family = AF_UNSPEC };
	struct nl_msg *m;

	switch (kind) {
	case DUMP_LINKS:
		m = request(RTM_GETLINK, NLM_F_DUMP, &ifi, sizeof(ifi));
		nla_put_u32(m, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
		return m;
	case DUMP_ADDR4:
	case DUMP_ADDR6:
		return request(RTM_GETADDR, NLM_F_DUMP, &ifa, sizeof(ifa));
	case DUMP_NEIGHS:
	case DUMP_PROXIES:
		return request(RTM_GETNEIGH, NLM_F_DUMP, &ndm, sizeof(ndm));
	case DUMP_RULES:
		return request(RTM_GETRULE, NLM_F_DUMP, &rule, sizeof(rule));
	default:
		return request(RTM_GETROUTE, NLM_F_DUMP, &rtm, sizeof(rtm));
	}
}

static unsigned sweep(enum dump_kind kind)
{
	switch (kind) {
	case DUMP_LINKS:
		return shadow_sweep_links();
	case DUMP_ADDR4:
	case DUMP_ADDR6:
		return shadow_sweep_addrs(kind == DUMP_ADDR6 ? AF_INET6 : AF_INET);
	case DUMP_NEIGHS:
	case DUMP_PROXIES:
		return shadow_sweep_neighs(kind == DUMP_PROXIES);
	case DUMP_RULES:
		return shadow_sweep_rules();
	default:
		return shadow_sweep_routes(kind == DUMP_ROUTE6 ? AF_INET6 : AF_INET);
	}
}

static void start_sync(void)
{
	s.resync_due = false;
	s.synced = false;
	s.dumping = true;
	s.kind = DUMP_LINKS;
	s.sent = s.interrupted = false;
	s.last_sync_ns = rtr_now_ns();
	shadow_db.dump++;
	turn_soon();
}

static void end_sync(void)
{
	s.dumping = false;
	s.n_interrupted = s.interrupted ? s.n_interrupted + 1 : 0;
	if (s.interrupted)
		resync_later();
	if (!s.resync_due || s.n_interrupted >= MAX_INTERRUPTED)
		s.synced = true;
	turn_soon(); /* tells the waiters, and reads the events that queued meanwhile */
}

static void end_dump(bool good)
{
	if (good)
		note(sweep(s.kind));
	else
		s.interrupted = true;
	s.stats.dumps++;
	s.sent = false;
	if (++s.kind == DUMP__MAX)
		end_sync();
}

/* Takes one datagram of a dump. True when it was the last. */
static bool dump_datagram(int size, bool *ret_good)
{
	unsigned changed = 0;
	int rem = size;

	for (struct nlmsghdr *h = &recv_buf.h; nlmsg_ok(h, rem); h = nlmsg_next(h, &rem)) {
		if (h->nlmsg_seq != s.seq)
			continue; /* rest of a dump that was given up */
		if (h->nlmsg_flags & NLM_F_DUMP_INTR) {
			*ret_good = false;
			s.stats.dump_interrupts++;
		}
		if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
			const int *err = nlmsg_data(h);

			/* A kernel without IPv6 has nothing to show, which is an answer. */
			if (nlmsg_datalen(h) >= (int)sizeof(*err) && *err < 0 &&
			    *err != -EOPNOTSUPP && *err != -EAFNOSUPPORT)
				*ret_good = false;
			note(changed);
			return true;
		}
		changed |= shadow_parse(h, true);
	}
	note(changed);
	return false;
}

/* Goes on with the dumps for up to `turns` datagrams. The kernel makes each inside recv, so this
 * never waits. */
static void run_dumps(unsigned turns)
{
	bool good = true;

	while (s.dumping && turns--) {
		ssize_t n;

		if (!s.sent) {
			s.sent = true;
			if (send_request(dump_request(s.kind)) < 0) {
				end_dump(false);
				continue;
			}
		}
		n = recv(s.dump_fd, &recv_buf, sizeof(recv_buf), MSG_DONTWAIT | MSG_TRUNC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || (size_t)n > sizeof(recv_buf)) {
			end_dump(false);
			good = true;
		} else if (dump_datagram((int)n, &good)) {
			end_dump(good);
			good = true;
		} else if (!good) {
			s.interrupted = true;
		}
	}
	if (s.dumping)
		turn_soon();
}

/* ---- single links ---- */

static void touch(struct touched *t, int ifindex)
{
	for (unsigned i = 0; i < t->n; i++) {
		if (t->v[i] == ifindex)
			return;
	}
	if (t->n == MAX_TOUCHED)
		resync_later();
	else
		t->v[t->n++] = ifindex;
}

void shadow_touch_link(int ifindex)
{
	touch(&s.links, ifindex);
}

void shadow_touch_addrs(int ifindex)
{
	touch(&s.addrs, ifindex);
}

void shadow_touch_proxies(void)
{
	s.touched_proxies = true;
}

static void fetch_link(int ifindex)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC, .ifi_index = ifindex };
	struct nl_msg *m = request(RTM_GETLINK, 0, &ifi, sizeof(ifi));
	ssize_t n;

	nla_put_u32(m, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (send_request(m) < 0)
		return;
	n = recv(s.dump_fd, &recv_buf, sizeof(recv_buf), MSG_DONTWAIT);
	/* An error (the link is gone) is told by its event. */
	if (n > 0 && nlmsg_ok(&recv_buf.h, (int)n) && recv_buf.h.nlmsg_type == RTM_NEWLINK)
		note(shadow_parse(&recv_buf.h, false));
}

/* A short dump, read to its end. False: no answer, or not a whole one; resync is then on its way.
 */
static bool fetch(struct nl_msg *m)
{
	bool good = true;
	ssize_t n;

	shadow_db.dump++;
	if (send_request(m) < 0)
		n = -1;
	else
		do {
			n = recv(s.dump_fd, &recv_buf, sizeof(recv_buf), MSG_DONTWAIT);
		} while (n > 0 && !dump_datagram((int)n, &good));
	if (n > 0 && good)
		return true;
	resync_later();
	return false;
}

static void fetch_addrs(int ifindex)
{
	struct ifaddrmsg ifa = { .ifa_family = AF_INET6, .ifa_index = (uint32_t)ifindex };
	struct shadow_link *l = shadow_link_get(ifindex);

	if (l && fetch(request(RTM_GETADDR, NLM_F_DUMP, &ifa, sizeof(ifa))))
		note(shadow_sweep_link_addrs(l, AF_INET6));
}

static void fetch_proxies(void)
{
	if (fetch(dump_request(DUMP_PROXIES)))
		note(shadow_sweep_neighs(true));
}

static void fetch_touched(void)
{
	for (unsigned i = 0; i < s.links.n; i++)
		fetch_link(s.links.v[i]);
	for (unsigned i = 0; i < s.addrs.n; i++)
		fetch_addrs(s.addrs.v[i]);
	if (s.touched_proxies)
		fetch_proxies();
	s.links.n = s.addrs.n = 0;
	s.touched_proxies = false;
}

/* ---- events ---- */

/*
 * The socket filter. Notifications are one message a datagram. What it decides:
 *
 *	type is not NEWROUTE, DELROUTE,
 *	NEWNEIGH, DELNEIGH                      -> pass (links, addresses)
 *	a route, rtm_protocol is ours           -> pass
 *	NEWROUTE, NLM_F_REPLACE, and a metric
 *	whose low 24 bits are zero (ours are    -> pass: it may have replaced one of ours,
 *	distance << 24)                            which is told in no other way
 *	a neighbour, NDA_PROTOCOL is ours       -> pass: it stays so when others change it
 *	else                                    -> drop
 *
 * A drop by filter costs no receive buffer, so that a full table from BGP or a LAN full of hosts
 * can neither wake us nor make us lose an event of our own. BPF loads are big-endian, netlink's
 * fields the host's.
 */
size_t shadow_filter(struct sock_filter *f, uint8_t proto)
{
	const struct sock_filter code[] = {
		/* 0 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		/* 1 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 3, 0),
		/* 2 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 2, 0),
		/* 3 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWNEIGH), 13, 0),
		/* 4 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELNEIGH), 12, 19),
		/* 5 */
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS,
			 NLMSG_HDRLEN + offsetof(struct rtmsg, rtm_protocol)),
		/* 6 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, proto, 17, 0),
		/* 7 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		/* 8 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 0, 16),
		/* 9 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_flags)),
		/* 10 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, htons(NLM_F_REPLACE), 0, 14),
		/* 11 */ BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, RTA_PRIORITY),
		/* 12 */ BPF_STMT(BPF_LD | BPF_W | BPF_IMM, NLMSG_HDRLEN + sizeof(struct rtmsg)),
		/* 13 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, SKF_AD_OFF + SKF_AD_NLATTR),
		/* 14 */ BPF_STMT(BPF_MISC | BPF_TAX, 0),
		/* 15 */ BPF_STMT(BPF_LD | BPF_W | BPF_IND, sizeof(struct nlattr)),
		/* 16 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, htonl(0x00ffffff), 8, 7),
		/* 17 */ BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, NDA_PROTOCOL),
		/* 18 */ BPF_STMT(BPF_LD | BPF_W | BPF_IMM, NLMSG_HDRLEN + sizeof(struct ndmsg)),
		/* 19 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, SKF_AD_OFF + SKF_AD_NLATTR),
		/* 20 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 4, 0),
		/* 21 */ BPF_STMT(BPF_MISC | BPF_TAX, 0),
		/* 22 */ BPF_STMT(BPF_LD | BPF_B | BPF_IND, sizeof(struct nlattr)),
		/* 23 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, proto, 0, 1),
		/* 24 */ BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		/* 25 */ BPF_STMT(BPF_RET | BPF_K, 0),
	};

	_Static_assert(ARRAY_LEN(code) == SHADOW_FILTER_LEN, "length of the filter");
	memcpy(f, code, sizeof(code));
	return ARRAY_LEN(code);
}

/* Reads up to max messages. True when the socket is empty. */
static bool read_events(unsigned max)
{
	unsigned changed = 0;
	bool empty = false;

	while (max--) {
		ssize_t n = recv(s.ev_fd, &recv_buf, sizeof(recv_buf), MSG_DONTWAIT | MSG_TRUNC);
		int rem = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOBUFS) {
			s.stats.overruns++;
			resync_later();
			continue;
		}
		if (n < 0) {
			empty = true;
			break;
		}
		if ((size_t)n > sizeof(recv_buf)) {
			resync_later();
			continue;
		}
		s.stats.events++;
		for (struct nlmsghdr *h = &recv_buf.h; nlmsg_ok(h, rem); h = nlmsg_next(h, &rem))
			changed |= shadow_parse(h, false);
	}
	note(changed);
	return empty;
}

static void tell(void)
{
	unsigned changed = s.changed;

	if (s.synced && s.ready) {
		void (*ready)(void *arg) = s.ready;

		s.ready = NULL;
		s.changed = 0; /* all of it is new to everybody */
		ready(s.ready_arg);
		changed = s.changed;
	}
	/* Waiters may wait again from inside: take them out first. */
	if (s.synced && s.n_waiters) {
		unsigned n = s.n_waiters;
		__typeof__(s.waiters) w;

		memcpy(w, s.waiters, sizeof(w));
		s.n_waiters = 0;
		for (unsigned i = 0; i < n; i++)
			w[i].fn(w[i].arg);
	}
	if (changed && s.synced && !s.ready && s.change) {
		s.changed = 0;
		s.change(s.change_arg, changed);
	}
}

/*
 * While a dump is under way events wait in their socket: read before a datagram that the kernel
 * made earlier, an event would be undone by it.
 */
static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	if (s.dumping)
		run_dumps(DIV_ROUND_UP(TURN_MSGS, 32));
	if (!s.dumping && !read_events(TURN_MSGS))
		turn_soon();
	tell();
}

static void on_resync(evutil_socket_t fd, short what, void *arg)
{
	if (s.dumping)
		return; /* its end looks at resync_due */
	s.stats.resyncs++;
	start_sync();
}

/* ---- public ---- */

void shadow_on_change(void (*fn)(void *arg, unsigned change), void *arg)
{
	s.change = fn;
	s.change_arg = arg;
}

unsigned shadow_drain(void)
{
	unsigned before = s.changed, changed;

	s.changed = 0;
	while (s.dumping)
		run_dumps(UINT32_MAX);
	read_events(UINT32_MAX);
	fetch_touched(); /* last: what it reads is newer than any event read above */
	changed = s.changed;
	s.changed |= before;
	if (s.changed)
		turn_soon();
	return changed;
}

bool shadow_synced(void)
{
	return s.synced;
}

void shadow_when_synced(void (*fn)(void *arg), void *arg)
{
	if (s.n_waiters == MAX_WAITERS)
		abort();
	s.waiters[s.n_waiters].fn = fn;
	s.waiters[s.n_waiters++].arg = arg;
	turn_soon();
}

void shadow_resync(void)
{
	resync_later();
}

uint64_t shadow_generation(void)
{
	return shadow_db.generation;
}

const struct shadow_stats *shadow_stats(void)
{
	return &s.stats;
}

static int open_socket(struct nl_sock **ret)
{
	struct nl_sock *sock = nl_socket_alloc();

	if (!sock)
		return -ENOMEM;
	if (nl_connect(sock, NETLINK_ROUTE)) {
		nl_socket_free(sock);
		return -EIO;
	}
	nl_socket_set_nonblocking(sock);
	*ret = sock;
	return 0;
}

static int open_events(void)
{
	struct sock_filter code[SHADOW_FILTER_LEN];
	struct sock_fprog prog = { .filter = code };
	int size = EVENT_RCVBUF;

	prog.len = (unsigned short)shadow_filter(code, shadow_proto());
	if (setsockopt(s.ev_fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0)
		return -errno;
	if (setsockopt(s.ev_fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(s.ev_fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (nl_socket_add_memberships(s.events, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,
				      RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
				      RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_NEIGH, 0))
		return -EIO;
	return 0;
}

int shadow_init(struct event_base *base, const char *instance, void (*ready)(void *arg), void *arg)
{
	int one = 1, r;

	shadow_db_init(instance);
	memset(&s, 0, sizeof(s));
	s.ready = ready;
	s.ready_arg = arg;
	s.ev_turn = evtimer_new(base, on_turn, NULL);
	s.ev_resync = evtimer_new(base, on_resync, NULL);
	r = open_socket(&s.events);
	if (!r)
		r = open_socket(&s.dumps);
	if (r)
		goto fail;
	s.ev_fd = nl_socket_get_fd(s.events);
	s.dump_fd = nl_socket_get_fd(s.dumps);
	/* Without strict checking (before 4.20) the kernel ignores the filter of route dumps; the
	 * parser then sorts out. */
	setsockopt(s.dump_fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	r = open_events();
	if (r)
		goto fail;
	s.ev_read = event_new(base, s.ev_fd, EV_READ | EV_PERSIST, on_turn, NULL);
	event_add(s.ev_read, NULL);
	start_sync();
	return 0;
fail:
	shadow_fini();
	return r;
}

void shadow_fini(void)
{
	struct event **ev[] = { &s.ev_read, &s.ev_turn, &s.ev_resync };

	for (size_t i = 0; i < ARRAY_LEN(ev); i++) {
		if (*ev[i])
			event_free(*ev[i]);
		*ev[i] = NULL;
	}
	nl_socket_free(s.events);
	nl_socket_free(s.dumps);
	s.events = s.dumps = NULL;
	shadow_db_fini();
}
