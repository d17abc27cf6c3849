# SPDX-License-Identifier: GPL-2.0-or-later
"""rtrd's root parent: privileges, folders, lock, restart, signals, systemd, held descriptors."""
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest

from router import program
from stub_rtrd import StubRtrd
from topo import start_time, wait_for

NET_ADMIN, NET_RAW, PERFMON, BPF = 12, 13, 38, 39


@pytest.fixture
def rtrd(tmp_path):
    with StubRtrd(tmp_path) as r:
        yield r


def status(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def connects(path):
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(path)
            return True
        except OSError:
            return False


def echo(rtrd, text):
    p = subprocess.run([program("rtrctl"), "-S", rtrd.sock, "-c", f"echo {text}"], text=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=10)
    return p.returncode == 0 and p.stdout == f"{text}\n"


def test_worker_is_rtr_with_few_capabilities(rtrd):
    rtrd.start()
    assert echo(rtrd, "up")
    s = status(rtrd.child())
    rtr = pwd.getpwnam("rtr")
    assert s["Uid"].split() == [str(rtr.pw_uid)] * 4
    assert s["Gid"].split() == [str(rtr.pw_gid)] * 4
    want = sum(1 << c for c in (NET_ADMIN, NET_RAW, PERFMON, BPF))
    for field in ("CapEff", "CapPrm", "CapAmb"):
        assert int(s[field], 16) == want, (field, s[field])
    assert s["NoNewPrivs"] == "1"
    assert status(rtrd.proc.pid)["Uid"].split()[0] == "0"


def test_folders(rtrd):
    # Whatever the umask of the shell that root starts it from.
    rtrd.start(wrap=["bash", "-c", 'umask 077; exec "$@"', "sh"])
    rtr = pwd.getpwnam("rtr")
    for path, mode, uid in [("run", 0o755, 0), ("run/t", 0o751, rtr.pw_uid),
                            ("state/t", 0o751, rtr.pw_uid),
                            ("state/t/captures", 0o750, rtr.pw_uid), ("run/t/cli.sock", 0o666, 0)]:
        st = os.stat(f"{rtrd.folder}/{path}")
        assert (stat.S_IMODE(st.st_mode), st.st_uid) == (mode, uid), path


def test_default_configuration_folder_is_the_workers(rtrd):
    """/etc/rtr, where `write memory` makes and renames files; in an /etc of the test's own."""
    etc = f"{rtrd.folder}/etc"
    os.mkdir(etc)
    for name in ("passwd", "group"):
        shutil.copy(f"/etc/{name}", etc)
    argv = rtrd.argv()
    del argv[argv.index("-f"):argv.index("none") + 1]
    p = subprocess.Popen(["unshare", "--mount", "bash", "-c", 'mount -n --bind "$0" /etc; exec "$@"',
                          etc, *argv], stdin=subprocess.DEVNULL)
    wait_for(lambda: connects(rtrd.sock), 10, "the socket")
    st = os.stat(f"{etc}/rtr")
    p.terminate()
    assert p.wait(10) == 0
    assert (stat.S_IMODE(st.st_mode), st.st_uid) == (0o750, pwd.getpwnam("rtr").pw_uid)


def test_configuration_folder_of_the_user_is_left_alone(rtrd):
    os.mkdir(f"{rtrd.folder}/own")
    argv = [f"{rtrd.folder}/own/x.conf" if a == "none" else a for a in rtrd.argv()]
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    wait_for(lambda: connects(rtrd.sock), 10, "the socket")
    assert os.stat(f"{rtrd.folder}/own").st_uid == 0
    p.terminate()
    assert p.wait(10) == 0


def test_a_link_in_place_of_the_folder_is_refused(rtrd):
    os.makedirs(f"{rtrd.folder}/run")
    os.mkdir(f"{rtrd.folder}/victim")
    os.symlink(f"{rtrd.folder}/victim", f"{rtrd.folder}/run/t")
    p = subprocess.run(rtrd.argv(), stderr=subprocess.PIPE, text=True, timeout=10)
    assert p.returncode == 1 and "cannot make" in p.stderr
    assert os.stat(f"{rtrd.folder}/victim").st_uid == 0


def test_second_instance_is_refused_another_name_is_not(rtrd):
    rtrd.start()
    p = subprocess.run(rtrd.argv(), stderr=subprocess.PIPE, text=True, timeout=10)
    assert p.returncode == 4
    assert f"instance t is already running (process {rtrd.proc.pid})" in p.stderr
    assert echo(rtrd, "undisturbed")
    other = subprocess.Popen(rtrd.argv(name="u"), stderr=subprocess.DEVNULL)
    wait_for(lambda: connects(f"{rtrd.folder}/run/u/cli.sock"), 10, "the other instance")
    other.terminate()
    assert other.wait(10) == 0


def test_killed_worker_is_back_within_a_second(rtrd):
    rtrd.start()
    assert echo(rtrd, "before")
    old = rtrd.child()
    start = time.monotonic()
    os.kill(old, signal.SIGKILL)
    # The socket is the parent's: no client is ever refused.
    assert echo(rtrd, "after")
    took = time.monotonic() - start
    assert rtrd.child() != old
    assert took < 1.0, f"{took:.3f} s"
    assert "worker killed by signal 9" in rtrd.text()


def test_worker_goes_with_its_parent_at_once(rtrd):
    """Even one that is busy, here stopped: it holds the lock, and the next rtrd must not wait for it."""
    rtrd.start()
    # Before that it has not asked for the signal yet; stopped there, it never would.
    assert echo(rtrd, "up")
    worker = rtrd.child()
    os.kill(worker, signal.SIGSTOP)
    rtrd.proc.kill()
    rtrd.proc.wait(10)
    wait_for(lambda: start_time(worker) is None, 2, "end of the worker")
    rtrd.start()
    assert echo(rtrd, "again")


def test_crash_loop_backs_off(rtrd):
    rtrd.start()
    times = []
    for _ in range(5):
        assert echo(rtrd, "x")
        old = rtrd.child()
        start = time.monotonic()
        os.kill(old, signal.SIGKILL)
        rtrd.wait_child(old)
        times.append(time.monotonic() - start)
    # At once, then 100, 200, 400, 800 ms.
    assert times[0] < 1, times
    for want, got in zip([0.1, 0.2, 0.4, 0.8], times[1:]):
        assert want * 0.9 < got < want + 2, times


def test_sigterm_ends_all_cleanly(rtrd):
    rtrd.start()
    assert echo(rtrd, "up")
    child = rtrd.child()
    rtrd.proc.terminate()
    assert rtrd.proc.wait(10) == 0
    assert not os.path.exists(f"/proc/{child}")
    assert not os.path.exists(rtrd.sock)
    # And the name is free again.
    rtrd.start()
    assert echo(rtrd, "again")


def test_sigterm_between_two_workers(rtrd):
    rtrd.start()
    for _ in range(3):
        assert echo(rtrd, "x")
        old = rtrd.child()
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: old not in rtrd.children(), 5, "the end of the worker")
        if _ < 2:
            rtrd.wait_child(old)
    rtrd.proc.terminate()
    assert rtrd.proc.wait(5) == 0


