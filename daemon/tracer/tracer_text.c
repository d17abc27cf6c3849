/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The document of packet-tracer as text. */
#include "cli/command.h"
#include "tracer/tracer.h"

static const char *str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static void lines(struct cmd_ctx *c, const char *title, const json_t *v)
{
	const json_t *line;
	size_t i;

	cmd_printf(c, "%s:\n", title);
	json_array_foreach(v, i, line)
		cmd_printf(c, "  %s\n", json_string_value(line));
}

static void print_phase(struct cmd_ctx *c, const json_t *o)
{
	cmd_printf(c, "Phase: %" JSON_INTEGER_FORMAT "\nType: %s\nSubtype: %s\nResult: %s\n",
		   json_integer_value(json_object_get(o, "phase")), str(o, "type"),
		   str(o, "subtype"), str(o, "result"));
	lines(c, "Config", json_object_get(o, "config"));
	lines(c, "Additional Information", json_object_get(o, "information"));
	cmd_printf(c, "Elapsed: %" JSON_INTEGER_FORMAT " ns\n\n",
		   json_integer_value(json_object_get(o, "elapsed_ns")));
}

static void print_ruleset(struct cmd_ctx *c, const json_t *o)
{
	bool same = json_is_true(json_object_get(o, "installed"));

	cmd_printf(c, "ruleset: generation %" JSON_INTEGER_FORMAT ", %s%s\n",
		   json_integer_value(json_object_get(o, "generation")),
		   same ? "as configured" : "NOT as configured: ", str(o, "difference"));
}

static void print_fast(struct cmd_ctx *c, const json_t *o)
{
	if (!o)
		return;
	cmd_printf(c, "fast-plane: %s (%s)\nComparison: %s%s%s\n", str(o, "verdict"),
		   str(o, "because"), str(o, "comparison"), *str(o, "reason") ? ": " : "",
		   str(o, "reason"));
	if (*str(o, "note"))
		cmd_printf(c, "Note: %s\n", str(o, "note"));
}

static void print_transmit(struct cmd_ctx *c, const json_t *o)
{
	const json_t *hook;
	size_t i;

	if (!o)
		return;
	cmd_puts(c, "\nTransmit:\n");
	json_array_foreach(json_object_get(o, "hooks"), i, hook)
		cmd_printf(c, "  table %s chain %s: %s\n", str(hook, "table"), str(hook, "chain"),
			   str(hook, "verdict"));
	cmd_printf(c, "predicted: %s\nkernel: %s\nComparison: %s%s%s\n", str(o, "predicted"),
		   str(o, "kernel"), str(o, "comparison"), *str(o, "reason") ? ": " : "",
		   str(o, "reason"));
}

void tracer_print(struct cmd_ctx *c, const json_t *doc)
{
	const json_t *r = json_object_get(doc, "result"), *o;
	size_t i;

	json_array_foreach(json_object_get(doc, "phases"), i, o)
		print_phase(c, o);
	cmd_printf(c,
		   "Result:\ninput-interface: %s\ninput-status: %s\noutput-interface: %s\n"
		   "output-status: %s\nAction: %s\n",
		   str(r, "input_interface"), str(r, "input_status"), str(r, "output_interface"),
		   str(r, "output_status"), str(r, "action"));
	if (*str(r, "drop_reason"))
		cmd_printf(c, "Drop-reason: (%s) %s\n", str(r, "drop_reason"), str(r, "drop_text"));
	cmd_printf(c, "Path: %s (%s)\n", str(r, "path"), str(r, "path_reason"));
	print_fast(c, json_object_get(doc, "fast_plane"));
	print_ruleset(c, json_object_get(doc, "ruleset"));
	print_transmit(c, json_object_get(doc, "transmit"));
}
