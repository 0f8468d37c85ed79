// Awaits promises of user code with a limit on the idle time, because a promise that is never settled would block forever.
import process from "node:process";
import { UserError } from "./errors.ts";

/**
 * The number of milliseconds between checks; the number of idle milliseconds after which waiting ends; and the fraction of
 * one core's time up to which the process counts as idle.
 */
const [LOOK_MS, PATIENCE_MS, SOME_WORK] = [250, 5000, 0.02];

/**
 * Awaits the value that user code returned. Throws UserError if it is a promise that is still pending after this process
 * has been idle for `patience_ms` milliseconds (5 seconds by default).
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
