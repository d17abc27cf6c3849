/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "route/resolve.h"

#include "hash.h"

#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

/* A next hop that was looked up. */
struct resolve_memo {
	struct rtr_addr nexthop; /* family 0 = free */
	uint8_t depth, n;
	struct shadow_hop *hops; /* of one, in place */
	struct shadow_hop one;
};

static const struct static_route *line_at(const struct resolve *r, size_t i)
{
	return (const void *)r->routes->v[i];
}

/* ---- tables ---- */

static int net_cmp(const void *a, const void *b)
{
	const struct resolve_net *x = a, *y = b;
	int c = rtr_prefix_cmp(&x->net, &y->net);

	return c ? c : (x->ifindex > y->ifindex) - (x->ifindex < y->ifindex);
}

static unsigned list_lens(const bool have[129], uint8_t lens[129])
{
	unsigned n = 0;

	for (int len = 128; len >= 0; len--) {
		if (have[len])
			lens[n++] = (uint8_t)len;
	}
	return n;
}

void resolve_init(struct resolve *r, const struct recvec *routes, int (*link_up)(const char *))
{
	*r = (struct resolve){ .routes = routes, .link_up = link_up };
}

void resolve_add_net(struct resolve *r, const struct rtr_prefix *net, const struct rtr_addr *own,
		     int ifindex)
{
	if (r->n_nets == r->nets_room) {
		r->nets_room = r->nets_room ? r->nets_room * 2 : 64;
		r->nets = xrealloc(r->nets, r->nets_room * sizeof(*r->nets));
	}
	r->nets[r->n_nets++] = (struct resolve_net){ .net = rtr_prefix_network(*net),
						     .own = *own,
						     .ifindex = ifindex };
}

void resolve_ready(struct resolve *r)
{
	bool nets[129] = { 0 }, routes[129] = { 0 };

	if (r->n_nets)
		qsort(r->nets, r->n_nets, sizeof(*r->nets), net_cmp);
	for (size_t i = 0; i < r->n_nets; i++)
		nets[r->nets[i].net.len] = true;
	for (size_t i = 0; i < r->routes->len; i++)
		routes[line_at(r, i)->dst.len] = true;
	routes[0] = false; /* the default route resolves nothing */
	r->n_net_lens = list_lens(nets, r->net_lens);
	r->n_route_lens = list_lens(routes, r->route_lens);
	r->memo_room = 64;
	r->memo = xcalloc(r->memo_room, sizeof(*r->memo));
}

void resolve_fini(struct resolve *r)
{
	for (size_t i = 0; i < r->memo_room; i++) {
		if (r->memo[i].hops != &r->memo[i].one)
			free(r->memo[i].hops);
	}
	free(r->memo);
	free(r->nets);
	*r = (struct resolve){ 0 };
}

/* ---- memory of next hops ---- */

static struct resolve_memo *memo_slot(struct resolve *r, const struct rtr_addr *a, unsigned depth)
{
	uint64_t h = hash_mix64(((uint64_t)a->w_be[0] << 32 | a->w_be[1]) + depth +
				((uint64_t)a->w_be[3] << 32 | a->w_be[2]) * 0x9e3779b97f4a7c15ull);
	size_t i = h & (r->memo_room - 1);

	while (r->memo[i].nexthop.family &&
	       (r->memo[i].depth != depth || rtr_addr_cmp(&r->memo[i].nexthop, a)))
		i = (i + 1) & (r->memo_room - 1);
	return &r->memo[i];
}

static void memo_grow(struct resolve *r)
{
	struct resolve_memo *old = r->memo;
	size_t n = r->memo_room;

	r->memo_room *= 4;
	r->memo = xcalloc(r->memo_room, sizeof(*old));
	for (size_t i = 0; i < n; i++) {
		struct resolve_memo *m;

		if (!old[i].nexthop.family)
			continue;
		m = memo_slot(r, &old[i].nexthop, old[i].depth);
		*m = old[i];
		if (old[i].hops == &old[i].one)
			m->hops = &m->one;
	}
	free(old);
}

/* ---- looking up ---- */

