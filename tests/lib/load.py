# SPDX-License-Identifier: GPL-2.0-or-later
"""What: load on a router while things are killed and changed: connections that stay, connections that begin, and an eye
on what leaves.

    Echo(wan, ...)         answers UDP and TCP, tells UDP senders what port they are seen with
    Held(lan, ...)         established connections, numbered messages around in all of them
    Fresh(lan, ...)        new UDP flows, one datagram each
    Watch(wan)             frames that come in by eth0: inside addresses, resets, refused ports

Each is a process of its own in the node's namespace, this file, until its topology ends; end() says what it saw. Times are
time.monotonic(), the same in all. Owns: nothing. Failure: AssertionError.
"""
import json
import resource
import select
import socket
import struct
import subprocess
import sys
import time

PORT = 4100
MESSAGE = struct.Struct("!II")  # connection, number
SO_RCVBUFFORCE = 33
OOO = 224  # struct tcp_info: tcpi_rcv_ooopack
INSIDE4, INSIDE6 = b"\x0a", socket.inet_pton(socket.AF_INET6, "2001:db8:1::")[:8]
FOUND_MAX = 3  # frames that are shown of a kind

now = time.monotonic


def family(addr):
    return socket.AF_INET6 if ":" in addr else socket.AF_INET


def told():
    """The test has said that it is over."""
    return select.select([sys.stdin], [], [], 0)[0]


class Pace:
    """How many are due, at a rate. A machine that stood still is no reason for a burst that no queue holds."""

    def __init__(self, rate):
        self.rate, self.start, self.sent = rate, now(), 0

    def due(self, burst):
        due = int((now() - self.start) * self.rate)
        if due - self.sent > burst:
            self.start, due = now() - (self.sent + burst) / self.rate, self.sent + burst
        numbers, self.sent = range(self.sent, due), due
        return numbers

    def left(self):
        return max(0, self.start + (self.sent + 1) / self.rate - now())


# ---- echo ----

def echo_udp(udp):
    for _ in range(64):
        data, peer = udp.recvfrom(2048)
        udp.sendto(data + struct.pack("!H", peer[1]), peer)


