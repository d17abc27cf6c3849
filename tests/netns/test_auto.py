# SPDX-License-Identifier: GPL-2.0-or-later
"""DHCP client and router advertisements against a server, and hosts that configure themselves."""
import json
import os
import re

import pytest

from router import RUN_DIR, TOP, CliError
from test_neigh_dad import Watch, announced, dotted, mac_of, scapy
from topo import wait_for

WISH = {"mode": "ack", "address": "198.51.100.50", "len": 24, "server": "198.51.100.1", "lease": 3600,
        "router": "198.51.100.1", "dns": ["198.51.100.53", "203.0.113.53"], "domain": "example.net"}


class Server:
    """The DHCP server on the far host."""

    def __init__(self, host, folder):
        self.wish_file, self.log_file = f"{folder}/wish", f"{folder}/log"
        self.wish(**WISH)
        host.service("/usr/bin/python3", f"{TOP}/tests/lib/dhcp_server.py", "eth0", self.wish_file, self.log_file)
        wait_for(lambda: os.path.exists(self.log_file) and self.log(), what="the DHCP server")

    def wish(self, **changes):
        self.now = {**getattr(self, "now", {}), **changes}
        with open(f"{self.wish_file}.new", "w") as f:
            json.dump(self.now, f)
        os.rename(f"{self.wish_file}.new", self.wish_file)

    def log(self):
        with open(self.log_file) as f:
            return f.read().splitlines()


@pytest.fixture
def topo(routers, tmp_path):
    topo = routers("basic")
    topo.server = Server(topo.wan, tmp_path)
    topo.r1.config(["hostname r1", "interface eth0", "ip address 10.0.1.1/24", "ipv6 address 2001:db8:1::1/64",
                    "interface eth1", "ip address dhcp"])
    return topo


def has(r1, address):
    return address in r1.addresses("eth1")


def routes(r1):
    return r1.ip("route").stdout


def test_lease(topo):
    """Discover, request, address, default route, name servers; traffic flows; the line goes: given back."""
    r1, server = topo.r1, topo.server
    wait_for(lambda: has(r1, "198.51.100.50/24"), what="the address")
    wait_for(lambda: "default via 198.51.100.1 dev eth1 proto" in routes(r1), what="the default route")
    assert f"metric {254 << 24}" in routes(r1)
    topo.wan.ip("route", "add", "10.0.1.0/24", "via", "198.51.100.50")
    topo.lan.ping("203.0.113.10")
    lease = r1.json("show dhcp lease")[0]
    assert (lease["state"], lease["server"], lease["domain"]) == ("bound", "198.51.100.1", "example.net")
    assert "Name server: 203.0.113.53" in r1.cli("show dhcp lease")
    assert "%DHCP-6-ADDRESS_ASSIGN: Interface eth1 assigned DHCP address 198.51.100.50/24" in r1.cli("show logging")
    with open(f"{RUN_DIR}/{r1.instance}/resolv.conf") as f:
        assert f.read().splitlines()[1:] == ["search example.net", "nameserver 198.51.100.53", "nameserver 203.0.113.53"]
    assert [line.split()[0] for line in server.log()[1:3]] == ["discover", "request"]
    assert all(line.endswith("r1 ok") for line in server.log()[1:3])
    assert "ip address dhcp" in r1.cli("show running-config")
    wait_for(lambda: "matches" in r1.cli("show kernel drift"), what="rest")
    r1.config(["interface eth1", "no ip address dhcp"])
    wait_for(lambda: not has(r1, "198.51.100.50/24") and "default" not in routes(r1), what="nothing left")
    wait_for(lambda: server.log()[-1].startswith("release 198.51.100.50 - unicast"), what="the release")
    assert r1.json("show dhcp lease") == []


