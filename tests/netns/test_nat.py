# SPDX-License-Identifier: GPL-2.0-or-later
"""Address translation on both planes with real clients, IPv4 and IPv6: what each line does, and
what it does not. docs/design/nat.md names the RFC requirements that these tests prove."""
import re
import socket

import pytest

from nat_lab import FAST, OVERLOAD, PUBLIC, hits, keeps, lab, plane  # noqa: F401
from nssock import Echo, ask, sock
from topo import wait_for

FAR4, FAR6 = "203.0.113.10", "2001:db8:203::10"
BOTH = [(FAR4, PUBLIC[0]), (FAR6, PUBLIC[1])]


@pytest.fixture
def net(routers, plane):  # noqa: F811
    """lab() with Echo services on port 7 of chosen nodes: net(lines, "far", ...)."""
    services = []

    def make(*lines, serve=("far",), port=7):
        topo = lab(routers, *lines, plane=plane)
        topo.echo = {}
        for node in serve:
            topo.echo[node] = Echo(topo.nodes[node], port)
            services.append(topo.echo[node])
        return topo

    yield make
    for s in services:
        s.close()


# ---- overload ----

def test_overload(net):
    topo = net(*OVERLOAD)
    for dest, public in BOTH:
        for kind in ("tcp", "udp"):
            for node in (topo.a, topo.c):
                addr, port = ask(node, kind, dest, 7)
                assert addr == public and port in topo.ports
            # A port of the plane's range is kept while it is free, one of the other plane's never.
            other = 70000 - topo.kept
            kept = keeps(topo, topo.a, kind, dest, public)
            addr, port = ask(topo.b, kind, dest, 7, sport=kept)
            assert addr == public and port in topo.ports and port != kept
            addr, port = ask(topo.a, kind, dest, 7, sport=other)
            assert addr == public and port in topo.ports and port != other
        topo.a.ping(dest)
    assert hits(topo.r1, "drop") == 0


def test_one_mapping_for_all_destinations(net):
    """RFC 4787 REQ-1: the endpoint is seen alike by all, as long as nobody else needs the port."""
    topo = net(*OVERLOAD)
    topo.isp.ip("addr", "add", "203.0.113.99/32", "dev", "lo")
    topo.a.ping(FAR4)
    others = [Echo(topo.isp, 7, addr) for addr in ("203.0.113.99", "198.51.100.1")]
    with sock(topo.a, "udp", "10.0.1.10", 3333) as s:
        seen = set()
        for dest in (FAR4, "203.0.113.99", "198.51.100.1"):
            s.sendto(b"x", (dest, 7))
            seen.add(tuple(s.recv(100).decode().split()[:2]))
    for e in others:
        e.close()
    if topo.plane == "fast":  # a busy worker leaves a flow to the kernel
        seen = {(addr, port) for addr, port in seen if int(port) in FAST}
    assert len(seen) == 1


def test_what_a_list_denies_is_not_translated(net):
    topo = net("ip access-list extended LAN", "5 deny ip host 10.0.1.20 any",
               "6 deny tcp any any eq 9", "exit", *OVERLOAD)
    topo.isp.ip("route", "add", "10.0.0.0/8", "via", "198.51.100.2")
    nine = Echo(topo.far, 9)
    assert ask(topo.a, "udp", FAR4, 7)[0] == PUBLIC[0]
    assert ask(topo.b, "udp", FAR4, 7)[0] == "10.0.1.20"
    assert ask(topo.a, "tcp", FAR4, 9)[0] == "10.0.1.10"
    assert ask(topo.a, "udp", FAR4, 9)[0] == PUBLIC[0]
    nine.close()


def test_exemptions_and_policy_lines(net):
    topo = net(*OVERLOAD, "ip access-list extended TO-FAR", f"permit ip any host {FAR4}", "exit",
               "ip access-list extended HTTP", "permit tcp any any eq 80", "exit",
               "ip nat pool WEB 198.51.100.80 198.51.100.80 prefix-length 24",
               "ip nat inside source policy 10 list HTTP pool WEB overload",
               serve=("far", "isp"))
    web = Echo(topo.far, 80)
    assert ask(topo.a, "tcp", FAR4, 80)[0] == "198.51.100.80"
    assert ask(topo.a, "udp", FAR4, 80)[0] == PUBLIC[0]
    topo.isp.ip("route", "add", "10.0.0.0/8", "via", "198.51.100.2")
    topo.r1.config(["ip nat inside source list TO-FAR exempt"])
    assert ask(topo.a, "tcp", FAR4, 80)[0] == "10.0.1.10"
    assert ask(topo.a, "tcp", "198.51.100.1", 7)[0] == PUBLIC[0]
    web.close()


