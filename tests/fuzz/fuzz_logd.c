/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A logged packet: alone, and the same bytes as the attributes of the kernel's message. */
#include "firewall/logd_packet.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void packet(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct logd_event e = { 0 };

	memcpy(copy, data, size);
	if (!logd_packet(copy, size, &e) != !e.family)
		abort();
	if (e.family && size < (e.family == AF_INET ? 20u : 40u))
		abort();
	free(copy);
}

static void message(const uint8_t *data, size_t size)
{
	size_t all = NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct nfgenmsg)) + size;
	/* The kernel's messages, and those of libmnl, are whole words. */
	struct nlmsghdr *h = calloc(1, MNL_ALIGN(all));
	struct logd_event e;

	h->nlmsg_len = (uint32_t)all;
	h->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET;
	memcpy((char *)h + all - size, data, size);
	if (logd_message(h, &e) && e.family && e.family != AF_INET && e.family != AF_INET6)
		abort();
	free(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	packet(data, size);
	message(data, size);
	return 0;
}
