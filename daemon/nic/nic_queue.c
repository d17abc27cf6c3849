/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which CPUs serve the queues of a NIC: interrupts, RPS, XPS. */
#include "iface/iface.h"
#include "kernel/baseline.h"
#include "kernel/shadow.h"
#include "nic/nic.h"
#include "nic/nic_plan.h"
#include "schema/types.h"
#include "system/parent_queue.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define INTERRUPTS_MAX (4u << 20) /* a line an interrupt, a column a CPU */
#define MASK_MAX       8192

SCH_TYPE(nic_queue, SCH_F(nic_queue, queue), SCH_F(nic_queue, what), SCH_F(nic_queue, cpus));

static const char *const words[] = { [NIC_CPU] = "cpu", [NIC_RPS] = "rps", [NIC_XPS] = "xps" };

/* ---- the type CPULIST ---- */

static int list_parse(const struct val_spec *s, const char *const *tok, size_t n, void *dst,
		      struct strbuf *err)
{
	struct cpus c;
	const char *why;

	if (!cpus_parse_list(tok[0], &c, &why)) {
		strbuf_addf(err, "\"%s\" %s", tok[0], why);
		return -1;
	}
	if (dst)
		memcpy(dst, &c, sizeof(c));
	return 1;
}

static void list_print(const struct val_spec *s, const void *src, struct strbuf *b)
{
	char buf[CPUS_LIST_MAX];

	strbuf_adds(b, cpus_list(src, buf));
}

static const struct val_type list_type = { .name = "CPULIST",
					   .what = "a list of CPUs",
					   .hint = "0,2-5",
					   .size = sizeof(struct cpus),
					   .parse = list_parse,
					   .print = list_print };
VAL_TYPE(list_type);

/* ---- what is ---- */

/* Interrupts that the bus gave the device: of virtio the PCI device is above it. */
static size_t own_irqs(const char *ifname, unsigned ret[IRQ_MAX])
{
	static const char *const places[] = { "device/msi_irqs", "device/../msi_irqs" };
	const struct dirent *e;
	size_t n = 0;
	DIR *d = NULL;

	for (size_t i = 0; !d && i < ARRAY_LEN(places); i++) {
		char *path = xasprintf("/sys/class/net/%s/%s", ifname, places[i]);

		d = opendir(path);
		free(path);
	}
	while (d && n < IRQ_MAX && (e = readdir(d))) {
		if (*e->d_name != '.')
			ret[n++] = (unsigned)strtoul(e->d_name, NULL, 10);
	}
	if (d)
		closedir(d);
	return n;
}

size_t nic_irqs(int ifindex, const char *ifname, struct nic_irq ret[IRQ_MAX])
{
	static unsigned own[IRQ_MAX];
	char *path = xasprintf("/sys/class/net/%s/device", ifname), target[256] = "", *text;
	ssize_t len = readlink(path, target, sizeof(target) - 1);
	const char *device = strrchr(target, '/');
	char file[PARENT_QUEUE_PATH];
	size_t n, kept = 0;

	free(path);
	/* A device of the kernel's own has none. */
	if (len <= 0 || rtr_file_read("/proc/interrupts", INTERRUPTS_MAX, &text, NULL))
		return 0;
	n = irq_of_queues(text, ifname, device ? device + 1 : "", own, own_irqs(ifname, own), ret);
	free(text);
	/* The parent moves no other's, and in another network namespace none. */
	for (size_t k = 0; k < n; k++) {
		if (parent_queue_path(PARENT_QUEUE_IRQ, ifindex, ret[k].irq, file))
			ret[kept++] = ret[k];
	}
	return kept;
}

int nic_cpus(int ifindex, enum nic_serve what, unsigned number, struct cpus *ret)
{
	char path[PARENT_QUEUE_PATH], *text;
	int r;

	if (!parent_queue_path((enum parent_queue_what)what, ifindex, number, path))
		return -ENOENT;
	r = rtr_file_read(path, MASK_MAX, &text, NULL);
	if (r)
		return r;
	r = cpus_parse_mask(text, ret) ? 0 : -EINVAL;
	free(text);
	return r;
}

