/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a line does to the packet that it is the first to match: see list_compile.h. */
#include "firewall/list_impl.h"

#include <stdlib.h>
#include <string.h>

static const char *const ends[LC_ACTIONS] = {
	[POL_DENY] = "deny", [POL_PERMIT] = "permit", [POL_REJECT] = "reject", [POL_PASS] = "pass"
};

bool lc_has_effects(const struct pol_rule *r)
{
	/* Who waits for a name is logged when that is known: fw_log_name. */
	return (r->log && !r->tls_name) || r->helper || r->limit.rate || r->limit.conns;
}

bool lc_is_alone(const struct use *u, const struct pol_rule *p)
{
	return !u->u.carry || p->tls_name || lc_has_effects(p);
}

/* A connection with a server name passes until that is known. */
static enum pol_action action_of(const struct pol_rule *p)
{
	return p->tls_name ? POL_PERMIT : p->action;
}

static void own_name(const struct use *u, const struct pol_rule *p, char name[NAME_SIZE])
{
	snprintf(name, NAME_SIZE, "%s.%08x", u->name, p->id);
}

void lc_end_name(const char *stem, const struct pol_rule *p, char name[NAME_SIZE])
{
	snprintf(name, NAME_SIZE, "%s.%s", stem, ends[p->action]);
}

/* ---- rules ---- */

static void carry(struct nft_rule *r, uint32_t id_reg)
{
	nft_meta_set(r, NFT_META_SECMARK, id_reg);
}

static void carry_line(struct nft_rule *r, const struct pol_rule *p)
{
	nft_imm(r, REG(0), &p->id, sizeof(p->id));
	carry(r, REG(0));
}

void lc_line_act(struct nft_rule *r, const struct use *u, const struct pol_rule *p)
{
	char name[NAME_SIZE];

	if (lc_is_alone(u, p)) {
		own_name(u, p, name);
	} else {
		carry_line(r, p);
		lc_end_name(u->name, p, name);
	}
	nft_goto(r, name);
}

void lc_line_act_at(struct nft_rule *r, const struct pol_rule *p, const char *end)
{
	carry_line(r, p);
	nft_goto(r, end);
}

void lc_line_act_shared(struct nft_rule *r, const struct use *u, const struct pol_rule *p)
{
	char name[NAME_SIZE];

	own_name(u, p, name);
	nft_goto(r, name);
}

void lc_found_act(struct nft_rule *r, const struct use *u, const struct lc_found *f)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "%s.act", u->name);
	if (u->u.carry)
		carry(r, f->id_reg);
	nft_vmap(r, name, u->u.carry ? f->act_reg : f->id_reg);
}

/* ---- what the rules of ends and of lines have in common ---- */

static struct nft_rule *new_rule(const struct rec *rec)
{
	return nft_rule_new(0, rec, NULL);
}

static void hit(struct nft_rule *r, uint32_t id_reg)
{
	const struct nft_stateful counter = { .kind = NFT_S_COUNTER };

	nft_dynset(r, LC_HITS, NFT_DYNSET_OP_UPDATE, id_reg, 0, 0, &counter, 1);
}

/* Nobody behind the list is to see it. */
static void clear_carry(struct nft_rule *r)
{
	static const uint32_t zero;

	nft_imm(r, REG(0), &zero, sizeof(zero));
	carry(r, REG(0));
}

static void verdict(struct nft_rule *r, const struct lc_verdict *v)
{
	if (v->code == NFT_GOTO)
		nft_goto(r, v->chain);
	else
		nft_verdict(r, v->code);
}

/* ---- ends: of all lines of an action, whose id the packet carries ---- */

/* A rule for each step: when the set of hits is full, the verdict stays. */
static struct nft_chain *end_chain(const struct lc_list *l, const struct use *u,
				   const struct pol_rule *p)
{
	static const uint8_t zero[16], ones[4] = { 0xff, 0xff, 0xff, 0xff };
	const struct rec *rec = l->rec;
	char name[NAME_SIZE];
	struct nft_chain *c;
	struct nft_rule *r;

	lc_end_name(u->name, p, name);
	c = lc_new_chain(l, name);
	if (u->u.word >= 0) {
		r = new_rule(rec);
		nft_ct_unconfirmed(r);
		nft_imm(r, REG(0), zero, sizeof(zero));
		nft_meta(r, NFT_META_SECMARK, REG(4));
		/* nft knows the type of labels by what was the last in their registers. */
		nft_bitwise(r, REG(4), REG(u->u.word), 4, ones, zero);
		nft_ct_set(r, NFT_CT_LABELS, NFT_REG_1);
		nft_chain_add(c, r);
	}
	if (u->u.count) {
		r = new_rule(rec);
		nft_meta(r, NFT_META_SECMARK, REG(0));
		hit(r, REG(0));
		nft_chain_add(c, r);
	}
	r = new_rule(rec);
	clear_carry(r);
	verdict(r, &u->u.verdict[p->action]);
	nft_chain_add(c, r);
	return c;
}

