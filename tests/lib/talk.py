# SPDX-License-Identifier: GPL-2.0-or-later
"""What: conversations of two hosts through several routers at once, for the side-by-side test of both
planes: what the client sends is the same for all routers, what the server answers goes to the address
and port under which each router showed it the client.
Owns: nothing but its own state. Failure: none; what a router swallows ends the talk at that point.
"""
import struct
from dataclasses import dataclass

from frames import (ACK, DONT, ECHO, ESP, FIN, GRE, ICMP, MAGIC, PSH, RST, SCTP, SYN, TCP, UDP, ether, fragments, icmp, ip,
                    packed, tcp, udp)
from policies import DMZ, DMZ_MTU, HOSTS, NETS, OUTSIDE, PORTS, SHARED, at

ROUTER = bytes.fromhex("02000000fe00")  # the last byte: the interface


def mac(net, host):
    return bytes((2, 0, 0, 0, net, host))


@dataclass
class View:
    """A flow as a router shows it to the server: where, the packet's ends, and the last packet."""
    dev: int
    ends: tuple
    host: bytes
    last: bytes


class Numbers:
    """What tells apart the flows of one comparison, and their packets: the next one's are the same again."""

    def __init__(self):
        self.flows = self.packets = 0
        # From now on all packets of a talk are alike, and sound: any may be the first of a new connection.
        self.plain = False
        self.owner = {}  # flow, by the number of a packet


