# SPDX-License-Identifier: GPL-2.0-or-later
"""Requirements of RFC 4787, 5382, 5508 and 6296 that both planes meet; docs/design/nat.md has
the table. Each test names what it proves."""
import contextlib
import ipaddress
import socket
import struct
import time

import pytest

from nat_lab import OVERLOAD, PUBLIC, keeps, lab, plane  # noqa: F401
from nssock import Echo, ask, icmp, ipv4, send_raw, sock, tcp, udp
from topo import wait_for

A, A6 = "10.0.1.10", "2001:db8:1::10"
FAR4, FAR6 = "203.0.113.10", "2001:db8:203::10"
ISP4, ISP6 = "198.51.100.1", "2001:db8:100::1"
INWARD = ["ip nat inside source static udp 10.0.1.10 9 interface eth1 9009",
          "ipv6 nat inside source static udp 2001:db8:1::10 9 interface eth1 9009"]
IP_RECVERR, IPV6_RECVERR, IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_DO = 11, 25, 10, 23, 2


@pytest.fixture
def net(routers, plane):  # noqa: F811
    services = []

    def make(*lines, serve=("far",)):
        topo = lab(routers, *lines, plane=plane)
        topo.echo = {node: Echo(topo.nodes[node], 7) for node in serve}
        services.extend(topo.echo.values())
        return topo

    yield make
    for s in services:
        s.close()


class Prober:
    """A UDP socket that sees the ICMP errors that quote its packets: the kernel hands an error over
    only when the quoted addresses and ports are the socket's own."""

    def __init__(self, node, dest, port, ttl=64, df=False, sport=0):
        self.six = ":" in dest
        self.s = sock(node, "udp", "", sport, socket.AF_INET6 if self.six else socket.AF_INET)
        level = socket.IPPROTO_IPV6 if self.six else socket.IPPROTO_IP
        self.s.setsockopt(level, IPV6_RECVERR if self.six else IP_RECVERR, 1)
        self.s.setsockopt(level, socket.IPV6_UNICAST_HOPS if self.six else socket.IP_TTL, ttl)
        self.s.setsockopt(level, IPV6_MTU_DISCOVER if self.six else IP_MTU_DISCOVER,
                          PMTUDISC_DO if df else 0)
        self.s.connect((dest, port))

    def error(self, size=4):
        """Sends; (type, code, info, who reported) of the error that comes back.

        Hosts limit their errors, so a packet that brought none within a second is sent again.
        """
        sent = 0.0

        def read():
            nonlocal sent
            try:
                return self.s.recvmsg(2000, 500, socket.MSG_ERRQUEUE)
            except BlockingIOError:
                pass
            if time.monotonic() - sent > 1:
                sent = time.monotonic()
                with contextlib.suppress(OSError):
                    self.s.send(b"x" * size)
            return None
        self.s.setblocking(False)
        got = wait_for(read, 5, "an ICMP error")
        self.s.settimeout(3)
        _, _, kind, code, _, info, _ = struct.unpack("IBBBBII", got[1][0][2][:16])
        off = got[1][0][2][16:]
        who = socket.inet_ntop(socket.AF_INET6, off[8:24]) if self.six else socket.inet_ntoa(off[4:8])
        return kind, code, info, who

    def ask(self):
        self.s.send(b"x")
        return self.s.recv(100).decode().split()[:2]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.s.close()


# ---- ICMP errors ----

def test_errors_from_outside(net):
    """RFC 5508 REQ-4, RFC 4787 REQ-13, RFC 5382 REQ-9: traceroute, closed ports and path MTU: outer
    and quoted addresses are those of the inside again."""
    topo = net(*OVERLOAD)
    topo.isp.ip("link", "set", "eth1", "mtu", 1400)
    for dest, isp, time_exceeded, unreachable, too_big in (
            (FAR4, ISP4, (11, 0), (3, 3), (3, 4)), (FAR6, ISP6, (3, 0), (1, 4), (2, 0))):
        for node in (topo.a, topo.c):
            with Prober(node, dest, 33434, ttl=2) as p:
                kind, code, _, who = p.error()
                assert (kind, code) == time_exceeded and who == isp
            with Prober(node, dest, 9) as p:
                kind, code, _, who = p.error()
                assert (kind, code) == unreachable and who == dest
            with Prober(node, dest, 7, df=True) as p:
                kind, code, mtu, who = p.error(1450 - (48 if ":" in dest else 28))
                assert (kind, code) == too_big and mtu == 1400


