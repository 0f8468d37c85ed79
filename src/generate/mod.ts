// The door of the generation room: sampling, beams, caches.
export { type Beam, type BeamOptions, beamSearch } from "./beams.ts";
export {
  type ContinueOptions,
  generate,
  type Generated,
  type GenerateOptions,
  generateTexts,
  type TextPiece,
} from "./generate.ts";
export { type NextLogits, nextLogits } from "./next_logits.ts";
export { logSoftmax, nextProbabilities, sample, type Sampling } from "./sampling.ts";
