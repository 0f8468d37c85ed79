// A model's tokens and their ids, and the interface of models.
import { UserError } from "../../base/errors.ts";
import { type Fields, isObject, refuse } from "./fields.ts";

/** All ids in a file must be below this number, because an embedding has a row for each id. */
const MOST_IDS = 2 ** 22;

const isId = (x: unknown): x is number =>
  Number.isInteger(x) && (x as number) >= 0 && (x as number) < MOST_IDS;

/** @internal Encodes pieces of text as ids. */
export interface Model {
  /** Maps tokens to ids. */
  readonly ids: ReadonlyMap<string, number>;
  /** Maps ids to tokens. */
  readonly tokens: ReadonlyMap<number, string>;
  /** The number of tokens; tokens with the same text are counted separately. */
  readonly count: number;
  /** Returns the ids of a piece; throws UserError at text for which there is no token. */
  encode(piece: string): number[];
}

export function unknownPiece(piece: string, token: string | number | null): never {
  const text = JSON.stringify(piece.length > 40 ? `${piece.slice(0, 40).toWellFormed()}...` : piece);
  const why = token === null
    ? "it has no unknown token"
    : `its unknown token ${JSON.stringify(token)} is not in the vocabulary`;
  throw new UserError(`tokenizer.json: model.vocab has no token for ${text}, and ${why}.`);
}

/** @internal Reads the field `vocab` of a model, which maps tokens to ids. */
export function vocabularyOf(fields: Fields): Pick<Model, "ids" | "tokens" | "count"> {
  const vocab = fields.any("vocab");
  const place = fields.at("vocab");
  if (!isObject(vocab) || Object.keys(vocab).length === 0) {
    return refuse(place, vocab, "tokens and their ids");
  }
  const ids = new Map<string, number>();
  const tokens = new Map<number, string>();
  for (const [token, id] of Object.entries(vocab)) {
    const at = `${place}[${JSON.stringify(token)}]`;
    if (!isId(id)) return refuse(at, id, `an id below ${MOST_IDS}`);
    if (tokens.has(id)) {
      return refuse(at, id, `a unique id; ${JSON.stringify(tokens.get(id))} has the same`);
    }
    if (!token.isWellFormed()) return refuse(at, id, "tokens without lone surrogates");
    ids.set(token, id);
    tokens.set(id, token);
  }
  return { ids, tokens, count: ids.size };
}
