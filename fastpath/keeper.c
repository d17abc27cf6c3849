/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "keeper.h"

#include "judge.h"
#include "nat_mapping.h"
#include "nat_way.h"

#include <arpa/inet.h>
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
/* Interfaces of a process before are back by then, or will not be. */
#define START_NS (10 * NSEC_PER_SEC)
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
	/* Of this sweep. */
	struct fp_pol *pol;
	uint16_t generation;
	bool stateful;
	uint64_t now_ns, start_ns; /* of the sweep; of the thread */
	uint64_t sec, since_sec;   /* of the sweep; since the one before */
};

/* One direction of a flow, of either family. */
struct half {
	struct fp_track_half words;
	const struct flow_side *side;
	uint16_t zone;
	struct fp_ask ask;           /* its way: destination as it leaves */
	const uint8_t *dst, *to_src; /* as it comes in; as it leaves */
	uint16_t dport_be, to_sport_be;
};

#define WORDS(l)                                                                                   \
	{                                                                                          \
		&(l)->word0, &(l)->egress, &(l)->time, &(l)->count, &(l)->tcp                      \
	}

static struct half half4(const struct fp_keeper *k, uint32_t line)
{
	struct flow_line4 *l = (struct flow_line4 *)k->conf.mem->base[FP_FLOW_R_LINES4] + line;
	bool rw = flow_w0_flags(__atomic_load_n(&l->word0, __ATOMIC_RELAXED)) & FLOW_F_REWRITE;

	return (struct half){
		.words = WORDS(l),
		.side = (struct flow_side *)k->conf.mem->base[FP_FLOW_R_SIDES4] + line,
		.zone = l->key.zone,
		.ask = { .family = AF_INET,
			 .src = (const uint8_t *)&l->key.saddr,
			 .dst = (const uint8_t *)(rw ? &l->rw.daddr : &l->key.daddr),
			 .sport_be = l->key.sport,
			 .dport_be = rw ? l->rw.dport : l->key.dport,
			 .proto = l->key.proto,
			 .translated = rw },
		.dst = (const uint8_t *)&l->key.daddr,
		.to_src = (const uint8_t *)(rw ? &l->rw.saddr : &l->key.saddr),
		.dport_be = l->key.dport,
		.to_sport_be = rw ? l->rw.sport : l->key.sport,
	};
}

static struct half half6(const struct fp_keeper *k, uint32_t line)
{
	struct flow_line6 *l = (struct flow_line6 *)k->conf.mem->base[FP_FLOW_R_LINES6] + line;
	bool rw = flow_w0_flags(__atomic_load_n(&l->word0, __ATOMIC_RELAXED)) & FLOW_F_REWRITE;

	return (struct half){
		.words = WORDS(l),
		.side = &l->side,
		.zone = l->key.zone,
		.ask = { .family = AF_INET6,
			 .src = l->key.saddr,
			 .dst = rw ? l->rw.daddr : l->key.daddr,
			 .sport_be = l->key.sport,
			 .dport_be = rw ? l->rw.dport : l->key.dport,
			 .proto = l->key.proto,
			 .translated = rw },
		.dst = l->key.daddr,
		.to_src = rw ? l->rw.saddr : l->key.saddr,
		.dport_be = l->key.dport,
		.to_sport_be = rw ? l->rw.sport : l->key.sport,
	};
}

static struct half half_of(const struct fp_keeper *k, enum flow_family fam, uint32_t line)
{
	return fam == FLOW_4 ? half4(k, line) : half6(k, line);
}

/* Does a flow live in the line? Most do not: no more than their first word is looked at. */
static bool lives(const struct fp_keeper *k, enum flow_family fam, uint32_t line)
{
	enum fp_flow_region at = fam == FLOW_4 ? FP_FLOW_R_LINES4 : FP_FLOW_R_LINES6;
	size_t size = fam == FLOW_4 ? sizeof(struct flow_line4) : sizeof(struct flow_line6);
	const char *word0 = (const char *)k->conf.mem->base[at] + line * size;

	return flow_lives(
		__atomic_load_n((const flow_word *)(const void *)word0, __ATOMIC_RELAXED));
}

static unsigned ifindex_of(const struct fp_keeper *k, uint16_t zone)
{
	return zone < FP_PORTS_MAX ? __atomic_load_n(&k->conf.port[zone].ifindex, __ATOMIC_ACQUIRE)
				   : 0;
}

