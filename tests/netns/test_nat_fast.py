# SPDX-License-Identifier: GPL-2.0-or-later
"""What NAT does on the fast plane alone, and that both planes agree where a host may meet both."""
import itertools
import json
import os
import signal
import socket
import subprocess

import pytest

from nat_lab import FAST, OVERLOAD, PUBLIC, lab, wait_plane
from nssock import Echo, ask, sock
from test_fastplane import fastpath_pid, flows, total
from topo import wait_for

FAR4, FAR6 = "203.0.113.10", "2001:db8:203::10"
BOTH = [(FAR4, PUBLIC[0]), (FAR6, PUBLIC[1])]


@pytest.fixture
def net(routers):
    """The network on the fast plane; neighbours are known, so that nothing begins in the kernel."""
    made = []

    def make(*lines):
        topo = lab(routers, *lines, plane="fast")
        topo.echo = Echo(topo.far, 7)
        for node in (topo.a, topo.b, topo.c):
            node.ping(FAR4)
            node.ping(FAR6)
        made.append(topo)
        return topo

    yield make
    for topo in made:
        topo.echo.close()


def until_fast(get):
    """A worker that got no time for 50 ms leaves a flow to the kernel: another one then."""
    for _ in range(10):
        addr, port = get()
        if port in FAST:
            return addr, port
    raise AssertionError("all flows were the kernel's")


def test_translated_by_xdp(net):
    """TCP and UDP of both families: forwarded by XDP in both directions, counted with their line."""
    topo = net(*OVERLOAD)
    topo.far.iperf3_server()
    for dest, public in BOTH:
        for kind in ("tcp", "udp"):
            addr, port = until_fast(lambda: ask(topo.a, kind, dest, 7))
            assert addr == public
            assert flows(topo.r1, source=dest, destination=public, destination_port=port)
        before = total(topo.r1, "express")
        for args in ((), ("-R",)):
            assert topo.a.iperf3(dest, seconds=1, args=args)["end"]["sum_received"]["bytes"] > 1e6
        assert total(topo.r1, "express") > before + 1000
    for family in ("ip", "ipv6"):
        rule, = topo.r1.json(f"show {family} nat rules")["rules"]
        assert rule["connections"] >= 6


def test_planes_pair_alike(net):
    """RFC 4787 REQ-2 over both planes: a host has one address of a pool. Echo requests are the kernel's."""
    topo = net("ip nat pool P 198.51.100.50 198.51.100.57 prefix-length 24",
               "ip nat inside source list LAN pool P overload",
               "ipv6 nat pool P6 2001:db8:100::50 2001:db8:100::57 prefix-length 64",
               "ipv6 nat inside source list LAN6 pool P6 overload")
    for last in range(30, 42):
        topo.a.ip("addr", "add", f"10.0.1.{last}/24", "dev", "eth0")
        topo.a.ip("addr", "add", f"2001:db8:1::{last}/64", "dev", "eth0", "nodad")
    seen = set()
    with topo.isp.tcpdump("eth0", "icmp[0] == 8 or icmp6[0] == 128") as pings:
        for last in range(30, 42):
            topo.a.ping(FAR4, count=1, args=("-I", f"10.0.1.{last}"))
            topo.a.ping(FAR6, count=1, args=("-I", f"2001:db8:1::{last}"))
    kernel = [[p.split(": ")[1].split()[0] for p in pings.packets if f"ethertype {ip} " in p] for ip in ("IPv4", "IPv6")]
    for i, last in enumerate(range(30, 42)):
        for fam, src, dest in ((0, f"10.0.1.{last}", FAR4), (1, f"2001:db8:1::{last}", FAR6)):
            addr, _ = until_fast(lambda: ask(topo.a, "udp", dest, 7, source=src))
            assert addr == kernel[fam][i]
            seen.add(addr)
    assert len(seen) > 6


def test_endpoint_independent_mapping(net):
    """RFC 4787 REQ-1 under contention: three hosts want one port, each keeps its own toward all destinations."""
    topo = net("ip nat settings mapping endpoint-independent", *OVERLOAD)
    topo.isp.ip("addr", "add", "203.0.113.99/32", "dev", "lo")
    others = [Echo(topo.isp, 7, addr) for addr in ("203.0.113.99", "198.51.100.1")]
    assert topo.r1.json("show ip nat rules")["mapping"] == "endpoint-independent"
    seen = {}
    for node, src in ((topo.a, "10.0.1.10"), (topo.b, "10.0.1.20"), (topo.c, "10.0.2.10")):
        with sock(node, "udp", src, 20000) as s:
            ports = []
            for dest in (FAR4, "203.0.113.99", "198.51.100.1", FAR4):
                s.sendto(b"x", (dest, 7))
                ports.append(int(s.recv(100).decode().split()[1]))
            fast = {p for p in ports if p in FAST}
            assert len(fast) == 1
            seen[node.name] = fast.pop()
    assert len(set(seen.values())) == 3 and 20000 in seen.values()
    for e in others:
        e.close()


