# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 of rtr-fastpath, of rtrd, of both, and an upgrade, again and again, with thousands of connections under way: what
is established does not notice, what begins goes by the kernel meanwhile and by workers again. rtrd alone is nobody whom the
fast plane would miss. A hundred times each in `tools/test long`."""
import os
import shutil
import signal
import socket
import time
from collections import Counter

import pytest

from clients import make
from load import MESSAGE, PORT, Echo, Fresh, Held
from nat_lab import FAST, KERNEL
from router import build_dir
from test_fast_mirror import POLICY
from test_fastplane import INTERNET, INTERNET6, addressed, fastpath_pid, on_fast, total
from topo import start_time, wait_for

LONG = bool(os.environ.get("RTR_TEST_LONG"))
CONNS, RATE, TIMES = 10000, 5000, int(os.environ.get("RTR_TEST_KILLS", "100" if LONG else "10"))
FRESH_RATE = 400
# A worker that is dead gets packets until the kernel sees it end, at most until its heartbeat is so old (50 ms, and a tick).
BLIND = 0.06
# What it has in its ring when it dies is as old as the time that a busy machine has not given it.
STARVED = 0.2
# From the start of rtr-fastpath to new flows by workers, at best: 0.01 to 0.1 s here; others have slower machines.
AGAIN = 0.2
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


def known(r1):
    """Connections of the fast plane, as the last sweep counted them."""
    n = r1.json("show dataplane")["flows"]
    return n["ipv4"] + n["ipv6"]


class ByXdp:
    """XDP has them, but for what a busy worker left to the kernel: each has spoken, and none of it went by a worker."""

    def __init__(self, r1):
        self.r1, self.seen = r1, [0, 0]

    def __call__(self):
        now = [total(self.r1, key) for key in ("express", "to_worker")]
        express, worker = (b - a for a, b in zip(self.seen, now))
        if worker > 10:
            self.seen = now
        return worker <= 10 and express > 2 * CONNS and known(self.r1) > 0.9 * CONNS


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
        s.settimeout(5)
        s.sendto(bytes(MESSAGE.size), (INTERNET, PORT))
        return int.from_bytes(s.recv(100)[MESSAGE.size:], "big")


def disturb(topo, what):
    """(when, until when, when the next rtr-fastpath began, when a worker had a new flow)"""
    r1, old, daemon = topo.r1, fastpath_pid(topo.r1), topo.r1.daemon_pid()
    at = start = time.monotonic()
    what(topo)
    done = time.monotonic()
    if what is kill_rtrd:
        wait_for(lambda: r1.daemon_pid() not in (r1.proc.pid, daemon), timeout=20, what="another rtrd")
    else:
        start = began(wait_for(lambda: (p := fastpath_pid(r1)) not in (None, old) and p, timeout=20,
                               what="another rtr-fastpath"))
    on_fast(r1)
    assert what is not kill_rtrd or fastpath_pid(r1) == old, "rtr-fastpath did not outlive rtrd"
    wait_for(lambda: seen_as(topo) in FAST, timeout=20, what="a new flow by a worker")
    return at, done, start, time.monotonic()


def judge(fresh, whats, times):
    """Of new flows: which were lost, that the kernel had some, and how soon workers had them again."""
    deaths = [(at - STARVED, done + BLIND) for what, (at, done, *_) in zip(whats, times) if what in (kill_fastpath, kill_both)]
    lost = [f[0] for f in fresh if f[2] is None]
    by_kernel, again = Counter(), {}
    for what, (at, _, start, served) in zip(whats, times):
        first = min([f[0] for f in fresh if start < f[0] < served and f[2] in FAST], default=served) - start
        n = [sum(at < f[0] < served and f[2] in ports for f in fresh if f[2]) for ports in (KERNEL, FAST)]
        print(f"{what.__name__} at {at:.3f}: restart after {(start - at) * 1e3:.0f} ms, workers {first * 1e3:.0f} ms later; kernel {n[0]}, "
              f"workers {n[1]}, lost at {[round((t - at) * 1e3, 1) for t in lost if at - STARVED < t < served]} ms")
        by_kernel[what] += n[0]
        again[what.__name__] = min(first, again.get(what.__name__, first))
    # Who is told to go works off what it has. A machine that is busy for longer loses some in a worker's ring.
    stray = [t for t in lost if not any(a < t < b for a, b in deaths)]
    assert len(stray) < 0.02 * len(fresh), f"{len(stray)} of {len(fresh)} new flows were lost"
    assert all(by_kernel[what] for what in (kill_fastpath, kill_both, upgrade)), "the kernel had none"
    return again


@pytest.mark.seconds(3600 if LONG else 120)
def test_kill(fast):
    r1, lan = fast.r1, fast.lan
    Echo(fast.wan, INTERNET, INTERNET6)
    each = CONNS // 20
    held = Held(lan, [("udp", INTERNET, 10 * each), ("udp", INTERNET6, 9 * each), ("tcp", INTERNET, each // 2),
                      ("tcp", INTERNET6, each // 2)], RATE)
    by_xdp = ByXdp(r1)
    wait_for(by_xdp, timeout=60, what="the connections by XDP", interval=0.2)
    fresh = Fresh(lan, [INTERNET, INTERNET6], FRESH_RATE)
    whats = [kill_fastpath, kill_both, kill_rtrd, upgrade] * TIMES
    times = []
    for what in whats:
        times.append(disturb(fast, what))
    wait_for(lambda: known(r1) > 0.9 * CONNS, what="the connections, still the fast plane's")
    print(r1.cli("show drops"))
    again = judge(fresh.end(), whats, times)
    time.sleep(1.5 * CONNS / RATE)  # each of them speaks once more
    got = held.end()
    print(got["sent"], "messages")
    assert got["least"] > 1
    assert max(again.values()) < AGAIN, again
