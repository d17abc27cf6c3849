# SPDX-License-Identifier: GPL-2.0-or-later
"""What: a segment with rtr, its VRRP peers (keepalived, FRR's vrrpd) and a host, for the netns tests
and the failover bench; adverts as bytes.

Owns: files below the test's own folder; processes end with their topology.
"""
import json
import os
import re
import shutil
import socket
import struct

from router import Router
from topo import NodeSpec, Port, Spec, wait_for

NET4, NET6 = "10.0.1", "2001:db8:1"
VIP4, VIP6, VIPLL = "10.0.1.1", "2001:db8:1::1", "fe80::1"


def ends(*names):
    """Nodes on one segment: r* are routers, others hosts; .2, .3, ... in the order given."""
    nodes = {"sw": NodeSpec("bridge", [Port(f"p{i}") for i in range(len(names))])}
    links = []
    for i, name in enumerate(names):
        kind = "router" if name.startswith("r") else "host"
        nodes[name] = NodeSpec(kind, [Port("eth0", [f"{NET4}.{i + 2}/24", f"{NET6}::{i + 2}/64"])])
        links.append((name, "eth0", "sw", f"p{i}"))
    return Spec(nodes, links)


def base_lines(topo, name):
    v4, v6 = topo.spec.nodes[name].ports[0].addrs
    return ["interface eth0", f"ip address {v4}", f"ipv6 address {v6}", "no shutdown"]


def group_lines(prio, ms=100, af="ipv4", vrid=1, extra=()):
    """A group of version 3 in interface mode; leaves the cursor in it."""
    addrs = [f"address {VIP4} primary"] if af == "ipv4" else [f"address {VIPLL} primary", f"address {VIP6}"]
    return [f"vrrp {vrid} address-family {af}", f"priority {prio}", f"timers advertise {ms}", *extra, *addrs, "exit"]


def configure(router, topo, *groups):
    router.config([*base_lines(topo, router.name), *(line for g in groups for line in g)])


def group(router, vrid=1, family="ipv4", interface="eth0"):
    found = [g for g in router.json("show vrrp") if (g["interface"], g["group"], g["family"]) ==
             (interface, vrid, family)]
    return found[0] if found else {"state": "NONE", "counters": {}}


def state(router, **which):
    return group(router, **which)["state"]


def wait_state(router, want, timeout=5.0, **which):
    wait_for(lambda: state(router, **which) == want, timeout,
             f"{router.name}: {want} {which or ''}, it is {state(router, **which)}")


def vrrpd_pid(router):
    """The rtr-vrrpd of a router: a child of its parent process."""
    with open(f"/proc/{router.proc.pid}/task/{router.proc.pid}/children") as f:
        for pid in f.read().split():
            with open(f"/proc/{pid}/comm") as c:
                if c.read().strip() == "rtr-vrrpd":
                    return int(pid)
    return None


def owns(node, vip):
    """Whether a node has the virtual address in its kernel now."""
    return any(a["local"] == vip for link in node.ip_json("addr", "show") for a in link["addr_info"])


def reaches(host, vip):
    """The address answers, every time; a state may be told a moment before the kernel has the address."""
    wait_for(lambda: host.ping(vip, count=1, timeout=1, check=False), what=f"the first answer of {vip}")
    host.ping(vip)


class Keepalived:
    """One instance of keepalived in a host's namespace; its log tells its states."""

    def __init__(self, node, folder, version=3, family="ipv4", prio=100, adver="1", vmac=False,
                 unicast=None, extra="", vips=None, vrid=1, nopreempt=False):
        self.node, self.log = node, f"{folder}/{node.netns}.log"
        vips = vips or ([f"{VIP4}/32"] if family == "ipv4" else [f"{VIPLL}/128", f"{VIP6}/128"])
        lines = ["global_defs {", "  vrrp_garp_master_refresh 60", f"  vrrp_version {version}", "}",
                 "vrrp_instance V1 {", "  state BACKUP", "  interface eth0", f"  virtual_router_id {vrid}",
                 f"  priority {prio}", f"  advert_int {adver}", *(["  use_vmac"] if vmac else []),
                 *(["  nopreempt"] if nopreempt else []),
                 *([f"  unicast_src_ip {unicast[0]}", "  unicast_peer {", f"    {unicast[1]}", "  }"] if unicast else []),
                 extra, "  virtual_ipaddress {", *(f"    {v}" for v in vips), "  }", "}"]
        self.conf = f"{folder}/{node.netns}.conf"
        with open(self.conf, "w") as f:
            f.write("\n".join(lines) + "\n")
        with open(self.log, "wb") as out:
            self.proc = node.popen("keepalived", "-n", "-l", "-D", "-P", "-f", self.conf, "-p", f"{folder}/{node.netns}.pid",
                                   "-r", f"{folder}/{node.netns}.vpid", stdout=out, stderr=out)
        node.topology.services.append(self.proc)
        node.topology.__dict__.setdefault("in_order", []).append(self)

    def text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def states(self):
        """The states that it entered, in order."""
        return re.findall(r"Entering (MASTER|BACKUP|FAULT) STATE", self.text())

    def wait(self, want, timeout=6.0):
        wait_for(lambda: self.states()[-1:] == [want], timeout, f"keepalived {want}; its log:\n{self.text()[-3000:]}")

    def stop(self):
        """In order: it says priority 0. Its children would survive a SIGKILL of their parent."""
        if self.proc.poll() is None:
            self.proc.terminate()
            self.proc.wait(10)


