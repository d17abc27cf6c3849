/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xdp_load.h"
#include "bpf_map.h"
#include "express.skel.h"
#include "express_clock.skel.h"
#include "express_vlan.skel.h"
#include "express_gone.skel.h"
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
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

enum map {
	M_CTL,
	M_ADJ,
	M_QUEUES,
	M_COUNTS,
	M_RECENT,
	M_PORTS,
	M_XSKS,
	M_INDEX,
	M_NAT,
	M_CLAIMS,
	M_VLANS,
	M_TAILS,
	M_INJECT, /* these two are of one size of packet buffers: see map_setup */
	M_FRAMES,
	M__MAX
};

static const struct fp_bpf_map shapes[M__MAX] = {
	[M_CTL] = { "express_ctl", BPF_MAP_TYPE_ARRAY, sizeof(struct express_ctl), 1,
		    BPF_F_MMAPABLE },
	[M_ADJ] = { "express_adj", BPF_MAP_TYPE_ARRAY, sizeof(struct fp_adj), 0, BPF_F_MMAPABLE },
	[M_QUEUES] = { "express_queues", BPF_MAP_TYPE_ARRAY, sizeof(struct express_queue), 0,
		       BPF_F_MMAPABLE },
	[M_COUNTS] = { "express_counts", BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(struct express_count) },
	[M_RECENT] = { "express_recent", BPF_MAP_TYPE_ARRAY, sizeof(struct express_recent) },
	[M_PORTS] = { "express_ports", BPF_MAP_TYPE_DEVMAP, sizeof(uint32_t) },
	[M_XSKS] = { "express_xsks", BPF_MAP_TYPE_XSKMAP, sizeof(uint32_t) },
	[M_INDEX] = { "express_index", BPF_MAP_TYPE_HASH, sizeof(uint32_t) },
	[M_NAT] = { "express_nat", BPF_MAP_TYPE_LPM_TRIE, sizeof(uint32_t), FP_XDP_NAT_MAX,
		    BPF_F_NO_PREALLOC, sizeof(struct express_nat_key) },
	[M_CLAIMS] = { "express_claims", BPF_MAP_TYPE_HASH, sizeof(struct express_claim),
		       FP_XDP_NAT_MAX, BPF_F_NO_PREALLOC, sizeof(struct express_claim_key) },
	[M_VLANS] = { "express_vlans", BPF_MAP_TYPE_HASH, sizeof(struct express_port), 0,
		      BPF_F_NO_PREALLOC, sizeof(struct express_vlan_key) },
	[M_TAILS] = { "express_tails", BPF_MAP_TYPE_PROG_ARRAY, sizeof(uint32_t),
		      EXPRESS_TAIL__MAX },
	[M_INJECT] = { "express_inject", BPF_MAP_TYPE_ARRAY, sizeof(struct express_inject), 0,
		       BPF_F_MMAPABLE },
	[M_FRAMES] = { "express_frames", BPF_MAP_TYPE_ARRAY, EXPRESS_FRAME_SIZE, 0,
		       BPF_F_MMAPABLE },
};

/* Settings of a program, in a map of its own. */
struct settings {
	struct express_bpf__bss *seen; /* NULL: no program */
	size_t size;
	int fd;
};

struct port {
	struct settings set;
	int prog, link; /* descriptors, -1 without program */
	unsigned ifindex;
	bool on; /* as it was set; XDP sees otherwise while paused */
};

struct fp_xdp {
	struct fp_xdp_conf conf;
	char *pin_dir;
	int flow_fd[FP_FLOW_R__MAX]; /* the caller's */
	struct express_clock_bpf *clock;
	struct express_vlan_bpf *vlan; /* NULL: no VLAN yet */
	struct express_gone_bpf *gone; /* NULL: nobody watches */
	int fd[M__MAX];
	void *base[M__MAX]; /* of those that can be mapped */
	size_t size[M__MAX];
	struct port *port;
	uint64_t build; /* of the program that we would load */
	uint32_t adj_gen;
	bool paused;
	bool sees_ct;
	struct fp_kfuncs kfuncs;
};