# ---- pools ----

def test_overloaded_pool_pairs(net):
    """Each inside host has one address of the pool for all destinations (RFC 4787 REQ-2), and the
    box answers ARP and neighbour solicitations for it."""
    topo = net("ip nat pool P 198.51.100.50 198.51.100.57 prefix-length 24",
               "ip nat inside source list LAN pool P overload",
               "ipv6 nat pool P6 2001:db8:100::50 2001:db8:100::57 prefix-length 64",
               "ipv6 nat inside source list LAN6 pool P6 overload", serve=("far", "isp"))
    for dests, pool in (((FAR4, "198.51.100.1"), "198.51.100.5"), ((FAR6, "2001:db8:100::1"), "2001:db8:100::5")):
        for node in (topo.a, topo.b, topo.c):
            seen = {ask(node, kind, dest, 7) for dest in dests for kind in ("tcp", "udp") for _ in range(3)}
            assert len({addr for addr, _ in seen}) == 1
            assert all(addr.startswith(pool) and port in topo.ports for addr, port in seen)


def test_pool_without_overload(net):
    topo = net("ip access-list extended TWO", "permit ip host 10.0.1.10 any", "permit ip host 10.0.2.10 any",
               "exit", "ip nat pool P 198.51.100.50 198.51.100.51 netmask 255.255.255.0",
               "ip nat inside source list TWO pool P")
    assert ask(topo.a, "tcp", FAR4, 7, sport=20000) == ("198.51.100.50", 20000)
    assert ask(topo.c, "udp", FAR4, 7, sport=20000) == ("198.51.100.51", 20000)
    refused = topo.r1.config(["ip access-list extended TWO", "permit ip host 10.0.1.20 any", "end"], check=False)
    assert "permits more sources than pool P" in refused


def test_pool_match_host(net):
    topo = net("ip access-list extended NET", "permit ip 10.0.1.0 0.0.0.31 any", "exit",
               "ip nat pool P 198.51.100.0 198.51.100.31 prefix-length 24 type match-host",
               "no ip nat pool P",
               "ip nat pool P 198.51.101.0 198.51.101.31 prefix-length 24 type match-host",
               "ip nat inside source list NET pool P")
    topo.isp.ip("route", "add", "198.51.101.0/24", "via", "198.51.100.2")
    assert ask(topo.a, "tcp", FAR4, 7, sport=1234) == ("198.51.101.10", 1234)
    assert ask(topo.b, "udp", FAR4, 7, sport=1234) == ("198.51.101.20", 1234)


# ---- static lines ----

FORWARD = ["ip nat inside source static tcp 10.0.1.10 7 interface eth1 8080",
           "ip nat inside source static udp 10.0.1.10 7 198.51.100.2 8080",
           "ipv6 nat inside source static tcp 2001:db8:1::10 7 interface eth1 8080",
           "ipv6 nat inside source static udp 2001:db8:1::10 7 2001:db8:100::2 8080"]


def test_port_forward(net):
    topo = net(*FORWARD, serve=("a",))
    for kind in ("tcp", "udp"):
        assert ask(topo.far, kind, PUBLIC[0], 8080)[0] == FAR4
        assert ask(topo.far, kind, PUBLIC[1], 8080)[0] == FAR6
        # The neighbouring port, and one more address, lead to the box.
        assert ask(topo.far, kind, PUBLIC[0], 8081) == "refused"
    assert ask(topo.far, "tcp", PUBLIC[0], 7) == "refused"
    # The box itself gets there too.
    assert ask(topo.r1, "tcp", PUBLIC[0], 8080)[0] == PUBLIC[0]
    topo.r1.config([f"no {line}" for line in FORWARD])
    assert ask(topo.far, "tcp", PUBLIC[0], 8080) == "refused"


