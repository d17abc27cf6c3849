# SPDX-License-Identifier: GPL-2.0-or-later
"""What: boots Debian's own kernels in qemu and runs tests/guest/test_*.sh inside, as root.

It is for what the machine's kernel lacks. The guest is emulated (TCG): it tells right from wrong,
never fast from slow. Its root is an initramfs of busybox, iproute2, our programs with their shared
libraries, and the modules listed in tests/guest/modules with what those need.

tests/guest/nics/ runs on the newest kernel that Debian has (sid) alone, with cards of its own (nics.py):
NIC drivers that share packet buffers with a program are younger than any release.

Owns: one qemu at a time.
Failure: a kernel that cannot be had is a visible skip; a guest that ends without its closing line
is a failure with the end of its console.
"""
import fcntl
import glob
import lzma
import os
import re
import shutil
import subprocess
import tempfile

import nics
from debian import CACHE, NEWEST, SUITES, Unavailable, codename, kernel, sh, vmlinuz

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
HERE = os.path.dirname(os.path.abspath(__file__))
# Some four minutes on an idle machine of two cores, and up to two for each test of the fast plane, whose programs the
# verifier looks at for long; the rest is for a busy one.
GUEST_SECONDS = 900
# Programs of the machine that go into the guest beside busybox, where it has them.
TOOLS = ["ip", "bash", "tc", "bridge", "ss", "nft", "ethtool", "ping", "setpriv", "iperf3"]
OURS = ["rtrd", "rtrctl", "rtr-fastpath", "rtr-vrrpd", "rtr-arpd"]


def wanted_modules():
    with open(f"{HERE}/modules") as f:
        return [w for line in f for w in line.split("#")[0].split()]


class Initramfs:
    """A root folder that becomes the guest's initramfs."""

    def __init__(self, root):
        self.root = root
        for d in ("bin", "sbin", "proc", "sys", "dev", "run", "tmp", "etc", "var/lib", "tests", "usr/sbin"):
            os.makedirs(f"{root}/{d}")

    def program(self, source, target):
        """A program and its shared libraries."""
        shutil.copy(source, f"{self.root}/{target}")
        p = subprocess.run(["ldd", source], text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                           check=False)
        for lib in re.findall(r"(/\S+)", p.stdout):
            self.file(lib)

    def file(self, path):
        if not os.path.exists(f"{self.root}{path}"):
            os.makedirs(os.path.dirname(f"{self.root}{path}"), exist_ok=True)
            shutil.copy(os.path.realpath(path), f"{self.root}{path}")

    def busybox(self):
        shutil.copy(shutil.which("busybox"), f"{self.root}/bin/busybox")
        for applet in sh("busybox", "--list").split():
            if applet not in ("sh", "modprobe") and not os.path.exists(f"{self.root}/bin/{applet}"):
                os.symlink("/bin/busybox", f"{self.root}/bin/{applet}")
        # Tests are bash: busybox's shell would take its own ip and tc before iproute2's.
        os.symlink("/bin/bash", f"{self.root}/bin/sh")
        # What the kernel calls when it wants a module by an alias.
        self.program(shutil.which("kmod"), "sbin/modprobe")

    def modules(self, tree):
        """The wanted modules and those they need, with the alias tables of a running system."""
        (base,) = glob.glob(f"{tree}/lib/modules/*") or glob.glob(f"{tree}/usr/lib/modules/*")
        version = os.path.basename(base)
        if not os.path.exists(f"{base}/modules.dep"):
            sh("depmod", "-b", base[:-len(f"/lib/modules/{version}")], version)
        needs = {}
        with open(f"{base}/modules.dep") as f:
            for line in f:
                path, deps = line.split(":", 1)
                needs[re.sub(r"\.ko.*", "", os.path.basename(path)).replace("-", "_")] = [path, *deps.split()]
        with open(f"{base}/modules.builtin") as f:
            builtin = {os.path.basename(line.strip())[:-3].replace("-", "_") for line in f}
        missing = []
        target = f"{self.root}/lib/modules/{version}"
        for module in (m.replace("-", "_") for m in wanted_modules()):
            if module not in needs and module not in builtin:
                missing.append(module)
            for path in needs.get(module, []):
                out = f"{target}/{re.sub(r'[.](xz|zst)$', '', path)}"
                os.makedirs(os.path.dirname(out), exist_ok=True)
                if path.endswith(".xz"):
                    with lzma.open(f"{base}/{path}") as src, open(out, "wb") as dst:
                        shutil.copyfileobj(src, dst)
                else:
                    shutil.copy(f"{base}/{path}", out)
        for table in ("modules.order", "modules.builtin"):
            shutil.copy(f"{base}/{table}", target)
        sh("depmod", "-b", self.root, version)
        return version, missing

    def etc(self):
        for name, text in {
            "passwd": "root:x:0:0::/:/bin/sh\nrtr:x:990:990::/:/bin/false\n",
            "group": "root:x:0:\nrtr:x:990:\nrtradmin:x:991:\n",
            "hosts": "127.0.0.1 localhost\n::1 localhost\n",
            "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n"}.items():
            with open(f"{self.root}/etc/{name}", "w") as f:
                f.write(text)

    def pack(self, out):
        with open(out, "wb") as f:
            find = subprocess.Popen(["find", ".", "-print0"], cwd=self.root, stdout=subprocess.PIPE)
            cpio = subprocess.Popen(["cpio", "--null", "-o", "-H", "newc", "--quiet"], cwd=self.root,
                                    stdin=find.stdout, stdout=subprocess.PIPE)
            subprocess.run(["gzip", "-1"], stdin=cpio.stdout, stdout=f, check=True)
            if find.wait() or cpio.wait():
                raise RuntimeError("the initramfs could not be packed")


