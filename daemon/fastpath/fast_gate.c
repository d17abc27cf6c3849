/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Can workers judge as our own ruleset does? Asked last for every ruleset that is built. When they
 * cannot, a word of the control map stops XDP at once, before the ruleset is sent and whatever
 * rtr-fastpath does; then that is told.
 */
#include "fastpath/fast_policy.h"
#include "fastpath/fastpath.h"
#include "firewall/compile.h"
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

/* What is judged by these, workers judge as they do: rtr/fastpol.h. The policy itself may hold more
 * than they can take: fast_policy_refuses. */
static bool is_modelled(const struct nft_chain *c)
{
	static const char *const names[] = {
		"fw-raw",        "fw-notrack",     "fw-in",          "fw-mss",
		"fw-forward",    "fw-out",         "fw-syn",         "fw-syn6",
		"fw-inspect",    "fw-inspect-new", "nat_pre",        "nat_guard_pre",
		"nat_guard_fwd", "nat_post",       "nat_guard_post", "fw-quota",
	};
	char npt[2][64];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!strcmp(c->node.name, names[i]))
			return true;
	}
	snprintf(npt[0], sizeof(npt[0]), "%s/npt_in", nft_table_name());
	snprintf(npt[1], sizeof(npt[1]), "%s/npt_out", nft_table_name());
	return !strcmp(c->node.name, npt[0]) || !strcmp(c->node.name, npt[1]);
}

static bool sees_transit(const struct nft_table *t, const struct nft_chain *c)
{
	if (!c->base || is_modelled(c))
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
void fast_word(bool off)
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
		__atomic_store_n(&ctl->off, (uint16_t)off, __ATOMIC_RELEASE);
	munmap(ctl, page);
}

void fast_gate_open(void)
{
	if (!*fast_gate() && fast_push_swept())
		fast_word(false);
}

/* ---- the ruleset ---- */

static void close_gate(const char *why)
{
	rtr_strlcpy(reason, why, sizeof(reason));
	fast_word(true);
	fast_gate_closed();
}

static void look(struct nft_ruleset *rs, const struct rec *want)
{
	const struct nft_chain *c = find(rs);
	const struct policy *p = fw_planned();
	const char *why = p ? fast_policy_refuses(p) : NULL;
	char text[FASTPATH_TEXT];

	*reason = '\0';
	if (why) {
		close_gate(why);
	} else if (c) {
		snprintf(text, sizeof(text), "policy: chain %s judges packets in passing",
			 c->node.name);
		close_gate(text);
	}
	fast_look_soon();
}
NFT_SOURCE(dataplane, ORDER_LAST, look);

const char *fast_gate(void)
{
	return *reason ? reason : fast_push_against();
}
