/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Adverts are received by raw IP sockets, one for each interface and family: they cost packets of
 * other protocols nothing. They are sent as whole frames, because their source is the virtual MAC
 * whatever device has it, and because nothing on the way (routes, firewall) may hold one up.
 */
#include "vrrp/vrrpd.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Frames that leave with one system call. */
#define TX_BATCH 64
#define RX_BATCH 32
/* A thousand adverts, 1-2 ms of work: more than all groups of a box hear in that time. A flood of
 * forged ones must not keep the loop from its timers. */
#define RX_TURNS 32
/* An advert of 255 IPv6 addresses does not fit an Ethernet frame; longer ones are cut, and then
 * dropped for their length. */
#define RX_SIZE 1600
/* Room for the adverts of 250 groups at 100 ms during a stall of several seconds; the kernel
 * counts about 800 bytes for each. */
#define RX_BUFFER (4 << 20)
/* As routing daemons do: the first band of the default queue. */
#define TX_PRIORITY 7
/* Adverts and announcements of all groups at once: a frame stays charged to the socket until the
 * card has sent it, as some 800 bytes, twice over by how the kernel counts. */
#define TX_BUFFER       (8 << 20)
#define ASSERT_SPLIT_NS (10 * NSEC_PER_SEC)
/* A full queue empties within milliseconds, unless the link hangs: then each frame that is tried in
 * vain costs time that other links need. */
#define RETRY_MIN_NS (1 * NSEC_PER_MSEC)
#define RETRY_MAX_NS (64 * NSEC_PER_MSEC)

static int tx_fd, uni_fd[2];

static struct {
	unsigned n;
	struct mmsghdr msg[TX_BATCH];
	struct iovec iov[TX_BATCH];
	struct sockaddr_ll to[TX_BATCH];
	uint8_t frame[TX_BATCH][VRRP_FRAME_MAX];
	struct {
		struct vg *g;
		enum io_kind kind;
	} of[TX_BATCH];
} tx;

