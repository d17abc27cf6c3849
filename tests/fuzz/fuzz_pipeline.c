/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any frame through the fast way: nothing is read behind it, and what is forwarded is what the
 * general way calls sound.
 */
#include "../../fastpath/parse.h"
#include "../../fastpath/pipeline.h"
#include "util.h"

#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)
#define HEADROOM 64
#define ETH_MIN  60

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fp_adj adjs[2];
static struct fp_pipe pipe_;
static struct fp_burst b;

static void setup(void)
{
	static const uint8_t any[16];
	const uint32_t pairs[] = { 32, 32 };
	static struct fp_flow_mem mem;
	struct fp_flow_conf conf = { .n_workers = 1 };
	struct lpm_params params = { 0 };
	struct fp_flow *flows;
	struct lpm4 *l4;
	struct lpm6 *l6;

	CHECK(!fp_flow_mem_anon(pairs, &mem) && !fp_flow_open(&mem, &conf, &flows));
	CHECK(!lpm4_new(&params, &l4) && !lpm6_new(&params, &l6));
	CHECK(!lpm4_set(l4, 0, 0, 1) && !lpm6_set(l6, any, 0, 1));
	adjs[1] = (struct fp_adj){ .len = 22, .mtu = 1500 };
	pipe_ = (struct fp_pipe){ .flows = flows, .lpm4 = l4, .lpm6 = l6, .adj = adjs, .n_adj = 2 };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *exact, *frame;
	struct fp_pkt p;

	if (!pipe_.flows)
		setup();
	if (size < 6 || size > 2000)
		return 0;
	exact = xmalloc(size);
	memcpy(exact, data, size);
	memcpy(b.mac, data, 6);
	b.n = 1;
	b.data[0] = exact;
	b.len[0] = (uint32_t)size;
	fp_pipe_parse(&b);
	fp_pipe_lookup(&pipe_, &b);
	CHECK(b.act[0] == FP_A_SLOW || b.act[0] == FP_A_MISS);
	free(exact);

	/* A buffer has room for the minimum that Ethernet wants. */
	frame = xmalloc(HEADROOM + MAX(size, (size_t)ETH_MIN));
	memcpy(frame + HEADROOM, data, size);
	b.data[0] = frame + HEADROOM;
	fp_pipe_routes(&pipe_, &b, NULL);
	if (b.act[0] == FP_A_TX) {
		CHECK(fp_classify(data, (uint32_t)size, &p) == FP_V_FORWARD ||
		      p.flags & FP_F_L2_GROUP);
		CHECK(b.data[0] >= frame && b.len[0] >= ETH_MIN);
	} else {
		CHECK(!memcmp(frame + HEADROOM, data, size));
	}
	free(frame);
	return 0;
}
