# SPDX-License-Identifier: GPL-2.0-or-later
"""The policy on the fast plane: who decides about a flow, what a commit does to it, what is counted."""
import os
import signal

import pytest

from test_fastplane import (INTERNET, INTERNET6, Sink, addressed, fastpath_pid, flows, on_fast, planes, reason,
                            udp_stream)
from router import answers
from topo import wait_for

LINES = ["10 permit tcp any any eq 80", "20 permit udp any any eq 4000", "30 permit udp any any eq 4001 log",
         "40 deny udp any any eq 4002", "50 permit icmp any any", "60 permit udp any any eq 4003"]
LISTS = ["ip access-list extended OUT", *LINES, "exit", "ipv6 access-list OUT", *LINES, "exit",
         "interface eth1", "ip access-group OUT out", "ipv6 traffic-filter OUT out"]
BOTH = ((INTERNET, "ip access-list extended OUT"), (INTERNET6, "ipv6 access-list OUT"))


@pytest.fixture
def fast(routers):
    """lan -- r1 -- wan, a list out of eth1, both interfaces on the fast plane."""
    topo = routers("basic")
    addressed(topo.r1)
    topo.r1.config(LISTS)
    on_fast(topo.r1)
    topo.r1.wait_addresses()
    for dest in (INTERNET, INTERNET6):
        topo.lan.ping(dest)
    return topo


def hits(r1, dest):
    lists = r1.json("show ipv6 access-list" if ":" in dest else "show ip access-lists")
    return {e["seq"]: e["matches"] for a in lists if a["name"] == "OUT" for e in a["rules"]}


def test_who_decides(fast):
    """Plain permits and denies are the workers', what logs is the kernel's; each line counts once a connection."""
    r1, lan, wan = fast.r1, fast.lan, fast.wan
    wan.http_server()
    for dest, _ in BOTH:
        assert lan.curl(f"http://{f'[{dest}]' if ':' in dest else dest}/") == "hello from rtr\n"
        assert flows(r1, destination=dest, destination_port=80, path="express")
        sinks = {port: Sink(wan, port) for port in (4000, 4001, 4002)}
        senders = [udp_stream(lan, dest, 20, 1000, port) for port in sinks]
        assert [s.wait() for s in senders] == [0, 0, 0]
        got = {port: s.numbers() for port, s in sinks.items()}
        assert got == {4000: list(range(20)), 4001: list(range(20)), 4002: []}
        assert flows(r1, destination=dest, destination_port=4000)
        assert not [f for f in flows(r1, destination=dest, destination_port=4001) if f["path"] != "kernel"]
        n = hits(r1, dest)
        # A line that drops counts packets, one that permits connections.
        assert n[10] == 1 and n[40] == 20 and n[20] >= 1 and n[30] >= 1 and n[60] == 0, n
        assert r1.json("show drops")
    assert "what the fast plane dropped: show drops" in r1.cli("show firewall drops")


def test_commit_ends(fast):
    """A commit ends the flows that it denies, before it returns, and no other; what it says is what it did."""
    r1, lan, wan = fast.r1, fast.lan, fast.wan
    for dest, name in BOTH:
        kept, ended = Sink(wan, 4003), Sink(wan, 4000)
        senders = [udp_stream(lan, dest, 1500, 1000, port) for port in (4003, 4000)]
        for port in (4003, 4000):
            wait_for(lambda p=port: flows(r1, destination=dest, destination_port=p, path="express"), what="the flow")
        said = r1.config([name, "no 20"])
        assert "fast plane: " in said and ", 1 ended" in said, said
        assert not flows(r1, destination=dest, destination_port=4000)
        assert all(s.poll() is None for s in senders), "the flows ended before the commit"
        for s in senders:
            s.wait()
        assert kept.numbers() == list(range(1500))
        assert ended.numbers()[-1] < 1499
        r1.config([name, LINES[1]])


def test_nobody_judges(fast):
    """rtr-fastpath does not listen when the policy changes: rtrd itself stops XDP, and the kernel judges."""
    r1, lan, wan = fast.r1, fast.lan, fast.wan
    sink = Sink(wan)
    sender = udp_stream(lan, INTERNET, 4000, 1000)
    wait_for(lambda: flows(r1, destination_port=4000, path="express"), what="the flow on the express path")
    os.kill(fastpath_pid(r1), signal.SIGSTOP)
    said = r1.config([BOTH[0][1], "no 20"])
    assert "does not answer" in said, said
    assert sender.poll() is None, "the flow ended before the policy came"
    sender.wait()
    assert sink.numbers()[-1] < 3999, "a flow that the policy denies goes on"
    os.kill(fastpath_pid(r1), signal.SIGCONT)
    lan.ping(INTERNET)
    r1.config([BOTH[0][1], LINES[1]])
    wait_for(lambda: set(planes(r1).values()) == {"fast"}, what="the fast plane")


def test_another_process(fast):
    """kill -9: flows go on, and the next process judges by the same policy."""
    r1, lan, wan = fast.r1, fast.lan, fast.wan
    sink = Sink(wan)
    sender = udp_stream(lan, INTERNET, 2000, 1000)
    wait_for(lambda: flows(r1, destination_port=4000, path="express"), what="the flow on the express path")
    old = fastpath_pid(r1)
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: fastpath_pid(r1) not in (None, old), what="another process")
    on_fast(r1)
    sender.wait()
    assert len(sink.numbers()) >= 1990
    refused = Sink(wan, 4002)
    udp_stream(lan, INTERNET, 5, 1000, 4002).wait()
    assert not refused.numbers()
    wait_for(lambda: hits(r1, INTERNET)[40] == 5, what="hits of the new process")


def test_gate(fast):
    """A policy that workers cannot take is the kernel's alone."""
    r1, lan = fast.r1, fast.lan
    r1.config(["ip firewall timeout service udp 1003 9"])
    assert set(planes(r1).values()) == {"kernel"}
    assert "judges packets in passing" in reason(r1)
    lan.ping(INTERNET)
    r1.config(["no ip firewall timeout service udp 1003"])
    on_fast(r1)
    lan.ping(INTERNET)


def test_rtrd_again(fast):
    """kill -9 of rtrd: flows go on, and the next one finds policy and flows as they were."""
    r1, lan, wan = fast.r1, fast.lan, fast.wan
    sink = Sink(wan)
    sender = udp_stream(lan, INTERNET, 3000, 1000)
    wait_for(lambda: flows(r1, destination_port=4000, path="express"), what="the flow on the express path")
    r1.kill9(r1.daemon_pid())
    wait_for(lambda: answers(r1.instance), what="rtrd again")
    on_fast(r1)
    sender.wait()
    assert len(sink.numbers()) >= 2990
    sink = Sink(wan, 4003)
    sender = udp_stream(lan, INTERNET, 1500, 1000, 4003)
    wait_for(lambda: flows(r1, destination_port=4003, path="express"), what="another flow on the express path")
    said = r1.config([BOTH[0][1], "no 60"])
    assert ", 1 ended" in said, said
    sender.wait()
    assert sink.numbers()[-1] < 1499