static unsigned vrf_of(const struct fp_keeper *k, uint16_t zone)
{
	return zone < FP_PORTS_MAX ? __atomic_load_n(&k->conf.port[zone].vrf, __ATOMIC_RELAXED) : 0;
}

/* ret_kernel: by an interface of the kernel's, or to the box itself. */
static uint32_t way_of(const struct fp_keeper *k, struct half *h, bool *ret_kernel)
{
	struct fp_answer answer = { 0 };
	enum fp_way way;

	*ret_kernel = false;
	h->ask.ifindex = ifindex_of(k, h->zone);
	if (!h->ask.ifindex)
		return 0;
	way = fp_way_find(&k->conf.way, &h->ask, &answer);
	*ret_kernel = way == FP_WAY_KERNEL;
	return way == FP_WAY_SEND ? answer.adj : 0;
}

/* XDP may not forward it any more: the interfaces changed. */
static bool must_leave_express(const struct fp_keeper *k, const struct half *h, uint32_t adj)
{
	uint32_t out = k->conf.adj[adj].port;

	return adj && !(__atomic_load_n(&k->conf.port[h->zone].express_in, __ATOMIC_RELAXED) &&
			out < FP_PORTS_MAX &&
			__atomic_load_n(&k->conf.port[out].express_out, __ATOMIC_RELAXED));
}

static enum fp_way ask_way(void *ctx, const struct fp_ask *ask, struct fp_answer *ret)
{
	return fp_way_find(ctx, ask, ret);
}

/* --- connections under a new policy --- */

/* What a pair is called beyond its life. */
static uint64_t ref_of(const struct half *h, uint64_t w0)
{
	uint32_t name = __atomic_load_n(&h->side->name, __ATOMIC_RELAXED) & FLOW_NAME_MASK;

	return flow_ref(flow_w0_gen(w0), name);
}

static void set_policy(uint64_t *word0, uint16_t gen, uint16_t policy)
{
	uint64_t old = __atomic_load_n(word0, __ATOMIC_RELAXED), new;

	do {
		new = (old & 0xffffffffffffull) | (uint64_t)policy << FLOW_W0_POLICY_SHIFT;
		if (flow_w0_gen(old) != gen)
			return;
	} while (!__atomic_compare_exchange_n(word0, &old, new, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED));
}

/* The twin's half. */
static struct half twin_of(const struct fp_keeper *k, enum flow_family fam, const struct half *h)
{
	return half_of(k, fam,
		       __atomic_load_n(&h->side->twin, __ATOMIC_RELAXED) %
			       (2 * k->conf.mem->n_pairs[fam]));
}

/* Both ends of a flow may be behind ports of a block: of the one that opened it, and of the one
 * that is reached by his mapping. */
static bool block_holds(const struct fp_keeper *k, enum flow_family fam,
			const struct fp_judge_flow *f)
{
	const struct fp_nat *nat = fp_pol_nat(k->pol);
	size_t size = fam == FLOW_4 ? 4 : 16;

	return (!memcmp(f->src, f->to_src, size) ||
		fp_nat_block_holds(nat, k->conf.flows, fam, f->src, f->to_src,
				   ntohs(f->to_sport_be))) &&
	       (!f->mapped || !memcmp(f->dst, f->to_dst, size) ||
		fp_nat_block_holds(nat, k->conf.flows, fam, f->to_dst, f->dst, ntohs(f->dport_be)));
}

static enum fp_judge judge_again(struct fp_keeper *k, enum flow_family fam, const struct half *h,
				 uint64_t ref)
{
	struct fp_worker_ops ops = { .route = ask_way, .ctx = &k->conf.way };
	struct fp_judge_flow f = { .family = h->ask.family,
				   .proto = h->ask.proto,
				   .ifindex = ifindex_of(k, h->zone),
				   .vrf = vrf_of(k, h->zone),
				   .oif = ifindex_of(k, twin_of(k, fam, h).zone),
				   .sport_be = h->ask.sport_be,
				   .dport_be = h->dport_be,
				   .to_sport_be = h->to_sport_be,
				   .to_dport_be = h->ask.dport_be };
	const struct flow_cold *cold = fp_flow_cold(k->conf.flows, fam, (uint32_t)ref);
	size_t size = fam == FLOW_4 ? 4 : 16;
	const struct fp_pol *past;

	/* Off the fast plane until its interface is back: its packets are the kernel's, or judged
	 * one by one. */
	if (!f.ifindex)
		return FP_JUDGE_LATER;
	memcpy(f.src, h->ask.src, size);
	memcpy(f.dst, h->dst, size);
	memcpy(f.to_src, h->to_src, size);
	memcpy(f.to_dst, h->ask.dst, size);
	f.mapped = cold->flags & FLOW_COLD_MAPPED;
	fp_track_admitted(k->conf.track, fam, ref, f.id);
	k->stats.judged++;
	/* It may go at any time, but not before this thread is quiescent. */
	past = __atomic_load_n(k->conf.past, __ATOMIC_ACQUIRE);
	if (!block_holds(k, fam, &f))
		return FP_JUDGE_END;
	return fp_judge_again(k->pol, f.id[0] | f.id[1] | f.id[2] ? past : NULL, &f, &ops);
}

