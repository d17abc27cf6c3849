#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Failover of a pair of routers, rtr beside keepalived on the same topology: bench/run failover.

  kill      a power cut: everything of the master stops at once, says nothing, and both links are cut
  link      the master's LAN port loses its carrier
  stop      the master is asked to end (SIGTERM)

at adverts of 1 s, 100 ms and 10 ms. A stream of 10,000 packets a second goes from a host through the
pair's virtual address to a host behind it. Outage: the longest time between two packets that arrived,
by the kernel's clock, less what the sender itself was late where nothing is missing between them;
lost: packets that did not arrive. It fails half an interval after an advert. Rounds alternate between rtr and
keepalived, with groups on both sides of the routers in one sync group. Judged with physical MACs,
keepalived's own default. With virtual MACs the figures only inform, of few rounds: keepalived's backup
keeps its macvlan up and forwards what a switch floods while the master is dead, which RFC 9568 (section
6.4.2) forbids; rtr's waits for its own turn. FRR's vrrpd, which has virtual MACs only, runs in those
rounds too.

A round of 1 s adverts is mostly waiting, so several run side by side: LANES; the next one starts while
the last one is cleared away. A round that fails to settle is made again, twice at most, and each has an
end; one that fails for good is left out, and told. The whole of 50 rounds takes three quarters of an
hour. It can be had in sittings:

  bench/run failover --keep FILE --minutes 20     as often as it takes

Every round is written to FILE as it ends, and counts in the next sitting as long as the programs are the
same; all cells get their rounds in turn, so that an unfinished run judges each of them by as many.
--case TEXT takes the cells whose name contains it.

Required: the median is at most 1.05 x keepalived + 2 ms in every cell, a stop loses nothing, and at
10 ms adverts 98 of 100 kills cost less than 50 ms.

  groups    CPU of rtr-vrrpd with 1,000 groups on 4 links, master, adverts at 100 ms: under 10 % of
            a core
"""
import argparse
import concurrent.futures
import ctypes
import hashlib
import json
import os
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
sys.path.insert(0, f"{TOP}/tests/lib")
sys.dont_write_bytecode = True

import router  # noqa: E402
import vrrp  # noqa: E402
from topo import NETNS_DIR, NodeSpec, Port, Spec, Topology, kill_all, pids_in, remove_namespaces, wait_for  # noqa: E402

RATE, BURST, FIRST = 10000, 10, 1000
INTERVALS = (1000, 100, 10)
EVENTS = ("kill", "link", "stop")
PORT, DST = 9, "10.0.2.10"
# Rounds at a time: a stream costs a fifth of a core, and at 10 ms adverts every millisecond counts.
LANES = {1000: 4, 100: 2, 10: 1}
INFORM = 5  # rounds of a case that is not judged
TRIES = 3
ROUND_SEC = 60  # four times the longest
GROUPS = "1,000 groups, adverts of 100 ms"
MISSED, N_REQUIRED = [], [0]  # what has been judged
ENDING = []  # rounds that only have to go


# ---- the stream: this program again, inside the hosts; below the routers' real-time priority ----

def real_time():
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))


def source(seconds):
    """Numbered datagrams with their time, BURST at a time; prints how many."""
    real_time()
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    n, start = 0, time.monotonic()
    while (now := time.monotonic()) < start + seconds:
        due = int((now - start) * RATE) // BURST * BURST
        while n < due:
            try:
                s.sendto(struct.pack("!QQ", n, time.monotonic_ns()), (DST, PORT))
            except OSError:
                pass  # nobody answers ARP at the moment: lost like any other
            n += 1
        time.sleep(max(0.0, start + (n + BURST) / RATE - time.monotonic()))
    print(n, flush=True)


class Gaps:
    """The longest time between two arrivals, less what the sender was late."""

    def __init__(self):
        self.n, self.worst, self.last = 0, 0, None

    def add(self, number, sent, arrived):
        if self.last:
            gap = arrived - self.last[2]
            if number == self.last[0] + 1:
                gap -= sent - self.last[1]
            self.worst = max(self.worst, gap)
        self.n, self.last = self.n + 1, (number, sent, arrived)


def arrival(ancillary):
    """The kernel's time stamp of a datagram, ns."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, 35):  # SO_TIMESTAMPNS
            sec, ns = struct.unpack("qq", data)
            return sec * 10**9 + ns
    return time.time_ns()


