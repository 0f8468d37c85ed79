// Waiting for what code of a user's promised: a promise that nothing settles would be waited for until the end of time.
import process from "node:process";
import { UserError } from "./errors.ts";

/** Milliseconds between two looks at the processor, those without work after which a promise is given up, and the share of work. */
const [LOOK_MS, PATIENCE_MS, SOME_WORK] = [250, 5000, 0.02];

/**
 * What a user's code returned, awaited. A promise is given up with a UserError once this process has done nothing for
 * 5 seconds.
 */
export async function settled<T>(promised: T | PromiseLike<T>, patience_ms = PATIENCE_MS): Promise<T> {
  if (typeof (promised as Partial<PromiseLike<T>> | null | undefined)?.then !== "function") return promised;
  const { promise: given, reject } = Promise.withResolvers<never>();
  let idle = 0;
  let before = process.cpuUsage();
  let looked = performance.now();
  const timer = setInterval(() => {
    const { user, system } = process.cpuUsage(before);
    const passed = performance.now() - looked;
    before = process.cpuUsage();
    looked += passed;
    idle = (user + system) / 1000 > SOME_WORK * passed ? 0 : idle + passed;
    if (idle < patience_ms) return;
    const seconds = patience_ms / 1000;
    reject(new UserError(`a promise is not settled, and nothing was done for ${seconds} s.`));
  }, LOOK_MS);
  try {
    return await Promise.race([promised, given]);
  } finally {
    clearInterval(timer);
  }
}