class Flow:
    """One conversation; views: by router, once it has shown the flow to the server."""

    def __init__(self, rng, policy, numbers):
        self.rng, self.numbers, self.views, self.echoed = rng, numbers, {}, {}
        self.v = v = rng.choice((4, 4, 4, 6, 6))
        net = rng.choice((0, 0, 0, 1, 1, OUTSIDE, OUTSIDE))
        far = net == OUTSIDE and rng.random() < 0.5
        # Answers go back by the same link: without a way the kernel still counts them for their connection, and
        # by another one only it knows how large segments may be there.
        host = rng.choice((3, 7) if far else HOSTS)
        # Sources of another link only where the reverse path is asked for.
        source = rng.randrange(3) if rng.random() < 0.2 and net in policy.strict[v] else 3 if far else net
        self.dev, self.mac = net, mac(net, 2 if far else host)
        self.src = packed(at(v, source, host))
        if policy.targets[v] and rng.random() < (0.6 if net == OUTSIDE else 0.15):
            self.dst = packed(rng.choice(policy.targets[v]))
        elif rng.random() < 0.05:
            self.dst = packed(at(v, rng.randrange(3), 1))
        else:
            self.dst = packed(at(v, rng.choice([n for n in range(len(NETS[v])) if n != net]), rng.choice(HOSTS)))
        self.proto = rng.choice((TCP, TCP, TCP, TCP, UDP, UDP, UDP, UDP, ICMP[v], ICMP[v], GRE, ESP, SCTP))
        # No two of a policy are one connection: half of the ports are those that lists ask for.
        born = numbers.flows
        self.sport = (1024 + born % 170 * 379 if born % 2 else 500 + born % 170 * 379) & 0xffff
        numbers.flows += 1
        self.dport = rng.choice((*PORTS, 8000 + rng.choice(HOSTS)))
        if self.proto == ICMP[v]:
            self.dport = self.sport
        self.steps, self.tries = 0, 0
        self.mapped = policy.mapped  # errors of other senders have a way of their own
        self.shared, self.hops = self.dst[:-1] == packed(at(v, SHARED, 1))[:-1], {}
        self.cseq, self.sseq = rng.getrandbits(32), rng.getrandbits(32)
        self.state = "new"
        self.tos = rng.choice((0, 0, 0, 0xb8, 0x28))
        # The kernel judges each packet until one is answered, the fast plane the first: they are alike.
        self.ttl, self.size, self.answered = rng.choice((64, 64, 30, 255)), rng.choice((0, 10, 60, 500, 1300)), False
        self.keys, self.marks, self.said = [], set(), []
        self.broken = set()  # marks of what has a wrong checksum
        self.strange_from = set()  # (family, address, port) of who sent segments that do not belong

    def ports(self):
        """What tells it from other flows between its hosts."""
        return (self.sport,) if self.proto in (TCP, UDP, ICMP[self.v]) else ()

    # ---- packets ----

    def mark(self):
        """The number of a packet, by which what comes out is known again."""
        self.numbers.packets += 1
        number = struct.pack("!I", self.numbers.packets)
        self.marks.add(number)
        self.numbers.owner[MAGIC + number] = self
        return MAGIC + number

    def ways(self, up, routers):
        """(router, interface, MAC address, source, destination, ports) of a packet up or down."""
        for r in routers:
            if up:
                yield r, self.dev, self.mac, self.src, self.dst, self.sport, self.dport
            else:
                _, _, src, dst, sport, dport = self.views[r].ends
                yield r, self.views[r].dev, self.views[r].host, dst, src, dport, sport

    def room(self, up, routers, size):
        """A size that the sender's link takes."""
        return min(size, 1100) if any(w[1] == DMZ for w in self.ways(up, routers)) else size

    def send(self, up, routers, body, cut=0, **kw):
        """[(router, interface, frame)]; body(src, dst, sport, dport) makes the transport part."""
        out = []
        self.answered = self.answered or not up
        ttl = self.rng.choice((64, 64, 64, 30, 255)) if self.answered else self.ttl
        kw = {"ttl": self.ttl if self.numbers.plain else ttl, "tos": self.tos,
              "ident": self.rng.getrandbits(16), **kw}
        self.said.append(f"{'>' if up else '<'} {self.note}{f' cut {cut}' if cut else ''} {kw}")
        for r, dev, host, src, dst, sport, dport in self.ways(up, routers):
            part = body(src, dst, sport, dport)
            packets = (fragments(self.v, src, dst, self.proto, part, cut, **kw) if cut
                       else [ip(self.v, src, dst, self.proto, part, **kw)])
            out += [(r, dev, ether(ROUTER[:5] + bytes([dev]), host, self.v, p)) for p in packets]
        return out

    def plain(self, up, size, wrong=0):
        """A packet of a protocol without states, or its maker."""
        self.note = f"{size} bytes, number {self.numbers.packets + 1}{' wrong checksum' if wrong else ''}"
        data, v, first = self.mark() + bytes(size), self.v, self.steps == 0
        key = data[:8]
        if wrong:
            self.broken.add(key)
        if up:
            self.keys.append(key)
        if self.proto == UDP:
            return lambda s, d, sp, dp: udp(v, s, d, sp, dp, data, wrong=wrong)
        if self.proto == ICMP[v]:
            kind = ECHO[v][0 if up else 1]
            return lambda s, d, sp, dp: icmp(v, s, d, kind, 0, (dp if not up else sp) << 16 | first, data, wrong)
        head = {GRE: b"\0\0\x08\0", ESP: bytes(4) + data[4:8], SCTP: struct.pack("!HHII", 7, 7, 9, 0)}[self.proto]
        return lambda s, d, sp, dp: head + data

    def segment(self, up, flags, seq, ack, size=0, opts=b"", wrong=0):
        if up and (flags & SYN or not self.views):
            self.keys.append(seq & 0xffffffff)
        data = (self.mark() + bytes(size)) if size else b""
        if wrong:
            self.broken.add(data[:8])
        letters = "".join(c for i, c in enumerate("FSRPAU") if flags >> i & 1)
        self.note = (f"{letters} {seq & 0xffffffff} {ack & 0xffffffff} {len(data)} bytes"
                     f"{' wrong checksum' if wrong else ''}")
        return lambda s, d, sp, dp: tcp(self.v, s, d, sp, dp, flags, seq, ack, data, opts=opts, wrong=wrong)

    def error(self, up, routers):
        """An ICMP error about the last packet that came to the server (up: to the client)."""
        rng, v = self.rng, self.v
        kind, code, rest = rng.choice([(3, 3, 0), (3, 1, 0), (11, 0, 0), (3, 13, 0), (3, 4, 1200)] if v == 4
                                      else [(1, 4, 0), (1, 0, 0), (3, 0, 0), (2, 0, DMZ_MTU)])
        size, middle = rng.choice((28, 60, 500)), rng.random() < 0.3 and not self.mapped
        out = []
        self.said.append(f"{'>' if up else '<'} error {kind} {code} of {size} bytes {'by the way' if middle else ''}")
        for r, dev, host, src, dst, _, _ in self.ways(up, routers):
            last = self.echoed.get(r) if up else self.views[r].last
            if not last:
                continue
            if middle:
                src = packed(at(v, min(dev, OUTSIDE), 2))
            body = icmp(v, src, dst, kind, code, rest, last[:max(size, 48 if v == 6 else 28)])
            out.append((r, dev, ether(ROUTER[:5] + bytes([dev]), host, v, ip(v, src, dst, ICMP[v], body))))
        return out

    # ---- what is said ----

    def step(self, routers):
        """The next frames; [] when all has been said."""
        self.steps += 1
        known = all(r in self.views for r in routers)
        if not known:
            self.tries += 1
            if self.tries > 3:
                return []
        return (self.step_tcp if self.proto == TCP else self.step_plain)(routers, known)

    def oddity(self, routers):
        """Fields of the IP header that ask for something."""
        rng, v = self.rng, self.v
        return rng.choice([{"ttl": 1}, {"ttl": 2}, {"tos": 0x28}, {"frag": 0} if v == 4 else {"tos": 4},
                           {"opts": b"\x01\x01\x01\x01"} if v == 4 else {"ttl": 1}])

    def step_plain(self, routers, known):
        rng = self.rng
        up = not known or rng.random() < 0.55
        kind = rng.random()
        size = rng.choice((0, 10, 60, 500, 1300)) if self.answered else self.size
        size = self.room(up, routers, self.size if self.numbers.plain else size)
        if not self.answered and up:
            return self.send(up, routers, self.plain(up, size))
        if known and kind < 0.08:
            return self.error(up and self.echoed != {}, routers)
        if self.numbers.plain:
            return self.send(up, routers, self.plain(up, size))
        if kind < 0.12:
            return self.send(up, routers, self.plain(up, 1000), cut=rng.choice((256, 512)))
        if kind < 0.16:
            return self.send(up, routers, self.plain(up, size), **self.oddity(routers))
        if kind < 0.18 and self.proto in (UDP, ICMP[self.v]):
            return self.send(up, routers, self.plain(up, size, wrong=0x55))
        n = 3 if known and kind < 0.3 else 1
        return [f for _ in range(n) for f in self.send(up, routers, self.plain(up, size))]

    def step_tcp(self, routers, known):
        rng = self.rng
        if not known:
            flags = SYN if self.tries < 3 else rng.choice((ACK, SYN | ACK, RST, FIN | ACK, SYN, PSH | ACK))
            self.state = "new"
            opts = rng.choice((b"", b"\x02\x04\x05\xb4", b"\x02\x04\x05\xb4\x01\x03\x03\x02"))
            return self.send(True, routers, self.segment(True, flags, self.cseq, 0, opts=opts))
        if rng.random() < 0.12 and self.state == "open" and not self.numbers.plain:
            return self.strange(routers)
        return getattr(self, f"tcp_{self.state}")(routers)

    def strange(self, routers):
        """Segments that do not belong here, and others that do not look like it."""
        rng, up = self.rng, self.rng.random() < 0.5
        seq, ack = (self.cseq, self.sseq) if up else (self.sseq, self.cseq)
        self.strange_from |= {(self.v, w[3], w[5]) for w in self.ways(up, routers)}
        kind = rng.randrange(9)
        if kind == 0:
            return self.error(up and self.echoed != {}, routers)
        if kind == 1:  # far outside the window
            return self.send(up, routers, self.segment(up, ACK, seq + rng.choice((200000, -200000)), ack, 10))
        if kind == 2:  # acknowledges what was never sent
            return self.send(up, routers, self.segment(up, ACK, seq, ack + 500000, 10))
        if kind == 3:  # a reset outside the window
            return self.send(up, routers, self.segment(up, RST, seq + 300000, 0))
        if kind == 4:
            return self.send(up, routers, self.segment(up, rng.choice((0, SYN | FIN, FIN | PSH, 0x3f, SYN | RST)), seq, ack))
        if kind == 5:  # said again
            return self.send(up, routers, self.segment(up, ACK, seq - 1, ack, 1))
        if kind == 6:
            return self.send(up, routers, self.segment(up, PSH | ACK, seq, ack, 10, wrong=0x55))
        if kind == 7:
            return self.send(up, routers, self.segment(up, ACK, seq, ack), **self.oddity(routers))
        return self.send(up, routers, self.segment(up, SYN, seq + 7, 0))

    def tcp_new(self, routers):
        self.state = "answered"
        out = self.send(False, routers, self.segment(False, SYN | ACK, self.sseq, self.cseq + 1, opts=b"\x02\x04\x05\xb4"))
        self.cseq, self.sseq = self.cseq + 1, self.sseq + 1
        return out

    def tcp_answered(self, routers):
        self.state = "open"
        return self.send(True, routers, self.segment(True, ACK, self.cseq, self.sseq))

    def tcp_open(self, routers):
        rng, up = self.rng, self.rng.random() < 0.5
        kind, size = rng.random(), self.room(up, routers, rng.choice((1, 100, 700, 1300)))
        seq, ack = (self.cseq, self.sseq) if up else (self.sseq, self.cseq)
        if kind < 0.06:
            self.state, self.closer = "closing", up
            return self.fin(up, routers)
        if kind < 0.09:
            self.state = "reset"
            return self.send(up, routers, self.segment(up, RST | (ACK if rng.random() < 0.5 else 0), seq, ack))
        cut = 512 if kind < 0.12 and size > 600 else 0
        out = self.send(up, routers, self.segment(up, ACK | PSH, seq, ack, size), cut=cut)
        size += 8
        if up:
            self.cseq += size
        else:
            self.sseq += size
        return out

    def fin(self, up, routers):
        seq, ack = (self.cseq, self.sseq) if up else (self.sseq, self.cseq)
        out = self.send(up, routers, self.segment(up, FIN | ACK, seq, ack))
        if up:
            self.cseq += 1
        else:
            self.sseq += 1
        return out

    def tcp_closing(self, routers):
        """The other end's FIN, then the last acknowledgement, then another connection with the same ports."""
        self.state = "closed"
        return self.fin(not self.closer, routers)

    def tcp_closed(self, routers):
        self.state = "over"
        up = self.closer
        seq, ack = (self.cseq, self.sseq) if up else (self.sseq, self.cseq)
        return self.send(up, routers, self.segment(up, ACK, seq, ack))

    def tcp_reset(self, routers):
        """What is said after a reset, by the one or the other."""
        self.state = "over"
        up = self.rng.random() < 0.5
        seq, ack = (self.cseq, self.sseq) if up else (self.sseq, self.cseq)
        return self.send(up, routers, self.segment(up, ACK, seq, ack, 10))

    def tcp_over(self, routers):
        """Again with the same ports."""
        self.views, self.echoed, self.tries, self.state = {}, {}, 1, "new"
        self.cseq, self.sseq = self.cseq + 100000, self.rng.getrandbits(32)
        return self.send(True, routers, self.segment(True, SYN, self.cseq, 0))
