// A user's promise that nothing settles is given up once the process is idle; a slow one is awaited.
import assert from "node:assert/strict";
import { settled } from "../../src/base/user_promise.ts";

Deno.test("a promise that nothing settles gives one line; one that computes or a plain value does not", async () => {
  assert.equal(await settled(3), 3);
  assert.equal(await settled(Promise.resolve(4)), 4);
  await assert.rejects(() => settled(Promise.reject(new RangeError("mine"))), /^RangeError: mine$/);
  const slow = (async () => {
    for (let n = 0; n < 20; n++) await new Promise((resume) => setTimeout(resume, 50));
    return 5;
  })();
  assert.equal(await settled(slow), 5);
  await assert.rejects(
    () => settled(new Promise(() => {}), 500),
    /^UserError: a promise is still pending after 0\.5 s without work\.$/,
  );
});