def test_management_zone(net):
    """What a management zone sends to the box is not tracked, but what is translated is: answers to masqueraded
    connections, forwards, and a host's own address."""
    topo = net(*FORWARD, *OVERLOAD, "ip nat inside source static 10.0.1.20 198.51.100.60",
               "zone security MGMT", "management", "exit", *(line for i in range(3) for line in (f"interface eth{i}", "zone-member security MGMT", "exit")),
               serve=("a", "b", "far"))
    assert ask(topo.a, "tcp", FAR4, 7)[0] == PUBLIC[0]
    assert ask(topo.a, "tcp", FAR6, 7)[0] == PUBLIC[1]
    assert ask(topo.far, "tcp", PUBLIC[0], 8080)[0] == FAR4
    assert ask(topo.far, "tcp", "198.51.100.60", 7)[0] == FAR4
    assert ask(topo.c, "tcp", PUBLIC[0], 8080)[0] == PUBLIC[0]


def test_forward_of_a_range(net):
    topo = net("ip nat inside source static udp 10.0.1.10 5000-5002 interface eth1 6000-6002",
               "ip nat inside source static udp 10.0.1.10 7000-7100 interface eth1 7000-7100", serve=())
    echos = [Echo(topo.a, p) for p in (5002, 7050)]
    assert ask(topo.far, "udp", PUBLIC[0], 6002)[0] == FAR4
    assert ask(topo.far, "udp", PUBLIC[0], 7050)[0] == FAR4
    assert ask(topo.far, "udp", PUBLIC[0], 6003) == "refused"
    # The server's own packets wear the same face.
    far = Echo(topo.far, 7)
    assert ask(topo.a, "udp", FAR4, 7, sport=5001) == (PUBLIC[0], 6001)
    assert ask(topo.a, "udp", FAR4, 7, sport=7001) == (PUBLIC[0], 7001)
    for e in [*echos, far]:
        e.close()


def test_hairpin(net):
    """RFC 4787 REQ-9: who asks from inside for the public address gets there and is seen with a
    public address and port, on the same link, on another, and the server itself."""
    topo = net(*FORWARD, *OVERLOAD, serve=("a",))
    for node in (topo.b, topo.c, topo.a):
        for kind in ("tcp", "udp"):
            for public in PUBLIC:
                addr, port = ask(node, kind, public, 8080)
                assert addr == public and port in topo.ports


def test_static_host(net):
    topo = net("ip nat inside source static 10.0.1.10 198.51.100.60",
               "ip nat inside source static 10.0.2.10 198.51.100.61",
               "ipv6 nat inside source static 2001:db8:1::10 2001:db8:100::60", *OVERLOAD,
               serve=("far", "a"))
    for dest, public in (("198.51.100.60", FAR4), ("2001:db8:100::60", FAR6)):
        assert ask(topo.far, "tcp", dest, 7)[0] == public
        topo.far.ping(dest)
    # Whole addresses: no port changes, fast range or not.
    assert ask(topo.a, "tcp", FAR4, 7, sport=20000) == ("198.51.100.60", 20000)
    assert ask(topo.a, "udp", FAR6, 7, sport=20000) == ("2001:db8:100::60", 20000)
    assert ask(topo.b, "udp", FAR4, 7)[0] == PUBLIC[0]
    # Hairpin between two that have addresses of their own.
    assert ask(topo.c, "tcp", "198.51.100.60", 7, sport=1111) == ("198.51.100.61", 1111)
    topo.r1.config(["no ip nat inside source static 10.0.1.10 198.51.100.60",
                    "no ipv6 nat inside source static 2001:db8:1::10 2001:db8:100::60"])
    assert ask(topo.a, "tcp", FAR4, 7)[0] == PUBLIC[0]
    topo.isp.ip("neigh", "flush", "dev", "eth0")
    assert topo.far.ping("198.51.100.60", count=1, timeout=0.5, check=False) == 0


