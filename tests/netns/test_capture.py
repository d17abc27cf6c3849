# SPDX-License-Identifier: GPL-2.0-or-later
"""Captures: what is exported is what was on the wire; limits, rotation, a full disk, killed programs; traffic
never notices."""
import os
import signal
import socket
import subprocess

import pytest
from scapy.utils import RawPcapNgReader

import topo
from clients import LAN, WAN, inside, make
from router import CliError, program, rtrctl

PORT = 4000
HEAD = {4: 14 + 20 + 8, 6: 14 + 40 + 8}


@pytest.fixture
def net(routers):
    t = routers("basic")
    # Without the seconds of duplicate address detection.
    t.r1.config([x for line in topo.router_lines(t.spec, "r1")
                 for x in ([line, "ipv6 nd dad attempts 0"] if line.startswith("interface") else [line])])
    topo.wait_for(lambda: t.lan.ping(WAN[6], 1, timeout=0.2, check=False) == 1, what="IPv6 through the router")
    assert t.lan.ping(WAN[4], 1) == 1
    t.sinks = {v: sink(t.wan, v) for v in (4, 6)}
    yield t
    for s in t.sinks.values():
        s.close()


def sink(node, v):
    """Takes datagrams of PORT; nothing is lost in it."""
    s = make(node, WAN[v], socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)  # SO_RCVBUFFORCE
    s.bind((WAN[v], PORT))
    s.settimeout(5)
    return s


