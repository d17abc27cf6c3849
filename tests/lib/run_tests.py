# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the flavours, runs every test program of the wanted area and adds up the results.

Sources of results: Check programs (TAP), pytest (junit XML), fuzz corpora (exit status), the guest
(lines on its serial console), and checks of the tree itself. A step that cannot run on this machine
is one skipped test with its reason. A step that overruns its budget is ended and has failed.

Two runs at once, also in one tree, do not disturb each other: temporary files live in a folder of
the run, build folders are locked (shared while testing, exclusive while building), netns tests run
in a sandbox (tests/netns/conftest.py). What a killed run left behind is removed by the next one.
"""
import concurrent.futures
import fcntl
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
UNIT_TIMEOUT = 600
FUZZ_RUNS = 100_000_000  # executions of all targets together, in `long`
FUZZ_SECONDS = 60  # first for each target, which shows how fast it is
WORKERS = max(2, os.cpu_count() or 2)
# So many netns tests that fail are run once more, alone: more is no accident of a busy machine.
SECOND_LOOKS = 6
# A child dies with this process, however it ends.
BOUND = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []


class Results:
    """Counts, and what a reader must see: failures with their output, skips with their reason."""

    def __init__(self):
        self.passed, self.failed, self.skipped = 0, [], []
        self.deadline, self.not_run, self.took = float("inf"), [], []

    def fail(self, name, why):
        self.failed.append(name)
        print(f"FAIL {name}\n{why.rstrip()}", flush=True)

    def skip(self, name, why):
        self.skipped.append(name)
        print(f"SKIP {name}: {why}", flush=True)

    def ok(self, name, problem):
        """One result: passed when there is no problem to tell."""
        if problem:
            self.fail(name, problem)
        else:
            self.passed += 1

    def run(self, argv, timeout=float("inf"), **kwargs):
        """Runs a command within the step's budget: (status, output); status 124 when it overran."""
        left = max(1.0, min(timeout, self.deadline - time.monotonic()))
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        try:
            p = subprocess.run([*BOUND, *argv], text=True, errors="replace", stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, timeout=left, **kwargs)
            return p.returncode, p.stdout
        except subprocess.TimeoutExpired as e:
            out = e.stdout.decode(errors="replace") if isinstance(e.stdout, bytes) else e.stdout or ""
            return 124, f"{out[-4000:]}\nstopped after {left:.0f} s"