int io_init(void)
{
	int one = 1, prio = TX_PRIORITY, size = TX_BUFFER;

	tx_fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	uni_fd[V4] = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
	uni_fd[V6] = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, VRRP_PROTO);
	if (tx_fd < 0 || uni_fd[V4] < 0)
		return -errno;
	setsockopt(tx_fd, SOL_SOCKET, SO_PRIORITY, &prio, sizeof(prio));
	setsockopt(tx_fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	setsockopt(uni_fd[V4], IPPROTO_IP, IP_HDRINCL, &one, sizeof(one));
	if (uni_fd[V6] >= 0) {
		/* It only sends: what arrives belongs to the interfaces' sockets. */
		static struct sock_filter none[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
		static const struct sock_fprog prog = { ARRAY_LEN(none), none };

		setsockopt(uni_fd[V6], SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
	}
	return 0;
}

/* ---- sending ---- */

/* The kernel did not take a frame of the group. What it had no room for is said again soon, as the
 * group stands then: to send the old frame later could say what is no longer so. */
static void refused(struct vg *g, enum io_kind kind, int error)
{
	struct vrrp_status *st;

	/* Forgotten while its last frames waited. */
	if (!g->used)
		return;
	st = st_begin(g);
	st->n_refused++;
	if (kind == IO_ANNOUNCE) {
		st->n_garp -= st->n_garp > 0;
	} else if (kind == IO_ADVERT && !g->slot->conf.n_peers) {
		st->n_sent -= st->n_sent > 0;
		st->sent_ns = g->sent_ns = g->sent_before_ns;
	}
	st_end(g);
	if (kind == IO_OTHER || (error != EAGAIN && error != ENOBUFS && error != ENOMEM))
		return;
	g->again_advert |= kind == IO_ADVERT;
	g->again_announce |= kind == IO_ANNOUNCE;
	if (g->again_at)
		return;
	g->again_gap_ns = MIN(MAX(g->again_gap_ns * 2, RETRY_MIN_NS), RETRY_MAX_NS);
	g->again_at = rtr_now_ns() + g->again_gap_ns;
	vg_schedule(g);
}

/* It said that it resigns, and the peers still wait for its next advert. */
static bool just_down(const struct vg *g)
{
	return g->fsm.state == VRRP_S_INIT &&
	       rtr_now_ns() - g->slot->st.since_ns < 3 * g->fsm.adver_ns;
}

void io_again(struct vg *g)
{
	bool advert = g->again_advert, announce = g->again_announce;

	g->again_at = 0;
	g->again_advert = g->again_announce = false;
	if (g->fsm.state == VRRP_S_ACTIVE) {
		if (advert)
			io_advert(g, g->fsm.prio);
		if (announce)
			io_announce(g);
	} else if (advert && (g->fsm.state == VRRP_S_LEAVING || just_down(g))) {
		io_advert(g, 0);
	}
}

void io_flush(void)
{
	unsigned done = 0;

	while (done < tx.n) {
		int n = sendmmsg(tx_fd, tx.msg + done, tx.n - done, 0);

		/* What one interface refuses (it is down, its queue is full) the next may take. */
		if (n <= 0)
			refused(tx.of[done].g, tx.of[done].kind, errno);
		for (int i = 0; i < n; i++)
			tx.of[done + (unsigned)i].g->again_gap_ns = 0;
		done += n > 0 ? (unsigned)n : 1;
	}
	tx.n = 0;
}

void io_raw(struct vg *g, enum io_kind kind, const uint8_t *frame, size_t size)
{
	unsigned i = tx.n;

	memcpy(tx.frame[i], frame, size);
	tx.of[i].g = g;
	tx.of[i].kind = kind;
	tx.iov[i] = (struct iovec){ tx.frame[i], size };
	tx.to[i] = (struct sockaddr_ll){ .sll_family = AF_PACKET,
					 .sll_ifindex = g->vif->ifindex,
					 .sll_halen = ETH_ALEN };
	memcpy(tx.to[i].sll_addr, frame, ETH_ALEN);
	tx.msg[i] = (struct mmsghdr){ .msg_hdr = { .msg_name = &tx.to[i],
						   .msg_namelen = sizeof(tx.to[i]),
						   .msg_iov = &tx.iov[i],
						   .msg_iovlen = 1 } };
	if (++tx.n == TX_BATCH)
		io_flush();
}

static struct vrrp_say say_of(const struct vg *g, uint8_t prio, const struct rtr_addr *dst)
{
	const struct vrrp_conf *c = &g->slot->conf;
	struct vrrp_say s = { .family = c->family,
			      .version = c->version,
			      .vrid = c->vrid,
			      .prio = prio,
			      .sum = g->sum,
			      .adver_cs = (uint16_t)(c->adver_ms / 10),
			      .src = g->vif->local[FAM(c->family)],
			      .dst = *dst,
			      .addrs = c->addrs,
			      .n_addrs = c->n_addrs,
			      .has_auth = c->flags & VRRP_F_AUTH };

	memcpy(s.auth, c->auth, sizeof(s.auth));
	return s;
}

void io_frame_build(struct vg *g)
{
	struct rtr_addr group = vrrp_group_addr(g->slot->conf.family);
	struct vrrp_say s = say_of(g, g->fsm.prio, &group);

	if (s.src.family)
		g->frame_size = vrrp_frame_advert(&s, g->mac, g->frame);
	else
		g->frame_size = 0;
	g->frame_prio = g->fsm.prio;
}

/* By the group's interface, whatever the routing table says of the peer: a route by another one
 * would part the two, and both would become master. */
static bool send_unicast4(const struct vg *g, const uint8_t *packet, size_t size,
			  const struct vrrp_say *s)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct in_pktinfo info = { .ipi_ifindex = g->vif->ifindex };
	union {
		char buf[CMSG_SPACE(sizeof(info))];
		struct cmsghdr align;
	} control = { 0 };
	/* Not written to. */
	struct iovec iov = { (void *)(uintptr_t)packet, size };
	struct msghdr mh = { .msg_name = &to,
			     .msg_namelen = sizeof(to),
			     .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf) };
	struct cmsghdr *cm = CMSG_FIRSTHDR(&mh);

	memcpy(&to.sin_addr, s->dst.b, 4);
	memcpy(&info.ipi_spec_dst, s->src.b, 4);
	cm->cmsg_level = IPPROTO_IP;
	cm->cmsg_type = IP_PKTINFO;
	cm->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(cm), &info, sizeof(info));
	return sendmsg(uni_fd[V4], &mh, 0) >= 0;
}

