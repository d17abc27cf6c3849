/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtr-dropd: counts the packets that the kernel drops in this network namespace, by a BPF program
 * at its tracepoint, and makes text of some of them while somebody looks. Started by rtrd's root
 * parent, with one socket to rtrd (include/rtr/dropd.h).
 *
 * Owns: the program and its maps; the kernel counts whether it runs or sleeps.
 * Privileges: user rtr; CAP_BPF and CAP_PERFMON until the program is attached, then none, and
 * seccomp.
 * Threads: none; it sleeps until rtrd asks. Failure: a kernel without BTF, without the tracepoint's
 * reason (before 5.17) or that forbids tracing is told, and it ends.
 */
#include "capture/pkt_text.h"
#include "drops/drops_bpf.h"
#include "drops/reason.h"
#include "drops.skel.h"
#include "hash.h"
#include "rtr/dropd.h"
#include "system/sandbox.h"
#include "util.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <cap-ng.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define RTRD_FD 3
/* Packets that are shown: a terminal's worth, whatever is dropped. */
#define SHOW_EACH_MS 250
#define SHOW_MAX     50
/* Reasons of the kernel's core; subsystems count theirs from 1 << 16. */
#define MAX_REASONS 256
#define BATCH       256
#define PREFIX      "SKB_DROP_REASON_"

struct place {
	struct drops_key key;
	bool used;
	uint64_t told;
	char name[DROPD_NAME], where[DROPD_WHERE];
	enum rtr_drop reason;
	enum drop_at at;
	bool innocent;
};

static struct {
	struct drops_bpf *skel;
	struct ring_buffer *ring;
	char *names[MAX_REASONS];
	struct place places[2 * DROPS_MAX_COUNTS]; /* hash table, open addressing */
	size_t n_places;
	struct drops_count *values; /* BATCH times one for each CPU */
	int n_cpus;
	char want[DROPD_NAME];
	bool watched;
	uint64_t missed, refill_ns;
} d;

static void say(const struct dropd_event *e)
{
	(void)!send(RTRD_FD, e, sizeof(*e), MSG_NOSIGNAL);
}

/* ---- what the kernel has ---- */

static const char *text_of(const char *s)
{
	return s ? s : "";
}

static void take_names(const struct btf *btf)
{
	int id = btf__find_by_name_kind(btf, "skb_drop_reason", BTF_KIND_ENUM);
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, (unsigned)id) : NULL;

	for (unsigned i = 0; t && i < btf_vlen(t); i++) {
		const struct btf_enum *e = &btf_enum(t)[i];
		const char *name = text_of(btf__name_by_offset(btf, e->name_off));
		size_t n = sizeof(PREFIX) - 1;

		if (e->val > 0 && e->val < MAX_REASONS && !d.names[e->val])
			d.names[e->val] = xstrdup(strncmp(name, PREFIX, n) ? name : name + n);
	}
}

/* Arguments of the tracepoint, beside the hidden first one; 0: there is none. */
static unsigned arguments(const struct btf *btf)
{
	int id = btf__find_by_name_kind(btf, "btf_trace_kfree_skb", BTF_KIND_TYPEDEF);
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, (unsigned)id) : NULL;

	t = t ? btf__type_by_id(btf, t->type) : NULL;
	t = t && btf_is_ptr(t) ? btf__type_by_id(btf, t->type) : NULL;
	return t && btf_is_func_proto(t) && btf_vlen(t) ? btf_vlen(t) - 1u : 0;
}

/* 0: this kernel has no reason of this name. */
static uint32_t reason_named(const char *name)
{
	for (uint32_t i = 0; i < MAX_REASONS; i++) {
		if (d.names[i] && !strcmp(d.names[i], name))
			return i;
	}
	return 0;
}

