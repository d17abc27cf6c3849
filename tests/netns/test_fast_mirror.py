# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections of the fast plane in the kernel's table, and their way there when the fast plane ends for them."""
import json
import os
import signal
import socket
import subprocess

import pytest

from clients import WAN, make
from router import program
from test_capture import captured
from test_fastplane import INTERNET, INTERNET6, addressed, fastpath_pid, flows, on_fast, planes, reason
from topo import wait_for

ECHO = 4002
DESTS = ((INTERNET, 4000), (INTERNET6, 4001))
POLICY = ["zone security INSIDE", "exit", "zone security OUTSIDE", "exit",
          "ip access-list extended ANY", "10 permit tcp any any", "20 permit udp any any", "30 permit icmp any any",
          "exit", "ipv6 access-list ANY6", "10 permit tcp any any", "20 permit udp any any", "30 permit icmp any any",
          "exit", "class-map type inspect match-any ALL", "match access-group name ANY",
          "match access-group name ANY6", "exit",
          "policy-map type inspect OUT", "class type inspect ALL", "inspect", "exit", "exit",
          "zone-pair security OUT source INSIDE destination OUTSIDE", "service-policy type inspect OUT", "exit",
          "ip access-list extended LAN", "10 permit ip 10.0.1.0 0.0.0.255 any", "exit",
          "ipv6 access-list LAN6", "10 permit ipv6 2001:db8:1::/64 any", "exit",
          "interface eth0", "zone-member security INSIDE", "ip nat inside", "ipv6 nat inside", "exit",
          "interface eth1", "zone-member security OUTSIDE", "ip nat outside", "ipv6 nat outside", "exit",
          "ip nat inside source list LAN interface eth1 overload",
          "ipv6 nat inside source list LAN6 interface eth1 overload"]


def conns(r1, words="", **match):
    return [c for c in r1.json(f"show conntrack {words}".rstrip()) if all(c.get(k) == v for k, v in match.items())]


def mirror(r1, key):
    return r1.json("show dataplane mirror")[key]


@pytest.fixture
def fast(routers):
    """lan -- r1 -- wan: zones and NAT on the fast plane; the provider's addresses are all that wan sees."""
    topo = routers("basic")
    addressed(topo.r1)
    topo.r1.config(POLICY)
    on_fast(topo.r1)
    topo.r1.wait_addresses()
    for dest, _ in DESTS:
        wait_for(lambda: topo.lan.ping(dest, count=1, timeout=1, check=False) == 1, what="the way out")
    return topo


# A datagram of number NONE each 10 ms until the first line; then numbered ones, 1 ms apart, until the end of the
# input and `least` of them are sent. Prints how many.
SENDER = r"""
import select, socket, sys, time
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.bind(("", int(sys.argv[3])))
s.connect((sys.argv[1], int(sys.argv[2])))
send = lambda n: s.send(n.to_bytes(4, "big") + bytes(60))
while not select.select([0], [], [], 0.01)[0]:
    send(0xffffffff)
sys.stdin.readline()
n, least, over = 0, int(sys.argv[4]), False
while n < least or not over:
    send(n)
    n += 1
    time.sleep(0.001)
    over = over or bool(select.select([0], [], [], 0)[0])
print(n)
"""
# Prints the numbers in order of arrival, until its input has ended and nothing has come for a second.
SINK = r"""
import select, socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
s.bind(("::", int(sys.argv[1])))
got, over = [], False
while True:
    r = select.select([s] if over else [s, 0], [], [], 1 if over else None)[0]
    if s in r:
        got.append(int.from_bytes(s.recv(100)[:4], "big"))
    over = over or 0 in r
    if not r:
        break
print(*(n for n in got if n != 0xffffffff))
"""


