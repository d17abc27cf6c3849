/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the express lane. One instance of this program sits on each interface. It translates and
 * forwards packets of flows that need no thought, and hands everything else on untouched: to the
 * AF_XDP socket of the queue while its worker lives, else to the kernel.
 *
 *	parse -> key -> line at home, else bucket -> line (generation, key)
 *	      -> path, policy, TCP window -> adjacency, MTU -> redirect
 *	      -> rewrite, checksums, TTL -> counters, time
 *
 * FASTPLANE's rules that this file keeps: XDP never inserts, frees or drops on state. A hit is
 * always translated by XDP, also with no worker alive, for the kernel must not meet a flow that it
 * does not know; a hit that XDP cannot send goes to the kernel only if that mirrors the flow, else
 * it is a counted drop. A direction takes one path at a time: while packets of it are with a worker
 * (inflight), those behind follow them. Nothing of a packet is changed before all is decided.
 *
 * The steps before this file's are in express_lane.h (maps, lookup), express_miss.h (no flow) and
 * express_tcp.h (windows). docs/design/express.md has the figures and what was tried.
 *
 * Owns: nothing; all maps are shared, `port` is the interface's. Threads: any CPU. Failure: a
 * verdict, counted in express_counts.
 */
#include "express_lane.h"
#include "express_miss.h"
#include "express_tcp.h"

/* ----- the decision ----- */

/* Path, policy and, without TCP, whether the answer has been seen: may XDP go on alone? */
static __always_inline bool word0_passes(const struct lane *l, uint64_t w0)
{
	if (flow_w0_path(w0) != FLOW_P_EXPRESS || flow_w0_inflight(w0))
		return false;
	if ((uint16_t)(LOAD(l->ctl->policy) - flow_w0_policy(w0)) > 1)
		return false;
	return flow_w0_flags(w0) & FLOW_F_TCP || flow_w0_state(w0) >> FLOW_TRACK_SHIFT;
}

/* The link header as two words; false: not ready, shaped, too small, tagged, being changed. */
struct link {
	uint64_t word;
	uint32_t half;
	uint32_t port;
};

static __always_inline bool link_of(uint32_t egress, const struct pkt *p, struct link *ret)
{
	uint32_t i = egress & FLOW_EGRESS_ADJ_MASK;
	const struct fp_adj *a = bpf_map_lookup_elem(&express_adj, &i);
	uint16_t seq;

	if (!a)
		return false;
	seq = LOAD(a->seq);
	if (seq & 1 || LOAD(a->len) != ETH_HLEN || LOAD(a->shaped) || p->l3_len > LOAD(a->mtu))
		return false;
	ret->word = LOAD(*(const uint64_t *)a->hdr);
	ret->half = LOAD(*(const uint32_t *)(a->hdr + 8));
	ret->port = LOAD(a->port);
	return LOAD(a->seq) == seq;
}

enum decision { D_SEND, D_DONE };

/*
 * All that is common to both families, from the hit to the verdict; D_SEND: the frame is ours to
 * rewrite, and redirected already.
 */
static __always_inline enum decision decide(const struct lane *l, const struct pkt *p,
					    const struct hit *h, struct link *link,
					    struct segment *seg, int *ret_rc)
{
	uint32_t egress = LOAD(*h->egress);
	bool tcp = flow_w0_flags(h->w0) & FLOW_F_TCP, alone = false;
	enum tcp_verdict v = TCP_PASS;
	bool can;

	if (flow_w0_path(h->w0) == FLOW_P_KERNEL) {
		*ret_rc = pass(l, EXPRESS_V_KERNEL_FLOW);
		return D_DONE;
	}
	can = p->plain && !(flow_w0_flags(h->w0) & FLOW_F_SHAPED) && link_of(egress, p, link);
	if (tcp)
		v = tcp_judge(p, h, egress, seg);
	if (!can || v != TCP_PASS || !word0_passes(l, h->w0)) {
		if (to_worker(l, h->word0)) {
			l->count->verdict[EXPRESS_V_WORKER_FLOW]++;
			*ret_rc = XDP_REDIRECT;
			return D_DONE;
		}
		/* Nobody thinks: on with it, but not with what is over, nor by a policy that has
		 * been replaced twice. */
		alone = true;
		if (flow_w0_path(h->w0) == FLOW_P_ENDED) {
			*ret_rc = drop(l, RTR_DROP_CT_CLOSED);
			return D_DONE;
		}
		if ((uint16_t)(LOAD(l->ctl->policy) - flow_w0_policy(h->w0)) > 2) {
			*ret_rc = drop(l, RTR_DROP_GENERATION);
			return D_DONE;
		}
	}
	if (!can || bpf_redirect_map(&express_ports, link->port, 0) != XDP_REDIRECT) {
		*ret_rc = flow_w0_flags(h->w0) & FLOW_F_MIRRORED
				  ? pass(l, EXPRESS_V_KERNEL_MIRROR)
				  : drop(l, can ? RTR_DROP_EGRESS_DOWN : RTR_DROP_NO_WORKER);
		return D_DONE;
	}
	if (tcp && v == TCP_PASS)
		tcp_advance(h, egress, seg);
	else if (tcp)
		tcp_note(p, h, v);
	l->count->verdict[alone ? EXPRESS_V_SENT_ALONE : EXPRESS_V_SENT]++;
	return D_SEND;
}

