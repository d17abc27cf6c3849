/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks of ports that inside hosts have on the fast plane (`ip nat settings port-block`), as
 * rtr-fastpath tells them every other second: one line in the log when a host gets a block and one
 * when it is nobody's again, in place of one for each connection (RFC 6888 REQ-14); show ip nat
 * blocks. A block lives minutes longer than its last flow, so none is missed in between, and the
 * list outlives rtr-fastpath as the flow table does. What hosts have when rtrd begins is told as
 * held: the lines of before may be lost.
 */
#include "conntrack/ct.h"
#include "fastpath/fastpath.h"
#include "nat/nat.h"
#include "system/log.h"
#include "txn/txn.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_SEC 2

struct block {
	struct fastpath_block b;
	time_t since; /* when it was seen first */
};

struct blocks {
	size_t n, room;
	struct block *v;
};

static struct {
	struct event *timer;
	struct fast_ask *ask;
	struct blocks now, coming;
	bool told; /* what hosts had when rtrd began */
	uint64_t allocated, released;
} k;

/* ---- the list ---- */

static int block_cmp(const void *a, const void *b)
{
	const struct fastpath_block *x = &((const struct block *)a)->b;
	const struct fastpath_block *y = &((const struct block *)b)->b;
	int c = (int)x->family - y->family;

	if (!c)
		c = memcmp(x->host, y->host, sizeof(x->host));
	if (!c)
		c = memcmp(x->addr, y->addr, sizeof(x->addr));
	return c ? c : x->lo != y->lo ? (int)x->lo - y->lo : (int)x->hi - y->hi;
}

static void add(struct blocks *to, const struct fastpath_block *b)
{
	if (to->n == to->room) {
		to->room = to->room ? 2 * to->room : 64;
		to->v = xrealloc(to->v, to->room * sizeof(*to->v));
	}
	to->v[to->n++] = (struct block){ .b = *b, .since = time(NULL) };
}

static struct rtr_addr addr_of(const struct fastpath_block *b, const uint8_t *bytes)
{
	struct rtr_addr a = { .family = b->family == 6 ? AF_INET6 : AF_INET };

	memcpy(a.b, bytes, rtr_family_size(a.family));
	return a;
}

static void tell(const struct fastpath_block *b, const char *mnemonic, const char *what)
{
	struct rtr_addr host = addr_of(b, b->host), addr = addr_of(b, b->addr);
	char in[RTR_ADDR_STRLEN], out[RTR_ADDR_STRLEN];

	log_event("NAT", LOG_L_INFO, mnemonic, "Host %s %s ports %u-%u of %s",
		  rtr_addr_str(&host, in), what, b->lo, b->hi, rtr_addr_str(&addr, out));
}

/* Tells the difference; both are in order. */
static void take(void)
{
	struct blocks *was = &k.now, *is = &k.coming, swap = k.now;
	size_t i = 0, n = 0;

	if (is->n)
		qsort(is->v, is->n, sizeof(*is->v), block_cmp);
	while (i < was->n || n < is->n) {
		int c = i == was->n ? 1 : n == is->n ? -1 : block_cmp(&was->v[i], &is->v[n]);

		if (c < 0) {
			tell(&was->v[i++].b, "BLOCK_RELEASED", "has no longer");
			k.released++;
		} else if (c > 0) {
			tell(&is->v[n++].b, k.told ? "BLOCK_ALLOCATED" : "BLOCK_HELD",
			     k.told ? "gets" : "has");
			k.allocated += k.told;
		} else {
			is->v[n++].since = was->v[i++].since;
		}
	}
	k.now = k.coming;
	k.coming = swap;
	k.told = true;
}

/* ---- asking ---- */

static const struct nat_block_conf *line_of(const struct rec *model)
{
	const struct recvec *v = model ? rec_kids(model, &nat_block_type) : NULL;

	return v && v->len ? (const void *)v->v[0] : NULL;
}

static const struct nat_block_conf *line(void)
{
	return line_of(txn_running());
}

/* Before the line there were none. */
static void published(const struct rec *old, const struct rec *new, const char *user,
		      const char *source)
{
	if (old && !line_of(old) && line_of(new))
		k.told = true;
}

