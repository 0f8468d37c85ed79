// The safetensors file format (https://github.com/huggingface/safetensors), for parameters and optimizer states: a strict
// writer whose bytes depend only on the tensors, and a reader that validates everything in the file.

import { Buffer } from "node:buffer";
import { UserError } from "../../base/errors.ts";
import { isMapping } from "../../base/show.ts";

/**
 * The typed array that holds each dtype: signed (I) and unsigned (U) integers, IEEE floats (F), bfloat16 (BF16), booleans
 * of one byte each (BOOL). F16 and BF16 are stored as their 16 bits (see {@link toFloat32}).
 */
export type TensorStorage = {
  U64: BigUint64Array;
  I64: BigInt64Array;
  F64: Float64Array;
  F32: Float32Array;
  U32: Uint32Array;
  I32: Int32Array;
  BF16: Uint16Array;
  F16: Uint16Array;
  U16: Uint16Array;
  I16: Int16Array;
  I8: Int8Array;
  U8: Uint8Array;
  BOOL: Uint8Array;
};

/** The supported element types. */
export type TensorDtype = keyof TensorStorage;

/** A tensor: dtype, shape, and elements in row-major order. */
export type TensorData = {
  [D in TensorDtype]: { dtype: D; shape: number[]; data: TensorStorage[D] };
}[TensorDtype];

/** A decoded file: tensors in the order of their bytes, and the strings of `__metadata__`. */
export interface DecodedSafetensors {
  /** Tensors, keyed by name. `data` is a view of the file's bytes if they are aligned, else a copy. */
  tensors: Map<string, TensorData>;
  /** The `__metadata__` map, empty if the file has none. */
  metadata: Record<string, string>;
}

