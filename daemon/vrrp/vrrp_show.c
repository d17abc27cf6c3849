/* SPDX-License-Identifier: GPL-2.0-or-later */
/* show vrrp, monitor vrrp. */
#include "cli/command.h"
#include "domain.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "vrrp/vrrp.h"
#include "vrrp/vrrp_packet.h"

#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static json_int_t int_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static bool flag_of(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

/* Groups that the note names; a router with more of them on a link gets their number. */
#define NOTE_GROUPS 6

void vrrp_vmac_note(const char *ifname, char ret[VRRP_VMAC_NOTE_SIZE])
{
	const struct vrrp_wants *ws = vrrp_client_wants();
	char names[NOTE_GROUPS * sizeof("255, ")] = "", more[24] = "";
	bool seen[256] = { false };
	unsigned n = 0;

	*ret = '\0';
	for (size_t i = 0; i < ws->n; i++) {
		const struct vrrp_conf *g = &ws->v[i].conf;
		struct vrrp_status st;
		size_t len = strlen(names);

		/* Both families have one number, and a deaf one uses the physical MAC. */
		if (!*g->vmac || strcmp(g->ifname, ifname) != 0 || seen[g->vrid] ||
		    (vrrp_client_status(g, &st) && st.mac_test == VRRP_MAC_DEAF))
			continue;
		seen[g->vrid] = true;
		if (n++ < NOTE_GROUPS)
			snprintf(names + len, sizeof(names) - len, "%s%u", len ? ", " : "",
				 g->vrid);
	}
	if (!n)
		return;
	if (n > NOTE_GROUPS)
		snprintf(more, sizeof(more), " and %u more", n - NOTE_GROUPS);
	snprintf(ret, VRRP_VMAC_NOTE_SIZE, "VRRP %s%s: frames to %s go by the kernel", names, more,
		 n > 1 ? "their virtual MACs" : "its virtual MAC");
}

/* Values of the shared memory are a stranger's: an address of no family prints as none. */
static json_t *addr_json(const struct rtr_addr *a)
{
	char text[RTR_ADDR_STRLEN];

	if (a->family != AF_INET && a->family != AF_INET6)
		return json_null();
	return json_string(rtr_addr_str(a, text));
}

static json_t *drops_json(const uint64_t n_drop[VRRP_D__MAX])
{
	json_t *drops = json_object();
	static const char *const name[] = {
#define X(id, text, help) text,
		VRRP_DROPS(X)
#undef X
	};

	for (unsigned i = 1; i < VRRP_D__MAX; i++)
		json_object_set_new(drops, name[i], json_integer((json_int_t)n_drop[i]));
	return drops;
}

static json_t *counters_json(const struct vrrp_status *st)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:o}", "sent",
			 (json_int_t)st->n_sent, "sent_priority_zero", (json_int_t)st->n_sent_zero,
			 "received", (json_int_t)st->n_received, "received_priority_zero",
			 (json_int_t)st->n_received_zero, "announcements", (json_int_t)st->n_garp,
			 "refused", (json_int_t)st->n_refused, "transitions",
			 (json_int_t)st->n_transitions, "became_master",
			 (json_int_t)st->n_became_active, "checksum_changes",
			 (json_int_t)st->n_sum_changed, "max_gap_ms", (double)st->max_gap_ns / 1e6,
			 "drops", drops_json(st->n_drop));
}

static const char *mac_mode(const struct vrrp_want *w, const struct vrrp_status *st)
{
	if (!w->conf.vmac[0])
		return w->virtual_mac ? "physical (no macvlan here)" : "physical";
	return st->mac_test == VRRP_MAC_DEAF ? "physical (virtual not received)" : "virtual";
}

static const char *mac_test(const struct vrrp_want *w, const struct vrrp_status *st)
{
	if (!w->conf.vmac[0])
		return "none";
	return st->mac_test == VRRP_MAC_OK     ? "received"
	       : st->mac_test == VRRP_MAC_DEAF ? "not received"
					       : "untested";
}

