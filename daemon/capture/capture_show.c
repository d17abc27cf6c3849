/* SPDX-License-Identifier: GPL-2.0-or-later */
/* show monitor capture. */
#include "capture/capture.h"
#include "capture/capture_opts.h"
#include "cli/command.h"
#include "domain.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const dirs[] = {
	[CAPTURED_BOTH] = "both", [CAPTURED_IN] = "in", [CAPTURED_OUT] = "out"
};

static json_t *limits(const struct capture_def *d)
{
	json_t *o = json_pack("{s:I}", "size_mb", (json_int_t)d->size_mb);

	if (d->packets)
		json_object_set_new(o, "packets", json_integer(d->packets));
	if (d->seconds)
		json_object_set_new(o, "duration_sec", json_integer(d->seconds));
	return o;
}

static json_t *describe(const struct capture_entry *e)
{
	const struct capture_def *d = &e->def;
	const struct captured_event *f = &e->figures;
	json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:I,s:b,s:o,s:s,s:I,s:I,s:I,s:I,s:I}", "name",
			      d->name, "interface", d->ifname, "direction", dirs[d->dir], "match",
			      d->filter, "snap_length", (json_int_t)d->snap, "rotate", d->rotate,
			      "limits", limits(d), "state",
			      e->running ? "active"
			      : e->ever  ? "stopped"
					 : "defined",
			      "captured", (json_int_t)f->seen, "dropped_by_kernel",
			      (json_int_t)f->dropped, "stored", (json_int_t)f->packets,
			      "stored_bytes", (json_int_t)f->bytes, "rotated_away",
			      (json_int_t)f->forgotten);

	if (!e->ever)
		return o;
	json_object_set_new(o, "started_unix", json_integer(e->started));
	if (f->time_ns)
		json_object_set_new(o, "newest_unix_ns", json_integer((json_int_t)f->time_ns));
	if (e->running)
		return o;
	json_object_set_new(o, "stopped_unix", json_integer(e->stopped));
	json_object_set_new(o, "reason", json_string(capture_end_text(e->end)));
	if (e->error)
		json_object_set_new(o, "error", json_string(strerror(e->error)));
	return o;
}

