# SPDX-License-Identifier: GPL-2.0-or-later
"""What: a router node that runs rtrd, for the netns tests and tools/lab.

Owns: one rtrd with its children, under an instance name of its own (so /run/rtr/INSTANCE), started
in the node's namespace in the foreground.
Failure: a daemon that dies before it answers raises with the end of its log.
"""
import ctypes
import json
import os
import pwd
import re
import select
import shutil
import signal
import socket
import subprocess
import time

from topo import Node, kill_all, sh, start_time, wait_for

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
RUN_DIR = "/run/rtr"
TEST_DIR = "/run/rtr-test"  # in the private /run of the netns tests
# A cold start on a machine busy with other builds; far above what readiness takes.
READY_TIMEOUT = 20.0
# What rtrd may take to end its children and let go of its maps before it is killed.
STOP_GRACE = 10.0
MNT_DETACH = 2


class CliError(AssertionError):
    """A command that rtrctl refused: `output` is what it printed."""

    def __init__(self, command, output):
        super().__init__(f"rtrctl: {command}\n{output.rstrip()}")
        self.output = output


def build_dir():
    return os.environ.get("RTR_BUILD_DIR", f"{TOP}/build")


def program(name):
    return f"{build_dir()}/{name}"


def built():
    return os.access(program("rtrd"), os.X_OK) and os.access(program("rtrctl"), os.X_OK)


def cli_socket(instance):
    return f"{RUN_DIR}/{instance}/cli.sock"


def answers(instance):
    """Whether the instance's CLI socket accepts a connection."""
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(cli_socket(instance))
            return True
        except OSError:
            return False


def prepare(folder, config=None):
    """A folder for one rtrd: its startup configuration (a copy of `config`), revisions, log.

    Nothing of a lab or test is written to /etc/rtr or /var/lib/rtr, nor to the file given.
    """
    os.makedirs(folder, exist_ok=True)
    if config:
        shutil.copy(config, startup(folder))
    try:
        user = pwd.getpwnam("rtr")
    except KeyError:
        return
    for path in (folder, startup(folder)):
        if os.path.exists(path):
            os.chown(path, user.pw_uid, user.pw_gid)


def startup(folder):
    return f"{folder}/startup.conf"


def logfile(folder):
    return f"{folder}/log"


def spawn(node, instance, folder):
    """Starts rtrd in the node's namespace, detached from this process's terminal and session."""
    argv = node.argv(program("rtrd"), "-N", instance, "-f", startup(folder), "--state-dir", f"{folder}/state")
    with open(logfile(folder), "ab") as out:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                start_new_session=True)


def comm(pid):
    """The name of a process; "" if it is gone."""
    try:
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()
    except OSError:
        return ""


def tail(path, size=4000):
    try:
        with open(path, "rb") as f:
            f.seek(max(0, os.path.getsize(path) - size))
            return f.read().decode(errors="replace")
    except OSError:
        return ""


