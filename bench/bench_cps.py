#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""New connections a second through a whole router: bench/run cps.

    UDP  each packet is a new flow's first
    TCP  handshake and close, six segments a connection

rtr with the fast plane beside rtr on the kernel plane, the same configuration. At most 1,024 frames are on
their way at a time, so nothing is lost and the slowest part sets the pace. Flows are as many as the kernel's table holds
by default. "policy" has NAT and 1,000 lines of access lists and is what the target is for; "routed" has neither, and
there the kernel keeps no state at all.

Required with the policy: four times the kernel plane.
"""
import sys

sys.path.insert(0, f"{__file__.rsplit('/', 1)[0]}/lib")
import plane  # noqa: E402

FLOWS = {"udp": 30000, "tcp": 10000}


def rate(p, lane, proto, i):
    n = FLOWS[proto]
    got = p.ask("open", lane, i * n, n)
    if got["arrived"] < 0.999 * n * (6 if proto == "tcp" else 1):
        print(f"cps: {plane.LANES[lane]}: {got['arrived']} frames arrived", file=sys.stderr)
    return n / got["ns"] * 1e6


def main():
    args = plane.arguments(__doc__)
    rounds = min(args.rounds, 2 if args.quick else 6)
    for policy in (False, True):
        for family in (4, 6):
            for proto in FLOWS:
                name = f"{'policy' if policy else 'routed'}, {proto.upper()} IPv{family}"
                if args.case not in name:
                    continue
                try:
                    with plane.Planes({4: 400000, 6: 400000}, policy) as p:
                        p.shape(family, proto, rounds * FLOWS[proto])
                        ours, peer = [], []
                        for i in range(rounds):
                            for lane, runs in ((plane.FAST, ours), (plane.KERNEL, peer)):
                                p.ask("watch", plane.SEEN, lane)
                                runs.append(rate(p, lane, proto, i))
                        must = {"limit": 4, "required": True} if policy else {}
                        plane.emit("cps", name, ours, "k/s", peer, "higher", **must)
                except plane.NotFast as e:
                    print(f"cps: {name}: not on the fast plane: {e}", flush=True)


if __name__ == "__main__":
    main()
