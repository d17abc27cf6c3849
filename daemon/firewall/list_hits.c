/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/list_hits.h"

#include "fastpath/fast_hits.h"
#include "firewall/list_compile.h"
#include "id_table.h"
#include "nft/nft_query.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <netlink/attr.h>
#include <stdlib.h>
#include <string.h>

struct slot {
	uint64_t id; /* pol_id */
	uint64_t packets, bytes, last_ns;
	uint64_t base_packets, base_bytes; /* when they were cleared */
	bool cleared;
};

struct asker {
	void (*done)(void *arg, int error);
	void *arg;
};

static struct {
	struct nftq q;
	struct event *turn;
	bool reading;
	int error;  /* the question could not be put */
	int answer; /* the kernel's part; the fast plane's comes behind it */
	uint64_t now;
	struct asker *askers;
	size_t n_askers;
	struct id_table slots;
} hits = { .q = { .fd = -1 }, .slots = ID_TABLE_INIT(struct slot) };

static void take_expr(const struct nlattr *a, struct slot *s)
{
	struct nlattr *tb[NFTA_EXPR_MAX + 1], *d[NFTA_COUNTER_MAX + 1];

	if (nla_parse_nested(tb, NFTA_EXPR_MAX, (struct nlattr *)(uintptr_t)a, NULL) ||
	    !tb[NFTA_EXPR_DATA] || strcmp(nftq_text(tb[NFTA_EXPR_NAME]), "counter") != 0 ||
	    nla_parse_nested(d, NFTA_COUNTER_MAX, tb[NFTA_EXPR_DATA], NULL))
		return;
	s->packets = nftq_u64(d[NFTA_COUNTER_PACKETS]);
	s->bytes = nftq_u64(d[NFTA_COUNTER_BYTES]);
}

static void take_element(const struct nlattr *a)
{
	struct nlattr *tb[NFTA_SET_ELEM_MAX + 1], *key[NFTA_DATA_MAX + 1];
	struct slot *s;
	uint64_t ago;
	pol_id id;

	if (nla_parse_nested(tb, NFTA_SET_ELEM_MAX, (struct nlattr *)(uintptr_t)a, NULL) ||
	    !tb[NFTA_SET_ELEM_KEY] ||
	    nla_parse_nested(key, NFTA_DATA_MAX, tb[NFTA_SET_ELEM_KEY], NULL) ||
	    !key[NFTA_DATA_VALUE] || nla_len(key[NFTA_DATA_VALUE]) != (int)sizeof(id))
		return;
	memcpy(&id, nla_data(key[NFTA_DATA_VALUE]), sizeof(id));
	if (!id)
		return;
	s = id_table_take(&hits.slots, id);
	if (tb[NFTA_SET_ELEM_EXPR])
		take_expr(tb[NFTA_SET_ELEM_EXPR], s);
	ago = LC_HITS_TIMEOUT_MS - nftq_u64(tb[NFTA_SET_ELEM_EXPIRATION]);
	ago *= NSEC_PER_MSEC;
	s->last_ns = hits.now > ago ? hits.now - ago : 1;
	/* The kernel's element was made anew. */
	if (s->packets < s->base_packets)
		s->base_packets = s->base_bytes = 0;
}

static void take_message(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[NFTA_SET_ELEM_LIST_MAX + 1], *e;
	int left;

	if (!nftq_parse(h, tb, NFTA_SET_ELEM_LIST_MAX) || !tb[NFTA_SET_ELEM_LIST_ELEMENTS])
		return;
	nla_for_each_nested(e, tb[NFTA_SET_ELEM_LIST_ELEMENTS], left)
		take_element(e);
}

static void answer(int error)
{
	struct asker *v = hits.askers;
	size_t n = hits.n_askers;

	hits.askers = NULL;
	hits.n_askers = 0;
	hits.reading = false;
	for (size_t i = 0; i < n; i++)
		if (v[i].done)
			v[i].done(v[i].arg, error);
	free(v);
}

static void fast_read(void)
{
	answer(hits.answer);
}

static void kernel_read(int error)
{
	hits.answer = error;
	if (!fast_hits_read(fast_read))
		answer(error);
}

static void begin(void)
{
	struct timeval soon = { 0 };

	hits.now = rtr_now_ns();
	hits.error = nftq_dump(&hits.q, NFT_MSG_GETSETELEM, NFPROTO_INET, nft_table_name(),
			       LC_HITS);
	event_add(hits.turn, &soon);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct timeval soon = { 0 };
	int r = hits.error ? hits.error : nftq_step(&hits.q, take_message, NULL);

	if (r > 0)
		event_add(hits.turn, &soon);
	else if (r == -EINTR)
		begin(); /* a commit came between */
	else
		kernel_read(r == -ENOENT ? 0 : r); /* no list is in use */
}

void lc_hits_read(void (*done)(void *arg, int error), void *arg)
{
	hits.askers = xrealloc(hits.askers, (hits.n_askers + 1) * sizeof(*hits.askers));
	hits.askers[hits.n_askers++] = (struct asker){ done, arg };
	if (!hits.reading) {
		hits.reading = true;
		begin();
	}
}

void lc_hits_forget(void *arg)
{
	for (size_t i = 0; i < hits.n_askers; i++)
		if (hits.askers[i].arg == arg)
			hits.askers[i].done = NULL;
}

struct lc_hit lc_hits_get(pol_id id)
{
	const struct slot *s = id_table_find(&hits.slots, id);
	struct fast_hit f = fast_hits_get(id);
	struct lc_hit h = { .packets = f.hits, .bytes = f.bytes, .last_ns = f.last_ns };

	h.fast = f.hits;
	if (!s || (s->cleared && s->packets == s->base_packets))
		return h;
	h.packets += s->packets - s->base_packets;
	h.bytes += s->bytes - s->base_bytes;
	h.last_ns = MAX(h.last_ns, s->last_ns);
	return h;
}

void lc_hits_clear(pol_id id)
{
	struct slot *s = id_table_find(&hits.slots, id);

	if (s) {
		s->base_packets = s->packets;
		s->base_bytes = s->bytes;
		s->cleared = true;
	}
	fast_hits_clear(id);
}

int lc_hits_init(struct event_base *base)
{
	int r = nftq_open(&hits.q);

	if (r)
		return r;
	hits.turn = evtimer_new(base, on_turn, NULL);
	return 0;
}

void lc_hits_fini(void)
{
	if (hits.turn)
		event_free(hits.turn);
	nftq_close(&hits.q);
	free(hits.askers);
	id_table_fini(&hits.slots);
	memset(&hits, 0, sizeof(hits));
	hits.q.fd = -1;
	hits.slots.size = sizeof(struct slot);
}
