/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "system/parent_vrrp.h"

#include "hash.h"
#include "system/parent_exec.h"
#include "rtr/vrrp.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Numbers that the program knows its descriptors by. */
#define LISTEN_FD 3
#define SHM_FD    4
/* Above what is usual for audio and below the kernel's own threads (50 for interrupts): interrupts
 * must bring the adverts in before they can be read. */
#define RT_PRIORITY 40
#define SOON_NS     (1 * NSEC_PER_SEC)
/* It leaves within 3 s, see vrrpd.c. */
#define STOP_WAIT_NS (5 * NSEC_PER_SEC)
#define PAUSE_MS     100
/* What rtr-vrrpd may make us wait for at most, and for how long its promises are not looked at. */
#define LONGEST_NS    (600 * NSEC_PER_SEC)
#define LOOK_AGAIN_NS (250 * NSEC_PER_MSEC)
#define PAUSE_MAX_MS  5000
/* IFA_PROTO: rtrd's own is 98 and 200-249 (kernel/shadow.h). */
#define PROTO_MAIN        99
#define PROTO_OTHER_FIRST 150
#define PROTO_OTHER_N     50

uint8_t parent_vrrp_proto(const char *instance)
{
	if (!strcmp(instance, "main"))
		return PROTO_MAIN;
	return (uint8_t)(PROTO_OTHER_FIRST +
			 hash_bytes(instance, strlen(instance), 0) % PROTO_OTHER_N);
}

/* ---- taking the addresses away ---- */

struct found {
	unsigned n;
	struct {
		struct nlmsghdr h;
		struct ifaddrmsg ifa;
		struct rtattr a;
		uint8_t b[16];
	} del[128];
};

static void note_addr(const struct nlmsghdr *h, uint8_t proto, struct found *f)
{
	const struct ifaddrmsg *ifa = NLMSG_DATA(h);
	int left = (int)IFA_PAYLOAD(h);
	const void *addr = NULL;
	unsigned size = rtr_family_size(ifa->ifa_family);
	bool ours = false;

	for (struct rtattr *a = IFA_RTA(ifa); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == IFA_PROTO)
			ours = *(uint8_t *)RTA_DATA(a) == proto;
		else if ((a->rta_type == IFA_LOCAL || (a->rta_type == IFA_ADDRESS && !addr)) &&
			 RTA_PAYLOAD(a) == size)
			addr = RTA_DATA(a);
	}
	if (!ours || !addr || f->n == ARRAY_LEN(f->del))
		return;
	f->del[f->n].h = (struct nlmsghdr){ .nlmsg_type = RTM_DELADDR,
					    .nlmsg_flags = NLM_F_REQUEST,
					    .nlmsg_len = (uint32_t)(NLMSG_LENGTH(sizeof(*ifa)) +
								    RTA_LENGTH(size)) };
	f->del[f->n].ifa = *ifa;
	f->del[f->n].a = (struct rtattr){ .rta_type = IFA_LOCAL,
					  .rta_len = (unsigned short)RTA_LENGTH(size) };
	memcpy(f->del[f->n++].b, addr, size);
}

