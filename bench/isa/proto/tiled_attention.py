#!/usr/bin/env python3
"""Proposed tiled attention as WGSL, forward, query gradient and key gradient in one style:  tiled_attention.py FOLDER

q, k, v, z, dz are [B, T, H, D]; softmax or sigmoid, causal.
"""

import os
import sys


def cfg(D, back=False):
    """Invocations, rows kept, rows walked, score tile per invocation (rows, columns), sums per invocation (rows, columns),
    floats of d at once, walked rows at once."""
    if not back:
        return {
            32: (64, 64, 32, 8, 4, 8, 4, 8, 8),
            64: (64, 64, 32, 8, 4, 8, 8, 8, 8),
            128: (128, 64, 32, 4, 4, 8, 8, 16, 8),
            256: (256, 64, 64, 4, 4, 8, 8, 16, 8),
        }[D]
    return {
        32: (64, 64, 32, 8, 4, 8, 4, 8, 8),
        64: (128, 64, 32, 4, 4, 8, 4, 16, 8),
        128: (256, 64, 64, 4, 4, 8, 4, 16, 8),
        256: (256, 64, 64, 4, 4, 8, 8, 16, 8),
    }[D]


def gen(kind, D, soft, T, H, causal=True):
    """WGSL of "forward", "query" or "key" (gradients) for head size D, T tokens, H heads; soft: softmax, else sigmoid."""
    NT, BQ, BK, SR, SC, OR, OC, DC, VC = cfg(D, kind != "forward")
    L = []
    P = L.append
    NR = BQ // SR
    NC = BK // SC
    assert NR * NC == NT, (NR, NC, NT)
    ONR = BQ // OR
    ONC = D // OC
    assert ONR * ONC == NT, (ONR, ONC, NT)
    same = SR == OR and NC == ONC
    P(f"// {kind} D={D} soft={soft} NT={NT} BQ={BQ} BK={BK} S {SR}x{SC} O {OR}x{OC} DC={DC} VC={VC}")
    P(f"const T={T}u; const H={H}u; const D4={D // 4}u; const SCALE={1 / D ** 0.5}f;")
    names = {"forward": ["q", "k", "v"], "query": ["q", "k", "v", "dz"], "key": ["q", "k", "v", "dz"]}[kind]
    b = 0

    def buf(n, ty, rw=False):
        nonlocal b
        P(f"@group(0) @binding({b}) var<storage, {('read_write' if rw else 'read')}> {n}: array<{ty}>;")
        b += 1

    for n in names:
        buf(n, "vec4f")
    if kind == "forward":
        buf("z", "vec4f", True)
        if soft:
            buf("lse", "f32", True)
    elif kind == "query":
        if soft:
            buf("lse", "f32")
            buf("delta", "f32")
        buf("dq", "vec4f", True)
    else:
        if soft:
            buf("lse", "f32")
            buf("delta", "f32")
        buf("dk", "vec4f", True)
        buf("dv", "vec4f", True)
    # Kept and walked side, transposed; weights as [walked][kept]; rows of the walked side.
    P(f"var<workgroup> ta: array<array<vec4f,{BQ // 4}>,{DC}>;")
    P(f"var<workgroup> tb: array<array<vec4f,{BK // 4}>,{DC}>;")
    P(f"var<workgroup> tp: array<array<vec4f,{BQ // 4}>,{BK}>;")
    P(f"var<workgroup> tx: array<array<vec4f,{D // 4}>,{VC}>;")
    if soft and kind == "forward":
        P(f"var<workgroup> red: array<array<vec4f,{BQ // 4}>,{NC}>;")
        if not same:
            P(f"var<workgroup> shared_row: array<vec4f,{BQ // 4}>;")
    P(f"fn at(i: u32, base: u32) -> u32 {{ return base+min(i,T-1u)*(H*D4); }}")
    P(
        f"@compute @workgroup_size({NT}) fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {{"
    )
    P(f"  let bh=group.y; let base=((bh/H)*T*H+bh%H)*D4; let i0=group.x*{BQ}u;")
    P(f"  let sr=lane/{NC}u; let sc=lane%{NC}u; let or=lane/{ONC}u; let oc=lane%{ONC}u;")
    accs = ["o"] if kind != "key" else ["ok", "ov"]
    for a in accs:
        for r in range(OR):
            for c in range(OC // 4):
                P(f"  var {a}{r}_{c}=vec4f();")

    def rowi(r):
        return f"i0+(sr+{r // 4 * NR}u)*4u+{r % 4}u"

    if kind == "forward" and soft:
        for g in range(SR // 4):
            P(f"  var top{g}=vec4f(-1e30f); var sum{g}=vec4f();")
    if kind != "forward" and soft and (kind == "query"):
        for g in range(SR // 4):
            P(
                f"  let ls{g}=vec4f("
                + ",".join((f"lse[bh*T+min({rowi(4 * g + q)},T-1u)]" for q in range(4)))
                + ");"
            )
            P(
                f"  let de{g}=vec4f("
                + ",".join((f"delta[bh*T+min({rowi(4 * g + q)},T-1u)]" for q in range(4)))
                + ");"
            )
    if causal:
        if kind != "key":
            P(f"  let begin=0u; let limit=min(i0+{BQ}u,T);")
        else:
            P(f"  let begin=i0/{BK}u*{BK}u; let limit=T;")
    else:
        P("  let begin=0u; let limit=T;")
    P(f"  for (var j0=begin; j0<limit; j0+={BK}u) {{")

    def product(acc, A, Bb):
        """acc[SR][SC/4] (vec4 over walked) = A[kept rows] . B[walked rows] over d"""
        for r in range(SR):
            P(f"    var {acc}{r}=vec4f();")
        nA = BQ * DC // 4 // NT
        nB = BK * DC // 4 // NT
        q = DC // 4
        P(f"    for (var d0=0u; d0<D4; d0+={q}u) {{")
        for i in range(nA):
            P(f"      let xa{i}={A}[at(i0+(lane+{i * NT}u)/{q}u,base)+d0+lane%{q}u];")
        for i in range(nB):
            P(f"      let xb{i}={Bb}[at(j0+(lane+{i * NT}u)/{q}u,base)+d0+lane%{q}u];")
        P(f"      let kq=lane%{q}u*4u;")
        for i in range(nA):
            P(
                f"      {{ let m=(lane+{i * NT}u)/{q}u; "
                + " ".join((f"ta[kq+{e}u][m/4u][m%4u]=xa{i}[{e}];" for e in range(4)))
                + " }"
            )
        for i in range(nB):
            P(
                f"      {{ let m=(lane+{i * NT}u)/{q}u; "
                + " ".join((f"tb[kq+{e}u][m/4u][m%4u]=xb{i}[{e}];" for e in range(4)))
                + " }"
            )
        P("      workgroupBarrier();")
        for k in range(DC):
            P("      {")
            P(f"        let b0=tb[{k}][sc];")
            for g in range(SR // 4):
                P(f"        let a{g}=ta[{k}][sr+{g * NR}u];")
            for r in range(SR):
                P(f"        {acc}{r}+=a{r // 4}[{r % 4}]*b0;")
            P("      }")
        P("      workgroupBarrier();")
        P("    }")

    def sums(acc, X):
        """acc[OR][OC/4] += tp^T . X[walked rows]"""
        n = VC * (D // 4) // NT
        P(f"    for (var v0=0u; v0<{BK}u; v0+={VC}u) {{")
        for i in range(n):
            P(f"      let x{i}={X}[at(j0+v0+(lane+{i * NT}u)/D4,base)+(lane+{i * NT}u)%D4];")
        for i in range(n):
            P(f"      tx[(lane+{i * NT}u)/D4][(lane+{i * NT}u)%D4]=x{i};")
        P("      workgroupBarrier();")
        for k in range(VC):
            P("      {")
            for c in range(OC // 4):
                P(f"        let b{c}=tx[{k}][oc+{c * ONC}u];")
            for g in range(OR // 4):
                P(f"        let a{g}=tp[v0+{k}u][or+{g * ONR}u];")
            for r in range(OR):
                for c in range(OC // 4):
                    P(f"        {acc}{r}_{c}+=a{r // 4}[{r % 4}]*b{c};")
            P("      }")
        P("      workgroupBarrier();")
        P("    }")

    def put(acc):
        for e in range(4):
            for g in range(SR // 4):
                P(
                    f"    tp[sc*4u+{e}u][sr+{g * NR}u]=vec4f("
                    + ",".join((f"{acc}{4 * g + q}[{e}]" for q in range(4)))
                    + ");"
                )

    js = "vec4u(j0+sc*4u)+vec4u(0u,1u,2u,3u)"
    if kind == "forward":
        product("s", "q", "k")
        P(f"    let js={js};")
        for r in range(SR):
            seen = f"js<=vec4u({rowi(r)})" if causal else f"js<vec4u(T)"
            if causal:
                seen = f"({seen})&(js<vec4u(T))"
            if soft:
                P(f"    s{r}=select(vec4f(-1e30f),s{r}*SCALE,{seen});")
            else:
                P(f"    s{r}=select(vec4f(),1f/(1f+exp(-s{r}*SCALE)),{seen});")
        if soft:
            for g in range(SR // 4):
                P(
                    f"    red[sc][sr+{g * NR}u]=vec4f("
                    + ",".join(
                        (
                            f"max(max(s{4 * g + q}.x,s{4 * g + q}.y),max(s{4 * g + q}.z,s{4 * g + q}.w))"
                            for q in range(4)
                        )
                    )
                    + ");"
                )
            P("    workgroupBarrier();")
            for g in range(SR // 4):
                P(f"    var next{g}=top{g};")
                for c in range(NC):
                    P(f"    next{g}=max(next{g},red[{c}][sr+{g * NR}u]);")
                P(f"    let shrink{g}=exp(top{g}-next{g}); top{g}=next{g};")
                for q in range(4):
                    P(f"    s{4 * g + q}=exp(s{4 * g + q}-next{g}[{q}]);")
                P(
                    f"    sum{g}=sum{g}*shrink{g}+vec4f("
                    + ",".join(
                        (f"(s{4 * g + q}.x+s{4 * g + q}.y)+(s{4 * g + q}.z+s{4 * g + q}.w)" for q in range(4))
                    )
                    + ");"
                )
            if not same:
                for g in range(SR // 4):
                    P(f"    if (sc==0u) {{ shared_row[sr+{g * NR}u]=shrink{g}; }}")
        put("s")
        P("    workgroupBarrier();")
        if soft:
            for g in range(OR // 4):
                src = f"shrink{g}" if same else f"shared_row[or+{g * ONR}u]"
                P(f"    let f{g}={src};")
                for q in range(4):
                    for c in range(OC // 4):
                        P(f"    o{4 * g + q}_{c}*=f{g}[{q}];")
        sums("o", "v")
    else:
        A, Bq = ("q", "k") if kind == "query" else ("k", "q")
        A2, B2 = ("dz", "v") if kind == "query" else ("v", "dz")
        product("s", A, Bq)
        product("p", A2, B2)
        P(f"    let js={js};")
        if soft and kind == "key":
            P(
                "    let lsj=vec4f("
                + ",".join((f"lse[bh*T+min(j0+sc*4u+{e}u,T-1u)]" for e in range(4)))
                + ");"
            )
            P(
                "    let dej=vec4f("
                + ",".join((f"delta[bh*T+min(j0+sc*4u+{e}u,T-1u)]" for e in range(4)))
                + ");"
            )
        for r in range(SR):
            if kind == "query":
                seen = f"(js<=vec4u({rowi(r)}))&(js<vec4u(T))" if causal else "js<vec4u(T)"
            else:
                seen = f"(js>=vec4u({rowi(r)}))&(js<vec4u(T))" if causal else "js<vec4u(T)"
            if soft:
                ls = f"vec4f(ls{r // 4}[{r % 4}])" if kind == "query" else "lsj"
                de = f"vec4f(de{r // 4}[{r % 4}])" if kind == "query" else "dej"
                P(f"    s{r}=select(vec4f(),exp(min(s{r}*SCALE-{ls},vec4f())),{seen});")
                P(f"    p{r}=s{r}*(p{r}-{de})*SCALE;")
            else:
                P(
                    f"    {{ let phi=1f/(1f+exp(-s{r}*SCALE)); s{r}=select(vec4f(),phi,{seen}); p{r}=s{r}*(1f-phi)*p{r}*SCALE; }}"
                )
        if kind == "query":
            put("p")
            P("    workgroupBarrier();")
            sums("o", "k")
        else:
            put("s")
            P("    workgroupBarrier();")
            sums("ov", "dz")
            put("p")
            P("    workgroupBarrier();")
            sums("ok", "q")
    P("  }")
    if kind == "forward" and soft:
        for g in range(SR // 4):
            P(f"  red[sc][sr+{g * NR}u]=sum{g};")
        P("  workgroupBarrier();")
        for g in range(SR // 4):
            P(f"  var total{g}=vec4f();")
            for c in range(NC):
                P(f"  total{g}+=red[{c}][sr+{g * NR}u];")
            P("  if (sc==0u) {")
            for q in range(4):
                P(
                    f"    if ({rowi(4 * g + q)}<T) {{ lse[bh*T+{rowi(4 * g + q)}]=top{g}[{q}]+log(total{g}[{q}]); }}"
                )
            if not same:
                P(f"    shared_row[sr+{g * NR}u]=1f/total{g};")
            P("  }")
        if not same:
            P("  workgroupBarrier();")
        for g in range(OR // 4):
            src = f"1f/total{g}" if same else f"shared_row[or+{g * ONR}u]"
            P(f"  let h{g}={src};")
    outs = {"forward": [("o", "z")], "query": [("o", "dq")], "key": [("ok", "dk"), ("ov", "dv")]}[kind]
    for a, y in outs:
        for r in range(OR):
            P(f"  {{ let i=i0+(or+{r // 4 * ONR}u)*4u+{r % 4}u; if (i<T) {{")
            for c in range(OC // 4):
                f = f"*h{r // 4}[{r % 4}]" if kind == "forward" and soft else ""
                P(f"    {y}[at(i,base)+oc+{c * ONC}u]={a}{r}_{c}{f};")
            P("  } }")
    P("}")
    return "\n".join(L)


def write(folder, tokens, heads):
    """Writes soft_DDD_KIND.wgsl and sigm_DDD_KIND.wgsl for four head sizes."""
    os.makedirs(folder, exist_ok=True)
    for D in (32, 64, 128, 256):
        for name, soft in (("soft", 1), ("sigm", 0)):
            for kind in ("forward", "query", "key"):
                with open(f"{folder}/{name}_{D:03d}_{kind}.wgsl", "w") as file:
                    file.write(gen(kind, D, soft, tokens, heads))


if __name__ == "__main__":
    write(sys.argv[1], tokens=256, heads=2)
