# SPDX-License-Identifier: GPL-2.0-or-later
"""packet-tracer on real configurations, IPv4 and IPv6: what it predicts, phase by phase."""
import json

import pytest

from clients import BOX_LAN, BOX_WAN, LAN, WAN, Server, tcp
from router import CliError
from topo import router_lines, wait_for

FAR = {4: "203.0.113.10", 6: "2001:db8:203::10"}
IP = {4: "ip", 6: "ipv6"}
ECHO = {4: 8, 6: 128}


@pytest.fixture
def net(routers):
    topo = routers("basic")
    topo.r1.config(router_lines(topo.spec, "r1"))
    wait_for(lambda: topo.lan.ping(WAN[6], 1, check=False) == 1, what="IPv6 through the router")
    assert topo.lan.ping(WAN[4], 1) == 1
    return topo


class Trace:
    """The document of a packet by eth0 from LAN port 40000, unless told otherwise."""

    def __init__(self, r1, what, options=""):
        self.doc = json.loads(r1.cli(f"packet-tracer input {what} json {options}"))
        self.result = self.doc["result"]
        self.drop = self.result["drop_reason"]
        self.types = [p["type"] for p in self.doc["phases"]]
        assert self.doc["ruleset"]["installed"], self.doc["ruleset"]
        assert self.doc["phases"][-1]["result"] == ("DROP" if self.drop else "ALLOW")

    def phase(self, name):
        return self.doc["phases"][self.types.index(name)]

    def says(self, name, text):
        p = self.phase(name)
        return any(text in line for line in p["config"] + p["information"])


def t(net, v, dst, port, options="", src=None, iif="eth0", proto="tcp", sport=40000):
    return Trace(net.r1, f"{iif} {proto} {src or LAN[v]} {sport} {dst} {port}", options)


def bind_list(r1, v, lines, iface="eth0", direction="in"):
    kind = "ip access-list extended" if v == 4 else "ipv6 access-list"
    bind = "ip access-group" if v == 4 else "ipv6 traffic-filter"
    r1.config([f"{kind} T{v}", *lines, "exit", f"interface {iface}", f"{bind} T{v} {direction}"])


@pytest.mark.parametrize("v", [4, 6])
def test_plain(net, v):
    """A plain router: routes, neighbours, the box itself, what is wrong on the way."""
    r1, ip = net.r1, IP[v]
    x = t(net, v, WAN[v], 80, "detailed")
    assert not x.drop and x.result["output_interface"] == "eth1" and x.result["action"] == "allow"
    assert x.says("ROUTE-LOOKUP", f"{ip} address") and x.says("NEIGHBOUR", WAN[v])
    assert x.says("ROUTE-LOOKUP", "packet: ") and not t(net, v, WAN[v], 80).says("ROUTE-LOOKUP", "packet: ")
    x = t(net, v, FAR[v], 80)
    assert x.says("ROUTE-LOOKUP", f"via {WAN[v]}")
    assert x.says("ROUTE-LOOKUP", f"{ip} route "), x.doc
    x = Trace(r1, f"eth0 icmp {LAN[v]} {ECHO[v]} 0 {BOX_LAN[v]}")
    assert not x.drop and x.result["output_interface"] == "local"
    assert not Trace(r1, f"eth0 rawip {LAN[v]} 47 {WAN[v]}").drop
    assert t(net, v, WAN[v], 80, src={4: "127.0.0.1", 6: "::1"}[v]).drop == "martian-source"
    assert t(net, v, {4: "127.1.1.1", 6: "::1"}[v], 80).drop == "martian-destination"
    default = {4: "0.0.0.0 0.0.0.0", 6: "::/0"}[v]
    r1.config([f"no {ip} route {default} {WAN[v]}"])
    assert t(net, v, FAR[v], 80).drop == "no-route"
    hole = {4: "203.0.113.0 255.255.255.0", 6: "2001:db8:203::/64"}[v]
    for word, reason in (("Null0", "route-blackhole"), ("unreachable", "route-unreachable"),
                         ("prohibit", "route-prohibit")):
        r1.config([f"{ip} route {hole} {word}"])
        x = t(net, v, FAR[v], 80)
        assert x.drop == reason and x.says("ROUTE-LOOKUP", word), x.doc
        r1.config([f"no {ip} route {hole} {word}"])
    r1.config(["interface eth1", "shutdown"])
    assert t(net, v, LAN[v], 80, iif="eth1", src=WAN[v]).drop == "ingress-down"


@pytest.mark.parametrize("v", [4, 6])
def test_reverse_path(net, v):
    verify = "ip verify unicast source reachable-via rx" if v == 4 else \
        "ipv6 verify unicast source reachable-via rx"
    net.r1.config(["interface eth0", verify])
    assert not t(net, v, WAN[v], 80).drop
    x = t(net, v, WAN[v], 80, src=FAR[v])
    assert x.drop == "urpf" and x.phase("RPF-CHECK")["subtype"] == "strict"


