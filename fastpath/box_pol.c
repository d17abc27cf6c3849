/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "box.h"

#include "hash.h"
#include "nat_way.h"
#include "rtr/fastpol.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- to rtrd --- */

static void tell(struct fp_box *b, enum fastpath_judged what, uint32_t tag, const char *text)
{
	struct fastpath_event e = { .kind = FASTPATH_JUDGED };
	struct fp_keeper_stats s;

	e.u.policy.what = what;
	e.u.policy.tag = tag;
	if (what == FASTPATH_J_SWEPT) {
		fp_keeper_stats(b->keeper, &s);
		e.u.policy.judged = s.judged - b->pol.judged0;
		e.u.policy.ended = s.ended - b->pol.ended0;
	}
	rtr_strlcpy(e.u.policy.text, text, sizeof(e.u.policy.text));
	b->conf.judged(b->conf.ctx, &e);
}

/* --- a blob --- */

static int read_all(int fd, uint8_t *to, uint64_t size)
{
	for (uint64_t at = 0; at < size;) {
		ssize_t n = pread(fd, to + at, size - at, (off_t)at);

		if (n <= 0)
			return n < 0 ? -errno : -EINVAL;
		at += (uint64_t)n;
	}
	return 0;
}

static void make(struct fp_box_pol *bp, unsigned n_workers)
{
	const struct fp_box_blob *in = &bp->in_work;
	uint8_t *blob = NULL;
	struct stat st;

	bp->made = NULL;
	snprintf(bp->text, sizeof(bp->text), "policy cannot be read");
	if (!fstat(in->fd, &st) && in->size && (uint64_t)st.st_size == in->size &&
	    in->size <= FASTPOL_SIZE_MAX)
		blob = malloc(in->size);
	if (blob && !read_all(in->fd, blob, in->size)) {
		bp->hash = hash_bytes(blob, in->size, FASTPOL_VERSION) | 1;
		fp_pol_new(blob, in->size, n_workers, bp->now, &bp->made, bp->text);
	}
	free(blob);
	close(in->fd);
}

static void *work(void *arg)
{
	struct fp_box *b = arg;

	make(&b->pol, b->conf.n_workers);
	__atomic_store_n(&b->pol.done, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Nothing is published meanwhile, so `now` stays. */
static void begin_work(struct fp_box *b)
{
	sigset_t all, old;
	int err;

	b->pol.in_work = b->pol.waits;
	b->pol.waits.is = false;
	b->pol.done = 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&b->pol.thread, NULL, work, b);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!err)
		return;
	close(b->pol.in_work.fd);
	b->pol.in_work.is = false;
	tell(b, FASTPATH_J_REFUSED, b->pol.in_work.tag, "policy: no thread to build it");
}

/* Interfaces that flows of a process before may have their answers by: those that it had. */
static uint64_t zones_found(const struct fp_box *b)
{
	uint64_t zones = 0;

	_Static_assert(FP_PORTS_MAX <= 64, "a bit a zone");
	for (unsigned slot = 0; slot < FP_PORTS_MAX; slot++)
		zones |= (uint64_t)(b->port[slot].ifindex != 0) << slot;
	return zones;
}

static bool can_serve(struct fp_box *b, const struct fp_pol *p, char *text)
{
	if (!fp_pol_stateful(p) || fp_xdp_sees_ct(b->xdp))
		return true;
	snprintf(text, FASTPATH_TEXT,
		 "policy: XDP cannot ask this kernel for its connections (bpf_xdp_ct_lookup)");
	return false;
}

/* --- in force --- */

/* What of a packet to an address of the box is NAT's, XDP shall know before workers do. */
static void claim(struct fp_box *b, const struct fp_pol *p)
{
	const struct fp_pol_claim *claims;
	const struct fp_pol_pool *pools;
	unsigned n_claims = fp_pol_claims(p, &claims), n_pools = fp_pol_pools(p, &pools);

	if (fp_xdp_nat_set(b->xdp, pools, n_pools, claims, n_claims))
		b->conf.note(b->conf.ctx, "Too many translations for XDP: some flows begin in the "
					  "kernel");
}