/* ----- rewrite ----- */

static __always_inline uint16_t fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum + (sum >> 16);
}

/* RFC 1624 equation 3. */
static __always_inline uint16_t adjust(uint16_t check, uint32_t delta)
{
	return ~fold((uint32_t)(uint16_t)~check + delta);
}

static __always_inline void rewrite_l4(const struct pkt *p, const uint16_t *ports, uint16_t delta)
{
	uint16_t *check;

	*(uint32_t *)p->l4 = *(const uint32_t *)ports;
	if (p->proto == IPPROTO_TCP) {
		check = &((struct tcphdr *)p->l4)->check;
		if ((void *)(check + 1) <= p->end)
			*check = adjust(*check, delta);
		return;
	}
	check = &((struct udphdr *)p->l4)->check;
	if (*check) { /* 0: none (RFC 768), and a computed 0 is sent as all ones */
		uint16_t c = adjust(*check, delta);

		*check = c ? c : 0xffff;
	}
}

static __always_inline void link_write(void *data, const struct link *link)
{
	*(uint64_t *)data = link->word;
	*(uint32_t *)(data + 8) = link->half;
}

static __always_inline void account(const struct lane *l, const struct hit *h, uint32_t l3_len)
{
	uint32_t now = clock_now(l) >> FLOW_TIME_SHIFT;

	__sync_fetch_and_add(h->count, FLOW_COUNT_ONE(l3_len));
	if (LOAD(*h->time) != now)
		*(volatile uint32_t *)h->time = now;
}

/* ----- IPv4 ----- */

/* The field holds the sum of the pseudo-header only: the sender's NIC was to do the rest. */
static __always_inline bool is_partial(const struct pkt *p, uint64_t addr_sum)
{
	uint16_t sum, check;

	if (p->proto == IPPROTO_TCP) {
		const struct tcphdr *th = (void *)p->l4;

		if ((void *)(th + 1) > p->end)
			return false;
		check = th->check;
	} else {
		check = ((const struct udphdr *)p->l4)->check;
	}
	sum = fold(addr_sum + bpf_htons(p->l4_len) + bpf_htons(p->proto));
	return check == sum;
}

/* A sound header of the transport protocol, as far as its length goes. */
static __always_inline bool l4_sound(const struct pkt *p, bool need_check)
{
	const struct udphdr *uh = (void *)p->l4;
	uint32_t said;

	if (p->proto == IPPROTO_TCP)
		return p->l4_len >= sizeof(struct tcphdr);
	said = bpf_ntohs(uh->len);
	return said >= sizeof(*uh) && said <= p->l4_len && (!need_check || uh->check);
}

enum parsed { P_KEY, P_NO_KEY, P_KERNEL };

static __always_inline enum parsed parse4(const struct lane *l, struct pkt *p,
					  struct flow_key4 *key)
{
	void *data = l->data, *end = l->end;
	struct iphdr *ip = data + ETH_HLEN;
	uint32_t ihl, total;
	uint16_t off;
	uint64_t sum;

	/* Options are read as they are: the kernel or a worker judges them. */
	ihl = *(const uint8_t *)ip == 0x45 ? sizeof(*ip) : ip->ihl * 4u;
	if (ip->version != 4 || ihl < sizeof(*ip))
		return P_KERNEL;
	total = bpf_ntohs(ip->tot_len);
	if (total < ihl || total > end - data - ETH_HLEN)
		return P_KERNEL;
	p->plain = ihl == sizeof(*ip) && ip->ttl > 1;
	if (ihl == sizeof(*ip)) {
		const uint32_t *w = (const uint32_t *)ip;

		sum = (uint64_t)w[0] + w[1] + w[2] + w[3] + w[4];
		if (fold(sum) != 0xffff)
			return P_KERNEL;
	}
	off = bpf_ntohs(ip->frag_off);
	if (off & 0x1fff)
		return P_NO_KEY;
	if (off & 0x2000)
		p->plain = false;
	p->proto = ip->protocol;
	if (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP)
		return P_NO_KEY;
	p->l3_len = total;
	p->l4_len = total - ihl;
	p->end = end;
	p->l4 = (uint8_t *)ip + ihl;
	if ((void *)(p->l4 + sizeof(struct udphdr)) > end || p->l4_len < sizeof(struct udphdr))
		return P_NO_KEY;
	if (p->plain && !l4_sound(p, false))
		return P_NO_KEY;
	*(uint64_t *)key = *(const uint64_t *)&ip->saddr;
	*(uint32_t *)&key->sport = *(const uint32_t *)p->l4;
	*((uint32_t *)key + 3) = p->proto | (uint32_t)port.zone << 16;
	if (port.flags & EXPRESS_PF_PARTIAL && is_partial(p, (uint64_t)ip->saddr + ip->daddr))
		p->plain = false;
	return P_KEY;
}

