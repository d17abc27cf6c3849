/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rtr/drop.h"

#include "hash.h"
#include "util.h"

struct drop_info {
	const char *text, *doc;
	enum rtr_drop_stage stage;
};

static const struct drop_info info[RTR_DROP__MAX] = {
	[RTR_DROP_NONE] = { "none", "not dropped", RTR_DROP_STAGE_INTERNAL },
#define INFO(sym, stg, txt, what) [RTR_DROP_##sym] = { txt, what, RTR_DROP_STAGE_##stg },
	RTR_DROP_REASONS(INFO)
#undef INFO
};

static const char *const stage_text[RTR_DROP_STAGE__MAX] = {
#define STAGE(sym, txt) [RTR_DROP_STAGE_##sym] = txt,
	RTR_DROP_STAGES(STAGE)
#undef STAGE
};

const char *rtr_drop_text(unsigned reason)
{
	return reason < RTR_DROP__MAX ? info[reason].text : "unknown";
}

const char *rtr_drop_doc(unsigned reason)
{
	return reason < RTR_DROP__MAX ? info[reason].doc : "unknown";
}

enum rtr_drop_stage rtr_drop_stage(unsigned reason)
{
	return reason < RTR_DROP__MAX ? info[reason].stage : RTR_DROP_STAGE_INTERNAL;
}

const char *rtr_drop_stage_text(unsigned stage)
{
	return stage < RTR_DROP_STAGE__MAX ? stage_text[stage] : "unknown";
}

enum rtr_drop rtr_drop_find(const char *text)
{
	for (unsigned i = 1; i < RTR_DROP__MAX; i++)
		if (!strcmp(info[i].text, text))
			return i;
	return RTR_DROP_NONE;
}

unsigned rtr_drop_list_id(void)
{
	uint64_t h = RTR_DROP__MAX;

	for (unsigned i = 1; i < RTR_DROP__MAX; i++)
		h = hash_bytes(info[i].text, strlen(info[i].text), h + info[i].stage);
	return (unsigned)(h ^ h >> 32);
}
