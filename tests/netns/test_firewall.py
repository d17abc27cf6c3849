# SPDX-License-Identifier: GPL-2.0-or-later
"""The firewall with real clients, IPv4 and IPv6: each kind of rule once where it lets something
through and once where it does not; zones, the box itself, hours, limits, logs, helpers."""
import json
import os
import re
import signal
import socket
import time

import pytest

from clients import BOX_LAN, BOX_WAN, LAN, WAN, Server, make, silent, tcp, udp
from router import RUN_DIR, CliError
from topo import router_lines, sh, wait_for


@pytest.fixture
def net(routers):
    topo = routers("basic")
    topo.r1.config(router_lines(topo.spec, "r1"))
    wait_for(lambda: topo.lan.ping(WAN[6], 1, check=False) == 1, what="IPv6 through the router")
    assert topo.lan.ping(WAN[4], 1) == 1
    topo.server = Server(topo.wan, [80, 81, 443, 5000])
    topo.box = Server(topo.r1, [22, 8080])
    yield topo
    topo.server.close()
    topo.box.close()


def set_list(r1, version, lines, where="interface eth0", direction="in"):
    """The lines are the list T, anew, at an interface."""
    kind, bind = (("ip access-list extended", "ip access-group") if version == 4
                  else ("ipv6 access-list", "ipv6 traffic-filter"))
    r1.config([where, f"no {bind} T {direction}", "exit", f"no {kind} T", f"{kind} T", *lines, "exit",
               where, f"{bind} T {direction}"])


def tos(value):
    def setup(s):
        if s.family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, value)
        else:
            s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, value)
    return setup


def ttl(value):
    def setup(s):
        if s.family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, value)
        else:
            s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, value)
    return setup


@pytest.mark.parametrize("v", [4, 6])
def test_rules(net, v):
    r1, lan, server = net.r1, net.lan, net.server
    ip, bind = ("ip", "ip access-group") if v == 4 else ("ipv6", "ipv6 traffic-filter")
    src, dst = LAN[v], WAN[v]
    wide = src.rsplit(".", 1)[0] + ".0/24" if v == 4 else "2001:db8:1::/64"
    other = "203.0.113.10" if v == 4 else "2001:db8:203::10"

    def t(port, **kw):
        return tcp(lan, dst, port, **kw)

    def u(port, **kw):
        return udp(lan, server, dst, port, **kw)

    r1.config(["object-group network NETS", f"host {src}", "host 192.0.2.1", "exit",
               "object-group network FAR", "host 192.0.2.9", "host 2001:db8::9", "exit",
               "object-group service SVC", "tcp eq 80", "udp eq 81", "exit"])
    cases = [
        ([f"permit tcp any any eq 80"], lambda: t(80), lambda: t(81)),
        ([f"permit tcp any any range 81 443"], lambda: t(443), lambda: t(80)),
        ([f"permit tcp any any neq 80"], lambda: t(81), lambda: t(80)),
        ([f"permit tcp any any eq 80,443"], lambda: t(443), lambda: t(81)),
        ([f"permit tcp any lt 2000 any"], lambda: t(80, sport=1999), lambda: t(80, sport=2000)),
        ([f"permit udp any any gt 80"], lambda: u(81), lambda: u(80)),
        ([f"permit {ip} host {src} any"], lambda: t(80), None),
        ([f"permit {ip} any host {dst}"], lambda: u(80), lambda: tcp(lan, other, 80)),
        ([f"deny {ip} {wide} any", f"permit {ip} any any"], None, lambda: t(80)),
        ([f"permit {ip} address-range {src} {src} any"], lambda: t(80), None),
        ([f"permit {ip} object-group NETS any"], lambda: t(80), None),
        ([f"permit {ip} object-group FAR any"], None, lambda: t(80)),
        (["permit object-group SVC any any"], lambda: u(81), lambda: u(80)),
        (["permit object-group SVC any any"], lambda: t(80), lambda: t(81)),
        (["permit icmp any any"], lambda: lan.ping(dst, 1, timeout=1, check=False) and "open", lambda: t(80)),
        (["permit tcp any any dscp ef"], lambda: t(80, setup=tos(46 << 2)), lambda: t(80)),
        (["permit tcp any any ttl lt 20"], lambda: t(80, setup=ttl(19)), lambda: t(80, setup=ttl(20))),
        (["permit udp any any length lt 200"], lambda: u(80, size=50), lambda: u(80, size=200)),
        (["permit tcp any any match-all +syn -ack"], lambda: t(80), None),
        (["permit tcp any any established"], None, lambda: t(80)),
        (["permit tcp any any state new"], lambda: t(80), None),
        ([f"10 deny tcp any any eq 80", f"20 permit {ip} any any"], lambda: t(81), lambda: t(80)),
    ]
    for lines, yes, no in cases:
        set_list(r1, v, lines)
        if yes:
            assert yes() == "open", lines
        if no:
            assert silent(no), lines
    set_list(r1, v, ["reject tcp any any eq 80", "reject udp any any eq 80", f"permit {ip} any any"])
    assert t(80) == "refused"
    assert u(80) in ("prohibited", "refused")
    assert t(81) == "open"
    # The list judges what is for the box, too; out judges what leaves, and not the box itself.
    set_list(r1, v, ["permit tcp any any eq 22"])
    assert tcp(lan, BOX_LAN[v], 22) == "open"
    assert silent(lambda: tcp(lan, BOX_LAN[v], 8080))
    r1.config(["interface eth0", f"no {bind} T in"])
    set_list(r1, v, ["permit tcp any any eq 81"], where="interface eth1", direction="out")
    assert t(81) == "open" and silent(lambda: t(80))
    assert tcp(r1, dst, 80) == "open"


