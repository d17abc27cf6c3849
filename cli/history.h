/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the lines typed before, kept in ~/.rtrctl_history: one a line, written as they are typed,
 * so that several sessions share the file and a lost terminal loses nothing.
 * Owns: libedit's history and the file. Threads: one. Failure: without a file, or with one that
 * cannot be written, the history lives as long as the session.
 */
#ifndef RTR_CLI_HISTORY_H
#define RTR_CLI_HISTORY_H

#include <histedit.h>

struct cli_history;

struct cli_history *cli_history_new(void);
struct cli_history *cli_history_free(struct cli_history *h);
History *cli_history_el(struct cli_history *h);
void cli_history_add(struct cli_history *h, const char *line);

#endif
