/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "edit.h"
#include "history.h"

#include <histedit.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* A paste without bracketed-paste marks is over when nothing has come for this long: far above
 * the gaps inside one, far below a person's fastest next key. */
#define PASTE_GAP_MS 30
/* A marked paste whose end mark does not come (a terminal that died in it). */
#define PASTE_END_MS 5000
/* An EXEC with its header fits CLP_MAX_SIZE. */
#define PASTE_MAX (CLP_MAX_SIZE - 64)

struct edit {
	struct shell *sh;
	EditLine *el;
	struct cli_history *history;
	enum edit_result result;
	bool decided;         /* a key's function has set result and text */
	bool end_next;        /* ^Z: `end` comes after the line */
	struct strbuf text;   /* of result */
	struct strbuf behind; /* the unfinished last line of a paste: the start of the next line */
	mbstate_t mb;
};

static struct edit *edit_of(EditLine *el)
{
	struct edit *e;

	el_get(el, EL_CLIENTDATA, &e);
	return e;
}

static char *prompt(EditLine *el)
{
	return edit_of(el)->sh->prompt;
}

/* ---- where the cursor is ---- */

static unsigned width(const char *s, size_t len)
{
	unsigned n = 0;

	for (size_t i = 0; i < len; i++)
		n += ((unsigned char)s[i] & 0xc0) != 0x80;
	return n;
}

/* To the first column of the line's first row, all below it erased. */
static void erase_line(struct edit *e)
{
	const LineInfo *li = el_line(e->el);
	unsigned at = width(e->sh->prompt, strlen(e->sh->prompt)) +
		      width(li->buffer, (size_t)(li->cursor - li->buffer));
	unsigned up = at / e->sh->term.cols;
	char seq[32] = "";

	if (!e->sh->term.smart) {
		term_puts("\n");
		return;
	}
	if (up)
		snprintf(seq, sizeof(seq), "\033[%uA", up);
	term_puts(seq);
	term_puts("\r\033[J");
}

/* To the first column of the row after the line's last. */
static void below_line(struct edit *e)
{
	const LineInfo *li = el_line(e->el);
	unsigned p = width(e->sh->prompt, strlen(e->sh->prompt));
	unsigned at = p + width(li->buffer, (size_t)(li->cursor - li->buffer));
	unsigned end = p + width(li->buffer, (size_t)(li->lastchar - li->buffer));

	for (unsigned row = at / e->sh->term.cols; row <= end / e->sh->term.cols; row++)
		term_puts("\n");
}

static void redraw(struct edit *e)
{
	el_set(e->el, EL_REFRESH);
}

/* ---- input ---- */

/* What rtrd says while a line is edited goes above it. */
static void take_messages(struct edit *e)
{
	struct shell *sh = e->sh;
	struct clp_msg m;
	int r = client_fill(&sh->client), got;
	bool erased = false;

	while ((got = client_next(&sh->client, &m)) == 1) {
		if (!erased)
			erase_line(e);
		erased = true;
		shell_async(sh, &m);
	}
	if (r || got < 0) {
		if (!erased)
			erase_line(e);
		erased = true;
		if (!sh->over)
			shell_reconnect(sh);
	}
	if (erased && !sh->over)
		redraw(e);
}

static void resized(struct edit *e)
{
	struct shell *sh = e->sh;

	if (!term_measure(&sh->term))
		return;
	el_resize(e->el);
	/* An error here is seen at the next read of the socket. */
	(void)client_send_term(&sh->client, sh->term.cols, sh->term.rows);
}

/* Takes one character off the buffer. False: it is not whole yet. */
static bool take_wchar(struct edit *e, wchar_t *wc)
{
	int byte;

	while ((byte = term_byte(&e->sh->term)) >= 0) {
		char ch = (char)byte;
		size_t n = mbrtowc(wc, &ch, 1, &e->mb);

		if (n == (size_t)-2)
			continue;
		if (n == (size_t)-1) {
			e->mb = (mbstate_t){ 0 };
			continue;
		}
		if (n == 0)
			*wc = L'\0';
		return true;
	}
	return false;
}