ZONES = """
zone security INSIDE
zone security OUTSIDE
interface eth0
zone-member security INSIDE
interface eth1
zone-member security OUTSIDE
""".strip().splitlines()


def test_zones(net):
    r1, lan, wan, server = net.r1, net.lan, net.wan, net.server
    lan_server = Server(lan, [80, 81])
    r1.config(ZONES)
    for v in (4, 6):
        assert silent(lambda: tcp(lan, WAN[v], 80))
        assert silent(lambda: tcp(lan, BOX_LAN[v], 22))
        assert silent(lambda: tcp(wan, BOX_WAN[v], 22))
        assert tcp(r1, WAN[v], 80) == "open"
    r1.config("""
class-map type inspect match-any WEB
match protocol http
class-map type inspect match-any OTHER
match access-group name LIST
class-map type inspect match-all NARROW
match protocol tcp
match access-group name LIST
ip access-list extended LIST
permit tcp any any eq 443
permit udp any any eq 443
ipv6 access-list LIST
permit tcp any any eq 443
permit udp any any eq 443
policy-map type inspect OUT
class type inspect WEB
inspect
class type inspect NARROW
inspect
class type inspect class-default
reject
zone-pair security IN-OUT source INSIDE destination OUTSIDE
service-policy type inspect OUT
policy-map type inspect BOX
class type inspect WEB2
inspect
class-map type inspect match-any WEB2
match access-group name SSH
ip access-list extended SSH
permit tcp any any eq 22
ipv6 access-list SSH
permit tcp any any eq 22
zone-pair security IN-BOX source INSIDE destination self
service-policy type inspect BOX
""".strip().splitlines())
    for v in (4, 6):
        assert tcp(lan, WAN[v], 80) == "open"
        assert tcp(lan, WAN[v], 443) == "open"
        assert udp(lan, server, WAN[v], 443) in ("prohibited", "refused")
        assert tcp(lan, WAN[v], 81) == "refused"
        assert silent(lambda: tcp(wan, LAN[v], 80))
        assert tcp(lan, BOX_LAN[v], 22) == "open"
        assert silent(lambda: tcp(lan, BOX_LAN[v], 8080))
        assert silent(lambda: tcp(wan, BOX_WAN[v], 22))
    # pass: one direction, without its answers; a pair for them lets them through.
    r1.config(["policy-map type inspect OUT", "class type inspect WEB", "pass"])
    for v in (4, 6):
        assert silent(lambda: tcp(lan, WAN[v], 80))
    r1.config("""
ip access-list extended ANSWERS
permit tcp any eq 80 any
ipv6 access-list ANSWERS
permit tcp any eq 80 any
class-map type inspect match-any BACK
match access-group name ANSWERS
policy-map type inspect IN
class type inspect BACK
pass
zone-pair security OUT-IN source OUTSIDE destination INSIDE
service-policy type inspect IN
""".strip().splitlines())
    for v in (4, 6):
        assert tcp(lan, WAN[v], 80) == "open"
    # A management zone is open to the box; one zone is open within itself.
    r1.config(["zone security OUTSIDE", "management"])
    for v in (4, 6):
        assert tcp(wan, BOX_WAN[v], 22) == "open"
    r1.config(["interface eth1", "zone-member security INSIDE"])
    for v in (4, 6):
        assert tcp(wan, LAN[v], 81) == "open"
        assert tcp(wan, BOX_WAN[v], 22) == "open"
    lan_server.close()


def matches(r1, name, seq, version=4):
    rules = r1.json(f"show {'ip access-lists' if version == 4 else 'ipv6 access-list'} {name}")[0]["rules"]
    return next(r["matches"] for r in rules if r["seq"] == seq)


