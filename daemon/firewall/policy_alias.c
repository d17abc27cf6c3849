/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other names of interfaces: macvlans of virtual MACs. */
#include "firewall/policy.h"

#include "kernel/shadow.h"
#include "vrrp/vrrp.h"

#include <stdlib.h>
#include <string.h>

/* The last answer, and what it was made of. */
static struct {
	const struct rec *model; /* reference */
	uint64_t generation;
	const struct pol_aliases *aliases;
} last;

struct list {
	struct pol_aliases *a;
	size_t room;
};

static void add(const char *iface, const char *vmac, int ifindex, void *arg)
{
	struct list *l = arg;
	struct pol_alias *v;

	if (l->a->n == l->room) {
		l->room = l->room ? l->room * 2 : 8;
		l->a = xrealloc(l->a, sizeof(*l->a) + l->room * sizeof(*l->a->v));
	}
	v = &l->a->v[l->a->n++];
	memset(v, 0, sizeof(*v));
	rtr_strlcpy(v->name, vmac, IFNAMSIZ);
	rtr_strlcpy(v->iface, iface, IFNAMSIZ);
}

bool pol_aliases_same(const struct pol_aliases *a, const struct pol_aliases *b)
{
	size_t n = a ? a->n : 0;

	return n == (b ? b->n : 0) && (!n || !memcmp(a->v, b->v, n * sizeof(*a->v)));
}

const struct pol_aliases *pol_aliases_ref(const struct pol_aliases *a)
{
	if (a)
		((struct pol_aliases *)(uintptr_t)a)->refs++;
	return a;
}

const struct pol_aliases *pol_aliases_unref(const struct pol_aliases *a)
{
	if (a && !--((struct pol_aliases *)(uintptr_t)a)->refs)
		free((void *)(uintptr_t)a);
	return NULL;
}

const struct pol_aliases *pol_aliases_of(const struct rec *model)
{
	struct list l;

	if (last.model == model && last.generation == shadow_generation())
		return last.aliases;
	l = (struct list){ .a = xcalloc(1, sizeof(*l.a)) };
	l.a->refs = 1;
	vrrp_foreach_vmac(model, add, &l);
	if (last.aliases && pol_aliases_same(last.aliases, l.a)) {
		free(l.a);
	} else {
		pol_aliases_unref(last.aliases);
		last.aliases = l.a;
	}
	rec_ref(model);
	rec_unref((struct rec *)(uintptr_t)last.model);
	last.model = model;
	last.generation = shadow_generation();
	return last.aliases;
}

uint64_t pol_links_generation(void)
{
	return shadow_generation();
}

void pol_aliases_forget(void)
{
	last.aliases = pol_aliases_unref(last.aliases);
	rec_unref((struct rec *)(uintptr_t)last.model);
	last.model = NULL;
}

const char *pol_alias_iface(const struct pol_aliases *a, const char *name)
{
	for (size_t i = 0; a && i < a->n; i++) {
		if (!strcmp(a->v[i].name, name))
			return a->v[i].iface;
	}
	return name;
}

const char *pol_alias_next(const struct pol_aliases *a, const char *iface, const char *name)
{
	bool after = !strcmp(iface, name);

	for (size_t i = 0; a && i < a->n; i++) {
		if (strcmp(a->v[i].iface, iface))
			continue;
		if (after)
			return a->v[i].name;
		after = !strcmp(a->v[i].name, name);
	}
	return NULL;
}