/* XDP went on without a worker: what the tracker would have done. */
static void take_notes(struct fp_keeper *k, enum flow_family fam, const struct half *h,
		       uint64_t ref, uint64_t w0)
{
	struct half twin = twin_of(k, fam, h);
	struct fp_track_flow f = { .fam = fam,
				   .ref = ref,
				   .word0 = w0,
				   .half = { h->words, twin.words },
				   .cold = fp_flow_cold(k->conf.flows, fam, (uint32_t)ref) };
	uint32_t timeout;

	if (fp_track_noted(k->conf.track, &f, &timeout))
		fp_flow_retime(k->conf.flows, fam, ref, timeout);
}

/* Packets that XDP forwards keep a flow alive for as long as its last one at a worker said. That is
 * right but for open connections: timeouts change, and what was not acknowledged then is now. */
static void take_timeout(struct fp_keeper *k, enum flow_family fam, uint64_t ref, uint64_t w0)
{
	const struct fp_track_conf *conf = fp_track_now(k->conf.track);
	const struct flow_cold *cold = fp_flow_cold(k->conf.flows, fam, (uint32_t)ref);
	uint8_t state = flow_w0_state(w0) >> FLOW_TRACK_SHIFT;
	uint32_t want;

	if (flow_w0_flags(w0) & FLOW_F_TCP) {
		if (state != TCPT_S_ESTABLISHED || flow_w0_path(w0) != FLOW_P_EXPRESS)
			return;
		want = fp_track_units(conf->tcp.timeout_sec[TCPT_S_ESTABLISHED]);
	} else {
		/* The answers' half knows whether there was one. */
		if (!(ref & 1) || !state)
			return;
		want = fp_track_units(conf->udp_stream_sec);
	}
	if (__atomic_load_n(&cold->timeout, __ATOMIC_RELAXED) != want)
		fp_flow_retime(k->conf.flows, fam, ref, want);
}

/* True: the flow has ended. Asked at the opener's half, for both. */
static bool judge(struct fp_keeper *k, enum flow_family fam, const struct half *h, uint64_t w0)
{
	const uint8_t noted = FLOW_F_FIN | FLOW_F_RST | FLOW_F_WINDOW;
	uint64_t ref = ref_of(h, w0);
	struct half twin;
	bool tracked = fp_flow_cold(k->conf.flows, fam, (uint32_t)ref)->flags & FLOW_COLD_TRACKED;

	if (flow_w0_path(w0) == FLOW_P_ENDED) {
		fp_flow_end(k->conf.flows, fam, ref);
		return true;
	}
	if (tracked != k->stateful) {
		k->stats.outdated += !fp_flow_end(k->conf.flows, fam, ref);
		return true;
	}
	if (tracked && flow_w0_flags(w0) & noted)
		take_notes(k, fam, h, ref, w0);
	else if (tracked)
		take_timeout(k, fam, ref, w0);
	if (flow_w0_policy(w0) == k->generation)
		return false;
	if (tracked) {
		/* The answers go on by what becomes of the opener, not before. */
		if (ref & 1)
			return false;
		switch (judge_again(k, fam, h, ref)) {
		case FP_JUDGE_END:
			k->stats.ended += !fp_flow_end(k->conf.flows, fam, ref);
			return true;
		case FP_JUDGE_LATER:
			return false;
		case FP_JUDGE_KEEP:
			break;
		}
		twin = twin_of(k, fam, h);
		set_policy(twin.words.word0, flow_w0_gen(w0), k->generation);
	}
	set_policy(h->words.word0, flow_w0_gen(w0), k->generation);
	return false;
}

