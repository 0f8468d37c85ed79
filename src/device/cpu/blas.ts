// Matrix products computed by a BLAS library that is installed on the system. Each thread of the device calls the library for
// blocks of the result, and the library uses one thread per call: threads of its own would compete with those of the device for
// the cores, and results would depend on their number.
import { basename } from "node:path";
import { UserError } from "../../base/errors.ts";
import type { Phase, PlainProduct } from "../../graph/simd.ts";
import { element, i32, type Int, int, select } from "../../wasm/mod.ts";

/** A library with `cblas_sgemm`, and how to call it. */
export interface Blas {
  /** Path of the library's file, or a name that the system's loader finds. */
  readonly path: string;
  /** Name and version: "OpenBLAS 0.3.21". */
  readonly name: string;
  /** The library's description of itself: its version, its options, and the processor whose kernels it uses. */
  readonly build: string;
  /** Name of the library's symbol for `cblas_sgemm`. */
  readonly sgemm: string;
  /** Type of the library's integers. */
  readonly int: "i32" | "i64";
  /** Name of the library's function that sets the number of threads. Default: the library has none. */
  readonly setThreads?: string;
}

/** Libraries by operating system, in order of preference. */
const NAMES: Readonly<Partial<Record<typeof Deno.build.os, readonly string[]>>> = {
  darwin: ["/System/Library/Frameworks/Accelerate.framework/Accelerate"],
  linux: ["libopenblas.so.0", "libopenblas.so", "libmkl_rt.so.2", "libmkl_rt.so"],
  windows: ["libopenblas.dll", "openblas.dll", "mkl_rt.2.dll", "mkl_rt.dll"],
};

/** Prefixes and suffixes of symbols. The suffix 64_ means 64-bit integers; numpy's and scipy's wheels use the prefix scipy_. */
const SPELLINGS = [["", ""], ["scipy_", "64_"], ["scipy_", ""], ["", "64_"]] as const;

/** Lookup options for a symbol that a library may lack. */
const maybe = { type: "pointer", optional: true } as const;

/**
 * Opens a library and returns its description, or undefined if it has no `cblas_sgemm`. Throws if the library cannot be
 * opened.
 */
function describe(path: string): Blas | undefined {
  for (const [prefix, suffix] of SPELLINGS) {
    const name = (symbol: string): string => `${prefix}${symbol}${suffix}`;
    const { symbols } = Deno.dlopen(path, {
      sgemm: { name: name("cblas_sgemm"), ...maybe },
      config: { name: name("openblas_get_config"), parameters: [], result: "pointer", optional: true },
      version: {
        name: "MKL_Get_Version_String",
        parameters: ["buffer", "i32"],
        result: "void",
        optional: true,
      },
      BLASSetThreading: maybe,
    });
    if (!symbols.sgemm) continue;
    const library = {
      path,
      sgemm: name("cblas_sgemm"),
      int: suffix === "64_" ? "i64" : "i32",
    } as const;
    if (symbols.config) {
      const build = Deno.UnsafePointerView.getCString(symbols.config()!);
      const [version] = /^OpenBLAS [\d.]+/.exec(build) ?? ["OpenBLAS"];
      return { ...library, name: version, build, setThreads: name("openblas_set_num_threads") };
    }
    if (symbols.version) {
      const text = new Uint8Array(200);
      symbols.version(text, text.length);
      const build = new TextDecoder().decode(text).replace(/\0.*/s, "").trim();
      const version = /Version ([\d.]+)/.exec(build)?.[1] ?? "";
      return { ...library, name: `MKL ${version}`.trim(), build, setThreads: "MKL_Set_Num_Threads" };
    }
    const file = basename(path);
    // Before macOS 15, Accelerate has no way to set its threads.
    const setThreads = symbols.BLASSetThreading ? "BLASSetThreading" : undefined;
    return { ...library, name: file, build: file, setThreads };
  }
  return undefined;
}

/**
 * Returns the reason from an error message of `Deno.dlopen`, without the prefix "Could not open library: ", which may occur
 * more than once.
 */
const reasonOf = (error: unknown): string =>
  (error as Error).message.replace(/^(Could not open library: )+/, "").split("\n")[0];

/**
 * Finds a BLAS library: OpenBLAS, MKL, or Accelerate on macOS.
 *
 * @param choice "auto" for a library that the system's loader finds, or the path of a library's file, such as OpenBLAS in
 * numpy's wheel
 * @throws {UserError} without permission to call foreign functions, and if there is no such library
 *
 * @example
 * ```ts no-run
 * import { cpuDevice, findBlas } from "../mod.ts";
 * using device = cpuDevice({ blas: findBlas("auto") });
 * console.log(device.adapter); // CPU (WebAssembly, fused multiply-add, OpenBLAS 0.3.21)
 * ```
 * @category Devices
 */
