// Functions and modules of WebAssembly. A statement is written to the code when its method is called; a value is written when a
// statement uses it.
import { bytes } from "./bytes.ts";
import { i32 } from "./instructions.ts";
import { constantOf, int, writeAccess, writeCode } from "./value.ts";
import type { I32, Int, Output, Type, Value } from "./value.ts";

const CODES: Readonly<Record<Type, number>> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b };

/** A variable of a function. */
export interface Local<T extends Type = Type> extends Value<T> {
  /** Index of the variable in its function. */
  readonly index: number;
}

/** A function of a module. */
export interface FunctionRef<R extends Type | undefined = Type | undefined> {
  /** Index of the function in its module. */
  readonly index: number;
  /** Type of the function's result; undefined if it has none. */
  readonly result: R;
}

/** Leaves a block, or starts the next iteration of a loop; if a condition is given, only if its value is not 0. */
export type Jump = (condition?: Int) => void;

/** Writes the body of a function. */
export interface Func {
  /** The module, for functions that this one calls. */
  readonly module: Module;
  /** Creates a variable whose initial value is 0. */
  local<T extends Type>(type: T): Local<T>;
  /** Creates a variable and assigns a value to it. */
  let<T extends Type>(value: Value<T>): Local<T>;
  /** Assigns a value to a variable. */
  set<T extends Type>(to: Local<T>, value: Value<T>): void;
  /** Stores a value at an address plus a constant offset, in bytes. */
  store(address: Int, value: Value, offset?: number): void;
  /** Stores one 32-bit lane of a vector. */
  storeLane(address: Int, value: Value<"v128">, lane: number, offset?: number): void;
  /** Stores an integer atomically. */
  storeAtomic(address: Int, value: Int, offset?: number): void;
  /** Runs `body` for i = from, from + step, ... while i < to (unsigned; to + step must not overflow). */
  loop(from: Int, to: Int, step: number, body: (i: Local<"i32">) => void): void;
  /** Runs `body` while the condition, which it may change, is not 0. */
  while(condition: () => Int, body: () => void): void;
  /** Runs `then` if the condition is not 0, else `otherwise`. */
  if(condition: Int, then: () => void, otherwise?: () => void): void;
  /** Writes a block; `leave` jumps to the end of the block. */
  block(body: (leave: Jump) => void): void;
  /** Writes a loop: `again` starts the next iteration; the loop ends if an iteration reaches the end of the body. */
  repeat(body: (again: Jump) => void): void;
  /** Calls a function and ignores its result. */
  call(f: FunctionRef, ...operands: readonly (Value | number)[]): void;
  /** Computes a value and ignores it, for instructions with an effect such as an atomic addition. */
  drop(value: Value): void;
  /** Fills bytes with zeros. */
  zero(address: Int, size: Int): void;
  /** Copies bytes. */
  copy(to: Int, from: Int, size: Int): void;
  /** Ends the function, which has no result. */
  return(): void;
  /** Stops with an error of type WebAssembly.RuntimeError. */
  trap(): void;
}

/** Returns a value that is the result of a call of a function; integer operands may be numbers. */
export function call<R extends Type>(f: FunctionRef<R>, ...operands: readonly (Value | number)[]): Value<R> {
  return { type: f.result, write: (out) => writeCall(out, f, operands) };
}

function writeCall(out: Output, { index }: FunctionRef, operands: readonly (Value | number)[]): void {
  for (const operand of operands) (typeof operand === "number" ? int(operand) : operand).write(out);
  out.bytes.push(0x10);
  out.bytes.unsigned(index);
}

/** Parameters and result of a function. */
export interface Signature<
  P extends readonly Type[] = readonly Type[],
  R extends Type | undefined = Type | undefined,
> {
  /** Types of its parameters. */
  readonly params: P;
  /** Type of its result. Default: none. */
  readonly result?: R;
}

/** Variables that hold the parameters. */
export type Params<P extends readonly Type[]> = { readonly [K in keyof P]: Local<P[K]> };

/** A module under construction. */
export interface Module {
  /**
   * Adds a function and returns a reference to it. If an earlier function has the same signature and code, returns that
   * function.
   */
  func<const P extends readonly Type[], R extends Type | undefined = undefined>(
    signature: Signature<P, R>,
    body: (f: Func, ...params: Params<P>) => R extends Type ? Value<R> : void,
  ): FunctionRef<R>;
  /** Makes a function callable from JavaScript. */
  export(name: string, f: FunctionRef): void;
  /** Imported functions by name. */
  readonly imported: Readonly<Record<string, FunctionRef>>;
  /** Number of different functions so far, without imports. */
  readonly size: number;
  /** Returns the module's bytes. */
  binary(): Uint8Array<ArrayBuffer>;
}

