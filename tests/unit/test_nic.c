/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sets of CPUs, and what drivers call the interrupts and counters of their queues. */
#include "../lib/check_main.h"

#include "nic/cpus.h"
#include "nic/irq.h"
#include "nic/nic.h"
#include "system/parent_queue.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

static struct cpus list(const char *s)
{
	const char *why;
	struct cpus c;

	ck_assert_msg(cpus_parse_list(s, &c, &why), "%s: %s", s, why);
	return c;
}

START_TEST(lists)
{
	static const char *const good[][3] = {
		/* typed, printed, the kernel's */
		{ "0", "0", "1" },
		{ "3,1,2", "1-3", "e" },
		{ "0,2-5", "0,2-5", "3d" },
		{ "31-32", "31-32", "1,80000000" },
		{ "64", "64", "1,00000000,00000000" },
		{ "0-1,0", "0-1", "3" },
	};
	static const char *const bad[] = { "",   "a",   "1-",   "-1",           "5-2",
					   "1,", "1;2", "1024", "0-99999999999" };
	char buf[CPUS_LIST_MAX], mask[CPUS_MASK_MAX];
	const char *why;
	struct cpus c, back;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		c = list(good[i][0]);
		ck_assert_str_eq(cpus_list(&c, buf), good[i][1]);
		ck_assert_str_eq(cpus_mask(&c, mask), good[i][2]);
		ck_assert(cpus_parse_mask(mask, &back) && !memcmp(&c, &back, sizeof(c)));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!cpus_parse_list(bad[i], &c, &why), "%s", bad[i]);
	ck_assert(cpus_parse_mask("ffffffff,ffffffff\n", &c) && cpus_highest(&c) == 63);
	ck_assert(cpus_parse_mask("00000000,00000003\n", &c) && cpus_highest(&c) == 1);
	ck_assert(cpus_parse_mask("0\n", &c) && cpus_highest(&c) == -1);
	ck_assert_str_eq(cpus_mask(&c, mask), "0");
	ck_assert(!cpus_parse_mask("", &c) && !cpus_parse_mask("g", &c) &&
		  !cpus_parse_mask("1\n2", &c));
}
END_TEST