def test_full_range_is_the_kernels(net):
    """What finds no port of the fast plane is translated by the kernel, with one of its own."""
    topo = net("ip nat settings port-range fast 30000 30001", *OVERLOAD)
    socks, ports = [], []
    for _ in range(6):
        s = sock(topo.a, "udp", fam=socket.AF_INET)
        s.sendto(b"x", (FAR4, 7))
        ports.append(int(s.recv(100).decode().split()[1]))
        socks.append(s)
    assert len(set(ports)) == 6 and set(ports) - set(FAST)
    for s in socks:
        s.close()
    wait_for(lambda: total(topo.r1, "punted") > 0, what="packets for the kernel")


def test_killed(net):
    """Without rtr-fastpath known flows go on with their ports; the next one knows whose these are."""
    topo = net(*OVERLOAD)
    topo.far.iperf3_server()
    stream = topo.a.popen("iperf3", "-J", "-t", "3", "-c", FAR4, stdout=subprocess.PIPE)

    def port(s):
        s.sendto(b"x", (FAR4, 7))
        return int(s.recv(100).decode().split()[1])

    inside, mine = 20000, None
    while mine is None or port(mine) not in FAST:  # a busy worker left it to the kernel: another one
        if mine:
            mine.close()
        inside += 1
        mine = sock(topo.a, "udp", "10.0.1.10", inside)
    first = port(mine)
    wait_for(lambda: flows(topo.r1, source="10.0.1.10", source_port=inside, path="express"), what="the flow by XDP")
    for _ in range(2):
        os.kill(fastpath_pid(topo.r1), signal.SIGKILL)
        assert port(mine) == first
        wait_plane(topo.r1, "fast")
        assert port(mine) == first
    # The kernel's by now, or not: the port is not another host's.
    with sock(topo.b, "udp", "10.0.1.20", inside) as other:
        assert port(other) != first
    mine.close()
    result = json.loads(stream.communicate()[0])
    assert "error" not in result and result["end"]["sum_received"]["bytes"] > 1e6


def test_ports_of_the_kernels_connections(net):
    """RFC 4787 REQ-3 over a hand-over: a connection that the kernel was given keeps its port, and nobody else gets it
    toward the same place."""
    topo = net(*OVERLOAD)
    mine, inside = {}, {}

    def port(s, dest):
        s.sendto(b"x", (dest, 7))
        return int(s.recv(100).decode().split()[1])

    for dest in (FAR4, FAR6):
        src = "10.0.1.10" if dest == FAR4 else "2001:db8:1::10"

        def begin():
            inside[dest] = inside.get(dest, 20100) + 1
            mine[dest] = sock(topo.a, "udp", src, inside[dest])
            return None, port(mine[dest], dest)
        assert until_fast(begin)[1] == inside[dest]
    def kept(dest):
        return flows(topo.r1, destination=dest, source_port=inside[dest], path="kernel")
    topo.r1.config(["interface eth1", "dataplane kernel", "exit"])
    wait_for(lambda: kept(FAR4) and kept(FAR6), what="the kernel's connections")
    topo.r1.config(["interface eth1", "dataplane fast", "exit"])
    wait_plane(topo.r1, "fast")
    for node in (topo.b, topo.c):
        for dest in (FAR4, FAR6):
            node.ping(dest)
    for dest in (FAR4, FAR6):
        assert kept(dest) and port(mine[dest], dest) == inside[dest]
        with sock(topo.b, "udp", "10.0.1.20" if dest == FAR4 else "2001:db8:1::20", inside[dest]) as other:
            assert port(other, dest) != inside[dest]
        assert port(mine[dest], dest) == inside[dest]
        mine[dest].close()


EIM, EIF = ("ip nat settings mapping endpoint-independent", "ip nat settings filtering endpoint-independent")
INSIDE = {"a": ("10.0.1.10", "2001:db8:1::10"), "b": ("10.0.1.20", "2001:db8:1::20"), "c": ("10.0.2.10", "2001:db8:2::10")}


def mapped(topo, name, kind, dest, listen=False):
    """A socket of the host with an outside port in the fast plane, and that port; a TCP one listens there."""
    src = INSIDE[name][":" in dest]
    for inside in range(21000, 21010):
        s = sock(topo.nodes[name], kind, src, inside)
        if kind == "udp":
            s.sendto(b"x", (dest, 7))
            port = int(s.recv(100).decode().split()[1])
        else:
            s.connect((dest, 7))
            port = int(s.recv(100).decode().split()[1])
            s.close()
            s = sock(topo.nodes[name], kind, src, inside)
            s.listen()
        if port in FAST:
            return s, port
        s.close()
    raise AssertionError("all flows were the kernel's")


WORDS = itertools.count()


