/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: records that are found by a 64-bit id: counters of lines. A record is a struct that begins
 * with its uint64_t id, and is zero behind that when it is new.
 * Design: open addressing, at most half full; a record is never removed, and moves when another one
 * is added. Owns: the records. Threads: the caller's. Failure: none (memory: exits).
 */
#ifndef RTR_ID_TABLE_H
#define RTR_ID_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct id_table {
	size_t size; /* of a record; set by the caller, ID_TABLE_INIT */
	size_t n, room;
	uint8_t *slot;
};

#define ID_TABLE_INIT(type)                                                                        \
	{                                                                                          \
		.size = sizeof(type)                                                               \
	}

/* NULL: it is not there, or id is 0. */
void *id_table_find(const struct id_table *t, uint64_t id);
/* Adds it when it is not there; id is not 0. */
void *id_table_take(struct id_table *t, uint64_t id);
/* The record behind r, or the first; NULL: no more. */
void *id_table_next(const struct id_table *t, const void *r);
void id_table_fini(struct id_table *t);

#endif
