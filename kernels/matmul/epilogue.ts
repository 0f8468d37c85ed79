// Describes the product x = op(a) op(b), which a BLAS can compute, and the phase that then computes y = act(x + bias) +
// addend.
import type { Phase, PlainProduct } from "../../src/graph/simd.ts";
import { type Call, sizeOf } from "../../src/graph/tensor.ts";
import { element, f32x4, i32, load, type V128 } from "../../src/wasm/mod.ts";
import { ACTIVATIONS } from "../expression/activation.ts";
import { toWasm } from "../expression/wasm.ts";
import { eachPart, rowGroups } from "../simd/rows.ts";
import { type MatmulAttrs, matmulSizes } from "./sizes.ts";

/** Describes the product of a call, and the phase that follows it, if any. */
export function productOf(call: Call<MatmulAttrs>): PlainProduct {
  const { inputs, attrs } = call;
  const { transA, transB, bias, addend, activation } = attrs;
  const then = bias || addend || activation ? [epilogue(call)] : [];
  return { ...matmulSizes(inputs, attrs), transA, transB, then };
}

/** Replaces the product x in y by act(x + bias) + addend. Stores x + bias in the second output if it is needed. */
function epilogue({ outputs: [out], attrs, needed }: Call<MatmulAttrs>): Phase {
  const N = out.shape.at(-1)!;
  const { bias: hasBias, addend: hasAddend, activation } = attrs;
  const groups = rowGroups(sizeOf(out) / N, N, { most: 1 });
  return {
    label: "matmul epilogue",
    blocks: groups.blocks,
    kernel(f, block, { inputs, outputs }) {
      const bias = inputs[2];
      groups.each(f, groups.range(f, block), (row) => {
        const [y, pre, addend] = [outputs[0], outputs[1], inputs.at(-1)!].map((base, k) =>
          [true, needed[1], hasAddend][k] ? f.let(element(base, i32.mul(row, N))) : base
        );
        eachPart(f, N, (i, offset, part) => {
          const at = (base: typeof y): V128 => load("v128", i32.add(base, i), offset);
          const sum = f.let(hasBias ? f32x4.add(at(y), at(bias)) : at(y));
          if (activation && needed[1]) part.store(f, i32.add(pre, i), sum, offset);
          const value = activation ? toWasm(ACTIVATIONS[activation], f, { x: sum }) : sum;
          part.store(f, i32.add(y, i), hasAddend ? f32x4.add(value, at(addend)) : value, offset);
        });
      });
    },
  };
}
