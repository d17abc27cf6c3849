# SPDX-License-Identifier: GPL-2.0-or-later
"""rtrctl at a terminal: editing, help, paste, pager, ^C, resize, and rtrd restarted under it.

The session behind it is the stub of tests/lib/stub_session.c, so that nothing here depends on a
command of the router.
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from router import program
from stub_rtrd import StubRtrd

PROMPT = "stub# "


class Terminal:
    """rtrctl on a pseudo terminal: type, then expect."""

    def __init__(self, rtrd, *args, rows=24, cols=80, env=None, home=None):
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm", "LC_ALL": "C.UTF-8",
                               "HOME": home or rtrd.folder}, **(env or {}))
            time.sleep(0.05)  # until the size is set; only this child waits
            os.execv(program("rtrctl"), ["rtrctl", "-S", rtrd.sock, *args])
        self.resize(rows, cols)

    def resize(self, rows, cols):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, text):
        data = text.encode()
        while data:
            # Both ways at once: the terminal's queues are small.
            r, w, _ = select.select([self.fd], [self.fd], [], 10)
            assert r or w, "the terminal takes nothing"
            if r:
                self.read()
            if w:
                data = data[os.write(self.fd, data[:512]):]
        return self

    def read(self):
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        # What remains is text: cursor movements of the editor are not what is tested.
        self.seen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z@]", "", self.seen + data.decode(errors="replace"))
        return bool(data)

    def expect(self, pattern, timeout=10):
        """Reads until the regular expression matches; returns what came up to its end."""
        deadline = time.monotonic() + timeout
        while not (m := re.search(pattern, self.seen)):
            left = deadline - time.monotonic()
            assert left > 0, f"{pattern!r} did not come; seen {self.seen[-2000:]!r}"
            if select.select([self.fd], [], [], left)[0]:
                assert self.read() or re.search(pattern, self.seen), \
                    f"{pattern!r} did not come before the end; seen {self.seen[-2000:]!r}"
        got, self.seen = self.seen[:m.end()], self.seen[m.end():]
        return got

    def prompt(self, timeout=10):
        return self.expect(re.escape(PROMPT), timeout)

    def run(self, line):
        """One command; its output, up to the next prompt."""
        return self.type(line + "\r").prompt()

    def status(self, timeout=10):
        """Waits for the end; the exit status."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if select.select([self.fd], [], [], 0.05)[0]:
                self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
        raise AssertionError(f"rtrctl does not end; seen {self.seen[-1000:]!r}")

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture
def rtrd(tmp_path):
    with StubRtrd(tmp_path) as r:
        r.start()
        yield r


@pytest.fixture
def terminal(rtrd):
    made = []

    def make(*args, **kwargs):
        t = Terminal(rtrd, *args, **kwargs)
        made.append(t)
        t.prompt()
        return t

    yield make
    for t in made:
        t.close()


@pytest.fixture
def term(terminal):
    return terminal()


def test_commands_and_exit(term):
    assert "hello\r\n" in term.run("echo hello")
    assert "% Invalid input" in term.run("nonsense")
    term.type("\x04")
    assert term.status() == 0


def test_close_by_rtrd_ends_quietly(term):
    term.type("close\r")
    assert term.status() == 0
    assert "closed the session" not in term.seen


def test_close_with_a_reason(term):
    term.type("close idle for too long\r")
    assert term.status() == 1
    assert "rtrd closed the session: idle for too long" in term.seen


@pytest.mark.parametrize("keys,want", [
    ("cho x\x01e\r", "x"),                          # ^A
    ("echo ab\x02c\r", "acb"),                      # ^B
    ("echo ab\x02\x02\x06c\r", "acb"),              # ^F
    ("echo \x01\x05end\r", "end"),                  # ^E
    ("echo keep drop\x02\x02\x02\x02\x0b\r", "keep "),   # ^K
    ("nonsense\x15echo clean\r", "clean"),          # ^U
    ("echo one two\x17three\r", "one three"),       # ^W
    ("echo ac\x1b[Db\r", "abc"),                    # arrow left
    ("echo abX\x7f\r", "ab"),                       # backspace
    ("echo \u00e4\u00f6\x7fx\r", "\u00e4x"),        # backspace over UTF-8
    ("echo dXel\x02\x02\x02\x04\r", "del"),         # ^D within a line
])
def test_editing_keys(term, keys, want):
    term.type(keys)
    assert f"\n{want}\r\n" in term.prompt()