def test_errors_from_inside(net):
    """RFC 5508 REQ-5, RFC 4787 REQ-13: what an inside host, or the box, reports about a packet from
    outside is said by the public address and quotes the public address."""
    topo = net(*INWARD, *OVERLOAD)
    topo.r1.config(["interface eth0", "mtu 1300"])
    for public, dest, unreachable, too_big in ((PUBLIC[0], FAR4, (3, 3), (3, 4)),
                                               (PUBLIC[1], FAR6, (1, 4), (2, 0))):
        with Prober(topo.far, public, 9009) as p:
            kind, code, _, who = p.error()
            assert (kind, code) == unreachable and who == public
        with Prober(topo.far, public, 9009, df=True) as p:
            kind, code, mtu, who = p.error(1400)
            assert (kind, code) == too_big and mtu == 1300 and who == public
        with Prober(topo.far, public, 9009, ttl=2) as p:
            assert p.error()[3] == public


def test_errors_end_no_mapping(net):
    """RFC 4787 REQ-12, RFC 5382 REQ-10, RFC 5508 REQ-6: an ICMP error leaves mapping and port alone."""
    topo = net(*OVERLOAD)
    for dest in (FAR4, FAR6):
        with Prober(topo.a, dest, 9) as p:
            p.error()
            p.error()
            echo = Echo(topo.far, 9)
            addr, port = p.ask()
            assert int(port) in topo.ports
            # What the fast plane looks after the kernel knows a moment later.
            out = wait_for(lambda: topo.r1.run("conntrack", "-L", "-f", "ipv6" if ":" in dest else "ipv4", "-p", "udp",
                                               "--orig-port-dst", "9").stdout, 10, "the connection")
            assert out.count("udp ") == 1 and f"dport={port}" in out
            echo.close()
            wait_for(lambda: topo.far.run("ss", "-Hlnu", "sport = :9").stdout == "", what="port 9 free")


def test_damaged_errors_are_dropped(net):
    """RFC 5508 REQ-3: an error whose checksum is wrong is not passed on."""
    topo = net(*OVERLOAD)
    with Prober(topo.a, FAR4, 7, sport=topo.kept) as p:
        assert p.ask() == [PUBLIC[0], str(topo.kept)]
        quoted = ipv4(PUBLIC[0], FAR4, 17, udp(topo.kept, 7))
        good = icmp(3, 1, data=quoted, rest=b"\0" * 4)
        bad = good[:2] + struct.pack("!H", struct.unpack("!H", good[2:4])[0] ^ 1) + good[4:]
        with topo.a.tcpdump("eth0", "icmp") as seen:
            send_raw(topo.far, ipv4(FAR4, PUBLIC[0], 1, bad))
            send_raw(topo.far, ipv4(FAR4, PUBLIC[0], 1, good))
            topo.a.ping(FAR4, count=1)
        assert sum("unreachable" in x for x in seen.packets) == 1


def test_ping_of_public_addresses(net):
    """RFC 5508 REQ-2, REQ-7: queries are mapped; those to a public address of an inside host get
    there from inside too."""
    topo = net("ip nat inside source static 10.0.1.10 198.51.100.60",
               "ipv6 nat inside source static 2001:db8:1::10 2001:db8:100::60", *OVERLOAD)
    for node in (topo.far, topo.b, topo.c):
        node.ping("198.51.100.60")
        node.ping("2001:db8:100::60")
    topo.b.ping(FAR4)
    topo.b.ping(FAR6)


# ---- TCP ----

def test_simultaneous_open(net):
    """RFC 5382 REQ-2: a SYN that meets the one on its way out gets through, and is answered."""
    topo = net(*OVERLOAD)
    topo.far.run("nft", "add table ip t; add chain ip t o { type filter hook output priority 0; }; "
                 "add rule ip t o tcp flags rst drop")
    port = topo.kept
    with sock(topo.a, "tcp", "", port, socket.AF_INET) as s:
        s.setblocking(False)
        with pytest.raises(BlockingIOError):
            s.connect((FAR4, 9999))
        with topo.far.tcpdump("eth0", f"tcp src port {port} and tcp[13] == 18") as answers:
            send_raw(topo.far, ipv4(FAR4, PUBLIC[0], 6, tcp(FAR4, PUBLIC[0], 9999, port, "S", seq=77)))
            topo.far.ping(PUBLIC[0], count=1)
        assert sum(str(port) in x for x in answers.packets) >= 1


