# SPDX-License-Identifier: GPL-2.0-or-later
"""Policy routing and load sharing, with real traffic: who goes where, and what happens when a next hop goes."""
import contextlib
import re

import pytest

from router import CliError
from topo import WAN, WAN2, router_lines, wait_for

INET = {4: "203.0.113.10", 6: "2001:db8:203::10"}
UPLINK2 = {4: f"{WAN2[0]}.1", 6: f"{WAN2[1]}::1"}


@pytest.fixture
def topo(routers):
    topo = routers("dual-wan")
    topo.r1.config(router_lines(topo.spec, "r1"))
    return topo


def ping(host, family, *args):
    return host.run("ping", f"-{family}", "-nqc1", "-W1", *args, INET[family], check=False).returncode == 0


def way(topo, family, *args, host="lan"):
    """Which of the two uplinks sees a ping to the internet: 1, 2 or None."""
    with contextlib.ExitStack() as stack:
        caps = {n: stack.enter_context(topo.nodes[f"wan{n}"].tcpdump("any", "icmp or icmp6")) for n in (1, 2)}
        wait_for(lambda: ping(topo.nodes[host], family, *args), what=f"an answer over IPv{family}")
    ways = [n for n, cap in caps.items() if any("echo request" in p and INET[family] in p for p in cap.packets)]
    assert len(ways) == 1, ways
    return ways[0]


def settled(r1):
    return "matches" in r1.cli("show kernel drift")


def rules(r1, family="ip"):
    return [r for r in r1.json(f"show {family} rules") if r["by"] == "rtr"]


def test_next_hop_for_some(topo):
    """Matched traffic leaves by the other uplink, the rest as before; a dead next hop gives it back."""
    r1 = topo.r1
    r1.config(["route-map M deny 5", "match ip source 10.0.1.77/32", "match ipv6 source 2001:db8:1::77/128",
               "route-map M permit 10", "match ip source 10.0.1.0/28", "match ip source 10.0.2.0/24",
               "match ip destination 203.0.113.0/24", "match ipv6 source 2001:db8:1::/64",
               f"set ip next-hop {UPLINK2[4]}", f"set ipv6 next-hop {UPLINK2[6]}",
               "exit", "interface eth0", "ip policy route-map M", "ipv6 policy route-map M"])
    topo.lan.ip("addr", "add", "10.0.1.77/24", "dev", "eth0")
    topo.lan.ip("addr", "add", "2001:db8:1::77/64", "dev", "eth0", "nodad")
    here = "-I", "2001:db8:1::10"
    assert (way(topo, 4), way(topo, 6, *here)) == (2, 2)
    assert (way(topo, 4, "-I", "10.0.1.77"), way(topo, 6, "-I", "2001:db8:1::77")) == (1, 1)
    # What the router sends itself comes in by no interface.
    assert (way(topo, 4, host="r1"), way(topo, 6, host="r1")) == (1, 1)
    shown = r1.cli("show route-map M")
    assert f"IPv4 packets go via {UPLINK2[4]} dev eth2" in shown and "ip source 10.0.2.0" in shown
    assert r1.json("show ip policy") == [{"interface": "eth0", "route_map": "M"}]
    assert any(r.get("route_map") == "M permit 10" for r in rules(r1))
    # The next hop's link goes: as usual, and not by a later sequence.
    r1.config(["route-map M permit 20", "set interface Null0"])
    topo.wan2.ip("link", "set", "eth0", "down")
    wait_for(lambda: "as usual" in r1.cli("show route-map M"), what="the next hop is gone")
    assert (way(topo, 4), way(topo, 6, *here)) == (1, 1)
    topo.lan.ip("addr", "add", "10.0.1.99/24", "dev", "eth0")
    assert not ping(topo.lan, 4, "-I", "10.0.1.99")
    topo.wan2.ip("link", "set", "eth0", "up")
    topo.wan2.ip("route", "add", "default", "via", f"{WAN2[0]}.2")  # went with the link
    wait_for(lambda: "as usual" not in r1.cli("show route-map M"), what="the next hop is back")
    assert way(topo, 4) == 2


