/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: one packet as one line of text, for `show monitor capture X dump` and `monitor drops`:
 *	vlan 10 tcp 10.0.1.10:40000 > 198.51.100.1:443 [S] seq 7 win 64240, length 0
 * Reads what others sent, of any length and with any lie in it: runs outside rtrd, in sandboxed
 * programs alone. A header that is cut off ends the line with "[cut]", one that contradicts itself
 * with what is wrong; every byte of the text is printable ASCII.
 * Owns: nothing. Threads: any. Failure: none.
 */
#ifndef RTR_PKT_TEXT_H
#define RTR_PKT_TEXT_H

#include "util.h"

/* What the frame begins with. */
enum pkt_link { PKT_ETHERNET, PKT_IP };

/* Two IPv6 addresses with ports, flags and figures of TCP, and what an ICMP error quotes. */
#define PKT_TEXT_MAX 320

/* data: `have` bytes captured of `size` on the wire. Returns buf. */
char *pkt_text(enum pkt_link link, const uint8_t *data, size_t have, size_t size,
	       char buf[PKT_TEXT_MAX]);

#endif
