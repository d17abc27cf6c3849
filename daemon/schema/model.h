/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the model: a tree of records, each a plain struct that starts with struct rec.
 * Design: records and the sorted vectors that hold them are reference-counted and never changed
 * once shared: an edit copies the spine from the root to the changed record, everything else is
 * shared. So keeping an old model is free, and what differs between two models is found by
 * comparing pointers (model_diff), at the cost of the change.
 * Owns: a reference keeps the whole tree below it. Threads: rtrd's loop only.
 * Failure: aborts on memory exhaustion (util.h).
 */
#ifndef RTR_MODEL_H
#define RTR_MODEL_H

#include "schema.h"

#include <jansson.h>

struct recvec {
	unsigned refs;
	size_t len, room;
	struct rec *v[];
};

struct rec {
	const struct sch_type *type;
	unsigned refs;
	uint64_t present;     /* bit i: field i of the type was configured */
	struct recvec **kids; /* by kid_no of the type; NULL when the type has no children */
};

/* Fields that hold text (types WORD, LINE, ...) are char *, owned by their record. */

struct rec *rec_new(const struct sch_type *t);
struct rec *rec_ref(const struct rec *r); /* the count is not part of the value */
struct rec *rec_unref(struct rec *r);     /* NULL */

/* A new record with the key fields of r only: names a place, keeps nothing else alive. */
struct rec *rec_key_copy(const struct rec *r);

/* The root: one record of global_type. */
struct rec *model_new(void);

/* Children of one type, in order; never NULL (an empty vector when there are none). */
const struct recvec *rec_kids(const struct rec *r, const struct sch_type *kid);

/* The child with the key fields of `like`; NULL when there is none. */
const struct rec *rec_find(const struct rec *parent, const struct sch_type *kid,
			   const struct rec *like);

#define recvec_foreach(vec, var)                                                                   \
	for (size_t var##_i = 0;                                                                   \
	     var##_i < (vec)->len && ((var) = (const void *)(vec)->v[var##_i], 1); var##_i++)

/* True when the operator configured the field (SCH_HAS(i, mtu)). */
bool rec_has(const struct rec *r, const char *field);
#define SCH_HAS(rec_ptr, field) rec_has(&(rec_ptr)->rec, #field)

/* The first record of a single mode, or NULL: router bgp, ... */
const struct rec *rec_only(const struct rec *parent, const struct sch_type *kid);

int rec_key_cmp(const struct rec *a, const struct rec *b);   /* by the key fields */
int rec_order_cmp(const struct rec *a, const struct rec *b); /* by the row's cmp, then the key */
bool rec_field_equal(const struct rec *a, const struct rec *b, unsigned field);
/* The fields and what is configured of them; children are not looked at. */
bool rec_equal_fields(const struct rec *a, const struct rec *b);
bool model_equal(const struct rec *a, const struct rec *b); /* by value, children too */

/* ---- editing: the caller holds the only reference to the root that it edits ---- */

/* Makes *slot exclusive: copies the record when others hold it too. */
struct rec *rec_mut(struct rec **slot);
/* The child equal to `like` by key, exclusive, or NULL. parent must be exclusive. */
struct rec *rec_mut_kid(struct rec *parent, const struct rec *like);
/* Puts kid (reference consumed) in its place, replacing one of the same key. */
struct rec *rec_put(struct rec *parent, struct rec *kid);
bool rec_remove(struct rec *parent, const struct rec *like);
void rec_set_present(struct rec *r, unsigned field, bool on);
void rec_copy_field(struct rec *to, const struct rec *from, unsigned field);
void rec_clear_field(struct rec *r, unsigned field);

/* Modes nest at most this deep below the root. */
#define MODEL_MAX_DEPTH 4

/* One difference between two models: a record that came, went, or whose own fields changed. */
struct model_change {
	const struct rec *old, *new; /* NULL: came, went */
	/* The records around it, outermost first, without the root; from the new model where it
	 * has them. */
	const struct rec *around[MODEL_MAX_DEPTH];
	unsigned depth;
};
typedef void (*model_change_fn)(void *arg, const struct model_change *c);
/* Calls fn for each difference; of a record that came or went, its children follow it. Costs the
 * change: what both share is skipped by pointer. */
void model_diff(const struct rec *old, const struct rec *new, model_change_fn fn, void *arg);

#endif
