/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many flows each source has begun. A source is an IPv4 address or an IPv6 /64; its counter is
 * a word in one of two lines of 8, which a hash with secret seeds chooses:
 *
 *	63             24 23        0
 *	| tag 40, of hash |  flows   |     0: free
 *
 * A word changes by compare-and-swap alone and is free again with its last flow: no lock, no grace
 * period, nothing to sweep. Two workers that begin a source's first two flows at once may make two
 * words for it: who looks adds them up, and who ends a flow takes it from either. Two sources are
 * one if their tags and lines agree, by chance 1 in 2^40 a pair. There are twice as many words as
 * pairs, so of two lines hardly ever both are full; then a source is refused.
 */
#include "flow_priv.h"

#include <sys/mman.h>

#define WORDS      8u
#define TAG_SHIFT  24
#define COUNT_MASK ((1ull << TAG_SHIFT) - 1)
/* Others may change what we are about to change; so often in a row nobody is met. */
#define TRIES 1000

struct flow_quota {
	uint32_t mask; /* lines - 1 */
	uint64_t (*line)[WORDS];
};

struct source {
	uint64_t tag; /* where it stands in a word */
	uint64_t *line[2];
};

struct flow_quota *flow_quota_new(uint32_t n_pairs)
{
	struct flow_quota *q = xcalloc(1, sizeof(*q));
	uint32_t lines = 1;
	void *p;

	while (lines * (uint64_t)WORDS < 2ull * n_pairs)
		lines *= 2;
	/* No memory before somebody counts. */
	p = mmap(NULL, lines * sizeof(*q->line), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED) {
		free(q);
		return NULL;
	}
	*q = (struct flow_quota){ .mask = lines - 1, .line = p };
	return q;
}

struct flow_quota *flow_quota_free(struct flow_quota *q)
{
	if (q)
		munmap(q->line, (q->mask + 1ull) * sizeof(*q->line));
	free(q);
	return NULL;
}

static struct source source_of(const struct fp_flow *t, enum flow_family fam, const uint8_t *addr)
{
	const struct flow_quota *q = t->quota;
	const uint64_t *seed = fam == FLOW_4 ? t->hdr->seed4 : t->hdr->seed6;
	uint64_t key = 0, h;

	memcpy(&key, addr, fam == FLOW_4 ? 4 : 8);
	h = hash_mix64(key * (seed[0] | 1) + seed[1]);
	return (struct source){ .tag = h & ~COUNT_MASK,
				.line = { q->line[h & q->mask], q->line[h >> 40 & q->mask] } };
}

/* What was found of a source. */
struct found {
	uint64_t sum;  /* its flows */
	uint64_t *at;  /* a word that counts them; else a free one, NULL: both lines are full */
	uint64_t word; /* as it was then */
};

static struct found look(const struct source *s)
{
	unsigned used[2] = { 0 };
	uint64_t *room[2] = { NULL, NULL };
	struct found f = { 0 };

	for (int c = 0; c < (s->line[0] == s->line[1] ? 1 : 2); c++) {
		for (unsigned i = 0; i < WORDS; i++) {
			uint64_t v = __atomic_load_n(&s->line[c][i], __ATOMIC_RELAXED);

			if (!v) {
				room[c] = &s->line[c][i];
				continue;
			}
			used[c]++;
			if ((v & ~COUNT_MASK) != s->tag)
				continue;
			f.sum += v & COUNT_MASK;
			f.at = &s->line[c][i];
			f.word = v;
		}
	}
	/* A new one in the emptier line. */
	if (!f.at)
		f.at = !room[0] || (room[1] && used[1] < used[0]) ? room[1] : room[0];
	return f;
}

/* False: another was quicker. */
static bool change(const struct found *f, uint64_t to)
{
	uint64_t old = f->word;

	return __atomic_compare_exchange_n(f->at, &old, to, false, __ATOMIC_RELAXED,
					   __ATOMIC_RELAXED);
}

bool fp_flow_quota_take(const struct fp_flow *t, enum flow_family fam, const uint8_t *addr,
			uint32_t max)
{
	struct source s = source_of(t, fam, addr);
	struct found f;

	do {
		f = look(&s);
		if (f.sum >= max || !f.at)
			return false;
	} while (!change(&f, (f.word | s.tag) + 1));
	return true;
}

void fp_flow_quota_give(const struct fp_flow *t, enum flow_family fam, const uint8_t *addr)
{
	struct source s = source_of(t, fam, addr);

	/* It is there, but may have been freed and made anew in the other line while we looked. */
	for (unsigned i = 0; i < TRIES; i++) {
		struct found f = look(&s);

		if (f.sum && change(&f, (f.word & COUNT_MASK) > 1 ? f.word - 1 : 0))
			return;
	}
}
