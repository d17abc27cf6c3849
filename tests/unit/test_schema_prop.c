/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random lines, `no` and `default` among them, typed at the editor and at a reference that knows
 * nothing of schemas: a set of lines under a heading, with the few rules of IOS written out. After
 * every line both say the same; so do the text, the way from one model to the next, and the file.
 * RTR_PROP_ROUNDS: sequences (each of SEQ_LEN lines) in place of the default.
 */
#include "../lib/test_rows.h"
#include "schema/conffile.h"
#include "schema/edit.h"
#include "schema/text.h"
#include "../lib/check_main.h"

#include <string.h>

#define N_WORKERS 8
#define ROUNDS    2500 /* a worker: 20,000 sequences in all */
#define SEQ_LEN   12

static const struct domain *const domains[] = { &t_domain };

/* ---- the reference ---- */

/* A line is kept as the pair of what names it and what it says: "mtu" and "1400". Lines of which
 * there may be many name themselves wholly. */
struct ref_line {
	char where[24]; /* "" = top, else the heading */
	char name[64], text[128];
};

struct ref {
	struct ref_line v[256];
	size_t n;
	char mode[24];    /* the heading typed last, "" at the top */
	char refused[24]; /* a heading that was, and no line was taken since */
};

static struct ref_line *ref_find(struct ref *r, const char *where, const char *name)
{
	for (size_t i = 0; i < r->n; i++) {
		if (!strcmp(r->v[i].where, where) && !strcmp(r->v[i].name, name))
			return &r->v[i];
	}
	return NULL;
}

static void ref_set(struct ref *r, const char *where, const char *name, const char *text)
{
	struct ref_line *l = ref_find(r, where, name);

	if (!l) {
		ck_assert_uint_lt(r->n, ARRAY_LEN(r->v));
		l = &r->v[r->n++];
		rtr_strlcpy(l->where, where, sizeof(l->where));
		rtr_strlcpy(l->name, name, sizeof(l->name));
	}
	rtr_strlcpy(l->text, text, sizeof(l->text));
}

/* All lines whose name begins so go. */
static void ref_drop(struct ref *r, const char *where, const char *prefix)
{
	for (size_t i = 0; i < r->n;) {
		if (!strcmp(r->v[i].where, where) && !strncmp(r->v[i].name, prefix, strlen(prefix)))
			r->v[i] = r->v[--r->n];
		else
			i++;
	}
}

static void ref_drop_mode(struct ref *r, const char *heading)
{
	for (size_t i = 0; i < r->n;) {
		if (!strcmp(r->v[i].where, heading))
			r->v[i] = r->v[--r->n];
		else
			i++;
	}
	ref_drop(r, "", heading);
	if (!strcmp(r->mode, heading))
		*r->mode = '\0';
}

/* ---- random lines, done to the reference as they are made ---- */

struct typed {
	char line[160];
	bool refused;
};

static uint64_t rng;

static unsigned upto(unsigned n)
{
	return (unsigned)(test_rand(&rng) % n);
}

static const char *negation(bool *ret_no, bool *ret_default)
{
	unsigned k = upto(5);

	*ret_no = k == 0;
	*ret_default = k == 1;
	return k == 0 ? "no " : k == 1 ? "default " : "";
}

/* A leaf with a value. dflt: the value that is not printed. */
static void leaf(struct ref *r, struct typed *t, const char *where, const char *name, unsigned lo,
		 unsigned hi, const char *dflt)
{
	bool no, def;
	const char *neg = negation(&no, &def);
	char value[16];
	unsigned v = upto(4) ? lo + upto(hi - lo + 1) : dflt ? (unsigned)atoi(dflt) : lo;

	if (!upto(12)) { /* out of range */
		snprintf(t->line, sizeof(t->line), "%s %u", name, hi + 1 + upto(9));
		t->refused = true;
		return;
	}
	snprintf(value, sizeof(value), "%u", v);
	if (no || def) {
		snprintf(t->line, sizeof(t->line), "%s%s %s", neg, name, upto(2) ? value : "");
		ref_drop(r, where, name);
		return;
	}
	snprintf(t->line, sizeof(t->line), "%s %s", name, value);
	if (dflt && !strcmp(value, dflt))
		ref_drop(r, where, name);
	else
		ref_set(r, where, name, t->line);
}

