/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counters of the kernel beside the tracepoint: NICs, XDP, softnet, conntrack, qdiscs, protocols.
 */
#include "conntrack/ct.h"
#include "drops/drops.h"
#include "iface/iface.h"
#include "kernel/query.h"
#include "kernel/rtmsg.h"
#include "kernel/shadow.h"

#include <ctype.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/gen_stats.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Statistics of a driver; the richest have some thousand. */
#define MAX_STATS 4096
#define PROC_MAX  (256u << 10)

/* ---- NICs ---- */

/* Drops of an XDP program, from the driver's own statistics, whose names only say what they are. */
static uint64_t xdp_drops(const char *ifname)
{
	static uint64_t buf[1 + MAX_STATS * ETH_GSTRING_LEN / 8], values[1 + MAX_STATS];
	struct ethtool_gstrings *names = (void *)buf;
	struct ethtool_stats *stats = (void *)values;
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq ifr = { .ifr_data = (void *)&info };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t sum = 0;

	rtr_strlcpy(ifr.ifr_name, ifname, sizeof(ifr.ifr_name));
	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &ifr) < 0 || !info.n_stats || info.n_stats > MAX_STATS)
		goto out;
	*names = (struct ethtool_gstrings){ .cmd = ETHTOOL_GSTRINGS,
					    .string_set = ETH_SS_STATS,
					    .len = info.n_stats };
	*stats = (struct ethtool_stats){ .cmd = ETHTOOL_GSTATS, .n_stats = info.n_stats };
	ifr.ifr_data = (void *)names;
	if (ioctl(fd, SIOCETHTOOL, &ifr) < 0)
		goto out;
	ifr.ifr_data = (void *)stats;
	if (ioctl(fd, SIOCETHTOOL, &ifr) < 0)
		goto out;
	for (uint32_t i = 0; i < MIN(names->len, stats->n_stats); i++) {
		char name[ETH_GSTRING_LEN + 1];

		memcpy(name, names->data + i * ETH_GSTRING_LEN, ETH_GSTRING_LEN);
		name[ETH_GSTRING_LEN] = '\0';
		/* "rx_queue_0_xdp_drops" of veth, "rx_xdp_drop" of mlx5; not "xdp_tx_drops". */
		if (strstr(name, "xdp_drop"))
			sum += stats->data[i];
	}
out:
	if (fd >= 0)
		close(fd);
	return sum;
}

static void put_nic(const char *ifname, enum rtr_drop reason, const char *name, uint64_t n)
{
	drops_put(&(struct drop_id){ DROP_AT_NIC, reason, name, ifname, "", false }, n, 0);
}

static void take_link(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[IFLA_MAX + 1], *xdp[IFLA_XDP_MAX + 1];
	const struct ifinfomsg *ifi = nlmsg_data(h);
	const struct shadow_link *l = shadow_link_by_index(ifi->ifi_index);
	struct rtnl_link_stats64 s = { 0 };
	const char *name = l ? iface_operator_name(l->name) : NULL;

	if (!l || nlmsg_parse((void *)(uintptr_t)h, sizeof(*ifi), tb, IFLA_MAX, NULL) ||
	    !tb[IFLA_STATS64])
		return;
	memcpy(&s, nla_data(tb[IFLA_STATS64]), MIN(sizeof(s), (size_t)nla_len(tb[IFLA_STATS64])));
	put_nic(name, RTR_DROP_RX_RING, "rx_missed",
		s.rx_missed_errors + s.rx_fifo_errors + s.rx_over_errors);
	put_nic(name, RTR_DROP_NONE, "rx_crc_errors", s.rx_crc_errors);
	put_nic(name, RTR_DROP_NONE, "rx_length_errors", s.rx_length_errors);
	put_nic(name, RTR_DROP_NONE, "rx_frame_errors", s.rx_frame_errors);
	put_nic(name, RTR_DROP_NONE, "rx_nohandler", s.rx_nohandler);
	put_nic(name, RTR_DROP_NONE, "tx_carrier_errors", s.tx_carrier_errors);
	put_nic(name, RTR_DROP_NONE, "tx_aborted_errors", s.tx_aborted_errors);
	put_nic(name, RTR_DROP_TX_RING, "tx_fifo", s.tx_fifo_errors);
	/* The kernel's own receive path counts here what the tracepoint sees with its reason. */
	if (drops_never_traced()) {
		put_nic(name, RTR_DROP_NONE, "rx_dropped", s.rx_dropped);
		put_nic(name, RTR_DROP_NONE, "tx_dropped", s.tx_dropped);
	}
	if (!drops_is_fast(l->ifindex) && tb[IFLA_XDP] &&
	    !nla_parse_nested(xdp, IFLA_XDP_MAX, tb[IFLA_XDP], NULL) && xdp[IFLA_XDP_ATTACHED] &&
	    nla_get_u8(xdp[IFLA_XDP_ATTACHED]))
		drops_put(&(struct drop_id){ DROP_AT_XDP, RTR_DROP_NONE, "XDP", name, "driver",
					     false },
			  xdp_drops(l->name), 0);
}

