# SPDX-License-Identifier: GPL-2.0-or-later
"""show drops and monitor drops: packets lost at each place that can be provoked here, with the right reason on
the right interface, in this namespace alone; and what is left when tracing is not available."""
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest

import topo
from clients import BOX_LAN, LAN, WAN, inside, make
from nssock import checksum
from router import CliError, program

NOWHERE = {4: "192.0.2.77", 6: "2001:db8:dead::77"}
ABSENT = {4: "10.0.1.99", 6: "2001:db8:1::99"}


def quick(lines):
    """Without the seconds of duplicate address detection."""
    return [x for line in lines for x in ([line, "ipv6 nd dad attempts 0"] if line.startswith("interface") else [line])]


@pytest.fixture
def net(routers):
    t = routers("basic")
    lines = [line for line in topo.router_lines(t.spec, "r1") if "route" not in line]
    t.r1.config(quick(lines))
    topo.wait_for(lambda: t.lan.ping(BOX_LAN[6], 1, timeout=0.2, check=False) == 1, what="IPv6 to the router")
    topo.wait_for(lambda: t.lan.ping(WAN[6], 1, timeout=0.2, check=False) == 1, what="IPv6 through the router")
    assert t.lan.ping(WAN[4], 1) == 1
    assert t.r1.json("show drops")["traced"]
    t.r1.cli("clear drops")
    return t


def drops(r1, **want):
    return [o for o in r1.json("show drops")["drops"] if all(o.get(k) == v for k, v in want.items())]


def expect(r1, packets, **want):
    """One row, with at least so many packets, or exactly so many."""
    least, most = packets if isinstance(packets, tuple) else (packets, packets)
    def look():
        rows = drops(r1, **want)
        return rows if rows and rows[0]["packets"] >= least else None
    try:
        rows = topo.wait_for(look, what=f"{want}")
    except AssertionError as e:
        raise AssertionError(f"{e}\n{r1.cli('show drops detail')}") from None
    assert len(rows) == 1 and rows[0]["packets"] <= most and rows[0]["last_seen_sec"] <= 5, rows
    return rows[0]


