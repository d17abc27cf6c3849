/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/fw_commit.h"

#include "conntrack/ct.h"
#include "domain.h"
#include "firewall/compile.h"
#include "firewall/fw.h"
#include "hash.h"
#include "iface/iface.h"
#include "kernel/apply.h"
#include "kernel/query.h"
#include "kernel/rtmsg.h"
#include "kernel/shadow.h"
#include "system/log.h"
#include "txn/txn.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Answers of the kernel kept during one walk: most connections share few networks. */
#define WAYS 1024

struct way {
	struct rtr_addr dst;
	char oif[IFNAMSIZ];
	bool found, local;
};

static struct {
	struct ct_change *walk;
	const struct policy *old, *new;
	const struct policy *hour; /* in force until now; the next one is not in the kernel yet */
	void (*done)(const char *text);
	void (*preview)(void *arg, const char *text); /* NULL: the walk is of a commit */
	void *preview_arg;
	uint64_t would_end;
	bool names;    /* the new policy goes by server names */
	bool resuming; /* the walk is the one after a restart */
	bool resumed;  /* that one is still to be made */
	struct way *ways;
} k;

/* ---- where packets go ---- */

static void take_route(void *arg, const struct nlmsghdr *h)
{
	const struct rtmsg *r = NLMSG_DATA(h);
	struct nlattr *oif = nlmsg_find_attr((struct nlmsghdr *)(uintptr_t)h, sizeof(*r), RTA_OIF);
	const struct shadow_link *l = oif ? shadow_link_by_index((int)nla_get_u32(oif)) : NULL;
	struct way *w = arg;

	if (h->nlmsg_type != RTM_NEWROUTE)
		return;
	w->local = r->rtm_type == RTN_LOCAL;
	w->found = w->local || (r->rtm_type == RTN_UNICAST && l);
	if (l)
		rtr_strlcpy(w->oif, l->name, IFNAMSIZ);
}

static void ask(const struct rtr_addr *dst, struct way *ret)
{
	struct rtmsg hdr = { .rtm_family = dst->family,
			     .rtm_dst_len = (unsigned char)rtr_family_bits(dst->family) };
	struct nl_msg *m = rtmsg_new(RTM_GETROUTE, 0, &hdr, sizeof(hdr), 128);
	struct strbuf err = STRBUF_INIT;

	*ret = (struct way){ .dst = *dst };
	rtmsg_addr(m, RTA_DST, dst);
	kquery_one(m, take_route, ret, &err);
	strbuf_fini(&err);
}

static const struct way *way(const struct rtr_addr *dst)
{
	static struct way one;
	struct way *w = k.ways ? &k.ways[hash_bytes(dst, sizeof(*dst), 0) % WAYS] : &one;

	if (!k.ways || rtr_addr_cmp(&w->dst, dst))
		ask(dst, w);
	return w;
}

static bool route(void *arg, const struct pol_packet *p, const struct rtr_addr *dst,
		  char oif[IFNAMSIZ], bool *local)
{
	const struct way *w = way(dst);

	*local = w->local;
	rtr_strlcpy(oif, w->oif, IFNAMSIZ);
	return w->found;
}

/* A connection that lives has shown its way back. */
static bool urpf(void *arg, const struct pol_iface *i, const struct rtr_addr *src)
{
	return true;
}

static const struct pol_world world = { .route = route, .urpf = urpf };

/* ---- one connection ---- */

/* Its first packet, as far as it can be told. */
static struct pol_packet first_packet(const struct ct_entry *e, struct pol_past *past)
{
	const struct ct_tuple *t = &e->orig;
	const struct shadow_link *l = shadow_link_by_index((int)ct_iif(e));
	struct pol_packet p = {
		.family = t->src.family,
		.src = t->src,
		.dst = t->dst,
		.proto = t->proto,
		.sport = t->sport,
		.dport = t->dport,
		.icmp_type = t->icmp_type,
		.icmp_code = t->icmp_code,
		.state = POL_NEW,
		.past = past,
	};

	*past = (struct pol_past){
		.old = k.old,
		.in = POL_LABEL_ID(e->label[0]),
		.pair = POL_LABEL_ID(e->label[1]),
		.out = POL_LABEL_ID(e->label[2]),
	};
	if (l)
		rtr_strlcpy(p.iif, l->name, IFNAMSIZ);
	else if (!way(&t->src)->local)
		rtr_strlcpy(p.iif, way(&t->src)->oif, IFNAMSIZ);
	return p;
}

