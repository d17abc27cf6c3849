# SPDX-License-Identifier: GPL-2.0-or-later
"""VRRP between two rtr routers: who is master, what the kernel has, what hosts see."""
import json
import os
import signal
import subprocess
import time

import pytest

import vrrp
from router import CliError, program
from topo import kill_all, pids_in, wait_for
from vrrp import VIP4, VIP6, base_lines, configure, group, group_lines, owns, reaches, state, wait_state


# Adverts of tests that count transitions: 10 ms would judge the machine, whose cores are held up by
# its other guests for as long as three of them (test_vrrp_gaps.py measures that beside a control).
SHORT = 30


@pytest.fixture
def pair(routers):
    topo = routers(vrrp.ends("r1", "r2", "lan"))

    def make(ms=100, families=("ipv4",), extra1=(), extra2=()):
        for r, prio, extra in ((topo.r1, 110, extra1), (topo.r2, 100, extra2)):
            configure(r, topo, *(group_lines(prio, ms, af, extra=extra) for af in families))
        for af in families:
            wait_state(topo.r1, "MASTER", family=af)
            wait_state(topo.r2, "BACKUP", family=af)
        return topo

    make.topo = topo
    return make


def macs(host, vip):
    return [n.get("lladdr") for n in host.ip_json("neigh", "show", vip)]


@pytest.mark.parametrize("mac", ["virtual", "physical"])
def test_failover_and_return(pair, mac):
    topo = pair(families=("ipv4", "ipv6"), extra1=[f"mac-address {mac}"], extra2=[f"mac-address {mac}"])
    for vip, virtual in ((VIP4, "00:00:5e:00:01:01"), (VIP6, "00:00:5e:00:02:01")):
        reaches(topo.lan, vip)
        physical = topo.r1.ip_json("link", "show", "eth0")[0]["address"]
        assert macs(topo.lan, vip) == [virtual if mac == "virtual" else physical]
        assert owns(topo.r1, vip) and not owns(topo.r2, vip)
    kill_all(pids_in(topo.r1.netns))  # the whole router, without a word
    topo.r1.ip("link", "set", "eth0", "down")  # and its kernel
    for family, vip in (("ipv4", VIP4), ("ipv6", VIP6)):
        wait_state(topo.r2, "MASTER", family=family)
        reaches(topo.lan, vip)
        if mac == "physical":
            wait_for(lambda v=vip: macs(topo.lan, v) == [topo.r2.ip_json("link", "show", "eth0")[0]["address"]])
    topo.r1.proc.wait()
    topo.r1.ip("link", "set", "eth0", "up")
    topo.r1.start()
    for family, vip in (("ipv4", VIP4), ("ipv6", VIP6)):
        wait_state(topo.r1, "MASTER", family=family)
        wait_state(topo.r2, "BACKUP", family=family)
        reaches(topo.lan, vip)
        wait_for(lambda v=vip: owns(topo.r1, v) and not owns(topo.r2, v), what="the addresses")


def test_columns_of_ios(pair):
    topo = pair()
    lines = topo.r1.cli("show vrrp brief").splitlines()
    assert lines[0] == "Interface          Grp  A-F Pri  Time Own Pre State   Master addr/Group addr"
    assert lines[1] == "eth0                 1 IPv4 110     0  N   Y  MASTER  10.0.1.2(local)/10.0.1.1"
    wait_for(lambda: "10.0.1.2/10.0.1.1" in topo.r2.cli("show vrrp brief"))
    assert "BACKUP" in topo.r2.cli("show vrrp brief")
    assert "Virtual MAC address is 0000.5e00.0101, virtual" in topo.r1.cli("show vrrp")
    assert "%VRRP-6-STATECHANGE: eth0 IPv4 Grp 1 state Backup -> Master" in topo.r1.cli("show logging")
    wait_for(lambda: topo.r1.json("show vrrp history")[-1:] and
             topo.r1.json("show vrrp history")[-1]["to"] == "MASTER")


def test_own_devices_are_no_interfaces_of_the_operator(pair):
    """They are named as rtr's, and their going up and down is no event of a link."""
    topo = pair()
    dev = group(topo.r1)["macvlan"]
    topo.r1.cli("ha switchover")
    wait_state(topo.r2, "MASTER")
    wait_for(lambda: not owns(topo.r1, VIP4), what="the address to go")
    topo.r2.cli("ha switchover")
    wait_state(topo.r1, "MASTER")
    wait_for(lambda: owns(topo.r1, VIP4), what="the address")
    shown = wait_for(lambda: (s := topo.r1.cli(f"show interfaces {dev}")) and f"{VIP4}/32" in s and s)
    assert f"{VIP4}/32 (VRRP)" in shown and "Made by rtr for the virtual MAC of a VRRP group" in shown
    assert [a["vrrp"] for i in topo.r1.json("show interfaces") for a in i["addresses"]
            if a["address"] == f"{VIP4}/32"] == [True]
    assert " VRRP " in next(x for x in topo.r1.cli("show ip interface brief").splitlines() if x.startswith(dev))
    assert dev not in topo.r1.cli("show logging")
    assert dev not in topo.r1.cli("show health")


