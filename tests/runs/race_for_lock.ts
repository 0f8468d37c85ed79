// Lets processes race for one folder's lock. Run by itself: deno task prove_locks [SECONDS] [PROCESSES]

/** How often the lock was held in total, and how often by two processes at once. */
export interface Race {
  readonly held: number;
  readonly overlaps: number;
}

/** Starts processes that acquire and release the lock of one folder for some milliseconds. */
export async function raceForLock(processes: number, milliseconds: number): Promise<Race> {
  const folder = await Deno.makeTempDir({ prefix: "heed-race-" });
  try {
    const racer = new URL("lock_racer.ts", import.meta.url).href;
    const flags = [`--allow-read=${folder}`, `--allow-write=${folder}`];
    const args = ["run", "--no-check", ...flags, racer, `${folder}/raced`, String(milliseconds)];
    const outputs = await Promise.all(
      Array.from({ length: processes }, () => new Deno.Command(Deno.execPath(), { args }).output()),
    );
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    const races = outputs.map(({ success, stdout, stderr }): Race => {
      if (!success) throw new Error(text(stderr));
      return JSON.parse(text(stdout));
    });
    const sum = (of: (race: Race) => number) => races.reduce((total, race) => total + of(race), 0);
    return { held: sum(({ held }) => held), overlaps: sum(({ overlaps }) => overlaps) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const [seconds, processes] = [Number(Deno.args[0] ?? 30), Number(Deno.args[1] ?? 4)];
  const { held, overlaps } = await raceForLock(processes, 1000 * seconds);
  console.log(`${processes} processes, ${seconds} s: held ${held} times, ${overlaps} overlaps`);
  Deno.exit(overlaps > 0 ? 1 : 0);
}