def make_initramfs(tree, builddir, tmp, tests=HERE):
    """The initramfs for one kernel and a folder of tests: (file, kernel version, modules that this kernel has not)."""
    image = Initramfs(f"{tmp}/root")
    for tool in TOOLS:
        path = shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin")
        if path:
            image.program(path, f"bin/{tool}")
    for name in OURS:
        if os.access(f"{builddir}/{name}", os.X_OK):
            image.program(f"{builddir}/{name}", f"bin/{name}")
    image.busybox()
    version, missing = image.modules(tree)
    image.etc()
    for script in [f"{HERE}/lib.sh", *sorted(glob.glob(f"{tests}/test_*.sh"))]:
        shutil.copy(script, f"{image.root}/tests")
    shutil.copy(f"{HERE}/init", f"{image.root}/init")
    os.chmod(f"{image.root}/init", 0o755)
    image.pack(f"{tmp}/initramfs")
    return f"{tmp}/initramfs", version, missing


def boot(res, tree, initramfs):
    """Runs the guest to its power-off: everything that it wrote on its console.

    eth0 and eth1 hang on one hub inside qemu: a cable between them that no machine is part of. Three
    more cards, eth2 and two whose drivers the tests load (e1000e, vmxnet3), have a hash key, interrupts
    of their own, and LRO.
    """
    nics = []
    for i in range(2):
        nics += ["-netdev", f"hubport,id=n{i},hubid=0",
                 "-device", f"virtio-net-pci,netdev=n{i},mac=02:00:00:00:00:0{i + 1},romfile="]
    nics += ["-netdev", "hubport,id=n2,hubid=1", "-netdev", "hubport,id=n3,hubid=1",
             "-device", "virtio-net-pci,netdev=n2,mac=02:00:00:00:00:03,romfile=,rss=on",
             "-device", "e1000e,netdev=n3,mac=02:00:00:00:00:04,romfile=",
             "-netdev", "hubport,id=n4,hubid=1",
             "-device", "vmxnet3,netdev=n4,mac=02:00:00:00:00:05,romfile="]
    return res.run(["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-machine", "q35",
                    "-m", "768", "-smp", "2", "-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio",
                    "-kernel", vmlinuz(tree), "-initrd", initramfs, *nics,
                    "-append", "console=ttyS0 quiet panic=-1 net.ifnames=0 no_timer_check"], GUEST_SECONDS)


def count(res, label, rc, console):
    """Adds the guest's result lines to the results."""
    console = console.replace("\r", "")
    done = False
    for line in console.splitlines():
        m = re.match(r"RESULT (pass|fail|skip|done)(?: (\S+))?(?: (.*))?$", line)
        if not m:
            continue
        verdict, name, why = m.groups()
        if verdict == "done":
            done = True
        elif verdict == "skip":
            res.skip(f"{label} {name}", why or "no reason given")
        elif verdict == "pass":
            res.ok(f"{label} {name}", "")
        else:
            # The first result's start line may follow what the firmware left on the line.
            m = re.search(rf"RESULT start {re.escape(name)}$(.*?)^RESULT fail", console, re.M | re.S)
            res.fail(f"{label} {name}", (m[1] if m else console)[-4000:].lstrip("\n"))
    if not done:
        res.fail(f"{label} boot", f"qemu status {rc}; the console ends with:\n{console[-3000:]}")


def run(res, build_class):
    """All guest tests on every kernel that can be had."""
    if os.geteuid() != 0:
        res.skip("guest", "needs root, for its cache folder")
        return
    for program in ("qemu-system-x86_64", "busybox", "cpio", "depmod"):
        if not shutil.which(program):
            res.skip("guest", f"{program} is not installed")
            return
    os.makedirs(CACHE, exist_ok=True)
    with open(f"{CACHE}/lock", "w") as lock, build_class(res, "release", "all") as builddir:
        fcntl.flock(lock, fcntl.LOCK_EX)
        guests = [(suite.format(codename()), HERE, boot) for suite in SUITES] + [(NEWEST, f"{HERE}/nics", nics.boot)]
        for suite, tests, start in guests if builddir else []:
            try:
                tree = kernel(suite)
                with tempfile.TemporaryDirectory() as tmp:
                    initramfs, version, missing = make_initramfs(tree, builddir, tmp, tests)
                    print(f"   kernel {version}" + (f", without {' '.join(missing)}" if missing else ""), flush=True)
                    count(res, f"guest {version}", *start(res, tree, initramfs))
            except (Unavailable, subprocess.TimeoutExpired) as e:
                res.skip(f"guest {suite}", str(e))