static void pin_path(const struct fp_xdp *x, const char *name, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%s", x->pin_dir, name);
}

static int map_setup(struct fp_xdp *x, enum map m)
{
	struct fp_bpf_map shape = shapes[m];
	char path[PATH_MAX];

	if (m == M_ADJ)
		shape.n = x->conf.n_adj;
	else if (m == M_QUEUES || m == M_XSKS)
		shape.n = x->conf.n_xsks;
	else if (m == M_RECENT)
		shape.n = (uint32_t)libbpf_num_possible_cpus();
	else if (m == M_INJECT)
		shape.n = MAX(x->conf.n_workers, 1u);
	else if (m == M_FRAMES)
		shape.n = MAX(x->conf.n_workers * x->conf.n_frames, 1u);
	else if (!shape.n)
		shape.n = x->conf.n_ports;
	x->fd[m] = fp_bpf_map_open(x->pin_dir, &shape);
	if (x->fd[m] == -EPROTO && m >= M_INJECT) {
		/* Other packet buffers: only programs that know them must be loaded anew. */
		pin_path(x, shape.name, path);
		unlink(path);
		x->fd[m] = fp_bpf_map_open(x->pin_dir, &shape);
	}
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

/* FNV-1a over the object and what the loader sets in it. */
static uint64_t build_of(bool sees_ct)
{
	size_t size;
	const uint8_t *p = express_bpf__elf_bytes(&size);
	uint64_t h = 0xcbf29ce484222325 ^ sees_ct;

	for (size_t i = 0; i < size; i++)
		h = (h ^ p[i]) * 0x100000001b3;
	return h;
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
		x->port[i] = (struct port){ .link = -1, .prog = -1 };
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
	x->build = build_of(x->sees_ct);
	err = clock_setup(x);
out:
	if (err)
		fp_xdp_free(x);
	else
		*ret = x;
	return err;
}

static void settings_close(struct settings *s)
{
	if (!s->seen)
		return;
	munmap(s->seen, s->size);
	close(s->fd);
	*s = (struct settings){ 0 };
}

/* Takes the descriptor, also when it fails. */
static int settings_open(int fd, struct settings *ret)
{
	const struct fp_bpf_map shape = { .value_size = sizeof(*ret->seen), .n = 1 };
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	void *p;
	int err = fd < 0 ? -ENOENT : bpf_obj_get_info_by_fd(fd, &info, &len);

	if (!err && (info.value_size != shape.value_size || info.max_entries != shape.n))
		err = -EPROTO;
	if (!err)
		err = fp_bpf_map_map(fd, &shape, &p, &ret->size);
	if (err) {
		if (fd >= 0)
			close(fd);
		return err;
	}
	ret->seen = p;
	ret->fd = fd;
	return 0;
}

static void port_close(struct port *p)
{
	if (p->link >= 0)
		close(p->link);
	if (p->prog >= 0)
		close(p->prog);
	settings_close(&p->set);
	*p = (struct port){ .link = -1, .prog = -1 };
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
	express_vlan_bpf__destroy(x->vlan);
	express_gone_bpf__destroy(x->gone);
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

struct express_queue *fp_xdp_queue(struct fp_xdp *x, uint32_t xsk)
{
	return xsk < x->conf.n_xsks ? (struct express_queue *)x->base[M_QUEUES] + xsk : NULL;
}

/* --- ports --- */

/* The object's maps are ours. */
static int maps_reuse(const struct fp_xdp *x, struct bpf_object *o)
{
	static const char *const flow[FP_FLOW_R__MAX] = {
		[FP_FLOW_R_HDR] = "flow_hdr",           [FP_FLOW_R_BUCKETS4] = "flow_buckets4",
		[FP_FLOW_R_LINES4] = "flow_lines4",     [FP_FLOW_R_SIDES4] = "flow_sides4",
		[FP_FLOW_R_BUCKETS6] = "flow_buckets6", [FP_FLOW_R_LINES6] = "flow_lines6",
	};
	int err = 0;

	for (unsigned i = 0; i < M__MAX + FP_FLOW_R__MAX && !err; i++) {
		const char *name = i < M__MAX ? shapes[i].name : flow[i - M__MAX];
		struct bpf_map *m = name ? bpf_object__find_map_by_name(o, name) : NULL;

		if (m)
			err = bpf_map__reuse_fd(m, i < M__MAX ? x->fd[i] : x->flow_fd[i - M__MAX]);
	}
	return err;
}

static int load(struct fp_xdp *x, const struct express_port *port, struct port *p)
{
	struct express_bpf *s = express_bpf__open();
	int err;

	if (!s)
		return -errno;
	s->rodata->has_ct = x->sees_ct;
	s->bss->port = *port;
	s->bss->port.on = port->on && !x->paused;
	s->bss->build = x->build;
	err = maps_reuse(x, s->obj);
	if (!err && x->sees_ct)
		err = fp_kfuncs_set(s->obj, &x->kfuncs);
	if (!err)
		err = express_bpf__load(s);
	if (!err)
		err = settings_open(dup(bpf_map__fd(s->maps.bss)), &p->set);
	if (!err)
		p->prog = dup(bpf_program__fd(s->progs.express));
	express_bpf__destroy(s);
	return err ?: p->prog < 0 ? -errno : 0;
}

/* Of a slot: "link", "prog", "port" (its settings). */
static void slot_path(const struct fp_xdp *x, const char *what, uint32_t slot, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/express_%s%u", x->pin_dir, what, slot);
}

static int slot_pin(const struct fp_xdp *x, const char *what, uint32_t slot, int fd)
{
	char path[PATH_MAX];

	slot_path(x, what, slot, path);
	unlink(path);
	return bpf_obj_pin(fd, path);
}

static int slot_get(const struct fp_xdp *x, const char *what, uint32_t slot)
{
	char path[PATH_MAX];

	slot_path(x, what, slot, path);
	return bpf_obj_get(path);
}

/* 0: none */
static uint32_t map_id(int fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

/* The pinned link of the interface, or -ENOENT; one of another interface is a leftover. */
static int link_find(const struct fp_xdp *x, unsigned ifindex, uint32_t slot, uint32_t *ret_prog)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);
	char path[PATH_MAX];
	int fd = slot_get(x, "link", slot);

	if (fd < 0)
		return fd;
	if (!bpf_obj_get_info_by_fd(fd, &info, &len) && info.xdp.ifindex == ifindex) {
		*ret_prog = info.prog_id;
		return fd;
	}
	close(fd);
	slot_path(x, "link", slot, path);
	unlink(path);
	return -ENOENT;
}

/* Is the map one of those that we share with programs? */
static bool ours(const struct fp_xdp *x, const struct port *p, uint32_t id)
{
	for (int m = 0; m < M__MAX; m++)
		if (map_id(x->fd[m]) == id)
			return true;
	for (int r = 0; r < FP_FLOW_R__MAX; r++)
		if (map_id(x->flow_fd[r]) == id)
			return true;
	return map_id(p->set.fd) == id;
}

static bool same_program(const struct fp_xdp *x, const struct port *p, uint32_t attached)
{
	uint32_t ids[64];
	struct bpf_prog_info info = { .nr_map_ids = ARRAY_LEN(ids),
				      .map_ids = (uint64_t)(uintptr_t)ids };
	uint32_t len = sizeof(info), n_strange = 0;

	if (p->set.seen->build != x->build || bpf_obj_get_info_by_fd(p->prog, &info, &len) ||
	    info.id != attached || info.nr_map_ids > ARRAY_LEN(ids))
		return false;
	for (uint32_t i = 0; i < info.nr_map_ids; i++)
		n_strange += !ours(x, p, ids[i]);
	return n_strange <= 1; /* its constants */
}

/* The program of a process before, if it is what we would load, with the maps that we have. */
static bool adopt(struct fp_xdp *x, struct port *p, uint32_t slot)
{
	uint32_t attached;

	if (!x->pin_dir)
		return false;
	p->link = link_find(x, p->ifindex, slot, &attached);
	if (p->link < 0)
		return false;
	p->prog = slot_get(x, "prog", slot);
	if (p->prog >= 0 && !settings_open(slot_get(x, "port", slot), &p->set) &&
	    same_program(x, p, attached))
		return true;
	settings_close(&p->set);
	if (p->prog >= 0)
		close(p->prog);
	p->prog = -1;
	return false;
}

/* A pinned link gets the new program, else a link is made: there is no moment without program. */
static int port_attach(struct fp_xdp *x, struct port *p, uint32_t slot)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	int err = 0;

	if (p->link >= 0) {
		err = bpf_link_update(p->link, p->prog, NULL);
	} else {
		p->link = bpf_link_create(p->prog, (int)p->ifindex, BPF_XDP, &opts);
		if (p->link < 0)
			return p->link;
		if (x->pin_dir)
			err = slot_pin(x, "link", slot, p->link);
	}
	if (err || !x->pin_dir)
		return err;
	return slot_pin(x, "port", slot, p->set.fd) ?: slot_pin(x, "prog", slot, p->prog);
}