def test_labels_in_the_table(net):
    """Zone pair, rule and interfaces of connections: shown, filtered, cleared."""
    r1, lan, wan = net.r1, net.lan, net.wan
    r1.config([*ZONES, "zone security EMPTY", "class-map type inspect match-any WEB", "match protocol http",
               "policy-map type inspect OUT", "class type inspect WEB", "inspect", "exit", "exit",
               "zone-pair security IN-OUT source INSIDE destination OUTSIDE",
               "service-policy type inspect OUT", "exit",
               "zone-pair security BOX-OUT source self destination OUTSIDE",
               "service-policy type inspect OUT"])
    for v in (4, 6):
        held = tcp(lan, WAN[v], 80, keep=True)
        own = tcp(r1, WAN[v], 80, keep=True)
        words = f"ipv{v} dport 80"
        (e,) = r1.json(f"show conntrack {words} source {LAN[v]}")
        assert (e["zone_pair"], e["rule"], e["input"], e["output"]) == (
            "IN-OUT", "IN-OUT class WEB", "eth0", "eth1")
        for pick, n in (("zone INSIDE", 1), ("zone OUTSIDE", 0), ("zone EMPTY", 0), ("zone self", 1),
                        ("interface eth0", 1), ("interface eth1", 1), ("zone INSIDE interface eth1", 1)):
            assert r1.json(f"show conntrack {words} {pick} count")["connections"] == n, pick
        r1.cli("clear conntrack zone OUTSIDE")
        assert len(r1.json(f"show conntrack {words}")) == 2
        r1.cli("clear conntrack zone INSIDE")
        assert [x["zone_pair"] for x in r1.json(f"show conntrack {words}")] == ["BOX-OUT"]
        held.close()
        own.close()
    r1.config(["ip access-list extended IN", "5 permit tcp any any eq 80", "ipv6 access-list IN",
               "5 permit tcp any any eq 80", "exit", "interface eth0", "ip access-group IN in",
               "ipv6 traffic-filter IN in"])
    for v in (4, 6):
        held = tcp(lan, WAN[v], 80, keep=True)
        (e,) = r1.json(f"show conntrack ipv{v} dport 80 zone INSIDE")
        assert (e["zone_pair"], e["rule"]) == ("IN-OUT", "IN 5")
        held.close()
    for command, what in (("show object-group", "object-group"), ("show time-range", "time-range"),
                          ("show access-lists", "access list"), ("clear ip access-list counters", "access list")):
        with pytest.raises(CliError, match=f"There is no {what} NONE"):
            r1.cli(f"{command} NONE")
    with pytest.raises(CliError, match="no zone NOWHERE"):
        r1.cli("show conntrack zone NOWHERE")
    with pytest.raises(CliError, match="no interface eth9"):
        r1.cli("show conntrack interface eth9")


def test_label_of_the_line_that_admitted(net):
    """Further packets of a connection without an answer are judged, and count, by the lines that there
    are; what it is labelled with stays."""
    r1, lan = net.r1, net.lan
    for v in (4, 6):
        set_list(r1, v, ["10 permit udp any any eq 5009", "20 permit tcp any any log"])
        s = make(lan, WAN[v], socket.SOCK_DGRAM)
        s.connect((WAN[v], 5009))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

        def send():
            try:
                s.send(b"x")
            except ConnectionRefusedError:
                s.send(b"x")  # what the closed port said to the one before

        send()
        find = f"show conntrack ipv{v} source {LAN[v]} dport 5009"
        wait_for(lambda: [e.get("rule") for e in r1.json(find)] == ["T 10"], what="the connection")
        r1.config(["ip access-list extended T" if v == 4 else "ipv6 access-list T", "5 permit udp any any"])
        send()
        wait_for(lambda: matches(r1, "T", 5, v) == 1, what="a hit of the new line")
        assert [e.get("rule") for e in r1.json(find)] == ["T 10"]
        assert matches(r1, "T", 10, v) == 1
        s.close()


def test_counters_and_numbers(net):
    r1, lan = net.r1, net.lan
    set_list(r1, 4, ["remark web", "permit tcp any any eq 80", "deny ip any any log"])
    set_list(r1, 6, ["permit tcp any any eq 80"])
    for _ in range(3):
        assert tcp(lan, WAN[4], 80) == "open"
    assert tcp(lan, WAN[6], 80) == "open"
    assert silent(lambda: tcp(lan, WAN[4], 81))
    wait_for(lambda: matches(r1, "T", 20) == 3, what="three hits")
    text = r1.cli("show access-lists")
    assert "Extended IP access list T\n" in text and "    10 remark web\n" in text
    assert re.search(r"    20 permit tcp any any eq 80 \(3 matches, last 00:00:\d\d\)\n", text)
    assert re.search(r"    30 deny ip any any log \(\d match(es)?, last 00:00:\d\d\)\n", text)
    assert "IPv6 access list T" in text and "IPv6" not in r1.cli("show ip access-lists T")
    # An edit beside a line leaves its count; clear starts anew.
    r1.config(["ip access-list extended T", "15 permit icmp any any"])
    assert matches(r1, "T", 20) == 3
    r1.cli("clear ip access-list counters T")
    assert matches(r1, "T", 20) == 0
    assert tcp(lan, WAN[4], 80) == "open"
    wait_for(lambda: matches(r1, "T", 20) == 1, what="one hit")
    r1.config(["ip access-list resequence T 100 5"])
    lines = re.findall(r"(?m)^ (\d+) (\w+)", r1.cli("show running-config | section ip access-list extended T"))
    assert lines == [("100", "remark"), ("105", "permit"), ("110", "permit"), ("115", "deny")]
    assert tcp(lan, WAN[4], 80) == "open"
    with pytest.raises(CliError, match="There is no access list NO"):
        r1.config(["ip access-list resequence NO"])
    with pytest.raises(CliError, match="There is no access list NO"):
        r1.cli("show access-lists NO")


