/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The size of the kernel's neighbour tables against their limit. gc_thresh1-3 are the machine's,
 * for all namespaces together, and can be set in its first one alone: rtr watches and tells.
 */
#include "cli/command.h"
#include "kernel/query.h"
#include "kernel/rtmsg.h"
#include "neigh/neigh.h"
#include "system/log.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/neighbour.h>
#include <string.h>
#include <unistd.h>

#define WATCH_SEC 10
/* Percent of gc_thresh3. Told once above, and told over when it is below the second: a table that
 * hovers around one number does not fill the log. */
#define ALARM_ABOVE 80
#define ALARM_BELOW 70

static struct event *watcher;
static bool alarmed[2];

static void take_table(void *arg, const struct nlmsghdr *h)
{
	struct neigh_limits *l = arg;
	struct nlattr *tb[NDTA_MAX + 1];
	const struct ndt_config *c;
	const struct ndt_stats *s;

	if (h->nlmsg_type != RTM_NEWNEIGHTBL ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(struct ndtmsg), tb, NDTA_MAX,
			NULL) ||
	    !tb[NDTA_CONFIG] || !tb[NDTA_THRESH3] || !tb[NDTA_THRESH2] || !tb[NDTA_THRESH1])
		return; /* the parameters of one interface */
	c = nla_data(tb[NDTA_CONFIG]);
	l->entries = c->ndtc_entries;
	l->thresh1 = nla_get_u32(tb[NDTA_THRESH1]);
	l->thresh2 = nla_get_u32(tb[NDTA_THRESH2]);
	l->thresh3 = nla_get_u32(tb[NDTA_THRESH3]);
	if (tb[NDTA_STATS] && nla_len(tb[NDTA_STATS]) >= (int)sizeof(*s)) {
		s = nla_data(tb[NDTA_STATS]);
		l->table_fulls = s->ndts_table_fulls;
		l->failed = s->ndts_res_failed;
	}
}

int neigh_read_limits(int family, struct neigh_limits *ret)
{
	struct ndtmsg ndt = { .ndtm_family = (uint8_t)family };
	struct neigh_limits l = { 0 };
	int r = 0;
	struct kdump *d = kdump_start(rtmsg_new(RTM_GETNEIGHTBL, 0, &ndt, sizeof(ndt), RTMSG_SIZE),
				      &r);

	if (!d)
		return r;
	/* The table comes first, then a message an interface, which may be thousands. */
	r = kdump_step(d, take_table, &l);
	kdump_free(d);
	if (r < 0)
		return r;
	*ret = l;
	return l.thresh3 ? 0 : -EOPNOTSUPP;
}

bool neigh_limit_settable(int family)
{
	return !access(family == AF_INET6 ? "/proc/sys/net/ipv6/neigh/default/gc_thresh3"
					  : "/proc/sys/net/ipv4/neigh/default/gc_thresh3",
		       F_OK);
}

void neigh_watch_limit(int family, const struct neigh_limits *l)
{
	bool v6 = family == AF_INET6, *on = &alarmed[v6];
	uint64_t percent = l->entries * 100ull / l->thresh3;

	if (!*on && percent >= ALARM_ABOVE) {
		*on = true;
		log_event("NEIGH", LOG_L_WARN, "LIMIT",
			  "%s neighbour table: %u of at most %u entries (net.%s.neigh.default."
			  "gc_thresh3)",
			  v6 ? "IPv6" : "IPv4", l->entries, l->thresh3, v6 ? "ipv6" : "ipv4");
	} else if (*on && percent < ALARM_BELOW) {
		*on = false;
		log_event("NEIGH", LOG_L_NOTICE, "LIMITOK",
			  "%s neighbour table: %u of at most %u entries", v6 ? "IPv6" : "IPv4",
			  l->entries, l->thresh3);
	}
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
	static const int family[] = { AF_INET, AF_INET6 };
	struct neigh_limits l;

	for (size_t i = 0; i < ARRAY_LEN(family); i++) {
		if (!neigh_read_limits(family[i], &l))
			neigh_watch_limit(family[i], &l);
	}
}

int neigh_table_init(void)
{
	struct timeval tv = { .tv_sec = WATCH_SEC };

	watcher = event_new(cmd_base(), -1, EV_PERSIST, on_watch, NULL);
	return watcher && !event_add(watcher, &tv) ? 0 : -ENOMEM;
}

void neigh_table_fini(void)
{
	if (watcher)
		event_free(watcher);
	watcher = NULL;
}
