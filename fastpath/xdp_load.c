/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xdp_load.h"
#include "bpf_map.h"
#include "express.skel.h"
#include "express_clock.skel.h"
#include "util.h"
#include "xdp_kfunc.h"
#include "xdp_nat.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <linux/if_link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum map {
	M_CTL,
	M_ADJ,
	M_BEATS,
	M_COUNTS,
	M_RECENT,
	M_PORTS,
	M_XSKS,
	M_INDEX,
	M_NAT,
	M_CLAIMS,
	M_INJECT, /* these two are of a process: never pinned */
	M_FRAMES,
	M__MAX
};

static const struct fp_bpf_map shapes[M__MAX] = {
	[M_CTL] = { "express_ctl", BPF_MAP_TYPE_ARRAY, sizeof(struct express_ctl), 1,
		    BPF_F_MMAPABLE },
	[M_ADJ] = { "express_adj", BPF_MAP_TYPE_ARRAY, sizeof(struct fp_adj), 0, BPF_F_MMAPABLE },
	[M_BEATS] = { "express_beats", BPF_MAP_TYPE_ARRAY, sizeof(uint64_t), 0, BPF_F_MMAPABLE },
	[M_COUNTS] = { "express_counts", BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(struct express_count) },
	[M_RECENT] = { "express_recent", BPF_MAP_TYPE_ARRAY, sizeof(struct express_recent) },
	[M_PORTS] = { "express_ports", BPF_MAP_TYPE_DEVMAP, sizeof(uint32_t) },
	[M_XSKS] = { "express_xsks", BPF_MAP_TYPE_XSKMAP, sizeof(uint32_t) },
	[M_INDEX] = { "express_index", BPF_MAP_TYPE_HASH, sizeof(uint32_t) },
	[M_NAT] = { "express_nat", BPF_MAP_TYPE_LPM_TRIE, sizeof(uint32_t), FP_XDP_NAT_MAX,
		    BPF_F_NO_PREALLOC, sizeof(struct express_nat_key) },
	[M_CLAIMS] = { "express_claims", BPF_MAP_TYPE_HASH, sizeof(struct express_claim),
		       FP_XDP_NAT_MAX, BPF_F_NO_PREALLOC, sizeof(struct express_claim_key) },
	[M_INJECT] = { "express_inject", BPF_MAP_TYPE_ARRAY, sizeof(struct express_inject), 0,
		       BPF_F_MMAPABLE },
	[M_FRAMES] = { "express_frames", BPF_MAP_TYPE_ARRAY, EXPRESS_FRAME_SIZE, 0,
		       BPF_F_MMAPABLE },
};

struct port {
	struct express_bpf *skel;
	int link; /* descriptor, -1 without skel */
	unsigned ifindex;
	bool on; /* as it was set; XDP sees otherwise while paused */
};

struct fp_xdp {
	struct fp_xdp_conf conf;
	char *pin_dir;
	int flow_fd[FP_FLOW_R__MAX]; /* the caller's */
	struct express_clock_bpf *clock;
	int fd[M__MAX];
	void *base[M__MAX]; /* of those that can be mapped */
	size_t size[M__MAX];
	struct port *port;
	uint32_t adj_gen;
	bool paused;
	bool sees_ct;
	struct fp_kfuncs kfuncs;
};

static int map_setup(struct fp_xdp *x, enum map m)
{
	struct fp_bpf_map shape = shapes[m];

	if (m == M_ADJ)
		shape.n = x->conf.n_adj;
	else if (m == M_BEATS || m == M_XSKS)
		shape.n = x->conf.n_xsks;
	else if (m == M_RECENT)
		shape.n = (uint32_t)libbpf_num_possible_cpus();
	else if (m == M_INJECT)
		shape.n = MAX(x->conf.n_workers, 1u);
	else if (m == M_FRAMES)
		shape.n = MAX(x->conf.n_workers * x->conf.n_frames, 1u);
	else if (!shape.n)
		shape.n = x->conf.n_ports;
	x->fd[m] = fp_bpf_map_open(m < M_INJECT ? x->pin_dir : NULL, &shape);
	if (x->fd[m] < 0)
		return x->fd[m];
	return shape.flags & BPF_F_MMAPABLE
		       ? fp_bpf_map_map(x->fd[m], &shape, &x->base[m], &x->size[m])
		       : 0;
}

static int clock_setup(struct fp_xdp *x)
{
	struct express_clock_bpf *s = express_clock_bpf__open();
	struct timespec tick;
	int err;

	if (!s)
		return -errno;
	x->clock = s;
	err = bpf_map__reuse_fd(s->maps.express_ctl, x->fd[M_CTL]);
	if (!err)
		err = express_clock_bpf__load(s);
	if (err)
		return err;
	/* The resolution of the coarse clocks is the tick. */
	clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
	fp_xdp_ctl(x)->clock_tick = (uint64_t)tick.tv_nsec;
	return fp_xdp_clock(x);
}

