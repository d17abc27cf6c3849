/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "diag/probe.h"

#include "util.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of linux/icmp.h, which netinet/ip_icmp.h does not go with. */
#define ICMP_FILTER 1
/* Larger than the largest IP packet. */
#define PACKET_MAX 65535

struct probe {
	struct probe *next;
	struct probe_opts o;
	probe_done_fn done;
	void *arg;
	int icmp, udp; /* udp: -1 with echoes */
	struct event *ev, *timer;
	uint16_t id, seq; /* echoes; UDP: id is our port, seq the destination's */
	uint64_t sent_ns;
	bool waiting;
};

static struct probe *probes; /* all there are */
static unsigned next_id;

/* A link-local address means something on its interface only. */
static void set_scope(struct sockaddr_storage *ss, const struct rtr_addr *a, int ifindex)
{
	struct sockaddr_in6 *s6 = (void *)ss;

	if (a->family == AF_INET6 && rtr_addr_is_linklocal(a))
		s6->sin6_scope_id = (uint32_t)ifindex;
}

static void finish(struct probe *p, enum probe_answer a, const struct rtr_addr *from, unsigned mtu)
{
	static const struct rtr_addr none;
	uint64_t us = (rtr_now_ns() - p->sent_ns) / 1000;

	p->waiting = false;
	event_del(p->timer);
	p->done(p->arg, a, us, from ? from : &none, mtu);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	finish(arg, PROBE_TIMEOUT, NULL, 0);
}

/* Does the quoted packet (IP header on) belong to the probe under way? */
static bool quotes_us(const struct probe *p, const uint8_t *q, size_t size)
{
	bool v6 = p->o.dst.family == AF_INET6;
	size_t head = v6 ? 40 : size ? (size_t)(q[0] & 15) * 4 : 0;
	uint8_t proto;

	if (head < 20 || size < head + 8)
		return false;
	proto = v6 ? q[6] : q[9];
	if (memcmp(v6 ? q + 24 : q + 16, p->o.dst.b, rtr_family_size(p->o.dst.family)))
		return false;
	q += head;
	if (p->o.kind == PROBE_UDP)
		return proto == IPPROTO_UDP && (q[0] << 8 | q[1]) == p->id &&
		       (q[2] << 8 | q[3]) == p->seq;
	return proto == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) && (q[4] << 8 | q[5]) == p->id &&
	       (q[6] << 8 | q[7]) == p->seq;
}

static void answer4(struct probe *p, const uint8_t *m, size_t size, const struct rtr_addr *from)
{
	enum probe_answer a = PROBE_UNKNOWN;
	unsigned mtu = 0;

	if (m[0] == ICMP_ECHOREPLY && p->o.kind == PROBE_ECHO) {
		if ((m[4] << 8 | m[5]) == p->id && (m[6] << 8 | m[7]) == p->seq)
			finish(p, PROBE_REPLY, from, 0);
		return;
	}
	if ((m[0] != ICMP_UNREACH && m[0] != ICMP_TIMXCEED && m[0] != ICMP_PARAMPROB) ||
	    !quotes_us(p, m + 8, size - 8))
		return;
	if (m[0] == ICMP_TIMXCEED) {
		a = PROBE_TTL;
	} else if (m[0] == ICMP_UNREACH && m[1] == ICMP_UNREACH_NEEDFRAG) {
		a = PROBE_TOO_BIG;
		mtu = (unsigned)(m[6] << 8 | m[7]);
	} else if (m[0] == ICMP_UNREACH && m[1] == ICMP_UNREACH_PORT && p->o.kind == PROBE_UDP) {
		a = PROBE_REPLY;
	} else if (m[0] == ICMP_UNREACH) {
		a = m[1] == 9 || m[1] == 10 || m[1] == 13 ? PROBE_PROHIBITED : PROBE_UNREACHABLE;
	}
	finish(p, a, from, mtu);
}

static void answer6(struct probe *p, const uint8_t *m, size_t size, const struct rtr_addr *from)
{
	enum probe_answer a = PROBE_UNKNOWN;
	unsigned mtu = 0;

	if (m[0] == ICMP6_ECHO_REPLY && p->o.kind == PROBE_ECHO) {
		if ((m[4] << 8 | m[5]) == p->id && (m[6] << 8 | m[7]) == p->seq)
			finish(p, PROBE_REPLY, from, 0);
		return;
	}
	if (m[0] > ICMP6_PARAM_PROB || !quotes_us(p, m + 8, size - 8))
		return;
	if (m[0] == ICMP6_TIME_EXCEEDED) {
		a = PROBE_TTL;
	} else if (m[0] == ICMP6_PACKET_TOO_BIG) {
		a = PROBE_TOO_BIG;
		mtu = (unsigned)(m[4] << 24 | m[5] << 16 | m[6] << 8 | m[7]);
	} else if (m[0] == ICMP6_DST_UNREACH && m[1] == ICMP6_DST_UNREACH_NOPORT &&
		   p->o.kind == PROBE_UDP) {
		a = PROBE_REPLY;
	} else if (m[0] == ICMP6_DST_UNREACH) {
		a = m[1] == ICMP6_DST_UNREACH_ADMIN ? PROBE_PROHIBITED : PROBE_UNREACHABLE;
	}
	finish(p, a, from, mtu);
}

