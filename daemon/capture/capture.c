/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The verbs of `monitor capture`, and what becomes of them. */
#include "capture/capture.h"

#include "capture/capture_opts.h"
#include "cli/command.h"
#include "domain.h"
#include "fastpath/fastpath.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "schema/types.h"
#include "system/log.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Bytes that all captures together may be allowed. */
#define ALL_MB 4096
/* An interface that is to leave the fast plane is looked at so often, and waited for so long: a
 * commit may be under way. */
#define LEAVE_LOOK_MS 10
#define LEAVE_MAX_MS  5000

/* A command that waits for rtr-captured. */
struct job {
	struct cmd_ctx *c;
	uint32_t serial;
	uint8_t op; /* enum captured_op */
	struct capture_entry *e;
	struct capture_def def;  /* CHECK: what shall be defined */
	char file[NAME_MAX + 1]; /* EXPORT */
	/* START */
	uint64_t leaving_ns; /* since when the interface is to leave the fast plane; 0: it is not */
	struct fast_ask *ask; /* the question whose answer says that it has */
	bool in_vain;         /* it was not answered */
	/* DUMP */
	uint64_t cursor, left, told;
	bool waiting; /* an answer is to come; else the client is slow */
	struct job *next;
};

static struct capture_entry entries[CAPTURED_MAX];
static struct job *jobs;
static uint32_t last_serial;
static struct event *ev_load, *ev_leave;

static const char *const end_texts[] = {
#define X(id, text) text,
	CAPTURED_ENDS(X)
#undef X
};

struct capture_entry *captures(void)
{
	return entries;
}

struct capture_entry *capture_find(const char *name)
{
	for (unsigned i = 0; i < CAPTURED_MAX; i++) {
		if (entries[i].used && !strcmp(entries[i].def.name, name))
			return &entries[i];
	}
	return NULL;
}

const char *capture_end_text(unsigned end)
{
	return end_texts[MIN(end, (unsigned)CAPTURED_END__MAX - 1)];
}

/* ---- talking ---- */

static struct captured_req request(uint8_t op, const struct capture_entry *e)
{
	return (struct captured_req){ .op = op,
				      .id = e ? (uint8_t)(e - entries) : 0,
				      .serial = ++last_serial };
}

static void from_def(struct captured_req *q, const struct capture_def *d)
{
	q->dir = d->dir;
	q->snap = d->snap;
	q->n_files = d->rotate ? CAPTURED_FILES : 1;
	q->max_packets = d->packets;
	q->max_bytes = (uint64_t)d->size_mb << 20;
	q->max_ns = d->seconds * NSEC_PER_SEC;
	rtr_strlcpy(q->ifname, d->ifname, sizeof(q->ifname));
	rtr_strlcpy(q->filter, d->filter, sizeof(q->filter));
}

/* rtr-captured shall have its files. */
static int open_entry(struct capture_entry *e)
{
	struct captured_req q = request(CAPTURED_OPEN, e);
	int fds[CAPTURED_FILES], r;
	unsigned n;

	if (e->open && capture_connected())
		return 0;
	r = capture_files_open(&e->def, fds, &n);
	if (r)
		return r;
	q.n_files = (uint8_t)n;
	r = capture_send(&q, fds, n);
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
	e->open = !r;
	return r;
}

/* Nothing more to do for it: the next capture starts another. */
static void rest(void)
{
	for (unsigned i = 0; i < CAPTURED_MAX; i++) {
		if (entries[i].used)
			return;
	}
	if (!jobs)
		capture_hang_up();
}

static struct job *new_job(struct cmd_ctx *c, uint8_t op, struct capture_entry *e)
{
	struct job *j = xcalloc(1, sizeof(*j));

	*j = (struct job){ .c = c, .op = op, .e = e, .next = jobs };
	jobs = j;
	cmd_set_data(c, j);
	cmd_pend(c);
	return j;
}

static void job_end(struct job *j)
{
	struct job **pp = &jobs;
	struct cmd_ctx *c = j->c;

	while (*pp != j)
		pp = &(*pp)->next;
	*pp = j->next;
	if (j->ask)
		fast_ask_drop(j->ask);
	/* One that did not start holds its interface no more. */
	if (j->op == CAPTURED_START)
		fast_look_soon();
	free(j);
	cmd_done(c);
	rest();
}

