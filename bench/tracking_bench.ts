// The cost of tracking: the training step of nanoGPT's CPU configuration with nothing tracked, with everything at every
// step, and with everything at every tenth, records formatted and written as in a run. All three alternate in one process;
// on a shared machine CPU time is more reliable than elapsed time. `deno bench -A bench/tracking_bench.ts`; with `-- cpu` on
// the CPU device.
import process from "node:process";
import { loadConfig } from "../src/config/mod.ts";
import { cpuDevice } from "../src/device/cpu/device.ts";
import type { Device, Program } from "../src/device/device.ts";
import type { Values } from "../src/graph/tensor.ts";
import { openRunLog } from "../src/log/run_log.ts";
import { dueAt } from "../src/track/selectors.ts";
import { initialise } from "../src/model/layout.ts";
import { inductionProbe } from "../src/track/induction_probe.ts";
import { stepGraphs } from "../src/train/compile.ts";
import { statRecords } from "../src/track/stat_records.ts";
import type { StatisticsTable } from "../src/track/step_statistics.ts";
import { benchTable, openWebgpu, printColumns, type Runner } from "./measure.ts";
import { trainingStep } from "./training_step.ts";

const CONFIGURATION = "nanogpt_cpu";
const TRACKS = { nothing: "[]", "every step": "everything", "every: 10": "[{every: 10}]" };
const STEPS = 20;
/** Steps whose records are read together: as many as a run has in flight at this size. */
const WINDOW = 2;
const ROUNDS = 7;

interface Contender {
  readonly name: string;
  /** Elapsed milliseconds per step, and CPU milliseconds of the process, over `STEPS` steps. */
  batch(): Promise<readonly [wall: number, cpu: number]>;
  readonly records: number;
}

/** The loop of a run: the records of a window of steps are read and written while the next window runs. */
async function contender(name: string, track: string, device: Device, path: string): Promise<Contender> {
  const config = await loadConfig(CONFIGURATION, [`track=${track}`]);
  const { layout, feeds, model } = trainingStep(config);
  await initialise(device, layout, 1);
  const programs = new Map<string, { program: Program; table: string; statistics?: StatisticsTable }>();
  for (const [due, { graph, table, statistics }] of stepGraphs(model)) {
    programs.set(due, { program: await device.compile(graph), table: table.name, statistics });
  }
  const probe = await inductionProbe(device, model);
  let written = 0;
  async function batch(): Promise<readonly [number, number]> {
    Deno.truncateSync(path);
    using log = openRunLog(path);
    const finish = async (
      values: Promise<Values[]>,
      looked: readonly { statistics?: StatisticsTable; layers: readonly number[] }[],
      first: number,
    ) => {
      const [, rows, repeated] = await values;
      looked.forEach(({ statistics, layers }, slot) => {
        if (!statistics) return;
        const row = rows.subarray(slot * statistics.width, (slot + 1) * statistics.width);
        const probed = probe!.records(first + slot, layers, slot, repeated);
        const records = [...statRecords(statistics, row, first + slot), ...probed];
        written = records.length;
        log.write(...records);
      });
    };
    const [start, used] = [performance.now(), process.cpuUsage()];
    let pending: Promise<void> | undefined;
    for (let first = 1; first <= STEPS; first += WINDOW) {
      const window = Array.from({ length: WINDOW }, (_, slot) => {
        return programs.get(dueAt(config.track, first + slot).join())!;
      });
      const looked = window.map(({ program, statistics }, slot) => {
        program.run({ ...feeds, slot: Uint32Array.of(slot) });
        return { statistics, layers: statistics ? probe!.run(first + slot, slot) : [] };
      });
      const statistics = window.find((one) => one.statistics)?.statistics;
      const values = device.read([window[0].table, ...(statistics ? [statistics.name, probe!.table] : [])]);
      await pending;
      pending = finish(values, looked, first);
    }
    await pending;
    const { user, system } = process.cpuUsage(used);
    return [(performance.now() - start) / STEPS, (user + system) / 1000 / STEPS];
  }
  await batch();
  return { name, batch, records: written };
}

async function table(): Promise<Runner> {
  const device = Deno.args.includes("cpu") ? cpuDevice() : await openWebgpu();
  const path = await Deno.makeTempFile();
  const contenders: Contender[] = [];
  for (const [name, track] of Object.entries(TRACKS)) {
    // Compiling takes minutes on a busy machine: without output it would look like a hang.
    console.log(`compiling: tracking ${name}`);
    contenders.push(await contender(name, track, device, path));
  }
  const best = contenders.map(() => [Infinity, Infinity]);
  for (let round = 0; round < ROUNDS; round++) {
    console.log(`round ${round + 1} of ${ROUNDS}`);
    for (const [i, { batch }] of contenders.entries()) {
      const times = await batch();
      best[i] = best[i].map((time, k) => Math.min(time, times[k]));
    }
  }
  await Deno.remove(path);
  printColumns(
    ["tracking everything", "records per step", "ms per step", "relative", "CPU ms per step", "relative"],
    contenders.map(({ name, records }, i) => [
      name,
      String(records),
      ...best[i].flatMap((time, k) => [time.toFixed(0), (time / best[0][k]).toFixed(3)]),
    ]),
  );
  return { name: "tracking", calls: 1, start: () => {}, settle: () => Promise.resolve() };
}

benchTable("tracking", table);
