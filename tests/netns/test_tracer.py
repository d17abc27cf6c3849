# SPDX-License-Identifier: GPL-2.0-or-later
"""packet-tracer on real configurations, IPv4 and IPv6: what it predicts, phase by phase."""
import grp
import json

import pytest

from clients import BOX_LAN, BOX_WAN, LAN, WAN, Server, tcp, udp
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


def sends(net, v, *args, **kw):
    x = t(net, v, *args, options="transmit", **kw)
    assert x.doc["transmit"]["comparison"] == "AGREE", json.dumps(x.doc, indent=1)
    return x


def bind_list(r1, v, lines, iface="eth0", direction="in"):
    kind = "ip access-list extended" if v == 4 else "ipv6 access-list"
    bind = "ip access-group" if v == 4 else "ipv6 traffic-filter"
    r1.config([f"{kind} T{v}", *lines, "exit", f"interface {iface}", f"{bind} T{v} {direction}"])


def test_multicast_is_for_the_box_that_takes_part(net):
    assert Trace(net.r1, f"eth0 icmp {LAN[6]} 128 0 ff02::1").result["output_interface"] == "local"
    assert Trace(net.r1, f"eth0 icmp {LAN[6]} 128 0 ff05::1:99").drop == "no-route"
    assert Trace(net.r1, f"eth0 icmp {LAN[4]} 8 0 224.0.0.1").result["output_interface"] == "local"


def test_gre_through_nat(net):
    net.r1.config(["ip access-list extended L", f"permit ip host {LAN[4]} any", "exit", "interface eth0", "ip nat inside",
                   "interface eth1", "ip nat outside", "exit", "ip nat inside source list L interface eth1 overload"])
    x = Trace(net.r1, f"eth0 rawip {LAN[4]} 47 {WAN[4]}", "transmit")
    assert x.doc["transmit"]["comparison"] == "AGREE", json.dumps(x.doc, indent=1)
    assert x.phase("NAT")["subtype"] == "dynamic"



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
    """The last word of it is the neighbour's, and it has not changed its mind."""
    nobody = {4: "198.51.100.77", 6: "2001:db8:100::77"}[v]
    assert t(net, v, nobody, 80).says("NEIGHBOUR", "is not known yet")
    net.r1.ip("neigh", "replace", nobody, "dev", "eth1", "nud", "failed")
    assert sends(net, v, nobody, 80).drop == "neigh-failed"


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


@pytest.mark.parametrize("v", [4, 6])
def test_transmit(net, v):
    """A real packet meets what was predicted, whatever it is."""
    r1, ip, other = net.r1, IP[v], {4: "203.0.113.99", 6: "2001:db8:203::99"}[v]
    x = sends(net, v, WAN[v], 80)
    assert x.doc["transmit"]["kernel"].startswith("forwarded by eth1")
    assert not sends(net, v, FAR[v], 53, proto="udp").drop
    text = r1.cli(f"packet-tracer input eth0 icmp {LAN[v]} {ECHO[v]} 0 {WAN[v]} transmit")
    assert "\nComparison: AGREE\n" in text and "chain fw-raw: policy accept" in text, text
    assert "to the box" in sends(net, v, BOX_LAN[v], 22).doc["transmit"]["kernel"]
    assert sends(net, v, WAN[v], 80, src={4: "127.0.0.1", 6: "::1"}[v]).drop == "martian-source"
    # A rule of somebody else is not in the prediction.
    r1.run("nft", "add table inet x; add chain inet x y { type filter hook forward priority 50; "
           "policy drop; }")
    x = t(net, v, WAN[v], 80, "transmit")
    assert x.doc["transmit"]["comparison"] == "DIFFER" and "a rule dropped it" in x.doc["transmit"]["reason"]
    r1.run("nft", "delete", "table", "inet", "x")
    # Lists, reverse path, routes.
    bind_list(r1, v, ["10 permit tcp any any eq 80", f"20 permit udp any any eq 5000",
                      f"30 deny {ip} any host {FAR[v]}"])
    assert not sends(net, v, WAN[v], 80).drop
    assert sends(net, v, FAR[v], 81).drop == "acl-deny"
    assert sends(net, v, WAN[v], 81).drop == "acl-default"
    server = Server(net.wan, [5000])
    assert udp(net.lan, server, WAN[v], 5000) == "open"
    r1.config(["interface eth0", f"{ip} verify unicast source reachable-via rx"])
    assert sends(net, v, WAN[v], 80, src=FAR[v]).drop == "urpf"
    r1.config(["interface eth0", f"no {ip} verify unicast source reachable-via rx", "exit",
               f"no {ip} route {({4: '0.0.0.0 0.0.0.0', 6: '::/0'})[v]} {WAN[v]}"])
    assert sends(net, v, other, 80).drop == "no-route"
    # Nothing is left of it.
    assert ".trace" not in r1.run("nft", "list", "tables").stdout
    assert "sport=40000 dport=80" not in r1.cli("show conntrack")
    with pytest.raises(CliError, match="enable"):
        r1.cli(f"packet-tracer input eth0 tcp {LAN[v]} 1 {WAN[v]} 80 transmit",
               user=(64950, grp.getgrnam("rtr").gr_gid))
    server.close()


@pytest.mark.parametrize("v", [4, 6])
def test_transmit_zones_and_nat(net, v):
    r1, ip = net.r1, IP[v]
    r1.config([{4: "ip access-list extended L", 6: "ipv6 access-list L"}[v], f"permit {ip} any any", "exit",
               "interface eth0", f"{ip} nat inside", "interface eth1", f"{ip} nat outside", "exit",
               f"{ip} nat inside source list L interface eth1 overload",
               f"{ip} nat inside source static tcp {LAN[v]} 80 {BOX_WAN[v]} 8080"])
    x = sends(net, v, WAN[v], 80)
    assert BOX_WAN[v] in x.doc["transmit"]["kernel"] and LAN[v] not in x.doc["transmit"]["kernel"]
    x = sends(net, v, BOX_WAN[v], 8080, iif="eth1", src=FAR[v])
    assert LAN[v] in x.doc["transmit"]["kernel"]
    # Of no connection: what may be the fast plane's, the kernel does not answer.
    assert sends(net, v, BOX_WAN[v], 15000, iif="eth1", src=FAR[v]).drop == "nat-no-mapping"
    # A connection that is there: what comes back is led back.
    server = Server(net.wan, [5000])
    assert udp(net.lan, server, WAN[v], 5000) == "open"
    e = [line for line in r1.run("conntrack", "-L", "-p", "udp", "-f", f"ipv{v}").stdout.splitlines()
         if "dport=5000" in line][0]
    port = int(e.split("dport=")[2].split()[0])
    x = sends(net, v, BOX_WAN[v], port, iif="eth1", src=WAN[v], sport=5000, proto="udp")
    assert x.phase("FLOW-LOOKUP")["subtype"] == "established" and LAN[v] in x.doc["transmit"]["kernel"]
    r1.config(["zone security IN", "zone security OUT", "interface eth0", "zone-member security IN",
               "interface eth1", "zone-member security OUT"])
    assert sends(net, v, WAN[v], 80).drop == "zone-deny"
    assert sends(net, v, BOX_LAN[v], 22).drop == "zone-deny"
    server.close()