static void job_fail(struct job *j, int error)
{
	if (j->op == CAPTURED_EXPORT)
		(void)capture_export_remove(j->file);
	if (j->op == CAPTURED_START)
		j->e->starting = false;
	if (error == -ENOTCONN)
		cmd_fail(j->c, "Captures need rtrd's parent process, which is not there");
	else
		cmd_fail(j->c, "rtr-captured cannot be asked: %s", strerror(-error));
	job_end(j);
}

static void job_send(struct job *j, struct captured_req *q, const int *fds, unsigned n)
{
	int r = j->e ? open_entry(j->e) : 0;

	j->serial = q->serial;
	j->waiting = true;
	if (!r)
		r = capture_send(q, fds, n);
	if (r)
		job_fail(j, r);
}

/* ---- monitor capture NAME interface ... ---- */

static bool defined(const struct capture_def *d, struct capture_entry **ret)
{
	uint64_t sum = d->size_mb;

	*ret = NULL;
	for (unsigned i = 0; i < CAPTURED_MAX; i++) {
		if (entries[i].used)
			sum += entries[i].def.size_mb;
		else if (!*ret)
			*ret = &entries[i];
	}
	return *ret && sum <= ALL_MB;
}

/* The filter is right. */
static void define_done(struct job *j, const struct captured_event *ev)
{
	struct capture_entry *e;
	int r;

	if (ev->error)
		cmd_fail(j->c, "match: %s", ev->text);
	else if (capture_find(j->def.name))
		cmd_fail(j->c, "There is a capture %s", j->def.name);
	else if (!defined(&j->def, &e))
		cmd_fail(j->c, "At most %d captures, together of %d megabytes", CAPTURED_MAX,
			 ALL_MB);
	else {
		*e = (struct capture_entry){ .used = true, .def = j->def };
		r = capture_def_save(e);
		if (r) {
			cmd_fail(j->c, "%s cannot be kept: %s", e->def.name, strerror(-r));
			*e = (struct capture_entry){ 0 };
		}
	}
	job_end(j);
}

static const struct shadow_link *link_of(struct cmd_ctx *c, const char *name)
{
	const struct shadow_link *l = iface_link(name);

	if (!l)
		cmd_fail(c, "%s: there is no such interface", name);
	return l;
}

static void define(struct cmd_ctx *c)
{
	const struct shadow_link *l;
	struct capture_entry *e;
	struct captured_req q;
	struct capture_def d;
	struct job *j;

	if (!capture_read_def(c, &d))
		return;
	l = link_of(c, d.ifname);
	if (!l)
		return;
	if (capture_find(d.name)) {
		cmd_fail(c, "There is a capture %s; no monitor capture %s removes it", d.name,
			 d.name);
		return;
	}
	if (!defined(&d, &e)) {
		cmd_fail(c, "At most %d captures, together of %d megabytes", CAPTURED_MAX, ALL_MB);
		return;
	}
	q = request(CAPTURED_CHECK, NULL);
	from_def(&q, &d);
	q.arptype = l->arptype;
	j = new_job(c, CAPTURED_CHECK, NULL);
	j->def = d;
	job_send(j, &q, NULL, 0);
}

/* ---- start, stop, clear, no ---- */

static struct capture_entry *entry_of(struct cmd_ctx *c)
{
	struct capture_entry *e;
	char *name = NULL;

	cmd_get(c, "name", &name);
	e = name ? capture_find(name) : NULL;
	if (!e)
		cmd_fail(c, "There is no capture %s", name ? name : "");
	free(name);
	return e;
}

static bool is_starting(const struct capture_entry *e)
{
	const struct job *j = jobs;

	while (j && (j->e != e || j->op != CAPTURED_START))
		j = j->next;
	return j || e->starting;
}

bool capture_sees(int ifindex)
{
	for (unsigned i = 0; i < CAPTURED_MAX; i++) {
		const struct capture_entry *e = &entries[i];

		if (e->used && e->ifindex == ifindex && (e->running || is_starting(e)))
			return true;
	}
	return false;
}