static int begin(char why[DROPD_TEXT])
{
	struct btf *btf = btf__load_vmlinux_btf();
	unsigned n = btf ? arguments(btf) : 0;
	struct stat st;
	int r;

	if (btf)
		take_names(btf);
	btf__free(btf);
	if (!btf || n < 3) {
		rtr_strlcpy(why,
			    btf ? "the kernel gives no reasons for drops (before Linux 5.17)"
				: "the kernel does not describe its types (no BTF)",
			    DROPD_TEXT);
		return -ENOTSUP;
	}
	d.skel = drops_bpf__open();
	r = d.skel && !stat("/proc/self/ns/net", &st) ? 0 : -errno;
	if (!r) {
		d.skel->rodata->drops_netns = (uint32_t)st.st_ino;
		d.skel->rodata->drops_has_sk = n > 3;
		d.skel->rodata->drops_purged = reason_named("QUEUE_PURGE");
		r = drops_bpf__load(d.skel);
	}
	if (!r)
		r = drops_bpf__attach(d.skel);
	if (r)
		snprintf(why, DROPD_TEXT, "the kernel refuses tracing: %s%s", strerror(-r),
			 r == -EPERM || r == -EACCES
				 ? " (it needs CAP_BPF and CAP_PERFMON, and no lockdown)"
				 : "");
	return r;
}

/* ---- places ---- */

static void describe(struct place *p)
{
	struct drops_site_key sk = { p->key.location, p->key.reason };
	struct drops_site s = { 0 };
	struct drop_meaning means;

	(void)bpf_map_lookup_elem(bpf_map__fd(d.skel->maps.sites), &sk, &s);
	rtr_strlcpy(p->where, s.symbol, sizeof(p->where));
	/* "nft_do_chain+0x3c/0x540 [nf_tables]" */
	p->where[strcspn(p->where, "/ ")] = '\0';
	if (p->key.reason < MAX_REASONS && d.names[p->key.reason])
		rtr_strlcpy(p->name, d.names[p->key.reason], sizeof(p->name));
	else
		snprintf(p->name, sizeof(p->name), "SUBSYSTEM_%u_REASON_%u", p->key.reason >> 16,
			 p->key.reason & 0xffff);
	rtr_strlcpy(s.symbol, p->where, sizeof(s.symbol));
	/* "ip_forward.part.0" is the compiler's. */
	s.symbol[strcspn(s.symbol, ".+")] = '\0';
	means = drop_meaning(p->name, s.symbol);
	p->innocent = drop_is_innocent(p->name, s.symbol);
	p->reason = means.reason;
	p->at = means.at;
	if (means.name != p->name)
		rtr_strlcpy(p->name, means.name, sizeof(p->name));
}

/* There are twice as many as the kernel's table has. */
/* Valid until the next call: a table that gets full (of interfaces that went) starts anew. */
static struct place *place_of(const struct drops_key *k)
{
	size_t home = hash_bytes(k, sizeof(*k), 0) % ARRAY_LEN(d.places), i = home;

	while (d.places[i].used && memcmp(&d.places[i].key, k, sizeof(*k)) != 0)
		i = (i + 1) % ARRAY_LEN(d.places);
	if (!d.places[i].used) {
		if (d.n_places >= ARRAY_LEN(d.places) / 4 * 3) {
			memset(d.places, 0, sizeof(d.places));
			d.n_places = 0;
			i = home;
		}
		d.n_places++;
		d.places[i] = (struct place){ .key = *k, .used = true };
		describe(&d.places[i]);
	}
	return &d.places[i];
}

static struct dropd_event event_of(const struct place *p, enum dropd_event_kind kind)
{
	struct dropd_event e = { .kind = kind,
				 .ifindex = (int32_t)p->key.ifindex,
				 .reason = (uint16_t)p->reason,
				 .at = (uint8_t)p->at };

	rtr_strlcpy(e.name, p->name, sizeof(e.name));
	rtr_strlcpy(e.where, p->where, sizeof(e.where));
	return e;
}

