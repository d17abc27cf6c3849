# SPDX-License-Identifier: GPL-2.0-or-later
"""The firewall has no gap: not at boot, not during commits, and live connections do not notice."""
import os
import resource
import socket
import subprocess
import sys
import time

import pytest

from clients import WAN, inside, tcp
from router import startup
from topo import router_lines, wait_for

LONG = bool(os.environ.get("RTR_TEST_LONG"))
COMMITS, SESSIONS, SESSION_COMMITS = (1000, 10000, 100) if LONG else (100, 1000, 20)
DENIED, PERMITTED = 9, 7
# Sends to a port as fast as it can, until killed: nothing waits for anything.
FLOOD = """
import socket, sys
def make(a):
    s = socket.socket(socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_DGRAM)
    return s, (a, int(sys.argv[1]))
to = [make(a) for a in sys.argv[2:]]
while True:
    for s, a in to:
        try:
            s.sendto(b"x" * 64, a)
        except OSError:
            pass
"""


class Sink:
    """Counts datagrams that reach a port of a node."""

    def __init__(self, node, port):
        self.socks = []
        for f in (socket.AF_INET, socket.AF_INET6):
            with inside(node):
                s = socket.socket(f, socket.SOCK_DGRAM)
            if f == socket.AF_INET6:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.bind(("", port))
            s.setblocking(False)
            self.socks.append(s)

    def count(self):
        n = [0, 0]
        for i, s in enumerate(self.socks):
            try:
                while s.recv(100):
                    n[i] += 1
            except BlockingIOError:
                pass
        return n

    def close(self):
        for s in self.socks:
            s.close()


def flood(node, port, *addrs):
    return subprocess.Popen(node.argv(sys.executable, "-c", FLOOD, port, *addrs), stdin=subprocess.DEVNULL)


def enter(r1, lines):
    """Configuration lines, some hundred at a time: a commit each time that a list is left."""
    text = ""
    while lines:
        n = next((i + 1 for i in range(min(len(lines), 150) - 1, 0, -1) if lines[i] == "exit"), len(lines))
        text += r1.config(lines[:n])
        lines = lines[n:]
    return text


RULES = """
ip access-list extended T
deny udp any any eq 9
permit ip any any
ipv6 access-list T
deny udp any any eq 9
permit ipv6 any any
interface eth0
ip access-group T in
ipv6 traffic-filter T in
""".strip().splitlines()


@pytest.fixture
def net(routers):
    topo = routers("basic")
    topo.r1.config(router_lines(topo.spec, "r1"))
    wait_for(lambda: topo.lan.ping(WAN[6], 1, check=False) == 1, what="IPv6 through the router")
    return topo


def test_boot_is_closed(net):
    """From a kernel that forwards nothing yet to one that does: no packet that is denied passes."""
    r1, lan = net.r1, net.lan
    r1.config(RULES)
    r1.cli("write memory")
    assert os.path.getsize(startup(r1.folder))
    r1.stop()
    # As a boot finds it: no rules, no addresses, nothing forwarded, links down.
    r1.run("nft", "flush", "ruleset")
    r1.sysctl(**{"net.ipv4.ip_forward": 0, "net.ipv6.conf.all.forwarding": 0})
    for port in ("eth0", "eth1"):
        r1.ip("addr", "flush", "dev", port)
        r1.ip("link", "set", port, "down")
    denied, permitted = Sink(net.wan, DENIED), Sink(net.wan, PERMITTED)
    floods = [flood(lan, p, WAN[4], WAN[6]) for p in (DENIED, PERMITTED)]
    try:
        r1.start()
        got = [0, 0]

        def flows():
            got[:] = [a + b for a, b in zip(got, permitted.count())]
            return all(got)
        wait_for(flows, 15, "permitted packets of both families")
    finally:
        for f in floods:
            f.kill()
            f.wait()
    assert denied.count() == [0, 0]
    denied.close()
    permitted.close()


@pytest.mark.seconds(300)
def test_commits_leak_nothing(net):
    r1, lan = net.r1, net.lan
    r1.config(RULES)
    denied = Sink(net.wan, DENIED)
    f = flood(lan, DENIED, WAN[4], WAN[6])
    try:
        lines = []
        for i in range(COMMITS):
            kind = "ip access-list extended" if i % 2 else "ipv6 access-list"
            # Now and then everything is another list, of another name.
            if i % 10 == 9:
                lines += [f"ip access-list extended U{i}", "deny udp any any eq 9", "permit tcp any any", "exit",
                          "interface eth0", f"ip access-group U{i} in", "exit"]
            else:
                lines += [f"{kind} T", f"{100 + i % 7} permit tcp any any eq {1000 + i}", "exit"]
        enter(r1, lines)
    finally:
        f.kill()
        f.wait()
    assert denied.count() == [0, 0]
    denied.close()


# Takes connections to port 80 and sends back what comes.
ECHO = """
import select, socket
listener = socket.create_server(("", 80), backlog=4096)
listener.setblocking(False)
ep, conns = select.epoll(), {}
ep.register(listener, select.EPOLLIN)
print("ready", flush=True)
while True:
    for fd, _ in ep.poll():
        if fd == listener.fileno():
            s = listener.accept()[0]
            conns[s.fileno()] = s
            ep.register(s, select.EPOLLIN)
        elif data := conns[fd].recv(100):
            conns[fd].send(data)
        else:
            ep.unregister(fd)
            conns.pop(fd).close()
"""


@pytest.mark.seconds(300)
def test_sessions_stay(net):
    """Thousands of connections go through many commits that permit them, none is lost."""
    r1, lan, wan = net.r1, net.lan, net.wan
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    echo = wan.popen(sys.executable, "-c", ECHO, stdout=subprocess.PIPE)
    assert echo.stdout.readline() == "ready\n"
    r1.config(RULES)
    clients = [tcp(lan, WAN[4], 80, keep=True) for _ in range(SESSIONS)]
    lines = []
    for i in range(SESSION_COMMITS):
        lines += ["ip access-list extended T", f"{5 + i % 3} permit tcp any any eq {1000 + i}", "exit"]
    text = enter(r1, lines)
    told = [line for line in text.splitlines() if "sessions re-checked" in line]
    assert len(told) == SESSION_COMMITS and all(line.endswith(" 0 ended") for line in told), told[:5]
    for s in clients:
        s.send(b"x")
    for s in clients:
        s.settimeout(10)
        assert s.recv(1) == b"x"
        s.close()
    echo.kill()
    echo.wait()
    echo.stdout.close()
