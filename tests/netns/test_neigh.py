# SPDX-License-Identifier: GPL-2.0-or-later
"""Neighbours: static entries, proxies, timers, the tables that are shown, their limits."""
import subprocess

import pytest

import topo

MAC = "0011.2233.4455"
LINUX_MAC = "00:11:22:33:44:55"


@pytest.fixture
def net(routers):
    t = routers("basic")
    t.r1.config(["interface eth0", "ipv6 nd dad attempts 0", "interface eth1", "ipv6 nd dad attempts 0"])
    t.r1.config(topo.router_lines(t.spec, "r1"))
    t.r1.wait_addresses()
    for addr in ("10.0.1.1", "2001:db8:1::1"):
        topo.wait_for(lambda: t.lan.ping(addr, count=1, check=False), what=f"the first answer of {addr}")
    return t


def neigh(node, *which):
    """{address: entry} of the kernel."""
    return {e["dst"]: e for e in node.ip_json("-d", "neigh", "show", *which)}


def table(r1, command):
    return {e["address"]: e for e in r1.json(command)}


def mac_of(node, dev):
    return node.ip_json("link", "show", "dev", dev)[0]["address"]


def dotted(mac):
    h = mac.replace(":", "")
    return f"{h[:4]}.{h[4:8]}.{h[8:]}"


def sysctl(node, path):
    return node.run("cat", f"/proc/sys/net/{path}").stdout.strip()


def arping(node, dest, *args, dev="eth0"):
    """The MACs that answered."""
    out = node.run("arping", "-c", 1, "-w", 1, "-I", dev, *args, dest, check=False).stdout
    return [line.split("[")[1].split("]")[0].lower() for line in out.splitlines() if "reply from" in line]


