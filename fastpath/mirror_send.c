/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Batches of messages to the kernel, and what became of each. */
#include "mirror_priv.h"

#include "tcp_track.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for errors of a whole batch. */
#define RCVBUF (1 << 20)

int mirror_open(struct fp_mirror *m)
{
	struct sockaddr_nl self = { .nl_family = AF_NETLINK };
	int one = 1, size = RCVBUF;

	m->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (m->fd < 0)
		return -errno;
	if (bind(m->fd, (struct sockaddr *)&self, sizeof(self)) < 0)
		return -errno;
	setsockopt(m->fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	if (setsockopt(m->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(m->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return 0;
}

/* ---- answers ---- */

static struct mirror_slot *slot_of(struct fp_mirror *m, const struct mirror_item *i)
{
	struct mirror_slot *s = &m->slot[i->fam][(uint32_t)i->ref >> 1];

	return i->ref && s->gen == (uint16_t)(i->ref >> 32) ? s : NULL;
}

/* The entry is not ours: the job that would end it with its flow is void. */
static void forget_job(struct fp_mirror *m, const struct mirror_item *i)
{
	for (size_t k = 0; k < m->n_jobs; k++) {
		struct mirror_job *j = &m->job[k];

		if (!j->take && j->fam == i->fam && j->ref == i->ref) {
			*j = m->job[--m->n_jobs];
			return;
		}
	}
}

static void on_new(struct fp_mirror *m, const struct mirror_item *i, int error)
{
	struct mirror_slot *s = slot_of(m, i);
	uint32_t now = fp_flow_now();

	if (!error) {
		m->stats.written++;
		m->stats.held++;
		m->stats.lag_ms = MAX(m->stats.lag_ms, fp_flow_ms(now - i->since));
		return;
	}
	if (error == -EEXIST)
		m->stats.exists++;
	else
		m->stats.refused++;
	if (s && s->state == MIRROR_WRITTEN)
		*s = (struct mirror_slot){ s->gen, error == -EEXIST ? MIRROR_GIVEN : MIRROR_SEEN, 0,
					   i->since };
	else
		forget_job(m, i);
}

static void on_answer(struct fp_mirror *m, const struct mirror_item *i, int error)
{
	struct mirror_slot *s = slot_of(m, i);

	if (i->answers && !error)
		return;
	switch (i->kind) {
	case MIRROR_NEW:
		on_new(m, i, error);
		return;
	case MIRROR_RENEW:
		m->stats.renewed += !error;
		/* Ended by somebody else, or by its own timeout: written again. */
		if (error && s && s->state == MIRROR_WRITTEN) {
			*s = (struct mirror_slot){ s->gen, MIRROR_SEEN, 0, i->since };
			m->stats.held -= m->stats.held > 0;
		}
		return;
	case MIRROR_RELEASE:
		m->stats.given += !error && i->ref;
		m->stats.held -= i->ref && m->stats.held > 0;
		return;
	case MIRROR_END:
		m->stats.ended += !error;
		m->stats.held -= m->stats.held > 0;
		return;
	case MIRROR_ASK:
		return;
	}
}

/* What lines say follows the answer: written, not ours, or no longer there: then packets that XDP
 * cannot send are not for a kernel that does not know them. */
static void tell_flow(struct fp_mirror *m, const struct mirror_item *i, int error)
{
	struct fp_flow_worker *w = fp_flow_worker(m->conf.flows, 0);

	if (i->answers && !error)
		return;
	if (i->kind == MIRROR_ASK && !error)
		fp_flow_touch(m->conf.flows, i->fam, i->ref, fp_flow_now());
	else if (i->kind == MIRROR_ASK && error == -ENOENT)
		fp_flow_end(m->conf.flows, i->fam, i->ref);
	if (i->kind != MIRROR_NEW && i->kind != MIRROR_RENEW)
		return;
	for (uint64_t d = 0; d < 2; d++) {
		if (i->kind == MIRROR_RENEW && error)
			fp_flow_set_flags(w, i->fam, i->ref ^ d, 0, FLOW_F_MIRRORED);
		else if (i->kind == MIRROR_RENEW)
			return;
		else if (!error)
			fp_flow_set_flags(w, i->fam, i->ref ^ d, FLOW_F_MIRRORED, 0);
		else if (error == -EEXIST)
			fp_flow_set_path(w, i->fam, i->ref ^ d, FLOW_P_KERNEL, true);
	}
}

/* Errors by message; no answer is success, but for the last, which asks for one. */
static void read_errors(struct fp_mirror *m, int error[MIRROR_BATCH])
{
	struct mirror_batch *b = &m->batch;
	uint32_t first = b->seq - b->n + 1;
	union {
		struct nlmsghdr h;
		char b[8192];
	} u;
	ssize_t n;

	while ((n = recv(m->fd, &u, sizeof(u), MSG_DONTWAIT)) > 0) {
		unsigned left = (unsigned)n;

		for (struct nlmsghdr *h = &u.h; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			uint32_t i = h->nlmsg_seq - first;

			if (h->nlmsg_type == NLMSG_ERROR && i < b->n)
				error[i] = ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
		}
	}
}

void mirror_flush(struct fp_mirror *m)
{
	struct mirror_batch *b = &m->batch;
	int error[MIRROR_BATCH] = { 0 };
	ssize_t r;

	if (!b->n)
		return;
	r = send(m->fd, b->buf, b->size, 0);
	if (r >= 0)
		read_errors(m, error);
	else
		for (unsigned i = 0; i < b->n; i++)
			error[i] = -errno;
	/* Lines first: who sees the entry counted finds it said there. */
	for (unsigned i = 0; i < b->n; i++)
		tell_flow(m, &b->item[i], error[i]);
	pthread_mutex_lock(&m->lock);
	m->stats.error = r < 0 ? error[0] : 0;
	for (unsigned i = 0; i < b->n; i++)
		on_answer(m, &b->item[i], error[i]);
	pthread_mutex_unlock(&m->lock);
	b->n = 0;
	b->size = 0;
}

static void put(struct fp_mirror *m, const struct mirror_item *item, const struct fp_mirror_flow *f,
		size_t (*make)(void *buf, uint32_t seq, const struct fp_mirror_flow *f))
{
	struct mirror_batch *b = &m->batch;
	size_t len = make(b->buf + b->size, ++b->seq, f);

	b->item[b->n++] = *item;
	b->size += NLMSG_ALIGN(len);
	if (b->n == MIRROR_BATCH)
		mirror_flush(m);
}

void mirror_put(struct fp_mirror *m, const struct mirror_item *item, const struct fp_mirror_flow *f)
{
	static size_t (*const make[])(void *buf, uint32_t seq, const struct fp_mirror_flow *f) = {
		[MIRROR_NEW] = fp_mirror_msg_new,         [MIRROR_RENEW] = fp_mirror_msg_renew,
		[MIRROR_RELEASE] = fp_mirror_msg_release, [MIRROR_END] = fp_mirror_msg_end,
		[MIRROR_ASK] = fp_mirror_msg_renew,
	};
	struct mirror_item answers = *item;

	put(m, item, f, make[item->kind]);
	if (item->kind != MIRROR_RENEW && item->kind != MIRROR_ASK)
		return;
	answers.answers = true;
	put(m, &answers, f, fp_mirror_msg_answers);
}

/* ---- questions ---- */

/* Reads until the end of the answer; take gets each message. 0 or -errno. */
static int answer(struct fp_mirror *m, bool dump,
		  void (*take)(struct fp_mirror *m, const struct nlmsghdr *h, void *arg), void *arg)
{
	static union {
		struct nlmsghdr h;
		char b[32768];
	} u; /* mirror:own, and too large for its stack */

	for (;;) {
		ssize_t n = recv(m->fd, &u, sizeof(u), 0);
		unsigned left = (unsigned)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (struct nlmsghdr *h = &u.h; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_seq != m->batch.seq)
				continue;
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
			take(m, h, arg);
			if (!dump)
				return 0;
		}
	}
}

static void take_count(struct fp_mirror *m, const struct nlmsghdr *h, void *arg)
{
	uint32_t *n = arg;

	fp_mirror_read_count(h, &n[0], &n[1]);
}

int mirror_count(struct fp_mirror *m, uint32_t *ret_n, uint32_t *ret_max)
{
	char buf[FP_MIRROR_MSG];
	uint32_t n[2] = { 0 };
	size_t len = fp_mirror_msg_count(buf, ++m->batch.seq);
	int err = send(m->fd, buf, len, 0) < 0 ? -errno : answer(m, false, take_count, n);

	*ret_n = n[0];
	*ret_max = n[1];
	return err;
}

struct taker {
	void (*each)(struct fp_mirror *m, const struct fp_mirror_flow *f);
};

static void take_entry(struct fp_mirror *m, const struct nlmsghdr *h, void *arg)
{
	const struct taker *t = arg;
	struct fp_mirror_flow f;

	if (fp_mirror_read(h, &f) && f.label[0] & FP_MIRROR_LABEL)
		t->each(m, &f);
}

int mirror_dump(struct fp_mirror *m,
		void (*each)(struct fp_mirror *m, const struct fp_mirror_flow *f))
{
	struct taker t = { each };
	char buf[FP_MIRROR_MSG];
	size_t len = fp_mirror_msg_dump(buf, ++m->batch.seq);

	return send(m->fd, buf, len, 0) < 0 ? -errno : answer(m, true, take_entry, &t);
}
