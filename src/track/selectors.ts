// Which tensors are tracked, and how often: globs over tap names, each with an optional kind and a period.
import { didYouMean, UserError } from "../base/errors.ts";
import { deeperPattern, globOf, patternHint } from "../base/glob.ts";

/** What can be tracked of a tensor: its values or its gradient; for a parameter also its optimizer state and last update.
 * @category Logs */
export const KINDS = ["act", "grad", "param", "param_grad", "opt", "update"] as const;

/** What is tracked of a tensor, one of `KINDS`. */
export type Kind = typeof KINDS[number];

/** Tensors that selectors choose, tracked every `every` steps. */
export interface Watched {
  /** Selectors: globs over names, optionally after `kind:`. A leading `!` excludes; "everything" matches all tensors. */
  readonly select: readonly string[];
  /** Period: number of steps between two records. */
  readonly every: number;
}

/** One tensor that can be tracked. */
export interface Subject {
  /** What is tracked of it. */
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
 * Returns a predicate for the subjects that selectors choose: those that match a selector without `!` and none with `!`. If
 * all selectors have `!`, every subject that matches none of them is chosen.
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

/** Suggestion for a selector that matches nothing: the same name with another kind, or a similar name of its kind. */
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
 * The indices of the entries of `track` that are due at a step: those whose period divides it.
 *
 * @param step 1-based
 */
export function dueAt(watched: readonly Watched[], step: number): number[] {
  return watched.flatMap(({ every }, i) => step % every === 0 ? [i] : []);
}

const gcd = (a: number, b: number): number => b === 0 ? a : gcd(b, a % b);

/**
 * Every nonempty set of entries (their indices) that are due together at a step of a run, in the order of the first such
 * step, which is the least common multiple of the periods.
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
