/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "schema/types.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <string.h>

void (*val_ifname_source)(val_word_fn fn, void *arg);

/* Longest text value; longer ones are refused, so that a record's size has a bound. */
#define VAL_WORD_MAX 64
#define VAL_LINE_MAX 240 /* as IOS's description */

static int bad(struct strbuf *err, const struct val_spec *s, const char *got)
{
	struct strbuf hint = STRBUF_INIT;

	val_hint(s, 0, &hint);
	strbuf_addf(err, "\"%s\" is not %s (%s)", got, s->type->what, strbuf_str(&hint));
	strbuf_fini(&hint);
	return -1;
}

/* ---- numbers ---- */

uint64_t val_number(const struct val_type *t, const void *src)
{
	uint64_t v = 0;

	memcpy(&v, src, t->size); /* little and big endian hosts differ: see the assert */
	return v;
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "val_number reads the low bytes first");

void val_set_number(const struct val_type *t, void *dst, uint64_t v)
{
	memcpy(dst, &v, t->size);
}

static int num_parse(const struct val_spec *s, const char *const *tok, size_t n, void *dst,
		     struct strbuf *err)
{
	uint64_t v;
	int r = rtr_parse_u64(tok[0], s->lo, s->hi, &v);

	if (r == -ERANGE) {
		strbuf_addf(err, "%s is out of range %llu-%llu", tok[0], (unsigned long long)s->lo,
			    (unsigned long long)s->hi);
		return -1;
	}
	if (r)
		return bad(err, s, tok[0]);
	if (dst)
		val_set_number(s->type, dst, v);
	return 1;
}

static void num_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	strbuf_addf(b, "%llu", (unsigned long long)val_number(s->type, src));
}

/* "65536", or the dotted form "1.0" of RFC 5396; printed plain. */
static int asn_parse(const struct val_spec *s, const char *const *tok, size_t n, void *dst,
		     struct strbuf *err)
{
	const char *dot = strchr(tok[0], '.');
	uint64_t hi = 0, lo;
	char *head;
	int r;

	if (!dot)
		return num_parse(s, tok, n, dst, err);
	head = xstrndup(tok[0], (size_t)(dot - tok[0]));
	r = rtr_parse_u64(head, 0, 65535, &hi);
	free(head);
	if (r || rtr_parse_u64(dot + 1, 0, 65535, &lo) || !(hi << 16 | lo))
		return bad(err, s, tok[0]);
	if (dst)
		val_set_number(s->type, dst, hi << 16 | lo);
	return 1;
}

static const struct {
	const char *name;
	uint8_t number;
} protos[] = {
	{ "ip", 0 },    { "icmp", 1 },  { "igmp", 2 },   { "ipinip", 4 }, { "tcp", 6 },
	{ "udp", 17 },  { "gre", 47 },  { "esp", 50 },   { "ahp", 51 },   { "icmpv6", 58 },
	{ "ospf", 89 }, { "pim", 103 }, { "vrrp", 112 }, { "sctp", 132 },
};

static int proto_parse(const struct val_spec *s, const char *const *tok, size_t n, void *dst,
		       struct strbuf *err)
{
	uint64_t v;

	for (size_t i = 0; i < ARRAY_LEN(protos); i++) {
		if (!strcasecmp(tok[0], protos[i].name)) {
			if (dst)
				*(uint8_t *)dst = protos[i].number;
			return 1;
		}
	}
	if (rtr_parse_u64(tok[0], 0, 255, &v))
		return bad(err, s, tok[0]);
	if (dst)
		*(uint8_t *)dst = (uint8_t)v;
	return 1;
}

static void proto_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	uint8_t v = *(const uint8_t *)src;

	for (size_t i = 0; i < ARRAY_LEN(protos); i++) {
		if (protos[i].number == v) {
			strbuf_adds(b, protos[i].name);
			return;
		}
	}
	strbuf_addf(b, "%u", v);
}

/* ---- text ---- */

/* Valid UTF-8 (RFC 3629) without control characters: what is stored must print as JSON. */
static bool printable(const char *s)
{
	const unsigned char *p = (const void *)s;

	while (*p) {
		unsigned more = *p < 0x80 ? 0 : *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
		uint32_t c = more ? *p & (0x3fu >> more) : *p;
		static const uint32_t least[] = { 0x20, 0x80, 0x800, 0x10000 };

		if (*p == 0x7f || (*p >= 0x80 && *p < 0xc2) || *p > 0xf4)
			return false;
		p++;
		for (unsigned i = 0; i < more; i++, p++) {
			if ((*p & 0xc0) != 0x80)
				return false;
			c = c << 6 | (*p & 0x3f);
		}
		if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
			return false;
	}
	return true;
}

