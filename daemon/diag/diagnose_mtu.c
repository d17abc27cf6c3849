/* SPDX-License-Identifier: GPL-2.0-or-later */
/* diagnose mtu: echoes that must not be fragmented, larger and smaller. */
#include "diag/diagnose.h"

#include "kernel/shadow.h"

#include <string.h>

#define SMALL_TRIES 3
#define SMALL_MS    600
/* The small one was answered: these are as quick. */
#define BIG_TRIES 2
#define BIG_MS    400
/* RFC 791 and RFC 8200: what every link carries. */
#define LEAST4 68
#define LEAST6 1280

static unsigned least(const struct diagnose *d)
{
	return d->dst.family == AF_INET6 ? LEAST6 : LEAST4;
}

static void sweep(struct diagnose *d);

static void black_hole(struct diagnose *d)
{
	bool v6 = d->dst.family == AF_INET6;

	diag_step(d, LAYER_MTU, DIAG_BAD,
		  "%u bytes arrive, %u do not, and nobody says that they are too long",
		  d->good_size, d->bad_size);
	diag_fix(d, "interface %s", diag_link_name(d->hop_if));
	diag_fix(d, "%s tcp adjust-mss %u", v6 ? "ipv6" : "ip", d->good_size - (v6 ? 60 : 40));
	diag_verdict(d, LAYER_MTU,
		     "a black hole: packets above %u bytes vanish on the way to %s or back",
		     d->good_size, d->dst_text);
}

static void on_sweep(struct diagnose *d, enum probe_answer a, const struct rtr_addr *from,
		     unsigned mtu)
{
	if (a == PROBE_REPLY)
		d->good_size = d->size;
	else
		d->bad_size = d->size;
	sweep(d);
}

static void sweep(struct diagnose *d)
{
	if (d->bad_size - d->good_size <= 1) {
		black_hole(d);
		return;
	}
	d->size = d->good_size + (d->bad_size - d->good_size) / 2;
	diag_ping(d, BIG_TRIES, BIG_MS, 0, on_sweep);
}

static void start_sweep(struct diagnose *d)
{
	d->bad_size = d->size;
	/* An IPv6 path that does not carry even this is not asked for less: nobody may send it. */
	if (d->bad_size <= d->good_size) {
		diag_verdict(d, LAYER_MTU, "not even packets of %u bytes arrive at %s", d->size,
			     d->dst_text);
		return;
	}
	sweep(d);
}

/* A router said how much it takes; is that so? */
static void on_told(struct diagnose *d, enum probe_answer a, const struct rtr_addr *from,
		    unsigned mtu)
{
	if (a == PROBE_REPLY)
		diag_verdict(d, LAYER_NONE,
			     "packets of %u bytes arrive, and senders of larger ones are told so",
			     d->size);
	else if (a == PROBE_TOO_BIG && mtu >= least(d) && mtu < d->size) {
		d->size = mtu;
		diag_ping(d, BIG_TRIES, BIG_MS, 0, on_told);
	} else {
		start_sweep(d);
	}
}

static void on_big(struct diagnose *d, enum probe_answer a, const struct rtr_addr *from,
		   unsigned mtu)
{
	char text[RTR_ADDR_STRLEN];

	if (a == PROBE_REPLY) {
		diag_step(d, LAYER_MTU, DIAG_OK, "%u bytes arrive, and as many come back", d->size);
		diag_verdict(d, LAYER_NONE, "the path carries what %s does",
			     diag_link_name(d->hop_if));
		return;
	}
	if (a != PROBE_TOO_BIG || !from->family || mtu < least(d) || mtu >= d->size) {
		start_sweep(d);
		return;
	}
	diag_step(d, LAYER_MTU, DIAG_NOTE, "%s says: at most %u bytes", rtr_addr_str(from, text),
		  mtu);
	d->size = mtu;
	diag_ping(d, BIG_TRIES, BIG_MS, 0, on_told);
}

static void on_small(struct diagnose *d, enum probe_answer a, const struct rtr_addr *from,
		     unsigned mtu)
{
	const struct shadow_link *l = shadow_link_by_index(d->hop_if);

	if (a != PROBE_REPLY || !l) {
		diag_unanswered(d);
		return;
	}
	diag_step(d, LAYER_PATH, DIAG_OK, "%s answers %u bytes", d->dst_text, d->size);
	d->good_size = d->size;
	d->size = MIN(l->mtu, 65535u);
	d->df = true;
	diag_ping(d, BIG_TRIES, BIG_MS, 0, on_big);
}

void diag_mtu(struct diagnose *d)
{
	if (diag_look_own(d, &d->dst) || diag_look_route(d))
		return;
	d->size = least(d);
	diag_ping(d, SMALL_TRIES, SMALL_MS, 0, on_small);
}
