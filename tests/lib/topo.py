# SPDX-License-Identifier: GPL-2.0-or-later
"""What: topologies of network namespaces, shared by the netns tests and tools/lab.

A Spec is a plain description: nodes, links, addresses. Topology makes it real under a prefix that
is its owner's alone, so that any number of them stand side by side, and removes it again.

Owns: the namespaces named PREFIX-NODE, and every process inside them.
Failure: an `ip` command that fails raises with its own words; destroy() removes what there is of a
half-built topology and may be called at any time, any number of times.
"""
import ipaddress
import json
import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass, field

# veth hands unfinished checksums and super-packets to its peer, which an XDP program or a capture
# would then see; gro makes the peer take redirected frames (veth drops them otherwise).
OFFLOADS = ["gro", "on", "tx", "off", "tso", "off", "gso", "off"]
NETNS_DIR = "/run/netns"


@dataclass
class Port:
    """An end of a link: its addresses as CIDR, the first of each family being the primary."""
    name: str
    addrs: list = field(default_factory=list)


@dataclass
class NodeSpec:
    """kind: host (configured here), router (left bare for rtrd), bridge (its ports are one segment)."""
    kind: str
    ports: list = field(default_factory=list)
    routes: list = field(default_factory=list)  # (prefix or "default", next hop)
    loopback: list = field(default_factory=list)


@dataclass
class Spec:
    nodes: dict
    links: list  # (node, port, node, port)

    def routers(self):
        return [n for n, s in self.nodes.items() if s.kind == "router"]

    def hosts(self):
        return [n for n, s in self.nodes.items() if s.kind == "host"]


# The address plan. Documentation prefixes stand for the outside, RFC 1918 for the inside.
LAN = ("10.0.1", "2001:db8:1")
WAN = ("198.51.100", "2001:db8:100")
WAN2 = ("192.0.2", "2001:db8:200")
SYNC = ("10.255.255", "2001:db8:ffff")
INTERNET = ["203.0.113.10/32", "2001:db8:203::10/128"]


def addrs(net, host):
    """The IPv4 and IPv6 address of a host number in one of the nets above."""
    return [f"{net[0]}.{host}/24", f"{net[1]}::{host}/64"]


def via(net, host, *prefixes):
    """Routes to each prefix (default: everything) through a host number, in both families."""
    hop4, hop6 = f"{net[0]}.{host}", f"{net[1]}::{host}"
    if not prefixes:
        return [("0.0.0.0/0", hop4), ("::/0", hop6)]
    return [(p, hop6 if ":" in p else hop4) for p in prefixes]


def _host(net, number, gateway, port="eth0", loopback=()):
    return NodeSpec("host", [Port(port, addrs(net, number))], via(net, gateway), list(loopback))


def basic():
    """lan -- r1 -- wan; the far host also owns an address of "the internet"."""
    return Spec({
        "lan": _host(LAN, 10, 1),
        "r1": NodeSpec("router", [Port("eth0", addrs(LAN, 1)), Port("eth1", addrs(WAN, 2))],
                       via(WAN, 1)),
        "wan": _host(WAN, 1, 2, loopback=INTERNET),
    }, [("lan", "eth0", "r1", "eth0"), ("r1", "eth1", "wan", "eth0")])


def dual_wan():
    """lan -- r1 -- wan1 and wan2, which both own the same "internet" address."""
    return Spec({
        "lan": _host(LAN, 10, 1),
        "r1": NodeSpec("router", [Port("eth0", addrs(LAN, 1)), Port("eth1", addrs(WAN, 2)),
                                  Port("eth2", addrs(WAN2, 2))], via(WAN, 1)),
        "wan1": _host(WAN, 1, 2, loopback=INTERNET),
        "wan2": _host(WAN2, 1, 2, loopback=INTERNET),
    }, [("lan", "eth0", "r1", "eth0"), ("r1", "eth1", "wan1", "eth0"),
        ("r1", "eth2", "wan2", "eth0")])


