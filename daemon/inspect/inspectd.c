/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtr-inspectd: reads the server names that TLS clients ask for, from packets that the kernel
 * queues, and writes into the label of the connection which line decides. Started by rtrd's root
 * parent, with one socket to rtrd (include/rtr/inspectd.h).
 *
 * Owns: one queue of QUEUE_LEN packets; connections and their bytes as inspect/flows.h bounds them.
 * Privileges: user rtr, CAP_NET_ADMIN, which the kernel asks for with every verdict; seccomp leaves
 * three sockets, all open before the first packet, and no way to open another.
 * Threads: none. Failure: without it packets that wait for a name are dropped, or pass with
 * `ip inspect tls fail-open`; without rtrd it ends, and rtrd starts another.
 */
#include "inspect/flows.h"
#include "util.h"
#include "system/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RTRD_FD 3
/* Packets that wait for us. A hello is two at most; a burst of 1,000 new connections fits. */
#define QUEUE_LEN 4096
/* The kernel's buffer towards us: a full queue of hellos. */
#define RCVBUF (16 << 20)
/* How often rtrd hears of new figures. */
#define TELL_MS 200
/* A decided packet that comes back: its connection takes no label. */
#define REPEATS_MAX 4

static struct {
	int nl, ct; /* the queue; the table of connections */
	uint32_t seq;
	uint32_t queue;
	bool bound;
	uint64_t told_ns;
	uint64_t told[INSPECTD_COUNTER__MAX];
} d;

/* ---- to rtrd ---- */

/* Full: rtrd does not read. Figures come again. */
static bool say(const struct inspectd_event *e)
{
	return send(RTRD_FD, e, sizeof(*e), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(*e);
}

static void tell(uint64_t now)
{
	struct inspectd_event e = { .kind = INSPECTD_STATS };
	uint64_t hits;
	uint32_t rule;

	if (now - d.told_ns < TELL_MS * NSEC_PER_MSEC)
		return;
	d.told_ns = now;
	if (!memcmp(d.told, flows_counters(), sizeof(d.told)))
		return;
	memcpy(e.n, flows_counters(), sizeof(e.n));
	if (say(&e))
		memcpy(d.told, e.n, sizeof(d.told));
	while ((rule = flows_next_hits(&hits)) != 0) {
		struct inspectd_event r = { .kind = INSPECTD_RULE, .rule = rule, .n[0] = hits };

		say(&r);
	}
}

/* ---- the queue ---- */

static bool send_nl(int fd, struct nlmsghdr *h)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };

	h->nlmsg_seq = ++d.seq;
	return sendto(fd, h, h->nlmsg_len, 0, (struct sockaddr *)&to, sizeof(to)) ==
	       (ssize_t)h->nlmsg_len;
}

static void bind_queue(void)
{
	char buf[512] __attribute__((aligned(8)));
	uint32_t flags = NFQA_CFG_F_GSO, mask = flags | NFQA_CFG_F_FAIL_OPEN;
	struct nlmsghdr *h;

	if (!d.bound) {
		h = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, d.queue);
		h->nlmsg_flags |= NLM_F_ACK;
		nfq_nlmsg_cfg_put_cmd(h, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
		send_nl(d.nl, h);
		d.bound = true;
	}
	if (flows_fail_open())
		flags |= NFQA_CFG_F_FAIL_OPEN;
	h = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, d.queue);
	h->nlmsg_flags |= NLM_F_ACK;
	nfq_nlmsg_cfg_put_params(h, NFQNL_COPY_PACKET, 0xffff);
	nfq_nlmsg_cfg_put_qmaxlen(h, QUEUE_LEN);
	mnl_attr_put_u32(h, NFQA_CFG_FLAGS, htonl(flags));
	mnl_attr_put_u32(h, NFQA_CFG_MASK, htonl(mask));
	send_nl(d.nl, h);
}

/* ---- the table of connections ---- */

struct conn {
	struct flow_ends ends; /* of the packet that is looked for */
	struct flow_ends orig; /* of its opener */
	bool found, reply;
	uint32_t id, label[4];
	/* Its tuple as the kernel tells it, to be told again. */
	char tuple[256] __attribute__((aligned(8)));
};

