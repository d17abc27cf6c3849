/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections whose server name is awaited, to the queue of rtr-inspectd: docs/design/inspect.md.
 */
#include "firewall/compile.h"

#include "hash.h"
#include "inspect/inspect.h"

#include <linux/netfilter_ipv4.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#define TCPOPT_FASTOPEN 34

uint16_t fw_queue(void)
{
	const char *name = nft_table_name();

	/* Several instances may share a network namespace. */
	return (uint16_t)(20000 + hash_bytes(name, strlen(name), 0) % 20000);
}

static void label_is(struct nft_rule *r, const uint32_t mask[4], uint32_t op,
		     const uint32_t want[4])
{
	static const uint32_t zero[4];

	nft_ct(r, NFT_CT_LABELS, NFT_REG_1);
	nft_bitwise(r, NFT_REG_1, NFT_REG_1, 16, mask, zero);
	nft_cmp(r, NFT_REG_1, op, want, 16);
}

static void denied(struct fwc *f, struct nft_chain *c, int word, bool reject)
{
	struct nft_rule *r = nft_rule_new(FW_CNT_ID(FW_CNT_NAME), NULL, "server name");
	uint32_t mask[4] = { [0] = 0 }, want[4] = { [0] = 0 };

	mask[word] = UINT32_MAX;
	want[word] = reject ? inspect_rejected((unsigned)word) : inspect_denied((unsigned)word);
	label_is(r, mask, NFT_CMP_EQ, want);
	nft_counter(r);
	if (reject)
		nft_goto(r, fwc_reject(f));
	else
		nft_verdict(r, NF_DROP);
	nft_chain_add(c, r);
}

/* First packets. A SYN carries nothing to read, unless it uses Fast Open: then it is dropped, and
 * the client's next one does without. What begins in the middle has no hello: a reset, and the
 * client begins anew. */
static void first_packets(struct fwc *f, struct nft_chain *c, bool fail_open)
{
	static const uint8_t mask = 0x17, syn = 0x02, none, there = 1;
	struct nft_rule *r;

	if (!fail_open) {
		r = nft_rule_new(FW_CNT_ID(FW_CNT_NAME), NULL, "TCP Fast Open");
		nft_ct_state(r, NFT_CT_NEW);
		nft_l4proto_is(r, IPPROTO_TCP);
		nft_exthdr(r, NFT_EXTHDR_OP_TCPOPT, TCPOPT_FASTOPEN, 0, 1, NFT_EXTHDR_F_PRESENT,
			   NFT_REG_1);
		nft_cmp(r, NFT_REG_1, NFT_CMP_EQ, &there, 1);
		nft_counter(r);
		nft_verdict(r, NF_DROP);
		nft_chain_add(c, r);
		r = nft_rule_new(FW_CNT_ID(FW_CNT_NAME), NULL, "no first packet");
		nft_ct_state(r, NFT_CT_NEW);
		nft_l4proto_is(r, IPPROTO_TCP);
		nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1, NFT_REG_1);
		nft_bitwise(r, NFT_REG_1, NFT_REG_1, 1, &mask, &none);
		nft_cmp(r, NFT_REG_1, NFT_CMP_NEQ, &syn, 1);
		nft_counter(r);
		nft_goto(r, fwc_reject(f));
		nft_chain_add(c, r);
	}
	r = nft_rule_new(0, NULL, NULL);
	nft_ct_state(r, NFT_CT_NEW);
	nft_verdict(r, NF_ACCEPT);
	nft_chain_add(c, r);
}

static void queue(struct nft_chain *c, bool fail_open)
{
	const uint32_t mask[4] = { inspect_wait(0), inspect_wait(1), inspect_wait(2), 0 };
	static const uint32_t zero[4];
	struct nft_rule *r = nft_rule_new(0, NULL, NULL);

	/* Asked again: what is not tracked has no label, and ends every rule that asks. */
	label_is(r, mask, NFT_CMP_NEQ, zero);
	if (nft_cap(NFT_CAP_QUEUE))
		nft_queue(r, fw_queue(), 1, fail_open ? NFT_QUEUE_FLAG_BYPASS : 0);
	else
		nft_xt_nfqueue(r, fw_queue(), 1, fail_open);
	nft_chain_add(c, r);
}

/* Those that do not wait leave the chain by its first rule. */
static void pass_others(struct nft_chain *c, bool forward)
{
	const uint32_t mask[4] = { forward ? 0 : inspect_wait(0), inspect_wait(1), inspect_wait(2),
				   0 };
	static const uint32_t zero[4];
	struct nft_rule *r = nft_rule_new(0, NULL, NULL);

	label_is(r, mask, NFT_CMP_EQ, zero);
	nft_verdict(r, NF_ACCEPT);
	nft_chain_add(c, r);
}

/* A zone pair and an access list `out` are asked in forward. */
static void inspect_new(struct fwc *f, bool fail_open)
{
	struct nft_chain *c = fwc_base("fw-inspect-new", NF_INET_FORWARD, NF_IP_PRI_FILTER + 11,
				       NF_ACCEPT);
	struct nft_rule *r = nft_rule_new(0, NULL, NULL);

	nft_ct_state(r, NFT_CT_ESTABLISHED | NFT_CT_RELATED | NFT_CT_INVALID | NFT_CT_UNTRACKED);
	nft_verdict(r, NF_ACCEPT);
	nft_chain_add(c, r);
	pass_others(c, true);
	first_packets(f, c, fail_open);
	nft_table_add_chain(f->t, c);
}

void fwc_inspect(struct fwc *f, const struct rec *want)
{
	bool fail_open = inspect_fail_open(want);
	struct nft_chain *c;

	if (!pol_tls_used(f->p))
		return;
	c = fwc_base("fw-inspect", NF_INET_PRE_ROUTING, NF_IP_PRI_MANGLE + 1, NF_ACCEPT);
	pass_others(c, false);
	for (int word = 0; word < INSPECT_WORDS; word++) {
		denied(f, c, word, false);
		denied(f, c, word, true);
	}
	first_packets(f, c, fail_open);
	queue(c, fail_open);
	nft_table_add_chain(f->t, c);
	inspect_new(f, fail_open);
}