int val_text_parse(const struct val_spec *s, const char *const *tok, size_t n, void *dst,
		   struct strbuf *err)
{
	size_t max = s->type->is_rest ? VAL_LINE_MAX : VAL_WORD_MAX;

	if (!*tok[0] || !printable(tok[0]))
		return bad(err, s, tok[0]);
	if (strlen(tok[0]) > max) {
		strbuf_addf(err, "longer than %zu characters", max);
		return -1;
	}
	if (dst)
		*(char **)dst = xstrdup(tok[0]);
	return 1;
}

void val_text_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	const char *t = *(char *const *)src;

	strbuf_adds(b, t ? t : "");
}

int val_text_cmp(const void *a, const void *b)
{
	const char *s = *(char *const *)a, *t = *(char *const *)b;

	return strcmp(s ? s : "", t ? t : "");
}

/* ---- interface names ---- */

static const struct {
	const char *name;
	unsigned least; /* letters that are enough */
} if_kinds[] = {
	{ "Loopback", 2 }, { "BVI", 3 }, { "Tunnel", 4 }, { "Port-channel", 2 }, { "nve", 3 }
};

bool val_ifname_canonical(const char *s, char *ret)
{
	size_t letters = strcspn(s, "0123456789 ");
	const char *num = s + letters + strspn(s + letters, " ");
	uint64_t n;

	for (size_t i = 0; i < ARRAY_LEN(if_kinds); i++) {
		/* "lo" alone is the kernel's name for Loopback0. */
		if (!strcasecmp(s, "lo"))
			num = "0";
		if (letters < if_kinds[i].least || strncasecmp(s, if_kinds[i].name, letters) ||
		    letters > strlen(if_kinds[i].name) || rtr_parse_u64(num, 0, 999999, &n))
			continue;
		return snprintf(ret, IFNAMSIZ, "%s%u", if_kinds[i].name, (unsigned)n) < IFNAMSIZ;
	}
	if (!*s || strlen(s) >= IFNAMSIZ || !strcmp(s, ".") || !strcmp(s, ".."))
		return false;
	for (const char *p = s; *p; p++) {
		if (!isgraph((unsigned char)*p) || strchr("/:\"'\\|?<>{}[];,=!", *p))
			return false;
	}
	rtr_strlcpy(ret, s, IFNAMSIZ);
	return true;
}

static int ifname_parse(const struct val_spec *s, const char *const *tok, size_t n, void *dst,
			struct strbuf *err)
{
	char name[IFNAMSIZ], *joined;
	struct rtr_addr a;
	bool ok;

	/* "Loopback 0": the number may stand apart. "lo" is a whole name. */
	if (!strpbrk(tok[0], "0123456789")) {
		for (size_t i = 0; i < ARRAY_LEN(if_kinds); i++) {
			if (strlen(tok[0]) < 3 ||
			    strncasecmp(tok[0], if_kinds[i].name, strlen(tok[0])))
				continue;
			if (n < 2)
				return 0;
			joined = xasprintf("%s%s", tok[0], tok[1]);
			ok = val_ifname_canonical(joined, name);
			free(joined);
			if (!ok)
				return bad(err, s, tok[1]);
			if (dst)
				memcpy(dst, name, IFNAMSIZ);
			return 2;
		}
	}
	if (!rtr_addr_parse(tok[0], AF_UNSPEC, &a) || !val_ifname_canonical(tok[0], name))
		return bad(err, s, tok[0]);
	if (dst) {
		memset(dst, 0, IFNAMSIZ);
		rtr_strlcpy(dst, name, IFNAMSIZ);
	}
	return 1;
}

static void ifname_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	strbuf_adds(b, src);
}

/* eth2 before eth10: runs of digits compare as numbers. */
static int ifname_cmp(const void *va, const void *vb)
{
	const char *a = va, *b = vb;

	while (*a && *b) {
		if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
			size_t na, nb;

			a += strspn(a, "0");
			b += strspn(b, "0");
			na = strspn(a, "0123456789");
			nb = strspn(b, "0123456789");
			if (na != nb)
				return na < nb ? -1 : 1;
			for (; na; na--, a++, b++) {
				if (*a != *b)
					return *a < *b ? -1 : 1;
			}
			continue;
		}
		if (*a != *b)
			return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
		a++, b++;
	}
	/* Equal but for leading zeros ("eth01", "eth1"): still two names. */
	return *a || *b ? (*a ? 1 : -1) : strcmp(va, vb);
}