/* --- the object --- */

int fp_xdp_new(const struct fp_xdp_conf *conf, struct fp_xdp **ret)
{
	struct fp_xdp *x = xcalloc(1, sizeof(*x));
	struct express_ctl *ctl;
	int err = 0;

	x->conf = *conf;
	x->pin_dir = conf->pin_dir ? xstrdup(conf->pin_dir) : NULL;
	x->port = xcalloc(conf->n_ports, sizeof(*x->port));
	memcpy(x->flow_fd, conf->mem->fd, sizeof(x->flow_fd));
	for (int m = 0; m < M__MAX; m++)
		x->fd[m] = -1;
	for (uint32_t i = 0; i < conf->n_ports; i++)
		x->port[i].link = -1;
	for (int m = 0; !err && m < M__MAX; m++)
		err = map_setup(x, (enum map)m);
	if (err)
		goto out;
	ctl = fp_xdp_ctl(x);
	if (ctl->version && ctl->version != EXPRESS_VERSION) {
		err = -EPROTO;
		goto out;
	}
	ctl->version = EXPRESS_VERSION;
	x->sees_ct = fp_kfuncs_find(conf->ct_types, &x->kfuncs);
	err = clock_setup(x);
out:
	if (err)
		fp_xdp_free(x);
	else
		*ret = x;
	return err;
}

static void port_close(struct port *p)
{
	if (p->link >= 0)
		close(p->link);
	express_bpf__destroy(p->skel);
	*p = (struct port){ .link = -1 };
}

struct fp_xdp *fp_xdp_free(struct fp_xdp *x)
{
	if (!x)
		return NULL;
	for (uint32_t i = 0; i < x->conf.n_ports; i++)
		port_close(&x->port[i]);
	for (int m = 0; m < M__MAX; m++) {
		if (x->base[m])
			munmap(x->base[m], x->size[m]);
		if (x->fd[m] >= 0)
			close(x->fd[m]);
	}
	express_clock_bpf__destroy(x->clock);
	free(x->port);
	free(x->pin_dir);
	free(x);
	return NULL;
}

struct express_ctl *fp_xdp_ctl(struct fp_xdp *x)
{
	return x->base[M_CTL];
}

int fp_xdp_stateful(struct fp_xdp *x, bool stateful)
{
	if (stateful && !x->sees_ct)
		return -EOPNOTSUPP;
	__atomic_store_n(&fp_xdp_ctl(x)->stateful, stateful, __ATOMIC_RELEASE);
	return 0;
}

bool fp_xdp_sees_ct(const struct fp_xdp *x)
{
	return x->sees_ct;
}

bool fp_xdp_inject(const struct fp_xdp *x, uint32_t worker, void **ret_area,
		   struct express_inject **ret)
{
	size_t size = (size_t)x->conf.n_frames * EXPRESS_FRAME_SIZE;

	if (worker >= x->conf.n_workers || !x->conf.n_frames)
		return false;
	*ret_area = (uint8_t *)x->base[M_FRAMES] + worker * size;
	*ret = (struct express_inject *)x->base[M_INJECT] + worker;
	return true;
}

uint64_t *fp_xdp_beat(struct fp_xdp *x, uint32_t xsk)
{
	return xsk < x->conf.n_xsks ? (uint64_t *)x->base[M_BEATS] + xsk : NULL;
}

/* --- ports --- */

