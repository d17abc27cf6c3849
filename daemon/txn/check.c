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