def test_no_alias(net):
    topo = net("ip nat inside source static 10.0.1.10 198.51.100.60 no-alias", serve=("a",))
    assert topo.isp.ping("198.51.100.60", count=1, timeout=0.5, check=False) == 0
    topo.isp.ip("route", "add", "198.51.100.60/32", "via", "198.51.100.2")
    assert ask(topo.isp, "tcp", "198.51.100.60", 7)[0] == "198.51.100.1"


def test_global_network_comes_and_goes(routers):
    """What was answered for on a link is taken as routed here, and the other way round."""
    r1 = lab(routers, "ip nat inside source static 10.0.1.10 192.0.2.60",
             "ipv6 nat inside source static 2001:db8:1::10 2001:db8:9::60").r1
    nets = ["ip address 192.0.2.77/24 secondary", "ipv6 address 2001:db8:9::1/64"]
    for linked in (True, False):
        r1.config(["interface eth1", *((line if linked else f"no {line}") for line in nets)])
        for ip, address in (("-4", "192.0.2.60"), ("-6", "2001:db8:9::60")):
            assert (address in r1.ip(ip, "addr", "show", "dev", "eth1").stdout) == linked
            routed = r1.ip(ip, "route", "show", "table", "local", "dev", "lo").stdout
            assert (address in routed) != linked, routed


def test_static_network(net):
    topo = net("ip nat inside source static network 10.0.1.0 198.51.100.64 /27",
               "ipv6 nat inside source static network 2001:db8:1:: 2001:db8:bad:: /64",
               serve=("far", "a"))
    topo.isp.ip("-6", "route", "add", "2001:db8:bad::/64", "via", "2001:db8:100::2")
    assert ask(topo.far, "tcp", "198.51.100.74", 7)[0] == FAR4
    assert ask(topo.a, "udp", FAR4, 7, sport=20000) == ("198.51.100.74", 20000)
    assert ask(topo.b, "tcp", FAR4, 7, sport=20000) == ("198.51.100.84", 20000)
    assert ask(topo.far, "tcp", "2001:db8:bad::10", 7)[0] == FAR6
    assert ask(topo.a, "udp", FAR6, 7, sport=20000) == ("2001:db8:bad::10", 20000)


def test_outside_static(net):
    topo = net("ip nat outside source static 203.0.113.10 10.77.0.10",
               "ip nat inside source static tcp 10.0.1.10 7 interface eth1 8080", *OVERLOAD,
               serve=("far", "a"))
    assert ask(topo.a, "tcp", "10.77.0.10", 7)[0] == PUBLIC[0]
    assert ask(topo.far, "tcp", PUBLIC[0], 8080)[0] == "10.77.0.10"
    assert ask(topo.isp, "tcp", PUBLIC[0], 8080)[0] == "198.51.100.1"


def test_rotary(net):
    topo = net("ip access-list extended VIP", "permit tcp any host 198.51.100.80 eq 7", "exit",
               "ip nat pool SERVERS 10.0.1.20 10.0.1.20 prefix-length 24 type rotary",
               "no ip nat pool SERVERS",
               "ip nat pool SERVERS 10.0.1.10 10.0.1.11 prefix-length 24 type rotary",
               "ip nat inside destination list VIP pool SERVERS", serve=())
    topo.b.ip("addr", "add", "10.0.1.11/24", "dev", "eth0")
    topo.isp.ip("route", "add", "198.51.100.80/32", "via", "198.51.100.2")
    served = {"a": 0, "b": 0}
    socks = {}
    for name, addr in (("a", "10.0.1.10"), ("b", "10.0.1.11")):
        socks[name] = sock(topo.nodes[name], "tcp", addr, 7, timeout=0.5)
        socks[name].listen(20)
    for _ in range(10):
        with sock(topo.far, "tcp", fam=socket.AF_INET) as s:
            s.connect(("198.51.100.80", 7))
    for name, s in socks.items():
        try:
            while True:
                s.accept()[0].close()
                served[name] += 1
        except TimeoutError:
            s.close()
    assert served == {"a": 5, "b": 5}


# ---- ports ----