def test_timers_of_a_nat(net):
    """RFC 4787 REQ-5, RFC 5508: two minutes for UDP, one for ICMP, without a line; a line wins, and all go back."""
    names = ("udp_timeout", "udp_timeout_stream", "icmp_timeout", "icmpv6_timeout")

    def now(r):
        return [int(r.run("sysctl", "-n", f"net.netfilter.nf_conntrack_{n}").stdout) for n in names]

    topo = net(serve=())
    assert now(topo.r1) == [30, 120, 30, 30]
    topo.r1.config(["ip nat inside source static tcp 10.0.1.10 80 interface eth1 8080"])
    assert now(topo.r1) == [120, 120, 60, 60]
    topo.r1.config(["ip nat translation udp-timeout 300", "ip firewall timeout icmp 20"])
    assert now(topo.r1) == [300, 300, 20, 60]
    topo.r1.config(["no ip nat translation udp-timeout", "no ip firewall timeout icmp",
                    "no ip nat inside source static tcp 10.0.1.10 80 interface eth1 8080"])
    assert now(topo.r1) == [30, 120, 30, 30]


def test_idle_tcp_is_kept(net):
    """RFC 5382 REQ-5: an established connection may be idle for 2 hours and 4 minutes."""
    topo = net(*OVERLOAD)
    with sock(topo.a, "tcp", fam=socket.AF_INET) as s:
        listener = sock(topo.far, "tcp", FAR4, 8000)
        listener.listen()
        s.connect((FAR4, 8000))
        out = wait_for(lambda: topo.r1.run("conntrack", "-L", "-p", "tcp", "--orig-port-dst", "8000").stdout, 10, "the connection")
        assert int(out.split()[2]) >= 7440 and "ESTABLISHED" in out
        listener.close()


# ---- fragments ----

