/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * show ha readiness, ha switchover: the pair of routers as a whole. Ready means that this router
 * does its part: as master it has the addresses and speaks, as backup it hears the master, agrees
 * with it about the group, and can take over. Whether somebody would take over from a master no
 * router can know: backups are silent in VRRP. What is known of one is when it was heard last.
 */
#include "cli/command.h"
#include "domain.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "track/track.h"
#include "vrrp/vrrp.h"
#include "vrrp/vrrp_packet.h"

#include <string.h>

/* What a peer said wrong counts until it has said it right for so long: three of the longest usual
 * adverts. */
#define WRONG_NS (3 * NSEC_PER_SEC)
/* A process that is late by this has no core, or hangs. */
#define SILENT_NS (1 * NSEC_PER_SEC)

struct look {
	const struct vrrp_want *w;
	const struct vrrp_status *st;
	uint64_t now;
	json_t *faults, *notes;
};

static void say(json_t *to, const char *fmt, ...) RTR_PRINTF(2, 3);
static void say(json_t *to, const char *fmt, ...)
{
	char text[192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(to, json_string(text));
}

/* ---- what a group stands on ---- */

static bool has_local(const struct shadow_link *l, uint8_t family)
{
	for (size_t i = 0; i < l->n_addrs; i++) {
		if (l->addrs[i].addr.addr.family == family && l->addrs[i].ours)
			return true;
	}
	return false;
}

static void look_interface(const struct look *k)
{
	const struct shadow_link *l = shadow_link_by_name(k->w->conf.ifname);

	if (!l)
		say(k->faults, "%s does not exist", k->w->iface_name);
	else if (!shadow_link_is_up(l))
		say(k->faults, "%s is down", k->w->iface_name);
	else if (k->st->local.family != k->w->conf.family)
		say(k->faults, "%s has no address to speak from%s", k->w->iface_name,
		    has_local(l, k->w->conf.family) ? " yet" : "");
}

static void look_tracks(const struct look *k)
{
	for (unsigned i = 0; i < k->w->n_tracks; i++) {
		unsigned id = k->w->track[i].id;
		enum track_state s;

		if (!track_get(id, &s) || s == TRACK_UNKNOWN)
			say(k->notes, "track %u is not known yet", id);
		else if (s == TRACK_DOWN && k->w->track[i].fault)
			say(k->faults, "track %u is down", id);
		else if (s == TRACK_DOWN)
			say(k->notes, "track %u is down: priority lower by %u", id,
			    k->w->track[i].decrement);
	}
}

static void look_start(const struct look *k)
{
	if (k->w->conf.flags & VRRP_F_SHUTDOWN)
		say(k->faults, "shutdown");
	if (k->st->holding == VRRP_HOLD_TIME)
		say(k->faults, "held back after the start");
	else if (k->st->holding == VRRP_HOLD_ROUTES)
		say(k->faults, "waits for routes");
	/* Last: whatever else has been found says more. */
	if (k->st->state == VRRP_S_INIT && !json_array_size(k->faults))
		say(k->faults, "%s",
		    k->w->sync_name ? "another member of its sync group cannot run"
				    : vrrp_reason_text(k->st->reason));
}

/* ---- what is heard ---- */

static bool just_said(const struct look *k, enum vrrp_notice what)
{
	uint64_t at = k->st->said_ns[what];

	return at && k->now - MIN(at, k->now) < WRONG_NS + 3 * k->w->conf.adver_ms * NSEC_PER_MSEC;
}

static void look_form(const struct look *k)
{
	static const struct {
		enum vrrp_notice what;
		const char *text;
	} wrong[] = {
		{ VRRP_N_VERSION, "a peer speaks another version" },
		{ VRRP_N_INTERVAL, "a peer sends adverts in another interval" },
		{ VRRP_N_ADDRESSES, "a peer has other virtual addresses" },
		{ VRRP_N_SPLIT, "another master is heard" },
	};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		if (just_said(k, wrong[i].what))
			say(k->faults, "%s", wrong[i].text);
	}
	if (just_said(k, VRRP_N_SUM_MIX))
		say(k->notes, "the other routers disagree about the checksum");
}

/* ---- what the kernel has ---- */

static bool on_link(const struct shadow_link *l, const struct rtr_addr *a)
{
	for (size_t i = 0; l && i < l->n_addrs; i++) {
		if (!rtr_addr_cmp(&l->addrs[i].addr.addr, a))
			return true;
	}
	return false;
}