void drops_read_links(void)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };

	kquery_all(rtmsg_new(RTM_GETLINK, 0, &ifi, sizeof(ifi), RTMSG_SIZE), take_link, NULL);
}

/* ---- /proc/net ---- */

/* Columns of numbers, a line each CPU: the second and, from 2.6.36 on, the eleventh. */
void drops_read_softnet(void)
{
	char *text = NULL, *at, *end;
	size_t size;

	if (rtr_file_read("/proc/net/softnet_stat", PROC_MAX, &text, &size))
		return;
	at = text;
	for (unsigned line = 0; *at; line++) {
		uint64_t v[16] = { 0 };
		char where[DROP_WHERE];
		size_t n = 0;

		while (n < ARRAY_LEN(v) && *at && *at != '\n') {
			v[n] = strtoull(at, &end, 16);
			if (end == at)
				break;
			n++;
			at = end;
			at += strspn(at, " ");
		}
		at += strcspn(at, "\n");
		at += *at == '\n';
		/* The thirteenth is the CPU's number; before 5.10 the line's. */
		snprintf(where, sizeof(where), "CPU %u of the machine",
			 n > 12 ? (unsigned)v[12] : line);
		if (drops_never_traced())
			drops_put(&(struct drop_id){ DROP_AT_SOFTNET, RTR_DROP_NONE, "CPU_BACKLOG",
						     "", where, false },
				  v[1], 0);
		drops_put(&(struct drop_id){ DROP_AT_SOFTNET, RTR_DROP_NONE, "flow_limit", "",
					     where, false },
			  v[10], 0);
	}
	free(text);
}

struct counter {
	const char *group, *name;
	enum rtr_drop reason;
	enum drop_at at;
};

