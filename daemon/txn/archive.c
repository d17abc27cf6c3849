/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "txn/archive.h"

#include "schema/conffile.h"
#include "system/log.h"

#include <ctype.h>
#include <event2/event.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct {
	char *dir;
	unsigned long last; /* highest number given */
	struct event *timer;
	struct pending {
		struct rec *root;
		char *user, *what;
		time_t at;
		struct pending *next;
	} * head, **tail;
	unsigned n_waiting;
} a;

/* After the last one, so that who types line after line, or pastes commit after commit, waits for
 * none of them: the text of 10,000 lines takes longer than committing one more. */
#define ARCHIVE_DELAY_MS 300
/* With as many waiting the first is written at once. */
#define ARCHIVE_WAITING 16

#define SUFFIX ".conf"

static int is_revision(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 12 && isdigit((unsigned char)*d->d_name) &&
	       !strcmp(d->d_name + n - strlen(SUFFIX), SUFFIX);
}

static int is_leftover(const struct dirent *d)
{
	return rtr_file_is_temp(d->d_name);
}

static int newest_first(const struct dirent **x, const struct dirent **y)
{
	return strcmp((*y)->d_name, (*x)->d_name);
}

static int list_of(int (*want)(const struct dirent *d), struct dirent ***ret)
{
	int n = a.dir ? scandir(a.dir, ret, want, newest_first) : 0;

	if (n <= 0)
		*ret = NULL;
	return MAX(n, 0);
}

static int list(struct dirent ***ret)
{
	return list_of(is_revision, ret);
}

static void list_free(struct dirent **d, int n)
{
	for (int i = 0; i < n; i++)
		free(d[i]);
	free(d);
}

static void unlink_from(struct dirent **d, int first, int n)
{
	for (int i = first; i < n; i++) {
		char *path = xasprintf("%s/%s", a.dir, d[i]->d_name);

		unlink(path);
		free(path);
	}
}

/* What was being written when we were killed. */
static void sweep(void)
{
	struct dirent **d;
	int n = list_of(is_leftover, &d);

	unlink_from(d, 0, n);
	list_free(d, n);
}

static void on_timer(evutil_socket_t fd, short what, void *arg);
static void flush(void);

