/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "diag/whohas.h"

#include "kernel/shadow.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/icmp6.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* More frames than that in one turn of the loop are left to the next. */
#define READ_BATCH 32

struct whohas {
	struct rtr_addr target;
	int fd;
	struct event *read, *again, *end;
	whohas_fn done;
	void *arg;
	struct whohas_answer v[WHOHAS_MAX];
	size_t n;
};

/* ARP of Ethernet and IPv4, RFC 826. */
struct arp {
	uint16_t hrd_be, pro_be;
	uint8_t hln, pln;
	uint16_t op_be;
	uint8_t sha[6], spa[4], tha[6], tpa[4];
} __attribute__((packed));
_Static_assert(sizeof(struct arp) == 28, "the frame's layout");

struct solicit {
	struct nd_neighbor_solicit ns;
	uint8_t opt_type, opt_len, mac[6];
};
_Static_assert(sizeof(struct solicit) == 32, "the message's layout");

static bool asked_here(const struct shadow_link *l)
{
	const struct shadow_link *m = l->master ? shadow_link_by_index(l->master) : NULL;

	/* Of a bridge or a channel its own link is asked, not its ports. */
	return l->arptype == ARPHRD_ETHER && l->has_mac && shadow_link_is_up(l) &&
	       !(l->flags & (IFF_NOARP | IFF_LOOPBACK)) && (!m || !strcmp(m->kind, "vrf"));
}

/* ---- IPv4 ---- */

/* The link's address of the target's subnet, else its first one. */
static void own_address(const struct shadow_link *l, const struct rtr_addr *target, uint8_t ret[4])
{
	for (size_t i = l->n_addrs; i-- > 0;) {
		const struct rtr_prefix *p = &l->addrs[i].addr;
		struct rtr_prefix net = rtr_prefix_network(*p);

		if (p->addr.family != AF_INET)
			continue;
		memcpy(ret, p->addr.b, 4);
		if (rtr_prefix_contains(&net, target))
			return;
	}
}

/* A question without a sender's address is answered by hosts of other subnets, too. */
static void send_arp(const struct whohas *w, const struct shadow_link *l, bool anonymous)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ARP),
				  .sll_ifindex = l->ifindex,
				  .sll_halen = 6 };
	struct arp a = { .hrd_be = htons(ARPHRD_ETHER),
			 .pro_be = htons(ETH_P_IP),
			 .hln = 6,
			 .pln = 4,
			 .op_be = htons(ARPOP_REQUEST) };

	memset(to.sll_addr, 0xff, 6);
	memcpy(a.sha, l->mac, 6);
	if (!anonymous)
		own_address(l, &w->target, a.spa);
	memcpy(a.tpa, w->target.b, 4);
	(void)!sendto(w->fd, &a, sizeof(a), MSG_DONTWAIT, (void *)&to, sizeof(to));
}

/* ---- IPv6 ---- */

static void send_ns(const struct whohas *w, const struct shadow_link *l)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_scope_id = (uint32_t)l->ifindex };
	struct solicit s = { .ns.nd_ns_type = ND_NEIGHBOR_SOLICIT,
			     .ns.nd_ns_target = w->target.v6,
			     .opt_type = ND_OPT_SOURCE_LINKADDR,
			     .opt_len = 1 };

	/* RFC 4291 section 2.7.1: the solicited-node address. */
	to.sin6_addr = (struct in6_addr){ .s6_addr = { 0xff, 2, [11] = 1, [12] = 0xff } };
	memcpy(&to.sin6_addr.s6_addr[13], &w->target.b[13], 3);
	memcpy(s.mac, l->mac, 6);
	if (setsockopt(w->fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &l->ifindex, sizeof(l->ifindex)))
		return;
	(void)!sendto(w->fd, &s, sizeof(s), MSG_DONTWAIT, (void *)&to, sizeof(to));
}

static void ask_all(const struct whohas *w, bool anonymous)
{
	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l)) {
		if (!asked_here(l))
			continue;
		if (w->target.family == AF_INET6)
			send_ns(w, l);
		else
			send_arp(w, l, anonymous);
	}
}

/* ---- answers ---- */

static bool is_ours(const uint8_t mac[6])
{
	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l)) {
		if (l->has_mac && !memcmp(l->mac, mac, 6))
			return true;
	}
	return false;
}

static void take(struct whohas *w, int ifindex, const uint8_t mac[6])
{
	const struct shadow_link *l = shadow_link_by_index(ifindex);

	/* Ports show the frames of their bridge once more. */
	if (!l || !asked_here(l) || is_ours(mac))
		return;
	for (size_t i = 0; i < w->n; i++) {
		if (w->v[i].ifindex == ifindex && !memcmp(w->v[i].mac, mac, 6))
			return;
	}
	if (w->n == WHOHAS_MAX)
		return;
	w->v[w->n].ifindex = ifindex;
	memcpy(w->v[w->n++].mac, mac, 6);
}

bool whohas_arp_reply(const void *frame, size_t size, const struct rtr_addr *target,
		      uint8_t ret_mac[6])
{
	struct arp a;

	if (size < sizeof(a))
		return false;
	memcpy(&a, frame, sizeof(a));
	if (a.op_be != htons(ARPOP_REPLY) || a.hln != 6 || a.pln != 4 ||
	    memcmp(a.spa, target->b, 4) != 0)
		return false;
	memcpy(ret_mac, a.sha, 6);
	return true;
}

