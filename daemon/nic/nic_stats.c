/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The driver's own counters, those of each queue. Every driver has names of its own for them. */
#include "kernel/genl.h"
#include "kernel/rtmsg.h"
#include "nic/nic.h"

#include <ctype.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The richest drivers have some thousand. */
#define MAX_STATS 8192

/* "3" of "3_packets"; *s moves behind it and one separator. */
static bool queue_number(const char **s, unsigned *ret)
{
	const char *at = *s;
	unsigned long v;
	char *end;

	if (!isdigit((unsigned char)*at))
		return false;
	v = strtoul(at, &end, 10);
	if (v >= 4096 || !*end || !strchr("_.:- ", *end))
		return false;
	*ret = (unsigned)v;
	*s = end + 1 + strspn(end + 1, " ");
	return true;
}

/* rx_queue_0_packets (virtio, igb, ixgbe), rx0_packets (mlx5, older virtio), rx-0.packets (i40e),
 * rx_0_bytes, queue_0_rx_cnt (ena), [0]: rx_ucast_packets (bnxt). */
bool nic_stat_name(const char *name, bool *ret_tx, unsigned *ret_queue, char ret[40])
{
	const char *s = name;

	if (*s == '[') {
		char *end;

		*ret_queue = (unsigned)strtoul(s + 1, &end, 10);
		s = end;
		if (*s != ']')
			return false;
		s += 1 + strspn(s + 1, ": ");
		if (strncmp(s, "rx_", 3) && strncmp(s, "tx_", 3))
			return false;
		*ret_tx = *s == 't';
		rtr_strlcpy(ret, s + 3, 40);
		return *ret;
	}
	if (!strncmp(s, "queue_", 6)) {
		s += 6;
		if (!queue_number(&s, ret_queue) || (strncmp(s, "rx_", 3) && strncmp(s, "tx_", 3)))
			return false;
		*ret_tx = *s == 't';
		rtr_strlcpy(ret, s + 3, 40);
		return *ret;
	}
	if (strncmp(s, "rx", 2) && strncmp(s, "tx", 2))
		return false;
	*ret_tx = *s == 't';
	s += 2;
	if (*s == '_' || *s == '-')
		s++;
	if (!strncmp(s, "queue_", 6))
		s += 6;
	if (!queue_number(&s, ret_queue))
		return false;
	/* "tx_64_byte_packets", "rx_65_to_127_byte_packets" are sizes. */
	if (!strncmp(s, "byte_", 5) || !strncmp(s, "to_", 3))
		return false;
	rtr_strlcpy(ret, s, 40);
	return *ret;
}

/* 0 or the number of them; *ret_names and *ret_values are the caller's. */
static uint32_t read_stats(const char *ifname, struct ethtool_gstrings **ret_names,
			   struct ethtool_stats **ret_values)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq ifr = { .ifr_data = (void *)&info };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint32_t n = 0;

	*ret_names = NULL;
	*ret_values = NULL;
	rtr_strlcpy(ifr.ifr_name, ifname, sizeof(ifr.ifr_name));
	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &ifr) < 0 || info.n_stats > MAX_STATS)
		goto out;
	*ret_names = xcalloc(1, sizeof(**ret_names) + (size_t)info.n_stats * ETH_GSTRING_LEN);
	**ret_names = (struct ethtool_gstrings){ .cmd = ETHTOOL_GSTRINGS,
						 .string_set = ETH_SS_STATS,
						 .len = info.n_stats };
	*ret_values = xcalloc(1, sizeof(**ret_values) + (size_t)info.n_stats * sizeof(uint64_t));
	**ret_values = (struct ethtool_stats){ .cmd = ETHTOOL_GSTATS, .n_stats = info.n_stats };
	ifr.ifr_data = (void *)*ret_names;
	if (ioctl(fd, SIOCETHTOOL, &ifr) < 0)
		goto out;
	ifr.ifr_data = (void *)*ret_values;
	if (ioctl(fd, SIOCETHTOOL, &ifr) < 0)
		goto out;
	n = MIN((*ret_names)->len, (*ret_values)->n_stats);
out:
	if (fd >= 0)
		close(fd);
	return n;
}

static json_t *entry_of(json_t *out, bool tx, unsigned queue)
{
	const char *dir = tx ? "tx" : "rx";
	json_t *o;
	size_t i;

	json_array_foreach(out, i, o) {
		if (json_integer_value(json_object_get(o, "queue")) == queue &&
		    !strcmp(json_string_value(json_object_get(o, "direction")), dir))
			return json_object_get(o, "counters");
	}
	o = json_pack("{s:s,s:i,s:{}}", "direction", dir, "queue", (int)queue, "counters");
	json_array_append_new(out, o);
	return json_object_get(o, "counters");
}