def test_address_in_use(topo):
    """What the server offers somebody else has: it is declined, told, and another one is asked for."""
    r1, server, wan = topo.r1, topo.server, topo.wan
    wait_for(lambda: has(r1, "198.51.100.50/24"), what="the address")
    r1.config(["interface eth1", "no ip address dhcp"])
    wait_for(lambda: not has(r1, "198.51.100.50/24"), what="its end")
    wan.ip("link", "add", "squat", "link", "eth0", "type", "macvlan", "mode", "bridge")
    wan.ip("link", "set", "squat", "up")
    wan.ip("addr", "add", "198.51.100.70/32", "dev", "squat")
    server.wish(address="198.51.100.70")
    r1.config(["interface eth1", "ip address dhcp"])
    wait_for(lambda: [x for x in server.log() if x.startswith("decline 0.0.0.0 198.51.100.70 broadcast")],
             what="the refusal")
    server.wish(address="198.51.100.71")
    wait_for(lambda: has(r1, "198.51.100.71/24"), 20, what="another address")
    assert not has(r1, "198.51.100.70/24")
    assert re.search(r"%DHCP-4-DECLINED: Interface eth1: the offered address 198.51.100.70 is in use by \w{4}\.",
                     r1.cli("show logging"))


def test_address_is_announced_and_defended(topo):
    """One by DHCP like one of a line: gratuitous ARP when it comes, a conflict is told and answered, nothing when it went."""
    r1, server, wan = topo.r1, topo.server, topo.wan
    wait_for(lambda: has(r1, "198.51.100.50/24"), what="the address")
    with Watch(wan, f"arp and ether src {mac_of(r1, 'eth1')}") as w:
        r1.config(["interface eth1", "arp announce-count 3", "arp announce-interval 100"])
        server.wish(address="198.51.100.60")
        r1.cli("renew dhcp eth1")
        w.wait(announced("198.51.100.60"), 3)
        assert json.loads(r1.cli("show ip interface eth1 | json"))[0]["addresses"][0]["dad"] in ("unique", "probing")
        scapy(wan, "sendp(Ether(src=mac, dst='ff:ff:ff:ff:ff:ff') /"
                   " ARP(op=2, hwsrc=mac, psrc='198.51.100.60', pdst='198.51.100.60'), iface='eth0', verbose=False)\n")
        wait_for(lambda: "%IP-4-DUPADDR: Duplicate address 198.51.100.60 on eth1, sourced by "
                 f"{dotted(mac_of(wan))}" in r1.cli("show logging"), what="the conflict is told")
        w.wait(announced("198.51.100.60"), 4)
        assert has(r1, "198.51.100.60/24")
        wait_for(lambda: "DUPLICATE" in r1.cli("show ip interface eth1"), what="the mark")
        r1.config(["interface eth1", "no ip address dhcp"])
        wait_for(lambda: not has(r1, "198.51.100.60/24"), what="its end")
        assert "DUPLICATE" not in r1.cli("show ip interface eth1")


def test_restart_moves_nothing(topo):
    """rtrd is killed: the address stays, and is asked for again; so is it after the link was down."""
    r1, server = topo.r1, topo.server
    wait_for(lambda: has(r1, "198.51.100.50/24") and "default" in routes(r1), what="the lease")
    before, n = routes(r1), len(server.log())
    changes = r1.popen("ip", "monitor", "address", "route", stdout=-1)
    r1.kill9(r1.daemon_pid())
    wait_for(lambda: len(server.log()) > n, what="the question")
    wait_for(lambda: "goes on from" in r1.cli("show logging", check=False), what="rtrd is back")
    assert server.log()[n].startswith("request 0.0.0.0 198.51.100.50 broadcast")
    wait_for(lambda: r1.json("show dhcp lease")[0].get("bound_sec", 9) < 2, what="the answer")
    changes.terminate()
    assert [x for x in changes.communicate()[0].splitlines() if "198.51.100" in x] == [] and routes(r1) == before
    n = len(server.log())
    topo.wan.ip("link", "set", "eth0", "down")
    wait_for(lambda: "default" not in routes(r1), what="the link is down")
    topo.wan.ip("link", "set", "eth0", "up")
    wait_for(lambda: len(server.log()) > n, what="the question after the link")
    assert server.log()[n].startswith("request 0.0.0.0 198.51.100.50 broadcast")
    wait_for(lambda: "default" in routes(r1), what="the route is back")


