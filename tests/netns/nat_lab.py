# SPDX-License-Identifier: GPL-2.0-or-later
"""The network of the NAT tests: two hosts on one inside link, one on another, a provider that
routes, and a far host.

    a .10, b .20 -- 10.0.1.0/24 -- eth0 r1 eth1 -- 198.51.100.0/24 -- isp -- 203.0.113.0/24 -- far .10
            c .10 -- 10.0.2.0/24 -- eth2
"""
import pytest

from nssock import ask
from topo import NodeSpec, Port, Spec, router_lines, wait_for

IN = ("10.0.1", "2001:db8:1")
IN2 = ("10.0.2", "2001:db8:2")
WAN = ("198.51.100", "2001:db8:100")
FAR = ("203.0.113", "2001:db8:203")
PUBLIC = ("198.51.100.2", "2001:db8:100::2")
KERNEL = range(40960, 57344)
FAST = range(10240, 40960)
PORTS = {"kernel": KERNEL, "fast": range(10240, 57344)}  # a busy worker leaves flows to the kernel


@pytest.fixture(params=["kernel", "fast"])
def plane(request):
    """All is tested on both planes."""
    return request.param


def dataplane(plane, *names):
    return [line for name in names for line in (f"interface {name}", f"dataplane {plane}", "exit")]


def wait_plane(r1, plane):
    def there():
        return all(i["plane"] == plane for i in r1.json("show dataplane interfaces") if i["configured"] != "kernel")
    wait_for(there, timeout=20, what=f"the {plane} plane")


def addrs(net, host):
    return [f"{net[0]}.{host}/24", f"{net[1]}::{host}/64"]


def routes(net, host):
    return [("0.0.0.0/0", f"{net[0]}.{host}"), ("::/0", f"{net[1]}::{host}")]


def spec():
    return Spec({
        "a": NodeSpec("host", [Port("eth0", addrs(IN, 10))], routes(IN, 1)),
        "b": NodeSpec("host", [Port("eth0", addrs(IN, 20))], routes(IN, 1)),
        "c": NodeSpec("host", [Port("eth0", addrs(IN2, 10))], routes(IN2, 1)),
        "sw": NodeSpec("bridge", [Port("p1"), Port("p2"), Port("p3")]),
        "r1": NodeSpec("router", [Port("eth0", addrs(IN, 1)), Port("eth1", addrs(WAN, 2)),
                                  Port("eth2", addrs(IN2, 1))], routes(WAN, 1)),
        "isp": NodeSpec("host", [Port("eth0", addrs(WAN, 1)), Port("eth1", addrs(FAR, 1))], []),
        "far": NodeSpec("host", [Port("eth0", addrs(FAR, 10))], routes(FAR, 1)),
    }, [("a", "eth0", "sw", "p1"), ("b", "eth0", "sw", "p2"), ("r1", "eth0", "sw", "p3"),
        ("c", "eth0", "r1", "eth2"), ("r1", "eth1", "isp", "eth0"), ("isp", "eth1", "far", "eth0")])


BASE = ["ip access-list extended LAN", "permit ip 10.0.0.0 0.0.255.255 any", "exit",
        "ipv6 access-list LAN6", "permit ipv6 2001:db8:1::/64 any", "permit ipv6 2001:db8:2::/64 any", "exit",
        "interface eth0", "ip nat inside", "ipv6 nat inside",
        "interface eth2", "ip nat inside", "ipv6 nat inside",
        "interface eth1", "ip nat outside", "ipv6 nat outside", "exit"]
OVERLOAD = ["ip nat inside source list LAN interface eth1 overload",
            "ipv6 nat inside source list LAN6 interface eth1 overload"]


def lab(routers, *lines, plane="kernel"):
    """The network with r1 configured. The provider knows no way back to the inside."""
    topo = routers(spec())
    topo.plane, topo.ports = plane, PORTS[plane]
    topo.kept = 50000 if plane == "kernel" else 20000  # a source port that stays while it is free
    topo.isp.sysctl(**{"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1})
    # Errors are what is tested: none is held back for coming too often.
    for node in (topo.r1, topo.isp, topo.far, topo.a, topo.b, topo.c):
        node.sysctl(**{"net.ipv4.icmp_ratelimit": 0, "net.ipv6.icmp.ratelimit": 0})
    # Without duplicate address detection all addresses are there at once.
    topo.r1.sysctl(**{f"net.ipv6.conf.{i}.dad_transmits": 0 for i in ("eth0", "eth1", "eth2")})
    topo.r1.config([*router_lines(topo.spec, "r1"), *BASE, *dataplane(plane, "eth0", "eth1", "eth2"), *lines])
    for host, hop in ((topo.a, IN), (topo.b, IN), (topo.c, IN2)):
        wait_for(lambda: host.ping(f"{hop[0]}.1", count=1, timeout=0.1, check=False), what="the first link")
    wait_plane(topo.r1, plane)
    return topo


def keeps(topo, node, kind, dest, public, first=0):
    """A free source port of the plane's range stays: it. A busy worker leaves a flow to the kernel, which has no such
    port: then another one."""
    for port in range(first or topo.kept, (first or topo.kept) + (1 if topo.plane == "kernel" else 10)):
        seen = ask(node, kind, dest, 7, sport=port)
        if seen == (public, port):
            return port
    raise AssertionError(f"{node.name}: no port of {kind} was kept, the last one was {port}, seen as {seen}")


def hits(r1, text):
    """Packets counted by the rules of our table whose printed form contains text."""
    out = r1.run("nft", "list", "table", "inet", f"rtr_{r1.instance}").stdout
    return sum(int(line.split("packets ")[1].split()[0]) for line in out.splitlines()
               if text in line and "packets " in line)
