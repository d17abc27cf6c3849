# SPDX-License-Identifier: GPL-2.0-or-later
"""etc/examples: every file is good, is what `write memory` writes, and makes its topology work."""
import glob
import re
import subprocess

import pytest

import router
import topo

EXAMPLES = f"{router.TOP}/etc/examples"
FILES = sorted(glob.glob(f"{EXAMPLES}/*/*.conf"))


def bare(text):
    """The lines that a machine reads."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_all_routers_have_one():
    want = {f"{EXAMPLES}/{kind}/{name}.conf" for kind in topo.TOPOLOGIES
            for name in topo.TOPOLOGIES[kind]().routers()}
    assert want == {f for f in FILES if "/complete/" not in f}


@pytest.mark.parametrize("path", FILES)
def test_check(path):
    p = subprocess.run([router.program("rtrd"), "-t", path], capture_output=True, text=True, check=False)
    assert (p.returncode, p.stdout + p.stderr) == (0, "")


@pytest.mark.parametrize("kind", sorted(topo.TOPOLOGIES))
def test_runs(topology, kind):
    net = topology(kind)
    for name in net.spec.routers():
        r = net.nodes[name]
        r.start(config_file=f"{EXAMPLES}/{kind}/{name}.conf")
        port = r.spec.ports[-1]
        r.wait(lambda: set(port.addrs) <= set(r.addresses(port.name)), what="addresses")
        topo.wait_for(lambda: "matches" in r.cli("show kernel drift"), what=f"{name} configured")
        # Every address and route of the plan is in the file.
        plan = {line for line in topo.router_lines(net.spec, name) if line.startswith((" ip", "ip"))}
        assert plan <= set(r.cli("show running-config").splitlines())
        r.cli("write memory")
        with open(f"{EXAMPLES}/{kind}/{name}.conf") as example, open(router.startup(r.folder)) as saved:
            assert bare(example.read()) == bare(saved.read())
    for dest in topo.INTERNET:
        topo.wait_for(lambda: net.lan.ping(dest.split("/")[0], count=1, check=False), what="the first answer")
        net.lan.ping(dest.split("/")[0])


def test_second_provider_takes_over(topology):
    """dual-wan: with eth1 down all traffic leaves by the second provider."""
    net = topology("dual-wan")
    net.r1.start(config_file=f"{EXAMPLES}/dual-wan/r1.conf")
    topo.wait_for(lambda: net.lan.ping("203.0.113.10", count=1, check=False), what="provider 1")
    net.wan1.ip("link", "set", "eth0", "down")
    topo.wait_for(lambda: "192.0.2.1, eth2" in net.r1.cli("show ip route 0.0.0.0/0"), what="the floating route")
    for dest in topo.INTERNET:
        topo.wait_for(lambda: net.lan.ping(dest.split("/")[0], count=1, check=False), what="provider 2")
        net.lan.ping(dest.split("/")[0])


def load(topology, kind, **files):
    """The topology with complete configurations, each loaded as it is and written as it is."""
    net = topology(kind)
    for name, file in files.items():
        net.nodes[name].start(config_file=f"{EXAMPLES}/complete/{file}.conf")
    for name, file in files.items():
        r = net.nodes[name]
        port = r.spec.ports[-1]
        r.wait(lambda: set(port.addrs) <= set(r.addresses(port.name)), what="addresses")
        topo.wait_for(lambda: "matches" in r.cli("show kernel drift"), what=f"{name} configured")
        r.cli("write memory")
        with open(f"{EXAMPLES}/complete/{file}.conf") as example, open(router.startup(r.folder)) as saved:
            assert bare(example.read()) == bare(saved.read())
    return net


def reaches(host, *dests):
    for dest in dests or (d.split("/")[0] for d in topo.INTERNET):
        topo.wait_for(lambda: host.ping(dest, count=1, timeout=1, check=False), 15, f"an answer of {dest}")
        host.ping(dest)


def test_home_nat(topology):
    net = load(topology, "home", r1="home-nat")
    reaches(net.lan)
    net.lan.http_server(80, "mine\n")
    assert net.wan.curl("http://198.51.100.2:8080/") == "mine\n"
    reaches(net.wan, "198.51.100.2", "2001:db8:100::2")
    # The inside is closed, and so is the box, but for those.
    net.wan.ip("route", "replace", "10.0.1.0/24", "via", "198.51.100.2")
    for closed in ("10.0.1.10", "2001:db8:1::10"):
        assert net.wan.ping(closed, count=2, timeout=1, check=False) == 0, closed
    for url in ("http://[2001:db8:1::10]/", "http://198.51.100.2:22/"):
        assert net.wan.run("curl", "-gsS", "--max-time", "1", url, check=False).returncode == 28, url


def test_dual_wan_fails_over(topology):
    """Provider 1 stops to answer while its link is up: both families leave by provider 2 and come back."""
    net = load(topology, "dual-wan", r1="dual-wan")
    reaches(net.lan)
    assert "10000:" in net.r1.ip("rule").stdout, "mail goes by provider 2"
    for family, address in (("-4", "198.51.100.1/24"), ("-6", "2001:db8:100::1/64")):
        net.wan1.ip(family, "addr", "del", address, "dev", "eth0")
    topo.wait_for(lambda: "192.0.2.1, eth2" in net.r1.cli("show ip route 0.0.0.0/0")
                  and "2001:db8:200::1" in net.r1.cli("show ipv6 route ::/0"), 15, "provider 2")
    reaches(net.lan)


def test_ha_pair(topology):
    """The first router's LAN goes down: the second takes both sides over."""
    net = load(topology, "ha-pair", r1="ha-pair-r1", r2="ha-pair-r2")
    states = lambda r: [line.split()[7] for line in r.cli("show vrrp brief").splitlines()[1:]]  # noqa: E731
    topo.wait_for(lambda: states(net.r1) == ["MASTER"] * 4 and states(net.r2) == ["BACKUP"] * 4, 15, "one master")
    for host, fe80 in ((net.lan, "fe80::1"), (net.wan, "fe80::254")):
        host.ip("-6", "route", "replace", "default", "via", fe80, "dev", "eth0")
    reaches(net.lan)
    net.lansw.ip("link", "set", "p2", "down")
    topo.wait_for(lambda: states(net.r2) == ["MASTER"] * 4, 15, "the other master")
    reaches(net.lan)


