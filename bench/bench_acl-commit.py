#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An access list of 10,000 ClassBench lines from text to active: bench/run acl-commit.

  10,000 lines    exec of rtrctl with the lines on its standard input to its exit, beside `nft -f`
                  of the same lines as a linear ruleset, a file that the bench itself writes
  one line more   exec to exit, in a list of 10,000; and taken away again
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import acl  # noqa: E402


def emit(case, ours, peer=None, peer_runs=(), limit=None, value=False):
    line = {"bench": "acl-commit", "case": case, "unit": "ms", "better": "lower", "ours_runs": ours,
            "peer_runs": list(peer_runs)}
    if peer:
        line["peer"] = peer
    if limit:
        line.update(limit=limit, limit_is_value=value, required=True)
    print(json.dumps(line), flush=True)


def timed(argv, stdin=None):
    with open(stdin or os.devnull) as f:
        start = time.perf_counter()
        p = subprocess.run(argv, stdin=f, capture_output=True, text=True)
        ms = (time.perf_counter() - start) * 1000
    if p.returncode:
        sys.exit(f"acl-commit: {' '.join(argv)}: {p.stdout}{p.stderr}")
    return ms


def write(path, lines):
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")
    return path


def one_set(name, rules, ours, peer, folder, rounds):
    add = write(f"{folder}/add", ["configure terminal", *ours.list_lines(rules), "interface r0",
                                  "ip access-group BENCH in", "end"])
    gone = write(f"{folder}/gone", ["configure terminal", "interface r0", "no ip access-group BENCH in",
                                    "no ip access-list extended BENCH", "end"])
    more = write(f"{folder}/more", ["configure terminal", "ip access-list extended BENCH",
                                    f"{10 * (len(rules) // 2) + 5} permit tcp host 192.0.2.1 host 198.51.100.9 eq 443",
                                    "end"])
    less = write(f"{folder}/less", ["configure terminal", "ip access-list extended BENCH",
                                    f"no {10 * (len(rules) // 2) + 5}", "end"])
    nft = write(f"{folder}/peer.nft", [acl.nft_file(rules, "r0")])
    flush = peer.inside("r", "nft", "flush", "ruleset")
    all_ms, one_ms, peer_ms = [], [], []
    for k in range(rounds + 1):
        a = timed(ours.argv(), add)
        one = [timed(ours.argv(), f) for f in (more, less)]
        timed(ours.argv(), gone)
        b = timed(peer.enter("r", "nft", "-f", nft))
        timed(flush)
        if k:  # the first round warms up
            all_ms.append(a)
            one_ms += one
            peer_ms.append(b)
    emit(f"{name}, {len(rules):,} lines", all_ms, "nft -f", peer_ms, 1.0)
    emit(f"{name}, one line of {len(rules):,}", one_ms, limit=20, value=True)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--quick", action="store_true")
    ap.add_argument("--rules")
    ap.add_argument("--case", default="")
    args, _ = ap.parse_known_args()
    if not args.rules:
        sys.exit("acl-commit: --rules FOLDER of ClassBench sets is needed")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        ours, peer = acl.Ours(f"{folder}/o"), None
        try:
            peer = acl.Peer(folder)
            for name in (s for s in ("acl1", "fw1", "ipc1") if args.case in s):
                one_set(name, acl.read_rules(args.rules, name, 10000), ours, peer, folder,
                        2 if args.quick else args.rounds)
        finally:
            ours.close()
            if peer:
                peer.close()


main()
