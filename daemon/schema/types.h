/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the types of values in configuration lines and commands: how each is read from words,
 * printed, compared, hinted at by `?` and completed by Tab.
 * A value lands in a plain C object whose size the type fixes; text types land in a char * that
 * the holder owns. Threads: rtrd's loop only. Failure: a sentence that says what was expected.
 */
#ifndef RTR_TYPES_H
#define RTR_TYPES_H

#include "prefix.h"
#include "strbuf.h"

#include <jansson.h>
#include <net/if.h>

struct rec;

/* A type at one place of a line: "<mtu:U32(68,65535)>". */
struct val_spec {
	const struct val_type *type;
	const char *args;
	uint64_t lo, hi; /* of number types, from the arguments */
};

typedef void (*val_word_fn)(void *arg, const char *word);

struct val_type {
	const char *name;
	const char *what; /* "an IPv4 address": completes "expected ..." */
	const char *hint; /* "A.B.C.D"; NULL: made from the range */
	size_t size;      /* of the C object; for text sizeof(char *) */
	bool is_text;     /* char *, freed by its holder */
	bool is_number;   /* an unsigned integer of `size` bytes: a JSON and libconfig integer */
	bool is_rest;     /* takes the rest of the line, blanks and all */
	/*
	 * Reads words tok[0..n). Returns how many it used, 0 when more words are needed, -1 when
	 * they are wrong, with the reason added to err. dst may be NULL (only asking).
	 */
	int (*parse)(const struct val_spec *s, const char *const *tok, size_t n, void *dst,
		     struct strbuf *err);
	void (*print)(const struct val_spec *s, const void *src, struct strbuf *b);
	/* NULL: memcmp (numbers are compared as numbers). */
	int (*cmp)(const void *a, const void *b);
	/* Hint for word `n` of the value, when it takes several. NULL: `hint` for all. */
	const char *(*hint_n)(const struct val_spec *s, size_t n);
	/* Offers the words that exist on this box (interfaces, names in the model). */
	void (*complete)(const struct val_spec *s, const struct rec *model, val_word_fn fn,
			 void *arg);
};

/* A type that a domain brings along; its name must be new. */
#define VAL_TYPE(t)                                                                                \
	static const struct val_type *const t##_entry                                              \
		__attribute__((used, section("rtr_val_types"))) = &(t)

const struct val_type *val_type_find(const char *name, size_t len);
/* Makes a spec from TYPE(args); false when the arguments are not of the type's form. */
bool val_spec_init(struct val_spec *s, const struct val_type *type, const char *args);

int val_cmp(const struct val_type *t, const void *a, const void *b);
/* The text of `?`: "<68-65535>", "A.B.C.D". */
void val_hint(const struct val_spec *s, size_t n, struct strbuf *b);
uint64_t val_number(const struct val_type *t, const void *src);
void val_set_number(const struct val_type *t, void *dst, uint64_t v);
/* The spelling in one word where the printed one has two (A.B.C.D/nn). False: there is none. */
bool val_one_word(const struct val_spec *s, const void *src, char buf[RTR_PREFIX_STRLEN]);
json_t *val_to_json(const struct val_spec *s, const void *src);
/* Reads a value from one string, blanks separating its words. 0, or -EINVAL with err. */
int val_from_text(const struct val_spec *s, const char *text, void *dst, struct strbuf *err);
void val_free(const struct val_type *t, void *v); /* text is freed; others need nothing */
/* Of one word of text, for a domain's type that completes the names of its things. */
int val_text_parse(const struct val_spec *s, const char *const *tok, size_t n, void *dst,
		   struct strbuf *err);
void val_text_print(const struct val_spec *s, const void *src, struct strbuf *b);
int val_text_cmp(const void *a, const void *b);

/* Where IFNAME completes from; set by the interface domain. */
extern void (*val_ifname_source)(val_word_fn fn, void *arg);
/* "lo0", "Loopback 0" are one spelling too many: canonical form of an interface name into
 * ret[IFNAMSIZ]. False when it cannot be one. */
bool val_ifname_canonical(const char *s, char *ret);

/* An address to send to: a link-local one names its interface ("fe80::1%eth0"). */
struct zoned_addr {
	struct rtr_addr addr;
	char zone[IFNAMSIZ]; /* "" = none */
};

/* An address to match in an access list: any, one host, a prefix, or bits by wildcard. Above its
 * lowest run of bits a wildcard has at most so many more: each doubles the ranges that it means. */
#define ACL_WILD_HIGH 8
struct acl_addr {
	struct rtr_addr addr, wild; /* wild: 1 bits are not looked at */
};

#endif
