/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/nft_watch.h"

#include "kernel/nlq_nft.h"
#include "nft/nft_data.h"
#include "nft/nft_query.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Events are packed: the kernel joins those of one change up to a page. */
#define RECV_SIZE 32768
/* Room while the loop is busy: a foreign ruleset of some ten thousand rules. */
#define RCVBUF (4 << 20)
/* Lost events cost a look at all that is ours, at most once in this time. */
#define LOST_QUIET_MS 1000

static struct {
	int fd;
	uint32_t gen;
	bool shared;
	struct event *read, *later;
	void (*touched)(void);
} w = { .fd = -1 };

#define EVENT(type) (NFNL_SUBSYS_NFTABLES << 8 | (type))

/*
 * Passes what starts with a NEWGEN (one a change), and, of changes by others, all that holds more
 * than one message (they may be of several tables) and single messages of our table. Attribute 1
 * of every message but NEWGEN is the name of its table.
 *
 *	type == NEWGEN                   -> pass
 *	nlmsg_pid is our sender's        -> drop
 *	nlmsg_len < length of datagram   -> pass
 *	attribute 1 == table             -> pass, else drop
 *
 * BPF loads are big-endian, netlink's fields the host's.
 */
size_t nft_watch_filter(struct sock_filter *f, const char *table, uint32_t portid)
{
	const uint32_t attrs = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg));
	const struct sock_filter head[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(EVENT(NFT_MSG_NEWGEN)), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(portid), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		/* Is there a second message? A load beyond the end drops, so its length is
		 * compared with that of the datagram, which is turned into netlink's order by
		 * leaving both in big-endian: only lengths below 64 KiB occur, whose two low
		 * bytes are the first two on a little-endian machine. */
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_STMT(BPF_ST, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS,
			 offsetof(struct nlmsghdr, nlmsg_len) + (htons(1) == 1 ? 2 : 1)),
		BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 8),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS,
			 offsetof(struct nlmsghdr, nlmsg_len) + (htons(1) == 1 ? 3 : 0)),
		BPF_STMT(BPF_ALU | BPF_OR | BPF_X, 0),
		BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, NLMSG_ALIGNTO - 1),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_MEM, 0),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_X, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		/* The name of the table. */
		BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 1),
		BPF_STMT(BPF_LD | BPF_W | BPF_IMM, attrs),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, SKF_AD_OFF + SKF_AD_NLATTR),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
	};
	size_t n = ARRAY_LEN(head), size = table ? strlen(table) + 1 : 0;

	memcpy(f, head, sizeof(head));
	/* Four bytes a step, the rest one by one; a name too long for it is compared in part,
	 * which passes too much rather than too little. */
	for (size_t i = 0; i < size && n + 4 < NFT_FILTER_MAX;) {
		uint32_t word;
		bool whole = i + 4 <= size;

		memcpy(&word, table + i, whole ? 4 : 1);
		f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | (whole ? BPF_W : BPF_B) | BPF_IND,
						      (uint32_t)(NLA_HDRLEN + i));
		f[n++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, whole ? ntohl(word) : (uint8_t)table[i], 1, 0);
		f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
		i += whole ? 4 : 1;
	}
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
	return n;
}

static bool is_ours(const struct nlmsghdr *h)
{
	struct nlattr *tb[NFTA_CHAIN_MAX + 1];
	const char *table, *name;

	if (h->nlmsg_pid == nft_sender_portid() || !nftq_parse(h, tb, NFTA_CHAIN_MAX))
		return false;
	table = nftq_text(tb[NFTA_CHAIN_TABLE]);
	if (!strcmp(table, nft_table_name()))
		return true;
	/* In a table shared with others: the name of the chain. Chains and rules have theirs in
	 * different attributes; what is no text there is no name. */
	name = nftq_text(tb[h->nlmsg_type == EVENT(NFT_MSG_NEWCHAIN) ||
					    h->nlmsg_type == EVENT(NFT_MSG_DELCHAIN)
				    ? NFTA_CHAIN_NAME
				    : NFTA_RULE_CHAIN]);
	return nft_name_is_ours(name);
}

