/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clear arp-cache, clear ip arp, clear ipv6 neighbors: what was learned is forgotten; static
 * entries and those of routing daemons (extern_learn) stay. */
#include "cli/command.h"
#include "domain.h"
#include "iface/iface.h"
#include "kernel/nlq.h"
#include "kernel/rtmsg.h"
#include "kernel/shadow.h"
#include "neigh/neigh_list.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <string.h>

/* Lives until the last acknowledgement, with c NULL when the operator went away before. */
struct clearing {
	struct cmd_ctx *c;
	size_t pending;
	int error;
};

static void finish(struct clearing *k)
{
	struct cmd_ctx *c = k->c;

	k->c = NULL;
	if (c && k->error)
		cmd_fail(c, "The kernel refused: %s", strerror(-k->error));
	if (!k->pending)
		free(k);
	if (c)
		cmd_done(c);
}

static void on_done(void *arg, int error, const char *text)
{
	struct clearing *k = arg;

	/* One that went by itself meanwhile is as good. */
	if (error && error != -ENOENT)
		k->error = error;
	if (!--k->pending)
		finish(k);
}

static void forget(struct clearing *k, const struct neigh_entry *e)
{
	struct ndmsg nd = { .ndm_family = e->addr.family, .ndm_ifindex = e->ifindex };
	struct nl_msg *m = rtmsg_new(RTM_DELNEIGH, 0, &nd, sizeof(nd), RTMSG_SIZE);

	rtmsg_addr(m, NDA_DST, &e->addr);
	k->pending++;
	nlq_netlink(m, on_done, k);
}

static void clear(struct cmd_ctx *c, int family)
{
	struct neigh_list list = { .family = family };
	const struct shadow_link *l;
	struct clearing *k;
	char name[IFNAMSIZ];
	int r;

	if (cmd_get(c, "ifname", name)) {
		l = iface_link(name);
		if (!l) {
			cmd_fail(c, "%s: there is no such interface", name);
			return;
		}
		list.ifindex = l->ifindex;
	}
	cmd_get(c, "addr", &list.addr);
	r = neigh_list_read(&list, false);
	if (r) {
		cmd_fail(c, "The kernel's neighbours cannot be read: %s", strerror(-r));
		return;
	}
	k = xcalloc(1, sizeof(*k));
	for (size_t i = 0; i < list.n; i++) {
		if (!(list.v[i].state & NUD_PERMANENT) && !(list.v[i].flags & NTF_EXT_LEARNED))
			forget(k, &list.v[i]);
	}
	if (k->pending) {
		k->c = c;
		cmd_set_data(c, k);
		cmd_pend(c);
	} else {
		if (list.addr.family)
			cmd_fail(c, "There is no such entry that was learned");
		free(k);
	}
	neigh_list_fini(&list);
}

static void clear_arp(struct cmd_ctx *c)
{
	clear(c, AF_INET);
}

static void clear_neighbors(struct cmd_ctx *c)
{
	clear(c, AF_INET6);
}

static void let_go(struct cmd_ctx *c)
{
	finish(cmd_data(c));
}

static const struct cmd cmds[] = {
	{ "clear arp-cache[ interface <ifname:IFNAME>]", "Forget learned ARP entries",
	  .run = clear_arp, .interrupt = let_go, .admin = true },
	{ "clear ip arp[ {<addr:ADDR4>|interface <ifname:IFNAME>}]", "Forget learned ARP entries",
	  .run = clear_arp, .interrupt = let_go, .admin = true },
	{ "clear ipv6 neighbors[ {<addr:ADDR6>|interface <ifname:IFNAME>}]",
	  "Forget learned IPv6 neighbours", .run = clear_neighbors, .interrupt = let_go,
	  .admin = true },
};

static const struct sch_word words[] = {
	{ "arp-cache", "Learned ARP entries" },
};

static const struct domain neigh_clear_domain = {
	.name = "neigh-clear",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(neigh_clear_domain);
