// The table of task records: a record can have no other fields.
import assert from "node:assert/strict";
import { formatRecord } from "../../src/log/records.ts";
import { TASK_FIELDS, type TaskRecord } from "../../src/log/task_records.ts";

Deno.test("formatRecord() writes a task's record in the table's order with all digits, and a status for NaN", () => {
  assert.equal(
    formatRecord({ recovered: NaN, place: 1 / 3, layer: 0, site: "heads", type: "patch" }),
    '{"v":2,"type":"patch","site":"heads","layer":0,"place":0.3333333333333333,"recovered":null,"recovered_status":"nan"}',
  );
});

Deno.test("formatRecord() throws for an unknown field, and for a nested name that is not snake_case", () => {
  const check = {
    type: "check",
    checkpoint: "a",
    name: "b",
    passed: true,
    skipped: false,
    detail: "c",
  } as const;
  assert.throws(() => formatRecord({ ...check, logProbability: 1 } as TaskRecord), /field logProbability/);
  assert.throws(() => formatRecord({ ...check, detail: [{ finalRank: 1 }] }), /field finalRank/);
});

Deno.test("every name in the table of task records is snake_case and unique", () => {
  for (const [type, fields] of Object.entries(TASK_FIELDS)) {
    for (const name of [type, ...fields]) assert.match(name, /^[a-z][a-z0-9_]*$/);
    assert.equal(new Set(fields).size, fields.length, type);
  }
});