static int read_char(EditLine *el, wchar_t *wc)
{
	struct edit *e = edit_of(el);
	struct shell *sh = e->sh;

	if (e->behind.len) {
		erase_line(e);
		el_insertstr(el, e->behind.s);
		strbuf_reset(&e->behind);
		redraw(e);
	}
	for (;;) {
		struct term_signals s;

		if (take_wchar(e, wc))
			return 1;
		if (sh->term.eof || sh->over)
			return 0;
		if (term_wait(&sh->term, sh->client.fd, -1))
			take_messages(e);
		s = term_take_signals();
		if (s.quit)
			return 0;
		if (s.winch)
			resized(e);
		if (s.intr) {
			*wc = KEY_CTRL('C');
			return 1;
		}
	}
}

/* ---- keys ---- */

static unsigned char decide(struct edit *e, enum edit_result result)
{
	e->result = result;
	e->decided = true;
	below_line(e);
	return CC_NEWLINE;
}

static unsigned char on_cancel(EditLine *el, int key)
{
	term_puts("^C");
	return decide(edit_of(el), EDIT_CANCEL);
}

static unsigned char on_end_key(EditLine *el, int key)
{
	struct edit *e = edit_of(el);

	const LineInfo *li = el_line(el);

	term_puts("^Z");
	strbuf_add(&e->text, li->buffer, (size_t)(li->lastchar - li->buffer));
	e->end_next = true;
	return decide(e, EDIT_LINE);
}

/* A request from under the line; the caller draws it again. */
static bool request(struct edit *e, enum clp_type type, const LineInfo *li, struct reply *ret)
{
	size_t len = (size_t)(li->cursor - li->buffer);
	char *text = xstrndup(li->buffer, len);
	int r = shell_request(e->sh, type, (uint32_t)len, text, len, ret);

	free(text);
	if (r && !e->sh->over)
		shell_reconnect(e->sh);
	return !r;
}

static bool in_quotes(const LineInfo *li)
{
	bool in = false;

	for (const char *p = li->buffer; p < li->cursor; p++)
		if (*p == '"' && (p == li->buffer || p[-1] != '\\'))
			in = !in;
	return in;
}

/* Whole lines and more came together with this key: text of a terminal that does not mark its
 * pastes. */
static bool pasted(const struct edit *e)
{
	const struct term *t = &e->sh->term;
	size_t len = term_pending(t);
	const char *p = t->keys.s + t->pos;

	for (size_t i = 0; i + 1 < len; i++)
		if (p[i] == '\r' || p[i] == '\n')
			return true;
	return false;
}

static unsigned char on_help(EditLine *el, int key)
{
	struct edit *e = edit_of(el);
	const LineInfo *li = el_line(el);
	struct reply reply;

	if (in_quotes(li) || pasted(e)) {
		el_insertstr(el, "?");
		return CC_REFRESH;
	}
	if (li->cursor == li->lastchar)
		term_puts("?");
	below_line(e);
	request(e, CLP_HELP, li, &reply);
	reply_fini(&reply);
	if (!e->sh->over)
		redraw(e);
	return CC_NORM;
}

/* The length that all words share. */
static size_t common_prefix(const struct reply *r)
{
	const char *first = r->words.s, *w = first;
	size_t n = strlen(first);

	for (unsigned i = 0; i < r->n_words; i++, w += strlen(w) + 1) {
		size_t k = 0;

		while (k < n && first[k] == w[k])
			k++;
		n = k;
	}
	return n;
}

