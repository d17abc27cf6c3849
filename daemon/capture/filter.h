/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: capture filters in libpcap's language, compiled for a packet socket. Runs in rtr-captured
 * alone, which can open no file and no socket of the network: hosts have no names there, services
 * those of names.c, and no name server is asked.
 *
 * The kernel takes the VLAN tag out of a frame before a packet socket's filter sees it. So a filter
 * without the word `vlan` runs in the kernel and finds tagged packets like others; one with it runs
 * here, over the frame with its tag put back.
 * Owns: the compiled program. Threads: none. Failure: what is wrong and at which character.
 */
#ifndef RTR_CAPTURE_FILTER_H
#define RTR_CAPTURE_FILTER_H

#include "util.h"

#include <linux/filter.h>
#include <pcap/pcap.h>

#define FILTER_ERROR 320

struct filter {
	struct sock_filter *kernel; /* direction and, without `vlan`, the expression */
	size_t n_kernel;
	struct bpf_program user; /* bf_insns NULL: the kernel does all */
};

enum filter_dir { FILTER_BOTH, FILTER_IN, FILTER_OUT };

/* text "" or "any": every packet. dlt: DLT_EN10MB or DLT_RAW. 0, or -EINVAL with err. */
int filter_compile(struct filter *f, const char *text, int dlt, uint32_t snap, enum filter_dir dir,
		   char err[FILTER_ERROR]);
void filter_free(struct filter *f);
/* The part that runs here; true when there is none. */
bool filter_matches(const struct filter *f, const uint8_t *data, uint32_t have, uint32_t size);

#endif