def test_shows(net):
    r1, lan = net.r1, net.lan
    r1.config(ZONES + """
class-map type inspect match-any WEB
match protocol http
policy-map type inspect OUT
class type inspect WEB
inspect
zone-pair security IN-OUT source INSIDE destination OUTSIDE
service-policy type inspect OUT
object-group network N
host 10.9.9.9
time-range T
periodic daily 0:00 to 24:00
""".strip().splitlines())
    assert tcp(lan, WAN[4], 80) == "open"
    s = tcp(lan, WAN[6], 80, keep=True)
    assert "zone INSIDE" in r1.cli("show zone security") and "eth0" in r1.cli("show zone security INSIDE")
    assert "Source-Zone INSIDE  Destination-Zone OUTSIDE" in r1.cli("show zone-pair security")
    classes = r1.json("show policy-map type inspect zone-pair IN-OUT")[0]["classes"]
    assert classes[0]["class"] == "WEB" and classes[0]["matches"] == 2
    assert "inspect (2 matches" in r1.cli("show policy-map type inspect zone-pair")
    assert " host 10.9.9.9" in r1.cli("show object-group N")
    assert "time-range entry: T (active)" in r1.cli("show time-range")
    assert "IN-OUT" in r1.cli("show conntrack")
    assert "  Configured: zone-member security INSIDE\n" in r1.cli("show ip interface eth0")
    assert r1.json("show ipv6 interface eth0")[0]["configuration"] == ["zone-member security INSIDE"]
    assert "Configured:" not in r1.cli("show interfaces eth0")
    s.close()
    assert silent(lambda: tcp(lan, WAN[4], 81))
    wait_for(lambda: r1.json("show firewall drops")["no_zone_pair"]["packets"] > 0, what="a drop counted")


def alive(server, s):
    """Whether a byte sent into a connection of tcp(keep=True) is taken by the server's end."""
    s.send(b"x")
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        for listener in server.tcp:  # the end of its handshake may be on its way
            try:
                server.conns.append(listener.accept()[0])
            except BlockingIOError:
                pass
        for c in server.conns:
            c.setblocking(False)
            try:
                if c.getpeername()[1] == s.getsockname()[1] and c.recv(16):
                    return True
            except BlockingIOError:
                pass
        time.sleep(0.005)
    return False


def test_recheck(net):
    """A commit ends what it denies, at once, and nothing else."""
    r1, lan, server = net.r1, net.lan, net.server
    server.conns = []
    for v in (4, 6):
        set_list(r1, v, ["permit tcp any any eq 80", "permit tcp any any eq 81 dscp default",
                         "permit tcp any any eq 443"])
    old = {(v, p): tcp(lan, WAN[v], p, keep=True) for v in (4, 6) for p in (80, 81, 443)}
    assert all(alive(server, s) for s in old.values())
    text = r1.config(["ip access-list extended T", "no 30", "exit", "ipv6 access-list T", "no 30"])
    judged, ended = map(sum, zip(*((int(a), int(b)) for a, b in
                                   re.findall(r"(\d+) sessions re-checked, (\d+) ended", text))))
    assert judged >= 6 and ended == 2, text
    assert [alive(server, old[v, p]) for v in (4, 6) for p in (80, 81, 443)] == [True, True, False] * 2
    # A line beside it, a description: nobody ends.
    text = r1.config(["ip access-list extended T", "5 remark x", "exit", "interface eth0", "description x"])
    assert " 0 ended" in text
    assert alive(server, old[4, 80]) and alive(server, old[6, 80])
    # Zones appear: what no pair permits ends.
    text = r1.config(ZONES)
    assert "ended" in text
    assert not alive(server, old[4, 80]) and not alive(server, old[6, 80])
    for s in [*old.values(), *server.conns]:
        s.close()


def test_recheck_after_a_restart(net):
    """rtrd ends in the middle of a commit and goes on from the journal of the one before: what only
    the lost one let in ends, the rest goes on."""
    r1, lan, server = net.r1, net.lan, net.server
    server.conns = []
    for v in (4, 6):
        set_list(r1, v, ["permit tcp any any eq 80"])
    files = [f"{RUN_DIR}/{r1.instance}/{name}" for name in ("running", "journal")]
    before = [open(f, "rb").read() for f in files]
    r1.config(["ip access-list extended T", "permit tcp any any eq 443", "exit",
               "ipv6 access-list T", "permit tcp any any eq 443"])
    held = {(v, p): tcp(lan, WAN[v], p, keep=True) for v in (4, 6) for p in (80, 443)}
    assert all(alive(server, s) for s in held.values())
    child = r1.daemon_pid()
    r1.kill9()
    wait_for(lambda: not os.path.exists(f"/proc/{child}"), what="the end of its child")
    for name, data in zip(files, before):
        with open(name, "wb") as f:
            f.write(data)
    r1.start()
    wait_for(lambda: "sessions re-checked, 2 ended" in r1.cli("show logging"), what="the second look")
    assert [alive(server, held[v, p]) for v in (4, 6) for p in (80, 443)] == [True, False] * 2
    for s in [*held.values(), *server.conns]:
        s.close()