def test_change_of_address(topo):
    """The server wants another address: the old one goes with its routes, the new one comes."""
    r1, server = topo.r1, topo.server
    wait_for(lambda: has(r1, "198.51.100.50/24"), what="the lease")
    server.wish(address="198.51.100.60", router="198.51.100.1", routes=[["0.0.0.0/0", "198.51.100.1"],
                                                                    ["10.200.0.0/16", "198.51.100.7"]])
    r1.cli("renew dhcp eth1")
    wait_for(lambda: has(r1, "198.51.100.60/24") and not has(r1, "198.51.100.50/24"), what="the new address")
    wait_for(lambda: "10.200.0.0/16 via 198.51.100.7" in routes(r1), what="its routes")
    assert "%DHCP-4-LEASE_LOST" in r1.cli("show logging")
    topo.wan.ip("route", "add", "10.0.1.0/24", "via", "198.51.100.60")
    topo.lan.ping("203.0.113.10")
    # A distance of one's own, and a static route in the same place, which wins.
    r1.config(["interface eth1", "ip dhcp client default-router distance 5"])
    wait_for(lambda: f"metric {5 << 24}" in routes(r1) and f"metric {254 << 24}" not in routes(r1), what="distance")
    r1.config(["ip route 10.200.0.0/16 198.51.100.9 5"])
    wait_for(lambda: "10.200.0.0/16 via 198.51.100.9" in routes(r1), what="the static route")
    assert "198.51.100.7" not in routes(r1)


def test_bad_routers(topo):
    """Routers that the kernel would refuse are left out and logged; changes of the configuration go on."""
    r1, server = topo.r1, topo.server
    bad = ["198.51.100.255", "10.0.1.1", "10.0.1.255", "224.0.0.1", "127.0.0.1", "255.255.255.255", "0.0.0.7"]
    server.wish(address="198.51.100.60", routes=[[f"10.{i}.0.0/16", gw] for i, gw in enumerate(bad)] +
                [["10.99.0.0/16", "198.51.100.1"], ["10.98.0.0/16", "0.0.0.0"], ["10.97.0.0/16", "203.0.113.9"]])
    r1.cli("renew dhcp eth1")
    wait_for(lambda: has(r1, "198.51.100.60/24") and "10.99.0.0/16 via 198.51.100.1" in routes(r1), what="the good one")
    wait_for(lambda: "matches" in r1.cli("show kernel drift"), what="rest")
    assert "10.98.0.0/16 dev eth1" in routes(r1) and "10.97.0.0/16 via 203.0.113.9 dev eth1" in routes(r1)
    assert not [gw for gw in bad if f"via {gw} " in routes(r1)]
    log = r1.cli("show logging")
    assert not [gw for gw in bad if f"router {gw} is no host" not in log] and "DEGRADED" not in log
    r1.config(["interface eth0", "description changes go on"])


def test_lease_runs_out(topo):
    """Renewed in time while there is an answer; without one the address goes when its time is over."""
    r1, server = topo.r1, topo.server
    server.wish(lease=10, t1=1, t2=3)
    wait_for(lambda: has(r1, "198.51.100.50/24"), what="the lease")
    r1.cli("renew dhcp eth1")
    n = len(server.log())
    wait_for(lambda: any(x.startswith("request 198.51.100.50 - unicast") for x in server.log()[n:]), what="a renewal")
    server.wish(mode="silent")
    wait_for(lambda: any(x.startswith("request 198.51.100.50 - broadcast") for x in server.log()[n:]), 10, "rebinding")
    wait_for(lambda: not has(r1, "198.51.100.50/24"), 15, "the end")
    assert "default" not in routes(r1)
    server.wish(mode="ack", lease=3600)
    r1.cli("renew dhcp eth1")
    wait_for(lambda: has(r1, "198.51.100.50/24"), what="a new lease")