static bool send_unicast6(const struct vg *g, const struct vrrp_say *s)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6,
				   .sin6_addr = s->dst.v6,
				   .sin6_scope_id = (uint32_t)g->vif->ifindex };
	struct in6_pktinfo info = { .ipi6_addr = s->src.v6,
				    .ipi6_ifindex = (unsigned)g->vif->ifindex };
	int hops = VRRP_TTL;
	uint8_t buf[VRRP_FRAME_MAX];
	union {
		char buf[CMSG_SPACE(sizeof(info)) + CMSG_SPACE(sizeof(hops))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { buf, vrrp_build(s, buf) };
	struct msghdr mh = { .msg_name = &to,
			     .msg_namelen = sizeof(to),
			     .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf) };
	struct cmsghdr *cm = CMSG_FIRSTHDR(&mh);

	cm->cmsg_level = IPPROTO_IPV6;
	cm->cmsg_type = IPV6_PKTINFO;
	cm->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(cm), &info, sizeof(info));
	cm = CMSG_NXTHDR(&mh, cm);
	cm->cmsg_level = IPPROTO_IPV6;
	cm->cmsg_type = IPV6_HOPLIMIT;
	cm->cmsg_len = CMSG_LEN(sizeof(hops));
	memcpy(CMSG_DATA(cm), &hops, sizeof(hops));
	return sendmsg(uni_fd[V6], &mh, 0) >= 0;
}

static bool send_unicast(struct vg *g, uint8_t prio, const struct rtr_addr *peer)
{
	struct vrrp_say s = say_of(g, prio, peer);
	uint8_t buf[VRRP_FRAME_MAX];
	size_t size;
	bool taken;

	if (s.family == AF_INET6) {
		taken = send_unicast6(g, &s);
	} else {
		/* The frame without its Ethernet header. */
		size = vrrp_frame_advert(&s, g->mac, buf) - ETH_HLEN;
		taken = send_unicast4(g, buf + ETH_HLEN, size, &s);
	}
	if (!taken)
		refused(g, IO_ADVERT, errno);
	return taken;
}

static void send_to_peers(struct vg *g, uint8_t prio)
{
	const struct vrrp_conf *c = &g->slot->conf;
	bool all = true;

	for (unsigned i = 0; i < c->n_peers; i++)
		all = send_unicast(g, prio, &c->peers[i]) && all;
	if (all)
		g->again_gap_ns = 0;
}

static void count_sent(struct vg *g, uint8_t prio)
{
	struct vrrp_status *st = st_begin(g);
	uint64_t now = rtr_now_ns();

	st->n_sent++;
	st->sent_ns = now;
	if (!prio)
		st->n_sent_zero++;
	else if (g->sent_ns && g->fsm.state == VRRP_S_ACTIVE)
		st->max_gap_ns = MAX(st->max_gap_ns, now - g->sent_ns);
	g->sent_before_ns = g->sent_ns;
	g->sent_ns = prio ? now : 0;
	st_end(g);
}

void io_advert(struct vg *g, uint8_t prio)
{
	const struct vrrp_conf *c = &g->slot->conf;

	if (!g->vif->local[FAM(c->family)].family || !g->vif->ifindex)
		return;
	count_sent(g, prio);
	if (c->n_peers) {
		send_to_peers(g, prio);
		return;
	}
	if (!g->frame_size || g->frame_prio != g->fsm.prio)
		io_frame_build(g);
	if (prio != g->frame_prio) {
		struct rtr_addr group = vrrp_group_addr(c->family);
		struct vrrp_say s = say_of(g, prio, &group);
		uint8_t buf[VRRP_FRAME_MAX];

		io_raw(g, IO_ADVERT, buf, vrrp_frame_advert(&s, g->mac, buf));
		return;
	}
	io_raw(g, IO_ADVERT, g->frame, g->frame_size);
}

void io_announce(struct vg *g)
{
	const struct vrrp_conf *c = &g->slot->conf;
	struct vrrp_status *st = st_begin(g);
	uint8_t buf[VRRP_FRAME_MAX];

	st->n_garp += c->n_addrs;
	st_end(g);
	for (unsigned i = 0; i < c->n_addrs; i++) {
		size_t n = c->family == AF_INET ? vrrp_frame_garp(&c->addrs[i], g->mac, buf)
						: vrrp_frame_na(&c->addrs[i], g->mac, buf);

		io_raw(g, IO_ANNOUNCE, buf, n);
	}
}

/* ---- receiving ---- */

