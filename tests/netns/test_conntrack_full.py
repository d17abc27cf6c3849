# SPDX-License-Identifier: GPL-2.0-or-later
"""A connection table without room: every entry is an open TCP connection that the kernel may not
throw out. The size is the machine's and cannot be set in a namespace, so the whole of it is filled:
by frames, which are both ends of each connection, without a socket; but for the last ones only with
RTR_TEST_LONG, else the kernel is told of most.
"""
import json
import os
import socket
import struct

import pytest

import frames
from clients import BOX_WAN, LAN, Server, inside, silent, tcp
from topo import INTERNET, router_lines, wait_for

FAR = dict(zip((4, 6), (a.split("/")[0] for a in INTERNET)))
# The ends of what fills: nobody's, so that no host answers with a reset.
FROM, TO = {4: "10.0.1.77", 6: "2001:db8:1::77"}, {4: "203.0.113.77", 6: "2001:db8:203::77"}
PORTS = range(1, 60001)
ROOM_MAX = 300000
# So many come by frames in any case.
LAST = 4000
# Of ctnetlink.
CT_NEW, CREATE, ESTABLISHED = 0x100, 0x1 | 0x400 | 0x200, 3
SEEN_REPLY_ASSURED_CONFIRMED = 0x2 | 0x4 | 0x8
POLICY = """
zone security INSIDE
zone security OUTSIDE
management
exit
class-map type inspect match-any WEB
match protocol http
policy-map type inspect P
class type inspect class-default
inspect
zone-pair security X source INSIDE destination OUTSIDE
service-policy type inspect P
interface eth0
zone-member security INSIDE
interface eth1
zone-member security OUTSIDE
""".strip().splitlines()


def sysctl(r1, name):
    return int(r1.run("cat", f"/proc/sys/net/netfilter/nf_conntrack_{name}").stdout)


def mac(node, dev):
    return bytes.fromhex(json.loads(node.run("ip", "-j", "link", "show", dev).stdout)[0]["address"].replace(":", ""))


def wire(node):
    """Frames that a host sends."""
    with inside(node):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind(("eth0", 0))
    return s


def lost():
    """Packets that no CPU had time for, of the whole machine."""
    with open("/proc/net/softnet_stat") as f:
        return sum(int(line.split()[1], 16) for line in f)


class Filler:
    """Opens connections through the router."""

    def __init__(self, topo):
        self.lan, self.wan = wire(topo.lan), wire(topo.wan)
        self.hop = {s: (mac(topo.r1, dev), mac(node, "eth0"))
                    for s, dev, node in ((self.lan, "eth0", topo.lan), (self.wan, "eth1", topo.wan))}
        self.r1, self.dport = topo.r1, 999
        for a in FROM.values():
            topo.r1.run("ip", "neigh", "replace", a, "lladdr", mac(topo.lan, "eth0").hex(":"), "nud", "permanent",
                        "dev", "eth0")

    def send(self, sock, v, reply, flags, ports, seq, ack, number_at):
        """One frame for each port of the opener. The low half of the number that goes with it, the opener's,
        balances the port, so that the checksum is the same in all."""
        src, dst = (frames.packed(a[v]) for a in ((TO, FROM) if reply else (FROM, TO)))
        one = 0 if flags == frames.SYN else 1
        low = 0xffff - ports[0] + one
        part = frames.tcp(v, src, dst, *((self.dport, ports[0]) if reply else (ports[0], self.dport)), flags,
                          seq + (0 if reply else low), ack + (low if reply else 0))
        frame = bytearray(frames.ether(*self.hop[sock], v, frames.ip(v, src, dst, frames.TCP, part)))
        l4 = 14 + (20 if v == 4 else 40)
        port_at, number_at, put = l4 + (2 if reply else 0), l4 + number_at, struct.Struct(">H").pack_into
        for p in ports:
            put(frame, port_at, p)
            put(frame, number_at, 0xffff + one - p)
            sock.send(frame)

    def open(self, v, n, told=False):
        """n more connections, answered and acknowledged; what the machine lost on the way is sent again. told: the
        kernel is told that there are such."""
        while n > 0:
            ports, before = PORTS[:n], None
            self.dport += 1
            if told and not os.environ.get("RTR_TEST_LONG"):
                tell_kernel(self.r1, v, self.dport, len(ports))
                n -= len(ports)
                continue
            while before != lost():
                before = lost()
                self.send(self.lan, v, False, frames.SYN, ports, 0x10000, 0, 6)
                self.send(self.wan, v, True, frames.SYN | frames.ACK, ports, 0x777, 0x10000, 10)
                self.send(self.lan, v, False, frames.ACK, ports, 0x10000, 0x778, 6)
            n -= len(ports)

    def close(self):
        self.lan.close()
        self.wan.close()


def attr(kind, *parts):
    body = b"".join(parts)
    return struct.pack("=HH", 4 + len(body), kind) + body + bytes(-len(body) % 4)


def nest(kind, *parts):
    return attr(kind | 0x8000, *parts)


