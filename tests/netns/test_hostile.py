# SPDX-License-Identifier: GPL-2.0-or-later
"""Operators who mean harm or hang up at the wrong moment: rtrd answers the others as before."""

import os
import signal
import socket
import struct

import pytest

from router import CliError, cli_socket, startup
from test_cli_pty import Terminal
from topo import wait_for


@pytest.fixture
def r1(routers):
    return routers("basic").r1


@pytest.mark.parametrize("regex", [
    "((((a{1,200}){1,200}){1,200}){1,200}){1,200}",
    "(" * 14 + "a" + "+)" * 14,
    "(((a{11}){12}){13})",
    "a{99999}",
    r"(.*)\1",
    "a" * 1000,
])
def test_a_costly_expression_is_refused_at_once(r1, regex):
    pid = r1.daemon_pid()
    with pytest.raises(CliError) as e:
        r1.cli(f"show running-config | include {regex}")
    assert "the regular expression" in e.value.output
    assert r1.daemon_pid() == pid


def test_usual_expressions_are_taken(r1):
    r1.config(["interface eth0", "ip address 10.0.1.1/24"])
    for regex in [r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}", "^ ip +address", "address|route",
                  "(ip|ipv6) add[r]+ess [[:digit:]]+", "[^]{]p{1,2} *add"]:
        assert "ip address 10.0.1.1" in r1.cli(f"show running-config | include {regex}"), regex


def message(kind, numbers, text):
    body = struct.pack(f"<BBH{len(numbers)}II", kind, len(numbers), 1, *numbers, len(text)) + text + b"\0"
    return struct.pack("<I", len(body)) + body


def exec_and_hang_up(r1, command):
    """The command and the end of the connection are there when rtrd first looks."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(cli_socket(r1.instance))
        s.sendall(message(1, [1, 0, 0, 80, 24], b"test") + message(2, [0], command.encode()))


def test_a_hang_up_during_rollback_leaves_the_rollback_and_rtrd(r1):
    r1.config(["hostname before"])
    r1.config(["hostname after", *(f"ip route 10.9.{i}.0/24 Null0" for i in range(200))])
    wait_for(lambda: len(r1.json("show archive")) == 2, what="two revisions")
    pid = r1.daemon_pid()
    # 2 is the one before: to and fro.
    for name in ["before", "after", "before", "after"]:
        exec_and_hang_up(r1, "rollback 2")
        wait_for(lambda: r1.json("show version")["hostname"] == name, what=f"hostname {name}")
        wait_for(lambda: len(r1.json("show users")) == 1, what="the end of the session")
        assert r1.json("show archive")[0]["comment"] == "rollback"
    assert r1.daemon_pid() == pid
    assert "Configured from rollback by root" in r1.cli("show logging")


def test_a_mistyped_reload_does_not_touch_the_scheduled_one(r1):
    r1.cli("write memory")
    r1.cli("reload in 60")
    with pytest.raises(CliError):
        r1.cli("reload in foo")
    assert r1.json("show reload")["scheduled_in_sec"] > 3500
    assert "cancelled" in r1.cli("reload cancel")


def test_reload_without_a_startup_configuration_says_so(r1):
    r1.config(["hostname unsaved"])
    if os.path.exists(startup(r1.folder)):
        os.unlink(startup(r1.folder))
    with pytest.raises(CliError) as e:
        r1.cli("reload")
    assert "startup" in e.value.output
    assert "unsaved" in r1.cli("show running-config")


def test_ctrl_c_at_the_question_does_nothing(r1):
    r1.config(["hostname unsaved"])
    r1.sock = cli_socket(r1.instance)
    t = Terminal(r1)
    t.type("reload in 5\r").expect(r"\[yes/no\]: ")
    t.type("what\r").expect(r"answer 'yes' or 'no'.*\[yes/no\]: ")
    t.type("\x03")
    t.type("show reload\r").expect("No reload is scheduled")
    os.kill(t.pid, signal.SIGKILL)
    os.waitpid(t.pid, 0)
    os.close(t.fd)


def test_a_confirm_file_of_another_boot_is_not_taken(r1):
    r1.config(["hostname saved"])
    r1.cli("write memory", "configure candidate", "hostname trial", "commit confirmed 60", "end")
    r1.stop()
    # What a namespace or a container made anew looks like.
    for name in ["running", "confirm"]:
        path = f"/run/rtr/{r1.instance}/{name}"
        with open(path) as f:
            text = f.read()
        with open(path, "w") as f:
            f.write(text.replace("netns ", "netns 1"))
    r1.start()
    wait_for(lambda: r1.json("show version")["hostname"] == "saved", what="the startup configuration")
    r1.config(["hostname free"])


def test_a_pipe_is_no_configuration_and_does_not_stop_rtrd(r1):
    fifo = f"{r1.folder}/fifo"
    os.mkfifo(fifo)
    os.chmod(fifo, 0o666)
    with pytest.raises(CliError):
        r1.cli(f"configure replace {fifo}")
