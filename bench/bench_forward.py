#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a packet of an established flow costs a whole router: bench/run forward.

rtr with the fast plane beside rtr on the kernel plane, the same configuration, frames of 84 bytes of flows
in random order and direction; cost = 1/rate - 1/rate(generator -> drop), each run beside one of the
control. All flows are established through the router first (TCP by handshakes), and every flow's frames
are looked at on arrival: order, hop limit, checksums. TCP connections send one way and acknowledge the
other. "routed" has no policy; "policy" has NAT and an access list of 500 lines in each family.

"worker" has no express lane: everything goes through AF_XDP and a worker on another core, and what counts is the
CPU time of both cores; frames are sent as fast as they arrive, and none is lost.

Required: at most 200 ns with 4,096 flows, at most 430 ns with 1,000,000; with the policy an eighth of the
kernel plane's; of the worker with the policy half of the kernel plane's CPU time.
"""
import sys

sys.path.insert(0, f"{__file__.rsplit('/', 1)[0]}/lib")
import plane  # noqa: E402

KINDS = [(4, "udp"), (4, "tcp"), (6, "udp"), (6, "tcp")]
FEW, MANY = 4096, 1000000


def case(p, name, family, proto, n, rounds):
    lanes = (plane.FAST, plane.KERNEL) if n == FEW else (plane.FAST,)
    p.shape(family, proto, n)
    for lane in lanes:
        p.begin(lane)
        got = p.verify(lane)
        # A flow that XDP does not have yet goes by a worker: others overtake it.
        if got["wrong"] or max(got["late"], got["lost"]) > n / 100:
            sys.exit(f"forward: {name}, {plane.LANES[lane]}: {got}")
    ours, peer, before = [], [], p.counts()
    for _ in range(rounds):
        ours.append(p.cost(plane.FAST))
        if plane.KERNEL in lanes:
            peer.append(p.cost(plane.KERNEL))
    if (share := p.share_since(before)) < plane.SHARE:
        print(f"forward: {name}: only {share:.2%} was express: the machine is too busy", flush=True)
        return
    plane.emit("forward", name, ours, "ns", limit=200 if n == FEW else 430, limit_is_value=True, required=True)
    if peer:
        must = {"limit": 1 / 8, "required": True} if p.policy else {}
        plane.emit("forward", f"{name}, against the kernel", ours, "ns", peer, **must)


def worker(p, name, family, proto, rounds):
    p.shape(family, proto, FEW)
    for lane in (plane.FAST, plane.KERNEL):
        p.begin(lane)
    runs = {plane.FAST: [], plane.KERNEL: []}
    for _ in range(rounds):
        for lane, got in runs.items():
            express = p.counts()["express"]
            run = p.flow(lane)
            # A worker that has no CPU for 50 ms is dead to XDP, which forwards alone then.
            if run and p.counts()["express"] == express:
                got.append(run)
    if min(len(got) for got in runs.values()) <= rounds / 2:
        print(f"forward: {name}: no worker or frames lost in most runs: the machine is too busy", flush=True)
        return
    per_cpu = {lane: [1e3 / ns for ns, _ in got] for lane, got in runs.items()}
    must = {"limit": 2, "required": True} if p.policy else {}
    plane.emit("forward", f"{name}, packets per CPU-second", per_cpu[plane.FAST], "M/s", per_cpu[plane.KERNEL], "higher",
               **must)
    plane.emit("forward", f"{name}, rate", [mpps for _, mpps in runs[plane.FAST]], "Mpps",
               [mpps for _, mpps in runs[plane.KERNEL]], "higher")


def main():
    args = plane.arguments(__doc__)
    for policy in (False, True):
        for n in (FEW,) if args.quick else (FEW, MANY):
            for family, proto in KINDS:
                name = f"{'policy' if policy else 'routed'}, {proto.upper()} IPv{family}, {n:,} flows"
                if args.case not in name:
                    continue
                flows = {4: 16384, 6: 16384}
                flows[family] = max(16384, n + n // 10)
                try:
                    with plane.Planes(flows, policy) as p:
                        case(p, name, family, proto, n, args.rounds)
                except plane.NotFast as e:
                    print(f"forward: {name}: not on the fast plane: {e}", flush=True)
        for family, proto in KINDS:
            name = f"{'policy' if policy else 'routed'}, worker, {proto.upper()} IPv{family}"
            if args.case not in name:
                continue
            with plane.Planes(policy=policy, express=False) as p:
                worker(p, name, family, proto, args.rounds)


if __name__ == "__main__":
    main()
