/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How packets are spread over the queues: the hash key, and both directions of a flow in one. */
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "nic/nic.h"
#include "nic/nic_plan.h"
#include "schema/types.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define KEY_MAX sizeof(((struct nic_rss *)0)->key)
/* "6d:5a:...:5a" */
#define KEY_TEXT (3 * KEY_MAX + 1)

/* A key that repeats every two bytes gives both directions of a flow one hash. These two: Woo and
 * Park, "Scalable TCP Session Monitoring with Symmetric Receive-side Scaling", 2012. */
static const uint8_t symmetric[2] = { 0x6d, 0x5a };

static bool key_read(const char *s, uint8_t ret[KEY_MAX], size_t *ret_n)
{
	size_t n = 0;

	for (;; s += 3) {
		char two[3] = { s[0], s[0] ? s[1] : '\0' };

		if (n == KEY_MAX || !isxdigit((unsigned char)two[0]) ||
		    !isxdigit((unsigned char)two[1]))
			return false;
		ret[n++] = (uint8_t)strtoul(two, NULL, 16);
		if (s[2] != ':')
			break;
	}
	*ret_n = n;
	return !s[2];
}

static char *key_text(const uint8_t *key, size_t n, char ret[KEY_TEXT])
{
	*ret = '\0';
	for (size_t i = 0; i < n; i++)
		snprintf(ret + 3 * i - (i > 0), 4, i ? ":%02x" : "%02x", key[i]);
	return ret;
}

/* ---- the type RSSKEY: a word ---- */

static int key_parse(const struct val_spec *s, const char *const *tok, size_t n, void *dst,
		     struct strbuf *err)
{
	static const char full[] = "symmetric";
	uint8_t key[KEY_MAX];
	char text[KEY_TEXT];
	size_t size;

	if (*tok[0] && !strncasecmp(tok[0], full, strlen(tok[0]))) {
		if (dst)
			*(char **)dst = xstrdup(full);
		return 1;
	}
	if (!key_read(tok[0], key, &size)) {
		strbuf_addf(err,
			    "\"%.40s\" is neither symmetric nor a key such as 6d:5a:... of the "
			    "NIC's length",
			    tok[0]);
		return -1;
	}
	if (dst)
		*(char **)dst = xstrdup(key_text(key, size, text));
	return 1;
}

static const struct val_type key_type = { .name = "RSSKEY",
					  .what = "a key of RSS",
					  .hint = "symmetric or HH:HH:...",
					  .size = sizeof(char *),
					  .is_text = true,
					  .parse = key_parse,
					  .print = val_text_print,
					  .cmp = val_text_cmp };
VAL_TYPE(key_type);

/* ---- plan, check ---- */

bool nic_rss_symmetric(const struct nic_rss *r)
{
	bool same = r->key_size > 2;

	for (size_t i = 2; i < r->key_size; i++)
		same &= r->key[i] == r->key[i - 2];
	return same || r->xfrm & NIC_XFRM_SYM_XOR;
}

/* The key that the line means on this NIC; false: none of its length. */
static bool wanted_key(const struct iface *i, const struct nic_rss *now, char ret[KEY_TEXT])
{
	uint8_t key[KEY_MAX];
	size_t n = 0;

	if (strcmp(i->rss_key, "symmetric")) {
		rtr_strlcpy(ret, i->rss_key, KEY_TEXT);
		return key_read(i->rss_key, key, &n) && n == now->key_size;
	}
	for (; n < now->key_size; n++)
		key[n] = symmetric[n % 2];
	key_text(key, n, ret);
	return n > 2;
}

void nic_plan_rss(struct plan *p, const struct iface *i, const struct shadow_link *l)
{
	bool key = i && i->rss_key, xor = i && i->rss_xor;
	struct nic_rss_change c = { .key_size = 0 };
	char want[KEY_TEXT], now[KEY_TEXT];
	static struct nic_rss rss;
	const char *goal;
	size_t n;

	if ((!key && !xor&&!nic_has_memory(l, "rss-key") && !nic_has_memory(l, "rss-xfrm")) ||
	    nic_rss(l->ifindex, &rss) || (key && !wanted_key(i, &rss, want)))
		return;
	rtr_strlcpy(c.ifname, l->name, sizeof(c.ifname));
	c.xfrm = rss.xfrm;
	snprintf(now, sizeof(now), "%u", rss.xfrm);
	goal = nic_goal(p, l, "rss-xfrm", xor? "1" : NULL, now);
	if (goal) {
		c.xfrm = (uint8_t)atoi(goal);
		plan_call(p, nic_set_rss, &c, sizeof(c), i ? &i->rec : NULL,
			  "%s symmetric-xor of %s", c.xfrm ? "set" : "clear", l->name);
	}
	goal = nic_goal(p, l, "rss-key", key ? want : NULL, key_text(rss.key, rss.key_size, now));
	if (goal && key_read(goal, c.key, &n)) {
		c.key_size = (uint32_t)n;
		plan_call(p, nic_set_rss, &c, sizeof(c), i ? &i->rec : NULL,
			  "set the hash key of %s", l->name);
	}
}

void nic_check_rss(struct check *c, const struct iface *i, const struct iface *old,
		   const struct shadow_link *l)
{
	nic_say say = nic_say_of(c, !old || old->rss_xor != i->rss_xor ||
					    !old->rss_key != !i->rss_key ||
					    (i->rss_key && strcmp(old->rss_key, i->rss_key)));
	static struct nic_rss rss;
	char key[KEY_TEXT];

	if (!l || (!i->rss_key && !i->rss_xor))
		return;
	if (nic_rss(l->ifindex, &rss) || !rss.key_size)
		say(c, &i->rec,
		    "%s has no hash key: it spreads packets by nothing, or not "
		    "by RSS",
		    i->name);
	else if (i->rss_key && !wanted_key(i, &rss, key))
		say(c, &i->rec, "the hash key of %s has %zu bytes", i->name, rss.key_size);
}
