/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/session.h"
#include "domain.h"
#include "schema/text.h"

#include <string.h>

/* ---- the table ---- */

struct entry {
	const struct cmd *cmd;
	struct syn_prog prog;
};

static struct {
	struct entry *v;
	size_t n;
	struct syn_set set[CMD_CANDIDATE + 1][2]; /* by place, and by `admin` */
	char *error;
} table;

const char *commands_init(const struct domain *const *domains, size_t n)
{
	size_t total = 0;

	for (size_t d = 0; d < n; d++)
		total += domains[d]->n_cmds;
	table.v = xcalloc(total, sizeof(*table.v));
	for (size_t d = 0; d < n; d++) {
		for (size_t i = 0; i < domains[d]->n_cmds; i++) {
			struct entry *e = &table.v[table.n++];

			e->cmd = &domains[d]->cmds[i];
			table.error = syn_compile(&e->prog, e->cmd->line, e);
			e->prog.domain = domains[d];
			if (table.error)
				return table.error;
			syn_set_add(&table.set[e->cmd->where][1], &e->prog);
			if (!e->cmd->admin)
				syn_set_add(&table.set[e->cmd->where][0], &e->prog);
		}
	}
	return NULL;
}

void commands_fini(void)
{
	for (size_t i = 0; i < table.n; i++)
		syn_free(&table.v[i].prog);
	for (unsigned w = 0; w < ARRAY_LEN(table.set); w++) {
		syn_set_fini(&table.set[w][0]);
		syn_set_fini(&table.set[w][1]);
	}
	free(table.v);
	free(table.error);
	memset(&table, 0, sizeof(table));
}

const struct syn_set *commands_set(enum cmd_where where, bool admin)
{
	return &table.set[where][admin];
}

const struct cmd *command_of(const struct syn_prog *p)
{
	for (size_t i = 0; i < table.n; i++) {
		if (&table.v[i].prog == p)
			return table.v[i].cmd;
	}
	return NULL;
}

size_t commands_all(const struct cmd **ret, size_t room)
{
	for (size_t i = 0; i < table.n && i < room; i++)
		ret[i] = table.v[i].cmd;
	return table.n;
}

/* ---- what was typed ---- */

bool cmd_get(const struct cmd_ctx *c, const char *name, void *dst)
{
	const struct syn_thread *t = &c->match.thread[0];

	for (unsigned i = 0; i < t->prog->n_values; i++) {
		if (!strcmp(t->prog->values[i].name, name) && !syn_capture(t, &c->words, i, dst))
			return true;
	}
	return false;
}

int cmd_choice(const struct cmd_ctx *c, const char *name)
{
	const struct syn_thread *t = &c->match.thread[0];

	for (unsigned i = 0; i < t->prog->n_sets; i++) {
		if (!strcmp(t->prog->sets[i], name) && (t->set_mask >> i & 1))
			return t->set[i];
	}
	return -1;
}

/* ---- output ---- */

void cmd_puts(struct cmd_ctx *c, const char *text)
{
	c->put = true;
	pipe_feed(&c->pipe, text, strlen(text));
}

void cmd_printf(struct cmd_ctx *c, const char *fmt, ...)
{
	struct strbuf b = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&b, fmt, ap);
	va_end(ap);
	c->put = true;
	pipe_feed(&c->pipe, strbuf_str(&b), b.len);
	strbuf_fini(&b);
}

void cmd_lines(struct cmd_ctx *c, const char *text)
{
	json_t *doc, *lines = json_array();
	char *dump;

	if (!c->pipe.json) {
		cmd_puts(c, text);
		json_decref(lines);
		return;
	}
	for (const char *l = text, *e; *l; l = *e ? e + 1 : e) {
		e = l + strcspn(l, "\n");
		json_array_append_new(lines, json_stringn(l, (size_t)(e - l)));
	}
	doc = json_pack("{s:o}", "lines", lines);
	dump = json_dumps(doc, JSON_INDENT(2));
	cmd_printf(c, "%s\n", dump);
	free(dump);
	json_decref(doc);
}

void cmd_config(struct cmd_ctx *c, const struct rec *root, unsigned flags)
{
	struct strbuf b = STRBUF_INIT;

	if (!cmd_admin(c))
		flags |= TEXT_MASKED;
	if (cmd_json(c)) {
		json_t *j = model_to_json(root, flags);
		char *text = json_dumps(j, JSON_INDENT(2));

		cmd_printf(c, "%s\n", text);
		free(text);
		json_decref(j);
		return;
	}
	text_config(root, flags, &b);
	cmd_puts(c, strbuf_str(&b));
	strbuf_fini(&b);
}

bool cmd_json(const struct cmd_ctx *c)
{
	return c->pipe.json;
}

bool cmd_congested(const struct cmd_ctx *c)
{
	return conn_congested(c->s->conn);
}

void cmd_fail(struct cmd_ctx *c, const char *fmt, ...)
{
	struct strbuf b = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&b, fmt, ap);
	va_end(ap);
	while (b.len && b.s[b.len - 1] == '\n')
		b.s[--b.len] = '\0';
	c->status = 1;
	c->failed = true;
	if (c->pipe.json) {
		json_t *e = json_pack("{s:s}", "error", strbuf_str(&b));
		char *text = json_dumps(e, JSON_INDENT(2));

		cmd_printf(c, "%s\n", text);
		free(text);
		json_decref(e);
	} else {
		session_printf(c->s, CONN_ERR, "%% %s\n", strbuf_str(&b));
	}
	strbuf_fini(&b);
}

/* ---- commands that wait ---- */

void cmd_pend(struct cmd_ctx *c)
{
	c->pending = true;
}

void cmd_set_data(struct cmd_ctx *c, void *data)
{
	c->data = data;
}

void *cmd_data(const struct cmd_ctx *c)
{
	return c->data;
}

struct session *cmd_session(const struct cmd_ctx *c)
{
	return c->s;
}

const char *cmd_user(const struct cmd_ctx *c)
{
	return conn_peer(c->s->conn)->user;
}

void cmd_ask(struct cmd_ctx *c, const char *question,
	     void (*answer)(struct cmd_ctx *c, const char *text))
{
	if (!cmd_asked(c)) {
		answer(c, "");
		return;
	}
	c->answer = answer;
	conn_question(c->s->conn, question, true);
}

bool cmd_admin(const struct cmd_ctx *c)
{
	return c->s->enabled;
}

bool cmd_asked(const struct cmd_ctx *c)
{
	return conn_peer(c->s->conn)->interactive && !c->s->several;
}