static void port_write(struct fp_xdp *x, struct port *p, const struct express_port *port)
{
	struct express_port seen = *port;

	seen.on = port->on && !x->paused;
	p->set.seen->port = seen;
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
	if (p->set.seen && p->ifindex == ifindex) {
		port_write(x, p, port);
		return index_set(x, ifindex, port);
	}
	port_close(p);
	p->ifindex = ifindex;
	if (adopt(x, p, port->slot)) {
		port_write(x, p, port);
		err = 0;
	} else {
		err = load(x, port, p) ?: port_attach(x, p, port->slot);
	}
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
		if (x->port[i].set.seen)
			__atomic_store_n(&x->port[i].set.seen->port.on, x->port[i].on && !pause,
					 __ATOMIC_SEQ_CST);
}

int fp_xdp_port_del(struct fp_xdp *x, uint32_t slot)
{
	static const char *const pins[] = { "link", "prog", "port" };
	char path[PATH_MAX];

	if (slot >= x->conf.n_ports || !x->port[slot].set.seen)
		return -ENOENT;
	bpf_map_delete_elem(x->fd[M_PORTS], &slot);
	bpf_map_delete_elem(x->fd[M_INDEX], &x->port[slot].ifindex);
	for (size_t i = 0; x->pin_dir && i < ARRAY_LEN(pins); i++) {
		slot_path(x, pins[i], slot, path);
		unlink(path);
	}
	port_close(&x->port[slot]);
	return 0;
}

