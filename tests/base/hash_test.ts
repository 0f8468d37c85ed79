import assert from "node:assert/strict";
import { sha256Hex } from "../../src/base/hash.ts";

Deno.test("sha256Hex() gives the digest of FIPS 180-2's example", () => {
  assert.equal(
    sha256Hex("abc"),
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
});
