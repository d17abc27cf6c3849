/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: included before every source file by the build; turns calls that have no safe use into
 * compile errors. The system headers are read first, so that only our own code is judged.
 */
#ifndef RTR_BANNED_H
#define RTR_BANNED_H

#ifndef __bpf__
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#pragma GCC poison strcpy strcat sprintf vsprintf gets strtok popen
#endif

#endif
