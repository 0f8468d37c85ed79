// The door of the model room.
export {
  type Architecture,
  decoder,
  decoderParameters,
  type ForwardOptions,
  type Parameter,
  parameterCount,
  type Parameters,
  type Taps,
} from "./decoder.ts";
