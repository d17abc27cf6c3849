/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the express lane's packets with a flow: parse, decision, rewrite, link header. Part of
 * express.bpf.c and express_vlan.bpf.c. Owns: nothing. Threads, failure: as there.
 */
#ifndef RTR_EXPRESS_SEND_H
#define RTR_EXPRESS_SEND_H

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

/* Length of the link header and "not shaped" as the one word that they are in an adjacency. */
#define LINK_PLAIN  bpf_htons(ETH_HLEN << 8)
#define LINK_TAGGED bpf_htons((ETH_HLEN + VLAN_HLEN) << 8)
#define LINK_AS_IN  (L2_LEN == ETH_HLEN ? LINK_PLAIN : LINK_TAGGED)
FLOW_ASSERT("adjacency", offsetof(struct fp_adj, shaped) == offsetof(struct fp_adj, len) + 1);

/* The link header as words; false: not ready, shaped, too small, tagged twice, being changed. */
struct link {
	uint64_t word;
	uint32_t half;
	uint32_t tag; /* of LINK_TAGGED */
	uint32_t port;
	uint16_t kind;
	uint8_t verdict; /* enum express_verdict, as it was counted */
};

static __always_inline bool link_of(uint32_t egress, const struct pkt *p, struct link *ret)
{
	uint32_t i = egress & FLOW_EGRESS_ADJ_MASK;
	const struct fp_adj *a = bpf_map_lookup_elem(&express_adj, &i);
	uint16_t seq;

	if (!a)
		return false;
	seq = LOAD(a->seq);
	ret->kind = LOAD(*(const uint16_t *)&a->len);
	if (seq & 1 || (ret->kind != LINK_PLAIN && ret->kind != LINK_TAGGED) ||
	    p->l3_len > LOAD(a->mtu))
		return false;
	ret->word = LOAD(*(const uint64_t *)a->hdr);
	ret->half = LOAD(*(const uint32_t *)(a->hdr + 8));
	if (ret->kind == LINK_TAGGED)
		ret->tag = LOAD(*(const uint32_t *)(a->hdr + 12));
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
	link->verdict = alone ? EXPRESS_V_SENT_ALONE : EXPRESS_V_SENT;
	l->count->verdict[link->verdict]++;
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

static __always_inline void header(void *data, const struct link *link, bool tagged)
{
	*(uint64_t *)data = link->word;
	*(uint32_t *)(data + 8) = link->half;
	if (tagged)
		*(uint32_t *)(data + 12) = link->tag;
}

/* With a tag more or less the frame begins elsewhere. The type stays where it is, in front of IP.
 */
static __always_inline int leave_moved(const struct lane *l, const struct link *link)
{
	bool tagged = L2_LEN == ETH_HLEN;
	void *data, *end;

	if (bpf_xdp_adjust_head(l->ctx, tagged ? -VLAN_HLEN : VLAN_HLEN)) {
		l->count->verdict[link->verdict]--;
		l->count->drop[RTR_DROP_HEADROOM]++;
		return XDP_DROP;
	}
	data = (void *)(long)l->ctx->data;
	end = (void *)(long)l->ctx->data_end;
	if (data + ETH_HLEN + VLAN_HLEN > end)
		return XDP_DROP; /* for the verifier: it was longer */
	header(data, link, tagged);
	/* What a tag made long enough; a driver that has no room for it pads by itself. */
	if (!tagged && end - data < ETH_ZLEN)
		bpf_xdp_adjust_tail(l->ctx, (int)(ETH_ZLEN - (end - data)));
	return XDP_REDIRECT;
}

/* As the kernel counts a VLAN that a packet leaves by; of other interfaces the driver does. */
static __always_inline void count_out(const struct link *link, uint32_t l3_len)
{
	uint32_t slot = link->port;
	struct express_count *c = bpf_map_lookup_elem(&express_counts, &slot);

	if (!c)
		return;
	c->vlan.tx++;
	c->vlan.tx_bytes += ETH_HLEN + l3_len;
}

/* The last step, when all behind the link header has been written. */
static __always_inline int leave(const struct lane *l, const struct link *link, uint32_t l3_len)
{
	count_in(l);
	if (link->kind == LINK_AS_IN)
		header(l->data, link, L2_LEN != ETH_HLEN);
	else if (leave_moved(l, link) != XDP_REDIRECT)
		return XDP_DROP;
	if (link->kind == LINK_TAGGED)
		count_out(link, l3_len);
	return XDP_REDIRECT;
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
	struct iphdr *ip = data + L2_LEN;
	uint32_t ihl, total;
	uint16_t off;
	uint64_t sum;

	/* Options are read as they are: the kernel or a worker judges them. */
	ihl = *(const uint8_t *)ip == 0x45 ? sizeof(*ip) : ip->ihl * 4u;
	if (ip->version != 4 || ihl < sizeof(*ip))
		return P_KERNEL;
	total = bpf_ntohs(ip->tot_len);
	if (total < ihl || total > end - data - L2_LEN)
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
	*((uint32_t *)key + 3) = p->proto | (uint32_t)IN(l, zone) << 16;
	if (IN(l, flags) & EXPRESS_PF_PARTIAL && is_partial(p, (uint64_t)ip->saddr + ip->daddr))
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
	struct iphdr *ip = data + L2_LEN;
	uint32_t delta = (uint16_t)~bpf_htons(0x0100); /* one hop less */

	/* It was plain: no options. */
	p.l4 = (uint8_t *)(ip + 1);
	ip->ttl--;
	if (flow_w0_flags(h.w0) & FLOW_F_REWRITE) {
		*(uint64_t *)&ip->saddr = *(const uint64_t *)&f.rw;
		rewrite_l4(&p, &f.rw.sport, f.rw.l4_delta);
		delta += f.rw.l3_delta;
	}
	ip->check = adjust(ip->check, delta);
	account(l, &h, p.l3_len);
	return leave(l, &link, p.l3_len);
}

/* ----- IPv6 ----- */

static __always_inline enum parsed parse6(const struct lane *l, struct pkt *p,
					  struct flow_key6 *key)
{
	void *data = l->data, *end = l->end;
	struct ipv6hdr *ip = data + L2_LEN;
	const uint64_t *a;
	uint64_t *k = (uint64_t *)key;

	p->l4 = (uint8_t *)(ip + 1);
	p->end = end;
	if ((void *)(p->l4 + sizeof(struct udphdr)) > end || ip->version != 6)
		return P_KERNEL;
	p->l4_len = bpf_ntohs(ip->payload_len);
	p->l3_len = p->l4_len + sizeof(*ip);
	if (p->l3_len > end - data - L2_LEN)
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
	*((uint32_t *)key + 9) = p->proto | (uint32_t)IN(l, zone) << 16;
	if (IN(l, flags) & EXPRESS_PF_PARTIAL) {
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
	struct ipv6hdr *ip = data + L2_LEN;

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
	return leave(l, &link, p.l3_len);
}

#endif
