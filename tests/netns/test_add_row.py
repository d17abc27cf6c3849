# SPDX-License-Identifier: GPL-2.0-or-later
"""A row, a check and a plan in a file of their own (tests/lib/add_row.c), linked with the product,
are a line of the router in every respect; without that file there is no such line."""
from types import SimpleNamespace

import pytest

import router
from router import CliError, cli_socket, program, startup
from test_cli_pty import Terminal
from test_commit import settled
from topo import sh, wait_for

KNOB = "net.ipv4.igmp_max_memberships"


def with_the_row(name):
    return f"{router.build_dir()}/tests/lib/add_row_rtrd" if name == "rtrd" else program(name)


@pytest.fixture
def r1(topology, monkeypatch):
    if not router.built():
        pytest.skip("rtrd is not built")
    monkeypatch.setattr(router, "program", with_the_row)
    r1 = topology("basic").r1
    r1.start()
    wait_for(lambda: settled(r1), what="the empty configuration")
    return r1


def knob(r1):
    return int(r1.run("sysctl", "-n", KNOB).stdout)


def test_the_line_is_there_everywhere(r1):
    before = knob(r1)
    out = r1.cli("configure candidate", "demo a groups 30", "demo b groups 31", "show candidate diff", "commit", "end")
    assert "+demo a groups 30\n+demo b groups 31\n" in out
    assert knob(r1) == 31
    assert "\ndemo a groups 30\ndemo b groups 31\n" in "\n" + r1.cli("show running-config")
    assert r1.json("show running-config")["demo"] == [{"name": "a", "groups": 30}, {"name": "b", "groups": 31}]
    r1.cli("write memory")
    with open(startup(r1.folder)) as f:
        assert "demo = (" in f.read()
    with pytest.raises(CliError, match="demo c groups 5001: more than 5000 groups"):
        r1.config(["demo c groups 5001"])
    with pytest.raises(CliError, match="0 is out of range 1-10000"):
        r1.config(["demo c groups 0"])
    r1.config(["dem b gr 7"])
    assert knob(r1) == 30
    # Changed by other hands it is put right at the next look, and after a restart it stands.
    r1.restart()
    assert knob(r1) == 30 and "demo b groups 7" in r1.cli("show running-config")
    r1.config(["no demo a"])
    assert knob(r1) == 7
    r1.config(["no demo"])
    assert knob(r1) == before


def test_help_and_completion(r1, tmp_path):
    t = Terminal(SimpleNamespace(folder=str(tmp_path), sock=cli_socket(r1.instance)))
    try:
        t.expect("rtr#")
        t.type("terminal length 0\r").expect("rtr#")
        t.type("configure terminal\r").expect(r"config\)#")
        t.type("?").expect("demo +Multicast groups that a socket may join")
        t.type("demo x groups ?").expect("<1-10000>")
        t.type("\x15dem\t").expect("demo ")
        t.type("y gr\t").expect("groups ")
        t.type("9\r").expect(r"config\)#")
        assert knob(r1) == 9
    finally:
        t.close()


def test_the_manual_has_it():
    with_it = sh(with_the_row("rtrd"), "--print-manual").stdout
    assert "#### `demo <name> groups <groups>`" in with_it
    assert "Multicast groups that a socket may join." in with_it
    assert "demo" not in sh(program("rtrd"), "--print-manual").stdout


def test_the_product_has_no_such_line(routers):
    r1 = routers("basic").r1
    with pytest.raises(CliError, match="Invalid input"):
        r1.config(["demo a groups 30"])
