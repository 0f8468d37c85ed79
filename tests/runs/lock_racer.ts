// One of several processes that take turns in a folder, for as long as they are asked to: lock_racer.ts FOLDER MS. Prints how
// often it held the lock, and how often another one held it as well.
import { lockFolder } from "../../src/runs/lock.ts";

const [folder, milliseconds] = Deno.args;
const end = performance.now() + Number(milliseconds);
let [held, overlaps] = [0, 0];
while (performance.now() < end) {
  try {
    using _ = await lockFolder(folder, "racing");
    held++;
    const alone = `${folder}/held`;
    try {
      // The system makes a file once: who finds it there is not alone.
      Deno.openSync(alone, { write: true, createNew: true }).close();
      await Promise.resolve();
      Deno.removeSync(alone);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists || error instanceof Deno.errors.NotFound)) throw error;
      overlaps++;
    }
  } catch (error) {
    if (!(error instanceof Error && error.name === "UserError")) throw error;
  }
}
console.log(JSON.stringify({ held, overlaps }));
