// Activation patching: which parts of a model carry the difference between two texts. One part at a time of the corrupted
// text's pass is given what the clean text has there.
import { embedding } from "../../kernels/embedding/op.ts";
import { textBehind } from "../data/mod.ts";
import type { Device } from "../device/device.ts";
import { UserError } from "../base/errors.ts";
import { input, reshape } from "../graph/structure.ts";
import type { Values } from "../graph/tensor.ts";
import { decoder, type Taps } from "../nn/decoder.ts";
import { checkLogits } from "../model/finite.ts";
import { reportProgress } from "../base/progress.ts";
import type { LanguageModel } from "../model/model.ts";
import { padded, passLength, textIds, type TextOrIds, tokenId, tokenTexts } from "../model/passes.ts";
import { argmax, ofTokens } from "../generate/sampling.ts";

/**
 * What is patched: the stream into each block, what its attention or its MLP adds, by position; or the values of each head, at
 * all positions.
 */
export type PatchSite = "resid_pre" | "attn_out" | "mlp_out" | "heads";

/** All sites.
 * @category Questions */
export const PATCH_SITES: readonly PatchSite[] = ["resid_pre", "attn_out", "mlp_out", "heads"];

/** Two texts, and what each part of the model has to do with their difference.
 * @category Questions */
export interface Patching {
  /** Tokens of the clean text and of the corrupted one. */
  readonly tokens: { readonly clean: readonly string[]; readonly corrupted: readonly string[] };
  /** The tokens whose logits are compared. */
  readonly answer: string;
  /** What stands for the corrupted text. */
  readonly wrong: string;
  /** logit(answer) - logit(wrong) after the clean text and after the corrupted one. */
  readonly difference: { readonly clean: number; readonly corrupted: number };
  /**
   * [layer][position or head]: the share of the difference that the patch brings back, 0 as corrupted, 1 as clean:
   * (patched - corrupted) / (clean - corrupted).
   */
  readonly recovered: readonly Float64Array[];
  /** Where clean and corrupted hardly differ, by less than 0.1: that the shares are of next to nothing. */
  readonly warning?: string;
}

/** A smaller difference of logits, of 10% in the odds of the two tokens, is no difference to explain. */
const LEAST_DIFFERENCE = 0.1;

/** What to say of a difference that is too small to be shared out. */
function warningOf({ answer, wrong, difference: { clean, corrupted } }: Omit<Patching, "warning">) {
  if (Math.abs(clean - corrupted) >= LEAST_DIFFERENCE) return {};
  const logits = `logit(${JSON.stringify(answer)}) - logit(${JSON.stringify(wrong)})`;
  const apart = Math.abs(clean - corrupted).toPrecision(2);
  return {
    warning:
      `${logits} hardly differs between the texts, by ${apart}: expected at least ${LEAST_DIFFERENCE}, or the ` +
      `shares say little; name two tokens between which the texts differ by answer and wrong.`,
  };
}

/** Options of `patchActivations`. */
export interface PatchOptions {
  /** What is patched. Default: "resid_pre". */
  readonly site?: PatchSite;
  /** A token. Default: the most likely one after the clean text. */
  readonly answer?: string;
  /** A token. Default: the most likely one after the corrupted text. */
  readonly wrong?: string;
}

const tapOf = (site: PatchSite, layer: number): string =>
  `blocks.${layer}.${site === "heads" ? "attn.z" : site}`;

/** Both texts in one pass; every row of a tap may be taken from another place: input `from TAP`. */
function patchedGraph({ architecture, parameters }: LanguageModel, length: number, site: PatchSite) {
  const names = Array.from({ length: architecture.layers }, (_, layer) => tapOf(site, layer));
  const counts: Record<string, number> = {};
  const taps: Taps = {
    wants: (name) => names.includes(name),
    tap(name, x) {
      if (!names.includes(name)) return x;
      const width = x.shape.at(-1)!;
      const count = counts[name] = x.shape.reduce((a, b) => a * b, 1) / width;
      return reshape(embedding(reshape(x, [count, width]), input(`from ${name}`, [count], "u32")), x.shape);
    },
  };
  const wanted = input("wanted", [2], "u32");
  const ids = input("ids", [2, length], "u32");
  // Hooks may look at all logits: they are chosen from behind them.
  const chosenFirst = architecture.hooks ? undefined : wanted;
  const logits = decoder(architecture, parameters, ids, { taps, wanted: chosenFirst });
  const { vocabulary } = architecture;
  const chosen = architecture.hooks ? embedding(reshape(logits, [2 * length, vocabulary]), wanted) : logits;
  return { logits: chosen, names, counts };
}

