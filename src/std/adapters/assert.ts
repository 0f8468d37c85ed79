// The assertions of @std/assert 1, implemented with node:assert, which compares values and shows differences. As in std, -0
// and 0 are equal, also in arrays, plain objects, maps, sets and typed arrays; objects of different classes are not equal.
import { deepStrictEqual } from "node:assert";
import { inspect, isDeepStrictEqual, stripVTControlCharacters } from "node:util";

/** A failed assertion. */
export class AssertionError extends Error {
  override name = "AssertionError";
}

type ErrorClass<E extends Error> = abstract new (...args: never[]) => E;

const show = (value: unknown): string => typeof value === "object" ? inspect(value) : String(value);
const suffix = (msg: string | undefined): string => msg ? `: ${msg}` : ".";

function check(holds: boolean, what: string, msg: string | undefined): asserts holds {
  if (!holds) throw new AssertionError(`${what}${suffix(msg)}`);
}

/** Returns a value in which -0 is replaced by 0, because node:assert distinguishes them. */
function withoutMinusZero(value: unknown, copies: Map<unknown, unknown>): unknown {
  if (typeof value === "number") return value === 0 ? 0 : value;
  if (typeof value !== "object" || value === null) return value;
  if (copies.has(value)) return copies.get(value);
  if (value instanceof Float32Array || value instanceof Float64Array) {
    return value.map((number) => number === 0 ? 0 : number);
  }
  const below = (entry: unknown) => withoutMinusZero(entry, copies);
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Map.prototype) {
    const copy = new Map();
    copies.set(value, copy);
    (value as Map<unknown, unknown>).forEach((entry, key) => copy.set(below(key), below(entry)));
    return copy;
  }
  if (prototype === Set.prototype) {
    const copy = new Set();
    copies.set(value, copy);
    (value as Set<unknown>).forEach((entry) => copy.add(below(entry)));
    return copy;
  }
  if (![Object.prototype, Array.prototype, null].includes(prototype)) return value;
  const copy: Record<PropertyKey, unknown> = {};
  const result = Array.isArray(value) ? Object.assign([], { length: value.length }) : copy;
  copies.set(value, result);
  for (
    const key of Reflect.ownKeys(value).filter((key) =>
      Object.prototype.propertyIsEnumerable.call(value, key)
    )
  ) {
    Object.defineProperty(result, key, {
      value: below((value as Record<PropertyKey, unknown>)[key]),
      enumerable: true,
    });
  }
  return result;
}

/** True if two values are deeply equal. */
export function equal(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(withoutMinusZero(a, new Map()), withoutMinusZero(b, new Map()));
}

/** Returns the difference between two values as node:assert shows it. */
function difference(actual: unknown, expected: unknown): string {
  try {
    deepStrictEqual(withoutMinusZero(actual, new Map()), withoutMinusZero(expected, new Map()));
  } catch (error) {
    return (error as Error).message.replace(/^.*\n/, "");
  }
  return "";
}

/** Throws if a value is falsy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/** Throws if a value is truthy. */
export function assertFalse(expr: unknown, msg = ""): void {
  if (expr) throw new AssertionError(msg);
}

/** Throws. */
export function fail(msg?: string): never {
  throw new AssertionError(`Failed assertion${suffix(msg)}`);
}

/** Throws if two values are not deeply equal, and shows what differs. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  if (equal(actual, expected)) return;
  throw new AssertionError(`Values are not equal${suffix(msg)}\n${difference(actual, expected)}`);
}

/** Throws if two values are deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  check(!equal(actual, expected), `Expected actual: ${show(actual)} not to be: ${show(expected)}`, msg);
}

/** Throws if two values are not the same by `Object.is`. */
export function assertStrictEquals<T>(actual: unknown, expected: T, msg?: string): asserts actual is T {
  if (Object.is(actual, expected)) return;
  throw new AssertionError(`Values are not strictly equal${suffix(msg)}\n${difference(actual, expected)}`);
}

/** Throws if two values are the same by `Object.is`. */
export function assertNotStrictEquals<T>(actual: T, expected: T, msg?: string): void {
  check(!Object.is(actual, expected), `Expected "actual" to not be strictly equal to: ${show(actual)}`, msg);
}

/** Throws if a value is null or undefined. */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  check(
    actual !== undefined && actual !== null,
    `Expected actual: "${actual}" to not be null or undefined`,
    msg,
  );
}

