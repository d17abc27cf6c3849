/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conntrack/ct_text.h"

#include "cli/command.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "txn/txn.h"

#include <ctype.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- words ---- */

const char *ct_duration(int64_t sec, char buf[24])
{
	long long s = sec;

	if (s < 0)
		snprintf(buf, 24, "-");
	else if (s < 100 * 3600)
		snprintf(buf, 24, "%02lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
	else
		snprintf(buf, 24, "%lldd%02lldh", s / 86400, s / 3600 % 24);
	return buf;
}

const char *ct_endpoint(const char *addr, int64_t port, char buf[64])
{
	if (port < 0)
		snprintf(buf, 64, "%s", addr);
	else
		snprintf(buf, 64, strchr(addr, ':') ? "[%s]:%u" : "%s:%u", addr, (unsigned)port);
	return buf;
}

const char *ct_json_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

int64_t ct_json_num(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return v ? json_integer_value(v) : -1;
}

const char *ct_proto_name(uint8_t proto, char buf[8])
{
	static const struct {
		uint8_t proto;
		const char *name;
	} known[] = { { IPPROTO_TCP, "tcp" },   { IPPROTO_UDP, "udp" },
		      { IPPROTO_ICMP, "icmp" }, { IPPROTO_ICMPV6, "icmp6" },
		      { IPPROTO_SCTP, "sctp" }, { IPPROTO_GRE, "gre" },
		      { IPPROTO_ESP, "esp" },   { IPPROTO_DCCP, "dccp" },
		      { 112, "vrrp" },          { 89, "ospf" } };

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (known[i].proto == proto)
			return known[i].name;
	}
	snprintf(buf, 8, "%u", proto);
	return buf;
}

bool ct_proto_has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
	       proto == IPPROTO_DCCP || proto == IPPROTO_UDPLITE || proto == IPPROTO_ICMP ||
	       proto == IPPROTO_ICMPV6 || proto == IPPROTO_GRE;
}

/* ---- an entry ---- */

void ct_view_now(struct ct_view *v)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	v->now_ns = (int64_t)ts.tv_sec * (int64_t)NSEC_PER_SEC + ts.tv_nsec;
	v->root = txn_running();
}

void ct_view_init(struct ct_view *v)
{
	ct_view_now(v);
	ct_timers_read(&v->timers);
}

static void set_end(json_t *o, const char *key, const struct rtr_addr *a)
{
	char buf[RTR_ADDR_STRLEN];

	json_object_set_new(o, key, json_string(rtr_addr_str(a, buf)));
}

static void set_tuple(json_t *o, const struct ct_tuple *t)
{
	set_end(o, "source", &t->src);
	set_end(o, "destination", &t->dst);
	if (!ct_proto_has_ports(t->proto))
		return;
	json_object_set_new(o, "source_port", json_integer(t->sport));
	json_object_set_new(o, "destination_port", json_integer(t->dport));
}

static json_t *pair(const uint64_t v[2])
{
	return json_pack("[I,I]", (json_int_t)v[0], (json_int_t)v[1]);
}

static void set_iface(json_t *o, const char *key, unsigned ifindex)
{
	const struct ct_policy_names *names = ct_policy_names();
	const char *name = ifindex && names->iface ? names->iface(ifindex) : NULL;

	if (name)
		json_object_set_new(o, key, json_string(name));
}

static void set_policy(json_t *o, const struct ct_entry *e)
{
	const struct ct_policy_names *names = ct_policy_names();
	struct strbuf b = STRBUF_INIT;

	if (names->zone_pair && names->zone_pair(e, &b))
		json_object_set_new(o, "zone_pair", json_string(strbuf_str(&b)));
	strbuf_reset(&b);
	if (names->rule && names->rule(e, &b))
		json_object_set_new(o, "rule", json_string(strbuf_str(&b)));
	strbuf_fini(&b);
	set_iface(o, "input", ct_iif(e));
	set_iface(o, "output", ct_oif(e));
}

/* Signed: the clock may have been set back since. */
static int64_t age(const struct ct_entry *e, const struct ct_view *v)
{
	int64_t sec = (v->now_ns - (int64_t)e->start_real_ns) / (int64_t)NSEC_PER_SEC;

	return e->start_real_ns ? MAX(sec, 0) : -1;
}

