# SPDX-License-Identifier: GPL-2.0-or-later
"""Operators who mean harm or hang up at the wrong moment: rtrd answers the others as before."""

import pytest

from router import CliError


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
