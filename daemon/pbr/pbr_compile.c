/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the lines to rules and tables. Pure. */
#include "hash.h"
#include "firewall/policy.h"
#include "iface/iface.h"
#include "pbr/pbr.h"
#include "vrf/vrf.h"

#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_FIRST 0x72000000u /* "r" */
#define TABLE_BITS  16

uint32_t pbr_table_base(uint8_t proto)
{
	return TABLE_FIRST + ((uint32_t)proto << TABLE_BITS);
}

static void add_rule(struct pbr *b, const struct rule *r, const struct route_map *map)
{
	if (b->n_rules == PBR_MAX_RULES) {
		b->overflow = true;
		return;
	}
	if (b->n_rules == b->rules_room) {
		b->rules_room = b->rules_room ? b->rules_room * 2 : 64;
		b->rules = xrealloc(b->rules, b->rules_room * sizeof(*b->rules));
	}
	b->rules[b->n_rules++] = (struct pbr_rule){ .rule = *r, .map = map };
}

/* ---- tables ---- */

static bool taken(const struct pbr *b, uint8_t family, uint32_t id)
{
	for (size_t i = 0; i < b->n_tables; i++) {
		if (b->tables[i].family == family && (b->tables[i].id & ~1u) == id)
			return true;
	}
	return false;
}

/*
 * The number hangs on the name and the sequence, not on what else there is, so that a line more or
 * less moves no other's table. Two that want the same: the later one takes the next free pair.
 */
static uint32_t table_pair(const struct pbr *b, const struct route_map *m, uint8_t family,
			   uint32_t base)
{
	uint32_t slots = 1u << (TABLE_BITS - 1);
	uint32_t at = (uint32_t)hash_bytes(m->name, strlen(m->name), m->seq) % slots;

	while (taken(b, family, base + 2 * at))
		at = (at + 1) % slots;
	return base + 2 * at;
}

static const struct pbr_table *find_table(const struct pbr *b, const struct route_map *m,
					  uint8_t family, bool dflt)
{
	for (size_t i = 0; i < b->n_tables; i++) {
		const struct pbr_table *t = &b->tables[i];

		if (t->map == m && t->family == family && t->dflt == dflt)
			return t;
	}
	return NULL;
}

static void add_table(struct pbr *b, const struct route_map *m, uint8_t family, uint32_t id,
		      bool dflt)
{
	if (b->n_tables == b->tables_room) {
		b->tables_room = b->tables_room ? b->tables_room * 2 : 16;
		b->tables = xrealloc(b->tables, b->tables_room * sizeof(*b->tables));
	}
	b->tables[b->n_tables++] = (struct pbr_table){
		.family = family, .id = id + dflt, .map = m, .dflt = dflt
	};
}

static bool has_set(const struct route_map *m, uint8_t family)
{
	bool v6 = family == AF_INET6;

	return (v6 ? m->hop6_1 : m->hop4_1).family || m->ifname[0] ||
	       rec_kids(&m->rec, v6 ? &route_map_verify6_type : &route_map_verify4_type)->len;
}

static bool has_default(const struct route_map *m, uint8_t family)
{
	return (family == AF_INET6 ? m->dflt6_1 : m->dflt4_1).family;
}

/* A map that is applied in two places has one set of tables. */
static void need_tables(struct pbr *b, const struct route_map *m, uint8_t family, uint32_t base)
{
	uint32_t id;

	if (m->action != PBR_PERMIT || find_table(b, m, family, false) ||
	    find_table(b, m, family, true) || !(has_set(m, family) || has_default(m, family)))
		return;
	id = table_pair(b, m, family, base);
	if (has_set(m, family))
		add_table(b, m, family, id, false);
	if (has_default(m, family))
		add_table(b, m, family, id, true);
}

/* ---- one sequence ---- */

static void put_ports(struct rule_ports *p, uint16_t first, uint16_t last)
{
	*p = (struct rule_ports){ first, last ? last : first };
}