static void look_addresses(const struct look *k)
{
	const struct vrrp_conf *c = &k->w->conf;
	bool virtual = c->vmac[0] && k->st->mac_test != VRRP_MAC_DEAF;
	const struct shadow_link *l = shadow_link_by_name(virtual ? c->vmac : c->ifname);
	char text[RTR_ADDR_STRLEN];

	for (unsigned i = 0; k->st->state == VRRP_S_ACTIVE && i < c->n_addrs; i++) {
		if (!on_link(l, &c->addrs[i]))
			say(k->faults, "the kernel does not have %s",
			    rtr_addr_str(&c->addrs[i], text));
	}
	if (c->vmac[0] && k->st->mac_test == VRRP_MAC_DEAF)
		say(k->notes, "the virtual MAC is not received: the physical one is used");
	else if (c->vmac[0] && k->st->mac_test == VRRP_MAC_UNTESTED &&
		 k->st->state == VRRP_S_ACTIVE)
		say(k->notes, "whether the virtual MAC is received is not known yet");
	else if (!c->vmac[0] && k->w->virtual_mac)
		say(k->notes, "no macvlan here: the physical MAC is used");
}

/* ---- all of it ---- */

/* Why rtr-vrrpd cannot be relied on; NULL: it can. */
static const char *process_fault(uint64_t now)
{
	const struct vrrp_shm *s = vrrp_client_shm();
	uint64_t wake;

	if (!s)
		return "rtr-vrrpd is not running";
	wake = __atomic_load_n(&s->wake_ns, __ATOMIC_ACQUIRE);
	if (wake && now > wake + SILENT_NS)
		return "rtr-vrrpd gives no sign of life";
	return NULL;
}

static json_t *addr_json(const struct rtr_addr *a)
{
	char text[RTR_ADDR_STRLEN];

	if (a->family != AF_INET && a->family != AF_INET6)
		return json_null();
	return json_string(rtr_addr_str(a, text));
}

static json_t *age_json(uint64_t at, uint64_t now)
{
	return at && at <= now ? json_integer((json_int_t)((now - at) / NSEC_PER_MSEC))
			       : json_null();
}

/* Until the other one answers for the addresses, at most: of a backup its own time; the priority of
 * whoever takes over from a master is not known. */
static json_t *takeover_json(const struct vrrp_want *w, const struct vrrp_status *st)
{
	uint64_t ns = w->conf.adver_ms * NSEC_PER_MSEC;

	if (st->state == VRRP_S_BACKUP && st->down_ms)
		return json_integer(st->down_ms);
	if (st->state == VRRP_S_INIT)
		return json_null();
	return json_integer((json_int_t)(vrrp_down_ns(w->conf.version, 1, ns) / NSEC_PER_MSEC));
}

static json_t *group_json(const struct vrrp_want *w, const char *process, uint64_t now)
{
	struct vrrp_status st = { 0 };
	struct look k = { w, &st, now, json_array(), json_array() };
	bool known = vrrp_client_status(&w->conf, &st);
	uint64_t last = st.state == VRRP_S_ACTIVE ? st.sent_ns : st.heard_ns;

	if (process) {
		say(k.faults, "%s", process);
	} else if (!known) {
		say(k.faults, "rtr-vrrpd does not have it yet");
	} else {
		look_interface(&k);
		look_tracks(&k);
		look_form(&k);
		look_addresses(&k);
		look_start(&k);
		if (st.state == VRRP_S_ACTIVE && !st.peer.family)
			say(k.notes,
			    "no other router was heard since the start (backups are silent)");
	}
	return json_pack("{s:s,s:i,s:s,s:s,s:b,s:o,s:o,s:o,s:o,s:o,s:o}", "interface",
			 w->iface_name, "group", w->conf.vrid, "family",
			 w->conf.family == AF_INET6 ? "ipv6" : "ipv4", "state",
			 vrrp_state_text(st.state), "ready", !json_array_size(k.faults),
			 "takeover_ms", takeover_json(w, &st), "last_advert_ms",
			 st.state == VRRP_S_INIT ? json_null() : age_json(last, now), "peer",
			 addr_json(&st.peer), "peer_heard_ms", age_json(st.heard_ns, now),
			 "not_ready", k.faults, "notes", k.notes);
}

