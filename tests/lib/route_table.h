/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a full Internet table for tests and benches: read from a file of one prefix a line (may be
 * gzip'd), or generated with the same prefix lengths when there is none.
 * Owns: its two arrays; sorted by address, then length, without doubles, no default route.
 * IPv4 addresses are in the first four bytes. Threads: one. Failure: -errno.
 */
#ifndef RTR_ROUTE_TABLE_H
#define RTR_ROUTE_TABLE_H

#include "prefix.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

struct table_prefix {
	uint8_t addr[16], len;
};

struct route_table {
	struct table_prefix *v4, *v6;
	size_t n_v4, n_v6;
};

static int table_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct table_prefix));
}

static size_t table_sort(struct table_prefix *p, size_t n)
{
	size_t out = 0;

	qsort(p, n, sizeof(*p), table_cmp);
	for (size_t i = 0; i < n; i++)
		if (!out || table_cmp(&p[out - 1], &p[i]))
			p[out++] = p[i];
	return out;
}

static void table_add(struct table_prefix **p, size_t *n, const struct table_prefix *add)
{
	if (!(*n & (*n - 1))) /* full at each power of two */
		*p = xrealloc(*p, MAX(*n * 2, 1u) * sizeof(**p));
	(*p)[(*n)++] = *add;
}

static void table_line(struct route_table *t, char *line)
{
	struct rtr_prefix p;
	struct table_prefix e = { 0 };

	line[strcspn(line, "\r\n")] = 0;
	if (rtr_prefix_parse(line, AF_UNSPEC, &p) || !p.len)
		return;
	p = rtr_prefix_network(p);
	memcpy(e.addr, p.addr.b, 16);
	e.len = p.len;
	if (p.addr.family == AF_INET)
		table_add(&t->v4, &t->n_v4, &e);
	else
		table_add(&t->v6, &t->n_v6, &e);
}

static inline int route_table_load(const char *path, struct route_table *t)
{
	int fd[2], status;
	char line[128];
	FILE *f;
	pid_t pid;

	*t = (struct route_table){ 0 };
	if (access(path, R_OK) || pipe(fd))
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		dup2(fd[1], STDOUT_FILENO);
		close(fd[0]);
		execlp("gzip", "gzip", "-dcf", path, (char *)NULL);
		_exit(127);
	}
	close(fd[1]);
	f = fdopen(fd[0], "r");
	while (f && fgets(line, sizeof(line), f))
		table_line(t, line);
	if (f)
		fclose(f);
	if (waitpid(pid, &status, 0) != pid || status || !t->n_v4 || !t->n_v6)
		return -EIO;
	t->n_v4 = table_sort(t->v4, t->n_v4);
	t->n_v6 = table_sort(t->v6, t->n_v6);
	return 0;
}

static inline void route_table_free(struct route_table *t)
{
	free(t->v4);
	free(t->v6);
	*t = (struct route_table){ 0 };
}

struct table_shape {
	uint8_t first, last; /* lengths, spread evenly over this many prefixes */
	uint32_t n;
};

/* Prefixes of one family: most lie inside another one, few first parts are in use. */
static inline void table_generate(struct table_prefix **p, size_t *n, const struct table_shape *s,
				  size_t n_shape, unsigned root_bits, unsigned n_roots,
				  unsigned first_root, uint64_t *rng)
{
	for (size_t i = 0; i < n_shape; i++) {
		size_t base = *n;

		while (*n - base < s[i].n) {
			struct table_prefix e = { 0 };
			unsigned root, fixed = root_bits;
			uint64_t r;

			*rng = *rng * 6364136223846793005ull + 1442695040888963407ull;
			r = *rng >> 20;
			root = first_root + (unsigned)(r % n_roots);
			e.len = (uint8_t)(s[i].first + r / 64 % (s[i].last - s[i].first + 1u));
			e.addr[0] = (uint8_t)(root << (16 - root_bits) >> 8);
			e.addr[1] = (uint8_t)(root << (16 - root_bits));
			if (base && r / 256 % 4) { /* inside one of those so far */
				const struct table_prefix *in = &(*p)[(r >> 8) % base];

				if (in->len < e.len) {
					memcpy(e.addr, in->addr, 16);
					fixed = in->len;
				}
			}
			for (unsigned b = fixed; b < e.len; b++) {
				*rng = *rng * 6364136223846793005ull + 1442695040888963407ull;
				e.addr[b / 8] |= (uint8_t)((*rng >> 60 & 1) << (7 - b % 8));
			}
			table_add(p, n, &e);
		}
	}
	*n = table_sort(*p, *n);
}

/* The lengths of a real table of 901,899 + 160,147 prefixes, divided by scale; the few doubles that
 * chance makes are dropped. */
static inline void route_table_generate(struct route_table *t, unsigned scale, uint64_t seed)
{
	static const struct table_shape v4[] = {
		{ 8, 8, 16 },      { 9, 11, 154 },     { 12, 15, 4183 },  { 16, 16, 13490 },
		{ 17, 17, 8235 },  { 18, 18, 13798 },  { 19, 19, 24870 }, { 20, 20, 42611 },
		{ 21, 21, 50750 }, { 22, 22, 108623 }, { 23, 23, 96510 }, { 24, 24, 537698 },
		{ 25, 31, 75 },    { 32, 32, 886 },
	};
	static const struct table_shape v6[] = {
		{ 19, 28, 303 },   { 29, 29, 4371 }, { 30, 31, 934 },   { 32, 32, 22548 },
		{ 33, 36, 12568 }, { 37, 39, 3874 }, { 40, 40, 13418 }, { 41, 43, 4205 },
		{ 44, 44, 14365 }, { 45, 47, 7745 }, { 48, 48, 75488 }, { 49, 64, 306 },
		{ 65, 128, 93 },
	};
	struct table_shape s[16];

	*t = (struct route_table){ 0 };
	for (size_t i = 0; i < ARRAY_LEN(v4); i++)
		s[i] = (struct table_shape){ v4[i].first, v4[i].last, v4[i].n / scale };
	table_generate(&t->v4, &t->n_v4, s, ARRAY_LEN(v4), 8, 223, 1, &seed);
	for (size_t i = 0; i < ARRAY_LEN(v6); i++)
		s[i] = (struct table_shape){ v6[i].first, v6[i].last, v6[i].n / scale };
	table_generate(&t->v6, &t->n_v6, s, ARRAY_LEN(v6), 16, 48, 0x2a00, &seed);
}

#endif