def ha_pair():
    """Two routers between one LAN and one WAN segment, with a link of their own for flow sync.

    The hosts' gateways are the virtual addresses: .1 on the LAN, .254 on the WAN.
    """
    def router(number):
        return NodeSpec("router", [Port("eth0", addrs(LAN, number)), Port("eth1", addrs(WAN, number)),
                                   Port("eth2", addrs(SYNC, number))], via(WAN, 1))
    return Spec({
        "lan": _host(LAN, 10, 1),
        "lansw": NodeSpec("bridge", [Port("p1"), Port("p2"), Port("p3")]),
        "r1": router(2),
        "r2": router(3),
        "wansw": NodeSpec("bridge", [Port("p1"), Port("p2"), Port("p3")]),
        "wan": _host(WAN, 1, 254, loopback=INTERNET),
    }, [("lan", "eth0", "lansw", "p1"), ("r1", "eth0", "lansw", "p2"), ("r2", "eth0", "lansw", "p3"),
        ("wan", "eth0", "wansw", "p1"), ("r1", "eth1", "wansw", "p2"), ("r2", "eth1", "wansw", "p3"),
        ("r1", "eth2", "r2", "eth2")])


def chain(n_routers=3):
    """lan -- r1 -- r2 -- ... -- rN -- wan; between ri and ri+1 lies 10.255.i.0/24."""
    if not 1 <= n_routers <= 250:
        raise ValueError("a chain has 1 to 250 routers")
    def middle(i):
        return (f"10.255.{i}", f"2001:db8:ff:{i}")
    nodes, links = {"lan": _host(LAN, 10, 1)}, []
    lan_nets = [f"{LAN[0]}.0/24", f"{LAN[1]}::/64"]
    for i in range(1, n_routers + 1):
        last = i == n_routers
        left = Port("eth0", addrs(LAN, 1) if i == 1 else addrs(middle(i - 1), 2))
        right = Port("eth1", addrs(WAN, 2) if last else addrs(middle(i), 1))
        routes = via(WAN, 1) if last else via(middle(i), 2)
        if i > 1:
            routes += via(middle(i - 1), 1, *lan_nets)
        nodes[f"r{i}"] = NodeSpec("router", [left, right], routes)
        links.append(("lan" if i == 1 else f"r{i - 1}", "eth0" if i == 1 else "eth1", f"r{i}", "eth0"))
    nodes["wan"] = _host(WAN, 1, 2, loopback=INTERNET)
    links.append((f"r{n_routers}", "eth1", "wan", "eth0"))
    return Spec(nodes, links)


def home():
    """basic, with a provider that knows no way back to the private IPv4 network: NAT needed."""
    spec = basic()
    spec.nodes["wan"].routes = [(p, hop) for p, hop in spec.nodes["wan"].routes if ":" in p]
    return spec


TOPOLOGIES = {"basic": basic, "home": home, "dual-wan": dual_wan, "ha-pair": ha_pair, "chain": chain}


def router_lines(spec, name):
    """The configuration lines that give a router its addresses and static routes of the spec."""
    lines = []
    node = spec.nodes[name]
    for port in node.ports:
        lines.append(f"interface {port.name}")
        for a in map(ipaddress.ip_interface, port.addrs):
            lines.append(f" ip address {a.ip} {a.netmask}" if a.version == 4
                         else f" ipv6 address {a}")
        lines += [" no shutdown", "exit"]
    for prefix, hop in node.routes:
        p = ipaddress.ip_network(prefix)
        lines.append(f"ip route {p.network_address} {p.netmask} {hop}" if p.version == 4
                     else f"ipv6 route {p} {hop}")
    return lines


def wait_for(predicate, timeout=5.0, what="condition", interval=0.02):
    """Polls until predicate() is true and returns its value; AssertionError after `timeout` s."""
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(interval)


def sh(*argv, check=True, timeout=60, **kwargs):
    """Runs a command; its output as text. A failure names the command and repeats its words."""
    p = subprocess.run(argv, text=True, errors="replace", stdin=kwargs.pop("stdin", subprocess.DEVNULL)
                       if "input" not in kwargs else None, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=timeout, **kwargs)
    if check and p.returncode:
        raise RuntimeError(f"{' '.join(argv)}: exit status {p.returncode}\n{p.stdout}{p.stderr}".rstrip())
    return p


