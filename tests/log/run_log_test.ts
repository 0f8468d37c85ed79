// The log of a run while it is written: its seal and its syncs.
import assert from "node:assert/strict";
import { randomStream } from "../../src/base/random.ts";
import { openRunLog } from "../../src/log/run_log.ts";
import type { LogRecord } from "../../src/log/records.ts";

/** Records of every shape that a log may have: texts, objects, lists, numbers that are not finite, odd names. */
function randomRecords(count: number): LogRecord[] {
  const random = randomStream(1, "records to seal");
  const values = [0, -0, 1e-7, 1e21, 1 / 3, NaN, Infinity, 'é"\\\n\ud800', '","ms":5', "{", null, true, [
    1,
    NaN,
    [2],
  ], {
    b: { d: 1, c: -Infinity },
    a: "}",
    1: 2,
  }];
  const names = ["a", "b_status", "__proto__", "10", "9", "é", 'quote"', "ms", "time", "status", "loss"];
  return Array.from({ length: count }, (_, i) => {
    const fields = Array.from({ length: random.below(8) }, () => [
      names[random.below(names.length)],
      values[random.below(values.length)],
    ]);
    return { type: "own", step: i, ...Object.fromEntries(fields) } as unknown as LogRecord;
  });
}

Deno.test("the seal of records as they are written is that of their lines as they are read, without times", async () => {
  const path = await Deno.makeTempFile({ prefix: "heed-seal-", suffix: ".ndjson" });
  try {
    const records = randomRecords(500);
    const sealOf = (records: readonly LogRecord[]) => {
      Deno.removeSync(path);
      using log = openRunLog(path);
      log.write(...records);
      return log.sync();
    };
    const seal = sealOf(records);
    assert.equal(seal.records, 500);
    for (const from of [undefined, { step: 500 }, { step: 500, log: seal }]) {
      using log = openRunLog(path, from);
      assert.deepEqual(log.sync(), seal);
    }
    const later = records.map((record) => "ms" in record ? { ...record, ms: 12.5 } : record) as LogRecord[];
    assert.deepEqual(sealOf(later), seal);
    assert.notDeepEqual(sealOf([...records.slice(1), records[0]]), seal);
  } finally {
    await Deno.remove(path);
  }
});
