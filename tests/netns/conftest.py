# SPDX-License-Identifier: GPL-2.0-or-later
"""What: the ground that netns tests stand on.

The whole pytest run re-executes itself in namespaces of its own (mount, network, pid) with a
private /run, tied to the life of whoever started it: when it ends in any way, SIGKILL included, the
kernel ends every process and frees every namespace of it. Nothing of it is ever visible outside, so
that any number of runs go on at once, and no test can reach a real interface.

Inside, topologies are named by worker and counter (workers of pytest-xdist share the sandbox), and
each test ends by asserting that it leaves neither a process nor a namespace.
"""
import itertools
import os
import shutil
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))

from router import Router, built, program, remove_runtime  # noqa: E402
from topo import TOPOLOGIES, Spec, Topology, namespaces  # noqa: E402

SANDBOX = "RTR_NETNS_SANDBOX"
# Process 1 of the sandbox: it reaps what daemons orphan, which pytest would leave as zombies.
INIT = ["bash", "-c", '"$@"; exit $?', "init"]
# The parts of /etc that a test may need changed without changing the machine's.
USERS = {"/etc/passwd": "rtr:x:64901:64901::/nonexistent:/usr/sbin/nologin\n",
         "/etc/group": "rtr:x:64901:\nrtradmin:x:64902:\n"}
# rtrd and rtrctl in a few lines that keep the contract, for tests of what stands around them.
FAKE_RTRD = """#!/usr/bin/python3
import os, signal, socket, subprocess, sys
name = sys.argv[sys.argv.index("-N") + 1]
if os.environ.get("FAKE_RTRD") == "dies":
    sys.exit("no luck")
os.makedirs(f"/run/rtr/{name}", exist_ok=True)
subprocess.Popen(["sleep", "600"], start_new_session=True)
s = socket.socket(socket.AF_UNIX)
s.bind(f"/run/rtr/{name}/cli.sock")
s.listen()
if os.environ.get("FAKE_RTRD") == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.pause()
"""
FAKE_RTRCTL = "#!/bin/sh\nfor a in \"$@\"; do echo \"$a\"; done >>\"$(dirname \"$0\")/typed\"\n"
# No test needs more; @pytest.mark.seconds(N) says otherwise.
TEST_SECONDS = 60
counter = itertools.count(1)


def pytest_configure(config):
    config.addinivalue_line("markers", "seconds(n): the test may take that long")
    if os.environ.get(SANDBOX):
        return
    if os.geteuid() != 0:
        pytest.exit("netns tests need root", returncode=77)
    # Output captured so far would be lost with this process image.
    config.pluginmanager.getplugin("capturemanager").stop_global_capturing()
    os.environ[SANDBOX] = "1"
    os.execvp("setpriv", ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid",
                          "--fork", "--kill-child", "--mount-proc", "--", *INIT, *sys.orig_argv])


def pytest_runtest_logreport(report):
    """A failure is told as it comes: a run that is stopped tells nothing at its end."""
    if report.failed and not os.environ.get("PYTEST_XDIST_WORKER"):
        print(f"\nFAILED {report.nodeid} ({report.when})\n{report.longreprtext[-1500:]}", file=sys.__stdout__, flush=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """A test that hangs fails by itself; the others still run."""
    mark = item.get_closest_marker("seconds")
    limit = mark.args[0] if mark else TEST_SECONDS

    def expired(signum, frame):
        raise AssertionError(f"not done within {limit} s")

    signal.signal(signal.SIGALRM, expired)
    signal.alarm(limit)
    yield
    signal.alarm(0)


def mount(*args):
    subprocess.run(["mount", "-n", *args], check=True)


def private_users():
    """Adds the users and groups of the package where the machine lacks them, in here only."""
    for path, lines in USERS.items():
        with open(path) as f:
            have = f.read()
        missing = [line for line in lines.splitlines(True)
                   if not have.startswith(line.split(":")[0] + ":")
                   and f"\n{line.split(':')[0]}:" not in have]
        if missing:
            copy = f"/run/{os.path.basename(path)}"
            with open(copy, "w") as f:
                f.write(have.rstrip("\n") + "\n" + "".join(missing))
            os.chmod(copy, 0o644)
            mount("--bind", copy, path)


def pytest_sessionstart(session):
    # Once, by the process that owns the sandbox; the workers of xdist find it done.
    if os.environ.get("PYTEST_XDIST_WORKER"):
        return
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    os.makedirs("/run/lock")
    # For tests that start programs with their default folders.
    for folder in ("/etc/rtr", "/var/lib/rtr"):
        if os.path.isdir(folder):
            mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", folder)
    private_users()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


@pytest.fixture(scope="session", autouse=True)
def traversable(tmp_path_factory):
    """Tests that become other users must reach the sockets in their folder."""
    base = tmp_path_factory.getbasetemp()
    for folder in [base, *base.parents][:3]:  # a worker's, the run's, pytest's
        if folder.name.startswith(("popen-", "pytest-")):
            folder.chmod(folder.stat().st_mode | 0o111)


@pytest.fixture
def topology():
    """Makes topologies: topology("basic"), topology("chain", 4), topology(Spec(...)).

    At the end the fast plane has accounted for every frame, rtrd is stopped everywhere and nothing may be
    left: no process, no namespace.
    """
    made = []

    def make(kind, *args):
        spec = kind if isinstance(kind, Spec) else TOPOLOGIES[kind](*args)
        worker = os.environ.get("PYTEST_XDIST_WORKER", "t")
        topo = Topology(spec, f"{worker}x{next(counter)}", router_class=Router)
        made.append(topo)
        return topo.create()

    yield make
    problems = []
    for topo in made:
        routers = [n for n in topo.nodes.values() if isinstance(n, Router)]
        for router in routers:
            for step in (router.audit, router.stop):
                try:
                    step()
                except AssertionError as e:
                    problems.append(str(e))
        topo.stop_services()
        if leaked := topo.leaked():
            problems.append(f"processes left behind: {leaked}")
        topo.destroy()
        for router in routers:
            remove_runtime(router.instance)
            shutil.rmtree(router.folder, ignore_errors=True)
        if left := namespaces(topo.prefix):
            problems.append(f"namespaces left behind: {left}")
    assert not problems, "\n".join(problems)


@pytest.fixture
def routers(topology):
    """The same with rtrd running on every router: topo = routers("basic"), then topo.r1.cli(...).

    Each starts with an empty configuration. Skips where rtrd is not built.
    """
    if not built():
        pytest.skip(f"{program('rtrd')} or rtrctl is not built")

    def make(kind, *args):
        topo = topology(kind, *args)
        for name in topo.spec.routers():
            topo.nodes[name].start()
        return topo

    return make


@pytest.fixture
def fake_build(tmp_path, monkeypatch):
    """A build folder with the stand-ins; the fake rtrctl writes what it was given to `typed`."""
    for name, text in (("rtrd", FAKE_RTRD), ("rtrctl", FAKE_RTRCTL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("RTR_BUILD_DIR", str(tmp_path))
    return tmp_path