static struct {
	struct mmsghdr msg[RX_BATCH];
	struct iovec iov[RX_BATCH];
	struct sockaddr_in6 from[RX_BATCH];
	uint8_t data[RX_BATCH][RX_SIZE];
	union {
		char buf[256];
		struct cmsghdr align;
	} control[RX_BATCH];
} in;

static int rx_open4(int ifindex)
{
	struct ip_mreqn join = { .imr_ifindex = ifindex };
	struct rtr_addr group = vrrp_group_addr(AF_INET);
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, VRRP_PROTO);

	memcpy(&join.imr_multiaddr, group.b, 4);
	if (fd >= 0 && setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof(join)) < 0 &&
	    errno != EADDRINUSE) {
		close(fd);
		return -1;
	}
	return fd;
}

static int rx_open6(int ifindex)
{
	struct rtr_addr group = vrrp_group_addr(AF_INET6);
	struct ipv6_mreq join = { .ipv6mr_multiaddr = group.v6,
				  .ipv6mr_interface = (unsigned)ifindex };
	int one = 1;
	int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, VRRP_PROTO);

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &one, sizeof(one));
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &join, sizeof(join)) < 0 &&
	    errno != EADDRINUSE) {
		close(fd);
		return -1;
	}
	return fd;
}

int io_rx_open(int fam, int ifindex, const char name[IFNAMSIZ])
{
	int one = 1, size = RX_BUFFER;
	int fd = fam == V4 ? rx_open4(ifindex) : rx_open6(ifindex);
	uint8_t any;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, IFNAMSIZ);
	setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	/* What came before the socket was bound may be another interface's. */
	while (recv(fd, &any, sizeof(any), MSG_DONTWAIT) >= 0)
		;
	return fd;
}

static bool rx_wanted(const struct vif *v, int fam)
{
	return v->n_family[fam] && v->ifindex && v->up;
}

static void rx_take(struct vif *v, int fam, int fd)
{
	if (fd < 0)
		return; /* tried again with the next event of the interface */
	v->rx[fam] = fd;
	v->drained_ns[fam] = rtr_now_ns();
	vrrpd_watch(fd, WATCH_RX + (unsigned)(v - vd.ifs) * 2 + (unsigned)fam);
}

void io_rx_opened(struct vif *v, int fam, const struct link_info *l, int fd, uint64_t now)
{
	v->opening[fam] = false;
	if (v->rx[fam] < 0 && rx_wanted(v, fam) && v->ifindex == l->ifindex &&
	    !strcmp(v->name, l->name)) {
		rx_take(v, fam, fd);
		link_each_group(v, now);
		return;
	}
	if (fd >= 0)
		look_close(fd);
	io_rx_update(v);
}

void io_rx_update(struct vif *v)
{
	for (int fam = 0; fam < 2; fam++) {
		bool want = rx_wanted(v, fam);

		if (want == (v->rx[fam] >= 0))
			continue;
		if (!want) {
			epoll_ctl(vd.epoll_fd, EPOLL_CTL_DEL, v->rx[fam], NULL);
			look_close(v->rx[fam]);
			v->rx[fam] = -1;
		} else if (vd.restoring) {
			rx_take(v, fam, io_rx_open(fam, v->ifindex, v->name));
		} else if (!v->opening[fam]) {
			v->opening[fam] = true;
			look_open(v, fam);
		}
	}
}

static void count_drop(struct vg *g, enum vrrp_drop why)
{
	if (g) {
		st_begin(g)->n_drop[why]++;
		st_end(g);
	} else {
		vd.shm->n_unknown_drops++;
		vd.shm->n_drop[why]++;
	}
}

static bool is_peer(const struct vrrp_conf *c, const struct rtr_addr *src)
{
	for (unsigned i = 0; i < c->n_peers; i++) {
		if (!rtr_addr_cmp(&c->peers[i], src))
			return true;
	}
	return false;
}

static bool same_addresses(const struct vrrp_conf *c, const struct vrrp_advert *a)
{
	unsigned size = rtr_family_size(c->family);

	if (a->n_addrs != c->n_addrs)
		return false;
	for (unsigned i = 0; i < c->n_addrs; i++) {
		unsigned k = 0;

		while (k < a->n_addrs && memcmp(c->addrs[i].b, a->addrs + k * size, size))
			k++;
		if (k == a->n_addrs)
			return false;
	}
	return true;
}

