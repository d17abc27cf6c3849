/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "parent.h"
#include "parent_exec.h"
#include "parent_notify.h"
#include "parent_prog.h"
#include "parent_queue.h"
#include "parent_setup.h"
#include "parent_vrrp.h"
#include "system/fdpass.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The first start after a crash is at once: one crash must cost less than a second. From the
 * second crash in a row on the pause doubles, so that a crash loop does not eat the machine. */
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS   5000
/* A child that lived this long had started well: its crash is a first one again. */
#define BACKOFF_FORGET_NS (10 * NSEC_PER_SEC)
/* systemd's own TimeoutStopSec is 90 s; rtrd stops in milliseconds unless it hangs. */
#define STOP_WAIT_NS (10 * NSEC_PER_SEC)

struct parent {
	const struct parent_opts *opts;
	char *run_dir, *state_dir, *sock_path;
	struct parent_user user;
	int lock_fd, listen_fd, signal_fd;
	sigset_t mask, old_mask;

	pid_t child; /* 0 = none */
	int link;    /* our end of the socketpair; -1 = none */
	uint64_t started_ns, beat_ns;
	uint64_t start_due_ns; /* of the next child, when there is none */
	uint64_t stop_due_ns;  /* SIGKILL then; 0 = not stopping */
	uint64_t tick_due_ns;  /* next WATCHDOG=1 */
	uint64_t watchdog_ns;  /* 0 = not watched */
	unsigned n_crashes, backoff_ms;
	bool ready_once; /* some child was up: wrong exits are crashes from now on */
	struct held_fd held[PARENT_MAX_HELD];
	size_t n_held;
	struct parent_progs progs;
	struct parent_vrrp vrrp;
	struct parent_keep keep; /* of the program that was here before */
	bool kept;
	char *exe;
	uint64_t exec_due_ns; /* an upgrade waits for the child's end, until then; 0 = none */
	int exit_status;
	bool ending; /* the child has ended for good */
};

bool parent_name_ok(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz"
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

	return len > 0 && len <= 32 && !name[len] && name[0] != '-';
}

static void fill_args(const struct parent *p, int link, struct rtrd_args *a)
{
	*a = (struct rtrd_args){
		.name = p->opts->name,
		.config = p->opts->config,
		.run_dir = p->run_dir,
		.state_dir = p->state_dir,
		.listen_fd = p->listen_fd,
		.parent_fd = link,
		.n_crashes = p->n_crashes,
		.beat_ns = p->watchdog_ns / 4,
		.held = p->held,
		.n_held = p->n_held,
	};
}

/* The child from fork to its end. */
static int child_run(struct parent *p, int link, pid_t parent_pid)
{
	struct rtrd_args args;
	int r;

	/* An injected fault is the first child's: the next one shows how it recovers. */
	if (p->n_crashes)
		unsetenv("RTR_FAULT");

	close(p->signal_fd);
	parent_prog_forget(&p->progs);
	notify_fini();
	/* Until rtrd_main listens to it: the start reads the configuration anyway. */
	signal(SIGHUP, SIG_IGN);
	sigprocmask(SIG_SETMASK, &p->old_mask, NULL);
	r = parent_drop(&p->user);
	if (r) {
		fprintf(stderr, "rtrd: cannot become user rtr: %s\n", strerror(-r));
		return RTRD_FAILED;
	}
	/* After the change of user, which clears it. A worker without a parent has nobody who
	 * starts it again, and holds the instance's lock: it goes at once, as after any crash, also
	 * from the middle of a long commit or a loop that hangs. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent_pid)
		return RTRD_FAILED;
	/* The instance's folder can be entered by everybody, for the socket's sake. */
	umask(0027);
	fill_args(p, link, &args);
	return rtrd_main(&args);
}

static void schedule_restart(struct parent *p)
{
	uint64_t now = rtr_now_ns();

	if (p->ready_once && now - p->started_ns > BACKOFF_FORGET_NS)
		p->backoff_ms = 0;
	p->start_due_ns = now + p->backoff_ms * NSEC_PER_MSEC;
	p->backoff_ms = p->backoff_ms ? MIN(p->backoff_ms * 2, (unsigned)BACKOFF_MAX_MS)
				      : BACKOFF_FIRST_MS;
	p->n_crashes++;
}