def datagrams(node, dest, n, ttl=64, size=100, port=9):
    with inside(node):
        s = socket.socket(socket.AF_INET6 if ":" in dest else socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(*((socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) if ":" in dest
                   else (socket.IPPROTO_IP, socket.IP_TTL)), ttl)
    for _ in range(n):
        try:
            s.sendto(bytes(size), (dest, port))
        except OSError:  # an error of the datagram before
            pass
    s.close()


def mac(node, dev="eth0"):
    return bytes.fromhex(node.ip_json("link", "show", "dev", dev)[0]["address"].replace(":", ""))


def ip4(src, dst, payload, total=None, csum=True):
    h = struct.pack(">BBHHHBBH4s4s", 0x45, 0, total or 20 + len(payload), 1, 0, 64, 17, 0,
                    socket.inet_aton(src), socket.inet_aton(dst))
    return h[:10] + struct.pack(">H", checksum(h) ^ (not csum)) + h[12:] + payload


def ip6(src, dst, payload, length=None):
    return struct.pack(">IHBB", 6 << 28, length or len(payload), 17, 64) + socket.inet_pton(socket.AF_INET6, src) + \
        socket.inet_pton(socket.AF_INET6, dst) + payload


def frames(t, packets):
    """IP packets as frames from lan to the router."""
    with inside(t.lan):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind(("eth0", 0))
    for p in packets:
        s.send(mac(t.r1) + mac(t.lan) + (b"\x08\0" if p[0] >> 4 == 4 else b"\x86\xdd") + p)
    s.close()


UDP = bytes.fromhex("10000009000c0000") + b"data"


def stack_of(net, v):
    r1 = net.r1
    datagrams(net.lan, WAN[v], 3, ttl=1)
    row = expect(r1, 3, reason="ttl-expired", interface="eth0", stage="stack")
    assert "forward" in row["where"][0] and row["class"] == "ttl" and row["source"] == "trace"
    datagrams(net.lan, NOWHERE[v], 4)
    expect(r1, 4, reason="no-route", interface="eth0", stage="stack")
    if v == 4:
        frames(net, [ip4(LAN[4], WAN[4], UDP, csum=False)] * 2)
        expect(r1, 2, reason="ipv4-checksum", interface="eth0")
        frames(net, [ip4(LAN[4], WAN[4], UDP, total=500)] * 2)
        expect(r1, 2, reason="ipv4-length", interface="eth0")
        r1.sysctl(**{"net.ipv4.conf.eth0.rp_filter": 1})
        frames(net, [ip4("203.0.113.66", WAN[4], UDP)] * 5)
        expect(r1, 5, reason="urpf", interface="eth0")
    else:
        frames(net, [ip6(LAN[6], WAN[6], UDP, length=500)] * 2)
        expect(r1, 2, reason="ipv6-length", interface="eth0")
    # What another namespace drops is its own.
    datagrams(r1, LAN[v], 3, port=4999)
    topo.wait_for(lambda: drops(r1, reason="ttl-expired"), what="the table")
    assert not drops(r1, reason="NO_SOCKET")
    assert not [o for o in drops(r1) if o["interface"] not in ("eth0", "eth1", "lo")]


def test_stack(net):
    """Routing, headers, sources."""
    for v in (4, 6):
        net.r1.cli("clear drops")
        stack_of(net, v)


def test_interface_goes(net):
    """What it lost is told under its name when it is gone, and goes on when it is there again."""
    r1, lan = net.r1, net.lan
    for n in (1, 2):
        r1.ip("link", "add", "tun9", "type", "veth", "peer", "name", "far9", "netns", lan.netns)
        r1.config(quick(["interface tun9", "ip address 10.9.0.1/24"]))
        lan.ip("link", "set", "far9", "up")
        lan.ip("addr", "add", "10.9.0.2/24", "dev", "far9")
        lan.ip("route", "add", "198.51.100.66/32", "via", "10.9.0.1")
        topo.wait_for(lambda: lan.ping("10.9.0.1", 1, timeout=0.2, check=False) == 1, what="the new link")
        datagrams(lan, "198.51.100.66", 5, ttl=1)
        expect(r1, 5 * n, reason="ttl-expired", interface="tun9")
        r1.ip("link", "del", "tun9")
        topo.wait_for(lambda: "tun9" not in r1.ip("link").stdout, what="its end")
        assert [o["packets"] for o in drops(r1, reason="ttl-expired")] == [5 * n], r1.cli("show drops")
    assert not [o for o in drops(r1) if o["interface"].startswith("#")], r1.cli("show drops")
    r1.config(["no interface tun9"])


def test_unread(net):
    """What a program of the box did not read before it closed its socket is no loss of a packet."""
    datagrams(net.lan, NOWHERE[4], 1)
    with inside(net.r1):
        for _ in range(20):
            s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
            s.send(struct.pack("=IHHIIBBHiII", 32, 18, 0x301, 1, 0, 0, 0, 0, 0, 0, 0))  # RTM_GETLINK, a dump
            s.close()
    datagrams(net.lan, NOWHERE[4], 1)
    expect(net.r1, 2, reason="no-route", interface="eth0", stage="stack")
    assert not drops(net.r1, reason="QUEUE_PURGE")


def refusing(node, v):
    """A raw socket of ICMP whose filter takes nothing."""
    with inside(node):
        s = socket.socket(*((socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) if v == 4 else
                            (socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)))
    code = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0))  # return 0
    s.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HL", 1, ctypes.addressof(code)))  # SO_ATTACH_FILTER
    return s


def test_copies(net):
    """Echo replies to our pings, copies for raw sockets that refuse them, datagrams unread at the end."""
    r1, lan = net.r1, net.lan
    for v in (4, 6):
        raw, unread = refusing(r1, v), make(r1, BOX_LAN[v], socket.SOCK_DGRAM)
        unread.bind((BOX_LAN[v], 4567))
        datagrams(lan, BOX_LAN[v], 5, port=4567)
        assert lan.ping(BOX_LAN[v], 3) == 3
        assert "100 percent" in r1.cli(f"ping {LAN[v]} repeat 3")
        raw.close()
        unread.close()
        datagrams(lan, BOX_LAN[v], 2, port=4568)
        expect(r1, 2, reason="NO_SOCKET", stage="socket", interface="eth0")
        for reason in ("SOCKET_FILTER", "QUEUE_PURGE"):
            assert not drops(r1, reason=reason), r1.cli("show drops detail")
        r1.cli("clear drops")


def neighbour_of(net, v):
    r1 = net.r1
    datagrams(net.wan, ABSENT[v], 400, size=900)
    row = expect(r1, (100, 400), reason="neigh-queue-full", stage="neighbour")
    assert row["interface"] in ("eth0", "eth1")


def test_neighbour(net):
    """More packets wait for one that is not there than may."""
    for v in (4, 6):
        net.r1.cli("clear drops")
        neighbour_of(net, v)


def rules_of(net, v):
    r1 = net.r1
    ip, any_ = ("ip", "any any") if v == 4 else ("ipv6", "any any")
    r1.config([f"{'ip access-list extended' if v == 4 else 'ipv6 access-list'} T", f"10 deny udp {any_} eq 9",
               f"20 permit {ip if v == 4 else 'ipv6'} {any_}", "exit", "interface eth0",
               "ip access-group T in" if v == 4 else "ipv6 traffic-filter T in"])
    r1.cli("clear drops")
    datagrams(net.lan, WAN[v], 6)
    row = expect(r1, 6, reason="acl-deny", stage="nft")
    assert (row["interface"], row["where"]) == ("eth0", [f"{'IPv6 ' if v == 6 else ''}list T line 10"])
    expect(r1, 6, reason="NETFILTER_DROP", stage="netfilter", interface="eth0")
    assert {o["stage"] for o in r1.json("show drops interface eth0 reason acl-deny")["drops"]} == {"nft"}


