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

/* {field:a|b} and [ word]: what the file may hold. */
static void put_choices(FILE *f, const struct sch_line *l)
{
	for (unsigned i = 0; i < l->prog.n_sets; i++) {
		const struct sch_field *field = &l->row->type->fields[l->set_field[i]];

		fprintf(f, "- `%s`: ", field->name);
		if (!field->choice)
			fputs("`true` or `false`", f);
		for (unsigned v = 0; field->choice && v < field->choice->n_kids; v++)
			fprintf(f, "%s`%s`", v ? ", " : "", sch_choice_word(field, v));
		fputs(field->choice ? "; may be left out in the file where a value tells\n" : "\n",
		      f);
	}
}

/* How the line stands in a configuration file. */
static void put_in_file(FILE *f, const struct sch_line *l)
{
	const struct sch_row *row = l->row;
	const struct sch_type *t = row->type;

	fputs("- in the file: `", f);
	if (row->kind != SCH_K_LEAF) {
		fprintf(f, "%s = ( { ", t->name);
		for (unsigned i = 0; i < t->n_key; i++)
			fprintf(f, "%s = ...; ", t->fields[t->key[i]].name);
		fputs(row->kind == SCH_K_MODE || t->n_fields > t->n_key ? "... } );`\n\n"
									: "} );`\n\n",
		      f);
		return;
	}
	if (row->flag)
		fprintf(f, "%s = true;`, or `false`\n\n", row->flag);
	else
		fprintf(f, "%s = ...;`\n\n",
			t->fields[l->prog.n_values ? l->value_field[l->prog.n_values - 1]
						   : l->set_field[0]]
				.name);
}

static void put_line(FILE *f, const struct sch_line *l)
{
	fputs("#### `", f);
	put_syntax(f, l->row->line);
	fprintf(f, "`\n\n%s.", l->row->help);
	if (l->row->dflt)
		fprintf(f, " Default: %s.", l->row->dflt);
	if (l->row->buffered)
		fputs(" What is typed in this mode applies when the mode is left.", f);
	if (l->row->secret)
		fputs(" Shown masked to readers, in logs and in JSON.", f);
	fputs("\n\n", f);
	put_values(f, &l->prog);
	put_choices(f, l);
	put_in_file(f, l);
}

/* The lines of a mode, then the modes inside it. maker: the line that enters it; NULL: the top. */
static void put_mode(FILE *f, const struct sch_type *container, const struct sch_line *maker)
{
	struct sch_line *const *lines;
	size_t n = schema_lines(container, &lines);

	if (maker) {
		fputs("### In `", f);
		put_syntax(f, maker->row->line);
		fprintf(f, "`, prompt `(%s)#`\n\n", maker->row->prompt);
	} else {
		fputs("### Global, prompt `(config)#`\n\n", f);
	}
	for (size_t i = 0; i < n; i++)
		put_line(f, lines[i]);
	for (size_t i = 0; i < n; i++) {
		if (lines[i]->row->kind == SCH_K_MODE)
			put_mode(f, lines[i]->row->type, lines[i]);
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
	      "\n"
	      "- `word`: typed as it is, or any beginning of it that no other word shares\n"
	      "- `<value>`: a value; `[...]` may be left out; `{a|b}` is one of them\n"
	      "- `?` lists what may come next, Tab completes\n"
	      "- in configuration, `no` before a line (or the beginning of one) removes it, `default`\n"
	      "  brings its default back, `do` runs a command of the first table\n"
	      "- output filters, in any chain: `| include RE`, `| exclude RE`, `| begin RE`,\n"
	      "  `| section RE`, `| count [RE]`, `| json`, `| redirect FILE`, `| append FILE`,\n"
	      "  `| tee FILE`\n\n"
	      "## Commands\n\nThose marked # need `enable`.\n\n",
	      f);
	put_commands(f, CMD_EXEC);
	fputs("## Commands in configuration modes\n\n", f);
	put_commands(f, CMD_CONFIG);
	fputs("### In `configure candidate`\n\n", f);
	put_commands(f, CMD_CANDIDATE);
	fputs("## Configuration\n\n", f);
	put_mode(f, &global_type, NULL);
	return ferror(f) ? -EIO : 0;
}
