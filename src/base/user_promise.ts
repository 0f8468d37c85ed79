// Awaits promises of user code, with a limit, because a promise that is never settled would block forever.
import process from "node:process";
import { UserError } from "./errors.ts";

/** Milliseconds between checks; idle milliseconds until waiting ends; fraction of a core's time up to which heed is idle. */
const [LOOK_MS, PATIENCE_MS, SOME_WORK] = [250, 5000, 0.02];

/**
 * Awaits what user code returned. Throws UserError if a promise is pending and this process has been idle for 5 seconds.
 */
export async function settled<T>(promised: T | PromiseLike<T>, patience_ms = PATIENCE_MS): Promise<T> {
  if (typeof (promised as Partial<PromiseLike<T>> | null | undefined)?.then !== "function") return promised;
  const { promise: idleLimit, reject } = Promise.withResolvers<never>();
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
    reject(new UserError(`a promise is still pending after ${seconds} s without work.`));
  }, LOOK_MS);
  try {
    return await Promise.race([promised, idleLimit]);
  } finally {
    clearInterval(timer);
  }
}
