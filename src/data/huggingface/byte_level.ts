// Bytes represented as characters, the alphabet of byte-level byte-pair encoding.
import { byteCharacters } from "../byte_bpe.ts";

const CHARACTERS: string[] = [];
const BYTES = new Map<string, number>();
for (const { byte, character } of byteCharacters()) {
  CHARACTERS[byte] = character;
  BYTES.set(character, byte);
}

const UTF8 = new TextEncoder();

/** Matches a text whose characters represent their own bytes, except spaces. */
const PLAIN = /^[ -~]*$/;

export function byteCharactersOf(text: string): string {
  if (PLAIN.test(text)) return text.replaceAll(" ", CHARACTERS[32]);
  let written = "";
  for (const byte of UTF8.encode(text)) written += CHARACTERS[byte];
  return written;
}

/**
 * @internal Returns the bytes that a token's characters represent, or the token in UTF-8 if one of its characters represents no
 * byte.
 */
export function bytesOf(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of token) {
    const byte = BYTES.get(character);
    if (byte === undefined) return UTF8.encode(token);
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}
