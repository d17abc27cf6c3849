# SPDX-License-Identifier: GPL-2.0-or-later
"""packaging/: units, users and folders as systemd reads them; the unit's start by hand, with a
notify socket and a watchdog. tests/package/package.py builds and installs the packages."""
import glob
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time

import pytest

import router
from topo import wait_for

DEBIAN = f"{router.TOP}/packaging/debian"
UNITS = sorted(glob.glob(f"{DEBIAN}/*.service"))


def need(tool):
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")


def run(*argv):
    p = subprocess.run(argv, capture_output=True, text=True, check=False)
    return p.returncode, p.stdout + p.stderr


def settings(unit):
    """Of a unit's [Service]: the last value of each setting."""
    with open(unit) as f:
        service = f.read().split("[Service]")[1].split("[Install]")[0]
    return dict(re.findall(r"(?m)^(\w+)=(.*)$", service))


@pytest.mark.parametrize("unit", UNITS, ids=os.path.basename)
def test_unit_is_good(unit, tmp_path):
    """systemd finds nothing to complain about in our unit, its program being the one built here."""
    need("systemd-analyze")
    with open(unit) as f:
        text = f.read().replace("/usr/sbin/rtrd", router.program("rtrd"))
    copy = tmp_path / os.path.basename(unit).removeprefix("rtr.").replace("@", "@one")
    copy.write_text(text)
    rc, out = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=one", str(copy))
    assert (rc, [line for line in out.splitlines() if "rtrd" in line]) == (0, [])


@pytest.mark.parametrize("unit", UNITS, ids=os.path.basename)
def test_unit_is_hardened(unit):
    """Of the 10 points of systemd-analyze (10: unsafe) at most 5, networking as root being 4.3."""
    need("systemd-analyze")
    rc, out = run("systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=50", unit)
    if "nrecognized option" in out or "nknown option" in out:
        pytest.skip("this systemd-analyze cannot judge a file")
    assert rc == 0, out


def test_users(tmp_path):
    need("systemd-sysusers")
    (tmp_path / "etc").mkdir()
    rc, out = run("systemd-sysusers", f"--root={tmp_path}", f"{DEBIAN}/rtr.sysusers")
    assert rc == 0, out
    users, groups = ((tmp_path / "etc" / name).read_text() for name in ("passwd", "group"))
    gid = re.search(r"(?m)^rtr:\w*:(\d+):", groups)[1]
    assert re.search(rf"(?m)^rtr:x:\d+:{gid}:[^:]*:/nonexistent:/usr/sbin/nologin$", users), users
    assert re.search(r"(?m)^rtradmin:", groups), groups


def test_folders(tmp_path):
    need("systemd-tmpfiles")
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group"):
        shutil.copy(f"/etc/{name}", tmp_path / "etc")
    rc, out = run("systemd-tmpfiles", "--create", f"--root={tmp_path}", f"{DEBIAN}/rtr.tmpfiles")
    assert rc == 0, out
    rtr = pwd.getpwnam("rtr")
    for path, mode, uid in (("etc/rtr", 0o750, rtr.pw_uid), ("run/rtr", 0o755, 0), ("var/lib/rtr", 0o755, 0)):
        st = os.stat(tmp_path / path)
        assert (path, stat.S_IMODE(st.st_mode), st.st_uid) == (path, mode, uid)


@pytest.fixture
def folder():
    """One that the worker, who is another user, can reach: in the private /run of these tests."""
    with tempfile.TemporaryDirectory(dir="/run") as tmp:
        os.chmod(tmp, 0o755)
        yield pathlib.Path(tmp)


def listen(path):
    """What systemd would hear."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(str(path))
    s.settimeout(10)
    return s


def test_start_as_the_unit_does(folder):
    """ExecStart with the unit's environment: ready, alive, a first configuration; a clean end."""
    unit = settings(f"{DEBIAN}/rtr.rtrd.service")
    assert unit["Type"] == "notify" and unit["KillMode"] == "mixed"
    watchdog = int(re.fullmatch(r"(\d+)s", unit["WatchdogSec"])[1])
    etc, state, runtime = (folder / name for name in ("etc", "state", "run"))
    etc.mkdir()
    for name in ("passwd", "group"):
        shutil.copy(f"/etc/{name}", etc)
    argv = unit["ExecStart"].replace("/usr/sbin/rtrd", router.program("rtrd")).split()
    heard = listen(folder / "notify")
    # An /etc of its own; its own network, so that the names of other tests do not matter.
    p = subprocess.Popen(
        ["unshare", "--mount", "--net", "bash", "-c", 'mount -n --bind "$0" /etc; exec "$@"', str(etc),
         *argv, "--run-dir", str(runtime), "--state-dir", str(state)],
        env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(folder / "notify"),
             "WATCHDOG_USEC": str(watchdog * 1000000)},
        stdin=subprocess.DEVNULL, umask=int(unit["UMask"], 8))
    try:
        got = [heard.recv(4096)]
        while b"READY=1" not in got:
            got.append(heard.recv(4096))
        began = time.monotonic()
        # A quarter of the time: the third is lost before systemd acts.
        while heard.recv(4096) != b"WATCHDOG=1":
            pass
        assert time.monotonic() - began < watchdog / 2
        conf = etc / "rtr" / "rtrd.conf"
        wait_for(conf.exists, 10, "the first configuration")
        st = os.stat(conf)
        assert (stat.S_IMODE(st.st_mode), st.st_uid) == (0o600, pwd.getpwnam("rtr").pw_uid)
        assert run(router.program("rtrd"), "-t", str(conf)) == (0, "")
        os.kill(p.pid, signal.SIGHUP)
        while not (m := heard.recv(4096)).startswith(b"RELOADING=1"):
            assert m == b"WATCHDOG=1"
        while heard.recv(4096) != b"READY=1":
            pass
    finally:
        p.terminate()
        assert p.wait(10) == 0


def test_first_start_keeps_what_is_there(folder):
    """A configuration that lies there, even an empty one, is nobody's to replace."""
    home = folder / "home"
    router.prepare(str(home))
    conf = home / "startup.conf"
    conf.write_text("# mine\n")
    shutil.chown(conf, "rtr")
    p = subprocess.Popen([router.program("rtrd"), "-N", "keeps", "-f", str(conf), "--state-dir",
                          str(home / "state")], stdin=subprocess.DEVNULL)
    wait_for(lambda: router.answers("keeps"), 10, "the socket")
    p.terminate()
    assert p.wait(10) == 0
    router.remove_runtime("keeps")
    assert conf.read_text() == "# mine\n"