def test_both_spellings_mean_the_same(routers):
    r1 = routers(vrrp.ends("r1")).r1
    r1.config(["fhrp version vrrp v3", "interface eth0", "ip address 10.0.1.2 255.255.255.0", "no shutdown",
               "vrrp 1 priority 120", "vrrp 1 ip 10.0.1.1", "vrrp 1 ip 10.0.1.9 secondary",
               "vrrp 1 timers advertise msec 100", "vrrp 1 preempt delay minimum 3",
               "vrrp 2 address-family ipv4", "priority 120", "address 10.0.1.11 primary",
               "address 10.0.1.19 secondary", "timers advertise 100", "preempt delay minimum 3"])
    a, b = (group(r1, vrid=n) for n in (1, 2))
    for key in ("version", "configured_priority", "advertisement_ms", "preempt", "preempt_delay_sec", "mac_mode"):
        assert a[key] == b[key], key
    assert (a["addresses"], b["addresses"]) == (["10.0.1.1", "10.0.1.9"], ["10.0.1.11", "10.0.1.19"])
    for n in (1, 2):
        wait_state(r1, "MASTER", vrid=n)


@pytest.mark.parametrize("line, why", [
    ("vrrp 1 timers advertise msec 100", "version 2 counts in seconds"),
    ("vrrp 1 authentication text ninechars", "at most 8 characters"),
    ("vrrp 1 track 7 decrement 20", "there is no track 7"),
    ("vrrp 1 ip 224.0.0.1", "cannot be a virtual address"),
    ("standby 1 ip 10.0.1.1", "HSRP is not supported: use vrrp")])
def test_refused(routers, line, why):
    r1 = routers(vrrp.ends("r1")).r1
    r1.config(["interface eth0", "ip address 10.0.1.2 255.255.255.0", "vrrp 1 ip 10.0.1.1"])
    with pytest.raises(CliError, match=why):
        r1.config(["interface eth0", line])


def test_password_is_masked_and_group_is_not(routers):
    r1 = routers(vrrp.ends("r1")).r1
    r1.config(["interface eth0", "ip address 10.0.1.2/24", "vrrp 1 ip 10.0.1.1", "vrrp 1 authentication text geheim"])
    log = r1.cli("show logging")
    assert "geheim" not in log and "vrrp 1 ip 10.0.1.1" in log


def test_removing_leaves_nothing(pair):
    def settings():
        out = topo.r1.run("grep", "-s", "", "-r", "/proc/sys/net/ipv4/conf/eth0", "/proc/sys/net/ipv6/conf/eth0", check=False).stdout
        return dict(line.removeprefix("/proc/sys/net/").split(":", 1) for line in out.splitlines())

    topo = pair.topo
    topo.r1.config(base_lines(topo, "r1"))
    before = settings()
    pair(families=("ipv4", "ipv6"))
    during = settings()
    assert {name: (before[name], value) for name, value in during.items() if before[name] != value} == {
        "ipv4/conf/eth0/accept_local": ("0", "1")}
    assert during["ipv4/conf/eth0/arp_ignore"] == "1"
    topo.r1.config(["interface eth0", "no vrrp 1 address-family ipv4", "no vrrp 1 address-family ipv6"])
    for af in ("ipv4", "ipv6"):
        wait_state(topo.r2, "MASTER", family=af)
    wait_for(lambda: not owns(topo.r1, VIP4) and not owns(topo.r1, VIP6) and
             not [x for x in topo.r1.ip_json("link") if x["ifname"].startswith("vrrp")], what="nothing left")
    assert topo.r1.json("show vrrp") == [] and settings() == before
    assert topo.r1.cli("show vrrp") == "No VRRP group is configured\n"


def test_switchover_is_not_taken_back(pair):
    topo = pair()
    assert topo.r1.cli("ha switchover").startswith("Handing over 1 group;")
    wait_state(topo.r2, "MASTER")
    wait_state(topo.r1, "BACKUP")
    assert group(topo.r1)["reason"] == "ha switchover"
    reaches(topo.lan, VIP4)
    topo.r2.cli("ha switchover")
    wait_state(topo.r1, "MASTER")


def test_switchover_of_nothing(pair):
    with pytest.raises(CliError, match="no VRRP group is configured"):
        pair.topo.r2.cli("ha switchover")
    topo = pair()
    with pytest.raises(CliError, match="this router is master of no group"):
        topo.r2.cli("ha switchover")


def test_switchover_to_nobody(routers):
    topo = routers(vrrp.ends("r1", "lan"))
    configure(topo.r1, topo, group_lines(110, 100))
    wait_state(topo.r1, "MASTER")
    reaches(topo.lan, VIP4)
    topo.r1.cli("ha switchover")
    while state(topo.r1) != "MASTER":
        assert topo.lan.ping(VIP4, count=1, timeout=1, check=False)
    assert [h["to"] for h in topo.r1.json("show vrrp history")[-2:]] == ["LEAVING", "MASTER"]


def test_graceful_stop_hands_over_at_once(pair):
    topo = pair(ms=1000)
    topo.r1.stop()
    assert not owns(topo.r1, VIP4) and state(topo.r2) == "MASTER"
    assert topo.r2.json("show vrrp history")[-1]["reason"] == "the master resigned"