/** The imports of a module, and the addresses of its constants. */
export interface ModuleOptions {
  /** The memory it imports as env.memory, in pages of 64 KiB. */
  readonly memory: { readonly initial: number; readonly maximum: number; readonly shared: boolean };
  /** Functions it imports from env, by name, in order. */
  readonly imports?: Readonly<Record<string, Signature>>;
  /** Returns the address of a constant vector (see `Output`). */
  readonly constant?: Output["constant"];
}

const signatureKey = ({ params, result }: Signature): string => `${params.join(",")}>${result ?? ""}`;

/** Converts bytes to a text, so that they can be the key of a map. */
function textOf(code: Uint8Array): string {
  let text = "";
  for (let i = 0; i < code.length; i += 8192) text += String.fromCharCode(...code.subarray(i, i + 8192));
  return text;
}

/** Creates an empty module. */
export function wasmModule({ memory, imports = {}, constant }: ModuleOptions): Module {
  const types = new Map<string, { index: number; signature: Signature }>();
  const typeOf = (signature: Signature): number => {
    const key = signatureKey(signature);
    if (!types.has(key)) types.set(key, { index: types.size, signature });
    return types.get(key)!.index;
  };
  const imported = Object.fromEntries(
    Object.entries(imports).map(([name, { params, result }], index) => {
      typeOf({ params, result });
      return [name, { index, result }];
    }),
  );
  const first = Object.keys(imports).length;
  const bodies: { type: number; code: Uint8Array }[] = [];
  const known = new Map<string, FunctionRef>();
  const exports: [string, number][] = [];
  const self: Module = {
    imported,
    func(signature, body) {
      const code = functionCode(self, signature, body as FunctionBody, constant);
      const key = `${signatureKey(signature)}:${textOf(code)}`;
      const same = known.get(key);
      if (same) return same as ReturnType<typeof self.func> as never;
      const ref = { index: first + bodies.length, result: signature.result };
      bodies.push({ type: typeOf(signature), code });
      known.set(key, ref);
      return ref as never;
    },
    export: (name, { index }) => void exports.push([name, index]),
    get size() {
      return bodies.length;
    },
    binary: () =>
      encode({
        memory,
        imports,
        types: [...types.values()].map((t) => t.signature),
        typeOf,
        bodies,
        exports,
      }),
  };
  return self;
}

type FunctionBody = (f: Func, ...params: Local[]) => Value | void;

/** Encodes a function: its variables, its code and the end marker. */
function functionCode(
  module: Module,
  { params, result }: Signature,
  body: FunctionBody,
  constant: Output["constant"],
): Uint8Array {
  const out: Output = { bytes: bytes(), constant };
  const types: Type[] = [...params];
  const get = <T extends Type>(type: T, index: number): Local<T> => ({
    type,
    index,
    write({ bytes }) {
      bytes.push(0x20);
      bytes.unsigned(index);
    },
  });
  const f = statements(module, out, (type) => get(type, types.push(type) - 1));
  const value = body(f, ...params.map((type, i) => get(type, i)));
  if (result) (value as Value).write(out);
  out.bytes.push(0x0b);
  const code = bytes();
  const locals = runsOf(types.slice(params.length));
  code.unsigned(locals.length);
  for (const [type, count] of locals) {
    code.unsigned(count);
    code.push(CODES[type]);
  }
  code.append(out.bytes.view());
  return code.view();
}

/** Groups consecutive equal types into pairs of a type and a count. */
function runsOf(types: readonly Type[]): [Type, number][] {
  const runs: [Type, number][] = [];
  for (const type of types) {
    const last = runs.at(-1);
    if (last?.[0] === type) last[1]++;
    else runs.push([type, 1]);
  }
  return runs;
}

const STORES = { i32: [0x36], i64: [0x37], f32: [0x38], f64: [0x39], v128: [0xfd, 0x0b] } as const;

