/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: entries as JSON and as lines of a table, and the words of filters in commands.
 * Owns: nothing. Threads: rtrd's loop only. Failure: none, but for ct_args.
 */
#ifndef RTR_CT_TEXT_H
#define RTR_CT_TEXT_H

#include "conntrack/ct_conf.h"

#include <jansson.h>

struct cmd_ctx;

/* What the lines are made with; taken once for a whole table. */
struct ct_view {
	struct ct_timers timers;
	int64_t now_ns; /* CLOCK_REALTIME */
	const struct rec *root;
};
void ct_view_init(struct ct_view *v);
void ct_view_now(struct ct_view *v); /* the clock and the model again */

json_t *ct_entry_json(const struct ct_entry *e, const struct ct_view *v);
/* A line of the table, from that document: its cells, each with a NUL behind it. */
#define CT_CELLS 14
struct ct_row {
	char *text;
	uint16_t at[CT_CELLS];
};
struct ct_widths {
	unsigned v[CT_CELLS];
};
void ct_widths_init(struct ct_widths *w);
struct ct_row ct_row_of(const json_t *o);
void ct_row_free(struct ct_row *r);
/* Makes the columns as wide as the row needs; true when they were not. */
bool ct_row_widen(const struct ct_row *r, struct ct_widths *w);
void ct_head_text(const struct ct_widths *w, struct strbuf *b);
void ct_row_text(const struct ct_row *r, const struct ct_widths *w, struct strbuf *b);

/* "00:01:30", "3d04h", "-" for -1: as IOS. */
const char *ct_duration(int64_t sec, char buf[24]);
/* "10.0.0.5:1000", "[2001:db8::1]:1000"; without a port (-1) the address. */
const char *ct_endpoint(const char *addr, int64_t port, char buf[64]);
/* What a document has at a key; "" and -1 when there is nothing. */
const char *ct_json_text(const json_t *o, const char *key);
int64_t ct_json_num(const json_t *o, const char *key);
/* "tcp"; "47" of what has no name. */
const char *ct_proto_name(uint8_t proto, char buf[8]);
bool ct_proto_has_ports(uint8_t proto);

/* The words of a filter in a command's line, and what was typed. False after cmd_fail. */
#define CT_ARGS                                                                                    \
	"[ {family:ipv4|ipv6}][ protocol <proto:IPPROTO>][ source <src:HOSTNET>]"                  \
	"[ destination <dst:HOSTNET>][ sport <sport:U16>][ dport <dport:U16>]"                     \
	"[ state {state:none|syn-sent|syn-recv|established|fin-wait|close-wait|last-ack|"          \
	"time-wait|close|syn-sent2|unreplied|replied|assured}]"                                    \
	"[ zone <zone:WORD>][ interface <ifname:IFNAME>][ ct-zone <ctzone:U16>][ mark <mark:U32>][ nat]"
bool ct_args(struct cmd_ctx *c, struct ct_filter *ret);

/* Ends what f picks, says how many: the rest of a command's run(); its interrupt is below. `owned`
 * (what f's own match needs; may be NULL) is freed in the end. */
void ct_clear(struct cmd_ctx *c, const struct ct_filter *f, void *owned);
void ct_clear_stop(struct cmd_ctx *c);

#endif