static void ifname_complete(const struct val_spec *s, const struct rec *model, val_word_fn fn,
			    void *arg)
{
	if (val_ifname_source)
		val_ifname_source(fn, arg);
}

/* ---- addresses ---- */

static int family_of(const struct val_spec *s)
{
	char last = s->type->name[strlen(s->type->name) - 1];

	return last == '4' ? AF_INET : last == '6' ? AF_INET6 : AF_UNSPEC;
}

static int addr_parse(const struct val_spec *s, const char *const *tok, size_t n, void *dst,
		      struct strbuf *err)
{
	struct rtr_addr a;

	if (rtr_addr_parse(tok[0], family_of(s), &a))
		return bad(err, s, tok[0]);
	if (dst)
		*(struct rtr_addr *)dst = a;
	return 1;
}

static void addr_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	char buf[RTR_ADDR_STRLEN];

	strbuf_adds(b, rtr_addr_str(src, buf));
}

static int addr_cmp(const void *a, const void *b)
{
	return rtr_addr_cmp(a, b);
}

static int zoned_parse(const struct val_spec *s, const char *const *tok, size_t n, void *dst,
		       struct strbuf *err)
{
	const char *percent = strchr(tok[0], '%');
	struct zoned_addr z = { 0 };
	char *head;
	int r;

	head = xstrndup(tok[0], percent ? (size_t)(percent - tok[0]) : strlen(tok[0]));
	r = rtr_addr_parse(head, AF_UNSPEC, &z.addr);
	free(head);
	if (r || (percent && (z.addr.family != AF_INET6 || !rtr_addr_is_linklocal(&z.addr))) ||
	    (percent && !val_ifname_canonical(percent + 1, z.zone)))
		return bad(err, s, tok[0]);
	if (dst)
		*(struct zoned_addr *)dst = z;
	return 1;
}

static void zoned_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	const struct zoned_addr *z = src;
	char buf[RTR_ADDR_STRLEN];

	strbuf_addf(b, "%s%s%s", rtr_addr_str(&z->addr, buf), *z->zone ? "%" : "", z->zone);
}

/* "A.B.C.D/nn" in one word, or "A.B.C.D M.M.M.M" in two. */
static int net_parse(const struct val_spec *s, const char *const *tok, size_t n, void *dst,
		     struct strbuf *err)
{
	int family = family_of(s), used = 1;
	struct rtr_prefix p;
	struct rtr_addr mask;

	if (rtr_prefix_parse(tok[0], family, &p))
		return bad(err, s, tok[0]);
	if (!strchr(tok[0], '/')) {
		if (p.addr.family != AF_INET)
			return bad(err, s, tok[0]); /* IPv6 always names its length */
		if (n < 2)
			return 0;
		if (rtr_addr_parse(tok[1], AF_INET, &mask) || rtr_mask_to_len(&mask, &p.len)) {
			strbuf_addf(err, "\"%s\" is not a netmask", tok[1]);
			return -1;
		}
		used = 2;
	}
	if (!strncmp(s->type->name, "PREFIX", 6) && rtr_prefix_has_host_bits(&p)) {
		struct rtr_prefix net = rtr_prefix_network(p);
		char a[RTR_PREFIX_STRLEN];

		strbuf_addf(err, "inconsistent address and mask: the network is %s",
			    rtr_prefix_str(&net, a));
		return -1;
	}
	if (dst)
		*(struct rtr_prefix *)dst = p;
	return used;
}

static void net_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	const struct rtr_prefix *p = src;
	char a[RTR_PREFIX_STRLEN];
	struct rtr_addr mask;

	if (p->addr.family != AF_INET) {
		strbuf_adds(b, rtr_prefix_str(p, a));
		return;
	}
	mask = rtr_mask_of_len(AF_INET, p->len);
	strbuf_adds(b, rtr_addr_str(&p->addr, a));
	strbuf_addf(b, " %s", rtr_addr_str(&mask, a));
}

static int net_cmp(const void *a, const void *b)
{
	return rtr_prefix_cmp(a, b);
}

static const char *net_hint_n(const struct val_spec *s, size_t n)
{
	return n ? "A.B.C.D" : NULL;
}

