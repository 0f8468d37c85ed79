// The configurations that heed ships, embedded as text, so that bundles and compiled binaries have them too. A test compares
// this list with the directory.
import copy from "../../configs/copy.yaml" with { type: "text" };
import defaults from "../../configs/default.yaml" with { type: "text" };
import distance_penalty from "../../configs/distance_penalty.yaml" with { type: "text" };
import histogram from "../../configs/histogram.yaml" with { type: "text" };
import induction from "../../configs/induction.yaml" with { type: "text" };
import recall from "../../configs/recall.yaml" with { type: "text" };
import sort from "../../configs/sort.yaml" with { type: "text" };
import nanogpt_cpu from "../../configs/nanogpt_cpu.yaml" with { type: "text" };
import realnews_sigmoid_alibi from "../../configs/realnews_sigmoid_alibi.yaml" with { type: "text" };
import realnews_sigmoid_rope from "../../configs/realnews_sigmoid_rope.yaml" with { type: "text" };
import realnews_softmax_rope from "../../configs/realnews_softmax_rope.yaml" with { type: "text" };
import simple_sigmoid from "../../configs/simple_sigmoid.yaml" with { type: "text" };
import simple_softmax from "../../configs/simple_softmax.yaml" with { type: "text" };
import softmax_jacobian from "../../configs/softmax_jacobian.yaml" with { type: "text" };

/** The YAML of every configuration in configs/, keyed by its bare name. */
export const SHIPPED_CONFIGS: Readonly<Record<string, string>> = {
  copy,
  default: defaults,
  distance_penalty,
  histogram,
  induction,
  recall,
  sort,
  nanogpt_cpu,
  realnews_sigmoid_alibi,
  realnews_sigmoid_rope,
  realnews_softmax_rope,
  simple_sigmoid,
  simple_softmax,
  softmax_jacobian,
};