static __always_inline int express4(const struct lane *l)
{
	struct flow_key4 key;
	struct link link = { 0 };
	struct flow_side *side = NULL;
	struct segment seg = { 0 };
	struct flow_hit4 f;
	struct pkt p = { 0 };
	int rc;

	switch (parse4(l, &p, &key)) {
	case P_KERNEL:
		return pass(l, EXPRESS_V_KERNEL_PLAIN);
	case P_NO_KEY:
		return miss4(l, NULL);
	case P_KEY:
		break;
	}
	if (look4(l, &key, &f, &side) != FLOW_HIT)
		return miss4(l, &key);

	struct hit h = HIT(f, side, false);

	if (decide(l, &p, &h, &link, &seg, &rc) == D_DONE)
		return rc;

	void *data = l->data;
	struct iphdr *ip = data + ETH_HLEN;
	uint32_t delta = (uint16_t)~bpf_htons(0x0100); /* one hop less */

	/* It was plain: no options. */
	p.l4 = (uint8_t *)(ip + 1);
	link_write(data, &link);
	ip->ttl--;
	if (flow_w0_flags(h.w0) & FLOW_F_REWRITE) {
		*(uint64_t *)&ip->saddr = *(const uint64_t *)&f.rw;
		rewrite_l4(&p, &f.rw.sport, f.rw.l4_delta);
		delta += f.rw.l3_delta;
	}
	ip->check = adjust(ip->check, delta);
	account(l, &h, p.l3_len);
	return XDP_REDIRECT;
}

/* ----- IPv6 ----- */

static __always_inline enum parsed parse6(const struct lane *l, struct pkt *p,
					  struct flow_key6 *key)
{
	void *data = l->data, *end = l->end;
	struct ipv6hdr *ip = data + ETH_HLEN;
	const uint64_t *a;
	uint64_t *k = (uint64_t *)key;

	p->l4 = (uint8_t *)(ip + 1);
	p->end = end;
	if ((void *)(p->l4 + sizeof(struct udphdr)) > end || ip->version != 6)
		return P_KERNEL;
	p->l4_len = bpf_ntohs(ip->payload_len);
	p->l3_len = p->l4_len + sizeof(*ip);
	if (p->l3_len > end - data - ETH_HLEN)
		return P_KERNEL;
	p->proto = ip->nexthdr;
	p->plain = ip->hop_limit > 1;
	/* Extension headers, fragments among them, are a worker's. */
	if (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP)
		return P_NO_KEY;
	if (p->l4_len < sizeof(struct udphdr) || !l4_sound(p, true))
		return P_NO_KEY;
	a = (const uint64_t *)&ip->saddr;
	k[0] = a[0];
	k[1] = a[1];
	k[2] = a[2];
	k[3] = a[3];
	*(uint32_t *)&key->sport = *(const uint32_t *)p->l4;
	*((uint32_t *)key + 9) = p->proto | (uint32_t)port.zone << 16;
	if (port.flags & EXPRESS_PF_PARTIAL) {
		uint64_t sum = 0;

		for (int i = 0; i < 4; i++)
			sum += (a[i] & 0xffffffff) + (a[i] >> 32);
		if (is_partial(p, sum))
			p->plain = false;
	}
	return P_KEY;
}