def test_what_a_candidate_would_end(net):
    r1, lan, server = net.r1, net.lan, net.server
    for v in (4, 6):
        set_list(r1, v, ["permit tcp any any eq 80", "permit tcp any any eq 81 ttl gt 3"])
    held = [tcp(lan, WAN[v], p, keep=True) for v in (4, 6) for p in (80, 81)]
    n = r1.json("show conntrack count")["connections"]
    for lines, ends in ((["no 10"], 1), (["5 remark x"], 0), (["20 permit tcp any any eq 81 ttl gt 2"], 1)):
        out = r1.cli("configure candidate", "ip access-list extended T", *lines, "commit check", "abort")
        said = f"% Warning: this commit ends {ends} of {n} live sessions\n" in out
        assert said == bool(ends) and "The candidate is good." in out, out
    assert r1.json("show conntrack count")["connections"] == n
    # It does not stand in the way of commits, nor they in its.
    out = r1.cli("configure candidate", "ip access-list extended T", "no 10", "commit check", "commit", "end")
    assert "this commit ends 1 of" in out and ", 1 ended" in out, out
    for s in held:
        s.close()


def test_own_session(net):
    """A commit that would cut an SSH session off asks for a way back."""
    r1, lan = net.r1, net.lan
    s = tcp(lan, BOX_LAN[4], 22, keep=True)
    with pytest.raises(CliError, match="this would cut the SSH session from 10.0.1.10"):
        r1.config(["ip access-list extended T", "permit udp any any", "exit", "interface eth0",
                   "ip access-group T in"])
    assert tcp(lan, BOX_LAN[4], 8080) == "open"
    r1.cli("configure candidate", "ip access-list extended T", "permit udp any any", "interface eth0",
           "ip access-group T in", "commit confirmed 1")
    assert silent(lambda: tcp(lan, BOX_LAN[4], 8080))
    r1.cli("commit abort")
    wait_for(lambda: not silent(lambda: tcp(lan, BOX_LAN[4], 8080)), what="the way back")
    s.close()


def logged(r1, what):
    wait_for(lambda: re.search(what, r1.cli("show logging")), what=what)


def test_log(net):
    r1, lan, server = net.r1, net.lan, net.server
    for v in (4, 6):
        set_list(r1, v, ["10 permit tcp any any eq 80 log", "20 permit icmp any any log", "30 deny udp any any log",
                         "40 reject tcp any any eq 81 log log-rate 1"])
        a, b = re.escape(LAN[v]), re.escape(WAN[v])
        assert tcp(lan, WAN[v], 80) == "open"
        logged(r1, rf"%SEC-6-IPACCESSLOGP: list T 10 permitted tcp {a}\(\d+\) -> {b}\(80\), 1 packet \[eth0\]")
        lan.ping(WAN[v], 1)
        logged(r1, rf"%SEC-6-IPACCESSLOGDP: list T 20 permitted icmp\w* {a} -> {b} \((8|128)/0\)")
        assert silent(lambda: udp(lan, server, WAN[v], 5000))
        logged(r1, rf"list T 30 denied udp {a}\(\d+\) -> {b}\(5000\)")
        for _ in range(20):
            assert tcp(lan, WAN[v], 81) == "refused"
        logged(r1, rf"list T 40 rejected tcp {a}\(\d+\) -> {b}\(81\)")
    # One a minute, and the burst that a new line has.
    assert len(re.findall(r"list T 40 ", r1.cli("show logging"))) < 20
    r1.config(ZONES + ["policy-map type inspect P", "class type inspect class-default", "drop log",
                       "zone-pair security X source INSIDE destination OUTSIDE", "service-policy type inspect P"])
    assert silent(lambda: tcp(lan, WAN[4], 80))
    logged(r1, r"list X class class-default denied tcp")


def test_log_reader(net):
    """Logged packets are read outside rtrd, by a program that may do nothing else; what it has no time for is
    counted, and its end loses nothing that waits."""
    r1, lan = net.r1, net.lan
    set_list(r1, 4, ["10 deny udp any any eq 5000 log log-rate 100000", "20 deny udp any any log", "30 permit ip any any"])

    def reader():
        out = sh("pgrep", "-P", str(r1.proc.pid), "-x", "rtr-logd", check=False).stdout
        return [int(p) for p in out.split()]

    def deny(port, n=1):
        lan.run("python3", "-c", "import socket,sys\ns=socket.socket(2,2)\n"
                f"for i in range({n}): s.sendto(b'x', ('{WAN[4]}', {port}))")

    def dropped():
        """By the socket of the group, which is rtrd's."""
        return any(int(f[8]) for f in map(str.split, r1.run("cat", "/proc/net/netlink").stdout.splitlines()[1:])
                   if f[1] == "12")

    deny(4001)
    logged(r1, r"list T 20 denied udp .*\(4001\)")
    pid, = reader()
    status = open(f"/proc/{pid}/status").read()
    assert re.search(r"CapPrm:\s0+$", status, re.M) and re.search(r"CapEff:\s0+$", status, re.M), status
    if "asan" not in os.environ.get("RTR_BUILD_DIR", ""):
        assert re.search(r"Seccomp:\s2$", status, re.M), status
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: deny(5000, 20000) or dropped(), what="a full socket")  # more than the kernel logs at once
    os.kill(pid, signal.SIGCONT)
    # The number of the next that has room tells of them.
    wait_for(lambda: deny(5000) or r1.json("show firewall log")["lost"], what="the lost packets")
    logged(r1, r"%SEC-4-LOGLOST: \d+ packets of lines with log were lost before they could be read")
    # One that dies takes nothing along: what comes meanwhile waits.
    os.kill(pid, signal.SIGSTOP)
    deny(4002)
    os.kill(pid, signal.SIGKILL)
    logged(r1, r"list T 20 denied udp .*\(4002\)")
    assert reader() not in ([], [pid])
    logged(r1, r"%SEC-4-LOGD: rtr-logd ended")
    counts = r1.json("show firewall log")
    assert counts["starts"] == 2 and counts["state"] == "running" and not counts["unreadable"], counts
    assert re.search(rf"Packets lost before they could be read +{counts['lost']}\n", r1.cli("show firewall log"))


