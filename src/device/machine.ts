// The memory that is available to a run: memory for arrays, and JavaScript's heap, which holds the graphs of its programs.
import process from "node:process";
import { getHeapStatistics } from "node:v8";
import { UserError } from "../base/errors.ts";
import { showBytes } from "../base/units.ts";

/** The memory of a machine. */
export interface Machine {
  /** Memory and swap of the machine or of its control group, in bytes; Infinity without the permission `sys`. */
  readonly memory: number;
  /** Limit of JavaScript's heap, where graphs are stored, in bytes. */
  readonly heap: number;
}

/**
 * Returns the memory of this machine. Reading it needs the permission `--allow-sys=systemMemoryInfo`, which heed's tasks grant;
 * without the permission, only an allocation that the system refuses is reported.
 */
export function thisMachine(): Machine {
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "systemMemoryInfo" });
  const { heap_size_limit: heap } = getHeapStatistics();
  if (state !== "granted") return { memory: Infinity, heap };
  const { total, swapTotal } = Deno.systemMemoryInfo();
  return { memory: Math.min(total + swapTotal, process.constrainedMemory() || Infinity), heap };
}

/** Throws a `UserError` if `bytes` exceeds the machine's memory. */
export function checkMemory(what: string, bytes: number, { memory }: Pick<Machine, "memory">): void {
  if (bytes <= memory) return;
  throw new UserError(`${showBytes(bytes)} of memory for ${what}, this machine has ${showBytes(memory)}.`);
}
