# SPDX-License-Identifier: GPL-2.0-or-later
"""tools/quickstart: what it runs, the status it hands on, and that every way out removes the lab."""
import os
import pty
import signal
import subprocess

import pytest

import router
import topo

QUICKSTART = f"{router.TOP}/tools/quickstart"


def leftovers():
    """Of any quickstart; other labs of this sandbox are other tests' business."""
    return [f for d in (topo.NETNS_DIR, "/run/rtr-lab", "/run/rtr") if os.path.isdir(d)
            for f in os.listdir(d) if f.startswith(("quick", "rtr-quick"))]


@pytest.mark.parametrize("status", [0, 3])
def test_run_one_command(fake_build, status):
    rtrctl = fake_build / "rtrctl"
    rtrctl.write_text(rtrctl.read_text() + f"case $* in *'show ip'*) echo ran; exit {status} ;; esac\n")
    p = subprocess.run([QUICKSTART, "--run", "show ip route"], capture_output=True, text=True,
                       stdin=subprocess.DEVNULL, timeout=120, check=False)
    assert (p.returncode, p.stdout.splitlines()[-1]) == (status, "ran"), p.stdout + p.stderr
    assert leftovers() == []


def test_waits_for_the_fast_plane(fake_build):
    """The third answer says that it is on: only then the command runs."""
    rtrctl = fake_build / "rtrctl"
    row = '[{"name": "eth0", "configured": "auto", "plane": "%s", "reason": "policy: on its way"}]'
    rtrctl.write_text(rtrctl.read_text() + f"""n=$(grep -c 'show dataplane interfaces' "$(dirname "$0")/typed")
case $* in
*'show dataplane interfaces'*) [ $n -lt 3 ] && echo '{row % "kernel"}' || echo '{row % "fast"}' ;;
*'show ip'*) echo "asked $n times" ;;
esac
""")
    p = subprocess.run([QUICKSTART, "--run", "show ip route"], capture_output=True, text=True,
                       stdin=subprocess.DEVNULL, timeout=120, check=False)
    assert (p.returncode, p.stdout.splitlines()[-1]) == (0, "asked 3 times"), p.stdout + p.stderr


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_way_out_tears_down(fake_build, sig):
    """At the prompt, with the signal going where a terminal sends it: to the whole group."""
    rtrctl = fake_build / "rtrctl"
    rtrctl.write_text(rtrctl.read_text() + "case $* in *' -c '*) ;; *) echo PROMPT; exec sleep 600 ;; esac\n")
    master, slave = pty.openpty()
    # What started the tests may ignore these signals, and a shell cannot trap what it came with.
    proc = subprocess.Popen([QUICKSTART], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                            preexec_fn=lambda: [signal.signal(s, signal.SIG_DFL)
                                                for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)])
    os.close(slave)
    seen = b""
    while b"PROMPT" not in seen:
        seen += os.read(master, 4096)
    assert b"10.0.1.10" in seen and leftovers()
    os.killpg(proc.pid, sig)
    assert proc.wait(60) == 128 + sig
    os.close(master)
    assert leftovers() == []


@pytest.mark.parametrize("args", [["--run"], ["--what"]])
def test_usage(args):
    p = subprocess.run([QUICKSTART, *args], capture_output=True, text=True, check=False)
    assert p.returncode == 2 and "--run CMD" in p.stderr
