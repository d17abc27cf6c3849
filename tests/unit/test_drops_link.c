/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of the interfaces on which rtr-dropd counts, and when it is told to forget one. */
#include "../lib/check_main.h"

#include "cli/command.h"
#include "drops/drops.h"
#include "iface/iface.h"
#include "kernel/shadow.h"
#include "system/parent.h"

#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct shadow_link links[2]; /* ifindex 0: there is none */
static char put_name[IFNAMSIZ], forgotten[IFNAMSIZ];
static int far; /* rtr-dropd's end */

const struct shadow_link *shadow_link_by_index(int ifindex)
{
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		if (links[i].ifindex == ifindex)
			return &links[i];
	}
	return NULL;
}

const char *iface_operator_name(const char *name)
{
	return name;
}

void drops_put(const struct drop_id *id, uint64_t packets, uint64_t last_ns)
{
	rtr_strlcpy(put_name, id->ifname, sizeof(put_name));
}

void drops_forget_traced(const char *ifname)
{
	rtr_strlcpy(forgotten, ifname ? ifname : "all", sizeof(forgotten));
}

void drops_baseline(void)
{
}

struct event_base *cmd_base(void)
{
	return NULL;
}

int parent_start(enum parent_prog prog, int fd)
{
	return -ENOTCONN;
}

void parent_ended(enum parent_prog prog)
{
}

#include "../../daemon/drops/drops_link.c"

static void told(uint32_t kind, int ifindex, uint64_t packets)
{
	struct dropd_event e = { .kind = kind, .ifindex = ifindex, .packets = packets };

	*put_name = *forgotten = '\0';
	take_event(&e);
}

/* The ifindex that rtr-dropd was told to forget; 0: none. */
static int told_to_forget(void)
{
	struct dropd_req q;

	if (recv(far, &q, sizeof(q), MSG_DONTWAIT) != sizeof(q))
		return 0;
	ck_assert_uint_eq(q.op, DROPD_FORGET);
	return q.ifindex;
}

static void setup(void)
{
	int pair[2];

	ck_assert(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	k.fd = pair[0];
	far = pair[1];
	links[0] = (struct shadow_link){ .ifindex = 7, .name = "eth0" };
	links[1] = (struct shadow_link){ .ifindex = 8, .name = "tun9" };
}

static void teardown(void)
{
	forget_names();
	hang_up();
	close(far);
}

START_TEST(gone_and_forgotten)
{
	uint64_t now = 10 * NSEC_PER_SEC;

	told(DROPD_COUNT, 8, 5);
	ck_assert_str_eq(put_name, "tun9");
	links[1].ifindex = 0;
	drops_link_age(now);
	told(DROPD_COUNT, 8, 6);
	ck_assert_str_eq(put_name, "tun9");
	drops_link_age(now + DROPS_GONE_NS - 1);
	ck_assert_int_eq(told_to_forget(), 0);
	drops_link_age(now + DROPS_GONE_NS);
	ck_assert_int_eq(told_to_forget(), 8);
	ck_assert_str_eq(forgotten, "tun9");
	ck_assert_int_eq(told_to_forget(), 0);
}
END_TEST

/* It went before it was ever looked at: the same holds for it. */
START_TEST(gone_before_it_was_seen)
{
	uint64_t now = 10 * NSEC_PER_SEC;

	told(DROPD_COUNT, 99, 5);
	ck_assert_str_eq(put_name, "#99");
	drops_link_age(now);
	told(DROPD_COUNT, 99, 6);
	ck_assert_int_eq(told_to_forget(), 0);
	drops_link_age(now + DROPS_GONE_NS);
	ck_assert_int_eq(told_to_forget(), 99);
	ck_assert_str_eq(forgotten, "#99");
}
END_TEST

/* The kernel's table is full: whatever is gone makes room at once, and nothing else. */
START_TEST(short_of_room)
{
	uint64_t now = 10 * NSEC_PER_SEC;

	told(DROPD_COUNT, 7, 5);
	told(DROPD_COUNT, 99, 5);
	drops_link_age(now);
	ck_assert_int_eq(told_to_forget(), 0);
	told(DROPD_SYNCED, 0, 3);
	drops_link_age(now + 1);
	ck_assert_int_eq(told_to_forget(), 99);
	ck_assert_int_eq(told_to_forget(), 0);
	/* As full as before is no news. */
	told(DROPD_COUNT, 98, 5);
	drops_link_age(now + 2);
	ck_assert_int_eq(told_to_forget(), 0);
}
END_TEST

/* Another interface gets the name of one that is gone, or is seen late. */
START_TEST(names_move)
{
	told(DROPD_COUNT, 8, 5);
	links[1].ifindex = 9;
	told(DROPD_COUNT, 9, 1);
	ck_assert_str_eq(put_name, "tun9");
	ck_assert_str_eq(forgotten, "tun9");
	ck_assert_int_eq(told_to_forget(), 8);
	told(DROPD_COUNT, 10, 1);
	ck_assert_str_eq(put_name, "#10");
	links[1].ifindex = 10;
	told(DROPD_COUNT, 10, 2);
	ck_assert_str_eq(put_name, "tun9");
	ck_assert_int_eq(told_to_forget(), 9);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("drops_link");
	TCase *t = tcase_create("names");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, gone_and_forgotten);
	tcase_add_test(t, gone_before_it_was_seen);
	tcase_add_test(t, short_of_room);
	tcase_add_test(t, names_move);
	suite_add_tcase(s, t);
	return s;
}
CHECK_MAIN(suite)
