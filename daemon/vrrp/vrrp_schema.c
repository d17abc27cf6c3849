/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lines "vrrp" and "fhrp", and the domain "vrrp". */
#include "domain.h"
#include "iface/iface.h"
#include "system/global.h"
#include "vrrp/vrrp.h"

#define COMMON(st)                                                                                 \
	SCH_F(st, description), SCH_F(st, priority), SCH_F(st, preempt), SCH_F(st, preempt_delay), \
		SCH_F(st, adver), SCH_F(st, mac), SCH_F(st, accept_mode),                          \
		SCH_F(st, match_address), SCH_F(st, shutdown)

SCH_TYPE(vrrp_group, SCH_F(vrrp_group, vrid), SCH_F(vrrp_group, addr), COMMON(vrrp_group),
	 SCH_F(vrrp_group, msec), SCH_F(vrrp_group, learn), SCH_F(vrrp_group, auth));
SCH_TYPE(vrrp_family, SCH_F(vrrp_family, vrid), SCH_F(vrrp_family, af), COMMON(vrrp_family),
	 SCH_F(vrrp_family, vrrpv2));
SCH_TYPE(vrrp_sync_group, SCH_F(vrrp_sync_group, name), SCH_F(vrrp_sync_group, m1),
	 SCH_F(vrrp_sync_group, m2), SCH_F(vrrp_sync_group, m3), SCH_F(vrrp_sync_group, m4),
	 SCH_F(vrrp_sync_group, m5), SCH_F(vrrp_sync_group, m6), SCH_F(vrrp_sync_group, m7),
	 SCH_F(vrrp_sync_group, m8));

#define TYPE(id, st, ...)                                                                          \
	static struct sch_field id##_fields[] = { __VA_ARGS__ };                                   \
	struct sch_type id##_type = {                                                              \
		.name = #id,                                                                       \
		.size = sizeof(struct st),                                                         \
		.fields = id##_fields,                                                             \
		.n_fields = ARRAY_LEN(id##_fields),                                                \
	}
#define ADDRESS SCH_F(vrrp_address, addr)
#define TRACK   SCH_F(vrrp_track, track), SCH_F(vrrp_track, decrement), SCH_F(vrrp_track, shutdown)

TYPE(vrrp_secondary, vrrp_address, SCH_F(vrrp_address, vrid), ADDRESS);
TYPE(vrrp_track, vrrp_track, SCH_F(vrrp_track, vrid), TRACK);
TYPE(vrrp_peer, vrrp_peer, SCH_F(vrrp_peer, vrid), SCH_F(vrrp_peer, peer));
TYPE(vrrp_af_address, vrrp_address, ADDRESS, SCH_F(vrrp_address, primary),
     SCH_F(vrrp_address, secondary));
TYPE(vrrp_af_track, vrrp_track, TRACK);
TYPE(vrrp_af_peer, vrrp_peer, SCH_F(vrrp_peer, peer));

static int primary_first(const struct rec *a, const struct rec *b)
{
	const struct vrrp_address *x = (const void *)a, *y = (const void *)b;

	return (int)y->primary - (int)x->primary;
}

static bool one_primary(const struct rec *typed, const struct rec *old)
{
	return ((const struct vrrp_address *)(const void *)typed)->primary &&
	       ((const struct vrrp_address *)(const void *)old)->primary;
}

#define N "vrrp <vrid:U8(1,255)> "

/* Lines of a group, the same in both spellings but for what stands before them. */
#define COMMON_ROWS(pre, st)                                                                       \
	SCH_LEAF(pre "description <description:LINE>", st, .help = "Text about this group"),       \
		SCH_LEAF(pre "priority <priority:U8(1,254)>", st, .dflt = "100",                   \
			 .help = "The router with the highest priority becomes master"),           \
		SCH_LEAF(pre "preempt", st, .flag = "preempt", .dflt = "on",                       \
			 .help = "Take over from a master with a lower priority"),                 \
		SCH_LEAF(pre "preempt delay minimum <preempt_delay:U16(0,3600)>", st,              \
			 .help = "Seconds for which such a master is let alone"),                  \
		SCH_LEAF(pre "mac-address {mac:virtual|physical}", st,                             \
			 .help = "MAC address under which hosts reach the group"),                 \
		SCH_LEAF(pre "accept-mode", st, .flag = "accept_mode", .dflt = "on",               \
			 .help = "Be a host under the virtual addresses, for ping and ssh"),       \
		SCH_LEAF(pre "match-address", st, .flag = "match_address", .dflt = "off",          \
			 .help = "Drop adverts with other addresses than the group has"),          \
		SCH_LEAF(pre "shutdown", st, .flag = "shutdown", .help = "Leave the group")
#define TRACK_LINE "track <track:U16(1,1000)>[ decrement <decrement:U8(1,254)>][ shutdown]"

