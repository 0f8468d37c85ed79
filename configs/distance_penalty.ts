// A custom score modifier: scores fall with distance, by a slope that each head learns. The WGSL, the host function and the
// gradient of the slopes are derived from the expression.
import { masks, type UserModifier } from "../mod.ts";

export const distancePenalty: UserModifier = {
  tables: ({ heads }) => ({ slope: { shape: [heads], start: 0.1 } }),
  modifier: ({ slope }) => masks.modifier("score - slope[h] * (i - j)", { slope }),
};
