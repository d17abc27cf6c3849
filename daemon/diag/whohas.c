/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "diag/whohas.h"

#include "kernel/shadow.h"
#include "neigh/dad.h"
#include "rtr/arpd.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

/* rtr-arpd's queue is full: it takes some hundred questions at once. */
#define FULL_MS 5

struct whohas {
	LIST_ENTRY(whohas) link;
	uint32_t serial;
	struct rtr_addr target;
	int *links; /* to ask, and how far that got */
	size_t n_links, at;
	bool anonymous; /* the second round */
	struct event *more, *again, *end;
	whohas_fn done;
	void *arg;
	struct whohas_answer v[WHOHAS_MAX];
	size_t n;
};

static LIST_HEAD(, whohas) open_ones = LIST_HEAD_INITIALIZER(open_ones);
static uint32_t last_serial;

static bool asked_here(const struct shadow_link *l)
{
	const struct shadow_link *m = l->master ? shadow_link_by_index(l->master) : NULL;

	/* Of a bridge or a channel its own link is asked, not its ports. */
	return l->arptype == ARPHRD_ETHER && l->has_mac && shadow_link_is_up(l) &&
	       !(l->flags & (IFF_NOARP | IFF_LOOPBACK)) && (!m || !strcmp(m->kind, "vrf"));
}

/* ---- questions ---- */

/* The link's address of the target's subnet, else its first one (IPv6: its link-local one). */
static bool own_address(const struct shadow_link *l, const struct rtr_addr *target, uint8_t ret[16])
{
	bool found = false;

	for (size_t i = l->n_addrs; i-- > 0;) {
		const struct rtr_prefix *p = &l->addrs[i].addr;
		struct rtr_prefix net = rtr_prefix_network(*p);
		bool v6 = p->addr.family == AF_INET6, in = rtr_prefix_contains(&net, target);

		if (p->addr.family != target->family ||
		    (l->addrs[i].flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) ||
		    (v6 && !in && !rtr_addr_is_linklocal(&p->addr)))
			continue;
		memcpy(ret, p->addr.b, 16);
		found = true;
		if (in)
			return true;
	}
	return found;
}

static int ask(const struct whohas *w, const struct shadow_link *l)
{
	struct arpd_req q = { .op = ARPD_ASK,
			      .family = w->target.family,
			      .ifindex = l->ifindex,
			      .serial = w->serial };

	memcpy(q.addr, w->target.b, sizeof(q.addr));
	memcpy(q.mac, l->mac, sizeof(q.mac));
	/* IPv4: a question without a sender's address is answered by hosts of other subnets, too.
	 * IPv6: a solicitation without one would be a probe for duplicates. */
	if ((w->target.family == AF_INET6 || !w->anonymous) &&
	    !own_address(l, &w->target, q.sender) && w->target.family == AF_INET6)
		return 0;
	return dad_ask(&q);
}

static void ask_on(struct whohas *w)
{
	static const struct timeval soon = { .tv_usec = FULL_MS * 1000 };

	for (; w->at < w->n_links; w->at++) {
		const struct shadow_link *l = shadow_link_by_index(w->links[w->at]);

		if (!l || ask(w, l) != -EAGAIN)
			continue;
		event_add(w->more, &soon);
		return;
	}
}

static void on_more(evutil_socket_t fd, short what, void *arg)
{
	ask_on(arg);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct whohas *w = arg;

	w->at = 0;
	w->anonymous = true;
	ask_on(w);
}

/* ---- answers ---- */

static bool is_ours(const uint8_t mac[6])
{
	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l)) {
		if (l->has_mac && !memcmp(l->mac, mac, 6))
			return true;
	}
	return false;
}

static void take(struct whohas *w, int ifindex, const uint8_t mac[6])
{
	const struct shadow_link *l = shadow_link_by_index(ifindex);

	/* Ports show the frames of their bridge once more. */
	if (!l || !asked_here(l) || is_ours(mac))
		return;
	for (size_t i = 0; i < w->n; i++) {
		if (w->v[i].ifindex == ifindex && !memcmp(w->v[i].mac, mac, 6))
			return;
	}
	if (w->n == WHOHAS_MAX)
		return;
	w->v[w->n].ifindex = ifindex;
	memcpy(w->v[w->n++].mac, mac, 6);
}

static void on_answer(const struct arpd_event *e)
{
	struct whohas *w;

	LIST_FOREACH(w, &open_ones, link)
	{
		if (w->serial == e->serial)
			take(w, e->ifindex, e->mac);
	}
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
	struct whohas *w = arg;

	event_del(w->more);
	w->done(w->arg, w->v, w->n);
}

struct whohas *whohas_new(struct event_base *base, const struct rtr_addr *target, whohas_fn done,
			  void *arg, int *ret_error)
{
	static const struct timeval half = { .tv_usec = WHOHAS_WAIT_MS * 500 },
				    whole = { .tv_usec = WHOHAS_WAIT_MS * 1000 };
	struct arpd_req nothing = { .op = ARPD_ASK_END };
	struct whohas *w;

	/* Of a question that there is not; does anybody hear it? */
	*ret_error = dad_ask(&nothing);
	if (*ret_error == -ENOTCONN)
		return NULL;
	w = xcalloc(1, sizeof(*w));
	*w = (struct whohas){
		.serial = ++last_serial, .target = *target, .done = done, .arg = arg
	};
	w->links = xcalloc(shadow_n_links() + 1, sizeof(*w->links));
	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l)) {
		if (asked_here(l))
			w->links[w->n_links++] = l->ifindex;
	}
	dad_on_answer(on_answer);
	LIST_INSERT_HEAD(&open_ones, w, link);
	w->more = evtimer_new(base, on_more, w);
	w->again = evtimer_new(base, on_again, w);
	w->end = evtimer_new(base, on_end, w);
	event_add(w->again, &half);
	event_add(w->end, &whole);
	ask_on(w);
	return w;
}

struct whohas *whohas_free(struct whohas *w)
{
	struct arpd_req q = { .op = ARPD_ASK_END };

	if (!w)
		return NULL;
	q.serial = w->serial;
	(void)dad_ask(&q);
	LIST_REMOVE(w, link);
	event_free(w->more);
	event_free(w->again);
	event_free(w->end);
	free(w->links);
	free(w);
	return NULL;
}