def test_tracking(pair):
    topo = pair()
    topo.r1.config(["interface Loopback9", "ip address 10.99.0.1/32", "exit", "track 1 interface Loopback9 line-protocol",
                    "exit", "interface eth0", "vrrp 1 address-family ipv4", "track 1 decrement 20"])
    assert group(topo.r1)["priority"] == 110
    topo.r1.config(["interface Loopback9", "shutdown"])
    wait_state(topo.r2, "MASTER")
    assert group(topo.r1)["priority"] == 90 and state(topo.r1) == "BACKUP"
    topo.r1.config(["interface Loopback9", "no shutdown"])
    wait_state(topo.r1, "MASTER")
    topo.r1.config(["interface eth0", "vrrp 1 address-family ipv4", "no track 1", "track 1 shutdown"])
    topo.r1.config(["interface Loopback9", "shutdown"])
    wait_state(topo.r1, "INIT")
    wait_state(topo.r2, "MASTER")
    assert group(topo.r1)["fault"] and group(topo.r1)["reason"] == "tracked object down"


def test_a_route_drives_a_group(pair):
    topo = pair(ms=SHORT)
    topo.r1.config(["ip route 10.99.0.0/16 10.0.1.4", "track 1 ip route 10.99.0.0/16 reachability", "exit", "interface eth0",
                    "vrrp 1 address-family ipv4", "track 1 decrement 20"])
    wait_for(lambda: topo.r1.json("show track 1")[0]["state"] == "Up", what="the route")
    assert group(topo.r1)["priority"] == 110 and state(topo.r1) == "MASTER"
    topo.r1.config(["no ip route 10.99.0.0/16 10.0.1.4"])
    wait_state(topo.r2, "MASTER")
    wait_for(lambda: group(topo.r1)["priority"] == 90 and state(topo.r1) == "BACKUP", what="r1 lower")
    topo.r1.ip("route", "add", "10.99.0.0/16", "via", "10.0.1.4")  # whoever makes it
    wait_state(topo.r1, "MASTER")


def test_the_fast_plane_drives_a_group(pair):
    """Its process dies: the other router has the address until a new one serves."""
    topo = pair()
    topo.r1.config(["interface eth0", "dataplane fast", "exit", "track 1 fastpath", "exit"])
    wait_for(lambda: topo.r1.json("show dataplane interfaces")[0]["plane"] == "fast", 20, "eth0 on the fast plane")
    topo.r1.config(["interface eth0", "vrrp 1 address-family ipv4", "track 1 shutdown"])
    wait_state(topo.r1, "MASTER")
    wait_state(topo.r2, "BACKUP")
    n = len(topo.r2.json("show vrrp history"))
    os.kill(int(topo.r1.run("pgrep", "-P", topo.r1.proc.pid, "-x", "rtr-fastpath").stdout), signal.SIGKILL)
    wait_for(lambda: topo.r2.json("show vrrp history")[n:], 5, "a change at r2")
    first = topo.r2.json("show vrrp history")[n]
    assert (first["to"], first["reason"]) == ("MASTER", "the master resigned")
    assert "tracked object down" in topo.r1.cli("show vrrp history")
    wait_state(topo.r1, "MASTER", timeout=20)
    wait_state(topo.r2, "BACKUP")


def test_link_down(pair):
    topo = pair()
    topo.sw.ip("link", "set", "p0", "down")
    wait_state(topo.r2, "MASTER")
    # The kernel tells of a lost carrier once a second.
    wait_state(topo.r1, "INIT")
    wait_for(lambda: not owns(topo.r1, VIP4))
    reaches(topo.lan, VIP4)


def test_shutdown_and_back_before_it_has_left(pair):
    topo = pair(ms=1000)
    topo.r1.config(["interface eth0", "vrrp 1 address-family ipv4", "shutdown", "no shutdown"])
    wait_state(topo.r1, "MASTER", timeout=8)
    wait_state(topo.r2, "BACKUP")


def test_interface_goes_and_comes(pair):
    topo = pair()
    topo.r1.ip("link", "set", "eth0", "name", "gone")
    wait_state(topo.r1, "INIT")
    wait_state(topo.r2, "MASTER")
    wait_for(lambda: not owns(topo.r1, VIP4))
    topo.r1.ip("link", "set", "gone", "name", "eth0")
    wait_state(topo.r1, "MASTER")
    wait_state(topo.r2, "BACKUP")


def gaps_since(when, ping):
    """How long it was between answers of a ping -D, which ends here."""
    ping.send_signal(signal.SIGINT)
    answers = [float(line[1:line.index("]")]) for line in ping.communicate()[0].splitlines() if line.startswith("[")]
    return [b - a for a, b in zip(answers, answers[1:]) if b > when]


