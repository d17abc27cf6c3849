/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: `ip sla N`: a probe that is sent again and again, and what became of it.
 * reachability: up while answers come. state: up while they come within the threshold. Each turns
 * after so many equal results in a row (faildetect, recover); the first result decides at once.
 * Owns: probes and timers of the running model. Threads: rtrd's loop only; sockets never block.
 * Failure: a probe that cannot be sent is a failed one.
 */
#ifndef RTR_SLA_H
#define RTR_SLA_H

#include "prefix.h"
#include "schema/model.h"
#include "track/track.h"

#include <net/if.h>

#define SLA_FREQUENCY_SEC 60 /* IOS's defaults */
#define SLA_TIMEOUT_MS    5000
#define SLA_THRESHOLD_MS  5000
#define SLA_FAILDETECT    1
#define SLA_RECOVER       1

enum sla_kind { SLA_ICMP_ECHO, SLA_TCP_CONNECT };

struct sla {
	struct rec rec;
	uint32_t id;
	uint8_t kind; /* enum sla_kind */
	struct rtr_addr dst, src;
	char src_if[IFNAMSIZ]; /* source address: the first one of this interface */
	uint16_t port;
	uint32_t frequency, frequency_ms; /* seconds, or milliseconds */
	uint32_t timeout, threshold;      /* ms */
	uint8_t faildetect, recover;
	char *tag;
};

extern struct sch_type sla_type;

const struct sla *sla_find(const struct rec *root, uint32_t id);

/* Up or down by enum track_sla; unknown before the first result and when there is none. */
enum track_state sla_state(uint32_t id, enum track_sla what);

enum sla_result { SLA_NONE, SLA_OK, SLA_OVER_THRESHOLD, SLA_TIMEOUT, SLA_ERROR };

struct sla_view { /* for show */
	enum sla_result last;
	const char *error; /* of the last one, with SLA_ERROR; else "" */
	uint64_t n[5];     /* by enum sla_result */
	uint64_t last_us, min_us, max_us, sum_us;
	double ago_sec; /* since the last result; < 0: none */
};
bool sla_view(uint32_t id, struct sla_view *ret);

/* Makes the probes that run those of the model; calls track_kick when a state changes. */
void sla_sync(const struct rec *root);
void sla_fini(void);

static inline unsigned sla_frequency_ms(const struct sla *s)
{
	return SCH_HAS(s, frequency_ms)
		       ? s->frequency_ms
		       : (SCH_HAS(s, frequency) ? s->frequency : SLA_FREQUENCY_SEC) * 1000;
}

#endif
