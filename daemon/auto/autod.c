/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtr-autod: the DHCPv4 client, and the sender of IPv6 router advertisements. Started by rtrd's
 * root parent, with one socket to rtrd (include/rtr/autod.h).
 *
 * Owns: a packet socket for each interface and purpose, whose filter in the kernel passes only
 * DHCP answers, or solicitations.
 * Privileges: user rtr, CAP_NET_RAW; seccomp leaves packet sockets and little else.
 * Threads: none. Failure: without rtrd it ends, and rtrd starts another and tells it everything
 * again; leases are kept by rtrd.
 */
#include "auto/dhcp_client.h"
#include "auto/ra.h"
#include "neigh/arpd_frame.h"
#include "system/helper.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Interfaces with a client or advertisements. */
#define MAX_PORTS 4096

struct port {
	int ifindex, fd;
	int arp_fd; /* while an address is probed for; else -1 */
	bool dhcp;  /* else advertisements */
	uint8_t mac[6];
	struct dhcp_client client;
	struct autod_ra ra;
	struct ra_timer timer;
	struct port *next;
};

static struct {
	struct port *ports;
	unsigned n_ports;
} s;

/* ---- sockets ---- */

/* UDP to port 68, not fragmented. Offsets from the Ethernet header. */
static const struct sock_filter dhcp_filter[] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 17, 0, 6),
	BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 20),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x3fff, 4, 0),
	BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 14),
	BPF_STMT(BPF_LD | BPF_H | BPF_IND, 16),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 68, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, 2048),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

/* ICMPv6, hop limit 255, router solicitation. */
static const struct sock_filter rs_filter[] = {
	BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 20),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 58 << 8 | 255, 0, 3),
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 54),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 133, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, 2048),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

static int open_port(int ifindex, bool dhcp)
{
	const struct sock_filter *f = dhcp ? dhcp_filter : rs_filter;
	struct sock_fprog prog = {
		.len = dhcp ? ARRAY_LEN(dhcp_filter) : ARRAY_LEN(rs_filter),
		.filter = (struct sock_filter *)(uintptr_t)f,
	};

	return helper_open(ifindex, dhcp ? ETH_P_IP : ETH_P_IPV6, &prog);
}

static struct port **find_port(int ifindex, bool dhcp)
{
	struct port **pp = &s.ports;

	while (*pp && ((*pp)->ifindex != ifindex || (*pp)->dhcp != dhcp))
		pp = &(*pp)->next;
	return pp;
}

static void send_frame(const struct port *p, const uint8_t *frame, size_t size)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_ifindex = p->ifindex,
				  .sll_protocol = htons(p->dhcp ? ETH_P_IP : ETH_P_IPV6),
				  .sll_halen = 6 };

	memcpy(to.sll_addr, frame, 6);
	/* A link that just went down: rtrd says so in a moment. */
	(void)!sendto(p->fd, frame, size, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to));
}

static void send_dhcp(const struct port *p, const struct dhcp_out *o)
{
	uint8_t frame[DHCP_FRAME_SIZE];

	send_frame(p, frame, dhcp_write(frame, o));
}

static void send_ra(const struct port *p, bool last)
{
	uint8_t frame[RA_FRAME_SIZE];

	send_frame(p, frame, ra_write(frame, p->mac, &p->ra, last));
}

/* ---- does somebody have the address already? ---- */

static void end_probes(struct port *p)
{
	if (p->arp_fd >= 0)
		close(p->arp_fd);
	p->arp_fd = -1;
}

static void send_probe(struct port *p)
{
	static struct sock_filter code[ARPD_FILTER_ROOM];
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_ifindex = p->ifindex,
				  .sll_protocol = htons(ETH_P_ARP),
				  .sll_halen = 6 };
	struct sock_fprog prog = { .filter = code };
	uint8_t frame[ARPD_ARP_SIZE];
	uint32_t addr;

	memcpy(&addr, p->client.addr, sizeof(addr));
	addr = ntohl(addr);
	if (p->arp_fd < 0) {
		prog.len = (unsigned short)arpd_filter(code, p->mac, &addr, 1);
		p->arp_fd = helper_open(p->ifindex, ETH_P_ARP, &prog);
	}
	arpd_arp_write(frame, p->mac, p->client.addr, true);
	memcpy(to.sll_addr, frame, 6);
	if (p->arp_fd >= 0)
		(void)!sendto(p->arp_fd, frame, sizeof(frame), MSG_DONTWAIT, (struct sockaddr *)&to,
			      sizeof(to));
}

