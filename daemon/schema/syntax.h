/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the syntax of lines (schema.h gives its notation), compiled to small programs, and the
 * matcher that runs all programs of a mode side by side over the words of a line.
 *
 * Why a matcher of threads (Pike's): abbreviations are judged against every line that is still
 * possible at that word, so `sh` is ambiguous exactly when two of them differ there; `?`, Tab and
 * the caret fall out of the same run. Cost: words x live threads, a few microseconds a line.
 *
 * Owns: programs are made once at start; a result owns its threads until syn_result_fini.
 * Threads: rtrd's loop only. Failure: syn_compile explains a wrong notation.
 */
#ifndef RTR_SYNTAX_H
#define RTR_SYNTAX_H

#include "schema/types.h"

#define SYN_MAX_VALUES 32
#define SYN_MAX_SETS   8

/* The notation as a tree: for printing lines and for the manual. */
enum syn_kind { SYN_SEQ, SYN_WORD, SYN_VALUE, SYN_OPT, SYN_ALT };

struct syn_node {
	enum syn_kind kind;
	/* WORD; the field's name of a VALUE, of {field:...}, of a flag [ word]; the keywords that
	 * an alternative starts with */
	char *word;
	unsigned index; /* VALUE: place in prog->values; ALT, OPT with a field: in prog->sets */
	bool has_set;
	struct syn_node **kid;
	size_t n_kids;
};

struct syn_value {
	char *name, *args;
	struct val_spec spec;
};

struct domain;

struct syn_prog {
	const char *text;            /* the notation */
	void *owner;                 /* the row or command that it belongs to */
	const struct domain *domain; /* whose it is: what its keywords mean */
	struct syn_node *tree;
	struct syn_value values[SYN_MAX_VALUES];
	unsigned n_values;
	char *sets[SYN_MAX_SETS]; /* field names that alternatives and flags set */
	unsigned n_sets;
	struct syn_ins *code;
	unsigned n_code;
	unsigned lead_words; /* keywords before the first value or choice */
};

/* NULL, or what is wrong with the notation (caller frees). The program is freed by syn_free. */
char *syn_compile(struct syn_prog *p, const char *text, void *owner);
void syn_free(struct syn_prog *p);

/* ---- a line cut into words ---- */

struct syn_words {
	char *copy;
	const char **tok;
	unsigned *col; /* where each word starts in the text */
	size_t n;
	bool open; /* no blank after the last word: it may be unfinished */
	const char *text;
};

void syn_words_init(struct syn_words *w, const char *text);
void syn_words_fini(struct syn_words *w);

/* ---- matching ---- */

struct syn_thread {
	const struct syn_prog *prog;
	uint16_t pc;
	uint16_t in_value;           /* words of the value under way that were taken so far */
	uint32_t once;               /* options that were used */
	uint16_t words;              /* keywords taken */
	uint16_t set_mask, set_read; /* choices made; made and confirmed by a word */
	uint8_t set[SYN_MAX_SETS];
	bool done; /* the line may end here */
	uint8_t n_caps;
	/* Last: of a copy only those that are taken count. */
	struct {
		uint8_t value;
		uint16_t tok, n;
	} cap[SYN_MAX_VALUES];
};

enum syn_status { SYN_OK, SYN_INCOMPLETE, SYN_AMBIGUOUS, SYN_INVALID };

struct syn_result {
	enum syn_status status;
	struct syn_thread
		*thread; /* live after the last word; with SYN_OK the first is the match */
	size_t n_threads;
	unsigned abbreviated; /* keywords that were not written out */
	size_t bad;           /* index of the word that did not fit (AMBIGUOUS, INVALID) */
	struct strbuf why;
};

/* Programs that are possible at once: the rows of a mode and the commands beside them. */
struct syn_set {
	const struct syn_prog **prog;
	size_t n, room;
};

void syn_set_add(struct syn_set *s, const struct syn_prog *p);
void syn_set_fini(struct syn_set *s);

/* Runs words[from..to) through the set. */
void syn_match(const struct syn_set *s, const struct syn_words *w, size_t from, size_t to,
	       struct syn_result *ret);
void syn_result_fini(struct syn_result *r);

/* What could come next: for every live thread, its next keywords and values, sorted, once each.
 * word is a keyword or a hint such as "<1-255>"; is_hint tells which. "<cr>" where it may end. */
typedef void (*syn_next_fn)(void *arg, const char *word, bool is_hint, const struct syn_prog *prog,
			    const struct val_spec *spec);
void syn_next(const struct syn_result *r, syn_next_fn fn, void *arg);

/* Reads captured value i of a thread into dst. 0, or -1 when it was not captured. */
int syn_capture(const struct syn_thread *t, const struct syn_words *w, unsigned value, void *dst);

#endif