/**
 * Throws if two numbers are further apart than a tolerance.
 *
 * @param tolerance default: 1e-7 times the expected number, or 1e-7 if the expected number is infinite
 */
export function assertAlmostEquals(actual: number, expected: number, tolerance?: number, msg?: string): void {
  if (Object.is(actual, expected)) return;
  const delta = Math.abs(expected - actual);
  const limit = tolerance ?? (Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7);
  const digits = (n: number) => Number.isInteger(n) ? n : n.toExponential();
  const what = `Expected actual: "${digits(actual)}" to be close to "${digits(expected)}"`;
  check(delta <= limit, `${what}: delta "${digits(delta)}" is greater than "${digits(limit)}"`, msg);
}

/** Throws if a text does not contain another text. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  check(actual.includes(expected), `Expected actual: "${actual}" to contain: "${expected}"`, msg);
}

/** Throws if a text does not match a regular expression. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  check(expected.test(actual), `Expected actual: "${actual}" to match: "${expected}"`, msg);
}

/** Throws if a text matches a regular expression. */
export function assertNotMatch(actual: string, expected: RegExp, msg?: string): void {
  check(!expected.test(actual), `Expected actual: "${actual}" to not match: "${expected}"`, msg);
}

/**
 * Throws if a value is not an instance of an error class, or if its message does not contain a text or match a regular
 * expression.
 */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  ErrorClass?: ErrorClass<E>,
  msgMatches?: string | RegExp,
  msg?: string,
): asserts error is E {
  check(error instanceof Error, `Expected "error" to be an Error object`, msg);
  check(
    ErrorClass === undefined || error instanceof ErrorClass,
    `Expected error to be instance of "${ErrorClass?.name}", but was "${error.constructor?.name}"`,
    msg,
  );
  const message = stripVTControlCharacters(error.message);
  const fits = msgMatches instanceof RegExp
    ? msgMatches.test(message)
    : message.includes(stripVTControlCharacters(msgMatches ?? ""));
  const expected = msgMatches instanceof RegExp ? msgMatches : JSON.stringify(msgMatches);
  check(fits, `Expected error message to include ${expected}, but got ${JSON.stringify(error.message)}`, msg);
}

/** Throws if a value is not an instance of a class. */
export function assertInstanceOf<T>(
  actual: unknown,
  expectedType: abstract new (...args: never[]) => T,
  msg?: string,
): asserts actual is T {
  if (actual instanceof expectedType) return;
  const is = typeof actual === "object" && actual !== null ? actual.constructor?.name : `${actual}`;
  check(false, `Expected object to be an instance of "${expectedType.name}" but was "${is}"`, msg);
}

/** Checks a thrown value; if no class is given, any value passes. */
function checkThrown<E extends Error>(
  error: unknown,
  classOrMsg: ErrorClass<E> | string | undefined,
  rest: readonly (string | undefined)[],
  how: string,
): void {
  if (typeof classOrMsg !== "function") return;
  check(error instanceof Error, `A non-Error object was ${how}`, rest[1]);
  assertIsError(error, classOrMsg, rest[0], rest[1]);
}

/** Returns what a function throws; throws if the function does not. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/**
 * Returns the error that a function throws; throws if the error is not of the class or its message does not contain the
 * text.
 */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows<E extends Error>(
  fn: () => unknown,
  classOrMsg?: ErrorClass<E> | string,
  ...rest: (string | undefined)[]
): unknown {
  try {
    fn();
  } catch (error) {
    checkThrown(error, classOrMsg, rest, "thrown");
    return error;
  }
  throw new AssertionError(
    `Expected function to throw${suffix(typeof classOrMsg === "string" ? classOrMsg : rest[1])}`,
  );
}

/** Returns what a promise rejects with; throws if the promise does not reject. */
export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
/** Returns the error that a promise rejects with; throws if it is not of the class or its message does not contain the text. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects<E extends Error>(
  fn: () => PromiseLike<unknown>,
  classOrMsg?: ErrorClass<E> | string,
  ...rest: (string | undefined)[]
): Promise<unknown> {
  const end = suffix(typeof classOrMsg === "string" ? classOrMsg : rest[1]);
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch {
    throw new AssertionError(`Function throws when expected to reject${end}`);
  }
  if (typeof promise?.then !== "function") {
    throw new AssertionError(`Function throws when expected to reject${end}`);
  }
  try {
    await promise;
  } catch (error) {
    checkThrown(error, classOrMsg, rest, "rejected");
    return error;
  }
  throw new AssertionError(`Expected function to reject${end}`);
}
