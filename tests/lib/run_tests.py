# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the flavours, runs every test program of the wanted area and adds up the results.

Sources of results: Check programs (TAP), pytest (junit XML), fuzz corpora (exit status).
A step that cannot run on this machine is one skipped test with its reason.
"""
import glob
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
UNIT_TIMEOUT = 600


class Results:
    """Counts, and what a reader must see: failures with their output, skips with their reason."""

    def __init__(self):
        self.passed, self.failed, self.skipped = 0, [], []

    def fail(self, name, why):
        self.failed.append(name)
        print(f"FAIL {name}\n{why.rstrip()}", flush=True)

    def skip(self, name, why):
        self.skipped.append(name)
        print(f"SKIP {name}: {why}", flush=True)


def build(flavour, *targets):
    """Builds one flavour; returns its folder, or None after printing what failed."""
    p = subprocess.run([f"{TOP}/tools/build", flavour, *targets], stdout=subprocess.PIPE, text=True)
    return p.stdout.strip().splitlines()[-1] if p.returncode == 0 else None


def run_check(res, program, label):
    """Runs one Check program and counts its TAP lines; a crash without TAP is one failure."""
    with tempfile.TemporaryDirectory() as tmp:
        tap = os.path.join(tmp, "tap")
        env = dict(os.environ, CK_TAP_LOG_FILE_NAME=tap, top_srcdir=TOP, CK_VERBOSITY="silent")
        try:
            p = subprocess.run([program], env=env, stdin=subprocess.DEVNULL, text=True,
                               errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               timeout=UNIT_TIMEOUT)
            rc, out = p.returncode, p.stdout
        except subprocess.TimeoutExpired as e:
            rc, out = 124, f"timed out after {UNIT_TIMEOUT} s\n{e.stdout or ''}"
        lines = open(tap).read().splitlines() if os.path.exists(tap) else []
    if rc == 77:
        res.skip(label, out.strip().splitlines()[-1] if out.strip() else "no reason given")
        return
    bad = 0
    for line in lines:
        if line.startswith("ok "):
            res.passed += 1
        elif line.startswith("not ok "):
            bad += 1
            res.fail(f"{label}: {line.split(' - ', 1)[-1]}", line)
    if rc != 0 and not bad:
        res.fail(label, f"exit status {rc}\n{out[-4000:]}")
    elif bad:
        print(out[-4000:], flush=True)
    elif not lines:
        res.fail(label, "the program printed no test result")


def check_programs(builddir, area=""):
    """The Check programs that the build made, by name."""
    out = subprocess.run(["make", "-s", "-C", builddir, "print-tests"], stdout=subprocess.PIPE,
                         text=True, check=True).stdout.split()
    return [t for t in out if area in os.path.basename(t)]


def run_checks(res, flavour, area=""):
    builddir = build(flavour, "tests-build")
    if not builddir:
        res.fail(f"build {flavour}", "see above")
        return
    for t in check_programs(builddir, area):
        run_check(res, os.path.join(builddir, t), f"{flavour} {os.path.basename(t)}")


def run_pytest(res, folder, *args):
    """Runs a pytest folder; each test case is one result."""
    if not glob.glob(f"{TOP}/{folder}/test_*.py"):
        return
    with tempfile.TemporaryDirectory() as tmp:
        xml = os.path.join(tmp, "junit.xml")
        p = subprocess.run(["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider",
                            "--tb=short", f"--junitxml={xml}", folder, *args], cwd=TOP,
                           stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT)
        if not os.path.exists(xml):
            res.fail(folder, p.stdout[-4000:])
            return
        bad = 0
        for case in ET.parse(xml).getroot().iter("testcase"):
            name = f"{folder} {case.get('classname', '').split('.')[-1]}.{case.get('name')}"
            if case.find("skipped") is not None:
                res.skip(name, case.find("skipped").get("message", ""))
            elif case.find("failure") is not None or case.find("error") is not None:
                bad += 1
                res.failed.append(name)
            else:
                res.passed += 1
        if bad or p.returncode not in (0, 1, 5):
            print(p.stdout[-12000:], flush=True)
            if not bad:
                res.fail(folder, f"pytest exit status {p.returncode}")


def run_corpora(res, builddir):
    """Replays each fuzz target over its seeds: one result a target."""
    for src in sorted(glob.glob(f"{TOP}/tests/fuzz/fuzz_*.c")):
        name = os.path.basename(src)[len("fuzz_"):-len(".c")]
        seeds = f"{TOP}/tests/fuzz/corpus/{name}"
        p = subprocess.run([f"{builddir}/tests/fuzz/fuzz_{name}", "-runs=0", seeds], text=True,
                           errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if p.returncode:
            res.fail(f"fuzz {name}", p.stdout[-4000:])
        else:
            res.passed += 1


def run_fuzz(res):
    if not glob.glob(f"{TOP}/tests/fuzz/fuzz_*.c"):
        return
    builddir = build("fuzz")
    if builddir:
        run_corpora(res, builddir)
    else:
        res.fail("build fuzz", "see above")


def main():
    area = sys.argv[1] if len(sys.argv) > 1 else ""
    res = Results()
    start = time.monotonic()

    def step(name, fn, *args):
        t = time.monotonic()
        fn(res, *args)
        print(f"-- {name}: {time.monotonic() - t:.0f} s", flush=True)

    if area == "":
        step("unit and replay", run_checks, "release")
        step("unit and replay, clang", run_checks, "clang")
        step("unit and replay, ASan + UBSan", run_checks, "asan")
        step("fuzz corpora", run_fuzz)
        step("netns", run_pytest, "tests/netns")
    else:
        step(f"unit and replay: {area}", run_checks, "release", area)
    print(f"total {time.monotonic() - start:.0f} s")
    print(f"{res.passed} passed, {len(res.failed)} failed, {len(res.skipped)} skipped")
    return 1 if res.failed or not res.passed else 0


if __name__ == "__main__":
    sys.exit(main())
