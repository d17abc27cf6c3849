# SPDX-License-Identifier: GPL-2.0-or-later
"""What: two routers side by side for the benches of the fast plane, one on it and one on the kernel plane.

    gen: f0 -- eth0 fast   eth1 -- f1 :gen        lane 0
         k0 -- eth0 kernel eth1 -- k1 :gen        lane 1
         c0 -- drop                               lane 2, what the generator costs

Both run rtrd with the same configuration but for `dataplane`. Frames come from bench/stream, which
describes them; it runs on the last CPU, and so does all that XDP and the kernel do with its frames.
Owns: namespaces, routers and the generator, all gone at the end. Failure: an exception.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, f"{TOP}/tests/lib")
sys.dont_write_bytecode = True

import router  # noqa: E402
from topo import NodeSpec, Port, Spec, Topology, sh, wait_for  # noqa: E402

FAST, KERNEL = 0, 1
LANES = ("fast", "kernel")
INSIDE = (("10.0.1", "2001:db8:1"), ("10.0.2", "2001:db8:2"))
OUTSIDE = (("198.51.100", "2001:db8:100"), ("192.0.2", "2001:db8:200"))
SUMS, SEEN, GAPS, DELAY = 1, 2, 4, 8
SYN, ACK, FIN = 0x02, 0x10, 0x01
SHARE = 0.99  # of frames that XDP has to do alone: a busy machine makes some flows the kernel's


def spec():
    nodes, links = {"gen": NodeSpec("host", [])}, []
    for lane, name in enumerate(LANES):
        for number, (end, nets) in enumerate((("eth0", INSIDE), ("eth1", OUTSIDE))):
            port = f"{name[0]}{number}"
            nodes["gen"].ports.append(Port(port, [f"{nets[lane][0]}.10/24", f"{nets[lane][1]}::10/64"]))
            nodes.setdefault(name, NodeSpec("router", [])).ports.append(Port(end))
            links.append(("gen", port, name, end))
    return Spec(nodes, links)


def policy_lines():
    """1,000 lines of two access lists in front of "all", and NAT of everything from inside."""
    out = []
    for kind, net, rule, all_ in (("ip access-list extended", "10.64.0.0 0.0.255.255", "172.{}.{}.0 0.0.0.255", "ip"),
                                  ("ipv6 access-list", "fd40::/16", "2001:db8:aa{:02x}:{:x}::/64", "ipv6")):
        out += [f"{kind} BENCH"] + [f"deny tcp {rule.format(16 + i % 16, i // 16)} any eq {1000 + i}" for i in range(499)]
        out += [f"permit {all_} any any", f"{kind} LAN", f"permit {all_} {net} any", "exit"]
    return out + ["ip nat pool P 203.0.113.1 203.0.113.64 netmask 255.255.255.0", "ip nat inside source list LAN pool P overload",
                  "ipv6 nat pool P 2001:db8:ff::1 2001:db8:ff::40 prefix-length 64",
                  "ipv6 nat inside source list LAN pool P overload",
                  "interface eth0", "ip access-group BENCH in", "ipv6 traffic-filter BENCH in", "ip nat inside",
                  "ipv6 nat inside", "exit", "interface eth1", "ip nat outside", "ipv6 nat outside", "exit"]


def lines(lane, flows, policy, express=True):
    """The configuration of a router: addresses, routes to the generator's networks, maybe a policy."""
    plane = "fast" if lane == FAST else "kernel"
    out = [f"dataplane flows {'ipv4' if v == 4 else 'ipv6'} {n}" for v, n in flows.items() if lane == FAST]
    for end, nets in (("eth0", INSIDE), ("eth1", OUTSIDE)):
        out += [f"interface {end}", f"ip address {nets[lane][0]}.1/24", f"ipv6 address {nets[lane][1]}::1/64",
                f"dataplane {plane}", f"dataplane express {'on' if express else 'off'}", "no shutdown", "exit"]
    return out + (policy_lines() if policy else []) + [
                  f"ip route 10.64.0.0/16 {INSIDE[lane][0]}.10", f"ip route 198.18.0.0/15 {OUTSIDE[lane][0]}.10",
                  f"ipv6 route fd40::/16 {INSIDE[lane][1]}::10", f"ipv6 route 2001:db8:12::/48 {OUTSIDE[lane][1]}::10"]


