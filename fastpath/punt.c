/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "punt.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <unistd.h>

#define COST_NS (NSEC_PER_SEC / PUNT_RATE)
#define MAX_NS  (COST_NS * PUNT_BURST)
/* A page less the kernel's own part of it (MACHINE.md's 3,408 is for a batch). */
#define LEN_MAX 3400

int fp_punt_init(struct fp_punt *p)
{
	const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	*p = (struct fp_punt){ .credit_ns = MAX_NS };
	p->prog_fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "rtr_punt", "GPL", pass, ARRAY_LEN(pass),
				   NULL);
	return p->prog_fd < 0 ? p->prog_fd : 0;
}

void fp_punt_fini(struct fp_punt *p)
{
	if (p->prog_fd >= 0)
		close(p->prog_fd);
	p->prog_fd = -1;
}

enum rtr_drop fp_punt_frame(struct fp_punt *p, unsigned ifindex, const uint8_t *frame, uint32_t len,
			    uint64_t now_ns)
{
	struct xdp_md ctx = { .data_end = len, .ingress_ifindex = ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = len, .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1, .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
		    .batch_size = 1);
	int err;

	p->credit_ns = MIN(p->credit_ns + (now_ns - p->last_ns), MAX_NS);
	p->last_ns = now_ns;
	if (p->credit_ns < COST_NS)
		return RTR_DROP_PUNT_RATE;
	p->credit_ns -= COST_NS;
	if (len > LEN_MAX)
		return RTR_DROP_FRAME_LONG;
	err = bpf_prog_test_run_opts(p->prog_fd, &opts);
	if (!err)
		return RTR_DROP_NONE;
	p->n_failed++;
	p->last_errno = -err;
	return RTR_DROP_PUNT_RING;
}
