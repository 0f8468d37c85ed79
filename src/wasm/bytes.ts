// A growing array of bytes with WebAssembly's encodings of numbers.

/** Bytes of a module or of a function's body. */
export interface Bytes {
  /** Number of bytes written. */
  readonly length: number;
  /** Appends bytes. */
  push(...bytes: number[]): void;
  /** Appends an unsigned integer below 2^32 as LEB128. */
  unsigned(n: number): void;
  /** Appends a signed integer as LEB128; a bigint may have 64 bits. */
  signed(n: number | bigint): void;
  /** Appends a 32-bit float. */
  float(x: number): void;
  /** Appends a 64-bit float. */
  double(x: number): void;
  /** Appends a name: its length and its UTF-8 bytes. */
  name(text: string): void;
  /** Appends all bytes of another array. */
  append(bytes: Uint8Array): void;
  /** Returns the bytes that have been appended, without a copy. */
  view(): Uint8Array<ArrayBuffer>;
}

const encoder = new TextEncoder();
const scratch = new DataView(new ArrayBuffer(8));

/** Creates an empty array of bytes. */
export function bytes(): Bytes {
  let data = new Uint8Array(256);
  let length = 0;
  const reserve = (n: number): void => {
    if (length + n <= data.length) return;
    const larger = new Uint8Array(Math.max(2 * data.length, length + n));
    larger.set(data.subarray(0, length));
    data = larger;
  };
  const byte = (b: number): void => {
    if (length === data.length) reserve(1);
    data[length++] = b;
  };
  const fromScratch = (n: number): void => {
    for (let i = 0; i < n; i++) byte(scratch.getUint8(i));
  };
  const self: Bytes = {
    get length() {
      return length;
    },
    push(...list) {
      for (const b of list) byte(b);
    },
    unsigned(n) {
      for (n >>>= 0; n >= 0x80; n >>>= 7) byte(n & 0x7f | 0x80);
      byte(n);
    },
    signed(n) {
      for (let rest = BigInt(n);; rest >>= 7n) {
        const low = Number(rest & 0x7fn);
        if ((rest >> 6n) === 0n || (rest >> 6n) === -1n) return byte(low);
        byte(low | 0x80);
      }
    },
    float(x) {
      scratch.setFloat32(0, x, true);
      fromScratch(4);
    },
    double(x) {
      scratch.setFloat64(0, x, true);
      fromScratch(8);
    },
    name(text) {
      const utf8 = encoder.encode(text);
      self.unsigned(utf8.length);
      self.append(utf8);
    },
    append(more) {
      reserve(more.length);
      data.set(more, length);
      length += more.length;
    },
    view: () => data.subarray(0, length),
  };
  return self;
}
