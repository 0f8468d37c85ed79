// The table of cpu_all.sh, from lines of configuration, contender and a process's medians as JSON, separated by "|".
import { printColumns } from "./measure.ts";

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** Milliseconds per step of each process, by configuration and contender. */
const processes = new Map<string, Map<string, number[]>>();
for (const line of (await Deno.readTextFile(Deno.args[0])).trim().split("\n")) {
  const [configuration, name, medians] = line.split("|");
  const contenders = processes.get(configuration) ?? new Map<string, number[]>();
  processes.set(configuration, contenders);
  contenders.set(name, [...contenders.get(name) ?? [], median(JSON.parse(medians))]);
}
for (const [configuration, contenders] of processes) {
  const heed = [...contenders.keys()].find((name) => name.startsWith("heed"))!;
  const ours = median(contenders.get(heed)!);
  printColumns(
    [`step of ${configuration}`, "median ms", "min to max", `relative to ${heed}`],
    [...contenders].map(([name, ms]) => [
      name,
      median(ms).toFixed(1),
      `${Math.min(...ms).toFixed(1)} to ${Math.max(...ms).toFixed(1)}`,
      (median(ms) / ours).toFixed(2),
    ]),
  );
}
