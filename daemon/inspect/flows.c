/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/flows.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096

struct line {
	uint32_t chain, rule;
	uint8_t action;
	bool told, log;
	uint64_t hits;
	char name[INSPECTD_NAME];
};

struct table {
	struct line *v;
	size_t n, room;
	bool fail_open, full;
};

struct flow {
	uint32_t ct_id;
	bool decided, shaken; /* shaken: its SYN or SYN-ACK was seen */
	uint64_t seen_ns;
	struct seg seg;
	struct flow_verdict verdict;
	struct flow *next; /* hash chain, or free list */
	struct flow *older, *younger;
};

static struct {
	struct table now, next;
	struct flow v[FLOWS_MAX];
	struct flow *buckets[BUCKETS], *free, *oldest, *youngest;
	bool ready;
	size_t said;              /* line that flows_next_hits looks at next */
	char name[INSPECTD_NAME]; /* of the last decision */
	uint64_t n[INSPECTD_COUNTER__MAX];
} s;

/* ---- connections ---- */

static void unlink_age(struct flow *f)
{
	*(f->older ? &f->older->younger : &s.oldest) = f->younger;
	*(f->younger ? &f->younger->older : &s.youngest) = f->older;
}

static void touch(struct flow *f, uint64_t now)
{
	f->seen_ns = now;
	f->older = s.youngest;
	f->younger = NULL;
	*(s.youngest ? &s.youngest->younger : &s.oldest) = f;
	s.youngest = f;
}

static struct flow **slot(uint32_t ct_id)
{
	struct flow **pp = &s.buckets[ct_id % BUCKETS];

	while (*pp && (*pp)->ct_id != ct_id)
		pp = &(*pp)->next;
	return pp;
}

static void forget(struct flow *f)
{
	*slot(f->ct_id) = f->next;
	unlink_age(f);
	seg_free(&f->seg);
	*f = (struct flow){ .next = s.free };
	s.free = f;
	s.n[INSPECTD_FLOWS]--;
}

static struct flow *find(uint32_t ct_id, uint64_t now)
{
	struct flow *f = *slot(ct_id);

	if (f) {
		unlink_age(f);
		touch(f, now);
	}
	return f;
}

static struct flow *make(uint32_t ct_id, uint32_t base, bool shaken, uint64_t now)
{
	struct flow *f, **pp;

	for (size_t i = 0; !s.ready && i < FLOWS_MAX; i++) {
		s.v[i].next = s.free;
		s.free = &s.v[i];
	}
	s.ready = true;
	if (!s.free) {
		s.n[INSPECTD_EVICTED] += !s.oldest->decided;
		forget(s.oldest);
	}
	f = s.free;
	s.free = f->next;
	*f = (struct flow){ .ct_id = ct_id, .shaken = shaken, .seg.base = base };
	pp = slot(ct_id);
	*pp = f;
	touch(f, now);
	s.n[INSPECTD_FLOWS]++;
	return f;
}

void flows_idle(uint64_t now)
{
	while (s.oldest && now - s.oldest->seen_ns > FLOW_IDLE_NS) {
		s.n[INSPECTD_TIMEOUTS] += !s.oldest->decided;
		forget(s.oldest);
	}
}

/* ---- lines ---- */

/* The line of a chain that a name ("": none) belongs to. */
static struct line *decide_line(uint32_t chain, const char *name)
{
	for (size_t i = 0; i < s.now.n; i++) {
		struct line *l = &s.now.v[i];

		if (l->chain == chain && (!*l->name || (*name && tls_name_matches(l->name, name))))
			return l;
	}
	return NULL;
}

static void carry_hits(struct table *from, struct table *to)
{
	for (size_t i = 0; i < to->n; i++) {
		for (size_t k = 0; k < from->n; k++) {
			if (from->v[k].rule == to->v[i].rule && from->v[k].chain == to->v[i].chain)
				to->v[i].hits = from->v[k].hits;
		}
	}
}

