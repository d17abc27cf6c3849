/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any segments in any order: the state stays a state, INVALID changes nothing that is enforced,
 * and what the express test lets pass the tracker accepts.
 *
 *	input: conf byte, then records { direction and seconds, header length, header bytes }
 */
#include "../../fastpath/tcp_track.h"
#include "util.h"

#include <string.h>

#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void express(const struct tcp_track *t, unsigned dir, const struct tcp_seg *s)
{
	struct tcp_track copy = *t;
	struct tcp_express e[2];
	enum tcp_track_reason why;

	if (!tcp_track_to_express(t, e) || (s->flags & 0x37) != 0x10 || s->sack != s->ack ||
	    !tcp_express_ok(&e[dir], &e[!dir], s->seq, s->end, s->ack, s->win))
		return;
	CHECK(tcp_track_packet(&copy, &tcp_track_defaults, dir, s, 0, &why) == TCPT_ACCEPT);
	tcp_express_advance(&e[dir], s->end, s->ack, s->win);
	copy = *t;
	tcp_track_from_express(&copy, e);
	CHECK(copy.state == t->state);
}

static void step(struct tcp_track *t, bool *known, const struct tcp_track_conf *conf, unsigned dir,
		 const struct tcp_seg *s, uint32_t now)
{
	struct tcp_track was = *t;
	enum tcp_track_reason why = TCPT_R__MAX;
	enum tcp_track_verdict v;

	if (*known && !conf->liberal)
		express(t, dir, s);
	v = *known ? tcp_track_packet(t, conf, dir, s, now, &why)
		   : tcp_track_new(t, conf, s, now, &why);
	CHECK(why < TCPT_R__MAX && t->state < TCPT_S__MAX);
	CHECK(t->seen[0].scale <= 14 && t->seen[1].scale <= 14);
	if (v == TCPT_INVALID || v == TCPT_IGNORE || v == TCPT_REOPEN)
		CHECK(t->state == was.state && t->assured == was.assured);
	if (v == TCPT_ACCEPT)
		*known = true;
	if (v == TCPT_END || v == TCPT_REOPEN)
		*known = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tcp_track_conf conf = tcp_track_defaults;
	struct tcp_track t = { .state = 0 };
	bool known = false;
	uint32_t now = 1;

	if (!size)
		return 0;
	conf.loose = data[0] & 1;
	conf.liberal = data[0] & 2;
	conf.ignore_invalid_rst = data[0] & 4;
	for (size_t at = 1; at + 2 <= size;) {
		unsigned dir = data[at] & 1, len = MIN(data[at + 1], size - at - 2);
		uint8_t *h = xmalloc(len ? len : 1);
		struct tcp_seg s;

		now += data[at] >> 1;
		memcpy(h, data + at + 2, len);
		if (tcp_seg_parse(&s, h, len, len + (data[at] & 64)) == TCPT_R_NONE)
			step(&t, &known, &conf, dir, &s, now);
		free(h);
		at += 2 + len;
	}
	return 0;
}
