/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "schema/syntax.h"

#include <ctype.h>
#include <string.h>

/* Notation: how deep brackets nest, and how long a program may get. Ours stay far below. */
#define SYN_MAX_CODE 256
#define SYN_MAX_KIDS 24

enum syn_op {
	OP_WORD,  /* take this keyword */
	OP_VALUE, /* take the words of values[x] */
	OP_SPLIT, /* go on at x and at y, x first */
	OP_JMP,   /* go on at x */
	OP_ONCE,  /* pass only if option x was not used yet */
	OP_SET,   /* sets[x] = y */
	OP_MATCH, /* the line may end here */
};

struct syn_ins {
	enum syn_op op;
	uint16_t x, y;
	const char *word;
};

/* ---- notation -> tree ---- */

struct parser {
	const char *p;
	struct syn_prog *prog;
	char *error;
};

static struct syn_node *node_new(enum syn_kind kind)
{
	struct syn_node *n = xcalloc(1, sizeof(*n));

	n->kind = kind;
	return n;
}

static void node_free(struct syn_node *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->n_kids; i++)
		node_free(n->kid[i]);
	free(n->kid);
	free(n->word);
	free(n);
}

static void node_add(struct syn_node *n, struct syn_node *kid)
{
	n->kid = xrealloc(n->kid, (n->n_kids + 1) * sizeof(*n->kid));
	n->kid[n->n_kids++] = kid;
}

static void fail(struct parser *ps, const char *why)
{
	if (!ps->error)
		ps->error = xasprintf("\"%s\": %s", ps->prog->text, why);
}

static bool word_char(char c)
{
	return isalnum((unsigned char)c) || strchr("-_.+/*", c);
}

static char *take_word(struct parser *ps)
{
	const char *start = ps->p;

	while (*ps->p && word_char(*ps->p))
		ps->p++;
	return xstrndup(start, (size_t)(ps->p - start));
}

static unsigned add_set(struct parser *ps, const char *field)
{
	struct syn_prog *g = ps->prog;

	if (g->n_sets == SYN_MAX_SETS) {
		fail(ps, "too many choices");
		return 0;
	}
	g->sets[g->n_sets] = xstrdup(field);
	return g->n_sets++;
}

/* <name:TYPE(args)> */
static struct syn_node *parse_value(struct parser *ps)
{
	struct syn_node *n = node_new(SYN_VALUE);
	struct syn_prog *g = ps->prog;
	const struct val_type *type;
	struct syn_value *v;
	char *tname;

	ps->p++;
	n->word = take_word(ps);
	if (*ps->p++ != ':' || g->n_values == SYN_MAX_VALUES) {
		fail(ps, "a value is <name:TYPE>, and there may be 32");
		return n;
	}
	tname = take_word(ps);
	type = val_type_find(tname, strlen(tname));
	free(tname);
	v = &g->values[g->n_values];
	n->index = g->n_values++;
	v->name = xstrdup(n->word);
	if (*ps->p == '(') {
		const char *end = strchr(ps->p, ')');

		if (!end) {
			fail(ps, "no ) after the type's arguments");
			return n;
		}
		v->args = xstrndup(ps->p + 1, (size_t)(end - ps->p - 1));
		ps->p = end + 1;
	} else {
		v->args = xstrdup("");
	}
	if (!type || !val_spec_init(&v->spec, type, v->args))
		fail(ps, "unknown type or wrong arguments");
	else if (*ps->p++ != '>')
		fail(ps, "no > after the value");
	return n;
}

static struct syn_node *parse_seq(struct parser *ps, const char *until);

/* [ ... ]: a flag when it holds one keyword only */
static struct syn_node *parse_opt(struct parser *ps)
{
	struct syn_node *n = node_new(SYN_OPT), *in;

