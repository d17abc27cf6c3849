# SPDX-License-Identifier: GPL-2.0-or-later
"""The fast plane end to end: what it forwards is what the kernel would, and every frame is accounted for."""
import array
import ctypes
import os
import shutil
import signal
import socket
import time

import pytest

import clients
from router import Router
from topo import wait_for

LAN, INTERNET, INTERNET6 = "10.0.1.10", "203.0.113.10", "2001:db8:203::10"
R1_LAN, R1_LAN6 = "10.0.1.1", "2001:db8:1::1"


def addressed(r1):
    r1.config(["interface eth0", "ip address 10.0.1.1/24", "ipv6 address 2001:db8:1::1/64", "dataplane fast", "exit",
               "interface eth1", "ip address 198.51.100.2/24", "ipv6 address 2001:db8:100::2/64", "dataplane fast",
               "exit", "ip route 0.0.0.0/0 198.51.100.1", "ipv6 route ::/0 2001:db8:100::1"])


def planes(r1):
    return {i["name"]: i["plane"] for i in r1.json("show dataplane interfaces")}


def reason(r1, name="eth0"):
    return next(i["reason"] for i in r1.json("show dataplane interfaces") if i["name"] == name)


def on_fast(r1):
    try:
        wait_for(lambda: set(planes(r1).values()) == {"fast"}, timeout=20, what="both interfaces on the fast plane")
    except AssertionError as e:
        raise AssertionError(f"{e}\n{r1.cli('show dataplane interfaces')}\n{r1.cli('show logging')}") from None


def counters(r1):
    return {c["name"]: c for c in r1.json("show dataplane")["counters"]}


def total(r1, key):
    return sum(c[key] for c in counters(r1).values())


def by_workers(r1, lan, dest, n):
    """Pings that workers forward. One that gets no time for 50 ms leaves what is new to the kernel, as it shall."""
    def all_of_them():
        before = total(r1, "forwarded")
        lan.ping(dest, count=n)
        return total(r1, "forwarded") >= before + 2 * n
    wait_for(all_of_them, timeout=10, what="pings by the fast plane")


def flows(r1, **match):
    return [f for f in r1.json("show dataplane flows limit 10000")
            if all(f[k] == v for k, v in match.items())]


fastpath_pid = Router.fastpath_pid


@pytest.fixture
def fast(routers):
    """lan -- r1 -- wan with both interfaces of r1 on the fast plane, addresses settled."""
    topo = routers("basic")
    addressed(topo.r1)
    on_fast(topo.r1)
    topo.r1.wait_addresses()
    return topo


def lan_gate_mac(r1):
    return r1.ip_json("link", "show", "eth0")[0]["address"]


def ip_forwarded(r1, dest):
    """Packets that the kernel forwarded."""
    if ":" in dest:
        words = r1.run("cat", "/proc/net/snmp6").stdout.split()
        return int(words[words.index("Ip6OutForwDatagrams") + 1])
    names, values = [line.split() for line in r1.run("cat", "/proc/net/snmp").stdout.splitlines()[:2]]
    return int(values[names.index("ForwDatagrams")])


def test_forwards(fast):
    """ICMP by a worker; TCP by a worker and then by XDP; nothing of it by the kernel. The box answers for itself."""
    r1, lan, wan = fast.r1, fast.lan, fast.wan
    wan.http_server()
    wan.iperf3_server()
    for dest, host in ((INTERNET, INTERNET), (INTERNET6, f"[{INTERNET6}]")):
        lan.ping(dest)
        by_workers(r1, lan, dest, 10)
        kernel, express = ip_forwarded(r1, dest), total(r1, "express")
        for _ in range(5):
            assert lan.curl(f"http://{host}/") == "hello from rtr\n"
        assert flows(r1, destination=dest, destination_port=80, path="express")
        assert flows(r1, source=dest, source_port=80, path="express")
        result = lan.iperf3(dest, seconds=1)
        assert result["end"]["sum_received"]["bytes"] > 1e6
        assert total(r1, "express") > express + 500
        # A worker that got no time for 50 ms leaves new flows to the kernel, as it shall.
        assert ip_forwarded(r1, dest) - kernel < 50
    server = r1.popen("/usr/bin/python3", "-m", "http.server", "8080", "--bind", "::", stdout=-1, stderr=-1)
    wait_for(lambda: r1.run("ss", "-Hlnt", "sport = :8080").stdout.strip(), what="a listener")
    for box in (R1_LAN, R1_LAN6):
        lan.ping(box)
        assert "Directory" in lan.curl(f"http://{f'[{box}]' if ':' in box else box}:8080/")
    server.kill()
    server.communicate()


