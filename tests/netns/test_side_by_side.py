# SPDX-License-Identifier: GPL-2.0-or-later
"""Both planes side by side: the same random policies, translations and packets through a router of the
kernel plane and through one with the fast plane, and the same must come out of both.

What may differ, and how it is made equal before it is compared, is the table of docs/fastplane.md.
"""
import os
import random
import re
import select
import socket
import struct
import subprocess
import time
from collections import Counter

import pytest

from clients import inside
from frames import MAGIC, RST, TCP, Seen, normal, packed, text, trimmed
from policies import DMZ_MTU, FAR, HOPS, HOSTS, NETS, OUTSIDE, PROHIBITED, SHARED, Policy, at, table_routes
from router import program
from talk import ROUTER, Flow, Numbers, View, mac
from test_fastplane import total
from topo import NodeSpec, Port, Spec, wait_for

LONG = bool(os.environ.get("RTR_TEST_LONG"))
POLICIES, PACKETS = (1000 if LONG else 100), 1000
# By default the same ones each time: random ones find what wants to be looked at, which is what the long run is for.
SEED = int(os.environ.get("RTR_TEST_SEED", "0"), 0) or random.SystemRandom().randrange(1 << 32) if LONG else 6
PLANES = ("kernel", "fast")
PATIENCE = 1.0
PROHIBITS = [packed(at(4, FAR, h)) for h in PROHIBITED]
OURS = [packed(at(4, OUTSIDE, 1))[:3], packed(at(6, OUTSIDE, 1))[:8]]
SHARES = [packed(at(v, SHARED, 1))[:-1] for v in (4, 6)]
SOL_PACKET, PACKET_IGNORE_OUTGOING, SO_RCVBUFFORCE = 263, 23, 33


def spec():
    return Spec({
        "hosts": NodeSpec("host", [Port(f"{p[0]}{i}") for p in PLANES for i in range(3)]),
        **{p: NodeSpec("router", [Port(f"eth{i}") for i in range(3)]) for p in PLANES},
    }, [("hosts", f"{p[0]}{i}", p, f"eth{i}") for p in PLANES for i in range(3)])


def base(plane):
    """What is the same in all configurations of a router."""
    lines = []
    for i in range(3):
        lines += [f"interface eth{i}", f" ip address {at(4, i, 1)}/24", f" ipv6 address {at(6, i, 1)}/64",
                  f" dataplane {plane}", "exit"]
        for h in HOSTS:
            lladdr = mac(i, h).hex()
            lladdr = f"{lladdr[:4]}.{lladdr[4:8]}.{lladdr[8:]}"
            lines += [f"arp {at(4, i, h)} {lladdr} arpa", f"ipv6 neighbor {at(6, i, h)} eth{i} {lladdr}"]
    for h, weight in HOPS.items():
        words = f" weight {weight}" if weight else ""
        lines += [f"ip route {NETS[4][SHARED]}.0 255.255.255.0 {at(4, OUTSIDE, h)}{words}",
                  f"ipv6 route {NETS[6][SHARED]}:/64 {at(6, OUTSIDE, h)}{words}"]
    return lines + ["interface eth1", f" mtu {DMZ_MTU}", "exit",
                    f"ip route {NETS[4][3]}.0 255.255.255.0 {at(4, OUTSIDE, 2)}",
                    f"ipv6 route {NETS[6][3]}:/64 {at(6, OUTSIDE, 2)}"]