static void send_start(struct job *j)
{
	const struct shadow_link *l = link_of(j->c, j->e->def.ifname);
	struct captured_req q = request(CAPTURED_START, j->e);

	if (!l) {
		job_end(j);
		return;
	}
	from_def(&q, &j->e->def);
	q.ifindex = l->ifindex;
	q.arptype = l->arptype;
	/* What comes until STARTED is of this run. */
	j->e->ifindex = l->ifindex;
	j->e->serial = q.serial;
	j->e->starting = true;
	job_send(j, &q, NULL, 0);
}

/* ---- XDP takes packets before a packet socket could see them: the interface leaves first ---- */

static void leave_soon(void)
{
	static const struct timeval tv = { .tv_usec = LEAVE_LOOK_MS * 1000 };

	event_add(ev_leave, &tv);
}

/* What was said before has been done when a question is answered. */
static void has_left(void *arg, bool ok)
{
	struct job *j = arg;

	j->ask = NULL;
	j->in_vain = !ok && fast_seen()->ready;
	send_start(j);
}

static void look_at_leaving(struct job *j)
{
	const struct shadow_link *l = shadow_link_by_index(j->e->ifindex);

	if (l && fast_carries(l->name) &&
	    rtr_now_ns() - j->leaving_ns < LEAVE_MAX_MS * NSEC_PER_MSEC) {
		leave_soon();
		return;
	}
	j->ask = fast_ask(false, 0, NULL, has_left, j);
	if (!j->ask)
		send_start(j);
}

static void on_leave(evutil_socket_t fd, short what, void *arg)
{
	struct job *next;

	for (struct job *j = jobs; j; j = next) {
		next = j->next;
		if (j->leaving_ns && !j->serial && !j->ask)
			look_at_leaving(j);
	}
}

static void leave_first(struct job *j)
{
	j->leaving_ns = rtr_now_ns();
	fast_look_soon();
	leave_soon();
}

static void start(struct cmd_ctx *c)
{
	struct capture_entry *e = entry_of(c);
	const struct shadow_link *l = e ? link_of(c, e->def.ifname) : NULL;
	uint64_t free_bytes = capture_free_bytes() + (e ? e->figures.bytes : 0);
	struct job *j;

	if (!l)
		return;
	if (e->running || is_starting(e)) {
		cmd_fail(c, "%s is running", e->def.name);
		return;
	}
	if (free_bytes < (uint64_t)e->def.size_mb << 20) {
		cmd_fail(c, "%s may take %u megabytes, but %" PRIu64 " are free in %s", e->def.name,
			 e->def.size_mb, free_bytes >> 20, capture_folder());
		return;
	}
	j = new_job(c, CAPTURED_START, e);
	e->ifindex = l->ifindex;
	if (fast_carries(l->name))
		leave_first(j);
	else
		send_start(j);
}

static void started(struct capture_entry *e, const struct captured_event *ev)
{
	e->running = e->ever = true;
	e->starting = e->gone = false;
	e->error = 0;
	e->started = time(NULL);
	e->stopped = 0;
	e->figures = *ev;
	fast_look_soon();
	(void)capture_def_save(e);
}

static void not_started(struct capture_entry *e)
{
	e->starting = false;
	fast_look_soon();
}

/* Which plane has the interface: a commit that takes long keeps it where it is, and a rtr-fastpath
 * that does not answer may not have let go of it. */
static void tell_plane(const struct job *j)
{
	const struct shadow_link *l = shadow_link_by_index(j->e->ifindex);

	if (cmd_json(j->c))
		return;
	if (j->in_vain || (l && fast_carries(l->name)))
		cmd_printf(j->c,
			   "%s may still be on the fast plane: what that forwards is not captured "
			   "before it has left it\n",
			   j->e->def.ifname);
	else if (j->leaving_ns)
		cmd_printf(j->c, "%s takes the kernel plane while it is captured\n",
			   j->e->def.ifname);
}

static void start_done(struct job *j, const struct captured_event *ev)
{
	struct capture_entry *e = j->e;

	if (ev->error) {
		not_started(e);
		cmd_fail(j->c, "%s: %s", e->def.name, *ev->text ? ev->text : strerror(ev->error));
	} else {
		started(e, ev);
		tell_plane(j);
		log_event("BUFCAP", LOG_L_INFO, "ENABLE", "Capture %s on %s started by %s",
			  e->def.name, e->def.ifname, cmd_user(j->c));
	}
	job_end(j);
}

