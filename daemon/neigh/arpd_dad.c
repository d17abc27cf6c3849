/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "neigh/arpd_dad.h"

#define MS NSEC_PER_MSEC

static void start_probes(struct dad *d, uint64_t at)
{
	d->probes_left = DAD_PROBE_NUM;
	d->probe_due_ns = at;
}

static void start_announces(struct dad *d, uint64_t now)
{
	d->announces_left = d->n_announce;
	d->announce_due_ns = d->n_announce ? now : 0;
}

void dad_begin(struct dad *d, enum arpd_mode mode, uint16_t n_announce, uint32_t announce_ms,
	       uint64_t now, dad_rnd_fn rnd)
{
	*d = (struct dad){ .mode = mode, .n_announce = n_announce, .announce_ms = announce_ms };
	if (mode != ARPD_ANNOUNCE)
		start_probes(d, now + rnd(DAD_PROBE_WAIT_MS) * MS);
	d->in_use = mode != ARPD_STRICT;
	if (d->in_use)
		start_announces(d, now);
}

uint64_t dad_due(const struct dad *d)
{
	uint64_t p = d->probe_due_ns ? d->probe_due_ns : UINT64_MAX;
	uint64_t a = d->announce_due_ns ? d->announce_due_ns : UINT64_MAX;

	return MIN(p, a);
}

enum dad_act dad_next(struct dad *d, uint64_t now, dad_rnd_fn rnd)
{
	if (d->announce_due_ns && now >= d->announce_due_ns) {
		d->announce_due_ns = --d->announces_left ? now + d->announce_ms * MS : 0;
		return DAD_ANNOUNCE;
	}
	if (!d->probe_due_ns || now < d->probe_due_ns)
		return DAD_NONE;
	if (d->probes_left) {
		uint32_t ms = DAD_ANNOUNCE_WAIT_MS;

		if (--d->probes_left)
			ms = DAD_PROBE_MIN_MS + rnd(DAD_PROBE_MAX_MS - DAD_PROBE_MIN_MS);
		d->probe_due_ns = now + ms * MS;
		return DAD_PROBE;
	}
	d->probe_due_ns = 0;
	if (!d->in_use) {
		d->in_use = true;
		start_announces(d, now);
	}
	return DAD_PASSED;
}

static bool every_so_often(uint64_t *last, uint64_t now)
{
	if (*last && now - *last < DAD_DEFEND_INTERVAL_MS * MS)
		return false;
	*last = now;
	return true;
}

void dad_conflict(struct dad *d, bool probe, uint64_t now, bool *ret_tell, bool *ret_defend)
{
	*ret_tell = *ret_defend = false;
	/* The kernel answers who asks for an address in use; one that only announces does not look.
	 */
	if (d->mode == ARPD_ANNOUNCE || (probe && d->in_use))
		return;
	d->n_conflicts++;
	*ret_tell = every_so_often(&d->told_ns, now);
	if (d->in_use) {
		*ret_defend = every_so_often(&d->defended_ns, now);
		d->probe_due_ns = 0; /* it is known */
		return;
	}
	/* Further frames of the same conflict do not push the next try away. */
	if (d->n_restarts && d->probes_left == DAD_PROBE_NUM)
		return;
	d->n_restarts++;
	start_probes(d, now + (d->n_restarts >= DAD_MAX_CONFLICTS ? DAD_RATE_LIMIT_MS
								  : DAD_DEFEND_INTERVAL_MS) *
					MS);
}
