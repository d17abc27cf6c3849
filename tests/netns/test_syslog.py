# SPDX-License-Identifier: GPL-2.0-or-later
"""The log to remote hosts: RFC 5424 by UDP and TCP in both families, losses counted, nothing waits."""
import re

import pytest

from nssock import sock
from router import CliError
from topo import router_lines, wait_for

LINE = re.compile(r"<(\d+)>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (\S+) rtrd (\d+) (\S+) "
                  r'\[origin software="rtr" swVersion="[^"]+"\]\[meta sequenceId="(\d+)"\] %(.*)', re.S)


@pytest.fixture
def topo(routers):
    topo = routers("basic")
    r1 = topo.r1
    r1.config(router_lines(topo.spec, "r1"))
    wait_for(lambda: not r1.ip("-6", "addr", "show", "tentative").stdout, what="own addresses")
    return topo


def parse(text):
    m = LINE.fullmatch(text)
    assert m, text
    return {"pri": int(m[1]), "host": m[3], "id": m[5], "seq": int(m[6]), "text": m[7]}


def udp_lines(s, until):
    """Datagrams up to the one that has the text; (line, sender) each."""
    got = []
    while not got or until not in got[-1][0]["text"]:
        data, peer = s.recvfrom(65535)
        got.append((parse(data.decode()), peer[0]))
    return got


class Stream:
    """Lines of a TCP connection, by counted octets."""

    def __init__(self, listener):
        self.conn, self.peer = listener.accept()
        self.conn.settimeout(3)
        self.rest = b""

    def line(self):
        while not re.match(rb"\d+ ", self.rest) or len(self.rest) < self.need():
            data = self.conn.recv(65536)
            assert data, "closed"
            self.rest += data
        n = self.need()
        head = self.rest.index(b" ") + 1
        text, self.rest = self.rest[head:n].decode(), self.rest[n:]
        return parse(text)

    def need(self):
        size, _ = self.rest.split(b" ", 1)
        return len(size) + 1 + int(size)

    def some(self, n):
        """n lines; none when the sender closed before the first."""
        if not self.rest:
            self.rest = self.conn.recv(65536)
        return [self.line() for _ in range(n)] if self.rest else []

    def until(self, text):
        lines = [self.line()]
        while text not in lines[-1]["text"]:
            lines.append(self.line())
        return lines


def host(r1, addr):
    return next(h for h in r1.json("show logging")["hosts"] if h["address"] == addr)


def test_udp_in_both_families(topo):
    r1, wan = topo.r1, topo.wan
    with sock(wan, "udp", "198.51.100.1", 514) as s4, sock(wan, "udp", "2001:db8:100::1", 5514) as s6:
        r1.config(["hostname edge", "logging host 198.51.100.1",
                   "logging host 2001:db8:100::1 transport udp port 5514"])
        r1.config(["hostname edge2"])
        for s in (s4, s6):
            got = [line for line, _ in udp_lines(s, "hostname edge2")]
            assert [g["seq"] for g in got] == list(range(1, len(got) + 1))
            last = got[-1]
            assert (last["pri"], last["host"], last["id"]) == (23 * 8 + 5, "edge2", "PARSER-5-CFGLOG_LOGGEDCMD")
            assert any(g["id"] == "SYS-6-LOGGINGHOST_STARTSTOP" for g in got)
        r1.config(["logging trap errors", "logging facility daemon", "logging origin-id box-7",
                   "logging source-interface eth0"])
        topo.lan.ip("link", "set", "eth0", "down")
        for s, source in ((s4, "10.0.1.1"), (s6, "2001:db8:1::1")):
            line, peer = udp_lines(s, "Interface eth0, changed state to down")[-1]
            assert (line["pri"], line["host"], line["id"]) == (3 * 8 + 3, "box-7", "LINK-3-UPDOWN")
            assert peer == source
        # Below the trap level nothing is sent.
        sent = host(r1, "198.51.100.1")["sent"]
        r1.config(["hostname edge3"])
        assert host(r1, "198.51.100.1")["sent"] == sent
    assert "Logging to 2001:db8:100::1 (udp port 5514, open)" in r1.cli("show logging")


def test_tcp_reconnects_and_counts_losses(topo):
    r1, wan = topo.r1, topo.wan
    listeners = {}
    for addr in ("198.51.100.1", "2001:db8:100::1"):
        listeners[addr] = sock(wan, "tcp", addr, 601)
        listeners[addr].listen(4)
    r1.config([f"logging host {addr} transport tcp" for addr in listeners])
    streams = {addr: Stream(s) for addr, s in listeners.items()}
    r1.config(["hostname one"])
    last = {addr: s.until("hostname one") and s.until("CONFIG_I")[-1]["seq"] for addr, s in streams.items()}
    assert streams["198.51.100.1"].peer[0] == "198.51.100.2"
    # The receiver dies: what is logged meanwhile waits, and comes by the next connection.
    for addr, s in streams.items():
        s.conn.close()
        wait_for(lambda a=addr: not host(r1, a)["open"], what="the end of the connection")
    r1.config(["hostname two"])
    for addr, s in listeners.items():
        lines = Stream(s).until("hostname two")
        assert [x["seq"] for x in lines] == list(range(last[addr] + 1, last[addr] + 1 + len(lines)))
        s.close()
    # No receiver any more: the queue is bounded, the rest is counted, and nobody waits.
    r1.config(["no logging host 198.51.100.1"])
    wait_for(lambda: not host(r1, "2001:db8:100::1")["open"], what="the end of the connection")
    r1.cli("configure terminal", *[f"hostname h{i}" for i in range(1100)], "end")
    state = host(r1, "2001:db8:100::1")
    assert state["queued"] == 1024 and state["lost"] > 50
    with sock(wan, "tcp", "2001:db8:100::1", 601) as s:
        s.listen(4)
        r1.config(["interface eth1", "no ipv6 address 2001:db8:100::2/64", "ipv6 address 2001:db8:100::2/64"])
        s.settimeout(10)
        lines = []
        while not lines:  # a connection is given up while addresses change
            stream = Stream(s)
            lines = stream.some(1024)
        seqs = [line["seq"] for line in lines]
    assert seqs == list(range(seqs[0], seqs[0] + 1024))
    wait_for(lambda: host(r1, "2001:db8:100::1")["sent"] >= 1024, what="sent")


def test_refusals(topo):
    r1 = topo.r1
    for line in ("logging host 198.51.100.1 vrf BLUE", "logging host 224.0.0.1", "logging host fe80::1"):
        with pytest.raises(CliError):
            r1.config([line])
    with pytest.raises(CliError, match="at most 8"):
        r1.config([f"logging host 10.9.9.{i}" for i in range(1, 10)])
    r1.config([f"no logging host 10.9.9.{i}" for i in range(1, 9)])
    # A host that cannot be reached holds up nothing, and says why.
    r1.config(["logging host 198.51.100.9 transport tcp", "logging source-interface nowhere0"])
    wait_for(lambda: "no such source address" in r1.cli("show logging"), what="the reason")
