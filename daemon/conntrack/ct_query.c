/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Short questions: one entry, the count, the counters. The kernel answers inside send(). */
#include "conntrack/ct_wire.h"
#include "rtr/ctnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* An entry, and the counters of some hundred CPUs in pieces. */
#define ANSWER_SIZE 16384

static struct event_base *the_base;

void ct_init(struct event_base *base)
{
	the_base = base;
}

struct event_base *ct_base(void)
{
	return the_base;
}

typedef void (*answer_fn)(void *arg, const struct nlmsghdr *h);

/* One receive. 1 = more may follow, 0 = the end, -errno. */
static int read_answer(int fd, answer_fn fn, void *arg)
{
	static union {
		struct nlmsghdr h;
		char b[ANSWER_SIZE];
	} buf;
	ssize_t n = recv(fd, &buf, sizeof(buf), MSG_DONTWAIT);
	int left = (int)n;

	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	for (struct nlmsghdr *h = &buf.h; NLMSG_OK(h, (unsigned)left); h = NLMSG_NEXT(h, left)) {
		if (h->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		fn(arg, h);
	}
	return 1;
}

/* The socket stays: to close one of netfilter's waits for the batch of nftables that is under way,
 * half a second for 10,000 rules, and numbers are asked for each second. */
static int ask(const struct nlmsghdr *request, answer_fn fn, void *arg)
{
	static int fd = -1;
	int r = 1;

	if (fd < 0)
		fd = ct_wire_socket(0);
	if (fd < 0)
		return fd;
	if (send(fd, request, request->nlmsg_len, 0) < 0)
		r = -errno;
	/* Only a dump has an end of its own; the others mark their one answer as part of one, too
	 * (NLM_F_MULTI), but nothing follows. */
	while (r > 0) {
		r = read_answer(fd, fn, arg);
		if (!(request->nlmsg_flags & NLM_F_DUMP))
			break;
	}
	/* What may still come is no answer to the next question. */
	if (r < 0 && r != -ENOENT) {
		close(fd);
		fd = -1;
	}
	return MIN(r, 0);
}

struct one {
	struct ct_entry *e;
	bool found;
};

static void take_one(void *arg, const struct nlmsghdr *h)
{
	struct one *o = arg;

	o->found = ct_wire_entry(h, o->e);
}

int ct_get(const struct ct_tuple *t, struct ct_entry *ret)
{
	char buf[CT_REQUEST_SIZE];
	struct nlmsghdr *h = ctnl_start(buf, IPCTNL_MSG_CT_GET, 0, t->src.family);
	struct one o = { .e = ret };
	int r;

	ct_wire_tuple(h, t);
	r = ask(h, take_one, &o);
	return r ? r : o.found ? 0 : -ENOENT;
}

static uint32_t attr_u32(const struct nlattr *a)
{
	return ntohl(mnl_attr_get_u32(a));
}

static void take_count(void *arg, const struct nlmsghdr *h)
{
	struct ct_count *c = arg;
	const struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_payload_len(a) != sizeof(uint32_t))
			continue;
		if (mnl_attr_get_type(a) == CTA_STATS_GLOBAL_ENTRIES)
			c->n = attr_u32(a);
		else if (mnl_attr_get_type(a) == CTA_STATS_GLOBAL_MAX_ENTRIES)
			c->max = attr_u32(a);
	}
}

static uint32_t read_buckets(void)
{
	char *text;
	uint64_t v = 0;

	if (rtr_file_read("/proc/sys/net/netfilter/nf_conntrack_buckets", 64, &text, NULL))
		return 0;
	text[strcspn(text, "\n")] = '\0';
	rtr_parse_u64(text, 0, UINT32_MAX, &v);
	free(text);
	return (uint32_t)v;
}

int ct_count_get(struct ct_count *ret)
{
	char buf[CT_REQUEST_SIZE];
	struct nlmsghdr *h = ctnl_start(buf, IPCTNL_MSG_CT_GET_STATS, 0, AF_UNSPEC);
	struct ct_count c = { 0 };
	int r = ask(h, take_count, &c);

	if (r)
		return r;
	c.buckets = read_buckets();
	*ret = c;
	return 0;
}

struct cpus {
	struct ct_cpu_stats *v;
	size_t n;
};

static void take_cpu(void *arg, const struct nlmsghdr *h)
{
	static const size_t place[] = {
		[CTA_STATS_FOUND] = offsetof(struct ct_cpu_stats, found),
		[CTA_STATS_INVALID] = offsetof(struct ct_cpu_stats, invalid),
		[CTA_STATS_INSERT] = offsetof(struct ct_cpu_stats, insert),
		[CTA_STATS_INSERT_FAILED] = offsetof(struct ct_cpu_stats, insert_failed),
		[CTA_STATS_DROP] = offsetof(struct ct_cpu_stats, drop),
		[CTA_STATS_EARLY_DROP] = offsetof(struct ct_cpu_stats, early_drop),
		[CTA_STATS_ERROR] = offsetof(struct ct_cpu_stats, error),
		[CTA_STATS_SEARCH_RESTART] = offsetof(struct ct_cpu_stats, search_restart),
		[CTA_STATS_CLASH_RESOLVE] = offsetof(struct ct_cpu_stats, clash_resolve),
		[CTA_STATS_CHAIN_TOOLONG] = offsetof(struct ct_cpu_stats, chain_toolong),
	};
	const struct nfgenmsg *g = mnl_nlmsg_get_payload(h);
	struct cpus *c = arg;
	struct ct_cpu_stats *s;
	const struct nlattr *a;

	c->v = xrealloc(c->v, (c->n + 1) * sizeof(*c->v));
	s = &c->v[c->n++];
	*s = (struct ct_cpu_stats){ .cpu = ntohs(g->res_id) };
	mnl_attr_for_each(a, h, sizeof(*g))
	{
		uint16_t type = mnl_attr_get_type(a);

		/* Place 0 is the cpu: types that are no longer used. */
		if (type < ARRAY_LEN(place) && place[type] &&
		    mnl_attr_get_payload_len(a) == sizeof(uint32_t))
			*(uint32_t *)(void *)((char *)s + place[type]) = attr_u32(a);
	}
}

int ct_stats_get(struct ct_cpu_stats **ret)
{
	char buf[CT_REQUEST_SIZE];
	struct nlmsghdr *h = ctnl_start(buf, IPCTNL_MSG_CT_GET_STATS_CPU, NLM_F_DUMP, AF_UNSPEC);
	struct cpus c = { 0 };
	int r = ask(h, take_cpu, &c);

	if (r) {
		free(c.v);
		return r;
	}
	*ret = c.v;
	return (int)c.n;
}
