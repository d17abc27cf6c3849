# SPDX-License-Identifier: GPL-2.0-or-later
"""What: a guest with the cards of the fast plane's drivers, for tests/guest/nics/test_*.sh.

    client c -- igb 0   igb 1 -- s server          (cables inside qemu)
    client c -- virtio 0  virtio 1 -- s server     (taps and bridges: only taps have two queues)

Addresses say who is who: 02:00:00:00:KK:NN, KK the kind (1 igb, 2 virtio), NN 1 and 2 the cards of the router,
3 the client's beside 1, 4 the server's beside 2.

igb is emulated from qemu 8 on, and shares packet buffers from Linux 6.14 on; virtio_net from 6.13 on, and only where the
host lets it use the DMA interface (iommu_platform). A qemu without igb is left alone, and that of the
release's backports is run from the cache.

Owns: the network namespace of its taps, gone with qemu. Failure: as guest.py.
"""
import glob
import os
import re
import subprocess

import debian

QUEUES = 2
SECONDS = 600
QEMU = ["qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios"]


def has_igb(argv, env):
    p = subprocess.run([*argv, "-device", "igb,help"], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.DEVNULL, check=False)
    return p.returncode == 0 and b"igb" in p.stdout


def qemu():
    """The machine's own qemu, or one with igb from backports: (argv, environment)."""
    argv, env = ["qemu-system-x86_64"], dict(os.environ)
    if has_igb(argv, env):
        return argv, env
    suite = f"{debian.codename()}-backports"
    options = debian.apt_options(suite)
    policy = debian.sh("apt-cache", *options, "policy", *QEMU)
    wanted = re.findall(r"^(\S+):\n.*\n  Candidate: (\S+)$", policy, re.M)
    root = debian.unpacked(options, f"qemu-{dict(wanted)[QEMU[0]].replace(':', '_')}", *(f"{p}={v}" for p, v in wanted))
    (modules,) = glob.glob(f"{root}/usr/lib/*/qemu")
    argv = [f"{root}/usr/bin/qemu-system-x86_64", "-L", f"{root}/usr/share/qemu", "-L", f"{root}/usr/share/seabios"]
    env["QEMU_MODULE_DIR"] = modules
    if not has_igb(argv, env):
        raise debian.Unavailable("this qemu has no igb")
    return argv, env


def mac(kind, number):
    return f"02:00:00:00:{kind:02}:{number:02}"


def igb_cards():
    """Each on a root port of its own: igb wants functions and interrupts of a whole slot."""
    out = []
    for number in (1, 2):
        out += ["-netdev", f"hubport,id=i{number},hubid={number}", "-netdev", f"hubport,id=j{number},hubid={number}",
                "-device", f"pcie-root-port,id=r{number},chassis={number},slot={number}",
                "-device", f"igb,bus=r{number},netdev=i{number},mac={mac(1, number)},romfile=",
                "-device", f"virtio-net-pci,netdev=j{number},mac={mac(1, number + 2)},romfile="]
    return out


def virtio_cards():
    """(qemu's arguments, shell lines that make their taps)"""
    out, lines = [], []
    for number in (1, 2):
        ours, peer = f"t{number}", f"t{number + 2}"
        lines += [f"ip link add b{number} type bridge", f"ip link set b{number} up"]
        for tap in (ours, peer):
            many = " multi_queue" if tap == ours else ""
            lines += [f"ip tuntap add {tap} mode tap vnet_hdr{many}", f"ip link set {tap} master b{number}",
                      f"ip link set {tap} up"]
        out += ["-netdev", f"tap,id={ours},ifname={ours},script=no,downscript=no,queues={QUEUES}",
                "-device", f"virtio-net-pci,netdev={ours},mac={mac(2, number)},romfile=,mq=on,vectors={2 * QUEUES + 2},"
                "iommu_platform=on,disable-legacy=on",
                "-netdev", f"tap,id={peer},ifname={peer},script=no,downscript=no",
                "-device", f"virtio-net-pci,netdev={peer},mac={mac(2, number + 2)},romfile="]
    return out, lines


def boot(res, tree, initramfs):
    """Runs the guest to its power-off: everything that it wrote on its console."""
    argv, env = qemu()
    cards, lines = virtio_cards()
    argv += ["-accel", "tcg,thread=multi", "-cpu", "max", "-machine", "q35", "-m", "1280", "-smp", str(QUEUES),
             "-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio", "-kernel", debian.vmlinuz(tree),
             "-initrd", initramfs, *igb_cards(), *cards, "-append", "console=ttyS0 quiet panic=-1 net.ifnames=0 no_timer_check"]
    return res.run(["unshare", "-n", "sh", "-ec", "\n".join([*lines, 'exec "$@"']), "sh", *argv], SECONDS, env=env)
