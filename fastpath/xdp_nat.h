/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the maps that tell the express lane which packets to addresses of the box are NAT's
 * (rtr/express.h: express_nat, express_claims), made to be what a policy says. What stays is not
 * touched: packets meet no gap.
 *
 * A claimed range of ports is an entry a port; of a wide one, and when there are too many, the
 * lowest and the highest port of the address and protocol. A worker that gets more than it wanted
 * gives it to the kernel.
 *
 * Owns: nothing. Threads: the control thread. Failure: -E2BIG, -ENOMEM or of bpf(); what could be
 * entered is.
 */
#ifndef FP_XDP_NAT_H
#define FP_XDP_NAT_H

#include "pol.h"

#define FP_XDP_NAT_MAX 65536

int fp_xdp_nat_fill(int nat_fd, int claims_fd, const struct fp_pol_pool *pools, unsigned n_pools,
		    const struct fp_pol_claim *claims, unsigned n_claims);

#endif
