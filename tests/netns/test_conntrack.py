# SPDX-License-Identifier: GPL-2.0-or-later
"""The connection table with real clients, IPv4 and IPv6: shown, filtered, counted, cleared, watched.

The rules that make the kernel track, and translate, are loaded here by hand: what rtr's own firewall
compiles to has tests of its own.
"""
import json
import os
import select
import signal
import subprocess
import time

import pytest

from router import CliError, program
from topo import INTERNET, router_lines, wait_for

FAR4, FAR6 = (a.split("/")[0] for a in INTERNET)
LAN4, LAN6, WAN4, WAN6 = "10.0.1.10", "2001:db8:1::10", "198.51.100.2", "2001:db8:100::2"
TRACK = "table inet t {\n chain f {\n type filter hook forward priority 0\n ct state new\n }\n%s}\n"
NAT = """ chain n {
 type nat hook postrouting priority 100
 oifname eth1 ip saddr 10.0.1.0/24 masquerade random
 oifname eth1 ip6 saddr 2001:db8:1::/64 masquerade random
 }
 chain d {
 type nat hook prerouting priority -100
 iifname eth1 ip daddr 198.51.100.2 udp dport 5353 dnat to 10.0.1.10:53
 iifname eth1 ip6 daddr 2001:db8:100::2 udp dport 5353 dnat to [2001:db8:1::10]:53
 }
"""
# Many connections out of one socket: a datagram to each of n ports.
SPRAY = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
if len(sys.argv) > 4: s.bind(("", int(sys.argv[4])))
for p in range(int(sys.argv[2]), int(sys.argv[3])): s.sendto(b"x", (sys.argv[1], p))
"""
# A TCP connection that stays open: says so, then waits for the end of its input.
HOLD = """
import socket, sys
c = socket.create_connection((sys.argv[1], 80))
c.sendall(b"GET"); print("open", flush=True); sys.stdin.read()
"""


@pytest.fixture
def net(routers):
    """The basic topology, tracking: net(nat=True) translates, too."""
    def make(nat=False):
        topo = routers("basic")
        topo.r1.config(router_lines(topo.spec, "r1"))
        # Until duplicate address detection is done IPv6 has no gateway, and neighbours are to be
        # known: what a client sends then stands in the table when it has sent it.
        topo.r1.wait_addresses()
        for dest in (FAR4, FAR6):
            topo.lan.ping(dest, count=1)
        topo.r1.run("nft", "-f", "-", input=TRACK % (NAT if nat else ""))
        return topo
    return make


def spray(host, dest, first, last, sport=None):
    host.run("/usr/bin/python3", "-c", SPRAY, dest, first, last, *([sport] if sport else []))


def count(r1, words=""):
    return r1.json(f"show conntrack {words} count".replace("  ", " "))["connections"]


def entries(r1, words):
    return r1.json(f"show conntrack {words}")


class Held:
    """An open TCP connection from the LAN to a server behind the router."""

    def __init__(self, topo, dest):
        self.proc = subprocess.Popen(topo.lan.argv("/usr/bin/python3", "-c", HOLD, dest), text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.proc.stdout.readline() == "open\n"

    def close(self):
        self.proc.communicate("", timeout=10)


def mixed(topo):
    """Some of everything, in both families: 10 UDP, an open TCP and a ping each."""
    held = []
    for dest in (FAR4, FAR6):
        spray(topo.lan, dest, 1000, 1010, sport=7000)
        topo.lan.ping(dest, count=1)
        held.append(Held(topo, dest))
    return held


# What to type, and how many of mixed() it picks.
FILTERS = [
    ("", 24), ("ipv4", 12), ("ipv6", 12), ("protocol udp", 20), ("protocol tcp", 2), ("protocol icmp", 1),
    ("protocol icmpv6", 1), ("protocol 132", 0), (f"source {LAN4}", 12), ("source 10.0.1.0/24", 12),
    ("source 10.0.2.0/24", 0), (f"source {LAN6}", 12), ("source 2001:db8:1::/64 protocol udp", 10),
    (f"source {FAR4}", 0), (f"destination {FAR4}", 12), (f"destination {FAR6}", 12), ("destination 203.0.113.11", 0),
    ("sport 7000", 20), ("sport 7001", 0), ("dport 1003", 2), ("dport 80 ipv6", 1), ("dport 1010", 0),
    ("state established", 2), ("state unreplied", 20), ("state time-wait", 0), ("nat", 0), ("mark 0", 24),
    ("mark 7", 0), ("ct-zone 0", 24), ("ct-zone 3", 0), (f"ipv4 source {LAN6}", 0),
]


def test_each_filter_shows_what_it_says(net):
    topo = net()
    topo.wan.http_server()
    held = mixed(topo)
    wait_for(lambda: count(topo.r1, "state established") == 2, what="established connections")
    assert [(f, count(topo.r1, f)) for f, _ in FILTERS] == FILTERS
    tcp = entries(topo.r1, "protocol tcp ipv4")[0]
    assert (tcp["source"], tcp["destination"], tcp["destination_port"]) == (LAN4, FAR4, 80)
    assert tcp["assured"] and tcp["bytes"][0] > 100 and tcp["bytes"][1] > 40 and tcp["age_sec"] <= 60
    ping = entries(topo.r1, "protocol icmpv6")[0]
    assert ping["source_port"] == ping["destination_port"] and ping["state"] == "replied"
    text = topo.r1.cli("show conntrack dport 1003 ipv6")
    assert text.split()[:12] == ["Pro", "State", "Source", "Destination", "NAT-to", "Zone-pair", "Rule", "Age",
                                 "Idle", "TTL", "Bytes(o/r)", "Path"]
    assert f"udp   UNREPLIED   [{LAN6}]:7000" in text and f"[{FAR6}]:1003" in text
    with pytest.raises(CliError, match="There is no zone NOWHERE"):
        topo.r1.cli("show conntrack zone NOWHERE")
    for h in held:
        h.close()


def test_clear_ends_what_the_filter_picks(net):
    topo = net()
    topo.wan.http_server()
    for words, ends in (("protocol udp", 20), (f"source {LAN6}", 12), (f"destination {FAR4} dport 1003", 1),
                        ("sport 7000 ipv4", 10), ("state established", 2), ("nat", 0), ("mark 7", 0), ("", 24)):
        held = mixed(topo)
        wait_for(lambda: (count(topo.r1), count(topo.r1, "state established")) == (24, 2), what="24 connections")
        assert f"{ends} connections ended" in topo.r1.cli(f"clear conntrack {words}".strip())
        assert (count(topo.r1, words), count(topo.r1)) == (0, 24 - ends), words
        for h in held:
            h.close()
        topo.r1.cli("clear conntrack")
    assert topo.r1.cli("show conntrack mark 7") == "No entries.\n"


def test_many_connections(net):
    """12,000 of two families: counted, listed, ranked, summed up, limited, cleared."""
    topo = net()
    for dest, n in ((FAR4, 9000), (FAR6, 3000)):
        spray(topo.lan, dest, 2000, 2000 + n)
    r1 = topo.r1
    assert count(r1) == 12000
    listed = entries(r1, "ipv4")
    assert len({e["destination_port"] for e in listed}) == len(listed) == 9000
    assert len(r1.cli("show conntrack").splitlines()) == 12001
    assert len(entries(r1, "limit 7")) == 7
    top = r1.json("show conntrack top source")
    assert [(t["address"], t["connections"], t["percent"]) for t in top["top"]] == [(LAN4, 9000, 75.0), (LAN6, 3000, 25.0)]
    assert top["low_by_at_most"] == 0
    assert [t["address"] for t in r1.json("show conntrack ipv6 limit 1 top destination")["top"]] == [FAR6]
    summary = r1.json("show conntrack summary")
    assert summary["count"] == 12000 and summary["peak"] >= 12000 and summary["new_per_sec"] > 1000
    assert summary["states"] == [{"protocol": "udp", "state": "unreplied", "ipv4": 9000, "ipv6": 3000}]
    assert {"insert_failed", "early_drop", "drop"} <= set(summary["cpus"][0])
    assert f"{LAN4} holds 9000 of 12000 connections, 9000 of them never answered" in r1.cli("diagnose conntrack")
    assert "9000 connections ended" in r1.cli("clear conntrack ipv4")
    assert count(r1) == 3000


def test_translations(net):
    topo = net(nat=True)
    r1 = topo.r1
    for dest in (FAR4, FAR6):
        spray(topo.lan, dest, 1000, 1003, sport=7000)
        topo.lan.ping(dest, count=1)
    for dest in (WAN4, WAN6):
        spray(topo.wan, dest, 5353, 5354, sport=6000)
    lines = r1.cli("show ip nat translations").splitlines()
    assert lines[0].split("  ")[0] == "Pro" and len(lines) == 6
    assert [lines[0].index(w) for w in ("Inside global", "Inside local", "Outside local", "Outside global")] == [5, 27, 49, 71]
    for family, lan, wan, far, near in (("ip", LAN4, WAN4, FAR4, "198.51.100.1"), ("ipv6", LAN6, WAN6, FAR6, "2001:db8:100::1")):
        rows = r1.json(f"show {family} nat translations")
        out = [r for r in rows if r["inside_local"] == {"address": lan, "port": 7000}]
        assert sorted(r["outside_global"]["port"] for r in out) == [1000, 1001, 1002]
        for r in out:
            assert r["inside_global"]["address"] == wan and r["outside_local"]["address"] == far
        # A translated id, as the kernel has it on both sides.
        (ping,) = [r for r in rows if r["protocol"].startswith("icmp")]
        assert ping["inside_local"]["address"] == lan and ping["inside_global"]["address"] == wan
        assert ping["inside_global"]["port"] == ping["flow"]["reply"]["destination_port"]
        # Opened from outside: the server is the inside host.
        (into,) = [r for r in rows if r["inside_global"]["port"] == 5353]
        assert into["inside_local"] == {"address": lan, "port": 53}
        assert into["outside_global"] == into["outside_local"] == {"address": near, "port": 6000}
        assert len(r1.json(f"show {family} nat translations udp")) == 4
        assert len(r1.json(f"show {family} nat translations icmp")) == 1
        assert r1.json(f"show {family} nat translations tcp") == []
        assert len(r1.json(f"show {family} nat translations inside {lan}")) == 5
        assert r1.json(f"show {family} nat translations inside {far}") == []
        assert "Total number of translations: 5" in r1.cli(f"show {family} nat translations total")
        assert "Total active translations: 5 (0 static, 5 dynamic; 5 extended)" in r1.cli(f"show {family} nat statistics")
        assert "flags: extended, dpath kernel" in r1.cli(f"show {family} nat translations verbose")
        # Clearing: what does not fit stays.
        gport = next(r["inside_global"]["port"] for r in out if r["outside_global"]["port"] == 1001)
        def clear(words, family=family):
            return int(r1.cli(f"clear {family} nat translation {words}").split()[0])
        assert clear(f"tcp inside {wan} {gport} {lan} 7000") == 0
        assert clear(f"udp inside {wan} {gport} {lan} 7001") == 0
        assert clear(f"udp inside {wan} {gport} {lan} 7000 outside {far} 1002 {far} 1002") == 0
        assert clear(f"udp inside {wan} {gport} {lan} 7000 outside {far} 1001 {far} 1001") == 1
        assert clear(f"outside {near} {near}") == 1
        assert clear(f"inside {lan} {lan}") == 0
        assert clear(f"inside {wan} {lan} outside {near} {near}") == 0
        assert clear(f"inside {wan} {lan}") == 3
        assert r1.json(f"show {family} nat translations") == []
    spray(topo.lan, FAR4, 1000, 1010)
    assert "10 connections ended" in r1.cli("clear ip nat translation *")


def test_monitor_tells_what_happens(net):
    topo = net()
    mon = subprocess.Popen([program("rtrctl"), "-N", topo.r1.instance, "-c", "monitor conntrack dport 1000 | json"],
                           stdout=subprocess.PIPE, text=True)
    try:
        # Until the first one is told, nobody may be listening yet.
        wait_for(lambda: spray(topo.lan, FAR4, 1000, 1001) or topo.r1.cli("clear conntrack") and
                 select.select([mon.stdout], [], [], 0.05)[0], what="an event")
        topo.r1.cli("clear conntrack")
        spray(topo.lan, FAR6, 1000, 1001)
        spray(topo.lan, FAR6, 1001, 1002)
        topo.r1.cli("clear conntrack")
        seen = []
        while ("destroy", FAR6) not in seen:
            e = json.loads(mon.stdout.readline())
            assert e["destination_port"] == 1000
            seen.append((e["event"], e["destination"]))
        assert ("new", FAR6) in seen
    finally:
        mon.send_signal(signal.SIGINT)
        mon.communicate(timeout=10)


def sysctl(r1, name):
    return int(r1.run("sysctl", "-n", f"net.netfilter.nf_conntrack_{name}").stdout)


def test_timeouts_hold_and_go_back(net):
    topo = net()
    r1 = topo.r1
    assert (sysctl(r1, "acct"), sysctl(r1, "timestamp")) == (1, 1)
    r1.config(["ip firewall timeout icmp 1", "ip firewall timeout icmpv6 1", "ip firewall timeout udp 77",
               "ip nat translation udp-timeout 150", "ip nat translation finrst-timeout 33"])
    assert [sysctl(r1, n) for n in ("icmp_timeout", "udp_timeout", "udp_timeout_stream", "tcp_timeout_last_ack")] == [1, 77, 150, 33]
    for dest in (FAR4, FAR6):
        topo.lan.ping(dest, count=1)
        spray(topo.lan, dest, 1000, 1001)
    wait_for(lambda: count(r1, "protocol icmp") + count(r1, "protocol icmpv6") == 0, what="the end of the pings")
    for e in entries(r1, "protocol udp"):
        assert 70 < e["ttl_sec"] <= 77 and e["idle_sec"] <= 6
    r1.config(["no ip firewall timeout icmp", "no ip firewall timeout udp", "no ip nat translation finrst-timeout"])
    assert [sysctl(r1, n) for n in ("icmp_timeout", "udp_timeout", "tcp_timeout_last_ack")] == [30, 150, 30]
    r1.config(["no ip nat translation udp-timeout"])
    assert [sysctl(r1, n) for n in ("udp_timeout", "udp_timeout_stream")] == [30, 120]


def test_services_have_their_own_timeout(net):
    topo = net()
    r1 = topo.r1
    topo.wan.http_server()
    r1.config(["ip firewall timeout service udp 1003 9", "ip firewall timeout service tcp 80 4000",
               "ip nat translation dns-timeout 11"])

    def ttls():
        held = [Held(topo, dest) for dest in (FAR4, FAR6)]
        for dest in (FAR4, FAR6):
            spray(topo.lan, dest, 1002, 1004)
            spray(topo.lan, dest, 53, 54)
        found = {}
        for words in ("protocol tcp state established", "protocol udp dport 1002", "protocol udp dport 1003", "dport 53"):
            wait_for(lambda: count(r1, words) == 2, what=words)
            found[words.split()[-1]] = entries(r1, words)
        for h in held:
            h.close()
        r1.cli("clear conntrack")
        return {k: max(e["ttl_sec"] for e in v) for k, v in found.items()}, [e["idle_sec"] for v in found.values() for e in v]

    ttl, idle = ttls()
    # An unanswered segment has 300 s, whoever sets what; the server answers each.
    assert 3900 < ttl["established"] <= 4000 and 20 < ttl["1002"] <= 30 and ttl["1003"] <= 9 and 9 < ttl["53"] <= 11
    assert max(idle) <= 6
    r1.config(["no ip firewall timeout service udp 1003", "no ip firewall timeout service tcp 80",
               "no ip nat translation dns-timeout"])
    ttl, _ = ttls()
    assert ttl["established"] > 4000 and 20 < ttl["1003"] <= 30 and 20 < ttl["53"] <= 30
    assert "service" not in r1.run("nft", "list", "ruleset").stdout


def test_strictness(net):
    r1 = net().r1
    before = sysctl(r1, "tcp_loose"), sysctl(r1, "tcp_be_liberal")
    r1.config(["ip firewall tcp strict", "no ip firewall tcp window-check"])
    assert (sysctl(r1, "tcp_loose"), sysctl(r1, "tcp_be_liberal")) == (0, 1)
    r1.config(["no ip firewall tcp strict", "ip firewall tcp window-check"])
    assert (sysctl(r1, "tcp_loose"), sysctl(r1, "tcp_be_liberal")) == before == (1, 0)
    # NAT wants strict, and says so when it is not.
    r1.config(["ip nat inside source static 10.0.1.10 198.51.100.7"])
    assert sysctl(r1, "tcp_loose") == 0
    assert "picked up in the middle" in r1.config(["ip firewall tcp loose"])
    assert sysctl(r1, "tcp_loose") == 1
    r1.config(["no ip firewall tcp loose", "no ip nat inside source static 10.0.1.10 198.51.100.7"])
    assert sysctl(r1, "tcp_loose") == 1


def test_what_cannot_be_set_here_is_refused(net):
    """A namespace shares the machine's table size: said, and nothing changed."""
    r1 = net().r1
    now = sysctl(r1, "max")
    with pytest.raises(CliError, match=f"cannot be set in a network namespace; it is {now} here"):
        r1.config([f"ip firewall conntrack max {now + 1024}"])
    assert "conntrack max" not in r1.cli("show running-config")
    r1.config([f"ip firewall conntrack max {now}"])


