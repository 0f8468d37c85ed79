#!/usr/bin/env python3
"""Proposed matrix products as WGSL, y[M,N] = op(a) op(b):  matmul_variants.py FOLDER"""

import os
import sys

# The proposals of report.md, section 6.
VARIANTS = {
    "v1_vec2d_guard": dict(loads="guard", vec=False),
    "v2_vec2d_hoist": dict(vec=False),
    "v3_vec2d_hoist_vec4": dict(),
    "v3i_inter": dict(inter=True),
    "v4_prefetch": dict(inter=True, prefetch=True),
    "v5_bk16": dict(inter=True, BK=16),
    "v5_bk16_pre": dict(inter=True, BK=16, prefetch=True),
    "v6_128x128": dict(inter=True, BM=128, BN=128),
    "v6_128x128_pre": dict(inter=True, BM=128, BN=128, prefetch=True),
    "v7_64x64_256thr_4x4": dict(inter=True, TM=4, TN=4, BK=16),
    "v7_pre": dict(inter=True, TM=4, TN=4, BK=16, prefetch=True),
    "v8_128x64_128thr": dict(inter=True, BM=128, BN=64),
    "v8_128x64_128thr_pre": dict(inter=True, BM=128, BN=64, prefetch=True),
    "v10_64x64_128thr_8x4": dict(inter=True, TN=4),
    "v10_64x64_128thr_8x4_bk16": dict(inter=True, TN=4, BK=16),
    "v10_64x64_128thr_8x4_bk16_pre": dict(inter=True, TN=4, BK=16, prefetch=True),
    "v11_32x32_64thr_4x4": dict(inter=True, BM=32, BN=32, TM=4, TN=4, BK=16),
    "w1_64x64_64thr_8x8_pad": dict(inter=True, pad=1),
    "w2_64x64_64thr_8x8_pad_pre": dict(inter=True, pad=1, prefetch=True),
    "w3_128x64_128thr_8x8_pad": dict(inter=True, BM=128, pad=1),
    "w4_64x64_128thr_8x4_bk16_pad": dict(inter=True, TN=4, BK=16, pad=1),
}
# Whether an operand is read transposed: of a, of b.
TRANSPOSED = {"NT": (False, True), "NN": (False, False), "TN": (True, False), "TT": (True, True)}


def side(s, along_rows, B, BK, T, vec):
    """Declarations, loads and stores (@ is the loaded value) of operand s; its memory runs along rows or along k."""
    pre = []
    ld = []
    st = []
    base = "m0" if s == "a" else "n0"
    LIM = "M" if s == "a" else "N"
    if vec:
        n = B * BK // 4 // T
        assert n >= 1, (B, BK, T)
        for i in range(n):
            if along_rows:
                q = B // 4
                pre.append(f"  let {s}k{i}=(lane+{i * T}u)/{q}u; let {s}q{i}=(lane+{i * T}u)%{q}u;")
                pre.append(f"  let {s}i{i}=({s}k{i}*{LIM}+min({base}+{s}q{i}*4u,{LIM}-4u))/4u;")
                ld.append(f"{s}[{s}i{i}+k0*{LIM}/4u]")
                st.append(f"t{s}[{s}k{i}][{s}q{i}]=@;")
            else:
                q = BK // 4
                pre.append(f"  let {s}q{i}=(lane+{i * T}u)%{q}u; let {s}m{i}=(lane+{i * T}u)/{q}u;")
                pre.append(f"  let {s}i{i}=(min({base}+{s}m{i},{LIM}-1u)*K)/4u+{s}q{i};")
                ld.append(f"{s}[{s}i{i}+k0/4u]")
                st.append(
                    " ".join((f"t{s}[{s}q{i}*4u+{j}u][{s}m{i}/4u][{s}m{i}%4u]=@[{j}];" for j in range(4)))
                )
    else:
        n = B * BK // T
        for i in range(n):
            if along_rows:
                pre.append(f"  let {s}k{i}=(lane+{i * T}u)/{B}u; let {s}m{i}=(lane+{i * T}u)%{B}u;")
                pre.append(f"  let {s}i{i}={s}k{i}*{LIM}+min({base}+{s}m{i},{LIM}-1u);")
                ld.append(f"{s}[{s}i{i}+k0*{LIM}]")
            else:
                pre.append(f"  let {s}k{i}=(lane+{i * T}u)%{BK}u; let {s}m{i}=(lane+{i * T}u)/{BK}u;")
                pre.append(f"  let {s}i{i}=min({base}+{s}m{i},{LIM}-1u)*K+{s}k{i};")
                ld.append(f"{s}[{s}i{i}+k0]")
            st.append(f"t{s}[{s}k{i}][{s}m{i}/4u][{s}m{i}%4u]=@;")
    return (pre, ld, st)