def test_redraw_keys(term):
    term.type("echo again")
    term.expect("again")
    term.type("\x12")
    term.expect("echo again")
    term.type("\x0c")
    term.expect("echo again")
    term.type("\r")
    assert "\nagain\r\n" in term.prompt()


def test_ctrl_z_carries_out_the_line_and_ends(term):
    """As IOS; outside configuration there is nothing to end."""
    term.type("prompt deep(config)#\r").expect(r"\ndeep\(config\)# ")
    term.type("echo typed\x1a").expect(r"\^Z\r\ntyped\r\n")
    assert "ended" in term.prompt()
    term.type("echo again\x1a").expect(r"\^Z\r\nagain\r\n")
    assert "ended" not in term.prompt()


def test_ctrl_c_clears_the_line(term):
    term.type("echo wrong\x03")
    term.prompt()
    assert "wrong" not in term.run("echo right")


def test_history_within_and_across_sessions(terminal, rtrd):
    first = terminal()
    first.run("echo remembered")
    first.run("echo my password is x")
    first.type("\x10\x10\r")
    assert "\nremembered\r\n" in first.prompt()
    first.type("\x10\x0e\r")
    first.prompt()
    second = terminal()
    second.type("\x1b[A\r")
    assert "\nremembered\r\n" in second.prompt()
    path = f"{rtrd.folder}/.rtrctl_history"
    assert "password" not in open(path).read()
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_help_at_any_position(term):
    term.type("echo one two\x02\x02\x02?")
    term.expect(r"help for <echo one >\r\n")
    term.expect("echo one two")
    term.type("\r")
    assert "\none two\r\n" in term.prompt()


def test_help_is_literal_in_quotes_and_after_ctrl_v(term):
    term.type('echo "what?"\r')
    assert '\n"what?"\r\n' in term.prompt()
    term.type("echo why\x16?\r")
    assert "\nwhy?\r\n" in term.prompt()


def test_tab_completes_and_lists(term):
    term.type("ec\thi\r")
    assert "\nhi\r\n" in term.prompt()
    term.type("red\tx-file\x15")    # unique: redirect
    term.expect("irect x-file")
    term.type("a\t")
    term.expect("ask")
    term.expect("append  ")
    term.type("b\t\x15")
    term.expect("abort ")
    term.type("zzz\t")
    term.expect("\x07")
    term.type("\x15\r")


def test_pager_keys(terminal):
    t = terminal(rows=10)
    t.type("count 100\r")
    page = t.expect(" --More-- ")
    assert "line 9 of" in page and "line 10 of" not in page
    t.type("\r")
    page = t.expect(" --More-- ")
    assert "line 10 of" in page and "line 11 of" not in page
    t.type(" ")
    page = t.expect(" --More-- ")
    assert "line 19 of" in page and "line 20 of" not in page
    t.type("/line 7[5]\r")
    page = t.expect(" --More-- ")
    assert "line 75 of" in page and "line 74 of" not in page and "line 83 of" in page
    t.type("+9[0-9] of\r")
    page = t.expect(" --More-- ")
    assert "line 90 of" in page and "line 89 of" not in page
    t.type("-[0-8] of\r")
    page = t.prompt()
    assert "line 99 of" in page and "line 100 of" not in page
    t.type("count 100000\r")
    t.expect(" --More-- ")
    t.type("q")
    assert len(t.prompt()) < 10000


def test_pager_bad_expression_is_told(terminal):
    t = terminal(rows=10)
    t.type("count 20\r")
    t.expect(" --More-- ")
    t.type("/[\r")
    t.expect("Not a regular expression")
    t.expect(" --More-- ")
    t.type("q")
    t.prompt()


def test_terminal_length_from_rtrd(terminal):
    t = terminal(rows=10)
    t.run("length 0")
    assert "line 200 of 200" in t.run("count 200")
    t.run("length 5")
    t.type("count 6\r")
    assert "line 5 of" not in t.expect(" --More-- ")
    t.type(" ")
    t.prompt()


def test_long_lines_count_as_several_rows(terminal):
    t = terminal(rows=10, cols=40)
    # Four lines of three rows on a screen of ten: three of them fill it.
    t.type("wide 4 100\r")
    assert t.expect(" --More-- ").count("END") == 3
    t.type(" ")
    t.prompt()


def test_a_long_line_arrives_whole(term):
    text = "x" * 3000
    term.type(f"size_of {text}\r")
    assert "3008 bytes" in term.expect("bytes", 20)
    term.prompt()


