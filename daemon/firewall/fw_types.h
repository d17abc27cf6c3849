/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the values that lines of access lists, object groups and time ranges hold, as they land in
 * records. Each compares by memcmp: unused bytes are zero.
 * Owns: nothing. Threads: rtrd's loop only. Failure: parsers say what was expected.
 */
#ifndef RTR_FW_TYPES_H
#define RTR_FW_TYPES_H

#include "prefix.h"

#include <time.h>

#define ACL_PROTO_ANY 256

/* "eq 80", "eq 80,443,8000-8010", "neq 25", "lt 1024", "gt 1023", "range 1 9". */
enum acl_port_op { ACL_PORT_EQ, ACL_PORT_NEQ, ACL_PORT_LT, ACL_PORT_GT, ACL_PORT_RANGE };
#define ACL_PORTS_MAX 14
struct acl_ports {
	uint8_t op, n;
	struct {
		uint16_t lo, hi;
	} r[ACL_PORTS_MAX];
};

/* "echo", "port-unreachable", "8". */
struct acl_icmp {
	uint8_t type, code;
	bool has_code;
};

/* "eq 64", "lt 5", "range 1 9": inclusive. */
struct acl_span {
	uint16_t lo, hi;
};

/* "+syn", "+syn-ack", one word: flags that must be set and flags that must not. */
struct acl_flags {
	uint8_t set, clear;
};

/* Minutes since midnight, in the box's time zone. */
#define DAY_MIN  1440
#define WEEK_MIN (7 * DAY_MIN)
struct trange_periodic {
	uint8_t days;   /* 1 << tm_wday */
	uint8_t to_day; /* 1 + tm_wday: from the one day in `days` until this one; 0: same day */
	uint16_t from, to;
};

/* "08:00 1 January 2026" as time_t, in the box's time zone. */
struct trange_moment {
	int64_t at;
};

bool trange_periodic_in(const struct trange_periodic *p, time_t now);
/* When it next starts or ends after now. */
time_t trange_periodic_next(const struct trange_periodic *p, time_t now);

#endif
