/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/nft_count.h"

#include "nft/nft_count_run.h"
#include "nft/nft_data.h"
#include "nft/nft_kernel.h"
#include "nft/nft_query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Pieces (32 KiB each) in one turn of the loop: about 1 ms. */
#define TURN_PIECES 4
/* A ruleset that changes all the time is read this often in a row at most. */
#define TRIES 5

struct slot {
	uint64_t id; /* 0: free */
	struct nft_count c;
	uint64_t base_packets, base_bytes; /* cleared until here */
};

/* By id, open addressing. */
struct counts {
	struct slot *v;
	size_t n, room;
};

struct waiter {
	void (*done)(void *arg, int error);
	void *arg;
};

enum step { STEP_RULES, STEP_OBJS };

static struct {
	struct event *turn, *sample;
	struct counts now; /* the last whole reading */
	uint64_t read_ns;
	struct waiter *waiters;
	size_t n_waiters;

	/* the reading under way */
	bool reading, asked;
	unsigned tries;
	struct nftq q;
	struct counts next;
	struct nft_ruleset *rs; /* whose tables are read */
	size_t table, chain;
	enum step step;
} n;

/* ---- counts by id ---- */

static struct slot *find(const struct counts *c, uint64_t id)
{
	size_t i = (id * 0x9e3779b97f4a7c15ull) >> 20 & (c->room - 1);

	while (c->v[i].id && c->v[i].id != id)
		i = (i + 1) & (c->room - 1);
	return &c->v[i];
}

static struct slot *get(struct counts *c, uint64_t id)
{
	struct slot *s;

	if (c->n * 2 >= c->room) {
		struct counts old = *c;

		c->room = old.room ? old.room * 2 : 256;
		c->v = xcalloc(c->room, sizeof(*c->v));
		for (size_t i = 0; i < old.room; i++) {
			if (old.v[i].id)
				*find(c, old.v[i].id) = old.v[i];
		}
		free(old.v);
	}
	s = find(c, id);
	if (!s->id) {
		s->id = id;
		c->n++;
	}
	return s;
}

static void counts_fini(struct counts *c)
{
	free(c->v);
	*c = (struct counts){ 0 };
}

static void count(uint64_t id, const struct nlattr *data)
{
	struct nlattr *tb[NFTA_COUNTER_MAX + 1];
	struct slot *s;

	if (!id || !data ||
	    nla_parse_nested(tb, NFTA_COUNTER_MAX, (struct nlattr *)(uintptr_t)data, NULL))
		return;
	s = get(&n.next, id);
	s->c.packets += nftq_u64(tb[NFTA_COUNTER_PACKETS]);
	s->c.bytes += nftq_u64(tb[NFTA_COUNTER_BYTES]);
}

static uint64_t udata_id(const struct nlattr *udata)
{
	return udata ? nft_udata_get(nla_data(udata), (size_t)nla_len(udata), NFT_UDATA_ID) : 0;
}

static void take_rule(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[NFTA_RULE_MAX + 1], *e[NFTA_EXPR_MAX + 1];
	const struct nlattr *a;
	uint64_t id;
	int rem;

	if (!nftq_parse(h, tb, NFTA_RULE_MAX) || !tb[NFTA_RULE_EXPRESSIONS])
		return;
	id = udata_id(tb[NFTA_RULE_USERDATA]);
	if (!id)
		return;
	nla_for_each_nested(a, tb[NFTA_RULE_EXPRESSIONS], rem) {
		if (!nla_parse_nested(e, NFTA_EXPR_MAX, (struct nlattr *)(uintptr_t)a, NULL) &&
		    !strcmp(nftq_text(e[NFTA_EXPR_NAME]), "counter"))
			count(id, e[NFTA_EXPR_DATA]);
	}
}

static void take_obj(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[NFTA_OBJ_MAX + 1];

	if (nftq_parse(h, tb, NFTA_OBJ_MAX) && nftq_u32(tb[NFTA_OBJ_TYPE]) == NFT_OBJECT_COUNTER)
		count(udata_id(tb[NFTA_OBJ_USERDATA]), tb[NFTA_OBJ_DATA]);
}

/* ---- a reading ---- */

static void turn_soon(void)
{
	static const struct timeval now = { 0, 0 };

	evtimer_add(n.turn, &now);
}

static void answer(int error)
{
	struct waiter *w = n.waiters;
	size_t k = n.n_waiters;

	/* Who is called may ask again, or forget another. */
	n.waiters = NULL;
	n.n_waiters = 0;
	for (size_t i = 0; i < k; i++)
		w[i].done(w[i].arg, error);
	free(w);
}

/* Dates the hits: what grew since the last reading. A counter that is smaller began anew. */
static void compare(void)
{
	uint64_t now = rtr_now_ns();

	for (size_t i = 0; i < n.next.room; i++) {
		struct slot *s = &n.next.v[i];
		const struct slot *old = s->id && n.now.room ? find(&n.now, s->id) : NULL;

		if (!s->id)
			continue;
		if (old && old->id && old->c.packets <= s->c.packets) {
			s->base_packets = old->base_packets;
			s->base_bytes = old->base_bytes;
			s->c.last_hit_ns = old->c.last_hit_ns;
		}
		if (s->c.packets >
		    (old && old->id && old->c.packets <= s->c.packets ? old->c.packets : 0))
			s->c.last_hit_ns = now;
	}
}

