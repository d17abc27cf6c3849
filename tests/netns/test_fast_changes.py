# SPDX-License-Identifier: GPL-2.0-or-later
"""What changes under load: links, MTU, queues, neighbours, routes, policy, addresses. What is to flow goes on without a
loss and in order, what has to end ends, what a change interrupts is back when it is over, and so is the fast plane."""
import os
import time

import pytest

from load import Echo, Fresh, Held, Watch, now
from test_fast_mirror import POLICY
from test_fastplane import INTERNET, INTERNET6, addressed, fastpath_pid, flows, on_fast
from topo import OFFLOADS, WAN2, Port, Spec, addrs, basic, sh, wait_for

LONG = bool(os.environ.get("RTR_TEST_LONG"))
RATE = 1500
SECOND = ["ip route 203.0.113.0/24 192.0.2.1", "ipv6 route 2001:db8:203::/64 2001:db8:200::1"]
FIRST = ["ip route 203.0.113.0/24 198.51.100.1", "ipv6 route 2001:db8:203::/64 2001:db8:100::1"]
# In which a busy machine gives rtr-fastpath the time to hear of what the kernel has done already.
LEARN = 0.3
UDP, TCP = [("udp", INTERNET, 40), ("udp", INTERNET6, 40)], [("tcp", INTERNET, 20), ("tcp", INTERNET6, 20)]


def twin():
    """lan -- r1 == wan, by two links; answers come by the first."""
    spec = basic()
    spec.nodes["r1"].ports.append(Port("eth2", addrs(WAN2, 2)))
    spec.nodes["wan"].ports.append(Port("eth1", addrs(WAN2, 1)))
    return Spec(spec.nodes, spec.links + [("r1", "eth2", "wan", "eth1")])


def no(lines):
    return [f"no {line}" for line in lines]


@pytest.fixture(params=["fast", "kernel"] if LONG else ["fast"])
def net(request, routers):
    topo = routers(twin())
    topo.plane, topo.pid = request.param, None
    addressed(topo.r1)
    topo.r1.config([*POLICY[:POLICY.index("ip access-list extended LAN")],
                    "interface eth2", "ip address 192.0.2.2/24", "ipv6 address 2001:db8:200::2/64", "exit"])
    for name, zone in (("eth0", "INSIDE"), ("eth1", "OUTSIDE"), ("eth2", "OUTSIDE")):
        topo.r1.config([f"interface {name}", f"zone-member security {zone}", f"dataplane {topo.plane}"])
    settled(topo)
    topo.pid = fastpath_pid(topo.r1)
    Echo(topo.wan, INTERNET, INTERNET6)
    return topo


def settled(topo):
    """All is as at the beginning, by the same process; when."""
    r1 = topo.r1
    r1.wait_addresses()
    for dest in (INTERNET, INTERNET6):
        wait_for(lambda: topo.lan.ping(dest, count=1, timeout=1, check=False) == 1, timeout=20, what="the way out")
    if topo.plane == "fast":
        on_fast(r1)
        assert topo.pid in (None, fastpath_pid(r1)), "rtr-fastpath ended"
    return now()


class Load:
    """Connections that are under way, on the plane that they shall be on."""

    def __init__(self, topo, conns):
        n, path = sum(c[2] for c in conns), "express" if topo.plane == "fast" else "kernel"

        def paths():
            return [c["path"] for c in topo.r1.json("show conntrack dport 4100")]
        for _ in range(5):
            self.held = Held(topo.lan, conns, RATE)
            wait_for(lambda: len(paths()) >= n and "worker" not in paths(), timeout=15, what="the connections")
            if paths().count(path) > 0.7 * n:
                return
            # A worker that gets no time leaves what begins to the kernel.
            self.held.end(ordered=False)
            topo.r1.cli("clear conntrack")
        raise AssertionError(f"the connections: {paths()}")

    def end(self, since=float("inf"), until=0.0, ordered=True):
        """What was sent then may be lost, and what was on its way when it began."""
        time.sleep(LEARN + 0.2)  # each speaks after what was done
        # TCP's segments behind one that was lost count as out of order, too.
        got = self.held.end(since - 0.1, until, ordered and since > until)
        assert not ordered or not got["late"], f"reordered: {got['late'][:5]}"
        assert got["least"] > 2
        return got


