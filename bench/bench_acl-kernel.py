#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Access lists of 10, 1,000 and 10,000 ClassBench lines in the kernel plane: bench/run acl-kernel.

  new flows     every packet a flow of its own, at a random point of a random line
  established   later packets of 4,096 of these, answered before

Cost is CPU time of the router's core a packet, the generator's own taken off. Beside it the same
lines as a plain linear nft ruleset. Required: at 10,000 lines established flows at 98 % of the rate
at 10, new flows at 65 %: 10 / 10,000 is the ratio printed, as if the small list were the peer.
"""
import argparse
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import acl  # noqa: E402

SETS, SIZES = ("acl1", "fw1", "ipc1"), (10, 1000, 10000)


def emit(case, ours, peer=None, peer_runs=(), limit=None):
    line = {"bench": "acl-kernel", "case": case, "unit": "ns", "better": "lower", "ours_runs": ours,
            "peer_runs": list(peer_runs)}
    if peer and peer_runs:
        line["peer"] = peer
    if limit:
        line.update(limit=limit, required=True)
    print(json.dumps(line), flush=True)


FEW = 4096


def write_frames(lab, of, path):
    acl.frames(of, lab.mac["r0"], path)
    acl.frames(of[:FEW], lab.mac["r1"], path + ".back", acl.SYNACK)
    acl.frames(of[:FEW], lab.mac["r0"], path + ".few", acl.ACK)


def measure(lab, path, flows):
    lab.forget()
    new = lab.flood(path, 30, flows)
    lab.back(path + ".back", FEW)
    return new, lab.flood(path + ".few", 0.5)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--quick", action="store_true")
    ap.add_argument("--rules")
    ap.add_argument("--case", default="")
    args, _ = ap.parse_known_args()
    if not args.rules:
        sys.exit("acl-kernel: --rules FOLDER of ClassBench sets is needed")
    # Less than the smallest default table size of a machine with memory.
    flows, rounds = (20000 if args.quick else 40000), (2 if args.quick else args.rounds)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        ours, peer = acl.Ours(f"{folder}/o"), None
        try:
            peer = acl.Peer(folder)
            for name in (s for s in SETS if args.case in s):
                cost = {}
                for n in SIZES:
                    rules = acl.read_rules(args.rules, name, n)
                    of = acl.flows(rules, flows, n)
                    for lab, who in ((ours, "rtr"), (peer, "nft")):
                        write_frames(lab, of, f"{folder}/{who}.{n}")
                for _ in range(rounds):
                    for n in SIZES:
                        rules = acl.read_rules(args.rules, name, n)
                        for lab, who in ((ours, "rtr"), (peer, "nft")):
                            if who == "nft" and n == 10000 and args.quick:
                                continue
                            lab.use(rules)
                            # 10,000 rules one after the other are 100 us and more.
                            few = who == "nft" and n == 10000
                            got = measure(lab, f"{folder}/{who}.{n}", FEW if few else flows)
                            cost.setdefault((who, n), []).append(got)
                for i, what in enumerate(("new flows", "established")):
                    runs = {k: [c[i] for c in v] for k, v in cost.items()}
                    for n in SIZES:
                        emit(f"{name} {what}, {n} lines", runs["rtr", n], "linear nft", runs.get(("nft", n), ()))
                    emit(f"{name} {what}, 10,000 beside 10", runs["rtr", 10000], "rtr, 10 lines",
                         runs["rtr", 10], 1 / 0.65 if i == 0 else 1 / 0.98)
        finally:
            ours.close()
            if peer:
                peer.close()


main()