def test_interrupt_stops_the_command(term):
    term.type("wait\r")
    term.expect("waiting")
    term.type("\x03")
    assert "interrupted" in term.prompt()
    assert "ok" in term.run("echo ok")


def test_typed_ahead_is_kept(term):
    term.type("wait\r")
    term.expect("waiting\r\n")
    term.type("lost\x03echo kept\r")
    term.prompt()
    assert "\nkept\r\n" in term.prompt()


def test_questions(term):
    term.type("ask Proceed [confirm]\r")
    term.expect(r"\nProceed \[confirm\]")
    term.type("yee\x7fs\r")
    assert "yes" in term.expect("answer <yes>")
    term.prompt()
    term.type("secret Password: \r")
    term.expect("\nPassword: ")
    term.type("hunter2\r")
    assert "hunter2" not in term.expect("answer <")
    term.prompt()
    term.type("ask Sure.\r")
    term.expect(r"\nSure\.")
    term.type("\x03")
    assert "interrupted" in term.prompt()


def test_resize(term):
    assert "80 columns 24 rows" in term.run("size")
    term.resize(50, 132)
    term.type("size\r")
    assert "132 columns 50 rows" in term.prompt()
    term.type("wait\r")
    term.expect("waiting")
    term.resize(30, 100)
    time.sleep(0.1)
    term.type("\x03")
    term.prompt()
    assert "100 columns 30 rows" in term.run("size")


LINES = [f"access-list {n} permit ip any any ? note \"{n}\"" for n in range(2000)]


@pytest.mark.parametrize("newline", ["\r", "\n", "\r\n"])
def test_marked_paste_is_one_transaction(term, newline):
    text = "\n".join(LINES) + "\n"
    term.type("\x1b[200~" + text.replace("\n", newline) + "\x1b[201~")
    assert f"one transaction of 2000 lines, {len(text)} bytes" in term.prompt(20)
    assert "help for" not in term.seen
    assert "ok" in term.run("echo ok")


def test_marked_paste_joins_the_line(term):
    term.type("echo a\x1b[200~b\x1b[201~c\r")
    assert "\nabc\r\n" in term.prompt()
    term.type("echo \x1b[200~whole\n\x1b[201~")
    term.expect("\nwhole\r\n")
    term.prompt()
    # What is not finished stays to be edited.
    term.type("one\x1b[200~two\nthree\necho unfinished\x1b[201~")
    assert "one transaction of 2 lines, 13 bytes" in term.prompt()
    term.type(" done\r")
    term.expect("\nunfinished done\r\n")
    term.prompt()


def test_unmarked_paste_is_one_transaction(terminal):
    t = terminal(env={"TERM": "dumb"})
    text = "\r".join(LINES) + "\r"
    t.type(text)
    assert f"one transaction of 2000 lines, {len(text)} bytes" in t.expect("transaction.*bytes", 20)


def test_log_lines_above_the_line(terminal):
    a, b = terminal(), terminal()
    a.type("echo half")
    a.expect("half")
    b.run("log *Nov 21 11:05:26.123: %LINK-3-UPDOWN: eth1 up")
    a.expect(r"%LINK-3-UPDOWN: eth1 up\r\n")
    a.expect("stub# echo half")
    a.type("way\r")
    assert "\nhalfway\r\n" in a.prompt()


def test_prompt_changes_while_a_line_is_typed(terminal):
    """Somebody renames the box, or a confirmed commit goes back."""
    a, b = terminal(), terminal()
    a.type("echo half")
    a.expect("half")
    b.type("rename r2\r")
    a.expect("r2# echo half")
    a.type("way\r")
    a.expect(r"\nhalfway\r\n.*r2# ")


def test_two_sessions_one_stuck(terminal):
    stuck, other = terminal(rows=10), terminal()
    stuck.type("count 10000000\r")
    stuck.expect(" --More-- ")
    for i in range(20):
        assert f"\nfine {i}\r\n" in other.run(f"echo fine {i}")
    stuck.type("q")
    stuck.prompt()


def test_redirects(term, rtrd):
    path = f"{rtrd.folder}/out"
    term.run(f"redirect {path}")
    term.run(f"append {path}")
    assert open(path).read() == "to a file\n" * 2
    assert "to a file\r\n" in term.run(f"tee {path}2")
    assert open(f"{path}2").read() == "to a file\n"
    assert "Cannot open /nonexistent/x" in term.run("redirect /nonexistent/x")
    assert "No space" in term.run("redirect /dev/full")
    assert "Cannot write /run/rtr-stub-evil" in term.run("evil")
    assert not os.path.exists("/run/rtr-stub-evil")