/* --- VLANs --- */

/* One program for the VLANs of all interfaces. */
static int vlan_load(struct fp_xdp *x)
{
	struct express_vlan_bpf *s;
	uint32_t at = EXPRESS_TAIL_VLAN;
	int err, fd;

	if (x->vlan)
		return 0;
	s = express_vlan_bpf__open();
	if (!s)
		return -errno;
	s->rodata->has_ct = x->sees_ct;
	err = maps_reuse(x, s->obj);
	if (!err && x->sees_ct)
		err = fp_kfuncs_set(s->obj, &x->kfuncs);
	if (!err)
		err = express_vlan_bpf__load(s);
	if (!err) {
		fd = bpf_program__fd(s->progs.express_vlan);
		err = bpf_map_update_elem(x->fd[M_TAILS], &at, &fd, BPF_ANY);
	}
	if (err) {
		express_vlan_bpf__destroy(s);
		return err;
	}
	x->vlan = s;
	return 0;
}

int fp_xdp_vlan_set(struct fp_xdp *x, const struct express_vlan_key *key,
		    const struct express_port *port)
{
	int err;

	if (port->slot >= x->conf.n_ports || !key->vlan)
		return -EINVAL;
	err = vlan_load(x);
	if (!err)
		err = bpf_map_update_elem(x->fd[M_PORTS], &port->slot, &key->ifindex, BPF_ANY);
	if (!err)
		err = bpf_map_update_elem(x->fd[M_VLANS], key, port, BPF_ANY);
	return err ?: index_set(x, port->ifindex, port);
}

