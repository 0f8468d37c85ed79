// Detects regular expressions with catastrophic backtracking. A backtracking matcher such as JavaScript's takes exponential time
// if a repeated part can match the same text in several ways and the match may fail after it. It takes polynomial time if the
// match may fail after two repetitions of the same characters.
// Brabrand and Thomsen, "Typed and Unambiguous Pattern Matching on Strings using Regular Expressions", 2010;
// Weber and Seidl, "On the Degree of Ambiguity of Finite Automata", 1991.

/** @internal The structure of an expression, as far as backtracking depends on it. */
export type Tree =
  /** A set of characters, one of which is matched; `source` is the set as a JavaScript expression. */
  | { readonly kind: "set"; readonly source: string }
  | { readonly kind: "sequence" | "alternatives"; readonly parts: readonly Tree[] }
  /** A part repeated `least` to `most` times; `most` may be Infinity. */
  | { readonly kind: "repeat"; readonly part: Tree; readonly least: number; readonly most: number }
  /** A zero-width assertion: a lookaround or an anchor. */
  | { readonly kind: "look" };

/** Maximum number of paths through an expression, where each unbounded repetition counts as one path. */
const MOST_WAYS = 1e6;
/** Maximum number of places in a loop. It is limited because all pairs of places are examined. */
const MOST_PLACES = 80;
/** Maximum number of copies of a repeated part. A part with more copies is treated as an unbounded repetition. */
const WRITTEN_OUT = 8;

/** A half-open range of indices into the string of all Unicode characters. */
type Range = readonly [from: number, to: number];

let everything: string | undefined;

function allCharacters(): string {
  if (everything !== undefined) return everything;
  const pieces: string[] = [];
  for (let from = 0; from < 0x110000; from += 4096) {
    const codes = Array.from({ length: 4096 }, (_, i) => from + i).filter((c) => c < 0xd800 || c > 0xdfff);
    pieces.push(codes.map((code) => String.fromCodePoint(code)).join(""));
  }
  return everything = pieces.join("");
}

const ranges = new Map<string, readonly Range[]>();

/** Returns the characters of a set, as ranges in the string of all Unicode characters. */
function rangesOf(source: string): readonly Range[] {
  return ranges.getOrInsertComputed(source, () => {
    const runs = allCharacters().matchAll(new RegExp(`(?:${source})+`, "gv"));
    return Array.from(runs, ({ index, 0: run }): Range => [index, index + run.length]);
  });
}

function common(a: readonly Range[], b: readonly Range[]): Range[] {
  const overlap: Range[] = [];
  for (let i = 0, k = 0; i < a.length && k < b.length;) {
    const [from, to] = [Math.max(a[i][0], b[k][0]), Math.min(a[i][1], b[k][1])];
    if (from < to) overlap.push([from, to]);
    if (a[i][1] < b[k][1]) i++;
    else k++;
  }
  return overlap;
}

/** Returns the number of paths through a part, where each unbounded repetition counts as one path. */
function ways(tree: Tree): number {
  switch (tree.kind) {
    case "sequence":
      return tree.parts.reduce((product, part) => product * ways(part), 1);
    case "alternatives":
      return tree.parts.reduce((sum, part) => sum + ways(part), 0);
    case "repeat": {
      const { part, least, most } = tree;
      if (most === Infinity) return 1;
      let sum = 0;
      for (let times = least; times <= most; times++) sum += ways(part) ** times;
      return sum;
    }
  }
  return 1;
}

/** Returns the number of characters that a part matches, or undefined if this number varies. */
function length(tree: Tree): number | undefined {
  switch (tree.kind) {
    case "set":
      return 1;
    case "look":
      return 0;
    case "sequence":
      return tree.parts.reduce<number | undefined>((sum, part) => {
        const characters = length(part);
        return sum === undefined || characters === undefined ? undefined : sum + characters;
      }, 0);
    case "alternatives": {
      const [first, ...others] = tree.parts.map(length);
      return others.every((characters) => characters === first) ? first : undefined;
    }
    case "repeat": {
      const characters = length(tree.part);
      return tree.least === tree.most && characters !== undefined ? characters * tree.least : undefined;
    }
  }
}

/** A part of an expression in Glushkov's automaton. */
interface Fragment {
  /**
   * `empty` is true if the fragment can match the empty string; `free` is true if it can do so without passing a lookaround or an
   * anchor.
   */
  readonly empty: boolean;
  readonly free: boolean;
  readonly first: readonly number[];
  readonly last: readonly number[];
  /** The places in `last` after which nothing in the fragment can fail. */
  readonly ends: readonly number[];
}

const NOTHING: Fragment = { empty: true, free: true, first: [], last: [], ends: [] };

type Places = ReturnType<typeof placesOf>;

/**
 * Returns Glushkov's automaton of an expression. Its places are the character sets of the expression. For each place, `follow`
 * has the places that may match next, and `twice` has the places that may match next in two ways, such as by the inner or the
 * outer of two nested loops. `ends` has the places after which nothing can fail.
 */