static void declined(const struct port *p, const uint8_t addr[4], const uint8_t mac[6])
{
	struct autod_event e = { .kind = AUTOD_DECLINED, .ifindex = p->ifindex };

	memcpy(e.addr, addr, 4);
	memcpy(e.mac, mac, 6);
	(void)!send(HELPER_RTRD_FD, &e, sizeof(e), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The filter passes what has the address, or asks for it as we do. */
static void take_arp(struct port *p)
{
	uint8_t frame[128], addr[4];
	struct arpd_arp arp;
	struct dhcp_out o;
	ssize_t n;

	while (p->arp_fd >= 0 && (n = recv(p->arp_fd, frame, sizeof(frame), MSG_DONTWAIT)) >= 0) {
		memcpy(addr, p->client.addr, sizeof(addr));
		if (!arpd_arp_read(frame, (size_t)n, &arp) || !memcmp(arp.sha, p->mac, 6) ||
		    !dhcp_conflict(&p->client, rtr_now_ns(), &o))
			continue;
		send_dhcp(p, &o);
		declined(p, addr, arp.sha);
		end_probes(p);
	}
}

/* ---- what rtrd wants ---- */

static bool good_ra(const struct autod_ra *ra)
{
	return ra->n_prefixes <= AUTOD_PREFIXES && ra->n_dns <= AUTOD_DNS && ra->max_sec;
}

static void set_port(const struct autod_req *q, bool dhcp)
{
	struct port **pp = find_port(q->ifindex, dhcp), *p = *pp;
	uint64_t now = rtr_now_ns();

	if (!p) {
		if (s.n_ports == MAX_PORTS)
			return;
		p = *pp = xcalloc(1, sizeof(*p));
		p->ifindex = q->ifindex;
		p->dhcp = dhcp;
		p->fd = open_port(q->ifindex, dhcp);
		p->arp_fd = -1;
		s.n_ports++;
	}
	memcpy(p->mac, q->mac, 6);
	if (dhcp) {
		end_probes(p);
		dhcp_begin(&p->client, q->mac, &q->u.dhcp, now, helper_random);
	} else if (good_ra(&q->u.ra)) {
		p->ra = q->u.ra;
		ra_begin(&p->timer, now, helper_random);
	}
}

static void del_port(const struct autod_req *q, bool dhcp)
{
	struct port **pp = find_port(q->ifindex, dhcp), *p = *pp;
	struct dhcp_out o;

	if (!p)
		return;
	if (dhcp && dhcp_release(&p->client, &o))
		send_dhcp(p, &o);
	else if (!dhcp && p->ra.max_sec)
		send_ra(p, true);
	*pp = p->next;
	end_probes(p);
	if (p->fd >= 0)
		close(p->fd);
	free(p);
	s.n_ports--;
}

/* False: rtrd is gone. */
static bool take_requests(void)
{
	struct autod_req q;

	for (;;) {
		ssize_t n = recv(HELPER_RTRD_FD, &q, sizeof(q), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return false;
		if (n < 0)
			return true;
		if (n != sizeof(q))
			continue;
		if (q.op == AUTOD_DHCP_SET || q.op == AUTOD_RA_SET)
			set_port(&q, q.op == AUTOD_DHCP_SET);
		else if (q.op == AUTOD_DHCP_DEL || q.op == AUTOD_RA_DEL)
			del_port(&q, q.op == AUTOD_DHCP_DEL);
	}
}

/* ---- answers ---- */

static void tell(const struct port *p, int kind, const struct dhcp_in *in)
{
	struct autod_event e = { .kind = (uint8_t)kind, .ifindex = p->ifindex };

	if (kind == AUTOD_BOUND) {
		e.len = in->len;
		e.n_routes = in->n_routes;
		e.n_dns = in->n_dns;
		memcpy(e.addr, in->yiaddr, 4);
		memcpy(e.server, in->server, 4);
		e.lease_sec = in->lease_sec;
		e.t1_sec = in->t1_sec;
		e.t2_sec = in->t2_sec;
		memcpy(e.routes, in->routes, sizeof(e.routes));
		memcpy(e.dns, in->dns, sizeof(e.dns));
		memcpy(e.domain, in->domain, sizeof(e.domain));
	}
	/* A lease that rtrd does not hear of is asked for again at the next renewal. */
	(void)!send(HELPER_RTRD_FD, &e, sizeof(e), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void take_frames(int fd)
{
	static uint8_t frame[2048];
	struct port *p = s.ports;
	struct dhcp_in in;

	while (p && p->fd != fd && p->arp_fd != fd)
		p = p->next;
	if (p && p->arp_fd == fd) {
		take_arp(p);
		return;
	}
	for (unsigned i = 0; p && i < HELPER_TURN; i++) {
		ssize_t n = recv(fd, frame, sizeof(frame), MSG_DONTWAIT);
		uint64_t now = rtr_now_ns();
		int kind;

		/* ENETDOWN comes once when the link goes down, and reading clears it. */
		if (n < 0)
			return;
		if (!p->dhcp) {
			if (ra_is_solicitation(frame, (size_t)n))
				ra_solicited(&p->timer, now);
		} else if (dhcp_read(frame, (size_t)n, &in)) {
			kind = dhcp_answer(&p->client, &in, now);
			if (kind)
				tell(p, kind, &in);
		}
	}
}

static uint64_t run_dhcp(struct port *p, uint64_t now)
{
	enum dhcp_act act;
	struct dhcp_out o;

	while ((act = dhcp_next(&p->client, now, &o)) != DHCP_WAIT) {
		if (act == DHCP_SEND)
			send_dhcp(p, &o);
		else if (act == DHCP_PROBE)
			send_probe(p);
		else if (act == DHCP_BOUND)
			tell(p, AUTOD_BOUND, &p->client.held);
		else
			tell(p, AUTOD_LOST, NULL);
	}
	if (p->client.state != DHCP_S_PROBING)
		end_probes(p);
	return dhcp_due(&p->client);
}

/* Does what is due; returns the time to wait in ms, -1: for ever. */
static int run_timers(void)
{
	uint64_t now = rtr_now_ns(), due = UINT64_MAX;

	for (struct port *p = s.ports; p; p = p->next) {
		if (p->dhcp) {
			due = MIN(due, run_dhcp(p, now));
		} else if (p->ra.max_sec) {
			if (ra_due_now(&p->timer, &p->ra, now))
				send_ra(p, false);
			due = MIN(due, p->timer.next_ns);
		}
	}
	return helper_wait_ms(due, now);
}

int main(void)
{
	static const struct helper h = { "rtr-autod", take_requests, take_frames, run_timers };

	return helper_main(&h);
}