def start_time(pid):
    """When a process started, in clock ticks since boot; None if it is gone (or a zombie).

    A pid with its start time names a process for good, where the pid alone may have been reused.
    """
    try:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def kill_all(pids, grace=0.0):
    """Ends processes: SIGTERM with `grace` seconds to obey, then SIGKILL; returns when all are gone."""
    fds = {}
    for pid in pids:
        try:
            fds[os.pidfd_open(pid)] = pid
        except ProcessLookupError:
            pass
    poller = select.poll()
    for fd in fds:
        poller.register(fd, select.POLLIN)
    for sig, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        if not fds or not patience:
            continue
        for fd in fds:
            try:
                signal.pidfd_send_signal(fd, sig)
            except ProcessLookupError:
                pass
        deadline = time.monotonic() + patience
        while fds and time.monotonic() < deadline:
            for fd, _ in poller.poll(max(0, deadline - time.monotonic()) * 1000):
                poller.unregister(fd)
                os.close(fd)
                del fds[fd]
    stuck = sorted(fds.values())
    for fd in fds:
        os.close(fd)
    if stuck:
        raise RuntimeError(f"processes {stuck} survive SIGKILL")


def namespaces(prefix):
    """Names of the existing namespaces PREFIX-*."""
    try:
        return sorted(n for n in os.listdir(NETNS_DIR) if n.startswith(prefix + "-"))
    except FileNotFoundError:
        return []


def pids_in(netns):
    """Processes whose network namespace this is."""
    p = sh("ip", "netns", "pids", netns, check=False)
    return [int(x) for x in p.stdout.split() if int(x) != os.getpid()]


def remove_namespaces(prefix):
    """Ends the processes inside PREFIX-* and removes the namespaces; both may be gone already."""
    for netns in namespaces(prefix):
        kill_all(pids_in(netns))
        sh("ip", "netns", "del", netns, check=False)
    left = namespaces(prefix)
    if left:
        raise RuntimeError(f"namespaces {left} cannot be removed")


