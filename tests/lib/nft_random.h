/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: random rulesets that have much in common with the one before: rules taken out, in, moved;
 * elements, definitions, policies and hooks that change. The kernel takes each of them.
 */
#ifndef RTR_TEST_NFT_RANDOM_H
#define RTR_TEST_NFT_RANDOM_H

#include "nft/nft_data.h"
#include "nft/nft_expr.h"
#include "check_main.h"

/* Most rules in a chain. */
#define NFT_RANDOM_RULES 200

static uint64_t nft_random_seed;

static uint64_t below(uint64_t n)
{
	return test_rand(&nft_random_seed) % n;
}

enum map { MAP_NONE, MAP_VERDICTS, MAP_OBJECTS };

static struct nft_set *random_set(unsigned i, bool interval, enum map map)
{
	char name[16];
	struct nft_set *s;
	uint32_t at = 0;

	snprintf(name, sizeof(name), "s%u", i);
	s = nft_set_new(
		&(struct nft_set_spec){ .name = name,
					.key_type = NFT_T_IPADDR,
					.key_size = 4,
					.flags = interval ? NFT_SET_INTERVAL : 0,
					.data_type = map == MAP_VERDICTS ? NFT_T_VERDICT : 0,
					.obj_type = map == MAP_OBJECTS ? NFT_OBJECT_QUOTA : 0 });
	for (unsigned k = 0; k < 20; k++) {
		struct nft_data d = { .verdict = below(2) ? NF_DROP : NFT_JUMP, .chain = "c0" };
		char obj[16];
		uint8_t lo[4] = { 10, 0, 0, (uint8_t)at }, hi[4] = { 10, 0, 0, (uint8_t)at };

		snprintf(obj, sizeof(obj), "o%u", (unsigned)below(3));
		d.obj = obj;
		hi[3] = (uint8_t)(hi[3] + (interval ? below(4) : 0));
		if (below(2))
			interval ? nft_set_add_range(s, lo, hi, map ? &d : NULL)
				 : nft_set_add(s, lo, map ? &d : NULL);
		at += 4;
	}
	return s;
}

/* Of few kinds, so that two rulesets have much in common. */
static struct nft_rule *random_rule(bool leaf, unsigned n_sets, const enum map *map,
				    unsigned n_objs)
{
	unsigned what = (unsigned)below(4), set = (unsigned)below(n_sets);
	struct nft_rule *r = nft_rule_new(below(30), NULL, NULL);
	char name[16];

	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, 12, 4, NFT_REG_1);
	snprintf(name, sizeof(name), "s%u", set);
	if (what == 0 && map[set] == MAP_OBJECTS)
		nft_obj_map(r, name, NFT_REG_1);
	else if (what == 0 && map[set] && !leaf)
		nft_vmap(r, name, NFT_REG_1);
	else if (what == 0 && !map[set])
		nft_lookup(r, name, NFT_REG_1, false);
	snprintf(name, sizeof(name), "o%u", (unsigned)below(n_objs));
	if (what == 1)
		nft_obj_use(r, NFT_OBJECT_QUOTA, name);
	if (what == 2 && !leaf)
		nft_jump(r, "c0");
	nft_counter(r);
	return r;
}

static struct nft_chain *random_chain(unsigned i)
{
	char name[16];

	snprintf(name, sizeof(name), "c%u", i);
	/* c0 is jumped to; the others are hooked, now and then at another place. */
	return nft_chain_new(&(struct nft_chain_spec){ .name = name,
						       .type = i ? "filter" : NULL,
						       .hook = NF_INET_FORWARD,
						       .prio = below(4) ? 0 : 10,
						       .policy = (uint32_t)below(2) });
}

/* A chain like the one of the same name in `old`, with some rules taken out, in, or moved. */
static void fill_chain(struct nft_chain *c, const struct nft_chain *old, unsigned n_sets,
		       const enum map *map, unsigned n_objs)
{
	unsigned n = (unsigned)below(30);

	for (size_t i = 0; old && i < old->n && c->n < NFT_RANDOM_RULES - 60; i++) {
		const struct nft_rule *r = old->rules[below(10) ? i : below(old->n)];

		while (!below(5))
			nft_chain_add(c, random_rule(!c->base, n_sets, map, n_objs));
		if (below(8))
			nft_chain_add(c, nft_rule_ref(r));
	}
	while (!old && n--)
		nft_chain_add(c, random_rule(!c->base, n_sets, map, n_objs));
}

/* Which sets are maps is part of the names' meaning: a rule of the old ruleset stays valid. */
static const enum map maps[4] = { MAP_NONE, MAP_VERDICTS, MAP_OBJECTS, MAP_VERDICTS };

static inline struct nft_ruleset *nft_random_ruleset(const struct nft_ruleset *old)
{
	struct nft_ruleset *rs = nft_ruleset_new();
	const struct nft_table *ot = old ? nft_ruleset_find(old, NFPROTO_INET, nft_table_name())
					 : NULL;
	struct nft_table *t;
	unsigned n_chains = 1 + (unsigned)below(4);

	if (!below(12))
		return rs;
	t = nft_ruleset_table(rs, NFPROTO_INET, nft_table_name());
	for (unsigned i = 0; i < 4; i++) {
		const struct nft_set *s;
		char name[16];

		snprintf(name, sizeof(name), "s%u", i);
		s = ot ? nft_table_set(ot, name) : NULL;
		if (s && below(2))
			nft_table_add_set(t, nft_set_ref(s));
		else
			nft_table_add_set(
				t, random_set(i, below(4) && maps[i] != MAP_OBJECTS, maps[i]));
	}
	for (unsigned i = 0; i < 3; i++) {
		char name[16];

		snprintf(name, sizeof(name), "o%u", i);
		nft_table_add_obj(t, nft_obj_quota(name, 1, 100 + below(4) / 3, true));
	}
	for (unsigned i = 0; i < n_chains; i++) {
		struct nft_chain *c = random_chain(i);
		const struct nft_chain *oc = ot ? nft_table_chain(ot, c->node.name) : NULL;

		fill_chain(c, below(6) ? oc : NULL, 4, maps, 3);
		nft_table_add_chain(t, c);
	}
	return rs;
}

#endif