/* The root parent moves no interrupt that is not the interface's own: lo has none. */
START_TEST(interrupts_of_others)
{
	char path[PARENT_QUEUE_PATH];

	/* Some containers see no interface in /sys. */
	ck_assert_int_eq(unshare(CLONE_NEWNET | CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount("sysfs", "/sys", "sysfs", 0, NULL), 0);
	ck_assert(parent_queue_path(PARENT_QUEUE_RPS, 1, 0, path));
	for (unsigned irq = 0; irq < 64; irq++)
		ck_assert(!parent_queue_path(PARENT_QUEUE_IRQ, 1, irq, path));
	ck_assert(!parent_queue_path(PARENT_QUEUE_IRQ, 1 << 30, 1, path));
}
END_TEST

/* Any set comes back from its text, the fullest one too. */
START_TEST(any_set)
{
	char buf[CPUS_LIST_MAX], mask[CPUS_MASK_MAX];
	uint64_t state = test_seed;

	for (unsigned run = 0; run < 2000; run++) {
		struct cpus c = { 0 }, back = { 0 };

		for (unsigned i = 0; i < CPUS_MAX; i++) {
			if (run == 0 || (run == 1 && i % 2) ||
			    (run > 1 && !(test_rand(&state) % (1 + run % 50))))
				c.w[i / 64] |= 1ull << i % 64;
		}
		ck_assert(cpus_parse_mask(cpus_mask(&c, mask), &back));
		ck_assert_mem_eq(&c, &back, sizeof(c));
		if (cpus_highest(&c) < 0)
			continue;
		back = list(cpus_list(&c, buf));
		ck_assert_mem_eq(&c, &back, sizeof(c));
	}
}
END_TEST

#define HEAD "           CPU0       CPU1\n"

static void irqs_are(const char *text, const char *ifname, const char *device, const unsigned *own,
		     size_t n_own, const char *want)
{
	static struct nic_irq v[IRQ_MAX];
	size_t n = irq_of_queues(text, ifname, device, own, n_own, v), at = 0;
	char got[256] = "";

	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(got + at, sizeof(got) - at, "%s%u:%u", i ? " " : "",
				       v[i].queue, v[i].irq);
	ck_assert_str_eq(got, want);
}

START_TEST(interrupts)
{
	static const unsigned igb_own[] = { 40, 41, 42 }, mlx_own[] = { 60, 61, 62 },
			      virtio_own[] = { 24, 25, 26, 27, 28 };
	static const char igb[] = HEAD
		" 40:          0          0 PCI-MSIX-0000:01:00.0   0-edge      eth0\n"
		" 41:          1          0 PCI-MSIX-0000:01:00.0   1-edge      eth0-TxRx-0\n"
		" 42:          0          7 PCI-MSIX-0000:01:00.0   2-edge      eth0-TxRx-1\n"
		" 43:          0          7 PCI-MSIX-0000:02:00.0   2-edge      eth1-TxRx-0\n"
		" 44:          0          7 PCI-MSIX-0000:02:00.0   2-edge      eth01-TxRx-5\n"
		" 45:          0          7 PCI-MSIX-0000:02:00.0   2-edge      veth0-TxRx-6\n"
		"NMI:          0          0   Non-maskable interrupts\n";
	static const char mlx[] = HEAD
		" 60:          0          0 PCI-MSI 0-edge      mlx5_async0@pci:0000:08:00.0\n"
		" 61:          1          0 PCI-MSI 1-edge      mlx5_comp0@pci:0000:08:00.0\n"
		" 62:          1          0 PCI-MSI 2-edge      mlx5_comp1@pci:0000:08:00.0\n";
	static const char virtio[] = HEAD
		" 24: 0 0 PCI-MSIX-0000:00:03.0   0-edge      virtio2-config\n"
		" 25: 0 9 PCI-MSIX-0000:00:03.0   1-edge      virtio2-input.0\n"
		" 26: 0 9 PCI-MSIX-0000:00:03.0   2-edge      virtio2-output.0\n"
		" 27: 0 9 PCI-MSIX-0000:00:03.0   3-edge      virtio2-input.1\n"
		" 28: 0 9 PCI-MSIX-0000:00:03.0   4-edge      virtio2-output.1\n"
		" 29: 0 9 PCI-MSIX-0000:00:04.0   1-edge      virtio3-input.0\n";
	static const char others[] = HEAD " 16: 0 9 IO-APIC  16-fasteoi   usb1, eth3, snd\n"
					  " 30: 0 9 GICv3 100 Level  end0-2\n"
					  " 31: 0 9 i40e  1-edge   i40e-enp1s0f0-TxRx-12\n"
					  " 32: 0 9 ena   1-edge   ens5-Tx-Rx-3\n"
					  " 33: 0 9 x     1-edge   lan-0";

	irqs_are(igb, "eth0", "0000:01:00.0", igb_own, 3, "0:41 1:42");
	/* Where the bus tells nothing, by the name. */
	irqs_are(igb, "eth0", "0000:01:00.0", NULL, 0, "0:41 1:42");
	irqs_are(igb, "eth1", "0000:02:00.0", NULL, 0, "0:43");
	irqs_are(igb, "eth9", "0000:03:00.0", NULL, 0, "");
	irqs_are(mlx, "ens8", "0000:08:00.0", mlx_own, 3, "0:61 1:62");
	irqs_are(virtio, "eth0", "virtio2", virtio_own, 5, "0:25 0:26 1:27 1:28");
	irqs_are(virtio, "eth1", "virtio3", NULL, 0, "0:29");
	irqs_are(others, "eth3", "x", NULL, 0, "0:16");
	irqs_are(others, "end0", "x1", NULL, 0, "2:30");
	irqs_are(others, "enp1s0f0", "x1", NULL, 0, "12:31");
	irqs_are(others, "ens5", "x1", NULL, 0, "3:32");
	/* The only one, whatever it is called. */
	irqs_are(others, "lan-0", "x1", NULL, 0, "0:33");
	irqs_are("", "eth0", "x", NULL, 0, "");
	irqs_are("\n\n:\n 12\n 13:\n14: \n", "eth0", "x", NULL, 0, "");
}
END_TEST

START_TEST(counters)
{
	static const struct {
		const char *name;
		bool tx;
		int queue;
		const char *rest;
	} table[] = { { "rx_queue_0_packets", false, 0, "packets" },
		      { "tx_queue_13_bytes", true, 13, "bytes" },
		      { "rx0_packets", false, 0, "packets" },
		      { "rx-3.packets", false, 3, "packets" },
		      { "tx_7_drops", true, 7, "drops" },
		      { "queue_2_rx_cnt", false, 2, "cnt" },
		      { "[4]: tx_ucast_bytes", true, 4, "ucast_bytes" },
		      { "rx_packets", false, -1, "" },
		      { "tx_64_byte_packets", true, -1, "" },
		      { "rx_65_to_127_byte_packets", false, -1, "" },
		      { "queue_x_rx_cnt", false, -1, "" },
		      { "rx0", false, -1, "" },
		      { "[", false, -1, "" },
		      { "", false, -1, "" } };
	char rest[40];
	unsigned queue;
	bool tx;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		bool is = nic_stat_name(table[i].name, &tx, &queue, rest);

		ck_assert_msg(is == (table[i].queue >= 0), "%s", table[i].name);
		if (!is)
			continue;
		ck_assert_msg(tx == table[i].tx && (int)queue == table[i].queue, "%s",
			      table[i].name);
		ck_assert_str_eq(rest, table[i].rest);
	}
}
END_TEST

static Suite *test_suite(void)
{
	Suite *s = suite_create("nic");
	TCase *t = tcase_create("all");

	tcase_add_test(t, lists);
	tcase_add_test(t, any_set);
	tcase_add_test(t, interrupts);
	tcase_add_test(t, interrupts_of_others);
	tcase_add_test(t, counters);
	suite_add_tcase(s, t);
	return s;
}
CHECK_MAIN(test_suite)
