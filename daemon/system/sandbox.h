/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: how a helper process that reads what others send locks itself in: no new privileges, and
 * of the system calls those alone that it names; any other one kills it. Under ASan and TSan
 * nothing is locked: a sanitizer needs more calls than it says. Owns: nothing. Threads: all that
 * the process has by then; before the first packet. Failure: -errno; the process then must end.
 */
#ifndef RTR_SANDBOX_H
#define RTR_SANDBOX_H

#include "util.h"

#include <seccomp.h>

/* Beside `calls` (SCMP_SYS): memory, the clock, waiting, messages to standard error, the end. */
#define SANDBOX_NO_SOCKETS (-1)
/* family: new sockets of this family only, or SANDBOX_NO_SOCKETS. */
int sandbox_enter(const int *calls, size_t n, int family);
int sandbox_enter_families(const int *calls, size_t n, const int *families, size_t n_families);
/* The same, but other calls fail with EPERM: for a library that tries more than it needs. */
int sandbox_enter_refusing(const int *calls, size_t n, int family);

#endif