static void ask_stop(struct capture_entry *e)
{
	struct captured_req q = request(CAPTURED_STOP, e);

	(void)capture_send(&q, NULL, 0);
}

static void stop(struct cmd_ctx *c)
{
	struct capture_entry *e = entry_of(c);
	struct captured_req q;

	if (!e)
		return;
	if (!e->running) {
		cmd_fail(c, "%s is not running", e->def.name);
		return;
	}
	q = request(CAPTURED_STOP, e);
	e->stop_serial = q.serial;
	job_send(new_job(c, CAPTURED_STOP, e), &q, NULL, 0);
}

static void stopped(struct capture_entry *e, unsigned end, int error)
{
	e->running = false;
	e->end = (uint8_t)(e->gone ? CAPTURED_END_GONE : end);
	e->error = error;
	e->stopped = time(NULL);
	fast_look_soon();
	(void)capture_def_save(e);
	log_event("BUFCAP",
		  e->end == CAPTURED_END_DISK || e->end == CAPTURED_END_DIED ? LOG_L_WARN
									     : LOG_L_INFO,
		  "DISABLE", "Capture %s stopped: %s%s%s", e->def.name, capture_end_text(e->end),
		  error ? ": " : "", error ? strerror(error) : "");
}

static void stop_done(struct job *j)
{
	const struct captured_event *f = &j->e->figures;

	if (cmd_json(j->c))
		cmd_printf(j->c, "{\"captured\": %" PRIu64 ", \"dropped\": %" PRIu64 "}\n", f->seen,
			   f->dropped);
	else
		cmd_printf(j->c, "Captured %" PRIu64 ", dropped by kernel %" PRIu64 "\n", f->seen,
			   f->dropped);
	job_end(j);
}

static void clear(struct cmd_ctx *c)
{
	struct capture_entry *e = entry_of(c);
	struct captured_req q;

	if (!e)
		return;
	q = request(CAPTURED_CLEAR, e);
	job_send(new_job(c, CAPTURED_CLEAR, e), &q, NULL, 0);
}

static void clear_done(struct job *j, const struct captured_event *ev)
{
	if (ev->error)
		cmd_fail(j->c, "%s: %s", j->e->def.name, strerror(ev->error));
	else
		j->e->figures = *ev;
	job_end(j);
}

static void forget(struct cmd_ctx *c)
{
	struct capture_entry *e = entry_of(c);
	struct captured_req q;

	if (!e)
		return;
	for (const struct job *j = jobs; j; j = j->next) {
		if (j->e == e) {
			cmd_fail(c, "%s is in use by another session", e->def.name);
			return;
		}
	}
	q = request(CAPTURED_CLOSE, e);
	if (e->running)
		stopped(e, CAPTURED_END_ASKED, 0);
	else if (e->starting)
		not_started(e);
	if (e->open && capture_connected())
		(void)capture_send(&q, NULL, 0);
	capture_files_remove(&e->def);
	*e = (struct capture_entry){ 0 };
	rest();
}

/* ---- export ---- */

static void export_to(struct cmd_ctx *c)
{
	struct capture_entry *e = entry_of(c);
	struct captured_req q;
	char *typed = NULL;
	struct job *j;
	bool ok;
	int fd;

	if (!e)
		return;
	j = new_job(c, CAPTURED_EXPORT, e);
	cmd_get(c, "file", &typed);
	ok = typed && capture_export_name(typed, j->file);
	free(typed);
	if (!ok)
		cmd_fail(c, "A file name is made of letters, digits, '-', '_' and '.', at most 64, "
			    "without a folder");
	else if (e->figures.bytes > capture_free_bytes())
		cmd_fail(c, "%" PRIu64 " megabytes are free in %s", capture_free_bytes() >> 20,
			 capture_folder());
	else if ((fd = capture_export_open(j->file)) < 0)
		cmd_fail(c, "%s: %s", j->file, strerror(-fd));
	else {
		q = request(CAPTURED_EXPORT, e);
		from_def(&q, &e->def);
		job_send(j, &q, &fd, 1);
		close(fd);
		return;
	}
	job_end(j);
}

