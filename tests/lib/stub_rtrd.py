# SPDX-License-Identifier: GPL-2.0-or-later
"""What: an instance of rtrd in a folder of its own, for tests at its command line: the real one
or tests/lib/stub_rtrd.c, its parent and CLI without a router behind.

Owns: its process and its folder. Failure: a program that is not built skips the test.
"""
import os
import shutil
import subprocess

import pytest

from router import build_dir, tail
from topo import wait_for


class StubRtrd:
    """The instance, in a folder of its own; stopped and removed at the end of the `with`."""

    def __init__(self, folder, program="tests/lib/stub_rtrd"):
        self.program = f"{build_dir()}/{program}"
        if not os.access(self.program, os.X_OK):
            pytest.skip(f"{program} is not built")
        self.folder = str(folder)
        self.sock = f"{self.folder}/run/t/cli.sock"
        self.log = f"{self.folder}/log"
        self.proc = None
        # The worker is another user: it must reach its folders, up to the system's own.
        while os.stat(folder := os.path.dirname(f"{folder}/x")).st_mode & 0o005 != 0o005:
            os.chmod(folder, 0o755)
            folder = os.path.dirname(folder)

    def argv(self, *args, name="t"):
        return [self.program, "-N", name, "-f", "none", "--run-dir", f"{self.folder}/run",
                "--state-dir", f"{self.folder}/state", *args]

    def start(self, *args, env=None, wrap=()):
        with open(self.log, "ab") as log:
            self.proc = subprocess.Popen([*wrap, *self.argv(*args)], stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=log, env={**os.environ, **(env or {})})
        wait_for(lambda: os.path.exists(self.sock) and self.children(), 10, "the socket")
        return self

    def children(self):
        with open(f"/proc/{self.proc.pid}/task/{self.proc.pid}/children") as f:
            return [int(pid) for pid in f.read().split()]

    def child(self):
        """The worker's process id."""
        return self.children()[0]

    def wait_child(self, other_than):
        """Waits for a worker that is not this one; its process id."""
        return wait_for(lambda: next(iter(set(self.children()) - {other_than}), 0), 10, "a new worker",
                        interval=0.005)

    def text(self):
        return tail(self.log, 100000)

    def stop(self):
        if self.proc and self.proc.poll() is None:
            self.proc.terminate()
            self.proc.wait(15)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()
        text = self.text()
        shutil.rmtree(self.folder, ignore_errors=True)
        assert "Sanitizer" not in text, text
