# SPDX-License-Identifier: GPL-2.0-or-later
"""Both planes do the same: random packets, sound and broken, through the kernel plane and through the fast plane.

Compared is what comes out at the other side and what comes back, packet by packet.
"""
import json
import os
import random
import socket
import struct

from test_fastplane import addressed, on_fast, planes, total
from topo import wait_for

SENDER = r"""
import socket, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((sys.argv[1], 0))
for line in open(sys.argv[2]):
    s.send(bytes.fromhex(line))
    time.sleep(0.0005)
"""
# Takes IP packets until it is told to stop; prints them without what the kernel picks at will.
TAKER = r"""
import select, signal, socket, sys
end, wake = socket.socketpair()
signal.signal(signal.SIGTERM, lambda *a: wake.send(b"x"))
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)  # SO_RCVBUFFORCE
s.bind((sys.argv[1], 0))
s.setblocking(False)
print("ready", flush=True)
while True:
    r = select.select([s, end], [], [])[0]
    if s not in r:
        break
    d, a = s.recvfrom(65535)
    if a[2] != socket.PACKET_OUTGOING and d[12:14] in (b"\x08\x00", b"\x86\xdd"):
        print(d[14:].hex())
"""


def csum(data):
    data += b"\0" * (len(data) % 2)
    s = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while s > 0xffff:
        s = (s & 0xffff) + (s >> 16)
    return 0xffff - s


def a4(text):
    return socket.inet_aton(text)


def a6(text):
    return socket.inet_pton(socket.AF_INET6, text)


SRC4 = ["10.0.1.10"] * 6 + ["10.0.1.77", "192.0.2.5", "127.0.0.1", "0.0.0.1", "224.0.0.1", "10.0.1.1", "203.0.113.10"]
DST4 = ["203.0.113.10"] * 6 + ["198.51.100.1", "198.51.100.2", "10.0.1.1", "198.51.100.9", "192.0.2.9", "192.168.7.7",
                               "127.0.0.1", "224.0.0.9", "255.255.255.255", "198.51.100.255", "10.0.1.10", "172.16.1.1",
                               "172.17.1.1"]
SRC6 = ["2001:db8:1::10"] * 6 + ["2001:db8:1::77", "2001:db8:55::1", "::1", "fe80::10", "ff02::1", "2001:db8:1::1"]
DST6 = ["2001:db8:203::10"] * 6 + ["2001:db8:100::1", "2001:db8:100::2", "2001:db8:1::1", "2001:db8:9::9", "::1",
                                   "ff02::5", "fe80::1", "2001:db8:1::10", "2001:db8:77::1"]


def transport(rng, pseudo, proto):
    """A transport part with its right checksum, mostly."""
    pay = rng.randbytes(rng.choice([0, 1, 18, 100, 700]))
    sport, dport = rng.randrange(1024, 1040), rng.randrange(9000, 9004)
    if proto == 6:
        head = struct.pack("!HHIIBBHHH", sport, dport, rng.getrandbits(32), rng.getrandbits(32), 0x50,
                           rng.choice([2, 16, 17, 4, 0, 0x3f]), 1000, 0, 0)
        at = 16
    elif proto == 17:
        head, at = struct.pack("!HHHH", sport, dport, 8 + len(pay), 0), 6
    elif proto in (1, 58):
        kind = rng.choice([8, 13, 3] if proto == 1 else [128, 1, 3])
        head, at = struct.pack("!BBHI", kind, 0, 0, 77), 2
    else:
        return rng.randbytes(40)
    body = head + pay
    c = csum((b"" if proto == 1 else pseudo(len(body))) + body)
    if rng.random() < 0.05:
        c ^= 0x55
    body = body[:at] + struct.pack("!H", c or 0xffff) + body[at + 2:]
    if rng.random() < 0.03:
        body = body[:rng.randrange(len(body))]
    return body


