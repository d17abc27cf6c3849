/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What XDP would bypass: IPsec policies, chains of nftables that are not ours, legacy iptables,
 * filters and disciplines of tc, BPF programs at tcx. The kernel tells of the first, second and
 * fourth by events. What may be a new hook on our way closes everything at once, until it has been
 * read and judged, within the same turn. What cannot be one - something that goes, tc on interfaces
 * that are none of ours - and events that were lost (ENOBUFS) close nothing before what is read
 * differs from what was known. Of iptables and tcx the kernel does not tell: they are looked at
 * every second.
 *
 * What is read is short (chains, not rules; policies; disciplines), so this thread waits for it.
 */
#include "fib_ctl_priv.h"
#include "xt_watch.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/bpf.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/pkt_sched.h>
#include <linux/xfrm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_XFRM   256u /* beyond, all is the kernel's */
#define ANSWER_MS  1000
#define DUMP_TRIES 5u
#define ELIG_BYTES 65536u
/* Of packet-tracer's chain: before reassembly and everything of ours (tracer_send.c). */
#define NFT_PRIO_TRACE (-450)

/* Since 6.6; older kernels refuse the query, and have none. */
#define TCX_INGRESS 46
#define TCX_EGRESS  47

enum watch { W_XFRM, W_NFT, W_TC, W__MAX };

struct fc_elig {
	int fd[W__MAX];   /* events; -1: the kernel has no such thing */
	uint8_t all;      /* enum elig: of every interface */
	uint8_t iptables; /* likewise, as it was last seen */
	struct xt_watch xt;
	char own[40];   /* our table, "rtr_INSTANCE" */
	char trace[48]; /* packet-tracer's while it transmits (daemon/tracer/tracer_send.c) */
	struct fib_xfrm *collect;
	uint8_t *buf;
};

/* What an event asks for. */
enum news { NEWS_NONE, NEWS_LOOK, NEWS_CLOSE };

typedef void elig_fn(struct fibctl *c, struct fc_elig *e, const struct nlmsghdr *h);

static int open_events(int proto, uint32_t group)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, proto);

	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Sends a request and hands every message of the answer to fn. 0, or -errno of the refusal. */
static int read_answer(struct fibctl *c, int fd, uint32_t seq, elig_fn *fn)
{
	struct fc_elig *e = c->elig;
	bool interrupted = false;

	for (;;) {
		ssize_t n = recv(fd, e->buf, ELIG_BYTES, 0);
		const struct nlmsghdr *h = (void *)e->buf;
		size_t len = (size_t)MAX(n, (ssize_t)0);

		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		for (; fib_msg_ok(h, len); h = fib_msg_next(h, &len)) {
			int32_t err = 0;

			if (h->nlmsg_seq != seq)
				continue;
			interrupted |= !!(h->nlmsg_flags & NLM_F_DUMP_INTR);
			if (h->nlmsg_type != NLMSG_DONE && h->nlmsg_type != NLMSG_ERROR) {
				fn(c, e, h);
				continue;
			}
			if (mnl_nlmsg_get_payload_len(h) >= sizeof(err))
				memcpy(&err, mnl_nlmsg_get_payload(h), sizeof(err));
			return err ? err : interrupted ? -EAGAIN : 0;
		}
	}
}

static int dump(struct fibctl *c, int proto, uint16_t type, const void *head, size_t size,
		elig_fn *fn)
{
	struct timeval limit = { .tv_sec = ANSWER_MS / 1000 };
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK };
	uint8_t buf[128] = { 0 };
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, proto), rc;

	if (fd < 0)
		return -errno;
	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = 1;
	memcpy(mnl_nlmsg_put_extra_header(h, size), head, size);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || send(fd, h, h->nlmsg_len, 0) < 0)
		rc = -errno;
	else
		rc = read_answer(c, fd, 1, fn);
	close(fd);
	return rc;
}

static const struct nlattr *find(const struct nlmsghdr *h, size_t head, unsigned type)
{
	const struct nlattr *a;
	size_t left;

	for (a = fib_attr_first(h, head, &left); a; a = fib_attr_next(a, &left))
		if (mnl_attr_get_type(a) == type)
			return a;
	return NULL;
}

