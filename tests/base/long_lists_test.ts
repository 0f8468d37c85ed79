// No list that grows with data is spread into the arguments of a call: the stack overflows at about 100,000.
import assert from "node:assert/strict";
import { join } from "node:path";
import { formatResults } from "../../src/log/results.ts";
import { jacobianTable } from "../../src/jacobian/report.ts";
import { bpeTokenizer } from "../../src/data/byte_tokenizers.ts";
import { huggingfaceTokenizer } from "../../src/data/huggingface_tokenizer.ts";
import { writeStatistics } from "../../src/train/progress.ts";

/** Calls that may spread a list, `file: call`: these lists are short for any input. */
const FEW = new Set([
  // Numbers of a shape, a dispatch, an interval, an index, a range of colours.
  "src/device/gpu_program.ts: pass.dispatchWorkgroups",
  "kernels/attention/cpu.ts: index",
  "kernels/attention/cpu.ts: derivative",
  "kernels/attention/cpu.ts: modifierDerivative",
  "kernels/attention/modifier.ts: at",
  "kernels/attention/modifier.ts: e.lookup",
  "kernels/expression/text.ts: of",
  "kernels/expression/text.ts: e.lookup",
  "kernels/expression/bounds.ts: Math.max",
  "kernels/expression/bounds.ts: Math.min",
  "kernels/optimizers/muon.ts: Math.max",
  // The parts of a path.
  "src/runs/resolve_run.ts: join",
  // The tables of a modifier, the operands of an expression, the masks and scores of one attention.
  "src/jacobian/rows.ts: context.modifierDerivative",
  "src/nn/attention_layer.ts: andMasks",
  "src/nn/attention_layer.ts: compose",
  "src/nn/attention_layer.ts: parts.push",
  "kernels/attention/block_mask.ts: visible",
  "kernels/attention/op.ts: compose",
  "kernels/attention/options.ts: andMasks",
  "kernels/attention/rows.ts: mask",
  "kernels/attention/rows.ts: score",
  "kernels/elementwise/op.ts: f",
  // The words of a table of this project, the kinds of chart, the surrogates, the parts of a block, the checks of a checkpoint.
  "src/jacobian/analysis.ts: Object.assign",
  "src/chart/run_charts.ts: Object.assign",
  "src/data/tasks.ts: String.fromCodePoint",
  "src/nn/parameters.ts: all.push",
  "src/train/verify.ts: checks.push",
  "src/train/train.ts: warnings.push",
  "src/model/formats/hub.ts: join",
  "scripts/show.ts: overrides.unshift",
  "scripts/train.ts: overrides.unshift",
  // A report's last samples and tables, the rows of one pass.
  "src/chart/report.ts: section",
  "src/generate/generate.ts: texts.push",
  // Records as arguments: at most RECORDS_A_WRITE per write.
  "src/train/progress.ts: log.write",
  "src/train/train.ts: file.write",
  "src/train/train.ts: other?.write",
  "src/train/train.ts: log.write",
  "scripts/train.ts: out.write",
  // The operands of an instruction or a function of WebAssembly, the addresses of a kernel, 8,192 bytes of a function.
  "src/wasm/module.ts: String.fromCharCode",
  "src/wasm/module.ts: body",
  "src/wasm/module.ts: to.push",
  "src/wasm/instructions.ts: make",
  "src/wasm/value.ts: make",
  "src/device/cpu/list.ts: f.call",
  "src/device/cpu/blas.ts: call",
  "src/device/cpu/blas.ts: f.call",
  "kernels/attention/simd/tiles.ts: body",
  "kernels/attention/simd/backward.ts: f.call",
  "kernels/attention/simd/forward.ts: f.call",
  "kernels/attention/simd/blocks.ts: f.call",
  'kernels/expression/wasm.ts: op === "+" ? f32x4.madd : f32x4.nmadd',
  "kernels/expression/wasm.ts: f32x4.madd",
  "kernels/matmul/simd.ts: f.call",
  "kernels/matmul/activate.ts: f.call",
  "kernels/matmul/dots.ts: f.call",
]);