	ps->p++;
	in = parse_seq(ps, "]");
	node_add(n, in);
	if (*ps->p == ']')
		ps->p++;
	else
		fail(ps, "no ] at the end of an option");
	if (in->n_kids == 1 && in->kid[0]->kind == SYN_WORD) {
		n->word = xstrdup(in->kid[0]->word);
		for (char *c = n->word; *c; c++)
			*c = *c == '-' ? '_' : *c;
		n->has_set = true;
		n->index = add_set(ps, n->word);
	}
	return n;
}

/* An alternative is known in the file and in JSON by the keywords that it starts with. */
static struct syn_node *parse_branch(struct parser *ps)
{
	struct syn_node *seq = parse_seq(ps, "|}");
	struct strbuf name = STRBUF_INIT;

	for (size_t i = 0; i < seq->n_kids && seq->kid[i]->kind == SYN_WORD; i++) {
		strbuf_adds(&name, i ? " " : "");
		strbuf_adds(&name, seq->kid[i]->word);
	}
	if (name.len)
		seq->word = xstrdup(strbuf_str(&name));
	strbuf_fini(&name);
	return seq;
}

/* {a|b ...} or {field:a|b ...} */
static struct syn_node *parse_alt(struct parser *ps)
{
	struct syn_node *n = node_new(SYN_ALT);
	const char *save = ++ps->p;
	char *name = take_word(ps);

	if (*ps->p == ':' && *name) {
		ps->p++;
		n->has_set = true;
		n->index = add_set(ps, name);
		n->word = name;
	} else {
		ps->p = save;
		free(name);
	}
	for (;;) {
		node_add(n, parse_branch(ps));
		if (*ps->p == '|' && n->n_kids < SYN_MAX_KIDS) {
			ps->p++;
			continue;
		}
		break;
	}
	if (*ps->p == '}')
		ps->p++;
	else
		fail(ps, "no } at the end of a choice");
	return n;
}

static struct syn_node *parse_seq(struct parser *ps, const char *until)
{
	struct syn_node *seq = node_new(SYN_SEQ), *w;

	while (!ps->error && *ps->p && !strchr(until, *ps->p)) {
		if (*ps->p == ' ') {
			ps->p++;
		} else if (*ps->p == '<') {
			node_add(seq, parse_value(ps));
		} else if (*ps->p == '[') {
			node_add(seq, parse_opt(ps));
		} else if (*ps->p == '{') {
			node_add(seq, parse_alt(ps));
		} else if (word_char(*ps->p)) {
			w = node_new(SYN_WORD);
			w->word = take_word(ps);
			node_add(seq, w);
		} else {
			fail(ps, "a character that has no meaning in the notation");
		}
	}
	return seq;
}

/* ---- tree -> program ---- */

struct emitter {
	struct syn_prog *prog;
	unsigned n_once;
	bool overflow;
};

static unsigned emit(struct emitter *e, enum syn_op op, unsigned x, unsigned y, const char *word)
{
	struct syn_prog *g = e->prog;

	if (g->n_code == SYN_MAX_CODE) {
		e->overflow = true;
		return 0;
	}
	g->code[g->n_code] = (struct syn_ins){
		.op = op, .x = (uint16_t)x, .y = (uint16_t)y, .word = word
	};
	return g->n_code++;
}

static void emit_node(struct emitter *e, const struct syn_node *n);

/*
 * Neighbouring options in any order, each once:
 *	top:	split opt1, next1
 *	opt1:	once k; ...; jmp top
 *	next1:	split opt2, out
 *	opt2:	once k+1; ...; jmp top
 *	out:
 */
static void emit_options(struct emitter *e, struct syn_node *const *opt, size_t n)
{
	unsigned top = e->prog->n_code;

	for (size_t i = 0; i < n; i++) {
		unsigned split = emit(e, OP_SPLIT, 0, 0, NULL);

		e->prog->code[split].x = (uint16_t)e->prog->n_code;
		if (e->n_once == 32)
			e->overflow = true;
		emit(e, OP_ONCE, e->n_once++, 0, NULL);
		if (opt[i]->has_set)
			emit(e, OP_SET, opt[i]->index, 1, NULL);
		emit_node(e, opt[i]->kid[0]);
		emit(e, OP_JMP, top, 0, NULL);
		e->prog->code[split].y = (uint16_t)e->prog->n_code;
	}
}