def sink():
    """Until SIGTERM; tells that it is ready, that it has the first ones, then how many datagrams there were, the
    longest gap (s) and the last number."""
    real_time()
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
    s.setsockopt(socket.SOL_SOCKET, 35, 1)
    s.bind(("", PORT))
    s.setblocking(False)
    wake, end = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(end, b"x"))
    print("ready", flush=True)
    gaps = Gaps()
    while True:
        ready = select.select([s, wake], [], [])[0]
        if s in ready:
            try:
                while True:
                    data, ancillary, _, _ = s.recvmsg(64, 64)
                    gaps.add(*struct.unpack("!QQ", data), arrival(ancillary))
                    if gaps.n == FIRST:
                        print("flows", flush=True)
            except BlockingIOError:
                pass
        elif wake in ready:
            break
    print(gaps.n, gaps.worst / 1e9, gaps.last[0] if gaps.last else -1, flush=True)


def next_advert():
    """Prints when the master's next advert is heard on the LAN."""
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
    s.setsockopt(0, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("224.0.0.18") + socket.inet_aton("10.0.1.10"))
    s.recv(256)
    print(time.monotonic(), flush=True)


# ---- the routers ----

def pair():
    """src -- swl == r1, r2 == swr -- dst: the routers differ in their last digit."""
    def segment(net, names):
        return [Port("eth0", [f"{net}.{n}/24"]) for n in names]
    nodes = {
        "src": NodeSpec("host", segment("10.0.1", [10]), [("0.0.0.0/0", "10.0.1.1")]),
        "swl": NodeSpec("bridge", [Port("p0"), Port("p1"), Port("p2")]),
        "r1": NodeSpec("router", [Port("eth0", ["10.0.1.2/24"]), Port("eth1", ["10.0.2.2/24"])]),
        "r2": NodeSpec("router", [Port("eth0", ["10.0.1.3/24"]), Port("eth1", ["10.0.2.3/24"])]),
        "swr": NodeSpec("bridge", [Port("p0"), Port("p1"), Port("p2")]),
        "dst": NodeSpec("host", segment("10.0.2", [10]), [("0.0.0.0/0", "10.0.2.1")]),
    }
    links = [("src", "eth0", "swl", "p0"), ("r1", "eth0", "swl", "p1"), ("r2", "eth0", "swl", "p2"),
             ("dst", "eth0", "swr", "p0"), ("r1", "eth1", "swr", "p1"), ("r2", "eth1", "swr", "p2")]
    return Spec(nodes, links)


class Rtr:
    """rtr on one node."""

    def __init__(self, node, number, ms, mac, folder):
        self.node = node
        prio = 120 - 10 * number
        lines = ["vrrp sync-group all members 1"]
        for i in (0, 1):
            lines += [f"interface eth{i}", f"ip address 10.0.{i + 1}.{number + 1}/24", "no shutdown",
                      "vrrp 1 address-family ipv4", f"priority {prio}", f"timers advertise {ms}",
                      f"mac-address {mac}", f"address 10.0.{i + 1}.1 primary", "exit", "exit"]
        node.start()
        node.cli("configure candidate", *lines, "commit", "end")

    def master(self):
        return {g["state"] for g in self.node.json("show vrrp")} == {"MASTER"}

    def stop(self):
        self.node.proc.terminate()

    def cleanup(self):
        router.remove_runtime(self.node.instance)
        subprocess.run(["rm", "-rf", self.node.folder], check=True)


