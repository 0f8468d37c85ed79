// The safetensors writer against Hugging Face's bytes, and the reader against invalid files.

import assert from "node:assert/strict";
import { randomStream } from "../../../src/base/random.ts";
import { UserError } from "../../../src/base/errors.ts";
import {
  decodeSafetensors,
  encodeSafetensors,
  type TensorData,
  toFloat32,
} from "../../../src/model/formats/safetensors.ts";

const TENSORS: Record<string, TensorData> = {
  "b.weight": { dtype: "F32", shape: [2, 3], data: Float32Array.from([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]) },
  a: { dtype: "I64", shape: [2], data: BigInt64Array.from([1n, -2n]) },
  'é\n"x': { dtype: "I32", shape: [1], data: Int32Array.from([7]) },
  u: { dtype: "U32", shape: [1, 2], data: Uint32Array.from([3, 4000000000]) },
  h: { dtype: "F16", shape: [3], data: Uint16Array.from([0x3e00, 0xb400, 0x7bff]) },
  d: { dtype: "F64", shape: [], data: Float64Array.from([3.25]) },
  z: { dtype: "F32", shape: [0, 4], data: new Float32Array() },
  y: { dtype: "U8", shape: [3], data: Uint8Array.from([1, 2, 255]) },
};

// safetensors.numpy.save of the same tensors with metadata {"format": "pt"}: safetensors 0.8.0, numpy 2.4.6.
const REFERENCE =
  "6AEAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJmb3JtYXQiOiJwdCJ9LCJhIjp7ImR0eXBlIjoiSTY0Iiwic2hhcGUiOlsyXSwi" +
  "ZGF0YV9vZmZzZXRzIjpbMCwxNl19LCJkIjp7ImR0eXBlIjoiRjY0Iiwic2hhcGUiOltdLCJkYXRhX29mZnNldHMiOlsxNiwy" +
  "NF19LCJiLndlaWdodCI6eyJkdHlwZSI6IkYzMiIsInNoYXBlIjpbMiwzXSwiZGF0YV9vZmZzZXRzIjpbMjQsNDhdfSwieiI6" +
  "eyJkdHlwZSI6IkYzMiIsInNoYXBlIjpbMCw0XSwiZGF0YV9vZmZzZXRzIjpbNDgsNDhdfSwidSI6eyJkdHlwZSI6IlUzMiIs" +
  "InNoYXBlIjpbMSwyXSwiZGF0YV9vZmZzZXRzIjpbNDgsNTZdfSwiw6lcblwieCI6eyJkdHlwZSI6IkkzMiIsInNoYXBlIjpb" +
  "MV0sImRhdGFfb2Zmc2V0cyI6WzU2LDYwXX0sImgiOnsiZHR5cGUiOiJGMTYiLCJzaGFwZSI6WzNdLCJkYXRhX29mZnNldHMi" +
  "Ols2MCw2Nl19LCJ5Ijp7ImR0eXBlIjoiVTgiLCJzaGFwZSI6WzNdLCJkYXRhX29mZnNldHMiOls2Niw2OV19fQEAAAAAAAAA" +
  "/v////////8AAAAAAAAKQAAAIMAAAMC/AAAAvwAAAD8AAMA/AAAgQAMAAAAAKGvuBwAAAAA+ALT/ewEC/w==";

Deno.test("encodeSafetensors() gives the same bytes as Hugging Face's writer", () => {
  const bytes = encodeSafetensors(TENSORS, { format: "pt" });
  assert.equal(bytes.toBase64(), REFERENCE);
  const reversed = Object.fromEntries(Object.entries(TENSORS).reverse());
  assert.deepEqual(encodeSafetensors(reversed, { format: "pt" }), bytes);
});

Deno.test("decodeSafetensors() returns every tensor, also from unaligned bytes", () => {
  const bytes = encodeSafetensors(TENSORS, { b: "2", a: "é\u0000" });
  const shifted = new Uint8Array(bytes.length + 3).subarray(3);
  shifted.set(bytes);
  for (const source of [bytes, shifted]) {
    const { tensors, metadata } = decodeSafetensors(source, "x");
    assert.deepEqual(metadata, { a: "é\u0000", b: "2" });
    assert.deepEqual(Object.fromEntries(tensors), TENSORS);
  }
  assert.deepEqual(encodeSafetensors({}), Uint8Array.from([8, 0, 0, 0, 0, 0, 0, 0, ...bytesOf("{}      ")]));
  assert.equal(decodeSafetensors(encodeSafetensors({}), "x").tensors.size, 0);
});

