/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Live connections after a change: the ones whose translation is no longer what the lines say for
 * the way that they take now end, so that their next packet makes a new one; all others are left
 * alone. That is so after a commit that changed NAT, and when a link, an address or a route of ours
 * changed: a connection must not leave by one provider with the address of another.
 * (Connections with the address of their interface are ended by the kernel itself, at their first
 * packet on another way; these here are those of pools and static lines, and idle ones.)
 *
 * New rules and routes are in the kernel before the walk begins, so what begins meanwhile is right.
 * The way in is what the connection's labels say, the way out is asked from the routing table. A
 * translation that neither the old lines nor the new ones can have made is somebody else's and
 * stays.
 */
#include "cli/command.h"
#include "conntrack/ct.h"
#include "hash.h"
#include "kernel/query.h"
#include "kernel/rtmsg.h"
#include "kernel/shadow.h"
#include "nat/nat.h"
#include "system/log.h"
#include "txn/txn.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <stdlib.h>
#include <string.h>

/* A burst of changes is one walk. */
#define QUIET_MS 50
/* After a walk that failed. */
#define RETRY_SEC 1
/* Ways remembered during a walk: flows go to few places. */
#define WAYS 4096

struct way {
	struct rtr_addr dst, src;
	int iif, oif; /* oif 0: none; -1: the box itself */
};

static struct {
	struct event *timer;
	struct ct_change *walk;
	bool again;
	const struct policy *pol; /* of the last walk, reference: what may have made translations */
	const struct policy *next;
	struct way *ways;
} fl;

/* ---- ways ---- */

static void take_route(void *arg, const struct nlmsghdr *h)
{
	const struct rtmsg *r = NLMSG_DATA(h);
	struct nlattr *oif = nlmsg_find_attr((struct nlmsghdr *)(uintptr_t)h, sizeof(*r), RTA_OIF);
	int *ret = arg;

	if (h->nlmsg_type != RTM_NEWROUTE)
		return;
	if (r->rtm_type == RTN_LOCAL)
		*ret = -1;
	else if (r->rtm_type == RTN_UNICAST && oif)
		*ret = (int)nla_get_u32(oif);
}

static int ask_route(const struct way *w)
{
	uint8_t bits = (uint8_t)rtr_family_bits(w->dst.family);
	struct rtmsg hdr = { .rtm_family = w->dst.family,
			     .rtm_dst_len = bits,
			     .rtm_src_len = w->iif ? bits : 0 };
	struct nl_msg *m = rtmsg_new(RTM_GETROUTE, 0, &hdr, sizeof(hdr), 128);
	struct strbuf err = STRBUF_INIT;
	int oif = 0;

	rtmsg_addr(m, RTA_DST, &w->dst);
	if (w->iif) {
		rtmsg_addr(m, RTA_SRC, &w->src);
		rtmsg_u32(m, RTA_IIF, (uint32_t)w->iif);
	}
	kquery_one(m, take_route, &oif, &err);
	strbuf_fini(&err);
	return oif;
}

/* Egress of what comes by iif from src; iif 0: of what the box sends. */
static int way_out(const struct rtr_addr *dst, const struct rtr_addr *src, int iif)
{
	struct way want = { .dst = *dst, .iif = iif }, *w;

	if (iif)
		want.src = *src;
	w = &fl.ways[hash_bytes(&want, sizeof(want), 0) % WAYS];
	if (!w->dst.family || rtr_addr_cmp(&w->dst, &want.dst) || w->iif != iif ||
	    memcmp(&w->src, &want.src, sizeof(w->src))) {
		want.oif = ask_route(&want);
		*w = want;
	}
	return w->oif;
}

/* Interface that the connection's first packet came by, as its labels say; else, or when that is
 * gone, the one that answers leave by, which need not be the same. -1: the box itself; 0: none. */
static int way_in(const struct ct_entry *e)
{
	int in = (int)ct_iif(e);

	return in && shadow_link_by_index(in) ? in : way_out(&e->orig.src, NULL, 0);
}

/* Of the interface whose lines hold: a virtual MAC has none of its own. */
static const char *name_of(int ifindex)
{
	const struct shadow_link *l = ifindex > 0 ? shadow_link_by_index(ifindex) : NULL;

	return l ? pol_alias_iface(fl.next ? fl.next->aliases : NULL, l->name) : "";
}

