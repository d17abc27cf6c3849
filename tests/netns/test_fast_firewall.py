# SPDX-License-Identifier: GPL-2.0-or-later
"""The firewall with the fast plane on. What clients see is what they see without it (the tests of
test_firewall.py run here once more); connections outlive the processes and commits that do not
concern them, and end by the commit that denies them."""
import os
import re
import signal
import socket
import time

import pytest

import test_firewall
from clients import BOX_LAN, LAN, WAN, Server, make, silent, tcp, udp
from test_fastplane import fastpath_pid, flows, on_fast, total
from test_firewall import ZONES, alive, set_list
from topo import router_lines, wait_for

FAST = ["interface eth0", "dataplane auto", "interface eth1", "dataplane auto", "exit"]
# So long a new rtr-fastpath waits for the interfaces of a connection (keeper.c: START_NS).
PORTS_SEC = 10
LONG = pytest.mark.skipif(not os.environ.get("RTR_TEST_LONG"), reason="the others of the same kind run")

POLICY = ZONES + """
class-map type inspect match-any ALL
match protocol tcp
match protocol udp
match protocol icmp
policy-map type inspect OUT
class type inspect ALL
inspect
zone-pair security IN-OUT source INSIDE destination OUTSIDE
service-policy type inspect OUT
""".strip().splitlines()


@pytest.fixture
def net(routers):
    """As in test_firewall.py, with the fast plane."""
    topo = routers("basic")
    topo.r1.config(router_lines(topo.spec, "r1") + FAST)
    on_fast(topo.r1)
    wait_for(lambda: topo.lan.ping(WAN[6], 1, check=False) == 1, what="IPv6 through the router")
    assert topo.lan.ping(WAN[4], 1) == 1
    topo.server = Server(topo.wan, [80, 81, 443, 5000])
    topo.box = Server(topo.r1, [22, 8080])
    yield topo
    topo.server.close()
    topo.box.close()


test_rules = test_firewall.test_rules
test_zones = test_firewall.test_zones
test_limits = test_firewall.test_limits
test_segment_size = test_firewall.test_segment_size
test_helper = test_firewall.test_helper
test_own_session = LONG(test_firewall.test_own_session)
test_log = LONG(test_firewall.test_log)
test_hours_and_sources = LONG(test_firewall.test_hours_and_sources)
test_feasible_sources = LONG(test_firewall.test_feasible_sources)
test_handshakes = LONG(test_firewall.test_handshakes)
test_quota_and_management = LONG(test_firewall.test_quota_and_management)


@pytest.fixture
def zoned(net):
    net.r1.config(POLICY)
    on_fast(net.r1)
    net.server.conns = []
    yield net


def tracked(r1):
    """Opened connections that the fast plane looks after."""
    return [f for f in flows(r1) if f["state"] == "established"]


def test_connections_are_followed(zoned):
    """Both directions are one connection, by XDP once it is open, with its state shown; what began in
    the kernel stays there."""
    r1, lan, server = zoned.r1, zoned.lan, zoned.server
    for v in (4, 6):
        wait_for(lambda: tcp(lan, WAN[v], 80) == "open", what="neighbours")
        s = tcp(lan, WAN[v], 443, keep=True)
        assert alive(server, s)
        port = s.getsockname()[1]
        wait_for(lambda: [f["path"] for f in tracked(r1) if port in (f["source_port"], f["destination_port"])]
                 == ["express"] * 2, what="both directions by XDP")
        before = total(r1, "express")
        assert alive(server, s) and total(r1, "express") > before
        s.close()
        server.conns.pop().close()
        wait_for(lambda: {f["state"] for f in flows(r1) if port in (f["source_port"], f["destination_port"])}
                 <= {"time-wait", "last-ack", "close"}, what="its end seen")
        assert udp(lan, server, WAN[v], 81) == "open"
        assert silent(lambda: tcp(zoned.wan, LAN[v], 80))
    assert {f["state"] for f in flows(r1) if f["protocol"] == "udp"} == {"assured"}


NOBODY = {4: "198.51.100.77", 6: "2001:db8:100::77"}


def test_first_packets(zoned):
    """What begins while its neighbour is not known waits for it, in order, and is the fast plane's from its first packet
    on; where nobody answers, the sender is told."""
    r1, lan, server = zoned.r1, zoned.lan, zoned.server
    vain = {v: make(lan, LAN[v], socket.SOCK_DGRAM) for v in (4, 6)}
    for v, s in vain.items():
        s.setsockopt(*((socket.IPPROTO_IP, 11) if v == 4 else (socket.IPPROTO_IPV6, 25)), 1)  # RECVERR
        s.connect((NOBODY[v], 81))
        s.send(b"x")
        s.settimeout(10)
    for v in (4, 6):
        s, got = make(lan, LAN[v], socket.SOCK_DGRAM), []
        s.connect((WAN[v], 81))
        s.setblocking(False)
        r1.ip("neigh", "flush", "dev", "eth1")
        for n in range(20):
            s.send(b"%d" % n)

        def all_back():
            server.echo()
            try:
                while True:
                    got.append(int(s.recv(100)))
            except BlockingIOError:
                return len(got) >= 20
        wait_for(all_back, what="all answers")
        assert got == list(range(20))
        mine = [f for f in flows(r1) if s.getsockname()[1] in (f["source_port"], f["destination_port"])]
        assert len(mine) == 2 and {f["path"] for f in mine} <= {"worker", "express"}, mine
        s.close()
    for s in vain.values():
        with pytest.raises(OSError, match="No route to host"):
            s.recv(100)
        s.close()