static int skel_load(struct fp_xdp *x, const struct express_port *port, struct express_bpf **ret)
{
	struct express_bpf *s = express_bpf__open();
	int err;

	if (!s)
		return -errno;
	s->rodata->has_ct = x->sees_ct;
	s->bss->port = *port;
	s->bss->port.on = port->on && !x->paused;
	err = bpf_map__reuse_fd(s->maps.flow_hdr, x->flow_fd[FP_FLOW_R_HDR]) ?:
	      bpf_map__reuse_fd(s->maps.flow_buckets4, x->flow_fd[FP_FLOW_R_BUCKETS4]) ?:
	      bpf_map__reuse_fd(s->maps.flow_lines4, x->flow_fd[FP_FLOW_R_LINES4]) ?:
	      bpf_map__reuse_fd(s->maps.flow_sides4, x->flow_fd[FP_FLOW_R_SIDES4]) ?:
	      bpf_map__reuse_fd(s->maps.flow_buckets6, x->flow_fd[FP_FLOW_R_BUCKETS6]) ?:
	      bpf_map__reuse_fd(s->maps.flow_lines6, x->flow_fd[FP_FLOW_R_LINES6]) ?:
	      bpf_map__reuse_fd(s->maps.express_ctl, x->fd[M_CTL]) ?:
	      bpf_map__reuse_fd(s->maps.express_adj, x->fd[M_ADJ]) ?:
	      bpf_map__reuse_fd(s->maps.express_beats, x->fd[M_BEATS]) ?:
	      bpf_map__reuse_fd(s->maps.express_counts, x->fd[M_COUNTS]) ?:
	      bpf_map__reuse_fd(s->maps.express_recent, x->fd[M_RECENT]) ?:
	      bpf_map__reuse_fd(s->maps.express_ports, x->fd[M_PORTS]) ?:
	      bpf_map__reuse_fd(s->maps.express_xsks, x->fd[M_XSKS]) ?:
	      bpf_map__reuse_fd(s->maps.express_index, x->fd[M_INDEX]) ?:
	      bpf_map__reuse_fd(s->maps.express_nat, x->fd[M_NAT]) ?:
	      bpf_map__reuse_fd(s->maps.express_claims, x->fd[M_CLAIMS]) ?:
	      bpf_map__reuse_fd(s->maps.express_inject, x->fd[M_INJECT]) ?:
	      bpf_map__reuse_fd(s->maps.express_frames, x->fd[M_FRAMES]);
	if (!err && x->sees_ct)
		err = fp_kfuncs_set(s->obj, &x->kfuncs);
	if (!err)
		err = express_bpf__load(s);
	if (err) {
		express_bpf__destroy(s);
		return err;
	}
	*ret = s;
	return 0;
}

static void link_path(const struct fp_xdp *x, uint32_t slot, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/express_link%u", x->pin_dir, slot);
}

/* The pinned link of the interface, or -ENOENT; one of another interface is a leftover. */
static int link_find(const struct fp_xdp *x, unsigned ifindex, const char *path)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);
	int fd = bpf_obj_get(path);

	if (fd < 0)
		return fd;
	if (!bpf_obj_get_info_by_fd(fd, &info, &len) && info.xdp.ifindex == ifindex)
		return fd;
	close(fd);
	unlink(path);
	return -ENOENT;
}

/* A pinned link gets the new program, else a link is made: there is no moment without program. */
static int port_attach(struct fp_xdp *x, struct port *p, uint32_t slot)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	int prog = bpf_program__fd(p->skel->progs.express);
	char path[PATH_MAX];

	if (x->pin_dir) {
		link_path(x, slot, path);
		p->link = link_find(x, p->ifindex, path);
		if (p->link >= 0)
			return bpf_link_update(p->link, prog, NULL);
	}
	p->link = bpf_link_create(prog, (int)p->ifindex, BPF_XDP, &opts);
	if (p->link < 0)
		return p->link;
	return x->pin_dir ? bpf_obj_pin(p->link, path) : 0;
}

/* Those that packets without a flow may leave by. */
static int index_set(struct fp_xdp *x, unsigned ifindex, const struct express_port *port)
{
	int err;

	if (port->on)
		return bpf_map_update_elem(x->fd[M_INDEX], &ifindex, &port->slot, BPF_ANY);
	err = bpf_map_delete_elem(x->fd[M_INDEX], &ifindex);
	return err == -ENOENT ? 0 : err;
}

int fp_xdp_port_set(struct fp_xdp *x, unsigned ifindex, const struct express_port *port)
{
	struct port *p;
	int err;

	if (port->slot >= x->conf.n_ports ||
	    (port->n_queues && port->xsk_base + port->n_queues > x->conf.n_xsks))
		return -EINVAL;
	p = &x->port[port->slot];
	p->on = port->on;
	if (p->skel && p->ifindex == ifindex) {
		struct express_port seen = *port;

		seen.on = port->on && !x->paused;
		p->skel->bss->port = seen;
		return index_set(x, ifindex, port);
	}
	port_close(p);
	p->ifindex = ifindex;
	err = skel_load(x, port, &p->skel);
	if (!err)
		err = port_attach(x, p, port->slot);
	if (!err)
		err = bpf_map_update_elem(x->fd[M_PORTS], &port->slot, &ifindex, BPF_ANY);
	if (!err)
		err = index_set(x, ifindex, port);
	if (err)
		port_close(p);
	return err;
}

void fp_xdp_pause(struct fp_xdp *x, bool pause)
{
	x->paused = pause;
	for (uint32_t i = 0; i < x->conf.n_ports; i++)
		if (x->port[i].skel)
			__atomic_store_n(&x->port[i].skel->bss->port.on, x->port[i].on && !pause,
					 __ATOMIC_SEQ_CST);
}

