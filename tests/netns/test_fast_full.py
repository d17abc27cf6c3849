# SPDX-License-Identifier: GPL-2.0-or-later
"""The fast plane's flow table when it overflows: what nobody answers makes room, what is established
stays, and new connections are served."""
import multiprocessing
import socket
from contextlib import contextmanager
from itertools import count, islice

import pytest

from clients import BOX_WAN, LAN, WAN, Server, inside, silent, tcp, udp
from frames import SYN, TCP, UDP, ether, ip, packed
from frames import tcp as tcp_of
from frames import udp as udp_of
from test_fast_firewall import FAST, POLICY, alive, tracked
from test_fastplane import flows, on_fast
from topo import router_lines, wait_for

MUTE = 9  # a port of the far host that says nothing


def sized(n):
    return [f"dataplane flows ipv4 {n}", f"dataplane flows ipv6 {n}"]


@pytest.fixture
def full(routers):
    """lan (INSIDE) -- r1 -- wan (OUTSIDE), small flow tables."""
    topo = routers("basic")
    r1, wan = topo.r1, topo.wan
    r1.config(router_lines(topo.spec, "r1") + sized(1024) + FAST + POLICY)
    on_fast(r1)
    wan.run("nft", "add table inet mute; add chain inet mute in { type filter hook input priority 0; }; "
            f"add rule inet mute in meta l4proto {{ tcp, udp }} th dport {MUTE} drop")
    topo.server, topo.box = Server(wan, [80, 443]), Server(r1, [22])
    topo.server.conns = []
    for v in (4, 6):
        wait_for(lambda v=v: tcp(topo.lan, WAN[v], 80) == "open", what="neighbours")
    with inside(topo.lan):
        topo.wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        topo.wire.bind(("eth0", 0))
    topo.macs = [bytes.fromhex(n.run("cat", "/sys/class/net/eth0/address").stdout.replace(":", "")) for n in (r1, topo.lan)]
    yield topo
    topo.wire.close()
    topo.server.close()
    topo.box.close()
    r1.audit()


def unanswered(topo):
    """Frames without end: SYNs and datagrams of both families, each the first of its connection."""
    for sport in count(1024):
        for v in (4, 6):
            src, dst = packed(LAN[v]), packed(WAN[v])
            ports = (sport % 64000, MUTE)
            yield ether(*topo.macs, v, ip(v, src, dst, TCP, tcp_of(v, src, dst, *ports, SYN, sport, 0)))
            yield ether(*topo.macs, v, ip(v, src, dst, UDP, udp_of(v, src, dst, *ports, b"x")))


def evicted(r1):
    return r1.json("show dataplane")["flows"]["evicted"]


def settled(topo):
    """Open connections of both families that XDP forwards, and an answered one of UDP."""
    held = [tcp(topo.lan, WAN[v], 443, keep=True) for v in (4, 6) for _ in range(5)]
    for s in held:
        wait_for(lambda s=s: alive(topo.server, s), what="an open connection")
    for v in (4, 6):
        assert udp(topo.lan, topo.server, WAN[v], 80) == "open"
    ports = {s.getsockname()[1] for s in held}
    wait_for(lambda: ports <= {f["source_port"] for f in tracked(topo.r1) if f["path"] == "express"}, what="XDP has them")
    return held, ports


def share_of_a_source(full):
    """One host takes no more than its share of the table, whatever it sends; another one gets in. Of
    IPv6, hosts of one /64 are one."""
    r1, lan = full.r1, full.lan
    r1.config(["firewall host-sessions 50"])
    on_fast(r1)
    other = {4: "10.0.1.11", 6: "2001:db8:1::11"}
    for v in (4, 6):
        lan.ip("addr", "add", f"{other[v]}/{24 if v == 4 else 64}", "dev", "eth0", *(["nodad"] if v == 6 else []))
    frames = unanswered(full)

    def limited():
        for f in islice(frames, 400):
            full.wire.send(f)
        return sum(d["packets"] for d in r1.json("show drops")["drops"] if (d["stage"], d["reason"]) == ("fastpath", "host-limit")) > 400
    wait_for(limited, what="drops above the limit")
    # A worker that gets no time for 50 ms leaves what is new to the kernel, which has a share of its own.
    for v in (4, 6):
        wait_for(lambda v=v: limited() and len(flows(r1, source=LAN[v], destination_port=MUTE)) == 50, what="its share")
        wait_for(lambda v=v: silent(lambda: tcp(lan, WAN[v], 80)), what="a connection refused")

    def tried(v):
        return tcp(lan, WAN[v], 80, setup=lambda s: s.bind((other[v], 0)))
    wait_for(lambda: tried(4) == "open", what="another host's connection")
    wait_for(lambda: silent(lambda: tried(6)), what="a connection of the same /64 refused")
    r1.config(["no firewall host-sessions"])
    for v in (4, 6):
        assert tcp(lan, WAN[v], 80) == "open"


def test_overflow(full):
    """Four times as many unanswered flows as there is room for: none that is answered ends, and the
    next connection is the fast plane's. Then with a share for each source."""
    r1, lan, server = full.r1, full.lan, full.server
    held, ports = settled(full)
    assert evicted(r1) == 0
    frames = unanswered(full)

    def more():
        for f in islice(frames, 256):
            full.wire.send(f)
        return evicted(r1) > 4096
    wait_for(more, 20, "flows evicted")
    assert "evicted for others" in r1.cli("show dataplane")
    assert ports <= {f["source_port"] for f in tracked(r1) if f["path"] == "express"}
    assert {":" in f["source"] for f in flows(r1) if f["protocol"] == "udp" and f["state"] == "assured"} == {False, True}
    for s in held:
        wait_for(lambda s=s: alive(server, s), what="an established connection")

    def served(v):
        s = tcp(lan, WAN[v], 443, keep=True)
        port = s.getsockname()[1]
        held.append(s)
        return alive(server, s) and port in {f["source_port"] for f in tracked(r1)}
    for v in (4, 6):
        wait_for(lambda v=v: served(v), what="a new connection of the fast plane")
    for s in [*held, *server.conns]:
        s.close()
    r1.cli("clear conntrack")
    share_of_a_source(full)


@contextmanager
def flood(topo):
    """As fast as one core can, until the end."""
    frames = list(islice(unanswered(topo), 50000))

    def run():
        while True:
            for f in frames:
                try:
                    topo.wire.send(f)
                except OSError:
                    pass
    p = multiprocessing.get_context("fork").Process(target=run, daemon=True)
    p.start()
    try:
        yield
    finally:
        p.kill()
        p.join()


def test_flood(full):
    """SYNs and datagrams at full rate: established connections go on, new ones open, and so does one
    from the management zone to the box."""
    r1, lan, wan, server = full.r1, full.lan, full.wan, full.server
    r1.config(["zone security OUTSIDE", "management", "exit", *sized(8192)])
    on_fast(r1)
    held, ports = settled(full)
    with flood(full):
        wait_for(lambda: evicted(r1) > 10000, 20, "flows evicted")
        for v in (4, 6):
            assert tcp(wan, BOX_WAN[v], 22) == "open"
            wait_for(lambda v=v: tcp(lan, WAN[v], 80) == "open", what="a new connection")
        for s in held:
            wait_for(lambda s=s: alive(server, s), what="an established connection")
    now = r1.json("show conntrack dport 443 state established")
    assert ports <= {c["source_port"] for c in now if c["path"] == "express"}
    for s in [*held, *server.conns]:
        s.close()
