/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "keeper.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <urcu-qsbr.h>

/* A pass each second in any case; after a change at once, and not more than a quarter of a core. */
#define SWEEP_NS    NSEC_PER_SEC
#define SWEEP_SHARE 4
#define NAP_MS      20
/* Pairs of adoption and refill in a step, and pairs swept between two quiescent states. */
#define STEP_PAIRS  4096
#define SWEEP_PAIRS 1024

struct fp_keeper {
	struct fp_keeper_conf conf;
	pthread_t thread;
	int wake_fd;
	uint32_t stop, on, hurry;
	struct fp_keeper_stats stats; /* keeper:w any:r */
	uint32_t n_flows[FLOW__FAMILIES];
};

/* One direction of a flow, of either family. */
struct half {
	uint64_t *word0;
	uint32_t *egress;
	uint16_t zone;
	struct fp_ask ask;
};

static struct half half_of(const struct fp_keeper *k, enum flow_family fam, uint32_t line)
{
	struct half h;

	if (fam == FLOW_4) {
		struct flow_line4 *l = (struct flow_line4 *)k->conf.mem->base[FP_FLOW_R_LINES4] +
				       line;

		h = (struct half){ &l->word0,
				   &l->egress,
				   l->key.zone,
				   { .family = AF_INET,
				     .src = (const uint8_t *)&l->key.saddr,
				     .dst = (const uint8_t *)&l->key.daddr,
				     .sport_be = l->key.sport,
				     .dport_be = l->key.dport,
				     .proto = l->key.proto } };
	} else {
		struct flow_line6 *l = (struct flow_line6 *)k->conf.mem->base[FP_FLOW_R_LINES6] +
				       line;

		h = (struct half){ &l->word0,
				   &l->egress,
				   l->key.zone,
				   { .family = AF_INET6,
				     .src = l->key.saddr,
				     .dst = l->key.daddr,
				     .sport_be = l->key.sport,
				     .dport_be = l->key.dport,
				     .proto = l->key.proto } };
	}
	return h;
}

static uint32_t way_of(const struct fp_keeper *k, struct half *h)
{
	const struct fp_keeper_port *p = &k->conf.port[h->zone % FP_PORTS_MAX];
	struct fp_answer answer = { 0 };

	h->ask.ifindex = __atomic_load_n(&p->ifindex, __ATOMIC_ACQUIRE);
	if (!h->ask.ifindex || h->zone >= FP_PORTS_MAX)
		return 0;
	return fp_way_find(&k->conf.way, &h->ask, &answer) == FP_WAY_SEND ? answer.adj : 0;
}

/* XDP may not forward it any more: the interfaces changed. */
static bool must_leave_express(const struct fp_keeper *k, const struct half *h, uint32_t adj)
{
	uint32_t out = k->conf.adj[adj].port;

	return adj && !(__atomic_load_n(&k->conf.port[h->zone].express_in, __ATOMIC_RELAXED) &&
			out < FP_PORTS_MAX &&
			__atomic_load_n(&k->conf.port[out].express_out, __ATOMIC_RELAXED));
}

