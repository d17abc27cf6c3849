#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How long packets take through a whole router under load: bench/run latency.

Every frame is stamped when it is made and looked at when it arrives. 1,000 established flows, both directions, at
1, 10, 50 and 90 % of what the kernel plane forwards at most (measured first): the same packets a second for
rtr with the fast plane and for rtr on the kernel plane. Frames come in bursts of 0.25 ms, as from a busy NIC.

Required: p50 and p99 no worse than the kernel plane's.
"""
import sys

sys.path.insert(0, f"{__file__.rsplit('/', 1)[0]}/lib")
import plane  # noqa: E402

LOADS = (1, 10, 50, 90)


def most(p):
    """Frames a second of the kernel plane, the generator's time included."""
    got = p.ask("cost", plane.KERNEL, 9, 32768)
    return 1e9 / sorted(got["ours"])[4]


def main():
    args = plane.arguments(__doc__)
    seconds = 0.5 if args.quick else 2
    for policy in (False, True):
        kind = "policy" if policy else "routed"
        if not any(args.case in f"{kind}, UDP IPv4 at {load} %, p{q}" for load in LOADS for q in (50, 99)):
            continue
        try:
            with plane.Planes(policy=policy) as p:
                p.shape(4, "udp", 1000)
                for lane in (plane.FAST, plane.KERNEL):
                    p.begin(lane)
                top = most(p)
                for load in LOADS:
                    runs = {}
                    for _ in range(args.rounds):
                        for lane in (plane.FAST, plane.KERNEL):
                            p.ask("watch", plane.DELAY, lane)
                            sent = p.ask("pace", lane, round(top * load / 100), seconds, 0)["sent"]
                            got = p.ask("seen", lane)
                            if sent - sum(g["frames"] for g in got) > sent / 1000:
                                print(f"latency: {plane.LANES[lane]} at {load} %: lost of {sent}: {got}", file=sys.stderr)
                            for q in (50, 99):
                                runs.setdefault((lane, q), []).append(max(g[f"p{q}"] for g in got) / 1000)
                    for q in (50, 99):
                        plane.emit("latency", f"{kind}, UDP IPv4 at {load} %, p{q}", runs[plane.FAST, q], "us",
                                   runs[plane.KERNEL, q], limit=1.0, required=True)
        except plane.NotFast as e:
            print(f"latency: {kind}: not on the fast plane: {e}", flush=True)


if __name__ == "__main__":
    main()