Deno.test("encodeSafetensors() refuses a shape that its data does not fill and the reserved name", () => {
  const data = new Float32Array(3);
  assert.throws(() => encodeSafetensors({ w: { dtype: "F32", shape: [2], data } }), RangeError);
  assert.throws(() => encodeSafetensors({ __metadata__: { dtype: "F32", shape: [3], data } }), RangeError);
});

Deno.test("encodeSafetensors() writes nothing that a strict reader would refuse", () => {
  const data = new Float32Array(3);
  const refuses = (tensors: unknown, metadata?: unknown) =>
    assert.throws(
      () => encodeSafetensors(tensors as Record<string, TensorData>, metadata as Record<string, string>),
      RangeError,
    );
  refuses({ w: { dtype: "F32", shape: [-1, -3], data } });
  refuses({ w: { dtype: "F32", shape: [1.5, 2], data } });
  refuses({ w: { dtype: "F32", shape: [NaN], data } });
  refuses({ w: { dtype: "F7", shape: [3], data } });
  refuses({ w: { dtype: "F64", shape: [3], data } });
  refuses({ "\ud800": { dtype: "F32", shape: [3], data } });
  refuses({ w: { dtype: "F32", shape: [3], data } }, { step: 3 });
  refuses({ w: { dtype: "F32", shape: [3], data } }, { step: "\udc00" });
  // In a name of 100 MB the header alone is too long.
  refuses({ ["w".repeat(100_000_000)]: { dtype: "F32", shape: [3], data } });
});

Deno.test("every dtype round-trips, in the order of Hugging Face's writer", () => {
  const tensorsByName: Record<string, TensorData> = {
    bool: { dtype: "BOOL", shape: [2], data: Uint8Array.of(1, 0) },
    u8: { dtype: "U8", shape: [1], data: Uint8Array.of(255) },
    i8: { dtype: "I8", shape: [1], data: Int8Array.of(-1) },
    i16: { dtype: "I16", shape: [1], data: Int16Array.of(-2) },
    u16: { dtype: "U16", shape: [1], data: Uint16Array.of(65535) },
    f16: { dtype: "F16", shape: [1], data: Uint16Array.of(0x3c00) },
    bf16: { dtype: "BF16", shape: [1], data: Uint16Array.of(0x3f80) },
    i32: { dtype: "I32", shape: [1], data: Int32Array.of(-3) },
    u32: { dtype: "U32", shape: [1], data: Uint32Array.of(4) },
    f32: { dtype: "F32", shape: [1], data: Float32Array.of(0.5) },
    f64: { dtype: "F64", shape: [1], data: Float64Array.of(0.1) },
    i64: { dtype: "I64", shape: [1], data: BigInt64Array.of(-5n) },
    u64: { dtype: "U64", shape: [1], data: BigUint64Array.of(2n ** 64n - 1n) },
  };
  const { tensors } = decodeSafetensors(encodeSafetensors(tensorsByName), "x");
  // The layout of safetensors 0.8.0, except for BF16, which numpy does not support.
  const order = ["u64", "i64", "f64", "f32", "u32", "i32", "bf16", "f16", "u16", "i16", "i8", "u8", "bool"];
  assert.deepEqual([...tensors.keys()], order);
  assert.deepEqual(Object.fromEntries(tensors), tensorsByName);
  const floats = [...tensors.values()].map((tensor) => toFloat32(tensor)[0]);
  assert.deepEqual(floats, [2 ** 64, -5, Math.fround(0.1), 0.5, 4, -3, 1, 1, 65535, -2, -1, 255, 1]);
});