class Keepalived:
    """keepalived on one node, with the same timers, priorities and MACs."""

    def __init__(self, node, number, ms, mac, folder):
        self.node, self.log = node, f"{folder}/{node.name}.log"
        node.topology.kernel_forwarding(node.name)
        groups = "".join(f"""vrrp_instance V{i} {{
  state BACKUP
  interface eth{i}
  virtual_router_id 1
  priority {120 - 10 * number}
  advert_int {ms / 1000}
  {"use_vmac" if mac == "virtual" else ""}
  virtual_ipaddress {{
    10.0.{i + 1}.1/32
  }}
}}
""" for i in (0, 1))
        with open(f"{folder}/{node.name}.conf", "w") as f:
            f.write("global_defs {\n  vrrp_version 3\n  vrrp_rt_priority 40\n}\n"
                    "vrrp_sync_group all {\n  group {\n    V0\n    V1\n  }\n}\n" + groups)
        with open(self.log, "wb") as out:
            self.proc = node.popen("keepalived", "-n", "-l", "-P", "-f", f"{folder}/{node.name}.conf",
                                   "-p", f"{folder}/{node.name}.pid", "-r", f"{folder}/{node.name}.vpid",
                                   stdout=out, stderr=out)

    def master(self):
        with open(self.log, errors="replace") as f:
            text = f.read()
        return all(text.rfind(f"(V{i}) Entering MASTER") > max(text.rfind(f"(V{i}) Entering BACKUP"), -1)
                   for i in (0, 1))

    def stop(self):
        self.proc.terminate()

    def cleanup(self):
        pass


FRR = f"{vrrp.Frr.LIB}/vrrpd"


class Frr:
    """zebra and FRR's vrrpd on one node, with the macvlans that they want to find. FRR has no sync groups."""

    def __init__(self, node, number, ms, mac, folder):
        node.topology.kernel_forwarding(node.name)
        self.frr = vrrp.Frr(node, prio=120 - 10 * number, adver=ms,
                            ports=[(f"eth{i}", f"10.0.{i + 1}.1") for i in (0, 1)])

    def master(self):
        return {g["v4"]["status"] for g in self.frr.show()} == {"Master"}

    def stop(self):
        for p in self.frr.procs:
            p.terminate()

    def cleanup(self):
        subprocess.run(["rm", "-rf", self.frr.folder], check=True)


def stream(topo, seconds):
    """Starts it; returns once it arrives. The function that waits for its end gives (lost, outage in ms)."""
    def start(node, *args):
        return node.popen("/usr/bin/python3", os.path.abspath(__file__), *args, stdout=subprocess.PIPE)

    to = start(topo.dst, "sink")
    to.stdout.readline()
    sender = start(topo.src, "source", seconds)
    to.stdout.readline()

    def result():
        sent = int(sender.communicate()[0])
        time.sleep(0.1)
        to.send_signal(signal.SIGTERM)
        got, gap, last = to.communicate()[0].split()
        if int(last) != sent - 1:
            raise RuntimeError(f"nobody forwards at the end: {last} of {sent - 1} is the last that arrived")
        return sent - int(got), float(gap) * 1000

    return result


class Cable:
    """The carrier of a bridge's port, cut by one system call: `ip` would take milliseconds to start."""

    def __init__(self, node, port):
        libc, here = ctypes.CDLL(None, use_errno=True), os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(f"{NETNS_DIR}/{node.netns}", os.O_RDONLY)
        try:
            if libc.setns(there, 0):
                raise OSError(ctypes.get_errno(), "setns")
            self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
            self.index = socket.if_nametoindex(port)
        finally:
            libc.setns(here, 0)
            os.close(here)
            os.close(there)

    def cut(self):
        up, newlink, request = 1, 16, 1
        self.socket.send(struct.pack("=IHHII", 32, newlink, request, 1, 0) +
                         struct.pack("=BxHiII", socket.AF_UNSPEC, 0, self.index, 0, up))


