/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a message with a descriptor (SCM_RIGHTS) over a Unix socket. Owns: nothing; what arrives
 * is the caller's. Threads: any. Failure: as sendmsg and recvmsg, with errno.
 */
#ifndef RTR_FDPASS_H
#define RTR_FDPASS_H

#include <stddef.h>
#include <sys/types.h>

/* fd -1: none goes along. Never waits. */
ssize_t fd_send(int sock, const void *msg, size_t size, int fd);
/* *ret_fd: close-on-exec; -1: none came. flags: of recvmsg. */
ssize_t fd_recv(int sock, void *msg, size_t size, int flags, int *ret_fd);

#endif