def test_what_the_kernel_does(fast):
    """Hops that run out, packets that do not fit, no route, fragments, sources: the kernel's own answers."""
    lan, r1, wan = fast.lan, fast.r1, fast.wan
    lan.ping(INTERNET)
    out = lan.run("ping", "-n", "-c", "1", "-W", "2", "-t", "1", INTERNET, check=False).stdout
    assert f"From {R1_LAN} " in out and "Time to live exceeded" in out
    out = lan.run("ping", "-6", "-n", "-c", "1", "-W", "2", "-t", "1", INTERNET6, check=False).stdout
    assert "Time exceeded" in out
    lan.ping(INTERNET, args=("-s", "4000"))
    lan.ping(INTERNET6, args=("-s", "4000"))
    r1.config(["ip route 192.0.2.0/24 Null0", "no ip route 0.0.0.0/0 198.51.100.1",
               "ip route 203.0.113.0/24 198.51.100.1", "interface eth1", "mtu 1400"])
    wan.ip("link", "set", "eth0", "mtu", "1400")
    wait_for(lambda: lan.ping(INTERNET, count=1, timeout=1, check=False) == 1, what="the narrower way")
    out = lan.run("ping", "-n", "-c", "1", "-W", "2", "8.8.8.8", check=False).stdout
    assert f"From {R1_LAN} " in out and "Unreachable" in out
    assert lan.ping("192.0.2.1", count=2, timeout=1, check=False) == 0
    out = lan.run("ping", "-n", "-c", "1", "-W", "2", "-M", "do", "-s", "1472", INTERNET, check=False).stdout
    assert "mtu" in out.lower()
    lan.ping(INTERNET, args=("-s", "1472", "-M", "dont"))
    # rp_filter: a source that does not live there.
    r1.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/eth0/rp_filter")
    lan.ip("addr", "add", "192.0.2.77/32", "dev", "lo")
    with wan.tcpdump("eth0", "icmp and src 192.0.2.77") as got:
        lan.ping(INTERNET, count=3, timeout=1, check=False, args=("-I", "192.0.2.77"))
    assert not [p for p in got.packets if p]
    wait_for(lambda: counters(r1)["eth0"]["drops"].get("urpf", 0) >= 3, what="three counted drops")
    # Forwarding off: not a packet more, of known flows neither.
    wan.http_server()
    lan.curl(f"http://{INTERNET}/")
    r1.config(["no ip routing"])
    wait_for(lambda: lan.ping(INTERNET, count=1, timeout=1, check=False) == 0, what="no way")
    assert lan.run("curl", "-s", "--max-time", "1", f"http://{INTERNET}/", check=False).returncode
    lan.ping(INTERNET6)
    r1.config(["ip routing"])
    wait_for(lambda: lan.ping(INTERNET, count=1, timeout=1, check=False) == 1, what="the way back")