static const struct nlattr *find_nested(const struct nlattr *nest, unsigned type)
{
	const struct nlattr *a;
	size_t left;

	for (a = fib_attr_inner(nest, &left); a; a = fib_attr_next(a, &left))
		if (mnl_attr_get_type(a) == type)
			return a;
	return NULL;
}

/* "" when it is not there or no string. */
static const char *text_of(const struct nlattr *a)
{
	return a && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0 ? mnl_attr_get_str(a) : "";
}

static uint32_t be32_of(const struct nlattr *a, uint32_t dflt)
{
	uint32_t v;

	if (!a || mnl_attr_get_payload_len(a) != sizeof(v))
		return dflt;
	memcpy(&v, mnl_attr_get_payload(a), sizeof(v));
	return __builtin_bswap32(v);
}

/* --- IPsec --- */

/* A policy for packets in passing. */
static bool xfrm_info(const struct nlmsghdr *h, struct xfrm_userpolicy_info *ret)
{
	const struct nlattr *if_id = find(h, sizeof(*ret), XFRMA_IF_ID);

	if ((h->nlmsg_type != XFRM_MSG_NEWPOLICY && h->nlmsg_type != XFRM_MSG_UPDPOLICY) ||
	    mnl_nlmsg_get_payload_len(h) < sizeof(*ret))
		return false;
	memcpy(ret, mnl_nlmsg_get_payload(h), sizeof(*ret));
	/* Packets for the box do not pass by; those of an xfrm interface go by that interface. */
	return (ret->dir == XFRM_POLICY_OUT || ret->dir == XFRM_POLICY_FWD) &&
	       !(if_id && mnl_attr_get_payload_len(if_id) == 4 && mnl_attr_get_u32(if_id));
}

static void xfrm_policy(struct fibctl *c, struct fc_elig *e, const struct nlmsghdr *h)
{
	struct xfrm_userpolicy_info p; /* of 8 byte numbers, in a message of 4 byte steps */
	struct fib_xfrm_sel *s;

	if (!xfrm_info(h, &p))
		return;
	if (e->collect->n == MAX_XFRM) {
		e->collect->all = 1;
		return;
	}
	s = &e->collect->sel[e->collect->n++];
	memset(s, 0, sizeof(*s));
	s->family = (uint8_t)p.sel.family;
	s->src_len = MIN(p.sel.prefixlen_s, p.sel.family == AF_INET ? 32u : 128u);
	s->dst_len = MIN(p.sel.prefixlen_d, p.sel.family == AF_INET ? 32u : 128u);
	memcpy(s->src.b, &p.sel.saddr, p.sel.family == AF_INET ? 4 : 16);
	memcpy(s->dst.b, &p.sel.daddr, p.sel.family == AF_INET ? 4 : 16);
	s->proto = p.sel.proto;
	s->sport = __builtin_bswap16(p.sel.sport);
	s->sport_mask = __builtin_bswap16(p.sel.sport_mask);
	s->dport = __builtin_bswap16(p.sel.dport);
	s->dport_mask = __builtin_bswap16(p.sel.dport_mask);
}

static bool same_xfrm(const struct fib_xfrm *a, const struct fib_xfrm *b)
{
	if (!a || !b)
		return a == b;
	return a->n == b->n && a->all == b->all &&
	       !memcmp(a->sel, b->sel, a->n * sizeof(a->sel[0]));
}

/* Those that there are; what is published when these are the same, or nobody can tell. */
static const struct fib_xfrm *read_xfrm(struct fibctl *c)
{
	const struct xfrm_userpolicy_id head = { 0 };
	const struct fib_xfrm *old = c->f.xfrm;
	struct fib_xfrm *x = NULL;
	int rc = -EAGAIN;

	if (c->elig->fd[W_XFRM] < 0)
		return old;
	for (unsigned i = 0; i < DUMP_TRIES && rc == -EAGAIN; i++) {
		fc_pub_free(c, x);
		x = fc_pub_alloc(c, sizeof(*x) + MAX_XFRM * sizeof(x->sel[0]));
		if (!x)
			break;
		c->elig->collect = x;
		rc = dump(c, NETLINK_XFRM, XFRM_MSG_GETPOLICY, &head, sizeof(head), xfrm_policy);
	}
	if (!x) {
		fc_limit(c, "memory for IPsec policies");
		return old;
	}
	if (rc)
		x->all = 1;
	if (!x->n && !x->all) {
		fc_pub_free(c, x);
		x = NULL;
	}
	if (!same_xfrm(x, old))
		return x;
	fc_pub_free(c, x);
	return old;
}

