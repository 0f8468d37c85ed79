// A table of the files that isa_layer.c and isa_compile.ts (or isa_wgsl.ts) wrote to a folder:
//   deno run --allow-read isa_table.ts FOLDER [--all] [--json]       --all: also the pipelines of the WebGPU library
//
// Counts are the instructions of a wave per iteration of the innermost loop with most multiply-adds. On AMD two bounds of
// the share of f32 peak follow: FMA/VALU, the share of the vector unit's slots that multiply-adds take, and the LDS bound:
// how far 128 bytes of LDS per clock can supply the two SIMDs that share them.

interface Counts {
  fma: number;
  valu: number;
  trans: number;
  salu: number;
  ldsReads: Record<string, number>;
  ldsWrites: Record<string, number>;
  memory: Record<string, number>;
  smem: number;
  waits: number;
  barriers: number;
  branches: number;
  scratch: number;
}
interface Instruction {
  readonly op: string;
  readonly full: string;
}
type Line = Instruction | string;

const empty = (): Counts => ({
  fma: 0,
  valu: 0,
  trans: 0,
  salu: 0,
  ldsReads: {},
  ldsWrites: {},
  memory: {},
  smem: 0,
  waits: 0,
  barriers: 0,
  branches: 0,
  scratch: 0,
});
const add = (to: Record<string, number>, key: string) => to[key] = (to[key] ?? 0) + 1;

// ---- AMD, in the syntax of LLVM's disassembler
const FMA = /^v_(?:dual_)?(?:pk_)?(?:fma|fmac|fmamk|fmaak|mac|mad|madmk|madak)_(?:f32|legacy|mix)/;
const TRANS = /^v_(?:exp|log|rcp|rsq|sqrt|sin|cos)_/;
const WIDTHS: Record<string, string> = { x2: "64", x3: "96", x4: "128", b64: "64", b96: "96", b128: "128" };

function amdLines(text: string): Line[] {
  return text.split("\n").flatMap((row): Line[] => {
    const label = row.match(/^(BB\d+):/);
    if (label) return [label[1]];
    const full = row.split(";")[0].trim();
    return full ? [{ op: full.split(/\s+/)[0], full }] : [];
  });
}
function amdCount(lines: readonly Line[]): Counts {
  const c = empty();
  for (const line of lines) {
    if (typeof line === "string") continue;
    const { op, full } = line;
    if (op.startsWith("v_")) {
      c.valu++;
      c.fma += full.split("::").filter((part) => FMA.test(part.trim())).length;
      if (TRANS.test(op)) c.trans++;
    } else if (/^ds_(?:read|load)/.test(op)) add(c.ldsReads, op.replace(/^ds_(?:read|load)_?/, ""));
    else if (/^ds_(?:write|store)/.test(op)) add(c.ldsWrites, op.replace(/^ds_(?:write|store)_?/, ""));
    else if (/^(?:buffer|global|flat|scratch|tbuffer)_/.test(op)) {
      // Spilled registers go through a buffer too, but one that is addressed by no lane.
      if (op.startsWith("scratch_") || (!/offen|idxen/.test(full) && op.startsWith("buffer_"))) c.scratch++;
      else {
        const width = WIDTHS[op.match(/(?:x[234]|b64|b96|b128)$/)?.[0] ?? ""] ?? "32";
        add(c.memory, `${/store/.test(op) ? "st" : /atomic/.test(op) ? "atom" : "ld"}${width}`);
      }
    } else if (/^s_(?:load|buffer_load)/.test(op)) c.smem++;
    else if (/^s_waitcnt/.test(op)) c.waits++;
    else if (op === "s_barrier") c.barriers++;
    else if (/^s_c?branch/.test(op)) c.branches++;
    else c.salu++;
  }
  return c;
}
const AMD_JUMP = /^s_c?branch\S*\s+(BB\d+)/;