static struct nlmsghdr *ct_msg(char *buf, uint16_t type, uint8_t family)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *g;

	h->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
	h->nlmsg_flags = NLM_F_REQUEST;
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->nfgen_family = family;
	g->version = NFNETLINK_V0;
	return h;
}

static void put_tuple(struct nlmsghdr *h, const struct flow_ends *e)
{
	bool v6 = e->family == AF_INET6;
	size_t n = v6 ? 16 : 4;
	struct nlattr *tuple = mnl_attr_nest_start(h, CTA_TUPLE_ORIG), *part;

	part = mnl_attr_nest_start(h, CTA_TUPLE_IP);
	mnl_attr_put(h, v6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, n, e->src);
	mnl_attr_put(h, v6 ? CTA_IP_V6_DST : CTA_IP_V4_DST, n, e->dst);
	mnl_attr_nest_end(h, part);
	part = mnl_attr_nest_start(h, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(h, CTA_PROTO_NUM, IPPROTO_TCP);
	mnl_attr_put_u16(h, CTA_PROTO_SRC_PORT, e->sport);
	mnl_attr_put_u16(h, CTA_PROTO_DST_PORT, e->dport);
	mnl_attr_nest_end(h, part);
	mnl_attr_nest_end(h, tuple);
}

static int take_end(const struct nlattr *a, void *arg)
{
	struct flow_ends *e = arg;
	const void *v = mnl_attr_get_payload(a);
	size_t n = mnl_attr_get_payload_len(a);

	switch (mnl_attr_get_type(a)) {
	case CTA_IP_V4_SRC:
	case CTA_IP_V6_SRC:
		memcpy(e->src, v, MIN(n, sizeof(e->src)));
		break;
	case CTA_IP_V4_DST:
	case CTA_IP_V6_DST:
		memcpy(e->dst, v, MIN(n, sizeof(e->dst)));
		break;
	}
	return MNL_CB_OK;
}

static int take_port(const struct nlattr *a, void *arg)
{
	struct flow_ends *e = arg;

	if (mnl_attr_get_type(a) == CTA_PROTO_SRC_PORT)
		e->sport = mnl_attr_get_u16(a);
	else if (mnl_attr_get_type(a) == CTA_PROTO_DST_PORT)
		e->dport = mnl_attr_get_u16(a);
	return MNL_CB_OK;
}

static int take_tuple(const struct nlattr *a, void *arg)
{
	if (mnl_attr_get_type(a) == CTA_TUPLE_IP)
		mnl_attr_parse_nested(a, take_end, arg);
	else if (mnl_attr_get_type(a) == CTA_TUPLE_PROTO)
		mnl_attr_parse_nested(a, take_port, arg);
	return MNL_CB_OK;
}

static int take_conn(const struct nlattr *a, void *arg)
{
	struct conn *c = arg;
	uint16_t n = mnl_attr_get_payload_len(a);

	switch (mnl_attr_get_type(a)) {
	case CTA_ID:
		c->id = mnl_attr_get_u32(a);
		break;
	case CTA_LABELS:
		memcpy(c->label, mnl_attr_get_payload(a), MIN((size_t)n, sizeof(c->label)));
		break;
	case CTA_TUPLE_ORIG:
		c->orig = (struct flow_ends){ .family = c->ends.family };
		mnl_attr_parse_nested(a, take_tuple, &c->orig);
		c->reply = memcmp(&c->orig, &c->ends, sizeof(c->orig)) != 0;
		c->found = a->nla_len <= sizeof(c->tuple);
		if (c->found)
			memcpy(c->tuple, a, a->nla_len);
		break;
	}
	return MNL_CB_OK;
}

/* The kernel answers within the send. */
static bool ask_conn(const uint8_t *data, size_t size, struct conn *c)
{
	char buf[8192] __attribute__((aligned(8)));
	struct nlmsghdr *h;
	ssize_t n;

	memset(c, 0, sizeof(*c));
	if (!flow_ends_of(data, size, &c->ends))
		return false;
	h = ct_msg(buf, IPCTNL_MSG_CT_GET, c->ends.family);
	put_tuple(h, &c->ends);
	if (!send_nl(d.ct, h))
		return false;
	while ((n = recv(d.ct, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		h = (struct nlmsghdr *)buf;
		if (mnl_nlmsg_ok(h, (int)n) &&
		    h->nlmsg_type == (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW))
			mnl_attr_parse(h, sizeof(struct nfgenmsg), take_conn, c);
	}
	return c->found;
}

/* Before the verdict, so that the next packet finds it. */
static void put_label(const struct conn *c, const struct flow_verdict *v)
{
	char buf[1024] __attribute__((aligned(8)));
	struct nlmsghdr *h = ct_msg(buf, IPCTNL_MSG_CT_NEW, c->ends.family);
	const struct nlattr *tuple = (const void *)c->tuple;

	mnl_attr_put(h, tuple->nla_type, mnl_attr_get_payload_len(tuple),
		     mnl_attr_get_payload(tuple));
	mnl_attr_put(h, CTA_LABELS, sizeof(v->label), v->label);
	mnl_attr_put(h, CTA_LABELS_MASK, sizeof(v->mask), v->mask);
	send_nl(d.ct, h);
}

/* ---- packets ---- */

static void put_verdict(uint32_t id, const struct flow_verdict *v)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *h = nfq_nlmsg_put(buf, NFQNL_MSG_VERDICT, d.queue);
	static const int verdicts[] = {
		[FLOW_PASS] = NF_ACCEPT, [FLOW_DROP] = NF_DROP, [FLOW_LABEL] = NF_ACCEPT
	};

	/* Denied: through the rules again, where it is counted, dropped or answered. */
	nfq_nlmsg_verdict_put(h, (int)id, v->denied ? NF_REPEAT : verdicts[v->act]);
	send_nl(d.nl, h);
}

/* Full: rtrd has more to log than it reads. */
static void tell_logs(const struct conn *c, const struct flow_verdict *v)
{
	for (unsigned i = 0; i < v->n_logs; i++) {
		struct inspectd_event e = {
			.kind = INSPECTD_LOG,
			.rule = v->logs[i].rule,
			.family = c->orig.family,
			.did = v->logs[i].did,
			.unreadable = v->logs[i].unreadable,
			.sport = c->orig.sport,
			.dport = c->orig.dport,
			.ifindex = c->label[3] & 0xffff,
		};

		memcpy(e.src, c->orig.src, sizeof(e.src));
		memcpy(e.dst, c->orig.dst, sizeof(e.dst));
		rtr_strlcpy(e.name, flows_name(), sizeof(e.name));
		say(&e);
	}
}

/* The same packet once more after its verdict: the label did not take. */
static bool circles(uint32_t ct_id, const struct flow_verdict *v)
{
	static uint32_t last;
	static unsigned n;

	if (v->act != FLOW_LABEL || !v->denied)
		return false;
	n = last == ct_id ? n + 1 : 0;
	last = ct_id;
	return n > REPEATS_MAX;
}

static void take_packet(const struct nlmsghdr *h, uint64_t now)
{
	struct nlattr *attr[NFQA_MAX + 1] = { NULL };
	struct flow_verdict v = { .act = FLOW_DROP };
	const struct nfqnl_msg_packet_hdr *ph;
	struct flow_packet p = { 0 };
	struct conn c;

	if (nfq_nlmsg_parse(h, attr) < 0 || !attr[NFQA_PACKET_HDR])
		return;
	ph = mnl_attr_get_payload(attr[NFQA_PACKET_HDR]);
	if (attr[NFQA_PAYLOAD]) {
		p.data = mnl_attr_get_payload(attr[NFQA_PAYLOAD]);
		p.size = mnl_attr_get_payload_len(attr[NFQA_PAYLOAD]);
	}
	/* One that is gone: the sender repeats itself, and begins a new one. */
	if (p.data && ask_conn(p.data, p.size, &c)) {
		p.ct_id = c.id;
		p.reply = c.reply;
		memcpy(p.label, c.label, sizeof(p.label));
		flows_packet(&p, now, &v);
	}
	if (circles(p.ct_id, &v))
		v = (struct flow_verdict){ .act = FLOW_DROP };
	if (v.act == FLOW_LABEL) {
		put_label(&c, &v);
		tell_logs(&c, &v);
	}
	put_verdict(ntohl(ph->packet_id), &v);
}

static void take_error(const struct nlmsghdr *h)
{
	const struct nlmsgerr *err = mnl_nlmsg_get_payload(h);
	struct inspectd_event e = { .kind = INSPECTD_NO_QUEUE };

	/* A verdict may come after the packet was given up; only configuration is acknowledged. */
	if (h->nlmsg_len < mnl_nlmsg_size(sizeof(*err)) || !err->error ||
	    err->msg.nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG))
		return;
	e.n[0] = (uint64_t)-err->error;
	say(&e);
}

static void take_packets(void)
{
	static char buf[1 << 17] __attribute__((aligned(8)));
	uint64_t now = rtr_now_ns();

	for (unsigned turn = 0; turn < 64; turn++) {
		ssize_t n = recv(d.nl, buf, sizeof(buf), MSG_DONTWAIT);
		int len = (int)n;

		if (n <= 0)
			return;
		for (const struct nlmsghdr *h = (const void *)buf; mnl_nlmsg_ok(h, len);
		     h = mnl_nlmsg_next(h, &len)) {
			if (h->nlmsg_type == NLMSG_ERROR)
				take_error(h);
			else if (h->nlmsg_type == (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET))
				take_packet(h, now);
		}
	}
}

/* ---- start ---- */

/* False: rtrd is gone. */
static bool take_requests(void)
{
	struct inspectd_req q;
	ssize_t n;

	while ((n = recv(RTRD_FD, &q, sizeof(q), MSG_DONTWAIT)) == sizeof(q)) {
		flows_request(&q);
		if (q.op == INSPECTD_BEGIN && !d.bound)
			d.queue = q.queue;
		if (q.op == INSPECTD_COMMIT)
			bind_queue();
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* After everything else is open: what a frame might talk us into finds no system call. */
static int lock_in(void)
{
	static const int calls[] = {
		SCMP_SYS(poll),
		SCMP_SYS(ppoll),
		SCMP_SYS(madvise),
	};

	return sandbox_enter(calls, ARRAY_LEN(calls), SANDBOX_NO_SOCKETS);
}

static int start(void)
{
	struct sockaddr_nl self = { .nl_family = AF_NETLINK };
	int type, one = 1, room = RCVBUF;
	socklen_t size = sizeof(type);

	if (getsockopt(RTRD_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET) {
		fprintf(stderr, "rtr-inspectd: started by rtrd, not by hand\n");
		return -EINVAL;
	}
	d.nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	d.ct = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (d.ct < 0 || bind(d.ct, (struct sockaddr *)&self, sizeof(self)) < 0)
		return -errno;
	if (d.nl < 0 || bind(d.nl, (struct sockaddr *)&self, sizeof(self)) < 0)
		return -errno;
	/* A full buffer: the kernel counts what it drops, or lets pass, in the queue. */
	setsockopt(d.nl, SOL_NETLINK, NETLINK_NO_ENOBUFS, &one, sizeof(one));
	setsockopt(d.nl, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	return lock_in();
}

int main(void)
{
	int r = start();
	struct pollfd fds[] = { { .fd = RTRD_FD, .events = POLLIN },
				{ .fd = d.nl, .events = POLLIN } };

	if (r) {
		fprintf(stderr, "rtr-inspectd: %s\n", strerror(-r));
		return 1;
	}
	for (;;) {
		/* Figures wait while nothing comes; no connection: nothing to do at all. */
		bool idle = !flows_counters()[INSPECTD_FLOWS] &&
			    !memcmp(d.told, flows_counters(), sizeof(d.told));

		if (poll(fds, ARRAY_LEN(fds), idle ? -1 : TELL_MS) < 0 && errno != EINTR)
			return 1;
		if (fds[0].revents && !take_requests())
			return 0;
		if (fds[1].revents)
			take_packets();
		flows_idle(rtr_now_ns());
		tell(rtr_now_ns());
	}
}