def wait_ready(proc, instance, folder, timeout=READY_TIMEOUT):
    """Returns when the instance answers; raises at once when the process ends before."""
    log = logfile(folder)
    fd = os.pidfd_open(proc.pid)
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    deadline = time.monotonic() + timeout
    try:
        while not answers(instance):
            if poller.poll(10):
                raise RuntimeError(f"rtrd {instance} ended with status {proc.wait()}:\n{tail(log)}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"rtrd {instance} does not answer within {timeout} s:\n{tail(log)}")
    finally:
        os.close(fd)


def remove_runtime(instance):
    """What a killed rtrd leaves behind: its mounts (the bpffs) and its runtime folder."""
    folder = f"{RUN_DIR}/{instance}"
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/mountinfo") as f:
        points = [line.split()[4] for line in f]
    for point in sorted((p for p in points if p == folder or p.startswith(folder + "/")), reverse=True):
        if libc.umount2(point.encode(), MNT_DETACH):
            raise OSError(ctypes.get_errno(), f"umount {point}")
    shutil.rmtree(folder, ignore_errors=True)


def rtrctl(instance, commands, json_output=False, check=True, timeout=30, wrap=()):
    """Runs commands through rtrctl; the text that it printed."""
    argv = [*wrap, program("rtrctl"), "-N", instance, *(["--json"] if json_output else [])]
    for c in commands:
        argv += ["-c", c]
    p = sh(*argv, check=False, timeout=timeout)
    out = p.stdout + p.stderr
    if check and (p.returncode or re.search(r"^% (?!Warning)", out, re.M)):
        raise CliError("; ".join(commands), out)
    return out


class Router(Node):
    """A router node. start() it, then talk to it; stop() is done by the fixture if nobody did."""

    def __init__(self, topology, name, spec):
        super().__init__(topology, name, spec)
        self.instance = f"{topology.prefix}-{name}"
        self.folder = f"{TEST_DIR}/{self.instance}"
        self.proc = None

    def start(self, config=(), config_file=None):
        """Starts rtrd, waits until it answers, then enters the configuration lines, if any.

        config_file becomes the startup configuration; without one, what was saved before holds.
        """
        prepare(self.folder, config_file)
        self.proc = spawn(self, self.instance, self.folder)
        wait_ready(self.proc, self.instance, self.folder)
        if config:
            self.config(config)
        return self

    def cli(self, *commands, check=True, user=None):
        """Runs commands and returns what they print; CliError where one is refused.

        user=(uid, gid) runs rtrctl as somebody else, in that one group.
        """
        wrap = ["setpriv", f"--reuid={user[0]}", f"--regid={user[1]}", "--clear-groups"] if user else ()
        return rtrctl(self.instance, commands, check=check, wrap=wrap)

    def config(self, lines, check=True):
        """Enters configuration lines from the top of configuration mode."""
        return self.cli("configure terminal", *(line.strip() for line in lines), "end", check=check)

    def json(self, command):
        """A show command's JSON document."""
        return json.loads(rtrctl(self.instance, [f"{command} | json"]))

    def alive(self):
        return self.proc is not None and self.proc.poll() is None

    def sighup(self):
        """Asks for a reload of the configuration file."""
        self.proc.send_signal(signal.SIGHUP)

    def daemon_pid(self):
        """The unprivileged rtrd below the parent process, or the process itself if it has no child."""
        children = sh("pgrep", "-P", str(self.proc.pid), "-x", "rtrd", check=False).stdout.split()
        return int(children[0]) if children else self.proc.pid

    def kill9(self, pid=None):
        """SIGKILL to the daemon (default: the parent process), and waits until it is gone."""
        pid = pid or self.proc.pid
        # The daemon dies with its parent, a moment later: until then it answers.
        pids = {p: start_time(p) for p in {pid, *([self.daemon_pid()] if pid == self.proc.pid else [])}}
        os.kill(pid, signal.SIGKILL)
        if pid == self.proc.pid:
            self.proc.wait(10)
        wait_for(lambda: all(start_time(p) != started for p, started in pids.items()), 10, f"end of {pid}")

    def fastpath_pid(self):
        """rtr-fastpath, or None."""
        try:
            with open(f"/proc/{self.proc.pid}/task/{self.proc.pid}/children") as f:
                pids = [int(pid) for pid in f.read().split()]
        except (AttributeError, OSError):
            return None
        return next((pid for pid in pids if comm(pid) == "rtr-fastpath"), None)

    def audit(self):
        """Every frame that the fast plane took in became one thing, when nothing is on its way."""
        def whole():
            a = self.json("show dataplane audit")
            return (all(not u["xdp_to_worker"] and not u["worker"] for u in a["unaccounted"])
                    and not a["forwarded_not_sent"] and not a["buffers_wrong"])
        if self.fastpath_pid():
            wait_for(whole, what=f"{self.instance}: each frame accounted for")

    def stop(self):
        """Ends rtrd in order; AssertionError if it has to be killed."""
        if self.alive():
            self.proc.terminate()
            try:
                self.proc.wait(STOP_GRACE)
            except subprocess.TimeoutExpired:
                kill_all([self.proc.pid])
                raise AssertionError(f"rtrd {self.instance} did not end within {STOP_GRACE} s of "
                                     f"SIGTERM:\n{tail(logfile(self.folder))}") from None
        status, self.proc = self.proc.wait() if self.proc else 0, None
        return status

    def restart(self):
        """Ends rtrd if it lives and starts it again from what was saved."""
        self.stop()
        return self.start()