static void list_words(struct edit *e, const struct reply *r)
{
	const char *w = r->words.s;
	unsigned col = 0;

	below_line(e);
	for (unsigned i = 0; i < r->n_words; i++, w += strlen(w) + 1) {
		unsigned n = width(w, strlen(w)) + 2;

		if (col && col + n > e->sh->term.cols) {
			term_puts("\n");
			col = 0;
		}
		term_text(w, strlen(w));
		term_puts("  ");
		col += n;
	}
	term_puts("\n");
}

static void replace(struct edit *e, size_t start, const char *word, size_t len, bool whole)
{
	const LineInfo *li = el_line(e->el);
	char *text = xasprintf("%.*s%s", (int)len, word, whole ? " " : "");

	el_deletestr(e->el,
		     (int)width(li->buffer + start, (size_t)(li->cursor - li->buffer) - start));
	el_insertstr(e->el, text);
	free(text);
}

static unsigned char on_tab(EditLine *el, int key)
{
	struct edit *e = edit_of(el);
	const LineInfo *li = el_line(el);
	size_t at = (size_t)(li->cursor - li->buffer), typed, len;
	unsigned char result = CC_REFRESH;
	struct reply r;

	if (pasted(e)) {
		el_insertstr(el, " ");
		return CC_REFRESH;
	}
	if (!request(e, CLP_COMPLETE, li, &r)) {
		reply_fini(&r);
		if (!e->sh->over)
			redraw(e);
		return CC_NORM;
	}
	if (!r.n_words || r.start > at) {
		result = CC_REFRESH_BEEP;
	} else {
		typed = at - r.start;
		len = common_prefix(&r);
		if (r.n_words == 1 || len > typed) {
			replace(e, r.start, r.words.s, len, r.n_words == 1);
		} else {
			list_words(e, &r);
			redraw(e);
			result = CC_NORM;
		}
	}
	reply_fini(&r);
	return result;
}

/* ---- paste ---- */

static const char paste_end[] = "\033[201~";

/* Reads up to the end mark; newlines become \n, other control characters but tab go. False when
 * it was too long: all of it is read and thrown away. */
static bool read_marked(struct edit *e, struct strbuf *text)
{
	struct term *t = &e->sh->term;
	size_t match = 0;
	bool fits = true, cr = false;

	while (match < sizeof(paste_end) - 1) {
		int byte = term_byte(t);

		if (byte < 0) {
			size_t before = term_pending(t);

			term_wait(t, -1, PASTE_END_MS);
			if (term_pending(t) == before)
				break;
			continue;
		}
		match = byte == paste_end[match] ? match + 1 : byte == paste_end[0];
		if (text->len >= PASTE_MAX)
			fits = false;
		if (byte == '\r' || (byte == '\n' && !cr))
			byte = '\n';
		else if (byte == '\n')
			byte = 0;
		cr = byte == '\n' && t->keys.s[t->pos - 1] == '\r';
		if (fits && (byte == '\n' || byte == '\t' || byte == '\033' || byte >= ' '))
			strbuf_addc(text, (char)byte);
	}
	/* The mark itself was added as it came; other escapes mean nothing in a configuration. */
	if (match == sizeof(paste_end) - 1 && fits) {
		text->len -= match;
		text->s[text->len] = '\0';
	}
	for (size_t i = 0; i < text->len; i++)
		if (text->s[i] == '\033')
			text->s[i] = ' ';
	return fits;
}

/* Pasted lines, the first of them behind `before` and the last, when it has no newline, before
 * `after`: a transaction, with what is not finished left for the next line. */
static void take_paste(struct edit *e, const char *before, const char *paste, const char *after)
{
	const char *last = strrchr(paste, '\n');
	unsigned n = 0;
	char note[80];

	strbuf_reset(&e->text);
	strbuf_adds(&e->text, before);
	strbuf_add(&e->text, paste, (size_t)(last - paste) + 1);
	strbuf_adds(&e->behind, last + 1);
	strbuf_adds(&e->behind, after);
	for (size_t i = 0; i < e->text.len; i++)
		n += e->text.s[i] == '\n';
	snprintf(note, sizeof(note), "[%u lines pasted, sent as one]\n", n);
	term_puts(note);
	e->result = EDIT_PASTE;
	e->decided = true;
}