class Node:
    """A namespace of a topology, and how to do things inside it."""

    def __init__(self, topology, name, spec):
        self.topology, self.name, self.spec = topology, name, spec
        self.netns = f"{topology.prefix}-{name}"

    def argv(self, *cmd):
        return ["ip", "netns", "exec", self.netns, *map(str, cmd)]

    def run(self, *cmd, **kwargs):
        return sh(*self.argv(*cmd), **kwargs)

    def popen(self, *cmd, **kwargs):
        """Starts a process in the namespace; destroy() ends it if nobody did before."""
        return subprocess.Popen(self.argv(*cmd), **{"stdin": subprocess.DEVNULL, "text": True, **kwargs})

    def ip(self, *args, check=True):
        return sh("ip", "-n", self.netns, *map(str, args), check=check)

    def ip_json(self, *args):
        out = sh("ip", "-n", self.netns, "-j", "-d", *map(str, args)).stdout
        return json.loads(out) if out.strip() else []

    def ip_batch(self, lines):
        if lines:
            sh("ip", "-n", self.netns, "-batch", "-", input="\n".join(lines) + "\n")

    def wait_addresses(self, timeout=5.0):
        """Returns when no address waits for duplicate address detection.

        Until then the node has no source to ask for IPv6 neighbours from, and asks again a second later.
        """
        def waiting():
            return [a for link in self.ip_json("-6", "addr", "show", "tentative")
                    if "LOWER_UP" in link.get("flags", ())
                    for a in link["addr_info"] if not a.get("dadfailed")]
        wait_for(lambda: not waiting(), timeout, f"{self.name}: addresses known to be unique")

    def sysctl(self, **values):
        """sysctl(**{"net.ipv4.ip_forward": 1})"""
        self.run("sysctl", "-qw", *(f"{k}={v}" for k, v in values.items()))

    def wait(self, predicate, on="link address route", timeout=5.0, what="condition"):
        """Waits for predicate(), asked again after each netlink event of the kinds in `on`."""
        mon = subprocess.Popen(["ip", "-n", self.netns, "monitor", *on.split()],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        try:
            deadline = time.monotonic() + timeout
            # 0.1 s caps the cost of an event that fell before the monitor had subscribed.
            while not (value := predicate()):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{self.name}: {what}: not within {timeout} s")
                if select.select([mon.stdout], [], [], min(left, 0.1))[0]:
                    os.read(mon.stdout.fileno(), 65536)
            return value
        finally:
            mon.kill()
            mon.wait()
            mon.stdout.close()

    def addresses(self, dev=None):
        """All global addresses as CIDR text, of one device or of all."""
        links = self.ip_json("addr", "show", *(["dev", dev] if dev else []))
        return [f"{a['local']}/{a['prefixlen']}" for link in links for a in link["addr_info"]
                if a["scope"] == "global"]


class Host(Node):
    """An end host: sends, listens, captures."""

    def ping(self, dest, count=3, interval=0.05, timeout=2, check=True, args=()):
        """Pings; returns the number of answers. With check, every one must have come.

        An IPv6 ping starts when the routers may ask for their neighbours.
        """
        if ":" in dest and check:
            for router in self.topology.spec.routers():
                self.topology.nodes[router].wait_addresses()
        p = self.run("ping", "-n", "-q", "-c", count, "-i", interval, "-W", timeout, *args, dest,
                     check=False, timeout=timeout * 2 + count * interval + 10)
        got = next((int(line.split(",")[1].split()[0]) for line in p.stdout.splitlines()
                    if "packets transmitted" in line), 0)
        if check and got != count:
            raise AssertionError(f"{self.name}: ping {dest}: {got} of {count} answers\n{p.stdout}{p.stderr}")
        return got

    def curl(self, url, *args, timeout=5, check=True):
        """Fetches a URL; the body."""
        return self.run("curl", "-gsS", "--max-time", timeout, *args, url, check=check,
                        timeout=timeout + 5).stdout

    def http_server(self, port=80, body="hello from rtr\n"):
        """Serves `body` on every path, IPv4 and IPv6, until the topology ends."""
        # HTTPServer's own server_bind asks the resolver for a name, into the void.
        code = ("import http.server as h,socket,socketserver,sys\n"
                "class H(h.BaseHTTPRequestHandler):\n"
                " def do_GET(s):\n"
                "  b=sys.argv[2].encode(); s.send_response(200)\n"
                "  s.send_header('Content-Length',str(len(b))); s.end_headers(); s.wfile.write(b)\n"
                " def log_message(s,*a): pass\n"
                "class S(h.ThreadingHTTPServer):\n"
                " address_family=socket.AF_INET6; server_bind=socketserver.TCPServer.server_bind\n"
                "S(('::',int(sys.argv[1])),H).serve_forever()\n")
        proc = self.service("/usr/bin/python3", "-c", code, port, body)
        self.wait_listening(port)
        return proc

    def iperf3(self, dest, seconds=2, port=5201, args=()):
        """Runs iperf3 against iperf3_server() on another host; the parsed JSON of the client."""
        out = self.run("iperf3", "-J", "-t", seconds, "-p", port, *args, "-c", dest, check=False,
                       timeout=seconds + 20).stdout
        result = json.loads(out)
        if "error" in result:
            raise AssertionError(f"{self.name}: iperf3 {dest}: {result['error']}")
        return result

    def iperf3_server(self, port=5201):
        proc = self.service("iperf3", "-s", "-p", port)
        self.wait_listening(port)
        return proc

    def tcpdump(self, dev="eth0", expr=""):
        """A running capture; use as a context manager, then read .packets (one text line each)."""
        return Capture(self, dev, expr)

    def service(self, *cmd):
        proc = self.popen(*cmd, stdout=subprocess.DEVNULL)
        self.topology.services.append(proc)
        return proc

    def wait_listening(self, port, proto="tcp", timeout=15.0):
        wait_for(lambda: self.run("ss", f"-Hln{proto[0]}", f"sport = :{port}").stdout.strip(), timeout,
                 f"{self.name}: a listener on {proto} port {port}")


class Capture:
    """tcpdump on one device. Returns from `with` only once it listens, and flushes at the end."""

    def __init__(self, node, dev, expr):
        self.node, self.dev, self.expr, self.packets = node, dev, expr, []

    def __enter__(self):
        cmd = ["tcpdump", "-l", "-n", "-e", "--immediate-mode", "-i", self.dev]
        self.proc = self.node.popen(*cmd, *self.expr.split(), stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE)
        # "listening on ..." is printed when the socket receives.
        for line in self.proc.stderr:
            if "listening on" in line:
                return self
        raise RuntimeError(f"{self.node.name}: tcpdump on {self.dev} does not start")

    def __exit__(self, *exc):
        self.proc.send_signal(signal.SIGINT)
        self.packets = self.proc.communicate(timeout=10)[0].splitlines()


class Topology:
    """A Spec made of namespaces. `host_class` and `router_class` let a caller add abilities."""

    def __init__(self, spec, prefix, router_class=Node):
        self.spec, self.prefix, self.services = spec, prefix, []
        self.nodes = {}
        for name, node in spec.nodes.items():
            cls = {"host": Host, "router": router_class, "bridge": Node}[node.kind]
            self.nodes[name] = cls(self, name, node)

    def __getattr__(self, name):
        try:
            return self.__dict__["nodes"][name]
        except KeyError:
            raise AttributeError(f"no node {name} in this topology") from None

    def create(self):
        """Builds all of it; on any failure removes what there is and raises."""
        try:
            for node in self.nodes.values():
                sh("ip", "netns", "add", node.netns)
            for a, port_a, b, port_b in self.spec.links:
                sh("ip", "link", "add", port_a, "netns", self.nodes[a].netns, "type", "veth",
                   "peer", "name", port_b, "netns", self.nodes[b].netns)
            for node in self.nodes.values():
                {"host": self._host, "router": self._router, "bridge": self._bridge}[node.spec.kind](node)
        except BaseException:
            self.destroy()
            raise
        return self

    @staticmethod
    def _addressing(node):
        """Batch lines that give a node what its spec says, links up."""
        lines = [f"addr add {a} dev lo" for a in node.spec.loopback]
        for port in node.spec.ports:
            # nodad: the plan has no duplicates, and a tentative address would not answer for 1-2 s.
            lines += [f"addr add {a} dev {port.name}{' nodad' if ':' in a else ''}" for a in port.addrs]
            lines.append(f"link set {port.name} up")
        lines += [f"route add {prefix} via {hop}" for prefix, hop in node.spec.routes]
        return lines

    @staticmethod
    def _ports(node, **sysctl):
        """Offloads off; no DAD, which takes effect only where both "all" and the port say so."""
        scopes = ["all", "default"] + [p.name for p in node.spec.ports]
        node.sysctl(**{f"net.ipv6.conf.{s}.accept_dad": 0 for s in scopes}, **sysctl)
        for port in node.spec.ports:
            node.run("ethtool", "-K", port.name, *OFFLOADS)

    def _host(self, node):
        self._ports(node, **{"net.ipv6.conf.all.accept_ra": 0, "net.ipv6.conf.default.accept_ra": 0})
        node.ip_batch(["link set lo up"] + self._addressing(node))

    def _router(self, node):
        node.ip_batch(["link set lo up"])

    def _bridge(self, node):
        self._ports(node)
        node.ip_batch(["link set lo up", "link add br0 type bridge stp_state 0 forward_delay 0",
                       "link set br0 up"] +
                      [f"link set {p.name} master br0 up" for p in node.spec.ports])

    def kernel_forwarding(self, name):
        """Makes a plain Linux router of a router node: the spec's addresses, no rtrd."""
        node = self.nodes[name]
        self._ports(node, **{"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1})
        node.ip_batch(self._addressing(node))

    def stop_services(self):
        for proc in self.services:
            if proc.poll() is None:
                proc.kill()
            proc.wait()
        self.services.clear()

    def leaked(self):
        """{node: pids} of processes that still live in the namespaces."""
        return {n.name: pids for n in self.nodes.values() if os.path.exists(f"{NETNS_DIR}/{n.netns}")
                and (pids := pids_in(n.netns))}

    def destroy(self):
        self.stop_services()
        remove_namespaces(self.prefix)
