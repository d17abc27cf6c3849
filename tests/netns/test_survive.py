# SPDX-License-Identifier: GPL-2.0-or-later
"""What the control plane must survive: a full disk, a damaged startup file, a netlink overrun, an
interface that goes in the middle of a commit, somebody who fights it, operators who come at once,
and clients that flood or do not read. Afterwards the kernel holds what runs, and nothing that was
promised is lost."""
import glob
import grp
import os
import signal
import statistics
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from router import CliError, build_dir, program, startup
from test_commit import base_lines, settled
from topo import router_lines, sh, wait_for

HZ = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def r1(routers):
    topo = routers("basic")
    topo.r1.topo = topo
    wait_for(lambda: settled(topo.r1), what="the empty configuration")
    return topo.r1


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        field = f.read().rsplit(")", 1)[1].split()
    return (int(field[11]) + int(field[12])) / HZ


def ipv4(r1):
    """What there is of IPv4: what the kernel does to IPv6 by itself takes its own time."""
    return [r1.ip("-4", "route").stdout, sorted(r1.addresses("eth0")), sorted(r1.addresses("eth1"))]


def logging(r1):
    return r1.cli("show logging")


# ---- disks ----

@contextmanager
def small_disk(path):
    os.makedirs(path, exist_ok=True)
    sh("mount", "-n", "-t", "tmpfs", "-o", "size=256k,mode=755", "tmpfs", path)
    try:
        yield
    finally:
        sh("umount", "-n", "-l", path)


def fill(path):
    with open(path, "wb", buffering=0) as f:
        try:
            while f.write(b"x" * 512):
                pass
        except OSError:
            pass


def test_full_disk_keeps_what_was_saved_and_what_runs(topology):
    topo = topology("basic")
    r1 = topo.r1
    with small_disk(r1.folder):
        r1.start()
        wait_for(lambda: settled(r1), what="the empty configuration")
        r1.config(["hostname saved", *router_lines(topo.spec, "r1")])
        r1.cli("write memory")
        saved = open(startup(r1.folder)).read()
        fill(f"{r1.folder}/fill")
        r1.config(["hostname running", "ip route 10.90.0.0/16 198.51.100.1"])
        assert "10.90.0.0/16" in r1.ip("route").stdout
        with pytest.raises(CliError, match="No space left on device; the startup configuration is as before"):
            r1.cli("write memory")
        assert open(startup(r1.folder)).read() == saved
        wait_for(lambda: "Cannot keep a revision" in logging(r1), what="the archive's complaint")
        assert "hostname running" in r1.cli("show running-config")
        assert not [f for f in os.listdir(r1.folder) if f.startswith("startup.conf.")], "a temporary file is left"
        os.unlink(f"{r1.folder}/fill")
        r1.cli("write memory")
        assert "running" in open(startup(r1.folder)).read()
        r1.stop()


def as_after_a_reboot(r1):
    """Stops rtrd and takes away what a reboot would."""
    r1.stop()
    os.unlink(f"/run/rtr/{r1.instance}/running")


def revisions(r1):
    if r1.alive():
        r1.cli("show archive")  # what waits to be written is written first
    return sorted(glob.glob(f"{r1.folder}/state/{r1.instance}/archive/*.conf"))


