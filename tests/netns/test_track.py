# SPDX-License-Identifier: GPL-2.0-or-later
"""Tracked objects and probes: what their sources say, thresholds, delays, lists, who uses them."""
import subprocess

import pytest

from router import CliError
from topo import WAN, WAN2, router_lines, wait_for


def state(r1, number):
    return r1.json(f"show track {number}")[0]["state"]


def becomes(r1, number, value):
    wait_for(lambda: state(r1, number) == value, what=f"track {number} {value}")


@pytest.fixture
def topo(routers):
    topo = routers("basic")
    topo.r1.config(router_lines(topo.spec, "r1"))
    return topo


def probe(number, what):
    return [f"ip sla {number}", what, "frequency msec 100", "exit", f"track {number} ip sla {number} reachability", "exit"]


def test_interface(topo):
    r1 = topo.r1
    r1.config(["track 1 interface eth1 line-protocol", "track 2 interface eth1 ip routing",
               "track 3 interface eth1 ipv6 routing", "track 4 interface nowhere0 line-protocol"])
    for number, value in enumerate(["Up", "Up", "Up", "Down"], 1):
        becomes(r1, number, value)
    r1.config(["no ip routing", "interface eth1", "no ipv6 address 2001:db8:100::2/64", "no ipv6 enable"])
    becomes(r1, 2, "Down")
    assert state(r1, 1) == "Up"
    topo.wan.ip("link", "set", "eth0", "down")
    becomes(r1, 1, "Down")
    assert "%TRACK-6-STATE: 1 interface eth1 line-protocol Up -> Down" in r1.cli("show logging")
    assert r1.json("show kernel drift")["repairs"] == 0, r1.cli("show logging")
    brief = r1.cli("show track brief")
    assert "interface eth1 line-protocol" in brief and "Down" in brief
    # The line anew, with something else to track: the number stays, the source is another.
    r1.config(["track 1 interface eth0 line-protocol"])
    becomes(r1, 1, "Up")


def test_route(topo):
    """Of just the network: neither a wider route counts, nor is it hidden by narrower ones."""
    r1 = topo.r1
    r1.config(["track 1 ip route 10.64.0.0/10 reachability", "track 2 ipv6 route 2001:db8:64::/48 reachability",
               "track 3 ip route 0.0.0.0/0 reachability", "track 4 ipv6 route ::/0 reachability"])
    becomes(r1, 3, "Up")
    becomes(r1, 4, "Up")
    assert (state(r1, 1), state(r1, 2)) == ("Down", "Down")
    r1.config(["ip route 10.64.0.0/16 10.0.1.10", "ip route 10.64.0.0/10 10.0.1.10",
               "ipv6 route 2001:db8:64::/48 2001:db8:1::10"])
    becomes(r1, 1, "Up")
    becomes(r1, 2, "Up")
    # What others put there counts too, and nobody tells us of it.
    r1.config(["no ip route 10.64.0.0/10", "no ipv6 route 2001:db8:64::/48"])
    becomes(r1, 1, "Down")
    r1.ip("route", "add", "10.64.0.0/10", "via", "10.0.1.10")
    becomes(r1, 1, "Up")
    r1.ip("route", "replace", "unreachable", "10.64.0.0/10")
    becomes(r1, 1, "Down")


def test_probes_of_both_kinds_and_families(topo):
    r1, wan = topo.r1, topo.wan
    r1.config([*probe(1, "icmp-echo 198.51.100.1 source-interface eth0"),
               *probe(2, "icmp-echo 2001:db8:100::1 source-ip 2001:db8:1::1"),
               *probe(3, "tcp-connect 198.51.100.1 8080"), *probe(4, "tcp-connect 2001:db8:100::1 8080"),
               *probe(5, "icmp-echo 198.51.100.77")])
    for number, value in enumerate(["Up", "Up", "Down", "Down", "Down"], 1):
        becomes(r1, number, value)
    assert r1.json("show ip sla statistics 3")[0]["return_code"] == "Connection refused"
    assert r1.json("show ip sla statistics 5")[0]["failures"] > 0
    with wan.tcpdump(expr="icmp and src 10.0.1.1") as cap:
        sent = r1.json("show ip sla statistics 1")[0]["successes"]
        wait_for(lambda: r1.json("show ip sla statistics 1")[0]["successes"] > sent, what="an echo")
    assert any("10.0.1.1 > 198.51.100.1" in p for p in cap.packets)
    wan.http_server(8080)
    becomes(r1, 3, "Up")
    becomes(r1, 4, "Up")
    one = r1.json("show ip sla statistics 4")[0]
    assert one["return_code"] == "OK" and one["rtt_ms"] < 1000 and one["port"] == 8080
    assert "198.51.100.1" in r1.cli("show ip sla summary")


