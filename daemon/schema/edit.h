/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: applies configuration lines to a model: enters modes, sets leaves, adds to lists, `no`,
 * `default`. One editor is one place in one candidate.
 * Owns: its reference to the root. Threads: rtrd's loop only. Failure: a line that cannot be
 * applied changes nothing and explains itself in IOS's words, with the column.
 */
#ifndef RTR_EDIT_H
#define RTR_EDIT_H

#include "schema/model.h"

struct editor {
	struct rec *root;                /* exclusive or shared; edits copy as needed */
	struct rec *at[MODEL_MAX_DEPTH]; /* key-only records of the modes entered; depth of them */
	unsigned depth;
	/* Modes whose line was refused, and those inside it: what is typed next is theirs. */
	const struct sch_type *refused[MODEL_MAX_DEPTH];
	unsigned n_refused;
	char *refused_line; /* what was typed */
};

struct edit_error {
	enum syn_status status; /* SYN_OK: the line is well-formed, but its content is refused */
	unsigned col;           /* where the caret stands */
	struct strbuf text;     /* why, may be empty */
	bool absent;            /* no error: `no` named a record that is not there */
	bool repeated;          /* no error: there already, as `text` */
};

void editor_init(struct editor *e, const struct rec *root);
void editor_fini(struct editor *e);
/* Goes on from another root, at the same place, or as near to it as still exists. */
void editor_rebase(struct editor *e, const struct rec *root);
/* The type whose lines can be typed here. */
const struct sch_type *editor_mode(const struct editor *e);
/* True inside a mode whose lines apply together. */
bool editor_buffered(const struct editor *e);
void editor_leave(struct editor *e); /* `exit`: one mode up */
void editor_top(struct editor *e);   /* to the global mode */
/* A mode of this type, below where the editor stands, could not be entered: lines of it are refused
 * until it is left, or a line of another mode is taken. editor_line does so by itself. */
void editor_refuse(struct editor *e, const struct sch_type *t, const char *line);
/* `exit` of such a mode; false: there is none. */
bool editor_leave_refused(struct editor *e);

/* 0, or -EINVAL with err filled. Sets *ret_changed when the model differs after it. */
int editor_line(struct editor *e, const char *line, bool *ret_changed, struct edit_error *err);
void edit_error_fini(struct edit_error *err);

/* The lines that fit the words typed so far, for `?` and Tab: like syn_match, with `no` and
 * `default` understood. from: the first word that is part of the line itself. */
void editor_match(const struct editor *e, const struct syn_words *w, size_t to, size_t *ret_from,
		  struct syn_result *ret);

/* ---- for the configuration file's reader, which must end where the editor does ---- */

/* Values that only repeat the default are dropped: a model does not hold defaults. */
void edit_normalise(struct rec *r);
/* A list key that was left out goes after the last one ("10 permit ...", "20 ..."). False when
 * no number is left. */
bool edit_auto_key(const struct rec *parent, struct rec *r);
/* The record that r, without a key of its own, repeats where its row has `once`; NULL. */
const struct rec *edit_repeated(const struct rec *parent, const struct rec *r);
/* After a change of a list that is no line at its end. */
void edit_repeat_forget(void);

#endif