class Streams:
    """Numbered datagrams of one connection of each family, 1 ms apart, until they are asked for and `least` are sent.

    They begin when the connections are the fast plane's: one whose first packet a busy worker left to the kernel makes
    room for another one.
    """

    def __init__(self, topo, least, wans=("wan",)):
        self.r1, self.lan, self.least = topo.r1, topo.lan, least
        self.sinks = [[self.piped(topo.nodes[wan], SINK, port) for _, port in DESTS] for wan in wans]
        for wan in wans:
            for _, port in DESTS:
                topo.nodes[wan].wait_listening(port, "udp")
        self.senders, self.sports = zip(*(self.begun(dest, port) for dest, port in DESTS))
        for sender in self.senders:
            sender.stdin.write("go\n")
            sender.stdin.flush()

    @staticmethod
    def piped(node, code, *args):
        return node.popen("/usr/bin/python3", "-c", code, *map(str, args), stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def begun(self, dest, port):
        for sport in range(10 * port, 10 * port + 10):
            sender = self.piped(self.lan, SENDER, dest, port, sport, self.least)
            paths = wait_for(lambda: [c["path"] for c in conns(self.r1, destination_port=port, source_port=sport)
                                      if c["path"] != "worker"], timeout=15, what="the connection")
            if paths == ["express"]:
                return sender, sport
            sender.kill()
            sender.communicate()
            self.r1.cli(f"clear conntrack protocol udp sport {sport}")
        raise AssertionError(f"all connections to {dest} are the kernel's")

    def held(self):
        wait_for(lambda: mirror(self.r1, "held") >= 2, timeout=15, what="the connections in the kernel's table")

    def entries(self):
        return [c for (_, port), sport in zip(DESTS, self.sports)
                for c in conns(self.r1, destination_port=port, source_port=sport)]

    def stop(self):
        for p in (*self.senders, *(p for sinks in self.sinks for p in sinks)):
            p.kill()
            p.communicate()

    def end(self):
        """Of each family: how many were sent, the numbers that each sink has got."""
        sent = [int(sender.communicate(timeout=60)[0]) for sender in self.senders]
        return [(n, [[int(x) for x in sinks[i].communicate(timeout=60)[0].split()] for sinks in self.sinks])
                for i, n in enumerate(sent)]

    def arrive(self, ordered=True):
        for n, [got] in self.end():
            assert not ordered or got == sorted(got), "reordered"
            assert len(set(got)) == len(got), "doubled"
            assert len(got) == n, f"{n - len(got)} of {n} lost"


def test_listed_once(fast):
    """Both planes as one: a connection that both hold is listed, counted and ended once."""
    r1, lan, wan = fast.r1, fast.lan, fast.wan
    streams = Streams(fast, 2000)
    streams.held()
    entries = streams.entries()
    assert len(entries) == 2 and all(c["path"] == "express" and c["source_nat"] for c in entries)
    assert all(c["input"] == "eth0" and c["output"] == "eth1" and c["zone_pair"] == "OUT" for c in entries)
    assert r1.json("show conntrack destination 203.0.113.10 protocol udp count")["connections"] == 1
    assert r1.json("show conntrack protocol udp count")["connections"] == 2
    assert r1.json("show conntrack ipv6 protocol udp top source")["top"][0]["address"] == "2001:db8:1::10"
    udp = [t for t in r1.json("show ip nat translations") if t["protocol"] == "udp"]
    assert len(udp) == 1 and udp[0]["inside_local"]["address"] == "10.0.1.10"
    # The kernel has them too: the same tuples, the same translation.
    mine = r1.run("conntrack", "-L", "-p", "udp", check=False).stdout
    assert f"dport=4000" in mine and f"dport={entries[0]['reply']['destination_port']}" in mine
    out = r1.cli("clear conntrack protocol udp dport 4000")
    assert "1 connections ended" in out
    # The next datagram begins another.
    wait_for(lambda: conns(r1, destination_port=4000), what="another connection")
    assert "dport=4001" in r1.run("conntrack", "-L", "-f", "ipv6", "-p", "udp", check=False).stdout
    r1.cli("clear ipv6 nat translation *")
    streams.stop()


@pytest.mark.parametrize("young", [True, False], ids=["young", "mirrored"])
def test_interface_leaves(fast, young):
    """`dataplane kernel` under load, through NAT and zones: nothing is lost, and what the kernel has stays there."""
    r1 = fast.r1
    streams = Streams(fast, 2000)
    if not young:
        streams.held()
    before = streams.entries()
    r1.config(["interface eth1", "dataplane kernel", "exit"])
    assert planes(r1)["eth1"] == "kernel"
    wait_for(lambda: all(c["path"] == "kernel" for c in streams.entries()), what="the kernel's connections")
    after = streams.entries()
    assert [c["reply"] for c in after] == [c["reply"] for c in before], r1.json("show dataplane mirror")
    assert mirror(r1, "given") >= 2
    r1.config(["interface eth1", "dataplane fast", "exit"])
    on_fast(r1)
    assert all(c["path"] == "kernel" for c in streams.entries())
    # What a worker still has may come behind what the kernel forwards already.
    streams.arrive(ordered=False)


class Echo:
    """A connection of each family: datagrams from lan, which wan sends back."""

    def __init__(self, topo):
        self.far = {v: make(topo.wan, WAN[v], socket.SOCK_DGRAM) for v in (4, 6)}
        self.near = {v: make(topo.lan, WAN[v], socket.SOCK_DGRAM) for v in (4, 6)}
        for v in (4, 6):
            self.far[v].bind((WAN[v], ECHO))
            self.near[v].connect((WAN[v], ECHO))
            self.far[v].settimeout(5)
            self.near[v].settimeout(5)

    def ports(self):
        return [s.getsockname()[1] for s in self.near.values()]

    def send(self, n):
        for _ in range(n):
            for v, s in self.near.items():
                s.send(b"x")
                data, addr = self.far[v].recvfrom(9)
                self.far[v].sendto(data, addr)
                s.recv(9)

    def close(self):
        for s in (*self.far.values(), *self.near.values()):
            s.close()


def captures_all(topo):
    """What XDP forwards the moment before, in by the interface and out of it, a capture has from its start to its end."""
    r1 = topo.r1
    for dev in ("eth0", "eth1"):
        echo = Echo(topo)
        wait_for(lambda: echo.send(1) or all(flows(r1, source_port=p, path="express") for p in echo.ports()),
                 what="the connections on the express path")
        r1.cli(f"monitor capture C interface {dev} match udp port {ECHO}")
        assert f"{dev} takes the kernel plane while it is captured" in r1.cli("monitor capture C start")
        assert reason(r1, dev) == "a capture runs on it: monitor capture" and planes(r1)[dev] == "kernel"
        echo.send(100)
        assert "Captured 400, dropped by kernel 0" in r1.cli("monitor capture C stop")
        on_fast(r1)
        echo.send(3)
        r1.cli("no monitor capture C")
        echo.close()


def test_capture(fast):
    """... beside others that lose nothing, with their translation; the interface comes back after it."""
    streams = Streams(fast, 2000)
    captures_all(fast)
    streams.arrive(ordered=False)
    # One that ends by itself lets go as well.
    assert "kernel plane" in fast.r1.cli("monitor capture TIMED interface eth0 limit duration 1 match any", "monitor capture TIMED start")
    on_fast(fast.r1)


def test_capture_outlives_its_command(fast):
    """Whoever started it is gone before it runs: it does, and its interface does not come back meanwhile."""
    r1 = fast.r1
    r1.cli("monitor capture C interface eth0 match any")
    pid, = captured(r1.proc.pid)
    os.kill(pid, signal.SIGSTOP)
    try:
        ctl = subprocess.Popen([program("rtrctl"), "-N", r1.instance], stdin=subprocess.PIPE, text=True)
        ctl.stdin.write("monitor capture C start\n")
        ctl.stdin.close()
        wait_for(lambda: any(f"pid={pid}," in line and int(line.split()[2]) for line in r1.run("ss", "-xnpH").stdout.splitlines()),
                 what="the question to rtr-captured")
        ctl.kill()
        ctl.wait()
        assert r1.cli("show clock") and reason(r1) == "a capture runs on it: monitor capture"
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: "State: active" in r1.cli("show monitor capture C"), what="the capture")
    assert reason(r1) == "a capture runs on it: monitor capture" and planes(r1)["eth0"] == "kernel"
    r1.cli("monitor capture C stop")
    on_fast(r1)


