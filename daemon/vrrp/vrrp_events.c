/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What rtr-vrrpd tells: log lines, the last changes of state, and who watches them. */
#include "iface/iface.h"
#include "system/log.h"
#include "vrrp/vrrp.h"

#include <string.h>

#define HISTORY 256

static struct vrrp_msg history[HISTORY];
static unsigned n_history;
static struct vrrp_listener *listeners;

/* ---- texts ---- */

const char *vrrp_state_text(unsigned state)
{
	static const char *const text[] = { "INIT", "BACKUP", "MASTER", "LEAVING" };

	return state < ARRAY_LEN(text) ? text[state] : "?";
}

const char *vrrp_reason_text(unsigned reason)
{
	static const char *const text[] = {
#define X(name, t) t,
		VRRP_REASONS(X)
#undef X
	};

	return reason < ARRAY_LEN(text) ? text[reason] : "?";
}

/* As IOS says it in the log: "Init", "Backup", "Master". */
static const char *state_word(unsigned state)
{
	static const char *const text[] = { "Init", "Backup", "Master", "Leaving" };

	return state < ARRAY_LEN(text) ? text[state] : "?";
}

/* ---- what rtr-vrrpd says; none of it is believed further than its type ---- */

void vrrp_event_state(const struct vrrp_msg *m)
{
	static struct log_limit lim;

	history[n_history++ % HISTORY] = *m;
	for (struct vrrp_listener *l = listeners, *next; l; l = next) {
		next = l->next; /* it may leave */
		l->fn(l, m);
	}
	log_event_limited(&lim, 100, "VRRP", LOG_L_INFO, "STATECHANGE",
			  "%s IPv%d Grp %u state %s -> %s (%s)",
			  iface_operator_name(m->u.state.name.ifname),
			  m->u.state.name.family == AF_INET6 ? 6 : 4, m->u.state.name.vrid,
			  state_word(m->u.state.from), state_word(m->u.state.to),
			  vrrp_reason_text(m->u.state.reason));
}

#define WHO "%s IPv%d Grp %u: "

void vrrp_event_notice(const struct vrrp_msg *m)
{
	static struct log_limit lim;
	const char *name = iface_operator_name(m->u.notice.name.ifname);
	int family = m->u.notice.name.family == AF_INET6 ? 6 : 4;
	unsigned vrid = m->u.notice.name.vrid;
	char peer[RTR_ADDR_STRLEN] = "";

	if (m->u.notice.peer.family == AF_INET || m->u.notice.peer.family == AF_INET6)
		rtr_addr_str(&m->u.notice.peer, peer);
	switch (m->u.notice.what) {
	case VRRP_N_SUM:
		log_event_limited(&lim, 20, "VRRP", LOG_L_NOTICE, "CHECKSUM",
				  WHO "%s sends checksums %s pseudo header; doing the same", name,
				  family, vrid, peer, m->u.notice.v ? "with the" : "without");
		break;
	case VRRP_N_SUM_MIX:
		log_event_limited(&lim, 20, "VRRP", LOG_L_WARN, "CHECKSUMMIX",
				  WHO "the other routers disagree about the checksum: %s sends it "
				      "%s pseudo header; following it",
				  name, family, vrid, peer, m->u.notice.v ? "with the" : "without");
		break;
	case VRRP_N_MAC_DEAF:
		log_event_limited(&lim, 20, "VRRP", LOG_L_WARN, "MACDEAF",
				  WHO "frames to the virtual MAC do not reach us (%s answers to "
				      "the physical one only); using the physical MAC",
				  name, family, vrid, peer);
		break;
	case VRRP_N_MAC_OK:
		log_event_limited(&lim, 20, "VRRP", LOG_L_NOTICE, "MACHEARD",
				  WHO "frames to the virtual MAC reach us again; using it", name,
				  family, vrid);
		break;
	case VRRP_N_SPLIT:
		log_event_limited(&lim, 20, "VRRP", LOG_L_WARN, "TWOMASTERS",
				  WHO "%s is master too, with priority %u", name, family, vrid,
				  peer, m->u.notice.v);
		break;
	case VRRP_N_ADDRESSES:
		log_event_limited(&lim, 20, "VRRP", LOG_L_WARN, "ADDRESSES",
				  WHO "%s has other virtual addresses in this group", name, family,
				  vrid, peer);
		break;
	case VRRP_N_INTERVAL:
		log_event_limited(&lim, 20, "VRRP", LOG_L_WARN, "INTERVAL",
				  WHO "%s sends adverts in another interval; ignoring them", name,
				  family, vrid, peer);
		break;
	case VRRP_N_VERSION:
		log_event_limited(&lim, 20, "VRRP", LOG_L_WARN, "VERSION",
				  WHO "%s speaks version %u; ignoring it", name, family, vrid, peer,
				  m->u.notice.v);
		break;
	case VRRP_N_ADDR_FAIL:
		log_event_limited(&lim, 20, "VRRP", LOG_L_ERR, "ADDRESS",
				  WHO "the kernel refuses a virtual address: %s", name, family,
				  vrid, strerror(m->u.notice.v));
		break;
	default:
		break;
	}
}

/* ---- who watches ---- */

void vrrp_listen(struct vrrp_listener *l)
{
	l->next = listeners;
	listeners = l;
}

void vrrp_unlisten(struct vrrp_listener *l)
{
	struct vrrp_listener **p = &listeners;

	while (*p && *p != l)
		p = &(*p)->next;
	if (*p)
		*p = l->next;
}

json_t *vrrp_event_json(const struct vrrp_msg *m)
{
	return json_pack("{s:f,s:s,s:i,s:s,s:s,s:s,s:s,s:i}", "time",
			 (double)m->u.state.at_sec + m->u.state.at_usec / 1e6, "interface",
			 iface_operator_name(m->u.state.name.ifname), "group", m->u.state.name.vrid,
			 "family", m->u.state.name.family == AF_INET6 ? "ipv6" : "ipv4", "from",
			 vrrp_state_text(m->u.state.from), "to", vrrp_state_text(m->u.state.to),
			 "reason", vrrp_reason_text(m->u.state.reason), "priority",
			 m->u.state.prio);
}

json_t *vrrp_history(void)
{
	json_t *out = json_array();
	unsigned first = n_history > HISTORY ? n_history - HISTORY : 0;

	for (unsigned i = first; i < n_history; i++)
		json_array_append_new(out, vrrp_event_json(&history[i % HISTORY]));
	return out;
}
