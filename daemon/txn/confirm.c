/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "txn/confirm.h"

#include "cli/session.h"
#include "schema/conffile.h"
#include "system/log.h"
#include "txn/journal.h"
#include "txn/archive.h"
#include "txn/txn.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
	char *path;
	struct rec *back;
	uint64_t
		deadline_sec; /* CLOCK_BOOTTIME: counts on while suspended, and /run dies with it */
	struct event *timer;
	char by[33];    /* who made the change, last moved the deadline */
	char user[33];  /* who asked to go back early */
	bool goes_back; /* the way back is being applied: too late to keep the change */
} c;

static uint64_t boottime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec;
}

static void disarm(void)
{
	c.back = rec_unref(c.back);
	c.goes_back = false;
	if (c.timer)
		event_del(c.timer);
	unlink(c.path);
}

static struct rec *build_back(void *arg, const struct rec *running, struct strbuf *err)
{
	/* Confirmed while this waited for its turn: there is nothing to do. */
	c.goes_back = c.back != NULL;
	return rec_ref(c.back ? c.back : running);
}

static void went_back(void *arg, const struct txn_result *res)
{
	if (!c.goes_back)
		return;
	c.goes_back = false;
	if (res->error) {
		struct timeval again = { .tv_sec = 5 };

		log_event("ARCHIVE_DIFF", LOG_L_ERR, "ROLLBK_CNFMD_CHG_FAILED",
			  "Going back to the configuration before failed, trying again: %s",
			  res->text);
		event_add(c.timer, &again);
		return;
	}
	log_event("ARCHIVE_DIFF", LOG_L_NOTICE, "ROLLBK_CNFMD_CHG_ROLLBACK_END",
		  "The change was not kept; the configuration before it is back%s%s",
		  *c.user ? ", by " : "", c.user);
	session_tell_all("The change was not confirmed: the configuration before it is back.");
	archive_add(txn_running(), *c.user ? c.user : "timer", "reverted");
	disarm();
}

static void go_back(evutil_socket_t fd, short what, void *arg)
{
	struct txn_req q = {
		.build = build_back,
		.done = went_back,
		.arg = &c,
		.source = "commit confirmed",
		.overrides_confirm = true,
	};

	rtr_strlcpy(q.user, *c.user ? c.user : "timer", sizeof(q.user));
	log_event("ARCHIVE_DIFF", LOG_L_NOTICE, "ROLLBK_CNFMD_CHG_ROLLBACK_START",
		  "Going back to the configuration before the confirmed commit");
	txn_submit(&q);
}

static void start_timer(struct event_base *base)
{
	uint64_t now = boottime();
	struct timeval tv = { .tv_sec = c.deadline_sec > now ? (time_t)(c.deadline_sec - now) : 0 };

	if (!c.timer)
		c.timer = evtimer_new(base, go_back, NULL);
	event_add(c.timer, &tv);
}

void confirm_init(struct event_base *base, const char *rundir)
{
	struct strbuf errs = STRBUF_INIT;
	char *text, *body, *place;
	size_t size;

	c.path = xasprintf("%s/confirm", rundir);
	if (rtr_file_read(c.path, CONFFILE_MAX, &text, &size))
		return;
	body = strchr(text, '\n');
	place = journal_place();
	/* Another boot's or namespace's: its running configuration is gone, so is its change. */
	if (body && !memmem(text, (size_t)(body - text), place, strlen(place)))
		unlink(c.path);
	else if (!body || sscanf(text, "deadline %" SCNu64, &c.deadline_sec) != 1 ||
		 conffile_parse(c.path, body + 1, &c.back, &errs)) {
		log_event("ARCHIVE_DIFF", LOG_L_ERR, "ROLLBK_CNFMD_CHG_LOST",
			  "The model to go back to cannot be read: %s", strbuf_str(&errs));
		unlink(c.path);
	} else {
		/* The name stands last in its line; a file of an older rtrd has none. */
		char *by = strstr(text, " by ");

		if (by && by < body)
			rtr_strlcpy(c.by, by + 4, MIN(sizeof(c.by), (size_t)(body - by - 3)));
		start_timer(base);
	}
	strbuf_fini(&errs);
	free(place);
	free(text);
}

void confirm_fini(void)
{
	c.back = rec_unref(c.back);
	if (c.timer)
		event_free(c.timer);
	free(c.path);
	memset(&c, 0, sizeof(c));
}

void confirm_arm(struct event_base *base, const struct rec *back, unsigned sec, const char *by)
{
	char *body, *text, *place = journal_place();
	int r;

	if (!c.back)
		c.back = rec_ref(back);
	c.deadline_sec = boottime() + sec;
	*c.user = '\0';
	rtr_strlcpy(c.by, by, sizeof(c.by));
	body = conffile_text(c.back, NULL);
	text = xasprintf("deadline %" PRIu64 " %s by %s\n%s", c.deadline_sec, place, c.by, body);
	/* Not to the disk: after a boot there is nothing to go back from. */
	r = rtr_file_swap(c.path, text, strlen(text), 0600);
	if (r)
		log_event("ARCHIVE_DIFF", LOG_L_WARN, "ROLLBK_CNFMD_CHG_NOFILE",
			  "The way back is not on disk (%s): a crash of rtrd would lose it",
			  strerror(-r));
	free(text);
	free(place);
	free(body);
	start_timer(base);
}

bool txn_confirm_pending(unsigned *ret_sec_left)
{
	uint64_t now = boottime();

	if (c.back && ret_sec_left)
		*ret_sec_left = c.deadline_sec > now ? (unsigned)(c.deadline_sec - now) : 0;
	return c.back != NULL;
}

const char *txn_confirm_by(void)
{
	return c.back ? c.by : "";
}

static const char *decide_late(void)
{
	return !c.back       ? "No change waits for a confirmation"
	       : c.goes_back ? "The change is being taken back already"
			     : NULL;
}

const char *txn_confirm(void)
{
	const char *late = decide_late();

	if (late)
		return late;
	disarm();
	log_event("ARCHIVE_DIFF", LOG_L_NOTICE, "ROLLBK_CNFMD_CHG_CONFIRM", "The change stays");
	return NULL;
}

const char *txn_confirm_abort(const char *user)
{
	const char *late = decide_late();

	if (late)
		return late;
	rtr_strlcpy(c.user, user, sizeof(c.user));
	event_active(c.timer, EV_TIMEOUT, 0);
	return NULL;
}
