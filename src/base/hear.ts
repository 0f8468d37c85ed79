// A long computation yields to the event loop, so that signals and timers are handled.

/** Time that a computation runs before it yields. */
const YIELD_EVERY_MS = 100;

/** Yields to the event loop: signals and timers are handled. */
export const yieldToEvents = (): Promise<void> => new Promise((resume) => setTimeout(resume, 0));

/** Returns a function for long loops to call repeatedly, which yields to the event loop every 100 ms. */
export function periodicYield(): () => Promise<void> {
  let lastYield = performance.now();
  return async () => {
    if (performance.now() - lastYield <= YIELD_EVERY_MS) return;
    await yieldToEvents();
    lastYield = performance.now();
  };
}