static void lost(void)
{
	struct timeval tv = { .tv_sec = LOST_QUIET_MS / 1000,
			      .tv_usec = LOST_QUIET_MS % 1000 * 1000 };

	if (!evtimer_pending(w.later, NULL))
		evtimer_add(w.later, &tv);
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
	w.touched();
}

/* True when somebody else touched something. */
static bool take(struct nlmsghdr *h, int size)
{
	bool touched = false;

	for (; nlmsg_ok(h, size); h = nlmsg_next(h, &size)) {
		struct nlattr *tb[NFTA_GEN_MAX + 1];

		if (h->nlmsg_type != EVENT(NFT_MSG_NEWGEN))
			touched = touched || is_ours(h);
		else if (nftq_parse(h, tb, NFTA_GEN_MAX))
			w.gen = nftq_u32(tb[NFTA_GEN_ID]);
	}
	return touched;
}

void nft_watch_drain(void)
{
	static _Alignas(struct nlmsghdr) char buf[RECV_SIZE];
	bool touched = false;

	while (w.fd >= 0) {
		ssize_t n = recv(w.fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOBUFS) {
			w.gen = 0;
			lost();
			continue;
		}
		if (n <= 0)
			break;
		touched |= (size_t)n > sizeof(buf) || take((void *)buf, (int)n);
	}
	if (touched)
		w.touched();
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	nft_watch_drain();
}

uint32_t nft_watch_generation(void)
{
	return w.gen;
}

void nft_watch_set_generation(uint32_t gen)
{
	w.gen = gen;
}

static int set_filter(void)
{
	struct sock_filter code[NFT_FILTER_MAX];
	struct sock_fprog prog = { .filter = code };

	prog.len = (unsigned short)nft_watch_filter(code, w.shared ? NULL : nft_table_name(),
						    nft_sender_portid());
	return setsockopt(w.fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0 ? -errno : 0;
}

void nft_watch_shared(bool on)
{
	if (w.fd < 0 || w.shared == on)
		return;
	w.shared = on;
	set_filter();
}

static int listen_to_events(bool on)
{
	int group = NFNLGRP_NFTABLES;

	return setsockopt(w.fd, SOL_NETLINK, on ? NETLINK_ADD_MEMBERSHIP : NETLINK_DROP_MEMBERSHIP,
			  &group, sizeof(group)) < 0
		       ? -errno
		       : 0;
}

void nft_watch_pause(void)
{
	if (w.fd >= 0)
		listen_to_events(false);
}

void nft_watch_resume(void)
{
	if (w.fd >= 0 && listen_to_events(true))
		lost();
}

static int open_socket(void)
{
	struct sockaddr_nl me = { .nl_family = AF_NETLINK };
	int size = RCVBUF;

	w.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
	if (w.fd < 0)
		return -errno;
	w.shared = false;
	if (setsockopt(w.fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(w.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (set_filter() || bind(w.fd, (void *)&me, sizeof(me)) < 0 || listen_to_events(true))
		return -errno;
	return 0;
}

int nft_watch_init(struct event_base *base, void (*touched)(void))
{
	int r = open_socket();

	w.touched = touched;
	w.gen = 0;
	w.later = evtimer_new(base, on_later, NULL);
	if (!r) {
		w.read = event_new(base, w.fd, EV_READ | EV_PERSIST, on_read, NULL);
		event_add(w.read, NULL);
		return 0;
	}
	if (w.fd >= 0)
		close(w.fd);
	w.fd = -1;
	return r;
}

void nft_watch_fini(void)
{
	if (w.read)
		event_free(w.read);
	if (w.later)
		event_free(w.later);
	w.read = w.later = NULL;
	if (w.fd >= 0)
		close(w.fd);
	w.fd = -1;
}