json_t *ct_entry_json(const struct ct_entry *e, const struct ct_view *v)
{
	json_t *o = json_object(), *reply = json_object();
	int64_t idle = ct_idle(e, &v->timers, v->root);
	char buf[8];

	json_object_set_new(o, "protocol", json_string(ct_proto_name(e->orig.proto, buf)));
	json_object_set_new(o, "family",
			    json_string(e->orig.src.family == AF_INET ? "ipv4" : "ipv6"));
	json_object_set_new(o, "state", json_string(ct_state_name(e->state)));
	json_object_set_new(o, "assured", json_boolean(e->status & IPS_ASSURED));
	set_tuple(o, &e->orig);
	set_tuple(reply, &e->reply);
	json_object_set_new(o, "reply", reply);
	json_object_set_new(o, "source_nat", json_boolean(ct_is_snat(e)));
	json_object_set_new(o, "destination_nat", json_boolean(ct_is_dnat(e)));
	set_policy(o, e);
	if (age(e, v) >= 0)
		json_object_set_new(o, "age_sec", json_integer(age(e, v)));
	if (idle >= 0)
		json_object_set_new(o, "idle_sec", json_integer(idle));
	json_object_set_new(o, "ttl_sec", json_integer(e->timeout_sec));
	json_object_set_new(o, "packets", pair(e->packets));
	json_object_set_new(o, "bytes", pair(e->bytes));
	json_object_set_new(o, "path", json_string(e->fast_path ? e->fast_path : "kernel"));
	json_object_set_new(o, "mark", json_integer(e->mark));
	if (e->orig.zone)
		json_object_set_new(o, "ct_zone", json_integer(e->orig.zone));
	if (*e->helper)
		json_object_set_new(o, "helper", json_string(e->helper));
	json_object_set_new(o, "id", json_integer(e->id));
	return o;
}

/* ---- a line ---- */

static const char *str(const json_t *o, const char *key)
{
	const char *s = ct_json_text(o, key);

	return *s ? s : "-";
}

/* One end of a tuple as the document has it. */
static void end_text(const json_t *o, const char *addr, const char *port, char buf[64])
{
	ct_endpoint(ct_json_text(o, addr), ct_json_num(o, port), buf);
}

static void nat_text(const json_t *o, char buf[160])
{
	const json_t *r = json_object_get(o, "reply");
	char src[64] = "", dst[64] = "";

	if (json_is_true(json_object_get(o, "source_nat")))
		end_text(r, "destination", "destination_port", src);
	if (json_is_true(json_object_get(o, "destination_nat")))
		end_text(r, "source", "source_port", dst);
	snprintf(buf, 160, "%s%s%s", src, *dst ? ">" : *src ? "" : "-", dst);
}

static const struct {
	const char *head;
	unsigned width; /* at least; what IPv4 needs */
} columns[CT_CELLS] = {
	{ "Pro", 5 },     { "State", 11 },     { "Source", 22 },     { "Destination", 22 },
	{ "NAT-to", 22 }, { "Zone-pair", 15 }, { "Rule", 12 },       { "Age", 8 },
	{ "Idle", 8 },    { "TTL", 8 },        { "Bytes(o/r)", 17 }, { "Path", 7 },
	{ "In", 10 },     { "Out", 0 },
};

void ct_widths_init(struct ct_widths *w)
{
	for (int i = 0; i < CT_CELLS; i++)
		w->v[i] = columns[i].width;
}

/* The last column ends its line as it is. */
static void cell_text(struct strbuf *b, const struct ct_widths *w, int i, const char *text)
{
	if (i + 1 < CT_CELLS)
		strbuf_addf(b, "%-*s ", (int)w->v[i], text);
	else
		strbuf_addf(b, "%s\n", text);
}

void ct_head_text(const struct ct_widths *w, struct strbuf *b)
{
	for (int i = 0; i < CT_CELLS; i++)
		cell_text(b, w, i, columns[i].head);
}

void ct_row_text(const struct ct_row *r, const struct ct_widths *w, struct strbuf *b)
{
	for (int i = 0; i < CT_CELLS; i++)
		cell_text(b, w, i, r->text + r->at[i]);
}