static void publish_xfrm(struct fibctl *c, const struct fib_xfrm *x)
{
	const struct fib_xfrm *old = c->f.xfrm;

	if (x == old)
		return;
	__atomic_store_n(&c->f.xfrm, x, __ATOMIC_RELEASE);
	fc_touch_all(c);
	fc_pub_free(c, (void *)old);
}

/* --- nftables --- */

static bool is_own_chain(const struct fc_elig *e, const char *table, const char *chain)
{
	size_t n = strlen(e->own);

	return n && (!strcmp(table, e->own) || (!strncmp(chain, e->own, n) && chain[n] == '/'));
}

/* packet-tracer's table switches nftrace on for one marked packet, by one rule, as the first of
 * all, and judges nothing. Only what looks exactly like it is taken for it. */
static bool is_trace_chain(const struct fc_elig *e, const struct nlmsghdr *h,
			   const struct nlattr *hook)
{
	const size_t head = sizeof(struct nfgenmsg);
	const struct nfgenmsg *g = mnl_nlmsg_get_payload(h);

	return *e->trace && g->nfgen_family == NFPROTO_INET &&
	       !strcmp(text_of(find(h, head, NFTA_CHAIN_TABLE)), e->trace) &&
	       !strcmp(text_of(find(h, head, NFTA_CHAIN_NAME)), "in") &&
	       be32_of(find_nested(hook, NFTA_HOOK_HOOKNUM), NF_INET_FORWARD) ==
		       NF_INET_PRE_ROUTING &&
	       be32_of(find_nested(hook, NFTA_HOOK_PRIORITY), 0) == (uint32_t)NFT_PRIO_TRACE &&
	       be32_of(find(h, head, NFTA_CHAIN_USE), 2) <= 1 &&
	       be32_of(find(h, head, NFTA_CHAIN_POLICY), NF_DROP) == NF_ACCEPT;
}

static void blame_link(struct fibctl *c, const char *name, uint8_t reason)
{
	struct fc_link *l = fc_link_by_name(c, name);

	if (l)
		l->foreign_new = reason;
}

static void blame_devs(struct fibctl *c, const struct nlattr *hook)
{
	const struct nlattr *devs = find_nested(hook, NFTA_HOOK_DEVS), *a;
	size_t left;

	blame_link(c, text_of(find_nested(hook, NFTA_HOOK_DEV)), ELIG_NFT);
	for (a = devs ? fib_attr_inner(devs, &left) : NULL; a; a = fib_attr_next(a, &left))
		blame_link(c, text_of(a), ELIG_NFT);
}

static void nft_chain(struct fibctl *c, struct fc_elig *e, const struct nlmsghdr *h)
{
	const struct nfgenmsg *g = mnl_nlmsg_get_payload(h);
	const size_t head = sizeof(*g);
	const struct nlattr *hook = find(h, head, NFTA_CHAIN_HOOK);
	uint32_t num;

	if (!hook ||
	    is_own_chain(e, text_of(find(h, head, NFTA_CHAIN_TABLE)),
			 text_of(find(h, head, NFTA_CHAIN_NAME))) ||
	    is_trace_chain(e, h, hook))
		return;
	/* Empty, and lets everything pass. */
	if (!be32_of(find(h, head, NFTA_CHAIN_USE), 1) &&
	    be32_of(find(h, head, NFTA_CHAIN_POLICY), NF_ACCEPT) == NF_ACCEPT)
		return;
	num = be32_of(find_nested(hook, NFTA_HOOK_HOOKNUM), NF_INET_FORWARD);
	switch (g->nfgen_family) {
	case NFPROTO_NETDEV:
		blame_devs(c, hook);
		break;
	case NFPROTO_INET:
		if (num == NF_INET_INGRESS)
			blame_devs(c, hook);
		/* fall through */
	case NFPROTO_IPV4:
	case NFPROTO_IPV6:
		if (num == NF_INET_PRE_ROUTING || num == NF_INET_FORWARD ||
		    num == NF_INET_POST_ROUTING)
			e->all = ELIG_NFT;
		break;
	}
}

