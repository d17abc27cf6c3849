/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the CLI reference, written from the schema's rows and the command table (Markdown).
 * `rtrd --print-manual` prints it; docs/cli-reference.md is made by it at build time.
 */
#ifndef RTR_MANUAL_H
#define RTR_MANUAL_H

#include <stdio.h>

/* Schema and commands must be linked (schema_init). 0, or -errno of writing. */
int manual_print(FILE *f);

#endif
