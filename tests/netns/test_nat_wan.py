# SPDX-License-Identifier: GPL-2.0-or-later
"""Two providers: connections follow the way that they take, and only those that must."""
import socket
import time

import pytest

from nat_lab import dataplane, plane, wait_plane  # noqa: F401
from nssock import Echo, sock
from topo import router_lines, wait_for

FAR = "203.0.113.10"
NAT = ["ip access-list extended LAN", "permit ip 10.0.1.0 0.0.0.255 any", "exit",
       "interface eth0", "ip nat inside", "interface eth1", "ip nat outside", "interface eth2", "ip nat outside",
       "exit"]
MASQUERADE = ["ip nat inside source list LAN interface eth1 overload",
              "ip nat inside source list LAN interface eth2 overload"]
POOLS = ["ip nat pool ONE 198.51.100.40 198.51.100.43 prefix-length 24",
         "ip nat pool TWO 192.0.2.40 192.0.2.43 prefix-length 24",
         "ip nat inside source list LAN pool ONE via eth1 overload",
         "ip nat inside source list LAN pool TWO via eth2 overload"]


@pytest.fixture
def net(routers, plane):  # noqa: F811
    services = []

    def make(*lines):
        topo = routers("dual-wan")
        topo.r1.config([*router_lines(topo.spec, "r1"), *NAT, *dataplane(plane, "eth0", "eth1", "eth2"), *lines])
        wait_for(lambda: topo.lan.ping("10.0.1.1", count=1, timeout=0.1, check=False), what="the link")
        wait_plane(topo.r1, plane)
        for node in (topo.wan1, topo.wan2):
            services.append(Echo(node, 7, FAR))
        services.append(Echo(topo.wan2, 7, "192.0.2.1"))
        return topo

    yield make
    for s in services:
        s.close()


class Flow:
    """One UDP flow that goes on through everything: who the far side sees, or None when nothing came back."""

    def __init__(self, node, dest):
        self.s = sock(node, "udp", fam=socket.AF_INET, timeout=0.1)
        self.s.connect((dest, 7))
        self.lost = 0

    def seen(self):
        try:
            self.s.send(b"x")
            return self.s.recv(100).decode().split()[0]
        except (TimeoutError, ConnectionRefusedError, OSError):
            self.lost += 1
            return None


@pytest.mark.parametrize("lines, first, second", [(MASQUERADE, "198.51.100.2", "192.0.2.2"),
                                                  (POOLS, "198.51.100.4", "192.0.2.4")])
def test_failover_moves_the_flow_and_no_other(net, lines, first, second):
    topo = net(*lines)
    moving, staying = Flow(topo.lan, FAR), Flow(topo.lan, "192.0.2.1")
    assert moving.seen().startswith(first) and staying.seen().startswith(second)
    face = staying.seen()
    started = time.monotonic()
    topo.r1.config(["ip route 0.0.0.0/0 192.0.2.1", "no ip route 0.0.0.0/0 198.51.100.1"])

    def moved():
        assert staying.seen() == face
        now = moving.seen()
        # Never out of the one provider with the address of the other: nothing would come back.
        assert now is None or now.startswith((first, second))
        return now and now.startswith(second)
    wait_for(moved, 3, "the flow on the other provider")
    assert time.monotonic() - started < 2
    assert staying.lost == 0
    topo.r1.config(["ip route 0.0.0.0/0 198.51.100.1", "no ip route 0.0.0.0/0 192.0.2.1"])
    wait_for(lambda: (moving.seen() or "").startswith(first), 3, "the flow back")
    assert staying.seen() == face and staying.lost == 0


def test_no_packet_leaves_with_the_other_address(net):
    """While the way changes, neither provider sees an address that is not its own."""
    topo = net(*POOLS)
    flow = Flow(topo.lan, FAR)
    flow.seen()
    with topo.wan2.tcpdump("eth0", "udp and src net 198.51.100.0/24") as wrong, \
            topo.wan2.tcpdump("eth0", "src net 10.0.0.0/8") as leaks:
        topo.r1.config(["ip route 0.0.0.0/0 192.0.2.1", "no ip route 0.0.0.0/0 198.51.100.1"])
        wait_for(lambda: (flow.seen() or "").startswith("192.0.2.4"), 3, "the flow moved")
    assert "".join(wrong.packets) == "" and "".join(leaks.packets) == ""


def test_address_change(net):
    """The interface gets another address: its flows begin anew with that, others go on."""
    topo = net(*MASQUERADE)
    topo.wan1.ip("route", "add", "198.51.100.9/32", "dev", "eth0")
    flow, other = Flow(topo.lan, FAR), Flow(topo.lan, "192.0.2.1")
    assert flow.seen() == "198.51.100.2" and other.seen() == "192.0.2.2"
    topo.r1.config(["interface eth1", "ip address 198.51.100.9/24"])
    wait_for(lambda: flow.seen() == "198.51.100.9", 3, "the new address")
    assert other.seen() == "192.0.2.2" and other.lost == 0


def test_answers_by_another_way(net):
    """Lines are those of the interface that a connection came by, not of the one where its answers leave now."""
    topo = net(*MASQUERADE)
    topo.lan.ip("addr", "add", "10.0.1.77/32", "dev", "lo")
    topo.r1.config(["ip access-list extended OLD", "permit ip any host 192.0.2.1", "exit",
                    "ip nat pool OLD 192.0.2.99 192.0.2.99 prefix-length 24",
                    "ip nat inside source policy 1 list OLD pool OLD overload"])
    kept, other = Flow(topo.lan, FAR), Flow(topo.lan, "192.0.2.1")
    kept.s.close()
    kept.s = sock(topo.lan, "udp", "10.0.1.77", 40000, timeout=0.1)
    kept.s.connect((FAR, 7))
    assert kept.seen() == "198.51.100.2" and other.seen() == "192.0.2.99"

    def there(dst):
        return topo.r1.json(f"show conntrack destination {dst} count")["connections"]
    assert there(FAR) and there("192.0.2.1")
    # Both in one walk: the line of the one goes, and the way back to the other moves.
    topo.r1.config(["ip route 10.0.1.77 255.255.255.255 192.0.2.1",
                    "no ip nat inside source policy 1 list OLD pool OLD overload"])
    wait_for(lambda: not there("192.0.2.1"), what="the end of the one without a line")
    assert there(FAR)
    # Its packets go on as they did, wherever the answers stay.
    with topo.wan1.tcpdump("eth0", f"udp and dst host {FAR}") as seen:
        kept.seen()
    assert any("198.51.100.2." in p for p in seen.packets), seen.packets