@pytest.mark.parametrize("dest", [INTERNET, INTERNET6])
def test_injects(fast, dest):
    """First packets of many flows at once: a worker sends them in calls of many frames; each arrives once, in order."""
    r1, lan, wan = fast.r1, fast.lan, fast.wan
    lan.ping(dest)
    server = clients.make(wan, dest, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
    server.bind((dest, 4000))
    server.settimeout(5)
    pid, n = fastpath_pid(r1), 150

    def injected():
        return r1.json("show dataplane workers")[0]["injected"]

    def burst():
        flows = [clients.make(lan, dest, socket.SOCK_DGRAM) for _ in range(n)]
        os.kill(pid, signal.SIGSTOP)  # what comes meanwhile waits in the ring, for 50 ms
        try:
            for number in (b"1", b"2"):
                for f in flows:
                    f.sendto(number, (dest, 4000))
        finally:
            os.kill(pid, signal.SIGCONT)
        got = {}
        for _ in range(2 * n):
            number, addr = server.recvfrom(100)
            got.setdefault(addr[1], []).append(number)
        for f in flows:
            assert got[f.getsockname()[1]] == [b"1", b"2"]
            f.close()
        return injected() > 0

    wait_for(burst, timeout=40, what="a burst that is injected")
    server.close()


def udp_stream(node, dest, n, gap_us, port=4000):
    """n numbered datagrams of one flow, a gap between them; the process."""
    code = ("import socket,sys,time\n"
            "s=socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET,socket.SOCK_DGRAM)\n"
            "s.bind(('::' if ':' in sys.argv[1] else '0.0.0.0',36000+int(sys.argv[4]))); s.connect((sys.argv[1],int(sys.argv[4])))\n"
            "for i in range(int(sys.argv[2])):\n"
            " s.send(i.to_bytes(4,'big')+bytes(60)); time.sleep(int(sys.argv[3])/1e6)\n")
    return node.popen("/usr/bin/python3", "-c", code, dest, str(n), str(gap_us), str(port))


class Sink:
    """Takes the datagrams of udp_stream, until none comes for `idle` seconds; .numbers in order of arrival."""

    def __init__(self, node, port=4000, idle=1):
        code = ("import socket,sys\n"
                "s=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM); s.bind(('::',int(sys.argv[1])))\n"
                "s.setsockopt(socket.SOL_SOCKET,socket.SO_RCVBUF,1<<22); s.settimeout(int(sys.argv[2]))\n"
                "try:\n"
                " while True: print(int.from_bytes(s.recv(100)[:4],'big'))\n"
                "except socket.timeout: pass\n")
        self.proc = node.popen("/usr/bin/python3", "-u", "-c", code, str(port), str(idle), stdout=-1)
        node.wait_listening(port, "udp")

    def numbers(self):
        return [int(line) for line in self.proc.communicate(timeout=60)[0].split()]


def test_killed(fast):
    """kill -9: flows that XDP knows go on, new ones take the kernel, then workers again."""
    r1, lan, wan = fast.r1, fast.lan, fast.wan
    sinks, senders = [], []
    for i, dest in enumerate((INTERNET, INTERNET6)):
        lan.ping(dest)
        sinks.append(Sink(wan, 4000 + i))
        senders.append(udp_stream(lan, dest, 1200, 1000, 4000 + i))
    for port in (4000, 4001):
        wait_for(lambda: flows(r1, destination_port=port, path="express"), what="the flow on the express path")
    r1.config(["track 1 fastpath", "exit"])
    wait_for(lambda: r1.json("show track 1")[0]["state"] == "Up", what="the tracked fast plane")
    pid = fastpath_pid(r1)
    os.kill(pid, signal.SIGKILL)
    # A known flow needs nobody; a new one takes the kernel when the heartbeat is 50 ms old.
    for dest in (INTERNET, INTERNET6):
        wait_for(lambda: lan.ping(dest, count=1, timeout=1, check=False) == 1, what="a new flow")
    for sender, sink in zip(senders, sinks):
        sender.wait()
        got = sink.numbers()
        assert got == sorted(got), "reordered"
        assert len(got) >= 1199, f"{1200 - len(got)} packets of a known flow lost"
    wait_for(lambda: fastpath_pid(r1) not in (None, pid), timeout=10, what="another rtr-fastpath")
    on_fast(r1)
    for i, dest in enumerate((INTERNET, INTERNET6)):
        assert flows(r1, destination_port=4000 + i, path="express"), "the flow was not adopted"
        by_workers(r1, lan, dest, 5)
    log = r1.cli("show logging")
    assert "FAST-3-ENDED" in log
    assert "1 fastpath Up -> Down" in log and "1 fastpath Down -> Up" in log
    # rtrd itself: the next one goes on with the same rtr-fastpath.
    pid, rtrd = fastpath_pid(r1), r1.daemon_pid()
    os.kill(rtrd, signal.SIGKILL)
    lan.ping(INTERNET, count=2)
    wait_for(lambda: r1.daemon_pid() not in (r1.proc.pid, rtrd), timeout=10, what="another rtrd")
    on_fast(r1)
    assert fastpath_pid(r1) == pid
    lan.ping(INTERNET)


def test_fib(fast):
    """`show dataplane fib` says what the mirror of the kernel's tables says."""
    r1 = fast.r1
    fast.lan.ping(INTERNET)
    way = r1.json(f"show dataplane fib {INTERNET}")
    assert (way["verdict"], way["interface"], way["next_hop"]) == ("forward", "eth1", "198.51.100.1")
    assert way["default"] and way["neighbour"] in ("resolved", "stale") and way["adjacency"]
    assert way["from_assumed"] and f" from {way['from']} (assumed): " in r1.cli(f"show dataplane fib {INTERNET}")
    assert f"{INTERNET} from eth0: " in r1.cli(f"show dataplane fib {INTERNET} from eth0")
    assert r1.json(f"show dataplane fib {INTERNET6} from eth0")["next_hop"] == "2001:db8:100::1"
    assert r1.json(f"show dataplane fib {LAN} from eth1")["connected"]
    assert "There is no VRF RED" in r1.cli(f"show dataplane fib {LAN} vrf RED", check=False)
    assert r1.json(f"show dataplane fib {R1_LAN}")["verdict"] == "local"
    assert "via 198.51.100.1, interface eth1, by the default route" in r1.cli(f"show dataplane fib {INTERNET}")
    r1.ip("xfrm", "policy", "add", "src", "0.0.0.0/0", "dst", "203.0.113.0/24", "dir", "out", "action", "block")
    wait_for(lambda: "IPsec" in r1.json(f"show dataplane fib {INTERNET}")["reason"], what="the policy to be seen")
    r1.ip("xfrm", "policy", "flush")
    wait_for(lambda: not r1.json(f"show dataplane fib {INTERNET}")["reason"], what="its end to be seen")


def test_virtual_mac_of_vrrp(fast):
    """Frames to it are forwarded by the kernel, which is said and counted; under the physical MAC they are not."""
    r1, lan = fast.r1, fast.lan
    gates = (("ipv4", INTERNET, "10.0.1.254", ""), ("ipv6", INTERNET6, "fe80::254", "address 2001:db8:1::254"))

    def groups(mac):
        r1.config(["interface eth0", *(line for af, _, gate, more in gates for line in (
            f"vrrp 1 address-family {af}", f"address {gate} primary", *([more] if more else []), "timers advertise 100",
            f"mac-address {mac}", "exit"))])
        wait_for(lambda: {g["state"] for g in r1.json("show vrrp")} == {"MASTER"}, what="both groups to be master")

    def by_gate(dest, gate):
        family = ("-6",) if ":" in dest else ()
        lan.ip(*family, "route", "replace", f"{dest}/{128 if family else 32}", "via", gate, "dev", "eth0")
        wait_for(lambda: lan.ping(dest, count=1, timeout=1, check=False) == 1, what=f"the way by {gate}")

    groups("virtual")
    note = "VRRP 1: frames to its virtual MAC go by the kernel"
    assert [i["note"] for i in r1.json("show dataplane interfaces")] == [note, ""]
    assert planes(r1)["eth0"] == "fast" and note in r1.cli("show dataplane") and note in r1.cli("show dataplane eligibility")
    for _, dest, gate, _ in gates:
        by_gate(dest, gate)
        before = counters(r1)["eth0"]["to_kernel_other_mac"]
        lan.ping(dest, count=5)
        assert counters(r1)["eth0"]["to_kernel_other_mac"] >= before + 5
        flow = f"packet-tracer input eth0 udp {'2001:db8:1::10' if ':' in dest else LAN} 40000 {dest} 4000"
        assert r1.json(flow)["fast_plane"]["note"] == note and f"Note: {note}" in r1.cli(flow)
    assert "  to kernel: other-mac" in r1.cli("show dataplane")
    groups("physical")
    assert [i["note"] for i in r1.json("show dataplane interfaces")] == ["", ""] and "VRRP" not in r1.cli("show dataplane")
    for _, dest, gate, _ in gates:
        wait_for(lambda g=gate: lan.ip_json("neigh", "show", g)[0].get("lladdr") == lan_gate_mac(r1), what="hosts to hear of it")
        by_workers(r1, lan, dest, 5)


def test_neighbour_moves(fast):
    """A new MAC address of the next hop reaches flows that XDP forwards."""
    r1, lan, wan = fast.r1, fast.lan, fast.wan
    lan.ping(INTERNET)
    sink = Sink(wan)
    sender = udp_stream(lan, INTERNET, 800, 1000)
    wait_for(lambda: flows(r1, destination_port=4000, path="express"), what="the flow on the express path")
    wan.ip("link", "set", "eth0", "address", "02:00:00:00:aa:bb")
    wan.run("arping", "-U", "-c", "2", "-I", "eth0", "198.51.100.1", check=False)
    sender.wait()
    got = sink.numbers()
    assert got == sorted(got)
    assert got[-1] == 799, "the flow did not follow"


def test_route_moves(routers):
    """A flow that XDP forwards follows its route to another interface, and back."""
    topo = routers("dual-wan")
    r1, lan = topo.r1, topo.lan
    addressed(r1)
    r1.config(["interface eth2", "ip address 192.0.2.2/24", "dataplane fast"])
    on_fast(r1)
    first, second = Sink(topo.wan1), Sink(topo.wan2)
    sender = udp_stream(lan, INTERNET, 1000, 1000)
    wait_for(lambda: flows(r1, destination_port=4000, path="express", out="eth1"), what="the flow by eth1")
    r1.config(["ip route 203.0.113.0/24 192.0.2.1"])
    wait_for(lambda: flows(r1, destination_port=4000, out="eth2"), what="the flow by eth2")
    sender.wait()
    a, b = first.numbers(), second.numbers()
    assert a == sorted(a) and b == sorted(b) and b
    assert len(a) + len(b) >= 995


@pytest.mark.parametrize("dest", [INTERNET, INTERNET6])
def test_express_off(fast, dest):
    """Workers alone forward what comes or leaves by an interface without the express lane; flows come and go between them."""
    r1, lan, wan = fast.r1, fast.lan, fast.wan
    lan.ping(dest)
    server, client = clients.make(wan, dest, socket.SOCK_DGRAM), clients.make(lan, dest, socket.SOCK_DGRAM)
    server.bind((dest, 4000))
    client.connect((dest, 4000))

    def talk(count=1):
        """Datagrams there and back; the paths of their flow."""
        for s in (server, client):
            s.settimeout(2)
        for _ in range(count):
            client.send(bytes(64))
            server.sendto(*server.recvfrom(100))
            assert client.recv(100) == bytes(64)
        return {f["path"] for f in flows(r1, destination_port=4000) + flows(r1, source_port=4000)}

    def lanes():
        return [i["express_in"] for i in r1.json("show dataplane interfaces")]
    wait_for(lambda: talk() == {"express"}, what="a flow of XDP")
    for name in ("eth1", "eth0"):
        r1.config([f"interface {name}", "dataplane express off"])
        wait_for(lambda: talk() == {"worker"}, what="a flow of workers")
        assert lanes() == [name != "eth0", name != "eth1"] and set(planes(r1).values()) == {"fast"}
        express, workers = total(r1, "express"), total(r1, "forwarded")
        talk(50)
        assert total(r1, "express") == express and total(r1, "forwarded") >= workers + 100
        r1.config([f"interface {name}", "no dataplane express"])
        wait_for(lambda: talk() == {"express"}, what="a flow of XDP again")
    server.close()
    client.close()


def test_no_zero_copy(fast):
    """veth has none: asked for, it is copied as before, and the reason is told."""
    def told():
        return {i["name"]: (i["zero_copy_used"], i["copy_reason"]) for i in fast.r1.json("show dataplane qualification")}
    fast.r1.config(["interface eth0", "dataplane zero-copy on", "exit", "interface eth1", "dataplane zero-copy off"])
    wait_for(lambda: told() == {"eth0": (False, "the driver has no zero-copy"), "eth1": (False, "by configuration")},
             what="the reasons")
    on_fast(fast.r1)
    fast.lan.ping(INTERNET)
    fast.r1.config(["interface eth0", "no dataplane zero-copy"])
    wait_for(lambda: "express lane" in told()["eth0"][1], what="the reason of the default")
    rows = fast.r1.cli("show dataplane qualification").splitlines()
    assert rows[0].split()[:3] == ["Interface", "Driver", "Native"] and rows[1].split()[:5] == ["eth0", "veth", "yes", "yes", "no"]


def test_policy_comes_first(fast):
    """A policy holds for flows that are under way, also when rtr-fastpath does not listen. What the fast plane cannot
    judge at all takes every interface off it."""
    r1, lan, wan = fast.r1, fast.lan, fast.wan
    lan.ping(INTERNET)
    sink = Sink(wan)
    sender = udp_stream(lan, INTERNET, 1000, 1000)
    wait_for(lambda: flows(r1, destination_port=4000, path="express"), what="the flow on the express path")
    # Also when rtr-fastpath does not listen: XDP is stopped by rtrd itself.
    os.kill(fastpath_pid(r1), signal.SIGSTOP)
    r1.config(["ip access-list extended NO", "deny icmp any any", "deny udp any any", "permit ip any any", "exit",
               "interface eth1", "ip access-group NO out"])
    assert sender.poll() is None, "the flow ended before the policy came"
    sender.wait()
    got = sink.numbers()
    assert got and got[-1] < 999, "a flow that the policy denies goes on"
    os.kill(fastpath_pid(r1), signal.SIGCONT)
    assert lan.ping(INTERNET, count=3, timeout=1, check=False) == 0
    on_fast(r1)
    r1.config(["ip firewall timeout service udp 1003 9"])
    wait_for(lambda: set(planes(r1).values()) == {"kernel"}, what="the kernel plane")
    assert "judges packets in passing" in reason(r1)
    r1.config(["no ip firewall timeout service udp 1003", "interface eth1", "no ip access-group NO out"])
    on_fast(r1)
    lan.ping(INTERNET)
    r1.config(["ip access-list extended INSIDE", "permit ip any any", "exit",
               "ip nat inside source list INSIDE interface eth1 overload", "interface eth0", "ip nat inside", "exit",
               "interface eth1", "ip nat outside"])
    on_fast(r1)
    with wan.tcpdump("eth0", "icmp and icmp[0] == 8") as got:
        lan.ping(INTERNET)
    sent = [p for p in got.packets if p]
    assert sent and all("198.51.100.2 >" in p for p in sent), sent


def test_foreign_hooks_keep_the_kernel(fast):
    """Rules of others see every packet."""
    r1, lan = fast.r1, fast.lan
    lan.ping(INTERNET)
    r1.run("nft", "add table ip other; add chain ip other f { type filter hook forward priority 0; }; "
           "add rule ip other f icmp type echo-request drop")
    wait_for(lambda: set(planes(r1).values()) == {"kernel"}, what="the kernel plane")
    assert lan.ping(INTERNET, count=2, timeout=1, check=False) == 0
    r1.run("nft", "delete table ip other")
    on_fast(r1)
    lan.ping(INTERNET)


def fd_of(pid, fd):
    """A copy of a process's descriptor (pidfd_getfd)."""
    pidfd = os.pidfd_open(pid)
    got = ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, fd, 0)
    os.close(pidfd)
    assert got >= 0, os.strerror(ctypes.get_errno())
    return got