def heard(s, to, listener):
    """As whom the listener hears a datagram of s. It is sent again, for a busy router may lose one; late ones of before
    are not listened to."""
    word = f"word {next(WORDS)}".encode()
    listener.settimeout(0.5)
    for _ in range(10):
        s.sendto(word, to)
        try:
            while True:
                data, peer = listener.recvfrom(100)
                if data == word:
                    return peer[:2]
        except TimeoutError:
            continue
    raise AssertionError(f"nothing that was sent to {to} arrived")


def seen_port(s, dest):
    """The port that the Echo at dest sees the socket with."""
    s.settimeout(5)
    s.sendto(b"x", (dest, 7))
    data = b"word"
    while data.startswith(b"word"):
        data = s.recv(100)
    return int(data.decode().split()[1])


def reaches(node, kind, src, to, listener):
    """A packet from src arrives at the listener, and its answer at the sender: how the listener saw it."""
    with sock(node, kind, *src, timeout=5) as s:
        if kind == "udp":
            peer = heard(s, to, listener)
            assert heard(listener, peer, s)[:2] == to
            return peer
        s.connect(to)
        listener.settimeout(5)
        c, peer = listener.accept()
        c.send(b"answer")
        c.close()
        assert s.recv(100) == b"answer"
        return peer[:2]


def is_kept_out(topo, node, kind, src, to, listener):
    """What src sends there is dropped by the guard, and nothing of it arrives."""
    def dropped():
        return topo.r1.json("show ip nat rules")["dropped"]["fast_port"]

    with sock(node, kind, *src, timeout=0) as s:
        before = dropped()
        if kind == "udp":
            s.sendto(b"kept out", to)
        else:
            s.connect_ex(to)
        wait_for(lambda: dropped() > before, what="the drop")
        listener.settimeout(0)
        try:
            while kind == "udp" and listener.recv(100) != b"kept out":
                continue
            if kind == "tcp":
                listener.accept()
        except BlockingIOError:
            return True
        return False


def test_endpoint_independent_filtering(net):
    """RFC 4787 REQ-8, RFC 5382 REQ-3: who has an outside port is reached by anybody there, by UDP and TCP, while the
    setting holds; without it by whom he has sent to."""
    topo = net(EIM, EIF, *OVERLOAD)
    shown = topo.r1.json("show ip nat rules")
    assert (shown["mapping"], shown["filtering"], shown["kernel_plane"]) == ("endpoint-independent",) * 2 + ([],)
    stranger = {FAR4: ("198.51.100.1", 5555), FAR6: ("2001:db8:100::1", 5555)}
    for dest, public in BOTH:
        for kind in ("udp", "tcp"):
            s, port = mapped(topo, "a", kind, dest)
            assert reaches(topo.isp, kind, stranger[dest], (public, port), s) == stranger[dest]
            assert reaches(topo.far, kind, (dest, 5556), (public, port), s) == (dest, 5556)
            # A port that nobody has leads nowhere.
            nobodys = port + 3000 if port < 30000 else port - 3000
            assert is_kept_out(topo, topo.isp, kind, stranger[dest], (public, nobodys), s)
            if kind == "udp" and dest == FAR4:
                trace = topo.r1.json(f"packet-tracer input eth1 udp 198.51.100.1 5557 {public} {port}")["fast_plane"]
                assert trace["verdict"] == "forwards" and trace["reason"].startswith("it forwards by a mapping")
                assert flows(topo.r1, source="198.51.100.1", source_port=5555)
                topo.r1.config([f"no {EIF}"])
                wait_for(lambda: not flows(topo.r1, source="198.51.100.1", path="express"), what="the end of his flow")
                assert is_kept_out(topo, topo.isp, kind, stranger[dest], (public, port), s)
                assert seen_port(s, dest) == port
                topo.r1.config([EIF])
            s.close()


def test_hairpin_of_mappings(net):
    """RFC 4787 REQ-9, RFC 5382 REQ-8: inside hosts find each other by their outside ports, on one link or on two, and
    see outside ports; no filter is in their way."""
    topo = net(EIM, *OVERLOAD)
    for dest, public in BOTH:
        for kind in ("udp", "tcp"):
            end = {name: mapped(topo, name, kind, dest) for name in ("a", "b", "c")}
            for one, other in (("a", "b"), ("c", "a")):
                src = INSIDE[one][":" in dest], 22000
                peer = reaches(topo.nodes[one], kind, src, (public, end[other][1]), end[other][0])
                assert peer and peer[0] == public and peer[1] in FAST
            if kind == "udp":
                # The same outside port as toward anybody else.
                s, port = end["a"]
                for other in ("b", "c"):
                    assert heard(s, (public, end[other][1]), end[other][0]) == (public, port)
            for s, _ in end.values():
                s.close()
    # A stranger from outside is filtered.
    s, port = mapped(topo, "a", "udp", FAR4)
    assert is_kept_out(topo, topo.isp, "udp", ("198.51.100.1", 5555), (PUBLIC[0], port), s)
    s.close()
