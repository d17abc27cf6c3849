/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capture/ring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Only for the sums of the kernel: frames of V3 are as long as their packets. */
#define FRAME 2048
/* A frame with its VLAN tag put back. */
#define TAGGED_MAX (65536 + 4096)

bool ring_is_ethernet(uint16_t arptype)
{
	return arptype == ARPHRD_ETHER || arptype == ARPHRD_LOOPBACK;
}

static int set_up(struct ring *r, const struct filter *f, enum filter_dir dir, bool loopback)
{
	struct sock_fprog prog = { .len = (unsigned short)f->n_kernel, .filter = f->kernel };
	int version = TPACKET_V3, one = 1;
	struct tpacket_req3 req = { .tp_block_size = RING_BLOCK,
				    .tp_block_nr = RING_BLOCKS,
				    .tp_frame_size = FRAME,
				    .tp_frame_nr = RING_SIZE / FRAME,
				    .tp_retire_blk_tov = RING_RETIRE_MS };

	if (setsockopt(r->fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0 ||
	    setsockopt(r->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) < 0)
		return -errno;
	/* On a loopback each packet would come twice. A kernel before 4.20 does not know this;
	 * there the filter alone tells directions apart. */
	if (dir == FILTER_IN || loopback)
		(void)setsockopt(r->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	if (setsockopt(r->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)) < 0)
		return -errno;
	r->map = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	if (r->map == MAP_FAILED) {
		r->map = NULL;
		return -errno;
	}
	return 0;
}

int ring_open(struct ring *r, const struct filter *f, enum filter_dir dir, bool loopback,
	      uint16_t arptype)
{
	int e;

	*r = (struct ring){ .fd = -1, .ethernet = ring_is_ethernet(arptype) };
	r->fd = socket(AF_PACKET,
		       (r->ethernet ? SOCK_RAW : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	e = r->fd < 0 ? -errno : set_up(r, f, dir, loopback);
	if (e)
		ring_close(r);
	return e;
}

int ring_begin(struct ring *r, int ifindex)
{
	struct sockaddr_ll sll = { .sll_family = AF_PACKET,
				   .sll_protocol = htons(ETH_P_ALL),
				   .sll_ifindex = ifindex };

	return bind(r->fd, (struct sockaddr *)&sll, sizeof(sll)) < 0 ? -errno : 0;
}

void ring_end(struct ring *r)
{
	struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog prog = { .len = 1, .filter = &none };

	(void)setsockopt(r->fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
}

/* The kernel took the tag out and tells it beside the frame. */
static void put_tag_back(const struct tpacket3_hdr *h, struct ring_packet *p)
{
	static uint8_t frame[TAGGED_MAX];
	uint16_t tci = (uint16_t)h->hv1.tp_vlan_tci, type = ETH_P_8021Q;

	if (p->have < 2 * ETH_ALEN || p->have > TAGGED_MAX - 4)
		return;
	if (h->tp_status & TP_STATUS_VLAN_TPID_VALID)
		type = h->hv1.tp_vlan_tpid;
	memcpy(frame, p->data, 2 * ETH_ALEN);
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
	frame[14] = (uint8_t)(tci >> 8);
	frame[15] = (uint8_t)tci;
	memcpy(frame + 16, p->data + 12, p->have - 12);
	p->data = frame;
	p->have += 4;
	p->size += 4;
}

bool ring_read(struct ring *r, bool (*fn)(void *arg, const struct ring_packet *p), void *arg)
{
	struct tpacket_block_desc *b = (void *)(r->map + (size_t)r->block * RING_BLOCK);
	const uint8_t *at;
	bool more = true;

	if (!(__atomic_load_n(&b->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
		return false;
	at = (const uint8_t *)b + b->hdr.bh1.offset_to_first_pkt;
	for (uint32_t i = 0; i < b->hdr.bh1.num_pkts && more; i++) {
		const struct tpacket3_hdr *h = (const void *)at;
		const struct sockaddr_ll *sll = (const void *)(at + TPACKET_ALIGN(sizeof(
									    struct tpacket3_hdr)));
		struct ring_packet p = {
			.time_ns = h->tp_sec * NSEC_PER_SEC + h->tp_nsec,
			.have = h->tp_snaplen,
			.size = h->tp_len,
			.out = sll->sll_pkttype == PACKET_OUTGOING,
			.data = at + (r->ethernet ? h->tp_mac : h->tp_net),
		};

		if (r->ethernet && (h->tp_status & TP_STATUS_VLAN_VALID))
			put_tag_back(h, &p);
		more = fn(arg, &p);
		at += h->tp_next_offset;
	}
	__atomic_store_n(&b->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	r->block = (r->block + 1) % RING_BLOCKS;
	return true;
}

void ring_count(struct ring *r)
{
	struct tpacket_stats_v3 st;
	socklen_t n = sizeof(st);

	/* Reading sets them back to zero. tp_packets has the dropped ones in it. */
	if (r->fd < 0 || getsockopt(r->fd, SOL_PACKET, PACKET_STATISTICS, &st, &n) < 0)
		return;
	r->seen += st.tp_packets;
	r->dropped += st.tp_drops;
}

int ring_error(struct ring *r)
{
	int e = 0;
	socklen_t n = sizeof(e);

	return getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &e, &n) < 0 ? errno : e;
}

void ring_close(struct ring *r)
{
	if (r->map)
		munmap(r->map, RING_SIZE);
	if (r->fd >= 0)
		close(r->fd);
	r->map = NULL;
	r->fd = -1;
}