static void add_line(struct table *t, const struct inspectd_req *q)
{
	if (t->n == t->room) {
		t->room = t->room ? t->room * 2 : 16;
		t->v = xrealloc(t->v, t->room * sizeof(*t->v));
	}
	t->v[t->n] = (struct line){
		.chain = q->chain, .rule = q->rule, .action = q->action, .log = q->log
	};
	rtr_strlcpy(t->v[t->n++].name, q->name, INSPECTD_NAME);
}

bool flows_request(const struct inspectd_req *q)
{
	switch (q->op) {
	case INSPECTD_BEGIN:
		s.next.n = 0;
		s.next.full = false;
		s.next.fail_open = q->fail_open;
		return true;
	case INSPECTD_LINE:
		s.next.full |= s.next.n == INSPECTD_LINES_MAX || !memchr(q->name, 0, INSPECTD_NAME);
		if (!s.next.full)
			add_line(&s.next, q);
		return !s.next.full;
	case INSPECTD_COMMIT:
		carry_hits(&s.now, &s.next);
		free(s.now.v);
		s.now = s.next;
		s.next = (struct table){ 0 };
		s.said = 0;
		return true;
	}
	return false;
}

bool flows_fail_open(void)
{
	return s.now.fail_open;
}

const uint64_t *flows_counters(void)
{
	return s.n;
}

const char *flows_name(void)
{
	return s.name;
}

uint32_t flows_next_hits(uint64_t *ret)
{
	while (s.said < s.now.n) {
		struct line *l = &s.now.v[s.said++];

		if (l->told || !l->hits || !l->rule)
			continue;
		*ret = 0;
		for (size_t i = 0; i < s.now.n; i++) {
			if (s.now.v[i].rule != l->rule)
				continue;
			*ret += s.now.v[i].hits;
			s.now.v[i].told = true;
		}
		return l->rule;
	}
	s.said = 0;
	return 0;
}

void flows_fini(void)
{
	while (s.oldest)
		forget(s.oldest);
	free(s.now.v);
	free(s.next.v);
	memset(&s, 0, sizeof(s));
}

/* ---- a decision ---- */

/* The chain that the connection waits for; 0: none. */
static uint32_t waits(const struct flow_packet *p, unsigned word)
{
	uint32_t bit = inspect_wait(word), id = p->label[word] & ~bit;

	return p->label[word] & bit && id >= INSPECT_ID_MIN ? id : 0;
}

static uint32_t outcome(struct flow_verdict *v, const struct line *l, unsigned word)
{
	v->denied |= l->action != INSPECTD_PERMIT;
	if (l->action == INSPECTD_PERMIT)
		return l->rule;
	return l->action == INSPECTD_REJECT ? inspect_rejected(word) : inspect_denied(word);
}

static void add_log(struct flow_verdict *v, const struct line *l, uint8_t did, bool unreadable)
{
	if (l && l->log && v->n_logs < ARRAY_LEN(v->logs))
		v->logs[v->n_logs++] = (struct flow_log){ l->rule, did, unreadable };
}

/* The line that a chain begins with: where the connection waited. */
static const struct line *head_line(uint32_t chain)
{
	for (size_t i = 0; i < s.now.n; i++) {
		if (s.now.v[i].chain == chain)
			return &s.now.v[i];
	}
	return NULL;
}

/* Each list that the connection waited in has its own say. */
static void note_logs(const struct flow_packet *p, struct line *const lines[INSPECT_WORDS],
		      const char *name, struct flow_verdict *v)
{
	uint8_t fallback = s.now.fail_open ? INSPECTD_PERMIT : INSPECTD_DENY;

	rtr_strlcpy(s.name, name ? name : "", sizeof(s.name));
	for (unsigned i = 0; i < INSPECT_WORDS; i++) {
		if (lines[i] && name)
			add_log(v, lines[i], lines[i]->action, false);
		else if (lines[i])
			add_log(v, head_line(waits(p, i)), fallback, true);
	}
}

