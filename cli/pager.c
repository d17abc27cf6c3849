/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pager.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>

static const char more[] = " --More-- ";

void pager_start(struct pager *p, struct term *t, unsigned length)
{
	*p = (struct pager){ .term = t, .length = length };
}

static void forget_filter(struct pager *p)
{
	if (p->filter != PAGER_ALL)
		regfree(&p->re);
	p->filter = PAGER_ALL;
}

static int wait_key(struct pager *p)
{
	struct term_signals s;
	int key;

	while ((key = term_byte(p->term)) < 0) {
		s = term_take_signals();
		if (p->term->eof || s.quit || s.intr)
			return 'q';
		if (s.winch)
			term_measure(p->term);
		term_wait(p->term, -1, -1);
	}
	return key;
}

static void erase_prompt(size_t len)
{
	struct strbuf b = STRBUF_INIT;

	strbuf_addc(&b, '\r');
	for (size_t i = 0; i < len; i++)
		strbuf_addc(&b, ' ');
	strbuf_addc(&b, '\r');
	term_raw(b.s, b.len);
	strbuf_fini(&b);
}

/* Reads the expression after the key; false when it was given up. */
static bool read_re(struct pager *p, char kind, struct strbuf *re)
{
	char shown[2] = { kind, 0 };

	term_puts(shown);
	for (;;) {
		int key = wait_key(p);
		char ch = (char)key;

		if (key == '\r' || key == '\n')
			return re->len > 0;
		if (key == KEY_CTRL('C') || p->term->eof)
			return false;
		if (key == 0x7f || key == KEY_CTRL('H')) {
			if (!re->len)
				return false;
			re->s[--re->len] = '\0';
			term_puts("\b \b");
		} else if (key >= ' ') {
			strbuf_addc(re, ch);
			term_text(&ch, 1);
		}
	}
}

/* True when there is a new filter. */
static bool ask_filter(struct pager *p, char kind)
{
	struct strbuf re = STRBUF_INIT;
	bool got = read_re(p, kind, &re);

	erase_prompt(sizeof(more) + 1 + re.len);
	if (got) {
		regex_t compiled;

		if (regcomp(&compiled, re.s, REG_EXTENDED | REG_NOSUB)) {
			term_puts("% Not a regular expression: ");
			term_text(re.s, re.len);
			term_puts("\n");
			got = false;
		} else {
			forget_filter(p);
			p->re = compiled;
			p->filter = kind == '/'   ? PAGER_FROM
				    : kind == '+' ? PAGER_ONLY
						  : PAGER_WITHOUT;
		}
	}
	strbuf_fini(&re);
	return got;
}

static void ask(struct pager *p)
{
	term_puts(more);
	for (;;) {
		int key = wait_key(p);

		switch (key) {
		case ' ':
		case 'f':
			p->used = 0;
			erase_prompt(sizeof(more));
			return;
		case '\r':
		case '\n':
			p->used = p->length - 2;
			erase_prompt(sizeof(more));
			return;
		case 'q':
		case 'Q':
		case KEY_CTRL('C'):
			p->quit = true;
			erase_prompt(sizeof(more));
			return;
		case '/':
		case '+':
		case '-':
			if (ask_filter(p, (char)key)) {
				p->used = 0;
				return;
			}
			term_puts(more);
			break;
		default:
			break;
		}
	}
}

/* Screen rows that the line takes; UTF-8 continuation bytes take none. */
static unsigned rows_of(const struct pager *p)
{
	unsigned width = 0;

	for (size_t i = 0; i < p->line.len; i++) {
		unsigned char ch = (unsigned char)p->line.s[i];

		if (ch == '\t')
			width = ROUND_UP(width + 1, 8u);
		else if (ch < 0x20 || ch == 0x7f)
			width += 2;
		else if ((ch & 0xc0) != 0x80)
			width++;
	}
	return width ? DIV_ROUND_UP(width, MAX(p->term->cols, 1u)) : 1;
}

static bool wanted(struct pager *p)
{
	bool match;

	if (p->filter == PAGER_ALL)
		return true;
	match = regexec(&p->re, strbuf_str(&p->line), 0, NULL, 0) == 0;
	if (p->filter == PAGER_FROM && match)
		forget_filter(p);
	return match == (p->filter != PAGER_WITHOUT);
}

static void show_line(struct pager *p, bool newline)
{
	unsigned rows = rows_of(p);
	bool show = wanted(p);

	/* One row is the prompt's; a line longer than the screen is shown all the same. A filter
	 * given at the prompt judges this very line. */
	if (show && p->length > 1 && p->used && p->used + rows > p->length - 1) {
		ask(p);
		show = !p->quit && wanted(p);
	}
	if (show) {
		term_text(strbuf_str(&p->line), p->line.len);
		if (newline)
			term_puts("\n");
		p->used += rows;
	}
	strbuf_reset(&p->line);
}

void pager_write(struct pager *p, const char *s, size_t len)
{
	while (len && !p->quit) {
		const char *nl = memchr(s, '\n', len);
		size_t n = nl ? (size_t)(nl - s) : len;

		strbuf_add(&p->line, s, n);
		s += n;
		len -= n;
		if (nl) {
			show_line(p, true);
			s++;
			len--;
		}
	}
}

void pager_end(struct pager *p)
{
	if (p->line.len && !p->quit)
		show_line(p, false);
	strbuf_fini(&p->line);
	forget_filter(p);
}