int fp_xdp_port_del(struct fp_xdp *x, uint32_t slot)
{
	char path[PATH_MAX];

	if (slot >= x->conf.n_ports || !x->port[slot].skel)
		return -ENOENT;
	bpf_map_delete_elem(x->fd[M_PORTS], &slot);
	bpf_map_delete_elem(x->fd[M_INDEX], &x->port[slot].ifindex);
	if (x->pin_dir) {
		link_path(x, slot, path);
		unlink(path);
	}
	port_close(&x->port[slot]);
	return 0;
}

unsigned fp_xdp_port_found(const struct fp_xdp *x, uint32_t slot)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);
	char path[PATH_MAX];
	int fd;

	if (!x->pin_dir || slot >= x->conf.n_ports)
		return 0;
	link_path(x, slot, path);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return 0;
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		info.xdp.ifindex = 0;
	close(fd);
	return info.xdp.ifindex;
}

int fp_xdp_port_fd(const struct fp_xdp *x, uint32_t slot)
{
	return slot < x->conf.n_ports && x->port[slot].skel
		       ? bpf_program__fd(x->port[slot].skel->progs.express)
		       : -ENOENT;
}

/* --- tables --- */

int fp_xdp_adj_set(struct fp_xdp *x, uint32_t i, const struct fp_adj *adj)
{
	typedef uint64_t __attribute__((may_alias)) word;
	struct fp_adj *a = (struct fp_adj *)x->base[M_ADJ] + i, new = *adj;
	const word *from = (const void *)&new;
	word *to = (void *)a;

	if (!i || i >= x->conf.n_adj)
		return -EINVAL;
	new.seq = (uint16_t)((a->seq | 1) + 2);
	__atomic_fetch_add(&x->adj_gen, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&a->seq, (uint16_t)(new.seq - 2), __ATOMIC_RELAXED);
	/* Stores that release, and not a fence, come after the odd number: TSan knows no fences. */
	for (unsigned k = 0; k < sizeof(new) / sizeof(*to); k++)
		__atomic_store_n(&to[k], from[k], __ATOMIC_RELEASE);
	__atomic_store_n(&a->seq, (uint16_t)(new.seq + 1), __ATOMIC_RELEASE);
	__atomic_fetch_add(&x->adj_gen, 1, __ATOMIC_RELEASE);
	return 0;
}

const struct fp_adj *fp_xdp_adjs(const struct fp_xdp *x)
{
	return x->base[M_ADJ];
}

const uint32_t *fp_xdp_adj_gen(const struct fp_xdp *x)
{
	return &x->adj_gen;
}

int fp_xdp_xsk_set(struct fp_xdp *x, uint32_t xsk, int fd)
{
	if (fd < 0)
		return bpf_map_delete_elem(x->fd[M_XSKS], &xsk);
	return bpf_map_update_elem(x->fd[M_XSKS], &xsk, &fd, BPF_ANY);
}

int fp_xdp_clock(struct fp_xdp *x)
{
	/* The smallest frame that the kernel takes. */
	uint8_t frame[14] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame),
		    .repeat = 1);

	return bpf_prog_test_run_opts(bpf_program__fd(x->clock->progs.express_clock), &opts);
}

int fp_xdp_nat_set(struct fp_xdp *x, const struct fp_pol_pool *pools, unsigned n_pools,
		   const struct fp_pol_claim *claims, unsigned n_claims)
{
	int err = fp_xdp_nat_fill(x->fd[M_NAT], x->fd[M_CLAIMS], pools, n_pools, claims, n_claims);

	__atomic_store_n(&fp_xdp_ctl(x)->nat, n_pools || n_claims, __ATOMIC_RELEASE);
	return err;
}

int fp_xdp_counts(const struct fp_xdp *x, uint32_t slot, struct express_count *ret)
{
	const size_t n_words = sizeof(*ret) / sizeof(uint64_t);
	int cpus = libbpf_num_possible_cpus(), err;
	struct express_count *each;
	uint64_t *sum = (uint64_t *)ret;

	if (cpus < 0)
		return cpus;
	each = xcalloc((size_t)cpus, sizeof(*each));
	err = bpf_map_lookup_elem(x->fd[M_COUNTS], &slot, each);
	if (!err)
		memset(ret, 0, sizeof(*ret));
	for (int c = 0; !err && c < cpus; c++)
		for (size_t i = 0; i < n_words; i++)
			sum[i] += ((const uint64_t *)&each[c])[i];
	free(each);
	return err;
}

const char *fp_xdp_verdict_text(unsigned verdict)
{
	static const char *const texts[] = {
#define X(id, text) text,
		EXPRESS_VERDICTS(X)
#undef X
	};

	return verdict < ARRAY_LEN(texts) ? texts[verdict] : "unknown";
}