def gen(
    M,
    N,
    K,
    ta,
    tb,
    BM=64,
    BN=64,
    BK=8,
    TM=8,
    TN=8,
    loads="hoist",
    vec=True,
    prefetch=False,
    inter=False,
    pad=0,
    splitk=1,
):
    """WGSL of a product, tiles of shared memory as array<array<vec4f, BM / 4 + pad>, BK>.

    loads: "guard" (a branch per load, as heed's kernel), "hoist" (rows clamped, all loads before all stores)
    vec: vec4 loads of global memory; prefetch: the next tile is loaded before this tile's products
    inter: a thread's rows and columns are groups of four, far apart: no bank conflicts
    pad: vec4s after each row of a tile; splitk: slices of K, each with a result of its own
    """
    T = BM // TM * (BN // TN)
    L = []
    P = L.append
    P(
        f"// {M}x{N}x{K} ta={ta} tb={tb} BM={BM} BN={BN} BK={BK} {TM}x{TN} loads={loads} vec={vec}"
        f" prefetch={prefetch} inter={inter}"
    )
    P(f"const M={M}u; const N={N}u; const K={K}u;")
    av = "vec4f" if vec else "f32"
    P(f"@group(0) @binding(0) var<storage, read_write> y: array<vec4f>;")
    P(f"@group(0) @binding(1) var<storage, read> a: array<{av}>;")
    P(f"@group(0) @binding(2) var<storage, read> b: array<{av}>;")
    P(f"var<workgroup> ta: array<array<vec4f,{BM // 4 + pad}>,{BK}>;")
    P(f"var<workgroup> tb: array<array<vec4f,{BN // 4 + pad}>,{BK}>;")
    P(f"@compute @workgroup_size({T})")
    P("fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {")
    P(f"  let m0=group.y*{BM}u; let n0=group.x*{BN}u;")
    nc = BN // TN
    P(f"  let tr=lane/{nc}u; let tc=lane%{nc}u;")
    if inter:
        P("  let r4=tr; let c4=tc;")
        # Steps between groups, in vec4s.
        rs = BM // TM
        cs = BN // TN
    else:
        P(f"  let r4=tr*{TM // 4}u; let c4=tc*{TN // 4}u;")
        rs = cs = 1
    for r in range(TM):
        for c in range(TN // 4):
            P(f"  var c{r}_{c}=vec4f();")
    kper = K // splitk
    kend = "K"
    kbeg = "0u"
    if splitk > 1:
        P(f"  let kb=group.z*{kper}u;")
        kbeg = "kb"
        kend = f"kb+{kper}u"

    pa, la, sa = side("a", ta, BM, BK, T, vec)
    pb, lb, sb = side("b", not tb, BN, BK, T, vec)
    L += pa + pb
    if loads == "guard":
        P(f"  for (var k0={kbeg}; k0<{kend}; k0+={BK}u) {{")
        ty = "vec4f()" if vec else "0f"
        for s, l, st in [("a", la, sa), ("b", lb, sb)]:
            for i, (x, z) in enumerate(zip(l, st)):
                lim = "M" if s == "a" else "N"
                base = "m0" if s == "a" else "n0"
                rowv = f"{s}m{i}" if f"{s}m{i}=" in "".join(pa + pb) else f"{s}q{i}*4u"
                P(
                    f"    {{ var v={ty}; if ({base}+{rowv}<{lim} && k0<K) {{ v={x}; }} {z.replace('@', 'v')} }}"
                )
        P("    workgroupBarrier();")
    elif not prefetch:
        P(f"  for (var k0={kbeg}; k0<{kend}; k0+={BK}u) {{")
        for s, l in [("a", la), ("b", lb)]:
            for i, x in enumerate(l):
                P(f"    let v{s}{i}={x};")
        for s, st in [("a", sa), ("b", sb)]:
            for i, z in enumerate(st):
                P("    " + z.replace("@", f"v{s}{i}"))
        P("    workgroupBarrier();")
    else:
        P(f"  var k0={kbeg};")
        for s, l in [("a", la), ("b", lb)]:
            for i, x in enumerate(l):
                P(f"  var v{s}{i}={x};")
        P(f"  loop {{")
        for s, st in [("a", sa), ("b", sb)]:
            for i, z in enumerate(st):
                P("    " + z.replace("@", f"v{s}{i}"))
        P("    workgroupBarrier();")
        P(f"    k0+={BK}u;")
        P(f"    let more=k0<{kend};")
        P("    if (more) {")
        for s, l in [("a", la), ("b", lb)]:
            for i, x in enumerate(l):
                P(f"    v{s}{i}={x};")
        P("    }")
    for k in range(BK):
        P("    {")
        for c in range(TN // 4):
            P(f"      let b{c}=tb[{k}][c4+{c * cs}u];")
        for g in range(TM // 4):
            P(f"      let a{g}=ta[{k}][r4+{g * rs}u];")
        for r in range(TM):
            for c in range(TN // 4):
                P(f"      c{r}_{c}+=a{r // 4}[{r % 4}]*b{c};")
        P("    }")
    P("    workgroupBarrier();")
    if prefetch:
        P("    if (!more) { break; }")
    P("  }")
    for r in range(TM):
        row = f"m0+(r4+{r // 4 * rs}u)*4u+{r % 4}u"
        for c in range(TN // 4):
            col = f"n0/4u+c4+{c * cs}u"
            off = "" if splitk == 1 else f"group.z*M*N/4u+"
            P(f"  if ({row}<M && {col}<N/4u) {{ y[{off}({row})*(N/4u)+{col}]=c{r}_{c}; }}")
    P("}")
    return "\n".join(L)


def write(folder, sizes, variants):
    """Writes NAME_OPERANDS.wgsl for each variant and each pair of operands that sizes has (M, N, K) for."""
    os.makedirs(folder, exist_ok=True)
    for name, options in variants.items():
        for operands, size in sizes.items():
            with open(f"{folder}/{name}_{operands}.wgsl", "w") as file:
                file.write(gen(*size, *TRANSPOSED[operands], **options))


if __name__ == "__main__":
    # Forward, gradient of x, weight gradient at dim 384 and 16384 tokens.
    write(sys.argv[1], {"NT": (16384, 384, 384), "NN": (16384, 384, 384), "TN": (384, 384, 16384)}, VARIANTS)