/* --- tc --- */

static void blame_index(struct fibctl *c, int ifindex)
{
	struct fc_link *l = fc_link_find(c, (uint32_t)ifindex);

	if (l)
		l->foreign_new = ELIG_TC;
}

/* Those that the kernel puts there by itself, and that neither drop nor reorder by intent. */
static bool is_default_qdisc(const char *kind)
{
	static const char *const kinds[] = { "noqueue", "noop",     "pfifo_fast", "pfifo", "mq",
					     "fq",      "fq_codel", "ingress",    "clsact" };

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		if (!strcmp(kind, kinds[i]))
			return true;
	return false;
}

static void tc_filter(struct fibctl *c, struct fc_elig *e, const struct nlmsghdr *h)
{
	const struct tcmsg *t = mnl_nlmsg_get_payload(h);

	if (mnl_nlmsg_get_payload_len(h) >= sizeof(*t))
		blame_index(c, t->tcm_ifindex);
}

static void tc_qdisc(struct fibctl *c, struct fc_elig *e, const struct nlmsghdr *h)
{
	const struct tcmsg *t = mnl_nlmsg_get_payload(h);
	const char *kind = text_of(find(h, sizeof(*t), TCA_KIND));
	struct fc_link *l;

	if (mnl_nlmsg_get_payload_len(h) < sizeof(*t))
		return;
	l = fc_link_find(c, (uint32_t)t->tcm_ifindex);
	if (l && (!strcmp(kind, "clsact") || !strcmp(kind, "ingress")))
		l->has_clsact = 1;
	if (t->tcm_parent == TC_H_ROOT && !is_default_qdisc(kind))
		blame_index(c, t->tcm_ifindex);
}

static int read_tc(struct fibctl *c)
{
	static const uint32_t sides[] = { TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS),
					  TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS) };
	struct tcmsg head = { .tcm_family = AF_UNSPEC };
	int rc = dump(c, NETLINK_ROUTE, RTM_GETQDISC, &head, sizeof(head), tc_qdisc);

	for (unsigned i = 0; i < FIB_LINK_BUCKETS; i++)
		for (struct fc_link *l = c->link[i]; l && !rc; l = l->next) {
			for (unsigned s = 0; s < ARRAY_LEN(sides) && l->has_clsact && !rc; s++) {
				head.tcm_ifindex = (int)l->ifindex;
				head.tcm_parent = sides[s];
				rc = dump(c, NETLINK_ROUTE, RTM_GETTFILTER, &head, sizeof(head),
					  tc_filter);
				/* An ingress qdisc has no egress side. */
				rc = rc == -EINVAL || rc == -ENOENT ? 0 : rc;
			}
		}
	return rc;
}

/* --- what no event tells --- */

static bool has_tcx(uint32_t ifindex)
{
	union bpf_attr attr;

	for (uint32_t side = TCX_INGRESS; side <= TCX_EGRESS; side++) {
		memset(&attr, 0, sizeof(attr));
		attr.query.target_fd = ifindex; /* target_ifindex shares its place */
		attr.query.attach_type = side;
		if (!syscall(__NR_bpf, BPF_PROG_QUERY, &attr, sizeof(attr)) && attr.query.prog_cnt)
			return true;
	}
	return false;
}

/* --- together --- */