@pytest.mark.parametrize("damage", ["cut", "refused", "empty of sense", "a folder"])
def test_bad_startup_file_at_boot_falls_back_to_the_archive(r1, damage):
    lines = router_lines(r1.topo.spec, "r1")
    r1.config(["hostname older", *lines])
    r1.cli("write memory")
    r1.config(["hostname newer"])
    r1.cli("write memory")
    assert len(revisions(r1)) >= 2
    as_after_a_reboot(r1)
    path = startup(r1.folder)
    text = open(path).read()
    if damage == "a folder":
        os.unlink(path)
        os.mkdir(path)
    else:
        bad = {"cut": text[:len(text) // 2], "empty of sense": "interface = 7;\n",
               # Every line is known, but they do not go together.
               "refused": text.replace('name = "eth0";',
                                       'name = "eth0"; offload = ( { feature = "lro"; state = "on"; } );')}[damage]
        assert bad != text
        open(path, "w").write(bad)
    if damage in ("cut", "refused"):  # the newest revision with it
        open(revisions(r1)[-1], "w").write(bad)
    r1.start()
    wait_for(lambda: settled(r1) and r1.json("show version")["revision"] > 0, what="the last good revision")
    want = "older" if damage in ("cut", "refused") else "newer"
    assert f"hostname {want}" in r1.cli("show running-config")
    log = logging(r1)
    assert "The startup configuration is refused" in log
    assert damage != "refused" or "LRO has joined cannot be routed" in log
    assert "Starting with the last good revision instead" in log
    if damage == "a folder":
        os.rmdir(path)
    r1.cli("write memory")


# ---- the kernel in other hands ----

def test_netlink_overrun_is_repaired(r1):
    ours = [f"ip route 10.{100 + i // 250}.{i % 250}.0 255.255.255.0 10.0.1.10" for i in range(1000)]
    r1.cli("configure candidate", *base_lines(r1.topo), *ours, "commit", "end")
    wait_for(lambda: settled(r1), what="the routes")
    state = ipv4(r1)
    proto = r1.ip_json("route", "show", "10.100.1.0/24")[0]["protocol"]
    pid = r1.daemon_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        # Far more than a receive buffer holds, in our own name, so that no filter helps.
        flood = [f"route {verb} 172.{16 + i // 250}.{i % 250}.0/24 via 10.0.1.10 proto {proto}"
                 for verb in ("add", "del") for i in range(4000)]
        r1.ip_batch(flood)
        r1.ip_batch([f"route del 10.{100 + i // 250}.{i % 250}.0/24" for i in range(0, 1000, 2)])
        r1.ip_batch([f"route add 172.31.{i}.0/24 via 10.0.1.10 proto {proto}" for i in range(50)])
        r1.ip("addr", "del", "10.0.1.1/24", "dev", "eth0")
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: ipv4(r1) == state, timeout=20, what="the configuration again")
    wait_for(lambda: settled(r1), what="no drift")
    assert r1.daemon_pid() == pid and not r1.json("show version")["degraded"]


def test_interface_deleted_in_the_middle_of_a_commit(r1):
    pid = r1.daemon_pid()
    lines = ["interface eth7", "ip address 10.7.0.1/24", "exit",
             *(f"ip route 10.{120 + i // 250}.{i % 250}.0/24 10.7.0.2" for i in range(400))]
    for i in range(4):
        r1.ip("link", "add", "eth7", "type", "veth", "peer", "name", "eth8")
        r1.ip("link", "set", "eth8", "up")
        cutter = threading.Timer(0.01 + 0.02 * i, lambda: r1.ip("link", "del", "eth7"))
        cutter.start()
        r1.cli("configure candidate", *lines, "commit", "end", check=False)
        cutter.join()
        wait_for(lambda: settled(r1), what=f"no drift after round {i}")
        assert "10.7.0" not in r1.ip("route").stdout
        r1.cli("configure candidate", "no ip route", "no interface eth7", "commit", "end")
    assert r1.daemon_pid() == pid and not r1.json("show version")["degraded"]


def hammer(r1, argv, seconds, per_second):
    """Runs the ip command so often; the CPU time that rtrd took meanwhile."""
    pid = r1.daemon_pid()
    before, end = cpu_seconds(pid), time.monotonic() + seconds
    while time.monotonic() < end:
        r1.ip(*argv, check=False)
        time.sleep(1 / per_second)
    return cpu_seconds(pid) - before


def test_a_fight_is_won_at_bounded_cost(r1):
    r1.config([*base_lines(r1.topo), "ip route 10.90.0.0/16 198.51.100.1"])
    wait_for(lambda: settled(r1), what="the configuration")
    state = ipv4(r1)
    control = hammer(r1, ["route", "del", "10.91.0.0/16"], 2, 50)
    fight = hammer(r1, ["route", "del", "10.90.0.0/16"], 2, 50)
    assert fight < control + 0.4, f"{fight} s of CPU in 2 s, {control} s without a fight"
    wait_for(lambda: ipv4(r1) == state, timeout=15, what="our route at the end")
    assert r1.json("show kernel drift")["repairs"] > 3
    wait_for(lambda: settled(r1), what="no drift")


# ---- operators ----