static bool read_arp(struct whohas *w)
{
	uint8_t buf[64], mac[6];
	struct sockaddr_ll from;
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(w->fd, buf, sizeof(buf), MSG_DONTWAIT, (void *)&from, &len);

	if (n < 0)
		return false;
	if (from.sll_pkttype != PACKET_OUTGOING &&
	    whohas_arp_reply(buf, (size_t)n, &w->target, mac))
		take(w, from.sll_ifindex, mac);
	return true;
}

/* The MAC address of an advertisement's options; false when they say none. */
static bool target_mac(const uint8_t *opt, size_t size, uint8_t mac[6])
{
	while (size >= 8 && opt[1] && (size_t)opt[1] * 8 <= size) {
		if (opt[0] == ND_OPT_TARGET_LINKADDR) {
			memcpy(mac, opt + 2, 6);
			return true;
		}
		size -= (size_t)opt[1] * 8;
		opt += (size_t)opt[1] * 8;
	}
	return false;
}

/* RFC 4861 section 7.1.2: what came through a router is forged. */
bool whohas_advert(const void *msg, size_t size, int hops, const struct rtr_addr *target,
		   uint8_t ret_mac[6])
{
	struct nd_neighbor_advert na;

	if (size < sizeof(na) || hops != 255)
		return false;
	memcpy(&na, msg, sizeof(na));
	if (na.nd_na_type != ND_NEIGHBOR_ADVERT || na.nd_na_code ||
	    memcmp(&na.nd_na_target, target->b, 16) != 0)
		return false;
	return target_mac((const uint8_t *)msg + sizeof(na), size - sizeof(na), ret_mac);
}

static bool read_na(struct whohas *w)
{
	uint8_t buf[256], control[128], mac[6];
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr mh = { .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(w->fd, &mh, MSG_DONTWAIT);
	struct in6_pktinfo pi = { 0 };
	int hops = 0;

	if (n < 0)
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&mh); c; c = CMSG_NXTHDR(&mh, c)) {
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
			memcpy(&pi, CMSG_DATA(c), sizeof(pi));
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)
			memcpy(&hops, CMSG_DATA(c), sizeof(hops));
	}
	if (whohas_advert(buf, (size_t)n, hops, &w->target, mac))
		take(w, (int)pi.ipi6_ifindex, mac);
	return true;
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	struct whohas *w = arg;

	for (int i = 0; i < READ_BATCH; i++) {
		if (!(w->target.family == AF_INET6 ? read_na(w) : read_arp(w)))
			return;
	}
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	ask_all(arg, true);
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
	struct whohas *w = arg;

	event_del(w->read);
	w->done(w->arg, w->v, w->n);
}

/* ---- sockets ---- */

static int open_arp(struct whohas *w)
{
	/* Answers alone: offset 6 of ARP is the operation. */
	struct sock_filter code[] = { BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6),
				      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARPOP_REPLY, 0, 1),
				      BPF_STMT(BPF_RET | BPF_K, 64), BPF_STMT(BPF_RET | BPF_K, 0) };
	struct sock_fprog prog = { .len = ARRAY_LEN(code), .filter = code };
	struct sockaddr_ll all = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP) };

	w->fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (w->fd < 0)
		return -errno;
	if (setsockopt(w->fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0 ||
	    bind(w->fd, (void *)&all, sizeof(all)) < 0)
		return -errno;
	return 0;
}

static int open_nd(struct whohas *w)
{
	struct icmp6_filter f;
	int on = 1, hops = 255, off = 0;

	w->fd = socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMPV6);
	if (w->fd < 0)
		return -errno;
	ICMP6_FILTER_SETBLOCKALL(&f);
	ICMP6_FILTER_SETPASS(ND_NEIGHBOR_ADVERT, &f);
	if (setsockopt(w->fd, IPPROTO_ICMPV6, ICMP6_FILTER, &f, sizeof(f)) < 0 ||
	    setsockopt(w->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) < 0 ||
	    setsockopt(w->fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof(on)) < 0 ||
	    setsockopt(w->fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &off, sizeof(off)) < 0 ||
	    setsockopt(w->fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(hops)) < 0)
		return -errno;
	return 0;
}

struct whohas *whohas_new(struct event_base *base, const struct rtr_addr *target, whohas_fn done,
			  void *arg, int *ret_error)
{
	static const struct timeval half = { .tv_usec = WHOHAS_WAIT_MS * 500 },
				    whole = { .tv_usec = WHOHAS_WAIT_MS * 1000 };
	struct whohas *w = xcalloc(1, sizeof(*w));

	*w = (struct whohas){ .target = *target, .fd = -1, .done = done, .arg = arg };
	*ret_error = target->family == AF_INET6 ? open_nd(w) : open_arp(w);
	if (*ret_error)
		return whohas_free(w);
	w->read = event_new(base, w->fd, EV_READ | EV_PERSIST, on_read, w);
	w->again = evtimer_new(base, on_again, w);
	w->end = evtimer_new(base, on_end, w);
	event_add(w->read, NULL);
	event_add(w->again, &half);
	event_add(w->end, &whole);
	ask_all(w, false);
	return w;
}

struct whohas *whohas_free(struct whohas *w)
{
	if (!w)
		return NULL;
	if (w->read)
		event_free(w->read);
	if (w->again)
		event_free(w->again);
	if (w->end)
		event_free(w->end);
	if (w->fd >= 0)
		close(w->fd);
	free(w);
	return NULL;
}
