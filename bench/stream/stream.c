/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: a generator and sinks of frames at the speed of XDP, for benches in network namespaces.
 *
 *	stream LANE...       LANE: IN,MAC,OUT,MAC or IN,MAC
 *
 * A lane is a way through a router: frames that open a flow leave by interface IN to a MAC address
 * and arrive at OUT; the answers go the other way. The last lane has one interface, whose other end
 * is here too and drops: what the generator costs. It reads commands, one a line, and answers
 * each with a line of JSON:
 *
 *	shape 4|6 udp|tcp FLOWS NAT
 *		what frames are like; flows begin anew
 *	pass LANE DIR FIRST COUNT FLAGS SEQ ACK DATA PACED
 *		flows in order, one frame each; PACED: no faster than they arrive
 *	cost LANE PAIRS COUNT
 *		established flows in random order: nanoseconds a frame, and of the last lane beside
 *	flow LANE COUNT
 *		the same no faster than they arrive: how long it took, and nanoseconds a frame
 *without the waits open LANE FIRST COUNT flows begin, no faster than they arrive: UDP one frame
 *each, TCP opened and closed pace LANE RATE SECONDS NEW RATE frames a second; NEW: each opens a
 *flow watch BITS LANE sinks look at frames (stream.h), or only count (0); from zero seen LANE what
 *arrived
 *
 * The whole path of a frame through veth pairs and a kernel between them runs in the generator's
 * own core, inside BPF_PROG_RUN. Its program is attached to a link as well: else each run would
 * wait 25 ms for the kernel's XDP dispatcher.
 * Threads: one. Failure: a sentence on standard error, exit status 1.
 */
#include "stream.h"

#include "stream.skel.h"
#include "util.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BATCH     64
#define BURST     256u  /* frames at once while flows begin */
#define IN_FLIGHT 1024u /* half of a worker's ring */
#define SPIN_NS   20000u
#define LOST_NS   50000000u
#define TICK_NS   250000u
#define N_PAIRS   64
#define V4_IN     0x0a400000u /* 10.64.0.0 */
#define V4_OUT    0xc6120000u /* 198.18.0.0 */
#define WINDOW    60000

struct lane {
	unsigned ifindex[2];
	uint8_t from[2][6], to[2][6];
};

static struct lane lanes[STREAM_LANES];
static unsigned n_lanes;
static struct stream_bpf *prog;
static int links[2 * STREAM_LANES + 1], n_links;
static void *maps[3];
static size_t sizes[3];

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "stream: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void mac_of(const char *text, uint8_t mac[6])
{
	if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4,
		   mac + 5) != 6)
		die(text);
}

static void mac_of_link(const char *name, uint8_t mac[6])
{
	char path[64], line[32];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/net/%s/address", name);
	f = fopen(path, "r");
	if (!f || !fgets(line, sizeof(line), f))
		die(path);
	fclose(f);
	mac_of(line, mac);
}

/* --- programs --- */

static void attach(struct bpf_program *p, unsigned ifindex)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);

	links[n_links] = bpf_link_create(bpf_program__fd(p), (int)ifindex, BPF_XDP, &opts);
	if (links[n_links++] < 0)
		die("attaching a program");
}

static void *map_of(const struct bpf_map *m, size_t *ret_size)
{
	long page = sysconf(_SC_PAGESIZE);
	void *p;

	*ret_size = (size_t)bpf_map__max_entries(m) * ((bpf_map__value_size(m) + 7) / 8 * 8);
	*ret_size = (*ret_size + (size_t)page - 1) / (size_t)page * (size_t)page;
	p = mmap(NULL, *ret_size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(m), 0);
	if (p == MAP_FAILED)
		die("mapping an array");
	return p;
}

