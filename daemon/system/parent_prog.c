/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "parent_prog.h"

#include "parent_types.h"
#include "parent_xt.h"
#include "rtr/ct_types.h"
#include "rtr/xt_names.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A program has nothing to save: what does not end within this time hangs. */
#define END_WAIT_MS 2000
#define END_LOOK_MS 5

static const struct {
	const char *file;
	int caps[5];
	size_t n_caps;
	int hand_over; /* signal: another one follows at once; 0 = it does not care */
} progs[PARENT_PROG__MAX] = {
	[PARENT_PROG_ARPD] = { "rtr-arpd", { CAP_NET_RAW }, 1 },
	[PARENT_PROG_AUTOD] = { "rtr-autod", { CAP_NET_RAW }, 1 },
	[PARENT_PROG_INSPECTD] = { "rtr-inspectd", { CAP_NET_ADMIN }, 1 },
	[PARENT_PROG_CAPTURED] = { "rtr-captured", { CAP_NET_RAW }, 1 },
	[PARENT_PROG_FASTPATH] = { "rtr-fastpath",
				   { CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_PERFMON,
				     CAP_IPC_LOCK },
				   5,
				   SIGUSR1 },
	[PARENT_PROG_DROPD] = { "rtr-dropd", { CAP_BPF, CAP_PERFMON }, 2 },
	[PARENT_PROG_LOGD] = { "rtr-logd", { 0 }, 0 },
};

/* Beside our own program, as in a build; else where the package puts it. */
static void find(const char *file, char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *slash;

	path[MAX(n, (ssize_t)0)] = '\0';
	slash = strrchr(path, '/');
	if (slash && slash - path + 1 + strlen(file) < PATH_MAX) {
		rtr_strlcpy(slash + 1, file, PATH_MAX - (size_t)(slash + 1 - path));
		if (!access(path, X_OK))
			return;
	}
	snprintf(path, PATH_MAX, "%s/%s", RTR_LIBEXECDIR, file);
}

/* What a program is started with: its socket, and what rtr-fastpath has beside it; -1: not there.
 */
struct given {
	int sock, xt, types;
};

/* Under the number that the program knows it by. */
static bool place_one(int fd, int as)
{
	return fd < 0 || dup2(fd, as) >= 0;
}

static bool place(const struct given *g)
{
	struct given high = { fcntl(g->sock, F_DUPFD_CLOEXEC, CT_TYPES_FD + 1), -1, -1 };

	/* None may lie where another one goes. */
	if (g->xt >= 0)
		high.xt = fcntl(g->xt, F_DUPFD_CLOEXEC, CT_TYPES_FD + 1);
	if (g->types >= 0)
		high.types = fcntl(g->types, F_DUPFD_CLOEXEC, CT_TYPES_FD + 1);
	return high.sock >= 0 && place_one(high.sock, PARENT_PROG_FD) &&
	       place_one(high.xt, XT_NAMES_FD) && place_one(high.types, CT_TYPES_FD);
}

/* In the child. Everything else that is open is close-on-exec. */
static void run(enum parent_prog prog, const char *path, const char *instance,
		const struct given *g, const struct parent_user *u, pid_t parent_pid)
{
	char *const argv[] = { (char *)(uintptr_t)progs[prog].file, (char *)(uintptr_t)instance,
			       NULL };
	sigset_t none;
	int r;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	r = parent_drop_to(u, progs[prog].caps, progs[prog].n_caps);
	/* After the change of user, which clears it. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (r || getppid() != parent_pid || !place(g))
		_exit(126);
	execv(path, argv);
	_exit(127);
}

static void end_one(pid_t *pid, int sig)
{
	struct timespec ts = { .tv_nsec = END_LOOK_MS * 1000000L };

	if (!*pid)
		return;
	kill(*pid, sig);
	for (unsigned ms = 0; sig != SIGKILL && ms < END_WAIT_MS; ms += END_LOOK_MS) {
		if (waitpid(*pid, NULL, WNOHANG) == *pid) {
			*pid = 0;
			return;
		}
		nanosleep(&ts, NULL);
	}
	kill(*pid, SIGKILL);
	waitpid(*pid, NULL, 0);
	*pid = 0;
}

void parent_prog_init(struct parent_progs *ps)
{
	*ps = (struct parent_progs){ .xt_fd = -1 };
}

int parent_prog_fd(const struct parent_progs *ps)
{
	return ps->xt_fd;
}

void parent_prog_forget(struct parent_progs *ps)
{
	if (ps->xt_fd >= 0)
		close(ps->xt_fd);
	ps->xt_fd = -1;
}

void parent_prog_serve(struct parent_progs *ps)
{
	if (!parent_xt_serve(ps->xt_fd))
		parent_prog_forget(ps);
}

void parent_prog_start(struct parent_progs *ps, uint32_t prog, const char *instance, int fd,
		       const struct parent_user *u)
{
	char path[PATH_MAX];
	pid_t self = getpid(), pid;
	struct given g = { fd, -1, -1 };

	if (prog >= PARENT_PROG__MAX || !progs[prog].file)
		return;
	/* The one before has lost whom it worked for. */
	end_one(&ps->pid[prog], progs[prog].hand_over ?: SIGKILL);
	find(progs[prog].file, path);
	if (prog == PARENT_PROG_FASTPATH) {
		parent_prog_forget(ps);
		ps->xt_fd = parent_xt_open(&g.xt);
		g.types = parent_types_open();
	}
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		run((enum parent_prog)prog, path, instance, &g, u, self);
	if (g.xt >= 0)
		close(g.xt);
	if (g.types >= 0)
		close(g.types);
	if (pid < 0)
		fprintf(stderr, "rtrd: fork: %s\n", strerror(errno));
	else
		ps->pid[prog] = pid;
}

void parent_prog_reap(struct parent_progs *ps)
{
	int status;

	for (size_t i = 0; i < PARENT_PROG__MAX; i++) {
		if (!ps->pid[i] || waitpid(ps->pid[i], &status, WNOHANG) != ps->pid[i])
			continue;
		ps->pid[i] = 0;
		if (WIFSIGNALED(status))
			fprintf(stderr, "rtrd: %s was killed by signal %d (%s)\n", progs[i].file,
				WTERMSIG(status), strsignal(WTERMSIG(status)));
		else if (WEXITSTATUS(status))
			fprintf(stderr, "rtrd: %s ended with status %d%s\n", progs[i].file,
				WEXITSTATUS(status),
				WEXITSTATUS(status) == 127 ? ": it is not installed" : "");
	}
}

void parent_prog_end(struct parent_progs *ps, bool again)
{
	for (size_t i = 0; i < PARENT_PROG__MAX; i++)
		end_one(&ps->pid[i], again && progs[i].hand_over ? progs[i].hand_over : SIGTERM);
	parent_prog_forget(ps);
}
