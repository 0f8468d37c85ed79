// Downsampling of streamed lines that are too long for memory.
import assert from "node:assert/strict";
import { randomStream } from "../../src/base/random.ts";
import { thinner } from "../../src/chart/downsample.ts";

Deno.test("thinner() keeps everything of a short line and at most 3 n + 2 items of a long one, in order", () => {
  for (const length of [0, 1, 7, 8, 9, 16, 17, 1000, 100_000]) {
    const line = thinner<number>(8, (i) => i % 5 === 3 ? NaN : Math.sin(i));
    for (let i = 0; i < length; i++) line.add(i);
    const kept = line.items();
    if (length <= 8) assert.deepEqual(kept, Array.from({ length }, (_, i) => i));
    assert.ok(kept.length <= 26, `${kept.length} of ${length}`);
    assert.ok(kept.every((item, i) => i === 0 || item > kept[i - 1]));
    if (length) assert.deepEqual([kept[0], kept.at(-1)], [0, length - 1]);
  }
});

Deno.test("thinner() keeps the minimum and maximum of every segment, and the first item that is not finite", () => {
  const rng = randomStream(1, "thinner");
  const values = Array.from({ length: 5000 }, () => rng.normal());
  values[1234] = Infinity;
  const line = thinner<{ i: number }>(16, ({ i }) => values[i]);
  values.forEach((_, i) => line.add({ i }));
  const kept = new Set(line.items().map(({ i }) => i));
  // 5,000 items in at most 16 segments whose length is a power of two: 512 each.
  for (let from = 0; from < 5000; from += 512) {
    const finite = values.slice(from, from + 512).filter(Number.isFinite);
    assert.ok(kept.has(values.indexOf(Math.min(...finite))));
    assert.ok(kept.has(values.indexOf(Math.max(...finite))));
  }
  assert.ok(kept.has(1234));
});
