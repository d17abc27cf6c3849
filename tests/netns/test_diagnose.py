# SPDX-License-Identifier: GPL-2.0-or-later
"""diagnose neighbor, path and mtu: faults are injected, the right layer is named, in both families."""
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from nssock import sock
from router import CliError, program
from topo import router_lines, wait_for

LAN = {"ipv4": "10.0.1.", "ipv6": "2001:db8:1::"}
WAN = {"ipv4": "198.51.100.", "ipv6": "2001:db8:100::"}
FAR = {"ipv4": "203.0.113.10", "ipv6": "2001:db8:203::10"}
FAMILIES = ("ipv4", "ipv6")


@pytest.fixture
def topo(routers):
    topo = routers("basic")
    r1 = topo.r1
    r1.config(router_lines(topo.spec, "r1"))
    settled(r1)
    return topo


def settled(r1):
    wait_for(lambda: not r1.ip("-6", "addr", "show", "tentative").stdout, what="own addresses")


def diagnose(r1, **commands):
    """{name: document}, all asked at once."""
    with ThreadPoolExecutor(len(commands)) as pool:
        return dict(zip(commands, pool.map(lambda c: r1.json(f"diagnose {c}"), commands.values())))


def at_fault(r1, layer, verdict, command, nets=LAN, fix=""):
    """Both families' answers to `command`, in which {} is the network (or address) of the family."""
    docs = diagnose(r1, **{f: command.format(nets[f]) for f in FAMILIES})
    for f, doc in docs.items():
        assert (doc["layer"], doc["good"]) == (layer, layer == "none"), (f, doc)
        assert verdict in doc["verdict"], (f, doc)
        assert fix in "\n".join(doc["fix"]), (f, doc)
        if layer != "none":
            assert doc["steps"] or doc["verdict"]
    return docs


def filters(node, hook, *rules):
    """Rules of another host, in place of those that it had."""
    node.run("nft", "flush", "ruleset")
    if rules:
        node.run("nft", "-f", "-", input=f"table inet t {{\nchain c {{\ntype filter hook {hook} priority 0;\n"
                 + "\n".join(rules) + "\n}\n}\n")


def test_neighbours(topo):
    r1, lan = topo.r1, topo.lan
    at_fault(r1, "none", "is there and answers", "neighbor {}10")
    text = r1.cli("diagnose neighbor 10.0.1.10")
    assert "ok    link        eth0 is up" in text and "No fault found: 10.0.1.10 is there" in text
    # 1: nobody has the address
    at_fault(r1, "neighbour", "no host on eth0 has the address", "neighbor {}77")
    # 2: it is the router itself; and the network's own address
    at_fault(r1, "address", "this router's own address", "neighbor {}1")
    assert diagnose(r1, a="neighbor 10.0.1.255")["a"]["layer"] == "address"
    # 3: it answers on another link
    topo.wan.ip("addr", "add", "10.0.1.50/32", "dev", "eth0")
    topo.wan.ip("addr", "add", "2001:db8:1::50/128", "dev", "eth0", "nodad")
    at_fault(r1, "link", "is on the wrong link", "neighbor {}50")
    # 4: two hosts have it
    for dev in ("dup0", "dup1"):
        lan.ip("link", "add", dev, "link", "eth0", "type", "macvlan", "mode", "bridge")
        lan.sysctl(**{f"net.ipv4.conf.{dev}.arp_ignore": 1, f"net.ipv6.conf.{dev}.accept_dad": 0})
        lan.ip("link", "set", dev, "up")
        lan.ip("addr", "add", "10.0.1.60/32", "dev", dev)
        lan.ip("addr", "add", "2001:db8:1::60/128", "dev", dev, "nodad")
    lan.sysctl(**{"net.ipv4.conf.all.arp_ignore": 1})
    docs = at_fault(r1, "neighbour", "two hosts on eth0 have the address", "neighbor {}60")
    assert docs["ipv4"]["fix"][0].startswith("arp 10.0.1.60 ") and docs["ipv4"]["fix"][0].endswith(" arpa")
    # What it advises is a line that the router takes.
    r1.config([docs["ipv4"]["fix"][0], docs["ipv6"]["fix"][0]])
    # 5: a host with an address of another network
    lan.ip("addr", "add", "10.99.0.5/24", "dev", "eth0")
    lan.ip("addr", "add", "2001:db8:99::5/64", "dev", "eth0", "nodad")
    docs = at_fault(r1, "address", "with an address of another network", "neighbor {}5",
                    {"ipv4": "10.99.0.", "ipv6": "2001:db8:99::"})
    r1.config([docs["ipv4"]["fix"][0], docs["ipv6"]["fix"][0]])
    at_fault(r1, "none", "can be reached", "path {}5", {"ipv4": "10.99.0.", "ipv6": "2001:db8:99::"})
    at_fault(r1, "address", "is no neighbour", "neighbor {}7", {"ipv4": "10.98.0.", "ipv6": "2001:db8:98::"})