bool ct_row_widen(const struct ct_row *r, struct ct_widths *w)
{
	bool wider = false;

	for (int i = 0; i + 1 < CT_CELLS; i++) {
		unsigned n = (unsigned)strlen(r->text + r->at[i]);

		wider = wider || n > w->v[i];
		w->v[i] = MAX(w->v[i], n);
	}
	return wider;
}

void ct_row_free(struct ct_row *r)
{
	free(r->text);
	r->text = NULL;
}

struct ct_row ct_row_of(const json_t *o)
{
	char src[64], dst[64], nat[160], bytes[48], state[16], t[3][24];
	const json_t *n = json_object_get(o, "bytes");
	struct strbuf b = STRBUF_INIT;
	struct ct_row r;

	end_text(o, "source", "source_port", src);
	end_text(o, "destination", "destination_port", dst);
	nat_text(o, nat);
	snprintf(bytes, sizeof(bytes), "%lld/%lld",
		 (long long)json_integer_value(json_array_get(n, 0)),
		 (long long)json_integer_value(json_array_get(n, 1)));
	rtr_strlcpy(state, str(o, "state"), sizeof(state));
	for (char *p = state; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	const char *const cells[CT_CELLS] = { str(o, "protocol"),
					      state,
					      src,
					      dst,
					      nat,
					      str(o, "zone_pair"),
					      str(o, "rule"),
					      ct_duration(ct_json_num(o, "age_sec"), t[0]),
					      ct_duration(ct_json_num(o, "idle_sec"), t[1]),
					      ct_duration(ct_json_num(o, "ttl_sec"), t[2]),
					      bytes,
					      str(o, "path"),
					      str(o, "input"),
					      str(o, "output") };
	for (int i = 0; i < CT_CELLS; i++) {
		r.at[i] = (uint16_t)b.len;
		strbuf_add(&b, cells[i], strlen(cells[i]) + 1);
	}
	r.text = strbuf_steal(&b);
	return r;
}

/* ---- what was typed ---- */

static bool take_zone(struct cmd_ctx *c, struct ct_filter *f)
{
	char *zone = NULL;
	int id;

	if (!cmd_get(c, "zone", &zone))
		return true;
	id = ct_policy_names()->zone_id ? ct_policy_names()->zone_id(zone) : -1;
	if (id < 0)
		cmd_fail(c, "There is no zone %s", zone);
	free(zone);
	f->has_in_zone = true;
	f->in_zone = (uint16_t)id;
	return id >= 0;
}

static bool take_iface(struct cmd_ctx *c, struct ct_filter *f)
{
	char name[IFNAMSIZ];
	const struct shadow_link *l;

	if (!cmd_get(c, "ifname", name))
		return true;
	l = iface_link(name);
	/* Labels have no room for more. */
	if (!l || l->ifindex > UINT16_MAX) {
		cmd_fail(c,
			 l ? "The number of %s is too high to be noted with connections"
			   : "There is no interface %s",
			 name);
		return false;
	}
	rtr_strlcpy(f->ifname, l->name, IFNAMSIZ);
	return true;
}

bool ct_args(struct cmd_ctx *c, struct ct_filter *ret)
{
	struct ct_filter f = { 0 };
	int family = cmd_choice(c, "family"), state = cmd_choice(c, "state");

	if (family >= 0)
		f.family = family ? AF_INET6 : AF_INET;
	f.has_proto = cmd_get(c, "proto", &f.proto);
	f.has_src = cmd_get(c, "src", &f.src);
	f.has_dst = cmd_get(c, "dst", &f.dst);
	f.has_sport = cmd_get(c, "sport", &f.sport);
	f.has_dport = cmd_get(c, "dport", &f.dport);
	f.has_ct_zone = cmd_get(c, "ctzone", &f.ct_zone);
	if (cmd_get(c, "mark", &f.mark))
		f.mark_mask = UINT32_MAX;
	if (state >= 0)
		f.state = CT_S_NONE + (enum ct_state)state;
	f.nat = cmd_flag(c, "nat");
	if (!take_zone(c, &f) || !take_iface(c, &f))
		return false;
	*ret = f;
	return true;
}