@pytest.mark.parametrize("mac", ["virtual", "physical"])
def test_partition_and_heal(pair, mac):
    """Both are master while they cannot hear each other; one, within an interval, when they can: then traffic flows by it."""
    ms = 300
    topo = pair(ms=ms, extra1=[f"mac-address {mac}"], extra2=[f"mac-address {mac}"])
    wait_for(lambda: owns(topo.r1, VIP4))
    topo.sw.ip("link", "set", "p0", "nomaster")
    wait_state(topo.r2, "MASTER")
    assert state(topo.r1) == "MASTER"
    reaches(topo.lan, VIP4)
    # A packet every 10 ms, by whom ever answers; each tells how long it has been since the last one. Beside it others to
    # r2's own address, which no group answers: their longest gap is the machine's.
    stream, control = (topo.lan.popen("ping", "-n", "-D", "-i", "0.01", to, stdout=subprocess.PIPE) for to in (VIP4, "10.0.1.3"))
    for ping in (stream, control):
        for _ in range(10):
            ping.stdout.readline()
    topo.sw.ip("link", "set", "p0", "master", "br0")
    healed = time.time()
    wait_state(topo.r2, "BACKUP")
    wait_for(lambda n=group(topo.r1)["counters"]["sent"]: group(topo.r1)["counters"]["sent"] > n + 2, what="two intervals")
    gaps, stalls = gaps_since(healed, stream), gaps_since(healed, control)
    assert len(gaps) > 10 and max(gaps) < 1.5 * ms / 1000 + max(stalls), (max(gaps, default=None), max(stalls, default=None))
    assert state(topo.r1) == "MASTER" and not owns(topo.r2, VIP4)
    reaches(topo.lan, VIP4)
    if mac == "physical":
        assert macs(topo.lan, VIP4) == [topo.r1.ip_json("link", "show", "eth0")[0]["address"]]
    assert "is master too" in topo.r1.cli("show logging") + topo.r2.cli("show logging")


def test_owner(routers):
    topo = routers(vrrp.ends("r1", "r2"))
    configure(topo.r2, topo, group_lines(100))
    wait_state(topo.r2, "MASTER")
    topo.r1.config(["interface eth0", f"ip address {VIP4}/24", "no shutdown", *group_lines(100)])
    wait_state(topo.r1, "MASTER")
    wait_state(topo.r2, "BACKUP")
    assert group(topo.r1)["owner"] and group(topo.r1)["priority"] == 255
    topo.r1.config(["interface eth0", "no vrrp 1 address-family ipv4"])
    wait_state(topo.r2, "MASTER")
    assert owns(topo.r1, VIP4)  # the interface's own address is nobody else's to take


# ---- what is shown ----

def readiness(router):
    found = router.json("show ha readiness")["groups"]
    return found[0] if found else {"not_ready": ["none"]}


def test_readiness(pair):
    topo = pair()
    for r, own in ((topo.r1, "MASTER"), (topo.r2, "BACKUP")):
        wait_for(lambda x=r: readiness(x)["ready"], what=f"{r.name} is ready")
        assert readiness(r)["state"] == own and "1 of 1 groups ready" in r.cli("show ha readiness")
    g = readiness(topo.r2)
    assert g["peer"] == "10.0.1.2" and 300 <= g["takeover_ms"] <= 400 and g["last_advert_ms"] < 1000 and not g["notes"], g
    assert any("no other router was heard" in n for n in readiness(topo.r1)["notes"])

    def says(router, text, timeout=5):
        wait_for(lambda: any(text in x for x in readiness(router)["not_ready"]) and not readiness(router)["ready"], timeout,
                 f"{router.name}: {text}, it says {readiness(router)}")

    topo.r2.config(["track 1 interface nowhere0 line-protocol", "interface eth0", "vrrp 1 address-family ipv4", "track 1 shutdown"])
    says(topo.r2, "track 1 is down")
    assert "not ready: track 1 is down" in topo.r2.cli("show ha readiness")
    topo.r2.config(["interface eth0", "vrrp 1 address-family ipv4", "no track 1", "address 10.0.1.77"])
    says(topo.r2, "a peer has other virtual addresses")
    topo.r2.config(["interface eth0", "vrrp 1 address-family ipv4", "no address 10.0.1.77"])
    topo.sw.ip("link", "set", "p1", "down")
    says(topo.r2, "eth0 is down")
    topo.sw.ip("link", "set", "p1", "up")
    wait_for(lambda: readiness(topo.r2)["ready"], 10, "all is well again")
    pid = vrrpd(topo.r2)
    os.kill(pid, signal.SIGSTOP)
    try:
        says(topo.r2, "no sign of life", 10)
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: readiness(topo.r2)["ready"], what="it goes on")


def test_changes_are_told_as_they_come(pair):
    topo = pair()
    def watch(command):
        p = subprocess.Popen([program("rtrctl"), "-N", topo.r2.instance, "-c", command], stdout=subprocess.PIPE, text=True)
        return p, p.stdout.readline()

    (text, is_now), (objects, o) = watch("monitor vrrp"), watch("monitor vrrp | json")
    assert "eth0 IPv4 Grp 1 BACKUP (started)" in is_now
    assert (json.loads(o)["event"], json.loads(o)["to"]) == ("now", "BACKUP"), o
    topo.r1.cli("ha switchover")
    wait_state(topo.r2, "MASTER")
    o = json.loads(objects.stdout.readline())
    assert (o["event"], o["interface"], o["group"], o["from"], o["to"], o["reason"]) == ("change", "eth0", 1, "BACKUP", "MASTER", "the master resigned"), o
    assert "eth0 IPv4 Grp 1 BACKUP -> MASTER (the master resigned)" in text.stdout.readline()
    for p in (text, objects):
        p.send_signal(signal.SIGINT)
        p.wait(10)


