/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the model as configuration text, line differences and JSON. One spelling is printed,
 * definitions before uses, and the text read back gives the same model.
 * Threads: rtrd's loop only. Failure: none.
 */
#ifndef RTR_TEXT_H
#define RTR_TEXT_H

#include "schema/model.h"

#define TEXT_ALL    1u /* lines in force by default too */
#define TEXT_MASKED 2u /* secrets as "********" */
#define TEXT_NO_TOP 4u /* lists and modes only, no lines of the top level itself */

/* The whole configuration, modes separated by "!" lines, ending in "end". */
void text_config(const struct rec *root, unsigned flags, struct strbuf *b);
/* One line as the record has it. False when the record does not hold it. */
bool text_line(const struct sch_line *l, const struct rec *r, unsigned flags, struct strbuf *b);
/* The line that makes the record: "interface eth0", "ip address 10.0.0.1 255.0.0.0". */
void text_rec(const struct rec *r, struct strbuf *b);
/* Lines of new that old lacks with '+', of old that new lacks with '-', under their mode. */
void text_diff(const struct rec *old, const struct rec *new, unsigned flags, struct strbuf *b);
/* As much of it as there is when it comes to be longer than max bytes; returns how many changes
 * were left out. */
size_t text_diff_some(const struct rec *old, const struct rec *new, unsigned flags, size_t max,
		      struct strbuf *b);
/* Lines that, typed at the top of old, make new of it. Nothing when they are equal. */
void text_delta(const struct rec *old, const struct rec *new, struct strbuf *b);
/* False: they are longer than max bytes, and b has some of them. */
bool text_delta_within(const struct rec *old, const struct rec *new, size_t max, struct strbuf *b);
json_t *model_to_json(const struct rec *root, unsigned flags);

/* The mandatory value that keeps a line from being whole, or NULL. */
const char *text_missing(const struct sch_line *l, const struct rec *r);

#endif
