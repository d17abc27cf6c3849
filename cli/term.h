/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the terminal: its keys as bytes, its size, its modes, and output that cannot command it.
 * Everything typed passes through one buffer here, so that what was typed ahead, pasted or sent
 * by the terminal itself is never lost between the editor, the pager and a running command.
 * Owns: the terminal's modes, restored at exit. Threads: one. Failure: end of input is told once
 * and stays.
 */
#ifndef RTR_TERM_H
#define RTR_TERM_H

#include "strbuf.h"
#include "util.h"

#define KEY_CTRL(c) ((c)&0x1f)

struct term {
	struct strbuf keys;
	size_t pos; /* of keys: already taken */
	unsigned cols, rows;
	bool eof;
	bool smart; /* understands escape sequences */
};

/* Signals as they were seen since last asked; term_wait returns when one comes. */
struct term_signals {
	bool winch, intr, quit;
};

void term_init(struct term *t);
void term_fini(struct term *t);
/* Reads the size; true when it changed. */
bool term_measure(struct term *t);
/* Waits for a key or for `fd` (-1: none), at most ms (-1: no limit). Bytes that have come are in
 * the buffer afterwards. Returns whether fd is ready. */
bool term_wait(struct term *t, int fd, int ms);
struct term_signals term_take_signals(void);

static inline size_t term_pending(const struct term *t)
{
	return t->keys.len - t->pos;
}

/* The next byte, -1 when none is buffered. */
int term_byte(struct term *t);
/* Puts bytes back before those that are pending. */
void term_unread(struct term *t, const char *s, size_t len);
void term_flush_input(struct term *t);
/* Takes a pending ^C, and all that was typed before it, out of the buffer. */
bool term_take_ctrl_c(struct term *t);

/* As is. */
void term_raw(const char *s, size_t len);
void term_puts(const char *s);
/* Text from elsewhere: control characters other than newline and tab are made visible. */
void term_text(const char *s, size_t len);

#endif