def fail(topo, event, ms, master):
    lan, wan = Cable(topo.swl, "p1"), Cable(topo.swr, "p1")
    pids = pids_in(topo.r1.netns)
    # At one phase of the interval: by chance it would be an interval's worth of noise.
    at = float(topo.src.run("/usr/bin/python3", os.path.abspath(__file__), "next-advert").stdout) + ms / 2000
    while at < time.monotonic():
        at += ms / 1000
    time.sleep(at - time.monotonic())
    if event == "stop":
        master.stop()
        return
    if event == "kill":
        # First of all silence: the kernel takes milliseconds for a link, and would tell of it.
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
    lan.cut()
    if event == "kill":
        wan.cut()
        kill_all(pids_in(topo.r1.netns))


KINDS = {"rtr": Rtr, "keepalived": Keepalived, "frr": Frr}


def one(kind, event, ms, mac, folder, number):
    """A round, in a process of its own; prints (lost, outage in ms)."""
    folder = f"{folder}/{number}"
    os.mkdir(folder)
    topo = Topology(pair(), f"fo{os.getpid()}", router_class=router.Router).create()
    made = []
    try:
        for n, name in ((1, "r1"), (2, "r2")):
            made.append(KINDS[kind](topo.nodes[name], n, ms, mac, folder))
            if n == 1:
                wait_for(made[0].master, 10 + ms / 100, f"{kind}: a master")
        topo.src.ping(DST, count=3)
        # Both have settled after their start; the backup hears the advert after which it happens, too.
        time.sleep(0.5 + 0.5 * ms / 1000)
        wait_for(lambda: made[0].master() and not made[1].master(), 10, f"{kind}: r1 alone is master")
        # It fails within two intervals, and is over 3.6 intervals later, one where the master resigns; the rest is for
        # starting programs.
        result = stream(topo, 1.2 + (3 if event == "stop" else 5.6) * ms / 1000)
        fail(topo, event, ms, made[0])
        print(*result(), flush=True)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # who waits for us goes on
    finally:
        kill_all([p for n in ("r1", "r2", "src", "dst") for p in pids_in(topo.nodes[n].netns)])
        for m in made:
            m.cleanup()
        topo.destroy()


