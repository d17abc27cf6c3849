/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the model as a libconfig file: the startup configuration, the running journal and the
 * archive. A list is `name = ( { field = value; ... }, ... );`, a mode's record a group in it.
 * Hand-written files are welcome; one that rtr wrote carries its checksum in the first line, so
 * that a later `write memory` can tell whether a person edited it since.
 * Threads: rtrd's loop only. Failure: every fault as "file:line: knob: reason", and no model.
 */
#ifndef RTR_CONFFILE_H
#define RTR_CONFFILE_H

#include "schema/model.h"
#include "strbuf.h"

/* No configuration that a person or we write comes near; a wrong file must not fill memory. */
#define CONFFILE_MAX (64u << 20)

/* name is for messages. 0, or -EINVAL with one line a fault in errs. */
int conffile_parse(const char *name, const char *text, struct rec **ret_root, struct strbuf *errs);
/* Reads path. -ENOENT and other errno pass through with a sentence in errs. */
int conffile_read(const char *path, struct rec **ret_root, struct strbuf *errs);
/* comment: one line for the head ("written 2026-01-02T03:04:05Z by admin"), may be NULL. */
char *conffile_text(const struct rec *root, const char *comment);
/* False when the text carries our checksum and it is right: nobody touched it. */
bool conffile_hand_edited(const char *text);

#endif
