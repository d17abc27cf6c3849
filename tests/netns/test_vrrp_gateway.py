# SPDX-License-Identifier: GPL-2.0-or-later
"""The usual pair: hosts behind a virtual MAC, a firewall by zones, and NAT to an address that moves too."""
import pytest

import vrrp
from clients import Server, silent, tcp
from topo import kill_all, pids_in, router_lines, wait_for

SERVER = {4: "198.51.100.1", 6: "2001:db8:100::1"}
PUBLIC = "198.51.100.254"
ADVERTS = 30

POLICY = f"""
zone security IN
zone security OUT
class-map type inspect match-any WEB
 match protocol http
policy-map type inspect TO-OUT
 class type inspect WEB
  inspect
zone-pair security IN-OUT source IN destination OUT
 service-policy type inspect TO-OUT
ip access-list extended LAN
 permit ip 10.0.1.0/24 any
ip nat pool PUBLIC {PUBLIC} {PUBLIC} prefix-length 24
ip nat inside source list LAN pool PUBLIC overload
interface eth0
 zone-member security IN
 ip nat inside
interface eth1
 zone-member security OUT
 ip nat outside
""".strip().splitlines()


def groups(prio):
    lines = ["vrrp sync-group both members 1 2"]
    for number, (port, v4, v6) in enumerate((("eth0", "10.0.1.1", "2001:db8:1::1"), ("eth1", PUBLIC, "2001:db8:100::254")), 1):
        lines.append(f"interface {port}")
        for af, addrs in (("ipv4", [v4]), ("ipv6", ["fe80::1", v6])):
            lines += [f"vrrp {number} address-family {af}", f"priority {prio}", f"timers advertise {ADVERTS}",
                      f"address {addrs[0]} primary", *(f"address {a}" for a in addrs[1:]), "exit"]
    return lines


def all_in(router, state):
    return [g["state"] for g in router.json("show vrrp")] == [state] * 4


@pytest.fixture
def pair(routers):
    topo = routers("ha-pair")
    for r, prio in ((topo.r1, 110), (topo.r2, 100)):
        lines = [line.strip() for line in (*router_lines(topo.spec, r.name), *POLICY, *groups(prio))]
        r.cli("configure candidate", *lines, "commit", "end")
    wait_for(lambda: all_in(topo.r1, "MASTER") and all_in(topo.r2, "BACKUP"), 10, "r1 master of all, r2 of none")
    topo.server = Server(topo.wan, [80, 81])
    yield topo
    topo.server.close()


def works_by(topo, router):
    for v in (4, 6):
        wait_for(lambda v=v: tcp(topo.lan, SERVER[v], 80) == "open", what=f"the web by {router.name}")
        held = tcp(topo.lan, SERVER[v], 80, keep=True)
        def held_ones(v=v):
            return router.json(f"show conntrack ipv{v} state established zone IN interface eth0 dport 80")
        wait_for(lambda: len(held_ones()) == 1, what="the end of the first ones")
        (e,) = held_ones()
        assert (e["input"], e["output"], e["zone_pair"]) == ("eth0", "eth1", "IN-OUT")
        assert v == 6 or e["reply"]["destination"] == PUBLIC
        held.close()
        assert silent(lambda v=v: tcp(topo.lan, SERVER[v], 81))
    # The pool's address too is the master's alone, by the group's MAC.
    for host, gate, group in ((topo.lan, "10.0.1.1", 1), (topo.wan, PUBLIC, 2)):
        assert host.ip_json("neigh", "show", gate)[0]["lladdr"] == f"00:00:5e:00:01:0{group}"


def test_policy_goes_where_the_gateway_goes(pair):
    works_by(pair, pair.r1)
    pair.r1.cli("ha switchover")
    wait_for(lambda: all_in(pair.r2, "MASTER") and all_in(pair.r1, "BACKUP"), what="r2 after the switchover")
    works_by(pair, pair.r2)
    pair.r2.cli("ha switchover")
    wait_for(lambda: all_in(pair.r1, "MASTER") and all_in(pair.r2, "BACKUP"), what="r1 again")
    works_by(pair, pair.r1)
    # And without a word: the processes, then the links that the kernel would answer on.
    kill_all(pids_in(pair.r1.netns))
    for port in ("eth0", "eth1"):
        pair.r1.ip("link", "set", port, "down")
    wait_for(lambda: all_in(pair.r2, "MASTER"), what="r2 after the death of r1")
    works_by(pair, pair.r2)
