/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/tls_hello.h"

#include <string.h>

#define REC_HANDSHAKE    22
#define REC_HEAD         5
#define REC_MAX          16384 /* bytes of one record, RFC 8446 5.1 */
#define HS_CLIENT_HELLO  1
#define HS_HEAD          4
#define EXT_SERVER_NAME  0
#define EXT_ECH          0xfe0d
#define NAME_HOST        0
#define LABEL_MAX        63
#define EXTENSIONS_SHOWN 64 /* kinds remembered to find one that comes twice; clients send 20 */

/* ---- bytes ---- */

struct cur {
	const uint8_t *p, *end;
	bool bad;
};

static size_t left(const struct cur *c)
{
	return (size_t)(c->end - c->p);
}

static uint32_t num(struct cur *c, unsigned bytes)
{
	uint32_t n = 0;

	if (left(c) < bytes) {
		c->bad = true;
		c->p = c->end;
		return 0;
	}
	while (bytes--)
		n = n << 8 | *c->p++;
	return n;
}

/* A part that says its own length in so many bytes. */
static struct cur part(struct cur *c, unsigned bytes)
{
	uint32_t n = num(c, bytes);
	struct cur r = { c->p, c->p, false };

	if (n > left(c)) {
		c->bad = r.bad = true;
		return r;
	}
	r.end = c->p += n;
	return r;
}

/* ---- names ---- */

static bool is_letter(char ch)
{
	/* The underscore is in names that are in use. */
	return (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '-' || ch == '_';
}

/* Labels of 1 to 63 letters, dots between them. */
static bool name_ok(const char *s)
{
	size_t label = 0;

	for (; *s; s++) {
		if (*s == '.' ? !label : !is_letter(*s))
			return false;
		label = *s == '.' ? 0 : label + 1;
		if (label > LABEL_MAX)
			return false;
	}
	return label;
}

static bool take_name(const struct cur *c, struct tls_name *ret)
{
	size_t n = left(c);

	if (!n || n > TLS_NAME_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		ret->name[i] = (char)(c->p[i] >= 'A' && c->p[i] <= 'Z' ? c->p[i] + 32 : c->p[i]);
	if (n > 1 && ret->name[n - 1] == '.')
		n--;
	ret->name[n] = '\0';
	return strlen(ret->name) == n && name_ok(ret->name);
}

bool tls_pattern_ok(const char *p)
{
	if (!strcmp(p, "*"))
		return true;
	if (!strncmp(p, "*.", 2))
		p += 2;
	return strlen(p) <= TLS_NAME_MAX - 2 && name_ok(p);
}

bool tls_name_matches(const char *pattern, const char *name)
{
	size_t n = strlen(name), k;

	if (!strcmp(pattern, "*"))
		return true;
	if (strncmp(pattern, "*.", 2) != 0)
		return !strcmp(pattern, name);
	k = strlen(++pattern); /* ".example.com" */
	return n > k && !strcmp(name + n - k, pattern);
}

/* ---- the hello ---- */

/* RFC 6066: a list of names, of which only one kind was ever defined, and one of it may be there.
 */
static bool read_names(struct cur ext, struct tls_name *ret)
{
	struct cur list = part(&ext, 2), name;
	uint32_t kind = num(&list, 1);

	name = part(&list, 2);
	return !ext.bad && !list.bad && !left(&ext) && !left(&list) && kind == NAME_HOST &&
	       take_name(&name, ret);
}

static bool is_new(uint16_t *seen, size_t *n, uint16_t kind)
{
	for (size_t i = 0; i < *n; i++) {
		if (seen[i] == kind)
			return false;
	}
	if (*n < EXTENSIONS_SHOWN)
		seen[(*n)++] = kind;
	return *n < EXTENSIONS_SHOWN;
}

static enum tls_hello read_extensions(struct cur exts, struct tls_name *ret)
{
	uint16_t seen[EXTENSIONS_SHOWN];
	bool named = false;
	size_t n = 0;

	while (left(&exts)) {
		uint16_t kind = (uint16_t)num(&exts, 2);
		struct cur ext = part(&exts, 2);

		if (exts.bad || !is_new(seen, &n, kind))
			return TLS_BAD;
		if (kind == EXT_ECH)
			ret->ech = true;
		if (kind != EXT_SERVER_NAME)
			continue;
		named = read_names(ext, ret);
		if (!named)
			return TLS_BAD;
	}
	return named ? TLS_NAME : TLS_NO_NAME;
}

static enum tls_hello read_body(struct cur body, struct tls_name *ret)
{
	struct cur session, suites, methods, exts;
	uint32_t version = num(&body, 2);

	for (int i = 0; i < 32; i++) /* random */
		num(&body, 1);
	session = part(&body, 1);
	suites = part(&body, 2);
	methods = part(&body, 1);
	if (body.bad || version >> 8 != 3 || left(&session) > 32 || left(&suites) < 2 ||
	    left(&suites) % 2 || !left(&methods))
		return TLS_BAD;
	/* TLS 1.0 and 1.1 knew hellos without extensions. */
	if (!left(&body))
		return TLS_NO_NAME;
	exts = part(&body, 2);
	if (body.bad || left(&body))
		return TLS_BAD;
	return read_extensions(exts, ret);
}

/* Joins what is there of the handshake's records; false: something else is among them. */
static bool join(const uint8_t *data, size_t size, uint8_t *out, size_t *ret_n)
{
	size_t n = 0;

	while (size) {
		size_t len, have;

		if (data[0] != REC_HANDSHAKE || (size > 1 && data[1] != 3))
			return false;
		if (size < REC_HEAD)
			break;
		len = (size_t)data[3] << 8 | data[4];
		if (!len || len > REC_MAX)
			return false;
		have = MIN(len, size - REC_HEAD);
		memcpy(out + n, data + REC_HEAD, have);
		n += have;
		/* Behind the hello something else may follow: it is not looked at. */
		if (n >= HS_HEAD &&
		    n - HS_HEAD >= ((size_t)out[1] << 16 | (size_t)out[2] << 8 | out[3]))
			break;
		data += REC_HEAD + have;
		size -= REC_HEAD + have;
	}
	*ret_n = n;
	return true;
}

enum tls_hello tls_hello_read(const uint8_t *data, size_t size, struct tls_name *ret)
{
	static uint8_t hs[TLS_HELLO_MAX];
	bool cut = size > TLS_HELLO_MAX;
	struct cur body;
	size_t n, len;

	*ret = (struct tls_name){ 0 };
	size = MIN(size, (size_t)TLS_HELLO_MAX);
	if (size && (data[0] != REC_HANDSHAKE || (size > 1 && data[1] != 3)))
		return TLS_NOT_TLS;
	if (!join(data, size, hs, &n) || (n && hs[0] != HS_CLIENT_HELLO))
		return TLS_BAD;
	if (n < HS_HEAD)
		return cut || size == TLS_HELLO_MAX ? TLS_BAD : TLS_MORE;
	len = (size_t)hs[1] << 16 | (size_t)hs[2] << 8 | hs[3];
	if (len > TLS_HELLO_MAX - HS_HEAD)
		return TLS_BAD;
	if (n < HS_HEAD + len)
		return cut || size == TLS_HELLO_MAX ? TLS_BAD : TLS_MORE;
	body = (struct cur){ hs + HS_HEAD, hs + HS_HEAD + len, false };
	return read_body(body, ret);
}