static void tell_count(const struct drops_key *k, const struct drops_count *v, uint32_t serial)
{
	struct place *p = place_of(k);
	struct dropd_event e = event_of(p, DROPD_COUNT);

	if (p->innocent)
		return;
	e.serial = serial;
	for (int i = 0; i < d.n_cpus; i++) {
		e.packets += v[i].packets;
		e.bytes += v[i].bytes;
		e.when_ns = MAX(e.when_ns, v[i].last_ns);
	}
	if (e.packets == p->told)
		return;
	p->told = e.packets;
	say(&e);
}

static void sync_counts(uint32_t serial)
{
	static struct drops_key keys[BATCH];
	struct dropd_event done = { .kind = DROPD_SYNCED, .serial = serial };
	uint32_t next = 0, *from = NULL;
	int r;

	do {
		uint32_t n = BATCH;

		r = bpf_map_lookup_batch(bpf_map__fd(d.skel->maps.counts), from, &next, keys,
					 d.values, &n, NULL);
		/* The last piece comes with ENOENT. */
		for (uint32_t i = 0; (!r || r == -ENOENT) && i < n; i++)
			tell_count(&keys[i], d.values + (size_t)i * (size_t)d.n_cpus, serial);
		from = &next;
	} while (!r);
	done.packets = d.skel->bss->drops_lost;
	say(&done);
}

/* ---- interfaces that are gone ---- */

/* Leaves the place, and moves up what stands behind it: a search ends at the first free one. */
static void unplace(size_t i)
{
	size_t j = i;

	for (;;) {
		size_t home;

		d.places[i].used = false;
		do {
			j = (j + 1) % ARRAY_LEN(d.places);
			if (!d.places[j].used) {
				d.n_places--;
				return;
			}
			home = hash_bytes(&d.places[j].key, sizeof(struct drops_key), 0) %
			       ARRAY_LEN(d.places);
		} while (i <= j ? i < home && home <= j : i < home || home <= j);
		d.places[i] = d.places[j];
		i = j;
	}
}

static void forget(int32_t ifindex)
{
	for (size_t i = 0; i < ARRAY_LEN(d.places);) {
		struct drops_key key = d.places[i].key;

		if (!d.places[i].used || key.ifindex != (uint32_t)ifindex) {
			i++;
			continue;
		}
		(void)bpf_map_delete_elem(bpf_map__fd(d.skel->maps.counts), &key);
		unplace(i); /* and then look at who came here */
	}
}

/* ---- packets ---- */

static bool is_wanted(const struct place *p)
{
	if (p->innocent)
		return false;
	return !*d.want || !strcasecmp(d.want, p->name) ||
	       (p->reason && !strcmp(d.want, rtr_drop_text(p->reason)));
}

/* So that others do not use up what may be shown. */
static void hide(const struct place *p, bool hidden)
{
	struct drops_site_key sk = { p->key.location, p->key.reason };
	int fd = bpf_map__fd(d.skel->maps.sites);
	struct drops_site s;

	if (bpf_map_lookup_elem(fd, &sk, &s) || s.hidden == hidden)
		return;
	s.hidden = hidden;
	(void)bpf_map_update_elem(fd, &sk, &s, BPF_EXIST);
}

static int on_packet(void *arg, void *data, size_t size)
{
	const struct drops_packet *p = data;
	struct dropd_event e;
	const struct place *at;
	char text[PKT_TEXT_MAX];

	if (size < sizeof(*p) || !d.watched)
		return 0;
	at = place_of(&p->key);
	if (!is_wanted(at)) {
		hide(at, true);
		return 0;
	}
	e = event_of(at, DROPD_PACKET);
	e.when_ns = p->when_ns;
	e.packets = 1;
	e.bytes = p->size;
	pkt_text(p->ethernet ? PKT_ETHERNET : PKT_IP, p->head, MIN(p->have, (size_t)DROPS_HEAD),
		 MAX(p->size, (size_t)p->have), text);
	rtr_strlcpy(e.text, text, sizeof(e.text));
	say(&e);
	return 0;
}

