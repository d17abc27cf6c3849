/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: settings of NICs, by ethtool's netlink: rings, queues, offloads. LRO is taken off ports
 * that packets are routed through, because what it glues together cannot be forwarded.
 * What a setting was before our first write returns when its line goes (kernel/baseline.h).
 * Owns: nothing. Threads: rtrd's loop only. Failure: as plan_nl's; what the NIC cannot do is
 * refused by the check.
 */
#ifndef RTR_NIC_H
#define RTR_NIC_H

#include "schema/model.h"

#include <string.h>

struct nic_offload { /* offload <feature> {off|on} */
	struct rec rec;
	uint8_t feature; /* enum nic_feature */
	uint8_t state;   /* 1: on */
};

extern struct sch_type nic_offload_type;

enum nic_feature {
	NIC_TSO,
	NIC_GSO,
	NIC_GRO,
	NIC_LRO,
	NIC_RX_CHECKSUM,
	NIC_TX_CHECKSUM,
	NIC_FEATURE__MAX
};
/* The kernel's names of a feature, NULL-terminated. */
#define NIC_NAMES 6
extern const char *const nic_names[NIC_FEATURE__MAX][NIC_NAMES];
extern const char *const nic_words[NIC_FEATURE__MAX];

/* ---- what the NIC says; 0 or -errno (-EOPNOTSUPP: it has no such thing) ---- */

struct nic_pair {
	uint32_t rx, tx, rx_max, tx_max;
};
struct nic_queues {
	uint32_t combined, rx, tx, combined_max;
};
struct nic_feature_bits { /* of one kernel name */
	char name[40];
	bool active, settable;
	bool wanted; /* what was asked for; another feature that is off may keep it inactive */
};
struct nic_features {
	struct nic_feature_bits v[128];
	size_t n;
};
struct nic_rss {
	uint8_t key[128];
	uint32_t table[1024];
	size_t key_size, n_table;
};

int nic_rings(int ifindex, struct nic_pair *ret);
int nic_queues(int ifindex, struct nic_queues *ret);
int nic_features(int ifindex, struct nic_features *ret);
int nic_rss(int ifindex, struct nic_rss *ret);
struct nic_module;
/* -EOPNOTSUPP: the driver has no such thing. Another error: no module, or it does not answer. The
 * NIC reads it over a slow bus: some milliseconds, on a person's command alone. */
int nic_module(int ifindex, struct nic_module *ret);
/* Mbit/s; 0: not known. */
int nic_speed(int ifindex, uint32_t *ret);

/* Messages that set them, for plan_nl. rx, tx 0: as it is. */
struct nl_msg *nic_set_rings(int ifindex, uint32_t rx, uint32_t tx);
struct nl_msg *nic_set_queues(int ifindex, uint32_t combined);
struct nl_msg *nic_set_feature(int ifindex, const char *name, bool on);

static inline const struct nic_feature_bits *nic_find(const struct nic_features *f,
						      const char *name)
{
	for (size_t i = 0; i < f->n; i++) {
		if (!strcmp(f->v[i].name, name))
			return &f->v[i];
	}
	return NULL;
}

#endif