class Frr:
    """zebra and vrrpd of FRR in a host's namespace, with the macvlans that FRR wants to find."""

    LIB = "/usr/lib/frr"

    def __init__(self, node, prio=100, adver=1000, vrid=1, version=3, v6=False, ports=(("eth0", VIP4),)):
        """ports: (interface, its virtual address)."""
        # It becomes user frr, who must reach its folder: /run is the tests' own.
        self.node, self.folder, self.procs = node, f"/run/frr-{node.netns}", []
        os.makedirs(self.folder, exist_ok=True)
        shutil.chown(self.folder, "frr", "frr")
        conf = f"{self.folder}/vrrpd.conf"
        with open(conf, "w") as f:
            for port, vip in ports:
                f.write(f"interface {port}\n vrrp {vrid} version {version}\n vrrp {vrid} priority {prio}\n"
                        f" vrrp {vrid} advertisement-interval {adver}\n vrrp {vrid} ip {vip}\n" +
                        (f" vrrp {vrid} ipv6 {VIPLL}\n vrrp {vrid} ipv6 {VIP6}\n" if v6 else ""))
        for port, vip in ports:
            self.macvlan(port, 4, vrid, f"{vip}/24")
            if v6:
                self.macvlan(port, 6, vrid, f"{VIPLL}/64", f"{VIP6}/64")
        empty = f"{self.folder}/zebra.conf"
        open(empty, "w").close()
        common = ["--vty_socket", self.folder, "-z", f"{self.folder}/zserv.api", "-P", "0"]
        for name, c in (("zebra", empty), ("vrrpd", conf)):
            log = open(f"{self.folder}/{name}.log", "wb")
            proc = node.popen(f"{self.LIB}/{name}", "-f", c, "-i", f"{self.folder}/{name}.pid", *common, stdout=log, stderr=log)
            log.close()
            self.procs.append(proc)
            node.topology.services.append(proc)
            wait_for(lambda n=name: os.path.exists(f"{self.folder}/{n}.vty"), 10, f"FRR's {name}")

    def macvlan(self, port, ip, vrid, *addrs):
        name = f"vrrp{ip}-{port}"
        self.node.ip("link", "add", name, "link", port, "type", "macvlan", "mode", "bridge")
        self.node.ip("link", "set", name, "address", f"00:00:5e:00:0{1 if ip == 4 else 2}:{vrid:02x}")
        for a in addrs:
            self.node.ip("addr", "add", a, "dev", name, *(["nodad"] if ip == 6 else []))
        self.node.ip("link", "set", name, "up")

    def show(self):
        out = self.node.run("vtysh", "--vty_socket", self.folder, "-c", "show vrrp json", check=False).stdout
        try:
            return json.loads(out)
        except ValueError:
            return []

    def dies(self):
        """Without a word, and its macvlans with it, as when the box dies."""
        for p in self.procs:
            p.kill()
            p.wait()
        for link in self.node.ip_json("link"):
            if link["ifname"].startswith("vrrp"):
                self.node.ip("link", "del", link["ifname"])

    def state(self, family="v4"):
        found = self.show()
        return found[0][family]["status"] if found else None

    def wait(self, want, timeout=8.0, family="v4"):
        wait_for(lambda: self.state(family) == want, timeout, f"FRR's vrrpd {want}: {self.show()}")


# ---- adverts as bytes ----

def csum(data):
    if len(data) % 2:
        data += b"\0"
    s = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def advert(vrid=1, prio=200, version=3, interval=100, addrs=(VIP4,), type_=1, count=None, auth=(0, b""),
           sum_error=0):
    """The message of an IPv4 advert; interval in centiseconds (version 3) or seconds (2)."""
    body = b"".join(socket.inet_aton(a) for a in addrs)
    middle = struct.pack("!BB", auth[0], interval) if version == 2 else struct.pack("!H", interval)
    head = struct.pack("!BBBB", version << 4 | type_, vrid, prio, len(addrs) if count is None else count) + middle
    if version == 2:
        body += auth[1].ljust(8, b"\0")
    s = csum(head + b"\0\0" + body) ^ sum_error
    return head + struct.pack("!H", s) + body


SENDER = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
s.setsockopt(0, socket.IP_MULTICAST_TTL, int(sys.argv[1]))
s.setsockopt(0, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[2]))
s.bind((sys.argv[2], 0))
for m in sys.argv[4:] * int(sys.argv[3]):
    s.sendto(bytes.fromhex(m), ("224.0.0.18", 0))
"""


def send_adverts(node, *messages, ttl=255, times=1):
    """Sends IPv4 adverts from a host's own address."""
    source = node.spec.ports[0].addrs[0].split("/")[0]
    node.run("/usr/bin/python3", "-c", SENDER, ttl, source, times, *(m.hex() for m in messages))


__all__ = [n for n in dir() if not n.startswith("_")]
assert Router