static void export_done(struct job *j, const struct captured_event *ev)
{
	if (ev->error) {
		(void)capture_export_remove(j->file);
		cmd_fail(j->c, "%s: %s", j->e->def.name,
			 ev->error == ENODATA ? "nothing is captured" : strerror(ev->error));
	} else if (cmd_json(j->c)) {
		cmd_printf(j->c,
			   "{\"file\": \"%s/%s\", \"packets\": %" PRIu64 ", \"bytes\": %" PRIu64
			   "}\n",
			   capture_folder(), j->file, ev->packets, ev->bytes);
	} else {
		cmd_printf(j->c, "%" PRIu64 " packets, %" PRIu64 " bytes in %s/%s\n", ev->packets,
			   ev->bytes, capture_folder(), j->file);
	}
	job_end(j);
}

static void remove_export(struct cmd_ctx *c)
{
	char name[NAME_MAX + 1], *typed = NULL;
	int r = -ENOENT;

	cmd_get(c, "file", &typed);
	if (typed && capture_export_name(typed, name))
		r = capture_export_remove(name);
	if (r)
		cmd_fail(c, "%s: %s", typed ? typed : "", strerror(-r));
	free(typed);
}

/* ---- show monitor capture NAME dump ---- */

static void dump_more(struct job *j)
{
	struct captured_req q = request(CAPTURED_DUMP, j->e);

	q.cursor = j->cursor;
	q.count = (uint32_t)MIN(j->left, (uint64_t)64);
	job_send(j, &q, NULL, 0);
}

static void dump(struct cmd_ctx *c)
{
	struct capture_entry *e = entry_of(c);
	uint32_t n;
	struct job *j;

	if (!e)
		return;
	j = new_job(c, CAPTURED_DUMP, e);
	j->left = cmd_get(c, "packets", &n) ? n : UINT64_MAX;
	dump_more(j);
}

static void dump_line(struct job *j, const struct captured_event *ev)
{
	time_t sec = (time_t)(ev->time_ns / NSEC_PER_SEC);
	unsigned usec = (unsigned)(ev->time_ns % NSEC_PER_SEC / 1000);
	const char *dir = ev->out ? "out" : "in";
	char text[32] = "";
	struct tm tm;

	if (localtime_r(&sec, &tm))
		strftime(text, sizeof(text), "%H:%M:%S", &tm);
	if (cmd_json(j->c)) {
		json_t *o = json_pack("{s:I,s:s,s:I,s:s}", "time_ns", (json_int_t)ev->time_ns,
				      "direction", dir, "bytes", (json_int_t)ev->bytes, "packet",
				      ev->text);
		char *s = o ? json_dumps(o, 0) : NULL;

		cmd_printf(j->c, "%s%s", j->told ? ",\n" : "[", s ? s : "null");
		json_decref(o);
		free(s);
	} else {
		cmd_printf(j->c, "%s.%06u %-3s %s (%" PRIu64 " bytes)\n", text, usec, dir, ev->text,
			   ev->bytes);
	}
	j->told++;
	j->left--;
}

static void dump_end(struct job *j)
{
	if (cmd_json(j->c))
		cmd_puts(j->c, j->told ? "]\n" : "[]\n");
	job_end(j);
}

static void dump_done(struct job *j, const struct captured_event *ev)
{
	j->waiting = false;
	j->cursor = ev->cursor;
	if (ev->error) {
		cmd_fail(j->c, "%s: %s", j->e->def.name, strerror(ev->error));
		job_end(j);
	} else if (!ev->more || !j->left) {
		dump_end(j);
	} else if (!cmd_congested(j->c)) {
		dump_more(j);
	}
}

static void dump_go_on(struct cmd_ctx *c)
{
	struct job *j = cmd_data(c);

	if (!j->waiting && !cmd_congested(c))
		dump_more(j);
}

/* ^C, or the terminal is gone. What was asked for goes on, but for an export, and for a start whose
 * interface has not left the fast plane yet: nothing was asked for. */
