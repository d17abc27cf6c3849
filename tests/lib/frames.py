# SPDX-License-Identifier: GPL-2.0-or-later
"""What: packets built from fields, and packets that came out brought into a form in which two routers
can be compared, for the side-by-side test of both planes.
Owns: nothing. Failure: what cannot be parsed stays as it is and is compared as it is.
"""
import ipaddress
import struct
from functools import lru_cache

TCP, UDP, GRE, ESP, SCTP = 6, 17, 47, 50, 132
ICMP = {4: 1, 6: 58}
ECHO = {4: (8, 0), 6: (128, 129)}
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
MAGIC = b"\xa5\x5arT"  # before the number of a packet
MORE, DONT = 0x2000, 0x4000


@lru_cache(None)
def packed(text):
    return ipaddress.ip_address(text).packed


def total(data, start=0):
    """Sum of 16-bit words as in RFC 1071, not complemented."""
    if len(data) % 2:
        data += b"\0"
    s = start + sum(struct.unpack(f"!{len(data) // 2}H", data))
    while s > 0xffff:
        s = (s & 0xffff) + (s >> 16)
    return s


def pseudo(v, src, dst, proto, size):
    return src + dst + (struct.pack("!HH", proto, size) if v == 4 else struct.pack("!II", size, proto))


def sealed(v, src, dst, proto, body, at, wrong=0):
    """A transport part with its checksum at the offset, or a wrong one."""
    c = 0xffff - total((b"" if (v, proto) == (4, 1) else pseudo(v, src, dst, proto, len(body))) + body)
    c ^= wrong
    return body[:at] + struct.pack("!H", c or 0xffff if proto == UDP else c) + body[at + 2:]