static void publish(struct fp_box *b, struct fp_pol *p, uint32_t tag)
{
	struct express_ctl *ctl = fp_xdp_ctl(b->xdp);
	/* With a generation for each restart a few in a row, faster than sweeps, would outdate
	 * flows that nothing has changed for. */
	bool same = ctl->policy_hash == b->pol.hash;
	uint16_t gen = (uint16_t)(ctl->policy + !same);
	struct fp_keeper_stats s;

	fp_keeper_stats(b->keeper, &s);
	b->pol.judged0 = s.judged;
	b->pol.ended0 = s.ended;
	fp_pol_renumber(p, gen);
	fp_xdp_stateful(b->xdp, fp_pol_stateful(p));
	fp_nat_follow(fp_pol_nat(p), b->pol.now ? fp_pol_nat(b->pol.now) : NULL, zones_found(b));
	claim(b, p);
	b->pol.old = b->pol.now;
	b->pol.tag = tag;
	b->pol.version++;
	/* Flows of the generation before pass by XDP all the time, those of the new one as soon as
	 * there are any. */
	if (!same)
		__atomic_store_n(&ctl->policy_hash, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&ctl->policy, gen, __ATOMIC_RELEASE);
	__atomic_store_n(&ctl->policy_hash, b->pol.hash, __ATOMIC_RELEASE);
	__atomic_store_n(&b->pol.past, b->pol.now, __ATOMIC_RELEASE);
	/* The next sweep is one that reads this: the store comes before the look at its number, as
	 * the keeper numbers a sweep before it reads. */
	__atomic_store_n(&b->pol.now, p, __ATOMIC_SEQ_CST);
	b->pol.sweep = fp_keeper_next(b->keeper);
	fp_keeper_hurry(b->keeper);
	tell(b, FASTPATH_J_TAKEN, tag, "");
}

static void take_work(struct fp_box *b)
{
	struct fp_pol *p;

	pthread_join(b->pol.thread, NULL);
	b->pol.in_work.is = false;
	p = b->pol.made;
	if (p && can_serve(b, p, b->pol.text)) {
		publish(b, p, b->pol.in_work.tag);
		return;
	}
	fp_pol_free(p);
	tell(b, FASTPATH_J_REFUSED, b->pol.in_work.tag, b->pol.text);
}

void fp_box_policy(struct fp_box *b, uint32_t tag, int fd, uint64_t size)
{
	if (b->pol.waits.is)
		close(b->pol.waits.fd);
	b->pol.waits = (struct fp_box_blob){ true, fd, tag, size };
	fp_box_policy_turn(b);
}

/* --- out of force --- */

static void freed(struct fib_defer *d)
{
	struct fp_box_pol *bp = container_of(d, struct fp_box_pol, defer);

	fp_nat_follow(fp_pol_nat(bp->now), fp_pol_nat(bp->old), 0);
	fp_pol_inherit(bp->now, bp->old);
	bp->old = fp_pol_free(bp->old);
	bp->fading = false;
	bp->version++;
}

static void swept(struct fp_box *b)
{
	b->pol.sweep = 0;
	tell(b, FASTPATH_J_SWEPT, b->pol.tag, "");
	__atomic_store_n(&b->pol.past, NULL, __ATOMIC_RELEASE);
	if (!b->pol.old)
		return;
	b->pol.fading = true;
	b->pol.defer.done = freed;
	fib_rcu_defer(b->rcu, &b->pol.defer);
}

void fp_box_policy_turn(struct fp_box *b)
{
	if (b->pol.in_work.is && __atomic_load_n(&b->pol.done, __ATOMIC_ACQUIRE))
		take_work(b);
	if (b->pol.sweep && fp_keeper_swept(b->keeper, b->pol.sweep))
		swept(b);
	if (b->pol.fading)
		fib_rcu_drain(b->rcu, false);
	if (b->pol.waits.is && !b->pol.in_work.is && !b->pol.sweep && !b->pol.fading)
		begin_work(b);
}

bool fp_box_policy_busy(const struct fp_box *b)
{
	return b->pol.in_work.is || (b->pol.sweep && b->sweeping) || b->pol.fading;
}

/* Behind workers and keeper, and a drained b->rcu. */
void fp_box_policy_fini(struct fp_box *b)
{
	if (b->pol.in_work.is) {
		pthread_join(b->pol.thread, NULL);
		fp_pol_free(b->pol.made);
	}
	if (b->pol.waits.is)
		close(b->pol.waits.fd);
	b->pol.old = fp_pol_free(b->pol.old);
	b->pol.now = fp_pol_free(b->pol.now);
}