// ---- Intel, as Mesa writes it; a message's description stands on the line below its send
function intelLines(text: string): Line[] {
  const rows = text.split("\n");
  return rows.flatMap((row, i): Line[] => {
    const label = row.match(/^(LABEL\d+):/);
    if (label) return [label[1]];
    const op = row.replace(/^\([^)]*\)\s*/, "").match(/^([a-z][\w.]*)\(\d+\)/)?.[1];
    return op ? [{ op, full: op.startsWith("send") ? `${row} ${rows[i + 1] ?? ""}` : row }] : [];
  });
}
function intelCount(lines: readonly Line[]): Counts {
  const c = empty();
  for (const line of lines) {
    if (typeof line === "string") continue;
    const { op, full } = line;
    if (op.startsWith("send")) {
      const width = /Mask = 0x0|xyzw/.test(full) ? "128" : "32";
      if (/bti 253|scratch|\bss \)/.test(full)) c.scratch++;
      else if (/gateway|barrier/.test(full)) c.barriers++;
      else if (/Surface = 254|\bslm\b/.test(full)) {
        add(/write|store/.test(full) ? c.ldsWrites : c.ldsReads, `b${width}`);
      } else if (/untyped|ugm/.test(full)) add(c.memory, `${/write|store/.test(full) ? "st" : "ld"}${width}`);
      else c.smem++;
    } else if (/^(?:while|break|if|else|endif|cont|halt|jmpi)/.test(op)) c.branches++;
    else if (op === "sync") c.waits++;
    else {
      c.valu++;
      if (op.startsWith("mad")) c.fma++;
      if (op === "math") c.trans++;
    }
  }
  return c;
}
const INTEL_JUMP = /^while\(\d+\)\s+JIP:\s+(LABEL\d+)/;

/** The innermost loop that holds most multiply-adds, or most instructions where none has any. */
function hottest(lines: readonly Line[], jump: RegExp, count: (lines: readonly Line[]) => Counts): Line[] {
  const at = new Map(lines.flatMap((x, i) => typeof x === "string" ? [[x, i] as const] : []));
  const loops = lines.flatMap((x, i): [number, number][] => {
    const to = typeof x === "string"
      ? undefined
      : at.get(x.full.replace(/^\([^)]*\)\s*/, "").match(jump)?.[1] ?? "");
    return to !== undefined && to < i ? [[to, i]] : [];
  });
  const inside = ([a, b]: [number, number], [c, d]: [number, number]) => a >= c && b <= d && (a > c || b < d);
  const innermost = loops.filter((loop) => !loops.some((other) => inside(other, loop)));
  const weight = ([a, b]: [number, number]) => {
    const { fma, valu } = count(lines.slice(a, b + 1));
    return 1e4 * fma + valu;
  };
  const best = innermost.toSorted((x, y) => weight(y) - weight(x))[0];
  return best ? lines.slice(best[0], best[1] + 1) : [];
}

const BYTES: Record<string, number> = { b32: 4, b64: 8, b96: 12, b128: 16 };
const bytesOf = (x: Record<string, number>) =>
  Object.entries(x).reduce((sum, [key, n]) => {
    const width = BYTES[key.match(/b\d+$/)?.[0] ?? ""] ?? 4;
    return sum + n * width * (key.startsWith("2") ? 2 : 1);
  }, 0);

export interface Row {
  readonly file: string;
  readonly label: string;
  readonly runs: number;
  readonly groups: number;
  readonly flops: number;
  readonly stats: Readonly<Record<string, number>>;
  readonly loop: Counts;
  readonly whole: Counts;
}

export function rowsOf(folder: string): Row[] {
  const read = (name: string): string => {
    try {
      return Deno.readTextFileSync(`${folder}/${name}`);
    } catch {
      return "";
    }
  };
  const dispatches: { file: string; flops: number; workgroups: number[] }[] =
    JSON.parse(read("dispatches.json") || "{}").dispatches ?? [];
  return [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => name.endsWith(".stats"))
    .sort()
    .map((name) => {
      const file = name.slice(0, 4);
      const ir = read(`${file}.ir`);
      const intel = ir.includes("== GEN Assembly");
      const text = ir.slice(ir.lastIndexOf("Assembly\n"));
      const lines = intel ? intelLines(text) : amdLines(text);
      const count = intel ? intelCount : amdCount;
      const runs = dispatches.filter((d) => d.file === file);
      return {
        file,
        label: read(`${file}.label`).trim(),
        runs: runs.length,
        groups: runs[0]?.workgroups.reduce((a, b) => a * b, 1) ?? 0,
        flops: runs.reduce((sum, d) => sum + d.flops, 0),
        stats: Object.fromEntries(
          read(name).trim().split("\n").map((row) => row.split("\t")).map(([k, v]) => [k, Number(v)]),
        ),
        loop: count(hottest(lines, intel ? INTEL_JUMP : AMD_JUMP, count)),
        whole: count(lines),
      };
    });
}

