# SPDX-License-Identifier: GPL-2.0-or-later
"""Announcements of the router's addresses, and other hosts that have them: rtr-arpd at work."""
import os
import re
import signal
import subprocess

import pytest

import router
import topo

CONFLICT = ("p = Ether(src=mac, dst='ff:ff:ff:ff:ff:ff') /"
            " ARP(op=2, hwsrc=mac, psrc='10.0.1.1', pdst='10.0.1.1')\n")
FAST = ["arp announce-interval 100", "ipv6 nd announce-interval 100"]


@pytest.fixture
def net(routers):
    """r1's eth0 is up without addresses, so that each test starts with what it adds."""
    t = routers("basic")
    t.r1.config(["interface eth0", "ipv6 nd dad attempts 0", *FAST])
    topo.wait_for(lambda: pids(t.r1), what="rtr-arpd")
    return t


def pids(r1):
    """Of rtr-arpd."""
    out = topo.sh("pgrep", "-P", str(r1.proc.pid), "-x", "rtr-arpd", check=False).stdout
    return [int(p) for p in out.split()]


def mac_of(node, dev="eth0"):
    return node.ip_json("link", "show", "dev", dev)[0]["address"]


def dotted(mac):
    h = mac.replace(":", "")
    return f"{h[:4]}.{h[4:8]}.{h[8:]}"


class Watch:
    """tcpdump on the LAN host, read while it runs."""

    def __init__(self, host, expr):
        self.capture = topo.Capture(host, "eth0", expr)
        self.lines = []

    def __enter__(self):
        self.capture.__enter__()
        os.set_blocking(self.capture.proc.stdout.fileno(), False)
        return self

    def __exit__(self, *exc):
        self.count("")
        self.capture.proc.send_signal(signal.SIGINT)
        self.capture.proc.wait()

    def count(self, pattern):
        while line := self.capture.proc.stdout.readline():
            self.lines.append(line)
        return sum(bool(re.search(pattern, line)) for line in self.lines)

    def wait(self, pattern, n, timeout=5):
        topo.wait_for(lambda: self.count(pattern) >= n, timeout, f"{n} of {pattern}")


def announced(addr):
    return rf"advertisement, tgt is {addr}," if ":" in addr else rf"who-has {addr} tell {addr},"


def scapy(host, code):
    """Runs scapy code with `mac` being the host's."""
    head = ("import logging; logging.getLogger('scapy').setLevel(40)\n"
            "from scapy.layers.l2 import Ether, ARP\n"
            "from scapy.packet import Raw\n"
            "from scapy.sendrecv import sendp\n"
            "import random\n"
            f"mac = '{mac_of(host)}'\n")
    host.run("/usr/bin/python3", "-c", head + code)


def test_announcements(net):
    """On address add, on link up, as many as the line says; not with `no`."""
    r1, lan = net.r1, net.lan
    four, six = "10.0.1.1", "2001:db8:1::1"
    r1.config(["interface eth0", "arp announce-count 3", "ipv6 nd announce-count 4"])
    with Watch(lan, "arp or icmp6") as w:
        r1.config(["interface eth0", f"ip address {four}/24", f"ipv6 address {six}/64"])
        w.wait(announced(four), 3)
        w.wait(announced(six), 4)
        r1.config(["interface eth0", "shutdown"])
        r1.config(["interface eth0", "no shutdown"])
        w.wait(announced(four), 6)
        w.wait(announced(six), 8)
        mac = "02:00:00:00:00:31"
        r1.config(["interface eth0", f"mac-address {mac}"])
        w.wait(rf"{mac} > .*{announced(four)}", 3)
        w.wait(rf"{mac} > .*{announced(six)}", 4)
        r1.config(["interface eth0", "no ip gratuitous-arps", "no ipv6 nd unsolicited-na"])
        r1.config(["interface eth0", "ip address 10.0.1.2/24 secondary", "ipv6 address 2001:db8:1::2/64"])
        w.wait(r"who-has 10.0.1.2 tell 0.0.0.0", 1)  # it is still looked for
        r1.config(["interface eth0", "ip gratuitous-arps", "ipv6 nd unsolicited-na"])
        w.wait(announced("10.0.1.2"), 3)
        w.wait(announced("2001:db8:1::2"), 4)
        w.wait(announced(four), 12)
        w.wait(announced(six), 16)
    # With nothing but the announcement the LAN's caches are right: the router flag, the new MAC.
    lines = [line for line in w.lines if re.search(announced(six), line)]
    assert len(lines) == 4 * 4 and all("33:33:00:00:00:01" in line for line in lines)
    assert w.count(announced(four)) == 3 * 4
    assert w.count(announced("10.0.1.2")) == 3


