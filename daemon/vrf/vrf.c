/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vrf/vrf.h"

#include "cli/command.h"
#include "domain.h"
#include "hash.h"
#include "iface/iface.h"
#include "kernel/apply.h"
#include "kernel/probe.h"
#include "kernel/rtmsg.h"
#include "kernel/shadow.h"
#include "route/route.h"
#include "txn/txn.h"

#include <linux/if_link.h>
#include <string.h>

#define TABLE_FIRST 0x73000000u
#define TABLE_BITS  16
#define MAX_VRFS    4096

SCH_TYPE(vrf, SCH_F(vrf, name), SCH_F(vrf, description), SCH_F(vrf, rd));

/* ---- tables ---- */

uint32_t vrf_table_base(void)
{
	return TABLE_FIRST + ((uint32_t)shadow_proto() << TABLE_BITS);
}

bool vrf_is_table(uint32_t table)
{
	return table >> TABLE_BITS == vrf_table_base() >> TABLE_BITS;
}

static uint32_t own_slot(const struct vrf *v)
{
	return (uint32_t)(hash_bytes(v->name, strlen(v->name), 0) % (1u << TABLE_BITS));
}

/* The number hangs on the name; of those that want the same, later ones in order of name take the
 * next free. */
uint32_t vrf_table(const struct rec *root, const char *name)
{
	const struct recvec *all = rec_kids(root, &vrf_type);
	uint32_t *slots = xcalloc(all->len, sizeof(*slots)), found = 0;
	const struct vrf *v;

	recvec_foreach(all, v) {
		uint32_t at = own_slot(v);

		for (size_t i = 0; i < v_i;) {
			if (slots[i++] != at)
				continue;
			at = (at + 1) % (1u << TABLE_BITS);
			i = 0;
		}
		slots[v_i] = at;
		if (!strcmp(v->name, name))
			found = vrf_table_base() + at;
	}
	free(slots);
	return found;
}

/* ---- links ---- */

static const struct vrf *vrf_find(const struct rec *root, const char *name)
{
	struct vrf like = { .rec = { .type = &vrf_type }, .name = (char *)(uintptr_t)name };

	return (const void *)rec_find(root, &vrf_type, &like.rec);
}

static bool right_link(const struct shadow_link *l, uint32_t table)
{
	struct nlattr *a = l->info_size ? nla_find((struct nlattr *)(void *)l->info,
						   (int)l->info_size, IFLA_VRF_TABLE)
					: NULL;

	return !strcmp(l->kind, "vrf") && a && nla_len(a) == 4 && nla_get_u32(a) == table;
}

static void plan_create(struct plan *p, const struct vrf *v, uint32_t table)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC,
				 .ifi_flags = IFF_UP,
				 .ifi_change = IFF_UP };
	struct nl_msg *m = rtmsg_new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi, sizeof(ifi),
				     RTMSG_SIZE);
	struct nlattr *info, *data;

	rtmsg_text(m, IFLA_IFNAME, v->name);
	rtmsg_u32(m, IFLA_GROUP, shadow_group());
	info = rtmsg_nest(m, IFLA_LINKINFO);
	rtmsg_text(m, IFLA_INFO_KIND, "vrf");
	data = rtmsg_nest(m, IFLA_INFO_DATA);
	rtmsg_u32(m, IFLA_VRF_TABLE, table);
	nla_nest_end(m, data);
	nla_nest_end(m, info);
	plan_nl(p, m, &v->rec, "create vrf %s with table %u", v->name, table);
}

static void plan_up(struct plan *p, const struct vrf *v, const struct shadow_link *l)
{
	struct ifinfomsg ifi = { .ifi_index = l->ifindex,
				 .ifi_flags = IFF_UP,
				 .ifi_change = IFF_UP };

	if (!(l->flags & IFF_UP))
		plan_nl(p, rtmsg_new(RTM_SETLINK, 0, &ifi, sizeof(ifi), RTMSG_SIZE), &v->rec,
			"set %s up", l->name);
}

static void plan_deletes(struct plan *p)
{
	for (const struct shadow_link *l = shadow_link_next(NULL); l; l = shadow_link_next(l)) {
		struct ifinfomsg ifi = { .ifi_index = l->ifindex };
		const struct vrf *v = vrf_find(p->want, l->name);

		if (l->ours && !strcmp(l->kind, "vrf") &&
		    (!v || !right_link(l, vrf_table(p->want, l->name))))
			plan_nl(p, rtmsg_new(RTM_DELLINK, 0, &ifi, sizeof(ifi), RTMSG_SIZE),
				v ? &v->rec : NULL, "delete vrf %s", l->name);
	}
}

static void plan(struct plan *p)
{
	const struct recvec *all = rec_kids(p->want, &vrf_type);
	const struct vrf *v;

	plan_deletes(p);
	recvec_foreach(all, v) {
		const struct shadow_link *l = shadow_link_by_name(v->name);
		uint32_t table = vrf_table(p->want, v->name);

		if (!l)
			plan_create(p, v, table);
		else if (right_link(l, table))
			plan_up(p, v, l);
		else if (!l->ours)
			plan_error(p, &v->rec, "%s exists and is no VRF of ours", l->name);
	}
	/* Without it sockets of the router's services would not hear what comes in by a VRF. */
	if (all->len) {
		plan_sysctl(p, "net/ipv4/tcp_l3mdev_accept", "1", all->v[0]);
		plan_sysctl(p, "net/ipv4/udp_l3mdev_accept", "1", all->v[0]);
	}
}