def test_parent_opens_again(fast):
    """Asked by rtr-fastpath, the root parent opens the lists of iptables' tables, and no more than these."""
    pid = fastpath_pid(fast.r1)
    with socket.socket(fileno=fd_of(pid, 4)) as ask:
        os.kill(pid, signal.SIGSTOP)  # it would take the answer
        try:
            ask.send(b"/etc/shadow")
            ask.settimeout(5)
            data, control, _, _ = ask.recvmsg(16, socket.CMSG_SPACE(64))
        finally:
            os.kill(pid, signal.SIGCONT)
    fds = array.array("i")
    for _, _, payload in control:
        fds.frombytes(payload)
    names = [os.path.basename(os.readlink(f"/proc/self/fd/{fd}")) for fd in fds]
    for fd in fds:
        os.close(fd)
    want = [n for n in ("ip_tables_names", "ip6_tables_names") if os.path.exists(f"/proc/net/{n}")]
    assert names == want and bin(int.from_bytes(data, "little")).count("1") == len(want)


@pytest.mark.parametrize("command, dest", [("iptables-legacy", INTERNET), ("ip6tables-legacy", INTERNET6)])
def test_legacy_iptables_keeps_the_kernel(fast, command, dest):
    """Rules of the old iptables, of which no event tells: seen by a program that is not root."""
    r1, lan, wan = fast.r1, fast.lan, fast.wan
    if not shutil.which(command) or not os.path.exists("/proc/net/ip6_tables_names"):
        pytest.skip(f"no {command}, or none in the kernel")
    lan.ping(dest)
    sink = Sink(wan)
    sender = udp_stream(lan, dest, 10000, 1000)
    wait_for(lambda: flows(r1, destination_port=4000, path="express"), what="the flow on the express path")
    r1.run(command, "-A", "FORWARD", "-j", "DROP")
    wait_for(lambda: set(planes(r1).values()) == {"kernel"}, timeout=2, what="the kernel plane")
    assert sender.poll() is None, "the flow ended before the rule was seen"
    assert "iptables" in reason(r1) and "iptables" in reason(r1, "eth1")
    got = sink.numbers()
    assert sender.poll() is None, "the rule drops nothing"
    assert got
    assert lan.ping(dest, count=2, timeout=1, check=False) == 0
    sender.kill()
    sender.wait()