function placesOf(tree: Tree) {
  const sets: string[] = [];
  const [follow, twice]: [Set<number>[], Set<number>[]] = [[], []];
  const link = (from: number, to: number) => (follow[from].has(to) ? twice : follow)[from].add(to);
  const join = (a: Fragment, b: Fragment): Fragment => {
    for (const from of a.last) for (const to of b.first) link(from, to);
    return {
      empty: a.empty && b.empty,
      free: a.free && b.free,
      first: a.empty ? [...a.first, ...b.first] : a.first,
      last: b.empty ? [...a.last, ...b.last] : b.last,
      ends: b.free ? [...a.ends, ...b.ends] : b.ends,
    };
  };
  const optional = (part: Fragment): Fragment => ({ ...part, empty: true, free: true });
  const repeated = (part: Tree, least: number, most: number): Fragment => {
    const varies = length(part) === undefined;
    const endless = most === Infinity || varies && most > 1 || most > WRITTEN_OUT;
    const copies = Math.min(endless && varies ? 1 : WRITTEN_OUT, Math.max(least, endless ? 1 : most));
    let fragment = NOTHING;
    for (let copy = copies; copy > 0; copy--) {
      const one = build(part);
      if (endless && copy === copies) join(one, one);
      fragment = join(one, fragment);
      if (copy > least) fragment = optional(fragment);
    }
    return fragment;
  };
  const build = (tree: Tree): Fragment => {
    switch (tree.kind) {
      case "set": {
        const place = sets.push(tree.source) - 1;
        follow.push(new Set());
        twice.push(new Set());
        return { empty: false, free: false, first: [place], last: [place], ends: [place] };
      }
      case "look":
        return { ...NOTHING, free: false };
      case "sequence":
        return tree.parts.map(build).reduce(join, NOTHING);
      case "alternatives": {
        const all = tree.parts.map(build);
        return {
          empty: all.some(({ empty }) => empty),
          free: all.some(({ free }) => free),
          first: all.flatMap(({ first }) => first),
          last: all.flatMap(({ last }) => last),
          ends: all.flatMap(({ ends }) => ends),
        };
      }
      case "repeat":
        return repeated(tree.part, tree.least, tree.most);
    }
  };
  const { ends } = build(tree);
  return { sets, follow, twice, ends: new Set(ends) };
}

function reachable(follow: readonly Set<number>[]): Set<number>[] {
  return follow.map((next) => reached(next, (at) => follow[at]));
}

/**
 * Returns the places that are reachable from `places`, including `places` themselves. The loop finds all of them, because the
 * iteration of a Set also visits elements that are added meanwhile.
 */
function reached(places: Iterable<number>, next: (at: number) => Iterable<number>): Set<number> {
  const seen = new Set(places);
  for (const at of seen) for (const to of next(at)) seen.add(to);
  return seen;
}

/**
 * True if some text leads from the place `start` back to `start` in two ways, so that each repetition of this text doubles the
 * number of paths.
 */
function loopsInTwoWays({ sets, follow, twice }: Places, start: number, loop: ReadonlySet<number>): boolean {
  const count = sets.length;
  const overlaps = (a: number, b: number) => {
    return sets[a] === sets[b] || common(rangesOf(sets[a]), rangesOf(sets[b])).length > 0;
  };
  // Each entry is a pair of places a and b, encoded as 2 (a count + b), plus 1 if the two paths to them differ.
  const seen = new Set([2 * (start * count + start)]);
  for (const key of seen) {
    const [a, b, apart] = [Math.floor(key / (2 * count)), Math.floor(key / 2) % count, key % 2 === 1];
    for (const nextA of follow[a]) {
      for (const nextB of follow[b]) {
        if (!loop.has(nextA) || !loop.has(nextB) || !overlaps(nextA, nextB)) continue;
        const nowApart = apart || nextA !== nextB || twice[a].has(nextA);
        if (nowApart && nextA === start && nextB === start) return true;
        seen.add(2 * (nextA * count + nextB) + Number(nowApart));
      }
    }
  }
  return false;
}

/** True if characters that are repeated at the place `first` lead to the place `second`, which repeats them too. */
function repeatsTwice({ sets, follow }: Places, first: number, second: number): boolean {
  const both = common(rangesOf(sets[first]), rangesOf(sets[second]));
  if (both.length === 0) return false;
  const shares = (place: number) => common(both, rangesOf(sets[place])).length > 0;
  return [...reached([first], (at) => [...follow[at]].filter(shares))].some((at) => follow[at].has(second));
}

/** @internal Returns the expression in reverse order, in which a lookbehind reads it. */
export function reversed(tree: Tree): Tree {
  if (tree.kind === "repeat") return { ...tree, part: reversed(tree.part) };
  if (tree.kind === "alternatives") return { ...tree, parts: tree.parts.map(reversed) };
  return tree.kind === "sequence" ? { ...tree, parts: tree.parts.toReversed().map(reversed) } : tree;
}

/**
 * @internal Returns the cost of an expression. `fault` says why the expression backtracks catastrophically; if there is no
 * `fault`, a match takes time proportional to the length of the text that it reads. `rereads` is true if the expression may read
 * a run of characters, fail, and read the run again from the run's second character.
 */
export function costOf(tree: Tree): { fault?: string; rereads: boolean } {
  const endless = (fault: string) => ({ fault, rereads: true });
  if (ways(tree) > MOST_WAYS) return endless("too many combinations of optional parts");
  const places = placesOf(tree);
  const { follow, ends, sets } = places;
  const reach = reachable(follow);
  // True if the match may fail after a place, so that the matcher backtracks to its other paths.
  const fails = (place: number) => !ends.has(place);
  const loops = sets.flatMap((_, place) => reach[place].has(place) ? [place] : []);
  for (const place of loops) {
    const loop = new Set(loops.filter((other) => reach[place].has(other) && reach[other].has(place)));
    if (![...loop].some(fails)) continue;
    if (loop.size > MOST_PLACES) return endless("a repetition of too many parts");
    if (loopsInTwoWays(places, place, loop)) return endless("an ambiguous repetition");
  }
  const repeated = loops.filter((place) => follow[place].has(place));
  for (const first of repeated) {
    for (const second of repeated) {
      if (first === second || !fails(second) || reach[second].has(first) || !reach[first].has(second)) {
        continue;
      }
      if (repeatsTwice(places, first, second)) return endless("two repetitions of the same characters");
    }
  }
  return { rereads: loops.some(fails) };
}