static void online(struct cpus *ret)
{
	const char *why;
	char *text;

	memset(ret, 0xff, sizeof(*ret));
	if (rtr_file_read("/sys/devices/system/cpu/online", CPUS_LIST_MAX, &text, NULL))
		return;
	text[strcspn(text, "\n")] = '\0';
	if (!cpus_parse_list(text, ret, &why))
		memset(ret, 0xff, sizeof(*ret));
	free(text);
}

/* ---- plan ---- */

_Static_assert((int)NIC_CPU == (int)PARENT_QUEUE_IRQ && (int)NIC_RPS == (int)PARENT_QUEUE_RPS &&
		       (int)NIC_XPS == (int)PARENT_QUEUE_XPS,
	       "the same order");

static int ask_parent(const void *data, int *ret_fd)
{
	return parent_queue_ask(data, ret_fd);
}

static const struct nic_queue *line_of(const struct iface *i, unsigned queue, enum nic_serve what)
{
	const struct recvec *v = i ? rec_kids(&i->rec, &nic_queue_type) : NULL;

	for (size_t k = 0; v && k < v->len; k++) {
		const struct nic_queue *n = (const void *)v->v[k];

		if (n->queue == queue && n->what == what)
			return n;
	}
	return NULL;
}

/* What is set for a queue: its one file, or one interrupt of several. */
struct serve {
	enum nic_serve what;
	unsigned queue;
	unsigned number; /* of the queue, or of the interrupt */
	unsigned nth;    /* interrupt of the queue; what each had before us is remembered apart */
};

#define ATTR_SIZE 32
static bool is_wanted(const struct iface *i, const struct shadow_link *l, const struct serve *s,
		      char attr[ATTR_SIZE])
{
	int n = snprintf(attr, ATTR_SIZE, "%s-%u", words[s->what], s->queue);

	if (s->nth)
		snprintf(attr + n, ATTR_SIZE - (size_t)n, ".%u", s->nth);
	return line_of(i, s->queue, s->what) || nic_has_memory(l, attr);
}

static void plan_one(struct plan *p, const struct iface *i, const struct shadow_link *l,
		     const struct serve *s)
{
	const struct nic_queue *line = line_of(i, s->queue, s->what);
	struct parent_queue c = { .what = s->what, .ifindex = l->ifindex, .number = s->number };
	char attr[ATTR_SIZE], want[CPUS_MASK_MAX], now[CPUS_MASK_MAX], list[CPUS_LIST_MAX];
	struct cpus is, shall = { 0 }, there;
	const char *goal;

	if (!is_wanted(i, l, s, attr) || nic_cpus(l->ifindex, s->what, s->number, &is))
		return;
	/* Of one that was taken offline the kernel would not hear. */
	online(&there);
	for (size_t k = 0; line && k < ARRAY_LEN(shall.w); k++)
		shall.w[k] = line->cpus.w[k] & there.w[k];
	if (line && cpus_highest(&shall) < 0)
		return;
	goal = nic_goal(p, l, attr, line ? cpus_mask(&shall, want) : NULL, cpus_mask(&is, now));
	if (!goal || !cpus_parse_mask(goal, &c.cpus))
		return;
	cpus_list(&c.cpus, list);
	if (s->what == NIC_CPU)
		plan_call(p, ask_parent, &c, sizeof(c), i ? &i->rec : NULL,
			  "give interrupt %u of queue %u of %s to CPU %s", s->number, s->queue,
			  l->name, list);
	else
		plan_call(p, ask_parent, &c, sizeof(c), i ? &i->rec : NULL,
			  "set %s of queue %u of %s to CPU %s", words[s->what], s->queue, l->name,
			  *list ? list : "none");
}

/* Does anybody say a thing of any queue, now or before? Files and lists are read only then. */
static void note_memory(void *arg, const char *key, const char *value)
{
	*(bool *)arg = true;
}

static bool any_said(const struct iface *i, const struct shadow_link *l)
{
	char prefix[64];
	bool any = i && rec_kids(&i->rec, &nic_queue_type)->len;

	for (size_t w = 0; !any && w < ARRAY_LEN(words); w++) {
		snprintf(prefix, sizeof(prefix), "nic %d %s %s-", l->ifindex, l->name, words[w]);
		baseline_foreach(prefix, note_memory, &any);
	}
	return any;
}

