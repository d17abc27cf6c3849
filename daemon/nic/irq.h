/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: which interrupts are of which queue of a NIC. The kernel tells it of no driver in the same
 * way; but all give an interrupt a name that ends in its queue's number: eth0-TxRx-3, eth0-rx-3,
 * virtio0-input.3, mlx5_comp3@pci:0000:08:00.0, i40e-eth0-TxRx-3. A NIC with one interrupt has one
 * queue, 0.
 * Owns: nothing. Threads: any. Failure: an interrupt whose name says no number is of no queue.
 */
#ifndef RTR_IRQ_H
#define RTR_IRQ_H

#include "util.h"

/* Of one NIC; the largest have a queue for each of some hundred CPUs. */
#define IRQ_MAX 1024

struct nic_irq {
	unsigned irq;
	unsigned queue;
};

/*
 * From the text of /proc/interrupts, sorted by queue and interrupt. own: the interrupts of the
 * device, where the bus tells them (MSI); none: those whose name holds the interface's or the
 * device's name.
 */
size_t irq_of_queues(const char *interrupts, const char *ifname, const char *device,
		     const unsigned *own, size_t n_own, struct nic_irq ret[IRQ_MAX]);

#endif
