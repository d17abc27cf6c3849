/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nic.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* linux/netdev.h of 6.3; the build may have older headers. */
#define NETDEV_CMD_DEV_GET_      1
#define NETDEV_A_DEV_IFINDEX_    1
#define NETDEV_A_DEV_FEATURES_   3
#define NETDEV_XDP_ACT_NDO_XMIT_ 4
#define NETDEV_XDP_ACT_ZEROCOPY_ 8

static int ethtool(int fd, const char *name, void *cmd)
{
	struct ifreq ifr = { 0 };

	rtr_strlcpy(ifr.ifr_name, name, sizeof(ifr.ifr_name));
	ifr.ifr_data = cmd;
	return ioctl(fd, SIOCETHTOOL, &ifr) < 0 ? -errno : 0;
}

static int link_facts(int fd, struct fp_nic *n)
{
	struct ifreq ifr = { 0 };

	rtr_strlcpy(ifr.ifr_name, n->name, sizeof(ifr.ifr_name));
	if (ioctl(fd, SIOCGIFHWADDR, &ifr) < 0)
		return -errno;
	if (ifr.ifr_hwaddr.sa_family != 1 /* ARPHRD_ETHER */)
		return -EOPNOTSUPP;
	memcpy(n->mac, ifr.ifr_hwaddr.sa_data, 6);
	if (ioctl(fd, SIOCGIFMTU, &ifr) < 0)
		return -errno;
	n->mtu = (unsigned)ifr.ifr_mtu;
	if (ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
		return -errno;
	n->up = ifr.ifr_flags & IFF_UP;
	return 0;
}

/* One queue where the driver does not say. */
static void queues(int fd, struct fp_nic *n)
{
	struct ethtool_channels c = { .cmd = ETHTOOL_GCHANNELS };

	n->n_rx = n->n_tx = 1;
	if (ethtool(fd, n->name, &c))
		return;
	n->n_rx = MAX(c.rx_count + c.combined_count, 1u);
	n->n_tx = MAX(c.tx_count + c.combined_count, 1u);
}

int fp_nic_ask(unsigned ifindex, struct fp_nic *ret)
{
	struct ethtool_drvinfo drv = { .cmd = ETHTOOL_GDRVINFO };
	struct ethtool_value flags = { .cmd = ETHTOOL_GFLAGS };
	struct fp_nic n = { 0 };
	uint64_t features = 0;
	int fd, err;

	if (!if_indextoname(ifindex, n.name))
		return -errno;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = link_facts(fd, &n);
	if (!err && !ethtool(fd, n.name, &drv))
		rtr_strlcpy(n.driver, drv.driver, sizeof(n.driver));
	if (!err && !ethtool(fd, n.name, &flags))
		n.rx_vlan_offload = flags.data & ETH_FLAG_RXVLAN;
	queues(fd, &n);
	close(fd);
	if (err)
		return err;
	n.zero_copy = true;
	if (!fp_nic_xdp_features(ifindex, &features)) {
		n.redirect_target = features & NETDEV_XDP_ACT_NDO_XMIT_;
		n.zero_copy = features & NETDEV_XDP_ACT_ZEROCOPY_;
	}
	*ret = n;
	return 0;
}

bool fp_nic_partial(const struct fp_nic *n)
{
	return !strcmp(n->driver, "veth") || !strcmp(n->driver, "tun") ||
	       !strcmp(n->driver, "virtio_net");
}

int fp_nic_vlan_off(const struct fp_nic *n)
{
	struct ethtool_value v = { .cmd = ETHTOOL_GFLAGS };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	err = ethtool(fd, n->name, &v);
	if (!err) {
		v.cmd = ETHTOOL_SFLAGS;
		v.data &= ~(uint32_t)ETH_FLAG_RXVLAN;
		err = ethtool(fd, n->name, &v);
	}
	close(fd);
	return err;
}

/* --- generic netlink: two questions and their answers --- */

struct genl_msg {
	struct nlmsghdr h;
	struct genlmsghdr g;
	uint8_t attrs[64];
};

static void put(struct genl_msg *m, uint16_t type, const void *data, size_t size)
{
	struct nlattr *a = (struct nlattr *)(void *)((uint8_t *)m + NLMSG_ALIGN(m->h.nlmsg_len));

	a->nla_type = type;
	a->nla_len = (uint16_t)(NLA_HDRLEN + size);
	memcpy((uint8_t *)a + NLA_HDRLEN, data, size);
	m->h.nlmsg_len = NLMSG_ALIGN(m->h.nlmsg_len) + (uint32_t)NLA_ALIGN(a->nla_len);
}

/* Asks, and copies the value of the attribute `want` of the answer. */
static int ask(int fd, struct genl_msg *m, uint16_t want, void *ret, size_t size)
{
	uint8_t buf[4096] __attribute__((aligned(8)));
	const struct nlmsghdr *h = (const void *)buf;
	size_t at = NLMSG_HDRLEN + GENL_HDRLEN;
	ssize_t n;

	if (send(fd, m, m->h.nlmsg_len, 0) < 0)
		return -errno;
	n = recv(fd, buf, sizeof(buf), 0);
	if (n < (ssize_t)sizeof(*h) || h->nlmsg_len > (size_t)n)
		return n < 0 ? -errno : -EPROTO;
	if (h->nlmsg_type == NLMSG_ERROR)
		return ((const struct nlmsgerr *)NLMSG_DATA(h))->error ?: -EPROTO;
	while (at + NLA_HDRLEN <= h->nlmsg_len) {
		const struct nlattr *a = (const void *)(buf + at);

		if (a->nla_len < NLA_HDRLEN || at + a->nla_len > h->nlmsg_len)
			break;
		if ((a->nla_type & NLA_TYPE_MASK) == want && a->nla_len >= NLA_HDRLEN + size) {
			memcpy(ret, buf + at + NLA_HDRLEN, size);
			return 0;
		}
		at += NLA_ALIGN(a->nla_len);
	}
	return -ENOENT;
}

static struct genl_msg question(uint16_t family, uint8_t cmd)
{
	return (struct genl_msg){ .h = { .nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN,
					 .nlmsg_type = family,
					 .nlmsg_flags = NLM_F_REQUEST },
				  .g = { .cmd = cmd, .version = 1 } };
}

int fp_nic_xdp_features(unsigned ifindex, uint64_t *ret)
{
	struct genl_msg m = question(GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC), err;
	uint16_t family = 0;

	if (fd < 0)
		return -errno;
	put(&m, CTRL_ATTR_FAMILY_NAME, "netdev", sizeof("netdev"));
	err = ask(fd, &m, CTRL_ATTR_FAMILY_ID, &family, sizeof(family));
	if (!err) {
		m = question(family, NETDEV_CMD_DEV_GET_);
		put(&m, NETDEV_A_DEV_IFINDEX_, &ifindex, sizeof(ifindex));
		err = ask(fd, &m, NETDEV_A_DEV_FEATURES_, ret, sizeof(*ret));
	}
	close(fd);
	return err;
}