/* A switch that is on or off when nothing is said. */
static void flag(struct ref *r, struct typed *t, const char *where, const char *name, bool on)
{
	bool no, def;
	const char *neg = negation(&no, &def);

	snprintf(t->line, sizeof(t->line), "%s%s", neg, name);
	if (def || no != on) {
		ref_drop(r, where, name);
	} else {
		char text[80];

		snprintf(text, sizeof(text), "%s%s", no ? "no " : "", name);
		ref_set(r, where, name, text);
	}
}

/* "Null0" routes: the line is its own name. */
static void route(struct ref *r, struct typed *t)
{
	bool no, def;
	const char *neg = negation(&no, &def);
	char name[64];
	unsigned net = upto(12);

	if (!upto(10)) {
		snprintf(t->line, sizeof(t->line), "ip route 10.%u.0.1/16 Null0", net);
		t->refused = true;
		return;
	}
	snprintf(name, sizeof(name), "ip route 10.%u.0.0 255.255.0.0 Null0", net);
	if (no || def) {
		bool all = !upto(8);

		snprintf(t->line, sizeof(t->line), "%s%s", neg, all ? "ip route" : name);
		ref_drop(r, "", all ? "ip route" : name);
		return;
	}
	if (upto(2)) {
		snprintf(t->line, sizeof(t->line), "ip route 10.%u.0.0/16 null0 %u", net,
			 1 + upto(3));
		snprintf(name, sizeof(name), "ip route 10.%u.0.0 255.255.0.0 Null0", net);
		ref_set(r, "", name, "");
		snprintf(ref_find(r, "", name)->text, sizeof(r->v->text), "%s%s", name,
			 strrchr(t->line, ' '));
	} else {
		snprintf(t->line, sizeof(t->line), "%s", name);
		/* The same route typed without a distance says so: it has none. */
		ref_set(r, "", name, name);
	}
}

static void secondary(struct ref *r, struct typed *t)
{
	bool no, def;
	const char *neg = negation(&no, &def);
	char name[64];

	snprintf(name, sizeof(name), "ip address 10.0.%u.1 255.255.255.0", upto(9));
	if (no || def) {
		bool all = !upto(6);

		snprintf(t->line, sizeof(t->line), "%s%s", neg, all ? "ip address" : name);
		ref_drop(r, r->mode, all ? "ip address" : name);
		return;
	}
	snprintf(t->line, sizeof(t->line), "%s secondary", name);
	ref_set(r, r->mode, name, t->line);
}

static void neighbour(struct ref *r, struct typed *t)
{
	char name[64], desc[64];
	unsigned n = 1 + upto(5);
	bool there;

	snprintf(name, sizeof(name), "neighbor 10.0.0.%u remote-as", n);
	snprintf(desc, sizeof(desc), "neighbor 10.0.0.%u description", n);
	there = ref_find(r, r->mode, name);
	switch (upto(4)) {
	case 0:
		snprintf(t->line, sizeof(t->line), "no neighbor 10.0.0.%u", n);
		ref_drop(r, r->mode, name);
		ref_drop(r, r->mode, desc);
		break;
	case 1:
		snprintf(t->line, sizeof(t->line), "%s a  text with %u", desc, upto(99));
		t->refused = !there;
		if (there)
			ref_set(r, r->mode, desc, t->line);
		break;
	case 2:
		snprintf(t->line, sizeof(t->line), "default %s", desc);
		ref_drop(r, r->mode, desc);
		break;
	default:
		snprintf(t->line, sizeof(t->line), "%s %u", name, 1 + upto(70000));
		ref_set(r, r->mode, name, t->line);
	}
}

