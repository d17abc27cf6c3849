# SPDX-License-Identifier: GPL-2.0-or-later
"""What plain kernel NAT leaks or answers when packets belong to no flow that it knows - after a
restart, from the fast plane, from before NAT - and the guard chains that keep it from that."""

import pytest

from nat_lab import FAST, KERNEL, OVERLOAD, PUBLIC, hits, lab, plane  # noqa: F401
from nssock import Echo, ask, icmp, ipv4, send_raw, sock, tcp, udp
from topo import wait_for

A, FAR = "10.0.1.10", "203.0.113.10"
WAN = PUBLIC[0]
INSIDE = "net 10.0.0.0/16"


@pytest.fixture
def net(routers, plane):  # noqa: F811
    services = []

    def make(*lines):
        topo = lab(routers, *lines, plane=plane)
        topo.isp.ip("route", "add", "10.0.0.0/16", "via", WAN)
        services.append(Echo(topo.far, 7))
        return topo

    yield make
    for s in services:
        s.close()


def lines(capture):
    return [p for p in capture.packets if p.strip()]


def fence(topo):
    """Everything sent before has been through r1 when this has come back."""
    topo.a.ping(FAR, count=1)


def test_unknown_flows_do_not_leave(net):
    """RST, FIN, data and ICMP errors of flows that nobody knows stay here."""
    topo = net(*OVERLOAD)
    fence(topo)
    quoted = ipv4(FAR, A, 17, udp(7, 5555))
    with topo.isp.tcpdump("eth0", f"src {INSIDE} or tcp or ( icmp and icmp[0] == 3 )") as out:
        for flags in ("R", "FA", "A", "PA", "SA", "RA"):
            send_raw(topo.a, ipv4(A, FAR, 6, tcp(A, FAR, 5555, 7, flags, ack=1)))
        for kind, code in ((3, 3), (3, 1), (11, 0)):
            send_raw(topo.a, ipv4(A, FAR, 1, icmp(kind, code, data=quoted)))
        send_raw(topo.a, ipv4(A, FAR, 1, icmp(0, 0, ident=77)))
        fence(topo)
    assert lines(out) == []
    assert hits(topo.r1, "ct state invalid counter") >= 6


def test_answers_to_who_came_untranslated_do_not_leave(net):
    """A host outside with a route to the inside opens connections there past NAT: no answer of them
    leaves. Who came by a forward, or to what no line translates, is answered."""
    topo = net(*OVERLOAD, "ip access-list extended LAN", "5 deny ip host 10.0.1.20 any", "exit",
               "ip nat inside source static tcp 10.0.1.10 7 interface eth1 8080")
    topo.isp.ip("-6", "route", "add", "2001:db8:1::/64", "via", PUBLIC[1])
    services = [Echo(topo.a, 7), Echo(topo.b, 7)]
    fence(topo)
    with topo.isp.tcpdump("eth0", f"src {INSIDE} or src net 2001:db8:1::/64") as out:
        for proto in ("tcp", "udp"):
            for addr in (A, "2001:db8:1::10"):
                assert ask(topo.far, proto, addr, 7, timeout=0.2) == "timeout"
        topo.far.ping(A, count=1, timeout=0.2, check=False)
        fence(topo)
    assert [p for p in lines(out) if "> ff02:" not in p] == []
    dropped = topo.r1.json("show ip nat rules")["dropped"]
    assert dropped["leak"] >= 5
    assert ask(topo.far, "tcp", WAN, 8080)[0] == FAR
    assert ask(topo.far, "tcp", "10.0.1.20", 7)[0] == FAR
    for s in services:
        s.close()


def test_new_datagrams_get_a_port_of_the_plane(net):
    topo = net(*OVERLOAD)
    fence(topo)
    with topo.isp.tcpdump("eth0", "udp") as out:
        send_raw(topo.a, ipv4(A, FAR, 17, udp(20000, 9)))
        fence(topo)
    ports = [int(p.split(f"{WAN}.")[1].split()[0]) for p in lines(out)]
    assert len(ports) == 1 and ports[0] in topo.ports and (topo.plane == "fast" or ports[0] != 20000)


def test_answers_of_unknown_flows_are_not_answered(net):
    """No RST and no ICMP error for what arrives at a port of the fast plane, or as part of a TCP
    connection that is gone; the sender may be talking to a flow of the other plane."""
    topo = net(*OVERLOAD)
    fence(topo)
    with topo.isp.tcpdump("eth0", f"ip and src {WAN}") as out:
        for port in (FAST[0], FAST[-1], 33333):
            for flags in ("S", "SA", "A", "FA", "R", "PA"):
                send_raw(topo.far, ipv4(FAR, WAN, 6, tcp(FAR, WAN, 7, port, flags, ack=1)))
            send_raw(topo.far, ipv4(FAR, WAN, 17, udp(7, port)))
            send_raw(topo.far, ipv4(FAR, WAN, 1, icmp(0, 0, ident=port)))
        # In the kernel's range: what cannot be the start of a connection.
        for flags in ("SA", "A", "FA", "PA"):
            send_raw(topo.far, ipv4(FAR, WAN, 6, tcp(FAR, WAN, 7, KERNEL[0], flags, ack=1)))
        topo.isp.run("ping", "-qc1", WAN, check=False)
    assert [p for p in lines(out) if "echo" not in p] == []
    # The guards do not shut out what is for the box: its answer to a request of any id.
    for ident in (20000, 50000):
        with topo.isp.tcpdump("eth0", f"src {WAN} and icmp[0] == 0") as out:
            send_raw(topo.far, ipv4(FAR, WAN, 1, icmp(8, 0, ident=ident)))
            topo.far.ping(WAN, count=1)
        assert len(lines(out)) == 2
    assert ask(topo.far, "tcp", WAN, 9) == "refused"


