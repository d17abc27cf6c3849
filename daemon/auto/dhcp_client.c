/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "auto/dhcp_client.h"

#include <string.h>

/* RFC 2131 section 4.1: 4, 8, 16, 32, 64 s, each give or take a second. */
#define RETRY_FIRST_SEC 4
#define RETRY_MAX_SEC   64
/* Of a request that nobody answers, before looking for a server anew. */
#define REQUEST_TRIES 4
#define REBOOT_TRIES  2
/* Section 4.4.5: no renewal more often than this. */
#define RENEW_MIN_SEC 60
/* What a server that does not say means. */
#define LEASE_DEFAULT_SEC 3600
#define LEASE_MIN_SEC     10
#define LEASE_FOREVER     UINT32_MAX

static bool is_zero(const uint8_t a[4])
{
	return !a[0] && !a[1] && !a[2] && !a[3];
}

static void enter(struct dhcp_client *c, enum dhcp_state s, uint64_t now)
{
	c->state = s;
	c->tries = 0;
	c->next_ns = now;
	if (s == DHCP_S_SELECTING || s == DHCP_S_REBOOT || s == DHCP_S_RENEWING) {
		c->xid = c->rnd(UINT32_MAX);
		c->started_ns = now;
	}
	if (s == DHCP_S_SELECTING)
		memset(c->server, 0, sizeof(c->server));
}

void dhcp_begin(struct dhcp_client *c, const uint8_t mac[6], const struct autod_dhcp *d,
		uint64_t now, uint32_t (*rnd)(uint32_t below))
{
	*c = (struct dhcp_client){ .rnd = rnd };
	memcpy(c->mac, mac, 6);
	memcpy(c->hostname, d->hostname, sizeof(c->hostname));
	c->hostname[sizeof(c->hostname) - 1] = '\0';
	memcpy(c->addr, d->addr, 4);
	if (!is_zero(c->addr))
		c->expire_ns = now + d->left_sec * NSEC_PER_SEC;
	enter(c, is_zero(c->addr) ? DHCP_S_SELECTING : DHCP_S_REBOOT, now);
}

static uint64_t retry_ns(struct dhcp_client *c)
{
	uint64_t sec = MIN((uint64_t)RETRY_FIRST_SEC << MIN(c->tries, 8u), (uint64_t)RETRY_MAX_SEC);

	return (sec - 1) * NSEC_PER_SEC + c->rnd(2000) * NSEC_PER_MSEC;
}

/* Renewing: half of what is left until the next step, but not more often than once a minute. */
static uint64_t renew_ns(uint64_t now, uint64_t until)
{
	uint64_t left = until > now ? until - now : 0;

	return MIN(MAX(left / 2, RENEW_MIN_SEC * NSEC_PER_SEC), MAX(left, NSEC_PER_SEC));
}

static void fill(const struct dhcp_client *c, uint64_t now, struct dhcp_out *o)
{
	uint64_t secs = (now - c->started_ns) / NSEC_PER_SEC;

	*o = (struct dhcp_out){ .type = DHCP_REQUEST,
				.xid = c->xid,
				.secs = (uint16_t)MIN(secs, (uint64_t)UINT16_MAX),
				.hostname = c->hostname };
	memcpy(o->mac, c->mac, 6);
	switch (c->state) {
	case DHCP_S_SELECTING:
		o->type = DHCP_DISCOVER;
		break;
	case DHCP_S_REQUESTING:
		memcpy(o->server, c->server, 4);
		/* fallthrough */
	case DHCP_S_REBOOT:
		memcpy(o->requested, c->addr, 4);
		break;
	case DHCP_S_RENEWING:
		memcpy(o->to, c->server, 4);
		memcpy(o->to_mac, c->server_mac, 6);
		/* fallthrough */
	default:
		memcpy(o->ciaddr, c->addr, 4);
		break;
	}
}

/* What time alone brings: the next step of a lease, or giving up on a server. */
static bool step(struct dhcp_client *c, uint64_t now)
{
	if (c->expire_ns && now >= c->expire_ns) {
		c->expire_ns = 0;
		memset(c->addr, 0, sizeof(c->addr));
		enter(c, DHCP_S_SELECTING, now);
		return true;
	}
	if (c->state == DHCP_S_BOUND && now >= c->t1_ns)
		enter(c, DHCP_S_RENEWING, now);
	if (c->state == DHCP_S_RENEWING && now >= c->t2_ns)
		enter(c, DHCP_S_REBINDING, now);
	if ((c->state == DHCP_S_REQUESTING && c->tries >= REQUEST_TRIES) ||
	    (c->state == DHCP_S_REBOOT && c->tries >= REBOOT_TRIES)) {
		/* The old address may be used until its time is over. */
		if (now >= c->next_ns)
			enter(c, DHCP_S_SELECTING, now);
	}
	return false;
}

static void bind_lease(struct dhcp_client *c, const struct dhcp_in *in, uint64_t now);

static enum dhcp_act probe(struct dhcp_client *c, uint64_t now)
{
	if (now < c->next_ns)
		return DHCP_WAIT;
	if (c->tries < DHCP_PROBES) {
		c->tries++;
		c->next_ns = now + DHCP_PROBE_MS * NSEC_PER_MSEC;
		return DHCP_PROBE;
	}
	bind_lease(c, &c->held, c->held_ns);
	return DHCP_BOUND;
}

