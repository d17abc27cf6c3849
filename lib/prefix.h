/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: IPv4/IPv6 addresses and prefixes as plain values, their text forms and their order.
 * Owns: nothing; all values are copied. Threads: any. Failure: parsers return -EINVAL and leave
 * the result untouched.
 */
#ifndef RTR_PREFIX_H
#define RTR_PREFIX_H

#include "util.h"

#include <netinet/in.h>
#include <sys/socket.h>

/* An address of either family. Bytes are in network order; IPv4 uses the first four, the others
 * are zero, so that memcmp of the whole value is equality. */
struct rtr_addr {
	uint8_t family; /* AF_INET, AF_INET6, 0 = none */
	uint8_t pad[3];
	union {
		uint8_t b[16];
		uint32_t v4_be;
		uint32_t w_be[4];
		struct in6_addr v6;
	};
};

/* An address with a length. As a network the host bits are zero; as an interface address they
 * are the host's. */
struct rtr_prefix {
	struct rtr_addr addr;
	uint8_t len;
	uint8_t pad[3];
};

#define RTR_ADDR_STRLEN   46
#define RTR_PREFIX_STRLEN (RTR_ADDR_STRLEN + 4)

static inline unsigned rtr_family_bits(uint8_t family)
{
	return family == AF_INET6 ? 128 : 32;
}

static inline unsigned rtr_family_size(uint8_t family)
{
	return family == AF_INET6 ? 16 : 4;
}

/* family AF_INET, AF_INET6, or AF_UNSPEC for either. Decimal dotted quad only ("010.0.0.1" and
 * "10.1" are refused: people mean different things by them). */
int rtr_addr_parse(const char *s, int family, struct rtr_addr *ret);
/* "10.0.0.0/8"; without a length it is a host prefix. Host bits are kept. */
int rtr_prefix_parse(const char *s, int family, struct rtr_prefix *ret);
/* "255.255.255.0" -> 24; -EINVAL when the ones are not contiguous. */
int rtr_mask_to_len(const struct rtr_addr *mask, uint8_t *ret);
struct rtr_addr rtr_mask_of_len(uint8_t family, unsigned len);

/* Write into buf and return it. */
char *rtr_addr_str(const struct rtr_addr *a, char buf[RTR_ADDR_STRLEN]);
char *rtr_prefix_str(const struct rtr_prefix *p, char buf[RTR_PREFIX_STRLEN]);

struct rtr_prefix rtr_prefix_network(struct rtr_prefix p); /* host bits cleared */
bool rtr_prefix_has_host_bits(const struct rtr_prefix *p);
bool rtr_prefix_contains(const struct rtr_prefix *net, const struct rtr_addr *a);
bool rtr_prefix_overlap(const struct rtr_prefix *a, const struct rtr_prefix *b);

/* Total orders: family, address, then (prefixes) shorter first. */
int rtr_addr_cmp(const struct rtr_addr *a, const struct rtr_addr *b);
int rtr_prefix_cmp(const struct rtr_prefix *a, const struct rtr_prefix *b);

/* For bind() and connect(); the length of it. */
socklen_t rtr_addr_sockaddr(const struct rtr_addr *a, uint16_t port, struct sockaddr_storage *ret);

bool rtr_addr_is_multicast(const struct rtr_addr *a);
bool rtr_addr_is_loopback(const struct rtr_addr *a);
bool rtr_addr_is_linklocal(const struct rtr_addr *a);
bool rtr_addr_is_any(const struct rtr_addr *a);

/* Directed broadcast or network address of a subnet shorter than /31 (IPv4). */
bool rtr_prefix_host_is_special(const struct rtr_prefix *p);

#endif
