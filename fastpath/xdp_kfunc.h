/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the calls of the express lane into the kernel's connection tracking. libbpf would look for
 * functions that the kernel itself does not have in the types of all modules, which takes
 * CAP_SYS_ADMIN, and refuses the whole program when it may not. So the program has calls of numbers
 * (rtr/express.h) that stand for them, and they are replaced here before it is loaded. Where
 * connection tracking is a module, somebody who may has opened its types (rtr/ct_types.h).
 * Owns: nothing. Threads: one: libbpf knows of the module for the whole process. Failure: -errno.
 */
#ifndef FP_XDP_KFUNC_H
#define FP_XDP_KFUNC_H

#include <stdbool.h>
#include <stdint.h>

struct bpf_object;

struct fp_kfuncs {
	int32_t lookup, release; /* numbers of their types */
	bool module;             /* ... in the module's, else in the kernel's */
};

/* Before the object is opened. types: of the module, or 0. False: the kernel has not both, or has
 * them in a module without types. */
bool fp_kfuncs_find(int types, struct fp_kfuncs *ret);

/* Of an object that is open and not loaded. */
int fp_kfuncs_set(struct bpf_object *o, const struct fp_kfuncs *k);

#endif