/* ---- check ---- */

void vrf_check_ref(struct check *c, const struct rec *rec, const char *name)
{
	if (name && !vrf_find(c->new, name))
		check_error(c, rec,
			    vrf_find(c->old, name) ? "vrf %s is used by this line"
						   : "there is no vrf %s",
			    name);
}

static void check(struct check *c)
{
	const struct recvec *all = rec_kids(c->new, &vrf_type);
	const struct recvec *ifaces = rec_kids(c->new, &iface_type);
	const struct iface *i;
	const struct vrf *v;
	char name[IFNAMSIZ];

	recvec_foreach(all, v) {
		const struct shadow_link *l = c->offline ? NULL : shadow_link_by_name(v->name);

		if (strlen(v->name) >= IFNAMSIZ || !val_ifname_canonical(v->name, name) ||
		    strcmp(name, v->name) || !strcmp(v->name, "lo"))
			check_error(c, &v->rec,
				    "%s cannot be the name of a link, 15 characters at most",
				    v->name);
		else if (iface_find(c->new, v->name) || (l && !l->ours))
			check_error(c, &v->rec, "there is an interface %s", v->name);
		if (!c->offline && !l && !probe_link_kind("vrf"))
			check_error(c, &v->rec, "this kernel has no VRFs (module vrf)");
	}
	if (all->len > MAX_VRFS)
		check_error(c, NULL, "more than %d VRFs", MAX_VRFS);
	recvec_foreach(ifaces, i) {
		vrf_check_ref(c, &i->rec, i->vrf);
		if (i->vrf && iface_kind_of(i->name) == IFACE_LOOPBACK0)
			check_error(c, &i->rec, "%s belongs to all VRFs", i->name);
		if (i->vrf && i->bridge_group)
			check_error(c, &i->rec,
				    "the port of a bridge has no VRF: it belongs to BVI%u",
				    i->bridge_group);
	}
}

/* ---- show vrf ---- */

static json_t *show_vrf(struct cmd_ctx *c)
{
	const struct recvec *all = rec_kids(txn_running(), &vrf_type);
	const struct recvec *ifaces = rec_kids(txn_running(), &iface_type);
	json_t *out = json_array();
	const struct iface *i;
	const struct vrf *v;

	recvec_foreach(all, v) {
		json_t *members = json_array(), *o;

		recvec_foreach(ifaces, i) {
			if (i->vrf && !strcmp(i->vrf, v->name))
				json_array_append_new(members, json_string(i->name));
		}
		o = json_pack("{s:s,s:I,s:o}", "name", v->name, "table",
			      (json_int_t)vrf_table(txn_running(), v->name), "interfaces", members);
		if (v->rd)
			json_object_set_new(o, "rd", json_string(v->rd));
		json_array_append_new(out, o);
	}
	return out;
}

static void print_vrf(struct cmd_ctx *c, const json_t *doc)
{
	json_t *o, *e;
	size_t i, k;

	cmd_printf(c, "%-18s%-18s%-12s%s\n", "Name", "Default RD", "Table", "Interfaces");
	json_array_foreach(doc, i, o) {
		const char *rd = json_string_value(json_object_get(o, "rd"));

		cmd_printf(c, "%-18s%-18s%-12lld", json_string_value(json_object_get(o, "name")),
			   rd ? rd : "<not set>",
			   (long long)json_integer_value(json_object_get(o, "table")));
		json_array_foreach(json_object_get(o, "interfaces"), k, e)
			cmd_printf(c, "%s%s", k ? ", " : "", json_string_value(e));
		cmd_puts(c, "\n");
	}
}

/* ---- registration ---- */

static const struct sch_row rows[] = {
	SCH_MODE("vrf definition <name:WORD>", vrf, .key = "name", .prompt = "config-vrf",
		 .help = "A routing table of its own for some interfaces"),
	SCH_LEAF("description <description:LINE>", vrf, .help = "Text about the VRF"),
	SCH_LEAF("rd <rd:WORD>", vrf, .help = "Route distinguisher, for BGP"),
	SCH_LEAF("vrf forwarding <vrf:WORD>", iface, .help = "VRF that the interface belongs to"),
};

static const struct cmd cmds[] = {
	{ "show vrf", "VRFs, their tables and interfaces", .data = show_vrf, .text = print_vrf },
};

static const struct sch_word words[] = {
	{ "definition", "A routing table of its own for some interfaces" },
	{ "forwarding", "VRF that the interface belongs to" },
	{ "rd", "Route distinguisher" },
	{ "vrf", "Routing tables of their own" },
};

static const char *const after_system[] = { "system", NULL };

static const struct domain vrf_domain = {
	.name = "vrf",
	.after = after_system,
	.rows = rows,
	.n_rows = ARRAY_LEN(rows),
	.words = words,
	.n_words = ARRAY_LEN(words),
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
	.check = check,
	.plan = plan,
};
RTR_DOMAIN(vrf_domain);
