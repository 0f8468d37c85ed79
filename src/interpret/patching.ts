// Activation patching: which activations of a model carry the difference between two texts. In the forward pass of the
// corrupted text, one activation at a time is replaced by the same activation of the clean text.
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
 * The kind of activation that is patched. "resid_pre" is the residual stream before a block, and "attn_out" and "mlp_out" are
 * the outputs of its attention and its MLP, each at one position. "heads" is the output z of one head at all positions.
 */
export type PatchSite = "resid_pre" | "attn_out" | "mlp_out" | "heads";

/** All sites.
 * @category Questions */
export const PATCH_SITES: readonly PatchSite[] = ["resid_pre", "attn_out", "mlp_out", "heads"];

/** The result of patching: two texts, and the share of their difference that each patch recovers.
 * @category Questions */
export interface Patching {
  /** The text of each token of the clean text and of the corrupted one. */
  readonly tokens: { readonly clean: readonly string[]; readonly corrupted: readonly string[] };
  /** The answer token of the clean text. */
  readonly answer: string;
  /** The answer token of the corrupted text. */
  readonly wrong: string;
  /** logit(answer) - logit(wrong) after the clean text and after the corrupted one. */
  readonly difference: { readonly clean: number; readonly corrupted: number };
  /**
   * The share of the difference that each patch recovers, (patched - corrupted) / (clean - corrupted),
   * [layer][position or head]. It is 0 if the difference stays as after the corrupted text, and 1 if it becomes as after the
   * clean text.
   */
  readonly recovered: readonly Float64Array[];
  /** A warning, if `difference.clean` and `difference.corrupted` differ by less than 0.1, so that the shares are unreliable. */
  readonly warning?: string;
}

/**
 * Minimum of |clean - corrupted| for reliable shares. A logit difference of 0.1 changes the odds of the two tokens by about
 * 10%.
 */
const LEAST_DIFFERENCE = 0.1;

/** Returns an object with the field `warning` if |clean - corrupted| is too small for reliable shares, else an empty object. */
function warningOf({ answer, wrong, difference: { clean, corrupted } }: Omit<Patching, "warning">) {
  if (Math.abs(clean - corrupted) >= LEAST_DIFFERENCE) return {};
  const logits = `logit(${JSON.stringify(answer)}) - logit(${JSON.stringify(wrong)})`;
  const apart = Math.abs(clean - corrupted).toPrecision(2);
  return {
    warning:
      `${logits} differs by only ${apart} between the texts; below ${LEAST_DIFFERENCE} the shares are unreliable. ` +
      `Set answer and wrong to tokens whose logit difference depends on the text.`,
  };
}

/** Options of `patchActivations`. */
export interface PatchOptions {
  /** The kind of activation that is patched. Default: "resid_pre". */
  readonly site?: PatchSite;
  /** Answer token of the clean text. Default: the most likely next token. */
  readonly answer?: string;
  /** Answer token of the corrupted text. Default: the most likely next token. */
  readonly wrong?: string;
}

const tapOf = (site: PatchSite, layer: number): string =>
  `blocks.${layer}.${site === "heads" ? "attn.z" : site}`;

/**
 * Returns the graph of a forward pass over both texts. For every row of a tapped tensor, the input `from TAP` is the index of
 * the row that replaces it.
 */
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
  const logitRows = input("logitRows", [2], "u32");
  const ids = input("ids", [2, length], "u32");
  // Hooks may use all logits, so if there are hooks, the rows of logits are selected after the hooks are applied.
  const chosenFirst = architecture.hooks ? undefined : logitRows;
  const logits = decoder(architecture, parameters, ids, { taps, logitRows: chosenFirst });
  const { vocabulary } = architecture;
  const chosen = chosenFirst ? logits : embedding(reshape(logits, [2 * length, vocabulary]), logitRows);
  return { logits: chosen, names, counts };
}

function textPair(model: LanguageModel, clean: TextOrIds, corrupted: TextOrIds): [Uint32Array, Uint32Array] {
  const [a, b] = [textIds(model, clean), textIds(model, corrupted)];
  if (a.length === b.length) return [a, b];
  throw new UserError(
    `Patching needs texts of equal length, found ${a.length} tokens in the clean and ${b.length} in the corrupted one.`,
  );
}

