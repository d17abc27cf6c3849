/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mirror of the kernel's tables under a full Internet table: how long it takes to read, what
 * memory it takes, lookups by bursts of 64 at rest and while routes change at 10,000 a second, and
 * how far behind the kernel it falls when changes come as fast as the kernel takes them. In a
 * network namespace of its own. The peer of the load is a reader that throws everything away: what
 * the kernel's dump alone takes.
 */
#include "bench_lpm.h"
#include "fib_ctl.h"
#include "fib_rcu.h"
#include "../tests/lib/netns.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <pthread.h>
#include <urcu-qsbr.h>

#define N_LINKS    4u
#define N_GATEWAYS (N_NEXT_HOPS / N_LINKS)
#define SEND_BYTES 32768u
#define N_KEYS     (1u << 16)
#define CHURN_RATE 10000u

struct world {
	struct route_table t;
	uint32_t ifindex[N_LINKS];
	int fd; /* that routes are sent by */
	struct fib_rcu *rcu;
	struct fibctl *c;
	bool stop; /* the control thread's */
	bool churn;
	uint64_t n_changes;
	struct fib_key *key[2];
};

/* Of this thread: the machine is shared. */
static double cpu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double since(uint64_t t)
{
	return (double)(rtr_now_ns() - t) / 1e9;
}

static int open_route(void)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), big = 1 << 20;

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		exit(1);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big));
	return fd;
}

/* One route by the next hop of that number. */
static size_t put_route(const struct world *w, void *buf, const struct table_prefix *p, bool v6,
			uint32_t nh)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	uint32_t link = nh % N_LINKS, host = nh / N_LINKS % N_GATEWAYS + 2;
	uint8_t gw[16] = { 10, 0, (uint8_t)link, (uint8_t)host };
	struct rtmsg *r;

	if (v6) {
		memset(gw, 0, sizeof(gw));
		gw[0] = 0xfd;
		gw[3] = (uint8_t)link;
		gw[15] = (uint8_t)host;
	}
	h->nlmsg_type = RTM_NEWROUTE;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE;
	r = mnl_nlmsg_put_extra_header(h, sizeof(*r));
	r->rtm_family = v6 ? AF_INET6 : AF_INET;
	r->rtm_dst_len = p->len;
	r->rtm_table = RT_TABLE_MAIN;
	r->rtm_protocol = RTPROT_BGP;
	r->rtm_type = RTN_UNICAST;
	mnl_attr_put(h, RTA_DST, v6 ? 16 : 4, p->addr);
	mnl_attr_put(h, RTA_GATEWAY, v6 ? 16 : 4, gw);
	mnl_attr_put_u32(h, RTA_OIF, w->ifindex[link]);
	mnl_attr_put_u32(h, RTA_PRIORITY, 20);
	return MNL_ALIGN(h->nlmsg_len);
}

static void send_all(struct world *w, const void *buf, size_t n)
{
	static uint8_t answer[65536];

	if (n && send(w->fd, buf, n, 0) < 0) {
		perror("routes");
		exit(1);
	}
	while (recv(w->fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
		; /* routes that the kernel refuses (multicast prefixes of the real table) */
}

static void send_table(struct world *w, const struct table_prefix *p, size_t n, bool v6)
{
	static uint8_t buf[SEND_BYTES + 512];
	uint64_t s = 7;
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		used += put_route(w, buf + used, &p[i], v6, (uint32_t)(bench_rand(&s) >> 20));
		if (used >= SEND_BYTES) {
			send_all(w, buf, used);
			used = 0;
		}
	}
	send_all(w, buf, used);
}

static void setup(struct world *w, const struct bench_opts *o)
{
	netns_enter();
	w->t = bench_table(o);
	if (o->quick) {
		w->t.n_v4 = MIN(w->t.n_v4, 100000u);
		w->t.n_v6 = MIN(w->t.n_v6, 20000u);
	}
	sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
	   "net.ipv6.route.max_size=4000000");
	for (unsigned i = 0; i < N_LINKS; i++) {
		/* The number is asked for: nothing here reads numbers back. */
		w->ifindex[i] = 100 + i;
		if (!sh("ip link add a%u index %u type veth peer name b%u && ip link set b%u up && "
			"ip link set a%u up && ip addr add 10.0.%u.1/24 dev a%u && "
			"ip addr add fd00:%u::1/64 dev a%u nodad",
			i, w->ifindex[i], i, i, i, i, i, i, i))
			exit(1);
	}
	w->fd = open_route();
	send_table(w, w->t.v4, w->t.n_v4, false);
	send_table(w, w->t.v6, w->t.n_v6, true);
}

