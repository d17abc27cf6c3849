# SPDX-License-Identifier: GPL-2.0-or-later
"""VRRP under changes: of its lines while it is master, and of the kernel behind its back."""
import os
import re
import signal

import pytest

import vrrp
from router import CliError
from topo import Capture, wait_for
from vrrp import VIP4, VIP6, configure, group, group_lines, owns, reaches, state, wait_state

FAMILY = ["interface eth0", "vrrp 1 address-family ipv4"]


@pytest.fixture
def topo(routers):
    return routers(vrrp.ends("r1", "lan"))


def commit(router, *lines):
    router.cli("configure candidate", *lines, "commit", "end")


def macs(host, vip):
    return [n.get("lladdr") for n in host.ip_json("neigh", "show", vip)]


def physical(router):
    return router.ip_json("link", "show", "eth0")[0]["address"]


# ---- lines ----

@pytest.mark.parametrize("first, last", [(1, 2), (2, 1)])
def test_an_address_moves_to_another_group(topo, first, last):
    """In one commit, with physical MACs: both groups have it on the same interface."""
    def lines(vrid, *addrs):
        return [f"vrrp {vrid} address-family ipv4", "timers advertise 30", "mac-address physical", *addrs, "exit"]
    configure(topo.r1, topo, lines(first, f"address {VIP4} primary", "address 10.0.1.50"),
              lines(last, "address 10.0.1.9 primary"))
    for vrid in (1, 2):
        wait_state(topo.r1, "MASTER", vrid=vrid)
    wait_for(lambda: owns(topo.r1, "10.0.1.50"))
    commit(topo.r1, "interface eth0", f"vrrp {first} address-family ipv4", "no address 10.0.1.50", "exit",
           f"vrrp {last} address-family ipv4", "address 10.0.1.50")
    sent = group(topo.r1, vrid=last)["counters"]["sent"]
    wait_for(lambda: group(topo.r1, vrid=last)["counters"]["sent"] > sent + 5, what="adverts with it")
    assert owns(topo.r1, "10.0.1.50")
    reaches(topo.lan, "10.0.1.50")


def test_show_tells_what_the_master_has_now(topo):
    configure(topo.r1, topo, group_lines(110))
    wait_state(topo.r1, "MASTER")
    topo.r1.config(["interface eth0", "ip address 10.0.1.22/24", "vrrp 1 address-family ipv4", "timers advertise 200"])
    wait_for(lambda: "10.0.1.22(local)/10.0.1.1" in topo.r1.cli("show vrrp brief"), what="the new address")
    assert "Master Advertisement interval is 200 msec" in topo.r1.cli("show vrrp")


def test_another_number_while_master(topo):
    """The old group leaves more slowly than the new one starts; both have the same address."""
    configure(topo.r1, topo, group_lines(100, 1000, extra=["mac-address physical"]))
    wait_state(topo.r1, "MASTER")
    commit(topo.r1, "interface eth0", "no vrrp 1 address-family ipv4",
           *group_lines(100, 10, vrid=2, extra=["mac-address physical"]))
    wait_state(topo.r1, "MASTER", vrid=2)
    wait_for(lambda: not topo.r1.json("show vrrp process")["leaving"], what="the end of group 1")
    assert owns(topo.r1, VIP4)
    reaches(topo.lan, VIP4)


def test_another_mac_while_master(topo):
    """Hosts hear of it at once, when the burst of the beginning is long over too."""
    families = {"ipv4": VIP4, "ipv6": VIP6}
    configure(topo.r1, topo, *(group_lines(100, 100, f) for f in families))
    for family in families:
        wait_state(topo.r1, "MASTER", family=family)
    wait_for(lambda: group(topo.r1)["counters"]["announcements"] == 6, 8, "the end of the burst")
    for mode in ("physical", "virtual"):
        for vip in families.values():
            reaches(topo.lan, vip)
        topo.r1.config(["interface eth0", *(line for f in families for line in (
            f"vrrp 1 address-family {f}", f"mac-address {mode}", "exit"))])
        for family, vip in families.items():
            wait_for(lambda m=mode, v=vip: (macs(topo.lan, v) == [physical(topo.r1)]) == (m == "physical"), 1,
                     f"the {mode} MAC")
            reaches(topo.lan, vip)
            assert state(topo.r1, family=family) == "MASTER"


