/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: a policy's blob, then first packets judged by it. Whatever is let in must keep the
 * judge within it. The header's fixed words are set right, so that the input is about the rest.
 * Seeds: blobs of tests/unit/test_fastpol (RTR_TEST_BLOBS=DIR).
 */
#include "hash.h"
#include "pol.h"
#include "rtr/drop.h"
#include "rtr/fastpath.h"
#include "rtr/fastpol.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define KEYS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t next(uint64_t *state)
{
	return hash_mix64(*state += 0x9e3779b97f4a7c15ull);
}

/* Bytes out of the blob: addresses and ports that it may know. */
static void some(const uint8_t *blob, size_t size, uint64_t *seed, void *to, size_t n)
{
	size_t at = next(seed) % (size - n);

	memcpy(to, blob + at / 4 * 4, n);
}

static struct fp_pol_key key_of(const uint8_t *blob, size_t size, uint64_t *seed)
{
	uint64_t r = next(seed);
	struct fp_pol_key k = { .family = r & 1 ? AF_INET6 : AF_INET,
				.proto = r & 2 ? IPPROTO_TCP : IPPROTO_UDP,
				.tcp_flags = r & 4 ? 0x02 : (uint8_t)(r >> 8),
				.dscp = (uint8_t)(r >> 16) & 63,
				.ttl = (uint8_t)(r >> 24),
				.past = !(r & 56),
				.len = (uint16_t)(r >> 32) };
	size_t n = k.family == AF_INET6 ? 16 : 4;

	some(blob, size, seed, k.src, n);
	some(blob, size, seed, k.dst, n);
	some(blob, size, seed, &k.sport_be, 2);
	some(blob, size, seed, &k.dport_be, 2);
	some(blob, size, seed, &k.ifindex, 4);
	k.old_id[0] = (uint32_t)next(seed) & 31;
	return k;
}

static void check_xlate(const struct fp_pol *p, const struct fp_pol_xlate *x)
{
	const struct fp_pol_pool *v;

	if (x->kind > FP_XL_POOL || (x->kind == FP_XL_POOL && x->pool >= fp_pol_pools(p, &v)))
		abort();
}

static void judge(struct fp_pol *p, const struct fp_pol_key *k, unsigned oif)
{
	struct fp_pol_state st;
	enum fp_pol_act act = fp_pol_in(p, k, &st);

	if (act == FP_POL_PERMIT)
		act = fp_pol_out(p, k, oif, &st);
	if (act == FP_POL_DROP && (!st.drop || st.drop >= RTR_DROP__MAX))
		abort();
	for (unsigned i = 0; i < st.n_hits; i++) {
		if (st.hit[i] >= fp_pol_n_counters(p))
			abort();
	}
	check_xlate(p, &st.dnat);
	check_xlate(p, &st.snat);
	if (act != FP_POL_KERNEL)
		fp_pol_count(p, 1, &st, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *blob = malloc(size + 1);
	struct fastpol_hdr *h = (void *)blob;
	struct fp_pol *p = NULL, *again = NULL;
	uint64_t seed = hash_bytes(data, size, 0);
	char text[FASTPATH_TEXT];

	if (!blob)
		return 0;
	memcpy(blob, data, size);
	if (size > sizeof(*h)) {
		h->magic = FASTPOL_MAGIC;
		h->version = FASTPOL_VERSION;
		h->size = size;
	}
	if (fp_pol_new(blob, size, 2, NULL, &p, text) && (p || !*text))
		abort();
	for (unsigned i = 0; p && i < KEYS; i++) {
		struct fp_pol_key k = key_of(blob, size, &seed);
		unsigned oif;

		k.old = i & 1 ? p : NULL;
		some(blob, size, &seed, &oif, sizeof(oif));
		judge(p, &k, oif);
	}
	if (p && !fp_pol_new(blob, size, 1, p, &again, text)) {
		fp_pol_inherit(again, p);
		fp_pol_free(again);
	}
	fp_pol_free(p);
	free(blob);
	return 0;
}
