/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a generator and a sink of frames at the speed of XDP, for benches in network namespaces.
 *
 *	flood gen IF FRAMES [SECONDS [COUNT]]   sends the frames of a file round and round
 *	flood drop IF FRAMES [SECONDS]          makes them and drops them: the cost of the generator
 *	flood sink IF                           counts until its standard input ends
 *
 * FRAMES holds records of FLOOD_FRAME bytes. gen and drop print one JSON object: sent, seconds,
 * cpu_seconds. sink prints "ready" once attached, then a JSON line for every line it reads, with
 * the frames seen so far. The whole path of a frame through veth pairs runs in the generator's own
 * core, inside BPF_PROG_RUN.
 *
 * BPF_PROG_RUN with many repeats puts the program into the kernel's XDP dispatcher, which costs
 * 25 ms at its end: one run per measurement.
 * Failure: a sentence on standard error, exit status 1.
 */
#include "flood.h"

#include "flood.skel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64

static volatile sig_atomic_t stop;

static void on_alarm(int sig)
{
	stop = sig;
}

static double clock_sec(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

__attribute__((format(printf, 2, 0))) static int quiet(enum libbpf_print_level level,
						       const char *fmt, va_list ap)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, fmt, ap) : 0;
}

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct flood_ctl *map_ctl(const struct flood_bpf *s)
{
	void *p = mmap(NULL, sizeof(struct flood_ctl), PROT_READ | PROT_WRITE, MAP_SHARED,
		       bpf_map__fd(s->maps.ctl), 0);

	if (p == MAP_FAILED)
		die("mapping the control map");
	return p;
}

static struct flood_bpf *load(const char *only, uint32_t n_frames)
{
	struct flood_bpf *s = flood_bpf__open();

	if (!s)
		die("opening the programs");
	bpf_program__set_autoload(s->progs.flood_gen, !strcmp(only, "gen"));
	bpf_program__set_autoload(s->progs.flood_sink, !strcmp(only, "sink"));
	bpf_map__set_max_entries(s->maps.frames, n_frames);
	if (flood_bpf__load(s))
		die("loading the programs");
	return s;
}

static uint32_t read_frames(const char *path, struct flood_frame **ret)
{
	FILE *f = fopen(path, "rb");
	struct flood_frame *v;
	long size;
	uint32_t n;

	if (!f || fseek(f, 0, SEEK_END) || (size = ftell(f)) < FLOOD_FRAME)
		die(path);
	rewind(f);
	n = (uint32_t)(size / FLOOD_FRAME);
	v = calloc(n, sizeof(*v));
	for (uint32_t i = 0; v && i < n; i++)
		if (fread(v[i].bytes, FLOOD_FRAME, 1, f) != 1)
			die(path);
	fclose(f);
	*ret = v;
	return n;
}

static void put_frames(const struct flood_bpf *s, const struct flood_frame *v, uint32_t n)
{
	size_t size = n * sizeof(*v);
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(s->maps.frames),
		       0);

	if (p == MAP_FAILED)
		die("mapping the frames");
	memcpy(p, v, size);
}

static int generate(int argc, char **argv, bool drop)
{
	struct flood_frame *v;
	uint32_t n = read_frames(argv[3], &v);
	double secs = argc > 4 ? atof(argv[4]) : 1, start, cpu;
	struct flood_bpf *s = load("gen", n);
	struct flood_ctl *c = map_ctl(s);
	unsigned char frame[FLOOD_FRAME];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = FLOOD_FRAME,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH, .repeat = 1 << 30);
	struct itimerval it = {
		.it_value = { (time_t)secs, (suseconds_t)((secs - (double)(time_t)secs) * 1e6) }
	};
	int r = 0;

	put_frames(s, v, n);
	memcpy(frame, v[0].bytes, FLOOD_FRAME);
	c->n = n;
	c->drop = drop;
	c->stop = argc > 5 ? strtoull(argv[5], NULL, 0) : UINT64_MAX;
	c->ifindex = if_nametoindex(argv[2]);
	if (!c->ifindex)
		die(argv[2]);
	/* Not for longer than the count needs: the program would go on making dropped frames. */
	if (c->stop < 1u << 30)
		opts.repeat = (int)c->stop;
	signal(SIGALRM, on_alarm);
	start = clock_sec(CLOCK_MONOTONIC);
	cpu = clock_sec(CLOCK_PROCESS_CPUTIME_ID);
	setitimer(ITIMER_REAL, &it, NULL);
	while (!stop && !r && c->sent < c->stop)
		r = bpf_prog_test_run_opts(bpf_program__fd(s->progs.flood_gen), &opts);
	if (r && r != -EINTR) {
		errno = -r;
		die("BPF_PROG_RUN");
	}
	printf("{\"sent\": %llu, \"seconds\": %.6f, \"cpu_seconds\": %.6f}\n",
	       (unsigned long long)c->sent, clock_sec(CLOCK_MONOTONIC) - start,
	       clock_sec(CLOCK_PROCESS_CPUTIME_ID) - cpu);
	free(v);
	flood_bpf__destroy(s);
	return 0;
}

static int sink(const char *ifname)
{
	struct flood_bpf *s = load("sink", 1);
	const struct flood_ctl *c = map_ctl(s);
	unsigned ifindex = if_nametoindex(ifname);
	char line[64];

	if (!ifindex)
		die(ifname);
	if (bpf_xdp_attach((int)ifindex, bpf_program__fd(s->progs.flood_sink), XDP_FLAGS_DRV_MODE,
			   NULL))
		die("attaching the sink");
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		printf("{\"seen\": %llu}\n",
		       (unsigned long long)__atomic_load_n(&c->sent, __ATOMIC_RELAXED));
		fflush(stdout);
	}
	bpf_xdp_detach((int)ifindex, XDP_FLAGS_DRV_MODE, NULL);
	flood_bpf__destroy(s);
	return 0;
}

int main(int argc, char **argv)
{
	libbpf_set_print(quiet);
	if (argc >= 4 && (!strcmp(argv[1], "gen") || !strcmp(argv[1], "drop")))
		return generate(argc, argv, !strcmp(argv[1], "drop"));
	if (argc == 3 && !strcmp(argv[1], "sink"))
		return sink(argv[2]);
	fprintf(stderr, "usage: flood gen|drop IF FRAMES [SECONDS [COUNT]] | flood sink IF\n");
	return 1;
}