def round_of(*args):
    """(lost, outage in ms), or None: it failed for good."""
    for left in reversed(range(TRIES)):
        p = subprocess.Popen(["/usr/bin/python3", os.path.abspath(__file__), "round", *map(str, args[:-1]), f"{args[-1]}.{left}"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        why = "no end"
        try:
            until_closed(p.stdout, ROUND_SEC)
            lost, outage = p.stdout.read().split()
            ENDING.append(p)
            return int(lost), float(outage)
        except (ValueError, TimeoutError):
            p.kill()
            why = p.communicate()[1]
            remove_namespaces(f"fo{p.pid}-")
    print(f"a round failed {TRIES} times: {' '.join(map(str, args[:4]))}: {why.strip().splitlines()[-1:]}", flush=True)
    return None


def until_closed(stream, seconds):
    """Waits for its end; what little was written is read after that."""
    poller = select.poll()
    poller.register(stream, select.POLLHUP)
    if not poller.poll(seconds * 1000):
        raise TimeoutError


def cleared_away(wait):
    """The namespaces and processes of rounds whose results are there."""
    for p in ENDING[:]:
        if wait or p.poll() is not None:
            p.communicate(timeout=ROUND_SEC)
            ENDING.remove(p)


class Kept:
    """The rounds that were made, in this sitting and in those before it."""

    def __init__(self, path):
        self.rounds, self.file = [], None
        digest = hashlib.sha256()
        for name in ("rtrd", "rtr-vrrpd"):
            with open(router.program(name), "rb") as f:
                digest.update(f.read())
        self.program = digest.hexdigest()[:16]
        if not path:
            return
        if os.path.exists(path):
            with open(path) as f:
                lines = [json.loads(line) for line in f]
            self.rounds = [r for r in lines if r["program"] == self.program]
            print(f"{path}: {len(self.rounds)} rounds of these programs, {len(lines) - len(self.rounds)} of others")
        self.file = open(path, "a")

    def add(self, cell, kind, result):
        r = {"program": self.program, "cell": cell, "kind": kind, "result": result}
        self.rounds.append(r)
        if self.file:
            self.file.write(json.dumps(r) + "\n")
            self.file.flush()

    def of(self, cell, kind):
        """Also those that failed, as None."""
        return [r["result"] for r in self.rounds if (r["cell"], r["kind"]) == (cell, kind)]

    def good(self, cell, kind):
        return [r for r in self.of(cell, kind) if r is not None]


# ---- cases ----

NOTE = ("Virtual MAC: the backups of keepalived and frr keep their macvlan up, and forward what the switch floods to the "
        "dead master's MAC, which RFC 9568 (section 6.4.2) forbids; rtr's backup waits for its own turn.")


def emit(case, ours, peer=(), unit="ms", limit=None, required=False, name="keepalived"):
    """The median of ours is held to the limit."""
    if required:
        N_REQUIRED[0] += 1
        if statistics.median(ours) > limit:
            MISSED.append(case)
    print(json.dumps({"bench": "failover", "case": case, "unit": unit, "better": "lower", "ours_runs": ours,
                      "peer_runs": list(peer), "peer": name if peer else None, "limit": limit,
                      "limit_is_value": True, "required": required,
                      **({"note": NOTE} if "virtual MAC" in case else {})}), flush=True)


def case_name(event, ms, mac):
    return f"{event}, adverts {ms} ms{', virtual MAC' if mac == 'virtual' else ''}"


def kinds_of(mac):
    return ["rtr", "keepalived", *(["frr"] if mac == "virtual" and os.access(FRR, os.X_OK) else [])]


def more_rounds(kept, event, ms, mac, n, folder):
    """n of each kind, in turn."""
    name, kinds = case_name(event, ms, mac), kinds_of(mac)
    first = len(kept.rounds)
    with concurrent.futures.ThreadPoolExecutor(LANES[ms]) as lanes:
        made = [(k, lanes.submit(round_of, k, event, ms, mac, folder, f"{event}-{ms}-{mac}-{first}-{i}-{k}"))
                for i in range(n) for k in (kinds if i % 2 == 0 else reversed(kinds))]
        for kind, result in made:
            kept.add(name, kind, result.result())


def sitting(kept, cells, folder, until):
    """Rounds for all cells in turn, those that are judged first, until each has what it wants or the time is up."""
    while time.monotonic() < until:
        left = {c: want - min(len(kept.of(case_name(*c), k)) for k in kinds_of(c[2])) for c, want in cells.items()}
        left = {c: n for c, n in left.items() if n > 0}
        judged = {c: n for c, n in left.items() if c[2] == "physical"}
        left = judged or left
        if not left:
            return
        for (event, ms, mac), n in left.items():
            if time.monotonic() < until:
                more_rounds(kept, event, ms, mac, min(n, LANES[ms]), folder)
                cleared_away(wait=False)


def judge(kept, event, ms, mac, want):
    """Prints what the rounds of a cell say."""
    name, judged = case_name(event, ms, mac), mac == "physical"
    ours = kept.good(name, "rtr")
    if not ours:
        return
    failed = len(kept.of(name, "rtr")) - len(ours)
    if len(ours) + failed < want or failed:
        print(f"{name}: {len(ours)} of {want} rounds so far, {failed} failed", flush=True)
    if failed and judged:
        N_REQUIRED[0] += 1
        MISSED.append(f"{name}: rounds that failed")
    for other in kinds_of(mac)[1:]:
        peer = kept.good(name, other)
        if not peer:
            continue
        beside = "" if other == "keepalived" else f", beside {other}"
        emit(f"{name}: outage{beside}", [r[1] for r in ours], [r[1] for r in peer],
             limit=1.05 * statistics.median(r[1] for r in peer) + 2 if judged else None, required=judged, name=other)
        emit(f"{name}: lost{beside}", [r[0] for r in ours], [r[0] for r in peer], "packets", name=other)
    if event == "stop":
        emit(f"{name}: lost, the worst of {len(ours)}", [max(r[0] for r in ours)], unit="packets", limit=0, required=True)
    if event == "kill" and ms == 10 and judged:
        worst = sorted(r[1] for r in ours)[max(0, -(-len(ours) * 98 // 100) - 1)]
        emit(f"{name}: 98th of 100", [worst], limit=50, required=True)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        field = f.read().rsplit(")", 1)[1].split()
    return (int(field[11]) + int(field[12])) / os.sysconf("SC_CLK_TCK")


def many_groups(seconds):
    """CPU of rtr-vrrpd, in percent of a core: 4 links x 250 groups, all master."""
    nodes = {"r1": NodeSpec("router", [Port(f"eth{i}") for i in range(4)])}
    links = []
    for i in range(4):
        nodes[f"h{i}"] = NodeSpec("host", [Port("eth0", [f"10.{i + 1}.255.1/16"])])
        links.append(("r1", f"eth{i}", f"h{i}", "eth0"))
    topo = Topology(Spec(nodes, links), f"fo{os.getpid()}", router_class=router.Router).create()
    r1 = topo.r1
    try:
        r1.start()
        lines = []
        for i in range(4):
            lines += [f"interface eth{i}", f"ip address 10.{i + 1}.255.2/16", "no shutdown"]
            for g in range(1, 251):
                lines += [f"vrrp {g} address-family ipv4", "timers advertise 100", "mac-address physical",
                          f"address 10.{i + 1}.{g}.1 primary", "exit"]
            lines.append("exit")
        r1.cli("configure candidate", *lines, "commit", "end")
        wait_for(lambda: {g["state"] for g in r1.json("show vrrp")} == {"MASTER"}, 20, "1,000 masters")
        time.sleep(7)  # the announcements of the beginning
        pid = vrrp.vrrpd_pid(r1)
        before = cpu_seconds(pid)
        time.sleep(seconds)
        return (cpu_seconds(pid) - before) / seconds * 100
    finally:
        r1.stop()
        router.remove_runtime(r1.instance)
        subprocess.run(["rm", "-rf", r1.folder], check=True)
        topo.destroy()


def main():
    inside = {"source": lambda: source(float(sys.argv[2])), "sink": sink, "next-advert": next_advert,
              "round": lambda: one(sys.argv[2], sys.argv[3], int(sys.argv[4]), *sys.argv[5:])}
    if len(sys.argv) > 1 and sys.argv[1] in inside:
        inside[sys.argv[1]]()
        return
    ap = argparse.ArgumentParser()
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--quick", action="store_true")
    ap.add_argument("--case", default="")
    ap.add_argument("--keep", metavar="FILE")
    ap.add_argument("--minutes", type=float, default=24 * 60)
    args, _ = ap.parse_known_args()  # the driver has flags for others too
    rounds = args.rounds if args.quick or args.rounds != 5 else 50
    kept, until = Kept(args.keep), time.monotonic() + args.minutes * 60
    cells = {(event, ms, mac): rounds if mac == "physical" else min(rounds, INFORM)
             for mac in ("physical", "virtual") for ms in INTERVALS for event in EVENTS
             if args.case in case_name(event, ms, mac)}
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        sitting(kept, cells, folder, until)
        cleared_away(wait=True)
    for c, want in cells.items():
        judge(kept, *c, want)
    if args.case in GROUPS:
        if not kept.good(GROUPS, "rtr"):
            kept.add(GROUPS, "rtr", [many_groups(5)])
        emit(f"{GROUPS}: CPU", [r[0] for r in kept.good(GROUPS, "rtr")], unit="%", limit=10, required=True)
    if MISSED:
        print(f"missed: {'; '.join(MISSED)}")
    print(f"failover: {N_REQUIRED[0] - len(MISSED)} of {N_REQUIRED[0]} required limits hold", flush=True)


if __name__ == "__main__":
    main()