static const struct counter counters[] = {
	{ "Ip", "InHdrErrors", RTR_DROP_NONE, DROP_AT_STACK },
	{ "Ip", "InAddrErrors", RTR_DROP_NONE, DROP_AT_STACK },
	{ "Ip", "InUnknownProtos", RTR_DROP_NONE, DROP_AT_STACK },
	{ "Ip", "InDiscards", RTR_DROP_NONE, DROP_AT_STACK },
	{ "Ip", "OutDiscards", RTR_DROP_NONE, DROP_AT_STACK },
	{ "Ip", "OutNoRoutes", RTR_DROP_NO_ROUTE, DROP_AT_STACK },
	{ "Ip", "ReasmFails", RTR_DROP_NONE, DROP_AT_STACK },
	{ "Ip", "FragFails", RTR_DROP_MTU_DF, DROP_AT_STACK },
	{ "IpExt", "InNoRoutes", RTR_DROP_NO_ROUTE, DROP_AT_STACK },
	{ "IpExt", "InTruncatedPkts", RTR_DROP_IP4_LENGTH, DROP_AT_STACK },
	{ "IpExt", "InCsumErrors", RTR_DROP_IP4_CSUM, DROP_AT_STACK },
	{ "TcpExt", "IPReversePathFilter", RTR_DROP_URPF, DROP_AT_STACK },
	{ "TcpExt", "ListenDrops", RTR_DROP_NONE, DROP_AT_SOCKET },
	{ "TcpExt", "TCPBacklogDrop", RTR_DROP_NONE, DROP_AT_SOCKET },
	{ "TcpExt", "TCPRcvQDrop", RTR_DROP_NONE, DROP_AT_SOCKET },
	{ "TcpExt", "TCPZeroWindowDrop", RTR_DROP_NONE, DROP_AT_SOCKET },
	{ "Tcp", "InErrs", RTR_DROP_NONE, DROP_AT_SOCKET },
	{ "Udp", "RcvbufErrors", RTR_DROP_NONE, DROP_AT_SOCKET },
	{ "Udp", "NoPorts", RTR_DROP_NONE, DROP_AT_SOCKET },
	{ "Udp", "InCsumErrors", RTR_DROP_L4_CSUM, DROP_AT_SOCKET },
	{ "Ip6", "InHdrErrors", RTR_DROP_NONE, DROP_AT_STACK },
	{ "Ip6", "InTooBigErrors", RTR_DROP_MTU_IP6, DROP_AT_STACK },
	{ "Ip6", "InNoRoutes", RTR_DROP_NO_ROUTE, DROP_AT_STACK },
	{ "Ip6", "InAddrErrors", RTR_DROP_NONE, DROP_AT_STACK },
	{ "Ip6", "InUnknownProtos", RTR_DROP_NONE, DROP_AT_STACK },
	{ "Ip6", "InTruncatedPkts", RTR_DROP_IP6_LENGTH, DROP_AT_STACK },
	{ "Ip6", "InDiscards", RTR_DROP_NONE, DROP_AT_STACK },
	{ "Ip6", "OutDiscards", RTR_DROP_NONE, DROP_AT_STACK },
	{ "Ip6", "OutNoRoutes", RTR_DROP_NO_ROUTE, DROP_AT_STACK },
	{ "Ip6", "ReasmFails", RTR_DROP_NONE, DROP_AT_STACK },
	{ "Udp6", "RcvbufErrors", RTR_DROP_NONE, DROP_AT_SOCKET },
	{ "Udp6", "NoPorts", RTR_DROP_NONE, DROP_AT_SOCKET },
	{ "Udp6", "InCsumErrors", RTR_DROP_L4_CSUM, DROP_AT_SOCKET },
};

static void put_counter(const char *group, size_t n, const char *name, uint64_t v)
{
	for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
		const struct counter *c = &counters[i];
		char where[DROP_WHERE];

		if (strlen(c->group) != n || strncmp(c->group, group, n) != 0 ||
		    strcmp(c->name, name) != 0)
			continue;
		snprintf(where, sizeof(where), "%s %s", c->group, c->name);
		drops_put(&(struct drop_id){ c->at, c->reason, c->name, "", where, false }, v, 0);
	}
}

/* "Udp: NoPorts InErrors\nUdp: 0 3\n": names, then numbers. */
static void read_pairs(const char *path)
{
	char *text = NULL, *names, *numbers, *line;
	size_t size;

	if (rtr_file_read(path, PROC_MAX, &text, &size))
		return;
	for (names = text; *names; names = line) {
		char *a, *b;
		size_t n = strcspn(names, ":\n");

		numbers = names + strcspn(names, "\n");
		if (!*numbers)
			break;
		*numbers++ = '\0';
		line = numbers + strcspn(numbers, "\n");
		if (*line)
			*line++ = '\0';
		if (strncmp(numbers, names, n) != 0 || names[n] != ':')
			continue;
		a = names + n + 1;
		b = numbers + n + 1;
		while (*(a += strspn(a, " ")) && *(b += strspn(b, " "))) {
			char *end = a + strcspn(a, " ");
			bool last = !*end;

			*end = '\0';
			put_counter(names, n, a, strtoull(b, NULL, 10));
			if (last)
				break;
			a = end + 1;
			b += strcspn(b, " ");
		}
	}
	free(text);
}

