# SPDX-License-Identifier: GPL-2.0-or-later
"""What: builds the Debian packages, installs them into a fresh Debian, boots that with its own
systemd, and upgrades, removes and purges them while packets are forwarded.

Owns: a Debian tree below the run's temporary folder; one machine of namespaces (boot) at a time.
Failure: what cannot be had here (debootstrap, the mirror, a systemd that boots) is a visible skip.
"""
import os
import re
import shutil
import subprocess
import tempfile
import time

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
HERE = os.path.dirname(os.path.abspath(__file__))
BOOT_SECONDS = 60
# A router with two hosts. Pings go through it, 100 a second, from the first start to the end.
HOSTS = """
for h in a b; do
	ip netns add $h
	ip link add to$h type veth peer name eth0 netns $h
	ip -n $h link set lo up
	ip -n $h link set eth0 up
done
ip -n a addr add 10.0.1.10/24 dev eth0
ip -n a -6 addr add 2001:db8:1::10/64 dev eth0 nodad
ip -n a route add default via 10.0.1.1
ip -n a -6 route add default via 2001:db8:1::1
ip -n b addr add 198.51.100.1/24 dev eth0
ip -n b -6 addr add 2001:db8:100::1/64 dev eth0 nodad
ip -n b route add default via 198.51.100.2
ip -n b -6 route add default via 2001:db8:100::2
"""
LINES = ["configure terminal",
         "interface toa", "ip address 10.0.1.1/24", "ipv6 address 2001:db8:1::1/64",
         "interface tob", "ip address 198.51.100.2/24", "ipv6 address 2001:db8:100::2/64",
         "vrrp 1 address-family ipv4", "address 198.51.100.254 primary", "exit", "exit",
         "ip route 10.9.0.0/16 Null0", "end", "write memory"]


class Unavailable(Exception):
    """Why this cannot be tested here."""


def codename():
    with open("/etc/os-release") as f:
        return dict(line.rstrip().split("=", 1) for line in f if "=" in line)["VERSION_CODENAME"].strip('"')


def mirror(res):
    """The machine's own source of its release."""
    rc, out = res.run(["apt-get", "indextargets", "--format", "$(ORIGIN) $(CODENAME) $(COMPONENT) $(REPO_URI)",
                       "Created-By: Packages"])
    want = ["Debian", codename(), "main"]
    found = [line.split()[3] for line in out.splitlines() if line.split()[:3] == want] if rc == 0 else []
    if not found:
        raise Unavailable("this machine has no source of Debian's packages")
    return found[0]


