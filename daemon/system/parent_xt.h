/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the parent opens the lists of legacy iptables' tables for rtr-fastpath (rtr/xt_names.h): a
 * fixed pair of files, read-only, in the parent's own network namespace. Nothing that the program
 * says is looked at, but that it asks.
 * Owns: nothing. Threads: the parent's loop; never waits. Failure: without a socket or a descriptor
 * the program leaves all interfaces to the kernel where it cannot look itself.
 */
#ifndef RTR_PARENT_XT_H
#define RTR_PARENT_XT_H

#include "util.h"

/* Our end of a new socket, and the program's in *ret_prog, with the first answer in it. -errno. */
int parent_xt_open(int *ret_prog);
/* Answers what the program asked. False: it is gone. */
bool parent_xt_serve(int fd);

#endif
