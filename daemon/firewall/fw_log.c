/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/fw_log.h"

#include "firewall/compile.h"
#include "firewall/fw_show.h"
#include "kernel/shadow.h"
#include "system/log.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Messages read in one turn of the loop; the rest waits in the socket, and what has no room there
 * the kernel drops. */
#define TURN 32
/* Lines a second of all rules together: syslog is a neighbour. */
#define LINES_SEC 200

static struct {
	struct mnl_socket *nl;
	struct event *ev;
} k;

/* ---- headers ---- */

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
	       proto == IPPROTO_DCCP || proto == IPPROTO_UDPLITE;
}

static void take_l4(const uint8_t *b, size_t n, struct pol_packet *p)
{
	if (n < 4)
		return;
	if (has_ports(p->proto)) {
		p->sport = (uint16_t)(b[0] << 8 | b[1]);
		p->dport = (uint16_t)(b[2] << 8 | b[3]);
	} else if (p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6) {
		p->icmp_type = b[0];
		p->icmp_code = b[1];
	}
}

bool fw_log_packet(const uint8_t *b, size_t n, struct pol_packet *ret)
{
	struct pol_packet p = { 0 };
	size_t head;

	if (n >= 20 && b[0] >> 4 == 4) {
		head = (b[0] & 15) * 4u;
		p.family = AF_INET;
		p.proto = b[9];
		memcpy(p.src.b, b + 12, 4);
		memcpy(p.dst.b, b + 16, 4);
		/* A later fragment has no ports; what stands there is data. */
		p.later_fragment = (b[6] & 0x1f) || b[7];
	} else if (n >= 40 && b[0] >> 4 == 6) {
		head = 40;
		p.family = AF_INET6;
		p.proto = b[6];
		memcpy(p.src.b, b + 8, 16);
		memcpy(p.dst.b, b + 24, 16);
	} else {
		return false;
	}
	p.src.family = p.dst.family = p.family;
	if (head >= 20 && head <= n && !p.later_fragment)
		take_l4(b + head, n - head, &p);
	*ret = p;
	return true;
}

/* ---- messages ---- */

static const char *did(enum pol_action a)
{
	return a == POL_PERMIT || a == POL_PASS ? "permitted"
	       : a == POL_REJECT                ? "rejected"
						: "denied";
}

static void proto_text(uint8_t proto, char buf[8])
{
	const char *name = proto == IPPROTO_TCP      ? "tcp"
			   : proto == IPPROTO_UDP    ? "udp"
			   : proto == IPPROTO_ICMP   ? "icmp"
			   : proto == IPPROTO_ICMPV6 ? "icmpv6"
						     : NULL;

	if (name)
		rtr_strlcpy(buf, name, 8);
	else
		snprintf(buf, 8, "%u", proto);
}

/* note: behind the interface; "" none. */
static void tell(const char *who, enum pol_action a, const char *in, const struct pol_packet *p,
		 const char *note)
{
	static struct log_limit lim;
	char src[RTR_ADDR_STRLEN], dst[RTR_ADDR_STRLEN], proto[8];

	rtr_addr_str(&p->src, src);
	rtr_addr_str(&p->dst, dst);
	proto_text(p->proto, proto);
	if (has_ports(p->proto))
		log_event_limited(&lim, LINES_SEC, "SEC", LOG_L_INFO, "IPACCESSLOGP",
				  "list %s %s %s %s(%u) -> %s(%u), 1 packet [%s]%s%s", who, did(a),
				  proto, src, p->sport, dst, p->dport, in, *note ? " " : "", note);
	else if (p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6)
		log_event_limited(&lim, LINES_SEC, "SEC", LOG_L_INFO, "IPACCESSLOGDP",
				  "list %s %s %s %s -> %s (%u/%u), 1 packet [%s]", who, did(a),
				  proto, src, dst, p->icmp_type, p->icmp_code, in);
	else
		log_event_limited(&lim, LINES_SEC, "SEC", LOG_L_INFO, "IPACCESSLOGNP",
				  "list %s %s %s %s -> %s, 1 packet [%s]", who, did(a), proto, src,
				  dst, in);
}

static enum pol_action action_of(const struct policy *p, pol_id id)
{
	const struct pol_rule *r = policy_rule(p, id, NULL);
	const struct pol_pair *pair;
	const struct pol_class *c = r ? NULL : policy_class(p, id, &pair);

	return r ? r->action : c ? c->action : POL_DENY;
}

/* ---- lines with server names, whose packets the kernel does not log ---- */

/* Rules that logged lately; the one that is longest silent makes room. */
#define NAME_RULES 64

static struct name_rule {
	pol_id id;
	unsigned n;
	uint64_t minute_ns;
} name_rules[NAME_RULES];

/* As many lines a minute as the line says. */
static bool may_log(pol_id id, uint32_t rate)
{
	uint64_t now = rtr_now_ns();
	struct name_rule *x = &name_rules[0];

	for (size_t i = 0; i < NAME_RULES; i++) {
		if (name_rules[i].id == id) {
			x = &name_rules[i];
			break;
		}
		if (name_rules[i].minute_ns < x->minute_ns)
			x = &name_rules[i];
	}
	if (x->id != id || now - x->minute_ns >= 60 * NSEC_PER_SEC)
		*x = (struct name_rule){ .id = id, .minute_ns = now };
	return x->n++ < (rate ? rate : FW_LOG_RATE);
}

