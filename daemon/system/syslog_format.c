/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "system/syslog.h"

#include <string.h>
#include <time.h>

/* RFC 5424 section 6: limits of the header's fields. */
#define MAX_HOSTNAME 255
#define MAX_APP      48
#define MAX_MSGID    32

/* A header field: printable ASCII without blanks, "-" when there is nothing to say. */
static void add_field(struct strbuf *b, const char *s, size_t max)
{
	size_t n = 0;

	for (; s && *s && n < max; s++) {
		if (*s > 0x20 && *s < 0x7f) {
			strbuf_addc(b, *s);
			n++;
		}
	}
	strbuf_adds(b, n ? " " : "- ");
}

static void add_param(struct strbuf *b, const char *name, const char *value)
{
	strbuf_addf(b, " %s=\"", name);
	for (; *value; value++) {
		if (strchr("\"\\]", *value))
			strbuf_addc(b, '\\');
		strbuf_addc(b, *value);
	}
	strbuf_addc(b, '"');
}

/* Section 6.2.3: UTC with microseconds. */
static void add_time(struct strbuf *b, const struct timespec *at)
{
	char text[32];
	struct tm tm;

	gmtime_r(&at->tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	strbuf_addf(b, "%s.%06ldZ ", text, at->tv_nsec / 1000);
}

void syslog_format(struct strbuf *out, const struct syslog_origin *o, const struct log_record *r,
		   uint32_t sequence)
{
	struct strbuf b = STRBUF_INIT;
	char id[96];

	strbuf_addf(&b, "<%u>1 ", o->facility * 8 + (unsigned)r->level);
	add_time(&b, &r->at);
	add_field(&b, o->hostname, MAX_HOSTNAME);
	add_field(&b, o->app, MAX_APP);
	strbuf_addf(&b, "%d ", (int)o->pid);
	snprintf(id, sizeof(id), "%s-%d-%s", r->facility, (int)r->level, r->mnemonic);
	add_field(&b, id, MAX_MSGID);
	/* Sections 7.2 and 7.3: registered names, for which no enterprise number is needed. */
	strbuf_adds(&b, "[origin");
	add_param(&b, "software", "rtr");
	add_param(&b, "swVersion", o->version);
	strbuf_addf(&b, "][meta sequenceId=\"%u\"] %%%s: %s", sequence, id, r->text);
	strbuf_add(out, strbuf_str(&b), MIN(b.len, (size_t)SYSLOG_MAX_SIZE));
	strbuf_fini(&b);
}