/* name NULL: unreadable. */
static void decide(struct flow *f, const struct flow_packet *p, const char *name,
		   struct flow_verdict *ret)
{
	struct line *lines[INSPECT_WORDS] = { NULL };

	*ret = (struct flow_verdict){ .act = FLOW_LABEL };
	for (unsigned i = 0; i < INSPECT_WORDS; i++) {
		if (!waits(p, i))
			continue;
		ret->mask[i] = UINT32_MAX;
		lines[i] = decide_line(waits(p, i), name ? name : "");
		if (!lines[i]) {
			/* A line that rtrd is about to tell us. */
			s.n[INSPECTD_UNKNOWN]++;
			*ret = (struct flow_verdict){ .act = FLOW_DROP };
			return;
		}
		if (name)
			ret->label[i] = outcome(ret, lines[i], i);
		else
			ret->label[i] = s.now.fail_open ? head_line(waits(p, i))->rule
							: inspect_denied(i);
	}
	ret->denied |= !name && !s.now.fail_open;
	for (unsigned i = 0; name && i < INSPECT_WORDS; i++) {
		if (lines[i]) {
			lines[i]->hits++;
			lines[i]->told = false;
		}
	}
	s.n[ret->denied ? INSPECTD_DENIED : INSPECTD_PERMITTED]++;
	f->decided = true;
	f->verdict = *ret;
	note_logs(p, lines, name, ret);
	free(f->seg.bytes);
	f->seg.bytes = NULL;
}

static void read_stream(struct flow *f, const struct flow_packet *p, uint32_t seq,
			const uint8_t *data, size_t size, struct flow_verdict *ret)
{
	enum tls_hello r = TLS_MORE;
	struct tls_name name;
	bool joined = true;

	if (!f->seg.bytes && seq == f->seg.base) {
		r = tls_hello_read(data, size, &name);
		joined = false;
	}
	if (r == TLS_MORE) {
		bool fits = seg_add(&f->seg, seq, data, size);

		joined = true;
		r = fits ? tls_hello_read(f->seg.bytes ? f->seg.bytes : data, f->seg.n, &name)
			 : TLS_BAD;
	}
	switch (r) {
	case TLS_MORE:
		return;
	case TLS_NAME:
		s.n[INSPECTD_NAMES]++;
		s.n[INSPECTD_ECH] += name.ech;
		s.n[INSPECTD_JOINED] += joined;
		decide(f, p, name.name, ret);
		return;
	case TLS_NOT_TLS:
	case TLS_NO_NAME:
		/* In the middle of a connection everything looks like this. */
		if (r == TLS_NO_NAME || f->shaken) {
			s.n[INSPECTD_NO_NAME]++;
			decide(f, p, "", ret);
			return;
		}
		break;
	case TLS_BAD:
		break;
	}
	s.n[INSPECTD_UNREADABLE]++;
	decide(f, p, NULL, ret);
}

/* ---- a packet ---- */

struct segment {
	uint32_t seq, ack;
	bool syn, has_ack, rst;
	const uint8_t *data;
	size_t size;
};

/* Past the headers of IPv6 that may precede TCP; fragments are joined before they come here. */
static size_t skip6(const uint8_t *p, size_t size, size_t at, uint8_t next)
{
	while (next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS || next == IPPROTO_ROUTING) {
		if (size - at < 8)
			return 0;
		next = p[at];
		at += 8 + 8u * p[at + 1];
		if (at > size)
			return 0;
	}
	return next == IPPROTO_TCP ? at : 0;
}

static size_t tcp_at(const uint8_t *p, size_t *size)
{
	size_t at, total;

	if (*size < 1)
		return 0;
	if (p[0] >> 4 == 6 && *size >= sizeof(struct ip6_hdr)) {
		total = sizeof(struct ip6_hdr) + ((size_t)p[4] << 8 | p[5]);
		/* A jumbo made of segments that belong together has no length. */
		*size = total == sizeof(struct ip6_hdr) ? *size : MIN(*size, total);
		return skip6(p, *size, sizeof(struct ip6_hdr), p[6]);
	}
	if (p[0] >> 4 != 4 || *size < sizeof(struct ip) || p[9] != IPPROTO_TCP)
		return 0;
	at = (size_t)(p[0] & 15) * 4;
	total = (size_t)p[2] << 8 | p[3];
	*size = total ? MIN(*size, total) : *size;
	return at >= sizeof(struct ip) ? at : 0;
}

