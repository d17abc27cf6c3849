/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: how rtr-fastpath comes by the types of the kernel's connection tracking where that is a
 * module, as in distributions' kernels: XDP's calls into it name them by descriptor, and only
 * CAP_SYS_ADMIN may open one. rtrd's root parent opens it when it starts the program, as
 * descriptor CT_TYPES_FD; it is not there when the kernel itself has connection tracking, or none.
 */
#ifndef RTR_CT_TYPES_H
#define RTR_CT_TYPES_H

#define CT_TYPES_FD     5
#define CT_TYPES_MODULE "nf_conntrack"
/* The same types, for everybody to read. */
#define CT_TYPES_FILE "/sys/kernel/btf/" CT_TYPES_MODULE

#endif