def test_ports_of_the_three(net):
    """Local sockets, kernel and fast plane have ports of their own; forwarded and reserved ones are
    carved out; a socket of the box on a fast port speaks from the kernel's range."""
    topo = net("ip nat settings port-range local 60000 60999", "ip nat settings port-range kernel 30000 30199",
               "ip nat settings port-range fast 31000 59999",
               "ip nat inside source static tcp 10.0.1.10 7 interface eth1 30060",
               "ip nat settings port-reserve 30130-30139", *OVERLOAD)
    kernel = set(range(30000, 30200)) - {30060, *range(30130, 30140)}
    mine = kernel if topo.plane == "kernel" else kernel | set(range(31000, 60000))
    for dest, public in BOTH:
        for kind in ("tcp", "udp"):
            for i in range(12):
                addr, port = ask(topo.a, kind, dest, 7)
                assert addr == public and port in mine
                assert ask(topo.r1, kind, dest, 7)[1] in range(60000, 61000)
            topo.r1.run("conntrack", "-F")
            keeps(topo, topo.b, kind, dest, public, 30013 if topo.plane == "kernel" else 31013)
            assert ask(topo.b, kind, dest, 7, sport=30131)[1] in mine
            assert ask(topo.r1, kind, dest, 7, sport=40000)[1] in kernel
        # The box's own echoes have its identifiers, on both sides.
        assert "100 percent" in topo.r1.cli(f"ping {dest} repeat 2")
        own = [line for line in topo.r1.run("conntrack", "-L", "-f", "ipv6" if ":" in dest else "ipv4", "-s", public).stdout.splitlines()
               if " type=" in line]
        ids = [int(word[3:]) for line in own for word in line.split() if word.startswith("id=")]
        assert len(ids) == 2 and ids[0] == ids[1] and ids[0] in range(60000, 61000), own
        topo.a.ping(dest)
    # More than one piece, and still one face for all destinations.
    with sock(topo.a, "udp", "10.0.1.10", 3333) as s:
        for dest in (FAR4, FAR4):
            s.sendto(b"x", (dest, 7))
            assert int(s.recv(100).decode().split()[1]) in mine


def test_exhaustion(net):
    """A full range: what finds no port is dropped, not sent untranslated; it recovers at once."""
    topo = net("ip nat settings port-range kernel 45000 45003", "ip nat settings port-range fast 30000 30001", *OVERLOAD)
    ports = [45000, 45001, 45002, 45003]
    if topo.plane == "fast":
        ports = [30000, 30001, *ports]
    with topo.isp.tcpdump("eth0", "src net 10.0.0.0/16") as leaks:
        socks = []
        seen = []
        for i in range(8):
            s = sock(topo.a, "udp", fam=socket.AF_INET, timeout=0.3)
            s.sendto(b"x", (FAR4, 7))
            try:
                seen.append(int(s.recv(100).decode().split()[1]))
            except TimeoutError:
                seen.append(None)
            socks.append(s)
    assert sorted(p for p in seen if p) == ports
    assert "".join(leaks.packets) == ""
    # Another destination has ports of its own: reuse is per destination endpoint.
    assert ask(topo.a, "udp", FAR6, 7)[1] in ports
    topo.r1.run("conntrack", "-F")
    assert ask(topo.a, "udp", FAR4, 7)[1] in ports
    for s in socks:
        s.close()


# ---- the configuration ----

def test_names_that_look_alike(net):
    """Lists and pools may be called as they like: like our own sets, or alike when put together."""
    topo = net("ip access-list extended in", "permit ip host 10.9.0.1 any", "permit ip host 10.9.0.9 any",
               "ip access-list extended shared", "permit ip host 10.9.0.3 any", "permit ip host 10.9.0.9 any",
               "ip access-list extended A_B", "permit tcp any any eq 80", "ip access-list extended A",
               "permit tcp any any eq 81", "exit",
               *(f"ip nat pool {p} 203.0.113.{n} 203.0.113.{n} prefix-length 24" for n, p in
                 ((51, "C"), (52, "B_C"), (53, "10_s"), (54, "a.b/c;d"))),
               "ip nat inside source list A_B pool C overload", "ip nat inside source list A pool B_C overload",
               "ip nat inside source list in pool 10_s overload", "ip nat inside source list shared pool a.b/c;d overload")
    text = topo.r1.cli("show ip nat rules")
    for line in ("A_B pool C", "A pool B_C", "in pool 10_s", "shared pool a.b/c;d"):
        assert f"ip nat inside source list {line} overload" in text
    chains = topo.r1.run("nft", "list", "table", "inet", f"rtr_{topo.r1.instance}").stdout
    assert "10.9.0.1, 10.9.0.9" in chains and "10.9.0.3, 10.9.0.9" in chains
    topo.r1.config(["no ip nat inside source list A_B pool C overload", "no ip nat inside source list in pool 10_s overload"])
    assert "10.9.0.1, 10.9.0.9" not in topo.r1.run("nft", "list", "table", "inet", f"rtr_{topo.r1.instance}").stdout


