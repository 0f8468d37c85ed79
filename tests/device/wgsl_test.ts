// WGSL templates: how their lines expand, and how invalid ones fail.
import assert from "node:assert/strict";
import { bindingsOf, shaderOf } from "../../src/device/wgsl.ts";
import type { Dispatch } from "../../src/graph/tensor.ts";

/** A template's text after expansion, without the constants' header. */
function expand(
  source: string,
  constants: Dispatch["constants"] = {},
  code: Record<string, string> = {},
): string {
  const shader = shaderOf({ label: "test", source, constants, code, bindings: {}, workgroups: [1, 1, 1] });
  return shader.split("\n").slice(Object.keys(constants).length).map((text) => text.trim()).join("\n");
}

Deno.test("constants become const lines: integers u32, booleans bool, strings f32 literals, or aliases of types", () => {
  const constants = { ROWS: 7, CAUSAL: true, SCALE: "0.5f", Item: "vec4f" };
  const shader = shaderOf({ label: "test", source: "main", constants, bindings: {}, workgroups: [1, 1, 1] });
  assert.equal(
    shader,
    "const ROWS: u32 = 7u;\nconst CAUSAL: bool = true;\nconst SCALE: f32 = 0.5f;\nalias Item = vec4f;\nmain",
  );
});

Deno.test("for repeats its lines with $r replaced, also inside a literal or a name", () => {
  assert.equal(
    expand("a\n//! for r in 0..2\nlet c$r_0 = x[$ru] + $c;\n//! end\nb"),
    "a\nlet c0_0 = x[0u] + $c;\nlet c1_0 = x[1u] + $c;\nb",
  );
});

Deno.test("for accepts arithmetic over the constants as bounds, and an empty range gives nothing", () => {
  assert.equal(expand("//! for r in START..COLS / 4 + 1\n$r\n//! end", { START: 1, COLS: 8 }), "1\n2");
  assert.equal(expand("a\n//! for r in 2..2\n$r\n//! end\nb"), "a\nb");
});

Deno.test("nested for loops can use the outer variable in their bounds and their text", () => {
  const source =
    "//! for r in 0..3\n//! for c in 0..$r\nm$r$c\n//! end\n//! for k in r..3\nk$k\n//! end\n//! end";
  assert.equal(expand(source), "k0\nk1\nk2\nm10\nk1\nk2\nm20\nm21\nk2");
});

Deno.test("if selects one of its branches, by a comparison of constants", () => {
  const source = "//! if COLS % 4 == 0\nvec4\n//! else\nscalar\n//! end";
  assert.equal(expand(source, { COLS: 8 }), "vec4");
  assert.equal(expand(source, { COLS: 9 }), "scalar");
  assert.equal(expand("a\n//! if CAUSAL\nmask\n//! end\nb", { CAUSAL: false }), "a\nb");
});

Deno.test("a missing constant counts as 0", () => {
  assert.equal(expand("//! if BIAS\nyes\n//! else\nno\n//! end"), "no");
});

Deno.test("an else belongs to the inner if, and an if in a for sees the loop's variable", () => {
  const inner = "//! if A\n//! if B\nab\n//! else\na\n//! end\n//! else\nnone\n//! end";
  assert.deepEqual([[1, 1], [1, 0], [0, 1]].map(([A, B]) => expand(inner, { A, B })), ["ab", "a", "none"]);
  assert.equal(
    expand("//! for r in 0..4\n//! if r == 2 || $r > 2\nx$r\n//! else\ny$r\n//! end\n//! end"),
    "y0\ny1\nx2\nx3",
  );
});

Deno.test("insert expands an operation's text, itself a template: constants, loop variables, other inserts", () => {
  assert.equal(
    expand("a\n//! insert LOADS\nb", {}, { LOADS: "let x = 1;\nlet y = 2;" }),
    "a\nlet x = 1;\nlet y = 2;\nb",
  );
  const code = { T: "//! if r == ROWS\n//! insert LAST\n//! else\nt\n//! end", LAST: "last" };
  assert.equal(expand("//! for r in 0..3\n//! insert T\n//! end", { ROWS: 2 }, code), "t\nt\nlast");
});