def test_log_reader_outlives_rtrd(net):
    """A reader that has not ended yet has the kernel's group: the next rtrd gets it when it is free."""
    r1, lan = net.r1, net.lan
    set_list(r1, 4, ["10 deny udp any any log log-rate 100000", "20 permit ip any any"])

    def deny(port):
        lan.run("python3", "-c", f"import socket\nsocket.socket(2,2).sendto(b'x', ('{WAN[4]}', {port}))")

    deny(4001)
    logged(r1, r"list T 10 denied udp .*\(4001\)")
    pid = int(sh("pgrep", "-P", str(r1.proc.pid), "-x", "rtr-logd").stdout)
    os.kill(pid, signal.SIGSTOP)
    r1.kill9(r1.daemon_pid())
    wait_for(lambda: r1.json("show firewall log")["state"] == "another has the group", what="rtrd without the group")
    logged(r1, r"%SEC-4-NOLOG: Lines with log are not logged while another program has the group of this instance")
    os.kill(pid, signal.SIGCONT)
    wait_for(lambda: r1.json("show firewall log")["state"] == "no packet yet", what="the group")
    deny(4002)
    logged(r1, r"list T 10 denied udp .*\(4002\)")


def test_limits(net):
    r1, lan, server = net.r1, net.lan, net.server
    for v in (4, 6):
        set_list(r1, v, ["permit tcp any any eq 80 limit-rate 1 burst 3 per-source",
                         "permit tcp any any eq 81 limit-connections 2 per-source", "permit udp any any limit-rate 1 burst 2",
                         "permit tcp any any eq 443"])
        got = [silent(lambda: tcp(lan, WAN[v], 80)) for _ in range(6)]
        # What the rate let in anew meanwhile is at most one.
        assert got[:3] == [False] * 3 and got.count(True) >= 2, got
        held = [tcp(lan, WAN[v], 81, keep=True) for _ in range(2)]
        assert silent(lambda: tcp(lan, WAN[v], 81))
        assert tcp(lan, WAN[v], 443) == "open"
        got = [silent(lambda: udp(lan, server, WAN[v], 80)) for _ in range(5)]
        assert got[:2] == [False] * 2 and True in got
        for s in held:
            s.close()
    wait_for(lambda: r1.json("show firewall drops")["limit"]["packets"] > 0, what="drops above the limit")


def test_limit_of_more_sources_than_there_is_room_for(net):
    """A source that cannot be counted is above the limit; those that are counted already go on."""
    r1, lan = net.r1, net.lan
    set_list(r1, 4, ["permit tcp any any eq 80 limit-rate 1000 per-source",
                     "permit tcp any any eq 81 limit-connections 1000 per-source"])
    assert tcp(lan, WAN[4], 80) == "open"
    sets = [o["set"] for o in json.loads(r1.run("nft", "-j", "list", "sets", "table", "inet", f"rtr_{r1.instance}").stdout)["nftables"]
            if o.get("set", {}).get("name", "").startswith("limit.")]
    assert len(sets) == 2, sets
    for s in sets:
        # 65,536 are as many as there may be.
        some = ", ".join(f"10.{9 + i // 65536}.{i // 256 % 256}.{i % 256}" for i in range(65536 - len(s.get("elem", []))))
        r1.run("nft", "-f", "-", input=f"add element inet {s['table']} {s['name']} {{ {some} }}\n")
    assert tcp(lan, WAN[4], 80) == "open"
    before = r1.json("show firewall drops")["limit"]["packets"]
    assert silent(lambda: tcp(lan, WAN[4], 81))
    wait_for(lambda: r1.json("show firewall drops")["limit"]["packets"] > before, what="drops above the limit")


