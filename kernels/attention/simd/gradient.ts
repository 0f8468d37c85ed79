// The phases that compute the gradients of attention on the CPU device, and their memory.
import type { Simd } from "../../../src/graph/simd.ts";
import type { Call } from "../../../src/graph/tensor.ts";
import { type I32, i32 } from "../../../src/wasm/mod.ts";
import { type AttentionAttrs, attentionSizes, hasRowTerm, isExact } from "../sizes.ts";
import { deltaPhase, gradientBlock, gradientPlan, querySumPhase } from "./backward.ts";
import { isKnown } from "./weights.ts";

/** Returns the phases of `attention_gradient`, or undefined if the activation has no WebAssembly code. */
export function gradientSimd({ inputs, attrs, needed }: Call<AttentionAttrs>): Simd | undefined {
  if (!isKnown(attrs)) return undefined;
  const call = { sizes: attentionSizes(inputs), attrs };
  const { B, T, H, HKV } = call.sizes;
  const [dq, dk, dv, delta] = needed;
  const plan = gradientPlan(call, { dq, dk, dv });
  const { shapes: { parts, T8, D8 }, memory } = plan;
  const exact = isExact(attrs);
  const deltas = (at: { outputs: readonly I32[]; scratch: readonly I32[] }) =>
    delta ? at.outputs[3] : at.scratch[1];
  return {
    own: memory.size,
    scratch: [dq ? parts * B * H * T8 * D8 : 1, exact && !delta ? B * H * T : 1],
    phases: [
      ...(exact ? [deltaPhase(call, deltas)] : []),
      {
        label: `attention ${attrs.activation} gradient`,
        blocks: B * HKV * parts,
        kernel(f, block, at) {
          const head = f.let(i32.divU(block, parts));
          const [b, kv, part] = [i32.divU(head, HKV), i32.remU(head, HKV), i32.remU(block, parts)];
          gradientBlock(f, plan, {
            at,
            terms: hasRowTerm(attrs) ? at.inputs[4] : at.own,
            deltas: exact ? deltas(at) : at.own,
            dq: at.scratch[0],
            dk: at.outputs[1],
            dv: at.outputs[2],
          }, { b: f.let(b), kv: f.let(kv), part: f.let(part) });
        },
      },
      ...(dq ? [querySumPhase(plan)] : []),
    ],
  };
}
