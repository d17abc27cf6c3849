/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xdp_nat.h"

#include "rtr/express.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A range of more ports is one entry. */
#define PORTS_MAX 64

struct nat_row {
	struct express_nat_key key;
	uint32_t kind;
};

struct claim_row {
	struct express_claim_key key;
	struct express_claim value;
};

/* Entries that shall be, by key in the end. */
struct rows {
	size_t n, room, size; /* bytes of one */
	unsigned char *v;
};

static int row_add(struct rows *r, const void *row)
{
	if (r->n == r->room) {
		size_t room = r->room ? 2 * r->room : 64;
		void *v = realloc(r->v, room * r->size);

		if (!v)
			return -ENOMEM;
		r->v = v;
		r->room = room;
	}
	memcpy(r->v + r->n++ * r->size, row, r->size);
	return 0;
}

static void map_addr(uint8_t family, const uint8_t addr[16], uint32_t ret[4])
{
	if (family == AF_INET6) {
		memcpy(ret, addr, 16);
		return;
	}
	ret[0] = ret[1] = 0;
	ret[2] = htonl(0xffff);
	memcpy(&ret[3], addr, 4);
}

/* --- prefixes of a range --- */

static bool bit_of(const uint8_t *a, unsigned bit)
{
	return a[bit / 8] >> (7 - bit % 8) & 1;
}

/* Bits from `from` on are all `what`. */
static bool all(const uint8_t *a, unsigned from, bool what)
{
	for (unsigned i = from; i < 128; i++)
		if (bit_of(a, i) != what)
			return false;
	return true;
}

/* The part of lo..hi that is in the prefix of len bits that lo and hi have in common. */
static int add_range(struct rows *r, const uint8_t lo[16], const uint8_t hi[16], unsigned len,
		     uint32_t kind)
{
	uint8_t mid[16];
	struct nat_row row = { .key = { .len = len }, .kind = kind };
	int err;

	while (len < 128 && bit_of(lo, len) == bit_of(hi, len))
		len++;
	if (all(lo, len, false) && all(hi, len, true)) {
		row.key.len = len;
		memcpy(row.key.addr, lo, 16);
		return row_add(r, &row);
	}
	/* lo..0111, 1000..hi */
	memcpy(mid, lo, 16);
	for (unsigned i = len + 1; i < 128; i++)
		mid[i / 8] |= (uint8_t)(1 << (7 - i % 8));
	err = add_range(r, lo, mid, len + 1, kind);
	if (err)
		return err;
	memcpy(mid, hi, 16);
	for (unsigned i = len + 1; i < 128; i++)
		mid[i / 8] &= (uint8_t) ~(1 << (7 - i % 8));
	return add_range(r, mid, hi, len + 1, kind);
}

static int add_addrs(struct rows *r, uint8_t family, const uint8_t lo[16], const uint8_t hi[16],
		     uint32_t kind)
{
	uint32_t a[4], b[4];

	map_addr(family, lo, a);
	map_addr(family, hi, b);
	return add_range(r, (const uint8_t *)a, (const uint8_t *)b, 0, kind);
}

/* --- claims --- */

static int add_ports(struct rows *r, const struct fp_pol_claim *c, bool hull)
{
	struct claim_row row = { .key = { .proto = c->proto }, .value = { c->lo, c->hi } };
	int err = 0;

	map_addr(c->family, c->first, row.key.addr);
	if (hull || c->hi - c->lo >= PORTS_MAX)
		return row_add(r, &row);
	for (uint32_t port = c->lo; !err && port <= c->hi; port++) {
		row.key.port_be = htons((uint16_t)port);
		err = row_add(r, &row);
	}
	return err;
}

static int by_key(const void *a, const void *b, size_t size)
{
	return memcmp(a, b, size);
}

static int by_nat_key(const void *a, const void *b)
{
	const struct nat_row *x = a, *y = b;
	int c = by_key(&x->key, &y->key, sizeof(x->key));

	return c ? c : (x->kind > y->kind) - (x->kind < y->kind);
}

static int by_claim_key(const void *a, const void *b)
{
	return by_key(a, b, sizeof(struct express_claim_key));
}

