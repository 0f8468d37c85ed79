// Which tensors are looked at, and how often: globs over tap names with a kind before them and a cadence beside them.
import { didYouMean, UserError } from "../base/errors.ts";
import { deeperPattern, globOf, patternHint } from "../base/glob.ts";

/** What of a tensor is looked at: its values, its gradient; of a parameter also its optimizer state and last update.
 * @category Logs */
export const KINDS = ["act", "grad", "param", "param_grad", "opt", "update"] as const;

/** One of `KINDS`. */
export type Kind = typeof KINDS[number];

/** Tensors by selectors, looked at every so many steps. */
export interface Watched {
  /** Globs with an optional `kind:` before them; `!` excludes; "everything" is all there is. */
  readonly select: readonly string[];
  /** Steps between two looks. */
  readonly every: number;
}

/** One thing to look at. */
export interface Subject {
  /** What of it. */
  readonly kind: Kind;
  /** Name of the tap or the parameter. */
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
 * What some selectors choose: every subject that one of them matches and none with `!` does. Selectors that only exclude
 * choose from everything.
 *
 * @throws {UserError} at a kind that does not exist
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

/** What to write instead of a selector that chooses none of the subjects: its own name of another kind, or a name of its kind. */
function selectorHint(text: string, subjects: readonly Subject[]): string {
  const [, excludes, kind, pattern] = /^(!?)(?:(\w+):)?(.*)$/s.exec(text)!;
  const namesOf = (some: readonly Subject[]) => some.map(({ name }) => name);
  const own = subjects.filter((subject) => kind === undefined || kind === subject.kind);
  const glob = globOf(pattern);
  const other = subjects.find(({ name }) => glob(name));
  if (!other || deeperPattern(pattern, namesOf(own)) !== undefined) {
    return patternHint(pattern, namesOf(own.length > 0 ? own : subjects));
  }
  return `Did you mean "${excludes}${other.kind}:${pattern}"?`;
}

/**
 * Throws at the first selector that matches nothing there is, with the nearest name.
 *
 * @throws {UserError} one line
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
 * The entries of `track` that are due at a step, by their numbers.
 *
 * @param step 1-based
 */
export function dueAt(watched: readonly Watched[], step: number): number[] {
  return watched.flatMap(({ every }, i) => step % every === 0 ? [i] : []);
}

/** The greatest common divisor. */
const gcd = (a: number, b: number): number => b === 0 ? a : gcd(b, a % b);

/**
 * Every set of entries that is due together at some step of a run, none left out but the empty one, by the first step at which
 * it is: the least common multiple of its periods.
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
