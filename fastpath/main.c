/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtr-fastpath: the packet plane. Started by rtrd's root parent in the namespace of the interfaces,
 * with one socket to rtrd (include/rtr/fastpath.h) as descriptor 3, and one to the parent itself
 * (include/rtr/xt_names.h) as descriptor 4; perhaps types of the kernel's (include/rtr/ct_types.h)
 * as descriptor 5.
 *
 * Without rtrd it goes on with what it was told: the kernel tells it of routes and neighbours. When
 * it is killed, XDP goes on with the flows that are known and gives the rest to the kernel. The
 * same, and nothing that it has is lost, when its parent sends SIGUSR1 because another one is to
 * follow.
 *
 * Owns: box.h. Privileges: user rtr, CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_PERFMON and, for the
 * memory that the kernel locks, CAP_IPC_LOCK; a filter of system calls for each worker (sending,
 * waiting, and of bpf() only BPF_PROG_TEST_RUN).
 * Threads: this one (the control thread), the keeper, the workers. Failure: says why to rtrd and
 * ends; rtrd starts another.
 */
#include "box.h"
#include "filter.h"
#include "rtr/ct_types.h"
#include "rtr/xt_names.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <unistd.h>
#include <urcu-qsbr.h>

#define RTRD_FD 3
/* What no event tells (MTU, queues, offloads of others) is looked at so often. */
#define TURN_MS 100
/* A commit waits for the flows to be judged again. */
#define JUDGE_MS 2
/* Answers to TELL of 64 interfaces. */
#define SNDBUF (1 << 20)

enum answer { A_NONE, A_TELL, A_FLOWS, A_WAY, A_CONNS, A_BLOCKS, A_TRACE, A_END };

static struct {
	struct fp_box box;
	const char *instance;
	bool open, end, hand_over;
	int rtrd;     /* -1: it is gone */
	int ct_types; /* 0: not there */
	/* The answer that is being given, and how far. */
	enum answer answer;
	uint32_t seq, left;
	struct fastpath_req asked, opened;
	uint64_t at, hits_at;
	unsigned ended;
} d = { .rtrd = RTRD_FD };

/* --- to rtrd --- */

static size_t size_of(const struct fastpath_event *e)
{
	const size_t u = offsetof(struct fastpath_event, u);

	switch (e->kind) {
	case FASTPATH_STATE:
		return u + sizeof(e->u.state);
	case FASTPATH_COUNT:
		return u + sizeof(e->u.count);
	case FASTPATH_WORKER:
		return u + sizeof(e->u.worker);
	case FASTPATH_TABLE:
		return u + sizeof(e->u.table);
	case FASTPATH_ROUTE:
		return u + sizeof(e->u.route);
	case FASTPATH_FLOW:
		return u + sizeof(e->u.flow);
	case FASTPATH_JUDGED:
		return u + sizeof(e->u.policy);
	case FASTPATH_HITS:
		return u + sizeof(e->u.hits);
	case FASTPATH_BLOCK:
		return u + sizeof(e->u.blocks);
	case FASTPATH_TRACED:
		return u + sizeof(e->u.traced);
	case FASTPATH_CONN:
		return u + offsetof(struct fastpath_event, u.conns.conn) -
		       offsetof(struct fastpath_event, u.conns) +
		       e->u.conns.n * sizeof(e->u.conns.conn[0]);
	default:
		return u + sizeof(e->u.text);
	}
}

