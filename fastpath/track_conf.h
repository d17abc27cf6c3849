/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: timeouts and strictness of connections as the kernel has them in this network namespace
 * (net.netfilter.nf_conntrack_*): rtrd sets these, and so does whoever else.
 *
 * A connection is never taken up in its middle here: that is the kernel's, whatever tcp_loose says.
 *
 * Owns: nothing. Threads: the control thread. Failure: what cannot be read is the kernel's default.
 */
#ifndef FP_TRACK_CONF_H
#define FP_TRACK_CONF_H

#include "track.h"

void fp_track_conf_read(struct fp_track_conf *ret);

#endif
