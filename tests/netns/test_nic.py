# SPDX-License-Identifier: GPL-2.0-or-later
"""Offloads, rings and queues: what veth can do; real rings and queues are in the guest tests."""
import os
import re

import pytest

from router import CliError, startup
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


def cpus_of(r1, dev, queue):
    """As the kernel has it, a mask."""
    return int(r1.run("cat", f"/sys/class/net/{dev}/queues/{queue}").stdout.replace(",", ""), 16)


def test_queues_and_cpus(routers):
    """RPS and XPS: set, kept against other hands, shown, and as before when the line or the interface goes."""
    r1 = routers("basic").r1
    r1.run("ip", "link", "add", "big0", "numrxqueues", "2", "numtxqueues", "2", "type", "veth", "peer", "name", "big1")
    last = os.cpu_count() - 1
    r1.run("sh", "-c", "echo 1 >/sys/class/net/big0/queues/rx-1/rps_cpus")
    r1.config(["interface big0", f"queue 0 rps 0,{last}", f"queue 1 rps {last}", f"queue 1 xps {last}"])
    assert cpus_of(r1, "big0", "rx-0/rps_cpus") == 1 | 1 << last
    assert cpus_of(r1, "big0", "rx-1/rps_cpus") == 1 << last
    assert cpus_of(r1, "big0", "tx-1/xps_cpus") == 1 << last
    assert f" queue 1 xps {last}\n" in r1.cli("show running-config")
    serving = {q["queue"]: q for q in r1.json("show interfaces big0 queues")["serving"]}
    assert (serving[1]["rps"], serving[1]["xps"], serving[1]["interrupts"]) == (str(last), str(last), [])
    assert re.search(rf"(?m)^1 +- +- +{last} +{last}$", r1.cli("show interfaces big0 queues"))
    # Another hand; a look at everything mends it.
    r1.run("sh", "-c", "echo 0 >/sys/class/net/big0/queues/rx-0/rps_cpus")
    assert "set rps of queue 0 of big0" in r1.cli("show kernel drift")
    r1.config(["interface big0", "description a look at everything"])
    wait_for(lambda: cpus_of(r1, "big0", "rx-0/rps_cpus") == 1 | 1 << last, what="our line")
    assert "matches" in r1.cli("show kernel drift")
    r1.config(["interface big0", "no queue 1 rps"])
    assert cpus_of(r1, "big0", "rx-1/rps_cpus") == 1
    r1.config(["no interface big0"])
    wait_for(lambda: cpus_of(r1, "big0", "rx-0/rps_cpus") == 0 and cpus_of(r1, "big0", "tx-1/xps_cpus") == 0,
             what="as before")
    assert "matches" in r1.cli("show kernel drift")


def test_smaller_machine_keeps_its_configuration(routers):
    """CPUs and queues that were there when the configuration was saved: all the rest of it comes up, and its
    interface can be edited; the line that cannot hold is refused when it is typed."""
    r1 = routers("basic").r1
    r1.config(["interface eth0", "description kept", "ip address 198.51.100.9/24", "queue 0 rps 0"])
    r1.cli("write memory")
    r1.stop()
    os.unlink(f"/run/rtr/{r1.instance}/running")  # as after a reboot
    path = startup(r1.folder)
    with open(path) as f:
        text = f.read()
    line = re.search(r'\{[^{}]*queue = 0;[^{}]*what = "rps";[^{}]*\}', text).group()
    lost = [line.replace('cpus = "0"', 'cpus = "0,1023"'), line.replace("queue = 0;", "queue = 7;"),
            line.replace('"rps"', '"xps"'), line.replace('"rps"', '"cpu"')]
    with open(path, "w") as f:
        f.write(text.replace(line, ", ".join(lost)))
    r1.run("sh", "-c", "echo 0 >/sys/class/net/eth0/queues/rx-0/rps_cpus; ip addr flush dev eth0")
    r1.start()
    wait_for(lambda: " description kept\n" in r1.cli("show running-config"), what="the saved configuration")
    assert "198.51.100.9/24" in r1.addresses("eth0")
    shown = r1.cli("show running-config")
    assert all(f" queue {q}\n" in shown for q in ("0 rps 0,1023", "7 rps 0", "0 xps 0", "0 cpu 0")), shown
    wait_for(lambda: cpus_of(r1, "eth0", "rx-0/rps_cpus") == 1, what="the CPU that there is")
    last = r1.cli("show reload last")
    assert "boot" in last and "good" in last and "no receive queue 7" in last and "this machine has the CPUs" in last
    r1.config(["interface eth0", "description edited"])
    with pytest.raises(CliError, match="no receive queue 8"):
        r1.config(["interface eth0", "queue 8 rps 0"])
    r1.cli("configure candidate", "interface eth0", "no queue 7 rps", "commit confirmed 1", "end")
    r1.cli("commit abort")
    wait_for(lambda: " queue 7 rps 0\n" in r1.cli("show running-config"), what="the way back")
    assert "matches" in r1.cli("show kernel drift")


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
    (["interface Loopback0", "queue 0 rps 0"], "is no NIC"),
    (["interface eth0", "queue 0 cpu 0"], 'no interrupts of its own: "queue 0 rps" spreads'),
    (["interface eth0", "queue 7 rps 0"], "no receive queue 7"),
    (["interface eth0", "queue 0 rps 1023"], "this machine has the CPUs 0"),
    (["interface eth0", "queue 0 rps 3-1"], "is no list of CPUs"),
    (["interface eth0", "rss key symmetric"], "has no hash key"),
    (["interface eth0", "rss symmetric-xor"], "has no hash key"),
    (["interface eth0", "rss key 6d:5"], "neither symmetric nor a key"),
])
def test_refused(routers, lines, words):
    with pytest.raises(CliError, match=words):
        routers("basic").r1.config(lines)
