# SPDX-License-Identifier: GPL-2.0-or-later
"""The harness itself: what it builds forwards, with the kernel as the router, and leaves nothing."""
import importlib
import os
import subprocess
import time

import pytest

import router
import topo as topo_lib

INTERNET = ["203.0.113.10", "2001:db8:203::10"]


@pytest.mark.parametrize("command, status, said", [
    (["tools/test", "--help"], 0, "tools/test AREA"), (["tools/test", "--bogus"], 2, "--bogus is no option"),
    (["/usr/bin/python3", "tests/lib/run_tests.py", "no-such-area"], 1, "no test's file name contains 'no-such-area'")])
def test_what_tools_test_is_asked(command, status, said):
    p = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=router.TOP)
    assert p.returncode == status and said in p.stdout + p.stderr, p.stdout + p.stderr


def forwarding(topo):
    for name in topo.spec.routers():
        topo.kernel_forwarding(name)
    return topo


def test_basic_forwards_both_families(topology):
    topo = forwarding(topology("basic"))
    for dest in ["10.0.1.1", "2001:db8:1::1", "198.51.100.1", "2001:db8:100::1", *INTERNET]:
        topo.lan.ping(dest)


def test_dual_wan_reaches_both_providers(topology):
    topo = forwarding(topology("dual-wan"))
    for dest in ["198.51.100.1", "2001:db8:100::1", "192.0.2.1", "2001:db8:200::1"]:
        topo.lan.ping(dest)


def test_ha_pair_shares_its_segments(topology):
    topo = forwarding(topology("ha-pair"))
    for last in (2, 3):
        topo.lan.ping(f"10.0.1.{last}")
        topo.wan.ping(f"2001:db8:100::{last}")
    topo.lan.ip("route", "replace", "default", "via", "10.0.1.2")
    topo.wan.ip("route", "replace", "default", "via", "198.51.100.2")
    topo.lan.ping("203.0.113.10")


@pytest.mark.parametrize("n", [1, 4])
def test_chain_crosses_every_router(topology, n):
    topo = forwarding(topology("chain", n))
    for dest in INTERNET:
        out = topo.lan.run("ping", "-n", "-c", 1, "-W", 2, dest).stdout
        assert f"ttl={64 - n}" in out


def test_tcp_helpers_and_capture(topology):
    topo = forwarding(topology("basic"))
    topo.wan.http_server(body="over the router\n")
    with topo.wan.tcpdump("eth0", "tcp dst port 80") as cap:
        for dest in ("203.0.113.10", "[2001:db8:203::10]"):
            assert topo.lan.curl(f"http://{dest}/") == "over the router\n"
    assert any("10.0.1.10" in p for p in cap.packets), cap.packets
    topo.wan.iperf3_server()
    sent = topo.lan.iperf3("203.0.113.10", seconds=1)["end"]["sum_received"]["bytes"]
    assert sent > 0


def test_ping_notices_loss(topology):
    """A router that does not forward must make the ping helper fail, or it proves nothing."""
    topo = forwarding(topology("basic"))
    topo.r1.sysctl(**{"net.ipv4.ip_forward": 0})
    with pytest.raises(AssertionError, match="0 of 3 answers"):
        topo.lan.ping("203.0.113.10", timeout=0.2)


def test_wait_sees_an_event_and_a_deadline(topology):
    topo = topology("basic")
    worker = topo.lan.popen("sh", "-c", "sleep 0.2; ip addr add 10.9.9.9/32 dev lo")
    topo.lan.wait(lambda: "10.9.9.9/32" in topo.lan.addresses("lo"), on="address")
    worker.wait()
    start = time.monotonic()
    with pytest.raises(AssertionError, match="never"):
        topo.lan.wait(lambda: False, timeout=0.3, what="never")
    assert time.monotonic() - start < 2


def test_two_of_a_kind_do_not_meet(topology):
    one, two = topology("basic"), topology("basic")
    assert one.prefix != two.prefix
    forwarding(one)
    forwarding(two)
    two.wan.ip("addr", "del", "203.0.113.10/32", "dev", "lo")
    one.lan.ping("203.0.113.10")
    assert two.lan.ping("203.0.113.10", count=1, timeout=0.2, check=False) == 0