void nic_plan_serve(struct plan *p, const struct iface *i, const struct shadow_link *l)
{
	static struct nic_irq irqs[IRQ_MAX];
	struct nic_queues q;
	struct serve s = { .what = NIC_CPU };
	size_t n;
	unsigned most;

	if (!any_said(i, l))
		return;
	n = nic_irqs(l->ifindex, l->name, irqs);
	for (size_t k = 0; k < n; k++) {
		s.nth = k && irqs[k].queue == irqs[k - 1].queue ? s.nth + 1 : 0;
		s.queue = irqs[k].queue;
		s.number = irqs[k].irq;
		plan_one(p, i, l, &s);
	}
	most = nic_queues(l->ifindex, &q) ? 1 : MAX(q.combined + MAX(q.rx, q.tx), 1u);
	for (unsigned k = 0; k < most; k++) {
		plan_one(p, i, l, &(struct serve){ NIC_RPS, k, k, 0 });
		plan_one(p, i, l, &(struct serve){ NIC_XPS, k, k, 0 });
	}
}

/* ---- check ---- */

static void check_irq(struct check *c, nic_say say, const struct iface *i,
		      const struct shadow_link *l, const struct nic_queue *line)
{
	static struct nic_irq irqs[IRQ_MAX];
	size_t n = nic_irqs(l->ifindex, l->name, irqs);

	/* Drivers ask for interrupts when the interface comes up. */
	if (!(l->flags & IFF_UP))
		return;
	if (!n) {
		say(c, &line->rec,
		    "%s has no interrupts of its own: \"queue %u rps\" spreads its packets",
		    i->name, line->queue);
		return;
	}
	for (size_t k = 0; k < n; k++) {
		if (irqs[k].queue == line->queue)
			return;
	}
	say(c, &line->rec, "%s has no interrupt of a queue %u: its last one is %u", i->name,
	    line->queue, irqs[n - 1].queue);
}

static void check_file(struct check *c, nic_say say, const struct iface *i,
		       const struct shadow_link *l, const struct nic_queue *line)
{
	struct cpus now;
	int r = nic_cpus(l->ifindex, line->what, line->queue, &now);

	if (!r)
		return;
	if (line->what == NIC_XPS && !line->queue)
		say(c, &line->rec, "%s has one transmit queue: it is that of every CPU", i->name);
	else
		say(c, &line->rec, "%s has no %s queue %u that could be set", i->name,
		    line->what == NIC_XPS ? "transmit" : "receive", line->queue);
}

/* False: there is no more to say. Queues that the configuration makes are judged by its number. */
static bool check_number(struct check *c, nic_say say, const struct iface *i,
			 const struct shadow_link *l, const struct nic_queue *line)
{
	struct nic_queues q;
	unsigned most;

	if (!SCH_HAS(i, hw_queues) || nic_queues(l->ifindex, &q) || !q.combined_max)
		return true;
	/* hardware-queue says pairs; queues of one direction come after them. */
	most = i->hw_queues + MAX(q.rx, q.tx);
	if (line->queue >= most)
		say(c, &line->rec,
		    "%s gets %u queues by its \"hardware-queue\": the last one is %u", i->name,
		    most, most - 1);
	return line->queue < most && i->hw_queues == q.combined;
}

void nic_check_serve(struct check *c, const struct iface *i, const struct iface *old,
		     const struct shadow_link *l)
{
	const struct recvec *v = rec_kids(&i->rec, &nic_queue_type);
	char list[CPUS_LIST_MAX];
	const struct nic_queue *line;
	struct cpus there;

	if (!l || !v->len)
		return;
	online(&there);
	recvec_foreach(v, line) {
		const struct nic_queue *was = line_of(old, line->queue, line->what);
		nic_say say = nic_say_of(
			c, !was || memcmp(&was->cpus, &line->cpus, sizeof(was->cpus)));
		bool missing = false;

		for (size_t k = 0; k < ARRAY_LEN(there.w); k++)
			missing |= line->cpus.w[k] & ~there.w[k];
		if (missing)
			say(c, &line->rec, "this machine has the CPUs %s", cpus_list(&there, list));
		else if (!check_number(c, say, i, l, line))
			continue;
		else if (line->what == NIC_CPU)
			check_irq(c, say, i, l, line);
		else
			check_file(c, say, i, l, line);
	}
}