def send(t, v, payloads, arrive=True):
    """Datagrams from lan to wan; each arrived before this returns."""
    with inside(t.lan):
        s = socket.socket(socket.AF_INET if v == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
    for i, p in enumerate(payloads):
        s.sendto(p, (WAN[v], PORT))
        # Its queue of a thousand is the receiver's, not the wire's.
        if arrive and i % 200 == 199:
            for _ in range(200):
                t.sinks[v].recv(2048)
    if arrive:
        for _ in range(len(payloads) % 200):
            t.sinks[v].recv(2048)
    s.close()


def numbered(n, start=0, size=100):
    return [f"{i:08d}".encode().ljust(size, b".") for i in range(start, start + n)]


def folder(r1):
    return f"{r1.folder}/state/{r1.instance}/captures"


def read(r1, name):
    """The frames of an export, each with its length on the wire; tcpdump can read it, too."""
    path = f"{folder(r1)}/{name}.pcapng"
    p = subprocess.run(["tcpdump", "-nr", path], capture_output=True, text=True, check=False)
    assert p.returncode == 0 and "truncated" not in p.stderr and "bad dump" not in p.stderr, p.stderr
    f = RawPcapNgReader(path)
    frames = [(data, meta.wirelen) for data, meta in f]
    f.close()
    assert len(frames) == len(p.stdout.splitlines())
    return frames


def show(r1, name):
    return r1.json(f"show monitor capture {name}")["captures"][0]


def until(r1, name, **want):
    def look():
        o = show(r1, name)
        return all(o.get(k) == v for k, v in want.items())
    try:
        topo.wait_for(look, what=f"{name} to be {want}")
    except AssertionError as e:
        raise AssertionError(f"{e}: {show(r1, name)}") from None
    return show(r1, name)


def captured(pid):
    return [int(p) for p in topo.sh("pgrep", "-P", str(pid), "-x", "rtr-captured", check=False).stdout.split()]


def exact_of(net, v):
    r1, proto = net.r1, "ip" if v == 4 else "ip6"
    r1.cli(f"monitor capture IN interface eth0 in match {proto} and udp port {PORT}",
           f"monitor capture OUT interface eth1 out match udp port {PORT}",
           f"monitor capture BACK interface eth1 in match udp port {PORT}",
           f"monitor capture SNAP interface eth0 snap-length 64 match udp port {PORT}",
           f"monitor capture NONE interface eth0 match udp port {PORT + 1}",
           "monitor capture IN start", "monitor capture OUT start", "monitor capture BACK start",
           "monitor capture SNAP start", "monitor capture NONE start")
    sent = numbered(300, size=1200)
    send(net, v, sent)
    for name, n in (("IN", 300), ("OUT", 300), ("BACK", 0), ("SNAP", 300), ("NONE", 0)):
        assert f"Captured {n}, dropped by kernel 0" in r1.cli(f"monitor capture {name} stop")
        assert f"{n} packets" in r1.cli(f"monitor capture {name} export {name}")
    for name in ("IN", "OUT"):
        frames = read(r1, name)
        assert [f[HEAD[v]:] for f, _ in frames] == sent
        hops = [f[14 + (8 if v == 4 else 7)] for f, _ in frames]
        assert set(hops) == {64 if name == "IN" else 63}
    assert {(len(f), n) for f, n in read(r1, "SNAP")} == {(64, HEAD[v] + 1200)}
    assert read(r1, "BACK") == read(r1, "NONE") == []
    lines = r1.json("show monitor capture OUT dump")
    text = r1.cli("show monitor capture OUT dump packets 3").splitlines()
    ends = f"{LAN[4]}:" if v == 4 else f"[{LAN[6]}]:"
    assert len(lines) == 300 and len(text) == 3
    assert {o["direction"] for o in lines} == {"out"} and {o["bytes"] for o in lines} == {HEAD[v] + 1200}
    assert all(o["packet"].startswith(f"udp {ends}") and ", length 1200 " in o["packet"] for o in lines)
    assert " out udp " in text[0] and text[0].endswith(f"({HEAD[v] + 1200} bytes)")
    with pytest.raises(CliError, match="File exists"):
        r1.cli("monitor capture IN export IN")
    assert {o["file"] for o in r1.json("show monitor capture")["exports"]} >= {"IN.pcapng", "OUT.pcapng"}
    r1.cli("clear monitor capture export IN", "no monitor capture IN")
    assert not [f for f in os.listdir(folder(r1)) if "IN" in f]
    r1.cli(*(f"no monitor capture {n}" for n in ("OUT", "BACK", "SNAP", "NONE")),
           *(f"clear monitor capture export {n}" for n in ("OUT", "BACK", "SNAP", "NONE")))
    assert os.listdir(folder(r1)) == []


def test_exact(net):
    """What leaves the exports is what was sent, in order, whole; direction, filter and snap length hold."""
    for v in (4, 6):
        exact_of(net, v)


def test_limits(net):
    """Each ends the capture at its mark and says so; rotation keeps the newest within the size."""
    r1 = net.r1
    r1.cli("monitor capture P interface eth0 in match udp limit packets 7",
           "monitor capture S interface eth0 in limit size 1 match udp",
           "monitor capture R interface eth0 in match udp limit size 1 rotate",
           "monitor capture T interface eth0 limit duration 1 match udp",
           *(f"monitor capture {n} start" for n in "PSRT"))
    sent = numbered(2500, size=900)
    send(net, 4, sent)
    p = until(r1, "P", state="stopped")
    assert (p["reason"], p["captured"], p["stored"]) == ("limit of packets reached", 7, 7)
    s = until(r1, "S", state="stopped")
    assert s["reason"] == "limit of size reached" and 1000000 < s["stored_bytes"] <= 1 << 20
    until(r1, "R", captured=2500)
    r1.cli("monitor capture R stop")
    r = show(r1, "R")
    assert r["stored"] + r["rotated_away"] == 2500 and 3 << 18 <= r["stored_bytes"] <= 1 << 20
    assert until(r1, "T", state="stopped")["reason"] == "limit of duration reached"
    for n, frames in (("P", sent[:7]), ("S", sent[:s["stored"]]), ("R", sent[-r["stored"]:])):
        r1.cli(f"monitor capture {n} export {n}")
        assert [f[HEAD[4]:] for f, _ in read(r1, n)] == frames, n
    # Anew: what it held is gone.
    r1.cli("monitor capture P start")
    send(net, 4, numbered(3, 5000))
    until(r1, "P", captured=3)
    r1.cli("monitor capture P clear")
    send(net, 4, numbered(7, 6000))
    assert until(r1, "P", state="stopped")["stored"] == 7


REFUSED = [
    ("A interface eth0 match tcp prot 80", 'wrong at character 5, "prot"'),
    ("A interface eth0 match host no.such.name", 'character 6, "no.such.name": unknown host'),
    ("A interface eth0 match (tcp or udp", "ends too early"),
    ("A interface eth0 match tcp limit packets many", "a limit needs its number"),
    ("A interface eth9 match tcp", "no such interface"),
    ("Brief interface eth0 match tcp", "would be taken for"),
    ("../A interface eth0 match tcp", "other than letters"),
    ("A interface eth0 match tcp limit size 1025", "1 to 1024"),
    ("A start", "There is no capture A"),
]


def test_refused(net):
    r1 = net.r1
    for line, words in REFUSED:
        with pytest.raises(CliError, match=words):
            r1.cli(f"monitor capture {line}")
    assert r1.json("show monitor capture")["captures"] == []
    r1.cli("monitor capture OK interface eth0 match any")
    for file in ("../x", ".x", "a/b"):
        with pytest.raises(CliError, match="A file name is made of"):
            r1.cli(f"monitor capture OK export {file}")
    with pytest.raises(CliError, match="nothing is captured"):
        r1.cli("monitor capture OK export x")
    assert [f for f in os.listdir(folder(r1)) if "OK" not in f] == []


def test_not_for_readers(net):
    """Packets are for rtradmin: the commands, and the folder."""
    r1 = net.r1
    r1.cli("monitor capture A interface eth0 match any")
    rtr = topo.sh("id", "-g", "rtr").stdout.strip()
    admin = topo.sh("getent", "group", "rtradmin").stdout.split(":")[2]
    for line in ("A start", "A export x", "F interface eth0 match any", "A stop"):
        assert "monitor capture" in r1.cli(f"monitor capture {line}", check=False, user=(4242, rtr))
    refused = r1.cli("monitor capture A start", "show monitor capture A dump", check=False, user=(4242, rtr))
    assert refused.count("Invalid input") + refused.count("enable") + refused.count("% ") >= 2
    assert "Capture A" in r1.cli("show monitor capture A", user=(4242, rtr))
    assert show(r1, "A")["state"] == "defined"
    r1.cli("enable", "monitor capture A start", "monitor capture A stop", "monitor capture A export x", user=(4242, admin))
    for group, ok in ((rtr, False), (admin, True)):
        p = subprocess.run(["setpriv", "--reuid=4242", f"--regid={group}", "--clear-groups", "cat",
                            f"{folder(r1)}/x.pcapng"], capture_output=True, check=False)
        assert (p.returncode == 0) == ok, p.stderr


def test_load(net):
    """Eight captures at once, small ones that rotate and large ones: the router forwards every packet, and
    every packet is captured or counted as dropped by the kernel."""
    r1 = net.r1
    names = [f"C{i}" for i in range(8)]
    for i, n in enumerate(names):
        r1.cli(f"monitor capture {n} interface eth{i % 2} match udp port {PORT} limit size {1 if i < 6 else 64} rotate",
               f"monitor capture {n} start")
    with pytest.raises(CliError, match="At most 8"):
        r1.cli("monitor capture X interface eth0 match any")
    before = {d: dropped(r1, d) for d in ("eth0", "eth1")}
    net.wan.iperf3_server()
    load = subprocess.Popen(net.lan.argv("iperf3", "-c", WAN[4], "-t", "1", "-P", "2"), stdout=subprocess.DEVNULL)
    send(net, 6, numbered(6000, size=1000))
    assert load.wait(20) == 0
    send(net, 4, numbered(4000, size=1000))
    assert {d: dropped(r1, d) for d in before} == before
    for n in names:
        r1.cli(f"monitor capture {n} stop")
        o = show(r1, n)
        assert o["captured"] == 10000 - o["dropped_by_kernel"], o
        assert o["stored"] + o["rotated_away"] == o["captured"], o
    assert r1.daemon_pid() and net.lan.ping(WAN[4], 1) == 1


def dropped(r1, dev):
    s = r1.ip_json("-s", "link", "show", "dev", dev)[0]["stats64"]
    return s["rx"]["dropped"], s["tx"]["dropped"], s["rx"]["errors"]


def test_killed(net):
    """rtr-captured or rtrd dies: what was written is there, a capture is stopped and says why."""
    r1 = net.r1
    r1.cli("monitor capture A interface eth0 in match udp", "monitor capture A start")
    send(net, 4, numbered(50))
    until(r1, "A", stored=50)
    os.kill(captured(r1.proc.pid)[0], signal.SIGKILL)
    assert until(r1, "A", state="stopped")["reason"] == "rtr-captured ended"
    assert "BUFCAP-4-DISABLE" in r1.cli("show logging")
    assert len(r1.json("show monitor capture A dump")) == 50
    r1.cli("monitor capture A start")
    send(net, 4, numbered(60))
    until(r1, "A", stored=60)
    r1.kill9(r1.daemon_pid())
    topo.wait_for(lambda: "captures" in rtrctl(r1.instance, ["show monitor capture | json"], check=False),
                  what="rtrd again")
    o = until(r1, "A", state="stopped", stored=60)
    assert o["reason"] == "rtrd was started again"
    r1.cli("monitor capture A export A")
    assert [f[HEAD[4]:] for f, _ in read(r1, "A")] == numbered(60)
    r1.cli("no monitor capture A")
    topo.wait_for(lambda: not captured(r1.proc.pid), what="the end of rtr-captured, which has nothing to do")


def test_stop_by_several(net):
    """Each who asks for the end is answered; one who goes away before does not leave it running for ever."""
    r1 = net.r1
    r1.cli("monitor capture A interface eth0 in match udp", "monitor capture A start")
    argv = [program("rtrctl"), "-N", r1.instance, "-c", "monitor capture A stop"]

    def unread(pid):
        lines = [x for x in r1.run("ss", "-xnp").stdout.splitlines() if f"pid={pid},fd=3)" in x]
        return int(lines[0].split()[2])

    def stops(n):
        # None of them is answered before all have asked.
        pid, ps = captured(r1.proc.pid)[0], []
        os.kill(pid, signal.SIGSTOP)
        for _ in range(n):
            before = unread(pid)
            ps.append(subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
            topo.wait_for(lambda: unread(pid) > before, what="the request")
        return pid, ps

    pid, ps = stops(3)
    os.kill(pid, signal.SIGCONT)
    assert [p.communicate(timeout=10)[0] for p in ps] == ["Captured 0, dropped by kernel 0\n"] * 3
    r1.cli("monitor capture A start")
    pid, ps = stops(1)
    ps[0].kill()
    ps[0].wait()
    os.kill(pid, signal.SIGCONT)
    assert until(r1, "A", state="stopped")["reason"]


def test_interface_goes(net):
    r1 = net.r1
    r1.run("ip", "link", "add", "veth8", "type", "veth", "peer", "veth9")
    topo.wait_for(lambda: "veth8" in r1.cli("show interfaces veth8", check=False), what="the interface")
    r1.cli("monitor capture A interface veth8 match any", "monitor capture A start")
    r1.run("ip", "link", "set", "veth8", "up")
    r1.run("ip", "link", "set", "veth9", "up")
    r1.run("ip", "link", "set", "veth8", "down")
    assert show(r1, "A")["state"] == "active"
    r1.run("ip", "link", "del", "veth8")
    assert until(r1, "A", state="stopped")["reason"] == "the interface is gone"
    with pytest.raises(CliError, match="no such interface"):
        r1.cli("monitor capture A start")


def test_tagged(net):
    """VLAN tags, which the kernel takes out, are in the file; a filter with `vlan` finds them."""
    r1 = net.r1
    r1.cli("monitor capture V interface eth0 in match vlan 7 and udp",
           "monitor capture W interface eth0 in match vlan 8", "monitor capture U interface eth0 in match udp port 9",
           *(f"monitor capture {n} start" for n in "VWU"))
    mac = bytes.fromhex(r1.ip_json("link", "show", "dev", "eth0")[0]["address"].replace(":", ""))
    frame = (mac + b"\x02\0\0\0\0\1" + b"\x81\0\0\7" + b"\x08\0" + bytes.fromhex("4500001c000100004011") + b"\0\0" +
             bytes([10, 0, 1, 10, 10, 0, 1, 1]) + bytes.fromhex("1000000900080000")).ljust(64, b"\0")
    with inside(net.lan):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind(("eth0", 0))
    s.send(frame)
    s.close()
    until(r1, "V", captured=1)
    until(r1, "U", captured=1)
    for n in "VWU":
        r1.cli(f"monitor capture {n} stop", f"monitor capture {n} export {n}")
    assert [f for f, _ in read(r1, "V")] == [f for f, _ in read(r1, "U")] == [frame]
    assert read(r1, "W") == []
    assert r1.json("show monitor capture V dump")[0]["packet"].startswith("vlan 7 udp 10.0.1.10:4096 > ")


def test_disk(topology):
    """A capture does not start without room, and one that meets a full disk ends with a file that can be read."""
    t = topology("basic")
    r1 = t.r1
    os.makedirs(folder(r1))
    topo.sh("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder(r1))
    try:
        r1.start(topo.router_lines(t.spec, "r1"))
        assert t.lan.ping(WAN[4], 1) == 1
        t.sinks = {4: sink(t.wan, 4)}
        with pytest.raises(CliError, match="may take 10 megabytes, but 3 are free"):
            r1.cli("monitor capture A interface eth0 match any", "monitor capture A start")
        r1.cli("monitor capture F interface eth0 in limit size 2 match udp", "monitor capture F start")
        send(t, 4, numbered(100))
        until(r1, "F", stored=100)
        fd = os.open(f"{folder(r1)}/other", os.O_CREAT | os.O_WRONLY)
        with pytest.raises(OSError, match="No space"):
            while True:
                os.write(fd, b"x" * 4096)
        os.close(fd)
        send(t, 4, numbered(1400, 100, 1000))
        o = until(r1, "F", state="stopped")
        assert (o["reason"], o["error"]) == ("the file could not be written", "No space left on device")
        assert o["stored"] >= 100
        with pytest.raises(CliError, match="megabytes are free"):
            r1.cli("monitor capture F export F")
        os.unlink(f"{folder(r1)}/other")
        r1.cli("monitor capture F export F")
        frames = [f[HEAD[4]:] for f, _ in read(r1, "F")]
        assert len(frames) == o["stored"] and frames[:100] == numbered(100)
        t.sinks[4].close()
    finally:
        r1.stop()
        topo.sh("umount", folder(r1))