def test_leaks_are_seen(topology):
    """The assertion at the end of each test rests on this: a stray process shows as leaked."""
    topo = topology("basic")
    assert topo.leaked() == {}
    stray = topo.lan.popen("sleep", "600")
    topo_lib.wait_for(lambda: topo.leaked() == {"lan": [stray.pid]}, what="the stray process")
    topo_lib.remove_namespaces(topo.prefix)
    assert stray.wait(5) != 0 and topo_lib.namespaces(topo.prefix) == []


def test_sandbox_is_closed():
    """Our /run, our process ids, no interface of the machine."""
    links = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in links.splitlines()] == ["lo"]
    assert os.path.ismount("/run")
    assert os.getpid() < 1000 and os.readlink("/proc/self/ns/net") == os.readlink("/proc/1/ns/net")


def test_generated_configuration_follows_the_plan():
    lines = topo_lib.router_lines(topo_lib.basic(), "r1")
    assert lines[:4] == ["interface eth0", " ip address 10.0.1.1 255.255.255.0",
                         " ipv6 address 2001:db8:1::1/64", " no shutdown"]
    assert lines[-2:] == ["ip route 0.0.0.0 0.0.0.0 198.51.100.1", "ipv6 route ::/0 2001:db8:100::1"]


def test_a_daemon_that_dies_is_reported_at_once(topology, monkeypatch, tmp_path):
    """start() must not wait out its time for a process that is gone, and must show its last words."""
    bad = tmp_path / "rtrd"
    bad.write_text("#!/bin/sh\necho cannot start today >&2\nexit 3\n")
    bad.chmod(0o755)
    monkeypatch.setenv("RTR_BUILD_DIR", str(tmp_path))
    topo = topology("basic")
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="status 3:\ncannot start today"):
        topo.r1.start()
    assert time.monotonic() - start < router.READY_TIMEOUT / 2


def test_a_router_saves_restarts_and_survives(routers):
    """The Router helper against the real rtrd: what was saved comes back, also after kill -9."""
    topo = routers("basic")
    r1 = topo.r1
    r1.config(topo_lib.router_lines(topo.spec, "r1"))
    topo.lan.ping("203.0.113.10")
    with pytest.raises(router.CliError):
        r1.config(["interface eth0", "ip address 10.0.0.300 255.255.255.0"])
    r1.cli("write memory")
    r1.restart()
    assert "ip address 10.0.1.1 255.255.255.0" in r1.cli("show running-config")
    topo.lan.ping("203.0.113.10")
    r1.kill9()
    r1.start()
    topo.lan.ping("2001:db8:203::10")
    assert not os.path.exists(f"/var/lib/rtr/{r1.instance}")


@pytest.mark.parametrize("arrivals, n, worst", [
    ([(0, 0, 5), (1, 1, 6), (2, 2, 7)], 3, 0),
    ([(0, 0, 5), (1, 40, 46), (2, 41, 47)], 3, 1),  # the sender was late by 40, the path by 1
    ([(0, 0, 5), (9, 30, 36), (10, 31, 37)], 3, 31),  # packets are missing: all of it counts
    ([], 0, 0),
])
def test_failover_bench_counts_no_lateness_of_the_sender(monkeypatch, arrivals, n, worst):
    monkeypatch.syspath_prepend(f"{router.TOP}/bench")
    gaps = importlib.import_module("bench_failover").Gaps()
    for a in arrivals:
        gaps.add(*a)
    assert (gaps.n, gaps.worst) == (n, worst)


def test_failover_bench_goes_on_with_rounds_of_the_same_programs(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(f"{router.TOP}/bench")
    bench = importlib.import_module("bench_failover")
    path = str(tmp_path / "rounds")
    first = bench.Kept(path)
    first.add("stop", "rtr", [0, 1.5])
    first.add("stop", "rtr", None)
    first.add("stop", "keepalived", [0, 2.5])
    with open(path, "a") as f:
        f.write('{"program": "another", "cell": "stop", "kind": "rtr", "result": [9, 9.0]}\n')
    again = bench.Kept(path)
    assert again.of("stop", "rtr") == [[0, 1.5], None] and again.good("stop", "rtr") == [[0, 1.5]]
    assert again.good("stop", "keepalived") == [[0, 2.5]]