/* A dump that nobody looks at. */
static double read_only(struct world *w)
{
	static uint8_t buf[65536];
	double t0 = cpu_now();
	int fd = open_route();

	for (unsigned fam = 0; fam < 2; fam++) {
		struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
		struct rtmsg *r;
		bool end = false;

		h->nlmsg_type = RTM_GETROUTE;
		h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
		r = mnl_nlmsg_put_extra_header(h, sizeof(*r));
		r->rtm_family = fam ? AF_INET6 : AF_INET;
		if (send(fd, h, h->nlmsg_len, 0) < 0)
			exit(1);
		while (!end) {
			int n = (int)recv(fd, buf, sizeof(buf), 0);

			for (h = (void *)buf; mnl_nlmsg_ok(h, n); h = mnl_nlmsg_next(h, &n))
				end |= h->nlmsg_type == NLMSG_DONE;
		}
	}
	close(fd);
	return cpu_now() - t0;
}

static void open_mirror(struct world *w)
{
	struct fibctl_params p = { .defer = fib_rcu_defer, .drain = fib_rcu_drain };

	if (fib_rcu_new(&w->rcu))
		exit(1);
	p.defer_ctx = w->rcu;
	if (fibctl_new(&p, &w->c))
		exit(1);
	for (unsigned i = 0; i < N_LINKS; i++)
		fibctl_port(w->c, w->ifindex[i], i);
	if (fibctl_open(w->c))
		exit(1);
}

static void close_mirror(struct world *w)
{
	w->c = fibctl_free(w->c);
	w->rcu = fib_rcu_free(w->rcu);
}

static double load(struct world *w)
{
	double t0 = cpu_now();

	open_mirror(w);
	while (!fibctl_ready(w->c))
		fibctl_run(w->c, 100);
	return cpu_now() - t0;
}

static void *control(void *arg)
{
	struct world *w = arg;

	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE))
		fibctl_run(w->c, 20);
	return NULL;
}

/* Changes the next hop of prefixes at random. */
static void change(struct world *w, unsigned n, uint64_t *s)
{
	static uint8_t buf[SEND_BYTES + 512];
	size_t used = 0;

	for (unsigned i = 0; i < n; i++) {
		bool v6 = bench_rand(s) % 8 == 0;
		const struct table_prefix *p = v6 ? &w->t.v6[bench_rand(s) % w->t.n_v6]
						  : &w->t.v4[bench_rand(s) % w->t.n_v4];

		used += put_route(w, buf + used, p, v6, (uint32_t)(bench_rand(s) >> 20));
		if (used >= SEND_BYTES || i + 1 == n) {
			send_all(w, buf, used);
			used = 0;
		}
	}
}

static void *churn(void *arg)
{
	struct world *w = arg;
	uint64_t s = 99, next = rtr_now_ns();

	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		change(w, CHURN_RATE / 100, &s);
		w->n_changes += CHURN_RATE / 100;
		next += NSEC_PER_SEC / 100;
		if (next > rtr_now_ns())
			usleep((useconds_t)((next - rtr_now_ns()) / 1000));
	}
	return NULL;
}

static void make_keys(struct world *w)
{
	uint64_t s = 55;

	for (unsigned fam = 0; fam < 2; fam++) {
		w->key[fam] = xcalloc(N_KEYS, sizeof(*w->key[fam]));
		for (uint32_t i = 0; i < N_KEYS; i++) {
			struct fib_key *k = &w->key[fam][i];
			const struct table_prefix *p = fam ? &w->t.v6[bench_rand(&s) % w->t.n_v6]
							   : &w->t.v4[bench_rand(&s) % w->t.n_v4];

			k->family = fam ? AF_INET6 : AF_INET;
			k->iif = w->ifindex[0];
			k->hash = (uint32_t)bench_rand(&s);
			memcpy(k->dst.b, p->addr, 16);
			for (unsigned b = p->len; b < (fam ? 128u : 32u); b++)
				if (bench_rand(&s) & 1)
					k->dst.b[b / 8] |= (uint8_t)(0x80 >> b % 8);
		}
	}
}

