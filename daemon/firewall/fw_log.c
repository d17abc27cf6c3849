/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/fw_log.h"

#include "cli/command.h"
#include "firewall/compile.h"
#include "firewall/fw_show.h"
#include "kernel/shadow.h"
#include "rtr/logd.h"
#include "system/log.h"
#include "system/program.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Lines a second of all rules together: syslog is a neighbour. */
#define LINES_SEC 200
/* Between two starts of rtr-logd; the kernel's socket keeps what comes meanwhile. */
#define RESTART_MIN_MS 100
#define RESTART_MAX_MS 10000
/* The rtr-logd of an rtrd that was killed has its socket until it sees that: tried again after
 * this, twice as long each time, up to the second. Told when it takes longer than the third. */
#define GROUP_MIN_MS  10
#define GROUP_MAX_MS  1000
#define GROUP_TELL_MS 500

static struct {
	struct mnl_socket *nl;
	struct event *ev_group; /* until we have the group */
	unsigned wait_ms;
	bool busy; /* another has it */
	struct event *ev_first, *ev_lost;
	struct program prog;
	uint32_t seq; /* that the next packet has */
	uint64_t n_packets, n_unreadable, n_lost;
	uint64_t told; /* of n_lost */
} k;

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
	       proto == IPPROTO_DCCP || proto == IPPROTO_UDPLITE;
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

/* ---- what rtr-logd reads ---- */

static void take_packet(const struct logd_event *e)
{
	const struct policy *p = policy_running();
	const struct shadow_link *l = e->ifindex ? shadow_link_by_index((int)e->ifindex) : NULL;
	struct pol_packet pkt = { .family = e->family,
				  .proto = e->proto,
				  .src.family = e->family,
				  .dst.family = e->family,
				  .sport = ntohs(e->sport),
				  .dport = ntohs(e->dport),
				  .icmp_type = e->icmp_type,
				  .icmp_code = e->icmp_code };
	struct strbuf who = STRBUF_INIT;

	memcpy(pkt.src.b, e->src, rtr_family_size(e->family));
	memcpy(pkt.dst.b, e->dst, rtr_family_size(e->family));
	if (e->rule && p && fw_id_text(p, e->rule, &who))
		tell(strbuf_str(&who), action_of(p, e->rule), l ? l->name : "local", &pkt, "");
	strbuf_fini(&who);
}

/* The first gap, and what was lost within a second of it, make one line. */
static void tell_lost(evutil_socket_t fd, short what, void *arg)
{
	log_event("SEC", LOG_L_WARN, "LOGLOST",
		  "%llu packets of lines with log were lost before they could be read",
		  (unsigned long long)(k.n_lost - k.told));
	k.told = k.n_lost;
}

static void take_event(const void *event)
{
	static const struct timeval second = { 1, 0 };
	const struct logd_event *e = event;
	uint32_t gap = e->seq - k.seq;

	/* A number from behind is none of the kernel's. */
	if (gap > INT32_MAX)
		return;
	k.seq = e->seq + 1;
	k.n_lost += gap;
	k.n_packets++;
	if (gap && !evtimer_pending(k.ev_lost, NULL))
		event_add(k.ev_lost, &second);
	if (e->family == AF_INET || e->family == AF_INET6)
		take_packet(e);
	else
		k.n_unreadable++;
}

static void talk(void)
{
	static const struct logd_req q = { .op = LOGD_SOCKET };

	/* An empty queue has room for one. */
	program_send_fd(&k.prog, &q, sizeof(q), mnl_socket_get_fd(k.nl));
}

static void forget(void)
{
}

static void complain(void)
{
	log_event("SEC", LOG_L_WARN, "LOGD",
		  "rtr-logd ended: lines with log are logged when it runs again");
}

static void first_packet(evutil_socket_t fd, short what, void *arg)
{
	program_start(&k.prog);
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

static int talk_kernel(struct nlmsghdr *h)
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
	r = talk_kernel(h);
	if (r)
		return r;
	h = config(buf);
	mnl_attr_put(h, NFULA_CFG_MODE, sizeof(mode), &mode);
	/* At once: the lines are few. */
	mnl_attr_put_u32(h, NFULA_CFG_QTHRESH, htonl(1));
	mnl_attr_put_u16(h, NFULA_CFG_FLAGS, htons(NFULNL_CFG_F_SEQ));
	return talk_kernel(h);
}