@pytest.mark.parametrize("v", [4, 6])
def test_lists_and_connection(net, v):
    r1, ip = net.r1, IP[v]
    bind_list(r1, v, ["10 permit tcp any any eq 80", f"20 deny {ip} any host {FAR[v]}"])
    x = t(net, v, WAN[v], 80)
    assert not x.drop and x.phase("ACCESS-LIST")["config"][-1].startswith("10 permit tcp")
    assert f"T{v}" in x.phase("ACCESS-LIST")["config"][0]
    assert x.phase("FLOW-LOOKUP")["subtype"] == "new"
    x = t(net, v, FAR[v], 81)
    assert x.drop == "acl-deny" and x.phase("ACCESS-LIST")["config"][-1].startswith("20 deny")
    assert t(net, v, WAN[v], 81).drop == "acl-default"
    bind_list(r1, v, [], "eth1", "out")
    assert not t(net, v, WAN[v], 80).drop
    server = Server(net.wan, [80])
    s = tcp(net.lan, WAN[v], 80, sport=41000, keep=True)
    # Its answers pass, though nothing says so but the connection.
    x = t(net, v, LAN[v], 41000, iif="eth1", src=WAN[v], sport=80)
    assert not x.drop and x.phase("FLOW-LOOKUP")["subtype"] == "established"
    assert x.says("FLOW-LOOKUP", f"T{v} 10")
    server.close()


@pytest.mark.parametrize("v", [4, 6])
def test_zones(net, v):
    r1 = net.r1
    r1.config(["zone security IN", "zone security OUT", "interface eth0", "zone-member security IN",
               "interface eth1", "zone-member security OUT"])
    x = t(net, v, WAN[v], 80)
    assert x.drop == "zone-deny" and x.says("ZONE-PAIR", "no zone pair")
    assert t(net, v, BOX_LAN[v], 22).drop == "zone-deny"
    r1.config(["class-map type inspect match-any WEB", "match protocol http",
               "policy-map type inspect P", "class type inspect WEB", "inspect",
               "zone-pair security PAIR source IN destination OUT", "service-policy type inspect P"])
    x = t(net, v, WAN[v], 80)
    assert not x.drop and x.phase("ZONE-PAIR")["subtype"] == "PAIR"
    assert x.says("ZONE-PAIR", "class type inspect WEB") and x.says("ZONE-PAIR", "from zone IN to zone OUT")
    assert t(net, v, WAN[v], 81).drop == "zone-deny"


@pytest.mark.parametrize("v", [4, 6])
def test_translation(net, v):
    r1, ip = net.r1, IP[v]
    lan = {4: "permit ip any any", 6: "permit ipv6 any any"}[v]
    r1.config([{4: "ip access-list extended L", 6: "ipv6 access-list L"}[v], lan, "exit",
               "interface eth0", f"{ip} nat inside", "interface eth1", f"{ip} nat outside", "exit",
               f"{ip} nat inside source list L interface eth1 overload",
               f"{ip} nat inside source static tcp {LAN[v]} 80 {BOX_WAN[v]} 8080"])
    x = t(net, v, WAN[v], 80)
    assert x.phase("NAT")["subtype"] == "dynamic" and x.says("NAT", "overload")
    assert x.says("NAT", f"becomes {BOX_WAN[v]}")
    x = t(net, v, BOX_WAN[v], 8080, iif="eth1", src=FAR[v])
    assert not x.drop and x.result["output_interface"] == "eth0"
    assert x.says("UN-NAT", f"becomes {LAN[v]} port 80") and x.says("UN-NAT", "source static")


def test_policy_route(net):
    net.r1.config(["route-map R permit 10", "match ip source 10.0.1.0 255.255.255.0",
                   f"set ip next-hop {WAN[4]}", "exit",
                   "interface eth0", "ip policy route-map R"])
    x = t(net, 4, FAR[4], 80)
    assert x.phase("POLICY-ROUTE")["subtype"] == "R" and x.says("POLICY-ROUTE", "route-map R permit 10")


@pytest.mark.parametrize("v", [4, 6])
def test_neighbour(net, v):
    net.r1.ip("neigh", "replace", WAN[v], "dev", "eth1", "nud", "failed")
    assert t(net, v, WAN[v], 80).drop == "neigh-failed"


def test_words(net):
    r1 = net.r1
    text = r1.cli(f"packet-tracer input eth0 tcp {LAN[4]} 1 {WAN[4]} 80")
    for line in ("Phase: 1", "Type: ROUTE-LOOKUP", "Subtype: FIB", "Result: ALLOW", "Config:",
                 "Additional Information:", "input-interface: eth0", "output-interface: eth1",
                 "output-status: up", "Action: allow"):
        assert f"\n{line}\n" in f"\n{text}", text
    with pytest.raises(CliError, match="family"):
        r1.cli(f"packet-tracer input eth0 tcp {LAN[4]} 1 {WAN[6]} 80")
    with pytest.raises(CliError, match="no such interface"):
        r1.cli(f"packet-tracer input eth9 tcp {LAN[4]} 1 {WAN[4]} 80")
