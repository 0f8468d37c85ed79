// Lets a long computation yield to the event loop, so that signals and timers are handled.

/** Milliseconds that a computation runs before it yields. */
const YIELD_EVERY_MS = 100;

/** Yields to the event loop once, so that pending signals and timers are handled. */
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
