// Softmax over the visible keys of a row, optionally with an extra logit that gets a share of the weight but has no value.
import { wgslFloat } from "../../src/graph/tensor.ts";
import { kernelOf, type NormalisedActivation } from "./activation.ts";
import softmaxWgsl from "./softmax.wgsl" with { type: "text" };

/**
 * a_j = e^{s_j} / sum_k e^{s_k}, where the sum over k includes the extra logit, if there is one. The row term is the log-sum-exp.
 * In the Jacobian of a row, w = a and W = 1; W includes the weight of the extra logit, whose gradient is 0.
 *
 * @param firstLogit the extra logit; -Infinity means that there is none
 */
export function softmax(doc: string, firstLogit: number): NormalisedActivation {
  const none = firstLogit === -Infinity;
  return {
    normalised: true,
    doc,
    sumsToOne: none,
    approximated: true,
    weigh(scores, n, a) {
      let top = firstLogit;
      for (let m = 0; m < n; m++) top = Math.max(top, scores[m]);
      if (top === -Infinity) {
        a.fill(0, 0, n);
        return 1e30;
      }
      let sum = none ? 0 : Math.exp(firstLogit - top);
      for (let m = 0; m < n; m++) sum += a[m] = Math.exp(scores[m] - top);
      for (let m = 0; m < n; m++) a[m] /= sum;
      return top + Math.log(sum);
    },
    definition: {
      weights(scores) {
        const top = scores.reduce((most, s) => Math.max(most, s), firstLogit);
        const powers = scores.map((s) => Math.exp(s - top));
        const sum = powers.reduce((a, b) => a + b, none ? 0 : Math.exp(firstLogit - top));
        return powers.map((power) => power / sum);
      },
      gradient(a, da) {
        const mean = a.reduce((sum, x, j) => sum + x * da[j], 0);
        return a.map((x, j) => x * (da[j] - mean));
      },
    },
    kernel: kernelOf(softmaxWgsl, {
      constants: {
        RESCALES: true,
        // The lowest float32, so that no finite score is below it.
        FIRST_TOP: wgslFloat(none ? -3.4028234663852886e38 : firstLogit),
        FIRST_SUM: wgslFloat(none ? 0 : 1),
      },
    }),
  };
}
