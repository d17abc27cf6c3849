# SPDX-License-Identifier: GPL-2.0-or-later
"""Offloads, rings and queues: what veth can do; real rings and queues are in the guest tests."""
import pytest

from router import CliError
from topo import wait_for


def ethtool(r1, name):
    out = r1.run("ethtool", "-k", "eth1").stdout
    return next(line.split(":")[1].split()[0] for line in out.splitlines() if line.strip().startswith(name + ":"))


def test_offloads(routers):
    """Set, kept against other hands, shown, and as before when the line goes; traffic flows all the time."""
    topo = routers("basic")
    r1 = topo.r1
    r1.config(["interface eth1", "ip address 198.51.100.2/24"])
    r1.run("ethtool", "-K", "eth1", "gro", "off", "tso", "on")
    r1.config(["interface eth1", "offload gro on", "offload tso off", "offload tx-checksum off"])
    assert (ethtool(r1, "generic-receive-offload"), ethtool(r1, "tcp-segmentation-offload")) == ("on", "off")
    shown = {o["feature"]: o for o in r1.json("show interfaces eth1 offload")}
    assert shown["rx-gro"]["on"] and not shown["tx-tcp-segmentation"]["on"] and shown["rx-lro"]["fixed"]
    assert "rx-lro" in r1.cli("show interfaces eth1 offload")
    r1.run("ethtool", "-K", "eth1", "tso", "on", check=False)
    r1.config(["interface eth1", "description a look at everything"])
    wait_for(lambda: ethtool(r1, "tcp-segmentation-offload") == "off", what="our line")
    assert "matches" in r1.cli("show kernel drift")
    topo.wan.ping("198.51.100.2")
    before = r1.cli("show running-config")
    assert " offload tso off" in before
    r1.config(["interface eth1", "no offload gro", "no offload tso on", "no offload tso", "no offload tx-checksum"])
    wait_for(lambda: ethtool(r1, "generic-receive-offload") == "off", what="as before")
    assert ethtool(r1, "tcp-segmentation-offload") == "on"
    # And with the whole interface.
    r1.config(["interface eth1", "offload gro on", "exit", "no interface eth1"])
    wait_for(lambda: ethtool(r1, "generic-receive-offload") == "off", what="as before")


def test_what_the_driver_tells(routers):
    r1 = routers("basic").r1
    assert "eth0" in r1.cli("show interfaces eth0 queues")
    assert r1.json("show interfaces eth0 queues")["queues"]["rx"] >= 1
    with pytest.raises(CliError, match="by nothing that it tells"):
        r1.cli("show interfaces eth0 rss")
    with pytest.raises(CliError, match="eth0: not supported by this driver"):
        r1.cli("show interfaces eth0 transceiver")
    with pytest.raises(CliError, match="no such interface"):
        r1.cli("show interfaces eth9 queues")


@pytest.mark.parametrize("lines, words", [
    (["interface eth0", "hardware-queue 2"], "no queues that can be set"),
    (["interface eth0", "ring rx 512"], "no rings that can be set"),
    (["interface eth0", "offload lro on"], "cannot be routed"),
    (["interface Loopback0", "offload gro off"], "is no NIC"),
])
def test_refused(routers, lines, words):
    with pytest.raises(CliError, match=words):
        routers("basic").r1.config(lines)
