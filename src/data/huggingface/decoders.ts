// Decoders, which turn tokens into text. Each decoder maps a list of strings to a list of strings; the strings of the last list
// are concatenated.
import { Buffer } from "node:buffer";
import { cached } from "../byte_bpe.ts";
import { bytesOf } from "./byte_level.ts";
import { componentOf, componentsOf, type Fields, type Makers } from "./fields.ts";
import { metaspaceFields } from "./pre_tokenizers.ts";
import { replacerOf } from "./split.ts";

export type Decoder = (tokens: string[]) => string[];

/** Decodes bytes; invalid UTF-8 becomes U+FFFD, a byte order mark is kept as a character. */
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });
const STRICT = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

function byteLevel(fields: Fields): Decoder {
  fields.ignore("add_prefix_space", "trim_offsets", "use_regex");
  const bytes = cached(bytesOf);
  return (tokens) => [UTF8.decode(Buffer.concat(tokens.map(bytes)))];
}

/** Replacements that clean up English text, mainly by removing spaces before punctuation and contractions. */
const ENDINGS: readonly (readonly [string, string])[] = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" do not", " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

const cleaned = (text: string) => ENDINGS.reduce((read, [from, to]) => read.replaceAll(from, to), text);

function wordPiece(fields: Fields): Decoder {
  const prefix = fields.text("prefix", "##");
  const cleanup = fields.flag("cleanup", true);
  return (tokens) =>
    tokens.map((token, i) => {
      const joined = i === 0 ? token : token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
      return cleanup ? cleaned(joined) : joined;
    });
}

function metaspace(fields: Fields): Decoder {
  const { replacement, scheme } = metaspaceFields(fields);
  return (tokens) =>
    tokens.map((token, i) => token.replaceAll(replacement, i === 0 && scheme !== "never" ? "" : " "));
}

function bpe(fields: Fields): Decoder {
  const suffix = fields.filled("suffix", "</w>");
  return (tokens) => tokens.map((token, i) => token.replaceAll(suffix, i === tokens.length - 1 ? "" : " "));
}

function ctc(fields: Fields): Decoder {
  const pad = fields.filled("pad_token", "<pad>");
  const delimiter = fields.filled("word_delimiter_token", "|");
  const cleanup = fields.flag("cleanup", true);
  return (tokens) =>
    tokens.filter((token, i) => token !== tokens[i - 1]).map((token) => {
      const text = token.replaceAll(pad, "");
      return cleanup ? cleaned(text).replaceAll(delimiter, " ") : text;
    }).filter((text) => text !== "");
}

const BYTE = /^<0x(?:[0-9a-f]{2}|\+[0-9a-f])>$/i;

/** Returns the text of the bytes of a run of byte tokens ("<0xE2>"), or U+FFFD for each byte if they are not UTF-8. */
function runOfBytes(bytes: readonly number[]): string[] {
  try {
    return [STRICT.decode(Uint8Array.from(bytes))];
  } catch {
    return bytes.map(() => "\ufffd");
  }
}

function byteFallback(): Decoder {
  return (tokens) => {
    const texts: string[] = [];
    let run: number[] = [];
    const end = () => {
      if (run.length > 0) { for (const text of runOfBytes(run)) texts.push(text); }
      run = [];
    };
    for (const token of tokens) {
      if (BYTE.test(token)) {
        run.push(Number.parseInt(token.slice(3, 5).replace("+", "0"), 16));
        continue;
      }
      end();
      texts.push(token);
    }
    end();
    return texts;
  };
}

function strip(fields: Fields): Decoder {
  const content = fields.character("content");
  const [most, mostAtEnd] = [fields.integer("start", 0), fields.integer("stop", 0)];
  return (tokens) =>
    tokens.map((token) => {
      const characters = [...token];
      let start = 0;
      while (start < most && characters[start] === content) start++;
      let end = characters.length;
      while (characters.length - end < mostAtEnd && end > start && characters[end - 1] === content) end--;
      return characters.slice(start, end).join("");
    });
}

function sequence(fields: Fields): Decoder {
  const all = componentsOf(fields, "decoders", MAKERS);
  return (tokens) => all.reduce((texts, decode) => decode(texts), tokens);
}

const MAKERS: Makers<Decoder> = {
  BPEDecoder: bpe,
  ByteLevel: byteLevel,
  WordPiece: wordPiece,
  Metaspace: metaspace,
  CTC: ctc,
  Sequence: sequence,
  Replace: (fields) => {
    const replaced = replacerOf(fields);
    return (tokens) => tokens.map(replaced);
  },
  Fuse: () => (tokens) => [tokens.join("")],
  Strip: strip,
  ByteFallback: byteFallback,
};

/** @internal Returns a function that maps tokens to their text. If the file has no decoder, the tokens are joined by spaces. */
export function decoderOf(value: unknown): (tokens: string[]) => string {
  if ((value ?? null) === null) return (tokens) => tokens.join(" ");
  const decode = componentOf(value, "decoder", MAKERS);
  return (tokens) => decode(tokens).join("");
}
