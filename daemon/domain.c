/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain.h"

#include <string.h>

#define MAX_DOMAINS 64

/* The linker's names for the section that RTR_DOMAIN fills. */
extern const struct domain *const __start_rtr_domains[];
extern const struct domain *const __stop_rtr_domains[];

static const struct domain *sorted[MAX_DOMAINS];
static size_t n_sorted;
static char *error;

static bool placed(const char *name)
{
	for (size_t i = 0; i < n_sorted; i++) {
		if (!strcmp(sorted[i]->name, name))
			return true;
	}
	return false;
}

static bool ready(const struct domain *d)
{
	for (const char *const *a = d->after; a && *a; a++) {
		if (!placed(*a))
			return false;
	}
	return true;
}

/* Among those that are ready the name decides, so that the order does not hang on the linker. */
static const struct domain *next_ready(void)
{
	const struct domain *best = NULL;

	for (const struct domain *const *p = __start_rtr_domains; p < __stop_rtr_domains; p++) {
		if (!placed((*p)->name) && ready(*p) &&
		    (!best || strcmp((*p)->name, best->name) < 0))
			best = *p;
	}
	return best;
}

const char *domains_sort(const struct domain *const **ret, size_t *ret_n)
{
	size_t n = (size_t)(__stop_rtr_domains - __start_rtr_domains);

	if (n > MAX_DOMAINS)
		return "more domains than MAX_DOMAINS";
	/* The section does not change, and each commit asks several times. */
	if (n_sorted == n)
		goto end;
	n_sorted = 0;
	while (n_sorted < n) {
		const struct domain *d = next_ready();

		if (!d)
			break;
		sorted[n_sorted++] = d;
	}
	for (const struct domain *const *p = __start_rtr_domains; p < __stop_rtr_domains; p++) {
		if (placed((*p)->name))
			continue;
		free(error);
		error = xasprintf(
			"domain %s: what it comes after is missing, or comes after it in turn",
			(*p)->name);
		return error;
	}
end:
	*ret = sorted;
	*ret_n = n_sorted;
	return NULL;
}
