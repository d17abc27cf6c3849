/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vfr.h"

#include "hash.h"
#include "util.h"

#define NIL UINT32_MAX
/* Sources are counted by hash: two that share a slot share a limit, and a table of 4096 makes
 * that rare for as many open datagrams as max_datagrams usually is. */
#define SRC_SLOTS 4096

enum state {
	S_FREE,
	S_WAIT,    /* first fragment not seen */
	S_FIRST,   /* seen, its flow not known yet */
	S_OPEN,    /* resolved */
	S_REFUSED, /* drop says why the rest goes too */
};

/* A fragment that waits, or has come out and is not yet fetched. */
struct held {
	uint64_t handle, ctx;
	uint32_t note, next;
	uint16_t off;
	uint8_t drop;
};

struct range {
	uint16_t off, len;
};

struct key {
	uint8_t src[16], dst[16]; /* adjacent: hashed and compared as one */
	uint32_t id, zone;
	uint8_t family, proto;
};

struct dgram {
	struct key key;
	uint8_t state, drop;
	uint8_t n_range;
	bool total_known;
	uint16_t total, got;
	uint16_t src_slot;
	uint32_t chain, older, newer; /* hash chain; list by age */
	uint32_t held;                /* sorted by offset */
	uint32_t note;
	uint64_t born_ns, ctx;
	struct range range[FP_VFR_FRAGS_MAX]; /* sorted by offset */
};

struct queue {
	uint32_t head, tail;
};

struct fp_vfr {
	struct fp_vfr_cfg cfg;
	uint32_t mask; /* of bucket[] */
	uint32_t free_dgram, free_held;
	uint32_t oldest, newest;
	struct queue released, dead;
	struct fp_vfr_stats stats;
	struct dgram *dgram;
	struct held *held;
	uint32_t *bucket;
	uint16_t src_count[SRC_SLOTS];
};

struct fp_vfr *fp_vfr_new(const struct fp_vfr_cfg *cfg)
{
	struct fp_vfr *v;
	uint32_t n_bucket = 1;

	if (cfg->max_datagrams < 1 || cfg->max_datagrams > 65536 || cfg->max_held < 1 ||
	    cfg->max_held > 65536 || cfg->per_datagram < 1 || cfg->per_datagram > FP_VFR_FRAGS_MAX)
		return NULL;
	while (n_bucket < cfg->max_datagrams)
		n_bucket *= 2;
	v = calloc(1, sizeof(*v));
	if (!v)
		return NULL;
	v->cfg = *cfg;
	v->mask = n_bucket - 1;
	v->dgram = calloc(cfg->max_datagrams, sizeof(*v->dgram));
	v->held = calloc(cfg->max_held, sizeof(*v->held));
	v->bucket = malloc(n_bucket * sizeof(*v->bucket));
	if (!v->dgram || !v->held || !v->bucket)
		return fp_vfr_free(v);
	for (uint32_t i = 0; i < n_bucket; i++)
		v->bucket[i] = NIL;
	for (uint32_t i = 0; i < cfg->max_datagrams; i++)
		v->dgram[i].chain = i + 1 < cfg->max_datagrams ? i + 1 : NIL;
	for (uint32_t i = 0; i < cfg->max_held; i++)
		v->held[i].next = i + 1 < cfg->max_held ? i + 1 : NIL;
	v->oldest = v->newest = NIL;
	v->released = v->dead = (struct queue){ NIL, NIL };
	return v;
}

struct fp_vfr *fp_vfr_free(struct fp_vfr *v)
{
	if (v) {
		free(v->dgram);
		free(v->held);
		free(v->bucket);
		free(v);
	}
	return NULL;
}

static void enqueue(struct fp_vfr *v, struct queue *q, uint32_t i)
{
	v->held[i].next = NIL;
	if (q->tail == NIL)
		q->head = i;
	else
		v->held[q->tail].next = i;
	q->tail = i;
}

