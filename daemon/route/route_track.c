/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Static routes that follow a tracked object, and show ip route track-table. */
#include "cli/command.h"
#include "domain.h"
#include "kernel/shadow.h"
#include "route/resolve.h"
#include "route/route.h"
#include "schema/text.h"
#include "track/track.h"
#include "txn/txn.h"
#include "vrf/vrf.h"

#include <linux/rtnetlink.h>

static bool has_hop(const struct shadow_route *r, const struct shadow_hop *h)
{
	for (unsigned i = 0; i < r->n_hops; i++) {
		if (!shadow_hop_cmp(&r->hops[i], h))
			return true;
	}
	return false;
}

static bool installed(const struct static_route *s, const struct shadow_hop *hops, size_t n)
{
	const struct shadow_route *r = shadow_route_find(RT_TABLE_MAIN, &s->dst,
							 route_metric(route_distance(s)));

	if (!r || (r->type == RTN_UNICAST) == route_discards(s))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!has_hop(r, &hops[i]))
			return false;
	}
	return true;
}

bool route_track_usable(const struct static_route *s, const struct shadow_hop *hops, size_t n)
{
	enum track_state state = TRACK_UNKNOWN;

	if (!SCH_HAS(s, track))
		return true;
	track_get(s->track, &state);
	return state == TRACK_UNKNOWN ? installed(s, hops, n) : state == TRACK_UP;
}

static void add_lines(json_t *out, const struct sch_type *type)
{
	const struct recvec *v = rec_kids(txn_running(), type);
	const struct static_route *s;

	recvec_foreach(v, s) {
		enum track_state state = TRACK_UNKNOWN;
		struct strbuf line = STRBUF_INIT;

		if (!SCH_HAS(s, track))
			continue;
		track_get(s->track, &state);
		text_rec(&s->rec, &line);
		json_array_append_new(out, json_pack("{s:s,s:i,s:s}", "route", strbuf_str(&line),
						     "track", s->track, "state",
						     state == TRACK_UP     ? "up"
						     : state == TRACK_DOWN ? "down"
									   : "unknown"));
		strbuf_fini(&line);
	}
}

static json_t *show_track_table(struct cmd_ctx *c)
{
	json_t *out = json_array();

	bool v6 = cmd_choice(c, "family") == 1;

	add_lines(out, v6 ? &ipv6_route_type : &ip_route_type);
	add_lines(out, v6 ? &ipv6_route_vrf_type : &ip_route_vrf_type);
	return out;
}

static void print_track_table(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o;
	size_t i;

	json_array_foreach(doc, i, o)
		cmd_printf(c, " %s state is [%s]\n", json_string_value(json_object_get(o, "route")),
			   json_string_value(json_object_get(o, "state")));
}

static void changed(void *arg, unsigned id, enum track_state state)
{
	txn_follow();
}

static int init(void)
{
	track_subscribe(changed, NULL);
	return 0;
}

static const struct cmd cmds[] = {
	{ "show {family:ip|ipv6} route track-table", "Static routes that follow a tracked object",
	  .data = show_track_table, .text = print_track_table },
};

static const struct sch_word words[] = {
	{ "track-table", "Static routes that follow a tracked object" },
};

static const char *const after_track[] = { "track", NULL };

static const struct domain route_track_domain = {
	.name = "route-track",
	.after = after_track,
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
	.init = init,
};
RTR_DOMAIN(route_track_domain);