/* ---- one connection ---- */

static struct pol_packet first_packet(const struct ct_tuple *t)
{
	return (struct pol_packet){ .family = t->src.family,
				    .src = t->src,
				    .dst = t->dst,
				    .proto = t->proto,
				    .sport = t->sport,
				    .dport = t->dport,
				    .icmp_type = t->icmp_type,
				    .icmp_code = t->icmp_code,
				    .ttl = 64 };
}

/* Could a line of p have made this address? */
static bool makes(const struct nat_policy *p, const struct rtr_addr *a)
{
	unsigned f = nat_fam(a->family);

	if (!p)
		return false;
	if (nat_pool_of(p, a))
		return true;
	for (size_t i = 0; i < p->n_ifaces; i++) {
		for (size_t k = 0; k < p->ifaces[i].n_addrs[f]; k++) {
			if (!rtr_addr_cmp(&p->ifaces[i].addrs[f][k], a))
				return true;
		}
	}
	for (size_t i = 0; i < p->f[f].n_statics; i++) {
		const struct nat_static *s = &p->f[f].statics[i];
		struct rtr_prefix local = { .addr = s->local, .len = s->len };
		struct rtr_prefix global = { .addr = s->global, .len = s->len };

		if (rtr_prefix_contains(&local, a) || rtr_prefix_contains(&global, a))
			return true;
	}
	return false;
}

/* Is the address one of the interface that the packet leaves by? The kernel takes the one that is
 * in the next hop's network. */
static bool of_egress(const struct nat_policy *p, const struct pol_xlate *x, const char *oif,
		      const struct rtr_addr *a, uint16_t port)
{
	const struct nat_iface *i = nat_iface_find(p, oif);
	unsigned f = nat_fam(a->family);
	bool is_lo = false, is_a = false;

	if (!i || x->prefix || rtr_addr_cmp(&x->lo, &x->hi))
		return false;
	for (size_t k = 0; k < i->n_addrs[f]; k++) {
		is_lo |= !rtr_addr_cmp(&i->addrs[f][k], &x->lo);
		is_a |= !rtr_addr_cmp(&i->addrs[f][k], a);
	}
	return is_lo && is_a && (!x->port_lo || nat_port_in(p, NAT_PORTS_KERNEL, port));
}

static bool dnat_is_right(const struct pol_xlate *x, const struct ct_entry *e)
{
	bool ports = e->orig.proto == IPPROTO_TCP || e->orig.proto == IPPROTO_UDP;
	bool is = rtr_addr_cmp(&e->orig.dst, &e->reply.src) ||
		  (ports && e->orig.dport != e->reply.sport);

	if (!x->on)
		return !is || (!makes(fl.next ? fl.next->nat : NULL, &e->orig.dst) &&
			       !makes(fl.pol ? fl.pol->nat : NULL, &e->orig.dst));
	if (x->prefix) {
		struct rtr_addr a = e->orig.dst;

		nat_xlate_addr(x, &a);
		return !rtr_addr_cmp(&a, &e->reply.src);
	}
	return rtr_addr_cmp(&e->reply.src, &x->lo) >= 0 &&
	       rtr_addr_cmp(&e->reply.src, &x->hi) <= 0 &&
	       (!x->port_lo || e->reply.sport == x->port_lo);
}

static bool snat_is_right(const struct pol_xlate *made, const struct ct_entry *e, const char *oif)
{
	const struct nat_policy *p = fl.next ? fl.next->nat : NULL;
	bool is = rtr_addr_cmp(&e->orig.src, &e->reply.dst);
	struct pol_xlate any = *made, *x = &any;

	/* It began on the fast plane, which chose the port, and was handed over. */
	if (any.port_lo != any.port_hi && nat_port_in(p, NAT_PORTS_FAST, e->reply.dport) &&
	    (!any.fast.hi || (e->reply.dport >= any.fast.lo && e->reply.dport <= any.fast.hi)))
		any.port_lo = any.port_hi = 0;

	if (!x->on)
		return !is || (!makes(p, &e->reply.dst) &&
			       !makes(fl.pol ? fl.pol->nat : NULL, &e->reply.dst));
	if (x->prefix) {
		struct rtr_addr a = e->orig.src;

		nat_xlate_addr(x, &a);
		return !rtr_addr_cmp(&a, &e->reply.dst);
	}
	return nat_xlate_covers(p, x, &e->reply.dst, e->reply.dport) ||
	       of_egress(p, x, oif, &e->reply.dst, e->reply.dport);
}