def test_two_operators_at_once(r1):
    failures = []

    def work(name, number):
        for i in range(12):
            try:
                r1.cli("configure terminal", f"interface Loopback{number}", f"ip address 192.0.2.{number}/32",
                       f"description {name} {i}", "exit", f"ip route 10.{number}.{i}.0/24 Null0", "end")
            except CliError as e:
                failures.append(str(e))

    threads = [threading.Thread(target=work, args=(f"op{n}", n)) for n in (1, 2, 3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures, failures[0]
    running = r1.cli("show running-config")
    assert running.count("Null0") == 36 and all(f"op{n} 11" in running for n in (1, 2, 3))
    wait_for(lambda: settled(r1), what="no drift")


def test_a_reader_changes_nothing(r1):
    r1.config(base_lines(r1.topo))
    running, revision = r1.cli("show running-config"), r1.json("show version")["revision"]
    reader = (64950, grp.getgrnam("rtr").gr_gid)
    assert "hostname r1" in r1.cli("show running-config", user=reader)
    for commands in (["configure terminal", "hostname mine", "end"], ["enable"], ["write memory"],
                     ["enable", "configure terminal", "hostname mine"], ["rollback 1"], ["reload"],
                     ["clear logging"], ["configure replace startup-config"]):
        with pytest.raises(CliError):
            r1.cli(*commands, user=reader)
    assert r1.cli("show running-config") == running
    assert r1.json("show version")["revision"] == revision
    outsider = (64951, 64999)
    with pytest.raises(CliError):
        r1.cli("show clock", user=outsider)


def clock_time(r1):
    def once():
        start = time.monotonic()
        r1.cli("show clock")
        return time.monotonic() - start
    return statistics.median(once() for _ in range(9))


def test_a_bad_client_delays_nobody(r1, tmp_path):
    r1.cli("configure candidate", *base_lines(r1.topo),
           *(f"ip route 10.{100 + i // 250}.{i % 250}.0/24 10.0.1.10" for i in range(1500)), "commit", "end")
    control = clock_time(r1)
    flood = tmp_path / "flood"
    flood.write_text("show running-config\n" * 20000)
    # One floods and reads, one asks for much and never reads.
    with open(flood) as f:
        eager = subprocess.Popen([program("rtrctl"), "-N", r1.instance], stdin=f, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
    with open(flood) as f:
        deaf = subprocess.Popen([program("rtrctl"), "-N", r1.instance], stdin=f, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        with_them = clock_time(r1)
    finally:
        for p in (eager, deaf):
            p.kill()
            p.wait()
        deaf.stdout.close()
    assert with_them < max(5 * control, control + 0.25), f"{with_them} s, {control} s without them"


SLOW_DISK = """#include <unistd.h>
int fsync(int fd) { if (!access("%s", F_OK)) usleep(1500000); return 0; }
"""


@pytest.mark.skipif("asan" in build_dir(), reason="a sanitizer wants to be loaded first")
def test_slow_disk(routers, tmp_path, monkeypatch):
    """write memory waits for the disk, the router does not; who hangs up meanwhile leaves a file that is whole."""
    # Where user rtr sees it too.
    slow, so = Path(f"/run/slow-disk-{os.getpid()}"), tmp_path / "slow.so"
    (tmp_path / "slow.c").write_text(SLOW_DISK % slow)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", so, tmp_path / "slow.c"], check=True)
    monkeypatch.setenv("LD_PRELOAD", str(so))
    r1 = routers("basic").r1
    r1.config(["hostname first"])
    slow.touch()
    saving = subprocess.Popen([program("rtrctl"), "-N", r1.instance, "-c", "write memory"],
                              stdout=subprocess.PIPE, text=True)
    wait_for(lambda: len(r1.json("show users")) == 2, what="the one who saves")
    began = time.monotonic()
    r1.config(["hostname second"])
    r1.cli("show version")
    assert time.monotonic() - began < 1.2 and saving.poll() is None
    assert "[OK]" in saving.communicate(timeout=20)[0] and saving.returncode == 0
    assert '"first"' in open(startup(r1.folder)).read()
    # Two at once, one of which does not wait.
    hasty = subprocess.Popen([program("rtrctl"), "-N", r1.instance, "-c", "write memory"])
    wait_for(lambda: len(r1.json("show users")) == 2, what="the one who saves")
    hasty.kill()
    hasty.wait()
    slow.unlink()
    r1.config(["hostname third"])
    assert "[OK]" in r1.cli("write memory")
    assert '"third"' in open(startup(r1.folder)).read()
    assert [n for n in os.listdir(r1.folder) if n.startswith("startup.conf.")] == []