def test_capture_without_a_policy(routers):
    """The same where nothing is tracked."""
    topo = routers("basic")
    addressed(topo.r1)
    on_fast(topo.r1)
    topo.r1.wait_addresses()
    captures_all(topo)


def test_gate_closes(fast):
    """A policy that only the kernel can enforce: the same for all interfaces."""
    r1 = fast.r1
    streams = Streams(fast, 2000)
    streams.held()
    before = streams.entries()
    r1.config(["ip firewall timeout service udp 1003 9"])
    assert set(planes(r1).values()) == {"kernel"}
    wait_for(lambda: all(c["path"] == "kernel" for c in streams.entries()), what="the kernel's connections")
    assert [c["reply"] for c in streams.entries()] == [c["reply"] for c in before]
    streams.arrive()
    r1.config(["no ip firewall timeout service udp 1003"])
    on_fast(r1)


def test_xdp_is_lost(fast):
    """The programs and the table go, and rtr-fastpath with them: the kernel has what was mirrored."""
    r1, lan, wan = fast.r1, fast.lan, fast.wan
    wan.iperf3_server()
    streams = Streams(fast, 2000)
    streams.held()
    before = streams.entries()
    pid = fastpath_pid(r1)
    pins = f"/proc/{pid}/root/run/rtr/{r1.instance}/bpf"
    for name in os.listdir(pins):
        if not name.endswith(".debug"):
            os.unlink(f"{pins}/{name}")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: fastpath_pid(r1) not in (None, pid), timeout=10, what="another rtr-fastpath")
    on_fast(r1)
    wait_for(lambda: mirror(r1, "found_alone") >= 2, timeout=10, what="entries without a flow, handed over")
    after = streams.entries()
    assert [c["reply"] for c in after] == [c["reply"] for c in before]
    assert all(c["path"] == "kernel" for c in after)
    streams.arrive()


