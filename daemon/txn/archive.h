/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: kept revisions of the running configuration, newest first when counted: 1 is the last.
 * <statedir>/archive/000017-20261121T140501Z-USER-WHAT.conf, 50 of them (ARCHIVE_KEEP).
 * One is added by a candidate commit, a save, a pasted or loaded transaction (boot and SIGHUP
 * too), and the end of a configure-terminal session that changed something; equal neighbours are
 * kept once.
 * A revision is written when no other came for a moment, one a turn of the loop, so that no
 * operator waits for it; few wait at a time, and what lists or loads revisions writes them first.
 * Owns: the folder, pending models. Threads: rtrd's loop only. Failure: logged; a commit does not
 * fail for it.
 */
#ifndef RTR_ARCHIVE_H
#define RTR_ARCHIVE_H

#include "schema/model.h"
#include "strbuf.h"

#include <jansson.h>

#define ARCHIVE_KEEP 50

struct event_base;
int archive_init(struct event_base *base, const char *statedir);
void archive_fini(void);

/* what: how it came about, or the operator's comment. */
void archive_add(const struct rec *root, const char *user, const char *what);
/* A text that must not be lost, as it is: a hand-edited startup configuration. */
void archive_add_text(const char *text, const char *user, const char *what);
/* Revision n, 1 = the newest. 0, or -errno with a sentence. */
int archive_load(unsigned n, struct rec **ret, struct strbuf *err);
/* The newest that can be read and passes, for a start whose startup configuration does not. */
int archive_load_good(bool (*passes)(const struct rec *root, struct strbuf *why), struct rec **ret,
		      char **ret_name);
/* [{"revision":1,"file":"...","time":"...","user":"...","comment":"..."}] newest first */
json_t *archive_list(void);

#endif