static void add_steps(struct pbr *b, struct rule r, const struct route_map *m)
{
	const struct pbr_table *set = find_table(b, m, r.family, false);
	const struct pbr_table *dflt = find_table(b, m, r.family, true);
	uint32_t pref = r.pref;

	r.action = FR_ACT_TO_TBL;
	if (m->action == PBR_PERMIT && (set || m->table || m->vrf)) {
		r.table = set ? set->id : m->vrf ? vrf_table(b->root, m->vrf) : m->table;
		add_rule(b, &r, m);
	}
	if (dflt) {
		r.pref = pref + 1;
		r.table = RT_TABLE_MAIN;
		r.suppress_len = 0;
		add_rule(b, &r, m);
		r.pref = pref + 2;
		r.table = dflt->id;
		r.suppress_len = -1;
		add_rule(b, &r, m);
	}
	r.pref = pref + 3;
	r.action = FR_ACT_GOTO;
	r.table = 0;
	r.target = PBR_PREF_END;
	add_rule(b, &r, m);
}

static void put_marks(struct rule *r, const struct route_map *m)
{
	r->has_dscp = SCH_HAS(m, dscp);
	r->dscp = m->dscp;
	if (SCH_HAS(m, mark)) {
		r->mask = SCH_HAS(m, mask) ? m->mask : UINT32_MAX;
		r->mark = m->mark;
	}
}

/* The lines of an access list, each in a step of its own; returns how many steps there are. */
static unsigned add_list(struct pbr *b, struct rule r, const struct route_map *m, const char *name)
{
	struct pbr_misfit misfit;
	struct pbr_acl list;
	unsigned n;

	/* One that does not fit is refused by the check; so is one that is not there. */
	if (pbr_acl_read(b->root, r.family, name, &list, &misfit))
		return 1;
	n = (unsigned)list.n_lines;
	b->overflow |= r.pref + 4 * n + 4 > PBR_PREF_END;
	put_marks(&r, m);
	for (size_t i = 0; i < list.n && !b->overflow; i++) {
		struct rule one = r;

		one.pref += 4 * list.v[i].line;
		one.src = list.v[i].src;
		one.dst = list.v[i].dst;
		one.ip_proto = list.v[i].ip_proto;
		one.sport = list.v[i].sport;
		one.dport = list.v[i].dport;
		if (list.v[i].deny) {
			one.action = FR_ACT_GOTO;
			one.target = r.pref + 4 * n;
			add_rule(b, &one, m);
		} else {
			add_steps(b, one, m);
		}
	}
	pbr_acl_fini(&list);
	/* Where a deny goes to: it does nothing, and the next sequence follows. */
	r = (struct rule){ .family = r.family,
			   .proto = r.proto,
			   .pref = r.pref + 4 * n,
			   .action = FR_ACT_NOP,
			   .suppress_len = -1 };
	add_rule(b, &r, m);
	return n + 1;
}

/* All pairs of a source and a destination; a list that is empty matches everything. */
static void add_sequence(struct pbr *b, struct rule r, const struct route_map *m)
{
	bool v6 = r.family == AF_INET6;
	const struct recvec *src = rec_kids(&m->rec,
					    v6 ? &route_map_src6_type : &route_map_src4_type);
	const struct recvec *dst = rec_kids(&m->rec,
					    v6 ? &route_map_dst6_type : &route_map_dst4_type);

	/* It names addresses of the other family only: no packet of this one matches. */
	if (v6 ? m->acl4 != NULL : m->acl6 != NULL)
		return;
	if (!src->len && !dst->len &&
	    (rec_kids(&m->rec, v6 ? &route_map_src4_type : &route_map_src6_type)->len ||
	     rec_kids(&m->rec, v6 ? &route_map_dst4_type : &route_map_dst6_type)->len))
		return;
	put_ports(&r.sport, m->sport, m->sport_last);
	put_ports(&r.dport, m->dport, m->dport_last);
	r.ip_proto = m->ip_proto;
	put_marks(&r, m);
	for (size_t i = 0; i < MAX(src->len, 1u); i++) {
		for (size_t j = 0; j < MAX(dst->len, 1u); j++) {
			if (src->len)
				r.src = ((const struct route_map_net *)(const void *)src->v[i])
						->net;
			if (dst->len)
				r.dst = ((const struct route_map_net *)(const void *)dst->v[j])
						->net;
			add_steps(b, r, m);
		}
	}
}