/* Leaves in foreign_new what each interface is blamed for. */
static void read_hooks(struct fibctl *c)
{
	struct fc_elig *e = c->elig;
	const struct nfgenmsg any = { .nfgen_family = NFPROTO_UNSPEC };
	int rc = -EAGAIN;

	for (unsigned try = 0; try < DUMP_TRIES && rc == -EAGAIN; try++) {
		e->all = ELIG_OK;
		for (unsigned i = 0; i < FIB_LINK_BUCKETS; i++)
			for (struct fc_link *l = c->link[i]; l; l = l->next)
				l->foreign_new = l->has_clsact = 0;
		rc = e->fd[W_NFT] < 0 ? 0
				      : dump(c, NETLINK_NETFILTER,
					     NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN, &any,
					     sizeof(any), nft_chain);
		if (!rc && e->fd[W_TC] >= 0)
			rc = read_tc(c);
	}
	if (rc) {
		fc_event(c, FIBCTL_EV_REFUSED, "foreign hooks cannot be listed");
		e->all = ELIG_UNWATCHED;
	}
	for (unsigned i = 0; i < FIB_LINK_BUCKETS; i++)
		for (struct fc_link *l = c->link[i]; l; l = l->next) {
			if (!l->foreign_new && l->known && l->slot != FIB_NO_SLOT &&
			    has_tcx(l->ifindex))
				l->foreign_new = ELIG_BPF;
			if (!l->foreign_new)
				l->foreign_new = e->all ? e->all : e->iptables;
		}
}

/* An interface that was not blamed is now. */
static bool gets_worse(const struct fibctl *c)
{
	for (unsigned i = 0; i < FIB_LINK_BUCKETS; i++)
		for (const struct fc_link *l = c->link[i]; l; l = l->next)
			if (l->foreign_new && !l->foreign && !fc_link_is_aside(l))
				return true;
	return false;
}

static void publish_hooks(struct fibctl *c)
{
	for (unsigned i = 0; i < FIB_LINK_BUCKETS; i++)
		for (struct fc_link *l = c->link[i]; l; l = l->next) {
			if (l->foreign == l->foreign_new)
				continue;
			l->foreign = l->foreign_new;
			fc_link_publish(c, l);
		}
}

static enum news xfrm_news(const struct nlmsghdr *h)
{
	struct xfrm_userpolicy_info p;

	return xfrm_info(h, &p) ? NEWS_CLOSE : NEWS_LOOK;
}

/* Our own tables change with every commit. A stranger in a table of packet-tracer's name is found
 * by the next tick. */
static enum news nft_news(const struct fc_elig *e, const struct nlmsghdr *h)
{
	/* In all of these attribute 1 is the table. */
	const char *table = text_of(find(h, sizeof(struct nfgenmsg), NFTA_TABLE_NAME));
	bool own = is_own_chain(e, table, "") || (*e->trace && !strcmp(table, e->trace));

	switch (h->nlmsg_type & 0xff) {
	case NFT_MSG_NEWTABLE:
	case NFT_MSG_NEWCHAIN:
	case NFT_MSG_NEWRULE:
		return own ? NEWS_NONE : NEWS_CLOSE;
	case NFT_MSG_DELTABLE:
	case NFT_MSG_DELCHAIN:
	case NFT_MSG_DELRULE:
		return own ? NEWS_NONE : NEWS_LOOK;
	default:
		return NEWS_NONE;
	}
}

static enum news tc_news(struct fibctl *c, const struct nlmsghdr *h)
{
	const struct tcmsg *t = mnl_nlmsg_get_payload(h);
	const struct fc_link *l;

	if (mnl_nlmsg_get_payload_len(h) < sizeof(*t))
		return NEWS_LOOK;
	/* A block that interfaces share is none's. */
	l = fc_link_find(c, (uint32_t)t->tcm_ifindex);
	if (l && fc_link_is_aside(l))
		return NEWS_LOOK;
	switch (h->nlmsg_type) {
	case RTM_NEWTFILTER:
		return NEWS_CLOSE;
	case RTM_NEWQDISC:
		return is_default_qdisc(text_of(find(h, sizeof(*t), TCA_KIND))) ? NEWS_LOOK
										: NEWS_CLOSE;
	default:
		return NEWS_LOOK;
	}
}

static enum news drain(struct fibctl *c, enum watch w)
{
	struct fc_elig *e = c->elig;
	enum news most = NEWS_NONE;
	ssize_t n;

