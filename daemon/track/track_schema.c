/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lines "track" and "ip sla", their check, and the domain "track". */
#include "domain.h"
#include "iface/iface.h"
#include "schema/text.h"
#include "track/sla.h"
#include "track/track.h"
#include "track/track_show.h"

#include <string.h>

SCH_TYPE(track, SCH_F(track, id), SCH_F(track, kind), SCH_F(track, what), SCH_F(track, result),
	 SCH_F(track, boolean), SCH_F(track, ifname), SCH_F(track, dst4), SCH_F(track, dst6),
	 SCH_F(track, sla), SCH_F(track, delay_up), SCH_F(track, delay_down));
SCH_TYPE(track_member, SCH_F(track_member, object), SCH_F(track_member, not ));
SCH_TYPE(sla, SCH_F(sla, id), SCH_F(sla, kind), SCH_F(sla, dst), SCH_F(sla, src),
	 SCH_F(sla, src_if), SCH_F(sla, port), SCH_F(sla, frequency), SCH_F(sla, frequency_ms),
	 SCH_F(sla, timeout), SCH_F(sla, threshold), SCH_F(sla, faildetect), SCH_F(sla, recover),
	 SCH_F(sla, tag));

static const struct sch_row rows[] = {
	SCH_MODE("ip sla <id:U32(1,2147483647)>", sla, .key = "id", .prompt = "config-ip-sla",
		 .buffered = true, .name = "ip_sla",
		 .help = "A probe that is sent again and again"),
	SCH_LEAF("{kind:icmp-echo <dst:ADDR>|tcp-connect <dst:ADDR> <port:U16(1,65535)>}"
		 "[ {source-ip <src:ADDR>|source-interface <src_if:IFNAME>}]",
		 sla, .help = "What is sent to whom"),
	SCH_LEAF("tag <tag:LINE>", sla, .help = "Text about the probe"),
	SCH_LEAF("frequency {<frequency:U32(1,604800)>|msec <frequency_ms:U32(50,999)>}", sla,
		 .help = "Time from one probe to the next, 60 seconds when not configured"),
	SCH_LEAF("timeout <timeout:U32(10,604800000)>", sla,
		 .help = "Milliseconds until a probe without an answer has failed"),
	SCH_LEAF("threshold <threshold:U32(1,60000)>", sla,
		 .help = "Milliseconds within which an answer is a good one"),
	SCH_LEAF("faildetect <faildetect:U8(1,255)>", sla, .dflt = "1",
		 .help = "Failures in a row that make it down"),
	SCH_LEAF("recover <recover:U8(1,255)>", sla, .dflt = "1",
		 .help = "Successes in a row that make it up again"),
	SCH_MODE("track <id:U16(1,1000)>[ {kind:"
		 "interface <ifname:IFNAME> {what:line-protocol|ip routing|ipv6 routing}"
		 "|ip route <dst4:PREFIX4> reachability|ipv6 route <dst6:PREFIX6> reachability"
		 "|ip sla <sla:U32(1,2147483647)>[ {result:reachability|state}]"
		 "|list boolean {boolean:and|or}|fastpath}]",
		 track, .key = "id", .prompt = "config-track", .buffered = true,
		 .help = "Object that is up or down, for routes and failover"),
	SCH_LIST("object <object:U16(1,1000)>[ not]", track_member, .parent = &track_type,
		 .key = "object", .name = "object", .help = "Member of a list"),
	SCH_LEAF("delay {up <delay_up:U16(1,180)>[ down <delay_down:U16(1,180)>]"
		 "|down <delay_down:U16(1,180)>}",
		 track, .help = "Seconds for which a change must last before it counts"),
};

static const struct sch_word words[] = {
	{ "and", "Up while all members are" },
	{ "boolean", "By the states of the members" },
	{ "delay", "Wait before a change counts" },
	{ "down", "When it goes down" },
	{ "faildetect", "Failures in a row that make it down" },
	{ "fastpath", "Up while rtr-fastpath serves" },
	{ "frequency", "Time from one probe to the next" },
	{ "icmp-echo", "Send ICMP echo requests" },
	{ "ip sla", "Probes" },
	{ "line-protocol", "Up while the link is" },
	{ "list", "Made of other objects" },
	{ "msec", "Milliseconds" },
	{ "not", "Up while the member is down" },
	{ "object", "Member of a list" },
	{ "or", "Up while one member is" },
	{ "reachability", "Up while there is a route, or an answer" },
	{ "recover", "Successes in a row that make it up again" },
	{ "routing", "Up while the link is, with an address, and packets are forwarded" },
	{ "sla", "Probes" },
	{ "source-interface", "Source address: that of an interface" },
	{ "source-ip", "Source address" },
	{ "state", "Up while answers come within the threshold" },
	{ "tcp-connect", "Open TCP connections" },
	{ "threshold", "Time within which an answer is a good one" },
	{ "track", "Objects that are up or down, for routes and failover" },
	{ "up", "When it comes up" },
};

/* ---- check ---- */

void track_check_ref(struct check *c, const struct rec *rec, unsigned id)
{
	/* Of one that just went, check_gone tells. */
	if (!track_find(c->new, id) && !track_find(c->old, id))
		check_error(c, rec, "there is no track %u", id);
}

