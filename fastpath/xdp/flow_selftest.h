/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what flow_selftest.bpf.c tells the test that runs it.
 */
#ifndef FP_FLOW_SELFTEST_H
#define FP_FLOW_SELFTEST_H

#include "rtr/flow.h"

enum flow_selftest_verdict {
	FLOW_SELFTEST_MISS,
	FLOW_SELFTEST_HIT,
	FLOW_SELFTEST_WORKER, /* another path, or a generation that changed */
	FLOW_SELFTEST_WINDOW, /* TCP that the express lane does not judge */
};

struct flow_selftest_result {
	uint32_t verdict, line; /* line: its name */
	uint32_t home;          /* found where the hash says */
	uint32_t unused;
	struct flow_rewrite4 rw4;
	struct flow_rewrite6 rw6;
};

#endif
