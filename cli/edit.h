/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: reads what a person enters: one line by libedit with IOS' keys, `?` and Tab answered by
 * rtrd, or a paste of several lines as a whole.
 * Owns: libedit, the history, the terminal's modes while it reads. Threads: one.
 * Failure: when rtrd goes away, the line stays and shell_reconnect is called under it.
 */
#ifndef RTR_EDIT_H
#define RTR_EDIT_H

#include "shell.h"

struct edit;

enum edit_result {
	EDIT_LINE,   /* text without its newline; may be empty */
	EDIT_PASTE,  /* several lines, each with its newline */
	EDIT_CANCEL, /* ^C */
	EDIT_END,    /* ^D, the terminal's end, or rtrd's */
};

struct edit *edit_new(struct shell *sh);
struct edit *edit_free(struct edit *e);
enum edit_result edit_read(struct edit *e, struct strbuf *ret_text);

/* In interactive.c: tells, waits for rtrd and connects again. False: given up, told, sh->over. */
bool shell_reconnect(struct shell *sh);

#endif