	while (e->fd[w] >= 0 && ((n = recv(e->fd[w], e->buf, ELIG_BYTES, MSG_DONTWAIT)) > 0 ||
				 (n < 0 && errno == ENOBUFS))) {
		const struct nlmsghdr *h = (void *)e->buf;
		size_t len = (size_t)MAX(n, (ssize_t)0);

		if (n < 0)
			most = MAX(most, NEWS_LOOK);
		for (; most < NEWS_CLOSE && fib_msg_ok(h, len); h = fib_msg_next(h, &len)) {
			enum news news = w == W_XFRM  ? xfrm_news(h)
					 : w == W_NFT ? nft_news(e, h)
						      : tc_news(c, h);

			most = MAX(most, news);
		}
	}
	return most;
}

static void close_all(struct fibctl *c)
{
	if (c->classifying)
		return;
	c->classifying = true;
	fc_reason_publish(c);
	if (c->p.closing)
		c->p.closing(c->p.ctx);
}

void fc_elig_turn(struct fibctl *c)
{
	const struct fib_xfrm *x;
	enum news xfrm, nft, tc;

	if (!c->elig)
		return;
	xfrm = drain(c, W_XFRM);
	nft = drain(c, W_NFT);
	tc = drain(c, W_TC);
	if (MAX(xfrm, MAX(nft, tc)) == NEWS_CLOSE)
		close_all(c);
	if (xfrm) {
		x = read_xfrm(c);
		if (x != c->f.xfrm)
			close_all(c);
		publish_xfrm(c, x);
	}
	if (nft || tc) {
		read_hooks(c);
		if (gets_worse(c))
			close_all(c);
		publish_hooks(c);
	}
	if (!c->classifying)
		return;
	c->classifying = false;
	fc_reason_publish(c);
}

void fc_elig_tick(struct fibctl *c)
{
	struct fc_elig *e = c->elig;
	uint8_t was;

	if (!e)
		return;
	was = e->iptables;
	e->iptables = xt_watch_look(&e->xt);
	if (e->iptables == ELIG_IPTABLES_BLIND && was != ELIG_IPTABLES_BLIND)
		fc_event(c, FIBCTL_EV_REFUSED, "iptables-legacy: its tables cannot be listed");
	read_hooks(c);
	publish_hooks(c);
}

int fc_elig_open(struct fibctl *c, int ep_fd)
{
	struct fc_elig *e = calloc(1, sizeof(*e));

	c->elig = e;
	if (!e)
		return -ENOMEM;
	xt_watch_init(&e->xt, c->p.xt_names ?: -1);
	e->iptables = ELIG_UNWATCHED; /* until the first tick */
	e->buf = malloc(ELIG_BYTES);
	e->fd[W_XFRM] = open_events(NETLINK_XFRM, XFRMNLGRP_POLICY);
	e->fd[W_NFT] = open_events(NETLINK_NETFILTER, NFNLGRP_NFTABLES);
	e->fd[W_TC] = open_events(NETLINK_ROUTE, RTNLGRP_TC);
	if (!e->buf)
		return -ENOMEM;
	if (c->p.instance) {
		snprintf(e->own, sizeof(e->own), "rtr_%s", c->p.instance);
		snprintf(e->trace, sizeof(e->trace), "%s.trace", e->own);
	}
	for (unsigned i = 0; i < W__MAX; i++) {
		struct epoll_event ev = { .events = EPOLLIN, .data = { .fd = e->fd[i] } };

		if (e->fd[i] >= 0 && epoll_ctl(ep_fd, EPOLL_CTL_ADD, e->fd[i], &ev) < 0)
			return -errno;
	}
	publish_xfrm(c, read_xfrm(c));
	return 0;
}

void fc_elig_close(struct fibctl *c)
{
	struct fc_elig *e = c->elig;

	for (unsigned i = 0; e && i < W__MAX; i++)
		if (e->fd[i] >= 0)
			close(e->fd[i]);
	if (e) {
		xt_watch_fini(&e->xt);
		free(e->buf);
	}
	free(e);
	c->elig = NULL;
	fc_pub_free(c, (void *)c->f.xfrm);
	c->f.xfrm = NULL;
}