static void start_child(struct parent *p)
{
	pid_t self = getpid();
	int link[2];

	p->start_due_ns = 0;
	p->started_ns = p->beat_ns = rtr_now_ns();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) < 0) {
		fprintf(stderr, "rtrd: socketpair: %s\n", strerror(errno));
		schedule_restart(p);
		return;
	}
	fflush(NULL);
	p->child = fork();
	if (p->child == 0) {
		close(link[0]);
		exit(child_run(p, link[1], self));
	}
	close(link[1]);
	if (p->child < 0) {
		fprintf(stderr, "rtrd: fork: %s\n", strerror(errno));
		close(link[0]);
		p->child = 0;
		schedule_restart(p);
		return;
	}
	p->link = link[0];
}

static void drop_held(struct parent *p, uint32_t key)
{
	for (size_t i = 0; i < p->n_held; i++) {
		if (p->held[i].key != key)
			continue;
		close(p->held[i].fd);
		p->held[i] = p->held[--p->n_held];
		return;
	}
}

static void hold(struct parent *p, uint32_t key, int fd)
{
	drop_held(p, key);
	if (p->n_held == ARRAY_LEN(p->held)) {
		fprintf(stderr,
			"rtrd: too many descriptors to hold, key %" PRIu32 " is lost at a "
			"restart\n",
			key);
		close(fd);
		return;
	}
	p->held[p->n_held++] = (struct held_fd){ key, fd };
}

static void serve(struct parent *p, const struct parent_msg *msg, int fd)
{
	switch (msg->request) {
	case PARENT_READY:
		p->ready_once = true;
		p->beat_ns = rtr_now_ns();
		notify_send("READY=1");
		break;
	case PARENT_BEAT:
		p->beat_ns = rtr_now_ns();
		break;
	case PARENT_HOLD:
		if (fd >= 0)
			hold(p, msg->key, fd);
		fd = -1;
		break;
	case PARENT_DROP:
		drop_held(p, msg->key);
		break;
	case PARENT_START:
		if (msg->key == PARENT_PROG_FASTPATH)
			parent_bpffs(p->run_dir, p->opts->name, &p->user);
		if (fd >= 0 && !p->stop_due_ns)
			parent_prog_start(&p->progs, msg->key, p->opts->name, fd, &p->user);
		break;
	case PARENT_VRRPD:
		parent_vrrp_want(&p->vrrp);
		break;
	case PARENT_QUEUE:
		if (fd >= 0)
			parent_queue_serve(fd);
		break;
	default:
		break;
	}
	if (fd >= 0)
		close(fd);
}

/* One request of the child. False when there is none (yet, or any more). */
static bool take_request(struct parent *p)
{
	struct parent_msg msg;
	int fd;
	ssize_t n = fd_recv(p->link, &msg, sizeof(msg), MSG_DONTWAIT, &fd);

	if (n < 0)
		return errno == EINTR;
	if (n == 0) {
		close(p->link);
		p->link = -1;
		return false;
	}
	if (n == sizeof(msg))
		serve(p, &msg, fd);
	else if (fd >= 0)
		close(fd);
	return true;
}

/* The child will not be started again; rtr-vrrpd may need a moment more. */
static void end(struct parent *p)
{
	p->ending = true;
	if (!p->vrrp.stopping)
		parent_vrrp_stop(&p->vrrp);
}

/* The program on disk takes this process's place. Returns when it cannot. */
static void exec_again(struct parent *p)
{
	struct parent_keep k = { .lock_fd = p->lock_fd, .listen_fd = p->listen_fd };
	int r;

	p->exec_due_ns = 0;
	memcpy(k.held, p->held, sizeof(k.held));
	k.n_held = p->n_held;
	parent_vrrp_keep(&p->vrrp, &k);
	/* The worker's helpers: the next one asks for them again. */
	parent_prog_end(&p->progs, true);
	notify_export();
	sigprocmask(SIG_SETMASK, &p->old_mask, NULL);
	r = p->exe ? parent_exec(p->exe, p->opts->argv, &k) : -ENOENT;
	sigprocmask(SIG_BLOCK, &p->mask, NULL);
	fprintf(stderr, "rtrd: cannot start %s in our place: %s; going on as before\n",
		p->exe ? p->exe : "rtrd", strerror(-r));
	schedule_restart(p);
}

