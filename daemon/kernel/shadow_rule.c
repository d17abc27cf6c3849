/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The shadow's rules of policy routing: those that carry our FRA_PROTOCOL. */
#include "kernel/rule.h"
#include "kernel/shadow_db.h"

#include <linux/rtnetlink.h>
#include <stdlib.h>

#define BUCKETS 1024 /* a route map has some dozens */

static struct shadow_rule *rules[BUCKETS];

static struct shadow_rule **slot(const struct rule *r)
{
	struct shadow_rule **pp = &rules[rule_hash(r) % BUCKETS];

	while (*pp && rule_cmp(&(*pp)->rule, r))
		pp = &(*pp)->next;
	return pp;
}

const struct shadow_rule *shadow_rule_find(const struct rule *r)
{
	return *slot(r);
}

static struct shadow_rule *first_from(size_t b)
{
	while (b < BUCKETS && !rules[b])
		b++;
	return b < BUCKETS ? rules[b] : NULL;
}

const struct shadow_rule *shadow_rule_next(const struct shadow_rule *r)
{
	if (!r)
		return first_from(0);
	return r->next ? r->next : first_from(rule_hash(&r->rule) % BUCKETS + 1);
}

void shadow_rule_mark(const struct shadow_rule *r, uint32_t mark)
{
	((struct shadow_rule *)(uintptr_t)r)->mark = mark;
}

static void take(struct shadow_rule **pp)
{
	struct shadow_rule *r = *pp;

	*pp = r->next;
	free(r);
}

unsigned shadow_parse_rule(const struct nlmsghdr *h)
{
	struct shadow_rule **pp;
	struct rule r;

	if (!rule_parse(h, &r) || r.proto != shadow_proto())
		return 0;
	pp = slot(&r);
	if (h->nlmsg_type == RTM_DELRULE) {
		if (!*pp)
			return 0;
		take(pp);
		return SHADOW_RULE;
	}
	if (*pp) {
		(*pp)->seen = shadow_db.dump;
		return 0;
	}
	*pp = xcalloc(1, sizeof(**pp));
	(*pp)->rule = r;
	(*pp)->seen = shadow_db.dump;
	return SHADOW_RULE;
}

unsigned shadow_sweep_rules(void)
{
	unsigned changed = 0;

	for (size_t b = 0; b < BUCKETS; b++) {
		for (struct shadow_rule **pp = &rules[b]; *pp;) {
			if ((*pp)->seen == shadow_db.dump) {
				pp = &(*pp)->next;
				continue;
			}
			take(pp);
			changed = SHADOW_RULE;
		}
	}
	return changed;
}

void shadow_rules_free(void)
{
	for (size_t b = 0; b < BUCKETS; b++) {
		while (rules[b])
			take(&rules[b]);
	}
}