def own_folder():
    """A temporary folder that this run owns by a lock; folders whose lock is free are removed."""
    base = tempfile.gettempdir()
    for old in glob.glob(f"{base}/rtr-test-*"):
        try:
            with open(f"{old}/lock") as f:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(old, ignore_errors=True)
        except (BlockingIOError, FileNotFoundError, PermissionError, NotADirectoryError):
            continue
    folder = tempfile.mkdtemp(prefix=f"rtr-test-{os.getpid()}-")
    os.chmod(folder, 0o711)  # tests become other users, who must reach sockets below
    lock = open(f"{folder}/lock", "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    return folder, lock


class Build:
    """A built flavour, kept from being rebuilt while the `with` block tests it."""

    def __init__(self, res, flavour, *targets):
        self.res, self.flavour, self.targets = res, flavour, targets

    def __enter__(self):
        rc, out = self.res.run([f"{TOP}/tools/build", self.flavour, *self.targets])
        if rc:
            self.res.fail(f"build {self.flavour}", out[-6000:])
            self.lock = None
            return None
        folder = out.strip().splitlines()[-1]
        self.lock = open(f"{folder}/.in-use", "a")
        fcntl.flock(self.lock, fcntl.LOCK_SH)
        return folder

    def __exit__(self, *exc):
        if self.lock:
            self.lock.close()


def shared_data():
    """The folder of real data beside the checkout; a worktree has the one of its repository."""
    given = os.environ.get("RTR_SHARED_DATA")
    if given:
        return given
    git = subprocess.run(["git", "-C", TOP, "rev-parse", "--path-format=absolute",
                          "--git-common-dir"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         text=True) if shutil.which("git") else None
    home = os.path.dirname(git.stdout.strip()) if git and git.returncode == 0 else TOP
    return os.path.join(home, "..", "shared", "data")


def run_check(res, program, label, wrap=()):
    """Runs one Check program and counts its TAP lines; a crash without TAP is one failure."""
    if time.monotonic() > res.deadline:
        res.not_run.append(label)
        return
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as tmp:
        tap = os.path.join(tmp, "tap")
        env = dict(os.environ, CK_TAP_LOG_FILE_NAME=tap, top_srcdir=TOP, CK_VERBOSITY="silent",
                   RTR_SHARED_DATA=shared_data())
        rc, out = res.run([*wrap, program], UNIT_TIMEOUT, env=env)
        lines = open(tap).read().splitlines() if os.path.exists(tap) else []
    res.took.append((time.monotonic() - start, label))
    if rc == 77:
        res.skip(label, out.strip().splitlines()[-1] if out.strip() else "no reason given")
        return
    bad = 0
    for line in out.splitlines():
        if line.startswith("SKIP "):  # a part that this build or machine leaves out
            res.skip(label, line[len("SKIP "):])
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


def programs(res, builddir, target="print-tests"):
    """The Check programs of a build, by name."""
    rc, out = res.run(["make", "-s", "-C", builddir, target])
    if rc:
        res.fail(f"make {target}", out)
    return [] if rc else out.split()


def run_programs(res, builddir, names, flavour, wrap=()):
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        for t in names:
            pool.submit(run_check, res, os.path.join(builddir, t), f"{flavour} {os.path.basename(t)}",
                        wrap)


def run_build(res, flavour):
    """Only that it compiles and links, without a warning."""
    with Build(res, flavour, "all", "tests-build") as builddir:
        res.passed += builddir is not None


def run_checks(res, flavour, area=""):
    with Build(res, flavour, "all", "tests-build") as builddir:
        if builddir:
            names = [t for t in programs(res, builddir) if area in os.path.basename(t)]
            run_programs(res, builddir, names, flavour)


def run_tsan(res):
    """The programs of TSAN_TESTS: those that test code which threads share."""
    with Build(res, "release", "all") as builddir:
        names = programs(res, builddir, "print-tsan-tests") if builddir else []
    if not names:
        return
    with Build(res, "tsan", *names) as builddir:
        if builddir:
            # TSan of gcc 12 cannot place its shadow under the randomisation of newer kernels.
            run_programs(res, builddir, names, "tsan", ["setarch", "-R"])


def again_alone(res, folder, node):
    """Whether a test that failed beside others passes by itself."""
    if time.monotonic() > res.deadline:
        return False
    with tempfile.TemporaryDirectory() as tmp:
        os.chmod(tmp, 0o711)
        rc, out = res.run(["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short",
                           f"--basetemp={tmp}/t", node], cwd=TOP)
    if rc == 0:
        print(f"UNSTEADY {folder} {node.split('/')[-1]}: it failed beside others, as above, and passed alone",
              flush=True)
    else:
        print(f"{node}, alone:\n{out[-6000:]}", flush=True)
    return rc == 0


def run_pytest(res, folder, *args):
    """Runs a pytest folder or file; each test case is one result. One that fails beside others is
    looked at once more, alone, and told as unsteady when it passes then."""
    if not (glob.glob(f"{TOP}/{folder}/test_*.py") or os.path.isfile(f"{TOP}/{folder}")):
        return
    with tempfile.TemporaryDirectory() as tmp:
        os.chmod(tmp, 0o711)
        xml = os.path.join(tmp, "junit.xml")
        rc, out = res.run(["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider",
                           "--tb=short", f"--junitxml={xml}", f"--basetemp={tmp}/t", folder, *args],
                          cwd=TOP)
        if rc == 77:
            res.skip(folder, out.strip().splitlines()[-1])
            return
        if not os.path.exists(xml):
            res.fail(folder, f"exit status {rc}\n{out[-4000:]}")
            return
        bad = []
        for case in ET.parse(xml).getroot().iter("testcase"):
            name = f"{folder} {case.get('classname', '').split('.')[-1]}.{case.get('name')}"
            if case.find("skipped") is not None:
                res.skip(name, case.find("skipped").get("message", ""))
            elif case.find("failure") is not None or case.find("error") is not None:
                bad.append((name, f"{case.get('classname').replace('.', '/')}.py::{case.get('name')}"))
            else:
                res.passed += 1
        if bad or rc not in (0, 1, 5):
            print(out[-12000:], flush=True)
            if not bad:
                res.fail(folder, f"pytest exit status {rc}")
        for name, node in bad:
            if "-n" in args and len(bad) <= SECOND_LOOKS and again_alone(res, folder, node):
                res.passed += 1
            else:
                res.failed.append(name)


def run_netns(res, *names):
    """netns tests, two files at a time: each topology has names of its own, in one sandbox."""
    if os.geteuid() != 0:
        res.skip("tests/netns", "needs root")
        return
    have_xdist = res.run(["/usr/bin/python3", "-c", "import xdist"])[0] == 0
    with Build(res, "release", "all") as builddir:
        for name in (names or ["tests/netns"]) if builddir else []:
            run_pytest(res, name, *(["-n", "2", "--dist", "loadfile"] if have_xdist and not names else []))


def run_target(res, builddir, name, *limit):
    """A fuzz target over its seeds and, with a limit, on from them. Returns its executions."""
    seeds = f"{TOP}/tests/fuzz/corpus/{name}"
    argv = [f"{builddir}/tests/fuzz/fuzz_{name}", "-rss_limit_mb=2048", "-print_final_stats=1"]
    with tempfile.TemporaryDirectory() as tmp:
        # New inputs go to the first folder, crashes below the prefix: never into the tree.
        argv += [*limit, f"-artifact_prefix={tmp}/", tmp, seeds] if limit else ["-runs=0", seeds]
        rc, out = res.run(argv, 3000 if limit else UNIT_TIMEOUT)
    res.ok(f"fuzz {name}", out[-4000:] if rc else "")
    done = re.search(r"number_of_executed_units: (\d+)", out)
    return int(done[1]) if done else 0


def run_fuzz(res, total_runs=0):
    """The seeds of every target; or exploration, all targets for about the same time."""
    names = [os.path.basename(f)[len("fuzz_"):-len(".c")]
             for f in sorted(glob.glob(f"{TOP}/tests/fuzz/fuzz_*.c"))]
    with Build(res, "fuzz") as builddir, concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        if not builddir:
            return
        limit = [f"-max_total_time={FUZZ_SECONDS}"] if total_runs else []
        done = list(pool.map(lambda n: run_target(res, builddir, n, *limit), names))
        left = max(total_runs - sum(done), 0)
        if left and sum(done):
            more = pool.map(lambda n, d: run_target(res, builddir, n, f"-runs={1 + left * d // sum(done)}"),
                            names, done)
            done = [d + m for d, m in zip(done, more)]
        if total_runs:
            each = ", ".join(f"{n} {d:,}" for n, d in zip(names, done))
            print(f"   {sum(done):,} executions: {each}", flush=True)


def seed():
    """What random tests start from: told, or the tree's own, so that one tree always gives one result
    and each change of it looks elsewhere."""
    if "RTR_TEST_SEED" not in os.environ:
        git = subprocess.run(["git", "-C", TOP, "rev-parse", "HEAD^{tree}"], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True) if shutil.which("git") else None
        os.environ["RTR_TEST_SEED"] = "0x1" + (git.stdout[:8] if git and git.returncode == 0 else "5eed")
    print(f"RTR_TEST_SEED={os.environ['RTR_TEST_SEED']}", flush=True)


def tracked(res, *patterns):
    rc, out = res.run(["git", "-C", TOP, "ls-files", "-z", "--", *patterns])
    return [f for f in out.split("\0") if f and os.path.isfile(f"{TOP}/{f}")] if rc == 0 else []


def run_tree(res):
    """The tree itself: its format, and nothing in it that belongs to a machine or is unfinished."""
    if res.run(["git", "-C", TOP, "rev-parse", "HEAD"])[0]:
        res.skip("tree", "not a git checkout")
        return
    sources = tracked(res, "*.c", "*.h")
    if shutil.which("clang-format"):
        rc, out = res.run(["clang-format", "--dry-run", "-Werror", *sources], cwd=TOP)
        bad = sorted({line.split(":")[0] for line in out.splitlines() if "clang-format-violations" in line})
        res.ok("tree: clang-format", f"clang-format -i {' '.join(bad)}\n{'' if bad else out}" if rc else "")
    else:
        res.skip("tree: clang-format", "clang-format is not installed")
    unfinished = "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX"))
    rc, out = res.run(["git", "-C", TOP, "grep", "-nIwE", unfinished, "--", "*.c", "*.h", "*.py", "*.sh",
                       "*.mk", "*.am", "*.ac", "*.md", "tools", "bench/run", ".ci"])
    res.ok("tree: nothing unfinished", out[-4000:] if rc == 0 else "")
    rc, out = res.run(["git", "-C", TOP, "grep", "-nIE", "(^|[^A-Za-z0-9_.$}-])/(wo" + "rk|ro" + "ot)/"])
    res.ok("tree: no paths of a machine", out[-4000:] if rc == 0 else "")
    scripts = [f for f in tracked(res, "tools", "bench/run", ".ci") if not os.access(f"{TOP}/{f}", os.X_OK)
               and open(f"{TOP}/{f}", errors="replace").read(2) == "#!"]
    res.ok("tree: scripts are executable", "\n".join(scripts))