static void open_all(int argc, char **argv)
{
	prog = stream_bpf__open_and_load();
	if (!prog)
		die("loading the programs");
	maps[0] = map_of(prog->maps.sent, &sizes[0]);
	maps[1] = map_of(prog->maps.seen, &sizes[1]);
	maps[2] = map_of(prog->maps.stamps, &sizes[2]);
	attach(prog->progs.stream_gen, if_nametoindex("park"));
	for (n_lanes = 0; n_lanes < (unsigned)argc; n_lanes++) {
		struct lane *l = &lanes[n_lanes];
		char *name, *at = argv[n_lanes];

		for (int d = 0; d < 2; d++) {
			name = strsep(&at, ",");
			if (!name || !at || !(l->ifindex[d] = if_nametoindex(name)))
				die(argv[n_lanes]);
			mac_of_link(name, l->from[d]);
			mac_of(strsep(&at, ","), l->to[d]);
			if (at || d)
				continue;
			/* The last: both directions by one. */
			l->ifindex[1] = l->ifindex[0];
			memcpy(l->to[1], l->to[0], 6);
			memcpy(l->from[1], l->from[0], 6);
			break;
		}
		if (l->ifindex[1] == l->ifindex[0]) {
			attach(prog->progs.stream_drop, if_nametoindex("drop"));
			continue;
		}
		for (int d = 0; d < 2; d++)
			attach(prog->progs.stream_drop, l->ifindex[d]);
	}
}

/* --- frames --- */

static uint32_t add_words(const uint8_t *d, unsigned from, unsigned to)
{
	uint32_t sum = 0;

	for (unsigned i = from; i < to; i += 2)
		sum += (uint32_t)d[i] << 8 | d[i + 1];
	return sum;
}

static void st16(uint8_t *d, unsigned v)
{
	d[0] = (uint8_t)(v >> 8);
	d[1] = (uint8_t)v;
}

/* IPv6: inside fd40::, outside 2001:db8:12::; the last 32 bits are the flow's. */
static void addresses6(uint8_t *ip, int dir)
{
	static const uint8_t in[4] = { 0xfd, 0x40 }, out[6] = { 0x20, 1, 0xd, 0xb8, 0, 0x12 };

	memcpy(ip + (dir ? 24 : 8), in, sizeof(in));
	memcpy(ip + (dir ? 8 : 24), out, sizeof(out));
}

static void dir_make(int dir, bool tcp, unsigned flags, bool data)
{
	volatile struct stream_gen *g = &prog->bss->gen;
	const struct lane *l = &lanes[g->lane];
	struct stream_dir t = { .service = tcp ? 80 : 4242 };
	unsigned ip_len = g->v6 ? 40 : 20, l4 = 14 + ip_len, head = tcp ? 20 : 8,
		 len = data ? STREAM_LEN - l4 : head;
	uint8_t *d = (uint8_t *)t.frame, *ip = d + 14, *h = d + l4;

	memcpy(d, l->to[dir], 6);
	memcpy(d + 6, l->from[dir], 6);
	st16(d + 12, g->v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
	if (g->v6) {
		ip[0] = 0x60;
		st16(ip + 4, len);
		ip[6] = tcp ? IPPROTO_TCP : IPPROTO_UDP;
		ip[7] = 64;
		addresses6(ip, dir);
		if (g->nat && dir)
			memset(ip + 24, 0, 16);
	} else {
		ip[0] = 0x45;
		st16(ip + 2, len + 20);
		ip[6] = 0x40;
		ip[8] = 64;
		ip[9] = tcp ? IPPROTO_TCP : IPPROTO_UDP;
		t.ip_sum = add_words(d, 14, 34);
	}
	for (int k = 0; k < 2; k++) {
		t.at[k] = g->v6 ? 34 + 16u * (unsigned)k : 26 + 4u * (unsigned)k;
		t.addr[k] = g->v6 ? 1 : k == dir ? V4_IN : V4_OUT;
	}
	if (tcp) {
		h[12] = 0x50;
		h[13] = (uint8_t)flags;
		st16(h + 14, WINDOW);
		t.check_at = l4 + 16;
	} else {
		st16(h + 4, len);
		t.check_at = l4 + 6;
	}
	t.l4 = l4;
	t.payload = data ? STREAM_LEN - l4 - head : 0;
	/* The pseudo-header, but for what the flow adds. */
	t.sum = add_words(d, l4, l4 + len) + len + (tcp ? IPPROTO_TCP : IPPROTO_UDP);
	if (g->v6)
		t.sum += add_words(d, 22, 54);
	g->dir[dir] = t;
}

static void dirs_make(unsigned lane, unsigned flags, bool data, uint32_t seq, uint32_t ack)
{
	volatile struct stream_gen *g = &prog->bss->gen;

	g->lane = lane;
	g->seq_add = seq;
	g->ack_add = ack;
	for (int d = 0; d < 2; d++) {
		g->ifindex[d] = lanes[lane].ifindex[d];
		dir_make(d, g->tcp, flags, data);
	}
}

/* Nanoseconds a frame, the way down to the sink and the sink included. */
static double run(uint32_t n)
{
	static uint8_t data[STREAM_LEN];
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = data, .data_size_in = sizeof(data),
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH, .repeat = (int)n);

	if (bpf_prog_test_run_opts(bpf_program__fd(prog->progs.stream_gen), &o))
		die("BPF_PROG_RUN");
	return o.duration;
}

