/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether frames to the virtual MAC really reach us. Switches, hypervisors and drivers are known
 * to filter a MAC that is not the card's own; the group would be active and deaf. So a new active
 * router asks a neighbour, by ARP or neighbour discovery, from the virtual MAC: the answer comes to
 * that MAC. Silence says nothing by itself: the same neighbour is asked from the physical MAC too,
 * and only when it answers there every time, and never here, the virtual MAC is given up for this
 * group.
 *
 * The neighbour is one that the kernel knows on the interface. While there is none, or it does not
 * answer at all, the group is untested, and others are asked, less and less often.
 *
 * What was deaf may hear again: another switch, another port's setting. Each time that the group
 * becomes active, and ever less often while it is, it is tested once more, with the physical MAC in
 * use: the macvlan comes up without addresses, and the questions come from nobody (IPv4), or from
 * the address that the virtual MAC alone would have (IPv6), so that they teach nobody a gateway
 * that may be deaf. When every question is answered the group goes back to the virtual MAC.
 */
#include "vrrp/vrrpd.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <string.h>
#include <sys/socket.h>

#define PROBE_GAP_NS (500 * NSEC_PER_MSEC)
#define PROBE_ROUNDS 3
/* After 0.5 s, 1 s, ... 32 s: many groups on a silent segment cost nothing that counts. */
#define PROBE_TRIES   6
#define PROBE_OTHERS  8
#define RETEST_MIN_NS (60 * NSEC_PER_SEC)
#define RETEST_MAX_NS (3600 * NSEC_PER_SEC)
#define ARP_SIZE      (ETH_HLEN + 28)
#define ICMP_AT       (ETH_HLEN + sizeof(struct ip6_hdr))
#define NA_SIZE       (ICMP_AT + sizeof(struct nd_neighbor_advert))

static int fd[2];

/* Answers only: everything else is refused before it is copied. */
static int open_probe(int fam, const struct sock_fprog *prog)
{
	struct sockaddr_ll me = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(fam == V4 ? ETH_P_ARP : ETH_P_IPV6) };

	fd[fam] = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd[fam] < 0 ||
	    setsockopt(fd[fam], SOL_SOCKET, SO_ATTACH_FILTER, prog, sizeof(*prog)) < 0 ||
	    bind(fd[fam], (struct sockaddr *)&me, sizeof(me)) < 0)
		return -errno;
	vrrpd_watch(fd[fam], WATCH_PROBE);
	return 0;
}

int probe_init(void)
{
	static struct sock_filter arp[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, ETH_HLEN + 6),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, ARP_SIZE),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	static struct sock_filter na[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ETH_HLEN + offsetof(struct ip6_hdr, ip6_nxt)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 0, 3),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ICMP_AT),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ND_NEIGHBOR_ADVERT, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, NA_SIZE),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	static const struct sock_fprog prog[2] = { { ARRAY_LEN(arp), arp }, { ARRAY_LEN(na), na } };
	int r = open_probe(V4, &prog[V4]);

	return r ? r : open_probe(V6, &prog[V6]);
}

static void set_result(struct vg *g, enum vrrp_mac_test t)
{
	st_begin(g)->mac_test = (uint8_t)t;
	st_end(g);
}

static bool is_deaf(const struct vg *g)
{
	return g->slot->st.mac_test == VRRP_MAC_DEAF;
}

static void begin(struct vg *g, uint64_t at)
{
	g->probe_round = g->probe_answers = g->probe_heard = 0;
	g->probe_target.family = 0;
	g->probe_at = at;
}

/* The macvlan of one that is deaf listens during the test. */
static void listen_to(struct vg *g, bool on)
{
	if (g->retesting == on)
		return;
	g->retesting = on;
	addr_update(g);
}

void probe_start(struct vg *g, uint64_t now)
{
	g->probe_at = 0;
	if (!g->slot->conf.vmac[0] || !g->vmac_ifindex || g->slot->conf.flags & VRRP_F_OWNER)
		return;
	g->probe_tries = 0;
	begin(g, now + PROBE_GAP_NS);
}

static void ask(struct vg *g, const uint8_t mac[6], const struct rtr_addr *from)
{
	uint8_t buf[VRRP_FRAME_MAX];
	size_t size;

	if (from->family == AF_INET) {
		/* An announcement of `from`, made into a question about the neighbour. */
		size = vrrp_frame_garp(from, mac, buf);
		memcpy(buf + ETH_HLEN + 24, g->probe_target.b, 4);
	} else {
		size = vrrp_frame_ns(&g->probe_target, from, mac, buf);
	}
	io_raw(g, IO_OTHER, buf, size);
}

/* Who asks from the virtual MAC while it is not in use: RFC 5227 section 1.1, RFC 4291 appendix A.
 */
static struct rtr_addr nobody(uint8_t family, const uint8_t mac[6])
{
	if (family == AF_INET)
		return (struct rtr_addr){ .family = AF_INET };
	return (struct rtr_addr){ .family = AF_INET6,
				  .b = { 0xfe, 0x80, [8] = mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe,
					 mac[3], mac[4], mac[5] } };
}

