/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "flowtable_peer.h"

#ifdef HAVE_DPDK

#include "util.h"

#include <rte_eal.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

struct ft_peer {
	struct rte_hash *h;
	enum flow_family fam;
	size_t key_size, value_size, values_size;
	char *values;
	bool lock_free;
};

bool ft_peer_start(void)
{
	static char core[16];
	static const char *argv[] = { "bench",
				      "--no-huge",
				      "--no-pci",
				      "--no-shconf",
				      "--no-telemetry",
				      "-m",
				      "3072",
				      "--log-level=1",
				      "--force-max-simd-bitwidth=512",
				      "-l",
				      core };

	snprintf(core, sizeof(core), "%d", sched_getcpu());
	return rte_eal_init(ARRAY_LEN(argv), (char **)(uintptr_t)argv) >= 0;
}

struct ft_peer *ft_peer_new(enum flow_family fam, uint32_t n_keys, bool lock_free)
{
	struct rte_hash_parameters par = {
		.name = lock_free ? "flows-lf" : "flows",
		.entries = n_keys,
		.key_len = fam == FLOW_4 ? sizeof(struct flow_key4) : sizeof(struct flow_key6),
		.hash_func = rte_hash_crc,
		.hash_func_init_val = 0x5eed,
		.socket_id = 0,
		.extra_flag = lock_free ? RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF : 0,
	};
	struct ft_peer *p = xcalloc(1, sizeof(*p));

	p->lock_free = lock_free;
	p->fam = fam;
	p->key_size = par.key_len;
	p->value_size = fam == FLOW_4 ? sizeof(struct flow_line4) : sizeof(struct flow_line6);
	p->values_size = n_keys * p->value_size;
	p->values = mmap(NULL, p->values_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	p->h = rte_hash_create(&par);
	if (!p->h || p->values == MAP_FAILED)
		return ft_peer_free(p);
	madvise(p->values, p->values_size, MADV_NOHUGEPAGE);
	memset(p->values, 1, p->values_size);
	return p;
}

struct ft_peer *ft_peer_free(struct ft_peer *p)
{
	if (!p)
		return NULL;
	rte_hash_free(p->h);
	if (p->values != MAP_FAILED)
		munmap(p->values, p->values_size);
	free(p);
	return NULL;
}

/* The value is written whole, as our line is. */
static void fill(struct ft_peer *p, void *value, uint32_t i, const char *key)
{
	if (p->fam == FLOW_4) {
		struct flow_line4 *v = value;

		*v = (struct flow_line4){ .word0 = i, .rw.saddr = i };
		memcpy(&v->key, key, sizeof(v->key));
	} else {
		struct flow_line6 *v = value;

		*v = (struct flow_line6){ .word0 = i, .rw.sport = (uint16_t)i };
		memcpy(&v->key, key, sizeof(v->key));
	}
}

bool ft_peer_add(struct ft_peer *p, const char *keys, const uint32_t *order, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++) {
		const char *key = keys + order[k] * p->key_size;
		char *value = p->values + order[k] * p->value_size;

		fill(p, value, order[k], key);
		if (rte_hash_add_key_data(p->h, key, value) < 0)
			return false;
	}
	return true;
}

bool ft_peer_del(struct ft_peer *p, const char *keys, const uint32_t *order, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++) {
		int32_t pos = rte_hash_del_key(p->h, keys + order[k] * p->key_size);

		if (pos < 0 || (p->lock_free && rte_hash_free_key_with_position(p->h, pos)))
			return false;
	}
	return true;
}

static uint64_t read_value(const struct ft_peer *p, const void *value)
{
	const struct flow_line4 *v4 = value;
	const struct flow_line6 *v6 = value;

	return p->fam == FLOW_4 ? v4->rw.saddr + v4->egress : v6->rw.sport + v6->egress;
}

uint32_t ft_peer_find(struct ft_peer *p, const void *const *keys, uint32_t n, unsigned burst,
		      uint64_t *inout_sum)
{
	void *data[RTE_HASH_LOOKUP_BULK_MAX];
	uint64_t mask, sum = 0;
	uint32_t hits = 0;

	for (uint32_t k = 0; k + burst <= n; k += burst) {
		if (rte_hash_lookup_bulk_data(p->h, (const void **)(uintptr_t)&keys[k], burst,
					      &mask, data) < 0)
			return 0;
		hits += (uint32_t)__builtin_popcountll(mask);
		for (uint64_t m = mask; m; m &= m - 1)
			for (size_t at = 0; at < p->value_size; at += RTR_CACHELINE)
				__builtin_prefetch((char *)data[__builtin_ctzll(m)] + at);
		for (uint64_t m = mask; m; m &= m - 1)
			sum += read_value(p, data[__builtin_ctzll(m)]);
	}
	*inout_sum += sum;
	return hits;
}

#else

bool ft_peer_start(void)
{
	return false;
}

struct ft_peer *ft_peer_new(enum flow_family fam, uint32_t n_keys, bool lock_free)
{
	return NULL;
}

struct ft_peer *ft_peer_free(struct ft_peer *p)
{
	return NULL;
}

bool ft_peer_add(struct ft_peer *p, const char *keys, const uint32_t *order, uint32_t n)
{
	return false;
}

bool ft_peer_del(struct ft_peer *p, const char *keys, const uint32_t *order, uint32_t n)
{
	return false;
}

uint32_t ft_peer_find(struct ft_peer *p, const void *const *keys, uint32_t n, unsigned burst,
		      uint64_t *inout_sum)
{
	return 0;
}

#endif