/* A packet of the answers as it leaves by adj: would it tell an address of inside? */
static bool leaks(const struct fp_keeper *k, const struct half *h, uint32_t adj)
{
	struct fp_pol_key key = { .family = h->ask.family,
				  .proto = h->ask.proto,
				  .past = true,
				  .sport_be = h->to_sport_be,
				  .dport_be = h->ask.dport_be,
				  .ifindex = ifindex_of(k, h->zone),
				  .vrf = vrf_of(k, h->zone) };
	size_t size = h->ask.family == AF_INET ? 4 : 16;

	memcpy(key.src, h->to_src, size);
	memcpy(key.dst, h->ask.dst, size);
	return fp_pol_leaks(k->pol, &key, ifindex_of(k, (uint16_t)k->conf.adj[adj].port));
}

/*
 * The flow leaves by another interface than it did when it was judged: where the packets of its
 * other direction come in tells which. Another policy or another address may hold there. True: it
 * has ended.
 */
static bool judge_moved(struct fp_keeper *k, enum flow_family fam, const struct half *h,
			uint64_t w0, uint32_t adj)
{
	uint64_t ref = ref_of(h, w0);
	struct half twin;

	if (!k->stateful || !adj)
		return false;
	twin = twin_of(k, fam, h);
	if (twin.zone >= FP_PORTS_MAX || twin.zone == k->conf.adj[adj].port)
		return false;
	if (ref & 1 ? !leaks(k, h, adj) : judge_again(k, fam, h, ref) != FP_JUDGE_END)
		return false;
	k->stats.ended += !fp_flow_end(k->conf.flows, fam, ref);
	return true;
}

/* The mapping of a flow lives as long as the flow, the block of ports that either has a port of as
 * long as both. A look-up is not for every second: each line has its own, and has it in time when
 * sweeps take long. */
static void keep_mapping(struct fp_keeper *k, enum flow_family fam, const struct half *h,
			 uint32_t line, uint64_t w0)
{
	struct fp_mapping m = { .fam = fam, .proto = h->ask.proto, .out.port_be = h->dport_be };
	struct flow_cold *cold = fp_flow_cold(k->conf.flows, fam, (uint32_t)ref_of(h, w0));

	if (!(cold->flags & (FLOW_COLD_MAPPED | FLOW_COLD_BLOCK)) ||
	    (line + k->sec) % (FP_MAPPING_KEEP_SEC / 2) >= k->since_sec)
		return;
	memcpy(m.out.addr, h->dst, fam == FLOW_4 ? 4 : 16);
	if (cold->flags & FLOW_COLD_MAPPED && h->zone != FP_ZONE_MAPPING)
		fp_mapping_find_out(k->conf.flows, &m, fp_flow_now());
	if (cold->flags & FLOW_COLD_BLOCK && k->pol)
		fp_nat_block_keep(fp_pol_nat(k->pol), k->conf.flows, fam, h->dst,
				  ntohs(h->dport_be), fp_flow_now());
}

/* A block of a pool that is cut otherwise now is nobody's. It ends by the sweep after the one that
 * ends its flows: nobody else gets its ports while they have them. */
static void end_orphan(struct fp_keeper *k, enum flow_family fam, const struct half *h, uint64_t w0)
{
	if (flow_w0_policy(w0) == k->generation)
		fp_flow_end(k->conf.flows, fam, ref_of(h, w0));
	else
		set_policy(h->words.word0, flow_w0_gen(w0), k->generation);
}

/* No packet looks there: it ends by its timer. */
static void sweep_mapping(struct fp_keeper *k, enum flow_family fam, const struct half *h,
			  uint32_t line, uint64_t w0)
{
	uint32_t pool;

	if (h->ask.proto) {
		keep_mapping(k, fam, h, line, w0);
		return;
	}
	memcpy(&pool, h->dst, sizeof(pool));
	if (k->pol && !(ref_of(h, w0) & 1) && !fp_nat_block_size(fp_pol_nat(k->pol), pool))
		end_orphan(k, fam, h, w0);
}

