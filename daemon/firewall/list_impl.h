/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what the parts of list_compile.h share: list_compile.c (lists and their uses), list_table.c
 * (tables as sets of the kernel), list_chain.c (chains that look into them), list_line.c (lines as
 * rules of their own), list_act.c (what a line does). Owns, threads, failure: as there.
 */
#ifndef RTR_LIST_IMPL_H
#define RTR_LIST_IMPL_H

#include "firewall/list_box.h"
#include "firewall/list_compile.h"
#include "nft/nft_expr.h"
#include "nft/nft_set.h"

#define REG(n)    (NFT_REG32_00 + (uint32_t)(n))
#define NAME_SIZE 192

struct sets {
	size_t n;
	struct {
		char *name;
		struct nft_set *set;
	} * v;
};

struct use {
	struct lc_use u;
	char *name, *wait;
	char *targets[LC_ACTIONS];
	size_t n_chains, chains_room;
	struct nft_chain **chains;
	/* Of those, the ones of parts that are leaves, those that ask, those of shared lines. */
	size_t n_parts, parts_room;
	struct part {
		/* What it is the chain of: a struct lb_node, a rank that asks, a line; these stay
		 * where they are while lb_patch leaves them as they are. */
		const void *of;
		int end; /* enum pol_action; -1: none */
		struct nft_chain *chain;
	} * parts;
	struct sets sets;
	const struct pol_rule *ends[LC_ACTIONS]; /* some line that comes to it; NULL none */
	const struct use *old; /* while it is built: in the list before; NULL none */
	size_t old_at, old_set_at;
};

struct lc_list {
	const struct pol_list *list;
	/* The list's key alone: what is kept from commit to commit would keep all lines that the
	 * list had when it was made. NULL: a list of ours. */
	struct rec *rec;
	char *key;
	struct lb_prog *prog;
	struct sets sets; /* tables and groups: of all uses */
	/* What was patched to make this, until it is freed, and the other way round. */
	struct lc_list *before, *after;
	size_t old_at;
	size_t n_uses;
	struct use *uses;
};

struct line {
	const struct lc_list *l;
	struct use *u;
	struct nft_table *t;
	struct nft_chain *c;
	const struct pol_rule *p;
};

/* ---- list_table.c ---- */

extern const char *const lc_class_names[LB_CLASSES];

enum { F_RANK = LB_FIELDS, FIELDS };

/* The fields of a table's key, in their order, and the register that each begins at. */
struct layout {
	uint8_t n;
	struct {
		uint8_t f; /* enum lb_field, F_RANK */
		uint8_t size, reg;
	} v[FIELDS];
	uint8_t regs;
};

/* A table's place in names: "A", or "A.c0a80000" for the part that begins there. */
struct place {
	size_t block;
	enum lb_class class;
	const struct lb_set *set; /* NULL: none, or not a leaf */
	char path[NAME_SIZE / 2];
};

/* Bytes of a field in a class; 0: not looked at. */
unsigned lc_field_size(uint8_t family, enum lb_class class, enum lb_field f);
/* nft lists a set only when each field has a type of its size. */
uint32_t lc_field_type(unsigned f, unsigned size);
/* Network order. */
void lc_put_num(uint8_t *to, lb_num n, unsigned size);

const struct lb_tables *lc_tables_of(const struct lc_list *l, const struct place *p);
/* The address that does not lead. */
enum lb_field lc_other_of(const struct lb_tables *t);
struct layout lc_layout_at(const struct lc_list *l, const struct place *p);
void lc_place_name(const char *stem, const struct place *p, char name[NAME_SIZE]);
/* The part that begins at `from`. */
struct place lc_part_at(const struct place *p, lb_num from);

void lc_hold_set(struct sets *sets, const char *name, struct nft_set *s);
bool lc_holds_set(const struct sets *sets, const char *name);
/* Takes one over as it is in the sets of the list before; *at: where it is looked for first, as
 * they mostly come in the same order. False: there is none. */
bool lc_keep_set(struct sets *sets, const struct sets *old, size_t *at, const char *name);
/* The sets of all tables of a block. */
void lc_add_tables(struct lc_list *l, size_t block);

/* ---- list_chain.c ---- */

/* Some verdict of the use is to return. */
bool lc_returns(const struct use *u);
struct nft_chain *lc_new_chain(const struct lc_list *l, const char *name);
void lc_hold_chain(struct use *u, struct nft_chain *c);
/* See struct part: takes it as the same use of the list before has it; NULL: it has none. */
struct nft_chain *lc_keep_part(struct use *u, const void *of, int end);
void lc_hold_part(struct use *u, const void *of, int end, struct nft_chain *c);
/* One rule sends a packet to the chain of its class; those of no class here go on. */
void lc_block_rules(const struct lc_list *l, struct use *u, struct nft_chain *chain, size_t block,
		    int32_t how, const char *next);

/* ---- list_line.c ---- */

/* The set of a line's addresses, when they are more than one range. */
void lc_add_addr_set(struct lc_list *l, const struct pol_rule *p, enum lb_field f);
/* Of the register REG(0). */
void lc_in_range(struct nft_rule *r, const void *lo, const void *hi, unsigned size);
/* The rules of a line: one for each combination of its alternatives. */
void lc_line_rules(const struct line *x);

/* ---- list_act.c ---- */

bool lc_has_effects(const struct pol_rule *r);
/* The line has a chain of its own that does all that it does. */
bool lc_is_alone(const struct use *u, const struct pol_rule *p);
/* The end of a rule that a line's packets match. Takes REG(0). */
void lc_line_act(struct nft_rule *r, const struct use *u, const struct pol_rule *p);
/* The same to another chain that comes to the end of the line's action; not of a line alone. */
void lc_line_act_at(struct nft_rule *r, const struct pol_rule *p, const char *end);
/* The same of a line that lb_is_shared. */
void lc_line_act_shared(struct nft_rule *r, const struct use *u, const struct pol_rule *p);
/* Where a lookup in a table puts what it found. */
struct lc_found {
	uint32_t id_reg, act_reg;
};
void lc_found_act(struct nft_rule *r, const struct use *u, const struct lc_found *f);
/* The chain at which lines of an action end, of a use or behind another name. */
void lc_end_name(const char *stem, const struct pol_rule *p, char name[NAME_SIZE]);
/* Ends, chains of lines alone, and the map to both. */
void lc_add_ends(const struct lc_list *l, struct use *u, const struct lc_ops *ops);
/* Chains of shared lines of a block. */
void lc_add_shared(const struct lc_list *l, struct use *u, size_t block);

#endif