static bool permits(const struct policy *p, const struct pol_packet *pkt)
{
	struct pol_verdict v;

	policy_eval(p, pkt, &world, &v);
	return v.action == POL_PERMIT || v.stage == POL_ST_ROUTE;
}

/* True when a line that let it in is no more. */
static bool lost_line(const struct ct_entry *e)
{
	const struct pol_rule *r;

	for (unsigned i = 0; i < 3; i += 2) {
		r = policy_rule(k.new, POL_LABEL_ID(e->label[i]), NULL);
		if (POL_LABEL_ID(e->label[i]) && (!r || !r->active))
			return true;
	}
	return false;
}

/* The names are not kept: true when what they were judged by has changed. */
static bool lost_name(const struct pol_packet *p)
{
	static const enum pol_stage stages[] = { POL_ST_IN, POL_ST_ZONE, POL_ST_OUT };
	struct pol_verdict v;

	if (!k.names)
		return false;
	policy_eval(k.new, p, &world, &v);
	for (size_t i = 0; i < ARRAY_LEN(stages); i++) {
		const struct pol_rule *r = v.step[stages[i]].rule;
		const struct pol_class *c = v.step[stages[i]].cls;

		if (r && r->tls_name &&
		    !pol_tls_same(k.old, k.new, c ? pol_tls_class_chain(c, r) : r->id))
			return true;
	}
	return false;
}

/* What the old policy would not have let in either came by other ways (expected by a helper, begun
 * before there was a policy, routed otherwise now): it stays, unless the very line that admitted
 * it is gone. */
static enum ct_verdict judge(void *arg, const struct ct_entry *e)
{
	struct pol_past past;
	struct pol_packet p = first_packet(e, &past);

	if (ct_is_mirror(e))
		return CT_KEEP;
	if (lost_name(&p))
		return CT_END;
	if (!strcmp(p.iif, "lo") || permits(k.new, &p))
		return CT_KEEP;
	return permits(k.old, &p) || lost_line(e) ? CT_END : CT_KEEP;
}

/* Did it leave, when it began, as it would today? Unknown counts as yes. */
static bool same_way_out(const struct ct_entry *e)
{
	const struct shadow_link *l = shadow_link_by_index((int)ct_oif(e));

	return !ct_oif(e) || (l && !strcmp(way(&e->reply.src)->oif, l->name));
}

/* After a restart there is no old policy to ask. What the one in force does not let in, though a
 * policy has seen it begin, was admitted by another: a commit that rtrd did not live to judge by,
 * or hours that ended meanwhile. */
static enum ct_verdict judge_resumed(void *arg, const struct ct_entry *e)
{
	struct pol_past past;
	struct pol_packet p = first_packet(e, &past);
	bool seen = e->label[0] || e->label[1] || e->label[2] || e->label[3];

	if (e->status & (IPS_EXPECTED | IPS_UNTRACKED) || ct_is_mirror(e) || !seen ||
	    !strcmp(p.iif, "lo") || permits(k.new, &p))
		return CT_KEEP;
	return lost_line(e) || same_way_out(e) ? CT_END : CT_KEEP;
}

/* ---- the walk ---- */

static void walk_end(void)
{
	k.walk = NULL;
	free(k.ways);
	k.ways = NULL;
	k.old = policy_unref(k.old);
	k.new = policy_unref(k.new);
	k.preview = NULL;
	k.resuming = false;
}

/* Takes over both policies. */
static bool walk_start(const struct policy *old, const struct policy *new, ct_judge_fn fn,
		       ct_change_fn done)
{
	int error;

	k.old = old;
	k.new = new;
	if (new &&old &&new->stateful) {
		k.ways = xcalloc(WAYS, sizeof(*k.ways));
		k.names = pol_tls_used(new);
		k.walk = ct_rejudge(NULL, fn, done, NULL, &error);
	}
	if (!k.walk)
		walk_end();
	return k.walk;
}

/* Of a walk that no commit waits for: a time range, a restart. */
static void hour_walked(const char *text)
{
}

static void walked(void *arg, const struct ct_change_result *r)
{
	void (*done)(const char *text) = k.done;
	char *text = NULL;

	if (r->error)
		text = xasprintf("warning: live sessions could not be checked: %s\n",
				 strerror(-r->error));
	else if (r->judged)
		text = xasprintf("note: %llu sessions re-checked, %llu ended\n",
				 (unsigned long long)r->judged, (unsigned long long)r->ended);
	if (r->ended)
		log_event("SEC", LOG_L_INFO, "RECHECKED", "%llu sessions re-checked, %llu ended",
			  (unsigned long long)r->judged, (unsigned long long)r->ended);
	if (r->error && done == hour_walked) {
		/* Nobody reads its text. The next event of the kernel starts another. */
		log_event("SEC", LOG_L_WARN, "RECHECK_FAILED",
			  "Live sessions could not be checked, trying again: %s",
			  strerror(-r->error));
		k.resumed = true;
	}
	walk_end();
	done(text ? text : "");
	free(text);
}

