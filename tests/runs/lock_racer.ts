// One of several processes that compete for a folder's lock for some time: lock_racer.ts FOLDER MS. Prints how
// often it held the lock, and how often another process held it at the same time.
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
      // createNew fails if the file exists: then another process holds the lock too.
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
