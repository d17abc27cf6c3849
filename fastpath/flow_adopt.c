/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "flow_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RESERVE_DEFAULT 16384u

/* The grace period for XDP; tests count or model it. */
#ifndef FLOW_MEMBARRIER
#define FLOW_MEMBARRIER() syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0)
#endif

/* --- opening --- */

static int lease_take(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		int err = errno == EWOULDBLOCK ? -EBUSY : -errno;

		close(fd);
		return err;
	}
	return fd;
}

static int hdr_make(struct flow_hdr *hdr, const struct fp_flow_mem *mem)
{
	/* What a process killed here has left counts for nothing: magic is written last. */
	if (getrandom(hdr->seed4, sizeof(hdr->seed4), 0) != (ssize_t)sizeof(hdr->seed4) ||
	    getrandom(hdr->seed6, sizeof(hdr->seed6), 0) != (ssize_t)sizeof(hdr->seed6))
		return -EIO;
	for (int f = 0; f < FLOW__FAMILIES; f++) {
		hdr->bucket_mask[f] = mem->n_buckets[f] - 1;
		hdr->n_pairs[f] = mem->n_pairs[f];
		hdr->spare_seg[f] = FLOW_SEGMENTS - 1;
	}
	hdr->version = FLOW_LAYOUT_VERSION;
	hdr->size = sizeof(*hdr);
	hdr->epoch = 1;
	__atomic_store_n(&hdr->magic, FLOW_MAGIC, __ATOMIC_RELEASE);
	return 0;
}

static int hdr_check(const struct flow_hdr *hdr, const struct fp_flow_mem *mem)
{
	if (hdr->magic != FLOW_MAGIC || hdr->version != FLOW_LAYOUT_VERSION ||
	    hdr->size != sizeof(*hdr))
		return -EPROTO;
	for (int f = 0; f < FLOW__FAMILIES; f++)
		if (hdr->bucket_mask[f] != mem->n_buckets[f] - 1 ||
		    hdr->n_pairs[f] != mem->n_pairs[f] || hdr->spare_seg[f] >= FLOW_SEGMENTS)
			return -EPROTO;
	return 0;
}

static void table_init(struct fp_flow *t, enum flow_family fam, const struct fp_flow_mem *mem,
		       bool blank)
{
	struct flow_table *ft = &t->fam[fam];
	int shift = fam == FLOW_4 ? 0 : FP_FLOW_R_BUCKETS6 - FP_FLOW_R_BUCKETS4;

	*ft = (struct flow_table){
		.buckets = mem->base[FP_FLOW_R_BUCKETS4 + shift],
		.lines = mem->base[FP_FLOW_R_LINES4 + shift],
		.sides = fam == FLOW_4 ? mem->base[FP_FLOW_R_SIDES4] : NULL,
		.cold = mem->base[FP_FLOW_R_COLD4 + shift],
		.n_pairs = mem->n_pairs[fam],
		.seg_pairs = mem->n_pairs[fam] / FLOW_SEGMENTS,
		.bucket_mask = mem->n_buckets[fam] - 1,
		.pool = xcalloc(mem->n_pairs[fam], sizeof(uint32_t)),
		.link = xcalloc(mem->n_pairs[fam], sizeof(uint32_t)),
		.filed = blank ? NULL : xcalloc(mem->n_pairs[fam], 1),
		.scanning = !blank,
	};
	if (!blank)
		return;
	/* Blank memory holds free pairs only; the last segment is the spare one. */
	ft->n_pool = ft->n_pairs - ft->seg_pairs;
	for (uint32_t i = 0; i < ft->n_pool; i++)
		ft->pool[i] = ft->n_pool - 1 - i;
}