/* One dump. False when it could not be read. */
static bool find_addrs(int fd, uint8_t proto, struct found *f)
{
	struct {
		struct nlmsghdr h;
		struct ifaddrmsg ifa;
	} q = { .h = { .nlmsg_len = sizeof(q),
		       .nlmsg_type = RTM_GETADDR,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };
	static union {
		char buf[65536];
		struct nlmsghdr h;
	} in;

	f->n = 0;
	if (send(fd, &q, sizeof(q), 0) < 0)
		return false;
	for (;;) {
		ssize_t n = recv(fd, in.buf, sizeof(in.buf), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		for (struct nlmsghdr *h = &in.h; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return true;
			if (h->nlmsg_type == NLMSG_ERROR)
				return false;
			if (h->nlmsg_type == RTM_NEWADDR)
				note_addr(h, proto, f);
		}
	}
}

static unsigned delete_addrs(uint8_t proto)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct found *f = malloc(sizeof(*f));
	unsigned n = 0;

	/* The kernel works inside send. A full batch means that there may be more. */
	while (fd >= 0 && f && find_addrs(fd, proto, f) && f->n) {
		for (unsigned i = 0; i < f->n; i++)
			(void)!send(fd, &f->del[i], f->del[i].h.nlmsg_len, 0);
		n += f->n;
		if (f->n < ARRAY_LEN(f->del))
			break;
	}
	free(f);
	if (fd >= 0)
		close(fd);
	return n;
}

static void take_away(struct parent_vrrp *v)
{
	unsigned n = delete_addrs(parent_vrrp_proto(v->instance));

	if (!n)
		return;
	v->shm->n_withdrawn++;
	fprintf(stderr, "rtrd: rtr-vrrpd did not go on: %u virtual addresses withdrawn\n", n);
}

static void withdraw(struct parent_vrrp *v)
{
	take_away(v);
	v->withdraw = false;
	for (unsigned i = 0; i < MIN(v->shm->n_slots, (uint32_t)VRRP_MAX_GROUPS); i++) {
		struct vrrp_slot *s = &v->shm->slot[i];

		if (!s->used || !s->st.owned)
			continue;
		s->st.owned = 0;
		s->st.state = VRRP_S_INIT;
		s->st.reason = VRRP_R_WITHDRAWN;
	}
}

/* ---- starting ---- */

static int make_shm(struct parent_vrrp *v)
{
	int fd = memfd_create("rtr-vrrpd", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *p;

	/* Sealed: who maps it is safe from its being cut. */
	if (fd < 0 || ftruncate(fd, sizeof(*v->shm)) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		goto failed;
	p = mmap(NULL, sizeof(*v->shm), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		goto failed;
	v->shm = p;
	v->shm->magic = VRRP_SHM_MAGIC;
	v->shm->size = sizeof(*v->shm);
	v->shm_fd = fd;
	return 0;
failed:
	if (fd >= 0)
		close(fd);
	return -errno;
}

/* Connections wait in its backlog while the program is started again. */
static int make_socket(struct parent_vrrp *v)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char *path = xasprintf("%s/vrrp.sock", v->run_dir);
	bool fits = rtr_strlcpy(sa.sun_path, path, sizeof(sa.sun_path));
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t old = umask(0177);
	int r = fd < 0 ? -errno : fits ? 0 : -ENAMETOOLONG;

	unlink(path);
	if (!r && bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		r = -errno;
	umask(old);
	if (!r && v->user->drop && lchown(path, v->user->uid, v->user->gid) < 0)
		r = -errno;
	if (!r && listen(fd, 4) < 0)
		r = -errno;
	free(path);
	if (r && fd >= 0)
		close(fd);
	v->listen_fd = r ? -1 : fd;
	return r;
}

static int prepare(struct parent_vrrp *v)
{
	int r = 0;

	if (v->exe_fd < 0)
		return -ENOENT;
	if (!v->shm)
		r = make_shm(v);
	if (!r && v->listen_fd < 0)
		r = make_socket(v);
	return r;
}

/* The child from fork to exec. By descriptor: the user that we become need not be able to walk
 * to the program. */
static int run_program(struct parent_vrrp *v, pid_t parent_pid)
{
	static const int caps[] = { CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK };
	struct sched_param rt = { .sched_priority = RT_PRIORITY };
	char proto[8], name[] = "rtr-vrrpd";
	char *argv[] = { name, proto, NULL }, *env[] = { NULL };
	int exe = fcntl(v->exe_fd, F_DUPFD_CLOEXEC, 10);
	int listen_fd = fcntl(v->listen_fd, F_DUPFD_CLOEXEC, 10);
	int shm_fd = fcntl(v->shm_fd, F_DUPFD_CLOEXEC, 10);
	int r;

	snprintf(proto, sizeof(proto), "%u", parent_vrrp_proto(v->instance));
	if (exe < 0 || dup2(listen_fd, LISTEN_FD) < 0 || dup2(shm_fd, SHM_FD) < 0)
		return 1;
	if (sched_setscheduler(0, SCHED_FIFO, &rt) < 0)
		fprintf(stderr, "rtrd: rtr-vrrpd has no real-time priority: %s\n", strerror(errno));
	r = parent_drop_to(v->user, caps, ARRAY_LEN(caps));
	if (r) {
		fprintf(stderr, "rtrd: cannot become user rtr: %s\n", strerror(-r));
		return 1;
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent_pid)
		return 1;
	sigprocmask(SIG_SETMASK, v->mask, NULL);
	syscall(SYS_execveat, exe, "", argv, env, AT_EMPTY_PATH);
	fprintf(stderr, "rtrd: cannot start rtr-vrrpd: %s\n", strerror(errno));
	return 1;
}

static void start(struct parent_vrrp *v, uint64_t now)
{
	pid_t self = getpid();
	int r = prepare(v);

	if (r) {
		fprintf(stderr, "rtrd: cannot start rtr-vrrpd: %s\n", strerror(-r));
		v->start_due_ns = now + PAUSE_MAX_MS * NSEC_PER_MSEC;
		return;
	}
	v->started_ns = now;
	v->shm->n_starts++;
	v->shm->beat_max_ns = 0;
	fflush(NULL);
	v->pid = fork();
	if (v->pid == 0)
		_exit(run_program(v, self));
	if (v->pid < 0) {
		v->pid = 0;
		v->start_due_ns = now + PAUSE_MS * NSEC_PER_MSEC;
	}
}

/* ---- public ---- */

void parent_vrrp_init(struct parent_vrrp *v)
{
	char path[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof("rtr-vrrpd"));

	v->exe_fd = v->shm_fd = v->listen_fd = -1;
	if (n < 0)
		return;
	path[n] = '\0';
	slash = strrchr(path, '/');
	memcpy(slash + 1, "rtr-vrrpd", sizeof("rtr-vrrpd"));
	v->exe_fd = open(path, O_PATH | O_CLOEXEC);
}

void parent_vrrp_want(struct parent_vrrp *v)
{
	if (v->wanted || v->stopping)
		return;
	v->wanted = true;
	v->start_due_ns = 0;
}

/* The shortest time in which a peer takes over from a group that is active now. */
static uint64_t master_down(const struct parent_vrrp *v)
{
	uint64_t best = 0;

	for (unsigned i = 0; i < MIN(v->shm->n_slots, (uint32_t)VRRP_MAX_GROUPS); i++) {
		const struct vrrp_slot *s = &v->shm->slot[i];
		uint64_t t = 3 * MAX(s->conf.adver_ms, 10u) * NSEC_PER_MSEC;

		if (s->used && s->st.owned)
			best = best ? MIN(best, t) : t;
	}
	return best;
}

/*
 * Silent for as long as a peer waits before it takes over: no dead owner answers ARP. It is not
 * killed for it. One that was only held up goes on: it hears that its addresses have gone, and puts
 * them back when it is still the master. The time of what comes next.
 */
static uint64_t watch_silence(struct parent_vrrp *v, uint64_t now, uint64_t beat)
{
	uint64_t quiet = MIN(v->shm->withdraw_ns, LONGEST_NS), due = beat + quiet;

	if (!quiet || beat <= v->started_ns)
		return UINT64_MAX;
	if (now <= due) {
		v->look_ns = due + 1;
		return v->look_ns;
	}
	if (v->silent_beat == beat)
		return now + MAX(quiet, LOOK_AGAIN_NS);
	/* We are late ourselves: the machine held us up, and rtr-vrrpd too, maybe. Once. */
	if (now > v->look_ns + quiet / 4 && v->late_beat != beat) {
		v->late_beat = beat;
		v->look_ns = now + quiet / 4;
	}
	if (now < v->look_ns)
		return v->look_ns;
	v->silent_beat = beat;
	if (master_down(v))
		take_away(v);
	return now + MAX(quiet, LOOK_AGAIN_NS);
}

uint64_t parent_vrrp_run(struct parent_vrrp *v, uint64_t now)
{
	uint64_t beat, promise, next;

	if (!v->wanted)
		return UINT64_MAX;
	if (!v->pid) {
		if (v->stopping)
			return UINT64_MAX;
		if (now < v->start_due_ns)
			return v->start_due_ns;
		start(v, now);
		return v->pid ? (v->resume_due_ns ? v->resume_due_ns : UINT64_MAX)
			      : v->start_due_ns;
	}
	if (v->stopping) {
		if (now >= v->stop_due_ns)
			kill(v->pid, SIGKILL);
		return now >= v->stop_due_ns ? UINT64_MAX : v->stop_due_ns;
	}
	beat = __atomic_load_n(&v->shm->beat_ns, __ATOMIC_ACQUIRE);
	promise = MIN(v->shm->beat_max_ns, LONGEST_NS);
	if (v->resume_due_ns && beat > v->started_ns)
		v->resume_due_ns = 0;
	if ((v->resume_due_ns && now >= v->resume_due_ns) ||
	    (promise && now > beat + promise && beat > v->started_ns)) {
		fprintf(stderr, "rtrd: rtr-vrrpd is stuck: killing it\n");
		v->resume_due_ns = 0;
		v->withdraw = true;
		kill(v->pid, SIGKILL);
		return UINT64_MAX;
	}
	if (v->withdraw)
		return UINT64_MAX;
	if (v->resume_due_ns)
		return v->resume_due_ns;
	next = watch_silence(v, now, beat);
	if (promise)
		next = MIN(next, MAX(beat + promise, now) + 1);
	/* Nobody wakes us when a promise begins. */
	return MIN(next, now + LOOK_AGAIN_NS);
}

void parent_vrrp_ended(struct parent_vrrp *v, int status, uint64_t now)
{
	uint64_t beat = __atomic_load_n(&v->shm->beat_ns, __ATOMIC_ACQUIRE);
	bool soon = now - v->started_ns < SOON_NS;

	v->pid = 0;
	if (v->stopping) {
		if (master_down(v))
			withdraw(v);
		return;
	}
	if (WIFSIGNALED(status))
		fprintf(stderr, "rtrd: rtr-vrrpd killed by signal %d (%s): starting it again\n",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		fprintf(stderr, "rtrd: rtr-vrrpd ended with status %d: starting it again\n",
			WEXITSTATUS(status));
	v->n_bad = soon ? v->n_bad + 1 : 0;
	if (v->withdraw || v->n_bad > 1)
		withdraw(v);
	/* The peers count from what it said last, not from its end. */
	v->resume_due_ns = master_down(v) ? MIN(now, beat) + master_down(v) : 0;
	if (v->resume_due_ns && now >= v->resume_due_ns) {
		withdraw(v);
		v->resume_due_ns = 0;
	}
	v->start_due_ns = now;
	if (v->n_bad > 1)
		v->start_due_ns += MIN(PAUSE_MS << MIN(v->n_bad - 2, 6u), PAUSE_MAX_MS) *
				   NSEC_PER_MSEC;
}

void parent_vrrp_stop(struct parent_vrrp *v)
{
	v->stopping = true;
	v->stop_due_ns = rtr_now_ns() + STOP_WAIT_NS;
	if (v->pid) {
		kill(v->pid, SIGTERM);
		kill(v->pid, SIGCONT);
	}
}

void parent_vrrp_fini(struct parent_vrrp *v)
{
	if (v->listen_fd >= 0) {
		char *path = xasprintf("%s/vrrp.sock", v->run_dir);

		unlink(path);
		free(path);
		close(v->listen_fd);
	}
	if (v->shm)
		munmap(v->shm, sizeof(*v->shm));
	if (v->shm_fd >= 0)
		close(v->shm_fd);
	if (v->exe_fd >= 0)
		close(v->exe_fd);
}

void parent_vrrp_keep(const struct parent_vrrp *v, struct parent_keep *k)
{
	k->vrrp_pid = v->pid;
	k->vrrp_shm_fd = v->shm_fd;
	k->vrrp_listen_fd = v->listen_fd;
	k->vrrp_started_ns = v->started_ns;
}

void parent_vrrp_take(struct parent_vrrp *v, const struct parent_keep *k)
{
	struct stat st;
	void *p = MAP_FAILED;

	if (k->vrrp_shm_fd < 0)
		return;
	if (!fstat(k->vrrp_shm_fd, &st) && st.st_size == (off_t)sizeof(*v->shm))
		p = mmap(NULL, sizeof(*v->shm), PROT_READ | PROT_WRITE, MAP_SHARED, k->vrrp_shm_fd,
			 0);
	if (p == MAP_FAILED) {
		/* Of another version: it leaves in order, and ours starts when rtrd asks. */
		close(k->vrrp_shm_fd);
		close(k->vrrp_listen_fd);
		if (k->vrrp_pid && !kill(k->vrrp_pid, SIGTERM))
			waitpid(k->vrrp_pid, NULL, 0);
		return;
	}
	v->shm = p;
	v->shm_fd = k->vrrp_shm_fd;
	v->listen_fd = k->vrrp_listen_fd;
	v->pid = k->vrrp_pid;
	v->started_ns = k->vrrp_started_ns;
	v->wanted = true;
}
