// `append` and its gradients in WebAssembly: memory copies, one block per sample, and sums over the samples.
import type { Phase, Simd } from "../../src/graph/simd.ts";
import type { Call } from "../../src/graph/tensor.ts";
import { element, f32x4, i32, load } from "../../src/wasm/mod.ts";
import { columnSums } from "../simd/columns.ts";

/** y[b] = concat(x[b], rows). */
export function appendSimd({ inputs: [{ shape: [B, S, C] }, { shape: [E] }] }: Call): Simd {
  const [held, added] = [4 * S * C, 4 * E * C];
  return {
    phases: [{
      label: "append",
      blocks: B,
      kernel(f, sample, { inputs: [x, rows], outputs: [y] }) {
        const to = f.let(element(y, sample, held + added));
        f.copy(to, element(x, sample, held), held);
        f.copy(i32.add(to, held), rows, added);
      },
    }],
  };
}

/** dx[b] = dy[b, :S], and drows = sum over b of dy[b, S:]. */
export function appendBackwardSimd(
  { outputs: [{ shape: [B, S, C] }, { shape: [E] }], needed }: Call,
): Simd {
  const [held, added] = [4 * S * C, 4 * E * C];
  const sums = columnSums({
    label: "append_backward_sum",
    rows: B,
    columns: E * C,
    outputs: [1],
    row(f, sample, column, { inputs: [dy] }) {
      const from = f.let(i32.add(element(dy, sample, held + added), column));
      return ([sum], offset) => f.set(sum, f32x4.add(sum, load("v128", from, held + offset)));
    },
  });
  return {
    scratch: needed[1] ? sums.scratch : [],
    phases: [
      ...(needed[0]
        ? [
          {
            label: "append_backward",
            blocks: B,
            kernel(f, sample, { inputs: [dy], outputs: [dx] }) {
              f.copy(element(dx, sample, held), element(dy, sample, held + added), held);
            },
          } satisfies Phase,
        ]
        : []),
      ...(needed[1] ? sums.phases : []),
    ],
  };
}
