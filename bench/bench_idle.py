#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What rtr costs when nothing passes, with the fast plane and without: bench/run idle.

CPU of all its processes, in percent of a core; two interfaces, one worker, room for 131,072 + 32,768 flows.

Required: under 1 % with the fast plane.
"""
import sys
import time

sys.path.insert(0, f"{__file__.rsplit('/', 1)[0]}/lib")
import plane  # noqa: E402


def percent(node, seconds):
    pids = plane.descendants(node.proc.pid)
    before = plane.cpu_of(pids)
    time.sleep(seconds)
    return (plane.cpu_of(pids) - before) / seconds / 1e7


def main():
    args = plane.arguments(__doc__)
    seconds = 2 if args.quick else 5
    with plane.Planes({4: 131072, 6: 32768}) as p:
        time.sleep(2)  # the beginning
        ours, peer = [], []
        for _ in range(args.rounds):
            ours.append(percent(p.topo.fast, seconds))
            peer.append(percent(p.topo.kernel, seconds))
    plane.emit("idle", "CPU with no traffic", ours, "% core", limit=1, limit_is_value=True, required=True)
    plane.emit("idle", "CPU with no traffic, beside the kernel plane", ours, "% core", peer)


if __name__ == "__main__":
    main()
