/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "parent_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* /sys may be that of another network namespace, with another interface of this name: then there
 * is no file for it. */
static bool is_the_same(const char *name, int ifindex)
{
	char path[PARENT_QUEUE_PATH], *text = NULL;
	bool same;

	snprintf(path, sizeof(path), "/sys/class/net/%s/ifindex", name);
	same = !rtr_file_read(path, 32, &text, NULL) && atoi(text) == ifindex;
	free(text);
	return same;
}

/* An interrupt that the bus gave the device: MSI, or its one line. Of virtio the PCI device is
 * above it, which has a class where virtio's has none. */
static bool is_own_irq(const char *name, unsigned irq)
{
	char path[PARENT_QUEUE_PATH], *text = NULL;
	const char *above;
	bool own;

	snprintf(path, sizeof(path), "/sys/class/net/%s/device/class", name);
	above = access(path, F_OK) ? "/.." : "";
	snprintf(path, sizeof(path), "/sys/class/net/%s/device%s/msi_irqs/%u", name, above, irq);
	if (!access(path, F_OK))
		return true;
	snprintf(path, sizeof(path), "/sys/class/net/%s/device%s/irq", name, above);
	own = irq && !rtr_file_read(path, 32, &text, NULL) && strtoul(text, NULL, 10) == irq;
	free(text);
	return own;
}

bool parent_queue_path(enum parent_queue_what what, int ifindex, unsigned number,
		       char ret[PARENT_QUEUE_PATH])
{
	char name[IFNAMSIZ];

	if (!if_indextoname((unsigned)ifindex, name) || !is_the_same(name, ifindex))
		return false;
	if (what == PARENT_QUEUE_IRQ) {
		snprintf(ret, PARENT_QUEUE_PATH, "/proc/irq/%u/smp_affinity", number);
		return is_own_irq(name, number);
	}
	snprintf(ret, PARENT_QUEUE_PATH, "/sys/class/net/%s/queues/%s-%u/%s", name,
		 what == PARENT_QUEUE_RPS ? "rx" : "tx", number,
		 what == PARENT_QUEUE_RPS ? "rps_cpus" : "xps_cpus");
	return true;
}

static int write_cpus(const struct parent_queue *q)
{
	char path[PARENT_QUEUE_PATH], mask[CPUS_MASK_MAX];
	int fd, r = 0;

	if (q->what > PARENT_QUEUE_XPS || !parent_queue_path(q->what, q->ifindex, q->number, path))
		return -ENODEV;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	cpus_mask(&q->cpus, mask);
	if (write(fd, mask, strlen(mask)) < 0)
		r = -errno;
	close(fd);
	return r;
}

void parent_queue_serve(int fd)
{
	struct parent_queue q;
	int32_t answer;

	if (recv(fd, &q, sizeof(q), MSG_DONTWAIT) != sizeof(q))
		return;
	answer = write_cpus(&q);
	(void)!send(fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_NOSIGNAL);
}
