/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lines "ip load-sharing" and "ipv6 load-sharing": by what equal-cost paths share traffic. */
#include "domain.h"
#include "schema/model.h"

#include <unistd.h>

/* Values of net.ipv4.fib_multipath_hash_policy and its IPv6 twin, and bits of the fields of the
 * last one: Documentation/networking/ip-sysctl.rst. */
enum { HASH_ADDRESS, HASH_ADDRESS_PORT, HASH_INNER, HASH_FIELDS };
#define FIELD_SOURCE           0x01
#define FIELD_DESTINATION      0x02
#define FIELD_PROTOCOL         0x04
#define FIELD_FLOW_LABEL       0x08
#define FIELD_SOURCE_PORT      0x10
#define FIELD_DESTINATION_PORT 0x20

struct load_sharing {
	struct rec rec;
	uint8_t family; /* 0 IPv4, 1 IPv6 */
	uint8_t hash;
	bool source_address, destination_address, protocol, flow_label, source_port,
		destination_port;
};

SCH_TYPE(load_sharing, SCH_F(load_sharing, family), SCH_F(load_sharing, hash),
	 SCH_F(load_sharing, source_address), SCH_F(load_sharing, destination_address),
	 SCH_F(load_sharing, protocol), SCH_F(load_sharing, flow_label),
	 SCH_F(load_sharing, source_port), SCH_F(load_sharing, destination_port));

static const struct sch_row rows[] = {
	SCH_LIST("{family:ip|ipv6} load-sharing {hash:address|address-port|inner|fields"
		 "[ source-address][ destination-address][ protocol][ source-port]"
		 "[ destination-port][ flow-label]}",
		 load_sharing, .key = "family",
		 .help = "By what equal paths share the traffic; one flow always takes one path"),
};

static const struct sch_word words[] = {
	{ "address", "By the addresses" },
	{ "address-port", "By addresses, protocol and ports" },
	{ "destination-address", "By the destination" },
	{ "fields", "By the fields that are named" },
	{ "flow-label", "By the flow label (IPv6)" },
	{ "inner", "By the addresses, for tunnels those inside" },
	{ "load-sharing", "By what equal paths share the traffic" },
	{ "source-address", "By the source" },
};

static unsigned field_bits(const struct load_sharing *l)
{
	return (l->source_address ? FIELD_SOURCE : 0) |
	       (l->destination_address ? FIELD_DESTINATION : 0) |
	       (l->protocol ? FIELD_PROTOCOL : 0) | (l->flow_label ? FIELD_FLOW_LABEL : 0) |
	       (l->source_port ? FIELD_SOURCE_PORT : 0) |
	       (l->destination_port ? FIELD_DESTINATION_PORT : 0);
}

static const char *path_of(const struct load_sharing *l, bool fields)
{
	if (fields)
		return l->family ? "net/ipv6/fib_multipath_hash_fields"
				 : "net/ipv4/fib_multipath_hash_fields";
	return l->family ? "net/ipv6/fib_multipath_hash_policy"
			 : "net/ipv4/fib_multipath_hash_policy";
}

static void check(struct check *c)
{
	const struct recvec *v = rec_kids(c->new, &load_sharing_type);
	const struct load_sharing *l;

	recvec_foreach(v, l) {
		char path[80];

		if (l->hash == HASH_FIELDS && !field_bits(l))
			check_error(c, &l->rec, "name the fields");
		if (l->flow_label && !l->family)
			check_error(c, &l->rec, "IPv4 packets have no flow label");
		snprintf(path, sizeof(path), "/proc/sys/%s", path_of(l, l->hash == HASH_FIELDS));
		if (!c->offline && access(path, F_OK))
			check_error(c, &l->rec, "this kernel has no %s (fields need 5.12)",
				    path_of(l, l->hash == HASH_FIELDS));
	}
}

static void plan(struct plan *p)
{
	const struct recvec *v = rec_kids(p->want, &load_sharing_type);
	const struct load_sharing *l;
	char text[16];

	recvec_foreach(v, l) {
		/* The fields first: they mean nothing until the policy asks for them. */
		if (l->hash == HASH_FIELDS) {
			snprintf(text, sizeof(text), "%u", field_bits(l));
			plan_sysctl(p, path_of(l, true), text, &l->rec);
		}
		snprintf(text, sizeof(text), "%u", l->hash);
		plan_sysctl(p, path_of(l, false), text, &l->rec);
	}
}

static const char *const after_system[] = { "system", NULL };

static const struct domain load_sharing_domain = {
	.name = "load-sharing",
	.after = after_system,
	.rows = rows,
	.n_rows = ARRAY_LEN(rows),
	.words = words,
	.n_words = ARRAY_LEN(words),
	.check = check,
	.plan = plan,
};
RTR_DOMAIN(load_sharing_domain);
