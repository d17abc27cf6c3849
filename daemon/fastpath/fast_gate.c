/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does our own ruleset look at packets in passing? Asked last for every ruleset that is built. When
 * it does, a word of the control map stops XDP at once, before the ruleset is sent and whatever
 * rtr-fastpath does; then that is told.
 */
#include "fastpath/fastpath.h"
#include "nft/nft_data.h"
#include "system/parent.h"

#include <linux/bpf.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* After all that make chains. */
#define ORDER_LAST 1000000

static char reason[FASTPATH_TEXT];

/* The chain of martians and nothing else: parse.h drops them too. */
static bool is_martians(const struct nft_table *t, const struct nft_chain *c)
{
	return !strcmp(c->node.name, "fw-raw") && !nft_table_set(t, "urpf4") &&
	       !nft_table_set(t, "urpf6");
}

static bool sees_transit(const struct nft_table *t, const struct nft_chain *c)
{
	if (!c->base || is_martians(t, c))
		return false;
	/* Hooks of the families netdev and bridge have numbers of their own. */
	if (t->family != NFPROTO_INET && t->family != NFPROTO_IPV4 && t->family != NFPROTO_IPV6)
		return true;
	return c->hook != NF_INET_LOCAL_IN && c->hook != NF_INET_LOCAL_OUT;
}

static const struct nft_chain *find(const struct nft_ruleset *rs)
{
	for (size_t i = 0; i < rs->n; i++) {
		const struct nft_nodes *m = &rs->tables[i]->nodes[NFT_CHAIN];

		for (size_t k = 0; k < m->n; k++) {
			const struct nft_chain *c = (const void *)m->v[k];

			if (sees_transit(rs->tables[i], c))
				return c;
		}
	}
	return NULL;
}

/* ---- the word ---- */

static int map_open(const char *dir)
{
	char path[FASTPATH_PATH + 16];
	union bpf_attr a;

	snprintf(path, sizeof(path), "%s/express_ctl", dir);
	memset(&a, 0, sizeof(a));
	a.pathname = (uint64_t)(uintptr_t)path;
	return (int)syscall(SYS_bpf, BPF_OBJ_GET, &a, sizeof(a));
}

/* The map that is pinned now; a new process may have made another. */
static void word_set(uint16_t off)
{
	const struct rtrd_args *a = parent_args();
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct express_ctl *ctl;
	char dir[FASTPATH_PATH];
	int fd;

	if (!a)
		return;
	snprintf(dir, sizeof(dir), "%s/bpf", a->run_dir);
	fd = map_open(dir);
	if (fd < 0) {
		snprintf(dir, sizeof(dir), FASTPATH_BPFFS "/%s", a->name);
		fd = map_open(dir);
	}
	if (fd < 0)
		return;
	ctl = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (ctl == MAP_FAILED)
		return;
	if (ctl->version == EXPRESS_VERSION)
		__atomic_store_n(&ctl->off, off, __ATOMIC_RELEASE);
	munmap(ctl, page);
}

void fast_gate_open(void)
{
	if (!*reason)
		word_set(0);
}

/* ---- the ruleset ---- */

static void look(struct nft_ruleset *rs, const struct rec *want)
{
	const struct nft_chain *c = find(rs);

	*reason = '\0';
	if (!c)
		return;
	snprintf(reason, sizeof(reason), "policy: chain %s judges packets in passing",
		 c->node.name);
	word_set(1);
	fast_gate_closed();
}
NFT_SOURCE(dataplane, ORDER_LAST, look);

const char *fast_gate(void)
{
	return reason;
}
