/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every line and every keyword of the real tables is explained, and all are in the manual. */
#include "../lib/check_main.h"

#include "cli/session.h"
#include "domain.h"
#include "schema/manual.h"
#include "schema/schema.h"
#include "strbuf.h"

#include <ctype.h>

#define MAX_COMMANDS 1024

static const struct domain *const *domains;
static size_t n_domains;
static char *manual;

static void set_up(void)
{
	size_t size;
	FILE *f = open_memstream(&manual, &size);

	ck_assert_ptr_null(domains_sort(&domains, &n_domains));
	ck_assert_ptr_null(schema_init(domains, n_domains));
	ck_assert_ptr_null(commands_init(domains, n_domains));
	ck_assert_int_eq(manual_print(f), 0);
	fclose(f);
}

static void tear_down(void)
{
	free(manual);
	commands_fini();
	schema_fini();
}

/* One sentence, without a full stop. */
static void good_help(const char *what, const char *help)
{
	ck_assert_msg(help && *help, "%s has no help", what);
	ck_assert_msg(!islower((unsigned char)*help) && help[strlen(help) - 1] != '.',
		      "%s: help \"%s\"", what, help);
}

START_TEST(rows_have_help)
{
	for (size_t i = 0; i < n_domains; i++) {
		const struct domain *d = domains[i];

		for (size_t k = 0; k < d->n_rows; k++)
			good_help(d->rows[k].line, d->rows[k].help);
		for (size_t k = 0; k < d->n_words; k++)
			good_help(d->words[k].word, d->words[k].help);
		for (size_t k = 0; k < d->n_cmds; k++)
			good_help(d->cmds[k].line, d->cmds[k].help);
	}
}
END_TEST

/* Behind a value the help of the line would explain something else. */
static void late_words(const struct syn_prog *p, const struct syn_node *n, unsigned from)
{
	for (size_t i = from; i < n->n_kids; i++) {
		const struct syn_node *kid = n->kid[i];

		if (kid->kind == SYN_WORD) {
			char path[128];

			snprintf(path, sizeof(path), " %s", kid->word);
			ck_assert_msg(schema_word_help(p->domain, path) != NULL,
				      "\"%s\" in \"%s\" has no help", kid->word, p->text);
		}
		late_words(p, kid, 0);
	}
}

static void lead_words(const struct syn_prog *p)
{
	struct strbuf path = STRBUF_INIT;

	for (unsigned i = 0; i < p->lead_words; i++) {
		strbuf_addf(&path, "%s%s", i ? " " : "", p->tree->kid[i]->word);
		/* The last one of a line that ends there is explained by the line. */
		if (i + 1 < p->lead_words)
			ck_assert_msg(schema_word_help(p->domain, strbuf_str(&path)) != NULL,
				      "\"%s\" in \"%s\" has no help", strbuf_str(&path), p->text);
	}
	strbuf_fini(&path);
	late_words(p, p->tree, p->lead_words);
}

static void mode_words(const struct sch_type *t)
{
	struct sch_line *const *lines;
	size_t n = schema_lines(t, &lines);

	for (size_t i = 0; i < n; i++) {
		lead_words(&lines[i]->prog);
		if (lines[i]->row->kind == SCH_K_MODE)
			mode_words(lines[i]->row->type);
	}
}

START_TEST(keywords_have_help)
{
	static const enum cmd_where where[] = { CMD_EXEC, CMD_CONFIG, CMD_CANDIDATE };

	mode_words(&global_type);
	for (size_t w = 0; w < ARRAY_LEN(where); w++) {
		const struct syn_set *set = commands_set(where[w], true);

		for (size_t i = 0; i < set->n; i++)
			lead_words(set->prog[i]);
	}
}
END_TEST

static const struct domain *owner_of(const char *begin)
{
	for (size_t d = 0; d < n_domains; d++) {
		for (size_t k = 0; k < domains[d]->n_rows; k++) {
			if (!strncmp(domains[d]->rows[k].line, begin, strlen(begin)))
				return domains[d];
		}
		for (size_t k = 0; k < domains[d]->n_cmds; k++) {
			if (!strncmp(domains[d]->cmds[k].line, begin, strlen(begin)))
				return domains[d];
		}
	}
	return NULL;
}

/* The same word means different things in different lines: a domain's own help goes first. */
START_TEST(own_help_goes_first)
{
	static const struct {
		const char *line, *path, *help; /* how a line of the domain begins */
	} is[] = {
		{ "write", "write memory", "To the startup configuration" },
		{ "show conntrack", "show conntrack limit", "Most that are shown" },
		{ "ip policy", "ip policy", "Policy routing" },
		{ "ip address <", "ip address", "Addresses of the interface" },
		{ "arp limit", "arp limit", "Most entries" },
	};
	for (size_t i = 0; i < ARRAY_LEN(is); i++) {
		const struct domain *owner = owner_of(is[i].line);

		ck_assert_msg(owner != NULL, "no domain has \"%s\"", is[i].line);
		ck_assert_str_eq(schema_word_help(owner, is[i].path), is[i].help);
	}
}
END_TEST

/* The keywords that a line starts with, as the manual prints them. */
static void is_in_manual(const char *line)
{
	size_t len = strcspn(line, "<[{");
	char *start = xasprintf("`%.*s", (int)len, line);

	ck_assert_msg(strstr(manual, start) != NULL, "%s is not in the manual", line);
	free(start);
}

START_TEST(manual_is_complete)
{
	for (size_t i = 0; i < n_domains; i++) {
		for (size_t k = 0; k < domains[i]->n_rows; k++)
			is_in_manual(domains[i]->rows[k].line);
		for (size_t k = 0; k < domains[i]->n_cmds; k++)
			is_in_manual(domains[i]->cmds[k].line);
	}
}
END_TEST

/* Markdown: a table row has as many cells as its head, a code span ends in its line. */
START_TEST(manual_is_markdown)
{
	for (const char *l = manual, *e; *l; l = e + (*e != '\0')) {
		unsigned ticks = 0, bars = 0;

		e = l + strcspn(l, "\n");
		for (const char *c = l; c < e; c++) {
			ticks += *c == '`';
			bars += *c == '|' && (c == l || c[-1] != '\\');
		}
		ck_assert_msg(ticks % 2 == 0, "%.*s", (int)(e - l), l);
		if (*l == '|')
			ck_assert_msg(bars == 3, "%.*s", (int)(e - l), l);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("manual");
	TCase *t = tcase_create("manual");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, rows_have_help);
	tcase_add_test(t, keywords_have_help);
	tcase_add_test(t, own_help_goes_first);
	tcase_add_test(t, manual_is_complete);
	tcase_add_test(t, manual_is_markdown);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