static void watch(const struct dropd_req *q)
{
	rtr_strlcpy(d.want, q->reason, sizeof(d.want));
	for (size_t i = 0; i < ARRAY_LEN(d.places); i++) {
		if (d.places[i].used)
			hide(&d.places[i], !is_wanted(&d.places[i]));
	}
	d.watched = true;
	d.missed = d.skel->bss->drops_missed;
	d.skel->bss->drops_ifindex = (uint32_t)q->ifindex;
	__atomic_store_n(&d.skel->bss->drops_budget, SHOW_MAX, __ATOMIC_RELAXED);
	__atomic_store_n(&d.skel->bss->drops_watched, 1, __ATOMIC_RELEASE);
	d.refill_ns = rtr_now_ns();
}

static void quieten(void)
{
	d.watched = false;
	__atomic_store_n(&d.skel->bss->drops_watched, 0, __ATOMIC_RELEASE);
}

static void refill(uint64_t now)
{
	uint64_t missed = __atomic_load_n(&d.skel->bss->drops_missed, __ATOMIC_RELAXED);
	struct dropd_event e = { .kind = DROPD_MISSED, .packets = missed - d.missed };

	if (now - d.refill_ns < SHOW_EACH_MS * NSEC_PER_MSEC)
		return;
	d.refill_ns = now;
	__atomic_store_n(&d.skel->bss->drops_budget, SHOW_MAX, __ATOMIC_RELAXED);
	if (e.packets)
		say(&e);
	d.missed = missed;
}

/* False: rtrd is gone. */
static bool take_requests(void)
{
	struct dropd_req q;
	ssize_t n;

	while ((n = recv(RTRD_FD, &q, sizeof(q), MSG_DONTWAIT)) == sizeof(q)) {
		q.reason[sizeof(q.reason) - 1] = '\0';
		if (q.op == DROPD_SYNC)
			sync_counts(q.serial);
		else if (q.op == DROPD_MONITOR)
			watch(&q);
		else if (q.op == DROPD_QUIET)
			quieten();
		else if (q.op == DROPD_FORGET && q.ifindex)
			forget(q.ifindex);
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* ---- start ---- */

static int lock_in(void)
{
	/* bpf: of maps that are open. Without the capabilities it can make no other. */
	static const int calls[] = { SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(bpf),
				     SCMP_SYS(madvise) };

	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_apply(CAPNG_SELECT_CAPS))
		return -EPERM;
	return sandbox_enter(calls, ARRAY_LEN(calls), SANDBOX_NO_SOCKETS);
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return 0;
}

static int start(void)
{
	struct dropd_event e = { .kind = DROPD_READY };
	int type, r;
	socklen_t size = sizeof(type);

	if (getsockopt(RTRD_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET) {
		fprintf(stderr, "rtr-dropd: started by rtrd, not by hand\n");
		return -EINVAL;
	}
	libbpf_set_print(quiet);
	r = begin(e.text);
	if (r) {
		e.kind = DROPD_UNAVAILABLE;
		say(&e);
		exit(0);
	}
	d.n_cpus = libbpf_num_possible_cpus();
	d.ring = ring_buffer__new(bpf_map__fd(d.skel->maps.packets), on_packet, NULL, NULL);
	if (d.n_cpus < 1 || !d.ring)
		return -EIO;
	d.values = xcalloc((size_t)BATCH * (size_t)d.n_cpus, sizeof(*d.values));
	r = lock_in();
	if (!r)
		say(&e);
	return r;
}

int main(void)
{
	int r = start();
	struct pollfd fds[] = { { .fd = RTRD_FD, .events = POLLIN }, { .events = POLLIN } };

	if (r) {
		fprintf(stderr, "rtr-dropd: %s\n", strerror(-r));
		return 1;
	}
	fds[1].fd = ring_buffer__epoll_fd(d.ring);
	for (;;) {
		if (poll(fds, ARRAY_LEN(fds), d.watched ? SHOW_EACH_MS : -1) < 0 && errno != EINTR)
			return 1;
		if (fds[0].revents && !take_requests())
			return 0;
		ring_buffer__consume(d.ring);
		if (d.watched)
			refill(rtr_now_ns());
	}
}