def test_hours_and_sources(net):
    r1, lan = net.r1, net.lan
    r1.config(["time-range NIGHT", "absolute end 0:00 1 January 2020", "exit", "time-range EVER", "periodic daily 0:00 to 24:00"])
    for v in (4, 6):
        set_list(r1, v, ["permit tcp any any eq 80 time-range EVER", "permit tcp any any eq 81 time-range NIGHT"])
        assert tcp(lan, WAN[v], 80) == "open"
        assert silent(lambda: tcp(lan, WAN[v], 81))
    assert "(inactive)" in r1.cli("show access-lists")
    # Reverse path: a source of another interface, one of nowhere.
    r1.config(["interface eth0", "no ip access-group T in", "no ipv6 traffic-filter T in"])
    lan.ip("addr", "add", "198.51.100.77/32", "dev", "eth0")
    lan.ip("addr", "add", "2001:db8:100::77/128", "dev", "eth0", "nodad")
    before = r1.json("show firewall drops")["reverse_path"]["packets"]
    r1.config(["interface eth0", "ip verify unicast source reachable-via rx", "ipv6 verify unicast source reachable-via rx"])
    for v, spoofed in ((4, "198.51.100.77"), (6, "2001:db8:100::77")):
        assert lan.ping(WAN[v], 1, args=("-I", LAN[v])) == 1
        assert lan.ping(WAN[v], 1, timeout=1, args=("-I", spoofed), check=False) == 0
    wait_for(lambda: r1.json("show firewall drops")["reverse_path"]["packets"] >= before + 2, what="reverse path drops")
    with pytest.raises(CliError, match="allow-default"):
        r1.config(["interface eth1", "ip verify unicast source reachable-via rx"])