def test_rules(net):
    """A rule: by its line, and by the interface."""
    for v in (4, 6):
        net.r1.cli("clear drops")
        rules_of(net, v)


def queue_and_socket_of(net, v):
    r1 = net.r1
    r1.run("tc", "qdisc", "add", "dev", "eth1", "root", "tbf", "rate", "8kbit", "burst", "1600", "limit", "3000")
    datagrams(net.lan, WAN[v], 50, size=900)
    row = expect(r1, (30, 50), reason="queue-full", stage="qdisc")
    assert row["interface"] == "eth1"
    r1.run("tc", "qdisc", "del", "dev", "eth1", "root")
    s = make(r1, BOX_LAN[v], socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    s.bind((BOX_LAN[v], 4567))
    datagrams(net.lan, BOX_LAN[v], 50, port=4567)
    row = expect(r1, (30, 50), reason="SOCKET_RCVBUFF", stage="socket")
    assert row["interface"] == "eth0", row
    s.close()
    datagrams(net.lan, BOX_LAN[v], 1, port=4568)
    expect(r1, 1, reason="NO_SOCKET", stage="socket", interface="eth0")


def test_queue_and_socket(net):
    """A full queue on the way out, a socket whose owner does not read."""
    for v in (4, 6):
        net.r1.cli("clear drops")
        queue_and_socket_of(net, v)


@pytest.mark.skipif(not shutil.which("clang"), reason="clang is not installed")
def test_xdp(net, tmp_path):
    """What an XDP program drops, in the driver and in the stack."""
    r1 = net.r1
    (tmp_path / "x.c").write_text('__attribute__((section("xdp"), used)) int x(void *c) { return 1; }\n'
                                  'char l[] __attribute__((section("license"), used)) = "GPL";\n')
    topo.sh("clang", "-target", "bpf", "-O2", "-c", str(tmp_path / "x.c"), "-o", str(tmp_path / "x.o"))
    for mode, where in (("xdpgeneric", None), ("xdpdrv", "driver")):
        r1.run("sh", "-c", f"mount -t bpf bpf /sys/fs/bpf && ip link set dev eth0 {mode} obj {tmp_path}/x.o sec xdp")
        r1.cli("clear drops")
        datagrams(net.lan, BOX_LAN[4], 20)
        row = expect(r1, (20, 40), reason="XDP", stage="xdp", interface="eth0")
        assert not where or row["where"][0] == where or "driver" in row["where"], row
        r1.run("ip", "link", "set", "dev", "eth0", mode, "off")


def test_fast_plane(net):
    """What the fast plane refuses, by the same reasons; a capture says that it takes the interface from it."""
    r1 = net.r1
    r1.config(["interface eth0", "dataplane fast", "interface eth1", "dataplane fast"])
    try:
        topo.wait_for(lambda: {i["plane"] for i in r1.json("show dataplane interfaces")} == {"fast"}, 20,
                      "both interfaces on the fast plane")
    except AssertionError as e:
        raise AssertionError(f"{e}\n{r1.cli('show dataplane interfaces')}") from None
    r1.sysctl(**{"net.ipv4.conf.eth0.rp_filter": 1})
    def refused():
        frames(net, [ip4("203.0.113.66", WAN[4], UDP)])
        return drops(r1, reason="urpf", stage="fastpath", interface="eth0")
    row = topo.wait_for(refused, 10, "the fast plane's refusal")[0]
    assert row["class"] == "policy" and row["source"] == "counter", row
    assert not drops(r1, stage="xdp")
    out = r1.cli("monitor capture C interface eth0 match any", "monitor capture C start", "monitor capture C stop")
    assert "eth0 takes the kernel plane while it is captured" in out


class Monitor:
    """rtrctl with `monitor drops`; ^C ends it."""

    def __init__(self, r1, line):
        self.p = r1.popen(program("rtrctl"), "-N", r1.instance, "-c", f"monitor drops {line}",
                          stdout=subprocess.PIPE)
        self.text = ""
        if "json" not in line:
            assert "escape sequence" in self.next()

    def next(self, provoke=lambda: None):
        """The next line; provoke() is called until it comes."""
        deadline = time.monotonic() + 10
        while "\n" not in self.text:
            assert time.monotonic() < deadline, "nothing more"
            provoke()
            if select.select([self.p.stdout], [], [], 0.1)[0]:
                self.text += os.read(self.p.stdout.fileno(), 65536).decode()
        line, self.text = self.text.split("\n", 1)
        return line

    def end(self):
        self.p.send_signal(signal.SIGINT)
        out, _ = self.p.communicate(timeout=10)
        return self.text + out


def monitor_of(net, v):
    r1 = net.r1
    m = Monitor(r1, "reason ttl-expired")
    datagrams(net.lan, NOWHERE[v], 5)
    datagrams(net.lan, WAN[v], 1, ttl=1, port=4242)
    line = m.next()
    src, dst = (f"{LAN[4]}:", f"{WAN[4]}:4242") if v == 4 else (f"[{LAN[6]}]:", f"[{WAN[6]}]:4242")
    assert f" eth0 stack ttl-expired: udp {src}" in line and f" > {dst}, length 100" in line, line
    assert "ip_forward" in line or "ip6_forward" in line
    # A second one, who wants other packets, as JSON.
    j = Monitor(r1, "interface eth0 reason no-route | json")
    o = json.loads(j.next(lambda: datagrams(net.lan, NOWHERE[v], 1, port=7777)))
    assert (o["reason"], o["interface"]) == ("no-route", "eth0") and "7777" in o["packet"], o
    j.end()
    datagrams(net.lan, WAN[v], 3000, ttl=1)
    expect(r1, 3001, reason="ttl-expired", interface="eth0")
    while "more" not in m.next():
        pass
    text = m.end()
    shown, missed = [int(w) for w in text.splitlines()[-1].split() if w.isdigit()]
    assert shown < 1000 and missed > 500 and shown + missed <= 3001, text[-200:]
    with pytest.raises(CliError, match="no such interface"):
        r1.cli("monitor drops interface eth9")


def test_monitor(net):
    """The packet's headers with reason and place; filters; a flood leaves the terminal alone."""
    for v in (4, 6):
        net.r1.cli("clear drops")
        monitor_of(net, v)


def test_counts(net):
    """Rates, clear, a second life of rtr-dropd; JSON and text agree."""
    r1 = net.r1
    datagrams(net.lan, WAN[4], 7, ttl=1)
    expect(r1, 7, reason="ttl-expired")
    text = r1.cli("show drops reason ttl-expired").splitlines()
    assert len(text) == 2 and text[1].split()[:4] == ["ttl-expired", "stack", "eth0", "7"], text
    pid = int(topo.sh("pgrep", "-P", str(r1.proc.pid), "-x", "rtr-dropd").stdout)
    os.kill(pid, signal.SIGKILL)
    topo.wait_for(lambda: r1.json("show drops")["traced"] and
                  topo.sh("pgrep", "-P", str(r1.proc.pid), "-x", "rtr-dropd", check=False).stdout.split() not in
                  ([], [str(pid)]), what="another rtr-dropd")
    datagrams(net.lan, WAN[4], 4, ttl=1)
    assert expect(r1, 11, reason="ttl-expired")["packets"] == 11
    r1.cli("clear drops")
    assert not drops(r1, reason="ttl-expired")
    datagrams(net.lan, WAN[4], 2, ttl=1)
    expect(r1, 2, reason="ttl-expired")
    def rate():
        rows = drops(r1, reason="ttl-expired")
        datagrams(net.lan, WAN[4], 5, ttl=1)
        return rows and rows[0]["pps"] > 1
    topo.wait_for(rate, 15, "a rate")


def test_without_tracing(topology):
    """Without its capabilities the kernel's own counters stand in, and the table says what is missing."""
    t = topology("basic")
    r1, argv = t.r1, t.r1.argv
    r1.argv = lambda *cmd: argv("setpriv", "--bounding-set", "-bpf,-perfmon,-sys_admin", *cmd)
    r1.start(quick([line for line in topo.router_lines(t.spec, "r1") if "route" not in line]))
    r1.argv = argv
    assert t.lan.ping(WAN[4], 1) == 1
    r1.run("tc", "qdisc", "add", "dev", "eth1", "root", "tbf", "rate", "8kbit", "burst", "1600", "limit", "3000")
    topo.wait_for(lambda: "CAP_PERFMON" in r1.json("show drops").get("untraced_because", ""), what="the reason")
    r1.cli("clear drops")
    datagrams(t.lan, NOWHERE[4], 4)
    datagrams(t.lan, WAN[4], 50, size=900)
    assert [o["where"] for o in drops(r1, reason="no-route", stage="stack")] == [["IpExt InNoRoutes"]]
    row = expect(r1, (30, 50), reason="queue-full", stage="qdisc", interface="eth1")
    assert row["source"] == "counter" and row["where"][0].startswith("tbf ")
    assert "The kernel's own reasons are missing: the kernel refuses tracing" in r1.cli("show drops")
    with pytest.raises(CliError, match="cannot be seen: the kernel refuses tracing"):
        r1.cli("monitor drops")