static void child_ended(struct parent *p, int status)
{
	p->child = 0;
	/* What it said before its end still counts. */
	while (p->link >= 0 && take_request(p))
		;
	if (p->link >= 0)
		close(p->link);
	p->link = -1;

	if (p->exec_due_ns && !p->stop_due_ns) {
		exec_again(p);
		return;
	}
	if (p->stop_due_ns || (WIFEXITED(status) && WEXITSTATUS(status) == RTRD_OK)) {
		/* Killed by SIGTERM: it came before the child had set up its handler. */
		p->exit_status = WIFEXITED(status)             ? WEXITSTATUS(status)
				 : WTERMSIG(status) == SIGTERM ? RTRD_OK
							       : RTRD_FAILED;
		end(p);
		return;
	}
	if (WIFEXITED(status) && !p->ready_once) {
		p->exit_status = WEXITSTATUS(status);
		end(p);
		return;
	}
	if (WIFSIGNALED(status))
		fprintf(stderr, "rtrd: worker killed by signal %d (%s): starting it again\n",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		fprintf(stderr, "rtrd: worker ended with status %d: starting it again\n",
			WEXITSTATUS(status));
	schedule_restart(p);
}

static void stop(struct parent *p)
{
	if (p->stop_due_ns)
		return;
	notify_send("STOPPING=1");
	p->stop_due_ns = rtr_now_ns() + STOP_WAIT_NS;
	parent_vrrp_stop(&p->vrrp);
	if (p->child)
		kill(p->child, SIGTERM);
	else
		end(p);
}

static void take_signal(struct parent *p)
{
	struct signalfd_siginfo si;
	int status;

	if (read(p->signal_fd, &si, sizeof(si)) != sizeof(si))
		return;
	switch (si.ssi_signo) {
	case SIGCHLD:
		if (p->child && waitpid(p->child, &status, WNOHANG) == p->child)
			child_ended(p, status);
		parent_prog_reap(&p->progs);
		if (p->vrrp.pid && waitpid(p->vrrp.pid, &status, WNOHANG) == p->vrrp.pid)
			parent_vrrp_ended(&p->vrrp, status, rtr_now_ns());
		break;
	case SIGUSR2:
		notify_reloading();
		p->exec_due_ns = rtr_now_ns() + STOP_WAIT_NS;
		if (p->child)
			kill(p->child, SIGTERM);
		else
			exec_again(p);
		break;
	case SIGHUP:
		notify_reloading();
		if (p->child)
			kill(p->child, SIGHUP);
		break;
	default:
		stop(p);
		break;
	}
}

/* Does what is due; returns poll's time-out in ms, -1 = none. */
static int run_timers(struct parent *p)
{
	uint64_t now = rtr_now_ns(), due;

	due = parent_vrrp_run(&p->vrrp, now);
	if (!p->child && !p->ending && now >= p->start_due_ns) {
		start_child(p);
		now = rtr_now_ns();
	}
	if (p->stop_due_ns && p->child && now >= p->stop_due_ns) {
		fprintf(stderr, "rtrd: the worker does not stop: killing it\n");
		kill(p->child, SIGKILL);
		p->stop_due_ns = now + STOP_WAIT_NS;
	}
	if (p->exec_due_ns && p->child && now >= p->exec_due_ns) {
		kill(p->child, SIGKILL);
		p->exec_due_ns = now + STOP_WAIT_NS;
	}
	if (p->watchdog_ns && now >= p->tick_due_ns) {
		/* Ours to answer while there is no child; else it must have beaten lately. */
		if (!p->child || !p->ready_once || now - p->beat_ns < p->watchdog_ns / 2)
			notify_send("WATCHDOG=1");
		p->tick_due_ns = now + p->watchdog_ns / 4;
	}
	if (!p->child && !p->ending)
		due = MIN(due, p->start_due_ns);
	else if (p->stop_due_ns && p->child)
		due = MIN(due, p->stop_due_ns);
	else if (p->exec_due_ns)
		due = MIN(due, p->exec_due_ns);
	if (p->watchdog_ns)
		due = MIN(due, p->tick_due_ns);
	if (due == UINT64_MAX)
		return -1;
	return due > now ? (int)MIN((due - now) / NSEC_PER_MSEC + 1, (uint64_t)INT32_MAX) : 0;
}

static void supervise(struct parent *p)
{
	while (!p->ending || p->vrrp.pid) {
		int ms = run_timers(p);
		struct pollfd fds[] = { { .fd = p->signal_fd, .events = POLLIN },
					{ .fd = p->link, .events = POLLIN },
					{ .fd = parent_prog_fd(&p->progs), .events = POLLIN } };

		if (poll(fds, ARRAY_LEN(fds), ms) < 0)
			continue;
		/* Before a request, which may put another one in its place. */
		if (fds[2].revents)
			parent_prog_serve(&p->progs);
		if (fds[1].revents)
			take_request(p);
		if (fds[0].revents)
			take_signal(p);
	}
}

static int fail(const char *what, const char *path, int r)
{
	fprintf(stderr, "rtrd: cannot %s %s: %s\n", what, path, strerror(-r));
	return RTRD_FAILED;
}

/* Folders, lock and socket. 0 or an enum rtrd_exit. */
static int set_up(struct parent *p)
{
	const struct parent_opts *o = p->opts;
	pid_t other = 0;
	int r;

	if (!o->no_parent)
		p->user = parent_find_user();
	p->run_dir = xasprintf("%s/%s", o->run_base, o->name);
	p->state_dir = xasprintf("%s/%s", o->state_base, o->name);
	p->sock_path = xasprintf("%s/cli.sock", p->run_dir);
	/* 0751: members of rtradmin who are not in rtr must reach the socket; the files beside it
	 * are 0640 by umask and their folder cannot be listed. */
	r = parent_folder(o->run_base, p->run_dir, 0751, &p->user);
	if (r)
		return fail("make", p->run_dir, r);
	/* 0751: members of rtradmin who are not in rtr must reach the captures, which are theirs
	 * alone. */
	r = parent_folder(o->state_base, p->state_dir, 0751, &p->user);
	if (r)
		return fail("make", p->state_dir, r);
	r = parent_captures_folder(p->state_dir, &p->user);
	if (r)
		return fail("make a folder for captures in", p->state_dir, r);
	/* The worker replaces files in it (`write memory`): temp file, rename. A folder that -f
	 * names is not ours to give away. */
	r = o->config_dir && p->user.drop
		    ? parent_folder(o->config_dir, o->config_dir, 0750, &p->user)
		    : 0;
	if (r)
		return fail("make", o->config_dir, r);
	p->kept = parent_exec_taken(&p->keep);
	if (p->kept) {
		p->lock_fd = p->keep.lock_fd;
		p->listen_fd = p->keep.listen_fd;
		memcpy(p->held, p->keep.held, sizeof(p->held));
		p->n_held = p->keep.n_held;
		return 0;
	}
	p->lock_fd = parent_lock(p->run_dir, &other);
	if (p->lock_fd == -EWOULDBLOCK) {
		fprintf(stderr,
			"rtrd: instance %s is already running (process %d); give this one "
			"another name with -N\n",
			o->name, (int)other);
		return RTRD_RUNNING;
	}
	if (p->lock_fd < 0)
		return fail("lock", p->run_dir, p->lock_fd);
	p->listen_fd = parent_listen(p->sock_path);
	if (p->listen_fd < 0)
		return fail("listen on", p->sock_path, p->listen_fd);
	return 0;
}

static int run_alone(struct parent *p)
{
	struct rtrd_args args;

	umask(0027);
	fill_args(p, -1, &args);
	return rtrd_main(&args);
}

static int run_parent(struct parent *p)
{
	p->watchdog_ns = notify_init();
	sigemptyset(&p->mask);
	sigaddset(&p->mask, SIGCHLD);
	sigaddset(&p->mask, SIGHUP);
	sigaddset(&p->mask, SIGTERM);
	sigaddset(&p->mask, SIGINT);
	sigaddset(&p->mask, SIGUSR2);
	sigprocmask(SIG_BLOCK, &p->mask, &p->old_mask);
	p->exe = parent_exec_path();
	p->vrrp = (struct parent_vrrp){ .instance = p->opts->name,
					.run_dir = p->run_dir,
					.user = &p->user,
					.mask = &p->old_mask };
	parent_prog_init(&p->progs);
	parent_vrrp_init(&p->vrrp);
	if (p->kept)
		parent_vrrp_take(&p->vrrp, &p->keep);
	p->signal_fd = signalfd(-1, &p->mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (p->signal_fd < 0)
		return fail("watch", "signals", -errno);
	supervise(p);
	parent_prog_end(&p->progs, false);
	close(p->signal_fd);
	parent_vrrp_fini(&p->vrrp);
	notify_fini();
	return p->exit_status;
}

int parent_main(const struct parent_opts *o)
{
	struct parent p = { .opts = o, .lock_fd = -1, .listen_fd = -1, .link = -1 };
	int status;

	/* Root's shell may have a stricter one, which would lock clients out of /run/rtr. */
	umask(0022);
	status = set_up(&p);
	if (!status)
		status = o->no_parent ? run_alone(&p) : run_parent(&p);
	if (p.listen_fd >= 0) {
		unlink(p.sock_path);
		close(p.listen_fd);
	}
	if (p.lock_fd >= 0)
		close(p.lock_fd);
	for (size_t i = 0; i < p.n_held; i++)
		close(p.held[i].fd);
	free(p.exe);
	free(p.run_dir);
	free(p.state_dir);
	free(p.sock_path);
	return status;
}
