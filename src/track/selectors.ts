// Selects the tensors that are tracked. An entry of `track` has a period and a list of selectors, which are globs over names,
// each with an optional kind.
import { didYouMean, UserError } from "../base/errors.ts";
import { deeperPattern, globOf, patternHint } from "../base/glob.ts";

/** What can be tracked of a tensor: its values or its gradient; for a parameter also its optimizer state and last update.
 * @category Logs */
export const KINDS = ["act", "grad", "param", "param_grad", "opt", "update"] as const;

/** What is tracked of a tensor, one of `KINDS`. */
export type Kind = typeof KINDS[number];

/** An entry of `track`: every `every` steps, the tensors that its selectors choose are tracked. */
export interface Watched {
  /**
   * Selectors: each is a glob over names, optionally after `kind:`. A selector with a leading `!` excludes what it matches;
   * "everything" matches all tensors.
   */
  readonly select: readonly string[];
  /** Period: number of steps between two records. */
  readonly every: number;
}

/** One tensor that can be tracked. */
export interface Subject {
  /** What is tracked of the tensor. */
  readonly kind: Kind;
  /** Name of the tap or of the parameter. */
  readonly name: string;
}

interface Selector {
  readonly text: string;
  readonly excludes: boolean;
  matches(subject: Subject): boolean;
}

function selectorOf(text: string): Selector {
  const excludes = text.startsWith("!");
  const body = excludes ? text.slice(1) : text;
  if (body === "everything") return { text, excludes, matches: () => true };
  const colon = body.indexOf(":");
  const kind = colon < 0 ? undefined : body.slice(0, colon);
  if (kind !== undefined && !(KINDS as readonly string[]).includes(kind)) {
    throw new UserError(
      `track: "${text}": expected one of the kinds ${KINDS.join(", ")} before the colon, found "${kind}".${
        didYouMean(kind, KINDS)
      }`,
    );
  }
  const glob = globOf(body.slice(colon + 1));
  return {
    text,
    excludes,
    matches: (subject) => (kind === undefined || kind === subject.kind) && glob(subject.name),
  };
}

/**
 * Returns a function that is true for the subjects that selectors choose. A subject is chosen if it matches at least one
 * selector without `!` and no selector with `!`. If all selectors have `!`, every subject that matches none of them is chosen.
 *
 * @throws {UserError} if a kind does not exist
 *
 * @example
 * ```ts
 * import { selection } from "./mod.ts";
 * const chosen = selection(["act:blocks.*.attn.*", "param:**", "!**.bias"]);
 * chosen({ kind: "act", name: "blocks.0.attn.z" }); // true
 * chosen({ kind: "param", name: "final_norm.bias" }); // false
 * ```
 */
export function selection(select: readonly string[]): (subject: Subject) => boolean {
  const all = select.map(selectorOf);
  const including = all.filter(({ excludes }) => !excludes);
  const excluding = all.filter(({ excludes }) => excludes);
  return (subject) =>
    (including.length === 0 || including.some(({ matches }) => matches(subject))) &&
    !excluding.some(({ matches }) => matches(subject));
}

/**
 * Returns a suggestion for a selector that matches nothing: the same name with another kind, or a similar name of the same
 * kind.
 */
function selectorHint(text: string, subjects: readonly Subject[]): string {
  const [, excludes, kind, pattern] = /^(!?)(?:(\w+):)?(.*)$/s.exec(text)!;
  const namesOf = (some: readonly Subject[]) => some.map(({ name }) => name);
  const sameKind = subjects.filter((subject) => kind === undefined || kind === subject.kind);
  const glob = globOf(pattern);
  const other = subjects.find(({ name }) => glob(name));
  if (!other || deeperPattern(pattern, namesOf(sameKind)) !== undefined) {
    return patternHint(pattern, namesOf(sameKind.length > 0 ? sameKind : subjects));
  }
  return `Did you mean "${excludes}${other.kind}:${pattern}"?`;
}

/**
 * Throws for the first selector that matches no subject; the message suggests the nearest name.
 *
 * @throws {UserError} if a selector matches nothing
 */
export function checkSelectors(place: string, select: readonly string[], subjects: readonly Subject[]): void {
  for (const { text, matches } of select.map(selectorOf)) {
    if (subjects.some(matches)) continue;
    throw new UserError(
      `${place}: "${text}" matches nothing that this model has. ${selectorHint(text, subjects)}`,
    );
  }
}

/**
 * Returns the indices of the entries of `track` that are due at a step, that is, whose period divides the step.
 *
 * @param step 1-based
 */
export function dueAt(watched: readonly Watched[], step: number): number[] {
  return watched.flatMap(({ every }, i) => step % every === 0 ? [i] : []);
}

const gcd = (a: number, b: number): number => b === 0 ? a : gcd(b, a % b);

/**
 * Returns every nonempty set of entries that are due together at some step of a run. Each set is a list of the entries'
 * indices. The sets are ordered by the first step at which they are due, which is the least common multiple of their periods.
 */
export function dueSets(watched: readonly Watched[], steps: number): number[][] {
  const firsts = new Set<number>();
  for (const { every } of watched) {
    for (const other of [1, ...firsts]) {
      const first = other / gcd(other, every) * every;
      if (first <= steps) firsts.add(first);
    }
  }
  return [...firsts].sort((a, b) => a - b).map((step) => dueAt(watched, step));
}
