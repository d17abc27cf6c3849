/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nic/irq.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct line {
	unsigned irq;
	const char *names; /* "eth0-rx-0", of a shared one "eth0, usb1" */
	size_t size;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* " 26:   12   0  PCI-MSIX-0000:00:03.0   1-edge   virtio0-input.0": the last word, with those
 * before it that end in a comma. */
static bool read_line(const char *s, size_t size, struct line *ret)
{
	const char *end = s + size, *at;
	char *colon;

	ret->irq = (unsigned)strtoul(s, &colon, 10);
	while (size && is_blank(*s))
		s++, size--;
	if (!size || !isdigit((unsigned char)*s) || *colon != ':')
		return false;
	while (end > colon && is_blank(end[-1]))
		end--;
	at = end;
	for (;;) {
		const char *gap;

		while (at > colon && !is_blank(at[-1]))
			at--;
		gap = at;
		while (gap > colon && is_blank(gap[-1]))
			gap--;
		if (gap <= colon || gap[-1] != ',')
			break;
		at = gap - 1;
	}
	*ret = (struct line){ ret->irq, at, (size_t)(end - at) };
	return at > colon && end > at;
}

/* The word stands in the name, not as a part of a longer one: eth1 is not in eth10-rx-0. */
static bool holds(const char *name, size_t size, const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; len && i + len <= size; i++) {
		if (!memcmp(name + i, word, len) && (!i || !isalnum((unsigned char)name[i - 1])) &&
		    (i + len == size || !isalnum((unsigned char)name[i + len])))
			return true;
	}
	return false;
}

/* The number at the end, before "@pci:..."; not that of the interface's or the device's own
 * name. -1: none. */
static int queue_in(const char *name, size_t size, const char *ifname, const char *device)
{
	const char *at = memchr(name, '@', size);
	size_t end = at ? (size_t)(at - name) : size, from = end;
	unsigned n = 0;

	while (from && isdigit((unsigned char)name[from - 1]))
		from--;
	if (from == end || !from || end - from > 4)
		return -1;
	if (holds(name + (end - MIN(end, strlen(ifname))), MIN(end, strlen(ifname)), ifname) ||
	    holds(name + (end - MIN(end, strlen(device))), MIN(end, strlen(device)), device))
		return -1;
	/* "mlx5_async0" is the control path's. */
	if (!strchr("-.", name[from - 1]) && !(from >= 4 && !memcmp(name + from - 4, "comp", 4)))
		return -1;
	for (; from < end; from++)
		n = n * 10 + (unsigned)(name[from] - '0');
	return (int)n;
}

static bool is_own(unsigned irq, const unsigned *own, size_t n_own)
{
	while (n_own && own[n_own - 1] != irq)
		n_own--;
	return n_own;
}

static int by_queue(const void *a, const void *b)
{
	const struct nic_irq *x = a, *y = b;

	if (x->queue != y->queue)
		return x->queue < y->queue ? -1 : 1;
	return (x->irq > y->irq) - (x->irq < y->irq);
}

size_t irq_of_queues(const char *interrupts, const char *ifname, const char *device,
		     const unsigned *own, size_t n_own, struct nic_irq ret[IRQ_MAX])
{
	unsigned all = 0, only = 0;
	size_t n = 0;

	for (const char *s = interrupts; *s;
	     s += strcspn(s, "\n") + (s[strcspn(s, "\n")] == '\n')) {
		struct line l;
		int queue;

		if (!read_line(s, strcspn(s, "\n"), &l))
			continue;
		if (n_own ? !is_own(l.irq, own, n_own)
			  : !holds(l.names, l.size, ifname) && !holds(l.names, l.size, device))
			continue;
		all++;
		only = l.irq;
		queue = queue_in(l.names, l.size, ifname, device);
		if (queue >= 0 && n < IRQ_MAX)
			ret[n++] = (struct nic_irq){ l.irq, (unsigned)queue };
	}
	if (!n && all == 1)
		ret[n++] = (struct nic_irq){ only, 0 };
	qsort(ret, n, sizeof(*ret), by_queue);
	return n;
}