static void interrupt(struct cmd_ctx *c)
{
	struct job *j = cmd_data(c);

	if (j->op == CAPTURED_EXPORT) {
		struct captured_req q = request(CAPTURED_ABORT, j->e);

		(void)capture_send(&q, NULL, 0);
		(void)capture_export_remove(j->file);
	}
	if (j->op == CAPTURED_DUMP)
		dump_end(j);
	else
		job_end(j);
}

/* ---- what rtr-captured says ---- */

static struct job *job_of(uint32_t serial)
{
	struct job *j = jobs;

	while (j && j->serial != serial)
		j = j->next;
	return j;
}

static struct job *stop_of(const struct capture_entry *e)
{
	struct job *j = jobs;

	while (j && (j->op != CAPTURED_STOP || j->e != e))
		j = j->next;
	return j;
}

static void take_stopped(const struct captured_event *ev)
{
	struct capture_entry *e = &entries[ev->id];
	struct job *j;

	/* One that ended by itself while somebody asked for it has said so before. */
	if (e->used && e->running) {
		e->figures = *ev;
		stopped(e, ev->end, ev->error);
	}
	/* Several may have asked; the last one alone is answered. */
	while ((j = stop_of(e)))
		stop_done(j);
}

/* STARTED after its command was interrupted. */
static void take_started(const struct captured_event *ev)
{
	struct capture_entry *e = &entries[ev->id];

	if (!e->used || e->serial != ev->serial)
		return;
	if (ev->error)
		not_started(e);
	else
		started(e, ev);
}

void capture_event(const struct captured_event *ev)
{
	struct capture_entry *e = &entries[ev->id];
	struct job *j = job_of(ev->serial);

	switch (ev->kind) {
	case CAPTURED_CHECKED:
		if (j)
			define_done(j, ev);
		break;
	case CAPTURED_STARTED:
		if (j)
			start_done(j, ev);
		else
			take_started(ev);
		break;
	case CAPTURED_STATS:
		if (e->used && e->serial == ev->serial)
			e->figures = *ev;
		break;
	case CAPTURED_STOPPED:
		/* Whoever asked for it may be gone. */
		if (j || e->serial == ev->serial || e->stop_serial == ev->serial || e->gone)
			take_stopped(ev);
		break;
	case CAPTURED_CLEARED:
		if (j)
			clear_done(j, ev);
		else if (e->used && !e->running) {
			/* Opened after a start of rtrd: what the files hold. */
			e->figures.packets = ev->packets;
			e->figures.bytes = ev->bytes;
			e->figures.time_ns = ev->time_ns;
		}
		break;
	case CAPTURED_LINE:
		if (j)
			dump_line(j, ev);
		break;
	case CAPTURED_DUMPED:
		if (j)
			dump_done(j, ev);
		break;
	case CAPTURED_EXPORTED:
		if (j)
			export_done(j, ev);
		break;
	}
}

void capture_lost(void)
{
	for (unsigned i = 0; i < CAPTURED_MAX; i++) {
		entries[i].open = false;
		if (entries[i].used && entries[i].running)
			stopped(&entries[i], CAPTURED_END_DIED, 0);
		else if (entries[i].starting)
			not_started(&entries[i]);
	}
	while (jobs) {
		struct job *j = jobs;

		if (j->op == CAPTURED_EXPORT)
			(void)capture_export_remove(j->file);
		cmd_fail(j->c, "rtr-captured ended");
		job_end(j);
	}
}

static void observed(unsigned change)
{
	if (!(change & SHADOW_LINK))
		return;
	for (unsigned i = 0; i < CAPTURED_MAX; i++) {
		struct capture_entry *e = &entries[i];

		if (!e->used || !e->running || e->gone || shadow_link_by_index(e->ifindex))
			continue;
		e->gone = true;
		ask_stop(e);
	}
}

/* ---- the domain ---- */

#define LIMITS                                                                                     \
	"[ limit[ packets <packets:U32(1,4294967295)>][ size <size:U32(1,1024)>]"                  \
	"[ duration <seconds:U32(1,604800)>]][ rotate][ snap-length <snap:U32(64,65535)>]"

/* ---- the names, for ? and Tab ---- */

