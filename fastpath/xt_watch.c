/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xt_watch.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void xt_watch_init(struct xt_watch *w, int parent)
{
	*w = (struct xt_watch){ .file = { XT_NAMES_FILES }, .parent = parent };
	for (unsigned i = 0; i < XT_NAMES_N; i++)
		w->fd[i] = -1;
}

static void forget(struct xt_watch *w, unsigned i)
{
	if (w->fd[i] >= 0)
		close(w->fd[i]);
	w->fd[i] = -1;
}

void xt_watch_fini(struct xt_watch *w)
{
	for (unsigned i = 0; i < XT_NAMES_N; i++)
		forget(w, i);
}

/* One answer of the parent; false: there is none. */
static bool take(struct xt_watch *w)
{
	struct xt_names_answer a = { 0 };
	union {
		char buf[CMSG_SPACE(XT_NAMES_N * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { &a, sizeof(a) };
	struct msghdr mh = { .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf) };
	ssize_t r = recvmsg(w->parent, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *cm = r > 0 ? CMSG_FIRSTHDR(&mh) : NULL;
	int fds[XT_NAMES_N];
	size_t n = 0, used = 0;

	if (cm && cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_RIGHTS)
		n = MIN((size_t)(cm->cmsg_len - CMSG_LEN(0)) / sizeof(int), (size_t)XT_NAMES_N);
	if (n)
		memcpy(fds, CMSG_DATA(cm), n * sizeof(int));
	for (unsigned i = 0; i < XT_NAMES_N && used < n; i++) {
		if (!(a.have & 1u << i))
			continue;
		forget(w, i);
		w->fd[i] = fds[used++];
	}
	while (used < n)
		close(fds[used++]);
	return r > 0;
}

/* True when the list could be read; *ret says whether it names a table. */
static bool reads(int fd, bool *ret)
{
	char one;
	ssize_t n;

	/* From offset 0 the kernel lists anew. */
	do
		n = pread(fd, &one, 1, 0);
	while (n < 0 && errno == EINTR);
	*ret = n > 0;
	return n >= 0;
}

static enum elig look(struct xt_watch *w, unsigned i)
{
	bool tables;

	if (w->fd[i] >= 0 && reads(w->fd[i], &tables))
		return tables ? ELIG_IPTABLES : ELIG_OK;
	/* The module was unloaded, and perhaps loaded again: that is another file. */
	forget(w, i);
	if (access(w->file[i], F_OK) && errno == ENOENT)
		return ELIG_OK;
	w->fd[i] = open(w->file[i], O_RDONLY | O_CLOEXEC);
	if (w->fd[i] >= 0 && reads(w->fd[i], &tables))
		return tables ? ELIG_IPTABLES : ELIG_OK;
	forget(w, i);
	return ELIG_IPTABLES_BLIND;
}

enum elig xt_watch_look(struct xt_watch *w)
{
	bool tables = false, blind = false;

	while (w->parent >= 0 && take(w))
		;
	for (unsigned i = 0; i < XT_NAMES_N; i++) {
		enum elig e = look(w, i);

		tables |= e == ELIG_IPTABLES;
		blind |= e == ELIG_IPTABLES_BLIND;
	}
	if (blind && w->parent >= 0)
		send(w->parent, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	return tables ? ELIG_IPTABLES : blind ? ELIG_IPTABLES_BLIND : ELIG_OK;
}