def test_dead_parent_takes_the_worker_along(rtrd):
    rtrd.start()
    assert echo(rtrd, "up")
    child = rtrd.child()
    rtrd.proc.kill()
    rtrd.proc.wait()

    def gone():
        try:
            return status(child)["State"].startswith("Z")
        except FileNotFoundError:
            return True

    wait_for(gone, 5, "the worker's end")
    rtrd.start()
    assert echo(rtrd, "again")


def test_sighup_reaches_the_worker(rtrd):
    rtrd.start()
    assert echo(rtrd, "up")
    os.kill(rtrd.proc.pid, signal.SIGHUP)
    wait_for(lambda: "stub: SIGHUP" in rtrd.text(), 5, "the signal")
    assert echo(rtrd, "still there")


def test_wrong_configuration_is_not_tried_again(rtrd):
    argv = rtrd.argv()
    argv[argv.index("none")] = "refuse"
    p = subprocess.run(argv, stderr=subprocess.PIPE, text=True, timeout=10)
    assert p.returncode == 3
    assert "starting it again" not in p.stderr


def test_held_descriptors_survive_the_worker(rtrd):
    os.makedirs(f"{rtrd.folder}/run/t")
    with open(f"{rtrd.folder}/run/t/held", "w"):
        pass
    os.chmod(f"{rtrd.folder}/run/t/held", 0o666)
    rtrd.start()
    assert echo(rtrd, "up")
    for n in (1, 2):
        old = rtrd.child()
        os.kill(old, signal.SIGKILL)
        rtrd.wait_child(old)
        assert echo(rtrd, "back")
        assert open(f"{rtrd.folder}/run/t/held").read().endswith(f"key 7 after {n} crashes\n")


