// Signals and timers are heard only where a computation lets go of its thread.

/** How long a computation on this thread goes on before it lets signals be heard. */
const HEAR_EVERY_MS = 100;

/** Lets signals and timers be heard. */
export const hear = (): Promise<void> => new Promise((resume) => setTimeout(resume, 0));

/** A function that lets signals be heard where they were not for 100 ms: called again and again by what takes long. */
export function hearing(): () => Promise<void> {
  let heard = performance.now();
  return async () => {
    if (performance.now() - heard <= HEAR_EVERY_MS) return;
    await hear();
    heard = performance.now();
  };
}
