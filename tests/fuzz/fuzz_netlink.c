/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mirror fed with netlink messages of any content: one after the other as events and parts of
 * dumps, with lookups between them. Nothing may be read beyond a message, and what was published
 * has to stay consistent.
 */
#include "fib_ctl_priv.h"

#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const struct fibctl *c, const uint8_t *p, size_t n)
{
	struct fib_key k = { .iif = 1 + (n ? p[0] % 4 : 0), .hash = (uint32_t)n };
	struct fib_res r;

	memcpy(k.dst.b, p, n < 4 ? n : 4);
	k.family = AF_INET;
	fib_lookup(fibctl_fib(c), &k, &r);
	if (r.verdict >= FIB_V__MAX || r.reason >= ELIG__MAX)
		abort();
	fib_rpf(fibctl_fib(c), &k, r.oif, FIB_RPF_STRICT);
	k.src = k.dst;
	fib_icmp_way(fibctl_fib(c), &k, &k.src, &r);
	memcpy(k.dst.b, p, n < 16 ? n : 16);
	k.family = AF_INET6;
	fib_lookup_burst(fibctl_fib(c), &k, &r, 1);
	if (r.verdict >= FIB_V__MAX || r.reason >= ELIG__MAX)
		abort();
}

/* A byte says whether the message is of a dump, or that a dump ends; then a message follows. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fibctl_params p = { .n_adj = 64, .max_route_bytes = 1 << 16 };
	static uint8_t buf[65536];
	struct fibctl *c;

	if (fibctl_new(&p, &c))
		return 0;
	c->f.ready = 1;
	while (size > 1) {
		struct nlmsghdr *h = (void *)buf;
		uint8_t how = data[0];
		size_t n = MIN(size - 1, sizeof(buf));

		memcpy(buf, data + 1, n);
		if (fib_msg_ok(h, n))
			n = h->nlmsg_len;
		else
			break;
		/* The decoder may rely on what fib_msg_ok says and on nothing behind it. */
		h = malloc(n);
		memcpy(h, buf, n);
		if (!fib_msg_decode(h, &c->msg))
			fc_apply(c, &c->msg, how & 1);
		if (how & 2) {
			fc_rules_publish(c, 0);
			fc_rules_publish(c, 1);
		}
		if (how & 4) {
			c->epoch++;
			fc_links_swept(c);
			fc_addrs_swept(c);
			fc_neighs_swept(c);
			fc_nexthops_swept(c);
			fc_routes_swept(c, how >> 4 & 1, how >> 5);
		}
		fc_routes_scan(c);
		while (fc_routes_scan_some(c, 1000))
			;
		fc_touch_end(c);
		look(c, (const uint8_t *)h + NLMSG_HDRLEN, n - NLMSG_HDRLEN);
		free(h);
		data += 1 + MIN(MNL_ALIGN(n), size - 1);
		size -= 1 + MIN(MNL_ALIGN(n), size - 1);
	}
	fibctl_free(c);
	return 0;
}
