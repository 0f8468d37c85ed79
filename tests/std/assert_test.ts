// Assertions of @std/assert: what std 1 accepts, and its messages. Checked by node:assert.
import { deepEqual, doesNotThrow, equal as same, match, ok, rejects, throws } from "node:assert/strict";
import * as std from "@std/assert";

/** An assertion fails with std's error and a message. */
function refuses(assertion: () => void, message: string | RegExp): void {
  throws(assertion, (error: Error) => {
    ok(error instanceof std.AssertionError);
    same(error.name, "AssertionError");
    if (typeof message === "string") same(error.message, message);
    else match(error.message, message);
    return true;
  });
}

Deno.test("equal() is deep, treats -0 as 0 and NaN as NaN, and distinguishes classes", () => {
  class A {
    x = 1;
  }
  const loop: Record<string, unknown> = { x: -0 };
  loop.loop = loop;
  const other: Record<string, unknown> = { x: 0 };
  other.loop = other;
  const equals: [unknown, unknown][] = [
    [0, -0],
    [NaN, NaN],
    [{ a: [-0, { b: 0 }] }, { a: [0, { b: -0 }] }],
    [Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
    [new Set([1, new Set([2, 3])]), new Set([new Set([3, 2]), 1])],
    [new Map([["a", { x: -0 }], ["b", { x: 1 }]]), new Map([["b", { x: 1 }], ["a", { x: 0 }]])],
    [new Float32Array([-0, NaN]), new Float32Array([0, NaN])],
    [new Date(5), new Date(5)],
    [/deno/, /deno/],
    [new URL("https://example.test"), new URL("https://example.test")],
    [{ [Symbol.for("a")]: 1 }, { [Symbol.for("a")]: 1 }],
    [loop, other],
  ];
  for (const [a, b] of equals) ok(std.equal(a, b), Deno.inspect([a, b]));
  const differ: [unknown, unknown][] = [
    [5, "5"],
    [{ a: undefined }, {}],
    [{ a: undefined, b: 1 }, { a: undefined, c: 1 }],
    [[1, 2, 3], [1, 2]],
    [[undefined], new Array(1)],
    [new A(), { x: 1 }],
    [new Uint8Array([1, 2]), new Uint8Array([2, 1])],
    [new Map([["a", "b"]]), new Map([["a", "c"]])],
    [new Date(5), new Date(6)],
    [/deno/, /node/],
    [new URL("https://example.test"), new URL("https://example.test/a")],
    [new Float32Array([1]), new Float64Array([1])],
  ];
  for (const [a, b] of differ) ok(!std.equal(a, b), Deno.inspect([a, b]));
});

Deno.test("assertEquals() and related assertions report the difference and the message", () => {
  std.assertEquals({ a: [1] }, { a: [1] });
  refuses(() => std.assertEquals({ a: 1 }, { a: 2 }), /^Values are not equal\.\n[^]*1[^]*2/);
  refuses(() => std.assertEquals("a", "b", "why"), /^Values are not equal: why\n/);
  std.assertNotEquals<unknown>(1, "1");
  refuses(() => std.assertNotEquals(1, 1), "Expected actual: 1 not to be: 1.");
  std.assertStrictEquals(NaN, NaN);
  refuses(() => std.assertStrictEquals(0, -0), /^Values are not strictly equal\.\n/);
  std.assertNotStrictEquals({}, {});
  refuses(
    () => std.assertNotStrictEquals(1, 1, "why"),
    'Expected "actual" to not be strictly equal to: 1: why',
  );
});

Deno.test("assert(), assertFalse(), assertExists(), assertInstanceOf() and fail()", () => {
  std.assert("x");
  refuses(() => std.assert(0), "");
  refuses(() => std.assert("", "why"), "why");
  std.assertFalse("");
  refuses(() => std.assertFalse(1, "why"), "why");
  std.assertExists(0);
  refuses(() => std.assertExists(null), 'Expected actual: "null" to not be null or undefined.');
  std.assertInstanceOf(new RangeError(), Error);
  refuses(
    () => std.assertInstanceOf(new Date(), RegExp),
    'Expected object to be an instance of "RegExp" but was "Date".',
  );
  refuses(() => std.fail(), "Failed assertion.");
  refuses(() => std.fail("why"), "Failed assertion: why");
});

Deno.test("assertAlmostEquals() allows 1e-7 of the expected number, or the tolerance", () => {
  std.assertAlmostEquals(1.000000001e-8, 1.000000002e-8);
  std.assertAlmostEquals(0.01, 0.02, 0.1);
  std.assertAlmostEquals(0.1 + 0.2, 0.3, 1e-16);
  std.assertAlmostEquals(NaN, NaN);
  std.assertAlmostEquals(Infinity, Infinity);
  refuses(
    () => std.assertAlmostEquals(1, 2),
    'Expected actual: "1" to be close to "2": delta "1" is greater than "2e-7".',
  );
  for (const [a, b, tolerance] of [[1e-8, 1e-9], [0.1 + 0.2, 0.3, 1e-17], [NaN, 0, 1], [0, Infinity]]) {
    throws(() => std.assertAlmostEquals(a, b, tolerance), std.AssertionError);
  }
});

Deno.test("assertStringIncludes(), assertMatch() and assertNotMatch()", () => {
  std.assertStringIncludes("heed", "ee");
  refuses(() => std.assertStringIncludes("heed", "x"), 'Expected actual: "heed" to contain: "x".');
  std.assertMatch("heed", /^h/);
  refuses(() => std.assertMatch("heed", /x/, "why"), 'Expected actual: "heed" to match: "/x/": why');
  std.assertNotMatch("heed", /x/);
  refuses(() => std.assertNotMatch("heed", /h/), 'Expected actual: "heed" to not match: "/h/".');
});

Deno.test("assertThrows() returns what is thrown, and checks its class and message", () => {
  const error = new RangeError("out of \x1b[1mrange\x1b[0m");
  const raise = () => {
    throw error;
  };
  same(std.assertThrows(raise), error);
  const thrown: RangeError = std.assertThrows(raise, RangeError, "of range");
  same(thrown, error);
  same(std.assertThrows(raise, Error), error);
  refuses(() => std.assertThrows(() => 1, "why"), "Expected function to throw: why");
  refuses(() => std.assertThrows(() => 1, Error), "Expected function to throw.");
  refuses(
    () => std.assertThrows(raise, TypeError),
    'Expected error to be instance of "TypeError", but was "RangeError".',
  );
  refuses(
    () => std.assertThrows(raise, RangeError, "within", "why"),
    /^Expected error message to include "within", but .*: why$/,
  );
  refuses(() =>
    std.assertThrows(() => {
      throw "text";
    }, Error), "A non-Error object was thrown.");
  refuses(() => std.assertIsError(null), 'Expected "error" to be an Error object.');
  doesNotThrow(() => std.assertIsError(error, RangeError, /out of range/));
});

Deno.test("assertRejects() awaits the promise, and refuses a function that throws before it", async () => {
  const error = new TypeError("no");
  const reject = () => Promise.reject(error);
  same(await std.assertRejects(reject), error);
  same(await std.assertRejects(reject, TypeError, "no"), error);
  const fails = (promise: Promise<unknown>, message: string) =>
    rejects(promise, (error: Error) => {
      deepEqual([error.name, error.message], ["AssertionError", message]);
      return true;
    });
  await fails(std.assertRejects(() => Promise.resolve()), "Expected function to reject.");
  await fails(
    std.assertRejects(reject, RangeError),
    'Expected error to be instance of "RangeError", but was "TypeError".',
  );
  await fails(std.assertRejects(() => Promise.reject(5), Error), "A non-Error object was rejected.");
  const sync = () => {
    throw error;
  };
  await fails(std.assertRejects(sync, "why"), "Function throws when expected to reject: why");
});
