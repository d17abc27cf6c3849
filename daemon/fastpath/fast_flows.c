/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Flows of the fast plane as a document and as text. */
#include "conntrack/ct_text.h"
#include "fastpath/fast_show.h"
#include "kernel/shadow.h"

#include <arpa/inet.h>

/* By enum flow_path of rtr/flow.h. */
static const char *const paths[] = { "free", "dead", "worker", "express", "kernel", "ended" };

static const char *name_of(int32_t ifindex)
{
	const struct shadow_link *l = ifindex ? shadow_link_by_index(ifindex) : NULL;

	return l ? iface_operator_name(l->name) : "-";
}

static const char *state_of(const struct fastpath_flow *f)
{
	if (!f->tracked)
		return "-";
	if (f->proto == IPPROTO_TCP)
		return ct_state_name(MIN(CT_S_NONE + (enum ct_state)f->state, CT_S_SYN_SENT2));
	return ct_state_name(f->state ? CT_S_ASSURED : CT_S_UNREPLIED);
}

json_t *fast_flow_doc(const struct fastpath_flow *f)
{
	const struct shadow_link *in = f->in ? shadow_link_by_index(f->in) : NULL;
	int family = f->family == 6 ? AF_INET6 : AF_INET;
	json_t *o;
	char src[INET6_ADDRSTRLEN] = "", dst[INET6_ADDRSTRLEN] = "", proto[8];

	inet_ntop(family, f->src, src, sizeof(src));
	inet_ntop(family, f->dst, dst, sizeof(dst));
	o = json_pack("{s:s,s:s,s:i,s:s,s:i,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:i}", "protocol",
		      ct_proto_name(f->proto, proto), "source", src, "source_port",
		      (int)ntohs(f->sport_be), "destination", dst, "destination_port",
		      (int)ntohs(f->dport_be), "in", name_of(f->in), "out", name_of(f->out), "path",
		      f->path < ARRAY_LEN(paths) ? paths[f->path] : "?", "state", state_of(f),
		      "packets", (json_int_t)f->packets, "bytes", (json_int_t)f->bytes, "idle_ms",
		      (json_int_t)f->idle_ms, "in_flight", (int)f->inflight);
	if (in)
		fast_put_vrf(o, in);
	return o;
}

void fast_flows_print(struct cmd_ctx *c, const json_t *list)
{
	bool vrfs = fast_any_vrf(list);
	json_t *o;
	size_t i;

	cmd_printf(c, "%-5s %-32s %-32s %-10s %-10s %-8s %-11s %12s %8s%s\n", "Proto", "Source",
		   "Destination", "In", "Out", "Path", "State", "Packets", "Idle s",
		   vrfs ? " VRF" : "");
	json_array_foreach(list, i, o) {
		char src[80], dst[80];

		snprintf(src, sizeof(src), "%s %lld", fast_text(o, "source"),
			 fast_int(o, "source_port"));
		snprintf(dst, sizeof(dst), "%s %lld", fast_text(o, "destination"),
			 fast_int(o, "destination_port"));
		cmd_printf(c, "%-5s %-32s %-32s %-10s %-10s %-8s %-11s %12lld %8lld%s%s\n",
			   fast_text(o, "protocol"), src, dst, fast_text(o, "in"),
			   fast_text(o, "out"), fast_text(o, "path"), fast_text(o, "state"),
			   fast_int(o, "packets"), fast_int(o, "idle_ms") / 1000, vrfs ? " " : "",
			   fast_text(o, "vrf"));
	}
}