/* Sends all that wait to the dead. */
static void kill_held(struct fp_vfr *v, struct dgram *d, enum rtr_drop why)
{
	for (uint32_t i = d->held, next; i != NIL; i = next) {
		next = v->held[i].next;
		v->held[i].drop = (uint8_t)why;
		enqueue(v, &v->dead, i);
		v->stats.n_held--;
	}
	d->held = NIL;
}

static uint64_t hash_of(const struct fp_vfr *v, const struct key *k)
{
	uint64_t h = hash_bytes(k, 32, v->cfg.seed);

	return hash_mix64(h ^ ((uint64_t)k->id << 32 | k->zone) ^ (uint64_t)k->proto << 24);
}

static uint16_t src_slot(const struct fp_vfr *v, const struct key *k)
{
	return hash_bytes(k->src, 16, ~v->cfg.seed) & (SRC_SLOTS - 1);
}

static bool same_key(const struct key *a, const struct key *b)
{
	return a->id == b->id && a->zone == b->zone && a->family == b->family &&
	       a->proto == b->proto && !memcmp(a, b, 32);
}

/* RFC 791 tells datagrams apart by protocol too, RFC 8200 does not. */
static void key_of(struct key *k, const uint8_t *frame, const struct fp_pkt *p, uint32_t zone)
{
	const uint8_t *ip = frame + p->l3_off;

	*k = (struct key){ .id = p->frag_id, .zone = zone, .family = p->family };
	if (p->family == AF_INET) {
		k->proto = p->proto;
		memcpy(k->src, ip + 12, 4);
		memcpy(k->dst, ip + 16, 4);
	} else {
		memcpy(k->src, ip + 8, 16);
		memcpy(k->dst, ip + 24, 16);
	}
}

static void release_dgram(struct fp_vfr *v, uint32_t i)
{
	struct dgram *d = &v->dgram[i];
	uint32_t *link = &v->bucket[hash_of(v, &d->key) & v->mask];

	while (*link != i)
		link = &v->dgram[*link].chain;
	*link = d->chain;
	if (d->older == NIL)
		v->oldest = d->newer;
	else
		v->dgram[d->older].newer = d->newer;
	if (d->newer == NIL)
		v->newest = d->older;
	else
		v->dgram[d->newer].older = d->older;
	v->src_count[d->src_slot]--;
	d->state = S_FREE;
	d->chain = v->free_dgram;
	v->free_dgram = i;
	v->stats.n_open--;
}

/* A new datagram for the key; NIL and *ret_why when its source has enough. */
static uint32_t open_dgram(struct fp_vfr *v, const struct key *key, uint64_t now_ns,
			   enum rtr_drop *ret_why)
{
	uint16_t slot = src_slot(v, key);
	struct dgram *d;
	uint32_t i, *head;

	if (v->cfg.per_source && v->src_count[slot] >= v->cfg.per_source) {
		*ret_why = RTR_DROP_FRAG_SOURCE;
		return NIL;
	}
	if (v->free_dgram == NIL) {
		kill_held(v, &v->dgram[v->oldest], RTR_DROP_FRAG_TABLE);
		release_dgram(v, v->oldest);
		v->stats.n_evicted++;
	}
	i = v->free_dgram;
	d = &v->dgram[i];
	v->free_dgram = d->chain;
	head = &v->bucket[hash_of(v, key) & v->mask];
	d->key = *key;
	d->state = S_WAIT;
	d->n_range = 0;
	d->total_known = false;
	d->got = 0;
	d->held = NIL;
	d->born_ns = now_ns;
	d->src_slot = slot;
	d->chain = *head;
	*head = i;
	d->older = v->newest;
	d->newer = NIL;
	if (v->newest == NIL)
		v->oldest = i;
	else
		v->dgram[v->newest].newer = i;
	v->newest = i;
	v->src_count[slot]++;
	v->stats.n_open++;
	return i;
}

static uint32_t find(const struct fp_vfr *v, const struct key *key)
{
	uint32_t i = v->bucket[hash_of(v, key) & v->mask];

	while (i != NIL && !same_key(&v->dgram[i].key, key))
		i = v->dgram[i].chain;
	return i;
}