static void on_event(void *arg, const struct fastpath_event *e)
{
	if (e->kind != FASTPATH_BLOCK)
		return;
	for (uint32_t i = 0; i < MIN(e->u.blocks.n, (uint32_t)FASTPATH_BLOCKS_MAX); i++)
		add(&k.coming, &e->u.blocks.block[i]);
}

static void on_done(void *arg, bool ok)
{
	k.ask = NULL;
	if (ok)
		take();
	k.coming.n = 0;
}

static void look(evutil_socket_t fd, short what, void *arg)
{
	struct fastpath_req q = { .op = FASTPATH_BLOCKS };

	/* Without the line: until nobody has one any more. Before rtr-fastpath has a policy it
	 * knows of no pool, and hence of no block. */
	if (k.ask || (!line() && !k.now.n) || !fast_seen()->ready || !fast_push_serving())
		return;
	k.ask = fast_ask_events(&q, on_event, on_done, NULL);
}

int nat_blocks_init(void)
{
	k.timer = event_new(cmd_base(), -1, EV_PERSIST, look, NULL);
	if (!k.timer)
		return -1;
	txn_on_publish(published);
	event_add(k.timer, &(struct timeval){ .tv_sec = LOOK_SEC });
	return 0;
}

void nat_blocks_fini(void)
{
	fast_ask_drop(k.ask);
	if (k.timer)
		event_free(k.timer);
	free(k.now.v);
	free(k.coming.v);
	memset(&k, 0, sizeof(k));
}

/* ---- show ip nat blocks ---- */

/* What connections have of the blocks: a bit a port of each. */
struct census {
	struct cmd_ctx *c;
	struct ct_list *dump;
	uint8_t family; /* 4, 6 */
	struct blocks blocks;
	uint64_t **used;
};

static uint64_t *bits_of(struct census *s, size_t i)
{
	const struct fastpath_block *b = &s->blocks.v[i].b;

	if (!s->used[i])
		s->used[i] = xcalloc((b->hi - b->lo) / 64u + 1, sizeof(uint64_t));
	return s->used[i];
}

static int outside_cmp(const void *a, const void *b)
{
	const struct fastpath_block *x = &((const struct block *)a)->b;
	const struct fastpath_block *y = &((const struct block *)b)->b;
	int c = memcmp(x->addr, y->addr, sizeof(x->addr));

	return c ? c : (int)x->lo - y->lo;
}

static void census_each(void *arg, const struct ct_entry *e)
{
	struct census *s = arg;
	struct block key = { .b.lo = e->reply.dport };
	size_t lo = 0, hi = s->blocks.n;

	if (e->reply.dst.family != (s->family == 6 ? AF_INET6 : AF_INET))
		return;
	memcpy(key.b.addr, e->reply.dst.b, rtr_family_size(e->reply.dst.family));
	/* The last that does not begin above it. */
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (outside_cmp(&s->blocks.v[mid], &key) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo && !memcmp(s->blocks.v[lo - 1].b.addr, key.b.addr, sizeof(key.b.addr)) &&
	    key.b.lo <= s->blocks.v[lo - 1].b.hi) {
		unsigned at = key.b.lo - s->blocks.v[lo - 1].b.lo;

		bits_of(s, lo - 1)[at / 64] |= 1ull << at % 64;
	}
}

static unsigned n_used(const struct census *s, size_t i)
{
	const struct fastpath_block *b = &s->blocks.v[i].b;
	unsigned n = 0;

	for (unsigned w = 0; s->used[i] && w <= (b->hi - b->lo) / 64u; w++)
		n += (unsigned)__builtin_popcountll(s->used[i][w]);
	return n;
}

static json_t *block_json(const struct census *s, size_t i)
{
	const struct fastpath_block *b = &s->blocks.v[i].b;
	struct rtr_addr host = addr_of(b, b->host), addr = addr_of(b, b->addr);
	char in[RTR_ADDR_STRLEN], out[RTR_ADDR_STRLEN];

	return json_pack("{s:s,s:s,s:i,s:i,s:i,s:i,s:I}", "host", rtr_addr_str(&host, in),
			 "address", rtr_addr_str(&addr, out), "first", b->lo, "last", b->hi, "size",
			 b->hi - b->lo + 1, "used", (int)n_used(s, i), "age",
			 (json_int_t)(time(NULL) - s->blocks.v[i].since));
}