class NotFast(Exception):
    """The fast plane does not take this configuration."""


class Planes:
    """with Planes() as p: p.begin(...), p.cost(...)"""

    def __init__(self, flows=None, policy=False, express=True):
        self.flows, self.policy, self.express = flows or {4: 16384, 6: 16384}, policy, express
        self.topo = self.stream = None
        self.n = 0

    def __enter__(self):
        self.topo = Topology(spec(), f"bp{os.getpid()}", router_class=router.Router).create()
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.stream:
            self.stream.stdin.close()
            self.stream.wait(10)
        for name in LANES:
            node = self.topo.nodes[name]
            node.stop()
            router.remove_runtime(node.instance)
            shutil.rmtree(node.folder, ignore_errors=True)
        self.topo.destroy()

    def _start(self):
        gen = self.topo.gen
        gen.ip_batch(["link add c0 type veth peer name drop", "link add park type veth peer name parked"]
                     + [f"link set {i} up" for i in ("c0", "drop", "park", "parked")])
        macs = []
        for lane, name in enumerate(LANES):
            node = self.topo.nodes[name]
            node.start().config(lines(lane, self.flows, self.policy, self.express))
            node.cli("write memory")  # who is killed begins with what was saved
            # Frames redirected into a veth need a NAPI there, which gro makes when it is switched on.
            for end in ("eth0", "eth1") if lane == KERNEL else ():
                node.run("ethtool", "-K", end, "gro", "off")
                node.run("ethtool", "-K", end, "gro", "on")
            macs.append([node.ip_json("link", "show", end)[0]["address"] for end in ("eth0", "eth1")])
        stream = [f"{name[0]}0,{a},{name[0]}1,{b}" for name, (a, b) in zip(LANES, macs)] + ["c0,02:00:00:00:00:01"]
        self.stream = subprocess.Popen(gen.argv("taskset", "-c", os.cpu_count() - 1, f"{router.build_dir()}/bench/stream/stream",
                                               *stream), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()
        self.on_fast()
        for lane, name in enumerate(LANES):
            node = self.topo.nodes[name]
            node.wait_addresses()
            for nets in (INSIDE, OUTSIDE):
                for addr in (f"{nets[lane][0]}.10", f"{nets[lane][1]}::10"):
                    node.run("ping", "-c", "1", "-W", "2", addr)

    def on_fast(self):
        def planes():
            return {i["plane"]: i["reason"] for i in self.topo.fast.json("show dataplane interfaces")}
        try:
            wait_for(lambda: set(planes()) == {"fast"}, 10, "both interfaces on the fast plane")
        except AssertionError:
            raise NotFast(planes().get("kernel", "not at all")) from None

    # ---- the generator ----

    def _answer(self):
        line = self.stream.stdout.readline()
        if not line:
            raise RuntimeError(f"stream ended with status {self.stream.wait()}")
        return json.loads(line)

    def tell(self, *words):
        """Begins a command; answer() ends it."""
        self.stream.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.stream.stdin.flush()

    def answer(self):
        return self._answer()

    def ask(self, *words):
        self.tell(*words)
        return self._answer()

    def shape(self, family, proto, n):
        """What frames are like from now on; flows begin anew."""
        self.n, self.tcp = n, proto == "tcp"
        self.ask("shape", family, proto, n, int(self.policy))

    def walk(self, lane, direction, flags=ACK, seq=1, ack=1, data=True, paced=True):
        """One frame of each flow, in order; paced: no faster than they arrive."""
        self.ask("pass", lane, direction, 0, self.n, flags, seq, ack, int(data), int(paced))

    def begin(self, lane):
        """Establishes all flows: handshakes, both directions; then until XDP has them all."""
        self.ask("watch", SEEN, lane)
        if self.tcp:
            self.walk(lane, 0, SYN, 0, 0, False)
            self.walk(lane, 1, SYN | ACK, 0, 1, False)
            self.walk(lane, 0, ACK, 1, 1, False)
        for _ in range(2):
            self.walk(lane, 0)
            self.walk(lane, 1)
        for _ in range(10 if lane == FAST and self.express else 0):
            if self.express_share() > SHARE:
                break
            time.sleep(0.5)
        self.ask("watch", 0, lane)

    def express_share(self):
        """Of a frame of each flow in each direction, how much does XDP do alone?"""
        before = self.counts()
        for d in (0, 1):
            self.walk(FAST, d)
        return self.share_since(before)

    def share_since(self, before):
        grown = {k: v - before[k] for k, v in self.counts().items()}
        return grown["express"] / max(grown["express"] + grown["to_worker"] + grown["to_kernel"], 1)

    def counts(self):
        """Sums of the fast router's counters."""
        rows = self.topo.fast.json("show dataplane")["counters"]
        return {k: sum(r[k] for r in rows) for k in rows[0] if isinstance(rows[0][k], int)}

    def verify(self, lane):
        """Each flow once in both directions, each frame looked at: lost, wrong, late."""
        self.ask("watch", SUMS, lane)
        for d in (0, 1):
            self.walk(lane, d, paced=False)
        time.sleep(0.05)
        got = self.ask("seen", lane)
        self.ask("watch", 0, lane)
        frames = sum(g["frames"] for g in got)
        return {"lost": 2 * self.n - frames, "wrong": frames - sum(g["right"] for g in got),
                "late": sum(g["late"] for g in got)}

    def cost(self, lane, pairs=9, count=32768):
        """Nanoseconds a frame of the router alone: the median of runs less the control beside each."""
        got = self.ask("cost", lane, pairs, count)
        return statistics.median(a - b for a, b in zip(got["ours"], got["control"]))


    def flow(self, lane, count=65536):
        """Frames as fast as they arrive: (nanoseconds of CPU a frame, rtr-fastpath's included and the generator's not,
        millions a second); None when some did not: nobody had time for 50 ms."""
        control = statistics.median(self.ask("cost", lane, 3, count // 4)["control"])
        pids = [p for p in descendants(self.topo.fast.proc.pid) if comm(p) == "rtr-fastpath"] if lane == FAST else []
        before = cpu_of(pids)
        got = self.ask("flow", lane, count)
        if got["arrived"] < 0.99 * count:
            return None
        return got["inside"] - control + (cpu_of(pids) - before) / got["arrived"], got["arrived"] / got["ns"] * 1e3


def emit(bench, case, ours, unit, peer=None, better="lower", **more):
    """A case for bench/run."""
    line = {"bench": bench, "case": case, "unit": unit, "better": better, "ours_runs": ours, "peer_runs": peer or []}
    if peer:
        line["peer"] = "kernel plane"
    print(json.dumps({**line, **more}), flush=True)


def arguments(doc):
    import argparse
    ap = argparse.ArgumentParser(description=doc)
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--quick", action="store_true")
    ap.add_argument("--case", default="")
    ap.add_argument("--table")
    ap.add_argument("--rules")
    return ap.parse_args()


def cpu_of(pids):
    """Nanoseconds of CPU that all threads of processes have used."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                total += int(f.read().split()[0])
    return total


def comm(pid):
    with open(f"/proc/{pid}/comm") as f:
        return f.read().strip()


def descendants(pid):
    out = [pid]
    for child in sh("pgrep", "-P", str(pid), check=False).stdout.split():
        out += descendants(int(child))
    return out