/* Checks that need the configuration. */
static enum vrrp_drop judge(struct vg *g, uint64_t now, const struct vrrp_rx *rx,
			    const struct vrrp_advert *a)
{
	const struct vrrp_conf *c = &g->slot->conf;
	struct rtr_addr group = vrrp_group_addr(c->family);

	if (!rtr_addr_cmp(&rx->src, &g->vif->local[FAM(c->family)]) ||
	    (c->n_peers ? !is_peer(c, &rx->src) : rtr_addr_cmp(&rx->dst, &group) != 0))
		return VRRP_D_SOURCE;
	if (a->version != c->version) {
		conf_notice(g, now, VRRP_N_VERSION, a->version, &rx->src, 60 * NSEC_PER_SEC);
		return VRRP_D_VERSION;
	}
	if (c->version == 2) {
		if (a->auth_type != (c->flags & VRRP_F_AUTH ? 1 : 0) ||
		    (a->auth_type && memcmp(a->auth, c->auth, sizeof(c->auth))))
			return VRRP_D_AUTH;
		/* RFC 3768 section 7.1: unlike version 3 it does not follow the master. */
		if (a->adver_cs * 10u != c->adver_ms && !(c->flags & VRRP_F_LEARN)) {
			conf_notice(g, now, VRRP_N_INTERVAL, 0, &rx->src, 60 * NSEC_PER_SEC);
			return VRRP_D_INTERVAL;
		}
	}
	if (!same_addresses(c, a)) {
		conf_notice(g, now, VRRP_N_ADDRESSES, 0, &rx->src, 60 * NSEC_PER_SEC);
		if (c->flags & VRRP_F_MATCH)
			return a->n_addrs == c->n_addrs ? VRRP_D_ADDRESS : VRRP_D_COUNT;
	}
	return VRRP_D_NONE;
}

/* The peer's form of checksum becomes ours: a peer that knows only one form must understand us. */
static void adapt_sum(struct vg *g, uint64_t now, const struct vrrp_rx *rx, uint8_t form)
{
	struct vrrp_status *st;

	if (g->slot->conf.version != 3 || rx->family != AF_INET || form == g->sum)
		return;
	if (g->sum_peer.family && rtr_addr_cmp(&g->sum_peer, &rx->src))
		conf_notice(g, now, VRRP_N_SUM_MIX, form, &rx->src, 600 * NSEC_PER_SEC);
	else
		conf_notice(g, now, VRRP_N_SUM, form, &rx->src, 600 * NSEC_PER_SEC);
	g->sum = form;
	g->sum_peer = rx->src;
	g->frame_size = 0;
	st = st_begin(g);
	st->sum = form;
	st->n_sum_changed++;
	st_end(g);
}

static void take(struct vg *g, uint64_t now, uint64_t at, const struct vrrp_rx *rx,
		 const struct vrrp_advert *a)
{
	struct vrrp_heard h = { .prio = a->prio,
				.src = rx->src,
				.adver_ns = a->adver_cs * 10 * NSEC_PER_MSEC,
				.rx = at };
	struct vrrp_status *st = st_begin(g);
	uint8_t before = g->fsm.state;

	st->n_received++;
	st->n_received_zero += !a->prio;
	st->peer = rx->src;
	st->peer_prio = a->prio;
	st->heard_ns = now;
	st_end(g);
	adapt_sum(g, now, rx, a->sum);
	if (a->prio && g->fsm.state == VRRP_S_ACTIVE)
		conf_notice(g, now, VRRP_N_SPLIT, a->prio, &rx->src, ASSERT_SPLIT_NS);
	vrrp_fsm_heard(&g->fsm, now, &h);
	if (g->fsm.state == VRRP_S_BACKUP) {
		st = st_begin(g);
		st->active = rx->src;
		st->active_prio = a->prio;
		st->active_adver_ms = a->adver_cs * 10u;
		st->down_ms = (uint32_t)(vrrp_down_ns(g->fsm.c.version, g->fsm.prio,
						      g->fsm.adver_ns) /
					 NSEC_PER_MSEC);
		st_end(g);
	}
	addr_prepare(g);
	vg_after(g, now, before);
}

/* keepalived sends unicast IPv6 with hop limit 64. From a link-local address it crossed no router
 * all the same: none forwards that (RFC 4291 section 2.5.6). */
static bool from_link(const struct vg *g, const struct vrrp_rx *rx)
{
	return rx->family == AF_INET6 && rtr_addr_is_linklocal(&rx->src) &&
	       is_peer(&g->slot->conf, &rx->src);
}