def test_links_and_static_entries(topo):
    r1, lan = topo.r1, topo.lan
    # 6: a static entry with a wrong MAC address
    r1.config(["arp 10.0.1.10 0200.0000.0001 arpa", "ipv6 neighbor 2001:db8:1::10 eth0 0200.0000.0001"])
    docs = at_fault(r1, "neighbour", "names another host", "path {}10", fix="no ")
    r1.config([docs["ipv4"]["fix"][0], docs["ipv6"]["fix"][0]])
    wait_for(lambda: diagnose(r1, a="path 10.0.1.10")["a"]["good"], what="the entry gone")
    # 7: a host that is there and answers nothing
    filters(lan, "input", "icmp type echo-request drop", "icmpv6 type echo-request drop")
    at_fault(r1, "service", "is there, and answers nothing but who it is", "neighbor {}10")
    filters(lan, "input")
    # 8: no carrier
    lan.ip("link", "set", "eth0", "down")
    wait_for(lambda: "down" in r1.json("show interfaces eth0")[0]["status"], what="eth0 down")
    at_fault(r1, "link", "has no carrier", "neighbor {}10")
    lan.ip("link", "set", "eth0", "up")
    # An interface that is configured, and not there.
    r1.config(["interface eth7", "ip address 10.7.0.1/24", "ipv6 address 2001:db8:7::1/64"])
    nets = {"ipv4": "10.7.0.", "ipv6": "2001:db8:7::"}
    at_fault(r1, "link", "there is no interface eth7 in the kernel", "neighbor {}9", nets)
    at_fault(r1, "link", "there is no interface eth7 in the kernel", "path {}9", nets)
    # 9: shut down, asked as a neighbour and as a path
    r1.config(["interface eth0", "shutdown"])
    docs = at_fault(r1, "link", "eth0 is shut down", "neighbor {}10", fix="no shutdown")
    at_fault(r1, "link", "eth0 is shut down", "path {}10")
    r1.config(docs["ipv4"]["fix"])
    assert r1.json("show interfaces eth0")[0]["status"] != "administratively down"