/* First net equal to p, or n_nets. */
static size_t net_find(const struct resolve *r, const struct rtr_prefix *p)
{
	size_t lo = 0, hi = r->n_nets;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (rtr_prefix_cmp(&r->nets[mid].net, p) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < r->n_nets && !rtr_prefix_cmp(&r->nets[lo].net, p) ? lo : r->n_nets;
}

static size_t route_find(const struct resolve *r, const struct rtr_prefix *p)
{
	size_t lo = 0, hi = r->routes->len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (rtr_prefix_cmp(&line_at(r, mid)->dst, p) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < r->routes->len && !rtr_prefix_cmp(&line_at(r, lo)->dst, p) ? lo
									       : r->routes->len;
}

/* ONLINK tells the kernel not to look for a connected network that holds the gateway: the operator
 * named the interface, or the network is reached by another route of ours. */
static uint8_t hop_flags(const struct resolve *r, const struct rtr_addr *gw, int ifindex)
{
	if (rtr_addr_is_linklocal(gw) && gw->family == AF_INET6)
		return 0;
	for (unsigned l = 0; l < r->n_net_lens; l++) {
		struct rtr_prefix p = { .addr = *gw, .len = r->net_lens[l] };

		if (p.len > rtr_family_bits(gw->family))
			continue;
		p = rtr_prefix_network(p);
		for (size_t i = net_find(r, &p);
		     i < r->n_nets && !rtr_prefix_cmp(&r->nets[i].net, &p); i++) {
			if (r->nets[i].ifindex == ifindex)
				return 0;
		}
	}
	return RTNH_F_ONLINK;
}

static size_t lookup(struct resolve *r, const struct rtr_addr *nexthop, unsigned depth,
		     struct shadow_hop *hops);

static size_t line_hops(struct resolve *r, const struct static_route *s, unsigned depth,
			struct shadow_hop *hops)
{
	int ifindex;
	size_t n;

	if (route_discards(s))
		return 0;
	if (s->via == ROUTE_VIA_ADDR) {
		n = lookup(r, &s->nexthop, depth, hops);
	} else {
		ifindex = r->link_up(s->ifname);
		if (!ifindex)
			return 0;
		hops[0] = (struct shadow_hop){ .ifindex = ifindex, .gw = s->nexthop };
		if (s->nexthop.family)
			hops[0].flags = hop_flags(r, &s->nexthop, ifindex);
		n = 1;
	}
	return n && r->usable && !r->usable(s, hops, n) ? 0 : n;
}

/* True when p is a connected network: then it decides. Our own address in it is no next hop. The
 * same network on two links (redundant cabling): the first, as the kernel would. */
static bool by_net(struct resolve *r, const struct rtr_prefix *p, const struct rtr_addr *nexthop,
		   struct shadow_hop *hops, size_t *ret_n)
{
	size_t first = net_find(r, p);

	if (first == r->n_nets)
		return false;
	*ret_n = 0;
	for (size_t i = first; i < r->n_nets && !rtr_prefix_cmp(&r->nets[i].net, p); i++) {
		if (!rtr_addr_cmp(&r->nets[i].own, nexthop))
			return true;
	}
	hops[0] = (struct shadow_hop){ .ifindex = r->nets[first].ifindex, .gw = *nexthop };
	*ret_n = 1;
	return true;
}

/* By other static routes: those of the smallest distance that resolve. */
static size_t by_route(struct resolve *r, const struct rtr_prefix *p,
		       const struct rtr_addr *nexthop, unsigned depth, struct shadow_hop *hops)
{
	size_t from = route_find(r, p), to, n = 0;
	int above = -1;
	uint8_t d;

	if (from == r->routes->len || depth >= RESOLVE_MAX_DEPTH)
		return 0;
	to = resolve_prefix_end(r->routes, from);
	while (!n && (d = resolve_next_distance(r->routes, from, to, above)) && d < 255) {
		for (size_t i = from; i < to; i++) {
			struct shadow_hop h[RESOLVE_MAX_HOPS];
			size_t m;

			if (route_distance(line_at(r, i)) != d)
				continue;
			m = line_hops(r, line_at(r, i), depth + 1, h);
			for (size_t k = 0; k < m && n < RESOLVE_MAX_HOPS; k++) {
				/* A route out of an interface: the next hop itself is there. */
				if (!h[k].gw.family) {
					h[k].gw = *nexthop;
					h[k].flags = hop_flags(r, nexthop, h[k].ifindex);
				}
				hops[n++] = h[k];
			}
		}
		above = d;
	}
	return n;
}

static size_t search(struct resolve *r, const struct rtr_addr *nexthop, unsigned depth,
		     struct shadow_hop *hops)
{
	unsigned i = 0, j = 0;

	while (i < r->n_net_lens || j < r->n_route_lens) {
		int a = i < r->n_net_lens ? r->net_lens[i] : -1;
		int b = j < r->n_route_lens ? r->route_lens[j] : -1;
		struct rtr_prefix p = { .addr = *nexthop, .len = (uint8_t)MAX(a, b) };
		size_t n = 0;

		if (p.len <= rtr_family_bits(nexthop->family)) {
			p = rtr_prefix_network(p);
			/* Of the same length the connected one counts (distance 0). */
			if (a >= b && by_net(r, &p, nexthop, hops, &n))
				return n;
			if (b >= a)
				n = by_route(r, &p, nexthop, depth, hops);
			if (n)
				return n;
		}
		i += a >= b;
		j += b >= a;
	}
	return 0;
}

static size_t lookup(struct resolve *r, const struct rtr_addr *nexthop, unsigned depth,
		     struct shadow_hop *hops)
{
	struct resolve_memo *m = memo_slot(r, nexthop, depth);
	size_t n;

	if (m->nexthop.family) {
		memcpy(hops, m->hops, m->n * sizeof(*hops));
		return m->n;
	}
	n = search(r, nexthop, depth, hops);
	if (++r->n_memo * 2 > r->memo_room)
		memo_grow(r);
	m = memo_slot(r, nexthop, depth);
	m->nexthop = *nexthop;
	m->depth = (uint8_t)depth;
	m->n = (uint8_t)n;
	m->hops = n > 1 ? xmalloc(n * sizeof(*hops)) : &m->one;
	memcpy(m->hops, hops, n * sizeof(*hops));
	return n;
}

/* ---- public ---- */

size_t resolve_line(struct resolve *r, const struct static_route *line,
		    struct shadow_hop hops[RESOLVE_MAX_HOPS])
{
	return line_hops(r, line, 0, hops);
}

const struct static_route *resolve_holder(const struct resolve *r, const struct rtr_addr *a)
{
	for (unsigned i = 0; i <= r->n_route_lens; i++) {
		uint8_t len = i < r->n_route_lens ? r->route_lens[i] : 0;
		size_t at = r->routes->len;

		if (len <= rtr_family_bits(a->family)) {
			struct rtr_prefix p = { .addr = *a, .len = len };

			p = rtr_prefix_network(p);
			at = route_find(r, &p);
		}
		if (at < r->routes->len)
			return line_at(r, at);
	}
	return NULL;
}

size_t resolve_prefix_end(const struct recvec *routes, size_t from)
{
	const struct static_route *first = (const void *)routes->v[from];
	size_t i = from + 1;

	while (i < routes->len) {
		const struct static_route *s = (const void *)routes->v[i];

		if (rtr_prefix_cmp(&s->dst, &first->dst))
			break;
		i++;
	}
	return i;
}

uint8_t resolve_next_distance(const struct recvec *routes, size_t from, size_t to, int above)
{
	uint8_t best = 0;

	for (size_t i = from; i < to; i++) {
		uint8_t d = route_distance((const void *)routes->v[i]);

		if (d > above && (!best || d < best))
			best = d;
	}
	return best;
}

size_t resolve_group(struct resolve *r, size_t from, size_t to, uint8_t distance,
		     struct shadow_hop hops[RESOLVE_MAX_HOPS])
{
	size_t n = 0, kept = 0;

	for (size_t i = from; i < to; i++) {
		const struct static_route *s = line_at(r, i);
		struct shadow_hop h[RESOLVE_MAX_HOPS];
		size_t m;

		if (route_distance(s) != distance)
			continue;
		m = line_hops(r, s, 0, h);
		for (size_t k = 0; k < m && n < RESOLVE_MAX_HOPS; k++) {
			hops[n] = h[k];
			hops[n++].weight = s->weight ? s->weight : 1;
		}
	}
	shadow_hops_sort(hops, n);
	for (size_t i = 0; i < n; i++) {
		if (!i || shadow_hop_cmp(&hops[i], &hops[kept - 1]))
			hops[kept++] = hops[i];
	}
	return kept;
}
