/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Is a blob sound? Whatever the judge follows is looked at here once, so that it looks at nothing:
 * counts, indices, orders, families, lengths. */
#include "pol_priv.h"

#include "rtr/fastpath.h"

#include <stdio.h>

struct chk {
	const struct pol_blob *b;
	char *text;
};

static bool bad(const struct chk *c, const char *what)
{
	snprintf(c->text, FASTPATH_TEXT, "policy is not sound: %s", what);
	return false;
}

/* --- sections --- */

static bool section(const struct fastpol_hdr *h, unsigned i, size_t elem, const void **ret,
		    uint32_t *ret_n)
{
	uint64_t off = h->section[i].off, n = h->section[i].n;

	if (off % 8 || off < sizeof(*h) || off > h->size || n > (h->size - off) / elem)
		return false;
	*ret = (const uint8_t *)h + off;
	*ret_n = (uint32_t)n;
	return true;
}

static bool sections(struct pol_blob *b)
{
#define X(id, name, type)                                                                          \
	const void *p_##name;                                                                      \
	if (!section(b->h, FASTPOL_S_##id, sizeof(type), &p_##name, &b->n_##name))                 \
		return false;                                                                      \
	b->name = p_##name;
	FASTPOL_SECTIONS(X)
#undef X
	return true;
}

static bool in(struct fastpol_span s, uint32_t n)
{
	return s.first <= n && s.n <= n - s.first;
}

static bool is_family(uint8_t family)
{
	return family == AF_INET || family == AF_INET6;
}

/* --- values --- */

static bool plain_addr(uint8_t family, const uint8_t *a)
{
	static const uint8_t zero[12];

	return family == AF_INET6 || !memcmp(a + 4, zero, sizeof(zero));
}

static bool range(uint8_t family, const uint8_t *lo, const uint8_t *hi)
{
	return plain_addr(family, lo) && plain_addr(family, hi) && memcmp(lo, hi, 16) <= 0;
}

static bool addrs(const struct pol_blob *b, struct fastpol_span s, uint8_t family)
{
	if (!in(s, b->n_addrs))
		return false;
	for (uint32_t i = s.first; i < s.first + s.n; i++) {
		if (!range(family, b->addrs[i].lo, b->addrs[i].hi) ||
		    (i > s.first && memcmp(b->addrs[i - 1].hi, b->addrs[i].lo, 16) >= 0))
			return false;
	}
	return true;
}

static bool ports(const struct pol_blob *b, uint32_t first, uint32_t n)
{
	if (!in((struct fastpol_span){ first, n }, b->n_ports))
		return false;
	for (uint32_t i = first; i < first + n; i++) {
		if (b->ports[i].lo > b->ports[i].hi ||
		    (i > first && b->ports[i - 1].hi >= b->ports[i].lo))
			return false;
	}
	return true;
}

static bool is_list(const struct pol_blob *b, uint32_t list, uint8_t family)
{
	return list < b->n_lists && b->lists[list].family == family;
}

static bool list_or_none(const struct pol_blob *b, uint32_t list, uint8_t family)
{
	return list == FASTPOL_NONE || is_list(b, list, family);
}

/* --- the filter --- */

static bool check_services(const struct chk *c)
{
	const struct pol_blob *b = c->b;

	for (uint32_t i = 0; i < b->n_services; i++) {
		const struct fastpol_service *s = &b->services[i];

		if (s->proto > FASTPOL_ANY || s->n_flags > 4 ||
		    !ports(b, s->sport_first, s->sport_n) || !ports(b, s->dport_first, s->dport_n))
			return bad(c, "a service");
	}
	return true;
}

static bool check_rule(const struct pol_blob *b, const struct fastpol_rule *r, uint8_t family)
{
	return addrs(b, r->src, family) && addrs(b, r->dst, family) && r->services.n &&
	       in(r->services, b->n_services) && r->action <= FASTPOL_REJECT;
}

/* Each rule belongs to one list at most: so the work of these two loops is bounded. */
static bool check_lists(const struct chk *c)
{
	const struct pol_blob *b = c->b;
	uint32_t at = 0;

	for (uint32_t i = 0; i < b->n_lists; i++) {
		const struct fastpol_list *l = &b->lists[i];

		if (!is_family(l->family) || !in(l->rules, b->n_rules) || l->rules.first != at)
			return bad(c, "an access list");
		at += l->rules.n;
		for (uint32_t r = l->rules.first; r < at; r++) {
			if (!check_rule(b, &b->rules[r], l->family))
				return bad(c, "a line of an access list");
		}
	}
	return at == b->n_rules || bad(c, "lines of no access list");
}

static bool check_zones(const struct chk *c)
{
	const struct pol_blob *b = c->b;

	for (uint32_t i = 0; i < b->n_matches; i++) {
		if (!list_or_none(b, b->matches[i].list[0], AF_INET) ||
		    !list_or_none(b, b->matches[i].list[1], AF_INET6))
			return bad(c, "a match of a class");
	}
	for (uint32_t i = 0; i < b->n_classes; i++) {
		if (!in(b->classes[i].matches, b->n_matches) || b->classes[i].action > FASTPOL_PASS)
			return bad(c, "a class");
	}
	for (uint32_t i = 0; i < b->n_pairs; i++) {
		const struct fastpol_pair *p = &b->pairs[i];

		if (!in(p->classes, b->n_classes) || (i && (uint32_t)p[-1].from << 16 | p[-1].to) >=
							     ((uint32_t)p->from << 16 | p->to))
			return bad(c, "a zone pair");
	}
	return true;
}

static bool check_ifaces(const struct chk *c)
{
	const struct pol_blob *b = c->b;

	for (uint32_t i = 0; i < b->n_ifaces; i++) {
		const struct fastpol_iface *f = &b->ifaces[i];

		if (!f->ifindex || (i && f[-1].ifindex >= f->ifindex))
			return bad(c, "an interface");
		for (unsigned v6 = 0; v6 < 2; v6++) {
			uint8_t family = v6 ? AF_INET6 : AF_INET;

			if (!list_or_none(b, f->in[v6], family) ||
			    !list_or_none(b, f->out[v6], family) || f->side[v6] > FASTPOL_OUTSIDE)
				return bad(c, "a list or side of an interface");
		}
	}
	return true;
}

static bool check_syns(const struct chk *c)
{
	const struct pol_blob *b = c->b;

	for (uint32_t i = 0; i < b->n_syns; i++) {
		if (!is_family(b->syns[i].family) ||
		    !plain_addr(b->syns[i].family, b->syns[i].addr))
			return bad(c, "a protected service");
	}
	return true;
}

/* --- translations --- */

static bool check_static(const struct fastpol_static *s)
{
	return is_family(s->family) && s->kind < FASTPOL_STATIC__MAX &&
	       s->len <= 8 * pol_size(s->family) && plain_addr(s->family, s->local) &&
	       plain_addr(s->family, s->global) &&
	       (s->kind < FASTPOL_TCP || (s->n_ports && s->lport <= 0x10000 - s->n_ports &&
					  s->gport <= 0x10000 - s->n_ports));
}

static bool check_statics(const struct chk *c)
{
	const struct pol_blob *b = c->b;

	if (b->n_globals != b->n_locals)
		return bad(c, "two orders of static lines");
	for (uint32_t i = 0; i < b->n_globals; i++) {
		if (!check_static(&b->globals[i]) || !check_static(&b->locals[i]))
			return bad(c, "a static line");
	}
	if (b->n_out_local != b->n_out_global)
		return bad(c, "two orders of outside lines");
	for (uint32_t i = 0; i < b->n_out_local; i++) {
		if (!is_family(b->out_local[i].family) || !is_family(b->out_global[i].family))
			return bad(c, "an outside line");
	}
	return true;
}

/* Hosts of a line: ascending. */
static bool check_hosts(const struct pol_blob *b, struct fastpol_span s, uint8_t family)
{
	if (!in(s, b->n_hosts))
		return false;
	for (uint32_t i = s.first; i < s.first + s.n; i++) {
		const struct fastpol_hosts *h = &b->hosts[i];

		if (!range(family, h->lo, h->hi) ||
		    (i > s.first && memcmp(h[-1].hi, h->lo, 16) >= 0))
			return false;
	}
	return true;
}

/* Of maps each belongs to one line, those before `at` to lines before. */
static bool check_dynamic(const struct pol_blob *b, const struct fastpol_dynamic *d, uint32_t *at)
{
	uint8_t family;

	if (d->kind >= FASTPOL_D__MAX || d->list >= b->n_lists)
		return false;
	family = b->lists[d->list].family;
	if ((d->kind == FASTPOL_D_POOL || d->kind == FASTPOL_D_SHARE) &&
	    (d->pool >= b->n_pools || b->pools[d->pool].family != family))
		return false;
	if (d->kind == FASTPOL_D_SHARE)
		return b->pools[d->pool].share && check_hosts(b, d->map, family);
	if (d->kind != FASTPOL_D_MAP)
		return true;
	if (!in(d->map, b->n_maps) || d->map.first != *at)
		return false;
	*at += d->map.n;
	for (uint32_t i = d->map.first; i < d->map.first + d->map.n; i++) {
		if (!range(family, b->maps[i].lo, b->maps[i].hi) ||
		    !plain_addr(family, b->maps[i].dst))
			return false;
	}
	return true;
}

static bool check_nat(const struct chk *c)
{
	const struct pol_blob *b = c->b;
	struct fastpol_span carved = b->h->carved;
	uint32_t at = 0;

	if (b->h->fast_lo > b->h->fast_hi || !ports(b, carved.first, carved.n))
		return bad(c, "the ports of the fast plane");
	if (!b->h->block != !b->h->blocks)
		return bad(c, "the blocks of ports");
	for (uint32_t i = 0; i < b->n_rotaries; i++) {
		if (b->rotaries[i].list >= b->n_lists)
			return bad(c, "a rotary line");
	}
	for (uint32_t i = 0; i < b->n_dynamics; i++) {
		if (!check_dynamic(b, &b->dynamics[i], &at))
			return bad(c, "a source line");
	}
	for (uint32_t i = 0; i < b->n_pools; i++) {
		if (!is_family(b->pools[i].family) ||
		    !range(b->pools[i].family, b->pools[i].lo, b->pools[i].hi))
			return bad(c, "a pool");
	}
	for (uint32_t i = 0; i < b->n_shared; i++) {
		if (!is_family(b->shared[i].family) ||
		    !range(b->shared[i].family, b->shared[i].lo, b->shared[i].hi))
			return bad(c, "a shared address");
	}
	return true;
}

bool pol_blob_open(const void *blob, size_t len, struct pol_blob *ret, char *text)
{
	struct chk c = { .b = ret, .text = text };
	const struct fastpol_hdr *h = blob;

	*ret = (struct pol_blob){ .h = h };
	if (len < sizeof(*h) || h->magic != FASTPOL_MAGIC || h->version != FASTPOL_VERSION ||
	    h->size != len || len > FASTPOL_SIZE_MAX)
		return bad(&c, "its header");
	if (!sections(ret))
		return bad(&c, "its sections");
	return check_services(&c) && check_lists(&c) && check_zones(&c) && check_ifaces(&c) &&
	       check_syns(&c) && check_nat(&c) && check_statics(&c);
}
