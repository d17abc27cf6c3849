/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wthread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <urcu-qsbr.h>

/* XDP takes a worker for dead after 50 ms. */
#define SLEEP_MS 20
/* While packets wait in it for their neighbour. */
#define WAIT_MS 1
#define BEAT_NS (5 * NSEC_PER_MSEC)
/* Empty turns before it sleeps: about 20 us, less than what a sleep and its end cost. */
#define SPIN 64

struct fp_wthread {
	struct fp_worker *w;
	int (*filter)(void);
	pthread_t thread;
	int wake_fd;
	uint32_t stop, pause; /* cp:w wk:r */
	uint32_t tid;         /* wk:w cp:r 0: it has not begun */
	bool left;            /* cp:w while it pauses */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool paused; /* by lock */
};

static void wait_resume(struct fp_wthread *t)
{
	rcu_thread_offline();
	pthread_mutex_lock(&t->lock);
	t->paused = true;
	pthread_cond_broadcast(&t->cond);
	while (__atomic_load_n(&t->pause, __ATOMIC_RELAXED))
		pthread_cond_wait(&t->cond, &t->lock);
	t->paused = false;
	pthread_cond_broadcast(&t->cond);
	pthread_mutex_unlock(&t->lock);
	rcu_thread_online();
}

/* False: nothing came, it woke for its beat. */
static bool nap(struct fp_wthread *t)
{
	struct pollfd fds[FP_SOCKS_MAX + 1];
	unsigned n = fp_worker_pollfds(t->w, fds, FP_SOCKS_MAX);
	uint64_t drain;
	int ready;

	fds[n] = (struct pollfd){ .fd = t->wake_fd, .events = POLLIN };
	fp_worker_stats(t->w)->sleeps++;
	rcu_thread_offline();
	ready = poll(fds, n + 1, fp_worker_waits(t->w) ? WAIT_MS : SLEEP_MS);
	if (ready > 0 && fds[n].revents)
		(void)!read(t->wake_fd, &drain, sizeof(drain));
	rcu_thread_online();
	return ready > 0;
}

static void *run(void *arg)
{
	struct fp_wthread *t = arg;
	bool stop = false, got = false;
	unsigned idle = 0;
	uint64_t beat = 0;

	if (t->filter && t->filter())
		_exit(1);
	rcu_register_thread();
	__atomic_store_n(&t->tid, (uint32_t)gettid(), __ATOMIC_RELEASE);
	/* One that has left works off what it still has. */
	while (!stop || (t->left && got)) {
		uint64_t now = rtr_now_ns();

		stop = __atomic_load_n(&t->stop, __ATOMIC_RELAXED);
		if (__atomic_load_n(&t->pause, __ATOMIC_ACQUIRE)) {
			wait_resume(t);
			continue;
		}
		if (!t->left && now - beat > BEAT_NS) {
			fp_worker_beat(t->w, now);
			beat = now;
		}
		got = fp_worker_round(t->w, now);
		idle = got ? 0 : idle + 1;
		rcu_quiescent_state();
		if (idle >= SPIN && !stop)
			idle = nap(t) ? 0 : SPIN - 1;
	}
	rcu_unregister_thread();
	return NULL;
}

int fp_wthread_start(struct fp_worker *w, int (*filter)(void), struct fp_wthread **ret)
{
	struct fp_wthread *t = xcalloc(1, sizeof(*t));
	int err = 0;

	t->w = w;
	t->filter = filter;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->cond, NULL);
	t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->wake_fd < 0)
		err = -errno;
	else
		err = -pthread_create(&t->thread, NULL, run, t);
	if (err) {
		if (t->wake_fd >= 0)
			close(t->wake_fd);
		free(t);
		return err;
	}
	*ret = t;
	return 0;
}

static void wake(const struct fp_wthread *t)
{
	uint64_t one = 1;

	(void)!write(t->wake_fd, &one, sizeof(one));
}

struct fp_wthread *fp_wthread_stop(struct fp_wthread *t)
{
	if (!t)
		return NULL;
	__atomic_store_n(&t->stop, 1, __ATOMIC_RELAXED);
	wake(t);
	pthread_join(t->thread, NULL);
	close(t->wake_fd);
	pthread_cond_destroy(&t->cond);
	pthread_mutex_destroy(&t->lock);
	free(t);
	return NULL;
}

void fp_wthread_pause(struct fp_wthread *t)
{
	__atomic_store_n(&t->pause, 1, __ATOMIC_RELEASE);
	wake(t);
	pthread_mutex_lock(&t->lock);
	while (!t->paused)
		pthread_cond_wait(&t->cond, &t->lock);
	pthread_mutex_unlock(&t->lock);
}

void fp_wthread_resume(struct fp_wthread *t)
{
	pthread_mutex_lock(&t->lock);
	__atomic_store_n(&t->pause, 0, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&t->cond);
	while (t->paused)
		pthread_cond_wait(&t->cond, &t->lock);
	pthread_mutex_unlock(&t->lock);
}

void fp_wthread_leave(struct fp_wthread *t)
{
	fp_wthread_pause(t);
	fp_worker_beat(t->w, 0);
	t->left = true;
	fp_wthread_resume(t);
}

uint32_t fp_wthread_tid(const struct fp_wthread *t)
{
	return __atomic_load_n(&t->tid, __ATOMIC_ACQUIRE);
}

uint64_t fp_wthread_cpu_ns(const struct fp_wthread *t)
{
	struct timespec ts = { 0 };
	clockid_t clock;

	if (pthread_getcpuclockid(t->thread, &clock) || clock_gettime(clock, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}
