/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "schema/manual.h"

#include "cli/session.h"
#include "schema/schema.h"

#include <errno.h>
#include <string.h>

#define MAX_COMMANDS 1024

/* The notation of schema.h as a reader of IOS manuals expects it: "<mtu:U32(68,65535)>" becomes
 * "<mtu>", and the values are listed below. */
static void put_syntax(FILE *f, const char *line)
{
	for (const char *p = line; *p; p++) {
		if (*p == '<') {
			fprintf(f, "<%.*s>", (int)strcspn(p + 1, ":"), p + 1);
			p = strchr(p, '>');
		} else if (*p == '{' && strcspn(p, ":") < strcspn(p, "|}<")) {
			fputc('{', f);
			p = strchr(p, ':');
		} else if (*p == '[' && p != line && p[-1] != ' ' && p[1] == ' ') {
			fputs(" [", f);
			p++;
		} else {
			fputc(*p, f);
		}
	}
}

static void put_values(FILE *f, const struct syn_prog *p)
{
	for (unsigned i = 0; i < p->n_values; i++) {
		struct strbuf hint = STRBUF_INIT;
		bool told = false;

		for (unsigned k = 0; k < i; k++)
			told |= !strcmp(p->values[k].name, p->values[i].name);
		val_hint(&p->values[i].spec, 0, &hint);
		if (!told)
			fprintf(f, "- `%s`: %s, `%s`\n", p->values[i].name,
				p->values[i].spec.type->what, strbuf_str(&hint));
		strbuf_fini(&hint);
	}
}

static void put_line(FILE *f, const struct sch_line *l)
{
	fputs("#### `", f);
	put_syntax(f, l->row->line);
	fprintf(f, "`\n\n%s.", l->row->help ? l->row->help : "Configures it");
	if (l->row->dflt)
		fprintf(f, " Default: %s.", l->row->dflt);
	if (l->row->buffered)
		fputs(" What is typed in this mode applies when the mode is left.", f);
	fputs("\n\n", f);
	put_values(f, &l->prog);
	fprintf(f, "- in the file: `%s`\n\n",
		l->row->kind == SCH_K_LEAF && l->row->flag ? l->row->flag
		: l->row->kind == SCH_K_LEAF && l->prog.n_values
			? l->prog.values[l->prog.n_values - 1].name
			: l->row->type->name);
}

static void put_mode(FILE *f, const struct sch_type *container, const char *title)
{
	struct sch_line *const *lines;
	size_t n = schema_lines(container, &lines);

	fprintf(f, "### %s\n\n", title);
	for (size_t i = 0; i < n; i++)
		put_line(f, lines[i]);
	for (size_t i = 0; i < n; i++) {
		if (lines[i]->row->kind == SCH_K_MODE)
			put_mode(f, lines[i]->row->type, lines[i]->row->prompt);
	}
}

static int by_line(const void *a, const void *b)
{
	return strcmp((*(const struct cmd *const *)a)->line, (*(const struct cmd *const *)b)->line);
}

static void put_commands(FILE *f, enum cmd_where where)
{
	const struct cmd *cmd[MAX_COMMANDS];
	size_t n = MIN(commands_all(cmd, MAX_COMMANDS), (size_t)MAX_COMMANDS);

	qsort(cmd, n, sizeof(*cmd), by_line);
	fputs("| Command | What it does |\n|---|---|\n", f);
	for (size_t i = 0; i < n; i++) {
		char *text = NULL;
		size_t size = 0;
		FILE *m;

		if (cmd[i]->where != where)
			continue;
		m = open_memstream(&text, &size);
		if (!m)
			abort();
		put_syntax(m, cmd[i]->line);
		fclose(m);
		fputs("| `", f);
		for (const char *c = text; *c; c++) {
			if (*c == '|')
				fputc('\\', f);
			fputc(*c, f);
		}
		fprintf(f, "`%s | %s |\n", cmd[i]->admin ? " #" : "", cmd[i]->help);
		free(text);
	}
	fputc('\n', f);
}

int manual_print(FILE *f)
{
	fputs("# CLI reference\n\nWritten by `rtrd --print-manual` from the tables that the parser reads.\n"
	      "Every keyword can be shortened to a unique prefix; `?` lists what may come next, Tab\n"
	      "completes. In configuration, `no` before a line (or the beginning of one) removes it and\n"
	      "`default` brings its default back. Output filters: `| include RE`, `exclude`, `begin`,\n"
	      "`section`, `count`, `json`, `redirect FILE`, `append`, `tee`, in any chain.\n\n"
	      "## Commands\n\nThose marked # need `enable`.\n\n",
	      f);
	put_commands(f, CMD_EXEC);
	fputs("## Commands in configuration modes\n\n", f);
	put_commands(f, CMD_CONFIG);
	fputs("### In `configure candidate`\n\n", f);
	put_commands(f, CMD_CANDIDATE);
	fputs("## Configuration\n\n", f);
	put_mode(f, &global_type, "config");
	return ferror(f) ? -EIO : 0;
}
