# SPDX-License-Identifier: GPL-2.0-or-later
"""show health: figures, thresholds, states that change with hysteresis and are logged."""
import os
import re
import signal

import pytest

from router import CliError
from topo import kill_all, pids_in, router_lines, wait_for

METRICS = {"throughput", "interface-drops", "ring-drops", "softnet-drops", "gateway-loss", "gateway-latency", "conntrack",
           "neighbours", "socket-drops", "retransmissions", "cpu", "memory", "restarts", "time-offset"}


@pytest.fixture
def topo(routers):
    topo = routers("basic")
    topo.r1.config([*router_lines(topo.spec, "r1"), "health interval 1", "health probes"])
    return topo


def item(r1, metric, name=""):
    return next((m for m in r1.json("show health")["metrics"]
                 if m["metric"] == metric and m["item"].startswith(name)), None)


def name_of(pid):
    with open(f"/proc/{pid}/comm") as f:
        return f.read().strip()


def becomes(r1, metric, name, state, timeout=12):
    return wait_for(lambda: (i := item(r1, metric, name)) and i["state"] == state and i, timeout,
                    f"{metric} {name} {state}")


def test_figures_and_states(topo):
    r1 = topo.r1
    for gw in ("198.51.100.1", "2001:db8:100::1"):
        loss = becomes(r1, "gateway-loss", gw, "OK")
        assert loss["value"] == 0 and loss["item"] == f"{gw} eth1"
        assert 0 < item(r1, "gateway-latency", gw)["value"] < 1000
    wait_for(lambda: METRICS <= {m["metric"] for m in r1.json("show health")["metrics"]}, what="all metrics")
    doc = r1.json("show health")
    for m in doc["metrics"]:
        assert m["value"] is None or 0 <= m["value"] < 1e6, m
        assert m["state"] in ("OK", "WARN", "CRIT", "UNKNOWN") and m["warn"] <= m["crit"]
    # A veth says that it has 10 Gbit/s.
    assert "of 10000 Mbit/s" in item(r1, "throughput", "eth1")["note"]
    text = r1.cli("show health")
    assert f"Health: {doc['state']}" in text and "gateway-loss     198.51.100.1 eth1" in text
    # The loop of the box is not in the list, and a link that goes takes its items along.
    assert not item(r1, "throughput", "lo")
    r1.config(["interface eth0", "shutdown"])
    wait_for(lambda: not item(r1, "interface-drops", "eth0"), what="the end of eth0's items")
    # A gateway falls silent.
    topo.wan.sysctl(**{"net.ipv4.icmp_echo_ignore_all": 1})
    becomes(r1, "gateway-loss", "198.51.100.1", "CRIT")
    log = r1.cli("show logging")
    assert "%SYS-2-HEALTH: gateway-loss 198.51.100.1 eth1 is CRIT, was " in log
    # The other family has answered all along.
    assert item(r1, "gateway-loss", "2001:db8:100::1")["state"] == "OK"
    assert r1.json("show health")["state"] == "CRIT"
    # Other thresholds hold at once, and it is good only some samples later.
    r1.config(["health threshold gateway-loss warn 1000 crit 1000", "health threshold memory warn 1 crit 1000"])
    becomes(r1, "gateway-loss", "198.51.100.1", "OK")
    assert "%SYS-5-HEALTH: gateway-loss 198.51.100.1 eth1 is OK, was CRIT" in r1.cli("show logging")
    becomes(r1, "memory", "", "WARN")
    assert "%SYS-4-HEALTH: memory is WARN, was OK" in r1.cli("show logging")
    r1.config(["no health probes", "no health threshold gateway-loss"])
    wait_for(lambda: not item(r1, "gateway-latency"), what="the end of the probes")
    assert item(r1, "gateway-loss")["note"] == "not asked: health probes"


def echoes(node):
    """Echo requests that came in, of IPv4 and IPv6."""
    text = node.run("nstat", "-az", "IcmpInEchos", "Icmp6InEchos").stdout
    return [int(re.search(rf"^{name}\s+(\d+)", text, re.M)[1]) for name in ("IcmpInEchos", "Icmp6InEchos")]


def test_probes_are_one_connection(topo):
    """Each identifier would be an entry of the tables of connections for a minute."""
    r1, gateways = topo.r1, ("198.51.100.1", "2001:db8:100::1")
    r1.config([line for n, gw in enumerate(gateways, 1)
               for line in (f"ip sla {n}", f"icmp-echo {gw}", "frequency msec 200", "exit")])
    for n, gw in enumerate(gateways, 1):
        becomes(r1, "gateway-loss", gw, "OK")
        wait_for(lambda: r1.json(f"show ip sla statistics {n}")[0]["successes"], what=f"an answer of {gw}")
    with topo.wan.tcpdump(expr="icmp[0] = 8 or (icmp6 and ip6[40] = 128)") as cap:
        before = echoes(topo.wan)
        wait_for(lambda: all(now >= was + 18 for was, now in zip(before, echoes(topo.wan))), 15, "18 echoes of each family")
    asked = re.findall(r"(ICMP6?),? echo request, id (\d+), seq", "\n".join(cap.packets))
    assert len(asked) >= 36
    # The health's and the IP SLA's of each family.
    assert sorted(kind for kind, _ in set(asked)) == ["ICMP", "ICMP", "ICMP6", "ICMP6"], set(asked)


def test_restarts_and_drops(topo):
    r1 = topo.r1
    wait_for(lambda: item(r1, "restarts"), what="a sample")
    kill_all([pid for pid in pids_in(r1.netns) if name_of(pid) == "rtr-arpd"])
    assert becomes(r1, "restarts", "", "WARN")["value"] == 1
    assert next(p for p in r1.json("show programs") if p["program"] == "rtr-arpd")["restarts"] == 1
    # rtrd itself: its next life counts what its parent knows.
    os.kill(r1.daemon_pid(), signal.SIGKILL)
    wait_for(lambda: "rtrd goes on" in r1.cli("show logging", check=False), 10, "rtrd again")
    becomes(r1, "restarts", "", "WARN")
    with pytest.raises(CliError, match="warn is above crit"):
        r1.config(["health threshold cpu warn 90 crit 80"])