def test_routes(topo):
    r1, wan = topo.r1, topo.wan
    at_fault(r1, "none", "can be reached", "path {}", FAR)
    # 10: a route of the configuration discards it
    r1.config(["ip route 203.0.113.0/24 Null0", "ipv6 route 2001:db8:203::/48 Null0"])
    docs = at_fault(r1, "route", "a route of the configuration", "path {}", FAR, fix="no ip")
    r1.config([docs["ipv4"]["fix"][0], docs["ipv6"]["fix"][0]])
    at_fault(r1, "none", "can be reached", "path {}", FAR)
    # 11: the next hop is in no connected network
    r1.config(["no ip route 0.0.0.0/0 198.51.100.1", "no ipv6 route ::/0 2001:db8:100::1"])
    r1.config(["ip route 203.0.113.0/24 172.16.0.1", "ipv6 route 2001:db8:203::/48 2001:db8:dead::1"])
    at_fault(r1, "route", "is in none of the connected networks", "path {}", FAR)
    # 12: no route
    r1.config(["no ip route 203.0.113.0/24 172.16.0.1", "no ipv6 route 2001:db8:203::/48 2001:db8:dead::1"])
    at_fault(r1, "route", "there is no route", "path {}", FAR, fix="route")
    r1.config(["ip route 203.0.113.0/24 198.51.100.1 255", "ipv6 route 2001:db8:203::/48 2001:db8:100::1 255"])
    at_fault(r1, "route", "its distance is 255", "path {}", FAR)
    r1.config(["no ip route 203.0.113.0/24 198.51.100.1 255", "no ipv6 route 2001:db8:203::/48 2001:db8:100::1 255"])
    # 13: a track is down
    r1.config(["track 1 interface nowhere0 line-protocol", "exit", "ip route 203.0.113.0/24 198.51.100.1 track 1",
               "ipv6 route 2001:db8:203::/48 2001:db8:100::1 track 1"])
    wait_for(lambda: r1.json("show track 1")[0]["state"] == "Down", what="the track")
    wait_for(lambda: not r1.ip("route", "show", "203.0.113.0/24").stdout, what="the route gone")
    wait_for(lambda: not r1.ip("-6", "route", "show", "2001:db8:203::/48").stdout, what="the route gone")
    at_fault(r1, "route", "track 1, which the route follows, is down", "path {}", FAR)
    # 14: the next hop is not there
    r1.config(["ip route 203.0.113.0/24 198.51.100.66", "ipv6 route 2001:db8:203::/48 2001:db8:100::66"])
    at_fault(r1, "neighbour", "no host on eth1 has the address", "path {}", FAR)
    r1.config(["no ip route 203.0.113.0/24 198.51.100.66", "no ipv6 route 2001:db8:203::/48 2001:db8:100::66",
               "ip route 0.0.0.0/0 198.51.100.1", "ipv6 route ::/0 2001:db8:100::1"])
    # 15: behind the next hop all is silent
    at_fault(r1, "path", "the next hop is there", "path {}", {"ipv4": "192.0.2.200", "ipv6": "2001:db8:bad::1"})
    # 16: a router on the way refuses
    filters(wan, "input", "ip daddr 203.0.113.10 reject with icmp type admin-prohibited",
            "ip6 daddr 2001:db8:203::10 reject with icmpv6 type admin-prohibited")
    at_fault(r1, "policy", "refuses it", "path {}", FAR)
    filters(wan, "input")
    # 17 to 19: the port
    at_fault(r1, "service", "nothing listens on port 8080", "path {} tcp 8080", FAR)
    wan.http_server(8080)
    at_fault(r1, "none", "can be reached", "path {} tcp 8080", FAR)
    filters(wan, "input", "tcp dport 8080 drop")
    at_fault(r1, "policy", "a filter there or on the way drops it", "path {} tcp 8080", FAR)