def packet4(rng):
    src, dst = a4(rng.choice(SRC4)), a4(rng.choice(DST4))
    proto = rng.choice([6, 17, 17, 1, 47, 50, 132, 200])
    ttl = rng.choice([64, 64, 64, 2, 1, 0, 255])
    opts = rng.choice([b""] * 12 + [b"\x01\x01\x01\x01", b"\x07\x07\x04\0\0\0\0\0", b"\x83\x07\x04" + a4("198.51.100.1") + b"\0"])
    frag = rng.choice([0x4000] * 6 + [0, 0, 0x2000, 0x2064, 0x0064])
    body = transport(rng, lambda n: src + dst + struct.pack("!HH", proto, n), proto)
    ihl = 5 + len(opts) // 4
    total_len = 20 + len(opts) + len(body) + rng.choice([0] * 20 + [1, -9, 100])
    head = struct.pack("!BBHHHBBH", 0x40 + ihl, rng.choice([0, 0x28]), max(total_len, 0), rng.getrandbits(16), frag, ttl,
                       proto, 0) + src + dst + opts
    c = csum(head) ^ (0x1111 if rng.random() < 0.03 else 0)
    head = head[:10] + struct.pack("!H", c) + head[12:]
    if rng.random() < 0.02:
        head = bytes([rng.choice([0x55, 0x44, 0x4f])]) + head[1:]
    return b"\x08\x00" + head + body


def packet6(rng):
    src, dst = a6(rng.choice(SRC6)), a6(rng.choice(DST6))
    proto = rng.choice([6, 17, 17, 58, 47, 50, 59])
    body = transport(rng, lambda n: src + dst + struct.pack("!II", n, proto), proto)
    nxt = proto
    kind = rng.random()
    if kind < 0.06:
        body, nxt = struct.pack("!BBHI", proto, 0, rng.choice([0, 1, 0x140]), 99) + body, 44
    elif kind < 0.12:
        body, nxt = bytes([proto, 0, 1, 4, 0, 0, 0, 0]) + body, 60
    elif kind < 0.15:
        body, nxt = bytes([proto, 0, 1, 4, 0, 0, 0, 0]) + body, 0
    length = len(body) + rng.choice([0] * 20 + [5, -3])
    head = struct.pack("!IHBB", 0x60000000 | rng.choice([0, 0x2800000]), max(length, 0), nxt,
                       rng.choice([64, 64, 64, 2, 1, 0, 255])) + src + dst
    return b"\x86\xdd" + head + body


def known(hexed):
    """A packet as it is compared; None: its time or number is the kernel's mood.

    Unreachables and redirects are limited by destination, unreachables also wait for neighbours that do
    not answer; the box's own time stamps tell the time.
    """
    d = bytearray.fromhex(hexed) + bytes(60)
    if d[0] >> 4 == 4:
        at = (d[0] & 15) * 4
        if d[9] == 1:
            d[4:6] = d[10:12] = b"\0\0"
            if d[at] in (5, 14) or d[at] == 3 and d[at + 1] != 4:
                return None
        # Frames are padded to 60 bytes.
        d = d[:max(struct.unpack_from("!H", d, 2)[0], 20)]
    else:
        # Neighbour discovery and reports come when they want.
        if d[6] == 58 and d[40] in (1, *range(130, 138)) or d[6] == 0 and d[40] == 58:
            return None
        d = d[:40 + struct.unpack_from("!H", d, 4)[0]]
    return d.hex()


class Taker:
    def __init__(self, node, dev="eth0"):
        self.proc = node.popen("/usr/bin/python3", "-c", TAKER, dev, stdout=-1)
        assert self.proc.stdout.readline().strip() == "ready"

    def packets(self):
        self.proc.terminate()
        out = self.proc.communicate(timeout=30)[0]
        return sorted(p for p in map(known, out.split()) if p)


def through(topo, frames, path):
    """What came out at wan and what came back to lan."""
    takers = [Taker(topo.wan), Taker(topo.lan)]
    lan = topo.lan
    before = int(lan.run("cat", "/sys/class/net/eth0/statistics/tx_packets").stdout)
    path.write_text("".join(f.hex() + "\n" for f in frames))
    lan.run("/usr/bin/python3", "-c", SENDER, "eth0", path)
    assert int(lan.run("cat", "/sys/class/net/eth0/statistics/tx_packets").stdout) - before >= len(frames)
    # Everything before these has arrived when they have.
    lan.ping("203.0.113.10", count=2)
    lan.ping("2001:db8:203::10", count=2)
    return [[q for q in t.packets() if not is_ping(q)] for t in takers]


def is_ping(hexed):
    """The marker's own: an echo of 56 bytes."""
    d = bytes.fromhex(hexed)
    return d[0] >> 4 == 4 and d[9] == 1 and len(d) == 84 or d[0] >> 4 == 6 and d[6] == 58 and len(d) == 104


