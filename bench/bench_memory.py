#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a million flows of a family take in memory: bench/run memory.

Bytes a flow of the flow table's arrays, as `show dataplane memory` has them, of a router with room for a million less
those of one with hardly any.

Required: at most 320 bytes.
"""
import sys

sys.path.insert(0, f"{__file__.rsplit('/', 1)[0]}/lib")
import plane  # noqa: E402

MANY, FEW = 1000000, 1024


def table(flows):
    with plane.Planes(flows) as p:
        return p.topo.fast.json("show dataplane memory")["flow_table_bytes"]


def main():
    args = plane.arguments(__doc__)
    for family in (4, 6):
        if args.case in f"IPv{family}":
            little = {4: FEW, 6: FEW}
            grown = table({**little, family: MANY}) - table(little)
            plane.emit("memory", f"IPv{family}", [grown / (MANY - FEW)], "B/flow", limit=320, limit_is_value=True,
                       required=True)


if __name__ == "__main__":
    main()
