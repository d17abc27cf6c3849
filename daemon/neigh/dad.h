/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: which addresses rtr-arpd announces and watches, and what it found: rtrd's side. What is
 * wanted is computed from model and kernel after every change and told as a difference, so that a
 * link that comes up, an address that is added or a MAC address that changes is a new wish, which
 * starts with announcements and probes.
 * Owns: the addresses told, the socket to rtr-arpd. Threads: rtrd's loop only.
 * Failure: rtr-arpd is started again, at growing distance, and told everything; meanwhile
 * addresses are neither announced nor watched, which is logged.
 */
#ifndef RTR_DAD_H
#define RTR_DAD_H

#include "prefix.h"

#include <jansson.h>

enum dad_mode { DAD_OFF, DAD_ON, DAD_ONLY_UNIQUE }; /* ip address dad off, on, strict */

int dad_init(void);
void dad_fini(void);
void dad_observed(unsigned change);

struct iface;
struct shadow_link;
/* May the kernel be given this IPv4 address? False while `dad strict` has not found it unique. */
bool dad_may_use(const struct iface *i, const struct shadow_link *l, const struct rtr_addr *a);
/* Adds what is known of an address, for show ip interface. */
void dad_describe(int ifindex, const struct rtr_addr *a, json_t *o);
/* Addresses of the interface that wait for their probes, or were found elsewhere: an array. */
json_t *dad_waiting(int ifindex);

/* ---- questions who has an address: diag/whohas.h ---- */

struct arpd_req;
struct arpd_event;
/* Of an ARPD_ASK or ARPD_ASK_END. -ENOTCONN: rtr-arpd does not run; -EAGAIN: later. */
int dad_ask(const struct arpd_req *q);
/* Who hears the answers. */
void dad_on_answer(void (*fn)(const struct arpd_event *e));

#endif