Deno.test("toFloat32() is exact for half precision and rounds wider dtypes", () => {
  const half = Uint16Array.from([0x3c00, 0xc000, 0x0001, 0x03ff, 0x7c00, 0xfc00, 0x8000, 0x7e00, 0x3555]);
  const values = [1, -2, 2 ** -24, 1023 * 2 ** -24, Infinity, -Infinity, -0, NaN, 0.333251953125];
  assert.deepEqual(toFloat32({ dtype: "F16", shape: [9], data: half }), Float32Array.from(values));
  const brain = Uint16Array.from([0x3f80, 0xc000, 0x7f80, 0x0001]);
  assert.deepEqual(
    toFloat32({ dtype: "BF16", shape: [4], data: brain }),
    Float32Array.from([1, -2, Infinity, 2 ** -133]),
  );
  assert.deepEqual(toFloat32(TENSORS.d), Float32Array.from([3.25]));
  assert.deepEqual(toFloat32(TENSORS.a), Float32Array.from([1, -2]));
  assert.equal(toFloat32(TENSORS["b.weight"]), TENSORS["b.weight"].data);
});

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A file with this header and number of data bytes. */
function file(header: string | Uint8Array, dataBytes = 0): Uint8Array {
  const text = typeof header === "string" ? bytesOf(header) : header;
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

function tensor(shape: string, offsets: string, dtype = "F32"): string {
  return `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;
}

function lengthOnly(length: bigint): Uint8Array {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setBigUint64(0, length, true);
  return bytes;
}

const WRONG: [what: string, bytes: Uint8Array, message: RegExp][] = [
  ["empty", new Uint8Array(), /0 bytes long, expected at least 8/],
  ["shorter than 8 bytes", new Uint8Array(7), /7 bytes long, expected at least 8/],
  ["a header over 100 MB", lengthOnly(100_000_001n), /claims 100000001 bytes, expected at most 100000000/],
  ["a header of 2^64 - 1 bytes", lengthOnly(2n ** 64n - 1n), /claims 18446744073709551615 bytes/],
  ["a header past the end", lengthOnly(20n), /truncated: 12 bytes of the header's 20 are missing/],
  ["an empty header", file(""), /starts with byte none, expected "{"/],
  ["a header that starts with a space", file(" {}"), /starts with byte 32, expected "{"/],
  ["bad UTF-8", file(Uint8Array.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), /not valid UTF-8/],
  ["bad JSON", file('{"a":'), /not valid JSON/],
  [
    "a tensor twice",
    file(`{"a":${tensor("[0]", "[0,0]")},"a":${tensor("[0]", "[0,0]")}}`),
    /"a" is duplicated/,
  ],
  ["a key twice, escaped", file('{"__metadata__":{"a":"1","\\u0061" :"2"}}'), /"a" is duplicated/],
  [
    "a shape twice",
    file('{"a":{"dtype":"F32","shape":[0],"shape":[0],"data_offsets":[0,0]}}'),
    /"shape" is duplicated/,
  ],
  ["a tensor that is a number", file('{"a":3}'), /tensor "a": found 3, expected an object/],
  ["a tensor that is null", file('{"a":null}'), /tensor "a": found null, expected an object/],
  [
    "an unknown dtype",
    file(`{"a":${tensor("[1]", "[0,4]", "F7")}}`, 4),
    /unknown dtype "F7", expected one of U64/,
  ],
  ["an inherited dtype", file(`{"a":${tensor("[1]", "[0,4]", "toString")}}`, 4), /unknown dtype "toString"/],
  ["no shape", file('{"a":{"dtype":"F32","data_offsets":[0,0]}}'), /shape nothing, expected a list/],
  ["a negative size", file(`{"a":${tensor("[-1]", "[0,4]")}}`, 4), /shape \[-1\], expected a list of whole/],
  [
    "a fractional size",
    file(`{"a":${tensor("[0.5]", "[0,2]")}}`, 2),
    /shape \[0\.5\], expected a list of whole/,
  ],
  ["a size over 2^53", file(`{"a":${tensor("[9007199254740993]", "[0,4]")}}`, 4), /expected a list of whole/],
  ["sizes that overflow", file(`{"a":${tensor("[94906267,94906267]", "[0,4]")}}`, 4), /overflows 2\^53 - 1/],
  [
    "sizes that overflow before a zero",
    file(`{"a":${tensor("[94906267,94906267,0]", "[0,0]")}}`),
    /overflows 2\^53/,
  ],
  [
    "a negative offset",
    file(`{"a":${tensor("[1]", "[-4,0]")}}`),
    /data_offsets \[-4,0\], expected \[begin, end\]/,
  ],
  ["offsets that go back", file(`{"a":${tensor("[1]", "[4,0]")}}`, 4), /data_offsets \[4,0\], expected/],
  ["three offsets", file(`{"a":${tensor("[1]", "[0,4,8]")}}`, 8), /data_offsets \[0,4,8\], expected/],
  [
    "a shape unlike its range",
    file(`{"a":${tensor("[2]", "[0,4]")}}`, 4),
    /needs 8 bytes, its data_offsets span 4/,
  ],
  [
    "a hole at the start",
    file(`{"a":${tensor("[1]", "[4,8]")}}`, 8),
    /hole of 4 bytes between the header and/,
  ],
  [
    "a hole",
    file(`{"a":${tensor("[1]", "[0,4]")},"b":${tensor("[1]", "[12,16]")}}`, 16),
    /hole of 8 bytes between tensor "a" and tensor "b"/,
  ],
  [
    "an overlap",
    file(`{"a":${tensor("[2]", "[0,8]")},"b":${tensor("[1]", "[4,8]")}}`, 8),
    /tensor "b" begins at byte 4 and overlaps tensor "a", which ends at 8/,
  ],
  ["trailing bytes", file(`{"a":${tensor("[1]", "[0,4]")}}`, 7), /3 trailing bytes after tensor "a"/],
  ["trailing bytes and no tensor", file("{}", 1), /1 trailing bytes after the header/],
  [
    "missing bytes",
    file(`{"a":${tensor("[2]", "[0,8]")}}`, 5),
    /truncated: 3 bytes are missing, tensor "a" ends/,
  ],
  [
    "a claim of 2^50 bytes",
    file(`{"a":${tensor(`[${2 ** 50}]`, `[0,${2 ** 50}]`, "U8")}}`),
    /bytes are missing/,
  ],
  ["metadata that is a list", file('{"__metadata__":["a"]}'), /__metadata__ is \["a"\], expected an object/],
  [
    "metadata that is no string",
    file('{"__metadata__":{"a":1}}'),
    /__metadata__: "a" is 1, expected a string/,
  ],
  ["deep nesting", file('{"a":' + "[".repeat(1e6)), /nested deeper than the 3 levels expected/],
  ["a string without an end", file('{"a\\\\\\": 1}'), /not valid JSON/],
  ["a name of 10 MB", file(`{"${"\\n".repeat(5e6)}":3}`), /tensor "[\\n]+\.\.\.: found 3/],
];

for (const [what, bytes, message] of WRONG) {
  Deno.test(`decodeSafetensors() refuses a file with ${what} in one line that names it`, () => {
    assert.throws(() => decodeSafetensors(bytes, "m.safetensors"), (error) => {
      assert.ok(error instanceof UserError, `${error}`);
      assert.match(error.message, message);
      assert.match(error.message, /^m\.safetensors: .*\.$/);
      assert.ok(error.message.length < 300);
      return true;
    });
  });
}

Deno.test("decodeSafetensors() of a file truncated at any byte reports what is missing", () => {
  const bytes = encodeSafetensors(TENSORS);
  for (let length = 8; length < bytes.length; length++) {
    const pattern = new RegExp(
      `truncated: ${bytes.length - length} bytes|bytes of the header's \\d+ are missing`,
    );
    assert.throws(() => decodeSafetensors(bytes.subarray(0, length), "x"), pattern);
  }
});