export function findBlas(choice: string): Blas {
  const path = choice === "auto" ? undefined : choice;
  if (Deno.permissions.querySync({ name: "ffi", path }).state !== "granted") {
    throw new UserError(
      `blas: no permission to call a library: use deno task train_native, or deno run --allow-ffi.`,
    );
  }
  if (path !== undefined) {
    try {
      const library = describe(path);
      if (library) return library;
    } catch (error) {
      throw new UserError(`blas: ${reasonOf(error)}`);
    }
    throw new UserError(`blas: ${path} has no function cblas_sgemm.`);
  }
  const names = NAMES[Deno.build.os] ?? NAMES.linux!;
  for (const name of names) {
    try {
      const library = describe(name);
      if (library) return library;
    } catch { /* Tries the next name. */ }
  }
  throw new UserError(
    `blas: no BLAS was found, tried ${names.join(", ")}: install OpenBLAS, or give the file of a library.`,
  );
}

/**
 * Computes y = op(a) op(b) for row-major matrices; op transposes a if transA is 1, and b if transB is 1. `a`, `b` and `y`
 * are addresses in the device's memory, in bytes; `lda`, `ldb` and `ldy` are the lengths of their stored rows.
 */
export type Sgemm = (
  ...[transA, transB, M, N, K, a, lda, b, ldb, y, ldy]: readonly [
    ...[number, number, number, number, number],
    ...[number, number, number, number, number, number],
  ]
) => void;

/** The signature of `Sgemm` in WebAssembly. */
export const SGEMM = { params: Array.from({ length: 11 }, () => "i32" as const) };

/**
 * Opens a library for this thread. Workers evaluate the source text of this function, so it uses nothing that is defined outside
 * of it.
 */
export function openSgemm({ path, sgemm, int, setThreads }: Blas, memory: WebAssembly.Memory): Sgemm {
  const { symbols } = Deno.dlopen(path, {
    sgemm: {
      name: sgemm,
      parameters: [
        ...["i32", "i32", "i32", int, int, int] as const,
        ...["f32", "usize", int, "usize", int, "f32", "usize", int] as const,
      ],
      result: "void",
    },
    setThreads: { name: setThreads ?? "none", parameters: ["i32"], result: "void", optional: true },
  });
  symbols.setThreads?.(1);
  // Shared memory does not move when it grows.
  const pointer = Deno.UnsafePointer.of(new Uint8Array(memory.buffer));
  const base = Number(Deno.UnsafePointer.value(pointer));
  // For 64-bit integers, Deno accepts numbers as well as bigints.
  const call = symbols.sgemm as unknown as (...operands: readonly number[]) => void;
  const [rowMajor, asStored] = [101, 111];
  const at = (address: number): number => base + (address >>> 0);
  return (transA, transB, M, N, K, a, lda, b, ldb, y, ldy) =>
    call(
      ...[rowMajor, asStored + transA, asStored + transB, M, N, K],
      ...[1, at(a), lda, at(b), ldb, 0, at(y), ldy],
    );
}

/**
 * Minimum number of multiply-adds for which the library saves more time than the call, and the second pass that adds a
 * bias, cost.
 */
const LEAST_WORK = 2 ** 17;
/** Minimum number of rows and of columns for which the library is faster than dot products. */
const LEAST_ROWS = 9;
/** Number of multiply-adds per block. A block takes about 50 microseconds. */
const BLOCK = 3 * 2 ** 20;
/**
 * Minimum number of rows or columns of a block. Smaller blocks waste time, because the library packs the other operand
 * again for each block.
 */
const LEAST_SIZE = 96;

/** True if the library computes a product faster than the device itself. */
export const isWorthCalling = ({ M, N, K }: PlainProduct): boolean =>
  M * N * K >= LEAST_WORK && Math.min(M, N) >= LEAST_ROWS;

/**
 * Returns the phase that computes a product with the imported function `sgemm`. The blocks are groups of rows of the
 * result, or groups of columns if the result has more columns than rows.
 */
export function productPhase({ batch, M, N, K, transA, transB }: PlainProduct): Phase {
  const byRows = M >= N;
  const [longer, shorter] = byRows ? [M, N] : [N, M];
  const parts = Math.ceil(longer / Math.max(LEAST_SIZE, BLOCK / (shorter * K)));
  const size = 16 * Math.ceil(longer / parts / 16);
  const perMatrix = Math.ceil(longer / size);
  return {
    label: `sgemm ${M}x${N}x${K}`,
    blocks: batch * perMatrix,
    kernel(f, block, { inputs: [a, b], outputs: [y] }) {
      const matrix = f.let(i32.divU(block, perMatrix));
      const first = f.let(i32.mul(i32.remU(block, perMatrix), size));
      const left = f.let(i32.sub(longer, first));
      const count = f.let(select(i32.ltU(left, size), left, int(size)));
      const at = (base: Int, elements: number, step: number) =>
        element(base, i32.add(i32.mul(matrix, elements), i32.mul(first, step)));
      f.call(
        f.module.imported.sgemm,
        ...[Number(transA), Number(transB), byRows ? count : M, byRows ? N : count, K],
        ...[at(a, M * K, byRows ? (transA ? 1 : K) : 0), transA ? M : K],
        ...[at(b, K * N, byRows ? 0 : (transB ? K : 1)), transB ? K : N],
        ...[at(y, M * N, byRows ? N : 1), N],
      );
    },
  };
}
