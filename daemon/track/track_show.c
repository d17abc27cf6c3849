/* SPDX-License-Identifier: GPL-2.0-or-later */
/* show track, show ip sla statistics. */
#include "track/track_show.h"

#include "cli/command.h"
#include "domain.h"
#include "schema/text.h"
#include "track/sla.h"
#include "track/track.h"
#include "txn/txn.h"

#include <string.h>

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static json_int_t int_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* hh:mm:ss, as IOS prints ages; "never" without one. */
static const char *age_text(const json_t *o, const char *key, char buf[32])
{
	const json_t *v = json_object_get(o, key);
	long sec = (long)json_number_value(v);

	if (!v)
		return "never";
	snprintf(buf, 32, "%02ld:%02d:%02d", sec / 3600, (int)(sec / 60 % 60), (int)(sec % 60));
	return buf;
}

static const char *state_word(enum track_state s)
{
	return s == TRACK_UP ? "Up" : s == TRACK_DOWN ? "Down" : "Unknown";
}

/* ---- show track ---- */

static void add_user(void *arg, const struct rec *user)
{
	struct strbuf b = STRBUF_INIT;

	/* A member of a list is told by its list below. */
	if (user->type != &track_member_type) {
		text_rec(user, &b);
		json_array_append_new(arg, json_string(strbuf_str(&b)));
	}
	strbuf_fini(&b);
}

static void add_lists(json_t *users, unsigned id)
{
	const struct recvec *v = rec_kids(txn_running(), &track_type);
	const struct track_member *m;
	const struct track *t;
	char text[32];

	recvec_foreach(v, t) {
		const struct recvec *members = rec_kids(&t->rec, &track_member_type);

		recvec_foreach(members, m) {
			if (m->object != id)
				continue;
			snprintf(text, sizeof(text), "track %u", t->id);
			json_array_append_new(users, json_string(text));
		}
	}
}

static json_t *members_json(const struct track *t)
{
	const struct recvec *v = rec_kids(&t->rec, &track_member_type);
	const struct track_member *m;
	json_t *out = json_array();

	recvec_foreach(v, m) {
		enum track_state s = TRACK_UNKNOWN;

		track_get(m->object, &s);
		json_array_append_new(out, json_pack("{s:i,s:b,s:s}", "object", m->object, "not",
						     m->not, "state", state_word(s)));
	}
	return out;
}

static json_t *track_json(const struct track *t)
{
	static const char *const kinds[] = { "interface", "ip route", "ipv6 route",
					     "ip sla",    "list",     "fastpath" };
	struct track_view v = { .changed_sec = -1 };
	json_t *o, *users = json_array();
	char text[128];

	track_view(t->id, &v);
	track_text(t, text, sizeof(text));
	track_users(txn_running(), t->id, add_user, users);
	add_lists(users, t->id);
	o = json_pack("{s:i,s:s,s:s,s:s,s:I,s:i,s:i,s:o}", "id", t->id, "type", kinds[t->kind],
		      "tracks", text, "state", state_word(v.state), "changes",
		      (json_int_t)v.changes, "delay_up_sec", t->delay_up, "delay_down_sec",
		      t->delay_down, "tracked_by", users);
	if (v.changed_sec >= 0)
		json_object_set_new(o, "last_change_sec", json_real(v.changed_sec));
	if (v.pending != TRACK_UNKNOWN)
		json_object_set_new(o, "pending",
				    json_pack("{s:s,s:i}", "state", state_word(v.pending), "sec",
					      (int)v.pending_sec));
	if (t->kind == TRACK_LIST)
		json_object_set_new(o, "objects", members_json(t));
	return o;
}

static json_t *show_track(struct cmd_ctx *c)
{
	const struct recvec *v = rec_kids(txn_running(), &track_type);
	json_t *out = json_array();
	const struct track *t;
	uint16_t id = 0;

	cmd_get(c, "id", &id);
	recvec_foreach(v, t) {
		if (!id || t->id == id)
			json_array_append_new(out, track_json(t));
	}
	if (id && !json_array_size(out)) {
		json_decref(out);
		cmd_fail(c, "There is no track %u", id);
		return NULL;
	}
	return out;
}