static const struct sch_row rows[] = {
	SCH_LEAF("fhrp version vrrp {fhrp_version:v2|v3}", global,
		 .help = "Version that the lines `vrrp N ip` stand for: 2 when not configured"),
	SCH_LIST("vrrp sync-group <name:WORD> members <m1:U8(1,255)>[ <m2:U8(1,255)>"
		 "[ <m3:U8(1,255)>[ <m4:U8(1,255)>[ <m5:U8(1,255)>[ <m6:U8(1,255)>"
		 "[ <m7:U8(1,255)>[ <m8:U8(1,255)>]]]]]]]",
		 vrrp_sync_group, .key = "name", .name = "vrrp_sync_group",
		 .help = "Groups, by number on all interfaces, that are master together or not"),

	SCH_LEAF("fhrp delay minimum <fhrp_delay:U16(0,3600)>", iface,
		 .help = "Seconds for which VRRP waits after the interface came up"),
	SCH_LEAF("fhrp delay reload <fhrp_reload:U16(0,3600)>", iface,
		 .help = "Seconds for which VRRP waits after the start"),
	SCH_LEAF("fhrp delay routes <fhrp_routes:U16(1,3600)>", iface,
		 .help = "Seconds for which VRRP waits, at most, for routes after the start"),
	SCH_LIST(N "ip <addr:ADDR4>", vrrp_group, .parent = &iface_type, .key = "vrid",
		 .name = "vrrp", .help = "Virtual address of a group"),
	COMMON_ROWS(N, vrrp_group),
	SCH_LEAF(N "timers advertise[ msec] <adver:U32(1,40950)>", vrrp_group,
		 .help = "Time from one advert to the next: 1 second when not configured"),
	SCH_LEAF(N "timers learn", vrrp_group, .flag = "learn", .dflt = "off",
		 .help = "Take the time between adverts from the master"),
	SCH_LEAF(N "authentication text <auth:WORD>", vrrp_group, .secret = true,
		 .help = "Password in the adverts (version 2)"),
	SCH_LIST(N "ip <addr:ADDR4> secondary", vrrp_secondary, .parent = &iface_type,
		 .key = "vrid addr", .name = "vrrp_secondary", .help = "One more virtual address"),
	SCH_LIST(N TRACK_LINE, vrrp_track, .parent = &iface_type, .key = "vrid track",
		 .name = "vrrp_track", .help = "Lower the priority while an object is down"),
	SCH_LIST(N "unicast peer <peer:ADDR4>", vrrp_peer, .parent = &iface_type,
		 .key = "vrid peer", .name = "vrrp_peer",
		 .help = "Send adverts to this router alone, not to the multicast group"),

	SCH_MODE(N "address-family {af:ipv4|ipv6}", vrrp_family, .parent = &iface_type,
		 .key = "vrid af", .prompt = "config-if-vrrp", .name = "vrrp_family",
		 .help = "A group of VRRP version 3"),
	SCH_LIST("address <addr:ADDR>[ primary][ secondary]", vrrp_af_address,
		 .parent = &vrrp_family_type, .key = "addr", .cmp = primary_first,
		 .displaces = one_primary, .name = "address",
		 .help = "Virtual address of the group"),
	COMMON_ROWS("", vrrp_family),
	SCH_LEAF("timers advertise <adver:U32(10,40950)>", vrrp_family, .dflt = "1000",
		 .help = "Milliseconds from one advert to the next"),
	SCH_LEAF("vrrpv2", vrrp_family, .flag = "vrrpv2", .dflt = "off",
		 .help = "Speak version 2, for routers that know no other"),
	SCH_LIST(TRACK_LINE, vrrp_af_track, .parent = &vrrp_family_type, .key = "track",
		 .name = "track", .help = "Lower the priority while an object is down"),
	SCH_LIST("unicast peer <peer:ADDR>", vrrp_af_peer, .parent = &vrrp_family_type,
		 .key = "peer", .name = "unicast_peer",
		 .help = "Send adverts to this router alone, not to the multicast group"),
};

static const struct sch_word words[] = {
	{ "accept-mode", "Be a host under the virtual addresses" },
	{ "address", "Virtual address" },
	{ "address-family", "A group of VRRP version 3" },
	{ "advertise", "Time from one advert to the next" },
	{ "authentication", "Password in the adverts" },
	{ "description", "Text about this group" },
	{ "decrement", "By how much, 10 when not given" },
	{ "delay", "Wait before taking part" },
	{ "fhrp", "First hop redundancy: VRRP" },
	{ "ha", "High availability" },
	{ "ip", "IPv4" },
	{ "mac-address", "MAC address under which hosts reach the group" },
	{ "match-address", "Drop adverts with other addresses" },
	{ "learn", "Take it from the master" },
	{ "members", "Group numbers" },
	{ "minimum", "After the interface came up" },
	{ "msec", "Milliseconds" },
	{ "peer", "The other router" },
	{ "physical", "The interface's own: no macvlan" },
	{ "preempt", "Take over from a master with a lower priority" },
	{ "primary", "The first address" },
	{ "priority", "The highest becomes master" },
	{ "reload", "After the start" },
	{ "secondary", "One more address" },
	{ "shutdown", "Give up the group while the object is down" },
	{ "sync-group", "Groups that are master together" },
	{ "text", "In plain text" },
	{ "timers", "Time between adverts" },
	{ "track", "Objects that are up or down" },
	{ "unicast", "Adverts to single routers" },
	{ "v2", "RFC 3768" },
	{ "v3", "RFC 9568" },
	{ "version", "Version of the protocol" },
	{ "virtual", "00:00:5e:00:01:<group>, by RFC 9568; the usual one" },
	{ "vrrp", "Virtual Router Redundancy Protocol" },
};

static const char *const after[] = { "routes", "track", NULL };

static const struct domain vrrp_domain = {
	.name = "vrrp",
	.after = after,
	.rows = rows,
	.n_rows = ARRAY_LEN(rows),
	.words = words,
	.n_words = ARRAY_LEN(words),
	.init = vrrp_client_init,
	.fini = vrrp_client_fini,
	.check = vrrp_check,
	.plan = vrrp_plan,
};
RTR_DOMAIN(vrrp_domain);