/* The mode is left all the same, and lines of the other one are not taken. */
static void refused_mode(struct ref *r, const char *name)
{
	*r->mode = '\0';
	rtr_strlcpy(r->refused, name, sizeof(r->refused));
}

static void heading(struct ref *r, struct typed *t, const char *name, bool single)
{
	if (!upto(6)) {
		snprintf(t->line, sizeof(t->line), "no %s", name);
		ref_drop_mode(r, name);
		*r->refused = '\0';
		return;
	}
	snprintf(t->line, sizeof(t->line), "%s", name);
	if (single && !ref_find(r, "", name)) {
		for (size_t i = 0; i < r->n; i++)
			t->refused |= !*r->v[i].where && !strncmp(r->v[i].name, "router bgp", 10);
	}
	if (!t->refused) {
		ref_set(r, "", name, name);
		rtr_strlcpy(r->mode, name, sizeof(r->mode));
		*r->refused = '\0';
	} else {
		refused_mode(r, name);
	}
}

/* One line; done to the reference unless it has to be refused. A line of the top leaves a mode. */
static void next_line(struct ref *r, struct typed *t)
{
	static const char *const nonsense[] = { "mtuu 5",       "",   "no",        "default",
						"no such line", "ip", "interface", "lines x",
						"hostname a b" };
	/* Right ones, were it not for the mode. */
	static const char *const ifaces[] = { "mtu 1400", "shutdown", "no ip redirects",
					      "default mtu" };
	static const char *const routers[] = { "neighbor 10.0.0.1 remote-as 1",
					       "no neighbor 10.0.0.1", "bgp router-id 1.1.1.1" };
	char name[24];
	unsigned k = upto(14);

	*t = (struct typed){ 0 };
	if (*r->mode && upto(3)) {
		if (!strncmp(r->mode, "interface", 9)) {
			if (k < 4)
				leaf(r, t, r->mode, "mtu", 68, 65535, NULL);
			else if (k < 7)
				flag(r, t, r->mode, "shutdown", false);
			else if (k < 10)
				flag(r, t, r->mode, "ip redirects", true);
			else
				secondary(r, t);
		} else {
			neighbour(r, t);
		}
		return;
	}
	if (*r->refused && upto(2)) {
		snprintf(t->line, sizeof(t->line), "%s",
			 *r->refused == 'i' ? ifaces[upto(ARRAY_LEN(ifaces))]
					    : routers[upto(ARRAY_LEN(routers))]);
		t->refused = true;
		return;
	}
	if (k == 0) {
		snprintf(t->line, sizeof(t->line), "%s", nonsense[upto(ARRAY_LEN(nonsense))]);
		t->refused = true;
		if (!strcmp(t->line, "interface"))
			refused_mode(r, t->line);
		return;
	}
	if (k < 5)
		snprintf(name, sizeof(name), "interface eth%u", upto(4));
	else
		snprintf(name, sizeof(name), "router bgp %u", 1 + upto(2));
	if (k < 8) {
		heading(r, t, name, k >= 5);
		return;
	}
	if (k < 10)
		leaf(r, t, "", "lines", 1, 1000, "24");
	else if (k < 12)
		flag(r, t, "", "ip routing", true);
	else
		route(r, t);
	if (!t->refused)
		*r->mode = *r->refused = '\0';
}

/* ---- comparing ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Lines as "heading/line", sorted: the order of printing is test_schema's matter. */
static char *sorted(char **v, size_t n)
{
	struct strbuf b = STRBUF_INIT;

	qsort(v, n, sizeof(*v), by_text);
	for (size_t i = 0; i < n; i++) {
		strbuf_addf(&b, "%s\n", v[i]);
		free(v[i]);
	}
	return strbuf_steal(&b);
}

static char *ref_text(const struct ref *r)
{
	char *v[ARRAY_LEN(r->v)];

	for (size_t i = 0; i < r->n; i++)
		v[i] = xasprintf("%s/%s", r->v[i].where, r->v[i].text);
	return sorted(v, r->n);
}

