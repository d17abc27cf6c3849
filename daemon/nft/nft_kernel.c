/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/nft_kernel.h"

#include "cli/command.h"
#include "domain.h"
#include "kernel/apply.h"
#include "nft/nft_cap.h"
#include "nft/nft_count_run.h"
#include "nft/nft_diff.h"
#include "nft/nft_read.h"
#include "nft/nft_watch.h"
#include "txn/txn.h"

#include <errno.h>
#include <string.h>

/* Rounds of one plan that insist on the generation that was looked at. After these somebody
 * changes nftables all the time; a batch names what it deletes by handle, so it cannot hit
 * anything else, and the events tell when it was not enough. */
#define STRICT_ROUNDS 4
#define MAX_SOURCES   32
/* Rules of a batch that is worth a question for the generation instead of events. */
#define QUIET_RULES 256

/* The linker's names for the section that NFT_SOURCE fills; none is a program without sources. */
extern const struct nft_source *const __start_rtr_nft_sources[] __attribute__((weak));
extern const struct nft_source *const __stop_rtr_nft_sources[] __attribute__((weak));

static struct {
	bool up;
	const char *only;         /* source; NULL: all */
	struct nft_ruleset *have; /* NULL: not read */
	/* What the batch under way makes, and what the last one has made: in later rounds of the
	 * same plan nothing else is wanted. What changes meanwhile wants a repair of its own. */
	const struct rec *asked, *made;
	uint32_t quiet; /* the generation before a batch of which no events come; 0: they come */
	struct nftq q;
	struct nft_stats stats;
} k = { .q = { .fd = -1 } };

const struct nft_stats *nft_stats(void)
{
	return &k.stats;
}

void nft_forget(void)
{
	k.have = nft_ruleset_unref(k.have);
	k.made = NULL;
}

/* ---- what is wanted ---- */

void nft_source_only(const char *name)
{
	k.only = name;
}

struct nft_ruleset *nft_build(const struct rec *want)
{
	const struct nft_source *src[MAX_SOURCES];
	struct nft_ruleset *rs = nft_ruleset_new();
	size_t n = 0;

	for (const struct nft_source *const *p = __start_rtr_nft_sources;
	     p < __stop_rtr_nft_sources; p++) {
		size_t i = n++;

		if (n > MAX_SOURCES)
			abort();
		for (; i && src[i - 1]->order > (*p)->order; i--)
			src[i] = src[i - 1];
		src[i] = *p;
	}
	for (size_t i = 0; i < n; i++) {
		if (!k.only || !strcmp(k.only, src[i]->name))
			src[i]->build(rs, want);
	}
	return rs;
}

/* ---- what is there ---- */

static void touched(void)
{
	k.stats.touched++;
	nft_forget();
	txn_repair();
}

/* 0 when k.have is what the kernel has. */
static int look(void)
{
	uint32_t gen;
	int r;

	nft_watch_drain();
	if (k.have)
		return 0;
	k.stats.reads++;
	r = nft_read(&k.q, &k.have, &gen);
	if (!r)
		nft_watch_set_generation(gen);
	return r;
}

struct nft_ruleset *nft_installed(void)
{
	return look() ? NULL : nft_ruleset_ref(k.have);
}

/* ---- plan ---- */

static void take_handles(struct nft_change *c, const struct nfbatch *b)
{
	const struct nft_ops *o = &c->ops[NFT_OP_RULE_NEW];
	const struct nft_node *node = NULL;
	struct nft_handles *handles = NULL;

	for (size_t i = 0; i < o->n; i++) {
		const struct nft_op *op = &o->v[i];

		/* Operations of one chain lie together. */
		if (op->node != node) {
			struct nft_table *t = nft_ruleset_find(c->next, op->table->family,
							       op->table->name);

			node = op->node;
			handles = t->handles[nft_nodes_find_like(&t->nodes[NFT_CHAIN], node)];
		}
		handles->v[op->at] = b->handle[op->msg];
	}
}

static bool made_shared(const struct nft_change *c)
{
	const struct nft_ops *o = &c->ops[NFT_OP_TABLE_NEW];

	for (size_t i = 0; i < o->n; i++) {
		if (o->v[i].table->shared)
			return true;
	}
	return false;
}

