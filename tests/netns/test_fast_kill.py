# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 of rtr-fastpath, of rtrd, of both, and an upgrade, with thousands of connections under way: what is established
does not notice, what begins goes by the kernel meanwhile and by workers again. As often and as many as the text of the
promise says in `tools/test long`."""
import os
import shutil
import signal
import socket
import time

import pytest

from clients import make
from load import MESSAGE, PORT, Echo, Fresh, Held
from nat_lab import FAST, KERNEL
from router import build_dir
from test_fast_mirror import POLICY
from test_fastplane import INTERNET, INTERNET6, addressed, fastpath_pid, on_fast
from topo import start_time, wait_for

LONG = bool(os.environ.get("RTR_TEST_LONG"))
CONNS, RATE, TIMES = (10000, 8000, 100) if LONG else (2000, 3000, 1)
FRESH_RATE = 400
# A worker that is dead gets packets until the kernel sees it end, at most until its heartbeat is so old (50 ms, and a tick).
BLIND = 0.06
# From the start of rtr-fastpath to new flows by workers, at best: 0.06 to 0.2 s here; others have slower machines.
AGAIN = 0.2 if LONG else 0.5
PROGRAMS = ("rtrd", "rtr-fastpath")


@pytest.fixture
def fast(routers, monkeypatch):
    """lan -- r1 -- wan: zones and NAT on the fast plane, from programs that can be replaced."""
    built, folder = build_dir(), f"/run/programs-{os.getpid()}"  # where user rtr can start them
    os.mkdir(folder)
    for name in os.listdir(built):
        if name.startswith("rtr") and os.path.isfile(f"{built}/{name}"):
            if name in PROGRAMS:
                shutil.copy(f"{built}/{name}", folder)
            else:
                os.symlink(os.path.abspath(f"{built}/{name}"), f"{folder}/{name}")
    monkeypatch.setenv("RTR_BUILD_DIR", folder)
    topo = routers("basic")
    addressed(topo.r1)
    topo.r1.config(POLICY)
    topo.r1.cli("write memory")  # who is killed begins with what was saved
    on_fast(topo.r1)
    topo.r1.wait_addresses()
    for dest in (INTERNET, INTERNET6):
        wait_for(lambda: topo.lan.ping(dest, count=1, timeout=1, check=False) == 1, what="the way out")
    topo.folder = folder
    yield topo
    shutil.rmtree(folder)


def by_xdp(r1):
    """XDP has them, but for what a busy worker left to the kernel and what has just begun."""
    paths = [f["path"] for f in r1.json("show dataplane flows limit 100000")]
    return paths.count("express") > CONNS and paths.count("worker") < 0.05 * CONNS


def kill_fastpath(topo):
    os.kill(fastpath_pid(topo.r1), signal.SIGKILL)


def kill_rtrd(topo):
    os.kill(topo.r1.daemon_pid(), signal.SIGKILL)


def kill_both(topo):
    pids = fastpath_pid(topo.r1), topo.r1.daemon_pid()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def upgrade(topo):
    """Other files of the same names, then SIGUSR2."""
    for name in PROGRAMS:
        shutil.copy(f"{topo.folder}/{name}", f"{topo.folder}/new")
        os.rename(f"{topo.folder}/new", f"{topo.folder}/{name}")
    topo.r1.proc.send_signal(signal.SIGUSR2)


def began(pid):
    """When the process started, by the clock of the load."""
    return start_time(pid) / os.sysconf("SC_CLK_TCK") - (time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic())


def seen_as(topo):
    """The port that a new flow has at the other side."""
    with make(topo.lan, INTERNET, socket.SOCK_DGRAM) as s:
        s.settimeout(1)
        s.sendto(bytes(MESSAGE.size), (INTERNET, PORT))
        return int.from_bytes(s.recv(100)[MESSAGE.size:], "big")


def disturb(topo, what):
    """(when, until when, when the next rtr-fastpath began)"""
    r1, old = topo.r1, fastpath_pid(topo.r1)
    at = time.monotonic()
    what(topo)
    done = time.monotonic()
    pid = wait_for(lambda: (p := fastpath_pid(r1)) not in (None, old) and p, timeout=20, what="another rtr-fastpath")
    start = began(pid)
    on_fast(r1)
    wait_for(lambda: seen_as(topo) in FAST, timeout=20, what="a new flow by a worker")
    return at, done, start


def judge(fresh, whats, times):
    """Of new flows: which were lost, and how long after the restart workers had them again."""
    again = []
    for what, (at, done, start), until in zip(whats, times, [t[0] for t in times[1:]] + [float("inf")]):
        mine = [f for f in fresh if at - BLIND <= f[0] < until - BLIND]
        lost = [f[0] for f in mine if f[2] is None]
        first = next(f[0] for f in mine if f[0] > start and f[2] in FAST) - start
        n = [sum(f[2] in ports for f in mine if f[2]) for ports in (KERNEL, FAST)]
        print(f"{what.__name__}: restart after {(start - at) * 1e3:.0f} ms, workers {first * 1e3:.0f} ms later; "
              f"kernel {n[0]}, workers {n[1]}, lost at {[round((t - at) * 1e3, 1) for t in lost]} ms")
        assert n[0], f"{what.__name__}: the kernel had none"
        # Who is told to go works off what it has.
        assert not lost or what in (kill_fastpath, kill_both) and max(lost) < done + BLIND, "a new flow was lost"
        again.append(first)
    return again


@pytest.mark.seconds(3600 if LONG else 90)
def test_kill(fast):
    r1, lan = fast.r1, fast.lan
    Echo(fast.wan, INTERNET, INTERNET6)
    each = CONNS // 20
    held = Held(lan, [("udp", INTERNET, 10 * each), ("udp", INTERNET6, 9 * each), ("tcp", INTERNET, each // 2),
                      ("tcp", INTERNET6, each // 2)], RATE)
    wait_for(lambda: by_xdp(r1), timeout=60, what="the connections by XDP")
    fresh = Fresh(lan, [INTERNET, INTERNET6], FRESH_RATE)
    whats = [kill_fastpath, kill_rtrd, kill_both, upgrade] * TIMES
    times = []
    for what in whats:
        wait_for(lambda: by_xdp(r1), timeout=30, what="the connections by XDP again")
        times.append(disturb(fast, what))
    again = judge(fresh.end(), whats, times)
    time.sleep(1.5 * CONNS / RATE)  # each of them speaks once more
    got = held.end()
    print(got["sent"], "messages")
    assert got["least"] > 1
    assert min(again) < AGAIN, again
