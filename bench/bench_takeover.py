#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What flows notice when a process of the fast plane is killed: bench/run takeover.

A stream of 20,000 packets a second, of 1,000 established UDP flows or each packet of a new one, runs through rtr while
rtr-fastpath, rtrd, or both get SIGKILL. Printed: the packets that did not arrive, as the time that they take at that rate, and
the longest time between two that did; the same without a kill, for on a busy machine the generator itself stops for milliseconds.
"""
import os
import signal
import sys
import time

sys.path.insert(0, f"{__file__.rsplit('/', 1)[0]}/lib")
import plane  # noqa: E402

RATE, SECONDS, FLOWS = 20000, 2.0, 1000
KILLS = {"nobody": (), "rtr-fastpath": ("rtr-fastpath",), "rtrd": ("rtrd",), "both": ("rtr-fastpath", "rtrd")}


def pids(r, names):
    found = {open(f"/proc/{p}/comm").read().strip(): p for p in plane.descendants(r.proc.pid)[1:]}
    return [found[n] for n in names]


def one(p, victims, fresh):
    """(longest gap, what was lost), ms"""
    r = p.topo.fast
    p.on_fast()
    p.begin(plane.FAST)
    p.ask("watch", plane.GAPS, plane.FAST)
    dead = pids(r, victims)
    p.tell("pace", plane.FAST, RATE, SECONDS, int(fresh))
    time.sleep(SECONDS / 4)
    for pid in dead:
        os.kill(pid, signal.SIGKILL)
    sent = p.answer()["sent"]
    time.sleep(0.1)
    got = p.ask("seen", plane.FAST)
    plane.wait_for(lambda: plane.router.answers(r.instance), 20, "rtrd again")
    return max(g["gap_ns"] for g in got) / 1e6, (sent - sum(g["frames"] for g in got)) / RATE * 1e3


def main():
    args = plane.arguments(__doc__)
    rounds = 1 if args.quick else args.rounds
    names = [(f"{'new' if fresh else 'established'}, {who} killed", fresh, v) for fresh in (False, True)
             for who, v in KILLS.items()]
    for name, fresh, victims in names:
        if args.case not in name:
            continue
        with plane.Planes({4: 131072, 6: 16384}) as p:
            p.shape(4, "udp", FLOWS)
            got = [one(p, victims, fresh) for _ in range(rounds)]
        plane.emit("takeover", f"{name}: lost", [n for _, n in got], "ms")
        plane.emit("takeover", f"{name}: gap", [g for g, _ in got], "ms")


if __name__ == "__main__":
    main()
