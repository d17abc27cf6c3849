/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "box.h"

#include "adj_half.h"
#include "filter.h"
#include "track_conf.h"

#include <dirent.h>
#include <stdarg.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <urcu-qsbr.h>

/* The clock that XDP reads from the kernel's tick is set anew so often. */
#define CLOCK_NS (2 * NSEC_PER_SEC)
/* The kernel's timeouts are asked for again so often. */
#define TIMEOUTS_NS (2 * NSEC_PER_SEC)
/* A process before may be on its way out with the lease of the flow table. */
#define LEASE_TRIES 100
#define LEASE_MS    10

static void note(const struct fp_box *b, const char *fmt, ...) RTR_PRINTF(2, 3);
static void note(const struct fp_box *b, const char *fmt, ...)
{
	char text[FASTPATH_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	b->conf.note(b->conf.ctx, text);
}

/* --- tables --- */

static const char *pin_dir(const struct fp_box *b)
{
	return *b->conf.pin_dir ? b->conf.pin_dir : NULL;
}

/* Of other sizes or another version: nothing of it can be used, and its programs end with it. */
static void unpin_all(const struct fp_box *b)
{
	DIR *d = opendir(b->conf.pin_dir);
	char path[sizeof(b->conf.pin_dir) + 256];
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (*e->d_name == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", b->conf.pin_dir, e->d_name);
		unlink(path);
	}
	if (d)
		closedir(d);
}

static void grace(void *ctx)
{
	synchronize_rcu();
}

static int open_flows(struct fp_box *b)
{
	char lease[sizeof(b->conf.pin_dir) + 16];
	struct fp_flow_conf conf = { .n_workers = b->conf.n_workers,
				     .grace = grace,
				     .freed = fp_box_freed,
				     .freed_ctx = b };
	struct timespec wait = { .tv_nsec = LEASE_MS * 1000000L };
	int err = -EBUSY;

	/* Beside the folder: a bpffs holds no plain files. */
	snprintf(lease, sizeof(lease), "%s.lease", b->conf.pin_dir);
	conf.lease_path = pin_dir(b) ? lease : NULL;
	for (int i = 0; i < LEASE_TRIES && err == -EBUSY; i++) {
		err = fp_flow_open(&b->mem, &conf, &b->flows);
		if (err == -EBUSY)
			nanosleep(&wait, NULL);
	}
	return err;
}

static int open_tables(struct fp_box *b)
{
	struct fp_xdp_conf xc = { .mem = &b->mem,
				  .pin_dir = pin_dir(b),
				  .ct_types = b->conf.ct_types,
				  .n_ports = FP_PORTS_MAX,
				  .n_adj = FP_ADJ_MAX,
				  .n_xsks = FP_PORTS_MAX * FP_QUEUES_MAX,
				  .n_workers = b->conf.n_workers,
				  .n_frames = b->conf.n_frames };
	int err = fp_flow_mem_bpf(b->conf.n_flows, pin_dir(b), &b->mem);

	if (!err)
		err = open_flows(b);
	return err ?: fp_xdp_new(&xc, &b->xdp);
}

static void close_tables(struct fp_box *b)
{
	b->xdp = fp_xdp_free(b->xdp);
	b->flows = fp_flow_close(b->flows);
	fp_flow_mem_fini(&b->mem);
	for (int r = 0; r < FP_FLOW_R__MAX; r++)
		b->mem.fd[r] = -1;
}

static int open_or_replace(struct fp_box *b)
{
	int err = open_tables(b);

	if (err != -EPROTO)
		return err;
	note(b, "Tables of other sizes or of another version are replaced: flows start anew");
	close_tables(b);
	unpin_all(b);
	return open_tables(b);
}

/* --- the mirror of the kernel's tables --- */

static void adj_set(void *ctx, uint32_t i, const struct fp_adj *adj)
{
	struct fp_box *b = ctx;

	fp_xdp_adj_set(b->xdp, b->way.adj_base + i, adj);
}

static void fib_event(void *ctx, enum fibctl_event ev, const char *what)
{
	static const char *const texts[] = {
		[FIBCTL_EV_LOST] = "Events of the kernel's tables were lost: reading them anew",
		[FIBCTL_EV_LIMIT] = "A table is full, what is beyond it is the kernel's",
		[FIBCTL_EV_REFUSED] = "The kernel refused a request",
	};
	struct fp_box *b = ctx;

	if ((size_t)ev < ARRAY_LEN(texts) && texts[ev])
		note(b, "%s%s%s", texts[ev], what ? ": " : "", what ? what : "");
}

static void fib_closing(void *ctx)
{
	struct fp_box *b = ctx;

	b->closing = true;
	fp_xdp_pause(b->xdp, true);
}

/* XDP asks nobody: after a change of hooks or IPsec policies it goes on when each flow has been
 * looked at by a sweep that knew of the change. */
static void open_again(struct fp_box *b)
{
	if (b->closing) {
		b->closing = false;
		/* The kernel has their packets now, and their windows go on without us. */
		fp_box_mirror_ready(b, FP_MIRROR_ALL);
		fp_box_mirror_give(b, FP_MIRROR_ALL);
		b->open_at = fp_keeper_next(b->keeper);
		fp_keeper_hurry(b->keeper);
	} else if (b->open_at && fp_keeper_swept(b->keeper, b->open_at)) {
		b->open_at = 0;
		fp_xdp_pause(b->xdp, false);
	}
}

/* Flows whose way is by a neighbour that was not known have none until a sweep has given it. */
static void adj_done(void *ctx, uint32_t i, enum fib_adj_state state)
{
	struct fp_box *b = ctx;

	if (b->keeper && fib_adj_ready(state))
		fp_keeper_hurry(b->keeper);
}

static int open_fib(struct fp_box *b)
{
	struct fibctl_params p = { .instance = b->conf.instance,
				   .n_adj = FP_ADJ_MAX / 2,
				   .xt_names = b->conf.xt_names,
				   .defer = fib_rcu_defer,
				   .drain = fib_rcu_drain,
				   .adj_set = adj_set,
				   .adj_done = adj_done,
				   .event = fib_event,
				   .closing = fib_closing,
				   .ctx = b };
	int err;

	b->way.adj_base = fp_flow_hdr(b->flows)->epoch % 2 * (FP_ADJ_MAX / 2);
	fp_adj_half_vacate(&b->mem, fp_xdp_adjs(b->xdp), FP_ADJ_MAX, b->way.adj_base);
	err = fib_rcu_new(&b->rcu);
	p.defer_ctx = b->rcu;
	if (!err)
		err = fibctl_new(&p, &b->fib);
	if (err)
		return err;
	b->way.fib = fibctl_fib(b->fib);
	return fibctl_open(b->fib);
}

/* --- workers --- */

static enum fp_way ask_way(void *ctx, const struct fp_ask *ask, struct fp_answer *ret)
{
	return fp_way_find(&((struct fp_box_worker *)ctx)->way, ask, ret);
}

static bool error_way(void *ctx, const struct fp_ask *about, struct fp_error_way *ret)
{
	return fp_way_error(&((struct fp_box_worker *)ctx)->way, about, ret);
}

static enum rtr_drop punt(void *ctx, unsigned ifindex, const uint8_t *frame, uint32_t len,
			  uint64_t now_ns)
{
	return fp_punt_frame(&((struct fp_box_worker *)ctx)->punt, ifindex, frame, len, now_ns);
}

static int open_worker(struct fp_box *b, unsigned i)
{
	struct fp_box_worker *bw = &b->worker[i];
	struct fp_worker_conf conf = { .id = i,
				       .n_frames = b->conf.n_frames,
				       .seed = fp_flow_hdr(b->flows)->seed4[0] + i,
				       .flows = b->flows,
				       .fw = fp_flow_worker(b->flows, i),
				       .adj = fp_xdp_adjs(b->xdp),
				       .n_adj = FP_ADJ_MAX,
				       .adj_gen = fp_xdp_adj_gen(b->xdp),
				       .ops = { ask_way, punt, error_way, bw },
				       .pol = &b->pol.now,
				       .track = b->track };
	int err;

	fp_xdp_inject(b->xdp, i, &conf.area, &conf.inject);
	bw->way = b->way;
	err = fp_punt_init(&bw->punt);
	if (!err)
		err = fp_worker_new(&conf, &bw->w);
	return err ?: fp_wthread_start(bw->w, fp_filter_worker, &bw->thread);
}

static int open_keeper(struct fp_box *b)
{
	struct fp_keeper_conf conf = { .flows = b->flows,
				       .mem = &b->mem,
				       .fib = b->fib,
				       .way = b->way,
				       .adj = fp_xdp_adjs(b->xdp),
				       .port = b->keeper_port,
				       .take = fp_box_take,
				       .take_ctx = b,
				       .pol = &b->pol.now,
				       .past = &b->pol.past,
				       .track = b->track };

	return fp_keeper_start(&conf, &b->keeper);
}

/* Interfaces keep their slots: the keys of living flows name them. */
static void find_ports(struct fp_box *b)
{
	struct express_count c;

	for (unsigned slot = 0; slot < FP_PORTS_MAX; slot++) {
		b->port[slot].ifindex = fp_xdp_port_found(b->xdp, slot)
						?: fp_xdp_vlan_found(b->xdp, slot,
								     &b->port[slot].vlan);
		/* XDP's counters outlive processes, and workers' do not. */
		if (!fp_xdp_counts(b->xdp, slot, &c))
			b->before[slot] = c.verdict[EXPRESS_V_WORKER_FLOW] +
					  c.verdict[EXPRESS_V_WORKER_NEW];
	}
}

int fp_box_open(struct fp_box *b, const struct fp_box_conf *conf)
{
	int err;

	*b = (struct fp_box){ .conf = *conf };
	for (int r = 0; r < FP_FLOW_R__MAX; r++)
		b->mem.fd[r] = -1;
	err = open_or_replace(b);
	if (!err)
		err = open_fib(b);
	if (err)
		return err;
	find_ports(b);
	b->track = fp_track_new(b->mem.n_pairs);
	for (unsigned i = 0; i < b->conf.n_workers && !err; i++)
		err = open_worker(b, i);
	if (!err && fp_box_mirror_open(b))
		note(b, "The kernel's connection table cannot be written: connections of the fast "
			"plane end with it");
	if (!err)
		__atomic_store_n(&fp_xdp_ctl(b->xdp)->gone, 0, __ATOMIC_RELEASE);
	return err ?: open_keeper(b);
}

static void end(struct fp_box *b)
{
	b->keeper = fp_keeper_stop(b->keeper);
	b->mirror = fp_mirror_stop(b->mirror);
	for (unsigned i = 0; i < b->conf.n_workers; i++) {
		struct fp_box_worker *w = &b->worker[i];

		w->thread = fp_wthread_stop(w->thread);
		w->w = fp_worker_free(w->w);
		if (w->punt.prog_fd > 0)
			fp_punt_fini(&w->punt);
	}
	b->fib = fibctl_free(b->fib);
	b->rcu = fib_rcu_free(b->rcu);
	b->track = fp_track_free(b->track);
	fp_box_policy_fini(b);
	close_tables(b);
}

void fp_box_close(struct fp_box *b)
{
	fp_box_mirror_ready(b, FP_MIRROR_ALL);
	b->leaving = true;
	for (unsigned slot = 0; slot < FP_PORTS_MAX; slot++)
		if (b->port[slot].attached)
			fp_box_port_off(b, slot, "rtr-fastpath ends");
	b->leaving = false;
	fp_box_mirror_give(b, FP_MIRROR_ALL);
	end(b);
}

void fp_box_hand_over(struct fp_box *b)
{
	/* If the next one cannot use the table, the kernel has them. */
	fp_box_mirror_ready(b, FP_MIRROR_ALL);
	for (unsigned i = 0; i < b->conf.n_workers; i++)
		if (b->worker[i].thread)
			fp_wthread_leave(b->worker[i].thread);
	/* XDP that saw a worker alive has put its frames into the rings. */
	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	end(b);
}

/* --- interfaces --- */

struct fp_box_port *fp_box_port_of(struct fp_box *b, unsigned ifindex)
{
	for (unsigned slot = 0; slot < FP_PORTS_MAX; slot++)
		if (b->port[slot].ifindex == ifindex)
			return &b->port[slot];
	return NULL;
}

void fp_box_want(struct fp_box *b, unsigned ifindex, bool express, enum fastpath_zc zc)
{
	struct fp_box_port *p = fp_box_port_of(b, ifindex);

	if (!p) {
		p = fp_box_port_of(b, 0);
		if (!p) {
			note(b, "Too many interfaces for the fast plane: %u stays with the kernel",
			     ifindex);
			return;
		}
		*p = (struct fp_box_port){ .ifindex = ifindex };
		fp_box_vlan_carried(b, p, &p->before);
	}
	p->changed = !p->wanted || p->express_wanted != express || p->zc_wish != zc;
	p->wanted = true;
	p->express_wanted = express;
	p->zc_wish = zc;
	if (p->changed)
		*p->zc_refused = '\0';
	p->asked_ns = 0;
	fp_box_port_look(b, (unsigned)(p - b->port), rtr_now_ns());
	if (!p->named)
		b->conf.state(b->conf.ctx, (unsigned)(p - b->port));
	p->named = true;
}

void fp_box_unwant(struct fp_box *b, unsigned ifindex)
{
	struct fp_box_port *p = fp_box_port_of(b, ifindex);

	if (!p)
		return;
	p->wanted = false;
	fp_box_port_off(b, (unsigned)(p - b->port), "not on the fast plane by configuration");
}

void fp_box_synced(struct fp_box *b)
{
	/* What the rtrd before wanted, and this one does not. */
	for (unsigned slot = 0; slot < FP_PORTS_MAX; slot++)
		if (b->port[slot].wanted && !b->port[slot].named)
			fp_box_unwant(b, b->port[slot].ifindex);
	b->synced = true;
}

void fp_box_told_anew(struct fp_box *b)
{
	for (unsigned slot = 0; slot < FP_PORTS_MAX; slot++) {
		b->port[slot].named = false;
		b->port[slot].told = (struct express_carried){ 0 };
	}
}

static void watch(struct fp_box *b)
{
	uint32_t tid[FP_WORKERS_MAX];
	int err;

	for (unsigned i = 0; i < b->conf.n_workers; i++) {
		tid[i] = fp_wthread_tid(b->worker[i].thread);
		if (!tid[i])
			return;
	}
	b->watched = true;
	err = fp_xdp_watch(b->xdp, tid, b->conf.n_workers);
	if (err)
		note(b, "XDP would learn of the end of rtr-fastpath by its heartbeat only: %s",
		     strerror(-err));
}

/* Nobody tells when these change. */
static void take_timeouts(struct fp_box *b, uint64_t now_ns)
{
	struct fp_track_conf conf;

	if (now_ns - b->timeouts_ns < TIMEOUTS_NS)
		return;
	b->timeouts_ns = now_ns;
	fp_track_conf_read(&conf);
	if (memcmp(&conf, fp_track_now(b->track), sizeof(conf)))
		fp_track_conf(b->track, &conf);
}

void fp_box_turn(struct fp_box *b, uint64_t now_ns)
{
	open_again(b);
	fp_box_policy_turn(b);
	for (unsigned slot = 0; slot < FP_PORTS_MAX; slot++)
		if (b->port[slot].ifindex)
			fp_box_port_look(b, slot, now_ns);
	if (b->synced && !b->sweeping && fibctl_ready(b->fib)) {
		b->sweeping = true;
		fp_keeper_sweep(b->keeper, true);
	}
	/* The kernel may take a grace period for it: not before packets are served. */
	if (b->sweeping && !b->watched)
		watch(b);
	take_timeouts(b, now_ns);
	fp_box_vlans_tell(b, now_ns);
	if (now_ns - b->clock_ns > CLOCK_NS) {
		b->clock_ns = now_ns;
		fp_xdp_clock(b->xdp);
	}
}
