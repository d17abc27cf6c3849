/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "parent_setup.h"

#include <cap-ng.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <unistd.h>

/* Clients that connect while the child is being restarted wait here; the kernel caps it. */
#define BACKLOG 64

struct parent_user parent_find_user(void)
{
	struct parent_user u = { 0 };
	struct passwd *pw;

	if (geteuid() != 0) {
		fprintf(stderr, "rtrd: not started as root: what the kernel refuses to this user "
				"will fail\n");
		return u;
	}
	pw = getpwnam("rtr");
	if (!pw) {
		fprintf(stderr, "rtrd: there is no user rtr: running as root\n");
		return u;
	}
	u.drop = true;
	u.uid = pw->pw_uid;
	u.gid = pw->pw_gid;
	return u;
}

int parent_folder(const char *base, const char *path, mode_t mode, const struct parent_user *u)
{
	int fd, r = 0;

	if (mkdir(base, 0755) < 0 && errno != EEXIST)
		return -errno;
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return -errno;
	/* By descriptor and without following links: the folder may be the child's already. */
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (u->drop && fchown(fd, u->uid, u->gid) < 0)
		r = -errno;
	if (!r && fchmod(fd, mode) < 0)
		r = -errno;
	close(fd);
	return r;
}

int parent_captures_folder(const char *state_dir, const struct parent_user *u)
{
	const struct group *gr = getgrnam("rtradmin");
	struct parent_user owner = *u;
	char *path = xasprintf("%s/captures", state_dir);
	int r;

	if (gr)
		owner.gid = gr->gr_gid;
	r = parent_folder(state_dir, path, gr ? 0750 : 0700, &owner);
	free(path);
	return r;
}

/* By descriptor and without following links: the folder above is the child's. */
static int folder_fd(const char *path)
{
	int fd;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool is_bpffs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && (uint32_t)fs.f_type == BPF_FS_MAGIC;
}

static int mount_bpffs(const char *path)
{
	char by_fd[32];
	int fd, r;

	if (is_bpffs(path))
		return 0;
	fd = folder_fd(path);
	if (fd < 0)
		return fd;
	snprintf(by_fd, sizeof(by_fd), "/proc/self/fd/%d", fd);
	r = mount("rtr", by_fd, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0 ? -errno
											  : 0;
	close(fd);
	return r;
}

void parent_bpffs(const char *run_dir, const char *name, const struct parent_user *u)
{
	char *path = xasprintf("%s/bpf", run_dir), *base = NULL;
	int r = mount_bpffs(path);

	if (r == -EPERM && is_bpffs(PARENT_BPFFS)) {
		/* Not allowed to mount (systemd): a folder in the machine's own. */
		free(path);
		base = xasprintf("%s/rtr", PARENT_BPFFS);
		path = xasprintf("%s/%s", base, name);
		r = mkdir(base, 0755) < 0 && errno != EEXIST ? -errno : 0;
	}
	if (!r)
		r = parent_folder(base ? base : run_dir, path, 0700, u);
	if (r)
		fprintf(stderr, "rtrd: no bpffs for the fast plane (%s): its flows end with it\n",
			strerror(-r));
	free(base);
	free(path);
}

int parent_lock(const char *run_dir, pid_t *ret_pid)
{
	char *path = xasprintf("%s/lock", run_dir), pid[16] = "";
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	int r;

	free(path);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		r = -errno;
		if (pread(fd, pid, sizeof(pid) - 1, 0) > 0)
			*ret_pid = (pid_t)strtol(pid, NULL, 10);
		close(fd);
		return r;
	}
	/* Only a hint for the message above: the lock itself decides, so a failure is no matter. */
	snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, strlen(pid), 0) < 0)
		(void)!ftruncate(fd, 0);
	return fd;
}

int parent_listen(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	mode_t old;
	int fd, r;

	if (!rtr_strlcpy(sa.sun_path, path, sizeof(sa.sun_path)))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Whoever held it before is gone: we have the instance's lock. */
	unlink(path);
	/* Mode 0666: everybody may connect, and conn_auth.c tells those who may not stay why. By
	 * umask, because a chmod after bind could be led elsewhere in the child's folder. */
	old = umask(0111);
	r = bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
	umask(old);
	if (!r && listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r) {
		close(fd);
		return r;
	}
	return fd;
}

/* libcap-ng's name, "net_raw", in capitals. */
static const char *cap_name(unsigned cap, char buf[32])
{
	const char *name = capng_capability_to_name(cap);
	size_t i = 0;

	for (; name && name[i] && i < 31; i++)
		buf[i] = (char)toupper((unsigned char)name[i]);
	buf[i] = '\0';
	return buf;
}

/* What rtrd needs of root, DESIGN.md section 8. */
static const int wanted[] = { CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_PERFMON };

int parent_drop(const struct parent_user *u)
{
	return parent_drop_to(u, wanted, ARRAY_LEN(wanted));
}

int parent_drop_to(const struct parent_user *u, const int *caps, size_t n)
{
	bool have[CAP_LAST_CAP + 1];
	char name[32];

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (!u->drop)
		return 0;
	/* A kernel or a container may be without some: the rest is still of use. */
	capng_get_caps_process();
	for (size_t i = 0; i < n; i++)
		have[i] = capng_have_capability(CAPNG_PERMITTED, (unsigned)caps[i]);
	capng_clear(CAPNG_SELECT_ALL);
	for (size_t i = 0; i < n; i++) {
		if (!have[i]) {
			fprintf(stderr,
				"rtrd: going on without CAP_%s: it is not given to us here\n",
				cap_name((unsigned)caps[i], name));
			continue;
		}
		/* Ambient, so that the programs which rtrd starts have them too. */
		capng_update(CAPNG_ADD,
			     CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE | CAPNG_AMBIENT,
			     (unsigned)caps[i]);
	}
	if (capng_change_id((int)u->uid, (int)u->gid, CAPNG_INIT_SUPP_GRP | CAPNG_CLEAR_BOUNDING))
		return -EPERM;
	if (capng_apply(CAPNG_SELECT_AMBIENT))
		return -EPERM;
	return 0;
}