int archive_init(struct event_base *base, const char *statedir)
{
	struct dirent **d;
	int n;

	a.tail = &a.head;
	a.timer = evtimer_new(base, on_timer, NULL);

	a.dir = xasprintf("%s/archive", statedir);
	if (mkdir(a.dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	sweep();
	n = list(&d);
	if (n)
		a.last = strtoul(d[0]->d_name, NULL, 10);
	list_free(d, n);
	return 0;
}

void archive_fini(void)
{
	flush();
	event_free(a.timer);
	free(a.dir);
	memset(&a, 0, sizeof(a));
}

/* Letters, digits and a few others; a name cannot hold the rest. */
static char *tame(const char *s)
{
	char *t = xstrndup(s, 40);

	for (char *c = t; *c; c++)
		*c = isalnum((unsigned char)*c) || strchr("._", *c) ? *c : '_';
	return t;
}

static bool same_as_newest(const char *body)
{
	struct dirent **d;
	int n = list(&d);
	char *path = n ? xasprintf("%s/%s", a.dir, d[0]->d_name) : NULL, *text;
	bool same = false;

	if (path && !rtr_file_read(path, CONFFILE_MAX, &text, NULL)) {
		const char *old = strchr(text, '\n'), *new = strchr(body, '\n');

		same = old && new && !strcmp(old, new);
		free(text);
	}
	free(path);
	list_free(d, n);
	return same;
}

static void trim(void)
{
	struct dirent **d;
	int n = list(&d);

	unlink_from(d, ARCHIVE_KEEP, n);
	list_free(d, n);
}

static void write_revision(const char *text, const char *user, const char *what, time_t at)
{
	char stamp[32], *u = tame(user), *w = tame(what), *path;
	struct tm tm;
	int r;

	if (!same_as_newest(text)) {
		gmtime_r(&at, &tm);
		strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
		path = xasprintf("%s/%06lu-%s-%s-%s" SUFFIX, a.dir, ++a.last, stamp, u, w);
		r = rtr_file_swap(path, text, strlen(text), 0600);
		if (r)
			log_event("ARCHIVE", LOG_L_ERR, "WRITE", "Cannot keep a revision: %s: %s",
				  path, strerror(-r));
		free(path);
		trim();
	}
	free(u);
	free(w);
}

static void write_first(void)
{
	struct pending *p = a.head;
	char *text = conffile_text(p->root, "archived");

	a.n_waiting--;
	a.head = p->next;
	if (!a.head)
		a.tail = &a.head;
	write_revision(text, p->user, p->what, p->at);
	free(text);
	rec_unref(p->root);
	free(p->user);
	free(p->what);
	free(p);
}

static void flush(void)
{
	while (a.head)
		write_first();
}

static void wait_a_moment(void)
{
	struct timeval tv = { .tv_usec = ARCHIVE_DELAY_MS * 1000 };

	event_add(a.timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	if (a.head)
		write_first();
	if (a.head)
		wait_a_moment();
}

void archive_add_text(const char *text, const char *user, const char *what)
{
	flush();
	if (a.dir)
		write_revision(text, user, what, time(NULL));
}

void archive_add(const struct rec *root, const char *user, const char *what)
{
	struct pending *p;

	if (!a.dir)
		return;
	if (a.n_waiting == ARCHIVE_WAITING)
		write_first();
	p = xcalloc(1, sizeof(*p));
	*p = (struct pending){ .root = rec_ref(root),
			       .user = xstrdup(user),
			       .at = time(NULL),
			       .what = xstrdup(what) };
	*a.tail = p;
	a.tail = &p->next;
	a.n_waiting++;
	wait_a_moment();
}

int archive_load(unsigned n, struct rec **ret, struct strbuf *err)
{
	struct dirent **d;
	int len, r = -ENOENT;
	char *path;

	flush();
	len = list(&d);
	if (n < 1 || n > (unsigned)len) {
		strbuf_addf(err, "There is no revision %u; show archive lists them", n);
	} else {
		path = xasprintf("%s/%s", a.dir, d[n - 1]->d_name);
		r = conffile_read(path, ret, err);
		free(path);
	}
	list_free(d, len);
	return r;
}

int archive_load_good(bool (*passes)(const struct rec *root, struct strbuf *why), struct rec **ret,
		      char **ret_name)
{
	struct dirent **d;
	int len = list(&d), r = -ENOENT;

	for (int i = 0; i < len && r; i++) {
		struct strbuf err = STRBUF_INIT;
		char *path = xasprintf("%s/%s", a.dir, d[i]->d_name);

		r = conffile_read(path, ret, &err);
		if (!r && !passes(*ret, &err)) {
			*ret = rec_unref(*ret);
			r = -EINVAL;
		}
		if (!r)
			*ret_name = path;
		else
			free(path);
		strbuf_fini(&err);
	}
	list_free(d, len);
	return r;
}

json_t *archive_list(void)
{
	json_t *out = json_array();
	struct dirent **d;
	int n;

	flush();
	n = list(&d);
	for (int i = 0; i < n; i++) {
		char stamp[20] = "", user[64] = "", what[64] = "";

		sscanf(d[i]->d_name, "%*[0-9]-%19[^-]-%63[^-]-%63[^-]", stamp, user, what);
		if (strstr(what, SUFFIX))
			*strstr(what, SUFFIX) = '\0';
		json_array_append_new(out, json_pack("{s:i,s:s,s:s,s:s,s:s}", "revision", i + 1,
						     "file", d[i]->d_name, "time", stamp, "user",
						     user, "comment", what));
	}
	list_free(d, n);
	return out;
}