def test_outlives(zoned):
    """Open connections outlive an unrelated commit, rtr-fastpath and rtrd killed, and end by the
    commit that denies them."""
    r1, lan, server = zoned.r1, zoned.lan, zoned.server
    for v in (4, 6):
        wait_for(lambda: tcp(lan, WAN[v], 80) == "open", what="neighbours")
    held = [tcp(lan, WAN[v], 443, keep=True) for v in (4, 6)]
    assert all(alive(server, s) for s in held)
    wait_for(lambda: len(tracked(r1)) >= 4, what="connections of the fast plane")

    text = r1.config(["interface eth0", "description x"])
    assert all(alive(server, s) for s in held)
    assert not re.search(r"[1-9]\d* ended", text), text

    pid, began = fastpath_pid(r1), time.monotonic()
    os.kill(pid, signal.SIGKILL)
    assert all(alive(server, s) for s in held)
    wait_for(lambda: fastpath_pid(r1) not in (None, pid), timeout=10, what="another rtr-fastpath")
    on_fast(r1)
    took = time.monotonic() - began
    assert all(alive(server, s) for s in held)
    if took >= PORTS_SEC:
        pytest.skip(f"interfaces came back after {took:.0f} s: the kernel may have the connections")
    # The new process goes on with them: none is given to the kernel while interfaces come back.
    assert r1.json("show dataplane mirror")["given"] == 0
    # A packet promotes them, in a later turn of the worker.
    wait_for(lambda: all(alive(server, s) for s in held) and
             [f["path"] for f in tracked(r1) if 443 in (f["source_port"], f["destination_port"])] ==
             ["express"] * 4, what="the express path again")
    more = tcp(lan, WAN[4], 80, keep=True)
    assert alive(server, more)

    r1.kill9()
    assert all(alive(server, s) for s in held + [more])
    r1.start()
    on_fast(r1)
    assert all(alive(server, s) for s in held + [more])

    text = r1.config(["ip access-list extended NO", "deny tcp any any eq 443", "permit ip any any", "exit",
                      "ipv6 access-list NO", "deny tcp any any eq 443", "permit ipv6 any any", "exit",
                      "interface eth0", "ip access-group NO in", "ipv6 traffic-filter NO in"])
    assert sum(map(int, re.findall(r"(\d+) ended", text))) == 2, text
    assert not any(alive(server, s) for s in held)
    assert alive(server, more)
    for s in [*held, more, *server.conns]:
        s.close()


@pytest.mark.parametrize("v", [4, 6])
def test_errors(zoned, v):
    """A hop limit that runs out in the middle of a connection is told by the router; an error from
    behind it comes through to who sent the packet."""
    r1, lan, server = zoned.r1, zoned.lan, zoned.server
    s = make(lan, LAN[v], socket.SOCK_DGRAM)
    s.connect((WAN[v], 81))
    s.settimeout(0.05)

    def answered():
        s.send(b"x")
        server.echo()
        try:
            return s.recv(100)
        except TimeoutError:
            return None
    wait_for(answered, what="an answer")
    wait_for(lambda: [f for f in flows(r1) if f["source_port"] == s.getsockname()[1]], what="the flow")
    raw = make(lan, LAN[v], socket.SOCK_RAW, socket.IPPROTO_ICMP if v == 4 else socket.IPPROTO_ICMPV6)
    raw.settimeout(3)
    if v == 4:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
    else:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1)
    s.send(b"x")
    kinds = (11,) if v == 4 else (3,)
    while True:
        data, peer = raw.recvfrom(2048)
        if data[20 if v == 4 else 0] in kinds:
            break
    assert peer[0] == BOX_LAN[v] and total(r1, "made") == 1
    s.close()
    raw.close()
    # Nobody listens there: the host says so, and the flow of the fast plane lets it through.
    assert udp(lan, server, WAN[v], 4444) == "refused"


def test_iperf(zoned):
    """A stream of data, by XDP but for its beginning and its end."""
    zoned.wan.iperf3_server()
    wait_for(lambda: tcp(zoned.lan, WAN[4], 80) == "open", what="neighbours")
    before = total(zoned.r1, "express")
    assert zoned.lan.iperf3(WAN[4], seconds=1)["end"]["sum_received"]["bytes"] > 1_000_000
    assert total(zoned.r1, "express") > before + 100