def test_another_host_has_the_address(net):
    """Real hosts: found by a probe, told with its MAC, answered; the address stays in use."""
    r1, lan = net.r1, net.lan
    mac = dotted(mac_of(lan))
    lan.ip("addr", "add", "10.0.1.5/24", "dev", "eth0")
    lan.ip("addr", "add", "2001:db8:1::5/64", "dev", "eth0", "nodad")
    with Watch(lan, "arp") as w:
        r1.config(["interface eth0", "arp announce-count 1", "ipv6 nd dad attempts 1", "ip address 10.0.1.5/24",
                   "ipv6 address 2001:db8:1::5/64"])
        topo.wait_for(lambda: "DUPADDR" in r1.cli("show logging"), what="the log")
        w.wait(announced("10.0.1.5"), 2)  # its own one, and the defence
    log = r1.cli("show logging")
    assert f"%IP-4-DUPADDR: Duplicate address 10.0.1.5 on eth0, sourced by {mac}" in log
    topo.wait_for(lambda: "IPV6-4-DUPLICATE: Duplicate address 2001:db8:1::5 on eth0" in r1.cli("show logging"),
                  what="the kernel's detection")
    text = r1.cli("show ip interface eth0")
    assert f"10.0.1.5/24 [DUPLICATE: {mac} has it too]" in text
    assert "2001:db8:1::5/64 [DUPLICATE]" in text
    assert "10.0.1.5/24" in r1.addresses("eth0")
    a = next(a for a in r1.json("show ip interface eth0")[0]["addresses"] if a["address"] == "10.0.1.5/24")
    assert (a["dad"], a["conflict_mac"]) == ("duplicate", mac) and a["conflicts"] >= 1
    assert r1.cli("show logging").count("IPV6-4-DUPLICATE") == 1


def test_flood_of_conflicts_and_rubbish(net):
    """One log line and one answer in ten seconds; rtr-arpd and rtrd live on."""
    r1, lan = net.r1, net.lan
    pid = pids(r1)
    with Watch(lan, "arp") as w:
        r1.config(["interface eth0", "arp announce-count 1", "ip address 10.0.1.1/24"])
        w.wait(announced("10.0.1.1"), 1)
        scapy(lan, CONFLICT + "sendp(p, iface='eth0', count=300, verbose=False)\n"
                   "r = random.Random(5)\n"
                   "sendp([Ether(src=mac, dst='ff:ff:ff:ff:ff:ff', type=0x806) / Raw(r.randbytes(r.randrange(60)))\n"
                   "       for i in range(300)] +\n"
                   "      [Ether(src=mac, dst='ff:ff:ff:ff:ff:ff', type=0x806) /\n"
                   "       Raw(bytes.fromhex('0001080006040001') + r.randbytes(r.randrange(20)))\n"
                   "       for i in range(300)], iface='eth0', verbose=False)\n")
        topo.wait_for(lambda: "DUPADDR" in r1.cli("show logging"), what="the log")
        ours = rf"{mac_of(r1)} > .*{announced('10.0.1.1')}"
        w.wait(ours, 2)
    assert w.count(ours) == 2
    assert r1.cli("show logging").count("DUPADDR") == 1
    assert pids(r1) == pid