class Systemd:
    """The receiving end of NOTIFY_SOCKET."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        self.sock.settimeout(5)

    def next(self, skip="WATCHDOG=1"):
        while (got := self.sock.recv(4096).decode()) == skip:
            pass
        return got


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_systemd_is_told(rtrd, kind):
    path = f"{rtrd.folder}/notify" if kind == "path" else f"@rtr-test-{os.getpid()}"
    systemd = Systemd(path.replace("@", "\0"))
    rtrd.start(env={"NOTIFY_SOCKET": path})
    assert systemd.next() == "READY=1"
    os.kill(rtrd.proc.pid, signal.SIGHUP)
    got = systemd.next()
    assert got.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert abs(int(got.split("=")[2]) / 1e6 - time.monotonic()) < 5
    assert systemd.next() == "READY=1"
    rtrd.proc.terminate()
    assert systemd.next() == "STOPPING=1"
    rtrd.proc.wait(10)


def test_watchdog_follows_the_worker(rtrd):
    systemd = Systemd(f"{rtrd.folder}/notify")
    rtrd.start(env={"NOTIFY_SOCKET": f"{rtrd.folder}/notify", "WATCHDOG_USEC": "400000"})
    assert systemd.next() == "READY=1"
    for _ in range(5):
        assert systemd.next(skip="") == "WATCHDOG=1"
    child = rtrd.child()
    os.kill(child, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + 1
        last = time.monotonic()
        systemd.sock.settimeout(0.1)
        while time.monotonic() < deadline:
            try:
                systemd.sock.recv(100)
                last = time.monotonic()
            except TimeoutError:
                pass
        assert time.monotonic() - last > 0.5, "the watchdog was fed for a worker that hangs"
    finally:
        os.kill(child, signal.SIGCONT)
    systemd.sock.settimeout(5)
    assert systemd.next(skip="") == "WATCHDOG=1"


def test_without_root(rtrd):
    os.chmod(rtrd.folder, 0o777)
    argv = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    with open(rtrd.log, "w"):
        pass
    rtrd.start(wrap=argv)
    assert echo(rtrd, "up")
    assert rtrd.text().count("\n") == 1 and "not started as root" in rtrd.text()


def test_no_parent(rtrd):
    p = subprocess.Popen(rtrd.argv("--no-parent"), stderr=subprocess.DEVNULL)
    wait_for(lambda: connects(rtrd.sock), 10, "the socket")
    assert echo(rtrd, "alone")
    p.terminate()
    assert p.wait(5) == 0


@pytest.mark.parametrize("args", [["-N", "a/b"], ["-N", ""], ["-N", "x" * 33], ["--nonsense"], ["word"]])
def test_usage_errors(rtrd, args):
    p = subprocess.run([rtrd.program, *args], stderr=subprocess.PIPE, text=True, timeout=10)
    assert p.returncode == 2 and p.stderr


def test_version_and_help(rtrd):
    for arg, want in (("--version", "rtrd "), ("--help", "usage: rtrd")):
        p = subprocess.run([rtrd.program, arg], stdout=subprocess.PIPE, text=True, timeout=10)
        assert p.returncode == 0 and p.stdout.startswith(want)