static json_t *doc_of(const struct census *s)
{
	const struct nat_block_conf *conf = line();
	json_t *list = json_array();
	unsigned used = 0;

	for (size_t i = 0; i < s->blocks.n; i++) {
		json_array_append_new(list, block_json(s, i));
		used += n_used(s, i);
	}
	return json_pack("{s:i,s:i,s:I,s:i,s:I,s:I,s:o}", "size", conf ? conf->size : 0, "limit",
			 conf ? conf->limit : 0, "blocks_held", (json_int_t)s->blocks.n,
			 "ports_used", (int)used, "allocated", (json_int_t)k.allocated, "released",
			 (json_int_t)k.released, "blocks", list);
}

static const char *text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static int number(const json_t *o, const char *key)
{
	return (int)json_integer_value(json_object_get(o, key));
}

static void print(struct cmd_ctx *c, const json_t *doc)
{
	const json_t *list = json_object_get(doc, "blocks"), *o;
	int width = 15; /* of an address; IPv6 is longer */
	size_t i;

	json_array_foreach(list, i, o) {
		width = MAX(width, (int)json_string_length(json_object_get(o, "host")));
		width = MAX(width, (int)json_string_length(json_object_get(o, "address")));
	}
	if (number(doc, "size"))
		cmd_printf(c, "Blocks of %d ports, at most %d a host\n", number(doc, "size"),
			   number(doc, "limit"));
	cmd_printf(c, "%-*s %-*s %-11s %7s %8s\n", width, "Host", width, "Address", "Ports",
		   "In use", "Age s");
	json_array_foreach(list, i, o)
		cmd_printf(c, "%-*s %-*s %5d-%-5d %7d %8d\n", width, text(o, "host"), width,
			   text(o, "address"), number(o, "first"), number(o, "last"),
			   number(o, "used"), number(o, "age"));
}

static void census_end(struct census *s)
{
	struct cmd_ctx *c = s->c;

	for (size_t i = 0; i < s->blocks.n; i++)
		free(s->used[i]);
	free(s->used);
	free(s->blocks.v);
	free(s);
	cmd_done(c);
}

static void census_done(void *arg, int error)
{
	struct census *s = arg;
	json_t *doc = doc_of(s);

	if (error) {
		cmd_fail(s->c, "The connection table cannot be read: %s", strerror(-error));
	} else if (cmd_json(s->c)) {
		char *dump = json_dumps(doc, JSON_INDENT(2));

		cmd_printf(s->c, "%s\n", dump);
		free(dump);
	} else {
		print(s->c, doc);
	}
	json_decref(doc);
	census_end(s);
}

void nat_stop_blocks(struct cmd_ctx *c)
{
	struct census *s = cmd_data(c);

	ct_list_cancel(s->dump);
	census_end(s);
}

static void run(struct cmd_ctx *c, uint8_t family)
{
	static const struct ct_dump_fns fns = { .each = census_each, .done = census_done };
	struct ct_filter f = { .family = family == 6 ? AF_INET6 : AF_INET, .nat = true };
	struct census *s = xcalloc(1, sizeof(*s));
	int error;

	*s = (struct census){ .c = c, .family = family };
	for (size_t i = 0; i < k.now.n; i++) {
		if (k.now.v[i].b.family != family)
			continue;
		add(&s->blocks, &k.now.v[i].b);
		s->blocks.v[s->blocks.n - 1].since = k.now.v[i].since;
	}
	if (s->blocks.n)
		qsort(s->blocks.v, s->blocks.n, sizeof(*s->blocks.v), outside_cmp);
	s->used = xcalloc(s->blocks.n + 1, sizeof(uint64_t *));
	cmd_set_data(c, s);
	cmd_pend(c);
	s->dump = ct_list_start(&f, &fns, s, &error);
	if (!s->dump)
		census_done(s, error);
}

void nat_show_blocks4(struct cmd_ctx *c)
{
	run(c, 4);
}

void nat_show_blocks6(struct cmd_ctx *c)
{
	run(c, 6);
}