def test_off_and_foreign_questions(net):
    """Ordinary traffic is no conflict; `dad off` does not look."""
    r1, lan = net.r1, net.lan
    with Watch(lan, "arp") as w:
        r1.config(["interface eth0", "ip address dad off", "ip address 10.0.1.1/24"])
        w.wait(announced("10.0.1.1"), 2)
        scapy(lan, CONFLICT + "sendp(p, iface='eth0', verbose=False)\n")
        assert w.count("tell 0.0.0.0") == 0
        r1.config(["interface eth0", "ip address dad on"])
        w.wait("who-has 10.0.1.1 tell 0.0.0.0", 1)
        lan.run("arping", "-q", "-c", 1, "-D", "-I", "eth0", "10.0.1.1", check=False)
        lan.ping("10.0.1.1", count=1)
    assert "DUPADDR" not in r1.cli("show logging")
    assert "ip address dad" not in r1.cli("show running-config")


def test_strict_waits_for_the_probes(net):
    """An address that is free comes into use after them; one that is not stays out until it is."""
    r1, lan = net.r1, net.lan
    lan.ip("addr", "add", "10.0.1.5/24", "dev", "eth0")
    r1.config(["interface eth0", "ip address dad strict", "ip address 10.0.1.1/24",
               "ip address 10.0.1.5/24 secondary"])
    assert r1.addresses("eth0") == []
    assert "matches" in r1.cli("show kernel drift")
    assert "10.0.1.1 is not used [TENTATIVE]" in r1.cli("show ip interface eth0")
    topo.wait_for(lambda: "10.0.1.1/24" in r1.addresses("eth0"), 12, "the free address")
    assert r1.addresses("eth0") == ["10.0.1.1/24"]
    assert "DUPADDR: Duplicate address 10.0.1.5" in r1.cli("show logging")
    assert "10.0.1.5 is not used [DUPLICATE" in r1.cli("show ip interface eth0")
    lan.ping("10.0.1.1", count=1)
    # Not strict any more: it is used.
    r1.config(["interface eth0", "no ip address dad strict"])
    assert r1.addresses("eth0") == ["10.0.1.1/24", "10.0.1.5/24"]


def test_killed_and_restarted(net):
    """rtr-arpd comes again by itself and with rtrd, and knows everything."""
    r1, lan = net.r1, net.lan
    r1.config(["interface eth0", "arp announce-count 1", "ip address 10.0.1.1/24"])
    for kill in (lambda: os.kill(pids(r1)[0], signal.SIGKILL), lambda: r1.kill9(r1.daemon_pid())):
        old = pids(r1)
        with Watch(lan, f"arp and ether src {mac_of(r1)}") as w:
            kill()
            topo.wait_for(lambda: pids(r1) not in ([], old), what="another rtr-arpd")
            w.wait(announced("10.0.1.1"), 1)
            scapy(lan, CONFLICT + "sendp(p, iface='eth0', verbose=False)\n")
            w.wait(announced("10.0.1.1"), 2)
    status = open(f"/proc/{pids(r1)[0]}/status").read()
    assert re.search(r"CapEff:\s*0000000000002000", status)
    if "asan" not in os.environ.get("RTR_BUILD_DIR", ""):
        assert re.search(r"Seccomp:\s*2", status)


def test_many_addresses_are_paced(net):
    """200 addresses at once: all announced, at no more than some 2,000 frames a second."""
    r1 = net.r1
    lines = ["interface eth0", "arp announce-count 1", "ip address 10.0.1.1/24"]
    lines += [f"ip address 10.0.1.{i}/24 secondary" for i in range(2, 200) if i != 10]
    # Where they leave: on the other side a busy machine's softirq may bundle and drop them.
    with Watch(r1, f"arp[6:2] = 1 and ether src {mac_of(r1)}") as w:
        subprocess.run([router.program("rtrctl"), "-N", r1.instance],
                       input="\n".join(["configure terminal", *lines, "end", ""]), text=True, check=True,
                       capture_output=True)
        w.wait(r"who-has (\S+) tell \1,", 198)
    times = []
    for line in w.lines:
        h, m, s = line.split()[0].split(":")
        if re.search(r"who-has (\S+) tell \1,", line):
            times.append(int(h) * 3600 + int(m) * 60 + float(s))
    assert len(times) == 198
    assert all(b - a > 0.025 for a, b in zip(times, times[80:])), "80 frames in 25 ms"