struct place {
	const char *map, *iif;
	uint8_t family, proto;
	uint32_t base;
};

static void add_place(struct pbr *b, const struct rec *root, const struct place *pl)
{
	const struct recvec *v = rec_kids(root, &route_map_type);
	struct rule r = {
		.family = pl->family, .proto = pl->proto, .pref = PBR_PREF_FIRST, .suppress_len = -1
	};
	const struct route_map *m;
	const char *list;

	rtr_strlcpy(r.iif, pl->iif, sizeof(r.iif));
	recvec_foreach(v, m) {
		if (strcmp(m->name, pl->map))
			continue;
		if (r.pref + 4 > PBR_PREF_END) {
			b->overflow = true;
			return;
		}
		need_tables(b, m, pl->family, pl->base);
		list = pl->family == AF_INET6 ? m->acl6 : m->acl4;
		if (list) {
			r.pref += 4 * add_list(b, r, m, list);
			continue;
		}
		add_sequence(b, r, m);
		r.pref += 4;
	}
}

static void add_end(struct pbr *b, uint8_t family, uint8_t proto)
{
	struct rule r = { .family = family,
			  .proto = proto,
			  .pref = PBR_PREF_END,
			  .action = FR_ACT_NOP,
			  .suppress_len = -1 };

	add_rule(b, &r, NULL);
}

static void compile_family(struct pbr *b, const struct rec *root, struct place pl)
{
	const struct recvec *ifaces = rec_kids(root, &iface_type);
	const struct recvec *locals = rec_kids(root, &pbr_local_type);
	const struct pol_aliases *aliases = pol_aliases_of(root);
	bool v6 = pl.family == AF_INET6;
	size_t before = b->n_rules;
	const struct pbr_local *l;
	const struct iface *i;

	recvec_foreach(ifaces, i) {
		const char *name = iface_kernel_name(i->name);

		pl.map = v6 ? i->policy6 : i->policy4;
		/* What is sent to a virtual MAC comes by another name of the interface. */
		for (pl.iif = name; pl.map && pl.iif;
		     pl.iif = pol_alias_next(aliases, name, pl.iif))
			add_place(b, root, &pl);
	}
	recvec_foreach(locals, l) {
		pl.map = l->map;
		pl.iif = "lo";
		if (l->family == v6)
			add_place(b, root, &pl);
	}
	if (b->n_rules > before)
		add_end(b, pl.family, pl.proto);
}

static int rule_order(const void *a, const void *b)
{
	return rule_cmp(&((const struct pbr_rule *)a)->rule, &((const struct pbr_rule *)b)->rule);
}

void pbr_compile(struct pbr *b, const struct rec *root, uint8_t proto, uint32_t base)
{
	struct place pl = { .family = AF_INET, .proto = proto, .base = base };
	size_t kept = 0;

	*b = (struct pbr){ .root = root };
	compile_family(b, root, pl);
	pl.family = AF_INET6;
	compile_family(b, root, pl);
	/* The same network named twice by overlapping lines is one rule for the kernel. */
	if (b->n_rules)
		qsort(b->rules, b->n_rules, sizeof(*b->rules), rule_order);
	for (size_t i = 0; i < b->n_rules; i++) {
		if (!i || rule_order(&b->rules[i], &b->rules[kept - 1]))
			b->rules[kept++] = b->rules[i];
	}
	b->n_rules = kept;
}

void pbr_fini(struct pbr *b)
{
	free(b->rules);
	free(b->tables);
	*b = (struct pbr){ 0 };
}

const struct route_map *pbr_origin(const struct rec *root, const struct rule *r)
{
	const struct route_map *map = NULL;
	struct pbr b;

	pbr_compile(&b, root, r->proto, pbr_table_base(r->proto));
	for (size_t i = 0; i < b.n_rules; i++) {
		if (!rule_cmp(&b.rules[i].rule, r))
			map = b.rules[i].map;
	}
	pbr_fini(&b);
	return map;
}