def settle(topo):
    """Neighbours that are known on both planes, no limits on what the kernel answers, lists of its own quiet."""
    r1, lan, wan = topo.r1, topo.lan, topo.wan
    r1.run("sh", "-c", "cd /proc/sys/net; echo 0 > ipv4/icmp_ratelimit; echo 0 > ipv6/icmp/ratelimit; "
           "echo 1000000 > ipv4/icmp_msgs_per_sec; echo 1000000 > ipv4/icmp_msgs_burst; echo 1 > ipv4/conf/eth0/rp_filter;"
           " for i in eth0 eth1; do echo 0 > ipv4/conf/$i/log_martians; done")
    for node in (lan, wan):
        node.run("sh", "-c", "nft add table inet quiet; nft 'add chain inet quiet in { type filter hook input priority 0; }'; "
                 "nft add rule inet quiet in icmp type != '{ echo-request, echo-reply }' drop; "
                 "nft add rule inet quiet in meta l4proto '{ tcp, udp, 47, 50, 132, 200 }' drop; "
                 "nft add rule inet quiet in icmpv6 type '{ 1, 2, 3, 4 }' drop; "
                 "nft 'add chain inet quiet out { type filter hook output priority 0; }'; "
                 "nft add rule inet quiet out icmp type '{ destination-unreachable, time-exceeded, timestamp-reply, "
                 "parameter-problem }' drop; nft add rule inet quiet out icmpv6 type '{ 1, 3, 4 }' drop")
    r1.run("ip", "neigh", "replace", "198.51.100.1", "lladdr", mac(wan, "eth0"), "dev", "eth1", "nud", "permanent")
    r1.run("ip", "neigh", "replace", "2001:db8:100::1", "lladdr", mac(wan, "eth0"), "dev", "eth1", "nud", "permanent")
    r1.run("ip", "neigh", "replace", "10.0.1.10", "lladdr", mac(lan, "eth0"), "dev", "eth0", "nud", "permanent")
    r1.run("ip", "neigh", "replace", "2001:db8:1::10", "lladdr", mac(lan, "eth0"), "dev", "eth0", "nud", "permanent")


def mac(node, dev):
    return node.ip_json("link", "show", "dev", dev)[0]["address"]


def test_same(routers, tmp_path):
    topo = routers("basic")
    r1, lan = topo.r1, topo.lan
    addressed(r1)
    r1.config(["no ip route 0.0.0.0/0 198.51.100.1", "no ipv6 route ::/0 2001:db8:100::1",
               "ip route 203.0.113.0/24 198.51.100.1", "ipv6 route 2001:db8:203::/64 2001:db8:100::1",
               "ip route 192.0.2.0/24 Null0", "ipv6 route 2001:db8:9::/64 Null0"])
    # No line for these: the kernel answers in words.
    r1.run("ip", "route", "add", "unreachable", "172.16.0.0/16")
    r1.run("ip", "route", "add", "prohibit", "172.17.0.0/16")
    on_fast(r1)
    r1.wait_addresses()
    settle(topo)
    seed = int(os.environ.get("RTR_TEST_SEED", "0"), 0) or random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    to = bytes.fromhex(mac_of(r1, "eth0")) + bytes.fromhex(mac_of(lan, "eth0"))
    frames = [(to + (packet6 if rng.random() < 0.4 else packet4)(rng))[:1514] for _ in range(1000)]
    frames = [f + bytes(60 - len(f)) if len(f) < 60 else f for f in frames]
    before = total(r1, "rx")
    fast = through(topo, frames, tmp_path / "frames")
    assert planes(r1) == {"eth0": "fast", "eth1": "fast"}
    assert total(r1, "rx") > before + 100, "the worker had next to nothing of it"
    r1.audit()
    again = through(topo, frames, tmp_path / "frames")  # what the first made flows of
    r1.config(["interface eth0", "no dataplane", "interface eth1", "no dataplane"])
    wait_for(lambda: set(planes(r1).values()) == {"kernel"}, what="the kernel plane")
    kernel = through(topo, frames, tmp_path / "frames")
    assert kernel[0] and kernel[1]
    for name, seen in (("at once", fast), ("of flows", again)):
        for side, got, want in zip(("out", "back"), seen, kernel):
            assert not (extra := diff(got, want)), f"seed {seed}: {name}, {side}: only by the fast plane: {json.dumps(extra)}"
            assert not (less := diff(want, got)), f"seed {seed}: {name}, {side}: only by the kernel: {json.dumps(less)}"


def diff(a, b):
    b, only = list(b), []
    for p in a:
        if p in b:
            b.remove(p)
        else:
            only.append(p)
    return only[:5]


def mac_of(node, dev):
    return mac(node, dev).replace(":", "")