/* What it has carried is nobody's: the next one in its slot begins with nothing. */
static void carried_clear(struct fp_xdp *x, uint32_t slot)
{
	int cpus = libbpf_num_possible_cpus();
	struct express_count *each = xcalloc((size_t)MAX(cpus, 1), sizeof(*each));

	if (!bpf_map_lookup_elem(x->fd[M_COUNTS], &slot, each)) {
		for (int c = 0; c < cpus; c++)
			each[c].vlan = (struct express_carried){ 0 };
		bpf_map_update_elem(x->fd[M_COUNTS], &slot, each, BPF_EXIST);
	}
	free(each);
}

int fp_xdp_vlan_del(struct fp_xdp *x, const struct express_vlan_key *key)
{
	struct express_port port;
	int err = bpf_map_lookup_elem(x->fd[M_VLANS], key, &port);

	if (err)
		return err;
	bpf_map_delete_elem(x->fd[M_VLANS], key);
	bpf_map_delete_elem(x->fd[M_INDEX], &port.ifindex);
	bpf_map_delete_elem(x->fd[M_PORTS], &port.slot);
	carried_clear(x, port.slot);
	return 0;
}

unsigned fp_xdp_vlan_found(const struct fp_xdp *x, uint32_t slot, struct express_vlan_key *ret)
{
	struct express_vlan_key key, *prev = NULL;
	struct express_port port;

	for (; !bpf_map_get_next_key(x->fd[M_VLANS], prev, &key); prev = &key) {
		if (bpf_map_lookup_elem(x->fd[M_VLANS], &key, &port) || port.slot != slot)
			continue;
		*ret = key;
		return port.ifindex;
	}
	return 0;
}

unsigned fp_xdp_port_found(const struct fp_xdp *x, uint32_t slot)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);
	int fd;

	if (!x->pin_dir || slot >= x->conf.n_ports)
		return 0;
	fd = slot_get(x, "link", slot);
	if (fd < 0)
		return 0;
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		info.xdp.ifindex = 0;
	close(fd);
	return info.xdp.ifindex;
}

int fp_xdp_port_fd(const struct fp_xdp *x, uint32_t slot)
{
	return slot < x->conf.n_ports && x->port[slot].set.seen ? x->port[slot].prog : -ENOENT;
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

struct fp_adj *fp_xdp_adjs(const struct fp_xdp *x)
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

static int gone_setup(struct express_gone_bpf *s, int ctl_fd, const uint32_t *tid, unsigned n)
{
	struct stat ns;
	int err;

	if (n >= EXPRESS_GONE_MAX)
		return -E2BIG;
	if (stat("/proc/self/ns/pid", &ns) < 0)
		return -errno;
	/* The kernel's own form of the number. */
	s->rodata->ns_dev = (uint64_t)major(ns.st_dev) << 20 | minor(ns.st_dev);
	s->rodata->ns_ino = ns.st_ino;
	s->rodata->process = (uint32_t)getpid();
	s->rodata->thread[0] = (uint32_t)gettid();
	for (unsigned i = 0; i < n; i++)
		s->rodata->thread[1 + i] = tid[i];
	err = bpf_map__reuse_fd(s->maps.express_ctl, ctl_fd);
	return err ?: express_gone_bpf__load(s) ?: express_gone_bpf__attach(s);
}

int fp_xdp_watch(struct fp_xdp *x, const uint32_t *tid, unsigned n)
{
	struct express_gone_bpf *s = express_gone_bpf__open();
	int err = s ? gone_setup(s, x->fd[M_CTL], tid, n) : -errno;

	if (err)
		express_gone_bpf__destroy(s);
	else
		x->gone = s;
	return err;
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
