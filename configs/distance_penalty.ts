// A score modifier of one's own: scores fall with distance, by a slope that each head learns. The WGSL, the function on
// the host and the gradient of the slopes come from the expression.
import { lookup, minus, modifier, times, type UserModifier, variable } from "../mod.ts";

const [score, h, i, j] = ["score", "h", "i", "j"].map(variable);

export const distancePenalty: UserModifier = {
  tables: ({ heads }) => ({ slope: { shape: [heads], start: 0.1 } }),
  modifier: ({ slope }, { heads }) => {
    return modifier(minus(score, times(lookup("slope", [heads], h), minus(i, j))), { slope });
  },
};