static void worker_init(struct fp_flow *t, unsigned id, unsigned reserve)
{
	struct fp_flow_worker *w = &t->worker[id];
	uint32_t now = flow_tick(fp_flow_now());

	w->t = t;
	w->id = id;
	w->lock = flow_lock_make(t->hdr, id);
	for (int f = 0; f < FLOW__FAMILIES; f++) {
		uint32_t len = 1;

		/* Not more than a share of a small table: what lies in a ring serves one worker. */
		while (len < reserve && len * 8 * t->n_workers <= t->fam[f].n_pairs)
			len *= 2;
		w->ring[f].mask = len - 1;
		w->ring[f].pair = xcalloc(len, sizeof(uint32_t));
		w->stash[f] = FLOW_NO_LINE;
		w->freed[f] = CHAIN_END;
		w->adopted[f] = CHAIN_END;
		wheel_init(&w->wheel[f], t->fam[f].cold, sizeof(struct flow_cold), now);
	}
}

int fp_flow_open(const struct fp_flow_mem *mem, const struct fp_flow_conf *conf,
		 struct fp_flow **ret)
{
	struct flow_hdr *hdr = mem->base[FP_FLOW_R_HDR];
	struct fp_flow *t;
	int lease = -1, err;
	bool blank;

	if (!conf->n_workers || conf->n_workers >= FLOW_LOCK_OWNER)
		return -EINVAL;
	if (!(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) & MEMBARRIER_CMD_GLOBAL))
		return -ENOSYS;
	if (conf->lease_path) {
		lease = lease_take(conf->lease_path);
		if (lease < 0)
			return lease;
	}
	blank = !hdr->magic;
	err = blank ? hdr_make(hdr, mem) : hdr_check(hdr, mem);
	if (err) {
		if (lease >= 0)
			close(lease);
		return err;
	}
	if (!blank)
		__atomic_store_n(&hdr->epoch, (uint32_t)(hdr->epoch + 1), __ATOMIC_RELEASE);
	t = xcalloc(1, sizeof(*t));
	t->hdr = hdr;
	t->lease_fd = lease;
	t->n_workers = conf->n_workers;
	t->lock = flow_lock_make(hdr, t->n_workers);
	t->grace = conf->grace;
	t->grace_ctx = conf->grace_ctx;
	t->freed = conf->freed;
	t->freed_ctx = conf->freed_ctx;
	t->adoption.done = blank;
	for (int f = 0; f < FLOW__FAMILIES; f++)
		table_init(t, f, mem, blank);
	t->quota = flow_quota_new(mem->n_pairs[FLOW_4] + mem->n_pairs[FLOW_6]);
	t->worker = aligned_alloc(RTR_CACHELINE, t->n_workers * sizeof(*t->worker));
	if (!t->worker || !t->quota) {
		fp_flow_close(t);
		return -ENOMEM;
	}
	memset(t->worker, 0, t->n_workers * sizeof(*t->worker));
	for (unsigned i = 0; i < t->n_workers; i++) {
		worker_init(t, i, conf->reserve ? conf->reserve : RESERVE_DEFAULT);
		t->worker[i].adopting = !blank;
	}
	*ret = t;
	return 0;
}

struct fp_flow *fp_flow_close(struct fp_flow *t)
{
	if (!t)
		return NULL;
	for (unsigned i = 0; t->worker && i < t->n_workers; i++)
		for (int f = 0; f < FLOW__FAMILIES; f++)
			free(t->worker[i].ring[f].pair);
	for (int f = 0; f < FLOW__FAMILIES; f++) {
		free(t->fam[f].pool);
		free(t->fam[f].waiting);
		free(t->fam[f].link);
		free(t->fam[f].filed);
	}
	flow_quota_free(t->quota);
	free(t->worker);
	if (t->lease_fd >= 0)
		close(t->lease_fd);
	free(t);
	return NULL;
}

struct fp_flow_worker *fp_flow_worker(struct fp_flow *t, unsigned i)
{
	return &t->worker[i];
}

const struct flow_hdr *fp_flow_hdr(const struct fp_flow *t)
{
	return t->hdr;
}

/* --- the maintenance step --- */