def test_removed_and_back_before_it_has_left(routers):
    """It takes over again from the lesser router, as a group that starts does."""
    topo = routers(vrrp.ends("r1", "r2"))
    for r, prio in ((topo.r1, 110), (topo.r2, 100)):
        configure(r, topo, group_lines(prio, 100))
    wait_state(topo.r1, "MASTER")
    wait_state(topo.r2, "BACKUP")
    topo.r1.config(["interface eth0", "no vrrp 1 address-family ipv4", *group_lines(110, 100)])
    wait_for(lambda: topo.r2.json("show vrrp history")[-1]["to"] == "BACKUP" and state(topo.r1) == "MASTER",
             what="r1 again")


@pytest.mark.parametrize("lines, why", [
    (["address 10.0.1.2 primary", "address 10.0.1.9"], "10.0.1.9 is not an address of eth0, as 10.0.1.2 is"),
    (["address 10.0.1.9 primary", "address 10.0.1.2"], "10.0.1.9 is not an address of eth0, as 10.0.1.2 is"),
    (["address 10.9.0.1 primary"], "10.9.0.1 is the address of Loopback1"),
    (["address 10.0.1.0 primary"], "10.0.1.0 is the network itself"),
    (["address 10.0.1.255 primary"], "10.0.1.255 is the broadcast address"),
    (["address 10.0.1.9 primary secondary"], "primary or secondary, not both"),
    (["address 10.0.1.9 primary", "unicast peer 10.0.1.2"], "10.0.1.2 is this router, not its peer"),
    (["address 10.0.1.9 primary", "unicast peer 224.0.0.18"], "224.0.0.18 cannot be a unicast peer"),
])
def test_addresses_that_are_refused(topo, lines, why):
    topo.r1.config(["interface Loopback1", "ip address 10.9.0.1/32", "exit", "interface eth0", "ip address 10.0.1.2/24"])
    with pytest.raises(CliError, match=re.escape(why)):
        commit(topo.r1, *FAMILY, *lines)


def test_one_address_on_two_interfaces_is_refused(topo):
    with pytest.raises(CliError, match="10.0.1.9 is in group 1 of eth0 too"):
        commit(topo.r1, "interface eth0", "ip address 10.0.1.2/24", "vrrp 1 ip 10.0.1.9", "exit",
               "interface eth1", "ip address 10.0.2.2/24", "vrrp 1 ip 10.0.1.9")
    commit(topo.r1, "interface eth0", "vrrp 1 address-family ipv6", "address fe80::1 primary", "exit", "exit",
           "interface eth1", "vrrp 1 address-family ipv6", "address fe80::1 primary")


# ---- the kernel, by another's hand ----

@pytest.mark.parametrize("mac", ["virtual", "physical"])
def test_addresses_taken_away_come_back(topo, mac):
    extra = [f"mac-address {mac}"]
    configure(topo.r1, topo, group_lines(100, 100, extra=extra), group_lines(100, 100, "ipv6", extra=extra))
    for family, vip in (("ipv4", VIP4), ("ipv6", VIP6)):
        wait_state(topo.r1, "MASTER", family=family)
        wait_for(lambda v=vip: owns(topo.r1, v))
        dev = group(topo.r1, family=family)["macvlan"] or "eth0"
        topo.r1.ip("addr", "del", f"{vip}/{32 if family == 'ipv4' else 128}", "dev", dev)
        wait_for(lambda v=vip: owns(topo.r1, v), what=f"{vip} again")
        assert group(topo.r1, family=family)["counters"]["transitions"] == 2  # the two of its start


def test_macvlan_taken_away_comes_back(topo):
    configure(topo.r1, topo, group_lines(100, 100), group_lines(100, 100, "ipv6"))
    for family, vip in (("ipv4", VIP4), ("ipv6", VIP6)):
        wait_state(topo.r1, "MASTER", family=family)
        reaches(topo.lan, vip)
        for what in (("set", "down"), ("del",)):
            topo.r1.ip("link", what[0], "dev", group(topo.r1, family=family)["macvlan"], *what[1:])
            wait_for(lambda v=vip: owns(topo.r1, v), what=f"{vip} after {what}")
            reaches(topo.lan, vip)


def test_a_bridge_takes_the_interface_and_gives_it_back(topo):
    """The kernel tells of a port that leaves a bridge as if a link had gone."""
    configure(topo.r1, topo, group_lines(100, 100))
    wait_state(topo.r1, "MASTER")
    topo.r1.ip("link", "add", "br9", "type", "bridge")
    macvlan = group(topo.r1)["macvlan"]
    topo.r1.config([*FAMILY, "mac-address physical"])  # a port has no macvlan
    wait_for(lambda: not [x for x in topo.r1.ip_json("link") if x["ifname"] == macvlan])
    before = group(topo.r1)["counters"]["transitions"]
    topo.r1.ip("link", "set", "eth0", "master", "br9")
    topo.r1.ip("link", "set", "eth0", "nomaster")
    sent = group(topo.r1)["counters"]["sent"]
    wait_for(lambda: group(topo.r1)["counters"]["sent"] > sent + 3, what="adverts go on")
    assert group(topo.r1)["counters"]["transitions"] == before, topo.r1.cli("show vrrp history")