static void emit_alt(struct emitter *e, const struct syn_node *n)
{
	unsigned jumps[SYN_MAX_KIDS], split = 0;

	for (size_t i = 0; i < n->n_kids; i++) {
		bool last = i + 1 == n->n_kids;

		if (!last) {
			split = emit(e, OP_SPLIT, 0, 0, NULL);
			e->prog->code[split].x = (uint16_t)e->prog->n_code;
		}
		if (n->has_set)
			emit(e, OP_SET, n->index, (unsigned)i, NULL);
		emit_node(e, n->kid[i]);
		jumps[i] = emit(e, OP_JMP, 0, 0, NULL);
		if (!last)
			e->prog->code[split].y = (uint16_t)e->prog->n_code;
	}
	for (size_t i = 0; i < n->n_kids; i++)
		e->prog->code[jumps[i]].x = (uint16_t)e->prog->n_code;
}

static void emit_node(struct emitter *e, const struct syn_node *n)
{
	switch (n->kind) {
	case SYN_WORD:
		emit(e, OP_WORD, 0, 0, n->word);
		break;
	case SYN_VALUE:
		emit(e, OP_VALUE, n->index, 0, NULL);
		break;
	case SYN_ALT:
		emit_alt(e, n);
		break;
	case SYN_OPT: /* only inside a sequence: emit_options */
		break;
	case SYN_SEQ:
		for (size_t i = 0; i < n->n_kids; i++) {
			size_t run = 0;

			while (i + run < n->n_kids && n->kid[i + run]->kind == SYN_OPT)
				run++;
			if (run) {
				emit_options(e, n->kid + i, run);
				i += run - 1;
			} else {
				emit_node(e, n->kid[i]);
			}
		}
		break;
	}
}

char *syn_compile(struct syn_prog *p, const char *text, void *owner)
{
	struct parser ps = { .p = text, .prog = p };
	struct emitter e = { .prog = p };

	*p = (struct syn_prog){ .text = text, .owner = owner };
	p->tree = parse_seq(&ps, "");
	if (!ps.error && !p->tree->n_kids)
		fail(&ps, "an empty line");
	if (ps.error)
		return ps.error;
	p->code = xcalloc(SYN_MAX_CODE, sizeof(*p->code));
	emit_node(&e, p->tree);
	emit(&e, OP_MATCH, 0, 0, NULL);
	if (e.overflow) {
		fail(&ps, "too long");
		return ps.error;
	}
	p->code = xrealloc(p->code, p->n_code * sizeof(*p->code));
	while (p->lead_words < p->tree->n_kids && p->tree->kid[p->lead_words]->kind == SYN_WORD)
		p->lead_words++;
	return NULL;
}

void syn_free(struct syn_prog *p)
{
	node_free(p->tree);
	for (unsigned i = 0; i < p->n_values; i++) {
		free(p->values[i].name);
		free(p->values[i].args);
	}
	for (unsigned i = 0; i < p->n_sets; i++)
		free(p->sets[i]);
	free(p->code);
	*p = (struct syn_prog){ 0 };
}

/* ---- words ---- */

void syn_words_init(struct syn_words *w, const char *text)
{
	size_t len = strlen(text), room = len / 2 + 1;

	*w = (struct syn_words){ .copy = xstrdup(text), .text = text };
	w->tok = xcalloc(room, sizeof(*w->tok));
	w->col = xcalloc(room, sizeof(*w->col));
	for (char *p = w->copy; *p;) {
		p += strspn(p, " \t\r");
		if (!*p)
			break;
		w->col[w->n] = (unsigned)(p - w->copy);
		w->tok[w->n++] = p;
		p += strcspn(p, " \t\r");
		w->open = !*p;
		if (*p)
			*p++ = '\0';
	}
}

void syn_words_fini(struct syn_words *w)
{
	free(w->copy);
	free(w->tok);
	free(w->col);
	*w = (struct syn_words){ 0 };
}

