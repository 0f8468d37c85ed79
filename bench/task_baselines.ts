// How far each synthetic task is solvable without attention: accuracy and loss of the best guess from little context,
// counted on training samples and tested on the validation samples of heed's evaluation. The baselines in docs/data.md are
// from: deno run --config deno.json bench/task_baselines.ts induction copy recall sort histogram
import { findTask, IGNORE, TASKS, taskSource, taskTokenizer } from "../src/data/mod.ts";

/** Features that a guess may use. */
interface Context {
  /** The token before the one to guess. */
  readonly previous: number;
  /** The second token of the sample: in recall the value of its first key. */
  readonly second: number;
  /** Position of the answer's first token: the length of the question. */
  readonly length: number;
  /** Index of the token within the answer, from 0. */
  readonly place: number;
}

const BASELINES: Readonly<Record<string, (context: Context) => string>> = {
  "nothing": () => "",
  "previous token": ({ previous }) => `${previous}`,
  "second token": ({ second }) => `${second}`,
  "length": ({ length }) => `${length}`,
  "length and place": ({ length, place }) => `${length} ${place}`,
};

const SAMPLES = 100_000;
const BATCH = 100;

/** The answers' tokens of a batch, each with its features. */
function* answersOf({ ids, targets }: { ids: Uint32Array; targets: Uint32Array }, context: number) {
  for (let row = 0; row < ids.length; row += context) {
    let [length, place] = [-1, 0];
    for (let at = row; at < row + context; at++) {
      if (targets[at] === IGNORE) continue;
      if (length < 0) length = at - row + 1;
      yield {
        target: targets[at],
        context: { previous: ids[at], second: ids[row + 1], length, place: place++ },
      };
    }
  }
}

/** Accuracy and loss in nats per token of each baseline on the answers of a task. */
function baselinesOf(name: string) {
  const task = findTask(name);
  const context = 256;
  const options = { context, batch: BATCH, seed: 1, answerOnly: true };
  const source = taskSource(task, taskTokenizer(task), options);
  const counts = Object.fromEntries(
    Object.keys(BASELINES).map((baseline) => [baseline, new Map<string, Map<number, number>>()]),
  );
  for (let step = 0; step < SAMPLES / BATCH; step++) {
    for (const { target, context: seen } of answersOf(source.train(step), context)) {
      for (const [baseline, of] of Object.entries(BASELINES)) {
        const key = of(seen);
        const tally = counts[baseline].get(key) ?? new Map<number, number>();
        counts[baseline].set(key, tally.set(target, (tally.get(target) ?? 0) + 1));
      }
    }
  }
  const { size } = taskTokenizer(task);
  const evaluation = source.evaluation("val");
  return Object.entries(BASELINES).map(([baseline, of]) => {
    let [tokens, right, nats] = [0, 0, 0];
    for (let n = 0; n < evaluation.count; n++) {
      for (const { target, context: seen } of answersOf(evaluation.batch(n), context)) {
        const tally = counts[baseline].get(of(seen)) ?? new Map<number, number>();
        const total = tally.values().reduce((sum, count) => sum + count, 0);
        const best = tally.entries().reduce((a, b) => b[1] > a[1] ? b : a, [-1, 0] as [number, number])[0];
        tokens++;
        if (best === target) right++;
        // Add 1/1000 to every token's count, so that unseen tokens have a finite loss.
        nats -= Math.log(((tally.get(target) ?? 0) + 1e-3) / (total + 1e-3 * size));
      }
    }
    return { task: name, baseline, tokens, accuracy: right / tokens, loss: nats / tokens };
  });
}

if (import.meta.main) {
  const names = Deno.args.length > 0 ? Deno.args : Object.keys(TASKS);
  for (const row of names.flatMap(baselinesOf)) {
    const { task, baseline, tokens, accuracy, loss } = row;
    console.log(
      task.padEnd(18) + baseline.padEnd(18) + String(tokens).padStart(7) +
        `  ${(100 * accuracy).toFixed(1)}%`.padStart(9) + `  ${loss.toFixed(3)} nats`,
    );
  }
}
