/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "txn/disk.h"

#include "util.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

struct job {
	STAILQ_ENTRY(job) link;
	char *path, *text;
	disk_done_fn done;
	void *arg;
	/* written by the thread, read after its end */
	int error;
	bool in_place;
};

static struct {
	STAILQ_HEAD(, job) jobs; /* the first one is with the thread */
	pthread_t thread;
	bool running;
	int wake;
	struct event *ev;
} d = { .wake = -1 };

static void *writer(void *arg)
{
	struct job *j = arg;
	uint64_t one = 1;

	j->error = rtr_file_replace(j->path, j->text, strlen(j->text), 0600, &j->in_place);
	while (write(d.wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	return NULL;
}

static void next(void)
{
	struct job *j = STAILQ_FIRST(&d.jobs);
	sigset_t all, old;
	int r;

	if (!j || d.running)
		return;
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&d.thread, NULL, writer, j);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	d.running = !r;
	if (r)
		writer(j); /* better late than never */
}

static struct job *finished(void)
{
	struct job *j = STAILQ_FIRST(&d.jobs);

	if (d.running)
		pthread_join(d.thread, NULL);
	d.running = false;
	STAILQ_REMOVE_HEAD(&d.jobs, link);
	return j;
}

static void report(struct job *j)
{
	j->done(j->arg, j->error, j->in_place);
	free(j->path);
	free(j->text);
	free(j);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct job *j;
	uint64_t n;

	if (read(fd, &n, sizeof(n)) != sizeof(n) || STAILQ_EMPTY(&d.jobs))
		return;
	j = finished();
	next();
	report(j);
}

void disk_replace(const char *path, char *text, disk_done_fn done, void *arg)
{
	struct job *j = xcalloc(1, sizeof(*j));

	*j = (struct job){ .path = xstrdup(path), .text = text, .done = done, .arg = arg };
	STAILQ_INSERT_TAIL(&d.jobs, j, link);
	next();
}

bool disk_busy(void)
{
	return !STAILQ_EMPTY(&d.jobs);
}

int disk_init(struct event_base *base)
{
	STAILQ_INIT(&d.jobs);
	d.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d.wake < 0)
		return -errno;
	d.ev = event_new(base, d.wake, EV_READ | EV_PERSIST, on_wake, NULL);
	return !d.ev || event_add(d.ev, NULL) ? -ENOMEM : 0;
}

void disk_fini(void)
{
	while (d.ev && !STAILQ_EMPTY(&d.jobs)) {
		struct job *j = finished();

		next();
		report(j);
	}
	if (d.ev)
		event_free(d.ev);
	d.ev = NULL;
	if (d.wake >= 0)
		close(d.wake);
	d.wake = -1;
}