/* "10.0.0.5" is a host, "10.0.0.5/24" the network that it is in: what is looked for, not what is
 * configured. */
static int hostnet_parse(const struct val_spec *s, const char *const *tok, size_t n, void *dst,
			 struct strbuf *err)
{
	struct rtr_prefix p;

	if (rtr_prefix_parse(tok[0], AF_UNSPEC, &p))
		return bad(err, s, tok[0]);
	if (dst)
		*(struct rtr_prefix *)dst = rtr_prefix_network(p);
	return 1;
}

static void hostnet_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	char a[RTR_PREFIX_STRLEN];

	strbuf_adds(b, rtr_prefix_str(src, a));
}

static int mac_parse(const struct val_spec *s, const char *const *tok, size_t n, void *dst,
		     struct strbuf *err)
{
	uint8_t mac[6] = { 0 };
	unsigned digits = 0;

	for (const char *p = tok[0]; *p; p++) {
		unsigned v;

		if (*p == '.' || *p == ':' || *p == '-')
			continue;
		if (!isxdigit((unsigned char)*p) || digits == 12)
			return bad(err, s, tok[0]);
		v = isdigit((unsigned char)*p) ? (unsigned)(*p - '0')
					       : (unsigned)(tolower((unsigned char)*p) - 'a' + 10);
		mac[digits / 2] = (uint8_t)(mac[digits / 2] << 4 | v);
		digits++;
	}
	if (digits != 12 || mac[0] & 1)
		return bad(err, s, tok[0]);
	if (dst)
		memcpy(dst, mac, 6);
	return 1;
}

static void mac_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	const uint8_t *m = src;

	strbuf_addf(b, "%02x%02x.%02x%02x.%02x%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

/* any | host A | A/len | A W */
/* Bits of a wildcard above its lowest run. */
static unsigned wild_high_bits(const struct rtr_addr *w)
{
	unsigned i = rtr_family_bits(w->family), n = 0;

	while (i && w->b[(i - 1) / 8] >> (7 - (i - 1) % 8) & 1)
		i--;
	while (i--)
		n += w->b[i / 8] >> (7 - i % 8) & 1;
	return n;
}

static int acl_parse(const struct val_spec *s, const char *const *tok, size_t n, void *dst,
		     struct strbuf *err)
{
	struct acl_addr a = { 0 };
	struct rtr_prefix p;
	int family = family_of(s), used = 2;
	uint8_t len;

	if (!strcasecmp(tok[0], "any")) {
		a.addr.family = a.wild.family = (uint8_t)family;
		memset(a.wild.b, 0xff, rtr_family_size(a.wild.family));
		used = 1;
	} else if (!strcasecmp(tok[0], "host")) {
		if (n < 2)
			return 0;
		if (rtr_addr_parse(tok[1], family, &a.addr))
			return bad(err, s, tok[1]);
		a.wild.family = a.addr.family;
	} else if (strchr(tok[0], '/')) {
		if (rtr_prefix_parse(tok[0], family, &p))
			return bad(err, s, tok[0]);
		a.addr = p.addr;
		a.wild = rtr_mask_of_len(p.addr.family, p.len);
		for (unsigned i = 0; i < rtr_family_size(p.addr.family); i++)
			a.wild.b[i] = (uint8_t)~a.wild.b[i];
		used = 1;
	} else {
		if (family != AF_INET || rtr_addr_parse(tok[0], AF_INET, &a.addr))
			return bad(err, s, tok[0]);
		if (n < 2)
			return 0;
		if (rtr_addr_parse(tok[1], AF_INET, &a.wild)) {
			strbuf_addf(err, "\"%s\" is not a wildcard", tok[1]);
			return -1;
		}
		if (wild_high_bits(&a.wild) > ACL_WILD_HIGH) {
			strbuf_addf(err, "\"%s\" is a wildcard of more than %u ranges%s", tok[1],
				    1u << ACL_WILD_HIGH,
				    rtr_mask_to_len(&a.wild, &len) ? "" : " (it is a netmask)");
			return -1;
		}
	}
	for (unsigned i = 0; i < 16; i++)
		a.addr.b[i] &= (uint8_t)~a.wild.b[i];
	if (dst)
		*(struct acl_addr *)dst = a;
	return used;
}

static void acl_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	const struct acl_addr *a = src;
	struct rtr_addr mask = a->wild;
	char buf[RTR_ADDR_STRLEN];
	uint8_t len;

	for (unsigned i = 0; i < rtr_family_size(mask.family); i++)
		mask.b[i] = (uint8_t)~mask.b[i];
	if (!rtr_mask_to_len(&mask, &len) && len == 0)
		strbuf_adds(b, "any");
	else if (!rtr_mask_to_len(&mask, &len) && len == rtr_family_bits(mask.family))
		strbuf_addf(b, "host %s", rtr_addr_str(&a->addr, buf));
	else if (mask.family == AF_INET6)
		strbuf_addf(b, "%s/%u", rtr_addr_str(&a->addr, buf), len);
	else {
		strbuf_adds(b, rtr_addr_str(&a->addr, buf));
		strbuf_addf(b, " %s", rtr_addr_str(&a->wild, buf));
	}
}

