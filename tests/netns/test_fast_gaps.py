# SPDX-License-Identifier: GPL-2.0-or-later
"""Gaps: no worker for 50 ms, for 200 ms, for as long as another process needs. What arrives meanwhile - ends of connections,
errors, pieces, strays - never leaves with an inside address, is never answered with a refusal, and ends nothing else."""
import os
import random
import signal
import socket
import struct
import time

import pytest

from clients import make
from frames import ACK, FIN, PSH, RST, SYN, icmp, ip, packed, tcp, udp
from load import Watch
from nat_lab import FAST
from test_fast_mirror import POLICY
from test_fastplane import INTERNET, INTERNET6, addressed, fastpath_pid, flows, on_fast
from topo import wait_for

LONG = bool(os.environ.get("RTR_TEST_LONG"))
SECONDS = 300 if LONG else 0
LAN = {4: "10.0.1.10", 6: "2001:db8:1::10"}
FAR = {4: INTERNET, 6: INTERNET6}
PUBLIC = {4: "198.51.100.2", 6: "2001:db8:100::2"}
PORT = 4200
STRAY = 4299  # nobody listens
UNREACHABLE = {4: (3, 1), 6: (1, 3)}  # of the host: what the kernel here never says of a port


@pytest.fixture(params=["fast", "kernel"] if LONG else ["fast"])
def net(request, routers):
    topo = routers("basic")
    addressed(topo.r1)
    topo.fast = request.param == "fast"
    topo.r1.config(POLICY + ([] if topo.fast else ["interface eth0", "dataplane kernel", "interface eth1", "dataplane kernel"]))
    if topo.fast:
        on_fast(topo.r1)
    topo.r1.wait_addresses()
    for dest in FAR.values():
        wait_for(lambda: topo.lan.ping(dest, count=1, timeout=1, check=False) == 1, what="the way out")
    topo.listener = {v: make(topo.wan, FAR[v], socket.SOCK_STREAM) for v in FAR}
    for v, s in topo.listener.items():
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((FAR[v], PORT))
        s.listen(64)
        s.settimeout(10)
    topo.raw = {n: {v: make(node, FAR[v], socket.SOCK_RAW, socket.IPPROTO_RAW) for v in FAR}
                for n, node in (("lan", topo.lan), ("wan", topo.wan))}
    yield topo
    for s in [*topo.listener.values(), *(s for raw in topo.raw.values() for s in raw.values())]:
        s.close()


class Tcp:
    """A connection, both ends of it."""

    def __init__(self, topo, v):
        self.near = make(topo.lan, FAR[v], socket.SOCK_STREAM)
        self.near.settimeout(10)
        self.near.connect((FAR[v], PORT))
        self.far = topo.listener[v].accept()[0]
        self.far.settimeout(10)
        self.port = self.near.getsockname()[1]
        for _ in range(3):
            self.alive()

    def alive(self):
        for a, b in ((self.near, self.far), (self.far, self.near)):
            a.send(b"x")
            assert b.recv(10) == b"x"

    def close(self):
        self.near.close()
        self.far.close()


class Udp:
    """A flow, both ends of it."""

    def __init__(self, topo, v):
        self.far = make(topo.wan, FAR[v], socket.SOCK_DGRAM)
        self.far.bind((FAR[v], 0))
        self.near = make(topo.lan, FAR[v], socket.SOCK_DGRAM)
        self.near.connect(self.far.getsockname()[:2])
        self.port = self.near.getsockname()[1]
        self.far.settimeout(0.5)
        self.near.settimeout(0.5)
        for _ in range(3):
            self.alive()

    def alive(self):
        self.near.send(b"x")
        _, self.peer = self.far.recvfrom(5000)
        self.far.sendto(b"x", self.peer)
        self.near.recv(5000)

    def close(self):
        self.near.close()
        self.far.close()


def quiet(call, *args):
    """What an error that somebody sent meanwhile may spoil."""
    try:
        return call(*args)
    except OSError:
        return None


def send_raw(topo, node, v, packet):
    topo.raw[node][v].sendto(packet, (socket.inet_ntop(socket.AF_INET if v == 4 else socket.AF_INET6,
                                                       packet[16:20] if v == 4 else packet[24:40]), 0))


def errors(topo, v, u):
    """An ICMP error of each side about a packet of the other, as that side saw it."""
    far, near, public = (packed(a[v]) for a in (FAR, LAN, PUBLIC))
    far_port, public_port = u.far.getsockname()[1], u.peer[1]
    for node, src, dst, sport, dport in (("lan", near, far, far_port, u.port), ("wan", far, public, public_port, far_port)):
        quoted = ip(v, dst, src, 17, udp(v, dst, src, sport, dport, b"y"))
        kind, code = UNREACHABLE[v]
        send_raw(topo, node, v, ip(v, src, dst, 1 if v == 4 else 58, icmp(v, src, dst, kind, code, 0, quoted)))