/* ---- what a candidate would end ---- */

static enum ct_verdict foresee(void *arg, const struct ct_entry *e)
{
	k.would_end += judge(arg, e) == CT_END;
	return CT_KEEP;
}

static void tell_preview(const char *text)
{
	void (*done)(void *arg, const char *text) = k.preview;
	void *arg = k.preview_arg;

	walk_end();
	done(arg, text);
}

static void foreseen(void *arg, const struct ct_change_result *r)
{
	char *text = NULL;

	if (r->error)
		text = xasprintf("warning: live sessions could not be checked: %s\n",
				 strerror(-r->error));
	else if (k.would_end)
		text = xasprintf("warning: this commit ends %llu of %llu live sessions\n",
				 (unsigned long long)k.would_end, (unsigned long long)r->judged);
	tell_preview(text ? text : "");
	free(text);
}

/* Of a walk that did not come to its end: its policy is older than what is put down here, which an
 * hour that struck meanwhile would have left. */
static void hour_from(const struct policy *old)
{
	const struct policy *before = k.hour;

	k.hour = policy_ref(old);
	policy_unref(before);
}

/* A commit goes before what only looks, and before what can be done after it. */
static void make_way(void)
{
	if (!k.walk)
		return;
	k.walk = ct_change_cancel(k.walk);
	if (k.preview) {
		tell_preview("");
		return;
	}
	if (k.resuming)
		k.resumed = true;
	else
		hour_from(k.old);
	walk_end();
}

/* The lines that say what may pass are the same. */
static bool same_policy(const struct rec *a, const struct rec *b)
{
	static struct sch_type *const types[] = {
		&acl4_type,       &acl6_type,         &acl_std_type, &og_network_type,
		&og_service_type, &og_interface_type, &trange_type,  &zone_type,
		&zone_pair_type,  &cmap_type,         &pmap_type,
	};
	static struct sch_type *const lines[] = { &if_acl4_type, &if_acl6_type, &if_zone_type };
	const struct recvec *v = rec_kids(b, &iface_type), *w = rec_kids(a, &iface_type);
	const struct iface *i;

	for (size_t t = 0; t < ARRAY_LEN(types); t++) {
		if (rec_kids(a, types[t]) != rec_kids(b, types[t]))
			return false;
	}
	if (v == w)
		return true;
	if (v->len != w->len)
		return false;
	recvec_foreach(v, i) {
		const struct iface *o = iface_find(a, i->name);

		for (size_t t = 0; t < ARRAY_LEN(lines); t++) {
			if (!o || rec_kids(&o->rec, lines[t]) != rec_kids(&i->rec, lines[t]))
				return false;
		}
	}
	return true;
}

/* After a commit is in the kernel: true when it waits for `done`. */
static bool after_commit(const struct rec *old, const struct rec *new,
			 void (*done)(const char *text))
{
	const struct policy *p;
	struct ct_count live;

	if (same_policy(old, new))
		return false;
	make_way();
	/* A walk over an empty table costs 5 ms: the kernel looks into each of its buckets. */
	if (!ct_count_get(&live) && !live.n)
		return false;
	p = policy_ref(policy_running());
	k.done = done;
	return walk_start(policy_build(old, p, time(NULL), NULL), p, judge, walked);
}

static bool preview(const struct rec *old, const struct rec *new,
		    void (*done)(void *arg, const char *text), void *arg)
{
	const struct policy *p;

	if (same_policy(old, new) || k.walk)
		return false;
	p = policy_ref(policy_running());
	k.would_end = 0;
	if (!walk_start(p, policy_build(new, p, time(NULL), NULL), foresee, foreseen))
		return false;
	k.preview = done;
	k.preview_arg = arg;
	return true;
}

static void preview_stop(void *arg)
{
	if (!k.preview || k.preview_arg != arg)
		return;
	ct_change_cancel(k.walk);
	walk_end();
}

/* Of several hours that strike before live sessions are judged, the policy before the first one
 * counts: what it let in and the last one does not ends, whatever was between. */
void fw_commit_hour(const struct policy *old)
{
	if (!k.hour)
		hour_from(old);
}