function statements(module: Module, out: Output, local: Func["local"]): Func {
  const { bytes: code } = out;
  // A jump names its target by the number of enclosing blocks in between.
  let depth = 0;
  const jump = (target: number): Jump => (condition) => {
    if (condition !== undefined) int(condition).write(out);
    code.push(condition === undefined ? 0x0c : 0x0d);
    code.unsigned(depth - target);
  };
  const nested = (opcode: number, body: (jump: Jump) => void): void => {
    code.push(opcode, 0x40);
    depth++;
    body(jump(depth));
    depth--;
    code.push(0x0b);
  };
  const f: Func = {
    module,
    local,
    let(value) {
      const variable = local(value.type);
      f.set(variable, value);
      return variable;
    },
    set({ index }, value) {
      value.write(out);
      code.push(0x21);
      code.unsigned(index);
    },
    store(address, value, offset = 0) {
      int(address).write(out);
      value.write(out);
      writeCode(out, STORES[value.type]);
      writeAccess(out, 2, offset);
    },
    storeLane(address, value, lane, offset = 0) {
      int(address).write(out);
      value.write(out);
      writeCode(out, [0xfd, 0x5a]);
      writeAccess(out, 2, offset);
      code.push(lane);
    },
    storeAtomic(address, value, offset = 0) {
      int(address).write(out);
      int(value).write(out);
      writeCode(out, [0xfe, 0x17]);
      writeAccess(out, 2, offset);
    },
    loop(from, to, step, body) {
      const i = f.let(int(from));
      const rounds = () =>
        f.repeat((again) => {
          body(i);
          f.set(i, i32.add(i, step));
          again(i32.ltU(i, to));
        });
      const [a, b] = [constantOf(from), constantOf(to)];
      if (a !== undefined && b !== undefined) {
        if (a >>> 0 < b >>> 0) rounds();
      } else f.if(i32.ltU(i, to), rounds);
    },
    while(condition, body) {
      f.block((leave) =>
        f.repeat((again) => {
          leave(i32.eqz(condition()));
          body();
          again();
        })
      );
    },
    if(condition, then, otherwise) {
      int(condition).write(out);
      code.push(0x04, 0x40);
      depth++;
      then();
      if (otherwise) {
        code.push(0x05);
        otherwise();
      }
      depth--;
      code.push(0x0b);
    },
    block: (body) => nested(0x02, body),
    repeat: (body) => nested(0x03, body),
    call(g, ...operands) {
      writeCall(out, g, operands);
      if (g.result) code.push(0x1a);
    },
    drop(value) {
      value.write(out);
      code.push(0x1a);
    },
    zero(address, size) {
      for (const x of [address, 0, size]) int(x).write(out);
      code.push(0xfc, 0x0b, 0);
    },
    copy(to, from, size) {
      for (const x of [to, from, size]) int(x).write(out);
      code.push(0xfc, 0x0a, 0, 0);
    },
    return: () => code.push(0x0f),
    trap: () => code.push(0x00),
  };
  return f;
}

/** The contents of a module, which `encode` writes as bytes. */
interface Contents extends Required<Pick<ModuleOptions, "memory" | "imports">> {
  readonly types: readonly Signature[];
  readonly typeOf: (signature: Signature) => number;
  readonly bodies: readonly { readonly type: number; readonly code: Uint8Array }[];
  readonly exports: readonly (readonly [string, number])[];
}

function encode({ memory, imports, types, typeOf, bodies, exports }: Contents): Uint8Array<ArrayBuffer> {
  const out = bytes();
  out.push(0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  const section = <T>(id: number, items: readonly T[], write: (item: T, to: typeof out) => void): void => {
    const content = bytes();
    content.unsigned(items.length);
    for (const item of items) write(item, content);
    out.push(id);
    out.unsigned(content.length);
    out.append(content.view());
  };
  section(1, types, ({ params, result }, to) => {
    to.push(0x60);
    to.unsigned(params.length);
    to.push(...params.map((type) => CODES[type]));
    to.push(...(result ? [1, CODES[result]] : [0]));
  });
  section(2, [...Object.entries(imports), undefined], (entry, to) => {
    to.name("env");
    to.name(entry ? entry[0] : "memory");
    if (entry) {
      to.push(0x00);
      to.unsigned(typeOf(entry[1]));
    } else {
      to.push(0x02, memory.shared ? 3 : 1);
      to.unsigned(memory.initial);
      to.unsigned(memory.maximum);
    }
  });
  section(3, bodies, ({ type }, to) => to.unsigned(type));
  section(7, exports, ([name, index], to) => {
    to.name(name);
    to.push(0x00);
    to.unsigned(index);
  });
  section(10, bodies, ({ code }, to) => {
    to.unsigned(code.length);
    to.append(code);
  });
  return out.view();
}

/** Returns the address of element `index` of an array at `base`, whose elements have `size` bytes. */
export const element = (base: Int, index: Int, size = 4): I32 => i32.add(base, i32.mul(index, size));
