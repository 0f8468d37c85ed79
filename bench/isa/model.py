#!/usr/bin/env python3
"""A rough model of a step's time on an RX 6900 XT (NAVI21), of a folder that isa.sh kept (ISA_OUT):  model.py FOLDER [--next]

Not a measurement: the constants below, and no caches beyond them. Good for what dominates, not for digits.
--next: products as proto's 64x64 tiles of 128 invocations (8x4 each, BK 16: 568 vector instructions per round, loads together),
split along K until there are four waves per SIMD; attention tiled, at 0.7 of peak where it fills the machine.
"""

import collections
import json
import math
import os
import subprocess
import sys

SIMDS, CLOCK, LAUNCH, BANDWIDTH = 160, 2.25e9, 4e-6, 512e9
# Clocks until a load's value is there: L2, LDS, scalar cache.
GLOBAL, LDS, SCALAR = 350, 64, 40
PEAK = SIMDS * 64 * CLOCK


def total(counts):
    return sum(counts.values())


def limits(d, loop):
    """Rounds of a wave's loop, and the clocks of latency in each."""
    constants = d["constants"]
    if d["op"] == "matmul":
        # Loads in branches are waited for one by one.
        loads = total(loop["memory"]) if loop["waits"] > 60 else 1
        return math.ceil(constants["K"] / 8), loads * GLOBAL + 64 * LDS + loop["smem"] * SCALAR
    keys = constants["S"]
    return (keys + 64) / 2 if constants["CAUSAL"] else keys, total(loop["ldsReads"]) * LDS


def busy(d, loop):
    """Clocks that a SIMD issues in a round, and those of spilled registers."""
    issue = 2 * loop["valu"] + 6 * loop["trans"]
    lds = total(loop["ldsReads"]) * (16 if d["op"].startswith("attention") else 4)
    # Spills past the L0 run at a third.
    scratch = 4 * loop["scratch"] * (1 if loop["scratch"] < 80 else 3)
    return issue, max(issue, lds, scratch), scratch


def loop_seconds(d, waves, rounds, latency, loop, most_waves):
    issue, clocks, scratch = busy(d, loop)
    per_simd = waves / SIMDS
    resident = max(1, min(most_waves, per_simd))
    one = max(clocks * resident, issue + latency + scratch)
    return max(1, per_simd / resident) * rounds * one / CLOCK


def seconds_now(d, row, groups, memory):
    waves = groups * (4 if d["constants"].get("LANES") == 256 else 1)
    rounds, latency = limits(d, row["loop"])
    return max(
        loop_seconds(d, waves, rounds, latency, row["loop"], row["stats"]["Subgroups per SIMD"]), memory
    )


def seconds_next(d, row, groups, memory):
    c = d["constants"]
    if d["op"] != "matmul":
        waves = groups * (4 if c.get("LANES") == 256 else 1)
        return d["flops"] / PEAK / (0.7 * min(1, waves / (2 * SIMDS)) * (2 if c["CAUSAL"] else 1))
    split = max(1, min(math.ceil(c["K"] / 64), round(4 * SIMDS / (2 * groups))))
    loop = dict(row["loop"], valu=568, trans=0, ldsReads={}, scratch=0)
    rounds = math.ceil(math.ceil(c["K"] / split) / 16)
    seconds = loop_seconds(d, 2 * groups * split, rounds, GLOBAL + 18 * LDS, loop, 16)
    if split == 1:
        return seconds
    return seconds + memory + (2 * split + 1) * 4 * c["M"] * c["N"] / BANDWIDTH + LAUNCH


def label_of(d):
    c = d["constants"]
    if d["op"] == "matmul":
        kind = "weight gradient" if c["TRANS_A"] else "x W^T" if c["TRANS_B"] else "x W"
        return f"matmul {kind} {c['M']}x{c['COLUMNS']}x{c['K']}"
    if d["op"].startswith("attention"):
        return d["label"]
    return "elementwise" if d["op"] == "elementwise" else d["label"].split(" ")[0]


def main():
    folder = sys.argv[1]
    seconds_of = seconds_next if "--next" in sys.argv else seconds_now
    table = os.path.join(os.path.dirname(os.path.abspath(__file__)), "isa_table.ts")
    printed = subprocess.run(
        ["deno", "run", "--allow-read", table, folder, "--json"], capture_output=True, text=True, check=True
    )
    rows = {row["file"]: row for row in json.loads(printed.stdout)}
    with open(f"{folder}/dispatches.json") as file:
        dispatches = json.load(file)["dispatches"]
    out = collections.defaultdict(lambda: [0, 0, 0.0, 0.0, 0.0])
    for d in dispatches:
        groups = math.prod(d["workgroups"])
        memory = sum(d["bytes"]) / BANDWIDTH
        loops = d["op"] == "matmul" or d["op"].startswith("attention")
        # Small kernels take what their memory takes, or the latency of a few dependent loads.
        seconds = seconds_of(d, rows[d["file"]], groups, memory) if loops else max(memory, 2e-6)
        ideal = d["flops"] / PEAK if loops else 0
        for i, value in enumerate((1, groups < SIMDS, seconds + LAUNCH, LAUNCH, ideal)):
            out[label_of(d)][i] += value
    print(
        f"| kernel | runs | groups < {SIMDS} SIMDs | modelled ms | launches ms | at f32 peak ms |\n|---|---|---|---|---|---|"
    )
    for label, (n, small, *times) in sorted(out.items(), key=lambda x: -x[1][2]):
        print(f"| {label} | {n} | {small} | {' | '.join(f'{1e3 * t:.2f}' for t in times)} |")
    n, small, modelled, launches, ideal = (sum(row[i] for row in out.values()) for i in range(5))
    print(f"| all | {n} | {small} | {1e3 * modelled:.1f} | {1e3 * launches:.2f} | {1e3 * ideal:.1f} |")


if __name__ == "__main__":
    main()