/**
 * Returns the inputs `from TAP`. At the position or head `patched`, rows of the clean text replace those of the corrupted text;
 * if `patched` is undefined, nothing is replaced.
 */
function patchFeeds(
  { names, counts }: { names: readonly string[]; counts: Readonly<Record<string, number>> },
  site: PatchSite,
  patched?: { layer: number; place: number; places: number },
): Record<string, Values> {
  return Object.fromEntries(names.map((name, layer) => {
    const half = counts[name] / 2;
    const from = Uint32Array.from({ length: counts[name] }, (_, at) => {
      const position = at - half;
      const here = patched?.layer === layer && position >= 0 &&
        (site === "heads" ? position % patched.places : position) === patched.place;
      return here ? position : at;
    });
    return [`from ${name}`, from];
  }));
}

/**
 * Activation patching (Vig et al. 2020; Meng et al. 2022): for each layer and position, or each layer and head, runs the
 * forward pass of the corrupted text with one activation replaced by that of the clean text. A patch recovers a share of the
 * difference between the logits of the two answers; the larger this share, the more of the difference the patched activation
 * carries.
 *
 * @param corrupted a text that has as many tokens as `clean` and that the model continues differently
 * @throws {UserError} if the texts differ in length or are too long, an answer is not one token, both answers are the same,
 * or the logit difference is the same after both texts
 *
 * @example
 * ```ts
 * import { openModel, patchActivations } from "../../mod.ts";
 * using opened = await openModel("runs/latest", { device: "cpu", passes: 10 });
 * const options = { site: "heads", answer: "e", wrong: "o" } as const;
 * const patching = await patchActivations(opened.device, opened.model, "The numb", "The foll", options);
 * console.log(patching.recovered[0]); // share of each head of the first block
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
  const feeds = { ids: padded(pair, length), logitRows: Uint32Array.of(tokens - 1, length + tokens - 1) };
  const logitsOf = async (patched?: { layer: number; place: number; places: number }) => {
    program.run({ ...feeds, ...patchFeeds(graph, site, patched) });
    const [logits] = await program.read(["logits"]);
    checkLogits(logits);
    return [0, 1].map((row) => logits.subarray(row * vocabulary, (row + 1) * vocabulary));
  };
  reportProgress({ what: "patching", done: 0, total: layers * (site === "heads" ? heads : tokens) });
  const both = await logitsOf();
  const id = (token: string | undefined, what: string, row: number) =>
    token === undefined ? argmax(ofTokens(model.tokenizer, both[row])) : tokenId(model, token, what);
  const [answer, wrong] = [id(options.answer, "answer", 0), id(options.wrong, "wrong", 1)];
  const [answerText, wrongText] = [answer, wrong].map((id, row) => {
    return textBehind(model.tokenizer, pair[row][tokens - 1], [id]);
  });
  const difference = (logits: ArrayLike<number>) => logits[answer] - logits[wrong];
  const [full, base] = both.map(difference);
  if (answer === wrong || full === base) {
    const compared = `${JSON.stringify(answerText)} with ${JSON.stringify(wrongText)}`;
    throw new UserError(
      `Patching compares ${compared}: expected tokens whose logit difference depends on the text; set them by answer and wrong.`,
    );
  }
  const places = site === "heads" ? heads : tokens;
  const recovered = Array.from({ length: layers }, () => new Float64Array(places));
  for (const [layer, row] of recovered.entries()) {
    for (let place = 0; place < places; place++) {
      reportProgress({ what: "patching", done: layer * places + place, total: layers * places });
      row[place] = (difference((await logitsOf({ layer, place, places }))[1]) - base) / (full - base);
    }
  }
  const result = {
    tokens: { clean: tokenTexts(model, pair[0]), corrupted: tokenTexts(model, pair[1]) },
    answer: answerText,
    wrong: wrongText,
    difference: { clean: full, corrupted: base },
    recovered,
  };
  return { ...result, ...warningOf(result) };
}