def run_distcheck(res):
    """A tarball that builds, installs and uninstalls outside the tree. Its tests have run already."""
    with tempfile.TemporaryDirectory() as tmp, Build(res, "release", "all") as builddir:
        if not builddir:
            return
        rc, out = res.run([f"{TOP}/configure", "-q"], cwd=tmp)
        if rc == 0:
            rc, out = res.run(["make", f"-j{WORKERS}", "distcheck", "AM_MAKEFLAGS=TESTS="], cwd=tmp)
        res.run(["chmod", "-R", "u+w", tmp])
    res.ok("distcheck", out[-6000:] if rc else "")


def run_analysis(res):
    """Static analysis of what we wrote, in a build folder of its own."""
    if not shutil.which("scan-build"):
        res.skip("scan-build", "clang-tools is not installed")
        return
    with tempfile.TemporaryDirectory() as tmp:
        rc, out = res.run([f"{TOP}/configure", "-q", "CC=clang"], cwd=tmp)
        if rc == 0:
            rc, out = res.run(["scan-build", "--status-bugs", "-o", f"{tmp}/report", "make",
                               f"-j{WORKERS}"], cwd=tmp)
    res.ok("scan-build", out[-8000:] if rc else "")


def run_guest(res):
    sys.path.insert(0, f"{TOP}/tests/guest")
    import guest
    guest.run(res, Build)