def test_tcp_goes_on(fast):
    """iperf3 through NAT and zones, from one plane to the other and back, at no rate of 0."""
    r1, lan, wan = fast.r1, fast.lan, fast.wan
    wan.iperf3_server()
    client = lan.popen("iperf3", "-J", "-t", "6", "-i", "0.5", "-b", "200M", "-c", INTERNET, stdout=-1)
    wait_for(lambda: conns(r1, destination_port=5201, path="express"), what="the connections")
    wait_for(lambda: mirror(r1, "held") >= 2, timeout=10, what="the connections in the kernel's table")
    r1.config(["interface eth0", "dataplane kernel", "exit"])
    wait_for(lambda: all(c["path"] == "kernel" for c in conns(r1, destination_port=5201)), what="the kernel's")
    r1.config(["interface eth0", "dataplane fast", "exit"])
    rates = [i["sum"]["bits_per_second"] for i in json.loads(client.communicate(timeout=30)[0])["intervals"]]
    assert len(rates) >= 11 and min(rates) > 1e7, rates


def test_tracer(fast):
    """packet-tracer asks both planes, and they agree; a connection of the fast plane is one to it."""
    r1, lan, wan = fast.r1, fast.lan, fast.wan

    def trace(words):
        doc = r1.json(f"packet-tracer input {words}")
        assert doc["fast_plane"]["comparison"] == "AGREE", doc["fast_plane"]
        return doc["result"]["action"], doc["fast_plane"]

    for inside, outside in (("10.0.1.10", INTERNET), ("2001:db8:1::10", INTERNET6)):
        for proto in ("tcp", "udp"):
            action, plane = trace(f"eth0 {proto} {inside} 1234 {outside} 80")
            assert action == "allow" and plane["verdict"] == "forwards" and plane["output_interface"] == "eth1"
            action, plane = trace(f"eth1 {proto} {outside} 1234 {inside} 80")
            assert action == "drop" and plane["verdict"] == "drops"
            assert "Path: none (dropped by the fast plane)" in r1.cli(f"packet-tracer input eth1 {proto} {outside} 1234 {inside} 80")
        assert trace(f"eth1 tcp {outside} 1234 {'2001:db8:100::2' if ':' in inside else '198.51.100.2'} 22")[1]["verdict"] \
            == "leaves it to the kernel"
    before = {i["name"]: i["counters"] for i in r1.json("show interfaces")}
    streams = Streams(fast, 2000)
    known = f"packet-tracer input eth0 udp 10.0.1.10 {streams.sports[0]} 203.0.113.10 4000"
    doc = r1.json(known)
    assert doc["fast_plane"]["because"] == "its connection is there" and doc["fast_plane"]["comparison"] == "AGREE"
    assert any("looked after by the fast plane: express" in line for p in doc["phases"] for line in p["information"])
    assert "Comparison: AGREE" in r1.cli(known)
    # What transmit makes to follow its packet takes nothing else off the fast plane.
    r1.json("packet-tracer input eth0 udp 10.0.1.10 41001 203.0.113.10 4003 transmit")
    assert set(planes(r1).values()) == {"fast"} and not conns(r1, destination_port=4000, path="kernel")
    streams.arrive()
    # The interfaces have counted what XDP forwarded.
    for name, key in (("eth0", "rx_packets"), ("eth1", "tx_packets")):
        wait_for(lambda: {i["name"]: i["counters"] for i in r1.json("show interfaces")}[name][key]
                 >= before[name][key] + 4000, what=f"{key} of {name}")