static char *model_text(const struct rec *root)
{
	struct strbuf b = STRBUF_INIT;
	char *v[512], *copy, *save = NULL, where[64] = "";
	size_t n = 0;

	text_config(root, 0, &b);
	copy = strbuf_steal(&b);
	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		if (!strcmp(l, "!") || !strcmp(l, "end"))
			continue;
		if (*l != ' ')
			rtr_strlcpy(where, l, sizeof(where));
		v[n++] = xasprintf("%s/%s", *l == ' ' ? where : "", l + (*l == ' '));
	}
	free(copy);
	return sorted(v, n);
}

static void expect_same(const struct ref *r, const struct rec *root, const char *line)
{
	char *want = ref_text(r), *got = model_text(root);

	ck_assert_msg(!strcmp(want, got), "after \"%s\" in <%s>\n-- reference:\n%s-- model:\n%s",
		      line, r->mode, want, got);
	free(want);
	free(got);
}

static void expect_delta(const struct rec *from, const struct rec *to)
{
	struct strbuf b = STRBUF_INIT;
	char *copy, *save = NULL;
	struct editor e;

	text_delta(from, to, &b);
	copy = strbuf_steal(&b);
	editor_init(&e, from);
	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		struct edit_error err;
		bool changed;

		ck_assert_msg(!editor_line(&e, l, &changed, &err), "%s: %s", l,
			      strbuf_str(&err.text));
		edit_error_fini(&err);
	}
	ck_assert(model_equal(e.root, to));
	editor_fini(&e);
	free(copy);
}

static void expect_file(const struct rec *root)
{
	char *text = conffile_text(root, NULL);
	struct strbuf errs = STRBUF_INIT;
	struct rec *back;

	ck_assert_msg(!conffile_parse("f", text, &back, &errs), "%s", strbuf_str(&errs));
	ck_assert(model_equal(root, back));
	rec_unref(back);
	strbuf_fini(&errs);
	free(text);
}

static struct rec *one_sequence(const struct rec *before)
{
	struct ref r = { 0 };
	struct rec *empty = model_new(), *root;
	struct editor e;

	editor_init(&e, empty);
	for (unsigned i = 0; i < SEQ_LEN; i++) {
		struct rec *was = rec_ref(e.root);
		struct edit_error err;
		struct typed t;
		bool changed;
		int res;

		next_line(&r, &t);
		res = editor_line(&e, t.line, &changed, &err);
		ck_assert_msg(!res == !t.refused, "\"%s\" was %s: %s", t.line,
			      res ? "refused" : "taken", strbuf_str(&err.text));
		ck_assert_msg(!res || e.root == was, "\"%s\" was refused and changed something",
			      t.line);
		ck_assert(changed == !model_equal(e.root, was));
		edit_error_fini(&err);
		rec_unref(was);
		expect_same(&r, e.root, t.line);
	}
	root = rec_ref(e.root);
	expect_delta(before, root);
	expect_delta(root, before);
	expect_file(root);
	editor_fini(&e);
	rec_unref(empty);
	return root;
}

START_TEST(lines_against_the_reference)
{
	const char *rounds = getenv("RTR_PROP_ROUNDS"), *bad = schema_init(domains, 1);
	unsigned n = rounds ? (unsigned)atoi(rounds) : ROUNDS;
	struct rec *before = model_new();

	ck_assert_msg(!bad, "%s", bad);
	rng = (test_seed + (uint64_t)_i * 7919) | 1;
	for (unsigned i = 0; i < n; i++) {
		struct rec *now = one_sequence(before);

		rec_unref(before);
		before = now;
	}
	rec_unref(before);
	schema_fini();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("schema_prop");
	TCase *tc = tcase_create("schema_prop");

	tcase_set_timeout(tc, 600);
	tcase_add_loop_test(tc, lines_against_the_reference, 0, N_WORKERS);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