# ---- processes that die or hang ----

def vrrpd(router):
    return wait_for(lambda: vrrp.vrrpd_pid(router), what="rtr-vrrpd")


def test_rtr_vrrpd_dies_and_goes_on(pair):
    topo = pair(ms=100)
    before = group(topo.r2)["counters"]["transitions"]
    for _ in range(3):
        pid = vrrpd(topo.r1)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda p=pid: vrrp.vrrpd_pid(topo.r1) not in (None, p), what="a new rtr-vrrpd")
        wait_for(lambda: state(topo.r1) == "MASTER", what="it goes on")
        reaches(topo.lan, VIP4)
        # Not one death after the other within the time that the parent calls a crash loop.
        wait_for(lambda: topo.r1.json("show vrrp process")["starts"] and
                 group(topo.r1)["counters"]["sent"] > 20, what="adverts", timeout=10)
        topo.r1.cli("clear vrrp statistics")
    assert group(topo.r2)["counters"]["transitions"] == before, topo.r2.cli("show vrrp history")


def test_stopped_master_loses_its_addresses(pair):
    topo = pair()
    pid = vrrpd(topo.r1)
    os.kill(pid, signal.SIGSTOP)
    wait_state(topo.r2, "MASTER")
    wait_for(lambda: vrrp.vrrpd_pid(topo.r1) not in (None, pid), 10, "the parent's hand")
    wait_state(topo.r1, "MASTER")  # it is the better one, and well again
    wait_state(topo.r2, "BACKUP")
    assert topo.r1.json("show vrrp process")["withdrawn"] >= 1
    reaches(topo.lan, VIP4)


def test_one_core_is_enough(routers):
    """Its threads get it only when the loop waits, and then the filter of system calls must not be there before them."""
    r1 = routers(vrrp.ends("r1")).r1
    os.sched_setaffinity(r1.proc.pid, {min(os.sched_getaffinity(0))})  # and whom it starts
    r1.config([*base_lines(r1.topology, "r1"), *group_lines(100)])
    wait_state(r1, "MASTER")
    assert r1.json("show vrrp process")["starts"] == 1


def test_a_silent_master_loses_its_addresses_before_it_is_killed(pair):
    """After the Master_Down time, long before it counts as stuck; held up for no longer, it goes on."""
    topo = pair(ms=SHORT, families=("ipv4", "ipv6"))
    pid = vrrpd(topo.r1)
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_for(lambda: not owns(topo.r1, VIP4) and not owns(topo.r1, VIP6), 1.8, "nobody there")
        for family in ("ipv4", "ipv6"):
            wait_state(topo.r2, "MASTER", family=family)
        reaches(topo.lan, VIP4)
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: owns(topo.r1, VIP4) and owns(topo.r1, VIP6), what="it is the better one, and goes on")
    wait_state(topo.r2, "BACKUP")
    assert vrrpd(topo.r1) == pid and topo.r1.json("show vrrp process")["withdrawn"] == 1
    reaches(topo.lan, VIP4)


def test_stalled_backup_does_not_take_over(pair):
    topo = pair(ms=SHORT)
    before = group(topo.r2)["counters"]["transitions"]
    pid = vrrpd(topo.r2)
    for seconds in (0.05, 0.2, 1.0):
        os.kill(pid, signal.SIGSTOP)
        sent = group(topo.r1)["counters"]["sent"]
        wait_for(lambda s=sent, n=seconds: group(topo.r1)["counters"]["sent"] > s + 30 * n, what="adverts")
        os.kill(pid, signal.SIGCONT)
        wait_for(lambda: group(topo.r2)["counters"]["received"] >= group(topo.r1)["counters"]["sent"] - 20,
                 what="what was queued is read")
    assert group(topo.r2)["counters"]["transitions"] == before, topo.r2.cli("show vrrp history")


def test_rtrd_dies_and_nobody_notices(pair):
    topo = pair(ms=SHORT)
    before, pid = group(topo.r2)["counters"]["transitions"], vrrpd(topo.r1)
    for _ in range(3):
        topo.r1.kill9(topo.r1.daemon_pid())
        wait_for(lambda: topo.r1.json("show vrrp process")["running"], what="rtrd and its line to rtr-vrrpd")
    assert state(topo.r1) == "MASTER" and vrrpd(topo.r1) == pid
    assert group(topo.r2)["counters"]["transitions"] == before


@pytest.mark.parametrize("whom", ["worker", "parent"])
def test_rtrd_hangs_and_nobody_notices(pair, whom):
    topo = pair(ms=SHORT)
    before, stopped = group(topo.r2)["counters"], topo.r1.daemon_pid() if whom == "worker" else topo.r1.proc.pid
    os.kill(stopped, signal.SIGSTOP)
    try:
        wait_for(lambda: group(topo.r2)["counters"]["received"] > before["received"] + 30, what="adverts")
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert group(topo.r2)["counters"]["transitions"] == before["transitions"]
    # A parent that comes back late does not blame rtr-vrrpd for it.
    wait_for(lambda: group(topo.r2)["counters"]["received"] > before["received"] + 90, what="adverts after it")
    assert topo.r1.json("show vrrp process")["withdrawn"] == 0


