# SPDX-License-Identifier: GPL-2.0-or-later
"""Server names of TLS clients: real clients and servers, IPv4 and IPv6, allowed and denied names, a
hello in pieces, what is no TLS, a helper that dies."""
import os
import re
import signal
import socket
import ssl
import threading

import pytest

import topo
from clients import LAN, WAN, inside, make
from router import CliError
from test_firewall import set_list

PORT = 443


@pytest.fixture(scope="module")
def cert(tmp_path_factory):
    d = tmp_path_factory.mktemp("tls")
    topo.sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-days", "2", "-subj", "/CN=test", "-keyout", str(d / "key"), "-out", str(d / "cert"))
    return d


class TlsServer:
    """Answers each client, in TLS, with the name that it asked for."""

    def __init__(self, node, cert):
        self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ctx.load_cert_chain(cert / "cert", cert / "key")
        self.ctx.sni_callback = lambda s, name, ctx: setattr(s, "asked", name)
        self.listeners = []
        for v in (4, 6):
            with inside(node):
                s = socket.socket(socket.AF_INET if v == 4 else socket.AF_INET6)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if v == 6:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.bind(("", PORT))
            s.listen(16)
            self.listeners.append(s)
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, listener):
        while True:
            try:
                s, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(s,), daemon=True).start()

    def answer(self, s):
        s.settimeout(10)
        try:
            t = self.ctx.wrap_socket(s, server_side=True)
            t.send((getattr(t, "asked", None) or "-").encode())
            t.recv(1)
        except OSError:
            pass
        s.close()

    def close(self):
        for s in self.listeners:
            s.shutdown(socket.SHUT_RDWR)
            s.close()


@pytest.fixture
def net(routers, cert):
    t = routers("basic")
    t.r1.config(topo.router_lines(t.spec, "r1"))
    topo.wait_for(lambda: t.lan.ping(WAN[6], 1, check=False) == 1, what="IPv6 through the router")
    assert t.lan.ping(WAN[4], 1) == 1
    t.server = TlsServer(t.wan, cert)
    yield t
    t.server.close()


def connect(node, v, timeout=1.0):
    s = make(node, WAN[v], socket.SOCK_STREAM)
    s.settimeout(timeout)
    s.connect((WAN[v], PORT))
    return s


def client():
    c = ssl.create_default_context()
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    return c


def ask(node, v, name, timeout=1.0):
    """The name as the server heard it; "rst", "silence"."""
    s = connect(node, v, timeout)
    try:
        with client().wrap_socket(s, server_hostname=name) as t:
            return t.recv(100).decode()
    except TimeoutError:
        return "silence"
    except ConnectionResetError:
        return "rst"
    finally:
        s.close()