def test_access_lists(topo):
    """A list picks what a sequence is for: in its order, and what it denies goes to the next sequence."""
    r1 = topo.r1
    for addr in ("10.0.1.77", "10.0.1.78"):
        topo.lan.ip("addr", "add", f"{addr}/24", "dev", "eth0")
    for addr in ("2001:db8:1::77", "2001:db8:1::78"):
        topo.lan.ip("addr", "add", f"{addr}/64", "dev", "eth0", "nodad")
    r1.config(["ip access-list extended L", "10 remark not this one", "20 deny icmp host 10.0.1.77 any",
               "30 permit ip 10.0.1.64 0.0.0.63 203.0.113.0 0.0.0.255", "40 permit tcp any any eq 80,8080-8090", "exit",
               "ipv6 access-list L6", "20 deny ipv6 host 2001:db8:1::77 any",
               "30 permit ipv6 2001:db8:1::/64 2001:db8:203::/48", "exit",
               "route-map M permit 10", "match ip address L", "match ipv6 address L6", f"set ip next-hop {UPLINK2[4]}",
               f"set ipv6 next-hop {UPLINK2[6]}", "exit", "route-map M permit 20", "match ip source 10.0.1.77/32",
               "set interface Null0", "exit", "interface eth0", "ip policy route-map M", "ipv6 policy route-map M"])
    wait_for(lambda: settled(r1), what="the rules")
    assert (way(topo, 4, "-I", "10.0.1.78"), way(topo, 4)) == (2, 1)
    assert (way(topo, 6, "-I", "2001:db8:1::78"), way(topo, 6, "-I", "2001:db8:1::77")) == (2, 1)
    # Denied by the list: the next sequence takes it.
    assert not ping(topo.lan, 4, "-I", "10.0.1.77")
    assert "match ip address L" in r1.cli("show running-config") and "ip address L" in r1.cli("show route-map M")
    ported = [x["rule"] for x in rules(r1) if "dport 8080-8090" in x["rule"]]
    assert ported and "ipproto 6" in ported[0]
    traced = r1.cli("packet-tracer input eth0 tcp 10.0.1.10 40000 198.18.0.1 8085")
    assert "POLICY-ROUTE" in traced and "eth2" in traced
    # A line more, and the rules follow it; a line that no rule can say is refused, and so is a list that is not there.
    r1.config(["ip access-list extended L", "5 permit icmp host 10.0.1.10 any"])
    wait_for(lambda: settled(r1), what="the rules")
    assert way(topo, 4) == 2
    for line, why in (("45 permit tcp any any established", "cannot go by established"),
                      ("45 permit icmp any any echo", "cannot go by icmp"),
                      ("45 permit ip 10.0.1.0 0.0.0.5 any", "a wildcard with gaps"),
                      ("45 permit udp any neq 1,2 any", "these ports")):
        with pytest.raises(CliError, match=why):
            r1.config(["ip access-list extended L", line])
    for line, why in (("match ip address NONE", "there is no IPv4 access list NONE"),
                      ("match protocol tcp", "no other match line")):
        with pytest.raises(CliError, match=why):
            r1.config(["route-map M permit 10", line])
    with pytest.raises(CliError, match="there is no IPv4 access list L"):
        r1.config(["no ip access-list extended L"])