static void on_icmp(evutil_socket_t fd, short what, void *arg)
{
	static uint8_t buf[PACKET_MAX];
	struct probe *p = arg;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	ssize_t n = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, (void *)&ss, &len);
	struct rtr_addr from = { .family = p->o.dst.family };
	size_t head;

	if (n < 0 || !p->waiting)
		return;
	if (from.family == AF_INET6) {
		from.v6 = ((struct sockaddr_in6 *)(void *)&ss)->sin6_addr;
		if (n >= 8)
			answer6(p, buf, (size_t)n, &from);
		return;
	}
	from.v4_be = ((struct sockaddr_in *)(void *)&ss)->sin_addr.s_addr;
	head = (size_t)(buf[0] & 15) * 4;
	if ((size_t)n >= head + 8)
		answer4(p, buf + head, (size_t)n - head, &from);
}

/* Don't fragment: set, and our own stored path MTU is not asked. */
static int set_df(int fd, int family, bool df)
{
	int v = df ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT;

	if (family == AF_INET6) {
		v = df ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DONT;
		if (setsockopt(fd, IPPROTO_IPV6, IPV6_DONTFRAG, &(int){ df }, sizeof(int)) < 0)
			return -errno;
		return setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &v, sizeof(v)) < 0 ? -errno
											  : 0;
	}
	return setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &v, sizeof(v)) < 0 ? -errno : 0;
}

/* Only what may be an answer: else each echo request and neighbour advertisement to the box would
 * wake us for as long as the probe lives. */
static int set_filter(int fd, int family)
{
	uint32_t unwanted = ~(1u << ICMP_ECHOREPLY | 1u << ICMP_UNREACH | 1u << ICMP_TIMXCEED |
			      1u << ICMP_PARAMPROB);
	struct icmp6_filter f;

	if (family == AF_INET)
		return setsockopt(fd, SOL_RAW, ICMP_FILTER, &unwanted, sizeof(unwanted)) < 0
			       ? -errno
			       : 0;
	ICMP6_FILTER_SETBLOCKALL(&f);
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &f);
	for (int type = ICMP6_DST_UNREACH; type <= ICMP6_PARAM_PROB; type++)
		ICMP6_FILTER_SETPASS(type, &f);
	return setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &f, sizeof(f)) < 0 ? -errno : 0;
}

static int bind_source(int fd, const struct rtr_addr *src, int ifindex)
{
	struct sockaddr_storage ss;
	socklen_t len;

	if (!src->family)
		return 0;
	len = rtr_addr_sockaddr(src, 0, &ss);
	set_scope(&ss, src, ifindex);
	return bind(fd, (void *)&ss, len) < 0 ? -errno : 0;
}

/* Sends and hears in the VRF alone. */
static int bind_vrf(int fd, const char *vrf)
{
	if (!vrf || setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, vrf, (socklen_t)strlen(vrf)) == 0)
		return 0;
	return -errno;
}

static int open_sockets(struct probe *p)
{
	int family = p->o.dst.family, fd, r;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	p->icmp = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
			 family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	if (p->icmp < 0)
		return -errno;
	fd = p->icmp;
	if (p->o.kind == PROBE_UDP) {
		fd = p->udp = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (p->udp < 0)
			return -errno;
	}
	r = set_filter(p->icmp, family);
	if (!r)
		r = bind_vrf(p->icmp, p->o.vrf);
	if (!r && fd != p->icmp)
		r = bind_vrf(fd, p->o.vrf);
	if (!r)
		r = set_df(fd, family, p->o.df);
	if (!r)
		r = bind_source(fd, &p->o.src, p->o.ifindex);
	if (r || p->o.kind != PROBE_UDP)
		return r;
	/* Our port tells the errors about our datagrams from others'. */
	if (!p->o.src.family) {
		struct rtr_addr any = { .family = (uint8_t)family };

		r = bind_source(p->udp, &any, 0);
	}
	if (r || getsockname(p->udp, (void *)&ss, &len) < 0)
		return r ? r : -errno;
	p->id = ntohs(family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&ss)->sin6_port
					 : ((struct sockaddr_in *)(void *)&ss)->sin_port);
	return 0;
}

