# SPDX-License-Identifier: GPL-2.0-or-later
"""What: clients and servers in the namespaces of a topology, for the tests of firewall and NAT: real
sockets of this process, made in the node's namespace, so that a question costs no process.
Owns: a Server its sockets, until close(). Failure: raises.
"""
import ctypes
import errno
import os
import socket
import time
from contextlib import contextmanager

LAN = {4: "10.0.1.10", 6: "2001:db8:1::10"}
WAN = {4: "198.51.100.1", 6: "2001:db8:100::1"}
BOX_LAN = {4: "10.0.1.1", 6: "2001:db8:1::1"}
BOX_WAN = {4: "198.51.100.2", 6: "2001:db8:100::2"}
CLONE_NEWNET = 0x40000000
# How long to wait for an answer that must come, and for one that must not: veth pairs answer within a
# millisecond, a busy machine later.
PATIENCE = 3.0
SILENCE = 0.1
libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def inside(node):
    """Sockets made here belong to the node's namespace."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{node.netns}", os.O_RDONLY)
    try:
        assert libc.setns(there, CLONE_NEWNET) == 0
        yield
    finally:
        assert libc.setns(own, CLONE_NEWNET) == 0
        os.close(own)
        os.close(there)


def family(addr):
    return socket.AF_INET6 if ":" in addr else socket.AF_INET


def make(node, addr, kind, proto=0):
    with inside(node):
        return socket.socket(family(addr), kind, proto)


class Server:
    """Listens for TCP and echoes UDP at ports of a node, both families, until closed."""

    def __init__(self, node, ports):
        self.tcp, self.udp = [], []
        for port in ports:
            for f in (socket.AF_INET, socket.AF_INET6):
                with inside(node):
                    t, u = socket.socket(f, socket.SOCK_STREAM), socket.socket(f, socket.SOCK_DGRAM)
                for s in (t, u):
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    if f == socket.AF_INET6:
                        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    s.bind(("", port))
                    s.setblocking(False)
                t.listen(64)
                self.tcp.append(t)
                self.udp.append(u)

    def echo(self):
        for u in self.udp:
            try:
                while True:
                    data, peer = u.recvfrom(2048)
                    u.sendto(data, peer)
            except (BlockingIOError, ConnectionError):
                pass

    def close(self):
        for s in self.tcp + self.udp:
            s.close()


def silent(probe):
    """Whether a probe (a function without arguments) stays without an answer."""
    global PATIENCE
    before, PATIENCE = PATIENCE, SILENCE
    try:
        return probe() == "silent"
    finally:
        PATIENCE = before


def tcp(node, addr, port, sport=0, keep=False, setup=None):
    """"open", "refused" (RST), "prohibited" (ICMP), or "silent"."""
    s = make(node, addr, socket.SOCK_STREAM)
    if setup:
        setup(s)
    if sport:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("", sport))
    s.settimeout(PATIENCE)
    try:
        s.connect((addr, port))
        return s if keep else "open"
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "silent"
    except OSError as e:
        return "prohibited" if e.errno in (errno.EHOSTUNREACH, errno.EACCES, errno.ENETUNREACH) else repr(e)
    finally:
        if not keep:
            s.close()


def udp(node, server, addr, port, setup=None, size=3):
    """Whether a datagram came back: "open", "refused", "prohibited" or "silent"."""
    s = make(node, addr, socket.SOCK_DGRAM)
    if setup:
        setup(s)
    try:
        s.connect((addr, port))
        s.send(b"x" * size)
        deadline = time.monotonic() + PATIENCE
        s.settimeout(0.01)
        while time.monotonic() < deadline:
            server.echo()
            try:
                s.recv(2048)
                return "open"
            except TimeoutError:
                pass
        return "silent"
    except ConnectionRefusedError:
        return "refused"
    except OSError as e:
        return "prohibited" if e.errno in (errno.EHOSTUNREACH, errno.EACCES) else repr(e)
    finally:
        s.close()