def test_nothing_is_left(topo):
    r1 = topo.r1

    def state():
        """The rules, and what stands in tables of their own (others' routes come in their own time)."""
        return [r1.ip(f, "rule").stdout + "".join(x for x in r1.ip(f, "route", "show", "table", "all").stdout.splitlines(True)
                                                  if "table 19" in x) for f in ("-4", "-6")]

    before = state()
    r1.ip("rule", "add", "pref", "12000", "from", "10.99.0.0/16", "lookup", "99")
    r1.config(["route-map M permit 10", "set ip next-hop 192.0.2.1", "set ipv6 next-hop 2001:db8:200::1",
               "set ip default next-hop 198.51.100.1", "exit", "ip local policy route-map M", "interface eth1",
               "ipv6 policy route-map M"])
    assert len(rules(r1)) == 5 and len(rules(r1, "ipv6")) == 3 and "table 19" in state()[1]
    with pytest.raises(CliError, match="route-map M is used by"):
        r1.config(["no route-map M"])
    r1.config(["no ip local policy route-map", "interface eth1", "no ipv6 policy route-map", "exit", "no route-map M"])
    assert "from 10.99.0.0/16 lookup 99" in r1.ip("rule").stdout
    r1.ip("rule", "del", "pref", "12000")
    assert state() == before


def test_ports_dscp_and_default(topo):
    r1, lan = topo.r1, topo.lan
    for wan, body in ((topo.wan1, "one"), (topo.wan2, "two")):
        for port in (80, 81):
            wan.http_server(port, body)
    r1.config(["route-map M permit 10", "match protocol tcp", "match destination-port 81 90",
               f"set ip next-hop {UPLINK2[4]}", f"set ipv6 next-hop {UPLINK2[6]}", "route-map M permit 20",
               "match dscp 46", f"set ip next-hop {UPLINK2[4]}", "exit", "interface eth0",
               "ip policy route-map M", "ipv6 policy route-map M"])
    for host in ("203.0.113.10", "[2001:db8:203::10]"):
        assert lan.curl(f"http://{host}:80/") == "one"
        assert lan.curl(f"http://{host}:81/") == "two"
    assert way(topo, 4, "-Q", str(46 << 2)) == 2
    assert way(topo, 4, "-Q", str(44 << 2)) == 1
    # Default: what a route of its own leads to stays there.
    r1.config(["route-map D permit 10", f"set ip default next-hop {UPLINK2[4]}",
               f"set ipv6 default next-hop {UPLINK2[6]}", "exit", "interface eth0", "ip policy route-map D",
               "ipv6 policy route-map D"])
    assert (way(topo, 4), way(topo, 6)) == (2, 2)
    r1.config([f"ip route {INET[4]}/32 {WAN[0]}.1", f"ipv6 route {INET[6]}/128 {WAN[1]}::1"])
    assert (way(topo, 4), way(topo, 6)) == (1, 1)


def test_verified_next_hop(topo):
    """Of two next hops the first counts while its probe is answered."""
    r1 = topo.r1
    r1.config(["ip sla 1", f"icmp-echo {UPLINK2[4]}", "frequency msec 100", "exit", "track 1 ip sla 1", "exit",
               "route-map M permit 10", f"set ip next-hop verify-availability {UPLINK2[4]} 10 track 1",
               f"set ip next-hop {WAN[0]}.1", "exit", "ip local policy route-map M"])

    def leads():
        return r1.json("show route-map M")[0]["tables"][0]["leads"]

    wait_for(lambda: "192.0.2.1" in leads(), what="the verified next hop")
    with pytest.raises(CliError, match="track 1 is used by this line"):
        r1.config(["no track 1"])
    topo.wan2.run("sysctl", "-q", "net.ipv4.icmp_echo_ignore_all=1")
    wait_for(lambda: "198.51.100.1" in leads(), what="the other next hop")
    # A restart while the state cannot be known keeps the table.
    r1.config(["ip sla 1", "frequency 60", "timeout 60000"])
    r1.kill9(r1.daemon_pid())
    wait_for(lambda: "goes on from" in r1.cli("show logging", check=False), what="rtrd is back")
    assert "198.51.100.1" in leads() and settled(r1)