/* False: rtrd does not read; try again when it does. */
static bool say(struct fastpath_event *e)
{
	if (d.rtrd < 0)
		return true;
	return send(d.rtrd, e, size_of(e), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno != EAGAIN;
}

static void say_text(enum fastpath_event_kind kind, const char *text)
{
	struct fastpath_event e = { .kind = kind };

	rtr_strlcpy(e.u.text, text, sizeof(e.u.text));
	say(&e);
}

static void on_note(void *ctx, const char *text)
{
	say_text(FASTPATH_NOTE, text);
}

static void on_judged(void *ctx, struct fastpath_event *e)
{
	say(e);
}

static void on_state(void *ctx, unsigned slot)
{
	struct fastpath_event e;

	fp_box_tell_state(&d.box, slot, &e);
	say(&e);
}

static void on_count(void *ctx, unsigned slot)
{
	struct fastpath_event e;

	fp_box_tell_count(&d.box, slot, &e);
	say(&e);
}

/* The item number d.at of all figures; false: there is none behind it. */
static bool figure(struct fastpath_event *e)
{
	const uint64_t n = FP_PORTS_MAX;

	for (; d.at < 2 * n; d.at++) {
		unsigned slot = (unsigned)(d.at % n);

		if (!d.box.port[slot].ifindex)
			continue;
		if (d.at < n)
			fp_box_tell_state(&d.box, slot, e);
		else
			fp_box_tell_count(&d.box, slot, e);
		d.at++;
		return true;
	}
	if (d.at < 2 * n + d.box.conf.n_workers) {
		fp_box_tell_worker(&d.box, (unsigned)(d.at++ - 2 * n), e);
		return true;
	}
	if (d.at == 2 * n + d.box.conf.n_workers) {
		d.at++;
		fp_box_tell_table(&d.box, e);
		return true;
	}
	return fp_box_tell_hits(&d.box, &d.hits_at, e);
}

/* The next item of the answer under way. */
static bool item(struct fastpath_event *e)
{
	switch (d.answer) {
	case A_TELL:
		return figure(e);
	case A_FLOWS:
		return d.left && fp_box_tell_flow(&d.box, &d.at, e);
	case A_WAY:
		if (d.at++)
			return false;
		fp_box_tell_route(&d.box, &d.asked, e);
		return true;
	case A_CONNS:
		return d.left && fp_box_tell_conns(&d.box, &d.at, d.left, e);
	case A_BLOCKS:
		return fp_box_tell_blocks(&d.box, &d.at, e);
	case A_TRACE:
		if (d.at++)
			return false;
		fp_box_trace(&d.box, &d.asked, e);
		return true;
	case A_END:
	case A_NONE:
		break;
	}
	return false;
}

/* How many items an event holds. */
static uint32_t items_of(const struct fastpath_event *e)
{
	return e->kind == FASTPATH_CONN ? e->u.conns.n : 1;
}

static void say_end(struct fastpath_event *e)
{
	*e = (struct fastpath_event){ .kind = FASTPATH_END };
	/* A piece that is full has more behind it, perhaps. */
	if (d.answer == A_CONNS)
		e->u.next = d.left ? 0 : d.at;
	if (d.answer == A_END)
		e->u.next = d.ended;
}

static void go_on(void)
{
	while (d.answer != A_NONE) {
		struct fastpath_event e;
		uint64_t at = d.at, hits_at = d.hits_at;
		bool more = item(&e);

		if (!more)
			say_end(&e);
		e.seq = d.seq;
		if (!say(&e)) {
			d.at = at;
			d.hits_at = hits_at;
			return;
		}
		d.left -= MIN(d.left, items_of(&e));
		if (!more)
			d.answer = A_NONE;
	}
}

static void answer(enum answer what, const struct fastpath_req *q)
{
	d.answer = what;
	d.asked = *q;
	d.seq = q->seq;
	d.left = q->u.n;
	d.at = d.hits_at = 0;
}

/* --- from rtrd --- */

static bool is_bpffs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && (uint32_t)fs.f_type == BPF_FS_MAGIC && !access(path, W_OK);
}

/* Where rtrd says, or in the machine's own bpffs where its parent may not mount (systemd). */
static void find_pin_dir(const char *said, char ret[FASTPATH_PATH])
{
	rtr_strlcpy(ret, said, FASTPATH_PATH);
	if (is_bpffs(ret))
		return;
	snprintf(ret, FASTPATH_PATH, FASTPATH_BPFFS "/%s", d.instance);
	if (is_bpffs(ret))
		return;
	*ret = '\0';
	say_text(FASTPATH_NOTE, "No bpffs: flows do not outlive rtr-fastpath");
}

static void do_open(const struct fastpath_req *q)
{
	struct fp_box_conf conf = { .instance = d.instance,
				    .xt_names = XT_NAMES_FD,
				    .ct_types = d.ct_types,
				    .n_workers = q->u.open.n_workers,
				    .n_frames = q->u.open.n_frames,
				    .n_flows = { q->u.open.n_flows[0], q->u.open.n_flows[1] },
				    .note = on_note,
				    .state = on_state,
				    .count = on_count,
				    .judged = on_judged };
	char text[FASTPATH_TEXT];
	int err = -EINVAL;

	find_pin_dir(q->u.open.pin_dir, conf.pin_dir);
	if (conf.n_workers && conf.n_workers <= FP_WORKERS_MAX && conf.n_frames)
		err = fp_box_open(&d.box, &conf);
	if (!err) {
		d.open = true;
		d.opened = *q;
		say_text(FASTPATH_READY, "");
		return;
	}
	snprintf(text, sizeof(text), "%s", strerror(-err));
	say_text(FASTPATH_FAILED, text);
	d.end = true;
}

/* rtrd is another process now, and tells everything again. */
static void open_again(const struct fastpath_req *q)
{
	d.answer = A_NONE;
	if (memcmp(&q->u.open, &d.opened.u.open, sizeof(q->u.open))) {
		say_text(FASTPATH_FAILED, "it is of other sizes");
		d.end = true;
		return;
	}
	fp_box_told_anew(&d.box);
	say_text(FASTPATH_READY, "");
}

