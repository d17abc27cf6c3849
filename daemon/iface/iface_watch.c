/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Watches links for the log (LINK-3-UPDOWN, LINEPROTO-5-UPDOWN) and samples their counters for
 * the 5-minute rates, every RATE_SAMPLE_SEC as IOS does. */
#include "cli/command.h"
#include "domain.h"
#include "fastpath/fastpath.h"
#include "iface/iface.h"
#include "iface/iface_show.h"
#include "kernel/query.h"
#include "kernel/rtmsg.h"
#include "kernel/shadow.h"
#include "system/log.h"
#include "vrrp/vrrp.h"

#include <math.h>
#include <string.h>

#define RATE_SAMPLE_SEC 10
#define RATE_WINDOW_SEC 300.0

static struct iface_seen *seen;
static struct event *sampler;

struct iface_seen *iface_seen_get(int ifindex)
{
	struct iface_seen *s;

	for (s = seen; s; s = s->next) {
		if (s->ifindex == ifindex)
			return s;
	}
	s = xcalloc(1, sizeof(*s));
	s->ifindex = ifindex;
	s->next = seen;
	seen = s;
	return s;
}

static void forget_gone(void)
{
	for (struct iface_seen **p = &seen; *p;) {
		struct iface_seen *s = *p;

		if (shadow_link_by_index(s->ifindex)) {
			p = &s->next;
			continue;
		}
		*p = s->next;
		free(s);
	}
}

static void log_state(const char *name, bool up)
{
	static struct log_limit limit;

	log_event_limited(&limit, 20, "LINK", LOG_L_ERR, "UPDOWN",
			  "Interface %s, changed state to %s", name, up ? "up" : "down");
}

static void watch_link(const struct shadow_link *l)
{
	static struct log_limit link_limit, line_limit;
	/* Of a group's own device VRRP-6-STATECHANGE says all there is to say. */
	bool told = !vrrp_is_vmac(l);
	struct iface_seen *s = iface_seen_get(l->ifindex);
	bool admin = l->flags & IFF_UP, line = shadow_link_is_up(l);
	const char *name = iface_operator_name(l->name);

	/*
	 * One line a change. After `no shutdown` the carrier comes a moment later, in an event of
	 * its own: that there is none is told by the sampler, when it did not come.
	 */
	if (told && s->known && s->admin_up && !admin) {
		log_event_limited(&link_limit, 20, "LINK", LOG_L_NOTICE, "CHANGED",
				  "Interface %s, changed state to administratively down", name);
		s->down_untold = false;
	} else if (told && s->known && admin && line != s->line_up) {
		log_state(name, line);
		s->down_untold = false;
	} else if (told && s->known && admin && !s->admin_up) {
		s->down_untold = true;
	}
	if (told && s->known && line != s->line_up)
		log_event_limited(&line_limit, 20, "LINEPROTO", LOG_L_NOTICE, "UPDOWN",
				  "Line protocol on Interface %s, changed state to %s", name,
				  line ? "up" : "down");
	s->flaps += s->known && line != s->line_up;
	if (!s->known || line != s->line_up)
		s->last_change = time(NULL);
	s->known = true;
	s->admin_up = admin;
	s->line_up = line;
}

static void observed(unsigned change)
{
	if (!(change & SHADOW_LINK))
		return;
	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l))
		watch_link(l);
	forget_gone();
}

static void take_counters(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[IFLA_MAX + 1];
	const struct ifinfomsg *i = NLMSG_DATA(h);
	struct iface_seen *s;

	if (h->nlmsg_type != RTM_NEWLINK ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*i), tb, IFLA_MAX, NULL) ||
	    !tb[IFLA_STATS64])
		return;
	s = iface_seen_get(i->ifi_index);
	memcpy(&s->stats, nla_data(tb[IFLA_STATS64]),
	       MIN(sizeof(s->stats), (size_t)nla_len(tb[IFLA_STATS64])));
	fast_carried_add(i->ifi_index, &s->stats);
}

int iface_read_counters(void)
{
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC };

	return kquery_all(rtmsg_new(RTM_GETLINK, 0, &i, sizeof(i), RTMSG_SIZE), take_counters,
			  NULL);
}

static void sample_one(struct iface_seen *s, uint64_t now)
{
	const struct rtnl_link_stats64 *a = &s->sampled, *b = &s->stats;
	double sec = (double)(now - s->sampled_ns) / (double)NSEC_PER_SEC;
	double keep = exp(-sec / RATE_WINDOW_SEC);
	double per[4] = { (double)(b->rx_bytes - a->rx_bytes) * 8,
			  (double)(b->rx_packets - a->rx_packets),
			  (double)(b->tx_bytes - a->tx_bytes) * 8,
			  (double)(b->tx_packets - a->tx_packets) };

	for (int i = 0; i < 4 && s->sampled_ns; i++)
		s->rate[i] = s->rate[i] * keep + per[i] / sec * (1 - keep);
	s->sampled = s->stats;
	s->sampled_ns = now;
}

static void sample(evutil_socket_t fd, short what, void *arg)
{
	uint64_t now = rtr_now_ns();

	if (iface_read_counters())
		return;
	for (struct iface_seen *s = seen; s; s = s->next) {
		const struct shadow_link *l = shadow_link_by_index(s->ifindex);

		sample_one(s, now);
		if (s->down_untold && l)
			log_state(iface_operator_name(l->name), false);
		s->down_untold = false;
	}
}

static int init(void)
{
	struct timeval tv = { .tv_sec = RATE_SAMPLE_SEC };

	observed(SHADOW_LINK);
	sampler = event_new(cmd_base(), -1, EV_PERSIST, sample, NULL);
	event_add(sampler, &tv);
	sample(-1, 0, NULL);
	return 0;
}

static void fini(void)
{
	if (sampler)
		event_free(sampler);
	while (seen) {
		struct iface_seen *s = seen;

		seen = s->next;
		free(s);
	}
}

static const struct domain iface_watch_domain = {
	.name = "iface-watch",
	.init = init,
	.fini = fini,
	.observed = observed,
};
RTR_DOMAIN(iface_watch_domain);