def test_static_entries(net):
    r1, lan = net.r1, net.lan
    r1.config([f"arp 10.0.1.77 {MAC} arpa", f"ipv6 neighbor 2001:db8:1::77 eth0 {LINUX_MAC}"])
    for addr in ("10.0.1.77", "2001:db8:1::77"):
        e = neigh(r1)[addr]
        assert (e["lladdr"], e["dev"], e["state"]) == (LINUX_MAC, "eth0", ["PERMANENT"])
        with lan.tcpdump("eth0", f"host {addr} and not arp") as cap:
            r1.run("ping", "-c", 1, "-W", 0.1, addr, check=False)
        assert f"> {LINUX_MAC}" in cap.packets[0]
    text = r1.cli("show ip arp 10.0.1.77", "show ipv6 neighbors 2001:db8:1::77")
    assert f"Internet  10.0.1.77                -  {MAC}  ARPA   eth0" in text
    assert f"- {MAC}  REACH eth0" in text
    assert table(r1, "show ip arp")["10.0.1.77"]["type"] == "static"

    # Changed, removed, or dropped with the link by others: it comes back.
    r1.ip("neigh", "replace", "10.0.1.77", "lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "reachable")
    r1.ip("neigh", "del", "2001:db8:1::77", "dev", "eth0")
    right = {("10.0.1.77", LINUX_MAC), ("2001:db8:1::77", LINUX_MAC)}
    def there():
        return right <= {(a, e.get("lladdr")) for a, e in neigh(r1).items() if e["state"] == ["PERMANENT"]}
    topo.wait_for(there, what="repair")
    r1.config(["interface eth0", "shutdown"])
    assert not neigh(r1, "nud", "permanent")
    r1.config(["interface eth0", "no shutdown"])
    topo.wait_for(there, what="return with the link")

    # What others made is left alone; ours goes with the line.
    r1.ip("neigh", "add", "10.0.1.78", "lladdr", "02:00:00:00:00:78", "dev", "eth0", "nud", "permanent")
    r1.config(["no arp 10.0.1.77", "no ipv6 neighbor 2001:db8:1::77"])
    assert list(neigh(r1, "nud", "permanent")) == ["10.0.1.78"]


def test_static_entry_follows_its_network(net):
    r1 = net.r1
    assert "no interface has a network" in r1.config([f"arp 172.16.0.9 {MAC} arpa"])
    assert "172.16.0.9" not in neigh(r1)
    r1.config(["interface eth1", "ip address 172.16.0.1/24 secondary"])
    assert neigh(r1)["172.16.0.9"]["dev"] == "eth1"
    # The smallest network, whoever gave it.
    r1.ip("addr", "add", "10.0.0.1/8", "dev", "eth1")
    r1.config([f"arp 10.0.1.79 {MAC} arpa", f"arp 10.7.0.9 {MAC} arpa"])
    assert [neigh(r1)[a]["dev"] for a in ("10.0.1.79", "10.7.0.9")] == ["eth0", "eth1"]
    r1.config(["no arp 10.0.1.79"])
    r1.ip("addr", "del", "10.0.0.1/8", "dev", "eth1")
    topo.wait_for(lambda: "10.7.0.9" not in neigh(r1), what="the end of its network")
    for line in (f"arp 10.0.1.1 {MAC} arpa", f"arp 224.0.0.9 {MAC} arpa",
                 f"ipv6 neighbor 2001:db8:1::9 Loopback0 {MAC}", "arp 10.0.1.9 0100.5e00.0001 arpa"):
        assert "%" in r1.config([line], check=False)
    assert list(neigh(r1, "nud", "permanent")) == ["172.16.0.9"]


def test_restart_adopts(net):
    """Nothing is written again, and what went from the file meanwhile goes."""
    r1 = net.r1
    r1.config([f"arp 10.0.1.77 {MAC} arpa alias"])
    writes = r1.json("show version")["kernel_writes"]
    assert writes > 0
    r1.kill9(r1.daemon_pid())
    topo.wait_for(lambda: "matches" in r1.cli("show kernel drift", check=False), what="restart")
    assert r1.json("show version")["kernel_writes"] == 0
    assert neigh(r1)["10.0.1.77"]["state"] == ["PERMANENT"]
    assert "10.0.1.77" in r1.ip("neigh", "show", "proxy").stdout
    r1.config(["no arp 10.0.1.77"])
    assert "10.0.1.77" not in r1.ip("neigh", "show", "proxy").stdout + r1.ip("neigh").stdout


def test_timers_and_queues(net):
    r1 = net.r1
    before = {f: sysctl(r1, f) for f in ("ipv4/neigh/eth0/base_reachable_time_ms", "ipv6/neigh/eth0/retrans_time_ms",
                                          "ipv4/neigh/eth0/unres_qlen_bytes", "ipv6/neigh/eth0/mcast_solicit")}
    r1.config(["interface eth0", "arp timeout 77", "ipv6 nd ns-interval 300", "arp queue 5000",
               "ipv6 nd multicast-probes 2"])
    assert [sysctl(r1, f) for f in before] == ["77000", "300", "5000", "2"]
    assert sysctl(r1, "ipv4/neigh/eth1/base_reachable_time_ms") == before["ipv4/neigh/eth0/base_reachable_time_ms"]
    assert " arp timeout 77\n arp queue 5000\n" in r1.cli("show running-config")
    assert "out of range" in r1.config(["interface eth0", "arp timeout 0"], check=False)
    r1.config(["interface eth0", "no arp timeout", "no ipv6 nd ns-interval", "no arp queue",
               "no ipv6 nd multicast-probes"])
    assert {f: sysctl(r1, f) for f in before} == before


def test_packets_wait_in_the_queue(net):
    """For a neighbour that is slow to answer; all of them, or with a queue of nothing the last."""
    r1, lan, wan = net.r1, net.lan, net.wan
    r1.config(["interface eth1", "arp retransmit 100", "arp multicast-probes 20"])
    for size, answers in ((0, 1), (100000, 4)):
        r1.config(["interface eth1", f"arp queue {size}"])
        wan.ip("link", "set", "eth0", "arp", "off")
        r1.cli("clear arp-cache interface eth1")
        ping = lan.popen("ping", "-nqc", 4, "-l", 4, "-W", 2, "198.51.100.1", stdout=subprocess.PIPE)
        topo.wait_for(lambda: table(r1, "show ip arp").get("198.51.100.1", {}).get("probes", 0) > 4,
                      what="requests without an answer")
        wan.ip("link", "set", "eth0", "arp", "on")
        assert f" {answers} received" in ping.communicate(timeout=10)[0]


def test_proxy_arp(net):
    r1, lan = net.r1, net.lan
    mac = mac_of(r1, "eth0")
    assert arping(lan, "198.51.100.1") == []
    assert arping(lan, "198.51.100.2") == []  # ours, but on the other interface
    r1.config(["interface eth0", "ip proxy-arp"])
    assert arping(lan, "198.51.100.1") == [mac]
    assert arping(lan, "10.0.1.88") == []  # on the asker's own network
    r1.config(["interface eth0", "no ip redirects", "ip local-proxy-arp"])
    assert arping(lan, "10.0.1.88") == [mac]
    r1.config(["interface eth0", "no ip proxy-arp", "no ip local-proxy-arp"])
    assert arping(lan, "198.51.100.1") + arping(lan, "10.0.1.88") == []


def test_arp_alias(net):
    r1, wan = net.r1, net.wan
    mac = mac_of(r1, "eth1")
    assert arping(wan, "10.0.1.10") == []
    r1.config([f"arp 10.0.1.10 {mac_of(net.lan, 'eth0')} arpa alias"])
    assert arping(wan, "10.0.1.10") == [mac]
    assert arping(wan, "10.0.1.11") == []
    assert table(r1, "show ip arp 10.0.1.10")


def test_what_others_announce(net):
    """An announcement changes an entry, makes one, or does nothing, as the line says."""
    r1, lan = net.r1, net.lan
    mac = mac_of(lan, "eth0")

    def announce(address):
        lan.ip("addr", "replace", f"{address}/32", "dev", "eth0")
        lan.run("arping", "-q", "-c", 1, "-w", 1, "-U", "-I", "eth0", "-s", address, address, check=False)

    for how, changed, made in (("none", False, False), ("update", True, False), ("learn", True, True)):
        r1.config(["interface eth0", f"ip arp gratuitous {how}"])
        # locktime: an entry that just changed is not changed again for a second.
        r1.run("sh", "-c", "echo 0 >/proc/sys/net/ipv4/neigh/eth0/locktime")
        r1.ip("neigh", "replace", "10.0.1.50", "lladdr", "02:00:00:00:00:50", "dev", "eth0", "nud", "stale")
        announce("10.0.1.50")
        announce("10.0.1.51")
        assert (neigh(r1)["10.0.1.50"]["lladdr"] == mac) == changed, how
        assert ("10.0.1.51" in neigh(r1)) == made, how
    r1.config(["interface eth0", "no ip arp gratuitous"])
    assert [sysctl(r1, f"ipv4/conf/eth0/{f}") for f in ("arp_accept", "drop_gratuitous_arp")] == ["0", "0"]


def test_nd_proxy(net):
    r1, lan = net.r1, net.lan
    mac = mac_of(r1, "eth0")
    r1.config(["interface eth0", "ipv6 nd proxy 2001:db8:1::99"])
    lan.ping("2001:db8:1::99", count=1, timeout=0.3, check=False)
    lan.ping("2001:db8:1::98", count=1, timeout=0.3, check=False)
    assert neigh(lan)["2001:db8:1::99"]["lladdr"] == mac
    assert "lladdr" not in neigh(lan)["2001:db8:1::98"]
    assert table(r1, "show ipv6 neighbors")["2001:db8:1::99"]["type"] == "proxy"
    r1.config(["interface eth0", "no ipv6 nd proxy 2001:db8:1::99"])
    assert r1.ip("-6", "neigh", "show", "proxy").stdout == ""
    assert sysctl(r1, "ipv6/conf/eth0/proxy_ndp") == "0"


def test_tables_and_clear(net):
    r1, lan = net.r1, net.lan
    mac = dotted(mac_of(lan, "eth0"))
    r1.config([f"arp 10.0.1.77 {MAC} arpa", "interface eth0", "arp retransmit 100", "ipv6 nd ns-interval 100"])
    for family, host, gone in (("ip arp", "10.0.1.10", "10.0.1.200"),
                               ("ipv6 neighbors", "2001:db8:1::10", "2001:db8:1::200")):
        r1.cli(f"clear {family}", f"ping {host} repeat 1", f"ping {gone} repeat 1 timeout 1", check=False)
        e = table(r1, f"show {family}")[host]
        assert (e["mac"], e["state"], e["interface"], e["next"]) == (mac, "REACHABLE", "eth0", "stale")
        assert e["age_sec"] < 5 and 0 < e["next_ms"] <= 45000
        assert table(r1, f"show {family} {gone}")[gone]["state"] == "FAILED"
        assert ("Incomplete" if family == "ip arp" else "INCMP") in r1.cli(f"show {family} {gone}")
        assert "FAILED" in r1.cli(f"show {family} {gone} detail")
        r1.ip("neigh", "change", host, "dev", "eth0", "nud", "stale")
        assert table(r1, f"show {family}")[host]["next"] == "removal"
        r1.cli(f"ping {host} repeat 1")
        assert table(r1, f"show {family}")[host]["state"] in ("DELAY", "REACHABLE")
        assert host not in table(r1, f"show {family} interface eth1")
        assert "There is no VRF BLUE" in r1.cli(f"show {family} vrf BLUE", check=False)
        # Forgotten one, then all; static ones stay.
        r1.cli(f"clear {family} {host}")
        assert host not in table(r1, f"show {family}")
        assert "no such entry" in r1.cli(f"clear {family} {host}", check=False)
    r1.cli("ping 10.0.1.10 repeat 1", "clear arp-cache", "clear ipv6 neighbors interface eth0")
    assert set(table(r1, "show arp")) == {"10.0.1.1", "198.51.100.2", "10.0.1.77"}
    assert "%" in r1.cli("clear ip arp interface nothere", check=False)


def test_incomplete_is_shown_with_its_probes(net):
    r1 = net.r1
    r1.config(["interface eth0", "arp multicast-probes 20", "ipv6 nd multicast-probes 20"])
    for show, dest in (("show ip arp", "10.0.1.201"), ("show ipv6 neighbors", "2001:db8:1::201")):
        r1.run("ping", "-c", 1, "-W", 0.1, dest, check=False)
        e = table(r1, f"{show} {dest}")[dest]
        assert (e["state"], e["mac"], e["next"]) == ("INCOMPLETE", "", "request")
        assert e["probes"] >= 1 and e["next_ms"] <= 1000


def test_limit_belongs_to_the_machine(net):
    for line in ("arp limit 4096", "ipv6 nd limit 4096"):
        assert "cannot be set in a network namespace; it is " in net.r1.config([line], check=False)
    assert "limit" not in net.r1.cli("show running-config")


def test_limit_is_watched(net):
    """gc_thresh3 is the machine's: entries that do not count against it fill the table here."""
    r1 = net.r1
    limit = r1.json("show ip arp summary")["limit"]
    assert "LIMIT" not in r1.cli("show logging")
    batch = [f"neigh add 10.0.{1 + i // 200}.{20 + i % 200} lladdr {LINUX_MAC} dev eth0 nud permanent"
             for i in range(limit * 81 // 100)]
    r1.ip_batch(batch)
    s = r1.json("show ip arp summary")
    assert s["alarm"] and s["states"]["static"] == len(batch) and s["machine_entries"] >= len(batch)
    r1.cli("show ip arp summary")
    assert r1.cli("show logging").count("NEIGH-4-LIMIT") == 1
    assert len(table(r1, "show ip arp")) >= len(batch)
