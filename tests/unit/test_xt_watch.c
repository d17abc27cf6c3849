/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The reader of legacy iptables' lists of tables, with files of our own in place of the kernel's,
 * and with the kernel's and the root parent's answers where the kernel has iptables.
 */
#include "../lib/check_main.h"
#include "../lib/netns.h"
#include "system/parent_xt.h"
#include "xt_watch.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

static char dir[64], file[XT_NAMES_N][80];

static void put(unsigned i, const char *text)
{
	FILE *f = fopen(file[i], "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void ours(struct xt_watch *w, int parent)
{
	xt_watch_init(w, parent);
	for (unsigned i = 0; i < XT_NAMES_N; i++)
		w->file[i] = file[i];
}

static void start(void)
{
	rtr_strlcpy(dir, "/tmp/test_xt_watch.XXXXXX", sizeof(dir));
	ck_assert_ptr_nonnull(mkdtemp(dir));
	for (unsigned i = 0; i < XT_NAMES_N; i++)
		snprintf(file[i], sizeof(file[i]), "%s/%u", dir, i);
}

static void end(void)
{
	for (unsigned i = 0; i < XT_NAMES_N; i++)
		unlink(file[i]);
	rmdir(dir);
}

/* Either list, read anew at each look. */
START_TEST(lists)
{
	struct xt_watch w;

	ours(&w, -1);
	ck_assert_int_eq(xt_watch_look(&w), ELIG_OK); /* the kernel has no such thing */
	put(_i, "");
	ck_assert_int_eq(xt_watch_look(&w), ELIG_OK);
	ck_assert_int_ge(w.fd[_i], 0);
	put(_i, "filter\n");
	ck_assert_int_eq(xt_watch_look(&w), ELIG_IPTABLES);
	ck_assert_int_eq(xt_watch_look(&w), ELIG_IPTABLES);
	put(!_i, "");
	ck_assert_int_eq(xt_watch_look(&w), ELIG_IPTABLES);
	put(_i, "");
	ck_assert_int_eq(xt_watch_look(&w), ELIG_OK);
	xt_watch_fini(&w);
}
END_TEST

/* A descriptor that does not read is no answer; without a file it is the end of the module. */
START_TEST(unloaded)
{
	struct xt_watch w;

	ours(&w, -1);
	put(0, "nat\n");
	for (unsigned i = 0; i < XT_NAMES_N; i++)
		w.fd[i] = open("/", O_RDONLY | O_CLOEXEC | O_DIRECTORY);
	ck_assert_int_eq(xt_watch_look(&w), ELIG_IPTABLES);
	ck_assert_int_eq(w.fd[1], -1);
	put(0, "");
	ck_assert_int_eq(xt_watch_look(&w), ELIG_OK);
	xt_watch_fini(&w);
}
END_TEST

/* What may not be opened counts as rules, and the parent is asked; its descriptors are taken. */
START_TEST(asks)
{
	struct xt_names_answer a = { .have = 1u << _i };
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .buf = { 0 } };
	struct iovec iov = { &a, sizeof(a) };
	struct msghdr mh = { .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf) };
	struct cmsghdr *cm = &control.align;
	struct xt_watch w;
	int pair[2], fd;
	char ask[8];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	ours(&w, pair[1]);
	put(_i, "");
	fd = open(file[_i], O_RDONLY | O_CLOEXEC);
	/* Root may open anything but what is no file: a link to itself is there and opens not. */
	unlink(file[_i]);
	ck_assert_int_eq(symlink(file[_i], file[_i]), 0);
	ck_assert_int_eq(xt_watch_look(&w), ELIG_IPTABLES_BLIND);
	ck_assert_int_eq(recv(pair[0], ask, sizeof(ask), MSG_DONTWAIT), 1);
	ck_assert_int_eq(xt_watch_look(&w), ELIG_IPTABLES_BLIND);
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cm), &fd, sizeof(fd));
	ck_assert_int_eq(sendmsg(pair[0], &mh, 0), sizeof(a));
	ck_assert_int_eq(xt_watch_look(&w), ELIG_OK);
	ck_assert_int_ge(w.fd[_i], 0);
	ck_assert_int_eq(recv(pair[0], ask, sizeof(ask), MSG_DONTWAIT), 1);
	ck_assert_int_lt(recv(pair[0], ask, sizeof(ask), MSG_DONTWAIT), 0);
	/* An answer without descriptors changes nothing. */
	mh.msg_control = NULL;
	mh.msg_controllen = 0;
	ck_assert_int_eq(sendmsg(pair[0], &mh, 0), sizeof(a));
	ck_assert_int_eq(xt_watch_look(&w), ELIG_OK);
	/* The parent is gone: what is open still reads. */
	close(pair[0]);
	ck_assert_int_eq(xt_watch_look(&w), ELIG_OK);
	xt_watch_fini(&w);
	close(pair[1]);
	close(fd);
}
END_TEST

/* As in life: a reader who is not root, descriptors from the parent, tables by iptables-legacy. */
START_TEST(parent)
{
	const char *cmd = _i ? "ip6tables-legacy" : "iptables-legacy";
	struct xt_watch w;
	int prog = -1, ours_fd;

	netns_enter();
	if (access(_i ? "/proc/thread-self/net/ip6_tables_names"
		      : "/proc/thread-self/net/ip_tables_names",
		   F_OK) ||
	    !sh("command -v %s >/dev/null", cmd)) {
		printf("SKIP parent %d: no legacy iptables in the kernel, or no %s\n", _i, cmd);
		return;
	}
	ours_fd = parent_xt_open(&prog);
	ck_assert_int_ge(ours_fd, 0);
	ck_assert_int_eq(setegid(65534), 0);
	ck_assert_int_eq(seteuid(65534), 0);
	xt_watch_init(&w, prog);
	ck_assert_int_eq(xt_watch_look(&w), ELIG_OK);
	/* Without its descriptors it is blind, and asks; then it sees again. */
	xt_watch_fini(&w);
	ck_assert_int_eq(xt_watch_look(&w), ELIG_IPTABLES_BLIND);
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert(parent_xt_serve(ours_fd));
	ck_assert(parent_xt_serve(ours_fd));
	ck_assert_int_eq(seteuid(65534), 0);
	ck_assert_int_eq(xt_watch_look(&w), ELIG_OK);
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert(sh("%s -A FORWARD -j DROP", cmd));
	ck_assert_int_eq(seteuid(65534), 0);
	ck_assert_int_eq(xt_watch_look(&w), ELIG_IPTABLES);
	xt_watch_fini(&w);
	close(prog);
	ck_assert(!parent_xt_serve(ours_fd));
	close(ours_fd);
	/* LeakSanitizer looks at its own process, which the kernel forbids to who changed users. */
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(setegid(0), 0);
	prctl(PR_SET_DUMPABLE, 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("xt_watch");
	TCase *t = tcase_create("all");

	netns_or_skip();
	tcase_add_checked_fixture(t, start, end);
	tcase_add_loop_test(t, lists, 0, XT_NAMES_N);
	tcase_add_test(t, unloaded);
	tcase_add_loop_test(t, asks, 0, XT_NAMES_N);
	tcase_add_loop_test(t, parent, 0, XT_NAMES_N);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
