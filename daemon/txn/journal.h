/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the running configuration on disk, below /run: it survives rtrd, not a reboot.
 *	running   a whole configuration (conffile.h), with the boot and network namespace it is of
 *	journal   what each later commit changed, as lines to type, each with length and checksum
 *	intent    stands from before the first kernel write of a commit until it is published
 * A commit is published by the append to the journal: what was not published did not happen, and
 * the next start leads the kernel back.
 * Owns: the open journal. Threads: rtrd's loop only. Failure: -errno; the commit is then undone.
 */
#ifndef RTR_JOURNAL_H
#define RTR_JOURNAL_H

#include "schema/model.h"
#include "strbuf.h"

/* Opens <rundir>. *ret_running is NULL when there is no journal of this boot and namespace.
 * notes gets sentences for the log: an interrupted commit, a damaged tail. 0 or -errno. */
/* "boot ... netns ...": what state below /run belongs to; the caller frees. */
char *journal_place(void);
int journal_open(const char *rundir, struct rec **ret_running, uint64_t *ret_revision,
		 struct strbuf *notes);
void journal_close(void);

int journal_intent(uint64_t revision, const char *user, const char *source);
void journal_intent_clear(void);
int journal_publish(const struct rec *old, const struct rec *new, uint64_t revision);

#endif
