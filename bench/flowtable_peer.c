/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "flowtable_peer.h"

#ifdef HAVE_DPDK

#include "util.h"

#include <rte_eal.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <sched.h>
#include <sys/mman.h>

struct ft_peer {
	struct rte_hash *h;
	struct flow_line4 *values;
	size_t values_size;
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

struct ft_peer *ft_peer_new(uint32_t n_keys, bool lock_free)
{
	struct rte_hash_parameters par = {
		.name = lock_free ? "flows-lf" : "flows",
		.entries = n_keys,
		.key_len = sizeof(struct flow_key4),
		.hash_func = rte_hash_crc,
		.hash_func_init_val = 0x5eed,
		.socket_id = 0,
		.extra_flag = lock_free ? RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF : 0,
	};
	struct ft_peer *p = xcalloc(1, sizeof(*p));

	p->lock_free = lock_free;
	p->values_size = (size_t)n_keys * sizeof(*p->values);
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

bool ft_peer_add(struct ft_peer *p, const struct flow_key4 *keys, const uint32_t *order, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = order[k];

		/* The value of one cache line is written whole, as ours is. */
		p->values[i] = (struct flow_line4){ .word0 = i, .key = keys[i] };
		p->values[i].rw.saddr = i;
		if (rte_hash_add_key_data(p->h, &keys[i], &p->values[i]) < 0)
			return false;
	}
	return true;
}

bool ft_peer_del(struct ft_peer *p, const struct flow_key4 *keys, const uint32_t *order, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++) {
		int32_t pos = rte_hash_del_key(p->h, &keys[order[k]]);

		if (pos < 0 || (p->lock_free && rte_hash_free_key_with_position(p->h, pos)))
			return false;
	}
	return true;
}

uint32_t ft_peer_find(struct ft_peer *p, const struct flow_key4 *const *keys, uint32_t n,
		      unsigned burst, uint64_t *inout_sum)
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
			__builtin_prefetch(data[__builtin_ctzll(m)]);
		for (uint64_t m = mask; m; m &= m - 1) {
			const struct flow_line4 *v = data[__builtin_ctzll(m)];

			sum += v->rw.saddr + v->egress;
		}
	}
	*inout_sum += sum;
	return hits;
}

#else

bool ft_peer_start(void)
{
	return false;
}

struct ft_peer *ft_peer_new(uint32_t n_keys, bool lock_free)
{
	return NULL;
}

struct ft_peer *ft_peer_free(struct ft_peer *p)
{
	return NULL;
}

bool ft_peer_add(struct ft_peer *p, const struct flow_key4 *keys, const uint32_t *order, uint32_t n)
{
	return false;
}

bool ft_peer_del(struct ft_peer *p, const struct flow_key4 *keys, const uint32_t *order, uint32_t n)
{
	return false;
}

uint32_t ft_peer_find(struct ft_peer *p, const struct flow_key4 *const *keys, uint32_t n,
		      unsigned burst, uint64_t *inout_sum)
{
	return 0;
}

#endif