def test_fragments(net):
    """RFC 4787 REQ-14: datagrams in pieces, in any order, both ways."""
    topo = net(*OVERLOAD, *[line.replace("10.0.1.10 9 ", "10.0.1.10 7 ").replace("::10 9 ", "::10 7 ")
                            for line in INWARD], serve=("far", "a"))
    for dest, public in ((FAR4, PUBLIC[0]), (FAR6, PUBLIC[1])):
        # Neighbours are known: a queue for unknown ones may be shorter than a datagram in pieces.
        wait_for(lambda: topo.a.ping(dest, count=1, check=False), what="the way out")
        wait_for(lambda: topo.far.ping(public, count=1, check=False), what="the way in")
        for node, to, port in ((topo.a, dest, 7), (topo.far, public, 9009)):
            with sock(node, "udp", "", 0, socket.AF_INET6 if ":" in to else socket.AF_INET) as s:
                s.connect((to, port))
                s.send(b"x" * 8000)
                assert s.recv(100).split()[2] == b"8000"
    whole = udp(5555, 7, b"y" * 3000)
    parts = [(0, whole[:1480], 1), (1480, whole[1480:2960], 1), (2960, whole[2960:], 0)]
    with sock(topo.a, "udp", A, 5555) as s:
        for off, data, more in reversed(parts):
            send_raw(topo.a, ipv4(A, FAR4, 17, data, ident=4711, frag=off // 8 | more << 13))
        assert s.recv(100).split()[2] == b"3000"


# ---- ports ----

def test_no_port_overloading(net):
    """RFC 4787 REQ-3, RFC 5382 REQ-7: two hosts that want one port get two; REQ-11: the same way
    every time. RFC 6056: ports that are not kept are random."""
    topo = net(*OVERLOAD)
    topo.a.ping(FAR4)
    for kind in ("udp", "tcp"):
        port = keeps(topo, topo.a, kind, FAR4, PUBLIC[0])
        seen = [ask(node, kind, FAR4, 7, sport=port) for node in (topo.b, topo.c)]
        assert len({(PUBLIC[0], port), *seen}) == 3
    ports = [ask(topo.a, "udp", FAR4, 7, sport=1000 + i)[1] for i in range(12)]
    steps = [abs(y - x) for x, y in zip(ports, ports[1:])]
    assert len(set(ports)) == 12 and sum(s > 64 for s in steps) >= 6


def test_no_helper_without_a_rule(net):
    """RFC 4787 REQ-10, RFC 5382 REQ-12: no application is looked into by itself."""
    topo = net(*OVERLOAD)
    listener = sock(topo.far, "tcp", FAR4, 21)
    listener.listen()
    with sock(topo.a, "tcp", fam=socket.AF_INET) as s:
        s.connect((FAR4, 21))
        peer, addr = listener.accept()
        s.send(b"PORT 10,0,1,10,200,1\r\n")
        assert peer.recv(100) == b"PORT 10,0,1,10,200,1\r\n" and addr[0] == PUBLIC[0]
        assert "helper=" not in topo.r1.run("conntrack", "-L", "-o", "extended").stdout
        peer.close()
    listener.close()


# ---- NPTv6 ----

def words(addr):
    return list(struct.unpack("!8H", ipaddress.IPv6Address(addr).packed))


def npt(addr, inside, outside):
    """RFC 6296 section 3: written for this test, on its own."""
    inside, outside = ipaddress.IPv6Network(inside), ipaddress.IPv6Network(outside)
    fold = lambda n: n % 0xffff  # noqa: E731 - sums of one's complement
    a = int(ipaddress.IPv6Address(addr))
    host = a & ((1 << (128 - inside.prefixlen)) - 1)
    w = words(ipaddress.IPv6Address(int(outside.network_address) | host))
    at = 3 if inside.prefixlen <= 48 else next(i for i in range(4, 8) if w[i] != 0xffff)
    w[at] = fold(w[at] + sum(words(inside.network_address)) - sum(words(outside.network_address)))
    return str(ipaddress.IPv6Address(struct.pack("!8H", *w)))


@pytest.mark.parametrize("inside, outside", [("2001:db8:1::/64", "2001:db8:a:b::/64"),
                                             ("2001:db8:1::/48", "2001:db8:f00d::/48")])
def test_prefix_translation(net, inside, outside):
    """RFC 6296: stateless, checksum neutral, both ways, with ICMPv6 errors; what is behind no prefix
    goes as it is."""
    topo = net("interface eth1", f"nptv6 prefix inside {inside} outside {outside}", "exit",
               serve=("far", "a", "c"))
    topo.isp.ip("-6", "route", "add", outside, "via", PUBLIC[1])
    topo.isp.ip("-6", "route", "add", "2001:db8:2::/64", "via", PUBLIC[1])
    mapped = npt(A6, inside, outside)
    for kind in ("tcp", "udp"):
        assert ask(topo.a, kind, FAR6, 7, sport=20000) == (mapped, 20000)
        assert ask(topo.far, kind, mapped, 7)[0] == FAR6
        assert ask(topo.c, kind, FAR6, 7)[0] == "2001:db8:2::10"
    topo.a.ping(FAR6)
    topo.far.ping(mapped)
    with Prober(topo.a, FAR6, 33434, ttl=2) as p:
        assert p.error()[:2] == (3, 0)
    with Prober(topo.a, FAR6, 9) as p:
        kind, code, _, who = p.error()
        assert (kind, code) == (1, 4) and who == FAR6
    with Prober(topo.far, mapped, 9) as p:
        kind, code, _, who = p.error()
        assert (kind, code) == (1, 4) and who == mapped
    # No state: connections have inside addresses only.
    assert outside.split("::")[0] + ":" not in topo.r1.run("conntrack", "-L", "-f", "ipv6", check=False).stdout
    topo.r1.config(["interface eth1", f"no nptv6 prefix inside {inside} outside {outside}"])
    assert "npt" not in topo.r1.run("nft", "list", "ruleset").stdout


# ---- helpers ----

def ftp_active(topo, port):
    """An FTP client on a asks far to connect back to its port; (what the server read, what came)."""
    listener = sock(topo.far, "tcp", FAR4, 21)
    listener.listen()
    data = sock(topo.a, "tcp", A, port, timeout=1)
    data.listen()
    with sock(topo.a, "tcp", fam=socket.AF_INET) as s:
        s.connect((FAR4, 21))
        peer, _ = listener.accept()
        peer.settimeout(2)
        # The helper reads lines that follow a line.
        s.send(b"USER anonymous\r\n")
        assert peer.recv(100) == b"USER anonymous\r\n"
        s.send(f"PORT 10,0,1,10,{port >> 8},{port & 255}\r\n".encode())
        text = peer.recv(100).decode().strip()
        n = [int(x) for x in text.removeprefix("PORT ").split(",")]
        came = None
        with sock(topo.far, "tcp", FAR4, 20, timeout=1) as back:
            try:
                back.connect((".".join(map(str, n[:4])), n[4] << 8 | n[5]))
                back.send(b"the file")
                came = data.accept()[0].recv(100)
            except OSError:
                pass
        peer.close()
    data.close()
    listener.close()
    return text, came


@pytest.mark.parametrize("port", [50001, 20001])
def test_active_ftp_through_the_helper(net, port):
    """With `helper ftp` in the line that permits it: PORT names the public address, and the connection
    back gets in, also where the client's port is one of the fast plane's. Without: neither."""
    topo = net(*OVERLOAD, serve=())
    text, came = ftp_active(topo, port)
    assert text.startswith("PORT 10,0,1,10,") and came is None
    topo.r1.run("conntrack", "-F")
    topo.r1.config(["ip access-list extended OUT", "permit tcp any any eq 21 helper ftp", "permit ip any any", "exit",
                    "interface eth0", "ip access-group OUT in"])
    text, came = ftp_active(topo, port)
    assert text.startswith("PORT 198,51,100,2,") and came == b"the file"