def test_a_flood_of_adverts_delays_ours_little(pair):
    """Forged ones, as fast as a host can: they are dropped, and our own still leave in time."""
    topo = pair(ms=100)
    topo.r1.cli("clear vrrp statistics")
    message = vrrp.advert(sum_error=1)
    vrrp.send_adverts(topo.lan, *[message] * 500, times=40)
    wait_for(lambda: group(topo.r1)["counters"]["drops"]["checksum"] > 5000, what="the flood")
    n = group(topo.r1)["counters"]
    assert state(topo.r1) == "MASTER" and n["max_gap_ms"] < 1.25 * 100 + 20, n
    assert group(topo.r2)["counters"]["transitions"] == 1


def test_upgrade_in_place_moves_nothing(pair):
    """SIGUSR2: the parent becomes the program on disk, with rtr-vrrpd and the sockets."""
    topo = pair(ms=SHORT)
    before, pid = group(topo.r2)["counters"]["transitions"], vrrpd(topo.r1)
    for _ in range(3):
        worker = topo.r1.daemon_pid()
        topo.r1.proc.send_signal(signal.SIGUSR2)
        wait_for(lambda w=worker: topo.r1.daemon_pid() not in (w, topo.r1.proc.pid), 10, "a new worker")
        wait_for(lambda: topo.r1.json("show vrrp process")["running"], 10, "its line to rtr-vrrpd")
    assert vrrpd(topo.r1) == pid and state(topo.r1) == "MASTER"
    assert group(topo.r2)["counters"]["transitions"] == before, topo.r2.cli("show vrrp history")
    os.kill(pid, signal.SIGKILL)  # the new parent cares for it as the old one did
    wait_for(lambda: vrrp.vrrpd_pid(topo.r1) not in (None, pid), what="a new rtr-vrrpd")
    wait_for(lambda: state(topo.r1) == "MASTER", what="it goes on")
    topo.r1.stop()
    wait_state(topo.r2, "MASTER")
    assert not owns(topo.r1, VIP4)


def test_parent_dies_and_the_rest_leaves_in_order(pair):
    topo = pair(ms=1000)
    topo.r1.kill9()
    wait_state(topo.r2, "MASTER", timeout=2.5)
    assert topo.r2.json("show vrrp history")[-1]["reason"] == "the master resigned"
    wait_for(lambda: not owns(topo.r1, VIP4) and not pids_in(topo.r1.netns), what="the end of r1")


# ---- hosts and switches ----

@pytest.mark.parametrize("family, number, vip, own", [("ipv4", 1, VIP4, "10.0.1.2"), ("ipv6", 2, VIP6, "2001:db8:1::2")])
def test_a_deaf_virtual_mac_is_given_up(pair, family, number, vip, own):
    """A switch that drops frames to a MAC that is not the port's own."""
    topo = pair.topo
    topo.sw.run("nft", "add table bridge f; add chain bridge f c { type filter hook forward priority 0; };"
                f" add rule bridge f c ether daddr 00:00:5e:00:0{number}:01 drop")
    configure(topo.r1, topo, group_lines(110, af=family))
    topo.lan.ping(own, count=1)  # a neighbour to ask
    wait_state(topo.r1, "MASTER", family=family)
    # Three answers in a row; a try with one too few is followed by a longer pause.
    wait_for(lambda: group(topo.r1, family=family)["mac_test"] == "not received", 20, "the verdict")
    assert "do not reach us" in topo.r1.cli("show logging")
    physical = topo.r1.ip_json("link", "show", "eth0")[0]["address"]
    wait_for(lambda: topo.lan.ping(vip, count=1, check=False) and macs(topo.lan, vip) == [physical], what="the physical MAC")
    assert [a["local"] for a in topo.r1.ip_json("addr", "show", "eth0")[0]["addr_info"]].count(vip) == 1
    assert state(topo.r1, family=family) == "MASTER"
    # The switch is told better; with the link's return it is tested again, and taken.
    topo.sw.run("nft", "delete table bridge f")
    topo.sw.ip("link", "set", "p0", "down")
    wait_state(topo.r1, "INIT", family=family)
    topo.sw.ip("link", "set", "p0", "up")
    lan = "10.0.1.4" if family == "ipv4" else "2001:db8:1::4"
    topo.r1.ip("neigh", "replace", lan, "lladdr", topo.lan.ip_json("link", "show", "eth0")[0]["address"], "dev", "eth0",
               "nud", "reachable")  # a neighbour to ask
    wait_state(topo.r1, "MASTER", family=family)
    with topo.lan.tcpdump("eth0", "-s 128 -B 8192 arp or icmp6") as seen:
        wait_for(lambda: group(topo.r1, family=family)["mac_test"] == "received", 20, "the verdict")
        wait_for(lambda: topo.lan.ping(vip, count=1, check=False) and macs(topo.lan, vip) == [f"00:00:5e:00:0{number}:01"],
                 what="the virtual MAC")
    assert "reach us again" in topo.r1.cli("show logging")
    # Nobody was led to the virtual MAC before: its questions did not come from the virtual address.
    early = seen.packets[:[i for i, p in enumerate(seen.packets) if f"who-has {vip} tell" in p or f"tgt is {vip}," in p][-1]]
    assert any(f"00:00:5e:00:0{number}:01 >" in p for p in early), seen.packets
    assert not [p for p in early if f"00:00:5e:00:0{number}:01 >" in p and f"tell {vip}," in p and f"who-has {vip}" not in p]