@pytest.mark.skipif(not os.environ.get("RTR_TEST_LONG"), reason="hours have minutes: up to a minute and a half")
@pytest.mark.seconds(210)
def test_hours_end_in_succession(net):
    """When a time range ends, so do the connections that it let in; the others go on, until the next one ends."""
    r1, lan, server = net.r1, net.lan, net.server
    server.conns = []
    now = int(r1.run("date", "+%s").stdout)
    for i, name in enumerate(("SOON", "LATER")):
        end = time.strftime("%H:%M %-d %B %Y", time.localtime((now + 90) // 60 * 60 + 60 * i))
        r1.config([f"time-range {name}", f"absolute end {end}"])
    for v in (4, 6):
        set_list(r1, v, ["permit tcp any any eq 80 time-range SOON", "permit tcp any any eq 81 time-range LATER",
                         "permit tcp any any eq 443"])
    ports = (80, 81, 443)
    held = {(v, p): tcp(lan, WAN[v], p, keep=True) for v in (4, 6) for p in ports}
    assert all(alive(server, s) for s in held.values())
    for n, living in ((1, [False, True, True]), (2, [False, False, True])):
        wait_for(lambda: r1.cli("show logging").count("%SEC-6-RECHECKED") == n, 100, f"the end of hour {n}")
        assert [alive(server, held[v, p]) for v in (4, 6) for p in ports] == living * 2
    for s in [*held.values(), *server.conns]:
        s.close()


def test_feasible_sources(net):
    """A source that another interface has the better route to: feasible takes it, rx does not."""
    r1, lan = net.r1, net.lan
    r1.config(["ip route 192.0.2.0/24 198.51.100.1", "ip route 192.0.2.0/24 10.0.1.10 200",
               "ip route 192.0.2.128/25 198.51.100.1", "ipv6 route 2001:db8:77::/48 2001:db8:100::1",
               "ipv6 route 2001:db8:77::/48 2001:db8:1::10 200", "ipv6 route 2001:db8:77:8000::/49 2001:db8:100::1"])
    sources = {4: ("192.0.2.77", "192.0.2.200", "192.0.3.1"),
               6: ("2001:db8:77::7", "2001:db8:77:8000::7", "2001:db8:78::7")}
    for v in (4, 6):
        for a in sources[v]:
            lan.ip("addr", "add", f"{a}/{32 if v == 4 else 128}", "dev", "eth0", *(["nodad"] if v == 6 else []))

    def dropped(v, source):
        before = r1.json("show firewall drops")["reverse_path"]["packets"]
        lan.ping(WAN[v], 1, timeout=0.2, args=("-I", source), check=False)
        return r1.json("show firewall drops")["reverse_path"]["packets"] > before

    for v, ip in ((4, "ip"), (6, "ipv6")):
        r1.config(["interface eth0", f"{ip} verify unicast source reachable-via rx"])
        assert all(dropped(v, a) for a in sources[v])
        r1.config(["interface eth0", f"{ip} verify unicast source reachable-via feasible"])
        assert [dropped(v, a) for a in sources[v]] == [False, False, True]
        assert lan.ping(WAN[v], 1, args=("-I", LAN[v])) == 1


def test_segment_size(net):
    r1, lan = net.r1, net.lan
    r1.config(["interface eth1", "ip tcp adjust-mss 1000", "ipv6 tcp adjust-mss 1100"])
    for v, mss in ((4, 1000), (6, 1100)):
        s = tcp(lan, WAN[v], 80, keep=True)
        assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= mss
        s.close()
    r1.config(["interface eth1", "mtu 1400", "ip tcp adjust-mss auto", "ipv6 tcp adjust-mss auto"])
    for v, mss in ((4, 1360), (6, 1340)):
        s = tcp(lan, WAN[v], 80, keep=True)
        assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= mss
        s.close()


def test_handshakes(net):
    """The server behind syn-protection sees clients only when they have answered."""
    r1, lan, wan = net.r1, net.lan, net.wan
    r1.config(ZONES + ["class-map type inspect match-any WEB", "match protocol http", "policy-map type inspect P",
                       "class type inspect WEB", "inspect",
                       "zone-pair security X source INSIDE destination OUTSIDE", "service-policy type inspect P"]
              + [f"firewall syn-protection {WAN[v]} port {p}" for v in (4, 6) for p in (80, 81)])
    for v in (4, 6):
        assert tcp(lan, WAN[v], 80) == "open"
        assert silent(lambda: tcp(lan, WAN[v], 81))
    # SYNs from nobody: these are not there to answer.
    nobody = {4: "203.0.113.99", 6: "2001:db8:203::99"}
    r1.config(["ip route 203.0.113.0/24 10.0.1.10", "ipv6 route 2001:db8:203::/48 2001:db8:1::10"])
    lan.run("nft", "add table inet mute; add chain inet mute in { type filter hook input priority 0; }; "
            f"add rule inet mute in ip daddr {nobody[4]} drop; add rule inet mute in ip6 daddr {nobody[6]} drop")
    wan.run("nft", "add table inet syn; add chain inet syn in { type filter hook input priority 0; }; "
            f"add rule inet syn in ip saddr {nobody[4]} counter; add rule inet syn in ip6 saddr {nobody[6]} counter")
    for v in (4, 6):
        lan.ip("addr", "add", f"{nobody[v]}/{32 if v == 4 else 128}", "dev", "lo")
        wait_for(lambda: "tentative" not in lan.run("ip", "addr", "show", "dev", "lo").stdout, what="the address")
        s = make(lan, WAN[v], socket.SOCK_STREAM)
        s.bind((nobody[v], 0))
        s.setblocking(False)
        s.connect_ex((WAN[v], 80))
        assert silent(lambda: tcp(lan, WAN[v], 81))
        s.close()
    assert wan.run("nft", "list", "chain", "inet", "syn", "in").stdout.count("counter packets 0 ") == 2
    assert "table ip6 rtr_" in r1.run("nft", "list", "tables").stdout
    r1.config([f"no firewall syn-protection {WAN[6]} port {p}" for p in (80, 81)])
    assert "table ip6" not in r1.run("nft", "list", "tables").stdout
    assert tcp(lan, WAN[6], 80) == "open" and tcp(lan, WAN[4], 80) == "open"


def test_quota_and_management(net):
    r1, lan, wan = net.r1, net.lan, net.wan
    r1.config(ZONES + ["exit", "zone security OUTSIDE", "management", "exit", "firewall host-sessions 3",
                       "policy-map type inspect P", "class type inspect class-default", "inspect",
                       "zone-pair security X source INSIDE destination OUTSIDE", "service-policy type inspect P"])
    for v in (4, 6):
        r1.cli("clear conntrack")
        held = [tcp(lan, WAN[v], 80, keep=True) for _ in range(3)]
        assert silent(lambda: tcp(lan, WAN[v], 80))
        # Management is not tracked: a full table does not keep it out.
        held.append(tcp(wan, BOX_WAN[v], 22, keep=True))
        ports = {c["destination_port"] for c in r1.json(f"show conntrack ipv{v}")}
        assert 80 in ports and 22 not in ports
        for s in held:
            s.close()


@pytest.mark.parametrize("helper", ["", " helper ftp"])
def test_helper(net, helper):
    """The data connection of active FTP comes in when, and only when, the line names the helper."""
    lan, wan = net.lan, net.wan
    net.r1.config(ZONES + ["ip access-list extended FTP", f"permit tcp any any eq ftp{helper}",
                           "class-map type inspect match-any C", "match access-group name FTP",
                           "policy-map type inspect P", "class type inspect C", "inspect",
                           "zone-pair security X source INSIDE destination OUTSIDE", "service-policy type inspect P"])
    server, data = Server(wan, [21]), Server(lan, [5001])
    control = tcp(lan, WAN[4], 21, keep=True)
    control.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # The helper reads lines from the one after the first newline that it sees.
    for line in (b"USER x\r\n", b"PORT 10,0,1,10,19,137\r\n"):
        control.send(line)
    if helper:
        assert tcp(wan, LAN[4], 5001, sport=20) == "open"
    else:
        assert silent(lambda: tcp(wan, LAN[4], 5001, sport=20))
    for s in (control, server, data):
        s.close()


def test_match_all_of_as_many_lists_as_there_may_be(routers):
    r1 = routers("basic").r1
    names = [f"L{i}" for i in range(6)]
    lists = [x for n in names for x in (f"ip access-list extended {n}", *["permit tcp any any eq 22 log"] * 12)]
    pair = ["zone security A", "zone security B", "policy-map type inspect P", "class type inspect C", "inspect log",
            "zone-pair security AB source A destination B", "service-policy type inspect P",
            "interface eth0", "zone-member security A"]
    r1.config([*lists, "class-map type inspect match-all C",
               *[f"match access-group name {n}" for n in names[:5]], *pair])
    with pytest.raises(CliError, match="a match-all class has at most 5 lines"):
        r1.config(["class-map type inspect match-all C", "match access-group name L5"])
