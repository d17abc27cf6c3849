/* SPDX-License-Identifier: GPL-2.0-or-later */
/* show ip nat deterministic: the shares of deterministic pools, asked from inside and from outside.
 * From the running configuration alone, as the planes have them. */
#include "nat/nat.h"
#include "schema/text.h"
#include "txn/txn.h"

static json_t *span(const struct pol_port_range *r)
{
	return json_sprintf("%u-%u", r->lo, r->hi);
}

/* ---- pools ---- */

static json_t *line_json(const struct nat_dynamic *d)
{
	const struct nat_det *t = d->det;
	char lo[RTR_ADDR_STRLEN], hi[RTR_ADDR_STRLEN];

	return json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I}", "list", d->list->name, "pool",
			 d->pool->name, "start", rtr_addr_str(&d->pool->lo, lo), "end",
			 rtr_addr_str(&d->pool->hi, hi), "hosts", (json_int_t)t->n_hosts, "room",
			 (json_int_t)MIN(nat_det_room(d, t), (uint64_t)INT64_MAX),
			 "hosts_per_address", (json_int_t)t->per_addr, "fast_ports",
			 (json_int_t)t->size[NAT_PORTS_FAST], "kernel_ports",
			 (json_int_t)t->size[NAT_PORTS_KERNEL]);
}

static json_t *pools(unsigned fam)
{
	const struct nat_policy *p = nat_policy_for(txn_running());
	json_t *list = json_array();

	for (size_t i = 0; p && i < p->f[fam].n_dynamics; i++) {
		if (p->f[fam].dynamics[i].det)
			json_array_append_new(list, line_json(&p->f[fam].dynamics[i]));
	}
	return list;
}

json_t *nat_show_det4(struct cmd_ctx *c)
{
	return pools(0);
}

json_t *nat_show_det6(struct cmd_ctx *c)
{
	return pools(1);
}

#define ROW "%-16s %-16s %8s %8s %11s %11s %13s\n"

void nat_print_det(struct cmd_ctx *c, const json_t *list)
{
	const json_t *o;
	size_t i;

	cmd_printf(c, ROW, "List", "Pool", "Hosts", "Room", "An address", "Fast ports",
		   "Kernel ports");
	json_array_foreach(list, i, o) {
		static const char *const keys[] = { "hosts", "room", "hosts_per_address",
						    "fast_ports", "kernel_ports" };
		char n[ARRAY_LEN(keys)][24];

		for (size_t k = 0; k < ARRAY_LEN(keys); k++)
			snprintf(n[k], sizeof(n[k]), "%lld",
				 (long long)json_integer_value(json_object_get(o, keys[k])));
		cmd_printf(c, ROW, json_string_value(json_object_get(o, "list")),
			   json_string_value(json_object_get(o, "pool")), n[0], n[1], n[2], n[3],
			   n[4]);
	}
}

/* ---- one host ---- */

static json_t *share_json(const struct nat_dynamic *d, const struct rtr_addr *host,
			  const struct nat_share *s)
{
	char in[RTR_ADDR_STRLEN], out[RTR_ADDR_STRLEN];

	return json_pack("{s:s,s:s,s:o,s:o,s:s,s:s}", "inside", rtr_addr_str(host, in), "outside",
			 rtr_addr_str(&s->addr, out), "fast_ports", span(&s->fast), "kernel_ports",
			 span(&s->kernel), "list", d->list->name, "pool", d->pool->name);
}

json_t *nat_show_det_inside(struct cmd_ctx *c)
{
	const struct nat_policy *p = nat_policy_for(txn_running());
	char text[RTR_ADDR_STRLEN];
	struct rtr_addr host;
	struct nat_share s;

	cmd_get(c, "inside", &host);
	for (size_t i = 0; p && i < p->f[nat_fam(host.family)].n_dynamics; i++) {
		const struct nat_dynamic *d = &p->f[nat_fam(host.family)].dynamics[i];

		if (nat_det_find(p, d, &host, &s))
			return share_json(d, &host, &s);
	}
	cmd_fail(c, "%s has no share of a deterministic pool", rtr_addr_str(&host, text));
	return NULL;
}

json_t *nat_show_det_outside(struct cmd_ctx *c)
{
	const struct nat_policy *p = nat_policy_for(txn_running());
	struct rtr_addr addr, host;
	char text[RTR_ADDR_STRLEN];
	struct nat_share s;
	uint16_t port;

	cmd_get(c, "outside", &addr);
	cmd_get(c, "port", &port);
	for (size_t i = 0; p && i < p->f[nat_fam(addr.family)].n_dynamics; i++) {
		const struct nat_dynamic *d = &p->f[nat_fam(addr.family)].dynamics[i];

		if (nat_det_behind(p, d, &addr, port, &host) && nat_det_find(p, d, &host, &s))
			return share_json(d, &host, &s);
	}
	cmd_fail(c, "no host has port %u of %s by a deterministic pool", port,
		 rtr_addr_str(&addr, text));
	return NULL;
}

void nat_print_share(struct cmd_ctx *c, const json_t *o)
{
	cmd_printf(c, "Inside %s is seen as %s, ports %s (fast plane) and %s (kernel)\n",
		   json_string_value(json_object_get(o, "inside")),
		   json_string_value(json_object_get(o, "outside")),
		   json_string_value(json_object_get(o, "fast_ports")),
		   json_string_value(json_object_get(o, "kernel_ports")));
	cmd_printf(c, "By list %s and pool %s\n", json_string_value(json_object_get(o, "list")),
		   json_string_value(json_object_get(o, "pool")));
}
