# SPDX-License-Identifier: GPL-2.0-or-later
"""What: sockets inside the namespaces of a topology, opened by the test itself: no process each.

A socket stays in the namespace it was made in, so a thread enters it, makes the socket and ends.
Owns: nothing; the caller closes. Failure: OSError of the call that failed.
"""
import ctypes
import os
import socket
import struct
import threading

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def inside(node, fn):
    """fn() run in the node's network namespace; its result."""
    out = {}

    def run():
        try:
            fd = os.open(f"/run/netns/{node.netns}", os.O_RDONLY)
            try:
                if libc.setns(fd, CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
                out["value"] = fn()
            finally:
                os.close(fd)
        except BaseException as e:  # noqa: BLE001 - handed to the caller
            out["error"] = e

    t = threading.Thread(target=run)
    t.start()
    t.join()
    if "error" in out:
        raise out["error"]
    return out["value"]


def family(addr):
    return socket.AF_INET6 if ":" in addr else socket.AF_INET


def sock(node, kind, addr="", port=0, fam=None, timeout=3.0):
    """A socket bound to addr and port; kind: "udp", "tcp", or "raw" (whole IPv4 packets)."""
    fam = fam or family(addr)
    types = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM, "raw": socket.SOCK_RAW}
    s = inside(node, lambda: socket.socket(fam, types[kind], socket.IPPROTO_RAW if kind == "raw" else 0))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if fam == socket.AF_INET6 and kind != "raw":
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.settimeout(timeout)
    if kind != "raw":
        s.bind((addr, port))
    return s


class Echo:
    """A TCP and UDP service that tells each client what address and port it is seen with."""

    def __init__(self, node, port, addr=""):
        self.sockets, self.stop = [], False
        for fam in (socket.AF_INET, socket.AF_INET6):
            if addr and family(addr) != fam:
                continue
            for kind in ("udp", "tcp"):
                s = sock(node, kind, addr, port, fam, timeout=0.2)
                if kind == "tcp":
                    s.listen(64)
                self.sockets.append(s)
                threading.Thread(target=self._serve, args=(s, kind), daemon=True).start()

    def _serve(self, s, kind):
        while not self.stop:
            try:
                if kind == "udp":
                    data, peer = s.recvfrom(65535)
                    s.sendto(f"{peer[0]} {peer[1]} {len(data)}".encode(), peer)
                else:
                    c, peer = s.accept()
                    c.sendall(f"{peer[0]} {peer[1]} 0".encode())
                    c.close()
            except TimeoutError:
                continue
            except OSError:
                return

    def close(self):
        self.stop = True
        for s in self.sockets:
            s.close()


def ask(node, kind, dest, port, sport=0, timeout=3.0, size=4, source=""):
    """Asks an Echo: (address, port) that it saw, or the name of what went wrong."""
    fam = family(dest)
    with sock(node, kind, source, sport, fam, timeout) as s:
        try:
            s.connect((dest, port))
            if kind == "udp":
                s.send(b"x" * size)
            seen = s.recv(100).decode().split()
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "timeout"
        except OSError as e:
            return os.strerror(e.errno)
        return seen[0], int(seen[1])


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ipv4(src, dst, proto, payload, ttl=64, ident=1, frag=0):
    """An IPv4 packet; frag: the flags and offset field."""
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident, frag, ttl, proto, 0,
                       socket.inet_aton(src), socket.inet_aton(dst))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def tcp(src, dst, sport, dport, flags, seq=1000, ack=0, data=b""):
    """A TCP segment with its checksum, to be put into ipv4()."""
    bits = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16}
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 0x50, sum(bits[f] for f in flags), 8192, 0, 0)
    pseudo = socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack("!BBH", 0, 6, len(head) + len(data))
    return head[:16] + struct.pack("!H", checksum(pseudo + head + data)) + head[18:] + data


def udp(sport, dport, data=b"x"):
    """A UDP datagram without checksum (IPv4 only)."""
    return struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data


def icmp(kind, code, ident=0, seq=0, data=b"", rest=None):
    body = (rest if rest is not None else struct.pack("!HH", ident, seq)) + data
    head = struct.pack("!BBH", kind, code, 0)
    return struct.pack("!BBH", kind, code, checksum(head + body)) + body


def send_raw(node, packet):
    """Sends a whole IPv4 packet as it is."""
    with sock(node, "raw", fam=socket.AF_INET) as s:
        s.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))