static void too_long(void)
{
	term_puts("% The paste is longer than 16 MiB: nothing of it was sent.\n");
}

static unsigned char on_paste(EditLine *el, int key)
{
	struct edit *e = edit_of(el);
	struct strbuf paste = STRBUF_INIT, before = STRBUF_INIT, after = STRBUF_INIT;
	const LineInfo *li = el_line(el);
	unsigned char result = CC_REFRESH;
	char *nl;

	if (!read_marked(e, &paste)) {
		result = decide(e, EDIT_CANCEL);
		too_long();
		goto out;
	}
	nl = paste.len ? strchr(paste.s, '\n') : NULL;
	if (!nl) {
		/* A piece of a line is as if typed. Tabs do not show what they would do. */
		for (size_t i = 0; i < paste.len; i++)
			if (paste.s[i] == '\t')
				paste.s[i] = ' ';
		el_insertstr(el, strbuf_str(&paste));
		goto out;
	}
	strbuf_add(&before, li->buffer, (size_t)(li->cursor - li->buffer));
	strbuf_add(&after, li->cursor, (size_t)(li->lastchar - li->cursor));
	if (!nl[1] && !after.len) {
		/* One whole line: shown and carried out as if typed. */
		*nl = '\0';
		erase_line(e);
		el_insertstr(el, paste.s);
		redraw(e);
		strbuf_add(&e->text, strbuf_str(&before), before.len);
		strbuf_adds(&e->text, paste.s);
		result = decide(e, EDIT_LINE);
		goto out;
	}
	below_line(e);
	take_paste(e, strbuf_str(&before), paste.s, strbuf_str(&after));
	result = CC_NEWLINE;
out:
	strbuf_fini(&paste);
	strbuf_fini(&before);
	strbuf_fini(&after);
	return result;
}

/* After Enter: more lines are there already, which nobody types. They and the line just entered
 * are one paste. Keys other than text make it typing ahead instead. */
static void collect_unmarked(struct edit *e)
{
	struct term *t = &e->sh->term;
	size_t seen = SIZE_MAX, len;
	char *more, *first;

	if (t->eof || e->sh->over)
		return;
	/* Immediately pending, or not a paste at all. */
	term_wait(t, -1, 0);
	while (term_pending(t) && term_pending(t) != seen && term_pending(t) < PASTE_MAX) {
		seen = term_pending(t);
		term_wait(t, -1, PASTE_GAP_MS);
	}
	len = term_pending(t);
	if (!len)
		return;
	more = xstrndup(t->keys.s + t->pos, len);
	for (size_t i = 0; i < len; i++) {
		if (more[i] == '\r')
			more[i] = '\n';
		if (((unsigned char)more[i] < ' ' && more[i] != '\n' && more[i] != '\t') ||
		    more[i] == 0x7f)
			goto out;
	}
	if (!strchr(more, '\n'))
		goto out;
	term_flush_input(t);
	if (len >= PASTE_MAX) {
		too_long();
		e->result = EDIT_CANCEL;
		goto out;
	}
	strbuf_addc(&e->text, '\n');
	first = strbuf_steal(&e->text);
	take_paste(e, first, more, "");
	free(first);
out:
	free(more);
}

/* ---- */