/* The worker that has its next packet promotes it again when it may. */
static void to_worker(struct fp_keeper *k, enum flow_family fam, const struct half *h, uint64_t old)
{
	uint64_t *word0 = h->words.word0, new, ref = ref_of(h, old);

	fp_flow_hold(k->conf.flows, fam, ref);
	do {
		if (flow_w0_path(old) != FLOW_P_EXPRESS ||
		    flow_w0_gen(old) != (uint16_t)(ref >> 32))
			return;
		new = old & ~((uint64_t)FLOW_PATH_MASK << FLOW_W0_STATE_SHIFT);
		new |= (uint64_t)FLOW_P_WORKER << FLOW_W0_STATE_SHIFT;
	} while (!__atomic_compare_exchange_n(word0, &old, new, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
}

/*
 * After a restart interfaces come one by one, behind the policy. Until both of a connection are
 * there its lines stay as the process before left them: XDP forwards by them, and the kernel has no
 * need to take it.
 */
static bool waits_for_ports(const struct fp_keeper *k, enum flow_family fam, const struct half *h,
			    uint64_t w0)
{
	const struct flow_cold *cold = fp_flow_cold(k->conf.flows, fam, (uint32_t)ref_of(h, w0));

	return k->now_ns - k->start_ns < START_NS && cold->flags & FLOW_COLD_TRACKED &&
	       (!ifindex_of(k, h->zone) || !ifindex_of(k, twin_of(k, fam, h).zone));
}

/*
 * One direction; true: the line was used for another flow meanwhile, look again. That is rare: only
 * a line whose insert failed unseen is used again without a grace period, and grace periods are
 * this thread's.
 */
static bool sweep_half(struct fp_keeper *k, enum flow_family fam, uint32_t line)
{
	struct half h = half_of(k, fam, line);
	uint64_t w0 = __atomic_load_n(h.words.word0, __ATOMIC_ACQUIRE);
	uint8_t path = flow_w0_path(w0);
	uint32_t adj, old, new;
	bool kernel;

	if (flow_w0_gen(w0) & 1 || path < FLOW_P_WORKER)
		return false;
	if (h.zone == FP_ZONE_MAPPING) {
		sweep_mapping(k, fam, &h, line, w0);
		return false;
	}
	/* The kernel judges it, and its port is its own until it ends there. */
	if (path == FLOW_P_KERNEL) {
		keep_mapping(k, fam, &h, line, w0);
		return false;
	}
	if (waits_for_ports(k, fam, &h, w0))
		return false;
	k->stats.flows++;
	/* A new process does not know the policy until rtrd has told it. */
	if (k->pol && judge(k, fam, &h, w0))
		return false;
	keep_mapping(k, fam, &h, line, w0);
	adj = way_of(k, &h, &kernel);
	if (kernel && k->stateful && k->conf.take)
		k->conf.take(k->conf.take_ctx, fam, ref_of(&h, w0));
	if (judge_moved(k, fam, &h, w0, adj))
		return false;
	old = __atomic_load_n(h.words.egress, __ATOMIC_RELAXED);
	do {
		new = (old & ~FLOW_EGRESS_ADJ_MASK) | adj;
		if (new == old)
			break;
		k->stats.changed++;
	} while (!__atomic_compare_exchange_n(h.words.egress, &old, new, false, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	if (adj)
		fib_adj_used(k->conf.way.fib, adj - k->conf.way.adj_base);
	if (path == FLOW_P_EXPRESS && must_leave_express(k, &h, adj))
		to_worker(k, fam, &h, w0);
	return flow_w0_gen(__atomic_load_n(h.words.word0, __ATOMIC_ACQUIRE)) != flow_w0_gen(w0) &&
	       new != old;
}

static void sweep_family(struct fp_keeper *k, enum flow_family fam)
{
	uint32_t n = 0;

	for (uint32_t line = 0; line < 2 * k->conf.mem->n_pairs[fam]; line++) {
		if (lives(k, fam, line)) {
			n++;
			while (sweep_half(k, fam, line))
				;
		}
		if (line % (2 * SWEEP_PAIRS) == 0) {
			rcu_quiescent_state();
			/* A pass over many flows takes longer than what workers have in hand lasts.
			 */
			fp_flow_refill(k->conf.flows);
		}
	}
	__atomic_store_n(&k->stats.n_flows[fam], n / 2, __ATOMIC_RELAXED);
}

static void sweep(struct fp_keeper *k)
{
	uint32_t pass;

	__atomic_store_n(&k->stats.begun, k->stats.begun + 1, __ATOMIC_SEQ_CST);
	pass = fibctl_pass_begin(k->conf.fib);
	k->now_ns = rtr_now_ns();
	k->since_sec = k->now_ns / NSEC_PER_SEC - k->sec;
	k->sec += k->since_sec;
	k->pol = __atomic_load_n(k->conf.pol, __ATOMIC_SEQ_CST);
	k->generation = k->pol ? fp_pol_generation(k->pol) : 0;
	k->stateful = k->pol && fp_pol_stateful(k->pol);
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
	k->start_ns = rtr_now_ns();
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
