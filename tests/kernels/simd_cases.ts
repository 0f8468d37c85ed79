// What every WebAssembly half of an operation must satisfy, beside its accuracy (harness.ts): the same bytes for any number of
// threads, and numbers that are not finite where the reference device has them.
import assert from "node:assert/strict";
import { cpuDevice } from "../../src/device/cpu/device.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { type Case, evaluate } from "./harness.ts";

/**
 * Asserts that a case gives the same bytes with one, two and three threads, and that each operation in `shared` runs in
 * WebAssembly and has a phase of at least three blocks, so that all threads take part.
 */
export async function checkThreads(testCase: Case, shared: readonly string[]): Promise<void> {
  let first: Record<string, Uint32Array> | undefined;
  for (const threads of [1, 2, 3]) {
    using device = cpuDevice({ threads });
    using program = await device.compile({ outputs: testCase.outputs });
    for (const name of shared) {
      assert.ok(!program.inTypeScript.includes(name), `${name} runs in TypeScript`);
      const blocks = program.plan.steps.filter(({ node }) => node.op.name === name).map(({ simd }) =>
        Math.max(0, ...simd!.phases.map((phase) => phase.blocks))
      );
      assert.ok(Math.max(0, ...blocks) >= 3, `${name}: ${blocks} blocks are not enough for three threads`);
    }
    program.run(testCase.feeds);
    const names = Object.keys(testCase.outputs);
    const values = await program.read(names);
    // As words: NaN equals NaN, and 0 differs from -0.
    const words = values.map((x) => new Uint32Array(x.buffer as ArrayBuffer));
    const results = Object.fromEntries(names.map((name, i) => [name, words[i]]));
    first ??= results;
    for (const name of names) {
      assert.deepEqual(results[name], first[name], `${testCase.label ?? ""} ${name} with ${threads} threads`);
    }
  }
}

/**
 * Asserts that NaN in any input gives NaN exactly where the reference device has it, and that an infinity in any input gives
 * numbers that are not finite exactly where the reference device has them. Each input in `among` (default: all of floats) gets
 * the number at its start, middle and end in turn.
 */
export async function checkNonFinite(
  { feeds, outputs, label = "" }: Case,
  among: readonly string[] = Object.keys(feeds).filter((name) => !(feeds[name] instanceof Uint32Array)),
): Promise<void> {
  using cpu = cpuDevice({ threads: 2 });
  using reference = referenceDevice();
  for (const name of among) {
    const last = feeds[name].length - 1;
    for (const at of new Set([0, last >> 1, last])) {
      for (const planted of [NaN, Infinity, -Infinity]) {
        const values = Float32Array.from(feeds[name]);
        values[at] = planted;
        const testCase = { feeds: { ...feeds, [name]: values }, outputs };
        const [expected, actual] = [await evaluate(reference, testCase), await evaluate(cpu, testCase)];
        const is = Number.isNaN(planted) ? Number.isNaN : (x: number) => !Number.isFinite(x);
        for (const key of Object.keys(outputs)) {
          expected[key].forEach((x, i) =>
            assert.equal(
              is(actual[key][i]),
              is(x),
              `${label} ${key}[${i}], ${planted} at ${name}[${at}]: ${actual[key][i]}, reference ${x}`,
            )
          );
        }
      }
    }
  }
}