def test_behind_the_next_hop(topo):
    """Two routers on the way that send packets to each other, one that has no way, and one that swallows them."""
    r1, wan, lan = topo.r1, topo.wan, topo.lan
    there = {"ipv4": "192.0.2.200", "ipv6": "2001:db8:bad::1"}
    wan.ip("link", "add", "back0", "type", "veth", "peer", "name", "back1", "netns", lan.netns)
    for node, dev, number in ((wan, "back0", 1), (lan, "back1", 2)):
        node.sysctl(**{"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1})
        node.ip("addr", "add", f"172.20.0.{number}/24", "dev", dev)
        node.ip("addr", "add", f"2001:db8:20::{number}/64", "dev", dev, "nodad")
        node.ip("link", "set", dev, "up")
        node.ip("route", "add", "192.0.2.0/24", "via", f"172.20.0.{3 - number}")
        node.ip("route", "add", "2001:db8:bad::/64", "via", f"2001:db8:20::{3 - number}")
    at_fault(r1, "route", "go in a circle", "path {}", there)
    lan.ip("route", "replace", "unreachable", "192.0.2.0/24")
    lan.ip("route", "replace", "unreachable", "2001:db8:bad::/64")
    at_fault(r1, "route", "has no way to ", "path {}", there)
    filters(wan, "forward", "drop")
    at_fault(r1, "path", "packets get as far as ", "path {}", there)


def test_mtu(topo):
    r1, wan = topo.r1, topo.wan
    at_fault(r1, "none", "the path carries what eth1 does", "mtu {}", FAR)
    # 20: a router on the way takes less, and says so: no fault
    wan.ip("link", "add", "small0", "mtu", 1400, "type", "veth", "peer", "name", "small1", "netns", topo.lan.netns)
    wan.sysctl(**{"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1})
    for node, dev, number in ((wan, "small0", 1), (topo.lan, "small1", 2)):
        node.ip("addr", "add", f"192.0.2.{number}/24", "dev", dev)
        node.ip("addr", "add", f"2001:db8:200::{number}/64", "dev", dev, "nodad")
        node.ip("link", "set", dev, "up")
    docs = at_fault(r1, "none", "packets of 1400 bytes arrive, and senders of larger ones are told so", "mtu {}2",
                    {"ipv4": "192.0.2.", "ipv6": "2001:db8:200::"})
    assert "198.51.100.1 says: at most 1400 bytes" in str(docs["ipv4"]["steps"])
    # 21: a black hole
    filters(wan, "input", "meta length > 1400 drop")
    docs = at_fault(r1, "mtu", "a black hole: packets above 1400 bytes vanish", "mtu {}", FAR)
    assert docs["ipv4"]["fix"] == ["interface eth1", "ip tcp adjust-mss 1360"]
    assert docs["ipv6"]["fix"] == ["interface eth1", "ipv6 tcp adjust-mss 1340"]
    r1.config([*docs["ipv4"]["fix"], docs["ipv6"]["fix"][1]])
    at_fault(r1, "neighbour", "no host", "mtu {}66", WAN)


def forwarded(r1, layer, verdict, port="tcp 443", fix=""):
    docs = diagnose(r1, **{f: f"path {FAR[f]} {port} from {LAN[f]}10 interface eth0" for f in FAMILIES})
    for f, doc in docs.items():
        assert doc["layer"] == layer and verdict in doc["verdict"], (f, doc)
        assert fix in "\n".join(doc["fix"]), (f, doc)
    return docs


def test_hosts_behind_the_router(topo):
    r1 = topo.r1
    topo.wan.http_server(443)
    forwarded(r1, "none", "can be reached")
    assert "for the router itself" in r1.json("diagnose path 10.0.1.1 from 10.0.1.10 interface eth0")["verdict"]
    assert r1.json("diagnose path 2001:db8:1::1 from 2001:db8:1::10 interface eth0")["layer"] == "none"
    # 22: an access list
    r1.config(["ip access-list extended A", "10 deny tcp any any eq 443", "20 permit ip any any", "exit",
               "ipv6 access-list A6", "10 deny tcp any any eq 443", "20 permit ipv6 any any", "exit",
               "interface eth0", "ip access-group A in", "ipv6 traffic-filter A6 in"])
    docs = forwarded(r1, "policy", "the policy of this router drops", fix="permit tcp host")
    for doc in docs.values():
        assert "deny tcp any any eq 443" in str(doc["steps"]), doc
        r1.config(doc["fix"])
    forwarded(r1, "none", "can be reached")
    # 23: zones without a pair
    r1.config(["interface eth0", "no ip access-group A in", "no ipv6 traffic-filter A6 in", "exit",
               "zone security IN", "exit", "zone security OUT", "exit",
               "interface eth0", "zone-member security IN", "exit", "interface eth1", "zone-member security OUT"])
    forwarded(r1, "policy", "the policy of this router drops", fix="zone-pair security")
    r1.config(["interface eth0", "no zone-member security IN", "exit", "interface eth1", "no zone-member security OUT"])
    # 24: forwarding is off
    r1.config(["no ip routing", "no ipv6 unicast-routing"])
    docs = forwarded(r1, "forwarding", "does not forward what comes by eth0")
    r1.config([docs["ipv4"]["fix"][0], docs["ipv6"]["fix"][0]])
    # 25: the way back leads elsewhere, checked and not
    r1.config(["ip route 10.0.1.10/32 198.51.100.1", "ipv6 route 2001:db8:1::10/128 2001:db8:100::1"])
    forwarded(r1, "return", "asymmetric")
    r1.config(["interface eth0", "ip verify unicast source reachable-via rx",
               "ipv6 verify unicast source reachable-via rx"])
    forwarded(r1, "return", "eth0", fix="route")


def test_refusals_and_the_end(topo):
    r1 = topo.r1
    for command in ("neighbor 224.0.0.1", "neighbor fe80::1", "path 10.0.1.10 from 2001:db8::1 interface eth0",
                    "path vrf RED 10.0.1.10", "path vrf eth0 10.0.1.10", "mtu vrf RED 10.0.1.10",
                    "path 10.0.1.10 from 10.0.1.9 interface nowhere0", "neighbor 10.0.1.10 interface nowhere0"):
        with pytest.raises(CliError):
            r1.cli(f"diagnose {command}")
    # A client that goes in the middle of it leaves nothing behind.
    p = subprocess.Popen([program("rtrctl"), "-N", r1.instance, "-c", "diagnose neighbor 10.0.1.77"])
    wait_for(lambda: len(r1.json("show users")) == 2, what="the client")
    p.kill()
    p.wait()
    wait_for(lambda: len(r1.json("show users")) == 1, what="the end of its session")
    assert diagnose(r1, a="neighbor 10.0.1.10")["a"]["good"]
