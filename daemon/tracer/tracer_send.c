/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sending the packet as if it had been received. BPF_PROG_RUN gives a frame to an XDP program of
 * one instruction, "pass", in the name of a link, and the kernel receives it from there like any
 * other. It is marked by its identification or flow label; a table of its own has one rule that
 * switches nftrace on for it, and chains behind all others in which its way ends. The table is
 * bound to the socket of our changes (owner flag): it goes with us, whatever happens.
 */
#include "tracer/tracer.h"

#include "cli/command.h"
#include "kernel/nfbatch.h"
#include "kernel/nlq.h"
#include "nft/nft_data.h"
#include "nft/nft_expr.h"
#include "nft/nft_query.h"

#include <errno.h>
#include <limits.h>
#include <linux/bpf.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Before reassembly and everything of ours; behind all but what confirms connections. */
#define PRIO_FIRST (-450)
#define PRIO_LAST  (INT_MAX - 1)
/* The kernel has judged the packet inside BPF_PROG_RUN, or hands it to another CPU (RPS). */
#define WAIT_MS   100
#define RECV_SIZE 16384

struct tracer_send {
	struct pol_packet pkt;
	struct tracer_link in;
	uint32_t id;
	int fd;
	struct event *read, *timer;
	char table[64];
	bool made; /* the table is there */
	tracer_sent_fn done;
	void *arg;
	struct tracer_seen seen;
	char error[160];
};

/* One at a time: the table has one name. */
static struct tracer_send *running;

/* ---- the table ---- */

static void base_chain(struct nfbatch *b, const char *table, const char *name, uint32_t hook,
		       int32_t prio)
{
	size_t nest;

	nfbatch_msg(b, NFT_MSG_NEWCHAIN, NFPROTO_INET, NLM_F_CREATE);
	nfbatch_text(b, NFTA_CHAIN_TABLE, table);
	nfbatch_text(b, NFTA_CHAIN_NAME, name);
	nest = nfbatch_nest(b, NFTA_CHAIN_HOOK);
	nfbatch_u32(b, NFTA_HOOK_HOOKNUM, hook);
	nfbatch_u32(b, NFTA_HOOK_PRIORITY, (uint32_t)prio);
	nfbatch_nest_end(b, nest);
	nfbatch_u32(b, NFTA_CHAIN_POLICY, NF_ACCEPT);
	nfbatch_text(b, NFTA_CHAIN_TYPE, "filter");
}

static struct nft_rule *mark_rule(const struct tracer_send *t)
{
	bool v6 = t->pkt.family == AF_INET6;
	struct nft_rule *r = nft_rule_new(0, NULL, "packet-tracer");
	uint8_t on = 1, frame[TRACER_FRAME_MAX];
	const uint8_t *l3 = frame + 14;

	tracer_frame(&t->pkt, t->in.mac, t->id, frame);
	nft_family_is(r, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	nft_iif_is(r, t->pkt.iif);
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, v6 ? 0 : 4, v6 ? 4 : 2, NFT_REG_1);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, v6 ? l3 : l3 + 4, v6 ? 4 : 2);
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, v6 ? 8 : 12, v6 ? 16 : 4, NFT_REG_1);
	nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, t->pkt.src.b, v6 ? 16 : 4);
	nft_imm(r, NFT_REG_1, &on, sizeof(on));
	nft_meta_set(r, NFT_META_NFTRACE, NFT_REG_1);
	nft_rule_seal(r);
	return r;
}

static void make_table(const struct tracer_send *t, nlq_done_fn done)
{
	struct nft_rule *r = mark_rule(t);
	struct nfbatch *b = nfbatch_new();

	nfbatch_msg(b, NFT_MSG_NEWTABLE, NFPROTO_INET, NLM_F_CREATE);
	nfbatch_text(b, NFTA_TABLE_NAME, t->table);
	nfbatch_u32(b, NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER);
	base_chain(b, t->table, "in", NF_INET_PRE_ROUTING, PRIO_FIRST);
	base_chain(b, t->table, "out", NF_INET_POST_ROUTING, PRIO_LAST);
	base_chain(b, t->table, "local", NF_INET_LOCAL_IN, PRIO_LAST);
	nfbatch_msg(b, NFT_MSG_NEWRULE, NFPROTO_INET, NLM_F_CREATE | NLM_F_APPEND);
	nfbatch_text(b, NFTA_RULE_TABLE, t->table);
	nfbatch_text(b, NFTA_RULE_CHAIN, "in");
	nfbatch_raw(b, r->attrs, r->attrs_size);
	nlq_nft(b, done, (void *)(uintptr_t)t);
	nfbatch_unref(b);
	nft_rule_unref(r);
}

static void drop_table(const struct tracer_send *t, nlq_done_fn done)
{
	struct nfbatch *b = nfbatch_new();

	nfbatch_msg(b, NFT_MSG_DELTABLE, NFPROTO_INET, 0);
	nfbatch_text(b, NFTA_TABLE_NAME, t->table);
	nlq_nft(b, done, (void *)(uintptr_t)t);
	nfbatch_unref(b);
}

