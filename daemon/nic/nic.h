/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: settings of NICs, by ethtool's netlink: rings, queues, offloads; what spreads packets over
 * the queues, and which CPUs serve them. LRO is taken off ports
 * that packets are routed through, because what it glues together cannot be forwarded.
 * What a setting was before our first write returns when its line goes (kernel/baseline.h).
 * Owns: nothing. Threads: rtrd's loop only. Failure: as plan_nl's; what the NIC cannot do is
 * refused by the check.
 */
#ifndef RTR_NIC_H
#define RTR_NIC_H

#include "nic/cpus.h"
#include "nic/irq.h"
#include "schema/model.h"

#include <jansson.h>
#include <net/if.h>
#include <string.h>

struct nic_offload { /* offload <feature> {off|on} */
	struct rec rec;
	uint8_t feature; /* enum nic_feature */
	uint8_t state;   /* 1: on */
};

/* queue <n> {cpu|rps|xps} <cpus>: who serves its interrupts, who takes its packets from there
 * (RPS), whose packets leave by it (XPS) */
enum nic_serve { NIC_CPU, NIC_RPS, NIC_XPS };
struct nic_queue {
	struct rec rec;
	uint16_t queue;
	uint8_t what; /* enum nic_serve */
	struct cpus cpus;
};

extern struct sch_type nic_offload_type, nic_queue_type;

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
	uint8_t xfrm; /* RXH_XFRM_* of Linux 6.8; 0: none */
};
#define NIC_XFRM_SYM_XOR 1 /* source and destination are mixed before the hash */

int nic_rings(int ifindex, struct nic_pair *ret);
int nic_queues(int ifindex, struct nic_queues *ret);
int nic_features(int ifindex, struct nic_features *ret);
int nic_rss(int ifindex, struct nic_rss *ret);
/* Do both directions of a flow meet in one queue? */
bool nic_rss_symmetric(const struct nic_rss *r);
/* For plan_call: key_size 0: the key stays. */
struct nic_rss_change {
	char ifname[IFNAMSIZ];
	uint8_t key[128];
	uint32_t key_size;
	uint8_t xfrm;
};
int nic_set_rss(const void *data, int *ret_fd);

/* Interrupts of the queues, by queue; 0: none that can be told, or /sys is not this namespace's. */
size_t nic_irqs(int ifindex, const char *ifname, struct nic_irq ret[IRQ_MAX]);
/* What serves a queue now. -ENOENT: there is no such queue, or no such thing for it. */
int nic_cpus(int ifindex, enum nic_serve what, unsigned number, struct cpus *ret);

/* The driver's counters of each queue (netdev's, ethtool -S), by what their names say:
 * [{"direction": "rx", "queue": 0, "packets": ..., "counters": {...}}]. */
json_t *nic_queue_stats(int ifindex, const char *ifname);
/* Pure: "rx_queue_3_packets". False: of no queue. The rest of the name into ret. */
bool nic_stat_name(const char *name, bool *ret_tx, unsigned *ret_queue, char ret[40]);
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