def test_thresholds_delays_and_lists(topo):
    r1, wan = topo.r1, topo.wan
    r1.config(["ip sla 1", "icmp-echo 198.51.100.1", "frequency msec 100", "timeout 100", "faildetect 3", "recover 2",
               "exit", "track 1 ip sla 1", "track 2 ip sla 1", "delay up 180 down 180", "exit",
               "track 3 list boolean and", "object 1", "object 2", "exit",
               "track 4 list boolean or", "object 1", "object 2 not", "exit",
               "track 5 list boolean and", "object 3 not", "exit"])
    for number, value in enumerate(["Up", "Up", "Up", "Up", "Down"], 1):
        becomes(r1, number, value)
    wan.run("sysctl", "-q", "net.ipv4.icmp_echo_ignore_all=1")
    failed = r1.json("show ip sla statistics 1")[0]["failures"]
    becomes(r1, 1, "Down")
    assert r1.json("show ip sla statistics 1")[0]["failures"] - failed >= 2
    # The delayed one has not gone yet, and those that are made of them follow what counts.
    track2 = r1.json("show track 2")[0]
    assert track2["state"] == "Up" and track2["pending"]["state"] == "Down"
    becomes(r1, 3, "Down")
    becomes(r1, 4, "Down")
    becomes(r1, 5, "Up")
    wan.run("sysctl", "-q", "net.ipv4.icmp_echo_ignore_all=0")
    becomes(r1, 1, "Up")
    assert "pending" not in r1.json("show track 2")[0]
    assert r1.json("show track 1")[0]["tracked_by"] == ["track 3", "track 4"]


DUAL_WAN = ["ip route 203.0.113.10/32 198.51.100.1 track 1", "ip route 203.0.113.10/32 192.0.2.1 200",
            "ipv6 route 2001:db8:203::10/128 2001:db8:100::1 track 2",
            "ipv6 route 2001:db8:203::10/128 2001:db8:200::1 200"]


def test_routes_follow(routers):
    """The first uplink falls silent with its link up; traffic of both families moves, and returns."""
    topo = routers("dual-wan")
    r1, lan = topo.r1, topo.lan
    r1.config([*router_lines(topo.spec, "r1"), *probe(1, "icmp-echo 198.51.100.1"), *probe(2, "icmp-echo 2001:db8:100::1"),
               *DUAL_WAN])
    for number in (1, 2):
        becomes(r1, number, "Up")

    def by(host):
        return all(r1.json(f"show {'ipv6' if ':' in dest else 'ip'} route get {dest}")["nexthops"][0]["via"] == via
                   for dest, via in [("203.0.113.10", f"{host[0]}.1"), ("2001:db8:203::10", f"{host[1]}::1")])

    wait_for(lambda: by(WAN), what="the first uplink")
    table = r1.cli("show ip route track-table") + r1.cli("show ipv6 route track-table")
    assert table.count("[up]") == 2 and "track 1 state is [up]" in table
    assert "ip route 203.0.113.10" in r1.cli("show track 1")
    for key in ("ipv4.icmp_echo_ignore_all", "ipv6.icmp.echo_ignore_all"):
        topo.wan1.run("sysctl", "-q", f"net.{key}=1")
    for number in (1, 2):
        becomes(r1, number, "Down")
    wait_for(lambda: by(WAN2), what="the second uplink")
    for dest in ("203.0.113.10", "2001:db8:203::10"):
        lan.ping(dest)
    # Nobody touched the kernel: the routes went because the tracked objects did.
    assert (r1.json("show kernel drift")["repairs"], "REPAIR" in r1.cli("show logging")) == (0, False)
    # A restart in this state moves nothing, not for a moment.
    r1.cli("write memory")
    r1.kill9(r1.daemon_pid())
    wait_for(lambda: "Down" in r1.cli("show track 1", check=False), what="rtrd is back")
    assert by(WAN2)
    for key in ("ipv4.icmp_echo_ignore_all", "ipv6.icmp.echo_ignore_all"):
        topo.wan1.run("sysctl", "-q", f"net.{key}=0")
    wait_for(lambda: by(WAN), what="the first uplink again")
    with pytest.raises(CliError, match="ip route 203.0.113.10.*track 1 is used by this line"):
        r1.config(["no track 1"])


