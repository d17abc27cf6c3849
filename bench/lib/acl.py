# SPDX-License-Identifier: GPL-2.0-or-later
"""What: what the two access list benches share: ClassBench rules as lines of an access list and as
a linear nft ruleset, frames that meet them, a router between a generator and a sink.

Both routers are the same namespaces, addresses and routes; ours is rtrd, the peer's the kernel with
`nft -f` of a file. Failure: an exception with the failed command's words; Lab.close() removes all.
"""
import gzip
import json
import os
import random
import socket
import struct
import subprocess
import time

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = f"{TOP}/build"
FLOOD = f"{BUILD}/bench/flood/flood"
FRAME = 74  # bench/flood/flood.h
PROTOS = {1: "icmp", 6: "tcp", 17: "udp"}


def sh(*argv, **kw):
    p = subprocess.run(argv, capture_output=True, text=True, **kw)
    if p.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {p.stdout}{p.stderr}")
    return p.stdout


class Rule:
    """A line of ClassBench: @src/len dst/len lo : hi lo : hi proto/mask flags/mask."""

    def __init__(self, line):
        t = line.split()
        self.src, self.dst = t[0][1:], t[1]
        self.sport, self.dport = (int(t[2]), int(t[4])), (int(t[5]), int(t[7]))
        proto, mask = t[8].split("/")
        self.proto = int(proto, 16) if int(mask, 16) else None
        if self.proto not in (6, 17):
            self.sport = self.dport = (0, 65535)

    @staticmethod
    def _ios_addr(prefix):
        addr, length = prefix.split("/")
        return {"0": "any", "32": f"host {addr}"}.get(length, prefix)

    @staticmethod
    def _ios_ports(r):
        if r == (0, 65535):
            return ""
        return f" eq {r[0]}" if r[0] == r[1] else f" range {r[0]} {r[1]}"

    def ios(self):
        proto = "ip" if self.proto is None else PROTOS.get(self.proto, str(self.proto))
        return (f"permit {proto} {self._ios_addr(self.src)}{self._ios_ports(self.sport)} "
                f"{self._ios_addr(self.dst)}{self._ios_ports(self.dport)}")

    def nft(self):
        words = [f"ip {k} {v}" for k, v in (("saddr", self.src), ("daddr", self.dst))
                 if not v.endswith("/0")]
        if self.proto is not None and self.proto not in (6, 17):
            words.append(f"meta l4proto {self.proto}")
        elif self.proto is not None:
            name = PROTOS[self.proto]
            ports = [f"{name} {k} {r[0]}-{r[1]}" for k, r in (("sport", self.sport), ("dport", self.dport))
                     if r != (0, 65535)]
            words += ports or [f"meta l4proto {name}"]
        return " ".join(words + ["counter accept"])


