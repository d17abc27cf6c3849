#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Commits, beside `ip -batch` with the same routes: bench/run commit.

  10,000 static routes   from exec of rtrctl (or ip) to the last route seen by a netlink monitor
  one line               exec to exit of rtrctl, in a configuration of 10,000 lines
  nothing to do          a SIGHUP with an unchanged file of 10,000 lines, until it is judged
  idle                   wake-ups of rtrd a second
  memory                 resident size with 10,000 routes

Both run in one namespace of the bench's own, in turn, so that they see the same kernel and the
same neighbours.
"""
import argparse
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
BUILD = f"{TOP}/build"
N = 10000
RTM_NEWROUTE, RTM_DELROUTE, RTMGRP_IPV4_ROUTE = 24, 25, 0x40
SO_RCVBUFFORCE = 33


class Monitor(threading.Thread):
    """Counts route messages of one kind; done is set, with the time, at the wanted number."""

    def __init__(self, kind, wanted):
        super().__init__(daemon=True)
        self.kind, self.wanted, self.seen, self.at = kind, wanted, 0, None
        self.done = threading.Event()
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 128 << 20)
        self.sock.bind((0, RTMGRP_IPV4_ROUTE))
        self.start()

    def run(self):
        while self.seen < self.wanted:
            data = self.sock.recv(65536)
            at = 0
            while at + 16 <= len(data):
                size, kind = struct.unpack_from("=IH", data, at)
                self.seen += kind == self.kind
                at += (size + 3) & ~3
        self.at = time.perf_counter()
        self.done.set()

    def wait(self, start):
        if not self.done.wait(60):
            sys.exit(f"commit: only {self.seen} of {self.wanted} routes were seen")
        return (self.at - start) * 1000


def prefix(i):
    return f"10.{64 + i // 256}.{i % 256}.0"


def ip_batch(verb, folder):
    path = f"{folder}/ip-{verb}"
    with open(path, "w") as f:
        f.writelines(f"route {verb} {prefix(i)}/24 via 192.0.2.2 metric 500\n" for i in range(N))
    return path


def timed(kind, argv, stdin=None):
    """Milliseconds from exec to the last of N route messages."""
    m = Monitor(kind, N)
    with open(stdin or os.devnull) as f:
        start = time.perf_counter()
        p = subprocess.Popen(argv, stdin=f, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        ms = m.wait(start)
        out = p.communicate()[0]
    if p.returncode:
        sys.exit(f"commit: {argv[0]}: {out}")
    m.sock.close()
    return ms


class Router:
    def __init__(self, folder):
        self.name = f"bench{os.getpid()}"
        self.config = f"{folder}/etc/rtrd.conf"
        os.mkdir(os.path.dirname(self.config))
        os.chmod(os.path.dirname(self.config), 0o777)
        self.proc = subprocess.Popen([f"{BUILD}/rtrd", "-N", self.name, "-f", self.config],
                                     stderr=subprocess.DEVNULL)
        for _ in range(500):
            if subprocess.run(self.argv("show clock"), capture_output=True).returncode == 0:
                break
            time.sleep(0.01)

    def argv(self, *commands):
        return [f"{BUILD}/rtrctl", "-N", self.name, *(x for c in commands for x in ("-c", c))]

    def cli(self, *commands):
        p = subprocess.run(self.argv(*commands), capture_output=True, text=True)
        if p.returncode:
            sys.exit(f"commit: {commands}: {p.stdout}{p.stderr}")
        return p.stdout

    def child(self):
        with open(f"/proc/{self.proc.pid}/task/{self.proc.pid}/children") as f:
            return int(f.read().split()[0])

    def status(self, key):
        with open(f"/proc/{self.child()}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith(key))

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait()
        subprocess.run(["rm", "-rf", f"/run/rtr/{self.name}", f"/var/lib/rtr/{self.name}"], check=True)


def emit(case, unit, ours, peer=None, peer_runs=(), limit=None, value=False, better="lower"):
    line = {"bench": "commit", "case": case, "unit": unit, "better": better, "ours_runs": ours,
            "peer_runs": list(peer_runs)}
    if peer:
        line["peer"] = peer
    if limit is not None:
        line.update(limit=limit, limit_is_value=value, required=True)
    print(json.dumps(line), flush=True)


def bench_routes(r, folder, rounds):
    add, delete = f"{folder}/add", f"{folder}/del"
    with open(add, "w") as f:
        f.write("configure terminal\n")
        f.writelines(f"ip route {prefix(i)} 255.255.255.0 192.0.2.2\n" for i in range(N))
        f.write("end\n")
    with open(delete, "w") as f:
        f.write("configure terminal\nno ip route\nend\n")
    ip_add, ip_del = ip_batch("add", folder), ip_batch("del", folder)
    ours, peer = [], []
    for k in range(rounds + 1):
        a = timed(RTM_NEWROUTE, r.argv()[:3], add)
        timed(RTM_DELROUTE, r.argv()[:3], delete)
        b = timed(RTM_NEWROUTE, ["ip", "-batch", ip_add])
        timed(RTM_DELROUTE, ["ip", "-batch", ip_del])
        if k:  # the first round warms up
            ours.append(a)
            peer.append(b)
    emit(f"{N} static routes, exec to last route seen", "ms", ours, "ip -batch", peer, 1.0)
    timed(RTM_NEWROUTE, r.argv()[:3], add)


def bench_one_line(r, rounds):
    ours = []
    for k in range(4 * rounds):
        start = time.perf_counter()
        r.cli("configure terminal", f"ip route 10.0.{k % 200}.0 255.255.255.0 Null0", "end")
        ours.append((time.perf_counter() - start) * 1000)
    emit(f"one line in {N}, exec to exit of rtrctl", "ms", ours, limit=10, value=True)


def bench_unchanged(r, rounds):
    r.cli("write memory")
    ours = []
    for _ in range(rounds):
        before = json.loads(r.cli("show reload | json")).get("last", {}).get("time", 0)
        time.sleep(1.1 - time.time() % 1)  # the time of the last reload is told in seconds
        start = time.perf_counter()
        r.proc.send_signal(signal.SIGHUP)
        while json.loads(r.cli("show reload | json")).get("last", {}).get("time", 0) == before:
            pass
        ours.append((time.perf_counter() - start) * 1000)
    emit(f"SIGHUP with {N} lines unchanged", "ms", ours)


def bench_idle(r, seconds):
    before = r.status("voluntary_ctxt")
    time.sleep(seconds)
    emit("idle wake-ups of rtrd", "1/s", [(r.status("voluntary_ctxt") - before) / seconds], limit=0.5,
         value=True)
    emit(f"memory with {N} routes", "MiB", [r.status("VmRSS") / 1024])


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--quick", action="store_true")
    args, _ = ap.parse_known_args()
    if os.geteuid():
        sys.exit("commit: needs root")
    if "RTR_BENCH_NS" not in os.environ:
        os.execvpe("unshare", ["unshare", "-n", "--", "/usr/bin/python3", *sys.argv],
                   dict(os.environ, RTR_BENCH_NS="1"))
    for cmd in ("link set lo up", "link add v0 type veth peer name v1", "link set v1 up"):
        subprocess.run(["ip", *cmd.split()], check=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        r = Router(folder)
        try:
            r.cli("configure terminal", "interface v0", "ip address 192.0.2.1/24", "end")
            bench_routes(r, folder, 3 if args.quick else args.rounds)
            bench_one_line(r, args.rounds)
            bench_unchanged(r, 3)
            bench_idle(r, 5 if args.quick else 30)
        finally:
            r.stop()


if __name__ == "__main__":
    main()
