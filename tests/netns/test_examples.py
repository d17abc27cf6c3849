# SPDX-License-Identifier: GPL-2.0-or-later
"""etc/examples: every file is good, is what `write memory` writes, and makes its topology work."""
import glob
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
    assert want == set(FILES)


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
