#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""iperf3 through a whole router, segments of 1,500 bytes: bench/run tcp.

rtr with the fast plane beside rtr on the kernel plane with GRO on, between two hosts each, whose tso, gso and
checksum offload are off; 1 and 8 connections, to the server and from it, both families.

Required: never below the kernel plane.
"""
import os
import shutil
import sys

sys.path.insert(0, f"{__file__.rsplit('/', 1)[0]}/lib")
import plane  # noqa: E402
from plane import router  # noqa: E402
from topo import NodeSpec, Port, Spec, Topology  # noqa: E402


def spec():
    nodes, links = {}, []
    for lane, name in enumerate(plane.LANES):
        inside, outside = plane.INSIDE[lane], plane.OUTSIDE[lane]
        for host, net, end in ((f"{name}c", inside, "eth0"), (f"{name}s", outside, "eth1")):
            nodes[host] = NodeSpec("host", [Port("eth0", [f"{net[0]}.10/24", f"{net[1]}::10/64"])],
                                   [("default", f"{net[0]}.1"), ("default", f"{net[1]}::1")])
            nodes.setdefault(name, NodeSpec("router", [])).ports.append(Port(end))
            links.append((host, "eth0", name, end))
    return Spec(nodes, links)


def speed(topo, lane, family, streams, back, seconds):
    name = plane.LANES[lane]
    dest = f"{plane.OUTSIDE[lane][0]}.10" if family == 4 else f"{plane.OUTSIDE[lane][1]}::10"
    got = topo.nodes[f"{name}c"].iperf3(dest, seconds, args=("-P", streams, *(["-R"] if back else [])))
    return got["end"]["sum_received"]["bits_per_second"] / 1e9


def start(topo):
    for lane, name in enumerate(plane.LANES):
        node = topo.nodes[name]
        node.start().config(plane.lines(lane, {}, False))
        for end in ("eth0", "eth1") if lane == plane.KERNEL else ():
            node.run("ethtool", "-K", end, "gro", "off")
            node.run("ethtool", "-K", end, "gro", "on")
        node.wait_addresses()
        topo.nodes[f"{name}s"].iperf3_server()
    plane.wait_for(lambda: {i["plane"] for i in topo.fast.json("show dataplane interfaces")} == {"fast"}, 20,
                   "both interfaces on the fast plane")


def measure(topo, args):
    for family in (4, 6):
        for streams in (1, 8):
            for back in (False, True):
                name = f"IPv{family}, {streams} connections, {'from' if back else 'to'} the server"
                if args.case not in name:
                    continue
                runs = ([], [])
                for _ in range(args.rounds):
                    for lane in (plane.FAST, plane.KERNEL):
                        runs[lane].append(speed(topo, lane, family, streams, back, 1 if args.quick else 2))
                plane.emit("tcp", name, runs[0], "Gbit/s", runs[1], "higher", limit=1.0, required=True)


def main():
    args = plane.arguments(__doc__)
    topo = Topology(spec(), f"bt{os.getpid()}", router_class=router.Router).create()
    try:
        start(topo)
        measure(topo, args)
    finally:
        for name in plane.LANES:
            node = topo.nodes[name]
            node.stop()
            router.remove_runtime(node.instance)
            shutil.rmtree(node.folder, ignore_errors=True)
        topo.destroy()


if __name__ == "__main__":
    main()
