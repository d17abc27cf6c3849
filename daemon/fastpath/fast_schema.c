/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lines about the fast plane, and the domain "dataplane". */
#include "domain.h"
#include "fastpath/fastpath.h"
#include "system/global.h"

#define WORKERS_DEFAULT 1
#define MEMORY_DEFAULT  32 /* MB: seven interfaces of one queue and a reserve */
#define FLOWS4_DEFAULT  131072
#define FLOWS6_DEFAULT  32768

extern struct sch_type global_type;

static const struct sch_row rows[] = {
	SCH_LEAF("dataplane {dataplane:auto|fast|kernel}", iface,
		 .help = "Whether packets that come in here may take the fast plane"),
	SCH_LEAF(
		"dataplane express {dp_express:off|on}", iface, .dflt = "on",
		.help = "Whether XDP forwards packets that come or leave here, or only workers do"),
	SCH_LEAF("dataplane zero-copy {dp_zero_copy:auto|on|off}", iface, .dflt = "auto",
		 .help = "Whether workers share their packet buffers with the NIC"),
	SCH_LEAF("dataplane workers <fast_workers:U16(1,16)>", global,
		 .help = "Threads of the fast plane"),
	SCH_LEAF("dataplane memory <fast_memory:U16(8,4096)>", global,
		 .help = "Packet buffers of each worker, in megabytes"),
	SCH_LEAF("dataplane flows ipv4 <fast_flows4:U32(1024,16777216)>", global,
		 .help = "IPv4 flows that the fast plane can hold"),
	SCH_LEAF("dataplane flows ipv6 <fast_flows6:U32(1024,16777216)>", global,
		 .help = "IPv6 flows that the fast plane can hold"),
};

static const struct sch_word words[] = {
	{ "audit", "Whether every packet is accounted for" },
	{ "auto", "The fast plane where it can do all that is configured" },
	{ "dataplane", "The planes that forward packets" },
	{ "eligibility", "Which interfaces are on which plane, and why" },
	{ "express", "Forwarding by XDP, before a worker sees the packet" },
	{ "fast", "The fast plane; say in the log when it cannot be" },
	{ "flows", "Flows of the fast plane" },
	{ "kernel", "The kernel's own forwarding" },
	{ "limit", "How many at most" },
	{ "memory", "Memory of the fast plane" },
	{ "mirror", "Connections that the kernel could take over" },
	{ "qualification", "What the drivers of interfaces can do" },
	{ "workers", "Threads of the fast plane" },
	{ "zero-copy", "Packet buffers that the NIC writes and reads itself" },
};

enum dataplane fast_wish(const struct iface *i)
{
	return SCH_HAS(i, dataplane) ? (enum dataplane)i->dataplane : DATAPLANE_KERNEL;
}

bool fast_express(const struct iface *i)
{
	return !SCH_HAS(i, dp_express) || i->dp_express;
}

enum fastpath_zc fast_zero_copy(const struct iface *i)
{
	return SCH_HAS(i, dp_zero_copy) ? (enum fastpath_zc)i->dp_zero_copy : FASTPATH_ZC_AUTO;
}

unsigned fast_workers(const struct global *g)
{
	return SCH_HAS(g, fast_workers) ? g->fast_workers : WORKERS_DEFAULT;
}

uint32_t fast_memory(const struct global *g)
{
	return SCH_HAS(g, fast_memory) ? g->fast_memory : MEMORY_DEFAULT;
}

uint32_t fast_flows(const struct global *g, unsigned family)
{
	if (family)
		return SCH_HAS(g, fast_flows6) ? g->fast_flows6 : FLOWS6_DEFAULT;
	return SCH_HAS(g, fast_flows4) ? g->fast_flows4 : FLOWS4_DEFAULT;
}

bool fast_wanted(const struct rec *root)
{
	const struct iface *i;

	recvec_foreach(rec_kids(root, &iface_type), i) {
		if (fast_wish(i) != DATAPLANE_KERNEL)
			return true;
	}
	return false;
}

static void check(struct check *c)
{
	const struct global *o = (const void *)c->old, *n = (const void *)c->new;

	if (fast_wanted(c->old) && fast_wanted(c->new) &&
	    (fast_workers(o) != fast_workers(n) || fast_memory(o) != fast_memory(n) ||
	     fast_flows(o, 0) != fast_flows(n, 0) || fast_flows(o, 1) != fast_flows(n, 1)))
		check_warn(c, NULL,
			   "the fast plane starts anew with other sizes: for a moment packets take "
			   "the kernel plane");
}

static const char *const after[] = { "nft", NULL };

static const struct domain dataplane_domain = {
	.name = "dataplane",
	.after = after,
	.rows = rows,
	.n_rows = ARRAY_LEN(rows),
	.words = words,
	.n_words = ARRAY_LEN(words),
	.check = check,
	.init = fast_init,
	.fini = fast_fini,
	.observed = fast_observed,
};
RTR_DOMAIN(dataplane_domain);