/* fd: came along, or -1. */
static void take(const struct fastpath_req *q, int fd)
{
	if (fd >= 0 && (!d.open || q->op != FASTPATH_POLICY)) {
		close(fd);
		fd = -1;
	}
	if (q->op == FASTPATH_OPEN) {
		if (d.open)
			open_again(q);
		else
			do_open(q);
		return;
	}
	if (!d.open)
		return;
	switch (q->op) {
	case FASTPATH_POLICY:
		if (fd >= 0)
			fp_box_policy(&d.box, q->u.policy.tag, fd, q->u.policy.size);
		break;
	case FASTPATH_PORT:
		fp_box_want(&d.box, (unsigned)q->ifindex, q->u.port.express,
			    (enum fastpath_zc)q->u.port.zero_copy);
		break;
	case FASTPATH_PORT_GONE:
		fp_box_unwant(&d.box, (unsigned)q->ifindex);
		break;
	case FASTPATH_SYNCED:
		fp_box_synced(&d.box);
		break;
	case FASTPATH_TELL:
		answer(A_TELL, q);
		break;
	case FASTPATH_FLOWS:
		answer(A_FLOWS, q);
		break;
	case FASTPATH_WAY:
		answer(A_WAY, q);
		break;
	case FASTPATH_CONNS:
		answer(A_CONNS, q);
		d.left = q->u.conns.n;
		d.at = q->u.conns.at;
		break;
	case FASTPATH_BLOCKS:
		answer(A_BLOCKS, q);
		break;
	case FASTPATH_TRACE:
		answer(A_TRACE, q);
		break;
	case FASTPATH_END_CONNS:
		answer(A_END, q);
		d.ended = fp_box_end_conns(&d.box, q->u.end.ref, q->u.end.n);
		break;
	case FASTPATH_BYE:
		d.end = true;
		break;
	default:
		break;
	}
}

/* A request, and the descriptor that came with it; -1: none. */
static ssize_t receive(struct fastpath_req *q, int *ret_fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u;
	struct iovec iov = { .iov_base = q, .iov_len = sizeof(*q) };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = u.buf,
			    .msg_controllen = sizeof(u.buf) };
	ssize_t n = recvmsg(d.rtrd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;

	*ret_fd = -1;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	return n;
}

static void on_rtrd(void)
{
	struct fastpath_req q;
	ssize_t n;
	int fd;

	do {
		n = receive(&q, &fd);
		if (n == sizeof(q))
			take(&q, fd);
		else if (fd >= 0)
			close(fd);
		/* It closed before it had read all of ours; what it said before is still there. */
	} while (!d.end && (n > 0 || (n < 0 && errno == ECONNRESET)));
	if (d.end || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	/* rtrd is gone: the next one has the parent start another of us. */
	close(d.rtrd);
	d.rtrd = -1;
	d.answer = A_NONE;
	d.end = !d.open;
}

/* --- the loop --- */

static int signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool is_hand_over(int signal_fd)
{
	struct signalfd_siginfo si;

	return read(signal_fd, &si, sizeof(si)) == sizeof(si) && si.ssi_signo == SIGUSR1;
}

static void loop(int signal_fd)
{
	uint64_t due = 0;

	while (!d.end) {
		uint64_t now = rtr_now_ns();
		struct pollfd fds[] = {
			{ .fd = signal_fd, .events = POLLIN },
			{ .fd = d.rtrd,
			  .events = (short)(d.answer != A_NONE ? POLLIN | POLLOUT : POLLIN) },
			{ .fd = d.open ? fibctl_fd(d.box.fib) : -1, .events = POLLIN },
		};
		int ms = TURN_MS, next = d.open ? fibctl_next_ms(d.box.fib) : -1;

		if (next >= 0)
			ms = MIN(ms, next);
		if (d.open && fp_box_policy_busy(&d.box))
			ms = MIN(ms, JUDGE_MS);
		if (poll(fds, ARRAY_LEN(fds), ms) < 0 && errno != EINTR)
			break;
		if (fds[0].revents) {
			d.hand_over = is_hand_over(signal_fd);
			break;
		}
		if (fds[1].revents & (POLLIN | POLLHUP | POLLERR))
			on_rtrd();
		if (!d.open || d.end)
			continue;
		fibctl_run(d.box.fib, 0);
		now = rtr_now_ns();
		if (fds[2].revents || fds[1].revents || now >= due) {
			fp_box_turn(&d.box, now);
			due = now + TURN_MS * NSEC_PER_MSEC;
		}
		if (fp_box_policy_busy(&d.box))
			fp_box_policy_turn(&d.box);
		go_on();
	}
}

int main(int argc, char **argv)
{
	/* Before that number is another file's. */
	bool types = fcntl(CT_TYPES_FD, F_GETFD) >= 0;
	int signal_fd = signals(), sndbuf = SNDBUF;

	d.instance = argc > 1 ? argv[1] : "main";
	d.ct_types = types ? CT_TYPES_FD : 0;

	if (signal_fd < 0 || fp_filter_control()) {
		fprintf(stderr, "rtr-fastpath: cannot start: %s\n", strerror(errno));
		return 1;
	}
	setsockopt(d.rtrd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
	rcu_register_thread();
	/* This thread reads the tables between two of its own turns only, as their writer. */
	rcu_thread_offline();
	loop(signal_fd);
	if (d.open && d.hand_over)
		fp_box_hand_over(&d.box);
	else if (d.open)
		fp_box_close(&d.box);
	rcu_unregister_thread();
	return 0;
}