static enum ct_verdict judge(void *arg, const struct ct_entry *e)
{
	const struct nat_policy *p = fl.next ? fl.next->nat : NULL;
	struct pol_packet orig = first_packet(&e->orig), pkt = orig;
	struct pol_xlate dnat, snat;
	int in, out;

	/* Expected by a helper: translated as its master needs it. A mirror ends with its flow,
	 * which the fast plane judges. */
	if (ct_is_mirror(e) || e->status & (IPS_EXPECTED | IPS_UNTRACKED))
		return CT_KEEP;
	in = way_in(e);
	if (!in)
		return CT_KEEP;
	dnat = nat_dnat(p, &orig, name_of(in));
	if (!dnat_is_right(&dnat, e))
		return CT_END;
	pkt.dst = e->reply.src;
	pkt.dport = e->reply.sport;
	if (in < 0)
		return CT_KEEP; /* of the box: its source is its own affair */
	out = way_out(&pkt.dst, &pkt.src, in);
	if (out <= 0)
		return CT_KEEP;
	snat = nat_snat(p, &pkt, dnat.on ? &orig : NULL, name_of(in), name_of(out));
	return snat_is_right(&snat, e, name_of(out)) ? CT_KEEP : CT_END;
}

/* ---- the walk ---- */

static void start(void);

static void walked(void *arg, const struct ct_change_result *r)
{
	fl.walk = NULL;
	if (r->ended)
		log_event("NAT", LOG_L_INFO, "ENDED",
			  "%llu connections ended: their translation is not valid any more",
			  (unsigned long long)r->ended);
	free(fl.ways);
	fl.ways = NULL;
	if (r->error) {
		/* The table could not be read (too many readers): what is wrong is still there. */
		fl.next = policy_unref(fl.next);
		event_add(fl.timer, &(struct timeval){ .tv_sec = RETRY_SEC });
		return;
	}
	policy_unref(fl.pol);
	fl.pol = fl.next;
	fl.next = NULL;
	if (fl.again)
		start();
}

/* Only translated ones can be wrong, unless there are lines that were not there before. */
static void start(void)
{
	const struct policy *now = nat_policy_holder(txn_running());
	struct ct_filter f = { .nat = fl.pol && now && fl.pol->nat == now->nat };
	int error;

	if (fl.walk) {
		fl.again = true;
		return;
	}
	fl.again = false;
	if (!now || (!now->nat && !(fl.pol && fl.pol->nat)))
		return;
	fl.next = policy_ref(now);
	fl.ways = xcalloc(WAYS, sizeof(*fl.ways));
	fl.walk = ct_rejudge(&f, judge, walked, NULL, &error);
	if (!fl.walk)
		walked(NULL, &(struct ct_change_result){ .error = error });
}

static void soon(void)
{
	struct timeval tv = { .tv_usec = QUIET_MS * 1000 };

	event_add(fl.timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	/* A commit under way will have changed more when it is done. */
	if (txn_busy())
		soon();
	else
		start();
}

static void published(const struct rec *old, const struct rec *new, const char *user,
		      const char *source)
{
	/* A NAT policy that is the same is shared. */
	if ((fl.pol ? fl.pol->nat : NULL) != nat_policy_for(new))
		soon();
}

void nat_flows_observed(unsigned change)
{
	/* Nothing was walked yet: a restart may have found connections of any age. */
	if ((!fl.pol || fl.pol->nat) && change & (SHADOW_LINK | SHADOW_ADDR | SHADOW_ROUTE))
		soon();
}

bool nat_flows_busy(void)
{
	return fl.walk || (fl.timer && event_pending(fl.timer, EV_TIMEOUT, NULL));
}

int nat_flows_init(void)
{
	fl.timer = evtimer_new(cmd_base(), on_timer, NULL);
	txn_on_publish(published);
	return fl.timer ? 0 : -1;
}

void nat_flows_fini(void)
{
	ct_change_cancel(fl.walk);
	policy_unref(fl.pol);
	policy_unref(fl.next);
	free(fl.ways);
	if (fl.timer)
		event_free(fl.timer);
	memset(&fl, 0, sizeof(fl));
}
