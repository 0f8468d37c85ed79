#!/usr/bin/env python3
"""What ptxas makes of the SPIR-V that isa_layer.c left in a folder:  sass_table.py FOLDER [--arch sm_90] [--keep]

Needs spirv-cross (Debian), nvcc 13 and nvdisasm (of CUDA, or in the wheel of triton). NVIDIA's Vulkan driver has a compiler
of its own in front of the same assembler; what it adds for robust buffer access is not seen here. A kernel that cannot be
compiled is a line on stderr and exit code 1, no row. --keep writes each pipeline's assembly beside its SPIR-V.
"""

import argparse
import collections
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

from to_cuda import convert

HERE = os.path.dirname(os.path.abspath(__file__))
NVDISASM = os.environ.get("NVDISASM", "nvdisasm")
HEADS = (
    "kernel|thr|regs|spill B|smem|warps/SM of 64|loop all|FFMA|other f32|MUFU|int|LDS|LDS.128|STS|LDG|local|bar|branch|FFMA/all"
).split("|")
F32 = "FADD FMUL FSEL FMNMX FSETP FADD2 FMUL2 FSET".split()
BRANCH = "BRA BSSY BSYNC BREAK WARPSYNC EXIT".split()


def width(modifiers):
    return next((w for w in (".128", ".64") if w in modifiers), "")


def classes(lines):
    """Instructions of SASS counted by what they are; the rest is "int"."""
    c = collections.Counter()
    for line in lines:
        m = re.match(r"(?:@!?U?P\w+\s+)?([A-Z0-9_]+)((?:\.[A-Z0-9_]+)*)", line)
        if not m or m[1] == "NOP":
            continue
        op, modifiers = m[1], m[2]
        c["all"] += 1
        if op == "FFMA":
            c["fma"] += 1
        elif op == "FFMA2":
            c["fma"] += 2
        elif op in ("LDS", "STS"):
            c[op + width(modifiers)] += 1
        elif op in ("LDG", "LD"):
            c["LDG"] += 1
        elif op in ("STG", "ST"):
            c["STG"] += 1
        elif op in ("LDL", "STL"):
            c["local"] += 1
        elif op == "MUFU":
            c["mufu"] += 1
        elif op == "BAR":
            c["bar"] += 1
        elif op in BRANCH:
            c["branch"] += 1
        elif op in F32:
            c["f32"] += 1
        else:
            c["int"] += 1
    return c


def hottest(text):
    """The innermost loop with most multiply-adds, or the longest where none has any."""
    rows, labels = [], {}
    for row in text.splitlines():
        if m := re.match(r"^(\.L_x?_?\w+):", row):
            labels[m[1]] = len(rows)
        elif m := re.match(r"^\s+/\*[0-9a-f]+\*/\s+(.*?);", row):
            rows.append(m[1].strip())
    loops = []
    for i, row in enumerate(rows):
        m = re.search(r"BRA\S*\s+(?:U?P\d, )?(?:!?U?P\d, )?`\((\S+)\)", row)
        if m and labels.get(m[1], i) < i:
            loops.append((labels[m[1]], i))
    inside = lambda a, b: a != b and a[0] >= b[0] and a[1] <= b[1]
    inner = [loop for loop in loops if not any(inside(other, loop) for other in loops)]
    weight = lambda loop: (classes(rows[loop[0] : loop[1] + 1])["fma"], loop[1] - loop[0])
    best = max(inner, key=weight, default=None)
    return rows[best[0] : best[1] + 1] if best else []


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        raise RuntimeError(" ".join([f"{command[0]}:", *errors])[:500])
    return done


def compile_kernel(spv, arch):
    with tempfile.TemporaryDirectory() as d:
        code = convert(spv)
        with open(f"{d}/k.cu", "w") as file:
            file.write(code)
        options = [f"-I{HERE}", f"-arch={arch}", "-use_fast_math", "-cubin", "-Xptxas", "-v"]
        log = run("nvcc", *options, "-o", f"{d}/k.cubin", f"{d}/k.cu").stderr
        sass = run(NVDISASM, "-c", f"{d}/k.cubin").stdout
    smem = re.search(r"(\d+) bytes smem", log)
    return dict(
        threads=int(re.search(r"__launch_bounds__\((\d+)\)", code)[1]),
        regs=int(re.search(r"Used (\d+) registers", log)[1]),
        spill=int(re.search(r"(\d+) bytes spill stores", log)[1]),
        smem=int(smem[1]) if smem else 0,
        loop=classes(hottest(sass)),
        sass=sass,
    )


def occupancy(r, regs_sm=65536, warps=64, smem_sm=228 * 1024, blocks=32):
    """Warps that an SM of Hopper holds at once."""
    own = (r["threads"] + 31) // 32
    regs_warp = -(-r["regs"] * 32 // 256) * 256
    return min(regs_sm // (regs_warp * own), smem_sm // (r["smem"] + 1024), blocks, warps // own) * own


def row(label, r):
    l = r["loop"]
    lds, sts = l["LDS"] + l["LDS.64"], l["STS"] + l["STS.64"] + l["STS.128"]
    share = f"{100 * l['fma'] / max(1, l['all']):.0f}%"
    counts = [l[key] for key in ("all", "fma", "f32", "mufu", "int")]
    counts += [lds, l["LDS.128"], sts, l["LDG"], l["local"], l["bar"], l["branch"]]
    return [label, r["threads"], r["regs"], r["spill"], r["smem"], occupancy(r), *counts, share]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--arch", default="sm_90")
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    for program in ("nvcc", NVDISASM, "spirv-cross"):
        if not shutil.which(program):
            print(f"sass_table.py: {program} is missing: see bench/isa/README.md", file=sys.stderr)
            return 2
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    failed = 0
    for spv in sorted(glob.glob(f"{args.folder}/*.spv")):
        with open(spv[:-4] + ".label") as file:
            label = file.read().strip()
        if label == "(internal)":
            continue
        try:
            r = compile_kernel(spv, args.arch)
        except (RuntimeError, subprocess.CalledProcessError) as error:
            print(f"sass_table.py: {label} ({os.path.basename(spv)}): {error}", file=sys.stderr)
            failed = 1
            continue
        print(f"| {' | '.join(map(str, row(label, r)))} |", flush=True)
        if args.keep:
            with open(spv[:-4] + ".sass", "w") as file:
                file.write(r["sass"])
    return failed


if __name__ == "__main__":
    sys.exit(main())
