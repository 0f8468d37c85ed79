// Feedback alignment in a decoder, against the papers: which error reaches the head's input, wo and mlp.proj.
import assert from "node:assert/strict";
import { multiply, sumAll } from "../../kernels/elementwise/op.ts";
import { gradientOf } from "../../kernels/gradient.ts";
import { matmul } from "../../kernels/matmul/op.ts";
import { randomStream } from "../../src/base/random.ts";
import { resolveConfig } from "../../src/config/mod.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { input, reshape } from "../../src/graph/structure.ts";
import type { Tensor, Values } from "../../src/graph/tensor.ts";
import type { Architecture, Method } from "../../src/nn/architecture.ts";
import { decoder, decoderParameters } from "../../src/nn/decoder.ts";
import { feedbackMatrix } from "../../src/nn/feedback.ts";
import { matrixStd } from "../../src/nn/parameters.ts";
import { evaluate, randomInput, relativeError } from "../kernels/harness.ts";

/** A decoder of two blocks with a method, and the gradients of its loss e . logits for taps and parameters. */
function decoderGradients(method: Method, head: Method | null = null) {
  const architecture: Architecture = {
    ...{ vocabulary: 11, context: 5, dim: 8, layers: 2, heads: 2, positions: "learned", norm: "layernorm" },
    ...{
      bias: true,
      tied: false,
      dropout: 0,
      init: { std: 0.3, scaled_residual: true },
      head: { method: head },
    },
    block: { attention: { method }, mlp: { method } },
  };
  const rng = randomStream(7, "feedback decoder");
  const feeds: Record<string, Values> = { ids: Uint32Array.from({ length: 10 }, () => rng.below(11)) };
  const described = decoderParameters(architecture);
  const parameters = Object.fromEntries(
    described.map(({ name, shape }) => [name, randomInput(rng, feeds, name, [...shape])]),
  );
  const seen: Record<string, Tensor> = {};
  const taps = { wants: () => true, tap: (name: string, x: Tensor) => seen[name] = x };
  const logits = decoder(architecture, parameters, input("ids", [2, 5], "u32"), { taps });
  const e = randomInput(rng, feeds, "e", [2, 5, 11]);
  const of = gradientOf(sumAll(multiply(logits, e)), Object.values(parameters));
  const gradient = (name: string) =>
    reshape(of(parameters[name] ?? seen[name])!, (parameters[name] ?? seen[name]).shape);
  return { feeds, seen, gradient, e: reshape(e, [10, 11]), architecture };
}

/** The relative difference of two tensors on the float64 oracle. */
async function equal(
  feeds: Record<string, Values>,
  outputs: { actual: Tensor; expected: Tensor },
): Promise<number> {
  using oracle = referenceDevice({ precision: "f64" });
  const { actual, expected } = await evaluate(oracle, { feeds, outputs });
  return relativeError(actual, expected);
}

Deno.test("under fa the error of the logits passes the head through a fixed random matrix too", async () => {
  const { feeds, gradient, e, architecture } = decoderGradients("fa");
  const B = feedbackMatrix({ name: "unembed", std: matrixStd(architecture, [11, 8]) }, [11, 8]);
  const actual = reshape(gradient("final_norm"), [10, 8]);
  assert.ok(await equal(feeds, { actual, expected: matmul(e, B) }) < 1e-12);
});

Deno.test("model.head.method bp sends the true gradient to the last block of an fa model", async () => {
  const { feeds, gradient } = decoderGradients("fa", "bp");
  const exact = decoderGradients("bp");
  const outputs = {
    actual: gradient("blocks.1.resid_post"),
    expected: exact.gradient("blocks.1.resid_post"),
  };
  assert.ok(await equal(feeds, outputs) < 1e-12);
});

Deno.test("under dfa wo and mlp.proj learn only from e B: the stream's gradient does not reach them", async () => {
  const { feeds, seen, gradient, e, architecture } = decoderGradients("dfa");
  const std = matrixStd(architecture, [11, 8]);
  for (const n of [0, 1]) {
    for (const [matrix, tap, width] of [["attn.wo", "attn.z", 8], ["mlp.proj", "mlp.post", 32]] as const) {
      const dy = matmul(e, feedbackMatrix({ name: `blocks.${n}.${matrix} output`, std }, [11, 8]));
      const x = reshape(seen[`blocks.${n}.${tap}`], [10, width]);
      const expected = matmul(dy, x, { transA: true });
      const error = await equal(feeds, { actual: gradient(`blocks.${n}.${matrix}.weight`), expected });
      assert.ok(error < 1e-12, `blocks.${n}.${matrix}: ${error}`);
    }
  }
});

Deno.test("a configuration whose tied head would need feedback is refused with both remedies", () => {
  const resolve = (model: Record<string, unknown>) =>
    resolveConfig({ model }, { place: "a.yaml", name: "a" });
  const block = { mlp: { method: "fa" } };
  assert.throws(
    () => resolve({ block }),
    /^UserError: a.yaml: model.head.method: fa needs .* expected model.tied false, or model.head.method bp/,
  );
  assert.equal(resolve({ block, tied: false }).model.head.method, null);
  assert.equal(resolve({ block, head: { method: "bp" } }).model.tied, true);
});
