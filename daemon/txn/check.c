/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The check stage of a commit: every domain looks at the wanted model; see domain.h. */
#include "domain.h"
#include "schema/text.h"
#include "txn/txn.h"

RTR_PRINTF(4, 0)
static void report(struct check *c, const char *what, const struct rec *rec, const char *fmt,
		   va_list ap)
{
	struct strbuf *b = c->sink;

	strbuf_addf(b, "%s: ", what);
	if (rec) {
		text_rec(rec, b);
		strbuf_adds(b, ": ");
	}
	strbuf_vaddf(b, fmt, ap);
	strbuf_addc(b, '\n');
}

void check_error(struct check *c, const struct rec *rec, const char *fmt, ...)
{
	va_list ap;

	c->n_errors++;
	va_start(ap, fmt);
	report(c, "error", rec, fmt, ap);
	va_end(ap);
}

void check_warn(struct check *c, const struct rec *rec, const char *fmt, ...)
{
	va_list ap;

	c->n_warnings++;
	va_start(ap, fmt);
	report(c, "warning", rec, fmt, ap);
	va_end(ap);
}

/* The way to a record of a model, outermost first; the depth, 0 when it is not there. */
static unsigned way_to(const struct rec *from, const struct rec *rec,
		       const struct rec *way[MODEL_MAX_DEPTH], unsigned depth)
{
	for (unsigned k = 0; depth < MODEL_MAX_DEPTH && k < from->type->n_kids; k++) {
		const struct recvec *v = rec_kids(from, from->type->kids[k]);

		for (size_t i = 0; i < v->len; i++) {
			unsigned n = depth + 1;

			way[depth] = v->v[i];
			if (v->v[i] != rec)
				n = way_to(v->v[i], rec, way, n);
			if (n)
				return n;
		}
	}
	return 0;
}

/* True when the old model has the record as it is: so what it names was there, too. */
static bool was_there(const struct check *c, const struct rec *const *way, unsigned depth)
{
	const struct rec *r = c->old;

	for (unsigned i = 0; i < depth && r; i++)
		r = rec_find(r, way[i]->type, way[i]);
	return r && depth && rec_equal_fields(r, way[depth - 1]);
}

void check_missing(struct check *c, const struct rec *rec, const char *fmt, ...)
{
	const struct rec *way[MODEL_MAX_DEPTH];
	unsigned depth = way_to(c->new, rec, way, 0);
	struct strbuf what = STRBUF_INIT, line = STRBUF_INIT, mode = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&what, fmt, ap);
	va_end(ap);
	text_rec(rec, &line);
	if (depth > 1)
		text_rec(way[depth - 2], &mode);
	if (was_there(c, way, depth))
		check_error(c, NULL, "%s is in use by `%s`%s%s%s: remove that line first",
			    strbuf_str(&what), strbuf_str(&line), mode.len ? " in `" : "",
			    strbuf_str(&mode), mode.len ? "`" : "");
	else
		check_error(c, rec, "there is no %s%s%s", strbuf_str(&what),
			    mode.len ? ", used by " : "", strbuf_str(&mode));
	strbuf_fini(&what);
	strbuf_fini(&line);
	strbuf_fini(&mode);
}

unsigned txn_check(const struct rec *old, const struct rec *new, unsigned flags, struct strbuf *ret)
{
	struct check c = { .old = old,
			   .new = new,
			   .offline = flags &TXN_CHECK_OFFLINE,
			   .confirmed = flags &TXN_CHECK_CONFIRMED,
			   .saved = flags &TXN_CHECK_SAVED,
			   .sink = ret };
	const struct domain *const *d;
	size_t n;

	if (domains_sort(&d, &n))
		return 1; /* start-up refused to go on with this */
	for (size_t i = 0; i < n; i++) {
		if (d[i]->check)
			d[i]->check(&c);
	}
	return c.n_errors;
}