def test_untracked_packets_do_not_leave(net):
    """Somebody's notrack rule takes packets away from NAT: they are dropped, not sent as they are."""
    topo = net(*OVERLOAD)
    fence(topo)
    topo.r1.run("nft", "add table ip foreign; add chain ip foreign raw { type filter hook prerouting priority -300; }; "
                "add rule ip foreign raw udp dport 9 notrack")
    with topo.isp.tcpdump("eth0", f"src {INSIDE}") as out:
        send_raw(topo.a, ipv4(A, FAR, 17, udp(5000, 9)))
        fence(topo)
    assert lines(out) == []
    out = topo.r1.run("nft", "list", "chain", "inet", f"rtr_{topo.r1.instance}", "nat_leak4").stdout
    assert "packets 1 " in out


def test_flows_from_before_nat_end(net):
    """A flow that began untranslated does not go on so: it begins anew, translated."""
    topo = net("ip nat inside source static 10.0.1.20 198.51.100.60")
    with sock(topo.a, "udp", A, 5000, timeout=0.2) as s:
        s.connect((FAR, 7))
        s.send(b"x")
        assert s.recv(100).startswith(b"10.0.1.10 ")
        topo.r1.config(OVERLOAD)

        def translated():
            s.send(b"x")
            try:
                return s.recv(100).decode().startswith(WAN)
            except TimeoutError:
                return False
        wait_for(translated, 3, "the flow translated")


def test_connections_survive_unrelated_commits(net):
    topo = net(*OVERLOAD, "ip nat inside source static tcp 10.0.1.10 80 interface eth1 8080")
    socks = []
    for node in (topo.a, topo.c):
        s = sock(node, "udp", fam=2)
        s.connect((FAR, 7))
        s.send(b"x")
        socks.append((s, s.recv(100)))
    topo.r1.config(["ip nat inside source static tcp 10.0.1.20 81 interface eth1 8081",
                    "ip access-list extended LAN", "15 deny ip host 10.0.1.99 any"])
    for s, seen in socks:
        s.send(b"x")
        assert s.recv(100) == seen
        s.close()


def test_a_forward_that_goes_ends_its_connections(net):
    topo = net(*OVERLOAD, "ip nat inside source static udp 10.0.1.10 7 interface eth1 8080")
    echo = Echo(topo.a, 7)
    with sock(topo.far, "udp", FAR, 5000, timeout=0.2) as s:
        s.connect((WAN, 8080))
        s.send(b"x")
        s.recv(100)
        topo.r1.config(["no ip nat inside source static udp 10.0.1.10 7 interface eth1 8080"])

        def ended():
            try:
                s.send(b"x")
                s.recv(100)
            except ConnectionRefusedError:
                return True
            except TimeoutError:
                pass
            return False
        wait_for(ended, 3, "the end of the forwarded flow")
    echo.close()


def test_error_of_the_box_names_no_inside_address(net):
    """RFC 5508 REQ-5: what the box itself reports about a forwarded packet quotes it as it came."""
    topo = net(*OVERLOAD, "ip nat inside source static udp 10.0.1.10 9 interface eth1 9009")
    fence(topo)
    with topo.isp.tcpdump("eth0", f"src {WAN} and icmp[0] == 11 -vv -x") as out:
        send_raw(topo.far, ipv4(FAR, WAN, 17, udp(5000, 9009), ttl=2))
        fence(topo)
    text = " ".join(lines(out))
    assert f"{FAR}.5000 > {WAN}.9009" in text and "10.0.1.10" not in text


ZONES = ["zone security IN", "zone security OUT", "exit",
         "interface eth0", "zone-member security IN", "interface eth2", "zone-member security IN",
         "interface eth1", "zone-member security OUT", "exit",
         "ip access-list extended SERVER", "permit udp any host 10.0.1.10 eq 9", "exit",
         "class-map type inspect match-any TO-SERVER", "match access-group name SERVER", "exit",
         "class-map type inspect match-any ALL", "match protocol tcp", "match protocol udp", "match protocol icmp",
         "exit", "policy-map type inspect OPEN", "class type inspect ALL", "inspect", "exit", "exit",
         "policy-map type inspect SERVERS", "class type inspect TO-SERVER", "inspect", "exit", "exit",
         "zone-pair security IN-OUT source IN destination OUT", "service-policy type inspect OPEN", "exit",
         "zone-pair security OUT-IN source OUT destination IN", "service-policy type inspect SERVERS", "exit"]


def test_with_zones(net):
    """Zones see inside addresses: the pair names the server, not the public address; what NAT does not
    lead inside meets the closed box, which says nothing."""
    topo = net(*OVERLOAD, "ip nat inside source static udp 10.0.1.10 9 interface eth1 9009",
               "ip nat inside source static udp 10.0.1.10 10 interface eth1 9010")
    topo.r1.config(ZONES)
    echos = [Echo(topo.a, 9), Echo(topo.a, 10)]
    for kind in ("tcp", "udp"):
        assert ask(topo.a, kind, FAR, 7)[0] == WAN
    assert ask(topo.far, "udp", WAN, 9009)[0] == FAR
    assert ask(topo.far, "udp", WAN, 9010, timeout=0.3) == "timeout"
    assert ask(topo.far, "tcp", WAN, 22, timeout=0.3) == "timeout"
    # Hairpin stays within the zone.
    assert ask(topo.b, "udp", WAN, 9010)[0] == WAN
    assert ask(topo.c, "udp", WAN, 9009)[0] == WAN
    for e in echos:
        e.close()