// Hugging Face's order: tensors of a wider dtype come first, so that each begins aligned.
const STORAGE = {
  U64: BigUint64Array,
  I64: BigInt64Array,
  F64: Float64Array,
  F32: Float32Array,
  U32: Uint32Array,
  I32: Int32Array,
  BF16: Uint16Array,
  F16: Uint16Array,
  U16: Uint16Array,
  I16: Int16Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const;
const DTYPES = Object.keys(STORAGE) as TensorDtype[];
const METADATA = "__metadata__";
const MAX_HEADER_BYTES = 100_000_000;
const MAX_DEPTH = 3;

/** Compares names in code-point order (the order of their UTF-8 bytes; JavaScript compares 16-bit units). */
const compareNames = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** Throws RangeError if a text has lone surrogates, which other readers reject. */
function checkText(what: string, text: unknown): void {
  if (typeof text === "string" && text.isWellFormed()) return;
  throw new RangeError(`${what} ${JSON.stringify(text)} is not a well-formed Unicode string.`);
}

function metadataField(metadata: Record<string, string>): string {
  const pairs = Object.entries(metadata).sort(([a], [b]) => compareNames(a, b));
  for (const text of pairs.flat()) checkText("Metadata:", text);
  return `"${METADATA}":{${pairs.map((pair) => pair.map((s) => JSON.stringify(s)).join(":")).join(",")}}`;
}

function checkTensor(name: string, { dtype, shape, data }: TensorData): void {
  if (name === METADATA) throw new RangeError(`A tensor cannot be named "${METADATA}".`);
  checkText("Name of a tensor:", name);
  if (!Object.hasOwn(STORAGE, dtype)) throw new RangeError(`Tensor "${name}": unknown dtype ${dtype}.`);
  const count = shape.reduce((product, size) => product * size, 1);
  if (!shape.every(isSize) || count !== data.length || !(data instanceof STORAGE[dtype])) {
    throw new RangeError(
      `Tensor "${name}": ${dtype} [${shape}] needs ${count} elements in a ${STORAGE[dtype].name}, ` +
        `found ${data.length} in a ${data.constructor.name}.`,
    );
  }
}

/**
 * Writes tensors as a safetensors file: 8 bytes of header length, a JSON header that starts with `{` and is padded with
 * spaces to a multiple of 8, then the elements, little endian, without holes. Tensors are sorted by dtype (widest first)
 * and name, and metadata by key, as Hugging Face's writer does, so that equal tensors result in equal bytes.
 *
 * @param tensors the tensors, keyed by name; the name `__metadata__` is reserved
 * @throws RangeError if a shape does not match its data or has negative or fractional sizes, a dtype is unknown, a tensor
 * has the reserved name, a name or metadata is not a well-formed string, or the header exceeds 100 MB
 *
 * @example
 * ```ts
 * import { decodeSafetensors, encodeSafetensors } from "./safetensors.ts";
 * const bytes = encodeSafetensors({ w: { dtype: "F32", shape: [2], data: new Float32Array([1, 2]) } });
 * decodeSafetensors(bytes, "model.safetensors").tensors.get("w")?.data; // Float32Array [1, 2]
 * ```
 * @category Models
 */
export function encodeSafetensors(
  tensors: Record<string, TensorData>,
  metadata?: Record<string, string>,
): Uint8Array<ArrayBuffer> {
  const sorted = Object.entries(tensors).sort(([a, x], [b, y]) =>
    DTYPES.indexOf(x.dtype) - DTYPES.indexOf(y.dtype) || compareNames(a, b)
  );
  const fields = metadata ? [metadataField(metadata)] : [];
  let end = 0;
  for (const [name, tensor] of sorted) {
    const { dtype, shape, data } = tensor;
    checkTensor(name, tensor);
    const begin = end;
    end += data.byteLength;
    fields.push(
      `${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape}],"data_offsets":[${begin},${end}]}`,
    );
  }
  let header = new TextEncoder().encode(`{${fields.join(",")}}`);
  const padding = (8 - header.length % 8) % 8;
  if (header.length + padding > MAX_HEADER_BYTES) {
    throw new RangeError(
      `The header would have ${header.length} bytes, expected at most ${MAX_HEADER_BYTES}.`,
    );
  }
  header = new TextEncoder().encode(`{${fields.join(",")}}` + " ".repeat(padding));
  const bytes = new Uint8Array(8 + header.length + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(header, 8);
  let at = 8 + header.length;
  for (const [, { data }] of sorted) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}

/** Returns the index of the quote that closes the string whose opening quote is at `start`. */
function closingQuote(json: string, start: number): number {
  let end = start;
  let escapes = 0;
  do {
    end = json.indexOf('"', end + 1);
    if (end < 0) throw new SyntaxError("Unterminated string");
    for (escapes = 0; json[end - 1 - escapes] === "\\";) escapes++;
  } while (escapes % 2 === 1);
  return end;
}

/**
 * Returns the first problem of a header that JSON.parse does not report, or undefined if there is none. Such problems are
 * duplicate keys, of which JSON.parse silently keeps the last, and nesting deeper than that of a tensor's shape, which can
 * take far more memory than the file.
 */
function structureProblem(json: string): string | undefined {
  const open: Set<string>[] = [];
  for (let i = 0; i < json.length; i++) {
    const character = json[i];
    if (character === "{" || character === "[") {
      open.push(new Set());
      if (open.length > MAX_DEPTH) return `the header is nested deeper than the ${MAX_DEPTH} levels expected`;
    } else if (character === "}" || character === "]") open.pop();
    else if (character === '"') {
      const start = i;
      i = closingQuote(json, start);
      let next = i + 1;
      while (json[next] === " " || json[next] === "\t" || json[next] === "\r" || json[next] === "\n") next++;
      if (json[next] !== ":") continue;
      const key = JSON.parse(json.slice(start, i + 1)) as string;
      if (open.at(-1)?.has(key)) {
        return `the key ${show(key)} is duplicated in one object of the header, expected once`;
      }
      open.at(-1)?.add(key);
    }
  }
}

/** Formats a value from a file as JSON, cut to 60 characters. */
function show(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

type Fail = (problem: string) => never;

function parseHeader(bytes: Uint8Array, fail: Fail): [header: Record<string, unknown>, dataStart: number] {
  if (bytes.length < 8) fail(`${bytes.length} bytes long, expected at least 8 (the length of the header)`);
  const length = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    fail(
      `the header claims ${length} bytes, expected at most ${MAX_HEADER_BYTES}; is this a safetensors file?`,
    );
  }
  const dataStart = 8 + Number(length);
  if (dataStart > bytes.length) {
    fail(`truncated: ${dataStart - bytes.length} bytes of the header's ${length} are missing`);
  }
  const headerBytes = bytes.subarray(8, dataStart);
  if (headerBytes[0] !== 0x7b) fail(`the header starts with byte ${headerBytes[0] ?? "none"}, expected "{"`);
  let text = "";
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(headerBytes);
  } catch {
    fail("the header is not valid UTF-8");
  }
  let header: unknown;
  let problem: string | undefined;
  try {
    problem = structureProblem(text);
    header = problem ? undefined : JSON.parse(text);
  } catch (error) {
    fail(`the header is not valid JSON: ${(error as Error).message.replace(/\s+/g, " ").slice(0, 100)}`);
  }
  if (problem) fail(problem);
  return [header as Record<string, unknown>, dataStart];
}

function isSize(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && !(value < 0 || Object.is(value, -0));
}

type Entry = ReturnType<typeof parseEntry>;

function parseEntry(name: string, info: unknown, fail: Fail) {
  const at = `tensor ${show(name)}`;
  if (!isMapping(info)) {
    return fail(`${at}: found ${show(info)}, expected an object with dtype, shape and data_offsets`);
  }
  const { dtype, shape, data_offsets: offsets } = info;
  if (typeof dtype !== "string" || !Object.hasOwn(STORAGE, dtype)) {
    return fail(`${at}: unknown dtype ${show(dtype)}, expected one of ${DTYPES.join(", ")}`);
  }
  if (!Array.isArray(shape) || !shape.every(isSize)) {
    return fail(`${at}: shape ${show(shape)}, expected a list of whole numbers from 0 to 2^53 - 1`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize) || offsets[0] > offsets[1]) {
    return fail(
      `${at}: data_offsets ${show(offsets)}, expected [begin, end], whole numbers with begin <= end`,
    );
  }
  const [begin, end] = offsets as [number, number];
  const elementBytes = STORAGE[dtype as TensorDtype].BYTES_PER_ELEMENT;
  let size = elementBytes;
  let fits = true;
  for (const length of shape) {
    size *= length;
    // Checked after every factor, because a later zero would hide the overflow.
    fits &&= Number.isSafeInteger(size);
  }
  if (!fits) return fail(`${at}: shape ${show(shape)} overflows 2^53 - 1 bytes`);
  if (size !== end - begin) {
    return fail(`${at}: ${dtype} ${show(shape)} needs ${size} bytes, its data_offsets span ${end - begin}`);
  }
  return { name, dtype: dtype as TensorDtype, shape: shape as number[], begin, end };
}

function parseMetadata(value: unknown, fail: Fail): Record<string, string> {
  if (!isMapping(value)) {
    return fail(`${METADATA} is ${show(value)}, expected an object of strings`);
  }
  for (const [key, entry] of Object.entries(value)) {
    if (typeof entry !== "string") fail(`${METADATA}: ${show(key)} is ${show(entry)}, expected a string`);
  }
  return value as Record<string, string>;
}

/** Fails unless the tensors' byte ranges cover the data exactly, without holes or overlaps, from its first byte to its last. */
function checkTiling(entries: Entry[], dataBytes: number, fail: Fail): void {
  let end = 0;
  let before = "the header";
  for (const entry of entries) {
    const current = `tensor ${show(entry.name)}`;
    if (entry.begin > end) {
      fail(`hole of ${entry.begin - end} bytes between ${before} and ${current}, expected none`);
    }
    if (entry.begin < end) {
      fail(`${current} begins at byte ${entry.begin} and overlaps ${before}, which ends at ${end}`);
    }
    [end, before] = [entry.end, current];
  }
  if (end > dataBytes) {
    fail(`truncated: ${end - dataBytes} bytes are missing, ${before} ends at byte ${end} of ${dataBytes}`);
  }
  if (end < dataBytes) fail(`${dataBytes - end} trailing bytes after ${before}, expected none`);
}

function readTensor(bytes: Uint8Array, start: number, { dtype, shape, begin, end }: Entry): TensorData {
  const Storage = STORAGE[dtype];
  const offset = bytes.byteOffset + start + begin;
  const length = (end - begin) / Storage.BYTES_PER_ELEMENT;
  const data = offset % Storage.BYTES_PER_ELEMENT === 0
    ? new Storage(bytes.buffer as ArrayBuffer, offset, length)
    : new Storage(bytes.slice(start + begin, start + end).buffer, 0, length);
  return { dtype, shape, data } as TensorData;
}

/**
 * Reads an untrusted safetensors file. No size in its header makes it allocate more than the file holds, and every byte of
 * data must belong to exactly one tensor.
 *
 * @param place the file's path, for error messages
 * @throws UserError in one line, naming `place`, for a file that is too short or truncated (with the number of missing
 * bytes), a header over 100 MB, bad UTF-8 or JSON, duplicate keys, an unknown dtype, sizes that are negative, fractional or
 * overflow, a shape whose size differs from that of its byte range, holes, overlaps, trailing bytes, or metadata other than
 * strings
 *
 * @example
 * ```ts
 * import { decodeSafetensors, encodeSafetensors } from "./safetensors.ts";
 * const bytes = encodeSafetensors({ b: { dtype: "U8", shape: [1], data: new Uint8Array([7]) } }, { format: "pt" });
 * decodeSafetensors(bytes, "model.safetensors").metadata.format; // "pt"
 * ```
 */
export function decodeSafetensors(bytes: Uint8Array, place: string): DecodedSafetensors {
  const fail: Fail = (problem) => {
    throw new UserError(`${place}: ${problem}.`);
  };
  const [header, dataStart] = parseHeader(bytes, fail);
  let metadata: Record<string, string> = {};
  const entries: Entry[] = [];
  for (const [name, info] of Object.entries(header)) {
    if (name === METADATA) metadata = parseMetadata(info, fail);
    else entries.push(parseEntry(name, info, fail));
  }
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkTiling(entries, bytes.length - dataStart, fail);
  const tensors = new Map(entries.map((entry) => [entry.name, readTensor(bytes, dataStart, entry)]));
  return { tensors, metadata };
}

/**
 * Returns the elements of a tensor of any dtype as float32. The conversion is exact for F32, F16 and BF16; values of other
 * dtypes are rounded to nearest. For F32, the result is the tensor's own array, not a copy.
 *
 * @example
 * ```ts
 * import { toFloat32 } from "./safetensors.ts";
 * toFloat32({ dtype: "F16", shape: [1], data: new Uint16Array([0x3c00]) }); // Float32Array [1]
 * ```
 */
export function toFloat32(tensor: TensorData): Float32Array {
  switch (tensor.dtype) {
    case "F32":
      return tensor.data;
    case "F16":
      return Float32Array.from(new Float16Array(Uint16Array.from(tensor.data).buffer));
    case "BF16":
      return new Float32Array(Uint32Array.from(tensor.data, (bits) => bits << 16).buffer);
    case "I64":
    case "U64":
      return Float32Array.from(tensor.data as BigInt64Array, Number);
    default:
      return Float32Array.from(tensor.data);
  }
}
