#!/usr/bin/env python3
"""Wavefronts of shared memory that a warp's accesses take in a round of a product's loop, on NVIDIA:  banks.py

32 banks of 4 bytes; accesses of 64 and 128 bits go in halves and quarters of a warp; equal words are merged.
"""

WARP = range(32)
FMA = 512  # of an invocation in a round


def wavefronts(addresses, width):
    lanes = 32 // width
    total = 0
    for phase in range(width):
        banks = {}
        for lane in range(phase * lanes, (phase + 1) * lanes):
            for word in range(addresses[lane], addresses[lane] + width):
                banks.setdefault(word % 32, set()).add(word)
        total += max(len(words) for words in banks.values())
    return total


def report(name, stores, reads):
    s, r = (sum(wavefronts(a, w) for a, w in accesses) for accesses in (stores, reads))
    bound = min(1, FMA / 4 / (s + r))
    print(
        f"{name}: stores {s} + reads {r} = {s + r} wavefronts, FMA {FMA / 4:.0f} clocks of the SM; bound {bound:.0%}"
    )


def heed():
    """heed's kernel: 64 invocations, 8 x 8 each, tiles flat; b in 8 reads of 32 bits, a in two of 128 that nvcc merges."""
    reads = [([k * 64 + lane % 8 * 8 + j for lane in WARP], 1) for k in range(8) for j in range(8)]
    reads += [([k * 64 + lane // 8 * 8 + 4 * g for lane in WARP], 4) for k in range(8) for g in range(2)]
    along = [([lane % 8 * 64 + lane // 8 + t * 8 for lane in WARP], 1) for t in range(8)]
    across = [([t * 64 + lane for lane in WARP], 1) for t in range(8)]
    report("heed x W^T (NT)", along + along, reads)
    report("heed x W (NN)", along + across, reads)
    report("heed weight gradient (TN)", across + across, reads)


def v10(pad):
    """128 invocations, 8 x 4 each, 16 k in a round."""
    row = 64 + pad
    reads = [([k * row + 4 * (lane % 16) for lane in WARP], 4) for k in range(16)]
    reads += [([k * row + 4 * (lane // 16 + 8 * g) for lane in WARP], 4) for k in range(16) for g in range(2)]
    offsets = (0, 128)
    along = [
        ([(lane % 4 * 4 + e) * row + (lane + o) // 4 for lane in WARP], 1) for o in offsets for e in range(4)
    ]
    across = [([(lane + o) // 16 * row + 4 * ((lane + o) % 16) for lane in WARP], 4) for o in offsets]
    report(f"v10 NT pad {pad}", along + along, reads)
    report(f"v10 NN pad {pad}", along + across, reads)
    report(f"v10 TN pad {pad}", across + across, reads)


def v3i(pad):
    """64 invocations, 8 x 8 each, columns in two fours N / 2 apart."""
    row = 64 + pad
    reads = [([k * row + 4 * (lane % 8 + 8 * g) for lane in WARP], 4) for k in range(8) for g in range(2)]
    reads += [([k * row + 4 * (lane // 8 + 8 * g) for lane in WARP], 4) for k in range(8) for g in range(2)]
    along = [
        ([(lane % 2 * 4 + e) * row + (lane + o) // 2 for lane in WARP], 1) for o in (0, 64) for e in range(4)
    ]
    report(f"v3i NT pad {pad}", along + along, reads)


def v3():
    """The same with a lane's columns side by side; reads alone."""
    reads = [([k * 64 + 8 * (lane % 8) + 4 * g for lane in WARP], 4) for k in range(8) for g in range(2)]
    reads += [([k * 64 + 8 * (lane // 8) + 4 * g for lane in WARP], 4) for k in range(8) for g in range(2)]
    report("v3 NT, reads alone", [], reads)


if __name__ == "__main__":
    heed()
    v10(0)
    v10(4)
    v3i(0)
    v3i(4)
    v3()