def ask_in_pieces(node, v, name, cut):
    """The hello goes in segments of so many bytes, each one a packet. True: the server answers it."""
    o = ssl.MemoryBIO()
    t = client().wrap_bio(ssl.MemoryBIO(), o, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        t.do_handshake()
    s = connect(node, v)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = o.read()
    try:
        for k in range(0, len(data), cut):
            s.sendall(data[k:k + cut])
        return s.recv(1) == b"\x16"
    except ConnectionError:
        return False
    finally:
        s.close()


def helper(r1):
    out = topo.sh("pgrep", "-P", str(r1.proc.pid), "-x", "rtr-inspectd", check=False).stdout
    return [int(p) for p in out.split()]


def ready(r1):
    """Running, and the queue is its own, with packets whole."""
    def look():
        row = r1.run("cat", "/proc/net/netfilter/nfnetlink_queue", check=False).stdout.split()
        return helper(r1) and row[3:4] == ["2"]
    topo.wait_for(look, what="rtr-inspectd at its queue")


def counters(r1):
    return r1.json("show inspect")["counters"]


def lines(other="deny"):
    return ["10 reject tcp any any eq 443 server-name bad.example",
            "20 deny tcp any any eq 443 server-name *.evil.example",
            "30 permit tcp any any eq 443 server-name *.example",
            f"40 {other} tcp any any eq 443"]


@pytest.mark.parametrize("v", [4, 6])
@pytest.mark.parametrize("where", ["in", "out"])
def test_names(net, v, where):
    r1, lan = net.r1, net.lan
    set_list(r1, v, lines(), f"interface {'eth0' if where == 'in' else 'eth1'}", where)
    ready(r1)
    assert ask(lan, v, "www.good.example") == "www.good.example"
    assert ask(lan, v, "bad.example") == "rst"
    assert ask(lan, v, "x.evil.example", 0.3) == "silence"
    assert ask(lan, v, "other.test", 0.3) == "silence"
    assert ask(lan, v, None, 0.3) == "silence"
    assert ask_in_pieces(lan, v, "www.good.example", 100)
    assert not ask_in_pieces(lan, v, "bad.example", 100)
    # No TLS: the server hears nothing of it, and has nothing to say.
    s = connect(lan, v, 0.3)
    s.sendall(b"GET / HTTP/1.0\r\n\r\n")
    with pytest.raises(TimeoutError):
        s.recv(1)
    s.close()
    topo.wait_for(lambda: counters(r1)["names"] >= 6, what="figures")
    doc = r1.json("show inspect")
    hits = {o["line"]: o["connections"] for o in doc["lines"]}
    assert hits == {10: 2, 20: 1, 30: 2, 40: 3}, doc
    assert doc["state"] == "running" and doc["counters"]["joined"] == 2


@pytest.mark.parametrize("v", [4, 6])
def test_log(net, v):
    """A line that logs says which name it was, once, and what became of the connection."""
    r1, lan = net.r1, net.lan
    a, b = re.escape(LAN[v]), re.escape(WAN[v])
    set_list(r1, v, ["10 reject tcp any any eq 443 server-name bad.example log",
                     "20 permit tcp any any eq 443 server-name *.example log log-rate 2",
                     "30 deny tcp any any eq 443 log"], "interface eth0", "in")
    ready(r1)

    def logged(line, did, name):
        return re.findall(rf"list T {line} {did} tcp {a}\(\d+\) -> {b}\(443\), 1 packet \[eth0\] {name}",
                          r1.cli("show logging"))

    assert ask(lan, v, "bad.example") == "rst"
    for _ in range(4):
        assert ask(lan, v, "www.good.example") == "www.good.example"
    assert ask(lan, v, "other.test", 0.2) == "silence"
    assert ask(lan, v, None, 0.2) == "silence"
    topo.wait_for(lambda: logged(30, "denied", "other.test") and logged(30, "denied", "no server name"),
                  what="the last line's log")
    assert len(logged(10, "rejected", "bad.example")) == 1
    assert len(logged(20, "permitted", "www.good.example")) == 2
    assert "1 packet [eth0]\n" not in r1.cli("show logging")  # nothing before the name was known


def class_lines(v):
    """Bad names rejected, one logged; good ones inspected; the rest of port 443 dropped, by class-default."""
    kind = "ip access-list extended" if v == 4 else "ipv6 access-list"
    return [*(x for name, patterns in (("BAD", ("bad.example", "*.evil.example")), ("GOOD", ("*.example",)))
              for x in (f"{kind} {name}", *(f"permit tcp any any eq 443 server-name {p}" for p in patterns))),
            f"{kind} PLAIN", "permit tcp any any eq 80", "exit",
            *(x for name in ("BAD", "GOOD", "PLAIN")
              for x in (f"class-map type inspect match-any {name}", f"match access-group name {name}")),
            "policy-map type inspect OUT", "class type inspect PLAIN", "inspect", "class type inspect BAD", "reject",
            "class type inspect GOOD", "inspect", "class type inspect class-default", "drop log", "exit", "exit",
            "zone security INSIDE", "zone security OUTSIDE", "zone-pair security IN-OUT source INSIDE destination OUTSIDE",
            "service-policy type inspect OUT", "interface eth0", "zone-member security INSIDE",
            "interface eth1", "zone-member security OUTSIDE"]


@pytest.mark.parametrize("v", [4, 6])
def test_classes_of_a_zone_pair(net, v):
    r1, lan = net.r1, net.lan
    r1.config(class_lines(v))
    ready(r1)
    assert ask(lan, v, "www.good.example") == "www.good.example"
    assert ask(lan, v, "bad.example") == "rst"
    assert ask(lan, v, "x.evil.example") == "rst"
    assert ask(lan, v, "other.test", 0.3) == "silence"
    assert ask(lan, v, None, 0.3) == "silence"
    assert ask_in_pieces(lan, v, "www.good.example", 100)
    topo.wait_for(lambda: re.search(r"list IN-OUT class class-default denied tcp .* \[eth0\] other.test",
                                    r1.cli("show logging")), what="the log of class-default")
    topo.wait_for(lambda: counters(r1)["names"] >= 5, what="figures")
    hits = {(o["class"], o["name"]): o["connections"] for o in r1.json("show inspect")["lines"]}
    assert hits["GOOD", "*.example"] == 2 and hits["BAD", "bad.example"] == 2, hits
    (pair,) = r1.json("show policy-map type inspect zone-pair")
    assert {k["class"]: k["matches"] for k in pair["classes"]} == {"PLAIN": 0, "BAD": 2, "GOOD": 2, "class-default": 2}
    # A connection that was let in is of its class, and ends when a commit says otherwise.
    s = connect(lan, v)
    t = client().wrap_socket(s, server_hostname="www.good.example")
    assert t.recv(100) == b"www.good.example"
    (e,) = r1.json(f"show conntrack ipv{v} dport 443 state established zone INSIDE")
    assert (e["zone_pair"], e["rule"]) == ("IN-OUT", "IN-OUT class GOOD")
    out = r1.config(["policy-map type inspect OUT", "class type inspect GOOD", "drop"])
    assert re.search(r", [1-9]\d* ended", out), out
    assert ask(lan, v, "www.good.example", 0.3) == "silence"
    t.close()
    s.close()
    # An access list and the pair each have a say.
    r1.config(["policy-map type inspect OUT", "class type inspect GOOD", "inspect"])
    set_list(r1, v, ["10 deny tcp any any eq 443 server-name www.good.example", "20 permit tcp any any"], "interface eth0", "in")
    ready(r1)
    assert ask(lan, v, "www.good.example", 0.3) == "silence"
    assert ask(lan, v, "other.example") == "other.example"
    assert ask(lan, v, "bad.example") == "rst"


@pytest.mark.parametrize("how", ["fail-closed", "fail-open"])
def test_helper_killed(net, how):
    """Connections that are decided go on; new ones stand still or pass; the next helper reads again."""
    r1, lan = net.r1, net.lan
    set_list(r1, 4, lines())
    r1.config([f"ip inspect tls {how}"])
    ready(r1)
    s = connect(lan, 4)
    t = client().wrap_socket(s, server_hostname="www.good.example")
    # Stopped, it holds its queue and takes nothing.
    pid = helper(r1)[0]
    os.kill(pid, signal.SIGSTOP)
    waiting = make(lan, WAN[4], socket.SOCK_STREAM)
    waiting.settimeout(0.2)
    with pytest.raises(TimeoutError):
        waiting.connect((WAN[4], PORT))
    assert t.recv(100) == b"www.good.example"
    os.kill(pid, signal.SIGKILL)
    topo.wait_for(lambda: helper(r1) not in ([], [pid]), what="another rtr-inspectd")
    ready(r1)
    assert ask(lan, 4, "bad.example", 3) == "rst"
    assert ask(lan, 4, "www.good.example", 3) == "www.good.example"
    assert "INSPECTD" in r1.cli("show logging")
    for x in (t, s, waiting):
        x.close()


def test_commit(net):
    """A commit ends connections that were judged by a name that it says something else about, and
    leaves the others; what cannot be exact is refused."""
    r1, lan = net.r1, net.lan
    set_list(r1, 4, lines("permit"))
    ready(r1)
    s = connect(lan, 4)
    t = client().wrap_socket(s, server_hostname="www.good.example")
    assert t.recv(100) == b"www.good.example"
    r1.config(["ip access-list extended T", "50 permit udp any any"])
    t.send(b"x")
    r1.config(["ip access-list extended T", "25 deny tcp any any eq 443 server-name *.good.example"])
    assert ask(lan, 4, "www.good.example", 0.3) == "silence"
    assert ask(lan, 4, "example.test") == "example.test"
    for bad, why in [("60 permit tcp any any server-name A.b", "small letters"),
                     ("60 permit udp any any eq 443 server-name a.b", "protocol tcp"),
                     ("60 permit tcp any any server-name a.b helper ftp", "no limit or helper"),
                     ("15 permit tcp host 10.0.1.10 any eq 443", "takes a part")]:
        with pytest.raises(CliError, match=why):
            r1.config(["ip access-list extended T", bad])
    for x in (t, s):
        x.close()
