# SPDX-License-Identifier: GPL-2.0-or-later
"""tools/lab: what it brings up, that it takes away exactly its own, also after a crash.

The life cycle is tested with a rtrd of a few lines that keeps the contract (socket, foreground,
SIGTERM) and behaves badly on request, so that each way of ending is met; the real one is met by
the last test.
"""
import json
import os
import signal
import subprocess

import pytest

import router
import topo

LAB = f"{router.TOP}/tools/lab"


@pytest.fixture
def fake(fake_build):
    """The stand-ins; the test's labs are removed whatever happens."""
    yield fake_build
    for name in ("one", "two", "owned"):
        lab(name, "down")
    assert not [n for n in ("one", "two", "owned") if left_of(n)]


def lab(*args, check=True, env=None):
    p = subprocess.run([LAB, *args], capture_output=True, text=True, timeout=60, check=False,
                       stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})
    assert not check or p.returncode == 0, p.stdout + p.stderr
    return p


def state(name):
    with open(f"/run/rtr-lab/{name}/state.json") as f:
        return json.load(f)


def inside(name):
    """{pid: start time} of all processes in the lab's namespaces."""
    return {p: topo.start_time(p) for n in topo.namespaces(f"rtr-{name}") for p in topo.pids_in(n)}


def alive(processes):
    return [p for p, started in processes.items() if topo.start_time(p) == started]


def left_of(name):
    """Everything that still bears the lab's name."""
    runtime = [f"/run/rtr/{d}" for d in (os.listdir("/run/rtr") if os.path.isdir("/run/rtr") else [])
               if d.startswith(name + "-")]
    folder = [f for f in (f"/run/rtr-lab/{name}", f"/run/rtr-lab/{name}.lock") if os.path.exists(f)]
    return topo.namespaces(f"rtr-{name}") + runtime + folder


def test_up_configures_and_down_removes(fake):
    lab("one", "up", "--config", str(fake))  # no files there: configured from the plan
    typed = (fake / "typed").read_text().split("\n")
    assert typed[:4] == ["-N", "one-r1", "-c", "configure terminal"]
    assert "ip address 10.0.1.1 255.255.255.0" in typed
    assert "rtrd one-r1\n" in lab("list").stdout
    read, write = os.pipe()
    os.close(read)  # a reader that has gone, as `| head` does
    p = subprocess.run([LAB, "list"], stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(write)
    assert (p.returncode, p.stderr) == (128 + signal.SIGPIPE, "")
    lab("one", "down")
    assert left_of("one") == []


@pytest.mark.parametrize("how", ["obeys", "stubborn", "killed"])
def test_down_ends_exactly_its_own(fake, how):
    """Children in sessions of their own included; the other lab does not notice."""
    lab("two", "up")
    others = inside("two")
    lab("one", "up", "--topology", "chain", "--routers", "2", env={"FAKE_RTRD": how})
    ours, pids = inside("one"), [p for p, _ in state("one")["daemons"].values()]
    assert len(ours) == 4 and set(pids) < set(ours)
    if how == "killed":
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        topo.wait_for(lambda: not any(map(topo.start_time, pids)), what="the end of both")
        assert "does not answer" in lab("one", "list").stdout
    lab("one", "down", "--grace", "0.5")
    assert left_of("one") == [] and alive(ours) == []
    assert len(alive(others)) == 2 and router.answers("two-r1")
    lab("two", "down")
    assert alive(others) == []


def test_down_spares_a_reused_pid(fake):
    lab("one", "up", "--bare")
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        s = state("one")
        s["daemons"]["r1"] = [bystander.pid, topo.start_time(bystander.pid) - 1]
        with open("/run/rtr-lab/one/state.json", "w") as f:
            json.dump(s, f)
        lab("one", "down")
        assert bystander.poll() is None and left_of("one") == []
    finally:
        bystander.kill()
        bystander.wait()


def test_down_is_idempotent_and_up_is_not(fake):
    assert lab("one", "down").stderr == ""
    lab("one", "up", "--kernel")
    p = lab("one", "up", "--kernel", check=False)
    assert p.returncode == 1 and "exists already" in p.stderr
    lab("one", "down")
    lab("one", "down")


def test_failure_to_start_leaves_nothing(fake):
    p = lab("one", "up", check=False, env={"FAKE_RTRD": "dies"})
    assert p.returncode == 1 and "no luck" in p.stderr and "Traceback" not in p.stderr
    assert left_of("one") == []


def test_a_lab_goes_with_its_owner(fake):
    owner = subprocess.Popen(["sleep", "600"])
    lab("owned", "up", "--kernel", "--owner", str(owner.pid))
    lab("one", "up", "--kernel")
    assert left_of("owned")
    owner.kill()
    owner.wait()
    lab("two", "up", "--kernel")
    assert left_of("owned") == [] and left_of("one")


@pytest.mark.parametrize("args, words", [
    (["UPPER", "up"], "a lab's name is"), (["a-b", "up"], "a lab's name is"),
    (["one", "exec", "lan", "true"], "there is no lab one"), (["one", "shell", "x"], "there is no lab"),
    (["one", "up", "--topology", "chain", "--routers", "0"], "1 to 250 routers")])
def test_mistakes_are_told_in_a_sentence(fake, args, words):
    p = lab(*args, check=False)
    assert p.returncode == 1 and words in p.stderr and "Traceback" not in p.stderr


@pytest.mark.parametrize("kind", sorted(topo.TOPOLOGIES))
def test_real_routers_carry_traffic(kind):
    """The configuration that a lab gives its routers makes them forward, end to end."""
    if not router.built():
        pytest.skip(f"{router.program('rtrd')} or rtrctl is not built")
    name = kind.replace("-", "")
    try:
        lab(name, "up", "--topology", kind)
        if kind == "ha-pair":
            # Without VRRP in the plan's lines the virtual gateway is nobody's.
            lab(name, "exec", "lan", "ip", "route", "replace", "default", "via", "10.0.1.2")
            lab(name, "exec", "wan", "ip", "route", "replace", "default", "via", "198.51.100.2")
            dests = ["203.0.113.10"]
        else:
            dests = ["203.0.113.10", "2001:db8:203::10"]
        # The remarks of the example are not the operator's edits.
        p = lab(name, "cli", "r1", "-c", "write")
        assert "[OK]" in p.stdout and "Warning" not in p.stdout + p.stderr
        for dest in dests:
            topo.wait_for(lambda d=dest: lab(name, "exec", "lan", "ping", "-c1", "-W1", d,
                                             check=False).returncode == 0, 10, f"an answer from {dest}")
    finally:
        lab(name, "down")
    assert left_of(name) == []