static void mac_text(const struct vrrp_want *w, const struct vrrp_status *st, char buf[20])
{
	const struct shadow_link *l = iface_link(w->iface_name);
	uint8_t mac[6] = { 0 };

	if (w->conf.vmac[0] && st->mac_test != VRRP_MAC_DEAF)
		vrrp_virtual_mac(w->conf.family, w->conf.vrid, mac);
	else if (l)
		memcpy(mac, l->mac, sizeof(mac));
	snprintf(buf, 20, "%02x%02x.%02x%02x.%02x%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		 mac[5]);
}

static json_t *hold_json(unsigned hold)
{
	return hold == VRRP_HOLD_ROUTES ? json_string("routes")
	       : hold == VRRP_HOLD_TIME ? json_string("time")
					: json_null();
}

static json_t *group_json(const struct vrrp_want *w, const struct vrrp_status *st, bool known)
{
	const struct vrrp_conf *c = &w->conf;
	json_t *addrs = json_array(), *peers = json_array(), *tracks = json_array(), *o;
	char mac[20];

	for (unsigned i = 0; i < c->n_addrs; i++)
		json_array_append_new(addrs, addr_json(&c->addrs[i]));
	for (unsigned i = 0; i < c->n_peers; i++)
		json_array_append_new(peers, addr_json(&c->peers[i]));
	for (unsigned i = 0; i < w->n_tracks; i++)
		json_array_append_new(tracks, json_pack("{s:i,s:i,s:b}", "object", w->track[i].id,
							"decrement", w->track[i].decrement,
							"shutdown", w->track[i].fault));
	mac_text(w, st, mac);
	o = json_pack("{s:s,s:i,s:s,s:i,s:s,s:s,s:o,s:o,s:o}", "interface", w->iface_name, "group",
		      c->vrid, "family", c->family == AF_INET6 ? "ipv6" : "ipv4", "version",
		      c->version, "state", known ? vrrp_state_text(st->state) : "INIT", "mac", mac,
		      "addresses", addrs, "peers", peers, "tracks", tracks);
	json_object_set_new(
		o, "reason",
		json_string(!known ? "rtr-vrrpd is not running" : vrrp_reason_text(st->reason)));
	json_object_set_new(o, "description",
			    w->description ? json_string(w->description) : json_null());
	json_object_set_new(o, "sync_group",
			    w->sync_name ? json_string(w->sync_name) : json_null());
	json_object_set_new(o, "priority", json_integer(known ? st->prio : c->prio));
	json_object_set_new(o, "configured_priority", json_integer(c->prio));
	json_object_set_new(o, "owner", json_boolean(c->flags & VRRP_F_OWNER));
	json_object_set_new(o, "preempt", json_boolean(c->flags & VRRP_F_PREEMPT));
	json_object_set_new(o, "preempt_delay_sec", json_integer(c->preempt_delay_sec));
	json_object_set_new(o, "accept_mode", json_boolean(!w->no_accept));
	json_object_set_new(o, "shutdown", json_boolean(c->flags & VRRP_F_SHUTDOWN));
	json_object_set_new(o, "holding", json_boolean(st->holding));
	json_object_set_new(o, "holding_for", hold_json(st->holding));
	json_object_set_new(o, "fault", json_boolean(st->fault));
	json_object_set_new(o, "advertisement_ms", json_integer(c->adver_ms));
	json_object_set_new(o, "local", addr_json(&st->local));
	json_object_set_new(o, "master", addr_json(&st->active));
	json_object_set_new(o, "master_priority", json_integer(st->active_prio));
	json_object_set_new(o, "master_advertisement_ms", json_integer(st->active_adver_ms));
	json_object_set_new(o, "master_down_ms",
			    json_integer(st->state == VRRP_S_BACKUP ? st->down_ms : 0));
	json_object_set_new(
		o, "in_state_sec",
		json_integer(known && st->since_ns
				     ? (json_int_t)((rtr_now_ns() - st->since_ns) / NSEC_PER_SEC)
				     : 0));
	json_object_set_new(o, "mac_mode", json_string(mac_mode(w, st)));
	json_object_set_new(o, "macvlan", c->vmac[0] ? json_string(c->vmac) : json_null());
	json_object_set_new(o, "mac_test", json_string(mac_test(w, st)));
	json_object_set_new(
		o, "checksum",
		json_string(c->family == AF_INET6 || (c->version == 3 && st->sum == VRRP_SUM_PSEUDO)
				    ? "with pseudo header"
				    : "without pseudo header"));
	json_object_set_new(o, "counters", counters_json(st));
	return o;
}

static json_t *show_groups(struct cmd_ctx *c)
{
	const struct vrrp_wants *ws = vrrp_client_wants();
	json_t *out = json_array();

	for (size_t i = 0; i < ws->n; i++) {
		struct vrrp_status st = { 0 };
		bool known = vrrp_client_status(&ws->v[i].conf, &st);

		json_array_append_new(out, group_json(&ws->v[i], &st, known));
	}
	return out;
}

/* ---- text ---- */

static const char *family_text(const json_t *o)
{
	return strcmp(text_of(o, "family"), "ipv6") ? "IPv4" : "IPv6";
}

static bool is_local(const json_t *o)
{
	const char *m = text_of(o, "master");

	return *m && !strcmp(m, text_of(o, "local"));
}

static const char *first_addr(const json_t *o)
{
	const char *a = json_string_value(json_array_get(json_object_get(o, "addresses"), 0));

	return a ? a : "";
}

static void print_brief(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o;
	size_t i;

	cmd_printf(c, "%-18s %3s  A-F Pri  Time Own Pre State   Master addr/Group addr\n",
		   "Interface", "Grp");
	json_array_foreach(doc, i, o) {
		const char *m = text_of(o, "master");

		cmd_printf(c, "%-18s %3d %s %3d %5d  %c   %c  %-7s %s%s/%s\n",
			   text_of(o, "interface"), (int)int_of(o, "group"), family_text(o),
			   (int)int_of(o, "priority"), (int)int_of(o, "master_down_ms"),
			   flag_of(o, "owner") ? 'Y' : 'N', flag_of(o, "preempt") ? 'Y' : 'N',
			   text_of(o, "state"), *m ? m : "unknown", is_local(o) ? "(local)" : "",
			   first_addr(o));
	}
}

static void print_timing(struct cmd_ctx *c, const json_t *o)
{
	const char *m = text_of(o, "master");
	int sec = (int)int_of(o, "in_state_sec");

	cmd_printf(c, "  State is %s%s%s%s (%s)\n", text_of(o, "state"),
		   flag_of(o, "holding") ? ", held back after the start" : "",
		   !strcmp(text_of(o, "holding_for"), "routes") ? ", until routes are there" : "",
		   flag_of(o, "shutdown") ? ", shutdown" : "", text_of(o, "reason"));
	cmd_printf(c, "  State duration %d mins %d secs\n", sec / 60, sec % 60);
	cmd_printf(c, "  Virtual IP address is %s\n", first_addr(o));
	for (size_t i = 1; i < json_array_size(json_object_get(o, "addresses")); i++)
		cmd_printf(c, "    Secondary virtual IP address is %s\n",
			   json_string_value(json_array_get(json_object_get(o, "addresses"), i)));
	cmd_printf(c, "  Virtual MAC address is %s, %s\n", text_of(o, "mac"),
		   text_of(o, "mac_mode"));
	cmd_printf(c, "  Advertisement interval is %d msec\n", (int)int_of(o, "advertisement_ms"));
	cmd_printf(c, "  Preemption %s", flag_of(o, "preempt") ? "enabled" : "disabled");
	if (int_of(o, "preempt_delay_sec"))
		cmd_printf(c, ", delay min %d secs", (int)int_of(o, "preempt_delay_sec"));
	cmd_printf(c, "\n  Priority is %d", (int)int_of(o, "priority"));
	if (int_of(o, "priority") != int_of(o, "configured_priority"))
		cmd_printf(c, " (configured %d)", (int)int_of(o, "configured_priority"));
	cmd_printf(c, "\n  Master Router is %s%s, priority is %d\n", *m ? m : "unknown",
		   is_local(o) ? " (local)" : "", (int)int_of(o, "master_priority"));
	cmd_printf(c, "  Master Advertisement interval is %d msec\n",
		   (int)int_of(o, "master_advertisement_ms"));
	if (int_of(o, "master_down_ms"))
		cmd_printf(c, "  Master Down interval is %d msec\n",
			   (int)int_of(o, "master_down_ms"));
	else
		cmd_puts(c, "  Master Down interval is unknown\n");
}

static void print_group(struct cmd_ctx *c, const json_t *o)
{
	json_t *t;
	size_t i;

	cmd_printf(c, "%s - Group %d - Address-Family %s\n", text_of(o, "interface"),
		   (int)int_of(o, "group"), family_text(o));
	if (*text_of(o, "description"))
		cmd_printf(c, "  Description is \"%s\"\n", text_of(o, "description"));
	print_timing(c, o);
	if (*text_of(o, "sync_group"))
		cmd_printf(c, "  Sync group %s\n", text_of(o, "sync_group"));
	json_array_foreach(json_object_get(o, "tracks"), i, t) {
		if (flag_of(t, "shutdown"))
			cmd_printf(c, "  Track object %d, shutdown\n", (int)int_of(t, "object"));
		else
			cmd_printf(c, "  Track object %d, decrement %d\n", (int)int_of(t, "object"),
				   (int)int_of(t, "decrement"));
	}
}

static void print_groups(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o;
	size_t i;

	if (!json_array_size(doc))
		cmd_puts(c, "No VRRP group is configured\n");
	json_array_foreach(doc, i, o) {
		if (i)
			cmd_puts(c, "\n");
		print_group(c, o);
	}
}

static void print_counters(struct cmd_ctx *c, const json_t *o)
{
	const json_t *n = json_object_get(o, "counters");
	const char *key;
	json_t *v;

	cmd_printf(c, "  Adverts: sent %lld (priority 0: %lld), received %lld (priority 0: %lld)\n",
		   (long long)int_of(n, "sent"), (long long)int_of(n, "sent_priority_zero"),
		   (long long)int_of(n, "received"),
		   (long long)int_of(n, "received_priority_zero"));
	cmd_printf(
		c,
		"  Transitions %lld, times master %lld, addresses announced %lld, longest gap of "
		"adverts %.1f msec\n",
		(long long)int_of(n, "transitions"), (long long)int_of(n, "became_master"),
		(long long)int_of(n, "announcements"),
		json_number_value(json_object_get(n, "max_gap_ms")));
	cmd_printf(c, "  Frames that the kernel refused to send %lld\n",
		   (long long)int_of(n, "refused"));
	cmd_puts(c, "  Dropped:");
	json_object_foreach(json_object_get(n, "drops"), key, v)
		cmd_printf(c, " %s %lld", key, (long long)json_integer_value(v));
	cmd_puts(c, "\n");
}

static void print_detail(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o, *p;
	size_t i, k;

	json_array_foreach(doc, i, o) {
		if (i)
			cmd_puts(c, "\n");
		print_group(c, o);
		cmd_printf(c, "  VRRP version %d, checksum %s\n", (int)int_of(o, "version"),
			   text_of(o, "checksum"));
		cmd_printf(c, "  Packets to the virtual addresses are %s\n",
			   flag_of(o, "accept_mode") ? "accepted" : "dropped");
		cmd_printf(c, "  Self-test of the virtual MAC: %s\n", text_of(o, "mac_test"));
		json_array_foreach(json_object_get(o, "peers"), k, p)
			cmd_printf(c, "  Unicast peer %s\n", json_string_value(p));
		print_counters(c, o);
	}
}

static void print_statistics(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o;
	size_t i;

	json_array_foreach(doc, i, o) {
		cmd_printf(c, "%s - Group %d - %s\n", text_of(o, "interface"),
			   (int)int_of(o, "group"), family_text(o));
		print_counters(c, o);
	}
}

/* ---- the process, the past ---- */

static json_t *show_process(struct cmd_ctx *c)
{
	const struct vrrp_shm *s = vrrp_client_shm();
	uint64_t now = rtr_now_ns();
	int leaving = 0;

	if (!s)
		return json_pack("{s:b}", "running", false);
	for (uint32_t i = 0; i < MIN(s->n_slots, (uint32_t)VRRP_MAX_GROUPS); i++)
		leaving += s->slot[i].used && s->slot[i].st.state == VRRP_S_LEAVING;
	return json_pack("{s:b,s:i,s:i,s:f,s:I,s:f,s:I,s:o,s:i}", "running", true, "starts",
			 (int)s->n_starts, "withdrawn", (int)s->n_withdrawn, "beat_ms",
			 (double)(now - MIN(s->beat_ns, now)) / 1e6, "stalls",
			 (json_int_t)s->n_stalls, "max_stall_ms", (double)s->max_stall_ns / 1e6,
			 "unknown_drops", (json_int_t)s->n_unknown_drops, "unknown_drops_by_reason",
			 drops_json(s->n_drop), "leaving", leaving);
}

static void print_process(struct cmd_ctx *c, const json_t *o)
{
	if (!flag_of(o, "running")) {
		cmd_puts(c, "rtr-vrrpd is not running\n");
		return;
	}
	cmd_printf(c, "rtr-vrrpd was started %d times, its addresses withdrawn %d times\n",
		   (int)int_of(o, "starts"), (int)int_of(o, "withdrawn"));
	cmd_printf(c, "  Timers late by more than 20 msec: %lld, longest %.1f msec\n",
		   (long long)int_of(o, "stalls"),
		   json_number_value(json_object_get(o, "max_stall_ms")));
	cmd_printf(c, "  Adverts for no group of ours: %lld\n",
		   (long long)int_of(o, "unknown_drops"));
	cmd_printf(c, "  Groups that wait for another router to take over: %d\n",
		   (int)int_of(o, "leaving"));
}

static json_t *show_history(struct cmd_ctx *c)
{
	return vrrp_history();
}

static void print_event(struct cmd_ctx *c, const json_t *o)
{
	double at = json_number_value(json_object_get(o, "time"));
	time_t t = (time_t)at;
	char when[32];
	struct tm tm;

	localtime_r(&t, &tm);
	strftime(when, sizeof(when), "%b %e %H:%M:%S", &tm);
	cmd_printf(c, "%s.%03d %s %s Grp %d ", when, (int)((at - (double)t) * 1000),
		   text_of(o, "interface"), family_text(o), (int)int_of(o, "group"));
	if (strcmp(text_of(o, "from"), text_of(o, "to")) != 0)
		cmd_printf(c, "%s -> ", text_of(o, "from"));
	cmd_printf(c, "%s (%s)\n", text_of(o, "to"), text_of(o, "reason"));
}

static void print_history(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o;
	size_t i;

	json_array_foreach(doc, i, o)
		print_event(c, o);
}

/* ---- the present ---- */

struct monitoring {
	struct vrrp_listener listener; /* first: its callback finds us by it */
	struct cmd_ctx *c;
	unsigned long left_out;
};

static void tell_left_out(struct monitoring *m)
{
	if (!m->left_out)
		return;
	if (cmd_json(m->c))
		cmd_printf(m->c, "{\"left_out\":%lu}\n", m->left_out);
	else
		cmd_printf(m->c, "%lu changes were left out: the terminal is slower\n",
			   m->left_out);
	m->left_out = 0;
}

static void tell_event(struct cmd_ctx *c, const char *event, json_t *o)
{
	char *text;

	if (cmd_json(c)) {
		json_object_set_new(o, "event", json_string(event));
		text = json_dumps(o, JSON_COMPACT);
		cmd_printf(c, "%s\n", text);
		free(text);
	} else {
		print_event(c, o);
	}
	json_decref(o);
}

static void on_change(struct vrrp_listener *l, const struct vrrp_msg *state)
{
	struct monitoring *m = (struct monitoring *)l;

	if (cmd_congested(m->c)) {
		m->left_out++;
		return;
	}
	tell_left_out(m);
	tell_event(m->c, "change", vrrp_event_json(state));
}

/* What is so before the first change: whoever watches has missed nothing. */
static void tell_present(struct cmd_ctx *c)
{
	const struct vrrp_wants *ws = vrrp_client_wants();

	for (size_t i = 0; i < ws->n; i++) {
		const struct vrrp_conf *conf = &ws->v[i].conf;
		struct vrrp_msg m = { 0 };
		struct vrrp_status st;

		if (!vrrp_client_status(conf, &st))
			continue;
		memcpy(m.u.state.name.ifname, conf->ifname, sizeof(conf->ifname));
		m.u.state.name.family = conf->family;
		m.u.state.name.vrid = conf->vrid;
		m.u.state.from = m.u.state.to = st.state;
		m.u.state.reason = st.reason;
		m.u.state.prio = st.prio;
		m.u.state.at_sec = st.since_sec;
		tell_event(c, "now", vrrp_event_json(&m));
	}
}

static void monitor_drained(struct cmd_ctx *c)
{
	if (!cmd_congested(c))
		tell_left_out(cmd_data(c));
}

static void monitor(struct cmd_ctx *c)
{
	struct monitoring *m = xcalloc(1, sizeof(*m));

	m->c = c;
	m->listener.fn = on_change;
	cmd_set_data(c, m);
	cmd_pend(c);
	tell_present(c);
	vrrp_listen(&m->listener);
}

static void stop_monitor(struct cmd_ctx *c)
{
	struct monitoring *m = cmd_data(c);

	vrrp_unlisten(&m->listener);
	tell_left_out(m);
	free(m);
	cmd_done(c);
}

/* ---- commands ---- */

static void clear_statistics(struct cmd_ctx *c)
{
	if (!vrrp_client_send(VRRP_M_CLEAR))
		cmd_fail(c, "rtr-vrrpd is not running");
}

static void no_hsrp(struct cmd_ctx *c)
{
	cmd_fail(c, "HSRP is not supported: use vrrp, as in `vrrp 1 ip 10.0.0.254`");
}

static const struct cmd cmds[] = {
	{ "show vrrp", "Virtual routers", .data = show_groups, .text = print_groups },
	{ "show vrrp brief", "Virtual routers, a line each", .data = show_groups,
	  .text = print_brief },
	{ "show vrrp detail", "Virtual routers with checksums, self-test and counters",
	  .data = show_groups, .text = print_detail },
	{ "show vrrp statistics", "Counters of adverts, and why some were dropped",
	  .data = show_groups, .text = print_statistics },
	{ "show vrrp process", "The process that speaks VRRP", .data = show_process,
	  .text = print_process },
	{ "show vrrp history", "The last changes of state", .data = show_history,
	  .text = print_history },
	{ "clear vrrp statistics", "Set the counters to 0", .run = clear_statistics,
	  .admin = true },
	{ "monitor vrrp", "The states of the groups, then each change as it comes; ^C ends",
	  .run = monitor, .interrupt = stop_monitor, .drained = monitor_drained },
	{ "standby <line:LINE>", "HSRP: not supported, use vrrp", .run = no_hsrp,
	  .where = CMD_CONFIG },
};

static const struct sch_word words[] = {
	{ "brief", "A line each" },
	{ "clear vrrp", "Counters of VRRP" },
	{ "monitor", "Watch something until ^C" },
	{ "monitor vrrp", "Virtual routers" },
	{ "show vrrp", "Virtual routers" },
	{ "standby", "HSRP: not supported, use vrrp" },
};

static const struct domain vrrp_show_domain = {
	.name = "vrrp-show",
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(vrrp_show_domain);