static bool parse(const struct flow_packet *p, struct segment *ret)
{
	size_t size = p->size, at = tcp_at(p->data, &size), head;
	struct tcphdr t;

	if (!at || at > size || size - at < sizeof(t))
		return false;
	memcpy(&t, p->data + at, sizeof(t));
	head = t.doff * 4u;
	if (head < sizeof(t) || head > size - at)
		return false;
	*ret = (struct segment){
		.seq = ntohl(t.seq),
		.ack = ntohl(t.ack_seq),
		.syn = t.syn,
		.has_ack = t.ack,
		.rst = t.rst,
		.data = p->data + at + head,
		.size = size - at - head,
	};
	return true;
}

bool flow_ends_of(const uint8_t *p, size_t size, struct flow_ends *ret)
{
	size_t at = tcp_at(p, &size);
	bool v6 = at && p[0] >> 4 == 6;
	unsigned n = v6 ? 16 : 4;

	if (!at || at > size || size - at < sizeof(struct tcphdr))
		return false;
	*ret = (struct flow_ends){ .family = v6 ? AF_INET6 : AF_INET };
	memcpy(ret->src, p + (v6 ? 8 : 12), n);
	memcpy(ret->dst, p + (v6 ? 8 : 12) + n, n);
	memcpy(&ret->sport, p + at, 2);
	memcpy(&ret->dport, p + at + 2, 2);
	return true;
}

/* From the server: where the client's stream begins; data before the client's hello. */
static void from_server(const struct flow_packet *p, const struct segment *g, uint64_t now,
			struct flow_verdict *ret)
{
	struct flow *f = find(p->ct_id, now);

	if (!f && g->syn && g->has_ack)
		make(p->ct_id, g->ack, true, now);
	if (!g->size || g->syn)
		return;
	if (!f)
		f = make(p->ct_id, g->ack, false, now);
	/* No server of TLS speaks first; one that answers half a hello leaves it unread. */
	s.n[f->seg.bytes || !f->shaken ? INSPECTD_UNREADABLE : INSPECTD_NO_NAME]++;
	decide(f, p, f->seg.bytes || !f->shaken ? NULL : "", ret);
}

static void from_client(const struct flow_packet *p, const struct segment *g, uint64_t now,
			struct flow_verdict *ret)
{
	struct flow *f = find(p->ct_id, now);
	uint32_t seq = g->seq + g->syn;

	/* A SYN begins anew: the connection before may have had the same id. */
	if (f && g->syn && !g->has_ack && f->seg.base != seq) {
		forget(f);
		f = NULL;
	}
	if (!g->size)
		return;
	if (!f)
		f = make(p->ct_id, seq, g->syn, now);
	read_stream(f, p, seq, g->data, g->size, ret);
}

void flows_packet(const struct flow_packet *p, uint64_t now, struct flow_verdict *ret)
{
	struct segment g;
	struct flow *f;

	*ret = (struct flow_verdict){ .act = FLOW_PASS };
	s.n[INSPECTD_PACKETS]++;
	if (!waits(p, 0) && !waits(p, 1) && !waits(p, 2))
		return;
	if (!parse(p, &g)) {
		s.n[INSPECTD_UNKNOWN]++;
		ret->act = FLOW_DROP;
		return;
	}
	f = *slot(p->ct_id);
	/* It was in the queue when the decision was made. */
	if (f && f->decided && !(g.syn && !g.has_ack)) {
		*ret = f->verdict;
		return;
	}
	if (g.rst)
		return;
	if (p->reply)
		from_server(p, &g, now, ret);
	else
		from_client(p, &g, now, ret);
}
