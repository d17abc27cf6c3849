# SPDX-License-Identifier: GPL-2.0-or-later
"""Zones, lists, reverse path, NAT and the box itself, for hosts whose gateway is a virtual MAC: their
packets come by a macvlan, and are judged as what comes by the interface below."""
import re

import pytest

import vrrp
from clients import WAN, Server, silent, tcp
from router import CliError
from topo import router_lines, wait_for

GATE = {4: "10.0.1.254", 6: "fe80::254"}
WIDE = {4: "10.0.1.0/24", 6: "2001:db8:1::/64"}
SRC = {4: "10.0.1.10", 6: "2001:db8:1::10"}


@pytest.fixture
def net(routers):
    topo = routers("basic")
    topo.r1.config([*router_lines(topo.spec, "r1"), "interface eth0",
                    "vrrp 1 address-family ipv4", "timers advertise 100", f"address {GATE[4]} primary", "exit",
                    "vrrp 1 address-family ipv6", "timers advertise 100", f"address {GATE[6]} primary",
                    "address 2001:db8:1::254", "exit"])
    for af in ("ipv4", "ipv6"):
        vrrp.wait_state(topo.r1, "MASTER", family=af)
    topo.lan.ip("route", "replace", "default", "via", GATE[4])
    topo.lan.ip("-6", "route", "replace", "default", "via", GATE[6], "dev", "eth0")
    for v in (4, 6):
        wait_for(lambda: topo.lan.ping(WAN[v], 1, timeout=1, check=False) == 1, what="the way by the virtual MAC")
    assert topo.lan.ip_json("neigh", "show", GATE[4])[0]["lladdr"] == "00:00:5e:00:01:01"
    topo.server = Server(topo.wan, [80, 81])
    topo.box = Server(topo.r1, [22, 8080])
    yield topo
    topo.server.close()
    topo.box.close()


POLICY = """
zone security INSIDE
zone security OUTSIDE
class-map type inspect match-any WEB
match protocol http
class-map type inspect match-any SSH
match protocol ssh
policy-map type inspect OUT
class type inspect WEB
inspect
policy-map type inspect BOX
class type inspect SSH
inspect
zone-pair security IN-OUT source INSIDE destination OUTSIDE
service-policy type inspect OUT
zone-pair security IN-BOX source INSIDE destination self
service-policy type inspect BOX
interface eth0
zone-member security INSIDE
ip verify unicast source reachable-via rx
ipv6 verify unicast source reachable-via rx
interface eth1
zone-member security OUTSIDE
""".strip().splitlines()


def test_zones_and_sources(net):
    r1, lan = net.r1, net.lan
    r1.config(POLICY)
    for v, box in ((4, GATE[4]), (6, "2001:db8:1::254")):
        assert tcp(lan, WAN[v], 80) == "open"
        assert silent(lambda: tcp(lan, WAN[v], 81))
        assert tcp(lan, box, 22) == "open"
        assert silent(lambda: tcp(lan, box, 8080))
        held = tcp(lan, WAN[v], 80, keep=True)
        (e,) = r1.json(f"show conntrack ipv{v} state established zone INSIDE interface eth0 dport 80")
        assert (e["input"], e["output"], e["zone_pair"]) == ("eth0", "eth1", "IN-OUT")
        # A commit judges it by the zone of the interface: it stays, and ends when the zone closes.
        out = r1.config(["class-map type inspect match-any WEB", f"match protocol {'ntp' if v == 4 else 'dns'}"])
        assert ", 0 ended" in out, out
        out = r1.config(["policy-map type inspect OUT", "class type inspect WEB", "drop"])
        assert re.search(r", [1-9]\d* ended", out), out
        held.close()
        r1.config(["policy-map type inspect OUT", "class type inspect WEB", "inspect"])
    lan.ip("addr", "add", "198.51.100.77/32", "dev", "eth0")
    lan.ip("addr", "add", "2001:db8:100::77/128", "dev", "eth0", "nodad")
    before = r1.json("show firewall drops")["reverse_path"]["packets"]
    for v, spoofed in ((4, "198.51.100.77"), (6, "2001:db8:100::77")):
        lan.ping(WAN[v], 1, timeout=0.3, args=("-I", spoofed), check=False)
    wait_for(lambda: r1.json("show firewall drops")["reverse_path"]["packets"] >= before + 2, what="reverse path drops")


def test_lists_and_translation(net):
    r1, lan = net.r1, net.lan
    r1.config(["ip access-list extended A", "permit tcp any any eq 80", "ipv6 access-list A", "permit tcp any any eq 80",
               "ip access-list extended LAN", f"permit ip {WIDE[4]} any", "ipv6 access-list LAN",
               f"permit ipv6 {WIDE[6]} any", "exit", "interface eth0", "ip nat inside", "ipv6 nat inside",
               "ip access-group A in", "ipv6 traffic-filter A in", "interface eth1", "ip nat outside", "ipv6 nat outside",
               "exit", "ip nat inside source list LAN interface eth1 overload",
               "ipv6 nat inside source list LAN interface eth1 overload"])
    for v, out in ((4, "198.51.100.2"), (6, "2001:db8:100::2")):
        held = tcp(lan, WAN[v], 80, keep=True)
        (e,) = r1.json(f"show conntrack ipv{v} dport 80 source {SRC[v]} nat")
        assert (e["reply"]["destination"], e["rule"], e["input"]) == (out, "A 10", "eth0")
        held.close()
        assert silent(lambda: tcp(lan, WAN[v], 81))


def test_policy_routing(net):
    """What a route-map takes goes its way, also when it came by the virtual MAC."""
    r1, lan = net.r1, net.lan
    r1.config(["route-map M permit 10", "match ip destination 198.51.100.0/24", "match ipv6 destination 2001:db8:100::/64",
               "set interface Null0", "exit", "interface eth0", "ip policy route-map M", "ipv6 policy route-map M"])
    for v in (4, 6):
        assert lan.ping(WAN[v], 1, timeout=0.3, check=False) == 0
    r1.config(["interface eth0", "no ip policy route-map M", "no ipv6 policy route-map M"])
    for v in (4, 6):
        assert lan.ping(WAN[v], 1) == 1
    assert "vrrp" not in r1.ip("rule").stdout


def test_group_comes_later(net):
    """The macvlan of a group that is made, and made anew, is in the policy at once."""
    r1, lan = net.r1, net.lan
    r1.config(POLICY)
    r1.config(["interface eth0", "no vrrp 1 address-family ipv4"])
    wait_for(lambda: not [x for x in r1.ip_json("link") if x["ifname"].startswith("vrrp4-")], what="no macvlan")
    r1.config(["interface eth0", "vrrp 7 address-family ipv4", "timers advertise 100", f"address {GATE[4]} primary"])
    vrrp.wait_state(r1, "MASTER", vrid=7)
    wait_for(lambda: lan.ip("neigh", "flush", "dev", "eth0") and tcp(lan, WAN[4], 80) == "open",
             what="the web by the new group")
    assert silent(lambda: tcp(lan, WAN[4], 81))
    with pytest.raises(CliError, match="no interface vrrp4-9-9"):
        r1.cli("show conntrack interface vrrp4-9-9")