static void names_complete(const struct val_spec *s, const struct rec *model, val_word_fn fn,
			   void *arg)
{
	for (unsigned i = 0; i < CAPTURED_MAX; i++) {
		if (entries[i].used)
			fn(arg, entries[i].def.name);
	}
}

static const struct val_type capture_type = { .name = "CAPTURE",
					      .what = "the name of a capture",
					      .hint = "WORD",
					      .size = sizeof(char *),
					      .is_text = true,
					      .parse = val_text_parse,
					      .print = val_text_print,
					      .cmp = val_text_cmp,
					      .complete = names_complete };
VAL_TYPE(capture_type);

static const struct cmd cmds[] = {
	{ "monitor capture <name:CAPTURE> interface <ifname:IFNAME>[ {dir:both|in|out}]" LIMITS
	  " match <filter:LINE>",
	  "Define a capture of packets", .run = define, .interrupt = interrupt, .admin = true },
	{ "monitor capture <name:CAPTURE> start", "Begin anew: what it held is gone", .run = start,
	  .interrupt = interrupt, .admin = true },
	{ "monitor capture <name:CAPTURE> stop", "End it; what it holds stays", .run = stop,
	  .interrupt = interrupt, .admin = true },
	{ "monitor capture <name:CAPTURE> clear", "Forget what it holds", .run = clear,
	  .interrupt = interrupt, .admin = true },
	{ "monitor capture <name:CAPTURE> export <file:WORD>",
	  "Write what it holds as a pcapng file", .run = export_to, .interrupt = interrupt,
	  .admin = true },
	{ "no monitor capture <name:CAPTURE>", "Remove a capture with what it holds", .run = forget,
	  .admin = true },
	{ "clear monitor capture export <file:WORD>", "Remove a file that was exported",
	  .run = remove_export, .admin = true },
	{ "show monitor capture <name:CAPTURE> dump[ packets <packets:U32(1,4294967295)>]",
	  "The packets that a capture holds", .run = dump, .interrupt = interrupt,
	  .drained = dump_go_on, .admin = true },
};

static const struct sch_word words[] = {
	{ "monitor", "Watch packets" },
	{ "no monitor", "Stop watching packets" },
	{ "clear monitor", "What was captured" },
	{ "capture", "Packets of an interface, kept in files" },
	{ "both", "Packets that come and that leave" },
	{ "in", "Packets that come" },
	{ "out", "Packets that leave" },
	{ "limit", "When it ends" },
	{ "packets", "After so many" },
	{ "size", "Megabytes on disk" },
	{ "duration", "Seconds" },
	{ "rotate", "The newest packets take the place of the oldest" },
	{ "snap-length", "Bytes kept of each packet" },
	{ "match", "Which packets: a filter as of tcpdump, or any" },
	{ "start", "Begin" },
	{ "stop", "End" },
	{ "export", "Write a pcapng file" },
	{ "dump", "The packets as lines of text" },
};

static void load_one(const struct capture_entry *e)
{
	for (unsigned i = 0; i < CAPTURED_MAX; i++) {
		if (entries[i].used)
			continue;
		entries[i] = *e;
		(void)open_entry(&entries[i]);
		return;
	}
}

static void on_load(evutil_socket_t fd, short what, void *arg)
{
	capture_defs_load(load_one);
}

static int init(void)
{
	static const struct timeval now = { 0, 0 };

	ev_load = evtimer_new(cmd_base(), on_load, NULL);
	ev_leave = evtimer_new(cmd_base(), on_leave, NULL);
	if (!ev_load || !ev_leave)
		return -ENOMEM;
	event_add(ev_load, &now);
	return 0;
}

static void fini(void)
{
	for (unsigned i = 0; i < CAPTURED_MAX; i++) {
		if (entries[i].used && entries[i].running)
			(void)capture_def_save(&entries[i]);
	}
	capture_hang_up();
	if (ev_load)
		event_free(ev_load);
	if (ev_leave)
		event_free(ev_leave);
	ev_load = ev_leave = NULL;
	memset(entries, 0, sizeof(entries));
}

static const struct domain capture_domain = {
	.name = "capture",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
	.init = init,
	.fini = fini,
	.observed = observed,
};
RTR_DOMAIN(capture_domain);