def test_lines(routers):
    """Per interface and as a whole; `dataplane kernel` ends rtr-fastpath and leaves packets with the kernel."""
    topo = routers("basic")
    r1 = topo.r1
    addressed(r1)
    on_fast(r1)
    r1.config(["interface eth1", "dataplane kernel"])
    wait_for(lambda: planes(r1) == {"eth0": "fast", "eth1": "kernel"}, what="eth1 on the kernel plane")
    topo.lan.ping(INTERNET)
    r1.audit()
    r1.config(["dataplane flows ipv4 2048", "dataplane memory 16"])
    # The commit ends when the process with the other sizes serves.
    assert r1.json("show dataplane memory")["flows_ipv4_max"] == 2048 and planes(r1)["eth0"] == "fast"
    assert "Configured" in r1.cli("show dataplane interfaces")
    r1.config(["dataplane workers 2"])
    wait_for(lambda: "1 queues are fewer than the 2 workers" in reason(r1), timeout=10, what="the reason")
    r1.config(["interface eth0", "no dataplane"])
    wait_for(lambda: fastpath_pid(r1) is None, what="the end of rtr-fastpath")
    topo.lan.ping(INTERNET)
    assert "not needed" in r1.cli("show dataplane")
    assert r1.json("show dataplane")["gate"] == "none asks for the fast plane"