def test_restart_keeps_tracked_routes(topo):
    """rtrd starts anew while nothing can be known: the routes stay as the kernel has them."""
    r1 = topo.r1
    r1.config(["ip sla 1", "icmp-echo 198.51.100.1", "frequency 60", "exit", "track 1 ip sla 1", "exit",
               "ip route 10.70.0.0/16 198.51.100.1 track 1", "ip route 10.70.0.0/16 198.51.100.9",
               "ip route 10.71.0.0/16 Null0 track 1", "ip route 10.72.0.0/16 10.70.1.1 track 1"])
    becomes(r1, 1, "Up")
    wait_for(lambda: r1.ip("route").stdout.count("10.7") == 3, what="the routes")
    before = r1.ip("route").stdout
    changes = r1.popen("ip", "monitor", "route", stdout=subprocess.PIPE)
    topo.wan.run("sysctl", "-q", "net.ipv4.icmp_echo_ignore_all=1")
    r1.kill9(r1.daemon_pid())
    wait_for(lambda: "goes on from" in r1.cli("show logging", check=False), what="rtrd is back")
    r1.config(["interface eth0", "description a commit meanwhile"])
    assert state(r1, 1) == "Unknown"
    changes.terminate()
    assert [line for line in changes.communicate()[0].splitlines() if "10.7" in line] == []
    assert r1.ip("route").stdout == before


@pytest.mark.parametrize("lines, words", [
    (["track 1"], "say what"),
    (["ip route 10.9.0.0/16 10.0.0.1 track 9"], "there is no track 9"),
    (["track 1 ip sla 7"], "there is no ip sla 7"),
    (["ip sla 1", "frequency 5"], "say what"),
    (["ip sla 1", "icmp-echo 224.0.0.1"], "cannot be probed"),
    (["ip sla 1", "icmp-echo 10.0.0.1 source-ip 2001:db8::1"], "other address family"),
    (["ip sla 1", "icmp-echo 10.0.0.1", "frequency 1", "timeout 2000"], "longer than the frequency"),
    (["track 1 list boolean and", "object 2"], "there is no track 2"),
    (["track 1 interface eth0 line-protocol", "object 1"], "is no list"),
    (["track 1 list boolean or", "object 1"], "leads to itself"),
    (["track 1 interface BVI7 line-protocol"], "there is no interface BVI7"),
])
def test_refused(routers, lines, words):
    r1 = routers("basic").r1
    with pytest.raises(CliError, match=words):
        r1.config(lines)
    assert r1.json("show track") == []


def test_in_use(topo):
    r1 = topo.r1
    r1.config(["ip sla 1", "icmp-echo 198.51.100.1", "exit", "track 1 ip sla 1", "track 2 list boolean or", "object 1"])
    with pytest.raises(CliError, match="object 1: track 1 is used by this line"):
        r1.config(["no track 1"])
    with pytest.raises(CliError, match="ip sla 1 is used by this line"):
        r1.config(["no ip sla 1"])
    r1.config(["no track 2", "no track 1", "no ip sla 1"])
    assert r1.json("show track") == r1.json("show ip sla statistics") == []


def test_saved_and_restarted(topo):
    r1 = topo.r1
    r1.config([*probe(1, "icmp-echo 198.51.100.1"), "track 2 list boolean and", "object 1 not", "delay down 3", "exit",
               "track 3 ip route 10.0.0.0/8 reachability", "track 4 interface eth0 ip routing"])
    before = r1.cli("show running-config")
    r1.cli("write memory")
    r1.restart()
    assert r1.cli("show running-config") == before
    becomes(r1, 1, "Up")
    becomes(r1, 4, "Up")