class Side:
    """Both routers with the same hosts around them, and the sockets that are these hosts."""

    def __init__(self, routers):
        self.topo = topo = routers(spec())
        self.socks, self.poll = {}, select.epoll()
        for p in PLANES:
            r = topo.nodes[p]
            r.sysctl(**{"net.ipv4.icmp_ratelimit": 0, "net.ipv6.icmp.ratelimit": 0, "net.ipv4.icmp_msgs_per_sec": 1000000,
                        "net.ipv4.icmp_msgs_burst": 1000000, "net.ipv4.conf.all.send_redirects": 0})
            for i in range(3):
                r.ip("link", "set", f"eth{i}", "address", "02:00:00:00:fe:%02x" % i)
                r.sysctl(**{f"net.ipv6.conf.eth{i}.dad_transmits": 0, f"net.ipv4.conf.eth{i}.send_redirects": 0,
                            f"net.ipv4.conf.eth{i}.log_martians": 0})
        topo.hosts.sysctl(**{f"net.ipv6.conf.{p[0]}{i}.disable_ipv6": 1 for p in PLANES for i in range(3)})
        for p in PLANES:
            for i in range(3):
                topo.hosts.ip("link", "set", f"{p[0]}{i}", "arp", "off")
                with inside(topo.hosts):
                    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
                s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 25)
                s.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
                s.bind((f"{p[0]}{i}", 3))
                s.setblocking(False)
                self.socks[p, i] = s
                self.poll.register(s)
        self.by_fd = {s.fileno(): (key, s) for key, s in self.socks.items()}

    def close(self):
        self.poll.close()
        for s in self.socks.values():
            s.close()

    def policy(self, lines, clear=True):
        """The lines as one commit of each router, both at the same time; clear: then neither knows a connection."""
        text = "\n".join(["configure terminal", *lines, "end", *(["clear conntrack"] if clear else []), ""])
        ctl = [subprocess.Popen([program("rtrctl"), "-N", self.topo.nodes[p].instance], stdin=subprocess.PIPE, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for p in PLANES]
        for c in ctl:
            c.stdin.write(text)
            c.stdin.close()
        for c in ctl:
            said = c.stdout.read()
            assert not c.wait(30) and not re.search(r"^% (?!Warning)", said, re.M), f"{said}\n{text}"
        wait_for(lambda: settled(self.topo.fast) and (clear or not any(map(self.judging, PLANES))), timeout=20,
                 what="the plane of the policy")

    def judging(self, p):
        """Are there connections that the last commit may end yet?"""
        return self.topo.nodes[p].json("show ip nat statistics")["judging"]

    def take(self, timeout):
        """[(router, interface, frame)] that are there within the timeout."""
        out = []
        for fd, _ in self.poll.poll(timeout):
            (p, i), s = self.by_fd[fd]
            try:
                while True:
                    out.append((p, i, s.recv(65535)))
            except BlockingIOError:
                pass
        return out


def arp(i):
    """A question that the router's kernel answers behind all that came before."""
    return (ROUTER[:5] + bytes([i]) + mac(i, 7) + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + mac(i, 7)
            + socket.inet_aton(at(4, i, 7)) + bytes(6) + socket.inet_aton(at(4, i, 1)))


def matters(p):
    """Not what a router tells its neighbours, nor what the kernel limits by destination and time."""
    if p.v == 4 and p.proto == 1 and p.has(2):
        kind = p.data[p.l4], p.data[p.l4 + 1]
        limited = kind in ((3, 0), (3, 1), (5, 0), (5, 1)) or (kind == (3, 13) and bytes(p.data[p.l4 + 24:p.l4 + 28]) in PROHIBITS)
        return not limited or p.src[-1] != 1
    return not (p.v == 6 and p.proto == 58 and p.has(1) and (p.data[p.l4] in range(130, 138) or p.data[p.l4] == 143))


class Comparison:
    """One policy's packets: what went in, what came out of each router."""

    def __init__(self, side, rng, policy):
        self.side, self.rng, self.policy, self.numbers = side, rng, policy, Numbers()
        self.flows, self.waiting, self.all = [], {}, []
        self.out = {p: Counter() for p in PLANES}
        self.ports = {p: {} for p in PLANES}
        self.strange, self.ends = set(), set()
        self.broken, self.changed = set(), False
        self.sent, self.apart, self.marks = 0, 0, 0

    def known(self, p, i, packet, frame):
        """What a frame that came out tells its talk."""
        if packet.error():
            return
        if packet.proto == TCP and packet.has(20):
            key = struct.unpack_from("!I", packet.data, packet.l4 + 4)[0]
        else:
            found = packet.data.find(MAGIC)
            key = bytes(packet.data[found:found + 8]) if found >= 0 else None
        flow = self.waiting.get(key)
        if flow and not (packet.echo() and packet.data[packet.l4] in (0, 129)):
            ends = packet.ends() or (packet.v, packet.proto, packet.src, packet.dst, 0, 0)
            if (p not in flow.views or packet.proto == TCP or self.changed) and packet.first:
                flow.views[p] = View(i, ends, frame[:6], bytes(packet.data))
                if packet.src != flow.src and packet.ends() and ends[4] != flow.sport:
                    self.ports[p][ends] = flow.sport

    def took(self, frames):
        for p, i, frame in frames:
            if frame[12:14] == b"\x08\x06":
                self.marks += 1
                continue
            packet = Seen(trimmed(frame))
            found = frame.find(MAGIC)
            if found >= 0 and frame[found:found + 8] in self.broken:
                continue
            if frame[12:14] in (b"\x08\x00", b"\x86\xdd") and matters(packet):
                self.known(p, i, packet, frame)
                if packet.dst[:-1] in SHARES:
                    if not packet.error():
                        self.hop(p, frame, found)
                    frame = bytes(6) + frame[6:]
                self.out[p][i, normal(frame, self.ports[p])] += 1

    def hop(self, p, frame, found):
        """Each plane shares by a hash of its own: which hop it is does not count, but that a flow has one."""
        flow = self.numbers.owner.get(frame[found:found + 8]) if found >= 0 else None
        if flow and flow.shared:
            flow.hops.setdefault(p, set()).add(frame[5])

    def gap(self):
        return sum(self.out["fast"].values()) - sum(self.out["kernel"].values()) - self.apart

    def rejected(self, form):
        """Whether it is the answer of a `reject` line to a segment that does not belong to its connection. The
        kernel asks the lists of the interface first, the fast plane the connection. Before these it looks whether the
        segment may travel on, and fits, and tells who sent it."""
        p = Seen(form[12:])
        if p.error():
            p = Seen(p.data[p.l4 + 8:])
            return p.proto == TCP and bool(p.ends()) and (p.v, p.src, p.ends()[4]) in self.strange
        return (p.proto == TCP and p.has(20) and p.data[p.l4 + 13] & RST and p.data[8 if p.v == 4 else 7] == 64
                and (p.v, p.dst, p.ends()[5]) in self.strange)

    def late(self, form):
        """Whether it is what the box says to who still answers a translated connection that a commit has ended: what
        comes to a port of the fast plane's is dropped."""
        p = Seen(form[12:])
        if p.error():
            to = bytes(Seen(p.data[p.l4 + 8:]).dst)
        else:
            to = p.src if p.proto == TCP and p.has(20) and p.data[p.l4 + 13] & RST else b""
        net = 3 if len(to) == 4 else 8
        return self.changed and to[:net] in OURS and int.from_bytes(to[net:], "big") not in HOSTS

    def differ(self):
        k, f = self.out["kernel"], self.out["fast"]
        return [Counter({x: n for x, n in c.items() if not (self.rejected(x[1]) or self.late(x[1]))}) for c in (k - f, f - k)]

    def wandered(self):
        """Talks that the fast plane sent by more hops than the kernel, of those to the network that has several. Those
        that a commit moves to the other plane have that one's hop."""
        return [f for f in self.all if not self.changed and len(f.hops.get("fast", ())) > max(1, len(f.hops.get("kernel", ())))]

    def round(self):
        """One step of each talk, until both routers have said as much about it."""
        for flow in self.flows:
            frames = flow.step(PLANES)
            for key in flow.keys:
                self.waiting[key] = flow
            flow.keys.clear()
            self.broken |= flow.broken
            self.strange |= flow.strange_from
            for p, i, frame in frames:
                if i != 1 or len(frame) <= DMZ_MTU + 14:  # its link takes no more
                    self.side.socks[p, i].send(frame[:1514])
            self.sent += len(frames) // 2
        for i in range(3):
            for p in PLANES:
                self.side.socks[p, i].send(arp(i))
        self.marks, patience = 0, time.monotonic() + PATIENCE
        while self.marks < 6 or self.gap():
            self.took(self.side.take(0.05))
            if time.monotonic() > patience:
                self.apart += self.gap()
                return

    def run(self, packets):
        while self.sent < packets:
            self.flows = [f for f in self.flows if f.steps < 24 and (f.tries < 4 or f.views)]
            while len(self.flows) < 50:
                flow = Flow(self.rng, self.policy, self.numbers)
                ends = flow.v, flow.proto, *sorted((flow.src, flow.dst)), *flow.ports()
                if ends not in self.ends:
                    self.ends.add(ends)
                    self.flows.append(flow)
                    self.all.append(flow)
            self.round()
        end = time.monotonic() + PATIENCE
        while any(self.differ()) and time.monotonic() < end:
            self.took(self.side.take(0.05))


def settled(r):
    """The fast plane is on, or the policy is one that only the kernel can enforce."""
    return all(i["plane"] == "fast" or i["reason"].startswith("policy:") for i in r.json("show dataplane interfaces"))


def told(n, c, less, more):
    """A difference in words: frames, and the talks that they belong to."""
    out = [f"policy {n}: {sum(less.values())} only by the kernel, {sum(more.values())} only by the fast plane"]
    for what, frames in (("kernel", less), ("fast", more)):
        for (i, form), _ in list(frames.items())[:5]:
            out.append(f" {what} eth{i} {text(form)[:400]}")
            out += [f"  from eth{f.dev} port {f.sport}: {f.said}" for f in c.all
                    if any(MAGIC + m in form for m in f.marks)]
    return "\n".join(out + [f" by hops {f.hops}: {f.said}" for f in c.wandered()])


@pytest.mark.seconds(7200 if LONG else 300)
def test_side_by_side(routers):
    """A difference counts when it is there again: routes and interfaces settle behind a commit. But few may go away: what
    is wrong now and then looks like that too. Not counted is what came while no worker was there: one that gets no time
    leaves packets to the kernel.

    Every third policy changes its lists in the middle, and its talks go on.
    """
    side = Side(routers)
    fast = side.topo.fast
    for p in PLANES:
        r = side.topo.nodes[p]
        r.config(base(p))
        r.wait_addresses()
        for v, words in table_routes():
            r.ip(f"-{v}", "route", "add", *words)
    before, wrong, gone, sent, hops = [], [], [], 0, {p: Counter() for p in PLANES}
    for n in range(POLICIES):
        found = []
        for again in range(8):
            policy = Policy(random.Random(f"{SEED} {n}"))
            side.policy(before + policy.lines)
            before, alone = policy.undo(), total(fast, "unattended")
            c = Comparison(side, random.Random(f"{SEED} {n} talks"), policy)
            if n % 3 == 0 and not policy.mapped:
                c.run(PACKETS // 2)
                policy.change()
                c.changed = c.numbers.plain = True
                side.policy(before + policy.lines, clear=False)
                before = policy.undo()
            c.run(PACKETS)
            sent += c.sent
            less, more = c.differ()
            if not (less or more or c.wandered()):
                gone += found
                break
            if total(fast, "unattended") == alone:
                found.append(told(n, c, less, more))
            if len(found) == 3:
                wrong.append(found[-1])
                break
        for f in c.all:
            for p, macs in f.hops.items():
                hops[p].update(macs)
    assert total(fast, "express") > sent / 10 and total(fast, "forwarded") > sent / 20, "the fast plane had little of it"
    fast.audit()
    side.close()
    assert len(gone) <= POLICIES // 20, f"seed {SEED}, {len(gone)} differences went away:\n" + "\n".join(gone[:5])
    assert not wrong, f"seed {SEED}, {len(wrong)} of {POLICIES} policies:\n" + "\n".join(wrong[:5])
    for p in PLANES:
        few, many = (hops[p][h] for h in HOPS)
        assert 0.05 < few / (few + many) < 0.45, f"{p}: shared {few} to {many}, not 1 to 4"