STAMPED = ("import socket,sys,time\n"
           "s=socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET,socket.SOCK_DGRAM)\n"
           "s.connect((sys.argv[1],4000))\n"
           "while True: s.send(time.monotonic_ns().to_bytes(8,'big')+bytes(60)); time.sleep(2e-4)\n")
STAMPED_SINK = ("import socket\n"
                "s=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM); s.bind(('::',4000))\n"
                "s.setsockopt(socket.SOL_SOCKET,socket.SO_RCVBUF,1<<22); s.settimeout(2)\n"
                "got=[]\n"
                "try:\n"
                " while True: got.append(int.from_bytes(s.recv(100)[:8],'big'))\n"
                "except socket.timeout: print(*got)\n")


@pytest.mark.parametrize("dest, subnet", [(INTERNET, "203.0.113.0/24"), (INTERNET6, "2001:db8:203::/64")])
def test_ipsec_under_load(fast, dest, subnet):
    """A policy that comes while XDP forwards the flow: XDP stops at the kernel's word, not when flows have been swept."""
    r1, lan, wan = fast.r1, fast.lan, fast.wan
    if r1.run("ip", "xfrm", "policy", "list", check=False).returncode:
        pytest.skip("no xfrm in the kernel")
    lan.ping(dest)
    sink = wan.popen("/usr/bin/python3", "-u", "-c", STAMPED_SINK, stdout=-1)
    wan.wait_listening(4000, "udp")
    sender = lan.popen("/usr/bin/python3", "-c", STAMPED, dest)
    before = total(r1, "express")
    wait_for(lambda: total(r1, "express") > before + 300, what="the flow on the express path")
    r1.ip("xfrm", "policy", "add", "src", "::/0" if ":" in dest else "0.0.0.0/0", "dst", subnet, "dir", "out",
          "action", "block")
    done = time.monotonic_ns()
    got = [int(x) for x in sink.communicate(timeout=30)[0].split()]
    assert sender.poll() is None, "nobody sends any more"
    # 50 ms: rtr-fastpath must get to run on a busy machine before it can tell XDP.
    late = [g - done for g in got if g > done]
    assert not late or max(late) < 50e6, f"{len(late)} packets in clear, {max(late) / 1e6} ms after the policy"
    r1.ip("xfrm", "policy", "flush")
    wait_for(lambda: lan.ping(dest, count=1, timeout=1, check=False) == 1, what="the way without the policy")
    sender.kill()
    sender.wait()
    # XDP pauses until the flows have been swept.
    by_workers(r1, lan, dest, 3)