static void discard(struct fp_vfr *v, struct dgram *d, enum rtr_drop why)
{
	kill_held(v, d, why);
	d->state = S_REFUSED;
	d->drop = RTR_DROP_FRAG_DEAD;
	v->stats.n_discarded++;
}

/* May the piece [off, off+len) belong to the datagram, after all that came before? */
static enum rtr_drop check_range(const struct fp_vfr *v, const struct dgram *d, uint32_t off,
				 uint32_t len, bool more, unsigned *ret_at)
{
	uint32_t end = off + len, top = 0;
	unsigned at = d->n_range;

	if (d->n_range)
		top = d->range[d->n_range - 1].off + (uint32_t)d->range[d->n_range - 1].len;
	if (d->total_known
		    ? end > d->total || (!more && end != d->total) || (more && end == d->total)
		    : !more && top >= end)
		return RTR_DROP_FRAG_LENGTHS;
	while (at && d->range[at - 1].off >= off)
		at--;
	if (at < d->n_range && d->range[at].off == off && d->range[at].len == len)
		return RTR_DROP_FRAG_DUPLICATE;
	if ((at && d->range[at - 1].off + (uint32_t)d->range[at - 1].len > off) ||
	    (at < d->n_range && d->range[at].off < end))
		return RTR_DROP_FRAG_OVERLAP;
	if (d->n_range >= v->cfg.per_datagram)
		return RTR_DROP_FRAG_COUNT;
	*ret_at = at;
	return RTR_DROP_NONE;
}

static void add_range(struct dgram *d, unsigned at, uint32_t off, uint32_t len, bool more)
{
	memmove(&d->range[at + 1], &d->range[at], (d->n_range - at) * sizeof(d->range[0]));
	d->range[at] = (struct range){ (uint16_t)off, (uint16_t)len };
	d->n_range++;
	d->got = (uint16_t)(d->got + len);
	if (!more) {
		d->total_known = true;
		d->total = (uint16_t)(off + len);
	}
}

static bool complete(const struct dgram *d)
{
	return d->total_known && d->got == d->total;
}

/* Keeps the handle in order of offsets. */
static bool hold(struct fp_vfr *v, struct dgram *d, uint32_t off, uint64_t handle)
{
	uint32_t i = v->free_held, *link = &d->held;

	if (i == NIL)
		return false;
	v->free_held = v->held[i].next;
	while (*link != NIL && v->held[*link].off < off)
		link = &v->held[*link].next;
	v->held[i] = (struct held){ .handle = handle, .next = *link, .off = (uint16_t)off };
	*link = i;
	v->stats.n_held++;
	return true;
}

static enum fp_vfr_act refuse(struct fp_vfr_ret *ret, enum rtr_drop why)
{
	ret->drop = (uint8_t)why;
	return FP_VFR_DROP;
}

enum fp_vfr_act fp_vfr_input(struct fp_vfr *v, const uint8_t *frame, const struct fp_pkt *p,
			     uint32_t zone, uint64_t handle, uint64_t now_ns,
			     struct fp_vfr_ret *ret)
{
	uint32_t off = p->frag_off, len = (uint32_t)p->end - p->l4_off, i;
	bool more = p->flags & FP_F_FRAG_MORE;
	enum rtr_drop why = RTR_DROP_NONE;
	struct key key;
	struct dgram *d;
	unsigned at = 0;