def strays(topo, v, rng):
    """Segments and datagrams of connections that nobody knows, from both sides."""
    far, near, public = (packed(a[v]) for a in (FAR, LAN, PUBLIC))
    fast = rng.choice(FAST)
    for flags in (RST, FIN | ACK, ACK, PSH | ACK, SYN | ACK):
        send_raw(topo, "lan", v, ip(v, near, far, 6, tcp(v, near, far, rng.randrange(1024, 65536), PORT, flags, 1, 1)))
        send_raw(topo, "wan", v, ip(v, far, public, 6, tcp(v, far, public, PORT, fast, flags, 1, 1)))
    send_raw(topo, "wan", v, ip(v, far, public, 17, udp(v, far, public, STRAY, fast, b"y")))


class Family:
    """What happens to the connections of a family in a gap: half of it at its beginning, half at its end."""

    def __init__(self, topo, v, rng):
        self.topo, self.v, self.rng = topo, v, rng
        self.fin_near, self.fin_far, self.reset = ([Tcp(topo, v) for _ in range(2)] for _ in range(3))
        self.stays = Tcp(topo, v)
        self.udp, self.pieces = Udp(topo, v), Udp(topo, v)

    def ports(self):
        return {c.port for c in (*self.fin_near, *self.fin_far, *self.reset, self.stays, self.udp, self.pieces)}

    def settle(self):
        for c in (*self.fin_near, *self.fin_far, *self.reset, self.stays):
            c.alive()
        for u in (self.udp, self.pieces):
            quiet(u.alive)

    def happens(self, half):
        self.fin_near[half].near.shutdown(socket.SHUT_WR)
        self.fin_far[half].far.shutdown(socket.SHUT_WR)
        self.reset[half].far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.reset[half].far.close()
        for s in (self.stays.near, self.stays.far, self.udp.near):
            s.send(b"x")
        self.udp.far.sendto(b"x", self.udp.peer)
        quiet(self.pieces.near.send, bytes(3000))
        quiet(self.pieces.far.sendto, bytes(3000), self.pieces.peer)
        errors(self.topo, self.v, self.pieces)
        strays(self.topo, self.v, self.rng)

    def after(self):
        for c in self.fin_near:
            assert c.far.recv(10) == b""
        for c in self.fin_far:
            assert c.near.recv(10) == b""
        for c in self.reset:
            with pytest.raises(ConnectionResetError):
                c.near.recv(10)
        for s in (self.stays.near, self.stays.far):
            assert s.recv(2, socket.MSG_WAITALL) == b"xx"
        self.stays.alive()
        for s in (self.udp.near, self.udp.far):  # what the gap left
            s.setblocking(False)
            while quiet(s.recv, 10):
                pass
            s.settimeout(5)
        self.udp.alive()
        for c in (*self.fin_near, *self.fin_far, *self.reset, self.stays, self.udp, self.pieces):
            c.close()


def by_xdp(topo, families):
    ports = set.union(*(f.ports() for f in families))
    paths = [f["path"] for f in flows(topo.r1) if ports & {f["source_port"], f["destination_port"]}]
    # A busy worker leaves some to the kernel.
    return "worker" not in paths and len(paths) > len(ports)


def gap(topo, rng, seconds, sig):
    """Without a worker for so long; None: until there is another one."""
    families = [Family(topo, v, rng) for v in (4, 6)]
    if topo.fast:
        wait_for(lambda: [f.settle() for f in families] and by_xdp(topo, families), timeout=15, what="the connections by XDP")
    pid = fastpath_pid(topo.r1) if topo.fast else None
    if pid:
        os.kill(pid, sig)
    end = time.monotonic() + seconds
    for f in families:
        f.happens(0)
    # The last quarter: of 200 ms it is beyond what XDP believes in a heartbeat, of 50 ms it is not.
    time.sleep(max(0, end - seconds / 4 - time.monotonic()))
    for f in families:
        f.happens(1)
    time.sleep(max(0, end - time.monotonic()))
    if pid and sig == signal.SIGSTOP:
        os.kill(pid, signal.SIGCONT)
    elif pid:
        wait_for(lambda: fastpath_pid(topo.r1) not in (None, pid), timeout=10, what="another rtr-fastpath")
        on_fast(topo.r1)
    for f in families:
        f.after()


@pytest.mark.seconds(SECONDS + 60)
def test_gaps(net):
    seed = int(os.environ.get("RTR_TEST_SEED", "0"), 0) or random.SystemRandom().randrange(1 << 32)
    rng = random.Random(seed)
    print("seed", seed)
    watch = Watch(net.wan)
    kinds = [(0.05, signal.SIGSTOP), (0.2, signal.SIGSTOP), (0.2, signal.SIGKILL)]
    end, n = time.monotonic() + SECONDS, 0
    while n < len(kinds) or time.monotonic() < end:
        gap(net, rng, *kinds[n % len(kinds)])
        n += 1
    frames = watch.end()
    print(n, "gaps", frames, "frames")
    assert frames > 50 * n