/** Finds calls and constructions that spread a list into their arguments. */
const spreads: Deno.lint.Plugin = {
  name: "spreads",
  rules: {
    call: {
      create(context) {
        const look = (node: Deno.lint.CallExpression | Deno.lint.NewExpression) => {
          if (!node.arguments.some(({ type }) => type === "SpreadElement")) return;
          context.report({ node, message: context.sourceCode.getText(node.callee) });
        };
        return { CallExpression: look, NewExpression: look };
      },
    },
  },
};

function* sources(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (isDirectory) yield* sources(join(folder, name));
    else if (name.endsWith(".ts")) yield join(folder, name);
  }
}

Deno.test("only lists of a few entries are spread into the arguments of a call", () => {
  const calls = new Set<string>();
  for (const folder of ["src", "kernels", "scripts"]) {
    for (const file of sources(folder)) {
      const text = Deno.readTextFileSync(file);
      assert.doesNotMatch(text, /\w\.apply\(/, file);
      for (const { message } of Deno.lint.runPlugin(spreads, file, text)) {
        calls.add(`${file.replaceAll("\\", "/")}: ${message}`);
      }
    }
  }
  assert.deepEqual([...calls].filter((call) => !FEW.has(call)), [], "write a loop, maximum() or flatMap()");
  assert.deepEqual([...FEW].filter((call) => !calls.has(call)), [], "allowed, but no longer there");
});

/** The result of a call or its error; a stack overflow fails the assertion. */
const outcome = <T>(call: () => T): T | string => {
  try {
    return call();
  } catch (error) {
    return String(error);
  }
};

Deno.test("byte-pair encoding learns from 300,000 spaces and decodes them", () => {
  const spaces = " ".repeat(300_000);
  const actual = outcome(() => {
    const tokenizer = bpeTokenizer(spaces, { size: 300 });
    return tokenizer.decode(tokenizer.encode(spaces)) === spaces && tokenizer.size;
  });
  assert.equal(actual, 256 + 17); // 2^17 spaces are a token; there is no second pair of those.
});

Deno.test("300,000 tokens of one byte each are decoded by byte fallback", () => {
  const vocab = Array.from({ length: 256 }, (_, byte) => {
    return [`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`, byte];
  });
  const tokenizer = huggingfaceTokenizer({
    decoder: { type: "Sequence", decoders: [{ type: "ByteFallback" }, { type: "Fuse" }] },
    model: {
      type: "BPE",
      byte_fallback: true,
      vocab: Object.fromEntries([...vocab, ["<unk>", 256]]),
      merges: [],
    },
  });
  const broken = new Uint32Array(300_001).fill(0xff).fill(256, 300_000);
  assert.equal(outcome(() => tokenizer.decode(broken)), "\ufffd".repeat(300_000) + "<unk>");
});

Deno.test("tables of 200,000 rows are laid out, and as many records of one step are written", () => {
  const rows = Array.from({ length: 200_000 }, (_, n) => [`run ${n}`]);
  assert.equal(outcome(() => formatResults({ columns: ["name"], rows }, "table").length), 2_088_895);
  const where = { type: "jacobian", step: 0, head: 0, activation: "softmax", method: "bp" } as const;
  const counts = { rows: 8, rows_zero: 1, batches: 1, visible_keys: 4.5, full_error: 1e-7 };
  const records = rows.map((_, layer) => ({ ...where, layer, ...counts }));
  assert.match(outcome(() => jacobianTable(records)), /full within 1\.0e-7/);

  const written = { records: 0 };
  const log = { write: (...all: unknown[]) => void (written.records += all.length) };
  const stat = {
    type: "stat",
    step: 1,
    kind: "act",
    tap: "embed",
    layer: null,
    head: null,
    mean: 1,
  } as const;
  const state = { counter: 0 };
  outcome(() => writeStatistics({ log, state } as never, rows.map(() => stat) as never));
  assert.deepEqual([written.records, state.counter], [200_000, 200_000]);
});