/** Upper bounds of the loop's share of f32 peak: by slots of the vector unit, by bytes of the LDS. */
export function boundsOf({ fma, valu, ldsReads, ldsWrites }: Counts): { slots: number; lds: number } {
  // A wave of 64 needs two clocks per instruction of its SIMD; its half of the LDS supplies 64 bytes per clock.
  const clocks = 64 * (bytesOf(ldsReads) + bytesOf(ldsWrites)) / 64;
  return { slots: fma / Math.max(1, valu), lds: clocks ? Math.min(1, 2 * fma / clocks) : 1 };
}

type Column = readonly [head: string, cell: (row: Row) => string | number];

const percent = (x: number) => `${Math.round(100 * x)}%`;
const show = (x: Record<string, number>) => Object.entries(x).map(([k, n]) => `${n} ${k}`).join(", ");
const sum = (x: Record<string, number>) => Object.values(x).reduce((a, b) => a + b, 0);

const KERNEL: readonly Column[] = [
  ["kernel", (r) => r.label],
  ["runs", (r) => r.runs],
  ["groups", (r) => r.groups],
];
const LOOP: readonly Column[] = [
  ["FMA", (r) => r.loop.fma],
  ["VALU", (r) => r.loop.valu],
  ["trans", (r) => r.loop.trans],
  ["LDS reads", (r) => show(r.loop.ldsReads)],
  ["LDS writes", (r) => show(r.loop.ldsWrites)],
  ["memory", (r) => show(r.loop.memory)],
  ["scratch", (r) => r.loop.scratch],
];
const AMD: readonly Column[] = [
  ...KERNEL,
  ["VGPR", (r) => r.stats.VGPRs],
  ["SGPR", (r) => r.stats["Pre-Sched SGPRs"]],
  ["spilled v/s", (r) => `${r.stats["Spilled VGPRs"]}/${r.stats["Spilled SGPRs"]}`],
  ["LDS B", (r) => r.stats["LDS size"]],
  ["waves", (r) => r.stats["Subgroups per SIMD"]],
  ["code B", (r) => r.stats["Code size"]],
  ...LOOP,
  ["SALU", (r) => r.loop.salu],
  ["SMEM", (r) => r.loop.smem],
  ["waits", (r) => r.loop.waits],
  ["barriers", (r) => r.loop.barriers],
  ["branches", (r) => r.loop.branches],
  ["FMA/VALU", ({ loop }) => loop.fma ? percent(boundsOf(loop).slots) : ""],
  ["LDS bound", ({ loop }) => loop.fma && sum(loop.ldsReads) ? percent(boundsOf(loop).lds) : ""],
];
const INTEL: readonly Column[] = [
  ...KERNEL,
  ["SIMD", (r) => r.stats.subgroup],
  ["instructions", (r) => r.stats["Instruction Count"]],
  ["spills/fills", (r) => `${r.stats["Spill Count"]}/${r.stats["Fill Count"]}`],
  ["LDS B", (r) => r.stats["Workgroup Memory Size"]],
  ["cycles", (r) => r.stats["Cycle Count"]],
  ...LOOP,
  ["branches", (r) => r.loop.branches],
  ["FMA/slots", ({ loop: l }) => l.fma ? percent(l.fma / (l.valu + l.branches + sum(l.ldsReads))) : ""],
];

if (import.meta.main) {
  const rows = rowsOf(Deno.args[0]).filter((r) => Deno.args.includes("--all") || r.label !== "(internal)");
  if (Deno.args.includes("--json")) console.log(JSON.stringify(rows));
  else {
    const columns = rows.some((r) => "Instruction Count" in r.stats) ? INTEL : AMD;
    const cells = [
      columns.map(([head]) => head),
      columns.map(() => "---"),
      ...rows.map((row) => columns.map(([, cell]) => cell(row))),
    ];
    for (const line of cells) console.log(`| ${line.join(" | ")} |`);
  }
}