def test_output_cannot_steer_the_terminal(term):
    term.type("echo a\x16\x1b[2Jb\r")
    out = term.prompt()
    assert "\na^[[2Jb\r\n" in out


def test_rtrd_killed_under_the_prompt(term, rtrd):
    term.run("echo before")
    term.type("echo half")
    term.expect("half")
    killed = rtrd.child()
    start = time.monotonic()
    os.kill(killed, signal.SIGKILL)
    term.expect("rtrd has gone")
    term.expect("Connected again")
    took = time.monotonic() - start
    term.expect("echo half")
    term.type("way\r")
    assert "\nhalfway\r\n" in term.prompt()
    assert rtrd.child() != killed
    assert took < 1.0, f"{took:.3f} s"


def test_rtrd_killed_under_a_command(term, rtrd):
    term.type("wait\r")
    term.expect("waiting")
    os.kill(rtrd.child(), signal.SIGKILL)
    term.expect("whether the command was carried out is not known")
    term.expect("Connected again")
    term.prompt()
    assert "ok" in term.run("echo ok")


def test_rtrd_stopped_and_started_under_the_prompt(term, rtrd):
    rtrd.stop()
    term.expect("rtrd stops. Waiting")
    rtrd.start()
    term.expect("Connected again")
    term.prompt()
    assert "ok" in term.run("echo ok")


def test_waiting_for_rtrd_can_be_given_up(term, rtrd):
    rtrd.stop()
    term.expect("Waiting")
    term.type("\x03")
    assert term.status() != 0


# ---- the router's own session behind the same terminal ----


@pytest.fixture
def real(tmp_path):
    """rtrd itself, in a network namespace that ends with it."""
    with StubRtrd(tmp_path, "rtrd") as r:
        r.start(wrap=["unshare", "--net"])
        yield r


@pytest.fixture
def router(real):
    t = Terminal(real, rows=24)
    t.expect("rtr#")
    yield t
    t.close()


def revision(router, prompt="rtr#"):
    router.type("show version\r")
    shown = router.expect(f"(?s)changes of the configuration.*{prompt}")
    return int(re.search(r"(\d+) changes of", shown).group(1))


def test_router_pasted_configuration_is_one_commit(router):
    before = revision(router)
    routes = [f"ip route 10.{n // 256}.{n % 256}.0 255.255.255.0 Null0" for n in range(2000)]
    text = "\r".join(["configure terminal", *routes, "end", ""])
    router.type(f"\x1b[200~{text}\x1b[201~")
    router.expect("2002 lines pasted")
    router.expect("rtr#", 30)
    assert revision(router) == before + 1
    router.type("show running-config | count ip route 10\r")
    router.expect(r"\n.*2000\D")
    router.expect("rtr#")


def test_router_killed_under_configuration(router, real):
    router.type("configure terminal\r").expect(r"\(config\)#")
    router.type("hostname kept\r").expect(r"kept\(config\)#")
    router.type("end\r").expect("kept#")
    router.type("configure candidate\r").expect(r"kept\(config.*\)#")
    router.type("hostname lost\r").expect(r"kept\(config.*\)#")
    os.kill(real.child(), signal.SIGKILL)
    router.expect("had not committed is gone")
    router.expect("kept#")
    router.type("show running-config | include hostname\r")
    router.expect("\nhostname kept\r\n")
    router.expect("kept#")


def test_router_help_and_completion_in_configuration(router):
    router.type("conf\t").expect("igure ")
    router.type("t\r").expect(r"\(config\)#")
    router.type("interface eth9\r").expect(r"\(config-if\)#")
    router.type("desc\twhat is this\x16?\r").expect(r"\(config-if\)#")
    router.type("ip ?").expect("address ")
    router.expect(r"\(config-if\)#ip ")
    router.type("\x1a").expect("rtr#")
    router.type("show running-config\r").expect(r"description what is this\?")
    router.expect("rtr#")


def test_router_names_that_there_are(router):
    """Below what may be typed, ? tells the names; Tab completes one."""
    for name in ("WEB", "DNS"):
        router.type(f"monitor capture {name} interface lo match any\r").expect("rtr#")
    for line in ("monitor capture ", "no monitor capture ", "show monitor capture "):
        router.type(f"{line}?").expect(r"WORD +the name of a capture\r\n(.*\r\n)*WEB  DNS  \r\n")
        router.type("\x15")
    router.type("show monitor capture D\t\r").expect("Capture DNS")
    router.expect("rtr#")
    router.type("show interfaces ?").expect("Loopback0")