static json_t *readiness(struct cmd_ctx *c)
{
	const struct vrrp_wants *ws = vrrp_client_wants();
	uint64_t now = rtr_now_ns();
	const char *process = process_fault(now);
	json_t *groups = json_array();
	int n_ready = 0;

	for (size_t i = 0; i < ws->n; i++) {
		json_t *o = group_json(&ws->v[i], process, now);

		n_ready += json_is_true(json_object_get(o, "ready"));
		json_array_append_new(groups, o);
	}
	return json_pack("{s:b,s:i,s:i,s:b,s:o}", "ready", ws->n && (size_t)n_ready == ws->n,
			 "ready_groups", n_ready, "total_groups", (int)ws->n,
			 "connections_synchronised", false, "groups", groups);
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "-";
}

static const char *ms_text(const json_t *o, const char *key, char buf[24])
{
	const json_t *v = json_object_get(o, key);
	json_int_t ms = json_integer_value(v);

	if (!json_is_integer(v))
		return "-";
	if (ms < 10000)
		snprintf(buf, 24, "%lld ms", (long long)ms);
	else
		snprintf(buf, 24, "%lld s", (long long)ms / 1000);
	return buf;
}

static void print_lines(struct cmd_ctx *c, const json_t *o, const char *key, const char *head)
{
	json_t *line;
	size_t i;

	json_array_foreach(json_object_get(o, key), i, line)
		cmd_printf(c, "    %s: %s\n", head, json_string_value(line));
}

static void print_readiness(struct cmd_ctx *c, const json_t *doc)
{
	char a[24], b[24], d[24];
	json_t *o;
	size_t i;

	cmd_printf(c, "%-18s %3s  A-F State   Ready Takeover Advert   %-26s Heard\n", "Interface",
		   "Grp", "Peer");
	json_array_foreach(json_object_get(doc, "groups"), i, o) {
		cmd_printf(
			c, "%-18s %3d %s %-7s %-5s %-8s %-8s %-26s %s\n", text_of(o, "interface"),
			(int)json_integer_value(json_object_get(o, "group")),
			strcmp(text_of(o, "family"), "ipv6") ? "IPv4" : "IPv6", text_of(o, "state"),
			json_is_true(json_object_get(o, "ready")) ? "yes" : "NO",
			ms_text(o, "takeover_ms", a), ms_text(o, "last_advert_ms", b),
			text_of(o, "peer"), ms_text(o, "peer_heard_ms", d));
		print_lines(c, o, "not_ready", "not ready");
		print_lines(c, o, "notes", "note");
	}
	cmd_printf(c,
		   "%d of %d groups ready. Connections are not synchronised: those that are\n"
		   "translated here end with a takeover.\n",
		   (int)json_integer_value(json_object_get(doc, "ready_groups")),
		   (int)json_integer_value(json_object_get(doc, "total_groups")));
}

static unsigned n_active(const struct vrrp_wants *ws)
{
	unsigned n = 0;

	for (size_t i = 0; i < ws->n; i++) {
		struct vrrp_status st;

		n += vrrp_client_status(&ws->v[i].conf, &st) && st.state == VRRP_S_ACTIVE;
	}
	return n;
}

static void switchover(struct cmd_ctx *c)
{
	const struct vrrp_wants *ws = vrrp_client_wants();
	unsigned n = n_active(ws);

	if (!ws->n)
		cmd_fail(c, "no VRRP group is configured");
	else if (vrrp_client_shm() && !n)
		cmd_fail(c, "this router is master of no group");
	else if (!vrrp_client_send(VRRP_M_SWITCHOVER))
		cmd_fail(c, "rtr-vrrpd is not running");
	else
		cmd_printf(c, "Handing over %u group%s; \"show vrrp brief\" shows the outcome.\n",
			   n, n == 1 ? "" : "s");
}

static const struct cmd cmds[] = {
	{ "show ha readiness", "Whether this router does its part, or what is in the way",
	  .data = readiness, .text = print_readiness },
	{ "ha switchover", "Hand all groups to the other router, and do not take them back",
	  .run = switchover, .admin = true },
};

static const struct sch_word words[] = {
	{ "ha", "High availability" },
	{ "show ha", "High availability" },
};

static const struct domain ha_show_domain = {
	.name = "ha-show",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(ha_show_domain);