static uint32_t spare_of(const struct fp_flow *t, enum flow_family fam)
{
	/* While adoption runs no segment is spared: the old spare one is what it serves from. */
	return t->fam[fam].scanning ? FLOW_SEGMENTS : (uint32_t)t->hdr->spare_seg[fam];
}

static void pool_add(struct fp_flow *t, enum flow_family fam, uint32_t pair)
{
	struct flow_table *ft = &t->fam[fam];

	if (pair / ft->seg_pairs != spare_of(t, fam))
		ft->pool[ft->n_pool++] = pair;
}

/* Nobody can hold a pointer to it any more. */
static void line_free(const struct flow_table *ft, enum flow_family fam, uint32_t place)
{
	flow_word *line = flow_line(ft, fam, place);

	FLOW_ST(line, FLOW_W0(flow_w0_gen(FLOW_LD(line)), FLOW_P_FREE, 0, 0));
}

/* Makes the pairs of a chain free. */
static void reuse(struct fp_flow *t, enum flow_family fam, uint32_t pair)
{
	struct flow_table *ft = &t->fam[fam];

	while (pair != CHAIN_END) {
		uint32_t next = ft->cold[pair].next, place[2];

		flow_places(ft, fam, pair, place);
		if (t->freed)
			t->freed(t->freed_ctx, fam, pair,
				 (const flow_word *[]){ flow_line(ft, fam, place[0]) + 1,
							flow_line(ft, fam, place[1]) + 1 });
		for (int d = 0; d < 2; d++)
			line_free(ft, fam, place[d]);
		pool_add(t, fam, pair);
		ft->n_reused++;
		pair = next;
	}
}

/* Everything that was freed before the grace period begins: a chain a worker, and the repaired. */
static bool grace_step(struct fp_flow *t)
{
	unsigned n = t->n_workers, taken = 0;
	uint32_t *chain = xcalloc((size_t)FLOW__FAMILIES * n, sizeof(*chain));

	for (int f = 0; f < FLOW__FAMILIES; f++) {
		for (unsigned i = 0; i < n; i++) {
			chain[(unsigned)f * n + i] = __atomic_exchange_n(
				&t->worker[i].freed[f], CHAIN_END, __ATOMIC_ACQUIRE);
			taken += chain[(unsigned)f * n + i] != CHAIN_END;
		}
		taken += t->fam[f].n_waiting;
	}
	if (taken) {
		FLOW_MEMBARRIER();
		if (t->grace)
			t->grace(t->grace_ctx);
		for (int f = 0; f < FLOW__FAMILIES; f++) {
			struct flow_table *ft = &t->fam[f];

			for (unsigned i = 0; i < n; i++)
				reuse(t, f, chain[(unsigned)f * n + i]);
			while (ft->n_waiting)
				line_free(ft, f, ft->waiting[--ft->n_waiting]);
		}
	}
	free(chain);
	return taken;
}

static void refill(struct fp_flow *t, enum flow_family fam)
{
	struct flow_table *ft = &t->fam[fam];

	for (unsigned k = 0; k < t->n_workers && ft->n_pool; k++) {
		struct flow_ring *r = &t->worker[ft->next_worker].ring[fam];
		uint32_t tail = __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE), head = r->head;

		while (ft->n_pool && head - tail <= r->mask)
			r->pair[head++ & r->mask] = ft->pool[--ft->n_pool];
		__atomic_store_n(&r->head, head, __ATOMIC_RELEASE);
		/* Who was first when the pool ran dry is not first again. */
		ft->next_worker = (ft->next_worker + 1) % t->n_workers;
	}
}

void fp_flow_refill(struct fp_flow *t)
{
	for (int f = 0; f < FLOW__FAMILIES; f++)
		refill(t, f);
}

/* --- adoption --- */

static bool published(const struct fp_flow *t, enum flow_family fam, uint32_t place, uint16_t gen)
{
	const struct flow_table *ft = &t->fam[fam];
	uint64_t hash = flow_hash(t->hdr, fam, flow_line(ft, fam, place) + 1);
	int s;

	return flow_slot_find(ft, hash, flow_slot(hash, gen, place), &s);
}

