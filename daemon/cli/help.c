/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `?` and Tab: what could come next at the end of the words typed so far. */
#include "cli/session.h"

#include "schema/schema.h"
#include "txn/txn.h"

#include <string.h>

/* Words that stand before any configuration line. */
static const char *const before_lines[][2] = {
	{ "default", "Set a command to its default" },
	{ "do", "Run an EXEC command" },
	{ "no", "Negate a command or set its default" },
};

/* Choices at the place of the cursor. */
struct choices {
	struct {
		char *word, *help;
		bool is_hint;
		const struct val_spec *spec;
	} * v;
	size_t n, room;
};

static void add_choice(struct choices *ch, const char *word, const char *help, bool is_hint,
		       const struct val_spec *spec)
{
	for (size_t i = 0; i < ch->n; i++) {
		if (!strcmp(ch->v[i].word, word))
			return;
	}
	if (ch->n == ch->room) {
		ch->room = ch->room ? ch->room * 2 : 32;
		ch->v = xrealloc(ch->v, ch->room * sizeof(*ch->v));
	}
	ch->v[ch->n].word = xstrdup(word);
	ch->v[ch->n].help = xstrdup(help);
	ch->v[ch->n].is_hint = is_hint;
	ch->v[ch->n++].spec = spec;
}

static void choices_fini(struct choices *ch)
{
	for (size_t i = 0; i < ch->n; i++) {
		free(ch->v[i].word);
		free(ch->v[i].help);
	}
	free(ch->v);
}

static const char *help_of(const struct syn_prog *p)
{
	const struct cmd *cmd = command_of(p);

	if (cmd)
		return cmd->help;
	return ((const struct sch_line *)p->owner)->row->help;
}

/* The keywords that lead to `word` in this line, joined: "configure terminal". Words behind a value
 * or a choice are looked up by themselves. */
static void word_path(const struct syn_prog *prog, const char *word, struct strbuf *b)
{
	for (unsigned i = 0; i < prog->lead_words; i++) {
		strbuf_addf(b, "%s%s", i ? " " : "", prog->tree->kid[i]->word);
		if (!strcmp(prog->tree->kid[i]->word, word))
			return;
	}
	strbuf_addf(b, " %s", word);
}

static void next_choice(void *arg, const char *word, bool is_hint, const struct syn_prog *prog,
			const struct val_spec *spec)
{
	const struct syn_node *tree = prog->tree;
	const char *help = is_hint && spec ? spec->type->what : "", *own = help_of(prog);
	struct strbuf path = STRBUF_INIT;

	if (!is_hint) {
		word_path(prog, word, &path);
		help = schema_word_help(prog->domain, strbuf_str(&path));
		/* A line of this one keyword, or ending in it, explains itself. */
		if (own && tree->n_kids == prog->lead_words &&
		    !strcmp(tree->kid[prog->lead_words - 1]->word, word))
			help = own;
		if (!help)
			help = own;
		strbuf_fini(&path);
	}
	add_choice(arg, word, help ? help : "", is_hint, spec);
}

static int by_place(const void *a, const void *b)
{
	const struct choices x = { .v = (void *)(uintptr_t)a }, y = { .v = (void *)(uintptr_t)b };
	bool cr_x = !strcmp(x.v->word, "<cr>"), cr_y = !strcmp(y.v->word, "<cr>");

	if (cr_x != cr_y)
		return cr_x - cr_y;
	if (x.v->is_hint != y.v->is_hint)
		return (int)x.v->is_hint - (int)y.v->is_hint;
	return strcmp(x.v->word, y.v->word);
}

static void match_set(const struct syn_set *set, const struct syn_words *w, size_t from, size_t to,
		      struct choices *ch, struct syn_result *ret)
{
	syn_match(set, w, from, to, ret);
	syn_next(ret, next_choice, ch);
}

/* After a lone `|`: the filters, or nothing that could be listed. */
static bool filter_choices(const struct syn_words *w, size_t to, struct choices *ch)
{
	size_t bar = to;

	for (size_t i = 0; i < to; i++)
		bar = strcmp(w->tok[i], "|") ? bar : i;
	if (bar == to)
		return false;
	for (size_t i = 0; bar + 1 == to && pipe_words[i][0]; i++)
		add_choice(ch, pipe_words[i][0], pipe_words[i][1], false, NULL);
	if (bar + 1 < to)
		add_choice(ch, "LINE", "a regular expression or a file name", true, NULL);
	return true;
}

/* What may follow words[0..to). A set that cannot go on is remembered in *ret for the error. */
static void find_choices(struct session *s, const struct syn_words *w, size_t to,
			 struct choices *ch, struct syn_result *ret)
{
	struct syn_result other;
	size_t from = 0;
	bool exec = s->mode == MODE_EXEC;