/* --- commands; false: not understood --- */

static bool shape(const char *args)
{
	volatile struct stream_gen *g = &prog->bss->gen;
	unsigned v, nat, flows;
	char proto[8];

	if (sscanf(args, "%u %7s %u %u", &v, proto, &flows, &nat) != 4 || !flows ||
	    flows > STREAM_FLOWS)
		return false;
	g->v6 = v == 6;
	g->tcp = !strcmp(proto, "tcp");
	g->flows = flows;
	g->nat = nat;
	g->random = 0x12345;
	g->n = 1;
	for (int i = 0; i < 3; i++)
		memset(maps[i], 0, sizes[i]);
	printf("{}\n");
	return true;
}

/* An established connection: both ends' first bytes are numbered 1. */
static double random_run(unsigned lane, uint32_t count)
{
	dirs_make(lane, 0x10, true, 1, 1);
	prog->bss->gen.order = STREAM_RANDOM;
	return run(count);
}

static bool cost(const char *args)
{
	unsigned lane, pairs, count;
	double ours[N_PAIRS], control[N_PAIRS];

	if (sscanf(args, "%u %u %u", &lane, &pairs, &count) != 3 || lane >= n_lanes ||
	    pairs > N_PAIRS)
		return false;
	for (unsigned i = 0; i < pairs; i++) {
		control[i] = random_run(n_lanes - 1, count);
		ours[i] = random_run(lane, count);
	}
	printf("{\"ours\": [");
	for (unsigned i = 0; i < pairs; i++)
		printf("%s%.0f", i ? ", " : "", ours[i]);
	printf("], \"control\": [");
	for (unsigned i = 0; i < pairs; i++)
		printf("%s%.0f", i ? ", " : "", control[i]);
	printf("]}\n");
	return true;
}