/* Is all of the flow there: cold entry, both lines, sides that name each other, both slots? */
static bool pair_lives(const struct fp_flow *t, enum flow_family fam, uint32_t pair,
		       uint32_t place[2])
{
	const struct flow_table *ft = &t->fam[fam];
	uint16_t gen = ft->cold[pair].gen;

	flow_places(ft, fam, pair, place);
	for (uint32_t d = 0; d < 2; d++) {
		uint64_t word0 = FLOW_LD(flow_line(ft, fam, place[d]));
		uint64_t side = flow_side_load(ft, fam, place[d]);

		if (!flow_lives(word0) || flow_w0_gen(word0) != gen ||
		    ((uint32_t)side & FLOW_NAME_MASK) != 2 * pair + d || side >> 32 != place[!d])
			return false;
	}
	return published(t, fam, place[0], gen) && published(t, fam, place[1], gen);
}

/* Being filled, published or ended by this process. */
static bool in_work(const struct fp_flow *t, uint64_t word0)
{
	return flow_w0_path(word0) == FLOW_P_DEAD &&
	       flow_w0_policy(word0) == (uint16_t)t->hdr->epoch;
}

/*
 * Does the line need repair? Not if it is free, half of a flow, or in the hands of a worker of this
 * process, which may change it or its twin while we look: then the flow has ended or is complete
 * when we look again, for nothing that ends is used again before this thread's next grace period.
 */
static bool broken(const struct fp_flow *t, enum flow_family fam, uint32_t place)
{
	const struct flow_table *ft = &t->fam[fam];

	for (int tries = 0; tries < 3; tries++) {
		uint64_t word0 = FLOW_LD(flow_line(ft, fam, place)), side;
		uint32_t both[2], twin, pair;

		if (flow_w0_path(word0) == FLOW_P_FREE || in_work(t, word0))
			return false;
		if (!flow_lives(word0))
			return true;
		side = flow_side_load(ft, fam, place);
		pair = ((uint32_t)side & FLOW_NAME_MASK) >> 1;
		twin = (uint32_t)(side >> 32);
		if (pair >= ft->n_pairs || twin >= 2 * ft->n_pairs)
			return true;
		if (pair_lives(t, fam, pair, both) && both[side & 1] == place)
			return false;
		if (in_work(t, FLOW_LD(flow_line(ft, fam, twin))))
			return false;
	}
	return true;
}

/*
 * A line that its writer did not finish. A slot exists only while gen is even: insert publishes
 * after that, free clears before it is odd. Marked as the work of an earlier epoch, so that its
 * twin is repaired as well.
 */
static void repair(struct fp_flow *t, enum flow_family fam, uint32_t place)
{
	struct flow_table *ft = &t->fam[fam];
	flow_word *line = flow_line(ft, fam, place);
	uint16_t gen = flow_w0_gen(FLOW_LD(line)), before = (uint16_t)(t->hdr->epoch - 1);

	FLOW_ST(line, FLOW_W0(gen, FLOW_P_DEAD, 0, before));
	if (!(gen & 1))
		flow_unpublish(t, fam, t->lock, place, gen);
	FLOW_ST(line, FLOW_W0(gen | 1, FLOW_P_DEAD, 0, before));
	if (ft->n_waiting == ft->max_waiting) {
		ft->max_waiting = MAX(2 * ft->max_waiting, 256u);
		ft->waiting = xrealloc(ft->waiting, ft->max_waiting * sizeof(*ft->waiting));
	}
	ft->waiting[ft->n_waiting++] = place;
}

