/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what the fast plane asks of an interface before it serves it: by ethtool, and by the
 * kernel's netdev family, whether XDP can redirect to it.
 * Owns: nothing; each call opens its socket. Threads: the control thread. Failure: -errno.
 */
#ifndef FP_NIC_H
#define FP_NIC_H

#include "util.h"

struct fp_nic {
	char name[16];
	char driver[32];
	uint8_t mac[6];
	unsigned mtu;
	unsigned n_rx, n_tx; /* queues */
	bool up;
	bool rx_vlan_offload; /* tags are taken off frames before XDP sees them */
	bool redirect_target; /* ndo_xdp_xmit works; false where the kernel does not say */
	bool zero_copy;       /* AF_XDP without a copy; true where the kernel does not say */
};

int fp_nic_ask(unsigned ifindex, struct fp_nic *ret);

/* Drivers whose senders leave checksums to be finished. */
bool fp_nic_partial(const struct fp_nic *n);

/* Takes rx VLAN offload off the interface. 0, or -errno. */
int fp_nic_vlan_off(const struct fp_nic *n);

/* NETDEV_XDP_ACT_ flags of the interface, from the kernel's netdev family. */
int fp_nic_xdp_features(unsigned ifindex, uint64_t *ret);

#endif