void fw_log_name(pol_id id, enum pol_action did, int ifindex, const struct pol_packet *p,
		 const char *name)
{
	const struct policy *now = policy_running();
	const struct pol_rule *r = now ? policy_rule(now, id, NULL) : NULL;
	const struct pol_pair *pair;
	const struct pol_class *c = now && !r ? policy_class(now, id, &pair) : NULL;
	const struct shadow_link *l = shadow_link_by_index(ifindex);
	struct strbuf who = STRBUF_INIT;

	if (((r && r->log) || (c && c->log)) && may_log(id, r ? r->log_rate : 0) &&
	    fw_id_text(now, id, &who))
		tell(strbuf_str(&who), did, l ? l->name : "local", p, name);
	strbuf_fini(&who);
}

static int attr_cb(const struct nlattr *a, void *arg)
{
	const struct nlattr **tb = arg;

	if (mnl_attr_type_valid(a, NFULA_MAX) >= 0)
		tb[mnl_attr_get_type(a)] = a;
	return MNL_CB_OK;
}

/* "rtr 0123abcd" */
static pol_id id_of(const struct nlattr *prefix)
{
	const char *text = prefix && !mnl_attr_validate(prefix, MNL_TYPE_NUL_STRING)
				   ? mnl_attr_get_str(prefix)
				   : "";
	size_t n = strlen(FW_LOG_PREFIX);

	return strncmp(text, FW_LOG_PREFIX, n) ? 0 : (pol_id)strtoul(text + n, NULL, 16);
}

static int message(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *tb[NFULA_MAX + 1] = { 0 };
	const struct policy *p = policy_running();
	const struct shadow_link *l = NULL;
	struct strbuf who = STRBUF_INIT;
	struct pol_packet pkt;
	pol_id id;

	if (h->nlmsg_type != (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET) ||
	    mnl_attr_parse(h, sizeof(struct nfgenmsg), attr_cb, (void *)tb) < 0)
		return MNL_CB_OK;
	id = id_of(tb[NFULA_PREFIX]);
	if (tb[NFULA_IFINDEX_INDEV] && mnl_attr_get_payload_len(tb[NFULA_IFINDEX_INDEV]) == 4)
		l = shadow_link_by_index((int)ntohl(mnl_attr_get_u32(tb[NFULA_IFINDEX_INDEV])));
	if (id && p && tb[NFULA_PAYLOAD] && fw_id_text(p, id, &who) &&
	    fw_log_packet(mnl_attr_get_payload(tb[NFULA_PAYLOAD]),
			  mnl_attr_get_payload_len(tb[NFULA_PAYLOAD]), &pkt))
		tell(strbuf_str(&who), action_of(p, id), l ? l->name : "local", &pkt, "");
	strbuf_fini(&who);
	return MNL_CB_OK;
}

static void readable(evutil_socket_t fd, short what, void *arg)
{
	char buf[16384] __attribute__((aligned(8)));

	for (unsigned i = 0; i < TURN; i++) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n <= 0)
			return;
		mnl_cb_run(buf, (size_t)n, 0, 0, message, NULL);
	}
}

/* ---- the group ---- */

static struct nlmsghdr *config(char *buf)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *g;

	h->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->nfgen_family = AF_UNSPEC;
	g->version = NFNETLINK_V0;
	g->res_id = htons(fw_log_group());
	return h;
}

static int talk(struct nlmsghdr *h)
{
	char buf[4096] __attribute__((aligned(8)));
	ssize_t n;

	if (mnl_socket_sendto(k.nl, h, h->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(k.nl, buf, sizeof(buf));
	return n < 0 || mnl_cb_run(buf, (size_t)n, 0, mnl_socket_get_portid(k.nl), NULL, NULL) < 0
		       ? -errno
		       : 0;
}

static int bind_group(void)
{
	char buf[512] __attribute__((aligned(8)));
	struct nfulnl_msg_config_cmd cmd = { .command = NFULNL_CFG_CMD_BIND };
	struct nfulnl_msg_config_mode mode = { .copy_range = htonl(128),
					       .copy_mode = NFULNL_COPY_PACKET };
	struct nlmsghdr *h = config(buf);
	int r;

	mnl_attr_put(h, NFULA_CFG_CMD, sizeof(cmd), &cmd);
	r = talk(h);
	if (r)
		return r;
	h = config(buf);
	mnl_attr_put(h, NFULA_CFG_MODE, sizeof(mode), &mode);
	/* At once: the lines are few. */
	mnl_attr_put_u32(h, NFULA_CFG_QTHRESH, htonl(1));
	return talk(h);
}

void fw_log_init(struct event_base *base)
{
	int r = 0;

	k.nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!k.nl || mnl_socket_bind(k.nl, 0, MNL_SOCKET_AUTOPID) < 0)
		r = -errno;
	if (!r)
		r = bind_group();
	if (r) {
		log_event("SEC", LOG_L_WARN, "NOLOG",
			  "Lines with log are not logged: the kernel gives no packets (%s)",
			  strerror(-r));
		fw_log_fini();
		return;
	}
	k.ev = event_new(base, mnl_socket_get_fd(k.nl), EV_READ | EV_PERSIST, readable, NULL);
	event_add(k.ev, NULL);
}

void fw_log_fini(void)
{
	if (k.ev)
		event_free(k.ev);
	if (k.nl)
		mnl_socket_close(k.nl);
	k.ev = NULL;
	k.nl = NULL;
}
