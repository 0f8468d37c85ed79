// Models whose tokens are words (WordLevel) or the longest parts of words (WordPiece).
import type { Fields } from "./fields.ts";
import { type Model, unknownPiece, vocabularyOf } from "./vocabulary.ts";

/**
 * @internal Returns a model that encodes each piece as one token, which is the unknown token if the piece is not in the
 * vocabulary.
 */
export function wordLevel(fields: Fields): Model {
  const vocabulary = vocabularyOf(fields);
  const unknown = fields.text("unk_token", "<unk>");
  const { ids } = vocabulary;
  return {
    ...vocabulary,
    encode: (piece) => [ids.get(piece) ?? ids.get(unknown) ?? unknownPiece(piece, unknown)],
  };
}

/**
 * @internal Returns a greedy model: it takes the longest token at the start of a piece, then the longest prefixed token at the
 * start of the rest, and so on.
 */
export function wordPiece(fields: Fields): Model {
  const vocabulary = vocabularyOf(fields);
  const unknown = fields.text("unk_token", "[UNK]");
  const prefix = fields.text("continuing_subword_prefix", "##");
  const most = fields.integer("max_input_chars_per_word", 0, 100);
  const { ids } = vocabulary;
  const parts = (piece: string): number[] | undefined => {
    const characters = [...piece];
    if (characters.length > most) return undefined;
    const encoded: number[] = [];
    for (let start = 0; start < characters.length;) {
      let end = characters.length;
      let id: number | undefined;
      for (; end > start; end--) {
        id = ids.get((start > 0 ? prefix : "") + characters.slice(start, end).join(""));
        if (id !== undefined) break;
      }
      if (id === undefined) return undefined;
      encoded.push(id);
      start = end;
    }
    return encoded;
  };
  return {
    ...vocabulary,
    encode: (piece) => parts(piece) ?? [ids.get(unknown) ?? unknownPiece(piece, unknown)],
  };
}
