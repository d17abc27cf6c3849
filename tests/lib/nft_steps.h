/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: steps that tests of nftables have in common, over nft_plane.h: a commit that must succeed,
 * a restart, and that both find nothing to do.
 */
#ifndef RTR_TEST_NFT_STEPS_H
#define RTR_TEST_NFT_STEPS_H

#include "check_main.h"
#include "netns.h"
#include "nft_plane.h"
#include "nft/nft_expr.h"

static inline struct nft_chain *base_chain(const char *name, const char *type, uint32_t hook,
					   int32_t prio)
{
	return nft_chain_new(&(struct nft_chain_spec){
		.name = name, .type = type, .hook = hook, .prio = prio, .policy = NF_ACCEPT });
}

static inline void setup(void)
{
	netns_enter();
	ck_assert(sh("ip link set lo up"));
	plane_setup();
}

static inline void good(void)
{
	plane_apply(APPLY_COMMIT);
	ck_assert_msg(!plane_res.n_errors, "%s", plane_res.text);
}

static inline void restart(void)
{
	plane_stop();
	plane_start();
}

/* Once more, from what we remember and from what the kernel tells: nothing to write. */
static inline void settled(void)
{
	good();
	ck_assert_uint_eq(plane_res.n_writes, 0);
	restart();
	good();
	ck_assert_uint_eq(plane_res.n_writes, 0);
}

static inline void load_saddr(struct nft_rule *r, uint32_t reg)
{
	nft_family_is(r, NFPROTO_IPV4);
	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, 12, 4, reg);
}

#endif
