/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Questions and messages of ethtool's netlink (Documentation/networking/ethtool-netlink.rst). */
#include "kernel/genl.h"
#include "kernel/rtmsg.h"
#include "nic/module.h"
#include "nic/nic.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/ethtool_netlink.h>
#include <linux/genetlink.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* linux/ethtool_netlink.h of 6.2; older headers lack them. */
enum { MSG_RSS_GET = 38, A_RSS_INDIR = 4, A_RSS_HKEY = 5, A_RSS_XFRM = 6 };
/* The same number for the header of every message. */
#define HEADER 1
/* Highest attribute that we look at in any of them. */
#define MAX_ATTR 9

static struct nl_msg *message(uint8_t cmd, int ifindex)
{
	static uint16_t family;
	struct nl_msg *m;
	struct nlattr *h;

	if (!family)
		family = genl_family(ETHTOOL_GENL_NAME);
	/* Without it (a kernel before 5.6) nobody answers this number. */
	m = genl_msg(family ? family : GENL_MIN_ID - 1, cmd, ETHTOOL_GENL_VERSION, 256);
	h = rtmsg_nest(m, HEADER | NLA_F_NESTED);
	rtmsg_u32(m, ETHTOOL_A_HEADER_DEV_INDEX, (uint32_t)ifindex);
	nla_nest_end(m, h);
	return m;
}

static int ask(uint8_t cmd, int ifindex, kquery_fn fn, void *arg)
{
	struct nl_msg *m = message(cmd, ifindex);
	struct strbuf err = STRBUF_INIT;
	int r = genl_ask(m, fn, arg, &err);

	strbuf_fini(&err);
	nlmsg_free(m);
	return r;
}

static bool parse(const struct nlmsghdr *h, struct nlattr *tb[MAX_ATTR + 1])
{
	return !nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, GENL_HDRLEN, tb, MAX_ATTR, NULL);
}

static uint32_t u32_of(const struct nlattr *a)
{
	return a ? nla_get_u32(a) : 0;
}

/* ---- rings, queues ---- */

static void take_rings(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[MAX_ATTR + 1];
	struct nic_pair *p = arg;

	if (parse(h, tb))
		*p = (struct nic_pair){ .rx = u32_of(tb[ETHTOOL_A_RINGS_RX]),
					.tx = u32_of(tb[ETHTOOL_A_RINGS_TX]),
					.rx_max = u32_of(tb[ETHTOOL_A_RINGS_RX_MAX]),
					.tx_max = u32_of(tb[ETHTOOL_A_RINGS_TX_MAX]) };
}

int nic_rings(int ifindex, struct nic_pair *ret)
{
	*ret = (struct nic_pair){ 0 };
	return ask(ETHTOOL_MSG_RINGS_GET, ifindex, take_rings, ret);
}

struct nl_msg *nic_set_rings(int ifindex, uint32_t rx, uint32_t tx)
{
	struct nl_msg *m = message(ETHTOOL_MSG_RINGS_SET, ifindex);

	if (rx)
		rtmsg_u32(m, ETHTOOL_A_RINGS_RX, rx);
	if (tx)
		rtmsg_u32(m, ETHTOOL_A_RINGS_TX, tx);
	return m;
}

static void take_speed(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[MAX_ATTR + 1];
	uint32_t *speed = arg;

	if (parse(h, tb))
		*speed = u32_of(tb[ETHTOOL_A_LINKMODES_SPEED]);
	if (*speed == UINT32_MAX) /* SPEED_UNKNOWN */
		*speed = 0;
}

int nic_speed(int ifindex, uint32_t *ret)
{
	*ret = 0;
	return ask(ETHTOOL_MSG_LINKMODES_GET, ifindex, take_speed, ret);
}

static void take_queues(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[MAX_ATTR + 1];
	struct nic_queues *q = arg;

	if (parse(h, tb))
		*q = (struct nic_queues){ .combined = u32_of(tb[ETHTOOL_A_CHANNELS_COMBINED_COUNT]),
					  .rx = u32_of(tb[ETHTOOL_A_CHANNELS_RX_COUNT]),
					  .tx = u32_of(tb[ETHTOOL_A_CHANNELS_TX_COUNT]),
					  .combined_max = u32_of(
						  tb[ETHTOOL_A_CHANNELS_COMBINED_MAX]) };
}

int nic_queues(int ifindex, struct nic_queues *ret)
{
	*ret = (struct nic_queues){ 0 };
	return ask(ETHTOOL_MSG_CHANNELS_GET, ifindex, take_queues, ret);
}

struct nl_msg *nic_set_queues(int ifindex, uint32_t combined)
{
	struct nl_msg *m = message(ETHTOOL_MSG_CHANNELS_SET, ifindex);

	rtmsg_u32(m, ETHTOOL_A_CHANNELS_COMBINED_COUNT, combined);
	return m;
}