/* One entry a key: of prefixes that of all packets, of ports the lowest and the highest. */
static void join_nat(struct rows *r)
{
	struct nat_row *v = (void *)r->v;
	size_t n = 0;

	if (r->n)
		qsort(v, r->n, sizeof(*v), by_nat_key);
	for (size_t i = 0; i < r->n; i++) {
		if (n && !memcmp(&v[n - 1].key, &v[i].key, sizeof(v->key)))
			v[n - 1].kind = v[i].kind;
		else
			v[n++] = v[i];
	}
	r->n = n;
}

static void join_claims(struct rows *r)
{
	struct claim_row *v = (void *)r->v;
	size_t n = 0;

	if (r->n)
		qsort(v, r->n, sizeof(*v), by_claim_key);
	for (size_t i = 0; i < r->n; i++) {
		if (n && !by_claim_key(&v[n - 1], &v[i])) {
			v[n - 1].value.lo = MIN(v[n - 1].value.lo, v[i].value.lo);
			v[n - 1].value.hi = MAX(v[n - 1].value.hi, v[i].value.hi);
		} else {
			v[n++] = v[i];
		}
	}
	r->n = n;
}

static int make_claims(struct rows *r, const struct fp_pol_claim *claims, unsigned n, bool hull)
{
	int err = 0;

	r->n = 0;
	for (unsigned i = 0; !err && i < n; i++)
		if (claims[i].kind == FP_POL_CLAIM_PORTS)
			err = add_ports(r, &claims[i], hull);
	join_claims(r);
	return err;
}

/* --- the maps --- */

/* The key as the map has it, and behind it the value. */
static bool wanted(const struct rows *r, const void *key, size_t key_size)
{
	size_t lo = 0, hi = r->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = by_key(key, r->v + mid * r->size, key_size);

		if (!c)
			return true;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return false;
}

/* Takes out what is not wanted any more. The walk is over a list of keys made before: one whose
 * key is deleted under it would begin anew. */
static int clean(int fd, const struct rows *want, size_t key_size)
{
	struct rows old = { .size = key_size };
	unsigned char key[sizeof(struct express_claim_key)], next[sizeof(key)];
	int err = 0, got;

	for (got = bpf_map_get_next_key(fd, NULL, next); !got && !err;
	     got = bpf_map_get_next_key(fd, key, next)) {
		if (!wanted(want, next, key_size))
			err = row_add(&old, next);
		memcpy(key, next, sizeof(key));
	}
	for (size_t i = 0; i < old.n; i++)
		bpf_map_delete_elem(fd, old.v + i * key_size);
	free(old.v);
	return err;
}

static int put(int fd, const struct rows *r, size_t key_size)
{
	int err = clean(fd, r, key_size);

	for (size_t i = 0; i < r->n; i++) {
		const unsigned char *row = r->v + i * r->size;
		int rc = bpf_map_update_elem(fd, row, row + key_size, BPF_ANY);

		if (rc)
			err = rc;
	}
	return err;
}

int fp_xdp_nat_fill(int nat_fd, int claims_fd, const struct fp_pol_pool *pools, unsigned n_pools,
		    const struct fp_pol_claim *claims, unsigned n_claims)
{
	struct rows addrs = { .size = sizeof(struct nat_row) };
	struct rows ports = { .size = sizeof(struct claim_row) };
	int err = 0, rc;

	for (unsigned i = 0; !err && i < n_pools; i++)
		err = add_addrs(&addrs, pools[i].family, pools[i].lo, pools[i].hi,
				EXPRESS_NAT_PORTS);
	for (unsigned i = 0; !err && i < n_claims; i++)
		err = add_addrs(&addrs, claims[i].family, claims[i].first, claims[i].last,
				claims[i].kind == FP_POL_CLAIM_ALL ? EXPRESS_NAT_ALL
								   : EXPRESS_NAT_PORTS);
	err = err ?: make_claims(&ports, claims, n_claims, false);
	if (!err && ports.n > FP_XDP_NAT_MAX)
		err = make_claims(&ports, claims, n_claims, true);
	if (err)
		goto out;
	join_nat(&addrs);
	err = put(claims_fd, &ports, sizeof(struct express_claim_key));
	rc = put(nat_fd, &addrs, sizeof(struct express_nat_key));
	err = err ?: rc;
out:
	free(addrs.v);
	free(ports.v);
	return err;
}
