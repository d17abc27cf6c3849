# SPDX-License-Identifier: GPL-2.0-or-later
"""show tech-support: whole, without secrets, bounded, and in nobody's way."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

from router import program
from topo import router_lines, wait_for

SECRET = "hunter2x"


@pytest.fixture
def topo(routers):
    topo = routers("basic")
    topo.r1.config([*router_lines(topo.spec, "r1"), "interface eth0", "vrrp 1 ip 10.0.1.254",
                    f"vrrp 1 authentication text {SECRET}", "exit"])
    return topo


def test_whole_and_masked(topo, tmp_path):
    r1 = topo.r1
    assert SECRET in r1.cli("show running-config")
    r1.cli("write memory")
    text = r1.cli("show tech-support")
    sections = re.findall(r"(?m)^-{18} (.*) -{18}$", text)
    # Every show command of the manual that needs no argument.
    manual = subprocess.run([program("rtrd"), "--print-manual"], capture_output=True, text=True, check=True).stdout
    plain = {re.sub(r" \[.*\]", "", line.replace("\\|", "|")) for line in re.findall(r"(?m)^\| `(show [^`]*)` \|", manual)}
    aliases = {"show arp", "show arp summary", "show interfaces description", "show ipv6 interface"}
    assert aliases < plain
    wanted = {p for p in plain if not re.search("[<{]", p) and "candidate" not in p} - aliases
    assert len(wanted) > 50
    assert wanted - set(sections) == {"show tech-support", "show history"}
    assert {"show ip rules", "show ipv6 rules", "/proc/meminfo", "/proc/net/snmp"} <= set(sections)
    assert len(sections) == len(set(sections)) and not aliases & set(sections)
    assert SECRET not in text and "authentication text ****" in text
    assert "hostname" in text or "ip address 10.0.1.1" in text
    assert not re.search("(?m)^% ", text), re.findall("(?m)^% .*", text)
    # The same as JSON, and into a file.
    doc = r1.json("show tech-support")
    assert {s["section"] for s in doc} >= wanted - {"show tech-support", "show history"}
    assert SECRET not in json.dumps(doc) and not any(s["cut"] for s in doc if s["section"] != "/proc/cpuinfo")
    r1.cli(f"show tech-support | redirect {tmp_path}/tech")
    assert "------------------ show version ------------------" in (tmp_path / "tech").read_text()
    assert r1.cli("show tech-support | include ^---.* show vrrp ---").count("\n") == 1
    assert len(r1.json("show users")) == 1


def test_long_tables_and_slow_readers(topo):
    r1 = topo.r1
    r1.ip_batch([f"route add 10.{100 + n // 250}.{n % 250}.0/24 via 198.51.100.1 proto 77" for n in range(20000)])
    doc = {s["section"]: s for s in r1.json("show tech-support")}
    assert doc["show ip route"]["cut"] and len(doc["show ip route"]["text"]) == 512 << 10
    assert not doc["show ipv6 route"]["cut"] and "rtr_" not in doc["show ipv6 route"]["text"]
    # One that stops reading in the middle holds up nobody, and gets all of it later.
    r, w = os.pipe()
    p = subprocess.Popen([program("rtrctl"), "-N", r1.instance, "-c", "show tech-support"], stdout=w)
    os.close(w)
    try:
        wait_for(lambda: len(r1.json("show users")) >= 2, what="the slow one")
        p.send_signal(signal.SIGSTOP)
        for _ in range(20):
            began = time.monotonic()
            r1.cli("show clock")
            assert time.monotonic() - began < 3
        p.send_signal(signal.SIGCONT)
        with os.fdopen(r, errors="replace") as f:
            text = f.read()
        assert p.wait(10) == 0 and "/proc/net/snmp6" in text
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
    # One that hangs up in the middle takes everything along.
    p = subprocess.Popen([program("rtrctl"), "-N", r1.instance, "-c", "show tech-support"], stdout=subprocess.PIPE)
    p.stdout.read(1000)
    p.kill()
    p.communicate()
    wait_for(lambda: len(r1.json("show users")) == 1, what="the end of its sessions")