def test_rule_by_port(routers):
    """`ip rule` with a port: that flow goes where the kernel would send it, the one beside it stays."""
    topo = routers("dual-wan")
    r1, lan = topo.r1, topo.lan
    addressed(r1)
    r1.config(["interface eth2", "ip address 192.0.2.2/24", "dataplane fast"])
    on_fast(r1)
    sinks = [Sink(topo.wan1, 4000, 4), Sink(topo.wan2, 4001, 4), Sink(topo.wan1, 4001, 4)]
    senders = [udp_stream(lan, INTERNET, 3000, 1000, port) for port in (4000, 4001)]
    wait_for(lambda: len(flows(r1, path="express", out="eth1")) == 2, what="both flows by eth1")
    r1.ip("route", "add", "203.0.113.0/24", "via", "192.0.2.1", "table", "77")
    r1.ip("rule", "add", "ipproto", "udp", "dport", "4001", "table", "77", "pref", "100")
    for sender in senders:
        sender.wait()
    got = [s.numbers() for s in sinks]
    assert len(got[0]) >= 2900 and max(got[0]) == 2999
    assert got[1] and max(got[1]) == 2999, "the flow did not follow the rule"
    assert min(got[2]) == 0 and max(got[2]) < 2999 and len(got[1]) + len(got[2]) >= 2900
    # A flow that begins after the rule: a worker's own lookup.
    sinks = [Sink(topo.wan1, 4002, 4), Sink(topo.wan2, 4003, 4)]
    r1.ip("rule", "add", "ipproto", "udp", "dport", "4003", "table", "77", "pref", "101")
    wait_for(lambda: r1.ip("route", "get", INTERNET, "from", "10.0.1.10", "iif", "eth0", "ipproto", "udp", "dport",
                           "4003").stdout.find("192.0.2.1") > 0, what="the kernel's own answer")
    for port in (4002, 4003):
        udp_stream(lan, INTERNET, 50, 1000, port).wait()
    assert [len(s.numbers()) for s in sinks] == [50, 50]