/* ---- matching ---- */

void syn_set_add(struct syn_set *s, const struct syn_prog *p)
{
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 16;
		s->prog = xrealloc(s->prog, s->room * sizeof(*s->prog));
	}
	s->prog[s->n++] = p;
}

void syn_set_fini(struct syn_set *s)
{
	free(s->prog);
	*s = (struct syn_set){ 0 };
}

struct threads {
	struct syn_thread *v;
	size_t n, room;
};

/* A thread is large, for it may take many values; of most lines it has taken few. */
static void copy_thread(struct syn_thread *to, const struct syn_thread *from)
{
	memcpy(to, from, offsetof(struct syn_thread, cap) + from->n_caps * sizeof(from->cap[0]));
}

/* What the steps that take no word change of a thread. */
struct walk {
	uint32_t once;
	uint16_t pc, set_mask;
	uint8_t set[SYN_MAX_SETS];
	bool done;
};

static void push_thread(struct threads *ts, const struct syn_thread *t, const struct walk *w)
{
	struct syn_thread *to;

	if (ts->n == ts->room) {
		ts->room = ts->room ? ts->room * 2 : 32;
		ts->v = xrealloc(ts->v, ts->room * sizeof(*ts->v));
	}
	to = &ts->v[ts->n++];
	copy_thread(to, t);
	to->once = w->once;
	to->pc = w->pc;
	to->set_mask = w->set_mask;
	memcpy(to->set, w->set, sizeof(to->set));
	to->done = w->done;
}

static void walk(struct threads *ts, const struct syn_thread *t, struct walk w)
{
	for (;;) {
		const struct syn_ins *in = &t->prog->code[w.pc];
		struct walk first;

		switch (in->op) {
		case OP_JMP:
			w.pc = in->x;
			continue;
		case OP_SET:
			w.set_mask |= (uint16_t)(1u << in->x);
			w.set[in->x] = (uint8_t)in->y;
			w.pc++;
			continue;
		case OP_ONCE:
			if (w.once >> in->x & 1)
				return;
			w.once |= 1u << in->x;
			w.pc++;
			continue;
		case OP_SPLIT:
			first = w;
			first.pc = in->x;
			walk(ts, t, first);
			w.pc = in->y;
			continue;
		case OP_MATCH:
			w.done = true;
			break;
		case OP_WORD:
		case OP_VALUE:
			break;
		}
		push_thread(ts, t, &w);
		return;
	}
}

/* Follows the steps that take no word; adds the threads that wait for one, or may end. */
static void add_thread(struct threads *ts, const struct syn_thread *t)
{
	struct walk w = { .once = t->once, .pc = t->pc, .set_mask = t->set_mask, .done = t->done };

	memcpy(w.set, t->set, sizeof(w.set));
	walk(ts, t, w);
}

/* How a word fits a thread. Higher is better; only the best that occurs goes on. */
enum fit { FIT_NO, FIT_VALUE, FIT_PREFIX, FIT_EXACT };

static const struct syn_value *value_of(const struct syn_thread *t)
{
	return &t->prog->values[t->prog->code[t->pc].x];
}

/* Returns the fit of word i; for a value, *ret_used tells how it stands: 0 wants more words. */
static enum fit judge(const struct syn_thread *t, const struct syn_words *w, size_t i,
		      int *ret_used, struct strbuf *why)
{
	const struct syn_ins *in = &t->prog->code[t->pc];
	const struct syn_value *v;
	size_t first = i - t->in_value;

	if (in->op == OP_WORD) {
		size_t len;

		if (tolower((unsigned char)in->word[0]) != tolower((unsigned char)w->tok[i][0]))
			return FIT_NO;
		len = strlen(w->tok[i]);
		if (strncasecmp(in->word, w->tok[i], len))
			return FIT_NO;
		return in->word[len] ? FIT_PREFIX : FIT_EXACT;
	}
	if (in->op != OP_VALUE)
		return FIT_NO;
	v = value_of(t);
	if (v->spec.type->is_rest) {
		const char *rest = w->text + w->col[i];

		*ret_used = v->spec.type->parse(&v->spec, &rest, 1, NULL, why);
	} else {
		*ret_used = v->spec.type->parse(&v->spec, w->tok + first, i - first + 1, NULL, why);
	}
	return *ret_used < 0 ? FIT_NO : FIT_VALUE;
}