static void bind_keys(EditLine *el)
{
	static const struct {
		const char *key, *function;
	} keys[] = {
		{ "?", "rtr-help" },
		{ "^I", "rtr-tab" },
		{ "^C", "rtr-cancel" },
		{ "^Z", "rtr-end" },
		{ "\033[200~", "rtr-paste" },
		{ "^D", "em-delete-or-list" },
		{ "^U", "vi-kill-line-prev" },
		{ "^X", "vi-kill-line-prev" },
		{ "^W", "ed-delete-prev-word" },
		{ "^R", "ed-redisplay" },
		{ "^L", "ed-clear-screen" },
		{ "\033[3~", "ed-delete-next-char" },
		{ "\033[1~", "ed-move-to-beg" },
		{ "\033[4~", "ed-move-to-end" },
		{ "\033[H", "ed-move-to-beg" },
		{ "\033[F", "ed-move-to-end" },
	};

	el_set(el, EL_ADDFN, "rtr-help", "What may come next", on_help);
	el_set(el, EL_ADDFN, "rtr-tab", "Complete the word", on_tab);
	el_set(el, EL_ADDFN, "rtr-cancel", "Give the line up", on_cancel);
	el_set(el, EL_ADDFN, "rtr-end", "Leave configuration", on_end_key);
	el_set(el, EL_ADDFN, "rtr-paste", "Take a paste", on_paste);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		el_set(el, EL_BIND, keys[i].key, keys[i].function, NULL);
}

struct edit *edit_new(struct shell *sh)
{
	struct edit *e = xcalloc(1, sizeof(*e));

	/* Names and descriptions are UTF-8 on the wire, whatever the terminal's locale says. */
	if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1)
		setlocale(LC_CTYPE, "C.UTF-8");
	e->sh = sh;
	e->history = cli_history_new();
	e->el = el_init("rtrctl", stdin, stdout, stderr);
	if (!e->el)
		abort();
	el_set(e->el, EL_CLIENTDATA, e);
	el_set(e->el, EL_SIGNAL, 0);
	el_set(e->el, EL_EDITOR, "emacs");
	el_set(e->el, EL_PROMPT, prompt);
	el_set(e->el, EL_GETCFN, read_char);
	el_set(e->el, EL_HIST, history, cli_history_el(e->history));
	/* Between lines too every key comes to us, unechoed: ^C stops a command, what is typed
	 * ahead is for the next prompt. */
	el_set(e->el, EL_SETTY, "-d", "-isig", "-icrnl", "-inlcr", NULL);
	el_set(e->el, EL_SETTY, "-x", "-isig", "-icanon", "-echo", "-iexten", "-icrnl", NULL);
	bind_keys(e->el);
	return e;
}

struct edit *edit_free(struct edit *e)
{
	if (!e)
		return NULL;
	el_end(e->el);
	cli_history_free(e->history);
	strbuf_fini(&e->text);
	strbuf_fini(&e->behind);
	free(e);
	return NULL;
}

enum edit_result edit_read(struct edit *e, struct strbuf *ret_text)
{
	bool smart = e->sh->term.smart;
	const char *line;
	int n = 0;

	e->decided = false;
	strbuf_reset(&e->text);
	/* ^Z carries out what was typed, then leaves configuration, if that is where it led. */
	if (e->end_next) {
		e->end_next = false;
		if (e->sh->prompt && strstr(e->sh->prompt, "(config")) {
			strbuf_reset(ret_text);
			strbuf_adds(ret_text, "end");
			return EDIT_LINE;
		}
	}
	if (smart)
		term_puts("\033[?2004h");
	line = el_gets(e->el, &n);
	if (smart)
		term_puts("\033[?2004l");
	if (!e->decided && (!line || n <= 0 || e->sh->over)) {
		e->result = EDIT_END;
	} else if (!e->decided) {
		e->result = EDIT_LINE;
		strbuf_add(&e->text, line, (size_t)n - (line[n - 1] == '\n'));
		if (e->text.len)
			cli_history_add(e->history, e->text.s);
		collect_unmarked(e);
	} else if (e->result == EDIT_LINE && e->text.len) {
		cli_history_add(e->history, e->text.s);
	}
	strbuf_reset(ret_text);
	strbuf_add(ret_text, strbuf_str(&e->text), e->text.len);
	return e->result;
}
