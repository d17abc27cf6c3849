/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The product with one more domain: one row, one check, one plan, registered from a file of its
 * own. That nothing else has to be touched for a new line is what tests/netns/test_add_row.py
 * shows with it.
 */
#include "domain.h"

#include <stdio.h>

struct demo {
	struct rec rec;
	char *name;
	uint32_t groups;
};
SCH_TYPE(demo, SCH_F(demo, name), SCH_F(demo, groups));

static const struct sch_row rows[] = {
	SCH_LIST("demo <name:WORD> groups <groups:U32(1,10000)>", demo, .key = "name",
		 .help = "Multicast groups that a socket may join"),
};

static const struct demo *largest(const struct rec *root)
{
	const struct demo *d, *most = NULL;

	recvec_foreach(rec_kids(root, &demo_type), d) {
		if (!most || d->groups > most->groups)
			most = d;
	}
	return most;
}

static void check(struct check *c)
{
	const struct demo *d = largest(c->new);

	if (d && d->groups > 5000)
		check_error(c, &d->rec, "more than 5000 groups");
}

static void plan(struct plan *p)
{
	const struct demo *d = largest(p->want);
	char text[16];

	if (!d)
		return;
	snprintf(text, sizeof(text), "%u", d->groups);
	plan_sysctl(p, "net/ipv4/igmp_max_memberships", text, &d->rec);
}

static const struct domain demo_domain = {
	.name = "demo",
	.rows = rows,
	.n_rows = ARRAY_LEN(rows),
	.check = check,
	.plan = plan,
};
RTR_DOMAIN(demo_domain);