/* ---- the table ---- */

#define NUM(n, c, w)                                                                               \
	{                                                                                          \
		.name = n, .what = w, .size = sizeof(c), .is_number = true, .parse = num_parse,    \
		.print = num_print                                                                 \
	}
#define NET(n, w, h)                                                                               \
	{                                                                                          \
		.name = n, .what = w, .hint = h, .size = sizeof(struct rtr_prefix),                \
		.parse = net_parse, .print = net_print, .cmp = net_cmp, .hint_n = net_hint_n       \
	}
#define ADDR(n, w, h)                                                                              \
	{                                                                                          \
		.name = n, .what = w, .hint = h, .size = sizeof(struct rtr_addr),                  \
		.parse = addr_parse, .print = addr_print, .cmp = addr_cmp                          \
	}
#define ACL(n, w, h)                                                                               \
	{                                                                                          \
		.name = n, .what = w, .hint = h, .size = sizeof(struct acl_addr),                  \
		.parse = acl_parse, .print = acl_print                                             \
	}
#define TEXT(n, w, h, rest)                                                                        \
	{                                                                                          \
		.name = n, .what = w, .hint = h, .size = sizeof(char *), .is_text = true,          \
		.is_rest = rest, .parse = val_text_parse, .print = val_text_print,                 \
		.cmp = val_text_cmp                                                                \
	}

static const struct val_type types[] = {
	NUM("U8", uint8_t, "a number"),
	NUM("U16", uint16_t, "a number"),
	NUM("U32", uint32_t, "a number"),
	NUM("U64", uint64_t, "a number"),
	{ .name = "ASN",
	  .what = "an AS number",
	  .hint = "<1-4294967295>",
	  .size = sizeof(uint32_t),
	  .is_number = true,
	  .parse = asn_parse,
	  .print = num_print },
	{ .name = "IPPROTO",
	  .what = "an IP protocol",
	  .hint = "<0-255> or a name",
	  .size = 1,
	  .parse = proto_parse,
	  .print = proto_print },
	TEXT("WORD", "a word", "WORD", false),
	TEXT("LINE", "a line of text", "LINE", true),
	TEXT("FILE", "a file name", "FILE", false),
	{ .name = "IFNAME",
	  .what = "an interface name",
	  .hint = "IFNAME",
	  .size = IFNAMSIZ,
	  .parse = ifname_parse,
	  .print = ifname_print,
	  .cmp = ifname_cmp,
	  .complete = ifname_complete },
	ADDR("ADDR", "an IP address", "A.B.C.D or X:X:X:X::X"),
	ADDR("ADDR4", "an IPv4 address", "A.B.C.D"),
	ADDR("ADDR6", "an IPv6 address", "X:X:X:X::X"),
	{ .name = "DEST",
	  .what = "an IP address",
	  .hint = "A.B.C.D, X:X:X:X::X or FE80::X%IFNAME",
	  .size = sizeof(struct zoned_addr),
	  .parse = zoned_parse,
	  .print = zoned_print },
	NET("PREFIX4", "an IPv4 network", "A.B.C.D/nn or A.B.C.D M.M.M.M"),
	NET("PREFIX6", "an IPv6 network", "X:X:X:X::X/nn"),
	NET("IFADDR4", "an IPv4 address with its mask", "A.B.C.D/nn or A.B.C.D M.M.M.M"),
	NET("IFADDR6", "an IPv6 address with its length", "X:X:X:X::X/nn"),
	{ .name = "HOSTNET",
	  .what = "an address or a network",
	  .hint = "A.B.C.D[/nn] or X:X:X:X::X[/nn]",
	  .size = sizeof(struct rtr_prefix),
	  .parse = hostnet_parse,
	  .print = hostnet_print,
	  .cmp = net_cmp },
	{ .name = "MAC",
	  .what = "a unicast MAC address",
	  .hint = "H.H.H",
	  .size = 6,
	  .parse = mac_parse,
	  .print = mac_print },
	ACL("ACL4", "any, host A, A/len or address and wildcard",
	    "any, host A, A.B.C.D/nn, A.B.C.D W"),
	ACL("ACL6", "any, host X or X/len", "any, host X, X:X:X:X::X/nn"),
};

