# SPDX-License-Identifier: GPL-2.0-or-later
"""What a provider asks of a NAT that many subscribers share (RFC 6888): who it was can be told, and each has his share."""
import errno
import itertools
import socket

import pytest

from nat_lab import OVERLOAD, PUBLIC, lab, plane  # noqa: F401
from nssock import Echo, ask, sock
from topo import wait_for

FAR4, FAR6 = "203.0.113.10", "2001:db8:203::10"
HOSTS = {"a": ("10.0.1.10", "2001:db8:1::10"), "b": ("10.0.1.20", "2001:db8:1::20"), "c": ("10.0.2.10", "2001:db8:2::10")}


@pytest.fixture
def net(routers, plane):  # noqa: F811
    made = []

    def make(*lines):
        topo = lab(routers, *lines, plane=plane)
        topo.echo = Echo(topo.far, 7)
        for node in (topo.a, topo.b, topo.c):
            node.ping(FAR4)
            node.ping(FAR6)
        made.append(topo)
        return topo

    yield make
    for topo in made:
        topo.echo.close()
        topo.r1.audit()


def span(text):
    lo, hi = map(int, text.split("-"))
    return range(lo, hi + 1)


SUBSCRIBERS = ["ip access-list extended SUB", *(f"permit ip host {v4} any" for v4, _ in HOSTS.values()), "exit",
               "ipv6 access-list SUB6", *(f"permit ipv6 host {v6} any" for _, v6 in HOSTS.values()), "exit"]


def test_deterministic(net):
    """RFC 7422: each host has the ports that the configuration says, on the plane that it meets, its echoes too; and who
    it was is found by address and port alone."""
    topo = net(*SUBSCRIBERS, "ip nat pool D 198.51.100.50 198.51.100.51 prefix-length 24 type deterministic ports 15000",
               "ip nat inside source list SUB pool D overload",
               "ipv6 nat pool D6 2001:db8:100::50 2001:db8:100::51 prefix-length 64 type deterministic ports 15000",
               "ipv6 nat inside source list SUB6 pool D6 overload")
    have = set()
    for name, inside in HOSTS.items():
        for ip, host, dest in zip(("ip", "ipv6"), inside, (FAR4, FAR6)):
            share = topo.r1.json(f"show {ip} nat deterministic inside {host}")
            ports = [*span(share["kernel_ports"]), *(span(share["fast_ports"]) if topo.plane == "fast" else ())]
            # Ports that stay, ports that do not.
            for kind, want in itertools.product(("tcp", "udp"), (0, 999, 30000, ports[0])):
                addr, port = ask(getattr(topo, name), kind, dest, 7, sport=want)
                assert addr == share["outside"] and port in ports, (name, kind, want)
                have.add((ip, addr, port, name))
            assert topo.r1.json(f"show {ip} nat deterministic outside {addr} {port}")["inside"] == host
            getattr(topo, name).ping(dest)
            echoes = [line for line in topo.r1.run("conntrack", "-L", "-f", {"ip": "ipv4", "ipv6": "ipv6"}[ip], "-s", host, "-d", dest)
                      .stdout.splitlines() if " type=" in line]
            seen = {(line.split("dst=")[2].split()[0], int(line.split("id=")[2].split()[0])) for line in echoes}
            assert seen and all(a == share["outside"] and i in span(share["kernel_ports"]) for a, i in seen), echoes
    # No port of an address was two hosts'.
    assert len({h[:3] for h in have}) == len(have)
    assert len({h[1] for h in have if h[0] == "ip"}) == 2
    assert topo.r1.json("show ip nat deterministic")[0]["hosts"] == 3
    assert "no host has port" in topo.r1.cli("show ip nat deterministic outside 198.51.100.51 40000", check=False)


class Asker:
    """A UDP socket that is asked for its outside port; errors of routers are told."""

    def __init__(self, node, src):
        self.sock = sock(node, "udp", src, 0, timeout=0.5)
        level, recverr = (socket.IPPROTO_IPV6, 25) if ":" in src else (socket.IPPROTO_IP, 11)
        self.sock.setsockopt(level, recverr, 1)

    def seen(self, dest):
        """(address, port), or the error."""
        try:
            self.sock.connect((dest, 7))
            self.sock.send(b"x")
            addr, port = self.sock.recv(100).decode().split()[:2]
            return addr, int(port)
        except OSError as e:
            return e.errno


def use_up(topo, node, src, dest, public):
    """Opens flows until one is refused; the ports of the fast plane that it got, and what the refused one was told. A busy
    worker leaves a flow to the kernel: these do not count."""
    askers, ports = [], set()
    for _ in range(60):
        askers.append(Asker(node, src))
        seen = askers[-1].seen(dest)
        if not isinstance(seen, tuple):
            return askers, ports, seen
        assert seen[0] == public
        if seen[1] in range(10240, 40960):
            ports.add(seen[1])
    raise AssertionError(f"no flow was refused: {sorted(ports)}")


def blocks_of(r1, ip, host):
    return {range(b["first"], b["last"] + 1): b for b in r1.json(f"show {ip} nat blocks")["blocks"] if b["host"] == host}


def test_port_blocks(routers):
    """RFC 6888 REQ-4, REQ-11, REQ-14: a host gets ports by blocks, as many as it may have, and is told when there are no
    more; one line in the log for each block."""
    topo = lab(routers, "ip nat settings port-block size 16 limit 2", *OVERLOAD, plane="fast")
    topo.echo = Echo(topo.far, 7)
    for node in (topo.a, topo.b):
        node.ping(FAR4)
        node.ping(FAR6)
    seen = {}
    for fam, name in ((0, "a"), (0, "b"), (1, "a")):
        host = HOSTS[name][fam]
        held, ports, refused = use_up(topo, getattr(topo, name), host, (FAR4, FAR6)[fam], PUBLIC[fam])
        assert len(ports) == 32 and refused == errno.EHOSTUNREACH, (refused, ports)
        seen[host] = held, ports
    assert not seen["10.0.1.10"][1] & seen["10.0.1.20"][1]
    for host, (_, ports) in seen.items():
        fam = int(":" in host)
        wait_for(lambda: len(blocks_of(topo.r1, ("ip", "ipv6")[fam], host)) == 2, what="both blocks")
        blocks = blocks_of(topo.r1, ("ip", "ipv6")[fam], host)
        assert sorted(p for b in blocks for p in b) == sorted(ports)
        assert all(b["address"] == PUBLIC[fam] and b["used"] == 16 for b in blocks.values())
    assert sum(o["packets"] for o in topo.r1.json("show drops")["drops"] if o["reason"] == "nat-quota") >= 3
    log = topo.r1.cli("show logging")
    assert log.count("NAT-6-BLOCK_ALLOCATED") == 6
    assert f"Host 10.0.1.10 gets ports {min(seen['10.0.1.10'][1])}-" in log
    # Cut otherwise, the blocks of before are nobody's: their connections end, and that is told.
    topo.r1.config(["ip nat settings port-block size 32 limit 1"])
    wait_for(lambda: topo.r1.cli("show logging").count("NAT-6-BLOCK_RELEASED") == 6, what="the blocks are released")
    assert len(use_up(topo, topo.a, HOSTS["a"][0], FAR4, PUBLIC[0])[1]) == 32
    topo.echo.close()
    topo.r1.audit()