def echo(addrs):
    udp = {}
    for addr in addrs:  # by which it answers, too
        s = socket.socket(family(addr), socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        s.bind((addr, PORT))
        udp[s.fileno()] = s
    listener = socket.create_server(("::", PORT), family=socket.AF_INET6, dualstack_ipv6=True, backlog=4096)
    ep, conns = select.epoll(), {}
    for s in (*udp.values(), listener):
        s.setblocking(False)
        ep.register(s, select.EPOLLIN)
    print("ready", flush=True)
    while True:
        for fd, _ in ep.poll():
            try:
                if fd in udp:
                    echo_udp(udp[fd])
                elif fd == listener.fileno():
                    s = listener.accept()[0]
                    s.setblocking(False)
                    conns[s.fileno()] = s
                    ep.register(s, select.EPOLLIN)
                elif data := conns[fd].recv(65536):
                    conns[fd].send(data)
                else:
                    conns.pop(fd).close()
            except BlockingIOError:
                pass
            except OSError:
                if fd in conns:
                    conns.pop(fd).close()


# ---- connections that stay ----

class Conn:
    """What comes is the number that is expected next, or something is wrong."""

    def __init__(self, i, kind, dest):
        self.i, self.kind, self.dest = i, kind, dest
        self.s = socket.socket(family(dest), socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
        self.s.connect((dest, PORT))
        self.s.setblocking(False)
        if kind == "tcp":
            self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = self.s.getsockname()[1]
        self.at, self.next, self.buf, self.late, self.missing, self.errors = [], 0, b"", 0, set(), []

    def dead(self):
        return self.kind == "tcp" and self.errors

    def send(self):
        # Established is what was answered: until then a worker may be behind the kernel, which takes what it has no time for.
        if len(self.at) == 1 and not self.next and now() - self.at[0] < 1:
            return
        try:
            self.at.append(now())
            self.s.send(MESSAGE.pack(self.i, len(self.at) - 1))
        except OSError as e:
            self.errors.append(repr(e))

    def came(self, number):
        if number >= self.next:
            self.missing.update(range(self.next, number))
            self.next = number + 1
        else:
            self.late += 1
            self.missing.discard(number)

    def receive(self):
        data = self.s.recv(65536)
        if self.kind == "udp":
            self.came(MESSAGE.unpack_from(data)[1])
            return
        if not data:
            raise OSError("ended")
        self.buf += data
        while len(self.buf) >= MESSAGE.size:
            self.came(MESSAGE.unpack_from(self.buf)[1])
            self.buf = self.buf[MESSAGE.size:]

    def disordered(self):
        """TCP segments that came out of order."""
        if self.kind != "tcp" or self.errors:
            return 0
        return struct.unpack_from("=I", self.s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 240), OOO)[0]

    def name(self):
        return self.kind, self.dest, self.port


def held(spec):
    ep, by_fd = select.epoll(), {}
    for kind, dest, n in spec["conns"]:
        for _ in range(n):
            c = Conn(len(by_fd), kind, dest)
            by_fd[c.s.fileno()] = c
            ep.register(c.s, select.EPOLLIN)
    conns = list(by_fd.values())

    def poll(timeout):
        for fd, _ in ep.poll(timeout):
            c = by_fd[fd]
            try:
                c.receive()
            except BlockingIOError:
                pass
            except OSError as e:
                c.errors.append(repr(e))
                if c.kind == "tcp":
                    ep.unregister(fd)

    print("ready", flush=True)
    pace = Pace(spec["rate"])
    while not told():
        for k in pace.due(100):
            if not conns[k % len(conns)].dead():
                conns[k % len(conns)].send()
        poll(pace.left())
    last = now() + 5
    while now() < last and any(c.next != len(c.at) for c in conns if not c.dead()):
        poll(0.1)
    for c in conns:
        c.missing.update(range(c.next, len(c.at)))
    return {"sent": sum(len(c.at) for c in conns), "least": min(len(c.at) for c in conns),
            "disordered": sum(c.disordered() for c in conns),
            "lost": [[*c.name(), number, c.at[number]] for c in conns for number in sorted(c.missing)],
            "late": [[*c.name(), c.late] for c in conns if c.late],
            "errors": [[*c.name(), c.errors[:3]] for c in conns if c.errors]}


# ---- connections that begin ----

def fresh(spec):
    """A datagram each from a socket of its own, which waits for the answer: what port were we seen with?"""
    ep, waiting, out = select.epoll(), {}, []

    def poll(timeout):
        for fd, _ in ep.poll(timeout):
            s, i = waiting.pop(fd)
            try:
                out[i][2] = struct.unpack("!H", s.recv(2048)[-2:])[0]
            except OSError as e:
                out[i][3] = repr(e)
            s.close()

    print("ready", flush=True)
    pace = Pace(spec["rate"])
    while not told():
        for k in pace.due(20):
            dest = spec["dests"][k % len(spec["dests"])]
            s = socket.socket(family(dest), socket.SOCK_DGRAM)
            s.connect((dest, PORT))
            s.setblocking(False)
            waiting[s.fileno()] = s, len(out)
            ep.register(s, select.EPOLLIN)
            out.append([now(), dest, None, None])
            s.send(MESSAGE.pack(0, k))
        poll(pace.left())
    last = now() + 3
    while waiting and now() < last:
        poll(0.1)
    return out


# ---- what leaves ----

def look(d):
    """What is wrong with a frame: leak (an inside address), reset, refusal (of a port)."""
    if d[12:14] == b"\x08\x00":
        p, leak, proto, at = d[14:], d[26:27] == INSIDE4, d[23], (d[14] & 15) * 4
        first = not (p[6] & 31 or p[7])
    elif d[12:14] == b"\x86\xdd":
        p, leak, proto, at, first = d[14:], d[22:30] == INSIDE6, d[20], 40, True
    else:
        return []
    reset = first and proto == socket.IPPROTO_TCP and p[at + 13] & 4
    refusal = first and (proto, p[at], p[at + 1]) in ((1, 3, 3), (58, 1, 4))
    return [name for name, yes in (("leak", leak), ("reset", reset), ("refusal", refusal)) if yes]


def watch():
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
    s.bind(("eth0", 0))
    print("ready", flush=True)
    seen = {"frames": 0, "leak": [], "reset": [], "refusal": []}
    while True:
        ready = select.select([s, sys.stdin], [], [])[0]
        if s not in ready:
            return seen
        d, addr = s.recvfrom(2048)
        if addr[2] == socket.PACKET_OUTGOING:
            continue
        seen["frames"] += 1
        for what in look(d):
            seen[what].append(d.hex() if len(seen[what]) < FOUND_MAX else "")


# ---- for tests ----

class Program:
    def __init__(self, node, *words):
        self.proc = subprocess.Popen(node.argv(sys.executable, __file__, *words), text=True, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE)
        node.topology.services.append(self.proc)
        assert self.proc.stdout.readline() == "ready\n", "the load does not start"

    def end(self):
        return json.loads(self.proc.communicate("end\n", timeout=30)[0])


class Echo(Program):
    def __init__(self, node, *addrs):
        super().__init__(node, "echo", json.dumps(addrs))


class Held(Program):
    """conns: (kind, address, how many) each; rate: messages a second in all of them together."""

    def __init__(self, node, conns, rate):
        super().__init__(node, "held", json.dumps({"conns": conns, "rate": rate}))

    def end(self, since=float("inf"), until=0.0, ordered=True):
        """Asserts that all connections are there, all messages of before `since` and after `until`, and in order."""
        got = super().end()
        lost = [m for m in got["lost"] if not since < m[-1] < until]
        assert not got["errors"], f"{len(got['errors'])} connections with errors: {got['errors'][:3]}"
        assert not ordered or not got["late"] and not got["disordered"], f"reordered: {got['late'][:5]}, {got['disordered']}"
        assert not lost, f"{len(lost)} of {got['sent']} lost: {lost[:5]}, at {sorted({round(m[-1], 2) for m in lost})}"
        return got


class Fresh(Program):
    def __init__(self, node, dests, rate):
        super().__init__(node, "fresh", json.dumps({"dests": dests, "rate": rate}))

    def end(self):
        """(when sent, address, port that it was seen with, error) of each flow; the port is None if no answer came."""
        return [tuple(f) for f in super().end()]


class Watch(Program):
    def __init__(self, node):
        super().__init__(node, "watch")

    def end(self):
        """Asserts that nothing was wrong; how many frames there were."""
        seen = super().end()
        for what in ("leak", "reset", "refusal"):
            assert not seen[what], f"{len(seen[what])} frames, {what}: {seen[what][:FOUND_MAX]}"
        return seen["frames"]


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    result = globals()[sys.argv[1]](*map(json.loads, sys.argv[2:]))
    print(json.dumps(result))