/* Types of domains; the linker makes the bounds, in a program that has any. */
extern const struct val_type *const __start_rtr_val_types[] __attribute__((weak));
extern const struct val_type *const __stop_rtr_val_types[] __attribute__((weak));

const struct val_type *val_type_find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (strlen(types[i].name) == len && !strncmp(types[i].name, name, len))
			return &types[i];
	}
	for (const struct val_type *const *t = __start_rtr_val_types; t != __stop_rtr_val_types;
	     t++) {
		if (strlen((*t)->name) == len && !strncmp((*t)->name, name, len))
			return *t;
	}
	return NULL;
}

bool val_spec_init(struct val_spec *s, const struct val_type *type, const char *args)
{
	uint64_t max = type->size >= 8 ? UINT64_MAX : (1ull << (8 * type->size)) - 1;
	char *comma, *lo;
	bool ok;

	*s = (struct val_spec){ .type = type, .args = args };
	if (!type->is_number)
		return !*args;
	s->lo = type->parse == asn_parse ? 1 : 0;
	s->hi = max;
	if (!*args)
		return true;
	comma = strchr(args, ',');
	if (!comma)
		return false;
	lo = xstrndup(args, (size_t)(comma - args));
	ok = !rtr_parse_u64(lo, 0, max, &s->lo) && !rtr_parse_u64(comma + 1, s->lo, max, &s->hi);
	free(lo);
	return ok;
}

int val_cmp(const struct val_type *t, const void *a, const void *b)
{
	uint64_t x, y;

	if (t->cmp)
		return t->cmp(a, b);
	if (!t->is_number)
		return memcmp(a, b, t->size);
	x = val_number(t, a);
	y = val_number(t, b);
	return x < y ? -1 : x > y;
}

void val_hint(const struct val_spec *s, size_t n, struct strbuf *b)
{
	const char *h = s->type->hint_n ? s->type->hint_n(s, n) : NULL;

	if (h || s->type->hint)
		strbuf_adds(b, h ? h : s->type->hint);
	else
		strbuf_addf(b, "<%llu-%llu>", (unsigned long long)s->lo, (unsigned long long)s->hi);
}

bool val_one_word(const struct val_spec *s, const void *src, char buf[RTR_PREFIX_STRLEN])
{
	if (s->type->parse != net_parse)
		return false;
	rtr_prefix_str(src, buf);
	return true;
}

json_t *val_to_json(const struct val_spec *s, const void *src)
{
	struct strbuf b = STRBUF_INIT;
	char buf[RTR_PREFIX_STRLEN];
	json_t *j;

	if (s->type->is_number)
		return json_integer((json_int_t)val_number(s->type, src));
	if (val_one_word(s, src, buf))
		return json_string(buf);
	s->type->print(s, src, &b);
	j = json_string(strbuf_str(&b));
	strbuf_fini(&b);
	return j;
}

int val_from_text(const struct val_spec *s, const char *text, void *dst, struct strbuf *err)
{
	const char *tok[12];
	char *copy, *save = NULL;
	size_t n = 0;
	int used;

	if (s->type->is_text) {
		tok[0] = text;
		return s->type->parse(s, tok, 1, dst, err) == 1 ? 0 : -EINVAL;
	}
	copy = xstrdup(text);
	for (char *w = strtok_r(copy, " ", &save); w && n < ARRAY_LEN(tok);
	     w = strtok_r(NULL, " ", &save))
		tok[n++] = w;
	used = n ? s->type->parse(s, tok, n, NULL, err) : -1;
	if (used > 0 && (size_t)used == n)
		s->type->parse(s, tok, n, dst, err);
	else if (!err->len)
		strbuf_addf(err, "\"%s\" is not %s", text, s->type->what);
	free(copy);
	return used > 0 && (size_t)used == n ? 0 : -EINVAL;
}

void val_free(const struct val_type *t, void *v)
{
	if (t->is_text)
		free(*(char **)v);
}