static void ask_both(struct vg *g, uint64_t now)
{
	const struct vrrp_conf *c = &g->slot->conf;
	struct rtr_addr from = c->addrs[0];
	uint8_t mac[6];

	vrrp_virtual_mac(c->family, c->vrid, mac);
	if (is_deaf(g))
		from = nobody(c->family, mac);
	g->probe_round++;
	ask(g, mac, &from);
	ask(g, g->vif->mac, &g->vif->local[FAM(c->family)]);
	g->probe_at = now + PROBE_GAP_NS;
}

static void try_again(struct vg *g, uint64_t now)
{
	begin(g, now + (PROBE_GAP_NS << MIN(g->probe_tries, (unsigned)PROBE_TRIES)));
	g->probe_tries++;
}

static void judge_first(struct vg *g, uint64_t now)
{
	if (g->probe_answers < PROBE_ROUNDS) {
		if (g->slot->st.mac_test == VRRP_MAC_UNTESTED)
			try_again(g, now);
		return;
	}
	set_result(g, VRRP_MAC_DEAF);
	conf_notice(g, now, VRRP_N_MAC_DEAF, 0, &g->probe_target, 0);
	vg_usable(g, now, VRRP_R_LINK); /* the physical MAC from here on */
	g->retest_gap_ns = MIN(MAX(g->retest_gap_ns * 2, RETEST_MIN_NS), RETEST_MAX_NS);
	begin(g, now + g->retest_gap_ns);
}

static void judge_again(struct vg *g, uint64_t now)
{
	if (g->probe_heard < PROBE_ROUNDS) {
		listen_to(g, false);
		g->retest_gap_ns = MIN(MAX(g->retest_gap_ns * 2, RETEST_MIN_NS), RETEST_MAX_NS);
		g->probe_tries++; /* another neighbour */
		begin(g, now + g->retest_gap_ns);
		return;
	}
	g->retesting = false; /* the macvlan stays up */
	set_result(g, VRRP_MAC_OK);
	conf_notice(g, now, VRRP_N_MAC_OK, 0, &g->probe_target, 0);
	vg_usable(g, now, VRRP_R_LINK);
}

void probe_step(struct vg *g, uint64_t now)
{
	g->probe_at = 0;
	if (g->fsm.state != VRRP_S_ACTIVE || !g->vmac_ifindex)
		return;
	if (g->probe_round == PROBE_ROUNDS) {
		if (is_deaf(g))
			judge_again(g, now);
		else
			judge_first(g, now);
		return;
	}
	if (!g->probe_target.family) {
		if (!g->probe_asking)
			look_neighbour(g, g->probe_tries % PROBE_OTHERS);
		g->probe_asking = true;
		return;
	}
	ask_both(g, now);
}

void probe_neighbour(struct vg *g, const struct rtr_addr *a, uint64_t now)
{
	bool asking = g->used && g->probe_asking;

	g->probe_asking = false;
	if (!asking || g->fsm.state != VRRP_S_ACTIVE || !g->vmac_ifindex || g->probe_at)
		return;
	if (a->family != g->slot->conf.family) {
		try_again(g, now);
	} else {
		g->probe_target = *a;
		listen_to(g, is_deaf(g));
		/* It takes a moment to come up. */
		g->probe_at = is_deaf(g) ? now + PROBE_GAP_NS : now;
	}
	vg_schedule(g);
}

void probe_end(struct vg *g)
{
	g->probe_at = 0;
	g->retesting = false;
}

static void answered(struct vg *g, const uint8_t *to)
{
	uint8_t mac[6];

	vrrp_virtual_mac(g->slot->conf.family, g->slot->conf.vrid, mac);
	if (!memcmp(to, g->vif->mac, 6)) {
		g->probe_answers += g->probe_answers < g->probe_round;
	} else if (memcmp(to, mac, 6) != 0) {
		return;
	} else if (is_deaf(g)) {
		g->probe_heard += g->probe_heard < g->probe_round;
	} else {
		g->probe_at = 0;
		if (g->slot->st.mac_test == VRRP_MAC_UNTESTED)
			set_result(g, VRRP_MAC_OK);
	}
	vg_schedule(g);
}

/* from: the neighbour that answers; to: the MAC that it answers to. */
static void answer(uint8_t family, const uint8_t *from, const uint8_t *to)
{
	for (unsigned k = 0; k < vd.shm->n_slots; k++) {
		struct vg *g = &vd.groups[k];

		if (g->used && g->probe_at && g->probe_round && g->slot->conf.family == family &&
		    !memcmp(from, g->probe_target.b, rtr_family_size(family)))
			answered(g, to);
	}
}

void probe_read(void)
{
	uint8_t buf[NA_SIZE];
	ssize_t n;

	/* A few: whoever answers more than he was asked waits. */
	for (unsigned i = 0; i < 16; i++) {
		n = recv(fd[V4], buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0)
			break;
		if (n == ARP_SIZE)
			answer(AF_INET, buf + ETH_HLEN + 14, buf + ETH_HLEN + 18);
	}
	for (unsigned i = 0; i < 16; i++) {
		n = recv(fd[V6], buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0)
			break;
		if (n == NA_SIZE)
			answer(AF_INET6,
			       buf + ICMP_AT + offsetof(struct nd_neighbor_advert, nd_na_target),
			       buf);
	}
}
