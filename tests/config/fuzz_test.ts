// Random damage, 2,000 times: the result is always a Config or a UserError in one line.

import assert from "node:assert/strict";
import { type RandomStream, randomStream } from "../../src/base/random.ts";
import {
  applyOverride,
  type Config,
  dumpConfig,
  loadConfig,
  parseConfig,
  resolveConfig,
} from "../../src/config/mod.ts";
import { UserError } from "../../src/base/errors.ts";

const JUNK = [
  "0",
  "-1",
  "1e-3",
  "1e300",
  ".nan",
  ".inf",
  "null",
  "~",
  "true",
  "x",
  '""',
  "[]",
  "{}",
  "[1, 2]",
  "{a: 1}",
  "'",
];
const PIECES = [
  ":",
  " ",
  "\n",
  "-",
  "[",
  "}",
  "*",
  "&",
  "!",
  "#",
  "\t",
  "|",
  ">",
  "\0",
  "é",
  "__proto__",
  "<<: {a: 1}",
  "? ",
  "---",
];

function pick<T>(random: RandomStream, from: readonly T[]): T {
  return from[random.below(from.length)];
}

/** A configuration or undefined; any other error fails the test and shows its input. */
function attempt(text: string, overrides: string[]): Config | undefined {
  try {
    const raw = overrides.reduce(applyOverride, parseConfig(text, "fuzz.yaml"));
    return resolveConfig(raw, { place: "fuzz.yaml", name: "fuzz", overrides });
  } catch (error) {
    const input = JSON.stringify({ text, overrides });
    assert.ok(error instanceof UserError, `${error instanceof Error ? error.stack : error}\n${input}`);
    assert.doesNotMatch(error.message, /[\n\r]/, input);
    return undefined;
  }
}

function assertComesBack(config: Config): void {
  const again = resolveConfig(parseConfig(dumpConfig(config), "dump"), { place: "dump", name: "other" });
  assert.deepEqual(again, config);
}

Deno.test("a damaged text gives a configuration that round-trips, or one line", async () => {
  const random = randomStream(1, "damaged texts");
  const good = dumpConfig(await loadConfig("nanogpt_cpu", []));
  let accepted = 0;
  for (let round = 0; round < 1000; round++) {
    let text = good;
    for (let edits = 1 + random.below(3); edits > 0; edits--) {
      const at = random.below(text.length);
      const piece = random.below(2) === 0 ? pick(random, PIECES) : "";
      text = text.slice(0, at) + piece + text.slice(at + random.below(4));
    }
    const config = attempt(text, []);
    if (config === undefined) continue;
    assertComesBack(config);
    accepted++;
  }
  // Both outcomes must occur, or the test proves nothing.
  assert.ok(accepted > 10 && accepted < 990, `${accepted} of 1000 accepted`);
});

function paths(value: unknown, path: string): string[] {
  if (typeof value !== "object" || value === null) return [path];
  const below = Object.entries(value).flatMap(([key, child]) =>
    paths(child, path === "" ? key : `${path}.${key}`)
  );
  return path === "" ? below : [path, ...below];
}

Deno.test("random overrides of a good configuration give a configuration or one line", async () => {
  const random = randomStream(2, "random overrides");
  const config = await loadConfig("nanogpt_cpu", []);
  const [good, keys] = [dumpConfig(config), paths(config, "")];
  let accepted = 0;
  for (let round = 0; round < 1000; round++) {
    const overrides = Array.from({ length: 1 + random.below(2) }, () => {
      const key = pick(random, keys) + pick(random, ["", "", "", "x", ".0", ".__proto__"]);
      return random.below(5) === 0 ? `~${key}` : `${key}=${pick(random, JUNK)}`;
    });
    const result = attempt(good, overrides);
    if (result === undefined) continue;
    assertComesBack(result);
    accepted++;
  }
  assert.ok(accepted > 10 && accepted < 990, `${accepted} of 1000 accepted`);
});

Deno.test("aliases that make a value contain itself are refused in one line", () => {
  for (
    const text of ["model: &a { dim: *a }", "&a data: *a", "data: &a\n  split: *a", "&a [*a]", "x: &x [*x]"]
  ) {
    assert.equal(attempt(text, []), undefined, text);
  }
});