def run_package(res):
    sys.path.insert(0, f"{TOP}/tests/package")
    import package
    package.run(res)


class Runner:
    # The whole default run, however the steps share it: twenty minutes on two idle cores, thirty at most; a
    # machine half as fast, or busy with others, is not what is tested.
    TOTAL, AIM = 3600, 1800

    def __init__(self):
        self.res, self.start = Results(), time.monotonic()

    def step(self, name, budget, fn, *args):
        """One step within its budget of seconds: about four times what two idle cores need."""
        start, res = time.monotonic(), self.res
        res.deadline, res.not_run, res.took = start + budget, [], []
        try:
            fn(res, *args)
        except (OSError, subprocess.SubprocessError, RuntimeError) as e:
            res.fail(name, f"{type(e).__name__}: {e}")
        took = time.monotonic() - start
        if took > budget:
            res.fail(f"{name}: budget", f"{took:.0f} s of {budget:.0f} s; not run: {', '.join(res.not_run) or '-'}")
        slow = "".join(f", {label.split()[-1]} {t:.0f} s" for t, label in sorted(res.took)[:-4:-1] if t > 5)
        print(f"-- {name}: {took:.0f} s{slow}", flush=True)

    def default(self):
        for step in (("tree", 60, run_tree),
                     ("unit and replay", 900, run_checks, "release"),
                     ("build with clang", 480, run_build, "clang"),
                     ("unit and replay, ASan + UBSan", 1200, run_checks, "asan"),
                     ("unit and replay, TSan", 480, run_tsan),
                     ("fuzz corpora", 480, run_fuzz),
                     ("distcheck", 480, run_distcheck),
                     ("netns", 1800, run_netns)):
            left = max(1, self.TOTAL - (time.monotonic() - self.start))
            self.step(step[0], min(step[1], left), *step[2:])

    def long(self):
        self.step("static analysis", 1200, run_analysis)
        self.step("unit and replay, clang", 900, run_checks, "clang")
        self.step("fuzzing", 3600, run_fuzz, FUZZ_RUNS)
        os.environ["RTR_TEST_LONG"] = "1"
        self.step("unit and replay, long", 3600, run_checks, "release")
        self.step("netns, long", 3600, run_netns)
        self.step("packages", 900, run_package)

    def package(self):
        self.area("package")
        self.step("packages", 900, run_package)

    def area(self, area):
        if not any(area in os.path.basename(f) for kind in ("c", "py")
                   for f in glob.glob(f"{TOP}/tests/*/test_*.{kind}")):
            print(f"tools/test: no test's file name contains {area!r}; tools/test --help tells more")
            return
        names = sorted(os.path.relpath(f, TOP) for f in glob.glob(f"{TOP}/tests/netns/test_*.py")
                       if area in os.path.basename(f))
        self.step(f"unit and replay: {area}", 600, run_checks, "release", area)
        if names:
            self.step(f"netns: {area}", 600, run_netns, *names)

    def main(self, area):
        {"": self.default, "long": self.long, "package": self.package,
         "tree": lambda: self.step("tree", 60, run_tree),
         "netns": lambda: self.step("netns", 1800, run_netns),
         "guest": lambda: self.step("guest", 2100, run_guest),
         }.get(area, lambda: self.area(area))()
        res = self.res
        took = time.monotonic() - self.start
        for name in res.failed:  # again here: a reader of a long log begins at its end
            print(f"failed: {name}")
        print(f"total {took:.0f} s{', more than the default run may take' if not area and took > self.AIM else ''}")
        print(f"{res.passed} passed, {len(res.failed)} failed, {len(res.skipped)} skipped")
        return 1 if res.failed or not res.passed else 0


def main():
    folder, lock = own_folder()
    seed()
    try:
        return Runner().main(sys.argv[1] if len(sys.argv) > 1 else "")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


if __name__ == "__main__":
    sys.exit(main())