static void end(int error)
{
	n.reading = false;
	nftq_close(&n.q);
	n.rs = nft_ruleset_unref(n.rs);
	if (!error) {
		compare();
		counts_fini(&n.now);
		n.now = n.next;
		n.next = (struct counts){ 0 };
		n.read_ns = rtr_now_ns();
	}
	counts_fini(&n.next);
	answer(error);
}

static void begin(void)
{
	int r = nftq_open(&n.q);

	counts_fini(&n.next);
	n.asked = false;
	n.table = n.chain = 0;
	n.step = STEP_RULES;
	if (r)
		end(r);
	else
		turn_soon();
}

/* Rules are asked for by chains that have some that count: the kernel looks for where it was, in a
 * table of 20,000 rules, for each piece of its answer. NULL: no more. */
static const struct nft_chain *counting_chain(const struct nft_table *t)
{
	const struct nft_nodes *m = &t->nodes[NFT_CHAIN];

	for (; n.chain < m->n; n.chain++) {
		const struct nft_chain *c = (const void *)m->v[n.chain];

		if (c->counts)
			return c;
	}
	return NULL;
}

static int ask(const struct nft_table *t)
{
	const struct nft_chain *c = n.step == STEP_RULES ? counting_chain(t) : NULL;

	if (n.step == STEP_RULES && !c) {
		n.chain = 0;
		n.step = STEP_OBJS;
	}
	n.asked = true;
	return nftq_dump(&n.q, c ? NFT_MSG_GETRULE : NFT_MSG_GETOBJ, t->family, t->name,
			 c ? c->node.name : NULL);
}

/* The next question, or the next piece of its answer. 1: go on, 0: all is read, -errno. */
static int go_on(void)
{
	int r;

	if (n.table == n.rs->n)
		return 0;
	if (!n.asked) {
		r = ask(n.rs->tables[n.table]);
		return r ? r : 1;
	}
	r = nftq_step(&n.q, n.step == STEP_RULES ? take_rule : take_obj, NULL);
	if (r)
		return r;
	n.asked = false;
	if (n.step == STEP_RULES) {
		n.chain++;
	} else {
		n.step = STEP_RULES;
		n.table++;
	}
	return 1;
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	int r = 1;

	for (unsigned i = 0; r > 0 && i < 2 * TURN_PIECES; i++)
		r = go_on();
	if (r > 0) {
		turn_soon();
	} else if (r == -EINTR && ++n.tries < TRIES) {
		nftq_close(&n.q);
		begin();
	} else {
		end(r);
	}
}

static void start(void)
{
	n.reading = true;
	n.tries = 0;
	n.rs = nft_installed();
	if (n.rs)
		begin();
	else
		end(-EAGAIN);
}

static void on_sample(evutil_socket_t fd, short what, void *arg)
{
	if (!n.reading)
		start();
}

/* ---- public ---- */

void nft_count_read(void (*done)(void *arg, int error), void *arg)
{
	if (!n.turn) {
		done(arg, -ENODEV);
		return;
	}
	if (!n.reading && n.read_ns &&
	    rtr_now_ns() - n.read_ns < NFT_COUNT_FRESH_MS * NSEC_PER_MSEC) {
		done(arg, 0);
		return;
	}
	n.waiters = xrealloc(n.waiters, (n.n_waiters + 1) * sizeof(*n.waiters));
	n.waiters[n.n_waiters++] = (struct waiter){ done, arg };
	if (!n.reading)
		start();
}

static void ignore(void *arg, int error)
{
}

void nft_count_forget(void *arg)
{
	for (size_t i = 0; i < n.n_waiters; i++) {
		if (n.waiters[i].arg == arg)
			n.waiters[i].done = ignore;
	}
}

struct nft_count nft_count_get(uint64_t id)
{
	const struct slot *s = n.now.room ? find(&n.now, id) : NULL;
	struct nft_count c = { 0 };

	if (!s || !s->id)
		return c;
	c = s->c;
	c.packets -= s->base_packets;
	c.bytes -= s->base_bytes;
	if (!c.packets)
		c.last_hit_ns = 0;
	return c;
}

void nft_count_clear(uint64_t id)
{
	for (size_t i = 0; i < n.now.room; i++) {
		struct slot *s = &n.now.v[i];

		if (!s->id || (id && s->id != id))
			continue;
		s->base_packets = s->c.packets;
		s->base_bytes = s->c.bytes;
	}
}

void nft_count_init(struct event_base *base)
{
	const struct timeval every = { .tv_sec = NFT_COUNT_SAMPLE_SEC };

	memset(&n, 0, sizeof(n));
	n.q.fd = -1;
	n.turn = evtimer_new(base, on_turn, NULL);
	n.sample = event_new(base, -1, EV_PERSIST, on_sample, NULL);
	event_add(n.sample, &every);
}

void nft_count_fini(void)
{
	if (!n.turn)
		return;
	event_free(n.turn);
	event_free(n.sample);
	n.turn = NULL;
	if (n.reading)
		end(-ECANCELED);
	counts_fini(&n.now);
}