static void print_one(struct cmd_ctx *c, const json_t *o)
{
	const json_t *pending = json_object_get(o, "pending");
	json_t *e;
	char age[32];
	size_t i;

	cmd_printf(c, "Track %d\n  %s\n", (int)int_of(o, "id"), text_of(o, "tracks"));
	cmd_printf(c, "  State is %s", text_of(o, "state"));
	if (pending)
		cmd_printf(c, ", goes %s in %d secs", text_of(pending, "state"),
			   (int)int_of(pending, "sec"));
	cmd_printf(c, "\n    %d changes, last change %s\n", (int)int_of(o, "changes"),
		   age_text(o, "last_change_sec", age));
	json_array_foreach(json_object_get(o, "objects"), i, e)
		cmd_printf(c, "    object %d%s is %s\n", (int)int_of(e, "object"),
			   json_is_true(json_object_get(e, "not")) ? " not" : "",
			   text_of(e, "state"));
	if (int_of(o, "delay_up_sec") || int_of(o, "delay_down_sec"))
		cmd_printf(c, "  Delay up %d secs, down %d secs\n", (int)int_of(o, "delay_up_sec"),
			   (int)int_of(o, "delay_down_sec"));
	json_array_foreach(json_object_get(o, "tracked_by"), i, e)
		cmd_printf(c, "%s    %s\n", i ? "" : "  Tracked by:\n", json_string_value(e));
}

static void print_track(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o;
	size_t i;

	json_array_foreach(doc, i, o)
		print_one(c, o);
}

static void print_brief(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o;
	size_t i;

	cmd_printf(c, "%-6s%-44s%-9s%s\n", "Track", "Object", "State", "Last Change");
	json_array_foreach(doc, i, o) {
		char age[32];

		cmd_printf(c, "%-6d%-44s%-9s%s\n", (int)int_of(o, "id"), text_of(o, "tracks"),
			   text_of(o, "state"), age_text(o, "last_change_sec", age));
	}
}

/* ---- show ip sla ---- */

static const char *result_word(const struct sla_view *v)
{
	switch (v->last) {
	case SLA_OK:
		return "OK";
	case SLA_OVER_THRESHOLD:
		return "Over threshold";
	case SLA_TIMEOUT:
		return "Timeout";
	case SLA_ERROR:
		return v->error;
	default:
		return "Unknown";
	}
}

static json_t *sla_json(const struct sla *s)
{
	struct sla_view v = { .error = "", .ago_sec = -1 };
	uint64_t good;
	char dst[RTR_ADDR_STRLEN];
	json_t *o;

	sla_view(s->id, &v);
	good = v.n[SLA_OK] + v.n[SLA_OVER_THRESHOLD];
	o = json_pack("{s:I,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I}", "id", (json_int_t)s->id, "type",
		      s->kind == SLA_TCP_CONNECT ? "tcp-connect" : "icmp-echo", "destination",
		      rtr_addr_str(&s->dst, dst), "return_code", result_word(&v), "reachability",
		      state_word(sla_state(s->id, TRACK_REACHABILITY)), "state",
		      state_word(sla_state(s->id, TRACK_STATE)), "successes", (json_int_t)good,
		      "over_threshold", (json_int_t)v.n[SLA_OVER_THRESHOLD], "failures",
		      (json_int_t)(v.n[SLA_TIMEOUT] + v.n[SLA_ERROR]));
	if (SCH_HAS(s, port))
		json_object_set_new(o, "port", json_integer(s->port));
	if (SCH_HAS(s, tag))
		json_object_set_new(o, "tag", json_string(s->tag));
	if (v.last == SLA_OK || v.last == SLA_OVER_THRESHOLD)
		json_object_set_new(o, "rtt_ms", json_real((double)v.last_us / 1000));
	if (good) {
		json_object_set_new(o, "rtt_min_ms", json_real((double)v.min_us / 1000));
		json_object_set_new(o, "rtt_avg_ms",
				    json_real((double)v.sum_us / (double)good / 1000));
		json_object_set_new(o, "rtt_max_ms", json_real((double)v.max_us / 1000));
	}
	if (v.ago_sec >= 0)
		json_object_set_new(o, "last_sec", json_real(v.ago_sec));
	return o;
}