class Machine:
    """The tree, booted: commands run inside by nsenter."""

    def __init__(self, tree):
        self.init = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", "unshare", "--mount", "--net", "--pid", "--uts", "--ipc",
             "--cgroup", "--fork", "--kill-child", "--", f"{HERE}/boot", tree],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.pid = None

    def __enter__(self):
        end = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < end and self.init.poll() is None:
            self.pid = self.pid or self.first()
            if self.pid and self.run("systemctl is-system-running")[1].strip() in ("running", "degraded"):
                return self
            time.sleep(0.2)
        ended = self.init.poll() is not None
        self.__exit__()
        raise Unavailable("no systemd boots here: " + (self.init.stdout.read()[-400:] if ended else "it hangs"))

    def __exit__(self, *exc):
        self.init.kill()
        self.init.wait()

    def first(self):
        """systemd, whom everybody but itself knows by another number than 1."""
        try:
            with open(f"/proc/{self.init.pid}/task/{self.init.pid}/children") as f:
                pid = f.read().split()
            with open(f"/proc/{pid[0]}/comm") as f:
                return pid[0] if f.read().strip() == "systemd" else None
        except (FileNotFoundError, IndexError):
            return None

    def argv(self, script):
        return ["nsenter", "-t", self.pid, "-m", "-n", "-p", "-u", "-i", "--", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                "DEBIAN_FRONTEND=noninteractive", "bash", "-c", script]

    def run(self, script, timeout=120):
        p = subprocess.run(self.argv(script), text=True, errors="replace", stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
        return p.returncode, p.stdout

    def wait(self, script, seconds=30):
        """The output of the script once it succeeds; its last words when it does not."""
        end = time.monotonic() + seconds
        while True:
            rc, out = self.run(script)
            if rc == 0 or time.monotonic() > end:
                return rc, out
            time.sleep(0.1)


class Pings:
    """100 a second in each family until asked how many got lost."""

    def __init__(self, machine):
        self.machine = machine
        self.procs = [subprocess.Popen(machine.argv(f"exec ip netns exec a ping -n -q -i 0.01 {dest}"), text=True,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                      for dest in ("198.51.100.1", "2001:db8:100::1")]

    def lost(self):
        """A sentence when one answer is missing, or the test was too short to tell."""
        self.machine.run("pkill -INT -x ping")
        problems = []
        for p in self.procs:
            out = p.communicate(timeout=20)[0]
            m = re.search(r"(\d+) packets transmitted, (\d+) received", out)
            # The last one may be on its way still.
            if not m or int(m[1]) < 100 or int(m[1]) - int(m[2]) > 1:
                problems.append(out)
        return "\n".join(problems)


def check(res, machine, label, script, seconds=0):
    """One result: the script succeeds, within so many seconds."""
    rc, out = machine.wait(f"set -e\n{script}", seconds)
    res.ok(f"package: {label}", f"{script}\n{out[-3000:]}" if rc else "")


def first_start(res, m):
    active = "systemctl is-active rtrd"
    rc, out = m.wait(active, 10)
    res.ok("package: rtrd runs", m.run("systemctl status --no-pager -l rtrd; journalctl --no-pager -u rtrd")[1] if rc else "")
    check(res, m, "nothing fails", 'test -z "$(systemctl --failed --no-legend --plain | grep rtr)"')
    check(res, m, "the first start made rtrd.conf", 'test "$(stat -c "%a %U %G" /etc/rtr/rtrd.conf)" = "600 rtr rtr"', 5)
    check(res, m, "units verified", "systemd-analyze verify --man=no rtrd.service rtrd@one.service 2>&1 | (! grep rtrd)")
    m.run(HOSTS)
    commands = " ".join(f"-c '{line}'" for line in LINES)
    check(res, m, "configured", f"rtrctl {commands} && rtrctl -c 'show kernel drift' | grep matches", 10)
    check(res, m, "forwards", "for d in 198.51.100.1 2001:db8:100::1; do ip netns exec a ping -n -q -c 1 -W 1 $d; done", 20)
    # What the sandbox of the unit must leave to each program.
    check(res, m, "rtr-arpd runs as rtr", 'test "$(ps -o user= -C rtr-arpd)" = rtr', 10)
    check(res, m, "rtr-vrrpd has real-time priority", 'test "$(ps -o cls= -C rtr-vrrpd | tr -d " ")" = FF', 10)
    check(res, m, "firewall accepted", "rtrctl -c 'configure terminal' -c 'zone security Z' -c 'management' -c 'exit' "
          "-c 'interface toa' -c 'zone-member security Z' -c 'interface tob' -c 'zone-member security Z' -c end "
          "&& rtrctl -c 'show kernel drift' | grep matches", 10)
    check(res, m, "quiet log", "! journalctl --no-pager -u rtrd | grep -E 'Operation not permitted|ended with status|killed by'")


def changes(res, m, debs):
    """Restart, hang, upgrade, removal, purge: all of it under traffic."""
    pings = Pings(m)
    pid = m.run("systemctl show -P MainPID rtrd")[1].strip()
    check(res, m, "restart", "systemctl restart rtrd && systemctl is-active rtrd && rtrctl -c 'show kernel drift' | grep matches", 10)
    check(res, m, "reload", "systemctl reload rtrd && systemctl is-active rtrd", 5)
    m.run("mkdir -p /run/systemd/system/rtrd.service.d; printf '[Service]\\nWatchdogSec=2s\\n' "
          ">/run/systemd/system/rtrd.service.d/test.conf; systemctl daemon-reload; systemctl restart rtrd; "
          "pkill -STOP -U rtr -x rtrd")
    check(res, m, "a hang is ended by the watchdog", 'test "$(systemctl show -P NRestarts rtrd)" -ge 1 && rtrctl -c "show clock"', 20)
    m.run("rm -r /run/systemd/system/rtrd.service.d; systemctl daemon-reload")
    m.run("rtrctl -c 'configure terminal' -c 'ip route 10.8.0.0/16 Null0' -c end")
    rc, out = m.run(f"dpkg -i {debs}")
    res.ok("package: upgrade", out if rc else "")
    check(res, m, "the new rtrd runs and has what ran",
          f'test "$(systemctl show -P MainPID rtrd)" != {pid or 0} && rtrctl -c "show running-config" | grep 10.8.0.0 '
          '&& rtrctl -c "show kernel drift" | grep matches', 10)
    rc, out = m.run("dpkg -r rtr")
    res.ok("package: removal", out if rc or "the kernel keeps" not in out else "")
    check(res, m, "nothing runs, the configuration stays", "! pgrep -U rtr && test -f /etc/rtr/rtrd.conf && ip route show | grep 10.8.0.0/16", 5)
    rc, out = m.run("dpkg -P rtr")
    res.ok("package: purge says what it removes",
           out if rc or not all(f"removing {d}" in out for d in ("/etc/rtr", "/var/lib/rtr", "/run/rtr")) else "")
    check(res, m, "purged, the kernel's state stays",
          "! ls -d /etc/rtr /var/lib/rtr /run/rtr 2>/dev/null && ip route show | grep 10.8.0.0/16 && ip addr show toa | grep 10.0.1.1/24")
    res.ok("package: no packet lost in all of it", pings.lost())


def test(res, tmp):
    for tool in ("debootstrap", "dpkg-buildpackage", "nsenter", "unshare"):
        if not shutil.which(tool) and not os.path.exists(f"/usr/sbin/{tool}"):
            raise Unavailable(f"{tool} is not installed")
    rc, out = res.run([f"{TOP}/tools/package", f"{tmp}/debs"])
    res.ok("package: build", out[-6000:] if rc else "")
    if rc:
        return
    tree = f"{tmp}/tree"
    rc, out = res.run(["debootstrap", "--variant=minbase", "--include=iproute2,iputils-ping,procps", codename(), tree, mirror(res)])
    if rc:
        raise Unavailable("debootstrap: " + out.strip()[-400:])
    shutil.copytree(f"{tmp}/debs", f"{tree}/srv/debs")
    debs = "/srv/debs/rtr_*.deb /srv/debs/rtr-doc_*.deb"
    rc, out = res.run(["chroot", tree, "bash", "-c",
                       "mount -t proc proc /proc; DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends systemd-sysv "
                       f"{debs}; rc=$?; umount /proc; exit $rc"])
    res.ok("package: install", out[-4000:] if rc else "")
    if rc:
        return
    rc, out = res.run(["chroot", tree, "bash", "-c",
                       "set -e; id rtr; getent group rtr rtradmin; test ! -e /etc/rtr/rtrd.conf; "
                       'test "$(stat -c "%a %U" /etc/rtr)" = "750 rtr"; test -z "$(dpkg-query -W -f "\\${Conffiles}" rtr)"; '
                       "for f in /usr/share/doc/rtr/examples/*/*.conf; do rtrd -t $f; done"])
    res.ok("package: users, folders, no conffile, examples", out if rc else "")
    with Machine(tree) as m:
        first_start(res, m)
        changes(res, m, debs)


def run(res):
    if os.geteuid() != 0:
        res.skip("package", "needs root")
        return
    with tempfile.TemporaryDirectory() as tmp:
        try:
            test(res, tmp)
        except Unavailable as e:
            res.skip("package", str(e))
        except subprocess.TimeoutExpired as e:
            res.fail("package", str(e))