def test_alarm_names_the_host(net):
    topo = net()
    r1 = topo.r1
    n = sysctl(r1, "max") // 10 + 2000
    if n > 60000:
        pytest.skip(f"the machine's table has room for {sysctl(r1, 'max')} connections: too many to fill")
    r1.config(["ip firewall conntrack high-watermark 10"])
    spray(topo.wan, LAN4, 1000, 1100)
    spray(topo.lan, FAR4, 1, n)
    log = wait_for(lambda: [line for line in r1.cli("show logging").splitlines() if "%CONNTRACK-" in line], what="the alarm")
    assert "%CONNTRACK-4-HIGH: The connection table is 1" in log[0] and f"source {LAN4} (" in log[0]
    assert f"To end them: clear conntrack source {LAN4}" in r1.cli("diagnose conntrack")
    r1.cli("clear conntrack")
    wait_for(lambda: "%CONNTRACK-5-NORMAL" in r1.cli("show logging"), what="the all-clear")
    assert r1.cli("show logging").count("%CONNTRACK-4-HIGH") == 1


if os.environ.get("RTR_TEST_LONG"):  # fills the whole table
    def test_full_table_keeps_what_is_established(net):
        """New ones push out unanswered ones; an open connection goes on, and the log names the host."""
        topo = net()
        r1 = topo.r1
        topo.wan.http_server()
        held = [Held(topo, dest) for dest in (FAR4, FAR6)]
        room = sysctl(r1, "max")
        for _ in range(0, room + 20000, 64000):
            spray(topo.lan, FAR4, 1, 64000)
        wait_for(lambda: "%CONNTRACK-2-FULL" in r1.cli("show logging"), timeout=10, what="the alarm")
        assert f"source {LAN4} (" in r1.cli("show logging")
        assert count(r1, "state established") == 2
        assert sum(c["early_drop"] + c["drop"] for c in r1.json("show conntrack summary")["cpus"]) > 0
        # One session waits for all of its lines, another one is served meanwhile.
        reader = subprocess.Popen([program("rtrctl"), "-N", r1.instance, "-c", "show conntrack"], stdout=subprocess.PIPE)
        started = time.monotonic()
        r1.cli("show clock")
        assert time.monotonic() - started < 2
        reader.kill()
        reader.communicate()
        r1.cli("clear conntrack")
        for h in held:
            h.close()
