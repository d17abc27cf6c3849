/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the options of `monitor capture NAME interface ...`, which may stand before `match`, where
 * the grammar knows them, or behind the expression, which takes the rest of the line.
 * Threads: rtrd's loop only. Failure: a sentence.
 */
#ifndef RTR_CAPTURE_OPTS_H
#define RTR_CAPTURE_OPTS_H

#include "capture/capture.h"

struct cmd_ctx;

/* False after cmd_fail. */
bool capture_read_def(struct cmd_ctx *c, struct capture_def *d);
/* Takes options off the end of an expression. NULL, or what is wrong with them. */
const char *capture_take_options(char *expr, struct capture_def *d);

#endif