static void to_worker(uint64_t *word0, uint64_t old)
{
	uint64_t new;

	do {
		if (flow_w0_path(old) != FLOW_P_EXPRESS)
			return;
		new = old & ~((uint64_t)FLOW_PATH_MASK << FLOW_W0_STATE_SHIFT);
		new |= (uint64_t)FLOW_P_WORKER << FLOW_W0_STATE_SHIFT;
	} while (!__atomic_compare_exchange_n(word0, &old, new, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
}

/*
 * One direction; true: the line was used for another flow meanwhile, look again. That is rare: only
 * a line whose insert failed unseen is used again without a grace period, and grace periods are
 * this thread's.
 */
static bool sweep_half(struct fp_keeper *k, enum flow_family fam, uint32_t line)
{
	struct half h = half_of(k, fam, line);
	uint64_t w0 = __atomic_load_n(h.word0, __ATOMIC_ACQUIRE);
	uint8_t path = flow_w0_path(w0);
	uint32_t adj, old, new;

	if (flow_w0_gen(w0) & 1 || (path != FLOW_P_WORKER && path != FLOW_P_EXPRESS))
		return false;
	k->stats.flows++;
	adj = way_of(k, &h);
	old = __atomic_load_n(h.egress, __ATOMIC_RELAXED);
	do {
		new = (old & ~FLOW_EGRESS_ADJ_MASK) | adj;
		if (new == old)
			break;
		k->stats.changed++;
	} while (!__atomic_compare_exchange_n(h.egress, &old, new, false, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	if (adj)
		fib_adj_used(k->conf.way.fib, adj - k->conf.way.adj_base);
	if (path == FLOW_P_EXPRESS && must_leave_express(k, &h, adj))
		to_worker(h.word0, w0);
	return flow_w0_gen(__atomic_load_n(h.word0, __ATOMIC_ACQUIRE)) != flow_w0_gen(w0) &&
	       new != old;
}

static void sweep_family(struct fp_keeper *k, enum flow_family fam)
{
	uint32_t n = 0;

	for (uint32_t line = 0; line < 2 * k->conf.mem->n_pairs[fam]; line++) {
		struct half h = half_of(k, fam, line);

		if (flow_lives(__atomic_load_n(h.word0, __ATOMIC_RELAXED))) {
			n++;
			while (sweep_half(k, fam, line))
				;
		}
		if (line % (2 * SWEEP_PAIRS) == 0)
			rcu_quiescent_state();
	}
	__atomic_store_n(&k->stats.n_flows[fam], n / 2, __ATOMIC_RELAXED);
}

static void sweep(struct fp_keeper *k)
{
	uint32_t pass;

	__atomic_store_n(&k->stats.begun, k->stats.begun + 1, __ATOMIC_SEQ_CST);
	pass = fibctl_pass_begin(k->conf.fib);

	for (int fam = 0; fam < FLOW__FAMILIES; fam++)
		sweep_family(k, (enum flow_family)fam);
	fibctl_pass_end(k->conf.fib, pass);
	__atomic_store_n(&k->stats.sweeps, k->stats.sweeps + 1, __ATOMIC_RELEASE);
}

static void *run(void *arg)
{
	struct fp_keeper *k = arg;
	uint64_t ended = 0, took = 0;
	uint32_t seq = 0;

	rcu_register_thread();
	while (!__atomic_load_n(&k->stop, __ATOMIC_RELAXED)) {
		struct pollfd fd = { .fd = k->wake_fd, .events = POLLIN };
		bool more = fp_flow_maintain(k->conf.flows, STEP_PAIRS);
		uint64_t now = rtr_now_ns(), drain;
		bool on = __atomic_load_n(&k->on, __ATOMIC_ACQUIRE);
		bool changed = __atomic_exchange_n(&k->hurry, 0, __ATOMIC_RELAXED);

		changed |= fib_seq(k->conf.way.fib) != seq;
		if (on &&
		    (now - ended > SWEEP_NS || (changed && now - ended > took * SWEEP_SHARE))) {
			seq = fib_seq(k->conf.way.fib);
			sweep(k);
			ended = rtr_now_ns();
			took = ended - now;
			k->stats.ns += took;
		} else if (changed) {
			__atomic_store_n(&k->hurry, 1, __ATOMIC_RELAXED);
		}
		rcu_thread_offline();
		if (!more && poll(&fd, 1, NAP_MS) > 0)
			(void)!read(k->wake_fd, &drain, sizeof(drain));
		rcu_thread_online();
	}
	rcu_unregister_thread();
	return NULL;
}

int fp_keeper_start(const struct fp_keeper_conf *conf, struct fp_keeper **ret)
{
	struct fp_keeper *k = xcalloc(1, sizeof(*k));
	int err = 0;

	k->conf = *conf;
	k->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (k->wake_fd < 0)
		err = -errno;
	else
		err = -pthread_create(&k->thread, NULL, run, k);
	if (err) {
		if (k->wake_fd >= 0)
			close(k->wake_fd);
		free(k);
		return err;
	}
	*ret = k;
	return 0;
}

static void wake(const struct fp_keeper *k)
{
	uint64_t one = 1;

	(void)!write(k->wake_fd, &one, sizeof(one));
}

struct fp_keeper *fp_keeper_stop(struct fp_keeper *k)
{
	if (!k)
		return NULL;
	__atomic_store_n(&k->stop, 1, __ATOMIC_RELAXED);
	wake(k);
	pthread_join(k->thread, NULL);
	close(k->wake_fd);
	free(k);
	return NULL;
}

void fp_keeper_sweep(struct fp_keeper *k, bool on)
{
	__atomic_store_n(&k->on, on, __ATOMIC_RELEASE);
	fp_keeper_hurry(k);
}

void fp_keeper_hurry(struct fp_keeper *k)
{
	__atomic_store_n(&k->hurry, 1, __ATOMIC_RELAXED);
	wake(k);
}

uint64_t fp_keeper_next(const struct fp_keeper *k)
{
	return __atomic_load_n(&k->stats.begun, __ATOMIC_SEQ_CST) + 1;
}

bool fp_keeper_swept(const struct fp_keeper *k, uint64_t sweep)
{
	return __atomic_load_n(&k->stats.sweeps, __ATOMIC_ACQUIRE) >= sweep;
}

void fp_keeper_stats(const struct fp_keeper *k, struct fp_keeper_stats *ret)
{
	*ret = k->stats;
}