/* ---- since Linux 6.10 the drivers that tell it to the family "netdev" no more tell ethtool ----
 */

enum { MSG_QSTATS_GET = 12, QSTATS_SCOPE_QUEUE = 1 };
enum { A_IFINDEX = 1, A_QUEUE_TYPE, A_QUEUE_ID, A_SCOPE, A_MAX = 32 };

static const char *const qstats[A_MAX + 1] = {
	[8] = "packets",     [9] = "bytes",  [10] = "packets",  [11] = "bytes",
	[12] = "alloc_fail", [13] = "drops", [14] = "overruns", [21] = "drops",
};

static uint64_t uint_of(const struct nlattr *a)
{
	uint64_t v = 0;

	if (nla_len(a) == 4)
		return nla_get_u32(a);
	memcpy(&v, nla_data(a), MIN(sizeof(v), (size_t)nla_len(a)));
	return v;
}

static void take_queue(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[A_MAX + 1];
	json_t *counters;

	if (nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, GENL_HDRLEN, tb, A_MAX, NULL) ||
	    !tb[A_QUEUE_TYPE] || !tb[A_QUEUE_ID])
		return;
	counters = entry_of(arg, nla_get_u32(tb[A_QUEUE_TYPE]) == 1, nla_get_u32(tb[A_QUEUE_ID]));
	for (unsigned i = 0; i <= A_MAX; i++) {
		if (tb[i] && qstats[i])
			json_object_set_new(counters, qstats[i],
					    json_integer((json_int_t)uint_of(tb[i])));
	}
}

static void add_qstats(json_t *out, int ifindex)
{
	uint16_t family = genl_family("netdev");
	struct strbuf err = STRBUF_INIT;
	struct nl_msg *m;

	if (!family)
		return;
	m = genl_msg(family, MSG_QSTATS_GET, 1, 64);
	nlmsg_hdr(m)->nlmsg_flags |= NLM_F_DUMP;
	rtmsg_u32(m, A_IFINDEX, (uint32_t)ifindex);
	rtmsg_u32(m, A_SCOPE, QSTATS_SCOPE_QUEUE);
	/* What the driver, or the kernel, does not know it does not tell. */
	(void)genl_ask(m, take_queue, out, &err);
	strbuf_fini(&err);
	nlmsg_free(m);
}

/* What every driver counts in some words of its own, under one. */
static void put_sum(json_t *o, const char *key, const char *const *words)
{
	json_t *v, *counters = json_object_get(o, "counters");
	json_int_t sum = 0;
	bool any = false;

	for (; *words; words++) {
		v = json_object_get(counters, *words);
		any |= v != NULL;
		sum += json_integer_value(v);
	}
	if (any)
		json_object_set_new(o, key, json_integer(sum));
}

static void put_sums(json_t *out)
{
	static const char *const packets[] = { "packets",       "cnt",           "ucast_packets",
					       "mcast_packets", "bcast_packets", NULL };
	static const char *const bytes[] = { "bytes", "ucast_bytes", "mcast_bytes", "bcast_bytes",
					     NULL };
	static const char *const drops[] = { "drops",        "drop",       "dropped",  "xdp_drops",
					     "alloc_failed", "alloc_fail", "discards", NULL };
	json_t *o;
	size_t i;

	json_array_foreach(out, i, o) {
		put_sum(o, "packets", packets);
		put_sum(o, "bytes", bytes);
		put_sum(o, "drops", drops);
	}
}

json_t *nic_queue_stats(int ifindex, const char *ifname)
{
	struct ethtool_gstrings *names;
	struct ethtool_stats *values;
	uint32_t n = read_stats(ifname, &names, &values);
	json_t *out = json_array();

	for (uint32_t i = 0; i < n; i++) {
		char name[ETH_GSTRING_LEN + 1] = "", rest[40];
		unsigned queue;
		bool tx;

		memcpy(name, names->data + (size_t)i * ETH_GSTRING_LEN, ETH_GSTRING_LEN);
		if (nic_stat_name(name, &tx, &queue, rest))
			json_object_set_new(entry_of(out, tx, queue), rest,
					    json_integer((json_int_t)values->data[i]));
	}
	free(names);
	free(values);
	add_qstats(out, ifindex);
	put_sums(out);
	return out;
}