Deno.test("each opens main, one invocation or LANES lanes per number below COUNT, and its end closes it", () => {
  const alone =
    "fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {\n";
  const source = "//! each row in 0..ROWS over LANES\ny[row] = 1f;\n//! end";
  assert.equal(
    expand(source, { LANES: 1 }),
    `@compute @workgroup_size(64u)\n${alone}let row = id.y * groups.x * 64u + id.x;\nlet lane = 0u;\n` +
      "if (row >= ROWS) { return; }\ny[row] = 1f;\n}",
  );
  assert.equal(
    expand(source, { LANES: 64 }),
    "@compute @workgroup_size(64u)\nfn main(@builtin(workgroup_id) group: vec3u, " +
      "@builtin(local_invocation_index) lane: u32, @builtin(num_workgroups) groups: vec3u) {\n" +
      "let row = group.y * groups.x + group.x;\nif (row >= ROWS) { return; }\ny[row] = 1f;\n}",
  );
  assert.equal(
    expand("//! each i in 0..B * (HELD + ADDED) by 8\n//! if B > 1\nx\n//! end\n//! end\nfn f() {}", {
      B: 2,
    }),
    `@compute @workgroup_size(8)\n${alone}let i = id.y * groups.x * 8 + id.x;\n` +
      "if (i >= B * (HELD + ADDED)) { return; }\nx\n}\nfn f() {}",
  );
  assert.throws(
    () => expand("//! each i below SIZE\n//! end"),
    /not "each x in 0..COUNT".*: \/\/! each i below SIZE/,
  );
});

Deno.test("a block without end, an insert without text and a condition that is not arithmetic fail, quoting the line", () => {
  const failure = (message: RegExp) => (error: Error) =>
    error instanceof SyntaxError && message.test(error.message);
  assert.throws(() => expand("//! for r in 0..2\nx"), failure(/without end: \/\/! for r in 0\.\.2/));
  assert.throws(() => expand("//! if A\n//! if B\n//! end"), failure(/without end: \/\/! if A/));
  assert.throws(() => expand("//! insert LOADS"), failure(/insert without text: LOADS/));
  assert.throws(() => expand("//! if alert`1`\n//! end"), failure(/Template expression: alert`1`/));
  assert.throws(
    () => expand("//! if SCALE\n//! end", { SCALE: "0.5f" }),
    failure(/Template expression: SCALE/),
  );
});

Deno.test("an invalid template line is an error that quotes it, also in a branch that is not taken", () => {
  const failure = (message: RegExp) => (error: Error) =>
    error instanceof SyntaxError && message.test(error.message);
  assert.throws(
    () => expand("//! fro r in 0..2\nx\n//! end"),
    failure(/known word: \/\/! fro r in 0\.\.2\. Did you mean "for"\?/),
  );
  assert.throws(() => expand("//! if A\n//! els\n//! end"), failure(/\/\/! els\. Did you mean "else"/));
  assert.throws(() => expand("//!end"), failure(/known word: \/\/!end/));
  assert.throws(
    () => expand("//! for row in 0..2\n$row\n//! end"),
    failure(/one small letter: \/\/! for row in 0\.\.2/),
  );
  assert.throws(
    () => expand("//! if A\nx\n//! else\ny\n//! for row in 0..2\n//! end\n//! end", { A: 1 }),
    failure(/\/\/! for row in 0\.\.2/),
  );
  assert.throws(() => expand("//! for r in 0,2\n//! end"), failure(/\/\/! for r in 0,2/));
  assert.throws(() => expand("x\n//! end"), failure(/outside of a block: \/\/! end/));
  assert.throws(() => expand("//! else\nx"), failure(/outside of a block: \/\/! else/));
  assert.throws(() => expand("//! insert X", {}, { X: "//! fi A\n//! end" }), failure(/\/\/! fi A/));
});

Deno.test("bindingsOf() reads every storage binding and whether it is written", () => {
  const shader = `@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage,read_write> y: array<f32>;
@group(0) @binding(12)
var<storage, read> z: array<vec4f>;
var<workgroup> tile: array<f32, 64>;`;
  assert.deepEqual([...bindingsOf(shader)], [[0, "read"], [3, "read_write"], [12, "read"]]);
});
