/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nic/cpus.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Digits at *s, which moves behind them. */
static bool number(const char **s, unsigned *ret)
{
	unsigned v = 0;

	if (!isdigit((unsigned char)**s))
		return false;
	for (; isdigit((unsigned char)**s); (*s)++) {
		if (v > CPUS_MAX)
			return false;
		v = v * 10 + (unsigned)(**s - '0');
	}
	*ret = v;
	return true;
}

bool cpus_parse_list(const char *s, struct cpus *ret, const char **ret_why)
{
	struct cpus c = { 0 };
	unsigned from, to;

	for (;; s++) {
		*ret_why = "is no list of CPUs such as 0,2-5";
		if (!number(&s, &from))
			return false;
		to = from;
		if (*s == '-' && (s++, !number(&s, &to)))
			return false;
		if (to < from)
			return false;
		*ret_why = "names a CPU above 1023";
		if (to >= CPUS_MAX)
			return false;
		for (unsigned i = from; i <= to; i++)
			c.w[i / 64] |= 1ull << i % 64;
		if (*s != ',')
			break;
	}
	*ret_why = "is no list of CPUs such as 0,2-5";
	if (*s)
		return false;
	*ret = c;
	return true;
}

char *cpus_list(const struct cpus *c, char buf[CPUS_LIST_MAX])
{
	unsigned end;
	size_t at = 0;

	*buf = '\0';
	for (unsigned i = 0; i < CPUS_MAX; i = end + 1) {
		end = i;
		if (!cpus_has(c, i))
			continue;
		while (end + 1 < CPUS_MAX && cpus_has(c, end + 1))
			end++;
		at += (size_t)snprintf(buf + at, CPUS_LIST_MAX - at, "%s%u", at ? "," : "", i);
		if (end > i)
			at += (size_t)snprintf(buf + at, CPUS_LIST_MAX - at, "-%u", end);
	}
	return buf;
}

bool cpus_parse_mask(const char *s, struct cpus *ret)
{
	size_t len = strcspn(s, "\n"), n = 0;
	struct cpus c = { 0 };

	if (!len || s[len + (s[len] == '\n')])
		return false;
	/* From the right: four bits a digit, commas between groups of eight. */
	for (size_t i = len; i-- > 0;) {
		int digit = tolower((unsigned char)s[i]);

		if (s[i] == ',')
			continue;
		if (!isxdigit(digit) || n >= CPUS_MAX / 4)
			return false;
		digit = isdigit(digit) ? digit - '0' : digit - 'a' + 10;
		c.w[n / 16] |= (uint64_t)digit << 4 * (n % 16);
		n++;
	}
	*ret = c;
	return n > 0;
}

char *cpus_mask(const struct cpus *c, char buf[CPUS_MASK_MAX])
{
	int highest = cpus_highest(c);
	size_t at = 0;

	for (int g = MAX(highest, 0) / 32; g >= 0; g--)
		at += (size_t)snprintf(buf + at, CPUS_MASK_MAX - at, at ? ",%08x" : "%x",
				       (unsigned)(c->w[g / 2] >> 32 * (g % 2) & UINT32_MAX));
	return buf;
}

int cpus_highest(const struct cpus *c)
{
	for (int i = CPUS_MAX - 1; i >= 0; i--) {
		if (cpus_has(c, (unsigned)i))
			return i;
	}
	return -1;
}