static bool is_taken(uint16_t id)
{
	for (const struct probe *p = probes; p; p = p->next) {
		if (p->id == id)
			return true;
	}
	return false;
}

/* Of the identifiers that NAT leaves to the box, as it does the ports: one of the fast plane's
 * would be translated. Not that of another probe, which would take our answers. */
static uint16_t free_id(void)
{
	unsigned long lo = 32768, hi = 60999; /* Linux's own */
	char *text, *end;

	if (!rtr_file_read("/proc/sys/net/ipv4/ip_local_port_range", 64, &text, NULL)) {
		lo = strtoul(text, &end, 10);
		hi = strtoul(end, NULL, 10);
		free(text);
	}
	if (!next_id)
		next_id = (unsigned)getpid();
	for (unsigned i = 0; i < hi - lo; i++) {
		if (!is_taken((uint16_t)(lo + next_id % (hi - lo + 1))))
			break;
		next_id++;
	}
	return (uint16_t)(lo + next_id++ % (hi - lo + 1));
}

struct probe *probe_new(struct event_base *base, const struct probe_opts *o, probe_done_fn done,
			void *arg, int *ret_error)
{
	struct probe *p = xcalloc(1, sizeof(*p));

	*p = (struct probe){ .o = *o, .done = done, .arg = arg, .icmp = -1, .udp = -1 };
	p->id = free_id();
	p->next = probes;
	probes = p;
	p->seq = o->kind == PROBE_UDP ? (uint16_t)(o->port - 1) : 0;
	*ret_error = open_sockets(p);
	if (*ret_error)
		return probe_free(p);
	p->ev = event_new(base, p->icmp, EV_READ | EV_PERSIST, on_icmp, p);
	p->timer = evtimer_new(base, on_timeout, p);
	event_add(p->ev, NULL);
	return p;
}

struct probe *probe_free(struct probe *p)
{
	for (struct probe **pp = &probes; *pp; pp = &(*pp)->next) {
		if (*pp == p) {
			*pp = p->next;
			break;
		}
	}
	if (p->ev)
		event_free(p->ev);
	if (p->timer)
		event_free(p->timer);
	if (p->icmp >= 0)
		close(p->icmp);
	if (p->udp >= 0)
		close(p->udp);
	free(p);
	return NULL;
}

static uint16_t checksum(const uint8_t *d, size_t n)
{
	uint32_t sum = 0;

	for (; n > 1; d += 2, n -= 2)
		sum += (uint32_t)(d[0] << 8 | d[1]);
	if (n)
		sum += (uint32_t)d[0] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static size_t make_echo(const struct probe *p, uint8_t *b)
{
	bool v6 = p->o.dst.family == AF_INET6;
	size_t n = MAX(p->o.size, (v6 ? 40u : 20u) + 8u) - (v6 ? 40 : 20);
	uint16_t sum;

	memset(b, 0xab, n); /* the pattern that IOS sends is 0xABCD */
	memset(b, 0, 8);
	b[0] = v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
	b[4] = (uint8_t)(p->id >> 8);
	b[5] = (uint8_t)p->id;
	b[6] = (uint8_t)(p->seq >> 8);
	b[7] = (uint8_t)p->seq;
	if (!v6) { /* the kernel fills in ICMPv6's */
		sum = checksum(b, n);
		b[2] = (uint8_t)(sum >> 8);
		b[3] = (uint8_t)sum;
	}
	return n;
}

int probe_send(struct probe *p, unsigned ttl, unsigned timeout_ms)
{
	static uint8_t buf[PACKET_MAX];
	struct timeval tv = { .tv_sec = timeout_ms / 1000,
			      .tv_usec = (int)(timeout_ms % 1000) * 1000 };
	bool v6 = p->o.dst.family == AF_INET6;
	int fd = p->udp >= 0 ? p->udp : p->icmp, hops = (int)ttl;
	struct sockaddr_storage ss;
	socklen_t len;
	size_t n;

	p->seq++;
	if (ttl && setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_UNICAST_HOPS : IP_TTL,
			      &hops, sizeof(hops)) < 0)
		return -errno;
	if (p->o.kind == PROBE_UDP) {
		n = MAX(p->o.size, (v6 ? 48u : 28u) + 1u) - (v6 ? 48 : 28);
		memset(buf, 0, n);
	} else {
		n = make_echo(p, buf);
	}
	len = rtr_addr_sockaddr(&p->o.dst, p->o.kind == PROBE_UDP ? p->seq : 0, &ss);
	set_scope(&ss, &p->o.dst, p->o.ifindex);
	p->sent_ns = rtr_now_ns();
	if (sendto(fd, buf, n, MSG_DONTWAIT, (void *)&ss, len) < 0)
		return -errno;
	p->waiting = true;
	event_add(p->timer, &tv);
	return 0;
}
