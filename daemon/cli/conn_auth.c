/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conn_auth.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel's own limit on supplementary groups (NGROUPS_MAX). */
#define MAX_GIDS 65536

struct conn_groups conn_auth_groups(void)
{
	struct conn_groups g = { CONN_NO_GID, CONN_NO_GID };
	FILE *f = fopen("/etc/group", "re");
	struct group *gr;

	if (!f)
		return g;
	while ((gr = fgetgrent(f))) {
		if (!strcmp(gr->gr_name, "rtr"))
			g.reader = gr->gr_gid;
		else if (!strcmp(gr->gr_name, "rtradmin"))
			g.admin = gr->gr_gid;
	}
	fclose(f);
	return g;
}

bool conn_auth_level(const struct conn_groups *g, uid_t uid, uid_t own_uid, const gid_t *gids,
		     size_t n_gids, enum conn_level *ret)
{
	bool reader = false;

	if (uid == 0 || uid == own_uid) {
		*ret = CONN_ADMIN;
		return true;
	}
	for (size_t i = 0; i < n_gids; i++) {
		if (gids[i] == CONN_NO_GID)
			continue;
		if (gids[i] == g->admin) {
			*ret = CONN_ADMIN;
			return true;
		}
		reader |= gids[i] == g->reader;
	}
	if (reader)
		*ret = CONN_READER;
	return reader;
}

static void name_user(struct conn_peer *p)
{
	FILE *f = fopen("/etc/passwd", "re");
	struct passwd *pw;

	snprintf(p->user, sizeof(p->user), "uid %u", (unsigned)p->uid);
	if (!f)
		return;
	while ((pw = fgetpwent(f)))
		if (pw->pw_uid == p->uid) {
			rtr_strlcpy(p->user, pw->pw_name, sizeof(p->user));
			break;
		}
	fclose(f);
}

/* The peer's groups, its primary one first; the caller frees. 0 or -errno. */
static int peer_gids(int fd, gid_t primary, gid_t **ret_gids, size_t *ret_n)
{
	socklen_t size = 64 * sizeof(gid_t);
	gid_t *gids = NULL;

	for (;;) {
		gids = xrealloc(gids, sizeof(gid_t) + size);
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, gids + 1, &size) == 0)
			break;
		/* ERANGE: size now says how much there is. */
		if (errno != ERANGE || size > MAX_GIDS * sizeof(gid_t)) {
			free(gids);
			return -errno;
		}
	}
	gids[0] = primary;
	*ret_gids = gids;
	*ret_n = 1 + size / sizeof(gid_t);
	return 0;
}

int conn_auth_peer(int fd, struct conn_peer *ret)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);
	struct conn_groups g = conn_auth_groups();
	gid_t *gids = NULL;
	size_t n = 0;
	int r;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return -errno;
	r = peer_gids(fd, cred.gid, &gids, &n);
	if (r)
		return r;
	ret->uid = cred.uid;
	ret->pid = cred.pid;
	if (!conn_auth_level(&g, cred.uid, geteuid(), gids, n, &ret->level))
		r = -EACCES;
	free(gids);
	if (!r)
		name_user(ret);
	return r;
}