/* ---- features ---- */

static struct nic_feature_bits *make_feature(struct nic_features *f, const char *name)
{
	struct nic_feature_bits *b = (void *)(uintptr_t)nic_find(f, name);

	if (b || f->n == ARRAY_LEN(f->v))
		return b;
	rtr_strlcpy(f->v[f->n].name, name, sizeof(f->v[f->n].name));
	return &f->v[f->n++];
}

enum { SET_HW, SET_WANTED, SET_ACTIVE, SET_FIXED };

static void take_bits(struct nic_features *f, struct nlattr *set, int what)
{
	struct nlattr *tb[ETHTOOL_A_BITSET_MAX + 1], *bit;
	int rem;

	if (!set || nla_parse_nested(tb, ETHTOOL_A_BITSET_MAX, set, NULL) ||
	    !tb[ETHTOOL_A_BITSET_BITS])
		return;
	nla_for_each_nested(bit, tb[ETHTOOL_A_BITSET_BITS], rem) {
		struct nlattr *b[ETHTOOL_A_BITSET_BIT_MAX + 1];
		struct nic_feature_bits *x;

		if (nla_parse_nested(b, ETHTOOL_A_BITSET_BIT_MAX, bit, NULL) ||
		    !b[ETHTOOL_A_BITSET_BIT_NAME])
			continue;
		x = make_feature(f, nla_get_string(b[ETHTOOL_A_BITSET_BIT_NAME]));
		if (!x)
			return;
		/* With a mask all bits are listed, and those that are on say so. */
		if (!tb[ETHTOOL_A_BITSET_NOMASK] && !b[ETHTOOL_A_BITSET_BIT_VALUE])
			continue;
		if (what == SET_HW)
			x->settable = true;
		else if (what == SET_WANTED)
			x->wanted = true;
		else if (what == SET_ACTIVE)
			x->active = true;
		else
			x->settable = false;
	}
}

static void take_features(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[MAX_ATTR + 1];

	if (!parse(h, tb))
		return;
	take_bits(arg, tb[ETHTOOL_A_FEATURES_HW], SET_HW);
	take_bits(arg, tb[ETHTOOL_A_FEATURES_WANTED], SET_WANTED);
	take_bits(arg, tb[ETHTOOL_A_FEATURES_ACTIVE], SET_ACTIVE);
	take_bits(arg, tb[ETHTOOL_A_FEATURES_NOCHANGE], SET_FIXED);
}

int nic_features(int ifindex, struct nic_features *ret)
{
	ret->n = 0;
	memset(ret->v, 0, sizeof(ret->v));
	return ask(ETHTOOL_MSG_FEATURES_GET, ifindex, take_features, ret);
}

struct nl_msg *nic_set_feature(int ifindex, const char *name, bool on)
{
	struct nl_msg *m = message(ETHTOOL_MSG_FEATURES_SET, ifindex);
	struct nlattr *wanted = rtmsg_nest(m, ETHTOOL_A_FEATURES_WANTED | NLA_F_NESTED), *bits,
		      *bit;

	bits = rtmsg_nest(m, ETHTOOL_A_BITSET_BITS | NLA_F_NESTED);
	bit = rtmsg_nest(m, ETHTOOL_A_BITSET_BITS_BIT | NLA_F_NESTED);
	rtmsg_text(m, ETHTOOL_A_BITSET_BIT_NAME, name);
	if (on)
		rtmsg_put(m, ETHTOOL_A_BITSET_BIT_VALUE, NULL, 0);
	nla_nest_end(m, bit);
	nla_nest_end(m, bits);
	nla_nest_end(m, wanted);
	return m;
}

/* ---- RSS ---- */

static void take_rss(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[MAX_ATTR + 1];
	struct nic_rss *r = arg;

	if (!parse(h, tb))
		return;
	if (tb[A_RSS_HKEY]) {
		r->key_size = MIN((size_t)nla_len(tb[A_RSS_HKEY]), sizeof(r->key));
		memcpy(r->key, nla_data(tb[A_RSS_HKEY]), r->key_size);
	}
	if (tb[A_RSS_INDIR]) {
		r->n_table = MIN((size_t)nla_len(tb[A_RSS_INDIR]) / 4, ARRAY_LEN(r->table));
		memcpy(r->table, nla_data(tb[A_RSS_INDIR]), r->n_table * 4);
	}
	r->xfrm = (uint8_t)u32_of(tb[A_RSS_XFRM]);
}

/* struct ethtool_rxfh as it is since 6.8; before, input_xfrm was reserved and 0. */
struct rxfh {
	uint32_t cmd, context, indir_size, key_size;
	uint8_t hfunc, xfrm, reserved8[2];
	uint32_t reserved32;
};
_Static_assert(sizeof(struct rxfh) == offsetof(struct ethtool_rxfh, rss_config), "the kernel's");

