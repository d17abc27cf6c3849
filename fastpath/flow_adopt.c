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
		.cold = mem->base[FP_FLOW_R_COLD4 + shift],
		.n_pairs = mem->n_pairs[fam],
		.seg_pairs = mem->n_pairs[fam] / FLOW_SEGMENTS,
		.bucket_mask = mem->n_buckets[fam] - 1,
		.pool = xcalloc(mem->n_pairs[fam], sizeof(uint32_t)),
		.waiting = CHAIN_END,
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
	t->adoption.done = blank;
	for (int f = 0; f < FLOW__FAMILIES; f++)
		table_init(t, f, mem, blank);
	t->worker = aligned_alloc(RTR_CACHELINE, t->n_workers * sizeof(*t->worker));
	if (!t->worker) {
		fp_flow_close(t);
		return -ENOMEM;
	}
	memset(t->worker, 0, t->n_workers * sizeof(*t->worker));
	for (unsigned i = 0; i < t->n_workers; i++)
		worker_init(t, i, conf->reserve ? conf->reserve : RESERVE_DEFAULT);
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
	for (int f = 0; f < FLOW__FAMILIES; f++)
		free(t->fam[f].pool);
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

/* Makes the pairs of a chain free: nobody can hold a pointer to them any more. */
static void reuse(struct fp_flow *t, enum flow_family fam, uint32_t pair)
{
	struct flow_table *ft = &t->fam[fam];

	while (pair != CHAIN_END) {
		uint32_t next = ft->cold[pair].chain;

		for (int d = 0; d < 2; d++) {
			flow_word *line = flow_line(ft, fam, 2 * pair + d);

			FLOW_ST(line, FLOW_W0(flow_w0_gen(FLOW_LD(line)), FLOW_P_FREE, 0, 0));
		}
		pool_add(t, fam, pair);
		pair = next;
	}
}

/* Everything that was freed before the grace period begins, as one chain a worker. */
static bool grace_step(struct fp_flow *t)
{
	unsigned n = t->n_workers, taken = 0;
	uint32_t *chain = xcalloc((size_t)FLOW__FAMILIES * (n + 1), sizeof(*chain));

	for (int f = 0; f < FLOW__FAMILIES; f++) {
		uint32_t *c = chain + f * (n + 1);

		for (unsigned i = 0; i < n; i++)
			c[i] = __atomic_exchange_n(&t->worker[i].freed[f], CHAIN_END,
						   __ATOMIC_ACQUIRE);
		c[n] = t->fam[f].waiting;
		t->fam[f].waiting = CHAIN_END;
		for (unsigned i = 0; i <= n; i++)
			taken += c[i] != CHAIN_END;
	}
	if (taken) {
		FLOW_MEMBARRIER();
		if (t->grace)
			t->grace(t->grace_ctx);
		for (int f = 0; f < FLOW__FAMILIES; f++)
			for (unsigned i = 0; i <= n; i++)
				reuse(t, f, chain[f * (n + 1) + i]);
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

/* --- adoption --- */

static bool published(const struct fp_flow *t, enum flow_family fam, uint32_t line, uint16_t gen)
{
	const struct flow_table *ft = &t->fam[fam];
	uint64_t hash = flow_hash(t->hdr, fam, flow_line(ft, fam, line) + 1);
	int s;

	return flow_slot_find(ft, hash, flow_slot(hash, gen, line), &s);
}

static bool lives(uint64_t word0)
{
	return !(flow_w0_gen(word0) & 1) && flow_w0_path(word0) >= FLOW_P_WORKER;
}

/*
 * A pair that its writer did not finish. Slots exist only while gen is even: insert publishes
 * after that, free clears before it. The new odd gen is later than both halves'.
 */
static void repair(struct fp_flow *t, enum flow_family fam, uint32_t pair, const uint64_t word0[2])
{
	struct flow_table *ft = &t->fam[fam];
	uint16_t gen[2];

	for (int d = 0; d < 2; d++) {
		gen[d] = flow_w0_gen(word0[d]) | 1;
		if (lives(word0[d]))
			flow_unpublish(t, fam, t->lock, 2 * pair + d, flow_w0_gen(word0[d]));
	}
	if ((int16_t)(gen[1] - gen[0]) > 0)
		gen[0] = gen[1];
	for (int d = 0; d < 2; d++)
		FLOW_ST(flow_line(ft, fam, 2 * pair + d), FLOW_W0(gen[0], FLOW_P_DEAD, 0, 0));
	ft->cold[pair].chain = ft->waiting;
	ft->waiting = pair;
}

static void adopt_pair(struct fp_flow *t, enum flow_family fam, uint32_t pair)
{
	struct flow_table *ft = &t->fam[fam];
	uint64_t word0[2];
	uint16_t gen;

	for (int d = 0; d < 2; d++)
		word0[d] = FLOW_LD(flow_line(ft, fam, 2 * pair + d));
	gen = flow_w0_gen(word0[0]);
	if (flow_w0_path(word0[0]) == FLOW_P_FREE && flow_w0_path(word0[1]) == FLOW_P_FREE) {
		t->adoption.free++;
		pool_add(t, fam, pair);
	} else if (lives(word0[0]) && lives(word0[1]) && gen == flow_w0_gen(word0[1]) &&
		   published(t, fam, 2 * pair, gen) && published(t, fam, 2 * pair + 1, gen)) {
		struct fp_flow_worker *w = &t->worker[ft->cold[pair].owner % t->n_workers];

		t->adoption.living++;
		flow_chain_push(ft, &w->adopted[fam], pair);
	} else {
		t->adoption.repaired++;
		repair(t, fam, pair, word0);
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

static void adopt_step(struct fp_flow *t, enum flow_family fam, unsigned budget)
{
	struct flow_table *ft = &t->fam[fam];
	uint32_t first = (uint32_t)t->hdr->spare_seg[fam] * ft->seg_pairs;

	for (; budget && ft->scan < ft->n_pairs; budget--, ft->scan++) {
		adopt_pair(t, fam, (first + ft->scan) % ft->n_pairs);
		/* There are not more buckets than pairs. */
		if (ft->scan <= ft->bucket_mask)
			flow_bucket_sweep(t, fam, ft->scan);
	}
	if (ft->scan < ft->n_pairs)
		return;
	spare_choose(t, fam);
	ft->scanning = false;
}

bool fp_flow_maintain(struct fp_flow *t, unsigned budget)
{
	bool more = false;

	for (int f = 0; f < FLOW__FAMILIES; f++) {
		if (t->fam[f].scanning)
			adopt_step(t, f, budget);
		refill(t, f);
	}
	if (grace_step(t))
		for (int f = 0; f < FLOW__FAMILIES; f++)
			refill(t, f);
	for (int f = 0; f < FLOW__FAMILIES; f++)
		more |= t->fam[f].scanning;
	t->adoption.done = !more;
	return more;
}

void fp_flow_adoption(const struct fp_flow *t, struct fp_flow_adoption *ret)
{
	*ret = t->adoption;
}
