/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Echo requests to the next hops of our default routes, one a second. */
#include "cli/command.h"
#include "diag/probe.h"
#include "health/health.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "neigh/neigh_list.h"
#include "system/global.h"
#include "txn/txn.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define PROBE_MS 1000
/* An echo request as ping's, without payload to speak of. */
#define PROBE_SIZE 64
/* Before so many answers there is nothing to say; before so many losses from the start, either:
 * addresses and links are young then. */
#define MIN_PROBES 2
#define MIN_LOSSES 6

struct gateway {
	struct rtr_addr addr;
	int ifindex;
	struct probe *probe;
	uint32_t lost;                  /* bit i: the probe i seconds ago */
	uint64_t rtt_us[HEALTH_WINDOW]; /* by probe number */
	uint64_t n;
	bool answered, seen;
	struct gateway *next;
};

static struct gateway *gateways;
static struct event *every;

static void on_answer(void *arg, enum probe_answer a, uint64_t us, const struct rtr_addr *from,
		      unsigned mtu)
{
	struct gateway *g = arg;
	bool good = a == PROBE_REPLY;

	/* What was lost before is of a link that was not ready. */
	if (good && !g->answered)
		g->n = g->lost = 0;
	g->rtt_us[g->n++ % HEALTH_WINDOW] = good ? us : 0;
	g->lost = g->lost << 1 | !good;
	g->answered |= good;
}

static void gateway_free(struct gateway *g)
{
	if (g->probe)
		probe_free(g->probe);
	free(g);
}

static void send_probe(struct gateway *g)
{
	struct probe_opts o = { .kind = PROBE_ECHO, .dst = g->addr, .size = PROBE_SIZE };
	int e;

	if (rtr_addr_is_linklocal(&g->addr))
		o.ifindex = g->ifindex;
	/* One for all seconds: each has an identifier of its own, and each identifier is a
	 * connection for a minute. */
	if (!g->probe)
		g->probe = probe_new(cmd_base(), &o, on_answer, g, &e);
	if (!g->probe || probe_send(g->probe, 0, PROBE_MS - 50))
		on_answer(g, PROBE_TIMEOUT, 0, &o.src, 0);
}

static void add(const struct shadow_hop *h)
{
	size_t n = 0;

	for (struct gateway *g = gateways; g; g = g->next, n++) {
		if (g->ifindex == h->ifindex && !rtr_addr_cmp(&g->addr, &h->gw)) {
			g->seen = true;
			return;
		}
	}
	if (n < HEALTH_MAX_GATEWAYS) {
		struct gateway *g = xcalloc(1, sizeof(*g));

		*g = (struct gateway){
			.addr = h->gw, .ifindex = h->ifindex, .seen = true, .next = gateways
		};
		gateways = g;
	}
}

/* Whoever wants no traffic but his own gets none. */
static bool wanted(void)
{
	const struct global *g = (const void *)txn_running();

	return g && g->health_probes;
}

static void find_gateways(void)
{
	for (struct gateway *g = gateways; g; g = g->next)
		g->seen = false;
	for (const struct shadow_route *r = shadow_route_next(NULL); r && wanted();
	     r = shadow_route_next(r)) {
		if (r->table != RT_TABLE_MAIN || r->dst.len || r->type != RTN_UNICAST)
			continue;
		for (unsigned i = 0; i < r->n_hops; i++) {
			if (r->hops[i].gw.family)
				add(&r->hops[i]);
		}
	}
	for (struct gateway **p = &gateways; *p;) {
		struct gateway *g = *p;

		if (g->seen) {
			p = &g->next;
			continue;
		}
		*p = g->next;
		gateway_free(g);
	}
}

static void on_second(evutil_socket_t fd, short what, void *arg)
{
	find_gateways();
	for (struct gateway *g = gateways; g; g = g->next)
		send_probe(g);
}

/* Does the kernel know that it is not there? */
static bool is_unresolved(const struct gateway *g)
{
	struct neigh_list l = { .family = g->addr.family, .addr = g->addr, .ifindex = g->ifindex };
	bool bad = false;

	if (!neigh_list_read(&l, false) && l.n)
		bad = l.v[0].state & (NUD_FAILED | NUD_INCOMPLETE);
	neigh_list_fini(&l);
	return bad;
}

static void put_one(const struct gateway *g)
{
	unsigned n = (unsigned)MIN(g->n, (uint64_t)HEALTH_WINDOW), lost = 0, good = 0;
	const struct shadow_link *l = shadow_link_by_index(g->ifindex);
	char name[sizeof(((struct health_item *)0)->name)], addr[RTR_ADDR_STRLEN];
	uint64_t sum = 0;

	snprintf(name, sizeof(name), "%s %s", rtr_addr_str(&g->addr, addr),
		 l ? iface_operator_name(l->name) : "");
	for (unsigned i = 0; i < n; i++) {
		lost += g->lost >> i & 1;
		good += g->rtt_us[i] > 0;
		sum += g->rtt_us[i];
	}
	if (n < (g->answered ? MIN_PROBES : MIN_LOSSES))
		return;
	/* Some never answer an echo; that their link-layer address is unknown says more. */
	if (!g->answered && !is_unresolved(g))
		health_put_unknown(HEALTH_GW_LOSS, name, "answers no echo requests");
	else
		health_put(HEALTH_GW_LOSS, name, 100.0 * lost / n, g->answered ? "" : "unresolved");
	if (good)
		health_put(HEALTH_GW_LATENCY, name, (double)sum / good / 1000, "");
}

void health_gateway_put(void)
{
	if (!wanted())
		health_put_unknown(HEALTH_GW_LOSS, "", "not asked: health probes");
	for (const struct gateway *g = gateways; g; g = g->next)
		put_one(g);
}

int health_gateway_init(void)
{
	static const struct timeval second = { .tv_usec = 0, .tv_sec = PROBE_MS / 1000 };

	every = event_new(cmd_base(), -1, EV_PERSIST, on_second, NULL);
	return every && !event_add(every, &second) ? 0 : -1;
}

void health_gateway_fini(void)
{
	while (gateways) {
		struct gateway *g = gateways;

		gateways = g->next;
		gateway_free(g);
	}
	if (every)
		event_free(every);
	every = NULL;
}
