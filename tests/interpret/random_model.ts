// Decoders with random parameters, larger than at initialisation, shared by the tests of analyses.
import { randomStream } from "../../src/base/random.ts";
import type { LanguageModel } from "../../src/model/model.ts";
import { charTokenizer } from "../../src/data/mod.ts";
import type { Device } from "../../src/device/device.ts";
import { state } from "../../src/graph/structure.ts";
import { type Architecture, decoderParameters } from "../../src/nn/decoder.ts";

const LETTERS = "abcdefghijklmnopqrstuvwxyz";

/** A decoder whose parameters are states of the device, named after `purpose`; its tokens are letters. */
export function randomModel(device: Device, architecture: Architecture, purpose: string): LanguageModel {
  const rng = randomStream(1, purpose);
  const parameters = Object.fromEntries(
    decoderParameters(architecture).map(({ name, shape, mean, std }) => {
      const size = shape.reduce((a, b) => a * b, 1);
      const values = Float32Array.from({ length: size }, () => mean + (std > 0 ? 0.5 : 0.1) * rng.normal());
      const stream = `${purpose} ${name}`;
      device.define(stream, { shape, dtype: "f32" }, values);
      return [name, state(stream, shape)];
    }),
  );
  return { architecture, parameters, tokenizer: charTokenizer(LETTERS.slice(0, architecture.vocabulary)) };
}
