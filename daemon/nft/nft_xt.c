/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which revisions of x_tables extensions nft_compat offers. */
#include "nft/nft_expr.h"
#include "nft/nft_query.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

bool nft_xt_revision(uint8_t family, const char *name, uint32_t rev, bool target)
{
	struct nfgenmsg nf = { .nfgen_family = family, .version = NFNETLINK_V0 };
	struct nl_msg *m = nlmsg_alloc_size(512);
	struct nftq q;
	union {
		struct nlmsghdr h;
		char b[1024];
	} buf;
	bool there = false;

	if (!m ||
	    !nlmsg_put(m, 0, 0, NFNL_SUBSYS_NFT_COMPAT << 8 | NFNL_MSG_COMPAT_GET, 0,
		       NLM_F_REQUEST | NLM_F_ACK) ||
	    nlmsg_append(m, &nf, sizeof(nf), NLMSG_ALIGNTO) ||
	    nla_put_string(m, NFTA_COMPAT_NAME, name) ||
	    nla_put_u32(m, NFTA_COMPAT_REV, htonl(rev)) ||
	    nla_put_u32(m, NFTA_COMPAT_TYPE, htonl(target)))
		abort();
	/* The answer is a message of its own; an error is that no such revision is. */
	if (!nftq_open(&q)) {
		there = send(q.fd, nlmsg_hdr(m), nlmsg_hdr(m)->nlmsg_len, 0) > 0 &&
			recv(q.fd, &buf, sizeof(buf), MSG_DONTWAIT) > 0 &&
			buf.h.nlmsg_type != NLMSG_ERROR;
		nftq_close(&q);
	}
	nlmsg_free(m);
	return there;
}
