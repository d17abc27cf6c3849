/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: rule sets in ClassBench's text form for tests and benches, plain or .gz, and made ones of
 * the same shape where the files are not there or a size is wanted that they do not have.
 *
 *	@src/len	dst/len	lo : hi	lo : hi	proto/mask	flags/mask
 *
 * The last column (16 bits of a header that ClassBench does not name) is not read.
 * Failure: cb_read returns -errno; cb_make cannot fail but by exhaustion, which aborts.
 */
#ifndef CLASSBENCH_H
#define CLASSBENCH_H

#include "classify.h"
#include "hash.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct cb_set {
	struct fp_cls_rule *rules;
	size_t n;
};

static inline uint64_t cb_rand(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

static inline void cb_prefix4(uint32_t addr, unsigned len, struct fp_cls_addr *lo,
			      struct fp_cls_addr *hi)
{
	uint32_t host = len >= 32 ? 0 : UINT32_MAX >> len;

	*lo = (struct fp_cls_addr){ 0, addr & ~host };
	*hi = (struct fp_cls_addr){ 0, addr | host };
}

static inline bool cb_parse(const char *line, struct fp_cls_rule *r)
{
	unsigned s[5], d[5], sp[2], dp[2], proto, mask;

	if (sscanf(line, "@%u.%u.%u.%u/%u %u.%u.%u.%u/%u %u : %u %u : %u %x/%x", &s[0], &s[1],
		   &s[2], &s[3], &s[4], &d[0], &d[1], &d[2], &d[3], &d[4], &sp[0], &sp[1], &dp[0],
		   &dp[1], &proto, &mask) != 16)
		return false;
	cb_prefix4(s[0] << 24 | s[1] << 16 | s[2] << 8 | s[3], s[4], &r->src_lo, &r->src_hi);
	cb_prefix4(d[0] << 24 | d[1] << 16 | d[2] << 8 | d[3], d[4], &r->dst_lo, &r->dst_hi);
	r->sport_lo = (uint16_t)sp[0];
	r->sport_hi = (uint16_t)sp[1];
	r->dport_lo = (uint16_t)dp[0];
	r->dport_hi = (uint16_t)dp[1];
	r->proto = mask ? (uint16_t)proto : FP_CLS_PROTO_ANY;
	return true;
}

/* The file as a stream; a .gz is read through gzip, whose pid is given back. */
static inline FILE *cb_open(const char *path, pid_t *ret_pid)
{
	size_t len = strlen(path);
	posix_spawn_file_actions_t fa;
	char prog[] = "gzip", flag[] = "-dc";
	char *const argv[] = { prog, flag, (char *)(uintptr_t)path, NULL };
	int fd[2];
	FILE *f;

	*ret_pid = 0;
	f = fopen(path, "re");
	if (!f || len < 3 || strcmp(path + len - 3, ".gz"))
		return f;
	fclose(f);
	if (pipe2(fd, O_CLOEXEC))
		return NULL;
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, fd[1], STDOUT_FILENO);
	errno = posix_spawnp(ret_pid, "gzip", &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	close(fd[1]);
	f = errno ? NULL : fdopen(fd[0], "r");
	if (!f)
		close(fd[0]);
	return f;
}

/* Reads DIR/NAME or DIR/NAME.gz; ids count from 0. Lines that are no rules are an error. */
static inline int cb_read(const char *dir, const char *name, struct cb_set *ret)
{
	char *plain = xasprintf("%s/%s", dir, name), *gz = xasprintf("%s/%s.gz", dir, name);
	struct cb_set set = { NULL, 0 };
	char line[256];
	pid_t pid;
	FILE *f = cb_open(plain, &pid);
	int r = 0;

	if (!f)
		f = cb_open(gz, &pid);
	if (!f)
		r = -errno;
	while (f && fgets(line, sizeof(line), f)) {
		struct fp_cls_rule rule = fp_cls_rule_any(AF_INET, (uint32_t)set.n);

		if (!cb_parse(line, &rule))
			r = -EINVAL;
		set.rules = xrealloc(set.rules, (set.n + 1) * sizeof(*set.rules));
		set.rules[set.n++] = rule;
	}
	if (f)
		fclose(f);
	if (pid)
		waitpid(pid, NULL, 0);
	free(plain);
	free(gz);
	if (r)
		free(set.rules);
	else
		*ret = set;
	return r;
}

/*
 * Made sets: a few sites of networks, from which rules draw related prefixes, and per kind the
 * shares of wild and long prefixes and of port forms, counted in the ClassBench files.
 */
struct cb_kind {
	const char *name;
	unsigned src_wild, dst_wild;                  /* percent of rules */
	unsigned src_min, dst_min;                    /* shortest prefix of the others */
	unsigned sport_wild, dport_wild, dport_exact; /* percent */
};

static const struct cb_kind cb_kinds[] = {
	{ "acl1", 1, 1, 20, 16, 100, 12, 75 },
	{ "fw1", 20, 25, 16, 20, 55, 55, 40 },
	{ "ipc1", 8, 10, 16, 16, 70, 55, 38 },
};

static inline void cb_make_addr(uint64_t *rng, uint8_t family, size_t sites, unsigned wild,
				unsigned min, struct fp_cls_addr *lo, struct fp_cls_addr *hi)
{
	uint64_t site = hash_mix64(cb_rand(rng) % sites + 1), x = cb_rand(rng);
	unsigned len = cb_rand(rng) % 3 ? 32 - (unsigned)(x >> 60) % 5
					: min + (unsigned)(x >> 56) % (33 - min);
	uint32_t addr = (uint32_t)site << 16 | (uint32_t)(x & (x >> 16) & 0xffff);

	if (cb_rand(rng) % 100 < wild)
		return;
	cb_prefix4(addr, len, lo, hi);
	if (family == AF_INET6) {
		/* A site is a /48, its networks /49 to /64, hosts below that. */
		uint64_t net = 0x20010db800000000ull ^ (site >> 20 << 16);

		lo->hi = net | (lo->lo >> 8 & 0xffff);
		hi->hi = net | (hi->lo >> 8 & 0xffff);
		lo->lo = len > 24 ? lo->lo & 0xff : 0;
		hi->lo = len > 24 ? hi->lo & 0xff : UINT64_MAX;
	}
}

/* Rules of the kind that name begins with, the last one a wildcard. */
static inline struct cb_set cb_make(const char *name, uint8_t family, size_t n, uint64_t seed)
{
	static const uint16_t ports[] = { 22, 23, 25, 53, 80, 110, 123, 143, 161, 443, 1521, 3306 };
	const struct cb_kind *kind = &cb_kinds[0];
	struct cb_set set = { xcalloc(n, sizeof(*set.rules)), n };
	uint64_t rng = hash_mix64(seed | 1) | 1;

	for (size_t i = 0; i < ARRAY_LEN(cb_kinds); i++) {
		if (!strncmp(name, cb_kinds[i].name, strlen(cb_kinds[i].name)))
			kind = &cb_kinds[i];
	}
	for (size_t i = 0; i < n; i++) {
		struct fp_cls_rule *r = &set.rules[i];
		unsigned form = cb_rand(&rng) % 100;

		*r = fp_cls_rule_any(family, (uint32_t)i);
		if (i + 1 == n)
			break;
		cb_make_addr(&rng, family, n / 20 + 3, kind->src_wild, kind->src_min, &r->src_lo,
			     &r->src_hi);
		cb_make_addr(&rng, family, n / 60 + 3, kind->dst_wild, kind->dst_min, &r->dst_lo,
			     &r->dst_hi);
		r->proto = cb_rand(&rng) % 3 ? 6 : 17;
		if (cb_rand(&rng) % 100 >= kind->sport_wild)
			r->sport_lo = r->sport_hi = ports[cb_rand(&rng) % ARRAY_LEN(ports)];
		if (form >= kind->dport_wild + kind->dport_exact)
			r->dport_lo = 1024;
		else if (form >= kind->dport_wild)
			r->dport_lo = r->dport_hi =
				cb_rand(&rng) & 1 ? ports[cb_rand(&rng) % ARRAY_LEN(ports)]
						  : (uint16_t)(1024 + cb_rand(&rng) % 9000);
	}
	return set;
}

static inline uint64_t cb_between(uint64_t *rng, uint64_t lo, uint64_t hi)
{
	return hi - lo + 1 ? lo + cb_rand(rng) % (hi - lo + 1) : cb_rand(rng);
}

static inline struct fp_cls_addr cb_addr_in(uint64_t *rng, const struct fp_cls_addr *lo,
					    const struct fp_cls_addr *hi)
{
	struct fp_cls_addr a = { cb_between(rng, lo->hi, hi->hi), 0 };

	a.lo = cb_between(rng, a.hi == lo->hi ? lo->lo : 0, a.hi == hi->hi ? hi->lo : UINT64_MAX);
	return a;
}

/* A random point of a rule. */
static inline struct fp_cls_key6 cb_key(uint64_t *rng, const struct fp_cls_rule *r)
{
	uint8_t proto = (uint8_t)(r->proto == FP_CLS_PROTO_ANY ? cb_rand(rng) % 256 : r->proto);

	return (struct fp_cls_key6){
		.src = cb_addr_in(rng, &r->src_lo, &r->src_hi),
		.dst = cb_addr_in(rng, &r->dst_lo, &r->dst_hi),
		.ports = fp_cls_pair((uint16_t)cb_between(rng, r->sport_lo, r->sport_hi),
				     (uint16_t)cb_between(rng, r->dport_lo, r->dport_hi)),
		.misc = fp_cls_misc(proto, 0, 0, FP_CLS_WHOLE),
	};
}

#endif
