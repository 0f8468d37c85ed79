// The lock of a folder: one process at a time, and no files left behind.
import assert from "node:assert/strict";
import { lockFolder } from "../../src/runs/lock.ts";
import { raceForLock } from "./race_for_lock.ts";

Deno.test("four processes that race for a folder's lock for two seconds never hold it at the same time", async () => {
  const { held, overlaps } = await raceForLock(4, 2000);
  assert.ok(held > 100, `${held} times held`);
  assert.equal(overlaps, 0, `${overlaps} overlaps in ${held} times held`);
});

Deno.test("a released lock leaves neither its file nor the folders created for it", async () => {
  const folder = await Deno.makeTempDir({ prefix: "heed-lock-" });
  try {
    {
      using _ = await lockFolder(`${folder}/a/b`, "testing");
      await assert.rejects(lockFolder(`${folder}/a/b`, "testing"), /another process is testing\.$/);
    }
    assert.deepEqual([...Deno.readDirSync(folder)], []);
    // The lock file of a killed process is reused.
    await Deno.writeTextFile(`${folder}/.lock`, "");
    (await lockFolder(folder, "testing"))[Symbol.dispose]();
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