void track_users(const struct rec *r, unsigned id, void (*fn)(void *arg, const struct rec *user),
		 void *arg)
{
	for (unsigned k = 0; k < r->type->n_kids; k++) {
		const struct sch_type *t = r->type->kids[k];
		int f = sch_field_find(t, t == &track_member_type ? "object" : "track");
		const struct recvec *v = rec_kids(r, t);

		for (size_t i = 0; i < v->len; i++) {
			if (f >= 0 && (v->v[i]->present >> f & 1) &&
			    sch_uint(v->v[i], &t->fields[f]) == id)
				fn(arg, v->v[i]);
			if (t->n_kids)
				track_users(v->v[i], id, fn, arg);
		}
	}
}

struct gone {
	struct check *c;
	unsigned id;
};

static void used_by(void *arg, const struct rec *user)
{
	const struct gone *g = arg;

	check_error(g->c, user, "track %u is used by this line", g->id);
}

static void check_gone(struct check *c)
{
	const struct recvec *old = rec_kids(c->old, &track_type);
	const struct track *t;

	recvec_foreach(old, t) {
		struct gone g = { .c = c, .id = t->id };

		if (!track_find(c->new, t->id))
			track_users(c->new, t->id, used_by, &g);
	}
}

/* Does a list, member by member, come back to itself? Lists are few and small. */
static bool leads_to(const struct rec *root, const struct track *t, unsigned id, unsigned depth)
{
	const struct recvec *v = rec_kids(&t->rec, &track_member_type);
	const struct track_member *m;

	recvec_foreach(v, m) {
		const struct track *next = track_find(root, m->object);

		if (m->object == id || depth == 0 || (next && leads_to(root, next, id, depth - 1)))
			return true;
	}
	return false;
}

/* More lists in lists than this are refused. */
#define MAX_NESTING 8

static void check_list(struct check *c, const struct track *t)
{
	const struct recvec *v = rec_kids(&t->rec, &track_member_type);
	const struct track_member *m;

	if (t->kind != TRACK_LIST) {
		if (v->len)
			check_error(c, v->v[0], "track %u is no list", t->id);
		return;
	}
	recvec_foreach(v, m) {
		track_check_ref(c, &m->rec, m->object);
	}
	if (leads_to(c->new, t, t->id, MAX_NESTING))
		check_error(c, &t->rec, "track %u leads to itself, or is nested deeper than %d",
			    t->id, MAX_NESTING);
}

static void check_track(struct check *c, const struct track *t)
{
	enum iface_kind kind = iface_kind_of(t->ifname);

	if (!SCH_HAS(t, kind)) {
		check_error(c, &t->rec, "say what: interface, ip route, ip sla, list or fastpath");
		return;
	}
	if (t->kind == TRACK_SLA && !sla_find(c->new, t->sla))
		check_error(c, &t->rec,
			    sla_find(c->old, t->sla) ? "ip sla %u is used by this line"
						     : "there is no ip sla %u",
			    t->sla);
	if (t->kind == TRACK_IFACE && kind != IFACE_HARD && kind != IFACE_LOOPBACK0 &&
	    !iface_find(c->new, t->ifname) && (c->offline || !iface_link(t->ifname)))
		check_error(c, &t->rec, "there is no interface %s", t->ifname);
	check_list(c, t);
}

static void check_sla(struct check *c, const struct sla *s)
{
	unsigned freq = sla_frequency_ms(s);
	char text[RTR_ADDR_STRLEN];

	if (!SCH_HAS(s, kind)) {
		check_error(c, &s->rec, "say what: icmp-echo or tcp-connect");
		return;
	}
	if (rtr_addr_is_any(&s->dst) || rtr_addr_is_multicast(&s->dst) ||
	    (s->dst.family == AF_INET6 && rtr_addr_is_linklocal(&s->dst)))
		check_error(c, &s->rec, "%s cannot be probed", rtr_addr_str(&s->dst, text));
	if (s->src.family && s->src.family != s->dst.family)
		check_error(c, &s->rec, "the source is of the other address family");
	if (SCH_HAS(s, timeout) && s->timeout > freq)
		check_error(c, &s->rec,
			    "the timeout of %u ms is longer than the frequency of %u ms",
			    s->timeout, freq);
	if (SCH_HAS(s, threshold) && SCH_HAS(s, timeout) && s->threshold > s->timeout)
		check_error(c, &s->rec,
			    "the threshold of %u ms is longer than the timeout of %u ms",
			    s->threshold, s->timeout);
}

static void check(struct check *c)
{
	const struct recvec *tracks = rec_kids(c->new, &track_type);
	const struct recvec *slas = rec_kids(c->new, &sla_type);
	const struct track *t;
	const struct sla *s;

	recvec_foreach(slas, s) {
		check_sla(c, s);
	}
	recvec_foreach(tracks, t) {
		check_track(c, t);
	}
	if (tracks != rec_kids(c->old, &track_type))
		check_gone(c);
}

static const char *const after_links[] = { "links", NULL };

static const struct domain track_domain = {
	.name = "track",
	.after = after_links,
	.rows = rows,
	.n_rows = ARRAY_LEN(rows),
	.words = words,
	.n_words = ARRAY_LEN(words),
	.init = track_init,
	.fini = track_fini,
	.observed = track_observed,
	.check = check,
};
RTR_DOMAIN(track_domain);