/* Mlookups a processor second of this thread. */
static double lookups(struct world *w, unsigned fam, uint64_t *forwarded)
{
	const struct fib *f = fibctl_fib(w->c);
	struct fib_res res[FIB_BURST];
	double t0 = cpu_now();
	uint64_t n = 0;

	for (unsigned pass = 0; pass < 16; pass++)
		for (uint32_t i = 0; i < N_KEYS; i += FIB_BURST) {
			fib_lookup_burst(f, &w->key[fam][i], res, FIB_BURST);
			n += FIB_BURST;
			for (unsigned j = 0; j < FIB_BURST; j++)
				*forwarded += res[j].verdict == FIB_V_FORWARD;
			rcu_quiescent_state();
		}
	return (double)n / (cpu_now() - t0) / 1e6;
}

int main(int argc, char **argv)
{
	struct bench_opts o;
	struct bench_case load_s = { .bench = "fib",
				     .name = "load, processor time",
				     .unit = "s",
				     .peer = "dump thrown away",
				     .limit = 5,
				     .limit_is_value = true,
				     .required = true },
			  mem = { .bench = "fib", .name = "memory", .unit = "MB" },
			  rest[2] = { { .bench = "fib",
					.name = "lookup4",
					.unit = "Mops/s",
					.higher_is_better = true },
				      { .bench = "fib",
					.name = "lookup6",
					.unit = "Mops/s",
					.higher_is_better = true } },
			  under[2] = { { .bench = "fib",
					 .name = "lookup4 at 10k changes/s",
					 .unit = "Mops/s",
					 .higher_is_better = true },
				       { .bench = "fib",
					 .name = "lookup6 at 10k changes/s",
					 .unit = "Mops/s",
					 .higher_is_better = true } },
			  lag = { .bench = "fib", .name = "lag after 200k changes", .unit = "ms" },
			  rate = { .bench = "fib",
				   .name = "changes",
				   .unit = "k/s",
				   .higher_is_better = true,
				   .limit = 10,
				   .limit_is_value = true,
				   .required = true };
	struct fibctl_stats st;
	struct world w = { 0 };
	uint64_t forwarded = 0, s = 5;

	if (bench_parse(&o, argc, argv))
		return 2;
	setup(&w, &o);
	make_keys(&w);
	for (int r = 0; r < o.rounds; r++) {
		pthread_t ct, churner;
		uint64_t t0, t1;
		unsigned n = o.quick ? 20000 : 200000;

		bench_add_peer(&load_s, read_only(&w));
		bench_add_ours(&load_s, load(&w));
		fibctl_stats(w.c, &st);
		bench_add_ours(&mem,
			       (double)(st.route_bytes + st.lpm_bytes + st.other_bytes) / 1e6);
		rcu_register_thread();
		for (unsigned fam = 0; fam < 2; fam++)
			bench_add_ours(&rest[fam], lookups(&w, fam, &forwarded));
		w.stop = false;
		pthread_create(&ct, NULL, control, &w);
		pthread_create(&churner, NULL, churn, &w);
		for (unsigned fam = 0; fam < 2; fam++)
			bench_add_ours(&under[fam], lookups(&w, fam, &forwarded));
		rcu_thread_offline();
		__atomic_store_n(&w.stop, true, __ATOMIC_RELEASE);
		pthread_join(ct, NULL);
		pthread_join(churner, NULL);
		/* As fast as the kernel takes them, the mirror beside it. */
		w.stop = false;
		pthread_create(&ct, NULL, control, &w);
		t0 = rtr_now_ns();
		change(&w, n, &s);
		t1 = rtr_now_ns();
		__atomic_store_n(&w.stop, true, __ATOMIC_RELEASE);
		pthread_join(ct, NULL);
		do {
			fibctl_run(w.c, 0);
			fibctl_stats(w.c, &st);
		} while (st.busy || fibctl_pending(w.c));
		bench_add_ours(&rate, n / since(t0) / 1e3);
		bench_add_ours(&lag, since(t1) * 1e3);
		fprintf(stderr, "events %llu lost %llu resyncs %llu paths %u routes %u+%u\n",
			(unsigned long long)st.n_events, (unsigned long long)st.n_lost,
			(unsigned long long)st.n_resyncs, st.n_paths, st.n_routes[0],
			st.n_routes[1]);
		rcu_unregister_thread();
		close_mirror(&w);
	}
	if (!forwarded)
		return 1;
	bench_print(&load_s);
	bench_print(&mem);
	for (unsigned fam = 0; fam < 2; fam++)
		bench_print(&rest[fam]);
	for (unsigned fam = 0; fam < 2; fam++)
		bench_print(&under[fam]);
	bench_print(&rate);
	bench_print(&lag);
	return 0;
}