/* ---- lines alone ---- */

static struct nft_chain *own_chain(const struct use *u, const struct lc_ops *ops,
				   const struct pol_rule *p)
{
	uint32_t label[4] = { 0 }, id = p->id;
	char name[NAME_SIZE];
	struct nft_chain *c;
	struct nft_rule *r;

	own_name(u, p, name);
	c = nft_chain_new(&(struct nft_chain_spec){ .name = name, .rec = p->rec });
	if (u->u.word >= 0) {
		label[u->u.word] = p->tls_name ? id | inspect_wait(u->u.word == 2 ? 2 : 0) : id;
		r = new_rule(p->rec);
		nft_ct_unconfirmed(r);
		nft_imm(r, REG(0), label, sizeof(label));
		nft_ct_set(r, NFT_CT_LABELS, NFT_REG_1);
		nft_chain_add(c, r);
	}
	if (u->u.count) {
		r = new_rule(p->rec);
		nft_imm(r, REG(0), &id, sizeof(id));
		hit(r, REG(0));
		nft_chain_add(c, r);
	}
	if (ops && ops->effects && lc_has_effects(p) && !(p->tls_name && u->u.wait))
		ops->effects(ops->arg, c, p);
	r = new_rule(p->rec);
	if (u->u.carry && lb_is_plain(p))
		clear_carry(r); /* it may come from a table */
	if (p->tls_name && u->u.wait) {
		snprintf(name, sizeof(name), "%s.%08x", u->u.wait, id);
		nft_goto(r, name);
	} else {
		verdict(r, &u->u.verdict[action_of(p)]);
	}
	nft_chain_add(c, r);
	return c;
}

/* ---- the map of what a table found ---- */

static void map_end(struct nft_set *s, const struct use *u, const struct pol_rule *p)
{
	uint32_t action = p->action;
	char name[NAME_SIZE];

	lc_end_name(u->name, p, name);
	nft_set_add(s, &action, &(struct nft_data){ .verdict = NFT_GOTO, .chain = name });
}

static void map_line(struct nft_set *s, const struct use *u, const struct pol_rule *p)
{
	char name[NAME_SIZE];

	own_name(u, p, name);
	nft_set_add(s, &p->id, &(struct nft_data){ .verdict = NFT_GOTO, .chain = name });
}

void lc_add_ends(const struct lc_list *l, struct use *u, const struct lc_ops *ops)
{
	char name[NAME_SIZE];
	struct nft_set *s;

	snprintf(name, sizeof(name), "%s.act", u->name);
	s = nft_set_new(&(struct nft_set_spec){ .name = name,
						.key_type = NFT_T_MARK,
						.key_size = 4,
						.data_type = NFT_T_VERDICT,
						.rec = l->rec });
	for (size_t i = 0; i < l->list->n; i++) {
		const struct pol_rule *p = l->list->rules[i];

		if (lb_is_void(p))
			continue;
		if (lc_is_alone(u, p)) {
			lc_hold_chain(u, own_chain(u, ops, p));
			if (lb_is_plain(p))
				map_line(s, u, p);
		} else if (!u->ends[p->action]) {
			u->ends[p->action] = p;
			lc_hold_chain(u, end_chain(l, u, p));
			map_end(s, u, p);
		}
	}
	lc_hold_set(&u->sets, name, s);
}

void lc_add_shared(const struct lc_list *l, struct use *u, size_t block)
{
	const struct id_table *t = &l->prog->blocks[block].copies;

	for (const struct lb_copies *x = id_table_next(t, NULL); x; x = id_table_next(t, x)) {
		char name[NAME_SIZE];
		struct nft_chain *c;
		struct nft_rule *r;

		if (x->n < LB_SHARED || lc_is_alone(u, x->line))
			continue;
		c = lc_keep_part(u, x->line, -1);
		if (!c) {
			own_name(u, x->line, name);
			c = lc_new_chain(l, name);
			r = new_rule(x->line->rec);
			lc_line_act(r, u, x->line);
			nft_chain_add(c, r);
		}
		lc_hold_part(u, x->line, -1, c);
	}
}
