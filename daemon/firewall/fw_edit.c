/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ip access-list resequence: the lines of a list get new numbers, in their order. */
#include "cli/session.h"
#include "domain.h"
#include "firewall/fw.h"
#include "schema/text.h"

#include <string.h>

#define SEQ_MAX 2147483647u

/* The same list with new numbers; a reference. NULL: they do not fit. */
static struct rec *renumber(const struct rec *list, const struct sch_type *kid, uint32_t start,
			    uint32_t step)
{
	const struct recvec *v = rec_kids(list, kid);
	struct rec *copy = rec_key_copy(list);
	const struct sch_field *f = &kid->fields[kid->key[0]];

	if (v->len && (uint64_t)start + (uint64_t)step * (v->len - 1) > SEQ_MAX) {
		rec_unref(copy);
		return NULL;
	}
	for (size_t i = 0; i < v->len; i++) {
		struct rec *r = rec_ref(v->v[i]);

		rec_mut(&r);
		sch_set_uint(r, f, start + step * i);
		rec_put(copy, r);
	}
	return copy;
}

static void over(struct session *s)
{
	s->cmd->status = s->status;
	cmd_done(s->cmd);
}

static void resequence(struct cmd_ctx *c, const struct rec *list, const struct sch_type *kid)
{
	struct session *s = cmd_session(c);
	uint32_t start = 10, step = 10;
	struct strbuf lines = STRBUF_INIT;
	struct rec *root, *copy;

	cmd_get(c, "start", &start);
	cmd_get(c, "step", &step);
	copy = renumber(list, kid, start, step);
	if (!copy) {
		cmd_fail(c, "The numbers would end above %u", SEQ_MAX);
		return;
	}
	root = rec_ref(s->ed.root);
	rec_mut(&root);
	rec_put(root, copy);
	text_delta(s->ed.root, root, &lines);
	rec_unref(root);
	cmd_pend(c);
	config_type(s, strbuf_str(&lines), over);
	strbuf_fini(&lines);
}

static void run(struct cmd_ctx *c, bool v6)
{
	const struct rec *root = cmd_session(c)->ed.root, *list, *std;
	char *name = NULL;

	cmd_get(c, "name", &name);
	list = fw_named(root, v6 ? &acl6_type : &acl4_type, name);
	std = v6 ? NULL : fw_named(root, &acl_std_type, name);
	if (list)
		resequence(c, list, v6 ? &ace6_type : &ace4_type);
	else if (std)
		resequence(c, std, &std_ace_type);
	else
		cmd_fail(c, "There is no access list %s", name);
	free(name);
}

static void resequence4(struct cmd_ctx *c)
{
	run(c, false);
}

static void resequence6(struct cmd_ctx *c)
{
	run(c, true);
}

#define NUMBERS " <name:WORD>[ <start:U32(1,2147483647)>[ <step:U32(1,1000000)>]]"
static const struct cmd cmds[] = {
	{ "ip access-list resequence" NUMBERS, "Give the lines of an access list new numbers",
	  .run = resequence4, .where = CMD_CONFIG },
	{ "ipv6 access-list resequence" NUMBERS, "Give the lines of an access list new numbers",
	  .run = resequence6, .where = CMD_CONFIG },
};

static const char *const after_firewall[] = { "firewall", NULL };

static const struct domain edit_domain = {
	.name = "firewall-edit",
	.after = after_firewall,
	.cmds = cmds,
	.n_cmds = ARRAY_LEN(cmds),
};
RTR_DOMAIN(edit_domain);
