/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a line does beside deciding: it limits, logs, names a helper. */
#include "firewall/compile.h"
#include "firewall/fw.h"

#include "hash.h"
#include "rtr/logd.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <stdlib.h>
#include <string.h>

/* Log lines of one rule that may come at once. */
#define LOG_BURST 5
/* Bytes of a packet that a log line is made from: headers of IPv6 with options and of TCP. */
#define LOG_SNAPLEN 128

/* Sources that a per-source limit remembers: bounds memory. Beyond it new ones count as above the
 * limit, until the time of others is over. */
#define LIMIT_SOURCES 65536
/* A source that sent nothing new for so long starts afresh. */
#define LIMIT_IDLE_MS 60000

uint16_t fw_log_group(void)
{
	const char *name = nft_table_name();

	/* Several instances may share a network namespace: each its own group, out of the way of
	 * the small numbers that people use. */
	return (uint16_t)(20000 + hash_bytes(name, strlen(name), 0) % 20000);
}

void fwc_log(struct nft_chain *c, uint32_t id, const struct rec *rec, uint32_t lines_a_minute)
{
	struct nft_rule *r = nft_rule_new(0, rec, NULL);
	char prefix[32];

	snprintf(prefix, sizeof(prefix), LOGD_PREFIX "%08x", id);
	nft_ct_unconfirmed(r);
	nft_stateful(r, &(struct nft_stateful){
				.kind = NFT_S_LIMIT,
				.value = lines_a_minute ? lines_a_minute : FW_LOG_RATE,
				.unit_sec = 60,
				.burst = LOG_BURST,
			});
	nft_log(r, &(struct nft_log){
			   .prefix = prefix, .group = fw_log_group(), .snaplen = LOG_SNAPLEN });
	nft_chain_add(c, r);
}

/* ---- limits ---- */

static void limit_name(const struct pol_rule *r, const char *what, char name[FWC_NAME])
{
	snprintf(name, FWC_NAME, "limit.%08x.%s", r->id, what);
}

static void load_source(struct nft_rule *nr, const struct pol_rule *r)
{
	bool v6 = r->family == AF_INET6;

	nft_payload(nr, NFT_PAYLOAD_NETWORK_HEADER, v6 ? 8 : 12, v6 ? 16 : 4, NFT_REG_1);
}

static void drop_rule(struct nft_chain *c, struct nft_rule *nr)
{
	nft_counter(nr);
	nft_verdict(nr, NF_DROP);
	nft_chain_add(c, nr);
}

/* What a full set cannot take in ends its rule, and would go on as if it were below the limit. */
static void no_room(struct nft_chain *c, const struct pol_rule *r, const char *set)
{
	struct nft_rule *nr = nft_rule_new(FW_CNT_ID(FW_CNT_LIMIT), r->rec, "no room for a source");

	nft_ct_unconfirmed(nr);
	load_source(nr, r);
	nft_lookup(nr, set, NFT_REG_1, true);
	drop_rule(c, nr);
}

static void add_limit(struct nft_chain *c, const struct pol_rule *r, const struct nft_stateful *s,
		      const char *what, uint32_t op)
{
	struct nft_rule *nr = nft_rule_new(FW_CNT_ID(FW_CNT_LIMIT), r->rec, "above the limit");
	char name[FWC_NAME];

	/* A repeated SYN, a second datagram, is no new connection. */
	nft_ct_unconfirmed(nr);
	if (r->limit.per_source) {
		limit_name(r, what, name);
		load_source(nr, r);
		nft_dynset(nr, name, op, NFT_REG_1, 0, 0, s, 1);
	} else {
		nft_stateful(nr, s);
	}
	drop_rule(c, nr);
	if (r->limit.per_source)
		no_room(c, r, name);
}

static void limits(struct nft_chain *c, const struct pol_rule *r)
{
	if (r->limit.rate)
		add_limit(c, r,
			  &(struct nft_stateful){ .kind = NFT_S_LIMIT,
						  .value = r->limit.rate,
						  .unit_sec = 1,
						  .burst = r->limit.burst ? r->limit.burst
									  : r->limit.rate,
						  .over = true },
			  "rate", NFT_DYNSET_OP_UPDATE);
	if (r->limit.conns)
		add_limit(c, r,
			  &(struct nft_stateful){
				  .kind = NFT_S_CONNLIMIT, .value = r->limit.conns, .over = true },
			  "conns", NFT_DYNSET_OP_ADD);
}

static void limit_set(struct fwc *f, const struct pol_rule *r, const char *what, bool timeout)
{
	bool v6 = r->family == AF_INET6;
	char name[FWC_NAME];

	limit_name(r, what, name);
	if (nft_table_set(f->t, name))
		return;
	nft_table_add_set(f->t, nft_set_new(&(struct nft_set_spec){
					.name = name,
					.flags = NFT_SET_EVAL | (timeout ? NFT_SET_TIMEOUT : 0),
					.key_type = v6 ? NFT_T_IP6ADDR : NFT_T_IPADDR,
					.key_size = v6 ? 16 : 4,
					.timeout_ms = timeout ? LIMIT_IDLE_MS : 0,
					.size = LIMIT_SOURCES,
					.rec = r->rec }));
}

/* ---- helpers ---- */

static void helper_name(const struct pol_rule *r, uint8_t l4, char name[FWC_NAME])
{
	snprintf(name, FWC_NAME, "helper.%s.%d.%u", r->helper, r->family == AF_INET6 ? 6 : 4, l4);
}

static uint8_t helper_proto(const char *helper)
{
#define X(word, kernel, proto)                                                                     \
	if (!strcmp(helper, kernel))                                                               \
		return proto;
	FW_HELPERS(X)
#undef X
	return IPPROTO_TCP;
}

static void use_helper(struct nft_chain *c, const struct pol_rule *r)
{
	uint8_t l4 = helper_proto(r->helper);
	struct nft_rule *nr = nft_rule_new(0, r->rec, NULL);
	char name[FWC_NAME];

	helper_name(r, l4, name);
	nft_l4proto_is(nr, l4);
	nft_obj_use(nr, NFT_OBJECT_CT_HELPER, name);
	nft_chain_add(c, nr);
}

static void helper_object(struct fwc *f, const struct pol_rule *r)
{
	uint8_t l4 = helper_proto(r->helper);
	struct nft_obj *o;
	char name[FWC_NAME];

	helper_name(r, l4, name);
	if (nft_table_obj(f->t, name))
		return;
	o = nft_obj_helper(name, r->helper, r->family == AF_INET6 ? NFPROTO_IPV6 : NFPROTO_IPV4,
			   l4);
	nft_obj_set_rec(o, r->rec);
	nft_table_add_obj(f->t, o);
}

/* ---- both ---- */

void fwc_effects(void *arg, struct nft_chain *c, const struct pol_rule *r)
{
	limits(c, r);
	if (r->helper)
		use_helper(c, r);
	if (r->log)
		fwc_log(c, r->id, r->rec, r->log_rate);
}

void fwc_effect_objects(struct fwc *f, const struct pol_list *l)
{
	for (size_t i = 0; i < l->n && !l->no_effects; i++) {
		const struct pol_rule *r = l->rules[i];

		if (r->limit.rate && r->limit.per_source)
			limit_set(f, r, "rate", true);
		if (r->limit.conns && r->limit.per_source)
			limit_set(f, r, "conns", false);
		if (r->helper)
			helper_object(f, r);
	}
}
