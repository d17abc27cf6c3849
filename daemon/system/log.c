/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "system/log.h"

#include "strbuf.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define MAX_SINKS 64

static struct {
	char *line[LOG_BUFFER_DEFAULT];
	size_t first, n;
	struct {
		log_sink_fn fn;
		void *arg;
	} sink[MAX_SINKS];
	size_t n_sinks;
	void (*on_record)(const struct log_record *r);
	char *ident;
	bool to_stderr;
} l;

void log_init(const char *instance)
{
	const char *e = getenv("RTR_LOG_STDERR");

	l.ident = strcmp(instance, "main") ? xasprintf("rtrd[%s]", instance) : xstrdup("rtrd");
	l.to_stderr = e ? *e == '1' : isatty(2);
	openlog(l.ident, LOG_NDELAY, LOG_DAEMON);
}

void log_clear(void)
{
	for (; l.n; l.n--) {
		free(l.line[l.first]);
		l.first = (l.first + 1) % LOG_BUFFER_DEFAULT;
	}
}

void log_fini(void)
{
	log_clear();
	closelog();
	free(l.ident);
	memset(&l, 0, sizeof(l));
}

static void stamp(struct strbuf *b, const struct timespec *ts)
{
	struct tm tm;
	char buf[32];

	localtime_r(&ts->tv_sec, &tm);
	strftime(buf, sizeof(buf), "%b %e %H:%M:%S", &tm);
	strbuf_addf(b, "*%s.%03ld: ", buf, ts->tv_nsec / 1000000);
}

static void keep(char *line)
{
	if (l.n == LOG_BUFFER_DEFAULT) {
		free(l.line[l.first]);
		l.first = (l.first + 1) % LOG_BUFFER_DEFAULT;
		l.n--;
	}
	l.line[(l.first + l.n++) % LOG_BUFFER_DEFAULT] = line;
}

RTR_PRINTF(4, 0)
static void put(const char *facility, enum log_level level, const char *mnemonic, const char *fmt,
		va_list ap)
{
	struct log_record r = { .facility = facility, .mnemonic = mnemonic, .level = level };
	struct strbuf b = STRBUF_INIT;
	size_t body, text;
	char *line;

	clock_gettime(CLOCK_REALTIME, &r.at);
	stamp(&b, &r.at);
	body = b.len;
	strbuf_addf(&b, "%%%s-%d-%s: ", facility, level, mnemonic);
	text = b.len;
	strbuf_vaddf(&b, fmt, ap);
	line = strbuf_steal(&b);
	for (char *c = line; *c; c++)
		*c = (unsigned char)*c < 0x20 ? ' ' : *c;
	syslog((int)level, "%s", line + body);
	if (l.to_stderr)
		fprintf(stderr, "%s\n", line);
	for (size_t i = 0; i < l.n_sinks; i++)
		l.sink[i].fn(l.sink[i].arg, line);
	r.text = line + text;
	if (l.on_record)
		l.on_record(&r);
	keep(line);
}

void log_event(const char *facility, enum log_level level, const char *mnemonic, const char *fmt,
	       ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(facility, level, mnemonic, fmt, ap);
	va_end(ap);
}

void log_event_limited(struct log_limit *lim, unsigned per_sec, const char *facility,
		       enum log_level level, const char *mnemonic, const char *fmt, ...)
{
	uint64_t now = rtr_now_ns();
	va_list ap;

	if (now - lim->second_ns >= NSEC_PER_SEC) {
		if (lim->suppressed)
			log_event("SYS", LOG_L_WARN, "LOGLIMIT", "%u messages %s-%s were left out",
				  lim->suppressed, facility, mnemonic);
		*lim = (struct log_limit){ .second_ns = now };
	}
	if (lim->n++ >= per_sec) {
		lim->suppressed++;
		return;
	}
	va_start(ap, fmt);
	put(facility, level, mnemonic, fmt, ap);
	va_end(ap);
}

void log_foreach(void (*fn)(void *arg, const char *line), void *arg)
{
	for (size_t i = 0; i < l.n; i++)
		fn(arg, l.line[(l.first + i) % LOG_BUFFER_DEFAULT]);
}

void log_sink_add(log_sink_fn fn, void *arg)
{
	if (l.n_sinks < MAX_SINKS) {
		l.sink[l.n_sinks].fn = fn;
		l.sink[l.n_sinks++].arg = arg;
	}
}

void log_sink_remove(log_sink_fn fn, void *arg)
{
	for (size_t i = 0; i < l.n_sinks; i++) {
		if (l.sink[i].fn == fn && l.sink[i].arg == arg) {
			l.sink[i] = l.sink[--l.n_sinks];
			return;
		}
	}
}

void log_on_record(void (*fn)(const struct log_record *r))
{
	l.on_record = fn;
}
