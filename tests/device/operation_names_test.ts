// A user's operation may have any name: the plan goes by an operation's role, never by its name.
import assert from "node:assert/strict";
import { attention } from "../../kernels/attention/op.ts";
import { attentionStatistics } from "../../kernels/attention_statistics/op.ts";
import { elementwiseOp, scale, sumAll } from "../../kernels/elementwise/op.ts";
import type { ElementwiseAttrs } from "../../kernels/elementwise/operands.ts";
import { times, variable } from "../../kernels/expression/expression.ts";
import { grad } from "../../kernels/gradient.ts";
import { graphDiagram } from "../../src/chart/graph_diagram.ts";
import { assign, constantValue, input, literalValues, pack } from "../../src/graph/structure.ts";
import { apply, type Op, type Tensor } from "../../src/graph/tensor.ts";
import { everyDevice } from "./devices.ts";

const NAMES = [
  ...["input", "state", "constant", "literal", "view", "pack", "record", "assign"],
  ...[
    "attention",
    "attention_gradient",
    "elementwise",
    "matmul",
    "statistics",
  ],
];

async function* tsFiles(folder: URL): AsyncGenerator<URL> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) yield* tsFiles(new URL(`${name}/`, folder));
    else if (name.endsWith(".ts")) yield new URL(name, folder);
  }
}

/** Three times x, by an operation of this name. */
function tripled(name: string, x: Tensor): Tensor {
  const userOp: Op<ElementwiseAttrs> = { ...elementwiseOp, name };
  return apply(userOp, [x], { name: "tripled", expression: times(3, variable("x")), names: ["x"] })[0];
}

Deno.test("users' operations named like built-in ones are planned, run, packed, replaced and differentiated", () =>
  everyDevice(async (device, where) => {
    for (const name of NAMES) {
      const run = async () => {
        const x = input("x", [64]);
        const y = tripled(name, scale(x, 2));
        const replaced = assign(tripled(name, x), input("z", [64]));
        const [dx] = grad(sumAll(y), [x]);
        using program = await device.compile({
          outputs: { y, dx, packed: pack([y, x], [0, 64], 128), replaced },
        });
        program.run({ x: new Float32Array(64).fill(5), z: new Float32Array(64).fill(7) });
        const results = await program.read(["y", "dx", "packed", "replaced"]);
        return results.map((values) => [values[0], values.at(-1)]);
      };
      // A crash fails this assertion too.
      const results = await run().catch((error) => String(error));
      assert.deepEqual(results, [[30, 30], [6, 6], [30, 5], [7, 7]], `${name} on ${where}`);
    }
  }));

Deno.test("code that reads a tensor's values, attention or diagram goes by the operation, not its name", () => {
  for (const name of NAMES) {
    const y = tripled(name, input("x", [1, 4, 2, 8]));
    assert.deepEqual([constantValue(y), literalValues(y)], [undefined, undefined], name);
    assert.throws(() => attentionStatistics(y), /expected an output of `attention`/, name);
    assert.match(graphDiagram({ y }), new RegExp(`>${name.replaceAll("_", " ")}<`), name);
  }
  const { node } = attention(input("q", [1, 4, 2, 8]), input("k", [1, 4, 2, 8]), input("v", [1, 4, 2, 8]));
  assert.equal(node.op.name, "attention");
});

Deno.test("no module compares an operation's name with a string", async () => {
  for (const room of ["src", "kernels", "bench"]) {
    for await (const path of tsFiles(new URL(`../../${room}/`, import.meta.url))) {
      const text = await Deno.readTextFile(path);
      assert.doesNotMatch(text, /\bop\.name\s*[!=]==|switch \([\w.]*op\.name\)/, path.pathname);
    }
  }
});