	*ret = (struct fp_vfr_ret){ 0 };
	if (p->family == AF_INET6 && off == 0) /* the chain between fragment header and transport */
		len = (uint32_t)p->end - p->frag_hdr_off - FP_FRAG6_LEN;
	key_of(&key, frame, p, zone);
	i = find(v, &key);
	if (i != NIL && now_ns - v->dgram[i].born_ns >= v->cfg.timeout_ns) {
		kill_held(v, &v->dgram[i], RTR_DROP_FRAG_TIMEOUT);
		release_dgram(v, i);
		v->stats.n_timeout++;
		i = NIL;
	}
	if (i == NIL)
		i = open_dgram(v, &key, now_ns, &why);
	if (i == NIL)
		return refuse(ret, why);
	d = &v->dgram[i];
	if (d->state == S_REFUSED)
		return refuse(ret, d->drop);
	why = check_range(v, d, off, len, more, &at);
	if (why == RTR_DROP_FRAG_DUPLICATE)
		return refuse(ret, why);
	if (why) {
		discard(v, d, why);
		return refuse(ret, why);
	}
	if (off && d->state != S_OPEN && !hold(v, d, off, handle))
		return refuse(ret, RTR_DROP_FRAG_HELD);
	add_range(d, at, off, len, more);
	ret->dgram = i;
	if (off == 0) {
		d->state = S_FIRST;
		ret->first = true;
		return FP_VFR_PASS;
	}
	if (d->state != S_OPEN)
		return FP_VFR_HELD;
	ret->ctx = d->ctx;
	ret->note = d->note;
	if (complete(d)) {
		release_dgram(v, i);
		v->stats.n_done++;
	}
	return FP_VFR_PASS;
}

void fp_vfr_resolve(struct fp_vfr *v, uint32_t dgram, uint64_t ctx, uint32_t note)
{
	struct dgram *d = &v->dgram[dgram];

	if (d->state != S_FIRST)
		return;
	for (uint32_t i = d->held, next; i != NIL; i = next) {
		next = v->held[i].next;
		v->held[i].ctx = ctx;
		v->held[i].note = note;
		enqueue(v, &v->released, i);
		v->stats.n_held--;
	}
	d->held = NIL;
	d->ctx = ctx;
	d->note = note;
	d->state = S_OPEN;
	if (complete(d)) {
		release_dgram(v, dgram);
		v->stats.n_done++;
	}
}

void fp_vfr_refuse(struct fp_vfr *v, uint32_t dgram, enum rtr_drop why)
{
	struct dgram *d = &v->dgram[dgram];

	if (d->state != S_FIRST)
		return;
	kill_held(v, d, why);
	d->state = S_REFUSED;
	d->drop = (uint8_t)why;
	if (complete(d))
		release_dgram(v, dgram);
}

unsigned fp_vfr_expire(struct fp_vfr *v, uint64_t now_ns, unsigned max)
{
	unsigned n = 0;

	for (; n < max && v->oldest != NIL; n++) {
		struct dgram *d = &v->dgram[v->oldest];

		if (now_ns - d->born_ns < v->cfg.timeout_ns)
			break;
		kill_held(v, d, RTR_DROP_FRAG_TIMEOUT);
		release_dgram(v, v->oldest);
		v->stats.n_timeout++;
	}
	return n;
}

void fp_vfr_forget(struct fp_vfr *v, uint32_t zone, enum rtr_drop why)
{
	for (uint32_t i = v->oldest, next; i != NIL; i = next) {
		next = v->dgram[i].newer;
		if (v->dgram[i].key.zone != zone)
			continue;
		kill_held(v, &v->dgram[i], why);
		release_dgram(v, i);
	}
}

/* Takes the head of a queue and gives its node back. */
static struct held *fetch(struct fp_vfr *v, struct queue *q)
{
	uint32_t i = q->head;

	if (i == NIL)
		return NULL;
	q->head = v->held[i].next;
	if (q->head == NIL)
		q->tail = NIL;
	v->held[i].next = v->free_held;
	v->free_held = i;
	return &v->held[i];
}

bool fp_vfr_released(struct fp_vfr *v, uint64_t *ret_handle, uint64_t *ret_ctx, uint32_t *ret_note)
{
	const struct held *h = fetch(v, &v->released);

	if (!h)
		return false;
	*ret_handle = h->handle;
	*ret_ctx = h->ctx;
	*ret_note = h->note;
	return true;
}

bool fp_vfr_dead(struct fp_vfr *v, uint64_t *ret_handle, enum rtr_drop *ret_why)
{
	const struct held *h = fetch(v, &v->dead);

	if (!h)
		return false;
	*ret_handle = h->handle;
	*ret_why = h->drop;
	return true;
}

void fp_vfr_stats(const struct fp_vfr *v, struct fp_vfr_stats *ret)
{
	*ret = v->stats;
}
