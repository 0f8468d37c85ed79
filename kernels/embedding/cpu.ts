// The embedding on the host: rows copied out, and their gradients added back.
import type { Call, Floats, Values } from "../../src/graph/tensor.ts";
import type { EmbeddingBackwardAttrs } from "./op.ts";

/** y[n, :] = table[ids[n], :], an id past the table taken as its last. */
export function embeddingCpu(
  [table, ids]: readonly Values[],
  outputs: readonly Values[],
  { inputs }: Call,
): void {
  const y = outputs[0] as Floats;
  const [rows, size] = inputs[0].shape;
  for (let n = 0; n < ids.length; n++) {
    const from = Math.min(ids[n], rows - 1) * size;
    for (let i = 0, to = n * size; i < size; i++) y[to + i] = table[from + i];
  }
}

/** dtable[v, :] = addend[v, :] + sum of dy[n, :] over the tokens n with id v. */
export function embeddingBackwardCpu(
  [ids, dy, addend]: readonly Values[],
  outputs: readonly Values[],
  { outputs: [spec] }: Call<EmbeddingBackwardAttrs>,
): void {
  const dtable = outputs[0] as Floats;
  const [rows, size] = spec.shape;
  if (addend) dtable.set(addend as Floats);
  else dtable.fill(0);
  for (let n = 0; n < ids.length; n++) {
    const to = Math.min(ids[n], rows - 1) * size;
    for (let i = 0, from = n * size; i < size; i++) dtable[to + i] += dy[from + i];
  }
}