def test_advertisements(routers):
    """A host configures itself from them, is answered when it asks, and told when it is over."""
    topo = routers("basic")
    r1, lan = topo.r1, topo.lan
    lan.ip("-6", "addr", "flush", "dev", "eth0", "scope", "global")
    lan.ip("-6", "route", "flush", "default")
    lan.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=2", "net.ipv6.conf.eth0.autoconf=1")
    r1.config(["interface eth1", "ipv6 address 2001:db8:100::2/64", "exit", "ipv6 route ::/0 2001:db8:100::1",
               "interface eth0", "ipv6 address 2001:db8:1::1/64", "ipv6 address 2001:db8:7::1/64"])
    with lan.tcpdump(expr="icmp6 and ip6[40]==134") as quiet:
        r1.cli("show clock")
    assert not any(quiet.packets)
    with lan.tcpdump(expr="icmp6 and ip6[40]==134") as cap:
        r1.config(["interface eth0", "ipv6 nd ra interval 4 3", "ipv6 nd ra lifetime 60", "ipv6 nd ra dns server 2001:db8:1::53",
                   "ipv6 nd prefix 2001:db8:7::/64 no-advertise", "ipv6 nd prefix 2001:db8:8::/64 3600 1800 off-link",
                   "ipv6 nd other-config-flag", "ipv6 nd router-preference high", "no ipv6 nd ra suppress"])
        wait_for(lambda: [a for a in lan.addresses("eth0") if a.startswith("2001:db8:1:")], what="an address of its own")
    assert any(cap.packets)
    mine = next(a for a in lan.addresses("eth0") if a.startswith("2001:db8:1:")).split("/")[0]
    assert not any("2001:db8:7:" in a for a in lan.addresses("eth0"))
    assert any("2001:db8:8:" in a for a in lan.addresses("eth0"))
    wait_for(lambda: "proto ra" in lan.ip("-6", "route", "show", "default").stdout, what="the default route")
    route = lan.ip("-6", "route", "show", "default").stdout
    assert "pref high" in route and int(re.search(r"expires (\d+)sec", route)[1]) <= 60
    wait_for(lambda: lan.ping("2001:db8:203::10", count=1, check=False, args=("-I", mine)), what="the internet")
    sent = r1.json("show ipv6 nd ra")[0]
    assert sent["interface"] == "eth0" and sent["name_servers"] == ["2001:db8:1::53"] and sent["other"]
    assert [p["prefix"] for p in sent["prefixes"]] == ["2001:db8:1::/64", "2001:db8:8::/64"]
    assert "Prefix 2001:db8:8::/64, valid 3600, preferred 1800 seconds, off-link" in r1.cli("show ipv6 nd ra")
    # A host that just came asks, and does not wait for the next one.
    r1.config(["interface eth0", "ipv6 nd ra lifetime 9000", "ipv6 nd ra interval 1800 1350"])
    wait_for(lambda: lan.ip("-6", "route", "show", "default").stdout.count("proto ra") == 1, what="settled")
    lan.ip("link", "set", "eth0", "down")
    lan.ip("link", "set", "eth0", "up")
    wait_for(lambda: "proto ra" in lan.ip("-6", "route", "show", "default").stdout, 15, "an answer to the solicitation")
    r1.config(["interface eth0", "ipv6 nd ra suppress"])
    wait_for(lambda: "proto ra" not in lan.ip("-6", "route", "show", "default").stdout, what="the end of the default route")
    assert r1.json("show ipv6 nd ra") == []


@pytest.mark.parametrize("lines, words", [
    (["interface eth0", "ip address 10.0.1.1/24", "ip address dhcp"], "has addresses of its own"),
    (["interface Loopback1", "ip address dhcp"], "it is no Ethernet"),
    (["interface eth0", "ip dhcp client default-router distance 7"], "has no ip address dhcp"),
    (["interface eth0", "ipv6 enable", "ipv6 nd ra interval 10 9"], "3/4 of the longest"),
    (["interface eth0", "ipv6 enable", "ipv6 nd ra lifetime 100"], "ends before the next"),
    (["interface eth0", "no ipv6 nd ra suppress"], "no IPv6 to advertise"),
    (["interface eth0", "ipv6 nd prefix 2001:db8::/64 10 20"], "longer than it is valid"),
])
def test_refused(routers, lines, words):
    with pytest.raises(CliError, match=words):
        routers("basic").r1.config(lines)
