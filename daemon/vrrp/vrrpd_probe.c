/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether frames to the virtual MAC really reach us. Switches, hypervisors and drivers are known
 * to filter a MAC that is not the card's own; the group would be active and deaf. So a new active
 * router asks a neighbour by ARP from the virtual MAC: the answer comes to that MAC. Silence says
 * nothing by itself: the same neighbour is asked from the physical MAC too, and only when it
 * answers there every time, and never here, the virtual MAC is given up for this group.
 *
 * The neighbour is one that the kernel knows on the interface; none, or IPv6: untested.
 */
#include "vrrp/vrrpd.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <string.h>
#include <sys/socket.h>

#define PROBE_GAP_NS (1 * NSEC_PER_SEC)
#define PROBE_ROUNDS 3
#define ARP_SIZE     (ETH_HLEN + 28)

static int fd;

int probe_init(void)
{
	/* ARP replies only: everything else is refused before it is copied. */
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, ETH_HLEN + 6),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, ARP_SIZE),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	static const struct sock_fprog prog = { ARRAY_LEN(code), code };
	struct sockaddr_ll me = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP) };

	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0 ||
	    bind(fd, (struct sockaddr *)&me, sizeof(me)) < 0)
		return -errno;
	vrrpd_watch(fd, WATCH_PROBE);
	return 0;
}

static void set_result(struct vg *g, enum vrrp_mac_test t)
{
	st_begin(g)->mac_test = (uint8_t)t;
	st_end(g);
}

void probe_start(struct vg *g, uint64_t now)
{
	g->probe_at = 0;
	if (g->slot->conf.family != AF_INET || !g->slot->conf.vmac[0] || !g->vmac_ifindex ||
	    g->slot->st.mac_test == VRRP_MAC_DEAF || g->slot->conf.flags & VRRP_F_OWNER)
		return;
	g->probe_round = g->probe_answers = 0;
	g->probe_at = now + PROBE_GAP_NS;
}

static void ask(const struct vg *g, const uint8_t mac[6], const struct rtr_addr *from)
{
	uint8_t buf[ARP_SIZE];

	/* An announcement of `from`, made into a question about the neighbour. */
	vrrp_frame_garp(from, mac, buf);
	memcpy(buf + ETH_HLEN + 24, g->probe_target.b, 4);
	io_raw(g->vif->ifindex, buf, sizeof(buf));
}

void probe_step(struct vg *g, uint64_t now)
{
	g->probe_at = 0;
	if (g->fsm.state != VRRP_S_ACTIVE || !g->vmac_ifindex)
		return;
	if (g->probe_round == PROBE_ROUNDS) {
		if (g->probe_answers < PROBE_ROUNDS)
			return;
		set_result(g, VRRP_MAC_DEAF);
		conf_notice(g, now, VRRP_N_MAC_DEAF, 0, &g->probe_target, 0);
		vg_usable(g, now, VRRP_R_LINK); /* the physical MAC from here on */
		return;
	}
	if (!g->probe_round && !link_neighbour(g->vif, &g->probe_target))
		return;
	g->probe_round++;
	ask(g, g->mac, &g->slot->conf.addrs[0]);
	ask(g, g->vif->mac, &g->vif->local[V4]);
	g->probe_at = now + PROBE_GAP_NS;
}

static void answered(struct vg *g, const uint8_t *to, uint64_t now)
{
	if (!memcmp(to, g->mac, 6)) {
		g->probe_at = 0;
		if (g->slot->st.mac_test == VRRP_MAC_UNTESTED)
			set_result(g, VRRP_MAC_OK);
	} else if (!memcmp(to, g->vif->mac, 6) && g->probe_answers < g->probe_round) {
		g->probe_answers++;
	}
	vg_schedule(g);
}

void probe_read(uint64_t now)
{
	uint8_t buf[ARP_SIZE];

	/* A few: whoever answers more than he was asked waits. */
	for (unsigned i = 0; i < 16; i++) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n < 0)
			return;
		for (unsigned k = 0; n == ARP_SIZE && k < vd.shm->n_slots; k++) {
			struct vg *g = &vd.groups[k];

			if (g->used && g->probe_at && g->probe_round &&
			    !memcmp(buf + ETH_HLEN + 14, g->probe_target.b, 4))
				answered(g, buf + ETH_HLEN + 18, now);
		}
	}
}
