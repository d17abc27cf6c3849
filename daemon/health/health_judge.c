/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/health.h"

static enum health_state state_of(double value, double warn, double crit)
{
	return value >= crit ? HEALTH_CRIT : value >= warn ? HEALTH_WARN : HEALTH_OK;
}

/* What this sample speaks for, coming from `from`: a state is left downwards only when the value
 * is well below its threshold. */
static enum health_state vote(enum health_state from, double value, double warn, double crit)
{
	enum health_state plain = state_of(value, warn, crit);
	enum health_state kept = state_of(value, warn * HEALTH_BETTER / 100,
					  crit * HEALTH_BETTER / 100);

	if (plain >= from)
		return plain;
	return kept < from ? kept : from;
}

bool health_judge(struct health_judge *j, double value, bool known, uint32_t warn, uint32_t crit)
{
	enum health_state now = known ? vote(j->state, value, warn, crit) : HEALTH_UNKNOWN;
	unsigned need = now > j->state ? HEALTH_WORSE_SAMPLES : HEALTH_BETTER_SAMPLES;

	if (now == j->state) {
		j->n = 0;
		return false;
	}
	/* Samples between two states, WARN and CRIT by turns, speak for the milder one. */
	if (!j->n || (now > j->state) != (j->next > j->state)) {
		j->n = 1;
		j->next = now;
	} else {
		j->n++;
		j->next = now > j->state ? MIN(j->next, now) : MAX(j->next, now);
	}
	/* The first value that there is decides at once. */
	if (j->state != HEALTH_UNKNOWN && j->n < need)
		return false;
	j->n = 0;
	j->state = j->next;
	return true;
}