static int open_group(void)
{
	int one = 1;

	k.nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!k.nl || mnl_socket_bind(k.nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	/* What has no room the kernel counts: the numbers of the packets have a gap. */
	if (mnl_socket_setsockopt(k.nl, NETLINK_NO_ENOBUFS, &one, sizeof(one)) < 0)
		return -errno;
	return bind_group();
}

static void close_group(void)
{
	if (k.nl)
		mnl_socket_close(k.nl);
	k.nl = NULL;
}

static void try_later(void)
{
	struct timeval tv = { .tv_sec = k.wait_ms / 1000,
			      .tv_usec = (suseconds_t)(k.wait_ms % 1000) * 1000 };

	k.busy = true;
	event_add(k.ev_group, &tv);
	if (k.wait_ms < GROUP_TELL_MS && k.wait_ms * 2 >= GROUP_TELL_MS)
		log_event("SEC", LOG_L_WARN, "NOLOG",
			  "Lines with log are not logged while another program has the group of "
			  "this instance (%u)",
			  fw_log_group());
	k.wait_ms = MIN(k.wait_ms * 2, GROUP_MAX_MS);
}

static void get_group(evutil_socket_t nothing, short what, void *arg)
{
	int r = open_group();

	k.busy = false;
	if (r) {
		close_group();
		/* What nfnetlink_log says of a group that is another socket's. */
		if (r == -EPERM || r == -EBUSY)
			try_later();
		else
			log_event("SEC", LOG_L_WARN, "NOLOG",
				  "Lines with log are not logged: the kernel gives no packets (%s)",
				  strerror(-r));
		return;
	}
	/* Once: from then on rtr-logd reads it. */
	k.ev_first = event_new(arg, mnl_socket_get_fd(k.nl), EV_READ, first_packet, NULL);
	if (!k.ev_first)
		abort();
	event_add(k.ev_first, NULL);
}

void fw_log_init(struct event_base *base)
{
	k.prog = (struct program){ .number = PARENT_PROG_LOGD,
				   .restart_min_ms = RESTART_MIN_MS,
				   .restart_max_ms = RESTART_MAX_MS,
				   .event_size = sizeof(struct logd_event),
				   .take_event = take_event,
				   .talk = talk,
				   .forget = forget,
				   .complain = complain };
	k.wait_ms = GROUP_MIN_MS;
	k.ev_lost = evtimer_new(base, tell_lost, NULL);
	k.ev_group = evtimer_new(base, get_group, base);
	if (program_init(&k.prog) || !k.ev_lost || !k.ev_group)
		abort();
	get_group(-1, 0, base);
}

void fw_log_fini(void)
{
	if (k.prog.ev_start)
		program_fini(&k.prog);
	if (k.ev_first)
		event_free(k.ev_first);
	if (k.ev_lost)
		event_free(k.ev_lost);
	if (k.ev_group)
		event_free(k.ev_group);
	close_group();
	k.ev_first = k.ev_lost = k.ev_group = NULL;
	k.busy = false;
	k.seq = 0;
	k.n_packets = k.n_unreadable = k.n_lost = k.told = 0;
}

/* ---- show firewall log ---- */

json_t *fw_log_show(struct cmd_ctx *c)
{
	return json_pack("{s:s,s:i,s:I,s:I,s:I,s:I}", "state",
			 k.busy                  ? "another has the group"
			 : !k.nl                 ? "no packets from the kernel"
			 : program_runs(&k.prog) ? "running"
			 : k.n_packets           ? "not running"
						 : "no packet yet",
			 "group", (int)fw_log_group(), "starts", (json_int_t)k.prog.n_starts,
			 "packets", (json_int_t)k.n_packets, "unreadable",
			 (json_int_t)k.n_unreadable, "lost", (json_int_t)k.n_lost);
}

void fw_log_print(struct cmd_ctx *c, const json_t *doc)
{
	static const struct {
		const char *key, *text;
	} rows[] = {
		{ "packets", "Packets read" },
		{ "unreadable", "  of no family, or too short" },
		{ "lost", "Packets lost before they could be read" },
	};

	cmd_printf(c, "Lines with log: rtr-logd %s, group %lld\n",
		   json_string_value(json_object_get(doc, "state")),
		   (long long)json_integer_value(json_object_get(doc, "group")));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		cmd_printf(c, "  %-40s %12lld\n", rows[i].text,
			   (long long)json_integer_value(json_object_get(doc, rows[i].key)));
}