def read_rules(folder, name, n):
    """At most n lines of a set, in its order, evenly spread: the sets begin with the narrowest lines,
    and the first ten of ipc1 are ten flows."""
    path = f"{folder}/{name}_10k.gz"
    with gzip.open(path, "rt") as f:
        rules = [Rule(line) for line in f if line.startswith("@")]
    n = min(n, len(rules))
    return [rules[i * len(rules) // n] for i in range(n)]


def nft_file(rules, ifname):
    """Stateful, as ours: what is established first, then line by line."""
    lines = "\n".join("\t\t" + r.nft() for r in rules)
    return (f"table inet peer {{\n\tchain lines {{\n{lines}\n\t}}\n"
            f"\tchain ingress {{\n\t\ttype filter hook prerouting priority mangle; policy accept;\n"
            f"\t\tct state established,related accept\n"
            f'\t\tiifname "{ifname}" jump lines\n\t\tiifname "{ifname}" drop\n\t}}\n}}\n')


def _point(prefix, rnd):
    addr, length = prefix.split("/")
    base = struct.unpack(">I", socket.inet_aton(addr))[0]
    host = (1 << (32 - int(length))) - 1
    for _ in range(100):
        v = base & ~host | rnd.getrandbits(32) & host
        if 1 <= v >> 24 < 224 and v >> 24 != 127:
            return v
    return None


def _checksum(data):
    s = sum(struct.unpack(f">{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def flows(rules, n, seed):
    """n flows that differ, random points in random rules of TCP and UDP."""
    rnd, seen = random.Random(seed), {}
    usable = [r for r in rules if r.proto in (None, 6, 17)]
    while len(seen) < n:
        r = rnd.choice(usable)
        src, dst = _point(r.src, rnd), _point(r.dst, rnd)
        if src is not None and dst is not None:
            seen[src, dst, rnd.randint(*r.sport), rnd.randint(*r.dport), r.proto or 17] = True
    return list(seen)


SYN, SYNACK, ACK = 2, 18, 16


def frames(of, mac, path, flags=SYN):
    """A frame of each flow: of a TCP flow the segment of the handshake; SYNACK goes back."""
    mac = bytes.fromhex(mac.replace(":", ""))
    with open(path, "wb") as f:
        for src, dst, sport, dport, proto in of:
            if flags == SYNACK:
                src, dst, sport, dport = dst, src, dport, sport
            head = struct.pack(">BBHHHBBHII", 0x45, 0, 60, 0, 0, 64, proto, 0, src, dst)
            head = head[:10] + struct.pack(">H", _checksum(head)) + head[12:]
            l4 = struct.pack(">HHHH", sport, dport, 40, 0)
            if proto == 6:
                # What is no handshake carries 20 bytes, the same ones always.
                seq, ack = {SYN: (1, 0), SYNACK: (1, 2), ACK: (2, 2)}[flags]
                size = 0x50 if flags == ACK else 0xa0  # options: all "end of list"
                l4 = struct.pack(">HHIIBBHHH", sport, dport, seq, ack, size, flags, 8192, 0, 0)
                # A checksum that is wrong makes a packet invalid to connection tracking.
                total = _checksum(struct.pack(">IIBBH", src, dst, 0, proto, 40) + l4 + bytes(20))
                l4 = l4[:16] + struct.pack(">H", total) + l4[18:]
            f.write((mac + b"\2\0\0\0\0\1\x08\0" + head + l4 + bytes(40))[:FRAME])


FORGET = """
import socket, struct
s = socket.socket(16, socket.SOCK_RAW, 12)
s.send(struct.pack("=IHHII", 20, 1 << 8 | 2, 5, 1, 0) + bytes(4))
s.recv(4096)
"""


class Lab:
    """gen (g0) -- (r0) router (r1) -- (s0) sink, in three namespaces of its own."""

    def __init__(self, tag):
        self.ns = {k: f"bench{os.getpid()}{tag}{k}" for k in "grs"}
        self.sink = None
        for ns in self.ns.values():
            sh("ip", "netns", "add", ns)
        g, r, s = self.ns["g"], self.ns["r"], self.ns["s"]
        sh("ip", "link", "add", "g0", "netns", g, "type", "veth", "peer", "name", "r0", "netns", r)
        sh("ip", "link", "add", "r1", "netns", r, "type", "veth", "peer", "name", "s0", "netns", s)
        for ns, dev in ((g, "g0"), (r, "r0"), (r, "r1"), (s, "s0")):
            sh("ip", "-n", ns, "link", "set", dev, "up")
        for ns, dev in ((g, "g0"), (r, "r0"), (r, "r1")):
            sh("ip", "netns", "exec", ns, "ethtool", "-K", dev, "gro", "on")
        self.mac = {dev: json.loads(sh("ip", "-n", ns, "-j", "link", "show", dev))[0]["address"]
                    for ns, dev in ((r, "r0"), (r, "r1"), (s, "s0"))}
        self.sink = subprocess.Popen(self.inside("s", FLOOD, "sink", "s0"), stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)
        self.sink.stdout.readline()

    def inside(self, node, *argv):
        return ["ip", "netns", "exec", self.ns[node], *argv]

    def enter(self, node, *argv):
        """As inside(), without the mounts of `ip netns exec`, which take some milliseconds."""
        return ["nsenter", f"--net=/run/netns/{self.ns[node]}", *argv]

    def seen(self):
        self.sink.stdin.write("\n")
        self.sink.stdin.flush()
        return json.loads(self.sink.stdout.readline())["seen"]

    def forget(self):
        """Ends all tracked connections."""
        sh(*self.inside("r", "python3", "-c", FORGET))

    def generate(self, node, how, path, seconds, *count):
        """In real time and on one core: else the router's part of the work may go to a thread of the
        kernel or to another core, which nobody counts, and frames are lost to its queue."""
        core = str(os.cpu_count() - 1)
        return json.loads(sh(*self.inside(node, "taskset", "-c", core, "chrt", "-f", "1", FLOOD, how, node + "0",
                                          path, str(seconds), *map(str, count))))

    def flood(self, path, seconds, *count):
        """Nanoseconds a frame in the router: what the generator alone costs is taken off. All must
        arrive."""
        before = self.seen()
        alone = self.generate("g", "drop", path, seconds, *count)
        run = self.generate("g", "gen", path, seconds, *count)
        got = self.seen() - before
        if got < run["sent"]:
            raise RuntimeError(f"only {got} of {run['sent']} frames came through")
        return 1e9 * (run["cpu_seconds"] / run["sent"] - alone["cpu_seconds"] / alone["sent"])

    def back(self, path, count):
        """Sends each frame of a file once from the sink to the router, which sends it back: all routes
        end there. What it sees is the answer."""
        self.generate("s", "gen", path, 30, count)

    def close(self):
        if self.sink:
            self.sink.stdin.close()
            self.sink.wait()
        for ns in self.ns.values():
            subprocess.run(["ip", "netns", "del", ns], check=False)


class Ours(Lab):
    def __init__(self, folder):
        super().__init__("o")
        self.name = f"bench{os.getpid()}"
        self.config = f"{folder}/etc/rtrd.conf"
        os.makedirs(os.path.dirname(self.config))
        os.chmod(folder, 0o755)
        os.chmod(os.path.dirname(self.config), 0o777)
        self.proc = subprocess.Popen(self.inside("r", f"{BUILD}/rtrd", "-N", self.name, "-f", self.config),
                                     stderr=subprocess.DEVNULL)
        for _ in range(500):
            if subprocess.run(self.argv("-c", "show clock"), capture_output=True).returncode == 0:
                break
            time.sleep(0.01)
        mac = self.mac["s0"].replace(":", "")
        self.configure("interface r0", "ip address 10.255.1.1 255.255.255.252", "no shutdown",
                       "interface r1", "ip address 10.255.2.1 255.255.255.252", "no shutdown",
                       f"arp 10.255.2.2 {mac[:4]}.{mac[4:8]}.{mac[8:]} arpa",
                       "ip route 0.0.0.0 0.0.0.0 10.255.2.2", "no firewall martian-filter")

    def argv(self, *args):
        """It needs no namespace: it asks by a socket in the file system."""
        return [f"{BUILD}/rtrctl", "-N", self.name, *args]

    def configure(self, *lines):
        text = "\n".join(["configure terminal", *lines, "end"]) + "\n"
        sh(*self.argv(), input=text)

    def list_lines(self, rules, name="BENCH"):
        return [f"ip access-list extended {name}", *[f"{10 * (i + 1)} {r.ios()}" for i, r in enumerate(rules)]]

    def use(self, rules):
        self.configure("no ip access-list extended BENCH", *self.list_lines(rules), "interface r0",
                       "ip access-group BENCH in")

    def close(self):
        self.proc.terminate()
        self.proc.wait()
        super().close()
        subprocess.run(["rm", "-rf", f"/run/rtr/{self.name}", f"/var/lib/rtr/{self.name}"], check=False)


class Peer(Lab):
    def __init__(self, folder):
        super().__init__("p")
        self.folder = folder
        for dev, addr in (("r0", "10.255.1.1/30"), ("r1", "10.255.2.1/30")):
            sh("ip", "-n", self.ns["r"], "addr", "add", addr, "dev", dev)
        sh("ip", "-n", self.ns["r"], "neigh", "add", "10.255.2.2", "lladdr", self.mac["s0"], "dev", "r1")
        sh("ip", "-n", self.ns["r"], "route", "add", "default", "via", "10.255.2.2")
        sh(*self.inside("r", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0",
                        "net.ipv4.conf.r0.rp_filter=0", "net.ipv4.conf.r1.rp_filter=0"))

    def use(self, rules):
        path = f"{self.folder}/peer.nft"
        with open(path, "w") as f:
            f.write("add table inet peer\ndelete table inet peer\n" + nft_file(rules, "r0"))
        sh(*self.inside("r", "nft", "-f", path))