def test_removed_it_leaves_nothing(net):
    topo = net(serve=())
    before = topo.r1.run("sysctl", "net.ipv4.ip_local_port_range", "net.netfilter.nf_conntrack_tcp_loose",
                         "net.ipv4.ip_local_reserved_ports").stdout
    lines = [*OVERLOAD, *FORWARD, "ip nat pool P 198.51.100.50 198.51.100.57 prefix-length 24",
             "ip nat pool ROUTED 198.51.102.8 198.51.102.11 prefix-length 24",
             "ip nat settings port-reserve 60000",
             "ipv6 nat inside source static 2001:db8:1::20 2001:db8:100::60"]
    topo.r1.config(lines)
    assert "57344\t65535" in topo.r1.run("sysctl", "net.ipv4.ip_local_port_range").stdout
    assert "198.51.100.57/32" in topo.r1.ip("addr", "show", "dev", "eth1").stdout
    assert "198.51.102.8/30" in topo.r1.ip("route", "show", "table", "local").stdout
    assert "masquerade" in topo.r1.run("nft", "list", "ruleset").stdout
    topo.r1.config([f"no {line}" for line in lines])
    assert topo.r1.run("sysctl", "net.ipv4.ip_local_port_range", "net.netfilter.nf_conntrack_tcp_loose",
                       "net.ipv4.ip_local_reserved_ports").stdout == before
    table = topo.r1.ip("route", "show", "table", "local").stdout
    assert "198.51.100.5" not in table and "198.51.102" not in table
    assert "nat_" not in topo.r1.run("nft", "list", "ruleset").stdout
    wait_for(lambda: "matches" in topo.r1.cli("show kernel drift"), what="no drift")


def test_restart_adopts(net):
    topo = net(*OVERLOAD, *FORWARD, serve=("far", "a"))

    def bare():
        return re.sub(r"packets \d+ bytes \d+", "", topo.r1.run("nft", "-a", "list", "ruleset").stdout)

    topo.r1.cli("write memory")
    with sock(topo.a, "tcp", fam=socket.AF_INET) as s:
        s.connect((FAR4, 7))
        before = bare()
        topo.r1.kill9(topo.r1.daemon_pid())
        wait_for(lambda: topo.r1.cli("show version", check=False).strip(), what="the new rtrd")
        assert bare() == before
    assert FAST  # ranges as documented
    assert ask(topo.a, "tcp", FAR4, 7)[0] == PUBLIC[0]


# ---- show ----

