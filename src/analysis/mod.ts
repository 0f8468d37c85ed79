// The door of the analysis room: what is asked of a trained model.
export {
  draw,
  generate,
  type GenerateOptions,
  type Generator,
  nextProbabilities,
  type Sampling,
} from "./generate.ts";
