/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a schema row is a configuration line. From the rows come the parser, `?`, Tab, `no` and
 * `default`, the configuration file's reader and writer, show running-config, diff, JSON and the
 * manual; nothing of these is written per line.
 *
 *	struct iface { struct rec rec; char name[IFNAMSIZ]; uint32_t mtu; bool shutdown; };
 *	SCH_TYPE(iface, SCH_F(iface, name), SCH_F(iface, mtu), SCH_F(iface, shutdown));
 *	static const struct sch_row rows[] = {
 *		SCH_MODE("interface <name:IFNAME>", iface, .key = "name", .prompt = "config-if"),
 *		SCH_LEAF("mtu <mtu:U32(68,65535)>", iface, .help = "Largest packet sent"),
 *		SCH_LEAF("shutdown", iface, .flag = "shutdown", .help = "Take the interface down"),
 *	};
 *
 * The syntax of a line:
 *	word                 a keyword; any unique prefix of it is accepted
 *	<field:TYPE(args)>   a value of one of the types of types.c, landing in the record's field
 *	[ ... ]              may be left out; neighbouring ones are accepted in any order
 *	[ word]              with a field of that name ('-' as '_', a bool): set when present
 *	{a|b ...|<x:T>}      one of them; {field:a|b} stores which (0, 1, ...) in an integer field
 * The order of rows in a mode is the order in which show running-config prints them.
 *
 * Owns: types and rows are static; schema_init links them once. Threads: rtrd's loop only.
 * Failure: schema_init returns a sentence about the first wrong row; rtrd then refuses to start.
 */
#ifndef RTR_SCHEMA_H
#define RTR_SCHEMA_H

#include "schema/syntax.h"
#include "util.h"

struct rec;
struct sch_row;
struct cmd;
struct domain;

#define SCH_MAX_KIDS   64
#define SCH_MAX_FIELDS 64

struct sch_field {
	const char *name;
	size_t off, size;
	/* filled by schema_init from the rows that set the field */
	struct val_spec spec;          /* .type NULL: the field is a flag or a choice */
	const struct syn_node *choice; /* {field:a|b}: the alternatives by value */
	bool is_flag, secret;
};

/* A kind of record: what a mode or a list holds. Defined by SCH_TYPE, completed by schema_init. */
struct sch_type {
	const char *name; /* also its name in the configuration file and in JSON */
	size_t size;
	struct sch_field *fields;
	unsigned n_fields;

	const struct sch_row *row; /* the MODE or LIST row that makes it */
	struct sch_type *parent;
	struct sch_type *kids[SCH_MAX_KIDS];
	unsigned n_kids, kid_no; /* kid_no: place among the parent's kids */
	unsigned key[5], n_key;  /* field numbers, most significant first */
};

enum sch_kind {
	SCH_K_MODE, /* enters a mode; its records hold leaves and lists */
	SCH_K_LEAF, /* sets fields of the record it stands in (or, with key captures, of a list's)
		     */
	SCH_K_LIST, /* makes one record a line */
};

struct sch_row {
	enum sch_kind kind;
	const char *line;
	struct sch_type *type;   /* record that the captures land in */
	struct sch_type *parent; /* MODE, LIST: record type that holds it; NULL = top level */
	const char *help;        /* one sentence without a full stop; in `?` and in the manual */
	const char *key;         /* MODE, LIST: names of the key fields, blank separated */
	const char *prompt;      /* MODE: "config-if" */
	const char *flag;        /* LEAF without captures: the bool field it switches */
	const char *dflt;  /* LEAF: what is in force when not configured ("on"/"off" for a flag) */
	const char *name;  /* MODE, LIST: name in the file and in JSON, when not the struct's */
	uint32_t auto_key; /* LIST: step of a key that may be left out (10, 20, ...) */
	/* LIST with auto_key: a line that has this field and is there already, whatever its key, is
	 * not entered again when its key is left out. */
	const char *once;
	/* MODE: field that a new record gets in steps of 10 when the line leaves it out; with cmp,
	 * the order of typing. */
	const char *auto_order;
	bool single;   /* MODE: at most one record */
	bool buffered; /* MODE: its lines apply together when the mode is left */
	bool creates;  /* LIST: other lines naming its key need this one first */
	bool secret;   /* value masked for readers, in logs, JSON and tech-support */
	/* LIST: typing `typed` takes `old` away, as IOS does with a second primary address. */
	bool (*displaces)(const struct rec *typed, const struct rec *old);
	/* Order of printing and of the vector when it is not the order of the key. */
	int (*cmp)(const struct rec *a, const struct rec *b);
};

#define SCH_F(st, f)                                                                               \
	{                                                                                          \
		.name = #f, .off = offsetof(struct st, f), .size = sizeof(((struct st *)0)->f)     \
	}
#define SCH_TYPE(st, ...)                                                                          \
	static struct sch_field st##_fields[] = { __VA_ARGS__ };                                   \
	struct sch_type st##_type = {                                                              \
		.name = #st,                                                                       \
		.size = sizeof(struct st),                                                         \
		.fields = st##_fields,                                                             \
		.n_fields = ARRAY_LEN(st##_fields),                                                \
	}
#define SCH_MODE(l, st, ...)                                                                       \
	{                                                                                          \
		.kind = SCH_K_MODE, .line = l, .type = &st##_type, __VA_ARGS__                     \
	}
#define SCH_LEAF(l, st, ...)                                                                       \
	{                                                                                          \
		.kind = SCH_K_LEAF, .line = l, .type = &st##_type, __VA_ARGS__                     \
	}
#define SCH_LIST(l, st, ...)                                                                       \
	{                                                                                          \
		.kind = SCH_K_LIST, .line = l, .type = &st##_type, __VA_ARGS__                     \
	}

/* The record that holds top-level leaves and lists ("hostname", "ip route"); see model.h. */
extern struct sch_type global_type;

/* Help of a keyword that several lines share ("ip", "show"); merged from all domains. */
struct sch_word {
	const char *word, *help;
};

/* A row made ready. */
struct sch_line {
	const struct sch_row *row;
	struct sch_type *container; /* the record type whose mode the line is typed in */
	struct syn_prog prog;
	int value_field[SYN_MAX_VALUES]; /* field numbers of row->type */
	int set_field[SYN_MAX_SETS];
};

/* Links the rows and words of all domains. NULL, or what is wrong (valid until schema_fini). */
const char *schema_init(const struct domain *const *domains, size_t n);
void schema_fini(void);

/* The lines of a mode, in the order in which they are printed. */
size_t schema_lines(const struct sch_type *container, struct sch_line *const **ret);
/* The same as programs to match. */
const struct syn_set *schema_set(const struct sch_type *container);
/* The one line that makes records of a type. */
const struct sch_line *schema_maker(const struct sch_type *t);
/* Help of a keyword for `?`: of the words that lead to it ("configure terminal"), or of the last
 * one by itself; NULL when nobody gave one. What `domain` (may be NULL) says goes before what
 * others say: a "limit" of captures is not one of neighbours. */
const char *schema_word_help(const struct domain *domain, const char *path);

int sch_field_find(const struct sch_type *t, const char *name); /* -1 when there is none */
/* The words of alternative `v` of a choice: "permit", or the name of the value that it takes. */
const char *sch_choice_word(const struct sch_field *f, unsigned v);
static inline void *sch_at(const struct rec *r, const struct sch_field *f)
{
	return (char *)(uintptr_t)r + f->off;
}
uint64_t sch_uint(const struct rec *r, const struct sch_field *f); /* flags and choices too */
void sch_set_uint(struct rec *r, const struct sch_field *f, uint64_t v);

#endif