static void batch_begin(void *arg)
{
	const struct nft_change *c = arg;

	if (c->ops[NFT_OP_RULE_NEW].n + c->ops[NFT_OP_RULE_DEL].n < QUIET_RULES)
		return;
	k.quiet = nft_watch_generation();
	if (k.quiet)
		nft_watch_pause();
}

/* Nobody else changed anything when the generation is one more, or with an error the same. */
static void quiet_end(int error)
{
	uint32_t want = error ? k.quiet : k.quiet + 1, gen;

	if (!k.quiet)
		return;
	k.quiet = 0;
	nft_watch_resume();
	/* What came before the pause tells of an older one. */
	nft_watch_drain();
	gen = nftq_generation(&k.q);
	nft_watch_set_generation(gen);
	if (gen != want)
		touched();
}

static void take_answer(struct nft_change *c, struct nfbatch *b, int error)
{
	if (error != -ECANCELED)
		nft_forget();
	if (error)
		return;
	k.stats.batches++;
	/* Who made a shared table is told by the kernel alone. */
	if (b->lost || made_shared(c))
		return;
	take_handles(c, b);
	k.have = nft_ruleset_ref(c->next);
	k.made = k.asked;
}

static void batch_done(void *arg, struct nfbatch *b, int error)
{
	if (!k.up)
		return;
	take_answer(arg, b, error);
	quiet_end(error);
}

static void describe(void *arg, size_t msg, struct strbuf *ret)
{
	nft_describe(arg, msg, ret);
}

static void free_change(void *arg)
{
	nft_change_free(arg);
}

static void plan_change(struct plan *p, struct nft_change *c)
{
	struct nfbatch *b = nfbatch_new();
	struct strbuf text = STRBUF_INIT;

	nft_emit(c, b);
	b->arg = c;
	b->describe = describe;
	b->begin = batch_begin;
	b->done = batch_done;
	b->free = free_change;
	b->genid = p->round < STRICT_ROUNDS ? nft_watch_generation() : 0;
	k.asked = p->want;
	nft_summary(c, &text);
	plan_nft(p, b, NULL, "firewall: %s", strbuf_str(&text));
	strbuf_fini(&text);
}

static bool has_shared(const struct nft_ruleset *rs)
{
	for (size_t i = 0; i < rs->n; i++) {
		if (rs->tables[i]->shared)
			return true;
	}
	return false;
}

static bool is_made(const struct plan *p)
{
	if (!p->round)
		k.made = NULL;
	nft_watch_drain();
	return k.made && k.made == p->want;
}

static void plan(struct plan *p)
{
	struct nft_ruleset *want;
	struct nft_change *c;
	int r;

	if (is_made(p))
		return;
	want = nft_build(p->want);
	r = look();
	/* A kernel without nftables has nothing of ours, and is missed only by who wants some. */
	if (r) {
		if (want->n)
			plan_error(p, NULL, "firewall: the kernel's rules cannot be read: %s",
				   strerror(-r));
		nft_ruleset_unref(want);
		return;
	}
	nft_watch_shared(has_shared(want));
	c = nft_diff(k.have, want);
	nft_ruleset_unref(want);
	if (c->n) {
		plan_change(p, c);
		return;
	}
	/* Equal by content: from now on by pointer. */
	nft_ruleset_unref(k.have);
	k.have = nft_ruleset_ref(c->next);
	nft_change_free(c);
}

/* ---- domain ---- */

static int init(void)
{
	int r = nftq_open(&k.q);

	k.stats = (struct nft_stats){ 0 };
	k.up = true;
	if (r)
		return 0;
	nft_cap_probe();
	nft_count_init(cmd_base());
	nft_watch_init(cmd_base(), touched);
	return 0;
}

static void fini(void)
{
	k.up = false;
	k.quiet = 0;
	nft_forget();
	nft_count_fini();
	nft_watch_fini();
	nft_cap_reset();
	nftq_close(&k.q);
}

static const struct domain nft = {
	.name = "nft",
	.init = init,
	.fini = fini,
	.plan = plan,
};
RTR_DOMAIN(nft);