def test_isp_edge(topology):
    net = load(topology, "dual-wan", r1="isp-edge")
    for wan, gw4, gw6 in ((net.wan1, "198.51.100.2", "2001:db8:100::2"), (net.wan2, "192.0.2.2", "2001:db8:200::2")):
        wan.ip("-4", "route", "replace", "10.0.1.0/24", "via", gw4)
        wan.ip("-6", "route", "replace", "2001:db8:1::/64", "via", gw6)
    reaches(net.lan)
    reaches(net.wan1, "198.51.100.2", "10.0.1.10", "2001:db8:1::10")
    # What customers may not: other sources, mail. What transits may not: our sources, the box.
    net.lan.ip("addr", "add", "10.2.0.1/32", "dev", "lo")
    assert net.lan.ping("203.0.113.10", count=2, timeout=1, check=False, args=("-I", "10.2.0.1")) == 0
    net.wan1.ip("addr", "add", "10.1.0.1/32", "dev", "lo")
    assert net.wan1.ping("10.0.1.10", count=2, timeout=1, check=False, args=("-I", "10.1.0.1")) == 0
    drops = net.r1.cli("show firewall drops")
    assert re.search(r"(?m)^sources without a way back +[1-9]", drops), drops
    hits = net.r1.cli("show access-lists TRANSIT-IN")
    assert re.search(r"(?m)^ *20 deny .*[1-9]\d* match", hits), hits
    # Nobody's part of our networks.
    assert net.lan.run("ping", "-c", "1", "-W", "1", "10.3.0.1", check=False).returncode != 0
    assert "blackhole" in net.r1.ip("route", "show", "10.0.0.0/14").stdout