def test_changes_lose_nothing(topo):
    """While sequences come, go and move, every packet of a matched flow takes the way of the map."""
    r1 = topo.r1
    r1.config(["route-map M permit 50", f"set ip next-hop {UPLINK2[4]}", "exit", "interface eth0",
               "ip policy route-map M"])
    wait_for(lambda: ping(topo.lan, 4), what="the first answer")
    with topo.wan1.tcpdump(expr="icmp") as strays:
        flood = topo.lan.popen("ping", "-nq", "-i", "0.002", "-c", "500", INET[4], stdout=-1)
        for i in range(6):
            r1.config([f"route-map M deny {10 + i}", f"match ip source 10.5.{i}.0/24"])
            r1.config([f"no route-map M deny {10 + i - 1}"])
        out = flood.communicate(timeout=20)[0]
    assert "500 received" in out, out
    assert [p for p in strays.packets if "echo" in p] == []


@pytest.mark.parametrize("lines, words", [
    (["interface eth0", "ip policy route-map NONE"], "there is no route-map NONE"),
    (["ip local policy route-map NONE"], "there is no route-map NONE"),
    (["route-map M permit 10", "match destination-port 80"], "ports need match protocol"),
    (["route-map M permit 10", "match protocol tcp", "match source-port 90 80"], "the last port is below"),
    (["route-map M permit 10", "match fwmark 16 mask 15"], "the mask leaves out"),
    (["route-map M deny 10", "set ip next-hop 10.0.0.1"], "as usual"),
    (["route-map M permit 10", "set ip next-hop 10.0.1.1"], "this router's own, on eth0"),
    (["route-map M permit 10", "set ip next-hop 224.0.0.1"], "cannot be a next hop"),
    (["route-map M permit 10", "set ipv6 next-hop fe80::1"], "link-local"),
    (["route-map M permit 10", "set interface BVI9"], "there is no interface BVI9"),
    (["route-map M permit 10", "set table 255"], "own addresses"),
    (["route-map M permit 10", "set table 7", "set interface eth1"], "go with no other set line"),
    (["route-map M permit 10", "set ip next-hop verify-availability 192.0.2.1 1 track 4"], "there is no track 4"),
    (["ip load-sharing fields"], "name the fields"),
    (["ip load-sharing fields flow-label"], "no flow label"),
])
def test_refused(topo, lines, words):
    with pytest.raises(CliError, match=words):
        topo.r1.config(lines)
    assert rules(topo.r1) == []


def test_too_many_rules(topo):
    nets = [f"match ip source 10.{i}.0.0/24" for i in range(70)] + [f"match ip destination 10.{i}.1.0/24" for i in range(70)]
    topo.r1.config(["route-map M permit 10", *nets])
    with pytest.raises(CliError, match="name fewer networks"):
        topo.r1.config(["ip local policy route-map M"])


def test_load_sharing(topo):
    """Ports count or not: flows between two hosts take one path, or both."""
    r1, sysctl = topo.r1, "net.ipv4.fib_multipath_hash_policy"
    r1.config([f"ip route 0.0.0.0/0 {WAN2[0]}.1", f"ipv6 route ::/0 {WAN2[1]}::1"])
    before = r1.run("sysctl", "-n", sysctl).stdout

    def paths(family):
        out = set()
        for sport in range(1, 25):
            got = r1.ip(f"-{family}", "route", "get", INET[family], "from", "10.0.1.10" if family == 4 else "2001:db8:1::10",
                        "iif", "eth0", "ipproto", "udp", "sport", str(sport), "dport", "53").stdout
            out.add(re.search(r"dev (eth\d)", got)[1])
        return out

    assert len(paths(4)) == len(paths(6)) == 1
    r1.config(["ip load-sharing address-port", "ipv6 load-sharing fields source-port"])
    assert len(paths(4)) == len(paths(6)) == 2
    r1.config(["ip load-sharing fields source-address destination-address", "ipv6 load-sharing address"])
    assert len(paths(4)) == len(paths(6)) == 1
    r1.config(["no ip load-sharing", "no ipv6 load-sharing"])
    assert r1.run("sysctl", "-n", sysctl).stdout == before