Deno.test("decodeSafetensors() of 10,000 mutated files gives tensors or a UserError, nothing else", () => {
  const good = encodeSafetensors(TENSORS, { format: "pt" });
  const random = randomStream(1, "safetensors mutations");
  let refused = 0;
  const started = performance.now();
  for (let i = 0; i < 10_000; i++) {
    let bytes = good.slice();
    for (let edits = 1 + random.below(3); edits > 0; edits--) {
      // Mostly the header: a changed element is still a good file.
      const at = random.below(random.below(4) === 0 ? bytes.length : 500);
      const kind = random.below(4);
      if (kind === 0) bytes[at] = random.below(256);
      else if (kind === 1) bytes[at] = '0123456789-.e,:"[]{}'.charCodeAt(random.below(20));
      else if (kind === 2) bytes = Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(at + 1)]);
      else bytes = Uint8Array.from([...bytes.subarray(0, at), random.below(256), ...bytes.subarray(at)]);
    }
    try {
      const { tensors } = decodeSafetensors(bytes, "x");
      const copied = [...tensors.values()].filter(({ data }) => data.buffer !== bytes.buffer);
      const size = [...tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
      assert.ok(size <= bytes.length, "more data than the file has");
      for (const { data } of copied) {
        assert.equal(data.buffer.byteLength, data.byteLength, "more memory than data");
      }
    } catch (error) {
      assert.ok(error instanceof UserError, `mutation ${i}: ${error}`);
      assert.ok(!error.message.includes("\n"));
      refused++;
    }
  }
  // A file of 600 bytes takes a tenth of a millisecond; one that hangs the reader would take all of this.
  assert.ok(performance.now() - started < 60_000, "too slow");
  // Most edits hit the header and are invalid; some must be valid, so that the success path is tested too.
  assert.ok(refused > 5000 && refused < 10_000, `${refused} of 10,000 refused`);
});
