/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "eligible.h"

#define TEXT_(sym, text, doc) [ELIG_##sym] = text,
static const char *const texts[ELIG__MAX] = { [ELIG_OK] = "fast", ELIG_REASONS(TEXT_) };

#define DOC_(sym, text, doc) [ELIG_##sym] = doc,
static const char *const docs[ELIG__MAX] = { [ELIG_OK] = "handled by the fast plane",
					     ELIG_REASONS(DOC_) };

const char *elig_text(unsigned reason)
{
	return reason < ELIG__MAX ? texts[reason] : "unknown";
}

const char *elig_doc(unsigned reason)
{
	return reason < ELIG__MAX ? docs[reason] : "unknown";
}