static void until(uint64_t t)
{
	struct timespec ts = { (time_t)(t / 1000000000u), (long)(t % 1000000000u) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* Of what was sent in one direction. */
static uint64_t arrived_by(unsigned lane, unsigned dir)
{
	return ((volatile struct stream_sink *)
			prog->bss->sink)[lanes[lane].ifindex[!dir] % STREAM_SINKS]
		.frames;
}

static uint64_t arrived(unsigned lane)
{
	return arrived_by(lane, 0) + arrived_by(lane, 1);
}

/* Until that many have arrived, in direction dir or (2) in both; what is late is lost: how many. */
static uint64_t wait_arrived(unsigned lane, unsigned dir, uint64_t want)
{
	uint64_t start = now_ns(), now = start, got;

	while ((got = dir < 2 ? arrived_by(lane, dir) : arrived(lane)) < want &&
	       (now = now_ns()) - start < LOST_NS)
		if (now - start > SPIN_NS)
			until(now + SPIN_NS);
	return got < want ? want - got : 0;
}

/* No faster than they arrive; nanoseconds a frame without the waits. */
static double run_paced(unsigned lane, uint32_t count)
{
	uint64_t base = arrived(lane);
	double ns = 0;

	for (uint32_t n = 0; n < count; n += BURST) {
		uint32_t k = MIN(BURST, count - n);

		ns += run(k) * k;
		base -= wait_arrived(lane, 2, base + n + BURST - MIN(n + BURST, IN_FLIGHT));
	}
	wait_arrived(lane, 2, base + count);
	return ns / count;
}

static bool flow(const char *args)
{
	unsigned lane, count;
	uint64_t start, base;
	double ns;

	if (sscanf(args, "%u %u", &lane, &count) != 2 || lane >= n_lanes || !count)
		return false;
	dirs_make(lane, 0x10, true, 1, 1);
	prog->bss->gen.order = STREAM_RANDOM;
	base = arrived(lane);
	start = now_ns();
	ns = run_paced(lane, count);
	printf("{\"ns\": %llu, \"inside\": %.1f, \"arrived\": %llu}\n",
	       (unsigned long long)(now_ns() - start), ns,
	       (unsigned long long)(arrived(lane) - base));
	return true;
}

static bool pass(const char *args)
{
	volatile struct stream_gen *g = &prog->bss->gen;
	unsigned lane, dir, first, count, flags, seq, ack, data, paced;
	uint64_t start;

	if (sscanf(args, "%u %u %u %u %u %u %u %u %u", &lane, &dir, &first, &count, &flags, &seq,
		   &ack, &data, &paced) != 9 ||
	    lane >= n_lanes || dir > 1)
		return false;
	dirs_make(lane, flags, data, seq, ack);
	g->order = STREAM_FORTH + dir;
	g->first = g->n - first;
	start = now_ns();
	if (paced)
		run_paced(lane, count);
	else
		run(count);
	printf("{\"ns\": %llu}\n", (unsigned long long)(now_ns() - start));
	return true;
}

/* Some connections on their way from handshake to close. */
struct opening {
	uint32_t first, n;
	unsigned dir;   /* of the last step, */
	uint64_t until; /* and how many have arrived that way when it has */
};

static const struct {
	unsigned dir, flags;
	uint32_t seq, ack;
} tcp_steps[] = {
	{ 0, TH_SYN, 0, 0 },          { 1, TH_SYN | TH_ACK, 0, 1 }, { 0, TH_ACK, 1, 1 },
	{ 0, TH_FIN | TH_ACK, 1, 1 }, { 1, TH_FIN | TH_ACK, 1, 2 }, { 0, TH_ACK, 2, 2 },
};

/* By direction: how many have arrived when all are there, and what of it nobody waits for again. */
struct under_way {
	uint64_t sent[2], lost[2];
};

static void wait_step(unsigned lane, const struct opening *o, struct under_way *u)
{
	u->lost[o->dir] += wait_arrived(lane, o->dir, o->until - u->lost[o->dir]);
}

/* The next step of these, when their last one has arrived. */
static void step_tcp(unsigned lane, unsigned step, struct opening *o, struct under_way *u)
{
	volatile struct stream_gen *g = &prog->bss->gen;

	if (step)
		wait_step(lane, o, u);
	o->dir = tcp_steps[step].dir;
	dirs_make(lane, tcp_steps[step].flags, false, tcp_steps[step].seq, tcp_steps[step].ack);
	g->order = STREAM_FORTH + o->dir;
	g->first = g->n - o->first;
	run(o->n);
	o->until = u->sent[o->dir] += o->n;
}

/* Several groups take turns, so that the router always has something to do. */
static void open_tcp(unsigned lane, uint32_t first, uint32_t count)
{
	struct under_way u = { .sent = { arrived_by(lane, 0), arrived_by(lane, 1) } };
	struct opening o[IN_FLIGHT / BURST];

	for (uint32_t n = 0; n < count;) {
		unsigned groups = 0;

		for (; groups < ARRAY_LEN(o) && n < count; n += o[groups++].n)
			o[groups] = (struct opening){ .first = first + n,
						      .n = MIN(BURST, count - n) };
		for (unsigned step = 0; step < ARRAY_LEN(tcp_steps); step++)
			for (unsigned i = 0; i < groups; i++)
				step_tcp(lane, step, &o[i], &u);
		for (unsigned i = 0; i < groups; i++)
			wait_step(lane, &o[i], &u);
	}
}

static bool open_flows(const char *args)
{
	volatile struct stream_gen *g = &prog->bss->gen;
	unsigned lane, first, count;
	uint64_t start, base;

	if (sscanf(args, "%u %u %u", &lane, &first, &count) != 3 || lane >= n_lanes)
		return false;
	start = now_ns();
	base = arrived(lane);
	g->order = STREAM_FORTH;
	g->first = g->n - first;
	if (g->tcp)
		open_tcp(lane, first, count);
	else {
		dirs_make(lane, 0, true, 0, 0);
		run_paced(lane, count);
	}
	printf("{\"ns\": %llu, \"arrived\": %llu}\n", (unsigned long long)(now_ns() - start),
	       (unsigned long long)(arrived(lane) - base));
	return true;
}

static bool pace(const char *args)
{
	volatile struct stream_gen *g = &prog->bss->gen;
	unsigned lane, fresh;
	uint64_t start, now, sent = 0;
	double rate, secs, behind = 0;

	if (sscanf(args, "%u %lf %lf %u", &lane, &rate, &secs, &fresh) != 4 || lane >= n_lanes)
		return false;
	dirs_make(lane, 0x10, true, 1, 1);
	g->order = fresh ? STREAM_FORTH : STREAM_RANDOM;
	g->first = g->n - (fresh ? g->flows : 0); /* behind the established */
	g->stamp = 1;
	start = now_ns();
	while ((now = now_ns()) - start < (uint64_t)(secs * 1e9)) {
		uint64_t due = (uint64_t)((double)(now - start) * rate / 1e9);

		/* A stop of this thread is not made up for. */
		if (due - sent > rate / 100) {
			behind += (double)(due - sent);
			start += (uint64_t)((double)(due - sent) / rate * 1e9);
			secs -= (double)(due - sent) / rate;
			continue;
		}
		if (due > sent)
			run((uint32_t)(due - sent));
		sent = due;
		until(now + TICK_NS);
	}
	g->stamp = 0;
	printf("{\"sent\": %llu, \"skipped\": %.0f}\n", (unsigned long long)sent, behind);
	return true;
}

static bool watch(const char *args)
{
	unsigned bits, lane;
	struct bpf_program *p;

	if (sscanf(args, "%u %u", &bits, &lane) != 2 || lane >= n_lanes)
		return false;
	p = bits ? prog->progs.stream_watch : prog->progs.stream_drop;
	prog->bss->watch = bits;
	prog->bss->seen_base = lane * STREAM_FLOWS;
	prog->bss->seen_at = lanes[lane].ifindex[1];
	memset((void *)prog->bss->sink, 0, sizeof(prog->bss->sink));
	/* Link 0 is the generator's, the last one the control's drop. */
	for (int i = 1; i < n_links - 1; i++)
		if (bpf_link_update(links[i], bpf_program__fd(p), NULL))
			die("another sink");
	printf("{}\n");
	return true;
}

/* The bin's middle, nanoseconds. */
static double bin_ns(unsigned i)
{
	unsigned log = i / 16 + 3;

	return i < 16 ? i : (double)((16 + (uint64_t)i % 16) << (log - 4)) * (1 + 1 / 64.0);
}

static double percentile(const struct stream_sink *s, double share)
{
	uint64_t all = 0, n = 0;

	for (unsigned i = 0; i < STREAM_BINS; i++)
		all += s->bin[i];
	for (unsigned i = 0; i < STREAM_BINS; i++) {
		n += s->bin[i];
		if (all && (double)n >= share * (double)all)
			return bin_ns(i);
	}
	return 0;
}

static bool seen(const char *args)
{
	unsigned lane;

	if (sscanf(args, "%u", &lane) != 1 || lane >= n_lanes)
		return false;
	printf("[");
	/* A direction arrives where the other one leaves. */
	for (int d = 0; d < 2; d++) {
		struct stream_sink s;

		memcpy(&s, (void *)&prog->bss->sink[lanes[lane].ifindex[!d] % STREAM_SINKS],
		       sizeof(s));
		printf("%s{\"frames\": %llu, \"right\": %llu, \"late\": %llu, \"gap_ns\": %llu, "
		       "\"p50\": %.0f, \"p99\": %.0f, \"p999\": %.0f}",
		       d ? ", " : "", (unsigned long long)s.frames, (unsigned long long)s.right,
		       (unsigned long long)s.late, (unsigned long long)s.gap, percentile(&s, 0.5),
		       percentile(&s, 0.99), percentile(&s, 0.999));
	}
	printf("]\n");
	return true;
}

static const struct {
	const char *name;
	bool (*run)(const char *args);
} commands[] = { { "shape", shape }, { "pass", pass }, { "flow", flow },   { "open", open_flows },
		 { "cost", cost },   { "pace", pace }, { "watch", watch }, { "seen", seen } };

static bool command(const char *line)
{
	for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
		size_t len = strlen(commands[i].name);

		if (!strncmp(line, commands[i].name, len) && line[len] == ' ')
			return commands[i].run(line + len);
	}
	return false;
}

int main(int argc, char **argv)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	char line[256];

	if (argc < 3 || argc > 1 + STREAM_LANES) {
		fprintf(stderr, "usage: stream IN,MAC,OUT,MAC... IN,MAC\n");
		return 2;
	}
	setrlimit(RLIMIT_MEMLOCK, &all);
	setvbuf(stdout, NULL, _IOLBF, 0);
	open_all(argc - 1, argv + 1);
	printf("{}\n");
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		errno = EINVAL;
		if (!command(line))
			die(line);
	}
	return 0;
}