static int rxfh_ioctl(const char *ifname, struct rxfh *h)
{
	struct ifreq ifr = { .ifr_data = (void *)h };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = 0;

	if (fd < 0)
		return -errno;
	rtr_strlcpy(ifr.ifr_name, ifname, sizeof(ifr.ifr_name));
	if (ioctl(fd, SIOCETHTOOL, &ifr) < 0)
		r = -errno;
	close(fd);
	return r;
}

/* Linux before 6.2 has no message for it. */
static int rss_by_ioctl(int ifindex, struct nic_rss *ret)
{
	struct rxfh size = { .cmd = ETHTOOL_GRSSH }, *h;
	char name[IFNAMSIZ];
	int r;

	if (!if_indextoname((unsigned)ifindex, name))
		return -errno;
	r = rxfh_ioctl(name, &size);
	if (r)
		return r;
	if (size.indir_size > ARRAY_LEN(ret->table) || size.key_size > sizeof(ret->key))
		return -E2BIG;
	h = xcalloc(1, sizeof(*h) + size.indir_size * 4 + size.key_size);
	*h = (struct rxfh){ .cmd = ETHTOOL_GRSSH,
			    .indir_size = size.indir_size,
			    .key_size = size.key_size };
	r = rxfh_ioctl(name, h);
	if (!r) {
		ret->n_table = h->indir_size;
		ret->key_size = h->key_size;
		ret->xfrm = h->xfrm;
		memcpy(ret->table, h + 1, ret->n_table * 4);
		memcpy(ret->key, (const uint8_t *)(h + 1) + ret->n_table * 4, ret->key_size);
	}
	free(h);
	return r;
}

/* The message that sets it came with Linux 6.17 only. */
int nic_set_rss(const void *data, int *ret_fd)
{
	const struct nic_rss_change *c = data;
	struct {
		struct rxfh h;
		uint8_t key[sizeof(c->key)];
	} set = { .h = { .cmd = ETHTOOL_SRSSH,
			 .indir_size = ETH_RXFH_INDIR_NO_CHANGE,
			 .key_size = c->key_size,
			 .xfrm = c->xfrm } };

	memcpy(set.key, c->key, c->key_size);
	return rxfh_ioctl(c->ifname, &set.h);
}

int nic_rss(int ifindex, struct nic_rss *ret)
{
	int r;

	ret->key_size = ret->n_table = 0;
	ret->xfrm = 0;
	r = ask(MSG_RSS_GET, ifindex, take_rss, ret);
	return r && r != -ENODEV ? rss_by_ioctl(ifindex, ret) : r;
}

/* ---- pluggable modules ---- */

static void take_page(void *arg, const struct nlmsghdr *h)
{
	struct nlattr *tb[MAX_ATTR + 1];
	struct module_page *p = arg;

	if (!parse(h, tb) || !tb[ETHTOOL_A_MODULE_EEPROM_DATA] ||
	    nla_len(tb[ETHTOOL_A_MODULE_EEPROM_DATA]) != MODULE_PAGE)
		return;
	memcpy(p->b, nla_data(tb[ETHTOOL_A_MODULE_EEPROM_DATA]), MODULE_PAGE);
	p->have = true;
}

static int read_page(int ifindex, uint8_t address, uint8_t page, uint32_t offset,
		     struct module_page *ret)
{
	struct nl_msg *m = message(ETHTOOL_MSG_MODULE_EEPROM_GET, ifindex);
	struct strbuf err = STRBUF_INIT;
	uint8_t bank = 0;
	int r;

	rtmsg_u32(m, ETHTOOL_A_MODULE_EEPROM_OFFSET, offset);
	rtmsg_u32(m, ETHTOOL_A_MODULE_EEPROM_LENGTH, MODULE_PAGE);
	rtmsg_put(m, ETHTOOL_A_MODULE_EEPROM_PAGE, &page, 1);
	rtmsg_put(m, ETHTOOL_A_MODULE_EEPROM_BANK, &bank, 1);
	rtmsg_put(m, ETHTOOL_A_MODULE_EEPROM_I2C_ADDRESS, &address, 1);
	r = genl_ask(m, take_page, ret, &err);
	strbuf_fini(&err);
	nlmsg_free(m);
	return r;
}

int nic_module(int ifindex, struct nic_module *ret)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	r = read_page(ifindex, 0x50, 0, 0, &ret->lower);
	if (r || !ret->lower.have)
		return r ? r : -EIO;
	/* What these fail to tell is left out. */
	if (module_kind(ret) == MODULE_SFP) {
		(void)read_page(ifindex, 0x51, 0, 0, &ret->diag);
		return 0;
	}
	(void)read_page(ifindex, 0x50, 0, 128, &ret->upper);
	if (module_kind(ret) == MODULE_CMIS)
		(void)read_page(ifindex, 0x50, 0x11, 128, &ret->lanes);
	return 0;
}