/* ---- the end ---- */

static void finish(struct tracer_send *t)
{
	running = NULL;
	if (t->done)
		t->done(t->arg, t->error, &t->seen);
	event_free(t->read);
	event_free(t->timer);
	close(t->fd);
	free(t);
}

static void table_gone(void *arg, int error, const char *text)
{
	finish(arg);
}

static void stop(struct tracer_send *t)
{
	event_del(t->read);
	event_del(t->timer);
	if (t->made)
		drop_table(t, table_gone);
	else
		finish(t);
}

static void fail(struct tracer_send *t, const char *what, int error, const char *text)
{
	snprintf(t->error, sizeof(t->error), "%s: %s%s%s", what, strerror(error), *text ? ": " : "",
		 text);
	stop(t);
}

/* ---- sending ---- */

static long bpf(int cmd, union bpf_attr *attr)
{
	return syscall(__NR_bpf, cmd, attr, sizeof(*attr));
}

/* 0 or errno. */
static int inject(const struct tracer_send *t)
{
	static const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	uint8_t frame[TRACER_FRAME_MAX];
	size_t size = tracer_frame(&t->pkt, t->in.mac, t->id, frame);
	struct xdp_md ctx = { .data_end = (uint32_t)size,
			      .ingress_ifindex = (uint32_t)t->in.ifindex };
	union bpf_attr load, attr;
	long fd;
	int r = 0;

	memset(&load, 0, sizeof(load));
	load.prog_type = BPF_PROG_TYPE_XDP;
	load.insns = (uintptr_t)pass;
	load.insn_cnt = ARRAY_LEN(pass);
	load.license = (uintptr_t) "GPL";
	fd = bpf(BPF_PROG_LOAD, &load);
	if (fd < 0)
		return errno;
	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)fd;
	attr.test.data_in = (uintptr_t)frame;
	attr.test.data_size_in = (uint32_t)size;
	attr.test.ctx_in = (uintptr_t)&ctx;
	attr.test.ctx_size_in = sizeof(ctx);
	attr.test.repeat = 1;
	attr.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
	if (bpf(BPF_PROG_TEST_RUN, &attr) < 0)
		r = errno;
	close((int)fd);
	return r;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	stop(arg);
}

static void on_trace(evutil_socket_t fd, short what, void *arg)
{
	static union {
		struct nlmsghdr h;
		char b[RECV_SIZE];
	} buf;
	struct tracer_send *t = arg;
	ssize_t n;
	bool end = false;

	while (!end && (n = recv(t->fd, &buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		int left = (int)n;

		for (struct nlmsghdr *h = &buf.h; NLMSG_OK(h, (unsigned)left);
		     h = NLMSG_NEXT(h, left))
			end |= tracer_take(&t->seen, h, t->table);
	}
	if (end)
		stop(t);
}

static void table_made(void *arg, int error, const char *text)
{
	struct timeval wait = { .tv_usec = WAIT_MS * 1000 };
	struct tracer_send *t = arg;
	int r;

	if (error) {
		fail(t, "nftrace", -error, text);
		return;
	}
	t->made = true;
	r = inject(t);
	if (r) {
		fail(t, "the packet cannot be sent", r, "");
		return;
	}
	event_add(t->read, NULL);
	event_add(t->timer, &wait);
}

static int trace_socket(void)
{
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	int group = NFNLGRP_NFTRACE, e;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);

	if (fd < 0)
		return -errno;
	/* A socket without a number gets none of the kernel's announcements. */
	if (!bind(fd, (const void *)&any, sizeof(any)) &&
	    !setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)))
		return fd;
	e = -errno;
	close(fd);
	return e;
}

struct tracer_send *tracer_send(const struct pol_packet *p, const struct tracer_link *in,
				tracer_sent_fn done, void *arg, int *ret_error)
{
	int fd = running ? -EBUSY : trace_socket();
	struct tracer_send *t;

	if (fd < 0) {
		*ret_error = fd;
		return NULL;
	}
	t = xcalloc(1, sizeof(*t));
	t->pkt = *p;
	t->in = *in;
	t->done = done;
	t->arg = arg;
	t->fd = fd;
	snprintf(t->table, sizeof(t->table), "%s.trace", nft_table_name());
	if (getrandom(&t->id, sizeof(t->id), GRND_NONBLOCK) != sizeof(t->id))
		t->id = (uint32_t)rtr_now_ns();
	t->read = event_new(cmd_base(), t->fd, EV_READ | EV_PERSIST, on_trace, t);
	t->timer = evtimer_new(cmd_base(), on_timer, t);
	running = t;
	make_table(t, table_made);
	return t;
}

void tracer_send_forget(struct tracer_send *t)
{
	t->done = NULL;
}