@pytest.mark.parametrize("family, own", [("ipv4", "10.0.1.2"), ("ipv6", "2001:db8:1::2")])
def test_a_virtual_mac_that_works_is_kept(pair, family, own):
    topo = pair.topo
    configure(topo.r1, topo, group_lines(110, af=family))
    topo.lan.ping(own, count=1)
    wait_state(topo.r1, "MASTER", family=family)
    wait_for(lambda: group(topo.r1, family=family)["mac_test"] != "untested", 20, "the verdict")
    assert group(topo.r1, family=family)["mac_test"] == "received"


def test_announcements(pair):
    """A burst on becoming master, and again when another master was heard."""
    topo = pair.topo
    with topo.lan.tcpdump("eth0", "arp or icmp6") as seen:
        configure(topo.r1, topo, group_lines(110), group_lines(110, af="ipv6"))
        wait_state(topo.r1, "MASTER")
        wait_state(topo.r1, "MASTER", family="ipv6")
        wait_for(lambda: group(topo.r1)["counters"]["announcements"] >= 4 and
                 group(topo.r1, family="ipv6")["counters"]["announcements"] >= 8, what="four of them")
    garps = [p for p in seen.packets if f"who-has {VIP4} tell {VIP4}" in p or f"who-has {VIP4} (ff:ff:ff:ff:ff:ff) tell {VIP4}" in p]
    assert len(garps) >= 4 and all("00:00:5e:00:01:01 > ff:ff:ff:ff:ff:ff" in p for p in garps), seen.packets
    for vip in (VIP6, "fe80::1"):
        nas = [p for p in seen.packets if "neighbor advertisement" in p and f"tgt is {vip}," in p]
        assert len(nas) >= 4 and all("00:00:5e:00:02:01 > 33:33:00:00:00:01" in p for p in nas), seen.packets
    wait_for(lambda n=[0]: n.append(group(topo.r1)["counters"]["announcements"]) or n[-1] >= 5, what="the end of the burst")
    before = group(topo.r1)["counters"]["announcements"]
    vrrp.send_adverts(topo.lan, vrrp.advert(prio=50))
    wait_for(lambda: group(topo.r1)["counters"]["announcements"] > before, 1, "an answer to a lesser master")


def test_start_is_held_back(routers):
    r1 = routers(vrrp.ends("r1")).r1
    r1.config(["interface eth0", "ip address 10.0.1.2/24", "no shutdown", "fhrp delay reload 5", *group_lines(100)])
    wait_for(lambda: group(r1)["holding"] and state(r1) == "INIT", what="the hold")
    wait_state(r1, "MASTER", timeout=10)
    # A crash of rtr-vrrpd is no start.
    os.kill(vrrpd(r1), signal.SIGKILL)
    wait_for(lambda: r1.json("show vrrp process").get("starts") == 2 and state(r1) == "MASTER", 1.5, "it goes on")


def test_start_waits_for_routes(routers):
    """A default route of the group's family and the routes that it tracks, whoever makes them; but not for ever."""
    topo = routers(vrrp.ends("r1", "r2", "lan"))
    topo.r2.config([*base_lines(topo, "r2"), "fhrp delay routes 1", *group_lines(90, vrid=2)])
    topo.r1.config([*base_lines(topo, "r1"), "fhrp delay routes 300", "exit", "track 1 ip route 10.9.0.0/16 reachability", "exit",
                    "interface eth0", *group_lines(100, extra=["track 1 decrement 20"]), *group_lines(100, af="ipv6")])
    wait_for(lambda: [group(topo.r1, family=f)["holding_for"] for f in ("ipv4", "ipv6")] == ["routes", "routes"], what="the hold")
    topo.r1.ip("route", "add", "default", "via", "10.0.1.4")
    topo.r1.ip("-6", "route", "add", "default", "via", "2001:db8:1::4")
    wait_state(topo.r1, "MASTER", family="ipv6")
    assert group(topo.r1)["holding_for"] == "routes", "it tracks another one"
    os.kill(vrrpd(topo.r1), signal.SIGKILL)  # it waits on
    wait_for(lambda: topo.r1.json("show vrrp process").get("starts") == 2 and state(topo.r1, family="ipv6") == "MASTER", what="a new one")
    assert group(topo.r1)["holding_for"] == "routes"
    topo.r1.ip("route", "add", "10.9.0.0/16", "via", "10.0.1.4")
    wait_state(topo.r1, "MASTER")
    wait_state(topo.r2, "MASTER", vrid=2)
    # No hold once it is over: a route that goes is what tracking is for.
    topo.r1.ip("route", "del", "default")
    topo.sw.ip("link", "set", "p0", "down")
    wait_state(topo.r1, "INIT")
    topo.sw.ip("link", "set", "p0", "up")
    wait_state(topo.r1, "MASTER", family="ipv6")