/* True when two threads wait for different keywords that the word abbreviates. */
static bool ambiguous(const struct threads *ts, const enum fit *fit, enum fit best)
{
	const char *word = NULL;

	if (best != FIT_PREFIX)
		return false;
	for (size_t k = 0; k < ts->n; k++) {
		const char *w = ts->v[k].prog->code[ts->v[k].pc].word;

		if (fit[k] != best)
			continue;
		if (word && strcmp(word, w))
			return true;
		word = w;
	}
	return false;
}

static void advance(struct threads *to, const struct syn_thread *from, size_t tok, int used)
{
	struct syn_thread t;

	copy_thread(&t, from);
	t.set_read = t.set_mask;
	if (t.prog->code[t.pc].op == OP_WORD) {
		t.words++;
		t.pc++;
		add_thread(to, &t);
		return;
	}
	t.in_value++;
	if (used > 0) {
		t.cap[t.n_caps].value = (uint8_t)t.prog->code[t.pc].x;
		t.cap[t.n_caps].tok = (uint16_t)(tok - t.in_value + 1);
		t.cap[t.n_caps].n = t.in_value;
		t.n_caps++;
		t.in_value = 0;
		t.pc++;
	}
	add_thread(to, &t);
}

/* One word. False when no thread goes on; *ret tells why. */
static bool step(struct threads *now, struct threads *next, const struct syn_words *w, size_t i,
		 struct syn_result *ret)
{
	enum fit *fit = xcalloc(now->n, sizeof(*fit)), best = FIT_NO;
	int *used = xcalloc(now->n, sizeof(*used));
	bool ok = false;

	for (size_t k = 0; k < now->n; k++) {
		struct strbuf why = STRBUF_INIT;

		fit[k] = judge(&now->v[k], w, i, &used[k], &why);
		best = MAX(best, fit[k]);
		/* The reason of the last value tried; alternatives usually agree. */
		if (fit[k] == FIT_NO && why.len) {
			strbuf_reset(&ret->why);
			strbuf_adds(&ret->why, strbuf_str(&why));
		}
		strbuf_fini(&why);
	}
	ret->bad = i;
	if (best == FIT_NO) {
		ret->status = SYN_INVALID;
	} else if (ambiguous(now, fit, best)) {
		ret->status = SYN_AMBIGUOUS;
	} else {
		for (size_t k = 0; k < now->n; k++) {
			if (fit[k] == best)
				advance(next, &now->v[k], i, used[k]);
		}
		ret->abbreviated += best == FIT_PREFIX;
		strbuf_reset(&ret->why);
		ok = true;
	}
	free(fit);
	free(used);
	return ok;
}

static bool is_rest_value(const struct threads *ts)
{
	for (size_t k = 0; k < ts->n; k++) {
		const struct syn_thread *t = &ts->v[k];

		if (t->prog->code[t->pc].op == OP_VALUE && value_of(t)->spec.type->is_rest)
			return true;
	}
	return false;
}

/* Stable for two kinds: threads that may end come first, in order. */
static void sort_done(struct threads *ts)
{
	struct syn_thread *out = xcalloc(ts->n ? ts->n : 1, sizeof(*out));
	size_t n = 0;

	for (int want = 1; want >= 0; want--) {
		for (size_t k = 0; k < ts->n; k++) {
			if (ts->v[k].done == want)
				copy_thread(&out[n++], &ts->v[k]);
		}
	}
	free(ts->v);
	ts->v = out;
}

void syn_match(const struct syn_set *s, const struct syn_words *w, size_t from, size_t to,
	       struct syn_result *ret)
{
	struct threads now = { 0 }, next = { 0 };
	bool ok = true;

