/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: an access list (struct pol_list) in nftables: sets for its tables (firewall/list_box.h)
 * and, for each place where the list is used, chains that look into them.
 *
 * A use is a chain that the caller jumps to with a packet of the list's family whose connection is
 * tracked. The first line that matches
 *	- puts its id into a word of the label of a connection that is new (with inspect_wait, and
 *	  permitting, when a server name decides later),
 *	- counts in the set LC_HITS: key pol_id (host order), a counter and the time of the last
 *	  hit; elements come with the first packet and stay over commits,
 *	- has its effects (log, limit, helper), and
 *	- ends with the use's verdict for its action. No line: the chain returns.
 *
 * To say that in each line's rule is half of what a commit costs. So the rule of a line only writes
 * its id where the next chain can read it and goes to the end of its action, a chain for all lines;
 * registers cannot be read in another rule than wrote them. The place is the packet's security
 *mark, which is zero again behind the end. What stands in many parts, and has no effects either,
 *goes to a chain that does this. Lines with effects have chains of their own that do all.
 *
 * Owns: what lc_compile returns holds the sets and chains; the list must outlive it. Threads:
 * rtrd's loop only. Failure: none here; the kernel judges at commit.
 * Cost: see list_box.h; a compiled list that is added again unchanged costs a pointer comparison.
 */
#ifndef RTR_LIST_COMPILE_H
#define RTR_LIST_COMPILE_H

#include "firewall/policy.h"
#include "nft/nft.h"

#define LC_HITS "hits"
/* An element's timeout starts anew with each match, so what is left of it tells when the last one
 * was. (The expression "last" would, too, but nft before 1.0.8 crashes when it lists it.) */
#define LC_HITS_TIMEOUT_MS (400ull * 24 * 3600 * 1000)

#define LC_ACTIONS 4 /* enum pol_action */

struct lc_use {
	const char *chain; /* its name; chains that it needs start with it */
	int word;          /* of the connection's label, 0-3; -1: none */
	bool count;        /* in LC_HITS */
	const char
		*wait; /* NULL, or: a line with a server name, id I, leads to the chain "wait.I" */
	bool lines;    /* no tables: the kernel follows 16 chains at most, and tables need 8 */
	bool carry;    /* packets may carry an id (NFT_CAP_SECMARK); else each line is a chain */
	struct lc_verdict {
		int32_t code; /* NF_ACCEPT, NF_DROP, NFT_RETURN, NFT_GOTO */
		const char *chain;
	} verdict[LC_ACTIONS]; /* by enum pol_action */
};

/* What the firewall adds to lines; may be called again with every lc_add of a new use. */
struct lc_ops {
	/* Fills the chain of a line that logs, limits or names a helper; its verdict follows. */
	void (*effects)(void *arg, struct nft_chain *c, const struct pol_rule *r);
	void *arg;
};

struct lc_list;

/* `key` names the sets: unique among lists, of characters that nft can read. `before` (NULL): what
 * the list was; when few lines are others it is the base of the new one, and can then only be
 * freed. */
struct lc_list *lc_compile(const struct pol_list *list, const char *key, struct lc_list *before);
struct lc_list *lc_free(struct lc_list *l); /* NULL */

/* Adds the use's chains, and the sets they need, to the table. */
void lc_add(struct lc_list *l, struct nft_table *t, const struct lc_use *use,
	    const struct lc_ops *ops);

#endif