def test_interface_is_deleted_and_made_anew(topo):
    configure(topo.r1, topo, group_lines(100, 100), group_lines(100, 100, "ipv6"))
    for family in ("ipv4", "ipv6"):
        wait_state(topo.r1, "MASTER", family=family)
    topo.r1.ip("link", "del", "eth0")
    for family in ("ipv4", "ipv6"):
        wait_state(topo.r1, "INIT", family=family)
    topo.r1.ip("link", "add", "eth0", "type", "veth", "peer", "name", "p0", "netns", topo.sw.netns)
    topo.sw.ip("link", "set", "p0", "master", "br0", "up")
    for family, vip in (("ipv4", VIP4), ("ipv6", VIP6)):
        wait_state(topo.r1, "MASTER", family=family)
        reaches(topo.lan, vip)


@pytest.mark.parametrize("family, vip, lan", [("ipv4", VIP4, "10.0.1.3"), ("ipv6", VIP6, "2001:db8:1::3")])
def test_questions_of_the_router_teach_no_physical_mac(topo, family, vip, lan):
    """The router, under the virtual address, looks for a host: what it asks must not move the address."""
    configure(topo.r1, topo, group_lines(100, 100, family))
    wait_state(topo.r1, "MASTER", family=family)
    reaches(topo.lan, vip)
    virtual = macs(topo.lan, vip)
    assert virtual[0].startswith("00:00:5e:00:0")
    for dev in ("eth0", group(topo.r1, family=family)["macvlan"]):
        topo.r1.ip("neigh", "flush", "dev", dev)
    topo.r1.run("ping", "-n", "-q", "-c", 2, "-i", 0.05, "-I", vip, lan)
    topo.lan.ping(vip)
    assert macs(topo.lan, vip) == virtual


@pytest.mark.parametrize("mac", ["virtual", "physical"])
def test_a_new_process_announces_the_same_mac(topo, mac):
    configure(topo.r1, topo, group_lines(100, 100, extra=[f"mac-address {mac}"]))
    wait_state(topo.r1, "MASTER")
    reaches(topo.lan, VIP4)
    before = macs(topo.lan, VIP4)
    with Capture(topo.sw, "p0", "arp") as seen:  # a bridge drops what comes from no address
        announced = group(topo.r1)["counters"]["announcements"]
        os.kill(vrrp.vrrpd_pid(topo.r1), signal.SIGKILL)
        wait_for(lambda: group(topo.r1)["counters"]["announcements"] > announced + 2, what="announcements")
    tell = [p for p in seen.packets if f"tell {VIP4}" in p]
    assert tell and all(f"{before[0]} > " in p for p in tell), seen.packets


def test_each_thread_is_locked_in(topo):
    configure(topo.r1, topo, group_lines(100, 100))
    wait_state(topo.r1, "MASTER")
    tasks = f"/proc/{vrrp.vrrpd_pid(topo.r1)}/task"
    with open(f"{tasks}/../maps") as f:
        sanitized = re.search("lib[at]san", f.read())  # they make calls of their own
    assert len(os.listdir(tasks)) >= 3
    for task in os.listdir(tasks):
        with open(f"{tasks}/{task}/status") as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f)
        net_admin, net_raw, ipc_lock = 1 << 12, 1 << 13, 1 << 14
        assert sanitized or (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == net_admin | net_raw | ipc_lock


def test_a_backup_that_prepares_says_nothing(routers):
    """A frame from the virtual MAC would turn the switch before the other one has stopped forwarding."""
    topo = routers(vrrp.ends("r1", "r2"))
    for r, prio in ((topo.r1, 110), (topo.r2, 100)):
        configure(r, topo, group_lines(prio, 500))
    wait_state(topo.r1, "MASTER")
    wait_state(topo.r2, "BACKUP")
    with Capture(topo.sw, "p1", "ether src 00:00:5e:00:01:01") as seen:
        topo.r1.stop()
        wait_state(topo.r2, "MASTER")
    said = [p for p in seen.packets if p]
    assert said and all("VRRPv3" in p or "ARP" in p for p in said), said