static json_t *show_sla(struct cmd_ctx *c)
{
	const struct recvec *v = rec_kids(txn_running(), &sla_type);
	json_t *out = json_array();
	const struct sla *s;
	uint32_t id = 0;

	cmd_get(c, "id", &id);
	recvec_foreach(v, s) {
		if (!id || s->id == id)
			json_array_append_new(out, sla_json(s));
	}
	if (id && !json_array_size(out)) {
		json_decref(out);
		cmd_fail(c, "There is no ip sla %u", id);
		return NULL;
	}
	return out;
}

static double ms_of(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static void print_statistics(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o;
	size_t i;

	json_array_foreach(doc, i, o) {
		char age[32];

		cmd_printf(c, "%sIPSLA operation id: %lld\n", i ? "\n" : "",
			   (long long)int_of(o, "id"));
		cmd_printf(c, "  %s %s", text_of(o, "type"), text_of(o, "destination"));
		if (json_object_get(o, "port"))
			cmd_printf(c, " port %d", (int)int_of(o, "port"));
		if (json_object_get(o, "tag"))
			cmd_printf(c, " (%s)", text_of(o, "tag"));
		if (json_object_get(o, "rtt_ms"))
			cmd_printf(c, "\n  Latest RTT: %.3f ms", ms_of(o, "rtt_ms"));
		cmd_printf(c, "\n  Latest operation: %s ago\n", age_text(o, "last_sec", age));
		cmd_printf(c, "  Latest operation return code: %s\n", text_of(o, "return_code"));
		cmd_printf(c, "  Number of successes: %lld (over threshold: %lld)\n",
			   (long long)int_of(o, "successes"),
			   (long long)int_of(o, "over_threshold"));
		cmd_printf(c, "  Number of failures: %lld\n", (long long)int_of(o, "failures"));
		if (json_object_get(o, "rtt_min_ms"))
			cmd_printf(c, "  RTT min/avg/max = %.3f/%.3f/%.3f ms\n",
				   ms_of(o, "rtt_min_ms"), ms_of(o, "rtt_avg_ms"),
				   ms_of(o, "rtt_max_ms"));
		cmd_printf(c, "  Reachability is %s, state is %s\n", text_of(o, "reachability"),
			   text_of(o, "state"));
	}
}

static void print_summary(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o;
	size_t i;

	cmd_printf(c, "%-11s%-13s%-26s%-11s%-26s%s\n", "ID", "Type", "Destination", "RTT (ms)",
		   "Return Code", "Last Run");
	json_array_foreach(doc, i, o) {
		char age[32], rtt[24] = "-";

		if (json_object_get(o, "rtt_ms"))
			snprintf(rtt, sizeof(rtt), "%.3f", ms_of(o, "rtt_ms"));
		cmd_printf(c, "%-11lld%-13s%-26s%-11s%-26s%s\n", (long long)int_of(o, "id"),
			   text_of(o, "type"), text_of(o, "destination"), rtt,
			   text_of(o, "return_code"), age_text(o, "last_sec", age));
	}
}

static const struct cmd cmds[] = {
	{ "show track[ <id:U16(1,1000)>]", "Tracked objects and who uses them", .data = show_track,
	  .text = print_track },
	{ "show track brief", "Tracked objects, a line each", .data = show_track,
	  .text = print_brief },
	{ "show ip sla statistics[ <id:U32(1,2147483647)>]", "Results of the probes",
	  .data = show_sla, .text = print_statistics },
	{ "show ip sla summary", "Results of the probes, a line each", .data = show_sla,
	  .text = print_summary },
};

static const struct sch_word words[] = {
	{ "brief", "A line each" },
	{ "statistics", "Results of the probes" },
	{ "summary", "A line each" },
};

static const struct domain track_show_domain = {
	.name = "track-show",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(track_show_domain);
