/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtr-arpd: announces the router's addresses, looks for other hosts with its IPv4 addresses and
 * defends them, and asks who has an address, for diagnose. Started by rtrd's root parent, with one
 * socket to rtrd (include/rtr/arpd.h).
 *
 * Owns: a packet socket for each interface with addresses, whose filter in the kernel passes only
 * ARP about these addresses: the ARP of a busy LAN does not wake it.
 * Privileges: user rtr, CAP_NET_RAW; seccomp leaves packet sockets and little else.
 * Threads: none. Failure: an interface that cannot be opened, or is gone, is told; without rtrd it
 * ends, and rtrd starts another and tells it everything again.
 */
#include "neigh/arpd_ask.h"
#include "neigh/arpd_dad.h"
#include "neigh/arpd_frame.h"
#include "util.h"
#include "system/helper.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Addresses in all. Each is some 100 bytes, and each round looks at all of them. */
#define MAX_ADDRS 8192
/* Frames sent in one go, and the pause after: a link with a thousand addresses that comes up
 * sends 2,000 frames a second, some 1 Mbit/s. */
#define BURST    20
#define BURST_MS 10

struct addr {
	struct dad dad;
	struct link *link;
	uint8_t family, router;
	uint8_t addr[16];
	uint8_t mac[6];
};

struct link {
	int ifindex, fd; /* fd -1: could not be opened */
	uint8_t mac[6];
	bool stale; /* the filter is to be made anew */
	struct link *next;
};

static struct {
	struct addr *v;
	size_t n, room;
	struct link *links;
	uint64_t burst_until; /* 0: no pause */
} s;

/* Full: rtrd does not read. What it misses it can live without; it must not hold us up. */
static void tell(const struct addr *a, uint8_t kind, const uint8_t *mac, bool defended)
{
	struct arpd_event e = { .kind = kind,
				.defended = defended,
				.ifindex = a->link->ifindex,
				.n_conflicts = a->dad.n_conflicts };

	memcpy(e.addr, a->addr, sizeof(e.addr));
	if (mac)
		memcpy(e.mac, mac, sizeof(e.mac));
	(void)!send(HELPER_RTRD_FD, &e, sizeof(e), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* ---- links ---- */

static int open_link(int ifindex)
{
	struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog prog = { .len = 1, .filter = &none };

	return helper_open(ifindex, ETH_P_ARP, &prog);
}

static struct link *find_link(int ifindex, bool make)
{
	struct link *l = s.links;

	while (l && l->ifindex != ifindex)
		l = l->next;
	if (l || !make)
		return l;
	l = xcalloc(1, sizeof(*l));
	l->ifindex = ifindex;
	l->fd = open_link(ifindex);
	l->next = s.links;
	s.links = l;
	return l;
}

static int u32_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static size_t watched_of(const struct link *l, uint32_t *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		const struct addr *a = &s.v[i];
		uint32_t be;

		if (a->link != l || a->dad.mode == ARPD_ANNOUNCE || n == ARPD_FILTER_MAX_ADDRS)
			continue;
		memcpy(&be, a->addr, sizeof(be));
		ret[n++] = ntohl(be);
	}
	if (n)
		qsort(ret, n, sizeof(*ret), u32_cmp);
	return n;
}

static void attach(struct link *l)
{
	static struct sock_filter code[ARPD_FILTER_ROOM];
	static uint32_t addrs[ARPD_FILTER_MAX_ADDRS];
	struct sock_fprog prog = { .filter = code };

	l->stale = false;
	if (l->fd < 0)
		return;
	prog.len = (unsigned short)arpd_filter(code, l->mac, addrs, watched_of(l, addrs));
	/* The kernel replaces the old one in one step. */
	if (setsockopt(l->fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0)
		fprintf(stderr, "rtr-arpd: filter: %s\n", strerror(errno));
}

/* After a round of changes: filters that changed, links without addresses. */
static void settle(void)
{
	for (struct link **pp = &s.links; *pp;) {
		struct link *l = *pp;
		bool used = false;

		for (size_t i = 0; i < s.n && !used; i++)
			used = s.v[i].link == l;
		if (l->stale && used)
			attach(l);
		if (used) {
			pp = &l->next;
			continue;
		}
		*pp = l->next;
		if (l->fd >= 0)
			close(l->fd);
		free(l);
	}
}

/* ---- what rtrd wants ---- */

static struct addr *find_addr(const struct arpd_req *q)
{
	size_t size = q->family == AF_INET ? 4 : 16;

	for (size_t i = 0; i < s.n; i++) {
		struct addr *a = &s.v[i];

		if (a->link->ifindex == q->ifindex && a->family == q->family &&
		    !memcmp(a->addr, q->addr, size))
			return a;
	}
	return NULL;
}

static void set_addr(const struct arpd_req *q, uint64_t now)
{
	struct addr *a = find_addr(q);
	struct link *l = find_link(q->ifindex, true);

	if (!a) {
		if (s.n == s.room && s.room < MAX_ADDRS) {
			s.room = s.room ? s.room * 2 : 64;
			s.v = xrealloc(s.v, s.room * sizeof(*s.v));
		}
		if (s.n == s.room) {
			struct addr over = { .link = l };

			memcpy(over.addr, q->addr, sizeof(over.addr));
			tell(&over, ARPD_REFUSED, NULL, false);
			return;
		}
		a = &s.v[s.n++];
	}
	*a = (struct addr){ .link = l, .family = q->family, .router = q->router };
	memcpy(a->addr, q->addr, sizeof(a->addr));
	memcpy(a->mac, q->mac, sizeof(a->mac));
	memcpy(l->mac, q->mac, sizeof(l->mac));
	l->stale = true;
	dad_begin(&a->dad, q->family == AF_INET ? (enum arpd_mode)q->mode : ARPD_ANNOUNCE,
		  q->n_announce, q->announce_ms, now, helper_random);
	if (l->fd < 0)
		tell(a, ARPD_REFUSED, NULL, false);
}

static void del_addr(const struct arpd_req *q)
{
	struct addr *a = find_addr(q);

	if (!a)
		return;
	a->link->stale = true;
	*a = s.v[--s.n];
}

/* False: rtrd is gone. */
static bool take_requests(void)
{
	uint64_t now = rtr_now_ns();
	struct arpd_req q;

	for (;;) {
		ssize_t n = recv(HELPER_RTRD_FD, &q, sizeof(q), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return false;
		if (n < 0)
			break;
		if (n == sizeof(q) && q.op == ARPD_ASK_END)
			ask_end(q.serial);
		if (n != sizeof(q) || (q.family != AF_INET && q.family != AF_INET6))
			continue;
		if (q.op == ARPD_SET)
			set_addr(&q, now);
		else if (q.op == ARPD_DEL)
			del_addr(&q);
		else if (q.op == ARPD_ASK)
			ask_question(&q);
	}
	settle();
	return true;
}

/* ---- frames ---- */

static void send_frame(const struct addr *a, bool probe)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_ifindex = a->link->ifindex,
				  .sll_halen = 6 };
	uint8_t frame[ARPD_NA_SIZE];
	size_t size = a->family == AF_INET ? ARPD_ARP_SIZE : ARPD_NA_SIZE;

	if (a->family == AF_INET)
		arpd_arp_write(frame, a->mac, a->addr, probe);
	else
		arpd_na_write(frame, a->mac, a->addr, a->router);
	to.sll_protocol = htons(a->family == AF_INET ? ETH_P_ARP : ETH_P_IPV6);
	memcpy(to.sll_addr, frame, 6);
	/* A link that just went down: rtrd says so in a moment. */
	(void)!sendto(a->link->fd, frame, size, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to));
}

