/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one place that names the release and the wire versions two programs agree on.
 */
#ifndef RTR_VERSION_H
#define RTR_VERSION_H

#define RTR_VERSION "0.1.0"

#endif
