/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules: collected by a dump in the kernel's order, compiled into what readers walk. */
#include "fib_ctl_priv.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int fc_rules_init(struct fibctl *c)
{
	for (unsigned fam = 0; fam < FIB_FAMILIES; fam++) {
		c->rule[fam] = calloc(FC_MAX_RULES, sizeof(*c->rule[fam]));
		if (!c->rule[fam])
			return -ENOMEM;
		fc_rules_close(c, fam);
		if (!c->f.rules[fam])
			return -ENOMEM;
	}
	return 0;
}

void fc_rules_fini(struct fibctl *c)
{
	for (unsigned fam = 0; fam < FIB_FAMILIES; fam++) {
		fc_pub_free(c, (void *)c->f.rules[fam]);
		free(c->rule[fam]);
	}
}

static void put_in_place(struct fibctl *c, unsigned fam, struct fib_rules *rs)
{
	const struct fib_rules *old = c->f.rules[fam];

	__atomic_store_n(&c->f.rules[fam], rs, __ATOMIC_RELEASE);
	fc_pub_free(c, (void *)old);
	fc_touch_all(c);
}

/* One rule that may match anything and that nobody can test. */
void fc_rules_close(struct fibctl *c, unsigned fam)
{
	struct fib_rules *rs;

	if (c->f.rules[fam] && c->f.rules[fam]->n == 1 && c->f.rules[fam]->rule[0].unmodelled)
		return;
	rs = fc_pub_alloc(c, sizeof(*rs) + sizeof(rs->rule[0]));
	if (!rs) {
		fc_limit(c, "memory for rules");
		return;
	}
	rs->n = 1;
	rs->rule[0].unmodelled = 1;
	put_in_place(c, fam, rs);
}

void fc_rules_begin(struct fibctl *c, unsigned fam)
{
	c->n_rule[fam] = 0;
}

void fc_rule_add(struct fibctl *c, const struct fib_msg_rule *r)
{
	unsigned fam = fib_fam(r->family);

	if (c->n_rule[fam] < FC_MAX_RULES)
		c->rule[fam][c->n_rule[fam]++] = *r;
	else
		fc_limit(c, "policy rules");
}

static bool is_unconditional(const struct fib_rule *r)
{
	return r->action == FIB_RA_LOOKUP && !r->unmodelled && !r->never && !r->invert &&
	       !r->src_len && !r->dst_len && !r->iif && !r->mark_mask && !r->proto &&
	       !(r->sport[0] | r->sport[1] | r->dport[0] | r->dport[1]) && !r->suppress_default;
}

static void set_action(struct fibctl *c, const struct fib_msg_rule *in, struct fib_rule *r)
{
	switch (in->action) {
	case FR_ACT_TO_TBL:
		if (in->l3mdev) {
			r->action = FIB_RA_L3MDEV;
			r->table = c->tables[fib_fam(in->family)];
			return;
		}
		r->table = fc_table_get(c, in->family, in->table);
		if (!r->table)
			r->unmodelled = 1;
		return;
	case FR_ACT_GOTO:
		r->action = FIB_RA_GOTO;
		return;
	case FR_ACT_NOP:
		r->action = FIB_RA_NOP;
		return;
	case FR_ACT_BLACKHOLE:
	case FR_ACT_UNREACHABLE:
	case FR_ACT_PROHIBIT:
		r->action = FIB_RA_VERDICT;
		r->verdict = in->action == FR_ACT_BLACKHOLE     ? FIB_V_BLACKHOLE
			     : in->action == FR_ACT_UNREACHABLE ? FIB_V_UNREACHABLE
								: FIB_V_PROHIBIT;
		return;
	}
	r->unmodelled = 1;
}

static void compile(struct fibctl *c, const struct fib_msg_rule *in, struct fib_rule *r)
{
	const struct fc_link *l = in->iif[0] ? fc_link_by_name(c, in->iif) : NULL;

	*r = (struct fib_rule){
		.pref = in->pref,
		.src = in->src,
		.dst = in->dst,
		.src_len = in->src_len,
		.dst_len = in->dst_len,
		.invert = in->invert,
		/* Packets of one flow may differ in it. */
		.unmodelled = in->unmodelled || in->tos,
		.suppress_default = in->suppress_default,
		.proto = in->proto,
		/* No forwarded packet has an egress yet when it is routed. */
		.never = in->has_oif || (in->iif[0] && !l),
		.iif = l ? l->ifindex : 0,
		.mark = in->mark,
		.mark_mask = in->mark_mask,
		.sport = { in->sport[0], in->sport[1] },
		.dport = { in->dport[0], in->dport[1] },
	};
	set_action(c, in, r);
}

/* The first rule of that preference; one that is not there is passed over, as in the kernel. */
static void aim_goto(const struct fibctl *c, unsigned fam, struct fib_rules *rs, uint32_t i)
{
	uint32_t pref = c->rule[fam][i].goto_pref;

	for (uint32_t j = i + 1; j < rs->n; j++)
		if (rs->rule[j].pref == pref) {
			rs->rule[i].target = j;
			return;
		}
	rs->rule[i].action = FIB_RA_NOP;
}

void fc_rules_publish(struct fibctl *c, unsigned fam)
{
	uint32_t n = c->n_rule[fam];
	struct fib_rules *rs = fc_pub_alloc(c, sizeof(*rs) + n * sizeof(rs->rule[0]));

	if (!rs) {
		fc_limit(c, "memory for rules");
		return;
	}
	rs->n = n;
	rs->plain = 1;
	for (uint32_t i = 0; i < n; i++) {
		compile(c, &c->rule[fam][i], &rs->rule[i]);
		rs->plain &= is_unconditional(&rs->rule[i]);
	}
	for (uint32_t i = 0; i < n; i++)
		if (rs->rule[i].action == FIB_RA_GOTO)
			aim_goto(c, fam, rs, i);
	c->st.n_rules[fam] = n;
	put_in_place(c, fam, rs);
}

void fc_rules_renamed(struct fibctl *c)
{
	for (unsigned fam = 0; fam < FIB_FAMILIES; fam++) {
		bool by_name = false;

		for (uint32_t i = 0; i < c->n_rule[fam]; i++)
			by_name |= c->rule[fam][i].iif[0] || c->rule[fam][i].l3mdev;
		/* Closed or being read: they are compiled when that is done. */
		if (by_name && fibctl_ready(c) && !c->rules_dirty[fam])
			fc_rules_publish(c, fam);
	}
}
