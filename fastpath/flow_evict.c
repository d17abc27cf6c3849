/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Room in a table that fills up: flows that nobody has answered, and what is left of connections
 * that are over, end before their time. A pair is free again after a grace period only, so this
 * runs ahead of the inserts: maintenance says how many pairs are short (flow_table.want), and
 * workers look for them, each among its own flows, by a hand that goes round the pairs. Pairs that
 * were freed together are used again together, so what lies ahead of the hand is what has waited
 * longest, and a handshake has about a turn of the hand to end.
 */
#include "flow_priv.h"

#include "tcp_track.h"

/* Pairs looked at side by side: each costs three cache misses, one after the other. */
#define GROUP 16

struct suspect {
	uint32_t pair, place;
	uint64_t ref;
};

/* word0 of the answers' half: has nobody answered, or is it over? As the kernel judges what it
 * throws out of a full table (nf_conntrack: not assured; TCP that is closed). */
static bool may_go(uint64_t w0, uint16_t gen)
{
	const uint8_t noted = FLOW_F_FIN | FLOW_F_RST | FLOW_F_WINDOW;
	uint8_t flags = flow_w0_flags(w0), path = flow_w0_path(w0);
	unsigned state = flow_w0_state(w0) >> FLOW_TRACK_SHIFT;

	if (flow_w0_gen(w0) != gen || (path != FLOW_P_WORKER && path != FLOW_P_EXPRESS))
		return false;
	if (!(flags & FLOW_F_TCP))
		return !state;
	/* XDP went on without a worker: the state may be more than it says. */
	if (flags & noted)
		return false;
	switch (state) {
	case TCPT_S_SYN_SENT:
	case TCPT_S_SYN_RECV:
	case TCPT_S_SYN_SENT2:
	case TCPT_S_TIME_WAIT:
	case TCPT_S_CLOSE:
		return true;
	default:
		return false;
	}
}

/* The next pairs of the hand that are connections of this worker's; n of them, at most GROUP. */
static unsigned next_suspects(struct fp_flow_worker *w, enum flow_family fam, struct suspect *ret)
{
	const struct flow_table *ft = &w->t->fam[fam];
	unsigned n = 0;

	for (unsigned i = 0; i < GROUP; i++) {
		uint32_t pair = w->hand[fam];
		const struct flow_cold *c = &ft->cold[pair];

		w->hand[fam] = pair + 1 < ft->n_pairs ? pair + 1 : 0;
		if (c->gen & 1 || c->owner % w->t->n_workers != w->id ||
		    (__atomic_load_n(&c->flags, __ATOMIC_RELAXED) &
		     (FLOW_COLD_TRACKED | FLOW_COLD_GIVEN)) != FLOW_COLD_TRACKED)
			continue;
		ret[n++] = (struct suspect){ .pair = pair,
					     .place = c->place % (2 * ft->n_pairs),
					     .ref = flow_ref(c->gen, 2 * pair) };
		__builtin_prefetch(flow_side(ft, fam, ret[n - 1].place));
	}
	return n;
}

static unsigned evict_group(struct fp_flow_worker *w, enum flow_family fam)
{
	struct flow_table *ft = &w->t->fam[fam];
	struct suspect s[GROUP];
	unsigned n = next_suspects(w, fam, s), found = 0, ended = 0;

	for (unsigned i = 0; i < n; i++) {
		s[i].place = (uint32_t)(flow_side_load(ft, fam, s[i].place) >> 32) %
			     (2 * ft->n_pairs);
		__builtin_prefetch(flow_line(ft, fam, s[i].place));
	}
	for (unsigned i = 0; i < n; i++) {
		if (!may_go(FLOW_LD(flow_line(ft, fam, s[i].place)), (uint16_t)(s[i].ref >> 32)))
			continue;
		s[found++] = s[i];
		fp_flow_prefetch_lines(w, fam, s[i].ref);
	}
	for (unsigned i = 0; i < found; i++)
		fp_flow_prefetch_slots(w, fam, s[i].ref);
	for (unsigned i = 0; i < found; i++) {
		if (fp_flow_free(w, fam, s[i].ref))
			continue;
		flow_stat_add(w, FP_FLOW_STAT_EVICTED);
		ended++;
	}
	return ended;
}

unsigned fp_flow_evict(struct fp_flow_worker *w, unsigned budget)
{
	unsigned sum = 0;

	for (int fam = 0; fam < FLOW__FAMILIES; fam++) {
		struct flow_table *ft = &w->t->fam[fam];

		for (unsigned looked = 0; looked < budget; looked += GROUP) {
			unsigned n;

			if (likely(__atomic_load_n(&ft->want, __ATOMIC_RELAXED) <= 0))
				break;
			/* A turn of the hand has found nothing: no more than now and then. */
			if (w->in_vain[fam] >= ft->n_pairs && looked)
				break;
			n = evict_group(w, fam);
			w->in_vain[fam] = n ? 0 : w->in_vain[fam] + GROUP;
			__atomic_fetch_sub(&ft->want, (int32_t)n, __ATOMIC_RELAXED);
			sum += n;
		}
	}
	return sum;
}

/* Pairs that shall be free or on their way to be, so that what workers insert during a grace
 * period finds one: what rings hold, at least this share. */
#define FREE_SHARE 8

bool flow_evict_want(struct fp_flow *t, enum flow_family fam)
{
	struct flow_table *ft = &t->fam[fam];
	uint32_t goal = 0, have = ft->n_pool, freed = 0;

	for (unsigned i = 0; i < t->n_workers; i++) {
		const struct flow_ring *r = &t->worker[i].ring[fam];

		goal += r->mask + 1;
		have += r->head - __atomic_load_n(&r->tail, __ATOMIC_RELAXED);
		freed += __atomic_load_n(&t->worker[i].n_freed[fam], __ATOMIC_RELAXED);
	}
	goal = MAX(goal, ft->n_pairs / FREE_SHARE);
	have += freed - ft->n_reused;
	/* While adoption runs it is not known how many there are. */
	__atomic_store_n(&ft->want, ft->scanning || have >= goal ? 0 : (int32_t)(goal - have),
			 __ATOMIC_RELAXED);
	return !ft->scanning && have < goal;
}