def test_router_terminal_length(router):
    router.type("terminal length 5\r").expect("rtr#")
    router.type("show ?").expect(" --More-- ")
    router.type("q").expect("rtr#show ")
    router.type("\x15terminal length 0\r").expect("rtr#")
    router.type("show ?")
    assert "--More--" not in router.expect("rtr#show ")


def test_router_reader_may_look_only(real):
    argv = ["setpriv", "--reuid", "65534", "--regid", "65534", "--groups", "rtr", program("rtrctl"),
            "-S", real.sock]

    def run(*cmds):
        args = [x for c in cmds for x in ("-c", c)]
        return subprocess.run([*argv, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=10)

    assert run("show version").returncode == 0
    assert run("configure terminal", "hostname mine").returncode != 0
    assert run("enable", "configure terminal", "hostname mine").returncode != 0
    assert "mine" not in run("show running-config").stdout


def batch(rtrd, *args, stdin=None):
    return subprocess.run([program("rtrctl"), "-S", rtrd.sock, *args], input=stdin, text=True,
                          stdin=subprocess.DEVNULL if stdin is None else None,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)


def test_batch(rtrd):
    p = batch(rtrd, "-c", "echo one", "-c", "fail 7", "-c", "err wrong", "-c", "echo two")
    assert (p.returncode, p.stdout, p.stderr) == (1, "one\ntwo\n", "wrong\n")
    assert batch(rtrd, "-c", "fail 7", "-c", "echo x").returncode == 7
    assert batch(rtrd, "--json", "-c", "echo x").stdout == "{}\n"
    assert batch(rtrd, "-c", "ask x").stdout == "nobody to ask\n"
    assert batch(rtrd, "-c", "close", "-c", "echo never").stdout == ""
    p = batch(rtrd, "-c", "close you must go")
    assert p.returncode == 1 and "you must go" in p.stderr
    assert batch(rtrd, "-x").returncode == 2
    assert batch(rtrd, "--version").stdout.startswith("rtrctl ")


def test_batch_from_a_file(rtrd):
    text = "".join(f"line {n}\n" for n in range(100000))
    p = batch(rtrd, stdin=text)
    assert p.stdout == f"one transaction of 100000 lines, {len(text)} bytes\n"
    assert batch(rtrd, stdin="echo alone").stdout == "alone\n"
    p = batch(rtrd, stdin="echo a\0b\n")
    assert p.returncode == 1 and "NUL" in p.stderr
    p = batch(rtrd, stdin="x" * (17 << 20))
    assert p.returncode == 1 and "longer than 16 MiB" in p.stderr


def test_batch_output_is_not_cut_by_a_slow_reader(rtrd):
    p = subprocess.Popen([program("rtrctl"), "-S", rtrd.sock, "-c", "count 300000"],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    lines = p.stdout.read().splitlines()
    assert p.wait(20) == 0
    assert len(lines) == 300000 and lines[-1] == "line 300000 of 300000"


def test_batch_when_rtrd_dies(rtrd):
    p = subprocess.Popen([program("rtrctl"), "-S", rtrd.sock, "-c", "wait"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "waiting\n"
    os.kill(rtrd.child(), signal.SIGKILL)
    assert "rtrd ended before" in p.communicate(timeout=10)[1]
    assert p.returncode == 1


def test_batch_interrupted(rtrd):
    p = subprocess.Popen([program("rtrctl"), "-S", rtrd.sock, "-c", "wait"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "waiting\n"
    p.send_signal(signal.SIGINT)
    assert p.communicate(timeout=10)[0] == "interrupted\n"
    assert p.returncode == 130


def test_no_rtrd(tmp_path):
    p = subprocess.run([program("rtrctl"), "-S", f"{tmp_path}/none", "-c", "x"], text=True,
                       stderr=subprocess.PIPE)
    assert p.returncode == 1 and "is rtrd running" in p.stderr


@pytest.mark.parametrize("groups,can", [([], False), (["rtr"], True), (["rtradmin"], True)])
def test_who_may_come_in(rtrd, groups, can):
    argv = ["setpriv", "--reuid", "65534", "--regid", "65534",
            *(["--groups", ",".join(groups)] if groups else ["--clear-groups"]),
            program("rtrctl"), "-S", rtrd.sock, "-c", "echo in"]
    p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, timeout=10)
    if can:
        assert (p.stdout, p.returncode) == ("in\n", 0), p.stderr
    else:
        assert p.returncode == 1 and "neither group rtr" in p.stderr