static json_t *show(struct cmd_ctx *c)
{
	json_t *list = json_array(), *doc;
	char *name = NULL;
	bool found = false;

	cmd_get(c, "name", &name);
	for (unsigned i = 0; i < CAPTURED_MAX; i++) {
		const struct capture_entry *e = &captures()[i];

		if (!e->used || (name && strcmp(name, e->def.name) != 0))
			continue;
		found = true;
		json_array_append_new(list, describe(e));
	}
	if (name && !found) {
		cmd_fail(c, "There is no capture %s", name);
		json_decref(list);
		free(name);
		return NULL;
	}
	doc = json_pack("{s:o}", "captures", list);
	if (!name) {
		json_object_set_new(doc, "exports", capture_exports());
		json_object_set_new(doc, "folder",
				    json_string(capture_folder() ? capture_folder() : ""));
		json_object_set_new(doc, "free_bytes",
				    json_integer((json_int_t)capture_free_bytes()));
	}
	free(name);
	return doc;
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static long long num(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

static const char *moment(const json_t *o, const char *key, char buf[32])
{
	time_t t = (time_t)num(o, key);
	struct tm tm;

	if (!t || !localtime_r(&t, &tm))
		return "never";
	strftime(buf, 32, "%Y-%m-%d %H:%M:%S", &tm);
	return buf;
}

static void print_exports(struct cmd_ctx *c, const json_t *doc)
{
	const json_t *e, *list = json_object_get(doc, "exports");
	char t[32];
	size_t i;

	if (!list)
		return;
	if (json_array_size(list))
		cmd_printf(c, "\nExported to %s\n", text_of(doc, "folder"));
	json_array_foreach(list, i, e)
		cmd_printf(c, "  %-40s %12lld bytes  %s\n", text_of(e, "file"), num(e, "bytes"),
			   moment(e, "time", t));
}

static void print_brief(struct cmd_ctx *c, const json_t *doc)
{
	const json_t *o;
	size_t i;

	cmd_printf(c, "%-16s %-15s %-5s %-8s %12s %12s %12s  %s\n", "Name", "Interface", "Dir",
		   "State", "Captured", "Dropped", "Stored", "Match");
	json_array_foreach(json_object_get(doc, "captures"), i, o)
		cmd_printf(c, "%-16s %-15s %-5s %-8s %12lld %12lld %12lld  %s\n",
			   text_of(o, "name"), text_of(o, "interface"), text_of(o, "direction"),
			   text_of(o, "state"), num(o, "captured"), num(o, "dropped_by_kernel"),
			   num(o, "stored"), *text_of(o, "match") ? text_of(o, "match") : "any");
	print_exports(c, doc);
}

static void print_state(struct cmd_ctx *c, const json_t *o)
{
	char a[32], b[32];

	cmd_printf(c, "  State: %s", text_of(o, "state"));
	if (json_object_get(o, "started_unix"))
		cmd_printf(c, ", started %s", moment(o, "started_unix", a));
	if (json_object_get(o, "reason"))
		cmd_printf(c, ", stopped %s: %s", moment(o, "stopped_unix", b),
			   text_of(o, "reason"));
	if (json_object_get(o, "error"))
		cmd_printf(c, " (%s)", text_of(o, "error"));
	cmd_puts(c, "\n");
}

static void print_limits(struct cmd_ctx *c, const json_t *o)
{
	const json_t *l = json_object_get(o, "limits");

	cmd_printf(c, "  Limits: %lld megabytes", num(l, "size_mb"));
	if (json_object_get(l, "packets"))
		cmd_printf(c, ", %lld packets", num(l, "packets"));
	if (json_object_get(l, "duration_sec"))
		cmd_printf(c, ", %lld seconds", num(l, "duration_sec"));
	cmd_puts(c, json_is_true(json_object_get(o, "rotate")) ? ", the newest stay (rotate)\n"
							       : "\n");
}

static void print_one(struct cmd_ctx *c, const json_t *o, bool detailed)
{
	const char *match = text_of(o, "match");
	char t[32];
	time_t newest = (time_t)(num(o, "newest_unix_ns") / (long long)NSEC_PER_SEC);
	struct tm tm;

	cmd_printf(c, "Capture %s\n  Interface: %s, direction: %s, match: %s\n", text_of(o, "name"),
		   text_of(o, "interface"), text_of(o, "direction"), *match ? match : "any");
	print_state(c, o);
	print_limits(c, o);
	cmd_printf(c, "  Captured %lld, dropped by kernel %lld\n", num(o, "captured"),
		   num(o, "dropped_by_kernel"));
	cmd_printf(c, "  Stored %lld packets, %lld bytes\n", num(o, "stored"),
		   num(o, "stored_bytes"));
	if (!detailed)
		return;
	cmd_printf(c, "  Taken away by rotation: %lld packets\n  Bytes kept of a packet: %lld\n",
		   num(o, "rotated_away"), num(o, "snap_length"));
	if (newest && localtime_r(&newest, &tm)) {
		strftime(t, sizeof(t), "%Y-%m-%d %H:%M:%S", &tm);
		cmd_printf(c, "  Newest packet: %s.%06lld\n", t,
			   num(o, "newest_unix_ns") % (long long)NSEC_PER_SEC / 1000);
	}
}

static void print(struct cmd_ctx *c, const json_t *doc)
{
	enum { BRIEF, DETAILED };
	int view = cmd_choice(c, "view");
	const json_t *o;
	size_t i;

	if (view == BRIEF) {
		print_brief(c, doc);
		return;
	}
	json_array_foreach(json_object_get(doc, "captures"), i, o)
		print_one(c, o, view == DETAILED);
	if (!json_array_size(json_object_get(doc, "captures")))
		cmd_puts(c, "No captures\n");
	print_exports(c, doc);
}

static const struct cmd cmds[] = {
	{ "show monitor capture[ {view:brief|detailed}]", "Captures of packets", .data = show,
	  .text = print },
	{ "show monitor capture <name:CAPTURE>[ {view:brief|detailed}]", "One capture",
	  .data = show, .text = print },
};

static const struct sch_word words[] = {
	{ "show monitor", "Captures" },
	{ "show monitor capture brief", "A line each" },
	{ "show monitor capture detailed", "All that is known" },
};

static const struct domain capture_show_domain = {
	.name = "capture-show",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(capture_show_domain);