def goes_by(topo, name):
    """All of the connections."""
    if topo.plane == "fast":
        wait_for(lambda: {f["out"] for f in flows(topo.r1, destination_port=4100, path="express")} == {name},
                 what=f"the way by {name}")


def mtu(topo):
    """It is no matter of packets that fit."""
    load = Load(topo, UDP + TCP)
    for line in ("mtu 1400", "no mtu"):
        topo.r1.config(["interface eth1", line])
        settled(topo)
    load.end()


def policy(topo):
    """A line that ends one kind of connections, and is no matter of others."""
    stays, ends = Load(topo, TCP), Load(topo, UDP)
    lists = ["ip access-list extended ANY", "5 deny udp any any", "exit", "ipv6 access-list ANY6", "5 deny udp any any"]
    topo.r1.config(lists)
    since = now()
    time.sleep(0.2)
    until = now()
    topo.r1.config(["no 5" if line.startswith("5") else line for line in lists])
    stays.end()
    # They begin anew: what a busy worker has not seen in time the kernel takes, and may be faster.
    got = ends.end(since - LEARN, settled(topo), ordered=False)
    through = got["sent"] - len(got["lost"])
    denied = [m for m in got["lost"] if since < m[-1] < until]
    assert len(denied) > 0.1 * RATE, f"{len(denied)} denied, {through} passed"


def route(topo):
    """Another next hop by another interface, and back; what begins meanwhile is served."""
    load, fresh = Load(topo, UDP + TCP), Fresh(topo.lan, [INTERNET, INTERNET6], 100)
    topo.r1.config(SECOND)
    goes_by(topo, "eth2")
    topo.r1.config(no(SECOND))
    goes_by(topo, "eth1")
    load.end()
    lost = [f for f in fresh.end() if f[2] is None]
    assert not lost, f"{len(lost)} new flows: {lost[:3]}"


def member(topo):
    """One of two equal next hops goes, and comes again."""
    topo.r1.config(FIRST + SECOND)
    load = Load(topo, UDP + TCP)
    if topo.plane == "fast":
        assert {f["out"] for f in flows(topo.r1, destination_port=4100)} == {"eth1", "eth2"}
    at = now()
    topo.r1.config(["interface eth2", "shutdown"])
    goes_by(topo, "eth1")
    load.end(at, at + LEARN)
    # Until its address is known to be unique nobody can ask for an IPv6 neighbour by the interface.
    load, at = Load(topo, UDP + TCP), now()
    topo.r1.config(["interface eth2", "no shutdown"])
    settled(topo)
    for hop in ("192.0.2.1", "2001:db8:200::1"):
        wait_for(lambda: "lladdr" in topo.r1.ip("neigh", "show", hop, "dev", "eth2").stdout, what="the neighbour")
    load.end(at, now() + LEARN)
    topo.r1.config(no(FIRST + SECOND))


def neighbour(topo):
    """Another MAC address, which the neighbour announces."""
    topo.wan.sysctl(**{"net.ipv4.conf.eth0.arp_notify": 1, "net.ipv6.conf.eth0.ndisc_notify": 1})
    load = Load(topo, UDP + TCP)
    at = now()
    topo.wan.ip("link", "set", "eth0", "address", "02:00:00:00:aa:bb")
    load.end(at, at + LEARN)


def down(topo):
    """The only way out is shut for a moment."""
    load = Load(topo, UDP + TCP)
    at = now()
    topo.r1.config(["interface eth1", "shutdown"])
    topo.r1.config(["interface eth1", "no shutdown"])
    load.end(at, settled(topo), ordered=False)