def test_hits_of_static_lines(net):
    """Each kind of line counts the connections that it translates, whoever opens them; a commit that leaves it alone
    does not begin anew."""
    host = ("ip nat inside source static 10.0.1.20 198.51.100.60", "ipv6 nat inside source static 2001:db8:1::20 2001:db8:100::60")
    topo = net(*FORWARD, *OVERLOAD, *host, "ip nat inside source static network 10.0.2.0 198.51.100.64 /27",
               "ip nat inside source static udp 10.0.1.10 7000-7100 interface eth1 7000-7100",
               "ip nat outside source static 203.0.113.10 10.77.0.10",
               "ipv6 nat inside source static network 2001:db8:2:: 2001:db8:bad:: /64",
               serve=("far", "a", "b"))
    topo.isp.ip("-6", "route", "add", "2001:db8:bad::/64", "via", "2001:db8:100::2")
    ranged = Echo(topo.a, 7050)

    def count(family):
        return {r["line"]: r["connections"] for r in topo.r1.json(f"show {family} nat rules")["rules"]}

    assert set(count("ip").values()) == set(count("ipv6").values()) == {0}
    for _ in range(2):
        assert ask(topo.isp, "tcp", PUBLIC[0], 8080)[0] == "198.51.100.1"
        assert ask(topo.far, "udp", PUBLIC[1], 8080)[0] == FAR6
    assert ask(topo.isp, "udp", PUBLIC[0], 7050)[0] == "198.51.100.1"
    assert ask(topo.isp, "tcp", host[0].split()[-1], 7)[0] == "198.51.100.1"
    assert ask(topo.b, "udp", "10.77.0.10", 7)[0] == host[0].split()[-1]
    assert ask(topo.b, "tcp", FAR6, 7)[0] == host[1].split()[-1]
    assert ask(topo.c, "tcp", FAR4, 7)[0] == "198.51.100.74"
    assert ask(topo.c, "tcp", FAR6, 7)[0] == "2001:db8:bad::10"
    # What was read less than 200 ms ago is shown again.
    seen4 = {FORWARD[0]: 2, "ip nat inside source static udp 10.0.1.10 7000-7100 interface eth1 7000-7100": 1, host[0]: 2,
             "ip nat inside source static network 10.0.2.0 198.51.100.64 /27": 1,
             "ip nat outside source static 203.0.113.10 10.77.0.10": 1}
    seen6 = {FORWARD[3]: 2, host[1]: 1, "ipv6 nat inside source static network 2001:db8:2:: 2001:db8:bad:: /64": 1}
    for f, want in (("ip", seen4), ("ipv6", seen6)):
        wait_for(lambda f=f, want=want: {k: n for k, n in count(f).items() if n} == want, what=f"hits of {want}")
    # Others come and go.
    topo.r1.config([f"no {FORWARD[1]}", "ip nat inside source static tcp 10.0.1.10 9 interface eth1 9",
                    f"no {OVERLOAD[1]}"])
    assert ask(topo.isp, "tcp", PUBLIC[0], 8080)[0] == "198.51.100.1"
    wait_for(lambda: count("ip")[FORWARD[0]] == 3, what="one more hit")
    then = count("ip")
    assert then[host[0]] == 2 and count("ipv6")[FORWARD[3]] == 2
    stat = topo.r1.json("show ip nat statistics")
    del then[OVERLOAD[0]]
    assert {m["line"]: m["connections"] for m in stat["static_mappings"]} == then
    assert stat["hits"] == sum(then.values())
    assert "Static mappings:\n" in topo.r1.cli("show ip nat statistics")
    assert f"{FORWARD[0]} refcount 3\n" in topo.r1.cli("show ip nat statistics")
    topo.r1.cli("clear ip nat statistics")
    assert set(count("ip").values()) == {0}
    ranged.close()


def test_show(net):
    topo = net(*OVERLOAD, "ip nat inside source static tcp 10.0.1.10 80 interface eth1 8080",
               "ip nat pool P 198.51.100.50 198.51.100.57 prefix-length 24",
               "ip access-list extended ECHO", "permit udp any any eq 7", "exit",
               "ip nat inside source policy 3 list ECHO pool P overload")
    for _ in range(3):
        ask(topo.a, "udp", FAR4, 7)
    ask(topo.b, "tcp", FAR4, 7)
    rules = topo.r1.json("show ip nat rules")
    assert [(r["kind"], r.get("connections")) for r in rules["rules"]] == \
        [("port forward", 0), ("policy", 3), ("interface", 1)]
    assert rules["ports"]["kernel"] == ["40960-57343"]
    pools = topo.r1.json("show ip nat pools")
    assert [(p["name"], p["total"], p["allocated"], p["connections"]) for p in pools] == [("P", 8, 1, 3)]
    stat = topo.r1.json("show ip nat statistics")
    assert stat["outside_interfaces"] == ["eth1"] and stat["inside_interfaces"] == ["eth0", "eth2"]
    assert stat["static"] == 1 and stat["dynamic"] == 4
    assert "198.51.100.2:8080" in topo.r1.cli("show ip nat translations")
    assert "policy                      3  ip nat inside source policy 3 list ECHO" in topo.r1.cli("show ip nat rules")
    assert "8          1 (12%)            3" in topo.r1.cli("show ip nat pools")