def tcp(v, src, dst, sport, dport, flags, seq, ack, data=b"", win=8192, opts=b"", wrong=0):
    head = struct.pack("!HHIIBBHHH", sport, dport, seq & 0xffffffff, ack & 0xffffffff, (5 + len(opts) // 4) << 4,
                       flags, win, 0, 0) + opts
    return sealed(v, src, dst, TCP, head + data, 16, wrong)


def udp(v, src, dst, sport, dport, data, bare=False, wrong=0):
    head = struct.pack("!HHHH", sport, dport, 8 + len(data), 0)
    return head + data if bare else sealed(v, src, dst, UDP, head + data, 6, wrong)


def icmp(v, src, dst, kind, code, rest, data, wrong=0):
    return sealed(v, src, dst, ICMP[v], struct.pack("!BBHI", kind, code, 0, rest) + data, 2, wrong)


def ip(v, src, dst, proto, body, ttl=64, tos=0, ident=0, frag=DONT, opts=b""):
    """A packet; for IPv6, frag and ident make a fragment header when frag says so much."""
    if v == 6:
        if frag & 0x3fff:
            frag = (frag & 0x1fff) << 3 | bool(frag & MORE)
            body, proto = struct.pack("!BBHI", proto, 0, frag, ident) + body, 44
        return struct.pack("!IHBB", 6 << 28 | tos << 20, len(body), proto, ttl) + src + dst + body
    head = struct.pack("!BBHHHBBH", 0x45 + len(opts) // 4, tos, 20 + len(opts) + len(body), ident & 0xffff, frag, ttl,
                       proto, 0) + src + dst + opts
    return head[:10] + struct.pack("!H", 0xffff - total(head)) + head[12:] + body


def fragments(v, src, dst, proto, body, size, **kw):
    """The packets of a datagram that is cut into parts of size bytes, a multiple of 8."""
    parts = range(0, len(body), size)
    return [ip(v, src, dst, proto, body[at:at + size], frag=at // 8 | (MORE if at + size < len(body) else 0), **kw)
            for at in parts]


def ether(dst, src, v, packet):
    frame = dst + src + (b"\x08\x00" if v == 4 else b"\x86\xdd") + packet
    return frame + bytes(60 - len(frame)) if len(frame) < 60 else frame


class Seen:
    """One packet that came out, taken apart as far as it goes; offsets into data."""

    def __init__(self, data):
        self.data = d = bytearray(data)
        self.v, self.proto, self.l4, self.first, self.fragment = d[0] >> 4, None, len(d), True, 0
        if self.v == 4 and len(d) >= 20:
            self.l4, self.proto = (d[0] & 15) * 4, d[9]
            self.src, self.dst = bytes(d[12:16]), bytes(d[16:20])
            self.first = not (d[6] & 0x1f or d[7])
        elif self.v == 6 and len(d) >= 40:
            self.l4, self.proto = 40, d[6]
            self.src, self.dst = bytes(d[8:24]), bytes(d[24:40])
            while self.proto in (0, 43, 44, 60) and self.l4 + 8 <= len(d):
                if self.proto == 44:
                    self.fragment = self.l4
                    self.first = self.first and not (d[self.l4 + 2] or d[self.l4 + 3] & 0xf8)
                size = 8 if self.proto == 44 else 8 * (d[self.l4 + 1] + 1)
                self.proto, self.l4 = d[self.l4], self.l4 + size

    def get(self, at):
        return self.data[at] << 8 | self.data[at + 1]

    def has(self, n):
        return self.first and self.l4 + n <= len(self.data)

    def echo(self):
        """Whether it is an echo, the identifier of which counts as a port."""
        return self.proto == ICMP.get(self.v) and self.has(8) and self.data[self.l4] in (8, 0, 128, 129)

    def error(self):
        """Whether it is an ICMP error that quotes a packet."""
        return (self.proto == ICMP.get(self.v) and self.has(8)
                and self.data[self.l4] in ((3, 4, 5, 11, 12) if self.v == 4 else (1, 2, 3, 4)))

    def sides(self):
        """Offsets of the ports of both ends, if it has such."""
        if self.echo():
            return [self.l4 + 4, self.l4 + 4]
        if self.proto in (TCP, UDP) and self.has(4):
            return [self.l4, self.l4 + 2]
        return []

    def ends(self):
        """What names its flow at this place: family, protocol, addresses and ports; None without ports."""
        return (self.v, self.proto, self.src, self.dst, *map(self.get, self.sides())) if self.sides() else None

    def left_open(self, at):
        """Whether the checksum is the pseudo header's alone: the sender's kernel left the rest to its NIC."""
        return self.get(at) == total(pseudo(self.v, self.src, self.dst, self.proto, len(self.data) - self.l4))

    def put_port(self, at, port):
        """Another port, with the checksum that goes with it (RFC 1624), if the packet has that much."""
        old, d = self.get(at), self.data
        struct.pack_into("!H", d, at, port)
        c = self.l4 + {TCP: 16, UDP: 6}.get(self.proto, 2)
        if c + 2 <= len(d) and (self.proto != UDP or self.get(c)) and not self.left_open(c):
            new = total(struct.pack("!HHH", 0xffff - self.get(c), 0xffff - old, port))
            struct.pack_into("!H", d, c, 0xffff - new)
            if self.proto == UDP and not self.get(c):
                struct.pack_into("!H", d, c, 0xffff)

    def ports_known(self, ports):
        """Ports that a plane chose become those of the hosts, in what is quoted as well; numbers of IPv6 fragments go.

        ports: by ends(), as the far side sees the flow: the host's own port.
        """
        if ends := self.ends():
            v, proto, src, dst, sport, dport = ends
            if (port := ports.get(ends)) is not None:
                self.put_port(self.sides()[0], port)
            elif (port := ports.get((v, proto, dst, src, dport, sport))) is not None:
                self.put_port(self.sides()[1], port)
        if self.fragment:
            self.data[self.fragment + 4:self.fragment + 8] = bytes(4)
        if self.error():
            inner = Seen(self.data[self.l4 + 8:])
            inner.ports_known(ports)
            self.data[self.l4 + 8:] = inner.data


def trimmed(frame):
    """The packet of a frame without what fills it up to 60 bytes."""
    d = frame[14:]
    size = d[2] << 8 | d[3] if d[0] >> 4 == 4 else 40 + (d[4] << 8 | d[5])
    return d[:size] if 20 <= size <= len(d) else d


def normal(frame, ports):
    """A frame as it is compared: addresses of the link, then the packet with the hosts' own ports.

    The checksum of an ICMP error is replaced by whether it was right: it covers the quoted ports. What the
    router made itself has the hop limit 64, which nothing else has behind it: its number and flow label
    are what the kernel likes. The kernel cuts IPv6 packets anew, with another number.
    """
    p = Seen(trimmed(frame))
    d = p.data
    if p.error():
        whole = bytes(d[p.l4:])
        right = total((b"" if p.v == 4 else pseudo(6, p.src, p.dst, 58, len(whole))) + whole) == 0xffff
        struct.pack_into("!H", d, p.l4 + 2, right)
    if p.v == 6 and d[7] == 64:
        d[1:4] = bytes((d[1] & 0xf0, 0, 0))
    if p.v == 4 and d[8] == 64:
        right = total(bytes(d[:(d[0] & 15) * 4])) == 0xffff
        struct.pack_into("!H", d, 4, 0)
        struct.pack_into("!H", d, 10, right)
    p.ports_known(ports)
    return frame[:12] + bytes(p.data)


def text(form):
    """A compared frame in words, for a person."""
    p = Seen(form[12:])
    words = [f"to {form[:6].hex()}", f"v{p.v}"]
    if p.proto is not None:
        words.append(f"{ipaddress.ip_address(p.src)} > {ipaddress.ip_address(p.dst)} proto {p.proto}")
    words += [str(p.get(at)) for at in p.sides()]
    return " ".join(words) + f" {form.hex()}"
