/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xsk.h"

#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static int set_size(int fd, int which, uint32_t n)
{
	return setsockopt(fd, SOL_XDP, which, &n, sizeof(n)) < 0 ? -errno : 0;
}

static int set_up(int fd, const struct fp_xsk_conf *c)
{
	struct xdp_umem_reg reg = { .addr = (uint64_t)(uintptr_t)c->umem->area,
				    .len = fp_umem_size(c->umem),
				    .chunk_size = c->zero_copy ? FP_FRAME_WIDE : FP_FRAME_SIZE };

	if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) < 0)
		return -errno;
	return set_size(fd, XDP_UMEM_FILL_RING, c->n_fill) ?:
	       set_size(fd, XDP_UMEM_COMPLETION_RING, c->n_comp) ?:
	       set_size(fd, XDP_RX_RING, c->n_rx) ?: set_size(fd, XDP_TX_RING, c->n_tx);
}

static int map_ring(int fd, const struct xdp_ring_offset *off, uint64_t page, uint32_t n,
		    size_t entry, struct fp_ring *r)
{
	size_t len = off->desc + n * entry;
	uint8_t *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
			  (off_t)page);

	if (p == MAP_FAILED)
		return -errno;
	*r = (struct fp_ring){
		.producer = (uint32_t *)(void *)(p + off->producer),
		.consumer = (uint32_t *)(void *)(p + off->consumer),
		.flags = (uint32_t *)(void *)(p + off->flags),
		.desc = p + off->desc,
		.mask = n - 1,
		.map = p,
		.map_len = len,
	};
	return 0;
}

static int map_rings(struct fp_xsk *x, const struct fp_xsk_conf *c)
{
	struct xdp_mmap_offsets off;
	socklen_t len = sizeof(off);

	if (getsockopt(x->fd, SOL_XDP, XDP_MMAP_OFFSETS, &off, &len) < 0)
		return -errno;
	return map_ring(x->fd, &off.fr, XDP_UMEM_PGOFF_FILL_RING, c->n_fill, sizeof(uint64_t),
			&x->fill) ?:
	       map_ring(x->fd, &off.cr, XDP_UMEM_PGOFF_COMPLETION_RING, c->n_comp, sizeof(uint64_t),
			&x->comp) ?:
	       map_ring(x->fd, &off.rx, XDP_PGOFF_RX_RING, c->n_rx, sizeof(struct xdp_desc),
			&x->rx) ?:
	       map_ring(x->fd, &off.tx, XDP_PGOFF_TX_RING, c->n_tx, sizeof(struct xdp_desc),
			&x->tx);
}

int fp_xsk_bind(const struct fp_xsk *x, const struct fp_xsk_conf *c)
{
	struct sockaddr_xdp sa = { .sxdp_family = AF_XDP,
				   .sxdp_ifindex = c->ifindex,
				   .sxdp_queue_id = c->queue,
				   .sxdp_flags = (uint16_t)(XDP_USE_NEED_WAKEUP |
							    (x->zero_copy ? XDP_ZEROCOPY
									  : XDP_COPY)) };

	return bind(x->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
}

int fp_xsk_open(const struct fp_xsk_conf *conf, struct fp_xsk *ret)
{
	struct fp_xsk x = { .zero_copy = conf->zero_copy };
	int err;

	x.fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (x.fd < 0)
		return -errno;
	err = set_up(x.fd, conf) ?: map_rings(&x, conf);
	if (err)
		fp_xsk_close(&x);
	else
		*ret = x;
	return err;
}

static void unmap(struct fp_ring *r)
{
	if (r->map)
		munmap(r->map, r->map_len);
	*r = (struct fp_ring){ 0 };
}

void fp_xsk_close(struct fp_xsk *x)
{
	unmap(&x->fill);
	unmap(&x->comp);
	unmap(&x->rx);
	unmap(&x->tx);
	if (x->fd >= 0)
		close(x->fd);
	x->fd = -1;
}

int fp_xsk_stats(const struct fp_xsk *x, struct xdp_statistics *ret)
{
	socklen_t len = sizeof(*ret);

	*ret = (struct xdp_statistics){ 0 };
	return getsockopt(x->fd, SOL_XDP, XDP_STATISTICS, ret, &len) < 0 ? -errno : 0;
}

/*
 * Copy mode sends a batch of 32 in each call and says so by moving the consumer; when it stands
 * still (egress full or down) the rest waits for the next kick. With zero-copy the driver sends
 * behind our back: as long as it has not taken all, each turn looks whether it has fallen asleep,
 * for our look and its last one may have crossed.
 */
void fp_xsk_kick(struct fp_xsk *x)
{
	uint32_t was, is;

	x->tx_dirty = false;
	if (x->fd < 0)
		return;
	is = __atomic_load_n(x->tx.consumer, __ATOMIC_ACQUIRE);
	do {
		if (is == x->tx.own || !fp_ring_wants_wakeup(&x->tx))
			break;
		was = is;
		sendto(x->fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
		is = __atomic_load_n(x->tx.consumer, __ATOMIC_ACQUIRE);
	} while (is != was && !x->zero_copy);
	x->tx_dirty = is != x->tx.own;
}

void fp_xsk_refill(const struct fp_xsk *x)
{
	struct pollfd p = { .fd = x->fd, .events = POLLIN };

	if (x->zero_copy && x->fd >= 0 && fp_ring_wants_wakeup(&x->fill) &&
	    __atomic_load_n(x->fill.consumer, __ATOMIC_RELAXED) != x->fill.own)
		poll(&p, 1, 0);
}