enum dhcp_act dhcp_next(struct dhcp_client *c, uint64_t now, struct dhcp_out *ret)
{
	if (step(c, now))
		return DHCP_GONE;
	if (c->state == DHCP_S_PROBING)
		return probe(c, now);
	if (c->state == DHCP_S_BOUND || now < c->next_ns)
		return DHCP_WAIT;
	fill(c, now, ret);
	if (c->state == DHCP_S_RENEWING)
		c->next_ns = now + renew_ns(now, c->t2_ns);
	else if (c->state == DHCP_S_REBINDING)
		c->next_ns = now + renew_ns(now, c->expire_ns);
	else
		c->next_ns = now + retry_ns(c);
	c->tries++;
	return DHCP_SEND;
}

uint64_t dhcp_due(const struct dhcp_client *c)
{
	uint64_t due = c->state == DHCP_S_BOUND ? c->t1_ns : c->next_ns;

	if (c->state == DHCP_S_RENEWING)
		due = MIN(due, c->t2_ns);
	return c->expire_ns ? MIN(due, c->expire_ns) : due;
}

static void bind_lease(struct dhcp_client *c, const struct dhcp_in *in, uint64_t now)
{
	uint64_t lease = in->lease_sec ? MAX(in->lease_sec, (uint32_t)LEASE_MIN_SEC)
				       : LEASE_DEFAULT_SEC;
	/* Times that are out of order are not believed (section 4.4.5's defaults). */
	bool good = in->t1_sec && in->t1_sec < in->t2_sec && in->t2_sec < lease;

	memcpy(c->addr, in->yiaddr, 4);
	memcpy(c->server, in->server, 4);
	memcpy(c->server_mac, in->from_mac, 6);
	c->state = DHCP_S_BOUND;
	c->tries = 0;
	if (in->lease_sec == LEASE_FOREVER) {
		c->t1_ns = c->t2_ns = UINT64_MAX;
		c->expire_ns = 0;
		return;
	}
	c->t1_ns = now + (good ? in->t1_sec * NSEC_PER_SEC : lease * NSEC_PER_SEC / 2);
	c->t2_ns = now + (good ? in->t2_sec * NSEC_PER_SEC : lease * NSEC_PER_SEC / 8 * 7);
	c->expire_ns = now + lease * NSEC_PER_SEC;
}

static bool usable(const uint8_t a[4])
{
	return a[0] && a[0] < 224 && a[0] != 127;
}

int dhcp_answer(struct dhcp_client *c, const struct dhcp_in *in, uint64_t now)
{
	bool asking = c->state != DHCP_S_SELECTING && c->state != DHCP_S_BOUND &&
		      c->state != DHCP_S_PROBING;

	if (in->xid != c->xid || memcmp(in->mac, c->mac, 6))
		return 0;
	if (c->state == DHCP_S_SELECTING && in->type == DHCP_OFFER && usable(in->yiaddr) &&
	    !is_zero(in->server)) {
		/* The first one is taken, as most clients do. What is in use stays so meanwhile. */
		if (c->expire_ns && memcmp(c->addr, in->yiaddr, 4)) {
			c->expire_ns = 0;
			memcpy(c->addr, in->yiaddr, 4);
			memcpy(c->server, in->server, 4);
			enter(c, DHCP_S_REQUESTING, now);
			return AUTOD_LOST;
		}
		memcpy(c->addr, in->yiaddr, 4);
		memcpy(c->server, in->server, 4);
		enter(c, DHCP_S_REQUESTING, now);
		return 0;
	}
	if (!asking || (c->state == DHCP_S_REQUESTING && memcmp(in->server, c->server, 4)))
		return 0;
	if (in->type == DHCP_ACK && usable(in->yiaddr) && in->len && !is_zero(in->server)) {
		if (c->state == DHCP_S_REQUESTING && !c->expire_ns) {
			memcpy(c->addr, in->yiaddr, 4);
			c->held = *in;
			c->held_ns = now;
			enter(c, DHCP_S_PROBING, now);
			return 0;
		}
		bind_lease(c, in, now);
		return AUTOD_BOUND;
	}
	if (in->type == DHCP_NAK) {
		bool had = c->expire_ns || c->state != DHCP_S_REQUESTING;

		c->expire_ns = 0;
		memset(c->addr, 0, sizeof(c->addr));
		enter(c, DHCP_S_SELECTING, now);
		return had ? AUTOD_LOST : 0;
	}
	return 0;
}

bool dhcp_conflict(struct dhcp_client *c, uint64_t now, struct dhcp_out *ret)
{
	if (c->state != DHCP_S_PROBING)
		return false;
	*ret = (struct dhcp_out){ .type = DHCP_DECLINE, .xid = c->xid };
	memcpy(ret->mac, c->mac, 6);
	memcpy(ret->requested, c->addr, 4);
	memcpy(ret->server, c->server, 4);
	memset(c->addr, 0, sizeof(c->addr));
	enter(c, DHCP_S_SELECTING, now);
	c->next_ns = now + DHCP_DECLINE_SEC * NSEC_PER_SEC;
	return true;
}

bool dhcp_release(const struct dhcp_client *c, struct dhcp_out *ret)
{
	if (c->state != DHCP_S_BOUND && c->state != DHCP_S_RENEWING && c->state != DHCP_S_REBINDING)
		return false;
	*ret = (struct dhcp_out){ .type = DHCP_RELEASE, .xid = c->xid };
	memcpy(ret->mac, c->mac, 6);
	memcpy(ret->ciaddr, c->addr, 4);
	memcpy(ret->server, c->server, 4);
	memcpy(ret->to, c->server, 4);
	memcpy(ret->to_mac, c->server_mac, 6);
	return true;
}