/* True when a walk has begun. */
static bool resume(void)
{
	const struct policy *p = policy_running();

	if (!k.resumed || k.walk || !p)
		return false;
	k.resumed = false;
	k.done = hour_walked;
	if (!walk_start(policy_ref(p), policy_ref(p), judge_resumed, walked))
		return false;
	k.resuming = true;
	return true;
}

static void resumed(void)
{
	k.resumed = true;
	resume();
}

/* The repair that brought it there comes with an event; so do others, before it is. */
void fw_commit_observed(unsigned change)
{
	const struct policy *old = k.hour, *new = fw_planned();

	if (resume() || !old || k.walk || apply_running() || new == old ||
	    new->model != txn_running())
		return;
	k.hour = NULL;
	k.done = hour_walked;
	walk_start(old, policy_ref(new), judge, walked);
}

void fw_commit_init(void)
{
	txn_after_publish(after_commit);
	txn_on_resume(resumed);
	txn_set_preview(&(struct txn_preview){ preview, preview_stop });
}

void fw_commit_fini(void)
{
	k.walk = ct_change_cancel(k.walk);
	walk_end();
	k.hour = policy_unref(k.hour);
}

/* ---- the operator's own session ---- */

#define SSH_PORT 22

/* Sessions looked at; a box with more is no box that one person could lock himself out of. */
#define SESSIONS_MAX 64

struct peer {
	struct rtr_addr local, remote;
	uint16_t port;
};

static struct rtr_addr diag_addr(uint8_t family, const __be32 *src)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct rtr_addr a = { .family = family };

	memcpy(a.b, src, rtr_family_size(family));
	if (family == AF_INET6 && !memcmp(a.b, mapped, sizeof(mapped))) {
		a = (struct rtr_addr){ .family = AF_INET };
		memcpy(a.b, (const uint8_t *)src + 12, 4);
	}
	return a;
}

static size_t take_sessions(const char *buf, size_t size, struct peer *v, size_t n, bool *ret_end)
{
	for (const struct nlmsghdr *h = (const void *)buf; NLMSG_OK(h, size);
	     h = NLMSG_NEXT(h, size)) {
		const struct inet_diag_msg *m = NLMSG_DATA(h);

		if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY) {
			*ret_end = true;
			break;
		}
		if (n == SESSIONS_MAX || ntohs(m->id.idiag_sport) != SSH_PORT)
			continue;
		v[n++] = (struct peer){
			.local = diag_addr(m->idiag_family, m->id.idiag_src),
			.remote = diag_addr(m->idiag_family, m->id.idiag_dst),
			.port = ntohs(m->id.idiag_dport),
		};
	}
	return n;
}

/* Established TCP connections to the SSH port of the box. */
static size_t sessions(uint8_t family, struct peer *v, size_t n)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
	} q = { .h = { .nlmsg_len = sizeof(q),
		       .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.r = { .sdiag_family = family,
		       .sdiag_protocol = IPPROTO_TCP,
		       .idiag_states = 1 << TCP_ESTABLISHED } };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	char buf[32768] __attribute__((aligned(8)));
	bool end = false;
	ssize_t r;

	if (fd < 0 || send(fd, &q, sizeof(q), 0) < 0)
		end = true;
	while (!end && (r = recv(fd, buf, sizeof(buf), 0)) > 0)
		n = take_sessions(buf, (size_t)r, v, n, &end);
	if (fd >= 0)
		close(fd);
	return n;
}

void fw_check_sessions(struct check *c, const struct policy *old, const struct policy *new)
{
	struct peer v[SESSIONS_MAX];
	size_t n = 0;

	if (c->offline || c->confirmed || !new || !old || !new->stateful)
		return;
	n = sessions(AF_INET, v, n);
	n = sessions(AF_INET6, v, n);
	for (size_t i = 0; i < n; i++) {
		const struct way *w = way(&v[i].remote);
		struct pol_packet p = {
			.family = v[i].local.family,
			.src = v[i].remote,
			.dst = v[i].local,
			.proto = IPPROTO_TCP,
			.sport = v[i].port,
			.dport = SSH_PORT,
			.tcp_flags = 0x02,
			.ttl = 64,
			.len = 60,
		};
		char a[RTR_ADDR_STRLEN], b[RTR_ADDR_STRLEN];

		if (w->local || !w->found)
			continue;
		rtr_strlcpy(p.iif, w->oif, IFNAMSIZ);
		if (!permits(old, &p) || permits(new, &p))
			continue;
		check_error(c, NULL,
			    "this would cut the SSH session from %s to %s: use \"configure "
			    "candidate\" and \"commit confirmed\"",
			    rtr_addr_str(&v[i].remote, a), rtr_addr_str(&v[i].local, b));
		return;
	}
}