def entry(v, sport, dport):
    """The message that makes the kernel hold an open connection of the filler."""
    def tuple_of(kind, src, dst, sport, dport):
        at = 1 if v == 4 else 3
        return nest(kind, nest(1, attr(at, src), attr(at + 1, dst)),
                    nest(2, attr(1, b"\x06"), attr(2, struct.pack(">H", sport)), attr(3, struct.pack(">H", dport))))
    src, dst = (frames.packed(a[v]) for a in (FROM, TO))
    body = (struct.pack("=BBH", socket.AF_INET if v == 4 else socket.AF_INET6, 0, 0) + tuple_of(1, src, dst, sport, dport)
            + tuple_of(2, dst, src, dport, sport) + attr(3, struct.pack(">I", SEEN_REPLY_ASSURED_CONFIRMED))
            + attr(7, struct.pack(">I", 7200)) + nest(4, nest(1, attr(1, bytes([ESTABLISHED])))))
    return struct.pack("=IHHII", 16 + len(body), CT_NEW, CREATE, 0, 0) + body


def tell_kernel(node, v, dport, n):
    """Of n connections, a few hundred in a message."""
    with inside(node):
        s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    one, put = entry(v, 0x0102, dport), struct.Struct(">H").pack_into
    places = [i for i in range(len(one)) if one[i:i + 2] == b"\x01\x02" and one[i - 4:i] in (b"\x06\0\2\0", b"\x06\0\3\0")]
    assert len(places) == 2
    many = bytearray(one * 200)
    for first in range(1, n + 1, 200):
        ports = range(first, min(first + 200, n + 1))
        for i, p in enumerate(ports):
            for at in places:
                put(many, i * len(one) + at, p)
        s.send(memoryview(many)[:len(ports) * len(one)])
    s.close()


class Talk:
    """A connection, both of whose ends are here."""

    def __init__(self, node, addr, port, listener):
        self.ends = [tcp(node, addr, port, keep=True)]
        assert isinstance(self.ends[0], socket.socket), self.ends
        listener.setblocking(True)
        self.ends.append(listener.accept()[0])
        self.say()

    def say(self, size=20000):
        for a, b in (self.ends, self.ends[::-1]):
            b.settimeout(10)
            a.sendall(b"x" * size)
            assert len(b.recv(size, socket.MSG_WAITALL)) == size

    def finish(self):
        for a, b in (self.ends, self.ends[::-1]):
            a.shutdown(socket.SHUT_WR)
            assert b.recv(1) == b""
        for s in self.ends:
            s.close()


@pytest.fixture
def net(routers):
    topo = routers("basic")
    topo.r1.config(router_lines(topo.spec, "r1") + POLICY)
    topo.r1.wait_addresses()
    if sysctl(topo.r1, "max") > ROOM_MAX:
        pytest.skip(f"the machine's table has room for {sysctl(topo.r1, 'max')} connections: too many to fill")
    topo.web, topo.ssh, topo.filler = Server(topo.wan, [80]), Server(topo.r1, [22]), Filler(topo)
    for v in (4, 6):
        assert topo.lan.ping(FAR[v], 1) == 1
    topo.r1.cli("clear conntrack")  # an echo is nobody's connection: it would give way
    yield topo
    for x in (topo.web, topo.ssh, topo.filler):
        x.close()


def dropped(r1):
    """Connections that found no room, and those that had to give way: from the kernel, as a display reads all
    connections."""
    names, *cpus = (line.split() for line in r1.run("cat", "/proc/net/stat/nf_conntrack").stdout.splitlines())
    return [sum(int(c[names.index(n)], 16) for c in cpus) for n in ("drop", "early_drop")]


def said(r1, mnemonic):
    return [line for line in r1.cli("show logging").splitlines() if f"%CONNTRACK-{mnemonic}: " in line]


def test_full_table(net):
    """The alarm comes before the table is full, and names who fills it. In a full one: open connections do not
    notice; a session of management to the box begins, works and ends; others find no room, and are counted."""
    r1, fill = net.r1, net.filler.open
    held = [Talk(net.lan, FAR[v], 80, net.web.tcp[v == 6]) for v in (4, 6)]
    room = sysctl(r1, "max")
    fill(4, room * 6 // 10, told=True)
    fill(6, room * 25 // 100, told=True)
    alarm = wait_for(lambda: said(r1, "4-HIGH"), timeout=30, what="the alarm")
    assert f"most belong to source {FROM[4]} (" in alarm[0] and not said(r1, "2-FULL"), alarm
    assert dropped(r1) == [0, 0]
    fill(4, room - LAST - sysctl(r1, "count"), told=True)
    fill(6, (room - sysctl(r1, "count")) // 2)
    fill(4, room - sysctl(r1, "count"))
    assert sysctl(r1, "count") == room
    # Nothing gives way any more: what is opened now is refused.
    fill(6, 500)
    full = wait_for(lambda: said(r1, "2-FULL"), timeout=30, what="the second alarm")
    assert f"({room} of {room})" in full[0] and f"most belong to source {FROM[4]} (" in full[0], full
    refused, evicted = dropped(r1)
    assert refused >= 500 - evicted and evicted < 10, evicted
    for v in (4, 6):
        assert silent(lambda: tcp(net.lan, FAR[v], 80)), v
        now, _ = dropped(r1)
        assert now > refused, v
        refused = now
        ssh = Talk(net.wan, BOX_WAN[v], 22, net.ssh.tcp[v == 6])
        for h in held:
            h.say()
        for _ in range(20):
            ssh.say(1000)
        ssh.finish()
    summary = r1.json("show conntrack summary")
    assert sum(c["drop"] for c in summary["cpus"]) >= refused and summary["count"] == room, summary
    for h in held:
        h.say()
        h.finish()
