/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VRRP adverts: the first byte chooses family and TTL; what is accepted lies inside the input and
 * drives a state machine through its states without a broken promise. */
#include "vrrp/vrrp_fsm.h"
#include "vrrp/vrrp_packet.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int owned;

static void advert(struct vrrp_fsm *f, uint8_t prio)
{
}

static void own(struct vrrp_fsm *f)
{
	if (owned++)
		abort();
}

static void release(struct vrrp_fsm *f)
{
	if (--owned)
		abort();
}

static void announce(struct vrrp_fsm *f)
{
	if (!owned)
		abort();
}

static void state(struct vrrp_fsm *f, uint8_t from, enum vrrp_reason why)
{
	if (from == f->state || f->state >= VRRP_S__MAX)
		abort();
}

static void drive(const struct vrrp_rx *rx, const struct vrrp_advert *a)
{
	static const struct vrrp_fsm_ops ops = { advert, own, release, announce, state };
	struct vrrp_fsm_conf c = { .version = a->version,
				   .prio = 100,
				   .preempt = a->prio & 1,
				   .adver_ns = NSEC_PER_SEC,
				   .local = rx->dst };
	struct vrrp_heard h = { .prio = a->prio,
				.src = rx->src,
				.adver_ns = a->adver_cs * 10 * NSEC_PER_MSEC };
	struct vrrp_fsm f;
	uint64_t now = NSEC_PER_SEC;

	owned = 0;
	vrrp_fsm_init(&f, &c, &ops);
	vrrp_fsm_up(&f, now, 0);
	for (int i = 0; i < 8; i++) {
		h.rx = now;
		vrrp_fsm_heard(&f, now, &h);
		if (!f.due || f.due < now)
			abort();
		now = f.due;
		if (i == 5)
			vrrp_fsm_leave(&f, now, false, VRRP_R_SWITCHOVER);
		vrrp_fsm_timer(&f, now);
	}
	vrrp_fsm_down(&f, now, VRRP_R_LINK);
	if (owned || f.state != VRRP_S_INIT)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vrrp_rx rx = { .family = AF_INET6, .ttl = 255, .data = data + 1, .size = size - 1 };
	struct vrrp_advert a;
	const uint8_t *end = data + size;

	if (!size)
		return 0;
	if (data[0] & 1) {
		if (!vrrp_parse_ip4(data + 1, size - 1, &rx))
			return 0;
		if (rx.data < data || rx.data + rx.size > end)
			abort();
	} else {
		rx.src.family = rx.dst.family = AF_INET6;
		memset(rx.src.b, data[0], 16);
		memset(rx.dst.b, data[0], 16);
	}
	if (vrrp_parse(&rx, &a))
		return 0;
	if (a.addrs + (size_t)a.n_addrs * rtr_family_size(rx.family) > end || !a.adver_cs ||
	    !a.vrid || !a.n_addrs)
		abort();
	drive(&rx, &a);
	return 0;
}