static void adopt_pair(struct fp_flow *t, enum flow_family fam, uint32_t pair)
{
	struct flow_table *ft = &t->fam[fam];
	uint32_t place[2];

	if (pair_lives(t, fam, pair, place)) {
		t->adoption.living++;
		/* Whatever the limit is now. */
		if (ft->cold[pair].flags & FLOW_COLD_COUNTED)
			fp_flow_quota_take(t, fam,
					   (const uint8_t *)(flow_line(ft, fam, place[0]) + 1),
					   UINT32_MAX);
		/* Who would have promoted it is dead. */
		for (uint32_t d = 0; d < 2; d++)
			if (flow_w0_path(FLOW_LD(flow_line(ft, fam, place[d]))) == FLOW_P_WORKER)
				fp_flow_hold(t, fam, flow_ref(ft->cold[pair].gen, 2 * pair + d));
		flow_chain_push(ft, &t->worker[ft->cold[pair].owner % t->n_workers].adopted[fam],
				pair);
	} else {
		t->adoption.free++;
		pool_add(t, fam, pair);
	}
}

/* Keeps the segment with most free pairs back for the process that comes after this one. */
static void spare_choose(struct fp_flow *t, enum flow_family fam)
{
	struct flow_table *ft = &t->fam[fam];
	uint32_t n[FLOW_SEGMENTS] = { 0 }, best = 0, kept = 0;

	for (uint32_t i = 0; i < ft->n_pool; i++)
		n[ft->pool[i] / ft->seg_pairs]++;
	for (uint32_t s = 0; s < FLOW_SEGMENTS; s++)
		if (n[s] > n[best])
			best = s;
	for (uint32_t i = 0; i < ft->n_pool; i++)
		if (ft->pool[i] / ft->seg_pairs != best)
			ft->pool[kept++] = ft->pool[i];
	ft->n_pool = kept;
	__atomic_store_n(&t->hdr->spare_seg[fam], best, __ATOMIC_RELEASE);
}

/*
 * The spare segment's pairs come first, because new flows are made of them at once. Lines come
 * before the other pairs: a flow is adopted, and may be ended by its worker, only when no line is
 * looked at any more but those of flows that this process has made itself.
 */
static void adopt_step(struct fp_flow *t, enum flow_family fam, unsigned budget)
{
	struct flow_table *ft = &t->fam[fam];
	uint32_t first = (uint32_t)t->hdr->spare_seg[fam] * ft->seg_pairs,
		 n_lines = 2 * ft->n_pairs;

	for (; budget && ft->scan < (uint64_t)ft->n_pairs + n_lines; budget--, ft->scan++) {
		uint64_t i = ft->scan;

		if (i < ft->seg_pairs) {
			adopt_pair(t, fam, first + (uint32_t)i);
			continue;
		}
		i -= ft->seg_pairs;
		if (i >= n_lines) {
			i = i - n_lines + ft->seg_pairs;
			adopt_pair(t, fam, (uint32_t)((first + i) % ft->n_pairs));
			continue;
		}
		if (broken(t, fam, (uint32_t)i)) {
			t->adoption.repaired++;
			repair(t, fam, (uint32_t)i);
		}
		/* There are not more buckets than lines. */
		if (i <= ft->bucket_mask)
			flow_bucket_sweep(t, fam, (uint32_t)i);
	}
	if (ft->scan < (uint64_t)ft->n_pairs + n_lines)
		return;
	spare_choose(t, fam);
	ft->scanning = false;
}

bool fp_flow_maintain(struct fp_flow *t, unsigned budget)
{
	bool scanning = false, freed, want = false;

	for (int f = 0; f < FLOW__FAMILIES; f++)
		if (t->fam[f].scanning)
			adopt_step(t, f, budget);
	fp_flow_refill(t);
	freed = grace_step(t);
	if (freed)
		fp_flow_refill(t);
	for (int f = 0; f < FLOW__FAMILIES; f++) {
		scanning |= t->fam[f].scanning;
		want |= flow_evict_want(t, f);
	}
	__atomic_store_n(&t->adoption.done, !scanning, __ATOMIC_RELEASE);
	/* In a table that overflows what is freed waits for the next grace period. */
	return scanning || (want && freed);
}

void fp_flow_adoption(const struct fp_flow *t, struct fp_flow_adoption *ret)
{
	*ret = t->adoption;
}