def test_egress_moves_to_the_kernel(routers):
    """The route of a connection moves to an interface of the kernel plane: the kernel goes on with it, without a loss."""
    topo = routers("dual-wan")
    r1 = topo.r1
    addressed(r1)
    r1.config([*POLICY[:POLICY.index("ip access-list extended LAN")],
               "interface eth0", "zone-member security INSIDE", "exit", "interface eth1", "zone-member security OUTSIDE",
               "exit", "interface eth2", "ip address 192.0.2.2/24", "ipv6 address 2001:db8:200::2/64",
               "zone-member security OUTSIDE", "exit"])
    wait_for(lambda: all(planes(r1).get(i) == "fast" for i in ("eth0", "eth1")), timeout=20, what="the fast plane")
    r1.wait_addresses()
    for dest, _ in DESTS:
        wait_for(lambda: topo.lan.ping(dest, count=1, timeout=1, check=False) == 1, what="the way out")
    for wan in ("192.0.2.1", "2001:db8:200::1"):
        r1.run("ping", "-c", "1", wan)
    streams = Streams(topo, 2000, ("wan1", "wan2"))
    streams.held()
    r1.config(["ip route 0.0.0.0/0 192.0.2.1", "no ip route 0.0.0.0/0 198.51.100.1",
               "ipv6 route ::/0 2001:db8:200::1", "no ipv6 route ::/0 2001:db8:100::1"])
    wait_for(lambda: [c["path"] for c in streams.entries()] == ["kernel"] * 2, what="the kernel's connections")
    for n, (first, second) in streams.end():
        assert first and second, "one of the ways was not taken"
        assert len(first + second) == n and set(first + second) == set(range(n))