/* "Ip6InNoRoutes                   	12" */
static void read_snmp6(void)
{
	char *text = NULL, *at, *next;
	size_t size;

	if (rtr_file_read("/proc/net/snmp6", PROC_MAX, &text, &size))
		return;
	for (at = text; *at; at = next) {
		size_t n = strcspn(at, " \t\n"), group = strcspn(at, "6") + 1;
		uint64_t v = strtoull(at + n, NULL, 10);

		next = at + strcspn(at, "\n");
		next += *next == '\n';
		if (group >= n)
			continue;
		at[n] = '\0';
		put_counter(at, group, at + group, v);
	}
	free(text);
}

void drops_read_protocols(void)
{
	read_pairs("/proc/net/snmp");
	read_pairs("/proc/net/netstat");
	read_snmp6();
}

/* ---- conntrack ---- */

static void put_ct(enum rtr_drop reason, const char *name, uint64_t n)
{
	drops_put(&(struct drop_id){ DROP_AT_CONNTRACK, reason, name, "", name, false }, n, 0);
}

void drops_read_conntrack(void)
{
	struct ct_cpu_stats *v = NULL;
	int n = ct_stats_get(&v);
	uint64_t drop = 0, insert_failed = 0, long_chain = 0;

	for (int i = 0; i < n; i++) {
		drop += v[i].drop;
		insert_failed += v[i].insert_failed;
		long_chain += v[i].chain_toolong;
	}
	if (n > 0)
		free(v);
	put_ct(RTR_DROP_FLOW_FULL, "drop", drop);
	put_ct(RTR_DROP_NONE, "insert_failed", insert_failed);
	put_ct(RTR_DROP_NONE, "chain_toolong", long_chain);
}

/* ---- qdiscs ---- */

static enum rtr_drop qdisc_reason(const char *kind)
{
	static const char *const aqm[] = { "fq_codel", "codel", "cake", "pie", "fq_pie" };

	for (size_t i = 0; i < ARRAY_LEN(aqm); i++) {
		if (!strcmp(kind, aqm[i]))
			return RTR_DROP_AQM;
	}
	return strcmp(kind, "red") ? RTR_DROP_QUEUE_FULL : RTR_DROP_WRED;
}

static void take_qdisc(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[TCA_MAX + 1], *st[TCA_STATS_MAX + 1];
	const struct tcmsg *t = nlmsg_data(h);
	const struct shadow_link *l = shadow_link_by_index(t->tcm_ifindex);
	struct gnet_stats_queue q = { 0 };
	char where[DROP_WHERE];
	const char *kind;

	/* The root counts what its classes drop. */
	if (!l || t->tcm_parent != TC_H_ROOT ||
	    nlmsg_parse((void *)(uintptr_t)h, sizeof(*t), tb, TCA_MAX, NULL) || !tb[TCA_KIND] ||
	    !tb[TCA_STATS2] || nla_parse_nested(st, TCA_STATS_MAX, tb[TCA_STATS2], NULL) ||
	    !st[TCA_STATS_QUEUE])
		return;
	kind = nla_get_string(tb[TCA_KIND]);
	memcpy(&q, nla_data(st[TCA_STATS_QUEUE]),
	       MIN(sizeof(q), (size_t)nla_len(st[TCA_STATS_QUEUE])));
	snprintf(where, sizeof(where), "%s %x:", kind, t->tcm_handle >> 16);
	drops_put(&(struct drop_id){ DROP_AT_QDISC, qdisc_reason(kind), kind,
				     iface_operator_name(l->name), where, false },
		  q.drops, 0);
}

void drops_read_qdiscs(void)
{
	struct tcmsg t = { .tcm_family = AF_UNSPEC };

	kquery_all(rtmsg_new(RTM_GETQDISC, 0, &t, sizeof(t), RTMSG_SIZE), take_qdisc, NULL);
}