static void receive(struct vif *v, int fam, uint64_t now, uint64_t at, struct vrrp_rx *rx)
{
	struct vrrp_advert a;
	enum vrrp_drop why;
	/* Of a message that is not understood the VRID tells at least whom to count it for. */
	uint8_t vrid = rx->size > 1 ? rx->data[1] : 0;
	unsigned no = v->by_vrid[fam][vrid];
	struct vg *g = no ? &vd.groups[no - 1] : NULL;

	if (g && from_link(g, rx))
		rx->ttl = VRRP_TTL;
	why = vrrp_parse(rx, &a);
	if (!why && !g)
		why = VRRP_D_VRID;
	if (!why)
		why = judge(g, now, rx, &a);
	if (why)
		count_drop(g, why);
	else if (g->fsm.state != VRRP_S_INIT)
		take(g, now, at, rx, &a);
}

/* When the kernel received it. Its time stamp is of the wall clock, which may have been stepped;
 * but it came after the last time that nothing was left, and before now. */
static uint64_t arrival(struct msghdr *mh, uint64_t now, uint64_t not_before)
{
	struct timespec real, ts;
	int64_t age;

	for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm; cm = CMSG_NXTHDR(mh, cm)) {
		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&ts, CMSG_DATA(cm), sizeof(ts));
		clock_gettime(CLOCK_REALTIME, &real);
		age = (real.tv_sec - ts.tv_sec) * (int64_t)NSEC_PER_SEC + real.tv_nsec - ts.tv_nsec;
		if (age < 0)
			return now;
		return MAX(now - MIN((uint64_t)age, now), not_before);
	}
	return now;
}

static bool rx_fill6(struct msghdr *mh, const uint8_t *buf, size_t size, struct vrrp_rx *rx)
{
	const struct sockaddr_in6 *from = mh->msg_name;

	*rx = (struct vrrp_rx){ .family = AF_INET6, .data = buf, .size = size };
	rx->src = (struct rtr_addr){ .family = AF_INET6, .v6 = from->sin6_addr };
	for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm; cm = CMSG_NXTHDR(mh, cm)) {
		if (cm->cmsg_level != IPPROTO_IPV6)
			continue;
		if (cm->cmsg_type == IPV6_HOPLIMIT) {
			int hops;

			memcpy(&hops, CMSG_DATA(cm), sizeof(hops));
			rx->ttl = (uint8_t)hops;
		} else if (cm->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(cm), sizeof(info));
			rx->dst = (struct rtr_addr){ .family = AF_INET6, .v6 = info.ipi6_addr };
		}
	}
	return rx->dst.family == AF_INET6;
}

static int read_batch(int fd)
{
	for (unsigned i = 0; i < RX_BATCH; i++) {
		in.iov[i] = (struct iovec){ in.data[i], RX_SIZE };
		in.msg[i].msg_hdr = (struct msghdr){ .msg_name = &in.from[i],
						     .msg_namelen = sizeof(in.from[i]),
						     .msg_iov = &in.iov[i],
						     .msg_iovlen = 1,
						     .msg_control = in.control[i].buf,
						     .msg_controllen = sizeof(in.control[i].buf) };
	}
	return recvmmsg(fd, in.msg, RX_BATCH, MSG_DONTWAIT, NULL);
}

uint64_t io_drain(struct vif *v, int fam)
{
	uint64_t start = rtr_now_ns();
	int n;

	if (v->rx[fam] < 0)
		return UINT64_MAX;
	for (unsigned turn = 0; turn < RX_TURNS; turn++) {
		n = read_batch(v->rx[fam]);
		for (int i = 0; i < n; i++) {
			struct msghdr *mh = &in.msg[i].msg_hdr;
			uint64_t now = rtr_now_ns(), at = arrival(mh, now, v->drained_ns[fam]);
			size_t size = in.msg[i].msg_len;
			struct vrrp_rx rx;

			/* They come in the order of their arrival. */
			v->drained_ns[fam] = at;
			if (fam == V4 ? vrrp_parse_ip4(in.data[i], size, &rx)
				      : rx_fill6(mh, in.data[i], size, &rx))
				receive(v, fam, now, at, &rx);
		}
		if (n < RX_BATCH) {
			v->drained_ns[fam] = MAX(start, v->drained_ns[fam]);
			break;
		}
	}
	return v->drained_ns[fam];
}