static void on_arp(const struct link *l, const struct arpd_arp *arp, uint64_t now)
{
	static const uint8_t zero[4];
	bool probe = !memcmp(arp->spa, zero, 4), say, defend;
	const uint8_t *addr = probe ? arp->tpa : arp->spa;

	for (size_t i = 0; i < s.n; i++) {
		struct addr *a = &s.v[i];

		if (a->link != l || a->family != AF_INET || memcmp(a->addr, addr, 4) ||
		    !memcmp(a->mac, arp->sha, 6))
			continue;
		dad_conflict(&a->dad, probe, now, &say, &defend);
		if (defend)
			send_frame(a, false);
		if (say)
			tell(a, ARPD_CONFLICT, arp->sha, defend);
		return;
	}
}

static void take_frames(int fd)
{
	uint64_t now = rtr_now_ns();
	const struct link *l = s.links;
	struct arpd_arp arp;
	uint8_t frame[128];

	if (ask_frames(fd))
		return;
	while (l && l->fd != fd)
		l = l->next;
	for (unsigned i = 0; l && i < HELPER_TURN; i++) {
		ssize_t n = recv(fd, frame, sizeof(frame), MSG_DONTWAIT);

		/* ENETDOWN comes once when the link goes down, and reading clears it. */
		if (n < 0)
			return;
		if (arpd_arp_read(frame, (size_t)n, &arp))
			on_arp(l, &arp, now);
	}
}

/* Does what is due; returns the time to wait in ms, -1: for ever. */
static int run_timers(void)
{
	uint64_t now = rtr_now_ns(), due = UINT64_MAX;
	unsigned sent = 0;
	enum dad_act act;

	if (now < s.burst_until)
		return BURST_MS;
	s.burst_until = 0;
	for (size_t i = 0; i < s.n && sent < BURST; i++) {
		struct addr *a = &s.v[i];

		while (sent < BURST && (act = dad_next(&a->dad, now, helper_random)) != DAD_NONE) {
			if (act == DAD_PASSED) {
				tell(a, ARPD_PASSED, NULL, false);
				continue;
			}
			send_frame(a, act == DAD_PROBE);
			sent++;
		}
		due = MIN(due, dad_due(&a->dad));
	}
	if (sent == BURST) {
		s.burst_until = now + BURST_MS * NSEC_PER_MSEC;
		return BURST_MS;
	}
	return helper_wait_ms(due, now);
}

int main(void)
{
	static const struct helper h = { "rtr-arpd", take_requests, take_frames, run_timers };

	return helper_main(&h);
}