def test_a_group_does_not_start_before_what_it_tracks_is_known(routers):
    r1 = routers(vrrp.ends("r1")).r1
    r1.config(base_lines(r1.topology, "r1"))
    r1.config(["ip sla 1", "icmp-echo 10.0.1.99", "timeout 2000", "exit", "track 1 ip sla 1 reachability", "exit",
               "interface eth0", *group_lines(100, extra=["track 1 shutdown"])])  # nobody is there
    wait_for(lambda: group(r1)["holding_for"], what="the hold")
    wait_for(lambda: group(r1).get("fault"), what="the verdict")
    assert group(r1)["counters"]["transitions"] == 0, r1.cli("show vrrp history")


def test_no_host_under_the_virtual_address(pair):
    topo = pair(families=("ipv4", "ipv6"), extra1=["no accept-mode"])
    for vip in (VIP4, VIP6):
        assert topo.lan.ping(vip, count=1, timeout=1, check=False) == 0
        assert macs(topo.lan, vip)[0].startswith("00:00:5e:00:0")  # but it is there
    topo.r1.config(["interface eth0", "vrrp 1 address-family ipv4", "accept-mode", "exit",
                    "vrrp 1 address-family ipv6", "accept-mode"])
    for vip in (VIP4, VIP6):
        reaches(topo.lan, vip)


def test_many_groups(routers):
    n = 120
    topo = routers(vrrp.ends("r1", "r2"))
    for r, prio in ((topo.r1, 110), (topo.r2, 100)):
        lines = base_lines(topo, r.name)
        for v in range(1, n + 1):
            lines += [f"vrrp {v} address-family ipv4", f"priority {prio}", "timers advertise 100",
                      "mac-address physical", f"address 10.0.1.{v + 100} primary", "exit"]
        r.cli("configure candidate", *lines, "commit", "end")
        wait_for(lambda p=prio, x=r: all(g["master_priority"] == 110 for g in x.json("show vrrp")), 10, f"{r.name}")
    assert {g["state"] for g in topo.r2.json("show vrrp")} == {"BACKUP"}
    assert {g["counters"]["transitions"] for g in topo.r2.json("show vrrp")} == {1}
    topo.sw.ip("link", "set", "p0", "down")
    wait_for(lambda: {g["state"] for g in topo.r2.json("show vrrp")} == {"MASTER"}, what="all on r2")
    wait_for(lambda: all(g["counters"]["announcements"] for g in topo.r2.json("show vrrp")), what="all announced")
    assert len(topo.r2.addresses("eth0")) == n + 2


def test_a_full_queue_loses_nothing(routers):
    """Many groups become master at once on a link whose queue holds few frames: what it refuses is counted, and said again."""
    topo = routers(vrrp.ends("r1"))
    tbf = ["dev", "eth0", "root", "tbf", "rate", "2mbit", "burst", "2000", "limit"]
    topo.r1.run("tc", "qdisc", "add", *tbf, "3000")
    lines = base_lines(topo, "r1")
    for v in range(1, 101):
        lines += [f"vrrp {v} address-family ipv4", "mac-address physical", "timers advertise 100",
                  f"address 10.0.1.{v + 100} primary", "exit"]
    topo.r1.cli("configure candidate", *lines, "commit", "end")
    wait_for(lambda: {g["state"] for g in topo.r1.json("show vrrp")} == {"MASTER"}, 10, "all are master")
    wait_for(lambda: all(g["counters"]["announcements"] for g in topo.r1.json("show vrrp")), what="all announced")
    topo.r1.run("tc", "qdisc", "change", *tbf, "200000")  # room for all from here on
    told = {g["group"]: g["counters"]["sent"] for g in topo.r1.json("show vrrp")}
    wait_for(lambda: all(g["counters"]["sent"] > told[g["group"]] for g in topo.r1.json("show vrrp")), what="more adverts")
    refused = sum(g["counters"]["refused"] for g in topo.r1.json("show vrrp"))
    drops = json.loads(topo.r1.run("tc", "-s", "-j", "qdisc", "show", "dev", "eth0").stdout)[0]["drops"]
    assert 0 < refused <= drops <= refused + 20, (refused, drops)  # the kernel says a few things of its own


def test_a_refused_advert_is_said_again(pair):
    """Not with the next one, which is 20 s away."""
    topo = pair.topo
    configure(topo.r1, topo, group_lines(110))
    wait_state(topo.r1, "MASTER")
    topo.r1.run("tc", "qdisc", "add", "dev", "eth0", "root", "bfifo", "limit", "1")  # room for no frame
    topo.r1.config(["interface eth0", "vrrp 1 address-family ipv4", "timers advertise 20000"])
    wait_for(lambda: group(topo.r1)["advertisement_ms"] == 20000 and group(topo.r1)["counters"]["refused"] > 10,
             what="refused ones")
    before = group(topo.r1)["counters"]["sent"]
    topo.r1.run("tc", "qdisc", "del", "dev", "eth0", "root")
    wait_for(lambda: group(topo.r1)["counters"]["sent"] > before, 8, "the advert")