def link(topo):
    """eth1, anew, with room for four queues of which it has two."""
    r1, wan = topo.r1, topo.wan
    sh("ip", "link", "add", "new", "netns", r1.netns, "numtxqueues", "4", "numrxqueues", "4", "type", "veth", "peer", "name",
       "eth0", "netns", wan.netns)
    r1.run("ethtool", "-L", "new", "rx", 2, "tx", 2)
    # Before it has the name that rtrd waits for: a veth learns that XDP can redirect to it when it comes up, and
    # not of offloads that its peer is given later, while that is down.
    wan.run("ethtool", "-K", "eth0", *OFFLOADS)
    r1.ip("link", "set", "new", "name", "eth1")
    port = wan.spec.ports[0]
    wan.ip_batch([*(f"addr add {a} dev eth0{' nodad' if ':' in a else ''}" for a in port.addrs), "link set eth0 up",
                  *(f"route add {prefix} via {hop}" for prefix, hop in wan.spec.routes)])


def vanish(topo):
    """The interface of the way out is no more, and then another one has its name."""
    load = Load(topo, UDP + TCP)
    at = now()
    topo.r1.ip("link", "del", "eth1")
    wait_for(lambda: not any(i["name"] == "eth1" for i in topo.r1.json("show dataplane")["counters"]), what="the end of eth1")
    link(topo)
    # What waits for a neighbour meanwhile may be behind what comes after it, on either plane.
    load.end(at, settled(topo), ordered=False)


def queues(topo):
    """More of them, by somebody else. The kernel refuses fewer as long as workers have sockets on them."""
    load = Load(topo, UDP + TCP)
    at = now()
    topo.r1.run("ethtool", "-L", "eth1", "rx", 4, "tx", 4)
    if topo.plane == "fast":
        wait_for(lambda: next(i["queues"] for i in topo.r1.json("show dataplane interfaces") if i["name"] == "eth1") == 4,
                 what="the queues")
    load.end(at, settled(topo))


def test_changes(net):
    for change in (mtu, policy, route, member, neighbour, down, vanish, queues):
        start = now()
        net.r1.cli("clear conntrack")
        change(net)
        settled(net)
        net.r1.audit()
        print(change.__name__, round(now() - start, 1))


@pytest.mark.parametrize("plane", ["fast", "kernel"] if LONG else ["fast"])
def test_address(routers, plane):
    """The address that all are translated to becomes another: what it had ends, and what begins is served by the new one."""
    topo = routers("basic")
    r1, topo.plane, topo.pid = topo.r1, plane, None
    addressed(r1)
    r1.config(POLICY)
    for name in ("eth0", "eth1"):
        r1.config([f"interface {name}", f"dataplane {plane}"])
    settled(topo)
    topo.pid = fastpath_pid(r1)
    Echo(topo.wan, INTERNET, INTERNET6)
    Load(topo, UDP + TCP)
    watch, fresh = Watch(topo.wan), Fresh(topo.lan, [INTERNET, INTERNET6], 100)
    r1.config(["interface eth1", "ip address 198.51.100.3/24", "ipv6 address 2001:db8:100::3/64",
               "no ipv6 address 2001:db8:100::2/64"])
    since = settled(topo) + LEARN
    time.sleep(2 * LEARN)
    of_before = [c for c in r1.json("show conntrack dport 4100")
                 if c["reply"]["destination"] in ("198.51.100.2", "2001:db8:100::2")]
    assert not of_before, f"{len(of_before)} connections of the old address: {of_before[0]}"
    late = [f for f in fresh.end() if f[0] > since]
    assert late and all(f[2] for f in late), f"{sum(not f[2] for f in late)} of {len(late)} new flows were lost"
    # While the new IPv6 address is not known to be unique the kernel's masquerade takes the box's own of the inside.
    if plane == "fast":
        watch.end()
