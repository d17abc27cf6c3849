/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the parent opens the types of the module of connection tracking for rtr-fastpath
 * (rtr/ct_types.h).
 * Owns: nothing. Threads: any. Failure: without a descriptor the program leaves policies that need
 * connections to the kernel where connection tracking is a module.
 */
#ifndef RTR_PARENT_TYPES_H
#define RTR_PARENT_TYPES_H

/* The descriptor, for the caller to close; -ENOENT: the kernel has no such module with types. */
int parent_types_open(void);

#endif