function textPair(model: LanguageModel, clean: TextOrIds, corrupted: TextOrIds): [Uint32Array, Uint32Array] {
  const [a, b] = [textIds(model, clean), textIds(model, corrupted)];
  if (a.length === b.length) return [a, b];
  throw new UserError(
    `Patching needs texts of as many tokens, found ${a.length} in the clean and ${b.length} in the corrupted one.`,
  );
}

/** Which rows the corrupted text takes from the clean one: those of a position, or of a head at all positions. */
function patchFeeds(
  { names, counts }: { names: readonly string[]; counts: Readonly<Record<string, number>> },
  site: PatchSite,
  gone?: { layer: number; place: number; places: number },
): Record<string, Values> {
  return Object.fromEntries(names.map((name, layer) => {
    const half = counts[name] / 2;
    const from = Uint32Array.from({ length: counts[name] }, (_, at) => {
      const own = at - half;
      const here = gone?.layer === layer && own >= 0 &&
        (site === "heads" ? own % gone.places : own) === gone.place;
      return here ? own : at;
    });
    return [`from ${name}`, from];
  }));
}

/**
 * Activation patching (Vig et al. 2020; Meng et al. 2022): the corrupted text's pass with one part replaced by what the clean
 * text has there, for each layer and position, or each layer and head. What it recovers of the logit difference between the
 * clean text's answer and the corrupted one's tells where the difference is carried.
 *
 * @param corrupted a text of as many tokens that the model continues otherwise
 * @throws {UserError} where the texts differ in length or are too long, an answer is not one token, both answers are the same,
 * or the difference is the same after both texts
 *
 * @example
 * ```ts
 * import { openModel, patchActivations } from "../../mod.ts";
 * using opened = await openModel("runs/latest", { device: "cpu", passes: 10 });
 * const options = { site: "heads", answer: "e", wrong: "o" } as const;
 * const found = await patchActivations(opened.device, opened.model, "The numb", "The foll", options);
 * console.log(found.recovered[0]); // of each head of the first block
 * ```
 * @category Questions
 */
export async function patchActivations(
  device: Device,
  model: LanguageModel,
  clean: TextOrIds,
  corrupted: TextOrIds,
  options: PatchOptions = {},
): Promise<Patching> {
  const { site = "resid_pre" } = options;
  const { vocabulary, layers, heads } = model.architecture;
  const pair = textPair(model, clean, corrupted);
  const tokens = pair[0].length;
  const length = passLength(model.architecture, tokens);
  const graph = patchedGraph(model, length, site);
  using program = await device.compile({ outputs: { logits: graph.logits } });
  const feeds = { ids: padded(pair, length), wanted: Uint32Array.of(tokens - 1, length + tokens - 1) };
  const logitsOf = async (gone?: { layer: number; place: number; places: number }) => {
    program.run({ ...feeds, ...patchFeeds(graph, site, gone) });
    const [logits] = await program.read(["logits"]);
    checkLogits(logits);
    return [0, 1].map((row) => logits.subarray(row * vocabulary, (row + 1) * vocabulary));
  };
  reportProgress({ what: "patching", done: 0, total: layers * (site === "heads" ? heads : tokens) });
  const both = await logitsOf();
  const id = (given: string | undefined, what: string, row: number) =>
    given === undefined ? argmax(ofTokens(model.tokenizer, both[row])) : tokenId(model, given, what);
  const [answer, wrong] = [id(options.answer, "answer", 0), id(options.wrong, "wrong", 1)];
  const [answerText, wrongText] = [answer, wrong].map((id, row) => {
    return textBehind(model.tokenizer, pair[row][tokens - 1], [id]);
  });
  const difference = (logits: ArrayLike<number>) => logits[answer] - logits[wrong];
  const [whole, none] = both.map(difference);
  if (answer === wrong || whole === none) {
    const compared = `${JSON.stringify(answerText)} with ${JSON.stringify(wrongText)}`;
    throw new UserError(
      `Patching compares ${compared}: expected two tokens between which the texts differ; name them by answer and wrong.`,
    );
  }
  const places = site === "heads" ? heads : tokens;
  const recovered = Array.from({ length: layers }, () => new Float64Array(places));
  for (const [layer, row] of recovered.entries()) {
    for (let place = 0; place < places; place++) {
      reportProgress({ what: "patching", done: layer * places + place, total: layers * places });
      row[place] = (difference((await logitsOf({ layer, place, places }))[1]) - none) / (whole - none);
    }
  }
  const found = {
    tokens: { clean: tokenTexts(model, pair[0]), corrupted: tokenTexts(model, pair[1]) },
    answer: answerText,
    wrong: wrongText,
    difference: { clean: whole, corrupted: none },
    recovered,
  };
  return { ...found, ...warningOf(found) };
}