	*ret = (struct syn_result){ .status = SYN_INCOMPLETE };
	if (!exec && to && (!strcasecmp(w->tok[0], "do") || !strcasecmp(w->tok[0], "show"))) {
		from = !strcasecmp(w->tok[0], "do");
		exec = true;
	}
	if (exec) {
		if (filter_choices(w, to, ch))
			return;
		match_set(commands_set(CMD_EXEC, s->enabled), w, from, to, ch, ret);
		if (ret->status == SYN_OK)
			add_choice(ch, "|", "Output modifiers", true, NULL);
		if (s->mode == MODE_CANDIDATE && !from) {
			match_set(commands_set(CMD_CANDIDATE, true), w, 0, to, ch, &other);
			syn_result_fini(&other);
		}
	} else {
		editor_match(&s->ed, w, to, &from, ret);
		/* At the start of a line only what belongs to this mode. */
		syn_next(ret, next_choice, ch);
		if (!from) {
			match_set(commands_set(CMD_CONFIG, true), w, 0, to, ch, &other);
			syn_result_fini(&other);
			if (s->mode == MODE_CANDIDATE) {
				match_set(commands_set(CMD_CANDIDATE, true), w, 0, to, ch, &other);
				syn_result_fini(&other);
			}
		}
		for (size_t i = 0; i < ARRAY_LEN(before_lines) && !to; i++)
			add_choice(ch, before_lines[i][0], before_lines[i][1], false, NULL);
	}
	if (ch->n)
		qsort(ch->v, ch->n, sizeof(*ch->v), by_place);
}

/* The names that a value of this type could take on this box. */
struct offers {
	struct choices *ch;
	const char *prefix;
};

static void offer(void *arg, const char *word)
{
	struct offers *o = arg;

	if (!strncasecmp(word, o->prefix, strlen(o->prefix)))
		add_choice(o->ch, word, "", false, NULL);
}

/* "interface e?": the words that begin so, on lines of the terminal's width. */
struct named {
	struct session *s;
	const char *part;
	size_t col; /* 0: nothing was printed yet */
	size_t n;   /* names, printed or not */
};

/* Of a box with thousands of subinterfaces a page of names is told; Tab knows the others. */
#define MAX_NAMES 40

static void print_name(void *arg, const char *word)
{
	struct named *n = arg;
	size_t len = strlen(word) + 2;

	if (strncasecmp(word, n->part, strlen(n->part)))
		return;
	if (n->col && n->s->width && n->col + len > n->s->width) {
		session_printf(n->s, CONN_OUT, "\n");
		n->col = 0;
	}
	session_printf(n->s, CONN_OUT, "%s  ", word);
	n->col += len;
}

static void print_some(void *arg, const char *word)
{
	struct named *n = arg;

	if (n->n++ < MAX_NAMES)
		print_name(n, word);
}

/* "show monitor capture ?": below what may be typed, the names that there are. */
static void print_existing(struct named *n, const struct choices *ch)
{
	for (size_t i = 0; i < ch->n; i++) {
		const struct val_spec *spec = ch->v[i].spec;

		if (!ch->v[i].is_hint || !spec || !spec->type->complete)
			continue;
		spec->type->complete(spec, txn_running(), print_some, n);
		if (n->n > MAX_NAMES)
			session_printf(n->s, CONN_OUT, "... (%zu)", n->n);
	}
}

void session_help(struct session *s, const char *text)
{
	struct choices ch = { 0 };
	struct syn_result res;
	struct syn_words w;
	struct named names = { .s = s };
	size_t to, width = 0;

	syn_words_init(&w, text);
	to = w.open ? w.n - 1 : w.n;
	names.part = w.open ? w.tok[w.n - 1] : "";
	find_choices(s, &w, to, &ch, &res);
	for (size_t i = 0; i < ch.n; i++)
		width = MAX(width, strlen(ch.v[i].word));
	for (size_t i = 0; i < ch.n; i++) {
		const struct val_spec *spec = ch.v[i].spec;

		if (!w.open)
			session_printf(s, CONN_OUT, "  %-*s  %s\n", (int)width, ch.v[i].word,
				       ch.v[i].help);
		else if (!ch.v[i].is_hint)
			print_name(&names, ch.v[i].word);
		else if (spec && spec->type->complete)
			spec->type->complete(spec, txn_running(), print_name, &names);
	}
	if (!w.open)
		print_existing(&names, &ch);
	if (names.col)
		session_printf(s, CONN_OUT, "\n");
	else if (w.open || !ch.n)
		session_printf(s, CONN_OUT, "%s\n",
			       res.status == SYN_AMBIGUOUS ? "% Ambiguous command"
							   : "% Unrecognized command");
	choices_fini(&ch);
	syn_result_fini(&res);
	syn_words_fini(&w);
	conn_done(s->conn, 0, session_prompt(s));
}

void session_complete(struct session *s, const char *text, size_t cursor)
{
	char *head = xstrndup(text, cursor);
	struct choices ch = { 0 }, names = { 0 };
	struct syn_result res;
	struct syn_words w;
	const char **words, *part;
	size_t n = 0, to;

	syn_words_init(&w, head);
	to = w.open ? w.n - 1 : w.n;
	part = w.open ? w.tok[w.n - 1] : "";
	find_choices(s, &w, to, &ch, &res);
	for (size_t i = 0; i < ch.n; i++) {
		const struct val_spec *spec = ch.v[i].spec;

		if (!ch.v[i].is_hint)
			offer(&(struct offers){ &names, part }, ch.v[i].word);
		else if (spec && spec->type->complete)
			spec->type->complete(spec, txn_running(), offer,
					     &(struct offers){ &names, part });
	}
	words = xcalloc(names.n, sizeof(*words));
	for (; n < names.n; n++)
		words[n] = names.v[n].word;
	conn_completions(s->conn, w.open ? w.col[w.n - 1] : (unsigned)cursor, words, n);
	free(words);
	choices_fini(&names);
	choices_fini(&ch);
	syn_result_fini(&res);
	syn_words_fini(&w);
	free(head);
}