	*ret = (struct syn_result){ 0 };
	for (size_t i = 0; i < s->n; i++)
		add_thread(&now, &(struct syn_thread){ .prog = s->prog[i] });
	for (size_t i = from; i < to && ok; i++) {
		bool rest = is_rest_value(&now);

		next.n = 0;
		ok = step(&now, &next, w, i, ret);
		if (ok) {
			struct threads swap = now;

			now = next;
			next = swap;
			/* A value that takes the rest of the line took all words. */
			if (rest && now.n && now.v[0].n_caps &&
			    now.v[0].prog->values[now.v[0].cap[now.v[0].n_caps - 1].value]
				    .spec.type->is_rest)
				break;
		}
	}
	free(next.v);
	if (!ok) {
		free(now.v);
		return;
	}
	sort_done(&now);
	ret->status = now.n && now.v[0].done ? SYN_OK : SYN_INCOMPLETE;
	ret->thread = now.v;
	ret->n_threads = now.n;
}

void syn_result_fini(struct syn_result *r)
{
	free(r->thread);
	strbuf_fini(&r->why);
	*r = (struct syn_result){ 0 };
}

/* ---- what comes next ---- */

struct next {
	const char *word;
	char *hint;
	const struct syn_prog *prog;
	const struct val_spec *spec;
};

static int next_cmp(const void *a, const void *b)
{
	const struct next *x = a, *y = b;
	int vx = x->hint != NULL, vy = y->hint != NULL;

	/* Keywords in order, then values, "<cr>" last, as IOS prints them. */
	if (vx != vy)
		return vx - vy;
	if (vx && !strcmp(x->hint, "<cr>") != !strcmp(y->hint, "<cr>"))
		return strcmp(x->hint, "<cr>") ? -1 : 1;
	return strcmp(vx ? x->hint : x->word, vy ? y->hint : y->word);
}

void syn_next(const struct syn_result *r, syn_next_fn fn, void *arg)
{
	struct next *v = xcalloc(r->n_threads ? r->n_threads : 1, sizeof(*v));

	for (size_t k = 0; k < r->n_threads; k++) {
		const struct syn_thread *t = &r->thread[k];
		const struct syn_ins *in = &t->prog->code[t->pc];
		struct strbuf b = STRBUF_INIT;

		v[k].prog = t->prog;
		if (in->op == OP_WORD) {
			v[k].word = in->word;
		} else if (in->op == OP_VALUE) {
			v[k].spec = &value_of(t)->spec;
			val_hint(v[k].spec, t->in_value, &b);
			v[k].hint = strbuf_steal(&b);
		} else {
			v[k].hint = xstrdup("<cr>");
		}
	}
	qsort(v, r->n_threads, sizeof(*v), next_cmp);
	for (size_t k = 0; k < r->n_threads; k++) {
		if (!k || next_cmp(&v[k - 1], &v[k]))
			fn(arg, v[k].hint ? v[k].hint : v[k].word, v[k].hint != NULL, v[k].prog,
			   v[k].spec);
	}
	for (size_t k = 0; k < r->n_threads; k++)
		free(v[k].hint);
	free(v);
}

int syn_capture(const struct syn_thread *t, const struct syn_words *w, unsigned value, void *dst)
{
	for (unsigned i = 0; i < t->n_caps; i++) {
		const struct val_spec *s = &t->prog->values[t->cap[i].value].spec;

		if (t->cap[i].value != value)
			continue;
		if (s->type->is_rest) {
			char *rest = xstrdup(w->text + w->col[t->cap[i].tok]);
			size_t len = strlen(rest);

			while (len && isspace((unsigned char)rest[len - 1]))
				rest[--len] = '\0';
			s->type->parse(s, (const char *const *)&rest, 1, dst, NULL);
			free(rest);
		} else {
			s->type->parse(s, w->tok + t->cap[i].tok, t->cap[i].n, dst, NULL);
		}
		return 0;
	}
	return -1;
}