static __always_inline int express6(const struct lane *l)
{
	struct flow_key6 key;
	struct link link = { 0 };
	struct flow_side *side = NULL;
	struct segment seg = { 0 };
	struct flow_hit6 f;
	struct pkt p = { 0 };
	int rc;

	switch (parse6(l, &p, &key)) {
	case P_KERNEL:
		return pass(l, EXPRESS_V_KERNEL_PLAIN);
	case P_NO_KEY:
		return miss6(l, NULL);
	case P_KEY:
		break;
	}
	if (look6(l, &key, &f, &side) != FLOW_HIT)
		return miss6(l, &key);

	struct hit h = HIT(f, side, true);

	if (decide(l, &p, &h, &link, &seg, &rc) == D_DONE)
		return rc;

	void *data = l->data;
	struct ipv6hdr *ip = data + ETH_HLEN;

	link_write(data, &link);
	ip->hop_limit--;
	if (flow_w0_flags(h.w0) & FLOW_F_REWRITE) {
		const uint64_t *rw = (const uint64_t *)&f.rw;
		uint64_t *a = (uint64_t *)&ip->saddr;

		a[0] = rw[0];
		a[1] = rw[1];
		a[2] = rw[2];
		a[3] = rw[3];
		rewrite_l4(&p, &f.rw.sport, f.rw.l4_delta);
	}
	account(l, &h, p.l3_len);
	return XDP_REDIRECT;
}

/* ----- frames of workers ----- */

struct frame_bytes {
	uint8_t bytes[EXPRESS_FRAME_SIZE];
};

SHARED(express_inject, BPF_MAP_TYPE_ARRAY, struct express_inject, MMAPABLE);
SHARED(express_frames, BPF_MAP_TYPE_ARRAY, struct frame_bytes, MMAPABLE);

/* The worker's next frame in the place of this one. */
static __always_inline int inject(struct xdp_md *ctx)
{
	const uint32_t *call = (void *)(long)ctx->data;
	uint32_t worker, at, frame, off, len, to, size = ctx->data_end - ctx->data;
	const struct frame_bytes *f;
	struct express_inject *j;

	if ((void *)(call + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	worker = *call;
	j = bpf_map_lookup_elem(&express_inject, &worker);
	if (!j || (at = LOAD(j->at)) >= EXPRESS_INJECT_MAX)
		return XDP_DROP;
	j->at = at + 1;
	frame = LOAD(j->desc[at].frame);
	off = LOAD(j->desc[at].off);
	len = LOAD(j->desc[at].len);
	to = LOAD(j->desc[at].port);
	f = bpf_map_lookup_elem(&express_frames, &frame);
	if (!f || off > EXPRESS_INJECT_OFF || len < ETH_HLEN || len > EXPRESS_INJECT_LEN)
		return XDP_DROP;
	/* Kernel 6.1 knows the bounds of a register, not of another copy of its value. */
	asm volatile("" : "+r"(off), "+r"(len));
	if (len != size && bpf_xdp_adjust_tail(ctx, (int32_t)(len - size)))
		return XDP_DROP;
	if (bpf_xdp_store_bytes(ctx, 0, (void *)(f->bytes + off), len) ||
	    bpf_redirect_map(&express_ports, to, 0) != XDP_REDIRECT)
		return XDP_DROP;
	j->sent++;
	return XDP_REDIRECT;
}

/* ----- entry ----- */

SEC("xdp")
int express(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	uint32_t zero = 0, slot = port.slot, cpu = bpf_get_smp_processor_id();
	struct lane l = { .ctx = ctx, .data = data, .end = end };
	const volatile uint16_t *mac = (const volatile uint16_t *)port.mac;
	const uint16_t *to = data;

	/* Loaded for itself, and no function called: else the verifier walks what follows twice. */
	if (LOAD(ctx->ingress_ifindex) == EXPRESS_LOOPBACK && port.flags & EXPRESS_PF_INJECT)
		return inject(ctx);
	l.ctl = bpf_map_lookup_elem(&express_ctl, &zero);
	l.hdr = bpf_map_lookup_elem(&flow_hdr, &zero);
	l.count = bpf_map_lookup_elem(&express_counts, &slot);
	l.recent = bpf_map_lookup_elem(&express_recent, &cpu);
	if (!l.ctl || !l.hdr || !l.count || !l.recent)
		return XDP_PASS;
	if (!port.on || LOAD(l.ctl->off))
		return pass(&l, EXPRESS_V_KERNEL_OFF);
	/* The shortest packet with ports. */
	if (data + ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr) > end)
		return pass(&l, EXPRESS_V_KERNEL_PLAIN);
	if ((to[0] ^ mac[0]) | (to[1] ^ mac[1]) | (to[2] ^ mac[2]))
		return pass(&l, EXPRESS_V_KERNEL_PLAIN);
	if (to[6] == bpf_htons(ETH_P_IP))
		return express4(&l);
	if (to[6] == bpf_htons(ETH_P_IPV6))
		return express6(&l);
	return pass(&l, EXPRESS_V_KERNEL_PLAIN);
}

char LICENSE[] SEC("license") = "GPL";
