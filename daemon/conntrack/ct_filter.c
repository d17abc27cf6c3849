/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an entry is, and whether a filter picks it: pure code. */
#include "conntrack/ct.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <string.h>

static struct ct_policy_names names;

void ct_set_policy_names(const struct ct_policy_names *n)
{
	names = n ? *n : (struct ct_policy_names){ 0 };
}

const struct ct_policy_names *ct_policy_names(void)
{
	return &names;
}

static const char *const state_names[CT_S__MAX] = {
	[CT_S_ANY] = "",
	[CT_S_NONE] = "none",
	[CT_S_SYN_SENT] = "syn-sent",
	[CT_S_SYN_RECV] = "syn-recv",
	[CT_S_ESTABLISHED] = "established",
	[CT_S_FIN_WAIT] = "fin-wait",
	[CT_S_CLOSE_WAIT] = "close-wait",
	[CT_S_LAST_ACK] = "last-ack",
	[CT_S_TIME_WAIT] = "time-wait",
	[CT_S_CLOSE] = "close",
	[CT_S_SYN_SENT2] = "syn-sent2",
	[CT_S_UNREPLIED] = "unreplied",
	[CT_S_REPLIED] = "replied",
	[CT_S_ASSURED] = "assured",
};

const char *ct_state_name(enum ct_state s)
{
	return s < CT_S__MAX ? state_names[s] : "";
}

enum ct_state ct_state_find(const char *name)
{
	for (unsigned i = CT_S_NONE; i < CT_S__MAX; i++) {
		if (!strcmp(state_names[i], name))
			return (enum ct_state)i;
	}
	return CT_S_ANY;
}

bool ct_is_snat(const struct ct_entry *e)
{
	return e->status & IPS_SRC_NAT;
}

bool ct_is_dnat(const struct ct_entry *e)
{
	return e->status & IPS_DST_NAT;
}

static bool addresses(const struct ct_filter *f, const struct ct_entry *e)
{
	if (f->has_src && !rtr_prefix_contains(&f->src, &e->orig.src) &&
	    (f->as_sent || !rtr_prefix_contains(&f->src, &e->reply.dst)))
		return false;
	if (f->has_dst && !rtr_prefix_contains(&f->dst, &e->orig.dst) &&
	    (f->as_sent || !rtr_prefix_contains(&f->dst, &e->reply.src)))
		return false;
	if (f->has_sport && f->sport != e->orig.sport && (f->as_sent || f->sport != e->reply.dport))
		return false;
	return !f->has_dport || f->dport == e->orig.dport ||
	       (!f->as_sent && f->dport == e->reply.sport);
}

static bool by_iface(const char *name, unsigned ifindex)
{
	const char *is = ifindex && names.iface ? names.iface(ifindex) : NULL;

	return is && !strcmp(is, name);
}

static bool labels(const struct ct_filter *f, const struct ct_entry *e)
{
	return (!f->has_in_zone || (names.zone_of && names.zone_of(e) == f->in_zone)) &&
	       (!*f->ifname || by_iface(f->ifname, ct_iif(e)) || by_iface(f->ifname, ct_oif(e)));
}

bool ct_filter_match(const struct ct_filter *f, const struct ct_entry *e)
{
	if ((f->family && f->family != e->orig.src.family) ||
	    (f->has_proto && f->proto != e->orig.proto) || (f->state && f->state != e->state) ||
	    (f->nat && !ct_is_snat(e) && !ct_is_dnat(e)) ||
	    (e->mark & f->mark_mask) != (f->mark & f->mark_mask) ||
	    (e->status & f->status_mask) != (f->status & f->status_mask) ||
	    (f->has_ct_zone && f->ct_zone != e->orig.zone))
		return false;
	return addresses(f, e) && labels(f, e) && (!f->match || f->match(f->arg, e));
}

bool ct_filter_empty(const struct ct_filter *f)
{
	return !f->family && !f->has_proto && !f->has_src && !f->has_dst && !f->has_sport &&
	       !f->has_dport && !f->state && !f->nat && !f->mark_mask && !f->status_mask &&
	       !f->has_ct_zone && !f->has_in_zone && !*f->ifname && !f->match;
}
