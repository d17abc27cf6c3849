/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the small words that every file uses: sizes, minima, container_of, clocks, safe writes.
 * Owns: nothing. Threads: any. Failure: as each line says; memory exhaustion aborts in x* calls,
 * which only control-plane start-up and editing paths use: a router that cannot allocate a few
 * bytes there is better restarted by its parent from the journal than left half-working.
 */
#ifndef RTR_UTIL_H
#define RTR_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ARRAY_LEN(a)        (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)           ((a) < (b) ? (a) : (b))
#define MAX(a, b)           ((a) > (b) ? (a) : (b))
#define ROUND_UP(x, to)     (((x) + (to)-1) / (to) * (to))
#define DIV_ROUND_UP(x, by) (((x) + (by)-1) / (by))

#ifndef container_of
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#endif

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define RTR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define RTR_CACHELINE         64
#define RTR_CACHE_ALIGNED     __attribute__((aligned(RTR_CACHELINE)))

#define NSEC_PER_SEC  1000000000ull
#define NSEC_PER_MSEC 1000000ull

/* Monotonic clock; the wall clock is for log lines only. */
uint64_t rtr_now_ns(void);

/* malloc and friends that abort on exhaustion. */
void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) RTR_PRINTF(1, 2);

/* Copies as much of src as fits, always terminates. True when all of it fitted. */
bool rtr_strlcpy(char *dst, const char *src, size_t size);

/* Parses an unsigned decimal that fills all of s. 0, -EINVAL (not a number) or -ERANGE. */
int rtr_parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret);

/* Writes all of buf to path by temp file, fsync, rename, fsync of the folder. 0 or -errno; on
 * failure no temp file is left, and the old file stands untouched, unless *ret_replaced (may be
 * NULL) says that only the last step failed: the new one is there, and a crash of the machine may
 * bring back the old one. */
int rtr_file_replace(const char *path, const void *buf, size_t size, mode_t mode,
		     bool *ret_replaced);
/* Removes the temp files of a rtr_file_replace or rtr_file_swap of this path that was killed. Not
 * beside one that runs. */
void rtr_file_sweep(const char *path);
/* Is it the name of such a temp file? */
bool rtr_file_is_temp(const char *name);

/* The same without fsync: a crash of the machine may lose the new file, never mix it with the
 * old one. For what is kept for convenience, and must not hold up an event loop. */
int rtr_file_swap(const char *path, const void *buf, size_t size, mode_t mode);

/* Reads a whole file of at most max bytes, NUL-terminated; the caller frees. 0 or -errno
 * (-EFBIG when longer). */
int rtr_file_read(const char *path, size_t max, char **ret_buf, size_t *ret_size);

#endif
